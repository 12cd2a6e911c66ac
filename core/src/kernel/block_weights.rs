//! The parameters of a transformer block, or whatever else there is one of for each.

/// The weights of a block, in PyTorch's layouts. D is its width and H the width of its MLP.
#[derive(Debug, Clone, Copy)]
pub struct Weights<T> {
    /// `[D]` and `[D]`
    pub norm1: Layer<T>,
    /// `[3 D, D]` and `[3 D]`
    pub qkv: Layer<T>,
    /// `[D, D]` and `[D]`
    pub proj: Layer<T>,
    /// `[D]` and `[D]`
    pub norm2: Layer<T>,
    /// `[H, D]` and `[H]`
    pub fc1: Layer<T>,
    /// `[D, H]` and `[D]`
    pub fc2: Layer<T>,
}

/// A weight and its bias.
#[derive(Debug, Clone, Copy)]
pub struct Layer<T> {
    /// Of a norm, one number for each feature; of a linear layer, a matrix.
    pub weight: T,
    /// One number for each output.
    pub bias: T,
}

impl<T> Layer<T> {
    fn each_ref(&self) -> Layer<&T> {
        Layer { weight: &self.weight, bias: &self.bias }
    }
}

impl<T> Weights<T> {
    /// The same of something else.
    pub fn map<U>(self, mut to: impl FnMut(T) -> U) -> Weights<U> {
        let mut layer = |Layer { weight, bias }: Layer<T>| Layer { weight: to(weight), bias: to(bias) };
        Weights {
            norm1: layer(self.norm1),
            qkv: layer(self.qkv),
            proj: layer(self.proj),
            norm2: layer(self.norm2),
            fc1: layer(self.fc1),
            fc2: layer(self.fc2),
        }
    }

    /// References to them.
    pub fn each_ref(&self) -> Weights<&T> {
        let Self { norm1, qkv, proj, norm2, fc1, fc2 } = self;
        Weights {
            norm1: norm1.each_ref(),
            qkv: qkv.each_ref(),
            proj: proj.each_ref(),
            norm2: norm2.each_ref(),
            fc1: fc1.each_ref(),
            fc2: fc2.each_ref(),
        }
    }

    /// One after the other, each weight before its bias.
    pub fn in_order(self) -> [T; 12] {
        let Self { norm1, qkv, proj, norm2, fc1, fc2 } = self;
        let [a, b, c, d, e, f] = [norm1, qkv, proj, norm2, fc1, fc2].map(|Layer { weight, bias }| [weight, bias]);
        let ([a, a2], [b, b2], [c, c2], [d, d2], [e, e2], [f, f2]) = (a, b, c, d, e, f);
        [a, a2, b, b2, c, c2, d, d2, e, e2, f, f2]
    }
}
