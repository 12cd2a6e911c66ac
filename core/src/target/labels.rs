//! Pseudo-labels: the class that a trained classifier sees in the patch, MaskFeat's last target (Wei et al., 2022, table 2, after Jiang et
//! al., *All Tokens Matter: Token Labeling*, 2021). The classifier's linear layer, made for whole images, is asked about every patch token.

use std::path::{Path, PathBuf};

use burn::tensor::Device;

use super::teacher::{self, Reading, Scaling, Teacher, misfits, recipe_of};
use super::{Depiction, Output, Sample, Target, TargetImage};
use crate::error::{Error, Problem, Result};
use crate::inspect::colormap::head_color;
use crate::inspect::picture::Picture;
use crate::kernel::matrix::{View, ViewMut, product};
use crate::knob::{Knob, Value};
use crate::method::encoder_sizes;
use crate::method::masked_batch::ImageShape;
use crate::objective::cross_entropy::largest;
use crate::recipe::Recipe;
use crate::registry::{Entry, Settings};
use crate::weights::model_file::{Weights, to_host};
use crate::weights::safetensors_file::{HostTensor, TensorMap};

const TEACHER: Knob = Knob::text("teacher", "Hugging Face folder of a classifier on a plain ViT; a run has it inside and says \"\"", "");
const CLASSES: Knob = Knob::int("classes", "how many classes it tells apart; 0: as it has", "", (0, 1_000_000), 0);
const WIDTH: Knob = Knob::int("width", "numbers of its features; 0: as it has", "", (0, 65_536), 0);

/// The registry's line.
pub const ENTRY: Entry<dyn Target> = Entry {
    name: "labels",
    summary: "the class that a trained classifier sees in the patch",
    source: "Wei et al., Masked Feature Prediction, 2022, table 2; Jiang et al., Token Labeling, 2021",
    knobs: &[TEACHER, CLASSES, WIDTH],
    build: |settings| match build(settings) {
        Ok(labels) => Ok(Box::new(labels)),
        Err(problem) => Err(vec![problem]),
    },
};

/// Names of the classifier's linear layer, in a Hugging Face folder and among what was measured: `[classes, D]` and `[classes]`.
const HEAD: [&str; 2] = ["classifier.weight", "classifier.bias"];
const READING: Reading = Reading { layers: 1, scaling: Scaling::Plain };

/// Classes of patches.
pub struct Labels {
    source: Option<(PathBuf, Recipe)>,
    classes: usize,
    width: usize,
    classifier: Option<Classifier>,
}

/// A teacher with its head.
struct Classifier {
    teacher: Teacher,
    weight: HostTensor,
    bias: HostTensor,
}

fn build(settings: &Settings) -> Result<Labels, Problem> {
    let (classes, width) = (CLASSES.count_of(settings), WIDTH.count_of(settings));
    let teacher = TEACHER.of(settings);
    let path = teacher.as_text().unwrap_or_default();
    if path.is_empty() {
        if classes > 0 && width > 0 {
            return Ok(Labels { source: None, classes, width, classifier: None });
        }
        let cure = "set target.teacher to a Hugging Face folder of a classifier, such as a ViTForImageClassification";
        return Err(Problem::new("target.teacher", "no teacher is named", cure));
    }
    let recipe = recipe_of(Path::new(path))?;
    let width = encoder_sizes(&recipe).last_width();
    let has = Weights::num_classes(Path::new(path)).map_err(|error| no_classifier(path, &error.to_string()))?;
    if classes > 0 && classes != has {
        let what = format!("{classes} classes are asked for, and {path} has {has}");
        return Err(Problem::new("target.classes", what, "remove the setting"));
    }
    Ok(Labels { source: Some((path.into(), recipe)), classes: has, width, classifier: None })
}

fn no_classifier(path: &str, reason: &str) -> Problem {
    let cure = "name a Hugging Face folder of a classifier, such as a ViTForImageClassification";
    Problem::new("target.teacher", format!("{path} has no classifier: {reason}"), cure)
}

/// What must be known to read the colors.
const NOTE: &str = "each class has a color of its own";

impl Target for Labels {
    fn output(&self, _: ImageShape) -> Output {
        Output::Classes { count: self.classes }
    }

    fn problems(&self, shape: ImageShape) -> Vec<Problem> {
        match (&self.source, &self.classifier) {
            (Some((_, recipe)), _) => misfits(&encoder_sizes(recipe), shape),
            (None, Some(classifier)) => classifier.teacher.problems(shape),
            (None, None) => Vec::new(),
        }
    }

    fn rows(&self, image: &TargetImage<'_>) -> Vec<f32> {
        let count = image.shape.num_patches();
        let Some(classifier) = &self.classifier else { return vec![0.0; count] };
        classifier.classes(image).unwrap_or_else(|error| {
            tracing::error!("the classes of an image's patches could not be computed: {error}");
            vec![0.0; count]
        })
    }

    fn depict(&self, shape: ImageShape, predictions: &[f32], targets: &[f32]) -> Option<Depiction> {
        let [rows, cols] = shape.grid();
        if targets.len() != rows * cols || predictions.len() != targets.len() * self.classes {
            return None;
        }
        let picture = |classes: &mut dyn Iterator<Item = usize>| {
            Picture { height: rows, width: cols, rgb: classes.flat_map(head_color).collect() }.enlarged(shape.patch)
        };
        Some(Depiction {
            prediction: picture(&mut predictions.chunks_exact(self.classes).map(largest)),
            target: picture(&mut targets.iter().map(|&class| class as usize)),
            note: NOTE,
        })
    }

    fn measure(&self, _: &Sample<'_>) -> Result<TensorMap> {
        let Some((path, _)) = &self.source else { return Ok(TensorMap::new()) };
        let weights = Weights::open(path)?;
        let mut tensors = teacher::tensors(&weights)?;
        for name in HEAD {
            let tensor = weights.tensor(name)?.ok_or_else(|| {
                Error::Recipe(vec![no_classifier(&path.display().to_string(), &format!("it lacks `{name}`"))])
            })?;
            tensors.insert(name.to_owned(), tensor);
        }
        Ok(tensors)
    }

    fn restore(&mut self, measured: &TensorMap, device: &Device) -> Result<()> {
        let teacher = Teacher::of_run(measured, READING, self.width, device)?;
        let [weight, bias] = HEAD.map(|name| measured.get(name).cloned().unwrap_or_else(|| HostTensor::new([0], Vec::new())));
        if weight.shape != [self.classes, self.width] || bias.shape != [self.classes] {
            return Err(Error::Failed("the classifier of the run does not fit its recipe: start the run anew".into()));
        }
        self.classifier = Some(Classifier { teacher, weight, bias });
        Ok(())
    }

    fn is_known(&self) -> bool {
        self.classifier.is_some()
    }

    fn settle(&self, settings: &mut Settings) {
        settings.insert(TEACHER.key.into(), Value::Text(String::new()));
        settings.insert(CLASSES.key.into(), Value::Int(self.classes as i64));
        settings.insert(WIDTH.key.into(), Value::Int(self.width as i64));
    }
}

impl Classifier {
    /// The class of every patch: `[N]`.
    fn classes(&self, image: &TargetImage<'_>) -> Result<Vec<f32>> {
        let features = to_host(self.teacher.features(image.patches.to_vec(), image.shape.grid(), (image.mean, image.std))?)?;
        let [classes, width] = [self.weight.shape[0], self.weight.shape[1]];
        let patches = features.len() / width.max(1);
        let mut scores = vec![0.0; patches * classes];
        let head = View::new(&self.weight.values, [classes, width]).transposed();
        product(ViewMut::new(&mut scores, [patches, classes]), View::new(&features, [patches, width]), head, 1.0);
        let class = |scores: &mut [f32]| {
            scores.iter_mut().zip(&self.bias.values).for_each(|(score, bias)| *score += bias);
            largest(scores) as f32
        };
        Ok(scores.chunks_exact_mut(classes).map(class).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::inspect::encoder::{Images, Pool, features};
    use crate::method::Task;
    use crate::recipe::Base;
    use crate::weights::model_file::WeightsKind;
    use crate::weights::safetensors_file::{read, write};

    /// A classifier of five classes on the encoder of a fixture, in a folder.
    fn classifier(class: &str) -> tempfile::TempDir {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/hugging_face/vit");
        let folder = tempfile::tempdir().unwrap();
        let mut config: Json = serde_json::from_slice(&std::fs::read(fixture.join("config.json")).unwrap()).unwrap();
        config["architectures"] = json!([class]);
        config["id2label"] = (0..5).map(|index| (index.to_string(), json!(format!("class {index}")))).collect::<serde_json::Map<_, _>>().into();
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let mut tensors = read(&fixture.join("model.safetensors")).unwrap().0;
        tensors.retain(|name, _| !name.starts_with("decoder."));
        let values = (0..60).map(|index| ((index * 7 % 11) as f32 - 5.0) * 0.3).collect();
        tensors.insert(HEAD[0].into(), HostTensor::new([5, 12], values));
        tensors.insert(HEAD[1].into(), HostTensor::new([5], vec![0.1, -0.2, 0.0, 0.3, -0.1]));
        write(&folder.path().join("model.safetensors"), &tensors, &[("format".to_owned(), "pt".to_owned())].into()).unwrap();
        folder
    }

    fn recipe(folder: &tempfile::TempDir, sets: &[(&str, &str)]) -> Result<Recipe> {
        let teacher = folder.path().to_string_lossy();
        let own = [
            ("target.kind", "labels"),
            ("target.teacher", &*teacher),
            ("objective.kind", "cross_entropy"),
            ("data.image", "[16, 16]"),
            ("backbone.preset", "vit-nano"),
        ];
        let sets: Vec<_> = own.iter().chain(sets).map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        Recipe::resolve(Base::Preset("mae"), &sets)
    }

    #[test]
    fn a_patch_has_the_class_that_scores_highest() {
        let folder = classifier("ViTForImageClassification");
        let mut recipe = recipe(&folder, &[]).unwrap();
        let target = recipe.target().unwrap();
        let measured = target.measure(&Sample::new(&recipe, &|_| Ok(Vec::new()))).unwrap();
        target.settle(&mut recipe.target.knobs);
        let teacher = Weights::open(folder.path()).unwrap();
        drop(folder);
        let task = Task::new(&recipe).unwrap().with_measured(&measured, &Device::flex()).unwrap();
        assert_eq!(task.output(), Output::Classes { count: 5 });

        let network = teacher.network(WeightsKind::Best, &Device::flex()).unwrap();
        // The two have different normalizations: what is one image to a person is other numbers to each.
        let levels: Vec<f32> = (0..16 * 16 * 3).map(|index| ((index as f32 * 0.37).sin() + 1.0) / 2.0).collect();
        let normalized = |recipe: &Recipe| -> Vec<f32> {
            let (mean, std) = recipe.data.normalization();
            levels.iter().enumerate().map(|(index, level)| (level - mean[index % 3]) / std[index % 3]).collect()
        };
        let images = Images { values: normalized(&teacher.recipe), batch: 1, height: 16, width: 16 };
        let features = features(&network, &images, -1, Pool::Patches).unwrap();
        let [weight, bias] = HEAD.map(|name| teacher.tensor(name).unwrap().unwrap().values);
        let class = |feature: &[f32]| {
            let score = |class: usize| bias[class] + feature.iter().zip(&weight[class * 12..]).map(|(a, b)| a * b).sum::<f32>();
            (0..5).max_by(|&a, &b| score(a).total_cmp(&score(b))).unwrap() as f32
        };
        let want: Vec<f32> = features.chunks_exact(12).map(class).collect();
        assert_eq!(task.targets(&normalized(&recipe)), want);
        assert!(want.iter().any(|&class| class != want[0]), "{want:?}");

        let certain: Vec<f32> = want.iter().flat_map(|&class| (0..5).map(move |other| f32::from(u8::from(other == class as usize)))).collect();
        let drawn = task.target.depict(task.shape, &certain, &want).unwrap();
        assert_eq!((drawn.target.height, drawn.target.rgb[..3].to_vec()), (16, head_color(want[0] as usize).to_vec()));
        assert!(drawn.prediction == drawn.target, "a prediction that is right looks like what was asked for");
    }

    #[test]
    fn what_is_no_classifier_is_refused() {
        let problem = |folder: &tempfile::TempDir, sets: &[(&str, &str)]| recipe(folder, sets).err().map_or(String::new(), |error| error.to_string());
        let encoder = classifier("ViTModel");
        assert!(problem(&encoder, &[]).contains("target.teacher: ") && problem(&encoder, &[]).contains("has no classifier"));
        let folder = classifier("ViTForImageClassification");
        assert!(problem(&folder, &[("target.classes", "7")]).contains("7 classes are asked for"));
        assert!(problem(&folder, &[("backbone.patch", "8")]).contains("backbone.patch: the teacher has patches"));
        assert!(problem(&folder, &[("objective.kind", "mse")]).contains("objective.kind"));
        assert_eq!(problem(&folder, &[]), "");
    }
}
