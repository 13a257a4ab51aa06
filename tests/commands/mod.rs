//! A test per command: it reads like a transcript.

mod gate;
mod house;
mod logs;
mod man;
