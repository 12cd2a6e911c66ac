//! Which images a probe asks, and that it finds what `evaluate` finds.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::dataset::Dataset;
use crate::dataset::images::InMemory;
use crate::dataset::toy_scenes::make_toy;
use crate::device::DeviceChoice;
use crate::recipe::Base;
use crate::run::RunInfo;
use crate::train::session::prepare;

fn recipe(method: &'static str, sets: &[(&str, &str)]) -> Recipe {
    let sets: Vec<_> = sets.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
    Recipe::resolve(Base::Preset(method), &sets).unwrap()
}

/// The first `train` images train, the others are held out.
fn data(train: usize, classes: Vec<Option<u32>>) -> TrainingData {
    let held_out: Vec<usize> = (train..classes.len()).collect();
    TrainingData { source: Arc::new(InMemory::default()), train: (0..train).collect(), validation: held_out.clone(), held_out, classes }
}

#[test]
fn images_are_drawn_by_seed_and_few_of_them() {
    let many = data(5000, (0..9000).map(|index| Some(index % 7)).collect());
    let draw = |seed: u64, images: usize| ClassProbe::draw(&many, seed, images).unwrap();
    let probe = draw(0, BANK + ASKED);
    assert_eq!((probe.bank.len(), probe.asked.len()), (BANK, ASKED));
    assert!(probe.bank.is_sorted() && probe.bank.windows(2).all(|pair| pair[0] != pair[1]));
    assert!(probe.bank.iter().all(|&sample| sample < 5000) && probe.asked.iter().all(|&sample| sample >= 5000));
    assert!(probe == draw(0, BANK + ASKED) && probe != draw(1, BANK + ASKED));
    // A run that is made longer is asked about the same images, and about more.
    let small = draw(0, 150);
    assert_eq!((small.bank.len(), small.asked.len()), (100, 50));
    assert!(small.bank.iter().all(|sample| probe.bank.contains(sample)) && small.asked.iter().all(|sample| probe.asked.contains(sample)));

    let few = ClassProbe::draw(&data(12, (0..16).map(|index| (index != 3).then_some(index % 2)).collect()), 0, 150).unwrap();
    assert_eq!((few.bank.len(), few.asked.len()), (11, 4), "the image without a class is left out");
}

#[test]
fn where_nothing_is_to_be_told_apart_there_is_no_probe() {
    for (train, classes) in [
        (8, Vec::new()),
        (8, vec![None; 12]),
        (8, vec![Some(4); 12]),
        (12, (0..12).map(|index| Some(index % 2)).collect()),
        (8, (0..12).map(|index| Some(u32::from(index < 4))).collect()),
        (8, (0..12).map(|index| (index >= 8).then_some(index % 2)).collect()),
    ] {
        assert_eq!(ClassProbe::draw(&data(train, classes.clone()), 0, 1500), None, "{train} {classes:?}");
    }
}

#[test]
fn a_probe_takes_a_tenth_of_the_training_at_most() {
    let images = |sets: &[(&str, &str)], steps: usize| num_images(&recipe("mae", sets), steps);
    let every = |steps: &'static str| [("optim.batch", "64"), ("train.validate_every_steps", steps)];
    assert_eq!(images(&every("500"), 10_000), BANK + ASKED);
    assert_eq!(images(&every("100"), 10_000), 640);
    assert_eq!(images(&every("500"), 200), 1280, "the last step is probed too");
    assert_eq!(images(&every("0"), 200), 1280);
    assert_eq!(images(&every("1"), 10_000), VALIDATION_IMAGES);
    assert_eq!(images(&[("optim.batch", "32"), ("optim.accumulate", "2"), ("train.validate_every_steps", "100")], 10_000), 640);
    assert_eq!(num_images(&recipe("mae", &every("0")), usize::MAX), BANK + ASKED);
}

/// An engine that waits, of images whose own split holds some out.
fn engine(folder: &Path, recipe: &Recipe) -> Engine {
    let images = folder.join("toy");
    if !images.exists() {
        make_toy(&images, 60, (32, 32), 0, &mut |_| {}).unwrap();
    }
    let run = prepare(&folder.join(&recipe.method), &images, recipe, RunInfo::default()).unwrap();
    Engine::open(&run, recipe.clone(), DeviceChoice::Cpu, 1).unwrap()
}

#[test]
fn it_finds_what_evaluate_finds() {
    let folder = tempfile::tempdir().unwrap();
    let small_views = [("augment.local_views", "0"), ("decoder.prototypes", "64"), ("decoder.hidden", "64"), ("decoder.bottleneck", "32")];
    let residual = [("backbone.preset", "resnet-nano"), ("backbone.width", "8"), ("decoder.width", "32"), ("decoder.hidden", "64")];
    let nano = [("backbone.preset", "vit-nano"), ("backbone.depth", "1")];
    for (method, sets, words) in [
        ("mae", nano.to_vec(), "class-token"),
        ("dino", [&nano[..], &small_views[..]].concat(), "the running average's class-token"),
        ("byol", residual.to_vec(), "mean-of-patches"),
    ] {
        let engine = engine(folder.path(), &recipe(method, &sets));
        let probe = ClassProbe::new(&engine.data, &engine.recipe, engine.steps()).unwrap();
        assert_eq!((probe.bank.len(), probe.asked.len()), (48, 12));
        assert_eq!(probe.look(&engine, &|| false).unwrap(), None, "{method}: it breaks off");
        let found = probe.look(&engine, &|| true).unwrap().unwrap();
        assert_eq!(probe.look(&engine, &|| true).unwrap().as_ref(), Some(&found));

        let network = engine.learner.average();
        let dataset = Dataset::open(&folder.path().join("toy")).unwrap();
        let all = crate::evaluate::Probe::new(&network, &engine.recipe, &dataset, -1, Pool::usual(&network)).unwrap();
        let expected = all.knn(&[MAIN_K]).unwrap();
        assert_eq!((found.figure("top1"), found.figure("chance")), (Some(expected.top1), Some(expected.commonest_class)), "{method}");
        assert_eq!((found.step, found.protocol.as_str(), found.figure("k")), (0, Probe::KNN, Some(20.0)));
        assert!(found.note.contains(words) && found.note.contains("12 held-out images"), "{}", found.note);
    }
}

#[test]
fn features_that_are_no_numbers_say_nothing() {
    let seen = |features: &[f32]| Seen { features: features.to_vec(), width: 1, labels: vec![0; features.len()] };
    assert!(seen(&[0.0, 1.0]).can_be_compared());
    assert!(!seen(&[]).can_be_compared() && !seen(&[0.0, f32::NAN]).can_be_compared());
}
