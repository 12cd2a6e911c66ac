//! `maskroom embed`: features of images.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use maskroom_core::error::Error;
use maskroom_core::files::write_atomic;
use maskroom_core::inspect::encoder::Pool;
use maskroom_core::inspect::look::embed_all;
use maskroom_core::method::Network;
use maskroom_core::npy;
use maskroom_core::weights::safetensors_file::{self, HostTensor};
use serde_json::json;

use super::context::Context;
use super::looking::{ImageArguments, WeightsArguments, format_of};

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    weights: WeightsArguments,
    #[command(flatten)]
    images: ImageArguments,
    /// The class token, the mean of the patches, or every patch; if not said, the class token where there is one, else the mean.
    #[arg(long, value_enum)]
    pool: Option<PoolArgument>,
    /// The block whose output is taken; negative counts from the end. The final norm is applied to it.
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    layer: i64,
    /// The file: .safetensors, .npy or .csv.
    #[arg(long)]
    out: PathBuf,
}

/// Which tokens make an image's feature.
#[derive(Clone, Copy, ValueEnum)]
pub enum PoolArgument {
    /// The class token.
    Cls,
    /// The mean of the patch tokens.
    Mean,
    /// Every patch token.
    Patches,
}

impl From<PoolArgument> for Pool {
    fn from(pool: PoolArgument) -> Self {
        match pool {
            PoolArgument::Cls => Self::Cls,
            PoolArgument::Mean => Self::Mean,
            PoolArgument::Patches => Self::Patches,
        }
    }
}

impl PoolArgument {
    /// What was asked for, or what is usual for a network.
    pub fn or_usual(asked: Option<Self>, network: &Network) -> Pool {
        asked.map_or_else(|| Pool::usual(network), Pool::from)
    }
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let format = format_of(&arguments.out, &["safetensors", "npy", "csv"])?;
    let (looking, dataset) = (arguments.weights.open(context)?, arguments.images.open()?);
    let all: Vec<usize> = (0..dataset.items.len()).collect();
    let pool = PoolArgument::or_usual(arguments.pool, &looking.network);
    let features = embed_all(&looking.network, &looking.recipe, &dataset, &all, looking.fit, arguments.layer, pool)?;
    features.unreadable.iter().for_each(|file| tracing::warn!("{} is left out: {}", file.path, file.reason));
    let names: Vec<&str> = features.samples.iter().map(|&index| dataset.items[index].name.as_str()).collect();
    let mut shape = vec![names.len(), features.width];
    if let Some(patches) = features.patches {
        shape.insert(1, patches);
    }
    match format.as_str() {
        "npy" => npy::write_f32(&arguments.out, &shape, &features.values)?,
        "csv" => write_csv(&arguments.out, &names, &features.values, features.patches.unwrap_or(1), features.width)?,
        _ => {
            let tensors = BTreeMap::from([("features".to_owned(), HostTensor::new(shape.clone(), features.values))]);
            let metadata = BTreeMap::from([("names".to_owned(), serde_json::to_string(&names)?)]);
            safetensors_file::write(&arguments.out, &tensors, &metadata)?;
        }
    }
    context.say(format!("features {shape:?} in {}", arguments.out.display()));
    Ok(context.result(&json!({"out": arguments.out, "shape": shape, "names": names, "unreadable": features.unreadable})))
}

/// One line per row: the image's name, the patch if there are several, and the numbers.
fn write_csv(path: &Path, names: &[&str], values: &[f32], patches: usize, width: usize) -> Result<()> {
    if names.iter().any(|name| name.contains('\n')) {
        bail!(Error::Usage("a file name holds a line break, which CSV cannot carry here: write .safetensors or .npy".into()));
    }
    let columns = (0..width).map(|column| format!("f{column}")).collect::<Vec<_>>().join(",");
    let mut text = if patches > 1 { format!("name,patch,{columns}\n") } else { format!("name,{columns}\n") };
    for (row, values) in values.chunks_exact(width).enumerate() {
        let name = names[row / patches].replace('"', "\"\"");
        let place = if patches > 1 { format!("\"{name}\",{}", row % patches) } else { format!("\"{name}\"") };
        let numbers = values.iter().map(f32::to_string).collect::<Vec<_>>().join(",");
        text.push_str(&format!("{place},{numbers}\n"));
    }
    Ok(write_atomic(path, text.as_bytes())?)
}
