//! Pixels of a mask against pixels of annotated objects: the counting under the Jaccard index.

/// The label of pixels that annotators left undecided.
pub(super) const VOID: u8 = 255;

/// Annotated pixels: 0 = background, 255 = void, anything else a class. `[H, W]`, row by row.
#[derive(Debug, Clone, Copy)]
pub struct LabelMap<'a> {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// One label a pixel.
    pub labels: &'a [u8],
}

/// What happens to void pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Void {
    /// They count nowhere.
    #[default]
    Excluded,
    /// They are no part of any object, so a mask pays for covering them: DINO's snippet as written.
    InUnion,
}

/// What counts as an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Objects {
    /// Every class in an image is one object.
    #[default]
    Classes,
    /// Everything that is not background is one object.
    Foreground,
}

/// Ground truth as runs of equal labels, so that masks are counted run by run.
pub(super) struct Truth {
    pub height: usize,
    pub width: usize,
    /// (end, slot): slot 0 is background and void pixels that count, 1.. the objects, the last void pixels that do not.
    runs: Vec<(usize, usize)>,
    /// Pixels of each object.
    pub objects: Vec<usize>,
    /// Pixels that count.
    pixels: usize,
}

/// A mask against the objects of an image.
pub(super) struct Overlap {
    /// The Jaccard index with each object.
    pub per_object: Vec<f64>,
    /// The share of the pixels that count which the mask keeps.
    pub kept_share: f64,
}

impl Truth {
    /// Finds the objects of a label map that has as many labels as its size says.
    pub fn new(map: LabelMap<'_>, objects: Objects, void: Void) -> Self {
        let mut areas = [0_usize; 256];
        let group = |label: u8| match objects {
            Objects::Foreground if label != 0 && label != VOID => 1,
            _ => label,
        };
        map.labels.iter().for_each(|&label| areas[usize::from(group(label))] += 1);
        let present: Vec<u8> = (1..VOID).filter(|&label| areas[usize::from(label)] > 0).collect();
        let mut slots = [0; 256];
        present.iter().zip(1..).for_each(|(&label, slot)| slots[usize::from(label)] = slot);
        let mut pixels = map.labels.len();
        if void == Void::Excluded {
            slots[usize::from(VOID)] = present.len() + 1;
            pixels -= areas[usize::from(VOID)];
        }
        let mut end = 0;
        let runs = map.labels.chunk_by(|a, b| a == b).map(|run| {
            end += run.len();
            (end, slots[usize::from(group(run[0]))])
        });
        let runs = runs.collect();
        Self {
            height: map.height,
            width: map.width,
            runs,
            objects: present.iter().map(|&label| areas[usize::from(label)]).collect(),
            pixels,
        }
    }

    /// The share of the pixels that count which each object covers.
    pub fn area_shares(&self) -> impl Iterator<Item = f64> {
        self.objects.iter().map(|&area| area as f64 / self.pixels as f64)
    }

    /// Compares a mask of the same size.
    pub fn overlap(&self, mask: &[bool]) -> Overlap {
        let mut kept = vec![0_usize; self.objects.len() + 2];
        let mut start = 0;
        for &(end, slot) in &self.runs {
            kept[slot] += count(&mask[start..end]);
            start = end;
        }
        let total: usize = kept[..=self.objects.len()].iter().sum();
        let per_object =
            self.objects.iter().zip(&kept[1..]).map(|(&area, &inside)| inside as f64 / (area + total - inside) as f64).collect();
        Overlap { per_object, kept_share: total as f64 / self.pixels as f64 }
    }
}

/// Pixels that are kept; bytes are summed in lanes that cannot overflow, which compiles to vector code.
fn count(mask: &[bool]) -> usize {
    mask.chunks(255).map(|chunk| usize::from(chunk.iter().fold(0_u8, |sum, &kept| sum + u8::from(kept)))).sum()
}

/// A box in the middle with the image's shape and that share of its area, to whole pixels.
pub(super) fn centered_box(height: usize, width: usize, share: f64) -> Vec<bool> {
    let sides = [height, width].map(|side| (side as f64 * share.sqrt()).round() as usize);
    let [top, left] = [(height - sides[0].min(height)) / 2, (width - sides[1].min(width)) / 2];
    let mut mask = vec![false; height * width];
    for row in top..top + sides[0].min(height) {
        mask[row * width + left..][..sides[1].min(width)].fill(true);
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_centered_and_have_the_area() {
        let middle = centered_box(375, 500, 0.6);
        assert!((count(&middle) as f64 / (375.0 * 500.0) - 0.6).abs() < 0.005);
        assert_eq!(centered_box(4, 4, 0.25), ".....##..##.....".bytes().map(|byte| byte == b'#').collect::<Vec<_>>());
        assert_eq!(count(&centered_box(3, 5, 1.0)), 15);
        assert_eq!(count(&centered_box(3, 5, 0.0)), 0);
        assert_eq!(count(&vec![true; 1000]), 1000);
    }
}
