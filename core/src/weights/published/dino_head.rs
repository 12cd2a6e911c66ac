//! DINO's head beside its backbone: from its places in a `Sequential` to a list of layers, and the prototypes.

use super::listing::Listing;
use super::plan::{Made, Plan, Take};
use super::site::{Site, Sites};

/// The sizes of a head.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct HeadSizes {
    /// Linear layers.
    pub layers: usize,
    /// Numbers between them.
    pub hidden: usize,
    /// Numbers of a direction.
    pub bottleneck: usize,
    /// Directions.
    pub prototypes: usize,
    /// Numbers between layers are normalized over the batch.
    pub batch_norm: bool,
}

/// Takes the heads of all networks of a file, if each has one and it is DINO's.
pub(super) fn take(sites: &Sites, listing: &Listing, width: usize, plan: &mut Plan) -> Option<HeadSizes> {
    let mut takes = Vec::new();
    let mut all = sites.each().map(|(site, ours)| {
        let (sizes, mut own) = of(site, ours, listing)?;
        takes.append(&mut own);
        Some(sizes)
    });
    let first = all.next()??;
    if !all.all(|sizes| sizes == Some(first)) {
        return None;
    }
    drop(all);
    let starts = takes.iter().find(|take| take.ours.ends_with("head.mlp.0.weight"))?.shape.last() == Some(&width);
    if starts {
        takes.into_iter().for_each(|take| plan.take(take.ours, take.shape, take.made));
    }
    starts.then_some(first)
}

/// One head's sizes and tensors.
fn of(site: &Site, ours: &str, listing: &Listing) -> Option<(HeadSizes, Vec<Take>)> {
    let place = format!("{}head.", site.prefix.strip_suffix("backbone.")?);
    let shape = |name: &str| listing.shapes.get(&format!("{place}{name}")).cloned();
    let mut takes = Vec::new();
    let mut take = |to: String, from: &str, shape: Vec<usize>| {
        takes.push(Take { ours: format!("{ours}head.{to}"), shape, made: Made::Copied(format!("{place}{from}")) });
    };
    let (mut layers, mut norms) = (Vec::new(), 0);
    // A single layer stands there by itself.
    let places = if shape("mlp.weight").is_some() { vec!["mlp".to_owned()] } else { (0..64).map(|index| format!("mlp.{index}")).collect() };
    for from in places {
        let (Some(weight), bias) = (shape(&format!("{from}.weight")), shape(&format!("{from}.bias"))) else { continue };
        let to = match weight[..] {
            [outputs, inputs] => {
                layers.push([inputs, outputs]);
                format!("mlp.{}", layers.len() - 1)
            }
            [_] => {
                norms += 1;
                format!("norms.{}", norms - 1)
            }
            _ => return None,
        };
        take(format!("{to}.weight"), &format!("{from}.weight"), weight);
        take(format!("{to}.bias"), &format!("{from}.bias"), bias?);
    }
    let (&[_, bottleneck], &[_, hidden]) = (layers.last()?, layers.first()?);
    let follow = layers.windows(2).all(|pair| pair[0][1] == pair[1][0] && pair[0][1] == hidden);
    for (to, names) in
        [("weight_g", ["weight_g", "parametrizations.weight.original0"]), ("weight_v", ["weight_v", "parametrizations.weight.original1"])]
    {
        let from = names.map(|name| format!("last_layer.{name}")).into_iter().find(|name| shape(name).is_some())?;
        let shape = shape(&from)?;
        take(format!("last_layer.{to}"), &from, shape);
    }
    let [prototypes, directions] = takes.last()?.shape[..] else { return None };
    let lengths = takes[takes.len() - 2].shape == [prototypes, 1];
    let fits = follow && lengths && directions == bottleneck && (norms == 0 || norms + 1 == layers.len());
    fits.then_some((HeadSizes { layers: layers.len(), hidden, bottleneck, prototypes, batch_norm: norms > 0 }, takes))
}
