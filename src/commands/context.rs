//! What one run has at hand: its terminal, its environment, the directory it works on.

use std::path::{Path, PathBuf};

use crate::config::environment::Environment;
use crate::ui::Ui;

/// The services of one run, handed to every command.
#[derive(Debug)]
pub struct Context {
    /// The terminal.
    pub ui: Ui,
    /// The environment as it stood at the start.
    pub environment: Environment,
    directory: Option<PathBuf>,
    command: fn() -> clap::Command,
}

impl Context {
    /// `directory` is `--directory`, if it was given; `command` gives the whole command line.
    pub fn new(ui: Ui, environment: Environment, directory: Option<PathBuf>, command: fn() -> clap::Command) -> Self {
        Self {
            ui,
            environment,
            directory,
            command,
        }
    }

    /// The whole command line, for what is made from it: completions, man pages.
    pub fn command(&self) -> clap::Command {
        (self.command)()
    }

    /// The directory the run works on, as the user would name it: `.` unless `--directory` says otherwise.
    pub fn directory(&self) -> &Path {
        self.directory.as_deref().unwrap_or(Path::new("."))
    }

    /// `verb` as this user types it, standing where they stand.
    pub fn typed(&self, verb: &str) -> String {
        match &self.directory {
            Some(directory) => format!("msctl -C {} {verb}", shell_words::quote(&directory.to_string_lossy())),
            None => format!("msctl {verb}"),
        }
    }

    /// `path` as typed, taken from that directory.
    pub fn path(&self, path: &Path) -> PathBuf {
        match &self.directory {
            Some(directory) => directory.join(path),
            None => path.to_owned(),
        }
    }
}
