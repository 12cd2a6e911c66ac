//! Folders that `from_pretrained` of Hugging Face transformers opens without a word: the class of models that computes the same, its
//! `config.json`, its names and layouts, and `preprocessor_config.json`.

mod class;
mod config;
mod names;

use serde_json::json;

use super::Made;
use super::card::Library;
use super::renaming::Renaming;
use super::source::Source;
use super::timm::{CONFIG, KEY_BIAS, pretty};
use crate::backbone::encoder::EncoderConfig;
use crate::error::Result;
use crate::method;
use crate::weights::precision::Precision;
use class::Class;

/// The file that says how images are normalized.
const PROCESSOR: &str = "preprocessor_config.json";

/// The network as a class of Hugging Face's has it.
///
/// # Errors
/// If no class computes the same, or tensors are missing.
pub(super) fn made(mut source: Source<'_>, precision: Precision) -> Result<Made> {
    let class = Class::of(&source)?;
    if !class.predicts() {
        source.note_encoder_alone(&format!("{} is an encoder alone", class.name()));
    }
    if class.is_beit() && matches!(&source.encoder, EncoderConfig::Vit(vit) if vit.key_bias) {
        source.notes.push(KEY_BIAS.to_owned());
    }
    let mut renaming = Renaming::new(std::mem::take(&mut source.tensors));
    let has_mask_token = renaming.has("mask_token");
    let has_bias = match &source.encoder {
        EncoderConfig::Vit(vit) => vit.key_bias || renaming.is_nonzero("attn.qkv.bias"),
        _ => true,
    };
    // Recipes that compare views say nothing of a decoder.
    let sizes = if class.predicts() { Some(method::sizes(source.recipe)?) } else { None };
    names::rename(&mut renaming, class, &source.encoder, sizes.as_ref(), has_bias);
    let mut config = config::of(class, &source, sizes.as_ref(), has_mask_token, has_bias);
    config["dtype"] = json!(match precision {
        Precision::F32 => "float32",
        Precision::F16 => "float16",
        Precision::Bf16 => "bfloat16",
    });
    let [mean, std] = source.normalization();
    let [height, width] = source.recipe.data.image;
    let processor = json!({
        "image_processor_type": "ViTImageProcessor",
        "do_resize": true,
        "size": {"height": height, "width": width},
        "resample": 3,
        "do_rescale": true,
        "rescale_factor": 1.0 / 255.0,
        "do_normalize": true,
        "image_mean": mean,
        "image_std": std,
    });
    let renamed = renaming.end(source.path)?;
    Ok(Made {
        metadata: [("format".to_owned(), "pt".to_owned())].into(),
        texts: vec![(CONFIG, pretty(&config)), (PROCESSOR, pretty(&processor))],
        library: Library { name: "transformers", code: code(class) },
        notes: source.notes,
        ..Made::of(renamed)
    })
}

/// How it is loaded.
fn code(class: Class) -> String {
    let (name, result) = (class.name(), class.result());
    format!(
        "from PIL import Image\nfrom transformers import AutoImageProcessor, {name}\n\n\
         processor = AutoImageProcessor.from_pretrained(\"PATH\")\nmodel = {name}.from_pretrained(\"PATH\").eval()\n\
         inputs = processor(images=Image.open(\"image.png\"), return_tensors=\"pt\")\n{result}"
    )
}
