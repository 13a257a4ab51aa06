//! `msctl canary pause` and `promote`: what a person asks of the driver of a release, wherever that driver runs.

use super::drive::person;
use super::herald::asks;
use super::place::{Place, Placed};
use crate::canary::machine::Ask;
use crate::canary::mesh::{Asked, Holder, Mark, Target};
use crate::commands::Context;
use crate::config::freeze::Freeze;
use crate::failure::{Exit, Failure, Kind};
use crate::process::Clock;
use crate::ui::{Page, Report, clean};

/// The arguments of `msctl canary pause`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  msctl canary pause     no further step until `msctl canary resume`; a bad canary still goes back

Exit codes: 0 its driver is asked, 2 nobody drives a release")]
pub struct PauseArgs {
    #[command(flatten)]
    place: Place,
}

/// The arguments of `msctl canary promote`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  msctl canary promote           this step is taken as done: the next one begins, also at a gate
  msctl canary promote --full    straight to 100 %, which is watched as every step is

Exit codes: 0 its driver is asked, 2 nobody drives a release")]
pub struct PromoteArgs {
    #[command(flatten)]
    place: Place,

    /// All steps are taken as done: the canary gets all the traffic
    #[arg(long)]
    full: bool,
}

/// Asks it to wait.
pub fn pause(args: &PauseArgs, context: &Context) -> Result<Exit, Failure> {
    let mut placed = args.place.find(context)?;
    let (mark, holder) = under_way(&mut placed)?;
    let holder = driven(&mark, holder)?;
    ask(&placed, &mark, &holder, Ask::Pause, context)
}

/// Takes the step as done.
pub fn promote(args: &PromoteArgs, context: &Context) -> Result<Exit, Failure> {
    let mut placed = args.place.find(context)?;
    let (mark, holder) = under_way(&mut placed)?;
    let holder = driven(&mark, holder)?;
    let from = Target::asked(&placed.target.look(&placed.cluster)?)?;
    let what = if args.full {
        Ask::Finish { from }
    } else {
        Ask::Promote { from }
    };
    let now = Clock::now();
    if let Some(freeze) = Freeze::in_force(&placed.service.canary.freeze, now) {
        let note = format!("The freeze `{freeze}` is in force: only a driver that was told to ignore it goes on.");
        context.ui.note(&note);
    }
    ask(&placed, &mark, &holder, what, context)
}

/// The release that is under way, and who holds its lease.
pub(super) fn under_way(placed: &mut Placed) -> Result<(Mark, Option<Holder>), Failure> {
    let (cluster, target) = (&placed.cluster, &mut placed.target);
    let Some(mark) = Target::marked(&target.whole(cluster)?)? else {
        let message = format!("no release of {} is under way by the {}", target.service, target.name());
        return Err(Failure::new(Kind::NoEvidence, message)
            .hint("msctl canary run       begins one")
            .hint("msctl canary status    says where traffic is"));
    };
    Ok((mark, target.driver(cluster)?))
}

/// Who drives it; a release that nobody drives hears nothing.
fn driven(mark: &Mark, holder: Option<Holder>) -> Result<Holder, Failure> {
    holder.filter(|holder| holder.alive).ok_or_else(|| {
        let message = format!("nobody drives the release {}: {} is gone", mark.id, mark.driver);
        Failure::new(Kind::NoEvidence, message)
            .note("Nothing was changed.")
            .hint("msctl canary resume    goes on where it ended")
            .hint("msctl canary abort     gives stable all the traffic")
    })
}

/// Leaves word at the mark.
pub(super) fn ask(placed: &Placed, mark: &Mark, holder: &Holder, ask: Ask, context: &Context) -> Result<Exit, Failure> {
    let by = person(context);
    let asked = Asked { ask, by: by.clone() };
    placed
        .target
        .remark(&placed.cluster, &mark.id, |mark| mark.asked = Some(asked.clone()))?;
    context.ui.report(&Left {
        release: mark.id.clone(),
        driver: holder.name.clone(),
        ask,
        by,
    });
    Ok(Exit::Done)
}

/// `msctl.canary.asked/v1`: what the driver of a release was asked.
#[derive(serde::Serialize, schemars::JsonSchema)]
pub(in crate::commands) struct Left {
    /// The release.
    release: String,
    /// Who drives it.
    driver: String,
    /// What it is asked.
    #[serde(flatten)]
    ask: Ask,
    /// Who asks.
    by: String,
}

impl Report for Left {
    const SCHEMA: &'static str = "msctl.canary.asked/v1";

    fn human(&self, page: &mut Page) {
        page.line(format!(
            "Release {}: {} {}; {} does so at its next look.",
            clean(&self.release),
            clean(&self.by),
            asks(self.ask),
            clean(&self.driver)
        ));
        page.line("  msctl canary status    shows it");
    }
}
