//! The operations of convolutional networks, forward and gradients, against plain tensor operations and finite differences.

use burn::tensor::{Device, Tensor};

use super::tests::{Inputs, check, next, random};
use super::{Normalization, Window, reference};

type Convolve = fn(Tensor<3>, Tensor<4>, Window) -> Tensor<3>;
type Pool = fn(Tensor<3>, Window) -> Tensor<3>;

#[test]
fn convolution() {
    let window = |grid: [usize; 2], side: usize, stride: usize, padding: usize| Window { grid, side, stride, padding };
    for (batch, window, channels, outputs) in [
        (1, window([1, 1], 1, 1, 0), 1, 1),
        (2, window([5, 7], 3, 1, 1), 3, 4),
        (3, window([9, 6], 3, 2, 1), 5, 33),
        (2, window([8, 8], 1, 1, 0), 40, 17),
        (2, window([7, 9], 1, 2, 0), 6, 8),
        (2, window([17, 15], 7, 2, 3), 3, 16),
        (1, window([2, 3], 5, 1, 2), 2, 3),
        (2, window([6, 6], 3, 1, 0), 4, 4),
        (1, window([16, 16], 3, 1, 1), 64, 72),
        // Rows of products are images: 17 of them, more than two tasks, maps with more places than runs.
        (17, window([2, 2], 3, 1, 1), 16, 24),
        (34, window([4, 4], 3, 2, 1), 17, 5),
        (16, window([5, 7], 3, 2, 0), 16, 16),
        (16, window([6, 3], 5, 1, 2), 18, 17),
        (16, window([1, 1], 3, 1, 1), 16, 3),
        // Pixels that nothing sees, padding that sees nothing, windows larger than images.
        (2, window([7, 6], 2, 3, 0), 3, 4),
        (16, window([7, 6], 2, 3, 0), 16, 16),
        (1, window([6, 6], 1, 1, 1), 3, 2),
        (2, window([3, 3], 2, 1, 2), 1, 3),
        (16, window([6, 5], 1, 3, 0), 16, 4),
        // Several blocks of images.
        (3, window([40, 41], 3, 1, 1), 2, 300),
    ] {
        let of = |convolve: Convolve| {
            move |tensors: Vec<Tensor<1>>| {
                let mut tensors = tensors.into_iter();
                let x = next(&mut tensors, [batch, window.pixels(), channels]);
                convolve(x, next(&mut tensors, [outputs, channels, window.side, window.side]), window).reshape([-1])
            }
        };
        let shapes: Inputs = &[(&[batch, window.pixels(), channels], 1.0), (&[outputs, channels, window.side, window.side], 0.2)];
        check(&format!("{window:?}"), shapes, &of(super::convolution), &of(reference::convolution));
    }
}

#[test]
fn of_a_window_larger_than_the_image_only_the_part_inside_counts() {
    let device = Device::flex();
    for (batch, channels) in [(1, 2), (16, 16)] {
        let window = Window { grid: [2, 3], side: 5, stride: 1, padding: 0 };
        let (x, weight) = (Tensor::ones([batch, 6, channels], &device), Tensor::ones([4, channels, 5, 5], &device));
        let y = super::convolution(x, weight, window).into_data().try_into_vec::<f32>().unwrap();
        assert_eq!(y, vec![6.0 * channels as f32; batch * 4]);
    }
}

#[test]
fn what_is_not_a_number_spreads_to_the_windows_that_see_it() {
    let device = Device::flex();
    for (batch, channels) in [(2, 3), (16, 16)] {
        let window = Window { grid: [5, 6], side: 3, stride: 1, padding: 1 };
        let mut x = vec![1.0; batch * 30 * channels];
        // The second image's pixel in row 2 and column 5.
        x[(30 + 2 * 6 + 5) * channels] = f32::NAN;
        let x = Tensor::<1>::from_floats(&x[..], &device).reshape([batch, 30, channels]);
        let y = super::convolution(x, Tensor::ones([2, channels, 3, 3], &device), window).into_data().try_into_vec::<f32>().unwrap();
        for (index, y) in y.into_iter().enumerate() {
            let (image, row, column) = (index / 60, index / 12 % 5, index / 2 % 6);
            let sees = image == 1 && (1..=3).contains(&row) && column >= 4;
            assert_eq!(y.is_nan(), sees, "image {image}, row {row}, column {column}");
        }
    }
}

#[test]
fn max_pool() {
    for (grid, side, stride, padding) in [([5, 7], 3, 2, 1), ([8, 8], 2, 2, 0), ([4, 4], 3, 1, 1)] {
        let window = Window { grid, side, stride, padding };
        let of =
            |pool: Pool| move |tensors: Vec<Tensor<1>>| pool(next(&mut tensors.into_iter(), [2, window.pixels(), 3]), window).reshape([-1]);
        // Far apart, so that the steps of the finite differences do not change which one is the largest.
        check(&format!("{window:?}"), &[(&[2, window.pixels(), 3], 20.0)], &of(super::max_pool), &of(reference::max_pool));
    }
}

#[test]
fn the_first_of_equals_gets_the_gradient() {
    let device = Device::flex().autodiff();
    let x = Tensor::<3>::from_data([[[1.0], [1.0], [1.0], [0.5]]], &device).require_grad();
    let window = Window { grid: [2, 2], side: 2, stride: 2, padding: 0 };
    let gradients = super::max_pool(x.clone(), window).sum().backward();
    assert_eq!(x.grad(&gradients).unwrap().into_data().try_into_vec::<f32>().unwrap(), [1.0, 0.0, 0.0, 0.0]);
    let with_nan = Tensor::<3>::from_data([[[f32::NAN], [1.0], [1.0], [0.5]]], &device);
    assert!(super::max_pool(with_nan, window).into_data().try_into_vec::<f32>().unwrap()[0].is_nan());
}

#[test]
fn batch_norm() {
    for (relu, own_moments, has_residual) in [(false, true, false), (true, true, true), (true, false, false), (false, false, true)] {
        for [batch, places, channels] in [[2, 3, 5], [3, 190, 17]] {
            let settings = Normalization { eps: 0.1, relu, own_moments };
            let of = |fused: bool| {
                move |tensors: Vec<Tensor<1>>| {
                    let mut tensors = tensors.into_iter();
                    let x: Tensor<3> = next(&mut tensors, [batch, places, channels]);
                    let affine = [next(&mut tensors, [channels]), next(&mut tensors, [channels])];
                    let residual = has_residual.then(|| next(&mut tensors, [batch, places, channels]));
                    let device = x.device().without_autodiff();
                    let given = [vec![0.5; channels], vec![2.0; channels]].concat();
                    let given = Tensor::<1>::from_floats(&given[..], &device).reshape([2, channels]);
                    let moments = if own_moments { super::column_moments(x.clone()) } else { given };
                    let norm = if fused { super::batch_norm } else { reference::batch_norm };
                    norm(x, moments, affine, residual, settings).reshape([-1])
                }
            };
            let (map, column): (&[usize], &[usize]) = (&[batch, places, channels], &[channels]);
            let mut shapes = vec![(map, 2.0), (column, 1.0), (column, 1.0)];
            shapes.extend(has_residual.then_some((map, 1.0)));
            check(&format!("{settings:?}"), &shapes, &of(true), &of(false));
        }
    }
}

#[test]
fn moments_far_from_zero_are_exact() {
    let values: Vec<f32> = random(3 * 500, 1.0, 5).into_iter().map(|value| value + 1000.0).collect();
    let exact = |values: &mut dyn Iterator<Item = f64>| {
        let values: Vec<f64> = values.collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        (mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64)
    };
    let x = Tensor::<1>::from_floats(&values[..], &Device::flex()).reshape([1, 500, 3]);
    let have = super::column_moments(x).into_data().try_into_vec::<f32>().unwrap();
    for column in 0..3 {
        let (mean, variance) = exact(&mut values.iter().skip(column).step_by(3).map(|&value| f64::from(value)));
        assert!((f64::from(have[column]) - mean).abs() < 1e-4, "{have:?}");
        assert!((f64::from(have[3 + column]) / variance - 1.0).abs() < 1e-4, "{} instead of {variance}", have[3 + column]);
    }
}

#[test]
fn pixels_around_the_image_are_not_seen() {
    let seen = |grid: [usize; 2], [side, stride, padding]: [usize; 3]| Window { grid, side, stride, padding }.pixels_seen();
    assert_eq!(seen([2, 2], [3, 1, 1]), 16, "four places of four pixels each");
    assert_eq!(seen([5, 7], [1, 1, 0]), 35);
    assert_eq!(seen([8, 6], [3, 1, 1]), (3 * 8 - 2) * (3 * 6 - 2));
    // Along an axis, the first two places lose three and one, and the last one two.
    assert_eq!(seen([64, 64], [7, 2, 3]), (7 * 32 - 6) * (7 * 32 - 6));
}
