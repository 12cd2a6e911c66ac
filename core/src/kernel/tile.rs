//! The innermost loops of matrix products: a tile of the result stays in vector registers while the common axis goes by.
//!
//! A tile is 8 rows by two vectors on AVX-512: 16 of 32 registers hold sums, a multiply-add takes 4 cycles and one begins in each, so more
//! sums would gain nothing. It is 6 rows by two vectors on AVX2 (12 of 16), and 4 rows by two times four numbers elsewhere, which the
//! compiler maps to what there is. A step along the common axis loads two vectors and one number a row and does twice as many
//! multiply-adds: arithmetic is the limit, at 115 of 118 GFLOP/s on a Zen 4 core with 200 rows, where the general `gemm` reaches 90.
#![expect(unsafe_code, reason = "registers are filled through pointers; `matrix` checks that they stay inside their slices")]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m256, __m512, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_storeu_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps,
    _mm512_storeu_ps,
};
use std::sync::LazyLock;

/// One product `c = start + scale · a b`, by addresses. Everything that its sizes and strides reach must be readable, and `c` writable and
/// not otherwise used.
#[derive(Debug, Clone, Copy)]
pub struct Product<'a> {
    pub rows: usize,
    pub inner: &'a [Stretch],
    pub cols: usize,
    pub a: *const f32,
    pub a_strides: [usize; 2],
    pub b: Right,
    pub c: *mut f32,
    pub c_row: usize,
    pub scale: f32,
    pub start: Start,
}

/// Part of the common axis of a product. A product is a sum over some, which need not follow each other in either operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// Where it begins in the left operand, from the first number of that.
    pub a: usize,
    /// Where it begins in the right operand: a row.
    pub b: usize,
    /// Its length.
    pub len: usize,
}

/// The right operand: panels of [`panel_width`] columns, whose rows are stored one after the other. The last panel may be narrower in
/// memory if the columns left fill a vector.
#[derive(Debug, Clone, Copy)]
pub struct Right {
    pub first: *const f32,
    pub panel_stride: usize,
    pub row_stride: usize,
}

/// What a product is added to.
#[derive(Debug, Clone, Copy)]
pub enum Start {
    /// Nothing.
    Zero,
    /// One number for each column.
    Bias(*const f32),
    /// What is there.
    Itself,
}

/// Rows of `b` that stay in the first-level cache while a stripe of rows of `a` goes by: 24 KiB of panel beside 6 KiB of `a`.
const DEPTH: usize = 192;
/// Rows of `a` that stay in the second-level cache while the panels go by, a multiple of any tile's.
const STRIPE: usize = 240;
/// Tiles are no larger.
const MAX_TILE: usize = 8 * 32;

/// The vector instructions that this machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instructions {
    /// Sixteen numbers at once, in 32 registers.
    Avx512,
    /// Eight numbers at once, in 16 registers.
    Avx2,
    /// Whatever the program is compiled for.
    Compiled,
}

impl Instructions {
    /// The widest there are; found out once.
    pub fn here() -> Self {
        static HERE: LazyLock<Instructions> = LazyLock::new(|| Instructions::all_here()[0]);
        *HERE
    }

    /// All there are, the widest first.
    fn all_here() -> Vec<Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(is_x86_feature_detected!("avx512f").then_some(Self::Avx512));
            all.extend((is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self::Avx2));
        }
        all.push(Self::Compiled);
        all
    }

    /// Numbers in a vector.
    pub fn lanes(self) -> usize {
        match self {
            Self::Avx512 => 16,
            Self::Avx2 => 8,
            Self::Compiled => 4,
        }
    }

    /// Columns of a panel.
    pub fn panel_width(self) -> usize {
        2 * self.lanes()
    }
}

/// Computes a product on this thread.
///
/// # Safety
/// See [`Product`].
pub unsafe fn run(product: &Product) {
    // SAFETY: as the caller promises; the instructions are there.
    unsafe { run_with(Instructions::here(), product) }
}

unsafe fn run_with(instructions: Instructions, product: &Product) {
    // SAFETY: as the caller promises.
    unsafe {
        match instructions {
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => with_avx512(product),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => with_avx2(product),
            _ => stripes::<Four>(product),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn with_avx512(product: &Product) {
    // SAFETY: as the caller of `run` promises.
    unsafe { stripes::<__m512>(product) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_avx2(product: &Product) {
    // SAFETY: as the caller of `run` promises.
    unsafe { stripes::<__m256>(product) }
}

/// Blocks for the caches: see [`DEPTH`] and [`STRIPE`]. The order of additions depends on the common axis alone, so that a number of the
/// result is the same however the rows are split.
#[inline(always)]
unsafe fn stripes<V: Vector>(product: &Product) {
    let inner: usize = product.inner.iter().map(|stretch| stretch.len).sum();
    let depth = inner.div_ceil(inner.div_ceil(DEPTH).max(1));
    let (mut from, mut part) = (0, Part { stretches: product.inner, skip: 0, len: 0 });
    loop {
        part.len = depth.min(inner - from);
        for stripe in (0..product.rows).step_by(STRIPE) {
            let end = product.rows.min(stripe + STRIPE);
            for panel in 0..product.cols.div_ceil(2 * V::LANES) {
                for row in (stripe..end).step_by(V::ROWS) {
                    let tile = Tile { row, rows: V::ROWS.min(end - row), panel, part, is_first: from == 0 };
                    // SAFETY: as the caller of `run` promises.
                    unsafe { write_tile::<V>(product, tile) }
                }
            }
        }
        from += part.len;
        if from >= inner {
            return;
        }
        part = part.rest();
    }
}

/// Part of the common axis: so many numbers of these stretches, behind the first few.
#[derive(Clone, Copy)]
struct Part<'a> {
    stretches: &'a [Stretch],
    skip: usize,
    len: usize,
}

impl Part<'_> {
    /// What comes after it.
    fn rest(mut self) -> Self {
        self.skip += self.len;
        while let [first, others @ ..] = self.stretches
            && self.skip >= first.len
        {
            self.skip -= first.len;
            self.stretches = others;
        }
        self
    }
}

/// A tile of the result and part of the common axis.
#[derive(Clone, Copy)]
struct Tile<'a> {
    row: usize,
    rows: usize,
    panel: usize,
    part: Part<'a>,
    is_first: bool,
}

#[inline(always)]
unsafe fn write_tile<V: Vector>(product: &Product, tile: Tile) {
    let width = 2 * V::LANES;
    let col = tile.panel * width;
    let cols = width.min(product.cols - col);
    let start = if tile.is_first { product.start } else { Start::Itself };
    // SAFETY: a tile lies inside the product, as the caller promises for that.
    unsafe {
        let c = product.c.add(tile.row * product.c_row + col);
        let start = if let Start::Bias(bias) = start { Start::Bias(bias.add(col)) } else { start };
        if cols == width {
            return sum::<V, 2>(product, tile, c, product.c_row, start);
        }
        let mut sums = [0.0_f32; MAX_TILE];
        if cols > V::LANES {
            sum::<V, 2>(product, tile, sums.as_mut_ptr(), width, Start::Zero);
        } else {
            sum::<V, 1>(product, tile, sums.as_mut_ptr(), width, Start::Zero);
        }
        for row in 0..tile.rows {
            for col in 0..cols {
                let to = c.add(row * product.c_row + col);
                *to = sums[row * width + col] + start.value(to, col);
            }
        }
    }
}

impl Start {
    #[inline(always)]
    unsafe fn value(self, c: *const f32, col: usize) -> f32 {
        match self {
            Self::Zero => 0.0,
            // SAFETY: there is a number for every column.
            Self::Bias(bias) => unsafe { *bias.add(col) },
            // SAFETY: the result is readable.
            Self::Itself => unsafe { *c },
        }
    }
}

/// A loop for each number of rows: sums are in registers only if their number is known.
#[inline(always)]
unsafe fn sum<V: Vector, const COLS: usize>(product: &Product, tile: Tile, c: *mut f32, c_row: usize, start: Start) {
    // SAFETY: as the caller promises.
    unsafe {
        match tile.rows {
            1 => sum_rows::<V, 1, COLS>(product, tile, c, c_row, start),
            2 => sum_rows::<V, 2, COLS>(product, tile, c, c_row, start),
            3 => sum_rows::<V, 3, COLS>(product, tile, c, c_row, start),
            4 => sum_rows::<V, 4, COLS>(product, tile, c, c_row, start),
            5 => sum_rows::<V, 5, COLS>(product, tile, c, c_row, start),
            6 => sum_rows::<V, 6, COLS>(product, tile, c, c_row, start),
            7 => sum_rows::<V, 7, COLS>(product, tile, c, c_row, start),
            _ => sum_rows::<V, 8, COLS>(product, tile, c, c_row, start),
        }
    }
}

#[inline(always)]
unsafe fn sum_rows<V: Vector, const ROWS: usize, const COLS: usize>(
    product: &Product,
    tile: Tile,
    c: *mut f32,
    c_row: usize,
    start: Start,
) {
    let ([a_row, a_col], b_row) = (product.a_strides, product.b.row_stride);
    // SAFETY: rows, depth and panel of a tile lie inside the product, as the caller promises for that.
    unsafe {
        let (first_row, panel) = (product.a.add(tile.row * a_row), product.b.first.add(tile.panel * product.b.panel_stride));
        let mut sums = [[V::splat(0.0); COLS]; ROWS];
        let (mut skip, mut left) = (tile.part.skip, tile.part.len);
        for stretch in tile.part.stretches {
            let mut a = first_row.add(stretch.a + skip * a_col);
            let mut b = panel.add((stretch.b + skip) * b_row);
            let steps = left.min(stretch.len - skip);
            for _ in 0..steps {
                let mut factors = [V::splat(0.0); COLS];
                for (col, factor) in factors.iter_mut().enumerate() {
                    *factor = V::load(b.add(col * V::LANES));
                }
                for (row, sums) in sums.iter_mut().enumerate() {
                    let value = V::splat(*a.add(row * a_row));
                    for (sum, factor) in sums.iter_mut().zip(factors) {
                        *sum = value.mul_add(factor, *sum);
                    }
                }
                a = a.add(a_col);
                b = b.add(b_row);
            }
            (skip, left) = (0, left - steps);
            if left == 0 {
                break;
            }
        }
        let scale = V::splat(product.scale);
        for (row, sums) in sums.iter().enumerate() {
            for (col, sum) in sums.iter().enumerate() {
                let to = c.add(row * c_row + col * V::LANES);
                let before = match start {
                    Start::Zero => V::splat(0.0),
                    Start::Bias(bias) => V::load(bias.add(col * V::LANES)),
                    Start::Itself => V::load(to),
                };
                sum.mul_add(scale, before).store(to);
            }
        }
    }
}

/// As many numbers as one instruction works on. Its functions need the instructions and, where they take an address, memory there.
trait Vector: Copy {
    const LANES: usize;
    /// Rows of a tile.
    const ROWS: usize;
    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// `self · factor + summand`
    unsafe fn mul_add(self, factor: Self, summand: Self) -> Self;
}

/// The instructions of a vector type.
#[cfg(target_arch = "x86_64")]
macro_rules! vector {
    ($vector:ty, $lanes:literal, $rows:literal, $splat:ident, $load:ident, $store:ident, $mul_add:ident) => {
        impl Vector for $vector {
            const LANES: usize = $lanes;
            const ROWS: usize = $rows;

            #[inline(always)]
            unsafe fn splat(value: f32) -> Self {
                // SAFETY: as the caller promises.
                unsafe { $splat(value) }
            }

            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: as the caller promises.
                unsafe { $load(from) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                // SAFETY: as the caller promises.
                unsafe { $store(to, self) }
            }

            #[inline(always)]
            unsafe fn mul_add(self, factor: Self, summand: Self) -> Self {
                // SAFETY: as the caller promises.
                unsafe { $mul_add(self, factor, summand) }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
vector!(__m512, 16, 8, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_fmadd_ps);
#[cfg(target_arch = "x86_64")]
vector!(__m256, 8, 6, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps);

/// Four numbers that the compiler knows as an array.
#[derive(Clone, Copy)]
struct Four([f32; 4]);

impl Vector for Four {
    const LANES: usize = 4;
    const ROWS: usize = 4;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; 4])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as the caller promises.
        Self(unsafe { from.cast::<[f32; 4]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as the caller promises.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, summand: Self) -> Self {
        let Self(mut sum) = summand;
        for ((sum, value), factor) in sum.iter_mut().zip(self.0).zip(factor.0) {
            *sum += value * factor;
        }
        Self(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, step: f32) -> Vec<f32> {
        (0..count).map(|index| (index as f32 * step).sin()).collect()
    }

    #[test]
    fn all_instructions_of_this_machine_give_the_same_products() {
        for instructions in Instructions::all_here() {
            for [rows, inner, cols] in [[1, 1, 1], [7, 5, 3], [8, 200, 16], [13, 192, 33], [250, 3, 40], [6, 385, 70]] {
                for turned in [false, true] {
                    agree(instructions, [rows, inner, cols], turned);
                }
            }
        }
    }

    /// `c = bias + 2 a b`, then `c += 2 a b`, inside of a larger matrix.
    fn agree(instructions: Instructions, [rows, inner, cols]: [usize; 3], turned: bool) {
        let width = instructions.panel_width();
        let b_row = cols.next_multiple_of(width);
        let (a, bias) = (numbers(rows * inner, 0.3), numbers(cols, 0.5));
        let b: Vec<f32> =
            numbers(inner * b_row, 0.7).into_iter().enumerate().map(|(at, b)| if at % b_row < cols { b } else { 0.0 }).collect();
        let a_strides = if turned { [1, rows] } else { [inner, 1] };
        let c_row = cols + 1;
        // In pieces, the last one first.
        let piece = |from: usize, to: usize| Stretch { a: from * a_strides[1], b: from, len: to - from };
        let stretches = [piece(inner / 3, inner), piece(inner / 3, inner / 3), piece(0, inner / 3)];
        let mut c = vec![9.0; rows * c_row];
        let mut product = Product {
            rows,
            inner: &stretches,
            cols,
            a: a.as_ptr(),
            a_strides,
            b: Right { first: b.as_ptr(), panel_stride: width, row_stride: b_row },
            c: c.as_mut_ptr(),
            c_row,
            scale: 2.0,
            start: Start::Bias(bias.as_ptr()),
        };
        for start in [product.start, Start::Itself] {
            product.start = start;
            // SAFETY: the matrices are as large as their sizes say; the instructions are there.
            unsafe { run_with(instructions, &product) }
        }
        for (row, c) in c.chunks_exact(c_row).enumerate() {
            for (col, have) in c[..cols].iter().enumerate() {
                let a_at = |step: usize| a[row * a_strides[0] + step * a_strides[1]];
                let sum: f64 = (0..inner).map(|step| f64::from(a_at(step)) * f64::from(b[step * b_row + col])).sum();
                let want = f64::from(bias[col]) + 4.0 * sum;
                let what = format!("{instructions:?} {rows}x{inner}x{cols} at {row}, {col}");
                assert!((f64::from(*have) - want).abs() < 1e-5 * inner as f64 + 1e-6, "{what}: {have}, not {want}");
            }
            assert_eq!(c[cols], 9.0, "{instructions:?} writes beside a row");
        }
    }
}
