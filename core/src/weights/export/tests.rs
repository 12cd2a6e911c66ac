//! What goes out: names, layouts and settings of other libraries, and that it comes back; and what cannot go out.

use burn::tensor::Device;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::backbone::pos_embed::sincos_2d;
use crate::method::Network;
use crate::recipe::{Base, Recipe};
use crate::run::{Event, EventWriter, Probe, RunFolder, RunInfo, Started, Step, Validation};
use crate::weights::model_file::tensors_of;
use crate::weights::safetensors_file::{HostTensor, read, read_metadata, write};

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(name)
}

fn options(format: Format) -> Options {
    Options { format, ..Options::default() }
}

/// The sizes of a plain transformer that trains nobody.
const TINY: [(&str, &str); 7] = [
    ("data.image", "[16, 16]"),
    ("backbone.preset", "\"\""),
    ("backbone.kind", "vit"),
    ("backbone.patch", "4"),
    ("backbone.width", "12"),
    ("backbone.depth", "2"),
    ("backbone.heads", "3"),
];
const SMALL_DECODER: [(&str, &str); 3] = [("decoder.width", "8"), ("decoder.depth", "1"), ("decoder.heads", "2")];

/// Weights of a method's network in a file of Maskroom's own; no number is zero but where positions are.
struct Trained {
    folder: TempDir,
    weights: Weights,
    /// All of them, by name.
    tensors: TensorMap,
}

impl Trained {
    fn new(method: &str, sets: &[&[(&str, &str)]]) -> Self {
        let sets: Vec<_> = sets.concat().iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        let recipe = Recipe::resolve(Base::Preset(method), &sets).unwrap();
        let mut tensors = tensors_of(Network::new(&recipe, &Device::flex()).unwrap().parameters()).unwrap();
        for (seed, tensor) in tensors.values_mut().enumerate() {
            tensor.values.iter_mut().enumerate().for_each(|(at, value)| *value += 0.3 * ((seed * 31 + at) as f32 * 0.37).sin());
        }
        let average = tensors.iter().map(|(name, tensor)| {
            let halves = tensor.values.iter().map(|value| value / 2.0).collect();
            (format!("ema.{name}"), HostTensor::new(tensor.shape.clone(), halves))
        });
        let whole: TensorMap = tensors.clone().into_iter().chain(average).collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("source.safetensors");
        write(&path, &whole, &metadata(&recipe, 7)).unwrap();
        Self { weights: Weights::open(&path).unwrap(), folder, tensors: whole }
    }

    /// The same with other tensors.
    fn with(self, change: impl FnOnce(&mut TensorMap)) -> Self {
        let Self { folder, weights, mut tensors } = self;
        change(&mut tensors);
        let path = folder.path().join("source.safetensors");
        write(&path, &tensors, &metadata(&weights.recipe, 7)).unwrap();
        Self { weights: Weights::open(&path).unwrap(), folder, tensors }
    }

    fn to(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn export(&self, name: &str, options: &Options) -> Result<Exported> {
        export(&self.weights, &self.to("source.safetensors"), &self.to(name), options)
    }

    /// The tensors of a format's file, and its settings.
    fn written(&self, name: &str, format: Format) -> (TensorMap, Value, Vec<String>) {
        let raw = Options { kind: WeightsKind::Raw, ..options(format) };
        let exported = self.export(name, &raw).unwrap();
        assert_eq!(exported.is_exact(), Some(true), "{:?}", exported.notes);
        let config = std::fs::read(self.to(name).join("config.json")).map(|text| serde_json::from_slice(&text).unwrap());
        (read(&self.to(name).join(WEIGHTS)).unwrap().0, config.unwrap_or_default(), exported.notes)
    }

    fn ours(&self, name: &str) -> &HostTensor {
        &self.tensors[name]
    }

    #[track_caller]
    fn refused(&self, name: &str, options: &Options, words: &[&str]) {
        let message = self.export(name, options).unwrap_err().to_string();
        let missing: Vec<_> = words.iter().filter(|word| !message.contains(**word)).collect();
        assert!(missing.is_empty(), "{missing:?} not in: {message}");
        assert!(!self.to(name).exists());
        let left: Vec<_> = std::fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".partial")), "{left:?}");
    }
}

/// Names, a block's for all of them.
fn names(tensors: &TensorMap) -> BTreeSet<&str> {
    tensors
        .keys()
        .map(String::as_str)
        .filter(|name| !["blocks.1.", "layer.1.", "layers.1."].iter().any(|block| name.contains(block)))
        .collect()
}

#[test]
fn folders_of_hugging_face_come_back_as_they_went() {
    for name in ["vit_mae", "vit", "beit_shared", "beit_own", "swin"] {
        let (source, folder) = (golden("hugging_face").join(name), tempfile::tempdir().unwrap());
        let weights = Weights::open(&source).unwrap();
        for (precision, ending) in [(Precision::F32, "f32"), (Precision::F16, "f16"), (Precision::Bf16, "bf16")] {
            let to = folder.path().join(ending);
            let exported = export(&weights, &source, &to, &Options { precision, ..options(Format::HuggingFace) }).unwrap();
            assert_eq!(exported.is_exact(), Some(precision == Precision::F32), "{name}");
            assert!(exported.notes.is_empty(), "{name}: {:?}", exported.notes);
            let again = Weights::open(&to).unwrap();
            assert_eq!(again.encoder_alone, weights.encoder_alone, "{name}");
            let rounded = |tensor: &HostTensor| {
                let values = tensor.values.iter().map(|&value| narrow::rounded(value, precision)).collect();
                HostTensor::new(tensor.shape.clone(), values)
            };
            let want: TensorMap = weights.all_tensors().unwrap().iter().map(|(name, tensor)| (name.clone(), rounded(tensor))).collect();
            assert_eq!(again.all_tensors().unwrap(), want, "{name} {ending}");
            assert_eq!(
                (&again.recipe.data.mean, &again.recipe.backbone.sizes),
                (&weights.recipe.data.mean, &weights.recipe.backbone.sizes)
            );
        }
        // The names are those that the library's own `save_pretrained` writes, but for a decoder's, which has two of them.
        let theirs = |path: &Path| -> BTreeSet<String> {
            let of = read(&path.join(WEIGHTS)).unwrap().0.into_keys();
            of.map(|name| name.replace("decoder.decoder_encoder.layer", "decoder.decoder_layers")).collect()
        };
        assert_eq!(theirs(&folder.path().join("f32")), theirs(&source), "{name}");
    }
}

#[test]
fn maskrooms_own_file_carries_everything_or_one_of_two() {
    let trained = Trained::new("mae", &[&TINY, &SMALL_DECODER]);
    let exported = trained.export("all.safetensors", &options(Format::Maskroom)).unwrap();
    assert_eq!((exported.is_exact(), &exported.files[..]), (Some(true), &[trained.to("all.safetensors")][..]));
    assert_eq!(exported.bytes, std::fs::metadata(trained.to("all.safetensors")).unwrap().len());
    let again = Weights::open(&trained.to("all.safetensors")).unwrap();
    assert_eq!((again.all_tensors().unwrap(), &again.recipe, again.step), (trained.tensors.clone(), &trained.weights.recipe, 7));
    for (kind, name) in [(WeightsKind::Raw, "norm.weight"), (WeightsKind::Ema, "ema.norm.weight")] {
        let file = format!("{kind:?}.safetensors");
        let exported = trained.export(&file, &Options { kind, ..options(Format::Maskroom) }).unwrap();
        assert_eq!(exported.notes.len(), 1, "{:?}", exported.notes);
        let again = Weights::open(&trained.to(&file)).unwrap();
        assert_eq!(&again.tensor("norm.weight").unwrap().unwrap(), trained.ours(name));
        assert!(!again.has_average());
    }
}

#[test]
fn an_imported_encoder_stays_one() {
    let (source, folder) = (golden("torch/dino_backbone.pth"), tempfile::tempdir().unwrap());
    let to = folder.path().join("x.safetensors");
    export(&Weights::open(&source).unwrap(), &source, &to, &options(Format::Maskroom)).unwrap();
    let again = Weights::open(&to).unwrap();
    assert_eq!((again.encoder_alone, again.recipe.method.as_str()), (Some("imported encoder"), "dino"));
    let [before, after] = [&source, &to].map(|path| {
        let network = Weights::open(path).unwrap().network(WeightsKind::Best, &Device::flex()).unwrap();
        tensors_of(network.parameters()).unwrap()["blocks.0.attn.qkv.weight"].clone()
    });
    assert_eq!(before, after);
}

#[test]
fn timm_gets_registers_without_positions_and_says_how_many_heads() {
    let more = [("backbone.registers", "2"), ("backbone.layer_scale", "0.1"), ("backbone.pos", "learned"), ("backbone.relative", "none")];
    let trained = Trained::new("mae", &[&TINY, &SMALL_DECODER, &more]);
    let (tensors, config, notes) = trained.written("out", Format::Timm);
    let want = "cls_token reg_token pos_embed patch_embed.proj.weight patch_embed.proj.bias norm.weight norm.bias blocks.0.norm1.weight \
                blocks.0.norm1.bias blocks.0.norm2.weight blocks.0.norm2.bias blocks.0.attn.qkv.weight blocks.0.attn.qkv.bias \
                blocks.0.attn.proj.weight blocks.0.attn.proj.bias blocks.0.ls1.gamma blocks.0.ls2.gamma blocks.0.mlp.fc1.weight \
                blocks.0.mlp.fc1.bias blocks.0.mlp.fc2.weight blocks.0.mlp.fc2.bias";
    assert_eq!(names(&tensors), want.split_whitespace().collect());
    let (table, ours) = (&tensors["pos_embed"], trained.ours("pos_embed"));
    assert_eq!(table.shape, [1, 19, 12]);
    assert_eq!(table.values, [&ours.values[..12], &[0.0; 24], &ours.values[12..]].concat());
    assert_eq!(config["architecture"], "vit_base_patch16_224");
    let arguments = &config["model_args"];
    assert_eq!((&arguments["reg_tokens"], &arguments["num_heads"], &arguments["init_values"]), (&json!(2), &json!(3), &json!(0.1)));
    assert_eq!(arguments["img_size"], json!([16, 16]));
    assert_eq!(config["pretrained_cfg"]["mean"], json!(trained.weights.recipe.data.mean));
    assert!(notes.iter().any(|note| note.contains("decoder")), "{notes:?}");
    let again = Weights::open(&trained.to("out")).unwrap();
    assert_eq!((again.recipe.backbone.sizes.count("heads"), again.recipe.backbone.sizes.count("registers")), (3, 2));
    let back = |name: &str| again.tensor(name).unwrap().unwrap();
    assert_eq!((&back("pos_embed"), &back("reg_token")), (ours, trained.ours("reg_token")));
}

#[test]
fn files_of_images_that_are_not_square_say_how_large_they_are() {
    // One and 4x6 places are as many as 5x5 without a class token.
    for (method, more) in [("mae", &SMALL_DECODER[..]), ("simmim", &[("mask.kind", "random")])] {
        let trained = Trained::new(method, &[&TINY, more, &[("data.image", "[16, 24]")]]);
        let (_, _, notes) = trained.written("out", Format::Timm);
        assert!(!notes.iter().any(|note| note.contains("does not take")), "{notes:?}");
        assert_eq!(Weights::origin(&trained.to("out")).unwrap().0.data.image, [16, 24]);
    }
}

#[test]
fn relative_positions_make_it_timms_beit() {
    for (relative, shared) in [("shared", true), ("own", false)] {
        let trained = Trained::new("simmim", &[&TINY, &[("mask.kind", "random"), ("backbone.relative", relative)]]);
        let (tensors, config, _) = trained.written("out", Format::Timm);
        assert_eq!(config["architecture"], "beit_base_patch16_224");
        assert_eq!(config["model_args"]["use_shared_rel_pos_bias"], json!(shared));
        assert_eq!(config["model_args"]["use_abs_pos_emb"], json!(false));
        let bias = &trained.ours("blocks.0.attn.qkv.bias").values;
        assert_eq!(tensors["blocks.0.attn.q_bias"].values, bias[..12]);
        assert_eq!(tensors["blocks.0.attn.v_bias"].values, bias[24..]);
        assert_eq!(&tensors["blocks.0.gamma_1"], trained.ours("blocks.0.ls1.gamma"));
        let table = if shared { "rel_pos_bias.relative_position_bias_table" } else { "blocks.0.attn.relative_position_bias_table" };
        assert_eq!(tensors[table].shape, [52, 3]);
        assert!(!tensors.contains_key("mask_token") && !tensors.contains_key("pos_embed"));
    }
}

const SWIN: [(&str, &str); 9] = [
    ("data.image", "[16, 16]"),
    ("mask.kind", "random"),
    ("backbone.preset", "\"\""),
    ("backbone.kind", "swin"),
    ("backbone.patch", "2"),
    ("backbone.width", "4"),
    ("backbone.depths", "[2, 2]"),
    ("backbone.heads", "[1, 2]"),
    ("backbone.window", "4"),
];

#[test]
fn swin_goes_to_timm_under_its_own_names_and_to_hugging_face_with_its_predictor() {
    let trained = Trained::new("simmim", &[&SWIN]);
    let (tensors, config, _) = trained.written("timm", Format::Timm);
    assert_eq!((&config["architecture"], &config["global_pool"]), (&json!("swin_tiny_patch4_window7_224"), &json!("avg")));
    assert!(tensors.iter().all(|(name, tensor)| trained.ours(name) == tensor));
    assert!(tensors.contains_key("layers.1.downsample.reduction.weight") && !tensors.contains_key("mask_token"));
    let (tensors, config, notes) = trained.written("hf", Format::HuggingFace);
    assert_eq!((&config["architectures"][0], &config["encoder_stride"]), (&json!("SwinForMaskedImageModeling"), &json!(4)));
    assert_eq!(&tensors["swin.encoder.layers.0.downsample.norm.weight"], trained.ours("layers.1.downsample.norm.weight"));
    assert_eq!(notes.len(), 1, "{notes:?}");
    let again = Weights::open(&trained.to("hf")).unwrap();
    assert_eq!(&again.tensor("decoder.pred.weight").unwrap().unwrap(), trained.ours("decoder.pred.weight"));
}

#[test]
fn residual_networks_have_counters_that_are_zero() {
    let sizes = [("data.image", "[32, 32]"), ("backbone.preset", "resnet-18"), ("backbone.depths", "[1, 1, 1, 1]")];
    let trained = Trained::new("simclr", &[&sizes]);
    let raw = |format| Options { kind: WeightsKind::Raw, ..options(format) };
    for (format, name, conv, counter) in [
        (Format::Timm, "timm", "layer2.0.downsample.0.weight", "layer2.0.downsample.1.num_batches_tracked"),
        (
            Format::HuggingFace,
            "hf",
            "encoder.stages.1.layers.0.shortcut.convolution.weight",
            "encoder.stages.1.layers.0.shortcut.normalization.num_batches_tracked",
        ),
    ] {
        let exported = trained.export(name, &raw(format)).unwrap();
        let bytes = std::fs::read(trained.to(name).join(WEIGHTS)).unwrap();
        let views = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(Some(views.len()), exported.tensors);
        assert_eq!((views.tensor(counter).unwrap().dtype(), views.tensor(counter).unwrap().data()), (safetensors::Dtype::I64, &[0; 8][..]));
        assert_eq!(&read(&trained.to(name).join(WEIGHTS)).unwrap().0[conv], trained.ours("layer2.0.downsample.0.weight"));
    }
}

#[test]
fn plain_transformers_find_their_class_at_hugging_face() {
    let class = |method: &str, more: &[(&str, &str)]| {
        let decoder: &[(&str, &str)] = if method == "mae" { &SMALL_DECODER } else { &[("mask.kind", "random")] };
        let trained = Trained::new(method, &[&TINY, decoder, more]);
        let (tensors, config, _) = trained.written("hf", Format::HuggingFace);
        (config["architectures"][0].as_str().unwrap().to_owned(), config, tensors)
    };
    let plain = [("backbone.relative", "none"), ("backbone.layer_scale", "0.0"), ("backbone.pos", "learned")];
    assert_eq!(class("mae", &[]).0, "ViTMAEForPreTraining");
    assert_eq!(class("simmim", &plain).0, "ViTForMaskedImageModeling");
    assert_eq!(class("simmim", &[]).0, "BeitModel");
    let (name, config, tensors) = class("mae", &[("backbone.layer_scale", "0.1")]);
    assert_eq!((name.as_str(), &config["mlp_ratio"]), ("Dinov2Model", &json!(4)));
    assert_eq!(
        (&tensors["embeddings.mask_token"].shape[..], &tensors["encoder.layer.1.layer_scale2.lambda1"].shape[..]),
        (&[1, 12][..], &[12][..])
    );
    let (name, config, tensors) = class("mae", &[("backbone.registers", "2")]);
    assert_eq!((name.as_str(), &config["num_register_tokens"]), ("Dinov2WithRegistersModel", &json!(2)));
    assert_eq!(tensors["encoder.layer.0.layer_scale1.lambda1"].values, [1.0; 12]);
    // Of images that are not square, MAE's class predicts nothing; an encoder alone has a pooler that changes nothing.
    let wide = ("data.image", "[16, 24]");
    let (name, config, tensors) = class("mae", &[wide]);
    assert_eq!((name.as_str(), &config["image_size"], &config["pooler_act"]), ("ViTModel", &json!([16, 24]), &json!("linear")));
    let pooler = &tensors["pooler.dense.weight"];
    assert!((0..12).all(|row| (0..12).all(|col| pooler.values[row * 12 + col] == f32::from(u8::from(row == col)))));
}

#[test]
fn transformers_without_a_class_token_have_no_place_for_one() {
    let trained = Trained::new("mae", &[&TINY, &SMALL_DECODER, &[("backbone.class_token", "false")]]);
    for (name, format, table, class) in
        [("timm", Format::Timm, "pos_embed", "architecture"), ("hf", Format::HuggingFace, "embeddings.position_embeddings", "model_type")]
    {
        let (tensors, config, _) = trained.written(name, format);
        assert_eq!(tensors[table].values, trained.ours("pos_embed").values[12..], "{config}");
        assert!(!tensors.keys().any(|name| name.contains("cls_token")));
        assert!(["vit_base_patch16_224", "ijepa"].contains(&config[class].as_str().unwrap()));
        let again = Weights::open(&trained.to(name)).unwrap();
        assert_eq!(again.tensor("pos_embed").unwrap().unwrap().values[12..], trained.ours("pos_embed").values[12..]);
    }
}

#[test]
fn gates_are_dinov2s() {
    let trained = Trained::new("mae", &[&TINY, &SMALL_DECODER, &[("backbone.mlp", "swiglu"), ("backbone.pos", "learned")]]);
    let (tensors, config, _) = trained.written("hf", Format::HuggingFace);
    // Two thirds of 72 are 48.
    assert_eq!((&config["architectures"][0], &config["mlp_ratio"]), (&json!("Dinov2Model"), &json!(6)));
    assert_eq!(&tensors["encoder.layer.0.mlp.weights_in.weight"], trained.ours("blocks.0.mlp.fc1.weight"));
    let again = Weights::open(&trained.to("hf")).unwrap();
    assert_eq!(&again.tensor("blocks.1.mlp.fc1.bias").unwrap().unwrap(), trained.ours("blocks.1.mlp.fc1.bias"));
    let (tensors, config, _) = trained.written("timm", Format::Timm);
    assert_eq!((&config["architecture"], &config["model_args"]["mlp_ratio"]), (&json!("vit_giant_patch14_dinov2"), &json!(8.0)));
    assert_eq!(tensors["blocks.0.mlp.fc1.weight"].shape, [96, 12]);
}

#[test]
fn what_has_no_place_is_refused_with_a_way_out() {
    let sizes = [("data.image", "[32, 32]"), ("mask.kind", "random"), ("backbone.preset", "pvt-nano")];
    let pvt = Trained::new("simmim", &[&sizes]);
    pvt.refused("x", &options(Format::Timm), &["PVT", "--format onnx", "maskroom"]);
    pvt.refused("x", &options(Format::HuggingFace), &["PVT", "--format onnx"]);
    let small = Trained::new("simclr", &[&[("data.image", "[32, 32]"), ("backbone.preset", "resnet-nano")]]);
    small.refused("x", &options(Format::Timm), &["7x7", "--format onnx"]);
    small.refused("x", &options(Format::HuggingFace), &["7x7"]);
    let both = [("backbone.registers", "2"), ("backbone.mlp_ratio", "2.5")];
    Trained::new("mae", &[&TINY, &SMALL_DECODER, &both]).refused("x", &options(Format::HuggingFace), &["registers", "--format timm"]);
    for (newer, word) in [(("backbone.pos", "rope"), "rotary"), (("backbone.mlp", "geglu"), "gate")] {
        let trained = Trained::new("mae", &[&TINY, &SMALL_DECODER, &[newer]]);
        trained.refused("x", &options(Format::HuggingFace), &[word, "--format onnx"]);
        trained.refused("x", &options(Format::Timm), &[word, "--format onnx"]);
    }
}

#[test]
fn numbers_that_do_not_fit_are_named() {
    let trained = Trained::new("mae", &[&TINY, &SMALL_DECODER]);
    let trained = trained.with(|tensors| tensors.get_mut("norm.weight").unwrap().values[3] = 70_000.0);
    let raw = |precision| Options { precision, kind: WeightsKind::Raw, ..options(Format::Timm) };
    trained.refused("x", &raw(Precision::F16), &["norm.weight", "70000", "f16", "bf16"]);
    let exported = trained.export("x", &raw(Precision::Bf16)).unwrap();
    assert_eq!(exported.largest_difference, Some(144.0), "70,144 is the nearest");
}

#[test]
fn nothing_is_written_over_and_endings_mean_something() {
    let trained = Trained::new("mae", &[&TINY, &SMALL_DECODER]);
    for (name, format, words) in [
        ("source.safetensors", Format::Maskroom, "there already"),
        ("full", Format::Timm, "not empty"),
        ("x.safetensors", Format::HuggingFace, "folder"),
        ("x.onnx", Format::Timm, ".safetensors"),
        ("x.safetensors", Format::Onnx, ".onnx"),
    ] {
        std::fs::create_dir_all(trained.to("full/inner")).unwrap();
        let error = trained.export(name, &options(format)).unwrap_err();
        assert!(error.exit_status() == 2 && error.to_string().contains(words), "{error}");
    }
    std::fs::create_dir(trained.to("empty")).unwrap();
    let files = trained.export("empty", &options(Format::Timm)).unwrap().files;
    assert_eq!(files, ["model.safetensors", "config.json", "README.md"].map(|name| trained.to("empty").join(name)));
    assert_eq!(read_metadata(&files[0]).unwrap()["num_heads"], "3");
    let asked = ["a.onnx", "a.SAFETENSORS", "a", "a-1.5"].map(|path| Format::of_path(Path::new(path)));
    assert_eq!(asked, [Format::Onnx, Format::Maskroom, Format::HuggingFace, Format::HuggingFace]);
}

#[test]
fn tensors_that_are_missing_or_of_another_shape_are_named() {
    let trained = Trained::new("mae", &[&TINY, &SMALL_DECODER]);
    let trained = trained.with(|tensors| {
        tensors.retain(|name, _| !name.starts_with("ema.") && name != "blocks.1.norm1.bias");
        tensors.insert("blocks.0.attn.qkv.weight".into(), HostTensor::new([5], vec![0.0; 5]));
        tensors.insert("blocks.0.gate".into(), HostTensor::new([1], vec![0.0]));
    });
    for format in [Format::Timm, Format::HuggingFace] {
        let words = ["blocks.1.norm1.bias is missing", "blocks.0.attn.qkv.weight is [5]", "blocks.0.gate has no place"];
        trained.refused("x", &options(format), &words);
    }
}

#[test]
fn a_card_tells_what_the_run_knows_and_nothing_of_the_machine() {
    let trained = Trained::new("mae", &[&TINY, &SMALL_DECODER]);
    let root = trained.to("run");
    let info = RunInfo { data: Some("/home/someone/secret place/pictures".into()), ..RunInfo::default() };
    let run = RunFolder::create(&root, &trained.weights.recipe.to_toml(), &info).unwrap();
    let mut log = EventWriter::open(&run.events_path()).unwrap();
    let figures = |value| [("top1".to_owned(), value), ("asked".to_owned(), 500.0)].into();
    for event in [
        Event::Started(Started { images: 64, ..Started::default() }),
        Event::Step(Step { step: 5, loss: 0.75, ..Step::default() }),
        Event::Validation(Validation { step: 5, loss: 0.5, baseline_patch_mean: 0.9, ..Validation::default() }),
        Event::Probe(Probe { step: 5, protocol: "knn".into(), figures: figures(0.25), ..Probe::default() }),
        Event::Probe(Probe { step: 6, protocol: "knn".into(), figures: figures(0.375), note: "of 500\nimages".into() }),
        // Of later weights than these.
        Event::Step(Step { step: 9, loss: 0.125, ..Step::default() }),
    ] {
        log.write(&event).unwrap();
    }
    let checkpoint = run.checkpoint_path(7);
    std::fs::create_dir_all(&checkpoint).unwrap();
    std::fs::copy(trained.to("source.safetensors"), checkpoint.join(WEIGHTS)).unwrap();
    let licensed = |licence: Option<&str>| Options { licence: licence.map(str::to_owned), ..options(Format::HuggingFace) };
    export(&trained.weights, &checkpoint.join(WEIGHTS), &trained.to("my model"), &licensed(Some("CC-BY-4.0"))).unwrap();
    let card = std::fs::read_to_string(trained.to("my model").join(CARD)).unwrap();
    for words in [
        "---\nlicense: cc-by-4.0\nlibrary_name: transformers\npipeline_tag: image-feature-extraction\n",
        "# my model",
        "64 images of `pictures`",
        "training loss: 0.7500, around step 5",
        "held-out images: 0.5000, at step 5; the mean of what is visible in its place: 0.9000",
        "knn, at step 6: asked 500, top1 0.3750 (of 500 images)",
        "7 steps",
        "ViTMAEForPreTraining.from_pretrained(\"path/to/my model\")",
    ] {
        assert!(card.contains(words), "{words:?} not in:\n{card}");
    }
    assert!(!card.contains("0.125") && !card.contains("secret") && !card.contains(&*trained.folder.path().to_string_lossy()), "{card}");
    trained.export("plain", &licensed(None)).unwrap();
    let card = std::fs::read_to_string(trained.to("plain").join(CARD)).unwrap();
    assert!(card.contains("license: other\nlibrary_name") && card.contains("Not said.") && card.contains("None are known."), "{card}");
    trained.export("own", &licensed(Some("mine: \"all\"\nof it"))).unwrap();
    let card = std::fs::read_to_string(trained.to("own").join(CARD)).unwrap();
    assert!(card.contains("license: other\nlicense_name: \"mine: \\\"all\\\" of it\"\n"), "{card}");
}

#[test]
fn fixed_positions_go_out_as_a_table() {
    let trained = Trained::new("mae", &[&TINY, &SMALL_DECODER]);
    assert_ne!(trained.ours("pos_embed").values, sincos_2d(12, 4, 4), "they were disturbed, to be told from what a class would compute");
    let (tensors, ..) = trained.written("hf", Format::HuggingFace);
    assert_eq!(&tensors["vit.embeddings.position_embeddings"], trained.ours("pos_embed"));
    assert_eq!(&tensors["decoder.decoder_pos_embed"], trained.ours("decoder.pos_embed"));
}
