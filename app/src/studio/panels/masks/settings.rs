//! How attention becomes masks: which attention, how much of it, and which parts.

use egui::Ui;
use maskroom_core::evaluate::attention::Where;
use maskroom_core::inspect::encoder::Query;
use maskroom_core::method::encoder_sizes;
use maskroom_core::recipe::Recipe;
use maskroom_core::segment::DEFAULT_MASS;
use maskroom_core::segment::attention::{HeadChoice, MaskRule};
use maskroom_core::segment::folder::MaskSource;
use maskroom_widgets::{Field, Section, Tokens};

use crate::studio::attention_choice::AttentionChoice;

/// What is chosen.
pub struct Settings {
    /// Counted from 0; negative from the end.
    layer: i64,
    head: String,
    rollout: bool,
    mass: f64,
    inverted: bool,
    min_area_px: usize,
    largest_only: bool,
    is_open: bool,
}

/// Fields stand in two columns where each of them gets so many points.
const MIN_COLUMN: f32 = 256.0;
const WAYS: [&str; 2] = ["One layer", "Rollout"];

impl Default for Settings {
    fn default() -> Self {
        let (layer, head) = (-1, "mean".to_owned());
        Self { layer, head, rollout: false, mass: DEFAULT_MASS, inverted: false, min_area_px: 0, largest_only: false, is_open: true }
    }
}

impl Settings {
    /// The same in the library's words.
    pub fn source(&self) -> Result<MaskSource, String> {
        let head: HeadChoice = self.head.parse()?;
        let (mass, inverted) = (self.mass, self.inverted);
        let rule = MaskRule { mass, inverted, min_area_px: self.min_area_px, largest_only: self.largest_only };
        Ok(MaskSource { place: Where { layer: self.layer, query: Query::Cls, rollout: self.rollout }, head, rule })
    }

    /// Takes what was chosen in the attention panel.
    pub fn adopt(&mut self, choice: &AttentionChoice) {
        self.head = match choice.head {
            HeadChoice::One(head) => head.to_string(),
            HeadChoice::Composite => "composite".into(),
            HeadChoice::Mean => "mean".into(),
            HeadChoice::Best => "best".into(),
        };
        (self.layer, self.rollout, self.mass) = (choice.layer as i64, choice.rollout, choice.mass);
    }

    /// Draws the fields; layers and heads are those of the recipe's network.
    pub fn ui(&mut self, ui: &mut Ui, recipe: Option<&Recipe>) {
        let backbone = recipe.map(|recipe| {
            let sizes = encoder_sizes(recipe);
            (sizes.num_blocks(), sizes.heads_of(self.layer_of(sizes.num_blocks()) as usize), sizes.num_stages() > 1)
        });
        let (depth, heads, is_pyramid) = backbone.unwrap_or((12, 3, false));
        // The blocks of a pyramid do not all see the same patches: nothing can be followed through them.
        self.rollout &= !is_pyramid;
        let ways: &[&str] = if is_pyramid { &WAYS[..1] } else { &WAYS };
        let note = self.words(depth);
        let mut is_open = self.is_open;
        let section = Section::new("From attention to masks").note(&note).collapsible(&mut is_open);
        section.show(ui, |ui| {
            if ui.available_width() >= 2.0 * MIN_COLUMN + Tokens::of(ui).sizes.gap_large {
                ui.spacing_mut().item_spacing.x = Tokens::of(ui).sizes.gap_large;
                ui.columns(2, |columns| {
                    columns.iter_mut().for_each(|ui| ui.spacing_mut().item_spacing.x = Tokens::of(ui).sizes.gap);
                    self.attention(&mut columns[0], depth, heads, ways);
                    self.parts(&mut columns[1]);
                });
            } else {
                self.attention(ui, depth, heads, ways);
                self.parts(ui);
            }
        });
        self.is_open = is_open;
    }

    fn attention(&mut self, ui: &mut Ui, depth: usize, heads: usize, ways: &[&str]) {
        let mut way = WAYS[usize::from(self.rollout)].to_owned();
        let doc = "The class token's attention in one layer, or followed through all of them";
        let told = Field::new("Attention").doc(doc).default_differs(self.rollout).choice(ui, &mut way, ways);
        self.rollout = !told.reset && way == WAYS[1];
        ui.add_enabled_ui(!self.rollout, |ui| {
            let mut layer = self.layer_of(depth) as f64;
            let last = depth.saturating_sub(1) as f64;
            let field = Field::new("Layer").doc("Counted from 0; the last one as a rule").default_differs(layer < last).slider();
            let told = field.number(ui, &mut layer, 0.0..=last, true);
            self.layer = if told.reset { -1 } else { layer as i64 };
            let heads: Vec<String> = (0..heads).map(|head| head.to_string()).collect();
            let words: Vec<&str> = ["mean", "composite", "best"].into_iter().chain(heads.iter().map(String::as_str)).collect();
            let doc =
                "The mean of all heads, the strongest head of each patch, the one that overlaps the ground truth best, or one of them";
            if Field::new("Head").doc(doc).default_differs(self.head != "mean").choice(ui, &mut self.head, &words).reset {
                "mean".clone_into(&mut self.head);
            }
        });
    }

    fn parts(&mut self, ui: &mut Ui) {
        let differs = (self.mass - DEFAULT_MASS).abs() > 1e-6;
        let field = Field::new("Mass kept").doc("The strongest patches that hold this share of the attention become the mask");
        if field.default_differs(differs).slider().number(ui, &mut self.mass, 0.05..=1.0, false).reset {
            self.mass = DEFAULT_MASS;
        }
        let doc = "The mask is what that leaves of the image: for heads that look at the background";
        if Field::new("Inverted").doc(doc).default_differs(self.inverted).flag(ui, &mut self.inverted).reset {
            self.inverted = false;
        }
        let mut area = self.min_area_px as f64;
        let field = Field::new("Smallest part").doc("Parts of fewer pixels are left out").unit("px").default_differs(self.min_area_px > 0);
        let told = field.number(ui, &mut area, 0.0..=1e6, true);
        self.min_area_px = if told.reset { 0 } else { area as usize };
        let field = Field::new("Largest only").doc("One part an image, the largest").default_differs(self.largest_only);
        if field.flag(ui, &mut self.largest_only).reset {
            self.largest_only = false;
        }
    }

    fn layer_of(&self, depth: usize) -> i64 {
        if self.layer < 0 { depth as i64 + self.layer } else { self.layer.min(depth as i64 - 1) }.max(0)
    }

    /// In short, for the heading.
    fn words(&self, depth: usize) -> String {
        let percent = (100.0 * self.mass).round();
        let kept = if self.inverted { format!("all but {percent} %") } else { format!("{percent} %") };
        if self.rollout { format!("rollout, {kept}") } else { format!("layer {}, head {}, {kept}", self.layer_of(depth), self.head) }
    }
}
