//! A tiny encoder and decoder that PyTorch made, and what it says they compute; files that are something else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::import::{Imported, import};
use super::*;
use crate::mask::Mask;
use crate::method::Task;
use crate::random::{Purpose, Stream};
use crate::recipe::{Base, Recipe};
use crate::target::Sample;
use crate::tokenizer::Tokenizer;
use crate::tokenizer::file::{facts, tensors};
use crate::weights::golden;
use crate::weights::safetensors_file::{self, HostTensor};

const SIDE: [usize; 2] = [16, 16];
const GRID: [usize; 2] = [8, 8];

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/dalle").join(name)
}

fn imported(has_decoder: bool) -> Imported {
    let decoder = file("decoder.pkl");
    import(&file("encoder.pkl"), has_decoder.then_some(decoder.as_path())).unwrap()
}

/// A tokenizer in a file.
fn saved(folder: &tempfile::TempDir, has_decoder: bool) -> PathBuf {
    let path = folder.path().join("tokenizer.safetensors");
    imported(has_decoder).save(&path).unwrap();
    path
}

fn opened(path: &Path) -> DallE {
    DallE::from_tensors(&tensors(path).unwrap(), &Device::flex()).unwrap()
}

fn classes(tensor: Tensor<3>) -> Vec<usize> {
    to_host(tensor).unwrap().into_iter().map(|class| class as usize).collect()
}

fn wanted(tensor: &HostTensor) -> Vec<usize> {
    tensor.values.iter().map(|&class| class as usize).collect()
}

#[test]
fn scores_codes_and_drawings_are_pytorchs() {
    let folder = tempfile::tempdir().unwrap();
    let (expected, path) = (golden::read("dalle/expected"), saved(&folder, true));
    let facts = facts(&path).unwrap();
    assert_eq!(facts.sizes, Sizes { channels: 3, patch: 2, codes: 8, width: 4 });
    assert_eq!((facts.asks().patch, facts.mean, facts.std), (None, vec![0.0; 3], vec![1.0; 3]));
    let dalle = opened(&path);
    let pixels = &expected["pixels"].values;
    let shown = Tensor::from_data(TensorData::new(pixels.clone(), [1, 256, 3]), &Device::flex());
    golden::assert_close("logits", &to_host(dalle.scores(shown, SIDE)).unwrap(), &expected["logits"], 1e-5);
    let tokens = wanted(&expected["tokens"]);
    assert_eq!(classes(dalle.ids(pixels, SIDE, GRID).unwrap()), tokens);
    golden::assert_close("drawn", &dalle.draw(&tokens, GRID, SIDE).unwrap().unwrap(), &expected["drawn"], 1e-5);
    // The same file gives the same bytes.
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(std::fs::read(saved(&folder, true)).unwrap(), bytes);
}

#[test]
fn images_of_larger_patches_are_scaled_as_pillow_does_it() {
    let expected = golden::read("dalle/expected");
    let folder = tempfile::tempdir().unwrap();
    let dalle = opened(&saved(&folder, true));
    let scaled = dalle.shrunk(&expected["pixels"].values, SIDE, [8, 8]).unwrap();
    let furthest = scaled.iter().zip(&expected["small_pixels"].values).map(|(have, want)| (have - want).abs()).fold(0.0, f32::max);
    assert!(furthest < 1.5 / 255.0, "{furthest}");
    let tokens = classes(dalle.ids(&expected["pixels"].values, SIDE, [4, 4]).unwrap());
    let same = tokens.iter().zip(wanted(&expected["small_tokens"])).filter(|(have, want)| **have == *want).count();
    assert!(same >= 15, "{same} of 16");
    let drawn = dalle.draw(&tokens, [4, 4], SIDE).unwrap().unwrap();
    assert!(drawn.len() == 16 * 16 * 3 && drawn.iter().all(|value| (0.0..=1.0).contains(value)));
    // Many images are many chunks, each as it is alone.
    let count = CHUNK + 3;
    let many = classes(dalle.ids(&expected["pixels"].values.repeat(count), SIDE, [4, 4]).unwrap());
    assert_eq!(many, tokens.repeat(count));
    assert!(dalle.ids(&[], SIDE, [4, 4]).is_err());
}

#[test]
fn a_recipe_of_beit_asks_for_its_codes() {
    let (folder, expected) = (tempfile::tempdir().unwrap(), golden::read("dalle/expected"));
    for has_decoder in [true, false] {
        let path = saved(&folder, has_decoder);
        let sets = [
            ("backbone.preset", "vit-nano"),
            ("data.image", "[16, 16]"),
            ("backbone.patch", "4"),
            ("mask.min_block", "2"),
            ("target.tokenizer", path.to_str().unwrap()),
        ];
        let sets: Vec<_> = sets.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let mut recipe = Recipe::resolve(Base::Preset("beit"), &sets).unwrap();
        let target = recipe.target().unwrap();
        let measured = target.measure(&Sample::new(&recipe, &|_| unreachable!("no image is looked at"))).unwrap();
        target.settle(&mut recipe.target.knobs);
        // A run needs no file any more.
        std::fs::remove_file(&path).unwrap();
        let task = Task::new(&recipe).unwrap().with_measured(&measured, &Device::flex().autodiff()).unwrap();
        assert_eq!((task.output().prediction_width(), task.output().row_width()), (8, 1));
        let (mean, std) = recipe.data.normalization();
        let normalized = |(index, value): (usize, &f32)| (value - mean[index % 3]) / std[index % 3];
        let image: Vec<f32> = expected["pixels"].values.iter().enumerate().map(normalized).collect();
        let rows = task.targets(&image);
        let same = rows.iter().zip(&expected["small_tokens"].values).filter(|(have, want)| have == want).count();
        assert!(rows.len() == 16 && same >= 15, "{same} of {}", rows.len());
        // A batch is asked for the same, in the order of its rows.
        let strategy = recipe.mask().unwrap();
        let mask = |sample: u64| strategy.sample(recipe.grid(), &mut Stream::new(1, 0, sample, Purpose::Mask));
        let masks: Vec<Mask> = (0..2).map(mask).collect();
        let batch = task.batch(&image.repeat(2), &masks).unwrap();
        let taught = batch.to_raster(&to_host(batch.targets(&Device::flex())).unwrap());
        for (place, _) in masks.iter().flat_map(|mask| &mask.masked).enumerate().filter(|(_, masked)| **masked) {
            assert_eq!(taught[place], rows[place % 16], "{place}");
        }
        let certain: Vec<f32> =
            rows.iter().flat_map(|&class| (0..8).map(move |code| f32::from(u8::from(code == class as usize)))).collect();
        assert_eq!(task.draw(&image, &certain).is_some(), has_decoder);
        assert_eq!(task.target.why_unseen().is_some_and(|why| why.contains("without its decoder")), !has_decoder);
    }
}

#[test]
fn other_files_are_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let (encoder, decoder) = (file("encoder.pkl"), file("decoder.pkl"));
    let refused = |encoder: &Path, decoder: Option<&Path>, words: &[&str]| {
        let error = import(encoder, decoder).unwrap_err();
        let said = error.to_string();
        assert!(error.exit_status() == 3 && words.iter().all(|word| said.contains(word)), "{said}");
    };
    refused(&decoder, None, &["decoder.pkl", "like DALL-E's decoder", "the encoder is expected", "--decoder"]);
    refused(&encoder, Some(&encoder), &["encoder.pkl", "like DALL-E's encoder", "the decoder is expected"]);
    let other = file("../torch/whole_module.pth");
    refused(&other, None, &["whole_module.pth", "not a network of DALL-E's make", "encoder.pkl"]);
    refused(&file("expected.safetensors"), None, &["not a network of DALL-E's make"]);
    let error = facts(&encoder).unwrap_err();
    assert!(error.to_string().contains("tokenizer import"), "{error}");
    // The same networks as safetensors, below other names, and with something wrong in them.
    let path = folder.path().join("changed.safetensors");
    let change = |part: Part, change: &dyn Fn(&mut TensorMap)| {
        let whole = imported(true).tensors;
        let own = whole.into_iter().filter_map(|(name, tensor)| Some((format!("net.{}", name.strip_prefix(part.prefix())?), tensor)));
        let mut tensors: TensorMap = own.collect();
        change(&mut tensors);
        safetensors_file::write(&path, &tensors, &BTreeMap::new()).unwrap();
    };
    change(Part::Encoder, &|_| {});
    assert_eq!(import(&path, Some(&decoder)).unwrap().tensors, imported(true).tensors);
    let wrong = |name: &'static str, shape: &'static [usize], words: &[&str]| {
        let count = shape.iter().product();
        change(Part::Encoder, &|tensors| drop(tensors.insert(format!("net.blocks.{name}"), HostTensor::new(shape, vec![0.1; count]))));
        refused(&path, None, words);
    };
    wrong("group_1.block_2.res_path.conv_2.w", &[1, 1, 5, 5], &["conv_2.w is [1, 1, 5, 5] instead of [1, 1, 3, 3]"]);
    wrong("group_2.block_1.id_path.w", &[8, 5, 1, 1], &["id_path.w is [8, 5, 1, 1] instead of [8, 4, 1, 1]"]);
    wrong("input.b", &[5], &["input.b is [5] instead of [4]"]);
    wrong("input.w", &[4, 3, 7, 5], &["odd window"]);
    wrong("input.w", &[4, 147], &["no convolution"]);
    wrong("output.conv.w", &[1, 8, 1, 1], &["output.conv.b is [8] instead of [1]"]);
    wrong("extra.w", &[1], &["blocks.extra.w has no place"]);
    wrong("group_3.block_1.res_path.conv_1.w", &[1, 8, 3, 3], &["group_3.block_1.res_path.conv_1.b is missing"]);
    let without = |part: Part, name: &str, words: &[&str]| {
        change(part, &|tensors| tensors.retain(|key, _| !key.starts_with(&format!("net.blocks.{name}"))));
        let (encoder, decoder) = if part == Part::Encoder { (&path, &decoder) } else { (&encoder, &path) };
        refused(encoder, Some(decoder), words);
    };
    without(Part::Encoder, "group_2.block_1.res_path.conv_3.w", &["changed", "conv_3.w is missing"]);
    without(Part::Encoder, "group_2.block_1.id_path", &["id_path.w is missing"]);
    without(Part::Encoder, "group_2.block_2", &["its groups have [2, 1] blocks"]);
    without(Part::Encoder, "group_1.", &["no encoder's first block"]);
    without(Part::Decoder, "output", &["changed", "decoder.blocks.output.conv.w is missing"]);
    change(Part::Decoder, &|tensors| {
        let [weight, bias] = ["w", "b"].map(|kind| format!("net.blocks.output.conv.{kind}"));
        tensors.insert(weight, HostTensor::new([3, 4, 1, 1], vec![0.1; 12]));
        tensors.insert(bias, HostTensor::new([3], vec![0.1; 3]));
    });
    refused(&encoder, Some(&path), &["changed", "the decoder has 3 numbers per pixel", "6"]);
    change(Part::Encoder, &|tensors| tensors.values_mut().for_each(|tensor| tensor.values.fill(f32::NAN)));
    refused(&path, None, &["numbers that are none"]);
    assert!(
        matches!(Tokenizer::from_tensors(&imported(false).tensors, &Device::flex()), Ok(Tokenizer::DallE(dalle)) if !dalle.has_decoder())
    );
}
