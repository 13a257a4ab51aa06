//! `msctl canary`: release step by step, and go back when the canary is worse.

pub mod explain;
pub mod export;
pub mod history;
mod place;
pub mod rehearse;
pub mod report;
pub mod run;
pub(super) mod screen;
pub(super) mod show;

use super::Context;
use crate::failure::{Exit, Failure};

/// The verbs of `msctl canary`.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Try a release without a cluster
    Rehearse(rehearse::Args),
    /// Release the canary in a cluster, step by step
    Run(run::Args),
    /// Recompute every decision of a release from its journal
    Explain(explain::Args),
    /// List the releases of this service, newest first
    History(history::Args),
    /// Write a release as one HTML page: plots, steps, decisions
    Report(report::Args),
    /// Print the plan for Flagger or Argo Rollouts
    Export(export::Args),
}

/// Runs it.
pub fn run(verb: &Verb, context: &Context) -> Result<Exit, Failure> {
    match verb {
        Verb::Rehearse(args) => rehearse::run(args, context),
        Verb::Run(args) => run::run(args, context),
        Verb::Explain(args) => explain::run(args, context),
        Verb::History(args) => history::run(args, context),
        Verb::Report(args) => report::run(args, context),
        Verb::Export(args) => export::run(args, context),
    }
}
