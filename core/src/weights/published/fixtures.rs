//! The files and images that parity with other libraries is tested on.

use std::path::PathBuf;

use crate::inspect::encoder::Images;
use crate::recipe::Recipe;
use crate::weights::model_file::Weights;
use crate::weights::safetensors_file::HostTensor;

/// Where fixtures are.
pub fn golden_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden")
}

/// A checkpoint.
pub fn open(file: &str) -> Weights {
    Weights::open(&golden_folder().join("torch").join(file)).unwrap()
}

/// The two images, normalized as a recipe says.
pub fn images(recipe: &Recipe) -> Images {
    let pixels = (0..2).flat_map(|index| {
        let path = golden_folder().join(format!("hugging_face/vit/image_{index}.png"));
        image::open(path).unwrap().to_rgb8().into_raw()
    });
    let (mean, std) = recipe.data.normalization();
    let values = pixels.enumerate().map(|(place, value)| (f32::from(value) / 255.0 - mean[place % 3]) / std[place % 3]).collect();
    Images { values, batch: 2, height: 16, width: 16 }
}

/// A tensor without the rows of tokens before the patches.
pub fn of_patches(tensor: &HostTensor, prefix: usize) -> HostTensor {
    let [batch, tokens, width] = tensor.shape[..] else { panic!("features have three axes") };
    let rows = tensor.values.chunks_exact(tokens * width).flat_map(|image| image[prefix * width..].to_vec()).collect();
    HostTensor::new([batch, tokens - prefix, width], rows)
}
