//! One image, to look into: pan and zoom, its values under the pointer, its channels, its ground truth.

use std::sync::Arc;

use egui::{
    ColorImage, Context, Id, Key, Modifiers, Rect, ScrollArea, TextStyle, TextureFilter, TextureHandle, TextureOptions, Ui, UiBuilder,
};
use maskroom_core::dataset::{Dataset, Picture};
use maskroom_widgets::{
    Button, CanvasTransform, CanvasView, ElidedLabel, EmptyState, ImageCanvas, Role, Section, Switch, Tokens, fonts, format, icon,
};

use super::channels;
use super::image_facts;
use super::truth::{self, Truth};
use crate::studio::desk::Desk;
use crate::studio::display::{ChannelValues, Display, Rendered, Units, read_out};
use crate::studio::shelf::{FullPicture, Thumbnail};
use crate::studio::worker::Worker;

/// What the person wants next.
pub(super) enum Turn {
    /// Another image.
    To(usize),
    /// Back to the grid.
    Close,
}

/// One image.
#[derive(Default)]
pub(super) struct ImageView {
    canvas: CanvasView,
    /// How images of this kind (channels, bits of a sample) are shown.
    display: Option<((usize, u32), Display)>,
    renderer: Option<Worker<Question, Answer>>,
    /// What was asked of the renderer last.
    asked: Option<(usize, Display)>,
    shown: Option<ShownImage>,
    has_truth_shown: bool,
    truth_reader: Option<Worker<TruthQuestion, TruthAnswer>>,
    truth_asked: Option<usize>,
    truth: Option<ShownTruth>,
    /// The canvas as a thing that can have the keyboard's focus, once it was drawn.
    canvas_id: Option<Id>,
}

struct Question {
    index: usize,
    picture: Arc<Picture>,
    display: Display,
    max_side: usize,
}

struct Answer {
    index: usize,
    rendered: Result<Rendered, String>,
}

struct TruthQuestion {
    dataset: Arc<Dataset>,
    index: usize,
    max_side: usize,
}

struct TruthAnswer {
    index: usize,
    truth: Result<Option<Truth>, String>,
}

struct ShownImage {
    index: usize,
    texture: TextureHandle,
    windows: Vec<[f32; 2]>,
    values: Vec<ChannelValues>,
}

struct ShownTruth {
    index: usize,
    texture: Option<TextureHandle>,
    legend: Vec<(String, egui::Color32)>,
    problem: Option<String>,
}

/// Beside the image, where the panel is that wide; below it otherwise.
const STRIP_WIDTH: f32 = 224.0;
const SIDE_BY_SIDE_FROM: f32 = 560.0;

impl ImageView {
    /// Shows the selected image; `neighbors` are the one before and the one after.
    pub(super) fn ui(&mut self, ui: &mut Ui, desk: Desk<'_>, dataset: &Arc<Dataset>, neighbors: [Option<usize>; 2]) -> Option<Turn> {
        let index = desk.project.selected();
        let picture = desk.project.shelf().picture(index);
        self.receive(ui.ctx());
        if let FullPicture::Ready(picture) = &picture {
            self.ask(ui.ctx(), index, picture);
            neighbors.into_iter().flatten().for_each(|neighbor| desk.project.shelf().picture_ahead(neighbor));
        }
        if self.has_truth_shown {
            self.ask_truth(ui.ctx(), dataset, index);
        }
        let turn = self.head(ui, dataset, index, neighbors);
        let turn = turn.or_else(|| self.keys(ui, neighbors));
        let whole = ui.available_rect_before_wrap();
        let gap = Tokens::of(ui).sizes.gap;
        let (image, strip) = if whole.width() >= SIDE_BY_SIDE_FROM {
            let (image, strip) = whole.split_left_right_at_x(whole.right() - STRIP_WIDTH - gap);
            (image, strip.with_min_x(strip.left() + gap))
        } else {
            let (image, strip) = whole.split_top_bottom_at_fraction(0.6);
            (image, strip.with_min_y(strip.top() + gap))
        };
        in_rect(ui, "image", image, |ui| self.image(ui, desk, dataset, index, &picture));
        in_rect(ui, "strip", strip, |ui| {
            let scroll = ScrollArea::vertical().id_salt("facts").auto_shrink(false);
            scroll.show(ui, |ui| self.strip(ui, desk, dataset, index, &picture));
        });
        ui.advance_cursor_after_rect(whole);
        turn
    }

    /// Back, the name, and to the neighbors.
    fn head(&self, ui: &mut Ui, dataset: &Dataset, index: usize, [before, after]: [Option<usize>; 2]) -> Option<Turn> {
        let mut turn = None;
        ui.horizontal(|ui| {
            if Button::icon_only(icon::ARROW_LEFT, "Back to all images").shortcut_text("Esc").show(ui).clicked() {
                turn = Some(Turn::Close);
            }
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                for (neighbor, icon, name, key) in
                    [(after, icon::CHEVRON_RIGHT, "Next image", "→"), (before, icon::CHEVRON_LEFT, "Previous image", "←")]
                {
                    let button = Button::icon_only(icon, name).shortcut_text(key).enabled(neighbor.is_some());
                    if button.show(ui).clicked() {
                        turn = neighbor.map(Turn::To);
                    }
                }
                let tokens = Tokens::of(ui);
                let text = format!("{} / {}", format::count(index as u64 + 1), format::count(dataset.items.len() as u64));
                ui.label(egui::RichText::new(text).text_style(fonts::mono_small()).color(tokens.text_muted));
                ui.with_layout(egui::Layout::left_to_right(egui::Align::Center), |ui| {
                    let name = dataset.items.get(index).map_or("", |item| &item.name);
                    ElidedLabel::new(name).keep_end().show(ui);
                });
            });
        });
        turn
    }

    /// Arrows turn over while the whole image is in sight; when it is magnified they move it.
    fn keys(&mut self, ui: &Ui, [before, after]: [Option<usize>; 2]) -> Option<Turn> {
        if !self.canvas_id.is_some_and(|id| ui.memory(|memory| memory.has_focus(id))) {
            return None;
        }
        let pressed = |key| ui.input_mut(|input| input.consume_key(Modifiers::NONE, key));
        if pressed(Key::Escape) {
            return Some(Turn::Close);
        }
        let fits = self.canvas.fit;
        let (back, on) =
            (pressed(Key::PageUp) || fits && pressed(Key::ArrowLeft), pressed(Key::PageDown) || fits && pressed(Key::ArrowRight));
        before.filter(|_| back).or(after.filter(|_| on)).map(Turn::To)
    }

    fn image(&mut self, ui: &mut Ui, desk: Desk<'_>, dataset: &Dataset, index: usize, picture: &FullPicture) {
        if let FullPicture::Failed(reason) = picture {
            EmptyState::new(icon::ERROR, "This image cannot be read", reason).show(ui);
            return;
        }
        let tokens = Tokens::of(ui);
        let room = ui.available_rect_before_wrap();
        let (above, below) = room.split_top_bottom_at_y(room.bottom() - tokens.sizes.row_small);
        let name = dataset.items.get(index).map_or("Image", |item| item.name.as_str());
        let mut canvas = ImageCanvas::new("canvas", name).pixel_grid(true).empty("Reading the image");
        // Until the image itself is there, its thumbnail keeps the eye where it is.
        let shown = self.shown.as_ref().filter(|shown| shown.index == index).map(|shown| shown.texture.clone());
        let is_whole = shown.is_some();
        let stand_in = || if let Thumbnail::Ready(texture) = desk.project.shelf().thumbnail(index) { Some(texture) } else { None };
        let texture = shown.or_else(stand_in);
        if let Some(texture) = &texture {
            canvas = canvas.texture(texture);
        }
        let truth =
            self.truth.as_ref().filter(|truth| self.has_truth_shown && truth.index == index).and_then(|truth| truth.texture.clone());
        let overlay = |painter: &egui::Painter, transform: CanvasTransform| {
            if let Some(truth) = truth {
                let half = egui::ImageOptions::default().tint.gamma_multiply(0.5);
                painter.image(truth.id(), transform.image_rect, Rect::from_min_max(egui::Pos2::ZERO, egui::pos2(1.0, 1.0)), half);
            }
        };
        let answer = in_rect(ui, "canvas", above, |ui| canvas.show(ui, &mut self.canvas, overlay));
        if self.canvas_id.replace(answer.response.id).is_none() {
            answer.response.request_focus();
        }
        let read = if let (FullPicture::Ready(picture), Some([x, y]), Some(texture), true) = (picture, answer.hovered_px, texture, is_whole)
        {
            // A picture too large for a texture is shown smaller.
            let scale = picture.width as f32 / texture.size()[0].max(1) as f32;
            let (column, row) = ((x * scale) as usize, (y * scale) as usize);
            read_out(picture, column, row).map(|values| format!("x {column}  y {row}  value {}", values.join(" ")))
        } else {
            None
        };
        in_rect(ui, "read-out", below, |ui| {
            let text = read.as_deref().unwrap_or("Wheel to zoom, drag to move, F to fit, 1 for 100 %");
            let style = if read.is_some() { fonts::mono_small() } else { TextStyle::Small };
            ElidedLabel::new(text).style(style).role(Role::TextMuted).show(ui);
        });
    }

    fn strip(&mut self, ui: &mut Ui, desk: Desk<'_>, dataset: &Dataset, index: usize, picture: &FullPicture) {
        let tokens = Tokens::of(ui);
        let picture = if let FullPicture::Ready(picture) = picture { Some(picture) } else { None };
        ui.spacing_mut().item_spacing.y = tokens.sizes.gap_small;
        if dataset.items.get(index).is_some_and(maskroom_core::dataset::Item::has_truth) {
            self.truth_ui(ui, index);
            ui.add_space(tokens.sizes.gap);
        }
        image_facts::facts(ui, dataset, index, picture.map(Arc::as_ref));
        ui.add_space(tokens.sizes.gap);
        image_facts::actions(ui, desk, dataset, index);
        if let (Some(picture), Some((_, display))) = (picture, &mut self.display)
            && channels::has_choices(picture.channels, picture.bit_depth())
        {
            let shown = self.shown.as_ref().filter(|shown| shown.index == index);
            let (windows, values) = shown.map_or((&[][..], &[][..]), |shown| (&shown.windows, &shown.values));
            ui.add_space(tokens.sizes.gap);
            Section::new("Channels").show(ui, |ui| {
                channels::mapper(ui, display, picture.channels, Units::of(picture.bit_depth()), windows, values);
            });
        }
    }

    fn truth_ui(&mut self, ui: &mut Ui, index: usize) {
        ui.horizontal(|ui| {
            Switch::new("Ground truth").show(ui, &mut self.has_truth_shown);
            ElidedLabel::new("Ground truth").show(ui);
        });
        let Some(truth) = self.truth.as_ref().filter(|truth| self.has_truth_shown && truth.index == index) else { return };
        if let Some(problem) = &truth.problem {
            ElidedLabel::new(problem).style(TextStyle::Small).role(Role::Bad).show(ui);
        }
        let side = Tokens::of(ui).sizes.gap;
        for (name, color) in &truth.legend {
            ui.horizontal(|ui| {
                let (swatch, _) = ui.allocate_exact_size(egui::Vec2::splat(side), egui::Sense::hover());
                ui.painter().rect_filled(swatch, 2.0, *color);
                ElidedLabel::new(name).style(TextStyle::Small).show(ui);
            });
        }
    }

    /// Takes what the workers have made.
    fn receive(&mut self, context: &Context) {
        for Answer { index, rendered } in self.renderer.iter().flat_map(Worker::answers) {
            match rendered {
                Ok(Rendered { image, windows, values }) => {
                    self.shown = Some(ShownImage { index, texture: load(context, image), windows, values });
                }
                Err(reason) => tracing::warn!("image {index} cannot be drawn: {reason}"),
            }
        }
        for TruthAnswer { index, truth } in self.truth_reader.iter().flat_map(Worker::answers) {
            let (texture, legend, problem) = match truth {
                Ok(Some(truth)) => (Some(context.load_texture("ground truth", truth.image, TextureOptions::NEAREST)), truth.legend, None),
                Ok(None) => (None, Vec::new(), Some("There is no mask for this image".to_owned())),
                Err(reason) => (None, Vec::new(), Some(reason)),
            };
            self.truth = Some(ShownTruth { index, texture, legend, problem });
        }
    }

    fn ask(&mut self, context: &Context, index: usize, picture: &Arc<Picture>) {
        let kind = (picture.channels, picture.bit_depth());
        if self.display.as_ref().is_none_or(|(known, _)| *known != kind) {
            self.display = Some((kind, Display::of(kind.0, kind.1)));
        }
        let Some((_, display)) = &self.display else { return };
        if self.asked.as_ref() == Some(&(index, display.clone())) {
            return;
        }
        self.asked = Some((index, display.clone()));
        let renderer = self.renderer.get_or_insert_with(|| {
            Worker::start("image view", context, |question: Question| Answer {
                index: question.index,
                rendered: question.display.render(&question.picture, question.max_side),
            })
        });
        let max_side = context.input(|input| input.max_texture_side);
        renderer.ask(Question { index, picture: Arc::clone(picture), display: display.clone(), max_side });
    }

    fn ask_truth(&mut self, context: &Context, dataset: &Arc<Dataset>, index: usize) {
        if self.truth_asked.replace(index) == Some(index) {
            return;
        }
        let reader = self.truth_reader.get_or_insert_with(|| {
            Worker::start("ground truth", context, |question: TruthQuestion| TruthAnswer {
                index: question.index,
                truth: truth::read(&question.dataset, question.index, question.max_side),
            })
        });
        reader.ask(TruthQuestion { dataset: Arc::clone(dataset), index, max_side: context.input(|input| input.max_texture_side) });
    }
}

/// Square pixels when magnified, smooth when small.
fn load(context: &Context, image: ColorImage) -> TextureHandle {
    context.load_texture("image view", image, TextureOptions { magnification: TextureFilter::Nearest, ..TextureOptions::LINEAR })
}

fn in_rect<R>(ui: &mut Ui, salt: &str, rect: Rect, contents: impl FnOnce(&mut Ui) -> R) -> R {
    contents(&mut ui.new_child(UiBuilder::new().max_rect(rect).id_salt(salt)))
}
