//! `msctl canary backtest`: how this plan would have done over the past that Prometheus has, before its first use.

pub(in crate::commands) mod report;

use std::time::Duration;

use self::report::{BacktestReport, Setting, felt};
use super::drive::url;
use super::place::target;
use crate::canary::backtest::read::{query, read};
use crate::canary::backtest::{Backtest, Regression};
use crate::canary::meter::form::Form;
use crate::canary::plan::Plan;
use crate::commands::Context;
use crate::config::service::Service;
use crate::config::units::{Span, Steps};
use crate::failure::{Exit, Failure, Kind};
use crate::process::Clock;
use crate::remote::http::Url;
use crate::remote::prometheus::Prometheus;
use crate::ui::count;

/// An answer of Prometheus may take so long: each has a quarter of an hour of raw samples.
const DEADLINE: Duration = Duration::from_secs(30);

/// So many looks are kept at most: a day of one every half second.
const MOST: u64 = 200_000;

/// So many releases are tried in the time that is asked for, unless `--every` says otherwise.
const RELEASES: u64 = 48;

/// The arguments of `msctl canary backtest`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  msctl canary backtest --prometheus http://127.0.0.1:9090             the plan of msctl.yaml, the last 24 hours
  msctl canary backtest --prometheus … --steps 5,50 --hold 1m          another plan
  msctl canary backtest --prometheus … --metrics envoy --last 6h       counters of plain Envoys

Exit codes: 0 it could be computed, whatever came out; 2 could not tell")]
pub struct Args {
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

    /// How much of the past is tried
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    last: Span,

    /// How long after the other releases begin (default: a 48th of `--last`)
    #[arg(long, value_name = "DURATION")]
    every: Option<Span>,

    /// The namespace (default: that of msctl.yaml)
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,

    /// The seed of the dice that split the past between the arms
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// Whose counters the past is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Metrics {
    /// `istio_requests_total`, as the callers' proxies report it
    Istio,
    /// `envoy_cluster_upstream_rq…`, as Envoy counts by itself
    Envoy,
}

/// Reads the past, and tries the plan on it.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let service = Service::load(context.directory())?;
    let canary = service.canary.with(args.steps.as_ref(), args.hold);
    let plan = Plan::new(&canary, args.interval.as_millis()).without_metrics();
    check(args, &plan)?;
    if !canary.metrics.is_empty() {
        context
            .ui
            .note("The metrics of msctl.yaml are left out: releases are tried by requests alone.");
    }
    let address = url("--prometheus", &args.prometheus)?;
    let form = match args.metrics {
        Metrics::Istio => Form::Istio,
        Metrics::Envoy => Form::Envoy,
    };
    let target = target(&service, args.namespace.as_ref(), &[], [None; 2]);
    let question = target.question(form, args.interval.duration());
    let server = Prometheus::new(address.clone(), DEADLINE)?;
    let progress = context.ui.progress("asking Prometheus");
    let end = Clock::now().as_millisecond();
    let begin = end.saturating_sub(i64::try_from(args.last.as_millis()).unwrap_or(i64::MAX));
    let past = read(&server, &question, (begin, end), &mut |answered, all| {
        progress.says(&format!("{answered} of {all} answers of Prometheus"));
    })?;
    progress.says("trying releases");
    let looks = past.looks();
    let backtest = Backtest {
        plan: &plan,
        looks: &looks,
        latencies: past.is_timed(),
        seed: args.seed,
    };
    let every = args
        .every
        .map_or_else(|| args.last.as_millis() / RELEASES, Span::as_millis);
    let every = every.max(plan.interval);
    let starts = backtest.starts(every);
    if starts.is_empty() {
        return Err(too_short(&plan, &query(&question, args.last.duration()), looks.len()));
    }
    let kinds = Regression::ALL.map(|regression| (regression, backtest.releases(&starts, regression)));
    drop(progress);
    let setting = Setting {
        service: service.name.to_string(),
        query: query(&question, args.last.duration()),
        scraped_ms: past.cadence(),
        every_ms: every,
        next: context.typed(&next(args, &address)),
    };
    context.ui.report(&BacktestReport::new(setting, &backtest, &kinds));
    Ok(Exit::Done)
}

/// How long a release of this plan takes at least.
fn quickest(plan: &Plan) -> u64 {
    plan.hold.saturating_mul(plan.steps.len() as u64)
}

/// Whether what is asked for makes sense at all.
fn check(args: &Args, plan: &Plan) -> Result<(), Failure> {
    let quickest = quickest(plan);
    if args.last.as_millis() <= quickest {
        let message = format!(
            "`--last {}` is shorter than the quickest release of this plan, which takes {}",
            args.last,
            felt(quickest)
        );
        return Err(Failure::new(Kind::Usage, message).hint("--hold and --steps say how long a release takes"));
    }
    let looks = args.last.as_millis().checked_div(plan.interval);
    if looks.is_none_or(|looks| looks > MOST) {
        let message = format!(
            "`--interval {}` is too short for {} of the past: {} looks at the most",
            args.interval,
            args.last,
            count(MOST)
        );
        return Err(Failure::new(Kind::Usage, message).hint("--interval is how long it is between two scrapes"));
    }
    Ok(())
}

fn too_short(plan: &Plan, query: &str, looks: usize) -> Failure {
    let message = format!(
        "Prometheus has {} of stable's past, and the quickest release of this plan takes {}",
        felt(plan.interval.saturating_mul(looks as u64)),
        felt(quickest(plan))
    );
    Failure::new(Kind::NoEvidence, message)
        .note(format!("stable: {query}"))
        .hint("--hold and --steps say how long a release takes")
}

/// The same plan on the mesh, as it is typed.
fn next(args: &Args, url: &Url) -> String {
    // What stands there beside the address may be a secret.
    let is_plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    let address = if is_plain {
        shell_words::quote(&args.prometheus).into_owned()
    } else {
        "…".to_owned()
    };
    let mut words = vec![format!("canary run --prometheus {address}")];
    words.extend((args.metrics == Metrics::Envoy).then(|| "--metrics envoy".to_owned()));
    words.extend((args.interval != Span::millis(5_000)).then(|| format!("--interval {}", args.interval)));
    words.extend(args.steps.as_ref().map(|steps| {
        let percents = steps.weights().iter().map(|w| w.to_string().replace(" %", ""));
        format!("--steps {}", percents.collect::<Vec<_>>().join(","))
    }));
    words.extend(args.hold.map(|hold| format!("--hold {hold}")));
    words.extend(
        args.namespace
            .as_ref()
            .map(|name| format!("-n {}", shell_words::quote(name))),
    );
    words.push("--dry-run".to_owned());
    words.join(" ")
}
