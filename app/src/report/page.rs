//! The report set in type: HTML with its style inside, pictures as data, and everything a person may have typed escaped.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maskroom_widgets::tokens::Tokens;

use super::chart::{Chart, Size};
use super::figure::figure;
use super::{Bar, Picture, Report, Section};

const STYLE: &str = include_str!("page.css");

/// The whole page. The policy in its head makes a browser refuse anything that is not in the file.
pub(super) fn render(report: &Report, dark: &Tokens, light: &Tokens) -> String {
    let (title, subtitle, footer) = (escape(&report.title), escape(&report.subtitle), escape(&report.footer));
    let facts = report.facts.iter().map(|(label, value)| format!("<div><dt>{}</dt><dd>{}</dd></div>", escape(label), escape(value)));
    let facts: String = facts.collect();
    let sections: String = report.sections.iter().map(section).collect();
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title} – Maskroom report</title>
<style>
{themes}{STYLE}</style>
</head>
<body>
<main>
<header>
<div class="bar"><p class="mark">{MARK}Maskroom report</p>{SWITCH}</div>
<h1>{title}</h1>
<p class="subtitle">{subtitle}</p>
<dl class="facts">{facts}</dl>
</header>
{verdict}
{sections}
<footer>{footer}</footer>
</main>
</body>
</html>
"#,
        themes = themes(dark, light),
        verdict = verdict(report),
    )
}

/// Text for the inside of an element or of an attribute in double quotes. What XML forbids, such as a stray control character, is left out.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&apos;",
            '\n' | '\t' => escaped.push(letter),
            _ if letter.is_control() => {}
            _ => escaped.push(letter),
        }
    }
    escaped
}

/// Sixteen patches, few of them visible.
const MARK: &str = concat!(
    r#"<svg viewBox="0 0 19 19" width="19" height="19" aria-hidden="true"><path class="hidden-patch" "#,
    r#"d="M0 0h4v4h-4zM10 0h4v4h-4zM15 0h4v4h-4zM0 5h4v4h-4zM5 5h4v4h-4zM15 5h4v4h-4zM5 10h4v4h-4zM10 10h4v4h-4zM15 10h4v4h-4zM0 15h4v4h-4zM5 15h4v4h-4zM15 15h4v4h-4z"/>"#,
    r#"<path class="visible-patch" d="M5 0h4v4h-4zM10 5h4v4h-4zM0 10h4v4h-4zM10 15h4v4h-4z"/></svg>"#
);

/// Chooses the theme without a script.
const SWITCH: &str = concat!(
    r#"<fieldset class="switch"><legend>Theme</legend>"#,
    r#"<label><input type="radio" name="theme" id="theme-auto" checked><span>Auto</span></label>"#,
    r#"<label><input type="radio" name="theme" id="theme-light"><span>Light</span></label>"#,
    r#"<label><input type="radio" name="theme" id="theme-dark"><span>Dark</span></label></fieldset>"#
);

fn themes(dark: &Tokens, light: &Tokens) -> String {
    let (dark, light) = (dark.css(), light.css());
    format!(
        ":root {{\ncolor-scheme: light;\n{light}}}\n\
         @media (prefers-color-scheme: dark) {{ :root {{\ncolor-scheme: dark;\n{dark}}} }}\n\
         :root:has(#theme-light:checked) {{\ncolor-scheme: light;\n{light}}}\n\
         :root:has(#theme-dark:checked) {{\ncolor-scheme: dark;\n{dark}}}\n"
    )
}

fn verdict(report: &Report) -> String {
    let verdict = &report.verdict;
    if verdict.text.is_empty() {
        return String::new();
    }
    let (claim, reason) = verdict.text.split_once(": ").unwrap_or((&verdict.text, ""));
    let class = if verdict.good { "good" } else { "not-yet" };
    // The reason begins a sentence of its own once it stands apart from the claim.
    let mut letters = reason.chars();
    let reason: String = letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default();
    format!("<div class=\"verdict {class}\"><p class=\"claim\">{}</p><p>{}</p></div>", escape(claim), escape(&reason))
}

fn section(section: &Section) -> String {
    match section {
        Section::Curves { title, note, charts } => framed(title, note, &curves(charts)),
        Section::Pictures { title, note, headings, images } if headings.is_empty() => framed(title, note, &gallery(images)),
        Section::Pictures { title, note, headings, images } => framed(title, note, &strips(headings, images)),
        Section::Bars { title, note, rows } => framed(title, note, &bars(rows)),
        Section::Table { title, note, headings, rows } => framed(title, note, &table(headings, rows)),
        Section::Code { title, text } => {
            let lines = text.lines().count();
            format!(
                "<section><details><summary><h2>{}</h2><span class=\"muted\">{lines} lines</span></summary><pre><code>{}</code></pre></details></section>",
                escape(title),
                escape(text)
            )
        }
    }
}

fn framed(title: &str, note: &str, inside: &str) -> String {
    let note = if note.is_empty() { String::new() } else { format!("<p class=\"note\">{}</p>", escape(note)) };
    format!("<section><h2>{}</h2>{note}{inside}</section>\n", escape(title))
}

/// Large charts are drawn twice, for wide and for narrow pages, because text must not shrink with the page.
fn curves(charts: &[Chart]) -> String {
    let large = charts.iter().filter(|chart| chart.size == Size::Large);
    let large = large.map(|chart| {
        format!(
            "<div class=\"plot\">{}{}</div>",
            chart.inline_svg(1072.0, 360.0, "chart wide"),
            chart.inline_svg(372.0, 280.0, "chart narrow")
        )
    });
    let small = charts.iter().filter(|chart| chart.size == Size::Small);
    let small: String = small.map(|chart| chart.inline_svg(336.0, 168.0, "chart")).collect();
    let small = if small.is_empty() { small } else { format!("<div class=\"multiples\">{small}</div>") };
    large.collect::<String>() + &small
}

fn strips(headings: &[String], images: &[Picture]) -> String {
    let columns = headings.len();
    let width = images.first().map_or("100%".to_owned(), |image| safe_css(&image.width_css));
    let headings: String = headings.iter().map(|heading| format!("<span>{}</span>", escape(heading))).collect();
    let rows = images.iter().map(|image| {
        let picture = picture(image, "");
        format!("<figure>{picture}<figcaption>{}</figcaption></figure>", escape(&image.caption))
    });
    format!(
        "<div class=\"strips\" style=\"--strip: {width}; --columns: {columns}\"><div class=\"headings\">{headings}</div>{}</div>",
        rows.collect::<String>()
    )
}

fn gallery(images: &[Picture]) -> String {
    let figures = images.iter().map(|image| {
        let width = safe_css(&image.width_css);
        let caption = if image.caption.is_empty() { String::new() } else { format!("<figcaption>{}</figcaption>", escape(&image.caption)) };
        format!("<figure style=\"width: min(100%, {width})\">{}{caption}</figure>", picture(image, ""))
    });
    format!("<div class=\"gallery\">{}</div>", figures.collect::<String>())
}

/// A picture as data, its size known before it is decoded. Small ones keep their pixels sharp: they are what the network sees.
fn picture(image: &Picture, class: &str) -> String {
    let size = png_size(&image.png);
    let class = if size.is_some_and(|(width, _)| width < 640) { format!("{class} pixels") } else { class.to_owned() };
    let size = size.map(|(width, height)| format!(" width=\"{width}\" height=\"{height}\"")).unwrap_or_default();
    let data = STANDARD.encode(&image.png);
    format!("<img class=\"{}\"{size} alt=\"{}\" src=\"data:image/png;base64,{data}\">", class.trim(), escape(&image.caption))
}

/// Width and height from a PNG's header.
fn png_size(png: &[u8]) -> Option<(u32, u32)> {
    let number = |at: usize| png.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
    if png.get(..8)? == b"\x89PNG\r\n\x1a\n" { Some((number(16)?, number(20)?)) } else { None }
}

/// One length as CSS, such as `160px` or `100%`, without anything that could end the declaration or name a place.
fn safe_css(text: &str) -> String {
    let safe: String = text.chars().filter(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '%' | '.')).collect();
    if safe.is_empty() { "100%".to_owned() } else { safe }
}

fn bars(rows: &[Bar]) -> String {
    // The longest bar fills most of the track, but a small figure may not look like a large one.
    let most = rows.iter().map(|row| row.value).filter(|value| value.is_finite()).fold(0.0, f64::max);
    let full = [0.25, 0.5, 1.0].into_iter().find(|full| most <= *full).unwrap_or(most);
    let rows = rows.iter().map(|row| {
        let class = if row.emphasis { "row ours" } else { "row" };
        let share = if row.value.is_finite() { (row.value / full).clamp(0.0, 1.0) * 100.0 } else { 0.0 };
        let note = if row.note.is_empty() { String::new() } else { format!("<small>{}</small>", escape(&row.note)) };
        let value = if row.value.is_finite() && row.value < 1.0 { format!("{:.3}", row.value) } else { figure(row.value) };
        format!(
            "<div class=\"{class}\"><div class=\"label\">{}{note}</div><div class=\"track\"><i style=\"width: {share:.2}%\"></i></div><div class=\"value\">{value}</div></div>",
            escape(&row.label)
        )
    });
    let rows: String = rows.collect();
    format!(
        "<div class=\"bars\">{rows}<div class=\"row scale\" aria-hidden=\"true\"><div></div><div class=\"ends\"><span>0</span><span>{}</span></div><div></div></div></div>",
        figure(full)
    )
}

fn table(headings: &[String], rows: &[Vec<String>]) -> String {
    let is_number = |cell: &String| {
        cell.chars().any(|letter| letter.is_ascii_digit()) && cell.chars().filter(|letter| letter.is_alphabetic()).count() <= 4
    };
    let numeric = |column: usize| {
        let mut cells = rows.iter().filter_map(|row| row.get(column)).filter(|cell| !cell.is_empty() && *cell != "–").peekable();
        cells.peek().is_some() && cells.all(is_number)
    };
    let classes: Vec<&str> =
        (0..headings.len()).map(|column| if column > 0 && numeric(column) { " class=\"number\"" } else { "" }).collect();
    let cells = |tag: &str, cells: &[String]| {
        let cells =
            cells.iter().enumerate().map(|(column, cell)| format!("<{tag}{}>{}</{tag}>", classes.get(column).unwrap_or(&""), escape(cell)));
        format!("<tr>{}</tr>", cells.collect::<String>())
    };
    let body: String = rows.iter().map(|row| cells("td", row)).collect();
    format!("<div class=\"scroll\"><table><thead>{}</thead><tbody>{body}</tbody></table></div>", cells("th", headings))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Verdict;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x01\x02\0\0\0\x03";

    fn report() -> Report {
        let evil = "<script>alert(1)</script>\"' onload=\"x";
        let picture = Picture { png: PNG.to_vec(), caption: evil.into(), width_css: "10px;background:url(http://x)".into() };
        let text = || evil.to_owned();
        Report {
            title: text(),
            subtitle: text(),
            facts: vec![(text(), text())],
            verdict: Verdict { good: true, text: format!("Works: {evil}") },
            sections: vec![
                Section::Curves { title: text(), note: text(), charts: vec![Chart::large(evil, evil)] },
                Section::Pictures { title: text(), note: text(), headings: vec![text()], images: vec![picture.clone()] },
                Section::Pictures { title: text(), note: text(), headings: vec![], images: vec![picture] },
                Section::Bars { title: text(), note: text(), rows: vec![Bar { label: text(), value: 0.4, emphasis: true, note: text() }] },
                Section::Table { title: text(), note: text(), headings: vec![text()], rows: vec![vec![text()]] },
                Section::Code { title: text(), text: text() },
            ],
            footer: text(),
        }
    }

    #[test]
    fn nothing_typed_by_a_person_becomes_markup_and_nothing_is_loaded() {
        let html = report().to_html(Tokens::dark(), Tokens::light());
        assert!(!html.contains("<script") && !html.contains("onload=\""), "{html}");
        for outside in ["src=\"http", "href=", "@import", "url("] {
            assert!(!html.contains(outside), "{outside}");
        }
        assert!(html.contains("default-src 'none'"));
    }

    #[test]
    fn tags_are_balanced() {
        let html = report().to_html(Tokens::dark(), Tokens::light());
        for tag in [
            "main", "section", "figure", "div", "svg", "text", "tspan", "p", "dl", "h2", "table", "tr", "td", "details", "pre", "span",
            "label",
        ] {
            let opened = html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "{tag}");
        }
    }

    #[test]
    fn both_themes_are_on_the_page_and_the_style_names_no_color() {
        let html = report().to_html(Tokens::dark(), Tokens::light());
        for theme in [Tokens::dark(), Tokens::light()] {
            assert_eq!(html.matches(&theme.css()).count(), 2);
        }
        assert!(!STYLE.contains("rgb") && !STYLE.contains("hsl"));
        let hash_is_id = STYLE.split('#').skip(1).all(|after| after.starts_with("theme-"));
        assert!(hash_is_id, "a raw color in page.css");
        for used in STYLE.split("var(--").skip(1).filter_map(|after| after.split(')').next()) {
            let local = ["strip", "columns"].contains(&used.split(',').next().unwrap_or(used));
            assert!(local || Tokens::dark().css().contains(&format!("--{used}: ")), "{used} is no token");
        }
    }

    #[test]
    fn pictures_know_their_size_and_survive_the_journey() {
        assert_eq!(png_size(PNG), Some((258, 3)));
        for cut in 0..PNG.len() {
            assert_eq!(png_size(&PNG[..cut]), None);
        }
        let html = picture(&Picture { png: b"Man".to_vec(), caption: String::new(), width_css: String::new() }, "");
        assert!(html.contains("data:image/png;base64,TWFu\""), "{html}");
    }

    #[test]
    fn columns_of_numbers_are_flush_right() {
        let row = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        let html = table(&row("name", "seconds"), &[row("1st", "0.5 s"), row("2nd", "–")]);
        assert_eq!(html.matches("class=\"number\"").count(), 3);
    }

    #[test]
    fn bars_share_one_scale() {
        let bar = |value| Bar { label: String::new(), value, emphasis: false, note: String::new() };
        let html = bars(&[bar(0.25), bar(0.5), bar(f64::NAN), bar(7.0)]);
        assert!(
            html.contains("width: 3.57%") && html.contains("width: 7.14%") && html.contains("width: 0.00%") && html.contains(">–<"),
            "{html}"
        );
    }
}
