//! Networks that teach themselves can end in answers that are right without looking. What that looks like, in figures and in words.

use crate::run::Figures;

/// A way to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Collapse {
    /// One prototype is what every image is like.
    OneAnswer,
    /// Every image is like all prototypes alike.
    NoAnswer,
    /// All images have nearly the same feature.
    OneFeature,
}

/// The mean probability of one prototype from which on it is the answer to everything.
const PEAK: f64 = 0.8;
/// The share of ln K from which on an entropy is that of no answer, and below which a divergence is none.
const FLAT: f64 = 0.98;
const AGREED: f64 = 0.01;
/// The spread of features, 1 being even, below which they are the same.
const LEAST_SPREAD: f64 = 0.02;

/// What figures of a step or of held-out images say of a network with so many prototypes: `teacher_peak`, `teacher_entropy`, `kl` in nats,
/// and `feature_spread`, those of them that there are.
pub fn collapse(figures: &Figures, prototypes: usize) -> Option<Collapse> {
    let figure = |name: &str| figures.get(name).copied().filter(|value| value.is_finite());
    let most = (prototypes.max(2) as f64).ln();
    if figure("teacher_peak").is_some_and(|peak| peak > PEAK) {
        return Some(Collapse::OneAnswer);
    }
    if let (Some(entropy), Some(kl)) = (figure("teacher_entropy"), figure("kl"))
        && entropy > FLAT * most
        && kl < AGREED * most
    {
        return Some(Collapse::NoAnswer);
    }
    figure("feature_spread").is_some_and(|spread| spread < LEAST_SPREAD).then_some(Collapse::OneFeature)
}

impl Collapse {
    /// What is the matter, as a clause.
    pub fn title(self) -> &'static str {
        match self {
            Self::OneAnswer => "the network finds the same prototype in every image",
            Self::NoAnswer => "the network finds all prototypes alike in every image",
            Self::OneFeature => "the network gives nearly the same feature to every image",
        }
    }

    /// Why it may be so, and what to do.
    pub fn advice(self) -> &'static str {
        match self {
            Self::OneAnswer => {
                "it has collapsed, and training on does not bring it back; start anew with target.balance, or a higher \
                 target.temperature"
            }
            Self::NoAnswer => {
                "it has collapsed, or has not begun to learn; start anew with a lower target.temperature, or a lower \
                 target.warmup_temperature if it was so from the beginning"
            }
            Self::OneFeature => {
                "it has collapsed, and training on does not bring it back; start anew with a lower optim.base_lr or a longer warm-up"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_has_its_name_and_health_has_none() {
        let of = |peak: f64, entropy: f64, kl: f64, spread: f64| {
            let figures = [("teacher_peak", peak), ("teacher_entropy", entropy), ("kl", kl), ("feature_spread", spread)];
            collapse(&figures.map(|(name, value)| (name.to_owned(), value)).into(), 1024)
        };
        let flat = 1024_f64.ln();
        assert_eq!(of(0.01, 2.5, 0.4, 0.6), None);
        assert_eq!(of(0.999, 0.01, 0.0, 0.01), Some(Collapse::OneAnswer));
        assert_eq!(of(0.001, flat, 0.0, 0.6), Some(Collapse::NoAnswer));
        // The teacher begins flat, and the network does not agree with it yet.
        assert_eq!(of(0.001, flat, 0.5, 0.6), None);
        assert_eq!(of(0.01, 2.5, 0.4, 0.001), Some(Collapse::OneFeature));
        assert_eq!(of(f64::NAN, f64::NAN, f64::NAN, f64::NAN), None);
        assert_eq!(collapse(&Figures::new(), 1024), None);
    }
}
