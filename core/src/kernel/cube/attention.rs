//! Self-attention in tiles: scores of 16 queries and 16 keys at a time stay in shared memory, so the N×N matrix is never written. Forward
//! keeps each row's log of the sum of exponentials, from which backward makes the probabilities anew (Dao et al., 2022).
//!
//! Queries, keys and values are read where the qkv product left them, and their bias is added on the way. A workgroup belongs to one
//! sample and one head; a bad number stays in its sample.

use burn_cubecl::cubecl;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::head_tile::{TILE, accumulate, bias_of, dot, load_mixed, load_part, store, zeros};
use super::queue::empty;
use super::row::buffer;

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
    /// G, if there is a bias `[G, heads, N, N]` for the scores, of which sample b takes group b mod G; else 0.
    pub groups: usize,
}

/// Bytes of shared memory that a head of this width takes.
pub const fn shared_bytes(head: usize) -> usize {
    4 * (4 * TILE * (head + 1) + 3 * TILE * SCORES)
}

#[cube(launch_unchecked)]
fn attend(
    qkv: &[f32],
    bias: &[f32],
    scores_bias: &[f32],
    mixed: &mut [f32],
    logs: &mut [f32],
    tokens: usize,
    scale: f32,
    #[comptime] heads: usize,
    #[comptime] head: usize,
    #[comptime] groups: usize,
) {
    let (i, j) = (UNIT_POS_Y as usize, UNIT_POS_X as usize);
    let (sample, index) = (CUBE_POS_Z as usize, CUBE_POS_Y as usize);
    let row = CUBE_POS_X as usize * TILE + i;
    let mut q = Shared::<[f32]>::new_slice(comptime!(TILE * (head + 1)));
    let mut k = Shared::<[f32]>::new_slice(comptime!(TILE * (head + 1)));
    let mut v = Shared::<[f32]>::new_slice(comptime!(TILE * (head + 1)));
    let mut scores = Shared::<[f32]>::new_slice(comptime!(TILE * SCORES));
    load_part(qkv, bias, &mut q, sample, row, tokens, 0usize, heads, head);
    let mut largest = LOWEST.runtime();
    let mut sum = 0.0f32;
    let mut mixture = zeros(head);
    let mut first = 0usize.runtime();
    while first < tokens {
        load_part(qkv, bias, &mut k, sample, first + i, tokens, 1usize, heads, head);
        load_part(qkv, bias, &mut v, sample, first + i, tokens, 2usize, heads, head);
        sync_cube();
        let exists = first + j < tokens;
        let added = bias_of(scores_bias, sample, row, first + j, tokens, heads, groups);
        let score = select(exists, dot(&q, i, &k, j, head) * scale + added, LOWEST);
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
    scores_bias: &[f32],
    mixed: &[f32],
    logs: &[f32],
    dqkv: &mut [f32],
    means: &mut [f32],
    tokens: usize,
    scale: f32,
    #[comptime] heads: usize,
    #[comptime] head: usize,
    #[comptime] groups: usize,
) {
    let (i, j) = (UNIT_POS_Y as usize, UNIT_POS_X as usize);
    let sample = CUBE_POS_Z as usize;
    let row = CUBE_POS_X as usize * TILE + i;
    let place = (CUBE_POS_Z as usize * heads + CUBE_POS_Y as usize) * tokens + row;
    let mut q = Shared::<[f32]>::new_slice(comptime!(TILE * (head + 1)));
    let mut g = Shared::<[f32]>::new_slice(comptime!(TILE * (head + 1)));
    let mut k = Shared::<[f32]>::new_slice(comptime!(TILE * (head + 1)));
    let mut v = Shared::<[f32]>::new_slice(comptime!(TILE * (head + 1)));
    let mut scores = Shared::<[f32]>::new_slice(comptime!(TILE * SCORES));
    load_part(qkv, bias, &mut q, sample, row, tokens, 0usize, heads, head);
    load_mixed(dy, &mut g, sample, row, tokens, heads, head);
    load_mixed(mixed, &mut k, sample, row, tokens, heads, head);
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
        load_part(qkv, bias, &mut k, sample, first + i, tokens, 1usize, heads, head);
        load_part(qkv, bias, &mut v, sample, first + i, tokens, 2usize, heads, head);
        sync_cube();
        let added = bias_of(scores_bias, sample, row, first + j, tokens, heads, groups);
        let probability = (dot(&q, i, &k, j, head) * scale + added - log).exp();
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
    scores_bias: &[f32],
    logs: &[f32],
    means: &[f32],
    dqkv: &mut [f32],
    tokens: usize,
    scale: f32,
    #[comptime] heads: usize,
    #[comptime] head: usize,
    #[comptime] groups: usize,
) {
    let (i, j) = (UNIT_POS_Y as usize, UNIT_POS_X as usize);
    let sample = CUBE_POS_Z as usize;
    let row = CUBE_POS_X as usize * TILE + i;
    let place = (CUBE_POS_Z as usize * heads + CUBE_POS_Y as usize) * tokens;
    let mut k = Shared::<[f32]>::new_slice(comptime!(TILE * (head + 1)));
    let mut v = Shared::<[f32]>::new_slice(comptime!(TILE * (head + 1)));
    let mut q = Shared::<[f32]>::new_slice(comptime!(TILE * (head + 1)));
    let mut g = Shared::<[f32]>::new_slice(comptime!(TILE * (head + 1)));
    let mut probabilities = Shared::<[f32]>::new_slice(comptime!(TILE * SCORES));
    let mut scores = Shared::<[f32]>::new_slice(comptime!(TILE * SCORES));
    load_part(qkv, bias, &mut k, sample, row, tokens, 1usize, heads, head);
    load_part(qkv, bias, &mut v, sample, row, tokens, 2usize, heads, head);
    let mut key_sums = zeros(head);
    let mut value_sums = zeros(head);
    let mut first = 0usize.runtime();
    while first < tokens {
        load_part(qkv, bias, &mut q, sample, first + i, tokens, 0usize, heads, head);
        load_mixed(dy, &mut g, sample, first + i, tokens, heads, head);
        sync_cube();
        // Here a unit's query is the row, its key the column.
        let row_of_key = CUBE_POS_X as usize * TILE + j;
        let mut probability = 0.0f32;
        let mut gradient = 0.0f32;
        if first + i < tokens {
            let added = bias_of(scores_bias, sample, first + i, row_of_key, tokens, heads, groups);
            probability = (dot(&q, i, &k, j, head) * scale + added - logs[place + first + i]).exp();
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

/// The gradient of the scores' bias: the sum over a group's samples, in their order. A workgroup belongs to a tile of queries and one of
/// keys.
#[cube(launch_unchecked)]
fn bias_gradient(
    dy: &[f32],
    qkv: &[f32],
    bias: &[f32],
    scores_bias: &[f32],
    logs: &[f32],
    means: &[f32],
    dbias: &mut [f32],
    batch: usize,
    tokens: usize,
    tiles: usize,
    scale: f32,
    #[comptime] heads: usize,
    #[comptime] head: usize,
    #[comptime] groups: usize,
) {
    let (i, j) = (UNIT_POS_Y as usize, UNIT_POS_X as usize);
    let (group, index) = (CUBE_POS_Z as usize, CUBE_POS_Y as usize);
    let row = CUBE_POS_X as usize / tiles * TILE;
    let column = CUBE_POS_X as usize % tiles * TILE;
    let mut q = Shared::<[f32]>::new_slice(comptime!(TILE * (head + 1)));
    let mut k = Shared::<[f32]>::new_slice(comptime!(TILE * (head + 1)));
    let mut g = Shared::<[f32]>::new_slice(comptime!(TILE * (head + 1)));
    let mut v = Shared::<[f32]>::new_slice(comptime!(TILE * (head + 1)));
    let exists = row + i < tokens && column + j < tokens;
    let mut sum = 0.0f32;
    let mut sample = group;
    while sample < batch {
        load_part(qkv, bias, &mut q, sample, row + i, tokens, 0usize, heads, head);
        load_part(qkv, bias, &mut k, sample, column + i, tokens, 1usize, heads, head);
        load_part(qkv, bias, &mut v, sample, column + i, tokens, 2usize, heads, head);
        load_mixed(dy, &mut g, sample, row + i, tokens, heads, head);
        sync_cube();
        if exists {
            let place = (sample * heads + index) * tokens + row + i;
            let added = bias_of(scores_bias, sample, row + i, column + j, tokens, heads, groups);
            let probability = (dot(&q, i, &k, j, head) * scale + added - logs[place]).exp();
            sum += probability * (dot(&g, i, &v, j, head) - means[place]);
        }
        sync_cube();
        sample += groups;
    }
    if exists {
        dbias[((group * heads + index) * tokens + row + i) * tokens + column + j] = sum;
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

/// Shapes: `qkv [B·N, 3 D]` without its bias `[3 D]`, and the bias of the scores where there is one; returns `[B·N, D]` and each row's log
/// of the sum of exponentials `[B, heads, N]`.
pub fn forward(qkv: &CubeTensor, bias: &CubeTensor, scores_bias: Option<&CubeTensor>, sizes: Sizes) -> (CubeTensor, CubeTensor) {
    let Sizes { batch, tokens, heads, head, groups } = sizes;
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
            buffer(scores_bias.unwrap_or(bias)),
            buffer(&mixed),
            buffer(&logs),
            tokens,
            sizes.scale(),
            heads,
            head,
            groups,
        );
    }
    (mixed, logs)
}

/// The gradients of `qkv` and of the scores' bias, if there is one. Shapes: `dy [B·N, D]`, the rest as in [`forward`].
pub fn backward(
    dy: &CubeTensor,
    qkv: &CubeTensor,
    bias: &CubeTensor,
    scores_bias: Option<&CubeTensor>,
    [mixed, logs]: [&CubeTensor; 2],
    sizes: Sizes,
) -> (CubeTensor, Option<CubeTensor>) {
    let Sizes { batch, tokens, heads, head, groups } = sizes;
    let (dqkv, means) = (empty(qkv, [batch * tokens, 3 * heads * head]), empty(qkv, [batch, heads, tokens]));
    let scores = scores_bias.unwrap_or(bias);
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
            buffer(scores),
            buffer(mixed),
            buffer(logs),
            buffer(&dqkv),
            buffer(&means),
            tokens,
            sizes.scale(),
            heads,
            head,
            groups,
        );
        key_gradient::launch_unchecked(
            &qkv.client,
            sizes.count(),
            units(),
            buffer(dy),
            buffer(qkv),
            buffer(bias),
            buffer(scores),
            buffer(logs),
            buffer(&means),
            buffer(&dqkv),
            tokens,
            sizes.scale(),
            heads,
            head,
            groups,
        );
    }
    let dbias = scores_bias.map(|scores_bias| {
        let dbias = empty(qkv, [groups, heads, tokens, tokens]);
        let tiles = tokens.div_ceil(TILE);
        // SAFETY: queries and keys are checked against N and samples against B.
        #[expect(unsafe_code, reason = "a launch without bounds checks; the kernel checks queries, keys and samples itself")]
        unsafe {
            bias_gradient::launch_unchecked(
                &qkv.client,
                CubeCount::Static((tiles * tiles) as u32, heads as u32, groups as u32),
                units(),
                buffer(dy),
                buffer(qkv),
                buffer(bias),
                buffer(scores_bias),
                buffer(logs),
                buffer(&means),
                buffer(&dbias),
                batch,
                tokens,
                tiles,
                sizes.scale(),
                heads,
                head,
                groups,
            );
        }
        dbias
    });
    (dqkv, dbias)
}
