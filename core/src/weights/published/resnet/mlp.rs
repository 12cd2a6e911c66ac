//! The MLPs that papers put on residual networks, from their places in a `Sequential` to a list of layers.

use super::super::listing::Listing;
use super::super::plan::{Made, Take};

/// Parts of a `Sequential` at most: linear layers, norms and activations.
const MOST_PARTS: usize = 32;
/// Numbers of a layer and layers at most, as recipes have them.
const MOST_NUMBERS: usize = 16_384;
const MOST_LAYERS: usize = 8;

/// Linear layers with activations between them.
#[derive(Debug)]
pub(super) struct Mlp {
    layers: Vec<Layer>,
}

/// A linear layer by the file's names.
#[derive(Debug)]
struct Layer {
    weight: String,
    /// O and I.
    sizes: [usize; 2],
    bias: Option<String>,
    norm: Option<Norm>,
}

/// A normalization of what leaves it, by the file's names.
#[derive(Debug)]
struct Norm {
    weight: Option<String>,
    bias: Option<String>,
}

/// The sizes of an MLP, where it is of the make that heads have here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sizes {
    /// Linear layers.
    pub layers: usize,
    /// Numbers between them, if there are several.
    pub hidden: Option<usize>,
    /// Numbers that leave it.
    pub width: usize,
    /// Numbers between layers are normalized, if there are any.
    pub batch_norm: Option<bool>,
    /// Of what leaves it: `none`, `plain` or `scale`.
    pub last_norm: &'static str,
    /// Layers that no norm follows have biases, if there are any.
    pub bias: Option<bool>,
}

impl Mlp {
    /// The MLP below a name, or the single layer of that name; `None` if there is none or it has other parts. Between two layers there must
    /// be place for an activation.
    pub fn of(listing: &Listing, stem: &str) -> Option<Self> {
        let there = |name: String| listing.shapes.contains_key(&name).then_some(name);
        let shape = |name: &String| listing.shapes.get(name).map(Vec::as_slice);
        let linear = |place: &str| {
            let weight = there(format!("{place}.weight"))?;
            let &[outputs, inputs] = shape(&weight)? else { return None };
            let bias = there(format!("{place}.bias"));
            let is_bias = |name: &String| shape(name) == Some(&[outputs][..]);
            bias.iter().all(is_bias).then_some(Layer { weight, sizes: [outputs, inputs], bias, norm: None })
        };
        if let Some(layer) = linear(stem) {
            return Some(Self { layers: vec![layer] });
        }
        let mut layers = Vec::<Layer>::new();
        let mut last: Option<usize> = None;
        for place in 0..MOST_PARTS {
            let at = format!("{stem}.{place}");
            let [weight, bias] = ["weight", "bias"].map(|kind| there(format!("{at}.{kind}")));
            if let Some(layer) = linear(&at) {
                if last.is_some_and(|last| last + 2 != place) {
                    return None;
                }
                layers.push(layer);
            } else if there(format!("{at}.running_mean")).is_some() {
                let layer = layers.last_mut().filter(|layer| layer.norm.is_none() && last.is_some_and(|last| last + 1 == place))?;
                let width = layer.sizes[0];
                if [&weight, &bias].into_iter().flatten().any(|name| shape(name) != Some(&[width][..])) {
                    return None;
                }
                layer.norm = Some(Norm { weight, bias });
            } else if weight.is_some() || bias.is_some() {
                return None;
            } else {
                continue;
            }
            last = Some(place);
        }
        (!layers.is_empty()).then_some(Self { layers })
    }

    /// Its sizes, if heads here are of that make and it takes so many numbers.
    pub fn sizes(&self, inputs: usize) -> Option<Sizes> {
        let (last, inner) = self.layers.split_last()?;
        let follow = self.layers.windows(2).all(|pair| pair[0].sizes[0] == pair[1].sizes[1]);
        let hidden = inner.first().map(|layer| layer.sizes[0]);
        let is_even = inner.iter().all(|layer| Some(layer.sizes[0]) == hidden);
        let batch_norm = inner.first().map(|layer| layer.norm.is_some());
        let are_ours = inner.iter().all(|layer| match &layer.norm {
            Some(norm) => batch_norm == Some(true) && norm.weight.is_some() && norm.bias.is_some(),
            None => batch_norm == Some(false),
        });
        let last_norm = match &last.norm {
            None => "none",
            Some(Norm { weight: None, bias: None }) => "plain",
            Some(Norm { weight: Some(_), bias: None }) => "scale",
            Some(_) => return None,
        };
        let mut biases = self.layers.iter().filter(|layer| layer.norm.is_none()).map(|layer| layer.bias.is_some());
        let bias = biases.next();
        let agree = biases.all(|other| Some(other) == bias);
        let is_small = self.layers.len() <= MOST_LAYERS && self.layers.iter().all(|layer| (1..=MOST_NUMBERS).contains(&layer.sizes[0]));
        let fits = self.layers.first()?.sizes[1] == inputs && follow && is_even && are_ours && agree && is_small;
        fits.then_some(Sizes { layers: self.layers.len(), hidden, width: last.sizes[0], batch_norm, last_norm, bias })
    }

    /// Its tensors, as a head that compares directions has them here.
    pub fn takes(&self, ours: &str) -> Vec<Take> {
        let of = |(index, layer): (usize, &Layer)| {
            let own = format!("{ours}.layers.{index}");
            let [outputs, inputs] = layer.sizes;
            let mut takes = vec![copied(format!("{own}.weight"), &[outputs, inputs], &layer.weight)];
            match &layer.norm {
                Some(norm) => takes.extend(norm.takes(&format!("{own}.norm"), outputs)),
                None => takes.extend(layer.bias.iter().map(|bias| copied(format!("{own}.bias"), &[outputs], bias))),
            }
            takes
        };
        self.layers.iter().enumerate().flat_map(of).collect()
    }

    /// The same as a head with prototypes has them, whose layers all have biases; `None` if some have none, or a norm ends it.
    pub fn takes_before_prototypes(&self, ours: &str) -> Option<Vec<Take>> {
        let mut takes = Vec::new();
        for (index, layer) in self.layers.iter().enumerate() {
            let [outputs, inputs] = layer.sizes;
            takes.push(copied(format!("{ours}.mlp.{index}.weight"), &[outputs, inputs], &layer.weight));
            takes.push(copied(format!("{ours}.mlp.{index}.bias"), &[outputs], layer.bias.as_ref()?));
            takes.extend(layer.norm.iter().flat_map(|norm| norm.takes(&format!("{ours}.norms.{index}"), outputs)));
        }
        self.layers.last()?.norm.is_none().then_some(takes)
    }

    /// Biases that the norm behind them takes away again.
    pub fn subtracted(&self) -> impl Iterator<Item = &String> {
        self.layers.iter().filter(|layer| layer.norm.is_some()).filter_map(|layer| layer.bias.as_ref())
    }
}

impl Norm {
    fn takes(&self, ours: &str, width: usize) -> Vec<Take> {
        let parts = [("weight", &self.weight), ("bias", &self.bias)];
        parts.into_iter().filter_map(|(kind, name)| Some(copied(format!("{ours}.{kind}"), &[width], name.as_ref()?))).collect()
    }
}

/// A tensor that is taken as it is.
pub(super) fn copied(ours: String, shape: &[usize], theirs: &str) -> Take {
    Take { ours, shape: shape.to_vec(), made: Made::Copied(theirs.to_owned()) }
}
