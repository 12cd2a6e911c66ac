//! Settings that nobody set and that follow from others, so that one change does not need three.

use super::resolve::Layer;
use crate::backbone::window::side_within;
use crate::knob::Value;

/// Fits what is not `said` to the rest: a packed pyramid's reductions and image, a Swin's window, SimMIM's units, and HOG's cells.
pub(super) fn fill_in(total: &mut Layer, said: &dyn Fn(&str) -> bool) {
    let packs = text(total, "backbone.tokens") == "compact";
    let shrunk = if packs { 2 } else { 1 };
    let Some(patch) = total.get("backbone.patch").and_then(Value::as_count).filter(|patch| (1..=256).contains(patch)) else { return };
    let stages = counts(total, "backbone.depths").len();
    if stages > 0 && !said("data.image") {
        let step = (patch * shrunk) << (stages - 1).min(16);
        let image = counts(total, "data.image").into_iter().map(|side| side.next_multiple_of(step).max(step));
        total.insert("data.image".into(), list(image));
    }
    if packs && !said("backbone.reductions") {
        // The map has half the side, so it needs half the reductions.
        let halved = counts(total, "backbone.reductions").into_iter().map(|side| (side / 2).max(1)).collect::<Vec<_>>();
        if !halved.is_empty() {
            total.insert("backbone.reductions".into(), list(halved));
        }
    }
    if text(total, "target.kind") == "hog" && !said("target.cell") {
        let unit = if packs { patch << stages.saturating_sub(2).min(16) } else { patch };
        total.insert("target.cell".into(), Value::Int(if unit % HOG_CELL == 0 { HOG_CELL } else { unit } as i64));
    }
    let [height, width] = counts(total, "data.image")[..] else { return };
    if let (true, Some(window)) = (text(total, "backbone.kind") == "swin" && !said("backbone.window"), count(total, "backbone.window")) {
        let maps: Vec<[usize; 2]> = (0..stages.min(16)).map(|stage| [height, width].map(|side| (side / patch / shrunk) >> stage)).collect();
        if let Some(fitting) = nearest_window(&maps, window) {
            total.insert("backbone.window".into(), Value::Int(fitting as i64));
        }
    }
    if text(total, "mask.kind") == "patch_aligned" && !said("mask.unit") && !said("mask.unit_px") {
        let unit = [32, 16, 8].into_iter().find(|&unit| {
            unit % patch == 0 && [height, width].iter().all(|side| side.is_multiple_of(unit)) && height.min(width) / unit >= FEWEST_UNITS
        });
        total.remove("mask.unit_px");
        total.insert("mask.unit".into(), Value::Int((unit.unwrap_or(patch) / patch) as i64));
    }
}

/// The side of HOG's cells in MaskFeat, in pixels.
const HOG_CELL: usize = 8;
/// Units along the shorter side below which masking is too coarse to be random.
const FEWEST_UNITS: usize = 4;

/// The window nearest to `wanted` into which every map divides.
fn nearest_window(maps: &[[usize; 2]], wanted: usize) -> Option<usize> {
    let largest = maps.first()?.iter().copied().min()?.min(256);
    let fits = |window: &usize| maps.iter().flatten().all(|&side| side > 0) && maps.iter().all(|map| divides(*map, *window));
    (1..=largest).filter(fits).min_by_key(|&window| (window.abs_diff(wanted), usize::MAX - window))
}

fn divides(map: [usize; 2], window: usize) -> bool {
    map.iter().all(|side| side.is_multiple_of(side_within(map, window)))
}

fn text<'a>(layer: &'a Layer, key: &str) -> &'a str {
    layer.get(key).and_then(Value::as_text).unwrap_or_default()
}

fn count(layer: &Layer, key: &str) -> Option<usize> {
    layer.get(key).and_then(Value::as_count)
}

fn counts(layer: &Layer, key: &str) -> Vec<usize> {
    match layer.get(key) {
        Some(Value::Ints(list)) => list.iter().filter_map(|&count| usize::try_from(count).ok()).collect(),
        Some(&Value::Int(side)) => usize::try_from(side).map(|side| vec![side; 2]).unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn list(counts: impl IntoIterator<Item = usize>) -> Value {
    Value::Ints(counts.into_iter().map(|count| count as i64).collect())
}
