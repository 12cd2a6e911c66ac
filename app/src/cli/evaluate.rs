//! `maskroom evaluate`: figures, each with its protocol.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use maskroom_core::dataset::{Dataset, Split};
use maskroom_core::error::Error;
use maskroom_core::evaluate::attention::attention_jaccard;
use maskroom_core::evaluate::{JaccardOptions, LabeledFeatures, Objects, knn, knn_leave_one_out, linear_probe};
use maskroom_core::inspect::encoder::Pool;
use maskroom_core::inspect::look::{Features, Fit, embed_all};
use maskroom_core::method::Network;
use maskroom_core::random::{Purpose, Stream};
use serde::Serialize;
use serde_json::{Value, json};

use super::attend::PlaceArguments;
use super::context::Context;
use super::embed::PoolArgument;
use super::looking::{Looking, WeightsArguments};

#[derive(Subcommand)]
pub enum EvaluateCommand {
    /// Weighted nearest neighbors on frozen features.
    Knn(ProbeArguments),
    /// A linear classifier in closed form on frozen features.
    Linear(ProbeArguments),
    /// How well attention heads overlap annotated objects.
    Jaccard(JaccardArguments),
}

#[derive(Args)]
pub struct ProbeArguments {
    #[command(flatten)]
    weights: WeightsArguments,
    /// Images with classes; `train/` and `val/` splits are used where there are any.
    #[arg(long)]
    data: PathBuf,
    /// Which tokens make an image's feature.
    #[arg(long, value_enum, default_value_t = PoolArgument::Cls)]
    pool: PoolArgument,
    /// The block whose output is taken; negative counts from the end.
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    layer: i64,
    /// Neighborhoods to report, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "10,20,100,200")]
    k: Vec<usize>,
}

#[derive(Args)]
pub struct JaccardArguments {
    #[command(flatten)]
    weights: WeightsArguments,
    /// Images with ground-truth masks (VOC or COCO layout).
    #[arg(long)]
    data: PathBuf,
    #[command(flatten)]
    place: PlaceArguments,
    /// The share of the attention's mass that masks keep.
    #[arg(long, default_value_t = 0.6)]
    mass: f64,
    /// Look at the heads of every block instead of one block's; they are numbered on from block to block.
    #[arg(long)]
    all_layers: bool,
    /// Everything that is not background is one object, instead of one per class.
    #[arg(long)]
    foreground: bool,
    /// Void pixels count in the union, as in the snippet that DINO's author published.
    #[arg(long)]
    dino_snippet: bool,
}

pub fn run(context: &Context, command: &EvaluateCommand) -> Result<ExitCode> {
    match command {
        EvaluateCommand::Knn(arguments) => {
            let probe = Probe::new(context, arguments)?;
            let figures = match &probe.test {
                Some(test) => knn(&probe.train.labeled("training"), &test.labeled("test"), &arguments.k)?,
                None => knn_leave_one_out(&probe.train.labeled("data"), &arguments.k)?,
            };
            context.say(format!("k-NN top-1 {:.2} % (k = {}), top-5 {:.2} %", figures.top1 * 100.0, figures.k, figures.top5 * 100.0));
            print(context, &figures, &probe.note)
        }
        EvaluateCommand::Linear(arguments) => {
            let probe = Probe::new(context, arguments)?;
            let seed = context.seed.unwrap_or(0);
            let (train, test) = match probe.test {
                Some(test) => (probe.train, test),
                None => probe.train.split_in_half(seed),
            };
            let figures = linear_probe(&train.labeled("training"), &test.labeled("test"), seed)?;
            context.say(format!("linear probe top-1 {:.2} %, top-5 {:.2} %", figures.top1 * 100.0, figures.top5 * 100.0));
            print(context, &figures, &probe.note)
        }
        EvaluateCommand::Jaccard(arguments) => jaccard(context, arguments),
    }
}

fn print(context: &Context, figures: &impl Serialize, note: &str) -> Result<ExitCode> {
    let mut value = serde_json::to_value(figures)?;
    let protocol = value["protocol"].as_str().unwrap_or_default().to_owned();
    context.say(format!("protocol: {protocol}; {note}"));
    value["protocol"] = Value::String(format!("{protocol}; {note}"));
    Ok(context.result(&value))
}

/// Features with labels.
struct Labeled {
    features: Vec<f32>,
    width: usize,
    labels: Vec<u32>,
}

impl Labeled {
    fn new(features: Features, dataset: &Dataset) -> Self {
        let class = |&sample: &usize| dataset.items[sample].class.unwrap_or(0) as u32;
        Self { labels: features.samples.iter().map(class).collect(), features: features.values, width: features.width }
    }

    fn labeled<'a>(&'a self, name: &'a str) -> LabeledFeatures<'a> {
        LabeledFeatures { name, features: &self.features, width: self.width, labels: &self.labels }
    }

    fn split_in_half(self, seed: u64) -> (Self, Self) {
        let order = Stream::new(seed, 0, 0, Purpose::Split).permutation(self.labels.len());
        let part = |rows: &[usize]| Self {
            features: rows.iter().flat_map(|&row| self.features[row * self.width..][..self.width].iter().copied()).collect(),
            width: self.width,
            labels: rows.iter().map(|&row| self.labels[row]).collect(),
        };
        let (train, test) = order.split_at(order.len() / 2);
        (part(train), part(test))
    }
}

/// What a probe on frozen features works with.
struct Probe {
    train: Labeled,
    /// Absent where the data has no splits.
    test: Option<Labeled>,
    note: String,
}

impl Probe {
    fn new(context: &Context, arguments: &ProbeArguments) -> Result<Self> {
        let looking = arguments.weights.open(context)?;
        let dataset = Dataset::open(&arguments.data)?;
        let labeled: Vec<usize> = (0..dataset.items.len()).filter(|&sample| dataset.items[sample].class.is_some()).collect();
        if labeled.is_empty() {
            bail!(Error::data(&arguments.data, "no image has a class", "put each class's images into a folder of its own"));
        }
        let pool: Pool = arguments.pool.into();
        if pool == Pool::Patches {
            bail!(Error::Usage("a probe needs one feature per image: use --pool cls or mean".into()));
        }
        let of = |split: Split| labeled.iter().copied().filter(|&sample| dataset.items[sample].split == Some(split)).collect::<Vec<_>>();
        let (train, mut test) = (of(Split::Train), of(Split::Val));
        if test.is_empty() {
            test = of(Split::Test);
        }
        let embed = |samples: &[usize]| embed(&looking, &dataset, samples, arguments.layer, pool);
        let shape = format!(
            "images scaled and center-cropped to {:?}, {} features of layer {}",
            looking.recipe.data.image,
            name(pool),
            arguments.layer
        );
        if train.is_empty() || test.is_empty() {
            let note = format!("{shape}; the data has no splits: each image against all others, or one half against the other");
            return Ok(Self { train: embed(&labeled)?, test: None, note });
        }
        Ok(Self { train: embed(&train)?, test: Some(embed(&test)?), note: format!("{shape}; the data's own splits") })
    }
}

fn name(pool: Pool) -> &'static str {
    if pool == Pool::Mean { "mean-of-patches" } else { "class-token" }
}

fn embed(looking: &Looking, dataset: &Dataset, samples: &[usize], layer: i64, pool: Pool) -> Result<Labeled> {
    let features = embed_all(&looking.network, &looking.recipe, dataset, samples, Fit::Crop, layer, pool)?;
    features.unreadable.iter().for_each(|file| tracing::warn!("{} is left out: {}", file.path, file.reason));
    Ok(Labeled::new(features, dataset))
}

fn jaccard(context: &Context, arguments: &JaccardArguments) -> Result<ExitCode> {
    let looking = arguments.weights.open(context)?;
    let dataset = Dataset::open(&arguments.data)?;
    let mut options = if arguments.dino_snippet { JaccardOptions::dino_snippet() } else { JaccardOptions::default() };
    options.mass = arguments.mass;
    if arguments.foreground {
        options.objects = Objects::Foreground;
    }
    let (place, seed) = (arguments.place.place(), context.seed.unwrap_or(0));
    let places = if arguments.all_layers { place.in_every_layer(&looking.network) } else { vec![place] };
    let trained = attention_jaccard(&looking.network, &looking.recipe, &dataset, &places, options, seed)?;
    let random = attention_jaccard(
        &Network::untrained_twin(&looking.recipe, looking.network.device())?,
        &looking.recipe,
        &dataset,
        &places,
        options,
        seed,
    )?;
    let best = trained.jaccard_best_head.unwrap_or(f64::NAN);
    context.say(format!(
        "oracle per object {:.3}, best single head {best:.3}, mean of heads {:.3}\nrandom weights {:.3}, random masks {:.3}, everything is object {:.3}, centered box {:.3}",
        trained.jaccard_oracle,
        trained.jaccard_mean_head,
        random.jaccard_best_head.unwrap_or(f64::NAN),
        trained.jaccard_random_expectation,
        trained.jaccard_all,
        trained.jaccard_center_box,
    ));
    let mut value = serde_json::to_value(&trained)?;
    value["jaccard_random_weights"] = json!(random.jaccard_best_head);
    value["jaccard_random_weights_oracle"] = json!(random.jaccard_oracle);
    context.say(format!("protocol: {}", trained.protocol));
    Ok(context.result(&value))
}
