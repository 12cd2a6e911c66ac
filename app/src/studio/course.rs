//! The course of a figure in a hundred points or so, however long the run: enough for a small picture in a list, and for a judgment of where
//! it is heading.

use serde::{Deserialize, Serialize};

/// Means of equally many entries each, oldest first. When there are too many, neighbors become one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Course {
    points: Vec<(u64, f32)>,
    /// Entries that one point stands for.
    stride: u32,
    /// Of the entries that are not a point yet: how many there are, how many of them are finite, and their sum.
    open: u32,
    finite: u32,
    sum: f64,
}

const MAX_POINTS: usize = 128;

impl Default for Course {
    fn default() -> Self {
        Self { points: Vec::new(), stride: 1, open: 0, finite: 0, sum: 0.0 }
    }
}

impl Course {
    /// Adds the entry of a step. One that is not finite counts for nothing.
    pub fn push(&mut self, step: u64, value: f64) {
        self.open += 1;
        if value.is_finite() {
            (self.finite, self.sum) = (self.finite + 1, self.sum + value);
        }
        if self.open < self.stride {
            return;
        }
        if self.finite > 0 {
            self.points.push((step, (self.sum / f64::from(self.finite)) as f32));
        }
        (self.open, self.finite, self.sum) = (0, 0, 0.0);
        if self.points.len() >= MAX_POINTS {
            self.points = self.points.chunks(2).map(|pair| (pair[pair.len() - 1].0, mean(pair))).collect();
            self.stride = self.stride.saturating_mul(2);
        }
    }

    /// Forgets what came after `step`.
    pub fn truncate_after(&mut self, step: u64) {
        self.points.retain(|point| point.0 <= step);
        (self.open, self.finite, self.sum) = (0, 0, 0.0);
    }

    /// Steps and means, oldest first.
    pub fn points(&self) -> &[(u64, f32)] {
        &self.points
    }
}

fn mean(points: &[(u64, f32)]) -> f32 {
    points.iter().map(|point| point.1).sum::<f32>() / points.len() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_is_a_hundred_points_with_its_means() {
        let mut course = Course::default();
        (1..=100_000_u64).for_each(|step| course.push(step, step as f64));
        let points = course.points();
        assert!((MAX_POINTS / 2..MAX_POINTS).contains(&points.len()), "{}", points.len());
        assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1));
        // Each is the mean of the entries up to its step.
        let width = (points[1].0 - points[0].0) as f32;
        assert!((points[20].1 - (points[20].0 as f32 - (width - 1.0) / 2.0)).abs() < 1.0, "{:?}", points[20]);
    }

    #[test]
    fn what_is_not_finite_is_left_out_and_the_end_can_be_forgotten() {
        let mut course = Course::default();
        [1.0, f64::NAN, 3.0, 4.0].into_iter().zip(1..).for_each(|(value, step)| course.push(step, value));
        assert_eq!(course.points(), [(1, 1.0), (3, 3.0), (4, 4.0)]);
        course.truncate_after(3);
        assert_eq!(course.points(), [(1, 1.0), (3, 3.0)]);
    }
}
