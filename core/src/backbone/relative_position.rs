//! What attention within windows knows of where tokens lie: a learned number for each head and each distance between two tokens, from a
//! table (Swin) or from a small network (UM-MAE), which also has an answer for distances that no table lists.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData, activation};

use super::linear::{Linear, UnbiasedLinear};
use super::token_map::{Origins, TokenMap};
use super::window::Windows;
use crate::kernel::{self, Pairs};
use crate::random::Stream;

/// How the distance between two tokens becomes a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelativePositions {
    /// One learned number per distance within a window.
    Table,
    /// A network from the distance, for maps whose neighbors may lie anywhere in the image.
    Network,
}

/// The network from distances to numbers.
#[derive(Module, Debug)]
pub struct DistanceMlp {
    /// `[32, 2]`
    pub fc1: Linear,
    /// `[heads, 32]`; without a bias, which would raise all scores of a head alike and so change nothing.
    pub fc2: UnbiasedLinear,
}

impl DistanceMlp {
    /// Its hidden width.
    pub const HIDDEN: usize = 32;

    /// For attention of `heads` heads.
    pub fn new(heads: usize, stream: &mut Stream, device: &Device) -> Self {
        Self { fc1: Linear::normal(2, Self::HIDDEN, stream, device), fc2: UnbiasedLinear::normal(Self::HIDDEN, heads, stream, device) }
    }

    /// Shapes: `distances [T, 2]` of [`feature`]s to `[T, heads]`.
    pub fn forward(&self, distances: Tensor<2>) -> Tensor<2> {
        self.fc2.forward(activation::relu(self.fc1.forward(distances)))
    }
}

/// What the network is shown of a distance d along one axis: `sign(d) log(1 + |d|)`.
pub fn feature(distance: i64) -> f32 {
    let length = (distance.unsigned_abs() as f64).ln_1p() as f32;
    if distance < 0 { -length } else { length }
}

/// The row of a table `[(2 W - 1)², heads]` for each pair of tokens (query, key) of a window of W×W, `[W⁴]`; rows count distances, query
/// minus key, from the most negative on, down the image first.
pub fn table_rows(side: usize) -> Vec<i32> {
    let area = side * side;
    let row = |query: usize, key: usize| {
        let (dy, dx) = (query / side + side - 1 - key / side, query % side + side - 1 - key % side);
        (dy * (2 * side - 1) + dx) as i32
    };
    (0..area).flat_map(|query| (0..area).map(move |key| row(query, key))).collect()
}

/// Where pairs of tokens find their number, and which pairs are kept apart: the same for all blocks of a stage that cut its map alike.
#[derive(Debug, Clone)]
pub struct PairLayout {
    /// How the map is cut.
    pub windows: Windows,
    /// The row of the numbers for each pair. All windows are alike, or every one of all samples has its own.
    pub pairs: Pairs,
    /// The features of the distance behind each row: `[T, 2]`.
    distances: Tensor<2>,
    /// The rows written out, where a device wants them so.
    written_out: Option<WrittenOut>,
}

/// The row of the numbers for each pair.
#[derive(Debug, Clone)]
struct WrittenOut {
    /// `[G·n·n]`, where n = side · side and G = 1 if all windows are alike, else B · windows.
    rows: Tensor<1, Int>,
    /// What is added to the scores: `[windows or G, 1, n, n]`.
    apart: Option<Tensor<4>>,
}

impl PairLayout {
    /// The layout of the windows on a map. Distances are those in the whole image only if the map knows where its tokens come from and
    /// `positions` can make use of it.
    pub fn new(windows: Windows, map: &TokenMap, positions: RelativePositions, device: &Device) -> Self {
        let (device, side) = (&device.clone().without_autodiff(), windows.side);
        let (pairs, reach) = match (&map.origins, positions) {
            (Some(origins), RelativePositions::Network) => pairs_of_origins(origins, &windows),
            _ => {
                let (places, reach) = ((0..side * side).map(|token| [token / side, token % side]), [side - 1; 2]);
                (Pairs::new(side * side, places, reach, Vec::new()), reach)
            }
        };
        let distances = distances_within(reach);
        Self {
            windows,
            written_out: (!kernel::is_cpu(device)).then(|| WrittenOut::new(&windows, &pairs, device)),
            pairs,
            distances: Tensor::from_data(TensorData::new(distances.concat(), [distances.len(), 2]), device),
        }
    }

    /// The features of the distance behind each row of [`PairLayout::bias`]'s numbers: `[T, 2]`.
    pub fn distances(&self) -> Tensor<2> {
        self.distances.clone()
    }

    /// What is added to the scores of each pair. Shapes: `numbers [T, heads]` to `[G, heads, n, n]`; window number w of all samples'
    /// windows takes that of group w modulo G.
    pub fn bias(&self, numbers: Tensor<2>) -> Tensor<4> {
        let (area, heads) = (self.windows.side * self.windows.side, numbers.dims()[1]);
        let write = || WrittenOut::new(&self.windows, &self.pairs, &numbers.device().without_autodiff());
        let WrittenOut { rows, apart } = self.written_out.clone().unwrap_or_else(write);
        let bias: Tensor<4> = numbers.select(0, rows).reshape([-1, area as i32, area as i32, heads as i32]);
        let bias = bias.permute([0, 3, 1, 2]);
        match apart {
            Some(apart) => bias + apart,
            None => bias,
        }
    }
}

impl WrittenOut {
    fn new(windows: &Windows, pairs: &Pairs, device: &Device) -> Self {
        let (rows, area) = (pairs.rows(), windows.side * windows.side);
        let num_groups = rows.len() / (area * area);
        let apart = windows.mask().map(|mask| Tensor::from_data(TensorData::new(mask, [windows.count(), 1, area, area]), device));
        let apart = apart.map(|apart| if num_groups > 1 { apart.repeat_dim(0, num_groups / windows.count()) } else { apart });
        Self { rows: Tensor::from_data(TensorData::new(rows, [num_groups * area * area]), device), apart }
    }
}

/// The features of all distances up to `reach` in either direction, those down the image first.
pub fn distances_within(reach: [usize; 2]) -> Vec<[f32; 2]> {
    let [down, across] = reach.map(|reach| -(reach as i64)..=reach as i64);
    down.flat_map(|dy| across.clone().map(move |dx| [feature(dy), feature(dx)])).collect()
}

/// The pairs of all windows of all samples, by their distance in the whole image, and how far distances reach. What is kept apart may be as
/// far from each other as the image is large, and needs no number.
fn pairs_of_origins(origins: &Origins, windows: &Windows) -> (Pairs, [usize; 2]) {
    let (order, regions, area) = (windows.order(), windows.regions(), windows.side * windows.side);
    let samples = || origins.places.chunks_exact(order.len());
    let reaches = samples().map(|places| reach_within(places, &order, &regions, area));
    let reach = reaches.fold([0; 2], |a, b| [a[0].max(b[0]), a[1].max(b[1])]);
    let places = samples().flat_map(|places| order.iter().map(move |&token| places[token]));
    let regions = if windows.shift > 0 { regions.into_iter().map(|region| region as u8).collect() } else { Vec::new() };
    (Pairs::new(area, places, reach, regions), reach)
}

/// How far tokens of a sample that see each other lie apart, at most, down and across.
fn reach_within(places: &[[usize; 2]], order: &[usize], regions: &[usize], area: usize) -> [usize; 2] {
    let of_window = |(window, regions): (&[usize], &[usize])| {
        let mut spans = [[(usize::MAX, 0); 2]; Windows::REGIONS];
        for (&token, &region) in window.iter().zip(regions) {
            for (at, (low, high)) in places[token].into_iter().zip(&mut spans[region]) {
                (*low, *high) = (at.min(*low), at.max(*high));
            }
        }
        spans.map(|span| span.map(|(low, high)| high.saturating_sub(low)))
    };
    let reaches = order.chunks_exact(area).zip(regions.chunks_exact(area)).flat_map(of_window);
    reaches.fold([0; 2], |a, b| [a[0].max(b[0]), a[1].max(b[1])])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::model_file::to_host;

    #[test]
    fn rows_match_g14() {
        assert_eq!(table_rows(2), [4, 3, 1, 0, 5, 4, 2, 1, 7, 6, 4, 3, 8, 7, 5, 4]);
        assert_eq!(table_rows(1), [0]);
    }

    #[test]
    fn features_are_signed_logarithms() {
        assert_eq!(distances_within([1, 1])[4], [0.0, 0.0]);
        let want = [-(2.0_f32.ln()), 0.0];
        assert_eq!(distances_within([1, 1])[1], want);
        assert!((feature(-3) + 4.0_f32.ln()).abs() < 1e-6 && (feature(7) - 8.0_f32.ln()).abs() < 1e-6);
    }

    /// Tokens scattered over the image: each pair must get the number of its own distance, and pairs across an edge must be apart.
    #[test]
    fn scattered_tokens_find_the_number_of_their_distance() {
        let (whole, grid) = ([9, 7], [4, 4]);
        let places: Vec<[usize; 2]> = (0..2 * 16).map(|token| [token * 5 % 9, token * 3 % 7]).collect();
        let map = TokenMap { grid, origins: Some(Origins { grid: whole, places: places.clone() }) };
        for index in 0..2 {
            let windows = Windows::of_block(grid, 2, index);
            let layout = PairLayout::new(windows, &map, RelativePositions::Network, &Device::flex());
            // Numbers that are the features themselves: two "heads", one for each axis.
            let bias = layout.bias(layout.distances());
            assert_eq!(bias.dims(), [2 * 4, 2, 4, 4]);
            let bias = to_host(bias).unwrap();
            let (order, mask) = (windows.order(), windows.mask().unwrap_or(vec![0.0; 4 * 16]));
            for (at, &have) in bias.iter().enumerate() {
                let (group, axis, query, key) = (at / 32, at / 16 % 2, at / 4 % 4, at % 4);
                let place = |token: usize| places[group / 4 * 16 + order[group % 4 * 4 + token]][axis] as i64;
                let apart = mask[group % 4 * 16 + query * 4 + key];
                let want = if apart == 0.0 { feature(place(query) - place(key)) } else { apart };
                assert!((have - want).abs() < 1e-5, "{at}: {have} {want}");
            }
        }
    }

    #[test]
    fn a_whole_map_needs_one_group_without_shift_and_its_windows_with_it() {
        let (map, grid) = (TokenMap::whole([4, 6]), [4, 6]);
        let groups = |index: usize| {
            let layout = PairLayout::new(Windows::of_block(grid, 2, index), &map, RelativePositions::Table, &Device::flex());
            layout.bias(layout.distances()).dims()[0]
        };
        assert_eq!([groups(0), groups(1)], [1, 6]);
    }
}
