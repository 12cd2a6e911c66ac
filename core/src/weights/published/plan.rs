//! Which of a file's tensors become which of Maskroom's, and what must be done to them on the way.

use std::collections::BTreeSet;

use super::listing::Listing;
use super::site::{Site, Sites};
use super::sizes::{DecoderSizes, Sizes};
use crate::error::Result;
use crate::weights::safetensors_file::{HostTensor, TensorMap};

/// A tensor of Maskroom's and how it is made.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Take {
    /// Its name here.
    pub ours: String,
    /// Its shape here.
    pub shape: Vec<usize>,
    /// How it is made.
    pub made: Made,
}

/// How a tensor is made, by the file's names.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Made {
    /// It is there.
    Copied(String),
    /// It is not there, and does nothing when it is zero.
    Zeros,
    /// Positions of patches alone; the class token has none.
    WithoutClass(String),
    /// Positions of class token, distillation token and patches, without that of the distillation token.
    WithoutDistilled(String),
    /// A distillation token with its position added, and the table of positions: a register, which has none.
    Distilled(String, String),
}

/// All that becomes of a file.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Tensors that are taken.
    pub takes: Vec<Take>,
    /// What is wrong with those that should be.
    pub wrong: Vec<String>,
    /// The file's names that are used.
    pub used: BTreeSet<String>,
}

impl Plan {
    /// The encoders of all networks of a file, and MAE's decoder.
    pub fn of(sites: &Sites, sizes: &Sizes, listing: &Listing) -> Self {
        let mut plan = Self::default();
        for (site, ours) in sites.each() {
            let mut network = Network { site, listing, ours, plan: &mut plan };
            network.encoder(sizes);
            if let (Some(decoder), "") = (&sizes.decoder, ours) {
                network.decoder(sizes, decoder);
            }
            network.refuse_strangers();
        }
        plan
    }

    /// Adds a tensor that was found.
    pub fn take(&mut self, ours: String, shape: Vec<usize>, made: Made) {
        match &made {
            Made::Copied(name) | Made::WithoutClass(name) | Made::WithoutDistilled(name) => drop(self.used.insert(name.clone())),
            Made::Distilled(token, table) => self.used.extend([token.clone(), table.clone()]),
            Made::Zeros => {}
        }
        self.takes.push(Take { ours, shape, made });
    }

    /// Reads what is taken.
    pub fn read(&self, listing: &mut Listing) -> Result<TensorMap> {
        self.takes.iter().map(|take| Ok((take.ours.clone(), take.read(listing)?))).collect()
    }
}

impl Made {
    /// The file's name, or how it is made of several.
    pub fn in_words(&self) -> String {
        match self {
            Self::Copied(name) => name.clone(),
            Self::Zeros => "zeros".into(),
            Self::WithoutClass(name) => format!("{name}, and nothing for the class token"),
            Self::WithoutDistilled(name) => format!("{name} without the place of the distillation token"),
            Self::Distilled(token, table) => format!("{token} + its place in {table}"),
        }
    }
}

impl Take {
    fn read(&self, listing: &mut Listing) -> Result<HostTensor> {
        let width = self.shape.last().copied().unwrap_or(1);
        let values = match &self.made {
            Made::Copied(name) => listing.tensor(name)?.values,
            Made::Zeros => vec![0.0; self.shape.iter().product()],
            Made::WithoutClass(name) => [vec![0.0; width], listing.tensor(name)?.values].concat(),
            Made::WithoutDistilled(name) => {
                let table = listing.tensor(name)?.values;
                [&table[..width], &table[2 * width..]].concat()
            }
            Made::Distilled(token, table) => {
                let (token, table) = (listing.tensor(token)?.values, listing.tensor(table)?.values);
                token.iter().zip(&table[width..]).map(|(token, place)| token + place).collect()
            }
        };
        Ok(HostTensor::new(self.shape.clone(), values))
    }
}

/// One network on its way.
struct Network<'a> {
    site: &'a Site,
    listing: &'a Listing,
    /// What stands before its names here.
    ours: &'static str,
    plan: &'a mut Plan,
}

/// Parts of an encoder: what is left over of them is computed by the network that the file is of, and by none here.
const PARTS: [&str; 7] = ["blocks.", "patch_embed.", "norm", "cls_token", "pos_", "attn_pool", "decoder_"];

impl Network<'_> {
    /// Copies the first of `theirs` that is there, which must have the shape.
    fn copy(&mut self, ours: &str, theirs: &[&str], shape: &[usize]) {
        self.take(ours, theirs, shape, shape, Made::Copied);
    }

    /// The same for one that has the shape `there`.
    fn take(&mut self, ours: &str, theirs: &[&str], shape: &[usize], there: &[usize], made: impl FnOnce(String) -> Made) {
        let name = self.site.first_of(theirs).and_then(|own| self.site.name(own));
        match name.map(|name| (name, self.listing.shapes.get(name))) {
            Some((name, Some(found))) if found == there => {
                self.plan.take(format!("{}{ours}", self.ours), shape.to_vec(), made(name.clone()));
            }
            Some((name, found)) => self.plan.wrong.push(format!("{name} is {:?} instead of {there:?}", found.cloned().unwrap_or_default())),
            None => self.plan.wrong.push(format!("{}{} is missing", self.site.prefix, theirs[0])),
        }
    }

    fn layer(&mut self, ours: &str, theirs: &[&str], shape: &[usize]) {
        for (kind, shape) in [("weight", shape), ("bias", &shape[..1])] {
            let theirs: Vec<String> = theirs.iter().map(|name| format!("{name}.{kind}")).collect();
            self.copy(&format!("{ours}.{kind}"), &theirs.iter().map(String::as_str).collect::<Vec<_>>(), shape);
        }
    }

    fn blocks(&mut self, ours: &str, theirs: &str, [depth, width, hidden]: [usize; 3]) {
        for index in 0..depth {
            let (ours, theirs) = (format!("{ours}.{index}"), format!("{theirs}.{index}"));
            let parts: [(&str, &[usize]); 5] = [
                ("norm1", &[width]),
                ("norm2", &[width]),
                ("attn.proj", &[width, width]),
                ("mlp.fc1", &[hidden, width]),
                ("mlp.fc2", &[width, hidden]),
            ];
            for (part, shape) in parts {
                self.layer(&format!("{ours}.{part}"), &[&format!("{theirs}.{part}")], shape);
            }
            self.copy(&format!("{ours}.attn.qkv.weight"), &[&format!("{theirs}.attn.qkv.weight")], &[3 * width, width]);
            let bias = format!("{theirs}.attn.qkv.bias");
            if self.site.name(&bias).is_some() {
                self.copy(&format!("{ours}.attn.qkv.bias"), &[&bias], &[3 * width]);
            } else {
                self.plan.take(format!("{}{ours}.attn.qkv.bias", self.ours), vec![3 * width], Made::Zeros);
            }
        }
    }

    fn encoder(&mut self, sizes: &Sizes) {
        let &Sizes { width, patch, channels, depth, hidden, registers, placed, grid: [rows, cols], .. } = sizes;
        self.layer("patch_embed.proj", &["patch_embed.proj"], &[width, channels, patch, patch]);
        // Networks that were trained on to tell classes may have a norm behind the mean of patches instead.
        self.layer("norm", &["norm", "fc_norm"], &[width]);
        self.copy("cls_token", &["cls_token"], &[1, 1, width]);
        let (table, there) = ([1, 1 + rows * cols, width], [1, placed + rows * cols, width]);
        match (placed, self.site.name("dist_token").cloned(), self.site.name("pos_embed").cloned()) {
            (0, ..) => self.take("pos_embed", &["pos_embed"], &table, &there, Made::WithoutClass),
            (2, Some(_), Some(positions)) => {
                self.take("pos_embed", &["pos_embed"], &table, &there, Made::WithoutDistilled);
                let token = [1, 1, width];
                self.take("reg_token", &["dist_token"], &token, &token, |name| Made::Distilled(name, positions));
            }
            _ => self.take("pos_embed", &["pos_embed"], &table, &there, Made::Copied),
        }
        if registers > 0 && placed != 2 {
            self.copy("reg_token", &["register_tokens", "reg_token"], &[1, registers, width]);
        }
        self.blocks("blocks", "blocks", [depth, width, hidden]);
        for (index, names) in (0..depth).flat_map(|index| sizes.layer_scale.map(|names| (index, names))) {
            for (ours, theirs) in ["ls1.gamma", "ls2.gamma"].into_iter().zip(names) {
                self.copy(&format!("blocks.{index}.{ours}"), &[&format!("blocks.{index}.{theirs}")], &[width]);
            }
        }
    }

    /// MAE's.
    fn decoder(&mut self, sizes: &Sizes, decoder: &DecoderSizes) {
        let (width, [rows, cols]) = (decoder.width, sizes.grid);
        self.copy("decoder.mask_token", &["mask_token"], &[1, 1, width]);
        self.copy("decoder.pos_embed", &["decoder_pos_embed"], &[1, 1 + rows * cols, width]);
        self.layer("decoder.embed", &["decoder_embed"], &[width, sizes.width]);
        self.layer("decoder.norm", &["decoder_norm"], &[width]);
        self.layer("decoder.pred", &["decoder_pred"], &[sizes.patch * sizes.patch * sizes.channels, width]);
        self.blocks("decoder.blocks", "decoder_blocks", [decoder.depth, width, decoder.hidden]);
    }

    /// What is part of the encoder and not known makes it another network.
    fn refuse_strangers(&mut self) {
        let strangers =
            self.site.names().filter(|(own, name)| PARTS.iter().any(|part| own.starts_with(part)) && !self.plan.used.contains(*name));
        let wrong: Vec<String> = strangers.map(|(_, name)| format!("{name} is unknown")).collect();
        self.plan.wrong.extend(wrong);
    }
}
