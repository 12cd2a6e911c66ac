//! Every GPU operation, forward and gradients, against plain tensor operations on the CPU, on the software driver, odd shapes included.

use std::collections::BTreeMap;

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::{BlockParameters, Order, Parameter, adamw_of_all, blend, block, global_norm, row_error, tokens};
use crate::device::shared_software;
use crate::kernel::tests::{ROW_ERRORS, distributions};
use crate::kernel::{RowError, Update, reference};
use crate::random::{Purpose, Stream};

fn random(count: usize, scale: f32, seed: u64) -> Vec<f32> {
    let mut stream = Stream::new(seed, 0, 0, Purpose::Bench);
    (0..count).map(|_| stream.normal() as f32 * scale).collect()
}

/// Flat tensors in, one flat tensor out.
type Operation<'a> = &'a dyn Fn(Vec<Tensor<1>>) -> Tensor<1>;

/// The output, and the gradient of `sum(output · direction)` by every input.
fn run(device: &Device, operation: Operation, inputs: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let device = device.clone().autodiff();
    let tensor = |values: &Vec<f32>| Tensor::<1>::from_data(TensorData::new(values.clone(), [values.len()]), &device);
    let tensors: Vec<_> = inputs.iter().map(|values| tensor(values).require_grad()).collect();
    let output = operation(tensors.clone());
    let direction = tensor(&random(output.dims()[0], 1.0, 99));
    let gradients = (output.clone() * direction).sum().backward();
    let gradients = tensors.iter().map(|tensor| tensor.grad(&gradients).unwrap());
    [output.without_autodiff()].into_iter().chain(gradients).map(|tensor| tensor.into_data().try_into_vec().unwrap()).collect()
}

#[track_caller]
fn check(name: &str, device: &Device, inputs: &[Vec<f32>], fused: Operation, plain: Operation) {
    let (have, want) = (run(device, fused, inputs), run(&Device::flex(), plain, inputs));
    for (index, (have, want)) in have.iter().zip(&want).enumerate() {
        assert_eq!(have.len(), want.len(), "{name}: {index}");
        let scale = want.iter().fold(1e-2_f32, |scale, value| scale.max(value.abs()));
        for (place, (have, want)) in have.iter().zip(want).enumerate() {
            assert!((have - want).abs() <= 3e-5 * scale, "{name}, {index} at {place}: {have} instead of {want}");
        }
    }
}

fn next<const D: usize>(tensors: &mut std::vec::IntoIter<Tensor<1>>, shape: [usize; D]) -> Tensor<D> {
    tensors.next().unwrap().reshape(shape)
}

#[test]
fn norm_and_linear() {
    let Some(gpu) = shared_software() else { return };
    let device = gpu.device.clone();
    for [rows, width, outputs] in [[1, 2, 1], [197, 5, 33], [600, 300, 7]] {
        let inputs = [random(rows * width, 2.0, 1), random(width, 1.0, 2), random(width, 1.0, 3)];
        let of = |norm: &dyn Fn(Tensor<2>, Tensor<1>, Tensor<1>) -> Tensor<2>, tensors: Vec<Tensor<1>>| {
            let mut tensors = tensors.into_iter();
            norm(next(&mut tensors, [rows, width]), tensors.next().unwrap(), tensors.next().unwrap()).reshape([-1])
        };
        let fused = |tensors| of(&|x, weight, bias| super::layer_norm(&x, &weight, &bias, 0.1).unwrap(), tensors);
        check("norm", &device, &inputs, &fused, &|tensors| of(&|x, weight, bias| reference::layer_norm(x, weight, bias, 0.1), tensors));

        let inputs = [random(rows * width, 1.0, 1), random(width * outputs, 0.5, 2), random(outputs, 1.0, 3)];
        let of = |linear: &dyn Fn(Tensor<3>, Tensor<2>, Tensor<1>) -> Tensor<3>, tensors: Vec<Tensor<1>>| {
            let mut tensors = tensors.into_iter();
            let (x, weight) = (next(&mut tensors, [1, rows, width]), next(&mut tensors, [outputs, width]));
            linear(x, weight, tensors.next().unwrap()).reshape([-1])
        };
        let fused = |tensors| of(&|x, weight, bias| super::linear(&x, &weight, &bias).unwrap(), tensors);
        check("linear", &device, &inputs, &fused, &|tensors| of(&|x, weight, bias| reference::linear(x, weight, Some(bias)), tensors));
    }
}

/// B, N, heads, the width of one, and of the MLP.
type BlockShape = [usize; 5];

fn block_inputs([batch, tokens, heads, head, hidden]: BlockShape) -> Vec<Vec<f32>> {
    let width = heads * head;
    let sizes = [
        (batch * tokens * width, 1.0),
        (width, 1.0),
        (width, 1.0),
        (3 * width * width, 0.5),
        (3 * width, 0.5),
        (width * width, 0.5),
        (width, 0.5),
        (width, 1.0),
        (width, 1.0),
        (hidden * width, 0.5),
        (hidden, 0.5),
        (width * hidden, 0.5),
        (width, 0.5),
    ];
    sizes.into_iter().enumerate().map(|(seed, (count, scale))| random(count, scale, seed as u64)).collect()
}

fn block_parameters(tensors: &[Tensor<1>], [_, tokens, heads, head, hidden]: BlockShape) -> BlockParameters {
    let width = heads * head;
    let vector = |index: usize| tensors[index].clone();
    let matrix = |index: usize, shape: [usize; 2]| tensors[index].clone().reshape(shape);
    BlockParameters {
        norms: [[vector(1), vector(2)], [vector(7), vector(8)]],
        weights: [matrix(3, [3 * width, width]), matrix(5, [width, width]), matrix(9, [hidden, width]), matrix(11, [width, hidden])],
        biases: [vector(4), vector(6), vector(10), vector(12)],
        heads,
        eps: 1e-2,
        bias: tensors.get(13).map(|bias| bias.clone().reshape([-1, heads as i32, tokens as i32, tokens as i32])),
        recompute: false,
    }
}

fn plain_block(x: Tensor<3>, parameters: BlockParameters, factors: Option<&[Tensor<1>; 2]>) -> Tensor<3> {
    let BlockParameters { norms: [norm1, norm2], weights: [qkv, proj, fc1, fc2], biases: [b_qkv, b_proj, b1, b2], .. } = parameters;
    let BlockParameters { heads, eps, bias, .. } = parameters;
    let scaled = |branch: Tensor<3>, index: usize| match factors {
        Some(factors) => branch * factors[index].clone().reshape([-1, 1, 1]),
        None => branch,
    };
    let [weight, shift] = norm1;
    let normed = reference::layer_norm(x.clone(), weight, shift, eps);
    let attended = reference::attention(reference::linear(normed, qkv, Some(b_qkv)), bias, heads);
    let x = x + scaled(reference::linear(attended, proj, Some(b_proj)), 0);
    let [weight, shift] = norm2;
    let normed = reference::layer_norm(x.clone(), weight, shift, eps);
    let hidden = reference::gelu(reference::linear(normed, fc1, Some(b1)));
    x + scaled(reference::linear(hidden, fc2, Some(b2)), 1)
}

#[test]
fn blocks() {
    let Some(gpu) = shared_software() else { return };
    let device = gpu.device.clone();
    for shape in [[1, 1, 1, 1, 1], [2, 5, 2, 3, 7], [2, 37, 3, 20, 50]] {
        let [batch, tokens, heads, head, _] = shape;
        for (dropped, groups) in [(false, 0), (batch > 1, 0), (false, 1), (batch > 1, batch)] {
            let factors = |device: &Device| {
                let factor = |values: Vec<f32>| Tensor::<1>::from_data(TensorData::new(values, [batch]), device);
                dropped.then(|| [1.25, 0.5].map(|kept| factor((0..batch).map(|sample| if sample == 1 { 0.0 } else { kept }).collect())))
            };
            let x = |tensors: &[Tensor<1>]| tensors[0].clone().reshape([batch, tokens, heads * head]);
            let fused = |tensors: Vec<Tensor<1>>| {
                let parameters = BlockParameters { recompute: dropped, ..block_parameters(&tensors, shape) };
                block(&x(&tensors), &parameters, factors(&device)).unwrap().reshape([-1])
            };
            let mut inputs = block_inputs(shape);
            inputs.extend((groups > 0).then(|| random(groups * heads * tokens * tokens, 1.0, 13)));
            let plain = |tensors: Vec<Tensor<1>>| {
                let factors = factors(&Device::flex().autodiff());
                plain_block(x(&tensors), block_parameters(&tensors, shape), factors.as_ref()).reshape([-1])
            };
            check(&format!("block {shape:?}, dropped {dropped}, {groups} biases"), &device, &inputs, &fused, &plain);
        }
    }
}

#[test]
fn tokens_in_any_order() {
    let Some(gpu) = shared_software() else { return };
    let device = gpu.device.clone();
    let (batch, given, positions, width) = (3, 5, 9, 7);
    let order = Order { sources: vec![1, -1, 3, 4, -1, 2], places: vec![0, 3, 4, 8, 2, 1, 8, 7, 6, 5, 4, 3, 0, 2, 4, 6, 8, 1] };
    let shapes = [[batch, given, width], [1, 1, width], [1, positions, width]];
    let run = |device: &Device, tokens: &dyn Fn([Tensor<3>; 3]) -> Tensor<3>| -> Vec<Vec<f32>> {
        let device = device.clone().autodiff();
        let leaf = |index: usize| {
            let values = random(shapes[index].iter().product(), 1.0, index as u64);
            Tensor::<3>::from_data(TensorData::new(values, shapes[index]), &device).require_grad()
        };
        let inputs = [0, 1, 2].map(leaf);
        let output = tokens(inputs.clone());
        let direction = Tensor::<3>::from_data(TensorData::new(random(batch * 6 * width, 1.0, 99), [batch, 6, width]), &device);
        let gradients = (output.clone() * direction).sum().backward();
        let gradients = inputs.iter().map(|input| input.grad(&gradients).unwrap());
        [output.without_autodiff()].into_iter().chain(gradients).map(|tensor| tensor.into_data().try_into_vec().unwrap()).collect()
    };
    let have = run(&device, &|[x, learned, table]| tokens(&x, &learned, &table, &order).unwrap());
    let want = run(&Device::flex(), &|[x, learned, table]| {
        let rows = Tensor::cat(vec![x.reshape([batch * given, width]), learned.reshape([1, width])], 0);
        let row = |sample: usize, &source: &i32| if source < 0 { (batch * given) as i32 } else { (sample * given) as i32 + source };
        let sources: Vec<i32> = (0..batch).flat_map(|sample| order.sources.iter().map(move |source| row(sample, source))).collect();
        let list = |values: Vec<i32>| Tensor::<1, Int>::from_data(TensorData::new(values.clone(), [values.len()]), &rows.device());
        let tokens = rows.clone().select(0, list(sources)) + table.reshape([positions, width]).select(0, list(order.places.clone()));
        tokens.reshape([batch, 6, width])
    });
    for (have, want) in have.iter().zip(&want) {
        assert_eq!(have.len(), want.len());
        assert!(have.iter().zip(want).all(|(have, want)| (have - want).abs() < 1e-5), "{have:?} instead of {want:?}");
    }
}

#[test]
fn row_errors() {
    let Some(gpu) = shared_software() else { return };
    let device = gpu.device.clone();
    let (rows, width) = (150, 13);
    for error in ROW_ERRORS {
        let tensors = |device: &Device| {
            let tensor = |values: Vec<f32>| Tensor::<1>::from_data(TensorData::new(values.clone(), [values.len()]), device);
            let weights = (0..rows).map(|row| (row % 3) as f32 * 0.5).collect();
            let classes = || (0..rows).map(|row| (row * 5 % width) as f32).collect();
            let target = match error {
                RowError::Entropy => classes(),
                RowError::Distribution { .. } => distributions(rows, width),
                _ => random(rows * width, 1.0, 5),
            };
            (tensor(target).reshape([3, 50, -1]), tensor(weights).reshape([3, 50]))
        };
        let inputs = [random(rows * width, 1.0, 4)];
        let fused = |x: Vec<Tensor<1>>| {
            let (target, weights) = tensors(&x[0].device());
            row_error(&x[0].clone().reshape([3, 50, width]), &target, &weights, error, 0.25).unwrap()
        };
        let plain = |x: Vec<Tensor<1>>| {
            let (target, weights) = tensors(&x[0].device());
            reference::row_error(x[0].clone().reshape([3, 50, width]), target, weights, error, 0.25)
        };
        check(&format!("{error:?}"), &device, &inputs, &fused, &plain);
    }
}

#[test]
fn a_bad_number_stays_in_its_sample() {
    let Some(gpu) = shared_software() else { return };
    let device = gpu.device.clone();
    let shape: BlockShape = [3, 7, 2, 3, 8];
    let clean = block_inputs(shape);
    let of = |first: f32| {
        let mut inputs = clean.clone();
        inputs[0][7 * 6] = first;
        let outputs = run(
            &device,
            &|tensors| block(&tensors[0].clone().reshape([3, 7, 6]), &block_parameters(&tensors, shape), None).unwrap().reshape([-1]),
            &inputs,
        );
        [outputs[0].clone(), outputs[1].clone()]
    };
    let want = of(clean[0][7 * 6]);
    for bad in [f32::NAN, f32::INFINITY] {
        for (have, want) in of(bad).iter().zip(&want) {
            assert_eq!(have[..7 * 6], want[..7 * 6]);
            assert_eq!(have[2 * 7 * 6..], want[2 * 7 * 6..]);
        }
        assert!(!of(bad)[0][7 * 6].is_finite(), "{bad}");
    }
}

#[test]
fn all_pairs_are_blended_at_once() {
    let Some(gpu) = shared_software() else { return };
    let device = gpu.device.clone();
    let count = |index: usize| 1 + index * 331;
    let named = |seed: u64| -> BTreeMap<String, Tensor<1>> {
        let tensor =
            |index: usize| Tensor::from_data(TensorData::new(random(count(index), 1.0, seed + index as u64), [count(index)]), &device);
        (0..30).map(|index| (format!("{index:02}"), tensor(index))).collect()
    };
    let (mut values, mut others) = (named(0), named(100));
    others.remove("07");
    let held = values["03"].clone();
    others.insert("of the others alone".into(), held.clone());
    blend(&mut values, others, [0.75, 0.25]);
    let alone = values.remove("of the others alone").unwrap();
    assert_eq!(alone.into_data().try_into_vec::<f32>().unwrap(), random(count(3), 1.0, 3));
    for (index, value) in values.into_values().enumerate() {
        let have: Vec<f32> = value.into_data().try_into_vec().unwrap();
        let (value, other) = (random(count(index), 1.0, index as u64), random(count(index), 1.0, 100 + index as u64));
        let want = value.iter().zip(&other).map(|(value, other)| if index == 7 { *value } else { value * 0.75 + other * 0.25 });
        assert!(have.len() == count(index) && have.iter().zip(want).all(|(have, want)| (have - want).abs() < 1e-6), "{index}");
    }
    assert_eq!(held.into_data().try_into_vec::<f32>().unwrap(), random(count(3), 1.0, 3), "a tensor someone else holds has changed");
}

#[test]
fn all_parameters_are_updated_at_once() {
    let Some(gpu) = shared_software() else { return };
    let device = gpu.device.clone();
    let lengths = [1, 5, 2049, 40_000].into_iter().cycle().take(37);
    let numbers = Update { betas: [0.9, 0.95], rests: [0.1, 0.05], keep: 0.99, rate: 0.1, root_correction: 0.3, eps: 1e-8 };
    let parts = |device: &Device| -> Vec<[Tensor<1>; 4]> {
        let tensor = |index: usize, count: usize, part: u64| {
            let values = random(count, 1.0, index as u64 * 4 + part).into_iter();
            let values: Vec<f32> = values.map(|value| if part == 3 { value * value } else { value }).collect();
            Tensor::<1>::from_data(TensorData::new(values, [count]), device)
        };
        lengths.clone().enumerate().map(|(index, count)| [0, 1, 2, 3].map(|part| tensor(index, count, part))).collect()
    };
    let host = |tensor: Tensor<1>| tensor.into_data().try_into_vec::<f32>().unwrap();
    let on_gpu = parts(&device);
    let gradients: Vec<_> = on_gpu.iter().map(|[_, gradient, ..]| gradient).collect();
    let norm = global_norm(&gradients).unwrap();
    let squares: f64 = gradients.iter().flat_map(|&gradient| host(gradient.clone())).map(|value| f64::from(value).powi(2)).sum();
    assert!((f64::from(host(norm.clone())[0]) / squares.sqrt() - 1.0).abs() < 1e-5);
    for limit in [0.0, 50.0] {
        let parameter = |[value, gradient, first, second]: [Tensor<1>; 4]| Parameter::new(value, gradient, [first, second], numbers.keep);
        let parameters = on_gpu.iter().cloned().filter_map(parameter).collect();
        let clip = (limit > 0.0).then_some((&norm, limit));
        let updated = adamw_of_all(parameters, numbers, clip);
        let factor = if limit > 0.0 { (limit / (squares.sqrt() + 1e-6)).min(1.0) } else { 1.0 };
        assert_eq!(updated.len(), on_gpu.len());
        for ((have, have_moments), [value, gradient, first, second]) in updated.into_iter().zip(parts(&Device::flex())) {
            let (want, want_moments) = reference::adamw(value, gradient * factor, [first, second], numbers);
            let pairs = [(have, want)].into_iter().chain(have_moments.into_iter().zip(want_moments));
            for (have, want) in pairs.map(|(have, want)| (host(have), host(want))) {
                assert_eq!(have.len(), want.len());
                assert!(have.iter().zip(&want).all(|(have, want)| (have - want).abs() <= 2e-6 * (1.0 + want.abs())), "limit {limit}");
            }
        }
        let [_, _, first, _] = on_gpu[0].clone();
        assert_eq!(host(first), random(1, 1.0, 2), "a moment someone else holds has changed");
    }
}
