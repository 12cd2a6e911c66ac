//! What becomes of pixels before the network sees them, as operators: so nobody who uses the graph has to know it.

use super::builder::Builder;
use crate::recipe::Recipe;
use crate::target::lab;

/// Pixels as the recipe's network was shown them in training. Shapes: `images [B, C, H, W]` in 0..1 to the same, normalized.
pub fn prepared(builder: &mut Builder<'_>, recipe: &Recipe, images: &str) -> String {
    let at = "normalize";
    let (mean, std) = recipe.data.normalization();
    let images = if sees_lightness_alone(recipe) { gray(builder, images) } else { images.to_owned() };
    let shape = [1, recipe.data.channels, 1, 1];
    let (mean, std) = (builder.constant("mean", &shape, mean), builder.constant("std", &shape, std));
    let centered = builder.node(at, "Sub", &[&images, &mean], &[]);
    builder.node(at, "Div", &[&centered, &std], &[])
}

/// Whether colors are what the network had to guess.
pub fn sees_lightness_alone(recipe: &Recipe) -> bool {
    let (mean, std) = recipe.data.normalization();
    // Where views are compared, there is no target of this kind.
    recipe.data.channels == 3 && recipe.target().is_ok_and(|target| target.shown(&[0.0; 3], &mean, &std).is_some())
}

/// The gray that is as light, as [`lab::gray_from_srgb`] has it. Shapes: `images [B, 3, H, W]` to the same.
fn gray(builder: &mut Builder<'_>, images: &str) -> String {
    let at = "lightness";
    let levels = clipped(builder, images);
    let line = scaled(builder, "Div", &levels, 12.92);
    let raised = scaled(builder, "Add", &levels, 0.055);
    let raised = scaled(builder, "Div", &raised, 1.055);
    let curve = scaled(builder, "Pow", &raised, 2.4);
    let linear = below(builder, &levels, 0.040_45, [&line, &curve]);
    let shares = builder.constant("luminance", &[3, 3, 1, 1], lab::luminance_shares().repeat(3));
    let light = builder.node(at, "Conv", &[&linear, &shares], &[]);
    let line = scaled(builder, "Mul", &light, 12.92);
    let root = scaled(builder, "Pow", &light, 1.0 / 2.4);
    let curve = scaled(builder, "Mul", &root, 1.055);
    let curve = scaled(builder, "Sub", &curve, 0.055);
    let levels = below(builder, &light, 0.003_130_8, [&line, &curve]);
    clipped(builder, &levels)
}

fn scaled(builder: &mut Builder<'_>, operator: &'static str, x: &str, number: f32) -> String {
    let number = builder.scalar(number);
    builder.node("lightness", operator, &[x, &number], &[])
}

fn clipped(builder: &mut Builder<'_>, x: &str) -> String {
    let [zero, one] = [0.0, 1.0].map(|number| builder.scalar(number));
    builder.node("lightness", "Clip", &[x, &zero, &one], &[])
}

/// The first of two where `x` is at most `bound`, else the second.
fn below(builder: &mut Builder<'_>, x: &str, bound: f32, [first, second]: [&str; 2]) -> String {
    let is_below = scaled(builder, "LessOrEqual", x, bound);
    builder.node("lightness", "Where", &[&is_below, first, second], &[])
}
