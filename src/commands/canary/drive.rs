//! How a release on a mesh is driven: what `run` and `resume` have in common.

use std::time::Duration;

use super::herald::Herald;
use super::place::Placed;
use super::screen::{Released, Screen};
use super::show::exit;
use crate::canary::Meter;
use crate::canary::driver::{Driver, TakeOver};
use crate::canary::journal::{Header, Journal};
use crate::canary::machine::{Machine, Outcome};
use crate::canary::mesh::{Board, Lease, MeshRouter, Progress, Proxies, Route, Target};
use crate::canary::meter::envoy::EnvoyMeter;
use crate::canary::meter::form::Form;
use crate::canary::meter::own::Own;
use crate::canary::meter::prometheus::PrometheusMeter;
use crate::canary::meter::standby::Standby;
use crate::commands::Context;
use crate::config::freeze::Freeze;
use crate::config::metrics::Metrics as OwnMetrics;
use crate::config::units::Span;
use crate::failure::{Exit, Failure, Kind};
use crate::process::{Clock, Interrupt, host};
use crate::remote::http::Url;
use crate::remote::prometheus::Prometheus;

/// An answer of Prometheus may take so long.
const DEADLINE: Duration = Duration::from_secs(3);

/// It is looked so often at least: what was scraped shows as soon as it was.
const LOOK: Duration = Duration::from_secs(1);

/// Events that nobody waited for may take so long at the end.
const FLUSH: Duration = Duration::from_secs(2);

/// How a release is watched, and who is told.
#[derive(Debug, clap::Args)]
pub(super) struct Watching {
    /// Where counters are read
    #[arg(long, value_name = "URL", env = "MSCTL_PROMETHEUS")]
    prometheus: Option<String>,

    /// Whose counters they are
    #[arg(long, value_enum, default_value = "istio")]
    metrics: Metrics,

    /// How long it is between two scrapes (default: 5s, of proxies 1s)
    #[arg(long, value_name = "DURATION")]
    interval: Option<Span>,

    /// The field manager whose re-apply of the route is put right, and not obeyed: argocd-controller, kubectl-client-side-apply …
    #[arg(long, value_name = "MANAGER")]
    reassert: Option<String>,

    /// Go on in a freeze of msctl.yaml too
    #[arg(long)]
    ignore_freeze: bool,

    /// A webhook that is told how the release goes, as Slack takes it
    #[arg(long, value_name = "URL", env = "MSCTL_NOTIFY", hide_env_values = true)]
    notify: Option<String>,
}

/// Whose counters a release is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Metrics {
    /// `istio_requests_total` in a Prometheus, as the callers' proxies report it
    Istio,
    /// `envoy_cluster_upstream_rq…` in a Prometheus, as Envoy counts by itself
    Envoy,
    /// The same, read from every proxy: no Prometheus is needed
    Proxies,
}

impl Watching {
    fn scrapes(&self) -> Duration {
        let usual = match self.metrics {
            Metrics::Proxies => LOOK,
            Metrics::Istio | Metrics::Envoy => Duration::from_secs(5),
        };
        self.interval.map_or(usual, Span::duration)
    }

    /// When it takes no step.
    fn freezes<'a>(&self, placed: &'a Placed) -> &'a [Freeze] {
        if self.ignore_freeze {
            &[]
        } else {
            &placed.service.canary.freeze
        }
    }

    /// Whether a release may begin now.
    pub(super) fn thawed(&self, placed: &Placed) -> Result<(), Failure> {
        let now = Clock::now();
        match Freeze::in_force(self.freezes(placed), now) {
            None => Ok(()),
            Some(freeze) => {
                let message = format!("no release begins in the freeze `{freeze}` of msctl.yaml; it is {now:.0}");
                Err(Failure::new(Kind::Denied, message)
                    .note("Nothing was changed.")
                    .hint("--ignore-freeze    for what cannot wait"))
            }
        }
    }

    /// How often a release looks, in milliseconds.
    pub(super) fn interval(&self) -> u64 {
        u64::try_from(self.scrapes().min(LOOK).as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether it says where to read counters, and the addresses are any.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.prometheus.is_none() && self.metrics != Metrics::Proxies {
            return Err(
                Failure::new(Kind::Usage, "it is not said where counters are: `--prometheus <URL>`")
                    .hint("--prometheus http://…    or MSCTL_PROMETHEUS")
                    .hint("--metrics proxies        reads them from the proxies themselves"),
            );
        }
        for (flag, text) in [("--prometheus", &self.prometheus), ("--notify", &self.notify)] {
            if let Some(text) = text {
                url(flag, text)?;
            }
        }
        Ok(())
    }

    /// Whether its addresses mean the same in a pod.
    pub(super) fn check_inside(&self) -> Result<(), Failure> {
        self.check()?;
        for (flag, text) in [("--prometheus", &self.prometheus), ("--notify", &self.notify)] {
            let Some(text) = text else { continue };
            if is_own(&url(flag, text)?) {
                let message = format!("`{flag}` is an address of this machine; in a pod that is the pod itself");
                return Err(Failure::new(Kind::Usage, message)
                    .hint("--prometheus http://prometheus.monitoring:9090    is a Service of the cluster")
                    .hint("--metrics proxies    reads counters from the proxies themselves"));
            }
        }
        Ok(())
    }

    /// The same as it is typed in a pod, but for the webhook, whose address is a secret.
    pub(super) fn words(&self) -> Vec<String> {
        let Self {
            prometheus,
            metrics,
            interval,
            reassert,
            ignore_freeze,
            notify: _,
        } = self;
        let mut words = Vec::new();
        words.extend(prometheus.iter().map(|url| format!("--prometheus={url}")));
        words.extend(word("metrics", metrics));
        words.extend(interval.iter().map(|interval| format!("--interval={interval}")));
        words.extend(reassert.iter().map(|manager| format!("--reassert={manager}")));
        words.extend(ignore_freeze.then(|| "--ignore-freeze".to_owned()));
        words
    }

    /// The webhook that is told.
    pub(super) fn notify(&self) -> Option<&str> {
        self.notify.as_deref()
    }

    /// Whether these can be counted where it reads.
    pub(super) fn can_count(&self, metrics: &OwnMetrics) -> Result<(), Failure> {
        if self.metrics != Metrics::Proxies || metrics.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = metrics.names().map(|name| format!("`{name}`")).collect();
        let message = format!(
            "the proxies do not have the counters of `canary.metrics`: {}",
            names.join(", ")
        );
        Err(Failure::new(Kind::Config, message)
            .note("Nothing was changed.")
            .hint("--prometheus http://… --metrics istio    or `envoy`, where those counters are scraped too")
            .hint("canary: { metrics: [] }                  a release that begins is judged by requests alone"))
    }

    /// Who counts: requests, and these metrics beside them.
    pub(super) fn meter<'a>(
        &self,
        placed: &'a Placed,
        proxies: &Proxies,
        metrics: &OwnMetrics,
    ) -> Result<Box<dyn Meter + 'a>, Failure> {
        self.can_count(metrics)?;
        let form = match self.metrics {
            Metrics::Istio => Form::Istio,
            Metrics::Envoy => Form::Envoy,
            Metrics::Proxies => {
                return Ok(Box::new(of_proxies(placed, proxies)));
            }
        };
        let base = url("--prometheus", self.prometheus.as_deref().unwrap_or_default())?;
        let question = placed.target.question(form, self.scrapes());
        let usual = placed.target.pods_of_arms();
        let own = metrics.as_slice().iter();
        let own = own.map(|metric| Own::new(metric, usual.clone(), self.scrapes()));
        let meter = PrometheusMeter::new(Prometheus::new(base, DEADLINE)?, question);
        Ok(Box::new(Standby::new(
            meter.and(own.collect()),
            of_proxies(placed, proxies),
        )))
    }

    /// Who is told how it goes.
    pub(super) fn herald<'a>(&self, placed: &'a Placed, header: &Header, driver: &str) -> Result<Herald<'a>, Failure> {
        let notify = self.notify.as_deref().map(|text| url("--notify", text)).transpose()?;
        Herald::new(placed, header, driver, notify)
    }
}

/// What the proxies themselves count.
fn of_proxies<'a>(placed: &'a Placed, proxies: &Proxies) -> impl Meter + 'a {
    let (cluster, proxies) = (&placed.cluster, proxies.clone());
    let Target { stable, canary, .. } = &placed.target;
    EnvoyMeter::new(move || proxies.counters(cluster), stable.clone(), canary.clone())
}

/// A value of a flag, as it is typed.
pub(super) fn word(flag: &str, value: &impl clap::ValueEnum) -> Option<String> {
    let value = value.to_possible_value()?;
    Some(format!("--{flag}={}", value.get_name()))
}

/// Whether this is an address of the machine that asks.
fn is_own(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// What this flag says, as an address.
pub(super) fn url(flag: &str, text: &str) -> Result<Url, Failure> {
    Url::parse(text)
        .map_err(|e| Failure::new(Kind::Usage, format!("`{flag} {}` is no URL", text.escape_debug())).caused_by(e))
}

/// Everything that a release on a mesh is driven with.
pub(super) struct Drive<'a> {
    pub(super) placed: &'a Placed,
    pub(super) watching: &'a Watching,
    pub(super) header: &'a Header,
    pub(super) machine: Machine,
    pub(super) proxies: Proxies,
    pub(super) meter: Box<dyn Meter + 'a>,
    pub(super) herald: Herald<'a>,
    pub(super) lease: Lease<'a>,
    pub(super) journal: Journal,
    pub(super) takes_over: Option<TakeOver>,
}

impl Drive<'_> {
    /// To its end, and what is left of it taken away.
    pub(super) fn run(self, screen: Screen, interrupt: &Interrupt, context: &Context) -> Result<Exit, Failure> {
        let Placed { cluster, target, .. } = self.placed;
        let (header, mut screen, mut herald) = (self.header, screen, self.herald);
        let path = self.journal.path().to_owned();
        let board = Board::default();
        let router = MeshRouter::new(cluster, target.clone(), self.proxies, self.lease, board.clone());
        let mut driver = Driver {
            machine: self.machine,
            router: router
                .reasserting(self.watching.reassert.clone())
                .going_on(self.takes_over.as_ref().map(|left| left.weight)),
            meter: self.meter,
            journal: self.journal,
            interrupt,
            takes_over: self.takes_over,
            freezes: self.watching.freezes(self.placed).to_vec(),
        };
        let end = driver.run(&mut |input, decision| {
            screen.see(input, decision);
            herald.tell(input, decision);
            *board.borrow_mut() = Progress::of(input, decision, screen.summary()).text();
        });
        let lag = driver.router.lag().map(str::to_owned);
        let outcome = end.as_ref().map_or(Outcome::Stuck, |end| end.outcome);
        let tidied = match outcome {
            // Where traffic is not known to be safe, the mark says to others who drove it, and what the weights were.
            Outcome::Stuck => Ok(()),
            Outcome::Held => target.remark(cluster, &header.id, |mark| mark.held = true),
            outcome => target.unmark(cluster, &header.id, outcome != Outcome::Conflict),
        };
        if let Err(failure) = tidied {
            let note = format!("The mark of the release stays on the route: {}", failure.with_causes());
            context.ui.note(&note);
        }
        driver.router.release();
        herald.end(FLUSH);
        cluster.flush(FLUSH);
        let released: Released = screen.report(header, end?, &path);
        if let Some(lag) = lag.filter(|_| outcome == Outcome::Stuck) {
            context.ui.note(&format!("Not everywhere in force: {lag}"));
        }
        context.ui.report(&released);
        match outcome {
            Outcome::Stuck => context.ui.note(&by_hand(target)),
            Outcome::Held => {
                for verb in ["resume", "abort"] {
                    context
                        .ui
                        .note(&format!("  {}", context.typed(&format!("canary {verb}"))));
                }
            }
            _ => {}
        }
        Ok(exit(outcome))
    }
}

/// `ann@build-3/7f3a01`, as others are told.
pub(super) fn driver_name(context: &Context, id: &str) -> String {
    format!("{}/{id}", person(context))
}

/// `ann@build-3`: who types.
pub(super) fn person(context: &Context) -> String {
    let user = context.environment.text("USER").unwrap_or("msctl");
    format!("{user}@{}", host())
}

/// What a person types where msctl cannot do it.
pub(super) fn by_hand(target: &Target) -> String {
    let canary = target.canary.subset.as_deref().unwrap_or(&target.canary.host);
    let edit = |route: &Route| format!("kubectl edit {} {} -n {}", route.plural(), route.name, route.namespace);
    let edits: Vec<String> = target.routes.iter().map(edit).collect();
    format!("By hand: {}    and give {canary} the weight 0", edits.join("; "))
}
