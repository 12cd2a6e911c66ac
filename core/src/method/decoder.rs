//! What turns the encoder's output into predictions, and is thrown away after pre-training.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::masked_batch::{Lead, MaskedBatch};
use super::masked_model::{Hidden, MaskedConfig};
use crate::backbone::block::Block;
use crate::backbone::encoder::EncoderConfig;
use crate::backbone::linear::{LayerNorm, Linear, NORMAL_DEVIATION, normal, parameter};
use crate::backbone::pos_embed::{self, Resizing};
use crate::backbone::squares;
use crate::backbone::vit::{VitConfig, resized};
use crate::kernel::{self, Shared, Tokens};
use crate::random::Stream;

/// The sizes of a decoder.
#[derive(Debug, Clone, PartialEq)]
pub enum DecoderConfig {
    /// MAE's small transformer.
    Transformer {
        /// D
        width: usize,
        /// Number of blocks.
        depth: usize,
        /// Attention heads of each.
        heads: usize,
        /// The MLP's hidden width over D.
        mlp_ratio: f64,
        /// What norms add to the variance.
        eps: f64,
        /// Blocks are computed again in the backward pass.
        recompute: bool,
    },
    /// One linear layer.
    Linear,
}

/// A decoder.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one in a network, and Burn derives modules for no boxes")]
pub enum Decoder {
    /// MAE's small transformer.
    Transformer(TransformerDecoder),
    /// One linear layer.
    Linear(LinearDecoder),
}

/// MAE's decoder: encoded patches, and a learned mask token in each place where one is missing, through a few blocks.
#[derive(Module, Debug)]
pub struct TransformerDecoder {
    /// Encoder width to decoder width; of a packed pyramid to four times that, one for each visible unit of what a token stands for.
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

/// SimMIM's, BEiT's and MaskFeat's decoder.
#[derive(Module, Debug)]
pub struct LinearDecoder {
    /// From a token to what is predicted in its place: of a pyramid, for each patch of the square that its last tokens stand for, patches
    /// in raster order.
    pub pred: Linear,
}

impl DecoderConfig {
    /// Its initialization, a function of the stream.
    pub fn init(&self, network: &MaskedConfig, stream: &mut Stream, device: &Device) -> Decoder {
        let inputs = network.encoder.last_width();
        match *self {
            Self::Linear => {
                let outputs = network.encoder.stride() * network.encoder.stride() * network.prediction_width;
                Decoder::Linear(LinearDecoder {
                    pred: match &network.encoder {
                        EncoderConfig::Vit(vit) => vit.init.linear(inputs, outputs, stream, device),
                        _ => Linear::normal(inputs, outputs, stream, device),
                    },
                })
            }
            Self::Transformer { width, depth, heads, mlp_ratio, eps, recompute } => {
                let [rows, cols] = network.units();
                let blocks = VitConfig { mlp_ratio, eps, recompute, ..VitConfig::plain([rows, cols], [1, 1], [width, depth, heads]) };
                let has_token = network.hidden != Hidden::MaskTokens;
                let mask_token = has_token.then(|| parameter(normal(width, NORMAL_DEVIATION, stream), [1, 1, width], device));
                let per_token = if network.hidden == Hidden::Packed { 4 } else { 1 };
                let pos_embed = pos_embed::sincos_2d(width, rows, cols);
                Decoder::Transformer(TransformerDecoder {
                    embed: Linear::new(inputs, per_token * width, stream, device),
                    mask_token,
                    pos_embed: parameter(pos_embed, [1, 1 + rows * cols, width], device).set_require_grad(false),
                    blocks: (0..depth).map(|index| Block::new(&blocks, index, stream, device)).collect(),
                    norm: LayerNorm::with_eps(width, eps, device),
                    pred: Linear::new(width, network.prediction_width, stream, device),
                })
            }
        }
    }
}

impl Decoder {
    /// The same decoder for images of `to` units instead of `from`.
    pub fn for_grid(self, from: [usize; 2], to: [usize; 2]) -> Self {
        match self {
            Self::Transformer(decoder) if from != to => {
                Self::Transformer(TransformerDecoder { pos_embed: resized(&decoder.pos_embed, from, to, Resizing::Bicubic), ..decoder })
            }
            same => same,
        }
    }
}

impl TransformerDecoder {
    /// Predicts the batch's rows. Shapes: `encoded [B, prefix + n, D]` to `[B, R, prediction width]`.
    pub fn predict(&self, encoded: Tensor<3>, prefix: usize, batch: &MaskedBatch, device: &Device) -> Tensor<3> {
        if let (Some(blocks), Some(mask_token)) = (batch.blocks, &self.mask_token) {
            return self.of_blocks(encoded, prefix, mask_token.val(), blocks, batch, device);
        }
        let tokens = match &batch.compact {
            Some(_) => self.of_packed(encoded, batch, device),
            None => self.tokens(self.embed.forward(encoded), prefix, batch, device),
        };
        let lead = tokens.count() - batch.num_patches;
        let predicted = match self.mask_token {
            Some(_) => self.through(tokens, lead + batch.first_predicted),
            // The encoder has seen every place, so tokens stand in raster order.
            None => batch.pick(self.through(tokens, lead), device),
        };
        self.norm.then(&self.pred, predicted)
    }

    /// I-JEPA's predictor: of every target block by itself, from all that is shown and a mask token for each of its patches.
    fn of_blocks(
        &self,
        encoded: Tensor<3>,
        prefix: usize,
        mask_token: Tensor<3>,
        [count, size]: [usize; 2],
        batch: &MaskedBatch,
        device: &Device,
    ) -> Tensor<3> {
        let ([samples, tokens, _], table) = (encoded.dims(), self.pos_embed.val());
        let (shown, width) = (tokens - prefix, table.dims()[2]);
        let context = self.embed.forward(encoded).narrow(1, prefix, shown) + batch.positions(&table, shown, device);
        let context = context.reshape([samples, 1, shown, width]).repeat_dim(1, count).reshape([samples * count, shown, width]);
        let asked = (batch.predicted_positions(&table, device) + mask_token).reshape([samples * count, size, width]);
        let tokens = Tensor::cat(vec![context, asked], 1);
        let predicted = self.norm.then(&self.pred, self.through(Tokens::all(tokens), shown));
        let values = predicted.dims()[2];
        predicted.reshape([samples, count * size, values])
    }

    /// All blocks, of the last of which nobody reads tokens before the first that is named.
    fn through(&self, tokens: Tokens, first: usize) -> Tensor<3> {
        let Some((last, others)) = self.blocks.split_last() else { return Tokens { first, ..tokens }.read() };
        let tokens = others.iter().fold(tokens, |tokens, block| Tokens::all(block.forward_of(tokens)));
        last.forward_of(Tokens { first, ..tokens })
    }

    /// What the blocks get: the class token if the encoder has one, shown patches, and the mask token in each place where a patch is
    /// missing, with their positions. Shapes: `y [B, prefix + shown, W]` to `[B, 1 + N, W]`, or `[B, N, W]` without a class token.
    fn tokens(&self, y: Tensor<3>, prefix: usize, batch: &MaskedBatch, device: &Device) -> Tokens {
        let (table, shown) = (self.pos_embed.val(), y.dims()[1] - prefix);
        if let (Some(mask_token), true, 1..) = (&self.mask_token, kernel::is_fused_on_gpu(&y), prefix) {
            let order = batch.tokens(shown, Lead::Rows(prefix));
            if let Some(tokens) = kernel::cube::tokens(&y, &mask_token.val(), &table, &order) {
                return Tokens::all(tokens);
            }
        }
        let cls = (prefix > 0).then(|| y.clone().narrow(1, 0, 1) + table.clone().narrow(1, 0, 1));
        let tokens = y.narrow(1, prefix, shown);
        match &self.mask_token {
            Some(_) => self.completed(cls, tokens, batch, device),
            None => {
                let tokens = tokens + table.narrow(1, 1, batch.num_patches);
                Tokens::all(Tensor::cat(cls.into_iter().chain([tokens]).collect(), 1))
            }
        }
    }

    /// The same for a packed pyramid, which has no class token: each of its tokens becomes four, which lie in its place of the packed map
    /// (PixelShuffle). Shapes: `encoded [B, n, D]` to `[B, N, W]`.
    fn of_packed(&self, encoded: Tensor<3>, batch: &MaskedBatch, device: &Device) -> Tokens {
        let [samples, count, _] = encoded.dims();
        let width = self.pos_embed.dims()[2];
        let [rows, cols] = batch.units.map(|units| units / 4);
        let four: Tensor<6> = self.embed.forward(encoded).reshape([samples, rows, cols, width, 2, 2]);
        let tokens = four.permute([0, 1, 4, 2, 5, 3]).reshape([samples, 4 * count, width]);
        self.completed(None, tokens, batch, device)
    }

    /// Leading tokens, visible ones, and a mask token for every missing one, with their positions. Shapes: `[B, L, W]` with theirs and
    /// `[B, V, W]`, to `[B, L + N, W]`.
    ///
    /// Mask tokens in the same place are the same in all samples.
    fn completed(&self, lead: Option<Tensor<3>>, visible: Tensor<3>, batch: &MaskedBatch, device: &Device) -> Tokens {
        let ([samples, shown, width], table, patches) = (visible.dims(), self.pos_embed.val(), batch.num_patches);
        let leading = lead.as_ref().map_or(0, |lead| lead.dims()[1]);
        let own = leading + shown;
        if let Some(token) = &self.mask_token
            && kernel::fuses_blocks(&visible, samples)
            && samples * own + patches < samples * (leading + patches)
        {
            let visible = visible + batch.positions(&table, shown, device);
            let visible = Tensor::cat(lead.into_iter().chain([visible]).collect(), 1).reshape([1, samples * own, width]);
            let x = Tensor::cat(vec![visible, token.val() + table.narrow(1, 1, patches)], 1);
            let of_sample = |(sample, order): (usize, &[i32])| {
                let missing: Vec<u32> = order[shown..].iter().map(|&id| (samples * own) as u32 + id as u32).collect();
                ((sample * own) as u32..((sample + 1) * own) as u32).chain(missing)
            };
            let rows = batch.places().chunks_exact(patches).enumerate().flat_map(of_sample).collect();
            return Tokens { x, shared: Some(Shared::new(rows, leading + patches, samples * own + patches)), first: 0 };
        }
        let tokens = match &self.mask_token {
            Some(token) => Tensor::cat(vec![visible, token.val().expand([samples, patches - shown, width])], 1),
            None => visible,
        };
        let tokens = tokens + batch.positions(&table, patches, device);
        Tokens::all(Tensor::cat(lead.into_iter().chain([tokens]).collect(), 1))
    }
}

impl LinearDecoder {
    /// Predicts the batch's rows. Shapes: `tokens [B, n, D]`, those of `grid`, each of which stands for `stride`² patches, to
    /// `[B, R, prediction width]`.
    pub fn predict(&self, tokens: Tensor<3>, grid: [usize; 2], stride: usize, batch: &MaskedBatch, device: &Device) -> Tensor<3> {
        if stride == 1 {
            return self.pred.forward(batch.pick(tokens, device));
        }
        let [samples, count, _] = tokens.dims();
        let width = self.pred.weight.dims()[0] / (stride * stride);
        let patches = self.pred.forward(tokens).reshape([samples * count, stride * stride, width]);
        batch.pick(squares::join(patches, grid.map(|side| side * stride), stride), device)
    }
}
