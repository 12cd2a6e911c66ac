//! The network of every masked method: an encoder that sees only what is visible, or a mask token in each hidden place, and a decoder
//! that predicts what is hidden.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::decoder::{Decoder, DecoderConfig};
use super::masked_batch::{Lead, MaskedBatch};
use crate::backbone::batch_norm::Statistics;
use crate::backbone::compact::Compact;
use crate::backbone::drop_path::DropPath;
use crate::backbone::encoder::{Encoder, EncoderConfig};
use crate::backbone::linear::{NORMAL_DEVIATION, normal, parameter};
use crate::backbone::rotary::Rotary;
use crate::backbone::token_map::TokenMap;
use crate::backbone::vit::Vit;
use crate::error::Result;
use crate::kernel;
use crate::random::Stream;

/// The sizes of a masked method's network.
#[derive(Debug, Clone, PartialEq)]
pub struct MaskedConfig {
    /// The encoder.
    pub encoder: EncoderConfig,
    /// The decoder.
    pub decoder: DecoderConfig,
    /// Numbers per predicted patch.
    pub prediction_width: usize,
    /// What the encoder gets of hidden patches.
    pub hidden: Hidden,
    /// Some visible patches are replaced by the mask token (UM-MAE's secondary masking).
    pub secondary_masking: bool,
}

/// What an encoder gets of hidden patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hidden {
    /// Nothing.
    Dropped,
    /// A mask token in the place of each.
    MaskTokens,
    /// Nothing; the visible units, one of each cell of 2×2, are packed into a map of half the size.
    Packed,
}

/// The whole network.
#[derive(Module, Debug)]
pub struct MaskedModel {
    /// The part that is kept.
    pub encoder: Encoder,
    /// `[1, 1, D]`, where the encoder sees one.
    pub mask_token: Option<Param<Tensor<3>>>,
    /// The part that predicts.
    pub decoder: Decoder,
    #[module(skip)]
    config: MaskedConfig,
}

impl MaskedConfig {
    /// The papers' initialization, a function of the stream.
    pub fn init(&self, stream: &mut Stream, device: &Device) -> MaskedModel {
        let encoder = self.encoder.init(stream, device);
        let width = self.encoder.first_width();
        let has_token = self.hidden == Hidden::MaskTokens || self.secondary_masking;
        let mask_token = has_token.then(|| match &self.encoder {
            EncoderConfig::Vit(vit) => parameter(vit.init.values(width, stream), [1, 1, width], device),
            _ => parameter(normal(width, NORMAL_DEVIATION, stream), [1, 1, width], device),
        });
        MaskedModel { encoder, mask_token, decoder: self.decoder.init(self, stream, device), config: self.clone() }
    }
}

impl MaskedModel {
    /// The sizes it was made with.
    pub fn config(&self) -> &MaskedConfig {
        &self.config
    }

    /// The same network for images of `grid` patches of the encoder.
    ///
    /// # Errors
    /// If the device fails to hand out a table of positions.
    pub fn for_grid(mut self, grid: [usize; 2]) -> Result<Self> {
        let before = self.config.units();
        self.encoder = self.encoder.for_grid(grid)?;
        self.config.encoder = self.encoder.config();
        self.decoder = self.decoder.for_grid(before, self.config.units());
        Ok(self)
    }

    /// Predicts the batch's rows `[B, R, prediction width]`, in the batch's order.
    pub fn predict(&self, batch: &MaskedBatch, drop_path: Option<&DropPath>, device: &Device) -> Tensor<3> {
        let encoded = self.encode(batch, drop_path, device);
        let prefix = self.encoder.num_prefix();
        match &self.decoder {
            Decoder::Transformer(decoder) => decoder.predict(encoded, prefix, batch, device),
            Decoder::Linear(decoder) => {
                let patches = encoded.dims()[1] - prefix;
                decoder.predict(encoded.narrow(1, prefix, patches), self.config.last_grid(), self.config.encoder.stride(), batch, device)
            }
        }
    }

    /// What leaves the encoder: `[B, prefix + n, D]`.
    fn encode(&self, batch: &MaskedBatch, drop_path: Option<&DropPath>, device: &Device) -> Tensor<3> {
        let patches = batch.patches(device);
        match &self.encoder {
            Encoder::Vit(vit) => {
                let tokens = self.hide(vit.patch_embed.forward(patches), batch, device);
                if self.config.hidden == Hidden::MaskTokens {
                    return vit.encode(vit.with_prefix(tokens + vit.pos_embed.val().narrow(1, 1, batch.num_patches)), drop_path);
                }
                let turns = vit.turns(vit.config().grid, device).map(|table| batch.positions(&table, batch.visible, device));
                let rotary = turns.map(|turns| Rotary::behind(vit.num_prefix(), &turns));
                vit.encode_turned(self.visible_tokens(vit, tokens, batch, device), rotary, drop_path)
            }
            Encoder::Swin(swin) => {
                let tokens = swin.tokens(patches);
                let tokens = match (&batch.compact, &self.mask_token) {
                    // UM-MAE's token passes the norm of the patch embedding, SimMIM's comes after it.
                    (Some(_), Some(token)) => replaced(tokens, swin.patch_embed.norm.forward(token.val()), batch.hidden(device)),
                    _ => self.hide(tokens, batch, device),
                };
                swin.encode(tokens, &map_of(&batch.compact, swin.whole_map()), drop_path)
            }
            Encoder::Pvt(pvt) => {
                let tokens = self.hide(pvt.tokens(patches), batch, device);
                pvt.encode(tokens, &map_of(&batch.compact, pvt.whole_map()), drop_path)
            }
            // Recipes refuse to mask what a residual network sees.
            Encoder::ResNet(resnet) => resnet.encode(patches, resnet.config().grid, Statistics::on(device)),
        }
    }

    /// Puts the mask token in the place of tokens that the batch hides from the encoder.
    fn hide(&self, tokens: Tensor<3>, batch: &MaskedBatch, device: &Device) -> Tensor<3> {
        match &self.mask_token {
            Some(token) => replaced(tokens, token.val(), batch.hidden(device)),
            None => tokens,
        }
    }

    /// The visible tokens with their positions, prefix in front: `[B, prefix + V, D]`.
    fn visible_tokens(&self, vit: &Vit, tokens: Tensor<3>, batch: &MaskedBatch, device: &Device) -> Tensor<3> {
        if let (Some(cls_token), true, 1) = (&vit.cls_token, kernel::is_fused_on_gpu(&tokens), vit.num_prefix()) {
            let order = batch.tokens(batch.visible, Lead::Learned);
            if let Some(tokens) = kernel::cube::tokens(&tokens, &cls_token.val(), &vit.pos_embed.val(), &order) {
                return tokens;
            }
        }
        vit.with_prefix(tokens + batch.positions(&vit.pos_embed.val(), batch.visible, device))
    }
}

impl MaskedConfig {
    /// Down and across, what is masked and predicted as a whole: patches, or the units of a packed pyramid.
    pub fn units(&self) -> [usize; 2] {
        let side = if self.hidden == Hidden::Packed { (self.encoder.stride() / 2).max(1) } else { 1 };
        self.encoder.grid().map(|patches| patches / side)
    }

    /// Tokens down and across of what leaves the encoder.
    pub fn last_grid(&self) -> [usize; 2] {
        let packed = if self.hidden == Hidden::Packed { 2 } else { 1 };
        self.encoder.grid().map(|patches| patches / self.encoder.stride() / packed)
    }
}

fn map_of(compact: &Option<Compact>, whole: TokenMap) -> TokenMap {
    compact.as_ref().map_or(whole, Compact::map)
}

/// Tokens with another in the place of those that are hidden. Shapes: `tokens [B, n, D]`, `token [1, 1, D]`, `hidden [B, n, 1]`, 1 where one is.
pub(super) fn replaced(tokens: Tensor<3>, token: Tensor<3>, hidden: Option<Tensor<3>>) -> Tensor<3> {
    let Some(hidden) = hidden else { return tokens };
    tokens * (hidden.clone() * -1.0 + 1.0) + token * hidden
}
