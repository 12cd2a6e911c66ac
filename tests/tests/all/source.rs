//! Rules that the source text itself keeps: plain data stays plain (invariant 3), families are complete (5), writing is atomic (7), colors
//! have one home (9), files are short, introduced and free of shortcuts (10).

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::harness::workspace;

/// The packages of the product.
const PRODUCT: [&str; 4] = ["app", "core", "widgets", "shaders"];

/// Invariant 3.
#[test]
fn plain_data_knows_no_tensors() {
    for folder in ["mask", "recipe", "run", "annotate", "export"] {
        let files = rust_files(&format!("core/src/{folder}"));
        assert!(!files.is_empty() || folder == "annotate", "{folder} is gone: change this test with it");
        for file in files {
            let found = file.lines_with(|line| words(line).any(|word| word == "burn" || word == "Tensor"));
            assert!(found.is_empty(), "{}", found.join("\n"));
        }
    }
}

/// Invariant 5: each file of a family's folder is a member that its `registry!` list names, or a module declared as a helper, which
/// registers nothing.
#[test]
fn a_familys_list_and_its_files_agree() {
    let mut families = BTreeSet::new();
    for file in rust_files("core/src").into_iter().filter(|file| file.name() == "mod.rs") {
        let Some((_, rest)) = file.text.split_once("registry! {") else { continue };
        let inner = rest.split_once('{').and_then(|(_, rest)| rest.split_once('}')).expect("a list in braces").0;
        let listed: BTreeSet<&str> = inner.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        let helpers: BTreeSet<&str> = file.text.lines().filter_map(declared_module).collect();
        let folder = file.path.parent().expect("a folder");
        families.insert(folder.file_name().expect("a name").to_string_lossy().into_owned());
        let mut found = BTreeSet::new();
        for part in std::fs::read_dir(folder).expect("the folder").map(|entry| Source::read(entry.expect("an entry").path())) {
            let stem = part.path.file_stem().expect("a stem").to_string_lossy().into_owned();
            let registers = part.product().contains("pub const ENTRY: Entry<");
            if stem != "mod" && registers {
                found.insert(stem);
            } else {
                assert!(stem == "mod" || helpers.contains(stem.as_str()), "{}: no member and no declared module", part.place());
            }
        }
        assert_eq!(found.iter().map(String::as_str).collect::<BTreeSet<_>>(), listed, "{}", file.place());
    }
    for family in ["mask", "target", "objective", "export"] {
        assert!(families.contains(family), "{family} has no registry! list");
    }
}

/// Invariant 7. Whoever writes a file does so through `files.rs`; the exceptions, each with its reason.
#[test]
fn files_are_written_atomically() {
    const ALLOWED: [(&str, &str); 8] = [
        ("core/src/files.rs", "this is where it is done"),
        ("app/src/studio/queue.rs", "a lock, whose text says who holds it and means nothing once it is free"),
        ("app/src/studio/session.rs", "what an engine says on its way down is appended to its log"),
        (
            "app/src/studio/shelf/thumbnail_cache.rs",
            "notes when a thumbnail was used last: the file's time is set, nothing is written into it",
        ),
        ("core/src/run/", "logs grow by whole lines, the lock holds nothing, and checkpoints appear by the renaming of their folder"),
        ("core/src/train/checkpoint.rs", "writes into the pending folder that `run` seals, syncs and renames"),
        ("core/src/dataset/toy_scenes/on_disk.rs", "a new folder of generated pictures, which the same seed makes again"),
        ("app/src/cli/logging.rs", "a log: lines are appended, and nothing reads them back"),
    ];
    for file in product_files() {
        let found = file.lines_with(|line| {
            ["fs::write(", "File::create(", "OpenOptions::new()", "File::options()"].iter().any(|call| line.contains(call))
        });
        let allowed = ALLOWED.iter().any(|(place, _)| file.place().starts_with(place));
        assert!(found.is_empty() || allowed, "write through files.rs instead:\n{}", found.join("\n"));
    }
    for (place, _) in ALLOWED {
        assert!(workspace().join(place).exists(), "{place} is gone: shorten the list");
    }
}

/// Invariant 8, in our own code.
#[test]
fn no_source_opens_a_socket() {
    for file in product_files() {
        let found = file
            .lines_with(|line| ["std::net", "TcpStream", "UdpSocket", "TcpListener", "UnixStream"].iter().any(|name| line.contains(name)));
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
}

/// Invariant 9. Style sheets of reports may name tokens (`var(--accent)`).
#[test]
fn raw_colors_are_only_in_widgets() {
    for file in rust_files("app/src").into_iter().chain(rust_files("core/src")) {
        let found = file.lines_with(|line| {
            let constructor =
                line.split("Color32::").skip(1).any(|rest| !rest.starts_with("TRANSPARENT") && !rest.starts_with("PLACEHOLDER"));
            constructor || has_hex_color(line) || has_css_color(line)
        });
        assert!(found.is_empty(), "colors come from widgets' tokens:\n{}", found.join("\n"));
    }
    assert!(has_css_color("color: rgb(10 132 255)") && !has_css_color("Picture::from_rgb(height)"));
    assert!(has_hex_color("fill=\"#0A84ff\"") && has_hex_color("color: #fff;") && !has_hex_color("&#9632; #[test] issue #12 C#"));
}

/// Invariant 10, for the tests too.
#[test]
fn files_are_introduced_and_short() {
    for file in product_files().into_iter().chain(rust_files("tests")) {
        assert!(file.text.starts_with("//! "), "{} does not say what it is for", file.place());
        let lines = file.text.lines().count();
        assert!(lines <= 500, "{} has {lines} lines: split it where a newcomer would look", file.place());
    }
}

#[test]
fn nothing_unwraps_outside_tests() {
    for file in product_files() {
        let found = file.lines_with(|line| line.contains(".unwrap()"));
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
}

#[test]
fn unsafe_code_is_in_the_kernels_with_its_reason() {
    const FORMS: [&str; 4] = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"];
    for file in product_files() {
        let found = file.lines_with(|line| FORMS.iter().any(|form| line.contains(form)));
        assert!(found.is_empty() || file.place().starts_with("core/src/kernel/"), "{}", found.join("\n"));
        let lines: Vec<&str> = file.text.lines().collect();
        // What a function asks of its callers is in its documentation.
        let needs_reason = |line: &str| FORMS.iter().any(|form| *form != "unsafe fn" && line.contains(form)) && !is_comment(line);
        for (index, _) in lines.iter().enumerate().filter(|(_, line)| needs_reason(line)) {
            let before = &lines[index.saturating_sub(4)..index];
            assert!(before.iter().any(|line| line.contains("SAFETY")), "{}:{}: unsafe without a SAFETY comment", file.place(), index + 1);
        }
    }
}

#[test]
fn a_training_step_waits_for_nothing() {
    const READS: [&str; 5] = ["into_data(", "to_data(", "into_scalar(", "to_host(", ".sync("];
    // What a step is made of. Resizing a position table happens once, when a network is opened; benches wait in order to time.
    const STEP: [&str; 6] = ["kernel", "method", "optim", "backbone", "objective", "train/engine"];
    const ASIDE: [&str; 4] =
        ["core/src/backbone/vit.rs", "core/src/backbone/swin.rs", "core/src/backbone/pvt.rs", "core/src/kernel/bench.rs"];
    for file in product_files() {
        let place = file.place();
        let in_step = STEP.iter().any(|part| place.starts_with(&format!("core/src/{part}")));
        if in_step && !ASIDE.contains(&place.as_str()) && !place.ends_with("tests.rs") && !place.ends_with("parity.rs") {
            let found = file.lines_with(|line| READS.iter().any(|read| line.contains(read)));
            assert!(found.is_empty(), "a training step reads tensors back in train/report.rs alone:\n{}", found.join("\n"));
        }
    }
}

#[test]
fn the_scanner_sees_code_and_neither_comments_nor_tests() {
    let text =
        "//! a.unwrap()\nfn f() {\n    b.unwrap() // reason\n}\n/// c.unwrap()\n#[cfg(test)]\nmod tests {\n    fn g() { d.unwrap() }\n}\n";
    let source = Source { path: workspace().join("core/src/example.rs"), text: text.into() };
    assert_eq!(source.lines_with(|line| line.contains(".unwrap()")), ["core/src/example.rs:3: b.unwrap() // reason"]);
}

/// A file and its text.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    fn read(path: PathBuf) -> Self {
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { path, text }
    }

    /// The path from the workspace's root, with `/`.
    fn place(&self) -> String {
        self.path.strip_prefix(workspace()).unwrap_or(&self.path).display().to_string().replace('\\', "/")
    }

    fn name(&self) -> String {
        self.path.file_name().expect("a name").to_string_lossy().into_owned()
    }

    /// What is part of the product: the text before the file's own tests; nothing in a file that is a test module as a whole.
    fn product(&self) -> &str {
        let own_tests = ["#[cfg(test)]\nmod ", "#[cfg(test)]\npub(super) mod "].into_iter().filter_map(|begin| self.text.find(begin)).min();
        if self.is_test_module() { "" } else { &self.text[..own_tests.unwrap_or(self.text.len())] }
    }

    /// Whether the file's parent declares it under `#[cfg(test)]`.
    fn is_test_module(&self) -> bool {
        let folder = self.path.parent().expect("a folder").with_extension("rs");
        let parents = [folder].into_iter().chain(["mod.rs", "lib.rs", "main.rs"].map(|name| self.path.with_file_name(name)));
        let stem = self.path.file_stem().expect("a stem").to_string_lossy();
        parents.filter_map(|parent| std::fs::read_to_string(parent).ok()).any(|text| {
            let lines: Vec<&str> = text.lines().collect();
            lines.windows(2).any(|pair| pair[0].trim() == "#[cfg(test)]" && declared_module(pair[1]) == Some(&*stem))
        })
    }

    /// The product's lines of code that `is_so`, each with its place.
    fn lines_with(&self, is_so: impl Fn(&str) -> bool) -> Vec<String> {
        let lines = self.product().lines().enumerate().filter(|(_, line)| !is_comment(line) && is_so(line));
        lines.map(|(index, line)| format!("{}:{}: {}", self.place(), index + 1, line.trim())).collect()
    }
}

/// `name` of `mod name;`, whatever its visibility.
fn declared_module(line: &str) -> Option<&str> {
    let (before, rest) = line.trim().split_once("mod ")?;
    (before.is_empty() || before.starts_with("pub")).then(|| rest.strip_suffix(';')).flatten()
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|character: char| !character.is_alphanumeric() && character != '_')
}

/// `#fff`, `#ff00aa`, `#ff00aa80` and the like.
fn has_hex_color(line: &str) -> bool {
    line.match_indices('#').any(|(at, _)| {
        let digits = line[at + 1..].bytes().take_while(u8::is_ascii_alphanumeric).collect::<Vec<_>>();
        let entity = line[..at].ends_with('&');
        !entity && matches!(digits.len(), 3 | 4 | 6 | 8) && digits.iter().all(u8::is_ascii_hexdigit)
    })
}

/// `rgb(10, 132, 255)` and the like.
fn has_css_color(line: &str) -> bool {
    ["rgb(", "rgba(", "hsl(", "hsla("]
        .iter()
        .any(|call| line.split(call).skip(1).any(|rest| rest.starts_with(|next: char| next.is_ascii_digit())))
}

fn product_files() -> Vec<Source> {
    let files: Vec<Source> = PRODUCT.iter().flat_map(|package| rust_files(&format!("{package}/src"))).collect();
    assert!(files.len() > 50, "the product's files are found");
    files
}

/// All Rust files below a folder of the workspace; none if there is no such folder.
fn rust_files(folder: &str) -> Vec<Source> {
    let (mut open, mut found) = (vec![workspace().join(folder)], Vec::new());
    while let Some(folder) = open.pop() {
        for path in std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("an entry").path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(Source::read(path));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}
