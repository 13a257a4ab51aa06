//! `msctl canary abort`: all traffic to stable, now, whatever the release does and whoever drives it.

use std::time::Duration;

use super::drive::{by_hand, person};
use super::force::in_force;
use super::place::{Place, Placed};
use crate::canary::machine::Ask;
use crate::canary::mesh::{Asked, Lease};
use crate::commands::Context;
use crate::config::units::Weight;
use crate::failure::{Exit, Failure, Kind};
use crate::process::Clock;
use crate::ui::{Page, Report, clean, duration};

/// A driver that lives takes its mark off in this time.
const TIDY: Duration = Duration::from_secs(8);

/// The arguments of `msctl canary abort`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  msctl canary abort            this service's canary gets no more traffic

It needs no driver, no counters, no ready pod and no lease, and works after a promotion too.
Exit codes: 0 all traffic is stable's and every proxy shows it, 2 could not, 4 not proven to be in force")]
pub struct Args {
    #[command(flatten)]
    place: Place,
}

/// Back.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let clock = Clock::start();
    let mut placed = args.place.find(context)?;
    let asked = Asked {
        ask: Ask::Abort,
        by: person(context),
    };
    let before = set(&mut placed, &asked)?;
    let patched = clock.elapsed();
    let proxies = in_force(&placed, Weight::NONE)?;
    let took = clock.elapsed();
    let release = tidy(&placed, context)?;
    context.ui.report(&Aborted {
        service: placed.target.service.clone(),
        route: placed.target.name(),
        before,
        proxies,
        release,
        patched_ms: millis(patched),
        took_ms: millis(took),
    });
    Ok(Exit::Done)
}

/// Writes 0. Where nobody answers, or others are always quicker, traffic is not proven to be safe.
fn set(placed: &mut Placed, asked: &Asked) -> Result<Option<Weight>, Failure> {
    let (cluster, target) = (&placed.cluster, &mut placed.target);
    // What is known goes first; then what the mark says that the release moves besides, whatever became of that.
    let known = target.routes.len();
    let before = target.set(cluster, Weight::NONE, Some(asked));
    let mut rest = target.whole(cluster).map(drop);
    if target.routes.len() > known {
        rest = target.set(cluster, Weight::NONE, Some(asked)).map(drop);
    }
    let set = before.and_then(|before| rest.map(|()| before));
    set.map_err(|failure| match failure.kind() {
        Kind::Unreachable | Kind::Conflict => {
            let message = format!(
                "the {} is not known to give stable all the traffic",
                placed.target.name()
            );
            Failure::new(Kind::Stuck, message)
                .caused_by(failure)
                .hint(by_hand(&placed.target))
        }
        _ => failure,
    })
}

/// Takes away what the release left: its driver does where it lives, otherwise this does. The release.
pub(super) fn tidy(placed: &Placed, context: &Context) -> Result<Option<String>, Failure> {
    let (cluster, target) = (&placed.cluster, &placed.target);
    let Some(found) = target.under_way(cluster)? else {
        return Ok(None);
    };
    let holder = target.driver(cluster).ok().flatten();
    let clock = Clock::start();
    let waits = context
        .ui
        .progress(&format!("All traffic is stable's; waits for {} to end", found.driver));
    while holder.as_ref().is_some_and(|holder| holder.alive) && clock.elapsed() < TIDY {
        if target.under_way(cluster)?.is_none() {
            return Ok(Some(found.id));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(waits);
    target.unmark(cluster, &found.id, true)?;
    if let Some(holder) = holder.filter(|holder| holder.name == found.driver) {
        Lease::clear(cluster, &target.namespace, &target.lease(), &holder);
    }
    Ok(Some(found.id))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// `msctl.canary.abort/v1`: where traffic is after it was taken back.
#[derive(serde::Serialize, schemars::JsonSchema)]
pub(in crate::commands) struct Aborted {
    /// The service.
    service: String,
    /// What splits its traffic.
    route: String,
    /// The canary's share before, per mille; none where the routes did not agree.
    before: Option<Weight>,
    /// How many proxies show that all is stable's.
    proxies: usize,
    /// The release that was ended, if one was under way.
    release: Option<String>,
    /// How long it took until the API server had the weight, in milliseconds.
    patched_ms: u64,
    /// How long it took until every proxy showed it, in milliseconds.
    took_ms: u64,
}

impl Report for Aborted {
    const SCHEMA: &'static str = "msctl.canary.abort/v1";

    fn human(&self, page: &mut Page) {
        let before = self
            .before
            .map_or("another share in each route".to_owned(), |w| w.to_string());
        let had = if self.before == Some(Weight::NONE) {
            "The canary had no traffic".to_owned()
        } else {
            format!("The canary had {before}")
        };
        page.line(format!(
            "{had}; all traffic is stable's, read back from {} after {}.",
            super::show::proxies(self.proxies),
            duration(Duration::from_millis(self.took_ms))
        ));
        if let Some(release) = &self.release {
            page.line(format!("  Release {} is over.", clean(release)));
        }
    }
}
