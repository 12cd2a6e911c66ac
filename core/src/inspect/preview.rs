//! A preview file of a run, read back: its fixed images, what was hidden of them, what the network drew there, and pictures of all that.
//! What a network that predicts normalized patches says of brightness and contrast is nothing; where they come from is the viewer's choice.

use std::path::Path;

use super::picture::Picture;
use super::strips::{MASKED, from_normalized, hidden_pixels};
use crate::backbone::patch_embed::{patchify, unpatchify};
use crate::error::{Error, Result};
use crate::method::masked_batch::ImageShape;
use crate::recipe::Recipe;
use crate::target::Depiction;
use crate::target::pixels::patch_statistics;
use crate::weights::safetensors_file;

/// Where the brightness and contrast of a normalized prediction come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Brightness {
    /// From each original patch: what papers print, and more than the network knows.
    #[default]
    Original,
    /// From the nearest patches that the network was shown.
    Visible,
    /// From nowhere: everything in the units that the network predicts, as gray.
    Normalized,
}

/// Ends of the gray scale of [`Brightness::Normalized`]: a normalized patch has mean 0 and deviation 1.
pub const NORMALIZED_RANGE: [f32; 2] = [-2.5, 2.5];
/// How many of the nearest visible patches lend their statistics.
const LENDERS: usize = 4;

/// What `previews/STEP.safetensors` holds.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The geometry of its images.
    pub shape: ImageShape,
    /// Whether the network predicts patches without their brightness and contrast.
    pub brightness_borrowed: bool,
    /// The images' names; empty in files of older versions.
    pub names: Vec<String>,
    count: usize,
    images: Vec<f32>,
    /// What the network was shown, where that is not all of them.
    shown: Option<Vec<f32>>,
    masked: Vec<bool>,
    /// Neither shown nor predicted.
    left_out: Vec<bool>,
    prediction: Vec<f32>,
    /// One for each image where predictions are no pixels, else none.
    depictions: Vec<Depiction>,
    patch_error: Vec<f32>,
    mean: Vec<f64>,
    std: Vec<f64>,
}

impl Preview {
    /// Reads a preview file.
    ///
    /// # Errors
    /// [`Error::Data`] if it is damaged or lacks something.
    pub fn open(path: &Path) -> Result<Self> {
        let bad = |reason: String| Error::data(path, reason, "the next preview of the run replaces it");
        let (mut tensors, metadata) = safetensors_file::read(path)?;
        let (targets, left_out, shown) = (tensors.remove("target"), tensors.remove("left_out"), tensors.remove("shown"));
        let mut take = |name: &str| tensors.remove(name).ok_or_else(|| bad(format!("the preview lacks `{name}`")));
        let (images, mask, prediction, patch_error) = (take("images")?, take("mask")?, take("prediction")?, take("patch_error")?);
        let said = |name: &str| metadata.get(name).map(String::as_str).unwrap_or_default();
        let numbers = |name: &str| said(name).split(',').filter_map(|number| number.parse().ok()).collect::<Vec<f64>>();
        let ([count, height, width, channels], Ok(patch)) =
            (<[usize; 4]>::try_from(images.shape.clone()).unwrap_or_default(), said("patch").parse())
        else {
            return Err(bad("the preview does not say how large its patches are".into()));
        };
        let shape = ImageShape { height, width, channels, patch };
        let patches = if patch > 0 { count * shape.num_patches() } else { 0 };
        let (mean, std) = (numbers("mean"), numbers("std"));
        if patches == 0
            || mask.values.len() != patches
            || patch_error.values.len() != patches
            || mean.len().min(std.len()) < channels
            || channels == 0
        {
            return Err(bad(format!("the parts of the preview do not fit each other: images of shape {:?}", images.shape)));
        }
        let unseen = || bad("its predictions are no pixels, and cannot be shown as pictures".into());
        let depictions = match &targets {
            Some(targets) => depictions(said("recipe"), shape, count, [&prediction.values, &targets.values]).ok_or_else(unseen)?,
            None if prediction.values.len() != patches * shape.patch_values() => return Err(unseen()),
            None => Vec::new(),
        };
        let flags = |values: &[f32]| values.iter().map(|&value| value > 0.5).collect::<Vec<bool>>();
        let left_out = left_out.filter(|out| out.values.len() == patches).map_or_else(|| vec![false; patches], |out| flags(&out.values));
        Ok(Self {
            shape,
            brightness_borrowed: said("brightness_borrowed") == "true",
            names: serde_json::from_str(said("names")).unwrap_or_default(),
            count,
            shown: shown.filter(|shown| shown.values.len() == images.values.len()).map(|shown| shown.values),
            images: images.values,
            masked: flags(&mask.values),
            left_out,
            prediction: prediction.values,
            depictions,
            patch_error: patch_error.values,
            mean,
            std,
        })
    }

    /// K: its images.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether it has no image.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// `[N]` of one image: true = masked.
    pub fn masked(&self, image: usize) -> &[bool] {
        part(&self.masked, image, self.count)
    }

    /// `[K, N]`: mean squared error of each predicted patch in target space; 0 for the others.
    pub fn patch_errors(&self) -> &[f32] {
        &self.patch_error
    }

    /// Whether anything is hidden.
    pub fn hides(&self) -> bool {
        self.masked.contains(&true)
    }

    /// Whether visible patches count too.
    pub fn all_count(&self) -> bool {
        self.patch_error.iter().zip(&self.masked).any(|(&error, &masked)| error > 0.0 && !masked)
    }

    /// What the pictures of an image are.
    pub fn columns(&self) -> Vec<&'static str> {
        let given = if self.shown.is_some() { "Shown" } else { "Masked" };
        let last = if self.depictions.is_empty() { "Pasted" } else { "Target" };
        let has_last = self.hides() || !self.depictions.is_empty();
        ["Original", given, "Prediction"].into_iter().chain(has_last.then_some(last)).collect()
    }

    /// Mean squared error over the masked patches of one image, or over all where nothing is hidden.
    pub fn loss(&self, image: usize) -> f64 {
        let hides = self.hides();
        let errors = part(&self.patch_error, image, self.count).iter().zip(self.masked(image)).filter(|(_, masked)| **masked || !hides);
        let (sum, count) = errors.fold((0.0, 0.0), |(sum, count), (&error, _)| (sum + f64::from(error), count + 1.0));
        sum / f64::max(count, 1.0)
    }

    /// What must be known to read predictions that are no pixels, as a clause; nothing for those that are.
    pub fn depicted_as(&self) -> Option<&'static str> {
        self.depictions.first().map(|depiction| depiction.note)
    }

    /// Original, masked, prediction and pasted of one image, as [`Preview::columns`] has them; in place of the last, where predictions are
    /// no pixels, what was asked for, and nothing where nothing is hidden; in place of the second, where the network was not shown all of
    /// the image, what it was shown. All of one size. `brightness` matters where it is borrowed; with [`Brightness::Normalized`] the
    /// original is shown in normalized units too, so that all four can be compared.
    ///
    /// # Errors
    /// If the image does not exist.
    pub fn pictures(&self, image: usize, brightness: Brightness) -> Result<Vec<Picture>> {
        if image >= self.count {
            return Err(Error::Failed(format!("the preview has {} images, and number {image} was asked for", self.count)));
        }
        let (shape, values, masked) = (self.shape, self.shape.patch_values(), self.masked(image));
        let left_out = part(&self.left_out, image, self.count);
        if let Some(Depiction { prediction, target, .. }) = self.depictions.get(image) {
            let original =
                from_normalized(part(&self.images, image, self.count), [shape.height, shape.width, shape.channels], &self.mean, &self.std)?;
            let mut hidden = self.given(image)?.unwrap_or_else(|| original.clone());
            [masked, left_out].into_iter().for_each(|unseen| hidden.tint(&hidden_pixels(unseen, shape), MASKED, 1.0));
            let factor = prediction.width / original.width.max(1);
            return Ok(vec![original.enlarged(factor), hidden.enlarged(factor), prediction.clone(), target.clone()]);
        }
        let mut original = patchify(part(&self.images, image, self.count), shape.height, shape.width, shape.channels, shape.patch);
        let mut drawn = part(&self.prediction, image, self.count).to_vec();
        let is_normalized = self.brightness_borrowed && brightness == Brightness::Normalized;
        if self.brightness_borrowed {
            let statistics: Vec<_> = original.chunks_exact(values).map(patch_statistics).collect();
            if is_normalized {
                for (patch, (mean, deviation)) in original.chunks_exact_mut(values).zip(&statistics) {
                    patch.iter_mut().for_each(|value| *value = (*value - mean) / deviation);
                }
            } else {
                let lent = if brightness == Brightness::Visible { lent_by_visible(&statistics, masked, shape.grid()) } else { statistics };
                for (patch, (mean, deviation)) in drawn.chunks_exact_mut(values).zip(&lent) {
                    patch.iter_mut().for_each(|value| *value = *value * deviation + mean);
                }
            }
        }
        let mut pasted = original.clone();
        for ((pasted, drawn), _) in
            pasted.chunks_exact_mut(values).zip(drawn.chunks_exact(values)).zip(masked).filter(|(_, masked)| **masked)
        {
            pasted.copy_from_slice(drawn);
        }
        let picture = |patches: &[f32]| {
            let [rows, cols] = shape.grid();
            let pixels = unpatchify(patches, rows, cols, shape.channels, shape.patch);
            let (height, width) = (rows * shape.patch, cols * shape.patch);
            if is_normalized {
                gray(&pixels, height, width, shape.channels)
            } else {
                from_normalized(&pixels, [height, width, shape.channels], &self.mean, &self.std)
            }
        };
        let original = picture(&original)?;
        let mut hidden = self.given(image)?.unwrap_or_else(|| original.clone());
        let drawn_shape = ImageShape { height: original.height, width: original.width, ..shape };
        [masked, left_out].into_iter().for_each(|unseen| hidden.tint(&hidden_pixels(unseen, drawn_shape), MASKED, 1.0));
        let mut pictures = vec![original, hidden, picture(&drawn)?];
        if self.hides() {
            let mut pasted = picture(&pasted)?;
            pasted.tint(&hidden_pixels(left_out, drawn_shape), MASKED, 1.0);
            pictures.push(pasted);
        }
        Ok(pictures)
    }

    /// What the network was shown of an image, where that is not all of it.
    fn given(&self, image: usize) -> Result<Option<Picture>> {
        let size = [self.shape.height, self.shape.width, self.shape.channels];
        let picture = |shown: &Vec<f32>| from_normalized(part(shown, image, self.count), size, &self.mean, &self.std);
        self.shown.as_ref().map(picture).transpose()
    }
}

/// Predictions and targets of `count` images as pictures, drawn by the target of the recipe's text.
fn depictions(recipe: &str, shape: ImageShape, count: usize, [predictions, targets]: [&[f32]; 2]) -> Option<Vec<Depiction>> {
    let target = Recipe::from_toml(recipe).and_then(|recipe| recipe.target()).ok()?;
    (0..count).map(|image| target.depict(shape, part(predictions, image, count), part(targets, image, count))).collect()
}

/// The share of one image in something that all images have.
fn part<T>(values: &[T], image: usize, count: usize) -> &[T] {
    let size = values.len() / count.max(1);
    values.get(image * size..(image + 1) * size).unwrap_or_default()
}

/// Normalized pixels `[H, W, C]` as gray: the mean over channels, along [`NORMALIZED_RANGE`].
fn gray(pixels: &[f32], height: usize, width: usize, channels: usize) -> Result<Picture> {
    let [low, high] = NORMALIZED_RANGE;
    let byte = |pixel: &[f32]| ((pixel.iter().sum::<f32>() / channels as f32 - low) / (high - low) * 255.0).clamp(0.0, 255.0).round() as u8;
    Picture::from_rgb(height, width, pixels.chunks_exact(channels).flat_map(|pixel| [byte(pixel); 3]).collect())
}

/// Mean and deviation for each patch: a visible patch has its own, a masked one the average over the nearest visible patches (ties by
/// raster order). Without any visible patch, those of normalized images at large.
fn lent_by_visible(statistics: &[(f32, f32)], masked: &[bool], grid: [usize; 2]) -> Vec<(f32, f32)> {
    let visible: Vec<usize> = (0..statistics.len()).filter(|&patch| !masked[patch]).collect();
    let lend = |patch: usize| {
        if !masked[patch] {
            return statistics[patch];
        }
        let distance = |other: usize| {
            let along = |place: fn(usize, usize) -> usize| place(patch, grid[1]).abs_diff(place(other, grid[1])).pow(2);
            along(|patch, cols| patch / cols) + along(|patch, cols| patch % cols)
        };
        let mut lenders = visible.clone();
        lenders.sort_by_key(|&other| distance(other));
        lenders.truncate(LENDERS);
        let mean = |of: fn(&(f32, f32)) -> f32| lenders.iter().map(|&other| of(&statistics[other])).sum::<f32>() / lenders.len() as f32;
        if lenders.is_empty() { (0.0, 1.0) } else { (mean(|lent| lent.0), mean(|lent| lent.1)) }
    };
    (0..statistics.len()).map(lend).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::weights::safetensors_file::HostTensor;

    /// One gray image of two by two patches of two by two pixels: each patch is its level, with a checker of ±0.1. The last is masked.
    fn file(folder: &Path, borrowed: bool) -> std::path::PathBuf {
        let checker = |y: usize, x: usize| if (y + x).is_multiple_of(2) { 0.1 } else { -0.1 };
        let image = (0..16).map(|index| [0.2, 0.4, 0.6, 0.8][index / 8 * 2 + index % 4 / 2] + checker(index / 4, index % 4)).collect();
        let prediction: Vec<f32> = if borrowed { [0.5, -0.5, -0.5, 0.5].repeat(4) } else { vec![0.3; 16] };
        let tensors = BTreeMap::from([
            ("images".to_owned(), HostTensor::new([1, 4, 4, 1], image)),
            ("mask".to_owned(), HostTensor::new([1, 4], vec![0.0, 0.0, 0.0, 1.0])),
            ("prediction".to_owned(), HostTensor::new([1, 4, 4], prediction)),
            ("patch_error".to_owned(), HostTensor::new([1, 4], vec![0.0, 0.0, 0.0, 0.25])),
        ]);
        let metadata =
            [("patch", "2"), ("mean", "0"), ("std", "1"), ("names", "[\"a.png\"]")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        let mut metadata = BTreeMap::from(metadata);
        metadata.insert("brightness_borrowed".into(), borrowed.to_string());
        let path = folder.join("00000001.safetensors");
        safetensors_file::write(&path, &tensors, &metadata).unwrap();
        path
    }

    /// The first channel of the pixel in the middle of the masked patch's top left corner.
    fn corner(picture: &Picture) -> u8 {
        picture.rgb[(2 * 4 + 2) * 3]
    }

    #[test]
    fn plain_predictions_are_shown_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let preview = Preview::open(&file(folder.path(), false)).unwrap();
        assert_eq!((preview.len(), preview.names.as_slice(), preview.loss(0)), (1, ["a.png".to_owned()].as_slice(), 0.25));
        assert_eq!(preview.columns(), ["Original", "Masked", "Prediction", "Pasted"]);
        let [original, masked, drawn, pasted] = <[Picture; 4]>::try_from(preview.pictures(0, Brightness::Visible).unwrap()).unwrap();
        assert_eq!((corner(&original), corner(&masked), corner(&drawn), corner(&pasted)), (230, 127, 77, 77));
        assert_eq!((drawn.rgb[0], pasted.rgb[0]), (77, original.rgb[0]));
        assert!(preview.pictures(1, Brightness::Original).is_err());
    }

    #[test]
    fn brightness_comes_from_where_it_is_said_to_come_from() {
        let folder = tempfile::tempdir().unwrap();
        let preview = Preview::open(&file(folder.path(), true)).unwrap();
        let drawn = |brightness| corner(&preview.pictures(0, brightness).unwrap()[2]);
        // The deviation of ±0.1 over four pixels is 0.1155; the original's mean is 0.8, that of the three visible ones 0.4.
        assert_eq!(drawn(Brightness::Original), ((0.8_f32 + 0.5 * 0.115_47) * 255.0).round() as u8);
        assert_eq!(drawn(Brightness::Visible), ((0.4_f32 + 0.5 * 0.115_47) * 255.0).round() as u8);
        assert_eq!(drawn(Brightness::Normalized), ((0.5_f32 + 2.5) / 5.0 * 255.0).round() as u8);
        let original = preview.pictures(0, Brightness::Normalized).unwrap().swap_remove(0);
        assert_eq!(corner(&original), ((0.866_f32 + 2.5) / 5.0 * 255.0).round() as u8, "the original is in the same units");
    }

    /// The same file for a network that predicts histograms: two directions of one cell in each patch.
    fn file_of_histograms(folder: &Path) -> std::path::PathBuf {
        let path = file(folder, false);
        let (mut tensors, mut metadata) = safetensors_file::read(&path).unwrap();
        let target = [1.0, 0.0].repeat(4);
        tensors.insert("prediction".into(), HostTensor::new([1, 4, 2], target.iter().map(|share| share * 0.5).collect()));
        tensors.insert("target".into(), HostTensor::new([1, 4, 2], target));
        let sets =
            [("target.kind", "hog"), ("target.bins", "2"), ("target.cell", "2")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        let recipe = Recipe::resolve(crate::recipe::Base::Preset("mae"), &sets).unwrap();
        metadata.insert("recipe".into(), recipe.to_toml());
        safetensors_file::write(&path, &tensors, &metadata).unwrap();
        path
    }

    #[test]
    fn predictions_that_are_no_pixels_stand_beside_what_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = file_of_histograms(folder.path());
        let preview = Preview::open(&path).unwrap();
        assert!(preview.depicted_as().is_some_and(|note| note.contains("stroke")));
        let pictures = preview.pictures(0, Brightness::Original).unwrap();
        assert!(pictures.iter().all(|picture| (picture.height, picture.width) == (32, 32)), "cells of 2 px become 16");
        let brightest = |picture: &Picture| picture.rgb.iter().copied().max().unwrap();
        assert_eq!((brightest(&pictures[2]), brightest(&pictures[3])), (128, 255));
        let (mut tensors, metadata) = safetensors_file::read(&path).unwrap();
        tensors.remove("target");
        safetensors_file::write(&path, &tensors, &metadata).unwrap();
        assert!(Preview::open(&path).unwrap_err().to_string().contains("no pixels"), "older files do not tell");
    }

    #[test]
    fn what_the_network_was_shown_stands_in_the_place_of_what_was_hidden() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), false);
        let (mut tensors, metadata) = safetensors_file::read(&path).unwrap();
        tensors.insert("shown".into(), HostTensor::new([1, 4, 4, 1], vec![0.5; 16]));
        tensors.insert("mask".into(), HostTensor::new([1, 4], vec![0.0; 4]));
        safetensors_file::write(&path, &tensors, &metadata).unwrap();
        let preview = Preview::open(&path).unwrap();
        assert!(!preview.hides() && preview.columns() == ["Original", "Shown", "Prediction"]);
        assert_eq!(preview.loss(0), 0.0625, "the mean over all patches");
        let pictures = preview.pictures(0, Brightness::Original).unwrap();
        assert_eq!(pictures.iter().map(corner).collect::<Vec<_>>(), [230, 128, 77]);
    }

    #[test]
    fn damaged_previews_are_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), true);
        let (mut tensors, metadata) = safetensors_file::read(&path).unwrap();
        tensors.remove("mask");
        safetensors_file::write(&path, &tensors, &metadata).unwrap();
        assert!(Preview::open(&path).unwrap_err().to_string().contains("`mask`"));
        std::fs::write(&path, "half").unwrap();
        assert!(Preview::open(&path).is_err());
    }
}
