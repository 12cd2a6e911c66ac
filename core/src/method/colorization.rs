//! Colorization (Zhang, Isola and Efros, *Colorful Image Colorization*, 2016).
//!
//! The network sees how light an image is and says which colors it has: it has to know what the things in it are. Nothing is masked;
//! predicted is, for every part of every patch, how probable each of a few hundred colors is, where rare colors count more than frequent
//! ones.

use crate::recipe::{ON_SMALL_IMAGES, Preset};

/// The paper's classification of colors on a small back-bone; the paper's own network is convolutional and predicts places of 4 px.
pub const PRESET: Preset = Preset {
    name: "colorization",
    summary: "says which colors an image has, of which it sees the lightness alone",
    source: "Colorful Image Colorization (Zhang, Isola and Efros, 2016); the optimizer is that of vision transformers",
    backbone: "vit-ti/16",
    sets: &[
        ("augment.crop_scale", "[0.4, 1.0]"),
        ("augment.flip", "0.5"),
        ("mask.kind", "random"),
        ("mask.ratio", "0.0"),
        ("backbone.tokens", "mask"),
        ("decoder.kind", "linear"),
        ("target.kind", "color"),
        ("target.cells", "2"),
        ("objective.kind", "cross_entropy"),
        ("objective.over", "all"),
        ("optim.base_lr", "5e-4"),
        ("optim.lr_images", "256"),
        ("optim.weight_decay", "0.05"),
        ("optim.betas", "[0.9, 0.999]"),
        ("optim.clip_norm", "3.0"),
        ("optim.warmup_epochs", "10"),
        ("optim.epochs", "100"),
    ],
    sets_for: &[
        ("vit", &[("backbone.pos", "learned"), ("backbone.init", "dino")]),
        (ON_SMALL_IMAGES, &[("target.cells", "1"), ("optim.base_lr", "1e-3")]),
    ],
};

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use crate::inspect::reconstruct::reconstruct;
    use crate::method::tests::{images, masks, overfit};
    use crate::method::{Lesson, Network, Task};
    use crate::optim::adamw::AdamW;
    use crate::random::{Purpose, Stream};
    use crate::recipe::{Base, Recipe};
    use crate::target::Sample;
    use crate::train::baseline::BaselineTally;

    fn recipe(backbone: &str, sets: &[(&str, &str)]) -> Recipe {
        let all =
            [("backbone.preset", backbone)].iter().chain(sets).map(|&(key, value)| (key.to_owned(), value.to_owned())).collect::<Vec<_>>();
        Recipe::resolve(Base::Preset("colorization"), &all).unwrap_or_else(|error| panic!("{backbone}: {error}"))
    }

    #[test]
    fn every_family_of_back_bones_learns_colors() {
        let small: [(&str, &[(&str, &str)]); 3] = [
            (
                "vit-nano",
                &[
                    ("backbone.patch", "8"),
                    ("target.cells", "2"),
                    ("backbone.width", "32"),
                    ("backbone.heads", "2"),
                    ("backbone.depth", "2"),
                ],
            ),
            ("swin-nano", &[("backbone.width", "16"), ("backbone.depths", "[2, 1, 2]"), ("backbone.heads", "[1, 2, 2]")]),
            ("pvt-nano", &[("backbone.widths", "[16, 24, 32]"), ("backbone.heads", "[1, 2, 2]")]),
        ];
        for (backbone, sets) in small {
            let [first, last] = overfit(&recipe(backbone, sets), 60);
            assert!(last < 0.75 * first, "{backbone}: {first} to {last}");
        }
    }

    #[test]
    fn colors_do_not_reach_the_network() {
        let recipe = recipe("vit-nano", &[]);
        let (network, task) = (Network::new(&recipe, &Device::flex()).unwrap(), Task::new(&recipe).unwrap());
        let (own, masks) = (images(&task, 2), masks(&recipe, 2));
        let gray = task.shown(&own).unwrap();
        let [of_own, of_gray] = [&own, &gray].map(|images| reconstruct(&network, &task, images, &masks).unwrap());
        let farthest = of_own.prediction.iter().zip(&of_gray.prediction).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(farthest < 1e-3, "{farthest}");
        assert_ne!(of_own.targets, of_gray.targets);
        assert!(task.draw(&own[..own.len() / 2], &of_own.prediction[..of_own.prediction.len() / 2]).is_some());
    }

    /// Images whose patches are dark blue, green or light orange at random, so that their lightness tells their color. Normalized, `[count, 32,
    /// 32, 3]`.
    fn told_by_lightness(recipe: &Recipe, first: u64, count: u64) -> Vec<f32> {
        const COLORS: [[f32; 3]; 3] = [[0.1, 0.15, 0.5], [0.2, 0.6, 0.3], [1.0, 0.8, 0.4]];
        let (mean, std) = recipe.data.normalization();
        let image = |index: u64| {
            let mut stream = Stream::new(3, 0, index, Purpose::Bench);
            let choices: Vec<usize> = (0..64).map(|_| stream.below(3)).collect();
            let value = |at: usize| {
                let (pixel, channel) = (at / 3, at % 3);
                (COLORS[choices[pixel / 32 / 4 * 8 + pixel % 32 / 4]][channel] - mean[channel]) / std[channel]
            };
            (0..32 * 32 * 3).map(value).collect::<Vec<_>>()
        };
        (first..first + count).flat_map(image).collect()
    }

    #[test]
    fn what_it_learns_is_more_than_how_frequent_colors_are() {
        let recipe = recipe("vit-nano", &[("backbone.width", "64"), ("backbone.heads", "2"), ("backbone.depth", "2")]);
        let (shown, held_out) = (told_by_lightness(&recipe, 0, 96), told_by_lightness(&recipe, 1000, 32));
        let patches = |_: usize| {
            let cut = |image: &[f32]| crate::backbone::patch_embed::patchify(image, 32, 32, 3, recipe.backbone.patch);
            Ok(shown.chunks_exact(32 * 32 * 3).flat_map(cut).collect())
        };
        let measured = recipe.target().unwrap().measure(&Sample::new(&recipe, &patches)).unwrap();
        let device = Device::flex();
        let lesson = Lesson::new(&recipe).unwrap().with_measured(&measured, &device).unwrap();
        let task = lesson.task().unwrap();
        let masks = masks(&recipe, 32);
        let mut tally = BaselineTally::new(task.objective.as_ref(), task.output(), 1);
        held_out.chunks_exact(32 * 32 * 3).zip(&masks).for_each(|(image, mask)| tally.add(&task.targets(image), mask));
        let guess = tally.finish().unwrap().patch_mean;

        let mut network = Network::new(&recipe, &Device::flex().autodiff()).unwrap();
        let judged = |network: &Network| reconstruct(&network.for_inference(), task, &held_out, &masks).unwrap().loss;
        let untrained = judged(&network);
        let mut optimizer = AdamW::new(&recipe.optim);
        let size = 32 * 32 * 32 * 3;
        for step in 0..240_u64 {
            let images = &shown[step as usize % 3 * size..][..size];
            let prepared = lesson.prepare(images, step, &(0..32).collect::<Vec<u64>>()).unwrap();
            let loss = lesson.outcome(&network, &prepared, crate::method::Place::default(), false).unwrap().loss;
            let gradients = network.parameters().take_gradients(&mut loss.backward());
            optimizer.step(network.parameters_mut(), gradients, 2e-3);
        }
        let trained = judged(&network);
        assert!(untrained > guess && trained < 0.9 * guess, "{untrained} to {trained}, by frequency {guess}");
    }
}
