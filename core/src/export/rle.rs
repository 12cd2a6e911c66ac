//! COCO's run-length encoding of masks, column by column, with its compressed strings (`maskApi.c` of cocoapi is the reference), and
//! a decoder that accepts nothing inconsistent.

use super::masks::MAX_PIXELS;

/// A mask as alternating runs of zeros and ones, zeros first, down the columns; the first run may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rle {
    height: usize,
    width: usize,
    counts: Vec<u32>,
}

impl Rle {
    /// Encodes a mask `[height, width]`, row by row; `None` if it has another number of pixels or more than [`MAX_PIXELS`].
    pub fn from_mask(mask: &[bool], height: usize, width: usize) -> Option<Self> {
        if checked_pixels(height, width).ok()? != mask.len() {
            return None;
        }
        let mut counts = Vec::new();
        let (mut current, mut run) = (false, 0);
        for column in 0..width {
            for row in 0..height {
                let pixel = mask[row * width + column];
                if pixel != current {
                    counts.push(run);
                    (current, run) = (pixel, 0);
                }
                run += 1;
            }
        }
        counts.push(run);
        Some(Self { height, width, counts })
    }

    /// Takes uncompressed counts.
    ///
    /// # Errors
    /// A clause that says why they are not a mask of that size.
    pub fn from_counts(counts: Vec<u32>, height: usize, width: usize) -> Result<Self, String> {
        let pixels = checked_pixels(height, width)? as u64;
        let sum: u64 = counts.iter().map(|&count| u64::from(count)).sum();
        if sum != pixels {
            return Err(format!("its runs cover {sum} pixels instead of {height}x{width} = {pixels}"));
        }
        Ok(Self { height, width, counts })
    }

    /// Decodes a compressed string.
    ///
    /// # Errors
    /// A clause that says why it is not a mask of that size: a foreign character, a torn or over-long number, a negative run, or runs
    /// that do not cover the mask exactly.
    pub fn from_compressed(text: &str, height: usize, width: usize) -> Result<Self, String> {
        let pixels = checked_pixels(height, width)? as i64;
        let mut counts: Vec<u32> = Vec::new();
        let (mut value, mut shift, mut left) = (0_i64, 0, pixels);
        for (at, byte) in text.bytes().enumerate() {
            let Some(bits) = byte.checked_sub(48).filter(|&bits| bits < 64) else {
                return Err(format!("character {at} of its counts is not one of run-length encoding"));
            };
            if shift > 30 {
                return Err(format!("the number that ends at character {at} of its counts is too long"));
            }
            value |= i64::from(bits & 0x1f) << shift;
            shift += 5;
            if bits & 0x20 != 0 {
                continue;
            }
            if bits & 0x10 != 0 {
                value |= -1 << shift;
            }
            if counts.len() > 2 {
                value += i64::from(counts[counts.len() - 2]);
            }
            if !(0..=left).contains(&value) {
                return Err(format!("run {} of its counts is {value} where {left} pixels are left", counts.len()));
            }
            counts.push(value as u32);
            (left, value, shift) = (left - value, 0, 0);
        }
        if shift > 0 {
            return Err("its counts end within a number".to_owned());
        }
        if left > 0 {
            return Err(format!("its runs leave {left} of {height}x{width} pixels uncovered"));
        }
        Ok(Self { height, width, counts })
    }

    /// The compressed string: each run minus the one before the last (from the fourth on), five bits a character, low bits first.
    pub fn to_compressed(&self) -> String {
        let mut text = String::new();
        for (index, &count) in self.counts.iter().enumerate() {
            let mut value = i64::from(count);
            if index > 2 {
                value -= i64::from(self.counts[index - 2]);
            }
            loop {
                let bits = (value & 0x1f) as u8;
                value >>= 5;
                let more = if bits & 0x10 != 0 { value != -1 } else { value != 0 };
                text.push(char::from(bits + if more { 48 + 32 } else { 48 }));
                if !more {
                    break;
                }
            }
        }
        text
    }

    /// The mask, `[height, width]`, row by row.
    pub fn to_mask(&self) -> Vec<bool> {
        let mut mask = vec![false; self.height * self.width];
        for (start, end) in self.runs_of_ones() {
            for at in start..end {
                mask[at % self.height * self.width + at / self.height] = true;
            }
        }
        mask
    }

    /// The number of pixels in the mask.
    pub fn area(&self) -> usize {
        self.runs_of_ones().map(|(start, end)| end - start).sum()
    }

    /// The smallest box around the mask: left, top, width, height in pixels; all 0 if it is empty.
    pub fn bbox(&self) -> [usize; 4] {
        let (mut left, mut top, mut right, mut bottom) = (usize::MAX, usize::MAX, 0, 0);
        for (start, end) in self.runs_of_ones().filter(|(start, end)| start < end) {
            let (first, last) = (start / self.height, (end - 1) / self.height);
            (left, right) = (left.min(first), right.max(last + 1));
            // A run that goes on in the next column touches both the bottom and the top.
            let (from, to) = if first == last { (start % self.height, (end - 1) % self.height + 1) } else { (0, self.height) };
            (top, bottom) = (top.min(from), bottom.max(to));
        }
        if right == 0 { [0; 4] } else { [left, top, right - left, bottom - top] }
    }

    /// Rows and columns.
    pub fn size(&self) -> [usize; 2] {
        [self.height, self.width]
    }

    /// The runs.
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// Where the runs of ones start and end, in column order.
    fn runs_of_ones(&self) -> impl Iterator<Item = (usize, usize)> {
        let mut at = 0;
        self.counts.iter().enumerate().filter_map(move |(index, &count)| {
            let start = at;
            at += count as usize;
            (index % 2 == 1).then_some((start, at))
        })
    }
}

fn checked_pixels(height: usize, width: usize) -> Result<usize, String> {
    let pixels = height.checked_mul(width).filter(|&pixels| pixels <= MAX_PIXELS);
    pixels.ok_or_else(|| format!("{height}x{width} pixels are more than {MAX_PIXELS}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Stream};

    type Pixel = fn(usize, usize) -> bool;

    /// Height, width, mask, counts, string, area, box.
    type Vector = (usize, usize, Pixel, Vec<u32>, &'static str, usize, [usize; 4]);

    /// The strings are those of pycocotools 2.0.11.
    fn vectors() -> Vec<Vector> {
        vec![
            (2, 3, |_, _| false, vec![6], "6", 0, [0, 0, 0, 0]),
            (2, 3, |_, _| true, vec![0, 6], "06", 6, [0, 0, 3, 2]),
            (2, 3, |y, x| x == 2 || (y == 0 && x == 1), vec![2, 1, 1, 2], "2111", 3, [1, 0, 2, 2]),
            (2, 2, |y, x| x == y, vec![0, 1, 2, 1], "0120", 2, [0, 0, 2, 2]),
            (4, 5, |y, x| (1..3).contains(&y) && (1..4).contains(&x), vec![5, 2, 2, 2, 2, 2, 5], "5220003", 6, [1, 1, 3, 2]),
            (
                40,
                40,
                |y, x| x == 0 || (y < 3 && x == 5) || (y >= 10 && x == 20),
                vec![0, 40, 160, 3, 607, 30, 760],
                "0X1P5kNo=k0i4",
                73,
                [0, 0, 21, 40],
            ),
            (
                1,
                200,
                |_, x| (50..60).contains(&x) || x == 100 || (150..199).contains(&x),
                vec![50, 10, 40, 1, 49, 49, 1],
                "b1:X1G9`1`N",
                60,
                [50, 0, 149, 1],
            ),
        ]
    }

    #[test]
    fn golden_vectors_of_pycocotools() {
        for (height, width, pixel, counts, text, area, bbox) in vectors() {
            let mask: Vec<bool> = (0..height * width).map(|i| pixel(i / width, i % width)).collect();
            let rle = Rle::from_mask(&mask, height, width).unwrap();
            assert_eq!(rle.counts, counts, "{text}");
            assert_eq!((rle.to_compressed().as_str(), rle.area(), rle.bbox()), (text, area, bbox));
            assert_eq!(Rle::from_compressed(text, height, width).unwrap(), rle);
            assert_eq!(rle.to_mask(), mask);
        }
    }

    #[test]
    fn a_large_rectangle_compresses_as_in_pycocotools() {
        let mask: Vec<bool> = (0..480 * 640).map(|i| (100..300).contains(&(i / 640)) && (200..500).contains(&(i % 640))).collect();
        let rle = Rle::from_mask(&mask, 480, 640).unwrap();
        assert_eq!(rle.to_compressed(), format!("Tkm2X6h8{}l`Q2", "0".repeat(597)));
        assert_eq!((rle.area(), rle.bbox()), (60_000, [200, 100, 300, 200]));
    }

    #[test]
    fn random_masks_survive() {
        for case in 0..300 {
            let mut stream = Stream::new(4, 0, case, Purpose::Mask);
            let (height, width, p) = (1 + stream.below(50), 1 + stream.below(50), stream.unit().powi(3));
            let mut pixel = false;
            let mask: Vec<bool> = (0..height * width)
                .map(|_| {
                    pixel ^= stream.chance(p);
                    pixel
                })
                .collect();
            let rle = Rle::from_mask(&mask, height, width).unwrap();
            let back = Rle::from_compressed(&rle.to_compressed(), height, width).unwrap();
            assert_eq!(back, rle, "case {case}");
            assert_eq!(back.to_mask(), mask);
            assert_eq!(back.area(), mask.iter().filter(|&&m| m).count());
            let inside = |i: &usize| mask[*i];
            let xs = (0..mask.len()).filter(inside).map(|i| i % width);
            let ys = (0..mask.len()).filter(inside).map(|i| i / width);
            if let (Some(left), Some(right), Some(top), Some(bottom)) = (xs.clone().min(), xs.max(), ys.clone().min(), ys.max()) {
                assert_eq!(back.bbox(), [left, top, right - left + 1, bottom - top + 1]);
            }
        }
    }

    #[test]
    fn inconsistent_strings_are_refused() {
        for (text, height, width, says) in [
            ("6", 3, 3, "leave 3"),
            ("6", 2, 2, "run 0"),
            ("", 2, 3, "leave 6"),
            ("2111", 3, 3, "leave 3"),
            ("6\u{7f}", 2, 3, "character 1"),
            ("6 ", 2, 3, "character 1"),
            ("ż", 2, 3, "character 0"),
            ("P", 2, 3, "within a number"),
            ("PPPPPPPPPPPPPPPPPPP1", 2, 3, "too long"),
            ("O", 2, 3, "run 0"),
            ("202O", 2, 4, "run 3"),
            ("6", usize::MAX, 2, "more than"),
            ("6", 1 << 20, 1 << 20, "more than"),
        ] {
            let error = Rle::from_compressed(text, height, width).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
        assert!(Rle::from_counts(vec![u32::MAX, u32::MAX], 2, 3).is_err());
        assert_eq!(Rle::from_counts(vec![2, 1, 1, 2], 2, 3).unwrap().to_compressed(), "2111");
        assert!(Rle::from_mask(&[true], 2, 1).is_none());
        assert_eq!(Rle::from_mask(&[], 0, 3).unwrap().to_compressed(), "0");
    }

    #[test]
    fn no_bytes_make_the_decoder_panic() {
        for case in 0..20_000 {
            let mut stream = Stream::new(5, 0, case, Purpose::Bench);
            let text: String = (0..stream.below(12)).map(|_| char::from(46 + stream.below(70) as u8)).collect();
            if let Ok(rle) = Rle::from_compressed(&text, 5, 7) {
                assert_eq!(rle.to_mask().len(), 35);
                assert_eq!(rle.to_mask().iter().filter(|&&m| m).count(), rle.area());
            }
        }
    }
}
