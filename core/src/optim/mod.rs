//! How weights change: the optimizer, its schedules and the running average.

pub mod adamw;
pub mod ema;
pub mod schedule;
