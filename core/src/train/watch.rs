//! What is looked at beside the training: fixed images for the loss, others for the pictures, and the checkpoints.

use std::path::Path;

use super::baseline::Baselines;
use super::class_probe::ClassProbe;
use super::collapse::{Collapse, collapse};
use super::data::spread;
use super::engine::Engine;
use super::report::Reporter;
use super::validate::{Asked, FixedSet};
use super::view_check;
use crate::error::{Error, Result};
use crate::method::{Lesson, Task};
use crate::run::{COMPLETE, Event, Figures, Probe, Validation};

/// The fixed images, loaded when they are first needed so that training starts at once.
pub struct Watch {
    validation: Option<(FixedSet, Asked)>,
    preview: Option<FixedSet>,
    preview_samples: Vec<usize>,
    /// Where classes are known and images held out.
    classes: Option<ClassProbe>,
    /// What was said already.
    told: Option<Collapse>,
}

/// Steps before which nothing is called a collapse: untrained networks answer alike too.
const YOUNG: u64 = 100;

impl Watch {
    /// For a run that begins or goes on.
    pub fn new(engine: &Engine) -> Self {
        let wished: Vec<usize> = engine.preview_wish.iter().flatten().filter_map(|name| index_of(engine, name)).collect();
        let shown = || spread(&engine.data.validation, engine.recipe.train.preview_images);
        let preview_samples = if wished.is_empty() { shown() } else { wished };
        let classes = ClassProbe::new(&engine.data, &engine.recipe, engine.steps());
        Self { validation: None, preview: None, preview_samples, classes, told: None }
    }

    /// The validation images, and what is asked for in them, which no training changes, unless its own average teaches.
    fn validation(&mut self, engine: &Engine, task: &Task) -> &(FixedSet, Asked) {
        let known = match self.validation.take() {
            Some((set, asked)) if !task.target.follows_average() => (set, asked),
            earlier => {
                let set = earlier.map_or_else(|| fixed_set(engine, &engine.data.validation), |(set, _)| set);
                let asked = set.asked(task);
                (set, asked)
            }
        };
        self.validation.insert(known)
    }

    /// Logs what no network scores on the validation images, so that every later loss has something to be held against. Where that changes
    /// with the teacher, it stands beside each validation; where views are compared, there is no such thing.
    ///
    /// # Errors
    /// If the log cannot be written.
    pub fn baselines(&mut self, engine: &Engine, reporter: &mut Reporter<'_>) -> Result<()> {
        let Some(task) = engine.learner.lesson.task().filter(|task| !task.target.follows_average()) else { return Ok(()) };
        reporter.off_the_clock(|reporter| {
            let &Asked { baselines: Some(baselines), size, .. } = &self.validation(engine, task).1 else { return Ok(()) };
            let mut figures = Figures::from([("patch_mean".into(), baselines.patch_mean), ("nearest".into(), baselines.nearest)]);
            // Of a network that does not look at the image: of absolute errors, one that predicts zero.
            let trivial = match engine.recipe.objective.kind.as_str() {
                "mse" | "cross_entropy" => task.target.trivial_loss(task.shape),
                "l1" => Some(size),
                _ => None,
            };
            figures.extend(trivial.map(|trivial| ("trivial".to_owned(), trivial)));
            reporter.event(&Event::Probe(Probe { step: engine.progress.step, protocol: "baselines".into(), figures, ..Probe::default() }))
        })
    }

    /// Logs the loss on the validation images; true if it is the best so far.
    ///
    /// # Errors
    /// If the device fails or the log cannot be written.
    pub fn validate(&mut self, engine: &mut Engine, reporter: &mut Reporter<'_>) -> Result<bool> {
        reporter.off_the_clock(|reporter| {
            let Some(validation) = self.look(engine)? else { return Ok(false) };
            let (step, loss) = (validation.step, validation.loss);
            self.judge(engine, reporter, &validation.metrics)?;
            reporter.event(&Event::Validation(validation))?;
            if !engine.learner.lesson.losses_compare() {
                // What is asked for has changed since the last time, so that a lower loss need not be a better one.
                return Ok(false);
            }
            let better = engine.progress.best.is_none_or(|(_, best)| loss < best);
            if better {
                engine.progress.best = Some((step, loss));
            }
            Ok(better && engine.recipe.train.keep_best)
        })
    }

    fn look(&mut self, engine: &Engine) -> Result<Option<Validation>> {
        let mut metrics = Figures::from([("held_out".into(), f64::from(u8::from(!engine.data.held_out.is_empty())))]);
        // Where nothing is hidden, there is nothing to guess.
        let nothing = Baselines { patch_mean: f64::NAN, nearest: f64::NAN };
        let (loss, baselines) = match engine.learner.lesson.task() {
            None => {
                let Some((loss, figures)) = view_check::check(engine)? else { return Ok(None) };
                metrics.extend(figures);
                (loss, nothing)
            }
            Some(task) => {
                let (set, asked) = self.validation(engine, task);
                let Some((loss, accuracy)) = set.loss(&engine.learner.judged(), task, engine.recipe.optim.batch.min(64))? else {
                    return Ok(None);
                };
                metrics.extend(accuracy.map(|accuracy| ("accuracy".into(), accuracy)));
                metrics.extend(asked.spread.filter(|_| task.target.follows_average()).map(|spread| ("target_spread".into(), spread)));
                (loss, asked.baselines.unwrap_or(nothing))
            }
        };
        Ok(Some(Validation {
            step: engine.progress.step,
            loss,
            baseline_patch_mean: baselines.patch_mean,
            baseline_nearest: baselines.nearest,
            metrics,
            ..Validation::default()
        }))
    }

    /// Says so, once, if figures tell of a collapse.
    ///
    /// # Errors
    /// If the log cannot be written.
    pub fn judge(&mut self, engine: &Engine, reporter: &mut Reporter<'_>, figures: &Figures) -> Result<()> {
        let is_young = engine.progress.step < YOUNG || engine.progress.step * 20 < engine.steps();
        let found = collapse(figures, engine.recipe.decoder.count("prototypes")).filter(|_| engine.learner.lesson.can_collapse());
        match found.filter(|_| !is_young && found != self.told) {
            Some(found) => {
                self.told = Some(found);
                reporter.warn(format!("{}: {}", found.title(), found.advice()))
            }
            None => Ok(()),
        }
    }

    /// Logs how well features tell classes apart, if there are classes and `goes_on` says yes until it is known.
    ///
    /// # Errors
    /// If the device fails or the log cannot be written.
    pub fn probe(&self, engine: &Engine, reporter: &mut Reporter<'_>, goes_on: &dyn Fn() -> bool) -> Result<()> {
        let Some(classes) = &self.classes else { return Ok(()) };
        reporter.off_the_clock(|reporter| match classes.look(engine, goes_on)? {
            Some(probe) => reporter.event(&Event::Probe(probe)),
            None => Ok(()),
        })
    }

    /// Writes `previews/STEP.safetensors`.
    ///
    /// # Errors
    /// If the device fails or the file cannot be written.
    pub fn preview(&mut self, engine: &Engine, reporter: &mut Reporter<'_>) -> Result<()> {
        reporter.off_the_clock(|reporter| {
            let set = self.preview.get_or_insert_with(|| fixed_set(engine, &self.preview_samples));
            if set.samples.is_empty() {
                return Ok(());
            }
            let (step, folder) = (engine.progress.step, engine.run.previews_path());
            std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
            let path = engine.run.preview_path(step);
            set.write_preview(&engine.learner.judged(), engine.learner.lesson.task(), &engine.recipe, &path)?;
            reporter.event(&Event::Preview { step, path: relative(&path, &engine.run.root) })
        })
    }

    /// Writes a checkpoint, unless this step has one already.
    ///
    /// # Errors
    /// If the disk is full or cannot be written.
    pub fn checkpoint(&mut self, engine: &Engine, reporter: &mut Reporter<'_>) -> Result<()> {
        let step = engine.progress.step;
        if engine.run.checkpoint_path(step).join(COMPLETE).is_file() {
            return Ok(());
        }
        reporter.off_the_clock(|reporter| {
            let path = engine.save()?;
            reporter.event(&Event::Checkpoint { step, path: relative(&path, &engine.run.root) })
        })
    }

    /// Changes the preview images to those named, and shows them at once.
    ///
    /// # Errors
    /// If the device fails or the log cannot be written.
    pub fn choose(&mut self, engine: &Engine, reporter: &mut Reporter<'_>, names: &[String]) -> Result<()> {
        let (found, unknown): (Vec<_>, Vec<_>) = names.iter().partition(|name| index_of(engine, name).is_some());
        if !unknown.is_empty() {
            reporter.warn(format!("no such preview image: {unknown:?}"))?;
        }
        if !found.is_empty() {
            self.preview_samples = found.into_iter().filter_map(|name| index_of(engine, name)).collect();
            self.preview = None;
            self.preview(engine, reporter)?;
        }
        Ok(())
    }
}

/// Fixed images, with fixed masks where anything is hidden.
fn fixed_set(engine: &Engine, samples: &[usize]) -> FixedSet {
    let strategy = match &engine.learner.lesson {
        Lesson::Masked(masking) => Some(masking.strategy.as_ref()),
        Lesson::Views(_) => None,
    };
    FixedSet::load(&engine.data, samples, &engine.recipe, strategy)
}

fn index_of(engine: &Engine, name: &str) -> Option<usize> {
    (0..engine.data.source.len()).find(|&sample| engine.data.source.name(sample) == name)
}

fn relative(path: &Path, root: &Path) -> std::path::PathBuf {
    path.strip_prefix(root).unwrap_or(path).to_path_buf()
}
