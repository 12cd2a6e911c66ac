//! From the coefficients of a block to its samples: the inverse cosine transform of Loeffler, Ligtenberg and Moschytz (1989) in whole numbers,
//! columns first, with twelve bits behind the point. In this order and with this rounding it gives what the decoder for all other files gives.

use std::num::Wrapping;

/// Eight numbers from each of eight columns.
type Rows = [[i32; 8]; 8];

/// Transforms every column; `rounding` is added and the result divided by 2 to the power `shift`. A plain loop, for it becomes vectors.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "a column is at the same place of eight rows")]
fn transform(rows: &mut Rows, rounding: i32, shift: u32) {
    for lane in 0..8 {
        let at = |row: usize| Wrapping(rows[row][lane]);
        let factor = |value: i32| Wrapping(value);
        let (s0, s1, s2, s3, s4, s5, s6, s7) = (at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7));
        let turned = (s2 + s6) * factor(2217);
        let (t2, t3) = (turned + s6 * factor(-7567), turned + s2 * factor(3135));
        let (t0, t1) = (((s0 + s4) << 12) + Wrapping(rounding), ((s0 - s4) << 12) + Wrapping(rounding));
        let (x0, x1, x2, x3) = (t0 + t3, t1 + t2, t1 - t2, t0 - t3);

        let (p3, p4) = (s7 + s3, s5 + s1);
        let p5 = (p3 + p4) * factor(4816);
        let (p1, p2) = (p5 + (s7 + s1) * factor(-3685), p5 + (s5 + s3) * factor(-10497));
        let (p3, p4) = (p3 * factor(-8034), p4 * factor(-1597));
        let y0 = s1 * factor(6149) + p1 + p4;
        let y1 = s3 * factor(12586) + p2 + p3;
        let y2 = s5 * factor(8410) + p2 + p4;
        let y3 = s7 * factor(1223) + p1 + p3;

        rows[0][lane] = (x0 + y0).0 >> shift;
        rows[1][lane] = (x1 + y1).0 >> shift;
        rows[2][lane] = (x2 + y2).0 >> shift;
        rows[3][lane] = (x3 + y3).0 >> shift;
        rows[4][lane] = (x3 - y3).0 >> shift;
        rows[5][lane] = (x2 - y2).0 >> shift;
        rows[6][lane] = (x1 - y1).0 >> shift;
        rows[7][lane] = (x0 - y0).0 >> shift;
    }
}

/// The samples of a block of coefficients, both in rows.
#[inline(always)]
pub(super) fn samples(block: &[i32; 64]) -> [[u8; 8]; 8] {
    let mut rows: Rows = bytemuck::cast(*block);
    transform(&mut rows, 512, 10);
    let mut columns: Rows = [[0; 8]; 8];
    for row in 0..8 {
        for column in 0..8 {
            columns[column][row] = rows[row][column];
        }
    }
    // Half of the last place, what the first pass lost on average, and the middle of the range, 128.
    transform(&mut columns, 512 + 65536 + (128 << 17), 17);
    let mut samples = [[0; 8]; 8];
    for row in 0..8 {
        for column in 0..8 {
            samples[row][column] = columns[column][row].clamp(0, 255) as u8;
        }
    }
    samples
}

/// The sample that a block is made of if it has only a mean value.
#[inline(always)]
pub(super) fn flat_sample(mean: i32) -> u8 {
    (mean.wrapping_add(4 + 1024) >> 3).clamp(0, 255) as u8
}
