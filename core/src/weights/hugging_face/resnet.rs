//! Residual networks in folders of Hugging Face: settings that describe one of torchvision's, and the tensors by its names.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::config::{FILE, resolve};
use super::fields::Fields;
use super::normalization::{self, IMAGENET};
use crate::backbone::resnet::{ResNetConfig, Stem};
use crate::error::{Error, Result};
use crate::recipe::{Recipe, resnet_knobs};
use crate::weights::published::plan::{Made, Take};

/// What a folder's settings say.
pub(super) struct Model {
    /// What would train such a network here.
    pub recipe: Recipe,
    /// The model's class.
    pub class: &'static str,
    sizes: ResNetConfig,
}

const CLASSES: [&str; 2] = ["ResNetModel", "ResNetForImageClassification"];
/// Images that published ones are made for.
const IMAGE: usize = 224;

/// Reads a folder's settings, if they are of a residual network.
///
/// # Errors
/// [`Error::Data`] naming the field that is missing, wrong or not supported.
pub(super) fn read(folder: &Path, fields: &Fields) -> Result<Option<Model>> {
    if fields.get("model_type").and_then(Value::as_str) != Some("resnet") {
        return Ok(None);
    }
    let class = match fields.get("architectures") {
        Some(Value::Array(list)) => list.first().and_then(Value::as_str),
        _ => None,
    };
    let Some(class) = class.and_then(|name| CLASSES.into_iter().find(|known| *known == name)) else {
        return Err(fields.misfit("architectures", fields.get("architectures"), &format!("a list with one of {}", CLASSES.join(", "))));
    };
    let sizes = sizes(fields)?;
    let (mean, std) = normalization::read(folder, sizes.channels, IMAGENET)?;
    let mut sets = vec![
        ("data.image".to_owned(), format!("{:?}", sizes.grid)),
        ("data.channels".to_owned(), sizes.channels.to_string()),
        ("data.mean".to_owned(), format!("{mean:?}")),
        ("data.std".to_owned(), format!("{std:?}")),
        ("backbone.preset".to_owned(), "\"\"".to_owned()),
        ("backbone.kind".to_owned(), "resnet".to_owned()),
        ("backbone.patch".to_owned(), "1".to_owned()),
    ];
    sets.extend(resnet_knobs(&sizes).into_iter().map(|(key, value)| (format!("backbone.{key}"), value.to_string())));
    let recipe = resolve("simclr", sets).map_err(|error| match error {
        Error::Recipe(problems) => {
            let all = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            Error::data(folder.join(FILE), all, "use a model of other sizes")
        }
        other => other,
    })?;
    Ok(Some(Model { recipe, class, sizes }))
}

fn sizes(fields: &Fields) -> Result<ResNetConfig> {
    let bottleneck = match fields.get("layer_type") {
        None => true,
        Some(Value::String(name)) if name == "bottleneck" => true,
        Some(Value::String(name)) if name == "basic" => false,
        value => return Err(fields.misfit("layer_type", value, "\"bottleneck\" or \"basic\"")),
    };
    match fields.get("hidden_act") {
        None => {}
        Some(Value::String(name)) if name == "relu" => {}
        value => return Err(fields.misfit("hidden_act", value, "\"relu\": Maskroom's residual networks have no other activation")),
    }
    for (key, why) in [
        ("downsample_in_first_stage", "is true, and the first stage keeps all places here"),
        ("downsample_in_bottleneck", "is true, and here the convolution of 3x3 leaves places out, not the one before it"),
    ] {
        if fields.flag_or(key, false)? {
            return Err(fields.refused(key, why, "use a model with false there, as published ones have"));
        }
    }
    let (width, depths) = (fields.count("embedding_size", 4096)?, fields.counts("depths", 256)?);
    let outputs = |stage: usize| (width << stage) * if bottleneck { 4 } else { 1 };
    let (hidden, wanted) = (fields.counts("hidden_sizes", 1 << 17)?, (0..4).map(outputs).collect::<Vec<_>>());
    if hidden != wanted {
        let why = format!("is {hidden:?}, and stages that double an embedding of {width} have {wanted:?}");
        return Err(fields.refused("hidden_sizes", why, "use a model with that"));
    }
    if depths.len() != wanted.len() {
        return Err(fields.misfit("depths", fields.get("depths"), "a number for each of four stages"));
    }
    let channels = fields.count_or("num_channels", 3, 64)?;
    Ok(ResNetConfig { grid: [IMAGE; 2], channels, stem: Stem::Large, bottleneck, width, inner: 1, depths, zero_init: false })
}

impl Model {
    /// How the weights are made of tensors of these shapes.
    ///
    /// # Errors
    /// Every tensor that is missing, of another shape, or left over.
    pub fn takes(&self, theirs: BTreeMap<String, Vec<usize>>) -> Result<Vec<Take>, Vec<String>> {
        let mut conversion = Conversion { theirs, ours: Vec::new(), wrong: Vec::new() };
        let sizes = &self.sizes;
        let stem = sizes.stem_windows(sizes.grid).0.side;
        conversion.convolution(["conv1", "bn1"], "embedder.embedder", [sizes.width, sizes.channels, stem]);
        let mut before = sizes.width;
        for (stage, index) in sizes.depths.iter().enumerate().flat_map(|(stage, &depth)| (0..depth).map(move |index| (stage, index))) {
            let inputs = std::mem::replace(&mut before, sizes.width_of_stage(stage));
            let (convolutions, shortcut) = sizes.convolutions([stage, index, inputs], [1, 1]);
            let (ours, theirs) = (format!("layer{}.{index}", stage + 1), format!("encoder.stages.{stage}.layers.{index}"));
            for (place, ([inputs, outputs], window)) in convolutions.into_iter().enumerate() {
                let own = ["conv", "bn"].map(|part| format!("{ours}.{part}{}", place + 1));
                conversion.convolution([&own[0], &own[1]], &format!("{theirs}.layer.{place}"), [outputs, inputs, window.side]);
            }
            if let Some(([inputs, outputs], window)) = shortcut {
                let own = [0, 1].map(|place| format!("{ours}.downsample.{place}"));
                conversion.convolution([&own[0], &own[1]], &format!("{theirs}.shortcut"), [outputs, inputs, window.side]);
            }
        }
        conversion.end()
    }
}

struct Conversion {
    /// Shapes of what nothing has been made of yet.
    theirs: BTreeMap<String, Vec<usize>>,
    ours: Vec<Take>,
    wrong: Vec<String>,
}

impl Conversion {
    /// A convolution and the norm after it.
    fn convolution(&mut self, [conv, bn]: [&str; 2], theirs: &str, [outputs, inputs, side]: [usize; 3]) {
        self.copy(&format!("{conv}.weight"), &format!("{theirs}.convolution.weight"), &[outputs, inputs, side, side]);
        for kind in ["weight", "bias", "running_mean", "running_var"] {
            self.copy(&format!("{bn}.{kind}"), &format!("{theirs}.normalization.{kind}"), &[outputs]);
        }
    }

    fn copy(&mut self, ours: &str, theirs: &str, shape: &[usize]) {
        let found = [format!("resnet.{theirs}"), theirs.to_owned()].into_iter().find_map(|name| self.theirs.remove_entry(&name));
        match found {
            Some((name, there)) if there == shape => self.ours.push(Take { ours: ours.to_owned(), shape: there, made: Made::Copied(name) }),
            Some((name, there)) => self.wrong.push(format!("{name} is {there:?} instead of {shape:?}")),
            None => self.wrong.push(format!("{theirs} is missing")),
        }
    }

    /// A classifier and counts of batches are of no use here.
    fn end(mut self) -> Result<Vec<Take>, Vec<String>> {
        self.theirs.retain(|name, _| !name.starts_with("classifier.") && !name.ends_with("num_batches_tracked"));
        self.wrong.extend(self.theirs.keys().map(|name| format!("{name} is left over")));
        if self.wrong.is_empty() { Ok(self.ours) } else { Err(self.wrong) }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use serde_json::json;

    use super::super::parity::folder;
    use super::*;
    use crate::inspect::encoder::{Images, Pool, features};
    use crate::weights::golden::{self, assert_close};
    use crate::weights::inspection::inspect;
    use crate::weights::model_file::{Weights, WeightsKind};

    /// What `tests/golden/make_resnet_files.py` gives the model.
    fn images() -> Images {
        let values = (0..40 * 48 * 3).map(|place| ((place % 97) as f32 - 48.0) / 32.0).collect();
        Images { values, batch: 1, height: 40, width: 48 }
    }

    #[test]
    fn maps_are_those_of_the_library() {
        let weights = Weights::open(&folder("resnet")).unwrap();
        let recipe = &weights.recipe;
        assert_eq!(
            (weights.encoder_alone, recipe.method.as_str(), recipe.data.image),
            (Some("ResNetForImageClassification"), "simclr", [224; 2])
        );
        assert_eq!((recipe.backbone.sizes.word("block"), recipe.backbone.sizes.counts("depths")), (Some("bottleneck"), vec![1, 2, 1, 1]));
        let network = weights.network(WeightsKind::Best, &Device::flex()).unwrap();
        let want = &golden::read("torch/expected_resnet")["hugging_face/maps"];
        assert_close("maps", &features(&network, &images(), -1, Pool::Patches).unwrap(), want, 1e-5);
        assert_eq!(Weights::origin(&folder("resnet")).unwrap().0, *recipe);
        assert!(inspect(&folder("resnet")).unwrap().missing.iter().any(|part| part.name == "head"));
    }

    #[test]
    fn settings_of_other_networks_are_refused() {
        let cases = [
            ("architectures", json!(["ResNetBackbone"]), "ResNetModel"),
            ("layer_type", json!("other"), "\"basic\""),
            ("hidden_act", json!("gelu"), "\"relu\""),
            ("downsample_in_bottleneck", json!(true), "3x3"),
            ("downsample_in_first_stage", json!(true), "keeps all places"),
            ("hidden_sizes", json!([4, 8, 16, 64]), "[4, 8, 16, 32]"),
            ("hidden_sizes", json!([4, 8]), "[4, 8, 16, 32]"),
            ("embedding_size", json!(1_u64 << 40), "from 1 to 4096"),
            ("depths", json!([1, 2, 1]), "four stages"),
            ("depths", json!([1, 3, 1, 1]), "encoder.stages.1.layers.2.layer.0.convolution.weight is missing"),
            ("depths", json!([1, 1, 1, 1]), "layers.1.layer.0.convolution.weight is left over"),
            ("num_channels", json!(1), "[1, 3, 7, 7] instead of [1, 1, 7, 7]"),
        ];
        for (key, value, word) in cases {
            let copy = tempfile::tempdir().unwrap();
            let mut config: Value = serde_json::from_slice(&std::fs::read(folder("resnet").join("config.json")).unwrap()).unwrap();
            config[key] = value;
            std::fs::write(copy.path().join("config.json"), config.to_string()).unwrap();
            std::fs::copy(folder("resnet").join("model.safetensors"), copy.path().join("model.safetensors")).unwrap();
            let message = Weights::open(copy.path()).err().unwrap_or_else(|| panic!("{key} is not refused")).to_string();
            assert!(message.contains(word), "{word} is not in: {message}");
        }
    }
}
