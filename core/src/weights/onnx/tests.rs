//! Every family of encoders as a file that holds together. What it computes is compared by onnxruntime, in tests/golden/check_onnx.py, with
//! what [`cases_for_onnxruntime`] writes.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};

use super::export;
use super::reader::File;
use crate::inspect::encoder::{Images, Pool, Query, attention, features};
use crate::inspect::look::shown;
use crate::method::Network;
use crate::random::{Purpose, Stream};
use crate::recipe::{Base, Recipe};
use crate::weights::model_file::{Weights, WeightsKind, metadata, tensors_of};
use crate::weights::precision::Precision;
use crate::weights::safetensors_file::{self, HostTensor, TensorMap};

type Sets = &'static [(&'static str, &'static str)];

const BATCH: usize = 3;

const VIT: Sets = &[
    ("data.image", "[32, 48]"),
    ("backbone.preset", "vit-nano"),
    ("backbone.patch", "8"),
    ("backbone.width", "32"),
    ("backbone.depth", "2"),
    ("backbone.heads", "2"),
];
const SWIN: Sets = &[
    ("data.image", "[32, 64]"),
    ("backbone.preset", "swin-nano"),
    ("backbone.width", "16"),
    ("backbone.depths", "[2, 1, 2]"),
    ("backbone.heads", "[1, 2, 2]"),
];
const PVT: Sets =
    &[("data.image", "[32, 64]"), ("backbone.preset", "pvt-nano"), ("backbone.widths", "[16, 24, 32]"), ("backbone.heads", "[1, 2, 2]")];
const RESNET: Sets = &[("data.image", "[64, 96]"), ("backbone.width", "8")];

/// Name, method, back-bone, and what else.
const CASES: [(&str, &str, Sets, Sets); 15] = [
    ("vit", "mae", VIT, &[]),
    ("vit-one-channel", "mae", VIT, &[("data.channels", "1"), ("data.mean", "[0.4]"), ("data.std", "[0.2]")]),
    ("vit-learned", "mae", VIT, &[("backbone.pos", "learned"), ("backbone.registers", "3"), ("backbone.layer_scale", "0.1")]),
    ("vit-shared", "simmim", VIT, &[("backbone.pos", "none"), ("backbone.relative", "shared"), ("backbone.key_bias", "false")]),
    ("vit-own", "simmim", VIT, &[("backbone.relative", "own"), ("backbone.eps", "1e-12"), ("backbone.mlp_ratio", "2.5")]),
    ("vit-turned", "mae", VIT, &[("backbone.pos", "rope"), ("backbone.registers", "2"), ("backbone.mlp", "swiglu")]),
    ("vit-gated", "simmim", VIT, &[("backbone.mlp", "geglu"), ("backbone.pos", "rope"), ("backbone.relative", "none")]),
    ("vit-patches", "mae", VIT, &[("backbone.class_token", "false"), ("backbone.pos", "rope")]),
    ("vit-lightness", "colorization", VIT, &[]),
    ("swin", "simmim", SWIN, &[]),
    ("swin-network", "um-mae", SWIN, &[]),
    ("pvt", "simmim", PVT, &[]),
    ("pvt-means", "um-mae", PVT, &[]),
    ("resnet-small", "simclr", RESNET, &[("backbone.preset", "resnet-nano")]),
    ("resnet-large", "simclr", RESNET, &[("backbone.preset", "resnet-50"), ("backbone.depths", "[2, 1, 1, 1]"), ("backbone.inner", "2")]),
];

fn recipe(method: &str, sets: &[Sets]) -> Recipe {
    let sets: Vec<_> = sets.concat().into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    Recipe::resolve(Base::Preset(method), &sets).unwrap_or_else(|error| panic!("{method} {sets:?}: {error}"))
}

/// A network none of whose numbers is what it starts with, and its weights on disk.
fn trained(recipe: &Recipe, folder: &Path) -> (Network, Weights) {
    let device = Device::flex();
    let mut network = Network::new(recipe, &device).unwrap();
    let mut stream = Stream::new(3, 0, 0, Purpose::Init);
    network.parameters_mut().update_parameters(&mut |name, shape, value| {
        let count: usize = shape.iter().product();
        let noise = (0..count).map(|_| 0.1 * stream.normal() as f32);
        let noise: Vec<f32> = if name.ends_with("running_var") { noise.map(f32::abs).collect() } else { noise.collect() };
        value + Tensor::<1>::from_data(TensorData::new(noise, [count]), &device)
    });
    let path = folder.join("model.safetensors");
    safetensors_file::write(&path, &tensors_of(network.parameters()).unwrap(), &metadata(recipe, 7)).unwrap();
    (network, Weights::open(&path).unwrap())
}

fn written(weights: &Weights, folder: &Path, precision: Precision) -> (File, Vec<String>) {
    let path = folder.join("model.onnx");
    let done = export(weights, WeightsKind::Best, &path, precision).unwrap();
    let bytes = std::fs::read(path).unwrap();
    (File::read(&bytes), done.notes)
}

#[test]
fn every_encoder_becomes_a_graph_that_holds_together() {
    let folder = tempfile::tempdir().unwrap();
    for (name, method, backbone, sets) in CASES {
        let recipe = recipe(method, &[backbone, sets]);
        let (network, weights) = trained(&recipe, folder.path());
        let (file, notes) = written(&weights, folder.path(), Precision::F32);
        assert_eq!(file.versions, [8, 17]);
        let [height, width] = recipe.data.image.map(|side| side as u64);
        assert_eq!(file.inputs["images"], [0, recipe.data.channels as u64, height, width], "{name}");
        let (config, prefix) = (network.encoder().config(), network.encoder().num_prefix());
        let [rows, cols] = config.grid().map(|side| side / config.stride());
        let (patches, last) = ((rows * cols) as u64, config.last_width() as u64);
        assert_eq!(file.outputs["features"], [0, prefix as u64 + patches, last], "{name}");
        assert_eq!(file.outputs["pooled"], [0, last], "{name}");
        let heads = config.heads_of(config.num_blocks() - 1) as u64;
        let attention = (prefix > 0).then(|| vec![0, heads, patches]);
        assert_eq!(file.outputs.get("attention"), attention.as_ref(), "{name}");
        assert_eq!(notes.iter().any(|note| note.contains("no class token")), prefix == 0, "{name}");
        assert!(!notes.iter().any(|note| note.contains("left out")), "{name}: {notes:?}");
        assert_eq!(Recipe::from_toml(&file.metadata["recipe"]).unwrap(), recipe);
        assert_eq!((file.metadata["step"].as_str(), file.metadata["method"].as_str()), ("7", method));
        assert!(["mean", "std", "image_size", "channels"].iter().all(|key| file.metadata.contains_key(*key)));
        assert_eq!(file.operators.contains(&"Where".to_owned()), name == "vit-lightness");
    }
}

#[test]
fn half_precision_halves_what_was_trained() {
    let folder = tempfile::tempdir().unwrap();
    let (_, weights) = trained(&recipe("mae", &[VIT]), folder.path());
    let (single, _) = written(&weights, folder.path(), Precision::F32);
    for (precision, kind) in [(Precision::F16, 10), (Precision::Bf16, 16)] {
        let (half, notes) = written(&weights, folder.path(), precision);
        assert!(notes.iter().any(|note| note.contains(precision.name())));
        for (name, (had, shape, numbers)) in &single.initializers {
            let (has, same, halved) = &half.initializers[name];
            assert_eq!(shape, same);
            let is_narrow = *has == kind;
            assert_eq!(is_narrow, *had == 1 && shape.len() > 1 && name != "mean" && name != "std", "{name}");
            assert_eq!(halved.len() * if is_narrow { 2 } else { 1 }, numbers.len(), "{name}");
        }
        let casts = half.operators.iter().filter(|operator| *operator == "Cast").count();
        assert_eq!(casts, half.initializers.values().filter(|(has, ..)| *has == kind).count());
    }
}

#[test]
fn weights_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe("mae", &[VIT]);
    let (network, _) = trained(&recipe, folder.path());
    let sound = tensors_of(network.parameters()).unwrap();
    let refusal = |change: &dyn Fn(&mut TensorMap), precision: Precision| {
        let (path, mut tensors) = (folder.path().join("changed.safetensors"), sound.clone());
        change(&mut tensors);
        safetensors_file::write(&path, &tensors, &metadata(&recipe, 0)).unwrap();
        let out = folder.path().join("refused.onnx");
        let error = export(&Weights::open(&path).unwrap(), WeightsKind::Best, &out, precision).unwrap_err();
        assert!(!out.exists());
        assert_eq!(error.exit_status(), 3);
        error.to_string()
    };
    let name = "blocks.1.mlp.fc2.weight";
    let missing = refusal(&|tensors| drop(tensors.remove(name)), Precision::F32);
    assert!(missing.contains("blocks.1.mlp.fc2.weight is missing"), "{missing}");
    let reshaped = refusal(&|tensors| drop(tensors.insert(name.to_owned(), HostTensor::new([2, 2], vec![0.0; 4]))), Precision::F32);
    assert!(reshaped.contains("is [2, 2] instead of [32, 128]"), "{reshaped}");
    let huge = |tensors: &mut TensorMap| tensors.get_mut(name).unwrap().values[5] = 70_000.0;
    let too_large = refusal(&huge, Precision::F16);
    assert!(too_large.contains(name) && too_large.contains("bf16"), "{too_large}");
}

#[test]
fn the_average_is_what_is_exported_where_there_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe("mae", &[VIT]);
    let (network, _) = trained(&recipe, folder.path());
    let raw = tensors_of(network.parameters()).unwrap();
    let mut tensors = raw.clone();
    for (name, tensor) in raw {
        let doubled = tensor.values.iter().map(|value| 2.0 * value).collect();
        tensors.insert(format!("ema.{name}"), HostTensor::new(tensor.shape, doubled));
    }
    let path = folder.path().join("averaged.safetensors");
    safetensors_file::write(&path, &tensors, &metadata(&recipe, 0)).unwrap();
    let weights = Weights::open(&path).unwrap();
    for (kind, factor) in [(WeightsKind::Best, 2.0), (WeightsKind::Ema, 2.0), (WeightsKind::Raw, 1.0)] {
        let out = folder.path().join("model.onnx");
        export(&weights, kind, &out, Precision::F32).unwrap();
        let file = File::read(&std::fs::read(out).unwrap());
        let (_, _, bytes) = &file.initializers["norm.bias"];
        let have: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        let want: Vec<f32> = tensors["norm.bias"].values.iter().map(|value| factor * value).collect();
        assert_eq!(have, want);
    }
}

/// Writes every case in every precision to the folder that MASKROOM_ONNX_OUT names, with images and what Maskroom makes of them.
#[test]
#[ignore = "its files are for onnxruntime: tests/golden/check_onnx.py says how"]
fn cases_for_onnxruntime() {
    let Some(out) = std::env::var_os("MASKROOM_ONNX_OUT") else { panic!("MASKROOM_ONNX_OUT names no folder") };
    for (name, method, backbone, sets) in CASES {
        let folder = Path::new(&out).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let recipe = recipe(method, &[backbone, sets]);
        let (network, weights) = trained(&recipe, &folder);
        for precision in Precision::ALL {
            export(&weights, WeightsKind::Best, &folder.join(format!("{}.onnx", precision.name())), precision).unwrap();
        }
        safetensors_file::write(&folder.join("expected.safetensors"), &expected(&network, &recipe), &metadata(&recipe, 7)).unwrap();
    }
}

/// Images, `[B, C, H, W]` in 0..1, and what the network makes of them.
fn expected(network: &Network, recipe: &Recipe) -> TensorMap {
    let ([height, width], channels) = (recipe.data.image, recipe.data.channels);
    let mut stream = Stream::new(5, 0, 0, Purpose::Toy);
    let pixels: Vec<f32> = (0..BATCH * height * width * channels).map(|_| stream.unit() as f32).collect();
    let (mean, std) = recipe.data.normalization();
    let normalized = pixels.iter().enumerate().map(|(at, value)| (value - mean[at % channels]) / std[at % channels]).collect();
    let images = Images { values: shown(recipe, normalized), batch: BATCH, height, width };
    let planes = (0..pixels.len()).map(|at| {
        let (image, channel, place) = (at / (height * width * channels), at / (height * width) % channels, at % (height * width));
        pixels[(image * height * width + place) * channels + channel]
    });
    let patches = features(network, &images, -1, Pool::Patches).unwrap();
    let pooled = features(network, &images, -1, Pool::usual(network)).unwrap();
    let last = network.encoder().config().last_width();
    let mut tensors = TensorMap::from([
        ("images".to_owned(), HostTensor::new([BATCH, channels, height, width], planes.collect())),
        ("patches".to_owned(), HostTensor::new([BATCH, patches.len() / BATCH / last, last], patches)),
        ("pooled".to_owned(), HostTensor::new([BATCH, last], pooled)),
    ]);
    if network.encoder().num_prefix() > 0 {
        let maps = attention(network, &images, -1).unwrap();
        let of_class = |at: usize| maps.query(at / maps.heads, at % maps.heads, Query::Cls).unwrap().to_vec();
        let values = (0..BATCH * maps.heads).flat_map(of_class).collect();
        tensors.insert("attention".to_owned(), HostTensor::new([BATCH, maps.heads, maps.grid[0] * maps.grid[1]], values));
    }
    tensors
}
