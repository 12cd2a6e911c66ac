//! Whether the loader's memory stays flat over many epochs, whatever the sizes of its images.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Dataset;
use super::images::ImageSource;
use super::loader::{Loader, LoaderOptions};
use super::sample_files::{grainy_photo, jpeg};
use crate::augment::ViewOptions;

/// Resident memory in KiB.
fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// `SOAK_MINUTES=60 cargo test --release --workspace -- --ignored --nocapture memory_is_flat`: so many minutes without and with pictures kept.
#[test]
#[ignore = "minutes long"]
fn memory_is_flat_over_epochs() {
    let minutes = std::env::var("SOAK_MINUTES").map_or(2.0, |minutes| minutes.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    for index in 0..96 {
        let (height, width) = (60 + 13 * (index % 24), 80 + 11 * (index % 31));
        std::fs::write(folder.path().join(format!("{index:02}.jpg")), jpeg(&grainy_photo(height, width, index.into()))).unwrap();
    }
    let source: Arc<dyn ImageSource> = Arc::new(Dataset::open(folder.path()).unwrap());
    for cache_mib in [0, 8] {
        let options = LoaderOptions {
            views: vec![ViewOptions { crop_scale: [0.2, 1.0], crop_ratio: [0.75, 4.0 / 3.0], flip: 0.5, ..ViewOptions::plain(64, 64) }],
            channels: 3,
            mean: vec![0.5; 3],
            std: vec![0.25; 3],
            batch: 16,
            seed: 1,
            threads: 2,
            cache_mib,
            start: (0, 0),
        };
        let mut loader = Loader::start(source.clone(), (0..source.len()).collect(), options).unwrap();
        let (begin, mut measured) = (Instant::now(), Vec::new());
        while begin.elapsed() < Duration::from_secs_f64(minutes * 60.0) {
            // A hundred epochs; one batch of each is dropped instead of handed back.
            for _ in 0..100 {
                (1..loader.batches_per_epoch()).for_each(|_| {
                    let batch = loader.next().unwrap();
                    loader.reuse(batch.images);
                });
                drop(loader.next().unwrap());
            }
            measured.push(resident_kib());
            println!("{cache_mib} MiB kept, epoch {:6}: {} KiB resident", measured.len() * 100, measured[measured.len() - 1]);
        }
        // What the first quarter of the time has seen, nothing later exceeds by more than a few pages' worth.
        let early = measured[..measured.len().div_ceil(4)].iter().max().unwrap();
        assert!(measured.iter().all(|resident| resident < &(early + 2048)), "{early} KiB early on, then {measured:?}");
    }
}
