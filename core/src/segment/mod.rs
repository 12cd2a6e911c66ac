//! From attention to masks: a map over the patch grid is cut at a share of its mass, cleaned up by connected components, and brought
//! back to source pixels. Plain arrays, row by row; `true` means kept, part of the object.

pub mod attention;
pub mod components;
pub mod folder;
pub mod mass;
pub mod objects;
pub mod upsample;

pub use components::{Components, Connectivity, connected_components, largest_component, remove_small};
pub use mass::{DEFAULT_MASS, MassChoice, mass_mask, random_mask_iou};
pub use upsample::{upsample_map, upsample_mask};
