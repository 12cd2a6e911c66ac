//! Tensors by Maskroom's names, each with how it is made of a file's. Numbers are read when they are asked for: of a large file, nothing is in
//! memory that nobody uses.

use std::collections::BTreeMap;

use super::published::listing::Listing;
use super::published::plan::{Made, Take};
use super::safetensors_file::{HostTensor, TensorMap};
use crate::error::Result;

/// The tensors of a file.
pub(super) struct Tensors {
    listing: Listing,
    takes: BTreeMap<String, Take>,
}

impl Tensors {
    /// Those that are taken of a file.
    pub fn new(listing: Listing, takes: Vec<Take>) -> Self {
        Self { listing, takes: takes.into_iter().map(|take| (take.ours.clone(), take)).collect() }
    }

    /// Those of a file whose names are Maskroom's.
    pub fn of_own(listing: Listing) -> Self {
        let copied =
            |(name, shape): (&String, &Vec<usize>)| Take { ours: name.clone(), shape: shape.clone(), made: Made::Copied(name.clone()) };
        let takes = listing.shapes.iter().map(copied).collect();
        Self::new(listing, takes)
    }

    /// All of them, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = &Take> {
        self.takes.values()
    }

    /// Those whose names begin with a prefix, without it.
    ///
    /// # Errors
    /// If one of them cannot be read.
    pub fn read_below(&self, prefix: &str) -> Result<TensorMap> {
        let below = self.iter().filter_map(|take| Some((take.ours.strip_prefix(prefix)?.to_owned(), take)));
        below.map(|(name, take)| Ok((name, take.read(&self.listing)?))).collect()
    }
}

/// Tensors by name, whose numbers may be somewhere else than in memory.
pub(crate) trait ByName {
    /// The shape of one.
    fn shape(&self, name: &str) -> Option<&[usize]>;

    /// One with its numbers.
    ///
    /// # Errors
    /// If they cannot be read.
    fn read(&self, name: &str) -> Result<Option<HostTensor>>;
}

impl ByName for Tensors {
    fn shape(&self, name: &str) -> Option<&[usize]> {
        self.takes.get(name).map(|take| take.shape.as_slice())
    }

    fn read(&self, name: &str) -> Result<Option<HostTensor>> {
        self.takes.get(name).map(|take| take.read(&self.listing)).transpose()
    }
}

impl ByName for TensorMap {
    fn shape(&self, name: &str) -> Option<&[usize]> {
        self.get(name).map(|tensor| tensor.shape.as_slice())
    }

    fn read(&self, name: &str) -> Result<Option<HostTensor>> {
        Ok(self.get(name).cloned())
    }
}
