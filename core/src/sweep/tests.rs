//! Sweep files: what they expand to, what is wrong with them, and the table that is made of results.

use super::*;

const DEPTH: &str = r#"
    name = "depth"
    title = "Decoder depth"
    recipe = "mae"
    data = "toy:64"
    seeds = [3, 5]
    steps = 40
    set = { "backbone.preset" = "vit-nano", "mask.ratio" = 0.6 }

    [[row]]
    name = "1 block"
    set = { "decoder.depth" = 1 }
    published = { linear = 65.5, "fine-tune" = 84.8 }

    [[row]]
    name = "grid, 2 blocks"
    set = { decoder.depth = 2, mask.kind = "grid", train.steps = 80 }
"#;

fn read(text: &str) -> Result<Sweep, Vec<Problem>> {
    Sweep::read(text, Path::new("."))
}

fn sweep(text: &str) -> Sweep {
    read(text).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// One line for each problem of a text.
fn problems(text: &str) -> Vec<String> {
    read(text).map_or_else(|problems| problems.iter().map(ToString::to_string).collect(), |_| Vec::new())
}

#[test]
fn rows_are_the_common_settings_with_their_own_on_top() {
    let sweep = sweep(DEPTH);
    assert_eq!((sweep.toy_scenes, sweep.seeds.as_slice(), sweep.toy_side_px()), (Some(64), &[3, 5][..], 32));
    let [first, second] = &sweep.rows[..] else { panic!("{:?}", sweep.rows) };
    let recipe = sweep.recipe(first, 5, &Made::default()).unwrap();
    assert_eq!((recipe.seed, recipe.backbone.sizes.count("width"), recipe.decoder.count("depth"), recipe.train.steps), (5, 96, 1, 40));
    assert_eq!((recipe.mask.kind.as_str(), recipe.mask.number("ratio")), ("random", Some(0.6)));
    assert_eq!(first.published, BTreeMap::from([("linear".into(), 65.5), ("fine-tune".into(), 84.8)]));
    // Dotted keys without quotes are tables in TOML and mean the same; another kind of mask takes no ratio over.
    let recipe = sweep.recipe(second, 3, &Made::default()).unwrap();
    assert_eq!((recipe.decoder.count("depth"), recipe.mask.kind.as_str(), recipe.train.steps), (2, "grid", 80));
    assert_eq!(sweep.folder_of(second, 3), "grid-2-blocks-seed3");
}

#[test]
fn a_grid_has_every_combination() {
    let text = "name = \"g\"\nepochs = 2\n[grid]\n\"mask.ratio\" = [0.5, 0.75]\n\"augment.crop_scale\" = [[0.2, 1.0], [1.0, 1.0]]\nbackbone.preset = [\"vit-nano\"]";
    let sweep = sweep(text);
    let names: Vec<&str> = sweep.rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names.len(), 4);
    assert_eq!(names[0], "augment.crop_scale [0.2, 1.0], backbone.preset vit-nano, mask.ratio 0.5");
    let found: BTreeMap<_, _> = sweep
        .rows
        .iter()
        .map(|row| sweep.recipe(row, 0, &Made::default()).unwrap())
        .map(|recipe| (format!("{:?} {:?}", recipe.mask.number("ratio"), recipe.augment.crop_scale), recipe.optim.epochs))
        .collect();
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found.values().all(|&epochs| epochs == 2.0));
    assert_eq!((sweep.seeds.as_slice(), sweep.toy_scenes), (&[0, 1, 2][..], None));
    let folders: std::collections::BTreeSet<_> = sweep.rows.iter().map(|row| sweep.folder_of(row, 0)).collect();
    assert_eq!(folders.len(), 4, "{folders:?}");
}

#[test]
fn a_row_of_tokens_knows_its_codes_before_there_is_a_tokenizer() {
    let text = "name = \"t\"\nset = { \"backbone.preset\" = \"vit-nano\" }\n[tokenizer]\ncodes = 32\nsteps = 5\n[[row]]\nname = \"pixels\"\n\
                [[row]]\nname = \"tokens\"\nset = { \"target.kind\" = \"tokens\", \"objective.kind\" = \"cross_entropy\" }";
    let sweep = sweep(text);
    assert_eq!(sweep.row_with_tokens().map(|row| row.name.as_str()), Some("tokens"));
    let recipe = sweep.recipe(&sweep.rows[1], 0, &Made::default()).unwrap();
    assert_eq!((recipe.target.kind.as_str(), recipe.target.number("codes")), ("tokens", Some(32.0)));
    assert_eq!(sweep.recipe(&sweep.rows[0], 0, &Made::default()).unwrap().target.kind, "pixels");
    // Another tokenizer makes other runs of the rows that use it, and of no others.
    let other = self::sweep(&text.replace("steps = 5", "steps = 6"));
    let identities = |row: usize| [&sweep, &other].map(|sweep| sweep.identity(&sweep.rows[row], 0).unwrap());
    assert_eq!(identities(0)[0], identities(0)[1]);
    assert_ne!(identities(1)[0], identities(1)[1]);
    assert!(problems(&text.replace("[tokenizer]\ncodes = 32\nsteps = 5\n", "")).concat().contains("no tokenizer is named"));
    assert!(problems(&text.replace("codes = 32", "code = 32")).concat().contains("tokenizer.codes"));
}

#[test]
fn a_row_of_features_knows_their_width_before_there_is_a_teacher() {
    let text = "name = \"t\"\nrecipe = \"maskfeat\"\nset = { \"backbone.preset\" = \"vit-nano\" }\n[teacher]\nrecipe = \"dino\"\nsteps = 5\n\
                set = { \"backbone.preset\" = \"vit-micro\" }\n[[row]]\nname = \"HOG\"\n[[row]]\nname = \"DINO\"\n\
                set = { \"target.kind\" = \"features\", \"objective.kind\" = \"cosine\" }";
    let sweep = sweep(text);
    let recipe = sweep.recipe(&sweep.rows[1], 0, &Made::default()).unwrap();
    assert_eq!((recipe.target.number("width"), recipe.target.word("teacher")), (Some(128.0), Some("")));
    let teacher = sweep.teacher_of(&sweep.rows[1]).unwrap();
    assert_eq!((teacher.method.as_str(), teacher.train.steps, teacher.seed), ("dino", 5, 0));
    // Another teacher makes other runs of the rows that learn from it, and of no others.
    let other = self::sweep(&text.replace("steps = 5", "steps = 6"));
    let identities = |row: usize| [&sweep, &other].map(|sweep| sweep.identity(&sweep.rows[row], 0).unwrap());
    assert_eq!(identities(0)[0], identities(0)[1]);
    assert_ne!(identities(1)[0], identities(1)[1]);
    assert!(sweep.teacher_of(&sweep.rows[0]).is_none());
    for (teacher, part) in [("vit-ti/16", "backbone.patch"), ("resnet-nano", "teacher: a resnet")] {
        let found = problems(&text.replace("vit-micro", teacher)).concat();
        assert!(found.contains(part), "{teacher}: {found}");
    }
    let deep = problems(&text.replace("\"objective.kind\" = \"cosine\"", "\"objective.kind\" = \"cosine\", \"target.layers\" = 9"));
    assert!(deep.concat().contains("the teacher has 6 blocks"), "{deep:?}");
    let found = problems(&text.replace("vit-micro", "vit-micra"));
    assert!(found[0].starts_with("teacher: backbone.preset"), "{found:?}");
    let seeded = problems(&text.replace("set = { \"backbone.preset\" = \"vit-nano\" }", "set = { seed = 3 }"));
    let in_grid = problems("name = \"t\"\n[grid]\nseed = [0, 1]");
    assert!(in_grid.concat().contains("write `seeds = ["), "{in_grid:?}");
    assert_eq!(self::sweep(&text.replace("\"vit-micro\"", "\"vit-micro\", seed = 7")).teacher.unwrap().seed, 7);
    assert!(seeded.concat().contains("write `seeds = ["), "{seeded:?}");
}

#[test]
fn every_problem_is_told_at_once_with_its_cure() {
    let text = r#"
        title = "T"
        data = "toys"
        seeds = [1, 1]
        steps = 0
        stepz = 3
        [[row]]
        nam = "x"
        published = { linear = "much" }
    "#;
    let found = problems(text);
    for part in [
        "name: the sweep has no name",
        "data: `toys`",
        "seeds: [1, 1]",
        "steps: ",
        "stepz: unknown key: did you mean `steps`?",
        "row 1: name",
        "row 1: published",
        "row 1: nam: unknown key: did you mean `name`?",
    ] {
        assert!(found.iter().any(|line| line.starts_with(part)), "no {part:?} in {found:#?}");
    }
    assert_eq!(found.len(), 8, "{found:#?}");
    assert!(problems("name = ").concat().contains("line 1: is not TOML"));
    assert!(problems("name = \"x\"").concat().contains("nothing to compare"));
    assert!(problems("name = \"x\"\n[grid]\n\"mask.ratio\" = 0.5").concat().contains("a list of values"));
    assert!(problems(&format!("{DEPTH}\n[grid]\n\"seed\" = [1]")).concat().contains("either"));
    assert!(problems(&DEPTH.replace("grid, 2 blocks", "1 Block!")).concat().contains("same folder"));
    assert!(problems("name = \"x\"\nrecipe = \"none.toml\"\n[[row]]\nname = \"a\"").concat().contains("none.toml"));
}

#[test]
fn problems_of_recipes_name_their_row_and_common_ones_stand_once() {
    let found = problems(&DEPTH.replace("mask.ratio", "mask.ratoi").replace("decoder.depth = 2", "decoder.dept = 2"));
    assert_eq!(found.iter().filter(|line| line.contains("did you mean `mask.ratio`?")).count(), 1, "{found:#?}");
    assert!(found.iter().any(|line| line.starts_with("row `grid, 2 blocks`: decoder.dept")), "{found:#?}");
    let found = problems(&DEPTH.replace("vit-nano", "vit-nanno"));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("backbone.preset") && !found[0].contains("row"), "{found:#?}");
}

#[test]
fn folder_names_are_plain() {
    for (name, folder) in [
        ("pixel (w/ norm)", "pixel-w-norm"),
        ("../../etc", "etc"),
        ("mask.ratio 0.75", "mask.ratio-0.75"),
        ("Übung", "bung"),
        ("…", "row"),
        ("crop + color jit.", "crop-color-jit"),
    ] {
        assert_eq!(folder_name(name), folder);
    }
}

fn table() -> Table {
    let run = |seed: u64, loss: f64| RunResult {
        seed,
        folder: format!("runs/a-seed{seed}"),
        figures: Ok([("validation_loss".to_owned(), loss), ("linear".to_owned(), 0.25)].into()),
    };
    let failed = RunResult { seed: 2, folder: "runs/b-seed2".into(), figures: Err("the loss became NaN".into()) };
    let published = BTreeMap::from([("linear".to_owned(), 73.5)]);
    let row = |name: &str, runs| TableRow { name: name.into(), settings: Vec::new(), published: published.clone(), runs };
    let rows = vec![row("a, \"b\"", vec![run(0, 2.0), run(1, 3.0), run(2, 4.0)]), row("c", vec![run(0, 1.0), failed])];
    Table { name: "t".into(), title: "T".into(), source: "a paper".into(), notes: vec!["a note".into()], rows }
}

#[test]
fn the_table_has_means_intervals_and_tags() {
    let text = table().to_markdown();
    let lines: Vec<&str> = text.lines().collect();
    let row = lines.iter().find(|line| line.starts_with("| a, ")).unwrap();
    let cells: Vec<&str> = row.split('|').map(str::trim).collect();
    assert_eq!(cells, ["", "a, \"b\"", "3 of 3", "3.0000 ± 2.4841", "25.0 ± 0.0", "73.5 (published)", ""]);
    assert!(lines.iter().any(|line| line.starts_with("| c ") && line.contains("1 of 2") && line.contains(" 1.0000 |")), "{text}");
    let widths: std::collections::BTreeSet<usize> =
        lines.iter().filter(|line| line.starts_with('|')).map(|line| line.chars().count()).collect();
    assert_eq!(widths.len(), 1, "columns line up\n{text}");
    for part in ["# T", "Published: a paper", "- a note", "- c, seed 2: the loss became NaN"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains("Training loss"), "columns that no row has are left out\n{text}");
}

#[test]
fn spreadsheets_and_programs_get_the_same_figures() {
    let csv = table().to_csv();
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(
        lines[0],
        "row,runs_finished,runs,validation_loss,validation_loss_half_width_95,linear,linear_half_width_95,linear (published)"
    );
    assert!(lines[1].starts_with("\"a, \"\"b\"\"\",3,3,3,2.48") && lines[1].ends_with(",0.25,0,73.5"), "{csv}");
    assert_eq!(lines[2], "c,1,2,1,,0.25,,73.5");
    let json = table().to_json();
    let row = &json["rows"][0];
    assert_eq!(
        (row["figures"]["validation_loss"]["mean"].as_f64(), row["figures"]["linear"]["tag"].as_str()),
        (Some(3.0), Some("measured"))
    );
    assert_eq!(row["published"]["linear"], serde_json::json!({"value": 73.5, "tag": "published"}));
    assert_eq!(json["failed"][0]["error"], "the loss became NaN");
    assert_eq!(json["rows"][1]["runs"][1]["error"], "the loss became NaN");
}
