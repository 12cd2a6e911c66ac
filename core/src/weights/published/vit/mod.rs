//! Plain vision transformers: MAE, UM-MAE, BEiT, data2vec, SimMIM, MaskFeat, I-JEPA, DINO, DINOv2, DINOv3, iBOT, MoCo v3, DeiT and timm's.

#[cfg(test)]
mod beit_parity;
#[cfg(test)]
mod beit_tests;
mod kind;
mod network;
#[cfg(test)]
mod parity;
mod periods;
mod predictor;
mod sizes;
#[cfg(test)]
mod tests;

use kind::Kind;
use periods::Turns;
use predictor::Predictor;
use sizes::Sizes;

use super::dino_head;
use super::listing::Listing;
use super::site::{Site, Sites};
use super::{Found, left_over, unknown};
use crate::error::Result;
use crate::recipe::Recipe;
use crate::weights::model_file::listed;

/// The embedding of patches, which every one has.
const PATCHES: &str = "patch_embed.proj.weight";

/// Finds a plain vision transformer.
///
/// # Errors
/// [`Error::Data`](crate::error::Error::Data) if it is one that is not understood.
pub(super) fn recognize(listing: &Listing) -> Result<Option<Found>> {
    let Some(sites) = Sites::of(listing, PATCHES) else { return Ok(None) };
    let sizes = Sizes::of(&sites.raw, listing).map_err(|reason| unknown(listing, &reason))?;
    let mut plan = network::plan(&sites, &sizes, listing);
    let predictor = predictor::take(&sites, &sizes, listing, &mut plan);
    if !plan.wrong.is_empty() {
        return Err(unknown(listing, &listed(&plan.wrong)));
    }
    let kind = Kind::of(&sites, &sizes, predictor.as_ref(), listing)?;
    let head = if matches!(kind, Kind::Dino | Kind::Ibot) { dino_head::take(&sites, listing, sizes.width, &mut plan) } else { None };
    let turns = if sizes.rotary { Turns::of(&sites.raw, listing)? } else { Turns::EXACT };
    let recipe = kind::recipe(kind, &sizes, (head, predictor.as_ref()), turns.base, listing)?;
    let has_head = head.is_some() || predictor.is_some() || sizes.decoder.is_some();
    let has_decoder = sizes.decoder.is_some() || matches!(predictor, Some(Predictor::Blocks(_)));
    let seen = Seen { turns, has_head, has_decoder, sites, sizes, kind };
    Ok(Some(Found {
        what: seen.in_words(),
        encoder_alone: (!seen.has_head).then(|| kind.alone()),
        left_over: left_over(listing, &plan, |name| seen.why_left(name)),
        notes: seen.notes(&recipe),
        plan,
        recipe,
    }))
}

/// What is known of a network.
struct Seen {
    sites: Sites,
    sizes: Sizes,
    kind: Kind,
    turns: Turns,
    has_head: bool,
    has_decoder: bool,
}

impl Seen {
    fn in_words(&self) -> String {
        let kind = self.kind.in_words();
        let average = if self.sites.average.is_some() { ", and its running average, which teaches it" } else { "" };
        match (self.has_decoder, self.has_head) {
            (true, _) => format!("{kind}, encoder and decoder{average}"),
            (_, true) => format!("{kind}, backbone and head{average}"),
            _ => format!("{}: an encoder alone{average}", self.kind.alone()),
        }
    }

    fn notes(&self, recipe: &Recipe) -> Vec<String> {
        let mut notes = Vec::new();
        if self.sizes.guessed_heads {
            notes.push(format!(
                "the number of heads, {}, is that of published networks of width {}: files do not say it",
                self.sizes.heads, self.sizes.width
            ));
        }
        if self.kind == Kind::MaskFeat {
            notes.push("the last norm is the head's: nothing else came after the encoder's blocks".into());
        } else if self.sites.raw.name("norm.weight").is_none() {
            notes.push("there is no last norm: the one before the classifier stands in, which was made for means of patches".into());
        }
        if self.sites.raw.name("dist_token").is_some() {
            notes.push("the distillation token is a register here, with its position added: attention and features stay the same".into());
        }
        if self.turns.rounded {
            notes.push("the file keeps the periods of rotary positions rounded; they are exact here, as in timm and transformers".into());
        }
        if self.kind == Kind::DinoV3 {
            notes.push("files of such networks do not say for which size of images they are: any will do".into());
        }
        if self.sizes.decoder.is_some() {
            notes.push(match recipe.target.flag("norm_pix") {
                Some(true) => "the decoder is taken to predict pixels that are normalized patch by patch".into(),
                _ => "the decoder is taken to predict pixels as they are".into(),
            });
        }
        notes
    }

    /// Why a tensor is not used.
    fn why_left(&self, name: &str) -> &'static str {
        let words: Vec<&str> = name.split('.').collect();
        let within = |site: &Site| name.strip_prefix(&site.prefix).map(|own| own.split('.').next().unwrap_or_default());
        let own = self.sites.each().find_map(|(site, _)| within(site)).unwrap_or(words[0]);
        match own {
            "head" | "head_dist" | "fc" | "fc_norm"
                if !matches!(self.kind, Kind::Dino | Kind::DinoV2 | Kind::DinoV3 | Kind::Ibot | Kind::MocoV3) =>
            {
                "a classifier"
            }
            "cls_pt_layers" | "cls_pt_norm" | "cls_pt_lm_head" => "served to train the class token, and comes after the encoder",
            "rope_embed" => "rotary positions are computed here from the recipe's base",
            "local_cls_norm" => "normalizes class tokens of small crops, in training alone",
            "projectors" => "a head of another make than Maskroom's",
            "hogs" => "part of what is predicted: it is computed here",
            "mask_token" | "masked_embed" => "stands in the place of hidden patches, which this encoder is not shown here",
            _ if words.iter().any(|word| word.contains("head") || *word == "predictor") => "a head of another make than Maskroom's",
            _ if words[0].contains("loss") || words.contains(&"center") => "state of the training",
            _ => "part of no network that Maskroom knows",
        }
    }
}
