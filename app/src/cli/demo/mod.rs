//! `maskroom demo`: the main job on built-in toy scenes, ending in one report with pictures. A masked autoencoder draws what is hidden;
//! DINO, beginning with its encoder, attends to objects, of which masks are made.

mod look;
mod trainings;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use maskroom_core::dataset::toy_scenes;
use maskroom_core::error::Error;
use maskroom_core::run::{RunFolder, RunInfo, read_all};
use maskroom_core::train::control::Ending;
use maskroom_core::train::session::{Summary, prepare};
use serde_json::json;

use super::INTERRUPTED;
use super::context::Context;
use super::progress::Progress;
use super::train::engine;
use crate::report::run_report::{last_validation, of_run, save};
use crate::report::{Report, Section, figure};
use look::Look;
use trainings::{DINO, MAE, Training};

#[derive(Args)]
pub struct Arguments {
    /// The folder to make; it must be new or empty.
    #[arg(long, default_value = "maskroom-demo")]
    out: PathBuf,
    /// Minutes of pre-training, shared out between the masked autoencoder and DINO.
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
}

/// Toy scenes to paint: enough that none is seen too often in the time there is.
const SCENES: usize = 4096;
/// Their side in pixels.
const SIDE_PX: usize = 32;

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let begin = Instant::now();
    if !(arguments.minutes > 0.0 && arguments.minutes <= 10_000.0) {
        bail!(Error::Usage(format!("{} minutes make no training: use a number above 0", arguments.minutes)));
    }
    refuse_used_folder(&arguments.out)?;
    let data = arguments.out.join("data");
    let mut progress = Progress::new("painting", SCENES as u64);
    toy_scenes::make_toy(&data, SCENES, (SIDE_PX, SIDE_PX), context.seed.unwrap_or(0), &mut |done| {
        progress.set(done as u64, String::new());
    })?;
    drop(progress);

    let mut finished = Vec::new();
    for training in [MAE, DINO] {
        // DINO goes on with the masked autoencoder's encoder: from nothing, it learns too little in minutes for its heads to find anything.
        let begin_with = finished.last().map(|(run, ..): &(RunFolder, Summary, Look)| run.root.as_path());
        let (run, summary) = train(context, arguments, &training, &data, begin_with)?;
        if summary.ending != Ending::Finished {
            context.say(format!("interrupted: go on with `maskroom train {} --resume`", run.root.display()));
            return Ok(ExitCode::from(INTERRUPTED));
        }
        let look = Look::new(&run, &data)?;
        finished.push((run, summary, look));
    }
    let [(mae_run, mae_summary, mae), (dino_run, dino_summary, dino)] = &finished[..] else { bail!("a training is missing") };

    let masks = dino.export_masks(&arguments.out)?;
    let mut report = put_together(of_run(mae_run)?, of_run(dino_run)?, [dino.pictures(masks), dino.bars(DINO.name, (MAE.name, mae))]);
    let ([jaccard, jaccard_random_weights], [jaccard_mae, jaccard_mae_random_weights]) = (dino.overlap(), mae.overlap());
    report.verdict.text += &in_words(jaccard, jaccard_random_weights, jaccard_mae);
    report.title = "Maskroom on toy scenes".into();
    report.facts.push(("Whole demo".into(), crate::report::duration(begin.elapsed().as_secs_f64())));
    let page = save(&report, &arguments.out.join("report.html"))?;

    let events = read_all(&mae_run.events_path())?.events;
    let validation = last_validation(&events).context("the run has no validation")?;
    context.say(report.verdict.text.as_str());
    context.say(format!("report {}", page.display()));
    Ok(context.result(&json!({
        "loss": validation.loss,
        "baseline_patch_mean": validation.baseline_patch_mean,
        "baseline_nearest": validation.baseline_nearest,
        "jaccard": dino.trained.jaccard_best_head,
        "jaccard_random_expectation": dino.trained.jaccard_random_expectation,
        "jaccard_random_weights": dino.random.jaccard_best_head,
        "jaccard_all": dino.trained.jaccard_all,
        "jaccard_center_box": dino.trained.jaccard_center_box,
        "jaccard_oracle": dino.trained.jaccard_oracle,
        "jaccard_mean_head": dino.trained.jaccard_mean_head,
        "best_layer": dino.place.layer,
        "best_head": dino.head,
        "best_mass": dino.trained.mass,
        "jaccard_mae": mae.trained.jaccard_best_head,
        "jaccard_mae_random_weights": jaccard_mae_random_weights,
        "steps": mae_summary.steps,
        "images_per_second": mae_summary.images_per_second,
        "run": std::path::absolute(&mae_run.root)?,
        "dino_steps": dino_summary.steps,
        "dino_images_per_second": dino_summary.images_per_second,
        "run_dino": std::path::absolute(&dino_run.root)?,
        "seconds": begin.elapsed().as_secs_f64(),
        "report": page,
    })))
}

fn refuse_used_folder(out: &Path) -> Result<()> {
    let used = std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some());
    if used || out.is_file() {
        bail!(Error::Usage(format!("{} exists already: remove it, or give --out another folder", out.display())));
    }
    std::fs::create_dir_all(out).map_err(Error::io("create", out))?;
    Ok(())
}

/// One training from beginning to end.
fn train(
    context: &Context,
    arguments: &Arguments,
    training: &Training,
    data: &Path,
    begin_with: Option<&Path>,
) -> Result<(RunFolder, Summary)> {
    let recipe = training.timed_recipe(context, arguments.minutes)?;
    let init = begin_with.map(std::path::absolute).transpose()?;
    let info = RunInfo { name: format!("{} on toy scenes", training.name), device: "auto".into(), init, ..RunInfo::default() };
    let run = prepare(&arguments.out.join(training.folder), data, &recipe, info)?;
    let summary = engine(context, &run, None)?;
    Ok((run, summary))
}

/// One page of two runs: what the masked autoencoder draws, where DINO looks, what is made of that, and what both were.
fn put_together(mae: Report, dino: Report, made: [Section; 2]) -> Report {
    let dinos = |label: &'static str| {
        let found = dino.facts.iter().filter(move |(known, _)| known == label);
        found.map(|(label, value)| (format!("{}: {label}", DINO.name), value.clone()))
    };
    let facts = mae.facts.iter().cloned().chain(["Steps", "Epochs", "Training time"].into_iter().flat_map(dinos)).collect();
    let attends = |section: &Section| matches!(section, Section::Pictures { title, .. } if title == "Attention heads");
    let is_seen = |section: &Section| matches!(section, Section::Curves { .. } | Section::Pictures { .. });
    // The masked autoencoder's heads make way for DINO's.
    let (seen, behind): (Vec<_>, Vec<_>) = mae.sections.into_iter().filter(|section| !attends(section)).partition(is_seen);
    let (dinos_seen, dinos_behind): (Vec<_>, Vec<_>) = dino.sections.into_iter().partition(is_seen);
    let of = |name: &'static str| move |section: Section| section.of(name);
    let sections = seen.into_iter().map(of(MAE.name)).chain(dinos_seen.into_iter().map(of(DINO.name))).chain(made);
    let sections = sections.chain(behind.into_iter().map(of(MAE.name))).chain(dinos_behind.into_iter().map(of(DINO.name))).collect();
    Report { subtitle: format!("{}; {}", mae.subtitle, dino.subtitle), facts, sections, ..mae }
}

/// What DINO's head is good for, beside the same network before training and the other network, in words.
fn in_words(trained: f64, untrained: f64, other: f64) -> String {
    /// Below it, a difference is none.
    const NOTABLE: f64 = 0.01;
    let judged = match trained - untrained {
        gain if gain > NOTABLE => "",
        gain if gain < -NOTABLE => ": so short a training has made its heads worse",
        _ => ": so short a training has not made its heads better",
    };
    let [trained, untrained, other] = [trained, untrained, other].map(figure);
    format!(
        " DINO went on with the masked autoencoder's encoder; its best head overlaps the known objects by {trained}, with random weights by \
         {untrained}{judged}; the masked autoencoder's by {other}."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_training_that_has_not_helped_is_called_so() {
        assert!(in_words(0.41, 0.30, 0.33).contains("by 0.41, with random weights by 0.3; the masked autoencoder's by 0.33"));
        assert!(in_words(0.305, 0.30, 0.33).contains("not made its heads better"));
        assert!(in_words(0.25, 0.30, 0.33).contains("made its heads worse"));
    }

    #[test]
    fn the_page_has_dinos_heads_and_the_other_networks_drawings() {
        let pictures =
            |title: &str| Section::Pictures { title: title.into(), note: String::new(), headings: Vec::new(), images: Vec::new() };
        let code = || Section::Code { title: "Recipe".into(), text: String::new() };
        let report = |sections| Report { facts: vec![("Steps".into(), "7".into())], sections, ..Report::default() };
        let mae = report(vec![pictures("Reconstructions"), pictures("Attention heads"), code()]);
        let page = put_together(mae, report(vec![pictures("Attention heads"), code()]), [pictures("Masks"), code()]);
        let title = |section: &Section| match section {
            Section::Pictures { title, .. } | Section::Code { title, .. } => title.clone(),
            _ => String::new(),
        };
        let titles: Vec<String> = page.sections.iter().map(title).collect();
        assert_eq!(titles, ["Reconstructions: MAE", "Attention heads: DINO", "Masks", "Recipe", "Recipe: MAE", "Recipe: DINO"]);
        assert_eq!(page.facts.last().map(|(label, _)| label.as_str()), Some("DINO: Steps"));
    }
}
