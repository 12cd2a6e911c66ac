//! Swin: from its own names and timm's to Maskroom's, and SimMIM's decoder.

use super::super::listing::Listing;
use super::super::plan::{Made, Network, Plan};
use super::super::site::{Site, Sites};
use super::super::{Found, left_over, resolved, unknown};
use super::image::{self, Source};
use super::{Bounds, MOST_STAGES, Sets, and_average, block, patches, projection, set, settings, shape, why_left};
use crate::error::Result;
use crate::weights::hugging_face::{exact_ratio, unshuffled};
use crate::weights::model_file::listed;

/// What every one has.
pub(super) const FIRST: &str = "layers.0.blocks.0.attn.qkv.weight";
const PATCHES: &str = "patch_embed.proj.weight";
const TABLE: &str = "attn.relative_position_bias_table";

/// Tensors that make it another network.
const OTHERS: [(&str, &str); 3] = [
    ("layers.0.blocks.0.attn.logit_scale", SECOND_VERSION),
    ("layers.0.blocks.0.attn.cpb_mlp.0.weight", SECOND_VERSION),
    ("absolute_pos_embed", "it adds a table of absolute positions, and Maskroom's Swin has relative ones alone"),
];
const SECOND_VERSION: &str = "it is a Swin v2, whose norms, scores and positions are others than Swin's";

/// Parts of an encoder: what is left over of them is computed by the network that the file is of, and by none here.
const PARTS: [&str; 5] = ["layers.", "patch_embed.", "norm", "pos_", "absolute_pos"];

/// Longer windows are none of a network that anybody trains.
const LONGEST_WINDOW: usize = 64;

/// What shapes say of a network.
struct Sizes {
    channels: usize,
    patch: usize,
    /// D of the first stage; every stage doubles it.
    width: usize,
    depths: Vec<usize>,
    heads: Vec<usize>,
    /// Of the first stage's MLPs, over the width.
    mlp_ratio: f64,
    /// Tokens along a side of each stage's windows.
    sides: Vec<usize>,
    /// The side of images in pixels.
    image: usize,
    source: Source,
    /// Neighbors are merged at the end of a stage, as in the papers' code, and not at the beginning of the next.
    merges_at_end: bool,
}

/// The network of a file.
///
/// # Errors
/// [`Error::Data`](crate::error::Error::Data) if it is not understood.
pub(super) fn found(sites: &Sites, listing: &Listing) -> Result<Found> {
    let sizes = Sizes::of(&sites.raw, listing).map_err(|reason| unknown(listing, &reason))?;
    let mut plan = sizes.plan(sites, listing);
    if !plan.wrong.is_empty() {
        return Err(unknown(listing, &listed(&plan.wrong)));
    }
    let has_decoder = sizes.take_decoder(sites, listing, &mut plan);
    let recipe = resolved("simmim", sizes.sets(), listing)?;
    let has = |own: &str| sites.raw.name(own).is_some();
    let alone = match (has("head.weight") || has("head.fc.weight"), has("mask_token") || listing.file_name().contains("simmim")) {
        (true, _) => "Swin classifier",
        (false, true) => "SimMIM encoder",
        (false, false) => "Swin",
    };
    let what = if has_decoder { "SimMIM with a Swin, encoder and decoder".to_owned() } else { format!("{alone}: an encoder alone") };
    Ok(Found {
        what: what + and_average(sites),
        encoder_alone: (!has_decoder).then_some(alone),
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
        if let Some((_, why)) = OTHERS.iter().find(|(own, _)| site.name(own).is_some()) {
            return Err((*why).into());
        }
        let [width, channels, patch] = patches(site, listing, PATCHES)?;
        let num_stages = site.num_blocks("layers");
        if num_stages > MOST_STAGES {
            return Err(format!("its {num_stages} stages are beyond the {MOST_STAGES} that are understood"));
        }
        let (mut depths, mut heads, mut sides) = (Vec::new(), Vec::new(), Vec::new());
        for stage in 0..num_stages {
            let [side, of_stage] = window(site, listing, &format!("layers.{stage}.blocks.0.{TABLE}"))?;
            depths.push(site.num_blocks(&format!("layers.{stage}.blocks")));
            heads.push(of_stage);
            sides.push(side);
        }
        let Some(&[hidden, _]) = shape(site, listing, "layers.0.blocks.0.mlp.fc1.weight") else {
            return Err("blocks must have an attention and an MLP of two layers".into());
        };
        let widths: Vec<usize> = (0..num_stages).map(|stage| width << stage).collect();
        Bounds { channels, patch, widths: &widths, depths: &depths, hidden: &[hidden] }.check()?;
        let (image, source) = image::side(site, listing, &sides, patch).ok_or_else(|| {
            format!("its tables of positions are for windows of {sides:?} tokens a side in its stages, which are those of no square image")
        })?;
        let merges_at_end = site.names().any(|(own, _)| own.starts_with("layers.0.downsample."));
        Ok(Self { channels, patch, width, depths, heads, mlp_ratio: exact_ratio(hidden, width), sides, image, source, merges_at_end })
    }

    fn last_width(&self) -> usize {
        self.width << (self.depths.len() - 1)
    }

    /// The encoders of all networks of a file, and the mask tokens that they are shown.
    fn plan(&self, sites: &Sites, listing: &Listing) -> Plan {
        let mut plan = Plan::default();
        for (site, ours) in sites.each() {
            let mut network = Network { site, listing, ours, plan: &mut plan };
            network.layer("patch_embed.proj", &["patch_embed.proj"], &[self.width, self.channels, self.patch, self.patch]);
            network.layer("patch_embed.norm", &["patch_embed.norm"], &[self.width]);
            network.layer("norm", &["norm"], &[self.last_width()]);
            if site.name("mask_token").is_some() {
                network.copy("mask_token", &["mask_token"], &[1, 1, self.width]);
            }
            for stage in 0..self.depths.len() {
                self.stage(&mut network, stage);
            }
            network.refuse_strangers(&PARTS);
        }
        plan
    }

    fn stage(&self, network: &mut Network<'_>, stage: usize) {
        let (width, reach) = (self.width << stage, 2 * self.sides[stage] - 1);
        if stage > 0 {
            let ours = format!("layers.{stage}.downsample");
            let theirs = format!("layers.{}.downsample", stage - usize::from(self.merges_at_end));
            network.layer(&format!("{ours}.norm"), &[&format!("{theirs}.norm")], &[2 * width]);
            network.copy(&format!("{ours}.reduction.weight"), &[&format!("{theirs}.reduction.weight")], &[width, 2 * width]);
        }
        for index in 0..self.depths[stage] {
            let place = format!("layers.{stage}.blocks.{index}");
            block(network, &place, &place, width, (width as f64 * self.mlp_ratio) as usize);
            projection(network, &format!("{place}.attn.qkv"), &format!("{place}.attn.qkv"), [3 * width, width]);
            let table = format!("{place}.{TABLE}");
            network.copy(&table, &[&table], &[reach * reach, self.heads[stage]]);
        }
    }

    /// SimMIM's decoder beside every encoder that is shown a mask token, or nothing of it.
    fn take_decoder(&self, sites: &Sites, listing: &Listing, plan: &mut Plan) -> bool {
        let stride = 1 << (self.depths.len() - 1);
        let outputs = stride * stride * self.patch * self.patch * self.channels;
        let parts = [("weight", vec![outputs, self.last_width(), 1, 1]), ("bias", vec![outputs])];
        let mut found = Vec::new();
        for (site, ours) in sites.each() {
            let Some(before) = site.prefix.strip_suffix("encoder.").filter(|_| site.name("mask_token").is_some()) else { return false };
            for (kind, shape) in &parts {
                let name = format!("{before}decoder.0.{kind}");
                if listing.shapes.get(&name) != Some(shape) {
                    return false;
                }
                found.push((format!("{ours}decoder.pred.{kind}"), shape[..shape.len().min(2)].to_vec(), name));
            }
        }
        let order = unshuffled(stride, self.patch, self.channels);
        found.into_iter().for_each(|(ours, shape, name)| plan.take(ours, shape, Made::Reordered(name, order.clone())));
        true
    }

    fn sets(&self) -> Sets {
        let mut sets = settings("swin", self.channels, self.patch, self.image);
        set(&mut sets, "backbone.width", &self.width);
        set(&mut sets, "backbone.depths", &format!("{:?}", self.depths));
        set(&mut sets, "backbone.heads", &format!("{:?}", self.heads));
        set(&mut sets, "backbone.window", &self.sides[0]);
        set(&mut sets, "backbone.mlp_ratio", &self.mlp_ratio);
        set(&mut sets, "backbone.positions", &"table");
        sets
    }

    fn notes(&self) -> Vec<String> {
        let (image, window) = (self.image, self.sides[0]);
        let usual = format!("images of {image}x{image} px are the usual ones for windows of {window}: the file does not say their size");
        (self.source == Source::Usual).then_some(usual).into_iter().collect()
    }
}

/// The side of the windows that a table is for, and the heads: rows count distances in both directions along both sides.
fn window(site: &Site, listing: &Listing, table: &str) -> Result<[usize; 2], String> {
    let Some(found) = shape(site, listing, table) else {
        return Err(format!(
            "there is no `{table}`: relative positions must come from a table, and those of UM-MAE's network are not read"
        ));
    };
    match *found {
        [rows, heads] if heads > 0 && rows.isqrt().pow(2) == rows && rows % 2 == 1 && rows.isqrt() < 2 * LONGEST_WINDOW => {
            Ok([rows.isqrt().div_ceil(2), heads])
        }
        _ => Err(format!("`{table}` is {found:?}, which is of no square window")),
    }
}
