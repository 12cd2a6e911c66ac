//! Blocks of transformers as operators.

use super::builder::Builder;
use super::model::Attribute;
use crate::backbone::block::Activation;
use crate::error::Result;

/// The sizes of a block.
#[derive(Debug, Clone, Copy)]
pub struct BlockSizes {
    /// Axes in front of the tokens': that of images, and that of windows.
    pub leading: usize,
    /// Tokens that see each other.
    pub tokens: usize,
    /// D
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width inside the MLP.
    pub hidden: usize,
    /// What lies between its layers.
    pub activation: Activation,
    /// What norms add to the variance.
    pub eps: f64,
    /// Keys have a bias.
    pub key_bias: bool,
    /// Branches have learned factors.
    pub layer_scale: bool,
}

/// What leaves a block.
pub struct BlockOutput {
    /// `[.., tokens, D]`
    pub tokens: String,
    /// What attends to what: `[.., heads, tokens, tokens]`.
    pub probabilities: String,
}

impl Builder<'_> {
    /// A pre-norm block. `added` is added to the scores of attention, and queries and keys are turned as [`Builder::turned`] does it. Shapes:
    /// `x [.., tokens, D]` to the same.
    ///
    /// # Errors
    /// As [`Builder::parameter`].
    pub fn block(&mut self, at: &str, x: &str, sizes: &BlockSizes, added: &[String], turns: Option<&[String; 2]>) -> Result<BlockOutput> {
        let &BlockSizes { tokens, width, key_bias, layer_scale, .. } = sizes;
        let [ls1, ls2] = ["ls1", "ls2"].map(|name| format!("{at}.{name}.gamma"));
        let [ls1, ls2] = [ls1, ls2].map(|name| if layer_scale { self.take(&name, &[width]).map(Some) } else { Ok(None) });

        let normed = self.layer_norm(&format!("{at}.norm1"), x, width, sizes.eps)?;
        let qkv_at = format!("{at}.attn.qkv");
        let mut qkv = self.dense(&qkv_at, [width, 3 * width], true)?;
        if !key_bias {
            qkv.without_key_bias();
        }
        let qkv = self.product(&qkv_at, &normed, qkv)?;
        let [mut q, mut k, v] = self.nodes(&qkv_at, "Split", &[&qkv], &[("axis", Attribute::Int(-1))]);
        if let Some(turns) = turns {
            [q, k] = [q, k].map(|x| self.turned(&qkv_at, &x, turns, sizes));
        }
        let (attended, probabilities) = self.attend(&format!("{at}.attn"), [&q, &k, &v], [tokens, tokens], sizes, added);
        let x = self.branch(&format!("{at}.attn.proj"), x, &attended, [width, width], ls1?)?;
        Ok(BlockOutput { tokens: self.mlp(at, &x, sizes, ls2?)?, probabilities })
    }

    /// Turns pairs of each head's numbers, the first of its first half with the first of its second half. Shapes: `x [.., tokens, D]` to the
    /// same, cosines and sines `[tokens, 1, d / 2]`.
    fn turned(&mut self, at: &str, x: &str, [cos, sin]: &[String; 2], sizes: &BlockSizes) -> String {
        let &BlockSizes { leading, tokens, width, heads, .. } = sizes;
        let last = [("axis", Attribute::Int(-1))];
        let shape = |rest: &[usize]| [&vec![0; leading][..], rest].concat();
        let split = self.reshape(at, x, &shape(&[tokens, heads, width / heads.max(1)]));
        let [first, second] = self.nodes(at, "Split", &[&split], &last);
        let [ahead, back, aside, over] =
            [(&first, cos), (&second, sin), (&second, cos), (&first, sin)].map(|(half, turn)| self.node(at, "Mul", &[half, turn], &[]));
        let (first, second) = (self.node(at, "Sub", &[&ahead, &back], &[]), self.add(at, &aside, &over));
        let both = self.node(at, "Concat", &[&first, &second], &last);
        self.reshape(at, &both, &shape(&[tokens, width]))
    }

    /// What queries find among keys, and where they look. Shapes: `q [.., queries, D]`, `k` and `v [.., keys, D]` to `[.., queries, D]` and
    /// `[.., heads, queries, keys]`.
    pub fn attend(
        &mut self,
        at: &str,
        [q, k, v]: [&str; 3],
        [queries, keys]: [usize; 2],
        sizes: &BlockSizes,
        added: &[String],
    ) -> (String, String) {
        let &BlockSizes { leading, width, heads, .. } = sizes;
        let depth = width / heads.max(1);
        let shape = |rest: &[usize]| [&vec![0; leading][..], rest].concat();
        let order = |rest: [usize; 3]| (0..leading).chain(rest.map(|axis| leading + axis)).collect::<Vec<_>>();
        let mut heads_of = |x: &str, tokens: usize, rest: [usize; 3]| {
            let split = self.reshape(at, x, &shape(&[tokens, heads, depth]));
            self.transpose(at, &split, &order(rest))
        };
        let (q, v) = (heads_of(q, queries, [1, 0, 2]), heads_of(v, keys, [1, 0, 2]));
        let k = heads_of(k, keys, [1, 2, 0]);
        let factor = self.scalar((depth as f64).powf(-0.5) as f32);
        let q = self.node(at, "Mul", &[&q, &factor], &[]);
        let scores = self.node(at, "MatMul", &[&q, &k], &[]);
        let scores = added.iter().fold(scores, |scores, added| self.add(at, &scores, added));
        let probabilities = self.node(at, "Softmax", &[&scores], &[("axis", Attribute::Int(-1))]);
        let found = self.node(at, "MatMul", &[&probabilities, &v], &[]);
        let in_order = self.transpose(at, &found, &order([1, 0, 2]));
        (self.reshape(at, &in_order, &shape(&[queries, width])), probabilities)
    }

    /// The second half of a block.
    ///
    /// # Errors
    /// As [`Builder::parameter`].
    pub fn mlp(&mut self, at: &str, x: &str, sizes: &BlockSizes, scale: Option<Vec<f32>>) -> Result<String> {
        let &BlockSizes { width, hidden, activation, eps, .. } = sizes;
        let rows = if activation.is_gated() { 2 * hidden } else { hidden };
        let normed = self.layer_norm(&format!("{at}.norm2"), x, width, eps)?;
        let inner = self.linear(&format!("{at}.mlp.fc1"), &normed, [width, rows])?;
        let inner = self.activated(&format!("{at}.mlp.act"), &inner, activation);
        self.branch(&format!("{at}.mlp.fc2"), x, &inner, [hidden, width], scale)
    }

    /// The linear layer that ends a branch, with its learned factors multiplied in, and the branch's way back.
    ///
    /// # Errors
    /// As [`Builder::parameter`].
    pub fn branch(&mut self, at: &str, x: &str, inner: &str, sizes: [usize; 2], scale: Option<Vec<f32>>) -> Result<String> {
        let mut last = self.dense(at, sizes, true)?;
        if let Some(factors) = scale {
            last.scale(&factors);
        }
        let result = self.product(at, inner, last)?;
        Ok(self.add(at, x, &result))
    }
}
