//! The JPEGs that nearly all files are: baseline, one scan, gray or color at full or half resolution. They are decoded here, for two reasons: only
//! the part that a crop needs is transformed and made into pixels, and coefficients are read faster. The pixels are those of the decoder for
//! all other files, number for number, and so is the verdict: what is unusual or damaged here is left to it.

use std::cell::RefCell;
use std::ops::Range;

use super::colors::{mix_rows, widen, write_rgb};
use super::entropy::{Bits, Codes, Coding, read_block, unstuff};
use super::transform::{flat_sample, samples};
use super::{Header, Segment};
use crate::augment::CropBox;
use crate::dataset::picture::{Picture, Pixels};
use crate::kernel::simd::{Job, vectorized};

/// A part of an image, in pixels or units.
struct Part {
    rows: Range<usize>,
    columns: Range<usize>,
}

/// The pixels of a part that lies within the image; nothing when this is not such a file, or any of it is damaged.
pub(super) fn decode(header: &Header<'_>, part: CropBox) -> Option<Picture> {
    let part = Part { rows: part.top..part.top + part.height, columns: part.left..part.left + part.width };
    let frame = Frame::read(header)?;
    WORKPLACE.with_borrow_mut(|workplace| {
        let picture = vectorized(Decoding { frame, part, scan: header.scan, workplace });
        if workplace.planes.iter().map(Vec::len).sum::<usize>() > MOST_KEPT {
            *workplace = Workplace::default();
        }
        picture
    })
}

/// Most bytes of samples that a thread keeps the memory of: enough for the part of a large photo, but not for the largest.
const MOST_KEPT: usize = 32 << 20;

thread_local! {
    /// Each thread keeps its memory from file to file.
    static WORKPLACE: RefCell<Workplace> = RefCell::default();
}

#[derive(Default)]
struct Workplace {
    entropy_coded: Vec<u8>,
    /// The samples of each component.
    planes: [Vec<u8>; 3],
    /// Rows of color: one at half, two at full resolution.
    rows: [Vec<u8>; 3],
}

struct Component {
    id: u8,
    /// How many blocks of it a unit has, across and down.
    across: usize,
    down: usize,
    /// The places of its tables.
    quantization: usize,
    dc: usize,
    ac: usize,
}

/// What the markers say of the only frame.
struct Frame {
    height: usize,
    width: usize,
    components: Vec<Component>,
    /// What coefficients are multiplied by, in the coded order.
    quantizations: [Option<[i32; 64]>; 4],
    dc: [Option<Codes>; 4],
    ac: [Option<Codes>; 4],
    /// Units between two restart markers; 0: there are none.
    restart: usize,
}

impl Frame {
    fn read(header: &Header<'_>) -> Option<Self> {
        let mut frame = Self {
            height: header.height,
            width: header.width,
            components: Vec::new(),
            quantizations: [None; 4],
            dc: [const { None }; 4],
            ac: [const { None }; 4],
            restart: 0,
        };
        let mut scans = 0;
        for &Segment { marker, bytes } in &header.segments {
            // Tables that come after the scan are not those it is read with.
            if scans > 0 && !matches!(marker, 0xE0..=0xEF | 0xFE) {
                return None;
            }
            match marker {
                0xC0 | 0xC1 => frame.components = components(bytes)?,
                0xC2..=0xCF if marker != 0xC4 => return None,
                0xC4 => frame.read_codes(bytes)?,
                0xDB => frame.read_quantization(bytes)?,
                0xDD => frame.restart = usize::from(u16::from_be_bytes(bytes.try_into().ok()?)),
                0xDA => {
                    scans += 1;
                    frame.begin_scan(bytes)?;
                }
                // The color is as usual, or as Adobe's marker says; `1` says that it is as usual.
                0xEE if bytes.starts_with(b"Adobe") && bytes.get(11) != Some(&1) => return None,
                0xDC | 0xDE | 0xDF => return None,
                _ => {}
            }
        }
        (scans == 1 && frame.height > 0 && frame.width > 0).then_some(frame)
    }

    fn read_codes(&mut self, mut bytes: &[u8]) -> Option<()> {
        while let [place, rest @ ..] = bytes {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let (symbols, rest) = rest.split_at_checked(counts.iter().map(|&count| usize::from(count)).sum())?;
            let class = match place >> 4 {
                // Means have no runs.
                0 if symbols.iter().all(|&symbol| symbol < 16) => &mut self.dc,
                1 => &mut self.ac,
                _ => return None,
            };
            *class.get_mut(usize::from(place & 15))? = Some(Codes::new(counts, symbols)?);
            bytes = rest;
        }
        Some(())
    }

    fn read_quantization(&mut self, mut bytes: &[u8]) -> Option<()> {
        while let [place, rest @ ..] = bytes {
            let (steps, rest) = rest.split_first_chunk::<64>()?;
            *self.quantizations.get_mut(usize::from(*place))? = Some(steps.map(i32::from));
            bytes = rest;
        }
        Some(())
    }

    /// The scan must hold all components in the order of the frame, whole.
    fn begin_scan(&mut self, bytes: &[u8]) -> Option<()> {
        let (&count, rest) = bytes.split_first()?;
        let (selectors, end) = rest.split_at_checked(2 * usize::from(count))?;
        if usize::from(count) != self.components.len() || end != [0, 63, 0] {
            return None;
        }
        for (component, selector) in self.components.iter_mut().zip(selectors.chunks_exact(2)) {
            if selector[0] != component.id {
                return None;
            }
            (component.dc, component.ac) = (usize::from(selector[1] >> 4), usize::from(selector[1] & 15));
        }
        Some(())
    }
}

/// Gray, or three components of which the last two have one block for each one, two or four blocks of the first.
fn components(bytes: &[u8]) -> Option<Vec<Component>> {
    let (&[8, _, _, _, _, count], rest) = bytes.split_first_chunk::<6>()? else { return None };
    let component = |entry: &[u8; 3]| Component {
        id: entry[0],
        across: usize::from(entry[1] >> 4),
        down: usize::from(entry[1] & 15),
        quantization: usize::from(entry[2]),
        dc: 0,
        ac: 0,
    };
    let all: Vec<Component> = rest.as_chunks().0.iter().map(component).collect();
    let is_usual = match &all[..] {
        [gray] => (gray.across, gray.down) == (1, 1),
        [luma, blue, red] => {
            let is_whole = |component: &Component| (component.across, component.down) == (1, 1);
            let ids = [luma.id, blue.id, red.id];
            // By these letters some programs mean that the components are red, green and blue.
            let is_distinct = ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2] && ids != *b"RGB";
            matches!((luma.across, luma.down), (1 | 2, 1 | 2)) && is_whole(blue) && is_whole(red) && is_distinct
        }
        _ => false,
    };
    (is_usual && all.len() == usize::from(count)).then_some(all)
}

/// The decoding of a part of a frame.
struct Decoding<'a> {
    frame: Frame,
    part: Part,
    scan: &'a [u8],
    workplace: &'a mut Workplace,
}

impl Job for Decoding<'_> {
    type Output = Option<Picture>;

    #[inline(always)]
    fn run(self) -> Option<Picture> {
        let Self { frame, part, scan, workplace } = self;
        let first = frame.components.first()?;
        let (unit_height, unit_width) = (8 * first.down, 8 * first.across);
        // Color is interpolated from its neighbors.
        let units = Part {
            rows: part.rows.start.saturating_sub(2) / unit_height..(part.rows.end + 2).min(frame.height).div_ceil(unit_height),
            columns: part.columns.start.saturating_sub(2) / unit_width..(part.columns.end + 2).min(frame.width).div_ceil(unit_width),
        };
        for (plane, component) in workplace.planes.iter_mut().zip(&frame.components) {
            plane.resize(units.rows.len() * units.columns.len() * component.across * component.down * 64, 0);
        }
        read_planes(&frame, &units, scan, workplace)?;
        let origin = (units.rows.start * unit_height, units.columns.start * unit_width);
        let area = Part {
            rows: part.rows.start - origin.0..part.rows.end - origin.0,
            columns: part.columns.start - origin.1..part.columns.end - origin.1,
        };
        assemble(&frame, &area, units.columns.len() * unit_width, workplace)
    }
}

/// Reads the whole scan, and transforms the blocks of `units`.
#[inline(always)]
fn read_planes(frame: &Frame, units: &Part, scan: &[u8], workplace: &mut Workplace) -> Option<()> {
    let pieces = unstuff(scan, &mut workplace.entropy_coded)?;
    let (first, num_units) = (frame.components.first()?, units.columns.len());
    let (down, across) = (frame.height.div_ceil(8 * first.down), frame.width.div_ceil(8 * first.across));
    let per_piece = if frame.restart == 0 { down * across } else { frame.restart };
    if pieces.len() != (down * across).div_ceil(per_piece) {
        return None;
    }
    let mut codings = Vec::with_capacity(3);
    for component in &frame.components {
        let (dc, ac) = (frame.dc.get(component.dc)?.as_ref()?, frame.ac.get(component.ac)?.as_ref()?);
        let quantization = frame.quantizations.get(component.quantization)?.as_ref()?;
        codings.push(Coding { dc, ac, quantization });
    }
    let mut block = [0; 64];
    for (number, piece) in pieces.iter().enumerate() {
        let mut bits = Bits::new(workplace.entropy_coded.get(piece.clone())?);
        let mut means = [0; 3];
        let begin = number * per_piece;
        for unit in begin..(begin + per_piece).min(down * across) {
            let (row, column) = (unit / across, unit % across);
            let wanted = units.rows.contains(&row) && units.columns.contains(&column);
            for (((component, coding), mean), plane) in frame.components.iter().zip(&codings).zip(&mut means).zip(&mut workplace.planes) {
                for part in 0..component.down * component.across {
                    if !wanted {
                        read_block::<false>(&mut bits, coding, mean, &mut block)?;
                        continue;
                    }
                    let num_coefficients = read_block::<true>(&mut bits, coding, mean, &mut block)?;
                    let stride = num_units * component.across * 8;
                    let top = ((row - units.rows.start) * component.down + part / component.across) * 8;
                    let left = ((column - units.columns.start) * component.across + part % component.across) * 8;
                    let samples = if num_coefficients == 1 { [[flat_sample(block[0]); 8]; 8] } else { samples(&block) };
                    for (to, from) in plane.get_mut(top * stride + left..)?.chunks_mut(stride).zip(&samples) {
                        to.first_chunk_mut::<8>()?.copy_from_slice(from);
                    }
                    block = [0; 64];
                }
            }
        }
        // What fills the last byte is left; more, or less, means damage.
        if !(0..8).contains(&bits.num_left()) {
            return None;
        }
    }
    Some(())
}

/// The pixels of an area of the planes, which are `width` wide at full resolution.
#[inline(always)]
fn assemble(frame: &Frame, area: &Part, width: usize, workplace: &mut Workplace) -> Option<Picture> {
    let (height, out_width) = (area.rows.len(), area.columns.len());
    let [luma, blue, red] = &workplace.planes;
    let luma_row = |row: usize| luma.get(row * width + area.columns.start..row * width + area.columns.end);
    if frame.components.len() == 1 {
        let mut samples = Vec::with_capacity(height * out_width);
        for row in area.rows.clone() {
            samples.extend_from_slice(luma_row(row)?);
        }
        return Picture::new(height, out_width, 1, Pixels::U8(samples)).ok();
    }
    let first = frame.components.first()?;
    let color_width = width / first.across;
    let [half, full_blue, full_red] = &mut workplace.rows;
    half.resize(color_width, 0);
    [&mut *full_blue, &mut *full_red].into_iter().for_each(|row| row.resize(width, 0));
    let mut samples = vec![0; height * out_width * 3];
    for (row, out) in area.rows.clone().zip(samples.chunks_exact_mut(out_width * 3)) {
        for (plane, full) in [(blue, &mut *full_blue), (red, &mut *full_red)] {
            let color_row = |row: usize| plane.get(row * color_width..(row + 1) * color_width);
            let near = color_row(row / first.down)?;
            let mixed = if first.down == 2 {
                // Above or below, and the row itself at the image's edges.
                let far = if row % 2 == 1 {
                    color_row(row / 2 + 1).filter(|row| !row.is_empty())
                } else {
                    (row / 2).checked_sub(1).and_then(color_row)
                };
                mix_rows(near, far.unwrap_or(near), half);
                &*half
            } else {
                near
            };
            if first.across == 2 { widen(mixed, full) } else { full.copy_from_slice(mixed) }
        }
        let columns = area.columns.clone();
        write_rgb(luma_row(row)?, full_blue.get(columns.clone())?, full_red.get(columns)?, out);
    }
    Picture::new(height, out_width, 3, Pixels::U8(samples)).ok()
}

#[cfg(test)]
mod tests {
    use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

    use super::*;
    use crate::dataset::jpeg::decode_full;
    use crate::dataset::sample_files::{cmyk_jpeg, grainy_photo, progressive_jpeg};
    use crate::random::{Purpose, Stream};

    fn encoded(height: u16, width: u16, quality: u8, set: impl Fn(&mut Encoder<&mut Vec<u8>>), gray: bool) -> Vec<u8> {
        let photo = grainy_photo(height.into(), width.into(), u64::from(height) * 1000 + u64::from(width));
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, quality);
        set(&mut encoder);
        let (samples, color) = if gray {
            (image::DynamicImage::ImageRgb8(photo).to_luma8().into_raw(), ColorType::Luma)
        } else {
            (photo.into_raw(), ColorType::Rgb)
        };
        encoder.encode(&samples, width, height, color).unwrap();
        bytes
    }

    fn all(header: &Header<'_>) -> CropBox {
        CropBox { top: 0, left: 0, height: header.height, width: header.width }
    }

    fn cut(picture: &Picture, part: CropBox) -> Vec<u8> {
        let Pixels::U8(samples) = &picture.pixels else { panic!("bytes") };
        let row = |row: usize| {
            let begin = (row * picture.width + part.left) * picture.channels;
            samples[begin..begin + part.width * picture.channels].iter().copied()
        };
        (part.top..part.top + part.height).flat_map(row).collect()
    }

    #[test]
    fn every_part_is_that_of_the_other_decoder() {
        let mut stream = Stream::new(1, 0, 0, Purpose::Bench);
        let ratios = [SamplingFactor::F_1_1, SamplingFactor::F_2_1, SamplingFactor::F_1_2, SamplingFactor::F_2_2];
        for (height, width) in [(1, 1), (8, 8), (7, 19), (16, 33), (75, 100), (130, 65)] {
            for (place, ratio) in ratios.into_iter().enumerate() {
                for (quality, gray) in [(30, false), (90, false), (100, false), (90, true)] {
                    let set = |encoder: &mut Encoder<&mut Vec<u8>>| {
                        encoder.set_sampling_factor(ratio);
                        if place % 2 == 1 {
                            encoder.set_restart_interval(3);
                        }
                    };
                    let bytes = encoded(height, width, quality, set, gray);
                    let what = format!("{height}x{width} {ratio:?} {quality} {gray}");
                    let header = Header::read(&bytes).unwrap();
                    let expected = decode_full(&bytes).unwrap();
                    assert_eq!(decode(&header, all(&header)).as_ref(), Some(&expected), "{what}");
                    for _ in 0..8 {
                        let (top, left) = (stream.below(header.height), stream.below(header.width));
                        let part = CropBox {
                            top,
                            left,
                            height: 1 + stream.below(header.height - top),
                            width: 1 + stream.below(header.width - left),
                        };
                        let decoded = decode(&header, part).unwrap();
                        assert_eq!((decoded.height, decoded.width), (part.height, part.width));
                        assert_eq!(decoded.pixels, Pixels::U8(cut(&expected, part)), "{what} {part:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_unusual_is_left_to_the_other_decoder() {
        let unusual = [
            encoded(40, 40, 90, |encoder| encoder.set_progressive(true), false),
            // A scan for each component.
            encoded(40, 40, 90, |encoder| encoder.set_optimized_huffman_tables(true), false),
            encoded(40, 40, 90, |encoder| encoder.set_sampling_factor(SamplingFactor::F_4_1), false),
            cmyk_jpeg([255; 4]),
            progressive_jpeg(),
        ];
        for bytes in unusual {
            let header = Header::read(&bytes).unwrap();
            assert_eq!(decode(&header, all(&header)), None);
        }
    }

    #[test]
    fn damage_never_makes_a_difference_between_the_decoders() {
        let mut stream = Stream::new(2, 0, 0, Purpose::Bench);
        let mut num_decoded = 0;
        for interval in [0, 2] {
            let set = |encoder: &mut Encoder<&mut Vec<u8>>| {
                encoder.set_sampling_factor(SamplingFactor::F_2_2);
                encoder.set_restart_interval(interval);
            };
            let bytes = encoded(50, 70, 90, set, false);
            for _ in 0..4000 {
                let mut damaged = bytes.clone();
                for _ in 0..1 + stream.below(3) {
                    let place = 2 + stream.below(damaged.len() - 4);
                    damaged[place] = stream.next_u64() as u8;
                }
                let Ok(header) = Header::read(&damaged) else { continue };
                if header.height * header.width > 100_000 {
                    continue;
                }
                if let Some(picture) = decode(&header, all(&header)) {
                    num_decoded += 1;
                    assert_eq!(decode_full(&damaged), Ok(picture));
                }
            }
        }
        assert!(num_decoded > 100, "{num_decoded}");
    }
}
