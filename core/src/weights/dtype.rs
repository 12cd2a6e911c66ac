//! The kinds of numbers that files of weights have, and how each becomes a number of 32 bits.

/// A kind of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
    /// Of so many bytes, and nothing that weights are made of: complex numbers, numbers of 8 bits.
    Other(u8),
}

impl Dtype {
    /// Bytes of one number.
    pub fn size(self) -> u64 {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::Other(size) => u64::from(size),
        }
    }

    /// Whether weights may be made of it.
    pub fn is_real(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::Bf16)
    }

    /// Appends the numbers that `bytes` are, the least byte of each first.
    ///
    /// # Errors
    /// If it is none of weights.
    pub fn decode(self, bytes: &[u8], values: &mut Vec<f32>) -> Result<(), String> {
        match self {
            Self::F64 => each(bytes, values, |bytes| f64::from_le_bytes(bytes) as f32),
            Self::F32 => each(bytes, values, f32::from_le_bytes),
            Self::F16 => each(bytes, values, |bytes| f32_from_f16(u16::from_le_bytes(bytes))),
            Self::Bf16 => each(bytes, values, |[low, high]| f32::from_le_bytes([0, 0, low, high])),
            Self::I64 => each(bytes, values, |bytes| i64::from_le_bytes(bytes) as f32),
            Self::I32 => each(bytes, values, |bytes| i32::from_le_bytes(bytes) as f32),
            Self::I16 => each(bytes, values, |bytes| f32::from(i16::from_le_bytes(bytes))),
            Self::I8 => each(bytes, values, |bytes| f32::from(i8::from_le_bytes(bytes))),
            Self::U8 => each(bytes, values, |[byte]| f32::from(byte)),
            Self::Bool => each(bytes, values, |[byte]| f32::from(u8::from(byte != 0))),
            Self::Other(size) => return Err(format!("a tensor is of numbers of {size} bytes that no weights are made of")),
        }
        Ok(())
    }
}

fn each<const N: usize>(bytes: &[u8], values: &mut Vec<f32>, number: impl Fn([u8; N]) -> f32) {
    values.extend(bytes.as_chunks::<N>().0.iter().map(|&bytes| number(bytes)));
}

/// A number of 16 bits (IEEE 754 half precision) as one of 32.
pub fn f32_from_f16(bits: u16) -> f32 {
    const SCALE: f32 = f32::from_bits((127 + 127 - 15) << 23); // 2^112
    let (sign, rest) = (u32::from(bits & 0x8000) << 16, u32::from(bits & 0x7fff) << 13);
    // With the other format's lowest exponent everything is too small by the same factor; infinity has an exponent of its own.
    let magnitude = if rest < 0x7c00 << 13 { (f32::from_bits(rest) * SCALE).to_bits() } else { rest | 0x7f80_0000 };
    f32::from_bits(magnitude | sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_widened() {
        for (bits, value) in [(0x3c00, 1.0), (0xc000, -2.0), (0x0001, 5.960_464_5e-8), (0x03ff, 6.097_555e-5), (0x7bff, 65504.0)] {
            assert_eq!(f32_from_f16(bits), value);
        }
        assert!(f32_from_f16(0x7e00).is_nan() && f32_from_f16(0xfc00) == f32::NEG_INFINITY);
        for bits in 0..0x7c00_u16 {
            let (exponent, fraction) = (i32::from(bits >> 10), f32::from(bits & 0x3ff));
            let want = if exponent == 0 { fraction * 2.0_f32.powi(-24) } else { (1.0 + fraction / 1024.0) * 2.0_f32.powi(exponent - 15) };
            assert_eq!((f32_from_f16(bits), f32_from_f16(bits | 0x8000)), (want, -want), "{bits:#06x}");
        }
    }
}
