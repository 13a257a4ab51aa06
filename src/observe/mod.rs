//! Health rules over what was answered; the way of a log line.
//!
//! The rules, the parsers and the merge are pure; only `log/source.rs` reads. It must not know a command line or a terminal.

pub mod health;
pub mod log;
