//! Presets, precedence, round trips, and every problem that a recipe can have.

use super::*;
use crate::knob::{Range, Value};

fn resolve(base: Base<'_>, sets: &[(&str, &str)]) -> Result<Recipe> {
    let sets: Vec<_> = sets.iter().map(|&(key, value)| (key.to_string(), value.to_string())).collect();
    Recipe::resolve(base, &sets)
}

fn mae(sets: &[(&str, &str)]) -> Recipe {
    resolve(Base::Preset("mae"), sets).expect("a valid recipe")
}

/// The problems of the preset with these settings, one line each.
fn problems(sets: &[(&str, &str)]) -> Vec<String> {
    match resolve(Base::Preset("mae"), sets) {
        Ok(_) => Vec::new(),
        Err(error) => {
            assert_eq!(error.exit_status(), 2);
            error.to_string().lines().skip(1).map(|line| line.trim().to_string()).collect()
        }
    }
}

#[test]
fn the_mae_preset_is_the_papers_recipe_on_a_small_back_bone() {
    let recipe = mae(&[]);
    assert_eq!((recipe.method.as_str(), recipe.mask.kind.as_str(), recipe.mask.number("ratio")), ("mae", "random", Some(0.75)));
    assert_eq!((recipe.target.flag("norm_pix"), recipe.objective.word("over")), (Some(true), Some("masked")));
    assert_eq!(
        (
            recipe.backbone.sizes.count("width"),
            recipe.backbone.sizes.count("depth"),
            recipe.backbone.sizes.count("heads"),
            recipe.backbone.patch
        ),
        (192, 12, 3, 16)
    );
    assert_eq!((recipe.decoder.count("width"), recipe.decoder.count("depth"), recipe.decoder.count("heads")), (128, 2, 4));
    assert_eq!(
        (recipe.optim.betas.as_slice(), recipe.optim.weight_decay, recipe.optim.warmup_epochs, recipe.optim.epochs),
        (&[0.9, 0.95][..], 0.05, 40.0, 800.0)
    );
    assert_eq!(recipe.grid(), Grid::still(14, 14));
    assert_eq!(recipe.lr(), 1.5e-4 * 64.0 / 256.0);
    assert_eq!(mae(&[("optim.accumulate", "8")]).lr(), 1.5e-4 * 2.0);
    assert!(recipe.validate().is_empty());
}

#[test]
fn the_short_text_says_only_what_the_presets_do_not() {
    assert_eq!(mae(&[("backbone.width", "192"), ("mask.ratio", "0.75")]).to_short_toml().to_string().trim(), "method = \"mae\"");
    for sets in [
        &[][..],
        &[("backbone.preset", "vit-nano"), ("data.channels", "1"), ("seed", "3")],
        &[("mask.kind", "block"), ("mask.ratio", "0.75")],
        &[("mask.kind", "uniform"), ("optim.epochs", "20"), ("optim.warmup_epochs", "2"), ("data.exclude", "[\"a.png\"]")],
    ] {
        let recipe = mae(sets);
        let text = toml::to_string(&recipe.to_short_toml()).expect("a table");
        assert_eq!(Recipe::from_toml(&text).expect(&text), recipe, "{text}");
    }
    let block = mae(&[("mask.kind", "block"), ("mask.ratio", "0.75")]);
    assert_eq!(block.to_short_toml()["mask"].as_table().map(toml::Table::len), Some(2));
    let smaller = resolve(Base::Toml(&block.to_toml()), &[("backbone.preset", "vit-nano")]).expect("valid");
    assert_eq!((smaller.mask.number("ratio"), smaller.backbone.sizes.count("width")), (Some(0.75), 96));
}

#[test]
fn a_recipe_reads_back_from_its_own_text() {
    for recipe in [
        mae(&[]),
        mae(&[("backbone.preset", "vit-nano"), ("data.channels", "1"), ("data.exclude", "[\"a \\\"b\\\".png\", \"ü/c.jpg\"]")]),
        mae(&[("mask.kind", "block"), ("mask.masked", "75"), ("data.image", "[160, 320]"), ("seed", "9223372036854775807")]),
        mae(&[("mask.kind", "uniform"), ("mask.pool", "independent"), ("optim.base_lr", "1e-7"), ("train.steps", "10")]),
    ] {
        let text = recipe.to_toml();
        let back = Recipe::from_toml(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(back, recipe, "{text}");
        assert_eq!(back.hash(), recipe.hash());
        assert_eq!(back.to_toml(), text);
    }
    let text = mae(&[]).to_toml();
    for stage in stages().iter().filter(|stage| !stage.name.is_empty()) {
        assert!(text.contains(&format!("\n[{}]", stage.name)), "{}", stage.name);
    }
    assert!(text.contains("base_lr = 1.5e-4 ") && text.contains("image = [224, 224] ") && text.contains("(px; 4 to 8192)"), "{text}");
    assert!(text.lines().all(|line| line.is_empty() || line.contains('#')), "a line without explanation:\n{text}");
}

#[test]
fn the_hash_tells_settings_apart_and_ignores_the_rest() {
    let base = mae(&[]);
    assert_eq!(base.hash().len(), 64);
    let without_comments: String = base.to_toml().lines().map(|line| format!("{}\n", line.split('#').next().unwrap_or(""))).collect();
    assert_eq!(Recipe::from_toml(&without_comments).expect("valid").hash(), base.hash());
    assert_eq!(Recipe::from_toml("method = \"mae\"").expect("valid").hash(), base.hash());
    for other in [("seed", "1"), ("mask.ratio", "0.8"), ("optim.batch", "32"), ("train.keep_last", "4")] {
        assert_ne!(mae(&[other]).hash(), base.hash(), "{other:?}");
    }
}

#[test]
fn explicit_keys_beat_presets_in_any_order() {
    let orders: [&[(&str, &str)]; 2] = [
        &[("backbone.preset", "vit-nano"), ("backbone.width", "192"), ("data.image", "64")],
        &[("data.image", "64"), ("backbone.width", "192"), ("backbone.preset", "vit-nano")],
    ];
    for sets in orders {
        let recipe = mae(sets);
        assert_eq!(
            (recipe.backbone.sizes.count("width"), recipe.backbone.sizes.count("depth"), recipe.backbone.patch, recipe.data.image),
            (192, 4, 4, [64, 64])
        );
        assert_eq!((recipe.decoder.count("width"), recipe.decoder.count("depth"), recipe.decoder.count("heads")), (64, 1, 2));
    }
    let text = "method = \"mae\"\n[backbone]\nwidth = 384\nheads = 6\npreset = \"vit-ti/16\"\n";
    let recipe = Recipe::from_toml(text).expect("valid");
    assert_eq!((recipe.backbone.sizes.count("width"), recipe.backbone.sizes.count("heads"), recipe.decoder.count("width")), (384, 6, 128));
    // What the text says stays; what it took from its preset gives way.
    let larger = resolve(Base::Toml(text), &[("backbone.preset", "vit-b/16")]).expect("valid");
    assert_eq!(
        (
            larger.backbone.sizes.count("width"),
            larger.backbone.sizes.count("heads"),
            larger.decoder.count("width"),
            larger.decoder.count("depth")
        ),
        (384, 6, 512, 8)
    );
    let complete = mae(&[("mask.ratio", "0.8")]).to_toml();
    let larger = resolve(Base::Toml(&complete), &[("backbone.preset", "vit-b/16")]).expect("valid");
    assert_eq!((larger.backbone.sizes.count("width"), larger.decoder.count("width"), larger.mask.number("ratio")), (768, 512, Some(0.8)));
}

#[test]
fn another_kind_of_mask_starts_from_its_own_defaults() {
    let block = mae(&[("mask.kind", "block")]);
    assert_eq!((block.mask.number("ratio"), block.mask.number("min_block")), (Some(0.4), Some(16.0)));
    let random = resolve(Base::Toml("[mask]\nkind = \"random\"\nratio = 0.6\n"), &[("mask.kind", "square")]).expect("valid");
    assert_eq!(random.mask.number("ratio"), Some(0.5));
    assert_eq!(mae(&[("mask.ratio", "0.3"), ("mask.kind", "square")]).mask.number("ratio"), Some(0.3));
    let complaint = problems(&[("mask.kind", "grid"), ("mask.ratio", "0.5")]);
    assert!(complaint.len() == 1 && complaint[0].starts_with("mask.ratio: unknown key"), "{complaint:?}");
}

#[test]
fn units_may_be_given_in_pixels() {
    let sets = [("mask.kind", "patch_aligned"), ("mask.unit_px", "32"), ("data.image", "192"), ("backbone.preset", "vit-ti/8")];
    let recipe = mae(&sets);
    assert_eq!(recipe.mask().expect("strategy").num_masked(recipe.grid()), (22 * 16, 22 * 16));
    let wrong = problems(&[("mask.kind", "patch_aligned"), ("mask.unit_px", "40")]);
    assert!(wrong[0].contains("a unit of 40 px does not consist of patches of 16 px") && wrong.len() == 1, "{wrong:?}");
}

#[test]
fn a_short_schedule_shortens_a_warm_up_that_nobody_set() {
    assert_eq!(mae(&[("optim.epochs", "20")]).optim.warmup_epochs, 2.0);
    assert_eq!(mae(&[("optim.epochs", "1600")]).optim.warmup_epochs, 40.0);
    assert_eq!(mae(&[("optim.epochs", "100"), ("optim.warmup_epochs", "40")]).optim.warmup_epochs, 40.0);
    let complete = mae(&[]).to_toml();
    assert_eq!(resolve(Base::Toml(&complete), &[("optim.epochs", "20")]).expect("valid").optim.warmup_epochs, 2.0);
    let longer = problems(&[("optim.epochs", "20"), ("optim.warmup_epochs", "30")]);
    assert!(longer[0].starts_with("optim.warmup_epochs: a warm-up of 30 epochs"), "{longer:?}");
    assert!(problems(&[("optim.epochs", "20"), ("optim.warmup_epochs", "30"), ("train.steps", "100")]).is_empty());
}

#[test]
fn other_channel_counts_have_their_figures_measured() {
    let gray = mae(&[("data.channels", "1")]);
    assert!(gray.data.mean.is_empty() && gray.data.std.is_empty());
    let given = mae(&[("data.channels", "1"), ("data.mean", "[0.4]"), ("data.std", "0.2")]);
    assert_eq!((given.data.mean, given.data.std), (vec![0.4], vec![0.2]));
    let complete = mae(&[]).to_toml();
    assert!(resolve(Base::Toml(&complete), &[("data.channels", "4")]).expect("valid").data.mean.is_empty());
}

#[test]
fn every_problem_comes_with_its_key_and_its_cure() {
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("optim.bach", "64")], "optim.bach: unknown key: did you mean `optim.batch`?"),
        (&[("optm.batch", "64")], "optm.batch: unknown key: did you mean `optim.batch`?"),
        (&[("batch", "64")], "batch: unknown key: did you mean `optim.batch`?"),
        (&[("optim", "64")], "optim: is a table, not a value"),
        (&[("optim.batch", "many")], "optim.batch: \"many\" is not a whole number"),
        (&[("optim.batch", "0")], "optim.batch: 0 is out of range: choose 1 to 65536"),
        (&[("optim.batch", "1.5")], "optim.batch: 1.5 is not a whole number"),
        (&[("mask.ratio", "1.5")], "mask.ratio: 1.5 is out of range: choose 0 to 1"),
        (&[("mask.ratio", "nan")], "mask.ratio: nan is out of range: choose 0 to 1"),
        (&[("mask.kind", "randm")], "mask.kind: unknown kind `randm`: did you mean `random`?"),
        (&[("target.kind", "pixel")], "target.kind: unknown kind `pixel`: did you mean `pixels`?"),
        (&[("objective.over", "mask")], "objective.over: unknown value `mask`: did you mean `masked`?"),
        (&[("method", "mea")], "method: unknown method `mea`: did you mean `mae`?"),
        (&[("backbone.preset", "vit-tiny/16")], "backbone.preset: unknown back-bone `vit-tiny/16`: did you mean `vit-ti/16`?"),
        (&[("data.image", "230")], "data.image: 230 is not a multiple of patch 16: use 224 or 240"),
        (&[("data.image", "8")], "data.image: the side 8 is smaller than the patch 16: use an image of at least 32 px"),
        (&[("data.image", "[224]")], "data.image: [224] is not a list of 2 whole numbers"),
        (
            &[("backbone.heads", "5")],
            "backbone.heads: the width 192 does not divide into 5 heads: use 4 or 6 heads, or a width of 190 or 195",
        ),
        (
            &[("decoder.heads", "3")],
            "decoder.heads: the width 128 does not divide into 3 heads: use 2 or 4 heads, or a width of 126 or 129",
        ),
        (
            &[("backbone.width", "198"), ("backbone.heads", "3")],
            "backbone.width: 198 is not a multiple of 4, which sine and cosine positions need: use 196 or 200",
        ),
        (&[("mask.ratio", "1")], "mask.ratio: leaves none of the 196 patches visible: lower it"),
        (&[("mask.ratio", "0")], "mask.ratio: masks none of the 196 patches: raise it"),
        (&[("mask.ratio", "0.9"), ("data.image", "48")], "mask.ratio: leaves none of the 9 patches visible"),
        (&[("mask.kind", "uniform"), ("data.image", "240")], "mask.kind: a grid of 15x15 patches does not divide into squares of 2x2"),
        (
            &[("mask.kind", "grid"), ("mask.cell", "4")],
            "mask.cell: a grid of 14x14 patches does not divide into squares of 4x4: choose a side of 2, 7, 14",
        ),
        (&[("data.mean", "[0.5]")], "data.mean: it has 1 values for 3 channels"),
        (&[("data.std", "[0.2, 0.0, 0.2]")], "data.std: a deviation of 0"),
        (&[("augment.crop_scale", "[1.0, 0.2]")], "augment.crop_scale: [1.0, 0.2] is not a pair"),
        (&[("augment.crop_ratio", "[1]")], "augment.crop_ratio: [1.0] is not a pair"),
        (&[("optim.betas", "[0.9, 1.0]")], "optim.betas: [0.9, 1.0] is not a pair"),
        (&[("data.held_out", "0.6")], "data.held_out: 0.6 is out of range: choose 0 to 0.5"),
        (&[("optim.ema", "1")], "optim.ema: an average"),
        (&[("optim.min_lr", "0.1")], "optim.min_lr: 0.1 is above"),
        (&[("optim.epochs", "0")], "optim.epochs: the training has no length"),
        (&[("seed", "-1")], "seed: -1 is out of range: choose 0 or more"),
    ];
    for (sets, expected) in cases {
        let found = problems(sets);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{sets:?} gives {found:#?}, not {expected}");
    }
    assert!(resolve(Base::Preset("mea"), &[]).expect_err("unknown").to_string().contains("did you mean `mae`"));
}

#[test]
fn all_problems_of_a_text_are_found_at_once() {
    let text = "method = \"mae\"\nsed = 1\n[data]\nimage = [230, 224]\nmean = { a = 1 }\n[optim]\nbach = 64\n\
        epochs = \"long\"\n[mask]\nratio = 1.0\n[optmi]\nx = 1\n";
    let keys: Vec<String> = check(text).into_iter().map(|problem| problem.key).collect();
    for key in ["sed", "data.image", "data.mean", "optim.bach", "optim.epochs", "optmi.x"] {
        assert!(keys.iter().any(|found| found == key), "{key} is not among {keys:?}");
    }
    let broken = check("method = \"mae\"\n[optim]\nbatch = = 3\n");
    assert!(broken.len() == 1 && broken[0].key == "line 3", "{broken:?}");
    let newer = check("version = 2\nsurprise = 1\n");
    assert!(newer.len() == 1 && newer[0].what.contains("newer Maskroom"), "{newer:?}");
    assert!(check("").is_empty());
}

#[test]
fn a_recipe_changed_in_code_is_checked_too() {
    let mut recipe = mae(&[]);
    recipe.optim.base_lr = f64::NAN;
    recipe.optim.betas = vec![f64::INFINITY, 0.5];
    recipe.seed = u64::MAX;
    recipe.mask.knobs.insert("cell".into(), Value::Int(2));
    let mut keys: Vec<String> = recipe.validate().into_iter().map(|problem| problem.key).collect();
    keys.sort();
    assert_eq!(keys, ["mask.cell", "optim.base_lr", "optim.betas", "seed"]);
    assert!(recipe.to_toml().contains("base_lr = nan") && recipe.hash() != mae(&[]).hash());
}

#[test]
fn no_text_and_no_setting_makes_the_reader_panic() {
    let whole = mae(&[]).to_toml();
    let mut stream = crate::random::Stream::new(0, 0, 0, crate::random::Purpose::Bench);
    for _ in 0..150 {
        let mut bytes = whole.clone().into_bytes();
        for _ in 0..=stream.below(4) {
            let at = stream.below(bytes.len());
            bytes[at] = b"=[]\"#.1e-\n{}x"[stream.below(13)];
        }
        bytes.truncate(stream.below(whole.len() + 1).max(1));
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(recipe) = Recipe::from_toml(&text) {
            assert!(recipe.validate().is_empty());
        }
    }
    // Every key at both ends of its range, and far outside.
    for stage in stages() {
        for knob in stage.knobs {
            let ends = match knob.range {
                Range::Int(low, high) => vec![low.to_string(), high.to_string()],
                Range::Float(low, high) | Range::Floats(low, high) => vec![low.to_string(), high.to_string(), "[]".into()],
                Range::Ints(_, low, high) => vec![low.to_string(), high.to_string()],
                _ => Vec::new(),
            };
            for value in ends
                .into_iter()
                .chain(["-9223372036854775808", "9223372036854775807", "1e400", "inf", "{}", "", "\0", "[[1]]"].map(String::from))
            {
                let _ = resolve(Base::Preset("mae"), &[(&stage.path(knob.key), &value)]);
            }
        }
    }
}

/// The first problem of a method with these settings; empty if there is none.
fn first_problem(method: &str, sets: &[(&str, &str)]) -> String {
    match resolve(Base::Preset(method), sets) {
        Ok(_) => String::new(),
        Err(error) => error.to_string().lines().nth(1).unwrap_or_default().trim().to_owned(),
    }
}

#[test]
fn every_method_takes_every_back_bone_that_it_is_for() {
    for backbone in backbone_names() {
        let sizes = backbone_sizes(backbone).expect("a known name");
        for method in ["simmim", "um-mae", "maskfeat", "mae"] {
            // MAE drops patches, which pyramids cannot; the other papers' recipes fit themselves to the family and the image.
            let fits = sizes.kind == "vit" || (method != "mae" && sizes.kind != "resnet");
            let problem = first_problem(method, &[("backbone.preset", backbone)]);
            assert_eq!(problem.is_empty(), fits, "{method} on {backbone}: {problem}");
        }
        for method in ["simclr", "moco-v1", "moco-v2", "moco-v3", "byol", "simsiam", "dino", "swav", "rotation"] {
            // Pyramids see one size of image only.
            let fits = !["dino", "swav"].contains(&method) || ["vit", "resnet"].contains(&sizes.kind);
            let problem = first_problem(method, &[("backbone.preset", backbone)]);
            assert_eq!(problem.is_empty(), fits, "{method} on {backbone}: {problem}");
        }
    }
    let recipe = |method, sets: &[(&str, &str)]| resolve(Base::Preset(method), sets).expect("valid");
    let swin = recipe("simmim", &[]);
    assert_eq!((swin.data.image, swin.backbone.sizes.count("window"), swin.grid().len()), ([192, 192], 6, 48 * 48));
    assert_eq!((swin.mask.number("unit"), swin.lr(), swin.lr_at_ends()), (Some(8.0), 2e-4 / 8.0, [1e-6 / 8.0, 1e-5 / 8.0]));
    let packed = recipe("um-mae", &[]);
    assert_eq!((packed.data.image, packed.backbone.sizes.count("window"), packed.unit()), ([256, 256], 8, 16));
    let pvt = recipe("um-mae", &[("backbone.preset", "pvt-s")]);
    assert_eq!((pvt.backbone.sizes.counts("reductions"), pvt.grid().len()), (vec![4, 2, 1, 1], 256));
    let packed = recipe("mae", &[("backbone.preset", "pvt-nano"), ("backbone.tokens", "compact"), ("mask.kind", "uniform")]);
    assert_eq!(packed.backbone.sizes.flag("class_token"), Some(false), "it has no place there");
    let blocks = |preset| recipe("maskfeat", &[("backbone.preset", preset)]).mask.count("min_block");
    assert_eq!([blocks("vit-b/16"), blocks("vit-nano")], [15, 5], "a fifth of what is masked");
    assert_eq!(recipe("maskfeat", &[("mask.masked", "20")]).mask.count("min_block"), 4);
    let window = |image| recipe("simmim", &[("backbone.preset", "swin-t"), ("data.image", image)]).backbone.sizes.count("window");
    assert_eq!([window("192"), window("352"), window("544")], [6, 11, 7], "one that divides, or the paper's, filled up");
    let of_l = |method| recipe(method, &[("backbone.preset", if method == "simmim" { "swin-l" } else { "vit-l/16" })]);
    assert_eq!(of_l("simmim").backbone.sizes.count("window"), 12);
    let predictor = |key| of_l("ijepa").decoder.count(key);
    assert_eq!([predictor("width"), predictor("depth"), predictor("heads")], [384, 12, 16]);
    let unscaled = recipe("beit", &[("target.codes", "16"), ("optim.batch", "64")]);
    assert_eq!((unscaled.lr(), unscaled.lr_at_ends()), (1.5e-3, [0.0, 1e-5]));
    let kind_alone = recipe("simmim", &[("backbone.kind", "pvt")]);
    assert_eq!((kind_alone.backbone.preset.as_str(), kind_alone.backbone.sizes.counts("widths")), ("pvt-t", vec![64, 128, 320, 512]));
}

#[test]
fn what_does_not_go_together_is_refused_with_its_cure() {
    let starts = |method: &str, sets: &[(&str, &str)], start: &str| {
        let problem = first_problem(method, sets);
        assert!(problem.starts_with(start), "{problem}");
    };
    starts("mae", &[("backbone.preset", "swin-t")], "backbone.tokens: a pyramid cannot leave single patches out");
    starts("um-mae", &[("mask.kind", "random")], "mask.kind: what `random` leaves visible cannot be packed");
    starts("mae", &[("decoder.kind", "linear")], "decoder.kind: a linear layer predicts only where the encoder has a token");
    starts("simmim", &[("decoder.kind", "transformer")], "decoder.kind: the tokens of a pyramid's last stage stand for many patches");
    starts("mae", &[("backbone.tokens", "compact"), ("mask.kind", "uniform")], "backbone.tokens: a plain transformer needs no packing");
    starts("mae", &[("backbone.relative", "shared")], "backbone.tokens: distances between patches are those of whole images");
    let registers = [("backbone.preset", "vit-ti/16"), ("backbone.registers", "2")];
    assert_eq!(first_problem("simmim", &registers), "", "registers have the distances of the class token");
    let nowhere = [("backbone.preset", "vit-ti/16"), ("backbone.relative", "none")];
    starts("simmim", &nowhere, "backbone.pos: mask tokens that have no position are all the same");
    starts("mae", &[("decoder.depth", "0")], "decoder.depth: without a block");
    let shown = [("mask.ratio", "0"), ("objective.over", "all")];
    assert_eq!(first_problem("mae", &[&shown[..], &[("decoder.depth", "0")]].concat()), "", "nothing is hidden");
    assert_eq!(first_problem("simmim", &[&nowhere[..], &shown[..], &[("mask.kind", "random")]].concat()), "");
    starts("ijepa", &[("objective.over", "all")], "objective.over: `multi_block` asks for blocks alone");
    let headless = [("backbone.preset", "vit-ti/16"), ("backbone.class_token", "false")];
    starts("simmim", &headless, "backbone.relative: tables of distances have numbers of the class token");
    starts("mae", &[&headless[..], &[("backbone.registers", "2")][..]].concat(), "backbone.registers: registers come after a class token");
    assert_eq!(first_problem("mae", &headless), "");
    starts(
        "mae",
        &[("backbone.preset", "vit-ti/16"), ("backbone.kind", "swin")],
        "backbone.preset: `vit-ti/16` is a vit, and this is a swin",
    );
    starts("maskfeat", &[("target.cell", "5")], "target.cell: a patch of 16 px does not consist of cells of 5 px");
    starts("maskfeat", &[("objective.kind", "cross_entropy")], "objective.kind: `cross_entropy` compares classes");
    assert_eq!(first_problem("simmim", &[("backbone.window", "7")]), "", "windows are filled up");
    starts("um-mae", &[("backbone.window", "7")], "backbone.window: the map of 32x32 tokens of stage 1 does not divide");
    starts("mae", &[("mask.ratio", "0")], "mask.ratio: masks none");
    assert_eq!(first_problem("simmim", &[("mask.kind", "random"), ("mask.ratio", "0"), ("objective.over", "all")]), "", "no mask at all");
    starts("beit", &[], "target.tokenizer: no tokenizer is named");
    for stages in [9, 33, 64, 65, 200] {
        let depths = format!("[{}]", vec!["1"; stages].join(", "));
        starts("simmim", &[("backbone.depths", &depths)], "backbone.depths: a list of");
        starts("um-mae", &[("backbone.preset", "pvt-t"), ("backbone.depths", &depths)], "backbone.depths: a list of");
    }
}
