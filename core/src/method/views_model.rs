//! The network of methods that compare views of an image: an encoder, and a head that is thrown away after pre-training.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::head::{Head, HeadConfig, PatchHead};
use super::masked_model::replaced;
use super::prototypes::PrototypeHead;
use crate::backbone::batch_norm::Statistics;
use crate::backbone::drop_path::DropPath;
use crate::backbone::encoder::{Encoder, EncoderConfig};
use crate::backbone::linear::parameter;
use crate::error::{Error, Result};
use crate::random::Stream;

/// The sizes of such a network.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewsConfig {
    /// The encoder.
    pub encoder: EncoderConfig,
    /// The head.
    pub head: HeadConfig,
    /// What hidden patches are told by.
    pub patch_head: PatchHead,
}

/// The whole network.
#[derive(Module, Debug)]
pub struct ViewsModel {
    /// The part that is kept.
    pub encoder: Encoder,
    /// What turns a feature into an answer.
    pub head: Head,
    /// `[1, 1, D]`: what stands in the place of hidden patches, where there are any; it starts at zero, as iBOT's.
    pub mask_token: Option<Param<Tensor<3>>>,
    /// What turns a patch into an answer, where the head does not.
    pub patch_head: Option<PrototypeHead>,
}

impl ViewsConfig {
    /// The papers' initialization, a function of the stream.
    pub fn init(&self, stream: &mut Stream, device: &Device) -> ViewsModel {
        let (encoder, head, width) = (self.encoder.init(stream, device), self.head.init(stream, device), self.encoder.first_width());
        let patch_head = match (self.patch_head, &self.head) {
            (PatchHead::Own, HeadConfig::Prototypes(config)) => Some(config.init(stream, device)),
            _ => None,
        };
        let hides = self.patch_head != PatchHead::Absent;
        ViewsModel { encoder, head, mask_token: hides.then(|| parameter(vec![0.0; width], [1, 1, width], device)), patch_head }
    }
}

impl ViewsModel {
    /// The same network for images of `grid` patches.
    ///
    /// # Errors
    /// If the device fails to hand out a table of positions.
    pub fn for_grid(self, grid: [usize; 2]) -> Result<Self> {
        Ok(Self { encoder: self.encoder.for_grid(grid)?, ..self })
    }

    /// One feature of each image: its class token, or the mean of the last stage's tokens where there is none. Images of another size
    /// than the encoder's get positions in between. Batches are normalized by the given statistics where they are. Shapes:
    /// `patches [B, N, P·P·C]` of `grid` to `[B, D]`.
    pub fn features(&self, patches: Tensor<3>, grid: [usize; 2], drop_path: Option<&DropPath>, statistics: Statistics) -> Tensor<2> {
        let tokens = match &self.encoder {
            Encoder::Vit(vit) if vit.cls_token.is_some() => vit.encode_class(vit.tokens_on(patches, grid), grid, drop_path),
            Encoder::Vit(vit) => vit.encode_on(vit.tokens_on(patches, grid), grid, drop_path),
            Encoder::Swin(swin) => swin.encode(swin.tokens(patches), &swin.whole_map(), drop_path),
            Encoder::Pvt(pvt) => pvt.encode(pvt.tokens(patches), &pvt.whole_map(), drop_path),
            Encoder::ResNet(resnet) => resnet.encode(patches, grid, statistics),
        };
        let [batch, _, width] = tokens.dims();
        let feature = if self.encoder.num_prefix() > 0 { tokens.narrow(1, 0, 1) } else { tokens.mean_dim(1) };
        feature.reshape([batch, width])
    }

    /// One feature of each image, as [`ViewsModel::features`] gives it, and all of its patches. `hidden` is 1 where a patch is the mask
    /// token. Shapes: `patches [B, N, P·P·C]` of the encoder's own grid, `hidden [B, N, 1]` to `[B, D]` and `[B, N, D]`.
    ///
    /// # Errors
    /// If the encoder is no plain transformer, whose patches keep their places.
    pub fn features_and_patches(
        &self,
        patches: Tensor<3>,
        hidden: Option<Tensor<3>>,
        drop_path: Option<&DropPath>,
    ) -> Result<(Tensor<2>, Tensor<3>)> {
        let Encoder::Vit(vit) = &self.encoder else {
            return Err(Error::Usage("only a plain transformer says something of single patches".into()));
        };
        let tokens = vit.patch_embed.forward(patches);
        let tokens = match &self.mask_token {
            Some(token) => replaced(tokens, token.val(), hidden),
            None => tokens,
        };
        let [batch, count, width] = tokens.dims();
        let tokens = vit.encode(vit.with_prefix(tokens + vit.pos_embed.val().narrow(1, 1, count)), drop_path);
        let patches = tokens.clone().narrow(1, vit.num_prefix(), count);
        let feature = if vit.cls_token.is_some() { tokens.narrow(1, 0, 1) } else { patches.clone().mean_dim(1) };
        Ok((feature.reshape([batch, width]), patches))
    }

    /// What patches are told by.
    ///
    /// # Errors
    /// If nothing has prototypes.
    pub fn patch_prototypes(&self) -> Result<&PrototypeHead> {
        self.patch_head.as_ref().map_or_else(|| self.head.prototypes(), Ok)
    }
}
