//! `recipes` and `recipe`: presets, and every problem of a recipe at once.

use std::path::Path;

use maskroom_core::recipe::{METHODS, Recipe};
use serde_json::Value;

use crate::harness::{maskroom, number, toy};

#[test]
fn presets_are_listed_and_each_can_be_shown_and_passes_its_own_check() {
    let listed = maskroom("recipes").json();
    let names: Vec<&str> =
        listed["recipes"].as_array().expect("recipes").iter().map(|recipe| recipe["name"].as_str().expect("a name")).collect();
    assert_eq!(names, METHODS.iter().map(|preset| preset.name).collect::<Vec<_>>());
    assert!(names.contains(&"mae"));
    for backbone in ["vit-nano", "vit-micro", "vit-ti/16", "vit-s/16", "vit-s/8", "vit-b/16"] {
        assert!(listed["backbones"].as_array().is_some_and(|list| list.iter().any(|name| name == backbone)), "{backbone}: {listed}");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in names {
        let shown = maskroom("recipe show").arg(name).run();
        assert_eq!(shown.status, Some(0), "{}", shown.stderr);
        let file = folder.path().join("recipe.toml");
        std::fs::write(&file, &shown.stdout).expect("a new file");
        let checked = maskroom("recipe check").arg(&file).run();
        if name == "beit" {
            // It needs a tokenizer, which only the person can name; nothing else may be missing.
            assert_eq!(checked.status, Some(2));
            let said = format!("{}{}", checked.stdout, checked.stderr);
            assert!(said.contains("target.tokenizer: no tokenizer is named") && !said.contains("backbone"), "{said}");
        } else {
            assert_eq!(checked.status, Some(0), "{name}: {}", checked.stderr);
            assert_eq!(Recipe::from_toml(&shown.stdout).expect("valid"), Recipe::preset(name).expect("a preset"));
        }
        let table: toml::Table = shown.stdout.parse().expect("TOML");
        assert_eq!(table["method"].as_str(), Some(name));
        // Commented: each setting is followed by what it does.
        let settings = shown.stdout.lines().filter(|line| line.contains(" = "));
        assert!(settings.clone().count() > 30 && settings.clone().all(|line| line.contains("  # ")), "{}", shown.stdout);
    }
}

#[test]
fn a_preset_has_a_hash_and_an_unknown_one_its_neighbor() {
    let shown = maskroom("recipe show mae").json();
    let recipe = Recipe::from_toml(shown["recipe"].as_str().expect("a recipe")).expect("a valid recipe");
    assert_eq!(shown["hash"], recipe.hash());
    maskroom("recipe show mea").refused(2, &["mea", "did you mean `mae`"]);
}

#[test]
fn a_preset_is_shown_with_settings_changed() {
    let shown = maskroom("recipe show beit --set backbone.preset=vit-nano --set optim.batch=8").run();
    let recipe: toml::Table = shown.stdout.parse().expect("TOML");
    assert_eq!((recipe["backbone"]["width"].as_integer(), recipe["optim"]["batch"].as_integer()), (Some(96), Some(8)));
    maskroom("recipe show mae --set backbone.wdth=8").refused(2, &["wdth", "width"]);
}

#[test]
fn all_problems_of_a_recipe_are_named_at_once_each_with_its_cure() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("recipe.toml");
    let text = r#"
        [data]
        image = [230, 224]
        [mask]
        ratioo = 0.8
        [backbone]
        patch = 16
        width = 190
        heads = 4
        [optim]
        batch = 0
        bach = 64
    "#;
    std::fs::write(&file, text).expect("a new file");
    let outcome = maskroom("recipe check --json").arg(&file).run();
    assert_eq!(outcome.status, Some(2));
    let found = outcome.json();
    assert_eq!(found["valid"], Value::Bool(false));
    let cure = |key: &str| {
        let problem = found["problems"].as_array().expect("problems").iter().find(|problem| problem["key"] == key);
        let problem = problem.unwrap_or_else(|| panic!("no problem of {key} in {found}"));
        problem["cure"].as_str().expect("a cure").to_owned()
    };
    assert_eq!(cure("data.image"), "use 224 or 240");
    assert!(cure("mask.ratioo").contains("mask.ratio"));
    assert!(cure("backbone.heads").contains('2') || cure("backbone.heads").contains('5'), "{}", cure("backbone.heads"));
    assert!(cure("optim.batch").contains("1 to"));
    assert!(cure("optim.bach").contains("optim.batch"));
    // The same in words, for a person.
    let outcome = maskroom("recipe check").arg(&file).run();
    assert_eq!(outcome.status, Some(2));
    let words = outcome.stdout + &outcome.stderr;
    for key in ["data.image", "230", "224 or 240", "mask.ratioo", "backbone.heads", "optim.batch", "optim.bach"] {
        assert!(words.contains(key), "{key} is missing in\n{words}");
    }
}

#[test]
fn a_recipe_that_is_no_recipe_is_refused_by_the_line() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &[u8]| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("a new file");
        file
    };
    let problem = |file: &Path| {
        let outcome = maskroom("recipe check --json").arg(file).run();
        assert_eq!(outcome.status, Some(2), "{}", outcome.stderr);
        outcome.json()["problems"][0].clone()
    };
    assert_eq!(problem(&write("torn.toml", b"[optim]\nbatch = \n"))["key"], "line 2");
    assert!(problem(&write("new.toml", b"version = 99\n"))["problem"].as_str().is_some_and(|text| text.contains("newer Maskroom")));
    assert_eq!(problem(&write("type.toml", b"[optim]\nbatch = \"many\"\n"))["key"], "optim.batch");
    maskroom("recipe check").arg(write("binary.toml", b"\xff\xfe\0\0")).refused(2, &["binary.toml"]);
    maskroom("recipe check").arg(folder.path().join("gone.toml")).refused(2, &["gone.toml", "check the path"]);
}

#[test]
fn a_recipe_is_recommended_for_data_and_machine() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("recipe.toml");
    let listed = maskroom("recipes --device cpu").with("--for", toy()).with("--out", &file).json();
    let recommended = &listed["recommended"];
    assert!(METHODS.iter().any(|preset| recommended["preset"] == preset.name), "{recommended}");
    assert!(number(recommended, "epochs") > 0.0 && number(recommended, "hours") > 0.0);
    assert!(recommended["reason"].as_str().is_some_and(|reason| reason.len() > 20), "{recommended}");
    let recipe = Recipe::from_toml(&std::fs::read_to_string(&file).expect("the recipe")).expect("a valid recipe");
    assert_eq!(recipe.data.image, [32, 32], "toy scenes have 32 px");
}
