//! What the parts of a residual network are called: as torchvision names them, or by their places in a `Sequential` of its children.

use super::super::listing::Listing;
use super::super::site::Sites;

/// Names of parts.
#[derive(Debug)]
pub(super) struct Layout {
    /// The stem's convolution.
    pub conv1: &'static str,
    /// The norm after it.
    pub bn1: &'static str,
    /// The four stages.
    pub stages: [&'static str; 4],
    /// Nothing stands between stem and stages that could be a maximum.
    pub unpooled: bool,
    /// What names of its parts begin with; another network has parts here that are not known.
    pub parts: &'static [&'static str],
}

/// torchvision's, and `Sequential`s of its children with the maximum and without. One without the stem's activation too, whose stages begin
/// at 2, would be another network.
static LAYOUTS: [Layout; 3] = [
    Layout {
        conv1: "conv1",
        bn1: "bn1",
        stages: ["layer1", "layer2", "layer3", "layer4"],
        unpooled: false,
        parts: &["conv", "bn", "layer", "stem", "norm", "attnpool"],
    },
    // First, because what is the second stage here begins as the first of the other does.
    in_places(["3", "4", "5", "6"], true),
    in_places(["4", "5", "6", "7"], false),
];

const fn in_places(stages: [&'static str; 4], unpooled: bool) -> Layout {
    Layout { conv1: "0", bn1: "1", stages, unpooled, parts: &["0.", "1.", "2.", "3.", "4.", "5.", "6.", "7."] }
}

/// Names that the shortcut of a block goes by.
pub(super) const SHORTCUTS: [&str; 2] = ["downsample", "shortcut"];

impl Layout {
    /// That of a file's networks, and where they are.
    pub fn of(listing: &Listing) -> Option<(&'static Self, Sites)> {
        LAYOUTS.iter().find_map(|layout| Some((layout, Sites::of(listing, &layout.first())?)))
    }

    /// What stands before names of other networks in a file than those at the sites.
    pub fn copies(&self, sites: &Sites, listing: &Listing) -> Vec<String> {
        let first = self.first();
        let prefixes = listing.shapes.keys().filter_map(|name| name.strip_suffix(&first)).map(str::to_owned);
        prefixes.filter(|prefix| sites.each().all(|(site, _)| site.prefix != *prefix)).collect()
    }

    /// A tensor that every network has, and once.
    fn first(&self) -> String {
        format!("{}.0.conv1.weight", self.stages[0])
    }
}
