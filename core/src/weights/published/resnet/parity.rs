//! Parity with torchvision's blocks on the same files and images: maps that leave the last stage, and the heads' answers.
//! `tests/golden/make_resnet_files.py` makes the files and what is expected of them.

use burn::tensor::{Device, Tensor, TensorData};

use super::super::fixtures::{golden_folder, open};
use crate::backbone::batch_norm::Statistics;
use crate::inspect::encoder::{Images, Pool, features};
use crate::method::Network;
use crate::recipe::Recipe;
use crate::weights::golden::{self, assert_close};
use crate::weights::inspection::inspect;
use crate::weights::model_file::{Weights, WeightsKind, to_host};
use crate::weights::safetensors_file::HostTensor;

/// Pixels along the side of an image in the fixture, and of the square that each becomes.
const SIDE: usize = 16;
const TIMES: usize = 3;

fn expected(name: &str) -> HostTensor {
    golden::read("torch/expected_resnet").remove(name).unwrap_or_else(|| panic!("no {name}"))
}

/// The two images, enlarged, and normalized as a recipe says.
fn images(recipe: &Recipe) -> Images {
    let (mean, std) = recipe.data.normalization();
    let side = SIDE * TIMES;
    let values = (0..2).flat_map(|index| {
        let path = golden_folder().join(format!("hugging_face/vit/image_{index}.png"));
        let pixels = image::open(path).unwrap().to_rgb8().into_raw();
        let (mean, std) = (mean.clone(), std.clone());
        (0..side * side * 3).map(move |place| {
            let (row, col, channel) = (place / (side * 3), place / 3 % side, place % 3);
            let value = pixels[(row / TIMES * SIDE + col / TIMES) * 3 + channel];
            (f32::from(value) / 255.0 - mean[channel]) / std[channel]
        })
    });
    Images { values: values.collect(), batch: 2, height: side, width: side }
}

/// The weights of a kind make maps of the images as is expected.
fn check(weights: &Weights, kind: WeightsKind, name: &str) -> Network {
    let network = weights.network(kind, &Device::flex()).unwrap();
    let maps = features(&network, &images(&weights.recipe), -1, Pool::Patches).unwrap();
    assert_close(name, &maps, &expected(&format!("{name}/maps")), 1e-5);
    network
}

/// One feature of each image.
fn pooled(network: &Network, recipe: &Recipe) -> Tensor<2> {
    let images = images(recipe);
    let pixels = Tensor::from_data(TensorData::new(images.values, [2, images.height * images.width, 3]), &Device::flex());
    network.views().unwrap().features(pixels, [images.height, images.width], None, Statistics::Running)
}

#[test]
fn moco_with_both_encoders_and_its_head() {
    let weights = open("moco_resnet.pth.tar");
    let recipe = &weights.recipe;
    assert_eq!((recipe.method.as_str(), weights.encoder_alone), ("moco-v2", None));
    assert_eq!(["layers", "hidden", "width"].map(|key| recipe.decoder.count(key)), [2, 8, 6]);
    for (kind, name) in [(WeightsKind::Best, "moco"), (WeightsKind::Raw, "moco_raw")] {
        let network = check(&weights, kind, name);
        let answers = network.views().unwrap().head.projector().unwrap().project(pooled(&network, recipe));
        assert_close("answers", &to_host(answers).unwrap(), &expected(&format!("{name}/answers")), 1e-5);
    }
    let found = inspect(&weights.path).unwrap();
    assert_eq!(found.what, "MoCo v2, backbone and head, and its running average");
    let others = found.left_over.iter().filter(|tensor| !tensor.name.ends_with("num_batches_tracked"));
    assert_eq!(others.map(|tensor| &*tensor.name).collect::<Vec<_>>(), ["state_dict.module.queue", "state_dict.module.queue_ptr"]);
    assert!(found.left_over.iter().all(|tensor| tensor.why.contains("batches")));
    assert!(found.missing.is_empty(), "{:?}", found.missing);
}

#[test]
fn swav_with_its_prototypes() {
    let weights = open("swav_resnet.pth.tar");
    let recipe = &weights.recipe;
    assert_eq!((recipe.method.as_str(), weights.encoder_alone), ("swav", None));
    assert_eq!((recipe.backbone.sizes.count("inner"), recipe.decoder.count("prototypes")), (2, 7));
    assert_eq!(recipe.data.std, [0.228, 0.224, 0.225]);
    let network = check(&weights, WeightsKind::Best, "swav");
    let answers = network.views().unwrap().head.prototypes().unwrap().forward(pooled(&network, recipe));
    assert_close("answers", &to_host(answers).unwrap(), &expected("swav/answers"), 1e-5);
}

#[test]
fn byol_as_children_of_networks_for_small_images() {
    let weights = open("byol_resnet.ckpt");
    let recipe = &weights.recipe;
    assert_eq!((recipe.method.as_str(), weights.encoder_alone, recipe.data.image), ("byol", None, [32, 32]));
    assert_eq!(recipe.backbone.sizes.word("stem"), Some("small"));
    check(&weights, WeightsKind::Best, "byol");
    check(&weights, WeightsKind::Raw, "byol_raw");
    assert!(inspect(&weights.path).unwrap().notes.iter().any(|note| note.contains("predictor")));
}
