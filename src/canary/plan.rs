//! The plan of a release: its steps, its times, and what the judge is told. Pure.

use serde::{Deserialize, Serialize};

use super::judge::Settings;
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
        }
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
}
