//! `msctl canary run`: a release on a mesh, with live traffic.

use std::time::Duration;

use super::drive::{Drive, Watching, driver_name, word};
use super::job::{Inside, Told};
use super::place::{Place, Placed};
use super::resume;
use super::screen::Screen;
use super::show::proxies;
use crate::canary::driver::TakeOver;
use crate::canary::journal::{Begun, Header, Journal};
use crate::canary::machine::{Machine, OnStop};
use crate::canary::mesh::{Found, Lag, Lease, Proxies, Target};
use crate::canary::meter::form::Matcher;
use crate::canary::meter::own::arms;
use crate::canary::plan::Plan;
use crate::canary::{CasesOfBoth, Meter, Metered};
use crate::commands::Context;
use crate::config::metrics::{Metric, Metrics};
use crate::config::names::BaseImage;
use crate::config::service::Service;
use crate::config::units::{Span, Steps, Weight};
use crate::failure::{Exit, Failure, Kind};
use crate::process::Interrupt;
use crate::ui::{Page, Report, clean, duration};

/// The arguments of `msctl canary run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  msctl canary run --prometheus http://127.0.0.1:9090             the canary that is deployed
  msctl canary run --prometheus … --dry-run                       what would be done, and whether it can
  msctl canary run --metrics proxies --steps 5,50                 by the proxies' own counters, without a Prometheus
  msctl canary run --prometheus … --gates 50                      waits at 50 % for `msctl canary promote`
  msctl canary run --metrics proxies --in-cluster --image IMAGE   by a Job in the cluster; --dry-run prints it

Exit codes: 0 promoted, 1 rolled back, 2 could not tell, 3 somebody else moved traffic, 4 stuck,
130 after Ctrl-C. With --in-cluster, 0 when it is under way there")]
pub struct Args {
    #[command(flatten)]
    place: Place,

    #[command(flatten)]
    watching: Watching,

    /// The steps in percent (default: those of msctl.yaml)
    #[arg(long, value_name = "PERCENT,…")]
    steps: Option<Steps>,

    /// How long each step is watched at least (default: that of msctl.yaml)
    #[arg(long, value_name = "DURATION")]
    hold: Option<Span>,

    /// The steps after which it waits for `msctl canary promote`, in percent
    #[arg(long, value_name = "PERCENT,…")]
    gates: Option<Steps>,

    /// What becomes of traffic on Ctrl-C or SIGTERM
    #[arg(long, value_enum, value_name = "WHAT", default_value = "rollback")]
    on_stop: Stop,

    /// Take the weight that the canary has already as the current step
    #[arg(long)]
    adopt: bool,

    /// Go on with a release that was left without a driver, where there is one: for what starts drivers by itself
    #[arg(long, conflicts_with_all = ["in_cluster", "dry_run"])]
    or_resume: bool,

    /// Say what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    inside: Inside,
}

/// What becomes of traffic when the driver is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Stop {
    /// It goes back to stable
    Rollback,
    /// It stays where it is, for `msctl canary resume`
    Hold,
}

impl Args {
    /// Where it is, when what was typed makes sense.
    pub(super) fn place(&self, context: &Context) -> Result<Placed, Failure> {
        self.watching.check()?;
        self.place.find(context)
    }

    /// Whether a driver of this machine begins a release with it.
    pub(super) fn begins_here(&self) -> bool {
        !self.or_resume && self.inside.image().is_none()
    }

    /// The same as it is typed in a pod.
    fn words(&self, target: &Target) -> Vec<String> {
        let Self {
            place,
            watching,
            steps,
            hold,
            gates,
            on_stop,
            adopt,
            or_resume: _,
            dry_run: _,
            inside: _,
        } = self;
        let mut words = ["--output=ci", "canary", "run", "--or-resume"]
            .map(str::to_owned)
            .to_vec();
        words.extend(place.words(target));
        words.extend(watching.words());
        words.extend(steps.iter().map(|steps| format!("--steps={}", percents(steps))));
        words.extend(hold.iter().map(|hold| format!("--hold={hold}")));
        words.extend(gates.iter().map(|gates| format!("--gates={}", percents(gates))));
        words.extend(word("on-stop", on_stop));
        words.extend(adopt.then(|| "--adopt".to_owned()));
        words
    }
}

/// As they are typed; 100 follows the last step, and stands for no other.
fn percents(steps: &Steps) -> String {
    let percents: Vec<String> = steps
        .weights()
        .iter()
        .map(|w| w.to_string().replace(" %", ""))
        .collect();
    if percents.is_empty() {
        "100".into()
    } else {
        percents.join(",")
    }
}

/// Releases, to the end.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    if let Some(image) = args.inside.image() {
        return inside(args, image, context);
    }
    let mut placed = args.place(context)?;
    if args.or_resume
        && let Some(exit) = resume::left(&args.watching, &mut placed, context)?
    {
        return Ok(exit);
    }
    if !args.dry_run {
        args.watching.thawed(&placed)?;
    }
    let plan = plan(args, &placed.service)?;
    let cluster = &placed.cluster;
    let begins = check(args, &placed, &plan.metrics)?;
    let setting = setting(&placed, begins.count);
    let header = Begun::now().header(&placed.service.name, setting, &plan);
    if args.dry_run {
        context.ui.report(&PlanReport::new(&header, &placed, &begins));
        return Ok(Exit::Done);
    }
    for metric in watched(&plan, &placed, &begins.counted) {
        if let Some(missing) = metric.missing() {
            context.ui.note(&missing);
        }
    }
    let interrupt = Interrupt::watch()?;
    let driver = driver_name(context, &header.id);
    let herald = args.watching.herald(&placed, &header, &driver)?;
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
    let Begins {
        weight, proxies, meter, ..
    } = begins;
    let drive = Drive {
        placed: &placed,
        watching: &args.watching,
        header: &header,
        machine: Machine::new(plan),
        proxies,
        meter,
        herald,
        lease,
        journal,
        takes_over: (weight != Weight::NONE).then_some(TakeOver {
            age: Duration::ZERO,
            weight,
            by: driver,
        }),
    };
    drive.run(Screen::new(context, &header), &interrupt, context)
}

/// The same by a Job in the cluster.
fn inside(args: &Args, image: &BaseImage, context: &Context) -> Result<Exit, Failure> {
    args.watching.check_inside()?;
    let (service, target) = args.place.aim(context)?;
    plan(args, &service)?;
    let told = Told {
        image,
        inside: &args.inside,
        arguments: args.words(&target),
        mesh: args.place.mesh(),
        holds: args.on_stop == Stop::Hold,
        notify: args.watching.notify(),
        target,
    };
    if args.dry_run {
        return told.show(context);
    }
    let placed = args.place(context)?;
    args.watching.thawed(&placed)?;
    let (found, _) = free(args, &placed)?;
    told.begin(&placed, &placed.proxies(&found), context)
}

fn plan(args: &Args, service: &Service) -> Result<Plan, Failure> {
    let canary = service.canary.with(args.steps.as_ref(), args.hold);
    let mut plan = Plan::new(&canary, args.watching.interval());
    plan.on_stop = match args.on_stop {
        Stop::Rollback => OnStop::Rollback,
        Stop::Hold => OnStop::Hold,
    };
    plan.gates = args
        .gates
        .as_ref()
        .map(|gates| gates.weights().to_vec())
        .unwrap_or_default();
    args.watching.can_count(&plan.metrics)?;
    plan.check().map_err(|why| {
        let steps: Vec<String> = plan.steps.iter().map(ToString::to_string).collect();
        Failure::new(Kind::Usage, format!("a release cannot go so: {why}"))
            .hint(format!("its steps are {}", steps.join(", ")))
    })?;
    Ok(plan)
}

/// What is moved, and where: for the head of what is shown, and for the journal.
pub(super) fn setting(placed: &Placed, count: usize) -> String {
    format!(
        "release by the {} at {}, seen by {}",
        placed.target.name(),
        placed.cluster.server(),
        proxies(count)
    )
}

/// What a release begins with.
struct Begins<'a> {
    /// The canary's share: 0, or what is adopted.
    weight: Weight,
    proxies: Proxies,
    /// How many proxies have a route between the arms.
    count: usize,
    meter: Box<dyn Meter + 'a>,
    /// What the metrics of msctl.yaml have counters of.
    counted: Metered,
}

/// Whether nobody else's traffic is at the canary: its routes, and the share that it has.
fn free(args: &Args, placed: &Placed) -> Result<(Vec<Found>, Weight), Failure> {
    let Placed { cluster, target, .. } = placed;
    let found = target.look(cluster)?;
    if let Some(other) = Target::marked(&found)? {
        let message = format!(
            "the {} is in the release {}, which {} drives",
            target.name(),
            other.id,
            other.driver
        );
        return Err(Failure::new(Kind::Conflict, message)
            .note("Nothing was changed.")
            .hint("msctl canary status    says whether that driver lives")
            .hint("msctl canary resume    goes on where it ended")
            .hint("msctl canary abort     gives stable all the traffic"));
    }
    let weight = Target::asked(&found)?;
    if weight != Weight::NONE && !args.adopt {
        let message = format!(
            "the canary has {weight} of the traffic already, by the {}",
            target.name()
        );
        return Err(Failure::new(Kind::Conflict, message)
            .note("Nothing was changed.")
            .hint("msctl canary abort          gives stable all the traffic")
            .hint(format!(
                "msctl canary run --adopt    takes {weight} as the current step"
            )));
    }
    Ok((found, weight))
}

/// Whether a release can begin: nobody else's traffic is at the canary, it is ready, counters can be read, and what is in force can
/// be seen.
fn check<'a>(args: &Args, placed: &'a Placed, metrics: &Metrics) -> Result<Begins<'a>, Failure> {
    let Placed { cluster, target, .. } = placed;
    let (found, weight) = free(args, placed)?;
    let (ready, all) = target.ready(cluster)?;
    if ready == 0 {
        let message = format!("no pod of the canary is ready: {all} have the labels {}", target.pods);
        return Err(Failure::new(Kind::NoEvidence, message).hint(format!(
            "kubectl get pods -n {} -l {}    shows them",
            target.namespace, target.pods
        )));
    }
    let proxies = placed.proxies(&found);
    let mut meter = args.watching.meter(placed, &proxies, metrics)?;
    let counted = match meter.read() {
        Ok(reading) => reading.metrics,
        Err(failure) if failure.kind() == Kind::NoEvidence => Metered::new(),
        Err(failure) => return Err(failure),
    };
    match proxies.show(cluster, weight) {
        Ok(count) => Ok(Begins {
            weight,
            proxies,
            count,
            meter,
            counted,
        }),
        Err(Lag::Unseen(why)) => Err(Failure::new(
            Kind::Unreachable,
            format!("what the proxies have in force cannot be seen: {why}"),
        )),
        Err(lag @ Lag::Behind(_)) => Err(Failure::new(
            Kind::Conflict,
            format!("not every proxy gives the canary {weight}: {lag}"),
        )),
    }
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
    /// The metrics of msctl.yaml that it is judged by beside requests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<WatchedMetric>,
}

/// One metric of msctl.yaml.
#[derive(serde::Serialize, schemars::JsonSchema)]
struct WatchedMetric {
    /// What it is called.
    name: String,
    /// Of stable.
    stable: WatchedArm,
    /// Of the canary; its counters may come with its first traffic.
    canary: WatchedArm,
}

/// The counters of one arm.
#[derive(serde::Serialize, schemars::JsonSchema)]
struct WatchedArm {
    /// Those of all that happens, as Prometheus is asked for them.
    total: String,
    /// Those of what is bad.
    bad: String,
    /// Whether Prometheus has any of the first.
    found: bool,
}

/// What the metrics of this plan have counters of.
fn watched(plan: &Plan, placed: &Placed, counted: &Metered) -> Vec<WatchedMetric> {
    let of = |metric: &Metric| {
        let name = metric.name.to_string();
        let CasesOfBoth { stable, canary } = counted.get(&name).copied().unwrap_or_default();
        let arm = |own: &[Matcher], found: bool| WatchedArm {
            total: metric.total.and(own),
            bad: metric.bad.and(own),
            found,
        };
        let [of_stable, of_canary] = arms(metric, placed.target.pods_of_arms());
        WatchedMetric {
            name,
            stable: arm(&of_stable, stable.is_some()),
            canary: arm(&of_canary, canary.is_some()),
        }
    };
    plan.metrics.as_slice().iter().map(of).collect()
}

impl WatchedMetric {
    /// What no step can be shown to be safe without, if it is missing already.
    fn missing(&self) -> Option<String> {
        let Self { name, stable, .. } = self;
        (!stable.found).then(|| {
            format!(
                "Prometheus has no `{}` yet: no step is shown to be safe before the metric `{name}` has counters.",
                stable.total
            )
        })
    }
}

impl PlanReport {
    fn new(header: &Header, placed: &Placed, begins: &Begins<'_>) -> Self {
        Self {
            service: header.service.clone(),
            setting: header.setting.clone(),
            steps: header.plan.steps.clone(),
            hold_ms: header.plan.hold,
            alpha: header.plan.judge.alpha,
            proxies: begins.count,
            metrics: watched(&header.plan, placed, &begins.counted),
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
        for metric in &self.metrics {
            let name = &metric.name;
            let canary = if metric.canary.found {
                ""
            } else {
                "; the canary has no counters yet"
            };
            page.line(metric.missing().map_or_else(
                || format!("  judged by the metric {name} too{canary}"),
                |missing| page.paint.doubt(&format!("  {}", clean(&missing))),
            ));
        }
        page.line("Nothing was changed.");
    }
}
