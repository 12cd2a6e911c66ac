//! From names of plain transformers, and of MAE's decoder, to Maskroom's.

use super::super::listing::Listing;
use super::super::plan::{Made, Network, Plan};
use super::super::site::Sites;
use super::sizes::{DecoderSizes, Mlp, SHARED, Sizes};
use crate::backbone::vit::Relative;

/// Parts of an encoder: what is left over of them is computed by the network that the file is of, and by none here.
const PARTS: [&str; 8] = ["blocks.", "patch_embed.", "norm", "cls_token", "pos_", "rel_pos", "attn_pool", "decoder_"];

/// The encoders of all networks of a file, and MAE's decoder.
pub(super) fn plan(sites: &Sites, sizes: &Sizes, listing: &Listing) -> Plan {
    let mut plan = Plan::default();
    for (site, ours) in sites.each() {
        let mut network = Network { site, listing, ours, plan: &mut plan };
        encoder(&mut network, sizes);
        if let (Some(sizes_of_decoder), true) = (&sizes.decoder, ours.is_empty() || site.name("decoder_embed.weight").is_some()) {
            decoder(&mut network, sizes, sizes_of_decoder);
        }
        network.refuse_strangers(&PARTS);
    }
    plan
}

/// Plain blocks.
pub(super) fn blocks(network: &mut Network<'_>, ours: &str, theirs: &str, sizes: [usize; 3]) {
    blocks_with(network, ours, theirs, Mlp::Plain, sizes);
}

fn blocks_with(network: &mut Network<'_>, ours: &str, theirs: &str, mlp: Mlp, [depth, width, hidden]: [usize; 3]) {
    for index in 0..depth {
        let (ours, theirs) = (format!("{ours}.{index}"), format!("{theirs}.{index}"));
        let parts: [(&str, &[usize]); 3] = [("norm1", &[width]), ("norm2", &[width]), ("attn.proj", &[width, width])];
        for (part, shape) in parts {
            network.layer(&format!("{ours}.{part}"), &[&format!("{theirs}.{part}")], shape);
        }
        network.copy(&format!("{ours}.attn.qkv.weight"), &[&format!("{theirs}.attn.qkv.weight")], &[3 * width, width]);
        qkv_bias(network, &ours, &theirs, width);
        layers(network, &format!("{ours}.mlp"), &format!("{theirs}.mlp"), mlp, [width, hidden]);
    }
}

/// Of queries, keys and values as one, of which DINOv3 masks some, or of queries and values as BEiT has them; without any, zeros.
fn qkv_bias(network: &mut Network<'_>, ours: &str, theirs: &str, width: usize) {
    let ours = format!("{ours}.attn.qkv.bias");
    let [all, mask, queries, values] = ["qkv.bias", "qkv.bias_mask", "q_bias", "v_bias"].map(|part| format!("{theirs}.attn.{part}"));
    let site = network.site;
    let has = |own: &str| site.name(own).is_some();
    if has(&mask) {
        if let (Some(all), Some(mask)) = (network.found(&all, &[3 * width]), network.found(&mask, &[3 * width])) {
            network.plan.take(format!("{}{ours}", network.ours), vec![3 * width], Made::Masked(all, mask));
        }
    } else if has(&all) {
        network.copy(&ours, &[&all], &[3 * width]);
    } else if has(&values) {
        network.stack(&ours, &[Some(&queries), None, Some(&values)], &[width]);
    } else {
        network.plan.take(format!("{}{ours}", network.ours), vec![3 * width], Made::Zeros);
    }
}

/// Those of an MLP; here the rows of a gate stand above those of what it lets through.
fn layers(network: &mut Network<'_>, ours: &str, theirs: &str, mlp: Mlp, [width, hidden]: [usize; 2]) {
    let (fc1, fc2) = (format!("{ours}.fc1"), format!("{ours}.fc2"));
    let (rows, [first, last]) = match mlp {
        Mlp::Plain => (hidden, ["fc1", "fc2"]),
        Mlp::Packed(names) => (2 * hidden, names),
        Mlp::Apart([gate, through, last]) => {
            for (kind, part) in [("weight", &[hidden, width][..]), ("bias", &[hidden])] {
                let [gate, through] = [gate, through].map(|name| format!("{theirs}.{name}.{kind}"));
                network.stack(&format!("{fc1}.{kind}"), &[Some(&gate), Some(&through)], part);
            }
            return network.layer(&fc2, &[&format!("{theirs}.{last}")], &[width, hidden]);
        }
    };
    network.layer(&fc1, &[&format!("{theirs}.{first}")], &[rows, width]);
    network.layer(&fc2, &[&format!("{theirs}.{last}")], &[width, hidden]);
}

fn encoder(network: &mut Network<'_>, sizes: &Sizes) {
    let &Sizes { width, patch, channels, depth, hidden, registers, placed, grid: [rows, cols], .. } = sizes;
    network.layer("patch_embed.proj", &["patch_embed.proj"], &[width, channels, patch, patch]);
    // Networks that were trained on to tell classes may have a norm behind the mean of patches instead, and MaskFeat's is the head's.
    network.layer("norm", &["norm", "fc_norm", "pred_head.transforms.0.0"], &[width]);
    if sizes.has_class_token {
        network.copy("cls_token", &["cls_token"], &[1, 1, width]);
    }
    let (table, there) = ([1, 1 + rows * cols, width], [1, placed.unwrap_or_default() + rows * cols, width]);
    let (names, tokens) = (["dist_token", "register_tokens", "reg_token", "storage_tokens"], [1, registers, width]);
    match (placed, network.site.name("pos_embed").cloned()) {
        (None, _) => network.plan.take(format!("{}pos_embed", network.ours), table.to_vec(), Made::Zeros),
        (Some(0), _) => network.take("pos_embed", &["pos_embed"], &table, &there, Made::WithoutClass),
        (Some(2..), Some(positions)) => {
            network.take("pos_embed", &["pos_embed"], &table, &there, Made::WithoutDistilled);
            network.take("reg_token", &names, &tokens, &tokens, |name| Made::Distilled(name, positions));
        }
        _ => network.take("pos_embed", &["pos_embed"], &table, &there, Made::Copied),
    }
    if registers > 0 && placed.unwrap_or_default() < 2 {
        network.copy("reg_token", &names, &tokens);
    }
    blocks_with(network, "blocks", "blocks", sizes.mlp, [depth, width, hidden]);
    let distances = [(2 * rows - 1) * (2 * cols - 1) + 3, sizes.heads];
    match sizes.relative {
        Relative::Absent => {}
        Relative::Shared => network.copy(SHARED, &[SHARED], &distances),
        Relative::Own => (0..depth).for_each(|index| {
            let (ours, theirs) = ("attn.rel_pos_bias.relative_position_bias_table", "attn.relative_position_bias_table");
            network.copy(&format!("blocks.{index}.{ours}"), &[&format!("blocks.{index}.{theirs}")], &distances);
        }),
    }
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
    if network.site.name("vis_mask_token").is_some() {
        network.copy("mask_token", &["vis_mask_token"], &[1, 1, sizes.width]);
    }
    blocks(network, "decoder.blocks", "decoder_blocks", [decoder.depth, width, decoder.hidden]);
}
