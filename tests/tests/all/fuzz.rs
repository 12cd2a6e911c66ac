//! Bytes at random, and good files with bytes changed: every reader gives a value or an error and never panics.

use std::path::Path;

use maskroom_core::dataset::{Limits, decode};
use maskroom_core::device::OpenDevice;
use maskroom_core::mask::{Grid, MASKS, build};
use maskroom_core::random::{Purpose, Stream};
use maskroom_core::recipe;
use maskroom_core::run::{read_all, record};
use maskroom_core::sweep::Sweep;
use maskroom_core::weights::model_file::{Weights, WeightsKind};
use proptest::prelude::*;

use crate::harness::{toy_picture, trained, workspace};
use crate::pictures::photo;

/// So many cases; a failing one is printed and not kept in a file.
fn cases(count: u32) -> ProptestConfig {
    ProptestConfig { cases: count, failure_persistence: None, ..ProptestConfig::default() }
}

/// A good file with some of its bytes changed, and possibly its end cut off.
fn damaged(good: &[u8], changes: &[(prop::sample::Index, u8)], cut: Option<prop::sample::Index>) -> Vec<u8> {
    let mut bytes = good.to_vec();
    changes.iter().for_each(|(at, value)| bytes[at.index(good.len())] = *value);
    bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(good.len())));
    bytes
}

fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8)
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn recipes(text in "(version|method|seed|\\[[a-z]{3,9}\\]|[a-z_]{1,12} = [-0-9a-z\\[\\]., \"]{0,12}|\\PC{0,9}|\n){0,20}") {
        let _ = recipe::check(&text);
    }

    #[test]
    fn sweeps(changes in changes(), cut in any::<Option<prop::sample::Index>>()) {
        let good = std::fs::read(workspace().join("app/src/sweeps/mae-targets.toml")).expect("a sweep");
        let text = String::from_utf8_lossy(&damaged(&good, &changes, cut)).into_owned();
        if let Err(problems) = Sweep::read(&text, Path::new("")) {
            prop_assert!(!problems.is_empty());
        }
    }

    #[test]
    fn settings(key in "(optim|mask|data|backbone)\\.[a-z_]{1,10}", value in "\\PC{0,12}") {
        let _ = recipe::Recipe::resolve(recipe::Base::Preset("mae"), &[(key, value)]);
    }

    #[test]
    fn grids(text in "[0-9x×X +-]{0,24}") {
        if let Ok(grid) = text.parse::<Grid>() {
            prop_assert!(!grid.is_empty());
        }
    }

    #[test]
    fn pictures(changes in changes(), cut in any::<Option<prop::sample::Index>>(), ending in 0..5_usize) {
        let format = [image::ImageFormat::Png, image::ImageFormat::Jpeg, image::ImageFormat::Gif, image::ImageFormat::Tiff, image::ImageFormat::WebP][ending];
        let mut good = std::io::Cursor::new(Vec::new());
        photo(16, 20, 3).write_to(&mut good, format).expect("a picture");
        let _ = decode::decode(&damaged(good.get_ref(), &changes, cut), &Limits::default());
    }

    #[test]
    fn event_logs(changes in changes(), cut in any::<Option<prop::sample::Index>>()) {
        let good = std::fs::read(trained().join("events.jsonl")).expect("events");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("events.jsonl");
        std::fs::write(&path, damaged(&good, &changes, cut)).expect("a file");
        let mut history = Vec::new();
        read_all(&path).expect("any bytes are a log").events.into_iter().for_each(|event| record(&mut history, event));
    }

    #[test]
    fn masks_of_any_grid_that_is_not_objected_to(rows in 1..20_usize, cols in 1..20_usize, kind in 0..MASKS.len(), ratio in 0.0..=1.0_f64, seed: u64) {
        let entry = &MASKS[kind];
        let sets: Vec<_> = entry.knobs.iter().filter(|knob| knob.key == "ratio").map(|knob| (knob.key.to_owned(), ratio.to_string())).collect();
        let strategy = build(entry.name, &sets).expect("a strategy");
        let grid = Grid::still(rows, cols);
        let mask = strategy.sample(grid, &mut Stream::new(seed, 0, 0, Purpose::Mask));
        prop_assert_eq!(mask.masked.len(), grid.len());
        if strategy.check(grid).is_empty() {
            let (low, high) = strategy.num_masked(grid);
            let count = mask.num_masked();
            prop_assert!(count > 0 && count < grid.len() && (low..=high).contains(&count), "{} {count} of {grid}", entry.name);
        }
    }
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn weights(changes in changes(), in_header: bool, cut in any::<Option<prop::sample::Index>>()) {
        let good = std::fs::read(trained().join("checkpoints/00000030/model.safetensors")).expect("a model");
        let header = if in_header { 8000 } else { good.len() };
        let mut bytes = damaged(&good[..header], &changes, cut);
        bytes.extend(&good[header..]);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("model.safetensors");
        std::fs::write(&path, bytes).expect("a file");
        if let Err(error) = Weights::open(&path) {
            prop_assert!(error.to_string().contains("model.safetensors") || matches!(error, maskroom_core::error::Error::Recipe(_)), "{error}");
        }
    }

    #[test]
    fn configs_of_hugging_face(model in prop::sample::select(vec!["vit_mae", "vit", "beit_own", "swin"]), changes in changes(), digit in any::<prop::sample::Index>(), new in b'0'..=b'9') {
        let golden = workspace().join("tests/golden/hugging_face").join(model);
        let mut config = damaged(&std::fs::read(golden.join("config.json")).expect("a config"), &changes, None);
        let digits: Vec<usize> = (0..config.len()).filter(|&at| config[at].is_ascii_digit()).collect();
        config[*digit.get(&digits)] = new;
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("config.json"), config).expect("a file");
        std::fs::copy(golden.join("model.safetensors"), folder.path().join("model.safetensors")).expect("a copy");
        if let Ok(weights) = Weights::open(folder.path()) {
            prop_assert!(weights.network(WeightsKind::Best, &OpenDevice::cpu("small networks").device).is_ok());
        }
    }
}

#[test]
fn the_good_files_are_good() {
    let bytes = std::fs::read(toy_picture(0)).expect("a scene");
    assert!(decode::decode(&bytes, &Limits::default()).is_ok());
    assert!(Weights::open(trained()).is_ok());
}
