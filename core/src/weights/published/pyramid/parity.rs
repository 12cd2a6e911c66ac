//! Parity with timm and transformers on the same files and images. `tests/golden/make_pyramid_files.py` makes the files and what is expected
//! of them.

use burn::tensor::Device;

use super::super::fixtures::{golden_folder, images, of_patches, open};
use crate::inspect::encoder::{Pool, features};
use crate::inspect::reconstruct::reconstruct;
use crate::mask::{Grid, Mask};
use crate::method::{Network, Task};
use crate::npy;
use crate::weights::golden::{self, assert_close};
use crate::weights::inspection::inspect;
use crate::weights::model_file::{Weights, WeightsKind};
use crate::weights::safetensors_file::read;

fn network(weights: &Weights) -> Network {
    weights.network(WeightsKind::Best, &Device::flex()).unwrap()
}

/// Features of patches are those that are expected of `name`.
#[track_caller]
fn check(weights: &Weights, name: &str) {
    let (network, expected) = (network(weights), golden::read("torch/expected_pyramids"));
    let want = &expected[&format!("{name}/features")];
    let want = of_patches(want, network.encoder().num_prefix());
    assert_close(name, &features(&network, &images(&weights.recipe), -1, Pool::Patches).unwrap(), &want, 1e-5);
}

#[test]
fn timms_swin_merges_where_a_stage_begins() {
    let weights = open("swin_timm.pth");
    assert_eq!((weights.recipe.data.image, weights.encoder_alone), ([16; 2], Some("Swin classifier")));
    check(&weights, "swin_timm");
}

#[test]
fn swins_own_code_merges_where_a_stage_ends() {
    let weights = open("swin_official.pth");
    let sizes = &weights.recipe.backbone.sizes;
    assert_eq!((weights.recipe.data.image, sizes.count("window"), sizes.counts("heads")), ([16; 2], 2, vec![1, 2]));
    check(&weights, "swin_official");
    let found = inspect(&weights.path).unwrap();
    let computed = found.left_over.iter().filter(|tensor| tensor.why.contains("computed here")).count();
    assert_eq!((computed, found.left_over.len(), found.notes.len()), (6, 8, 0));
}

#[test]
fn simmims_swin_is_that_of_the_folder_with_its_decoder() {
    let (weights, expected) = (open("simmim_swin.pth"), golden::read("hugging_face/swin"));
    assert_eq!((weights.encoder_alone, weights.recipe.data.image), (None, [16; 2]));
    let folder = Weights::open(&golden_folder().join("hugging_face/swin")).unwrap();
    for name in ["mask_token", "decoder.pred.weight", "layers.0.blocks.1.attn.qkv.bias", "layers.1.downsample.reduction.weight"] {
        assert_eq!(weights.tensor(name).unwrap(), folder.tensor(name).unwrap(), "{name}");
    }
    let network = network(&weights);
    let (_, hidden) = npy::read_bool(&golden_folder().join("hugging_face/swin/masks.npy")).unwrap();
    let masks: Vec<Mask> = hidden.chunks_exact(64).map(|hidden| Mask::in_raster_order(Grid::still(8, 8), hidden.to_vec())).collect();
    let drawn = reconstruct(&network, &Task::new(&weights.recipe).unwrap(), &expected["images"].values, &masks).unwrap();
    assert_close("prediction", &drawn.prediction, &expected["prediction"], 1e-5);
    assert_close("loss", &[drawn.loss as f32], &expected["loss"], 1e-5);
    let left: Vec<String> = inspect(&weights.path).unwrap().left_over.into_iter().map(|tensor| tensor.why).collect();
    assert_eq!(left, ["state of the optimizer"; 2]);
}

#[test]
fn pvts_own_code_and_its_folder() {
    let weights = open("pvt.pth");
    assert_eq!((weights.encoder_alone, weights.recipe.backbone.sizes.counts("reductions")), (Some("PVT classifier"), vec![2, 1, 1]));
    check(&weights, "pvt");
    let folder = golden_folder().join("hugging_face/pvt");
    let weights = Weights::open(&folder).unwrap();
    assert_eq!((weights.encoder_alone, weights.recipe.backbone.sizes.counts("heads")), (Some("PvtModel"), vec![1, 2, 4]));
    check(&weights, "pvt_folder");
    let theirs = read(&folder.join("model.safetensors")).unwrap().0;
    assert_eq!(
        weights.tensor("cls_token").unwrap().as_ref(),
        theirs.get("encoder.patch_embeddings.2.cls_token").or_else(|| theirs.get("pvt.encoder.patch_embeddings.2.cls_token"))
    );
}
