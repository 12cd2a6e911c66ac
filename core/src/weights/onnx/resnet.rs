//! A residual network as operators. Norms use the running statistics.

use super::Encoded;
use super::builder::Builder;
use super::layers::Square;
use super::model::Attribute;
use crate::backbone::batch_norm::BatchNorm;
use crate::backbone::resnet::{ConvolutionSizes, ResNetConfig};
use crate::error::Result;
use crate::kernel::Window;

/// From normalized pixels to what leaves the last stage.
///
/// # Errors
/// If the weights are not those of such a network.
pub fn encode(builder: &mut Builder<'_>, config: &ResNetConfig, pixels: &str) -> Result<Encoded> {
    let (window, pool) = config.stem_windows(config.grid);
    let (mut x, mut grid) = (convolved(builder, ["conv1", "bn1"], pixels, ([config.channels, config.width], window))?, window.places());
    x = builder.node("bn1", "Relu", &[&x], &[]);
    if let Some(pool) = pool {
        (x, grid) = (builder.pool("maxpool", "MaxPool", &x, square(pool)), pool.places());
    }
    let mut inputs = config.width;
    for (stage, &depth) in config.depths.iter().enumerate() {
        for index in 0..depth {
            let (convolutions, shortcut) = config.convolutions([stage, index, inputs], grid);
            x = block(builder, &format!("layer{}.{index}", stage + 1), &x, &convolutions, shortcut)?;
            grid = convolutions.last().map_or(grid, |(_, window)| window.places());
            inputs = config.width_of_stage(stage);
        }
    }
    let features = builder.tokens_from_map("features", &x, inputs, grid);
    Ok(Encoded { features, tokens: grid[0] * grid[1], width: inputs, prefix: 0, attention: None })
}

/// Convolutions with their norms, and the shortcut past them.
fn block(
    builder: &mut Builder<'_>,
    at: &str,
    x: &str,
    convolutions: &[ConvolutionSizes],
    shortcut: Option<ConvolutionSizes>,
) -> Result<String> {
    let past = match shortcut {
        Some(sizes) => convolved(builder, [&format!("{at}.downsample.0"), &format!("{at}.downsample.1")], x, sizes)?,
        None => x.to_owned(),
    };
    let mut y = x.to_owned();
    for (index, &sizes) in convolutions.iter().enumerate() {
        y = convolved(builder, [&format!("{at}.conv{}", index + 1), &format!("{at}.bn{}", index + 1)], &y, sizes)?;
        if index + 1 == convolutions.len() {
            y = builder.add(at, &y, &past);
        }
        y = builder.node(at, "Relu", &[&y], &[]);
    }
    Ok(y)
}

/// A convolution and its norm.
fn convolved(builder: &mut Builder<'_>, [conv, norm]: [&str; 2], x: &str, (sizes, window): ConvolutionSizes) -> Result<String> {
    let y = builder.convolution(conv, x, sizes, square(window), false)?;
    let parts = ["weight", "bias", "running_mean", "running_var"];
    let [weight, bias, mean, variance] = parts.map(|part| builder.parameter(&format!("{norm}.{part}"), &sizes[1..]));
    let epsilon = [("epsilon", Attribute::Float(BatchNorm::EPS as f32))];
    Ok(builder.node(norm, "BatchNormalization", &[&y, &weight?, &bias?, &mean?, &variance?], &epsilon))
}

fn square(window: Window) -> Square {
    Square { side: window.side, stride: window.stride, padding: window.padding }
}
