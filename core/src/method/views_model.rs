//! The network of methods that compare views of an image: an encoder, and a head that is thrown away after pre-training.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::head::{Head, HeadConfig};
use crate::backbone::batch_norm::Statistics;
use crate::backbone::drop_path::DropPath;
use crate::backbone::encoder::{Encoder, EncoderConfig};
use crate::error::Result;
use crate::random::Stream;

/// The sizes of such a network.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewsConfig {
    /// The encoder.
    pub encoder: EncoderConfig,
    /// The head.
    pub head: HeadConfig,
}

/// The whole network.
#[derive(Module, Debug)]
pub struct ViewsModel {
    /// The part that is kept.
    pub encoder: Encoder,
    /// What turns a feature into an answer.
    pub head: Head,
}

impl ViewsConfig {
    /// The papers' initialization, a function of the stream.
    pub fn init(&self, stream: &mut Stream, device: &Device) -> ViewsModel {
        ViewsModel { encoder: self.encoder.init(stream, device), head: self.head.init(stream, device) }
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
            Encoder::Vit(vit) => vit.encode_class(vit.tokens_on(patches, grid), drop_path),
            Encoder::Swin(swin) => swin.encode(swin.tokens(patches), &swin.whole_map(), drop_path),
            Encoder::Pvt(pvt) => pvt.encode(pvt.tokens(patches), &pvt.whole_map(), drop_path),
            Encoder::ResNet(resnet) => resnet.encode(patches, grid, statistics),
        };
        let [batch, _, width] = tokens.dims();
        let feature = if self.encoder.num_prefix() > 0 { tokens.narrow(1, 0, 1) } else { tokens.mean_dim(1) };
        feature.reshape([batch, width])
    }
}
