//! The Attention panel: what each head looks at, on any image, with any of a run's weights or with those from elsewhere.

mod controls;
mod export;
mod head_matrix;
mod overlay;
mod shown;
mod source_bar;

use std::path::Path;
use std::sync::Arc;

use egui::{Context, Rect, ScrollArea, TextStyle, TextureHandle, Ui, UiBuilder, Vec2};
use maskroom_core::dataset::Dataset;
use maskroom_core::inspect::colormap::ColorMap;
use maskroom_widgets::format::count;
use maskroom_widgets::{Button, ElidedLabel, EmptyState, ImageCanvas, Legend, PictureTextures, Role, Section, Tokens, icon};

use super::save_as::SaveAs;
use super::{Panel, elsewhere, image_strip};
use crate::studio::ask::Ask;
use crate::studio::attention_choice::{AttentionChoice, Checkpoint, WeightsChoice};
use crate::studio::desk::Desk;
use crate::studio::explorer::{Answer, Explorer, Look, Overview, Question};
use crate::studio::job::PANICKED;
use crate::studio::looked_at::LookedAt;
use crate::studio::project::Listing;
use crate::studio::worker::Worker;
use controls::Folds;
use export::Wish;
use overlay::Patches;
use shown::{Heads, View};
use source_bar::Source;

/// From this width on, the settings stand beside the image.
const WIDE_POINTS: f32 = 640.0;
/// Width of the settings beside the image.
const SIDE_POINTS: f32 = 296.0;

/// What the panel shows now.
pub struct AttentionPanel {
    worker: Worker<Question, Answer>,
    asked: Option<Question>,
    answer: Option<Answer>,
    textures: Vec<Texture>,
    atlas: Option<Atlas>,
    source: Source,
    view: View,
    folds: Folds,
    save_as: SaveAs,
}

/// An image as a network sees it, on the graphics card.
struct Texture {
    of: Arc<Overview>,
    picture: PictureTextures,
}

/// The maps of all heads on the graphics card.
struct Atlas {
    of: Arc<Overview>,
    colors: ColorMap,
    texture: TextureHandle,
}

impl AttentionPanel {
    /// Nothing shown yet.
    pub fn new(context: &Context) -> Self {
        let mut explorer = Explorer::default();
        Self {
            worker: Worker::start("attention explorer", context, move |question| explorer.answer(question)),
            asked: None,
            answer: None,
            textures: Vec::new(),
            atlas: None,
            source: Source::default(),
            view: View::default(),
            folds: Folds::default(),
            save_as: SaveAs::default(),
        }
    }

    fn receive(&mut self, context: &Context) {
        let Some(answer) = self.worker.answers().last() else { return };
        let shows = |overview: &Arc<Overview>| answer.looks.iter().flatten().any(|look| Arc::ptr_eq(&look.overview, overview));
        self.textures.retain(|texture| shows(&texture.of));
        for look in answer.looks.iter().flatten() {
            if !self.textures.iter().any(|texture| Arc::ptr_eq(&texture.of, &look.overview)) {
                let picture = PictureTextures::load(context, "image of attention", Arc::clone(&look.overview.image));
                self.textures.push(Texture { of: Arc::clone(&look.overview), picture });
            }
        }
        // Another image has other patches, and so has another stage.
        let of = |answer: &Answer| (answer.question.sample, answer.question.stage);
        if self.answer.as_ref().is_some_and(|before| of(before) != of(&answer)) {
            (self.view.pinned, self.view.hovered) = (None, None);
        }
        self.answer = Some(answer);
    }

    /// Asks the explorer, unless it has been asked just that.
    fn ask(&mut self, desk: Desk<'_>, looked_at: LookedAt<'_>) {
        let Some(dataset) = desk.project.dataset() else { return };
        let question = Question {
            dataset: Arc::clone(dataset),
            sample: desk.project.selected(),
            weights: self.source.weights(),
            stage: self.view.stage,
            layer: self.view.layer,
            newest: looked_at.checkpoints().last().copied().filter(|_| self.source.follows_latest()),
            gently: desk.runs.active().is_some(),
        };
        if self.asked.as_ref() != Some(&question) {
            self.worker.ask(question.clone());
            self.asked = Some(question);
        }
    }

    /// The answer, if it is about this network.
    fn answer_about(&self, looked_at: LookedAt<'_>) -> Option<&Answer> {
        let is_about = |choice: &WeightsChoice| choice.path() == looked_at.path();
        self.answer.as_ref().filter(|answer| answer.question.weights.first().is_some_and(is_about))
    }

    fn explore(&mut self, ui: &mut Ui, desk: Desk<'_>, looks: &[Result<Look, String>]) {
        let first = match looks.first() {
            Some(Ok(look)) => look,
            Some(Err(reason)) => return EmptyState::new(icon::WARNING, "There is nothing to look at", reason).show(ui),
            None => return EmptyState::new(icon::ATTENTION, "Looking", "The network is shown the image for the first time").show(ui),
        };
        let area = ui.available_rect_before_wrap();
        if area.width() >= WIDE_POINTS {
            let gap = Tokens::of(ui).sizes.gap;
            let (left, right) = area.split_left_right_at_x(area.right() - SIDE_POINTS);
            let mut pictures = ui.new_child(UiBuilder::new().id_salt("pictures").max_rect(left.with_max_x(left.right() - 2.0 * gap)));
            self.pictures(&mut pictures, looks, None);
            let mut side = ui.new_child(UiBuilder::new().id_salt("settings").max_rect(right));
            ScrollArea::vertical().auto_shrink(false).show(&mut side, |ui| self.settings(ui, desk, first));
            ui.advance_cursor_after_rect(area);
        } else {
            let height = (0.55 * area.height()).min(area.width()).max(200.0);
            ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                self.pictures(ui, looks, Some(height));
                self.settings(ui, desk, first);
            });
        }
    }

    /// The image under its attention, once for each choice of weights, and what the colors mean.
    fn pictures(&mut self, ui: &mut Ui, looks: &[Result<Look, String>], height: Option<f32>) {
        let tokens = Tokens::of(ui);
        let below = 4.0 * tokens.sizes.row;
        let height = height.unwrap_or_else(|| (ui.available_height() - below).max(160.0));
        let (_, area) = ui.allocate_space(Vec2::new(ui.available_width(), height));
        let gap = tokens.sizes.gap_small;
        let width = (area.width() - gap * (looks.len() - 1) as f32) / looks.len().max(1) as f32;
        let before = self.view.hovered.take();
        for (index, look) in looks.iter().enumerate() {
            let corner = area.min + Vec2::new(index as f32 * (width + gap), 0.0);
            let rect = Rect::from_min_size(corner, Vec2::new(width, area.height()));
            let mut column = ui.new_child(UiBuilder::new().id_salt(("weights", index)).max_rect(rect));
            column.spacing_mut().item_spacing.y = gap;
            if looks.len() > 1 {
                ElidedLabel::new(&weights_in_words(look)).style(TextStyle::Small).role(Role::TextMuted).show(&mut column);
            }
            match look {
                Ok(look) => self.picture(&mut column, index, look, before),
                Err(reason) => EmptyState::new(icon::WARNING, "These weights cannot be opened", reason).show(&mut column),
            }
        }
        if self.view.hovered != before {
            // The other picture has been drawn with what was asked before.
            ui.ctx().request_repaint();
        }
        if let Some(Ok(look)) = looks.first() {
            self.legend(ui, look);
        }
    }

    fn picture(&mut self, ui: &mut Ui, index: usize, look: &Look, hovered: Option<[usize; 2]>) {
        let Some(texture) = self.textures.iter().find(|texture| Arc::ptr_eq(&texture.of, &look.overview)) else { return };
        let (tokens, grid) = (Tokens::of(ui), look.overview.grid);
        let mut canvas_view = self.view.canvas;
        let asked = self.view.pinned.or(hovered.filter(|_| self.view.follow));
        let kept_hovered = std::mem::replace(&mut self.view.hovered, hovered);
        let shown = self.view.shown(look).filter(|shown| !shown.is_empty());
        let view = &self.view;
        let canvas = ImageCanvas::new(("attention", index), "Attention over the image").texture(&texture.picture);
        let response = canvas.show(ui, &mut canvas_view, |painter, transform| {
            let patches = Patches { rect: transform.image_rect, grid };
            if let Some(shown) = &shown {
                let kept = shown.kept(view.mass());
                if view.mask_only {
                    patches.veil(painter, tokens, &kept);
                } else {
                    shown.heatmap(view).paint(painter, transform.image_rect);
                }
                if view.mass_percent < 100.0 {
                    patches.outline(painter, tokens, &kept);
                }
            }
            if let Some(patch) = asked {
                patches.frame(painter, tokens, patch);
            }
        });
        let [width, height] = look.overview.image.size;
        let share = |[x, y]: [f32; 2]| [x / width.max(1) as f32, y / height.max(1) as f32];
        let under_pointer = response.hovered_px.map(|place| Patches::at_share(grid, share(place)));
        let clicked = under_pointer.filter(|_| response.response.clicked());
        self.view.canvas = canvas_view;
        self.view.hovered = under_pointer.or(kept_hovered);
        if let Some(patch) = clicked {
            self.view.pinned = (self.view.pinned != Some(patch)).then_some(patch);
        }
    }

    /// What the colors mean, and what is known of the image.
    fn legend(&self, ui: &mut Ui, look: &Look) {
        let overview = &look.overview;
        let words = self.view.words(overview);
        match self.view.shown(look) {
            Some(shown) if self.view.heads != Heads::Composite => {
                Legend::new(&sentence(&words), self.view.ramp()).range([0.0, shown.maximum()]).show(ui);
            }
            Some(_) => {
                let words = format!("{words}; each is strongest at its own maximum");
                ElidedLabel::new(&words).style(TextStyle::Small).role(Role::TextMuted).show(ui);
            }
            None => {
                ElidedLabel::new("This layer is being looked at").style(TextStyle::Small).role(Role::TextMuted).show(ui);
            }
        }
        if overview.cropped {
            let words = "Only the middle is shown: the whole image has more patches than attention can be computed for";
            ElidedLabel::new(words).style(TextStyle::Small).role(Role::Warning).show(ui);
        }
    }

    /// Begins to write what is shown into a file.
    fn export(&mut self, desk: Desk<'_>, dataset: &Dataset, wish: Wish, looks: Vec<Look>, tokens: &'static Tokens) {
        let Some(overview) = looks.first().map(|look| Arc::clone(&look.overview)) else { return };
        let image = dataset.items.get(overview.sample).map_or("", |item| item.file_name());
        let image = image.rsplit_once('.').map_or(image, |(stem, _)| stem);
        let (view, filter) = (self.view.clone(), ("Picture", "png"));
        match wish {
            Wish::Shown => {
                let name = format!("{image}, {}", view.words(&overview));
                let write = move |path: &Path| Ok(export::picture(&looks, &view, tokens)?.save_png(path)?);
                self.save_as.ask(desk, "Export the picture", &name, filter, write);
            }
            Wish::AllHeads => {
                let write = move |path: &Path| Ok(head_matrix::picture(&overview, view.colors, tokens).save_png(path)?);
                self.save_as.ask(desk, "Export all heads", &format!("{image}, all heads"), filter, write);
            }
        }
    }

    fn settings(&mut self, ui: &mut Ui, desk: Desk<'_>, look: &Look) {
        let overview = &look.overview;
        let note = format!("{} layers, {} heads", overview.layers, overview.heads);
        Section::new("Heads").note(&note).show(ui, |ui| {
            controls::stages(ui, look, &mut self.view);
            controls::heads(ui, look, &mut self.view);
            ui.add_space(Tokens::of(ui).sizes.gap_small);
            let fits = |atlas: &&Atlas| Arc::ptr_eq(&atlas.of, overview) && atlas.colors == self.view.colors;
            if self.atlas.as_ref().filter(fits).is_none() {
                let (of, colors) = (Arc::clone(overview), self.view.colors);
                self.atlas = Some(Atlas { texture: head_matrix::atlas(ui.ctx(), overview, colors), of, colors });
            }
            if let Some(atlas) = &self.atlas {
                head_matrix::show(ui, overview, &atlas.texture, &mut self.view);
            }
            controls::asked(ui, look, &mut self.view);
        });
        controls::colors(ui, &mut self.view, &mut self.folds);
        let kept = self.view.shown(look).map(|shown| shown.kept(self.view.mass()));
        if controls::mask(ui, kept.as_deref(), &mut self.view, &mut self.folds)
            && let Some(weights) = self.source.weights().into_iter().next()
        {
            desk.ask(Ask::UseForMasks(AttentionChoice {
                weights,
                layer: overview.first_layer + self.view.layer_of(overview.layers),
                head: self.view.as_head_choice(overview.heads),
                rollout: self.view.heads == Heads::Rollout,
                mass: self.view.mass(),
            }));
        }
    }
}

fn weights_in_words(look: &Result<Look, String>) -> String {
    match look {
        Ok(look) => look.overview.step.map_or_else(|| "Untrained".to_owned(), |step| format!("Step {}", count(step))),
        Err(_) => "Not opened".to_owned(),
    }
}

/// With a capital letter.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

impl Panel for AttentionPanel {
    fn ui(&mut self, ui: &mut Ui, desk: Desk<'_>) {
        self.receive(ui.ctx());
        self.save_as.go_on(ui.ctx(), desk);
        let Some(dataset) = desk.project.dataset() else {
            let is_reading = matches!(desk.project.listing(), Listing::Reading(_));
            let hint =
                if is_reading { "The folder is still being read" } else { "Open a folder, and see what each head looks at in its images" };
            return EmptyState::new(icon::IMAGE, "No images yet", hint).show(ui);
        };
        let Some(looked_at) = desk.looked_at() else {
            let hint = "Train a network first, or open weights; then every head can be looked at, on any image";
            return EmptyState::new(icon::ATTENTION, "No run yet", hint).show_with_actions(ui, |ui| {
                super::train::start_button(ui, desk);
                elsewhere::instead_of_a_run(ui, desk);
            });
        };
        self.source.follow(looked_at);
        let on_disk = self.answer_about(looked_at).map(|answer| answer.checkpoints.clone()).unwrap_or_default();
        let can_export = self.answer_about(looked_at).is_some_and(|answer| answer.looks.iter().any(Result::is_ok));
        let wish = source_bar::show(ui, desk, looked_at, &mut self.source, &on_disk, can_export);
        image_strip::show(ui, desk, dataset);
        if let LookedAt::Run(run) = looked_at
            && self.source.checkpoint == Checkpoint::Latest
            && run.view.checkpoints.is_empty()
            && on_disk.is_empty()
        {
            let every = run.recipe.as_ref().map_or(0, |recipe| recipe.train.checkpoint_every_steps);
            let hint = format!("The first one comes at step {}. The weights before training can be looked at now", count(every as u64));
            return EmptyState::new(icon::CHECKPOINT, "No checkpoint yet", &hint).show_with_actions(ui, |ui| {
                if Button::new("Show untrained weights").show(ui).clicked() {
                    self.source.checkpoint = Checkpoint::Untrained;
                }
            });
        }
        self.ask(desk, looked_at);
        let looks = if self.worker.has_failed() {
            vec![Err(PANICKED.to_owned())]
        } else {
            self.answer_about(looked_at).map(|answer| answer.looks.clone()).unwrap_or_default()
        };
        if let Some(wish) = wish {
            self.export(desk, dataset, wish, looks.iter().flatten().cloned().collect(), Tokens::of(ui));
        }
        self.explore(ui, desk, &looks);
    }
}
