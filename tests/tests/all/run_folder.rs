//! Runs that are killed, interrupted, damaged and continued (invariants 4 and 6): the end is the same to the last bit.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::harness::{Call, events, events_of, log, maskroom, number, pretrain, toy};
use crate::readers::tensors;

/// Steps of the runs here; a checkpoint comes every three.
const STEPS: u64 = 36;

/// What the runs here have in common; the rate is high so that every step leaves its mark.
fn train(run: &Path, words: &str) -> Call {
    train_for(STEPS, run, words)
}

fn train_for(steps: u64, run: &Path, words: &str) -> Call {
    let settings = "--set train.checkpoint_every_steps=3 --set train.keep_last=2 --set train.log_every_steps=1 --set optim.base_lr=1e-2";
    pretrain(toy(), run).and(&format!("--steps {steps} --threads 1 {settings} {words}"))
}

/// Going on with a run.
fn resume(run: &Path) -> Call {
    maskroom("train --resume --threads 1").arg(run)
}

/// A run folder in a temporary folder of its own.
struct Run {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Run {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { path: folder.path().join("run"), _folder: folder }
    }

    /// A run that was killed after its checkpoint at step 9.
    fn killed() -> Self {
        let run = Self::new();
        let mut engine = train(&run.path, "").start();
        engine.wait_until("the checkpoint of step 9", || run.path.join("checkpoints/00000009").exists());
        engine.kill();
        run
    }

    /// Weights and moments at the end.
    fn result(&self) -> [Vec<u8>; 2] {
        let folder = self.path.join(format!("checkpoints/{STEPS:08}"));
        ["model.safetensors", "optimizer.safetensors"].map(|name| std::fs::read(folder.join(name)).expect(name))
    }

    fn checkpoints(&self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> =
            std::fs::read_dir(self.path.join("checkpoints")).expect("checkpoints").map(|entry| entry.expect("an entry").path()).collect();
        paths.sort();
        paths
    }
}

/// The end of a run that nothing disturbs.
fn undisturbed(words: &str) -> [Vec<u8>; 2] {
    let run = Run::new();
    train(&run.path, words).json();
    run.result()
}

/// The steps that readers see: those before a `resumed` that it repeats are gone.
fn visible_steps(run: &Path) -> Vec<u64> {
    let mut steps = Vec::new();
    for event in events(run) {
        let step = event["step"].as_u64();
        match event["kind"].as_str() {
            Some("resumed") => steps.retain(|&earlier| Some(earlier) <= step),
            Some("step") => steps.extend(step),
            _ => {}
        }
    }
    steps
}

#[test]
fn a_run_killed_at_any_moment_ends_as_if_nothing_had_happened() {
    for words in ["", "--set optim.ema=0.9 --set optim.accumulate=2 --set backbone.drop_path=0.2"] {
        let expected = undisturbed(words);
        let run = Run::new();
        let mut call = train(&run.path, words);
        let mut delays = Vec::new();
        for _ in 0..4 {
            let mut engine = call.start();
            let before = log(&run.path).len();
            engine.wait_until("its first event", || log(&run.path).len() > before);
            delays.push(random_millis(350));
            std::thread::sleep(Duration::from_millis(delays[delays.len() - 1]));
            engine.kill();
            call = resume(&run.path);
        }
        let printed = call.json();
        assert_eq!(printed["steps"], json!(STEPS), "{words} killed after {delays:?} ms");
        assert!(run.result() == expected, "{words}: other weights after kills at {delays:?} ms");
        assert_eq!(visible_steps(&run.path), (1..=STEPS).collect::<Vec<_>>(), "{words} killed after {delays:?} ms");
        let left: Vec<_> = std::fs::read_dir(&run.path).expect("the run").map(|entry| entry.expect("an entry").file_name()).collect();
        assert!(!left.iter().any(|name| name.to_string_lossy().starts_with('.')), "leftovers are cleared away: {left:?}");
    }
}

#[test]
fn a_run_killed_before_its_first_checkpoint_begins_again() {
    let run = Run::new();
    let mut engine = train(&run.path, "--set train.checkpoint_every_steps=1000").start();
    engine.wait_until("step 4", || log(&run.path).contains("\"step\":4,"));
    engine.kill();
    let printed = resume(&run.path).json();
    assert_eq!(printed["steps"], json!(STEPS));
    assert!(run.result() == undisturbed("--set train.checkpoint_every_steps=1000"));
    assert_eq!(visible_steps(&run.path), (1..=STEPS).collect::<Vec<_>>(), "readers must be told that the first steps are done again");
}

/// Below `limit`, another number each time.
fn random_millis(limit: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").subsec_nanos();
    u64::from(now / 1000).wrapping_mul(0x9E37_79B9_7F4A_7C15) % limit
}

#[test]
fn an_interrupted_run_leaves_a_checkpoint_and_goes_on_from_there() {
    // A larger batch leaves more time between the step that is waited for and the last.
    let words = "--set optim.batch=48";
    let expected = undisturbed(words);
    for signal in ["INT", "TERM"] {
        let run = Run::new();
        let mut engine = train(&run.path, words).arg("--json").start();
        engine.wait_until("step 5", || log(&run.path).contains("\"step\":5,"));
        engine.signal(signal);
        let outcome = engine.wait();
        assert_eq!(outcome.status, Some(130), "{signal}: {}", outcome.stderr);
        let step = number(&outcome.json(), "steps") as u64;
        assert!((5..STEPS).contains(&step), "{signal} at step {step}");
        let stopped = &events_of(&run.path, "stopped")[0];
        assert_eq!((&stopped["reason"], &stopped["last_checkpoint"]), (&json!("stopped"), &json!(format!("checkpoints/{step:08}"))));
        assert!(run.path.join(format!("checkpoints/{step:08}/COMPLETE")).is_file());
        maskroom("train").arg(&run.path).refused(2, &["--resume"]);
        assert_eq!(resume(&run.path).json()["resumed_from"], json!(step));
        assert!(run.result() == expected, "{signal} at step {step}");
    }
}

#[test]
fn a_second_engine_is_refused_and_names_the_first() {
    let run = Run::new();
    let mut engine = train_for(100_000, &run.path, "").start();
    engine.wait_until("its first step", || log(&run.path).contains("\"kind\":\"step\""));
    let lock: Value = serde_json::from_slice(&std::fs::read(run.path.join("engine.lock")).expect("a lock")).expect("JSON");
    assert_eq!(lock["pid"], json!(engine.pid()));
    let second = resume(&run.path).run();
    assert!(matches!(second.status, Some(1..=2)) && second.stderr.contains(&engine.pid().to_string()), "{second:?}");
    assert!(engine.is_running() && !log(&run.path).contains("\"kind\":\"stopped\""), "the first is undisturbed");
    engine.kill();
    let mut third = resume(&run.path).start();
    third.wait_until("it goes on", || log(&run.path).contains("\"kind\":\"resumed\""));
}

#[test]
fn a_damaged_checkpoint_gives_way_to_the_one_before() {
    let expected = undisturbed("");
    for file in ["model.safetensors", "optimizer.safetensors", "state.json"] {
        let run = Run::killed();
        let [.., before, newest] = &run.checkpoints()[..] else { panic!("two checkpoints") };
        flip_a_byte(&newest.join(file));
        let looked = maskroom("embed --out").arg(run.path.join("../f.npy")).with("--weights", &run.path).with("--data", toy()).run();
        assert_eq!(looked.status, Some(0), "looking uses the last good one too: {}", looked.stderr);
        let printed = resume(&run.path).json();
        let good: u64 = before.file_name().and_then(|name| name.to_str()).expect("a step").parse().expect("a step");
        assert_eq!(printed["resumed_from"], json!(good), "{file}");
        let warnings = events_of(&run.path, "warning");
        let message = warnings.iter().filter_map(|warning| warning["message"].as_str()).find(|message| message.contains("damaged"));
        assert!(message.is_some_and(|message| message.contains(file)), "{file}: {warnings:?}");
        assert!(run.result() == expected, "{file}");
    }
}

#[test]
fn without_any_good_checkpoint_the_run_is_not_silently_begun_anew() {
    let run = Run::killed();
    run.checkpoints().iter().for_each(|path| flip_a_byte(&path.join("model.safetensors")));
    let before: Vec<PathBuf> = run.checkpoints();
    let outcome = resume(&run.path).refused(3, &["damaged"]);
    assert!(outcome.stderr.contains("model.safetensors"), "{}", outcome.stderr);
    assert_eq!(run.checkpoints(), before);
}

fn flip_a_byte(path: &Path) {
    let mut bytes = std::fs::read(path).expect("the file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(path, bytes).expect("the file");
}

#[test]
fn a_checkpoint_without_its_seal_does_not_count() {
    let run = Run::killed();
    let newest = run.checkpoints().pop().expect("a checkpoint");
    std::fs::remove_file(newest.join("COMPLETE")).expect("the seal");
    let from = number(&resume(&run.path).json(), "resumed_from") as u64;
    assert!(!newest.ends_with(format!("{from:08}")), "{from}");
    let expected = undisturbed("");
    assert!(run.result() == expected);
    // Also that of the last step: the run is not finished without it.
    let last = run.path.join(format!("checkpoints/{STEPS:08}"));
    std::fs::remove_file(last.join("COMPLETE")).expect("the seal");
    resume(&run.path).json();
    assert!(last.join("COMPLETE").is_file() && run.result() == expected, "the last checkpoint is written anew");
}

#[test]
fn a_torn_last_line_is_survived() {
    let run = Run::killed();
    let path = run.path.join("events.jsonl");
    let mut text = std::fs::read_to_string(&path).expect("events");
    text.push_str("{\"kind\":\"step\",\"step\":1");
    std::fs::write(&path, text).expect("events");
    resume(&run.path).json();
    assert_eq!(visible_steps(&run.path), (1..=STEPS).collect::<Vec<_>>(), "every line is whole");
    assert!(run.result() == undisturbed(""));
}

#[test]
fn a_finished_run_is_trained_longer() {
    let run = Run::new();
    train(&run.path, "").json();
    let again = maskroom("train --threads 1").arg(&run.path).json();
    assert_eq!((&again["steps"], &again["resumed_from"]), (&json!(STEPS), &json!(STEPS)), "nothing to do is no error");
    let longer = maskroom("train --steps 42 --threads 1").arg(&run.path).json();
    assert_eq!((&longer["steps"], &longer["resumed_from"]), (&json!(42), &json!(STEPS)));
    assert_eq!(visible_steps(&run.path), (1..=42).collect::<Vec<_>>());
    assert!(run.path.join("checkpoints/00000042/COMPLETE").is_file());
    assert_eq!(events_of(&run.path, "stopped").last().expect("an end")["reason"], json!("finished"));
    let recipe = || std::fs::read_to_string(run.path.join("recipe.toml")).expect("a recipe");
    assert!(recipe().contains("steps = 42"), "the folder says what was trained");
    maskroom("train --steps 10 --threads 1").arg(&run.path).run();
    assert!(recipe().contains("steps = 42"), "what is trained cannot be made shorter, and the folder does not claim so");
}

#[test]
fn a_loss_that_is_no_number_ends_the_run_by_name_and_keeps_what_was_good() {
    let run = Run::new();
    let words = "--set optim.base_lr=100 --set optim.weight_decay=10 --set optim.warmup_epochs=0 --set train.checkpoint_every_steps=1";
    let outcome = train_for(400, &run.path, words).refused(1, &["NaN", "optim.base_lr"]);
    assert!(outcome.stderr.contains(".png"), "the batch is named: {}", outcome.stderr);
    let stopped = events_of(&run.path, "stopped").pop().expect("an end");
    assert_eq!(stopped["reason"], json!("failed"));
    let error = stopped["error"].as_str().expect("an error");
    assert!(error.contains("batch: ") && error.contains("toy_") && error.contains("step"), "{error}");
    let last = run.path.join(stopped["last_checkpoint"].as_str().expect("a checkpoint is kept"));
    let weights = tensors(&last.join("model.safetensors"));
    assert!(weights.values().all(|tensor| tensor.values.iter().all(|value| value.is_finite())), "the last good checkpoint is good");
    maskroom("embed --out").arg(run.path.join("../f.npy")).with("--weights", &run.path).with("--data", toy()).json();
}

#[test]
fn a_recipe_of_a_newer_version_is_refused() {
    let run = Run::killed();
    let path = run.path.join("recipe.toml");
    let text = std::fs::read_to_string(&path).expect("a recipe").replace("version = 1", "version = 99");
    std::fs::write(&path, &text).expect("the recipe");
    resume(&run.path).refused(2, &["newer Maskroom", "99"]);
    assert_eq!(std::fs::read_to_string(&path).expect("a recipe"), text, "what is not understood is not touched");
    let other = Run::new();
    let call = maskroom("pretrain --steps 1 --device cpu").with("--recipe", &path).with("--data", toy()).with("--out", &other.path);
    call.refused(2, &["newer Maskroom"]);
    assert!(!other.path.exists());
}

#[test]
fn what_is_no_run_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    maskroom("train").arg(folder.path()).refused(2, &["no run folder", "recipe.toml"]);
    maskroom("train /nowhere --resume").refused(2, &["/nowhere"]);
    let run = Run::killed();
    std::fs::write(run.path.join("run.json"), "{").expect("run.json");
    resume(&run.path).refused(3, &["run.json", "damaged"]);
    let moved = Run::killed();
    let info = moved.path.join("run.json");
    let text = std::fs::read_to_string(&info).expect("run.json").replace(&*toy().to_string_lossy(), "/nowhere/toy");
    std::fs::write(&info, text).expect("run.json");
    resume(&moved.path).refused(3, &["/nowhere/toy"]);
}
