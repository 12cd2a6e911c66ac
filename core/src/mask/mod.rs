//! Which patches are hidden: one strategy per file, all behind [`MaskStrategy`]. Polarity everywhere: `true` = masked, to be predicted.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Problem, Result};
use crate::random::Stream;
use crate::registry;

/// How to choose the patches that are hidden from the encoder and have to be predicted.
pub trait MaskStrategy: Send + Sync + fmt::Debug {
    /// One mask of `grid`, a function of the stream alone. Of a grid that [`MaskStrategy::check`] objects to it gives some mask of the
    /// right size, possibly one that hides everything or nothing.
    fn sample(&self, grid: Grid, stream: &mut Stream) -> Mask;

    /// The same with what all masks of a batch have in common drawn from a stream that they share. Most have nothing in common.
    fn sample_alike(&self, grid: Grid, shared: &mut Stream, stream: &mut Stream) -> Mask {
        let _ = shared;
        self.sample(grid, stream)
    }

    /// Why this strategy cannot mask `grid` (nothing would be masked, nothing visible, sides do not divide), with cures.
    fn check(&self, grid: Grid) -> Vec<Problem>;

    /// The fewest and the most masked patches over all draws; equal where the count is fixed. Of a grid that passes the check.
    fn num_masked(&self, grid: Grid) -> (usize, usize);
}

registry! {
    /// Every masking strategy.
    MASKS: dyn MaskStrategy { random, block, block_paper, grid, square, patch_aligned, uniform, multi_block }
}

/// Makes the strategy `kind` with `knob=value` settings from a command line; knobs that are not named take their defaults.
///
/// # Errors
/// [`Error::Usage`] for an unknown kind, [`Error::Recipe`] for unknown knobs and values out of range.
pub fn build(kind: &str, set: &[(String, String)]) -> Result<Box<dyn MaskStrategy>> {
    registry::make(MASKS, "mask", kind, set)
}

/// The patches of one sample: N = frames · rows · cols of them, counted frame by frame and row by row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// T: steps in time; 1 for a still image.
    pub frames: usize,
    /// H / P.
    pub rows: usize,
    /// W / P.
    pub cols: usize,
}

impl Grid {
    /// The most patches that a grid written as text may have.
    const MAX_LEN: usize = 1 << 22;

    /// The grid of a still image.
    pub const fn still(rows: usize, cols: usize) -> Self {
        Self { frames: 1, rows, cols }
    }

    /// N: the number of patches.
    pub const fn len(self) -> usize {
        self.frames * self.plane()
    }

    /// Whether there is no patch at all.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The number of patches of one frame.
    pub const fn plane(self) -> usize {
        self.rows * self.cols
    }
}

/// `14x14`, or `14x14x8` for eight frames.
impl FromStr for Grid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |why: &str| {
            Error::Usage(format!("`{text}` is no grid: {why}; write rows x columns, such as 14x14, or 14x14x8 for eight frames"))
        };
        let sides: Vec<usize> = text
            .split(['x', 'X', '×'])
            .map(|side| side.trim().parse().map_err(|_| refuse("its sides are not whole numbers")))
            .collect::<Result<_>>()?;
        let (rows, cols, frames) = match sides[..] {
            [rows, cols] => (rows, cols, 1),
            [rows, cols, frames] => (rows, cols, frames),
            _ => return Err(refuse("it does not have two or three sides")),
        };
        match rows.checked_mul(cols).and_then(|plane| plane.checked_mul(frames)) {
            Some(0) => Err(refuse("it holds no patch")),
            Some(len) if len <= Self::MAX_LEN => Ok(Self { frames, rows, cols }),
            _ => Err(refuse("it has more than four million patches")),
        }
    }
}

impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.rows, self.cols)?;
        if self.frames == 1 { Ok(()) } else { write!(f, "x{}", self.frames) }
    }
}

/// What one sample hides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    /// The patches it is about.
    pub grid: Grid,
    /// `[N]`, in the order frame, row, column: true = masked, to be predicted.
    pub masked: Vec<bool>,
    /// `[N]`: true = visible, but replaced by the mask token (UM-MAE's secondary masking). Never overlaps `masked`.
    pub secondary: Vec<bool>,
    /// `[N]`: true = neither shown nor predicted (I-JEPA). Never overlaps `masked`.
    pub left_out: Vec<bool>,
    /// What is predicted block by block, each by its patches in raster order (I-JEPA); empty: everything at once.
    pub blocks: Vec<Vec<usize>>,
    /// `[N]`: the order in which an encoder sees the patches, the visible ones first. For `random` the argsort of the noise, for the
    /// others raster order among the visible, among those left out, and among the masked.
    pub ids_shuffle: Vec<usize>,
}

impl Mask {
    /// A mask that hides `masked` (`[N]`) and keeps raster order.
    pub fn in_raster_order(grid: Grid, masked: Vec<bool>) -> Self {
        let (hidden, mut ids_shuffle): (Vec<usize>, Vec<usize>) = (0..masked.len()).partition(|&patch| masked[patch]);
        ids_shuffle.extend(hidden);
        Self::in_order(grid, masked, ids_shuffle)
    }

    /// A mask that hides `masked` (`[N]`) and orders patches as `ids_shuffle`, visible ones first.
    fn in_order(grid: Grid, masked: Vec<bool>, ids_shuffle: Vec<usize>) -> Self {
        let none = vec![false; masked.len()];
        Self { grid, masked, secondary: none.clone(), left_out: none, blocks: Vec::new(), ids_shuffle }
    }

    /// A mask that shows the patches `shown` of a frame, and has `blocks` predicted one by one; the same in every frame.
    pub(crate) fn of_blocks(grid: Grid, blocks: &[Vec<usize>], shown: &[usize]) -> Self {
        let (mut masked, mut left_out) = (vec![false; grid.len()], vec![true; grid.len()]);
        let in_all = |patches: &[usize]| -> Vec<usize> {
            (0..grid.frames).flat_map(|frame| patches.iter().map(move |patch| frame * grid.plane() + patch)).collect()
        };
        let blocks: Vec<Vec<usize>> = blocks.iter().map(|block| in_all(block)).collect();
        let mut ids_shuffle = Vec::with_capacity(grid.len());
        ids_shuffle.extend(in_all(shown));
        blocks.iter().flatten().for_each(|&patch| masked[patch] = true);
        ids_shuffle.iter().chain(blocks.iter().flatten()).for_each(|&patch| left_out[patch] = false);
        ids_shuffle.extend((0..grid.len()).filter(|&patch| left_out[patch]));
        ids_shuffle.extend((0..grid.len()).filter(|&patch| masked[patch]));
        Self { grid, secondary: vec![false; grid.len()], masked, left_out, blocks, ids_shuffle }
    }

    /// A mask that hides the same patches `plane` (`[rows · cols]`) in every frame.
    fn same_in_every_frame(grid: Grid, plane: &[bool]) -> Self {
        Self::in_raster_order(grid, plane.repeat(grid.frames))
    }

    /// `[N]`: where in the encoder's order each patch went; the inverse of `ids_shuffle`.
    pub fn ids_restore(&self) -> Vec<usize> {
        let mut restore = vec![0; self.ids_shuffle.len()];
        for (place, &patch) in self.ids_shuffle.iter().enumerate() {
            restore[patch] = place;
        }
        restore
    }

    /// `[V]`: the visible patches in the encoder's order.
    pub fn ids_keep(&self) -> &[usize] {
        &self.ids_shuffle[..self.num_visible()]
    }

    /// How many patches are masked.
    pub fn num_masked(&self) -> usize {
        self.masked.iter().filter(|&&masked| masked).count()
    }

    /// V: how many patches are visible, those replaced by the mask token included.
    pub fn num_visible(&self) -> usize {
        self.masked.len() - self.num_masked() - self.num_left_out()
    }

    /// How many patches are neither shown nor predicted.
    pub fn num_left_out(&self) -> usize {
        self.left_out.iter().filter(|&&out| out).count()
    }

    /// `[N]`: true where nothing is shown.
    pub fn unseen(&self) -> Vec<bool> {
        self.masked.iter().zip(self.withheld()).map(|(&masked, withheld)| masked || withheld).collect()
    }

    /// `[N]`: true where the image is neither shown nor asked for: left out, or masked again.
    pub fn withheld(&self) -> Vec<bool> {
        self.left_out.iter().zip(&self.secondary).map(|(&out, &again)| out || again).collect()
    }

    /// How many visible patches are replaced by the mask token.
    pub fn num_secondary(&self) -> usize {
        self.secondary.iter().filter(|&&replaced| replaced).count()
    }
}

/// The objection to a strategy that would mask `masked` of `total` things (patches, units), if that is none or all of them.
fn none_or_all(key: &str, masked: usize, total: usize, things: &str) -> Vec<Problem> {
    if masked == 0 {
        vec![Problem::new(
            key,
            format!("masks none of the {total} {things}"),
            "raise it, or take a finer grid (a larger image or a smaller patch)",
        )]
    } else if masked >= total {
        let what = format!("leaves none of the {total} {things} visible");
        vec![Problem::new(key, what, "lower it, or take a finer grid (a larger image or a smaller patch)")]
    } else {
        Vec::new()
    }
}

/// The objection to a grid whose rows and columns are not both multiples of `side`, which may be a choice or not.
fn undivided(key: &str, side: usize, is_choice: bool, grid: Grid) -> Vec<Problem> {
    if side > 0 && grid.rows.is_multiple_of(side) && grid.cols.is_multiple_of(side) {
        return Vec::new();
    }
    let what = format!("a grid of {}x{} patches does not divide into squares of {side}x{side}", grid.rows, grid.cols);
    let divisors: Vec<String> = (2..=grid.rows.min(grid.cols))
        .filter(|&d| grid.rows.is_multiple_of(d) && grid.cols.is_multiple_of(d))
        .map(|d| d.to_string())
        .collect();
    let cure = if divisors.is_empty() || !is_choice {
        format!("choose an image whose sides are multiples of {side} patches")
    } else {
        format!("choose a side of {}, or an image whose sides are multiples of {side} patches", divisors.join(", "))
    };
    vec![Problem::new(key, what, cure)]
}

/// The whole number nearest to `share` of `total`; halves go to the even neighbor, as Python's `round` has it.
fn nearest_count(total: usize, share: f64) -> usize {
    (total as f64 * share).round_ties_even() as usize
}

#[cfg(test)]
mod tests;
