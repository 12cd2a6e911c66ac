//! The networks that turn patches into features. Names of parameters and layouts are timm's, so that files need no conversion.

pub mod attention;
pub mod block;
pub mod drop_path;
pub mod linear;
pub mod patch_embed;
pub mod pos_embed;
pub mod vit;
