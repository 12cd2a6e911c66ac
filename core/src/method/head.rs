//! What stands on an encoder while views are compared, and is thrown away afterwards.

use burn::module::Module;
use burn::tensor::Device;

use super::projector::{ProjectorConfig, ProjectorHead};
use super::prototypes::{PrototypeHead, PrototypesConfig};
use crate::backbone::linear::Linear;
use crate::error::{Error, Result};
use crate::random::Stream;
use crate::recipe::Part;

/// The sizes of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadConfig {
    /// Likeness to prototypes.
    Prototypes(PrototypesConfig),
    /// Directions that are compared with one another.
    Projector(ProjectorConfig),
    /// Scores of classes, from features of D numbers.
    Classifier {
        /// D
        inputs: usize,
        /// Number of classes.
        classes: usize,
    },
}

/// What single patches are told by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PatchHead {
    /// They are not.
    #[default]
    Absent,
    /// The head of whole views (iBOT).
    Shared,
    /// One of the same make that is theirs alone (DINOv2).
    Own,
}

/// A head.
#[derive(Module, Debug)]
pub enum Head {
    /// Likeness to prototypes.
    Prototypes(PrototypeHead),
    /// Directions that are compared with one another.
    Projector(ProjectorHead),
    /// Scores of classes.
    Classifier(Linear),
}

impl PatchHead {
    /// What a recipe's decoder says.
    pub fn of(decoder: &Part) -> Self {
        match decoder.word("patches") {
            Some("shared") => Self::Shared,
            Some("own") => Self::Own,
            _ => Self::Absent,
        }
    }
}

impl HeadConfig {
    /// Its initialization, a function of the stream.
    pub fn init(&self, stream: &mut Stream, device: &Device) -> Head {
        match self {
            Self::Prototypes(config) => Head::Prototypes(config.init(stream, device)),
            Self::Projector(config) => Head::Projector(config.init(stream, device)),
            &Self::Classifier { inputs, classes } => Head::Classifier(Linear::normal(inputs, classes, stream, device)),
        }
    }

    /// Forward arithmetic of one feature.
    pub fn flops(&self) -> f64 {
        match self {
            Self::Prototypes(config) => config.flops(),
            Self::Projector(config) => config.flops(),
            Self::Classifier { inputs, classes } => 2.0 * (inputs * classes) as f64,
        }
    }
}

impl Head {
    /// The head, if it has prototypes.
    ///
    /// # Errors
    /// If it has none.
    pub fn prototypes(&self) -> Result<&PrototypeHead> {
        match self {
            Self::Prototypes(head) => Ok(head),
            _ => Err(Error::Usage("this network has no prototypes".into())),
        }
    }

    /// The head, if it makes directions.
    ///
    /// # Errors
    /// If it makes none.
    pub fn projector(&self) -> Result<&ProjectorHead> {
        match self {
            Self::Projector(head) => Ok(head),
            _ => Err(Error::Usage("this network has no head whose directions are compared".into())),
        }
    }

    /// The head, if it scores classes.
    ///
    /// # Errors
    /// If it does not.
    pub fn classifier(&self) -> Result<&Linear> {
        match self {
            Self::Classifier(head) => Ok(head),
            _ => Err(Error::Usage("this network has no head that scores classes".into())),
        }
    }
}
