//! What is wrong with the sizes of a pyramid, alone and with an image, and what to do about it.

use super::pvt::PvtConfig;
use super::relative_position::RelativePositions;
use super::swin::SwinConfig;
use super::window::{divides, nearest_window, side_within};
use crate::error::{Problem, neighbors};

/// The sides of a compact map are half the image's.
const COMPACT: usize = 2;

impl SwinConfig {
    /// Why it cannot encode whole images of these [height, width] in pixels. Accepted are images whose sides are multiples of the patch and
    /// halve evenly from stage to stage.
    pub fn problems(&self, image: [usize; 2]) -> Vec<Problem> {
        self.problems_of(image, 1)
    }

    /// Why it cannot encode what uniform masking leaves visible of such images, packed into a map of half the size. These maps have to
    /// divide into windows.
    pub fn compact_problems(&self, image: [usize; 2]) -> Vec<Problem> {
        let mut problems = self.problems_of(image, COMPACT);
        problems.extend(single_stage(self.depths.len()));
        if self.positions == RelativePositions::Table {
            let what = "a table of positions knows no distances between tokens from different places of the image";
            problems.push(Problem::new("backbone.positions", what, "use the network of relative positions"));
        }
        problems
    }

    fn problems_of(&self, image: [usize; 2], shrunk: usize) -> Vec<Problem> {
        let widths: Vec<usize> = (0..self.depths.len()).map(|stage| self.width << stage).collect();
        let mut problems = stages(self.depths.len(), &[("heads", self.heads.len())]);
        if self.patch == 0 || self.window == 0 {
            let key = if self.patch == 0 { "backbone.patch" } else { "backbone.window" };
            problems.push(Problem::new(key, "it is 0", "use 1 or more"));
        }
        if !problems.is_empty() {
            return problems;
        }
        problems.extend(heads(&widths, &self.heads));
        let uneven = sides(image, self.patch, shrunk, self.depths.len());
        if !uneven.is_empty() {
            problems.extend(uneven);
            return problems;
        }
        let grid = image.map(|side| side / self.patch / shrunk);
        let maps: Vec<[usize; 2]> = (0..self.depths.len()).map(|stage| grid.map(|side| side >> stage)).collect();
        if shrunk == 1 {
            if self.recompute && maps.iter().any(|map| !divides(*map, self.window)) {
                let what = "blocks whose windows are filled up cannot be computed again";
                let cure = format!("use false, or a window of {}", nearest_window(&maps, self.window).unwrap_or(1));
                problems.push(Problem::new("optim.recompute", what, cure));
            }
            return problems;
        }
        if let Some((stage, [rows, cols])) = maps.iter().enumerate().find(|(_, map)| !divides(**map, self.window)) {
            let side = side_within([*rows, *cols], self.window);
            let what = format!("the map of {rows}x{cols} tokens of stage {} does not divide into windows of {side}x{side}", stage + 1);
            let nearest = nearest_window(&maps, self.window).unwrap_or(1);
            let step = (self.patch * shrunk * self.window) << (self.depths.len() - 1);
            let cure = format!("use a window of {nearest}, or sides that are multiples of {step}");
            problems.push(Problem::new("backbone.window", what, cure));
        }
        problems
    }
}

impl PvtConfig {
    /// Why it cannot encode whole images of these [height, width] in pixels. Accepted are images whose sides are multiples of the patch,
    /// halve evenly from stage to stage, and whose maps divide into the squares that attention reduces; nothing is padded.
    pub fn problems(&self, image: [usize; 2]) -> Vec<Problem> {
        self.problems_of(image, 1)
    }

    /// Why it cannot encode what uniform masking leaves visible of such images, packed into a map of half the size.
    pub fn compact_problems(&self, image: [usize; 2]) -> Vec<Problem> {
        let mut problems = self.problems_of(image, COMPACT);
        problems.extend(single_stage(self.depths.len()));
        if self.has_class_token {
            let what = "a class token has no place in a packed map";
            problems.push(Problem::new("backbone.class_token", what, "use false, or `backbone.tokens = \"mask\"`"));
        }
        problems
    }

    fn problems_of(&self, image: [usize; 2], shrunk: usize) -> Vec<Problem> {
        let lengths = [
            ("widths", self.widths.len()),
            ("heads", self.heads.len()),
            ("mlp_ratios", self.mlp_ratios.len()),
            ("reductions", self.reductions.len()),
        ];
        let mut problems = stages(self.depths.len(), &lengths);
        if self.patch == 0 || self.reductions.contains(&0) {
            let key = if self.patch == 0 { "backbone.patch" } else { "backbone.reductions" };
            problems.push(Problem::new(key, "it is 0", "use 1 or more"));
        }
        if !problems.is_empty() {
            return problems;
        }
        problems.extend(heads(&self.widths, &self.heads));
        if !self.learned_pos && self.widths.iter().any(|width| !width.is_multiple_of(4)) {
            let what = "not all are multiples of 4, which sine and cosine positions need";
            problems.push(Problem::new("backbone.widths", what, "use multiples of 4, or learned positions"));
        }
        if self.has_class_token && self.reductions.last().is_some_and(|&reduction| reduction > 1) {
            let what = "the last stage is reduced, and a class token has no place in a reduced map";
            problems.push(Problem::new("backbone.reductions", what, "use 1 for the last stage"));
        }
        let uneven = sides(image, self.patch, shrunk, self.depths.len());
        if !uneven.is_empty() {
            problems.extend(uneven);
            return problems;
        }
        let maps = (0..self.depths.len()).map(|stage| image.map(|side| (side / self.patch / shrunk) >> stage));
        for (stage, ([rows, cols], &reduction)) in maps.zip(&self.reductions).enumerate() {
            if !rows.is_multiple_of(reduction) || !cols.is_multiple_of(reduction) {
                let what = format!(
                    "the map of {rows}x{cols} tokens of stage {} does not divide into squares of {reduction}x{reduction}",
                    stage + 1
                );
                let fitting: Vec<usize> = (1..=reduction).filter(|side| rows.is_multiple_of(*side) && cols.is_multiple_of(*side)).collect();
                let step = (self.patch * shrunk * reduction) << stage;
                let cure = format!("reduce that stage by {}, or use sides that are multiples of {step}", fitting.last().unwrap_or(&1));
                problems.push(Problem::new("backbone.reductions", what, cure));
            }
        }
        problems
    }
}

/// The objection to a packed map that one stage leaves as it is: each token that leaves it becomes those of four units, and has to stand for
/// four patches.
fn single_stage(stages: usize) -> Option<Problem> {
    let what = "what leaves a single stage stands for one patch of a packed map, and has to become four units";
    (stages == 1).then(|| Problem::new("backbone.depths", what, "use two stages or more, or `backbone.tokens = \"mask\"`"))
}

/// The objection to lists that do not have one entry for each stage, or to having no stage.
fn stages(count: usize, lengths: &[(&str, usize)]) -> Vec<Problem> {
    if count == 0 {
        return vec![Problem::new("backbone.depths", "there is no stage", "write the number of blocks of each stage")];
    }
    let unequal = lengths.iter().filter(|(_, length)| *length != count);
    let problem = |(key, length): &(&str, usize)| {
        Problem::new(format!("backbone.{key}"), format!("it has {length} entries for {count} stages"), "write one entry for each stage")
    };
    unequal.map(problem).collect()
}

/// The objection to widths that do not divide into heads.
fn heads(widths: &[usize], heads: &[usize]) -> Option<Problem> {
    let (stage, (width, heads)) =
        widths.iter().zip(heads).enumerate().find(|(_, (width, heads))| **heads == 0 || !width.is_multiple_of(**heads))?;
    let what = format!("the width {width} of stage {} does not divide into {heads} heads", stage + 1);
    Some(Problem::new("backbone.heads", what, "use a number of heads that divides the width"))
}

/// The objections to sides that do not halve evenly down to the last of `count` stages.
fn sides([height, width]: [usize; 2], patch: usize, shrunk: usize, count: usize) -> Vec<Problem> {
    let step = (patch * shrunk) << (count - 1);
    let of_what = if shrunk == COMPACT { " on compact maps" } else { "" };
    let sides = if height == width { vec![("side", height)] } else { vec![("height", height), ("width", width)] };
    let uneven = sides.into_iter().filter(|(_, side)| *side == 0 || !side.is_multiple_of(step));
    let problem = |(name, side): (&str, usize)| {
        let what = format!("the {name} {side} is not a multiple of {step}, which {count} stages{of_what} need");
        Problem::new("data.image", what, format!("use {}", neighbors(side, step)))
    };
    uneven.map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(problems: &[Problem]) -> Vec<&str> {
        problems.iter().map(|problem| problem.key.as_str()).collect()
    }

    #[test]
    fn published_sizes_fit_their_images() {
        for name in ["swin-t", "swin-s", "swin-b", "swin-l"] {
            let swin = SwinConfig::preset(name).unwrap();
            assert_eq!(swin.problems([224, 224]), []);
            assert_eq!(SwinConfig { window: 6, ..swin.clone() }.problems([192, 192]), []);
            assert_eq!(SwinConfig { window: 12, ..swin.clone() }.problems([192, 384]), []);
            let umae = SwinConfig { window: 8, positions: RelativePositions::Network, ..swin };
            assert_eq!(umae.compact_problems([256, 256]), []);
            assert_eq!(SwinConfig { window: 16, ..umae }.problems([256, 256]), []);
        }
        for name in ["pvt-t", "pvt-s", "pvt-m", "pvt-l"] {
            let pvt = PvtConfig::preset(name).unwrap();
            assert_eq!(pvt.problems([224, 224]), []);
            assert_eq!(pvt.compact().compact_problems([256, 256]), []);
        }
        let swin = SwinConfig::preset("swin-nano").unwrap();
        let pvt = PvtConfig::preset("pvt-nano").unwrap();
        let scattered = SwinConfig { positions: RelativePositions::Network, ..swin.clone() };
        for (patch, image) in [(2, 32), (2, 64), (4, 64)] {
            assert_eq!(SwinConfig { patch, ..swin.clone() }.problems([image; 2]), []);
            assert_eq!(PvtConfig { patch, ..pvt.clone() }.problems([image; 2]), []);
            assert_eq!(SwinConfig { patch, ..scattered.clone() }.compact_problems([image; 2]), []);
            assert_eq!(PvtConfig { patch, ..pvt.clone().compact() }.compact_problems([image; 2]), []);
        }
        assert!(SwinConfig::preset("swin-x").is_none() && PvtConfig::preset("").is_none());
    }

    #[test]
    fn what_does_not_fit_is_said_with_a_cure() {
        let swin = SwinConfig::preset("swin-t").unwrap();
        let message = |problems: Vec<Problem>| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        assert_eq!(message(swin.problems([192, 192])), "", "windows of 7 on a map of 48 are filled up");
        let again = SwinConfig { recompute: true, ..swin.clone() };
        assert_eq!((keys(&again.problems([192; 2])), keys(&again.problems([224; 2]))), (vec!["optim.recompute"], vec![]));
        let scattered = SwinConfig { positions: RelativePositions::Network, ..swin.clone() };
        assert_eq!(
            message(scattered.compact_problems([384, 384])),
            "backbone.window: the map of 48x48 tokens of stage 1 does not divide into windows of 7x7: use a window of 6, or sides that are multiples of 448"
        );
        assert_eq!(
            message(swin.problems([200, 224])),
            "data.image: the height 200 is not a multiple of 32, which 4 stages need: use 192 or 224"
        );
        assert_eq!(keys(&swin.problems([0, 30])), ["data.image", "data.image"]);
        // The shorter side is the window where it is shorter, and then the longer must be a multiple of it.
        let small = SwinConfig { window: 6, depths: vec![2, 2], heads: vec![3, 6], ..scattered };
        assert_eq!(
            keys(&PvtConfig { has_class_token: true, ..PvtConfig::preset("pvt-s").unwrap().compact() }.compact_problems([256; 2])),
            ["backbone.class_token"]
        );
        assert_eq!((keys(&small.compact_problems([32, 64])).len(), keys(&small.compact_problems([32, 48])).len()), (0, 1));
        assert_eq!(keys(&SwinConfig { depths: vec![2], heads: vec![3], ..small }.compact_problems([32, 64])), ["backbone.depths"]);
        assert_eq!(keys(&SwinConfig { heads: vec![3, 6, 12, 25], ..swin.clone() }.problems([224; 2])), ["backbone.heads"]);
        assert_eq!(keys(&SwinConfig { heads: vec![3], ..swin.clone() }.problems([224; 2])), ["backbone.heads"]);
        assert_eq!(keys(&SwinConfig { depths: vec![], ..swin.clone() }.problems([224; 2])), ["backbone.depths"]);
        assert_eq!(keys(&SwinConfig { window: 0, ..swin.clone() }.problems([224; 2])), ["backbone.window"]);
        assert_eq!(keys(&swin.compact_problems([448, 448])), ["backbone.positions"]);
        let odd = "data.image: the side 224 is not a multiple of 64, which 4 stages on compact maps need: use 192 or 256";
        assert_eq!(message(PvtConfig::preset("pvt-s").unwrap().compact().compact_problems([224; 2])), odd);

        let pvt = PvtConfig::preset("pvt-s").unwrap();
        assert_eq!(message(pvt.problems([160, 224])), "");
        assert_eq!(
            message(pvt.problems([192 + 32, 96 + 16])),
            "data.image: the width 112 is not a multiple of 32, which 4 stages need: use 96 or 128"
        );
        let coarse = PvtConfig { reductions: vec![16, 4, 2, 1], ..pvt.clone() };
        assert_eq!(
            message(coarse.problems([224; 2])),
            "backbone.reductions: the map of 56x56 tokens of stage 1 does not divide into squares of 16x16: reduce that stage by 14, or use sides that are multiples of 64"
        );
        assert_eq!(keys(&PvtConfig { reductions: vec![8, 4, 2, 7], ..pvt.clone() }.problems([224; 2])), ["backbone.reductions"]);
        assert_eq!(
            keys(&PvtConfig { widths: vec![62, 128, 320, 512], learned_pos: false, ..pvt.clone() }.problems([224; 2])),
            ["backbone.widths"]
        );
        assert_eq!(
            keys(&PvtConfig { widths: vec![64], mlp_ratios: vec![], ..pvt }.problems([224; 2])),
            ["backbone.widths", "backbone.mlp_ratios"]
        );
    }
}
