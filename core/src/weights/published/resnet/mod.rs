//! Residual networks: MoCo, SimSiam, SwAV, BYOL, SimCLR, DINO, Barlow Twins, VICReg, torchvision's and timm's.

mod head;
mod kind;
mod layout;
mod mlp;
mod network;
#[cfg(test)]
mod parity;
mod sizes;
#[cfg(test)]
mod tests;

use head::Head;
use kind::Kind;
use layout::Layout;

use super::listing::Listing;
use super::site::Sites;
use super::{Found, left_over, unknown};
use crate::backbone::resnet::{ResNetConfig, Stem};
use crate::error::Result;
use crate::weights::model_file::listed;

/// Finds a residual network.
///
/// # Errors
/// [`Error::Data`](crate::error::Error::Data) if it is one that is not understood.
pub(super) fn recognize(listing: &Listing) -> Result<Option<Found>> {
    let Some((layout, sites)) = Layout::of(listing) else { return Ok(None) };
    let config = sizes::of(layout, &sites.raw, listing).map_err(|reason| unknown(listing, &reason))?;
    let mut plan = network::plan(&sites, layout, &config, listing);
    if !plan.wrong.is_empty() {
        return Err(unknown(listing, &listed(&plan.wrong)));
    }
    let kind = Kind::of(&sites, listing);
    let head = head::take(kind, &sites, listing, config.last_width(), &mut plan);
    let recipe = kind::recipe(kind, &config, head.as_ref(), listing)?;
    let seen = Seen { copies: layout.copies(&sites, listing), sites, config, kind, head };
    Ok(Some(Found {
        what: seen.in_words(),
        encoder_alone: seen.head.is_none().then(|| kind.alone()),
        left_over: left_over(listing, &plan, |name| seen.why_left(name)),
        notes: seen.notes(),
        plan,
        recipe,
    }))
}

/// What is known of a network.
struct Seen {
    sites: Sites,
    /// What stands before names of other networks than those that are read.
    copies: Vec<String>,
    config: ResNetConfig,
    kind: Kind,
    head: Option<Head>,
}

impl Seen {
    fn in_words(&self) -> String {
        let size = kind::name(&self.config).map(|name| format!(" ({name})")).unwrap_or_default();
        let average = if self.sites.average.is_some() { ", and its running average" } else { "" };
        match self.head {
            Some(_) => format!("{}{size}, backbone and head{average}", self.kind.in_words()),
            None => format!("{}{size}: an encoder alone{average}", self.kind.alone()),
        }
    }

    fn notes(&self) -> Vec<String> {
        let side = self.config.grid[0];
        let mut notes = vec![format!(
            "images of {side} px are what such networks are usually made for: files do not say it, and any size can be looked at"
        )];
        notes.push(match self.config.stem {
            Stem::Large => "where maps are halved is taken to be as in torchvision, in convolutions of 3x3: files do not say it".into(),
            Stem::Small => "maps are taken to be halved as in torchvision, and not by a maximum after the stem: files do not say it".into(),
        });
        if self.kind == Kind::Converted {
            notes.push("nothing is subtracted from pixels of 0 to 1, as in SimCLR's own code".into());
        } else if self.config.stem == Stem::Small {
            notes.push("pixels are taken to be normalized by ImageNet's figures: files do not say by which".into());
        }
        if self.sites.average.is_some() && self.kind != Kind::Dino {
            notes.push(
                "looks use the running average; `--weights-kind raw` uses the trained network, which papers report figures of".into(),
            );
        }
        if self.head.as_ref().is_some_and(|head| head.lent_predictor) {
            notes.push("the running average predicts nothing: its predictor is that of the trained network, and no look uses it".into());
        }
        notes
    }

    /// Why a tensor is not used.
    fn why_left(&self, name: &str) -> &'static str {
        let own = self.sites.each().find_map(|(site, _)| name.strip_prefix(&site.prefix)).unwrap_or(name);
        let own = own.split('.').next().unwrap_or_default();
        let is_single = matches!(own, "fc" | "linear" | "head");
        if self.head.as_ref().is_some_and(|head| head.subtracted.contains(name)) {
            "a bias that the norm behind it takes away again"
        } else if name.rsplit('.').next().is_some_and(|last| last.starts_with("queue")) {
            "answers of earlier batches, which a training gathers anew"
        } else if self.is_copy(name) {
            "of another network of the same make, and one is read"
        } else if name.contains("classifier.") || is_single && matches!(self.kind, Kind::Classifier | Kind::Plain | Kind::Converted) {
            "a classifier"
        } else if name.split('.').next().is_some_and(|word| word.contains("loss")) || name.ends_with("center") {
            "state of the training"
        } else if head::is_of_head(name) {
            "a head of another make than Maskroom's"
        } else {
            "part of no network that Maskroom knows"
        }
    }

    /// Whether it is of a network beside those that are read.
    fn is_copy(&self, name: &str) -> bool {
        self.copies.iter().any(|prefix| name.strip_prefix(prefix).is_some_and(|own| self.sites.raw.name(own).is_some()))
    }
}
