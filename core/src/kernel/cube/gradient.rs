//! How Burn differentiates these operations: what forward keeps turns the gradient of the output into those of the inputs.

use std::fmt::Debug;
use std::marker::PhantomData;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::{Autodiff, Cube};
use burn::tensor::Tensor;

use super::queue::Queued;

type Tracked = <Autodiff<Cube> as burn::backend::BackendTypes>::FloatTensorPrimitive;

/// What forward keeps of an operation with N inputs.
pub trait Kept<const N: usize>: Clone + Send + Debug + 'static {
    /// The gradients of the inputs, in their order; those that are not wanted may be missing.
    fn gradients(self, dy: Queued, wanted: [bool; N]) -> Vec<Option<Queued>>;
}

/// An input of an operation: on the GPU, differentiated or not.
#[derive(Clone)]
pub enum Operand {
    /// Values alone.
    Plain(Queued),
    /// Values with a place in the graph.
    Tracked(Tracked),
}

impl Operand {
    /// Nothing if the tensor is not on a GPU.
    pub fn new<const D: usize>(tensor: &Tensor<D>) -> Option<Self> {
        let tensor = tensor.clone();
        if tensor.is_autodiff() {
            return tensor.try_into_primitive::<Autodiff<Cube>>().ok().map(Self::Tracked);
        }
        tensor.try_into_primitive::<Cube>().ok().map(Self::Plain)
    }

    fn tracked(self) -> Tracked {
        match self {
            Self::Plain(values) => Tracked::new(values),
            Self::Tracked(tensor) => tensor,
        }
    }
}

/// Runs `forward`, and its gradient when Burn asks for it. Nothing if an operand is missing, as none of them then is on a GPU.
pub fn apply<const N: usize, const D: usize, K: Kept<N>>(
    operands: [Option<Operand>; N],
    forward: impl FnOnce([Queued; N]) -> Option<(Queued, K)>,
) -> Option<Tensor<D>> {
    let operands: Vec<Operand> = operands.into_iter().collect::<Option<_>>()?;
    if operands.iter().all(|operand| matches!(operand, Operand::Plain(_))) {
        let values: Vec<Queued> = operands.into_iter().map(|operand| operand.tracked().into_primitive()).collect();
        let (y, _) = forward(values.try_into().ok()?)?;
        return Some(Tensor::from_primitive::<Cube>(y));
    }
    let operands: Vec<Tracked> = operands.into_iter().map(Operand::tracked).collect();
    let nodes: Vec<_> = operands.iter().map(Tracked::node).collect();
    let values: Vec<Queued> = operands.into_iter().map(Tracked::into_primitive).collect();
    let (y, kept) = forward(values.try_into().ok()?)?;
    let y = match Step::<K>(PhantomData).prepare::<NoCheckpointing>(nodes.try_into().ok()?).compute_bound().stateful() {
        OpsKind::Tracked(tracked) => tracked.finish(kept, y),
        OpsKind::UnTracked(untracked) => untracked.finish(y),
    };
    Some(Tensor::from_primitive::<Autodiff<Cube>>(y))
}

struct Step<K>(PhantomData<K>);

impl<K> Debug for Step<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(std::any::type_name::<K>())
    }
}

impl<K: Kept<N>, const N: usize> Backward<Cube, N> for Step<K> {
    type State = K;

    fn backward(self, ops: Ops<K, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<Cube>(&ops.node);
        let wanted = ops.parents.each_ref().map(Option::is_some);
        for (parent, gradient) in ops.parents.into_iter().zip(ops.state.gradients(dy, wanted)) {
            if let (Some(node), Some(gradient)) = (parent, gradient) {
                grads.register::<Cube>(node.id, gradient);
            }
        }
    }
}
