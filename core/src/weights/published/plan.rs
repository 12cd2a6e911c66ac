//! Which of a file's tensors become which of Maskroom's, and what must be done to them on the way.

use std::collections::BTreeSet;

use super::listing::Listing;
use super::site::Site;
use crate::error::Result;
use crate::weights::safetensors_file::{HostTensor, TensorMap};

/// How many batches a normalization has seen in training, in PyTorch.
pub(super) const BATCHES: &str = "num_batches_tracked";

/// A tensor of Maskroom's and how it is made.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Take {
    /// Its name here.
    pub ours: String,
    /// Its shape here.
    pub shape: Vec<usize>,
    /// How it is made.
    pub made: Made,
}

/// How a tensor is made, by the file's names.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Made {
    /// It is there.
    Copied(String),
    /// It is not there, and does nothing when it is zero.
    Zeros,
    /// Positions of patches alone; the class token has none.
    WithoutClass(String),
    /// Positions of class token, distillation token and patches, without that of the distillation token.
    WithoutDistilled(String),
    /// A distillation token with its position added, and the table of positions: a register, which has none.
    Distilled(String, String),
}

/// All that becomes of a file.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Tensors that are taken.
    pub takes: Vec<Take>,
    /// What is wrong with those that should be.
    pub wrong: Vec<String>,
    /// The file's names that are used.
    pub used: BTreeSet<String>,
}

impl Plan {
    /// Adds a tensor that was found.
    pub fn take(&mut self, ours: String, shape: Vec<usize>, made: Made) {
        match &made {
            Made::Copied(name) | Made::WithoutClass(name) | Made::WithoutDistilled(name) => drop(self.used.insert(name.clone())),
            Made::Distilled(token, table) => self.used.extend([token.clone(), table.clone()]),
            Made::Zeros => {}
        }
        self.takes.push(Take { ours, shape, made });
    }

    /// Reads what is taken.
    pub fn read(&self, listing: &mut Listing) -> Result<TensorMap> {
        self.takes.iter().map(|take| Ok((take.ours.clone(), take.read(listing)?))).collect()
    }
}

impl Made {
    /// The file's name, or how it is made of several.
    pub fn in_words(&self) -> String {
        match self {
            Self::Copied(name) => name.clone(),
            Self::Zeros => "zeros".into(),
            Self::WithoutClass(name) => format!("{name}, and nothing for the class token"),
            Self::WithoutDistilled(name) => format!("{name} without the place of the distillation token"),
            Self::Distilled(token, table) => format!("{token} + its place in {table}"),
        }
    }
}

impl Take {
    fn read(&self, listing: &mut Listing) -> Result<HostTensor> {
        let width = self.shape.last().copied().unwrap_or(1);
        let values = match &self.made {
            Made::Copied(name) => listing.tensor(name)?.values,
            Made::Zeros => vec![0.0; self.shape.iter().product()],
            Made::WithoutClass(name) => [vec![0.0; width], listing.tensor(name)?.values].concat(),
            Made::WithoutDistilled(name) => {
                let table = listing.tensor(name)?.values;
                [&table[..width], &table[2 * width..]].concat()
            }
            Made::Distilled(token, table) => {
                let (token, table) = (listing.tensor(token)?.values, listing.tensor(table)?.values);
                token.iter().zip(&table[width..]).map(|(token, place)| token + place).collect()
            }
        };
        Ok(HostTensor::new(self.shape.clone(), values))
    }
}

/// One network on its way.
pub(super) struct Network<'a> {
    /// Where it is.
    pub site: &'a Site,
    /// What the file holds.
    pub listing: &'a Listing,
    /// What stands before its names here.
    pub ours: &'static str,
    /// What becomes of it.
    pub plan: &'a mut Plan,
}

impl Network<'_> {
    /// Copies the first of `theirs` that is there, which must have the shape.
    pub fn copy(&mut self, ours: &str, theirs: &[&str], shape: &[usize]) {
        self.take(ours, theirs, shape, shape, Made::Copied);
    }

    /// The same for one that has the shape `there`.
    pub fn take(&mut self, ours: &str, theirs: &[&str], shape: &[usize], there: &[usize], made: impl FnOnce(String) -> Made) {
        let name = self.site.first_of(theirs).and_then(|own| self.site.name(own));
        match name.map(|name| (name, self.listing.shapes.get(name))) {
            Some((name, Some(found))) if found == there => {
                self.plan.take(format!("{}{ours}", self.ours), shape.to_vec(), made(name.clone()));
            }
            Some((name, found)) => self.plan.wrong.push(format!("{name} is {:?} instead of {there:?}", found.cloned().unwrap_or_default())),
            None => self.plan.wrong.push(format!("{}{} is missing", self.site.prefix, theirs[0])),
        }
    }

    /// A weight of the given shape and a bias as long as its first side.
    pub fn layer(&mut self, ours: &str, theirs: &[&str], shape: &[usize]) {
        for (kind, shape) in [("weight", shape), ("bias", &shape[..1])] {
            let theirs: Vec<String> = theirs.iter().map(|name| format!("{name}.{kind}")).collect();
            self.copy(&format!("{ours}.{kind}"), &theirs.iter().map(String::as_str).collect::<Vec<_>>(), shape);
        }
    }

    /// What is part of the encoder, as its names begin, and not known makes it another network. Counts of batches are of no part.
    pub fn refuse_strangers(&mut self, parts: &[&str]) {
        let is_part = |own: &str| parts.iter().any(|part| own.starts_with(part)) && !own.ends_with(BATCHES);
        let strangers = self.site.names().filter(|(own, name)| is_part(own) && !self.plan.used.contains(*name));
        let wrong: Vec<String> = strangers.map(|(_, name)| format!("{name} is unknown")).collect();
        self.plan.wrong.extend(wrong);
    }
}
