//! Vector arithmetic without intrinsics: loops the compiler turns into the widest instructions of the machine it runs on, and the two
//! functions such loops need, written without branches.
#![expect(unsafe_code, reason = "calls code compiled for instructions whose presence is checked first")]

/// Work whose inner loops are to be vectorized. `run` and everything it calls must be `#[inline(always)]`, or it is compiled without the
/// wide instructions.
pub trait Job {
    /// What it returns.
    type Output;

    /// Does the work.
    fn run(self) -> Self::Output;
}

/// Runs a job with the widest vectors this machine has. The program itself is compiled for the oldest machine it may meet, whose vectors
/// are a quarter as wide.
pub fn vectorized<J: Job>(job: J) -> J::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has the instructions.
            return unsafe { with_avx512(job) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has the instructions.
            return unsafe { with_avx2(job) };
        }
    }
    job.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn with_avx512<J: Job>(job: J) -> J::Output {
    job.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2<J: Job>(job: J) -> J::Output {
    job.run()
}

/// Partial results of a reduction, as many as the widest vector holds. Their number is fixed, so a sum is the same on every machine.
const LANES: usize = 16;

/// Folds `term` over N rows of equal length in a fixed order that vectorizes.
#[inline(always)]
fn fold<const N: usize>(rows: [&[f32]; N], start: f32, term: impl Fn([f32; N]) -> f32, join: impl Fn(f32, f32) -> f32) -> f32 {
    let split = rows.map(<[f32]>::as_chunks::<LANES>);
    let mut lanes = [start; LANES];
    for chunk in 0..rows[0].len() / LANES {
        let parts = split.map(|(chunks, _)| &chunks[chunk]);
        for (lane, total) in lanes.iter_mut().enumerate() {
            *total = join(*total, term(parts.map(|part| part[lane])));
        }
    }
    for (index, total) in lanes.iter_mut().enumerate().take(rows[0].len() % LANES) {
        *total = join(*total, term(split.map(|(_, rest)| rest[index])));
    }
    join_lanes(lanes, join)
}

#[inline(always)]
fn join_lanes(mut lanes: [f32; LANES], join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] = join(lanes[lane], lanes[lane + width]);
        }
        width /= 2;
    }
    lanes[0]
}

/// Changes every number of a row and returns the sum of the new ones. What does not fill a vector is changed in one all the same: left to
/// the compiler, an exponential of each of the last numbers takes as long as those of all others.
#[inline(always)]
pub fn change_and_sum(row: &mut [f32], change: impl Fn(f32) -> f32) -> f32 {
    let (chunks, rest) = row.as_chunks_mut::<LANES>();
    let mut lanes = [0.0; LANES];
    for chunk in chunks {
        for (value, total) in chunk.iter_mut().zip(&mut lanes) {
            *value = change(*value);
            *total += *value;
        }
    }
    let mut last = [0.0; LANES];
    last[..rest.len()].copy_from_slice(rest);
    for value in &mut last {
        *value = change(*value);
    }
    for ((value, last), total) in rest.iter_mut().zip(last).zip(&mut lanes) {
        *value = last;
        *total += last;
    }
    join_lanes(lanes, |a, b| a + b)
}

/// The sum of `term` over N rows of equal length.
#[inline(always)]
pub fn sum<const N: usize>(rows: [&[f32]; N], term: impl Fn([f32; N]) -> f32) -> f32 {
    fold(rows, 0.0, term, |a, b| a + b)
}

/// The largest value of a row.
#[inline(always)]
pub fn max(row: &[f32]) -> f32 {
    fold([row], f32::NEG_INFINITY, |[value]| value, |a, b| if a > b { a } else { b })
}

/// `e^x` to two units in the last place, for `x` clamped to -80..88 so that nothing becomes denormal or infinite. NaN stays NaN.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // e^x = 2^n e^r with |r| ≤ ln(2)/2, and e^r by its Taylor series. Adding 1.5·2^23 rounds to an integer and leaves n in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-80.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let high = ((r * (1.0 / 5040.0) + 1.0 / 720.0) * r + 1.0 / 120.0) * r + 1.0 / 24.0;
    let series = (((high * r + 1.0 / 6.0) * r + 0.5) * r + 1.0) * r + 1.0;
    series * f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0_f32.to_bits()))
}

/// The standard normal distribution function `Φ(x)` and its density `φ(x)`.
///
/// For t = |x|, Φ(-t) = e^(-t²/2) R(t), where R is a smooth function near `1/(2 + 2.5 t)`: a polynomial in 1/(1 + t/4), fitted by
/// weighted least squares so that `x Φ(x)` is off by less than 3e-9. With the rounding of single precision, the error of Φ stays below
/// 2e-7 and that of `x Φ(x)` below 1.2e-7 times the larger of 1 and |x|.
#[inline(always)]
pub fn normal(x: f32) -> (f32, f32) {
    let u = 1.0 / (1.0 + 0.25 * x.abs());
    let high = ((-0.088_585_61 * u + 0.326_122_43) * u - 0.234_019_77) * u + 0.243_93;
    let ratio = (((high * u + 0.048_310_388) * u + 0.104_338_12) * u + 0.099_904_45) * u;
    let bell = exp(-0.5 * x * x);
    let tail = bell * ratio;
    (if x < 0.0 { tail } else { 1.0 - tail }, bell * 0.398_942_3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_exact_to_two_units_in_the_last_place() {
        for step in -80_000..88_000 {
            let x = step as f32 * 1e-3;
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) / exact - 1.0).abs() < 2.4e-7, "{x}");
        }
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(f32::NEG_INFINITY) < 2e-35 && exp(f32::INFINITY).is_finite());
    }

    #[test]
    fn normal_matches_tables() {
        // Abramowitz and Stegun, table 26.1, and scipy.stats.norm.
        let table = [
            (0.0, 0.5, 0.398_942_280),
            (0.1, 0.539_827_837, 0.396_952_547),
            (0.5, 0.691_462_461, 0.352_065_327),
            (1.0, 0.841_344_746, 0.241_970_725),
            (1.96, 0.975_002_105, 0.058_440_944),
            (3.0, 0.998_650_102, 0.004_431_848),
        ];
        for (x, distribution, density) in table {
            for (x, distribution) in [(x, distribution), (-x, 1.0 - distribution)] {
                let (have, bell) = normal(x as f32);
                assert!((f64::from(have) - distribution).abs() < 2e-7, "{x}: {have}");
                assert!((f64::from(bell) - density).abs() < 1e-7, "{x}: {bell}");
            }
        }
        assert!((f64::from(normal(-5.0).0) / 2.866_515_719e-7 - 1.0).abs() < 1e-2);
        assert_eq!((normal(20.0).0, normal(f32::INFINITY).0), (1.0, 1.0));
        assert!(normal(f32::NAN).0.is_nan());
    }

    #[test]
    fn reductions_take_every_element_once() {
        for len in [0, 1, 5, 15, 16, 17, 197] {
            let row: Vec<f32> = (1..=len).map(|value| value as f32).collect();
            assert_eq!(sum([&row, &row], |[a, b]| a + b), (len * (len + 1)) as f32);
            let mut doubled = row.clone();
            assert_eq!(change_and_sum(&mut doubled, |value| 2.0 * value), (len * (len + 1) * 2) as f32 / 2.0);
            assert!(doubled.iter().zip(&row).all(|(doubled, value)| *doubled == 2.0 * value));
            assert_eq!(max(&row), if len == 0 { f32::NEG_INFINITY } else { len as f32 });
        }
    }
}
