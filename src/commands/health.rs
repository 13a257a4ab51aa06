//! `msctl health`: whether a service is healthy, and why not.

use std::time::Duration;

use super::Context;
use crate::config::units::Span;
use crate::failure::{Exit, Failure};
use crate::observe::health::ask::{HealthRequest, ask, ask_until_healthy};
use crate::observe::health::{Dimension, Health, Probe, Red, State, Verdict};
use crate::remote::http::Http;
use crate::ui::{Page, Report, clean, count, duration};

/// The arguments of `msctl health`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  msctl health --url http://127.0.0.1:8080
  msctl health --url http://127.0.0.1:8080 --metrics http://127.0.0.1:9100/metrics
  msctl health --url http://127.0.0.1:8080 --wait 30s

Exit codes: 0 healthy, 1 degraded or down, 2 could not tell")]
pub struct Args {
    /// The service: /livez, /readyz and /startupz are asked below this URL
    #[arg(long)]
    url: String,

    /// Also read requests, errors and duration from these Prometheus metrics
    #[arg(long, value_name = "URL")]
    metrics: Option<String>,

    /// Give each answer this long
    #[arg(long, value_name = "DURATION", default_value = "2s")]
    timeout: Span,

    /// Ask again until it is healthy, at most this long
    #[arg(long, value_name = "DURATION")]
    wait: Option<Span>,
}

/// Asks, and shows the verdict.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let request = HealthRequest::new(&args.url, args.metrics.as_deref(), args.timeout.duration())?;
    let http = Http::new()?;
    let health = match args.wait {
        None => ask(&http, &request),
        Some(within) => {
            let progress = context.ui.progress("asking");
            ask_until_healthy(&http, &request, within.duration(), |health| {
                progress.says(&format!("{}: {}", health.target, health.summary));
            })
        }
    };
    context.ui.report(&health);
    Ok(match health.verdict {
        Verdict::Healthy => Exit::Done,
        Verdict::Degraded | Verdict::Down => Exit::No,
        Verdict::CouldNotTell => Exit::CouldNotTell,
    })
}

impl Report for Health {
    const SCHEMA: &'static str = "msctl.health.report/v1";

    fn human(&self, page: &mut Page) {
        let word = match self.verdict {
            Verdict::Healthy => page.paint.good("HEALTHY"),
            Verdict::Degraded => page.paint.bad("DEGRADED"),
            Verdict::Down => page.paint.bad("DOWN"),
            Verdict::CouldNotTell => page.paint.doubt("COULD NOT TELL"),
        };
        page.line(format!("{word} {}: {}", clean(&self.target), self.summary));
        for cause in &self.causes {
            page.line(format!("  {}", clean(&cause.what)));
            for check in &cause.checks {
                page.line(format!("    {}", clean(check)));
            }
        }
        let well: Vec<String> = self
            .probes
            .iter()
            .filter(|p| p.state == State::Ok)
            .map(ok_text)
            .collect();
        if !well.is_empty() {
            page.line(format!("  ok: {}", well.join(", ")));
        }
        if let Some(red) = &self.red {
            page.line(format!("  since its start: {}", red_text(red)));
        }
        for (why, what) in unknowns(self) {
            page.line(format!("  unknown: {} ({})", what.join(", "), clean(&why)));
        }
        for hint in &self.hints {
            page.line(format!("  {} {}", page.paint.typed("hint:"), clean(hint)));
        }
    }
}

/// `readiness (db, cache)`.
fn ok_text(probe: &Probe) -> String {
    let checks: Vec<String> = probe
        .checks
        .iter()
        .filter(|c| !c.fails)
        .map(|c| clean(&c.name))
        .collect();
    let word = probe.dimension.word();
    if checks.is_empty() || probe.dimension != Dimension::Readiness {
        word.to_owned()
    } else {
        format!("{word} ({})", checks.join(", "))
    }
}

/// `1 204 requests, 0.3 % failed, 99 % within 25 ms`.
fn red_text(red: &Red) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a share to one decimal")]
    let failed = red.failed.map_or("failures not told".to_owned(), |failed| {
        format!("{:.1} % failed", 100.0 * failed as f64 / red.requests.max(1) as f64)
    });
    let slow = match red.p99_seconds {
        Some(p99) => format!(", 99 % within {}", duration(Duration::from_secs_f64(p99))),
        None => String::new(),
    };
    format!("{} requests, {failed}{slow}", count(red.requests))
}

/// What is not known, by reason.
fn unknowns(health: &Health) -> Vec<(String, Vec<String>)> {
    let mut by_reason: Vec<(String, Vec<String>)> = Vec::new();
    for unknown in &health.unknown {
        match by_reason.iter_mut().find(|(why, _)| *why == unknown.why) {
            Some((_, what)) => what.push(unknown.what.clone()),
            None => by_reason.push((unknown.why.clone(), vec![unknown.what.clone()])),
        }
    }
    by_reason
}
