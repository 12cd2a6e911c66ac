//! The end of the engine's own log, for whoever wants to know more than the curves tell.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::{DateTime, Local};
use egui::{Context, Ui, vec2};
use maskroom_widgets::{LogLine, LogList, LogState, Section, Tone};

use crate::studio::runs::Run;
use crate::studio::worker::Worker;

/// A section that folds; the log is only read while it is open.
pub struct EngineLog {
    open: bool,
    lines: Vec<LogLine>,
    of: Option<PathBuf>,
    asked: Option<Instant>,
    state: LogState,
    reader: Worker<PathBuf, (PathBuf, Vec<LogLine>)>,
}

const HEIGHT: f32 = 240.0;
/// Bytes of the log that are shown, from its end.
const SHOWN_BYTES: u64 = 256 << 10;
/// How often the log of a living engine is read again.
const AGAIN: Duration = Duration::from_secs(1);

impl EngineLog {
    /// Folded.
    pub fn new(context: &Context) -> Self {
        let reader = Worker::start("engine log", context, |path: PathBuf| {
            let lines = end_of(&path).map(|text| lines_of(&text)).unwrap_or_default();
            (path, lines)
        });
        Self { open: false, lines: Vec::new(), of: None, asked: None, state: LogState::default(), reader }
    }

    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, run: &Run) {
        let path = run.folder.log_path();
        let mut open = self.open;
        Section::new("Engine log").note("the engine's own words").collapsible(&mut open).show(ui, |ui| {
            self.read(ui.ctx(), &path, run.state().is_active());
            ui.allocate_ui(vec2(ui.available_width(), HEIGHT), |ui| {
                ui.set_height(HEIGHT);
                LogList::new(&self.lines)
                    .empty("Nothing logged yet", "The engine writes here as soon as it starts")
                    .show(ui, &mut self.state);
            });
        });
        if open != self.open {
            (self.open, self.asked) = (open, None);
        }
    }

    fn read(&mut self, context: &Context, path: &Path, is_growing: bool) {
        for (of, lines) in self.reader.answers() {
            if of == path {
                self.lines = lines;
            }
        }
        if self.of.as_deref() != Some(path) {
            (self.of, self.asked, self.state) = (Some(path.to_path_buf()), None, LogState::default());
            self.lines.clear();
        }
        if self.asked.is_none_or(|at| is_growing && at.elapsed() >= AGAIN) {
            self.asked = Some(Instant::now());
            self.reader.ask(path.to_path_buf());
        }
        if is_growing {
            context.request_repaint_after(AGAIN);
        }
    }
}

/// The last whole lines.
fn end_of(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let begin = file.metadata()?.len().saturating_sub(SHOWN_BYTES);
    file.seek(SeekFrom::Start(begin))?;
    let mut bytes = Vec::new();
    file.take(SHOWN_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(if begin > 0 { text.split_once('\n').map_or(String::new(), |(_, rest)| rest.to_owned()) } else { text })
}

/// Lines as `2026-01-31T08:00:00.5Z  INFO maskroom_core::train: words`; others were printed, and belong to the line before unless they begin
/// an error. Warnings are printed as well as logged, and shown once.
fn lines_of(text: &str) -> Vec<LogLine> {
    let mut lines: Vec<LogLine> = Vec::new();
    let is_said = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("WARN ");
    for line in text.lines().filter(is_said) {
        if let Some(logged) = logged(line) {
            lines.push(logged);
        } else if let Some(error) = line.strip_prefix("error: ") {
            lines.push(LogLine {
                time: lines.last().map(|line| line.time.clone()).unwrap_or_default(),
                tone: Tone::Bad,
                text: error.to_owned(),
            });
        } else if let Some(last) = lines.last_mut() {
            last.text = format!("{}\n{line}", last.text);
        }
    }
    lines
}

fn logged(line: &str) -> Option<LogLine> {
    let (time, rest) = line.split_once(' ')?;
    let time = DateTime::parse_from_rfc3339(time).ok()?.with_timezone(&Local).format("%H:%M:%S").to_string();
    let (level, rest) = rest.trim_start().split_once(' ')?;
    let tone = match level {
        "ERROR" => Tone::Bad,
        "WARN" => Tone::Warning,
        _ => Tone::Info,
    };
    let text = rest.split_once(": ").filter(|(target, _)| !target.contains(' ')).map_or(rest, |(_, words)| words);
    Some(LogLine { time, tone, text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logged_and_printed_lines_are_told_apart() {
        let text = "2026-01-31T08:00:00.123456Z  INFO maskroom_core::train::report: step 10: loss 0.9, 80.0 images/s\n\
                    \x20WARN the disk is nearly full\n\
                    2026-01-31T08:00:01.000000Z  WARN maskroom_core::train: the disk is nearly full\n\
                    free some space\n\
                    error: the disk is full\n";
        let lines = lines_of(text);
        let told: Vec<_> = lines.iter().map(|line| (line.tone, line.text.as_str())).collect();
        assert_eq!(
            told,
            [
                (Tone::Info, "step 10: loss 0.9, 80.0 images/s"),
                (Tone::Warning, "the disk is nearly full\nfree some space"),
                (Tone::Bad, "the disk is full"),
            ]
        );
        assert!(lines.iter().all(|line| line.time.len() == 8), "{lines:?}");
    }
}
