//! All checks of one run, two at a time, in a report whose order does not depend on who was first.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::channel;

use super::bench::Bench;
use super::judge::{Evidence, Reason, judge, sum};
use super::{CheckReport, GateReport, Request, Verdict, tools};
use crate::config::service::Check;
use crate::failure::{Failure, Kind};
use crate::process::{Clock, Interrupt};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A check began.
    Started(Check),
    /// A check has its answer.
    Ended(Check, Verdict),
}

/// Two tools at a time: most of them use more than one core.
const AT_ONCE: usize = 2;

/// Makes the checks that are asked for. `tell` is called on this thread as things happen.
pub fn run(request: &Request, interrupt: &Interrupt, tell: &mut dyn FnMut(Event)) -> Result<GateReport, Failure> {
    let clock = Clock::start();
    let bench = Bench::new(request, interrupt, Clock::now())?;
    let asked = Check::ALL.into_iter().filter(|check| request.checks.contains(check));
    let waiting = Mutex::new(asked);
    let (say, said) = channel();
    let mut reports: Vec<CheckReport> = Vec::new();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            let (say, waiting, bench) = (say.clone(), &waiting, &bench);
            scope.spawn(move || {
                while let Some(check) = next(waiting) {
                    _ = say.send((Event::Started(check), None)); // the receiver outlives the scope
                    let report = make(check, bench);
                    _ = say.send((Event::Ended(check, report.verdict), Some(report)));
                }
            });
        }
        drop(say);
        for (event, report) in said {
            tell(event);
            reports.extend(report);
        }
    });
    if let Some(kind) = interrupt.asked() {
        return Err(Failure::new(kind, "the gate was interrupted").note("No verdict was given."));
    }
    reports.sort_by_key(|report| report.check);
    Ok(sum(reports, request.fail_on, took_ms(&clock)))
}

fn next(waiting: &Mutex<impl Iterator<Item = Check>>) -> Option<Check> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).next()
}

fn make(check: Check, bench: &Bench<'_>) -> CheckReport {
    let clock = Clock::start();
    let tool = match check {
        Check::Dockerfile => "hadolint",
        Check::Manifests | Check::Secrets | Check::Image => "trivy",
        Check::Lint => "golangci-lint",
        Check::Audit => "govulncheck",
    };
    let made = if bench.interrupt.asked().is_some() {
        Err(Failure::new(Kind::Interrupted, "interrupted"))
    } else {
        match check {
            Check::Dockerfile => tools::hadolint::check(bench),
            Check::Manifests => tools::trivy::manifests::check(bench),
            Check::Secrets => tools::trivy::secrets::check(bench),
            Check::Image => tools::trivy::image::check(bench),
            Check::Lint => tools::golangci::check(bench),
            Check::Audit => tools::govulncheck::check(bench),
        }
    };
    let mut evidence = made.unwrap_or_else(|failure| {
        let mut evidence = Evidence::of(tool);
        evidence.doubt(failure);
        evidence
    });
    for gap in bench.tree.gaps(check) {
        evidence.not_applicable = None;
        evidence.doubt(Reason::new(gap));
    }
    judge(check, evidence, bench.request.fail_on, took_ms(&clock))
}

fn took_ms(clock: &Clock) -> u64 {
    u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX)
}
