//! The code that a tokenizer has for the patch, as BEiT predicts it (Bao et al., 2021).

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor};

use super::normalization::renormalized;
use super::{Output, Sample, Target, TargetImage};
use crate::backbone::patch_embed::patchify;
use crate::error::{Error, Problem, Result};
use crate::knob::{Knob, Value};
use crate::method::masked_batch::ImageShape;
use crate::objective::cross_entropy::largest;
use crate::registry::{Entry, Settings};
use crate::tokenizer::file::{self, facts};
use crate::tokenizer::{Asks, Tokenizer};
use crate::weights::model_file::to_host;
use crate::weights::safetensors_file::TensorMap;

const TOKENIZER: Knob = Knob::text("tokenizer", "file of `maskroom tokenizer train` or `import`; a run has it inside and says \"\"", "");
const CODES: Knob = Knob::int("codes", "how many codes it has; 0: as its file says", "", (0, 65_536), 0);

/// The registry's line.
pub const ENTRY: Entry<dyn Target> = Entry {
    name: "tokens",
    summary: "which of a tokenizer's codes the patch has",
    source: "Bao et al., BEiT: BERT Pre-Training of Image Transformers, 2021",
    knobs: &[TOKENIZER, CODES],
    build: |settings| match build(settings) {
        Ok(tokens) => Ok(Box::new(tokens)),
        Err(problem) => Err(vec![problem]),
    },
};

fn build(settings: &Settings) -> Result<Tokens, Problem> {
    let (tokenizer, codes) = (TOKENIZER.of(settings), CODES.count_of(settings));
    let path = tokenizer.as_text().filter(|path| !path.is_empty()).map(PathBuf::from);
    let Some(path) = path else {
        return if codes > 0 { Ok(Tokens { path: None, codes, asks: None, tokenizer: None }) } else { Err(unnamed()) };
    };
    let facts = facts(&path).map_err(|error| unusable(&path, &error))?;
    let has = facts.sizes.codes;
    if codes > 0 && codes != has {
        let what = format!("{codes} codes are asked for, and {} has {has}", path.display());
        return Err(Problem::new("target.codes", what, "remove the setting"));
    }
    Ok(Tokens { path: Some(path), codes: has, asks: Some(facts.asks()), tokenizer: None })
}

fn unnamed() -> Problem {
    let cure = "train one by `maskroom tokenizer train --data DIR --out FILE` and set target.tokenizer to that file";
    Problem::new("target.tokenizer", "no tokenizer is named", cure)
}

fn unusable(path: &Path, error: &Error) -> Problem {
    let cure = "name a file that `maskroom tokenizer train` or `maskroom tokenizer import` wrote";
    Problem::new("target.tokenizer", format!("{} cannot be used ({error})", path.display()), cure)
}

/// Codes as classes.
pub struct Tokens {
    path: Option<PathBuf>,
    codes: usize,
    /// What the file says, or the tokenizer asks.
    asks: Option<Asks>,
    tokenizer: Option<Tokenizer>,
}

/// What pixels of 0..1 are normalized by.
const UNIT: (&[f32], &[f32]) = (&[], &[]);

impl Tokens {
    /// The codes of an image. Shape: `[N]`.
    fn codes_of(&self, tokenizer: &Tokenizer, image: &TargetImage<'_>) -> Result<Vec<f32>> {
        let normalization = (image.mean, image.std);
        match tokenizer {
            Tokenizer::Patches(own) => {
                let ids = own.ids(&renormalized(image.patches, normalization, (&own.mean, &own.std)), image.shape.grid())?;
                Ok(ids.into_iter().map(|id| id as f32).collect())
            }
            Tokenizer::DallE(dalle) => {
                let pixels = renormalized(image.values, normalization, UNIT);
                to_host(dalle.ids(&pixels, [image.shape.height, image.shape.width], image.shape.grid())?)
            }
        }
    }
}

impl Target for Tokens {
    fn output(&self, _: ImageShape) -> Output {
        Output::Classes { count: self.codes }
    }

    fn problems(&self, shape: ImageShape) -> Vec<Problem> {
        let Some(asks) = self.asks else { return Vec::new() };
        let misfit = |key: &str, what: &str, wanted: usize, has: usize| {
            let what = format!("the tokenizer is made for {what} {has}, and the recipe has {wanted}");
            (wanted != has).then(|| Problem::new(key, what, format!("set {key} to {has}, or train another tokenizer")))
        };
        let patch = asks.patch.and_then(|patch| misfit("backbone.patch", "a patch, in px, of", shape.patch, patch));
        patch.into_iter().chain(misfit("data.channels", "a number of channels of", shape.channels, asks.channels)).collect()
    }

    fn rows(&self, image: &TargetImage<'_>) -> Vec<f32> {
        let count = image.shape.num_patches();
        let Some(tokenizer) = &self.tokenizer else { return vec![0.0; count] };
        self.codes_of(tokenizer, image).unwrap_or_else(|error| {
            tracing::error!("the codes of an image could not be computed: {error}");
            vec![0.0; count]
        })
    }

    fn rows_of_batch(&self, images: &[f32], shape: ImageShape, normalization: (&[f32], &[f32])) -> Result<Option<Tensor<3>>> {
        let Some(Tokenizer::DallE(dalle)) = &self.tokenizer else { return Ok(None) };
        dalle.ids(&renormalized(images, normalization, UNIT), [shape.height, shape.width], shape.grid()).map(Some)
    }

    fn draw(&self, image: &TargetImage<'_>, predictions: &[f32]) -> Option<Vec<f32>> {
        let tokenizer = self.tokenizer.as_ref()?;
        let ids: Vec<usize> = predictions.chunks_exact(self.codes).map(largest).collect();
        let (shape, normalization) = (image.shape, (image.mean, image.std));
        match tokenizer {
            Tokenizer::Patches(own) => {
                let drawn = own.draw(&ids, shape.grid()).ok()?;
                Some(renormalized(&drawn, (&own.mean, &own.std), normalization))
            }
            Tokenizer::DallE(dalle) => {
                let drawn = dalle.draw(&ids, shape.grid(), [shape.height, shape.width]).ok()??;
                let patches = patchify(&drawn, shape.height, shape.width, shape.channels, shape.patch);
                Some(renormalized(&patches, UNIT, normalization))
            }
        }
    }

    fn why_unseen(&self) -> Option<&'static str> {
        match &self.tokenizer {
            Some(Tokenizer::DallE(dalle)) if !dalle.has_decoder() => {
                Some("codes cannot be drawn, because the tokenizer was imported without its decoder")
            }
            _ => None,
        }
    }

    fn measure(&self, _: &Sample<'_>) -> Result<TensorMap> {
        let path = self.path.as_deref().ok_or_else(|| Error::Recipe(vec![unnamed()]))?;
        file::tensors(path)
    }

    fn restore(&mut self, measured: &TensorMap, device: &Device) -> Result<()> {
        let tokenizer = Tokenizer::from_tensors(measured, device)
            .map_err(|reason| Error::Failed(format!("the tokenizer of the run cannot be used: {reason}; start the run anew")))?;
        if tokenizer.codes() != self.codes {
            let sizes = format!("{} codes, and its recipe has {}", tokenizer.codes(), self.codes);
            return Err(Error::Failed(format!("the tokenizer of the run has {sizes}: start the run anew")));
        }
        self.asks = Some(tokenizer.asks());
        self.tokenizer = Some(tokenizer);
        Ok(())
    }

    fn is_known(&self) -> bool {
        self.tokenizer.is_some()
    }

    fn settle(&self, settings: &mut Settings) {
        settings.insert(TOKENIZER.key.into(), Value::Text(String::new()));
        settings.insert(CODES.key.into(), Value::Int(self.codes as i64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_tokenizer_there_is_a_problem_with_its_cure() {
        let problem = |sets: &[(&str, Value)]| {
            let settings = sets.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
            (ENTRY.build)(&settings).err().map(|problems| problems[0].to_string())
        };
        assert!(problem(&[]).unwrap().contains("maskroom tokenizer train"));
        let absent = problem(&[("tokenizer", Value::Text("/nonexistent/file".into()))]).unwrap();
        assert!(absent.starts_with("target.tokenizer") && absent.contains("/nonexistent/file"), "{absent}");
        assert_eq!(problem(&[("codes", Value::Int(16))]), None, "a prepared run has its tokenizer inside");
    }
}
