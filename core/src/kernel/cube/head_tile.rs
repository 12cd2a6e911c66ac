//! Sixteen rows of one attention head in shared memory, and what a workgroup of 16 × 16 units does with them.

use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// Queries and keys of a tile, and units along each side of a workgroup.
pub const TILE: usize = 16;

/// Copies 16 rows of a head's queries (0), keys (1) or values (2) to shared memory; rows that do not exist become zero.
#[cube]
pub fn load_part(
    qkv: &[f32],
    bias: &[f32],
    to: &mut Shared<[f32]>,
    sample: usize,
    row: usize,
    tokens: usize,
    #[comptime] part: usize,
    #[comptime] heads: usize,
    #[comptime] head: usize,
) {
    let place = comptime!(part * heads * head) + CUBE_POS_Y as usize * head;
    let start = (sample * tokens + row) * comptime!(3 * heads * head) + place;
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
pub fn load_mixed(
    from: &[f32],
    to: &mut Shared<[f32]>,
    sample: usize,
    row: usize,
    tokens: usize,
    #[comptime] heads: usize,
    #[comptime] head: usize,
) {
    let start = (sample * tokens + row) * comptime!(heads * head) + CUBE_POS_Y as usize * head;
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
pub fn dot(a: &Shared<[f32]>, row_a: usize, b: &Shared<[f32]>, row_b: usize, #[comptime] head: usize) -> f32 {
    let stride = comptime!(head + 1);
    let mut sum = 0.0f32;
    for column in 0..head {
        sum += a[row_a * stride + column] * b[row_b * stride + column];
    }
    sum
}

/// What the bias adds to the score of a query and a key.
#[cube]
pub fn bias_of(
    scores: &[f32],
    sample: usize,
    query: usize,
    key: usize,
    tokens: usize,
    #[comptime] heads: usize,
    #[comptime] groups: usize,
) -> f32 {
    let mut bias = 0.0f32;
    if comptime!(groups > 0) {
        let exists = query < tokens && key < tokens;
        if exists {
            let head = sample % comptime!(groups.max(1)) * heads + CUBE_POS_Y as usize;
            bias = scores[(head * tokens + query) * tokens + key];
        }
    }
    bias
}

/// Adds to each unit's columns of a row the products of a row of weights with 16 rows.
#[cube]
pub fn accumulate(
    sums: &mut Array<f32>,
    weights: &Shared<[f32]>,
    start: usize,
    step: usize,
    rows: &Shared<[f32]>,
    #[comptime] head: usize,
) {
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
pub fn zeros(#[comptime] head: usize) -> Array<f32> {
    let mut sums = Array::<f32>::new(comptime!(head.div_ceil(TILE)));
    #[unroll]
    for part in 0..comptime!(head.div_ceil(TILE)) {
        sums[part] = 0.0f32;
    }
    sums
}

/// Writes a row's columns, each unit its own.
#[cube]
pub fn store(sums: &Array<f32>, to: &mut [f32], start: usize, factor: f32, #[comptime] head: usize) {
    #[unroll]
    for part in 0..comptime!(head.div_ceil(TILE)) {
        let column = UNIT_POS_X as usize + part * TILE;
        if column < head {
            to[start + column] = sums[part] * factor;
        }
    }
}
