//! DALL-E's tokenizer (Ramesh et al., *Zero-Shot Text-to-Image Generation*, 2021), whose 8192 codes BEiT predicts as published. Its weights are
//! the person's own to fetch: [`import`](import::import) reads them.
//!
//! ```text
//! pixels ─► 7 × 7 ─► blocks ─► halve ─► blocks ─► … ─► scores [N, K] ─► code ─► blocks ─► double ─► blocks ─► … ─► pixels
//! ```
//! Unlike a tokenizer that is trained here, it does not care for the patches of the network that predicts its codes: one of its codes stands for
//! 8 × 8 px, and an image is scaled so that there is one code for each patch (BEiT: 224 px in patches of 16 px become 112 px).

pub mod import;
mod layout;
mod network;
#[cfg(test)]
mod tests;

use burn::tensor::{Device, Tensor, TensorData, activation};
use rayon::prelude::*;

use super::Sizes;
use crate::augment::{Area, Filter, Resizer};
use crate::dataset::picture::{Picture, Pixels};
use crate::error::{Error, Result};
use crate::weights::model_file::to_host;
use crate::weights::safetensors_file::TensorMap;
use layout::Part;
use network::Half;

/// Pixels of 0..1 are drawn together to this and one minus it, so that a decoder's sigmoid reaches them.
const EPSILON: f64 = 0.1;
/// Images that pass the encoder together at most: their maps are large.
const CHUNK: usize = 8;

/// The encoder, and the decoder if the person has that too.
#[derive(Debug, Clone)]
pub struct DallE {
    sizes: Sizes,
    encoder: Half,
    decoder: Option<Half>,
    device: Device,
}

/// Whether tensors are those of such a tokenizer, rather than of one that was trained here.
pub(super) fn is_of(tensors: &TensorMap) -> bool {
    Part::of(tensors, Part::Encoder.prefix()).is_some()
}

impl DallE {
    /// The tokenizer that these tensors make.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub fn from_tensors(tensors: &TensorMap, device: &Device) -> Result<Self, String> {
        let device = device.clone().without_autodiff();
        let encoder = layout::half(tensors, Part::Encoder, &device)?;
        let has_decoder = tensors.keys().any(|name| name.starts_with(Part::Decoder.prefix()));
        let decoder = has_decoder.then(|| layout::half(tensors, Part::Decoder, &device)).transpose()?;
        Self::joined(encoder, decoder, device)
    }

    fn joined(encoder: Half, decoder: Option<Half>, device: Device) -> Result<Self, String> {
        let sizes = Sizes {
            channels: encoder.input.inputs,
            patch: 1 << (encoder.groups.len() - 1),
            codes: encoder.output.outputs,
            width: encoder.input.outputs,
        };
        sizes.check()?;
        if let Some(decoder) = &decoder {
            let misfit = |what: &str, has: usize, wanted: usize| {
                if has == wanted { Ok(()) } else { Err(format!("the decoder has {has} {what}, and the encoder asks for {wanted}")) }
            };
            misfit("codes", decoder.input.inputs, sizes.codes)?;
            misfit("as the side of the first window", decoder.input.side, 1)?;
            misfit("groups of blocks", decoder.groups.len(), encoder.groups.len())?;
            misfit("numbers per pixel", decoder.output.outputs, 2 * sizes.channels)?;
        }
        Ok(Self { sizes, encoder, decoder, device })
    }

    /// Its sizes. A patch is what one code stands for in an image that was scaled for it.
    pub fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// Whether codes can be drawn.
    pub fn has_decoder(&self) -> bool {
        self.decoder.is_some()
    }

    /// The code of each of `grid` patches of images. Shapes: `images [B, H, W, C]` of 0..1, all of one `size`, to `[B, N, 1]` on its device.
    ///
    /// # Errors
    /// If the images are empty.
    pub fn ids(&self, images: &[f32], size: [usize; 2], grid: [usize; 2]) -> Result<Tensor<3>> {
        let own = grid.map(|patches| patches * self.sizes.patch);
        let values = (size[0] * size[1] * self.sizes.channels).max(1);
        let scaled: Vec<Vec<f32>> = images.par_chunks_exact(values).map(|image| self.shrunk(image, size, own)).collect::<Result<_>>()?;
        if scaled.is_empty() || own.contains(&0) {
            return Err(Error::Failed("there is no image to find codes for".into()));
        }
        let scores = scaled.chunks(CHUNK).map(|images| {
            let shape = [images.len(), own[0] * own[1], self.sizes.channels];
            let pixels = Tensor::from_data(TensorData::new(images.concat(), shape), &self.device);
            self.scores(pixels, own).argmax(2).float()
        });
        Ok(Tensor::cat(scores.collect(), 0))
    }

    /// Shapes: pixels of 0..1, `[B, h·w, C]` of `own` size, to `[B, N, K]`.
    fn scores(&self, pixels: Tensor<3>, own: [usize; 2]) -> Tensor<3> {
        self.encoder.encode(pixels * (1.0 - 2.0 * EPSILON) + EPSILON, own)
    }

    /// An image drawn from its codes, scaled to `size`; nothing without a decoder. Shapes: `ids [N]` of `grid` to `[H, W, C]` of 0..1.
    ///
    /// # Errors
    /// If the device fails.
    pub fn draw(&self, ids: &[usize], grid: [usize; 2], size: [usize; 2]) -> Result<Option<Vec<f32>>> {
        let Some(decoder) = &self.decoder else { return Ok(None) };
        let (codes, count) = (self.sizes.codes, ids.len());
        let ids: Vec<i32> = ids.iter().map(|&id| id.min(codes - 1) as i32).collect();
        let ids = Tensor::from_data(TensorData::new(ids, [count]), &self.device);
        // The other half of the numbers are how sure it is of these.
        let means = decoder.decode(ids, 1, grid).narrow(2, 0, self.sizes.channels);
        let pixels = (activation::sigmoid(means) - EPSILON) / (1.0 - 2.0 * EPSILON);
        let drawn = to_host(pixels.clamp(0.0, 1.0))?;
        let own = grid.map(|patches| patches * self.sizes.patch);
        if own == size {
            return Ok(Some(drawn));
        }
        self.scaled(Pixels::F32(drawn), own, size, Filter::Bicubic).map(Some)
    }

    /// An image at the encoder's own size: by Pillow's Lanczos and in 8 bits, as BEiT gives it.
    fn shrunk(&self, image: &[f32], size: [usize; 2], own: [usize; 2]) -> Result<Vec<f32>> {
        if own == size {
            return Ok(image.to_vec());
        }
        let bytes = image.iter().map(|value| (value.clamp(0.0, 1.0) * 255.0).round() as u8).collect();
        self.scaled(Pixels::U8(bytes), size, own, Filter::Lanczos)
    }

    fn scaled(&self, pixels: Pixels, from: [usize; 2], to: [usize; 2], filter: Filter) -> Result<Vec<f32>> {
        let channels = self.sizes.channels;
        let scaled = Picture::new(from[0], from[1], channels, pixels)
            .and_then(|picture| Resizer::with(filter).resize(&picture, Area::whole(&picture), to[0], to[1], channels))
            .and_then(|picture| picture.to_unit(channels));
        scaled.map(|image| image.pixels).map_err(|reason| Error::Failed(format!("an image cannot be scaled for the tokenizer: {reason}")))
    }
}
