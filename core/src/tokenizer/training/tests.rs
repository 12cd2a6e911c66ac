//! A few images are learned by heart, and the seed decides everything.

use std::sync::Arc;

use super::*;
use crate::dataset::Pixels;
use crate::dataset::images::InMemory;
use crate::dataset::toy_scenes::ToyScene;
use crate::knob::Value;
use crate::recipe::Base;
use crate::registry;

fn recipe(sets: &[(&str, &str)]) -> Recipe {
    let own = [("backbone.preset", "vit-nano"), ("optim.batch", "8"), ("augment.crop_scale", "[1.0, 1.0]"), ("augment.flip", "0.0")];
    let sets: Vec<_> = own.iter().chain(sets).map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
    Recipe::resolve(Base::Preset("mae"), &sets).unwrap()
}

fn data(recipe: &Recipe) -> TrainingData {
    let scenes: Vec<ToyScene> = (0..8).map(|index| ToyScene::new(1, index, 32, 32)).collect();
    let pictures = scenes.iter().map(|scene| crate::dataset::Picture::new(32, 32, 3, Pixels::U8(scene.pixels.clone())).unwrap());
    let source = InMemory { pictures: pictures.collect(), names: Vec::new() };
    let recipe = Recipe { data: crate::recipe::Data { held_out: 0.0, ..recipe.data.clone() }, ..recipe.clone() };
    TrainingData::split(Arc::new(source), &[None; 8], &recipe)
}

fn trained(recipe: &Recipe, sets: &[(&str, Value)], steps: i64) -> Trained {
    let own = [("codes", Value::Int(64)), ("width", Value::Int(32)), ("steps", Value::Int(steps))];
    let settings: registry::Settings = own.into_iter().chain(sets.iter().cloned()).map(|(key, value)| (key.to_owned(), value)).collect();
    let settings = Settings::new(&settings).unwrap();
    let interrupted = AtomicBool::new(false);
    let mut ticks = Vec::new();
    let mut on_tick = |tick: &Tick| ticks.push(*tick);
    let trained = train(&data(recipe), recipe, &settings, &mut Options { threads: 1, interrupted: &interrupted, on_tick: &mut on_tick });
    let trained = trained.unwrap();
    assert_eq!((trained.steps, ticks.last().map(|tick| tick.step)), (steps as usize, Some(steps as usize)));
    assert!(!trained.interrupted && ticks.iter().all(|tick| tick.perplexity >= 1.0 && tick.eta_secs >= 0.0));
    trained
}

#[test]
fn a_few_images_are_learned_with_many_codes() {
    let recipe = recipe(&[]);
    let (begun, learned) = (trained(&recipe, &[], 1), trained(&recipe, &[], 300));
    println!("{} to {}, perplexity {}", begun.loss, learned.loss, learned.usage.perplexity());
    assert!(learned.loss < 0.35 * begun.loss, "{} to {}", begun.loss, learned.loss);
    assert!(learned.usage.perplexity() > 8.0, "{}", learned.usage.perplexity());
    assert!(learned.usage.dead() < 64);
    assert!(learned.pictures.height > 128 && learned.pictures.width > 8 * 128);
}

#[test]
fn every_setting_learns() {
    let recipe = recipe(&[("data.channels", "1"), ("data.mean", "[0.5]"), ("data.std", "[0.25]"), ("backbone.patch", "8")]);
    let begun = trained(&recipe, &[], 1).loss;
    for set in [
        ("straight_through", Value::Bool(true)),
        ("kl_weight", Value::Float(1e-3)),
        ("loss", Value::Text("smooth_l1".into())),
        ("end_temperature", Value::Float(1.0)),
    ] {
        let loss = trained(&recipe, std::slice::from_ref(&set), 100).loss;
        assert!(loss < 0.9 * begun, "{set:?}: {begun} to {loss}");
    }
}

#[test]
fn equal_seeds_give_equal_tokenizers() {
    let tensors = |seed: &str| trained(&recipe(&[("seed", seed)]), &[], 5).tokenizer.tensors().unwrap();
    assert!(tensors("3") == tensors("3") && tensors("3") != tensors("4"));
}

#[test]
fn the_gradient_is_that_of_the_loss() {
    // One weight of each kind, moved a little: the noise is fixed, so the loss is a function of the weights.
    let recipe = recipe(&[]);
    let settings = Settings::new(&[("codes".to_owned(), Value::Int(8)), ("width".to_owned(), Value::Int(8))].into()).unwrap();
    let sizes = Sizes { channels: 3, patch: 4, codes: 8, width: 8 };
    let (mean, std) = recipe.data.normalization();
    let tokenizer = PatchTokenizer::untrained(sizes, mean, std, 0, &Device::flex().autodiff());
    let patches = cut(&data(&recipe).look(0, &recipe).unwrap(), &recipe);
    let settings = Settings { kl_weight: 0.1, ..settings };
    let loss_of = |tokenizer: &PatchTokenizer| tokenizer.loss(&patches, &recipe, &settings, settings.objective().as_ref(), 0).0;
    let gradients = tokenizer.vae.take_gradients(&mut loss_of(&tokenizer).backward());
    for name in
        ["down.0.weight", "mix.conv.weight", "head.weight", "decoder.codebook.weight", "decoder.mix.out.bias", "decoder.up.1.weight"]
    {
        let gradient = to_host(gradients[name].clone()).unwrap();
        let place = (0..gradient.len()).max_by(|&a, &b| gradient[a].abs().total_cmp(&gradient[b].abs())).unwrap();
        let at = |shift: f32| {
            let mut moved = tokenizer.clone();
            moved.vae.update_parameters(&mut |found, _, value| {
                if found != name {
                    return value;
                }
                let device = value.device();
                let mut values = to_host(value).unwrap();
                values[place] += shift;
                let count = values.len();
                Tensor::from_data(TensorData::new(values, [count]), &device)
            });
            f64::from(to_host(loss_of(&moved).without_autodiff()).unwrap()[0])
        };
        const STEP: f32 = 1e-2;
        let (numeric, exact) = ((at(STEP) - at(-STEP)) / f64::from(2.0 * STEP), f64::from(gradient[place]));
        assert!((numeric - exact).abs() < 0.02 * exact.abs() + 2e-4, "{name}: {exact} {numeric}");
    }
}

#[test]
fn patches_that_cannot_be_halved_are_refused() {
    let recipe = recipe(&[("data.image", "30"), ("backbone.patch", "3")]);
    let settings = Settings::new(&registry::Settings::new()).unwrap();
    let interrupted = AtomicBool::new(false);
    let mut options = Options { threads: 1, interrupted: &interrupted, on_tick: &mut |_| {} };
    let error = train(&data(&recipe), &recipe, &settings, &mut options).unwrap_err();
    assert!(error.exit_status() == 2 && error.to_string().contains("cannot be halved"), "{error}");
}
