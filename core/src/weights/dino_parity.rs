//! Parity of DINOv2's and DINOv3's networks with Hugging Face transformers and timm on the same weights and images, of the size that a network
//! is for and of others: features and attention. `tests/golden/make_dinov3_fixtures.py` makes the files and what is expected of them.

use std::path::PathBuf;

use burn::tensor::Device;

use super::golden::{self, assert_close};
use super::inspection::inspect;
use super::model_file::{Weights, WeightsKind};
use super::safetensors_file::{HostTensor, TensorMap};
use crate::inspect::encoder::{Images, Pool, attention, features};
use crate::recipe::Recipe;

fn at(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/dinos").join(name)
}

/// What is expected of an image of one size.
struct Expected<'a> {
    key: String,
    all: &'a TensorMap,
}

impl Expected<'_> {
    fn image(&self) -> Images {
        let HostTensor { shape, values } = &self.all[&format!("images.{}", self.key)];
        Images { values: values.clone(), batch: shape[0], height: shape[1], width: shape[2] }
    }

    fn attention(&self, layer: usize) -> &HostTensor {
        &self.all[&format!("attention.{}.{layer}", self.key)]
    }

    /// Features of some of the tokens.
    fn features(&self, first: usize, count: usize) -> HostTensor {
        let HostTensor { shape, values } = &self.all[&format!("features.{}", self.key)];
        HostTensor::new([1, count, shape[2]], values[first * shape[2]..(first + count) * shape[2]].to_vec())
    }
}

/// Opens a file or folder, holds it against what is expected of it, and gives its recipe.
fn check(file: &str, alone: &str) -> Recipe {
    let weights = Weights::open(&at(file)).unwrap();
    assert_eq!((weights.encoder_alone, weights.recipe.method.as_str()), (Some(alone), "dino"));
    assert_eq!(Recipe::from_toml(&weights.recipe.to_toml()).unwrap(), weights.recipe);
    let network = weights.network(WeightsKind::Best, &Device::flex()).unwrap();
    let all = golden::read(&format!("dinos/{}", file.trim_end_matches(".pth")));
    let sizes: Vec<_> = all.keys().filter_map(|name| name.strip_prefix("images.")).collect();
    assert_eq!(sizes, ["12x20", "16x16", "24x8"]);
    for key in sizes {
        let expected = Expected { key: key.to_owned(), all: &all };
        let images = expected.image();
        for layer in 0..2 {
            let (maps, want) = (attention(&network, &images, layer as i64).unwrap(), expected.attention(layer));
            assert_eq!(want.shape, [1, maps.heads, maps.tokens, maps.tokens], "{file}");
            assert_close(&format!("attention {layer} of {file} at {key}"), &maps.values, want, 1e-5);
        }
        let (prefix, patches) = (network.encoder().num_prefix(), images.height * images.width / 16);
        for (pool, first, count) in [(Pool::Cls, 0, 1), (Pool::Patches, prefix, patches)] {
            let have = features(&network, &images, -1, pool).unwrap();
            assert_close(&format!("{pool:?} of {file} at {key}"), &have, &expected.features(first, count), 1e-5);
        }
    }
    weights.recipe
}

/// The words of some of a recipe's settings of its backbone.
fn words<'a>(recipe: &'a Recipe, keys: [&str; 3]) -> [&'a str; 3] {
    keys.map(|key| recipe.backbone.sizes.word(key).unwrap())
}

const WORDS: [&str; 3] = ["mlp", "pos", "pos_resize"];

#[test]
fn dinov2_of_transformers() {
    let gated = check("dinov2_gated", "Dinov2Model");
    assert_eq!(words(&gated, WORDS), ["swiglu", "learned", "bicubic"]);
    assert_eq!(gated.data.std, [0.229, 0.224, 0.225]);
    let with_registers = check("dinov2_registers", "Dinov2WithRegistersModel");
    assert_eq!(words(&with_registers, WORDS), ["gelu", "learned", "antialiased"]);
    let sizes = &with_registers.backbone.sizes;
    assert_eq!((sizes.count("registers"), sizes.number("eps"), sizes.flag("key_bias")), (3, Some(1e-6), Some(false)));
}

#[test]
fn dinov3_of_transformers() {
    let plain = check("dinov3", "DINOv3ViTModel");
    assert_eq!(words(&plain, ["mlp", "pos", "relative"]), ["gelu", "rope", "none"]);
    let sizes = &plain.backbone.sizes;
    assert_eq!((sizes.count("registers"), sizes.number("eps"), sizes.flag("key_bias")), (2, Some(1e-5), Some(false)));
    let gated = check("dinov3_gated", "DINOv3ViTModel").backbone.sizes;
    assert_eq!((gated.word("mlp"), gated.number("rope_base"), gated.flag("key_bias")), (Some("swiglu"), Some(50.0), Some(true)));
}

#[test]
fn dinov2_of_its_own_code() {
    assert_eq!(words(&check("dinov2_own.pth", "DINOv2 backbone"), WORDS), ["swiglu", "learned", "offset"]);
    assert_eq!(words(&check("dinov2_own_registers.pth", "DINOv2 backbone"), WORDS), ["gelu", "learned", "antialiased"]);
}

#[test]
fn dinov3_of_its_own_code() {
    let plain = check("dinov3_own.pth", "DINOv3 backbone").backbone.sizes;
    assert_eq!((plain.count("heads"), plain.number("rope_base"), plain.flag("key_bias")), (2, Some(100.0), Some(false)));
    assert_eq!(check("dinov3_own_gated.pth", "DINOv3 backbone").backbone.sizes.word("mlp"), Some("swiglu"));
    let inspection = inspect(&at("dinov3_own_gated.pth")).unwrap();
    let left: Vec<(&str, &str)> = inspection.left_over.iter().map(|tensor| (&*tensor.name, &*tensor.why)).collect();
    let names = ["local_cls_norm.bias", "local_cls_norm.weight", "mask_token", "rope_embed.periods"];
    assert_eq!(left.iter().map(|(name, _)| *name).collect::<Vec<_>>(), names);
    assert!(left[0].1.contains("training alone") && left[3].1.contains("base"), "{left:?}");
    let made = |ours: &str| inspection.mapped.iter().find(|tensor| tensor.ours == ours).map(|tensor| tensor.theirs.clone());
    assert!(made("blocks.1.attn.qkv.bias").unwrap().contains("bias_mask"));
    let fc1 = made("blocks.0.mlp.fc1.weight").unwrap();
    assert!(fc1.find("blocks.0.mlp.w1.weight") < fc1.find("blocks.0.mlp.w2.weight"), "{fc1}");
}
