//! The parts that colors play.

use serde::Deserialize;

use super::NUM_SERIES;

/// A part that a color plays: the fields of [`Tokens`](super::Tokens), for code that must name a role without having a theme yet, such as a drawing that
/// a browser will color.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[expect(missing_docs, reason = "each is the field of `Tokens` with the same name")]
pub enum Role {
    Canvas,
    Surface,
    SurfaceRaised,
    SurfaceField,
    Line,
    LineStrong,
    Text,
    TextMuted,
    Accent,
    OnAccent,
    Good,
    Warning,
    Bad,
    HoverFill,
    SelectionFill,
    FocusRing,
    Shadow,
    Scrim,
    OnScrim,
    CheckerLight,
    CheckerDark,
    Series(usize),
}

impl Role {
    /// Every role but the curves.
    pub const PLAIN: [Self; 21] = [
        Self::Canvas,
        Self::Surface,
        Self::SurfaceRaised,
        Self::SurfaceField,
        Self::Line,
        Self::LineStrong,
        Self::Text,
        Self::TextMuted,
        Self::Accent,
        Self::OnAccent,
        Self::Good,
        Self::Warning,
        Self::Bad,
        Self::HoverFill,
        Self::SelectionFill,
        Self::FocusRing,
        Self::Shadow,
        Self::Scrim,
        Self::OnScrim,
        Self::CheckerLight,
        Self::CheckerDark,
    ];

    /// The custom property of [`Tokens::css`](super::Tokens::css) without its dashes, such as `text-muted` or `series-0`.
    pub fn css_name(self) -> String {
        let name = match self {
            Self::Canvas => "canvas",
            Self::Surface => "surface",
            Self::SurfaceRaised => "surface-raised",
            Self::SurfaceField => "surface-field",
            Self::Line => "line",
            Self::LineStrong => "line-strong",
            Self::Text => "text",
            Self::TextMuted => "text-muted",
            Self::Accent => "accent",
            Self::OnAccent => "on-accent",
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Bad => "bad",
            Self::HoverFill => "hover-fill",
            Self::SelectionFill => "selection-fill",
            Self::FocusRing => "focus-ring",
            Self::Shadow => "shadow",
            Self::Scrim => "scrim",
            Self::OnScrim => "on-scrim",
            Self::CheckerLight => "checker-light",
            Self::CheckerDark => "checker-dark",
            Self::Series(index) => return format!("series-{}", index % NUM_SERIES),
        };
        name.to_owned()
    }
}
