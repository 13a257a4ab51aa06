//! `msctl canary`: release step by step, and go back when the canary is worse.

pub mod abort;
pub mod ask;
pub mod backtest;
mod drive;
pub mod explain;
pub mod export;
mod force;
pub mod guard;
mod herald;
pub mod history;
pub(super) mod job;
mod place;
pub mod rehearse;
pub mod report;
pub mod resume;
pub mod run;
pub(super) mod screen;
pub mod set;
pub(super) mod show;
pub mod start;
pub mod status;
pub mod watch;

use super::Context;
use crate::failure::{Exit, Failure};

/// The verbs of `msctl canary`.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Try a release without a cluster
    Rehearse(rehearse::Args),
    /// Say how the plan would have done over the past that Prometheus has
    Backtest(backtest::Args),
    /// Release the canary in a cluster, step by step
    Run(run::Args),
    /// The same in the background
    Start(start::Args),
    /// Say where traffic is, and what a release is doing
    Status(status::Args),
    /// Watch a release to its end, whoever drives it
    Watch(watch::Args),
    /// Give stable all the traffic, now
    Abort(abort::Args),
    /// Ask a release to take no further step
    Pause(ask::PauseArgs),
    /// Go on after a pause, or in place of a driver that is gone
    Resume(resume::Args),
    /// Take the present step as done
    Promote(ask::PromoteArgs),
    /// Set one weight by hand
    Set(set::Args),
    /// Put traffic back when the driver of a release is gone
    Guard(guard::Args),
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
        Verb::Backtest(args) => backtest::run(args, context),
        Verb::Run(args) => run::run(args, context),
        Verb::Start(args) => start::run(args, context),
        Verb::Status(args) => status::run(args, context),
        Verb::Watch(args) => watch::run(args, context),
        Verb::Abort(args) => abort::run(args, context),
        Verb::Pause(args) => ask::pause(args, context),
        Verb::Resume(args) => resume::run(args, context),
        Verb::Promote(args) => ask::promote(args, context),
        Verb::Set(args) => set::run(args, context),
        Verb::Guard(args) => guard::run(args, context),
        Verb::Explain(args) => explain::run(args, context),
        Verb::History(args) => history::run(args, context),
        Verb::Report(args) => report::run(args, context),
        Verb::Export(args) => export::run(args, context),
    }
}
