//! A line chart as SVG, written by hand: few ticks at round numbers, labels at the ends of the lines instead of a legend, room to breathe.

use maskroom_widgets::tokens::{Role, Tokens};

use super::axis::{Axis, bounds};
use super::figure::figure;
use super::page::escape;

/// A chart over training steps.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chart {
    /// What is shown.
    pub title: String,
    /// Its unit, or how it was measured; may be empty.
    pub unit: String,
    /// What the horizontal axis counts.
    pub x_label: String,
    /// Curves, drawn in this order.
    pub lines: Vec<Line>,
    /// Levels to compare with.
    pub rules: Vec<Rule>,
    /// Its place on the page.
    pub size: Size,
}

/// One curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Written at its end; empty for none.
    pub label: String,
    /// `[step, value]` by step; a value that is not finite is a gap.
    pub points: Vec<[f64; 2]>,
    /// How it is drawn.
    pub look: Look,
    /// Its color, as an index into the series of the tokens.
    pub series: usize,
}

/// How a curve is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Raw values, to be seen behind their smoothed line.
    Faint,
    /// A line.
    Solid,
    /// Few values, joined by a thin line.
    Dots,
}

/// A level, dashed.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Written at its end.
    pub label: String,
    /// Where it lies.
    pub value: f64,
}

/// A chart's place on the page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Size {
    /// The whole width.
    #[default]
    Large,
    /// One of several side by side.
    Small,
}

/// Where colors come from.
#[derive(Clone, Copy)]
pub(super) enum Ink<'a> {
    /// The page's custom properties, so that the drawing follows its theme.
    Page,
    /// One theme, written out, for a file of its own.
    Fixed(&'a Tokens),
}

impl Ink<'_> {
    fn of(self, role: Role) -> String {
        match self {
            Self::Page => format!("var(--{})", role.css_name()),
            Self::Fixed(tokens) => tokens.hex(role),
        }
    }
}

const FONT: &str = "Inter, ui-sans-serif, system-ui, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif";
/// Typical width of a letter of the small font, in points.
const LETTER: f64 = 6.4;
/// The same of a digit, all of which are as wide as the widest.
const DIGIT: f64 = 7.2;
const LABEL_GAP: f64 = 17.0;

/// Several charts under each other as one SVG file on the theme's surface.
pub fn stack_svg(charts: &[Chart], tokens: &Tokens) -> String {
    const WIDTH: f64 = 1072.0;
    const MARGIN: f64 = 32.0;
    let mut top = MARGIN;
    let mut inside = String::new();
    for chart in charts {
        let height = match chart.size {
            Size::Large => 360.0,
            Size::Small => 176.0,
        };
        inside += &format!(
            "<svg x=\"{MARGIN}\" y=\"{top}\" width=\"{WIDTH}\" height=\"{height}\">{}</svg>",
            chart.body(WIDTH, height, Ink::Fixed(tokens))
        );
        top += height + MARGIN;
    }
    let width = WIDTH + 2.0 * MARGIN;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {top}\" width=\"{width}\" height=\"{top}\" font-family=\"{FONT}\">\
         <rect width=\"100%\" height=\"100%\" fill=\"{}\"/>{inside}</svg>\n",
        tokens.hex(Role::Surface)
    )
}

impl Chart {
    /// An empty chart over steps, as wide as the page.
    pub fn large(title: &str, unit: &str) -> Self {
        Self { title: title.to_owned(), unit: unit.to_owned(), x_label: "step".to_owned(), ..Self::default() }
    }

    /// Whether there is anything to draw.
    pub fn has_values(&self) -> bool {
        self.lines.iter().any(|line| line.points.iter().any(|[_, value]| value.is_finite()))
    }

    /// The drawing for the inside of a page, in the page's colors.
    pub(super) fn inline_svg(&self, width: f64, height: f64, class: &str) -> String {
        format!(
            "<svg class=\"{class}\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">{}</svg>",
            escape(&self.title),
            self.body(width, height, Ink::Page)
        )
    }

    fn body(&self, width: f64, height: f64, ink: Ink<'_>) -> String {
        let (text, muted) = (ink.of(Role::Text), ink.of(Role::TextMuted));
        let mut svg = format!("<text x=\"0\" y=\"14\" font-size=\"14\" font-weight=\"600\" fill=\"{text}\">{}", escape(&self.title));
        let mut labels = self.labels(ink);
        let longest = labels.iter().map(Label::letters).max().unwrap_or(0);
        // Beside its last tick, half of whose label reaches beyond the plot.
        let x_label = self.x_label.chars().count() + 3;
        let right = width - (longest.max(x_label) as f64 * LETTER + 12.0).min(width * 0.4);
        let (top, bottom) = (38.0, height - 26.0);

        let values = self.values();
        let Some((low, high)) = bounds(&values) else {
            return svg + &format!("</text><text x=\"0\" y=\"{top}\" font-size=\"12\" fill=\"{muted}\">no values yet</text>");
        };
        let y = Axis::vertical(low, high, bottom, top, if height > 200.0 { 6 } else { 3 });
        let unit = [self.unit.as_str(), if y.is_log() { "log scale" } else { "" }].into_iter().filter(|part| !part.is_empty());
        let unit = unit.collect::<Vec<_>>().join(", ");
        svg += &format!("<tspan dx=\"8\" font-size=\"12\" font-weight=\"400\" fill=\"{muted}\">{}</tspan></text>", escape(&unit));

        let ticks = y.ticks();
        let left = ticks.iter().map(|(_, label)| label.chars().count()).max().unwrap_or(1) as f64 * DIGIT + 10.0;
        let last_step = self.lines.iter().flat_map(|line| &line.points).map(|[step, _]| *step).fold(1.0, f64::max);
        let x = Axis::horizontal(0.0, last_step, left, right, ((right - left) / 70.0).clamp(2.0, 6.0) as usize);
        for (place, label) in &ticks {
            svg += &format!("<path d=\"M{left:.1} {place:.1}H{right:.1}\" stroke=\"{}\" stroke-width=\"1\"/>", ink.of(Role::Line));
            svg += &small_text(left - 10.0, place + 4.0, "end", &muted, label);
        }
        svg += &format!("<path d=\"M{left:.1} {bottom:.1}H{right:.1}\" stroke=\"{}\" stroke-width=\"1\"/>", ink.of(Role::LineStrong));
        let mut x_label_at = right + 12.0;
        for (place, label) in x.ticks() {
            x_label_at = x_label_at.max(place + label.chars().count() as f64 * DIGIT / 2.0 + 8.0);
            svg += &format!("<path d=\"M{place:.1} {bottom:.1}v5\" stroke=\"{}\" stroke-width=\"1\"/>", ink.of(Role::LineStrong));
            svg += &small_text(place, bottom + 20.0, "middle", &muted, &label);
        }
        svg += &small_text(x_label_at, bottom + 20.0, "start", &muted, &self.x_label);

        // An inner drawing clips what leaves the plot without needing names that are unique on the page.
        let (plot_width, plot_height) = (right - left, bottom - top);
        svg += &format!(
            "<svg x=\"{left:.1}\" y=\"{top}\" width=\"{:.1}\" height=\"{plot_height:.1}\" viewBox=\"{left:.1} {top} {:.1} {plot_height:.1}\">",
            plot_width + 6.0,
            plot_width + 6.0
        );
        for rule in self.rules.iter().filter(|rule| rule.value.is_finite()) {
            let place = y.place(rule.value);
            svg += &format!(
                "<path d=\"M{left:.1} {place:.1}H{right:.1}\" stroke=\"{muted}\" stroke-width=\"1.25\" stroke-dasharray=\"5 4\"/>"
            );
        }
        for line in &self.lines {
            svg += &curve(line, &x, &y, self.size, ink);
        }
        svg += "</svg>";

        spread(&mut labels, &y, top + 4.0, bottom - 4.0);
        for label in &labels {
            let (name, figure) = (escape(&label.name), escape(&label.figure));
            svg += &format!(
                "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"12\" font-weight=\"600\" fill=\"{}\">{name}<tspan dx=\"{}\" font-weight=\"400\" fill=\"{text}\" \
                 style=\"font-variant-numeric:tabular-nums\">{figure}</tspan></text>",
                right + 12.0,
                label.place + 4.0,
                label.color,
                if name.is_empty() { 0 } else { 6 },
            );
        }
        svg
    }

    /// The values that must be seen. Of raw values the middle 96 %: a spike in the first steps may leave the plot.
    fn values(&self) -> Vec<f64> {
        let mut all: Vec<f64> = self.rules.iter().map(|rule| rule.value).filter(|value| value.is_finite()).collect();
        for line in &self.lines {
            let mut values: Vec<f64> = line.points.iter().map(|[_, value]| *value).filter(|value| value.is_finite()).collect();
            if line.look == Look::Faint && values.len() >= 50 {
                values.sort_by(f64::total_cmp);
                let cut = values.len() / 50;
                values = values[cut..values.len() - cut].to_vec();
            }
            all.extend(values);
        }
        all
    }

    fn labels(&self, ink: Ink<'_>) -> Vec<Label> {
        let lines = self.lines.iter().filter_map(|line| {
            let value = line.points.iter().rev().map(|[_, value]| *value).find(|value| value.is_finite())?;
            let name = if line.label.is_empty() { None } else { Some(line.label.clone()) };
            // A small multiple has one curve, named by the title: its last value is label enough.
            let name = name.or_else(|| (self.size == Size::Small).then(String::new))?;
            Some(Label { name, figure: figure(value), value, place: 0.0, color: ink.of(Role::Series(line.series)) })
        });
        let rules = self.rules.iter().filter(|rule| rule.value.is_finite()).map(|rule| Label {
            name: rule.label.clone(),
            figure: figure(rule.value),
            value: rule.value,
            place: 0.0,
            color: ink.of(Role::TextMuted),
        });
        lines.chain(rules).collect()
    }
}

/// What is written at the end of a line.
struct Label {
    name: String,
    figure: String,
    value: f64,
    place: f64,
    color: String,
}

impl Label {
    fn letters(&self) -> usize {
        self.name.chars().count() + self.figure.chars().count() + 1
    }
}

/// Sets labels beside their lines, apart enough to be read, in the order of their lines.
fn spread(labels: &mut [Label], y: &Axis, top: f64, bottom: f64) {
    for label in labels.iter_mut() {
        label.place = y.place(label.value).clamp(top, bottom);
    }
    labels.sort_by(|a, b| a.place.total_cmp(&b.place));
    // Labels that touch become a block around the middle of what they label; blocks that touch become one.
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    for label in labels.iter() {
        let mut block = (label.place, 1);
        while let Some(&(middle, count)) = blocks.last() {
            let reach = (count + block.1) as f64 / 2.0 * LABEL_GAP;
            if block.0 - middle >= reach {
                break;
            }
            blocks.pop();
            let total = count + block.1;
            block = ((middle * count as f64 + block.0 * block.1 as f64) / total as f64, total);
            let half = (total - 1) as f64 / 2.0 * LABEL_GAP;
            block.0 = block.0.min(bottom - half).max(top + half);
        }
        blocks.push(block);
    }
    let places = blocks
        .iter()
        .flat_map(|&(middle, count)| (0..count).map(move |index| middle + (index as f64 - (count - 1) as f64 / 2.0) * LABEL_GAP));
    for (label, place) in labels.iter_mut().zip(places) {
        label.place = place;
    }
}

fn curve(line: &Line, x: &Axis, y: &Axis, size: Size, ink: Ink<'_>) -> String {
    let width = if size == Size::Large { 2.0 } else { 1.5 };
    let color = ink.of(Role::Series(line.series));
    let places: Vec<Option<[f64; 2]>> = line
        .points
        .iter()
        .map(|[step, value]| (value.is_finite() && step.is_finite()).then(|| [x.place(*step), y.place(*value)]))
        .collect();
    let path = path(&thinned(&places));
    match line.look {
        Look::Faint => format!("<path d=\"{path}\" fill=\"none\" stroke=\"{color}\" stroke-opacity=\"0.28\" stroke-width=\"1\"/>"),
        Look::Solid => format!(
            "<path d=\"{path}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"{width}\" stroke-linejoin=\"round\" stroke-linecap=\"round\"/>"
        ),
        Look::Dots => {
            let few = places.iter().flatten().count() <= 80;
            let dots = places
                .iter()
                .flatten()
                .filter(|_| few)
                .map(|[x, y]| format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.25\" fill=\"{color}\"/>"));
            let dots: String = dots.collect();
            format!("<path d=\"{path}\" fill=\"none\" stroke=\"{color}\" stroke-opacity=\"0.6\" stroke-width=\"1.5\"/>{dots}")
        }
    }
}

fn path(places: &[Option<[f64; 2]>]) -> String {
    let mut pen_down = false;
    let mut path = String::new();
    for place in places {
        let Some([x, y]) = place else {
            pen_down = false;
            continue;
        };
        path += &format!("{}{x:.1} {y:.1}", if pen_down { 'L' } else { 'M' });
        pen_down = true;
    }
    path
}

/// At most four points in a column of the plot: first, lowest, highest, last. A long run draws the same and weighs little.
fn thinned(places: &[Option<[f64; 2]>]) -> Vec<Option<[f64; 2]>> {
    let column = |place: &Option<[f64; 2]>| place.map(|[x, _]| x.floor());
    places
        .chunk_by(|a, b| column(a) == column(b))
        .flat_map(|chunk| {
            if chunk.len() <= 4 || chunk[0].is_none() {
                return chunk[..chunk.len().min(4)].to_vec();
            }
            let by_height = |&a: &usize, &b: &usize| {
                chunk[a].map(|place| place[1]).partial_cmp(&chunk[b].map(|place| place[1])).unwrap_or(std::cmp::Ordering::Equal)
            };
            let mut kept =
                [0, (0..chunk.len()).min_by(by_height).unwrap_or(0), (0..chunk.len()).max_by(by_height).unwrap_or(0), chunk.len() - 1];
            kept.sort_unstable();
            kept.map(|index| chunk[index]).to_vec()
        })
        .collect()
}

fn small_text(x: f64, y: f64, anchor: &str, color: &str, text: &str) -> String {
    format!(
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"12\" fill=\"{color}\" style=\"font-variant-numeric:tabular-nums\">{}</text>",
        escape(text)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<[f64; 2]>) -> Chart {
        let line = Line { label: "training & <co>".to_owned(), points, look: Look::Solid, series: 0 };
        Chart { lines: vec![line], rules: vec![Rule { label: "guess".to_owned(), value: 0.5 }], ..Chart::large("Loss", "<unit>") }
    }

    #[test]
    fn a_file_of_its_own_has_its_own_colors_and_a_page_uses_variables() {
        let chart = chart((1..50).map(|step| [f64::from(step), 1.0 / f64::from(step)]).collect());
        for tokens in [Tokens::dark(), Tokens::light()] {
            let file = stack_svg(std::slice::from_ref(&chart), tokens);
            assert!(file.contains(&tokens.hex(Role::Surface)) && file.contains(&tokens.hex(Role::Series(0))) && !file.contains("var("));
            assert!(file.starts_with("<svg xmlns=") && file.contains("training &amp; &lt;co&gt;") && file.contains("log scale"));
        }
        let inline = chart.inline_svg(400.0, 200.0, "wide");
        assert!(inline.contains("var(--series-0)") && !inline.contains("=\"#"));
    }

    #[test]
    fn nothing_but_numbers_reaches_the_drawing() {
        for points in
            [vec![], vec![[1.0, f64::NAN]], vec![[1.0, 0.0]], vec![[1.0, 1e300], [2.0, -1e300]], vec![[0.0, 2.0], [f64::NAN, 1.0]]]
        {
            let svg = stack_svg(&[chart(points)], Tokens::dark());
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn a_gap_lifts_the_pen() {
        assert_eq!(path(&[Some([0.0, 1.0]), Some([1.0, 1.0]), None, Some([2.0, 3.0])]), "M0.0 1.0L1.0 1.0M2.0 3.0");
    }

    #[test]
    fn a_long_run_draws_its_extremes_and_weighs_little() {
        let places: Vec<_> = (0..100_000)
            .map(|index| Some([f64::from(index) / 1000.0, if index == 54_321 { 99.0 } else { f64::from(index % 7) }]))
            .collect();
        let thin = thinned(&places);
        assert!(thin.len() <= 400, "{}", thin.len());
        assert!(thin.contains(&Some([54.321, 99.0])));
        assert_eq!((thin.first(), thin.last()), (places.first(), places.last()));
    }

    #[test]
    fn labels_keep_their_distance_and_stay_inside() {
        let y = Axis::vertical(0.0, 1.0, 200.0, 0.0, 5);
        for values in [vec![0.5, 0.5, 0.5, 0.51], vec![0.0, 0.01, 0.02], vec![1.0, 0.99, 0.2, 0.21]] {
            let label = |&value: &f64| Label { name: String::new(), figure: String::new(), value, place: 0.0, color: String::new() };
            let mut labels: Vec<_> = values.iter().map(label).collect();
            spread(&mut labels, &y, 4.0, 196.0);
            for pair in labels.windows(2) {
                assert!(pair[1].place - pair[0].place >= LABEL_GAP - 1e-9);
            }
            assert!(labels[0].place >= 4.0 && labels[labels.len() - 1].place <= 196.0 + 1e-9);
        }
    }
}
