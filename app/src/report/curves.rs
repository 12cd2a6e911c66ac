//! From a run's events to its charts: the loss and how well classes are told apart, beside what guessing reaches, then everything else as small multiples.

use std::collections::BTreeMap;

use maskroom_core::run::{Event, Probe, Step, Validation};

use super::chart::{Chart, Line, Look, Rule, Size};

/// The probe that says, before the first step, what guessing reaches.
const BASELINES: &str = "baselines";

/// The charts of a run: loss (with the held-out loss and both baselines, on an axis of their own where their units differ), k-NN, learning
/// rate, gradient norm, throughput, the method's extras, and probes. What never had a value is left out.
pub fn curves_from_events(events: &[Event]) -> Vec<Chart> {
    let steps: Vec<&Step> = events.iter().filter_map(|event| if let Event::Step(step) = event { Some(step) } else { None }).collect();
    let held_out: Vec<&Validation> =
        events.iter().filter_map(|event| if let Event::Validation(found) = event { Some(found) } else { None }).collect();
    let one_axis = held_out.iter().all(|found| found.training_units);

    let mut charts = Vec::new();
    let of_steps = |value: fn(&Step) -> f64| steps.iter().map(|step| [step.step as f64, value(step)]).collect::<Vec<_>>();
    let mut loss = Chart::large(if one_axis && !held_out.is_empty() { "Loss" } else { "Training loss" }, "");
    let raw = of_steps(|step| step.loss);
    loss.lines.push(Line { label: "training".to_owned(), points: smoothed(&raw), look: Look::Solid, series: 0 });
    loss.lines.insert(0, Line { label: String::new(), points: raw, look: Look::Faint, series: 0 });
    if one_axis {
        add_held_out(&mut loss, &held_out, events);
        charts.push(loss);
    } else {
        charts.push(loss);
        let mut chart = Chart::large("Held-out error", "masked patches, fixed masks");
        add_held_out(&mut chart, &held_out, events);
        charts.push(chart);
    }

    charts.extend(class_probes(events));

    for (title, unit, value) in [
        ("Learning rate", "", (|step| step.lr) as fn(&Step) -> f64),
        ("Gradient norm", "before clipping", |step| step.grad_norm),
        ("Throughput", "images per second", |step| step.images_per_second),
    ] {
        charts.push(small(title, unit, of_steps(value), Look::Solid));
    }
    let mut extras: BTreeMap<String, Vec<[f64; 2]>> = BTreeMap::new();
    for step in &steps {
        for (name, value) in &step.metrics {
            extras.entry(name.replace('_', " ")).or_default().push([step.step as f64, *value]);
        }
    }
    charts.extend(extras.into_iter().map(|(name, points)| small(&capitalized(&name), "", points, Look::Solid)));
    let mut probes: BTreeMap<String, Vec<[f64; 2]>> = BTreeMap::new();
    for event in events {
        if let Event::Probe(probe) = event
            && ![BASELINES, Probe::KNN].contains(&probe.protocol.as_str())
        {
            for (name, value) in &probe.figures {
                probes.entry(format!("{} {}", probe.protocol, name.replace('_', " "))).or_default().push([probe.step as f64, *value]);
            }
        }
    }
    charts.extend(probes.into_iter().map(|(name, points)| small(&capitalized(&name), "", points, Look::Dots)));
    charts.retain(Chart::has_values);
    charts
}

fn add_held_out(chart: &mut Chart, held_out: &[&Validation], events: &[Event]) {
    let points = held_out.iter().map(|found| [found.step as f64, found.loss]).collect();
    // Small data sets have nothing to hold out: then these are training images with masks that do not change.
    let is_held_out = held_out.iter().all(|found| found.metrics.get("held_out") != Some(&0.0));
    let label = if is_held_out { "held out" } else { "fixed masks" };
    chart.lines.push(Line { label: label.to_owned(), points, look: Look::Dots, series: 1 });

    let probed = |name: &str| {
        events.iter().rev().find_map(|event| match event {
            Event::Probe(probe) if probe.protocol == BASELINES => probe.figures.get(name).copied().filter(|value| value.is_finite()),
            _ => None,
        })
    };
    let latest = |value: fn(&Validation) -> f64| held_out.iter().rev().map(|found| value(found)).find(|value| value.is_finite());
    for (label, value) in [
        ("patch mean", latest(|found| found.baseline_patch_mean).or_else(|| probed("patch_mean"))),
        ("nearest patch", latest(|found| found.baseline_nearest).or_else(|| probed("nearest"))),
        ("trivial answer", probed("trivial")),
    ] {
        chart.rules.extend(value.map(|value| Rule { label: label.to_owned(), value }));
    }
}

/// How many held-out images find their class among their neighbors, beside always answering the commonest.
fn class_probes(events: &[Event]) -> Option<Chart> {
    let latest = last_class_probe(events)?;
    let probes = events.iter().filter_map(Event::class_probe);
    let points = probes.map(|probe| [probe.step as f64, probe.figure("top1").unwrap_or(f64::NAN)]).collect();
    let asked = latest.figure("asked").map_or_else(|| "held-out".to_owned(), |count| format!("{count:.0}"));
    let mut chart = small(&format!("k-NN top-1 of a probe of {asked} images"), "", points, Look::Dots);
    chart.rules.extend(latest.figure("chance").map(|value| Rule { label: "chance".to_owned(), value }));
    Some(chart)
}

/// The latest k-NN probe of a run.
pub(super) fn last_class_probe(events: &[Event]) -> Option<&Probe> {
    events.iter().rev().find_map(Event::class_probe)
}

fn small(title: &str, unit: &str, points: Vec<[f64; 2]>, look: Look) -> Chart {
    let line = Line { label: String::new(), points, look, series: 5 };
    Chart { size: Size::Small, lines: vec![line], ..Chart::large(title, unit) }
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// An exponential moving average over about a fortieth of the points, corrected for its start at zero (Adam's bias correction). Points
/// without a value are passed over and stay gaps.
pub(super) fn smoothed(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let span = (points.len() as f64 / 40.0).clamp(1.0, 200.0);
    let keep = 1.0 - 2.0 / (span + 1.0);
    let (mut sum, mut weight) = (0.0, 0.0);
    let average = |&[step, value]: &[f64; 2]| {
        if !value.is_finite() {
            return [step, f64::NAN];
        }
        sum = keep * sum + (1.0 - keep) * value;
        weight = keep * weight + (1.0 - keep);
        [step, sum / weight]
    };
    points.iter().map(average).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(training_units: bool) -> Vec<Event> {
        let step = |step: u64| {
            let metrics = [("teacher_entropy".to_owned(), 2.0)].into();
            Event::Step(Step { step, loss: 1.0 / step as f64, lr: 1e-3, images_per_second: f64::NAN, metrics, ..Step::default() })
        };
        let held_out = Validation { step: 20, loss: 0.1, baseline_patch_mean: 0.3, training_units, ..Validation::default() };
        (1..=20).map(step).chain([Event::Validation(held_out)]).collect()
    }

    #[test]
    fn a_run_becomes_its_charts() {
        let charts = curves_from_events(&events(true));
        let titles: Vec<_> = charts.iter().map(|chart| chart.title.as_str()).collect();
        assert_eq!(titles, ["Loss", "Learning rate", "Gradient norm", "Teacher entropy"], "no throughput was ever measured");
        assert_eq!(charts[0].lines.len(), 3);
        assert_eq!(charts[0].rules.iter().map(|rule| rule.label.as_str()).collect::<Vec<_>>(), ["patch mean"]);
    }

    #[test]
    fn baselines_known_before_the_first_step_are_levels_not_curves() {
        let mut events = events(true);
        let figures = [("patch_mean", 0.9), ("nearest", 0.4), ("trivial", 0.98)].map(|(name, value)| (name.to_owned(), value));
        events.insert(0, Event::Probe(Probe { step: 0, protocol: BASELINES.to_owned(), figures: figures.into(), ..Probe::default() }));
        let charts = curves_from_events(&events);
        assert_eq!(charts.len(), 4);
        assert_eq!(charts[0].rules.iter().map(|rule| rule.value).collect::<Vec<_>>(), [0.3, 0.4, 0.98], "validation knows better");
    }

    #[test]
    fn probes_of_classes_are_one_curve_over_chance() {
        let mut events = events(true);
        for (step, top1) in [(10, 0.3), (20, 0.45)] {
            let figures = [("top1", top1), ("chance", 0.125), ("bank", 1000.0), ("asked", 500.0), ("k", 20.0)];
            let figures = figures.map(|(name, value)| (name.to_owned(), value)).into();
            events.push(Event::Probe(Probe { step, protocol: Probe::KNN.to_owned(), figures, ..Probe::default() }));
        }
        let charts = curves_from_events(&events);
        assert_eq!((charts.len(), charts[1].title.as_str()), (5, "k-NN top-1 of a probe of 500 images"));
        assert_eq!((charts[1].lines[0].points.as_slice(), charts[1].rules[0].value), ([[10.0, 0.3], [20.0, 0.45]].as_slice(), 0.125));
    }

    #[test]
    fn other_units_have_an_axis_of_their_own() {
        let charts = curves_from_events(&events(false));
        assert_eq!([&charts[0].title, &charts[1].title], ["Training loss", "Held-out error"]);
        assert!(charts[0].rules.is_empty() && charts[1].rules.len() == 1);
        assert!(curves_from_events(&[]).is_empty());
    }

    #[test]
    fn smoothing_is_unbiased_and_passes_over_gaps() {
        let mut flat: Vec<[f64; 2]> = (0..100).map(|step| [f64::from(step), 3.0]).collect();
        flat[7][1] = f64::NAN;
        for (index, [_, value]) in smoothed(&flat).into_iter().enumerate() {
            assert!(if index == 7 { value.is_nan() } else { (value - 3.0).abs() < 1e-12 }, "{index}: {value}");
        }
        // Two points have a span of one: no smoothing. A hundred and twenty have three: half of the old stays.
        assert_eq!(smoothed(&[[0.0, 1.0], [1.0, 5.0]]), [[0.0, 1.0], [1.0, 5.0]]);
        let jump: Vec<[f64; 2]> = (0..120).map(|step| [f64::from(step), if step < 119 { 0.0 } else { 1.0 }]).collect();
        assert!((smoothed(&jump)[119][1] - 0.5).abs() < 1e-9);
    }
}
