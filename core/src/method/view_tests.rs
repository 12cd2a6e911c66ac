//! What methods that compare views must be able to do, on tiny networks: learn what a teacher says, train every parameter, small views'
//! positions too, and look at images of any size.

use burn::tensor::Device;

use super::{Lesson, Network, Place};
use crate::inspect::encoder::{Images, Pool, attention, features};
use crate::optim::adamw::AdamW;
use crate::recipe::{Base, Recipe};
use crate::train::trial::noise_images;
use crate::weights::model_file::to_host;

const METHODS: [&str; 2] = ["dino", "swav"];

const TINY: [(&str, &str); 9] = [
    ("backbone.preset", "vit-nano"),
    ("data.image", "[32, 24]"),
    ("backbone.patch", "8"),
    ("backbone.width", "32"),
    ("backbone.depth", "2"),
    ("backbone.heads", "2"),
    ("augment.local_views", "2"),
    ("decoder.hidden", "48"),
    ("decoder.prototypes", "32"),
];

fn recipe_of(method: &str, sets: &[(&str, &str)]) -> Recipe {
    let sets: Vec<_> = TINY.iter().chain(sets).map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
    Recipe::resolve(Base::Preset(method), &sets).unwrap()
}

fn recipe(sets: &[(&str, &str)]) -> Recipe {
    recipe_of("dino", sets)
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
        lesson.learned(None, &mut network);
        outcome.figures.into_iter().map(|(name, figure)| (name, to_host(figure).unwrap()[0])).collect()
    };
    (0..steps).map(&mut step).collect()
}

#[test]
fn a_batch_is_learned_by_heart() {
    for method in METHODS {
        let steps = overfit(&recipe_of(method, &[]), 80);
        let kl = |step: usize| steps[step].iter().find(|(name, _)| *name == "kl").unwrap().1;
        // What is left is what two views of one image are taught differently.
        assert!(kl(79) < 0.5 * kl(0), "{method}: {} to {}", kl(0), kl(79));
    }
}

#[test]
fn every_parameter_is_trained_but_lengths_of_prototypes() {
    let registers = ("backbone.registers", "2");
    for (method, sets) in [("dino", [registers]), ("dino", [("decoder.lengths", "free")]), ("swav", [registers])] {
        let recipe = recipe_of(method, &sets);
        let network = Network::new(&recipe, &Device::flex().autodiff()).unwrap();
        let mut lesson = Lesson::new(&recipe).unwrap();
        lesson.follow(network.for_inference());
        let prepared = lesson.prepare(&noise_images(&recipe, 2), 0, &[0, 1]).unwrap();
        let outcome = lesson.outcome(&network, &prepared, Place::default(), false).unwrap();
        let gradients = network.parameters().take_gradients(&mut outcome.loss.backward());
        let mut without = Vec::new();
        network.parameters().visit_parameters(&mut |name, _, _| {
            if !gradients.contains_key(name) {
                without.push(name.to_owned());
            }
        });
        let fixed = if recipe.decoder.word("lengths") != Some("one") { Vec::new() } else { vec!["head.last_layer.weight_g"] };
        assert_eq!(without, fixed);
        assert!(gradients.contains_key(super::prototypes::PROTOTYPES) && outcome.figures.is_empty());
    }
}

#[test]
fn small_views_train_the_positions_of_large_ones() {
    let recipe = recipe(&[]);
    let network = Network::new(&recipe, &Device::flex().autodiff()).unwrap();
    let model = network.views().unwrap();
    let patches = burn::tensor::Tensor::<3>::ones([1, 4, 8 * 8 * 3], network.device());
    let feature = model.features(patches, [2, 2], None);
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
    let patches = burn::tensor::Tensor::<3>::random([3, 12, 192], burn::tensor::Distribution::Default, network.device());
    let drop_path = network.drop_path(1, 0, &[0, 1, 2], 0..1);
    let [short, whole] = [true, false].map(|is_short| {
        let tokens = vit.tokens(patches.clone());
        let class = match is_short {
            true => vit.encode_class(tokens, drop_path.as_ref()),
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
fn larger_images_are_looked_at() {
    let network = Network::new(&recipe(&[]), &Device::flex()).unwrap();
    let images = Images { values: vec![0.1; 40 * 64 * 3], batch: 1, height: 40, width: 64 };
    assert_eq!(features(&network, &images, -1, Pool::Cls).unwrap().len(), 32);
    assert_eq!(attention(&network, &images, -1).unwrap().grid, [5, 8]);
    assert!(network.masked().is_err() && network.views().is_ok());
}
