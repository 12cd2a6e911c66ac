//! The single-threaded matrix product. Splitting rows over threads and leaving each part to one thread beats a threaded product by far
//! on few cores (140–150 against 83 GFLOP/s on two).
#![expect(unsafe_code, reason = "gemm takes raw pointers; the views check that they stay inside their slices")]

use gemm::Parallelism;

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

/// `c = scale · a b` on the calling thread.
///
/// # Panics
/// If the shapes do not fit.
pub fn product(mut c: ViewMut, a: View, b: View, scale: f32) {
    run(&mut c, a, b, scale, false);
}

/// `c += scale · a b` on the calling thread.
///
/// # Panics
/// If the shapes do not fit.
pub fn add_product(mut c: ViewMut, a: View, b: View, scale: f32) {
    run(&mut c, a, b, scale, true);
}

/// `c = a b` on the calling thread. Shapes: `a [rows, inner]`, `b [inner, cols]`, `c [rows, cols]`, all in row-major order.
///
/// # Panics
/// If a slice is not as long as its shape says.
pub fn multiply(c: &mut [f32], a: &[f32], b: &[f32], [rows, inner, cols]: [usize; 3]) {
    product(ViewMut::new(c, [rows, cols]), View::new(a, [rows, inner]), View::new(b, [inner, cols]), 1.0);
}

fn run(c: &mut ViewMut, a: View, b: View, scale: f32, add: bool) {
    let ([rows, inner], [_, cols]) = (a.shape, b.shape);
    assert!(c.shape == [rows, cols] && b.shape[0] == inner, "shapes of a product do not fit");
    if rows == 0 || cols == 0 {
        return;
    }
    let [a_row, a_col] = a.strides.map(|stride| stride as isize);
    let [b_row, b_col] = b.strides.map(|stride| stride as isize);
    // SAFETY: a view's strides address only elements of its slice, which was checked when it was made, and `c` is borrowed exclusively.
    unsafe {
        gemm::gemm(
            rows,
            cols,
            inner,
            c.values.as_mut_ptr(),
            1,
            c.row_stride as isize,
            add,
            a.values.as_ptr(),
            a_col,
            a_row,
            b.values.as_ptr(),
            b_col,
            b_row,
            if add { 1.0 } else { 0.0 },
            scale,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_agree_with_loops() {
        let (rows, inner, cols) = (5, 7, 3);
        let a: Vec<f32> = (0..rows * inner).map(|i| (i as f32 * 0.37).sin()).collect();
        let b: Vec<f32> = (0..inner * cols).map(|i| (i as f32 * 0.73).cos()).collect();
        let transposed: Vec<f32> = (0..cols * inner).map(|i| b[i % inner * cols + i / inner]).collect();
        let (mut plain, mut from_transposed) = (vec![0.0; rows * cols], vec![9.0; rows * cols]);
        multiply(&mut plain, &a, &b, [rows, inner, cols]);
        let b_again = View::new(&transposed, [cols, inner]).transposed();
        product(ViewMut::new(&mut from_transposed, [rows, cols]), View::new(&a, [rows, inner]), b_again, 1.0);
        let (mut inside, wide) = (vec![1.0; rows * 4], 4);
        add_product(ViewMut::strided(&mut inside, [rows, cols], wide), View::new(&a, [rows, inner]), View::new(&b, [inner, cols]), 2.0);
        for i in 0..rows * cols {
            let (row, col) = (i / cols, i % cols);
            let expected: f32 = (0..inner).map(|k| a[row * inner + k] * b[k * cols + col]).sum();
            assert!((plain[i] - expected).abs() < 1e-5 && (from_transposed[i] - expected).abs() < 1e-5);
            assert!((inside[row * wide + col] - 1.0 - 2.0 * expected).abs() < 1e-5);
        }
        assert!((0..rows).all(|row| inside[row * wide + 3] == 1.0), "written outside the matrix");
    }

    #[test]
    #[should_panic(expected = "inside")]
    fn a_matrix_outside_its_slice_is_refused() {
        View::strided(&[0.0; 8], [3, 3], 3);
    }
}
