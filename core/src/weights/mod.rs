//! Weights on disk: timm's names and layouts in safetensors, with the recipe that made them in the metadata; folders of Hugging Face; and
//! checkpoints that the papers' own code and timm wrote.

pub mod export;
#[cfg(test)]
pub mod golden;
mod hugging_face;
pub mod inspection;
pub mod model_file;
pub mod parameters;
pub mod precision;
mod published;
pub mod safetensors_file;
pub(crate) mod torch_file;
