//! Parity of residual networks with torchvision's on the same weights and images: maps, running statistics and every gradient.
//! `tests/golden/make_resnet_fixtures.py` makes the fixture, whose weights and images follow a rule.

use burn::tensor::{Device, Tensor, TensorData};

use super::batch_norm::Statistics;
use super::encoder::{Encoder, EncoderConfig};
use super::resnet::{ResNet, ResNetConfig};
use crate::random::{Purpose, Stream};
use crate::weights::golden::{self, assert_close};
use crate::weights::model_file::to_host;
use crate::weights::parameters::{Named, Parameters};
use crate::weights::safetensors_file::{HostTensor, TensorMap};

/// The rule of the fixture's script.
fn numbers(count: usize, key: u64) -> Vec<f32> {
    let mixed = |i: u64| {
        let x = (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add((key + 1).wrapping_mul(0xD1B5_4A32_D192_ED03));
        let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x ^ (x >> 27)
    };
    (0..count as u64).map(|i| (2.0 * ((mixed(i) >> 40) as f64 / f64::from(1 << 24)) - 1.0) as f32).collect()
}

fn is_statistic(name: &str) -> bool {
    name.contains("running")
}

/// The network with the rule's weights, and their places in the order of names.
fn filled(name: &str, device: &Device) -> (ResNet, Named<u64>) {
    let mut resnet = ResNetConfig::preset(name).unwrap().init(&mut Stream::new(0, 0, 0, Purpose::Init), device);
    let mut keys = Named::new();
    resnet.visit_parameters(&mut |name, _, _| {
        if !is_statistic(name) {
            keys.insert(name.to_owned(), 0);
        }
    });
    keys.values_mut().enumerate().for_each(|(place, key)| *key = place as u64);
    let plain = device.clone().without_autodiff();
    resnet.update_parameters(&mut |name, shape, value| {
        let Some(&key) = keys.get(name) else { return value };
        let count: usize = shape.iter().product();
        let scale = (6.0 / (count / shape[0]) as f64).sqrt() as f32;
        let start = if name.ends_with("weight") { 1.0 } else { 0.0 };
        // Bottlenecks that change little, as the script has it.
        let share = if name.contains(".bn3.") { 0.125 } else { 1.0 };
        let number = |value: f32| share * if shape.len() == 4 { value * scale } else { value * 0.1 + start };
        let values: Vec<f32> = numbers(count, key).into_iter().map(number).collect();
        Tensor::from_data(TensorData::new(values, [count]), &plain)
    });
    (resnet, keys)
}

const COUNT: usize = 3;
const GRID: [usize; 2] = [64, 96];
/// Channels of maps that the fixture has.
const CHANNELS: usize = 64;

fn images(key: u64, device: &Device) -> Tensor<3> {
    let count = COUNT * GRID[0] * GRID[1] * 3;
    let values: Vec<f32> = numbers(count, key).into_iter().map(|value| value * 2.0).collect();
    Tensor::from_data(TensorData::new(values, [COUNT, GRID[0] * GRID[1], 3]), device)
}

/// Theirs are in double precision.
fn compare(ours: &str, theirs: &str, key: u64, tolerance: f64, fixture: &TensorMap) {
    let device = &Device::flex().autodiff();
    let of = |what: &str| &fixture[&format!("{theirs}.{what}")];
    let (resnet, keys) = filled(ours, device);
    let maps = resnet.encode(images(key, device), GRID, Statistics::Batch);
    let first = |maps: Tensor<3>| to_host(maps.without_autodiff().narrow(2, 0, CHANNELS)).unwrap();
    assert_close("maps", &first(maps.clone()), of("trained"), 1e-5);
    let count = maps.shape().num_elements();
    let direction = Tensor::from_data(TensorData::new(numbers(count, 2000), maps.dims()), device);
    let gradients = resnet.take_gradients(&mut (maps * direction).sum().backward());
    assert_eq!(gradients.keys().collect::<Vec<_>>(), keys.keys().collect::<Vec<_>>(), "what has a gradient");
    for (name, gradient) in gradients {
        let gradient = to_host(gradient).unwrap();
        let [along, norm] = of(&format!("along.{name}")).values[..] else { panic!("two numbers") };
        let direction = numbers(gradient.len(), 3000 + keys[&name]);
        let have: f64 = gradient.iter().zip(direction).map(|(value, direction)| f64::from(*value) * f64::from(direction)).sum();
        assert!(
            (have - f64::from(along)).abs() < tolerance * f64::from(norm),
            "{ours} {name}: {have} instead of {along}, of a norm of {norm}"
        );
        let first = of(&format!("first.{name}"));
        let root = norm / (gradient.len() as f32).sqrt();
        for (have, want) in gradient.iter().zip(&first.values) {
            assert!((have - want).abs() < 10.0 * tolerance as f32 * root.max(want.abs()), "{ours} {name}: {have} instead of {want}");
        }
    }
    resnet.visit_parameters(&mut |name, _, value| {
        if is_statistic(name) {
            let want = of(&format!("moments.{name}"));
            let have = to_host(value).unwrap()[..want.values.len()].to_vec();
            assert_close(name, &have, want, 1e-5);
        }
    });
    assert_close("maps of single images", &first(resnet.encode(images(key, device), GRID, Statistics::Running)), of("looked"), 1e-5);
}

#[test]
fn networks_agree_with_torchvision() {
    let fixture = golden::read("resnet");
    // The keys of the fixture's images, and how near gradients come. In the deep networks some number lies so near zero that single precision
    // takes it for one of the other side, and a ReLU there changes gradients; torchvision's own differ by up to 4e-2 between its precisions.
    for (ours, theirs, key, tolerance) in
        [("resnet-18", "resnet18", 1000, 1e-4), ("resnet-50", "resnet50", 1003, 1e-2), ("wide-resnet-50-2", "wide_resnet50_2", 1000, 1e-2)]
    {
        compare(ours, theirs, key, tolerance, &fixture);
    }
}

#[test]
fn the_software_gpu_agrees_too() {
    let Some(gpu) = crate::device::shared_software() else { return };
    let device = gpu.device.clone();
    let (on_gpu, _) = filled("resnet-nano", &device);
    let (on_cpu, _) = filled("resnet-nano", &Device::flex());
    let maps = |resnet: &ResNet, device: &Device| to_host(resnet.encode(images(1000, device), GRID, Statistics::Batch)).unwrap();
    let want = maps(&on_cpu, &Device::flex());
    assert_close("maps", &maps(&on_gpu, &device), &HostTensor::new([want.len()], want), 1e-4);
}

#[test]
fn stages_have_the_sizes_that_are_told_of_them() {
    let device = Device::flex();
    for (name, image, stages) in [
        ("resnet-nano", [32, 40], vec![(16, [32, 40]), (32, [16, 20]), (64, [8, 10]), (128, [4, 5])]),
        ("resnet-18", [33, 64], vec![(64, [9, 16]), (128, [5, 8]), (256, [3, 4]), (512, [2, 2])]),
    ] {
        let config = EncoderConfig::ResNet(ResNetConfig { grid: image, ..ResNetConfig::preset(name).unwrap() });
        let encoder = config.init(&mut Stream::new(1, 0, 0, Purpose::Init), &device);
        assert!(config.problems(image, false).is_empty());
        let mut seen = Vec::new();
        let tokens = encoder.tokens(Tensor::zeros([1, image[0] * image[1], 3], &device));
        let look = encoder.each_block(tokens, &mut |block| {
            let [_, places, width] = (block.forward)().dims();
            assert_eq!((places, width), (block.grid[0] * block.grid[1], config.width_of(block.index)));
            seen.push((config.stage_of(block.index), width, block.grid));
            Ok(true)
        });
        look.unwrap();
        assert_eq!(seen.len(), config.num_blocks());
        for (stage, (width, grid)) in stages.into_iter().enumerate() {
            assert!(seen.contains(&(stage, width, grid)), "{name}: {seen:?}");
        }
    }
}

#[test]
fn what_is_looked_at_does_not_depend_on_its_neighbors_and_training_does() {
    let device = Device::flex();
    let (resnet, _) = filled("resnet-nano", &device);
    let pair = images(1000, &device);
    let first = pair.clone().narrow(0, 0, 1);
    let of = |images: Tensor<3>, statistics: Statistics| to_host(resnet.encode(images, GRID, statistics).narrow(0, 0, 1)).unwrap();
    assert_eq!(of(pair.clone(), Statistics::Running), of(first.clone(), Statistics::Running));
    assert_ne!(of(pair, Statistics::Batch), of(first, Statistics::Batch));
    let Encoder::ResNet(resized) = Encoder::ResNet(resnet).for_grid([4, 4]).unwrap() else { panic!("a residual network") };
    assert_eq!(resized.config().grid, [4, 4]);
}
