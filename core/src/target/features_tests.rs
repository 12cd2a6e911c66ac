//! A teacher's features: those that looking into it finds, the same for a batch as for an image, and kept with the run.

use std::path::PathBuf;

use burn::tensor::Device;

use super::*;
use crate::inspect::encoder::{Images, Pool, features};
use crate::mask::Mask;
use crate::method::{Network, Task};
use crate::random::{Purpose, Stream};
use crate::recipe::{Base, Recipe};
use crate::weights::model_file::{metadata, tensors_of, to_host};
use crate::weights::safetensors_file;

const SMALL: [(&str, &str); 5] =
    [("data.image", "[16, 24]"), ("backbone.patch", "4"), ("backbone.width", "32"), ("backbone.depth", "3"), ("backbone.heads", "2")];

fn recipe(sets: &[(&str, &str)]) -> Result<Recipe> {
    let sets: Vec<_> = SMALL.iter().chain(sets).map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
    Recipe::resolve(Base::Preset("mae"), &sets)
}

fn student(teacher: &str, sets: &[(&str, &str)]) -> Result<Recipe> {
    recipe(&[&[("target.kind", "features"), ("target.teacher", teacher)], sets].concat())
}

/// A file of weights of the recipe, and their network.
fn saved(folder: &tempfile::TempDir, recipe: &Recipe) -> (PathBuf, Network) {
    let network = Network::new(recipe, &Device::flex()).unwrap();
    let path = folder.path().join("teacher.safetensors");
    safetensors_file::write(&path, &tensors_of(network.parameters()).unwrap(), &metadata(recipe, 7)).unwrap();
    (path, network)
}

/// The task with what its target reads from elsewhere, as a run has it.
fn prepared(mut recipe: Recipe) -> (Task, Recipe) {
    let target = recipe.target().unwrap();
    let measured = target.measure(&Sample::new(&recipe, &|_| unreachable!("no image is looked at"))).unwrap();
    target.settle(&mut recipe.target.knobs);
    (Task::new(&recipe).unwrap().with_measured(&measured, &Device::flex()).unwrap(), recipe)
}

fn images(count: usize, size: usize) -> Vec<f32> {
    let mut stream = Stream::new(9, 0, 0, Purpose::Bench);
    (0..count * size).map(|_| stream.normal() as f32).collect()
}

fn close(have: &[f32], want: &[f32], tolerance: f32) {
    assert_eq!(have.len(), want.len());
    let worst = have.iter().zip(want).map(|(have, want)| (have - want).abs()).fold(0.0, f32::max);
    assert!(worst < tolerance, "{worst}");
}

#[test]
fn features_are_those_that_looking_into_the_teacher_finds() {
    let folder = tempfile::tempdir().unwrap();
    let (path, network) = saved(&folder, &recipe(&[]).unwrap());
    let (task, recipe) = prepared(student(path.to_str().unwrap(), &[("target.scaling", "none")]).unwrap());
    assert_eq!(recipe.target.word("teacher"), Some(""), "the run needs no other file");
    let image = images(1, 16 * 24 * 3);
    let seen = Images { values: image.clone(), batch: 1, height: 16, width: 24 };
    let want = features(&network, &seen, -1, Pool::Patches).unwrap();
    close(&task.targets(&image), &want, 1e-6);
    let (unit, _) = prepared(student(path.to_str().unwrap(), &[]).unwrap());
    for (row, want) in unit.targets(&image).chunks_exact(32).zip(want.chunks_exact(32)) {
        let length = want.iter().map(|value| value * value).sum::<f32>().sqrt();
        close(row, &want.iter().map(|value| value / length).collect::<Vec<_>>(), 1e-6);
    }
    assert_eq!(unit.target.trivial_loss(unit.shape), Some(1.0 / 32.0));
}

#[test]
fn several_layers_are_averaged_each_of_them_normalized() {
    let network = Network::new(&recipe(&[]).unwrap(), &Device::flex()).unwrap();
    let image = images(1, 16 * 24 * 3);
    let averaged = |layers: &str| {
        let sets = [("optim.ema", "0.9"), ("target.scaling", "layer"), ("target.layers", layers)];
        Task::new(&student("average", &sets).unwrap()).unwrap().following(&network).targets(&image)
    };
    let mut outputs = Vec::new();
    let patches = crate::backbone::patch_embed::patchify(&image, 16, 24, 3, 4);
    let patches = Tensor::from_data(burn::tensor::TensorData::new(patches, [1, 24, 48]), network.device());
    let encoder = network.encoder();
    let look = &mut |block: crate::backbone::encoder::BlockView<'_>| {
        outputs.push(to_host((block.forward)().narrow(1, 1, 24)).unwrap());
        Ok(true)
    };
    encoder.each_block(encoder.tokens(patches), look).unwrap();
    let normalized = |row: &[f32]| -> Vec<f32> {
        let mean = row.iter().sum::<f32>() / 32.0;
        let variance = row.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / 32.0;
        row.iter().map(|value| (value - mean) / (variance + 1e-5).sqrt()).collect()
    };
    let last: Vec<Vec<f32>> = outputs[1..].iter().map(|output| output.chunks_exact(32).flat_map(normalized).collect()).collect();
    let mean: Vec<f32> = last[0].iter().zip(&last[1]).map(|(a, b)| (a + b) / 2.0).collect();
    close(&averaged("2"), &mean, 1e-5);
}

#[test]
fn a_batch_is_taught_what_each_image_is_in_the_order_of_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = saved(&folder, &recipe(&[]).unwrap());
    let size = 16 * 24 * 3;
    let shown = images(3, size);
    for sets in [&[][..], &[("backbone.tokens", "mask")], &[("mask.ratio", "0.5"), ("objective.over", "all")]] {
        let (task, recipe) = prepared(student(path.to_str().unwrap(), sets).unwrap());
        let strategy = recipe.mask().unwrap();
        let mask = |sample: u64| strategy.sample(recipe.grid(), &mut Stream::new(1, 0, sample, Purpose::Mask));
        let masks: Vec<Mask> = (0..3).map(mask).collect();
        let batch = task.batch(&shown, &masks).unwrap();
        let rows = batch.to_raster(&to_host(batch.targets(&Device::flex())).unwrap());
        for (sample, image) in shown.chunks_exact(size).enumerate() {
            for (id, want) in task.targets(image).chunks_exact(32).enumerate() {
                if masks[sample].masked[id] {
                    close(&rows[(sample * 24 + id) * 32..][..32], want, 1e-5);
                }
            }
        }
    }
}

#[test]
fn a_teacher_sees_its_own_normalization_and_images_of_any_size() {
    let folder = tempfile::tempdir().unwrap();
    let (path, network) = saved(&folder, &recipe(&[("data.mean", "[0.5, 0.5, 0.5]"), ("data.std", "[0.5, 0.5, 0.5]")]).unwrap());
    let sets = [("data.mean", "[0.0, 0.0, 0.0]"), ("data.std", "[1.0, 1.0, 1.0]"), ("target.scaling", "none"), ("data.image", "[24, 16]")];
    let (task, _) = prepared(student(path.to_str().unwrap(), &sets).unwrap());
    let levels: Vec<f32> = images(1, 24 * 16 * 3).iter().map(|value| value.abs().min(1.0)).collect();
    let own = levels.iter().map(|level| (level - 0.5) / 0.5).collect();
    let want = features(&network, &Images { values: own, batch: 1, height: 24, width: 16 }, -1, Pool::Patches).unwrap();
    close(&task.targets(&levels), &want, 1e-5);
}

#[test]
fn what_cannot_teach_is_refused_with_its_cure() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = saved(&folder, &recipe(&[]).unwrap());
    let path = path.to_str().unwrap();
    let problem = |teacher: &str, sets: &[(&str, &str)]| match student(teacher, sets) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
    for (teacher, sets, want) in [
        ("", &[][..], "target.teacher: no teacher is named"),
        ("/nonexistent/run", &[], "target.teacher: /nonexistent/run cannot teach"),
        ("average", &[], "optim.ema: the teacher is the running average"),
        ("average", &[("optim.ema", "0.9"), ("target.layers", "4")], "target.layers: 4 is asked for"),
        ("average", &[("optim.ema", "0.9"), ("target.width", "33")], "target.width: 33 is asked for"),
        (path, &[("target.layers", "4")], "target.layers: "),
        (path, &[("target.width", "33")], "target.width: 33 numbers are asked for"),
        (path, &[("backbone.patch", "8")], "backbone.patch: the teacher has patches of, in px, 4"),
        (path, &[("data.channels", "1"), ("data.mean", "[0.5]"), ("data.std", "[0.5]")], "data.channels: the teacher has"),
        (path, &[("objective.kind", "cross_entropy")], "objective.kind: `cross_entropy` compares classes"),
    ] {
        let problem = problem(teacher, sets);
        assert!(problem.contains(want), "{problem}\nwanted: {want}");
    }
    assert_eq!(problem("average", &[("optim.ema", "0.9")]), "");
}

#[test]
fn a_run_whose_teacher_is_lost_or_another_is_not_trained_on() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = saved(&folder, &recipe(&[]).unwrap());
    let (_, mut recipe) = prepared(student(path.to_str().unwrap(), &[]).unwrap());
    let lost = Task::new(&recipe).unwrap().with_measured(&TensorMap::new(), &Device::flex()).err().unwrap();
    assert!(lost.to_string().contains("it is missing"), "{lost}");
    recipe.target.knobs.insert("width".into(), crate::knob::Value::Int(16));
    let fresh = student(path.to_str().unwrap(), &[]).unwrap();
    let measured = fresh.target().unwrap().measure(&Sample::new(&fresh, &|_| Ok(Vec::new()))).unwrap();
    let other = Task::new(&recipe).unwrap().with_measured(&measured, &Device::flex()).err().unwrap();
    assert!(other.to_string().contains("do not fit the recipe"), "{other}");
}
