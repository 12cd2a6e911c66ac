//! Self-attention in tiles: scores of 16 queries and 16 keys at a time stay in shared memory, so the N×N matrix is never written. Forward
//! keeps each row's log of the sum of exponentials, from which backward makes the probabilities anew (Dao et al., 2022).
//!
//! Queries, keys and values are read where the qkv product left them, and their bias is added on the way. A workgroup belongs to one
//! sample and one head; a bad number stays in its sample.

use burn_cubecl::cubecl;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::queue::empty;
use super::row::buffer;

/// Queries and keys of a tile, and units along each side of a workgroup.
const TILE: usize = 16;
/// The length of a row of scores in shared memory; one more than it holds, so that columns lie in different banks.
const SCORES: usize = TILE + 1;
/// Stands in for the score of a key that does not exist.
const LOWEST: f32 = -1e30;

/// The sizes of one call.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// B
    pub batch: usize,
    /// N
    pub tokens: usize,
    /// Must divide D.
    pub heads: usize,
    /// D / heads
    pub head: usize,
}

/// Bytes of shared memory that a head of this width takes.
pub const fn shared_bytes(head: usize) -> usize {
    4 * (4 * TILE * (head + 1) + 3 * TILE * SCORES)
}

/// Copies 16 rows of a head's queries (0), keys (1) or values (2) to shared memory; rows that do not exist become zero.
#[cube]
fn load_part(
    qkv: &[f32],
    bias: &[f32],
    to: &mut Shared<[f32]>,
    row: usize,
    tokens: usize,
    #[comptime] part: usize,
    #[comptime] heads: usize,
    #[comptime] head: usize,
) {
    let place = comptime!(part * heads * head) + CUBE_POS_Y as usize * head;
    let start = (CUBE_POS_Z as usize * tokens + row) * comptime!(3 * heads * head) + place;
    #[unroll]
    for step in 0..comptime!(head.div_ceil(TILE)) {
        let column = UNIT_POS_X as usize + step * TILE;
        if column < head {
            let mut value = 0.0f32;
            if row < tokens {
                value = qkv[start + column] + bias[place + column];
            }
            to[UNIT_POS_Y as usize * comptime!(head + 1) + column] = value;
        }
    }
}

/// Copies 16 rows of a head of `from [B, N, D]`.
#[cube]
fn load_mixed(from: &[f32], to: &mut Shared<[f32]>, row: usize, tokens: usize, #[comptime] heads: usize, #[comptime] head: usize) {
    let start = (CUBE_POS_Z as usize * tokens + row) * comptime!(heads * head) + CUBE_POS_Y as usize * head;
    #[unroll]
    for step in 0..comptime!(head.div_ceil(TILE)) {
        let column = UNIT_POS_X as usize + step * TILE;
        if column < head {
            let mut value = 0.0f32;
            if row < tokens {
                value = from[start + column];
            }
            to[UNIT_POS_Y as usize * comptime!(head + 1) + column] = value;
        }
    }
}

/// The product of two rows in shared memory.
#[cube]
fn dot(a: &Shared<[f32]>, row_a: usize, b: &Shared<[f32]>, row_b: usize, #[comptime] head: usize) -> f32 {
    let stride = comptime!(head + 1);
    let mut sum = 0.0f32;
    for column in 0..head {
        sum += a[row_a * stride + column] * b[row_b * stride + column];
    }
    sum
}

/// Adds to each unit's columns of a row the products of a row of weights with 16 rows.
#[cube]
fn accumulate(sums: &mut Array<f32>, weights: &Shared<[f32]>, start: usize, step: usize, rows: &Shared<[f32]>, #[comptime] head: usize) {
    #[unroll]
    for index in 0..TILE {
        let weight = weights[start + index * step];
        #[unroll]
        for part in 0..comptime!(head.div_ceil(TILE)) {
            let column = UNIT_POS_X as usize + part * TILE;
            if column < head {
                sums[part] += weight * rows[index * comptime!(head + 1) + column];
            }
        }
    }
}

#[cube]
fn zeros(#[comptime] head: usize) -> Array<f32> {
    let mut sums = Array::<f32>::new(comptime!(head.div_ceil(TILE)));
    #[unroll]
    for part in 0..comptime!(head.div_ceil(TILE)) {
        sums[part] = 0.0f32;
    }
    sums
}

/// Writes a row's columns, each unit its own.
#[cube]
fn store(sums: &Array<f32>, to: &mut [f32], start: usize, factor: f32, #[comptime] head: usize) {
    #[unroll]
    for part in 0..comptime!(head.div_ceil(TILE)) {
        let column = UNIT_POS_X as usize + part * TILE;
        if column < head {
            to[start + column] = sums[part] * factor;
        }
    }
}

#[cube(launch_unchecked)]
fn attend(
    qkv: &[f32],
    bias: &[f32],
    mixed: &mut [f32],
    logs: &mut [f32],
    tokens: usize,
    scale: f32,
    #[comptime] heads: usize,
    #[comptime] head: usize,
) {
    let (i, j) = (UNIT_POS_Y as usize, UNIT_POS_X as usize);
    let row = CUBE_POS_X as usize * TILE + i;
    let mut q = Shared::<[f32]>::new_slice(comptime!(TILE * (head + 1)));
    let mut k = Shared::<[f32]>::new_slice(comptime!(TILE * (head + 1)));
    let mut v = Shared::<[f32]>::new_slice(comptime!(TILE * (head + 1)));
    let mut scores = Shared::<[f32]>::new_slice(comptime!(TILE * SCORES));
    load_part(qkv, bias, &mut q, row, tokens, 0usize, heads, head);
    let mut largest = LOWEST.runtime();
    let mut sum = 0.0f32;
    let mut mixture = zeros(head);
    let mut first = 0usize.runtime();
    while first < tokens {
        load_part(qkv, bias, &mut k, first + i, tokens, 1usize, heads, head);
        load_part(qkv, bias, &mut v, first + i, tokens, 2usize, heads, head);
        sync_cube();
        let exists = first + j < tokens;
        let score = select(exists, dot(&q, i, &k, j, head) * scale, LOWEST);
        scores[i * SCORES + j] = score;
        sync_cube();
        let before = largest;
        #[unroll]
        for key in 0..TILE {
            largest = max(largest, scores[i * SCORES + key]);
        }
        sync_cube();
        scores[i * SCORES + j] = select(exists, (score - largest).exp(), 0.0f32);
        sync_cube();
        let shrink = (before - largest).exp();
        sum *= shrink;
        #[unroll]
        for key in 0..TILE {
            sum += scores[i * SCORES + key];
        }
        #[unroll]
        for part in 0..comptime!(head.div_ceil(TILE)) {
            mixture[part] *= shrink;
        }
        accumulate(&mut mixture, &scores, i * SCORES, 1usize, &v, head);
        sync_cube();
        first += TILE;
    }
    if row < tokens {
        let (sample, index) = (CUBE_POS_Z as usize, CUBE_POS_Y as usize);
        store(&mixture, mixed, (sample * tokens + row) * comptime!(heads * head) + index * head, 1.0f32 / sum, head);
        if j == 0 {
            logs[(sample * heads + index) * tokens + row] = largest + sum.ln();
        }
    }
}

/// The gradient of the queries, and for each the sum of dy · y, which the other gradients need too.
#[cube(launch_unchecked)]
fn query_gradient(
    dy: &[f32],
    qkv: &[f32],
    bias: &[f32],
    mixed: &[f32],
    logs: &[f32],
    dqkv: &mut [f32],
    means: &mut [f32],
    tokens: usize,
    scale: f32,
    #[comptime] heads: usize,
    #[comptime] head: usize,
) {
    let (i, j) = (UNIT_POS_Y as usize, UNIT_POS_X as usize);
    let row = CUBE_POS_X as usize * TILE + i;
    let place = (CUBE_POS_Z as usize * heads + CUBE_POS_Y as usize) * tokens + row;
    let mut q = Shared::<[f32]>::new_slice(comptime!(TILE * (head + 1)));
    let mut g = Shared::<[f32]>::new_slice(comptime!(TILE * (head + 1)));
    let mut k = Shared::<[f32]>::new_slice(comptime!(TILE * (head + 1)));
    let mut v = Shared::<[f32]>::new_slice(comptime!(TILE * (head + 1)));
    let mut scores = Shared::<[f32]>::new_slice(comptime!(TILE * SCORES));
    load_part(qkv, bias, &mut q, row, tokens, 0usize, heads, head);
    load_mixed(dy, &mut g, row, tokens, heads, head);
    load_mixed(mixed, &mut k, row, tokens, heads, head);
    sync_cube();
    let mean = dot(&g, i, &k, i, head);
    let mut log = 0.0f32;
    if row < tokens {
        log = logs[place];
        if j == 0 {
            means[place] = mean;
        }
    }
    sync_cube();
    let mut sums = zeros(head);
    let mut first = 0usize.runtime();
    while first < tokens {
        load_part(qkv, bias, &mut k, first + i, tokens, 1usize, heads, head);
        load_part(qkv, bias, &mut v, first + i, tokens, 2usize, heads, head);
        sync_cube();
        let probability = (dot(&q, i, &k, j, head) * scale - log).exp();
        let gradient = probability * (dot(&g, i, &v, j, head) - mean);
        scores[i * SCORES + j] = select(first + j < tokens, gradient, 0.0f32);
        sync_cube();
        accumulate(&mut sums, &scores, i * SCORES, 1usize, &k, head);
        sync_cube();
        first += TILE;
    }
    if row < tokens {
        let start = (CUBE_POS_Z as usize * tokens + row) * comptime!(3 * heads * head) + CUBE_POS_Y as usize * head;
        store(&sums, dqkv, start, scale, head);
    }
}

/// The gradients of keys and values.
#[cube(launch_unchecked)]
fn key_gradient(
    dy: &[f32],
    qkv: &[f32],
    bias: &[f32],
    logs: &[f32],
    means: &[f32],
    dqkv: &mut [f32],
    tokens: usize,
    scale: f32,
    #[comptime] heads: usize,
    #[comptime] head: usize,
) {
    let (i, j) = (UNIT_POS_Y as usize, UNIT_POS_X as usize);
    let row = CUBE_POS_X as usize * TILE + i;
    let place = (CUBE_POS_Z as usize * heads + CUBE_POS_Y as usize) * tokens;
    let mut k = Shared::<[f32]>::new_slice(comptime!(TILE * (head + 1)));
    let mut v = Shared::<[f32]>::new_slice(comptime!(TILE * (head + 1)));
    let mut q = Shared::<[f32]>::new_slice(comptime!(TILE * (head + 1)));
    let mut g = Shared::<[f32]>::new_slice(comptime!(TILE * (head + 1)));
    let mut probabilities = Shared::<[f32]>::new_slice(comptime!(TILE * SCORES));
    let mut scores = Shared::<[f32]>::new_slice(comptime!(TILE * SCORES));
    load_part(qkv, bias, &mut k, row, tokens, 1usize, heads, head);
    load_part(qkv, bias, &mut v, row, tokens, 2usize, heads, head);
    let mut key_sums = zeros(head);
    let mut value_sums = zeros(head);
    let mut first = 0usize.runtime();
    while first < tokens {
        load_part(qkv, bias, &mut q, first + i, tokens, 0usize, heads, head);
        load_mixed(dy, &mut g, first + i, tokens, heads, head);
        sync_cube();
        // Here a unit's query is the row, its key the column.
        let mut probability = 0.0f32;
        let mut gradient = 0.0f32;
        if first + i < tokens {
            probability = (dot(&q, i, &k, j, head) * scale - logs[place + first + i]).exp();
            gradient = probability * (dot(&g, i, &v, j, head) - means[place + first + i]);
        }
        probabilities[i * SCORES + j] = probability;
        scores[i * SCORES + j] = gradient;
        sync_cube();
        accumulate(&mut value_sums, &probabilities, i, SCORES, &g, head);
        accumulate(&mut key_sums, &scores, i, SCORES, &q, head);
        sync_cube();
        first += TILE;
    }
    if row < tokens {
        let start = (CUBE_POS_Z as usize * tokens + row) * comptime!(3 * heads * head) + CUBE_POS_Y as usize * head;
        store(&key_sums, dqkv, start + comptime!(heads * head), scale, head);
        store(&value_sums, dqkv, start + comptime!(2 * heads * head), 1.0f32, head);
    }
}

impl Sizes {
    fn count(self) -> CubeCount {
        CubeCount::Static(self.tokens.div_ceil(TILE) as u32, self.heads as u32, self.batch as u32)
    }

    fn scale(self) -> f32 {
        (self.head as f32).powf(-0.5)
    }
}

/// A square of units.
fn units() -> CubeDim {
    CubeDim::new_2d(TILE as u32, TILE as u32)
}

/// Shapes: `qkv [B·N, 3 D]` without its bias `[3 D]`; returns `[B·N, D]` and each row's log of the sum of exponentials `[B, heads, N]`.
pub fn forward(qkv: &CubeTensor, bias: &CubeTensor, sizes: Sizes) -> (CubeTensor, CubeTensor) {
    let Sizes { batch, tokens, heads, head } = sizes;
    let (mixed, logs) = (empty(qkv, [batch * tokens, heads * head]), empty(qkv, [batch, heads, tokens]));
    // SAFETY: rows are checked against N and columns against the head's width.
    #[expect(unsafe_code, reason = "a launch without bounds checks; the kernel checks rows and columns itself")]
    unsafe {
        attend::launch_unchecked(
            &qkv.client,
            sizes.count(),
            units(),
            buffer(qkv),
            buffer(bias),
            buffer(&mixed),
            buffer(&logs),
            tokens,
            sizes.scale(),
            heads,
            head,
        );
    }
    (mixed, logs)
}

/// The gradient of `qkv`. Shapes: `dy [B·N, D]`, the rest as in [`forward`].
pub fn backward(dy: &CubeTensor, qkv: &CubeTensor, bias: &CubeTensor, [mixed, logs]: [&CubeTensor; 2], sizes: Sizes) -> CubeTensor {
    let Sizes { batch, tokens, heads, head } = sizes;
    let (dqkv, means) = (empty(qkv, [batch * tokens, 3 * heads * head]), empty(qkv, [batch, heads, tokens]));
    // SAFETY: rows are checked against N and columns against the head's width.
    #[expect(unsafe_code, reason = "launches without bounds checks; the kernels check rows and columns themselves")]
    unsafe {
        query_gradient::launch_unchecked(
            &qkv.client,
            sizes.count(),
            units(),
            buffer(dy),
            buffer(qkv),
            buffer(bias),
            buffer(mixed),
            buffer(logs),
            buffer(&dqkv),
            buffer(&means),
            tokens,
            sizes.scale(),
            heads,
            head,
        );
        key_gradient::launch_unchecked(
            &qkv.client,
            sizes.count(),
            units(),
            buffer(dy),
            buffer(qkv),
            buffer(bias),
            buffer(logs),
            buffer(&means),
            buffer(&dqkv),
            tokens,
            sizes.scale(),
            heads,
            head,
        );
    }
    dqkv
}
