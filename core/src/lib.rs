//! Maskroom's library: everything the studio does, without a window.
//!
//! ```text
//! dataset ─► augment ─► mask ─► backbone ─► (decoder) ─► prediction ┐
//!    │                     └────────────► target ◄──────────────────┤
//!    └─ u8 pixels                                              objective ─► loss, per-patch error
//!                                                                   │
//!                              optim ◄── backward ◄─────────────────┘          train::pretrain (one thread owns every tensor)
//!                                │
//!    run folder:  events.jsonl · previews/ · checkpoints/   ──►  anyone who watches ──► commands.jsonl ──► engine
//! ```
//!
//! Letters in shapes: **B** batch, **C** channels, **H W** image size in pixels, **P** patch size, **N** patches = (H/P)(W/P),
//! **V** visible patches, **D** width, **K** views, **T** frames. Mask polarity everywhere: `true` = masked, to be predicted.

pub mod augment;
pub mod backbone;
pub mod dataset;
pub mod device;
pub mod error;
pub mod evaluate;
pub mod export;
pub mod files;
pub mod inspect;
pub mod kernel;
pub mod knob;
pub mod mask;
pub mod method;
pub mod npy;
pub mod objective;
pub mod optim;
pub mod random;
pub mod recipe;
pub mod registry;
pub mod run;
pub mod segment;
pub mod target;
pub mod train;
pub mod weights;
