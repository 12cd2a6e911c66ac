//! Operations that keep less for backward than the ones they are made of, as Burn sees them.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, backend_extension};

use super::extension::Passes;

/// Differentiable operations. Shapes are those of the functions of the same names in the parent module.
#[backend_extension(Flex, Autodiff)]
pub trait Lean: Backend {
    /// A layer norm and a linear layer.
    fn fused_normed_linear(
        x: FloatTensor<Self>,
        norm: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        eps: f32,
    ) -> FloatTensor<Self>;
    /// Tokens in another order.
    fn fused_reorder(x: FloatTensor<Self>, order: Order) -> FloatTensor<Self>;
}

/// Where each token of a sample comes from: all of them, each once.
#[derive(Debug, Clone)]
pub struct Order {
    /// `[N]`
    pub(super) sources: Arc<[u32]>,
}

impl Order {
    /// The order in which token `sources[i]` comes at place i.
    pub fn new(sources: impl IntoIterator<Item = usize>) -> Self {
        Self { sources: sources.into_iter().map(|source| source as u32).collect() }
    }

    /// The order that brings all back to where they were.
    #[must_use]
    pub fn inverse(&self) -> Self {
        let mut sources = vec![0; self.sources.len()];
        self.sources.iter().zip(0..).for_each(|(&source, place)| sources[source as usize] = place);
        Self { sources: sources.into() }
    }

    /// Whether nothing moves.
    pub fn is_plain(&self) -> bool {
        self.sources.iter().zip(0..).all(|(&source, place)| source == place)
    }
}

/// The pass that [`Lean`] needs besides.
pub trait Reorder: Backend {
    /// `y`
    fn reorder(x: &FloatTensor<Self>, order: &Order) -> FloatTensor<Self>;
}

impl Lean for Flex {
    fn fused_normed_linear(
        x: FloatTensor<Self>,
        norm: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        eps: f32,
    ) -> FloatTensor<Self> {
        let [normalized, _] = <Self as Passes>::layer_norm(&x, &norm, &shift, eps);
        <Self as Passes>::linear(&normalized, &weight, &bias)
    }

    fn fused_reorder(x: FloatTensor<Self>, order: Order) -> FloatTensor<Self> {
        Self::reorder(&x, &order)
    }
}

impl<B: Passes + Reorder, C: CheckpointStrategy> Lean for Autodiff<B, C> {
    fn fused_normed_linear(
        x: FloatTensor<Self>,
        norm: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        eps: f32,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), norm.node(), shift.node(), weight.node(), bias.node()];
        let [x, norm, shift, weight, bias] = [x, norm, shift, weight, bias].map(|tensor| tensor.into_primitive());
        let [normalized, _] = <B as Passes>::layer_norm(&x, &norm, &shift, eps);
        let y = <B as Passes>::linear(&normalized, &weight, &bias);
        match NormedLinearBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(tracked) => tracked.finish(([x, norm, shift, weight], eps), y),
            OpsKind::UnTracked(untracked) => untracked.finish(y),
        }
    }

    fn fused_reorder(x: FloatTensor<Self>, order: Order) -> FloatTensor<Self> {
        let nodes = [x.node()];
        let y = B::reorder(&x.into_primitive(), &order);
        match ReorderBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(tracked) => tracked.finish(order, y),
            OpsKind::UnTracked(untracked) => untracked.finish(y),
        }
    }
}

#[derive(Debug)]
struct NormedLinearBackward;

impl<B: Passes> Backward<B, 5> for NormedLinearBackward {
    /// `x`, the norm's weight and bias, `weight`; epsilon
    type State = ([FloatTensor<B>; 4], f32);

    /// What leaves the norm is made again: a pass over it, where the product that reads it takes many.
    fn backward(self, ops: Ops<Self::State, 5>, grads: &mut Gradients, _: &mut Checkpointer) {
        let ([x, norm, shift, weight], eps) = ops.state;
        let dy = grads.consume::<B>(&ops.node);
        let [normalized, moments] = <B as Passes>::layer_norm(&x, &norm, &shift, eps);
        let [dweight, dbias] = B::linear_weight_gradients(&dy, &normalized);
        let dnormalized = B::linear_input_gradient(&dy, &weight);
        let [dx, dnorm, dshift] = B::layer_norm_gradients(&dnormalized, &x, &norm, &moments);
        for (node, gradient) in ops.parents.into_iter().zip([dx, dnorm, dshift, dweight, dbias]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct ReorderBackward;

impl<B: Reorder> Backward<B, 1> for ReorderBackward {
    type State = Order;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<B>(&ops.node);
        if let [Some(node)] = ops.parents {
            grads.register::<B>(node.id, B::reorder(&dy, &ops.state.inverse()));
        }
    }
}
