//! Questions that take memory or minutes, put to the engine in a process of its own: the window neither grows nor waits, and no longer
//! wanting the answer ends the process.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::Value;

use super::job::JobProgress;
use super::preferences::Preferences;
use super::session::in_a_group_of_its_own;

/// How often the process is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// The command line of a question: what is asked, then where and with how many threads to compute.
pub fn arguments(question: &[&str], preferences: &Preferences) -> Vec<String> {
    let mut arguments: Vec<String> = question.iter().map(|&word| word.to_owned()).collect();
    arguments.extend(["--json", "--device", &preferences.device].map(str::to_owned));
    if preferences.threads > 0 {
        arguments.extend(["--threads".to_owned(), preferences.threads.to_string()]);
    }
    arguments
}

/// Asks, waits, and returns the JSON object that the process prints last.
///
/// # Errors
/// If the process cannot be started, says what is wrong, or is no longer wanted.
pub fn ask(engine: &Path, arguments: &[String], progress: &JobProgress) -> Result<Value> {
    let mut command = Command::new(engine);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    in_a_group_of_its_own(&mut command);
    let mut child = command.spawn().with_context(|| format!("the engine {} cannot be started", engine.display()))?;
    // Both pipes are emptied while it runs, or a talkative process would wait for ever.
    let (said, complained) = (listen(child.stdout.take())?, listen(child.stderr.take())?);
    let status = loop {
        if progress.is_cancelled() {
            end(&mut child);
            bail!("cancelled");
        }
        match child.try_wait()? {
            Some(status) => break status,
            None => std::thread::sleep(LOOK),
        }
    };
    let (said, complained) = (said.join().unwrap_or_default(), complained.join().unwrap_or_default());
    if !status.success() {
        bail!("{}", reason(&complained).unwrap_or_else(|| format!("the engine ended with {status}")));
    }
    let last = said.lines().last().unwrap_or_default();
    serde_json::from_str(last).map_err(|error| anyhow!("the engine's answer cannot be read: {error}"))
}

fn listen(pipe: Option<impl Read + Send + 'static>) -> Result<std::thread::JoinHandle<String>> {
    let listener = std::thread::Builder::new().name("engine answer".into()).spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe
            && let Err(error) = pipe.read_to_end(&mut bytes)
        {
            tracing::debug!("the engine's answer breaks off: {error}");
        }
        String::from_utf8_lossy(&bytes).into_owned()
    });
    Ok(listener?)
}

fn end(child: &mut Child) {
    // It may have ended by itself meanwhile.
    let _ = child.kill();
    let _ = child.wait();
}

/// What a failed engine says: its last line, without the word that introduces it.
fn reason(complained: &str) -> Option<String> {
    let line = complained.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.strip_prefix("error: ").unwrap_or(line).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_name_the_device_and_only_chosen_threads() {
        let preferences = Preferences { device: "cpu".into(), ..Preferences::default() };
        assert_eq!(arguments(&["doctor"], &preferences), ["doctor", "--json", "--device", "cpu"]);
        let preferences = Preferences { threads: 3, ..preferences };
        assert_eq!(arguments(&["doctor"], &preferences)[4..], ["--threads", "3"]);
    }

    #[test]
    fn the_reason_is_the_last_line() {
        assert_eq!(reason("warming up\nerror: no such file\n\n").as_deref(), Some("no such file"));
        assert_eq!(reason(""), None);
    }
}
