//! What a network attends to on one image, in the order in which the window draws it.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use egui::ColorImage;
use maskroom_core::dataset::Dataset;
use maskroom_core::inspect::encoder::{AttentionMaps, Images, Query, attention_of_every_block, attention_of_stage};
use maskroom_core::inspect::look::{Fit, Prepared, prepare, shown as as_shown};
use maskroom_core::inspect::strips::to_picture;
use maskroom_widgets::HeatRows;

use super::head_figures::{self, HeadFigures};
use super::weights_shelf::OpenedWeights;

/// Images of more patches are cropped to the network's own size: attention grows with the square of their number.
pub const MAX_PATCHES: usize = 1600;
/// Maps of all patches are kept where they fit; each number is kept with its rank.
const MAX_ROWS_BYTES: usize = 64 << 20;
const CELL_BYTES: usize = 8;

/// An image as seen by certain weights.
#[derive(Clone)]
pub struct Look {
    /// All layers and heads, asked from the class token.
    pub overview: Arc<Overview>,
    /// The layer of `rows`, counted within the stage.
    pub layer: usize,
    /// What each patch of that layer attends to: a query per patch; head after head, then their mean. `None` where that is too much.
    pub rows: Option<HeatRows>,
}

/// What stays the same when another layer is chosen.
pub struct Overview {
    /// Training steps behind the weights; none before training.
    pub step: Option<u64>,
    /// The image's index in the data set.
    pub sample: usize,
    /// The image as the network sees it.
    pub image: Arc<ColorImage>,
    /// Stages of the network; a plain transformer has one.
    pub stages: usize,
    /// The stage that all this is of.
    pub stage: usize,
    /// Whether it has a class token; without one, the mean over all patches stands for what that attends to.
    pub has_class_token: bool,
    /// Rows and columns of its patches.
    pub grid: [usize; 2],
    /// Its first block, counted over all stages.
    pub first_layer: usize,
    /// Its blocks.
    pub layers: usize,
    /// Heads of each block.
    pub heads: usize,
    /// Whether only the middle of the image is shown because all of it has too many patches.
    pub cropped: bool,
    /// From the class token: a query per layer; head after head, then their mean.
    pub class_rows: HeatRows,
    /// Rollout: the class token, then every patch where that is not too much. One head. A pyramid, whose blocks do not all see the same
    /// patches, has none.
    pub rollout: Option<HeatRows>,
    /// Layer after layer, head after head.
    pub figures: Vec<HeadFigures>,
    /// The numbers that the network was shown.
    pub(super) shown: Images,
}

impl Overview {
    /// Shows an image to a network, and keeps what the blocks of a stage attend to, of one layer of it every patch.
    pub(super) fn new(
        weights: &OpenedWeights,
        dataset: &Dataset,
        sample: usize,
        stage: usize,
        layer: usize,
    ) -> Result<(Self, Option<HeatRows>)> {
        let recipe = &weights.recipe;
        let patch = recipe.backbone.patch;
        let num_patches = |image: &Prepared| (image.height / patch) * (image.width / patch);
        let mut image = prepare(dataset, sample, recipe, Fit::Keep)?;
        let cropped = num_patches(&image) > MAX_PATCHES.max(recipe.grid().len());
        if cropped {
            image = prepare(dataset, sample, recipe, Fit::Crop)?;
        }
        let picture = to_picture(&image.values, image.height, image.width, recipe)?;
        let shown = Images { values: as_shown(recipe, image.values), batch: 1, height: image.height, width: image.width };
        let config = weights.network.encoder().config();
        let (stages, blocks) = (config.num_stages(), config.blocks_of(stage));
        let (mut class_rows, mut figures, mut rows, mut grid, mut has_class_token) = (Vec::new(), Vec::new(), None, [0; 2], false);
        let keep = |index: usize, maps: AttentionMaps| {
            (grid, has_class_token) = (maps.grid, maps.prefix > 0);
            class_rows.extend(with_mean(&maps, Query::Cls)?);
            figures.extend(head_figures::of_layer(&maps));
            if index == blocks.start + layer {
                rows = patch_rows(&maps)?;
            }
            Ok(())
        };
        let rollout = if stages == 1 {
            Some(rollout_rows(&attention_of_every_block(&weights.network, &shown, keep)?)?)
        } else {
            attention_of_stage(&weights.network, &shown, stage, keep)?;
            None
        };
        let (first_layer, layers, heads) = (blocks.start, blocks.len(), config.heads_of(blocks.start));
        let overview = Self {
            step: weights.step,
            sample,
            image: Arc::new(ColorImage::from_rgb([picture.width, picture.height], &picture.rgb)),
            stages,
            stage,
            has_class_token,
            grid,
            first_layer,
            layers,
            heads,
            cropped,
            class_rows: HeatRows::from_values(&class_rows, layers, heads + 1, grid).context("the network has no attention")?,
            rollout,
            figures,
            shown,
        };
        Ok((overview, rows))
    }

    /// Bytes in memory, about.
    pub(super) fn bytes(&self) -> usize {
        bytes_of(&self.class_rows) + self.rollout.as_ref().map_or(0, bytes_of) + self.shown.values.len() * 4 + self.image.pixels.len() * 4
    }

    /// Whether every patch can be asked, not only the class token.
    pub fn has_patch_rows(&self) -> bool {
        rows_fit(self.heads + 1, self.grid)
    }

    /// The figures of a head.
    pub fn figures_of(&self, layer: usize, head: usize) -> Option<HeadFigures> {
        self.figures.get(layer * self.heads + head).copied().filter(|_| head < self.heads)
    }
}

/// Bytes of maps in memory.
pub(super) fn bytes_of(rows: &HeatRows) -> usize {
    let [down, across] = rows.grid();
    rows.num_queries() * rows.num_heads() * down * across * CELL_BYTES
}

/// What every patch of a layer attends to, if that fits.
pub(super) fn patch_rows(maps: &AttentionMaps) -> maskroom_core::error::Result<Option<HeatRows>> {
    if !rows_fit(maps.heads + 1, maps.grid) {
        return Ok(None);
    }
    let [rows, cols] = maps.grid;
    let mut values = Vec::with_capacity((maps.heads + 1) * (rows * cols).pow(2));
    for patch in 0..rows * cols {
        values.extend(with_mean(maps, Query::Patch(patch / cols, patch % cols))?);
    }
    Ok(HeatRows::from_values(&values, rows * cols, maps.heads + 1, maps.grid))
}

fn rows_fit(heads: usize, [rows, cols]: [usize; 2]) -> bool {
    heads * (rows * cols).pow(2) * CELL_BYTES <= MAX_ROWS_BYTES
}

/// The maps of all heads, then their mean.
fn with_mean(maps: &AttentionMaps, query: Query) -> maskroom_core::error::Result<Vec<f32>> {
    let num_patches = maps.grid[0] * maps.grid[1];
    let mut values = Vec::with_capacity((maps.heads + 1) * num_patches);
    let mut mean = vec![0.0; num_patches];
    for head in 0..maps.heads {
        let map = maps.query(0, head, query)?;
        values.extend_from_slice(&map);
        mean.iter_mut().zip(map.iter()).for_each(|(sum, value)| *sum += value / maps.heads as f32);
    }
    values.extend(mean);
    Ok(values)
}

fn rollout_rows(rolled: &AttentionMaps) -> Result<HeatRows> {
    let [rows, cols] = rolled.grid;
    let mut values = rolled.query(0, 0, Query::Cls)?.to_vec();
    if rows_fit(1, rolled.grid) {
        for patch in 0..rows * cols {
            values.extend_from_slice(&rolled.query(0, 0, Query::Patch(patch / cols, patch % cols))?);
        }
    }
    HeatRows::from_values(&values, values.len() / (rows * cols).max(1), 1, rolled.grid).context("the image has no patches")
}
