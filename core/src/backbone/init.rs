//! Whose initial weights a plain transformer starts from.

use burn::tensor::Device;

use super::linear::{LayerNorm, Linear, NORMAL_DEVIATION, normal, parameter, xavier_uniform};
use super::patch_embed::{PatchEmbed, PatchProjection};
use crate::random::Stream;

/// A system's way to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Init {
    /// MAE: Xavier-uniform matrices, qkv as one, and zero biases.
    #[default]
    Mae,
    /// BEiT, SimMIM: normal with a deviation of 0.02, cut at one deviation; what ends a branch is divided by `sqrt(2 · layer)`.
    Beit,
    /// DINO: normal with a deviation of 0.02.
    Dino,
    /// MaskFeat: as DINO, with biases of 0.02 in place of 0.
    MaskFeat,
}

impl Init {
    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "mae" => Self::Mae,
            "beit" => Self::Beit,
            "dino" => Self::Dino,
            "maskfeat" => Self::MaskFeat,
            _ => return None,
        })
    }

    /// A linear layer.
    pub fn linear(self, inputs: usize, outputs: usize, stream: &mut Stream, device: &Device) -> Linear {
        self.scaled_linear([inputs, outputs], 1.0, stream, device)
    }

    /// The linear layer that ends a branch of block `index`.
    pub fn last_linear(self, inputs: usize, outputs: usize, index: usize, stream: &mut Stream, device: &Device) -> Linear {
        let factor = if self == Self::Beit { (2.0 * (index + 1) as f64).powf(-0.5) } else { 1.0 };
        self.scaled_linear([inputs, outputs], factor as f32, stream, device)
    }

    fn scaled_linear(self, [inputs, outputs]: [usize; 2], factor: f32, stream: &mut Stream, device: &Device) -> Linear {
        let count = inputs * outputs;
        let mut weight = if self == Self::Mae { xavier_uniform(count, inputs, outputs, stream) } else { self.values(count, stream) };
        if factor != 1.0 && !stream.is_blank() {
            weight.iter_mut().for_each(|value| *value *= factor);
        }
        Linear { weight: parameter(weight, [outputs, inputs], device), bias: parameter(vec![self.bias(); outputs], [outputs], device) }
    }

    /// A norm with the given epsilon.
    pub fn norm(self, width: usize, eps: f64, device: &Device) -> LayerNorm {
        let mut norm = LayerNorm::with_eps(width, eps, device);
        norm.bias = parameter(vec![self.bias(); width], [width], device);
        norm
    }

    /// The patch convolution.
    pub fn patch_embed(self, [channels, patch, width]: [usize; 3], stream: &mut Stream, device: &Device) -> PatchEmbed {
        match self {
            Self::Mae => PatchEmbed::new(channels, patch, width, stream, device),
            Self::Dino | Self::MaskFeat => PatchEmbed { proj: PatchProjection::new(channels, patch, width, stream, device) },
            Self::Beit => {
                let weight = self.values(width * channels * patch * patch, stream);
                let bias = parameter(vec![0.0; width], [width], device);
                PatchEmbed { proj: PatchProjection { weight: parameter(weight, [width, channels, patch, patch], device), bias } }
            }
        }
    }

    /// `count` numbers of tokens, learned positions and matrices that are not Xavier's.
    pub fn values(self, count: usize, stream: &mut Stream) -> Vec<f32> {
        match self {
            Self::Beit if !stream.is_blank() => (0..count).map(|_| cut_normal(stream)).collect(),
            _ => normal(count, NORMAL_DEVIATION, stream),
        }
    }

    fn bias(self) -> f32 {
        if self == Self::MaskFeat { NORMAL_DEVIATION as f32 } else { 0.0 }
    }
}

/// Normal with a deviation of 0.02, drawn again until it lies within one deviation.
fn cut_normal(stream: &mut Stream) -> f32 {
    loop {
        let value = stream.normal();
        if value.abs() <= 1.0 {
            return (value * NORMAL_DEVIATION) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;
    use crate::weights::model_file::to_host;

    fn deviation(values: &[f32]) -> f64 {
        (values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
    }

    #[test]
    fn beit_cuts_at_one_deviation_and_scales_what_ends_a_branch() {
        let (mut stream, device) = (Stream::new(1, 0, 0, Purpose::Init), Device::flex());
        let first = to_host(Init::Beit.linear(64, 256, &mut stream, &device).weight.val()).unwrap();
        assert!(first.iter().all(|value| value.abs() <= 0.02));
        // A standard normal cut at ±1 has a deviation of 0.5396.
        assert!((deviation(&first) / 0.02 - 0.5396).abs() < 0.01, "{}", deviation(&first));
        let last = to_host(Init::Beit.last_linear(64, 256, 7, &mut stream, &device).weight.val()).unwrap();
        assert!((deviation(&last) / 0.02 - 0.5396 / 4.0).abs() < 0.003, "{}", deviation(&last));
    }

    #[test]
    fn maskfeat_starts_biases_at_two_hundredths() {
        let (mut stream, device) = (Stream::new(1, 0, 0, Purpose::Init), Device::flex());
        let linear = Init::MaskFeat.linear(8, 4, &mut stream, &device);
        assert_eq!(to_host(linear.bias.val()).unwrap(), [0.02; 4]);
        assert_eq!(to_host(Init::MaskFeat.norm(4, 1e-6, &device).bias.val()).unwrap(), [0.02; 4]);
        assert_eq!(to_host(Init::Dino.linear(8, 4, &mut stream, &device).bias.val()).unwrap(), [0.0; 4]);
    }
}
