//! Metrics of the user's own: on the counts of each, the tests that failures have. Pure.
//!
//! A metric is bad at the canary if it is so more than `tolerance` × as often as at stable, and it is shown to be safe if it is bad
//! less often than the bar, or less than twice as often as at stable: stable alone would not do, for where nothing is ever bad there
//! is nothing that could be twice as much. Where stable has no traffic neither is asked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Binomial, Proof, Settings, WORSE, fewest, mean, number, worse};
use crate::canary::count::CasesOfBoth;

/// The share of all of them in `harm`; what is left is the others', each with its share of that.
pub(super) const SHARE: f64 = 0.3;

/// Evidence by one metric: natural logarithms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricEvidence {
    /// That the canary does harm.
    pub harm: f64,
    /// That this step's canary stays below what is harmful.
    pub safe: f64,
    /// How many more cases of the canary the proof needs, as bad as those so far; none when no number would do.
    pub needed: Option<u64>,
}

/// What is known by one metric.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Own {
    harm: [f64; WORSE.len()],
    /// Anew with every step.
    step: Proof,
}

impl Own {
    pub(super) fn next_step(&mut self) {
        self.step = Proof::default();
    }

    /// Takes what came in. What is not known of an arm says nothing.
    pub(super) fn observe(&mut self, settings: &Settings, new: &CasesOfBoth) {
        let (stable, canary) = (new.stable.unwrap_or_default(), new.canary.unwrap_or_default());
        let total = [number(canary.total), number(stable.total)];
        let bad = [number(canary.bad), number(stable.bad)];
        let Binomial { requests, failed } = &mut self.step.absolute;
        *requests = requests.saturating_add(canary.total);
        *failed = failed.saturating_add(canary.bad);
        if canary.total == 0 || stable.total == 0 {
            return;
        }
        worse(&mut self.harm, settings, total, bad);
        self.step.compare(total, bad);
    }

    /// As it stands: held against this bar, and needing as much as that to be shown.
    pub(super) fn evidence(&self, bar: f64, threshold: f64) -> MetricEvidence {
        let seen = self.step.absolute;
        MetricEvidence {
            harm: mean(&self.harm),
            safe: self.step.safe(bar, seen),
            needed: fewest(|more| {
                let cases = Binomial {
                    requests: seen.requests.saturating_add(more),
                    failed: seen.failed.saturating_add(seen.as_bad(more)),
                };
                self.step.safe(bar, cases) >= threshold
            }),
        }
    }
}

#[cfg(test)]
mod tests;
