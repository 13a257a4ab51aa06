//! The decision rules of Flagger and of Argo Rollouts, beside which msctl is measured.
//!
//! These are re-implementations of the *rules*, from reading the projects' sources, not the controllers: no Kubernetes, no
//! readiness, no webhooks, and a metric is exact and there at once (their `rate()` would lose a new series' first increment).
//! The weight goes by the clock: it does not wait while a check fails.

use super::kayenta;
use super::release::{End, Run};
use super::world::{CANARY, History, Tally};

/// What the rule is given to look at. Flagger and Argo hold an absolute bar against the canary's; Kayenta compares arms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    /// The share of requests that did not fail.
    Success,
    /// The 99th percentile of the answers' times: at most 500 ms, as Flagger's documents have it.
    Latency,
}

const LONGEST: f64 = 500.0;

/// A rule with its settings; times in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Anchor {
    /// Flagger's counter of failed checks (`pkg/controller/scheduler.go`): checks that failed are added up over the whole analysis,
    /// success takes none away, and the tick *after* the one that reached the threshold rolls back.
    Flagger {
        interval: u64,
        threshold: u64,
        least: f64,
        window: u64,
    },
    /// Argo Rollouts' phases of measurements (`analysis/analysis.go`) with a `successCondition` alone: measurements that failed are
    /// added up, NaN is one, and beyond `failureLimit` the analysis fails, which aborts.
    Argo {
        interval: u64,
        limit: u64,
        least: f64,
        window: u64,
    },
    /// Kayenta's judge: see [`kayenta`].
    Kayenta,
    /// A rule that never aborts: a control of the simulator.
    Never,
    /// A rule that aborts at the canary's first failed request: another.
    First,
}

const MINUTE: u64 = 60_000;

/// The example of Flagger's documents.
pub(crate) const FLAGGER: Anchor = Anchor::Flagger {
    interval: MINUTE,
    threshold: 5,
    least: 0.99,
    window: MINUTE,
};

/// As fast as Flagger lets itself be set: its shortest interval.
pub(crate) const FLAGGER_TUNED: Anchor = Anchor::Flagger {
    interval: 10_000,
    threshold: 3,
    least: 0.99,
    window: MINUTE,
};

/// Argo's default `failureLimit`, looked at each minute.
pub(crate) const ARGO: Anchor = Anchor::Argo {
    interval: MINUTE,
    limit: 0,
    least: 0.99,
    window: MINUTE,
};

pub(crate) const ARGO_TUNED: Anchor = Anchor::Argo {
    interval: 10_000,
    limit: 2,
    least: 0.99,
    window: MINUTE,
};

/// The example of Argo's documents.
pub(crate) const ARGO_DOCUMENTED: Anchor = Anchor::Argo {
    interval: 5 * MINUTE,
    limit: 3,
    least: 0.95,
    window: 5 * MINUTE,
};

impl Anchor {
    /// What the rule does, watched until then.
    pub(crate) fn run(self, metric: Metric, history: &mut History, until: u64) -> Run {
        let aborted = match self {
            Self::Flagger {
                interval,
                threshold,
                least,
                window,
            } => {
                let mut failed = 0;
                ticks(interval, until).find(|at| {
                    let over = failed >= threshold;
                    failed += u64::from(fails(metric, &history.window(CANARY, *at, window), least));
                    over
                })
            }
            Self::Argo {
                interval,
                limit,
                least,
                window,
            } => {
                let mut failed = 0;
                ticks(interval, until).find(|at| {
                    failed += u64::from(fails(metric, &history.window(CANARY, *at, window), least));
                    failed > limit
                })
            }
            Self::Kayenta => kayenta::aborts(metric, history, until),
            Self::Never => None,
            Self::First => ticks(history.tick(), until).find(|at| history.until(*at)[CANARY].failed > 0),
        };
        let at = aborted.unwrap_or(until);
        let Tally { requests, failed, .. } = history.until(at)[CANARY];
        Run {
            end: if aborted.is_some() { End::Aborted } else { End::Stands },
            at,
            requests,
            failed,
            unproven: false,
            looks: 0,
        }
    }
}

/// The first tick comes one interval after the first request could.
pub(crate) fn ticks(interval: u64, until: u64) -> impl Iterator<Item = u64> {
    (1..=until / interval).map(move |tick| tick * interval)
}

/// Whether a check fails: beyond the bar, or without a value.
fn fails(metric: Metric, canary: &Tally, least: f64) -> bool {
    match metric {
        Metric::Success => canary.failing().is_none_or(|failing| 1.0 - failing < least),
        Metric::Latency => canary.p99().is_none_or(|p99| p99 > LONGEST),
    }
}
