//! `evaluate`, against figures computed here and data whose answer is known.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{maskroom, number, pretrain, toy, trained};
use crate::pictures::{flat, photo, save};
use crate::readers::{Tensor, rgb, tensor};

fn evaluate(words: &str, weights: &Path, data: &Path) -> Value {
    let figures = maskroom(&format!("evaluate {words}")).with("--weights", weights).with("--data", data).json();
    assert!(figures["protocol"].as_str().is_some_and(|protocol| protocol.len() > 20), "each figure is tagged with its protocol: {figures}");
    figures
}

/// Red and blue pictures in folders of those names, split in two.
fn two_colors(folder: &Path) {
    for index in 0..24 {
        let split = if index < 16 { "train" } else { "val" };
        let shade = 150 + 4 * index as u8;
        save(flat(32, 32, [shade, 20, 20]), &folder.join(format!("{split}/red/{index}.png")));
        save(flat(32, 32, [20, 20, shade]), &folder.join(format!("{split}/blue/{index}.png")));
    }
}

#[test]
fn probes_tell_red_from_blue() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    two_colors(folder.path());
    for (words, counts) in [("knn --pool mean --k 5,10", (32, 16)), ("linear --pool mean", (32, 16))] {
        let figures = evaluate(words, trained(), folder.path());
        assert_eq!((&figures["top1"], &figures["train"], &figures["test"]), (&json!(1.0), &json!(counts.0), &json!(counts.1)), "{words}");
    }
    // Without splits each image is held against all others, or one half against the other.
    let train = folder.path().join("train");
    assert_eq!(evaluate("knn --pool mean --k 5", trained(), &train)["test"], json!(32));
    let figures = evaluate("linear --pool mean", trained(), &train);
    assert_eq!((&figures["train"], &figures["test"], &figures["top1"]), (&json!(16), &json!(16), &json!(1.0)));
}

#[test]
fn knn_is_the_weighted_vote_of_dino() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let features = folder.path().join("f.safetensors");
    let embedded = maskroom("embed").with("--weights", trained()).with("--data", toy()).with("--out", &features).json();
    let features = tensor(&features, "features");
    let labels = toy_labels();
    let label_of =
        |name: &Value| labels[Path::new(name.as_str().expect("a name")).file_stem().expect("a stem").to_str().expect("UTF-8")].clone();
    let labels: Vec<String> = embedded["names"].as_array().expect("names").iter().map(label_of).collect();
    let lines = std::fs::read_to_string(toy().join("ImageSets/Segmentation/train.txt")).expect("a list");
    let (train, test) = (0..lines.lines().count(), lines.lines().count()..64);
    let figures = evaluate("knn --k 10,20", trained(), toy());
    for (index, k) in [10, 20].into_iter().enumerate() {
        let correct = test.clone().filter(|&image| vote(&features, &labels, image, train.clone(), k) == labels[image]).count();
        let found = number(&figures, &format!("/per_k/{index}/top1"));
        assert!((found - correct as f64 / test.len() as f64).abs() < 1e-9, "k = {k}: {found} instead of {correct} of {}", test.len());
    }
    assert_eq!(figures["top1"], figures["per_k"][1]["top1"], "top1 is that of k = 20");
    assert!(number(&figures, "top5") >= number(&figures, "top1"));
}

/// The class whose neighbors among `train` have most weight, `exp(cosine / 0.07)` each.
fn vote(features: &Tensor, labels: &[String], image: usize, train: std::ops::Range<usize>, k: usize) -> String {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    let cosine = |a: &[f32], b: &[f32]| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
    let mut neighbors: Vec<(f64, usize)> = train.map(|other| (cosine(features.row(&[image]), features.row(&[other])), other)).collect();
    neighbors.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut votes: BTreeMap<&str, f64> = BTreeMap::new();
    neighbors[..k].iter().for_each(|&(similarity, other)| *votes.entry(&labels[other]).or_default() += (similarity / 0.07).exp());
    votes.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).expect("a vote").0.to_owned()
}

/// The class of each toy scene by its stem.
fn toy_labels() -> BTreeMap<String, String> {
    let table = std::fs::read_to_string(toy().join("labels.csv")).expect("labels");
    table
        .lines()
        .skip(1)
        .map(|line| line.split_once(',').expect("two columns"))
        .map(|(stem, class)| (stem.to_owned(), class.to_owned()))
        .collect()
}

#[test]
fn jaccard_figures_are_ordered_and_the_trivial_ones_exact() {
    let figures = evaluate("jaccard", trained(), toy());
    let figure = |name: &str| {
        let value = number(&figures, name);
        assert!((0.0..=1.0).contains(&value), "{name} = {value}");
        value
    };
    let per_head: Vec<f64> =
        figures["jaccard_per_head"].as_array().expect("heads").iter().map(|value| value.as_f64().expect("a number")).collect();
    assert_eq!((per_head.len(), &figures["images"]), (3, &json!(64)));
    let best = per_head.iter().copied().fold(0.0, f64::max);
    assert!(figure("jaccard_oracle") >= best - 1e-12, "the oracle chooses anew for every object");
    assert!((figure("jaccard_mean_head") - per_head.iter().sum::<f64>() / 3.0).abs() < 1e-9);
    assert!(figure("jaccard_best_head") > 0.0 && figure("jaccard_random_weights") > 0.0);
    // Calling everything an object scores each object's share of the image; a random mask of 60 % its expectation.
    let (mut all, mut random) = (0.0, 0.0);
    for index in 0..64 {
        let shares = object_shares(index);
        all += shares.iter().sum::<f64>() / shares.len() as f64;
        random += shares.iter().map(|share| 0.6 * share / (0.6 + share - 0.6 * share)).sum::<f64>() / shares.len() as f64;
    }
    assert!((figure("jaccard_all") - all / 64.0).abs() < 1e-9, "{}", all / 64.0);
    assert!((figure("jaccard_random_expectation") - random / 64.0).abs() < 1e-9, "{}", random / 64.0);
    figure("jaccard_center_box");
}

/// The share of the image of each of its classes; toy scenes have no void pixels.
fn object_shares(index: usize) -> Vec<f64> {
    let truth = rgb(&toy().join(format!("SegmentationClass/toy_{index:06}.png")));
    let mut pixels: BTreeMap<[u8; 3], u32> = BTreeMap::new();
    truth.pixels().for_each(|pixel| *pixels.entry(pixel.0).or_default() += 1);
    pixels.remove(&[0; 3]);
    pixels.into_values().map(|count| f64::from(count) / f64::from(truth.width() * truth.height())).collect()
}

#[test]
fn jaccard_follows_mass_layer_and_seed() {
    let figures = |words: &str| evaluate(&format!("jaccard {words}"), trained(), toy());
    assert_eq!(figures("--seed 1"), figures("--seed 1"));
    assert_eq!(figures("--layer -2"), figures("--layer 0"));
    assert_ne!(figures("--layer 0")["jaccard_per_head"], figures("--layer 1")["jaccard_per_head"]);
    let (small, large) = (figures("--mass 0.2"), figures("--mass 0.9"));
    assert!(number(&small, "kept_area") < number(&large, "kept_area"));
    // The mass may be chosen with the head: for the half that chooses, none is better, and what it is comes out as well.
    let best = figures("--mass best");
    let alone = figures(&format!("--mass {}", number(&best, "mass")));
    assert_eq!((&best["best_head"], &best["jaccard_best_head"]), (&alone["best_head"], &alone["jaccard_best_head"]));
    assert!(best["protocol"].as_str().is_some_and(|words| words.contains("chosen with the head")));
    let (kept, left) = (number(&figures("--mass 0.9"), "kept_area"), number(&figures("--mass 0.9 --inverted"), "kept_area"));
    assert!((kept + left - 1.0).abs() < 1e-6, "{kept} {left}");
    assert!(figures("--foreground")["objects"].as_f64() <= figures("")["objects"].as_f64());
    assert_eq!(figures("--rollout")["heads"], json!(1));
}

#[test]
fn data_without_answers_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    save(photo(32, 32, 0), &folder.path().join("1.png"));
    save(photo(32, 32, 1), &folder.path().join("2.png"));
    let evaluate = |words: &str| maskroom(&format!("evaluate {words}")).with("--weights", trained()).with("--data", folder.path());
    evaluate("knn").refused(3, &["class"]);
    evaluate("linear").refused(3, &["class"]);
    let outcome = evaluate("jaccard").run();
    assert!(matches!(outcome.status, Some(1..=3)) && outcome.stderr.contains("truth"), "{outcome:?}");
    maskroom("evaluate knn --pool patches").with("--weights", trained()).with("--data", toy()).refused(2, &["--pool"]);
    maskroom("evaluate knn --k 0").with("--weights", trained()).with("--data", toy()).refused(2, &["positive"]);
}

#[test]
fn the_average_is_looked_at_where_there_is_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = folder.path().join("run");
    pretrain(toy(), &run).and("--set optim.ema=0.5 --set optim.base_lr=1e-2 --steps 12 --threads 1").json();
    let features = |kind: &str| {
        let out = folder.path().join("f.safetensors");
        let call = maskroom("embed --weights-kind").arg(kind).with("--weights", &run).with("--data", toy());
        call.with("--out", &out).json();
        tensor(&out, "features")
    };
    assert_eq!(features("best"), features("ema"));
    assert_ne!(features("best"), features("raw"));
    maskroom("embed --weights-kind ema --out f.npy").with("--weights", trained()).with("--data", toy()).refused(3, &["average"]);
}
