//! How far a prediction is from its target.

use burn::tensor::Tensor;

use crate::registry;

registry! {
    /// Every objective.
    OBJECTIVES: dyn Objective { mse }
}

/// A loss over predicted rows.
pub trait Objective: Send + Sync {
    /// True if visible patches are predicted and counted too.
    fn covers_visible(&self) -> bool;

    /// The loss. Shapes: `prediction` and `target` `[B, M, width]`, `weights [B, M]` (0 where a row does not count); returns `[1]`.
    fn loss(&self, prediction: Tensor<3>, target: Tensor<3>, weights: Tensor<2>) -> Tensor<1>;
}
