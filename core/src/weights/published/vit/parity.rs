//! Parity with a plain PyTorch transformer on the same files and images: features, attention, DINO's answers, MAE's prediction.
//! `tests/golden/make_torch_fixtures.py` makes the files and what is expected of them.

use burn::tensor::{Device, Tensor, TensorData};

use super::super::fixtures::{images, of_patches, open};
use crate::backbone::patch_embed::patchify;
use crate::inspect::encoder::{Images, Pool, attention, features};
use crate::inspect::reconstruct::reconstruct;
use crate::mask::{Grid, Mask};
use crate::method::{Network, Task};
use crate::recipe::Recipe;
use crate::weights::golden::{self, assert_close};
use crate::weights::inspection::inspect;
use crate::weights::model_file::{Weights, WeightsKind, to_host};
use crate::weights::safetensors_file::{HostTensor, TensorMap};

/// Features and attention of a file's network are those that are expected of `name`.
fn check(network: &Network, recipe: &Recipe, name: &str) -> TensorMap {
    let all = golden::read("torch/expected");
    let expected: TensorMap =
        all.into_iter().filter_map(|(key, tensor)| Some((key.strip_prefix(&format!("{name}/"))?.to_owned(), tensor))).collect();
    let images = images(recipe);
    let (have, want) =
        (attention(network, &Images { values: images.values[..768].to_vec(), batch: 1, ..images }, -1).unwrap(), &expected["attention"]);
    assert_eq!(want.shape, [1, have.heads, have.tokens, have.tokens], "{name}");
    assert_close(name, &have.values, want, 1e-5);
    check_features(network, recipe, name, &expected["features"]);
    expected
}

pub(super) fn check_features(network: &Network, recipe: &Recipe, name: &str, want: &HostTensor) {
    let want = of_patches(want, network.encoder().num_prefix());
    assert_close(name, &features(network, &images(recipe), -1, Pool::Patches).unwrap(), &want, 1e-5);
}

pub(super) fn network(weights: &Weights, kind: WeightsKind) -> Network {
    weights.network(kind, &Device::flex()).unwrap()
}

#[test]
fn dino_with_student_teacher_and_heads() {
    let weights = open("dino_full.pth");
    let recipe = &weights.recipe;
    assert_eq!((recipe.method.as_str(), weights.encoder_alone, recipe.decoder.count("prototypes")), ("dino", None, 7));
    let teacher = network(&weights, WeightsKind::Best);
    let expected = check(&teacher, recipe, "dino_full");
    check_features(&network(&weights, WeightsKind::Raw), recipe, "the student", &expected["student"]);
    let patches: Vec<f32> = images(recipe).values.chunks_exact(768).flat_map(|image| patchify(image, 16, 16, 3, 4)).collect();
    let patches = Tensor::from_data(TensorData::new(patches, [2, 16, 48]), &Device::flex());
    let model = teacher.views().unwrap();
    let answers =
        model.head.prototypes().unwrap().forward(model.features(patches, [4, 4], None, crate::backbone::batch_norm::Statistics::Running));
    assert_close("answers", &to_host(answers).unwrap(), &expected["answers"], 1e-5);
    let left: Vec<String> = inspect(&weights.path).unwrap().left_over.into_iter().map(|tensor| tensor.name).collect();
    assert_eq!(left, ["dino_loss.center", "optimizer.state.0.exp_avg", "optimizer.state.0.step"]);
}

#[test]
fn dinos_backbone_in_the_old_format() {
    let weights = open("dino_backbone.pth");
    assert_eq!((weights.encoder_alone, weights.recipe.method.as_str()), (Some("DINO backbone"), "dino"));
    check(&network(&weights, WeightsKind::Best), &weights.recipe, "dino_backbone");
    assert!(inspect(&weights.path).unwrap().format.contains("1.6"));
}

#[test]
fn mae_with_its_decoder() {
    let weights = open("mae_full.pth");
    let recipe = &weights.recipe;
    assert_eq!((recipe.method.as_str(), weights.encoder_alone, recipe.target.flag("norm_pix")), ("mae", None, Some(true)));
    let network = network(&weights, WeightsKind::Best);
    let expected = check(&network, recipe, "mae_full");
    let masks: Vec<Mask> = expected["mask"]
        .values
        .chunks_exact(16)
        .map(|hidden| Mask::in_raster_order(Grid::still(4, 4), hidden.iter().map(|&hidden| hidden > 0.0).collect()))
        .collect();
    let drawn = reconstruct(&network, &Task::new(recipe).unwrap(), &images(recipe).values, &masks).unwrap();
    let hidden = |values: &[f32]| -> Vec<f32> {
        let rows = values.chunks_exact(48).zip(masks.iter().flat_map(|mask| &mask.masked));
        rows.filter(|(_, hidden)| **hidden).flat_map(|(row, _)| row.to_vec()).collect()
    };
    let want = hidden(&expected["prediction"].values);
    assert_close("prediction", &hidden(&drawn.prediction), &HostTensor::new([want.len()], want), 1e-5);
    assert!(inspect(&weights.path).unwrap().left_over.is_empty());
}

#[test]
fn an_encoder_whose_positions_say_that_it_is_maes() {
    let weights = open("encoder_of_positions.pth");
    assert_eq!((weights.encoder_alone, weights.recipe.method.as_str()), (Some("MAE encoder"), "mae"));
    assert_eq!(weights.recipe.backbone.sizes.word("pos"), Some("sincos"));
    check(&network(&weights, WeightsKind::Best), &weights.recipe, "encoder_of_positions");
}

#[test]
fn moco_v3_in_numbers_of_sixteen_bits() {
    let weights = open("moco_v3.pth.tar");
    assert_eq!((weights.encoder_alone, weights.recipe.method.as_str()), (Some("MoCo v3 backbone"), "moco-v3"));
    check(&network(&weights, WeightsKind::Best), &weights.recipe, "moco_v3");
    assert!(network(&weights, WeightsKind::Raw).encoder().num_prefix() == 1);
}

#[test]
fn a_distillation_token_is_a_register() {
    let weights = open("deit_distilled.pth");
    assert_eq!(weights.encoder_alone, Some("DeiT"));
    check(&network(&weights, WeightsKind::Best), &weights.recipe, "deit_distilled");
    let left: Vec<String> = inspect(&weights.path).unwrap().left_over.into_iter().map(|tensor| tensor.why).collect();
    assert_eq!(left, ["a classifier"; 4]);
}

#[test]
fn a_network_saved_whole_is_its_parameters() {
    let weights = open("whole_module.pth");
    check(&network(&weights, WeightsKind::Best), &weights.recipe, "whole_module");
}
