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
//! The smallest program that trains:
//!
//! ```
//! use burn::tensor::Device;
//! use maskroom_core::method::{Lesson, Network, Place};
//! use maskroom_core::optim::adamw::AdamW;
//! use maskroom_core::recipe::{Base, Recipe};
//! use maskroom_core::train::trial::noise_images;
//!
//! # fn main() -> maskroom_core::error::Result<()> {
//! let recipe = Recipe::resolve(Base::Preset("mae"), &[("backbone.preset".into(), "vit-nano".into())])?;
//! let (lesson, mut network) = (Lesson::new(&recipe)?, Network::new(&recipe, &Device::flex().autodiff())?);
//! let mut optimizer = AdamW::new(&recipe.optim);
//! for epoch in 0..2 {
//!     let prepared = lesson.prepare(&noise_images(&recipe, 2), epoch, &[0, 1])?;
//!     let loss = lesson.outcome(&network, &prepared, Place::default(), false)?.loss;
//!     let gradients = network.parameters().take_gradients(&mut loss.backward());
//!     optimizer.step(network.parameters_mut(), gradients, 1e-3);
//! }
//! # Ok(())
//! # }
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
pub mod sweep;
pub mod target;
pub mod tokenizer;
pub mod train;
pub mod weights;
