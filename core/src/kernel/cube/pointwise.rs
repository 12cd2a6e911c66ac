//! Kernels that treat every element alone: the exact GELU with the bias before it, and residual sums.

use burn_cubecl::cubecl;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::queue::empty;
use super::row::{buffer, count};

const UNITS: usize = 256;

/// The standard normal distribution function; see the CPU's `normal` for the fit and its error.
#[cube]
fn distribution(x: f32, bell: f32) -> f32 {
    let u = 1.0f32 / (1.0f32 + 0.25f32 * x.abs());
    let high = ((-0.088_585_61f32 * u + 0.326_122_43f32) * u - 0.234_019_77f32) * u + 0.243_93f32;
    let tail = bell * ((((high * u + 0.048_310_388f32) * u + 0.104_338_12f32) * u + 0.099_904_45f32) * u);
    select(x < 0.0f32, tail, 1.0f32 - tail)
}

#[cube(launch_unchecked)]
fn activate(x: &[f32], bias: &[f32], y: &mut [f32], elements: usize, width: usize) {
    if ABSOLUTE_POS < elements {
        let x = x[ABSOLUTE_POS] + bias[ABSOLUTE_POS % width];
        y[ABSOLUTE_POS] = x * distribution(x, (-0.5f32 * x * x).exp());
    }
}

#[cube(launch_unchecked)]
fn activate_gradient(dy: &[f32], x: &[f32], bias: &[f32], dx: &mut [f32], elements: usize, width: usize) {
    if ABSOLUTE_POS < elements {
        let x = x[ABSOLUTE_POS] + bias[ABSOLUTE_POS % width];
        let bell = (-0.5f32 * x * x).exp();
        dx[ABSOLUTE_POS] = dy[ABSOLUTE_POS] * (distribution(x, bell) + x * bell * 0.398_942_3f32);
    }
}

/// `x + factor (branch + bias)`
#[cube(launch_unchecked)]
fn add(
    x: &[f32],
    branch: &[f32],
    bias: &[f32],
    factors: &[f32],
    y: &mut [f32],
    elements: usize,
    width: usize,
    per_sample: usize,
    #[comptime] scaled: bool,
) {
    if ABSOLUTE_POS < elements {
        let mut factor = 1.0f32;
        if scaled {
            factor = factors[ABSOLUTE_POS / per_sample];
        }
        y[ABSOLUTE_POS] = x[ABSOLUTE_POS] + factor * (branch[ABSOLUTE_POS] + bias[ABSOLUTE_POS % width]);
    }
}

#[cube(launch_unchecked)]
fn add_bias(x: &[f32], bias: &[f32], y: &mut [f32], elements: usize, width: usize) {
    if ABSOLUTE_POS < elements {
        y[ABSOLUTE_POS] = x[ABSOLUTE_POS] + bias[ABSOLUTE_POS % width];
    }
}

#[cube(launch_unchecked)]
fn scale(x: &[f32], factors: &[f32], y: &mut [f32], elements: usize, per_sample: usize) {
    if ABSOLUTE_POS < elements {
        y[ABSOLUTE_POS] = x[ABSOLUTE_POS] * factors[ABSOLUTE_POS / per_sample];
    }
}

fn grid(elements: usize) -> (CubeCount, CubeDim) {
    (count(elements.div_ceil(UNITS)), CubeDim::new_1d(UNITS as u32))
}

/// GELU of `x + bias`. Shapes: `x [R, W]`, `bias [W]`.
pub fn gelu(x: &CubeTensor, bias: &CubeTensor, shape: [usize; 2]) -> CubeTensor {
    let (y, elements) = (empty(x, shape), shape[0] * shape[1]);
    let (count, dim) = grid(elements);
    // SAFETY: indices are checked against the number of elements.
    #[expect(unsafe_code, reason = "a launch without bounds checks; the kernel checks its index itself")]
    unsafe {
        activate::launch_unchecked(&x.client, count, dim, buffer(x), buffer(bias), buffer(&y), elements, shape[1]);
    }
    y
}

/// The gradient of [`gelu`] by `x`.
pub fn gelu_gradient(dy: &CubeTensor, x: &CubeTensor, bias: &CubeTensor, shape: [usize; 2]) -> CubeTensor {
    let (dx, elements) = (empty(x, shape), shape[0] * shape[1]);
    let (count, dim) = grid(elements);
    // SAFETY: indices are checked against the number of elements.
    #[expect(unsafe_code, reason = "a launch without bounds checks; the kernel checks its index itself")]
    unsafe {
        activate_gradient::launch_unchecked(&x.client, count, dim, buffer(dy), buffer(x), buffer(bias), buffer(&dx), elements, shape[1]);
    }
    dx
}

/// `x + factor (branch + bias)`. Shapes: `x`, `branch` `[R, D]`.
pub fn add_branch(x: &CubeTensor, branch: &super::row::Branch<'_>, shape: [usize; 2]) -> CubeTensor {
    let (y, elements) = (empty(x, shape), shape[0] * shape[1]);
    let (count, dim) = grid(elements);
    let factors = branch.factors.unwrap_or(branch.bias);
    let per_sample = elements / num_factors(factors);
    let (values, bias) = (buffer(branch.values), buffer(branch.bias));
    // SAFETY: indices are checked against the number of elements.
    #[expect(unsafe_code, reason = "a launch without bounds checks; the kernel checks its index itself")]
    unsafe {
        add::launch_unchecked(
            &x.client,
            count,
            dim,
            buffer(x),
            values,
            bias,
            buffer(factors),
            buffer(&y),
            elements,
            shape[1],
            per_sample,
            branch.factors.is_some(),
        );
    }
    y
}

/// Adds `bias [W]` to every row of `x [R, W]`.
pub fn biased(x: &CubeTensor, bias: &CubeTensor, shape: [usize; 2]) -> CubeTensor {
    let (y, elements) = (empty(x, shape), shape[0] * shape[1]);
    let (count, dim) = grid(elements);
    // SAFETY: indices are checked against the number of elements.
    #[expect(unsafe_code, reason = "a launch without bounds checks; the kernel checks its index itself")]
    unsafe {
        add_bias::launch_unchecked(&x.client, count, dim, buffer(x), buffer(bias), buffer(&y), elements, shape[1]);
    }
    y
}

/// Multiplies every sample's rows by its factor, where there are factors. Shapes: `x [R, W]`, `factors [B]`.
pub fn scaled(x: &CubeTensor, factors: Option<&CubeTensor>, shape: [usize; 2]) -> CubeTensor {
    let Some(factors) = factors else { return x.clone() };
    let (y, elements) = (empty(x, shape), shape[0] * shape[1]);
    let per_sample = elements / num_factors(factors);
    let (count, dim) = grid(elements);
    // SAFETY: indices are checked against the number of elements.
    #[expect(unsafe_code, reason = "a launch without bounds checks; the kernel checks its index itself")]
    unsafe {
        scale::launch_unchecked(&x.client, count, dim, buffer(x), buffer(factors), buffer(&y), elements, per_sample);
    }
    y
}

/// B, of `factors [B]`.
pub fn num_factors(factors: &CubeTensor) -> usize {
    factors.meta.num_elements().max(1)
}
