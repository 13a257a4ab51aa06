//! `msctl canary`: release step by step, and go back when the canary is worse.

pub mod explain;
pub mod rehearse;
pub(super) mod show;

use super::Context;
use crate::failure::{Exit, Failure};

/// The verbs of `msctl canary`.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Try a release without a cluster
    Rehearse(rehearse::Args),
    /// Recompute every decision of a release from its journal
    Explain(explain::Args),
}

/// Runs it.
pub fn run(verb: &Verb, context: &Context) -> Result<Exit, Failure> {
    match verb {
        Verb::Rehearse(args) => rehearse::run(args, context),
        Verb::Explain(args) => explain::run(args, context),
    }
}
