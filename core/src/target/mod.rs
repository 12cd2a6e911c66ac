//! What a masked patch must be turned into.

use crate::registry;

registry! {
    /// Every target.
    TARGETS: dyn Target { pixels }
}

/// Turns the patches of one image into rows to be predicted.
pub trait Target: Send + Sync {
    /// Numbers per patch, for patches of `values = P·P·C` numbers.
    fn width(&self, values: usize) -> usize;

    /// Shapes: `patches [N, P·P·C]` of one normalized image to `[N, width]`.
    fn rows(&self, patches: &[f32], values: usize) -> Vec<f32>;

    /// True if a prediction can be shown only with the original patch's brightness and contrast.
    fn borrows_brightness(&self) -> bool {
        false
    }
}
