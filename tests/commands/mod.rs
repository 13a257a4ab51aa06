//! A test per command: it reads like a transcript.

mod house;
mod logs;
mod man;
