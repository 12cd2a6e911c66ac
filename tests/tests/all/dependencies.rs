//! Dependencies: who may know whom (invariant 1), one version of what must be one (2), no network code (8).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::harness::{cargo, workspace};

/// Names of packages.
type Names = BTreeSet<String>;

/// Invariant 1. `maskroom-tests` looks at all of them and is no part of the product.
#[test]
fn dependencies_point_one_way() {
    let graph = Graph::read();
    let ours = |package: &str| graph.direct(package).into_iter().filter(|name| name.starts_with("maskroom")).collect::<Vec<_>>();
    assert_eq!(ours("maskroom"), ["maskroom-core", "maskroom-widgets"]);
    assert_eq!(ours("maskroom-widgets"), ["maskroom-shaders"]);
    assert_eq!(ours("maskroom-core"), [""; 0]);
    assert_eq!(ours("maskroom-shaders"), [""; 0]);
}

#[test]
fn the_core_knows_no_window_and_the_window_parts_no_tensors() {
    let graph = Graph::read();
    let core = graph.closure("maskroom-core");
    assert!(core.contains("burn"), "the walk finds what is there");
    assert_eq!(with_prefix(&core, &["egui", "eframe", "winit", "epaint", "rfd"]), [""; 0]);
    for package in ["maskroom-widgets", "maskroom-shaders"] {
        assert_eq!(with_prefix(&graph.closure(package), &["burn", "cubecl", "maskroom-core"]), [""; 0], "{package}");
    }
    assert!(graph.closure("maskroom-widgets").contains("egui"));
}

/// Invariant 2: two versions of one of these do not talk to each other, or build everything twice.
#[test]
fn what_must_be_one_is_in_the_lock_file_once() {
    let lock: toml::Table = std::fs::read_to_string(workspace().join("Cargo.lock")).expect("Cargo.lock").parse().expect("TOML");
    let packages = lock["package"].as_array().expect("packages");
    for name in ["wgpu", "naga", "egui", "burn"] {
        let versions: Vec<_> =
            packages.iter().filter(|package| package["name"].as_str() == Some(name)).map(|package| &package["version"]).collect();
        assert_eq!(versions.len(), 1, "{name}: {versions:?}");
    }
}

/// Invariant 8. What cargo would build for this machine, with the features that are on. `http` alone is in it: the bare types, without a
/// socket, under the database that cubecl keeps its tuning results in. `async-io` is no sign of a network: the desktop's bus (dialogs,
/// assistive technology, notifications) waits with it on a socket of this machine.
#[test]
fn nothing_in_the_default_build_can_reach_a_network() {
    const NETWORK: &[&str] = &[
        "reqwest",
        "hyper",
        "hyper-util",
        "ureq",
        "ureq-proto",
        "curl",
        "curl-sys",
        "isahc",
        "attohttpc",
        "minreq",
        "surf",
        "tokio",
        "mio",
        "async-std",
        "smol",
        "async-net",
        "socket2",
        "rustls",
        "native-tls",
        "openssl",
        "openssl-sys",
        "h2",
        "h3",
        "quinn",
        "tungstenite",
        "tokio-tungstenite",
        "tonic",
        "axum",
        "warp",
        "actix-web",
        "tiny_http",
        "hickory-resolver",
        "trust-dns-resolver",
        "ssh2",
        "libssh2-sys",
        "suppaftp",
        "hf-hub",
        "sentry",
        "opentelemetry-otlp",
        "git2",
        "libgit2-sys",
        "burn-remote",
        "burn-train",
    ];
    let tree = cargo("tree -p maskroom -e normal,build --prefix none --format {p}");
    let built: Names = tree.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    assert!(built.contains("burn") && built.contains("clap"), "the list is that of the build");
    let found: Vec<_> = NETWORK.iter().filter(|name| built.contains(**name)).collect();
    assert!(found.is_empty(), "{found:?}: see `cargo tree -p maskroom -i NAME`");
}

fn with_prefix(names: &Names, prefixes: &[&str]) -> Vec<String> {
    names.iter().filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix))).cloned().collect()
}

/// This platform, as the compiler calls it.
fn host() -> String {
    let about = std::process::Command::new("rustc").arg("-vV").output().expect("rustc starts").stdout;
    let about = String::from_utf8(about).expect("rustc prints UTF-8");
    about.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host").to_owned()
}

/// What the packages depend on outside their tests, on this platform: what others need may not have been fetched.
struct Graph {
    /// Direct dependencies by package id.
    edges: BTreeMap<String, BTreeSet<String>>,
    names: BTreeMap<String, String>,
    members: BTreeMap<String, String>,
}

impl Graph {
    fn read() -> Self {
        let metadata: Value =
            serde_json::from_str(&cargo(&format!("metadata --format-version 1 --filter-platform {}", host()))).expect("metadata is JSON");
        let list = |value: &Value| value.as_array().expect("a list").clone();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let names: BTreeMap<_, _> =
            list(&metadata["packages"]).iter().map(|package| (text(&package["id"]), text(&package["name"]))).collect();
        let members = list(&metadata["workspace_members"]).iter().map(|id| (names[&text(id)].clone(), text(id))).collect();
        // Only `dev` is left out: what a build script uses is part of the build.
        let counts = |dependency: &Value| list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"] != "dev");
        let edges = list(&metadata["resolve"]["nodes"]).into_iter().map(|node| {
            let dependencies = list(&node["deps"]).into_iter().filter(counts).map(|dependency| text(&dependency["pkg"]));
            (text(&node["id"]), dependencies.collect())
        });
        Self { edges: edges.collect(), names, members }
    }

    fn direct(&self, member: &str) -> Names {
        self.edges[&self.members[member]].iter().map(|id| self.names[id].clone()).collect()
    }

    fn closure(&self, member: &str) -> Names {
        let mut seen = BTreeSet::new();
        let mut open = vec![&self.members[member]];
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(&self.edges[id]);
            }
        }
        seen.into_iter().map(|id| self.names[id].clone()).collect()
    }
}
