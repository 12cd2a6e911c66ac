//! Pyramids that are not understood, and what is said of them.

use super::tests::{Shapes, inspected, pvt, swin};

#[track_caller]
fn refused(shapes: Shapes, words: &[&str]) {
    let Err(error) = inspected("x.pth", shapes, &[]) else { panic!("{words:?} is not refused") };
    let message = error.to_string();
    let missing: Vec<_> = words.iter().filter(|word| !message.contains(**word)).collect();
    assert!(missing.is_empty() && error.exit_status() == 3, "{missing:?} not in: {message}");
}

fn with(mut shapes: Shapes, name: &str, shape: &[usize]) -> Shapes {
    shapes.insert(name.into(), shape.to_vec());
    shapes
}

fn without(mut shapes: Shapes, name: &str) -> Shapes {
    shapes.remove(name).unwrap();
    shapes
}

fn tiny() -> Shapes {
    swin("", 96, &[2, 2, 6, 2], 3, &[7; 4])
}

#[test]
fn other_swins_are_refused_with_what_they_are() {
    refused(with(tiny(), "layers.0.blocks.0.attn.logit_scale", &[3, 1, 1]), &["Swin v2"]);
    refused(with(tiny(), "layers.0.blocks.0.attn.cpb_mlp.0.weight", &[512, 2]), &["Swin v2"]);
    refused(with(tiny(), "absolute_pos_embed", &[1, 3136, 96]), &["absolute positions"]);
    refused(with(tiny(), "layers.1.blocks.0.attn.q_norm.weight", &[32]), &["q_norm.weight is unknown"]);
    refused(with(tiny(), "layers.3.downsample.norm.weight", &[3072]), &["layers.3.downsample.norm.weight is unknown"]);
    refused(with(tiny(), "mask_token", &[1, 1, 95]), &["mask_token is [1, 1, 95]"]);
    let table = "layers.2.blocks.0.attn.relative_position_bias_table";
    refused(without(tiny(), table), &[table, "UM-MAE"]);
    refused(with(tiny(), table, &[170, 12]), &["no square window"]);
    refused(with(tiny(), table, &[144, 12]), &["no square window"]);
    refused(with(tiny(), table, &[usize::MAX, 12]), &["no square window"]);
    refused(with(tiny(), table, &[225, 12]), &["[7, 7, 8, 7] tokens a side"]);
    refused(without(tiny(), "layers.2.blocks.5.mlp.fc2.bias"), &["layers.2.blocks.5.mlp.fc2.bias is missing", "MAE, DINO"]);
    refused(without(tiny(), "layers.0.downsample.reduction.weight"), &["layers.0.downsample.reduction.weight is missing"]);
    refused(without(tiny(), "patch_embed.norm.bias"), &["patch_embed.norm.bias is missing"]);
    refused(with(tiny(), "patch_embed.proj.weight", &[96, 3, 4, 8]), &["[width, channels, patch, patch]"]);
    refused(with(tiny(), "layers.99999999.blocks.0.norm1.weight", &[1]), &["layers.4.blocks.0"]);
    refused(with(tiny(), "layers.0.blocks.99999999.norm1.weight", &[96]), &["layers.0.blocks.2.norm1.weight is missing"]);
    // Wider images are not square, and their windows may not be.
    refused(swin("", 96, &[2, 2], 3, &[3, 7]), &["[3, 7] tokens a side"]);
    refused(swin("", 96, &[1; 9], 3, &[7; 9]), &["9 stages"]);
    refused(swin("", 1 << 14, &[1, 1], 3, &[7; 2]), &["width of 32768"]);
    let coarse = with(swin("", 4096, &[1; 3], 4, &[2; 3]), "patch_embed.proj.weight", &[4096, 3, 256, 256]);
    refused(coarse, &["1024x1024 px"]);
}

#[test]
fn other_pvts_are_refused_with_what_they_are() {
    let small = || pvt("", [3, 4, 6, 3]);
    refused(with(small(), "block1.0.mlp.dwconv.dwconv.weight", &[512, 1, 3, 3]), &["PVT v2"]);
    refused(
        Shapes::from([
            ("patch_embed.proj.weight".into(), vec![64, 3, 7, 7]),
            ("stages.0.blocks.0.mlp.dwconv.weight".into(), vec![512, 1, 3, 3]),
        ]),
        &["PVT v2"],
    );
    refused(without(small(), "pos_embed1"), &["positions must be tables"]);
    refused(without(small(), "pos_embed3"), &["pos_embed3 is missing"]);
    refused(with(small(), "pos_embed1", &[1, 3137, 64]), &["3137 places"]);
    refused(with(small(), "pos_embed1", &[1, usize::MAX, 64]), &["places"]);
    refused(with(small(), "pos_embed2", &[1, 785, 128]), &["[1, 785, 128] instead of [1, 784, 128]"]);
    refused(with(small(), "cls_token", &[1, 512]), &["cls_token is [1, 512]"]);
    refused(with(small(), "block1.0.attn.sr.weight", &[64, 64, 8, 4]), &["reduces no squares"]);
    refused(with(small(), "block1.1.attn.sr.weight", &[64, 64, 4, 4]), &["block1.1.attn.sr.weight is [64, 64, 4, 4]"]);
    refused(with(small(), "block2.4.norm1.weight", &[128]), &["block2.4.norm1.bias is missing"]);
    refused(with(small(), "block4.0.attn.sr.bias", &[512]), &["block4.0.attn.sr.bias is unknown"]);
    refused(without(small(), "block3.0.mlp.fc1.weight"), &["block3.0.mlp.fc1.weight"]);
    refused(with(small(), "patch_embed1.proj.weight", &[64, 3, 7, 4]), &["[width, channels, patch, patch]"]);
    refused(with(small(), "patch_embed2.proj.weight", &[128, 64, 3, 3]), &["[128, 64, 3, 3] instead of [128, 64, 2, 2]"]);
    // Means of squares in every stage leave no trace of their sides.
    let mut means = small();
    means.retain(|name, _| !name.contains(".attn.sr."));
    for index in 0..3 {
        means.extend(["weight", "bias"].map(|kind| (format!("block4.{index}.attn.norm.{kind}"), vec![512])));
    }
    refused(means, &["whose sides nothing tells"]);
}
