//! What methods that compare views must be able to do, on tiny networks: learn what a teacher says, train every parameter, small views'
//! positions too, and look at images of any size.

use burn::tensor::{Device, Tensor};

use super::{Lesson, Network, Place};
use crate::backbone::batch_norm::Statistics;
use crate::inspect::encoder::{Images, Pool, attention, features};
use crate::optim::adamw::AdamW;
use crate::optim::optimizer::UpdateRates;
use crate::recipe::{Base, Recipe};
use crate::run::Figures;
use crate::train::collapse::{Collapse, collapse};
use crate::train::learner::Learner;
use crate::train::trial::noise_images;
use crate::weights::model_file::to_host;
use crate::weights::safetensors_file::{HostTensor, TensorMap};

/// A method, the figure that must fall, and below what, from what it is at first.
type Falls = (&'static str, &'static str, fn(f32) -> f32);

const METHODS: [Falls; 12] = [
    // What is left is what two views of one image are taught differently.
    ("dino", "kl", |first| 0.5 * first),
    // A teacher that stays as it is tells patches apart by their places, and those are learned slowly.
    ("ibot", "patch_loss", |first| 0.8 * first),
    ("dinov2", "kl", |first| 0.5 * first),
    ("swav", "kl", |first| 0.5 * first),
    ("simclr", "loss", |first| 0.5 * first),
    // The queue soon holds the batch itself: half a chance is the best there is.
    ("moco-v2", "loss", |first| 0.7 * first),
    ("moco-v3", "loss", |first| 0.5 * first),
    ("byol", "loss", |first| 0.5 * first),
    ("simsiam", "loss", |_| -0.8),
    // Eight images cannot look quite normal in sixteen dimensions.
    ("lejepa", "loss", |first| 0.5 * first),
    ("rotation", "loss", |first| 0.5 * first),
    ("jigsaw", "loss", |first| 0.5 * first),
];

const TINY: [(&str, &str); 6] = [
    ("backbone.preset", "vit-nano"),
    ("data.image", "[32, 24]"),
    ("backbone.patch", "8"),
    ("backbone.width", "32"),
    ("backbone.depth", "2"),
    ("backbone.heads", "2"),
];

fn recipe_of(method: &str, sets: &[(&str, &str)]) -> Recipe {
    let own = match method {
        "dino" | "ibot" | "dinov2" | "swav" => [("augment.local_views", "2"), ("decoder.prototypes", "32")],
        "lejepa" => [("augment.local_views", "2"), ("decoder.width", "16")],
        "rotation" => [("data.image", "[32, 32]"), ("decoder.classes", "4")],
        "jigsaw" => [("data.image", "[24, 48]"), ("decoder.classes", "12")],
        "moco-v2" => [("optim.batch", "8"), ("target.queue", "8")],
        _ => [("decoder.width", "16"), ("decoder.predictor_hidden", "24")],
    };
    let hidden = [("decoder.hidden", "48")];
    let hidden = if matches!(method, "rotation" | "jigsaw") { &[][..] } else { &hidden };
    let sets = TINY.iter().chain(&own).chain(hidden).chain(sets).map(|&(key, value)| (key.to_owned(), value.to_owned()));
    Recipe::resolve(Base::Preset(method), &sets.collect::<Vec<_>>()).unwrap_or_else(|error| panic!("{method}: {error}"))
}

fn recipe(sets: &[(&str, &str)]) -> Recipe {
    recipe_of("dino", sets)
}

/// What a lesson keeps, as a checkpoint has it.
pub(super) fn kept(state: Vec<(&'static str, Tensor<2>)>) -> TensorMap {
    state.into_iter().map(|(name, tensor)| (name.to_owned(), HostTensor::new(tensor.dims(), to_host(tensor).unwrap()))).collect()
}

/// The figures of each step of a training on one batch, against a teacher that stays as it is at first.
fn overfit(recipe: &Recipe, steps: usize) -> Vec<Vec<(&'static str, f32)>> {
    let mut network = Network::new(recipe, &Device::flex().autodiff()).unwrap();
    let mut lesson = Lesson::new(recipe).unwrap();
    lesson.follow(Network::untrained_twin(recipe, &Device::flex()).unwrap());
    let prepared = lesson.prepare(&noise_images(recipe, 8), 0, &[0, 1, 2, 3, 4, 5, 6, 7]).unwrap();
    let mut optimizer = AdamW::new(&recipe.optim);
    let mut step = |_| {
        let outcome = lesson.outcome(&network, &prepared, Place::default(), true).unwrap();
        let gradients = network.parameters().take_gradients(&mut outcome.loss.backward());
        optimizer.step(network.parameters_mut(), gradients, 2e-3);
        lesson.learned(outcome.kept.into_iter().collect(), &mut network);
        let loss = ("loss", outcome.loss.without_autodiff());
        outcome.figures.into_iter().chain([loss]).map(|(name, figure)| (name, to_host(figure).unwrap()[0])).collect()
    };
    (0..steps).map(&mut step).collect()
}

#[test]
fn a_batch_is_learned_by_heart() {
    for (method, name, limit) in METHODS {
        let steps = overfit(&recipe_of(method, &[]), 80);
        let figure = |step: usize| steps[step].iter().find(|(known, _)| *known == name).unwrap().1;
        assert!(figure(79) < limit(figure(0)), "{method}: {} to {}", figure(0), figure(79));
    }
}

#[test]
fn every_parameter_is_trained_but_what_is_fixed() {
    let registers = ("backbone.registers", "2");
    let all = METHODS.iter().map(|(method, ..)| (*method, registers));
    let all = all.chain([("dino", ("decoder.lengths", "free")), ("ibot", ("decoder.patches", "own"))]);
    for (method, set) in all {
        let recipe = recipe_of(method, &[set]);
        let network = Network::new(&recipe, &Device::flex().autodiff()).unwrap();
        let mut lesson = Lesson::new(&recipe).unwrap();
        lesson.follow(network.for_inference());
        let prepared = lesson.prepare(&noise_images(&recipe, 3), 0, &[0, 1, 2]).unwrap();
        let outcome = lesson.outcome(&network, &prepared, Place::default(), false).unwrap();
        let gradients = network.parameters().take_gradients(&mut outcome.loss.backward());
        let mut without = Vec::new();
        network.parameters().visit_parameters(&mut |name, _, _| {
            if !gradients.contains_key(name) {
                without.push(name.to_owned());
            }
        });
        // Fixed positions are no parameters to train, either.
        without.retain(|name| name != "pos_embed");
        let has_fixed_lengths = recipe.decoder.word("lengths") == Some("one");
        let mut fixed = if has_fixed_lengths { vec!["head.last_layer.weight_g"] } else { Vec::new() };
        fixed.extend((has_fixed_lengths && set.1 == "own").then_some("patch_head.last_layer.weight_g"));
        assert_eq!(without, fixed, "{method}");
        assert!(outcome.figures.is_empty());
    }
}

#[test]
fn collapse_comes_where_what_prevents_it_is_left_out() {
    // Against an average that follows at once, so that it comes within the patience of a test.
    let spread_after = |method: &str, sets: &[(&str, &str)]| {
        let recipe = recipe_of(method, &[&[("optim.ema", "0.5"), ("optim.ema_end", "0.5")], sets].concat());
        let network = Network::new(&recipe, &Device::flex().autodiff()).unwrap();
        let mut learner = Learner::new(&recipe, network, Lesson::new(&recipe).unwrap());
        let rates = UpdateRates { lr: 2e-3, peak_lr: 2e-3, weight_decay: 0.0, ema: 0.5 };
        let mut last = Figures::new();
        for step in 0..120 {
            let images = noise_images(&Recipe { seed: step, ..recipe.clone() }, 16);
            let keys: Vec<u64> = (0..16).collect();
            let prepared = learner.lesson.prepare(&images, 0, &keys).unwrap();
            let outcome = learner.lesson.outcome(&learner.network, &prepared, Place::default(), true).unwrap();
            let gradients = learner.network.parameters().take_gradients(&mut outcome.loss.backward());
            last = outcome.figures.into_iter().map(|(name, figure)| (name.to_owned(), f64::from(to_host(figure).unwrap()[0]))).collect();
            learner.update(gradients, outcome.kept.into_iter().collect(), Place::default(), rates);
        }
        (collapse(&last, recipe.decoder.count("prototypes")), last)
    };
    let found = |method: &str, sets: &[(&str, &str)], expected: Option<Collapse>| {
        let (found, figures) = spread_after(method, sets);
        assert_eq!(found, expected, "{method} {sets:?}: {figures:?}");
    };
    found("dino", &[("target.balance", "none"), ("decoder.frozen_epochs", "0")], Some(Collapse::OneAnswer));
    found("dino", &[("target.temperature", "1"), ("decoder.frozen_epochs", "0")], Some(Collapse::NoAnswer));
    found("byol", &[("decoder.predictor_layers", "0")], Some(Collapse::OneFeature));
    // A normalization over the batch would hide it for a while.
    let bare = ("decoder.last_norm", "none");
    found("simsiam", &[("target.teacher", "none"), bare], Some(Collapse::OneFeature));
    found("simsiam", &[bare], None);
    found("byol", &[], None);
    // Nothing but the distribution of answers keeps them apart.
    found("lejepa", &[("objective.share", "0")], Some(Collapse::OneFeature));
    found("lejepa", &[], None);
}

#[test]
fn hidden_patches_do_not_reach_the_network_and_whole_views_are_read_as_ever() {
    let network = Network::new(&recipe_of("ibot", &[("backbone.registers", "2")]), &Device::flex()).unwrap();
    let model = network.views().unwrap();
    let patches = Tensor::<3>::random([2, 12, 192], burn::tensor::Distribution::Default, network.device());
    let mask: Vec<f32> = (0..24).map(|patch| f32::from(u8::from(patch % 5 == 0))).collect();
    let mask = Tensor::<1>::from_floats(&mask[..], network.device()).reshape([2, 12, 1]);
    let seen = |patches: Tensor<3>, mask: Option<Tensor<3>>| {
        let (feature, tokens) = model.features_and_patches(patches, mask, None).unwrap();
        (to_host(feature).unwrap(), to_host(tokens).unwrap())
    };
    let changed = patches.clone() + mask.clone() * 3.0;
    assert_eq!(seen(patches.clone(), Some(mask.clone())), seen(changed.clone(), Some(mask)));
    let whole = seen(patches.clone(), None);
    assert!(whole != seen(changed, None) && whole.1.len() == 2 * 12 * 32);
    let feature = to_host(model.features(patches, [4, 3], None, Statistics::Running)).unwrap();
    assert!(feature.iter().zip(&whole.0).all(|(short, whole)| (short - whole).abs() < 1e-4), "{feature:?} {:?}", whole.0);
}

#[test]
fn features_keep_their_distance_where_that_counts() {
    let after = |weight: &'static str| {
        let steps = overfit(&recipe_of("dino", &[("objective.koleo", weight)]), 40);
        steps.iter().map(|step| step.iter().find(|(name, _)| *name == "koleo").unwrap().1).collect::<Vec<f32>>()
    };
    let (little, much) = (after("1e-6"), after("1"));
    assert!((little[0] - much[0]).abs() < 1e-4 && much[39] < much[0] - 0.2 && much[39] < little[39], "{little:?} {much:?}");
}

#[test]
fn the_loss_is_what_its_parts_add_up_to() {
    let sets = [("objective.patch_weight", "0.3"), ("objective.koleo", "0.2")];
    let step = &overfit(&recipe_of("ibot", &sets), 1)[0];
    let figure = |name: &str| step.iter().find(|(known, _)| *known == name).unwrap().1;
    let parts = figure("class_loss") + 0.3 * figure("patch_loss") + 0.2 * figure("koleo");
    assert!((figure("loss") - parts).abs() < 1e-4 && figure("patch_loss") > 0.0, "{step:?}");
    assert!((figure("class_loss") - figure("kl") - figure("teacher_entropy")).abs() < 1e-4, "{step:?}");
    let step = &overfit(&recipe_of("lejepa", &[("objective.share", "0.2")]), 1)[0];
    let figure = |name: &str| step.iter().find(|(known, _)| *known == name).unwrap().1;
    assert!((figure("loss") - 0.8 * figure("prediction") - 0.2 * figure("sigreg")).abs() < 1e-4, "{step:?}");
}

#[test]
fn small_views_train_the_positions_of_large_ones() {
    let recipe = recipe(&[]);
    let network = Network::new(&recipe, &Device::flex().autodiff()).unwrap();
    let model = network.views().unwrap();
    let patches = Tensor::<3>::ones([1, 4, 8 * 8 * 3], network.device());
    let feature = model.features(patches, [2, 2], None, Statistics::Running);
    let gradients = network.parameters().take_gradients(&mut (feature.powi_scalar(3)).sum().backward());
    let of_positions = to_host(gradients["pos_embed"].clone()).unwrap();
    // 1 + 4 x 3 places; all of them lend something to two by two.
    assert!(of_positions.chunks_exact(32).all(|place| place.iter().any(|value| value.abs() > 0.0)));
}

#[test]
fn what_the_last_block_leaves_out_is_missed_by_nobody() {
    let recipe = recipe(&[("backbone.registers", "1"), ("backbone.layer_scale", "0.5"), ("backbone.drop_path", "0.5")]);
    let network = Network::new(&recipe, &Device::flex().autodiff()).unwrap();
    let crate::backbone::encoder::Encoder::Vit(vit) = network.encoder() else { panic!("a plain transformer") };
    let patches = Tensor::<3>::random([3, 12, 192], burn::tensor::Distribution::Default, network.device());
    let drop_path = network.drop_path(1, 0, &[0, 1, 2], 0..1);
    let [short, whole] = [true, false].map(|is_short| {
        let tokens = vit.tokens(patches.clone());
        let class = match is_short {
            true => vit.encode_class(tokens, vit.config().grid, drop_path.as_ref()),
            false => vit.encode(tokens, drop_path.as_ref()).narrow(1, 0, 1),
        };
        let gradients = network.parameters().take_gradients(&mut class.clone().powi_scalar(3).sum().backward());
        let values: Vec<Vec<f32>> = gradients.into_values().map(|gradient| to_host(gradient).unwrap()).collect();
        (to_host(class.without_autodiff()).unwrap(), values)
    });
    let close = |a: &[f32], b: &[f32]| {
        let largest = b.iter().fold(1e-3_f32, |largest, value| largest.max(value.abs()));
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4 * largest)
    };
    assert!(close(&short.0, &whole.0) && short.1.len() == whole.1.len());
    assert!(short.1.iter().zip(&whole.1).all(|(a, b)| close(a, b)));
}

#[test]
fn without_a_class_token_the_mean_of_patches_is_compared() {
    let network = Network::new(&recipe(&[("backbone.class_token", "false")]), &Device::flex()).unwrap();
    let model = network.views().unwrap();
    let patches = Tensor::<3>::random([2, 12, 192], burn::tensor::Distribution::Default, network.device());
    let (feature, of_patches) = model.features_and_patches(patches.clone(), None, None).unwrap();
    assert_eq!((network.encoder().num_prefix(), of_patches.dims()), (0, [2, 12, 32]));
    let feature = to_host(feature).unwrap();
    let [mean, same] = [of_patches.mean_dim(1).reshape([2, 32]), model.features(patches, [4, 3], None, Statistics::Running)];
    for other in [mean, same].map(|other| to_host(other).unwrap()) {
        assert!(feature.iter().zip(&other).all(|(a, b)| (a - b).abs() < 1e-5), "{feature:?} {other:?}");
    }
    assert_eq!(Pool::usual(&network), Pool::Mean);
}

#[test]
fn larger_images_are_looked_at() {
    let network = Network::new(&recipe(&[]), &Device::flex()).unwrap();
    let images = Images { values: vec![0.1; 40 * 64 * 3], batch: 1, height: 40, width: 64 };
    assert_eq!(features(&network, &images, -1, Pool::Cls).unwrap().len(), 32);
    assert_eq!(attention(&network, &images, -1).unwrap().grid, [5, 8]);
    assert!(network.masked().is_err() && network.views().is_ok());
}
