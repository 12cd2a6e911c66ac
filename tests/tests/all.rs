//! The whole product from outside: the architecture's invariants, and the command line and run folder as users and scripts meet them.

/// The binary, a way to call it, and the data and run that tests share.
#[path = "all/harness.rs"]
mod harness;
/// Pictures made for tests, down to damaged ones.
#[path = "all/pictures.rs"]
mod pictures;
/// Independent readers of the files that the product writes.
#[path = "all/readers.rs"]
mod readers;

/// What input nobody wished for does to the product.
#[path = "all/bad_input.rs"]
mod bad_input;
/// `commands.jsonl`: what a window or a script asks of a living engine.
#[path = "all/commands.rs"]
mod commands;
/// `data`: what is in a folder, and toy scenes.
#[path = "all/data.rs"]
mod data;
/// Dependencies: who may know whom, and which crates must not be there at all.
#[path = "all/dependencies.rs"]
mod dependencies;
/// `evaluate`, against figures computed here.
#[path = "all/evaluate.rs"]
mod evaluate;
/// Bytes at random: no reader panics.
#[path = "all/fuzz.rs"]
mod fuzz;
/// Folders of Hugging Face transformers as weights.
#[path = "all/hugging_face.rs"]
mod hugging_face;
/// How soon large weights are ready, and how much memory they take.
#[path = "all/importing.rs"]
mod importing;
/// `embed`, `attend` and `target`: looking inside.
#[path = "all/looking.rs"]
mod looking;
/// `mask`: every strategy, read from the file.
#[path = "all/masks.rs"]
mod masks;
/// Where results go: never onto what they were made from, never outside their folder, never two onto one.
#[path = "all/outputs.rs"]
mod outputs;
/// Tasks without masks: colors and puzzles.
#[path = "all/puzzles.rs"]
mod puzzles;
/// `recipes` and `recipe`.
#[path = "all/recipes.rs"]
mod recipes;
/// `reconstruct`, its loss computed again.
#[path = "all/reconstruct.rs"]
mod reconstruct;
/// Runs that are killed, interrupted, damaged and continued.
#[path = "all/run_folder.rs"]
mod run_folder;
/// `segment`, its masks computed again.
#[path = "all/segment.rs"]
mod segment;
/// Images of other shapes, channels and depths than the usual.
#[path = "all/shapes.rs"]
mod shapes;
/// Rules that the source text itself keeps.
#[path = "all/source.rs"]
mod source;
/// The window.
#[path = "all/studio/mod.rs"]
mod studio;
/// `sweep`: recipes side by side, several seeds each.
#[path = "all/sweep.rs"]
mod sweep;
/// `target` and `tokenizer`, and runs that predict such targets.
#[path = "all/targets.rs"]
mod targets;
/// Runs whose targets a network makes.
#[path = "all/teachers.rs"]
mod teachers;
/// Checkpoints of PyTorch as weights.
#[path = "all/torch_files.rs"]
mod torch_files;
/// `pretrain`, `train`, `bench` and `doctor`.
#[path = "all/training.rs"]
mod training;
/// Runs that compare views of images.
#[path = "all/views.rs"]
mod views;
/// `weights export` and `weights import`.
#[path = "all/weights_out.rs"]
mod weights_out;
