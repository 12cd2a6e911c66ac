//! The sizes of a residual network, from the shapes of its tensors, and what makes one another network than those that are known.

use super::super::listing::Listing;
use super::super::site::Site;
use super::layout::{Layout, SHORTCUTS};
use crate::backbone::resnet::{ResNetConfig, Stem};

/// Sides in pixels of the images that such networks are made for.
const USUAL_IMAGE: usize = 224;
const SMALL_IMAGE: usize = 32;

/// The sizes of a network.
///
/// # Errors
/// What makes it another kind of network than those that are understood.
pub(super) fn of(layout: &Layout, site: &Site, listing: &Listing) -> Result<ResNetConfig, String> {
    let shape = |own: &str| site.name(own).and_then(|name| listing.shapes.get(name)).map(Vec::as_slice);
    let in_first = |own: &str| format!("{}.0.{own}", layout.stages[0]);
    variant(layout, site, listing)?;
    let conv1 = format!("{}.weight", layout.conv1);
    let (width, channels, stem) = match shape(&conv1) {
        Some(&[width, channels, 7, 7]) if !layout.unpooled => (width, channels, Stem::Large),
        Some(&[width, channels, 3, 3]) => (width, channels, Stem::Small),
        Some(other) => {
            let why = "stems have a convolution of 7x7 with a maximum after it, or one of 3x3 without";
            return Err(format!("`{}{conv1}` is {other:?}: {why}", site.prefix));
        }
        None => return Err(format!("there is no `{}{conv1}`", site.prefix)),
    };
    let first = in_first("conv1.weight");
    let Some(&[inside, ..]) = shape(&first) else { return Err(format!("`{first}` is no convolution")) };
    let bottleneck = shape(&in_first("conv3.weight")).is_some();
    let depths = layout.stages.map(|stage| site.num_blocks(stage));
    // More than that is not offered in recipes either.
    let bounds = [("width", width, 16_384), ("channels", channels, 64), ("convolutions", inside, 16 * 16_384)];
    let stages = depths.into_iter().map(|depth| ("blocks of a stage", depth, 256));
    if let Some((what, size, most)) = bounds.into_iter().chain(stages).find(|(_, size, most)| !(1..=*most).contains(size)) {
        return Err(format!("its {what} of {size} is beyond the 1 to {most} that are understood"));
    }
    let inner = inside / width;
    if bottleneck && (inside % width != 0 || !(1..=16).contains(&inner)) {
        return Err(format!("`{first}` has {inside} channels, which is no multiple of the {width} before it"));
    }
    Ok(ResNetConfig {
        grid: [if stem == Stem::Large { USUAL_IMAGE } else { SMALL_IMAGE }; 2],
        channels,
        stem,
        bottleneck,
        width,
        inner: if bottleneck { inner } else { 1 },
        depths: depths.to_vec(),
        zero_init: false,
    })
}

/// Says by name what is known to be computed otherwise.
fn variant(layout: &Layout, site: &Site, listing: &Listing) -> Result<(), String> {
    let shape = |own: &str| site.name(own).and_then(|name| listing.shapes.get(name)).map(Vec::as_slice);
    let has = |own: &str| site.name(own).is_some();
    let (conv1, bn1, [first, second, ..]) = (layout.conv1, layout.bn1, layout.stages);
    let is_within = |own: &str| layout.stages.iter().any(|stage| own.starts_with(stage));
    let refused = |own: &str, why: &str| Err(format!("`{}{own}`: {why}", site.prefix));
    for own in [format!("{conv1}.0.weight"), format!("{conv1}.conv.weight"), "conv2.weight".to_owned()] {
        if has(&own) {
            return refused(&own, "its stem has several convolutions, as in ResNet-C, -D, -T and CLIP, and here it has one");
        }
    }
    let is_weighing = |own: &str| is_within(own) && [".se.", ".se_module.", ".attn.", ".eca."].iter().any(|part| own.contains(part));
    if let Some((own, _)) = site.names().find(|(own, _)| is_weighing(own)) {
        return refused(own, "its blocks weigh their channels (squeeze and excitation), and none do here");
    }
    let middle = format!("{first}.0.conv2.weight");
    if let Some(&[outputs, inputs, ..]) = shape(&middle)
        && inputs > 0
        && inputs < outputs
    {
        let why = format!("its convolutions are in {} groups, as in ResNeXt, and here each sees all channels", outputs / inputs);
        return refused(&middle, &why);
    }
    for own in SHORTCUTS.map(|shortcut| format!("{second}.0.{shortcut}.1.weight")) {
        if shape(&own).is_some_and(|shape| shape.len() == 4) {
            return refused(&own, "its shortcuts take means before they convolve, as in ResNet-D, and here they leave pixels out");
        }
    }
    if has(&format!("{bn1}.weight")) && !has(&format!("{bn1}.running_mean")) {
        let why = "it keeps no running statistics: its norms are over groups of channels or the like, and here they are over the batch";
        return refused(&format!("{bn1}.weight"), why);
    }
    Ok(())
}
