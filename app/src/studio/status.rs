//! The bar at the bottom: what is open and what is going on at the left, the device and its memory at the right, the last message between.

use maskroom_widgets::{Segment, StatusLine, Tone, format, icon};

use super::command::Command;
use super::desk::Desk;
use super::notices::Notices;
use super::panels::index_of;
use super::project::Listing;
use super::runs::{Run, RunState};

/// What segments that can be clicked are called.
const BELL: usize = 0;
const IMAGES: usize = 1;
const RUN: usize = 2;
/// Letters of a run's name: how far it is must be seen too.
const MAX_NAME: usize = 20;

/// Draws the bar.
pub fn bar(ui: &mut egui::Ui, desk: Desk<'_>, notices: &Notices, memory_mib: Option<u64>) {
    let last = notices.history().last();
    let active = desk.runs.active();
    let device = active.map(|run| run.view.device.clone()).filter(|name| !name.is_empty());
    let device = device.unwrap_or_else(|| desk.preferences.device.clone());
    let memory = memory_mib.map(|mib| format::bytes(mib << 20));
    let images = images(desk);
    let run = active.map(course);
    let bell = Segment::new(icon::NOTIFICATIONS, "").tooltip("Everything that was told so far").clickable(BELL);
    let bell = bell.tone(last.map_or(Tone::Info, |notice| if notice.tone == Tone::Good { Tone::Info } else { notice.tone }));

    let mut line = StatusLine::new().right(bell).right(Segment::new(icon::SPEED, &device).tooltip("The device that runs compute on"));
    if let Some(memory) = &memory {
        line = line.right(Segment::new(icon::MEMORY, memory).tooltip("Memory of the engine"));
    }
    if let Some(images) = &images {
        line = line.left(Segment::new(icon::FOLDER, images).tooltip("Shows the images").clickable(IMAGES));
    }
    if let Some((run, words)) = active.zip(run.as_ref()) {
        let (icon, tone) = if run.state() == RunState::Paused { (icon::PAUSE, Tone::Warning) } else { (icon::PLAY, Tone::Good) };
        line = line.left(Segment::new(icon, words).tone(tone).tooltip("Shows its curves").clickable(RUN));
    }
    let show = |panel: &str| index_of(panel).into_iter().for_each(|index| desk.ask(Command::ShowPanel(index)));
    // How many images there are is told once when they are listed, and stands at the left ever after.
    let message = last.map_or("", |notice| &notice.text);
    let message = if images.as_deref() == Some(message) { "" } else { message };
    match line.message(message).show(ui) {
        Some(BELL) => desk.ask(Command::Notifications),
        Some(IMAGES) => show("data"),
        Some(RUN) => show("train"),
        _ => {}
    }
}

fn images(desk: Desk<'_>) -> Option<String> {
    match desk.project.listing() {
        Listing::Closed | Listing::Failed(_) => None,
        Listing::Reading(_) => Some("Reading the folder".to_owned()),
        Listing::Ready(dataset) => Some(format!("{} images", format::count(dataset.items.len() as u64))),
    }
}

fn course(run: &Run) -> String {
    let name = run.name();
    let short = if name.chars().count() > MAX_NAME { name.chars().take(MAX_NAME - 1).chain(['…']).collect() } else { name };
    format!("{short} {} {} / {}", run.state().words(), format::count(run.view.step()), format::count(run.steps()))
}
