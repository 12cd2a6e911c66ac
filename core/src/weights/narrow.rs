//! Numbers of 32 bits as ones of 16, each the nearest there is; of two that are as near, the one whose last bit is zero.

use std::io::Write;

use super::dtype::f32_from_f16;
use super::precision::Precision;
use super::safetensors_file::TensorMap;

/// As IEEE 754 half precision: what is larger than 65,504 and not rounded to it is infinite.
pub(super) fn f16_from_f32(value: f32) -> u16 {
    let bits = value.to_bits();
    let (sign, exponent, fraction) = ((bits >> 16) as u16 & 0x8000, (bits >> 23 & 0xff) as i32 - 127, bits & 0x7f_ffff);
    sign | match exponent {
        128 if fraction != 0 => 0x7e00,
        16.. => 0x7c00,
        // A carry out of the fraction makes the exponent one more, up to infinity, as it should.
        -14..16 => (((exponent + 15) as u32) << 10) as u16 + nearest(fraction, 13),
        // Below the smallest exponent, the leading one is written out and moves to the right.
        -25..-14 => nearest(fraction | 0x80_0000, (-1 - exponent) as u32),
        _ => 0,
    }
}

/// As bfloat16, the upper half of 32 bits.
pub(super) fn bf16_from_f32(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// `value / 2^shift`, rounded.
fn nearest(value: u32, shift: u32) -> u16 {
    let (whole, rest, half) = (value >> shift, value & ((1 << shift) - 1), 1 << (shift - 1));
    (whole + u32::from(rest > half || (rest == half && whole & 1 == 1))) as u16
}

/// A number as it comes back from a file of a precision.
pub(super) fn rounded(value: f32, precision: Precision) -> f32 {
    match precision {
        Precision::F32 => value,
        Precision::F16 => f32_from_f16(f16_from_f32(value)),
        Precision::Bf16 => f32::from_bits(u32::from(bf16_from_f32(value)) << 16),
    }
}

/// The first number that is too large for a precision, and the tensor that it is in.
pub(super) fn misfit(tensors: &TensorMap, precision: Precision) -> Option<(&str, f32)> {
    let is_lost = |value: f32| value.is_finite() && !rounded(value, precision).is_finite();
    tensors.iter().find_map(|(name, tensor)| {
        let lost = tensor.values.iter().copied().find(|&value| is_lost(value))?;
        Some((name.as_str(), lost))
    })
}

/// Writes numbers in a precision.
pub(super) fn write(writer: &mut dyn Write, values: &[f32], precision: Precision) -> std::io::Result<()> {
    const AT_ONCE: usize = 1 << 14;
    let mut bytes = Vec::new();
    for values in values.chunks(AT_ONCE) {
        bytes.clear();
        match precision {
            Precision::F32 => values.iter().for_each(|value| bytes.extend(value.to_le_bytes())),
            Precision::F16 => values.iter().for_each(|&value| bytes.extend(f16_from_f32(value).to_le_bytes())),
            Precision::Bf16 => values.iter().for_each(|&value| bytes.extend(bf16_from_f32(value).to_le_bytes())),
        }
        writer.write_all(&bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::safetensors_file::HostTensor;

    #[test]
    fn every_number_of_16_bits_comes_back() {
        for bits in 0..=u16::MAX {
            let wide = f32_from_f16(bits);
            if wide.is_nan() {
                assert!(f32_from_f16(f16_from_f32(wide)).is_nan(), "{bits:x}");
            } else {
                assert_eq!(f16_from_f32(wide), bits, "{bits:x}");
            }
            let wide = f32::from_bits(u32::from(bits) << 16);
            if wide.is_nan() {
                assert!(f32::from_bits(u32::from(bf16_from_f32(wide)) << 16).is_nan(), "{bits:x}");
            } else {
                assert_eq!(bf16_from_f32(wide), bits, "{bits:x}");
            }
        }
    }

    #[test]
    fn what_lies_between_goes_to_the_nearest_and_half_way_to_even() {
        for bits in (0..0x7bff).step_by(7) {
            let [low, high] = [bits, bits + 1].map(f32_from_f16);
            let middle = low + (high - low) / 2.0;
            assert_eq!(f16_from_f32(middle), bits + bits % 2, "{bits:x}");
            assert_eq!([middle.next_down(), middle.next_up()].map(f16_from_f32), [bits, bits + 1], "{bits:x}");
            assert_eq!(f16_from_f32(-middle), 0x8000 | (bits + bits % 2), "{bits:x}");
        }
        assert_eq!([65_519.996, 65_520.0, 1e9, -f32::INFINITY].map(f16_from_f32), [0x7bff, 0x7c00, 0x7c00, 0xfc00]);
        assert_eq!([2.0_f32.powi(-25), 2.0_f32.powi(-25).next_up(), 1e-30, -0.0].map(f16_from_f32), [0, 1, 0, 0x8000]);
        assert_eq!([1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0, f32::MAX, -0.0].map(bf16_from_f32), [0x3f80, 0x3f82, 0x7f80, 0x8000]);
    }

    /// `torch.tensor(x).half().view(torch.int16)` and `.bfloat16()`: `tests/golden/check_exports.py --rounding` prints them.
    #[test]
    fn numbers_are_rounded_as_pytorch_rounds_them() {
        let cases: [(u32, u16, u16); 22] = [
            (0x0000_0000, 0x0000, 0x0000),
            (0x8000_0000, 0x8000, 0x8000),
            (0x3f80_0000, 0x3c00, 0x3f80),
            (0x3dcc_cccd, 0x2e66, 0x3dcd),
            (0x3eaa_aaab, 0x3555, 0x3eab),
            // Halfway between two: to the even one, down and up.
            (0x3f80_1000, 0x3c00, 0x3f80),
            (0x3f80_3000, 0x3c02, 0x3f80),
            (0x3f80_8000, 0x3c04, 0x3f80),
            (0x3f81_8000, 0x3c0c, 0x3f82),
            (0x3f80_8001, 0x3c04, 0x3f81),
            // Just beside the middle.
            (0x3f80_1001, 0x3c01, 0x3f80),
            (0x3f80_2fff, 0x3c01, 0x3f80),
            // A carry into the exponent.
            (0x3fff_ffff, 0x4000, 0x4000),
            // 65,504 and the last that is rounded down to it.
            (0x477f_e000, 0x7bff, 0x4780),
            (0x477f_efff, 0x7bff, 0x4780),
            // The smallest with a leading bit, and below it: 2⁻¹⁴, 2⁻¹⁴ − 2⁻²⁵, 2⁻²⁴, 2⁻²⁵, 3·2⁻²⁵.
            (0x3880_0000, 0x0400, 0x3880),
            (0x387f_e000, 0x0400, 0x3880),
            (0x3380_0000, 0x0001, 0x3380),
            (0x3300_0000, 0x0000, 0x3300),
            (0x33c0_0000, 0x0002, 0x33c0),
            (0xb3c0_0000, 0x8002, 0xb3c0),
            (0x0000_0001, 0x0000, 0x0000),
        ];
        for (bits, half, brain) in cases {
            let value = f32::from_bits(bits);
            assert_eq!((f16_from_f32(value), bf16_from_f32(value)), (half, brain), "{bits:#x} is {value}");
        }
        assert!(f32_from_f16(f16_from_f32(f32::NAN)).is_nan() && rounded(f32::from_bits(0x7f80_0001), Precision::Bf16).is_nan());
    }

    #[test]
    fn what_is_too_large_is_found() {
        let of = |value: f32| TensorMap::from([("a".to_owned(), HostTensor::new([2], vec![1.0, value]))]);
        assert_eq!(misfit(&of(65_520.0), Precision::F16), Some(("a", 65_520.0)));
        assert_eq!(misfit(&of(65_519.0), Precision::F16), None);
        assert_eq!(misfit(&of(f32::INFINITY), Precision::F16), None, "it was none before");
        assert_eq!(misfit(&of(-f32::MAX), Precision::Bf16), Some(("a", -f32::MAX)));
        assert_eq!(misfit(&of(-f32::MAX), Precision::F32), None);
        assert_eq!(misfit(&of(70_000.0), Precision::Bf16), None);
    }

    #[test]
    fn bytes_are_those_of_the_rounded_numbers() {
        let of = |precision| {
            let mut bytes = Vec::new();
            write(&mut bytes, &[1.0, -2.5], precision).unwrap();
            bytes
        };
        assert_eq!(of(Precision::F32), [0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0]);
        assert_eq!(of(Precision::F16), [0, 0x3c, 0, 0xc1]);
        assert_eq!(of(Precision::Bf16), [0x80, 0x3f, 0x20, 0xc0]);
    }
}
