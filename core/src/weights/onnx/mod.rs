//! An encoder as an ONNX file: what leaves it, its usual summary of an image, and what its class token attends to. The graph is built from
//! the recipe's sizes in the operators of ONNX itself, computes in 32 bits, and takes pixels as they come: normalization is part of it.

mod again;
mod builder;
mod layers;
mod model;
mod pixels;
mod pvt;
#[cfg(test)]
mod reader;
mod resnet;
mod swin;
#[cfg(test)]
mod tests;
mod transformer;
mod vit;
mod wire;

use std::path::Path;

use super::model_file::{self, Weights, WeightsKind};
use super::precision::Precision;
use crate::backbone::encoder::EncoderConfig;
use crate::backbone::window::divides;
use crate::error::{Error, Result};
use crate::files::write_atomic_with;
use crate::method::encoder_sizes;
use crate::recipe::Recipe;
use again::Again;
use builder::Builder;
use model::{Graph, Model, Port};

/// Protocol buffers end here.
const MAX_BYTES: u64 = (1 << 31) - 1;

/// What was written.
#[derive(Debug)]
pub struct Written {
    /// What one should know to use it, a sentence each.
    pub notes: Vec<String>,
}

/// What a network is made of its pixels.
struct Encoded {
    /// `[B, prefix + N, D]`
    features: String,
    /// Prefix and N.
    tokens: usize,
    /// D
    width: usize,
    /// Class token and registers.
    prefix: usize,
    /// What tokens of the last block attend to, `[B, heads, tokens, tokens]`, where one of them is the class token; and its heads.
    attention: Option<(String, usize)>,
}

/// Writes the encoder.
///
/// # Errors
/// If the weights are not those of the recipe's network, if the file would be larger than ONNX files can be, or if it cannot be written.
pub(super) fn export(weights: &Weights, kind: WeightsKind, path: &Path, precision: Precision) -> Result<Written> {
    let (recipe, config) = (&weights.recipe, encoder_sizes(&weights.recipe));
    check(weights, &config)?;
    let mut builder = Builder::new(&weights.path, weights.tensors_of_kind(kind)?, precision);
    let pixels = pixels::prepared(&mut builder, recipe, "images");
    let encoded = match &config {
        EncoderConfig::Vit(config) => vit::encode(&mut builder, config, &pixels),
        EncoderConfig::Swin(config) => swin::encode(&mut builder, config, &pixels),
        EncoderConfig::Pvt(config) => pvt::encode(&mut builder, config, &pixels),
        EncoderConfig::ResNet(config) => resnet::encode(&mut builder, config, &pixels),
    }?;
    let outputs = outputs(&mut builder, &encoded);
    let (graph, left) = builder.finish();
    let inputs = vec![input(recipe)];
    let model = Model { graph: Graph { inputs, outputs, ..graph }, doc: doc(recipe), metadata: metadata(recipe, weights.step) };
    let bytes = model.size();
    if bytes > MAX_BYTES {
        let reason = format!("the file would have {bytes} bytes, and an ONNX file can have {MAX_BYTES}");
        let cure = if precision == Precision::F32 { "use f16 or bf16, or another format" } else { "use another format" };
        return Err(Error::data(path, reason, cure));
    }
    write_atomic_with(path, |file| model.write(file))?;
    let again = || {
        let mut again = Again::open(path)?;
        model.write(&mut again)?;
        again.end()
    };
    again().map_err(Error::io("read again", path))?;
    Ok(Written { notes: notes(recipe, precision, &encoded, &left) })
}

/// What has to be so before a graph can be built.
fn check(weights: &Weights, config: &EncoderConfig) -> Result<()> {
    let data = &weights.recipe.data;
    if [&data.mean, &data.std].iter().any(|values| values.len() != data.channels) {
        let reason = format!("its recipe does not give a mean and a deviation for each of {} channels", data.channels);
        return Err(Error::data(&weights.path, reason, "write data.mean and data.std into the recipe"));
    }
    if let EncoderConfig::Swin(swin) = config
        && swin.grids().into_iter().any(|map| !divides(map, swin.window))
    {
        let reason = "its maps do not divide into windows, and the graph fills none up";
        return Err(Error::data(&weights.path, reason, "use --format maskroom, or train with another backbone.window"));
    }
    match config.problems(data.image, false) {
        problems if problems.is_empty() => Ok(()),
        problems => Err(Error::Recipe(problems)),
    }
}

/// Gives names to what leaves the network.
fn outputs(builder: &mut Builder<'_>, encoded: &Encoded) -> Vec<Port> {
    let &Encoded { ref features, tokens, width, prefix, ref attention } = encoded;
    let patches = tokens - prefix;
    let (pooled, summary) = if prefix > 0 {
        let first = builder.gather("pooled", features, 1, &[0]);
        (builder.reshape("pooled", &first, &[0, width]), "The class token.")
    } else {
        (builder.mean("pooled", features, 1), "The mean of the patches.")
    };
    builder.call(features, "features");
    builder.call(&pooled, "pooled");
    let in_front = match prefix {
        0 => String::new(),
        1 => "the class token, then ".to_owned(),
        _ => format!("the class token, {} registers, then ", prefix - 1),
    };
    let port = |name, shape: &[usize], doc: String| Port { name, shape: shape.to_vec(), doc };
    let mut ports = vec![
        port("features", &[tokens, width], format!("What leaves the network: {in_front}patches row by row.")),
        port("pooled", &[width], summary.to_owned()),
    ];
    if let Some((probabilities, heads)) = attention {
        let [from, to, axes] = [vec![0, prefix], vec![1, tokens], vec![2, 3]].map(|values| builder.list(&builder::whole(&values)));
        let of_class = builder.node("attention", "Slice", &[probabilities, &from, &to, &axes], &[]);
        let of_class = builder.reshape("attention", &of_class, &[0, *heads, patches]);
        builder.call(&of_class, "attention");
        let doc = "What the class token attends to in the last block, head by head, over patches row by row.";
        ports.push(port("attention", &[*heads, patches], doc.to_owned()));
    }
    ports
}

fn input(recipe: &Recipe) -> Port {
    let (channels, [height, width]) = (recipe.data.channels, recipe.data.image);
    Port { name: "images", shape: vec![channels, height, width], doc: of_pixels(recipe) }
}

/// What pixels have to be: what is done wrong most often.
fn of_pixels(recipe: &Recipe) -> String {
    let channels = match recipe.data.channels {
        1 => "gray",
        3 => "red, green and blue",
        4 => "red, green, blue and alpha",
        _ => "channels in the order of training",
    };
    let gray = if pixels::sees_lightness_alone(recipe) { "makes them gray, " } else { "" };
    format!("Pixels of 0 to 1, {channels}. The graph itself {gray}subtracts the mean and divides by the deviation: do not do it twice.")
}

fn doc(recipe: &Recipe) -> String {
    format!("An encoder that Maskroom trained or imported (method: {}). images: {}", recipe.method, of_pixels(recipe))
}

fn metadata(recipe: &Recipe, step: u64) -> Vec<(String, String)> {
    let [height, width] = recipe.data.image;
    let mut metadata = model_file::metadata(recipe, step);
    metadata.insert("method".to_owned(), recipe.method.clone());
    metadata.insert("image_size".to_owned(), format!("{height},{width}"));
    metadata.insert("channels".to_owned(), recipe.data.channels.to_string());
    metadata.insert("input".to_owned(), of_pixels(recipe));
    metadata.into_iter().collect()
}

fn notes(recipe: &Recipe, precision: Precision, encoded: &Encoded, left: &[String]) -> Vec<String> {
    let [height, width] = recipe.data.image;
    let mut notes = vec![
        of_pixels(recipe),
        format!("Images have {height}x{width} pixels, as in the recipe, and any number of them may be given at once."),
        "The file was read again, and is byte for byte what was to be written.".to_owned(),
    ];
    if encoded.attention.is_none() {
        notes.push("There is no output `attention`: the network has no class token.".to_owned());
    }
    if precision != Precision::F32 {
        notes.push(format!("Weights are stored as {} and widened when the file is loaded: it computes in f32.", precision.name()));
    }
    let unknown: Vec<String> = left.iter().filter(|name| !model_file::is_of_training(name)).cloned().collect();
    if !unknown.is_empty() {
        notes.push(format!("No part of the encoder, and so left out: {}.", model_file::listed(&unknown)));
    }
    notes
}
