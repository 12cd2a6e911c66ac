//! An image under a grid of patches: which are masked, which a second mask takes, and how likely each is to be.

use egui::emath::GuiRounding as _;
use egui::{Color32, EventFilter, Key, Mesh, Painter, Pos2, Rect, Response, Sense, Stroke, StrokeKind, Ui, Vec2};

use crate::Tokens;
use crate::gallery::Exhibit;
use crate::picture::{Picture, paint_inner_focus_ring};
use crate::ramp::Ramp;

/// Patches from this many points on get lines between them.
const LINES_FROM_POINTS: f32 = 6.0;
/// How much of the image shows through a tint.
const TINT_OPACITY: f32 = 0.5;

/// What a caller draws over a picture that lies in a rectangle.
type Overlay<'a> = Box<dyn FnOnce(&Painter, Rect) + 'a>;

/// A picture with a grid of patches over it. Masks and probabilities go row by row.
#[must_use = "call `show`"]
pub struct PatchView<'a> {
    name: &'a str,
    picture: Picture,
    grid: [usize; 2],
    masked: &'a [bool],
    second: &'a [bool],
    probabilities: &'a [f32],
    overlay: Option<Overlay<'a>>,
}

/// What happened over the patches; each is given as its row and column.
#[derive(Debug)]
pub struct PatchResponse {
    /// Of the whole picture.
    pub response: Response,
    /// The patch under the pointer.
    pub hovered: Option<[usize; 2]>,
    /// The patch that was clicked.
    pub clicked: Option<[usize; 2]>,
    /// The picture, in points.
    pub image_rect: Rect,
}

impl<'a> PatchView<'a> {
    /// A picture cut into rows and columns of patches.
    pub fn new(name: &'a str, picture: impl Into<Picture>, [rows, columns]: [usize; 2]) -> Self {
        let grid = [rows.max(1), columns.max(1)];
        Self { name, picture: picture.into(), grid, masked: &[], second: &[], probabilities: &[], overlay: None }
    }

    /// Patches that are covered.
    pub fn masked(mut self, masked: &'a [bool]) -> Self {
        self.masked = masked;
        self
    }

    /// Patches of a second mask, such as the targets of a prediction; they are tinted.
    pub fn second(mut self, second: &'a [bool]) -> Self {
        self.second = second;
        self
    }

    /// A number from 0 to 1 for each patch, drawn along the heat map's colors.
    pub fn probabilities(mut self, probabilities: &'a [f32]) -> Self {
        self.probabilities = probabilities;
        self
    }

    /// Draws over the picture and its masks and under the marks of the hovered and the chosen patch, such as a heat map.
    pub fn overlay(mut self, overlay: impl FnOnce(&Painter, Rect) + 'a) -> Self {
        self.overlay = Some(Box::new(overlay));
        self
    }

    /// As large as the room that is left allows. `chosen` (row and column) is set by a click and moved by the arrow keys.
    pub fn show(mut self, ui: &mut Ui, chosen: &mut Option<[usize; 2]>) -> PatchResponse {
        let tokens = Tokens::of(ui);
        let (rect, mut response) = self.picture.allocate(ui, Sense::click());
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, ui.is_enabled(), self.name));

        let hovered = response.hover_pos().map(|pos| self.patch_at(rect, pos));
        let clicked = response.clicked_by(egui::PointerButton::Primary).then_some(hovered).flatten();
        if clicked.is_some() {
            response.request_focus();
            *chosen = clicked;
            response.mark_changed();
        }
        if response.has_focus() && self.follow_keys(ui, response.id, chosen) {
            response.mark_changed();
        }

        if ui.is_rect_visible(rect) {
            let painter = ui.painter_at(rect);
            self.paint(&painter, tokens, rect);
            if let Some(overlay) = self.overlay.take() {
                overlay(&painter, rect);
            }
            if let Some(patch) = hovered {
                painter.rect_filled(self.patch_rect(&painter, rect, patch), 0.0, tokens.hover_fill);
            }
            if let Some(patch) = *chosen {
                self.paint_chosen(&painter, tokens, rect, patch);
            }
            if response.has_focus() && chosen.is_none() {
                paint_inner_focus_ring(&painter, tokens, rect);
            }
        }
        PatchResponse { response, hovered, clicked, image_rect: rect }
    }

    fn follow_keys(&self, ui: &Ui, id: egui::Id, chosen: &mut Option<[usize; 2]>) -> bool {
        let filter = EventFilter { horizontal_arrows: true, vertical_arrows: true, ..EventFilter::default() };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(id, filter));
        let presses = |key| ui.input(|input| input.num_presses(key)) as isize;
        let down = presses(Key::ArrowDown) - presses(Key::ArrowUp);
        let right = presses(Key::ArrowRight) - presses(Key::ArrowLeft);
        let [row, column] = chosen.unwrap_or([self.grid[0] / 2, self.grid[1] / 2]);
        let moved = [row.saturating_add_signed(down).min(self.grid[0] - 1), column.saturating_add_signed(right).min(self.grid[1] - 1)];
        let is_moved = (down != 0 || right != 0) && *chosen != Some(moved);
        if is_moved {
            *chosen = Some(moved);
        }
        is_moved
    }

    fn patch_at(&self, rect: Rect, pos: Pos2) -> [usize; 2] {
        let share = (pos - rect.min) / rect.size();
        let [rows, columns] = self.grid;
        [((share.y * rows as f32) as usize).min(rows - 1), ((share.x * columns as f32) as usize).min(columns - 1)]
    }

    /// Edges lie between screen pixels, so that neighbors neither overlap nor gape.
    fn patch_rect(&self, painter: &Painter, rect: Rect, [row, column]: [usize; 2]) -> Rect {
        let [rows, columns] = self.grid;
        let corner = |row: usize, column: usize| {
            let share = Vec2::new(column as f32 / columns as f32, row as f32 / rows as f32);
            (rect.min + share * rect.size()).round_to_pixels(painter.pixels_per_point())
        };
        Rect::from_min_max(corner(row, column), corner(row + 1, column + 1))
    }

    fn paint(&self, painter: &Painter, tokens: &Tokens, rect: Rect) {
        self.picture.paint(painter, rect);
        let [rows, columns] = self.grid;
        let ramp = Ramp::heat();
        let mut mesh = Mesh::default();
        for index in 0..rows * columns {
            let patch = self.patch_rect(painter, rect, [index / columns, index % columns]);
            if let Some(&probability) = self.probabilities.get(index) {
                mesh.add_colored_rect(patch, ramp.color(probability).gamma_multiply(0.75));
            }
            if self.masked.get(index) == Some(&true) {
                mesh.add_colored_rect(patch, tokens.line);
            }
            if self.second.get(index) == Some(&true) {
                mesh.add_colored_rect(patch, tokens.series[1].gamma_multiply(TINT_OPACITY));
            }
        }
        painter.add(mesh);
        let patch = rect.size() / Vec2::new(columns as f32, rows as f32);
        if patch.min_elem() >= LINES_FROM_POINTS {
            self.paint_lines(painter, tokens.line_strong.gamma_multiply(0.5), rect);
        }
    }

    fn paint_lines(&self, painter: &Painter, color: Color32, rect: Rect) {
        let stroke = Stroke::new(1.0 / painter.pixels_per_point(), color);
        let [rows, columns] = self.grid;
        for column in 1..columns {
            let x = self.patch_rect(painter, rect, [0, column]).left();
            painter.vline(painter.round_to_pixel_center(x), rect.y_range(), stroke);
        }
        for row in 1..rows {
            let y = self.patch_rect(painter, rect, [row, 0]).top();
            painter.hline(rect.x_range(), painter.round_to_pixel_center(y), stroke);
        }
    }

    fn paint_chosen(&self, painter: &Painter, tokens: &Tokens, rect: Rect, patch: [usize; 2]) {
        let patch = self.patch_rect(painter, rect, patch);
        // A dark rim sets the ring off from whatever is beneath.
        painter.rect_stroke(patch.expand(1.0), 1.0, Stroke::new(4.0, tokens.scrim), StrokeKind::Middle);
        painter.rect_stroke(patch.expand(1.0), 1.0, Stroke::new(tokens.sizes.focus_ring, tokens.accent), StrokeKind::Middle);
    }
}

/// For the gallery.
pub(crate) const EXHIBITS: &[Exhibit] = &[
    Exhibit {
        name: "patch_view",
        size: Vec2::new(256.0, 192.0),
        show: |ui| {
            let masked: Vec<_> = (0..12 * 9).map(|index| index * 7 % 12 < 8).collect();
            PatchView::new("Masked image", crate::sample::scene(ui.ctx(), 0), [9, 12]).masked(&masked).show(ui, &mut Some([4, 5]));
        },
    },
    Exhibit {
        name: "patch_view_two_masks",
        size: Vec2::new(256.0, 192.0),
        show: |ui| {
            let is_in = |index: usize, rows: std::ops::Range<usize>, columns: std::ops::Range<usize>| {
                rows.contains(&(index / 12)) && columns.contains(&(index % 12))
            };
            let masked: Vec<_> = (0..12 * 9).map(|index| is_in(index, 5..9, 2..9)).collect();
            let second: Vec<_> = (0..12 * 9).map(|index| is_in(index, 1..4, 6..11)).collect();
            let view = PatchView::new("Context and target", crate::sample::scene(ui.ctx(), 4), [9, 12]);
            view.masked(&masked).second(&second).show(ui, &mut None);
        },
    },
    Exhibit {
        name: "patch_view_probabilities",
        size: Vec2::new(256.0, 192.0),
        show: |ui| {
            let probabilities: Vec<_> = (0..48 * 36).map(|index| ((index % 48) as f32 / 47.0) * ((index / 48) as f32 / 35.0)).collect();
            let view = PatchView::new("Probability of each patch", crate::sample::scene(ui.ctx(), 2), [36, 48]);
            view.probabilities(&probabilities).show(ui, &mut None);
        },
    },
];

#[cfg(test)]
mod tests {
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable as _;

    use super::*;

    type Shown = (Option<[usize; 2]>, Option<[usize; 2]>);

    fn harness() -> Harness<'static, Shown> {
        Harness::builder().with_size(Vec2::new(400.0, 300.0)).build_ui_state(
            |ui, (chosen, hovered): &mut Shown| {
                *hovered = PatchView::new("Patches", crate::sample::scene(ui.ctx(), 0), [3, 5]).show(ui, chosen).hovered;
            },
            (None, None),
        )
    }

    #[test]
    fn the_pointer_finds_its_patch() {
        let mut harness = harness();
        harness.run();
        let rect = harness.get_by_label("Patches").rect();
        for (share, patch) in [([0.01, 0.01], [0, 0]), ([0.3, 0.5], [1, 1]), ([0.99, 0.99], [2, 4])] {
            harness.hover_at(rect.min + Vec2::from(share) * rect.size());
            harness.run();
            assert_eq!(harness.state().1, Some(patch), "{share:?}");
        }
        harness.get_by_label("Patches").click();
        harness.run();
        assert_eq!(harness.state().0, Some([1, 2]));
    }

    #[test]
    fn arrow_keys_move_the_chosen_patch_within_the_grid() {
        let mut harness = harness();
        harness.get_by_label("Patches").focus();
        harness.run();
        for (key, column) in [(Key::ArrowUp, 2), (Key::ArrowUp, 2), (Key::ArrowRight, 3), (Key::ArrowRight, 4), (Key::ArrowRight, 4)] {
            harness.key_press(key);
            harness.run();
            assert_eq!(harness.state().0, Some([0, column]), "{key:?}");
        }
    }
}
