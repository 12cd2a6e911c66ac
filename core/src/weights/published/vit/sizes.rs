//! The sizes of a plain vision transformer, from the shapes of its tensors.

use super::super::listing::Listing;
use super::super::site::Site;
use super::PATCHES;

/// What shapes say of a network.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sizes {
    /// C
    pub channels: usize,
    /// P, in pixels.
    pub patch: usize,
    /// Patches down and across.
    pub grid: [usize; 2],
    /// D
    pub width: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Heads of each.
    pub heads: usize,
    /// That number is the usual one for the width; the file does not say it.
    pub guessed_heads: bool,
    /// The MLP's hidden width.
    pub hidden: usize,
    /// Tokens between the class token and the patches.
    pub registers: usize,
    /// What is in the position table before the patches: 0, 1 for the class token, or 2.
    pub placed: usize,
    /// Learned factors of every branch, by the name of the first.
    pub layer_scale: Option<[&'static str; 2]>,
    /// MAE's decoder.
    pub decoder: Option<DecoderSizes>,
}

/// The sizes of MAE's decoder.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DecoderSizes {
    /// Numbers of a token.
    pub width: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Heads of each.
    pub heads: usize,
    /// The MLP's hidden width.
    pub hidden: usize,
}

/// A table of more positions or a wider decoder is none.
const MOST: usize = 1 << 16;

impl Sizes {
    /// The sizes of a network.
    ///
    /// # Errors
    /// What makes it another kind of network than those that are understood.
    pub fn of(site: &Site, listing: &Listing) -> Result<Self, String> {
        let shape = |own: &str| site.name(own).and_then(|name| listing.shapes.get(name)).map(Vec::as_slice);
        let lacks = |own: &str, why: &str| format!("there is `{}{PATCHES}` and no `{own}` beside it: {why}", site.prefix);
        let &[width, channels, patch, across] = shape(PATCHES).unwrap_or_default() else {
            return Err(format!("`{PATCHES}` is {:?} instead of [width, channels, patch, patch]", shape(PATCHES).unwrap_or_default()));
        };
        if patch != across || patch == 0 || width == 0 || channels == 0 {
            return Err(format!("`{PATCHES}` is {:?}: patches must be square", [width, channels, patch, across]));
        }
        for table in ["rel_pos_bias.relative_position_bias_table", "blocks.0.attn.relative_position_bias_table"] {
            if site.name(table).is_some() {
                return Err(format!("`{table}`: relative positions are read from folders of Hugging Face alone"));
            }
        }
        if shape("cls_token") != Some(&[1, 1, width]) {
            return Err(lacks("cls_token", "networks without a class token are not understood"));
        }
        let registers = match site.first_of(&["register_tokens", "reg_token"]).and_then(shape) {
            Some(&[1, count, own]) if own == width => count,
            Some(other) => return Err(format!("its registers are {other:?}")),
            None => 0,
        };
        let distilled = usize::from(site.name("dist_token").is_some());
        let Some(&[1, places, own]) = shape("pos_embed") else { return Err(lacks("pos_embed", "positions must be a table")) };
        if own != width || places > MOST {
            return Err(format!("`pos_embed` is {:?}", [1, places, own]));
        }
        let square =
            |placed: usize| places.checked_sub(placed).map(usize::isqrt).filter(|&side| side > 0 && side * side + placed == places);
        let placed = [1 + distilled, 0].into_iter().find_map(|placed| Some((placed, square(placed)?)));
        let Some((placed, side)) = placed else {
            return Err(format!("`pos_embed` has {places} places, which are no class token and a square of patches"));
        };
        if distilled > 0 && (registers > 0 || placed != 2) {
            return Err("its distillation token has no place of its own".into());
        }
        let depth = site.num_blocks("blocks");
        let Some(&[hidden, _]) = shape("blocks.0.mlp.fc1.weight") else {
            return Err(lacks("blocks.0.mlp.fc1.weight", "blocks must have an attention and an MLP of two layers"));
        };
        let bounds = [
            ("width", width, 16_384),
            ("channels", channels, 64),
            ("patch", patch, 1024),
            ("blocks", depth, 256),
            ("hidden width", hidden, 1 << 18),
        ];
        if let Some((what, size, most)) = bounds.into_iter().find(|(_, size, most)| size > most) {
            return Err(format!("its {what} of {size} is beyond the {most} that are understood"));
        }
        let factors = [["ls1.gamma", "ls2.gamma"], ["gamma_1", "gamma_2"]];
        let (heads, guessed_heads) = heads(site, listing, width);
        Ok(Self {
            channels,
            patch,
            grid: [side; 2],
            width,
            depth,
            heads,
            guessed_heads,
            hidden,
            registers: registers + distilled,
            placed,
            layer_scale: factors.into_iter().find(|[first, _]| site.name(&format!("blocks.0.{first}")).is_some()),
            decoder: DecoderSizes::of(site, listing),
        })
    }
}

impl DecoderSizes {
    fn of(site: &Site, listing: &Listing) -> Option<Self> {
        let shape = |own: &str| site.name(own).and_then(|name| listing.shapes.get(name)).map(Vec::as_slice);
        let (Some(&[width, _]), depth) = (shape("decoder_embed.weight"), site.num_blocks("decoder_blocks")) else { return None };
        let hidden = match shape("decoder_blocks.0.mlp.fc1.weight") {
            Some(&[hidden, _]) => hidden,
            _ => width.saturating_mul(4),
        };
        if width == 0 || width > MOST || hidden > MOST || depth > MOST {
            return None;
        }
        // 16 heads of 32 numbers in all published ones.
        let heads = listing.count("decoder_num_heads").filter(|&heads| width.is_multiple_of(heads)).unwrap_or_else(|| fitting(width, 32));
        Some(Self { width, depth, heads, hidden })
    }
}

/// How many heads a block has, which no shape says, and whether that is a guess: 64 numbers each, but for ViT-H and the ViT-S of MoCo v3.
fn heads(site: &Site, listing: &Listing, width: usize) -> (usize, bool) {
    const OF_HUGE: (usize, usize) = (1280, 16);
    const OF_MOCO: usize = 12;
    if let Some(said) = listing.count("num_heads").filter(|&heads| width.is_multiple_of(heads)) {
        return (said, false);
    }
    let is_moco = ["base_encoder", "momentum_encoder"].iter().any(|word| site.prefix.split('.').any(|part| part == *word));
    match width {
        384 | 768 if is_moco => (OF_MOCO, false),
        width if width == OF_HUGE.0 => (OF_HUGE.1, true),
        width => (fitting(width, 64), true),
    }
}

/// As many heads as have `each` numbers, or the next fewer that divide the width.
fn fitting(width: usize, each: usize) -> usize {
    (1..=(width / each).max(1)).rev().find(|&heads| width.is_multiple_of(heads)).unwrap_or(1)
}
