//! What can go wrong, sorted by what the person has to do about it: mend the request, mend the data, or mend the machine.

use std::path::{Path, PathBuf};

/// One thing that is wrong with a recipe, and its cure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Dotted path of the setting, such as `data.image`.
    pub key: String,
    /// What is wrong, in one clause.
    pub what: String,
    /// What to do about it, in one clause.
    pub cure: String,
}

impl Problem {
    /// A problem of the setting `key`.
    pub fn new(key: impl Into<String>, what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { key: key.into(), what: what.into(), cure: cure.into() }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}: {}", self.key, self.what, self.cure)
    }
}

/// What a panic says of itself.
pub fn said_by(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "an unknown fault".into())
}

/// For a cure: the multiples of `step` on both sides of `value`, `224 or 240`.
pub(crate) fn neighbors(value: usize, step: usize) -> String {
    let (below, above) = (value / step * step, value.next_multiple_of(step));
    if below == 0 { above.to_string() } else { format!("{below} or {above}") }
}

/// Every error of the library. The message says what failed, why, which file or field, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request makes no sense as written.
    #[error("{0}")]
    Usage(String),
    /// The recipe is invalid; all its problems at once.
    #[error("the recipe cannot be used:{}", list(.0))]
    Recipe(Vec<Problem>),
    /// The data cannot be read.
    #[error("{}: {reason}; {cure}", path.display())]
    Data {
        /// The folder, archive or image.
        path: PathBuf,
        /// Why it cannot be read.
        reason: String,
        /// What to do.
        cure: String,
    },
    /// The operating system refused something.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// The verb: "write", "create", "read".
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The work itself failed.
    #[error("{0}")]
    Failed(String),
}

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

fn list(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}

impl Error {
    /// Data at `path` that cannot be read, why, and the cure.
    pub fn data(path: impl Into<PathBuf>, reason: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::Data { path: path.into(), reason: reason.into(), cure: cure.into() }
    }

    /// For `map_err`: an operating-system error while `doing` something to `path`.
    pub fn io(doing: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { doing, path, source }
    }

    /// The process's exit status: 2 wrong usage or invalid recipe, 3 data unreadable, 1 everything else.
    pub fn exit_status(&self) -> i32 {
        match self {
            Self::Usage(_) | Self::Recipe(_) => 2,
            Self::Data { .. } => 3,
            Self::Io { .. } | Self::Failed(_) => 1,
        }
    }
}
