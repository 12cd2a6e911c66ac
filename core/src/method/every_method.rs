//! Every method on every family of back-bones that it is for, on tiny networks: it learns a batch by heart, every parameter is trained,
//! and it looks at images of other sizes.

use std::collections::BTreeSet;

use burn::tensor::{Device, Int, Tensor};

use super::masked_batch::MaskedBatch;
use super::tests::{images, masks, overfit, overfit_task};
use super::{Network, Task};
use crate::inspect::encoder::{Images, Pool, attention, features};
use crate::inspect::reconstruct::reconstruct;
use crate::mask::Mask;
use crate::recipe::{Base, Recipe};
use crate::tokenizer::{PatchTokenizer, Sizes};
use crate::weights::model_file::to_host;

type Sets = &'static [(&'static str, &'static str)];

const VIT: Sets = &[
    ("data.image", "[32, 48]"),
    ("backbone.preset", "vit-nano"),
    ("backbone.patch", "8"),
    ("backbone.width", "32"),
    ("backbone.depth", "2"),
    ("backbone.heads", "2"),
];
const SWIN: Sets = &[
    ("data.image", "[32, 32]"),
    ("backbone.preset", "swin-nano"),
    ("backbone.width", "16"),
    ("backbone.depths", "[2, 1, 2]"),
    ("backbone.heads", "[1, 2, 2]"),
];
const PVT: Sets =
    &[("data.image", "[32, 64]"), ("backbone.preset", "pvt-nano"), ("backbone.widths", "[16, 24, 32]"), ("backbone.heads", "[1, 2, 2]")];

/// Method, back-bone, and steps in which the loss must fall by a quarter; branches that start a tenth as strong take longer.
const ALL: [(&str, Sets, usize); 11] = [
    ("mae", VIT, 60),
    ("simmim", VIT, 200),
    ("simmim", SWIN, 60),
    ("simmim", PVT, 60),
    ("um-mae", VIT, 60),
    ("um-mae", SWIN, 60),
    ("um-mae", PVT, 60),
    ("maskfeat", VIT, 60),
    ("beit", VIT, 200),
    ("data2vec", VIT, 200),
    ("ijepa", VIT, 200),
];

fn recipe(method: &str, backbone: Sets, sets: &[(&str, &str)]) -> Recipe {
    // A tokenizer is a file; pixels stand in for its classes, which have tests of their own.
    let without_tokenizer = [("target.kind", "pixels"), ("objective.kind", "mse")];
    // The paper's context is larger than these images.
    let of_small_images = [("mask.min_context", "1")];
    let stand_in = match method {
        "beit" => &without_tokenizer[..],
        "ijepa" => &of_small_images,
        _ => &[],
    };
    let all = backbone.iter().chain(stand_in).chain(sets).map(|&(key, value)| (key.to_owned(), value.to_owned()));
    Recipe::resolve(Base::Preset(method), &all.collect::<Vec<_>>()).unwrap_or_else(|error| panic!("{method}: {error}"))
}

fn name(method: &str, recipe: &Recipe) -> String {
    format!("{method} on {}", recipe.backbone.sizes.kind)
}

#[test]
fn a_batch_is_learned_by_heart() {
    for (method, backbone, steps) in ALL {
        let recipe = recipe(method, backbone, &[("backbone.drop_path", "0")]);
        let [first, last] = overfit(&recipe, steps);
        assert!(last < first * 0.75, "{}: {first} to {last}", name(method, &recipe));
    }
}

#[test]
fn every_parameter_is_trained_but_fixed_positions_and_what_nobody_reads() {
    for (method, backbone, _) in ALL {
        let recipe = recipe(method, backbone, &[]);
        let network = Network::new(&recipe, &Device::flex().autodiff()).unwrap();
        let task = Task::new(&recipe).unwrap().following(&network);
        let batch = task.batch(&images(&task, 2), &masks(&recipe, 2)).unwrap();
        let loss = network.loss(&batch, task.objective.as_ref(), None).unwrap();
        let gradients = network.parameters().take_gradients(&mut loss.backward());
        let mut without = Vec::new();
        network.parameters().visit_parameters(&mut |name, _, _| {
            if !gradients.contains_key(name) {
                without.push(name.to_owned());
            }
        });
        without.retain(|name| !name.ends_with("pos_embed"));
        assert_eq!(without, Vec::<String>::new(), "{}", name(method, &recipe));
    }
}

#[test]
fn what_is_hidden_does_not_reach_the_prediction() {
    for (method, backbone, _) in ALL {
        let recipe = recipe(method, backbone, &[]);
        let network = Network::new(&recipe, &Device::flex()).unwrap();
        let task = Task::new(&recipe).unwrap().following(&network);
        let (shown, masks) = (images(&task, 1), masks(&recipe, 1));
        let [rows, cols] = task.shape.grid();
        let mut changed = shown.clone();
        for (index, value) in changed.iter_mut().enumerate() {
            let (y, x) = (index / task.shape.channels / task.shape.width, index / task.shape.channels % task.shape.width);
            if masks[0].masked[y * rows / task.shape.height * cols + x * cols / task.shape.width] {
                *value += 1.0;
            }
        }
        let [before, after] = [&shown, &changed].map(|images| reconstruct(&network, &task, images, &masks).unwrap());
        assert_eq!(before.prediction, after.prediction, "{}", name(method, &recipe));
        assert_ne!(before.loss, after.loss, "{}", name(method, &recipe));
    }
}

#[test]
fn images_are_drawn_from_all_that_their_own_mask_shows() {
    for (method, backbone, _) in ALL {
        let recipe = recipe(method, backbone, &[]);
        let network = Network::new(&recipe, &Device::flex()).unwrap();
        let task = Task::new(&recipe).unwrap().following(&network);
        let (images, mut masks) = (images(&task, 4), masks(&recipe, 4));
        if ["mae", "simmim"].contains(&method) {
            // The other methods' strategies decide what a mask may be.
            for (mask, count) in masks.iter_mut().zip([3, 9, 3, 1]) {
                *mask = Mask::in_raster_order(mask.grid, (0..mask.masked.len()).map(|patch| patch * 7 % 11 < count).collect());
            }
        }
        let together = reconstruct(&network, &task, &images, &masks).unwrap();
        let (values, drawn) = (task.shape.image_values(), together.prediction.len() / 4);
        for (sample, mask) in masks.iter().enumerate() {
            let alone = reconstruct(&network, &task, &images[sample * values..][..values], std::slice::from_ref(mask)).unwrap();
            let differs = together.prediction[sample * drawn..][..drawn].iter().zip(&alone.prediction);
            let furthest = differs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(furthest < 1e-5, "{} image {sample}: {furthest}", name(method, &recipe));
        }
    }
}

#[test]
fn larger_images_are_looked_at() {
    for (method, backbone, _) in ALL {
        let recipe = recipe(method, backbone, &[]);
        let network = Network::new(&recipe, &Device::flex()).unwrap();
        let step = recipe.backbone.step();
        let (height, width) = (2 * step.max(32), 3 * step.max(32));
        let images = Images { values: vec![0.1; height * width * 3], batch: 1, height, width };
        let last = features(&network, &images, -1, Pool::Mean).unwrap();
        assert_eq!(last.len(), network.encoder().config().last_width(), "{}", name(method, &recipe));
        for layer in [0, -1] {
            let maps = attention(&network, &images, layer).unwrap();
            assert_eq!(maps.values.len(), maps.heads * maps.tokens * maps.tokens);
            for row in maps.values.chunks_exact(maps.tokens) {
                // A class token in a reduced stage is nobody's key, but there is none: every row is a distribution.
                assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-4, "{} layer {layer}", name(method, &recipe));
            }
        }
    }
}

#[test]
fn eight_images_are_learned_by_heart_whatever_is_asked_for() {
    const SMALL: [(&str, &str); 3] = [("data.image", "[32, 32]"), ("backbone.drop_path", "0"), ("optim.weight_decay", "0")];
    let small = |sets: &[(&'static str, &'static str)]| [&SMALL[..], sets].concat();
    let hog = overfit(&recipe("maskfeat", VIT, &small(&[("backbone.width", "64")])), 500)[1];
    assert!(hog < 0.01, "{hog}");
    let raw = overfit(&recipe("mae", VIT, &small(&[("target.norm_pix", "false")])), 500)[1];
    assert!(raw < 0.01, "{raw}");
    let codes = [("target.kind", "tokens"), ("target.codes", "32"), ("objective.kind", "cross_entropy"), ("backbone.layer_scale", "1")];
    let recipe = recipe("beit", VIT, &small(&codes));
    let sizes = Sizes { channels: 3, patch: 8, codes: 32, width: 16 };
    let tokenizer = PatchTokenizer::untrained(sizes, vec![0.0; 3], vec![1.0; 3], 5, &Device::flex());
    let task = Task::new(&recipe).unwrap().with_measured(&tokenizer.tensors().unwrap(), &Device::flex()).unwrap();
    let classes: BTreeSet<usize> =
        images(&task, 8).chunks_exact(32 * 32 * 3).flat_map(|image| task.targets(image)).map(|class| class as usize).collect();
    assert!(classes.len() > 4, "{classes:?}");
    let entropy = overfit_task(&task, &recipe, 500)[1];
    assert!(entropy < 0.1, "{entropy}");
}

#[test]
fn packed_tokens_get_their_own_positions_and_officially_most_get_others() {
    let of_order = |order: &'static str| recipe("um-mae", SWIN, &[("data.image", "[64, 64]"), ("decoder.pos_order", order)]);
    let (corrected, official) = (of_order("corrected"), of_order("official"));
    assert_eq!(corrected.shape().grid(), [16, 16]);
    let batch = |recipe: &Recipe| {
        let task = Task::new(recipe).unwrap();
        task.batch(&images(&task, 40), &masks(recipe, 40)).unwrap()
    };
    let [own, others] = [&corrected, &official].map(batch);
    // A table that names its own rows shows which position each token gets.
    let table = Tensor::<1, Int>::arange(-1..256, &Device::flex()).float().reshape([1, 257, 1]);
    let positions = |batch: &MaskedBatch| to_host(batch.positions(&table, 64, &Device::flex())).unwrap();
    let places: Vec<f32> = own.order.chunks_exact(256).flat_map(|order| order[..64].iter().map(|&place| place as f32)).collect();
    assert_eq!(positions(&own), places);
    assert_eq!(own.order, others.order);
    let wrong = positions(&others).iter().zip(&places).filter(|(have, want)| have != want).count() as f64 / places.len() as f64;
    // About three quarters on 16x16 units, as simulated.
    assert!((wrong - 0.75).abs() < 0.03, "{wrong}");
}
