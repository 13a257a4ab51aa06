//! A test per command: it reads like a transcript.

mod generate;
mod house;
mod logs;
mod man;
mod schema;
