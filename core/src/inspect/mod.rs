//! Looking inside a trained network: what it attends to, what it draws, and pictures of both.

pub mod animation;
pub mod caption;
pub mod colormap;
pub mod encoder;
pub mod look;
pub mod picture;
pub mod preview;
pub mod preview_heads;
pub mod puzzles;
pub mod reconstruct;
pub mod spread;
pub mod strips;
