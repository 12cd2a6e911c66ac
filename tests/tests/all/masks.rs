//! `mask`: every strategy, read from the file and held against its definition.

use std::collections::BTreeSet;
use std::path::PathBuf;

use maskroom_core::mask::MASKS;

use crate::harness::{maskroom, number};
use crate::readers::{Npy, npy};

/// Masks of one strategy as lists of rows of a plane, with the figures that the command printed.
struct Sampled {
    file: Npy,
    figures: serde_json::Value,
}

/// Runs `mask` with these words on a grid.
fn sample(words: &str) -> Sampled {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("masks.npy");
    let figures = maskroom(&format!("mask {words}")).with("--out", &out).json();
    assert_eq!(figures["out"], out.display().to_string());
    Sampled { file: npy(&out), figures }
}

impl Sampled {
    /// One mask at a time, with its sides.
    fn planes(&self) -> Vec<(Vec<bool>, usize, usize)> {
        let [count, rows, cols] = self.file.shape[..] else { panic!("{:?}", self.file.shape) };
        let planes: Vec<_> = self.file.bools().chunks_exact(rows * cols).map(|plane| (plane.to_vec(), rows, cols)).collect();
        assert_eq!(planes.len(), count);
        planes
    }

    fn counts(&self) -> Vec<usize> {
        self.planes().iter().map(|(plane, ..)| plane.iter().filter(|&&masked| masked).count()).collect()
    }
}

#[test]
fn every_strategy_masks_some_and_leaves_some_and_says_how_many() {
    for strategy in MASKS.iter().map(|entry| entry.name) {
        let sampled = sample(&format!("--strategy {strategy} --grid 12x16 --count 20"));
        assert_eq!((sampled.file.descr.as_str(), &sampled.file.shape[..]), ("|b1", &[20, 12, 16][..]), "{strategy}");
        let counts = sampled.counts();
        assert!(counts.iter().all(|&count| 0 < count && count < 12 * 16), "{strategy}: {counts:?}");
        let mean = counts.iter().sum::<usize>() as f64 / 20.0;
        assert!((number(&sampled.figures, "masked_mean") - mean).abs() < 1e-9, "{strategy}");
        assert!((number(&sampled.figures, "ratio") - mean / 192.0).abs() < 1e-9, "{strategy}");
        assert_eq!(number(&sampled.figures, "masked_min"), *counts.iter().min().expect("masks") as f64, "{strategy}");
        assert_eq!(number(&sampled.figures, "masked_max"), *counts.iter().max().expect("masks") as f64, "{strategy}");
        let different: BTreeSet<_> = sampled.planes().into_iter().map(|(plane, ..)| plane).collect();
        // A lattice of 2 × 2 cells has four places in all.
        assert!(different.len() >= if strategy == "grid" { 2 } else { 8 }, "{strategy}: only {} different masks", different.len());
    }
}

#[test]
fn masks_are_a_function_of_seed_and_sample() {
    for strategy in MASKS.iter().map(|entry| entry.name) {
        let masks = |count: usize, more: &str| sample(&format!("--strategy {strategy} --grid 12x12 --count {count} {more}")).file.bytes;
        let (all, again, other) = (masks(16, "--seed 7 --threads 1"), masks(16, "--seed 7 --threads 2"), masks(16, "--seed 8"));
        assert_eq!(all, again, "{strategy}");
        assert_ne!(all, other, "{strategy}");
        assert_eq!(masks(4, "--seed 7"), all[..4 * 144], "{strategy}: the first masks do not depend on how many follow");
        assert_eq!(masks(16, ""), masks(16, "--seed 0"), "{strategy}");
    }
}

#[test]
fn videos_have_frames_and_hide_the_same_in_each_or_more() {
    for strategy in MASKS.iter().map(|entry| entry.name) {
        let sampled = sample(&format!("--strategy {strategy} --grid 8x12x3 --count 4"));
        assert_eq!(sampled.file.shape, [4, 3, 8, 12], "{strategy}");
        let frames: Vec<_> = sampled.file.bools().chunks_exact(96).map(<[bool]>::to_vec).collect();
        if strategy != "random" {
            assert!(frames.chunks_exact(3).all(|video| video[0] == video[1] && video[1] == video[2]), "{strategy}");
        }
    }
}

#[test]
fn random_masks_exactly_as_many_as_mae() {
    // keep = int(N · (1 − ratio)), cut off: 196 · 0.25 = 49, 100 · (1 − 0.9) = 9.99…
    for (grid, ratio, masked) in [("14x14", 0.75, 147), ("10x10", 0.9, 91), ("8x8", 0.6, 39)] {
        let counts = sample(&format!("--strategy random --grid {grid} --count 8 --set ratio={ratio}")).counts();
        assert_eq!(counts, [masked; 8], "{grid} {ratio}");
    }
}

#[test]
fn every_patch_has_the_same_chance_under_random() {
    let sampled = sample("--strategy random --grid 4x4 --count 4000 --set ratio=0.75");
    let mut times = [0_u32; 16];
    for (plane, ..) in sampled.planes() {
        times.iter_mut().zip(plane).for_each(|(times, masked)| *times += u32::from(masked));
    }
    // 3000 expected, deviation 27: six of them.
    assert!(times.iter().all(|&times| times.abs_diff(3000) < 165), "{times:?}");
}

#[test]
fn grid_leaves_one_in_every_cell() {
    for cell in [2, 3] {
        for (plane, rows, cols) in sample(&format!("--strategy grid --grid 12x18 --count 10 --set cell={cell}")).planes() {
            for place in 0..rows / cell * (cols / cell) {
                let (row, col) = (place / (cols / cell) * cell, place % (cols / cell) * cell);
                let inside = (0..cell * cell).filter(|&at| !plane[(row + at / cell) * cols + col + at % cell]);
                assert_eq!(inside.count(), 1, "cell {place}");
            }
        }
    }
}

#[test]
fn square_is_one_square_of_that_area() {
    for (plane, rows, cols) in sample("--strategy square --grid 14x14 --count 10 --set ratio=0.5").planes() {
        let masked: Vec<(usize, usize)> =
            (0..rows * cols).filter(|&patch| plane[patch]).map(|patch| (patch / cols, patch % cols)).collect();
        let (top, left) = masked[0];
        let (bottom, right) = masked[masked.len() - 1];
        let (height, width) = (bottom + 1 - top, right + 1 - left);
        assert_eq!((height, width, masked.len()), (10, 10, 100), "100 is the square number nearest to 98");
    }
}

#[test]
fn patch_aligned_masks_whole_units() {
    for (plane, _, cols) in sample("--strategy patch_aligned --grid 14x14 --count 10 --set ratio=0.6 --set unit=2").planes() {
        let unit = |index: usize| [0, 1, cols, cols + 1].map(|step| plane[index / 7 * 2 * cols + index % 7 * 2 + step]);
        assert!((0..49).all(|index| unit(index) == [true; 4] || unit(index) == [false; 4]));
        assert_eq!((0..49).filter(|&index| unit(index)[0]).count(), 30, "0.6 of 49 units, rounded up");
    }
}

#[test]
fn uniform_leaves_one_in_every_cell_and_all_places_equally_often() {
    for (plane, _, cols) in sample("--strategy uniform --grid 16x16 --count 10 --set pool=balanced").planes() {
        let mut places = [0; 4];
        for cell in 0..64 {
            let visible: Vec<_> = (0..4).filter(|at| !plane[(cell / 8 * 2 + at / 2) * cols + cell % 8 * 2 + at % 2]).collect();
            assert_eq!(visible.len(), 1, "the secondary masking is not marked");
            places[visible[0]] += 1;
        }
        assert_eq!(places, [16; 4]);
    }
}

#[test]
fn blocks_reach_their_count_or_exceed_their_ratio() {
    let counts = sample("--strategy block --grid 14x14 --count 40 --set masked=75 --set min_block=16").counts();
    assert!(counts.iter().all(|&count| (65..=75).contains(&count)), "never above, seldom short: {counts:?}");
    assert!(counts.iter().filter(|&&count| count == 75).count() >= 15, "{counts:?}");
    let counts = sample("--strategy block --grid 14x14 --count 20 --set ratio=0.5 --set max_block=30").counts();
    assert!(counts.iter().all(|&count| count <= 98) && counts.contains(&98), "{counts:?}");
    let counts = sample("--strategy block_paper --grid 14x14 --count 40 --set ratio=0.4").counts();
    assert!(counts.iter().all(|&count| count > 78), "Algorithm 1 goes on until the ratio is exceeded: {counts:?}");
}

#[test]
fn impossible_masks_are_refused_with_the_cure() {
    let out = PathBuf::from("/nonexistent/masks.npy");
    let refused = |words: &str, expected: &[&str]| {
        maskroom(&format!("mask --count 1 {words}")).with("--out", &out).refused(2, expected);
    };
    refused("--strategy random --grid 14x14 --set ratio=1.0", &["mask.ratio", "visible"]);
    refused("--strategy random --grid 14x14 --set ratio=0", &["mask.ratio", "masks none"]);
    refused("--strategy random --grid 14x14 --set ratio=1.5", &["out of range", "0 to 1"]);
    refused("--strategy random --grid 14x14 --set ratoi=0.5", &["did you mean `mask.ratio`"]);
    refused("--strategy randon --grid 14x14", &["randon", "did you mean `random`"]);
    refused("--strategy grid --grid 7x7 --set cell=2", &["mask.cell", "7x7"]);
    refused("--strategy patch_aligned --grid 7x7 --set unit=3", &["mask.unit"]);
    refused("--strategy uniform --grid 7x7", &["mask"]);
    refused("--strategy random --grid 14", &["14", "grid"]);
    refused("--strategy random --grid 0x4", &["no patch"]);
}
