//! The fused operations on Burn's CPU back-end: tensors are unpacked to slices, and results packed again.

use std::borrow::Cow;
use std::sync::Arc;

use burn::backend::Flex;
use burn::backend::flex::{FlexTensor, Layout};
use burn::tensor::{AllocationProperty, Bytes, DType, Shape};

use super::adamw::{self, Update};
use super::attention::Bias;
use super::block::{self, Saved, Settings};
use super::block_weights::Weights;
use super::extension::{BlockPasses, FusedObjectives, ObjectivePasses, Passes, Updates};
use super::pool::Pooled;
use super::row_error::{self, RowError};
use super::{attention, attention_to, gelu, layer_norm, linear};

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
        let [y, logs] = attention::forward(&values(qkv), Bias(&values(bias)), sizes);
        [tensor(y, with_last(qkv, sizes.width)), tensor(logs, Shape::new([qkv.layout().shape()[0], heads, sizes.tokens]))]
    }

    fn attention_gradients(dy: &FlexTensor, qkv: &FlexTensor, logs: &FlexTensor, bias: &FlexTensor, heads: usize) -> [FlexTensor; 2] {
        let sizes = attention_sizes(qkv, heads);
        let [dqkv, dbias] = attention::backward(&values(dy), &values(qkv), &values(logs), Bias(&values(bias)), sizes);
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
        let tokens = x.layout().shape()[1];
        let weights = weights.each_ref().map(values);
        let bias = values(bias);
        let (y, saved) = block::forward(&values(x), tokens, Bias(&bias), &weights.each_ref().map(|values| &**values), settings);
        (tensor(y, x.layout().shape().clone()), Arc::new(saved))
    }

    fn block_gradients(
        dy: &FlexTensor,
        x: &FlexTensor,
        saved: &Self::Saved,
        bias: &FlexTensor,
        weights: &Weights<FlexTensor>,
        settings: &Settings,
    ) -> ([FlexTensor; 2], Weights<FlexTensor>) {
        let tokens = x.layout().shape()[1];
        let of_weights = weights.each_ref().map(values);
        let slices = of_weights.each_ref().map(|values| &**values);
        let gradients = block::backward(&values(dy), &values(x), saved, tokens, Bias(&values(bias)), &slices, settings);
        let mut shapes = weights.each_ref().in_order().into_iter().map(|weight| weight.layout().shape().clone());
        let shaped = |gradient: Pooled| {
            let shape = shapes.next().unwrap_or_else(|| Shape::new([gradient.len()]));
            tensor(gradient, shape)
        };
        let inputs = [tensor(gradients.dx, x.layout().shape().clone()), tensor(gradients.dbias, bias.layout().shape().clone())];
        (inputs, gradients.weights.map(shaped))
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
        let dloss = values(dloss).first().copied().unwrap_or_default();
        let gradient = row_error::backward(dloss, &values(prediction), &values(target), &values(weights), error, addend);
        tensor(gradient, prediction.layout().shape().clone())
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
        adamw::update(values.storage_mut::<f32>(), &self::values(&gradient), moments, numbers);
        (values, first, second)
    }
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
    attention::Sizes { tokens: qkv.layout().shape()[1], width, heads }
}
