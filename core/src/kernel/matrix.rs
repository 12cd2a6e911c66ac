//! Matrix products. Rows are split over threads and each part is computed by one thread; the right operand, which all parts share, is laid
//! out once in the order in which tiles read it ([`Panels`]). A result does not depend on how rows are split.
#![expect(unsafe_code, reason = "tiles take addresses; the views check that they stay inside their slices")]

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::pool::Pooled;
pub use super::tile::Stretch;
use super::tile::{self, Instructions, Product, Right, Start};

/// A matrix that lies somewhere inside a slice.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    values: &'a [f32],
    shape: [usize; 2],
    strides: [usize; 2],
}

/// A matrix to be written, in row-major order inside a slice.
#[derive(Debug)]
pub struct ViewMut<'a> {
    values: &'a mut [f32],
    shape: [usize; 2],
    row_stride: usize,
}

impl<'a> View<'a> {
    /// A slice in row-major order.
    ///
    /// # Panics
    /// If the slice is not as long as its shape says.
    pub fn new(values: &'a [f32], shape: [usize; 2]) -> Self {
        assert_eq!(values.len(), shape[0] * shape[1], "a matrix is not as large as its shape");
        Self::strided(values, shape, shape[1])
    }

    /// The matrix that begins with the slice and whose rows begin `row_stride` apart.
    ///
    /// # Panics
    /// If it does not lie inside the slice.
    pub fn strided(values: &'a [f32], shape: [usize; 2], row_stride: usize) -> Self {
        assert!(fits(values.len(), shape, row_stride), "a matrix does not lie inside its slice");
        Self { values, shape, strides: [row_stride, 1] }
    }

    /// Rows as columns.
    pub fn transposed(self) -> Self {
        let ([rows, cols], [row_stride, col_stride]) = (self.shape, self.strides);
        Self { values: self.values, shape: [cols, rows], strides: [col_stride, row_stride] }
    }

    /// `count` rows from `first` on.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn rows(self, first: usize, count: usize) -> Self {
        assert!(first + count <= self.shape[0], "rows outside of a matrix");
        let values = if count == 0 { &[] } else { &self.values[first * self.strides[0]..] };
        Self { values, shape: [count, self.shape[1]], strides: self.strides }
    }
}

impl<'a> ViewMut<'a> {
    /// A slice in row-major order.
    ///
    /// # Panics
    /// If the slice is not as long as its shape says.
    pub fn new(values: &'a mut [f32], shape: [usize; 2]) -> Self {
        assert_eq!(values.len(), shape[0] * shape[1], "a matrix is not as large as its shape");
        Self::strided(values, shape, shape[1])
    }

    /// The matrix that begins with the slice and whose rows begin `row_stride` apart.
    ///
    /// # Panics
    /// If it does not lie inside the slice or its rows overlap.
    pub fn strided(values: &'a mut [f32], shape: [usize; 2], row_stride: usize) -> Self {
        assert!(fits(values.len(), shape, row_stride), "a matrix does not lie inside its slice");
        assert!(row_stride >= shape[1], "rows overlap");
        Self { values, shape, row_stride }
    }
}

fn fits(len: usize, [rows, cols]: [usize; 2], row_stride: usize) -> bool {
    rows == 0 || cols == 0 || (rows - 1) * row_stride + cols <= len
}

/// The right operand of products: panels of as many columns as a tile has, each with its rows one after the other, the last one filled up
/// with zeros.
#[derive(Debug, Default)]
pub struct Panels {
    values: Pooled,
    shape: [usize; 2],
}

impl Panels {
    /// Lays a matrix out, on all threads if it is large.
    pub fn new(b: View) -> Self {
        let mut panels = Self::default();
        panels.set(b);
        panels
    }

    /// Lays out the matrix that has these rows.
    pub fn of_rows<'a>(shape: [usize; 2], row: impl Fn(usize) -> &'a [f32] + Sync) -> Self {
        let mut panels = Self::default();
        panels.set_with(shape, |values, first, width| fill_from_rows(values, &row, first..shape[1].min(first + width), width));
        panels
    }

    /// Lays a matrix out in the memory of the one before.
    pub fn set(&mut self, b: View) {
        self.set_with(b.shape, |values, first, width| fill(values, b, first, width));
    }

    /// `fill` writes the panel whose first column is that.
    fn set_with(&mut self, shape: [usize; 2], fill: impl Fn(&mut [f32], usize, usize) + Sync) {
        const MANY: usize = 1 << 16;
        let ([inner, cols], width) = (shape, Instructions::here().panel_width());
        self.shape = shape;
        let len = cols.div_ceil(width) * inner * width;
        if self.values.len() < len {
            self.values = Pooled::new(len);
        }
        let values = &mut self.values[..len];
        let size = (inner * width).max(1);
        // Smaller ones are not worth waking another thread for.
        if inner * cols < MANY {
            values.chunks_exact_mut(size).enumerate().for_each(|(panel, values)| fill(values, panel * width, width));
        } else {
            values.par_chunks_exact_mut(size).enumerate().for_each(|(panel, values)| fill(values, panel * width, width));
        }
    }

    fn right(&self) -> Right {
        let width = Instructions::here().panel_width();
        Right { first: self.values.as_ptr(), panel_stride: self.shape[0] * width, row_stride: width }
    }
}

/// Copies these columns of rows.
fn fill_from_rows<'a>(values: &mut [f32], of_row: impl Fn(usize) -> &'a [f32], columns: Range<usize>, width: usize) {
    for (row, values) in values.chunks_exact_mut(width).enumerate() {
        let (values, rest) = values.split_at_mut(columns.len());
        values.copy_from_slice(&of_row(row)[columns.clone()]);
        rest.fill(0.0);
    }
}

/// Copies the columns of `b` from `first` on, `width` of them.
fn fill(values: &mut [f32], b: View, first: usize, width: usize) {
    let cols = width.min(b.shape[1] - first);
    if let [row_stride, 1] = b.strides {
        return fill_from_rows(values, |row| &b.values[row * row_stride..], first..first + cols, width);
    }
    // The other views are turned ones.
    if cols < width {
        values.fill(0.0);
    }
    let whole = cols / 4 * 4;
    let column = |col: usize| &b.values[(first + col) * b.strides[1]..][..b.shape[0]];
    for col in (0..whole).step_by(4) {
        turn_four(&mut values[col..], [0, 1, 2, 3].map(|next| column(col + next)), width);
    }
    for col in whole..cols {
        column(col).iter().enumerate().for_each(|(row, value)| values[row * width + col] = *value);
    }
}

/// Writes four columns into rows that begin `width` apart. Four numbers of each at a time, which are turned in registers: that takes a
/// third of the time of one by one.
fn turn_four(to: &mut [f32], columns: [&[f32]; 4], width: usize) {
    let blocks = columns.map(|column| column.as_chunks::<4>().0);
    for (index, to) in to.chunks_mut(4 * width).enumerate().take(blocks[0].len()) {
        let [a, b, c, d] = blocks.map(|blocks| blocks[index]);
        for step in 0..4 {
            to[step * width..][..4].copy_from_slice(&[a[step], b[step], c[step], d[step]]);
        }
    }
    for row in blocks[0].len() * 4..columns[0].len() {
        to[row * width..][..4].copy_from_slice(&columns.map(|column| column[row]));
    }
}

/// What a product is added to.
#[derive(Debug, Clone, Copy)]
pub enum Onto<'a> {
    /// Nothing: what was there is overwritten.
    Nothing,
    /// One number for each column.
    Bias(&'a [f32]),
    /// What is there.
    Itself,
}

/// `c = scale · a b` on the calling thread, laying `b` out first where that is needed.
///
/// # Panics
/// If the shapes do not fit.
pub fn product(mut c: ViewMut, a: View, b: View, scale: f32) {
    thread_local! {
        static PANELS: RefCell<Panels> = RefCell::default();
    }
    let lanes = Instructions::here().lanes();
    // Rows in which every vector is whole can be read where they are.
    if b.strides[1] == 1 && b.shape[1].is_multiple_of(lanes) && b.shape[0] > 0 {
        let right = Right { first: b.values.as_ptr(), panel_stride: 2 * lanes, row_stride: b.strides[0] };
        return run(&mut c, a, b.shape, right, scale, Onto::Nothing);
    }
    PANELS.with_borrow_mut(|panels| {
        panels.set(b);
        run(&mut c, a, panels.shape, panels.right(), scale, Onto::Nothing);
    });
}

/// `c = onto + a b` on the calling thread.
///
/// # Panics
/// If the shapes do not fit.
pub fn multiply(mut c: ViewMut, a: View, b: &Panels, onto: Onto) {
    run(&mut c, a, b.shape, b.right(), 1.0, onto);
}

/// `c = onto + a b`, where a is made of parts of a slice: of each stretch of the common axis, the matrix of as many rows as `c` that begins
/// there, with these strides of rows and columns.
///
/// # Panics
/// If the shapes do not fit.
pub fn multiply_stretches(mut c: ViewMut, (a, a_strides): (&[f32], [usize; 2]), stretches: &[Stretch], b: &Panels, onto: Onto) {
    let last_row = c.shape[0].saturating_sub(1) * a_strides[0];
    let is_inside = |stretch: &Stretch| {
        stretch.len == 0 || (stretch.a + last_row + (stretch.len - 1) * a_strides[1] < a.len() && stretch.b + stretch.len <= b.shape[0])
    };
    assert!(c.shape[1] == b.shape[1] && stretches.iter().all(is_inside), "a product goes beyond its operands");
    run_stretches(&mut c, (a, a_strides), stretches, b.right(), 1.0, onto);
}

/// `c = onto + a b` with the rows of `c` split over all threads. `c` is in row-major order: `[rows, cols]`.
///
/// # Panics
/// If the shapes do not fit.
pub fn multiply_in_parallel(c: &mut [f32], a: View, b: &Panels, onto: Onto) {
    let cols = b.shape[1];
    let part = rows_per_part(a.shape[0]);
    c.par_chunks_mut((part * cols).max(1)).enumerate().for_each(|(index, c)| {
        let rows = c.len() / cols;
        multiply(ViewMut::new(c, [rows, cols]), a.rows(index * part, rows), b, onto);
    });
}

/// Rows of a part when they are split over the threads: twice as many parts as threads, so that one that was held up does not keep the
/// others waiting for long, none of fewer rows than are worth a thread, and whole tiles.
pub fn rows_per_part(rows: usize) -> usize {
    const FEW: usize = 48;
    rows.div_ceil(rayon::current_num_threads() * 2).max(FEW).next_multiple_of(24)
}

fn run(c: &mut ViewMut, a: View, [inner, cols]: [usize; 2], b: Right, scale: f32, onto: Onto) {
    assert!(c.shape == [a.shape[0], cols] && a.shape[1] == inner, "shapes of a product do not fit");
    run_stretches(c, (a.values, a.strides), &[Stretch { a: 0, b: 0, len: inner }], b, scale, onto);
}

/// Whoever calls it has checked that the stretches lie inside both operands.
fn run_stretches(c: &mut ViewMut, (a, a_strides): (&[f32], [usize; 2]), inner: &[Stretch], b: Right, scale: f32, onto: Onto) {
    let [rows, cols] = c.shape;
    if rows == 0 || cols == 0 {
        return;
    }
    let start = match onto {
        Onto::Nothing => Start::Zero,
        Onto::Bias(bias) => {
            assert_eq!(bias.len(), cols, "one bias for each column");
            Start::Bias(bias.as_ptr())
        }
        Onto::Itself => Start::Itself,
    };
    let (c_row, c) = (c.row_stride, c.values.as_mut_ptr());
    let product = Product { rows, inner, cols, a: a.as_ptr(), a_strides, b, c, c_row, scale, start };
    // SAFETY: a view's strides address only elements of its slice, which was checked when it was made or, for stretches of one, by the
    // caller, and so do those of panels, which are as large as their shape says and whose last one is filled up; a view taken for `b` has
    // whole vectors. `c` is borrowed exclusively.
    unsafe { tile::run(&product) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, step: f32) -> Vec<f32> {
        (0..count).map(|index| (index as f32 * step).sin()).collect()
    }

    fn transposed(values: &[f32], [rows, cols]: [usize; 2]) -> Vec<f32> {
        (0..rows * cols).map(|index| values[index % rows * cols + index / rows]).collect()
    }

    #[test]
    fn products_agree_with_loops_for_all_kinds_of_edges() {
        for rows in [1, 7, 8, 13, 250] {
            for inner in [1, 5, 192, 400] {
                for cols in [1, 15, 16, 32, 33, 50, 64] {
                    agree([rows, inner, cols]);
                }
            }
        }
    }

    fn agree([rows, inner, cols]: [usize; 3]) {
        let (a, b, bias) = (numbers(rows * inner, 0.37), numbers(inner * cols, 0.73), numbers(cols, 0.5));
        let expected: Vec<f32> = (0..rows * cols)
            .map(|index| {
                (0..inner).map(|k| f64::from(a[index / cols * inner + k]) * f64::from(b[k * cols + index % cols])).sum::<f64>() as f32
            })
            .collect();
        let check = |what: &str, have: &[f32], of: &dyn Fn(usize) -> f32| {
            for (index, have) in have.iter().enumerate() {
                let want = of(index);
                assert!((have - want).abs() < 1e-5 * inner as f32, "{what} {rows}x{inner}x{cols}, {index}: {have}, not {want}");
            }
        };
        let (a_turned, b_turned) = (transposed(&a, [rows, inner]), transposed(&b, [inner, cols]));
        let a_views = [View::new(&a, [rows, inner]), View::new(&a_turned, [inner, rows]).transposed()];
        let b_views = [View::new(&b, [inner, cols]), View::new(&b_turned, [cols, inner]).transposed()];
        for (a, b) in a_views.into_iter().flat_map(|a| b_views.map(|b| (a, b))) {
            let mut c = vec![f32::NAN; rows * cols];
            product(ViewMut::new(&mut c, [rows, cols]), a, b, 2.0);
            check("product", &c, &|index| 2.0 * expected[index]);
            let panels = Panels::new(b);
            multiply_in_parallel(&mut c, a, &panels, Onto::Bias(&bias));
            check("with a bias", &c, &|index| expected[index] + bias[index % cols]);
            let wide = cols + 3;
            let mut inside = vec![1.0; rows * wide];
            multiply(ViewMut::strided(&mut inside, [rows, cols], wide), a, &panels, Onto::Itself);
            check("inside", &inside, &|index| 1.0 + if index % wide < cols { expected[index / wide * cols + index % wide] } else { 0.0 });
        }
    }

    #[test]
    fn nothing_in_common_is_what_was_there_before() {
        let mut c = [3.0; 4];
        let (a, b) = (View::new(&[], [2, 0]), Panels::new(View::new(&[], [0, 2])));
        multiply(ViewMut::new(&mut c, [2, 2]), a, &b, Onto::Itself);
        assert_eq!(c, [3.0; 4]);
        multiply(ViewMut::new(&mut c, [2, 2]), a, &b, Onto::Bias(&[1.0, 2.0]));
        assert_eq!(c, [1.0, 2.0, 1.0, 2.0]);
    }

    #[test]
    #[should_panic(expected = "inside")]
    fn a_matrix_outside_its_slice_is_refused() {
        View::strided(&[0.0; 8], [3, 3], 3);
    }
}
