//! What one step of a masked method is made from, on the host: the visible patches, the order of tokens, and the rows to be predicted.
//!
//! Attention does not care about the order of tokens, so nothing is ever shuffled back: each sample's tokens stand in the order of its
//! `ids_shuffle`, visible ones first, and take their positions with them. Dropping, restoring and picking the masked ones are then slices.
//! Where the encoder is shown everything, and knows places by where they stand, tokens are in raster order.

use burn::tensor::{Device, Int, Tensor, TensorData};
use rayon::prelude::*;

use super::Task;
use crate::backbone::compact::Compact;
use crate::backbone::patch_embed::patchify;
use crate::error::Result;
use crate::kernel::cube::Order;
use crate::mask::Mask;

/// The geometry of a batch of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageShape {
    /// H in pixels.
    pub height: usize,
    /// W in pixels.
    pub width: usize,
    /// C
    pub channels: usize,
    /// P in pixels.
    pub patch: usize,
}

impl ImageShape {
    /// Patches down and across.
    pub fn grid(&self) -> [usize; 2] {
        [self.height / self.patch, self.width / self.patch]
    }

    /// N
    pub fn num_patches(&self) -> usize {
        self.grid()[0] * self.grid()[1]
    }

    /// P·P·C
    pub fn patch_values(&self) -> usize {
        self.patch * self.patch * self.channels
    }

    /// H·W·C
    pub fn image_values(&self) -> usize {
        self.height * self.width * self.channels
    }
}

/// Where the class token in front of a sequence comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lead {
    /// It is learned, and the sequence ends with what is visible.
    Learned,
    /// It is the first of so many rows before the visible ones, and the sequence goes on to all patches.
    Rows(usize),
}

/// What an encoder is given of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// The visible patches.
    Visible,
    /// Every patch; those that are hidden are known.
    Everything {
        /// Every patch is predicted, whether it counts or not, because the network cannot leave any out.
        predicts_all: bool,
    },
    /// The visible units, one of each cell of 2×2, packed into a map of half the size.
    Packed {
        /// Side of the encoder's patches in pixels, of which a unit consists.
        patch: usize,
        /// Decoders add positions in raster order to tokens that are in the packed map's, as UM-MAE's released code does.
        official_order: bool,
    },
}

/// One batch, ready to be uploaded. Rows of `predicted`, `targets` and `weights` belong together; R of them are predicted of each sample.
#[derive(Debug, Clone)]
pub struct MaskedBatch {
    /// B
    pub batch: usize,
    /// N: what is masked and predicted as a whole, patches or units of several.
    pub num_patches: usize,
    /// The same down and across.
    pub units: [usize; 2],
    /// V: the smallest count of visible patches in the batch; what a sample shows beyond it, evenly spread, is not encoded, and counts only
    /// if all patches do.
    pub visible: usize,
    /// The first of all patches, in their order, that is predicted: V, or 0 if visible patches are predicted too.
    pub first_predicted: usize,
    /// Blocks that are predicted one by one, and patches of each, where the masks ask for that: of all blocks as many patches as the
    /// smallest has.
    pub blocks: Option<[usize; 2]>,
    /// What is visible of each image where it is packed.
    pub compact: Option<Compact>,
    /// The raster index of every row: visible ones first, as in `ids_shuffle` of each sample or as a packed map has them. `[B, N]`
    pub order: Vec<i32>,
    /// The raster index of every predicted row: what comes in `order` from `first_predicted` on, or block after block. `[B, R]`
    pub predicted: Vec<i32>,
    /// `[B, R, row width]`; empty where a teacher makes them.
    pub targets: Vec<f32>,
    /// The same from a teacher, where it computes.
    taught: Option<Tensor<3>>,
    /// 1 where a row counts. `[B, R]`
    pub weights: Vec<f32>,
    /// `[B, n, P·P·C]`: what the encoder is given.
    patches: Vec<f32>,
    /// 1 where it must not see what it is given. `[B, n]`
    hidden: Vec<f32>,
    /// The order of positions, where it is not that of rows. `[B, N]`
    official_order: Option<Vec<i32>>,
    values: usize,
    row_width: usize,
}

impl MaskedBatch {
    /// Shapes: `images [B, H, W, C]`, normalized; one mask per image.
    ///
    /// # Errors
    /// If the masks cannot be packed and have to be, or a teacher fails.
    pub fn new(task: &Task, images: &[f32], masks: &[Mask], predict_visible: bool) -> Result<Self> {
        let (shape, batch) = (task.shape, masks.len());
        let num_patches = shape.num_patches();
        let (values, width) = (shape.patch_values(), task.output().row_width());
        let visible = masks.iter().map(Mask::num_visible).min().unwrap_or(0);
        let in_raster = matches!(task.feed, Feed::Everything { predicts_all } if predicts_all || predict_visible);
        let first_predicted = if predict_visible || in_raster { 0 } else { visible };
        let blocks = if task.feed == Feed::Visible { common_blocks(masks) } else { None };
        let rows = blocks.map_or(num_patches - first_predicted, |[count, size]| count * size);
        let shown = task.shown(images);
        let packed = match task.feed {
            Feed::Packed { patch, official_order } => {
                Some(Packed::new(shape, shown.as_deref().unwrap_or(images), masks, patch, official_order)?)
            }
            _ => None,
        };
        let given = match task.feed {
            Feed::Visible => visible,
            Feed::Everything { .. } => num_patches,
            Feed::Packed { .. } => 0,
        };
        let taught = task.taught(images)?;
        let asked = if taught.is_some() { 0 } else { width };
        let mut this = Self {
            batch,
            num_patches,
            units: shape.grid(),
            visible,
            first_predicted,
            blocks,
            predicted: vec![0; batch * rows],
            order: vec![0; batch * num_patches],
            targets: vec![0.0; batch * rows * asked],
            taught: None,
            weights: vec![0.0; batch * rows],
            patches: vec![0.0; batch * given * values],
            hidden: vec![0.0; batch * given],
            compact: None,
            official_order: None,
            values,
            row_width: width,
        };
        let order_of = |mask: &Mask, sample: usize| match &packed {
            Some(packed) => packed.order(mask, sample),
            None if in_raster => (0..num_patches).collect(),
            None => order_showing(mask, visible),
        };
        let seen = shown.as_deref().unwrap_or(images).par_chunks_exact(shape.image_values());
        let samples = (images.par_chunks_exact(shape.image_values()), seen, masks.par_iter().enumerate());
        let encoded = (chunks(&mut this.patches, given * values, batch), chunks(&mut this.hidden, given, batch));
        let predicted = (
            (this.order.par_chunks_exact_mut(num_patches), chunks(&mut this.predicted, rows, batch)),
            chunks(&mut this.targets, rows * asked, batch),
            chunks(&mut this.weights, rows, batch),
        );
        (samples, encoded, predicted).into_par_iter().for_each(
            |((image, seen, (sample, mask)), (encoded, hidden), ((order, predicted), targets, weights))| {
                let cut = |image: &[f32]| patchify(image, shape.height, shape.width, shape.channels, shape.patch);
                let patches = cut(seen);
                let own = shown.as_ref().map(|_| cut(image));
                let own = own.as_deref().unwrap_or(&patches);
                let all_targets = if asked > 0 { task.target.rows(&task.image(image, own)) } else { Vec::new() };
                for (place, id) in order_of(mask, sample).into_iter().enumerate() {
                    order[place] = id as i32;
                    // What is given in part stands in the order of rows, what is given whole in raster order.
                    let at = if given < num_patches { place } else { id };
                    if at < given {
                        encoded[at * values..][..values].copy_from_slice(&patches[id * values..][..values]);
                        hidden[at] = f32::from(u8::from(mask.secondary[id] || mask.masked[id]));
                    }
                }
                match blocks {
                    Some([count, size]) => {
                        let of_blocks = mask.blocks[..count].iter().flat_map(|block| &block[..size]);
                        predicted.iter_mut().zip(of_blocks).for_each(|(row, &id)| *row = id as i32);
                    }
                    None => predicted.copy_from_slice(&order[first_predicted..]),
                }
                for (row, id) in predicted.iter().map(|&id| id as usize).enumerate() {
                    targets[row * asked..][..asked].copy_from_slice(&all_targets[id * asked..][..asked]);
                    weights[row] = f32::from(u8::from(predict_visible || mask.masked[id]));
                }
            },
        );
        this.taught = taught.map(|rows| this.in_order(rows));
        if let Some(packed) = packed {
            this.official_order = packed.official_order.then(|| this.order_with_visible_sorted());
            (this.patches, this.hidden, this.compact, this.values) = (packed.patches, packed.hidden, Some(packed.compact), packed.values);
        }
        Ok(this)
    }

    /// R
    pub fn num_predicted(&self) -> usize {
        self.predicted.len() / self.batch.max(1)
    }

    /// The predicted rows. Shapes: `[B, N, width]`, patches in raster order, to `[B, R, width]`.
    fn in_order(&self, rows: Tensor<3>) -> Tensor<3> {
        let ([_, patches, width], device, predicted) = (rows.dims(), rows.device(), self.num_predicted());
        let in_sample = |(row, id): (usize, &i32)| (row / predicted * patches) as i32 + id;
        let places: Vec<i32> = self.predicted.iter().enumerate().map(in_sample).collect();
        let places: Tensor<1, Int> = Tensor::from_data(TensorData::new(places, [self.batch * predicted]), &device);
        rows.reshape([self.batch * patches, width]).select(0, places).reshape([self.batch, predicted, width])
    }

    fn order_with_visible_sorted(&self) -> Vec<i32> {
        let mut orders = self.order.clone();
        orders.chunks_exact_mut(self.num_patches).for_each(|order| order[..self.visible].sort_unstable());
        orders
    }

    /// What the encoder is given: `[B, n, P·P·C]`.
    pub fn patches(&self, device: &Device) -> Tensor<3> {
        let given = self.hidden.len() / self.batch.max(1);
        Tensor::from_data(TensorData::new(self.patches.clone(), [self.batch, given, self.values]), device)
    }

    /// 1 where the encoder must see the mask token instead of what it is given, `[B, n, 1]`; nothing if that is nowhere.
    pub fn hidden(&self, device: &Device) -> Option<Tensor<3>> {
        let (any, given) = (self.hidden.iter().any(|&hidden| hidden > 0.0), self.hidden.len() / self.batch.max(1));
        any.then(|| Tensor::from_data(TensorData::new(self.hidden.clone(), [self.batch, given, 1]), device))
    }

    /// The raster index of the place that each row is said to have: `[B, N]`.
    pub fn places(&self) -> &[i32] {
        self.official_order.as_ref().unwrap_or(&self.order)
    }

    /// The position codes of the first `count` rows of every sample. Shapes: `table [1, 1 + N, W]` to `[B, count, W]`.
    pub fn positions(&self, table: &Tensor<3>, count: usize, device: &Device) -> Tensor<3> {
        let ids: Vec<i32> = self.places().chunks_exact(self.num_patches).flat_map(|order| order[..count].iter().copied()).collect();
        self.positions_of(table, &ids, device)
    }

    /// The position codes of the predicted rows. Shapes: `table [1, 1 + N, W]` to `[B, R, W]`.
    pub fn predicted_positions(&self, table: &Tensor<3>, device: &Device) -> Tensor<3> {
        self.positions_of(table, &self.predicted, device)
    }

    fn positions_of(&self, table: &Tensor<3>, ids: &[i32], device: &Device) -> Tensor<3> {
        let [_, rows, width] = table.dims();
        let places: Vec<i32> = ids.iter().map(|id| id + 1).collect();
        let places: Tensor<1, Int> = Tensor::from_data(TensorData::new(places, [ids.len()]), device);
        table.clone().reshape([rows, width]).select(0, places).reshape([self.batch, ids.len() / self.batch.max(1), width])
    }

    /// The predicted rows out of all patches in raster order, as a product with ones and zeros: no device has to scatter gradients then.
    /// Shapes: `tokens [B, N, D]` to `[B, R, D]`.
    pub fn pick(&self, tokens: Tensor<3>, device: &Device) -> Tensor<3> {
        if self.first_predicted == 0 {
            return tokens;
        }
        let rows = self.num_predicted();
        let mut chosen = vec![0.0_f32; self.predicted.len() * self.num_patches];
        for (&id, chosen) in self.predicted.iter().zip(chosen.chunks_exact_mut(self.num_patches)) {
            chosen[id as usize] = 1.0;
        }
        Tensor::<3>::from_data(TensorData::new(chosen, [self.batch, rows, self.num_patches]), device).matmul(tokens)
    }

    /// The class token and the first tokens of every sample, with their positions: what the encoder is shown, `visible` of them, or what
    /// the decoder is shown, all of them, the missing ones learned.
    pub fn tokens(&self, shown: usize, lead: Lead) -> Order {
        let (first, prefix, made) = match lead {
            Lead::Learned => (-1, 0, shown),
            Lead::Rows(prefix) => (0, prefix, self.num_patches),
        };
        let source = |token: usize| if token < shown { (prefix + token) as i32 } else { -1 };
        let places = |order: &[i32]| [0].into_iter().chain(order[..made].iter().map(|place| place + 1)).collect::<Vec<_>>();
        Order {
            sources: [first].into_iter().chain((0..made).map(source)).collect(),
            places: self.order.chunks_exact(self.num_patches).flat_map(places).collect(),
        }
    }

    /// `[B, R, row width]`
    pub fn targets(&self, device: &Device) -> Tensor<3> {
        if let Some(taught) = self.taught.clone() {
            return if device.is_autodiff() { taught.autodiff() } else { taught };
        }
        let shape = [self.batch, self.num_predicted(), self.row_width];
        Tensor::from_data(TensorData::new(self.targets.clone(), shape), device)
    }

    /// `[B, R]`
    pub fn weights(&self, device: &Device) -> Tensor<2> {
        Tensor::from_data(TensorData::new(self.weights.clone(), [self.batch, self.num_predicted()]), device)
    }

    /// Brings predicted rows back to raster order. Shapes: `rows [B, R, width]` to `[B, N, width]`; patches that were not predicted are
    /// zero, and of one that several blocks have, the last one's prediction stays.
    pub fn to_raster(&self, rows: &[f32]) -> Vec<f32> {
        let (predicted, width) = (self.num_predicted(), rows.len() / self.predicted.len().max(1));
        let mut raster = vec![0.0; self.batch * self.num_patches * width];
        for (row, (&id, values)) in self.predicted.iter().zip(rows.chunks_exact(width.max(1))).enumerate() {
            let place = row / predicted * self.num_patches + id as usize;
            raster[place * width..][..width].copy_from_slice(values);
        }
        raster
    }
}

/// A mask's order with no more than `shown` of its visible patches in front, the others behind them. Where strategies keep raster order,
/// these are spread evenly, so that it is not always the bottom of the image that is neither shown nor asked for; where blocks are asked for,
/// the last ones, as I-JEPA has it.
fn order_showing(mask: &Mask, shown: usize) -> Vec<usize> {
    let visible = mask.ids_keep();
    if shown >= visible.len() || !mask.blocks.is_empty() {
        return mask.ids_shuffle.clone();
    }
    let is_shown = |place: usize| (place + 1) * shown / visible.len() > place * shown / visible.len();
    let (front, behind): (Vec<usize>, Vec<usize>) = (0..visible.len()).partition(|&place| is_shown(place));
    let visible = front.into_iter().chain(behind).map(|place| visible[place]);
    visible.chain(mask.ids_shuffle[mask.num_visible()..].iter().copied()).collect()
}

/// How many blocks of how many patches all masks have, if they ask for blocks.
fn common_blocks(masks: &[Mask]) -> Option<[usize; 2]> {
    let count = masks.iter().map(|mask| mask.blocks.len()).min()?;
    let size = masks.iter().flat_map(|mask| &mask.blocks).map(Vec::len).min()?;
    (count > 0 && size > 0).then_some([count, size])
}

/// The samples' shares of a list, of any length, even none.
fn chunks<T: Send>(values: &mut [T], each: usize, count: usize) -> impl IndexedParallelIterator<Item = &mut [T]> {
    let mut rest = values;
    let mut shares = Vec::with_capacity(count);
    for _ in 0..count {
        let (share, others) = std::mem::take(&mut rest).split_at_mut(each);
        shares.push(share);
        rest = others;
    }
    shares.into_par_iter()
}

/// What the encoder is given where the visible units are packed.
struct Packed {
    patches: Vec<f32>,
    hidden: Vec<f32>,
    compact: Compact,
    values: usize,
    official_order: bool,
}

impl Packed {
    fn new(shape: ImageShape, images: &[f32], masks: &[Mask], patch: usize, official_order: bool) -> Result<Self> {
        let compact = Compact::new(masks, shape.patch / patch)?;
        let values = patch * patch * shape.channels;
        let images = images.par_chunks_exact(shape.image_values());
        let cut = |image: &[f32]| patchify(image, shape.height, shape.width, shape.channels, patch);
        let patches: Vec<f32> = images.flat_map_iter(cut).collect();
        Ok(Self { patches: compact.pack(&patches, values), hidden: compact.secondary(), compact, values, official_order })
    }

    /// Raster indices of a sample's units, the visible ones first, as the packed map has them.
    fn order(&self, mask: &Mask, sample: usize) -> Vec<usize> {
        let visible = mask.masked.len() / 4;
        let mut order = self.compact.visible_units()[sample * visible..][..visible].to_vec();
        order.extend((0..mask.masked.len()).filter(|&id| mask.masked[id]));
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::Grid;

    #[test]
    fn what_is_not_shown_of_the_visible_is_spread_evenly() {
        let mask = Mask::in_raster_order(Grid::still(3, 4), (0..12).map(|patch| patch % 4 == 0).collect());
        assert_eq!(order_showing(&mask, 9), mask.ids_shuffle);
        assert_eq!(order_showing(&mask, 6), [2, 3, 6, 7, 10, 11, 1, 5, 9, 0, 4, 8]);
        // I-JEPA's contexts lose their last patches.
        let of_blocks = Mask::of_blocks(Grid::still(3, 4), &[vec![0, 1]], &[4, 5, 8, 9]);
        assert_eq!(order_showing(&of_blocks, 3), of_blocks.ids_shuffle);
    }
}
