//! Runs as they could have been: real weights and previews of a small network, and events with made-up figures.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use maskroom_core::random::{Purpose, Stream};
use maskroom_core::recipe::{Base, Recipe};
use maskroom_core::run::{Event, EventWriter, Probe, Reason, RunFolder, RunInfo, Started, Step, Stopped, Validation};

use super::random_input::copy_folder;
use crate::harness::{Call, maskroom, suite_folder};

/// A name for which there is no room anywhere.
pub const LONG_NAME: &str =
    "vit-nano on the second expedition, masks of 75 % in blocks, decoder twice as wide, seed 3, with the longer warm-up";
const LONG_NOTES: &str = "Whether wider decoders help when the masks come in blocks. Compare with the run of the first expedition, which had \
                          the same seed but half the images, and read the held-out loss rather than the training loss.";

/// A network that was trained for a few steps, whose weights and previews all runs share.
pub struct Network {
    run: RunFolder,
    /// Its recipe.
    pub text: String,
}

/// Trains it once.
pub fn network() -> &'static Network {
    static NETWORK: OnceLock<Network> = OnceLock::new();
    NETWORK.get_or_init(|| {
        let call = maskroom(
            "pretrain --recipe mae --set backbone.preset=vit-nano --set backbone.depth=3 --set backbone.patch=8 --set data.image=[64,64] \
             --set optim.batch=16 --set train.preview_every_steps=40 --set train.preview_images=2 --steps 120 --threads 2 --device cpu",
        );
        train(call, "network of pictures")
    })
}

fn train(call: Call, folder: &str) -> Network {
    static SCENES: OnceLock<PathBuf> = OnceLock::new();
    let data = SCENES.get_or_init(|| {
        let data = suite_folder().join("scenes of pictures");
        maskroom("data make-toy --count 48 --size 96").with("--out", &data).json();
        data
    });
    let run = RunFolder { root: suite_folder().join(folder) };
    call.with("--data", data).with("--out", &run.root).json();
    let recipe = Recipe::from_toml(&std::fs::read_to_string(run.recipe_path()).expect("its recipe")).expect("its recipe");
    Network { run, text: toml::to_string_pretty(&recipe.to_short_toml()).expect("a recipe is TOML") }
}

/// The methods whose networks are shown no masks.
pub const UNMASKED: [&str; 3] = ["rotation", "jigsaw", "colorization"];

/// Networks that were trained by them.
pub fn unmasked(method: &str) -> &'static Network {
    static NETWORKS: [OnceLock<Network>; 3] = [const { OnceLock::new() }; 3];
    let place = UNMASKED.iter().position(|known| *known == method).expect("a method without masks");
    NETWORKS[place].get_or_init(|| {
        let call = maskroom(&format!(
            "pretrain --recipe {method} --set backbone.preset=vit-nano --set backbone.depth=3 --set backbone.patch=8 \
             --set data.image=[48,48] --set optim.batch=16 --set train.preview_every_steps=80 --set train.preview_images=2 --steps 240 \
             --threads 2 --device cpu"
        ));
        train(call, &format!("{method} of pictures"))
    })
}

/// A run in a few strokes.
struct Sketch<'a> {
    folder: &'a str,
    name: &'a str,
    notes: &'a str,
    /// Days after 1 March 2025 at noon.
    day: u32,
    sets: &'a [(&'a str, &'a str)],
    steps: u64,
    done: u64,
    /// What was trained in truth.
    network: fn() -> &'static Network,
    /// Where the loss tends to, and what guessing scores.
    floor: f64,
    guess: f64,
    end: Option<Stopped>,
    /// Whether its images have classes that its features are asked for.
    probes: bool,
    /// Whether a living engine holds it.
    lives: bool,
}

const PLAIN: Sketch<'static> = Sketch {
    folder: "",
    name: "",
    notes: "",
    day: 0,
    sets: &[],
    steps: 1000,
    done: 0,
    network,
    floor: 0.3,
    guess: 0.83,
    end: None,
    probes: false,
    lives: false,
};

/// Six runs in different states. Returns the locks that living engines would hold.
pub fn typical(runs: &Path) -> Vec<File> {
    let stopped = |reason, step| Some(Stopped { reason, step, ..Stopped::default() });
    let sketches = [
        Sketch {
            folder: "first",
            name: "First light",
            day: 0,
            steps: 200,
            done: 200,
            floor: 0.52,
            end: stopped(Reason::Finished, 200),
            ..PLAIN
        },
        Sketch {
            folder: "block",
            name: "Masks in blocks",
            day: 2,
            sets: &[("mask.kind", "block")],
            steps: 600,
            done: 600,
            floor: 0.41,
            end: stopped(Reason::Finished, 600),
            ..PLAIN
        },
        Sketch { folder: "ratio", name: "Ratio 0.9", day: 3, done: 210, floor: 0.48, end: stopped(Reason::Stopped, 210), ..PLAIN },
        Sketch {
            folder: "lost",
            name: "On the GPU",
            day: 4,
            done: 130,
            floor: 0.45,
            end: Some(Stopped {
                error: Some("the GPU is lost; choose the CPU".into()),
                ..stopped(Reason::Failed, 130).unwrap_or_default()
            }),
            ..PLAIN
        },
        Sketch { folder: "killed", name: "Wide decoder", day: 5, sets: &[("decoder.width", "128")], done: 90, floor: 0.47, ..PLAIN },
        Sketch {
            folder: "tonight",
            name: "Tonight",
            notes: "Three blocks instead of two",
            day: 6,
            done: 400,
            floor: 0.31,
            lives: true,
            ..PLAIN
        },
    ];
    sketches.iter().filter_map(|sketch| sketch.draw(runs)).collect()
}

/// A run that failed, one whose recipe is damaged, and one that ended without a word; checkpoints and previews of the first are damaged.
pub fn damaged(runs: &Path) {
    let error = "the loss is NaN or infinite at step 241; lower optim.base_lr, or set optim.clip_norm";
    let end = Some(Stopped { reason: Reason::Failed, error: Some(error.into()), step: 241, ..Stopped::default() });
    Sketch { folder: "failed", name: "Too fast", day: 6, done: 240, end, ..PLAIN }.draw(runs);
    Sketch { folder: "damaged", name: "Edited by hand", day: 4, done: 120, ..PLAIN }.draw(runs);
    Sketch { folder: "killed", name: "Killed", day: 3, done: 60, ..PLAIN }.draw(runs);
    let failed = RunFolder { root: runs.join("failed") };
    for (_, path) in failed.previews() {
        std::fs::write(path, "no tensors").expect("a damaged preview");
    }
    for (_, path) in failed.checkpoints() {
        std::fs::write(path.join("model.safetensors"), "no weights").expect("damaged weights");
    }
    std::fs::write(runs.join("damaged/recipe.toml"), "method = \"mae\"\n[mask\nratio = 0.75\n").expect("a damaged recipe");
}

/// Two runs with long names.
pub fn long(runs: &Path) {
    Sketch { folder: "long", name: LONG_NAME, notes: LONG_NOTES, day: 6, done: 400, ..PLAIN }.draw(runs);
    let name = LONG_NAME.replace("second", "first");
    let sketch = Sketch { folder: "before it", name: &name, day: 1, steps: 1_000_000, done: 300, floor: 0.4, ..PLAIN };
    sketch.draw(runs);
}

/// A finished run of each method without masks.
pub fn solving(runs: &Path) {
    let end = || Some(Stopped { reason: Reason::Finished, step: 240, ..Stopped::default() });
    let plain = || Sketch { steps: 240, done: 240, end: end(), ..PLAIN };
    let rotation =
        Sketch { folder: "rotation", name: "Which way is up", day: 1, network: || unmasked("rotation"), probes: true, ..plain() };
    let jigsaw = Sketch { folder: "jigsaw", name: "Nine tiles", day: 2, network: || unmasked("jigsaw"), ..plain() };
    let colors =
        Sketch { folder: "colorization", name: "Colors", day: 3, network: || unmasked("colorization"), floor: 2.1, guess: 3.4, ..plain() };
    [rotation, jigsaw, colors].iter().for_each(|sketch| drop(sketch.draw(runs)));
}

impl Sketch<'_> {
    fn draw(&self, runs: &Path) -> Option<File> {
        let sets: Vec<(String, String)> = self.sets.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        let recipe = Recipe::resolve(Base::Toml(&(self.network)().text), &sets).expect("a recipe");
        let created = 1_740_830_400.0 + 86_400.0 * f64::from(self.day);
        let info = RunInfo { name: self.name.into(), notes: self.notes.into(), device: "cpu".into(), created, ..RunInfo::default() };
        let run = RunFolder::create(&runs.join(self.folder), &recipe.to_toml(), &info).expect("a run");
        let mut log = EventWriter::open(&run.events_path()).expect("a log");
        self.events(&recipe).iter().for_each(|event| log.write(event).expect("an event"));
        self.files(&run);
        self.lives.then(|| {
            let lock = File::create(run.lock_path()).expect("a lock");
            lock.lock().expect("a lock");
            lock
        })
    }

    /// Its history, logged every step.
    fn events(&self, recipe: &Recipe) -> Vec<Event> {
        let mut noise = Stream::new(7, u64::from(self.day), 0, Purpose::Mask);
        let started = Started {
            recipe_hash: recipe.hash(),
            steps: self.steps,
            images: 4096,
            parameters: 418_624,
            device: "CPU, 2 threads".into(),
            version: "1.0.0".into(),
            time: 0.0,
        };
        let mut events = vec![Event::Started(started)];
        for step in 1..=self.done {
            let at = step as f64;
            let clean = self.floor + (1.05 - self.floor) * (-at / 70.0).exp();
            let warm = (at / 50.0).min(1.0);
            events.push(Event::Step(Step {
                step,
                epoch: at / 256.0,
                loss: clean + 0.03 * noise.normal(),
                lr: 1.5e-4 * warm * (0.5 + 0.5 * (std::f64::consts::PI * at / self.steps as f64).cos()),
                weight_decay: 0.05,
                grad_norm: 0.4 + 0.9 * (-at / 60.0).exp() + 0.08 * noise.normal().abs(),
                images_per_second: 85.0 + 3.0 * noise.normal(),
                data_wait_ratio: (0.04 + 0.01 * noise.normal()).max(0.0),
                seconds: 0.19 * at,
                ..Step::default()
            }));
            if step.is_multiple_of(30) {
                let (loss, baseline_patch_mean, baseline_nearest) = (clean + 0.02 + 0.005 * noise.normal(), self.guess, self.guess + 0.14);
                events.push(Event::Validation(Validation { step, loss, baseline_patch_mean, baseline_nearest, ..Validation::default() }));
            }
            if self.probes && step.is_multiple_of(60) {
                let top1 = 0.55 - 0.4 * (-at / 90.0).exp();
                let figures = [("top1", top1), ("chance", 0.094), ("bank", 1000.0), ("asked", 500.0), ("k", 20.0)];
                let figures = figures.map(|(name, value)| (name.to_owned(), value)).into();
                let note = "weighted k-NN: 500 held-out images find their classes among their 20 nearest of 1000 training images".into();
                events.push(Event::Probe(Probe { step, protocol: Probe::KNN.into(), figures, note }));
            }
            if self.previews().contains(&step) {
                events.push(Event::Preview { step, path: format!("previews/{step:08}.safetensors").into() });
            }
            if self.checkpoints().contains(&step) {
                events.push(Event::Checkpoint { step, path: format!("checkpoints/{step:08}").into() });
            }
        }
        events.extend(self.end.clone().map(Event::Stopped));
        events
    }

    fn previews(&self) -> Vec<u64> {
        (1..=self.done).filter(|step| step.is_multiple_of(60)).collect()
    }

    fn checkpoints(&self) -> Vec<u64> {
        (1..=self.done).filter(|step| step.is_multiple_of(100)).collect()
    }

    /// Previews and weights of the network that was trained, under other steps.
    fn files(&self, run: &RunFolder) {
        let known: Vec<PathBuf> = (self.network)().run.previews().into_iter().map(|(_, path)| path).collect();
        std::fs::create_dir_all(run.previews_path()).expect("a folder");
        for (place, step) in self.previews().into_iter().enumerate() {
            std::fs::copy(&known[place.min(known.len() - 1)], run.preview_path(step)).expect("a preview");
        }
        let weights = (self.network)().run.checkpoints().pop().expect("a checkpoint").1;
        self.checkpoints().into_iter().for_each(|step| copy_folder(&weights, &run.checkpoint_path(step)));
    }
}
