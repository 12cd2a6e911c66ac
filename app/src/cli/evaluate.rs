//! `maskroom evaluate`: figures, each with its protocol.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use maskroom_core::dataset::Dataset;
use maskroom_core::evaluate::attention::attention_jaccard;
use maskroom_core::evaluate::{JaccardOptions, Objects, Probe};
use maskroom_core::method::Network;
use maskroom_core::segment::MassChoice;
use serde::Serialize;
use serde_json::{Value, json};

use super::attend::PlaceArguments;
use super::context::Context;
use super::embed::PoolArgument;
use super::looking::WeightsArguments;

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
    /// Which tokens make an image's feature; if not said, the class token where there is one, else the mean of the patches.
    #[arg(long, value_enum)]
    pool: Option<PoolArgument>,
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
    /// The share of the attention's mass that masks keep, or `best`: chosen together with the head, for random weights too.
    #[arg(long, default_value = "0.6")]
    mass: MassChoice,
    /// Masks are what that leaves of the image: for heads that look at the background.
    #[arg(long)]
    inverted: bool,
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
            let probe = arguments.embed(context)?;
            let figures = probe.knn(&arguments.k)?;
            context.say(format!("k-NN top-1 {:.2} % (k = {}), top-5 {:.2} %", figures.top1 * 100.0, figures.k, figures.top5 * 100.0));
            print(context, &figures, &probe.note)
        }
        EvaluateCommand::Linear(arguments) => {
            let probe = arguments.embed(context)?;
            let figures = probe.linear(context.seed.unwrap_or(0))?;
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

impl ProbeArguments {
    fn embed(&self, context: &Context) -> Result<Probe> {
        let looking = self.weights.open(context)?;
        let pool = PoolArgument::or_usual(self.pool, &looking.network);
        Ok(Probe::new(&looking.network, &looking.recipe, &Dataset::open(&self.data)?, self.layer, pool)?)
    }
}

fn jaccard(context: &Context, arguments: &JaccardArguments) -> Result<ExitCode> {
    let looking = arguments.weights.open(context)?;
    let dataset = Dataset::open(&arguments.data)?;
    let mut options = if arguments.dino_snippet { JaccardOptions::dino_snippet() } else { JaccardOptions::default() };
    (options.mass, options.inverted) = (arguments.mass, arguments.inverted);
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
        "masks of {} of the mass: oracle per object {:.3}, best single head {best:.3}, mean of heads {:.3}\nrandom weights {:.3}, random masks {:.3}, everything is object {:.3}, centered box {:.3}",
        trained.mass,
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
    value["mass_random_weights"] = json!(random.mass);
    context.say(format!("protocol: {}", trained.protocol));
    Ok(context.result(&value))
}
