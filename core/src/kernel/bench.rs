//! Each fused operation beside the same operation made of plain ones, forward and backward, in the sizes of common networks.

use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor, TensorData};
use serde::Serialize;

use super::{BlockParameters, RowError, Update, reference};
use crate::device::OpenDevice;
use crate::error::{Error, Result};
use crate::random::{Purpose, Stream};

/// An operation in one size.
struct Case {
    name: &'static str,
    /// Matrix arithmetic of forward and backward together.
    flops: f64,
    /// Shapes of the inputs, each of which gets a gradient.
    shapes: Vec<Vec<usize>>,
    fused: Operation,
    plain: Operation,
}

/// From flat inputs to anything that can be summed up.
type Operation = Box<dyn Fn(Vec<Tensor<1>>) -> Tensor<1>>;

/// What `bench kernels` prints of a case.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KernelFigures {
    /// The case.
    pub name: &'static str,
    /// Seconds of a forward and a backward pass (median).
    pub seconds: f64,
    /// The same out of plain operations.
    pub plain_seconds: f64,
    /// Needed matrix arithmetic per second; nothing where there is none.
    pub gflops: Option<f64>,
    /// That over the machine's matrix peak.
    pub peak_share: Option<f64>,
}

impl KernelFigures {
    /// A line of the table.
    pub fn line(&self) -> String {
        let Self { name, seconds, plain_seconds, gflops, peak_share } = self;
        let gflops = gflops.map_or(String::new(), |gflops| format!("{gflops:.0} GFLOP/s"));
        let share = peak_share.map_or(String::new(), |share| format!("{:.0} % of the peak", share * 100.0));
        let (ms, plain_ms, ratio) = (seconds * 1e3, plain_seconds * 1e3, plain_seconds / seconds);
        format!("{name:66} {ms:>8.2} ms, plain {plain_ms:>8.2} ms ({ratio:>4.1} times) {gflops:>12} {share}")
    }
}

/// Times every case, each for about `budget` in either form.
///
/// # Errors
/// If the device fails.
pub fn bench_kernels(device: &OpenDevice, budget: Duration, peak_gflops: f64) -> Result<Vec<KernelFigures>> {
    let figures = cases().into_iter().map(|case| {
        let seconds = case.seconds(device, &case.fused, budget)?;
        let plain_seconds = case.seconds(device, &case.plain, budget)?;
        let gflops = (case.flops > 0.0).then(|| case.flops / seconds / 1e9);
        Ok(KernelFigures { name: case.name, seconds, plain_seconds, gflops, peak_share: gflops.map(|gflops| gflops / peak_gflops) })
    });
    figures.collect()
}

impl Case {
    fn inputs(&self, device: &Device) -> Vec<Tensor<1>> {
        let device = device.clone().autodiff();
        let input = |(index, shape): (usize, &Vec<usize>)| {
            let mut stream = Stream::new(index as u64, 0, 0, Purpose::Bench);
            let values: Vec<f32> = (0..shape.iter().product()).map(|_| stream.normal() as f32 * 0.1).collect();
            let count = values.len();
            Tensor::from_data(TensorData::new(values, [count]), &device).require_grad()
        };
        self.shapes.iter().enumerate().map(input).collect()
    }

    fn seconds(&self, device: &OpenDevice, operation: &Operation, budget: Duration) -> Result<f64> {
        let inputs = self.inputs(&device.device);
        let sync = || device.device.sync().map_err(|error| Error::Failed(format!("the device failed: {error:?}")));
        run(operation, &inputs);
        sync()?;
        let mut passes = Vec::new();
        let begin = Instant::now();
        while passes.len() < 3 || begin.elapsed() < budget {
            let begin = Instant::now();
            run(operation, &inputs);
            sync()?;
            passes.push(begin.elapsed().as_secs_f64());
        }
        passes.sort_by(f64::total_cmp);
        Ok(passes[passes.len() / 2])
    }
}

fn run(operation: &Operation, inputs: &[Tensor<1>]) {
    let output = operation(inputs.to_vec());
    drop(if output.is_require_grad() || output.is_autodiff() { Some(output.sum().backward()) } else { None });
}

/// Every case.
fn cases() -> Vec<Case> {
    vec![
        linear("linear 192 to 768, 3152 rows", [3152, 192, 768]),
        layer_norm("layer norm of 384, 3152 rows", [3152, 384]),
        gelu("GELU of 3152 x 768", 3152 * 768),
        attention("attention, 50 tokens, 3 heads of 64, batch 16", [16, 50, 3, 64], 0),
        attention("attention, 197 tokens, 6 heads of 64, batch 16", [16, 197, 6, 64], 0),
        attention("attention in windows of 49, 3 heads of 32, 64 biases, batch 1024", [1024, 49, 3, 32], 64),
        block("block of 192, 3 heads, 50 tokens, batch 16", [16, 50, 3, 64], 0, false),
        block("block of 384, 6 heads, 197 tokens, batch 16", [16, 197, 6, 64], 0, false),
        block("the same with a bias", [16, 197, 6, 64], 1, false),
        block("the same computed again in backward", [16, 197, 6, 64], 0, true),
        row_error("squared error of 768, 2352 rows", [2352, 768], RowError::Square),
        row_error("cross-entropy over 8192 classes, 1200 rows", [1200, 8192], RowError::Entropy),
        row_error("cross-entropy with distributions over 4096, 640 rows", [640, 4096], RowError::Distribution { sharpness: 10.0 }),
        adamw("AdamW of 5.5 million", 5_500_000),
    ]
}

fn take<const D: usize>(inputs: &mut impl Iterator<Item = Tensor<1>>, shape: [usize; D]) -> Tensor<D> {
    inputs.next().map_or_else(|| Tensor::zeros(shape, &Device::flex()), |input| input.reshape(shape))
}

fn linear(name: &'static str, [rows, from, to]: [usize; 3]) -> Case {
    let of = move |linear: fn(Tensor<2>, Tensor<2>, Option<Tensor<1>>) -> Tensor<2>| -> Operation {
        Box::new(move |inputs| {
            let mut inputs = inputs.into_iter();
            let (x, weight) = (take(&mut inputs, [rows, from]), take(&mut inputs, [to, from]));
            linear(x, weight, inputs.next()).reshape([-1])
        })
    };
    let flops = 6.0 * (rows * from * to) as f64;
    Case { name, flops, shapes: vec![vec![rows, from], vec![to, from], vec![to]], fused: of(super::linear), plain: of(reference::linear) }
}

fn layer_norm(name: &'static str, [rows, width]: [usize; 2]) -> Case {
    let of = move |norm: fn(Tensor<2>, Tensor<1>, Tensor<1>, f64) -> Tensor<2>| -> Operation {
        Box::new(move |inputs| {
            let mut inputs = inputs.into_iter();
            let x = take(&mut inputs, [rows, width]);
            norm(x, take(&mut inputs, [width]), take(&mut inputs, [width]), 1e-6).reshape([-1])
        })
    };
    let shapes = vec![vec![rows, width], vec![width], vec![width]];
    Case { name, flops: 0.0, shapes, fused: of(super::layer_norm), plain: of(reference::layer_norm) }
}

fn gelu(name: &'static str, count: usize) -> Case {
    let of = move |gelu: fn(Tensor<1>) -> Tensor<1>| -> Operation { Box::new(move |inputs| gelu(take(&mut inputs.into_iter(), [count]))) };
    Case { name, flops: 0.0, shapes: vec![vec![count]], fused: of(super::gelu), plain: of(reference::gelu) }
}

fn attention(name: &'static str, [batch, tokens, heads, head]: [usize; 4], groups: usize) -> Case {
    let of = move |attention: fn(Tensor<3>, Option<Tensor<4>>, usize) -> Tensor<3>| -> Operation {
        Box::new(move |inputs| {
            let mut inputs = inputs.into_iter();
            let qkv = take(&mut inputs, [batch, tokens, 3 * heads * head]);
            let bias = (groups > 0).then(|| take(&mut inputs, [groups, heads, tokens, tokens]));
            attention(qkv, bias, heads).reshape([-1])
        })
    };
    let mut shapes = vec![vec![batch, tokens, 3 * heads * head]];
    shapes.extend((groups > 0).then(|| vec![groups, heads, tokens, tokens]));
    Case {
        name,
        flops: 12.0 * (batch * heads * tokens * tokens * head) as f64,
        shapes,
        fused: of(super::attention),
        plain: of(reference::attention),
    }
}

fn block(name: &'static str, [batch, tokens, heads, head]: [usize; 4], groups: usize, recompute: bool) -> Case {
    let (width, hidden) = (heads * head, 4 * heads * head);
    let mut shapes = vec![vec![batch, tokens, width]];
    for (outputs, inputs) in [(3 * width, width), (width, width), (hidden, width), (width, hidden)] {
        shapes.extend([vec![outputs, inputs], vec![outputs]]);
    }
    shapes.extend([(); 4].map(|()| vec![width]));
    shapes.extend((groups > 0).then(|| vec![groups, heads, tokens, tokens]));
    let of = move |is_fused: bool| -> Operation {
        Box::new(move |inputs| {
            let mut inputs = inputs.into_iter();
            let x = take(&mut inputs, [batch, tokens, width]);
            let layers = [(3 * width, width), (width, width), (hidden, width), (width, hidden)]
                .map(|(to, from)| (take(&mut inputs, [to, from]), take(&mut inputs, [to])));
            let norms = [(); 2].map(|()| [(); 2].map(|()| take(&mut inputs, [width])));
            let bias = (groups > 0).then(|| take(&mut inputs, [groups, heads, tokens, tokens]));
            let biases = layers.each_ref().map(|(_, bias)| bias.clone());
            let parameters =
                BlockParameters { norms, weights: layers.map(|(weight, _)| weight), biases, heads, eps: 1e-6, bias, recompute };
            let y = if is_fused { super::block(x, parameters, None) } else { reference::block(&reference::PARTS, x, parameters, None) };
            y.reshape([-1])
        })
    };
    let linears = (batch * tokens * width * (4 * width + 2 * hidden)) as f64;
    let flops = 6.0 * linears + 12.0 * (batch * tokens * tokens * width) as f64;
    Case { name, flops, shapes, fused: of(true), plain: of(false) }
}

fn row_error(name: &'static str, [rows, width]: [usize; 2], error: RowError) -> Case {
    let of = move |row_error: fn(Tensor<3>, Tensor<3>, Tensor<2>, RowError, f64) -> Tensor<1>| -> Operation {
        Box::new(move |inputs| {
            let x = take(&mut inputs.into_iter(), [1, rows, width]);
            let device = x.device().without_autodiff();
            let target = Tensor::ones([1, rows, if error == RowError::Entropy { 1 } else { width }], &device);
            row_error(x, target, Tensor::ones([1, rows], &device), error, 0.0)
        })
    };
    Case { name, flops: 0.0, shapes: vec![vec![rows, width]], fused: of(super::row_error), plain: of(reference::row_error) }
}

type Adam = fn(Tensor<1>, Tensor<1>, [Tensor<1>; 2], Update) -> (Tensor<1>, [Tensor<1>; 2]);

fn adamw(name: &'static str, count: usize) -> Case {
    const NUMBERS: Update = Update { betas: [0.9, 0.95], rests: [0.1, 0.05], keep: 0.999, rate: 1e-3, root_correction: 0.5, eps: 1e-8 };
    let of = |adamw: Adam| -> Operation {
        Box::new(move |inputs| {
            let mut inputs = inputs.into_iter().map(Tensor::without_autodiff);
            let mut next = || inputs.next().unwrap_or_else(|| Tensor::zeros([1], &Device::flex()));
            adamw(next(), next(), [next(), next()], NUMBERS).0
        })
    };
    Case { name, flops: 0.0, shapes: vec![vec![count]; 4], fused: of(super::adamw), plain: of(reference::adamw) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_every_case_agree() {
        let device = Device::flex();
        for case in cases().into_iter().filter(|case| case.shapes[0].iter().product::<usize>() < 1_000_000) {
            let outputs = [&case.fused, &case.plain].map(|operation| {
                let output = operation(case.inputs(&device)).without_autodiff();
                output.into_data().try_into_vec::<f32>().unwrap()
            });
            let largest = outputs[1].iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            for (fused, plain) in outputs[0].iter().zip(&outputs[1]) {
                assert!((fused - plain).abs() <= 1e-5 * largest, "{}: {fused} {plain}", case.name);
            }
        }
    }
}
