//! `sweep`: every row with every seed, nothing trained twice, and a table of what the runs themselves say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::{events, events_of, log, maskroom, number, toy, toy_picture};

/// Two rows with two seeds, four steps each.
const TINY: &str = r#"
name = "tiny"
title = "A tiny sweep"
source = "a paper"
data = "toy:24"
seeds = [1, 2]
steps = 4
set = { backbone.preset = "vit-nano", backbone.depth = 1, optim.batch = 8, train.log_every_steps = 1, train.validate_every_steps = 2 }

[[row]]
name = "shallow decoder"
set = { decoder.depth = 1 }
published = { linear = 65.5 }

[[row]]
name = "deep decoder"
set = { decoder.depth = 2 }
"#;

const RUNS: [&str; 4] = ["shallow-decoder-seed1", "deep-decoder-seed1", "shallow-decoder-seed2", "deep-decoder-seed2"];

fn written(folder: &Path, text: &str) -> PathBuf {
    let file = folder.join("tiny.toml");
    std::fs::write(&file, text).expect("a new file");
    file
}

fn logs(out: &Path) -> Vec<String> {
    RUNS.iter().map(|run| log(&out.join("runs").join(run))).collect()
}

#[test]
fn every_row_is_trained_with_every_seed_and_the_second_call_trains_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (file, out) = (written(folder.path(), TINY), folder.path().join("out"));
    let call = || maskroom("sweep --device cpu --threads 1").arg(&file).with("--out", &out);
    let first = call().json();
    assert_eq!((&first["interrupted"], &first["failed"]), (&json!(false), &json!([])));
    for (run, depth, seed) in [(RUNS[0], 1, 1), (RUNS[1], 2, 1), (RUNS[2], 1, 2), (RUNS[3], 2, 2)] {
        let text = std::fs::read_to_string(out.join("runs").join(run).join("recipe.toml")).expect("a recipe");
        let recipe: toml::Table = text.parse().expect("TOML");
        assert_eq!((recipe["decoder"]["depth"].as_integer(), recipe["seed"].as_integer()), (Some(depth), Some(seed)), "{run}");
        assert!(out.join("runs").join(run).join("report/report.html").is_file(), "{run} is a run like any other");
    }
    the_table_says_what_the_events_say(&first, &out);

    let before = logs(&out);
    let tables = ["table.md", "table.csv", "table.json", "curves.svg"].map(|name| std::fs::read(out.join(name)).expect(name));
    assert_eq!(call().json(), first);
    assert_eq!(logs(&out), before, "nothing is trained again");
    assert_eq!(tables, ["table.md", "table.csv", "table.json", "curves.svg"].map(|name| std::fs::read(out.join(name)).expect(name)));
    let kept: Value = serde_json::from_slice(&tables[2]).expect("JSON");
    assert_eq!(kept, first);
    let curves = String::from_utf8(tables[3].clone()).expect("UTF-8");
    assert!(curves.contains("shallow decoder") && curves.contains("Held-out loss"));

    // Other settings are other runs, which are not mixed with those that are there.
    written(folder.path(), &TINY.replace("steps = 4", "steps = 5"));
    call().refused(2, &["shallow-decoder-seed1", "other settings", "--out"]);
    assert_eq!(logs(&out), before);
}

fn the_table_says_what_the_events_say(printed: &Value, out: &Path) {
    let markdown = std::fs::read_to_string(out.join("table.md")).expect("a table");
    for (row, name) in ["shallow decoder", "deep decoder"].into_iter().enumerate() {
        assert_eq!(printed["rows"][row]["name"], json!(name));
        let runs: Vec<PathBuf> = [1, 2].map(|seed| out.join("runs").join(format!("{}-seed{seed}", name.replace(' ', "-")))).to_vec();
        let last = |kind: &str| runs.iter().map(|run| number(events_of(run, kind).last().expect(kind), "loss")).collect::<Vec<f64>>();
        for (key, [a, b]) in [("training_loss", "step"), ("validation_loss", "validation")].map(|(key, kind)| {
            let values = last(kind);
            (key, [values[0], values[1]])
        }) {
            let figure = &printed["rows"][row]["figures"][key];
            assert_eq!((&figure["values"], &figure["tag"]), (&json!([a, b]), &json!("measured")), "{key}");
            // Student's t for one degree of freedom: 12.706.
            let (mean, half) = ((a + b) / 2.0, 12.7062 * (a - b).abs() / 2.0);
            assert!((number(figure, "mean") - mean).abs() < 1e-12 && (number(figure, "half_width_95") - half).abs() < 1e-3 * half);
            assert!(markdown.contains(&format!("{mean:.4} ± {half:.4}")), "{key} of {name} in\n{markdown}");
        }
        for probe in ["linear", "linear_random", "knn", "knn_random"] {
            let share = number(&printed["rows"][row]["figures"][probe], "mean");
            assert!((0.0..=1.0).contains(&share), "{probe} {share}");
        }
    }
    assert_eq!(printed["rows"][0]["published"], json!({"linear": {"value": 65.5, "tag": "published"}}));
    assert_eq!(printed["rows"][1]["published"], json!({}));
    assert!(
        markdown.contains("65.5 (published)") && markdown.contains("Published: a paper") && markdown.contains("not to be ranked by it")
    );
    assert!(printed["protocol"].to_string().contains("ridge regression"), "{printed}");
}

#[cfg(unix)]
#[test]
fn an_interrupted_sweep_says_how_to_go_on_and_does() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // The second run is long enough to be met in the middle.
    let text = TINY.replace("set = { decoder.depth = 2 }", "set = { decoder.depth = 2, train.steps = 100000 }");
    let (file, out) = (written(folder.path(), &text), folder.path().join("out"));
    let call = |words: &str| maskroom(&format!("sweep --device cpu --threads 1 {words}")).arg(&file).with("--out", &out);
    let second = out.join("runs").join(RUNS[1]);
    let mut sweep = call("--json").start();
    sweep.wait_until("the second run", || log(&second).matches("\"kind\":\"step\"").count() > 2);
    sweep.signal("INT");
    let outcome = sweep.wait();
    assert_eq!(outcome.status, Some(130), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("goes on") && outcome.stderr.contains(&*out.to_string_lossy()), "{}", outcome.stderr);
    let printed = outcome.json();
    assert_eq!(printed["interrupted"], json!(true));
    let reasons: BTreeMap<&str, &str> = printed["failed"]
        .as_array()
        .expect("runs without a result")
        .iter()
        .map(|run| (run["run"].as_str().expect("a run"), run["error"].as_str().expect("a reason")))
        .collect();
    let named = |run: &str| reasons.get(format!("runs/{run}").as_str()).copied();
    assert_eq!(RUNS.map(named), [None, Some("interrupted"), Some("not trained yet"), Some("not trained yet")]);
    assert!(number(&printed["rows"][0]["figures"]["training_loss"], "n") == 1.0, "what is there is in the table");

    // The interrupted run goes on from its checkpoint; the finished one is left alone.
    let finished = log(&out.join("runs").join(RUNS[0]));
    let mut sweep = call("").start();
    sweep.wait_until("the second run goes on", || log(&second).contains("\"kind\":\"resumed\""));
    sweep.signal("INT");
    assert_eq!(sweep.wait().status, Some(130));
    assert_eq!(log(&out.join("runs").join(RUNS[0])), finished);
    let resumed = events_of(&second, "resumed");
    assert!(number(&resumed[0], "step") > 0.0 && events(&second)[0]["kind"] == json!("started"), "{resumed:?}");
}

#[test]
fn a_run_that_fails_is_told_and_the_others_go_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // A valid recipe, of which only the data show that it cannot be trained.
    let text = TINY.replace("set = { decoder.depth = 1 }", "set = { data.channels = 5 }");
    let (file, out) = (written(folder.path(), &text), folder.path().join("out"));
    let outcome = maskroom("sweep --device cpu --threads 1 --seed 7 --json").arg(&file).with("--out", &out).with("--data", toy()).run();
    assert_eq!(outcome.status, Some(1), "{}", outcome.stderr);
    let printed = outcome.json();
    let [failed] = &printed["failed"].as_array().expect("failures")[..] else { panic!("{printed}") };
    assert_eq!(
        (&failed["row"], &failed["seed"], &failed["run"]),
        (&json!("shallow decoder"), &json!(7), &json!("runs/shallow-decoder-seed7"))
    );
    assert!(failed["error"].as_str().is_some_and(|reason| reason.contains("5 channels")), "{failed}");
    assert!(std::fs::read_to_string(out.join("table.md")).expect("a table").contains("## Without a result"));
    assert_eq!(number(&printed["rows"][1]["figures"]["validation_loss"], "n"), 1.0, "--seed takes the place of the file's seeds");
    assert!(!out.join("toy-24-32px").exists(), "--data takes the place of the sweep's own");
}

#[test]
fn what_cannot_be_swept_is_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("out");
    let refused = |text: &str, status: i32, words: &[&str]| {
        let file = written(folder.path(), text);
        maskroom("sweep").arg(&file).with("--out", &out).refused(status, words);
        assert!(!out.exists(), "{text}");
    };
    refused(&TINY.replace("decoder.depth = 2", "decoder.dept = 2"), 2, &["row `deep decoder`", "did you mean `decoder.depth`"]);
    refused(&TINY.replace("seeds", "seedz"), 2, &["seedz", "did you mean `seeds`"]);
    maskroom("sweep mae-decoder-dept").refused(2, &["did you mean `mae-decoder-depth`"]);
    maskroom("sweep").refused(2, &["--list"]);
    let file = written(folder.path(), TINY);
    maskroom("sweep").arg(&file).with("--out", &out).with("--data", "/nowhere").refused(3, &["/nowhere"]);
    // A folder of something else is left alone.
    let foreign = folder.path().join("pictures");
    std::fs::create_dir(&foreign).expect("a folder");
    std::fs::copy(toy_picture(0), foreign.join("1.png")).expect("a picture");
    maskroom("sweep").arg(&file).with("--out", &foreign).refused(2, &["holds no sweep"]);
    let listed = maskroom("sweep --list").json();
    assert!(listed["sweeps"].as_array().is_some_and(|sweeps| sweeps.iter().any(|sweep| sweep["name"] == json!("mae-masking"))), "{listed}");
}
