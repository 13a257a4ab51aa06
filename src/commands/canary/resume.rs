//! `msctl canary resume`: a release that waits goes on, or one whose driver is gone gets another.

use std::time::Duration;

use super::ask::{ask, under_way};
use super::drive::{Drive, Watching, driver_name};
use super::force::in_force;
use super::place::{Place, Placed};
use super::run::setting;
use super::screen::Screen;
use super::show::exit;
use crate::canary::driver::TakeOver;
use crate::canary::journal::{Header, Journal, SCHEMA};
use crate::canary::machine::{Ask, Machine, Outcome};
use crate::canary::mesh::{Found, Holder, Lease, Mark, Occupied, Target};
use crate::canary::replay::{Replay, replay};
use crate::commands::Context;
use crate::config::units::Weight;
use crate::failure::{Exit, Failure, Kind};
use crate::process::{Clock, Interrupt};

/// How long it is between two tries to reach the cluster.
const LOOK: Duration = Duration::from_secs(1);

/// The arguments of `msctl canary resume`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  msctl canary resume --prometheus http://127.0.0.1:9090

Where a driver lives, it is asked to go on after a pause. Where it is gone, this goes on in its place: with its journal and
all its evidence where that is in this directory, with the plan at the route from the same step otherwise.
Exit codes: those of `run`; 0 also where a driver is asked to go on")]
pub struct Args {
    #[command(flatten)]
    place: Place,

    #[command(flatten)]
    watching: Watching,
}

/// What this directory knows of the release.
enum Known {
    /// Its writer lives.
    Alive,
    /// Its writer is gone.
    Left(Journal, Box<Replay>),
    /// Nothing: it was driven from elsewhere.
    Nothing,
}

/// Goes on.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    args.watching.check()?;
    let mut placed = args.place.find(context)?;
    let (mark, holder) = under_way(&mut placed)?;
    let known = known(&mark, context)?;
    let alive = holder.filter(|holder| holder.alive);
    match (&known, &alive) {
        (Known::Alive, None) => {
            let message = format!("{} runs here and does not renew its lease", mark.driver);
            Err(Failure::new(Kind::Conflict, message).note("Nothing was changed."))
        }
        (Known::Alive, Some(holder)) => ask(&placed, &mark, holder, Ask::Go, context),
        _ => take_over(&args.watching, &placed, &mark, known, alive, Manner::Attended, context),
    }
}

/// Who goes on with a release that was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// A person, who sees what comes of it: a driver that lives is asked to go on.
    Attended,
    /// What runs by itself: a driver that lives is left alone, and what may have been on its way back does not go forward again.
    Unattended,
}

/// Goes on with the release that was left without a driver; none where there is none. Nobody looks on who would try again, so the
/// cluster is waited for as long as it takes.
pub(super) fn left(watching: &Watching, placed: &mut Placed, context: &Context) -> Result<Option<Exit>, Failure> {
    let interrupt = Interrupt::watch()?;
    let mut told = false;
    loop {
        match go_on(watching, placed, context) {
            Err(failure) if failure.kind() == Kind::Unreachable => {
                if let Some(kind) = interrupt.asked() {
                    return Err(Failure::new(kind, "asked to end while the cluster was waited for").caused_by(failure));
                }
                if !told {
                    context
                        .ui
                        .note(&format!("Waits for the cluster: {}", failure.with_causes()));
                }
                told = true;
                std::thread::sleep(LOOK);
            }
            other => return other,
        }
    }
}

fn go_on(watching: &Watching, placed: &mut Placed, context: &Context) -> Result<Option<Exit>, Failure> {
    let Some(mark) = placed.target.under_way(&placed.cluster)? else {
        return Ok(None);
    };
    placed.target.take_in(&mark);
    let alive = placed.target.driver(&placed.cluster)?.filter(|holder| holder.alive);
    let known = known(&mark, context)?;
    if matches!(known, Known::Alive) {
        return Err(driven(&mark, &mark.driver));
    }
    take_over(watching, placed, &mark, known, alive, Manner::Unattended, context).map(Some)
}

fn driven(mark: &Mark, driver: &str) -> Failure {
    let message = format!("the release {} is driven by {driver}, who is alive", mark.id);
    Failure::new(Kind::Conflict, message).note("Nothing was changed.")
}

fn known(mark: &Mark, context: &Context) -> Result<Known, Failure> {
    let (journal, bytes) = match Journal::reopen(context.directory(), &mark.id) {
        Err(failure) if failure.kind() == Kind::Conflict => return Ok(Known::Alive),
        Err(failure) => return Err(failure),
        Ok(None) => return Ok(Known::Nothing),
        Ok(Some(found)) => found,
    };
    let file = journal.path().display().to_string();
    let replay = replay(&file, &bytes)?;
    if let Some(wrong) = &replay.mismatch {
        let message = format!("line {} of the journal `{file}` does not recompute", wrong.line);
        return Err(Failure::new(Kind::Config, message)
            .note("Nothing was changed.")
            .hint(context.typed(&format!("canary explain {}    says how", mark.id)))
            .hint("msctl canary abort    gives stable all the traffic"));
    }
    Ok(Known::Left(journal, Box::new(replay)))
}

fn take_over(
    watching: &Watching,
    placed: &Placed,
    mark: &Mark,
    known: Known,
    alive: Option<Holder>,
    manner: Manner,
    context: &Context,
) -> Result<Exit, Failure> {
    let (cluster, target) = (&placed.cluster, &placed.target);
    if let Known::Left(_, replay) = &known
        && replay.outcome == Some(Outcome::Stuck)
    {
        let message = format!("release {} ended and could not put traffic back", mark.id);
        return Err(Failure::new(Kind::Stuck, message).hint("msctl canary abort    gives stable all the traffic"));
    }
    if let Known::Left(_, replay) = &known
        && let Some(outcome) = replay.outcome.filter(|outcome| *outcome != Outcome::Held)
    {
        // Its driver was killed between the end and the tidying.
        target.unmark(cluster, &mark.id, outcome != Outcome::Conflict)?;
        context
            .ui
            .note(&format!("Release {} was over; what it left is taken away.", mark.id));
        return Ok(exit(outcome));
    }
    let metrics = match &known {
        Known::Left(_, replay) => &replay.header.plan.metrics,
        Known::Alive | Known::Nothing => &mark.plan.metrics,
    };
    watching.can_count(metrics)?;
    let interrupt = Interrupt::watch()?;
    let driver = driver_name(context, &mark.id);
    // On another machine nobody knows yet whether it lives: its time has to pass, or it renews its lease.
    if let Some(holder) = alive.as_ref().filter(|_| matches!(known, Known::Nothing)) {
        context
            .ui
            .note(&format!("Waits for a sign of life of {} …", holder.name));
    }
    // Whose journal could be locked is dead, whatever its lease says.
    let dead = match (&known, alive) {
        (Known::Left(..), Some(holder)) if holder.name == mark.driver => holder.name,
        _ => String::new(),
    };
    let name = target.lease();
    let lease = match Lease::take_over(cluster, &target.namespace, &name, &driver, &dead, &interrupt) {
        Ok(lease) => lease,
        Err(Occupied::Alive(holder)) if manner == Manner::Unattended => return Err(driven(mark, &holder.name)),
        Err(Occupied::Alive(holder)) => return ask(placed, mark, &holder, Ask::Go, context),
        Err(Occupied::Failed(failure)) => return Err(failure),
    };
    let found = target.look(cluster)?;
    let weight = standing(&found, &known)?;
    if manner == Manner::Unattended && weight == Weight::NONE && matches!(known, Known::Nothing) {
        return Err(doubtful(placed, mark, lease));
    }
    let all_proxies = placed.proxies(&found);
    target.remark(cluster, &mark.id, |mark| {
        driver.clone_into(&mut mark.driver);
        mark.held = false;
    })?;
    let (header, machine, journal, entries) = match known {
        Known::Left(journal, replay) => (replay.header, replay.machine, journal, replay.entries),
        Known::Alive | Known::Nothing => {
            let header = header(placed, mark, all_proxies.show(cluster, weight).unwrap_or(0));
            let journal = Journal::create(context.directory(), &header)?;
            (header, Machine::new(mark.plan.clone()), journal, Vec::new())
        }
    };
    let last = entries.last().map_or(0, |entry| entry.input.at());
    let screen = Screen::new(context, &header).caught_up(&entries);
    let drive = Drive {
        placed,
        watching,
        machine,
        meter: watching.meter(placed, &all_proxies, &header.plan.metrics)?,
        proxies: all_proxies,
        herald: watching.herald(placed, &header, &driver)?,
        lease,
        journal,
        takes_over: Some(TakeOver {
            age: age(&mark.started).max(Duration::from_millis(last + 1)),
            weight,
            by: driver,
        }),
        header: &header,
    };
    drive.run(screen, &interrupt, context)
}

/// The weight that the route objects ask for. A driver that died while it wrote them may have written some of them.
fn standing(found: &[Found], known: &Known) -> Result<Weight, Failure> {
    let shares: Vec<Weight> = found.iter().map(Found::asked).collect::<Result<_, _>>()?;
    let left = match known {
        Known::Left(_, replay) => replay.machine.left_between(&shares),
        Known::Alive | Known::Nothing => None,
    };
    left.map_or_else(|| Target::asked(found), Ok)
}

/// Its driver died before its first step, or on the way back from one that was bad, and its journal with it: the canary gets no traffic
/// again before somebody has looked.
fn doubtful(placed: &Placed, mark: &Mark, lease: Lease<'_>) -> Failure {
    let ended = in_force(placed, Weight::NONE).and_then(|_| placed.target.unmark(&placed.cluster, &mark.id, true));
    lease.release();
    if let Err(failure) = ended {
        return failure;
    }
    let message = format!(
        "{} is gone, and whether release {} had begun or was on its way back is not known",
        mark.driver, mark.id
    );
    Failure::new(Kind::NoEvidence, message).note("All traffic is stable's, read back.")
}

/// The first line of a journal that goes on where another one, elsewhere, ends.
fn header(placed: &Placed, mark: &Mark, count: usize) -> Header {
    Header {
        schema: SCHEMA.into(),
        id: mark.id.clone(),
        msctl: env!("CARGO_PKG_VERSION").into(),
        service: placed.target.service.clone(),
        setting: format!("{}, taken over", setting(placed, count)),
        started: mark.started.clone(),
        plan: mark.plan.clone(),
    }
}

/// How long ago that was; no time where clocks disagree.
fn age(started: &str) -> Duration {
    let started = started.parse().unwrap_or_else(|_| Clock::now());
    Duration::try_from(Clock::now().duration_since(started)).unwrap_or_default()
}
