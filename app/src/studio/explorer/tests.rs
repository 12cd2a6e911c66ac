//! A tiny network with weights that nobody trained, and an image of noise.

use std::path::Path;

use maskroom_core::device::OpenDevice;
use maskroom_core::inspect::encoder::{Images, Query, attention, rollout};
use maskroom_core::inspect::look::{Fit, prepare};
use maskroom_core::inspect::picture::Picture;
use maskroom_core::method::Network;
use maskroom_core::recipe::{Base, Recipe};
use maskroom_core::run::{RunFolder, RunInfo};
use maskroom_core::weights::model_file;
use maskroom_core::weights::safetensors_file;

use super::*;
use crate::studio::attention_choice::Checkpoint;

/// A folder that goes when the test ends.
struct Folder(std::path::PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn folder(name: &str) -> Folder {
    let path = std::env::temp_dir().join(format!("maskroom-explorer-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(path.join("images")).unwrap();
    Folder(path)
}

fn recipe() -> Recipe {
    let tiny = [
        ("data.image", "[16, 16]"),
        ("backbone.patch", "4"),
        ("backbone.width", "32"),
        ("backbone.depth", "3"),
        ("backbone.heads", "2"),
        ("decoder.width", "32"),
        ("decoder.depth", "1"),
        ("decoder.heads", "2"),
    ];
    Recipe::resolve(Base::Preset("mae"), &tiny.map(|(key, value)| (key.to_owned(), value.to_owned()))).unwrap()
}

fn dataset(folder: &Path, height: usize, width: usize) -> Arc<Dataset> {
    let rgb = (0..height * width * 3).map(|index| (index * 7919 % 251) as u8).collect();
    Picture::from_rgb(height, width, rgb).unwrap().save_png(&folder.join("images/a.png")).unwrap();
    Arc::new(Dataset::open(&folder.join("images")).unwrap())
}

fn run(folder: &Path) -> RunFolder {
    run_of(folder, &recipe())
}

fn run_of(folder: &Path, recipe: &Recipe) -> RunFolder {
    let run = RunFolder::create(&folder.join("run"), &recipe.to_toml(), &RunInfo::default()).unwrap();
    for step in [10, 20] {
        let recipe = Recipe { seed: step, ..recipe.clone() };
        let network = Network::new(&recipe, &OpenDevice::cpu("test").device).unwrap();
        let tensors = model_file::tensors_of(network.parameters()).unwrap();
        let pending = run.begin_checkpoint(step).unwrap();
        safetensors_file::write(&pending.join("model.safetensors"), &tensors, &model_file::metadata(&recipe, step)).unwrap();
        run.commit_checkpoint(step).unwrap();
    }
    run
}

fn ask(dataset: &Arc<Dataset>, run: &RunFolder, checkpoint: Checkpoint, layer: i64) -> Question {
    let weights = vec![WeightsChoice::OfRun { run: run.root.clone(), checkpoint }];
    Question { dataset: Arc::clone(dataset), sample: 0, weights, stage: -1, layer, newest: None, gently: false }
}

#[test]
fn what_is_shown_is_what_the_library_computes() {
    let folder = folder("values");
    let (dataset, run) = (dataset(&folder.0, 16, 24), run(&folder.0));
    let mut explorer = Explorer::default();
    let answer = explorer.answer(ask(&dataset, &run, Checkpoint::Untrained, 1));
    assert_eq!(answer.checkpoints, [10, 20]);
    let look = answer.looks[0].as_ref().unwrap();
    let overview = &look.overview;
    assert_eq!((overview.grid, overview.layers, overview.heads, overview.step, overview.cropped), ([4, 6], 3, 2, None, false));

    let network = Network::new(&recipe(), &OpenDevice::cpu("test").device).unwrap();
    let image = prepare(&dataset, 0, &recipe(), Fit::Keep).unwrap();
    let images = Images { values: image.values, batch: 1, height: image.height, width: image.width };
    for layer in 0..3 {
        let maps = attention(&network, &images, layer as i64).unwrap();
        for patch in 0..24 {
            let place = [patch / 6, patch % 6];
            for head in 0..2 {
                assert_eq!(overview.class_rows.value(layer, head, place), Some(maps.query(0, head, Query::Cls).unwrap()[patch]));
                if layer == 1 {
                    let value = look.rows.as_ref().and_then(|rows| rows.value(7, head, place));
                    assert_eq!(value, Some(maps.query(0, head, Query::Patch(1, 1)).unwrap()[patch]));
                }
            }
            let mean = (0..2).map(|head| maps.query(0, head, Query::Cls).unwrap()[patch] / 2.0).sum::<f32>();
            assert!((overview.class_rows.value(layer, 2, place).unwrap() - mean).abs() < 1e-7);
        }
        assert!(overview.figures_of(layer, 1).is_some_and(|head| (1.0..=24.0).contains(&head.spread_patches)));
    }
    let rolled = rollout(&network, &images).unwrap();
    let of_all = overview.rollout.as_ref().unwrap();
    assert_eq!((of_all.num_queries(), of_all.num_heads()), (25, 1));
    assert_eq!(of_all.value(8, 0, [0, 3]), Some(rolled.query(0, 0, Query::Patch(1, 1)).unwrap()[3]));
}

#[test]
fn the_same_question_costs_nothing_and_another_layer_only_its_rows() {
    let folder = folder("kept");
    let (dataset, run) = (dataset(&folder.0, 16, 16), run(&folder.0));
    let mut explorer = Explorer::default();
    let mut look = |checkpoint, layer| explorer.answer(ask(&dataset, &run, checkpoint, layer)).looks.remove(0);
    let first = look(Checkpoint::Latest, -1).unwrap();
    assert_eq!((first.overview.step, first.layer), (Some(20), 2));
    let again = look(Checkpoint::Step(20), 0).unwrap();
    assert!(Arc::ptr_eq(&first.overview, &again.overview) && again.layer == 0 && again.rows.is_some());
    let earlier = look(Checkpoint::Step(10), 99).unwrap();
    assert_eq!((earlier.overview.step, earlier.layer), (Some(10), 2));
    assert!(!Arc::ptr_eq(&first.overview, &earlier.overview));
    assert!(look(Checkpoint::Step(30), -1).is_err());
}

#[test]
fn weights_from_elsewhere_are_looked_through_like_those_of_a_run() {
    let folder = folder("elsewhere");
    let (dataset, run) = (dataset(&folder.0, 16, 16), run(&folder.0));
    let mut explorer = Explorer::default();
    let file = folder.0.join("weights.safetensors");
    std::fs::copy(run.checkpoint_path(10).join("model.safetensors"), &file).unwrap();
    let imported = |path: &Path| {
        let weights = vec![WeightsChoice::Imported(path.to_path_buf())];
        Question { weights, ..ask(&dataset, &run, Checkpoint::Latest, -1) }
    };
    let answer = explorer.answer(imported(&file));
    let theirs = answer.looks[0].as_ref().unwrap();
    let own = explorer.answer(ask(&dataset, &run, Checkpoint::Step(10), -1)).looks.remove(0).unwrap();
    assert!(answer.checkpoints.is_empty());
    for head in 0..2 {
        let value = |look: &Look| look.overview.class_rows.value(2, head, [1, 3]);
        assert_eq!(value(theirs), value(&own));
    }
    let reason = explorer.answer(imported(&folder.0.join("gone.pth"))).looks.remove(0).err().unwrap();
    assert!(reason.contains("gone.pth") && reason.contains("no such file"), "{reason}");
}

#[test]
fn a_damaged_latest_checkpoint_gives_way_to_the_one_before() {
    let folder = folder("damaged");
    let (dataset, run) = (dataset(&folder.0, 16, 16), run(&folder.0));
    std::fs::write(run.checkpoint_path(20).join("model.safetensors"), "half").unwrap();
    let mut question = ask(&dataset, &run, Checkpoint::Latest, -1);
    question.gently = true;
    let answer = Explorer::default().answer(question);
    assert_eq!(answer.looks[0].as_ref().unwrap().overview.step, Some(10));
}

#[test]
fn images_of_too_many_patches_are_cropped() {
    let folder = folder("large");
    let (dataset, run) = (dataset(&folder.0, 4, 4 * (MAX_PATCHES + 1)), run(&folder.0));
    let answer = Explorer::default().answer(ask(&dataset, &run, Checkpoint::Untrained, -1));
    let overview = &answer.looks[0].as_ref().unwrap().overview;
    assert!(overview.cropped && overview.grid == [4, 4]);
}

#[test]
fn a_pyramid_is_looked_at_stage_by_stage() {
    let folder = folder("pyramid");
    let sets = [("data.image", "[64, 64]"), ("backbone.preset", "swin-nano"), ("backbone.depths", "[1, 2, 2]")];
    let recipe = Recipe::resolve(Base::Preset("simmim"), &sets.map(|(key, value)| (key.to_owned(), value.to_owned()))).unwrap();
    let (dataset, run) = (dataset(&folder.0, 64, 64), run_of(&folder.0, &recipe));
    let mut explorer = Explorer::default();
    let mut look = |stage: i64, layer: i64| {
        let question = Question { stage, ..ask(&dataset, &run, Checkpoint::Untrained, layer) };
        explorer.answer(question).looks.remove(0).unwrap()
    };
    let network = Network::new(&recipe, &OpenDevice::cpu("test").device).unwrap();
    let config = network.encoder().config();
    let image = prepare(&dataset, 0, &recipe, Fit::Keep).unwrap();
    let images = Images { values: image.values, batch: 1, height: image.height, width: image.width };
    for (stage, blocks) in [(0, 0..1), (1, 1..3), (2, 3..5)] {
        let look = look(stage, -1);
        let overview = &look.overview;
        let side = config.grid()[0] >> stage;
        assert_eq!((overview.stages, overview.stage, overview.grid), (3, stage as usize, [side, side]));
        assert_eq!((overview.first_layer, overview.layers, overview.heads), (blocks.start, blocks.len(), config.heads_of(blocks.start)));
        assert!(overview.rollout.is_none() && !overview.has_class_token);
        let maps = attention(&network, &images, blocks.end as i64 - 1).unwrap();
        let want = maps.query(0, 0, Query::Patch(1, 0)).unwrap();
        assert_eq!(look.rows.as_ref().and_then(|rows| rows.value(side, 0, [0, 1])), Some(want[1]));
        assert_eq!(overview.class_rows.value(overview.layers - 1, 0, [0, 1]), Some(maps.query(0, 0, Query::Cls).unwrap()[1]));
    }
    assert_eq!(look(-1, -1).overview.stage, 2);
}
