//! What a person asks of a running engine: `commands.jsonl`. Anyone appends; the engine reads each command once, over resumes too.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::folder::RunFolder;
use crate::error::{Error, Result};
use crate::files::write_atomic;

/// One line of `commands.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Any text that tells commands apart; a number is taken for its digits.
    #[serde(default, deserialize_with = "text")]
    pub id: String,
    /// What to do.
    #[serde(flatten)]
    pub action: Action,
}

/// What the engine can be asked to do between two steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Action {
    /// Wait until `resume` or `stop`.
    Pause,
    /// Go on after `pause`.
    Resume,
    /// Write a checkpoint now.
    Checkpoint,
    /// Write a checkpoint, then end.
    Stop,
    /// Show these images in the previews from now on.
    SetPreviewImages {
        /// Paths as the data source names them.
        #[serde(default)]
        images: Vec<String>,
    },
    /// A kind that this version does not know; the engine skips it.
    #[serde(other)]
    Unknown,
}

/// Appends a command with one write and returns its id. Any number of windows may do so at once. Errors when the file cannot be written.
pub fn append_command(run: &RunFolder, action: Action) -> Result<String> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let path = run.commands_path();
    let id = format!("{:x}-{:x}-{:x}", (super::now_secs() * 1e3) as u64, std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let command = Command { id, action };
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(&path).map_err(Error::io("open", &path))?;
    let mut line = if ends_in_a_torn_line(&mut file).map_err(Error::io("read", &path))? { b"\n".to_vec() } else { Vec::new() };
    serde_json::to_writer(&mut line, &command).map_err(|reason| Error::Failed(format!("a command cannot be written as JSON: {reason}")))?;
    line.push(b'\n');
    file.write_all(&line).map_err(Error::io("append a command to", &path))?;
    Ok(command.id)
}

/// A window killed in the middle of its line must not swallow the next one.
fn ends_in_a_torn_line(file: &mut File) -> std::io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// The engine's ear. How far it has read is kept in the run folder, so that an old `stop` does not end a resumed run.
#[derive(Debug)]
pub struct Inbox {
    commands: PathBuf,
    bookmark: PathBuf,
    read_bytes: u64,
    /// The part of `read_bytes` that is safe on disk.
    saved_bytes: u64,
}

impl Inbox {
    /// For a run that begins: commands given before now are still to be done. Errors when the bookmark cannot be read.
    pub fn open(run: &RunFolder) -> Result<Self> {
        let (commands, bookmark) = (run.commands_path(), run.commands_read_path());
        let read_bytes = match std::fs::read_to_string(&bookmark) {
            // A bookmark that is no number can only come from outside; doing old commands again would be worse than skipping them.
            Ok(text) => text.trim().parse().unwrap_or_else(|_| length(&commands)),
            Err(reason) if reason.kind() == ErrorKind::NotFound => 0,
            Err(reason) => return Err(Error::io("read", &bookmark)(reason)),
        };
        Ok(Self { commands, bookmark, read_bytes, saved_bytes: read_bytes })
    }

    /// For a run that goes on: what was asked of the earlier engine and never heard is dropped, except the wish for preview images. Open
    /// it before the `resumed` event is written; what comes after that event is heard.
    pub fn open_resumed(run: &RunFolder) -> Result<(Self, Vec<Command>)> {
        let mut inbox = Self::open(run)?;
        let mut wishes = inbox.poll();
        wishes.retain(|command| matches!(command.action, Action::SetPreviewImages { .. }));
        Ok((inbox, wishes))
    }

    /// New commands, each once, in order. Costs one look at the file's length when there are none. A command is marked as read before it
    /// is returned, so that a `stop` that is done cannot be done again.
    pub fn poll(&mut self) -> Vec<Command> {
        let length = length(&self.commands);
        if length < self.read_bytes {
            // Somebody replaced the file: all of it is new.
            self.read_bytes = 0;
        }
        let commands = if length > self.read_bytes { self.read_new() } else { Vec::new() };
        if self.saved_bytes != self.read_bytes {
            match write_atomic(&self.bookmark, self.read_bytes.to_string().as_bytes()) {
                Ok(()) => self.saved_bytes = self.read_bytes,
                // A full disk must not make the engine deaf; the next look tries again.
                Err(reason) => tracing::warn!("how far commands were read is not saved: {reason}"),
            }
        }
        commands
    }

    /// Whether `stop` is among the commands that the next look will bring, for work that is worth breaking off. Reads them, but does not mark
    /// them as read.
    pub fn holds_stop(&self) -> bool {
        let is_stop =
            |line: std::io::Result<Vec<u8>>| line.is_ok_and(|line| parse(&line).is_ok_and(|command| command.action == Action::Stop));
        length(&self.commands) > self.read_bytes && self.unread().is_some_and(|reader| reader.split(b'\n').any(is_stop))
    }

    fn unread(&self) -> Option<BufReader<File>> {
        let mut file = File::open(&self.commands).ok()?;
        file.seek(SeekFrom::Start(self.read_bytes)).ok()?;
        Some(BufReader::new(file))
    }

    fn read_new(&mut self) -> Vec<Command> {
        let Some(mut reader) = self.unread() else { return Vec::new() };
        let (mut commands, mut line) = (Vec::new(), Vec::new());
        while reader.read_until(b'\n', &mut line).is_ok() && !line.is_empty() {
            let parsed = parse(&line);
            // No part of an object is an object: what parses is whole, even where a script wrote no line break.
            if !line.ends_with(b"\n") && parsed.is_err() {
                break;
            }
            match parsed {
                Ok(Command { action: Action::Unknown, id }) => tracing::warn!("command {id} is of a kind this version does not know"),
                Ok(command) => commands.push(command),
                Err(_) if line.trim_ascii().is_empty() => {}
                Err(reason) => tracing::warn!("a line of {} is no command: {reason}", self.commands.display()),
            }
            self.read_bytes += line.len() as u64;
            line.clear();
        }
        commands
    }
}

/// A command's line. Its kind must be a word: serde would take a number for the place of a kind in the list.
fn parse(line: &[u8]) -> serde_json::Result<Command> {
    let value: serde_json::Value = serde_json::from_slice(line)?;
    if value.get("kind").is_some_and(|kind| !kind.is_string()) {
        return Err(serde::de::Error::custom("its kind is not a word"));
    }
    serde_json::from_value(value)
}

fn text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    })
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> (tempfile::TempDir, RunFolder) {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder { root: folder.path().to_path_buf() };
        (folder, run)
    }

    fn actions(commands: Vec<Command>) -> Vec<Action> {
        commands.into_iter().map(|command| command.action).collect()
    }

    #[test]
    fn each_command_is_heard_once_even_by_the_next_engine() {
        let (_folder, run) = run();
        let mut inbox = Inbox::open(&run).unwrap();
        assert!(inbox.poll().is_empty());
        let first = append_command(&run, Action::Pause).unwrap();
        assert!(!inbox.holds_stop());
        let second = append_command(&run, Action::Stop).unwrap();
        assert_ne!(first, second);
        assert!(inbox.holds_stop());
        let heard = inbox.poll();
        assert!(!inbox.holds_stop(), "it is heard");
        assert_eq!((heard[0].id.as_str(), heard[1].id.as_str()), (first.as_str(), second.as_str()));
        assert!(inbox.poll().is_empty());
        assert!(Inbox::open(&run).unwrap().poll().is_empty(), "the old `stop` would end the resumed run");
    }

    #[test]
    fn a_stop_for_a_dead_engine_does_not_end_the_resumed_run() {
        let (_folder, run) = run();
        let images = Action::SetPreviewImages { images: vec!["a.png".into()] };
        append_command(&run, images.clone()).unwrap();
        append_command(&run, Action::Stop).unwrap();
        let (mut inbox, wishes) = Inbox::open_resumed(&run).unwrap();
        assert_eq!(actions(wishes), [images]);
        append_command(&run, Action::Checkpoint).unwrap();
        assert_eq!(actions(inbox.poll()), [Action::Checkpoint]);
    }

    #[test]
    fn a_torn_line_waits_and_does_not_swallow_the_next() {
        let (_folder, run) = run();
        let mut inbox = Inbox::open(&run).unwrap();
        let line = "{\"id\":\"x\",\"kind\":\"pause\"}";
        for cut in 0..line.len() {
            std::fs::write(run.commands_path(), &line[..cut]).unwrap();
            inbox.read_bytes = 0;
            assert!(inbox.poll().is_empty(), "cut at byte {cut}");
            append_command(&run, Action::Stop).unwrap();
            assert_eq!(actions(inbox.poll()), [Action::Stop], "cut at byte {cut}");
        }
    }

    #[test]
    fn a_whole_command_without_its_line_break_is_heard_once() {
        let (_folder, run) = run();
        let mut inbox = Inbox::open(&run).unwrap();
        std::fs::write(run.commands_path(), "{\"id\":\"x\",\"kind\":\"pause\"}").unwrap();
        assert_eq!(actions(inbox.poll()), [Action::Pause]);
        append_command(&run, Action::Resume).unwrap();
        assert_eq!(actions(inbox.poll()), [Action::Resume]);
    }

    #[test]
    fn unknown_kinds_fields_and_junk_are_skipped() {
        let (_folder, run) = run();
        let text = "{\"id\":\"1\",\"kind\":\"levitate\"}\nnonsense\n\n{\"kind\":\"stop\",\"why\":\"tired\"}\n\u{fffd}\n{\"id\":7,\"kind\":\"resume\"}\n";
        std::fs::write(run.commands_path(), text).unwrap();
        let heard = Inbox::open(&run).unwrap().poll();
        assert_eq!(heard[1].id, "7");
        assert_eq!(actions(heard), [Action::Stop, Action::Resume]);
    }

    #[test]
    fn a_damaged_bookmark_skips_and_a_replaced_file_is_read_anew() {
        let (_folder, run) = run();
        append_command(&run, Action::Stop).unwrap();
        std::fs::write(run.commands_read_path(), "many").unwrap();
        let mut inbox = Inbox::open(&run).unwrap();
        assert!(inbox.poll().is_empty());
        std::fs::write(run.commands_path(), "{\"kind\":\"pause\"}\n").unwrap();
        assert_eq!(actions(inbox.poll()), [Action::Pause]);
    }

    #[test]
    fn the_line_is_the_contract() {
        let command = Command { id: "1".into(), action: Action::SetPreviewImages { images: vec!["a".into()] } };
        assert_eq!(serde_json::to_value(command).unwrap(), serde_json::json!({"id": "1", "kind": "set_preview_images", "images": ["a"]}));
    }
}
