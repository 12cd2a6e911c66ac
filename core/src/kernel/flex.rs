//! The fused operations on Burn's CPU back-end: tensors are unpacked to slices, and results packed again.

use std::borrow::Cow;
use std::sync::Arc;

use burn::backend::Flex;
use burn::backend::flex::{FlexTensor, Layout};
use burn::tensor::{AllocationProperty, Bytes, DType, Shape};
use rayon::prelude::*;

use super::attention::Bias;
use super::batch_norm::{self, Kept, Normalization};
use super::block::{self, Saved, Settings};
use super::block_gradients;
use super::block_weights::Weights;
use super::convolution::{self, Window};
use super::convolutional::{Convolutional, ConvolutionalPasses, Moments};
use super::extension::{BlockPasses, FusedObjectives, ObjectivePasses, Passes, Updates};
use super::lean::{Order, Reorder};
use super::pool::Pooled;
use super::row_error::{self, RowError};
use super::shared_tokens::Shared;
use super::update::{self, Update};
use super::{attention, attention_to, gelu, layer_norm, linear, max_pool};

impl Passes for Flex {
    fn linear(x: &FlexTensor, weight: &FlexTensor, bias: &FlexTensor) -> FlexTensor {
        let sizes = linear_sizes(x.layout().num_elements(), weight);
        let y = linear::forward(&values(x), &values(weight), &values(bias), sizes);
        tensor(y, with_last(x, sizes.outputs))
    }

    fn linear_input_gradient(dy: &FlexTensor, weight: &FlexTensor) -> FlexTensor {
        let [outputs, inputs] = matrix(weight);
        let sizes = linear::Sizes { rows: dy.layout().num_elements() / outputs.max(1), inputs, outputs };
        tensor(linear::input_gradient(&values(dy), &values(weight), sizes), with_last(dy, inputs))
    }

    fn linear_weight_gradients(dy: &FlexTensor, x: &FlexTensor) -> [FlexTensor; 2] {
        let (outputs, inputs) = (last(dy), last(x));
        let sizes = linear::Sizes { rows: x.layout().num_elements() / inputs.max(1), inputs, outputs };
        let (dweight, dbias) = linear::weight_gradients(&values(dy), &values(x), sizes);
        [tensor(dweight, Shape::new([outputs, inputs])), tensor(dbias, Shape::new([outputs]))]
    }

    fn layer_norm(x: &FlexTensor, weight: &FlexTensor, bias: &FlexTensor, eps: f32) -> [FlexTensor; 2] {
        let (y, moments) = layer_norm::forward(&values(x), &values(weight), &values(bias), eps);
        let rows = moments.len() / 2;
        [tensor(y, x.layout().shape().clone()), tensor(moments, Shape::new([rows, 2]))]
    }

    fn layer_norm_gradients(dy: &FlexTensor, x: &FlexTensor, weight: &FlexTensor, moments: &FlexTensor) -> [FlexTensor; 3] {
        let [dx, dweight, dbias] = layer_norm::backward(&values(dy), &values(x), &values(weight), &values(moments));
        let vector = weight.layout().shape();
        [tensor(dx, x.layout().shape().clone()), tensor(dweight, vector.clone()), tensor(dbias, vector.clone())]
    }

    fn gelu(x: &FlexTensor) -> FlexTensor {
        tensor(gelu::forward(&values(x)), x.layout().shape().clone())
    }

    fn gelu_gradient(dy: &FlexTensor, x: &FlexTensor) -> FlexTensor {
        tensor(gelu::backward(&values(dy), &values(x)), x.layout().shape().clone())
    }

    fn attention(qkv: &FlexTensor, bias: &FlexTensor, heads: usize) -> [FlexTensor; 2] {
        let sizes = attention_sizes(qkv, heads);
        let [y, logs] = attention::forward(&values(qkv), Bias::written_out(&values(bias)), sizes);
        [tensor(y, with_last(qkv, sizes.width)), tensor(logs, Shape::new([qkv.layout().shape()[0], heads, sizes.tokens]))]
    }

    fn attention_gradients(dy: &FlexTensor, qkv: &FlexTensor, logs: &FlexTensor, bias: &FlexTensor, heads: usize) -> [FlexTensor; 2] {
        let sizes = attention_sizes(qkv, heads);
        let [dqkv, dbias] = attention::backward(&values(dy), &values(qkv), &values(logs), Bias::written_out(&values(bias)), sizes);
        [tensor(dqkv, qkv.layout().shape().clone()), tensor(dbias, bias.layout().shape().clone())]
    }

    fn attention_to(q: &FlexTensor, kv: &FlexTensor, heads: usize) -> [FlexTensor; 2] {
        let sizes = attention_to_sizes(q, kv, heads);
        let [y, logs] = attention_to::forward(&values(q), &values(kv), sizes);
        let shape = q.layout().shape().clone();
        let logs_shape = Shape::new([shape[0], heads, sizes.queries]);
        [tensor(y, shape), tensor(logs, logs_shape)]
    }

    fn attention_to_gradients(dy: &FlexTensor, [q, kv, logs]: &[FlexTensor; 3], heads: usize) -> [FlexTensor; 2] {
        let sizes = attention_to_sizes(q, kv, heads);
        let [dq, dkv] = attention_to::backward(&values(dy), &values(q), &values(kv), &values(logs), sizes);
        [tensor(dq, q.layout().shape().clone()), tensor(dkv, kv.layout().shape().clone())]
    }
}

impl BlockPasses for Flex {
    type Saved = Arc<Saved<Pooled>>;

    fn block(x: &FlexTensor, bias: &FlexTensor, weights: &Weights<FlexTensor>, settings: &Settings) -> (FlexTensor, Self::Saved) {
        let tokens = tokens_of(x, settings);
        let weights = weights.each_ref().map(values);
        let bias = values(bias);
        let bias = Bias { numbers: &bias, pairs: settings.pairs.as_ref() };
        let (y, saved) = block::forward(&values(x), tokens, bias, &weights.each_ref().map(|values| &**values), settings);
        let (read, width) = (tokens - settings.first, last(x));
        let shape = Shape::new([y.len() / (read * width), read, width]);
        (tensor(y, shape), Arc::new(saved))
    }

    fn block_gradients(
        dy: &FlexTensor,
        x: &FlexTensor,
        saved: &Self::Saved,
        bias: &FlexTensor,
        weights: &Weights<FlexTensor>,
        settings: &Settings,
    ) -> ([FlexTensor; 2], Weights<FlexTensor>) {
        let tokens = tokens_of(x, settings);
        let of_weights = weights.each_ref().map(values);
        let slices = of_weights.each_ref().map(|values| &**values);
        let numbers = values(bias);
        let added = Bias { numbers: &numbers, pairs: settings.pairs.as_ref() };
        let gradients = block_gradients::backward(&values(dy), &values(x), saved, tokens, added, &slices, settings);
        let mut shapes = weights.each_ref().in_order().into_iter().map(|weight| weight.layout().shape().clone());
        let shaped = |gradient: Pooled| {
            let shape = shapes.next().unwrap_or_else(|| Shape::new([gradient.len()]));
            tensor(gradient, shape)
        };
        let inputs = [tensor(gradients.dx, x.layout().shape().clone()), tensor(gradients.dbias, bias.layout().shape().clone())];
        (inputs, gradients.weights.map(shaped))
    }
}

impl Reorder for Flex {
    fn reorder(x: &FlexTensor, order: &Order) -> FlexTensor {
        let (values, mut y, width) = (values(x), Pooled::new(x.layout().num_elements()), last(x));
        let per_sample = (order.sources.len() * width).max(1);
        y.par_chunks_mut(per_sample).zip(values.par_chunks(per_sample)).for_each(|(y, x)| {
            for (y, &source) in y.chunks_exact_mut(width).zip(&*order.sources) {
                y.copy_from_slice(&x[source as usize * width..][..width]);
            }
        });
        tensor(y, x.layout().shape().clone())
    }
}

impl FusedObjectives for Flex {
    fn row_error(prediction: FlexTensor, target: FlexTensor, weights: FlexTensor, error: RowError, addend: f64) -> FlexTensor {
        let loss = row_error::forward(&values(&prediction), &values(&target), &values(&weights), error, addend);
        tensor(vec![loss], Shape::new([1]))
    }
}

impl ObjectivePasses for Flex {
    fn row_error_gradient(dloss: &FlexTensor, [prediction, target, weights]: &[FlexTensor; 3], error: RowError, addend: f64) -> FlexTensor {
        let dloss = number(dloss);
        let gradient = row_error::backward(dloss, &values(prediction), &values(target), &values(weights), error, addend);
        tensor(gradient, prediction.layout().shape().clone())
    }
}

impl ConvolutionalPasses for Flex {
    fn convolution(x: &FlexTensor, weight: &FlexTensor, window: Window) -> FlexTensor {
        let sizes = convolution_sizes(x, weight, window);
        tensor(convolution::forward(&values(x), &values(weight), sizes), of_places(x, window, sizes.outputs))
    }

    fn convolution_input_gradient(dy: &FlexTensor, x: &FlexTensor, weight: &FlexTensor, window: Window) -> FlexTensor {
        let gradient = convolution::input_gradient(&values(dy), &values(weight), convolution_sizes(x, weight, window));
        tensor(gradient, x.layout().shape().clone())
    }

    fn convolution_weight_gradient(dy: &FlexTensor, x: &FlexTensor, weight: &FlexTensor, window: Window) -> FlexTensor {
        let gradient = convolution::weight_gradient(&values(dy), &values(x), convolution_sizes(x, weight, window));
        tensor(gradient, weight.layout().shape().clone())
    }

    fn max_pool(x: &FlexTensor, window: Window) -> FlexTensor {
        tensor(max_pool::forward(&values(x), last(x), window), of_places(x, window, last(x)))
    }

    fn max_pool_gradient(dy: &FlexTensor, x: &FlexTensor, window: Window) -> FlexTensor {
        tensor(max_pool::backward(&values(dy), &values(x), last(x), window), x.layout().shape().clone())
    }

    fn batch_norm(
        x: &FlexTensor,
        moments: &FlexTensor,
        affine: [&FlexTensor; 2],
        residual: &FlexTensor,
        settings: Normalization,
    ) -> FlexTensor {
        let [weight, bias] = affine.map(values);
        let y = batch_norm::forward(&values(x), &values(moments), [&weight, &bias], &values(residual), settings);
        tensor(y, x.layout().shape().clone())
    }

    fn batch_norm_gradients(
        dy: &FlexTensor,
        [x, y, moments, weight]: &[FlexTensor; 4],
        settings: Normalization,
        wants_residual: bool,
    ) -> ([FlexTensor; 3], Option<FlexTensor>) {
        let (shape, vector) = (x.layout().shape().clone(), weight.layout().shape().clone());
        let [dy, x, y, moments, weight] = [dy, x, y, moments, weight].map(values);
        let kept = Kept { dy: &dy, x: &x, y: &y, moments: &moments, weight: &weight };
        let ([dx, dweight, dbias], residual) = batch_norm::backward(kept, settings, wants_residual);
        let gradients = [tensor(dx, shape.clone()), tensor(dweight, vector.clone()), tensor(dbias, vector)];
        (gradients, residual.map(|residual| tensor(residual, shape)))
    }
}

impl Moments for Flex {
    fn column_moments(x: FlexTensor) -> FlexTensor {
        let channels = last(&x);
        tensor(batch_norm::moments(&values(&x), channels), Shape::new([2, channels]))
    }
}

impl Convolutional for Flex {
    fn fused_convolution(x: FlexTensor, weight: FlexTensor, window: Window) -> FlexTensor {
        <Self as ConvolutionalPasses>::convolution(&x, &weight, window)
    }

    fn fused_max_pool(x: FlexTensor, window: Window) -> FlexTensor {
        <Self as ConvolutionalPasses>::max_pool(&x, window)
    }

    fn fused_batch_norm(
        x: FlexTensor,
        moments: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        residual: FlexTensor,
        settings: Normalization,
    ) -> FlexTensor {
        <Self as ConvolutionalPasses>::batch_norm(&x, &moments, [&weight, &bias], &residual, settings)
    }
}

impl Updates for Flex {
    fn adamw(
        values: FlexTensor,
        gradient: FlexTensor,
        first: FlexTensor,
        second: FlexTensor,
        numbers: Update,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let [mut values, mut first, mut second] = [values, first, second].map(whole);
        let moments = [first.storage_mut::<f32>(), second.storage_mut::<f32>()];
        update::adamw(values.storage_mut::<f32>(), &self::values(&gradient), moments, numbers);
        (values, first, second)
    }

    fn momentum(
        values: FlexTensor,
        gradient: FlexTensor,
        direction: FlexTensor,
        factor: FlexTensor,
        numbers: [f32; 2],
    ) -> (FlexTensor, FlexTensor) {
        let [mut values, mut direction] = [values, direction].map(whole);
        let gradient = self::values(&gradient);
        update::momentum(values.storage_mut::<f32>(), &gradient, direction.storage_mut::<f32>(), number(&factor), numbers);
        (values, direction)
    }

    fn blend(average: FlexTensor, values: FlexTensor, shares: [f32; 2]) -> FlexTensor {
        let mut average = whole(average);
        update::blend(average.storage_mut::<f32>(), &self::values(&values), shares);
        average
    }

    fn scaled(values: FlexTensor, factor: FlexTensor) -> FlexTensor {
        let mut values = whole(values);
        update::scale(values.storage_mut::<f32>(), number(&factor));
        values
    }

    fn square_sum(values: FlexTensor) -> FlexTensor {
        tensor(vec![update::square_sum(&self::values(&values))], Shape::new([1]))
    }
}

/// The only number of a tensor.
fn number(tensor: &FlexTensor) -> f32 {
    values(tensor).first().copied().unwrap_or(f32::NAN)
}

/// A tensor whose elements are all that its memory holds.
fn whole(tensor: FlexTensor) -> FlexTensor {
    let is_whole = tensor.as_slice::<f32>().is_some_and(|values| values.len() == tensor.storage::<f32>().len());
    if is_whole { tensor } else { self::tensor(values(&tensor).into_owned(), tensor.layout().shape().clone()) }
}

/// A tensor's elements in row-major order; copied only if they do not lie so.
fn values(tensor: &FlexTensor) -> Cow<'_, [f32]> {
    match tensor.as_slice::<f32>() {
        Some(values) => Cow::Borrowed(values),
        None => Cow::Owned(tensor.to_contiguous().storage::<f32>().to_vec()),
    }
}

/// A tensor whose memory goes back to the pool with it. Whoever changes it in place changes a copy.
fn tensor(values: impl Into<Pooled>, shape: Shape) -> FlexTensor {
    let bytes = Bytes::from_shared(bytes::Bytes::from_owner(values.into()), AllocationProperty::Other);
    FlexTensor::new(bytes, Layout::contiguous(shape), DType::F32)
}

fn last(tensor: &FlexTensor) -> usize {
    tensor.layout().shape().last().copied().unwrap_or(1)
}

fn with_last(tensor: &FlexTensor, size: usize) -> Shape {
    let mut shape = tensor.layout().shape().clone();
    let axis = shape.num_dims() - 1;
    shape[axis] = size;
    shape
}

fn matrix(weight: &FlexTensor) -> [usize; 2] {
    let shape = weight.layout().shape();
    [shape[0], shape[1]]
}

/// Tokens of each sample that a block is given.
fn tokens_of(x: &FlexTensor, settings: &Settings) -> usize {
    settings.shared.as_ref().map_or(x.layout().shape()[1], Shared::tokens)
}

/// The sizes of a convolution of `x [B, H·W, C]` with `weight [O, C, side, side]`.
fn convolution_sizes(x: &FlexTensor, weight: &FlexTensor, window: Window) -> convolution::Sizes {
    let [batch, pixels, channels] = [0, 1, 2].map(|axis| x.layout().shape()[axis]);
    let outputs = weight.layout().shape()[0];
    let fits = weight.layout().shape() == &Shape::new([outputs, channels, window.side, window.side]);
    assert!(pixels == window.pixels() && fits, "a window does not fit the image or the weights");
    convolution::Sizes { batch, channels, outputs, window }
}

/// The shape of what a window makes of images `[B, H·W, C]`.
fn of_places(x: &FlexTensor, window: Window, channels: usize) -> Shape {
    let [down, across] = window.places();
    Shape::new([x.layout().shape()[0], down * across, channels])
}

fn linear_sizes(elements: usize, weight: &FlexTensor) -> linear::Sizes {
    let [outputs, inputs] = matrix(weight);
    linear::Sizes { rows: elements / inputs.max(1), inputs, outputs }
}

fn attention_to_sizes(q: &FlexTensor, kv: &FlexTensor, heads: usize) -> attention_to::Sizes {
    attention_to::Sizes { queries: q.layout().shape()[1], keys: kv.layout().shape()[1], width: last(q), heads }
}

fn attention_sizes(qkv: &FlexTensor, heads: usize) -> attention::Sizes {
    let width = last(qkv) / 3;
    assert!(width.is_multiple_of(heads), "a width of {width} cannot be split into {heads} heads");
    attention::Sizes { tokens: qkv.layout().shape()[1], first: 0, width, heads }
}
