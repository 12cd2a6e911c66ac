//! The previews of a run in the order of time: which one is shown, following the latest, and playing through them.

use std::time::{Duration, Instant};

use egui::Ui;
use maskroom_widgets::format::count;
use maskroom_widgets::{Button, Filmstrip, icon};

/// How long each preview stays while they are played.
const PLAY_EVERY: Duration = Duration::from_millis(300);

/// Which preview is shown.
#[derive(Default)]
pub struct Timeline {
    /// The step that the person moved to; the latest one if there is none.
    step: Option<u64>,
    /// Since when the preview is shown that is being played.
    playing: Option<Instant>,
}

/// A preview that the run has told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The step.
    pub step: u64,
    /// How often it was written.
    pub times: usize,
}

/// Each step once, in order.
pub fn moments(previews: &[u64]) -> Vec<Moment> {
    let mut sorted = previews.to_vec();
    sorted.sort_unstable();
    sorted.chunk_by(|a, b| a == b).map(|same| Moment { step: same[0], times: same.len() }).collect()
}

impl Timeline {
    /// The place of the preview that is shown.
    pub fn place(&self, moments: &[Moment]) -> usize {
        let last = moments.len().saturating_sub(1);
        self.step.map_or(last, |step| moments.partition_point(|moment| moment.step < step).min(last))
    }

    /// Places worth having read: this one, those around it, and the one after while playing.
    pub fn wanted(&self, moments: &[Moment]) -> Vec<usize> {
        let place = self.place(moments);
        let around = [Some(place), place.checked_add(1), place.checked_sub(1), place.checked_add(2)];
        around.into_iter().flatten().filter(|&place| place < moments.len()).collect()
    }

    /// Draws the slider and its buttons. `is_there` tells whether the shown preview has come; `marks` are places to mark.
    pub fn show(&mut self, ui: &mut Ui, moments: &[Moment], marks: &[usize], is_there: bool) {
        let last = moments.len().saturating_sub(1);
        self.play_on(ui, moments, is_there);
        let mut place = self.place(moments);
        let labels: Vec<String> = moments.iter().map(|moment| format!("step {}", count(moment.step))).collect();
        if Filmstrip::new("Previews", &labels).marks(marks).show(ui, &mut place).response.changed() {
            self.go(moments, place);
            self.playing = None;
        }
        ui.horizontal(|ui| {
            let (symbol, name) = if self.playing.is_some() { (icon::PAUSE, "Pause") } else { (icon::PLAY, "Play through time") };
            if Button::icon_only(symbol, name).enabled(last > 0).show(ui).clicked() {
                self.toggle(moments);
            }
            if Button::icon_only(icon::PREVIOUS, "Previous preview").enabled(place > 0).show(ui).clicked() {
                self.go(moments, place - 1);
                self.playing = None;
            }
            if Button::icon_only(icon::NEXT, "Next preview").enabled(place < last).show(ui).clicked() {
                self.go(moments, place + 1);
                self.playing = None;
            }
            let follows = self.step.is_none();
            let tip = if follows { "new previews are shown as they come" } else { "go to the latest, and stay with it" };
            if Button::new("Latest").selected(follows).tooltip(tip).show(ui).clicked() {
                (self.step, self.playing) = (None, None);
            }
        });
    }

    /// The last one is followed: what comes after it is shown.
    fn go(&mut self, moments: &[Moment], place: usize) {
        self.step = moments.get(place).filter(|_| place + 1 < moments.len()).map(|moment| moment.step);
    }

    fn toggle(&mut self, moments: &[Moment]) {
        if self.playing.take().is_none() {
            if self.place(moments) + 1 >= moments.len() {
                self.go(moments, 0);
            }
            self.playing = Some(Instant::now());
        }
    }

    /// One preview further when its time has come, and the one before has been seen.
    fn play_on(&mut self, ui: &Ui, moments: &[Moment], is_there: bool) {
        let Some(since) = self.playing else { return };
        let place = self.place(moments);
        if place + 1 >= moments.len() {
            self.playing = None;
        } else if since.elapsed() < PLAY_EVERY {
            ui.ctx().request_repaint_after(PLAY_EVERY.saturating_sub(since.elapsed()));
        } else if is_there {
            self.go(moments, place + 1);
            self.playing = Some(Instant::now());
            ui.ctx().request_repaint_after(PLAY_EVERY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_is_followed_until_the_person_moves() {
        let before = moments(&[0, 100, 200, 200]);
        assert_eq!((before.len(), before[2].times), (3, 2));
        let mut timeline = Timeline::default();
        assert_eq!(timeline.place(&before), 2);
        let after = moments(&[0, 100, 200, 200, 300]);
        assert_eq!(timeline.place(&after), 3);
        timeline.go(&after, 1);
        assert_eq!((timeline.place(&after), timeline.place(&before)), (1, 1));
        assert_eq!(timeline.wanted(&before), [1, 2, 0]);
        timeline.go(&after, 3);
        assert_eq!(timeline.place(&moments(&[0, 100, 200, 300, 400])), 4);
        assert_eq!((timeline.place(&[]), timeline.wanted(&[])), (0, vec![]));
    }

    #[test]
    fn a_step_that_a_resumed_run_has_not_reached_again_gives_way() {
        let mut timeline = Timeline::default();
        timeline.go(&moments(&[0, 100, 200, 300]), 2);
        assert_eq!(timeline.place(&moments(&[0, 100])), 1);
    }

    #[test]
    fn playing_begins_anew_at_the_end() {
        let all = moments(&[0, 100, 200]);
        let mut timeline = Timeline::default();
        timeline.toggle(&all);
        assert!(timeline.place(&all) == 0 && timeline.playing.is_some());
        timeline.toggle(&all);
        assert!(timeline.playing.is_none());
    }
}
