//! Every command of the studio, once: its words, its key, its place in the menu. Menu, palette, cheat sheet and keyboard are made from this list.

use egui::{Key, KeyboardShortcut, Modifiers};

use super::panels::{PANELS, PanelEntry};

/// Something a person can ask for by menu, palette or key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// Ask for a folder of images and open it.
    OpenFolder,
    /// Open a path that is typed or pasted.
    OpenPath,
    /// Ask for a file of weights and tell what it is.
    OpenWeights,
    /// Ask how the weights that are looked through are to be exported.
    ExportWeights,
    /// Make toy scenes and open them.
    TryToyScenes,
    /// Back to the welcome screen.
    CloseProject,
    /// Leave.
    Quit,
    /// Take back the last change of the recipe.
    Undo,
    /// Do it again.
    Redo,
    /// Read the recipe from a file.
    OpenRecipe,
    /// Write the recipe to a file.
    SaveRecipe,
    /// Ask for a file of weights that the next run starts from.
    ChooseWeights,
    /// Start a run of the recipe.
    StartRun,
    /// Pause the selected run.
    PauseRun,
    /// Let it go on.
    ResumeRun,
    /// Write a checkpoint now.
    CheckpointRun,
    /// Write a checkpoint and stop.
    StopRun,
    /// Go on with the selected run from its last checkpoint.
    ContinueRun,
    /// The image before this one.
    PreviousImage,
    /// The image after this one.
    NextImage,
    /// Bring a panel to the front: its place in [`PANELS`].
    ShowPanel(usize),
    /// Panels as they were at first.
    ResetLayout,
    /// Everything a bit larger.
    ZoomIn,
    /// Everything a bit smaller.
    ZoomOut,
    /// The usual size.
    ZoomReset,
    /// Dark, light, as the system.
    NextTheme,
    /// Find a command.
    Palette,
    /// What was told so far.
    Notifications,
    /// Device, threads, cache, zoom, theme.
    Preferences,
    /// All keys.
    CheatSheet,
    /// What this is.
    About,
}

/// The menus, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the menu of that title")]
pub enum Menu {
    File,
    Edit,
    Run,
    View,
    Help,
}

impl Menu {
    /// All menus, from left to right.
    pub const ALL: [Self; 5] = [Self::File, Self::Edit, Self::Run, Self::View, Self::Help];

    /// Its title.
    pub fn title(self) -> &'static str {
        match self {
            Self::File => "File",
            Self::Edit => "Edit",
            Self::Run => "Run",
            Self::View => "View",
            Self::Help => "Help",
        }
    }
}

/// What the list says of a command.
pub struct About {
    /// The command.
    pub command: Command,
    /// Where it stands.
    pub menu: Menu,
    /// Its name; `…` at the end when a dialog follows.
    pub title: &'static str,
    /// One line more.
    pub hint: &'static str,
    /// Its key.
    pub key: Option<KeyboardShortcut>,
}

const CTRL: Modifiers = Modifiers::COMMAND;
const CTRL_SHIFT: Modifiers = Modifiers::COMMAND.plus(Modifiers::SHIFT);
const NONE: Modifiers = Modifiers::NONE;

const fn about(command: Command, menu: Menu, title: &'static str, hint: &'static str, key: Option<(Modifiers, Key)>) -> About {
    let key = match key {
        Some((modifiers, key)) => Some(KeyboardShortcut::new(modifiers, key)),
        None => None,
    };
    About { command, menu, title, hint, key }
}

use Command as C;
use Menu as M;

static PLAIN: &[About] = &[
    about(C::OpenFolder, M::File, "Open folder…", "a folder of images becomes the project", Some((CTRL, Key::O))),
    about(C::OpenPath, M::File, "Open path…", "type or paste where the images are", Some((CTRL_SHIFT, Key::O))),
    about(C::TryToyScenes, M::File, "Try the toy scenes", "makes small scenes with known masks, and opens them", None),
    about(C::OpenWeights, M::File, "Open weights…", "says what a checkpoint is, and looks through it", Some((CTRL, Key::I))),
    about(C::ExportWeights, M::File, "Export weights…", "for timm, Hugging Face, ONNX or Maskroom", Some((CTRL, Key::E))),
    about(C::OpenRecipe, M::File, "Open recipe…", "reads a recipe from a TOML file", None),
    about(C::SaveRecipe, M::File, "Save recipe…", "writes the recipe to a TOML file", Some((CTRL, Key::S))),
    about(C::CloseProject, M::File, "Close project", "back to the welcome screen; runs go on", Some((CTRL, Key::W))),
    about(C::Quit, M::File, "Quit", "asks first if a run is training", Some((CTRL, Key::Q))),
    about(C::Undo, M::Edit, "Undo", "takes back the last change of the recipe", Some((CTRL, Key::Z))),
    about(C::Redo, M::Edit, "Redo", "makes it again", Some((CTRL_SHIFT, Key::Z))),
    about(C::PreviousImage, M::Edit, "Previous image", "in every panel that shows one", Some((CTRL, Key::ArrowLeft))),
    about(C::NextImage, M::Edit, "Next image", "in every panel that shows one", Some((CTRL, Key::ArrowRight))),
    about(C::Preferences, M::Edit, "Preferences…", "device, threads, cache, zoom and theme", Some((CTRL, Key::Comma))),
    about(C::StartRun, M::Run, "Start training", "makes a run of the recipe; a busy device lets it wait", Some((CTRL, Key::Enter))),
    about(C::ChooseWeights, M::Run, "Start from weights…", "the next run begins with the weights of a file", None),
    about(C::PauseRun, M::Run, "Pause", "keeps the engine, stops computing", Some((CTRL, Key::P))),
    about(C::ResumeRun, M::Run, "Resume", "goes on where it was paused", Some((CTRL_SHIFT, Key::P))),
    about(C::CheckpointRun, M::Run, "Checkpoint now", "writes weights and optimizer", Some((CTRL_SHIFT, Key::S))),
    about(C::StopRun, M::Run, "Stop", "writes a checkpoint and ends the engine", Some((CTRL, Key::Period))),
    about(C::ContinueRun, M::Run, "Continue from checkpoint", "for a run that was stopped or interrupted", None),
    about(C::Palette, M::View, "Command palette", "finds a command by its name", Some((CTRL, Key::K))),
    about(C::Notifications, M::View, "Notifications", "everything that was told so far", Some((CTRL_SHIFT, Key::N))),
    about(C::ZoomIn, M::View, "Zoom in", "everything a bit larger", Some((CTRL, Key::Plus))),
    about(C::ZoomOut, M::View, "Zoom out", "everything a bit smaller", Some((CTRL, Key::Minus))),
    about(C::ZoomReset, M::View, "Reset zoom", "the usual size", Some((CTRL, Key::Num0))),
    about(C::NextTheme, M::View, "Next theme", "dark, light, as the system", Some((CTRL_SHIFT, Key::T))),
    about(C::ResetLayout, M::View, "Reset layout", "panels as they were at first", None),
    about(C::CheatSheet, M::Help, "Keyboard shortcuts", "all of them", Some((NONE, Key::F1))),
    about(C::About, M::Help, "About Maskroom", "version, licences, privacy", None),
];

/// All commands in the order of the menus, panels included.
pub fn all() -> impl Iterator<Item = About> {
    let panels = PANELS.iter().enumerate().map(|(index, entry)| panel(index, entry));
    PLAIN.iter().map(|known| About { ..*known }).chain(panels)
}

fn panel(index: usize, entry: &PanelEntry) -> About {
    const DIGITS: [Key; 9] = [Key::Num1, Key::Num2, Key::Num3, Key::Num4, Key::Num5, Key::Num6, Key::Num7, Key::Num8, Key::Num9];
    about(C::ShowPanel(index), M::View, entry.title, entry.hint, DIGITS.get(index).map(|&key| (CTRL, key)))
}

/// What the list says of one command.
pub fn of(command: Command) -> Option<About> {
    all().find(|about| about.command == command)
}

/// Commands whose keys were pressed in this frame; the keys are used up. `?` opens the cheat sheet too, unless a text is being edited.
pub fn pressed(context: &egui::Context) -> Vec<Command> {
    let typing = context.egui_wants_keyboard_input();
    // The longest combinations first, so that Ctrl+Shift+P is not taken for Ctrl+P.
    let mut keys: Vec<_> = all().filter_map(|about| Some((about.key?, about.command))).collect();
    keys.sort_by_key(|(key, _)| std::cmp::Reverse(usize::from(key.modifiers.shift)));
    let mut commands: Vec<_> = keys
        .into_iter()
        // A field that is being edited has its own undo.
        .filter(|&(_, command)| !(typing && matches!(command, C::Undo | C::Redo | C::PreviousImage | C::NextImage)))
        .filter(|(key, _)| context.input_mut(|input| input.consume_shortcut(key)))
        .map(|(_, command)| command)
        .collect();
    let question_mark = || context.input(|input| input.events.iter().any(|event| matches!(event, egui::Event::Text(text) if text == "?")));
    if !typing && question_mark() {
        commands.push(C::CheatSheet);
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_commands_share_a_key_or_a_title() {
        let commands: Vec<_> = all().collect();
        for (index, one) in commands.iter().enumerate() {
            for other in &commands[..index] {
                assert_ne!(one.title, other.title);
                assert!(one.key.is_none() || one.key != other.key, "{} and {}", one.title, other.title);
                assert_ne!(one.command, other.command);
            }
        }
    }

    #[test]
    fn words_keep_the_house_rules() {
        for about in all() {
            let first = about.title.chars().next().unwrap();
            assert!(first.is_uppercase() && !about.title.ends_with(['.', ':']), "{}", about.title);
            assert!(!about.hint.is_empty() && !about.hint.ends_with('.'), "{}", about.hint);
        }
    }
}
