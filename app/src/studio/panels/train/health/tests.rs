//! Each rule on runs that are ill in its way, and all of them on one that is well.

use maskroom_core::run::{Event, Probe, Reason, Started, Step, Stopped, Validation};

use super::*;

/// A run of 1000 steps that is well: `change` makes it ill.
fn run(change: impl Fn(&mut Step)) -> RunView {
    let mut view = RunView::default();
    view.apply(Event::Started(Started { steps: 1000, ..Started::default() }));
    let figures = [("patch_mean".to_owned(), 1.1), ("nearest".to_owned(), 1.6), ("trivial".to_owned(), 0.9987)].into();
    view.apply(Event::Probe(Probe { step: 1, protocol: "baselines".into(), figures, ..Probe::default() }));
    for step in (10..=1000).step_by(10) {
        let loss = 0.4 + 0.7 * (-(step as f64) / 200.0).exp();
        let mut event = Step { step, loss, lr: 1e-4, grad_norm: 1.0, images_per_second: 80.0, seconds: step as f64, ..Step::default() };
        change(&mut event);
        view.apply(Event::Step(event));
    }
    view
}

fn titles(view: &RunView) -> String {
    findings(view, "pixels", 0).into_iter().map(|finding| finding.title).collect::<Vec<_>>().join("; ")
}

fn validate(view: &mut RunView, losses: &[(u64, f64)]) {
    for &(step, loss) in losses {
        view.apply(Event::Validation(Validation { step, loss, ..Validation::default() }));
    }
}

#[test]
fn a_run_that_is_well_gets_no_word() {
    let mut view = run(|_| {});
    validate(&mut view, &[(250, 0.7), (500, 0.5), (750, 0.45), (1000, 0.44)]);
    assert_eq!(titles(&view), "");
    assert_eq!(titles(&RunView::default()), "");
}

#[test]
fn a_loss_that_is_no_number() {
    assert!(titles(&run(|step| step.loss = if step.step == 1000 { f64::NAN } else { step.loss })).contains("no longer a number"));
    let mut view = run(|_| {});
    let error = Some("the loss became NaN or infinite at step 4".into());
    view.apply(Event::Stopped(Stopped { reason: Reason::Failed, error, ..Stopped::default() }));
    assert_eq!(findings(&view, "pixels", 0)[0].tone, Tone::Bad);
}

#[test]
fn a_loss_that_no_network_is_needed_for() {
    assert!(titles(&run(|step| step.loss = 1.15)).contains("mean color of the visible patches"));
    assert!(titles(&run(|step| step.loss = 0.9985)).contains("nothing but a mean"));
    let mut early = run(|step| step.loss = 1.15);
    early.apply(Event::Resumed { step: 100, time: 0.0, device: String::new(), steps: 1000 });
    assert_eq!(titles(&early), "", "too early to tell");
}

#[test]
fn a_loss_that_rises() {
    assert!(titles(&run(|step| step.loss = if step.step > 600 { 0.4 + step.step as f64 / 1000.0 } else { step.loss })).contains("rising"));
    assert!(!titles(&run(|step| step.loss = -step.loss)).contains("rising"), "similarities are below zero");
}

#[test]
fn held_out_images_that_it_forgets() {
    let mut view = run(|_| {});
    validate(&mut view, &[(200, 0.6), (400, 0.5), (600, 0.55), (800, 0.6), (1000, 0.65)]);
    assert!(titles(&view).contains("by heart"));
    assert!(findings(&view, "pixels", 0)[0].advice.contains("step 400"));
    let mut once = run(|_| {});
    validate(&mut once, &[(200, 0.6), (400, 0.5), (600, 0.7), (800, 0.5), (1000, 0.51)]);
    assert_eq!(titles(&once), "", "one bad figure is none");
}

#[test]
fn gradients_that_explode_or_vanish() {
    assert!(titles(&run(|step| step.grad_norm = if step.step > 900 { 40.0 } else { 1.0 })).contains("tenfold"));
    assert!(titles(&run(|step| step.grad_norm = 1e-9)).contains("vanished"));
    assert_eq!(titles(&run(|step| step.grad_norm = if step.step == 500 { 90.0 } else { 1.0 })), "", "one spike is none");
}

#[test]
fn a_loader_or_a_machine_that_is_slow() {
    let found = run(|step| step.data_wait_ratio = 0.35);
    assert!(titles(&found).contains("bottleneck") && findings(&found, "pixels", 0)[0].advice.contains("35 %"));
    assert!(titles(&run(|step| step.images_per_second = if step.step > 850 { 30.0 } else { 80.0 })).contains("half as fast"));
}

#[test]
fn a_network_that_teaches_itself_and_answers_alike() {
    let with = |figures: &[(&str, f64)]| {
        let view = run(|step| step.metrics = figures.iter().map(|&(name, value)| (name.to_owned(), value)).collect());
        findings(&view, "assignments", 1024).into_iter().map(|finding| finding.title).collect::<Vec<_>>().join("; ")
    };
    assert!(with(&[("teacher_peak", 0.99), ("teacher_entropy", 0.01)]).contains("same prototype"));
    assert!(with(&[("teacher_entropy", 6.93), ("kl", 0.0)]).contains("all prototypes alike"));
    assert!(with(&[("feature_spread", 0.001)]).contains("same feature"));
    assert_eq!(with(&[("teacher_peak", 0.01), ("teacher_entropy", 3.0), ("kl", 0.5), ("feature_spread", 0.6)]), "");
}

#[test]
fn warnings_of_the_engine_are_told_last_and_the_latest_first() {
    let mut view = run(|step| step.loss = 1.15);
    for number in 0..5 {
        view.apply(Event::Warning { message: format!("image {number} cannot be read: it is left out") });
    }
    let found = findings(&view, "pixels", 0);
    assert_eq!((found.len(), found[1].title.as_str(), found[1].advice.as_str()), (4, "Image 4 cannot be read", "it is left out"));
    assert!(found[0].tone == Tone::Warning && found[1].tone == Tone::Info);
}

#[test]
fn what_needs_no_network_is_told_in_the_words_of_the_target() {
    let title = |target: &str, loss: f64| {
        let view = run(|step| step.loss = loss);
        findings(&view, target, 0).into_iter().map(|finding| finding.title).collect::<Vec<_>>().join("; ")
    };
    assert!(title("hog", 1.15).contains("the mean histogram"));
    assert!(title("tokens", 1.15).contains("how frequent each code is"));
    assert!(title("hog", 0.9985).contains("no edges at all"));
    assert!(title("tokens", 0.9985).contains("equally likely"));
}

#[test]
fn a_teacher_that_says_the_same_of_every_patch() {
    let mut view = run(|step| step.loss = if step.step > 600 { 0.4 + step.step as f64 / 1000.0 } else { step.loss });
    let mut validate = |spread: f64| {
        let metrics = [("target_spread".to_owned(), spread)].into();
        view.apply(Event::Validation(Validation { step: 1000, loss: 0.5, metrics, ..Validation::default() }));
        findings(&view, "features", 0).into_iter().map(|finding| (finding.tone, finding.title)).collect::<Vec<_>>()
    };
    assert_eq!(validate(0.9), [], "a loss that rises with what its own teacher asks for is well");
    let found = validate(0.01);
    assert!(found[0].0 == Tone::Bad && found[0].1.contains("nearly the same in every patch"), "{found:?}");
}
