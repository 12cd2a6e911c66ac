//! What training sees of the selected image: its views in the first epochs, and where they were cut from.

use std::sync::Arc;

use egui::{Rect, ScrollArea, Sense, Stroke, StrokeKind, TextStyle, TextureHandle, TextureOptions, Ui, Vec2, WidgetInfo, pos2, vec2};
use maskroom_core::augment::CropBox;
use maskroom_core::dataset::Dataset;
use maskroom_core::recipe::Recipe;
use maskroom_widgets::{Banner, Button, ElidedLabel, EmptyState, Role, Tokens, Tone, icon};

use super::sample_views::{Maker, Question, SampleView, Views};
use crate::studio::ask::Ask;
use crate::studio::command::Command;
use crate::studio::desk::Desk;
use crate::studio::panels::index_of;
use crate::studio::worker::Worker;

/// The samples of one image.
#[derive(Default)]
pub(super) struct AugmentationView {
    maker: Option<Worker<Question, Answer>>,
    /// The image and the generation of the recipe that were asked about last.
    asked: Option<(usize, u64)>,
    shown: Option<Shown>,
}

struct Answer {
    index: usize,
    views: Result<Views, String>,
}

struct Shown {
    index: usize,
    content: Result<Content, String>,
}

struct Content {
    whole: TextureHandle,
    full: [usize; 2],
    samples: Vec<(TextureHandle, SampleView)>,
}

/// Width of a sample, in points, at least.
const CELL: f32 = 104.0;
const SIDE_BY_SIDE_FROM: f32 = 640.0;

impl AugmentationView {
    /// Fills the room that is left.
    pub(super) fn ui(&mut self, ui: &mut Ui, desk: Desk<'_>, dataset: &Arc<Dataset>) {
        let index = desk.project.selected();
        self.ask(ui, desk, dataset, index);
        self.receive(ui);
        self.head(ui, desk, dataset, index);
        let is_of_this = self.shown.as_ref().is_some_and(|shown| shown.index == index);
        match self.shown.as_ref().filter(|_| is_of_this).map(|shown| &shown.content) {
            None => EmptyState::new(icon::IMAGE, "Making the samples", "As training would make them").show(ui),
            Some(Err(reason)) => EmptyState::new(icon::HIDDEN, "There are no samples of this image", reason).show(ui),
            Some(Ok(content)) => {
                let scroll = ScrollArea::vertical().id_salt("samples").auto_shrink(false);
                scroll.show(ui, |ui| content.ui(ui, desk.draft.recipe()));
            }
        }
    }

    fn head(&self, ui: &mut Ui, desk: Desk<'_>, dataset: &Dataset, index: usize) {
        ui.horizontal(|ui| {
            for (icon, name, to) in [
                (icon::CHEVRON_LEFT, "Previous image", index.checked_sub(1)),
                (icon::CHEVRON_RIGHT, "Next image", Some(index + 1).filter(|&next| next < dataset.items.len())),
            ] {
                if let (true, Some(to)) = (Button::icon_only(icon, name).enabled(to.is_some()).show(ui).clicked(), to) {
                    desk.ask(Ask::SelectImage(to));
                }
            }
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                let button = Button::new("Edit").icon(icon::RECIPE).small().tooltip("Crops, flips and colors are settings of the recipe");
                if let (true, Some(panel)) = (button.show(ui).clicked(), index_of("recipe")) {
                    desk.ask(Command::ShowPanel(panel));
                }
                ui.with_layout(egui::Layout::left_to_right(egui::Align::Center), |ui| {
                    ElidedLabel::new(dataset.items.get(index).map_or("", |item| &item.name)).keep_end().show(ui);
                });
            });
        });
        ElidedLabel::new(&in_words(desk.draft.recipe())).style(TextStyle::Small).role(Role::TextMuted).show(ui);
        if !desk.draft.is_valid() {
            Banner::new(Tone::Warning, "The recipe has problems").body("These samples are those of its last valid state").show(ui);
        }
    }

    fn ask(&mut self, ui: &Ui, desk: Desk<'_>, dataset: &Arc<Dataset>, index: usize) {
        let generation = desk.draft.generation();
        if self.asked.replace((index, generation)) == Some((index, generation)) {
            return;
        }
        let maker = self.maker.get_or_insert_with(|| {
            let mut maker = Maker::default();
            Worker::start("samples", ui.ctx(), move |question: Question| Answer { index: question.index, views: maker.views(&question) })
        });
        maker.ask(Question { dataset: Arc::clone(dataset), index, recipe: desk.draft.recipe().clone() });
    }

    fn receive(&mut self, ui: &Ui) {
        for Answer { index, views } in self.maker.iter().flat_map(Worker::answers) {
            let load = |name: &str, image| ui.ctx().load_texture(name, image, TextureOptions::LINEAR);
            let content = views.map(|views| Content {
                whole: load("whole image", views.whole),
                full: views.full,
                samples: views.samples.into_iter().map(|mut sample| (load("sample", std::mem::take(&mut sample.image)), sample)).collect(),
            });
            self.shown = Some(Shown { index, content });
        }
    }
}

/// What is done, in one line.
fn in_words(recipe: &Recipe) -> String {
    let augment = &recipe.augment;
    let share = |scale: &[f64]| {
        let end = |end: Option<&f64>| format!("{:.0}", 100.0 * end.copied().unwrap_or(1.0));
        format!("{} to {} % of the area", end(scale.first()), end(scale.last()))
    };
    let size = |[height, width]: [usize; 2]| format!("{width} × {height} px");
    let is_color = recipe.data.channels == 3;
    let changes = [
        (is_color && augment.jitter_chance > 0.0 && augment.jitter.iter().any(|&strength| strength > 0.0), "colors changed"),
        (is_color && augment.gray > 0.0, "some gray"),
        (augment.blur.iter().any(|&chance| chance > 0.0), "some blurred"),
        (augment.solarize.iter().any(|&chance| chance > 0.0), "some solarized"),
    ];
    let mut words = match augment.views {
        0 | 1 => format!("Crops of {}", share(&augment.crop_scale)),
        views => format!("{views} crops of {}", share(&augment.crop_scale)),
    };
    words += &format!(" at {}", size(recipe.data.image));
    if augment.local_views > 0 {
        words += &format!(", {} of {} at {}", augment.local_views, share(&augment.local_scale), size(augment.local_image));
    }
    words += &format!(", {:.0} % flipped", 100.0 * augment.flip);
    changes.into_iter().filter(|(is_done, _)| *is_done).for_each(|(_, what)| words += &format!(", {what}"));
    let what = match recipe.target.kind.as_str() {
        "rotation" => ", each turned four times",
        "jigsaw" => ", tiles shuffled: the numbers tell which tile stands in each place",
        "color" => ", lightness alone",
        _ => "",
    };
    words + &format!("{what}, seed {}", recipe.seed)
}

impl Content {
    fn ui(&self, ui: &mut Ui, recipe: &Recipe) {
        let gap = Tokens::of(ui).sizes.gap;
        let room = ui.available_rect_before_wrap();
        if room.width() >= SIDE_BY_SIDE_FROM {
            let (left, right) = room.split_left_right_at_fraction(0.42);
            let whole = self.whole_rect(left.with_max_x(left.right() - gap).with_max_y(left.top() + left.width()));
            let mut right = ui.new_child(egui::UiBuilder::new().max_rect(right.with_min_x(right.left() + gap)));
            let hovered = self.grid(&mut right, recipe);
            self.paint_whole(ui, whole, hovered);
            let below = Rect::from_min_max(whole.left_bottom() + vec2(0.0, gap), pos2(whole.right(), whole.bottom() + 4.0 * gap));
            self.read_out(&mut ui.new_child(egui::UiBuilder::new().max_rect(below)), hovered);
            ui.advance_cursor_after_rect(below.union(right.min_rect()));
        } else {
            let whole = self.whole_rect(room.with_max_y(room.top() + (room.width() * 0.66).min(280.0)));
            ui.advance_cursor_after_rect(whole);
            let hovered = self.grid(ui, recipe);
            self.paint_whole(ui, whole, hovered);
        }
    }

    /// What the chosen sample was cut from.
    fn read_out(&self, ui: &mut Ui, chosen: Option<usize>) {
        let [height, width] = self.full;
        let text = match chosen.and_then(|chosen| self.samples.get(chosen)) {
            Some((_, sample)) => format!("{}, {}", self.caption_of(sample), size_of(&sample.crop)),
            None => format!("Whole image, {width} × {height} px"),
        };
        ElidedLabel::new(&text).style(TextStyle::Small).role(Role::TextMuted).show(ui);
    }

    /// Where the whole image lies in the room for it: at its top, in the middle.
    fn whole_rect(&self, room: Rect) -> Rect {
        let size = self.whole.size_vec2();
        let size = size * (room.size() / size).min_elem();
        Rect::from_min_size(pos2(room.center().x - size.x / 2.0, room.top()), size)
    }

    /// The samples with their epochs. Returns the one that the pointer or the keyboard is on.
    fn grid(&self, ui: &mut Ui, recipe: &Recipe) -> Option<usize> {
        let tokens = Tokens::of(ui);
        let gap = tokens.sizes.gap;
        let columns = (((ui.available_width() + gap) / (CELL + gap)) as usize).clamp(1, 6);
        let width = (ui.available_width() + gap) / columns as f32 - gap;
        let [image_height, image_width] = recipe.data.image;
        let height = (width * image_height as f32 / image_width.max(1) as f32).clamp(8.0, 2.0 * width);
        let mut chosen = None;
        for (row, samples) in self.samples.chunks(columns).enumerate() {
            ui.horizontal(|ui| {
                for (column, (texture, sample)) in samples.iter().enumerate() {
                    let place = row * columns + column;
                    let (rect, response) = ui.allocate_exact_size(vec2(width, height + tokens.sizes.row_small), Sense::click());
                    let (image, caption) = rect.split_top_bottom_at_y(rect.top() + height);
                    let words = self.caption_of(sample);
                    response.widget_info(|| WidgetInfo::labeled(egui::Role::Image, true, format!("{words}, {}", size_of(&sample.crop))));
                    let (own, size) = (texture.size_vec2(), image.size());
                    let image = Rect::from_center_size(image.center(), own * (size / own).min_elem().min(size.y / self.tallest()));
                    egui::Image::from_texture(texture).paint_at(ui, image);
                    let is_chosen = response.hovered() || response.has_focus();
                    if is_chosen {
                        chosen = Some(place);
                        let stroke = Stroke::new(tokens.sizes.focus_ring, tokens.accent);
                        ui.painter().rect_stroke(image, 0.0, stroke, StrokeKind::Inside);
                    }
                    let role = if is_chosen { Role::Text } else { Role::TextMuted };
                    let mut below = ui.new_child(egui::UiBuilder::new().max_rect(caption).id_salt(place));
                    ElidedLabel::new(&words).style(TextStyle::Small).role(role).show(&mut below);
                }
            });
        }
        chosen
    }

    /// Which view of which epoch it is.
    fn caption_of(&self, sample: &SampleView) -> String {
        let has_views = self.samples.iter().any(|(_, other)| other.number > 0);
        let view = if has_views { format!(", view {}", sample.number + 1) } else { String::new() };
        let puzzle = sample.puzzle.as_ref().map_or(String::new(), |puzzle| format!(", {puzzle}"));
        format!("Epoch {}{view}{puzzle}{}", sample.epoch + 1, if sample.is_flipped { ", flipped" } else { "" })
    }

    /// The height in pixels of the largest sample.
    fn tallest(&self) -> f32 {
        self.samples.iter().map(|(texture, _)| texture.size_vec2().y).fold(1.0, f32::max)
    }

    /// The whole image, with a hairline around every sample and a strong line around one.
    fn paint_whole(&self, ui: &Ui, rect: Rect, chosen: Option<usize>) {
        let tokens = Tokens::of(ui);
        egui::Image::from_texture(&self.whole).paint_at(ui, rect);
        let around = |crop: &CropBox| {
            let scale = rect.size() / vec2(self.full[1].max(1) as f32, self.full[0].max(1) as f32);
            let corner = rect.min + Vec2::new(crop.left as f32, crop.top as f32) * scale;
            Rect::from_min_size(corner, Vec2::new(crop.width as f32, crop.height as f32) * scale)
        };
        let painter = ui.painter_at(rect);
        for (_, sample) in &self.samples {
            painter.rect_stroke(around(&sample.crop), 0.0, Stroke::new(tokens.sizes.hairline, tokens.scrim), StrokeKind::Inside);
        }
        if let Some((_, sample)) = chosen.and_then(|chosen| self.samples.get(chosen)) {
            let around = around(&sample.crop);
            painter.rect_stroke(around, 0.0, Stroke::new(tokens.sizes.focus_ring + 2.0, tokens.scrim), StrokeKind::Inside);
            painter.rect_stroke(around.shrink(1.0), 0.0, Stroke::new(tokens.sizes.focus_ring, tokens.accent), StrokeKind::Inside);
        }
    }
}

fn size_of(crop: &CropBox) -> String {
    format!("{} × {} px from column {}, row {}", crop.width, crop.height, crop.left, crop.top)
}
