//! How large the images of a Swin are, which its tensors hardly say: tables of positions and stored masks may, settings may, and else what
//! is usual for its windows.

use super::super::listing::Listing;
use super::super::site::Site;
use super::shape;
use crate::backbone::window::side_within;

/// Where the size of images was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// Windows that are smaller in late stages are as large as their maps.
    Tables,
    /// There is a mask for every window of a map.
    Masks,
    /// The file says it.
    Settings,
    /// The last map is one window.
    Usual,
}

/// Larger images are none.
const LARGEST: usize = 8192;
/// What the size is called in settings of Swin, SimMIM, timm and others.
const KEYS: [&str; 4] = ["IMG_SIZE", "img_size", "image_size", "input_size"];

/// The side of square images, for windows of these `sides` in each stage; `None` if there are no such images.
pub(super) fn side(site: &Site, listing: &Listing, sides: &[usize], patch: usize) -> Option<(usize, Source)> {
    let (&first, &last) = (sides.first()?, sides.last()?);
    let smaller = sides.iter().enumerate().find(|(_, side)| **side < first);
    let found = [
        (smaller.map(|(stage, side)| (patch * side) << stage), Source::Tables),
        (masked(site, listing, sides, patch), Source::Masks),
        (KEYS.into_iter().find_map(|key| listing.count(key)), Source::Settings),
        (Some((patch * last) << (sides.len() - 1)), Source::Usual),
    ];
    let mut found = found.into_iter().filter_map(|(image, source)| Some((image?, source)));
    found.find(|(image, _)| fits(*image, sides, patch))
}

/// What the masks of a shifted block say.
fn masked(site: &Site, listing: &Listing, sides: &[usize], patch: usize) -> Option<usize> {
    sides.iter().enumerate().find_map(|(stage, &side)| {
        let &[count, area, _] = shape(site, listing, &format!("layers.{stage}.blocks.1.attn_mask"))? else { return None };
        let across = count.isqrt();
        (area == side * side && across * across == count && across <= LARGEST).then_some((patch * across * side) << stage)
    })
}

/// Whether every stage's map divides into windows of just its side.
fn fits(image: usize, sides: &[usize], patch: usize) -> bool {
    let (last, window) = (sides.len() - 1, sides[0]);
    let of_stage = |(stage, &side): (usize, &usize)| {
        let map = (image / patch) >> stage;
        side_within([map; 2], window) == side && map.is_multiple_of(side)
    };
    image <= LARGEST && image.is_multiple_of(patch << last) && sides.iter().enumerate().all(of_stage)
}
