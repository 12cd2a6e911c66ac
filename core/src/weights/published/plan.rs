//! Which of a file's tensors become which of Maskroom's, and what must be done to them on the way.

use std::collections::BTreeSet;

use super::listing::Listing;
use super::site::Site;
use crate::error::Result;
use crate::weights::safetensors_file::HostTensor;

/// How many batches a normalization has seen in training, in PyTorch.
pub(super) const BATCHES: &str = "num_batches_tracked";

/// A tensor of Maskroom's and how it is made.
#[derive(Debug, Clone, PartialEq)]
pub struct Take {
    /// Its name here.
    pub ours: String,
    /// Its shape here.
    pub shape: Vec<usize>,
    /// How it is made.
    pub made: Made,
}

/// How a tensor is made, by the file's names.
#[derive(Debug, Clone, PartialEq)]
pub enum Made {
    /// It is there.
    Copied(String),
    /// It is not there, and does nothing when it is zero.
    Zeros,
    /// Positions of patches alone; the class token has none.
    WithoutClass(String),
    /// Positions of class token, distillation token or registers, and patches, without those of the tokens between.
    WithoutDistilled(String),
    /// Its rows in another order, by their places in the file.
    Reordered(String, Vec<usize>),
    /// A distillation token, or registers, with their positions added, and the table of positions: registers have none here.
    Distilled(String, String),
    /// Parts of the same size below one another; zeros for one that the network does without.
    Stacked(Vec<Option<String>>),
    /// A bias of queries, keys and values, and what it is multiplied by; where that was never set, keys have none.
    Masked(String, String),
}

/// Why a tensor that files have all the same is not read, if its numbers follow from the sizes.
pub(super) fn computed(name: &str) -> Option<&'static str> {
    if name.ends_with("relative_position_index") {
        return Some("which pairs of tokens share a number: it is computed here");
    }
    // Which pairs of a window a shift has made neighbors.
    name.ends_with("attn_mask").then_some("computed here from the sizes")
}

/// All that becomes of a file.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Tensors that are taken.
    pub takes: Vec<Take>,
    /// What is wrong with those that should be.
    pub wrong: Vec<String>,
    /// The file's names that are used.
    pub used: BTreeSet<String>,
}

impl Plan {
    /// Adds a tensor that was found.
    pub fn take(&mut self, ours: String, shape: Vec<usize>, made: Made) {
        match &made {
            Made::Copied(name) | Made::WithoutClass(name) | Made::WithoutDistilled(name) | Made::Reordered(name, _) => {
                self.used.insert(name.clone());
            }
            Made::Distilled(one, other) | Made::Masked(one, other) => self.used.extend([one.clone(), other.clone()]),
            Made::Stacked(parts) => self.used.extend(parts.iter().flatten().cloned()),
            Made::Zeros => {}
        }
        self.takes.push(Take { ours, shape, made });
    }
}

impl Made {
    /// The file's name, or how it is made of several.
    pub fn in_words(&self) -> String {
        match self {
            Self::Copied(name) => name.clone(),
            Self::Zeros => "zeros".into(),
            Self::WithoutClass(name) => format!("{name}, and nothing for the class token"),
            Self::WithoutDistilled(name) => format!("{name} without the places of tokens between class token and patches"),
            Self::Reordered(name, _) => format!("{name}, its rows in the order of pixels"),
            Self::Distilled(token, table) => format!("{token} + their places in {table}"),
            Self::Stacked(parts) => parts.iter().map(|part| part.as_deref().unwrap_or("zeros")).collect::<Vec<_>>().join(", "),
            Self::Masked(bias, mask) => format!("{bias} * {mask}"),
        }
    }
}

impl Take {
    /// Reads what it is made of, and makes it.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(&self, listing: &Listing) -> Result<HostTensor> {
        let width = self.shape.last().copied().unwrap_or(1);
        let values = match &self.made {
            Made::Copied(name) => listing.tensor(name)?.values,
            Made::Zeros => vec![0.0; self.shape.iter().product()],
            Made::WithoutClass(name) => [vec![0.0; width], listing.tensor(name)?.values].concat(),
            Made::WithoutDistilled(name) => {
                let table = listing.tensor(name)?.values;
                let between = table.len() - self.shape.iter().product::<usize>();
                [&table[..width], &table[width + between..]].concat()
            }
            Made::Reordered(name, order) => {
                let values = listing.tensor(name)?.values;
                let row = values.len() / order.len().max(1);
                order.iter().flat_map(|&from| values[from * row..][..row].iter().copied()).collect()
            }
            Made::Distilled(token, table) => {
                let (token, table) = (listing.tensor(token)?.values, listing.tensor(table)?.values);
                token.iter().zip(&table[width..]).map(|(token, place)| token + place).collect()
            }
            Made::Stacked(parts) => {
                let count: usize = self.shape.iter().product();
                let mut values = Vec::with_capacity(count);
                for part in parts {
                    match part {
                        Some(name) => values.append(&mut listing.tensor(name)?.values),
                        None => values.resize(values.len() + count / parts.len(), 0.0),
                    }
                }
                values
            }
            Made::Masked(bias, mask) => masked(listing.tensor(bias)?.values, &listing.tensor(mask)?.values),
        };
        Ok(HostTensor::new(self.shape.clone(), values))
    }
}

fn masked(mut bias: Vec<f32>, mask: &[f32]) -> Vec<f32> {
    let keys = bias.len() / 3..bias.len() / 3 * 2;
    for (place, (bias, &mask)) in bias.iter_mut().zip(mask).enumerate() {
        let is_key = keys.contains(&place);
        *bias *= if mask.is_nan() { f32::from(u8::from(!is_key)) } else { mask };
    }
    bias
}

/// One network on its way.
pub(super) struct Network<'a> {
    /// Where it is.
    pub site: &'a Site,
    /// What the file holds.
    pub listing: &'a Listing,
    /// What stands before its names here.
    pub ours: &'static str,
    /// What becomes of it.
    pub plan: &'a mut Plan,
}

impl Network<'_> {
    /// Copies the first of `theirs` that is there, which must have the shape.
    pub fn copy(&mut self, ours: &str, theirs: &[&str], shape: &[usize]) {
        self.take(ours, theirs, shape, shape, Made::Copied);
    }

    /// The same for one that has the shape `there`.
    pub fn take(&mut self, ours: &str, theirs: &[&str], shape: &[usize], there: &[usize], made: impl FnOnce(String) -> Made) {
        if let Some(name) = self.found(self.site.first_of(theirs).unwrap_or(theirs[0]), there) {
            self.plan.take(format!("{}{ours}", self.ours), shape.to_vec(), made(name));
        }
    }

    /// Puts parts of one shape below one another, and zeros where none is named.
    pub fn stack(&mut self, ours: &str, theirs: &[Option<&str>], part: &[usize]) {
        let names: Vec<Option<String>> = theirs.iter().map(|own| own.and_then(|own| self.found(own, part))).collect();
        if names.iter().zip(theirs).all(|(name, own)| name.is_some() == own.is_some()) {
            let shape = [&[theirs.len() * part[0]], &part[1..]].concat();
            self.plan.take(format!("{}{ours}", self.ours), shape, Made::Stacked(names));
        }
    }

    /// The file's name of a tensor, which must be there and have the shape.
    pub fn found(&mut self, own: &str, shape: &[usize]) -> Option<String> {
        match self.site.name(own).map(|name| (name, self.listing.shapes.get(name))) {
            Some((name, Some(found))) if found == shape => return Some(name.clone()),
            Some((name, found)) => self.plan.wrong.push(format!("{name} is {:?} instead of {shape:?}", found.cloned().unwrap_or_default())),
            None => self.plan.wrong.push(format!("{}{own} is missing", self.site.prefix)),
        }
        None
    }

    /// A weight of the given shape and a bias as long as its first side.
    pub fn layer(&mut self, ours: &str, theirs: &[&str], shape: &[usize]) {
        for (kind, shape) in [("weight", shape), ("bias", &shape[..1])] {
            let theirs: Vec<String> = theirs.iter().map(|name| format!("{name}.{kind}")).collect();
            self.copy(&format!("{ours}.{kind}"), &theirs.iter().map(String::as_str).collect::<Vec<_>>(), shape);
        }
    }

    /// What is part of the encoder, as its names begin, and neither known nor computed from sizes makes it another network. Counts of batches
    /// are of no part.
    pub fn refuse_strangers(&mut self, parts: &[&str]) {
        let is_known = |own: &str| computed(own).is_some() || own.ends_with(BATCHES);
        let is_part = |own: &str| parts.iter().any(|part| own.starts_with(part)) && !is_known(own);
        let strangers = self.site.names().filter(|(own, name)| is_part(own) && !self.plan.used.contains(*name));
        let wrong: Vec<String> = strangers.map(|(_, name)| format!("{name} is unknown")).collect();
        self.plan.wrong.extend(wrong);
    }
}
