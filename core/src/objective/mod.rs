//! How far a prediction is from its target.

#[cfg(test)]
mod finite_difference;

use burn::tensor::Tensor;

use crate::error::Problem;
use crate::knob::Knob;
use crate::registry;
use crate::registry::Settings;
use crate::target::Output;

registry! {
    /// Every objective.
    OBJECTIVES: dyn Objective { mse, l1, smooth_l1, cosine, cross_entropy }
}

/// A loss over predicted rows.
pub trait Objective: Send + Sync {
    /// True if visible patches are predicted and counted too.
    fn covers_visible(&self) -> bool;

    /// Takes note of what the target asks for.
    fn prepare_for(&mut self, output: Output) {
        let _ = output;
    }

    /// Why it cannot judge what a target asks for.
    fn objection(&self, output: Output) -> Option<Problem>;

    /// The loss. Shapes: `prediction [B, M, prediction width]`, `target [B, M, row width]`, `weights [B, M]` (0 where a row does not
    /// count); returns `[1]`.
    fn loss(&self, prediction: Tensor<3>, target: Tensor<3>, weights: Tensor<2>) -> Tensor<1>;

    /// The error of one row, of which the loss is the mean.
    fn error(&self, prediction: &[f32], target: &[f32]) -> f64;

    /// Whether a row is predicted right, where there is right and wrong.
    fn is_right(&self, prediction: &[f32], target: &[f32]) -> Option<bool> {
        let _ = (prediction, target);
        None
    }
}

/// Which patches count; every objective has it.
const OVER: Knob = Knob::choice("over", "which patches count: the masked ones, or all", &["masked", "all"], "masked");

/// Whether visible patches count too.
fn over_all(settings: &Settings) -> bool {
    OVER.of(settings).as_text() == Some("all")
}

/// The objection of an objective that compares numbers.
fn needs_values(name: &str, output: Output) -> Option<Problem> {
    let asks_for = match output {
        Output::Values { .. } => return None,
        Output::Classes { .. } => "one class of several",
        Output::Distributions { .. } => "how probable each of several classes is",
    };
    let what = format!("`{name}` compares numbers, and this target asks for {asks_for}");
    Some(Problem::new("objective.kind", what, "use `objective.kind = \"cross_entropy\"`, or another target"))
}

/// The mean of the rows' errors, weighted. Shapes: both `[B, M]`; returns `[1]`.
fn weighted_mean(errors: Tensor<2>, weights: Tensor<2>) -> Tensor<1> {
    (errors * weights.clone()).sum() / weights.sum()
}
