//! Which token stands where: rows of a sequence, a learned token in the places that have none, and a position added to each. Backward
//! follows the inverse lists, so every number is a sum in a fixed order and nothing is scattered.

use burn::tensor::Shape;
use burn_cubecl::cubecl;
use cubecl::prelude::*;

use super::queue::{Queued, empty, enqueue, shaped};
use super::row::{STRIP, buffer, count};

const UNITS: usize = 256;

/// Sizes of one call.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// B
    pub batch: usize,
    /// Rows of a sample that tokens are taken from.
    pub given: usize,
    /// Tokens of a sample that are made.
    pub made: usize,
    /// Rows of the position table.
    pub positions: usize,
    /// D
    pub width: usize,
}

/// A place in a list, or nothing where it is negative. Lists are 32-bit floats, which are exact up to 2²⁴ places.
#[cube]
fn at(list: &[f32], index: usize) -> usize {
    u32::cast_from(max(list[index], 0.0f32)) as usize
}

#[cube(launch_unchecked)]
fn assemble(
    x: &[f32],
    learned: &[f32],
    table: &[f32],
    sources: &[f32],
    places: &[f32],
    y: &mut [f32],
    elements: usize,
    given: usize,
    made: usize,
    width: usize,
) {
    if ABSOLUTE_POS < elements {
        let (row, column) = (ABSOLUTE_POS / width, ABSOLUTE_POS % width);
        let (sample, token) = (row / made, row % made);
        let mut value = learned[column];
        if sources[token] >= 0.0f32 {
            value = x[(sample * given + at(sources, token)) * width + column];
        }
        y[ABSOLUTE_POS] = value + table[at(places, row) * width + column];
    }
}

#[cube(launch_unchecked)]
fn given_gradient(dy: &[f32], inverse: &[f32], dx: &mut [f32], elements: usize, given: usize, made: usize, width: usize) {
    if ABSOLUTE_POS < elements {
        let (row, column) = (ABSOLUTE_POS / width, ABSOLUTE_POS % width);
        let (sample, token) = (row / given, row % given);
        let mut value = 0.0f32;
        if inverse[token] >= 0.0f32 {
            value = dy[(sample * made + at(inverse, token)) * width + column];
        }
        dx[ABSOLUTE_POS] = value;
    }
}

#[cube(launch_unchecked)]
fn learned_gradient(dy: &[f32], sources: &[f32], dlearned: &mut [f32], rows: usize, made: usize, width: usize) {
    let (lane, place) = (UNIT_POS_Y as usize, UNIT_POS_X as usize);
    let column = CUBE_POS * STRIP[0] + place;
    let mut shared = Shared::<[f32]>::new_slice(comptime!(STRIP[0] * STRIP[1]));
    let mut sum = 0.0f32;
    if column < width {
        let mut row = lane;
        while row < rows {
            if sources[row % made] < 0.0f32 {
                sum += dy[row * width + column];
            }
            row += STRIP[1];
        }
    }
    shared[lane * STRIP[0] + place] = sum;
    sync_cube();
    if lane == 0 && column < width {
        let mut whole = 0.0f32;
        #[unroll]
        for lane in 0..STRIP[1] {
            whole += shared[lane * STRIP[0] + place];
        }
        dlearned[column] = whole;
    }
}

#[cube(launch_unchecked)]
fn table_gradient(
    dy: &[f32],
    inverse_places: &[f32],
    dtable: &mut [f32],
    elements: usize,
    batch: usize,
    positions: usize,
    made: usize,
    width: usize,
) {
    if ABSOLUTE_POS < elements {
        let (position, column) = (ABSOLUTE_POS / width, ABSOLUTE_POS % width);
        let mut sum = 0.0f32;
        for sample in 0..batch {
            if inverse_places[sample * positions + position] >= 0.0f32 {
                sum += dy[(sample * made + at(inverse_places, sample * positions + position)) * width + column];
            }
        }
        dtable[ABSOLUTE_POS] = sum;
    }
}

/// Shapes: `x [B, given, D]`, `learned` of D numbers, `table [.., positions, D]`, `sources [made]`, `places [B·made]`; returns
/// `[B, made, D]`.
pub fn forward([x, learned, table, sources, places]: [Queued; 5], sizes: Sizes) -> Option<Queued> {
    let Sizes { batch, given, made, width, .. } = sizes;
    let shape = Shape::new([batch, made, width]);
    let queued = enqueue("tokens", vec![x, learned, table, sources, places], vec![shape], move |inputs| {
        let [x, learned, table, sources, places] = inputs.as_slice() else { return Vec::new() };
        let (y, elements) = (empty(x, [batch, made, width]), batch * made * width);
        let [x, learned, table, sources, places] = [x, learned, table, sources, places].map(buffer);
        let (count, dim) = grid(elements);
        // SAFETY: lists hold places inside x and the table.
        #[expect(unsafe_code, reason = "a launch without bounds checks; the kernel checks its index itself")]
        unsafe {
            assemble::launch_unchecked(&y.client, count, dim, x, learned, table, sources, places, buffer(&y), elements, given, made, width);
        }
        vec![y]
    });
    queued.into_iter().next()
}

/// The gradient of `x`. `inverse [given]` says which token each row became; negative where none.
pub fn gradient_of_given(dy: Queued, inverse: Queued, sizes: Sizes) -> Option<Queued> {
    let Sizes { batch, given, made, width, .. } = sizes;
    let queued = enqueue("tokens gradient", vec![dy, inverse], vec![Shape::new([batch, given, width])], move |inputs| {
        let [dy, inverse] = inputs.as_slice() else { return Vec::new() };
        let (dx, elements) = (empty(dy, [batch, given, width]), batch * given * width);
        let (count, dim) = grid(elements);
        // SAFETY: the list holds places inside dy.
        #[expect(unsafe_code, reason = "a launch without bounds checks; the kernel checks its index itself")]
        unsafe {
            let (dy, inverse) = (buffer(dy), buffer(inverse));
            given_gradient::launch_unchecked(&dx.client, count, dim, dy, inverse, buffer(&dx), elements, given, made, width);
        }
        vec![dx]
    });
    queued.into_iter().next()
}

/// The gradient of the learned token, in its shape.
pub fn gradient_of_learned(dy: Queued, sources: Queued, shape: Shape, sizes: Sizes) -> Option<Queued> {
    let Sizes { batch, made, width, .. } = sizes;
    let queued = enqueue("learned token gradient", vec![dy, sources], vec![shape.clone()], move |inputs| {
        let [dy, sources] = inputs.as_slice() else { return Vec::new() };
        let dlearned = empty(dy, [width]);
        // SAFETY: rows and columns are checked against the sizes of the buffers.
        #[expect(unsafe_code, reason = "a launch without bounds checks; the kernel checks rows and columns itself")]
        unsafe {
            let (count, dim) = (count(width.div_ceil(STRIP[0])), CubeDim::new_2d(STRIP[0] as u32, STRIP[1] as u32));
            let (dy, sources, rows) = (buffer(dy), buffer(sources), batch * made);
            learned_gradient::launch_unchecked(&dlearned.client, count, dim, dy, sources, buffer(&dlearned), rows, made, width);
        }
        vec![shaped(&dlearned, shape.clone())]
    });
    queued.into_iter().next()
}

/// The gradient of the position table, in its shape. `inverse_places [B·positions]` says which token stands at each position.
pub fn gradient_of_table(dy: Queued, inverse_places: Queued, shape: Shape, sizes: Sizes) -> Option<Queued> {
    let Sizes { batch, made, positions, width, .. } = sizes;
    let queued = enqueue("position gradient", vec![dy, inverse_places], vec![shape.clone()], move |inputs| {
        let [dy, inverse_places] = inputs.as_slice() else { return Vec::new() };
        let (dtable, elements) = (empty(dy, [positions, width]), positions * width);
        let (count, dim) = grid(elements);
        // SAFETY: the list holds places inside dy.
        #[expect(unsafe_code, reason = "a launch without bounds checks; the kernel checks its index itself")]
        unsafe {
            let (dy, inverse) = (buffer(dy), buffer(inverse_places));
            let out = buffer(&dtable);
            table_gradient::launch_unchecked(&dtable.client, count, dim, dy, inverse, out, elements, batch, positions, made, width);
        }
        vec![shaped(&dtable, shape.clone())]
    });
    queued.into_iter().next()
}

fn grid(elements: usize) -> (CubeCount, CubeDim) {
    (count(elements.div_ceil(UNITS)), CubeDim::new_1d(UNITS as u32))
}

/// Which token is made of what: `sources` are rows of each sample, negative for the learned token; `places` are rows of the table, sample
/// by sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// `[made]`
    pub sources: Vec<i32>,
    /// `[B·made]`
    pub places: Vec<i32>,
}

impl Order {
    /// For each of `given` rows the token it becomes.
    pub fn inverse(&self, given: usize) -> Vec<i32> {
        inverted(&self.sources, given)
    }

    /// For each sample and each of `positions` places the token that stands there.
    pub fn inverse_places(&self, positions: usize) -> Vec<i32> {
        self.places.chunks_exact(self.sources.len().max(1)).flat_map(|places| inverted(places, positions)).collect()
    }
}

fn inverted(list: &[i32], count: usize) -> Vec<i32> {
    let mut inverse = vec![-1; count];
    for (index, &place) in list.iter().enumerate() {
        if let Some(slot) = usize::try_from(place).ok().and_then(|place| inverse.get_mut(place)) {
            *slot = index as i32;
        }
    }
    inverse
}
