//! From a JPEG's components to pixels: color at half the resolution is interpolated linearly, then becomes red, green and blue by Rec. 601.

/// Interpolates a row of color a quarter of the way to the one that is farther away.
#[inline(always)]
pub(super) fn mix_rows(near: &[u8], far: &[u8], out: &mut [u8]) {
    for ((&near, &far), out) in near.iter().zip(far).zip(out) {
        *out = mixed(near, far);
    }
}

/// Interpolates `row` to twice as many samples; the first and the last are taken as they are.
#[inline(always)]
pub(super) fn widen(row: &[u8], out: &mut [u8]) {
    let ([first, ..], [.., last]) = (row, row) else { return };
    let [first_out, between @ .., last_out] = out else { return };
    (*first_out, *last_out) = (*first, *last);
    for (pair, out) in row.windows(2).zip(between.chunks_exact_mut(2)) {
        (out[0], out[1]) = (mixed(pair[0], pair[1]), mixed(pair[1], pair[0]));
    }
}

#[inline(always)]
fn mixed(near: u8, far: u8) -> u8 {
    ((3 * u16::from(near) + u16::from(far) + 2) >> 2) as u8
}

/// Writes red, green and blue of a row of luma, blue difference and red difference.
#[inline(always)]
pub(super) fn write_rgb(luma: &[u8], blue: &[u8], red: &[u8], out: &mut [u8]) {
    /// Bits behind the point of the factors.
    const BITS: u32 = 14;
    for (((&luma, &blue), &red), out) in luma.iter().zip(blue).zip(red).zip(out.chunks_exact_mut(3)) {
        let (luma, blue, red) = ((i32::from(luma) << BITS) + (1 << (BITS - 1)) - 1, i32::from(blue) - 128, i32::from(red) - 128);
        let sample = |value: i32| (value >> BITS).clamp(0, 255) as u8;
        out[0] = sample(luma + 22970 * red);
        out[1] = sample(luma - 11700 * red - 5638 * blue);
        out[2] = sample(luma + 29032 * blue);
    }
}
