//! Curves of several recipes in one chart: the mean over each one's seeds, and every seed faintly behind it.

use std::collections::BTreeMap;

use maskroom_core::run::Event;

use super::chart::{Chart, Line, Look};
use super::curves::smoothed;

/// The runs of one recipe.
pub struct Row {
    /// Written at the end of its line.
    pub name: String,
    /// The events of each run.
    pub runs: Vec<Vec<Event>>,
}

/// Training loss and held-out loss of every row, the latter also over what guessing reaches, which has no units, and how well classes are
/// told apart; a chart without values is left out.
pub fn charts(rows: &[Row]) -> Vec<Chart> {
    let training = |event: &Event| if let Event::Step(step) = event { Some([step.step as f64, step.loss]) } else { None };
    let held_out = |event: &Event| if let Event::Validation(found) = event { Some([found.step as f64, found.loss]) } else { None };
    let of_guess = |event: &Event| match event {
        Event::Validation(found) => Some([found.step as f64, found.loss / found.baseline_patch_mean.min(found.baseline_nearest)])
            .filter(|[_, share]| share.is_finite()),
        _ => None,
    };
    let top1 = |event: &Event| event.class_probe().and_then(|probe| Some([probe.step as f64, probe.figure("top1")?]));
    let charts = [
        chart("Training loss", "in the units of each row's target; mean over seeds, each seed faint", rows, &training, smoothed),
        chart("Held-out loss", "masked patches, fixed masks, in the units of each row's target", rows, &held_out, <[_]>::to_vec),
        chart("Held-out loss over the better of two guesses", "without units", rows, &of_guess, <[_]>::to_vec),
        chart("k-NN top-1 of probes", "share of held-out images", rows, &top1, <[_]>::to_vec),
    ];
    charts.into_iter().filter(Chart::has_values).collect()
}

type Points = Vec<[f64; 2]>;

fn chart(title: &str, unit: &str, rows: &[Row], point: &dyn Fn(&Event) -> Option<[f64; 2]>, shown: fn(&[[f64; 2]]) -> Points) -> Chart {
    let mut chart = Chart::large(title, unit);
    let curves: Vec<Vec<Points>> =
        rows.iter().map(|row| row.runs.iter().map(|events| events.iter().filter_map(point).collect()).collect()).collect();
    // What is faint is drawn first, so that no mean lies under another row's seeds.
    for (series, runs) in curves.iter().enumerate().filter(|(_, runs)| runs.len() > 1) {
        let faint = |points: &Points| Line { label: String::new(), points: shown(points), look: Look::Faint, series };
        chart.lines.extend(runs.iter().map(faint));
    }
    for (series, (row, runs)) in rows.iter().zip(&curves).enumerate() {
        chart.lines.push(Line { label: row.name.clone(), points: shown(&mean(runs)), look: Look::Solid, series });
    }
    chart
}

/// The mean of several curves at the steps that all of them have.
fn mean(runs: &[Points]) -> Points {
    let mut sums: BTreeMap<u64, (usize, f64)> = BTreeMap::new();
    for &[step, value] in runs.iter().flatten() {
        let sum = sums.entry(step as u64).or_default();
        *sum = (sum.0 + 1, sum.1 + value);
    }
    let complete = sums.into_iter().filter(|(_, (count, _))| *count == runs.len());
    complete.map(|(step, (count, sum))| [step as f64, sum / count as f64]).collect()
}

#[cfg(test)]
mod tests {
    use maskroom_core::run::{Step, Validation};

    use super::*;

    #[test]
    fn the_mean_is_of_steps_that_all_seeds_have() {
        assert_eq!(mean(&[vec![[1.0, 2.0], [10.0, 4.0]], vec![[1.0, 4.0], [10.0, 5.0], [20.0, 1.0]]]), [[1.0, 3.0], [10.0, 4.5]]);
        assert_eq!(mean(&[]), Points::new());
    }

    #[test]
    fn every_row_has_a_line_with_its_name_and_seeds_have_none() {
        let events = |loss: f64| -> Vec<Event> {
            let step = |step: u64| Event::Step(Step { step, loss, ..Step::default() });
            let (baseline_patch_mean, baseline_nearest) = (8.0, 4.0);
            let held_out = Event::Validation(Validation {
                step: 10,
                loss: loss * 2.0,
                baseline_patch_mean,
                baseline_nearest,
                ..Validation::default()
            });
            (1..=3).map(step).chain([held_out]).collect()
        };
        let rows = [
            Row { name: "a".into(), runs: vec![events(1.0), events(3.0)] },
            Row { name: "b".into(), runs: vec![events(5.0)] },
            Row { name: "c".into(), runs: vec![] },
        ];
        let charts = charts(&rows);
        let titles: Vec<&str> = charts.iter().map(|chart| chart.title.as_str()).collect();
        assert_eq!(titles, ["Training loss", "Held-out loss", "Held-out loss over the better of two guesses"]);
        let labels: Vec<&str> = charts[0].lines.iter().map(|line| line.label.as_str()).collect();
        assert_eq!(labels, ["", "", "a", "b", "c"]);
        assert_eq!((&charts[1].lines[2].points[..], &charts[2].lines[2].points[..]), (&[[10.0, 4.0]][..], &[[10.0, 1.0]][..]));
        assert!(super::charts(&[]).is_empty());
    }
}
