//! How a picture of any kind of samples is shown: which channels, and which values are black and white.

use egui::ColorImage;
use maskroom_core::augment::{Area, Resizer};
use maskroom_core::dataset::{Picture, Pixels};
use rayon::prelude::*;

/// Which channels are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// One, in gray.
    Gray(usize),
    /// Three, as red, green and blue.
    Color([usize; 3]),
}

/// Which values are black and white.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Range {
    /// The 1st and the 99th percentile.
    Auto,
    /// The smallest and the largest that the samples can have.
    Full,
    /// For each shown channel, in 0..1.
    Chosen(Vec<[f32; 2]>),
}

/// How a picture is shown.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Display {
    pub(super) shown: Shown,
    pub(super) range: Range,
    /// The channel that says how opaque a pixel is.
    pub(super) alpha: Option<usize>,
}

/// The values of one channel.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ChannelValues {
    /// How many lie in each of equal parts of `range`.
    pub(super) histogram: Vec<u64>,
    /// All of 0..1 for samples of eight bits, which mostly use it; what is there for deeper ones.
    pub(super) range: [f32; 2],
    /// The 1st and the 99th percentile; all of 0..1 where every value is the same, for nothing can be stretched then.
    pub(super) percentiles: [f32; 2],
}

/// A picture ready for the screen.
pub(super) struct Rendered {
    pub(super) image: ColorImage,
    /// Black and white of each shown channel, in 0..1.
    pub(super) windows: Vec<[f32; 2]>,
    /// The values of each shown channel.
    pub(super) values: Vec<ChannelValues>,
}

const BINS: usize = 64;
/// Enough for percentiles that a person cannot tell from the exact ones.
const MAX_SAMPLES: usize = 1 << 20;

impl Shown {
    pub(super) fn channels(&self) -> &[usize] {
        match self {
            Self::Gray(channel) => std::slice::from_ref(channel),
            Self::Color(channels) => channels,
        }
    }
}

impl Display {
    /// How a picture with so many channels is shown at first: color as color, of more than four channels the first three; deep samples
    /// by their percentiles.
    pub(super) fn of(channels: usize, bit_depth: u32) -> Self {
        let shown = if channels <= 2 { Shown::Gray(0) } else { Shown::Color([0, 1, 2]) };
        let alpha = if channels == 2 || channels == 4 { Some(channels - 1) } else { None };
        Self { shown, range: if bit_depth == 8 { Range::Full } else { Range::Auto }, alpha }
    }

    /// The picture as it is shown, no side longer than `max_side`. The error is a reason in plain words.
    pub(super) fn render(&self, picture: &Picture, max_side: usize) -> Result<Rendered, String> {
        let values: Vec<ChannelValues> = self.shown.channels().iter().map(|&channel| ChannelValues::of(picture, channel)).collect();
        let windows = self.windows(picture.channels, &values);
        let divisor = picture.height.max(picture.width).div_ceil(max_side.max(1));
        let smaller = if divisor > 1 {
            let [height, width] = [picture.height, picture.width].map(|side| (side / divisor).max(1));
            Some(Resizer::new().resize(picture, Area::whole(picture), height, width, picture.channels)?)
        } else {
            None
        };
        let image = self.paint(smaller.as_ref().unwrap_or(picture), &windows);
        Ok(Rendered { image, windows, values })
    }

    fn windows(&self, channels: usize, values: &[ChannelValues]) -> Vec<[f32; 2]> {
        let percentiles = || values.iter().map(|values| values.percentiles);
        match &self.range {
            Range::Full => vec![[0.0, 1.0]; values.len()],
            Range::Chosen(windows) if windows.len() == values.len() => windows.clone(),
            // A color image has one exposure: a window for each channel would change its colors.
            Range::Auto | Range::Chosen(_) if channels <= 4 => {
                let common = percentiles().fold([f32::MAX, f32::MIN], |[low, high], [a, b]| [low.min(a), high.max(b)]);
                vec![common; values.len()]
            }
            Range::Auto | Range::Chosen(_) => percentiles().collect(),
        }
    }

    fn paint(&self, picture: &Picture, windows: &[[f32; 2]]) -> ColorImage {
        match &picture.pixels {
            Pixels::U8(samples) => {
                let tables = tables::<256>(windows);
                self.paint_samples(picture, samples, |slot, value| tables[slot][usize::from(value)], |value| value)
            }
            Pixels::U16(samples) => {
                let tables = tables::<65536>(windows);
                self.paint_samples(picture, samples, |slot, value| tables[slot][usize::from(value)], |value| (value >> 8) as u8)
            }
            Pixels::F32(samples) => {
                self.paint_samples(picture, samples, |slot, value| byte(value, windows[slot]), |value| byte(value, [0.0, 1.0]))
            }
        }
    }

    fn paint_samples<T: Copy + Sync>(
        &self,
        picture: &Picture,
        samples: &[T],
        shade: impl Fn(usize, T) -> u8 + Sync,
        opacity: impl Fn(T) -> u8 + Sync,
    ) -> ColorImage {
        let mut rgba = vec![u8::MAX; picture.height * picture.width * 4];
        let rows = rgba.par_chunks_exact_mut(picture.width * 4).zip(samples.par_chunks_exact(picture.width * picture.channels));
        rows.for_each(|(row, samples)| {
            for (out, pixel) in row.chunks_exact_mut(4).zip(samples.chunks_exact(picture.channels)) {
                match self.shown {
                    Shown::Gray(channel) => out[..3].fill(shade(0, pixel[channel])),
                    Shown::Color(channels) => (0..3).for_each(|slot| out[slot] = shade(slot, pixel[channels[slot]])),
                }
                if let Some(alpha) = self.alpha {
                    out[3] = opacity(pixel[alpha]);
                }
            }
        });
        ColorImage::from_rgba_unmultiplied([picture.width, picture.height], &rgba)
    }
}

impl ChannelValues {
    fn of(picture: &Picture, channel: usize) -> Self {
        match &picture.pixels {
            Pixels::U8(samples) => Self::of_samples(samples, picture.channels, channel, |value| f32::from(value) / 255.0, Some([0.0, 1.0])),
            Pixels::U16(samples) => Self::of_samples(samples, picture.channels, channel, |value| f32::from(value) / 65535.0, None),
            Pixels::F32(samples) => Self::of_samples(samples, picture.channels, channel, |value| value, None),
        }
    }

    fn of_samples<T: Copy>(samples: &[T], channels: usize, channel: usize, unit: impl Fn(T) -> f32, range: Option<[f32; 2]>) -> Self {
        let step = (samples.len() / channels).div_ceil(MAX_SAMPLES).max(1);
        let mut sorted: Vec<f32> =
            samples.iter().skip(channel).step_by(channels * step).map(|&value| unit(value).clamp(0.0, 1.0)).collect();
        sorted.sort_unstable_by(f32::total_cmp);
        let at = |share: f64| sorted.get((share * sorted.len().saturating_sub(1) as f64).round() as usize).copied().unwrap_or(0.0);
        let range = range.unwrap_or([at(0.0), at(1.0)]);
        let bin = |value: f32| ((value - range[0]) / (range[1] - range[0]).max(f32::EPSILON) * BINS as f32) as usize;
        let mut histogram = vec![0; BINS];
        sorted.iter().for_each(|&value| histogram[bin(value).min(BINS - 1)] += 1);
        let percentiles = if at(0.0) < at(1.0) { [at(0.01), at(0.99)] } else { [0.0, 1.0] };
        Self { percentiles, histogram, range }
    }
}

/// The byte of every value that an integer of `N` values can have, for each window.
fn tables<const N: usize>(windows: &[[f32; 2]]) -> Vec<Vec<u8>> {
    windows.iter().map(|window| (0..N).map(|value| byte(value as f32 / (N - 1) as f32, *window)).collect()).collect()
}

/// A flat window shows what lies above it.
fn byte(value: f32, [low, high]: [f32; 2]) -> u8 {
    let share = (value - low) / (high - low).max(f32::EPSILON);
    (share.clamp(0.0, 1.0) * 255.0).round() as u8
}

/// The file's own units of a sample, and with how many decimals such numbers are written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Units {
    /// The value that 1 stands for.
    pub(super) scale: f32,
    pub(super) decimals: usize,
}

impl Units {
    pub(super) fn of(bit_depth: u32) -> Self {
        match bit_depth {
            8 => Self { scale: 255.0, decimals: 0 },
            16 => Self { scale: 65535.0, decimals: 0 },
            _ => Self { scale: 1.0, decimals: 4 },
        }
    }
}

/// All samples of the pixel at a column and a row, in the file's own units.
pub(super) fn read_out(picture: &Picture, column: usize, row: usize) -> Option<Vec<String>> {
    if column >= picture.width || row >= picture.height {
        return None;
    }
    let first = (row * picture.width + column) * picture.channels;
    let range = first..first + picture.channels;
    Some(match &picture.pixels {
        Pixels::U8(samples) => samples[range].iter().map(u8::to_string).collect(),
        Pixels::U16(samples) => samples[range].iter().map(u16::to_string).collect(),
        Pixels::F32(samples) => samples[range].iter().map(|value| format!("{value:.4}")).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(display: &Display, picture: &Picture) -> Vec<[u8; 4]> {
        display.render(picture, 100).unwrap().image.pixels.iter().map(|pixel| pixel.to_array()).collect()
    }

    #[test]
    fn eight_bits_are_shown_as_they_are() {
        let rgb = Picture::new(1, 2, 3, Pixels::U8(vec![0, 9, 255, 7, 8, 9])).unwrap();
        assert_eq!(shown(&Display::of(3, 8), &rgb), [[0, 9, 255, 255], [7, 8, 9, 255]]);
        let gray = Picture::new(1, 1, 1, Pixels::U8(vec![77])).unwrap();
        assert_eq!(shown(&Display::of(1, 8), &gray), [[77, 77, 77, 255]]);
        let clear = Picture::new(1, 1, 4, Pixels::U8(vec![9, 9, 9, 0])).unwrap();
        assert_eq!(shown(&Display::of(4, 8), &clear), [[0; 4]]);
    }

    #[test]
    fn deep_samples_are_shown_by_their_percentiles() {
        let ramp = Picture::new(1, 100, 1, Pixels::U16((0..100).map(|value| 500 + 2 * value).collect())).unwrap();
        let automatic = shown(&Display::of(1, 16), &ramp);
        assert_eq!((automatic[0][0], automatic[1][0], automatic[98][0], automatic[99][0]), (0, 0, 255, 255));
        let full = shown(&Display { range: Range::Full, ..Display::of(1, 16) }, &ramp);
        assert!(full.iter().all(|pixel| pixel[0] <= 3));
        let chosen = Display { range: Range::Chosen(vec![[500.0 / 65535.0, 600.0 / 65535.0]]), ..Display::of(1, 16) };
        let chosen = shown(&chosen, &ramp);
        assert!(chosen[25][0].abs_diff(128) <= 1 && chosen[60][0] == 255, "{:?}", chosen[25]);
    }

    #[test]
    fn any_channel_can_be_shown_as_any_color() {
        let many = Picture::new(1, 1, 6, Pixels::F32(vec![0.0, 0.2, 0.4, 0.6, 0.8, 1.0])).unwrap();
        let display = Display { shown: Shown::Color([5, 0, 2]), range: Range::Full, alpha: None };
        assert_eq!(shown(&display, &many), [[255, 0, 102, 255]]);
        let display = Display { shown: Shown::Gray(4), range: Range::Full, alpha: None };
        let rendered = display.render(&many, 100).unwrap();
        assert_eq!(rendered.image.pixels[0].to_array(), [204, 204, 204, 255]);
        assert_eq!((rendered.values.len(), rendered.values[0].histogram[0], rendered.values[0].range), (1, 1, [0.8, 0.8]));
        assert_eq!(read_out(&many, 0, 0).unwrap()[4], "0.8000");
        assert_eq!(read_out(&many, 1, 0), None);
    }

    #[test]
    fn what_is_too_large_for_the_screen_is_shown_smaller() {
        let large = Picture::new(30, 900, 3, Pixels::U8(vec![50; 30 * 900 * 3])).unwrap();
        let image = Display::of(3, 8).render(&large, 256).unwrap().image;
        assert_eq!((image.size, image.pixels[0].to_array()), ([225, 7], [50, 50, 50, 255]));
    }
}
