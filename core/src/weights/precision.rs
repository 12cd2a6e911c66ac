//! How many bits a number of an exported file has.

/// The kind of numbers in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// 32 bits: the numbers that were trained.
    #[default]
    F32,
    /// 16 bits, 11 of them precise, up to 65,504 (IEEE 754 half precision).
    F16,
    /// 16 bits, 8 of them precise, as large as those of 32.
    Bf16,
}

impl Precision {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::F32, Self::F16, Self::Bf16];

    /// What it is called on the command line and by PyTorch.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }

    /// What safetensors calls it, and the bytes of a number.
    pub(super) fn dtype(self) -> (&'static str, usize) {
        match self {
            Self::F32 => ("F32", 4),
            Self::F16 => ("F16", 2),
            Self::Bf16 => ("BF16", 2),
        }
    }
}
