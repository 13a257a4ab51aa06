//! `msctl canary start`: `run` in the background.

use std::time::Duration;

use super::run::Args as RunArgs;
use super::show::exit_of_code;
use crate::canary::journal::DIRECTORY;
use crate::commands::Context;
use crate::failure::{Exit, Failure, Kind};
use crate::process::{Clock, Detached, typed_again};
use crate::ui::{Page, Report, clean};

/// So long until it is under way, or has said why it is not.
const LIMIT: Duration = Duration::from_mins(1);

/// The arguments of `msctl canary start`.
#[derive(Debug, clap::Args)]
#[group(id = "start")]
#[command(after_help = "Examples:
  msctl canary start --prometheus http://127.0.0.1:9090    returns when the release is under way
  msctl canary watch                                       shows how it goes

Exit codes: 0 it is under way, otherwise those of `run`")]
pub struct Args {
    #[command(flatten)]
    run: RunArgs,
}

/// Begins it, and returns.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    if !args.run.begins_here() {
        let message = "`start` begins a release in the background of this machine";
        return Err(Failure::new(Kind::Usage, message)
            .hint("msctl canary run --in-cluster …    begins one in the cluster, and returns too")
            .hint("msctl canary resume …              goes on with one that was left"));
    }
    let placed = args.run.place(context)?;
    let directory = context.directory().join(DIRECTORY);
    std::fs::create_dir_all(&directory).map_err(|e| Failure::io("create", &directory, e))?;
    let log = directory.join("driver.log");
    let before = release(&placed);
    let mut driver = Detached::start(&typed_again("start", "run"), &log)?;
    let clock = Clock::start();
    loop {
        if let Some(code) = driver.ended() {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            context.ui.note(said.trim_end());
            return Ok(exit_of_code(code));
        }
        if let Some(release) = release(&placed).filter(|now| before.as_ref() != Some(now)) {
            context.ui.report(&Started {
                release,
                process: driver.process(),
                log: log.display().to_string(),
            });
            return Ok(Exit::Done);
        }
        if clock.elapsed() > LIMIT {
            let message = format!("process {} has not begun a release yet", driver.process());
            return Err(
                Failure::new(Kind::NoEvidence, message).hint(format!("less {}    is what it says", log.display()))
            );
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The release that is under way.
fn release(placed: &super::place::Placed) -> Option<String> {
    let mark = placed.target.under_way(&placed.cluster).ok()?;
    mark.map(|mark| mark.id)
}

/// `msctl.canary.started/v1`: a release that goes on in the background.
#[derive(serde::Serialize, schemars::JsonSchema)]
pub(in crate::commands) struct Started {
    /// What it is called by.
    release: String,
    /// The process that drives it.
    process: u32,
    /// What that process says.
    log: String,
}

impl Report for Started {
    const SCHEMA: &'static str = "msctl.canary.started/v1";

    fn human(&self, page: &mut Page) {
        page.line(format!(
            "Release {} is under way, driven by process {} of this machine.",
            clean(&self.release),
            self.process
        ));
        page.line(format!("  log: {}", clean(&self.log)));
        page.line("next:  msctl canary watch");
    }
}
