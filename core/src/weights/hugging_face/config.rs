//! From `config.json` to a recipe: which method and network it describes, and a refusal of what Maskroom computes otherwise.

mod dino;
mod pvt;

use std::path::Path;

use serde_json::Value;

use super::fields::Fields;
use super::normalization::{self, HALF, IMAGENET};
use crate::backbone::swin;
use crate::error::{Error, Problem, Result};
use crate::recipe::{Base, Recipe};

/// The file's name.
pub(super) const FILE: &str = "config.json";

/// What a folder's settings say.
pub(super) struct Model {
    /// What would train such a network here.
    pub recipe: Recipe,
    /// The model's class.
    pub architecture: &'static Architecture,
    /// Whether queries, keys and values have a bias.
    pub bias: [bool; 3],
    /// Whether what ends attention has a bias, and whether the layers of MLPs have.
    pub branch_bias: [bool; 2],
    /// What the norm after the last block is called.
    pub last_norm: &'static str,
}

/// A class of models that can be read.
#[derive(Debug)]
pub(super) struct Architecture {
    /// As `architectures` names it.
    pub name: &'static str,
    pub family: Family,
    pub head: Head,
}

/// Models with one kind of encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Vit,
    VitMae,
    /// BEiT, and data2vec, whose network is the same.
    Beit,
    IJepa,
    Swin,
    Pvt,
    /// Both kinds have a name and a code of their own.
    Dinov2 {
        registers: bool,
    },
    Dinov3,
}

/// What is put on the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    /// Nothing that predicts patches.
    Absent,
    /// MAE's small transformer.
    Decoder,
    /// A convolution of size 1 to pixels, and a shuffle of channels to places.
    Pixels,
    /// A linear layer to classes.
    Classes,
}

const fn class(name: &'static str, family: Family, head: Head) -> Architecture {
    Architecture { name, family, head }
}

const DINOV2: Family = Family::Dinov2 { registers: false };
const DINOV2_WITH_REGISTERS: Family = Family::Dinov2 { registers: true };

const ARCHITECTURES: [Architecture; 25] = [
    class("ViTMAEForPreTraining", Family::VitMae, Head::Decoder),
    class("ViTMAEModel", Family::VitMae, Head::Absent),
    class("ViTForMaskedImageModeling", Family::Vit, Head::Pixels),
    class("ViTModel", Family::Vit, Head::Absent),
    class("ViTForImageClassification", Family::Vit, Head::Absent),
    class("BeitForMaskedImageModeling", Family::Beit, Head::Classes),
    class("BeitModel", Family::Beit, Head::Absent),
    class("BeitForImageClassification", Family::Beit, Head::Absent),
    class("Data2VecVisionModel", Family::Beit, Head::Absent),
    class("Data2VecVisionForImageClassification", Family::Beit, Head::Absent),
    class("IJepaModel", Family::IJepa, Head::Absent),
    class("IJepaForImageClassification", Family::IJepa, Head::Absent),
    class("SwinForMaskedImageModeling", Family::Swin, Head::Pixels),
    class("SwinModel", Family::Swin, Head::Absent),
    class("SwinForImageClassification", Family::Swin, Head::Absent),
    class("PvtModel", Family::Pvt, Head::Absent),
    class("PvtForImageClassification", Family::Pvt, Head::Absent),
    class("Dinov2Model", DINOV2, Head::Absent),
    class("Dinov2Backbone", DINOV2, Head::Absent),
    class("Dinov2ForImageClassification", DINOV2, Head::Absent),
    class("Dinov2WithRegistersModel", DINOV2_WITH_REGISTERS, Head::Absent),
    class("Dinov2WithRegistersBackbone", DINOV2_WITH_REGISTERS, Head::Absent),
    class("Dinov2WithRegistersForImageClassification", DINOV2_WITH_REGISTERS, Head::Absent),
    class("DINOv3ViTModel", Family::Dinov3, Head::Absent),
    class("DINOv3ViTBackbone", Family::Dinov3, Head::Absent),
];

impl Model {
    /// Nothing of it predicts patches.
    pub fn has_no_head(&self) -> bool {
        self.architecture.head == Head::Absent
    }
}

/// Settings of a recipe.
type Sets = Vec<(String, String)>;

fn set(sets: &mut Sets, key: &str, value: &impl ToString) {
    sets.push((key.to_owned(), value.to_string()));
}

/// Reads a folder's settings.
///
/// # Errors
/// [`Error::Data`] naming the field that is missing, wrong or not supported.
pub(super) fn read(folder: &Path) -> Result<Model> {
    let path = folder.join(FILE);
    let fields = Fields::read(&path)?;
    of_settings(&path, &fields, settings(folder, &fields)?)
}

/// What fields say, before anybody asks whether there can be such a network.
pub(super) struct Settings {
    architecture: &'static Architecture,
    method: &'static str,
    bias: [bool; 3],
    branch_bias: [bool; 2],
    last_norm: &'static str,
    sets: Sets,
}

/// Reads the fields of a folder's file.
///
/// # Errors
/// As [`read`].
pub(super) fn settings(folder: &Path, fields: &Fields) -> Result<Settings> {
    let architecture = architecture(fields)?;
    let activation = dino::activation(fields, architecture.family)?;
    let mut sets = Sets::new();
    let images = images(folder, fields, architecture.family, &mut sets)?;
    let (method, bias) = match architecture.family {
        Family::Swin => {
            swin(fields, images, &mut sets)?;
            ("simmim", [fields.flag_or("qkv_bias", true)?; 3])
        }
        Family::Pvt => {
            pvt::sizes(fields, &mut sets)?;
            ("simmim", [fields.flag_or("qkv_bias", true)?; 3])
        }
        Family::Vit => {
            plain(fields, images, &mut sets)?;
            set(&mut sets, "backbone.pos", &"learned");
            set(&mut sets, "backbone.relative", &"none");
            set(&mut sets, "backbone.layer_scale", &0);
            ("simmim", [fields.flag_or("qkv_bias", true)?; 3])
        }
        Family::IJepa => {
            plain(fields, images, &mut sets)?;
            set(&mut sets, "backbone.class_token", &false);
            set(&mut sets, "backbone.pos", &"learned");
            ("ijepa", [fields.flag_or("qkv_bias", true)?; 3])
        }
        Family::VitMae => {
            plain(fields, images, &mut sets)?;
            mae(fields, architecture.head, &mut sets)?;
            ("mae", [fields.flag_or("qkv_bias", true)?; 3])
        }
        Family::Beit => {
            plain(fields, images, &mut sets)?;
            (beit(fields, architecture.head, &mut sets)?, [true, false, true])
        }
        Family::Dinov2 { registers } => {
            dino::dinov2(fields, images, registers, &mut sets)?;
            ("dino", [fields.flag_or("qkv_bias", true)?; 3])
        }
        Family::Dinov3 => {
            dino::dinov3(fields, images, &mut sets)?;
            ("dino", [fields.flag_or("query_bias", true)?, fields.flag_or("key_bias", false)?, fields.flag_or("value_bias", true)?])
        }
    };
    let branch_bias = [fields.flag_or("proj_bias", true)?, fields.flag_or("mlp_bias", true)?];
    if !matches!(architecture.family, Family::Swin | Family::Pvt) {
        set(&mut sets, "backbone.mlp", &activation);
        set(&mut sets, "backbone.key_bias", &bias[1]);
    }
    Ok(Settings { architecture, method, bias, branch_bias, last_norm: last_norm(fields, architecture)?, sets })
}

/// The model that settings of the file at `path` describe.
///
/// # Errors
/// As [`read`].
pub(super) fn of_settings(path: &Path, fields: &Fields, settings: Settings) -> Result<Model> {
    let Settings { architecture, method, bias, branch_bias, last_norm, sets } = settings;
    let recipe = resolve(method, sets).map_err(|error| in_their_words(error, path, architecture.family))?;
    if architecture.head == Head::Pixels {
        check_stride(fields, recipe.backbone.patch << (recipe.backbone.num_stages() - 1))?;
    }
    Ok(Model { recipe, architecture, bias, branch_bias, last_norm })
}

/// How many classes a folder's classifier tells apart, as its `config.json` says without its weights; the library leaves out that it has two.
///
/// # Errors
/// If the model is no classifier.
pub(in crate::weights) fn num_classes(folder: &Path) -> Result<usize> {
    const USUAL: usize = 2;
    let fields = Fields::read(&folder.join(FILE))?;
    let architecture = architecture(&fields)?;
    // That of DINOv2 looks at the class token and at the mean of patches side by side, and says nothing of one.
    if !architecture.name.ends_with("ForImageClassification") || matches!(architecture.family, Family::Dinov2 { .. }) {
        let wanted = "a class of models for image classification by one feature";
        return Err(fields.misfit("architectures", fields.get("architectures"), wanted));
    }
    Ok(match (fields.get("id2label"), fields.get("num_labels").and_then(Value::as_u64)) {
        (Some(Value::Object(names)), _) => names.len(),
        (_, Some(count)) => count as usize,
        _ => USUAL,
    })
}

fn architecture(fields: &Fields) -> Result<&'static Architecture> {
    const KNOWN: &[Architecture] = &ARCHITECTURES;
    let name = match fields.get("architectures") {
        Some(Value::Array(list)) => list.first().and_then(Value::as_str),
        _ => None,
    };
    let wanted = || KNOWN.iter().map(|known| known.name).collect::<Vec<_>>().join(", ");
    name.and_then(|name| KNOWN.iter().find(|known| known.name == name))
        .ok_or_else(|| fields.misfit("architectures", fields.get("architectures"), &format!("a list with one of {}", wanted())))
}

/// The images that a model is for.
#[derive(Clone, Copy)]
struct Images {
    /// Height and width in pixels.
    sides: [usize; 2],
    /// Side of a patch in pixels.
    patch: usize,
}

fn images(folder: &Path, fields: &Fields, family: Family, sets: &mut Sets) -> Result<Images> {
    let sides = fields.sides("image_size", 8192)?;
    let patch = match family {
        Family::Pvt => [pvt::patch(fields)?; 2],
        _ => fields.sides("patch_size", 256)?,
    };
    let patch = match patch {
        [height, width] if height == width => height,
        _ => return Err(fields.misfit("patch_size", fields.get("patch_size"), "square")),
    };
    let channels = fields.count_or("num_channels", 3, 64)?;
    let usual = if matches!(family, Family::Vit | Family::Beit) { HALF } else { IMAGENET };
    let (mean, std) = normalization::read(folder, channels, usual)?;
    set(sets, "data.image", &format!("{sides:?}"));
    set(sets, "data.channels", &channels);
    set(sets, "data.mean", &format!("{mean:?}"));
    set(sets, "data.std", &format!("{std:?}"));
    set(sets, "backbone.preset", &"\"\"");
    set(sets, "backbone.patch", &patch);
    set(sets, "backbone.drop_path", &0);
    Ok(Images { sides, patch })
}

/// Pixels are predicted of whole images: of each token, those of the square that it stands for.
fn check_stride(fields: &Fields, predicted: usize) -> Result<()> {
    match fields.count("encoder_stride", 1 << 16)? {
        stride if stride == predicted => Ok(()),
        stride => {
            let why = format!("is {stride}, and a token of the last stage stands for a square of {predicted} px");
            Err(fields.refused("encoder_stride", why, "use a model whose prediction has the image's size"))
        }
    }
}

/// More numbers than this in a table of positions are none of a network that anybody trains.
const MOST_POSITIONS: usize = 1 << 26;

/// The sizes of a plain transformer.
fn plain(fields: &Fields, images: Images, sets: &mut Sets) -> Result<()> {
    let width = fields.count("hidden_size", 16_384)?;
    transformer(fields, images, width, mlp_ratio(fields, "intermediate_size", width)?, 1e-12, sets)
}

/// The same for one whose MLPs are told otherwise, and whose norms usually add `eps`.
fn transformer(fields: &Fields, images: Images, width: usize, mlp_ratio: f64, eps: f64, sets: &mut Sets) -> Result<()> {
    if images.sides.iter().map(|side| side / images.patch).product::<usize>() * width > MOST_POSITIONS {
        return Err(fields.refused("image_size", "gives more patches than a plain transformer can attend to", "use a smaller image"));
    }
    set(sets, "backbone.kind", &"vit");
    set(sets, "backbone.width", &width);
    set(sets, "backbone.depth", &fields.count("num_hidden_layers", 256)?);
    set(sets, "backbone.heads", &fields.count("num_attention_heads", 256)?);
    set(sets, "backbone.mlp_ratio", &mlp_ratio);
    set(sets, "backbone.eps", &fields.real_or("layer_norm_eps", eps, 1e-12..=1e-3)?);
    Ok(())
}

/// The ratio of the hidden width that `key` names.
fn mlp_ratio(fields: &Fields, key: &str, width: usize) -> Result<f64> {
    let hidden = fields.count(key, 16 * width)?;
    if 4 * hidden < width {
        return Err(fields.refused(key, format!("is {hidden}, less than a quarter of the width {width}"), "use a model of other sizes"));
    }
    Ok(exact_ratio(hidden, width))
}

/// The ratio that gives exactly the hidden width when it is multiplied by the width and truncated.
pub(in crate::weights) fn exact_ratio(hidden: usize, width: usize) -> f64 {
    let ratio = hidden as f64 / width as f64;
    if (width as f64 * ratio) as usize == hidden { ratio } else { (hidden as f64 + 0.5) / width as f64 }
}

fn mae(fields: &Fields, head: Head, sets: &mut Sets) -> Result<()> {
    set(sets, "backbone.pos", &"sincos");
    set(sets, "mask.ratio", &fields.real_or("mask_ratio", 0.75, 0.0..=1.0)?);
    set(sets, "target.norm_pix", &fields.flag_or("norm_pix_loss", false)?);
    if head == Head::Decoder {
        let width = fields.count("decoder_hidden_size", 16_384)?;
        set(sets, "decoder.width", &width);
        set(sets, "decoder.depth", &fields.count("decoder_num_hidden_layers", 256)?);
        set(sets, "decoder.heads", &fields.count("decoder_num_attention_heads", 256)?);
        set(sets, "decoder.mlp_ratio", &mlp_ratio(fields, "decoder_intermediate_size", width)?);
    }
    Ok(())
}

/// What BEiT has that other plain transformers have not. Gives the method.
fn beit(fields: &Fields, head: Head, sets: &mut Sets) -> Result<&'static str> {
    let own = fields.flag_or("use_relative_position_bias", false)?;
    let relative = match (own, fields.flag_or("use_shared_relative_position_bias", false)?) {
        (true, true) => {
            let why = "is true together with use_relative_position_bias, and Maskroom adds one kind of bias";
            return Err(fields.refused("use_shared_relative_position_bias", why, "use a model with one of the two"));
        }
        (true, false) => "own",
        (false, true) => "shared",
        (false, false) => "none",
    };
    let pos = if fields.flag_or("use_absolute_position_embeddings", false)? { "learned" } else { "none" };
    set(sets, "backbone.relative", &relative);
    set(sets, "backbone.pos", &pos);
    set(sets, "backbone.layer_scale", &fields.real_or("layer_scale_init_value", 0.1, -10.0..=10.0)?.max(0.0));
    if head != Head::Classes {
        return Ok("simmim");
    }
    if !fields.flag_or("use_mask_token", false)? {
        return Err(fields.refused(
            "use_mask_token",
            "is false, and nothing stands in hidden places",
            "use a model that was trained on masks",
        ));
    }
    set(sets, "target.codes", &fields.count("vocab_size", 65_536)?);
    Ok("beit")
}

/// The sizes of a Swin.
fn swin(fields: &Fields, images: Images, sets: &mut Sets) -> Result<()> {
    if fields.flag_or("use_absolute_embeddings", false)? {
        let why = "is true, and Maskroom's Swin has relative positions only";
        return Err(fields.refused("use_absolute_embeddings", why, "use a model without them"));
    }
    let eps = fields.real_or("layer_norm_eps", swin::EPS, 0.0..=1.0)?;
    if (eps / swin::EPS - 1.0).abs() > 1e-6 {
        let why = format!("is {eps:e}, and the norms of Maskroom's Swin add {:e}", swin::EPS);
        return Err(fields.refused("layer_norm_eps", why, "use a model with that"));
    }
    let (depths, heads) = (fields.counts("depths", 256)?, fields.counts("num_heads", 256)?);
    let window = fields.count("window_size", 256)?;
    let smallest = images.sides.map(|side| (side / images.patch) >> (depths.len() - 1));
    if smallest.iter().any(|&side| side < window) {
        let why = format!("is {window}, larger than the map of {}x{} tokens of the last stage", smallest[0], smallest[1]);
        return Err(fields.refused("window_size", why, "use a model whose windows fit its maps"));
    }
    set(sets, "backbone.kind", &"swin");
    set(sets, "backbone.width", &fields.count("embed_dim", 16_384 >> (depths.len() - 1))?);
    set(sets, "backbone.depths", &format!("{depths:?}"));
    set(sets, "backbone.heads", &format!("{heads:?}"));
    set(sets, "backbone.window", &window);
    set(sets, "backbone.mlp_ratio", &fields.real_or("mlp_ratio", 4.0, 0.25..=16.0)?);
    Ok(())
}

/// BEiT pools before the norm, has the norm in its head, or, with `use_mean_pooling` false, one like everybody's.
fn last_norm(fields: &Fields, architecture: &Architecture) -> Result<&'static str> {
    let pools_mean = architecture.family == Family::Beit && fields.flag_or("use_mean_pooling", true)?;
    match (architecture.family, architecture.head) {
        (Family::Beit, Head::Classes) if !pools_mean => {
            let why = "is false: the encoder ends with a norm and the head begins with another, and Maskroom's has one";
            Err(fields.refused("use_mean_pooling", why, "use a model with true there, as published ones have"))
        }
        (Family::Beit, Head::Absent) if pools_mean => Ok("pooler.layernorm"),
        (Family::Pvt, _) => Ok("encoder.layer_norm"),
        (Family::Dinov3, _) => Ok("norm"),
        _ => Ok("layernorm"),
    }
}

/// The method's recipe with these settings; where its mask does not fit so small an image, or the model's ratio hides nothing or
/// everything, with a random one.
///
/// # Errors
/// [`Error::Recipe`] if there can be none.
pub(in crate::weights) fn resolve(method: &str, sets: Sets) -> Result<Recipe> {
    let resolved = Recipe::resolve(Base::Preset(method), &sets);
    match &resolved {
        Err(Error::Recipe(problems)) if problems.iter().all(|problem| problem.key.starts_with("mask.")) => {
            let others = sets.into_iter().filter(|(key, _)| !key.starts_with("mask."));
            let random = [("mask.kind", "random"), ("mask.ratio", "0.75")].map(|(key, value)| (key.to_owned(), value.to_owned()));
            Recipe::resolve(Base::Preset(method), &others.chain(random).collect::<Vec<_>>())
        }
        _ => resolved,
    }
}

/// Problems of a recipe as problems of the fields that its settings came from.
fn in_their_words(error: Error, path: &Path, family: Family) -> Error {
    let Error::Recipe(problems) = error else { return error };
    let one = |Problem { key, what, .. }: &Problem| {
        let field = match (key.as_str(), family) {
            ("data.image" | "mask.ratio" | "mask.kind", _) => "image_size",
            ("data.channels", _) => "num_channels",
            ("data.mean" | "data.std", _) => "preprocessor_config.json",
            ("backbone.patch", Family::Pvt) => "patch_sizes",
            ("backbone.patch", _) => "patch_size",
            ("backbone.widths", _) => "hidden_sizes",
            ("backbone.reductions", _) => "sequence_reduction_ratios",
            ("backbone.width", Family::Swin) => "embed_dim",
            ("backbone.width", _) => "hidden_size",
            ("backbone.depth", _) => "num_hidden_layers",
            ("backbone.heads", Family::Swin) => "num_heads",
            ("backbone.heads", _) => "num_attention_heads",
            ("backbone.window", _) => "window_size",
            ("backbone.mlp_ratio", Family::Swin | Family::Dinov2 { .. }) => "mlp_ratio",
            ("backbone.mlp_ratio", _) => "intermediate_size",
            ("backbone.registers", _) => "num_register_tokens",
            ("backbone.rope_base", _) => "rope_theta",
            ("decoder.width", _) => "decoder_hidden_size",
            ("decoder.heads", _) => "decoder_num_attention_heads",
            ("decoder.mlp_ratio", _) => "decoder_intermediate_size",
            (key, _) => key.split_once('.').map_or(key, |(_, last)| last),
        };
        format!("{field}: {what}")
    };
    Error::data(path, problems.iter().map(one).collect::<Vec<_>>().join("; "), "use a model of other sizes")
}
