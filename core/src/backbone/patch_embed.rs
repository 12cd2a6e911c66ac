//! Images as sequences of patches, and the linear map that makes tokens of them.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::linear::{LayerNorm, parameter, xavier_uniform};
use crate::kernel;
use crate::random::Stream;

/// Cuts an image into patch vectors. Shapes: `image [H, W, C]` to `[N, P·P·C]`; patches in raster order, each vector ordered
/// (row in the patch, column in the patch, channel), as MAE's target is.
///
/// Pixels beyond the last whole patch are left out.
pub fn patchify(image: &[f32], height: usize, width: usize, channels: usize, patch: usize) -> Vec<f32> {
    let (rows, cols, line) = (height / patch, width / patch, patch * channels);
    let mut patches = Vec::with_capacity(rows * cols * patch * line);
    for row in 0..rows {
        for col in 0..cols {
            for y in 0..patch {
                let start = ((row * patch + y) * width + col * patch) * channels;
                patches.extend_from_slice(&image[start..start + line]);
            }
        }
    }
    patches
}

/// The inverse of [`patchify`]. Shapes: `patches [N, P·P·C]` to `[rows·P, cols·P, C]`.
pub fn unpatchify(patches: &[f32], rows: usize, cols: usize, channels: usize, patch: usize) -> Vec<f32> {
    let (width, line) = (cols * patch, patch * channels);
    let mut image = vec![0.0; rows * patch * width * channels];
    for (index, values) in patches.chunks_exact(patch * line).enumerate() {
        for (y, values) in values.chunks_exact(line).enumerate() {
            let start = ((index / cols * patch + y) * width + index % cols * patch) * channels;
            image[start..start + line].copy_from_slice(values);
        }
    }
    image
}

/// The patch convolution's parameters.
#[derive(Module, Debug)]
pub struct PatchProjection {
    /// `[D, C, P, P]`, as timm stores it.
    pub weight: Param<Tensor<4>>,
    /// `[D]`
    pub bias: Param<Tensor<1>>,
}

impl PatchProjection {
    /// As PyTorch starts a convolution: weight and bias uniform in ±1/sqrt(C·P·P).
    pub fn new(channels: usize, patch: usize, width: usize, stream: &mut Stream, device: &Device) -> Self {
        let inputs = channels * patch * patch;
        let bound = (inputs as f64).powf(-0.5);
        let mut uniform = |count: usize| (0..count).map(|_| stream.range(-bound, bound) as f32).collect::<Vec<_>>();
        let weight = parameter(uniform(width * inputs), [width, channels, patch, patch], device);
        Self { weight, bias: parameter(uniform(width), [width], device) }
    }

    /// Shapes: `patches [B, V, P·P·C]` to `[B, V, D]`.
    pub fn forward(&self, patches: Tensor<3>) -> Tensor<3> {
        let weight = self.weight.val();
        let [width, channels, rows, cols] = weight.dims();
        let weight = weight.permute([0, 2, 3, 1]).reshape([width, rows * cols * channels]);
        kernel::linear(patches, weight, Some(self.bias.val()))
    }
}

/// A convolution whose stride is its size: a linear map of patch vectors.
#[derive(Module, Debug)]
pub struct PatchEmbed {
    /// The convolution.
    pub proj: PatchProjection,
}

impl PatchEmbed {
    /// Xavier-uniform over the `[D, C·P·P]` view, as MAE does; the bias as PyTorch starts a convolution's, uniform in ±1/sqrt(C·P·P).
    pub fn new(channels: usize, patch: usize, width: usize, stream: &mut Stream, device: &Device) -> Self {
        let inputs = channels * patch * patch;
        let weight = xavier_uniform(width * inputs, inputs, width, stream);
        let bound = (inputs as f64).powf(-0.5);
        let bias = (0..width).map(|_| stream.range(-bound, bound) as f32).collect();
        Self {
            proj: PatchProjection {
                weight: parameter(weight, [width, channels, patch, patch], device),
                bias: parameter(bias, [width], device),
            },
        }
    }

    /// Shapes: `patches [B, V, P·P·C]` to `[B, V, D]`.
    pub fn forward(&self, patches: Tensor<3>) -> Tensor<3> {
        self.proj.forward(patches)
    }
}

/// A patch embedding with a layer norm after it, as pyramids have it.
#[derive(Module, Debug)]
pub struct NormedPatchEmbed {
    /// The convolution.
    pub proj: PatchProjection,
    /// After it.
    pub norm: LayerNorm,
}

impl NormedPatchEmbed {
    /// PyTorch's initial convolution, and a norm with the given epsilon.
    pub fn new([channels, patch, width]: [usize; 3], eps: f64, stream: &mut Stream, device: &Device) -> Self {
        let proj = PatchProjection::new(channels, patch, width, stream, device);
        Self { proj, norm: LayerNorm::with_eps(width, eps, device) }
    }

    /// Shapes: `patches [B, V, P·P·C]` to `[B, V, D]`.
    pub fn forward(&self, patches: Tensor<3>) -> Tensor<3> {
        self.norm.forward(self.proj.forward(patches))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_row_column_channel_and_come_back() {
        let (height, width, channels, patch) = (4, 6, 2, 2);
        let image: Vec<f32> = (0..height * width * channels).map(|value| value as f32).collect();
        let patches = patchify(&image, height, width, channels, patch);
        assert_eq!(&patches[..8], &[0.0, 1.0, 2.0, 3.0, 12.0, 13.0, 14.0, 15.0]);
        assert_eq!(&patches[8..12], &[4.0, 5.0, 6.0, 7.0]);
        assert_eq!(unpatchify(&patches, 2, 3, channels, patch), image);
    }
}
