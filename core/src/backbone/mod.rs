//! The networks that turn patches into features. Names of parameters and layouts are timm's, so that files need no conversion.

pub mod attention;
pub mod batch_norm;
pub mod block;
pub mod compact;
pub mod drop_path;
pub mod encoder;
pub mod init;
pub mod linear;
pub mod patch_embed;
pub mod patch_merging;
pub mod pos_embed;
pub mod pvt;
pub mod pvt_block;
pub mod pyramid_check;
pub mod relative_position;
pub mod resnet;
pub mod rotary;
pub mod score_bias;
pub mod squares;
pub mod swin;
pub mod table_resampling;
pub mod token_map;
pub mod vit;
pub mod window;
pub mod window_block;

#[cfg(test)]
mod pyramid_parity;
#[cfg(test)]
mod pyramid_tests;
#[cfg(test)]
mod resnet_tests;
