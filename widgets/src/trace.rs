//! One column of a run: values over a growing x, kept whole, with a pyramid of ranges above them, so that a million points are drawn and
//! searched like a thousand.
//!
//! Level 0 of the pyramid sums up every 8 points, level 1 every 64, and so on. Only full blocks are kept; what is left over at the ends of
//! a question is read from the level below.

use std::ops::{Range, RangeInclusive};
use std::sync::atomic::{AtomicU64, Ordering};

/// How many points, or blocks of the level below, one block sums up.
const FACTOR: usize = 8;

/// Values over a strictly growing x, such as the loss over steps. A value that is not finite is kept, and is a gap in the curve.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    xs: Vec<f64>,
    ys: Vec<f32>,
    levels: Vec<Vec<Extent>>,
    revision: u64,
    origin: u64,
}

/// What lies in a stretch of a trace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Extent {
    /// The least value; infinite if there is none.
    pub min: f32,
    /// The greatest value; negative infinite if there is none.
    pub max: f32,
    /// The least value above 0, for logarithmic axes; infinite if there is none.
    pub min_positive: f32,
    /// How many finite values are 0 or less.
    pub num_not_positive: u32,
    /// Whether a value is missing: some point is not finite.
    pub gap: bool,
}

/// What a trace has within one column of pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Column {
    /// Which of the columns asked for this is.
    pub index: usize,
    /// Where the first of its points lies.
    pub x: f64,
    /// How many points it has; at least one.
    pub num_points: usize,
    /// The value of the first point, finite or not.
    pub first: f32,
    /// The value of the last point, finite or not.
    pub last: f32,
    /// Its least and greatest value, and what is missing.
    pub extent: Extent,
}

impl Trace {
    /// Adds a point. A point that is not right of the last one replaces all from its x on: a run that resumes writes steps anew.
    /// A point without a finite x is left out.
    pub fn push(&mut self, x: f64, y: f32) {
        if !x.is_finite() {
            return;
        }
        if self.xs.last().is_some_and(|&last| x <= last) {
            self.truncate_from(x);
        }
        self.xs.push(x);
        self.ys.push(y);
        self.sum_up_full_blocks();
        self.revision = next_revision();
        if self.xs.len() == 1 {
            self.origin = self.revision;
        }
    }

    /// Adds points, one after another.
    pub fn extend(&mut self, points: impl IntoIterator<Item = (f64, f32)>) {
        for (x, y) in points {
            self.push(x, y);
        }
    }

    /// Drops the points at `x` and right of it.
    pub fn truncate_from(&mut self, x: f64) {
        let mut num_kept = self.lower_bound(x);
        self.xs.truncate(num_kept);
        self.ys.truncate(num_kept);
        for level in &mut self.levels {
            num_kept /= FACTOR;
            level.truncate(num_kept);
        }
        self.revision = next_revision();
        self.origin = self.revision;
    }

    /// Number of points.
    pub fn len(&self) -> usize {
        self.xs.len()
    }

    /// Whether nothing was logged yet.
    pub fn is_empty(&self) -> bool {
        self.xs.is_empty()
    }

    /// A point by its place in the order of x.
    pub fn at(&self, index: usize) -> Option<(f64, f32)> {
        Some((*self.xs.get(index)?, *self.ys.get(index)?))
    }

    /// The newest point.
    pub fn last(&self) -> Option<(f64, f32)> {
        self.at(self.len().checked_sub(1)?)
    }

    /// All points, in the order of x.
    pub fn points(&self) -> impl Iterator<Item = (f64, f32)> {
        self.xs.iter().copied().zip(self.ys.iter().copied())
    }

    /// The first and the last x.
    pub fn x_range(&self) -> Option<RangeInclusive<f64>> {
        Some(*self.xs.first()?..=*self.xs.last()?)
    }

    /// The index of the first point at `x` or right of it; the number of points if there is none.
    pub fn lower_bound(&self, x: f64) -> usize {
        // Most charts show all there is, and a search in a long trace waits for memory at each step.
        if self.xs.first().is_none_or(|&first| x <= first) { 0 } else { self.xs.partition_point(|&other| other < x) }
    }

    /// The index after the last point at `x` or left of it.
    fn upper_bound(&self, x: f64) -> usize {
        if self.xs.last().is_none_or(|&last| last <= x) { self.len() } else { self.xs.partition_point(|&other| other <= x) }
    }

    /// The point whose x is nearest, the left one of two as near.
    pub fn nearest(&self, x: f64) -> Option<(f64, f32)> {
        let right = self.lower_bound(x);
        let left = self.at(right.wrapping_sub(1));
        match (left, self.at(right)) {
            (Some(left), Some(right)) => Some(if x - left.0 <= right.0 - x { left } else { right }),
            (left, right) => left.or(right),
        }
    }

    /// What lies in a range of x, ends included.
    pub fn extent(&self, x_range: RangeInclusive<f64>) -> Extent {
        let end = self.upper_bound(*x_range.end());
        self.extent_of(self.lower_bound(*x_range.start()).min(end)..end)
    }

    /// A range of x cut into equal columns, as pixels cut a plot; columns without a point are left out. A point on the line between two
    /// columns belongs to the right one. Takes a few steps per column, however many points there are.
    pub fn columns(&self, x_range: RangeInclusive<f64>, num_columns: usize) -> Vec<Column> {
        let mut columns = Vec::new();
        let end = self.upper_bound(*x_range.end());
        let mut start = self.lower_bound(*x_range.start());
        let mut num_points = 1;
        while start < end && num_columns > 0 {
            let index = column_of(&x_range, num_columns, self.xs[start]);
            let next = match column_edge(&x_range, num_columns, index + 1) {
                _ if index + 1 == num_columns => end,
                edge => self.search_near(start + 1..end, start + num_points, edge),
            };
            num_points = next - start;
            columns.push(Column {
                index,
                x: self.xs[start],
                num_points,
                first: self.ys[start],
                last: self.ys[next - 1],
                extent: self.extent_of(start..next),
            });
            start = next;
        }
        columns
    }

    /// Changes with every change of the trace, and differs between traces that differ: a key for what was drawn from it.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Another one whenever points were dropped; while it stays, the trace and its copies have only grown.
    pub fn origin(&self) -> u64 {
        self.origin
    }

    /// The first index in a range whose x is not left of `x`. Points are mostly logged at even distances, so that a column has as many as
    /// the one before and the guess hits.
    fn search_near(&self, range: Range<usize>, guess: usize, x: f64) -> usize {
        let near = guess.saturating_sub(2).max(range.start)..(guess + 2).min(range.end);
        let is_left_of_it = |index: usize| self.xs[index] < x;
        if near.start < near.end && (near.start == range.start || is_left_of_it(near.start - 1)) && !is_left_of_it(near.end - 1) {
            return near.start + self.xs[near].partition_point(|&other| other < x);
        }
        range.start + self.xs[range].partition_point(|&other| other < x)
    }

    fn sum_up_full_blocks(&mut self) {
        let mut num_below = self.len();
        let mut level = 0;
        while num_below.is_multiple_of(FACTOR) && num_below > 0 {
            let block = num_below - FACTOR..num_below;
            let extent = match level {
                0 => self.ys[block].iter().fold(Extent::NOTHING, |extent, &y| extent.with(y)),
                _ => self.levels[level - 1][block].iter().fold(Extent::NOTHING, |extent, &block| extent.join(block)),
            };
            if level == self.levels.len() {
                self.levels.push(Vec::new());
            }
            self.levels[level].push(extent);
            num_below = self.levels[level].len();
            level += 1;
        }
    }

    /// What lies in a range of indices: single points up to the edges of blocks, the same with blocks on the next level, and so on.
    fn extent_of(&self, range: Range<usize>) -> Extent {
        let (head, blocks, tail) = split_at_blocks(range);
        let mut extent = self.ys[head].iter().chain(&self.ys[tail]).fold(Extent::NOTHING, |extent, &y| extent.with(y));
        let mut range = blocks;
        for level in &self.levels {
            if range.is_empty() {
                break;
            }
            let (head, blocks, tail) = split_at_blocks(range);
            extent = level[head].iter().chain(&level[tail]).fold(extent, |extent, &block| extent.join(block));
            range = blocks;
        }
        extent
    }
}

/// A range as what comes before its first whole block, the whole blocks in units of blocks, and what comes after.
fn split_at_blocks(range: Range<usize>) -> (Range<usize>, Range<usize>, Range<usize>) {
    let (first, last) = (range.start.div_ceil(FACTOR), range.end / FACTOR);
    if first >= last {
        return (range.clone(), 0..0, range.end..range.end);
    }
    (range.start..first * FACTOR, first..last, last * FACTOR..range.end)
}

/// Where a column of a range begins.
fn column_edge(x_range: &RangeInclusive<f64>, num_columns: usize, index: usize) -> f64 {
    let ratio = index as f64 / num_columns as f64;
    x_range.start() + (x_range.end() - x_range.start()) * ratio
}

/// The column that an x within a range belongs to. The edges decide, not the division, which may round to the neighbor.
fn column_of(x_range: &RangeInclusive<f64>, num_columns: usize, x: f64) -> usize {
    let ratio = (x - x_range.start()) / (x_range.end() - x_range.start());
    let mut index = ((ratio * num_columns as f64) as usize).min(num_columns - 1);
    while index + 1 < num_columns && x >= column_edge(x_range, num_columns, index + 1) {
        index += 1;
    }
    while index > 0 && x < column_edge(x_range, num_columns, index) {
        index -= 1;
    }
    index
}

/// Unique in the process, so that a copy that went its own way is told from the original.
fn next_revision() -> u64 {
    static REVISION: AtomicU64 = AtomicU64::new(1);
    REVISION.fetch_add(1, Ordering::Relaxed)
}

impl Extent {
    /// The extent of no points.
    pub const NOTHING: Self =
        Self { min: f32::INFINITY, max: f32::NEG_INFINITY, min_positive: f32::INFINITY, num_not_positive: 0, gap: false };

    /// With the values of another stretch.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        Self {
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            min_positive: self.min_positive.min(other.min_positive),
            num_not_positive: self.num_not_positive + other.num_not_positive,
            gap: self.gap || other.gap,
        }
    }

    fn with(self, y: f32) -> Self {
        if !y.is_finite() {
            return Self { gap: true, ..self };
        }
        let positive = y > 0.0;
        Self {
            min: self.min.min(y),
            max: self.max.max(y),
            min_positive: if positive { self.min_positive.min(y) } else { self.min_positive },
            num_not_positive: self.num_not_positive + u32::from(!positive),
            gap: self.gap,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small generator of even bits (xorshift64*), so that a failure comes back.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, end: usize) -> usize {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
        }
    }

    fn a_trace(dice: &mut Dice, num_points: usize) -> Trace {
        let mut trace = Trace::default();
        let mut x = dice.below(100) as f64 - 50.0;
        for _ in 0..num_points {
            x += [0.25, 1.0, 1.0, 7.0][dice.below(4)];
            let y = match dice.below(40) {
                0 => f32::NAN,
                1 => f32::INFINITY,
                2 => 0.0,
                _ => dice.below(2001) as f32 / 100.0 - 5.0,
            };
            trace.push(x, y);
        }
        trace
    }

    fn brute_force(trace: &Trace, x_range: &RangeInclusive<f64>, num_columns: usize) -> Vec<Column> {
        let edge = |index| column_edge(x_range, num_columns, index);
        let within = |x: f64, index: usize| x_range.contains(&x) && x >= edge(index) && (x < edge(index + 1) || index + 1 == num_columns);
        let column = |index| {
            let points: Vec<_> = trace.points().filter(|point| within(point.0, index)).collect();
            let extent = points.iter().fold(Extent::NOTHING, |extent, point| extent.with(point.1));
            let (first, last) = (points.first()?, points.last()?);
            Some(Column { index, x: first.0, num_points: points.len(), first: first.1, last: last.1, extent })
        };
        (0..num_columns).filter_map(column).collect()
    }

    /// NaN differs from itself, so columns are compared as text.
    fn text(columns: &[Column]) -> String {
        format!("{columns:?}")
    }

    #[test]
    fn every_column_is_what_a_scan_of_all_points_finds() {
        let mut dice = Dice(0x9e37_79b9);
        for num_points in (0..40).chain([255, 256, 257, 1000, 4096, 5000]) {
            let mut trace = a_trace(&mut dice, num_points);
            for _ in 0..12 {
                let start = dice.below(3000) as f64 / 2.0 - 100.0;
                let x_range = start..=start + [0.0, 1.0, 30.0, 333.3, 1e5][dice.below(5)];
                let num_columns = [1, 7, 64, 100][dice.below(4)];
                let columns = trace.columns(x_range.clone(), num_columns);
                assert_eq!(text(&columns), text(&brute_force(&trace, &x_range, num_columns)), "{x_range:?} {num_columns}");
                let all = columns.iter().fold(Extent::NOTHING, |all, column| all.join(column.extent));
                assert_eq!(trace.extent(x_range), all);
                let cut = start + dice.below(500) as f64;
                trace.truncate_from(cut);
                assert!(trace.last().is_none_or(|last| last.0 < cut));
                trace.extend((0..dice.below(100)).map(|step| (cut + step as f64, (step % 9) as f32 - 1.0)));
            }
        }
    }

    #[test]
    fn points_written_anew_replace_the_old() {
        let mut trace = Trace::default();
        trace.extend((0..100).map(|step| (f64::from(step), 1.0)));
        let (before, origin) = (trace.revision(), trace.origin());
        trace.push(100.0, 1.0);
        assert_eq!(trace.origin(), origin);
        trace.push(60.0, 2.0);
        trace.push(f64::NAN, 3.0);
        assert_eq!((trace.len(), trace.last(), trace.at(59)), (61, Some((60.0, 2.0)), Some((59.0, 1.0))));
        assert_eq!(trace.extent(0.0..=1e9).max, 2.0);
        assert!(trace.revision() != before && trace.origin() != origin);
    }

    #[test]
    fn the_nearest_point_is_found_between_and_beyond_points() {
        let mut trace = Trace::default();
        assert_eq!(trace.nearest(1.0), None);
        trace.extend([(0.0, 1.0), (10.0, 2.0), (30.0, 3.0)]);
        for (x, nearest) in [(-5.0, 0.0), (5.0, 0.0), (5.1, 10.0), (10.0, 10.0), (21.0, 30.0), (99.0, 30.0)] {
            assert_eq!(trace.nearest(x).map(|point| point.0), Some(nearest), "{x}");
        }
    }
}
