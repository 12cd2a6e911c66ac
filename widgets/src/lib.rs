//! Maskroom's look: design tokens, and the widgets that are drawn with them. Knows nothing of models or runs.

pub mod tokens;

pub use tokens::{Role, Tokens};
