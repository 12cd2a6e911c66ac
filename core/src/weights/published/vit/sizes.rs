//! The sizes of a plain vision transformer, from the shapes of its tensors.

use super::super::listing::Listing;
use super::super::site::Site;
use super::PATCHES;
use crate::backbone::vit::Relative;

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
    /// The MLP's hidden width, of the gate alone where there is one.
    pub hidden: usize,
    /// Where its layers are.
    pub mlp: Mlp,
    /// There is a class token.
    pub has_class_token: bool,
    /// Tokens between the class token and the patches.
    pub registers: usize,
    /// What is in the position table before the patches: 0, 1 for the class token, 2, or 1 and the registers. There may be no table.
    pub placed: Option<usize>,
    /// Tables of numbers for distances.
    pub relative: Relative,
    /// There are no such tables, and queries and keys are turned; the grid is the usual one then.
    pub rotary: bool,
    /// Keys have a bias: queries and values have not one each.
    pub key_bias: bool,
    /// Learned factors of every branch, by the name of the first.
    pub layer_scale: Option<[&'static str; 2]>,
    /// MAE's decoder.
    pub decoder: Option<DecoderSizes>,
}

/// Where the layers of an MLP are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mlp {
    /// Two, with a GELU between.
    Plain,
    /// One for a gate and what it lets through, and another.
    Packed([&'static str; 2]),
    /// One for the gate, one for what it lets through, and another.
    Apart([&'static str; 3]),
}

/// The sizes of MAE's decoder, or of I-JEPA's predictor.
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

/// Names of registers: DINOv2's, timm's, DINOv3's.
const REGISTERS: [&str; 3] = ["register_tokens", "reg_token", "storage_tokens"];
/// How many times more slowly pairs of a head's numbers turn than the first, in DINOv3's own files: of a quarter of them.
pub(super) const PERIODS: &str = "rope_embed.periods";
/// H = W of most networks whose files do not say it; smaller ones of small patches.
const USUAL_IMAGE: usize = 224;
const MOST_ACROSS: usize = 32;
/// A table of more positions or a wider decoder is none.
const MOST: usize = 1 << 16;
/// Numbers for distances, one table for all blocks.
pub(super) const SHARED: &str = "rel_pos_bias.relative_position_bias_table";
/// The first of one table for each block.
const OWN: &str = "blocks.0.attn.relative_position_bias_table";

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
        if let Some((own, _)) = site.names().find(|(own, _)| own.contains(".attn.pool_")) {
            return Err(format!("`{own}`: attention to pooled tokens, as MViT has it, is not understood"));
        }
        let has_class_token = match shape("cls_token") {
            None => false,
            Some(&[1, 1, own]) if own == width => true,
            Some(other) => return Err(format!("`cls_token` is {other:?} instead of {:?}", [1, 1, width])),
        };
        let registers = match site.first_of(&REGISTERS).and_then(shape) {
            Some(&[1, count, own]) if own == width => count,
            Some(other) => return Err(format!("its registers are {other:?}")),
            None => 0,
        };
        let (relative, table) = match [SHARED, OWN].map(shape) {
            [None, None] => (Relative::Absent, None),
            [Some(table), None] => (Relative::Shared, Some(table)),
            [None, Some(table)] => (Relative::Own, Some(table)),
            _ => return Err(format!("there are both `{SHARED}` and `{OWN}`, and Maskroom adds one kind of bias")),
        };
        let distilled = usize::from(site.name("dist_token").is_some());
        if !has_class_token && (registers + distilled > 0 || table.is_some()) {
            return Err(lacks("cls_token", "registers and tables of distances are understood beside a class token alone"));
        }
        let factors = [["ls1.gamma", "ls2.gamma"], ["gamma_1", "gamma_2"]];
        let layer_scale = factors.into_iter().find(|[first, _]| site.name(&format!("blocks.0.{first}")).is_some());
        if registers > 0 && table.is_some() {
            return Err("it has registers beside tables of distances, and nothing tells how far these are from patches".into());
        }
        // timm's files of DINOv3 tell no more of it than that they have registers and factors and no table.
        let has_table = shape("pos_embed").is_some() || table.is_some();
        let rotary = !has_table && (shape(PERIODS).is_some() || (registers > 0 && layer_scale.is_some()));
        // Where tables have room for it; of other images, nothing but squares can be told by their number of patches.
        let said =
            listing.image().map(|image| image.map(|side| side / patch)).filter(|grid| grid.iter().all(|side| (1..=MOST).contains(side)));
        let (placed, grid) = match (shape("pos_embed"), table) {
            _ if rotary => (None, [(USUAL_IMAGE / patch).clamp(1, MOST_ACROSS); 2]),
            (Some(&[1, places, own]), _) if own == width && places <= MOST => {
                let (placed, grid) = in_table(places, has_class_token, [distilled, registers], said)?;
                (Some(placed), grid)
            }
            (Some(other), _) => return Err(format!("`pos_embed` is {other:?}")),
            (None, Some(&[rows, _])) if rows <= 4 * MOST => (None, of_distances(rows, said)?),
            (None, Some(other)) => return Err(format!("its table of distances is {other:?}")),
            (None, None) => return Err(lacks("pos_embed", "positions must be in one table, or distances in tables, or be DINOv3's")),
        };
        if distilled > 0 && (registers > 0 || placed != Some(2)) {
            return Err("its distillation token has no place of its own".into());
        }
        let depth = site.num_blocks("blocks");
        let Some((mlp, hidden)) = Mlp::of(shape) else {
            return Err(lacks("blocks.0.mlp.fc1.weight", "blocks must have an attention and an MLP of two layers"));
        };
        if matches!(mlp, Mlp::Apart(_)) && !rotary {
            return Err("it has gates and a table of positions, as EVA-02 has, which turns queries and keys in ways of its own".into());
        }
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
        let (heads, guessed_heads) = match table.or(shape(PERIODS).filter(|_| rotary)) {
            Some(&[quarter]) if rotary && quarter > 0 && quarter < width && width.is_multiple_of(4 * quarter) => {
                (width / (4 * quarter), false)
            }
            Some(other) if rotary => {
                return Err(format!("`{PERIODS}` is {other:?}: a head has four times as many numbers, and they divide {width}"));
            }
            Some(&[_, heads]) if heads > 0 && width.is_multiple_of(heads) => (heads, false),
            Some(other) => return Err(format!("its table of distances is {other:?}, and the second side must divide the width {width}")),
            None => heads(site, listing, width, rotary),
        };
        // 16 heads of 32 numbers in all published ones.
        let decoder_heads = |width: usize| {
            listing.count("decoder_num_heads").filter(|&heads| width.is_multiple_of(heads)).unwrap_or_else(|| fitting(width, 32))
        };
        Ok(Self {
            channels,
            patch,
            grid,
            width,
            depth,
            heads,
            guessed_heads,
            hidden,
            mlp,
            has_class_token,
            registers: registers + distilled,
            placed,
            relative,
            rotary,
            key_bias: !["q_bias", "qkv.bias_mask"].iter().any(|part| site.name(&format!("blocks.0.attn.{part}")).is_some()),
            layer_scale,
            decoder: DecoderSizes::of(site, listing, "decoder", decoder_heads),
        })
    }
}

/// Places in front of the patches in a table of positions, and patches down and across: those that the file says, where they fill it.
fn in_table(
    places: usize,
    has_class_token: bool,
    [distilled, registers]: [usize; 2],
    said: Option<[usize; 2]>,
) -> Result<(usize, [usize; 2]), String> {
    let (usual, lead) = if has_class_token {
        ([1 + distilled, 0, 1 + registers], "no class token and a square of patches")
    } else {
        ([0; 3], "no square of patches, without a class token")
    };
    let as_said = said.and_then(|[rows, cols]| Some((usual.into_iter().find(|placed| placed + rows * cols == places)?, [rows, cols])));
    let square = |placed: usize| {
        let side = places.checked_sub(placed).map(usize::isqrt).filter(|&side| side > 0 && side * side + placed == places)?;
        Some((placed, [side; 2]))
    };
    let found = as_said.or_else(|| usual.into_iter().find_map(square));
    found.ok_or_else(|| format!("`pos_embed` has {places} places, which are {lead}"))
}

/// Patches down and across, by the rows of a table: one for each distance, and three for pairs with the class token.
fn of_distances(rows: usize, said: Option<[usize; 2]>) -> Result<[usize; 2], String> {
    const WITH_CLASS: usize = 3;
    let as_said = said.filter(|grid| grid.iter().map(|side| 2 * side - 1).product::<usize>() + WITH_CLASS == rows);
    let distances = rows.checked_sub(WITH_CLASS).map(usize::isqrt).filter(|&side| side * side + WITH_CLASS == rows && side % 2 == 1);
    as_said
        .or(distances.map(|side| [side.div_ceil(2); 2]))
        .ok_or_else(|| format!("its table of distances has {rows} rows, which are those of no square of patches"))
}

impl Mlp {
    /// That of the first block, and its hidden width.
    fn of<'a>(shape: impl Fn(&str) -> Option<&'a [usize]>) -> Option<(Self, usize)> {
        let sides = |name: &str| match shape(&format!("blocks.0.mlp.{name}.weight"))? {
            &[rows, cols] => Some([rows, cols]),
            _ => None,
        };
        if let Some([rows, _]) = sides("w12") {
            return Some((Self::Packed(["w12", "w3"]), rows / 2));
        }
        let apart = [["w1", "w2", "w3"], ["fc1_g", "fc1_x", "fc2"]].into_iter().find_map(|names| Some((names, sides(names[0])?)));
        if let Some((names, [rows, _])) = apart {
            return Some((Self::Apart(names), rows));
        }
        let [rows, _] = sides("fc1")?;
        let is_packed = rows > 1 && sides("fc2").is_some_and(|[_, cols]| Some(rows) == cols.checked_mul(2));
        Some(if is_packed { (Self::Packed(["fc1", "fc2"]), rows / 2) } else { (Self::Plain, rows) })
    }
}

impl DecoderSizes {
    /// The sizes of a transformer whose names begin with `stem`, if there is one.
    pub fn of(site: &Site, listing: &Listing, stem: &str, heads: impl FnOnce(usize) -> usize) -> Option<Self> {
        let shape = |own: &str| site.name(&format!("{stem}_{own}")).and_then(|name| listing.shapes.get(name)).map(Vec::as_slice);
        let (Some(&[width, _]), depth) = (shape("embed.weight"), site.num_blocks(&format!("{stem}_blocks"))) else { return None };
        let hidden = match shape("blocks.0.mlp.fc1.weight") {
            Some(&[hidden, _]) => hidden,
            _ => width.saturating_mul(4),
        };
        if width == 0 || width > MOST || hidden > MOST || depth > MOST {
            return None;
        }
        Some(Self { width, depth, heads: heads(width), hidden })
    }
}

/// How many heads a block has, which no shape says, and whether that is a guess: 64 numbers each, but for ViT-H, ViT-g, ViT-G, the ViT-S of
/// MoCo v3 and the largest DINOv3.
fn heads(site: &Site, listing: &Listing, width: usize, rotary: bool) -> (usize, bool) {
    const OF_LARGEST: (usize, usize) = (4096, 32);
    const OF_HUGE: ([usize; 3], usize) = ([1280, 1408, 1664], 16);
    const OF_MOCO: usize = 12;
    if let Some(said) = listing.count("num_heads").filter(|&heads| width.is_multiple_of(heads)) {
        return (said, false);
    }
    let is_moco = ["base_encoder", "momentum_encoder"].iter().any(|word| site.prefix.split('.').any(|part| part == *word));
    match width {
        384 | 768 if is_moco => (OF_MOCO, false),
        width if rotary && width == OF_LARGEST.0 => (OF_LARGEST.1, true),
        width if !rotary && OF_HUGE.0.contains(&width) => (OF_HUGE.1, true),
        width => (fitting(width, 64), true),
    }
}

/// As many heads as have `each` numbers, or the next fewer that divide the width.
pub(super) fn fitting(width: usize, each: usize) -> usize {
    (1..=(width / each).max(1)).rev().find(|&heads| width.is_multiple_of(heads)).unwrap_or(1)
}
