//! Pyramids: Swin as its own code, SimMIM's and timm's save it, and PVT as its own code does.

mod image;
#[cfg(test)]
mod parity;
mod pvt;
#[cfg(test)]
mod refusals;
mod swin;
#[cfg(test)]
mod tests;

use super::listing::Listing;
use super::plan::{Made, Network};
use super::site::{Site, Sites};
use super::{Found, IMAGENET, unknown};
use crate::error::Result;

/// Finds a pyramid.
///
/// # Errors
/// [`Error::Data`](crate::error::Error::Data) if it is one that is not understood.
pub(super) fn recognize(listing: &Listing) -> Result<Option<Found>> {
    if let Some(sites) = Sites::of(listing, swin::FIRST) {
        return swin::found(&sites, listing).map(Some);
    }
    if let Some(sites) = Sites::of(listing, pvt::FIRST) {
        return pvt::found(&sites, listing).map(Some);
    }
    if Sites::of(listing, pvt::OF_TIMMS_SECOND_VERSION).is_some() {
        return Err(unknown(listing, pvt::SECOND_VERSION));
    }
    Ok(None)
}

/// Stages at most.
const MOST_STAGES: usize = 8;

/// The shape of a tensor by its name in the network.
fn shape<'a>(site: &Site, listing: &'a Listing, own: &str) -> Option<&'a [usize]> {
    site.name(own).and_then(|name| listing.shapes.get(name)).map(Vec::as_slice)
}

/// Patches as the first stage makes them, of which `weight` is the name: `[width, channels, patch]`.
///
/// # Errors
/// What is wrong with it.
fn patches(site: &Site, listing: &Listing, weight: &str) -> Result<[usize; 3], String> {
    let found = shape(site, listing, weight).unwrap_or_default();
    match *found {
        [width, channels, patch, across] if patch == across && !found.contains(&0) => Ok([width, channels, patch]),
        _ => Err(format!("`{weight}` is {found:?} instead of [width, channels, patch, patch]")),
    }
}

/// Sizes of any pyramid that are beyond what is understood.
struct Bounds<'a> {
    channels: usize,
    patch: usize,
    widths: &'a [usize],
    depths: &'a [usize],
    hidden: &'a [usize],
}

impl Bounds<'_> {
    /// Numbers of the layer that predicts pixels.
    const MOST_PREDICTING: usize = 1 << 28;

    /// # Errors
    /// The first that is.
    fn check(&self) -> Result<(), String> {
        let largest = |list: &[usize]| list.iter().copied().max().unwrap_or_default();
        let bounds = [
            ("number of stages", self.widths.len(), MOST_STAGES),
            ("width", largest(self.widths), 16_384),
            ("channels", self.channels, 64),
            ("patch", self.patch, 256),
            ("blocks of a stage", largest(self.depths), 256),
            ("hidden width", largest(self.hidden), 1 << 18),
        ];
        if let Some((what, size, most)) = bounds.into_iter().find(|(_, size, most)| size > most) {
            return Err(format!("its {what} of {size} is beyond the {most} that are understood"));
        }
        let side = self.patch << self.widths.len().saturating_sub(1);
        if side * side * self.channels * self.widths.last().copied().unwrap_or_default() > Self::MOST_PREDICTING {
            return Err(format!("a token of its last stage stands for {side}x{side} px, which is beyond what is understood"));
        }
        Ok(())
    }
}

/// What blocks of both kinds have in common.
fn block(network: &mut Network<'_>, ours: &str, theirs: &str, width: usize, hidden: usize) {
    let parts: [(&str, &[usize]); 5] = [
        ("norm1", &[width]),
        ("norm2", &[width]),
        ("attn.proj", &[width, width]),
        ("mlp.fc1", &[hidden, width]),
        ("mlp.fc2", &[width, hidden]),
    ];
    for (part, shape) in parts {
        network.layer(&format!("{ours}.{part}"), &[&format!("{theirs}.{part}")], shape);
    }
}

/// Queries, keys or values, which may have no bias.
fn projection(network: &mut Network<'_>, ours: &str, theirs: &str, shape: [usize; 2]) {
    network.copy(&format!("{ours}.weight"), &[&format!("{theirs}.weight")], &shape);
    let (ours, theirs) = (format!("{ours}.bias"), format!("{theirs}.bias"));
    if network.site.name(&theirs).is_some() {
        network.copy(&ours, &[&theirs], &shape[..1]);
    } else {
        network.plan.take(format!("{}{ours}", network.ours), vec![shape[0]], Made::Zeros);
    }
}

/// Why a tensor is not used.
fn why_left(sites: &Sites, name: &str) -> &'static str {
    let own = sites.each().find_map(|(site, _)| name.strip_prefix(&site.prefix)).unwrap_or(name);
    let first = own.split('.').next().unwrap_or_default();
    let has_word = |is_meant: &dyn Fn(&str) -> bool| name.split('.').any(is_meant);
    if first == "head" || first == "fc" {
        "a classifier"
    } else if first.starts_with("decoder") || has_word(&|word| word == "decoder") {
        "a decoder of another make than Maskroom's"
    } else if first == "mask_token" {
        "stands in the place of hidden patches, which this encoder is not shown here"
    } else if has_word(&|word| word.contains("head") || word.starts_with("projector") || word == "predictor") {
        "a head of another make than Maskroom's"
    } else {
        "part of no network that Maskroom knows"
    }
}

/// What stands at the end of a description if there is a running average.
fn and_average(sites: &Sites) -> &'static str {
    if sites.average.is_some() { ", and its running average" } else { "" }
}

/// Settings of a recipe.
type Sets = Vec<(String, String)>;

fn set(sets: &mut Sets, key: &str, value: &dyn ToString) {
    sets.push((key.to_owned(), value.to_string()));
}

/// The settings that both kinds have in common, for square images.
fn settings(kind: &str, channels: usize, patch: usize, image: usize) -> Sets {
    let mut sets = Sets::new();
    let (mean, std) = match channels {
        3 => (IMAGENET.0.to_vec(), IMAGENET.1.to_vec()),
        channels => (vec![0.5; channels], vec![0.5; channels]),
    };
    set(&mut sets, "data.image", &format!("{:?}", [image; 2]));
    set(&mut sets, "data.channels", &channels);
    set(&mut sets, "data.mean", &format!("{mean:?}"));
    set(&mut sets, "data.std", &format!("{std:?}"));
    set(&mut sets, "backbone.preset", &"\"\"");
    set(&mut sets, "backbone.kind", &kind);
    set(&mut sets, "backbone.patch", &patch);
    set(&mut sets, "backbone.drop_path", &0);
    sets
}
