//! How weights change: the optimizer, its schedules and the running average.

pub mod adamw;
pub mod ema;
pub mod momentum;
pub mod optimizer;
pub mod schedule;
