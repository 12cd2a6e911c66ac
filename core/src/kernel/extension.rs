//! The fused operations as Burn sees them: what a back-end has to compute, and how it is differentiated.

use std::fmt::Debug;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, ExtensionType, Flex, backend_extension};

use super::BlockParameters;
use super::block::Settings;
use super::block_weights::{Layer, Weights};
use super::row_error::RowError;
use super::update::Update;

/// Differentiable operations. Shapes are those of the functions of the same names in the parent module.
#[backend_extension(Flex, Autodiff)]
pub trait Fused: Backend {
    /// `x Wᵀ + b`
    fn fused_linear(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self>;
    /// Layer normalization.
    fn fused_layer_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>, eps: f32) -> FloatTensor<Self>;
    /// The exact GELU.
    fn fused_gelu(x: FloatTensor<Self>) -> FloatTensor<Self>;
    /// Self-attention; an empty bias is none.
    fn fused_attention(qkv: FloatTensor<Self>, bias: FloatTensor<Self>, heads: usize) -> FloatTensor<Self>;
    /// Attention to others.
    fn fused_attention_to(q: FloatTensor<Self>, kv: FloatTensor<Self>, heads: usize) -> FloatTensor<Self>;
}

/// Objectives. Only the prediction is differentiated.
#[backend_extension(Flex, Autodiff)]
pub trait FusedObjectives: Backend {
    /// See [`super::row_error()`].
    fn row_error(
        prediction: FloatTensor<Self>,
        target: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        error: RowError,
        addend: f64,
    ) -> FloatTensor<Self>;
}

/// The backward passes of [`FusedObjectives`].
pub trait ObjectivePasses: FusedObjectives {
    /// The gradient of the prediction, `[R, W]`, from that of the loss, `[1]`, and prediction, target and weights.
    fn row_error_gradient(dloss: &FloatTensor<Self>, rows: &[FloatTensor<Self>; 3], error: RowError, addend: f64) -> FloatTensor<Self>;
}

impl<B: ObjectivePasses, C: CheckpointStrategy> FusedObjectives for Autodiff<B, C> {
    fn row_error(
        prediction: FloatTensor<Self>,
        target: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        error: RowError,
        addend: f64,
    ) -> FloatTensor<Self> {
        let nodes = [prediction.node()];
        let [prediction, target, weights] = [prediction, target, weights].map(|tensor| tensor.into_primitive());
        let loss = B::row_error(prediction.clone(), target.clone(), weights.clone(), error, addend);
        match RowErrorBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(tracked) => tracked.finish(([prediction, target, weights], error, addend), loss),
            OpsKind::UnTracked(untracked) => untracked.finish(loss),
        }
    }
}

#[derive(Debug)]
struct RowErrorBackward;

impl<B: ObjectivePasses> Backward<B, 1> for RowErrorBackward {
    /// `prediction`, `target` and `weights`
    type State = ([FloatTensor<B>; 3], RowError, f64);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (rows, error, addend) = ops.state;
        let dloss = grads.consume::<B>(&ops.node);
        if let [Some(node)] = ops.parents {
            grads.register::<B>(node.id, B::row_error_gradient(&dloss, &rows, error, addend));
        }
    }
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
    /// `values`, `direction`
    fn momentum(
        values: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        direction: FloatTensor<Self>,
        factor: FloatTensor<Self>,
        numbers: [f32; 2],
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// `average`
    fn blend(average: FloatTensor<Self>, values: FloatTensor<Self>, shares: [f32; 2]) -> FloatTensor<Self>;
    /// `values`
    fn scaled(values: FloatTensor<Self>, factor: FloatTensor<Self>) -> FloatTensor<Self>;
    /// `[1]`
    fn square_sum(values: FloatTensor<Self>) -> FloatTensor<Self>;
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
    /// `[y, logs]`
    fn attention(qkv: &FloatTensor<Self>, bias: &FloatTensor<Self>, heads: usize) -> [FloatTensor<Self>; 2];
    /// `[dqkv, dbias]`
    fn attention_gradients(
        dy: &FloatTensor<Self>,
        qkv: &FloatTensor<Self>,
        logs: &FloatTensor<Self>,
        bias: &FloatTensor<Self>,
        heads: usize,
    ) -> [FloatTensor<Self>; 2];
    /// `[y, logs]`
    fn attention_to(q: &FloatTensor<Self>, kv: &FloatTensor<Self>, heads: usize) -> [FloatTensor<Self>; 2];
    /// `[dq, dkv]`; `kept` are `q`, `kv` and `logs`.
    fn attention_to_gradients(dy: &FloatTensor<Self>, kept: &[FloatTensor<Self>; 3], heads: usize) -> [FloatTensor<Self>; 2];
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

    fn fused_attention(qkv: FloatTensor<Self>, bias: FloatTensor<Self>, heads: usize) -> FloatTensor<Self> {
        let [y, _] = <Self as Passes>::attention(&qkv, &bias, heads);
        y
    }

    fn fused_attention_to(q: FloatTensor<Self>, kv: FloatTensor<Self>, heads: usize) -> FloatTensor<Self> {
        let [y, _] = <Self as Passes>::attention_to(&q, &kv, heads);
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

    fn fused_attention(qkv: FloatTensor<Self>, bias: FloatTensor<Self>, heads: usize) -> FloatTensor<Self> {
        let nodes = [qkv.node(), bias.node()];
        let (qkv, bias) = (qkv.into_primitive(), bias.into_primitive());
        let [y, logs] = <B as Passes>::attention(&qkv, &bias, heads);
        match AttentionBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(tracked) => tracked.finish(([qkv, logs, bias], heads), y),
            OpsKind::UnTracked(untracked) => untracked.finish(y),
        }
    }

    fn fused_attention_to(q: FloatTensor<Self>, kv: FloatTensor<Self>, heads: usize) -> FloatTensor<Self> {
        let nodes = [q.node(), kv.node()];
        let (q, kv) = (q.into_primitive(), kv.into_primitive());
        let [y, logs] = <B as Passes>::attention_to(&q, &kv, heads);
        match AttentionToBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(tracked) => tracked.finish(([q, kv, logs], heads), y),
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
struct AttentionToBackward;

impl<B: Passes> Backward<B, 2> for AttentionToBackward {
    /// `q`, `kv` and logs; heads
    type State = ([FloatTensor<B>; 3], usize);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (kept, heads) = ops.state;
        let dy = grads.consume::<B>(&ops.node);
        let gradients = B::attention_to_gradients(&dy, &kept, heads);
        for (node, gradient) in ops.parents.into_iter().zip(gradients) {
            node.into_iter().for_each(|node| grads.register::<B>(node.id, gradient.clone()));
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

impl<B: Passes> Backward<B, 2> for AttentionBackward {
    /// `qkv`, logs, bias; number of heads
    type State = ([FloatTensor<B>; 3], usize);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let ([qkv, logs, bias], heads) = ops.state;
        let dy = grads.consume::<B>(&ops.node);
        let gradients = B::attention_gradients(&dy, &qkv, &logs, &bias, heads);
        for (node, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

/// A whole transformer block as one operation.
#[backend_extension(Flex, Autodiff)]
pub trait FusedBlock: Backend {
    /// Shapes: `x [B, N, D]` to the same; `bias [G, heads, N, N]` for the scores of attention, or empty.
    fn fused_block(
        x: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        #[extension_type] weights: BlockWeights<Self>,
        settings: Settings,
    ) -> FloatTensor<Self>;
}

/// The weights of a block, in the shapes of [`super::BlockParameters`].
#[expect(missing_docs, reason = "named and described there")]
#[derive(Debug, Clone, ExtensionType)]
pub struct BlockWeights<B: Backend> {
    pub norm1_weight: FloatTensor<B>,
    pub norm1_bias: FloatTensor<B>,
    pub qkv_weight: FloatTensor<B>,
    pub qkv_bias: FloatTensor<B>,
    pub proj_weight: FloatTensor<B>,
    pub proj_bias: FloatTensor<B>,
    pub norm2_weight: FloatTensor<B>,
    pub norm2_bias: FloatTensor<B>,
    pub fc1_weight: FloatTensor<B>,
    pub fc1_bias: FloatTensor<B>,
    pub fc2_weight: FloatTensor<B>,
    pub fc2_bias: FloatTensor<B>,
}

/// The passes that [`FusedBlock`] is made of.
pub trait BlockPasses: Backend {
    /// What backward needs of forward.
    type Saved: Clone + Debug + Send + 'static;
    /// The output, and what backward needs.
    fn block(
        x: &FloatTensor<Self>,
        bias: &FloatTensor<Self>,
        weights: &Weights<FloatTensor<Self>>,
        settings: &Settings,
    ) -> (FloatTensor<Self>, Self::Saved);
    /// `[dx, dbias]`, and the gradients of the weights.
    fn block_gradients(
        dy: &FloatTensor<Self>,
        x: &FloatTensor<Self>,
        saved: &Self::Saved,
        bias: &FloatTensor<Self>,
        weights: &Weights<FloatTensor<Self>>,
        settings: &Settings,
    ) -> ([FloatTensor<Self>; 2], Weights<FloatTensor<Self>>);
}

impl FusedBlock for Flex {
    fn fused_block(x: FloatTensor<Self>, bias: FloatTensor<Self>, weights: BlockWeights<Self>, settings: Settings) -> FloatTensor<Self> {
        <Self as BlockPasses>::block(&x, &bias, &weights.layers(), &settings).0
    }
}

impl<B: BlockPasses, C: CheckpointStrategy> FusedBlock for Autodiff<B, C> {
    fn fused_block(x: FloatTensor<Self>, bias: FloatTensor<Self>, weights: BlockWeights<Self>, settings: Settings) -> FloatTensor<Self> {
        let weights = weights.layers();
        let [w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11] = weights.each_ref().in_order().map(|weight| weight.node());
        let nodes = [x.node(), bias.node(), w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11];
        let (x, bias, weights) = (x.into_primitive(), bias.into_primitive(), weights.map(|weight| weight.into_primitive()));
        let (y, saved) = <B as BlockPasses>::block(&x, &bias, &weights, &settings);
        match BlockBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(tracked) => tracked.finish(([x, bias], weights, saved, settings), y),
            OpsKind::UnTracked(untracked) => untracked.finish(y),
        }
    }
}

#[derive(Debug)]
struct BlockBackward;

impl<B: BlockPasses> Backward<B, 14> for BlockBackward {
    type State = ([FloatTensor<B>; 2], Weights<FloatTensor<B>>, B::Saved, Settings);

    fn backward(self, ops: Ops<Self::State, 14>, grads: &mut Gradients, _: &mut Checkpointer) {
        let ([x, bias], weights, saved, settings) = ops.state;
        let dy = grads.consume::<B>(&ops.node);
        let (dinputs, dweights) = B::block_gradients(&dy, &x, &saved, &bias, &weights, &settings);
        for (node, gradient) in ops.parents.into_iter().zip(dinputs.into_iter().chain(dweights.in_order())) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: Backend> BlockWeights<B> {
    fn layers(self) -> Weights<FloatTensor<B>> {
        Weights {
            norm1: Layer { weight: self.norm1_weight, bias: self.norm1_bias },
            qkv: Layer { weight: self.qkv_weight, bias: self.qkv_bias },
            proj: Layer { weight: self.proj_weight, bias: self.proj_bias },
            norm2: Layer { weight: self.norm2_weight, bias: self.norm2_bias },
            fc1: Layer { weight: self.fc1_weight, bias: self.fc1_bias },
            fc2: Layer { weight: self.fc2_weight, bias: self.fc2_bias },
        }
    }
}

impl From<BlockParameters> for BlockWeights<Dispatch> {
    fn from(parameters: BlockParameters) -> Self {
        let BlockParameters { norms: [norm1, norm2], weights: [qkv, proj, fc1, fc2], biases, .. } = parameters;
        let ([[norm1_weight, norm1_bias], [norm2_weight, norm2_bias]], [qkv_bias, proj_bias, fc1_bias, fc2_bias]) =
            ([norm1, norm2], biases);
        Self {
            norm1_weight: norm1_weight.into_dispatch(),
            norm1_bias: norm1_bias.into_dispatch(),
            qkv_weight: qkv.into_dispatch(),
            qkv_bias: qkv_bias.into_dispatch(),
            proj_weight: proj.into_dispatch(),
            proj_bias: proj_bias.into_dispatch(),
            norm2_weight: norm2_weight.into_dispatch(),
            norm2_bias: norm2_bias.into_dispatch(),
            fc1_weight: fc1.into_dispatch(),
            fc1_bias: fc1_bias.into_dispatch(),
            fc2_weight: fc2.into_dispatch(),
            fc2_bias: fc2_bias.into_dispatch(),
        }
    }
}
