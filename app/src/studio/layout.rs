//! Where the panels are: docked as the person likes, saved by the names of the panels, and back to the first arrangement on demand.

use std::path::Path;

use egui::{Ui, WidgetText};
use egui_tiles::{Behavior, Container, SimplificationOptions, TabState, Tile, TileId, Tiles, Tree, UiResponse};
use maskroom_widgets::Tokens;
use serde::{Deserialize, Serialize};

use super::desk::Desk;
use super::panels::{PANELS, Panel, index_of};
use super::preferences;

/// The arrangement, and the panels in it.
pub struct Layout {
    tree: Tree<Pane>,
    panels: Vec<Box<dyn Panel>>,
}

/// A panel's place, by its name, so that saved layouts survive new panels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Pane(String);

impl Layout {
    /// As it was saved, or as it was at first.
    pub fn load(path: &Path, context: &egui::Context) -> Self {
        let saved: Option<Tree<Pane>> = preferences::load(path);
        let tree = saved.filter(is_complete).unwrap_or_else(first_arrangement);
        Self { tree, panels: PANELS.iter().map(|entry| (entry.make)(context)).collect() }
    }

    /// Keeps it for the next time.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> anyhow::Result<()> {
        preferences::save(path, &Some(&self.tree))
    }

    /// As it was at first.
    pub fn reset(&mut self) {
        self.tree = first_arrangement();
    }

    /// Brings a panel to the front of its tabs.
    pub fn show_panel(&mut self, index: usize) {
        let Some(entry) = PANELS.get(index) else { return };
        self.tree.make_active(|_, tile| matches!(tile, Tile::Pane(pane) if pane.0 == entry.key));
    }

    /// Whether a panel is at the front.
    pub fn is_shown(&self, index: usize) -> bool {
        let key = PANELS.get(index).map(|entry| entry.key);
        self.tree
            .active_tiles()
            .into_iter()
            .any(|id| matches!(self.tree.tiles.get(id), Some(Tile::Pane(pane)) if Some(pane.0.as_str()) == key))
    }

    /// Draws the panels.
    pub fn ui(&mut self, ui: &mut Ui, desk: Desk<'_>) {
        let mut frame = Frame { panels: &mut self.panels, desk, tokens: Tokens::of(ui) };
        self.tree.ui(&mut frame, ui);
    }
}

/// Work on the left in its order, what comes of it on the right.
fn first_arrangement() -> Tree<Pane> {
    let mut tiles = Tiles::default();
    let mut tabs = |keys: &[&str]| {
        let panes: Vec<TileId> = keys.iter().map(|key| tiles.insert_pane(Pane((*key).to_owned()))).collect();
        tiles.insert_tab_tile(panes)
    };
    let (left, right) = (tabs(&["data", "masking", "recipe", "runs"]), tabs(&["train", "reconstructions", "attention", "masks"]));
    let mut split = egui_tiles::Linear::new(egui_tiles::LinearDir::Horizontal, vec![left, right]);
    split.shares.set_share(left, 0.46);
    split.shares.set_share(right, 0.54);
    let root = tiles.insert_container(Container::Linear(split));
    Tree::new(egui::Id::unique("panels"), root, tiles)
}

/// Whether a saved layout has every panel once: one from another version may not.
fn is_complete(tree: &Tree<Pane>) -> bool {
    let mut keys: Vec<&str> =
        tree.tiles.tiles().filter_map(|tile| if let Tile::Pane(pane) = tile { Some(pane.0.as_str()) } else { None }).collect();
    keys.sort_unstable();
    let mut expected: Vec<&str> = PANELS.iter().map(|entry| entry.key).collect();
    expected.sort_unstable();
    keys == expected && tree.root().is_some()
}

/// What egui_tiles asks while it draws.
struct Frame<'a> {
    panels: &'a mut [Box<dyn Panel>],
    desk: Desk<'a>,
    tokens: &'static Tokens,
}

impl Behavior<Pane> for Frame<'_> {
    fn pane_ui(&mut self, ui: &mut Ui, _id: TileId, pane: &mut Pane) -> UiResponse {
        let margin = self.tokens.sizes.gap as i8;
        egui::Frame::new().fill(self.tokens.surface).inner_margin(margin).show(ui, |ui| {
            ui.expand_to_include_rect(ui.max_rect());
            if let Some(panel) = index_of(&pane.0).and_then(|index| self.panels.get_mut(index)) {
                panel.ui(ui, self.desk);
            }
        });
        UiResponse::None
    }

    fn tab_title_for_pane(&mut self, pane: &Pane) -> WidgetText {
        let entry = index_of(&pane.0).map(|index| &PANELS[index]);
        entry.map_or_else(|| pane.0.clone(), |entry| format!("{}  {}", entry.icon, entry.title)).into()
    }

    fn simplification_options(&self) -> SimplificationOptions {
        SimplificationOptions { all_panes_must_have_tabs: true, ..SimplificationOptions::default() }
    }

    fn tab_bar_height(&self, _style: &egui::Style) -> f32 {
        self.tokens.sizes.row + self.tokens.sizes.gap
    }

    fn gap_width(&self, _style: &egui::Style) -> f32 {
        self.tokens.sizes.hairline * 2.0
    }

    fn tab_bar_color(&self, _visuals: &egui::Visuals) -> egui::Color32 {
        self.tokens.canvas
    }

    fn tab_bg_color(&self, _visuals: &egui::Visuals, _tiles: &Tiles<Pane>, _id: TileId, state: &TabState) -> egui::Color32 {
        if state.active { self.tokens.surface } else { self.tokens.canvas }
    }

    fn tab_outline_stroke(&self, _visuals: &egui::Visuals, _tiles: &Tiles<Pane>, _id: TileId, _state: &TabState) -> egui::Stroke {
        egui::Stroke::NONE
    }

    fn tab_bar_hline_stroke(&self, _visuals: &egui::Visuals) -> egui::Stroke {
        egui::Stroke::NONE
    }

    fn tab_text_color(&self, _visuals: &egui::Visuals, _tiles: &Tiles<Pane>, _id: TileId, state: &TabState) -> egui::Color32 {
        if state.active { self.tokens.text } else { self.tokens.text_muted }
    }

    fn min_size(&self) -> f32 {
        240.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_arrangement_has_every_panel_and_survives_saving() {
        let tree = first_arrangement();
        assert!(is_complete(&tree));
        let text = serde_json::to_string(&Some(&tree)).unwrap();
        let back: Option<Tree<Pane>> = serde_json::from_str(&text).unwrap();
        assert!(is_complete(&back.unwrap()));
    }

    #[test]
    fn a_layout_of_another_version_is_not_used() {
        let text = serde_json::to_string(&Some(&first_arrangement())).unwrap().replace("\"runs\"", "\"a panel of old\"");
        let back: Option<Tree<Pane>> = serde_json::from_str(&text).unwrap();
        assert!(!is_complete(&back.unwrap()));
    }
}
