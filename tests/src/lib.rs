//! The integration tests live in `tests/all.rs`; this library is empty.
