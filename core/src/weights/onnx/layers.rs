//! The layers that networks have in common, as operators.

use std::f32::consts::SQRT_2;

use super::builder::{Builder, whole};
use super::model::Attribute;
use crate::backbone::block::Activation;
use crate::error::Result;

/// A linear layer on the host.
pub struct Dense {
    /// I and O.
    sizes: [usize; 2],
    /// `[O, I]`
    weight: Vec<f32>,
    /// `[O]`
    bias: Option<Vec<f32>>,
}

/// The window of a convolution or of what else looks at squares of a map.
#[derive(Clone, Copy)]
pub struct Square {
    /// Its rows and columns.
    pub side: usize,
    /// From one place to the next.
    pub stride: usize,
    /// Around the map.
    pub padding: usize,
}

impl Dense {
    /// Multiplies the results by `factors [O]`.
    pub fn scale(&mut self, factors: &[f32]) {
        self.weight.chunks_exact_mut(self.sizes[0].max(1)).zip(factors).for_each(|(row, factor)| row.iter_mut().for_each(|w| *w *= factor));
        self.bias.iter_mut().flatten().zip(factors).for_each(|(bias, factor)| *bias *= factor);
    }

    /// Takes the second third of the bias away.
    pub fn without_key_bias(&mut self) {
        let width = self.sizes[1] / 3;
        self.bias.iter_mut().for_each(|bias| bias[width..2 * width].fill(0.0));
    }
}

impl Square {
    /// Squares that lie side by side.
    pub fn tile(side: usize) -> Self {
        Self { side, stride: side, padding: 0 }
    }

    fn attributes(self) -> [(&'static str, Attribute); 3] {
        let ints = |value: usize, count: usize| Attribute::Ints(vec![value as i64; count]);
        [("kernel_shape", ints(self.side, 2)), ("strides", ints(self.stride, 2)), ("pads", ints(self.padding, 4))]
    }
}

impl Builder<'_> {
    /// A linear layer of the weights. Shapes: `x [.., I]` to `[.., O]`.
    ///
    /// # Errors
    /// As [`Builder::parameter`].
    pub fn linear(&mut self, at: &str, x: &str, sizes: [usize; 2]) -> Result<String> {
        let dense = self.dense(at, sizes, true)?;
        self.product(at, x, dense)
    }

    /// A linear layer of the weights, to be changed before it is used.
    ///
    /// # Errors
    /// As [`Builder::take`].
    pub fn dense(&mut self, at: &str, [inputs, outputs]: [usize; 2], has_bias: bool) -> Result<Dense> {
        let weight = self.take(&format!("{at}.weight"), &[outputs, inputs])?;
        let bias = if has_bias { Some(self.take(&format!("{at}.bias"), &[outputs])?) } else { None };
        Ok(Dense { sizes: [inputs, outputs], weight, bias })
    }

    /// Shapes: `x [.., I]` to `[.., O]`.
    ///
    /// # Errors
    /// As [`Builder::learned`].
    pub fn product(&mut self, at: &str, x: &str, dense: Dense) -> Result<String> {
        let Dense { sizes: [inputs, outputs], weight, bias } = dense;
        let transposed = (0..inputs * outputs).map(|place| weight[place % outputs * inputs + place / outputs]).collect();
        let weight = self.learned(&format!("{at}.weight"), &[inputs, outputs], transposed)?;
        let product = self.node(at, "MatMul", &[x, &weight], &[]);
        let Some(bias) = bias else { return Ok(product) };
        let bias = self.learned(&format!("{at}.bias"), &[outputs], bias)?;
        Ok(self.add(at, &product, &bias))
    }

    /// Shapes: `x [.., D]` to the same.
    ///
    /// # Errors
    /// As [`Builder::parameter`].
    pub fn layer_norm(&mut self, at: &str, x: &str, width: usize, eps: f64) -> Result<String> {
        let [weight, bias] = ["weight", "bias"].map(|part| self.parameter(&format!("{at}.{part}"), &[width]));
        let attributes = [("axis", Attribute::Int(-1)), ("epsilon", Attribute::Float(eps as f32))];
        Ok(self.node(at, "LayerNormalization", &[x, &weight?, &bias?], &attributes))
    }

    /// The exact one, in the form that runtimes recognize and compute at once.
    pub fn gelu(&mut self, at: &str, x: &str) -> String {
        let [root, one, half] = [SQRT_2, 1.0, 0.5].map(|value| self.scalar(value));
        let scaled = self.node(at, "Div", &[x, &root], &[]);
        let erf = self.node(at, "Erf", &[&scaled], &[]);
        let raised = self.add(at, &erf, &one);
        let product = self.node(at, "Mul", &[x, &raised], &[]);
        self.node(at, "Mul", &[&product, &half], &[])
    }

    /// What lies between the layers of an MLP. Shapes: `x [.., hidden]` to the same, `[.., 2 hidden]` to `[.., hidden]` where there is a gate.
    pub fn activated(&mut self, at: &str, x: &str, activation: Activation) -> String {
        if !activation.is_gated() {
            return self.gelu(at, x);
        }
        let [gate, through] = self.nodes(at, "Split", &[x], &[("axis", Attribute::Int(-1))]);
        let gate = match activation {
            Activation::SwiGlu => {
                let sigmoid = self.node(at, "Sigmoid", &[&gate], &[]);
                self.node(at, "Mul", &[&gate, &sigmoid], &[])
            }
            Activation::Gelu | Activation::GeGlu => self.gelu(at, &gate),
        };
        self.node(at, "Mul", &[&gate, &through], &[])
    }

    /// Element by element.
    pub fn add(&mut self, at: &str, a: &str, b: &str) -> String {
        self.node(at, "Add", &[a, b], &[])
    }

    /// A 0 keeps the length of that axis.
    pub fn reshape(&mut self, at: &str, x: &str, shape: &[usize]) -> String {
        let shape = self.list(&whole(shape));
        self.node(at, "Reshape", &[x, &shape], &[])
    }

    /// Axis `order[i]` becomes axis i.
    pub fn transpose(&mut self, at: &str, x: &str, order: &[usize]) -> String {
        self.node(at, "Transpose", &[x], &[("perm", Attribute::Ints(whole(order)))])
    }

    /// Rows of an axis, by their number.
    pub fn gather(&mut self, at: &str, x: &str, axis: usize, rows: &[usize]) -> String {
        let rows = self.list(&whole(rows));
        self.node(at, "Gather", &[x, &rows], &[("axis", Attribute::Int(axis as i64))])
    }

    /// The mean over an axis, which is gone then.
    pub fn mean(&mut self, at: &str, x: &str, axis: i64) -> String {
        self.node(at, "ReduceMean", &[x], &[("axes", Attribute::Ints(vec![axis])), ("keepdims", Attribute::Int(0))])
    }

    /// Shapes: `tokens [B, rows·cols, D]` to `[B, D, rows, cols]`.
    pub fn map_from_tokens(&mut self, at: &str, tokens: &str, width: usize, [rows, cols]: [usize; 2]) -> String {
        let channels_first = self.transpose(at, tokens, &[0, 2, 1]);
        self.reshape(at, &channels_first, &[0, width, rows, cols])
    }

    /// Shapes: `map [B, D, rows, cols]` to `[B, rows·cols, D]`.
    pub fn tokens_from_map(&mut self, at: &str, map: &str, width: usize, [rows, cols]: [usize; 2]) -> String {
        let flat = self.reshape(at, map, &[0, width, rows * cols]);
        self.transpose(at, &flat, &[0, 2, 1])
    }

    /// Shapes: `map [B, C, h, w]` to `[B, O, places]`.
    ///
    /// # Errors
    /// As [`Builder::parameter`].
    pub fn convolution(&mut self, at: &str, map: &str, [inputs, outputs]: [usize; 2], square: Square, has_bias: bool) -> Result<String> {
        let weight = self.parameter(&format!("{at}.weight"), &[outputs, inputs, square.side, square.side])?;
        let bias = if has_bias { Some(self.parameter(&format!("{at}.bias"), &[outputs])?) } else { None };
        let operands: Vec<&str> = [map, &weight].into_iter().chain(bias.as_deref()).collect();
        Ok(self.node(at, "Conv", &operands, &square.attributes()))
    }

    /// An operator that makes one number of each square of a map, without weights.
    pub fn pool(&mut self, at: &str, operator: &'static str, map: &str, square: Square) -> String {
        self.node(at, operator, &[map], &square.attributes())
    }

    /// Patches to tokens. Shapes: `map [B, C, h, w]` to `[B, rows·cols, D]`.
    ///
    /// # Errors
    /// As [`Builder::parameter`].
    pub fn patches(&mut self, at: &str, map: &str, [inputs, width, side]: [usize; 3], grid: [usize; 2]) -> Result<String> {
        let embedded = self.convolution(at, map, [inputs, width], Square::tile(side), true)?;
        Ok(self.tokens_from_map(at, &embedded, width, grid))
    }

    /// Adds what stands for tokens' places, in front of which `prefix` tokens appear that are nothing else. Shapes: `tokens [B, N, D]`,
    /// `table [prefix + N, D]` to `[B, prefix + N, D]`.
    ///
    /// # Errors
    /// As [`Builder::learned`].
    pub fn placed(&mut self, at: &str, tokens: &str, table: Vec<f32>, [prefix, width]: [usize; 2]) -> Result<String> {
        let rows = table.len() / width.max(1);
        let table = self.learned(at, &[1, rows, width], table)?;
        if prefix == 0 {
            return Ok(self.add(at, tokens, &table));
        }
        // Rows of zeros, so that no operator needs to know how many images there are.
        let pads = self.list(&[0, prefix as i64, 0, 0, 0, 0]);
        let padded = self.node(at, "Pad", &[tokens, &pads], &[]);
        Ok(self.add(at, &padded, &table))
    }
}
