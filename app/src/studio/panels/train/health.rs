//! What is wrong with a run, in words, and what to do about it: rules over what the run has logged. Each rule is one function.

use maskroom_core::run::Validation;
use maskroom_core::train::collapse::collapse;
use maskroom_widgets::Tone;

use crate::guesses::Guesses;
use crate::studio::run_view::RunView;

/// One thing that a rule noticed.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// How serious it is.
    pub tone: Tone,
    /// What is the matter, without a full stop.
    pub title: String,
    /// Why it may be so, and what to do.
    pub advice: String,
}

type Rule = fn(&RunView) -> Option<Finding>;

const RULES: &[Rule] =
    &[not_a_number, teacher_collapsed, rising, overfitting, exploding_gradient, vanishing_gradient, waiting_for_data, slower];

/// Everything that is wrong with a run that predicts such a target, or compares views by so many prototypes, the gravest first.
pub fn findings(view: &RunView, target: &str, prototypes: usize) -> Vec<Finding> {
    let learns_nothing = not_below_baselines(view, Guesses::of(target));
    let of_recipe = collapsed(view, prototypes).into_iter().chain(learns_nothing);
    let mut found: Vec<Finding> = RULES.iter().filter_map(|rule| rule(view)).chain(of_recipe).collect();
    found.sort_by_key(|finding| finding.tone != Tone::Bad);
    found.extend(view.warnings.iter().rev().take(MAX_WARNINGS).map(|warning| warned(warning)));
    found
}

/// Warnings of the engine that are shown, the latest first.
const MAX_WARNINGS: usize = 3;
/// Entries over which a figure is averaged before it is judged.
const WINDOW: usize = 20;
/// Finished steps, and share of the run, before learning is judged at all.
const MIN_STEPS: u64 = 200;
const MIN_SHARE: f64 = 0.05;
/// How different patches must be to a teacher, as a share of its features' size.
const MIN_SPREAD: f64 = 0.02;
/// Share of the time that may be spent waiting for data.
const MAX_DATA_WAIT: f64 = 0.2;

fn not_a_number(view: &RunView) -> Option<Finding> {
    let told = view.stopped.as_ref().and_then(|stopped| stopped.error.as_ref()).is_some_and(|error| error.contains("NaN or infinite"));
    let logged = view.columns.values.get("loss").and_then(|losses| losses.last()).is_some_and(|loss| !loss.is_finite());
    (told || logged).then(|| {
        bad(
            "The loss is no longer a number",
            "Nothing after the last good checkpoint is worth keeping. Continue from it with a lower optim.base_lr, or set optim.clip_norm; if \
             it comes back at the same step, an image of that batch is the cause",
        )
    })
}

/// Figures that methods log whose networks teach themselves: how many different answers are still given.
fn collapsed(view: &RunView, prototypes: usize) -> Option<Finding> {
    let names = ["teacher_peak", "teacher_entropy", "kl", "feature_spread"];
    let latest = names.into_iter().filter_map(|name| Some((name.to_owned(), view.latest(name)?))).collect();
    let found = collapse(&latest, prototypes).filter(|_| is_settled(view))?;
    Some(bad(&sentence_case(found.title()), &sentence_case(found.advice())))
}

/// Where the running average is the teacher: what it asks for must differ from patch to patch.
fn teacher_collapsed(view: &RunView) -> Option<Finding> {
    let spread = view.validations.last()?.metrics.get("target_spread").copied().filter(|_| is_settled(view))?;
    (spread < MIN_SPREAD).then(|| {
        bad(
            "What is asked for is nearly the same in every patch",
            &format!(
                "The running average, which teaches, gives features that differ by {:.1} % of their size: they have collapsed, and training on \
                 does not bring them back. Start anew with a lower optim.base_lr or a longer warm-up",
                100.0 * spread
            ),
        )
    })
}

/// Whether what is asked for changes with the network, so that losses of different steps cannot be compared.
fn has_own_teacher(view: &RunView) -> bool {
    let of_teachers = ["target_spread", "effective_rank"];
    view.validations.last().is_some_and(|validation| of_teachers.iter().any(|name| validation.metrics.contains_key(*name)))
}

fn not_below_baselines(view: &RunView, guesses: &Guesses) -> Option<Finding> {
    if !is_settled(view) {
        return None;
    }
    let loss = settled_loss(view)?;
    let mean = baseline(view, "patch_mean").map(|value| (value, guesses.mean[1]));
    let nearest = baseline(view, "nearest").map(|value| (value, guesses.nearest[1]));
    let (floor, guess) = mean.into_iter().chain(nearest).min_by(|a, b| a.0.total_cmp(&b.0))?;
    if let Some(trivial) = baseline(view, "trivial").filter(|trivial| (loss - trivial).abs() < 0.003 * trivial) {
        return Some(warning(guesses.trivial, &format!("The loss stays at {trivial:.4}, which is what {}", guesses.trivial_advice)));
    }
    (loss > 0.98 * floor).then(|| {
        warning(
            &format!("The loss is not below what {guess} scores"),
            &format!(
                "It is {loss:.4} after {} steps, and {floor:.4} needs no network. Raise optim.base_lr, train longer, or hide less (mask.ratio); \
                 if it does not move at all, check the images in the Data panel",
                view.step()
            ),
        )
    })
}

fn rising(view: &RunView) -> Option<Finding> {
    if !is_settled(view) || has_own_teacher(view) {
        return None;
    }
    let points = view.course.points();
    let now = mean(points.iter().rev().take(WINDOW / 4).map(|point| point.1))?;
    let lowest = points.windows(WINDOW / 4).filter_map(|window| mean(window.iter().map(|point| point.1))).min_by(f64::total_cmp)?;
    // Losses below zero exist (similarities); a ratio says nothing of them.
    (lowest > 0.0 && now > 1.3 * lowest).then(|| {
        warning(
            "The loss is rising",
            &format!("It was {lowest:.4} and is {now:.4}. Stop, and continue from an earlier checkpoint with a lower optim.base_lr or optim.clip_norm set"),
        )
    })
}

fn overfitting(view: &RunView) -> Option<Finding> {
    if has_own_teacher(view) {
        return None;
    }
    let is_held_out = |validation: &&Validation| validation.metrics.get("held_out").is_none_or(|&held_out| held_out > 0.0);
    let validations: Vec<(u64, f64)> =
        view.validations.iter().filter(is_held_out).filter(|one| one.loss.is_finite()).map(|one| (one.step, one.loss)).collect();
    let (best_step, best) = validations.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1))?;
    let after: Vec<f64> = validations.iter().filter(|one| one.0 > best_step).map(|one| one.1).collect();
    let is_rising = after.len() >= 3 && after.iter().rev().take(3).all(|&loss| loss > 1.03 * best);
    let points = view.course.points();
    let at_best = points.get(points.partition_point(|point| point.0 < best_step))?.1;
    (is_rising && points.last()?.1 < at_best).then(|| {
        warning(
            "It learns the training images by heart",
            &format!(
                "The loss on held-out images was lowest at step {best_step} ({best:.4}) and has risen since, while the training loss falls. Use \
                 the checkpoint nearest to that step; more images or stronger augmentation help"
            ),
        )
    })
}

fn exploding_gradient(view: &RunView) -> Option<Finding> {
    let norms = view.columns.values.get("grad_norm")?;
    let now = median(tail(norms, WINDOW / 2))?;
    let usual = median(before_tail(norms, WINDOW / 2, 20 * WINDOW))?;
    (norms.len() >= 3 * WINDOW && usual > 0.0 && now > 10.0 * usual).then(|| {
        warning(
            "The gradient has grown tenfold",
            &format!("Its norm was about {usual:.3} and is {now:.3}: training may diverge. Set optim.clip_norm, or lower optim.base_lr"),
        )
    })
}

fn vanishing_gradient(view: &RunView) -> Option<Finding> {
    let norms = view.columns.values.get("grad_norm")?;
    let now = median(tail(norms, WINDOW))?;
    (norms.len() >= WINDOW && now < 1e-6).then(|| {
        warning(
            "The gradient has all but vanished",
            &format!("Its norm is {now:.1e}, so the weights no longer change. Check that optim.base_lr is not 0 and that the images are not all alike"),
        )
    })
}

fn waiting_for_data(view: &RunView) -> Option<Finding> {
    let waits = view.columns.values.get("data_wait_ratio")?;
    let share = median(tail(waits, WINDOW / 2))?;
    (waits.len() >= 5 && share > MAX_DATA_WAIT).then(|| {
        warning(
            "Loading the images is the bottleneck",
            &format!(
                "{:.0} % of the time is spent waiting for them. Images of about the training size, a faster disk or more threads (Preferences) \
                 make it faster",
                100.0 * share
            ),
        )
    })
}

fn slower(view: &RunView) -> Option<Finding> {
    let rates = view.columns.values.get("images_per_second")?;
    let now = median(tail(rates, WINDOW / 2))?;
    let usual = median(before_tail(rates, WINDOW / 2, 5 * WINDOW))?;
    (rates.len() >= 2 * WINDOW && now < 0.5 * usual).then(|| {
        warning(
            "It has become half as fast",
            &format!(
                "{usual:.1} images per second were usual, now it is {now:.1}. Another program may need the machine, memory may be short, or it \
                 runs hot"
            ),
        )
    })
}

fn warned(warning: &str) -> Finding {
    let (title, advice) = warning.split_once(": ").unwrap_or((warning, ""));
    Finding { tone: Tone::Info, title: sentence_case(title.trim().trim_end_matches('.')), advice: advice.to_owned() }
}

/// Words as a sentence begins.
fn sentence_case(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Whether it has trained for long enough to be judged.
fn is_settled(view: &RunView) -> bool {
    let step = view.step();
    step >= MIN_STEPS && step as f64 >= MIN_SHARE * view.steps as f64 && view.course.points().len() >= WINDOW / 4
}

/// The loss in the units of the baselines: that on held-out images if it is logged, else the latest of training.
fn settled_loss(view: &RunView) -> Option<f64> {
    let held_out = view.validations.last().map(|validation| validation.loss).filter(|loss| loss.is_finite());
    held_out.or_else(|| mean(tail(view.columns.values.get("loss")?, WINDOW).iter().copied()))
}

/// What no network scores: `patch_mean`, `nearest` or `trivial`, where it is logged and has a meaning.
pub fn baseline(view: &RunView, name: &str) -> Option<f64> {
    let probed = view.probes.iter().rev().find(|probe| probe.protocol == "baselines").and_then(|probe| probe.figures.get(name).copied());
    let validated = || {
        let last = view.validations.last()?;
        match name {
            "patch_mean" => Some(last.baseline_patch_mean),
            "nearest" => Some(last.baseline_nearest),
            _ => None,
        }
    };
    probed.or_else(validated).filter(|value| value.is_finite())
}

fn tail(values: &[f32], entries: usize) -> &[f32] {
    &values[values.len().saturating_sub(entries)..]
}

/// Up to `entries` values that come before the last `skipped`.
fn before_tail(values: &[f32], skipped: usize, entries: usize) -> &[f32] {
    tail(&values[..values.len().saturating_sub(skipped)], entries)
}

fn mean(values: impl Iterator<Item = f32>) -> Option<f64> {
    let (sum, count) =
        values.filter(|value| value.is_finite()).fold((0.0, 0.0), |(sum, count), value| (sum + f64::from(value), count + 1.0));
    (count > 0.0).then(|| sum / count)
}

fn median(values: &[f32]) -> Option<f64> {
    let mut finite: Vec<f32> = values.iter().copied().filter(|value| value.is_finite()).collect();
    finite.sort_by(f32::total_cmp);
    finite.get(finite.len() / 2).map(|&value| f64::from(value))
}

fn bad(title: &str, advice: &str) -> Finding {
    Finding { tone: Tone::Bad, title: title.to_owned(), advice: advice.to_owned() }
}

fn warning(title: &str, advice: &str) -> Finding {
    Finding { tone: Tone::Warning, title: title.to_owned(), advice: advice.to_owned() }
}

#[cfg(test)]
mod tests;
