//! Which of all the maps is shown: layer, head, whose attention, and how it is colored.

use egui::Color32;
use maskroom_core::evaluate::attention::Where;
use maskroom_core::inspect::colormap::{ColorMap, head_color};
use maskroom_core::inspect::encoder::{Query, resolve_layer};
use maskroom_core::segment::attention::HeadChoice;
use maskroom_core::segment::{DEFAULT_MASS, mass_mask};
use maskroom_widgets::{CanvasView, HeatRows, Heatmap, Ramp};

use crate::studio::explorer::{Look, Overview};

/// Heads that one picture can show in colors of their own.
pub const MAX_COLORED: usize = 16;
/// How much of the opacity is left where the mask does not reach.
const OUTSIDE: f32 = 0.25;

/// Which heads are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Heads {
    /// One.
    #[default]
    One,
    /// The mean of a layer's heads.
    Mean,
    /// Some of a layer's heads, each in a color of its own.
    Composite,
    /// The mean of all heads, carried through all layers.
    Rollout,
}

impl Heads {
    /// All, in the order of the words.
    pub const ALL: [Self; 4] = [Self::One, Self::Mean, Self::Composite, Self::Rollout];
    /// Their words.
    pub const WORDS: [&'static str; 4] = ["Head", "Mean", "Composite", "Rollout"];
}

/// What the person chose to see.
#[derive(Clone)]
pub struct View {
    /// Which heads.
    pub heads: Heads,
    /// The stage of a pyramid; negative counts from the end.
    pub stage: i64,
    /// The block of that stage; negative counts from the end.
    pub layer: i64,
    /// The head of [`Heads::One`].
    pub head: usize,
    /// Heads that are left out of the composite.
    pub left_out: Vec<usize>,
    /// Whether the patch under the pointer is asked.
    pub follow: bool,
    /// The patch that is asked until it is let go, as row and column.
    pub pinned: Option<[usize; 2]>,
    /// The patch under the pointer.
    pub hovered: Option<[usize; 2]>,
    /// Share of the mass that the mask keeps, in percent.
    pub mass_percent: f64,
    /// Opacity of the colors, in percent.
    pub opacity_percent: f64,
    /// Colors of one map.
    pub colors: ColorMap,
    /// Whether values are blended between patches.
    pub smooth: bool,
    /// Whether the image is shown in the mask alone, without colors.
    pub mask_only: bool,
    /// Zoom and place, the same for all pictures.
    pub canvas: CanvasView,
}

impl Default for View {
    fn default() -> Self {
        Self {
            heads: Heads::default(),
            stage: -1,
            layer: -1,
            head: 0,
            left_out: Vec::new(),
            follow: false,
            pinned: None,
            hovered: None,
            mass_percent: DEFAULT_MASS * 100.0,
            opacity_percent: 70.0,
            colors: ColorMap::Inferno,
            smooth: false,
            mask_only: false,
            canvas: CanvasView::default(),
        }
    }
}

impl View {
    /// The patch whose attention is shown; the class token's if there is none.
    pub fn asked(&self) -> Option<[usize; 2]> {
        self.pinned.or(self.hovered.filter(|_| self.follow))
    }

    /// The share of the mass that the mask keeps, 0 to 1.
    pub fn mass(&self) -> f64 {
        self.mass_percent / 100.0
    }

    /// The layer, counted from 0.
    pub fn layer_of(&self, layers: usize) -> usize {
        resolve_layer(self.layer, layers).unwrap_or(layers.saturating_sub(1))
    }

    /// Takes this head of this layer, as the matrix offers them.
    pub fn choose(&mut self, layer: usize, head: usize) {
        (self.layer, self.head) = (layer as i64, head);
        if self.heads != Heads::Composite {
            self.heads = Heads::One;
        }
    }

    /// As the figure of the DINO paper is drawn, all heads to begin with.
    pub fn like_dino(&mut self) {
        (self.heads, self.layer, self.pinned, self.follow) = (Heads::Composite, -1, None, false);
        (self.mass_percent, self.opacity_percent, self.smooth, self.mask_only) = (DEFAULT_MASS * 100.0, 50.0, false, false);
        self.left_out.clear();
    }

    /// The map of a look, or nothing while the patches of its layer have not come or cannot be asked.
    pub fn shown<'a>(&self, look: &'a Look) -> Option<Shown<'a>> {
        let overview = &look.overview;
        let [_, cols] = overview.grid;
        let layer = self.layer_of(overview.layers);
        let patch = self.asked().map(|[row, col]| row * cols + col);
        let (rows, query) = match (self.heads, patch) {
            (Heads::Rollout, None) => (overview.rollout.as_ref()?, 0),
            (Heads::Rollout, Some(patch)) => (overview.rollout.as_ref()?, patch + 1),
            (_, None) => (&overview.class_rows, layer),
            (_, Some(patch)) => (look.rows.as_ref().filter(|_| look.layer == layer)?, patch),
        };
        if query >= rows.num_queries() {
            return None;
        }
        let (head, colored) = match self.heads {
            Heads::Rollout => (0, Vec::new()),
            Heads::Mean => (overview.heads, Vec::new()),
            Heads::One => (self.head.min(overview.heads.saturating_sub(1)), Vec::new()),
            Heads::Composite => (overview.heads, self.colored(overview.heads)),
        };
        Some(Shown { rows, query, head, is_composite: self.heads == Heads::Composite, colored })
    }

    /// The heads of a composite and their colors.
    pub fn colored(&self, heads: usize) -> Vec<(usize, Color32)> {
        (0..heads).filter(|head| !self.left_out.contains(head)).take(MAX_COLORED).map(|head| (head, color_of_head(head))).collect()
    }

    /// The ramp of one map.
    pub fn ramp(&self) -> Ramp {
        Ramp::from_rgb(&self.colors.table())
    }

    /// The same as the library says it, for masks of the class token's attention.
    pub fn as_head_choice(&self, heads: usize) -> HeadChoice {
        match self.heads {
            Heads::One => HeadChoice::One(self.head.min(heads.saturating_sub(1))),
            Heads::Mean | Heads::Rollout => HeadChoice::Mean,
            Heads::Composite => HeadChoice::Composite,
        }
    }

    /// Where it lies, in the library's words.
    pub fn place(&self, overview: &Overview) -> Where {
        let query = self.asked().map_or(Query::Cls, |[row, col]| Query::Patch(row, col));
        let layer = (overview.first_layer + self.layer_of(overview.layers)) as i64;
        Where { layer, query, rollout: self.heads == Heads::Rollout }
    }

    /// In words, such as `layer 11, head 3, from the class token`.
    pub fn words(&self, overview: &Overview) -> String {
        let place = self.place(overview);
        let heads = match self.heads {
            Heads::One => format!("layer {}, head {}", place.layer, self.head),
            Heads::Mean => format!("layer {}, mean of all heads", place.layer),
            Heads::Composite => format!("layer {}, heads in colors", place.layer),
            Heads::Rollout => "rollout over all layers".to_owned(),
        };
        match place.query {
            Query::Cls if overview.has_class_token => format!("{heads}, from the class token"),
            Query::Cls => format!("{heads}, from all patches on average"),
            Query::Patch(row, col) => format!("{heads}, from patch {row}, {col}"),
        }
    }
}

/// One map, or several heads' maps of one query.
pub struct Shown<'a> {
    rows: &'a HeatRows,
    query: usize,
    head: usize,
    is_composite: bool,
    colored: Vec<(usize, Color32)>,
}

impl Shown<'_> {
    /// The map as numbers `[N]`. Of a composite: for each patch the strongest of its heads, each head's map summing to one first.
    pub fn map(&self) -> Vec<f32> {
        if !self.is_composite {
            return self.map_of(self.head);
        }
        let mut strongest = vec![0.0_f32; self.rows.grid().iter().product()];
        for &(head, _) in &self.colored {
            let map = self.map_of(head);
            let total = map.iter().sum::<f32>().max(f32::MIN_POSITIVE);
            strongest.iter_mut().zip(map).for_each(|(sum, value)| *sum = sum.max(value / total));
        }
        strongest
    }

    fn map_of(&self, head: usize) -> Vec<f32> {
        let [rows, cols] = self.rows.grid();
        let value = |patch: usize| self.rows.value(self.query, head, [patch / cols, patch % cols]).unwrap_or(0.0);
        (0..rows * cols).map(value).collect()
    }

    /// The patches that the mask keeps, `[N]`.
    pub fn kept(&self, mass: f64) -> Vec<bool> {
        mass_mask(&self.map(), mass)
    }

    /// The largest value of the map.
    pub fn maximum(&self) -> f32 {
        self.rows.maximum(self.query, self.head)
    }

    /// The map as it is drawn.
    pub fn heatmap(&self, view: &View) -> Heatmap<'_> {
        let opacity = view.opacity_percent as f32 / 100.0;
        let map = Heatmap::new(self.rows).query(self.query).mass(view.mass() as f32).opacity(opacity).smooth(view.smooth);
        if self.is_composite { map.composite(&self.colored) } else { map.head(self.head).ramp(view.ramp()).dimmed(OUTSIDE * opacity) }
    }

    /// Whether no head at all was chosen.
    pub fn is_empty(&self) -> bool {
        self.is_composite && self.colored.is_empty()
    }
}

/// The color that a head has everywhere.
pub fn color_of_head(head: usize) -> Color32 {
    Ramp::from_rgb(&[head_color(head)]).color(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_patch_holds_against_the_pointer() {
        let mut view = View { hovered: Some([1, 2]), ..View::default() };
        assert_eq!(view.asked(), None);
        view.follow = true;
        assert_eq!(view.asked(), Some([1, 2]));
        view.pinned = Some([0, 0]);
        assert_eq!(view.asked(), Some([0, 0]));
    }

    #[test]
    fn the_matrix_leaves_a_composite_and_its_colors_alone() {
        let mut view = View { left_out: vec![1], heads: Heads::Composite, ..View::default() };
        view.choose(0, 2);
        assert_eq!((view.heads, view.layer_of(4), view.colored(4).len()), (Heads::Composite, 0, 3));
        view.heads = Heads::Rollout;
        view.choose(9, 2);
        assert_eq!((view.heads, view.layer_of(4), view.as_head_choice(2)), (Heads::One, 3, HeadChoice::One(1)));
        view.like_dino();
        assert_eq!((view.layer_of(4), view.colored(40).len(), view.asked()), (3, MAX_COLORED, None));
    }

    #[test]
    fn a_composite_is_the_strongest_head_of_each_patch() {
        let rows = HeatRows::from_values(&[3.0, 1.0, 0.1, 0.3, 1.0, 1.0], 1, 3, [1, 2]).unwrap();
        let colored = vec![(0, color_of_head(0)), (1, color_of_head(1))];
        let shown = Shown { rows: &rows, query: 0, head: 2, is_composite: true, colored };
        assert!(shown.map().iter().all(|value| (value - 0.75).abs() < 1e-6), "{:?}", shown.map());
        let one = Shown { rows: &rows, query: 0, head: 0, is_composite: false, colored: Vec::new() };
        assert_eq!((one.map(), one.kept(0.6), one.maximum()), (vec![3.0, 1.0], vec![true, false], 3.0));
    }
}
