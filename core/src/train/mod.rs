//! Pre-training: one loop, and what it needs around it.

pub mod baseline;
pub mod bench;
pub mod checkpoint;
pub mod class_probe;
pub mod collapse;
pub mod control;
pub mod data;
pub mod engine;
pub mod launches;
pub mod learner;
pub mod measured;
pub mod pretrain;
pub mod report;
pub mod session;
pub mod throughput;
pub mod trial;
pub mod validate;
pub mod view_check;
pub mod watch;
