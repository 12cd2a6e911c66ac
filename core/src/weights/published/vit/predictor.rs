//! What predicts hidden patches beside an encoder, but for MAE's decoder, which has its names among the encoder's: I-JEPA's small transformer,
//! and the one layer of BEiT (visual words), data2vec (features), SimMIM (pixels) and MaskFeat (gradients).

use super::super::listing::Listing;
use super::super::plan::{Made, Network, Plan};
use super::super::site::{Site, Sites};
use super::kind::is_data2vec;
use super::network::blocks;
use super::sizes::{DecoderSizes, Sizes, fitting};
use crate::backbone::vit::Relative;
use crate::weights::hugging_face::unshuffled;

/// What predicts, and what it says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Predictor {
    /// A transformer to features.
    Blocks(DecoderSizes),
    /// A layer to scores of so many words.
    Words(usize),
    /// A layer to features.
    Features,
    /// A layer to pixels, in the order of a shuffle of channels to places.
    Pixels,
    /// A layer to histograms of gradients.
    Gradients,
}

/// What I-JEPA's predictor begins with.
const FIRST: &str = "predictor_embed.weight";
/// BEiT's and data2vec's layer.
const WORDS: &str = "lm_head";
/// MaskFeat's layer.
const GRADIENTS: &str = "pred_head.projections.0";
/// Side of MaskFeat's cells in pixels.
const CELL: usize = 8;
/// Words at most.
const MOST_WORDS: usize = 65_536;

/// Takes what predicts, of the average too if there is one; what it has not itself is that of the trained network.
pub(super) fn take(sites: &Sites, sizes: &Sizes, listing: &Listing, plan: &mut Plan) -> Option<Predictor> {
    let found = Predictor::of(&sites.raw, sizes, listing);
    for (site, ours) in sites.each() {
        let mut network = Network { site, listing, ours, plan: &mut *plan };
        if found.is_some() || sizes.relative != Relative::Absent {
            mask_token(&mut network, &sites.raw, sizes.width);
        }
        if let Some(predictor) = &found {
            predictor.take(&mut network, &sites.raw, sizes);
        }
    }
    found
}

/// What stands in the place of hidden patches, where the encoder sees it.
fn mask_token(network: &mut Network<'_>, raw: &Site, width: usize) {
    const NAME: &str = "mask_token";
    let (shape, listing) = ([1, 1, width], network.listing);
    let has = |site: &Site| site.name(NAME).and_then(|name| listing.shapes.get(name)).is_some_and(|found| *found == shape);
    let own = if has(network.site) { network.site } else { raw };
    if has(own) {
        Network { site: own, listing, ours: network.ours, plan: &mut *network.plan }.copy(NAME, &[NAME], &shape);
    }
}

impl Predictor {
    /// What the file has beside the trained network.
    fn of(site: &Site, sizes: &Sizes, listing: &Listing) -> Option<Self> {
        let shape = |site: &Site, own: &str| site.name(own).and_then(|name| listing.shapes.get(name)).cloned().unwrap_or_default();
        let layer = |name: &str| shape(site, &format!("{name}.weight"));
        let (width, pixels) = (sizes.width, sizes.patch * sizes.patch * sizes.channels);
        if shape(site, "mask_token") == [1, 1, width] {
            // Of one block's features alone.
            let is_only = site.name("pred_head.projections.1.weight").is_none() && site.name("pred_head.transforms.0.0.weight").is_some();
            let outside = outside(site, listing);
            return match layer(WORDS)[..] {
                [_, inputs] if inputs != width || site.name("norm.weight").is_none() => None,
                [features, _] if is_data2vec(listing) && features == width => Some(Self::Features),
                [words @ 2..=MOST_WORDS, _] => Some(Self::Words(words)),
                _ if is_only && sizes.patch.is_multiple_of(CELL) && layer(GRADIENTS) == [gradients(sizes), width] => Some(Self::Gradients),
                _ if outside.as_ref().is_some_and(|outside| shape(outside, "decoder.0.weight") == [pixels, width, 1, 1]) => {
                    Some(Self::Pixels)
                }
                _ => None,
            };
        }
        let usual = |own: usize| if own.is_multiple_of(sizes.heads) { sizes.heads } else { fitting(own, 32) };
        let transformer = Sites::of(listing, FIRST).and_then(|sites| DecoderSizes::of(&sites.raw, listing, "predictor", usual));
        transformer.filter(|_| !sizes.has_class_token && sizes.placed == Some(0)).map(Self::Blocks)
    }

    /// The transformer's sizes, if it is one.
    pub fn blocks(this: Option<&Self>) -> Option<&DecoderSizes> {
        match this {
            Some(Self::Blocks(sizes)) => Some(sizes),
            _ => None,
        }
    }

    fn take(&self, network: &mut Network<'_>, raw: &Site, sizes: &Sizes) {
        let (listing, ours, width, own) = (network.listing, network.ours, sizes.width, network.site);
        let plan = &mut *network.plan;
        let (name, outputs) = match self {
            Self::Words(count) => (WORDS, *count),
            Self::Features => (WORDS, width),
            Self::Gradients => (GRADIENTS, gradients(sizes)),
            Self::Pixels => {
                let has_layer = |site: &Site| site.name("decoder.0.weight").is_some();
                let Some(outside) = [own, raw].into_iter().filter_map(|site| outside(site, listing)).find(has_layer) else { return };
                return pixels(&mut Network { site: &outside, listing, ours, plan }, sizes);
            }
            Self::Blocks(decoder) => {
                let Some(sites) = Sites::of(listing, FIRST) else { return };
                return transformer(&mut Network { site: &sites.raw, listing, ours, plan }, sizes, decoder);
            }
        };
        let site = if own.name(&format!("{name}.weight")).is_some() { own } else { raw };
        Network { site, listing, ours, plan }.layer("decoder.pred", &[name], &[outputs, width]);
    }
}

/// Numbers of a patch's histograms: nine directions for each channel and cell.
fn gradients(sizes: &Sizes) -> usize {
    sizes.channels * 9 * (sizes.patch / CELL).pow(2)
}

/// What is beside an encoder that is called so, as SimMIM's is.
fn outside(site: &Site, listing: &Listing) -> Option<Site> {
    site.prefix.strip_suffix("encoder.").map(|prefix| Site::new(prefix, listing))
}

fn pixels(network: &mut Network<'_>, sizes: &Sizes) {
    let (outputs, order) = (sizes.patch * sizes.patch * sizes.channels, unshuffled(1, sizes.patch, sizes.channels));
    let made = |name| Made::Reordered(name, order.clone());
    network.take("decoder.pred.weight", &["decoder.0.weight"], &[outputs, sizes.width], &[outputs, sizes.width, 1, 1], made);
    network.take("decoder.pred.bias", &["decoder.0.bias"], &[outputs], &[outputs], made);
}

fn transformer(network: &mut Network<'_>, sizes: &Sizes, decoder: &DecoderSizes) {
    let (width, [rows, cols]) = (decoder.width, sizes.grid);
    network.copy("decoder.mask_token", &["mask_token"], &[1, 1, width]);
    let (table, there) = ([1, 1 + rows * cols, width], [1, rows * cols, width]);
    network.take("decoder.pos_embed", &["predictor_pos_embed"], &table, &there, Made::WithoutClass);
    network.layer("decoder.embed", &["predictor_embed"], &[width, sizes.width]);
    network.layer("decoder.norm", &["predictor_norm"], &[width]);
    network.layer("decoder.pred", &["predictor_proj"], &[sizes.width, width]);
    blocks(network, "decoder.blocks", "predictor_blocks", [decoder.depth, width, decoder.hidden]);
}
