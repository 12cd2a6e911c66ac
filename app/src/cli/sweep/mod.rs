//! `maskroom sweep`: a grid of recipes, seeds included, one table out. Every run is an ordinary run folder; what has finished is never
//! trained again, so that the same command goes on where an earlier one was ended.

mod built_in;
mod judging;
mod runs;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, bail};
use clap::Args;
use maskroom_core::dataset::{Dataset, toy_scenes};
use maskroom_core::error::{Error, Problem};
use maskroom_core::files::write_atomic;
use maskroom_core::recipe::Recipe;
use maskroom_core::run::{RunFolder, RunInfo};
use maskroom_core::sweep::{Made, RunResult, Sweep, Table, TableRow, folder_name};
use maskroom_core::tokenizer::training::{Options, Tick, train as train_tokenizer};
use maskroom_core::train::control::Ending;
use maskroom_core::train::data::{TrainingData, listed};
use maskroom_core::train::session::{normalize_as, prepare};
use maskroom_widgets::tokens::Tokens;
use serde_json::{Value, json};

use super::INTERRUPTED;
use super::context::{Context, interruption};
use super::progress::Progress;
use super::tokenizer::in_words;
use super::train::{engine_with, finished};
use crate::report::{comparison, duration, stack_svg};
use judging::{Judged, judge};
use runs::{Clock, Run};

#[derive(Args)]
pub struct Arguments {
    /// A sweep file, or the name of a built-in sweep.
    file: Option<String>,
    /// Images to train on, instead of the sweep's own toy scenes.
    #[arg(long)]
    data: Option<PathBuf>,
    /// The folder for runs and table; the same command goes on with what it finds there, and its `sweep.toml` is a start for a sweep of
    /// your own [default: sweep-NAME].
    #[arg(long)]
    out: Option<PathBuf>,
    /// Name the built-in sweeps.
    #[arg(long)]
    list: bool,
}

/// What a sweep works with.
struct Job<'a> {
    context: &'a Context,
    sweep: Sweep,
    out: PathBuf,
    data: PathBuf,
    made: Made,
    interrupted: Arc<AtomicBool>,
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    if arguments.list {
        return Ok(list(context));
    }
    let Some(file) = arguments.file.as_deref() else {
        bail!(Error::Usage("name a sweep file or a built-in sweep; `maskroom sweep --list` names those".into()));
    };
    let (text, folder) = built_in::find(file)?;
    let mut sweep = Sweep::read(&text, &folder).map_err(|problems| unusable(file, &problems))?;
    sweep.seeds = context.seed.map_or(sweep.seeds, |seed| vec![seed]);
    let out = arguments.out.clone().unwrap_or_else(|| format!("sweep-{}", folder_name(&sweep.name)).into());
    let interrupted = interruption()?;
    begin_in(&out, &text)?;
    let data = data_of(context, &sweep, arguments.data.as_deref(), &out)?;
    let mut job = Job { context, sweep, out, data, made: Made::default(), interrupted };

    let mut runs = job.runs()?;
    if runs.iter().any(|run| !run.is_done()) {
        let command = format!("maskroom sweep {file} --out {}", job.out.display());
        let on_data = arguments.data.as_ref().map_or(String::new(), |data| format!(" --data {}", data.display()));
        context.say(format!("{}\nto go on after an interruption: {command}{on_data}", job.sweep.title));
        if job.make_tokenizer()? == Ending::Finished && job.make_teacher()? == Ending::Finished {
            job.train(&mut runs)?;
        }
    }
    job.finish(&runs)
}

fn list(context: &Context) -> ExitCode {
    let titles: Vec<(&str, String)> = built_in::SWEEPS.iter().map(|(name, text)| (*name, built_in::title_of(text))).collect();
    titles.iter().for_each(|(name, title)| context.say(format!("{name:<24} {title}")));
    let listed: Vec<Value> = titles.iter().map(|(name, title)| json!({"name": name, "title": title})).collect();
    context.result(&json!({"sweeps": listed}))
}

fn unusable(file: &str, problems: &[Problem]) -> Error {
    let list: String = problems.iter().map(|problem| format!("\n  {problem}")).collect();
    Error::Usage(format!("the sweep {file} cannot be used:{list}"))
}

/// Makes the folder, or takes one that an earlier call has made; the sweep's text is kept in it.
fn begin_in(out: &Path, text: &str) -> Result<()> {
    let kept = out.join("sweep.toml");
    let used = std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some());
    if out.is_file() || (used && !kept.is_file()) {
        bail!(Error::Usage(format!("{} is not empty and holds no sweep: give --out a new or empty folder", out.display())));
    }
    std::fs::create_dir_all(out).map_err(Error::io("create", out))?;
    Ok(write_atomic(&kept, text.as_bytes())?)
}

/// The data that were given, else the sweep's toy scenes, painted when they are first needed.
fn data_of(context: &Context, sweep: &Sweep, given: Option<&Path>, out: &Path) -> Result<PathBuf> {
    if let Some(data) = given {
        Dataset::open(data)?;
        return Ok(std::path::absolute(data)?);
    }
    let Some(count) = sweep.toy_scenes else {
        bail!(Error::Usage("the sweep names no data: give --data DIR, or write `data = \"toy:2000\"` into it".into()));
    };
    let side = sweep.toy_side_px();
    let folder = out.join(format!("toy-{count}-{side}px"));
    if !folder.exists() {
        // Painted aside, so that a folder of that name is always complete.
        let half_done = out.join(".painting");
        if half_done.exists() {
            std::fs::remove_dir_all(&half_done).map_err(Error::io("remove", &half_done))?;
        }
        let mut progress = Progress::new("painting", count as u64);
        toy_scenes::make_toy(&half_done, count, (side, side), 0, &mut |done| progress.set(done as u64, String::new()))?;
        drop(progress);
        std::fs::rename(&half_done, &folder).map_err(Error::io("create", &folder))?;
        context.say(format!("painted {count} toy scenes of {side} px"));
    }
    Ok(std::path::absolute(folder)?)
}

impl Job<'_> {
    fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// Every run of the sweep, one seed after another, so that early on there is something to compare.
    fn runs(&self) -> Result<Vec<Run>> {
        let mut runs = Vec::new();
        for &seed in &self.sweep.seeds {
            for index in 0..self.sweep.rows.len() {
                runs.push(Run::find(self, index, seed)?);
            }
        }
        Ok(runs)
    }

    /// The tokenizer that some rows need: trained once, and kept beside the runs.
    fn make_tokenizer(&mut self) -> Result<Ending> {
        let (Some(row), Some(settings), Some(identity)) =
            (self.sweep.row_with_tokens(), &self.sweep.tokenizer, self.sweep.tokenizer_identity())
        else {
            return Ok(Ending::Finished);
        };
        let path = std::path::absolute(self.out.join(format!("tokenizer-{identity}.safetensors")))?;
        if !path.is_file() {
            let mut recipe = self.sweep.recipe(row, self.sweep.seeds[0], &Made::default())?;
            normalize_as(&listed(&self.data, &recipe)?, &self.data, &mut recipe)?;
            let mut progress = Progress::new("tokenizer", settings.steps as u64);
            let mut on_tick = |tick: &Tick| progress.set(tick.step as u64, in_words(tick));
            let mut options = Options { threads: self.context.threads, interrupted: &self.interrupted, on_tick: &mut on_tick };
            let trained = train_tokenizer(&TrainingData::open(&self.data, &recipe)?, &recipe, settings, &mut options)?;
            drop(progress);
            if trained.interrupted {
                return Ok(Ending::Interrupted);
            }
            trained.tokenizer.save(&path)?;
            trained.pictures.save_png(&path.with_extension("png"))?;
            let (error, perplexity) = (trained.loss, trained.usage.perplexity());
            self.context.say(format!("tokenizer: squared error {error:.4}, perplexity {perplexity:.0} of {} codes", settings.codes));
        }
        self.made.tokenizer = Some(path);
        Ok(Ending::Finished)
    }

    /// The teacher that some rows need: an ordinary run beside theirs, trained once.
    fn make_teacher(&mut self) -> Result<Ending> {
        let Some(recipe) = self.sweep.rows.iter().find_map(|row| self.sweep.teacher_of(row)) else { return Ok(Ending::Finished) };
        let identity: String = recipe.hash().chars().take(8).collect();
        let run = RunFolder { root: std::path::absolute(self.out.join(format!("teacher-{identity}")))? };
        if run.exists() && run.info()?.data.as_ref() != Some(&self.data) {
            let place = run.root.display();
            bail!(Error::Usage(format!("{place} was trained on other data: give --out another folder, or remove that one")));
        }
        if !finished(&run) {
            match self.train_teacher(&run, recipe) {
                Ok(Ending::Finished) => {}
                Ok(other) => return Ok(other),
                // The rows that need none are trained all the same.
                Err(error) => {
                    self.context.say(format!("teacher: {}", super::in_words(&error)));
                    return Ok(Ending::Finished);
                }
            }
        }
        self.made.teacher = Some(run.root);
        Ok(Ending::Finished)
    }

    fn train_teacher(&self, run: &RunFolder, recipe: &Recipe) -> Result<Ending> {
        if !run.exists() {
            prepare(&run.root, &self.data, recipe, RunInfo { name: "teacher".into(), ..runs::info_of(self.context) })?;
        }
        let mut progress = Progress::new("teacher", recipe.train.steps as u64);
        let summary = engine_with(self.context, run, None, &self.interrupted, &mut |tick| progress.tick(tick))?;
        drop(progress);
        if summary.ending == Ending::Finished {
            self.context.say(format!("teacher: {} after {} steps, loss {:.4}", recipe.method, summary.steps, summary.last_loss));
        }
        Ok(summary.ending)
    }

    /// Trains what is not done, until somebody interrupts. A run that fails keeps its reason, and the others go on.
    fn train(&self, runs: &mut [Run]) -> Result<()> {
        let total = runs.len();
        let clock = Clock::predict(self, runs)?;
        let left = runs.iter().filter(|run| !run.is_done()).count();
        self.context.say(format!("{left} of {total} runs to train, about {} on this machine", duration(clock.seconds_left(0, 0.0))));
        for (index, run) in runs.iter_mut().enumerate().filter(|(_, run)| !run.is_done()) {
            run.train(self, &clock, index);
            if self.is_interrupted() {
                break;
            }
            let words = match run.why_not() {
                Some(why) => why.to_owned(),
                None => judge(self, run).map_or_else(|error| super::in_words(&error), |judged| judged.in_words()),
            };
            self.context.say(format!("{}/{total}  {}: {words}", index + 1, run.name));
        }
        Ok(())
    }

    /// Writes table and curves of what there is, and prints them.
    fn finish(&self, runs: &[Run]) -> Result<ExitCode> {
        let judged: Vec<Result<Judged, String>> = runs
            .iter()
            .map(|run| match run.why_not() {
                Some(why) => Err(why.to_owned()),
                None => judge(self, run).map_err(|error| super::in_words(&error)),
            })
            .collect();
        let table = self.table(runs, &judged);
        let path = |name: &str| self.out.join(name);
        write_atomic(&path("table.md"), table.to_markdown().as_bytes())?;
        write_atomic(&path("table.csv"), table.to_csv().as_bytes())?;
        let charts = comparison::charts(&self.events_by_row(runs));
        write_atomic(&path("curves.svg"), stack_svg(&charts, Tokens::light()).as_bytes())?;
        let absolute = std::path::absolute(&self.out)?;
        let mut value = table.to_json();
        value["out"] = json!(absolute);
        value["table"] = json!(absolute.join("table.md"));
        value["curves"] = json!(absolute.join("curves.svg"));
        value["interrupted"] = json!(self.is_interrupted());
        let pretty = serde_json::to_vec_pretty(&value)?;
        write_atomic(&path("table.json"), &pretty)?;

        self.context.say(format!("\n{}", table.grid_in_markdown()));
        self.context.say(format!("table  {}\ncurves {}", path("table.md").display(), path("curves.svg").display()));
        let status = self.context.result(&value);
        if self.is_interrupted() {
            self.context.say("interrupted: what is trained is kept, and the same command goes on");
            return Ok(ExitCode::from(INTERRUPTED));
        }
        Ok(if table.failures().next().is_some() { ExitCode::FAILURE } else { status })
    }

    fn table(&self, runs: &[Run], judged: &[Result<Judged, String>]) -> Table {
        let rows = self.sweep.rows.iter().enumerate().map(|(index, row)| {
            let of_row = runs.iter().zip(judged).filter(|(run, _)| run.row == index).map(|(run, judged)| RunResult {
                seed: run.seed,
                folder: run.relative.clone(),
                figures: judged.as_ref().map(|judged| judged.figures.clone()).map_err(Clone::clone),
            });
            TableRow {
                name: row.name.clone(),
                settings: row.settings.iter().map(|(key, value)| format!("{key} = {value}")).collect(),
                published: row.published.clone(),
                runs: of_row.collect(),
            }
        });
        let sweep = &self.sweep;
        let data = match sweep.toy_scenes.filter(|_| self.data.starts_with(std::path::absolute(&self.out).unwrap_or_default())) {
            Some(count) => format!("{count} toy scenes of {} px, the last fifth held out", sweep.toy_side_px()),
            None => self.data.display().to_string(),
        };
        let mut notes = vec![format!("Data: {data}. Every recipe is in its run folder."), judging::LOSSES.to_owned()];
        notes.extend(judged.iter().flatten().next().map(|judged| judged.notes.clone()).unwrap_or_default());
        Table { name: sweep.name.clone(), title: sweep.title.clone(), source: sweep.source.clone(), notes, rows: rows.collect() }
    }

    fn events_by_row(&self, runs: &[Run]) -> Vec<comparison::Row> {
        let of_row =
            |index: usize| runs.iter().filter(|run| run.row == index).map(Run::events).filter(|events| !events.is_empty()).collect();
        self.sweep.rows.iter().enumerate().map(|(index, row)| comparison::Row { name: row.name.clone(), runs: of_row(index) }).collect()
    }
}
