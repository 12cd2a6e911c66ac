//! Which of the images are shown: those of a split, of a class, with a name.

use egui::{TextEdit, Ui, WidgetInfo};
use maskroom_core::dataset::{Dataset, Item, Split};
use maskroom_widgets::{Button, Tokens, icon};

use super::choice::choice;

/// Images by place in the list that is shown.
#[derive(Default)]
pub(super) struct Filtered {
    filter: Filter,
    /// Their indices, ascending; `None` while all are shown.
    indices: Option<Vec<usize>>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Filter {
    split: Option<Split>,
    class: Option<usize>,
    /// In lower case.
    name: String,
}

impl Filter {
    fn takes(&self, item: &Item) -> bool {
        self.split.is_none_or(|split| item.split == Some(split))
            && self.class.is_none_or(|class| item.class == Some(class))
            && (self.name.is_empty() || item.name.to_lowercase().contains(&self.name))
    }
}

impl Filtered {
    /// How many are shown.
    pub(super) fn len(&self, dataset: &Dataset) -> usize {
        self.indices.as_ref().map_or(dataset.items.len(), Vec::len)
    }

    /// Whether some are hidden.
    pub(super) fn is_on(&self) -> bool {
        self.indices.is_some()
    }

    /// The image at a place of the list.
    pub(super) fn index(&self, place: usize) -> Option<usize> {
        self.indices.as_ref().map_or(Some(place), |indices| indices.get(place).copied())
    }

    /// The place of an image in the list.
    pub(super) fn place(&self, index: usize) -> Option<usize> {
        self.indices.as_ref().map_or(Some(index), |indices| indices.binary_search(&index).ok())
    }

    /// Shows all.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The controls; those for splits and classes only where there are any.
    pub(super) fn ui(&mut self, ui: &mut Ui, dataset: &Dataset) {
        let mut filter = self.filter.clone();
        let search = TextEdit::singleline(&mut filter.name).hint_text("Search");
        let search = ui.add_sized([(ui.available_width() * 0.25).clamp(72.0, 160.0), Tokens::of(ui).sizes.row], search);
        search.widget_info(|| WidgetInfo::labeled(egui::Role::SearchInput, ui.is_enabled(), "Filter by name"));
        filter.name = filter.name.to_lowercase();
        let splits = splits_of(dataset);
        if !splits.is_empty() {
            let words: Vec<String> =
                std::iter::once("All splits").chain(splits.iter().map(|split| split_name(*split))).map(str::to_owned).collect();
            let chosen = filter.split.and_then(|split| splits.iter().position(|known| *known == split)).map_or(0, |place| place + 1);
            if let Some(answer) = choice(ui, "Split", &words[chosen], &words, chosen) {
                filter.split = answer.checked_sub(1).map(|place| splits[place]);
            }
        }
        if !dataset.classes.is_empty() {
            let words: Vec<String> = std::iter::once("All classes".to_owned()).chain(dataset.classes.iter().cloned()).collect();
            let chosen = filter.class.map_or(0, |class| class + 1);
            if let Some(answer) = choice(ui, "Class", &words[chosen], &words, chosen) {
                filter.class = answer.checked_sub(1);
            }
        }
        if self.is_on() && Button::icon_only(icon::CLOSE, "Show all images").show(ui).clicked() {
            filter = Filter::default();
        }
        self.set(filter, dataset);
    }

    fn set(&mut self, filter: Filter, dataset: &Dataset) {
        if filter == self.filter {
            return;
        }
        let taken = || dataset.items.iter().enumerate().filter(|(_, item)| filter.takes(item)).map(|(index, _)| index).collect();
        self.indices = (filter != Filter::default()).then(taken);
        self.filter = filter;
    }
}

/// The splits that images are in.
fn splits_of(dataset: &Dataset) -> Vec<Split> {
    // A layout either knows a split for every image or for none: few looks are enough.
    let is_used = |split: &Split| dataset.items.iter().any(|item| item.split == Some(*split));
    if dataset.items.first().is_none_or(|item| item.split.is_none()) {
        return Vec::new();
    }
    [Split::Train, Split::Val, Split::Test].into_iter().filter(is_used).collect()
}

/// The name of a split in menus and facts.
pub(super) fn split_name(split: Split) -> &'static str {
    match split {
        Split::Train => "Training",
        Split::Val => "Validation",
        Split::Test => "Test",
    }
}
