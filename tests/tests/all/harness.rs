//! The product's binary, a way to call it, and the data and run that tests share.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

/// A network that trains in a second: settings for `pretrain`.
pub const NANO: &str = "--recipe mae --set backbone.preset=vit-nano --set backbone.depth=2 --set optim.batch=16 --device cpu";

/// Longer than any call here takes on a slow machine; what still runs then hangs.
const PATIENCE: Duration = Duration::from_secs(240);

/// A call of the product: the words of a command line, to which paths are added.
pub fn maskroom(words: &str) -> Call {
    Call { arguments: words.split_whitespace().map(PathBuf::from).collect(), folder: None }
}

/// Training a tiny network on `data` into the new run folder `run`.
pub fn pretrain(data: &Path, run: &Path) -> Call {
    maskroom(&format!("pretrain {NANO}")).with("--data", data).with("--out", run)
}

/// A command line in the making.
#[derive(Clone, Debug)]
pub struct Call {
    arguments: Vec<PathBuf>,
    folder: Option<PathBuf>,
}

impl Call {
    /// Adds more words.
    pub fn and(mut self, words: &str) -> Self {
        self.arguments.extend(words.split_whitespace().map(PathBuf::from));
        self
    }

    /// Adds one argument as it is.
    pub fn arg(mut self, argument: impl AsRef<Path>) -> Self {
        self.arguments.push(argument.as_ref().to_path_buf());
        self
    }

    /// Adds an option and its value.
    pub fn with(self, option: &str, value: impl AsRef<Path>) -> Self {
        self.arg(option).arg(value)
    }

    /// Runs it with this current folder, against which relative paths count.
    pub fn within(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_path_buf());
        self
    }

    /// Runs it to its end.
    pub fn run(self) -> Outcome {
        self.start().wait()
    }

    /// Runs it with `--json`; it must succeed. Gives the object.
    #[track_caller]
    pub fn json(self) -> Value {
        let shown = format!("{self:?}");
        let outcome = self.arg("--json").run();
        assert_eq!(outcome.status, Some(0), "{shown}\n{}", outcome.stderr);
        outcome.json()
    }

    /// Runs it; it must end with `status`, and the message must contain every one of `words`.
    #[track_caller]
    pub fn refused(self, status: i32, words: &[&str]) -> Outcome {
        let shown = format!("{self:?}");
        let outcome = self.run();
        assert_eq!(outcome.status, Some(status), "{shown}\n{}", outcome.stderr);
        let missing: Vec<_> = words.iter().filter(|word| !outcome.stderr.contains(**word)).collect();
        assert!(missing.is_empty(), "{shown}\nnot in the message: {missing:?}\n{}", outcome.stderr);
        outcome
    }

    /// Starts it and lets it run.
    pub fn start(&self) -> Running {
        let output = tempfile::tempdir().expect("a temporary folder");
        let file = |name: &str| Stdio::from(File::create(output.path().join(name)).expect("a new file"));
        let child = Command::new(binary())
            .args(&self.arguments)
            .current_dir(self.folder.as_deref().unwrap_or(output.path()))
            .env_remove("RUST_BACKTRACE")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .expect("the product starts");
        Running { child, output, call: self.clone() }
    }
}

/// A call that has not ended yet; killed when dropped.
pub struct Running {
    child: Child,
    output: tempfile::TempDir,
    call: Call,
}

impl Running {
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the state of a child").is_none()
    }

    /// Ends it at once, without a chance to clean up.
    pub fn kill(mut self) {
        self.child.kill().expect("kill -9");
        self.child.wait().expect("the end of a killed child");
    }

    /// Sends a signal such as `INT`.
    #[cfg(unix)]
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -{name} {}", self.pid());
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Outcome {
        let begin = Instant::now();
        let status = loop {
            match self.child.try_wait().expect("the state of a child") {
                Some(status) => break status,
                None if begin.elapsed() > PATIENCE => panic!("{:?} hangs\n{}", self.call, self.read("stderr")),
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        };
        Outcome::new(status, self.read("stdout"), self.read("stderr"), &self.call)
    }

    /// Waits until `is_so`; the process must live on meanwhile.
    #[track_caller]
    pub fn wait_until(&mut self, what: &str, mut is_so: impl FnMut() -> bool) {
        let begin = Instant::now();
        while !is_so() {
            assert!(self.is_running(), "it ended before {what}\n{}", self.read("stderr"));
            assert!(begin.elapsed() < PATIENCE, "waited too long until {what}\n{}", self.read("stderr"));
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn read(&self, name: &str) -> String {
        String::from_utf8(std::fs::read(self.output.path().join(name)).expect("the output")).expect("output is UTF-8")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already ended is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a call ended with.
#[derive(Debug)]
pub struct Outcome {
    /// The exit status; none if a signal ended it.
    pub status: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it said beside that.
    pub stderr: String,
}

impl Outcome {
    /// Whatever a person does, no panic text may reach them: checked for every single call of the suite.
    fn new(status: ExitStatus, stdout: String, stderr: String, call: &Call) -> Self {
        for text in ["panicked at", "RUST_BACKTRACE", "stack backtrace", "called `Option::", "called `Result::"] {
            assert!(!stderr.contains(text) && !stdout.contains(text), "{call:?} shows panic text\n{stdout}\n{stderr}");
        }
        Self { status: status.code(), stdout, stderr }
    }

    /// The one object that `--json` prints, and nothing else.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "not one line: {}", self.stdout);
        let value: Value = serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout));
        assert!(value.is_object(), "no object: {value}");
        value
    }
}

/// A number in a result, by its path: `"/exports/0/masks"`, or one field's name.
#[track_caller]
pub fn number(value: &Value, path: &str) -> f64 {
    let found = if path.starts_with('/') { value.pointer(path) } else { value.get(path) };
    found.and_then(Value::as_f64).unwrap_or_else(|| panic!("no number `{path}` in {value}"))
}

/// The events of a run; every line must be a whole object with a kind.
#[track_caller]
pub fn events(run: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(run.join("events.jsonl")).expect("events.jsonl");
    let line = |line: &str| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let events: Vec<Value> = text.lines().map(line).collect();
    assert!(events.iter().all(|event| event["kind"].is_string()), "an event without kind: {text}");
    events
}

/// The events of one kind.
#[track_caller]
pub fn events_of(run: &Path, kind: &str) -> Vec<Value> {
    events(run).into_iter().filter(|event| event["kind"] == kind).collect()
}

/// The text of the event log so far; of a living run, whose last line may be torn.
pub fn log(run: &Path) -> String {
    std::fs::read_to_string(run.join("events.jsonl")).unwrap_or_default()
}

/// 64 toy scenes of 32 × 32 px in VOC layout. Never written to.
pub fn toy() -> &'static Path {
    static TOY: OnceLock<PathBuf> = OnceLock::new();
    TOY.get_or_init(|| {
        let folder = suite_folder().join("toy");
        maskroom("data make-toy --count 64 --size 32").with("--out", &folder).json();
        folder
    })
}

/// The path of a toy scene's picture.
pub fn toy_picture(index: usize) -> PathBuf {
    toy().join(format!("JPEGImages/toy_{index:06}.png"))
}

/// A network of 2 blocks, 3 heads and 8 × 8 patches, trained for 30 steps on [`toy`]. Never written to.
pub fn trained() -> &'static Path {
    static TRAINED: OnceLock<PathBuf> = OnceLock::new();
    TRAINED.get_or_init(|| {
        let run = suite_folder().join("trained");
        pretrain(toy(), &run).and("--steps 30 --threads 2").json();
        run
    })
}

/// The workspace's root.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace")
}

/// What a cargo command prints, run in the workspace without the network.
pub fn cargo(words: &str) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsStr::new("cargo").to_owned());
    let output =
        Command::new(cargo).args(words.split_whitespace()).arg("--offline").current_dir(workspace()).output().expect("cargo starts");
    assert!(output.status.success(), "cargo {words}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}

/// The product as it was built when the suite began, whatever is built meanwhile.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        // The whole workspace, as everywhere: one package alone would unify other features and build Burn anew.
        cargo("build --release --workspace --bin maskroom");
        let metadata: Value = serde_json::from_str(&cargo("metadata --no-deps --format-version 1")).expect("metadata is JSON");
        let target = metadata["target_directory"].as_str().expect("a target folder");
        let built = Path::new(target).join("release").join(format!("maskroom{}", std::env::consts::EXE_SUFFIX));
        let kept = suite_folder().join("maskroom");
        std::fs::copy(&built, &kept).unwrap_or_else(|error| panic!("cannot copy {}: {error}", built.display()));
        kept
    })
}

/// A folder that lives as long as this process; what dead ones left is removed.
pub fn suite_folder() -> &'static Path {
    static SUITE: OnceLock<(PathBuf, File)> = OnceLock::new();
    let (folder, _alive) = SUITE.get_or_init(|| {
        let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
        for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
            let lock = File::open(entry.path().join("alive"));
            if lock.is_ok_and(|lock| !matches!(lock.try_lock(), Err(TryLockError::WouldBlock))) {
                // Another suite may be removing it just now.
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        let folder = parent.join(format!("suite-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for the suite");
        let alive = File::create(folder.join("alive")).expect("a lock for the suite");
        alive.lock().expect("the suite's lock");
        (folder, alive)
    });
    folder
}
