//! Weights of real sizes, from a file in the system's cache to a network that is ready: how long it takes, and how much memory of the process's
//! own.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use maskroom_core::device::OpenDevice;
use maskroom_core::weights::model_file::{Weights, WeightsKind};
use serde_json::{Map, json};

/// Names and shapes of timm's vision transformers for patches of 16 px.
fn shapes(width: usize, depth: usize) -> Vec<(String, Vec<usize>)> {
    let mut shapes = vec![
        ("cls_token".to_owned(), vec![1, 1, width]),
        ("pos_embed".to_owned(), vec![1, 197, width]),
        ("patch_embed.proj.weight".to_owned(), vec![width, 3, 16, 16]),
        ("patch_embed.proj.bias".to_owned(), vec![width]),
        ("norm.weight".to_owned(), vec![width]),
        ("norm.bias".to_owned(), vec![width]),
        ("head.weight".to_owned(), vec![1000, width]),
        ("head.bias".to_owned(), vec![1000]),
    ];
    for block in 0..depth {
        for (layer, rows, cols) in [("attn.qkv", 3, 1), ("attn.proj", 1, 1), ("mlp.fc1", 4, 1), ("mlp.fc2", 1, 4)] {
            shapes.push((format!("blocks.{block}.{layer}.weight"), vec![rows * width, cols * width]));
            shapes.push((format!("blocks.{block}.{layer}.bias"), vec![rows * width]));
        }
        for norm in ["norm1", "norm2"] {
            ["weight", "bias"].into_iter().for_each(|kind| shapes.push((format!("blocks.{block}.{norm}.{kind}"), vec![width])));
        }
    }
    shapes
}

/// Writes random weights, a piece at a time, and says how many bytes they have.
fn write(path: &Path, shapes: &[(String, Vec<usize>)]) -> usize {
    let mut end = 0;
    let mut header = Map::new();
    for (name, shape) in shapes {
        let start = end;
        end += 4 * shape.iter().product::<usize>();
        header.insert(name.clone(), json!({"dtype": "F32", "shape": shape, "data_offsets": [start, end]}));
    }
    let header = serde_json::Value::Object(header).to_string();
    let mut state = 1_u32;
    let piece: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state as f32 / u32::MAX as f32 - 0.5) / 16.0
    })
    .take(1 << 18)
    .flat_map(f32::to_le_bytes)
    .collect();
    let mut file = File::create(path).expect("a file");
    file.write_all(&(header.len() as u64).to_le_bytes()).expect("a written length");
    file.write_all(header.as_bytes()).expect("a written header");
    for start in (0..end).step_by(piece.len()) {
        file.write_all(&piece[..(end - start).min(piece.len())]).expect("written numbers");
    }
    end
}

/// Bytes of the process's own that are in memory, those of files not counted.
fn anonymous_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("what Linux knows of a process");
    let kib = status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB")?.parse::<usize>().ok());
    1024 * kib.expect("a number of kB")
}

/// What `work` gives, and the most bytes at a time that were in memory meanwhile.
fn watched<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let is_done = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_done);
    let watch = move || {
        let mut most = anonymous_bytes();
        while !seen.load(Ordering::Acquire) {
            thread::sleep(Duration::from_millis(2));
            most = most.max(anonymous_bytes());
        }
        most
    };
    let watcher = thread::Builder::new().name("memory".into()).spawn(watch).expect("a thread");
    let result = work();
    is_done.store(true, Ordering::Release);
    (result, watcher.join().expect("a figure"))
}

#[test]
#[ignore = "writes 1.6 GB and counts the memory of the whole process: run it alone, with --nocapture for figures"]
fn large_weights_are_ready_soon_and_in_memory_once() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let device = OpenDevice::cpu("figures of the processor").device;
    for (name, width, depth, most_secs) in [("ViT-B", 768, 12, 1.0), ("ViT-L", 1024, 24, 2.0)] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("model.safetensors");
        let size = write(&path, &shapes(width, depth));
        let before = anonymous_bytes();
        let start = Instant::now();
        let ((network, secs), most) = watched(|| {
            let network = Weights::open(&path).and_then(|weights| weights.network(WeightsKind::Best, &device)).expect("a network");
            (network, start.elapsed().as_secs_f64())
        });
        let share = most.saturating_sub(before) as f64 / size as f64;
        println!("{name}: {} MB, ready in {secs:.2} s, {share:.2} of that in memory at most", size / 1_000_000);
        assert!(share < 1.2, "{name} takes {share:.2} of its size");
        assert!(secs < most_secs, "{name} takes {secs:.2} s");
        drop(network);
    }
}
