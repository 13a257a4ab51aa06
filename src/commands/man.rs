//! `msctl man DIR`: one man page a command.

use std::path::PathBuf;

use super::Context;
use crate::failure::{Exit, Failure};

/// The arguments of `msctl man`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The directory to write them to; made if it is not there
    #[arg(value_name = "DIR")]
    to: PathBuf,
}

/// Writes `msctl.1`, `msctl-new.1`, `msctl-canary-rehearse.1`, …
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let to = context.path(&args.to);
    std::fs::create_dir_all(&to).map_err(|e| Failure::io("create", &to, e))?;
    clap_mangen::generate_to(context.command(), &to).map_err(|e| Failure::io("write the man pages to", &to, e))?;
    context.ui.note(&format!(
        "Wrote the man pages to `{}`; read one: man -l {}/msctl.1",
        to.display(),
        to.display()
    ));
    Ok(Exit::Done)
}
