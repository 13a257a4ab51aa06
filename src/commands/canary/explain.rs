//! `msctl canary explain`.

use crate::commands::Context;
use crate::failure::{Exit, Failure, Kind};

/// The arguments of `msctl canary explain`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs it.
pub fn run(_args: &Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::new(Kind::Usage, "`msctl canary explain` does not work yet"))
}
