//! What is drawn over an image patch by patch: the outline of a mask, a veil where it does not reach, the patch that is asked.

use egui::{Painter, Pos2, Rect, Stroke, StrokeKind, Vec2};
use maskroom_widgets::Tokens;

/// An image and its patches on the screen.
#[derive(Clone, Copy)]
pub struct Patches {
    /// The whole image, in points.
    pub rect: Rect,
    /// Rows and columns of patches.
    pub grid: [usize; 2],
}

impl Patches {
    /// The patch at a place in the image, given as a share of its width and height.
    pub fn at_share(grid: [usize; 2], [x, y]: [f32; 2]) -> [usize; 2] {
        let place = |share: f32, count: usize| ((share * count as f32).max(0.0) as usize).min(count.saturating_sub(1));
        [place(y, grid[0]), place(x, grid[1])]
    }

    fn corner(self, row: usize, col: usize) -> Pos2 {
        let [rows, cols] = self.grid;
        self.rect.min + Vec2::new(col as f32 / cols.max(1) as f32, row as f32 / rows.max(1) as f32) * self.rect.size()
    }

    /// Outlines what a mask keeps.
    pub fn outline(self, painter: &Painter, tokens: &Tokens, kept: &[bool]) {
        let edges = edges(kept, self.grid);
        for (width, color) in [(3.0, tokens.scrim), (tokens.sizes.hairline, tokens.on_scrim)] {
            for [from, to] in &edges {
                painter.line_segment([self.corner(from[0], from[1]), self.corner(to[0], to[1])], Stroke::new(width, color));
            }
        }
    }

    /// Hides what a mask does not keep.
    pub fn veil(self, painter: &Painter, tokens: &Tokens, kept: &[bool]) {
        let cols = self.grid[1].max(1);
        for (row, kept) in kept.chunks(cols).enumerate() {
            let mut col = 0;
            for run in kept.chunk_by(|a, b| a == b) {
                if run.first() == Some(&false) {
                    let rect = Rect::from_min_max(self.corner(row, col), self.corner(row + 1, col + run.len()));
                    painter.rect_filled(rect, 0.0, tokens.canvas);
                }
                col += run.len();
            }
        }
    }

    /// Frames the patch that is asked.
    pub fn frame(self, painter: &Painter, tokens: &Tokens, [row, col]: [usize; 2]) {
        let rect = Rect::from_min_max(self.corner(row, col), self.corner(row + 1, col + 1));
        painter.rect_stroke(rect, 0.0, Stroke::new(4.0, tokens.scrim), StrokeKind::Middle);
        painter.rect_stroke(rect, 0.0, Stroke::new(2.0, tokens.accent), StrokeKind::Middle);
    }
}

/// The edges between patches that are kept and others, as pairs of grid corners (row, column); straight ones are joined.
fn edges(kept: &[bool], [rows, cols]: [usize; 2]) -> Vec<[[usize; 2]; 2]> {
    let is_kept = |row: usize, col: usize| row < rows && col < cols && kept.get(row * cols + col) == Some(&true);
    let mut edges = Vec::new();
    for line in 0..=rows {
        let differs = |col| is_kept(line.wrapping_sub(1), col) != is_kept(line, col);
        edges.extend(runs(cols, differs).map(|[from, to]| [[line, from], [line, to]]));
    }
    for line in 0..=cols {
        let differs = |row| is_kept(row, line.wrapping_sub(1)) != is_kept(row, line);
        edges.extend(runs(rows, differs).map(|[from, to]| [[from, line], [to, line]]));
    }
    edges
}

/// Where `holds` does, as beginnings and ends.
fn runs(count: usize, holds: impl Fn(usize) -> bool) -> impl Iterator<Item = [usize; 2]> {
    let holds: Vec<bool> = (0..count).map(holds).collect();
    let mut found = Vec::new();
    let mut begin = 0;
    for run in holds.chunk_by(|a, b| a == b) {
        if run.first() == Some(&true) {
            found.push([begin, begin + run.len()]);
        }
        begin += run.len();
    }
    found.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_is_outlined_by_straight_edges() {
        // Two patches side by side in the second row of three.
        let kept = [false, false, false, true, true, false, false, false, false];
        let mut found = edges(&kept, [3, 3]);
        found.sort_unstable();
        assert_eq!(found, [[[1, 0], [1, 2]], [[1, 0], [2, 0]], [[1, 2], [2, 2]], [[2, 0], [2, 2]]]);
        assert_eq!((edges(&[true; 4], [2, 2]).len(), edges(&[false; 4], [2, 2]).len(), edges(&[], [0, 0]).len()), (4, 0, 0));
    }

    #[test]
    fn places_lie_in_patches() {
        assert_eq!(Patches::at_share([2, 4], [0.3, 0.9]), [1, 1]);
        assert_eq!(Patches::at_share([2, 4], [1.0, -0.1]), [0, 3]);
    }
}
