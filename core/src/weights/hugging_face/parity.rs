//! Parity with Hugging Face's own classes on the same weights, images and masks: prediction, loss, every gradient, attention and features.
//! `tests/golden/make_hugging_face_fixtures.py` makes the folders and what is expected of them.

use std::path::PathBuf;

use burn::tensor::Device;

use super::names::takes;
use super::{config, folder_of};
use crate::inspect::encoder::{Images, Pool, attention, features};
use crate::inspect::reconstruct::reconstruct;
use crate::mask::{Grid, Mask};
use crate::method::{self, Network, Task};
use crate::npy;
use crate::recipe::Recipe;
use crate::weights::golden::{self, assert_close, assert_gradients};
use crate::weights::model_file::{Weights, WeightsKind, to_host};
use crate::weights::parameters::Named;
use crate::weights::published::listing::Listing;
use crate::weights::safetensors_file::{HostTensor, TensorMap};

pub(super) fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/hugging_face").join(name)
}

struct Case {
    weights: Weights,
    expected: TensorMap,
    task: Task,
    masks: Vec<Mask>,
}

impl Case {
    fn open(name: &str) -> Self {
        let weights = Weights::open(&folder(name)).unwrap();
        let (shape, hidden) = npy::read_bool(&folder(name).join("masks.npy")).unwrap();
        let grid = weights.recipe.grid();
        assert_eq!(shape, [2, grid.rows, grid.cols]);
        let masks = hidden.chunks_exact(grid.len()).map(|hidden| Mask::in_raster_order(Grid::still(grid.rows, grid.cols), hidden.to_vec()));
        let task = Task::new(&weights.recipe).unwrap();
        Self { masks: masks.collect(), task, expected: golden::read(&format!("hugging_face/{name}")), weights }
    }

    fn images(&self) -> &[f32] {
        &self.expected["images"].values
    }

    fn network(&self, device: &Device) -> Network {
        self.weights.network(WeightsKind::Best, device).unwrap()
    }

    /// The classes that the fixture asks for in masked places, which no target knows: 0, 1, 2 and so on in raster order.
    fn labels(&self) -> Option<Vec<Vec<f32>>> {
        (self.weights.recipe.target.kind == "tokens").then(|| {
            let mut next = (0..20).cycle();
            let mut of_mask =
                |mask: &Mask| mask.masked.iter().map(|&hidden| if hidden { next.next().unwrap() as f32 } else { 0.0 }).collect();
            self.masks.iter().map(&mut of_mask).collect()
        })
    }

    fn check(name: &str) {
        let case = Self::open(name);
        assert_eq!(Recipe::from_toml(&case.weights.recipe.to_toml()).unwrap(), case.weights.recipe);
        let network = case.network(&Device::flex());
        let drawn = reconstruct(&network, &case.task, case.images(), &case.masks).unwrap();
        assert_close("prediction", &drawn.prediction, &case.expected["prediction"], 1e-5);
        if case.task.target.is_known() {
            assert_close("loss", &[drawn.loss as f32], &case.expected["loss"], 1e-5);
        }
        case.check_encoder(&network);
        case.check_gradients(name);
    }

    fn check_encoder(&self, network: &Network) {
        let [height, width] = self.weights.recipe.data.image;
        let num_maps = self.expected.keys().filter(|name| name.starts_with("attention.")).count();
        assert!(num_maps >= 2);
        for (name, want) in &self.expected {
            let Some(layer) = name.strip_prefix("attention.") else { continue };
            let batch = want.shape[0];
            let images = Images { values: self.images()[..batch * height * width * 3].to_vec(), batch, height, width };
            let maps = attention(network, &images, layer.parse().unwrap()).unwrap();
            assert_eq!(want.shape, [batch, maps.heads, maps.tokens, maps.tokens]);
            assert_close(name, &maps.values, want, 1e-5);
        }
        let want = &self.expected["features"];
        let [batch, tokens, last] = want.shape[..] else { panic!("features have three axes") };
        let images = Images { values: self.images()[..batch * height * width * 3].to_vec(), batch, height, width };
        let prefix = network.encoder().num_prefix();
        let rows = want.values.chunks_exact(tokens * last).flat_map(|image| image[prefix * last..].to_vec()).collect();
        let want = HostTensor::new([batch, tokens - prefix, last], rows);
        assert_close("features", &features(network, &images, -1, Pool::Patches).unwrap(), &want, 1e-5);
    }

    fn check_gradients(&self, name: &str) {
        let network = self.network(&Device::flex().autodiff());
        let mut batch = self.task.batch(self.images(), &self.masks).unwrap();
        if let Some(labels) = self.labels() {
            let rows = batch.num_predicted();
            for (row, (target, &id)) in batch.targets.iter_mut().zip(&batch.predicted).enumerate() {
                *target = labels[row / rows][id as usize];
            }
        }
        let loss = network.loss(&batch, self.task.objective.as_ref(), None).unwrap();
        let mut have = network.parameters().take_gradients(&mut loss.backward());
        assert_close("loss", &to_host(loss.without_autodiff()).unwrap(), &self.expected["loss"], 1e-5);

        let model = config::read(&folder(name)).unwrap();
        let theirs = self.expected.iter().filter_map(|(name, tensor)| Some((name.strip_prefix("gradient.")?.to_owned(), tensor.clone())));
        let theirs = Listing::of_tensors(theirs.collect());
        let takes = takes(&method::sizes(&model.recipe).unwrap(), &model, theirs.shapes.clone()).unwrap();
        let mut want: TensorMap = takes.into_iter().map(|take| (take.ours.clone(), take.read(&theirs).unwrap())).collect();
        // Positions that are not trained have none; biases that they do without are zero here, and would be trained.
        want.retain(|name, tensor| !name.ends_with("pos_embed") || tensor.values.iter().any(|&value| value != 0.0));
        if !model.bias[0] {
            let is_bias = |name: &str| name.ends_with("qkv.bias");
            want.retain(|name, _| !is_bias(name));
            have = have.into_iter().filter(|(name, _)| !is_bias(name)).collect::<Named<_>>();
        }
        let want = want.into_iter().map(|(name, tensor)| (format!("gradient.{name}"), tensor)).collect();
        assert_gradients(&have, &want, 1e-4);
    }
}

#[test]
fn vit_mae_with_a_decoder_of_its_own_ratio() {
    Case::check("vit_mae");
    let recipe = Case::open("vit_mae").weights.recipe;
    assert_eq!((recipe.mask.number("ratio"), recipe.target.flag("norm_pix")), (Some(0.625), Some(true)));
    assert_eq!(recipe.data.mean, [0.4, 0.5, 0.6], "its preprocessor_config.json says so");
}

#[test]
fn vit_without_biases_of_queries_keys_and_values() {
    Case::check("vit");
}

#[test]
fn beit_with_one_table_of_relative_positions() {
    Case::check("beit_shared");
}

#[test]
fn beit_with_a_table_of_each_block_and_absolute_positions() {
    Case::check("beit_own");
}

#[test]
fn swin_with_shifted_windows() {
    Case::check("swin");
}

#[test]
fn swin_with_windows_that_are_filled_up() {
    Case::check("swin_filled_up");
}

#[test]
fn a_file_of_weights_beside_its_config_stands_for_the_folder() {
    let file = folder("swin").join("model.safetensors");
    assert_eq!(folder_of(&file), Some(folder("swin").as_path()));
    assert_eq!(Weights::open(&file).unwrap().recipe, Weights::origin(&folder("swin")).unwrap().0);
}
