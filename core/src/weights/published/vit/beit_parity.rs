//! Parity with Hugging Face transformers and timm on the same weights under the names of the papers' own code: BEiT, SimMIM, data2vec,
//! MaskFeat, I-JEPA and networks without a class token. `tests/golden/make_beit_files.py` makes the files and what is expected of them.

use super::super::fixtures::{golden_folder, images, open};
use super::parity::{check_features, network};
use crate::inspect::encoder::{Images, Pool, Query, attention, features};
use crate::inspect::reconstruct::reconstruct;
use crate::mask::{Grid, Mask};
use crate::method::{Network, Task};
use crate::recipe::Recipe;
use crate::weights::golden::{self, assert_close};
use crate::weights::inspection::inspect;
use crate::weights::model_file::{Weights, WeightsKind};
use crate::weights::safetensors_file::{HostTensor, TensorMap};

fn expected() -> TensorMap {
    golden::read("torch/beit_expected")
}

fn best(weights: &Weights) -> Network {
    network(weights, WeightsKind::Best)
}

/// What a file's network predicts of hidden patches is what is expected of `name`.
fn check_prediction(network: &Network, recipe: &Recipe, name: &str) {
    let expected = expected();
    let (mask, want) = (&expected[&format!("{name}/mask")], &expected[&format!("{name}/prediction")]);
    let grid = recipe.grid();
    let masks: Vec<Mask> = mask
        .values
        .chunks_exact(grid.len())
        .map(|hidden| Mask::in_raster_order(Grid::still(grid.rows, grid.cols), hidden.iter().map(|&hidden| hidden > 0.0).collect()))
        .collect();
    let drawn = reconstruct(network, &Task::new(recipe).unwrap(), &images(recipe).values, &masks).unwrap();
    let width = want.shape[2];
    assert_eq!(drawn.prediction.len(), want.values.len(), "{name}");
    let hidden = |values: &[f32]| -> Vec<f32> {
        let rows = values.chunks_exact(width).zip(masks.iter().flat_map(|mask| &mask.masked));
        rows.filter(|(_, hidden)| **hidden).flat_map(|(row, _)| row.to_vec()).collect()
    };
    let want = hidden(&want.values);
    assert_close(name, &hidden(&drawn.prediction), &HostTensor::new([want.len()], want), 1e-5);
}

fn left_over(weights: &Weights) -> Vec<(String, String)> {
    inspect(&weights.path).unwrap().left_over.into_iter().map(|tensor| (tensor.name, tensor.why)).collect()
}

#[test]
fn beit_with_its_words() {
    let weights = open("beit.pth");
    let recipe = &weights.recipe;
    assert_eq!((recipe.method.as_str(), weights.encoder_alone, recipe.target.count("codes")), ("beit", None, 20));
    assert_eq!((&recipe.data.mean[..], recipe.backbone.sizes.count("heads")), (&[0.5; 3][..], 3));
    let network = best(&weights);
    check_features(&network, recipe, "beit", &expected()["beit/features"]);
    check_prediction(&network, recipe, "beit");
    let left = left_over(&weights);
    assert!(left.len() == 1 && left[0].0.ends_with("relative_position_index") && left[0].1.contains("computed here"), "{left:?}");
}

#[test]
fn beit_that_was_trained_on_to_tell_classes() {
    let weights = open("beit_tuned.pth");
    assert_eq!((weights.recipe.method.as_str(), weights.encoder_alone), ("simmim", Some("BEiT encoder")));
    assert_eq!(weights.recipe.backbone.sizes.word("relative"), Some("own"));
    check_features(&best(&weights), &weights.recipe, "beit_tuned", &expected()["beit_tuned/features"]);
    assert!(left_over(&weights).iter().all(|(_, why)| why == "a classifier"));
}

#[test]
fn simmim_with_pixels_in_the_order_of_a_shuffle() {
    let weights = open("simmim.pth");
    assert_eq!((weights.recipe.method.as_str(), weights.encoder_alone), ("simmim", None));
    assert_eq!(weights.recipe.data.mean, [0.485, 0.456, 0.406]);
    let network = best(&weights);
    check_features(&network, &weights.recipe, "simmim", &expected()["simmim/features"]);
    check_prediction(&network, &weights.recipe, "simmim");
    assert!(inspect(&weights.path).unwrap().what.starts_with("SimMIM, backbone and head"));
}

#[test]
fn data2vec_and_its_average() {
    let weights = open("data2vec.pth");
    let recipe = &weights.recipe;
    assert_eq!((recipe.method.as_str(), weights.encoder_alone, recipe.target.count("layers")), ("data2vec", None, 1));
    let average = best(&weights);
    check_features(&average, recipe, "data2vec", &expected()["data2vec/features"]);
    check_prediction(&average, recipe, "data2vec");
    check_features(&network(&weights, WeightsKind::Raw), recipe, "data2vec's student", &expected()["data2vec/student"]);
}

#[test]
fn maskfeat_whose_last_norm_is_the_heads() {
    let weights = open("maskfeat.pth");
    let recipe = &weights.recipe;
    assert_eq!((recipe.method.as_str(), weights.encoder_alone, recipe.backbone.patch), ("maskfeat", None, 8));
    let network = best(&weights);
    check_features(&network, recipe, "maskfeat", &expected()["maskfeat/features"]);
    check_prediction(&network, recipe, "maskfeat");
    let left = left_over(&weights);
    assert!(left.len() == 1 && left[0].1.contains("computed here"), "{left:?}");
}

#[test]
fn ijepa_with_its_predictor_and_without_a_class_token() {
    let weights = open("ijepa.pth");
    let recipe = &weights.recipe;
    assert_eq!((recipe.method.as_str(), weights.encoder_alone, recipe.decoder.count("width")), ("ijepa", None, 8));
    assert_eq!(recipe.backbone.sizes.flag("class_token"), Some(false));
    let (average, student) = (best(&weights), network(&weights, WeightsKind::Raw));
    check_features(&average, recipe, "ijepa", &expected()["ijepa/features"]);
    check_features(&student, recipe, "ijepa's student", &expected()["ijepa/student"]);
    check_prediction(&student, recipe, "ijepa");
    let left = left_over(&weights);
    assert!(left.len() == 1 && left[0].1.contains("optimizer"), "{left:?}");
    assert_eq!(Pool::usual(&average), Pool::Mean);
    let refusal = features(&average, &images(recipe), -1, Pool::Cls).unwrap_err().to_string();
    assert!(refusal.contains("no class token"), "{refusal}");
    // Larger images get resized positions.
    let larger = Images { values: vec![0.1; 24 * 32 * 3], batch: 1, height: 24, width: 32 };
    let maps = attention(&average, &larger, -1).unwrap();
    assert_eq!((maps.prefix, maps.tokens, maps.grid), (0, 48, [6, 8]));
    assert_eq!(maps.query(0, 0, Query::Patch(5, 7)).unwrap().len(), 48);
}

#[test]
fn timms_network_without_a_class_token() {
    let weights = open("vit_gap.pth");
    assert_eq!((weights.recipe.method.as_str(), weights.encoder_alone), ("simmim", Some("classifier")));
    check_features(&best(&weights), &weights.recipe, "vit_gap", &expected()["vit_gap/features"]);
}

#[test]
fn folders_of_ijepa_and_data2vec() {
    for (folder, class, method) in [("ijepa", "IJepaModel", "ijepa"), ("data2vec", "Data2VecVisionModel", "simmim")] {
        let weights = Weights::open(&golden_folder().join("hugging_face").join(folder)).unwrap();
        assert_eq!((weights.recipe.method.as_str(), weights.encoder_alone), (method, Some(class)));
        let name = format!("folder_of_{folder}");
        check_features(&best(&weights), &weights.recipe, &name, &expected()[&format!("{name}/features")]);
    }
}
