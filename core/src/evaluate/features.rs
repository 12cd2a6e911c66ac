//! Features with their labels, checked once for every evaluation.

use rayon::prelude::*;

use crate::error::{Error, Result};

/// Features of `n` images and the class of each.
#[derive(Debug, Clone, Copy)]
pub struct LabeledFeatures<'a> {
    /// What the set is called in messages: "training", "test".
    pub name: &'a str,
    /// `[n, width]`, row by row.
    pub features: &'a [f32],
    /// Numbers in a row.
    pub width: usize,
    /// `[n]`.
    pub labels: &'a [u32],
}

impl LabeledFeatures<'_> {
    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True if there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Refuses empty sets, lengths that disagree and features that are not finite.
    pub(super) fn check(&self) -> Result<()> {
        let fail = |what: String| Err(Error::Failed(format!("cannot evaluate the {} features: {what}", self.name)));
        if self.is_empty() || self.width == 0 {
            return fail("there are none; give at least one labeled image".to_owned());
        }
        if Some(self.features.len()) != self.len().checked_mul(self.width) {
            return fail(format!("{} numbers are not {} rows of {}", self.features.len(), self.len(), self.width));
        }
        if let Some(at) = self.features.par_iter().position_first(|value| !value.is_finite()) {
            let (row, value) = (at / self.width, self.features[at]);
            return fail(format!(
                "row {row} holds {value}; the model has diverged or the image is damaged, so leave that row out or use an earlier checkpoint"
            ));
        }
        Ok(())
    }

    /// [`LabeledFeatures::check`] of both sets, which must be equally wide.
    pub(super) fn check_pair(train: &Self, test: &Self) -> Result<()> {
        train.check()?;
        test.check()?;
        if train.width != test.width {
            let (a, b) = (train.width, test.width);
            return Err(Error::Failed(format!(
                "the {} features are {a} wide and the {} features {b}; use one model for both",
                train.name, test.name
            )));
        }
        Ok(())
    }
}
