//! timm's names and layouts, and the `config.json` by which `timm.create_model("local-dir:…")` makes the network again.

use serde_json::{Map, Value, json};

use super::Made;
use super::card::Library;
use super::renaming::{BlockNames, Qkv, Renaming, hidden};
use super::source::Source;
use crate::backbone::block::Activation;
use crate::backbone::encoder::EncoderConfig;
use crate::backbone::linear::LayerNorm;
use crate::backbone::relative_position::RelativePositions;
use crate::backbone::resnet::{ResNetConfig, Stem};
use crate::backbone::swin::SwinConfig;
use crate::backbone::vit::{Positions, Relative, VitConfig};
use crate::backbone::window::side_within;
use crate::error::{Error, Result};
use crate::weights::hugging_face::exact_ratio;

/// The name of the settings' file.
pub(super) const CONFIG: &str = "config.json";

/// A network of timm's that computes the same.
struct Model {
    /// A name that timm knows, of a network of the same make.
    architecture: &'static str,
    /// What makes it one of these sizes.
    arguments: Map<String, Value>,
    /// The layers that images enter and classes leave.
    ends: [&'static str; 2],
    /// Images have one size.
    is_for_one_size: bool,
}

const BLOCK: BlockNames =
    BlockNames { norms: ["norm1", "norm2"], proj: "attn.proj", mlp: ["mlp.fc1", "mlp.fc2"], qkv: Qkv::Stacked("attn.qkv") };
const BEIT_BLOCK: BlockNames = BlockNames { qkv: Qkv::WithoutKeyBias("attn.qkv", ["attn.q_bias", "attn.v_bias"]), ..BLOCK };

/// The encoder as timm has it.
///
/// # Errors
/// If timm has no such network, or tensors are missing.
pub(super) fn made(mut source: Source<'_>) -> Result<Made> {
    source.note_encoder_alone("timm has encoders alone");
    let mut renaming = Renaming::new(std::mem::take(&mut source.tensors));
    // timm takes a file with a mask token for one of DINOv2's own.
    renaming.leave("mask_token");
    let [height, width] = source.recipe.data.image;
    let image = if height == width { height.to_string() } else { format!("{height},{width}") };
    // Shapes tell neither this nor the number of heads to who reads the file without its settings.
    let mut metadata = vec![("format", "pt".to_owned()), ("img_size", image)];
    let mut eps = LayerNorm::EPS;
    let model = match &source.encoder {
        EncoderConfig::Vit(vit) => {
            refuse_strange(vit)?;
            metadata.push(("num_heads", vit.heads.to_string()));
            eps = vit.eps;
            if vit.relative == Relative::Absent { plain(vit, &mut renaming) } else { beit(vit, &mut renaming, &mut source.notes) }
        }
        EncoderConfig::Swin(sizes) => swin(sizes, &mut renaming)?,
        EncoderConfig::ResNet(sizes) => resnet(sizes, &mut renaming)?,
        EncoderConfig::Pvt(_) => {
            return Err(refused("timm has no PVT but those of the second version, which compute something else"));
        }
    };
    let has_other_eps = (eps / LayerNorm::EPS - 1.0).abs() > 1e-6;
    if has_other_eps {
        source.notes.push(format!(
            "its norms add {eps:e} to the variance, and timm's add {:e} unless told otherwise: pass \
             norm_layer=functools.partial(torch.nn.LayerNorm, eps={eps:e}) to timm.create_model",
            LayerNorm::EPS
        ));
    }
    let renamed = renaming.end(source.path)?;
    let config = config(&source, &model);
    Ok(Made {
        metadata: metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        texts: vec![(CONFIG, pretty(&config))],
        library: Library { name: "timm", code: code(&source, has_other_eps.then_some(eps)) },
        notes: source.notes,
        ..Made::of(renamed)
    })
}

/// Refuses what timm's classes compute otherwise, or name otherwise.
fn refuse_strange(vit: &VitConfig) -> Result<()> {
    let is_beit = vit.relative != Relative::Absent;
    match (vit.positions, vit.activation) {
        (Positions::Rotary, _) => Err(refused("Maskroom writes no transformers with rotary positions for timm")),
        (_, Activation::GeGlu) => Err(refused("timm's plain transformers have no gate with a GELU")),
        _ if is_beit && vit.registers > 0 => Err(refused("timm's BEiT has no registers")),
        (_, Activation::SwiGlu) if is_beit => Err(refused("Maskroom writes no gates beside relative positions for timm")),
        _ => Ok(()),
    }
}

fn refused(why: &str) -> Error {
    Error::Usage(format!("{why}: use --format onnx, or maskroom"))
}

/// JSON as people read it.
pub(super) fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// A plain transformer. Registers have no position, and so one of zeros there.
fn plain(vit: &VitConfig, renaming: &mut Renaming) -> Model {
    let &VitConfig { width, registers, grid: [rows, cols], .. } = vit;
    let (positions, there) = (1 + rows * cols, 1 + registers + rows * cols);
    if vit.has_class_token {
        renaming.made("pos_embed", "pos_embed", &[1, positions, width], &[1, there, width], |mut table| {
            table.splice(width..width, std::iter::repeat_n(0.0, registers * width));
            table
        });
    } else {
        renaming.without_first("pos_embed", "pos_embed", [positions, width]);
    }
    if registers > 0 {
        renaming.copy("reg_token", "reg_token", &[1, registers, width]);
    }
    common(vit, renaming, &BLOCK, ["ls1.gamma", "ls2.gamma"]);
    let mut arguments = arguments_of(vit);
    arguments.insert("class_token".into(), json!(vit.has_class_token));
    if !vit.has_class_token {
        // The norm stays before the mean.
        arguments.insert("global_pool".into(), json!("avg"));
        arguments.insert("fc_norm".into(), json!(false));
    }
    arguments.insert("reg_tokens".into(), json!(registers));
    arguments.insert("no_embed_class".into(), json!(false));
    arguments.insert("dynamic_img_size".into(), json!(true));
    let is_gated = vit.activation.is_gated();
    if is_gated {
        arguments.insert("mlp_ratio".into(), json!(exact_ratio(2 * hidden(width, vit.mlp_ratio), width)));
    }
    if vit.layer_scale > 0.0 || is_gated {
        // Nothing at all would mean what the named network has.
        arguments.insert("init_values".into(), json!(vit.layer_scale.max(0.0)));
    }
    // Settings cannot name a gate, but a network that has one.
    let architecture = if is_gated { "vit_giant_patch14_dinov2" } else { "vit_base_patch16_224" };
    Model { architecture, arguments, ends: ["patch_embed.proj", "head"], is_for_one_size: true }
}

/// A transformer with relative positions.
fn beit(vit: &VitConfig, renaming: &mut Renaming, notes: &mut Vec<String>) -> Model {
    const TABLE: &str = "relative_position_bias_table";
    let &VitConfig { width, grid: [rows, cols], .. } = vit;
    if vit.positions == Positions::Absent {
        renaming.leave("pos_embed");
    } else {
        renaming.copy("pos_embed", "pos_embed", &[1, 1 + rows * cols, width]);
    }
    let table = [(2 * rows - 1) * (2 * cols - 1) + 3, vit.heads];
    match vit.relative {
        Relative::Shared => renaming.copy(&format!("rel_pos_bias.{TABLE}"), &format!("rel_pos_bias.{TABLE}"), &table),
        _ => (0..vit.depth).for_each(|index| {
            let there = format!("blocks.{index}.attn.{TABLE}");
            renaming.copy(&format!("blocks.{index}.attn.rel_pos_bias.{TABLE}"), &there, &table);
        }),
    }
    common(vit, renaming, &BEIT_BLOCK, ["gamma_1", "gamma_2"]);
    if vit.key_bias {
        notes.push(KEY_BIAS.to_owned());
    }
    let mut arguments = arguments_of(vit);
    // Nothing at all would mean what the named network has.
    arguments.insert("init_values".into(), json!(vit.layer_scale.max(0.0)));
    arguments.insert("use_abs_pos_emb".into(), json!(vit.positions != Positions::Absent));
    arguments.insert("use_rel_pos_bias".into(), json!(vit.relative == Relative::Own));
    arguments.insert("use_shared_rel_pos_bias".into(), json!(vit.relative == Relative::Shared));
    Model { architecture: "beit_base_patch16_224", arguments, ends: ["patch_embed.proj", "head"], is_for_one_size: true }
}

/// Why keys can do without a bias.
pub(super) const KEY_BIAS: &str =
    "the bias of keys stays behind: it raises all scores of a query alike, so that attention is the same without it";

/// What all plain transformers have.
fn common(vit: &VitConfig, renaming: &mut Renaming, names: &BlockNames, scales: [&str; 2]) {
    let &VitConfig { width, channels, patch, .. } = vit;
    if vit.has_class_token {
        renaming.copy("cls_token", "cls_token", &[1, 1, width]);
    }
    renaming.layer("patch_embed.proj", "patch_embed.proj", &[width, channels, patch, patch]);
    renaming.norm("norm", "norm", width);
    for index in 0..vit.depth {
        let block = format!("blocks.{index}");
        renaming.block(&block, &block, names, [width, hidden(width, vit.mlp_ratio)], vit.activation.is_gated());
        for (ours, theirs) in ["ls1.gamma", "ls2.gamma"].into_iter().zip(scales).filter(|_| vit.layer_scale > 0.0) {
            renaming.copy(&format!("{block}.{ours}"), &format!("{block}.{theirs}"), &[width]);
        }
    }
}

fn arguments_of(vit: &VitConfig) -> Map<String, Value> {
    object(json!({
        "img_size": vit.grid.map(|side| side * vit.patch),
        "patch_size": vit.patch,
        "in_chans": vit.channels,
        "embed_dim": vit.width,
        "depth": vit.depth,
        "num_heads": vit.heads,
        "mlp_ratio": vit.mlp_ratio,
        "qkv_bias": true,
        "global_pool": "token",
    }))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn swin(swin: &SwinConfig, renaming: &mut Renaming) -> Result<Model> {
    if swin.positions == RelativePositions::Network {
        return Err(refused("timm's Swin has a table of relative positions, and this one has a network"));
    }
    // timm bounds a window by either side of the map, Maskroom by the shorter one.
    if swin.grids().iter().any(|&[rows, cols]| rows != cols && rows.min(cols) <= swin.window) {
        return Err(refused("timm cuts maps that are no larger than a window and not square into other windows"));
    }
    let width = swin.width;
    renaming.layer("patch_embed.proj", "patch_embed.proj", &[width, swin.channels, swin.patch, swin.patch]);
    renaming.norm("patch_embed.norm", "patch_embed.norm", width);
    renaming.norm("norm", "norm", swin.last_width());
    for (stage, ((&depth, &heads), grid)) in swin.depths.iter().zip(&swin.heads).zip(swin.grids()).enumerate() {
        let width = width << stage;
        if stage > 0 {
            let downsample = format!("layers.{stage}.downsample");
            renaming.norm(&format!("{downsample}.norm"), &format!("{downsample}.norm"), 2 * width);
            let reduction = format!("{downsample}.reduction.weight");
            renaming.copy(&reduction, &reduction, &[width, 2 * width]);
        }
        let reach = 2 * side_within(grid, swin.window) - 1;
        for index in 0..depth {
            let block = format!("layers.{stage}.blocks.{index}");
            renaming.block(&block, &block, &BLOCK, [width, hidden(width, swin.mlp_ratio)], false);
            let table = format!("{block}.attn.relative_position_bias_table");
            renaming.copy(&table, &table, &[reach * reach, heads]);
        }
    }
    let arguments = object(json!({
        "img_size": swin.grid.map(|side| side * swin.patch),
        "patch_size": swin.patch,
        "in_chans": swin.channels,
        "embed_dim": width,
        "depths": swin.depths,
        "num_heads": swin.heads,
        "window_size": swin.window,
        "mlp_ratio": swin.mlp_ratio,
        "drop_path_rate": 0.0,
        "global_pool": "avg",
    }));
    Ok(Model { architecture: "swin_tiny_patch4_window7_224", arguments, ends: ["patch_embed.proj", "head.fc"], is_for_one_size: true })
}

fn resnet(resnet: &ResNetConfig, renaming: &mut Renaming) -> Result<Model> {
    const WIDTH: usize = 64;
    if resnet.stem != Stem::Large || resnet.width != WIDTH {
        return Err(refused(
            "timm's residual networks begin with a convolution of 7x7 to 64 channels, and this one is made for small images or of another \
             width",
        ));
    }
    each_convolution(resnet, |[conv, norm], shape, _| convolution(renaming, [conv, norm], [conv, norm], shape));
    let arguments = object(json!({
        "layers": resnet.depths,
        "in_chans": resnet.channels,
        "base_width": WIDTH * if resnet.bottleneck { resnet.inner } else { 1 },
        "global_pool": "avg",
    }));
    let architecture = if resnet.bottleneck { "resnet50" } else { "resnet18" };
    Ok(Model { architecture, arguments, ends: ["conv1", "fc"], is_for_one_size: false })
}

/// Where a convolution of a residual network stands.
pub(super) enum At {
    /// Before all stages.
    Stem,
    /// In a stage's block, counted.
    Block([usize; 3]),
    /// Beside a stage's block.
    Shortcut([usize; 2]),
}

/// Shows every convolution's name and its norm's, its shape, and where it stands.
pub(super) fn each_convolution(resnet: &ResNetConfig, mut see: impl FnMut([&str; 2], [usize; 4], At)) {
    let stem = if resnet.stem == Stem::Large { 7 } else { 3 };
    see(["conv1", "bn1"], [resnet.width, resnet.channels, stem, stem], At::Stem);
    let mut before = resnet.width;
    for (stage, &depth) in resnet.depths.iter().enumerate() {
        for index in 0..depth {
            let (convolutions, shortcut) = resnet.convolutions([stage, index, before], [1, 1]);
            let block = format!("layer{}.{index}", stage + 1);
            for (place, ([inputs, outputs], window)) in convolutions.into_iter().enumerate() {
                let names = ["conv", "bn"].map(|part| format!("{block}.{part}{}", place + 1));
                see([&names[0], &names[1]], [outputs, inputs, window.side, window.side], At::Block([stage, index, place]));
            }
            if let Some(([inputs, outputs], window)) = shortcut {
                let names = [0, 1].map(|part| format!("{block}.downsample.{part}"));
                see([&names[0], &names[1]], [outputs, inputs, window.side, window.side], At::Shortcut([stage, index]));
            }
            before = resnet.width_of_stage(stage);
        }
    }
}

/// A convolution and the norm of batches after it, with the counter that PyTorch's has.
pub(super) fn convolution(renaming: &mut Renaming, ours: [&str; 2], theirs: [&str; 2], shape: [usize; 4]) {
    renaming.copy(&format!("{}.weight", ours[0]), &format!("{}.weight", theirs[0]), &shape);
    for part in ["weight", "bias", "running_mean", "running_var"] {
        renaming.copy(&format!("{}.{part}", ours[1]), &format!("{}.{part}", theirs[1]), &shape[..1]);
    }
    renaming.count(format!("{}.num_batches_tracked", theirs[1]));
}

/// The file by which timm makes the network.
fn config(source: &Source<'_>, model: &Model) -> Value {
    let [height, width] = source.recipe.data.image;
    let ([mean, std], channels) = (source.normalization(), source.encoder.channels());
    let mut pretrained = object(json!({
        "tag": "maskroom",
        "custom_load": false,
        "input_size": [channels, height, width],
        "fixed_input_size": model.is_for_one_size,
        "interpolation": "bicubic",
        "crop_pct": 1.0,
        "crop_mode": "center",
        "mean": mean,
        "std": std,
        "num_classes": 0,
        "classifier": model.ends[1],
    }));
    // timm would fit a first layer that it knows to the number of channels, from three.
    if channels == 3 {
        pretrained.insert("first_conv".into(), json!(model.ends[0]));
    }
    json!({
        "architecture": model.architecture,
        "num_classes": 0,
        "num_features": source.encoder.last_width(),
        "global_pool": model.arguments["global_pool"],
        "model_args": model.arguments,
        "pretrained_cfg": pretrained,
    })
}

/// How it is loaded.
fn code(source: &Source<'_>, eps: Option<f64>) -> String {
    let [height, width] = source.recipe.data.image;
    let channels = source.encoder.channels();
    let (imports, norm) = match eps {
        Some(eps) => ("import functools\n", format!(", norm_layer=functools.partial(torch.nn.LayerNorm, eps={eps:e})")),
        None => ("", String::new()),
    };
    format!(
        "{imports}import timm, torch\n\nmodel = timm.create_model(\"local-dir:PATH\", pretrained=True{norm}).eval()\n\
         data = timm.data.resolve_model_data_config(model)\ntransform = timm.data.create_transform(**data, is_training=False)\n\
         images = torch.zeros(1, {channels}, {height}, {width})  # torch.stack([transform(image), …])\n\
         features = model.forward_features(images)"
    )
}
