//! Tensors that other libraries computed, and how ours are held against them. Scripts in `tests/golden` make the files.

use std::path::Path;

use burn::tensor::{Device, Tensor};

use super::model_file::{flat, to_host};
use super::parameters::{Named, Parameters};
use super::safetensors_file::{self, HostTensor, TensorMap};

/// The tensors of `tests/golden/NAME.safetensors`.
pub fn read(name: &str) -> TensorMap {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/golden/{name}.safetensors"));
    safetensors_file::read(&path).unwrap().0
}

/// Gives every parameter the tensor `weights.NAME`, whose shape must be its own; all of them must be used.
pub fn load_weights(parameters: &mut dyn Parameters, fixture: &TensorMap, device: &Device) {
    let plain = device.clone().without_autodiff();
    let mut num_unused = fixture.keys().filter(|name| name.starts_with("weights.")).count();
    parameters.update_parameters(&mut |name, shape, _| {
        let tensor = fixture.get(&format!("weights.{name}")).unwrap_or_else(|| panic!("no {name} in the fixture"));
        assert_eq!(tensor.shape, shape, "{name}");
        num_unused -= 1;
        flat(tensor, &plain)
    });
    assert_eq!(num_unused, 0, "weights of the fixture that nothing took");
}

/// Differences are at most `tolerance` times the tensor's largest value, or times a thousandth if that is less.
#[track_caller]
pub fn assert_close(what: &str, have: &[f32], want: &HostTensor, tolerance: f32) {
    assert_within(what, have, want, tolerance, 1e-3);
}

/// Every gradient of the fixture (`gradient.NAME`) is there and close; differences count relative to the gradient's largest value, or to a
/// thousandth of the largest of all gradients if that is more, because what is zero in theory is rounding noise in practice.
#[track_caller]
pub fn assert_gradients(have: &Named<Tensor<1>>, fixture: &TensorMap, tolerance: f32) {
    let expected: Vec<(&str, &HostTensor)> =
        fixture.iter().filter_map(|(name, tensor)| Some((name.strip_prefix("gradient.")?, tensor))).collect();
    assert_eq!(have.keys().map(String::as_str).collect::<Vec<_>>(), expected.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    let largest = expected.iter().map(|(_, tensor)| largest(tensor)).fold(0.0, f32::max);
    for (name, want) in expected {
        assert_within(name, &to_host(have[name].clone()).unwrap(), want, tolerance, 1e-3 * largest);
    }
}

#[track_caller]
fn assert_within(what: &str, have: &[f32], want: &HostTensor, tolerance: f32, least_scale: f32) {
    assert_eq!(have.len(), want.values.len(), "{what}");
    let scale = largest(want).max(least_scale);
    for (index, (have, want)) in have.iter().zip(&want.values).enumerate() {
        assert!((have - want).abs() <= tolerance * scale, "{what}[{index}]: {have} instead of {want}, on a scale of {scale}");
    }
}

fn largest(tensor: &HostTensor) -> f32 {
    tensor.values.iter().fold(0.0, |largest, value| largest.max(value.abs()))
}
