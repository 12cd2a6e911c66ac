//! Independent readers of the files that the product writes, made from the formats' definitions and not from the product's code.

use std::collections::BTreeMap;
use std::path::Path;

use image::RgbImage;
use serde_json::Value;

/// A NumPy file.
#[derive(Debug, PartialEq)]
pub struct Npy {
    /// NumPy's name of the type: `|b1`, `<f4`.
    pub descr: String,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// The values' bytes.
    pub bytes: Vec<u8>,
}

/// Reads a `.npy` file, strictly: version 1.0, C order, an aligned header, and exactly as many bytes as the shape says.
pub fn npy(path: &Path) -> Npy {
    let file = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(&file[..8], b"\x93NUMPY\x01\x00", "magic and version");
    let end = 10 + usize::from(u16::from_le_bytes([file[8], file[9]]));
    assert!(end.is_multiple_of(64), "the data must start at a multiple of 64, not {end}");
    let header = std::str::from_utf8(&file[10..end]).expect("the header is text");
    assert!(header.ends_with('\n'), "the header ends its line");
    let entry = |key: &str| {
        let (_, rest) = header.split_once(&format!("'{key}':")).unwrap_or_else(|| panic!("no {key} in {header}"));
        rest.trim_start().to_owned()
    };
    assert!(entry("fortran_order").starts_with("False"), "{header}");
    let descr = entry("descr").split('\'').nth(1).expect("a type").to_owned();
    let sides = entry("shape");
    let sides = sides.strip_prefix('(').and_then(|rest| rest.split(')').next()).expect("a tuple");
    let shape: Vec<usize> =
        sides.split(',').map(str::trim).filter(|side| !side.is_empty()).map(|side| side.parse().expect("a side")).collect();
    let bytes = file[end..].to_vec();
    let size: usize = descr[2..].parse().expect("bytes of a value");
    assert_eq!(bytes.len(), shape.iter().product::<usize>() * size, "{header}");
    Npy { descr, shape, bytes }
}

impl Npy {
    /// The values of a bool file.
    pub fn bools(&self) -> Vec<bool> {
        assert_eq!(self.descr, "|b1");
        self.bytes.iter().map(|&byte| if byte < 2 { byte == 1 } else { panic!("{byte} is no bool") }).collect()
    }

    /// The values of a file of single-precision numbers.
    pub fn floats(&self) -> Vec<f32> {
        assert_eq!(self.descr, "<f4");
        self.bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four bytes"))).collect()
    }
}

/// Writes a bool `.npy` file as NumPy does.
pub fn write_bools(path: &Path, shape: &[usize], values: &[bool]) {
    let sides: String = shape.iter().map(|side| format!("{side}, ")).collect();
    let mut header = format!("{{'descr': '|b1', 'fortran_order': False, 'shape': ({}), }}", sides.trim_end());
    header.push_str(&" ".repeat(127 - 10 - header.len()));
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values.iter().map(|&value| u8::from(value)));
    std::fs::write(path, bytes).expect("a new file");
}

/// A tensor of a safetensors file.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// The values, row-major.
    pub values: Vec<f32>,
}

impl Tensor {
    /// The values of one place in the outer dimensions: `row(&[image, head])`.
    pub fn row(&self, place: &[usize]) -> &[f32] {
        let inner: usize = self.shape[place.len()..].iter().product();
        let flat = place.iter().zip(&self.shape).fold(0, |flat, (&index, &side)| {
            assert!(index < side, "{place:?} of {:?}", self.shape);
            flat * side + index
        });
        &self.values[flat * inner..(flat + 1) * inner]
    }
}

/// All tensors of a safetensors file; they must be single-precision numbers.
pub fn tensors(path: &Path) -> BTreeMap<String, Tensor> {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let tensor = |view: &safetensors::tensor::TensorView<'_>| {
        assert_eq!(view.dtype(), safetensors::Dtype::F32);
        let values = view.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four bytes"))).collect();
        Tensor { shape: view.shape().to_vec(), values }
    };
    file.iter().map(|(name, view)| (name.to_owned(), tensor(&view))).collect()
}

/// The one tensor `name` of a safetensors file.
#[track_caller]
pub fn tensor(path: &Path, name: &str) -> Tensor {
    tensors(path).remove(name).unwrap_or_else(|| panic!("no {name} in {}", path.display()))
}

/// The metadata of a safetensors file.
pub fn metadata(path: &Path) -> BTreeMap<String, String> {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).expect("a header");
    header.metadata().clone().unwrap_or_default().into_iter().collect()
}

/// A picture as RGB.
#[track_caller]
pub fn rgb(path: &Path) -> RgbImage {
    image::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into_rgb8()
}

/// Whether a PNG stores indices into a palette: color type 3 in its header.
pub fn has_palette(path: &Path) -> bool {
    std::fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"\x89PNG") && bytes[25] == 3)
}

/// Where a picture shows another, pixels repeated `scale` times: `(left, top, scale)`. Shades may differ by one.
pub fn find_inside(picture: &RgbImage, part: &RgbImage) -> Option<(u32, u32, u32)> {
    let places = (1..=8).flat_map(|scale| {
        let (right, bottom) = (picture.width().checked_sub(part.width() * scale), picture.height().checked_sub(part.height() * scale));
        let places =
            right.zip(bottom).map(|(right, bottom)| (0..=bottom).flat_map(move |top| (0..=right).map(move |left| (left, top, scale))));
        places.into_iter().flatten()
    });
    places.into_iter().find(|&(left, top, scale)| {
        part.enumerate_pixels().all(|(x, y, pixel)| near(picture.get_pixel(left + x * scale + scale - 1, top + y * scale), pixel))
    })
}

/// Whether two colors differ by no more than rounding.
pub fn near(a: &image::Rgb<u8>, b: &image::Rgb<u8>) -> bool {
    (0..3).all(|channel| a[channel].abs_diff(b[channel]) <= 1)
}

/// An image as the network sees it, normalized by ImageNet's figures and cut into patches: `[N][P·P·3]`, patch vectors in the order row,
/// column, channel. Sides must be multiples of `patch`.
pub fn patches(picture: &RgbImage, patch: u32) -> Vec<Vec<f64>> {
    const MEAN: [f64; 3] = [0.485, 0.456, 0.406];
    const STD: [f64; 3] = [0.229, 0.224, 0.225];
    let (rows, cols) = (picture.height() / patch, picture.width() / patch);
    let value = |x: u32, y: u32, channel: usize| (f64::from(picture.get_pixel(x, y)[channel]) / 255.0 - MEAN[channel]) / STD[channel];
    let inside = |row: u32, col: u32| {
        let pixels = (0..patch).flat_map(move |y| (0..patch).map(move |x| (col * patch + x, row * patch + y)));
        pixels.flat_map(|(x, y)| [0, 1, 2].map(|channel| value(x, y, channel))).collect()
    };
    (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col))).map(|(row, col)| inside(row, col)).collect()
}

/// A patch minus its mean, over the root of its unbiased variance plus 1e-6 (MAE's `norm_pix_loss`).
pub fn norm_pix(patch: &[f64]) -> Vec<f64> {
    let count = patch.len() as f64;
    let mean = patch.iter().sum::<f64>() / count;
    let variance = patch.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    patch.iter().map(|value| (value - mean) / (variance + 1e-6).sqrt()).collect()
}

/// The mask `[H·W]`, row-major, of COCO's compressed run-length encoding (`maskApi.c`, `rleFrString`).
pub fn mask_from_rle(segmentation: &Value) -> Vec<bool> {
    let side = |index: usize| segmentation["size"][index].as_u64().expect("a side") as usize;
    let (height, width) = (side(0), side(1));
    let mut text = segmentation["counts"].as_str().expect("compressed counts").bytes().map(|byte| i64::from(byte) - 48).peekable();
    let mut counts: Vec<i64> = Vec::new();
    while text.peek().is_some() {
        let (mut value, mut shift) = (0, 0);
        loop {
            let digit = text.next().expect("a whole number");
            value |= (digit & 0x1f) << shift;
            shift += 5;
            if digit & 0x20 == 0 {
                if digit & 0x10 != 0 {
                    value |= -1 << shift;
                }
                break;
            }
        }
        let before = if counts.len() > 2 { counts[counts.len() - 2] } else { 0 };
        counts.push(value + before);
    }
    let by_column: Vec<bool> = counts
        .iter()
        .enumerate()
        .flat_map(|(run, &length)| std::iter::repeat_n(run % 2 == 1, usize::try_from(length).expect("a length")))
        .collect();
    assert_eq!(by_column.len(), height * width);
    (0..height * width).map(|pixel| by_column[pixel % width * height + pixel / width]).collect()
}

/// The cells that hold the share `mass` of a map: from the weakest up, those are left out that together hold at most the rest.
pub fn strongest(map: &[f32], mass: f64) -> Vec<bool> {
    let mut order: Vec<usize> = (0..map.len()).collect();
    order.sort_by(|&a, &b| map[a].total_cmp(&map[b]).then(a.cmp(&b)));
    let total: f64 = map.iter().map(|&value| f64::from(value)).sum();
    let mut kept = vec![true; map.len()];
    let mut sum = 0.0;
    for cell in order {
        sum += f64::from(map[cell]) / total;
        kept[cell] = sum > 1.0 - mass;
    }
    kept
}

/// Cells of a grid brought to pixels: each pixel takes the cell that its center lies in.
pub fn nearest(cells: &[bool], (rows, cols): (usize, usize), (height, width): (usize, usize)) -> Vec<bool> {
    let cell = |pixel: usize, pixels: usize, cells: usize| ((pixel as f64 + 0.5) / pixels as f64 * cells as f64) as usize;
    (0..height * width).map(|pixel| cells[cell(pixel / width, height, rows) * cols + cell(pixel % width, width, cols)]).collect()
}
