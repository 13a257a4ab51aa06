//! `msctl generate`.

use super::Context;
use crate::failure::{Exit, Failure, Kind};

/// The arguments of `msctl generate`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs it.
pub fn run(_args: &Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::new(Kind::Usage, "`msctl generate` does not work yet"))
}
