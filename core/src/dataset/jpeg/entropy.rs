//! The entropy coding of baseline JPEG: bits, Huffman codes, and the coefficients of a block.

/// How many bits one look-up covers: enough for the code and the sign and magnitude of nearly every coefficient at once.
const LOOK_BITS: u32 = 11;

/// Where the coefficient of each place in the coded order belongs in a block of rows.
const PLACES: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28, 35, 42, 49, 56,
    57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// The codes of one Huffman table.
pub(super) struct Codes {
    /// By the next bits. A complete coefficient is `value << 16 | run << 8 | bits`; where the value is 0, it is `symbol << 8 | bits of the
    /// code alone`, and where `bits` is 0 too, the code is longer than a look-up.
    look: Box<[u32]>,
    /// For each length, the first 16-bit pattern that is no code of this length or shorter.
    ends: [u32; 17],
    /// For each length, what leads from a code to the place of its symbol.
    offsets: [i32; 17],
    symbols: Vec<u8>,
}

impl Codes {
    /// The codes of a table as it is stored: how many there are of each length, then their symbols. Nothing if there are more codes than
    /// their lengths have room for.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut codes = Self { look: vec![0; 1 << LOOK_BITS].into(), ends: [0; 17], offsets: [0; 17], symbols: symbols.to_vec() };
        let (mut code, mut place) = (0_u32, 0_usize);
        for length in 1..=16_u32 {
            let count = usize::from(counts[length as usize - 1]);
            codes.offsets[length as usize] = place as i32 - code as i32;
            for &symbol in symbols.get(place..place + count)? {
                if code >> length != 0 {
                    return None;
                }
                if length <= LOOK_BITS {
                    codes.fill(code, length, symbol);
                }
                code += 1;
            }
            place += count;
            codes.ends[length as usize] = code << (16 - length);
            code <<= 1;
        }
        Some(codes)
    }

    /// Fills in everything that begins with a code.
    fn fill(&mut self, code: u32, length: u32, symbol: u8) {
        let free = LOOK_BITS - length;
        let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
        for rest in 0..1 << free {
            let complete = size > 0 && size <= free;
            self.look[(code << free | rest) as usize] = if complete {
                (extended(rest >> (free - size), size) as u32) << 16 | run << 8 | (length + size)
            } else {
                u32::from(symbol) << 8 | length
            };
        }
    }

    /// The next symbol, where the look-up did not bring a complete coefficient.
    fn symbol(&self, entry: u32, bits: &mut Bits<'_>) -> Option<u32> {
        if entry != 0 {
            bits.skip(entry & 0xFF);
            return Some(entry >> 8);
        }
        let pattern = bits.peek(16);
        let length = (LOOK_BITS as usize + 1..17).find(|&length| pattern < self.ends[length])?;
        bits.skip(length as u32);
        let place = (pattern >> (16 - length)) as i32 + self.offsets[length];
        self.symbols.get(usize::try_from(place).ok()?).map(|&symbol| u32::from(symbol))
    }
}

/// The number that `size` stored bits stand for: the upper half of their range is positive.
#[inline(always)]
fn extended(stored: u32, size: u32) -> i32 {
    let stored = stored as i32;
    if stored >> (size - 1) == 0 { stored - (1 << size) + 1 } else { stored }
}

/// Bits, the most significant first. Behind the end there are zeros; [`Bits::num_left`] tells whether they were touched.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// The first byte that has not been taken into `waiting`.
    next: usize,
    /// The next bits, the most significant first.
    waiting: u64,
    /// How many of them are there.
    num_waiting: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, next: 0, waiting: 0, num_waiting: 0 }
    }

    /// How many are left; less than none when zeros behind the end were read.
    pub(super) fn num_left(&self) -> i64 {
        (self.bytes.len() as i64 - self.next as i64) * 8 + i64::from(self.num_waiting)
    }

    /// Makes at least 56 bits wait.
    #[inline(always)]
    fn fill(&mut self) {
        let word = match self.bytes.get(self.next..self.next + 8) {
            Some(&[a, b, c, d, e, f, g, h]) => u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            _ => self.last_word(),
        };
        self.waiting |= word >> self.num_waiting;
        self.next += (63 - self.num_waiting as usize) / 8;
        self.num_waiting |= 56;
    }

    #[cold]
    fn last_word(&self) -> u64 {
        let mut word = [0; 8];
        word.iter_mut().zip(self.bytes.iter().skip(self.next)).for_each(|(to, &byte)| *to = byte);
        u64::from_be_bytes(word)
    }

    #[inline(always)]
    fn peek(&self, count: u32) -> u32 {
        (self.waiting >> (64 - count)) as u32
    }

    #[inline(always)]
    fn skip(&mut self, count: u32) {
        self.waiting <<= count & 63;
        self.num_waiting -= count;
    }
}

/// What is known of a component while its blocks are decoded.
pub(super) struct Coding<'a> {
    /// The codes of mean values, and of everything else.
    pub(super) dc: &'a Codes,
    pub(super) ac: &'a Codes,
    /// What coefficients are multiplied by, in the coded order.
    pub(super) quantization: &'a [i32; 64],
}

/// Reads a block. With `KEEP`, its coefficients are put into `block`, which must be zero; otherwise it is only passed over. `mean` is the one
/// of the component's block before, in quantization steps. Returns how many coefficients, in the coded order, may differ from zero; nothing
/// for a damaged block.
#[inline(always)]
pub(super) fn read_block<const KEEP: bool>(
    bits: &mut Bits<'_>,
    coding: &Coding<'_>,
    mean: &mut i32,
    block: &mut [i32; 64],
) -> Option<usize> {
    bits.fill();
    let entry = coding.dc.look[bits.peek(LOOK_BITS) as usize];
    if entry >> 16 != 0 {
        // A run belongs to no mean value.
        if entry & 0xFF00 != 0 {
            return None;
        }
        bits.skip(entry & 0xFF);
        *mean = mean.wrapping_add(entry as i32 >> 16);
    } else {
        *mean = mean.wrapping_add(slow_mean(bits, coding.dc, entry)?);
    }
    if KEEP {
        block[0] = mean.wrapping_mul(coding.quantization[0]);
    }
    let mut place = 1;
    loop {
        bits.fill();
        // No more than these can be read from what is waiting.
        for _ in 0..4 {
            let entry = coding.ac.look[bits.peek(LOOK_BITS) as usize];
            let value = if entry >> 16 != 0 {
                bits.skip(entry & 0xFF);
                place += (entry >> 8 & 15) as usize;
                entry as i32 >> 16
            } else {
                bits.fill();
                let symbol = coding.ac.symbol(entry, bits)?;
                let (run, size) = (symbol >> 4, symbol & 15);
                match (run, size) {
                    (0, 0) => return Some(place),
                    (15, 0) => {
                        place += 16;
                        break;
                    }
                    (_, 1..=10) => {}
                    // Samples of eight bits have no such coefficients.
                    _ => return None,
                }
                place += run as usize;
                let stored = bits.peek(size);
                bits.skip(size);
                bits.fill();
                extended(stored, size)
            };
            if KEEP {
                let (to, step) = (*PLACES.get(place)?, *coding.quantization.get(place)?);
                block[usize::from(to & 63)] = value.wrapping_mul(step);
            }
            place += 1;
            if place > 63 {
                return (place == 64).then_some(64);
            }
        }
    }
}

#[cold]
fn slow_mean(bits: &mut Bits<'_>, codes: &Codes, entry: u32) -> Option<i32> {
    let size = codes.symbol(entry, bits)?;
    if size == 0 {
        return Some(0);
    }
    if size > 11 {
        return None;
    }
    let stored = bits.peek(size);
    bits.skip(size);
    Some(extended(stored, size))
}

/// Where the bits of a scan are: without the zeros stuffed in behind each 0xFF, in pieces that end at restart markers. Nothing if the
/// markers do not count up.
pub(super) fn unstuff(scan: &[u8], into: &mut Vec<u8>) -> Option<Vec<std::ops::Range<usize>>> {
    into.clear();
    let (mut pieces, mut begin, mut rest) = (Vec::new(), 0, scan);
    while let Some(at) = position_of_ff(rest) {
        into.extend_from_slice(&rest[..at]);
        let code = *rest.get(at + 1)?;
        rest = &rest[at + 2..];
        if code == 0 {
            into.push(0xFF);
            continue;
        }
        if usize::from(code) != 0xD0 + pieces.len() % 8 {
            return None;
        }
        pieces.push(begin..into.len());
        begin = into.len();
    }
    into.extend_from_slice(rest);
    pieces.push(begin..into.len());
    Some(pieces)
}

/// The place of the first 0xFF, found many bytes at a time.
pub(super) fn position_of_ff(bytes: &[u8]) -> Option<usize> {
    const WIDTH: usize = 64;
    let (chunks, rest) = bytes.as_chunks::<WIDTH>();
    let within = |part: &[u8]| part.iter().position(|&byte| byte == 0xFF);
    for (number, chunk) in chunks.iter().enumerate() {
        if chunk.iter().fold(0, |any, &byte| any | u8::from(byte == 0xFF)) != 0 {
            return within(chunk).map(|place| number * WIDTH + place);
        }
    }
    within(rest).map(|place| chunks.len() * WIDTH + place)
}
