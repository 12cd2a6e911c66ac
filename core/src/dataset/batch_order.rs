//! Which images make which batch: every epoch has an order of its own, a function of (seed, epoch).

use std::sync::Arc;

use crate::random::{Purpose, Stream};

/// The order of all batches.
pub(super) struct BatchOrder {
    pub(super) indices: Vec<usize>,
    pub(super) seed: u64,
    pub(super) batch: usize,
    /// The order of the epoch asked for last.
    pub(super) order: Option<(u64, Arc<Vec<usize>>)>,
}

impl BatchOrder {
    /// The last images that do not fill a batch are left out; fewer images than a batch make one.
    pub(super) fn batches_per_epoch(&self) -> u64 {
        (self.indices.len() / self.batch).max(1) as u64
    }

    /// The epoch of the n-th batch, and its place in it.
    pub(super) fn place(&self, number: u64) -> (u64, u64) {
        (number / self.batches_per_epoch(), number % self.batches_per_epoch())
    }

    /// The images of an epoch.
    pub(super) fn order(&mut self, epoch: u64) -> Arc<Vec<usize>> {
        if let Some((known, order)) = &self.order
            && *known == epoch
        {
            return order.clone();
        }
        let permutation = Stream::new(self.seed, epoch, 0, Purpose::Shuffle).permutation(self.indices.len());
        let order = Arc::new(permutation.into_iter().map(|place| self.indices[place]).collect::<Vec<_>>());
        self.order = Some((epoch, order.clone()));
        order
    }
}
