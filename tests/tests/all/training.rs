//! `pretrain`, `train`, `bench` and `doctor`.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{NANO, events, events_of, maskroom, number, pretrain, toy, trained};
use crate::readers::{metadata, tensors};

#[test]
fn a_run_says_what_it_did_and_its_folder_holds_all_of_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = folder.path().join("run");
    let call = pretrain(toy(), &run).and("--steps 25 --threads 2 --set train.log_every_steps=1 --set optim.base_lr=1e-2");
    let printed = call
        .and("--set train.validate_every_steps=5 --set train.checkpoint_every_steps=5 --set train.keep_last=2 --set train.keep_best=false")
        .json();
    assert_eq!((&printed["run"], &printed["steps"], &printed["resumed_from"]), (&json!(run), &json!(25), &Value::Null));
    assert!(number(&printed, "images_per_second") > 0.0);

    let steps = events_of(&run, "step");
    let losses: Vec<f64> = steps.iter().map(|step| number(step, "loss")).collect();
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    assert!(
        (number(&printed, "first_loss") - mean(&losses[..10])).abs() < 1e-6
            && (number(&printed, "last_loss") - mean(&losses[15..])).abs() < 1e-6
    );
    assert!(mean(&losses[15..]) < mean(&losses[..10]), "it learns: {losses:?}");
    for (index, step) in steps.iter().enumerate() {
        assert_eq!(number(step, "step"), (index + 1) as f64);
        for field in ["epoch", "loss", "lr", "weight_decay", "grad_norm", "images_per_second", "data_wait_ratio", "seconds"] {
            assert!(number(step, field) >= 0.0, "{step}");
        }
        assert!(step["metrics"].is_object());
    }
    // 52 training images make three batches of 16; the warm-up takes at most a tenth of the steps.
    assert!((number(&steps[2], "epoch") - 1.0).abs() < 1e-9);
    let rates: Vec<f64> = steps.iter().map(|step| number(step, "lr")).collect();
    let highest = 1e-2 * 16.0 / 256.0;
    assert!(rates.iter().all(|&rate| rate <= highest) && rates[3] > 0.98 * highest && rates[24] < highest / 50.0, "{rates:?}");

    let kinds: Vec<String> = events(&run).iter().map(|event| event["kind"].as_str().expect("a kind").to_owned()).collect();
    assert_eq!((kinds[0].as_str(), kinds[kinds.len() - 1].as_str()), ("started", "stopped"));
    assert_eq!(events_of(&run, "validation").len(), 5);
    for validation in events_of(&run, "validation") {
        assert!(
            number(&validation, "loss") > 0.0
                && number(&validation, "baseline_patch_mean") > 0.0
                && number(&validation, "baseline_nearest") > 0.0
        );
    }
    let stopped = &events_of(&run, "stopped")[0];
    assert_eq!((&stopped["reason"], &stopped["last_checkpoint"]), (&json!("finished"), &json!("checkpoints/00000025")));
    assert_eq!(folders(&run.join("checkpoints")), ["00000020", "00000025"], "keep_last = 2");
    assert_eq!(folders(&run.join("checkpoints/00000025")), ["COMPLETE", "model.safetensors", "optimizer.safetensors", "state.json"]);
    for file in [
        "recipe.toml",
        "run.json",
        "engine.lock",
        "report/report.html",
        "report/curves.svg",
        "report/reconstructions.png",
        "report/attention.png",
    ] {
        assert!(run.join(file).is_file(), "no {file}");
    }
    let html = std::fs::read_to_string(run.join("report/report.html")).expect("a report");
    assert!(!html.contains("http://") && !html.contains("https://"), "the report loads nothing from elsewhere");
    let info: Value = serde_json::from_slice(&std::fs::read(run.join("run.json")).expect("run.json")).expect("JSON");
    assert_eq!((&info["data"], &info["device"], &info["name"]), (&json!(toy()), &json!("cpu"), &json!("run")));
}

/// The figure of each validation's step is the one that `evaluate` gives, as so few images are all in the probe.
#[test]
fn where_classes_are_known_a_run_says_how_well_it_tells_them_apart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = folder.path().join("run");
    let printed = pretrain(toy(), &run).and("--steps 25 --set train.validate_every_steps=10 --set optim.base_lr=1e-2").json();
    let probes: Vec<Value> = events_of(&run, "probe").into_iter().filter(|probe| probe["protocol"] == "knn").collect();
    assert_eq!(probes.iter().map(|probe| number(probe, "step")).collect::<Vec<_>>(), [10.0, 20.0, 25.0]);
    for probe in &probes {
        let [top1, chance] = ["/figures/top1", "/figures/chance"].map(|path| number(probe, path));
        assert!((0.0..=1.0).contains(&top1) && (1.0 / 12.0..0.6).contains(&chance), "{probe}");
        assert_eq!((number(probe, "/figures/bank"), number(probe, "/figures/asked"), number(probe, "/figures/k")), (52.0, 12.0, 20.0));
        assert!(probe["note"].as_str().is_some_and(|note| note.contains("12 held-out images") && note.contains("class-token")), "{probe}");
    }
    let last = number(&probes[2], "/figures/top1");
    assert_eq!(number(&printed, "probe_top1"), last);
    let evaluated = maskroom("evaluate knn").with("--weights", &run).with("--data", toy()).json();
    assert_eq!((number(&evaluated, "top1"), number(&evaluated, "commonest_class")), (last, number(&probes[2], "/figures/chance")));
    let html = std::fs::read_to_string(run.join("report/report.html")).expect("a report");
    assert!(html.contains("k-NN top-1 of a probe of 12 images") && html.contains("12 held-out images find their classes"));
}

/// A probe only looks: images without classes, which there is none of, train to the same bits.
#[test]
fn looking_at_classes_changes_no_bit() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [known, unknown] = ["known", "unknown"].map(|name| {
        let images = folder.path().join(name);
        maskroom("data make-toy --count 40 --size 32").with("--out", &images).json();
        images
    });
    std::fs::remove_file(unknown.join("labels.csv")).expect("the classes");
    for (method, sets) in [
        ("mae", "--set backbone.preset=vit-nano --set backbone.depth=1 --set backbone.drop_path=0.2"),
        // Running statistics of its own, and an average of weights that teaches.
        ("byol", "--set backbone.preset=resnet-nano --set backbone.width=8 --set decoder.width=32 --set decoder.hidden=64"),
    ] {
        let [with, without] = [&known, &unknown].map(|images| {
            let run = folder.path().join(format!("{method} of {}", images.file_name().expect("a name").to_string_lossy()));
            maskroom(&format!(
                "pretrain --recipe {method} {sets} --set optim.batch=16 --device cpu --steps 6 --set train.validate_every_steps=2"
            ))
            .with("--data", images)
            .with("--out", &run)
            .json();
            let probes = events_of(&run, "probe").into_iter().filter(|probe| probe["protocol"] == "knn").count();
            let files = ["model.safetensors", "optimizer.safetensors", "state.json"];
            (probes, files.map(|file| std::fs::read(run.join("checkpoints/00000006").join(file)).expect(file)))
        });
        assert_eq!((with.0, without.0), (3, 0), "{method}");
        assert!(with.1 == without.1, "{method}: other weights");
    }
}

fn folders(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(path)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    names
}

#[test]
fn a_checkpoint_speaks_timms_names_and_only_of_what_equal_runs_share() {
    let file = trained().join("checkpoints/00000030/model.safetensors");
    let tensors = tensors(&file);
    for (name, shape) in [
        ("cls_token", vec![1, 1, 96]),
        ("patch_embed.proj.weight", vec![96, 3, 4, 4]),
        ("blocks.0.attn.qkv.weight", vec![288, 96]),
        ("blocks.0.attn.qkv.bias", vec![288]),
        ("blocks.1.attn.proj.weight", vec![96, 96]),
        ("blocks.1.mlp.fc1.weight", vec![384, 96]),
        ("blocks.1.mlp.fc2.weight", vec![96, 384]),
        ("blocks.0.norm1.weight", vec![96]),
        ("norm.weight", vec![96]),
    ] {
        assert_eq!(tensors.get(name).map(|tensor| &tensor.shape), Some(&shape), "{name} among {:?}", tensors.keys());
    }
    assert!(tensors.keys().any(|name| name.starts_with("decoder.")));
    let metadata = metadata(&file);
    assert_eq!(metadata["step"], "30");
    assert!(metadata["recipe"].contains("vit-nano"));
    let everything = format!("{metadata:?}");
    assert!(!everything.contains(&*toy().to_string_lossy()) && !everything.contains("cpu"), "no paths, no devices: {everything}");
}

/// Invariant 6: what is random is a function of seed, epoch and sample, and sums are made in a fixed order.
#[test]
fn the_number_of_threads_changes_no_bit() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let train = |name: &str, threads: &str| {
        let run = folder.path().join(name);
        pretrain(toy(), &run)
            .and("--steps 12 --seed 3 --set backbone.drop_path=0.2 --set optim.base_lr=1e-2 --threads")
            .arg(threads)
            .json();
        ["model.safetensors", "optimizer.safetensors", "state.json"]
            .map(|file| std::fs::read(run.join("checkpoints/00000012").join(file)).expect(file))
    };
    let one = train("one", "1");
    assert!(one == train("two", "2") && one == train("five", "5"), "threads change the result");
    let folder = folder.path().join("other");
    pretrain(toy(), &folder).and("--steps 12 --seed 4 --set backbone.drop_path=0.2 --set optim.base_lr=1e-2 --threads 2").json();
    assert_ne!(one[0], std::fs::read(folder.join("checkpoints/00000012/model.safetensors")).expect("a model"), "the seed does");
}

#[test]
fn settings_beat_presets_in_any_order() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let recipe = |name: &str, words: &str| {
        let run = folder.path().join(name);
        let call = maskroom(&format!("pretrain --recipe mae --device cpu --threads 1 --steps 1 --set optim.batch=4 {words}"));
        call.with("--data", toy()).with("--out", &run).json();
        std::fs::read_to_string(run.join("recipe.toml")).expect("a recipe")
    };
    let first = recipe("first", "--set backbone.width=48 --set backbone.depth=1 --set backbone.preset=vit-nano");
    assert_eq!(first, recipe("last", "--set backbone.preset=vit-nano --set backbone.depth=1 --set backbone.width=48"));
    let table: toml::Table = first.parse().expect("TOML");
    let whole = |key: &str| table["backbone"][key].as_integer();
    assert_eq!((whole("width"), whole("depth"), whole("heads"), whole("patch")), (Some(48), Some(1), Some(3), Some(4)));
    assert!(!first.contains(&*toy().to_string_lossy()) && !first.contains("cpu"), "no paths or devices");
    // A recipe file with settings on top.
    let file = folder.path().join("mine.toml");
    std::fs::write(&file, &first).expect("a new file");
    let run = folder.path().join("third");
    let call = maskroom("pretrain --device cpu --threads 1 --epochs 0.1 --set train.steps=0 --set optim.batch=8").with("--recipe", &file);
    call.with("--data", toy()).with("--out", &run).json();
    let table: toml::Table = std::fs::read_to_string(run.join("recipe.toml")).expect("a recipe").parse().expect("TOML");
    assert_eq!((table["optim"]["batch"].as_integer(), table["optim"]["epochs"].as_float()), (Some(8), Some(0.1)));
}

#[test]
fn epochs_span_the_data() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = folder.path().join("run");
    let printed = pretrain(toy(), &run).and("--epochs 4 --threads 1").json();
    assert_eq!(printed["steps"], json!(12), "four times three batches");
    pretrain(toy(), &folder.path().join("both")).and("--epochs 4 --steps 9").refused(2, &["--steps", "--epochs"]);
    pretrain(toy(), &folder.path().join("none")).and("--epochs 0").refused(2, &["optim.epochs", "no length"]);
}

#[test]
fn no_steps_are_not_eight_hundred_epochs() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Half an epoch at most, were the request taken for "from the epochs".
    let call = pretrain(toy(), &folder.path().join("run")).and("--steps 0 --threads 1 --set optim.epochs=0.5 --set optim.warmup_epochs=0");
    call.refused(2, &["steps"]);
}

#[test]
fn the_best_checkpoint_is_kept_too() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = folder.path().join("run");
    let settings = "--set train.validate_every_steps=4 --set train.checkpoint_every_steps=4 --set train.keep_last=1 --set optim.base_lr=0.3 --set optim.warmup_epochs=0";
    pretrain(toy(), &run).and(&format!("--steps 28 --threads 1 {settings}")).json();
    let mut losses: Vec<(f64, u64)> =
        events_of(&run, "validation").iter().map(|event| (number(event, "loss"), number(event, "step") as u64)).collect();
    losses.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (best, last) = (format!("{:08}", losses[0].1), format!("{:08}", 28));
    let expected = if best == last { vec![last] } else { vec![best, last] };
    assert_eq!(folders(&run.join("checkpoints")), expected, "{losses:?}");
}

#[test]
fn training_can_start_from_weights() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let first_loss = |name: &str, init: Option<&Path>| {
        let call = pretrain(toy(), &folder.path().join(name)).and("--steps 1 --threads 1 --set train.log_every_steps=1");
        number(&init.into_iter().fold(call, |call, init| call.with("--init", init)).json(), "first_loss")
    };
    let (fresh, warm) = (first_loss("fresh", None), first_loss("warm", Some(trained())));
    assert!(warm < fresh, "{warm} {fresh}");
    pretrain(toy(), &folder.path().join("gone")).with("--init", "/nowhere").and("--steps 1").refused(3, &["/nowhere"]);
    let other = pretrain(toy(), &folder.path().join("other")).with("--init", trained()).and("--steps 1 --set backbone.width=48");
    let outcome = other.run();
    assert!(matches!(outcome.status, Some(1..=3)) && outcome.stderr.contains("another network"), "{outcome:?}");
}

#[test]
fn an_existing_run_is_refused_with_the_way_on() {
    let way_on = format!("train {} --resume", trained().display());
    let before = std::fs::read(trained().join("events.jsonl")).expect("events");
    pretrain(toy(), trained()).and("--steps 1").refused(2, &[&way_on]);
    assert_eq!(before, std::fs::read(trained().join("events.jsonl")).expect("events"));
}

#[test]
fn benchmarks_print_what_scripts_rely_on() {
    let figures = maskroom(&format!("bench train {NANO} --steps 2 --threads 2")).json();
    for field in ["images_per_second", "seconds_per_step", "peak_mib", "matrix_peak_gflops", "peak_share"] {
        assert!(number(&figures, field) > 0.0, "{figures}");
    }
    assert!(figures.get("launches_per_step").is_some(), "there, if unknown: {figures}");
    assert!((number(&figures, "images_per_second") * number(&figures, "seconds_per_step") - 16.0).abs() < 1e-6, "{figures}");
    assert!(number(&figures, "peak_share") < 1.2, "{figures}");
    let load = maskroom(&format!("bench load {NANO} --seconds 0.2 --threads 1")).with("--data", toy()).json();
    assert!(number(&load, "images_per_second") > 0.0, "{load}");
    maskroom("bench load --data /nowhere").refused(3, &["/nowhere"]);
    maskroom("bench train --set optim.bach=3").refused(2, &["optim.batch"]);
}

#[test]
fn the_doctor_says_what_will_be_used_and_why() {
    let found = maskroom("doctor --device cpu --threads 1").json();
    assert_eq!((&found["device"], &found["threads"], &found["version"]), (&json!("cpu"), &json!(1), &json!(env!("CARGO_PKG_VERSION"))));
    assert!(found["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{found}");
    assert!(number(&found, "matrix_peak_gflops") > 0.0);
    maskroom("doctor --device toaster").refused(2, &["toaster"]);
}

#[test]
fn what_is_no_terminal_gets_plain_text() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let broken = folder.path().join("broken.png");
    std::fs::write(&broken, "no picture").expect("a file");
    let call = maskroom("embed").with("--weights", trained()).with("--out", folder.path().join("f.npy")).arg("--images");
    let outcome = call.arg(crate::harness::toy_picture(0)).arg(&broken).run();
    assert!(outcome.status == Some(0) && outcome.stderr.contains("broken.png"), "{outcome:?}");
    assert!(
        !outcome.stderr.contains('\x1b') && !outcome.stdout.contains('\x1b'),
        "escape codes where there is no terminal: {:?}",
        outcome.stderr
    );
}

#[test]
fn the_demo_does_the_whole_job() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("demo");
    // The fewest steps there are: what it shows is not good, but all of it is there.
    let printed = maskroom("demo --minutes 0.01 --device cpu").with("--out", &out).json();
    for field in ["loss", "baseline_patch_mean", "baseline_nearest", "seconds"] {
        assert!(number(&printed, field) > 0.0, "{printed}");
    }
    let jaccards = ["jaccard", "jaccard_random_expectation", "jaccard_random_weights", "jaccard_all", "jaccard_center_box", "jaccard_mae"];
    for field in jaccards {
        assert!((0.0..=1.0).contains(&number(&printed, field)), "{printed}");
    }
    let report = std::fs::read_to_string(out.join("report.html")).expect("a report");
    assert_eq!(printed["report"], json!(out.join("report.html")));
    assert!(report.matches("<img").count() >= 3 && report.contains("<svg"), "pictures and curves");
    assert!(!report.contains("http://") && !report.contains("https://"), "the report loads nothing from elsewhere");
    assert!(out.join("masks/coco.json").is_file() && out.join("run/checkpoints").is_dir() && out.join("run-dino/checkpoints").is_dir());
    for part in ["Reconstructions: MAE", "Attention heads: DINO", "best head overlaps the known objects"] {
        assert!(report.contains(part), "{part} is not in the report");
    }
    maskroom("demo --minutes 0.01").with("--out", &out).refused(2, &["exists already"]);
    maskroom("demo --minutes 0").with("--out", folder.path().join("none")).refused(2, &["minutes"]);
}

#[test]
fn words_are_for_people_and_json_for_programs() {
    let outcome = maskroom("recipes --json").run();
    assert!(outcome.stderr.contains("mae"), "with --json the words go to standard error");
    assert_eq!(outcome.json()["recipes"][0]["name"], json!("mae"));
    assert!(maskroom("recipes").run().stdout.contains("mae"));
    maskroom("frobnicate --out x").refused(2, &["--help"]);
    maskroom("pretrian --data x --out y").refused(2, &["pretrian", "pretrain"]);
    let help = maskroom("--help").run();
    assert_eq!(help.status, Some(0));
    for command in [
        "demo",
        "recipes",
        "pretrain",
        "train",
        "data",
        "mask",
        "target",
        "reconstruct",
        "embed",
        "attend",
        "segment",
        "evaluate",
        "sweep",
        "bench",
        "doctor",
    ] {
        assert!(help.stdout.contains(command), "{command} is not in the help");
    }
}
