//! Weights as the papers' own code and timm save them: MAE, DINO, DINOv2, iBOT, MoCo v3, DeiT and plain vision transformers, in files of
//! PyTorch or in safetensors without a recipe. Shapes tell the sizes, names tell whose network it is, and the tensors get Maskroom's names,
//! which are timm's.

mod head;
mod kind;
mod listing;
#[cfg(test)]
mod parity;
mod plan;
mod site;
mod sizes;
#[cfg(test)]
mod tests;

use std::path::Path;

use kind::Kind;
use listing::Listing;
use plan::{Made, Plan};
use site::Sites;
use sizes::Sizes;

use super::inspection::{Inspection, LeftOver, Mapped, Missing};
use super::model_file::listed;
use super::safetensors_file::{TensorMap, read_metadata};
use crate::error::{Error, Result};
use crate::recipe::Recipe;

/// An opened file.
pub(super) struct Published {
    /// What would train such a network here.
    pub recipe: Recipe,
    /// The weights by Maskroom's names.
    pub tensors: TensorMap,
    /// What it is, if it is an encoder without anything that was put on it for training.
    pub encoder_alone: Option<&'static str>,
}

/// Whether a file is not one of Maskroom's own.
pub(super) fn is_published(file: &Path) -> bool {
    listing::is_torch(file) || read_metadata(file).is_ok_and(|metadata| !metadata.contains_key("recipe"))
}

/// The recipe of a file's network, of whose numbers hardly any are read.
///
/// # Errors
/// [`Error::Data`] if the file cannot be read or its network is not understood.
pub(super) fn recipe(file: &Path) -> Result<Recipe> {
    Ok(Recognized::of(file)?.recipe)
}

/// Opens a file.
///
/// # Errors
/// [`Error::Data`] if the file cannot be read or its network is not understood.
pub(super) fn open(file: &Path) -> Result<Published> {
    let mut found = Recognized::of(file)?;
    let tensors = found.plan.read(&mut found.listing)?;
    Ok(Published { encoder_alone: found.encoder_alone(), recipe: found.recipe, tensors })
}

/// Says what a file has and what becomes of it.
///
/// # Errors
/// [`Error::Data`] if the file cannot be read or its network is not understood.
pub(super) fn inspect(file: &Path) -> Result<Inspection> {
    Ok(Recognized::of(file)?.inspection())
}

/// A file whose network is understood.
struct Recognized {
    listing: Listing,
    sites: Sites,
    sizes: Sizes,
    kind: Kind,
    plan: Plan,
    has_head: bool,
    recipe: Recipe,
}

impl Recognized {
    fn of(file: &Path) -> Result<Self> {
        Self::of_listing(Listing::read(file)?)
    }

    fn of_listing(mut listing: Listing) -> Result<Self> {
        let Some(sites) = Sites::of(&listing) else {
            return Err(unknown(&listing, &format!("no tensor is called `…{}`", site::PATCHES)));
        };
        let sizes = Sizes::of(&sites.raw, &listing).map_err(|reason| unknown(&listing, &reason))?;
        let mut plan = Plan::of(&sites, &sizes, &listing);
        if !plan.wrong.is_empty() {
            return Err(unknown(&listing, &listed(&plan.wrong)));
        }
        let kind = Kind::of(&sites, &sizes, &mut listing)?;
        let head = if matches!(kind, Kind::Dino | Kind::Ibot) { head::take(&sites, &listing, sizes.width, &mut plan) } else { None };
        let recipe = kind::recipe(kind, &sizes, head, &listing)?;
        Ok(Self { has_head: head.is_some() || sizes.decoder.is_some(), listing, sites, sizes, kind, plan, recipe })
    }

    fn encoder_alone(&self) -> Option<&'static str> {
        (!self.has_head).then(|| self.kind.alone())
    }

    fn inspection(self) -> Inspection {
        let mapped = self.plan.takes.iter().filter(|take| take.made != Made::Zeros);
        let mapped = mapped.map(|take| Mapped { ours: take.ours.clone(), theirs: take.made.in_words(), shape: take.shape.clone() });
        let zeros = self.plan.takes.iter().filter(|take| take.made == Made::Zeros);
        let mut missing: Vec<Missing> =
            zeros.map(|take| Missing { name: take.ours.clone(), why: "the network does without it: zeros stand in".into() }).collect();
        if !self.has_head {
            let (name, part) = if self.recipe.compares_views() { ("head", "head") } else { ("decoder", "decoder") };
            let why = format!("the file has no {part}: a training that starts from it begins with a new one");
            missing.push(Missing { name: name.into(), why });
        }
        let left = self.listing.shapes.iter().filter(|(name, _)| !self.plan.used.contains(*name));
        let left_over = left.map(|(name, shape)| LeftOver { name: name.clone(), shape: shape.clone(), why: self.why_left(name).into() });
        Inspection {
            path: self.listing.path.clone(),
            format: self.listing.format.into(),
            what: self.in_words(),
            mapped: mapped.collect(),
            left_over: left_over.collect(),
            missing,
            notes: self.notes(),
            encoder_alone: self.encoder_alone(),
            step: 0,
            recipe: self.recipe,
        }
    }

    fn in_words(&self) -> String {
        let kind = self.kind.in_words();
        let average = if self.sites.average.is_some() { ", and its running average, which teaches it" } else { "" };
        match (self.kind, self.has_head) {
            (Kind::Mae, true) => format!("{kind}, encoder and decoder{average}"),
            (_, true) => format!("{kind}, backbone and head{average}"),
            _ => format!("{}: an encoder alone{average}", self.kind.alone()),
        }
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.sizes.guessed_heads {
            notes.push(format!(
                "the number of heads, {}, is that of published networks of width {}: files do not say it",
                self.sizes.heads, self.sizes.width
            ));
        }
        if self.sites.raw.name("norm.weight").is_none() {
            notes.push("there is no last norm: the one before the classifier stands in, which was made for means of patches".into());
        }
        if self.sites.raw.name("dist_token").is_some() {
            notes.push("the distillation token is a register here, with its position added: attention and features stay the same".into());
        }
        if self.kind == Kind::Mae && self.has_head {
            notes.push(match self.recipe.target.flag("norm_pix") {
                Some(true) => "the decoder is taken to predict pixels that are normalized patch by patch".into(),
                _ => "the decoder is taken to predict pixels as they are".into(),
            });
        }
        notes
    }

    /// Why a tensor is not used.
    fn why_left(&self, name: &str) -> &'static str {
        let words: Vec<&str> = name.split('.').collect();
        let within = |site: &site::Site| name.strip_prefix(&site.prefix).map(|own| own.split('.').next().unwrap_or_default());
        let own = self.sites.each().find_map(|(site, _)| within(site)).unwrap_or(words[0]);
        if words.iter().any(|word| word.contains("optimizer") || *word == "fp16_scaler") {
            return "state of the optimizer";
        }
        if name.ends_with("num_batches_tracked") || name.contains("running_") {
            return "a count or a mean of training batches, which no look needs";
        }
        match own {
            "head" | "head_dist" | "fc" | "fc_norm" if matches!(self.kind, Kind::Deit | Kind::Classifier | Kind::Plain | Kind::Mae) => {
                "a classifier"
            }
            "mask_token" | "masked_embed" => "stands in the place of hidden patches, which this encoder is not shown here",
            _ if words.iter().any(|word| word.contains("head") || *word == "predictor") => "a head of another make than Maskroom's",
            _ if words[0].contains("loss") || words.contains(&"center") => "state of the training",
            _ => "part of no network that Maskroom knows",
        }
    }
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
    let cure = "understood are plain ViTs as the code of MAE, DINO, DINOv2, iBOT, MoCo v3, DeiT and timm saves them, and other \
                ones in folders of Hugging Face or as Maskroom's own files";
    Error::data(&listing.path, format!("its network is not understood: {reason}; {found}"), cure)
}
