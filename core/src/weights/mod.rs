//! Weights on disk: timm's names and layouts in safetensors, with the recipe that made them in the metadata; folders of Hugging Face; and
//! checkpoints that the papers' own code and timm wrote.

#[cfg(test)]
mod dino_parity;
mod dtype;
pub mod export;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
pub mod golden;
mod hugging_face;
pub mod inspection;
pub mod model_file;
mod narrow;
mod onnx;
pub mod parameters;
pub mod precision;
mod published;
pub mod safetensors_file;
mod source;
mod tensors;
pub(crate) mod torch_file;
