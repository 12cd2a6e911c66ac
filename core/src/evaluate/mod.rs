//! Judging what was learned: nearest neighbors and a linear probe on frozen features, the baselines they must beat, and the overlap of
//! attention masks with ground truth. Every figure carries the protocol that it was measured by.

pub mod attention;
pub mod color_histogram;
mod features;
pub mod jaccard;
pub mod knn;
pub mod linear;
mod overlap;
pub mod probe;

pub use features::LabeledFeatures;
pub use jaccard::{JaccardFigures, JaccardOptions, JaccardTally};
pub use knn::{KnnFigures, knn, knn_leave_one_out};
pub use linear::{LinearFigures, linear_probe};
pub use overlap::{LabelMap, Objects, Void};
pub use probe::Probe;
