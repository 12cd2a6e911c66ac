//! Every fused operation, forward and gradients, against plain tensor operations and against finite differences, odd shapes included.

use burn::tensor::{Device, Tensor, TensorData};

use super::{BlockParameters, Order, RowError, Update, reference};
use crate::random::{Purpose, Stream};

/// Inputs by (shape, scale); the operation takes them in this order.
pub(super) type Inputs<'a> = &'a [(&'a [usize], f32)];
/// Tensors are flat on the way in, so that one type fits all; the operation gives them their shapes.
pub(super) type Operation<'a> = &'a (dyn Fn(Vec<Tensor<1>>) -> Tensor<1> + Sync);

pub(super) fn random(count: usize, scale: f32, seed: u64) -> Vec<f32> {
    let mut stream = Stream::new(seed, 0, 0, Purpose::Bench);
    (0..count).map(|_| stream.normal() as f32 * scale).collect()
}

/// The output, and the gradient of `sum(output · direction)` by every input.
fn run(operation: Operation, inputs: &[Vec<f32>]) -> (Vec<f32>, Vec<Vec<f32>>) {
    let device = Device::flex().autodiff();
    let tensors: Vec<Tensor<1>> =
        inputs.iter().map(|values| Tensor::from_data(TensorData::new(values.clone(), [values.len()]), &device).require_grad()).collect();
    let output = operation(tensors.clone());
    let values: Vec<f32> = output.clone().into_data().try_into_vec().unwrap();
    let direction = random(values.len(), 1.0, 99);
    let direction = Tensor::<1>::from_data(TensorData::new(direction, [values.len()]), &device);
    let gradients = (output * direction).sum().backward();
    (values, tensors.iter().map(|tensor| tensor.grad(&gradients).unwrap().into_data().try_into_vec().unwrap()).collect())
}

#[track_caller]
fn assert_close(what: &str, have: &[f32], want: &[f32], tolerance: f32) {
    assert_eq!(have.len(), want.len(), "{what}");
    let scale = want.iter().fold(1e-2_f32, |scale, value| scale.max(value.abs()));
    for (index, (have, want)) in have.iter().zip(want).enumerate() {
        assert!((have - want).abs() <= tolerance * scale, "{what}[{index}]: {have} instead of {want}");
    }
}

#[track_caller]
pub(super) fn check(name: &str, shapes: Inputs, fused: Operation, plain: Operation) {
    let inputs: Vec<Vec<f32>> =
        shapes.iter().enumerate().map(|(index, (shape, scale))| random(shape.iter().product(), *scale, index as u64)).collect();
    let (have, have_gradients) = run(fused, &inputs);
    let (want, want_gradients) = run(plain, &inputs);
    assert_close(&format!("{name} {shapes:?}"), &have, &want, 3e-6);
    for (index, (have, want)) in have_gradients.iter().zip(&want_gradients).enumerate() {
        assert_close(&format!("{name} {shapes:?}, gradient {index}"), have, want, 2e-5);
    }
    if name.contains("relu: true") {
        // Its kinks are no matter for differences.
        return;
    }
    // The directional derivative along a random direction, by central differences in double precision sums.
    let step = 1e-2_f32;
    let weights = random(have.len(), 1.0, 99);
    for (index, gradient) in have_gradients.iter().enumerate() {
        let direction = random(gradient.len(), 1.0, 7);
        let along = |sign: f32| -> f64 {
            let mut moved = inputs.clone();
            moved[index].iter_mut().zip(&direction).for_each(|(value, direction)| *value += sign * step * direction);
            let (output, _) = run(fused, &moved);
            output.iter().zip(&weights).map(|(output, weight)| f64::from(*output) * f64::from(*weight)).sum()
        };
        let numeric = (along(1.0) - along(-1.0)) / f64::from(2.0 * step);
        let analytic: f64 = gradient.iter().zip(&direction).map(|(gradient, direction)| f64::from(gradient * direction)).sum();
        let scale = gradient.iter().map(|value| f64::from(value * value)).sum::<f64>().sqrt().max(1.0);
        assert!((numeric - analytic).abs() < 2e-2 * scale, "{name} {shapes:?}, difference {index}: {numeric} and {analytic}");
    }
}

pub(super) fn next<const D: usize>(tensors: &mut std::vec::IntoIter<Tensor<1>>, shape: [usize; D]) -> Tensor<D> {
    tensors.next().unwrap().reshape(shape)
}

#[test]
fn linear() {
    for [batch, tokens, inputs, outputs] in [[1, 1, 1, 1], [1, 1, 5, 3], [3, 197, 5, 1], [2, 197, 48, 600], [1, 50, 1, 7], [4, 65, 96, 97]]
    {
        let of = |linear: fn(Tensor<3>, Tensor<2>, Option<Tensor<1>>) -> Tensor<3>| {
            move |tensors: Vec<Tensor<1>>| {
                let mut tensors = tensors.into_iter();
                let (x, weight) = (next(&mut tensors, [batch, tokens, inputs]), next(&mut tensors, [outputs, inputs]));
                linear(x, weight, tensors.next()).reshape([-1])
            }
        };
        let shapes: Inputs = &[(&[batch, tokens, inputs], 1.0), (&[outputs, inputs], 0.5), (&[outputs], 1.0)];
        check("linear", shapes, &of(super::linear), &of(reference::linear));
    }
}

#[test]
fn linear_without_bias() {
    let device = Device::flex();
    let (x, weight) = (Tensor::<2>::from_data([[1.0, 2.0]], &device), Tensor::<2>::from_data([[3.0, 4.0], [0.5, -1.0]], &device));
    assert_eq!(super::linear(x, weight, None).into_data().try_into_vec::<f32>().unwrap(), [11.0, -1.5]);
}

#[test]
fn layer_norm() {
    for [rows, width] in [[1, 2], [1, 5], [197, 5], [130, 96], [3, 197]] {
        let of = |layer_norm: fn(Tensor<2>, Tensor<1>, Tensor<1>, f64) -> Tensor<2>| {
            move |tensors: Vec<Tensor<1>>| {
                let mut tensors = tensors.into_iter();
                let (x, weight, bias) = (next(&mut tensors, [rows, width]), next(&mut tensors, [width]), next(&mut tensors, [width]));
                layer_norm(x, weight, bias, 0.1).reshape([-1])
            }
        };
        check("layer norm", &[(&[rows, width], 2.0), (&[width], 1.0), (&[width], 1.0)], &of(super::layer_norm), &of(reference::layer_norm));
    }
}

#[test]
fn one_column_is_normalized_to_the_bias() {
    let device = Device::flex();
    let [weight, bias] = [3.0, 0.25].map(|value| Tensor::<1>::from_data([value], &device));
    let normalized = super::layer_norm(Tensor::<2>::from_data([[5.0], [-7.0]], &device), weight, bias, 1e-6);
    assert_eq!(normalized.into_data().try_into_vec::<f32>().unwrap(), [0.25, 0.25]);
}

#[test]
fn gelu() {
    for count in [1, 5, 197, 40_000] {
        let inputs: Inputs = &[(&[count], 2.0)];
        check("gelu", inputs, &|mut x| super::gelu(x.remove(0)), &|mut x| reference::gelu(x.remove(0)));
    }
}

#[test]
fn attention() {
    for [batch, tokens, heads, head] in [[1, 1, 1, 1], [2, 1, 2, 3], [3, 7, 1, 5], [2, 197, 2, 16], [5, 50, 3, 8]] {
        let shape = [batch, tokens, 3 * heads * head];
        for groups in [0, 1, batch] {
            let bias_shape = [groups, heads, tokens, tokens];
            let of = |attention: fn(Tensor<3>, Option<Tensor<4>>, usize) -> Tensor<3>| {
                move |tensors: Vec<Tensor<1>>| {
                    let mut tensors = tensors.into_iter();
                    let qkv = next(&mut tensors, shape);
                    attention(qkv, (groups > 0).then(|| next(&mut tensors, bias_shape)), heads).reshape([-1])
                }
            };
            let inputs: Inputs = &[(&shape, 1.0), (&bias_shape, 1.0)];
            let inputs = &inputs[..1 + groups.min(1)];
            check("attention", inputs, &of(super::attention), &of(reference::attention));
        }
    }
}

#[test]
fn attention_to() {
    for [batch, queries, keys, heads, head] in [[1, 1, 1, 1, 1], [2, 5, 3, 2, 3], [3, 4, 9, 1, 5], [2, 196, 49, 2, 16]] {
        let (q_shape, kv_shape) = ([batch, queries, heads * head], [batch, keys, 2 * heads * head]);
        let of = |attention: fn(Tensor<3>, Tensor<3>, usize) -> Tensor<3>| {
            move |tensors: Vec<Tensor<1>>| {
                let mut tensors = tensors.into_iter();
                let q = next(&mut tensors, q_shape);
                attention(q, next(&mut tensors, kv_shape), heads).reshape([-1])
            }
        };
        check("attention to others", &[(&q_shape, 1.0), (&kv_shape, 1.0)], &of(super::attention_to), &of(reference::attention_to));
    }
}

#[test]
fn normed_linear() {
    for [rows, inputs, outputs] in [[1, 1, 1], [5, 7, 3], [130, 48, 33]] {
        let of = |is_whole: bool| {
            move |tensors: Vec<Tensor<1>>| {
                let mut tensors = tensors.into_iter();
                let x = next(&mut tensors, [rows, inputs]);
                let [norm, shift, bias] = [inputs, inputs, outputs].map(|count| next(&mut tensors, [count]));
                let weight = next(&mut tensors, [outputs, inputs]);
                if is_whole {
                    return super::normed_linear(x, [norm, shift], 0.1, weight, bias).reshape([-1]);
                }
                reference::linear(reference::layer_norm(x, norm, shift, 0.1), weight, Some(bias)).reshape([-1])
            }
        };
        let inputs: Inputs = &[(&[rows, inputs], 2.0), (&[inputs], 1.0), (&[inputs], 1.0), (&[outputs], 1.0), (&[outputs, inputs], 0.3)];
        check("normed linear", inputs, &of(true), &of(false));
    }
}

#[test]
fn reorder() {
    let order = Order::new([2, 0, 3, 1]);
    let fused = |mut tensors: Vec<Tensor<1>>| super::reorder(&tensors.remove(0).reshape([3, 4, 5]), &order).unwrap().reshape([-1]);
    let plain = |mut tensors: Vec<Tensor<1>>| {
        let device = tensors[0].device().without_autodiff();
        tensors.remove(0).reshape([3, 4, 5]).select(1, Tensor::from_data([2, 0, 3, 1], &device)).reshape([-1])
    };
    check("reorder", &[(&[3, 4, 5], 1.0)], &fused, &plain);
    let x = Tensor::<3>::ones([1, 4, 2], &Device::flex());
    assert!(order.inverse().inverse().sources == order.sources && !order.is_plain() && Order::new(0..4).is_plain());
    assert_eq!(super::reorder(&x, &Order::new(0..4)).unwrap().into_data(), x.into_data());
}

/// How a block is computed.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum How {
    FromParts,
    Whole,
    Recomputed,
}

/// A block of `[batch, tokens, heads, head width, hidden]`: input, then weights in their order, then a bias of so many groups, if any.
pub(super) fn block_of(
    sizes: [usize; 5],
    factors: Option<[Vec<f32>; 2]>,
    groups: usize,
    how: How,
) -> impl Fn(Vec<Tensor<1>>) -> Tensor<1> + Sync {
    let [batch, tokens, heads, head, _] = sizes;
    move |tensors| {
        let mut tensors = tensors.into_iter();
        let x = next(&mut tensors, [batch, tokens, heads * head]);
        let parameters = parameters_of(&mut tensors, sizes, groups, how);
        if how != How::FromParts {
            return super::block_on_cpu(super::Tokens::all(x), parameters, None, factors.clone()).reshape([-1]);
        }
        let BlockParameters { norms: [norm1, norm2], weights, biases, bias, .. } = parameters;
        let [qkv, proj, fc1, fc2] = std::array::from_fn(|layer| (weights[layer].clone(), biases[layer].clone()));
        let norm = |x: Tensor<3>, [weight, bias]: [Tensor<1>; 2]| reference::layer_norm(x, weight, bias, 0.1);
        let linear = |x: Tensor<3>, (weight, bias): (Tensor<2>, Tensor<1>)| reference::linear(x, weight, Some(bias));
        let scaled = |x: Tensor<3>, branch: usize| match &factors {
            Some(factors) => x.clone() * Tensor::<3>::from_data(TensorData::new(factors[branch].clone(), [batch, 1, 1]), &x.device()),
            None => x,
        };
        let x = x.clone() + scaled(linear(reference::attention(linear(norm(x, norm1), qkv), bias, heads), proj), 0);
        (x.clone() + scaled(linear(reference::gelu(linear(norm(x, norm2), fc1)), fc2), 1)).reshape([-1])
    }
}

/// What comes after the input.
pub(super) fn parameters_of(
    tensors: &mut std::vec::IntoIter<Tensor<1>>,
    [_, tokens, heads, head, hidden]: [usize; 5],
    groups: usize,
    how: How,
) -> BlockParameters {
    let width = heads * head;
    let shapes = [[1, width], [3 * width, width], [width, width], [1, width], [hidden, width], [width, hidden]];
    let [norm1, qkv, proj, norm2, fc1, fc2] = shapes.map(|shape| {
        let weight = next(tensors, shape);
        (weight, tensors.next().unwrap())
    });
    let bias = (groups > 0).then(|| next(tensors, [groups, heads, tokens, tokens]));
    let norms = [norm1, norm2].map(|(weight, bias)| [weight.reshape([-1]), bias]);
    let (weights, biases) = split([qkv, proj, fc1, fc2]);
    BlockParameters { norms, weights, biases, heads, eps: 0.1, bias, recompute: how == How::Recomputed }
}

fn split(layers: [(Tensor<2>, Tensor<1>); 4]) -> ([Tensor<2>; 4], [Tensor<1>; 4]) {
    let biases = layers.each_ref().map(|(_, bias)| bias.clone());
    (layers.map(|(weight, _)| weight), biases)
}

pub(super) fn block_inputs([batch, tokens, heads, head, hidden]: [usize; 5]) -> Vec<(Vec<usize>, f32)> {
    let width = heads * head;
    let mut inputs = vec![(vec![batch, tokens, width], 1.0)];
    for (outputs, inputs_of, scale) in
        [(1, width, 1.0), (3 * width, width, 0.3), (width, width, 0.3), (1, width, 1.0), (hidden, width, 0.3), (width, hidden, 0.3)]
    {
        inputs.push((vec![outputs, inputs_of], scale));
        inputs.push((vec![if outputs == 1 { width } else { outputs }], 0.5));
    }
    inputs
}

#[test]
fn block() {
    for sizes in [[1, 1, 1, 1, 1], [5, 7, 2, 3, 11], [3, 50, 2, 8, 33], [2, 17, 3, 16, 64], [9, 1, 1, 20, 5]] {
        let factors = [2.0, 0.0, 1.0, 1.5, 0.5].iter().cycle().take(sizes[0]).copied().collect::<Vec<f32>>();
        let dropped = Some([factors.clone(), factors.into_iter().rev().collect()]);
        for (factors, groups, how) in
            [(None, 0, How::Whole), (dropped.clone(), 0, How::Recomputed), (None, sizes[0], How::Recomputed), (dropped, 1, How::Whole)]
        {
            let mut inputs = block_inputs(sizes);
            if groups > 0 {
                inputs.push((vec![groups, sizes[2], sizes[1], sizes[1]], 1.0));
            }
            let inputs: Vec<(&[usize], f32)> = inputs.iter().map(|(shape, scale)| (&shape[..], *scale)).collect();
            let parts = block_of(sizes, factors.clone(), groups, How::FromParts);
            check("block", &inputs, &block_of(sizes, factors, groups, how), &parts);
        }
    }
}

#[test]
fn a_block_of_tokens_that_samples_share_or_that_do_not_go_on() {
    for (sizes, rows, first, how) in [
        ([5, 7, 2, 3, 11], None, 3, How::Whole),
        ([3, 50, 2, 8, 33], None, 49, How::Recomputed),
        ([4, 7, 2, 3, 11], Some(9), 0, How::Recomputed),
        ([4, 60, 3, 8, 40], Some(230), 13, How::Whole),
    ] {
        let [batch, tokens, heads, head, _] = sizes;
        let factors: Option<[Vec<f32>; 2]> = (first == 3).then(|| [vec![2.0, 0.0, 1.0, 1.5, 0.5], vec![0.5, 1.0, 0.0, 2.0, 1.5]]);
        // Every row but one is a token, some are several.
        let which: Vec<u32> = (0..batch * tokens).map(|token| (token * 5 % (rows.unwrap_or(1) - 1).max(1)) as u32).collect();
        let width = heads * head;
        let mut inputs = block_inputs(sizes);
        if let Some(rows) = rows {
            inputs[0].0 = vec![1, rows, width];
        }
        let inputs: Vec<(&[usize], f32)> = inputs.iter().map(|(shape, scale)| (&shape[..], *scale)).collect();
        let shared = rows.map(|rows| super::Shared::new(which.clone(), tokens, rows));
        let x_of = |x: Tensor<1>| {
            let x = x.reshape([rows.map_or(batch, |_| 1), rows.unwrap_or(tokens), width]);
            super::Tokens { x, shared: shared.clone(), first }
        };
        let fused = |mut tensors: Vec<Tensor<1>>| {
            let tokens = x_of(tensors.remove(0));
            super::block_on_cpu(tokens, parameters_of(&mut tensors.into_iter(), sizes, 0, how), None, factors.clone()).reshape([-1])
        };
        let plain = |mut tensors: Vec<Tensor<1>>| {
            tensors[0] = super::Tokens { first: 0, ..x_of(tensors[0].clone()) }.read().reshape([-1]);
            let y = block_of(sizes, factors.clone(), 0, How::FromParts)(tensors).reshape([batch, tokens, width]);
            y.narrow(1, first, tokens - first).reshape([-1])
        };
        check("block of some", &inputs, &fused, &plain);
    }
}

/// An error of rows, as an operation on the prediction; every third row does not count.
fn row_errors(
    [batch, rows, width]: [usize; 3],
    error: RowError,
    of: fn(Tensor<3>, Tensor<3>, Tensor<2>, RowError, f64) -> Tensor<1>,
) -> impl Fn(Vec<Tensor<1>>) -> Tensor<1> + Sync {
    move |tensors: Vec<Tensor<1>>| {
        let prediction = next(&mut tensors.into_iter(), [batch, rows, width]);
        let device = prediction.device();
        let data = |values: Vec<f32>| Tensor::<1>::from_data(TensorData::new(values.clone(), [values.len()]), &device);
        let (target, target_width) = match error {
            RowError::Entropy => ((0..batch * rows).map(|row| (row * 7 % width) as f32).collect(), 1),
            RowError::Distribution { .. } => (distributions(batch * rows, width), width),
            _ => (random(batch * rows * width, 1.0, 5), width),
        };
        let weights = data((0..batch * rows).map(|row| (row % 3) as f32 * 0.5 + 1e-3).collect());
        of(prediction, data(target).reshape([batch, rows, target_width]), weights.reshape([batch, rows]), error, 0.25)
    }
}

pub(super) const ROW_ERRORS: [RowError; 5] =
    [RowError::Square, RowError::Absolute, RowError::Smooth { beta: 0.7 }, RowError::Entropy, RowError::Distribution { sharpness: 2.5 }];

/// Rows of positive numbers that add up to one.
pub(super) fn distributions(rows: usize, width: usize) -> Vec<f32> {
    let mut values: Vec<f32> = random(rows * width, 1.0, 5).into_iter().map(|value| value.abs() + 1e-3).collect();
    for row in values.chunks_exact_mut(width) {
        let total: f32 = row.iter().sum();
        row.iter_mut().for_each(|value| *value /= total);
    }
    values
}

#[test]
fn row_error() {
    for shape in [[1, 1, 1], [2, 3, 5], [3, 65, 48], [1, 4, 1000]] {
        for error in ROW_ERRORS {
            let (fused, plain) = (row_errors(shape, error, super::row_error), row_errors(shape, error, reference::row_error));
            check(&format!("{error:?}"), &[(&shape, 1.0)], &fused, &plain);
        }
    }
}

#[test]
fn a_row_that_does_not_count_may_be_anything() {
    let device = Device::flex().autodiff();
    for error in ROW_ERRORS {
        let of = |first: f32| {
            let mut values = random(2 * 6, 1.0, 1);
            values[0] = first;
            let prediction = Tensor::<3>::from_data(TensorData::new(values, [1, 2, 6]), &device);
            let width = if error == RowError::Entropy { 1 } else { 6 };
            let weights = Tensor::<2>::from_data([[0.0, 1.0]], &device);
            let loss = super::row_error(prediction, Tensor::ones([1, 2, width], &device), weights, error, 0.0);
            loss.into_scalar::<f32>()
        };
        assert!(of(0.5).is_finite(), "{error:?}");
        for bad in [f32::NAN, f32::INFINITY] {
            assert_eq!(of(bad), of(0.5), "{error:?}");
        }
    }
}

#[test]
fn adamw() {
    let device = Device::flex();
    for count in [1, 5, 40_000] {
        let [values, gradient, first, second] = [0, 1, 2, 3].map(|seed| {
            let values = random(count, 1.0, seed).into_iter().map(|value| if seed == 3 { value * value } else { value }).collect();
            Tensor::<1>::from_data(TensorData::new::<f32, _>(values, [count]), &device)
        });
        let numbers = Update { betas: [0.9, 0.95], rests: [0.1, 0.05], keep: 0.99, rate: 0.1, root_correction: 0.3, eps: 1e-8 };
        let moments = || [first.clone(), second.clone()];
        let (have, have_moments) = super::adamw(values.clone(), gradient.clone(), moments(), numbers);
        let (want, want_moments) = reference::adamw(values.clone(), gradient.clone(), moments(), numbers);
        let pairs = [(have, want)].into_iter().chain(have_moments.into_iter().zip(want_moments));
        for (have, want) in pairs {
            let [have, want] = [have, want].map(|tensor| tensor.into_data().try_into_vec::<f32>().unwrap());
            assert_close("adamw", &have, &want, 1e-6);
        }
        let [first_now, _] = moments();
        assert_eq!(first_now.into_data().try_into_vec::<f32>().unwrap(), random(count, 1.0, 2), "a moment someone else holds has changed");
    }
}

#[test]
fn other_updates() {
    let device = Device::flex();
    let host = |tensor: Tensor<1>| tensor.into_data().try_into_vec::<f32>().unwrap();
    for count in [1, 5, 40_000] {
        let [values, gradient, direction] = [0, 1, 2].map(|seed| Tensor::<1>::from_floats(&random(count, 1.0, seed)[..], &device));
        let factor = Tensor::<1>::from_floats([0.3], &device);
        let have = super::momentum(values.clone(), gradient.clone(), direction.clone(), factor.clone(), [0.9, 0.05]);
        let want = reference::momentum(values.clone(), gradient.clone(), direction.clone(), factor.clone(), [0.9, 0.05]);
        assert_close("momentum", &host(have.0), &host(want.0), 1e-6);
        assert_close("direction", &host(have.1), &host(want.1), 1e-6);
        let blended = super::blend(values.clone(), gradient.clone(), [0.99, 0.01]);
        assert_close("blend", &host(blended), &host(values.clone() * 0.99 + gradient.clone() * 0.01), 1e-6);
        assert_close("scale", &host(super::scale(gradient.clone(), factor)), &host(gradient.clone() * 0.3), 1e-6);
        let exact: f64 = random(count, 1.0, 1).iter().map(|&value| f64::from(value).powi(2)).sum();
        assert_close("square sum", &host(super::square_sum(gradient)), &[exact as f32], 1e-5);
        assert_eq!(host(values), random(count, 1.0, 0), "values someone else holds have changed");
    }
}

#[test]
fn a_view_that_is_not_contiguous_is_read_right() {
    let device = Device::flex();
    let x = Tensor::<2>::from_data(TensorData::new(random(6 * 4, 1.0, 1), [6, 4]), &device);
    let weight = Tensor::<2>::from_data(TensorData::new(random(3 * 6, 1.0, 2), [3, 6]), &device);
    let have = super::linear(x.clone().transpose(), weight.clone(), None).into_data().try_into_vec::<f32>().unwrap();
    let want = reference::linear(x.clone().transpose(), weight, None).into_data().try_into_vec::<f32>().unwrap();
    assert_close("a transposed input", &have, &want, 1e-6);
    let have = super::gelu(x.clone().narrow(0, 2, 3)).into_data().try_into_vec::<f32>().unwrap();
    let want = reference::gelu(x.narrow(0, 2, 3)).into_data().try_into_vec::<f32>().unwrap();
    assert_close("a part", &have, &want, 1e-6);
}

#[test]
fn a_bad_number_stays_in_its_sample() {
    let device = Device::flex();
    for bad in [f32::NAN, f32::INFINITY, 1e-40] {
        let mut values = random(3 * 7 * 12, 1.0, 1);
        let clean = values.clone();
        values[7 * 12] = bad;
        let of = |values: Vec<f32>| {
            let qkv = Tensor::<3>::from_data(TensorData::new(values, [3, 7, 12]), &device);
            let ones = || Tensor::<1>::ones([4], &device);
            super::gelu(super::layer_norm(super::attention(qkv, None, 2), ones(), ones(), 1e-6)).into_data().try_into_vec::<f32>().unwrap()
        };
        let (have, want) = (of(values), of(clean));
        assert_eq!(have[..7 * 4], want[..7 * 4]);
        assert_eq!(have[2 * 7 * 4..], want[2 * 7 * 4..]);
        assert_eq!(have[7 * 4].is_finite(), bad < 1.0);
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let inputs: Vec<Vec<f32>> =
        [4 * 197 * 48, 48, 48, 144 * 48, 144].into_iter().enumerate().map(|(index, count)| random(count, 0.5, index as u64)).collect();
    let operation: Operation = &|tensors| {
        let mut tensors = tensors.into_iter();
        let x = super::layer_norm(next(&mut tensors, [4, 197, 48]), tensors.next().unwrap(), tensors.next().unwrap(), 1e-6);
        let qkv = super::linear(x, next(&mut tensors, [144, 48]), tensors.next());
        super::gelu(super::attention(qkv, None, 3)).reshape([-1])
    };
    let sizes = [9, 50, 2, 16, 128];
    let block = block_of(sizes, None, 3, How::Whole);
    let mut shapes = block_inputs(sizes);
    shapes.push((vec![3, 2, 50, 50], 1.0));
    let block_inputs: Vec<Vec<f32>> =
        (shapes.iter().enumerate()).map(|(index, (shape, scale))| random(shape.iter().product(), *scale, index as u64)).collect();
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| [run(operation, &inputs), run(&block, &block_inputs)])
    };
    let one = on(1);
    for threads in [2, 3, 7] {
        assert_eq!(on(threads), one, "{threads} threads");
    }
}
