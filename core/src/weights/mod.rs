//! Weights on disk: timm's names and layouts in safetensors, with the recipe that made them in the metadata; and folders of Hugging Face.

#[cfg(test)]
pub mod golden;
mod hugging_face;
pub mod model_file;
pub mod parameters;
pub mod safetensors_file;
