//! `msctl completions SHELL`: the script a shell sources; the checked-in ones are made by it.

use super::Context;
use crate::failure::{Exit, Failure};

/// The arguments of `msctl completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Prints the script.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut context.command(), "msctl", &mut script);
    context.ui.data(&String::from_utf8_lossy(&script));
    Ok(Exit::Done)
}
