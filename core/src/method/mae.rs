//! Masked autoencoder (He et al., *Masked Autoencoders Are Scalable Vision Learners*, 2021).
//!
//! Most patches of an image are dropped and a ViT encodes only the rest. A small second transformer gets the encoded patches, and a
//! learned mask token in each place where one is missing, and draws the missing pixels. Masked: a random 75 %; predicted: their pixels,
//! normalized patch by patch.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::masked_batch::{Lead, MaskedBatch};
use crate::backbone::block::Block;
use crate::backbone::drop_path::DropPath;
use crate::backbone::linear::{LayerNorm, Linear, normal, parameter};
use crate::backbone::pos_embed;
use crate::backbone::vit::{Vit, VitConfig, resized};
use crate::kernel;
use crate::random::Stream;

/// The sizes of a masked autoencoder.
#[derive(Debug, Clone, PartialEq)]
pub struct MaeConfig {
    /// The encoder.
    pub encoder: VitConfig,
    /// Width of the decoder.
    pub decoder_width: usize,
    /// Blocks of the decoder.
    pub decoder_depth: usize,
    /// Attention heads of the decoder.
    pub decoder_heads: usize,
    /// Numbers per predicted patch.
    pub target_width: usize,
    /// The ablation with mask tokens in the encoder: nothing is dropped, the encoder sees a mask token in each masked place.
    pub mask_tokens_in_encoder: bool,
    /// Some visible patches are replaced by a mask token (secondary masking).
    pub secondary_masking: bool,
}

/// The decoder: everything that is thrown away after pre-training.
#[derive(Module, Debug)]
pub struct Decoder {
    /// Encoder width to decoder width.
    pub embed: Linear,
    /// `[1, 1, W]`; absent when the encoder has seen mask tokens already.
    pub mask_token: Option<Param<Tensor<3>>>,
    /// `[1, 1 + N, W]`, the fixed sine-cosine code.
    pub pos_embed: Param<Tensor<3>>,
    /// The blocks.
    pub blocks: Vec<Block>,
    /// After the last block.
    pub norm: LayerNorm,
    /// To the target's numbers, for pixels in the order (row, column, channel).
    pub pred: Linear,
}

/// The whole model.
#[derive(Module, Debug)]
pub struct Mae {
    /// The part that is kept.
    pub encoder: Vit,
    /// `[1, 1, D]`, for the encoder modes that need one.
    pub mask_token: Option<Param<Tensor<3>>>,
    /// The part that draws.
    pub decoder: Decoder,
    #[module(skip)]
    config: MaeConfig,
}

impl MaeConfig {
    /// The paper's initialization.
    pub fn init(&self, stream: &mut Stream, device: &Device) -> Mae {
        let encoder = self.encoder.init(stream, device);
        let (width, [rows, cols]) = (self.decoder_width, self.encoder.grid);
        let mut token = |width: usize| parameter(normal(width, 0.02, stream), [1, 1, width], device);
        let encoder_token = (self.mask_tokens_in_encoder || self.secondary_masking).then(|| token(self.encoder.width));
        let decoder_token = (!self.mask_tokens_in_encoder).then(|| token(width));
        Mae {
            encoder,
            mask_token: encoder_token,
            decoder: Decoder {
                embed: Linear::new(self.encoder.width, width, stream, device),
                mask_token: decoder_token,
                pos_embed: parameter(pos_embed::sincos_2d(width, rows, cols), [1, 1 + rows * cols, width], device).set_require_grad(false),
                blocks: (0..self.decoder_depth)
                    .map(|_| {
                        Block::new(width, self.decoder_heads, self.encoder.mlp_ratio, stream, device).recomputed(self.encoder.recompute)
                    })
                    .collect(),
                norm: LayerNorm::new(width, device),
                pred: Linear::new(width, self.target_width, stream, device),
            },
            config: self.clone(),
        }
    }
}

impl Mae {
    /// The sizes it was made with.
    pub fn config(&self) -> &MaeConfig {
        &self.config
    }

    /// The same network for images of another size: both position tables are resized to `grid`.
    pub fn for_grid(mut self, grid: [usize; 2]) -> Self {
        self.decoder.pos_embed = resized(&self.decoder.pos_embed, self.config.encoder.grid, grid);
        self.encoder = self.encoder.for_grid(grid);
        self.config.encoder.grid = grid;
        self
    }

    /// Predicts the batch's rows `[B, N - first_predicted, target width]`, in the batch's token order.
    pub fn predict(&self, batch: &MaskedBatch, drop_path: Option<&DropPath>, device: &Device) -> Tensor<3> {
        let encoded = self.encode(batch, drop_path, device);
        self.decode(encoded, batch, device)
    }

    /// Encodes what the encoder is shown: `[B, 1 + R + V, D]`, or all N places when it is shown mask tokens.
    fn encode(&self, batch: &MaskedBatch, drop_path: Option<&DropPath>, device: &Device) -> Tensor<3> {
        let width = self.config.encoder.width;
        let mut tokens = self.encoder.patch_embed.forward(batch.visible_patches(device));
        if let (Some(hidden), Some(mask_token)) = (batch.secondary(device), &self.mask_token) {
            tokens = tokens * (hidden.clone() * -1.0 + 1.0) + mask_token.val() * hidden;
        }
        let mut shown = batch.visible;
        if kernel::is_fused_on_gpu(&tokens) && !self.config.mask_tokens_in_encoder && self.encoder.num_prefix() == 1 {
            let order = batch.tokens(shown, Lead::Learned);
            if let Some(tokens) = kernel::cube::tokens(&tokens, &self.encoder.cls_token.val(), &self.encoder.pos_embed.val(), &order) {
                return self.encoder.encode(tokens, drop_path);
            }
        }
        if let (true, Some(mask_token)) = (self.config.mask_tokens_in_encoder, &self.mask_token) {
            shown = batch.num_patches;
            tokens = Tensor::cat(vec![tokens, mask_token.val().expand([batch.batch, shown - batch.visible, width])], 1);
        }
        let tokens = tokens + positions(&self.encoder.pos_embed, batch, shown, device);
        self.encoder.encode(self.encoder.with_prefix(tokens), drop_path)
    }

    fn decode(&self, encoded: Tensor<3>, batch: &MaskedBatch, device: &Device) -> Tensor<3> {
        let rows = batch.num_patches;
        let shown = encoded.dims()[1] - self.encoder.num_prefix();
        let y = self.decoder.embed.forward(encoded);
        let tokens = self.decoder_tokens(y, shown, batch, device);
        let blocks = self.decoder.blocks.iter().enumerate();
        let decoded = blocks.fold(tokens, |x, (index, block)| block.forward(x, index, None));
        let predicted = decoded.narrow(1, 1 + batch.first_predicted, rows - batch.first_predicted);
        self.decoder.pred.forward(self.decoder.norm.forward(predicted))
    }

    /// What the decoder's blocks get: class token, shown patches, and the mask token in each place where a patch is missing, with their
    /// positions. Shapes: `y [B, prefix + shown, W]` to `[B, 1 + N, W]`.
    fn decoder_tokens(&self, y: Tensor<3>, shown: usize, batch: &MaskedBatch, device: &Device) -> Tensor<3> {
        let (width, rows, prefix) = (self.config.decoder_width, batch.num_patches, self.encoder.num_prefix());
        if let (Some(mask_token), true) = (&self.decoder.mask_token, kernel::is_fused_on_gpu(&y)) {
            let order = batch.tokens(shown, Lead::Rows(prefix));
            if let Some(tokens) = kernel::cube::tokens(&y, &mask_token.val(), &self.decoder.pos_embed.val(), &order) {
                return tokens;
            }
        }
        let cls = y.clone().narrow(1, 0, 1) + self.decoder.pos_embed.val().narrow(1, 0, 1);
        let mut tokens = y.narrow(1, prefix, shown);
        if let Some(mask_token) = &self.decoder.mask_token {
            tokens = Tensor::cat(vec![tokens, mask_token.val().expand([batch.batch, rows - shown, width])], 1);
        }
        let tokens = tokens + positions(&self.decoder.pos_embed, batch, rows, device);
        Tensor::cat(vec![cls, tokens], 1)
    }
}

/// The position codes of the first `count` tokens of every sample: `[B, count, W]`.
fn positions(table: &Param<Tensor<3>>, batch: &MaskedBatch, count: usize, device: &Device) -> Tensor<3> {
    let table = table.val();
    let [_, rows, width] = table.dims();
    table.reshape([rows, width]).select(0, batch.places(0, count, device) + 1).reshape([batch.batch, count, width])
}
