//! What a masked autoencoder must be able to do, on tiny networks: learn a batch by heart in every mode, and agree with itself.

use burn::tensor::Device;

use super::{Network, Task};
use crate::backbone::drop_path::DropPath;
use crate::mask::Mask;
use crate::optim::adamw::{AdamW, clip_global_norm, global_norm};
use crate::optim::ema::Ema;
use crate::random::{Purpose, Stream};
use crate::recipe::{Base, Recipe};
use crate::weights::model_file::to_host;

fn recipe(sets: &[(&str, &str)]) -> Recipe {
    let tiny = [
        ("data.image", "[16, 24]"),
        ("backbone.patch", "4"),
        ("backbone.width", "32"),
        ("backbone.depth", "2"),
        ("backbone.heads", "2"),
        ("decoder.width", "32"),
        ("decoder.depth", "1"),
        ("decoder.heads", "2"),
        ("target.norm_pix", "false"),
    ];
    let sets: Vec<_> = tiny.iter().chain(sets).map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
    Recipe::resolve(Base::Preset("mae"), &sets).unwrap()
}

/// Smooth images, so that what is masked can be told from what is visible.
pub(super) fn images(task: &Task, count: usize) -> Vec<f32> {
    let mut stream = Stream::new(3, 0, 0, Purpose::Bench);
    (0..count)
        .flat_map(|_| {
            let phases: Vec<f64> = (0..task.shape.channels * 3).map(|_| stream.range(0.0, 6.0)).collect();
            let (width, channels) = (task.shape.width, task.shape.channels);
            (0..task.shape.image_values()).map(move |index| {
                let (y, x, c) = (index / channels / width, index / channels % width, index % channels);
                ((y as f64 * 0.3 + phases[c * 3]).sin() + (x as f64 * 0.2 + phases[c * 3 + 1]).cos()) as f32
            })
        })
        .collect()
}

pub(super) fn masks(recipe: &Recipe, count: usize) -> Vec<Mask> {
    let strategy = recipe.mask().unwrap();
    (0..count as u64).map(|sample| strategy.sample(recipe.grid(), &mut Stream::new(1, 0, sample, Purpose::Mask))).collect()
}

pub(super) fn overfit(recipe: &Recipe, steps: usize) -> [f32; 2] {
    // Where the running average teaches, it stays here what it is at first.
    let average = Network::new(recipe, &Device::flex()).unwrap();
    overfit_task(&Task::new(recipe).unwrap().following(&average), recipe, steps)
}

/// The loss of the first and of the last step on eight fixed images with fixed masks.
pub(super) fn overfit_task(task: &Task, recipe: &Recipe, steps: usize) -> [f32; 2] {
    let mut network = Network::new(recipe, &Device::flex().autodiff()).unwrap();
    let (images, masks) = (images(task, 8), masks(recipe, 8));
    let mut optimizer = AdamW::new(&recipe.optim);
    let mut losses = Vec::new();
    for step in 0..steps {
        let loss = network.loss(&task.batch(&images, &masks).unwrap(), task.objective.as_ref(), None).unwrap();
        let gradients = network.parameters().take_gradients(&mut loss.backward());
        losses.push(to_host(loss.without_autodiff()).unwrap()[0]);
        // Without a slow end, the last steps would jitter around the minimum.
        let lr = 4e-3 * (1.0 - step as f64 / steps as f64) + 1e-4;
        optimizer.step(network.parameters_mut(), gradients, lr);
    }
    [losses[0], losses[steps - 1]]
}

#[test]
fn eight_images_are_learned_by_heart() {
    let [first, last] = overfit(&recipe(&[]), 500);
    assert!(first > 0.5 && last < 0.01, "{first} {last}");
}

#[test]
fn every_mode_learns() {
    let modes: [&[(&str, &str)]; 11] = [
        &[("backbone.tokens", "mask")],
        &[("backbone.pos", "rope"), ("backbone.registers", "1"), ("backbone.layer_scale", "0.5")],
        &[("backbone.mlp", "swiglu"), ("backbone.pos", "rope"), ("backbone.tokens", "mask")],
        &[("backbone.registers", "3"), ("backbone.pos", "learned")],
        &[("backbone.class_token", "false")],
        &[("backbone.class_token", "false"), ("backbone.tokens", "mask")],
        &[("objective.over", "all")],
        &[("target.norm_pix", "true")],
        &[("mask.kind", "block")],
        &[("mask.kind", "uniform"), ("mask.secondary", "0.25")],
        &[("data.channels", "1"), ("data.mean", "[0.5]"), ("data.std", "[0.25]")],
    ];
    for mode in modes {
        let [first, last] = overfit(&recipe(mode), 60);
        assert!(last < first * 0.7, "{mode:?}: {first} to {last}");
    }
}

#[test]
fn all_parameters_but_fixed_positions_get_gradients() {
    for (sets, fixed) in
        [(&[][..], vec!["decoder.pos_embed", "pos_embed"]), (&[("backbone.pos", "learned")][..], vec!["decoder.pos_embed"])]
    {
        let recipe = recipe(sets);
        let (task, network) = (Task::new(&recipe).unwrap(), Network::new(&recipe, &Device::flex().autodiff()).unwrap());
        let loss = network.loss(&task.batch(&images(&task, 2), &masks(&recipe, 2)).unwrap(), task.objective.as_ref(), None).unwrap();
        let gradients = network.parameters().take_gradients(&mut loss.backward());
        let mut without = Vec::new();
        network.parameters().visit_parameters(&mut |name, _, _| {
            if !gradients.contains_key(name) {
                without.push(name.to_owned());
            }
        });
        without.sort();
        assert_eq!(without, fixed);
    }
}

#[test]
fn accumulated_halves_are_the_whole_batch() {
    let recipe = recipe(&[]);
    let (task, network) = (Task::new(&recipe).unwrap(), Network::new(&recipe, &Device::flex().autodiff()).unwrap());
    let (images, masks) = (images(&task, 4), masks(&recipe, 4));
    let gradients = |images: &[f32], masks: &[Mask], share: f64| {
        let loss = network.loss(&task.batch(images, masks).unwrap(), task.objective.as_ref(), None).unwrap() * share;
        network.parameters().take_gradients(&mut loss.backward())
    };
    let whole = gradients(&images, &masks, 1.0);
    let half = images.len() / 2;
    let (first, second) = (gradients(&images[..half], &masks[..2], 0.5), gradients(&images[half..], &masks[2..], 0.5));
    for (name, whole) in whole {
        let sum = to_host(first[&name].clone() + second[&name].clone()).unwrap();
        for (have, want) in sum.iter().zip(to_host(whole).unwrap()) {
            assert!((have - want).abs() < 1e-5, "{name}: {have} {want}");
        }
    }
}

#[test]
fn clipping_bounds_the_global_norm_and_leaves_small_gradients_alone() {
    let recipe = recipe(&[]);
    let (task, network) = (Task::new(&recipe).unwrap(), Network::new(&recipe, &Device::flex().autodiff()).unwrap());
    let loss = network.loss(&task.batch(&images(&task, 2), &masks(&recipe, 2)).unwrap(), task.objective.as_ref(), None).unwrap();
    let gradients = network.parameters().take_gradients(&mut loss.backward());
    let norm = global_norm(&gradients).unwrap();
    let value = to_host(norm.clone()).unwrap()[0];
    let squares: f32 = gradients.values().flat_map(|gradient| to_host(gradient.clone()).unwrap()).map(|value| value * value).sum();
    assert!((value - squares.sqrt()).abs() < 1e-4 * value);
    for limit in [0.1, 10.0] {
        let limit = f64::from(value) * limit;
        let clipped = to_host(global_norm(&clip_global_norm(gradients.clone(), &norm, limit)).unwrap()).unwrap()[0];
        assert!((f64::from(clipped) - limit.min(f64::from(value))).abs() < 1e-3 * f64::from(value), "{clipped} {limit}");
    }
}

#[test]
fn the_running_average_follows_the_weights() {
    let recipe = recipe(&[]);
    let mut network = Network::new(&recipe, &Device::flex()).unwrap();
    let mut ema = Ema::new(0.9, network.parameters());
    let before = to_host(ema.values["norm.weight"].clone()).unwrap()[0];
    network.parameters_mut().update_parameters(&mut |_, _, value| value + 1.0);
    ema.update(network.parameters());
    let after = to_host(ema.values["norm.weight"].clone()).unwrap()[0];
    assert!((after - (before + 0.1)).abs() < 1e-6, "{before} {after}");
}

#[test]
fn dropped_branches_change_the_loss_and_only_by_their_key() {
    let recipe = recipe(&[("backbone.drop_path", "0.5")]);
    let (task, network) = (Task::new(&recipe).unwrap(), Network::new(&recipe, &Device::flex()).unwrap());
    let batch = task.batch(&images(&task, 4), &masks(&recipe, 4)).unwrap();
    let loss = |epoch: u64| {
        let drop_path = DropPath::sample(0.5, 2, 7, epoch, &[0, 1, 2, 3], 0..1);
        to_host(network.loss(&batch, task.objective.as_ref(), drop_path.as_ref()).unwrap()).unwrap()[0]
    };
    assert_eq!(loss(0), loss(0));
    assert!((1..6).any(|epoch| loss(epoch) != loss(0)));
}

#[test]
fn other_image_sizes_resize_the_positions() {
    let recipe = recipe(&[]);
    let network = Network::new(&recipe, &Device::flex()).unwrap().for_image([12, 20]).unwrap();
    let task = Task::for_size(&recipe, 12, 20).unwrap();
    let mask = Mask::in_raster_order(crate::mask::Grid::still(3, 5), (0..15).map(|patch| patch % 4 != 0).collect());
    let batch = task.batch_of_everything(&images(&task, 1), &[mask]).unwrap();
    assert_eq!(network.predict(&batch, None).unwrap().dims(), [1, 15, 48]);
}

/// Blocks of a 4x6 grid: what is shown of it, and what is predicted.
fn of_blocks(blocks: &[&[usize]]) -> Mask {
    let blocks: Vec<Vec<usize>> = blocks.iter().map(|block| block.to_vec()).collect();
    Mask::of_blocks(crate::mask::Grid::still(4, 6), &blocks, &[12, 13, 14, 18, 19])
}

#[test]
fn blocks_are_predicted_one_by_one_from_what_is_shown() {
    let recipe = recipe(&[("mask.kind", "multi_block"), ("mask.min_context", "1")]);
    let (task, network) = (Task::new(&recipe).unwrap(), Network::new(&recipe, &Device::flex()).unwrap());
    let shown = images(&task, 1);
    let predict = |image: &[f32], blocks: &[&[usize]]| {
        let batch = task.batch(image, &[of_blocks(blocks)]).unwrap();
        assert_eq!((batch.visible, batch.num_predicted()), (5, 4 * blocks.len()));
        to_host(network.predict(&batch, None).unwrap()).unwrap()
    };
    let (first, second): (&[usize], &[usize]) = (&[0, 1, 6, 7], &[7, 8, 13 + 3, 14 + 3]);
    let both = predict(&shown, &[first, second]);
    let apart = [predict(&shown, &[first]), predict(&shown, &[second])].concat();
    let worst = both.iter().zip(&apart).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-5, "{worst}");
    // Patch 7 is asked for twice, and each time in other company.
    let width = both.len() / 8;
    assert_ne!(both[3 * width..4 * width], both[4 * width..5 * width]);

    // Patch 20 is neither shown nor predicted.
    let mut other = shown.clone();
    for (index, value) in other.iter_mut().enumerate() {
        let (y, x) = (index / 3 / 24, index / 3 % 24);
        if [y / 4, x / 4] == [3, 2] {
            *value += 1.0;
        }
    }
    assert_eq!(predict(&other, &[first, second]), both);
    let batch = task.batch(&shown, &[of_blocks(&[first, second])]).unwrap();
    let raster = batch.to_raster(&to_host(batch.targets(&Device::flex())).unwrap());
    let want = task.targets(&shown);
    for id in [0, 1, 6, 7, 8, 16, 17] {
        assert_eq!(raster[id * width..][..width], want[id * width..][..width]);
    }
}

#[test]
fn a_seed_gives_the_network_that_it_gave_in_earlier_versions() {
    let sets = [("backbone.preset", "vit-nano"), ("data.image", "[32, 32]")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    let recipe = Recipe::resolve(Base::Preset("mae"), &sets).unwrap();
    let network = Network::new(&recipe, &Device::flex()).unwrap();
    // Whoever draws in another order changes them, and with them what every seed gives.
    let known: [(&str, [f32; 2]); 7] = [
        ("patch_embed.proj.weight", [-0.141_549_83, 0.060_986_295]),
        ("cls_token", [-0.025_613_232, -0.006_782_13]),
        ("blocks.0.attn.qkv.weight", [0.039_041_255, 0.012_219_19]),
        ("blocks.0.mlp.fc1.weight", [0.007_828_386, 0.075_176_23]),
        ("blocks.3.mlp.fc2.weight", [0.051_860_51, 0.012_691_563]),
        ("decoder.mask_token", [-0.007_648_186, -0.005_830_320_5]),
        ("decoder.pred.weight", [0.039_614_417, -0.020_345_597]),
    ];
    let mut seen = 0;
    network.parameters().visit_parameters(&mut |name, _, value| {
        let Some((_, want)) = known.iter().find(|(known, _)| *known == name) else { return };
        let have = to_host(value.narrow(0, 0, 2)).unwrap();
        assert!(have.iter().zip(want).all(|(have, want)| (have - want).abs() < 1e-6), "{name}: {have:?} instead of {want:?}");
        seen += 1;
    });
    assert_eq!(seen, known.len());
}
