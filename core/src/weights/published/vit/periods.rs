//! The periods of rotary positions in DINOv3's own files, and the base that they are powers of.

use super::super::listing::Listing;
use super::super::site::Site;
use super::super::unknown;
use super::sizes::PERIODS;
use crate::backbone::vit::VitConfig;
use crate::error::Result;

/// How a network turns queries and keys.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Turns {
    /// Pair i of a quarter of a head of d numbers has the period `base^(4 i / d)`.
    pub base: f64,
    /// The file's periods are not exactly those.
    pub rounded: bool,
}

/// What sixteen bits may be off by.
const ROUNDING: f64 = 1.0 / 128.0;

impl Turns {
    /// Those of a file that does not list them.
    pub const EXACT: Self = Self { base: VitConfig::ROPE_BASE, rounded: false };

    /// Those of a file.
    ///
    /// # Errors
    /// [`Error::Data`](crate::error::Error::Data) if its periods are no powers of one number, or cannot be read.
    pub fn of(site: &Site, listing: &Listing) -> Result<Self> {
        let Some(name) = site.name(PERIODS).cloned() else { return Ok(Self::EXACT) };
        let periods = listing.tensor(&name)?.values;
        Self::of_periods(&periods).ok_or_else(|| unknown(listing, &format!("`{name}` are no powers of one number")))
    }

    fn of_periods(periods: &[f32]) -> Option<Self> {
        if !periods.iter().all(|period| period.is_finite()) {
            return None;
        }
        let count = periods.len() as f64;
        let off = |base: f64| {
            let each = periods.iter().enumerate().map(|(pair, &period)| (f64::from(period) / base.powf(pair as f64 / count) - 1.0).abs());
            each.fold(0.0, f64::max)
        };
        let last = f64::from(*periods.last()?);
        let own = if periods.len() > 1 { last.powf(count / (count - 1.0)) } else { VitConfig::ROPE_BASE };
        let fits = |base: &f64| (1.0..=1e6).contains(base) && off(*base) <= ROUNDING;
        let base = [VitConfig::ROPE_BASE, own.round(), own].into_iter().find(fits)?;
        Some(Self { base, rounded: off(base) > 1e-6 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_are_found_behind_rounding() {
        let periods = |base: f64, round: f64| -> Vec<f32> {
            (0..16).map(|pair| ((base.powf(f64::from(pair) / 16.0) * round).round() / round) as f32).collect()
        };
        let of = |periods: Vec<f32>| Turns::of_periods(&periods);
        assert_eq!(of(periods(100.0, 1e9)), Some(Turns::EXACT));
        assert_eq!(of(periods(100.0, 128.0)), Some(Turns { base: 100.0, rounded: true }));
        assert_eq!(of(periods(10_000.0, 1e9)), Some(Turns { base: 10_000.0, rounded: false }));
        assert_eq!(of(vec![1.0]), Some(Turns::EXACT));
        for strange in [vec![], vec![f32::NAN; 4], vec![1.0, 5.0, 6.0, 7.0], vec![0.0; 4], vec![2.0; 4], vec![1.0, f32::INFINITY]] {
            assert_eq!(of(strange.clone()), None, "{strange:?}");
        }
    }
}
