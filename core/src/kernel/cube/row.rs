//! Row and column kernels: LayerNorm with what stands before it, and column sums. A row is one workgroup, whose units add up their parts
//! in shared memory; no row reads another, so a bad number stays in its row.

use burn_cubecl::cubecl;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::pointwise::num_factors;
use super::queue::empty;

/// Units of a workgroup: the least that every GPU offers is 256.
pub const UNITS: usize = 128;
/// Workgroups that a pass over all rows is split into at most; each adds up its own rows.
const PARTS: usize = 512;
/// Columns and rows of a workgroup that adds up columns.
pub const STRIP: [usize; 2] = [16, 16];

/// The sum of every unit's value, in an order that never changes.
#[cube]
pub fn total(value: f32) -> f32 {
    folded(value, true)
}

/// The largest of every unit's values.
#[cube]
pub fn largest(value: f32) -> f32 {
    folded(value, false)
}

#[cube]
fn folded(value: f32, #[comptime] into_a_sum: bool) -> f32 {
    let mut shared = Shared::<[f32]>::new_slice(UNITS);
    let unit = UNIT_POS as usize;
    shared[unit] = value;
    sync_cube();
    let mut half = UNITS.runtime() / 2;
    while half > 0 {
        if unit < half {
            let other = shared[unit + half];
            if into_a_sum {
                shared[unit] += other;
            } else {
                shared[unit] = max(shared[unit], other);
            }
        }
        sync_cube();
        half /= 2;
    }
    shared[0]
}

/// Normalizes the row that begins at `start`.
#[cube]
fn normalize_row(x: &[f32], weight: &[f32], bias: &[f32], y: &mut [f32], moments: &mut [f32], eps: f32, row: usize, width: usize) {
    let (unit, start) = (UNIT_POS as usize, row * width);
    let mut sum = 0.0f32;
    let mut column = unit;
    while column < width {
        sum += x[start + column];
        column += UNITS;
    }
    let mean = total(sum) / f32::cast_from(width);
    let mut squares = 0.0f32;
    column = unit;
    while column < width {
        let distance = x[start + column] - mean;
        squares += distance * distance;
        column += UNITS;
    }
    let inverse = 1.0f32 / (total(squares) / f32::cast_from(width) + eps).sqrt();
    column = unit;
    while column < width {
        y[start + column] = (x[start + column] - mean) * inverse * weight[column] + bias[column];
        column += UNITS;
    }
    if unit == 0 {
        moments[row * 2] = mean;
        moments[row * 2 + 1] = inverse;
    }
}

#[cube(launch_unchecked)]
fn normalize(x: &[f32], weight: &[f32], bias: &[f32], y: &mut [f32], moments: &mut [f32], eps: f32, rows: usize, width: usize) {
    let row = CUBE_POS;
    if row < rows {
        normalize_row(x, weight, bias, y, moments, eps, row, width);
    }
}

/// `sum = x + factor (branch + branch_bias)`, then normalizes it.
#[cube(launch_unchecked)]
fn add_normalize(
    x: &[f32],
    branch: &[f32],
    branch_bias: &[f32],
    factors: &[f32],
    weight: &[f32],
    bias: &[f32],
    sum: &mut [f32],
    y: &mut [f32],
    moments: &mut [f32],
    eps: f32,
    rows: usize,
    width: usize,
    per_sample: usize,
    #[comptime] scaled: bool,
) {
    let row = CUBE_POS;
    if row < rows {
        let mut factor = 1.0f32;
        if scaled {
            factor = factors[row / per_sample];
        }
        let mut column = UNIT_POS as usize;
        while column < width {
            let at = row * width + column;
            sum[at] = x[at] + factor * (branch[at] + branch_bias[column]);
            column += UNITS;
        }
        normalize_row(&*sum, weight, bias, y, moments, eps, row, width);
    }
}

/// With x̂ the normalized row and g = dy · weight: dx = (g - mean(g) - x̂ mean(g x̂)) / deviation, plus what the row is given besides.
/// Each workgroup takes `per_part` rows and leaves the sums over them of dy x̂, dy and dx.
#[cube(launch_unchecked)]
fn normalize_gradient(
    dy: &[f32],
    beside: &[f32],
    x: &[f32],
    weight: &[f32],
    moments: &[f32],
    dx: &mut [f32],
    parts: &mut [f32],
    rows: usize,
    per_part: usize,
    #[comptime] width: usize,
    #[comptime] has_beside: bool,
) {
    let (unit, part) = (UNIT_POS as usize, CUBE_POS);
    let own = comptime!(width.div_ceil(UNITS));
    let mut scales = Array::<f32>::new(own);
    let mut shifts = Array::<f32>::new(own);
    let mut sums = Array::<f32>::new(own);
    #[unroll]
    for index in 0..own {
        scales[index] = 0.0f32;
        shifts[index] = 0.0f32;
        sums[index] = 0.0f32;
    }
    let mut row = part * per_part;
    let mut end = row + per_part;
    if end > rows {
        end = rows;
    }
    while row < end {
        let (start, mean, inverse) = (row * width, moments[row * 2], moments[row * 2 + 1]);
        let mut sum_g = 0.0f32;
        let mut sum_gx = 0.0f32;
        #[unroll]
        for index in 0..own {
            let column = unit + index * UNITS;
            if column < width {
                let g = dy[start + column] * weight[column];
                sum_g += g;
                sum_gx += g * ((x[start + column] - mean) * inverse);
            }
        }
        let mean_g = total(sum_g) / f32::cast_from(width);
        let mean_gx = total(sum_gx) / f32::cast_from(width);
        #[unroll]
        for index in 0..own {
            let column = unit + index * UNITS;
            if column < width {
                let dy = dy[start + column];
                let normalized = (x[start + column] - mean) * inverse;
                let mut gradient = (dy * weight[column] - mean_g - normalized * mean_gx) * inverse;
                if has_beside {
                    gradient += beside[start + column];
                }
                dx[start + column] = gradient;
                scales[index] += dy * normalized;
                shifts[index] += dy;
                sums[index] += gradient;
            }
        }
        // The next row's sums use the shared memory of these.
        sync_cube();
        row += 1;
    }
    #[unroll]
    for index in 0..own {
        let column = unit + index * UNITS;
        if column < width {
            parts[part * (3 * width) + column] = scales[index];
            parts[part * (3 * width) + width + column] = shifts[index];
            parts[part * (3 * width) + 2 * width + column] = sums[index];
        }
    }
}

/// The sums of a strip of columns over all rows; written by the units of the first row of the workgroup.
#[cube]
fn column_total(x: &[f32], rows: usize, width: usize, column: usize) -> f32 {
    let [columns, lanes] = STRIP;
    let lane = UNIT_POS_Y as usize;
    let mut shared = Shared::<[f32]>::new_slice(comptime!(STRIP[0] * STRIP[1]));
    let mut sum = 0.0f32;
    if column < width {
        let mut row = lane;
        while row < rows {
            sum += x[row * width + column];
            row += lanes;
        }
    }
    let place = UNIT_POS_X as usize;
    shared[lane * columns + place] = sum;
    sync_cube();
    let mut whole = 0.0f32;
    #[unroll]
    for lane in 0..lanes {
        whole += shared[lane * columns + place];
    }
    whole
}

#[cube(launch_unchecked)]
fn add_columns(x: &[f32], sums: &mut [f32], rows: usize, width: usize) {
    let column = CUBE_POS * STRIP[0] + UNIT_POS_X as usize;
    let sum = column_total(x, rows, width, column);
    if UNIT_POS_Y == 0 && column < width {
        sums[column] = sum;
    }
}

/// Adds up what [`normalize_gradient`]'s workgroups left.
#[cube(launch_unchecked)]
fn add_parts(parts: &[f32], dweight: &mut [f32], dbias: &mut [f32], dsum: &mut [f32], count: usize, width: usize) {
    let column = CUBE_POS * STRIP[0] + UNIT_POS_X as usize;
    let sum = column_total(parts, count, 3 * width, column);
    if UNIT_POS_Y == 0 && column < 3 * width {
        if column < width {
            dweight[column] = sum;
        } else if column < 2 * width {
            dbias[column - width] = sum;
        } else {
            dsum[column - 2 * width] = sum;
        }
    }
}

/// Workgroups in a row or, where there are more than a device takes in one dimension, in a rectangle.
pub fn count(workgroups: usize) -> CubeCount {
    const MOST: usize = 32_768;
    let rows = workgroups.div_ceil(MOST).max(1);
    CubeCount::Static(workgroups.div_ceil(rows).max(1) as u32, rows as u32, 1)
}

/// A normalized tensor, and mean and 1/deviation of each row.
pub struct Normalized {
    /// `[R, D]`
    pub y: CubeTensor,
    /// `[R, 2]`
    pub moments: CubeTensor,
}

/// Shapes: `x [R, D]`, `weight [D]`, `bias [D]`.
pub fn layer_norm(x: &CubeTensor, weight: &CubeTensor, bias: &CubeTensor, eps: f32, [rows, width]: [usize; 2]) -> Normalized {
    let (y, moments) = (empty(x, [rows, width]), empty(x, [rows, 2]));
    // SAFETY: every index is below rows · width or width, the sizes of these buffers.
    #[expect(unsafe_code, reason = "a launch without bounds checks; the kernel checks rows and columns itself")]
    unsafe {
        normalize::launch_unchecked(
            &x.client,
            count(rows),
            CubeDim::new_1d(UNITS as u32),
            buffer(x),
            buffer(weight),
            buffer(bias),
            buffer(&y),
            buffer(&moments),
            eps,
            rows,
            width,
        );
    }
    Normalized { y, moments }
}

/// A residual branch on its way back into the stream.
pub struct Branch<'a> {
    /// `[R, D]`
    pub values: &'a CubeTensor,
    /// `[D]`, not yet added to the values.
    pub bias: &'a CubeTensor,
    /// `[B]`: what each sample's branch is multiplied by.
    pub factors: Option<&'a CubeTensor>,
}

/// `x + factor (branch + bias)`, and that normalized. Shapes as in [`layer_norm`].
pub fn add_layer_norm(
    x: &CubeTensor,
    branch: &Branch<'_>,
    weight: &CubeTensor,
    bias: &CubeTensor,
    eps: f32,
    [rows, width]: [usize; 2],
) -> (CubeTensor, Normalized) {
    let (sum, y, moments) = (empty(x, [rows, width]), empty(x, [rows, width]), empty(x, [rows, 2]));
    // SAFETY: as in `layer_norm`; a row's sample is below the number of factors.
    #[expect(unsafe_code, reason = "a launch without bounds checks; the kernel checks rows and columns itself")]
    unsafe {
        add_normalize::launch_unchecked(
            &x.client,
            count(rows),
            CubeDim::new_1d(UNITS as u32),
            buffer(x),
            buffer(branch.values),
            buffer(branch.bias),
            buffer(branch.factors.unwrap_or(branch.bias)),
            buffer(weight),
            buffer(bias),
            buffer(&sum),
            buffer(&y),
            buffer(&moments),
            eps,
            rows,
            width,
            branch.factors.map_or(1, |factors| rows / num_factors(factors)),
            branch.factors.is_some(),
        );
    }
    (sum, Normalized { y, moments })
}

/// What [`layer_norm_gradient`] gives.
pub struct NormGradient {
    /// `[R, D]`
    pub dx: CubeTensor,
    /// `[D]`
    pub dweight: CubeTensor,
    /// `[D]`
    pub dbias: CubeTensor,
    /// The sum of `dx` over rows: the gradient of a bias added just before the norm. `[D]`
    pub dx_sum: CubeTensor,
}

/// The gradient of a norm, plus `beside`, the gradient that its input gets from elsewhere. Shapes: `dy`, `beside`, `x` `[R, D]`,
/// `weight [D]`, `moments [R, 2]`.
pub fn layer_norm_gradient(
    dy: &CubeTensor,
    beside: Option<&CubeTensor>,
    x: &CubeTensor,
    weight: &CubeTensor,
    moments: &CubeTensor,
    [rows, width]: [usize; 2],
) -> NormGradient {
    let per_part = rows.div_ceil(PARTS).max(1);
    let num_parts = rows.div_ceil(per_part).max(1);
    let (dx, parts) = (empty(x, [rows, width]), empty(x, [num_parts, 3 * width]));
    let [dweight, dbias, dx_sum] = [(); 3].map(|()| empty(x, [width]));
    // SAFETY: rows and columns are checked against the sizes of the buffers; there are as many workgroups as parts.
    #[expect(unsafe_code, reason = "launches without bounds checks; the kernels check rows and columns themselves")]
    unsafe {
        normalize_gradient::launch_unchecked(
            &x.client,
            CubeCount::Static(num_parts as u32, 1, 1),
            CubeDim::new_1d(UNITS as u32),
            buffer(dy),
            buffer(beside.unwrap_or(dy)),
            buffer(x),
            buffer(weight),
            buffer(moments),
            buffer(&dx),
            buffer(&parts),
            rows,
            per_part,
            width,
            beside.is_some(),
        );
        add_parts::launch_unchecked(
            &x.client,
            count((3 * width).div_ceil(STRIP[0])),
            CubeDim::new_2d(STRIP[0] as u32, STRIP[1] as u32),
            buffer(&parts),
            buffer(&dweight),
            buffer(&dbias),
            buffer(&dx_sum),
            num_parts,
            width,
        );
    }
    NormGradient { dx, dweight, dbias, dx_sum }
}

/// The sum over rows. Shapes: `x [R, W]` to `[W]`.
pub fn column_sums(x: &CubeTensor, [rows, width]: [usize; 2]) -> CubeTensor {
    let sums = empty(x, [width]);
    // SAFETY: rows and columns are checked against the sizes of the buffers.
    #[expect(unsafe_code, reason = "a launch without bounds checks; the kernel checks rows and columns itself")]
    unsafe {
        add_columns::launch_unchecked(
            &x.client,
            count(width.div_ceil(STRIP[0])),
            CubeDim::new_2d(STRIP[0] as u32, STRIP[1] as u32),
            buffer(x),
            buffer(&sums),
            rows,
            width,
        );
    }
    sums
}

/// A tensor as a kernel's argument.
pub fn buffer(tensor: &CubeTensor) -> BufferArg {
    tensor.clone().into_buffer_arg()
}
