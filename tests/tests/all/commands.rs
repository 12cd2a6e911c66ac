//! `commands.jsonl`: what a window or a script asks of a living engine.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Running, events_of, log, maskroom, pretrain, toy};
use crate::readers::{metadata, tensors};

/// Appends a command as a shell script would.
fn ask(run: &Path, id: u32, command: &Value) {
    let mut line = command.clone();
    line["id"] = json!(id);
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(run.join("commands.jsonl")).expect("commands.jsonl");
    writeln!(file, "{line}").expect("a command");
}

/// A run that would take hours, after its first step.
fn endless(run: &Path) -> Running {
    let settings = "--set train.checkpoint_every_steps=1000000 --set train.log_every_steps=1 --set train.validate_every_steps=0";
    let call = pretrain(toy(), run).and(&format!("--steps 1000000 --threads 1 {settings} --set train.preview_every_steps=0 --json"));
    let mut engine = call.start();
    engine.wait_until("its first step", || log(run).contains("\"kind\":\"step\""));
    engine
}

fn files(folder: PathBuf) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    names
}

#[test]
fn pause_resume_checkpoint_preview_and_stop_work_and_an_old_stop_ends_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = folder.path().join("run");
    let mut engine = endless(&run);

    ask(&run, 1, &json!({"kind": "pause"}));
    engine.wait_until("the pause", || log(&run).contains("\"kind\":\"paused\""));
    let paused = log(&run);
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(log(&run), paused, "nothing happens while paused");
    assert!(engine.is_running());

    ask(&run, 2, &json!({"kind": "checkpoint"}));
    engine.wait_until("the checkpoint", || log(&run).contains("\"kind\":\"checkpoint\""));
    assert_eq!(files(run.join("checkpoints")).len(), 1, "also while paused");

    ask(&run, 3, &json!({"kind": "resume"}));
    let steps = |text: &str| text.matches("\"kind\":\"step\"").count();
    let before = steps(&paused);
    engine.wait_until("more steps", || steps(&log(&run)) > before + 2);
    assert_eq!(log(&run).matches("\"kind\":\"paused\"").count(), 2, "going on is told too");

    ask(
        &run,
        4,
        &json!({"kind": "set_preview_images", "images": ["JPEGImages/toy_000003.png", "JPEGImages/toy_000007.png", "no such.png"]}),
    );
    engine.wait_until("a preview", || log(&run).contains("\"kind\":\"preview\""));
    ask(&run, 5, &json!({"kind": "dance"}));
    ask(&run, 6, &json!({"kind": "stop"}));
    let outcome = engine.wait();
    assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);

    let stopped = events_of(&run, "stopped").pop().expect("an end");
    assert_eq!(stopped["reason"], json!("stopped"));
    assert_eq!(outcome.json()["steps"], stopped["step"]);
    assert!(run.join(stopped["last_checkpoint"].as_str().expect("a checkpoint")).join("COMPLETE").is_file());
    let preview = events_of(&run, "preview").pop().expect("a preview");
    let file = run.join(preview["path"].as_str().expect("a path"));
    assert_eq!(file, run.join(format!("previews/{:08}.safetensors", preview["step"].as_u64().expect("a step"))));
    let tensors = tensors(&file);
    assert_eq!(tensors["images"].shape, [2, 32, 32, 3], "{:?}", metadata(&file));
    let warnings = format!("{:?}", events_of(&run, "warning"));
    assert!(warnings.contains("no such.png"), "{warnings}");
    assert!(outcome.stderr.contains("does not know"), "a kind of command from the future is skipped and told: {}", outcome.stderr);

    // The stop was heard: it does not end the run again, and the wish for these images stays.
    let last = stopped["step"].as_u64().expect("a step") + 3;
    let printed = maskroom("train --resume --threads 1 --steps").arg(last.to_string()).arg(&run).json();
    assert_eq!((&printed["steps"], &printed["resumed_from"]), (&json!(last), &stopped["step"]));
    assert_eq!(events_of(&run, "stopped").pop().expect("an end")["reason"], json!("finished"));
}

#[test]
fn a_stop_that_nobody_heard_does_not_end_the_next_engine() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = folder.path().join("run");
    let mut engine = endless(&run);
    ask(&run, 1, &json!({"kind": "checkpoint"}));
    engine.wait_until("the checkpoint", || log(&run).contains("\"kind\":\"checkpoint\""));
    engine.kill();
    ask(&run, 2, &json!({"kind": "stop"}));
    ask(&run, 3, &json!({"kind": "pause"}));
    let mut next = maskroom("train --resume --threads 1").arg(&run).start();
    next.wait_until("it goes on", || {
        log(&run).split("\"kind\":\"resumed\"").nth(1).is_some_and(|after| after.matches("\"kind\":\"step\"").count() > 3)
    });
    ask(&run, 4, &json!({"kind": "stop"}));
    assert_eq!(next.wait().status, Some(0), "what is asked of a living engine is heard");
    assert_eq!(events_of(&run, "stopped").len(), 1);
}

#[test]
fn a_stop_while_paused_and_lines_that_make_no_sense() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = folder.path().join("run");
    let mut engine = endless(&run);
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(run.join("commands.jsonl")).expect("commands.jsonl");
    file.write_all(b"nonsense\n\xff\xfe\n[]\n{\"kind\":3}\n\n").expect("lines");
    ask(&run, 1, &json!({"kind": "pause"}));
    engine.wait_until("the pause", || log(&run).contains("\"kind\":\"paused\""));
    ask(&run, 2, &json!({"kind": "stop"}));
    assert_eq!(engine.wait().status, Some(0));
    let stopped = events_of(&run, "stopped").pop().expect("an end");
    let checkpoint = run.join(stopped["last_checkpoint"].as_str().expect("a checkpoint"));
    assert_eq!(files(checkpoint), ["COMPLETE", "model.safetensors", "optimizer.safetensors", "state.json"]);
}
