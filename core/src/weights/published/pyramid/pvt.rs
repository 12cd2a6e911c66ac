//! PVT: from its own names to Maskroom's, and the encoders of UM-MAE that are PVTs.

use super::super::listing::Listing;
use super::super::plan::{Network, Plan};
use super::super::site::{Site, Sites};
use super::super::{Found, left_over, resolved, unknown};
use super::{Bounds, MOST_STAGES, Sets, and_average, block, patches, projection, set, settings, shape, why_left};
use crate::error::Result;
use crate::weights::hugging_face::exact_ratio;
use crate::weights::model_file::listed;
use crate::weights::torch_file::Setting;

/// What every one has.
pub(super) const FIRST: &str = "patch_embed1.proj.weight";
/// What timm's of the second version have.
pub(super) const OF_TIMMS_SECOND_VERSION: &str = "stages.0.blocks.0.mlp.dwconv.weight";
/// Why those of the second version are not read.
pub(super) const SECOND_VERSION: &str =
    "it is a PVT v2, whose patches overlap and whose MLPs contain convolutions, and Maskroom's PVT is the first version";

/// Parts of an encoder: what is left over of them is computed by the network that the file is of, and by none here.
const PARTS: [&str; 5] = ["patch_embed", "pos_embed", "block", "cls_token", "norm"];

/// What norms of patch embeddings and of reduced maps add to the variance, in PVT's own code; all others add what those of ViTs do.
const MAP_EPS: f64 = 1e-5;
/// Larger images are none.
const LARGEST: usize = 8192;

/// What shapes say of a network.
struct Sizes {
    channels: usize,
    patch: usize,
    /// Patches along a side.
    side: usize,
    widths: Vec<usize>,
    depths: Vec<usize>,
    heads: Vec<usize>,
    /// Those are the usual ones for the widths; the file does not say them.
    guessed_heads: bool,
    /// The MLPs' hidden widths.
    hidden: Vec<usize>,
    /// Tokens along the sides of squares that become one before they are attended to.
    reductions: Vec<usize>,
    /// They become one by their mean, as in UM-MAE.
    reduces_by_mean: bool,
    has_class_token: bool,
    /// A decoder stands beside it, as in UM-MAE.
    is_um_mae: bool,
}

/// The network of a file.
///
/// # Errors
/// [`Error::Data`](crate::error::Error::Data) if it is not understood.
pub(super) fn found(sites: &Sites, listing: &Listing) -> Result<Found> {
    let sizes = Sizes::of(&sites.raw, listing).map_err(|reason| unknown(listing, &reason))?;
    let mut plan = Plan::default();
    for (site, ours) in sites.each() {
        sizes.plan(&mut Network { site, listing, ours, plan: &mut plan });
    }
    if !plan.wrong.is_empty() {
        return Err(unknown(listing, &listed(&plan.wrong)));
    }
    let recipe = resolved(sizes.method(), sizes.sets(), listing)?;
    let alone = match (sizes.is_um_mae, sites.raw.name("head.weight")) {
        (true, _) => "UM-MAE encoder",
        (false, Some(_)) => "PVT classifier",
        (false, None) => "PVT",
    };
    Ok(Found {
        what: format!("{alone}: an encoder alone{}", and_average(sites)),
        encoder_alone: Some(alone),
        left_over: left_over(listing, &plan, |name| why_left(sites, name)),
        notes: sizes.notes(),
        plan,
        recipe,
    })
}

impl Sizes {
    /// # Errors
    /// What makes it another kind of network than those that are understood.
    fn of(site: &Site, listing: &Listing) -> Result<Self, String> {
        if site.name("block1.0.mlp.dwconv.dwconv.weight").is_some() {
            return Err(SECOND_VERSION.into());
        }
        let [_, channels, patch] = patches(site, listing, FIRST)?;
        let num_stages = (1..=MOST_STAGES).take_while(|stage| site.name(&format!("patch_embed{stage}.proj.weight")).is_some()).count();
        let stages = (1..=num_stages).map(|stage| Stage::of(site, listing, stage)).collect::<Result<Vec<_>, _>>()?;
        let of_each = |size: fn(&Stage) -> usize| stages.iter().map(size).collect::<Vec<_>>();
        let (widths, depths, hidden) = (of_each(|stage| stage.width), of_each(|stage| stage.depth), of_each(|stage| stage.hidden));
        Bounds { channels, patch, widths: &widths, depths: &depths, hidden: &hidden }.check()?;

        let is_normed: Vec<bool> = stages.iter().map(|stage| stage.is_normed).collect();
        let convolved: Vec<usize> = of_each(|stage| stage.convolved);
        let reduces_by_mean = is_normed.contains(&true) && convolved.iter().all(|&side| side == 1);
        let reductions = if reduces_by_mean { means(&is_normed)? } else { convolved };

        let has_class_token = site.name("cls_token").is_some();
        let prefix = usize::from(has_class_token && num_stages == 1);
        let places = match shape(site, listing, "pos_embed1") {
            Some(&[1, rows, _]) => rows,
            Some(other) => return Err(format!("`pos_embed1` is {other:?}")),
            None => return Err(format!("there is `{FIRST}` and no `pos_embed1` beside it: positions must be tables")),
        };
        let side = places.saturating_sub(prefix).isqrt();
        if side == 0 || side * side + prefix != places || side > LARGEST / patch {
            return Err(format!("`pos_embed1` has {places} places, which are those of no square image"));
        }
        let (heads, guessed_heads) = heads(listing, &widths);
        let is_um_mae = site.names().any(|(own, _)| own.starts_with("decoder_"));
        Ok(Self {
            channels,
            patch,
            side,
            widths,
            depths,
            heads,
            guessed_heads,
            hidden,
            reductions,
            reduces_by_mean,
            has_class_token,
            is_um_mae,
        })
    }

    /// One encoder of a file.
    fn plan(&self, network: &mut Network<'_>) {
        let num_stages = self.widths.len();
        for stage in 0..num_stages {
            let (width, theirs, ours) = (self.widths[stage], stage + 1, format!("stages.{stage}"));
            let (inputs, side) = if stage == 0 { (self.channels, self.patch) } else { (self.widths[stage - 1], 2) };
            let embed = format!("patch_embed{theirs}");
            network.layer(&format!("{ours}.patch_embed.proj"), &[&format!("{embed}.proj")], &[width, inputs, side, side]);
            network.layer(&format!("{ours}.patch_embed.norm"), &[&format!("{embed}.norm")], &[width]);
            let (prefix, side) = (usize::from(self.has_class_token && stage + 1 == num_stages), self.side >> stage);
            network.copy(&format!("{ours}.pos_embed"), &[&format!("pos_embed{theirs}")], &[1, prefix + side * side, width]);
            for index in 0..self.depths[stage] {
                self.block(network, &format!("{ours}.blocks.{index}"), &format!("block{theirs}.{index}"), stage);
            }
        }
        let width = self.widths[num_stages - 1];
        if self.has_class_token {
            network.copy("cls_token", &["cls_token"], &[1, 1, width]);
        }
        network.layer("norm", &["norm"], &[width]);
        network.refuse_strangers(&PARTS);
    }

    fn block(&self, network: &mut Network<'_>, ours: &str, theirs: &str, stage: usize) {
        let (width, reduction) = (self.widths[stage], self.reductions[stage]);
        block(network, ours, theirs, width, self.hidden[stage]);
        projection(network, &format!("{ours}.attn.q"), &format!("{theirs}.attn.q"), [width, width]);
        projection(network, &format!("{ours}.attn.kv"), &format!("{theirs}.attn.kv"), [2 * width, width]);
        if reduction > 1 {
            network.layer(&format!("{ours}.attn.norm"), &[&format!("{theirs}.attn.norm")], &[width]);
        }
        if reduction > 1 && !self.reduces_by_mean {
            network.layer(&format!("{ours}.attn.sr"), &[&format!("{theirs}.attn.sr")], &[width, width, reduction, reduction]);
        }
    }

    /// Whose preset a recipe starts from. UM-MAE packs images into maps of half the side, which must halve as often.
    fn method(&self) -> &'static str {
        let packs = self.is_um_mae && self.reduces_by_mean && !self.has_class_token && self.side.is_multiple_of(1 << self.widths.len());
        if packs { "um-mae" } else { "simmim" }
    }

    fn sets(&self) -> Sets {
        let ratios: Vec<f64> = self.hidden.iter().zip(&self.widths).map(|(&hidden, &width)| exact_ratio(hidden, width)).collect();
        let mut sets = settings("pvt", self.channels, self.patch, self.side * self.patch);
        set(&mut sets, "backbone.widths", &format!("{:?}", self.widths));
        set(&mut sets, "backbone.depths", &format!("{:?}", self.depths));
        set(&mut sets, "backbone.heads", &format!("{:?}", self.heads));
        set(&mut sets, "backbone.mlp_ratios", &format!("{ratios:?}"));
        set(&mut sets, "backbone.reductions", &format!("{:?}", self.reductions));
        set(&mut sets, "backbone.reduce_by", &if self.reduces_by_mean { "mean" } else { "convolution" });
        set(&mut sets, "backbone.pos", &if self.reduces_by_mean { "sincos" } else { "learned" });
        set(&mut sets, "backbone.class_token", &self.has_class_token);
        set(&mut sets, "backbone.map_eps", &MAP_EPS);
        sets
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.guessed_heads {
            notes.push(format!("the numbers of heads, {:?}, are those of 64 numbers each: the file does not say them", self.heads));
        }
        if self.reduces_by_mean {
            let reductions = &self.reductions;
            notes.push(format!(
                "the sides of the squares that means are taken of, {reductions:?}, are UM-MAE's: the file does not say them"
            ));
        }
        notes
    }
}

/// What shapes say of one stage.
struct Stage {
    width: usize,
    depth: usize,
    hidden: usize,
    /// The side of the squares that a convolution makes one of; 1 without one.
    convolved: usize,
    /// Reduced maps have a norm.
    is_normed: bool,
}

impl Stage {
    fn of(site: &Site, listing: &Listing, stage: usize) -> Result<Self, String> {
        let [width, ..] = patches(site, listing, &format!("patch_embed{stage}.proj.weight"))?;
        let fc1 = format!("block{stage}.0.mlp.fc1.weight");
        let Some(&[hidden, _]) = shape(site, listing, &fc1) else {
            return Err(format!("there is no `{fc1}`: blocks must have an attention and an MLP of two layers"));
        };
        let convolution = format!("block{stage}.0.attn.sr.weight");
        let convolved = match shape(site, listing, &convolution) {
            None => 1,
            Some(&[_, _, side, across]) if side == across && (2..=64).contains(&side) => side,
            Some(other) => return Err(format!("`{convolution}` is {other:?}, which reduces no squares")),
        };
        let is_normed = site.name(&format!("block{stage}.0.attn.norm.weight")).is_some();
        Ok(Self { width, depth: site.num_blocks(&format!("block{stage}")), hidden, convolved, is_normed })
    }
}

/// The squares that UM-MAE takes means of have no weights: they halve from stage to stage down to the first whose map is not reduced, 4, 2, 1,
/// 1 in pre-training and 8, 4, 2, 1 after it.
fn means(is_normed: &[bool]) -> Result<Vec<usize>, String> {
    let count = is_normed.iter().take_while(|is_normed| **is_normed).count();
    if count == is_normed.len() || is_normed[count..].contains(&true) {
        return Err("it reduces maps by means of squares whose sides nothing tells".into());
    }
    Ok((0..is_normed.len()).map(|stage| 1 << count.saturating_sub(stage)).collect())
}

/// How many heads each stage's blocks have, which no shape says, and whether that is a guess: 64 numbers each.
fn heads(listing: &Listing, widths: &[usize]) -> (Vec<usize>, bool) {
    let said = |(stage, &width): (usize, &usize)| {
        let key = format!("num_heads.{stage}");
        let is_meant = |path: &str| path.strip_suffix(&key).is_some_and(|before| before.is_empty() || before.ends_with('.'));
        match listing.settings.iter().find(|(path, _)| is_meant(path)) {
            Some((_, &Setting::Number(count))) if (1.0..=256.0).contains(&count) && count.fract() == 0.0 => {
                Some(count as usize).filter(|&heads| width.is_multiple_of(heads))
            }
            _ => None,
        }
    };
    if let Some(heads) = widths.iter().enumerate().map(said).collect::<Option<Vec<_>>>() {
        return (heads, false);
    }
    let fitting = |&width: &usize| (1..=(width / 64).max(1)).rev().find(|&heads| width.is_multiple_of(heads)).unwrap_or(1);
    (widths.iter().map(fitting).collect(), true)
}
