//! One file per verb, one folder per noun: `Args` beside `run()`, and how its report is shown.

mod context;
mod file;

pub mod canary;
pub mod completions;
pub mod gate;
pub mod generate;
pub mod health;
pub mod logs;
pub mod man;
pub mod new;
pub mod schema;
pub mod tour;

use clap::Subcommand;

pub use context::Context;

use crate::failure::{Exit, Failure};

/// Every verb.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Scaffold a service
    New(new::Args),
    /// Write Dockerfile, Kubernetes and Istio manifests from msctl.yaml
    Generate(generate::Args),
    /// Judge a service before it ships: lint, dependencies, secrets, Dockerfile, manifests, image
    Gate(gate::Args),
    /// Release step by step, and go back when the canary is worse
    #[command(subcommand)]
    Canary(canary::Verb),
    /// Say whether a service is healthy, and why not
    Health(health::Args),
    /// Read a service's logs
    Logs(logs::Args),
    /// See the whole way once, in a temporary directory
    Tour(tour::Args),
    /// Print the JSON Schema of a document
    Schema(schema::Args),
    /// Print a shell's completion script
    Completions(completions::Args),
    /// Write the man pages
    Man(man::Args),
}

/// Runs what was typed.
pub fn run(verb: &Verb, context: &Context) -> Result<Exit, Failure> {
    match verb {
        Verb::New(args) => new::run(args, context),
        Verb::Generate(args) => generate::run(args, context),
        Verb::Gate(args) => gate::run(args, context),
        Verb::Canary(verb) => canary::run(verb, context),
        Verb::Health(args) => health::run(args, context),
        Verb::Logs(args) => logs::run(args, context),
        Verb::Tour(args) => tour::run(args, context),
        Verb::Schema(args) => schema::run(args, context),
        Verb::Completions(args) => completions::run(args, context),
        Verb::Man(args) => man::run(args, context),
    }
}
