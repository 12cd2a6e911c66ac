//! The state of a run in a word and a color, the same wherever it is shown.

use maskroom_widgets::Role;

use crate::studio::runs::RunState;

/// Words and role of a badge.
pub fn of(state: RunState) -> (&'static str, Role) {
    let role = match state {
        RunState::Training | RunState::Starting => Role::Accent,
        RunState::Finished => Role::Good,
        RunState::Paused | RunState::EndedUnexpectedly => Role::Warning,
        RunState::Failed | RunState::Damaged => Role::Bad,
        RunState::Queued | RunState::Prepared | RunState::Stopped => Role::TextMuted,
    };
    (state.words(), role)
}
