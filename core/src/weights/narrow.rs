//! Numbers of 32 bits as ones of 16, each the nearest there is; of two that are as near, the one whose last bit is zero.

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

#[cfg(test)]
mod tests {
    use super::super::dtype::f32_from_f16;
    use super::*;

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
}
