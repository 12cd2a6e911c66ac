//! From names of plain transformers, and of MAE's decoder, to Maskroom's.

use super::super::listing::Listing;
use super::super::plan::{Made, Network, Plan};
use super::super::site::Sites;
use super::sizes::{DecoderSizes, Sizes};

/// Parts of an encoder: what is left over of them is computed by the network that the file is of, and by none here.
const PARTS: [&str; 7] = ["blocks.", "patch_embed.", "norm", "cls_token", "pos_", "attn_pool", "decoder_"];

/// The encoders of all networks of a file, and MAE's decoder.
pub(super) fn plan(sites: &Sites, sizes: &Sizes, listing: &Listing) -> Plan {
    let mut plan = Plan::default();
    for (site, ours) in sites.each() {
        let mut network = Network { site, listing, ours, plan: &mut plan };
        encoder(&mut network, sizes);
        if let (Some(decoder), "") = (&sizes.decoder, ours) {
            decoder(&mut network, sizes, decoder);
        }
        network.refuse_strangers(&PARTS);
    }
    plan
}

fn blocks(network: &mut Network<'_>, ours: &str, theirs: &str, [depth, width, hidden]: [usize; 3]) {
    for index in 0..depth {
        let (ours, theirs) = (format!("{ours}.{index}"), format!("{theirs}.{index}"));
        let parts: [(&str, &[usize]); 5] = [
            ("norm1", &[width]),
            ("norm2", &[width]),
            ("attn.proj", &[width, width]),
            ("mlp.fc1", &[hidden, width]),
            ("mlp.fc2", &[width, hidden]),
        ];
        for (part, shape) in parts {
            network.layer(&format!("{ours}.{part}"), &[&format!("{theirs}.{part}")], shape);
        }
        network.copy(&format!("{ours}.attn.qkv.weight"), &[&format!("{theirs}.attn.qkv.weight")], &[3 * width, width]);
        let bias = format!("{theirs}.attn.qkv.bias");
        if network.site.name(&bias).is_some() {
            network.copy(&format!("{ours}.attn.qkv.bias"), &[&bias], &[3 * width]);
        } else {
            network.plan.take(format!("{}{ours}.attn.qkv.bias", network.ours), vec![3 * width], Made::Zeros);
        }
    }
}

fn encoder(network: &mut Network<'_>, sizes: &Sizes) {
    let &Sizes { width, patch, channels, depth, hidden, registers, placed, grid: [rows, cols], .. } = sizes;
    network.layer("patch_embed.proj", &["patch_embed.proj"], &[width, channels, patch, patch]);
    // Networks that were trained on to tell classes may have a norm behind the mean of patches instead.
    network.layer("norm", &["norm", "fc_norm"], &[width]);
    network.copy("cls_token", &["cls_token"], &[1, 1, width]);
    let (table, there) = ([1, 1 + rows * cols, width], [1, placed + rows * cols, width]);
    match (placed, network.site.name("dist_token").cloned(), network.site.name("pos_embed").cloned()) {
        (0, ..) => network.take("pos_embed", &["pos_embed"], &table, &there, Made::WithoutClass),
        (2, Some(_), Some(positions)) => {
            network.take("pos_embed", &["pos_embed"], &table, &there, Made::WithoutDistilled);
            let token = [1, 1, width];
            network.take("reg_token", &["dist_token"], &token, &token, |name| Made::Distilled(name, positions));
        }
        _ => network.take("pos_embed", &["pos_embed"], &table, &there, Made::Copied),
    }
    if registers > 0 && placed != 2 {
        network.copy("reg_token", &["register_tokens", "reg_token"], &[1, registers, width]);
    }
    blocks(network, "blocks", "blocks", [depth, width, hidden]);
    for (index, names) in (0..depth).flat_map(|index| sizes.layer_scale.map(|names| (index, names))) {
        for (ours, theirs) in ["ls1.gamma", "ls2.gamma"].into_iter().zip(names) {
            network.copy(&format!("blocks.{index}.{ours}"), &[&format!("blocks.{index}.{theirs}")], &[width]);
        }
    }
}

/// MAE's.
fn decoder(network: &mut Network<'_>, sizes: &Sizes, decoder: &DecoderSizes) {
    let (width, [rows, cols]) = (decoder.width, sizes.grid);
    network.copy("decoder.mask_token", &["mask_token"], &[1, 1, width]);
    network.copy("decoder.pos_embed", &["decoder_pos_embed"], &[1, 1 + rows * cols, width]);
    network.layer("decoder.embed", &["decoder_embed"], &[width, sizes.width]);
    network.layer("decoder.norm", &["decoder_norm"], &[width]);
    network.layer("decoder.pred", &["decoder_pred"], &[sizes.patch * sizes.patch * sizes.channels, width]);
    blocks(network, "decoder.blocks", "decoder_blocks", [decoder.depth, width, decoder.hidden]);
}
