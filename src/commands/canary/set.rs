//! `msctl canary set`: one weight, by hand, seen to be in force.

use super::force::in_force;
use super::place::Place;
use crate::commands::Context;
use crate::config::units::Weight;
use crate::failure::{Exit, Failure, Kind};
use crate::ui::{Page, Report};

/// The arguments of `msctl canary set`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  msctl canary set 5       the canary gets 5 % of the traffic; nothing judges it
  msctl canary set 0       stable gets all of it, as after a promotion, when stable is the new version too

Exit codes: 0 in force, 2 could not, 3 a release is under way, 4 not proven to be in force")]
pub struct Args {
    /// The canary's share in percent
    #[arg(value_name = "PERCENT")]
    weight: Weight,

    #[command(flatten)]
    place: Place,
}

/// Sets it.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let placed = args.place.find(context)?;
    let (cluster, target) = (&placed.cluster, &placed.target);
    if let Some(mark) = target.under_way(cluster)? {
        let message = format!("the {} is in the release {}", target.name(), mark.id);
        return Err(Failure::new(Kind::Conflict, message)
            .note("Nothing was changed.")
            .hint("msctl canary abort      gives stable all the traffic")
            .hint("msctl canary promote    takes this step as done"));
    }
    if args.weight != Weight::NONE {
        let (ready, all) = target.ready(cluster)?;
        if ready == 0 {
            let message = format!("no pod of the canary is ready: {all} have the labels {}", target.pods);
            return Err(Failure::new(Kind::NoEvidence, message).note("Nothing was changed."));
        }
    }
    let before = target.set(cluster, args.weight, None)?;
    let proxies = in_force(&placed, args.weight)?;
    target.disown(cluster);
    context.ui.report(&Set {
        service: target.service.clone(),
        route: target.name(),
        before,
        weight: args.weight,
        proxies,
    });
    Ok(Exit::Done)
}

/// `msctl.canary.set/v1`: a weight that is in force.
#[derive(serde::Serialize, schemars::JsonSchema)]
pub(in crate::commands) struct Set {
    /// The service.
    service: String,
    /// What splits its traffic.
    route: String,
    /// The canary's share before, per mille; none where the routes did not agree.
    before: Option<Weight>,
    /// The canary's share now, per mille.
    weight: Weight,
    /// How many proxies show it.
    proxies: usize,
}

impl Report for Set {
    const SCHEMA: &'static str = "msctl.canary.set/v1";

    fn human(&self, page: &mut Page) {
        let before = self.before.map_or(String::new(), |before| format!(", {before} before"));
        page.line(format!(
            "The canary has {}{before}, read back from {}.",
            self.weight,
            super::show::proxies(self.proxies)
        ));
    }
}
