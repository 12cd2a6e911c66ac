//! Weights from elsewhere, as the window opens them.

use std::time::Duration;

use super::*;

/// Waits until what is being opened is known or refused.
fn settled(imported: &mut Imported) -> Option<Arc<Known>> {
    for _ in 0..5000 {
        let known = imported.receive();
        if !matches!(imported.opening(), Some(Opening::Reading { .. })) {
            return known;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("the weights were never read");
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(name)
}

#[test]
fn weights_are_told_from_images_by_name_and_contents() {
    for name in ["a.pth", "a.PT", "pytorch_model.bin", "a.ckpt", "moco.pth.tar", "model.safetensors", "config.json"] {
        assert!(are_weights(Path::new(name)), "{name}");
    }
    for name in ["images", "photos.tar", "photos.zip", "a.png", "pt", "notes.json"] {
        assert!(!are_weights(Path::new(name)), "{name}");
    }
    assert!(are_weights(&golden("hugging_face/vit_mae")), "settings beside weights");
    assert!(!are_weights(&golden("hugging_face")) && !are_weights(&golden("torch")), "a folder of something else");
}

#[test]
fn names_are_gathered_by_their_reasons() {
    let names = [("head.weight", "a classifier"), ("queue", "of training"), ("head.bias", "a classifier")];
    let reasons = by_reason(names.into_iter());
    let classifier = Reason { why: "a classifier".into(), names: vec!["head.weight".into(), "head.bias".into()] };
    assert_eq!(reasons, [classifier, Reason { why: "of training".into(), names: vec!["queue".into()] }]);
}

#[test]
fn weights_are_recognized_on_a_thread_and_looked_through_when_that_is_wanted() {
    let (mut imported, context) = (Imported::default(), Context::default());
    let (mae, dino) = (golden("torch/mae_full.pth"), golden("torch/dino_backbone.pth"));
    imported.open(&mae, &context);
    let known = settled(&mut imported).expect("weights of MAE");
    assert!(known.draws_nothing().is_none() && known.num_parameters() > 1000 && imported.explored().is_none());
    assert!(imported.explore(&known.path, &context), "they are known already");
    assert!(imported.opening().is_none() && imported.explored().is_some_and(|explored| explored.path == known.path));
    assert!(!imported.explore(&dino, &context), "these must be read first");
    let known = settled(&mut imported).expect("weights of DINO");
    assert!(imported.opening().is_none() && imported.explored().is_some_and(|explored| Arc::ptr_eq(explored, &known)));
    let words = known.draws_nothing().expect("an encoder alone");
    assert!(words.contains("no decoder") && words.contains("DINO backbone"), "{words}");
    imported.leave();
    assert!(imported.explored().is_none());
}

#[test]
fn settings_stand_for_their_folder() {
    let (mut imported, context) = (Imported::default(), Context::default());
    imported.open(&golden("hugging_face/vit_mae/config.json"), &context);
    let known = settled(&mut imported).expect("a folder of Hugging Face");
    assert!(known.path.ends_with("vit_mae") && known.found.format.contains("Hugging Face"), "{}", known.path.display());
}

#[test]
fn what_is_gone_is_refused_in_words_and_remembered_as_gone() {
    let (mut imported, context) = (Imported::default(), Context::default());
    let gone = golden("torch/no such file.pth");
    imported.open(&gone, &context);
    assert!(settled(&mut imported).is_none());
    let Some(Opening::Refused { reason, .. }) = imported.opening() else { panic!("it is not there") };
    assert!(reason.contains("no such file") && imported.is_gone(&gone), "{reason}");
    let (there, mut fresh) = (golden("torch/mae_full.pth"), Imported::default());
    fresh.look_for(vec![gone.clone(), there.clone()], &context);
    for _ in 0..5000 {
        fresh.receive();
        if fresh.is_gone(&gone) {
            return assert!(!fresh.is_gone(&there));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("nobody looked for them");
}

#[test]
fn what_is_being_read_can_be_cancelled() {
    let (mut imported, context) = (Imported::default(), Context::default());
    imported.open(&golden("torch/mae_full.pth"), &context);
    imported.close();
    std::thread::sleep(Duration::from_millis(50));
    assert!(imported.receive().is_none() && imported.opening().is_none());
}
