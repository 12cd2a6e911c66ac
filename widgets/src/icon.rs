//! Names for the icons in use. Each is a character of the icon font, which stands behind every other font: an icon can be put into any text.

use egui_material_icons::icons;

macro_rules! icons {
    ($($name:ident = $source:ident, $meaning:literal;)*) => {
        $(#[doc = $meaning] pub const $name: &str = icons::$source.codepoint;)*

        /// Every icon with its name, for the gallery.
        pub const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}

icons! {
    // Places of the studio.
    HOME = ICON_HOME, "The start page.";
    GRID = ICON_GRID_VIEW, "Many pictures.";
    IMAGE = ICON_IMAGE, "One picture.";
    FOLDER = ICON_FOLDER, "A folder.";
    FOLDER_OPEN = ICON_FOLDER_OPEN, "Open a folder.";
    DATASET = ICON_DATASET, "A data set.";
    SCENES = ICON_SCIENCE, "Generated toy scenes.";
    MASK = ICON_GRID_ON, "A mask of patches.";
    RECIPE = ICON_TUNE, "A recipe and its settings.";
    RUNS = ICON_LIST, "A list, such as that of runs.";
    CURVES = ICON_SHOW_CHART, "Curves.";
    TIMELINE = ICON_TIMELINE, "What happened when.";
    COMPARE = ICON_COMPARE, "Two things side by side.";
    ATTENTION = ICON_VISIBILITY, "Attention; also: shown.";
    HIDDEN = ICON_VISIBILITY_OFF, "Not shown.";
    LAYERS = ICON_LAYERS, "Layers of masks.";
    BRUSH = ICON_BRUSH, "Paint.";
    SCATTER = ICON_SCATTER_PLOT, "A map of embeddings.";
    MODEL = ICON_HUB, "A model.";
    TERMINAL = ICON_TERMINAL, "A log, a command.";
    DOCUMENT = ICON_DESCRIPTION, "A text file, a report.";
    // What runs.
    PLAY = ICON_PLAY_ARROW, "Start, go on.";
    PAUSE = ICON_PAUSE, "Pause.";
    STOP = ICON_STOP, "Stop.";
    PREVIOUS = ICON_SKIP_PREVIOUS, "To the one before.";
    NEXT = ICON_SKIP_NEXT, "To the one after.";
    CHECKPOINT = ICON_FLAG, "A checkpoint.";
    SAVE = ICON_SAVE, "Save.";
    MEMORY = ICON_MEMORY, "Memory, a device.";
    SPEED = ICON_SPEED, "Throughput.";
    TIMER = ICON_TIMER, "A duration.";
    HISTORY = ICON_HISTORY, "What was.";
    SHUFFLE = ICON_SHUFFLE, "Another seed.";
    // What one does.
    SEARCH = ICON_SEARCH, "Search.";
    FILTER = ICON_FILTER_LIST, "Filter.";
    SORT = ICON_SORT, "Sort.";
    ADD = ICON_ADD, "Add.";
    REMOVE = ICON_REMOVE, "Take away.";
    EDIT = ICON_EDIT, "Edit.";
    COPY = ICON_CONTENT_COPY, "Copy.";
    DELETE = ICON_DELETE, "Delete.";
    UNDO = ICON_UNDO, "Undo.";
    REDO = ICON_REDO, "Redo.";
    RESET = ICON_RESTART_ALT, "Back to the default.";
    REFRESH = ICON_REFRESH, "Read again.";
    EXPORT = ICON_DOWNLOAD, "Export, download.";
    OPEN_EXTERNAL = ICON_OPEN_IN_NEW, "Opens in another program.";
    LINK = ICON_LINK, "Linked.";
    PIN = ICON_KEEP, "Keep in sight.";
    STAR = ICON_STAR, "A favorite.";
    LOCK = ICON_LOCK, "Cannot be changed.";
    UNLOCK = ICON_LOCK_OPEN, "Can be changed.";
    DRAG = ICON_DRAG_INDICATOR, "A handle for dragging.";
    // How one looks.
    ZOOM_IN = ICON_ZOOM_IN, "Nearer.";
    ZOOM_OUT = ICON_ZOOM_OUT, "Farther.";
    FIT = ICON_FIT_SCREEN, "All of it.";
    EXPAND = ICON_OPEN_IN_FULL, "Larger.";
    PALETTE = ICON_PALETTE, "Colors.";
    CONTRAST = ICON_CONTRAST, "Contrast; the theme of the system.";
    DARK_MODE = ICON_DARK_MODE, "The dark theme.";
    LIGHT_MODE = ICON_LIGHT_MODE, "The light theme.";
    PANEL_LEFT = ICON_DOCK_TO_RIGHT, "The panel at the left.";
    PANEL_RIGHT = ICON_DOCK_TO_LEFT, "The panel at the right.";
    PANEL_BOTTOM = ICON_DOCK_TO_BOTTOM, "The panel at the bottom.";
    // Around everything.
    SETTINGS = ICON_SETTINGS, "Settings of the program.";
    HELP = ICON_HELP, "Help.";
    KEYBOARD = ICON_KEYBOARD, "Keyboard shortcuts.";
    NOTIFICATIONS = ICON_NOTIFICATIONS, "Messages.";
    MORE = ICON_MORE_VERT, "A menu with more.";
    CLOSE = ICON_CLOSE, "Close.";
    CHECK = ICON_CHECK, "Chosen, done.";
    INFO = ICON_INFO, "Good to know.";
    GOOD = ICON_CHECK_CIRCLE, "It is well.";
    WARNING = ICON_WARNING, "Look at this.";
    ERROR = ICON_ERROR, "It failed.";
    CHEVRON_LEFT = ICON_CHEVRON_LEFT, "Back, to the left.";
    CHEVRON_RIGHT = ICON_CHEVRON_RIGHT, "Folded; onward.";
    CHEVRON_DOWN = ICON_KEYBOARD_ARROW_DOWN, "Unfolded; opens downward.";
    CHEVRON_UP = ICON_KEYBOARD_ARROW_UP, "Opens upward.";
    ARROW_LEFT = ICON_ARROW_BACK, "Leftward.";
    ARROW_RIGHT = ICON_ARROW_FORWARD, "Rightward.";
    ARROW_UP = ICON_ARROW_UPWARD, "Upward.";
    ARROW_DOWN = ICON_ARROW_DOWNWARD, "Downward.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_icon_can_be_drawn_in_every_font() {
        let context = egui::Context::default();
        crate::theme::install(&context);
        let _ = context.run_ui(egui::RawInput::default(), |ui| {
            for font in ui.style().text_styles.clone().values() {
                for (name, icon) in ALL {
                    assert!(ui.fonts_mut(|fonts| fonts.has_glyphs(font, icon)), "{name} in {font:?}");
                }
            }
        });
    }
}
