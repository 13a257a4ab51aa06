//! `msctl canary run`: a release on a mesh, with live traffic.

use std::time::Duration;

use super::place::{Place, Placed};
use super::screen::Screen;
use super::show::exit;
use crate::canary::Meter;
use crate::canary::driver::Driver;
use crate::canary::journal::{Begun, Header, Journal};
use crate::canary::machine::{Machine, Outcome};
use crate::canary::mesh::{Lag, Lease, Mark, MeshRouter, Proxies, Target};
use crate::canary::meter::form::Form;
use crate::canary::meter::prometheus::PrometheusMeter;
use crate::canary::plan::Plan;
use crate::commands::Context;
use crate::config::units::{Span, Steps, Weight};
use crate::failure::{Exit, Failure, Kind};
use crate::process::Interrupt;
use crate::remote::http::Url;
use crate::remote::prometheus::Prometheus;
use crate::ui::{Page, Report, clean, duration};

/// An answer of Prometheus may take so long.
const DEADLINE: Duration = Duration::from_secs(3);

/// The arguments of `msctl canary run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  msctl canary run --prometheus http://127.0.0.1:9090             the canary that is deployed
  msctl canary run --prometheus … --dry-run                       what would be done, and whether it can
  msctl canary run --prometheus … --metrics envoy --steps 5,50    counters of plain Envoys

Exit codes: 0 promoted, 1 rolled back, 2 could not tell, 3 somebody else moved traffic, 4 stuck,
130 after Ctrl-C with traffic put back")]
pub struct Args {
    #[command(flatten)]
    place: Place,

    /// Where counters are read
    #[arg(long, value_name = "URL", env = "MSCTL_PROMETHEUS")]
    prometheus: String,

    /// Whose counters they are
    #[arg(long, value_enum, default_value = "istio")]
    metrics: Metrics,

    /// How long it is between two scrapes
    #[arg(long, value_name = "DURATION", default_value = "5s")]
    interval: Span,

    /// The steps in percent (default: those of msctl.yaml)
    #[arg(long, value_name = "PERCENT,…")]
    steps: Option<Steps>,

    /// How long each step is watched at least (default: that of msctl.yaml)
    #[arg(long, value_name = "DURATION")]
    hold: Option<Span>,

    /// Say what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Whose counters a release is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Metrics {
    /// `istio_requests_total`, as the callers' proxies report it
    Istio,
    /// `envoy_cluster_upstream_rq…`, as Envoy counts by itself
    Envoy,
}

/// Releases, to the end.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let placed = args.place.find(context)?;
    let canary = placed.service.canary.with(args.steps.as_ref(), args.hold);
    let plan = Plan::new(&canary, args.interval.as_millis());
    let cluster = &placed.cluster;
    let mut meter = meter(args, &placed.target)?;
    let (proxies, count) = check(&placed, &mut meter)?;
    let setting = format!(
        "release by the {} at {}, seen by {}",
        placed.target.name(),
        cluster.server(),
        if count == 1 {
            "1 proxy".to_owned()
        } else {
            format!("{count} proxies")
        }
    );
    let header = Begun::now().header(&placed.service.name, setting, &plan);
    if args.dry_run {
        context.ui.report(&PlanReport::new(&header, count));
        return Ok(Exit::Done);
    }
    let interrupt = Interrupt::watch()?;
    let driver = driver_name(context, &header.id);
    let lease = Lease::take(cluster, &placed.target.namespace, &placed.target.lease(), &driver)?;
    let journal = match placed
        .target
        .mark(cluster, &header, &driver)
        .and_then(|()| Journal::create(context.directory(), &header))
    {
        Ok(journal) => journal,
        Err(failure) => {
            _ = placed.target.unmark(cluster, &header.id, false);
            lease.release();
            return Err(failure);
        }
    };
    let path = journal.path().to_owned();
    let mut screen = Screen::new(context, &header);
    let router = MeshRouter::new(cluster, placed.target.clone(), proxies, lease);
    let mut driver = Driver {
        machine: Machine::new(plan),
        router,
        meter,
        journal,
        interrupt: &interrupt,
    };
    let end = driver.run(&mut |input, decision| screen.see(input, decision));
    let lag = driver.router.lag().map(str::to_owned);
    // Where traffic is not known to be safe, the mark says to others who drove it, and what the weights were.
    let outcome = end.as_ref().map_or(Outcome::Stuck, |end| end.outcome);
    if outcome != Outcome::Stuck
        && let Err(failure) = placed.target.unmark(cluster, &header.id, outcome != Outcome::Conflict)
    {
        context
            .ui
            .note(&format!("The mark of the release stays on the route: {failure}"));
    }
    driver.router.release();
    let report = screen.report(&header, end?, &path);
    if let Some(lag) = lag {
        context.ui.note(&format!("Not everywhere in force: {lag}"));
    }
    context.ui.report(&report);
    if report.end.outcome == Outcome::Stuck {
        context.ui.note(&by_hand(&placed.target));
    }
    Ok(exit(report.end.outcome))
}

fn meter(args: &Args, target: &Target) -> Result<PrometheusMeter, Failure> {
    let base = Url::parse(&args.prometheus).map_err(|e| {
        Failure::new(
            Kind::Usage,
            format!("`--prometheus {}` is no URL", args.prometheus.escape_debug()),
        )
        .caused_by(e)
    })?;
    let form = match args.metrics {
        Metrics::Istio => Form::Istio,
        Metrics::Envoy => Form::Envoy,
    };
    let question = target.question(form, args.interval.duration());
    Ok(PrometheusMeter::new(Prometheus::new(base, DEADLINE)?, question))
}

/// Whether a release can begin: nobody else's traffic is at the canary, it is ready, counters can be read, and what is in force can
/// be seen. The proxies that show it, and how many those are.
fn check(placed: &Placed, meter: &mut PrometheusMeter) -> Result<(Proxies, usize), Failure> {
    let Placed { cluster, target, .. } = placed;
    let (object, splits) = target.look(cluster)?;
    if let Some(other) = Mark::of(&object).map_err(|why| Failure::new(Kind::Config, why))? {
        let message = format!(
            "the {} is in the release {}, which {} drives",
            target.name(),
            other.id,
            other.driver
        );
        return Err(Failure::new(Kind::Conflict, message).note("Nothing was changed."));
    }
    let weight = target.asked(&object, &splits)?;
    if weight != Weight::NONE {
        let message = format!(
            "the canary has {weight} of the traffic already, by the {}",
            target.name()
        );
        return Err(Failure::new(Kind::Conflict, message).note("Nothing was changed."));
    }
    let (ready, all) = target.ready(cluster)?;
    if ready == 0 {
        let message = format!("no pod of the canary is ready: {all} have the labels {}", target.pods);
        return Err(Failure::new(Kind::NoEvidence, message).hint(format!(
            "kubectl get pods -n {} -l {}    shows them",
            target.namespace, target.pods
        )));
    }
    if let Err(failure) = meter.read()
        && failure.kind() != Kind::NoEvidence
    {
        return Err(failure);
    }
    let proxies = placed.proxies(&object, &splits);
    match proxies.show(cluster, Weight::NONE) {
        Ok(count) => Ok((proxies, count)),
        Err(Lag::Unseen(why)) => Err(Failure::new(
            Kind::Unreachable,
            format!("what the proxies have in force cannot be seen: {why}"),
        )),
        Err(lag @ Lag::Behind(_)) => Err(Failure::new(
            Kind::Conflict,
            format!("the canary may have traffic: {lag}"),
        )),
    }
}

/// `ann@build-3/7f3a01`, as others are told.
fn driver_name(context: &Context, id: &str) -> String {
    let of = |name: &str| context.environment.text(name).unwrap_or("msctl").to_owned();
    format!("{}@{}/{id}", of("USER"), of("HOSTNAME"))
}

/// What a person types where msctl cannot do it.
fn by_hand(target: &Target) -> String {
    format!(
        "By hand: kubectl edit virtualservice {} -n {}    and give {} the weight 0",
        target.route,
        target.namespace,
        target.canary.subset.as_deref().unwrap_or(&target.canary.host)
    )
}

/// `msctl.canary.plan/v1`: what a release would do.
#[derive(serde::Serialize, schemars::JsonSchema)]
pub(in crate::commands) struct PlanReport {
    /// The service.
    service: String,
    /// What is moved, and where.
    setting: String,
    /// Per mille of the traffic.
    steps: Vec<Weight>,
    /// How long each step is watched at least, in milliseconds.
    hold_ms: u64,
    /// The chance that a good canary is rolled back.
    alpha: f64,
    /// How many proxies have a route between the arms.
    proxies: usize,
}

impl PlanReport {
    fn new(header: &Header, proxies: usize) -> Self {
        Self {
            service: header.service.clone(),
            setting: header.setting.clone(),
            steps: header.plan.steps.clone(),
            hold_ms: header.plan.hold,
            alpha: header.plan.judge.alpha,
            proxies,
        }
    }
}

impl Report for PlanReport {
    const SCHEMA: &'static str = "msctl.canary.plan/v1";

    fn human(&self, page: &mut Page) {
        page.line(format!("{}: {}", clean(&self.service), clean(&self.setting)));
        let steps: Vec<String> = self.steps.iter().map(ToString::to_string).collect();
        page.line(format!(
            "  would go {}, each watched for {} at least, alpha {}",
            steps.join(", "),
            duration(Duration::from_millis(self.hold_ms)),
            self.alpha
        ));
        if self.proxies == 0 {
            page.line("  No proxy has a route between the arms: nothing calls this service through the mesh yet.");
        }
        page.line("Nothing was changed.");
    }
}
