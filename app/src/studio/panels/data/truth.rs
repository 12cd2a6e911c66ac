//! The ground truth of an image in the colors that exported masks have.

use egui::{Color32, ColorImage};
use maskroom_core::dataset::{Dataset, LabelMap};
use maskroom_core::export::VOID;
use maskroom_core::export::index_png::voc_palette;

/// The mask of an image.
pub(super) struct Truth {
    /// Clear where there is background.
    pub(super) image: ColorImage,
    /// What is in it: names and colors, without background.
    pub(super) legend: Vec<(String, Color32)>,
}

/// Reads the classes of an image's pixels, or its objects where no classes are known. The error is a reason in plain words.
pub(super) fn read(dataset: &Dataset, index: usize, max_side: usize) -> Result<Option<Truth>, String> {
    let classes = dataset.truth(index).map_err(|error| error.to_string())?;
    let name_of = |label: usize| dataset.classes.get(label - 1).cloned().unwrap_or_else(|| format!("class {label}"));
    if let Some(map) = classes {
        return Ok(Some(paint(&map, max_side, name_of)));
    }
    let objects = dataset.instances(index).map_err(|error| error.to_string())?;
    Ok(objects.map(|map| paint(&map, max_side, |label| format!("object {label}"))))
}

fn paint(map: &LabelMap, max_side: usize, name_of: impl Fn(usize) -> String) -> Truth {
    let palette = voc_palette();
    let divisor = map.height.max(map.width).div_ceil(max_side.max(1)).max(1);
    let (height, width) = ((map.height / divisor).max(1), (map.width / divisor).max(1));
    let mut present = [false; 256];
    let mut rgba = Vec::with_capacity(height * width * 4);
    for row in 0..height {
        for column in 0..width {
            let label = usize::from(map.labels[row * divisor * map.width + column * divisor]);
            // Objects beyond the palette share its colors; 0 stays background.
            let color = if label == 0 { 0 } else { (label - 1) % 255 + 1 };
            present[color] = true;
            rgba.extend_from_slice(&palette[color]);
            rgba.push(if label == 0 { 0 } else { u8::MAX });
        }
    }
    let swatches = ColorImage::from_rgb([16, 16], palette.as_flattened()).pixels;
    let named = |label: usize| if label == usize::from(VOID) { "not judged".to_owned() } else { name_of(label) };
    let legend = (1..256).filter(|&label| present[label]).map(|label| (named(label), swatches[label])).collect();
    Truth { image: ColorImage::from_rgba_unmultiplied([width, height], &rgba), legend }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_the_colors_of_exported_masks() {
        let map = LabelMap { height: 2, width: 2, labels: vec![0, 1, 2, 255] };
        let truth = paint(&map, 100, |label| format!("class {label}"));
        let pixels: Vec<[u8; 4]> = truth.image.pixels.iter().map(|pixel| pixel.to_array()).collect();
        assert_eq!(pixels, [[0; 4], [128, 0, 0, 255], [0, 128, 0, 255], [224, 224, 192, 255]]);
        let names: Vec<&str> = truth.legend.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["class 1", "class 2", "not judged"]);
        let large = LabelMap { height: 4, width: 8, labels: vec![3; 32] };
        assert_eq!(paint(&large, 4, |_| String::new()).image.size, [4, 2]);
    }
}
