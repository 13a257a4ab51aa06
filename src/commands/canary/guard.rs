//! `msctl canary guard`: the dead man's switch. Where a driver is gone and the canary has traffic, it goes back to stable.

use std::time::Duration;

use super::abort::tidy;
use super::drive::{by_hand, person};
use super::force::in_force;
use super::place::{Place, Placed};
use crate::canary::machine::Ask;
use crate::canary::mesh::{Asked, Mark};
use crate::commands::Context;
use crate::config::units::{Span, Weight};
use crate::failure::{Exit, Failure, Kind};
use crate::process::{Clock, Interrupt};
use crate::ui::{Page, Report, clean};

/// How long it is between two looks at a lease.
const LOOK: Duration = Duration::from_secs(1);

/// The arguments of `msctl canary guard`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  msctl canary guard           watches the release that is under way, until it ends
  msctl canary guard --keep    watches every release of this service, until it is stopped

It needs no counters. Run it somewhere else than the driver: another machine, a pod of the cluster.
Exit codes: 0 the release ended by itself, 1 its driver was gone and traffic was put back, 4 it could not be")]
pub struct Args {
    #[command(flatten)]
    place: Place,

    /// A driver that does not renew its lease for so long is gone
    #[arg(long, value_name = "DURATION", default_value = "15s")]
    patience: Span,

    /// Go on with the next release
    #[arg(long)]
    keep: bool,
}

/// What is known of the driver of a release.
struct Watched {
    release: String,
    /// The last sign of life, and since when it was that.
    renewed: String,
    since: Clock,
}

/// Watches.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let mut placed = args.place.find(context)?;
    let interrupt = Interrupt::watch()?;
    let mut watched: Option<Watched> = None;
    loop {
        if let Some(kind) = interrupt.asked() {
            return Err(
                Failure::new(kind, "asked to end").note("Nobody guards the release any more; nothing was changed.")
            );
        }
        match seen(&placed) {
            Ok(None) if !args.keep => {
                let release = watched.map(|watched| watched.release);
                context.ui.report(&Guarded::new(&placed, release, false));
                return Ok(Exit::Done);
            }
            Ok(None) => watched = None,
            Ok(Some((mark, _))) if mark.held => watched = None,
            Ok(Some((mark, renewed))) => {
                let before = watched.take().filter(|before| before.release == mark.id);
                if before.is_none() {
                    context
                        .ui
                        .note(&format!("Guards release {}, driven by {}.", mark.id, mark.driver));
                }
                let now = before
                    .filter(|before| before.renewed == renewed)
                    .unwrap_or_else(|| Watched {
                        release: mark.id.clone(),
                        renewed,
                        since: Clock::start(),
                    });
                if now.since.elapsed() < args.patience.duration() {
                    watched = Some(now);
                } else {
                    placed.target.take_in(&mark);
                    act(&placed, &mark, context)?;
                    if !args.keep {
                        return Ok(Exit::No);
                    }
                }
            }
            // While nobody is reached no driver can renew its lease either.
            Err(failure) if failure.kind() == Kind::Unreachable => {
                if let Some(watched) = &mut watched {
                    watched.since = Clock::start();
                }
            }
            Err(failure) => return Err(failure),
        }
        let clock = Clock::start();
        while clock.elapsed() < LOOK && interrupt.asked().is_none() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The release that is under way, and its driver's last sign of life.
fn seen(placed: &Placed) -> Result<Option<(Mark, String)>, Failure> {
    let (cluster, target) = (&placed.cluster, &placed.target);
    let Some(mark) = target.under_way(cluster)? else {
        return Ok(None);
    };
    // A lease that is gone is no sign.
    let holder = target.driver(cluster)?;
    let renewed = holder.map_or_else(String::new, |holder| format!("{} {}", holder.name, holder.renewed));
    Ok(Some((mark, renewed)))
}

/// Traffic goes back, and what the release left is taken away.
fn act(placed: &Placed, mark: &Mark, context: &Context) -> Result<(), Failure> {
    context
        .ui
        .note(&format!("{} is gone: traffic goes back to stable.", mark.driver));
    let asked = Asked {
        ask: Ask::Abort,
        by: format!("guard of {}", person(context)),
    };
    placed
        .target
        .set(&placed.cluster, Weight::NONE, Some(&asked))
        .and_then(|_| in_force(placed, Weight::NONE))
        .map_err(|failure| {
            let what = format!(
                "the driver of release {} is gone, and traffic could not be put back",
                mark.id
            );
            Failure::new(Kind::Stuck, what)
                .caused_by(failure)
                .hint(by_hand(&placed.target))
        })?;
    tidy(placed, context)?;
    context.ui.report(&Guarded::new(placed, Some(mark.id.clone()), true));
    Ok(())
}

/// `msctl.canary.guard/v1`: what became of a release that was guarded.
#[derive(serde::Serialize, schemars::JsonSchema)]
pub(in crate::commands) struct Guarded {
    /// The service.
    service: String,
    /// The release; none where none was under way.
    release: Option<String>,
    /// Whether its driver was gone and traffic was put back.
    put_back: bool,
}

impl Guarded {
    fn new(placed: &Placed, release: Option<String>, put_back: bool) -> Self {
        let service = placed.target.service.clone();
        Self {
            service,
            release,
            put_back,
        }
    }
}

impl Report for Guarded {
    const SCHEMA: &'static str = "msctl.canary.guard/v1";

    fn human(&self, page: &mut Page) {
        page.line(match &self.release {
            None => format!("No release of {} is under way.", clean(&self.service)),
            Some(id) if self.put_back => format!(
                "Release {} lost its driver; all traffic is stable's, read back.",
                clean(id)
            ),
            Some(id) => format!("Release {} ended by itself.", clean(id)),
        });
    }
}
