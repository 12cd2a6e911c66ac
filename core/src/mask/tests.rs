//! What must hold for every strategy of the list, and the statistics that single strategies are held to.

use super::*;
use crate::random::Purpose;

/// Figures over many draws on a still grid.
pub(super) struct Statistics {
    grid: Grid,
    draws: usize,
    counts: Vec<usize>,
    per_patch: Vec<usize>,
    pub(super) mean: f64,
    pub(super) min: usize,
    pub(super) max: usize,
    /// Mean number of neighboring pairs, one masked and one visible.
    pub(super) edges: f64,
}

impl Statistics {
    pub(super) fn of(strategy: &dyn MaskStrategy, grid: Grid, draws: usize) -> Self {
        let (mut counts, mut per_patch, mut edges) = (Vec::with_capacity(draws), vec![0; grid.len()], 0);
        for draw in 0..draws {
            let mask = strategy.sample(grid, &mut Stream::new(0, 0, draw as u64, Purpose::Mask));
            counts.push(mask.num_masked());
            for (patch, &masked) in mask.masked.iter().enumerate() {
                per_patch[patch] += usize::from(masked);
                let right = (patch + 1) % grid.cols != 0 && mask.masked[patch + 1] != masked;
                let below = patch + grid.cols < grid.len() && mask.masked[patch + grid.cols] != masked;
                edges += usize::from(right) + usize::from(below);
            }
        }
        let mean = counts.iter().sum::<usize>() as f64 / draws as f64;
        let (min, max) = (counts.iter().min().copied().unwrap_or(0), counts.iter().max().copied().unwrap_or(0));
        Self { grid, draws, per_patch, mean, min, max, edges: edges as f64 / draws as f64, counts }
    }

    pub(super) fn share_at(&self, count: usize) -> f64 {
        self.counts.iter().filter(|&&drawn| drawn == count).count() as f64 / self.draws as f64
    }

    pub(super) fn share_masked(&self, row: usize, col: usize) -> f64 {
        self.per_patch[row * self.grid.cols + col] as f64 / self.draws as f64
    }
}

fn set(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|&(key, value)| (key.into(), value.into())).collect()
}

#[test]
fn every_strategy_keeps_its_promises_on_every_grid_it_accepts() {
    let mut accepted = 0;
    for entry in MASKS {
        let mut settings = vec![set(&[])];
        for ratio in ["0", "0.05", "0.3", "0.5", "0.75", "0.9", "1"] {
            let knob = if entry.name == "uniform" { "secondary" } else { "ratio" };
            if entry.knobs.iter().any(|known| known.key == knob) {
                settings.push(set(&[(knob, ratio)]));
            }
        }
        match entry.name {
            "grid" => settings.push(set(&[("cell", "3")])),
            "patch_aligned" => settings.push(set(&[("unit", "1")])),
            "block" => settings.push(set(&[("masked", "5"), ("min_block", "2"), ("max_block", "3")])),
            _ => {}
        }
        for set in settings {
            let strategy = build(entry.name, &set).expect("settings in range");
            for rows in 1..=9 {
                for (cols, frames) in [(1, 1), (2, 1), (3, 1), (4, 1), (6, 2), (8, 1), (9, 3), (14, 1), (16, 2)] {
                    let grid = Grid { frames, rows, cols };
                    let fits = strategy.check(grid).is_empty();
                    accepted += usize::from(fits);
                    for seed in 0..4 {
                        check_one(strategy.as_ref(), grid, seed, fits);
                    }
                }
            }
        }
    }
    assert!(accepted > 1_000, "only {accepted} grids accepted");
}

fn check_one(strategy: &dyn MaskStrategy, grid: Grid, seed: u64, fits: bool) {
    let draw = || strategy.sample(grid, &mut Stream::new(seed, 1, 2, Purpose::Mask));
    let mask = draw();
    let about = format!("{strategy:?} on {grid}, seed {seed}");
    assert_eq!(mask, draw(), "not a function of the stream: {about}");
    assert_eq!(
        (mask.grid, mask.masked.len(), mask.secondary.len(), mask.ids_shuffle.len()),
        (grid, grid.len(), grid.len(), grid.len()),
        "{about}"
    );
    let restore = mask.ids_restore();
    assert!((0..grid.len()).all(|patch| mask.ids_shuffle[restore[patch]] == patch), "restore is not the inverse: {about}");
    assert!(mask.ids_keep().iter().all(|&patch| !mask.masked[patch]), "a kept patch is masked: {about}");
    assert!(mask.masked.iter().zip(&mask.secondary).all(|(&masked, &secondary)| !(masked && secondary)), "{about}");
    assert!(mask.masked.iter().zip(&mask.left_out).all(|(&masked, &out)| !(masked && out)), "{about}");
    assert!(mask.ids_keep().iter().all(|&patch| !mask.left_out[patch]), "a kept patch is left out: {about}");
    if fits {
        let (least, most) = strategy.num_masked(grid);
        assert!((least..=most).contains(&mask.num_masked()), "{} is not within {least}..={most}: {about}", mask.num_masked());
        assert!(mask.num_masked() > 0 && mask.num_visible() > mask.num_secondary(), "{about}");
    }
}

#[test]
fn scattered_masks_have_many_edges() {
    let grid = Grid::still(14, 14);
    let noise = |draw| {
        let mut stream = Stream::new(0, 0, draw, Purpose::Mask);
        (0..grid.len()).map(|_| stream.unit()).collect::<Vec<_>>()
    };
    #[derive(Debug)]
    struct Exactly75;
    impl MaskStrategy for Exactly75 {
        fn sample(&self, grid: Grid, stream: &mut Stream) -> Mask {
            let noise: Vec<f64> = (0..grid.len()).map(|_| stream.unit()).collect();
            random::shuffle_from_noise(grid, &noise, 121)
        }
        fn check(&self, _: Grid) -> Vec<Problem> {
            Vec::new()
        }
        fn num_masked(&self, _: Grid) -> (usize, usize) {
            (75, 75)
        }
    }
    assert_ne!(noise(0), noise(1));
    let statistics = Statistics::of(&Exactly75, grid, 5_000);
    assert!((statistics.edges - 172.9).abs() < 1.0, "{}", statistics.edges);
    assert!((statistics.share_masked(0, 0) - 75.0 / 196.0).abs() < 0.03);
}

#[test]
fn requests_from_a_command_line_are_understood_or_refused() {
    assert_eq!(build("random", &set(&[("mask.ratio", "0.8")])).expect("valid").num_masked(Grid::still(14, 14)), (157, 157));
    let error = build("randm", &[]).expect_err("unknown kind");
    assert!(error.exit_status() == 2 && error.to_string().contains("did you mean `random`"), "{error}");
    let error = build("block", &set(&[("min_blok", "4"), ("ratio", "2")])).expect_err("bad knobs").to_string();
    assert!(error.contains("did you mean `mask.min_block`") && error.contains("2 is out of range: choose 0 to 1"), "{error}");
    assert!(build("patch_aligned", &set(&[("unit_px", "32")])).is_err());
}

#[test]
fn grids_are_read_from_text() {
    assert_eq!("14x16".parse::<Grid>().expect("grid"), Grid::still(14, 16));
    assert_eq!("14x16x8".parse::<Grid>().expect("grid"), Grid { frames: 8, rows: 14, cols: 16 });
    assert_eq!(Grid { frames: 8, rows: 14, cols: 16 }.to_string(), "14x16x8");
    for bad in ["", "14", "14x", "0x4", "axb", "1x2x3x4", "99999999999x99999999999", "5000x5000", "-1x4"] {
        assert!(bad.parse::<Grid>().is_err(), "{bad}");
    }
}
