//! The plan of a release: its steps, its times, and what the judge is told. Pure.

use serde::{Deserialize, Serialize};

use super::judge::Settings;
use super::machine::OnStop;
use crate::config::metrics::Metrics;
use crate::config::service::Canary;
use crate::config::units::Weight;

/// What a release will do, as long as nothing speaks against it. All times in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Per mille of the traffic, rising; the last is 1000.
    pub steps: Vec<Weight>,
    /// How long each step is watched at least.
    pub hold: u64,
    /// How long a step may go without proof before the release gives up.
    pub patience: u64,
    /// How long a weight may take until it is read back as it was written.
    pub settle: u64,
    /// How long it is between two looks.
    pub interval: u64,
    /// What the judge is told.
    pub judge: Settings,
    /// The steps after which it waits for a person's word.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Weight>,
    /// What becomes of traffic when the driver is asked to end.
    #[serde(default)]
    pub on_stop: OnStop,
    /// What it is judged by beside requests.
    #[serde(default, skip_serializing_if = "Metrics::is_empty")]
    pub metrics: Metrics,
}

impl Plan {
    /// The plan that msctl.yaml describes, watched at this interval.
    pub fn new(canary: &Canary, interval: u64) -> Self {
        let hold = canary.hold.as_millis();
        let steps = canary.steps.weights().iter().copied().chain([Weight::ALL]);
        Self {
            steps: steps.collect(),
            hold,
            patience: hold.saturating_mul(10).max(1_800_000),
            settle: 30_000,
            interval,
            judge: Settings::new(canary.alpha, canary.tolerance),
            gates: Vec::new(),
            on_stop: OnStop::Rollback,
            metrics: canary.metrics.clone(),
        }
    }

    /// The same by requests alone, where there is no Prometheus that has the other counters.
    #[must_use]
    pub fn without_metrics(self) -> Self {
        let metrics = Metrics::default();
        Self { metrics, ..self }
    }

    /// The same plan with every time divided: what takes minutes takes seconds, if as many more requests come.
    #[must_use]
    pub fn faster(mut self, times: u64) -> Self {
        let times = times.max(1);
        self.hold /= times;
        self.patience = (self.patience / times).max(120_000.min(self.patience));
        self.interval = (self.interval / times).max(20);
        self.settle = (self.settle / times).max(5_000);
        self
    }

    /// How many milliseconds the whole takes where nothing goes wrong, `rate` requests a second coming in and `needed` of the
    /// canary's for each step's proof.
    pub fn expected(&self, rate: f64, needed: u64) -> u64 {
        let of_step = |weight: &Weight| {
            let each = 1_000.0 / (rate * weight.share()).max(1e-9);
            #[expect(clippy::cast_precision_loss, reason = "a count of requests stays far below 2^53")]
            let proof = each * needed as f64;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "positive; as saturates"
            )]
            let proof = proof.ceil() as u64;
            proof.max(self.hold)
        };
        self.steps.iter().map(of_step).fold(0, u64::saturating_add)
    }

    /// Whether a release can have it: one that was read from a file may say anything.
    pub fn check(&self) -> Result<(), String> {
        let rising = self.steps.is_sorted_by(|a, b| a < b);
        if !rising || self.steps.first() == Some(&Weight::NONE) || self.steps.last() != Some(&Weight::ALL) {
            return Err("its steps do not rise to 1000 per mille".into());
        }
        if let Some(gate) = self.gates.iter().find(|gate| !self.steps.contains(gate)) {
            return Err(format!("its gate at {gate} is at none of its steps"));
        }
        let j = &self.judge;
        for (name, value) in [("alpha", j.alpha), ("max_failed", j.max_failed)] {
            if !(value > 0.0 && value < 1.0) {
                return Err(format!("{name} {value} is not between 0 and 1"));
            }
        }
        for (name, value, least) in [
            ("tolerance", j.tolerance, 1.0),
            ("latency_tolerance", j.latency_tolerance, 1.0),
            ("latency_spread", j.latency_spread, 1.0),
            ("slack", j.slack, 0.0),
            ("latency_slack", j.latency_slack, 0.0),
            ("latency_cap", j.latency_cap, 0.0),
        ] {
            if !(value >= least && value <= 1e6) {
                return Err(format!("{name} {value} is below {least} or beyond all measure"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plan_that_is_made_is_one_that_can_be() {
        let plan = Plan::new(&Canary::default(), 5_000);
        assert_eq!((plan.check(), plan.clone().faster(50).check()), (Ok(()), Ok(())));
    }

    #[test]
    fn what_no_plan_can_say_is_refused() {
        let refused = |change: fn(&mut Plan)| {
            let mut plan = Plan::new(&Canary::default(), 5_000);
            change(&mut plan);
            plan.check().expect_err("it is refused")
        };
        let changes: [fn(&mut Plan); 11] = [
            |p| p.gates.push(Weight::NONE),
            |p| p.steps.clear(),
            |p| p.steps.reverse(),
            |p| p.steps.insert(0, Weight::NONE),
            |p| _ = p.steps.pop(),
            |p| p.judge.alpha = -1.0,
            |p| p.judge.alpha = f64::NAN,
            |p| p.judge.max_failed = 1.0,
            |p| p.judge.tolerance = 0.5,
            |p| p.judge.latency_spread = 0.0,
            |p| p.judge.slack = f64::INFINITY,
        ];
        for change in changes {
            assert!(!refused(change).is_empty());
        }
    }
}
