//! Weights on disk: timm's names and layouts in safetensors, with the recipe that made them in the metadata.

#[cfg(test)]
pub mod golden;
pub mod model_file;
pub mod parameters;
pub mod safetensors_file;
