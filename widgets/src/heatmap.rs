//! Heat maps over images: one head's attention along a ramp of colors, or several heads in a color each. Drawn by the graphics card, which
//! holds the maps of all queries and heads: another query, head or threshold costs nothing.

use egui::{Color32, ColorImage, Painter, Rect, Vec2};
use maskroom_shaders::composite::{self, Composite, MAX_HEADS};
use maskroom_shaders::heatmap;

use crate::Tokens;
use crate::gallery::Exhibit;
use crate::heat_rows::HeatRows;
use crate::heatmap_gpu;
use crate::patch_view::PatchView;
use crate::ramp::Ramp;

pub use crate::heatmap_gpu::set_target_format;

/// One map of [`HeatRows`], or several heads of one query, and how they are colored.
#[derive(Clone)]
#[must_use = "call `paint` or `picture`"]
pub struct Heatmap<'a> {
    rows: &'a HeatRows,
    query: usize,
    head: usize,
    heads: &'a [(usize, Color32)],
    ramp: Ramp,
    range: Option<[f32; 2]>,
    mass: f32,
    opacity: f32,
    dimmed: f32,
    is_smooth: bool,
}

/// What the shader is told.
#[derive(Clone, Copy)]
pub(crate) enum Uniforms {
    OneHead(heatmap::Heatmap),
    ManyHeads(Composite),
}

impl<'a> Heatmap<'a> {
    /// The first query and head, all of its mass, in the colors of the tokens from 0 to the largest value.
    pub fn new(rows: &'a HeatRows) -> Self {
        let ramp = Ramp::heat();
        Self { rows, query: 0, head: 0, heads: &[], ramp, range: None, mass: 1.0, opacity: 0.75, dimmed: 0.0, is_smooth: false }
    }

    /// Whose map to show.
    pub fn query(mut self, query: usize) -> Self {
        self.query = query;
        self
    }

    /// Which head's map to show.
    pub fn head(mut self, head: usize) -> Self {
        self.head = head;
        self
    }

    /// Colors from nothing to most.
    pub fn ramp(mut self, ramp: Ramp) -> Self {
        self.ramp = ramp;
        self
    }

    /// The values of the first and of the last color.
    pub fn range(mut self, range: [f32; 2]) -> Self {
        self.range = Some(range);
        self
    }

    /// Share of the whole mass whose patches are kept, largest first, 0 to 1.
    pub fn mass(mut self, share: f32) -> Self {
        self.mass = share;
        self
    }

    /// Opacity of kept patches, 0 to 1.
    pub fn opacity(mut self, opacity: f32) -> Self {
        self.opacity = opacity;
        self
    }

    /// Opacity of the other patches, 0 to 1.
    pub fn dimmed(mut self, opacity: f32) -> Self {
        self.dimmed = opacity;
        self
    }

    /// Whether values are blended between the centers of patches; which patches are kept stays sharp.
    pub fn smooth(mut self, is_smooth: bool) -> Self {
        self.is_smooth = is_smooth;
        self
    }

    /// Shows these heads (at most 16) of the query at once, each in a color of its own, stronger where it attends more; where they overlap,
    /// colors mix. Ramp, range and dimming do not matter then.
    pub fn composite(mut self, heads: &'a [(usize, Color32)]) -> Self {
        self.heads = heads;
        self
    }

    /// Draws the map over a rectangle, as far as the painter's clip shows it.
    pub fn paint(&self, painter: &Painter, rect: Rect) {
        let visible = rect.intersect(painter.clip_rect());
        if !visible.is_positive() {
            return;
        }
        let Some(chunk) = self.rows.chunk_of(self.query, heatmap_gpu::MAX_CHUNK_BYTES) else {
            let text = "These maps are too large for the graphics card";
            crate::image_canvas::paint_empty(painter, Tokens::dark(), rect, text);
            return;
        };
        let uniforms = self.uniforms(chunk.start);
        painter.add(heatmap_gpu::callback(painter.ctx(), self.rows, chunk, uniforms, rect, visible));
    }

    /// The same map as an image of its own, as the shaders would draw it; for files.
    pub fn picture(&self, [width, height]: [usize; 2]) -> ColorImage {
        let uniforms = self.uniforms(0).placed([0.0, 0.0, width as f32, height as f32], false);
        let mut bytes = Vec::with_capacity(4 * width * height);
        for y in 0..height {
            for x in 0..width {
                let color = uniforms.color_at(self.rows, [x as f32 + 0.5, y as f32 + 0.5]);
                bytes.extend(color.map(|channel| (channel * 255.0).round() as u8));
            }
        }
        ColorImage::from_rgba_premultiplied([width, height], &bytes)
    }

    /// For a buffer that begins with the cell `base`.
    pub(crate) fn uniforms(&self, base: usize) -> Uniforms {
        let [rows, columns] = self.rows.grid().map(|count| count as u32);
        let first_of = |head| (self.rows.first_cell(self.query, head) - base) as u32;
        if self.heads.is_empty() {
            return Uniforms::OneHead(heatmap::Heatmap {
                ramp: self.ramp.stops(),
                area: [0.0; 4],
                grid: [columns, rows],
                range: self.range.unwrap_or([0.0, self.rows.maximum(self.query, self.head)]),
                mass: self.mass,
                opacity: self.opacity,
                dimmed: self.dimmed,
                first: first_of(self.head),
                is_smooth: u32::from(self.is_smooth),
                is_linear: 0,
                reserved: [0; 2],
            });
        }
        let mut uniforms = Composite {
            colors: [[0.0; 4]; MAX_HEADS],
            first: [0; MAX_HEADS],
            maximum: [0.0; MAX_HEADS],
            area: [0.0; 4],
            grid: [columns, rows],
            shown: 0,
            mass: self.mass,
            opacity: self.opacity,
            is_smooth: u32::from(self.is_smooth),
            is_linear: 0,
            reserved: 0,
        };
        for (slot, &(head, color)) in self.heads.iter().take(MAX_HEADS).enumerate() {
            uniforms.colors[slot] = color.to_srgba_unmultiplied().map(|channel| f32::from(channel) / 255.0);
            uniforms.first[slot] = first_of(head);
            uniforms.maximum[slot] = self.rows.maximum(self.query, head);
            uniforms.shown |= 1 << slot;
        }
        Uniforms::ManyHeads(uniforms)
    }
}

impl Uniforms {
    /// For a map that covers an area (left, top, width, height) of a target, in pixels.
    pub(crate) fn placed(mut self, area_px: [f32; 4], is_target_linear: bool) -> Self {
        let (area, is_linear) = match &mut self {
            Self::OneHead(uniforms) => (&mut uniforms.area, &mut uniforms.is_linear),
            Self::ManyHeads(uniforms) => (&mut uniforms.area, &mut uniforms.is_linear),
        };
        (*area, *is_linear) = (area_px, u32::from(is_target_linear));
        self
    }

    /// What the shader computes, in Rust.
    pub(crate) fn color_at(&self, rows: &HeatRows, position: [f32; 2]) -> [f32; 4] {
        match self {
            Self::OneHead(uniforms) => heatmap::color_at(&rows.0.cells, uniforms, position),
            Self::ManyHeads(uniforms) => composite::color_at(&rows.0.cells, uniforms, position),
        }
    }
}

/// For the gallery.
pub(crate) const EXHIBITS: &[Exhibit] = &[
    Exhibit { name: "heatmap", size: Vec2::new(256.0, 192.0), show: |ui| exhibit(ui, |map| map.query(40).head(1)) },
    Exhibit { name: "heatmap_smooth", size: Vec2::new(256.0, 192.0), show: |ui| exhibit(ui, |map| map.query(40).head(1).smooth(true)) },
    Exhibit {
        name: "heatmap_mass",
        size: Vec2::new(256.0, 192.0),
        show: |ui| exhibit(ui, |map| map.query(40).head(1).mass(0.6).dimmed(0.2).smooth(true)),
    },
    Exhibit { name: "heatmap_composite", size: Vec2::new(256.0, 192.0), show: |ui| exhibit_composite(ui, false) },
    Exhibit { name: "heatmap_composite_smooth", size: Vec2::new(256.0, 192.0), show: |ui| exhibit_composite(ui, true) },
];

fn exhibit(ui: &mut egui::Ui, look: fn(Heatmap<'_>) -> Heatmap<'_>) {
    let rows = crate::sample::attention();
    let view = PatchView::new("Attention", crate::sample::scene(ui.ctx(), 0), rows.grid());
    view.overlay(|painter, area| look(Heatmap::new(&rows)).paint(painter, area)).show(ui, &mut Some([3, 4]));
}

fn exhibit_composite(ui: &mut egui::Ui, is_smooth: bool) {
    let rows = crate::sample::attention();
    let heads: Vec<_> = Tokens::dark().series.into_iter().enumerate().take(rows.num_heads()).collect();
    let map = Heatmap::new(&rows).query(40).composite(&heads).mass(0.6).opacity(0.9).smooth(is_smooth);
    let view = PatchView::new("Attention of six heads", crate::sample::scene(ui.ctx(), 4), rows.grid());
    view.overlay(|painter, area| map.paint(painter, area)).show(ui, &mut Some([3, 4]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_shows_the_map() {
        let rows = HeatRows::from_values(&[0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0], 2, 1, [2, 2]).unwrap();
        let map = Heatmap::new(&rows).opacity(1.0).dimmed(1.0);
        let heat = Tokens::dark().heat;
        let pixels = |map: &Heatmap<'_>| map.picture([2, 2]).pixels;
        assert_eq!(pixels(&map), [heat[0], heat[4], heat[0], heat[0]]);
        assert_eq!(pixels(&map.clone().query(1)), [heat[4], heat[0], heat[0], heat[0]]);
        assert_eq!(pixels(&map.clone().dimmed(0.0))[0], Color32::TRANSPARENT);
        let accent = Tokens::dark().accent;
        assert_eq!(pixels(&map.composite(&[(0, accent)])), [Color32::TRANSPARENT, accent, Color32::TRANSPARENT, Color32::TRANSPARENT]);
    }
}
