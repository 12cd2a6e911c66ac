//! `reconstruct`: its loss computed again from the raw prediction, the mask and the pixels.

use std::path::PathBuf;

use crate::harness::{Call, maskroom, number, pretrain, toy, toy_picture, trained};
use crate::readers::{Tensor, find_inside, near, norm_pix, npy, patches, rgb, tensor, write_bools};

/// Reconstructs the first three toy scenes with `weights` and further `words`.
struct Drawn {
    folder: tempfile::TempDir,
    loss: f64,
    prediction: Tensor,
    mask: Tensor,
}

impl Drawn {
    fn new(weights: &std::path::Path, adapt: impl FnOnce(Call) -> Call) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let raw = folder.path().join("raw.safetensors");
        let images = toy().join("JPEGImages/toy_00000[0-2].png");
        let call = maskroom("reconstruct").with("--weights", weights).with("--images", images);
        let printed = adapt(call).with("--out", folder.path().join("strips")).with("--raw", &raw).json();
        let (prediction, mask) = (tensor(&raw, "prediction"), tensor(&raw, "mask"));
        assert_eq!((&prediction.shape[..], &mask.shape[..]), (&[3, 64, 48][..], &[3, 64][..]));
        assert_eq!(printed["files"].as_array().map(Vec::len), Some(3), "{printed}");
        Self { folder, loss: number(&printed, "loss"), prediction, mask }
    }

    /// The mean over masked patches of the mean squared error in the space that `target` maps patches to.
    fn expected_loss(&self, target: impl Fn(&[f64]) -> Vec<f64>) -> f64 {
        let (mut sum, mut count) = (0.0, 0);
        for image in 0..3 {
            for (index, patch) in
                patches(&rgb(&toy_picture(image)), 4).iter().enumerate().filter(|(index, _)| self.mask.row(&[image])[*index] == 1.0)
            {
                let squares =
                    self.prediction.row(&[image, index]).iter().zip(target(patch)).map(|(&have, want)| (f64::from(have) - want).powi(2));
                sum += squares.sum::<f64>() / 48.0;
                count += 1;
            }
        }
        sum / f64::from(count)
    }
}

#[test]
fn the_loss_is_that_of_normalized_patches_at_given_masks() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let masks = folder.path().join("masks.npy");
    maskroom("mask --strategy random --grid 8x8 --count 3 --seed 3").with("--out", &masks).json();
    let drawn = Drawn::new(trained(), |call| call.with("--mask", &masks));
    let given: Vec<f32> = npy(&masks).bools().iter().map(|&masked| f32::from(u8::from(masked))).collect();
    assert_eq!(drawn.mask.values, given);
    let expected = drawn.expected_loss(norm_pix);
    assert!((drawn.loss - expected).abs() < 1e-4, "{} {expected}", drawn.loss);
}

#[test]
fn the_loss_is_that_of_plain_pixels_where_the_recipe_says_so() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = folder.path().join("run");
    pretrain(toy(), &run).and("--set target.norm_pix=false --steps 4 --threads 1").json();
    let drawn = Drawn::new(&run, |call| call);
    let expected = drawn.expected_loss(<[f64]>::to_vec);
    assert!((drawn.loss - expected).abs() < 1e-4, "{} {expected}", drawn.loss);
    assert_eq!(drawn.mask.values.iter().filter(|&&masked| masked == 1.0).count(), 3 * 48, "the recipe's own ratio");
}

#[test]
fn one_mask_serves_all_images_and_without_one_the_seed_decides() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mask = folder.path().join("mask.npy");
    let half: Vec<bool> = (0..64).map(|patch| patch % 8 < 4).collect();
    for shape in [&[8, 8][..], &[1, 8, 8][..]] {
        write_bools(&mask, shape, &half);
        let drawn = Drawn::new(trained(), |call| call.with("--mask", &mask));
        assert!((0..3).all(|image| drawn.mask.row(&[image]).iter().zip(&half).all(|(&have, &want)| (have == 1.0) == want)));
    }
    let drawn = |seed: &'static str| Drawn::new(trained(), |call| call.and("--seed").arg(seed));
    let (first, again, other) = (drawn("1"), drawn("1"), drawn("2"));
    assert_eq!((first.loss, &first.mask, &first.prediction), (again.loss, &again.mask, &again.prediction));
    assert_ne!(first.mask, other.mask);
}

#[test]
fn what_is_hidden_cannot_be_seen() {
    // The prediction of a masked autoencoder is a function of the visible patches alone: other pixels under the mask change nothing.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let half: Vec<bool> = (0..64).map(|patch| patch % 8 >= 4).collect();
    let mask = folder.path().join("mask.npy");
    write_bools(&mask, &[8, 8], &half);
    let draw = |picture: PathBuf| {
        let raw = folder.path().join("raw.safetensors");
        let call = maskroom("reconstruct").with("--weights", trained()).with("--images", picture).with("--mask", &mask);
        call.with("--out", folder.path().join("strips")).with("--raw", &raw).json();
        tensor(&raw, "prediction")
    };
    let mut changed = rgb(&toy_picture(0));
    changed.enumerate_pixels_mut().filter(|(x, ..)| *x >= 16).for_each(|(x, y, pixel)| pixel.0 = [(x * 8) as u8, (y * 8) as u8, 7]);
    let other = folder.path().join("changed.png");
    changed.save(&other).expect("a picture");
    assert_eq!(draw(toy_picture(0)), draw(other.clone()));
    changed.put_pixel(3, 3, image::Rgb([255, 0, 255]));
    changed.save(&other).expect("a picture");
    assert_ne!(draw(toy_picture(0)), draw(other));
}

#[test]
fn a_strip_shows_original_masked_prediction_and_pasted() {
    let drawn = Drawn::new(trained(), |call| call.and("--seed 5"));
    let source = rgb(&toy_picture(0));
    let strip = rgb(&drawn.folder.path().join("strips/toy_000000.png"));
    let (left, top, scale) = find_inside(&strip, &source).expect("the original comes first");
    let step = 32 * scale + (strip.width() - 4 * 32 * scale) / 3;
    let shown = |panel: u32, (x, y): (u32, u32)| strip.get_pixel(left + panel * step + x * scale, top + y * scale);
    let original = |panel: u32, (x, y): (u32, u32)| near(shown(panel, (x, y)), source.get_pixel(x, y));
    let pixels = || (0..32).flat_map(|y| (0..32).map(move |x| (x, y)));
    let (hidden, visible): (Vec<_>, Vec<_>) =
        pixels().partition(|&(x, y): &(u32, u32)| drawn.mask.row(&[0])[(y / 4 * 8 + x / 4) as usize] == 1.0);
    assert!(visible.iter().all(|&place| original(1, place) && original(3, place)), "visible patches stay in `masked` and in `pasted`");
    for panel in [1, 3] {
        let equal = hidden.iter().filter(|&&place| original(panel, place)).count();
        assert!(equal < hidden.len() / 4, "panel {panel} shows what is hidden: {equal} of {} pixels", hidden.len());
    }
    assert!(hidden.iter().all(|&place| shown(2, place) == shown(3, place)), "under the mask, `pasted` is the prediction");
}

#[test]
fn masks_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mask = folder.path().join("mask.npy");
    let call = || {
        let call = maskroom("reconstruct").with("--weights", trained()).with("--images", toy_picture(0)).with("--mask", &mask);
        call.with("--out", folder.path().join("strips"))
    };
    write_bools(&mask, &[1, 14, 14], &[true; 196]);
    call().refused(2, &["14x14", "8x8"]);
    write_bools(&mask, &[2, 8, 8], &[true; 128]);
    call().refused(2, &["2 masks", "1 images"]);
    for all in [true, false] {
        write_bools(&mask, &[8, 8], &[all; 64]);
        call().refused(2, &["visible", "masked"]);
    }
    std::fs::write(&mask, b"no array").expect("a new file");
    let outcome = call().run();
    assert!(matches!(outcome.status, Some(2 | 3)) && outcome.stderr.contains("mask.npy"), "{outcome:?}");
    std::fs::remove_file(&mask).expect("the file");
    let outcome = call().run();
    assert!(matches!(outcome.status, Some(1..=3)) && outcome.stderr.contains("mask.npy"), "{outcome:?}");
}
