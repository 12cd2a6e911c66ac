//! Everybody's side of `events.jsonl`: the whole log at once, or what was added since the last look.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::event::Event;
use crate::error::{Error, Result};

/// A log as read from disk.
#[derive(Debug, Default)]
pub struct Log {
    /// The events that count, in the order they were logged.
    pub events: Vec<Event>,
    /// Whole lines that are no events.
    pub junk_lines: usize,
    /// Whether the last line was torn and left out.
    pub torn: bool,
}

/// Reads a whole log, [`record`] applied. A log that does not exist yet is empty; one that cannot be read is an error.
pub fn read_all(path: &Path) -> Result<Log> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(reason) if reason.kind() == ErrorKind::NotFound => return Ok(Log::default()),
        Err(reason) => return Err(Error::io("read", path)(reason)),
    };
    let mut lines = Lines { reader: BufReader::new(file), line: Vec::new() };
    let mut log = Log::default();
    loop {
        match lines.next().map_err(Error::io("read", path))? {
            Line::Whole(line) => match Event::from_line(line) {
                Some(event) => record(&mut log.events, event),
                None => log.junk_lines += usize::from(!line.trim_ascii().is_empty()),
            },
            Line::Torn => log.torn = true,
            Line::End => return Ok(log),
        }
    }
}

/// Adds an event to a history. `resumed {step}` first takes away what earlier lines said of later steps: the engine does those again.
pub fn record(history: &mut Vec<Event>, event: Event) {
    if let Event::Resumed { step: last, .. } = event {
        history.retain(|earlier| earlier.step().is_none_or(|step| step <= last));
    }
    history.push(event);
}

/// Follows a growing log. Opens the file anew at each look, so that it may be missing at first, cut, or replaced.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    /// Bytes of whole lines already returned.
    offset: u64,
    /// The last bytes before `offset`: when they differ, the file is another one.
    landmark: Vec<u8>,
    /// Whether the log was looked at yet; until then one of the right length may still be another one.
    met: bool,
    restarts: u64,
    junk_lines: usize,
}

/// A look returns after about so many bytes, so that opening a long log does not freeze a window.
const BYTES_A_LOOK: u64 = 4 << 20;
const LANDMARK: usize = 64;

impl Tail {
    /// Follows the log at `path` from its first line.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self::resumed(path, 0, Vec::new())
    }

    /// Follows the log at `path` from where an earlier reader stood: after `offset` bytes, the last of which were its `landmark`. If the log
    /// is another one by now, it is read from its first line, and [`Tail::restarts`] says so.
    pub fn resumed(path: impl Into<PathBuf>, offset: u64, landmark: Vec<u8>) -> Self {
        Self { path: path.into(), offset, landmark, met: false, restarts: 0, junk_lines: 0 }
    }

    /// Events added since the last look, whole lines only; hand them to [`record`] one by one. Empty when there are none or the file
    /// cannot be read just now. A very long backlog comes in several looks.
    pub fn poll(&mut self) -> Vec<Event> {
        self.look().unwrap_or_default()
    }

    /// Bytes of whole lines that were returned: where a later reader may go on.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The last bytes before [`Tail::offset`], by which a later reader knows the log again.
    pub fn landmark(&self) -> &[u8] {
        &self.landmark
    }

    /// How often the log was replaced or cut below what had been read. When this grows, the events that [`Tail::poll`] just returned
    /// begin a new history.
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    /// Whole lines so far that are no events.
    pub fn junk_lines(&self) -> usize {
        self.junk_lines
    }

    fn look(&mut self) -> std::io::Result<Vec<Event>> {
        let mut file = File::open(&self.path)?;
        let length = file.metadata()?.len();
        if length == self.offset && self.met {
            return Ok(Vec::new());
        }
        let is_another = length < self.offset || !self.stands_at_landmark(&mut file)?;
        self.met = true;
        if is_another {
            (self.offset, self.junk_lines) = (0, 0);
            self.landmark.clear();
            self.restarts += 1;
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut lines = Lines { reader: BufReader::new(file), line: Vec::new() };
        let mut events = Vec::new();
        let begin = self.offset;
        while self.offset - begin < BYTES_A_LOOK {
            let Line::Whole(line) = lines.next()? else { break };
            match Event::from_line(line) {
                Some(event) => events.push(event),
                None => self.junk_lines += usize::from(!line.trim_ascii().is_empty()),
            }
            self.offset += line.len() as u64;
            self.landmark = line[line.len().saturating_sub(LANDMARK)..].to_vec();
        }
        Ok(events)
    }

    fn stands_at_landmark(&self, file: &mut File) -> std::io::Result<bool> {
        let Some(begin) = self.offset.checked_sub(self.landmark.len() as u64) else { return Ok(false) };
        let mut found = vec![0; self.landmark.len()];
        file.seek(SeekFrom::Start(begin))?;
        file.read_exact(&mut found)?;
        Ok(found == self.landmark)
    }
}

struct Lines<R> {
    reader: R,
    line: Vec<u8>,
}

enum Line<'a> {
    /// A line with its line break.
    Whole(&'a [u8]),
    /// Bytes without a line break at the end of the file.
    Torn,
    End,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> std::io::Result<Line<'_>> {
        self.line.clear();
        self.reader.read_until(b'\n', &mut self.line)?;
        Ok(match self.line.last() {
            Some(b'\n') => Line::Whole(&self.line),
            Some(_) => Line::Torn,
            None => Line::End,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::run::event::{Step, Stopped};
    use crate::run::writer::EventWriter;

    fn step(step: u64) -> Event {
        Event::Step(Step { step, loss: 1.0 / step as f64, ..Step::default() })
    }

    fn resumed(step: u64) -> Event {
        Event::Resumed { step, time: 0.0, device: String::new(), steps: 9 }
    }

    fn log_of(events: &[Event]) -> Vec<u8> {
        events.iter().flat_map(|event| [serde_json::to_vec(event).unwrap(), vec![b'\n']].concat()).collect()
    }

    fn steps(events: &[Event]) -> Vec<u64> {
        events.iter().filter_map(|event| if let Event::Step(step) = event { Some(step.step) } else { None }).collect()
    }

    #[test]
    fn a_log_cut_at_any_byte_reads_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let bytes = log_of(&[step(1), Event::Warning { message: "größer".into() }, step(2), resumed(1), step(2)]);
        for cut in 0..=bytes.len() {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let whole = bytes[..cut].iter().filter(|&&byte| byte == b'\n').count();
            let log = read_all(&path).unwrap();
            assert_eq!(log.junk_lines, 0, "cut at byte {cut}");
            assert_eq!(log.torn, cut > 0 && bytes[cut - 1] != b'\n', "cut at byte {cut}");
            assert_eq!(log.events.len(), if whole >= 4 { whole - 1 } else { whole }, "cut at byte {cut}");
            EventWriter::open(&path).unwrap().write(&step(8)).unwrap();
            let log = read_all(&path).unwrap();
            assert_eq!((log.events.last(), log.junk_lines, log.torn), (Some(&step(8)), 0, false), "cut at byte {cut}");
        }
    }

    #[test]
    fn resuming_drops_later_steps_that_were_logged_before() {
        let stopped = Event::Stopped(Stopped::default());
        let checkpoint = Event::Checkpoint { step: 30, path: "checkpoints/00000030".into() };
        let mut history = Vec::new();
        for event in [step(10), step(20), step(30), checkpoint, stopped, resumed(20), step(21), resumed(20), step(22)] {
            record(&mut history, event);
        }
        assert_eq!(steps(&history), [10, 20, 22]);
        assert!(!history.iter().any(|event| matches!(event, Event::Checkpoint { .. })));
        assert!(history.iter().any(|event| matches!(event, Event::Stopped(_))), "events without a step stay");
    }

    #[test]
    fn junk_is_counted_and_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let bytes = [&log_of(&[step(1)])[..], b"nonsense\n\xff\xfe\n\n", &log_of(&[step(2)])[..]].concat();
        std::fs::write(&path, bytes).unwrap();
        let log = read_all(&path).unwrap();
        assert_eq!((steps(&log.events), log.junk_lines), (vec![1, 2], 2));
        assert!(read_all(&folder.path().join("none.jsonl")).unwrap().events.is_empty());
        assert!(read_all(folder.path()).is_err(), "a folder is no log");
    }

    #[test]
    fn a_tail_sees_each_line_once_whatever_the_pieces() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let bytes = log_of(&[step(1), step(2), step(3)]);
        for piece in 1..60 {
            let _ = std::fs::remove_file(&path);
            let mut tail = Tail::new(&path);
            assert!(tail.poll().is_empty());
            let mut seen = Vec::new();
            for chunk in bytes.chunks(piece) {
                std::fs::OpenOptions::new().create(true).append(true).open(&path).unwrap().write_all(chunk).unwrap();
                seen.extend(tail.poll());
            }
            assert_eq!((steps(&seen), tail.restarts(), tail.junk_lines()), (vec![1, 2, 3], 0, 0), "pieces of {piece} bytes");
        }
    }

    #[test]
    fn a_tail_notices_a_log_that_was_cut_or_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut tail = Tail::new(&path);
        std::fs::write(&path, log_of(&[step(1), step(2)])).unwrap();
        assert_eq!(steps(&tail.poll()), [1, 2]);
        std::fs::write(&path, log_of(&[step(7)])).unwrap();
        assert_eq!((steps(&tail.poll()), tail.restarts()), (vec![7], 1));
        std::fs::write(&path, log_of(&[step(4), step(5), step(6)])).unwrap();
        assert_eq!((steps(&tail.poll()), tail.restarts()), (vec![4, 5, 6], 2), "longer, but another file");
        assert!(tail.poll().is_empty());
    }

    #[test]
    fn a_later_reader_goes_on_where_an_earlier_one_stood() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        std::fs::write(&path, log_of(&[step(1), step(2)])).unwrap();
        let mut first = Tail::new(&path);
        first.poll();
        let (offset, landmark) = (first.offset(), first.landmark().to_vec());
        let later = || Tail::resumed(&path, offset, landmark.clone());
        let mut tail = later();
        assert!(tail.poll().is_empty() && tail.restarts() == 0);
        std::fs::write(&path, log_of(&[step(1), step(2), step(3)])).unwrap();
        for mut tail in [tail, later()] {
            assert_eq!((steps(&tail.poll()), tail.restarts()), (vec![3], 0));
        }
        for other in [&[step(7)][..], &[step(8), step(9)], &[step(4), step(5), step(6)]] {
            std::fs::write(&path, log_of(other)).unwrap();
            let mut tail = later();
            assert_eq!((tail.poll(), tail.restarts()), (other.to_vec(), 1), "shorter, as long, longer: another log");
        }
        let mut impossible = Tail::resumed(&path, 3, vec![0; 9]);
        assert_eq!((steps(&impossible.poll()), impossible.restarts()), (vec![4, 5, 6], 1));
    }

    #[test]
    fn a_long_backlog_comes_in_several_looks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let event = Event::Warning { message: "w".repeat(1 << 20) };
        std::fs::write(&path, log_of(&vec![event; 6])).unwrap();
        let mut tail = Tail::new(&path);
        let looks: Vec<usize> = (0..3).map(|_| tail.poll().len()).collect();
        assert_eq!(looks, [4, 2, 0]);
    }
}
