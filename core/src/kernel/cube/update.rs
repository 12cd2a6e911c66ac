//! Updates of all parameters in few launches: each launch takes as many tensors as the device binds at once.

use burn::tensor::Shape;
use burn_cubecl::cubecl;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::queue::{Queued, empty, enqueue};
use super::row::{UNITS, buffer, count, total};
use crate::kernel::Update;

/// Elements of one workgroup.
const CHUNK: usize = UNITS * 16;
/// Tensors of one launch at most, however many a device binds.
const MOST: usize = 24;

/// A tensor of which each workgroup takes one chunk.
#[derive(CubeType, CubeLaunch)]
struct Piece {
    values: Box<[f32]>,
    /// Its first workgroup.
    start: usize,
    /// Elements.
    length: usize,
}

/// A parameter of which each workgroup takes one chunk.
#[derive(CubeType, CubeLaunch)]
struct ParameterPiece {
    values: Box<[f32]>,
    gradient: Box<[f32]>,
    first: Box<[f32]>,
    second: Box<[f32]>,
    updated: Box<[f32]>,
    keep: f32,
    start: usize,
    length: usize,
}

/// Two tensors of one length, of which each workgroup takes one chunk.
#[derive(CubeType, CubeLaunch)]
struct PairPiece {
    values: Box<[f32]>,
    others: Box<[f32]>,
    start: usize,
    length: usize,
}

/// The numbers of one update, for all parameters.
#[derive(CubeType, CubeLaunch)]
struct Numbers {
    beta1: f32,
    beta2: f32,
    rest1: f32,
    rest2: f32,
    rate: f32,
    root_correction: f32,
    eps: f32,
    limit: f32,
}

fn workgroups(tensor: &CubeTensor) -> usize {
    tensor.meta.num_elements().div_ceil(CHUNK)
}

/// How many tensors one launch takes, when each is bound `bindings` times.
fn per_launch(tensor: &CubeTensor, bindings: usize) -> usize {
    let bound = tensor.client.properties().hardware.max_bindings as usize;
    (bound.saturating_sub(3) / bindings).clamp(1, MOST)
}

/// This workgroup's chunk of a tensor whose first workgroup is `start`: empty, if the workgroup belongs to another.
#[cube]
fn chunk(start: usize, length: usize) -> (usize, usize) {
    let mut from = length;
    let mut to = length;
    if CUBE_POS >= start {
        from = (CUBE_POS - start) * CHUNK;
        to = from + CHUNK;
        if to > length {
            to = length;
        }
    }
    (from + UNIT_POS as usize, to)
}

#[cube]
fn squares(piece: &Piece) -> f32 {
    let mut sum = 0.0f32;
    let (mut at, end) = chunk(piece.start, piece.length);
    while at < end {
        let value = piece.values[at];
        sum += value * value;
        at += UNITS;
    }
    sum
}

/// The sum of squares of each workgroup's chunk, from `first` on in `sums`.
#[cube(launch_unchecked)]
fn square(pieces: &Sequence<Piece>, sums: &mut [f32], first: usize, workgroups: usize) {
    let mut sum = 0.0f32;
    #[unroll]
    for index in 0..pieces.len() {
        sum += squares(&pieces[index]);
    }
    let sum = total(sum);
    if UNIT_POS == 0 && CUBE_POS < workgroups {
        sums[first + CUBE_POS] = sum;
    }
}

#[cube(launch_unchecked)]
fn root(sums: &[f32], norm: &mut [f32], count: usize) {
    let mut sum = 0.0f32;
    let mut at = UNIT_POS as usize;
    while at < count {
        sum += sums[at];
        at += UNITS;
    }
    let sum = total(sum);
    if UNIT_POS == 0 {
        norm[0] = sum.sqrt();
    }
}

#[cube]
fn step_piece(piece: &mut ParameterPiece, numbers: &Numbers, factor: f32) {
    let (mut at, end) = chunk(piece.start, piece.length);
    while at < end {
        let gradient = piece.gradient[at] * factor;
        let mean = piece.first[at] * numbers.beta1 + gradient * numbers.rest1;
        let square = piece.second[at] * numbers.beta2 + gradient * gradient * numbers.rest2;
        piece.first[at] = mean;
        piece.second[at] = square;
        let denominator = square.sqrt() / numbers.root_correction + numbers.eps;
        piece.updated[at] = piece.values[at] * piece.keep - mean * numbers.rate / denominator;
        at += UNITS;
    }
}

/// AdamW with the gradient scaled so that its global norm is at most the limit; no limit is 0.
#[cube(launch_unchecked)]
fn step(pieces: &mut Sequence<ParameterPiece>, norm: &[f32], numbers: &Numbers) {
    let mut factor = 1.0f32;
    if numbers.limit > 0.0f32 {
        factor = min(numbers.limit / (norm[0] + 1e-6f32), 1.0f32);
    }
    #[unroll]
    for index in 0..pieces.len() {
        step_piece(&mut pieces[index], numbers, factor);
    }
}

#[cube]
fn blend_piece(piece: &mut PairPiece, share: f32, other_share: f32) {
    let (mut at, end) = chunk(piece.start, piece.length);
    while at < end {
        piece.values[at] = piece.values[at] * share + piece.others[at] * other_share;
        at += UNITS;
    }
}

#[cube(launch_unchecked)]
fn blend(pieces: &mut Sequence<PairPiece>, share: f32, other_share: f32) {
    #[unroll]
    for index in 0..pieces.len() {
        blend_piece(&mut pieces[index], share, other_share);
    }
}

/// `values · shares[0] + others · shares[1]` of every pair of flat tensors, in their order.
pub fn blended(values: Vec<Queued>, others: Vec<Queued>, shares: [f32; 2]) -> Vec<Queued> {
    let number = values.len();
    let shapes = values.iter().map(|value| value.shape.clone()).collect();
    enqueue("blend", values.into_iter().chain(others).collect(), shapes, move |mut inputs| {
        let others = inputs.split_off(number);
        let values: Vec<CubeTensor> = inputs.into_iter().map(owned).collect();
        for (values, others) in values.chunks(per_launch(&values[0], 2)).zip(others.chunks(per_launch(&values[0], 2))) {
            let mut start = 0;
            let pieces = values.iter().zip(others).map(|(value, other)| {
                let piece = PairPieceLaunch::new(buffer(value), buffer(other), start, value.meta.num_elements());
                start += workgroups(value);
                piece
            });
            let pieces = pieces.collect();
            // SAFETY: a workgroup reads and writes its chunk of one pair, within its length.
            #[expect(unsafe_code, reason = "a launch without bounds checks; the kernel checks its indices itself")]
            unsafe {
                let (client, dim) = (&values[0].client, CubeDim::new_1d(UNITS as u32));
                blend::launch_unchecked(client, count(start), dim, pieces, shares[0], shares[1]);
            }
        }
        values
    })
}

/// A tensor that may be changed where it lies: a copy, if somebody else still holds it.
fn owned(tensor: CubeTensor) -> CubeTensor {
    if tensor.handle.can_mut() { tensor } else { tensor.copy() }
}

/// The norm of all tensors together: `[1]`.
pub fn global_norm(tensors: Vec<Queued>) -> Option<Queued> {
    enqueue("global norm", tensors, vec![Shape::new([1])], |tensors| vec![run_norm(&tensors)]).into_iter().next()
}

fn run_norm(tensors: &[CubeTensor]) -> CubeTensor {
    let like = &tensors[0];
    let num_sums = tensors.iter().map(workgroups).sum();
    let (norm, sums) = (empty(like, [1]), empty(like, [num_sums]));
    let mut done = 0;
    for tensors in tensors.chunks(per_launch(like, 1)) {
        let mut start = 0;
        let pieces = tensors.iter().map(|tensor| {
            let piece = PieceLaunch::new(buffer(tensor), start, tensor.meta.num_elements());
            start += workgroups(tensor);
            piece
        });
        let pieces = pieces.collect();
        // SAFETY: a workgroup reads its chunk of one tensor and writes its own sum.
        #[expect(unsafe_code, reason = "a launch without bounds checks; the kernel checks its indices itself")]
        unsafe {
            square::launch_unchecked(&like.client, count(start), CubeDim::new_1d(UNITS as u32), pieces, buffer(&sums), done, start);
        }
        done += start;
    }
    // SAFETY: reads `num_sums` sums and writes one number.
    #[expect(unsafe_code, reason = "a launch without bounds checks; the kernel checks its indices itself")]
    unsafe {
        let dim = CubeDim::new_1d(UNITS as u32);
        root::launch_unchecked(&like.client, count(1), dim, buffer(&sums), buffer(&norm), num_sums);
    }
    norm
}

/// A parameter with what its update needs.
pub struct Parameter {
    pub(super) value: Queued,
    pub(super) gradient: Queued,
    pub(super) moments: [Queued; 2],
    pub(super) keep: f32,
}

/// How far gradients may reach.
pub struct Clip {
    /// The norm of all of them together: `[1]`.
    pub norm: Queued,
    /// The most it may be.
    pub limit: f32,
}

/// One AdamW update of all parameters: new values and moments, in their order. `numbers.keep` is each parameter's own.
pub fn adamw(parameters: Vec<Parameter>, numbers: Update, clip: Option<Clip>) -> Vec<(Queued, [Queued; 2])> {
    let keeps: Vec<f32> = parameters.iter().map(|parameter| parameter.keep).collect();
    let number = keeps.len();
    let limit = clip.as_ref().map_or(0.0, |clip| clip.limit);
    let (mut values, mut gradients, mut firsts, mut seconds) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for Parameter { value, gradient, moments: [first, second], .. } in parameters {
        values.push(value);
        gradients.push(gradient);
        firsts.push(first);
        seconds.push(second);
    }
    let shapes: Vec<Shape> = values.iter().chain(&firsts).chain(&seconds).map(|tensor| tensor.shape.clone()).collect();
    let inputs = values.into_iter().chain(gradients).chain(firsts).chain(seconds).chain(clip.map(|clip| clip.norm)).collect();
    let mut updated = enqueue("adamw", inputs, shapes, move |inputs| run_adamw(inputs, &keeps, numbers, limit));
    let mut seconds = updated.split_off(2 * number).into_iter();
    let mut firsts = updated.split_off(number).into_iter();
    updated.into_iter().filter_map(|value| Some((value, [firsts.next()?, seconds.next()?]))).collect()
}

fn run_adamw(mut inputs: Vec<CubeTensor>, keeps: &[f32], numbers: Update, limit: f32) -> Vec<CubeTensor> {
    let number = keeps.len();
    let norm = inputs.get(4 * number).cloned().unwrap_or_else(|| inputs[0].clone());
    inputs.truncate(4 * number);
    let moments: Vec<CubeTensor> = inputs.split_off(2 * number).into_iter().map(owned).collect();
    let (values, gradients) = inputs.split_at(number);
    let (firsts, seconds) = moments.split_at(number);
    let updated: Vec<CubeTensor> = values.iter().map(|value| empty(value, [value.meta.num_elements()])).collect();
    let Update { betas: [beta1, beta2], rests: [rest1, rest2], rate, root_correction, eps, .. } = numbers;
    let size = per_launch(&norm, 5);
    for from in (0..number).step_by(size) {
        let mut start = 0;
        let pieces = (from..(from + size).min(number)).map(|index| {
            let [first, second] = [&firsts[index], &seconds[index]].map(buffer);
            let (value, gradient, updated) = (buffer(&values[index]), buffer(&gradients[index]), buffer(&updated[index]));
            let length = values[index].meta.num_elements();
            let piece = ParameterPieceLaunch::new(value, gradient, first, second, updated, keeps[index], start, length);
            start += workgroups(&values[index]);
            piece
        });
        let pieces = pieces.collect();
        let numbers = NumbersLaunch::new(beta1, beta2, rest1, rest2, rate, root_correction, eps, limit);
        // SAFETY: a workgroup reads and writes its chunk of one parameter, within its length.
        #[expect(unsafe_code, reason = "a launch without bounds checks; the kernel checks its indices itself")]
        unsafe {
            let dim = CubeDim::new_1d(UNITS as u32);
            step::launch_unchecked(&norm.client, count(start), dim, pieces, buffer(&norm), numbers);
        }
    }
    updated.into_iter().chain(moments).collect()
}
