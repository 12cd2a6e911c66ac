//! What a run says while it lives: one JSON object a line, `kind` first. Readers skip fields and keep kinds they do not know, so that an
//! older window can watch a newer engine.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// Further figures by name, such as a method's extras. A value that is not finite is `null` on disk and NaN in memory.
pub type Figures = BTreeMap<String, f64>;

/// One line of `events.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// The engine begins a new run.
    Started(Started),
    /// The engine goes on from the checkpoint of `step`; what was logged for later steps before this line no longer counts.
    Resumed {
        /// The last step that counts.
        step: u64,
        /// When, in seconds since 1970.
        #[serde(default)]
        time: f64,
        /// The device that goes on.
        #[serde(default)]
        device: String,
        /// The number of steps the run now aims at.
        #[serde(default)]
        steps: u64,
    },
    /// The engine waits for `resume`, or goes on after waiting.
    Paused {
        /// The last finished step.
        step: u64,
        /// `false` when the pause has ended.
        #[serde(default = "yes")]
        paused: bool,
    },
    /// Means since the last `step` event.
    Step(Step),
    /// The loss on held-out images with fixed masks.
    Validation(Validation),
    /// Reconstructions and attention of the preview images were written.
    Preview {
        /// The step of the weights.
        step: u64,
        /// The file, relative to the run folder.
        path: PathBuf,
    },
    /// Features were tried on a small task.
    Probe(Probe),
    /// A checkpoint is complete on disk.
    Checkpoint {
        /// The step of the weights.
        step: u64,
        /// The folder, relative to the run folder.
        path: PathBuf,
    },
    /// Something a person should know that does not end the run.
    Warning {
        /// One sentence: what happened, and what to do.
        message: String,
    },
    /// The engine ends on its own terms. A killed engine leaves no such line.
    Stopped(Stopped),
    /// A kind that this version does not know, kept as it was read.
    #[serde(untagged)]
    Other(Map<String, Value>),
}

/// The first line of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Started {
    /// SHA-256 of the resolved recipe; the same in every checkpoint.
    pub recipe_hash: String,
    /// The number of steps the run aims at.
    pub steps: u64,
    /// Training images.
    pub images: u64,
    /// Parameters that are trained.
    pub parameters: u64,
    /// The device in words, as `doctor` names it.
    pub device: String,
    /// Maskroom's version.
    pub version: String,
    /// When, in seconds since 1970.
    pub time: f64,
}

/// Means over the steps since the last event of this kind; `step`, `epoch`, `lr`, `weight_decay` and `seconds` are the latest values.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Step {
    /// Finished optimizer steps, from 1.
    pub step: u64,
    /// Finished epochs, with their fraction.
    pub epoch: f64,
    /// The training loss.
    #[serde(deserialize_with = "number")]
    pub loss: f64,
    /// Learning rate.
    #[serde(deserialize_with = "number")]
    pub lr: f64,
    /// Weight decay.
    #[serde(deserialize_with = "number")]
    pub weight_decay: f64,
    /// Norm of the whole gradient before clipping.
    #[serde(deserialize_with = "number")]
    pub grad_norm: f64,
    /// Throughput, waiting for data included.
    #[serde(deserialize_with = "number")]
    pub images_per_second: f64,
    /// Share of the time spent waiting for the loader, 0 to 1.
    #[serde(deserialize_with = "number")]
    pub data_wait_ratio: f64,
    /// Seconds of training so far, summed over resumes, pauses left out.
    #[serde(deserialize_with = "number")]
    pub seconds: f64,
    /// The method's extras.
    #[serde(deserialize_with = "figures")]
    pub metrics: Figures,
}

/// The held-out loss beside what two guesses without a network reach.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Validation {
    /// The step of the weights.
    pub step: u64,
    /// Mean loss over masked patches of held-out images with fixed masks.
    #[serde(deserialize_with = "number")]
    pub loss: f64,
    /// The same loss when each masked patch is the mean of the visible ones; NaN where this has no meaning.
    #[serde(deserialize_with = "number")]
    pub baseline_patch_mean: f64,
    /// The same loss when each masked patch copies its nearest visible one; NaN where this has no meaning.
    #[serde(deserialize_with = "number")]
    pub baseline_nearest: f64,
    /// Whether `loss` is in the units of the training loss, so that both belong on one axis.
    pub training_units: bool,
    /// Further figures.
    #[serde(deserialize_with = "figures")]
    pub metrics: Figures,
}

impl Default for Validation {
    fn default() -> Self {
        let (loss, metrics) = (f64::NAN, Figures::new());
        Self { step: 0, loss, baseline_patch_mean: f64::NAN, baseline_nearest: f64::NAN, training_units: true, metrics }
    }
}

/// Figures of a small task on the features of one step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Probe {
    /// The step of the weights.
    pub step: u64,
    /// The protocol, such as `knn` or `jaccard`.
    pub protocol: String,
    /// Its figures by name.
    #[serde(deserialize_with = "figures")]
    pub figures: Figures,
    /// How it was done, in words; may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl Probe {
    /// The protocol of nearest neighbors: `top1` and `chance`, shares of the `asked` images, each of which has its `k` nearest among `bank`.
    pub const KNN: &str = "knn";

    /// Whether its protocol is that of nearest neighbors.
    pub fn is_of_classes(&self) -> bool {
        self.protocol == Self::KNN
    }

    /// A figure that is a number.
    pub fn figure(&self, name: &str) -> Option<f64> {
        self.figures.get(name).copied().filter(|value| value.is_finite())
    }
}

/// The last line of a run that ended on its own terms.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stopped {
    /// Why.
    pub reason: Reason,
    /// What failed, why, and what to do; only with [`Reason::Failed`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The folder of the last complete checkpoint, relative to the run folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_checkpoint: Option<PathBuf>,
    /// The last finished step.
    pub step: u64,
    /// When, in seconds since 1970.
    pub time: f64,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// All steps are done.
    Finished,
    /// Somebody asked for it; a checkpoint was written first.
    #[default]
    Stopped,
    /// An error or a panic.
    Failed,
}

/// The kinds of this version; a line that has one of them but other types of fields is damaged, not new.
const KINDS: [&str; 10] = ["started", "resumed", "paused", "step", "validation", "preview", "probe", "checkpoint", "warning", "stopped"];

/// How lines of `step` events begin.
const STEP: &[u8] = br#"{"kind":"step","#;

impl Event {
    /// Reads one line, with or without its line break; `None` when it is no event.
    pub fn from_line(line: &[u8]) -> Option<Self> {
        // Nearly all lines are of this kind, and it is read several times as fast when it needs not be told from others.
        if line.starts_with(STEP)
            && let Ok(step) = serde_json::from_slice(line)
        {
            return Some(Self::Step(step));
        }
        let event = serde_json::from_slice(line).ok()?;
        match &event {
            Self::Other(fields) => match fields.get("kind") {
                Some(Value::String(kind)) if !KINDS.contains(&kind.as_str()) => Some(event),
                _ => None,
            },
            _ => Some(event),
        }
    }

    /// The step this event belongs to, where it belongs to one.
    pub fn step(&self) -> Option<u64> {
        match self {
            Self::Resumed { step, .. } | Self::Paused { step, .. } | Self::Preview { step, .. } | Self::Checkpoint { step, .. } => {
                Some(*step)
            }
            Self::Step(event) => Some(event.step),
            Self::Validation(event) => Some(event.step),
            Self::Probe(event) => Some(event.step),
            Self::Other(fields) => fields.get("step").and_then(Value::as_u64),
            Self::Started(_) | Self::Warning { .. } | Self::Stopped(_) => None,
        }
    }

    /// How well features told classes apart, where that is what this event says.
    pub fn class_probe(&self) -> Option<&Probe> {
        if let Self::Probe(probe) = self { Some(probe).filter(|probe| probe.is_of_classes()) } else { None }
    }
}

fn yes() -> bool {
    true
}

/// JSON knows no NaN: `null` stands for every number that is not finite.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// Numbers by name; values of other types belong to a newer version and are skipped.
fn figures<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Figures, D::Error> {
    let values = Option::<Map<String, Value>>::deserialize(deserializer)?.unwrap_or_default();
    let figure = |value: Value| if value.is_null() { Some(f64::NAN) } else { value.as_f64() };
    Ok(values.into_iter().filter_map(|(name, value)| Some((name, figure(value)?))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through_json(event: &Event) -> Event {
        Event::from_line(&serde_json::to_vec(event).unwrap()).unwrap()
    }

    #[test]
    fn every_kind_comes_back_and_names_itself_first() {
        let events = [
            Event::Started(Started { recipe_hash: "ab".into(), steps: 9, images: 3, ..Started::default() }),
            Event::Resumed { step: 4, time: 1.5, device: "cpu".into(), steps: 8 },
            Event::Paused { step: 4, paused: false },
            Event::Step(Step { step: 1, loss: 0.5, metrics: [("entropy".to_owned(), 2.0)].into(), ..Step::default() }),
            Event::Validation(Validation { loss: 0.1, baseline_patch_mean: 0.2, baseline_nearest: 0.3, ..Validation::default() }),
            Event::Preview { step: 1, path: "previews/00000001.safetensors".into() },
            Event::Probe(Probe { step: 1, protocol: "knn".into(), figures: [("top1".to_owned(), 0.25)].into(), note: "of 9".into() }),
            Event::Checkpoint { step: 1, path: "checkpoints/00000001".into() },
            Event::Warning { message: "the disk is \"nearly\"\nfull".into() },
            Event::Stopped(Stopped { reason: Reason::Failed, error: Some("no memory".into()), ..Stopped::default() }),
        ];
        assert_eq!(events.len(), KINDS.len());
        for (event, kind) in events.iter().zip(KINDS) {
            let line = serde_json::to_string(event).unwrap();
            assert!(line.starts_with(&format!("{{\"kind\":\"{kind}\"")), "{line}");
            assert!(!line.contains('\n'), "{line}");
            assert_eq!(&through_json(event), event);
        }
    }

    #[test]
    fn the_field_names_are_the_contract() {
        let step = serde_json::to_value(Event::Step(Step::default())).unwrap();
        let names =
            ["step", "epoch", "loss", "lr", "weight_decay", "grad_norm", "images_per_second", "data_wait_ratio", "seconds", "metrics"];
        for name in names {
            assert!(step.get(name).is_some(), "{name}");
        }
        assert_eq!(serde_json::to_value(Reason::Finished).unwrap(), "finished");
    }

    #[test]
    fn numbers_that_are_not_finite_are_null_on_disk_and_nan_in_memory() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let event = Event::Step(Step { loss: bad, metrics: [("x".to_owned(), bad)].into(), ..Step::default() });
            let line = serde_json::to_string(&event).unwrap();
            assert!(line.contains("\"loss\":null") && line.contains("\"x\":null"), "{line}");
            let Event::Step(back) = through_json(&event) else { panic!("not a step") };
            assert!(back.loss.is_nan() && back.metrics["x"].is_nan());
            assert_eq!(back.lr, 0.0);
        }
    }

    #[test]
    fn what_is_new_is_kept_or_skipped_and_what_is_damaged_is_neither() {
        let newer = br#"{"kind":"step","step":7,"loss":0.5,"color":"red","metrics":{"a":1,"b":"text"}}"#;
        let Some(Event::Step(step)) = Event::from_line(newer) else { panic!("not a step") };
        assert_eq!((step.step, step.metrics.len()), (7, 1));
        let other = Event::from_line(br#"{"kind":"hologram","step":3,"depth":[1]}"#).unwrap();
        assert!(matches!(&other, Event::Other(fields) if fields["depth"][0] == 1));
        assert_eq!(other.step(), Some(3));
        for junk in
            [&b"{}"[..], b"[]", b"3", b"", b"\xff\xfe", br#"{"kind":"step","step":"seven"}"#, br#"{"kind":5}"#, br#"{"kind":"step""#]
        {
            assert_eq!(Event::from_line(junk), None, "{junk:?}");
        }
    }
}
