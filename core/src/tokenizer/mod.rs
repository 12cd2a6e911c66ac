//! A tokenizer of images: each patch becomes one of K codes, from which it can be drawn again. What BEiT predicts are such codes.
//!
//! That of [`dalle`] is read from files. One that is trained here is a small discrete VAE (Ramesh et al., *Zero-Shot Text-to-Image
//! Generation*, 2021): an encoder scores the codes for each patch, a decoder draws the image from them. In training the choice is softened by
//! Gumbel noise (Jang et al., 2016), so that it has a gradient.
//!
//! ```text
//! pixels ─► halve, halve, … ─► look at the eight neighbors ─► scores [N, K] ─► code ─► look at the neighbors ─► double, … ─► pixels
//! ```

pub mod dalle;
pub mod file;
mod gumbel;
pub mod settings;
pub mod training;
pub mod usage;
mod vae;

use burn::tensor::{Device, Tensor, TensorData};

use crate::error::Result;
use crate::objective::cross_entropy::largest;
use crate::weights::model_file::to_host;
use crate::weights::safetensors_file::TensorMap;
use dalle::DallE;
use vae::DiscreteVae;

/// The sizes of a tokenizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// C of its images.
    pub channels: usize,
    /// P: side of the patch that becomes one code, in pixels; a power of two.
    pub patch: usize,
    /// K
    pub codes: usize,
    /// Numbers per place inside it.
    pub width: usize,
}

impl Sizes {
    /// What is wrong with them, in words.
    ///
    /// # Errors
    /// The reason.
    pub fn check(&self) -> Result<(), String> {
        let within = |what: &str, value: usize, low: usize, high: usize| {
            if (low..=high).contains(&value) { Ok(()) } else { Err(format!("{value} {what}, where {low} to {high} are possible")) }
        };
        within("channels", self.channels, 1, 64)?;
        within("codes", self.codes, 2, 65_536)?;
        within("numbers per place", self.width, 4, 1_024)?;
        if !self.patch.is_power_of_two() || !(2..=64).contains(&self.patch) {
            return Err(format!("a patch of {} px cannot be halved down to one place: use 2, 4, 8, 16, 32 or 64", self.patch));
        }
        Ok(())
    }

    /// P·P·C
    pub fn patch_values(&self) -> usize {
        self.patch * self.patch * self.channels
    }

    /// How often a patch is halved.
    fn levels(&self) -> usize {
        self.patch.trailing_zeros() as usize
    }
}

/// A tokenizer, ready to be used by any thread.
#[derive(Debug, Clone)]
pub enum Tokenizer {
    /// One that was trained here.
    Patches(Box<PatchTokenizer>),
    /// DALL-E's.
    DallE(Box<DallE>),
}

/// What a tokenizer asks of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asks {
    /// C
    pub channels: usize,
    /// P, in pixels; `None` where images are scaled to fit.
    pub patch: Option<usize>,
}

impl Tokenizer {
    /// The tokenizer that these tensors make: one that was trained here works on the CPU, DALL-E's on the device.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub fn from_tensors(tensors: &TensorMap, device: &Device) -> Result<Self, String> {
        if dalle::is_of(tensors) {
            return DallE::from_tensors(tensors, device).map(|dalle| Self::DallE(Box::new(dalle)));
        }
        PatchTokenizer::from_tensors(tensors).map(|own| Self::Patches(Box::new(own)))
    }

    /// What it asks of images.
    pub fn asks(&self) -> Asks {
        match self {
            Self::Patches(own) => Asks { channels: own.sizes.channels, patch: Some(own.sizes.patch) },
            Self::DallE(dalle) => Asks { channels: dalle.sizes().channels, patch: None },
        }
    }

    /// K
    pub fn codes(&self) -> usize {
        match self {
            Self::Patches(own) => own.sizes.codes,
            Self::DallE(dalle) => dalle.sizes().codes,
        }
    }
}

/// A tokenizer of patches as they are, trained here.
#[derive(Debug, Clone)]
pub struct PatchTokenizer {
    /// Its sizes.
    pub sizes: Sizes,
    /// `[C]`: what it subtracts from pixels of 0..1.
    pub mean: Vec<f32>,
    /// `[C]`: what it divides them by then.
    pub std: Vec<f32>,
    vae: DiscreteVae,
    device: Device,
}

impl PatchTokenizer {
    /// The codes of images. Shapes: `patches [B·N, P·P·C]` in the tokenizer's normalization, patches in raster order, `grid` of N patches;
    /// returns `[B·N]`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn ids(&self, patches: &[f32], grid: [usize; 2]) -> Result<Vec<usize>> {
        let scores = to_host(self.vae.scores(self.vae.input(patches, grid, &self.device), grid))?;
        Ok(scores.chunks_exact(self.sizes.codes).map(largest).collect())
    }

    /// Draws images from codes. Shapes: `ids [B·N]`, `grid` of N patches; returns `[B·N, P·P·C]` in the tokenizer's normalization.
    ///
    /// # Errors
    /// If the device fails.
    pub fn draw(&self, ids: &[usize], grid: [usize; 2]) -> Result<Vec<f32>> {
        let (count, patches) = (ids.len(), grid[0] * grid[1]);
        let ids = ids.iter().map(|&id| id.min(self.sizes.codes - 1) as i32).collect::<Vec<_>>();
        let ids = Tensor::from_data(TensorData::new(ids, [count]), &self.device);
        let drawn = self.vae.draw_codes(ids, [count / patches.max(1), patches], grid);
        Ok(self.vae.patches(&to_host(drawn)?))
    }
}
