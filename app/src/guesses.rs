//! What a network that has learned nothing would answer, in words that fit what is predicted: beside its score they tell whether a run
//! has learned anything.

/// Names and explanations of the answers that need no network.
pub struct Guesses {
    /// The mean of what is visible, as the name of a line in a chart, and as something that scores.
    pub mean: [&'static str; 2],
    /// The nearest visible patch, in the same way.
    pub nearest: [&'static str; 2],
    /// What a network does whose loss is that of the most obvious answer, as a sentence without its full stop.
    pub trivial: &'static str,
    /// What that answer is, and what may help, after "which is what".
    pub trivial_advice: &'static str,
}

const NEAREST: [&str; 2] = ["nearest visible patch", "copying the nearest visible patch"];

const PIXELS: Guesses = Guesses {
    mean: ["mean of visible patches", "guessing the mean color of the visible patches"],
    nearest: NEAREST,
    trivial: "The network predicts nothing but a mean",
    trivial_advice: "a mean scores, that of each patch where target.norm_pix is on, else that of all images. Give it more steps or a higher \
                     optim.base_lr; on nearly uniform images turn off target.norm_pix",
};

const HISTOGRAMS: Guesses = Guesses {
    mean: ["mean of visible histograms", "guessing the mean histogram of the visible patches"],
    nearest: NEAREST,
    trivial: "The network predicts no edges at all",
    trivial_advice: "empty histograms score. Give it more steps or a higher optim.base_lr; optim.clip_norm may be too small",
};

const TOKENS: Guesses = Guesses {
    mean: ["frequency of codes", "knowing how frequent each code is"],
    nearest: NEAREST,
    trivial: "The network takes every code for equally likely",
    trivial_advice: "chance scores. Give it more steps or a higher optim.base_lr",
};

const LABELS: Guesses = Guesses {
    mean: ["frequency of classes", "knowing how frequent each class is"],
    trivial: "The network takes every class for equally likely",
    ..TOKENS
};

const COLORS: Guesses = Guesses {
    mean: ["frequency of colors", "knowing how frequent each color is"],
    trivial: "The network takes every color for equally likely",
    ..TOKENS
};

const FEATURES: Guesses = Guesses {
    mean: ["mean of visible features", "guessing the mean feature of the visible patches"],
    nearest: NEAREST,
    trivial: "The network predicts nothing of the teacher's features",
    trivial_advice: "zeros score. Give it more steps or a higher optim.base_lr",
};

impl Guesses {
    /// Those for a target of that kind.
    pub fn of(target: &str) -> &'static Self {
        match target {
            "labels" => &LABELS,
            "color" => &COLORS,
            "hog" => &HISTOGRAMS,
            "tokens" => &TOKENS,
            "features" | "pca" => &FEATURES,
            _ => &PIXELS,
        }
    }
}
