//! Batch normalization of features by the statistics of the batch they come in (Ioffe and Szegedy, 2015). It is made for heads, which are
//! thrown away after pre-training: no running statistics are kept, and a teacher's head uses those of its own batch, as in BYOL.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::linear::parameter;

/// What is learned besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Affine {
    /// Nothing.
    Nothing,
    /// A factor for each number.
    Scale,
    /// A factor and a shift.
    Both,
}

/// Normalization of every column over a batch's rows.
#[derive(Module, Debug)]
pub struct BatchNorm {
    /// `[W]`, starts at one.
    pub weight: Option<Param<Tensor<1>>>,
    /// `[W]`, starts at zero.
    pub bias: Option<Param<Tensor<1>>>,
}

impl BatchNorm {
    /// PyTorch's.
    const EPS: f64 = 1e-5;

    /// Ones and zeros.
    pub fn new(width: usize, affine: Affine, device: &Device) -> Self {
        Self {
            weight: (affine != Affine::Nothing).then(|| parameter(vec![1.0; width], [width], device)),
            bias: (affine == Affine::Both).then(|| parameter(vec![0.0; width], [width], device)),
        }
    }

    /// Shapes: `x [M, W]` to the same.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let centered = x.clone() - x.mean_dim(0);
        let variance = (centered.clone() * centered.clone()).mean_dim(0);
        let mut y = centered / (variance + Self::EPS).sqrt();
        if let Some(weight) = &self.weight {
            y = y * weight.val().unsqueeze::<2>();
        }
        match &self.bias {
            Some(bias) => y + bias.val().unsqueeze::<2>(),
            None => y,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::model_file::to_host;

    #[test]
    fn columns_get_mean_zero_and_variance_one() {
        let device = Device::flex();
        let x = Tensor::<2>::from_floats([[1.0, 10.0], [2.0, 10.0], [3.0, 10.0], [6.0, 10.0]], &device);
        let y = to_host(BatchNorm::new(2, Affine::Both, &device).forward(x)).unwrap();
        // Mean 3, variance (4 + 1 + 0 + 9) / 4 = 3.5.
        for (have, want) in y.iter().step_by(2).zip([-2.0, -1.0, 0.0, 3.0]) {
            assert!((have - want / 3.5_f32.sqrt()).abs() < 1e-4, "{y:?}");
        }
        assert!(y.iter().skip(1).step_by(2).all(|&value| value == 0.0), "a column without differences is zero");
        assert!(BatchNorm::new(2, Affine::Nothing, &device).weight.is_none() && BatchNorm::new(2, Affine::Scale, &device).bias.is_none());
    }
}
