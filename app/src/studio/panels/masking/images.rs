//! The images as training's evaluation sees them, prepared one after another on a thread of their own.

use std::collections::BTreeMap;
use std::sync::Arc;

use egui::{ColorImage, Context, TextureHandle, TextureOptions, Ui};
use maskroom_core::dataset::Dataset;
use maskroom_core::inspect::look::{Fit, prepare};
use maskroom_core::inspect::strips::to_picture;
use maskroom_core::mask::Grid;
use maskroom_core::recipe::Recipe;
use maskroom_widgets::Tokens;

use crate::studio::desk::Desk;
use crate::studio::worker::Worker;

/// Prepared images by index.
pub struct Images {
    worker: Worker<Wanted, Prepared>,
    source: Option<Source>,
    ready: BTreeMap<usize, Result<TextureHandle, String>>,
    placeholder: Option<(Grid, bool, TextureHandle)>,
}

/// What images are prepared from: another one makes all of them stale.
#[derive(Clone)]
struct Source {
    dataset: Arc<Dataset>,
    /// Height and width, in pixels.
    image: [usize; 2],
    channels: usize,
}

struct Wanted {
    source: Source,
    recipe: Box<Recipe>,
    index: usize,
}

struct Prepared {
    source: Source,
    index: usize,
    picture: Result<TextureHandle, String>,
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.dataset, &other.dataset) && self.image == other.image && self.channels == other.channels
    }
}

impl Images {
    /// None yet.
    pub fn new(context: &Context) -> Self {
        let textures = context.clone();
        let worker = Worker::start("images to mask", context, move |wanted: Wanted| {
            let picture = picture(&wanted).map(|picture| textures.load_texture("masked image", picture, TextureOptions::LINEAR));
            Prepared { source: wanted.source, index: wanted.index, picture }
        });
        Self { worker, source: None, ready: BTreeMap::new(), placeholder: None }
    }

    /// Takes what is ready, and asks for the next of the `shown` images that is not.
    pub fn follow(&mut self, desk: Desk<'_>, shown: &[usize]) {
        let recipe = desk.draft.recipe();
        let dataset = desk.project.dataset();
        let source =
            dataset.map(|dataset| Source { dataset: Arc::clone(dataset), image: recipe.data.image, channels: recipe.data.channels });
        if self.source != source {
            self.source = source;
            self.ready.clear();
        }
        for prepared in self.worker.answers() {
            if Some(&prepared.source) == self.source.as_ref() {
                self.ready.insert(prepared.index, prepared.picture);
            }
        }
        self.ready.retain(|index, _| shown.contains(index));
        let missing = shown.iter().find(|index| !self.ready.contains_key(index));
        if let (Some(source), Some(&index), false) = (&self.source, missing, self.worker.is_busy()) {
            self.worker.ask(Wanted { source: source.clone(), recipe: Box::new(recipe.clone()), index });
        }
    }

    /// The image, why it cannot be shown, or nothing while it is being prepared.
    pub fn get(&self, index: usize) -> Option<&Result<TextureHandle, String>> {
        self.ready.get(&index)
    }

    /// A neutral picture with one square for each patch.
    pub fn placeholder(&mut self, ui: &Ui, grid: Grid) -> TextureHandle {
        let tokens = Tokens::of(ui);
        if let Some((known, is_dark, texture)) = &self.placeholder
            && (*known, *is_dark) == (grid, tokens.is_dark)
        {
            return texture.clone();
        }
        let (rows, cols) = (grid.rows.max(1), grid.cols.max(1));
        let shades = [tokens.checker_light, tokens.checker_dark];
        let squares = (0..rows * cols).map(|patch| shades[(patch / cols + patch % cols) % 2]).collect();
        let texture = ui.ctx().load_texture("no image", ColorImage::new([cols, rows], squares), TextureOptions::NEAREST);
        self.placeholder = Some((grid, tokens.is_dark, texture.clone()));
        texture
    }
}

/// The center of the image at the network's size. What is normalized is turned back at once, so any mean and deviation do.
fn picture(wanted: &Wanted) -> Result<ColorImage, String> {
    let (mut recipe, dataset) = ((*wanted.recipe).clone(), &wanted.source.dataset);
    let channels = recipe.data.channels;
    (recipe.data.mean, recipe.data.std) = (vec![0.0; channels], vec![1.0; channels]);
    let prepared = prepare(dataset, wanted.index, &recipe, Fit::Crop).map_err(|error| error.to_string())?;
    let picture = to_picture(&prepared.values, prepared.height, prepared.width, &recipe).map_err(|error| error.to_string())?;
    Ok(ColorImage::from_rgb([picture.width, picture.height], &picture.rgb))
}
