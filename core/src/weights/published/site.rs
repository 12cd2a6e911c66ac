//! Where in a file the networks are: papers' code wraps them as `model`, `module`, `teacher.backbone` and so on, and each has a tensor that
//! all networks of its family begin with.

use std::collections::{BTreeMap, BTreeSet};

use super::listing::Listing;

/// A network in a file.
#[derive(Debug, Clone)]
pub(super) struct Site {
    /// What stands before its names.
    pub prefix: String,
    /// The file's names by those without the prefix, and with blocks counted through.
    names: BTreeMap<String, String>,
}

/// The networks of a file: the one that was trained, and its running average.
#[derive(Debug)]
pub(super) struct Sites {
    /// What was trained, or the only one.
    pub raw: Site,
    /// Its average, the teacher.
    pub average: Option<Site>,
}

/// Words that stand before names of running averages.
const AVERAGES: [&str; 17] = [
    "teacher",
    "teacher_model",
    "teacher_backbone",
    "momentum_encoder",
    "encoder_momentum",
    "encoder_k",
    "momentum_backbone",
    "backbone_momentum",
    "target_encoder",
    "target_backbone",
    "target_network",
    "target_network_state_dict",
    "target_net",
    "ema",
    "model_ema",
    "ema_model",
    "state_dict_ema",
];

impl Sites {
    /// Finds them by a tensor that each of them has; `None` if there is none.
    pub fn of(listing: &Listing, first: &str) -> Option<Self> {
        let prefixes =
            listing.shapes.keys().filter_map(|name| name.strip_suffix(first)).filter(|prefix| prefix.is_empty() || prefix.ends_with('.'));
        let (averages, raws): (Vec<&str>, Vec<&str>) = prefixes.partition(|prefix| is_average(prefix));
        let site = |prefix: &&str| Site::new(prefix, listing);
        match (raws.first().map(site), averages.first().map(site)) {
            (Some(raw), average) => {
                Some(Self { average: average.filter(|average| average.shape_of(first, listing) == raw.shape_of(first, listing)), raw })
            }
            (None, Some(average)) => Some(Self { raw: average, average: None }),
            (None, None) => None,
        }
    }

    /// Each with what is put before its names here.
    pub fn each(&self) -> impl Iterator<Item = (&Site, &'static str)> {
        std::iter::once((&self.raw, "")).chain(self.average.iter().map(|site| (site, "teacher.")))
    }

    /// Whether a word stands before the names of one of them.
    pub fn have_word(&self, word: &str) -> bool {
        self.each().any(|(site, _)| site.prefix.split('.').any(|part| part == word))
    }
}

/// Whether what stands before names has a word of running averages in it.
pub(super) fn is_average(prefix: &str) -> bool {
    prefix.split('.').any(|word| AVERAGES.contains(&word))
}

impl Site {
    /// What a file has below a prefix.
    pub fn new(prefix: &str, listing: &Listing) -> Self {
        let own = listing.shapes.range(prefix.to_owned()..).map(|(name, _)| name).take_while(|name| name.starts_with(prefix));
        let names = own.map(|name| (unchunked(&name[prefix.len()..]), name.clone())).collect();
        Self { prefix: prefix.to_owned(), names }
    }

    fn shape_of<'a>(&self, own: &str, listing: &'a Listing) -> Option<&'a Vec<usize>> {
        listing.shapes.get(self.names.get(own)?)
    }

    /// The file's name of a tensor of this network.
    pub fn name(&self, own: &str) -> Option<&String> {
        self.names.get(own)
    }

    /// Own names and the file's.
    pub fn names(&self) -> impl Iterator<Item = (&str, &String)> {
        self.names.iter().map(|(own, name)| (own.as_str(), name))
    }

    /// The first of these that the network has.
    pub fn first_of<'a>(&self, owns: &[&'a str]) -> Option<&'a str> {
        owns.iter().copied().find(|own| self.names.contains_key(*own))
    }

    /// Blocks below a name such as `blocks`: as many different numbers as follow it. What is called by a number beyond them is of no block,
    /// however large the number.
    pub fn num_blocks(&self, stem: &str) -> usize {
        let number = |own: &str| own.strip_prefix(stem)?.strip_prefix('.')?.split('.').next()?.parse::<usize>().ok();
        self.names.keys().filter_map(|own| number(own)).collect::<BTreeSet<_>>().len()
    }
}

/// DINOv2 keeps blocks in groups, `blocks.GROUP.BLOCK.…`, and counts them through all the same.
fn unchunked(own: &str) -> String {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match own.splitn(4, '.').collect::<Vec<_>>()[..] {
        ["blocks", group, block, rest] if is_number(group) && is_number(block) => format!("blocks.{block}.{rest}"),
        _ => own.to_owned(),
    }
}
