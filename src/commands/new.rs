//! `msctl new`.

use super::Context;
use crate::failure::{Exit, Failure, Kind};

/// The arguments of `msctl new`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs it.
pub fn run(_args: &Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::new(Kind::Usage, "`msctl new` does not work yet"))
}
