//! msctl: takes a microservice from nothing to a safe release, and keeps watching it.
//!
//! The rooms, in the order in which they may use one another; `docs/architecture.md` draws the arrows.

pub mod cli;
pub mod commands;

pub mod canary;
pub mod gate;
pub mod manifest;
pub mod observe;
pub mod scaffold;

pub mod config;
pub mod process;
pub mod remote;

pub mod failure;
pub mod ui;

use std::ffi::OsString;

use config::environment::Environment;
use failure::Exit;

/// One run: parse what was typed, make the context, run the command, report, and give the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let environment = Environment::read();
    let typed = match cli::parse(arguments) {
        Ok(typed) => typed,
        Err(early) => return early.show(&environment),
    };
    let ui = ui::Ui::new(typed.output, &environment);
    let context = commands::Context::new(ui, environment, typed.directory, cli::command);
    let exit = commands::run(&typed.verb, &context).unwrap_or_else(|failure| context.ui.failure(&failure));
    // A report that could not be written is no answer: a pass must not be read from a full disk.
    match context.ui.finish() {
        Err(failure) if exit == Exit::Done => context.ui.failure(&failure).code(),
        _ => exit.code(),
    }
}
