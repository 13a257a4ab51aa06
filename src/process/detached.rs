//! This program once more, in the background: what was typed goes on after the terminal is gone.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::failure::{Failure, Kind};

/// A run of this program that nobody waits for.
#[derive(Debug)]
pub struct Detached(Child);

impl Detached {
    /// This program with these arguments, its output in that file.
    #[expect(clippy::disallowed_methods, reason = "this is the door to programs")]
    pub fn start(arguments: &[OsString], log: &Path) -> Result<Self, Failure> {
        let failed = |e: std::io::Error| Failure::new(Kind::Io, "cannot start msctl in the background").caused_by(e);
        let program = std::env::current_exe().map_err(failed)?;
        let out = File::create(log).map_err(|e| Failure::io("create", log, e))?;
        let err = out.try_clone().map_err(failed)?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(out).stderr(err);
        // A group of its own: Ctrl-C at the terminal is not for it.
        command.process_group(0).spawn().map(Self).map_err(failed)
    }

    /// Its exit code, if it ended.
    pub fn ended(&mut self) -> Option<u8> {
        let status = self.0.try_wait().ok()??;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        Some(code.unwrap_or(u8::MAX))
    }

    /// Its process.
    pub fn process(&self) -> u32 {
        self.0.id()
    }
}

/// What was typed, with this verb in place of that one.
pub fn typed_again(verb: &str, instead: &str) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let Some(found) = arguments.iter().rposition(|argument| argument == verb) {
        arguments[found] = instead.into();
    }
    arguments
}
