//! A test per command: it reads like a transcript.

mod completions;
mod house;
