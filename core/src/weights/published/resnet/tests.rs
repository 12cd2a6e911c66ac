//! Published residual networks by the shapes of their tensors, in all wrappings, and networks that only look like them.

use std::collections::BTreeMap;

use burn::tensor::Device;

use super::super::listing::Listing;
use super::super::{inspection, recognize};
use crate::error::Result;
use crate::weights::inspection::Inspection;
use crate::weights::model_file::{Weights, WeightsKind};
use crate::weights::safetensors_file::{HostTensor, TensorMap, write};
use crate::weights::torch_file::Setting;

type Shapes = BTreeMap<String, Vec<usize>>;

/// A norm's tensors.
fn norm(name: &str, width: usize) -> Shapes {
    let kinds = ["weight", "bias", "running_mean", "running_var"].map(|kind| (format!("{name}.{kind}"), vec![width]));
    kinds.into_iter().chain([(format!("{name}.num_batches_tracked"), vec![])]).collect()
}

/// A network's tensors by torchvision's names, without a classifier: blocks of each stage, whether they are bottlenecks, width, the width
/// inside over that, and the side of the stem.
fn resnet(depths: [usize; 4], bottleneck: bool, [width, inner, stem]: [usize; 3]) -> Shapes {
    let mut shapes = norm("bn1", width);
    shapes.insert("conv1.weight".into(), vec![width, 3, stem, stem]);
    let mut before = width;
    for (stage, depth) in depths.into_iter().enumerate() {
        let planes = width << stage;
        let outputs = if bottleneck { 4 * planes } else { planes };
        for index in 0..depth {
            let at = format!("layer{}.{index}", stage + 1);
            let within = planes * inner;
            let convolutions = if bottleneck {
                vec![[within, before, 1], [within, within, 3], [outputs, within, 1]]
            } else {
                vec![[planes, before, 3], [planes, planes, 3]]
            };
            for (place, [rows, cols, side]) in (1..).zip(convolutions) {
                shapes.insert(format!("{at}.conv{place}.weight"), vec![rows, cols, side, side]);
                shapes.append(&mut norm(&format!("{at}.bn{place}"), rows));
            }
            if index == 0 && (stage > 0 || before != outputs) {
                shapes.insert(format!("{at}.downsample.0.weight"), vec![outputs, before, 1, 1]);
                shapes.append(&mut norm(&format!("{at}.downsample.1"), outputs));
            }
            before = outputs;
        }
    }
    shapes
}

fn resnet50() -> Shapes {
    resnet([3, 4, 6, 3], true, [64, 1, 7])
}

fn resnet18() -> Shapes {
    resnet([2, 2, 2, 2], false, [64, 1, 7])
}

fn under(prefix: &str, shapes: Shapes) -> Shapes {
    shapes.into_iter().map(|(name, shape)| (format!("{prefix}{name}"), shape)).collect()
}

/// Linear layers with ReLU between them, of the numbers that enter and leave each; `norms` are behind the inner ones, and `last` behind the
/// last one, with factors or without. Layers before norms have no bias.
fn mlp(prefix: &str, widths: &[usize], norms: bool, last: Option<bool>) -> Shapes {
    let (mut shapes, mut place) = (Shapes::new(), 0);
    for (index, pair) in widths.windows(2).enumerate() {
        let affine = if index + 2 == widths.len() { last } else { norms.then_some(true) };
        shapes.insert(format!("{prefix}.{place}.weight"), vec![pair[1], pair[0]]);
        if affine.is_none() {
            shapes.insert(format!("{prefix}.{place}.bias"), vec![pair[1]]);
        } else {
            place += 1;
            let norm = norm(&format!("{prefix}.{place}"), pair[1]);
            shapes
                .extend(norm.into_iter().filter(|(name, _)| affine == Some(true) || !name.ends_with("weight") && !name.ends_with("bias")));
        }
        place += 2;
    }
    shapes
}

fn all(parts: impl IntoIterator<Item = Shapes>) -> Shapes {
    parts.into_iter().flatten().collect()
}

fn inspected(name: &str, shapes: Shapes, settings: BTreeMap<String, Setting>) -> Result<Inspection> {
    let listing = Listing::of_shapes(name, shapes, settings);
    Ok(inspection(recognize(&listing)?, &listing))
}

#[track_caller]
fn recognized(name: &str, shapes: Shapes) -> Inspection {
    inspected(name, shapes, BTreeMap::new()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[track_caller]
fn refused(shapes: Shapes, words: &[&str]) {
    let Err(error) = inspected("x.pth", shapes, BTreeMap::new()) else { panic!("{words:?} is not refused") };
    let message = error.to_string();
    let missing: Vec<_> = words.iter().filter(|word| !message.contains(**word)).collect();
    assert!(missing.is_empty() && error.exit_status() == 3, "{missing:?} not in: {message}");
}

fn why<'a>(found: &'a Inspection, name: &str) -> &'a str {
    found.left_over.iter().find(|tensor| tensor.name == name).map_or("it is used", |tensor| &tensor.why)
}

fn source<'a>(found: &'a Inspection, ours: &str) -> &'a str {
    found.mapped.iter().find(|tensor| tensor.ours == ours).map_or("nothing", |tensor| &tensor.theirs)
}

/// The whole network of the recipe has the tensors that were found, no more and no fewer.
#[track_caller]
fn is_whole(found: &Inspection, prefix: &str) {
    let network = crate::method::Network::new(&found.recipe, &Device::flex()).unwrap();
    let mut wanted = Shapes::new();
    network.parameters().visit_parameters(&mut |name, shape, _| drop(wanted.insert(name.to_owned(), shape.to_vec())));
    let have: Shapes = found
        .mapped
        .iter()
        .filter(|tensor| tensor.ours.starts_with("teacher.") != prefix.is_empty())
        .map(|tensor| (tensor.ours[prefix.len()..].to_owned(), tensor.shape.clone()))
        .collect();
    if found.encoder_alone.is_some() {
        wanted.retain(|name, _| !name.starts_with("head."));
    }
    assert_eq!(have, wanted);
}

#[test]
fn published_sizes_are_known_by_name() {
    let cases = [
        ("resnet-18", resnet18(), 224),
        ("resnet-34", resnet([3, 4, 6, 3], false, [64, 1, 7]), 224),
        ("resnet-50", resnet50(), 224),
        ("resnet-101", resnet([3, 4, 23, 3], true, [64, 1, 7]), 224),
        ("resnet-152", resnet([3, 8, 36, 3], true, [64, 1, 7]), 224),
        ("wide-resnet-50-2", resnet([3, 4, 6, 3], true, [64, 2, 7]), 224),
        ("resnet-50w2", resnet([3, 4, 6, 3], true, [128, 1, 7]), 224),
        ("resnet-18-cifar", resnet([2, 2, 2, 2], false, [64, 1, 3]), 32),
    ];
    for (name, mut shapes, image) in cases {
        let width = shapes["layer4.0.downsample.1.weight"][0];
        shapes.extend([("fc.weight".into(), vec![1000, width]), ("fc.bias".into(), vec![1000])]);
        let found = recognized("x.pth", shapes);
        let backbone = &found.recipe.backbone;
        assert_eq!((backbone.preset.as_str(), backbone.patch, found.recipe.data.image), (name, 1, [image; 2]));
        assert_eq!((found.encoder_alone, found.recipe.method.as_str()), (Some("classifier"), "simclr"), "{name}");
        assert!(found.what.contains(name) && found.what.contains("classifier"), "{}", found.what);
        assert_eq!((why(&found, "fc.weight"), found.recipe.data.mean.as_slice()), ("a classifier", &[0.485, 0.456, 0.406][..]));
        assert_eq!(source(&found, "layer1.0.bn1.running_var"), "layer1.0.bn1.running_var");
        assert!(why(&found, "bn1.num_batches_tracked").contains("a count of training batches"));
        let others = found.left_over.iter().filter(|tensor| !tensor.name.ends_with("num_batches_tracked"));
        assert_eq!(others.count(), 2, "{name}");
        assert!(found.missing.iter().any(|part| part.name == "head"), "{name}");
        if ["resnet-18", "resnet-18-cifar"].contains(&name) {
            is_whole(&found, "");
        }
    }
}

#[test]
fn moco_is_told_by_its_encoders_and_its_version_by_the_head() {
    for (version, head) in [
        (1, Shapes::from([("fc.weight".into(), vec![128, 512]), ("fc.bias".into(), vec![128])])),
        (2, mlp("fc", &[512, 512, 128], false, None)),
    ] {
        let network = all([resnet18(), head]);
        let mut shapes = under("state_dict.module.encoder_q.", network.clone());
        shapes.append(&mut under("state_dict.module.encoder_k.", network.clone()));
        shapes.insert("state_dict.module.queue".into(), vec![128, 65_536]);
        let found = recognized("checkpoint_0199.pth.tar", shapes);
        assert_eq!((found.recipe.method.clone(), found.encoder_alone), (format!("moco-v{version}"), None));
        assert_eq!(found.what, format!("MoCo v{version} (resnet-18), backbone and head, and its running average"));
        assert_eq!(source(&found, "conv1.weight"), "state_dict.module.encoder_q.conv1.weight");
        assert_eq!(
            source(&found, "teacher.layer2.0.downsample.1.running_mean"),
            "state_dict.module.encoder_k.layer2.0.downsample.1.running_mean"
        );
        assert!(why(&found, "state_dict.module.queue").contains("earlier batches"));
        is_whole(&found, "");
        is_whole(&found, "teacher.");
        // Released files have the query encoder alone.
        let found = recognized("moco_pretrain.pth.tar", under("state_dict.module.encoder_q.", network));
        assert_eq!((found.recipe.method.clone(), found.encoder_alone), (format!("moco-v{version}"), None));
        is_whole(&found, "");
    }
}

#[test]
fn moco_v3_has_a_predictor() {
    let network = all([resnet18(), mlp("fc", &[512, 64, 32], true, Some(false))]);
    let mut predictor = mlp("state_dict.module.predictor", &[32, 64, 32], true, None);
    predictor.remove("state_dict.module.predictor.3.bias");
    let encoders = ["base", "momentum"].map(|word| under(&format!("state_dict.module.{word}_encoder."), network.clone()));
    let found = recognized("r-50-100ep.pth.tar", all(encoders.into_iter().chain([predictor])));
    let decoder = &found.recipe.decoder;
    assert_eq!((found.recipe.method.as_str(), found.encoder_alone), ("moco-v3", None));
    assert_eq!(["layers", "hidden", "width", "predictor_layers"].map(|key| decoder.count(key)), [2, 64, 32, 2]);
    assert_eq!(
        (decoder.word("last_norm"), decoder.word("predictor_norm"), decoder.flag("bias")),
        (Some("plain"), Some("none"), Some(false))
    );
    assert_eq!(source(&found, "teacher.head.predictor.layers.1.weight"), "state_dict.module.predictor.3.weight");
    is_whole(&found, "");
    is_whole(&found, "teacher.");
}

#[test]
fn simsiams_bias_before_the_last_norm_is_not_needed() {
    let mut head = mlp("fc", &[512, 512, 512, 2048], true, Some(false));
    head.insert("fc.6.bias".into(), vec![2048]);
    let encoder = under("state_dict.module.encoder.", all([resnet18(), head]));
    let found = recognized("checkpoint_0099.pth.tar", all([encoder, mlp("state_dict.module.predictor", &[2048, 512, 2048], true, None)]));
    assert_eq!((found.recipe.method.as_str(), found.encoder_alone), ("simsiam", None));
    assert!(why(&found, "state_dict.module.encoder.fc.6.bias").contains("takes away again"));
    is_whole(&found, "");
}

#[test]
fn swav_brings_its_prototypes() {
    let mut head = mlp("projection_head", &[2048, 2048, 128], true, None);
    head.extend([("projection_head.0.bias".into(), vec![2048]), ("prototypes.weight".into(), vec![3000, 128])]);
    let shapes = under("module.", all([resnet50(), head]));
    let found = recognized("swav_800ep_pretrain.pth.tar", shapes.clone());
    assert_eq!((found.recipe.method.as_str(), found.encoder_alone), ("swav", None));
    assert_eq!(source(&found, "head.last_layer.weight_v"), "module.prototypes.weight");
    is_whole(&found, "");
    let several = shapes.into_iter().map(|(name, shape)| (name.replace("prototypes.weight", "prototypes.prototypes0.weight"), shape));
    let found = recognized("x.pth", several.collect());
    assert_eq!((found.recipe.method.as_str(), found.encoder_alone), ("swav", Some("SwAV backbone")));
    assert!(why(&found, "module.prototypes.prototypes0.weight").contains("another make"));
}

#[test]
fn byol_is_told_by_a_predictor_and_an_average() {
    let projector = |name: &str| mlp(name, &[512, 4096, 256], true, None);
    let predictor = |name: &str| mlp(name, &[256, 4096, 256], true, None);
    // Two libraries' names, and those of one that keeps the network twice.
    let lightly = all([
        under("state_dict.backbone.", resnet18()),
        under("state_dict.backbone_momentum.", resnet18()),
        projector("state_dict.projection_head.layers"),
        projector("state_dict.projection_head_momentum.layers"),
        predictor("state_dict.prediction_head.layers"),
    ]);
    let solo = all([
        under("state_dict.backbone.", resnet18()),
        under("state_dict.momentum_backbone.", resnet18()),
        projector("state_dict.projector"),
        projector("state_dict.momentum_projector"),
        predictor("state_dict.predictor"),
    ]);
    let twice = all([
        under("net.", resnet18()),
        under("online_encoder.net.", resnet18()),
        under("target_encoder.net.", resnet18()),
        projector("online_encoder.projector"),
        projector("target_encoder.projector"),
        predictor("online_predictor"),
    ]);
    for shapes in [lightly, solo, twice.clone()] {
        let found = recognized("last.ckpt", shapes);
        assert_eq!((found.recipe.method.as_str(), found.encoder_alone), ("byol", None));
        is_whole(&found, "");
        is_whole(&found, "teacher.");
        assert!(found.notes.iter().any(|note| note.contains("predicts nothing")));
    }
    let found = recognized("last.ckpt", twice);
    assert!(why(&found, "online_encoder.net.conv1.weight").contains("another network of the same make"));
}

#[test]
fn simclr_in_the_place_of_the_classifier_and_beside() {
    let within = under("state_dict.backbone.", all([resnet18(), mlp("fc", &[512, 512, 128], false, None)]));
    let beside = all([under("encoder.", resnet18()), mlp("projector", &[512, 512, 64], false, None)]);
    for shapes in [within, beside] {
        let found = recognized("checkpoint_0100.pth.tar", shapes);
        assert_eq!((found.recipe.method.as_str(), found.encoder_alone), ("simclr", None));
        assert_eq!((found.recipe.decoder.word("last_norm"), found.recipe.decoder.flag("batch_norm")), (Some("none"), Some(false)));
        is_whole(&found, "");
    }
    // Brought over from TensorFlow, where nothing is subtracted.
    let found = recognized("resnet50-1x.pth", under("state_dict.", all([resnet50(), [("fc.weight".into(), vec![1000, 2048])].into()])));
    assert_eq!((found.recipe.data.mean.as_slice(), found.recipe.data.std.as_slice()), (&[0.0; 3][..], &[1.0; 3][..]));
    assert_eq!((found.encoder_alone, why(&found, "state_dict.fc.weight")), (Some("SimCLR backbone"), "a classifier"));
}

#[test]
fn plain_names_are_told_by_the_file_or_what_it_says() {
    for (file, method, alone) in [
        ("dino_resnet50_pretrain.pth", "dino", "DINO backbone"),
        ("barlowtwins_r50.pth", "simclr", "Barlow Twins backbone"),
        ("vicreg_resnet50.pth", "simclr", "VICReg backbone"),
        ("resnet50.pth", "simclr", "residual network"),
    ] {
        let found = recognized(file, resnet50());
        assert_eq!((found.recipe.method.as_str(), found.encoder_alone), (method, Some(alone)), "{file}");
    }
    let settings = BTreeMap::from([("hyper_parameters.method".to_owned(), Setting::Word("barlow_twins".into()))]);
    let found = inspected("last.ckpt", all([under("backbone.", resnet18()), mlp("projector", &[512, 2048, 2048], true, None)]), settings);
    let found = found.unwrap();
    assert_eq!(found.encoder_alone, Some("Barlow Twins backbone"));
    assert!(why(&found, "projector.0.weight").contains("another make"));
}

#[test]
fn dino_brings_its_head() {
    let head = |place: &str| {
        let mut shapes = Shapes::new();
        for (index, [rows, cols]) in [(0, [64, 512]), (2, [64, 64]), (4, [16, 64])] {
            shapes.extend([(format!("{place}.mlp.{index}.weight"), vec![rows, cols]), (format!("{place}.mlp.{index}.bias"), vec![rows])]);
        }
        shapes.extend([(format!("{place}.last_layer.weight_g"), vec![100, 1]), (format!("{place}.last_layer.weight_v"), vec![100, 16])]);
        shapes
    };
    let networks = ["student.module", "teacher.module"];
    let parts = networks.map(|place| all([under(&format!("{place}.backbone."), resnet18()), head(&format!("{place}.head"))]));
    let found = recognized("checkpoint.pth", all(parts));
    assert_eq!((found.recipe.method.as_str(), found.encoder_alone), ("dino", None));
    is_whole(&found, "");
    is_whole(&found, "teacher.");
}

#[test]
fn names_of_children_and_of_shortcuts_are_torchvisions() {
    let in_places = |shapes: Shapes, first: usize| -> Shapes {
        let renamed = |name: String| {
            let (part, rest) = name.split_once('.').unwrap();
            let place = match part.strip_prefix("layer") {
                Some(stage) => first + stage.parse::<usize>().unwrap() - 1,
                None => usize::from(part == "bn1"),
            };
            format!("f.{place}.{rest}")
        };
        shapes.into_iter().map(|(name, shape)| (renamed(name), shape)).collect()
    };
    let found = recognized("x.pth", in_places(resnet50(), 4));
    assert_eq!(source(&found, "layer3.5.conv3.weight"), "f.6.5.conv3.weight");
    assert_eq!(found.recipe.backbone.preset, "resnet-50");
    let small = resnet([2, 2, 2, 2], false, [64, 1, 3]);
    let found = recognized("x.pth", in_places(small.clone(), 3));
    assert_eq!((source(&found, "layer1.0.conv1.weight"), &*found.recipe.backbone.preset), ("f.3.0.conv1.weight", "resnet-18-cifar"));
    refused(in_places(resnet50(), 3), &["f.0.weight", "with a maximum after it"]);
    let shortcuts = small.into_iter().map(|(name, shape)| (name.replace("downsample", "shortcut"), shape)).collect();
    let found = recognized("x.pth", shortcuts);
    assert_eq!(source(&found, "layer2.0.downsample.0.weight"), "layer2.0.shortcut.0.weight");
}

#[test]
fn networks_that_compute_otherwise_are_refused_with_what_was_found() {
    let with = |change: &dyn Fn(&mut Shapes)| {
        let mut shapes = under("module.", resnet50());
        change(&mut shapes);
        shapes
    };
    let add = |name: &'static str, shape: &'static [usize]| with(&move |shapes| drop(shapes.insert(name.into(), shape.to_vec())));
    let stem = with(&|shapes| {
        shapes.remove("module.conv1.weight");
        shapes.insert("module.conv1.0.weight".into(), vec![32, 3, 3, 3]);
    });
    refused(stem, &["module.conv1.0.weight", "ResNet-C, -D"]);
    let shortcut = with(&|shapes| {
        let conv = shapes.remove("module.layer2.0.downsample.0.weight").unwrap();
        shapes.insert("module.layer2.0.downsample.1.weight".into(), conv);
    });
    refused(shortcut, &["module.layer2.0.downsample.1.weight", "ResNet-D"]);
    refused(add("module.layer1.0.conv2.weight", &[64, 2, 3, 3]), &["in 32 groups", "ResNeXt"]);
    refused(add("module.layer3.1.se.fc1.weight", &[16, 1024, 1, 1]), &["module.layer3.1.se.fc1.weight", "squeeze and excitation"]);
    refused(add("module.conv2.weight", &[32, 32, 3, 3]), &["several convolutions"]);
    refused(add("module.attnpool.positional_embedding", &[50, 2048]), &["attnpool.positional_embedding is unknown"]);
    refused(add("module.layer2.1.gamma", &[512]), &["module.layer2.1.gamma is unknown"]);
    refused(add("module.conv1.weight", &[64, 3, 5, 5]), &["[64, 3, 5, 5]", "7x7"]);
    refused(with(&|shapes| drop(shapes.remove("module.conv1.weight"))), &["there is no `module.conv1.weight`"]);
    refused(with(&|shapes| drop(shapes.remove("module.bn1.running_mean"))), &["running statistics"]);
    refused(with(&|shapes| drop(shapes.remove("module.layer4.2.bn3.running_var"))), &["module.layer4.2.bn3.running_var is missing"]);
    refused(with(&|shapes| shapes.retain(|name, _| !name.contains("layer4"))), &["blocks of a stage of 0"]);
    refused(add("module.layer1.0.conv1.weight", &[100, 64, 1, 1]), &["no multiple of the 64"]);
    refused(add("module.layer3.0.conv1.weight", &[256, 1, 1]), &["[256, 1, 1] instead of [256, 512, 1, 1]"]);
    refused(add("module.layer1.99999999999.conv1.weight", &[64]), &["layer1.3.conv1.weight is missing"]);
    refused(add("module.conv1.weight", &[1 << 40, 3, 7, 7]), &["width of 1099511627776"]);
    refused(add("module.conv1.weight", &[0, 3, 7, 7]), &["width of 0"]);
}

#[test]
fn heads_of_another_make_are_left_over() {
    let both = |head: Shapes| recognized("x.pth", all([under("backbone.", resnet18()), head]));
    let cases = [
        // Its last norm shifts.
        mlp("projector", &[512, 64, 32], true, Some(true)),
        // Layers of several widths.
        mlp("projector", &[512, 64, 48, 32], true, None),
        // Other numbers than the network gives.
        mlp("projector", &[256, 64, 32], true, None),
        // Nothing between two layers.
        Shapes::from([("projector.0.weight".into(), vec![64, 512]), ("projector.1.weight".into(), vec![32, 64])]),
        // No layer at all.
        Shapes::from([("projector.0.weight".into(), vec![512])]),
    ];
    for head in cases {
        let name = head.keys().find(|name| name.ends_with("weight")).unwrap().clone();
        let found = both(head);
        assert_eq!((found.encoder_alone, found.recipe.method.as_str()), (Some("SimCLR backbone"), "simclr"));
        assert!(why(&found, &name).contains("another make"), "{name}: {}", why(&found, &name));
    }
}

#[test]
fn safetensors_of_timm_are_looked_into() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let tensors: TensorMap = all([resnet([1, 1, 1, 1], false, [8, 1, 7]), [("fc.weight".into(), vec![3, 64])].into()])
        .into_iter()
        .filter(|(name, _)| !name.ends_with("num_batches_tracked"))
        .map(|(name, shape)| (name, HostTensor::new(shape.clone(), vec![0.5; shape.iter().product()])))
        .collect();
    write(&path, &tensors, &[("format".to_owned(), "pt".to_owned())].into()).unwrap();
    let weights = Weights::open(&path).unwrap();
    assert_eq!((weights.encoder_alone, weights.recipe.backbone.preset.as_str()), (Some("classifier"), ""));
    assert_eq!(Weights::origin(&path).unwrap().0, weights.recipe);
    assert!(weights.network(WeightsKind::Best, &Device::flex()).is_ok());
    assert!(weights.tensor("bn1.running_var").unwrap().is_some());
}
