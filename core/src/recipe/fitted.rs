//! Settings that nobody set and that follow from others, so that one change does not need three.

use super::resolve::Layer;
use crate::backbone::window::nearest_window;
use crate::knob::{LONGEST, Value};
use crate::target::features::AVERAGE;

/// Fits what is not `said` to the rest: a packed pyramid's reductions, class token and image, a Swin's window, SimMIM's units, MaskFeat's
/// blocks, HOG's cells, local views, and what a network predicts of itself.
pub(super) fn fill_in(total: &mut Layer, said: &dyn Fn(&str) -> bool) {
    let packs = text(total, "backbone.tokens") == "compact";
    let shrunk = if packs { 2 } else { 1 };
    let Some(patch) = total.get("backbone.patch").and_then(Value::as_count).filter(|patch| (1..=256).contains(patch)) else { return };
    let stages = counts(total, "backbone.depths").len();
    if stages > LONGEST {
        // Refused for its own length; images fitted to it would be complained about first.
        return;
    }
    if stages > 0 && !said("data.image") {
        let step = (patch * shrunk) << (stages - 1);
        let image = counts(total, "data.image").into_iter().map(|side| side.next_multiple_of(step).max(step));
        total.insert("data.image".into(), list(image));
    }
    if packs && text(total, "backbone.kind") == "pvt" && !said("backbone.class_token") {
        total.insert("backbone.class_token".into(), Value::Bool(false));
    }
    if packs && !said("backbone.reductions") {
        // The map has half the side, so it needs half the reductions.
        let halved = counts(total, "backbone.reductions").into_iter().map(|side| (side / 2).max(1)).collect::<Vec<_>>();
        if !halved.is_empty() {
            total.insert("backbone.reductions".into(), list(halved));
        }
    }
    if text(total, "target.kind") == "features" && text(total, "target.teacher") == AVERAGE {
        // Of itself, a network predicts as many numbers as it has.
        if let (Some(width), false) = (count(total, "backbone.width"), said("target.width")) {
            total.insert("target.width".into(), Value::Int(width as i64));
        }
        if let (Some(depth), Some(layers), false) = (count(total, "backbone.depth"), count(total, "target.layers"), said("target.layers")) {
            total.insert("target.layers".into(), Value::Int(layers.min(depth).max(1) as i64));
        }
    }
    if text(total, "target.kind") == "hog" && !said("target.cell") {
        let unit = if packs { patch << stages.saturating_sub(2) } else { patch };
        total.insert("target.cell".into(), Value::Int(if unit % HOG_CELL == 0 { HOG_CELL } else { unit } as i64));
    }
    let [height, width] = counts(total, "data.image")[..] else { return };
    if text(total, "method") == "maskfeat" && text(total, "mask.kind") == "block" && !said("mask.min_block") {
        let ratio = total.get("mask.ratio").and_then(Value::as_float).unwrap_or_default();
        let of_ratio = ((height / patch * (width / patch)) as f64 * ratio).round_ties_even() as i64;
        let masked = count(total, "mask.masked").filter(|&masked| masked > 0).map_or(of_ratio, |masked| masked as i64);
        total.insert("mask.min_block".into(), Value::Int((masked / 5).max(1)));
    }
    if !said("augment.local_image") {
        // As large a part of the image as 96 px are of 224.
        let side = |side: usize| ((side * 3 / 7 + patch / 2) / patch).max(2).max(FEWEST_PIXELS.div_ceil(patch)) * patch;
        total.insert("augment.local_image".into(), list([side(height), side(width)]));
    }
    if let (true, Some(window)) = (text(total, "backbone.kind") == "swin" && !said("backbone.window"), count(total, "backbone.window")) {
        let maps: Vec<[usize; 2]> = (0..stages).map(|stage| [height, width].map(|side| (side / patch / shrunk) >> stage)).collect();
        // Whole maps may be filled up, which is better than windows that hold next to nothing.
        if let Some(fitting) = nearest_window(&maps, window).filter(|&fitting| packs || 2 * fitting >= window) {
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
/// Least side of a local view, in pixels.
const FEWEST_PIXELS: usize = 8;
/// Units along the shorter side below which masking is too coarse to be random.
const FEWEST_UNITS: usize = 4;

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
