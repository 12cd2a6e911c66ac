//! The window, driven over AccessKit and by random input, drawn by the software driver, and started for real under Xvfb.

/// Closing, killing and attaching: windows and engines that outlive each other.
mod engine;
/// Pictures that the window writes.
mod exports;
/// From an empty window to exported masks, with a real engine.
mod journey;
/// Ten thousand random events.
mod random_input;
/// The desk of a picture.
mod scene;
/// Runs of a picture.
mod sketch;
/// Pictures of every panel in every state.
mod snapshots;
/// Work per frame with 100,000 images and 20 runs.
mod speed;
/// A window over a folder, and waiting for what it shows.
mod stage;
/// Weights from elsewhere: dropped, recognized, looked through, exported.
mod weights;
/// Pictures of the whole window.
mod windows;
/// The real program under Xvfb.
mod xvfb;
