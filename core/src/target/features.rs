//! What another network, or the running average of this one, makes of the patch: MaskFeat's teacher features (Wei et al., 2021) and
//! data2vec's targets (Baevski et al., 2022).
//!
//! Another network is frozen. Its weights are read once, when a run is prepared, and kept with the run, so that resuming and looking at
//! results need no other files. The running average changes with every step, and is in every checkpoint anyway.

use std::path::{Path, PathBuf};

use burn::tensor::Device;

use super::teacher::{self, Reading, Scaling, Teacher, misfits, recipe_of};
use super::{Output, Sample, Target, TargetImage};
use crate::backbone::encoder::Encoder;
use crate::error::{Problem, Result};
use crate::knob::{Knob, Value};
use crate::method::encoder_sizes;
use crate::method::masked_batch::ImageShape;
use crate::recipe::Recipe;
use crate::registry::{Entry, Settings};
use crate::weights::model_file::{Weights, to_host};
use crate::weights::safetensors_file::TensorMap;

/// The teacher that is the running average of what is trained.
pub const AVERAGE: &str = "average";

const TEACHER: Knob = Knob::text(
    "teacher",
    "weights whose features are predicted, or `average`, of what is trained; a run has its weights inside and says \"\"",
    AVERAGE,
);
const WIDTH: Knob = Knob::int("width", "numbers of a feature; 0: as the teacher has", "", (0, 65_536), 0);
const LAYERS: Knob = Knob::int("layers", "last blocks whose outputs are averaged; 1: the last one's, through the final norm", "", (1, 256), 1);
const SCALING: Knob = Knob::choice(
    "scaling",
    "what is done to a block's feature: nothing, to length 1, or to mean 0 and deviation 1",
    &["none", "length", "layer"],
    "length",
);

/// The registry's line.
pub const ENTRY: Entry<dyn Target> = Entry {
    name: "features",
    summary: "what a teacher, another network or the running average of this one, makes of the patch",
    source: "Wei et al., Masked Feature Prediction, 2022, table 2; Baevski et al., data2vec, 2022",
    knobs: &[TEACHER, WIDTH, LAYERS, SCALING],
    build: |settings| match build(settings) {
        Ok(features) => Ok(Box::new(features)),
        Err(problem) => Err(vec![problem]),
    },
};

/// Where the teacher comes from.
#[derive(Debug, Clone, PartialEq)]
enum Source {
    /// It follows what is trained.
    Average,
    /// From these weights.
    Weights(PathBuf, Box<Recipe>),
    /// The run has it.
    Run,
}

/// A teacher's features.
pub struct Features {
    source: Source,
    width: usize,
    reading: Reading,
    teacher: Option<Teacher>,
}

fn build(settings: &Settings) -> Result<Features, Problem> {
    let width = WIDTH.count_of(settings);
    let scaling = match SCALING.of(settings).as_text() {
        Some("none") => Scaling::Plain,
        Some("layer") => Scaling::Layer,
        _ => Scaling::Length,
    };
    let reading = Reading { layers: LAYERS.count_of(settings), scaling };
    let teacher = TEACHER.of(settings);
    let (source, width) = match teacher.as_text().unwrap_or_default() {
        AVERAGE => (Source::Average, width),
        "" if width > 0 => (Source::Run, width),
        "" => {
            let cure = format!("set target.teacher to a run, a checkpoint, a Hugging Face folder, or `{AVERAGE}`");
            return Err(Problem::new("target.teacher", "no teacher is named", cure));
        }
        path => {
            let recipe = recipe_of(Path::new(path))?;
            let has = encoder_sizes(&recipe).last_width();
            if width > 0 && width != has {
                let what = format!("{width} numbers are asked for, and {path} has {has}");
                return Err(Problem::new("target.width", what, "remove the setting"));
            }
            (Source::Weights(path.into(), Box::new(recipe)), has)
        }
    };
    if let Source::Weights(path, recipe) = &source {
        let depth = encoder_sizes(recipe).num_blocks();
        if reading.layers > depth {
            let what = format!("{} has {depth} blocks", path.display());
            return Err(Problem::new("target.layers", what, format!("use 1 to {depth}")));
        }
    }
    Ok(Features { source, width, reading, teacher: None })
}

impl Target for Features {
    fn output(&self, _: ImageShape) -> Output {
        Output::Values { width: self.width.max(1) }
    }

    fn problems(&self, shape: ImageShape) -> Vec<Problem> {
        match (&self.source, &self.teacher) {
            (Source::Weights(_, recipe), _) => misfits(&encoder_sizes(recipe), shape),
            (Source::Run, Some(teacher)) => teacher.problems(shape),
            _ => Vec::new(),
        }
    }

    fn rows(&self, image: &TargetImage<'_>) -> Vec<f32> {
        let none = || vec![0.0; image.shape.num_patches() * self.width.max(1)];
        let Some(teacher) = &self.teacher else { return none() };
        let features = teacher.features(image.patches.to_vec(), image.shape.grid(), (image.mean, image.std)).and_then(to_host);
        features.unwrap_or_else(|error| {
            tracing::error!("the teacher's features of an image could not be computed: {error}");
            none()
        })
    }

    /// A network that predicts the mean of what has mean 0 and deviation 1, or zero for what has length 1.
    fn trivial_loss(&self, _: ImageShape) -> Option<f64> {
        match self.reading.scaling {
            Scaling::Length if self.reading.layers == 1 => Some(1.0 / self.width.max(1) as f64),
            Scaling::Layer if self.reading.layers == 1 => Some(1.0),
            _ => None,
        }
    }

    fn measure(&self, _: &Sample<'_>) -> Result<TensorMap> {
        match &self.source {
            Source::Weights(path, _) => teacher::tensors(&Weights::open(path)?),
            _ => Ok(TensorMap::new()),
        }
    }

    fn restore(&mut self, measured: &TensorMap, device: &Device) -> Result<()> {
        if self.source != Source::Average {
            self.teacher = Some(Teacher::of_run(measured, self.reading, self.width, device)?);
        }
        Ok(())
    }

    fn is_known(&self) -> bool {
        self.teacher.is_some()
    }

    fn teacher(&self) -> Option<&Teacher> {
        self.teacher.as_ref()
    }

    fn follows_average(&self) -> bool {
        self.source == Source::Average
    }

    fn follow(&mut self, average: &Encoder, device: &Device) {
        if self.follows_average() {
            self.teacher = Some(match self.teacher.take() {
                Some(earlier) => earlier.with_weights_of(average),
                None => Teacher::new(average, self.reading, device),
            });
        }
    }

    fn settle(&self, settings: &mut Settings) {
        if !self.follows_average() {
            settings.insert(TEACHER.key.into(), Value::Text(String::new()));
            settings.insert(WIDTH.key.into(), Value::Int(self.width as i64));
        }
    }
}
