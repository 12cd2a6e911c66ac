//! The fused operations as Burn sees them: what a back-end has to compute, and how it is differentiated.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, backend_extension};

use super::adamw::Update;

/// Differentiable operations. Shapes are those of the functions of the same names in the parent module.
#[backend_extension(Flex, Autodiff)]
pub trait Fused: Backend {
    /// `x Wᵀ + b`
    fn fused_linear(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self>;
    /// Layer normalization.
    fn fused_layer_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>, eps: f32) -> FloatTensor<Self>;
    /// The exact GELU.
    fn fused_gelu(x: FloatTensor<Self>) -> FloatTensor<Self>;
    /// Self-attention.
    fn fused_attention(qkv: FloatTensor<Self>, heads: usize) -> FloatTensor<Self>;
}

/// Updates of parameters, which nobody differentiates.
#[backend_extension(Flex)]
pub trait Updates: Backend {
    /// `values`, `first`, `second`
    fn adamw(
        values: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        numbers: Update,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// The passes that [`Fused`] is made of.
pub trait Passes: Backend {
    /// `x Wᵀ + b`
    fn linear(x: &FloatTensor<Self>, weight: &FloatTensor<Self>, bias: &FloatTensor<Self>) -> FloatTensor<Self>;
    /// `dx`
    fn linear_input_gradient(dy: &FloatTensor<Self>, weight: &FloatTensor<Self>) -> FloatTensor<Self>;
    /// `[dweight, dbias]`
    fn linear_weight_gradients(dy: &FloatTensor<Self>, x: &FloatTensor<Self>) -> [FloatTensor<Self>; 2];
    /// `[y, moments]`
    fn layer_norm(x: &FloatTensor<Self>, weight: &FloatTensor<Self>, bias: &FloatTensor<Self>, eps: f32) -> [FloatTensor<Self>; 2];
    /// `[dx, dweight, dbias]`
    fn layer_norm_gradients(
        dy: &FloatTensor<Self>,
        x: &FloatTensor<Self>,
        weight: &FloatTensor<Self>,
        moments: &FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3];
    /// `y`
    fn gelu(x: &FloatTensor<Self>) -> FloatTensor<Self>;
    /// `dx`
    fn gelu_gradient(dy: &FloatTensor<Self>, x: &FloatTensor<Self>) -> FloatTensor<Self>;
    /// `[y, probabilities]`
    fn attention(qkv: &FloatTensor<Self>, heads: usize) -> [FloatTensor<Self>; 2];
    /// `dqkv`
    fn attention_gradient(
        dy: &FloatTensor<Self>,
        qkv: &FloatTensor<Self>,
        probabilities: &FloatTensor<Self>,
        heads: usize,
    ) -> FloatTensor<Self>;
}

impl Fused for Flex {
    fn fused_linear(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        <Self as Passes>::linear(&x, &weight, &bias)
    }

    fn fused_layer_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>, eps: f32) -> FloatTensor<Self> {
        let [y, _] = <Self as Passes>::layer_norm(&x, &weight, &bias, eps);
        y
    }

    fn fused_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        <Self as Passes>::gelu(&x)
    }

    fn fused_attention(qkv: FloatTensor<Self>, heads: usize) -> FloatTensor<Self> {
        let [y, _] = <Self as Passes>::attention(&qkv, heads);
        y
    }
}

impl<B: Passes, C: CheckpointStrategy> Fused for Autodiff<B, C> {
    fn fused_linear(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node(), bias.node()];
        let (x, weight, bias) = (x.into_primitive(), weight.into_primitive(), bias.into_primitive());
        let y = <B as Passes>::linear(&x, &weight, &bias);
        match LinearBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(tracked) => tracked.finish([x, weight], y),
            OpsKind::UnTracked(untracked) => untracked.finish(y),
        }
    }

    fn fused_layer_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>, eps: f32) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node(), bias.node()];
        let (x, weight, bias) = (x.into_primitive(), weight.into_primitive(), bias.into_primitive());
        let [y, moments] = <B as Passes>::layer_norm(&x, &weight, &bias, eps);
        match LayerNormBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(tracked) => tracked.finish([x, weight, moments], y),
            OpsKind::UnTracked(untracked) => untracked.finish(y),
        }
    }

    fn fused_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [x.node()];
        let x = x.into_primitive();
        let y = <B as Passes>::gelu(&x);
        match GeluBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(tracked) => tracked.finish(x, y),
            OpsKind::UnTracked(untracked) => untracked.finish(y),
        }
    }

    fn fused_attention(qkv: FloatTensor<Self>, heads: usize) -> FloatTensor<Self> {
        let nodes = [qkv.node()];
        let qkv = qkv.into_primitive();
        let [y, probabilities] = <B as Passes>::attention(&qkv, heads);
        match AttentionBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(tracked) => tracked.finish((qkv, probabilities, heads), y),
            OpsKind::UnTracked(untracked) => untracked.finish(y),
        }
    }
}

#[derive(Debug)]
struct LinearBackward;

impl<B: Passes> Backward<B, 3> for LinearBackward {
    /// `x`, `weight`
    type State = [FloatTensor<B>; 2];

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [to_x, to_weight, to_bias] = ops.parents;
        let [x, weight] = ops.state;
        let dy = grads.consume::<B>(&ops.node);
        if let Some(node) = to_x {
            grads.register::<B>(node.id, B::linear_input_gradient(&dy, &weight));
        }
        if to_weight.is_some() || to_bias.is_some() {
            let [dweight, dbias] = B::linear_weight_gradients(&dy, &x);
            for (node, gradient) in [(to_weight, dweight), (to_bias, dbias)] {
                node.into_iter().for_each(|node| grads.register::<B>(node.id, gradient.clone()));
            }
        }
    }
}

#[derive(Debug)]
struct LayerNormBackward;

impl<B: Passes> Backward<B, 3> for LayerNormBackward {
    /// `x`, `weight`, moments
    type State = [FloatTensor<B>; 3];

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [x, weight, moments] = ops.state;
        let dy = grads.consume::<B>(&ops.node);
        let gradients = B::layer_norm_gradients(&dy, &x, &weight, &moments);
        for (node, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct GeluBackward;

impl<B: Passes> Backward<B, 1> for GeluBackward {
    /// `x`
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<B>(&ops.node);
        if let [Some(node)] = ops.parents {
            grads.register::<B>(node.id, B::gelu_gradient(&dy, &ops.state));
        }
    }
}

#[derive(Debug)]
struct AttentionBackward;

impl<B: Passes> Backward<B, 1> for AttentionBackward {
    /// `qkv`, probabilities, number of heads
    type State = (FloatTensor<B>, FloatTensor<B>, usize);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (qkv, probabilities, heads) = ops.state;
        let dy = grads.consume::<B>(&ops.node);
        if let [Some(node)] = ops.parents {
            grads.register::<B>(node.id, B::attention_gradient(&dy, &qkv, &probabilities, heads));
        }
    }
}
