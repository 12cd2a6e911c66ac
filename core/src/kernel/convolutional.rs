//! The fused operations of convolutional networks as Burn sees them. Images are `[B, H·W, C]`, as tokens are.

use std::fmt::Debug;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, backend_extension};

use super::batch_norm::Normalization;
use super::convolution::Window;

/// Moments, which nobody differentiates: what is normalized by them takes that into account.
#[backend_extension(Flex)]
pub trait Moments: Backend {
    /// Mean and variance of every column.
    fn column_moments(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// Differentiable operations. Shapes are those of the functions of the same names in the parent module.
#[backend_extension(Flex, Autodiff)]
pub trait Convolutional: Backend {
    /// A convolution.
    fn fused_convolution(x: FloatTensor<Self>, weight: FloatTensor<Self>, window: Window) -> FloatTensor<Self>;
    /// The largest number in each place of a window.
    fn fused_max_pool(x: FloatTensor<Self>, window: Window) -> FloatTensor<Self>;
    /// Batch normalization; an empty residual is none.
    fn fused_batch_norm(
        x: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        settings: Normalization,
    ) -> FloatTensor<Self>;
}

/// The passes that [`Convolutional`] is made of.
pub trait ConvolutionalPasses: Convolutional {
    /// `y`
    fn convolution(x: &FloatTensor<Self>, weight: &FloatTensor<Self>, window: Window) -> FloatTensor<Self>;
    /// `dx`
    fn convolution_input_gradient(
        dy: &FloatTensor<Self>,
        x: &FloatTensor<Self>,
        weight: &FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self>;
    /// `dweight`
    fn convolution_weight_gradient(
        dy: &FloatTensor<Self>,
        x: &FloatTensor<Self>,
        weight: &FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self>;
    /// `y`
    fn max_pool(x: &FloatTensor<Self>, window: Window) -> FloatTensor<Self>;
    /// `dx`
    fn max_pool_gradient(dy: &FloatTensor<Self>, x: &FloatTensor<Self>, window: Window) -> FloatTensor<Self>;
    /// `y`
    fn batch_norm(
        x: &FloatTensor<Self>,
        moments: &FloatTensor<Self>,
        affine: [&FloatTensor<Self>; 2],
        residual: &FloatTensor<Self>,
        settings: Normalization,
    ) -> FloatTensor<Self>;
    /// `[dx, dweight, dbias]`, and the gradient of the residual if it is wanted; `kept` are `x`, `y`, moments and weight.
    fn batch_norm_gradients(
        dy: &FloatTensor<Self>,
        kept: &[FloatTensor<Self>; 4],
        settings: Normalization,
        wants_residual: bool,
    ) -> ([FloatTensor<Self>; 3], Option<FloatTensor<Self>>);
}

impl<B: ConvolutionalPasses, C: CheckpointStrategy> Convolutional for Autodiff<B, C> {
    fn fused_convolution(x: FloatTensor<Self>, weight: FloatTensor<Self>, window: Window) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node()];
        let (x, weight) = (x.into_primitive(), weight.into_primitive());
        let y = B::convolution(&x, &weight, window);
        match ConvolutionBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(tracked) => tracked.finish(([x, weight], window), y),
            OpsKind::UnTracked(untracked) => untracked.finish(y),
        }
    }

    fn fused_max_pool(x: FloatTensor<Self>, window: Window) -> FloatTensor<Self> {
        let nodes = [x.node()];
        let x = x.into_primitive();
        let y = <B as ConvolutionalPasses>::max_pool(&x, window);
        match MaxPoolBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(tracked) => tracked.finish((x, window), y),
            OpsKind::UnTracked(untracked) => untracked.finish(y),
        }
    }

    fn fused_batch_norm(
        x: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        settings: Normalization,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node(), bias.node(), residual.node()];
        let [x, moments, weight, bias, residual] = [x, moments, weight, bias, residual].map(|tensor| tensor.into_primitive());
        let y = <B as ConvolutionalPasses>::batch_norm(&x, &moments, [&weight, &bias], &residual, settings);
        match BatchNormBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(tracked) => tracked.finish(([x, y.clone(), moments, weight], settings), y),
            OpsKind::UnTracked(untracked) => untracked.finish(y),
        }
    }
}

#[derive(Debug)]
struct ConvolutionBackward;

impl<B: ConvolutionalPasses> Backward<B, 2> for ConvolutionBackward {
    /// `x`, `weight`
    type State = ([FloatTensor<B>; 2], Window);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let ([x, weight], window) = ops.state;
        let [to_x, to_weight] = ops.parents;
        let dy = grads.consume::<B>(&ops.node);
        if let Some(node) = to_x {
            grads.register::<B>(node.id, B::convolution_input_gradient(&dy, &x, &weight, window));
        }
        if let Some(node) = to_weight {
            grads.register::<B>(node.id, B::convolution_weight_gradient(&dy, &x, &weight, window));
        }
    }
}

#[derive(Debug)]
struct MaxPoolBackward;

impl<B: ConvolutionalPasses> Backward<B, 1> for MaxPoolBackward {
    /// `x`
    type State = (FloatTensor<B>, Window);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (x, window) = ops.state;
        let dy = grads.consume::<B>(&ops.node);
        if let [Some(node)] = ops.parents {
            grads.register::<B>(node.id, B::max_pool_gradient(&dy, &x, window));
        }
    }
}

#[derive(Debug)]
struct BatchNormBackward;

impl<B: ConvolutionalPasses> Backward<B, 4> for BatchNormBackward {
    /// `x`, `y`, moments, weight
    type State = ([FloatTensor<B>; 4], Normalization);

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (kept, settings) = ops.state;
        let [to_x, to_weight, to_bias, to_residual] = ops.parents;
        let dy = grads.consume::<B>(&ops.node);
        let ([dx, dweight, dbias], residual) = B::batch_norm_gradients(&dy, &kept, settings, to_residual.is_some());
        for (node, gradient) in [(to_x, Some(dx)), (to_weight, Some(dweight)), (to_bias, Some(dbias)), (to_residual, residual)] {
            if let (Some(node), Some(gradient)) = (node, gradient) {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}
