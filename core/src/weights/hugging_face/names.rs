//! From Hugging Face's names and layouts to Maskroom's. Both the names that files have and those that the library's newest classes have
//! are known, with and without the name of the encoder in front.

mod pvt;

use std::collections::BTreeMap;

use super::config::{Family, Head, Model};
use crate::backbone::block::Activation;
use crate::backbone::encoder::EncoderConfig;
use crate::backbone::swin::SwinConfig;
use crate::backbone::vit::{Positions, Relative, VitConfig};
use crate::backbone::window::side_within;
use crate::method::decoder::DecoderConfig;
use crate::method::masked_model::MaskedConfig;
use crate::weights::published::plan::{Made, Take};

/// How the weights of a network are made of tensors of these shapes; those that the model does without are zero.
///
/// # Errors
/// Every tensor that is missing, of another shape, or left over.
pub(super) fn takes(sizes: &MaskedConfig, model: &Model, theirs: BTreeMap<String, Vec<usize>>) -> Result<Vec<Take>, Vec<String>> {
    let family = model.architecture.family;
    let base = match family {
        Family::Vit | Family::VitMae => "vit",
        Family::IJepa => "ijepa",
        Family::Beit if model.architecture.name.starts_with("Data2Vec") => "data2vec_vision",
        Family::Beit => "beit",
        Family::Swin => "swin",
        Family::Pvt => "pvt",
        Family::Dinov2 { registers: false } => "dinov2",
        Family::Dinov2 { registers: true } => "dinov2_with_registers",
        Family::Dinov3 => "model",
    };
    let Model { bias, branch_bias, .. } = *model;
    let mut conversion = Conversion { base, bias, branch_bias, theirs, ours: Vec::new(), wrong: Vec::new() };
    let width = sizes.encoder.first_width();
    let patches = [sizes.encoder.channels(), sizes.encoder.patch()];
    if family != Family::Pvt {
        let projection = ["embeddings.patch_embeddings.projection", "embeddings.patch_embeddings"];
        conversion.layer("patch_embed.proj", &projection, &[width, patches[0], patches[1], patches[1]]);
    }
    conversion.norm("norm", &[model.last_norm], sizes.encoder.last_width());
    match &sizes.encoder {
        EncoderConfig::Vit(vit) => conversion.vit(vit),
        EncoderConfig::Swin(swin) => conversion.swin(swin),
        EncoderConfig::Pvt(pvt) => conversion.pvt(pvt),
        EncoderConfig::ResNet(_) => {}
    }
    match model.architecture.head {
        Head::Absent => conversion.drop_heads(family, width),
        Head::Decoder => conversion.decoder(sizes),
        Head::Pixels | Head::Classes => {
            conversion.copy("mask_token", &["embeddings.mask_token"], &[1, 1, width]);
            conversion.predictor(sizes, model.architecture.head);
        }
    }
    conversion.end()
}

/// Names for the same part.
type Names<'a> = &'a [&'a str];

struct Conversion {
    /// What names of the encoder's tensors may begin with.
    base: &'static str,
    /// Whether queries, keys and values have a bias.
    bias: [bool; 3],
    /// Whether what ends attention has a bias, and whether the layers of MLPs have.
    branch_bias: [bool; 2],
    /// Shapes of what nothing has been made of yet.
    theirs: BTreeMap<String, Vec<usize>>,
    ours: Vec<Take>,
    wrong: Vec<String>,
}

impl Conversion {
    fn end(mut self) -> Result<Vec<Take>, Vec<String>> {
        // Which pairs of a window share a number is computed here, and DINOv3 has a tensor of registers even where there are none.
        self.theirs.retain(|name, shape| !name.ends_with("relative_position_index") && !shape.contains(&0));
        self.wrong.extend(self.theirs.keys().map(|name| format!("{name} is left over")));
        if self.wrong.is_empty() { Ok(self.ours) } else { Err(self.wrong) }
    }

    /// Finds the tensor that has one of these names, and gives the name.
    fn find(&mut self, names: &[String], shape: &[usize]) -> Option<String> {
        let all = names.iter().flat_map(|name| [format!("{}.{name}", self.base), name.clone()]);
        let found = all.into_iter().find_map(|name| self.theirs.remove_entry(&name));
        match found {
            Some((name, there)) if there == shape => return Some(name),
            Some((name, there)) => self.wrong.push(format!("{name} is {there:?} instead of {shape:?}")),
            None => self.wrong.push(format!("{} is missing", names[0])),
        }
        None
    }

    fn take(&mut self, ours: &str, shape: &[usize], made: Made) {
        self.ours.push(Take { ours: ours.to_owned(), shape: shape.to_vec(), made });
    }

    fn copy(&mut self, ours: &str, names: Names<'_>, shape: &[usize]) {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        if let Some(name) = self.find(&names, shape) {
            self.take(ours, shape, Made::Copied(name));
        }
    }

    fn zeros(&mut self, ours: &str, shape: &[usize]) {
        self.take(ours, shape, Made::Zeros);
    }

    /// A weight of the given shape and a bias as long as its first side.
    fn layer(&mut self, ours: &str, names: Names<'_>, shape: &[usize]) {
        self.layer_with(true, ours, names, shape);
    }

    /// The same, with zeros for a bias that is not there.
    fn layer_with(&mut self, has_bias: bool, ours: &str, names: Names<'_>, shape: &[usize]) {
        for (kind, shape) in [("weight", shape), ("bias", &shape[..1])] {
            let (ours, names) = (format!("{ours}.{kind}"), names.iter().map(|name| format!("{name}.{kind}")).collect::<Vec<_>>());
            if kind == "weight" || has_bias {
                self.copy(&ours, &names.iter().map(String::as_str).collect::<Vec<_>>(), shape);
            } else {
                self.zeros(&ours, shape);
            }
        }
    }

    fn norm(&mut self, ours: &str, names: Names<'_>, width: usize) {
        self.layer(ours, names, &[width]);
    }

    /// What plain blocks and those in windows have in common; `at` are the names that the block may have.
    fn block(&mut self, ours: &str, at: Names<'_>, width: usize, mlp_ratio: f64, activation: Activation) {
        let hidden = (width as f64 * mlp_ratio) as usize;
        let [proj_bias, mlp_bias] = self.branch_bias;
        let parts: [(&str, bool, Names<'_>, &[usize]); 5] = [
            ("norm1", true, &["layernorm_before", "norm1"], &[width]),
            ("norm2", true, &["layernorm_after", "norm2"], &[width]),
            ("attn.proj", proj_bias, &["attention.output.dense", "attention.o_proj"], &[width, width]),
            ("mlp.fc1", mlp_bias, &["intermediate.dense", "mlp.fc1", "mlp.up_proj"], &[hidden, width]),
            ("mlp.fc2", mlp_bias, &["output.dense", "mlp.fc2", "mlp.weights_out", "mlp.down_proj"], &[width, hidden]),
        ];
        for (part, has_bias, names, shape) in parts {
            let (ours, names) = (format!("{ours}.{part}"), within(at, names));
            if part == "mlp.fc1" && activation.is_gated() {
                self.gate(&ours, at, [hidden, width]);
            } else {
                self.layer_with(has_bias, &ours, &names.iter().map(String::as_str).collect::<Vec<_>>(), shape);
            }
        }
        self.stacked(&format!("{ours}.attn.qkv.weight"), at, "weight", [true; 3], &[width, width]);
        self.stacked(&format!("{ours}.attn.qkv.bias"), at, "bias", self.bias, &[width]);
    }

    /// Queries, keys and values one below the other, zeros for those that are not there.
    fn stacked(&mut self, ours: &str, at: Names<'_>, kind: &str, is_there: [bool; 3], shape: &[usize]) {
        let parts = [("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj")].map(|(old, new)| {
            let names = ["attention.attention.", "attention.self.", "attention."].map(|place| format!("{place}{old}.{kind}"));
            let names = names.into_iter().chain([format!("attention.{new}.{kind}")]).collect::<Vec<_>>();
            within(at, &names.iter().map(String::as_str).collect::<Vec<_>>())
        });
        let parts: Vec<Option<Vec<String>>> = parts.into_iter().zip(is_there).map(|(names, is_there)| is_there.then_some(names)).collect();
        self.below(ours, &parts, shape);
    }

    /// The rows of a gate above those of what it lets through, which are in one layer or in two.
    fn gate(&mut self, ours: &str, at: Names<'_>, [hidden, width]: [usize; 2]) {
        for (kind, part) in [("weight", &[hidden, width][..]), ("bias", &[hidden])] {
            let ours = format!("{ours}.{kind}");
            let whole = [&[2 * hidden], &part[1..]].concat();
            let [packed, gate, through] = ["weights_in", "gate_proj", "up_proj"].map(|name| within(at, &[&format!("mlp.{name}.{kind}")]));
            if kind == "bias" && !self.branch_bias[1] {
                self.zeros(&ours, &whole);
            } else if self.has(&packed) {
                self.copy(&ours, &packed.iter().map(String::as_str).collect::<Vec<_>>(), &whole);
            } else {
                self.below(&ours, &[Some(gate), Some(through)], part);
            }
        }
    }

    /// Whether there is a tensor that has one of these names.
    fn has(&self, names: &[String]) -> bool {
        names.iter().any(|name| self.theirs.contains_key(name) || self.theirs.contains_key(&format!("{}.{name}", self.base)))
    }

    /// Parts of one shape below one another, zeros for those without a name.
    fn below(&mut self, ours: &str, parts: &[Option<Vec<String>>], shape: &[usize]) {
        let whole = [&[parts.len() * shape[0]], &shape[1..]].concat();
        if parts.iter().all(Option::is_none) {
            return self.zeros(ours, &whole);
        }
        let found: Vec<Option<String>> = parts.iter().map(|names| names.as_ref().and_then(|names| self.find(names, shape))).collect();
        // What is missing has been noted.
        if found.iter().zip(parts).all(|(found, names)| found.is_some() == names.is_some()) {
            self.take(ours, &whole, Made::Stacked(found));
        }
    }

    fn vit(&mut self, vit: &VitConfig) {
        let (width, [rows, cols]) = (vit.width, vit.grid);
        if vit.has_class_token {
            self.copy("cls_token", &["embeddings.cls_token"], &[1, 1, width]);
        }
        match vit.positions {
            Positions::Absent | Positions::Rotary => self.zeros("pos_embed", &[1, 1 + rows * cols, width]),
            _ if vit.has_class_token => self.copy("pos_embed", &[POSITIONS], &[1, 1 + rows * cols, width]),
            _ => self.positions_of_patches([1, rows * cols, width]),
        }
        if vit.registers > 0 {
            self.copy("reg_token", &["embeddings.register_tokens"], &[1, vit.registers, width]);
        }
        let (table, gamma) = ([(2 * rows - 1) * (2 * cols - 1) + 3, vit.heads], [width]);
        if vit.relative == Relative::Shared {
            let names = ["encoder.relative_position_bias", "shared_position_bias"].map(|place| format!("{place}.{TABLE}"));
            self.copy(&format!("rel_pos_bias.{TABLE}"), &[&names[0], &names[1]], &table);
        }
        for index in 0..vit.depth {
            let [old, new, bare] = ["encoder.layer", "layers", "layer"].map(|place| format!("{place}.{index}"));
            let ours = format!("blocks.{index}");
            let at: Names<'_> = &[&old, &new, &bare];
            self.block(&ours, at, width, vit.mlp_ratio, vit.activation);
            let mut more: Vec<(String, Vec<String>, &[usize])> = Vec::new();
            if vit.layer_scale > 0.0 {
                more.push((format!("{ours}.ls1.gamma"), within(at, &["lambda_1", "layer_scale1.lambda1"]), &gamma));
                more.push((format!("{ours}.ls2.gamma"), within(at, &["lambda_2", "layer_scale2.lambda1"]), &gamma));
            }
            if vit.relative == Relative::Own {
                let names =
                    ["attention.attention.relative_position_bias", "relative_position_bias"].map(|place| format!("{place}.{TABLE}"));
                more.push((format!("{ours}.attn.rel_pos_bias.{TABLE}"), within(at, &[&names[0], &names[1]]), &table));
            }
            for (ours, names, shape) in more {
                self.copy(&ours, &names.iter().map(String::as_str).collect::<Vec<_>>(), shape);
            }
        }
    }

    /// Positions of patches alone; the class token's row is nobody's.
    fn positions_of_patches(&mut self, shape: [usize; 3]) {
        if let Some(name) = self.find(&[POSITIONS.to_owned()], &shape) {
            let [_, count, width] = shape;
            self.take("pos_embed", &[1, 1 + count, width], Made::WithoutClass(name));
        }
    }

    fn swin(&mut self, swin: &SwinConfig) {
        self.norm("patch_embed.norm", &["embeddings.norm"], swin.width);
        for (stage, ((&depth, &heads), grid)) in swin.depths.iter().zip(&swin.heads).zip(swin.grids()).enumerate() {
            let width = swin.width << stage;
            let reach = 2 * side_within(grid, swin.window) - 1;
            for index in 0..depth {
                let (theirs, ours) = (format!("encoder.layers.{stage}.blocks.{index}"), format!("layers.{stage}.blocks.{index}"));
                self.block(&ours, &[&theirs], width, swin.mlp_ratio, Activation::Gelu);
                let names = ["attention.self", "attention.relative_position_bias"].map(|place| format!("{theirs}.{place}.{TABLE}"));
                self.copy(&format!("{ours}.attn.{TABLE}"), &[&names[0], &names[1]], &[reach * reach, heads]);
            }
            // It stands at the end of a stage there, and at the beginning of the next here.
            if stage + 1 < swin.depths.len() {
                let (theirs, ours) = (format!("encoder.layers.{stage}.downsample"), format!("layers.{}.downsample", stage + 1));
                self.norm(&format!("{ours}.norm"), &[&format!("{theirs}.norm")], 4 * width);
                let reduction = format!("{theirs}.reduction.weight");
                self.copy(&format!("{ours}.reduction.weight"), &[&reduction], &[2 * width, 4 * width]);
            }
        }
    }

    /// MAE's decoder.
    fn decoder(&mut self, sizes: &MaskedConfig) {
        let DecoderConfig::Transformer { width, depth, mlp_ratio, .. } = sizes.decoder else { return };
        let [rows, cols] = sizes.units();
        self.copy("decoder.mask_token", &["decoder.mask_token"], &[1, 1, width]);
        self.copy("decoder.pos_embed", &["decoder.decoder_pos_embed"], &[1, 1 + rows * cols, width]);
        self.layer("decoder.embed", &["decoder.decoder_embed"], &[width, sizes.encoder.last_width()]);
        self.norm("decoder.norm", &["decoder.decoder_norm"], width);
        self.layer("decoder.pred", &["decoder.decoder_pred"], &[sizes.prediction_width, width]);
        for index in 0..depth {
            let at = ["decoder.decoder_layers", "decoder.decoder_encoder.layer"].map(|place| format!("{place}.{index}"));
            self.block(&format!("decoder.blocks.{index}"), &[&at[0], &at[1]], width, mlp_ratio, Activation::Gelu);
        }
    }

    /// One linear layer.
    fn predictor(&mut self, sizes: &MaskedConfig, head: Head) {
        let (inputs, stride) = (sizes.encoder.last_width(), sizes.encoder.stride());
        if head == Head::Classes {
            return self.layer("decoder.pred", &["lm_head"], &[sizes.prediction_width, inputs]);
        }
        let outputs = stride * stride * sizes.prediction_width;
        let order = unshuffled(stride, sizes.encoder.patch(), sizes.encoder.channels());
        for (kind, shape) in [("weight", &[outputs, inputs, 1, 1][..]), ("bias", &[outputs])] {
            if let Some(name) = self.find(&[format!("decoder.0.{kind}")], shape) {
                self.take(&format!("decoder.pred.{kind}"), &shape[..shape.len().min(2)], Made::Reordered(name, order.clone()));
            }
        }
    }

    /// What is put on an encoder for other ends than to predict patches. The mask token is of use to whom training goes on from here.
    fn drop_heads(&mut self, family: Family, width: usize) {
        let base = format!("{}.", self.base);
        let of_heads = ["pooler.", "classifier.", "decoder.", "lm_head."];
        let mask_token = ["embeddings.mask_token".to_owned(), format!("{base}embeddings.mask_token")];
        if let Some((name, shape)) = mask_token.iter().find_map(|name| self.theirs.remove_entry(name))
            && shape.iter().product::<usize>() == width
        {
            self.take("mask_token", &[1, 1, width], Made::Copied(name));
        }
        // A classifier can say what is in a patch, if it looks at one token.
        let kinds: Names<'_> = if matches!(family, Family::Dinov2 { .. }) { &[] } else { &["weight", "bias"] };
        for kind in kinds {
            let name = format!("classifier.{kind}");
            if let Some(shape) = self.theirs.remove(&name) {
                self.take(&name, &shape, Made::Copied(name.clone()));
            }
        }
        self.theirs.retain(|name, _| {
            let name = name.strip_prefix(&base).unwrap_or(name);
            !of_heads.iter().any(|head| name.starts_with(head))
        });
    }
}

const TABLE: &str = "relative_position_bias_table";
const POSITIONS: &str = "embeddings.position_embeddings";

/// Every name in every place.
fn within(places: Names<'_>, names: Names<'_>) -> Vec<String> {
    places.iter().flat_map(|place| names.iter().map(move |name| format!("{place}.{name}"))).collect()
}

/// For each number that Maskroom predicts of a token of the last stage - patches of its square in raster order, in each (row, column,
/// channel) - the channel that a shuffle of channels to places (PixelShuffle) takes it from: (channel, row, column) of the whole square.
pub(in crate::weights) fn unshuffled(stride: usize, patch: usize, channels: usize) -> Vec<usize> {
    let side = stride * patch;
    (0..side * side * channels)
        .map(|place| {
            let (square, inner) = (place / (patch * patch * channels), place % (patch * patch * channels));
            let (y, x) = (square / stride * patch + inner / channels / patch, square % stride * patch + inner / channels % patch);
            inner % channels * side * side + y * side + x
        })
        .collect()
}
