//! A release of msctl itself in the simulated world: the product's own machine and judge, as its driver runs them.

use msctl::canary::Metered;
use msctl::canary::machine::{Decision, Effect, Input, Machine, Outcome, Reason};
use msctl::canary::plan::Plan;
use msctl::config::units::Weight;

use super::world::{CANARY, History, STABLE, Tally};

/// How a release ended, or that it had not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The canary was taken for worse.
    Aborted,
    /// Requests were taken for split wrongly.
    Split,
    /// No proof in time.
    CouldNotTell,
    Promoted,
    /// It stood where it stood when time was up.
    Stands,
}

/// What one rule did in one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) end: End,
    /// When, in milliseconds since the canary's first request could come.
    pub(crate) at: u64,
    /// What was counted at the canary until then.
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    /// Whether a step was taken without the proof that it needs.
    pub(crate) unproven: bool,
    pub(crate) looks: u64,
}

/// One release, watched until then, or to its end.
pub(crate) fn release(plan: &Plan, history: &mut History, until: Option<u64>) -> Run {
    let mut each = |_: &Decision, _: &Tally| {};
    watched(plan, history, until, &mut each)
}

/// The same; `each` is told of every decision and of what was counted at the canary by then.
pub(crate) fn watched(
    plan: &Plan,
    history: &mut History,
    until: Option<u64>,
    each: &mut dyn FnMut(&Decision, &Tally),
) -> Run {
    let mut machine = Machine::new(plan.clone());
    let proof = machine.threshold();
    let (mut sums, mut weight, mut unproven) = ([Tally::default(); 2], Weight::NONE, false);
    for look in 0.. {
        let at = look * history.tick();
        let mut end = until.filter(|until| at >= *until).map(|_| End::Stands);
        // The driver reads back at once what it wrote, and goes on from there.
        let mut wrote = true;
        while wrote {
            let decision = machine.step(&counters(at, weight, &sums));
            each(&decision, &sums[CANARY]);
            unproven |= decision.reason == Reason::Safe && decision.evidence.safe < proof;
            wrote = false;
            for effect in &decision.effects {
                match effect {
                    Effect::Write(Weight::NONE) => end = Some(turned_back(&decision.reason)),
                    Effect::Write(to) => (weight, wrote) = (*to, end.is_none()),
                    Effect::End(outcome) => {
                        assert_eq!(*outcome, Outcome::Promoted, "{decision:?}");
                        end = Some(end.unwrap_or(End::Promoted));
                    }
                }
            }
        }
        if let Some(end) = end {
            let (requests, failed) = (sums[CANARY].requests, sums[CANARY].failed);
            let looks = look + 1;
            return Run {
                end,
                at,
                requests,
                failed,
                unproven,
                looks,
            };
        }
        for (sum, new) in sums.iter_mut().zip(&history.after(look, weight)) {
            sum.add(new);
        }
    }
    unreachable!("a release ends")
}

fn turned_back(reason: &Reason) -> End {
    match reason {
        Reason::Harm => End::Aborted,
        Reason::Split => End::Split,
        Reason::Patience => End::CouldNotTell,
        _ => unreachable!("nothing here lets a release turn back for {reason:?}"),
    }
}

fn counters(at: u64, weight: Weight, sums: &[Tally; 2]) -> Input {
    Input::Counters {
        at,
        weight,
        stable: sums[STABLE].counts(),
        canary: sums[CANARY].counts(),
        metrics: Metered::new(),
        latencies: true,
        counted: at,
        lag: 0,
        instead: None,
    }
}
