//! Weights as the papers' own code and the libraries timm and torchvision save them, in files of PyTorch or in safetensors without a recipe.
//! Names tell which family of networks it is of and whose, shapes tell the sizes, and the tensors get Maskroom's names.

mod dino_head;
#[cfg(test)]
mod fixtures;
pub(super) mod listing;
pub(super) mod plan;
mod pyramid;
mod resnet;
mod site;
mod vit;

use std::path::Path;

use listing::Listing;
use plan::{BATCHES, Made, Plan, computed};

use super::hugging_face;
use super::inspection::{Inspection, LeftOver, Mapped, Missing};
use super::safetensors_file::read_metadata;
use super::tensors::Tensors;
use crate::error::{Error, Result};
use crate::recipe::Recipe;
use crate::tokenizer::dalle::import::FIRST;

/// An opened file.
pub(super) struct Published {
    /// What would train such a network here.
    pub recipe: Recipe,
    /// The weights by Maskroom's names.
    pub tensors: Tensors,
    /// What it is, if it is an encoder without anything that was put on it for training.
    pub encoder_alone: Option<&'static str>,
}

/// A network that a family recognized in a file.
struct Found {
    /// What would train such a network here.
    recipe: Recipe,
    /// Which tensors become which.
    plan: Plan,
    /// What it is, in words.
    what: String,
    /// What it is called, if it is an encoder without anything that was put on it for training.
    encoder_alone: Option<&'static str>,
    /// Why tensors that are not used are not, where it is not said by [`why_left`].
    left_over: Vec<LeftOver>,
    /// What was assumed.
    notes: Vec<String>,
}

/// Finds the network of a file, if it is one of a family's.
///
/// # Errors
/// [`Error::Data`] if it is, and yet not understood.
type Recognize = fn(&Listing) -> Result<Option<Found>>;

/// The families of networks, the first that recognizes a file has it.
const FAMILIES: [Recognize; 3] = [resnet::recognize, pyramid::recognize, vit::recognize];

/// What most papers normalize images by.
const IMAGENET: ([f64; 3], [f64; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);

/// Whether a file is not one of Maskroom's own.
pub(super) fn is_published(file: &Path) -> bool {
    listing::is_torch(file) || read_metadata(file).is_ok_and(|metadata| !metadata.contains_key("recipe"))
}

/// The recipe of a file's network, of whose numbers hardly any are read.
///
/// # Errors
/// [`Error::Data`] if the file cannot be read or its network is not understood.
pub(super) fn recipe(file: &Path) -> Result<Recipe> {
    Ok(recognize(&Listing::read(file)?)?.recipe)
}

/// Opens a file.
///
/// # Errors
/// [`Error::Data`] if the file cannot be read or its network is not understood.
pub(super) fn open(file: &Path) -> Result<Published> {
    let listing = Listing::read(file)?;
    let found = recognize(&listing)?;
    Ok(Published { encoder_alone: found.encoder_alone, tensors: Tensors::new(listing, found.plan.takes), recipe: found.recipe })
}

/// Says what a file has and what becomes of it.
///
/// # Errors
/// [`Error::Data`] if the file cannot be read or its network is not understood.
pub(super) fn inspect(file: &Path) -> Result<Inspection> {
    let listing = Listing::read(file)?;
    let found = recognize(&listing)?;
    Ok(inspection(found, &listing))
}

fn recognize(listing: &Listing) -> Result<Found> {
    for family in FAMILIES {
        if let Some(found) = family(listing)? {
            return Ok(found);
        }
    }
    if listing.shapes.keys().any(|name| name.ends_with(FIRST)) {
        let cure = "`maskroom tokenizer import ENCODER --decoder DECODER --out FILE` makes a tokenizer of it, for `beit`";
        return Err(Error::data(&listing.path, "it is DALL-E's encoder or decoder, which makes codes of patches and no features", cure));
    }
    Err(unknown(listing, "its names are those of no network that is known"))
}

fn inspection(found: Found, listing: &Listing) -> Inspection {
    let (zeros, mapped): (Vec<_>, Vec<_>) = found.plan.takes.into_iter().partition(|take| take.made == Made::Zeros);
    let mapped = mapped.into_iter().map(|take| Mapped { theirs: take.made.in_words(), ours: take.ours, shape: take.shape });
    let zeros = zeros.into_iter();
    let mut missing: Vec<Missing> =
        zeros.map(|take| Missing { name: take.ours, why: "the network does without it: zeros stand in".into() }).collect();
    if found.encoder_alone.is_some() {
        let part = if found.recipe.compares_views() { "head" } else { "decoder" };
        let why = format!("the file has no {part} that fits: a training that starts from it begins with a new one");
        missing.push(Missing { name: part.into(), why });
    }
    Inspection {
        path: listing.path.clone(),
        format: listing.format.into(),
        what: found.what,
        mapped: mapped.collect(),
        left_over: found.left_over,
        missing,
        notes: found.notes,
        encoder_alone: found.encoder_alone,
        step: 0,
        recipe: found.recipe,
    }
}

/// Tensors that a plan does not use, each with the reason: one of training that all files have in common, else that which the family gives
/// for the name.
fn left_over(listing: &Listing, plan: &Plan, why: impl Fn(&str) -> &'static str) -> Vec<LeftOver> {
    let left = listing.shapes.iter().filter(|(name, _)| !plan.used.contains(*name));
    let reason = |name: &str| {
        if name.split('.').any(|word| word.contains("optimizer") || matches!(word, "opt" | "scaler" | "fp16_scaler")) {
            "state of the optimizer"
        } else if name.ends_with(BATCHES) {
            "a count of training batches, which no look needs"
        } else if name.contains("running_") {
            "statistics of training batches, which nothing that is used here needs"
        } else if let Some(why) = computed(name) {
            why
        } else {
            why(name)
        }
    };
    left.map(|(name, shape)| LeftOver { name: name.clone(), shape: shape.clone(), why: reason(name).into() }).collect()
}

/// The recipe by which a method would train a network of these sizes.
///
/// # Errors
/// [`Error::Data`] if there can be none of such sizes.
fn resolved(method: &str, sets: Vec<(String, String)>, listing: &Listing) -> Result<Recipe> {
    hugging_face::resolve(method, sets).map_err(|error| match error {
        Error::Recipe(problems) => {
            let all = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            Error::data(&listing.path, format!("its network is of sizes that Maskroom has none of: {all}"), "use a model of other sizes")
        }
        other => other,
    })
}

/// Says what was found and what is understood.
fn unknown(listing: &Listing, reason: &str) -> Error {
    const SHOWN: usize = 4;
    let shown: Vec<String> = listing.shapes.iter().take(SHOWN).map(|(name, shape)| format!("{name} {shape:?}")).collect();
    let found = match listing.shapes.len() {
        0 => "it holds no tensors".to_owned(),
        count if count > SHOWN => format!("it holds {count} tensors: {}, …", shown.join(", ")),
        _ => format!("it holds {}", shown.join(", ")),
    };
    let cure = "understood are plain ViTs as the code of MAE, DINO, DINOv2, DINOv3, iBOT, MoCo v3, DeiT, BEiT, data2vec, SimMIM, UM-MAE, \
                MaskFeat, I-JEPA and timm saves them, Swins and PVTs as their own code, SimMIM's and timm's do, residual networks as \
                torchvision, timm and the code of MoCo, SimSiam, SwAV, BYOL and SimCLR name their parts, and other networks in folders of \
                Hugging Face or as Maskroom's own files";
    Error::data(&listing.path, format!("its network is not understood: {reason}; {found}"), cure)
}
