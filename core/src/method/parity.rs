//! Parity with Hugging Face's `ViTMAEForPreTraining` on the same weights, images and noise: prediction, mask, loss, every gradient,
//! features, attention, and the weights after two AdamW steps. `tests/golden/make_mae_fixture.py` makes the fixture.

use burn::tensor::Device;

use super::Network;
use super::Task;
use crate::inspect::encoder::{Images, Pool, attention, features};
use crate::inspect::reconstruct::reconstruct;
use crate::mask::random::{num_kept, shuffle_from_noise};
use crate::mask::{Grid, Mask};
use crate::optim::adamw::AdamW;
use crate::recipe::{Base, Recipe};
use crate::weights::golden::{self, assert_close};
use crate::weights::model_file::to_host;
use crate::weights::safetensors_file::{HostTensor, TensorMap};

struct Fixture {
    recipe: Recipe,
    task: Task,
    tensors: TensorMap,
    masks: Vec<Mask>,
}

impl Fixture {
    fn load() -> Self {
        let sets = [
            ("data.image", "[16, 16]"),
            ("backbone.patch", "4"),
            ("backbone.width", "12"),
            ("backbone.depth", "2"),
            ("backbone.heads", "3"),
            ("decoder.width", "8"),
            ("decoder.depth", "1"),
            ("decoder.heads", "2"),
        ];
        let sets = sets.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let recipe = Recipe::resolve(Base::Preset("mae"), &sets).unwrap();
        let tensors = golden::read("mae");
        let noise = tensors["noise"].values.chunks_exact(16);
        let masks = noise.map(|noise| {
            let noise: Vec<f64> = noise.iter().map(|&value| f64::from(value)).collect();
            shuffle_from_noise(Grid::still(4, 4), &noise, num_kept(16, 0.75))
        });
        Self { task: Task::new(&recipe).unwrap(), masks: masks.collect(), recipe, tensors }
    }

    fn network(&self, device: &Device) -> Network {
        let mut network = Network::new(&self.recipe, device).unwrap();
        golden::load_weights(network.parameters_mut(), &self.tensors, device);
        network
    }

    fn images(&self) -> &[f32] {
        &self.tensors["images"].values
    }
}

#[test]
fn prediction_mask_and_loss() {
    let fixture = Fixture::load();
    let network = fixture.network(&Device::flex());
    let drawn = reconstruct(&network, &fixture.task, fixture.images(), &fixture.masks).unwrap();
    assert_close("prediction", &drawn.prediction, &fixture.tensors["prediction"], 1e-5);
    let mask: Vec<f32> = fixture.masks.iter().flat_map(|mask| mask.masked.iter().map(|&masked| f32::from(u8::from(masked)))).collect();
    assert_close("mask", &mask, &fixture.tensors["mask"], 0.0);
    assert_close("loss", &[drawn.loss as f32], &fixture.tensors["loss"], 1e-5);
}

#[test]
fn gradients_and_two_optimizer_steps() {
    let fixture = Fixture::load();
    let mut network = fixture.network(&Device::flex().autodiff());
    let mut optimizer = AdamW::new(&fixture.recipe.optim);
    for step in 0..2 {
        let batch = fixture.task.batch(fixture.images(), &fixture.masks).unwrap();
        let loss = network.loss(&batch, fixture.task.objective.as_ref(), None).unwrap();
        let gradients = network.parameters().take_gradients(&mut loss.backward());
        if step == 0 {
            golden::assert_gradients(&gradients, &fixture.tensors, 1e-4);
        }
        optimizer.step(network.parameters_mut(), gradients, 1e-2);
    }
    network.parameters().visit_parameters(&mut |name, _, value| {
        let Some(want) = fixture.tensors.get(&format!("after.{name}")) else { return };
        let (mut have, mut want) = (to_host(value).unwrap(), want.clone());
        if name.ends_with("qkv.bias") {
            // A bias of the keys changes no probability: its gradient is rounding noise, which AdamW blows up to full steps.
            let width = have.len() / 3;
            have.drain(width..2 * width);
            want.values.drain(width..2 * width);
        }
        assert_close(name, &have, &want, 2e-4);
    });
}

#[test]
fn features_and_attention_of_whole_images() {
    let fixture = Fixture::load();
    let network = fixture.network(&Device::flex());
    let images = Images { values: fixture.images().to_vec(), batch: 2, height: 16, width: 16 };
    let want = &fixture.tensors["features"];
    let rows = |skip: usize, take: usize| {
        let values = want.values.chunks_exact(17 * 12).flat_map(|image| image[skip * 12..(skip + take) * 12].to_vec()).collect();
        HostTensor { shape: vec![2, take, 12], values }
    };
    assert_close("class token", &features(&network, &images, -1, Pool::Cls).unwrap(), &rows(0, 1), 1e-5);
    assert_close("patches", &features(&network, &images, 1, Pool::Patches).unwrap(), &rows(1, 16), 1e-5);
    let maps = attention(&network, &images, -1).unwrap();
    assert_close("attention", &maps.values, &fixture.tensors["attention"], 1e-5);
}

#[test]
fn the_order_of_visible_patches_does_not_matter() {
    let fixture = Fixture::load();
    let network = fixture.network(&Device::flex());
    let raster: Vec<Mask> = fixture.masks.iter().map(|mask| Mask::in_raster_order(mask.grid, mask.masked.clone())).collect();
    let drawn = reconstruct(&network, &fixture.task, fixture.images(), &raster).unwrap();
    assert_close("prediction", &drawn.prediction, &fixture.tensors["prediction"], 1e-5);
}

#[test]
fn predicting_only_the_masked_gives_the_same_loss() {
    let fixture = Fixture::load();
    let network = fixture.network(&Device::flex());
    let batch = fixture.task.batch(fixture.images(), &fixture.masks).unwrap();
    assert_eq!((batch.visible, batch.first_predicted), (4, 4));
    let loss = network.loss(&batch, fixture.task.objective.as_ref(), None).unwrap();
    assert_close("loss", &to_host(loss).unwrap(), &fixture.tensors["loss"], 1e-5);
}

#[test]
fn the_software_gpu_computes_the_same() {
    // The graphics driver is installed by tests/run; elsewhere there may be none.
    let Some(gpu) = crate::device::shared_software() else { return };
    let fixture = Fixture::load();
    let network = fixture.network(&gpu.device.clone().autodiff());
    let batch = fixture.task.batch(fixture.images(), &fixture.masks).unwrap();
    let loss = network.loss(&batch, fixture.task.objective.as_ref(), None).unwrap();
    let gradients = network.parameters().take_gradients(&mut loss.backward());
    assert_close("loss", &to_host(loss.without_autodiff()).unwrap(), &fixture.tensors["loss"], 1e-4);
    golden::assert_gradients(&gradients, &fixture.tensors, 1e-3);
}
