//! The fused operations on a GPU, written once for every graphics driver: forward and backward by hand, whole blocks as one operation, and
//! all parameters updated together, so that a training step costs few launches and never waits for the device.
//!
//! Reductions go through shared memory alone, as software drivers know nothing else. Matrix products are those of Burn's library.

mod attention;
mod block;
mod gradient;
mod head_tile;
mod layer;
mod matrix;
mod pointwise;
mod queue;
mod row;
mod row_error;
#[cfg(test)]
mod tests;
mod tokens;
mod update;

use std::collections::BTreeMap;

use burn::backend::Cube;
use burn::tensor::{Shape, Tensor, TensorData};

use super::{BlockParameters, RowError, Update};
use attention::Sizes;
use block::BlockSizes;
use gradient::{Kept, Operand, apply};
use queue::Queued;
use update::Clip;

pub use tokens::Order;
pub use update::Parameter;

/// What a workgroup may share on every desktop GPU.
const MOST_SHARED_BYTES: usize = 32 * 1024;

/// A pre-norm transformer block: `x += f attn(norm1(x))`, then `x += f mlp(norm2(x))`. Shapes: `x [B, N, D]`; `factors [B]` are what each
/// sample's two branches are multiplied by. Nothing if this is not a GPU or the heads are too wide for its shared memory.
pub fn block(x: &Tensor<3>, parameters: &BlockParameters, factors: Option<[Tensor<1>; 2]>) -> Option<Tensor<3>> {
    let [batch, tokens, width] = x.dims();
    if attention::shared_bytes(width / parameters.heads) > MOST_SHARED_BYTES {
        return None;
    }
    let BlockParameters { norms: [norm1, norm2], weights: [qkv, proj, fc1, fc2], biases: [b_qkv, b_proj, b1, b2], heads, eps, .. } =
        parameters;
    let (heads, eps) = (*heads, *eps);
    let groups = parameters.bias.as_ref().map_or(0, |bias| bias.dims()[0]);
    let sizes =
        BlockSizes { attention: Sizes { batch, tokens, heads, head: width / heads, groups }, hidden: fc1.dims()[0], eps: eps as f32 };
    let factors = match factors {
        Some([first, second]) => Some([plain(first)?, plain(second)?]),
        None => None,
    };
    let operands = [
        Operand::new(x),
        Operand::new(&norm1[0]),
        Operand::new(&norm1[1]),
        Operand::new(qkv),
        Operand::new(b_qkv),
        Operand::new(proj),
        Operand::new(b_proj),
        Operand::new(&norm2[0]),
        Operand::new(&norm2[1]),
        Operand::new(fc1),
        Operand::new(b1),
        Operand::new(fc2),
        Operand::new(b2),
    ];
    let recompute = parameters.recompute;
    let run = |x: Queued, parameters: Vec<Queued>| {
        let (y, saved) = block::forward(x.clone(), parameters.clone(), factors.clone(), sizes)?;
        Some((y, KeptBlock { x, parameters, saved: (!recompute).then_some(saved), factors, sizes }))
    };
    match &parameters.bias {
        None => apply(operands, |[x, parameters @ ..]| run(x, parameters.into())),
        Some(bias) => {
            let [x, a, b, c, d, e, f, g, h, i, j, k, l] = operands;
            apply([x, a, b, c, d, e, f, g, h, i, j, k, l, Operand::new(bias)], |[x, parameters @ ..]| run(x, parameters.into()))
        }
    }
}

#[derive(Debug, Clone)]
struct KeptBlock {
    x: Queued,
    parameters: Vec<Queued>,
    /// Nothing if it is to be computed again.
    saved: Option<Vec<Queued>>,
    factors: Option<[Queued; 2]>,
    sizes: BlockSizes,
}

impl<const N: usize> Kept<N> for KeptBlock {
    fn gradients(self, dy: Queued, _: [bool; N]) -> Vec<Option<Queued>> {
        let Self { x, parameters, saved, factors, sizes } = self;
        let again = || block::forward(x.clone(), parameters.clone(), factors.clone(), sizes).map(|(_, saved)| saved);
        let Some(saved) = saved.or_else(again) else { return Vec::new() };
        all(block::backward(dy, x, parameters, saved, factors, sizes))
    }
}

/// See [`super::linear()`].
pub fn linear<const D: usize>(x: &Tensor<D>, weight: &Tensor<2>, bias: &Tensor<1>) -> Option<Tensor<D>> {
    let operands = [Operand::new(x), Operand::new(weight), Operand::new(bias)];
    apply(operands, |[x, weight, bias]| Some((layer::linear(x.clone(), weight.clone(), bias)?, KeptLinear { x, weight })))
}

#[derive(Debug, Clone)]
struct KeptLinear {
    x: Queued,
    weight: Queued,
}

impl Kept<3> for KeptLinear {
    fn gradients(self, dy: Queued, [input_wanted, ..]: [bool; 3]) -> Vec<Option<Queued>> {
        let shape = self.x.shape.clone();
        let of_parameters = layer::linear_gradient(dy.clone(), self.x, &self.weight);
        let dx = input_wanted.then(|| layer::linear_input_gradient(dy, self.weight, shape)).flatten();
        [dx].into_iter().chain(all(of_parameters)).collect()
    }
}

/// See [`super::layer_norm()`].
pub fn layer_norm<const D: usize>(x: &Tensor<D>, weight: &Tensor<1>, bias: &Tensor<1>, eps: f64) -> Option<Tensor<D>> {
    let operands = [Operand::new(x), Operand::new(weight), Operand::new(bias)];
    apply(operands, |[x, weight, bias]| {
        let (y, moments) = layer::layer_norm(x.clone(), weight.clone(), bias, eps as f32)?;
        Some((y, KeptNorm { x, weight, moments }))
    })
}

#[derive(Debug, Clone)]
struct KeptNorm {
    x: Queued,
    weight: Queued,
    moments: Queued,
}

impl Kept<3> for KeptNorm {
    fn gradients(self, dy: Queued, _: [bool; 3]) -> Vec<Option<Queued>> {
        all(layer::layer_norm_gradient(dy, self.x, self.weight, self.moments))
    }
}

/// `[B, made, D]`: rows of `x [B, given, D]` or the learned token (D numbers), as `order` says, with a row of `table [1, positions, D]`
/// added to each.
pub fn tokens(x: &Tensor<3>, learned: &Tensor<3>, table: &Tensor<3>, order: &Order) -> Option<Tensor<3>> {
    let ([batch, given, width], [_, positions, _]) = (x.dims(), table.dims());
    let sizes = tokens::Sizes { batch, given, made: order.sources.len(), positions, width };
    let device = x.device().without_autodiff();
    let list = |places: &[i32]| {
        let places: Vec<f32> = places.iter().map(|&place| place as f32).collect();
        let count = places.len();
        plain(Tensor::<1>::from_data(TensorData::new(places, [count]), &device))
    };
    let (sources, places, inverse) = (list(&order.sources)?, list(&order.places)?, list(&order.inverse(given))?);
    let inverse_places = if table.is_require_grad() { Some(list(&order.inverse_places(positions))?) } else { None };
    let operands = [Operand::new(x), Operand::new(learned), Operand::new(table)];
    apply(operands, |[x, learned, table]| {
        let shapes = [learned.shape.clone(), table.shape.clone()];
        let y = tokens::forward([x, learned, table, sources.clone(), places], sizes)?;
        Some((y, KeptTokens { sources, inverse, inverse_places, shapes, sizes }))
    })
}

#[derive(Debug, Clone)]
struct KeptTokens {
    sources: Queued,
    inverse: Queued,
    inverse_places: Option<Queued>,
    /// Of the learned token and of the table.
    shapes: [Shape; 2],
    sizes: tokens::Sizes,
}

impl Kept<3> for KeptTokens {
    fn gradients(self, dy: Queued, _: [bool; 3]) -> Vec<Option<Queued>> {
        let Self { sources, inverse, inverse_places, shapes: [learned, table], sizes } = self;
        vec![
            tokens::gradient_of_given(dy.clone(), inverse, sizes),
            tokens::gradient_of_learned(dy.clone(), sources, learned, sizes),
            inverse_places.and_then(|inverse_places| tokens::gradient_of_table(dy, inverse_places, table, sizes)),
        ]
    }
}

/// See [`super::row_error()`].
pub fn row_error(prediction: &Tensor<3>, target: &Tensor<3>, weights: &Tensor<2>, error: RowError, addend: f64) -> Option<Tensor<1>> {
    let (target, weights) = (plain(target.clone())?, plain(weights.clone())?);
    apply([Operand::new(prediction)], |[x]| {
        let (loss, sums) = row_error::forward(x.clone(), target.clone(), weights.clone(), error, addend as f32)?;
        Some((loss, KeptError { rows: [x, target, weights], sums, error }))
    })
}

#[derive(Debug, Clone)]
struct KeptError {
    rows: [Queued; 3],
    sums: row_error::Sums,
    error: RowError,
}

impl Kept<1> for KeptError {
    fn gradients(self, dy: Queued, _: [bool; 1]) -> Vec<Option<Queued>> {
        all(row_error::backward(dy, self.rows, self.sums, self.error))
    }
}

fn all(gradients: Vec<Queued>) -> Vec<Option<Queued>> {
    gradients.into_iter().map(Some).collect()
}

/// The norm of all tensors together, which stays on the device. Shape: `[1]`.
pub fn global_norm(tensors: &[&Tensor<1>]) -> Option<Tensor<1>> {
    let tensors = tensors.iter().map(|&tensor| plain(tensor.clone())).collect::<Option<_>>()?;
    update::global_norm(tensors).map(Tensor::from_primitive::<Cube>)
}

impl Parameter {
    /// Value, gradient and moments, all flat, and what the value is multiplied by: 1 - learning rate · weight decay. Nothing if they are
    /// not on a GPU.
    pub fn new(value: Tensor<1>, gradient: Tensor<1>, [first, second]: [Tensor<1>; 2], keep: f32) -> Option<Self> {
        Some(Self { value: plain(value)?, gradient: plain(gradient)?, moments: [plain(first)?, plain(second)?], keep })
    }
}

/// One AdamW update of all parameters: new values and moments, in their order. `numbers.keep` is each parameter's own. Given the norm of
/// all gradients together and a limit, gradients are scaled so that the norm is at most that.
pub fn adamw_of_all(parameters: Vec<Parameter>, numbers: Update, clip: Option<(&Tensor<1>, f64)>) -> Vec<(Tensor<1>, [Tensor<1>; 2])> {
    let clip = clip.and_then(|(norm, limit)| Some(Clip { norm: plain(norm.clone())?, limit: limit as f32 }));
    let tensor = Tensor::from_primitive::<Cube>;
    update::adamw(parameters, numbers, clip).into_iter().map(|(value, moments)| (tensor(value), moments.map(tensor))).collect()
}

/// `values · shares[0] + others · shares[1]`, name by name, in few launches; what has no partner, on either side, is kept as it is. The
/// tensors are flat. Nothing is changed if they are not on a GPU.
pub fn blend(values: &mut BTreeMap<String, Tensor<1>>, others: BTreeMap<String, Tensor<1>>, shares: [f64; 2]) {
    let (mut names, mut firsts, mut seconds) = (Vec::new(), Vec::new(), Vec::new());
    for (name, other) in others {
        let Some(value) = values.remove(&name) else {
            values.insert(name, other);
            continue;
        };
        match (plain(value.clone()), plain(other)) {
            (Some(first), Some(second)) => {
                drop(value);
                names.push(name);
                firsts.push(first);
                seconds.push(second);
            }
            _ => drop(values.insert(name, value)),
        }
    }
    let blended = update::blended(firsts, seconds, shares.map(|share| share as f32));
    values.extend(names.into_iter().zip(blended.into_iter().map(Tensor::from_primitive::<Cube>)));
}

fn plain<const D: usize>(tensor: Tensor<D>) -> Option<Queued> {
    tensor.without_autodiff().try_into_primitive::<Cube>().ok()
}
