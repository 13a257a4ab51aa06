//! What was counted: requests, failures and slow answers of each arm. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One side of a canary release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arm {
    /// The version that runs.
    Stable,
    /// The version that is tried.
    Canary,
}

/// The latencies at which requests are told apart, in milliseconds.
pub const EDGES: [u32; 12] = [2, 5, 10, 20, 35, 50, 100, 200, 500, 1_000, 2_000, 5_000];

/// Counters of one arm since the beginning; they only grow, and start again at zero after a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Requests that were sent to it; where a meter cannot know, those that ended.
    pub sent: u64,
    /// Of these: ended, in whatever way.
    pub requests: u64,
    /// Of these: answered by 5xx, refused, broken off, or not answered in time.
    pub failed: u64,
    /// Of these: took longer than each of [`EDGES`]. One that was not answered took longer than all.
    pub slower: [u64; EDGES.len()],
}

impl Counts {
    /// Sent and not yet ended.
    pub const fn outstanding(&self) -> u64 {
        self.sent.saturating_sub(self.requests)
    }

    /// What came in since `before`. Counters that went back began anew: what they show is what came in.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let restarted = self.requests < before.requests || self.failed < before.failed;
        let base = if restarted { Self::default() } else { *before };
        let mut slower = self.slower;
        for (now, then) in slower.iter_mut().zip(base.slower) {
            *now = now.saturating_sub(then);
        }
        Self {
            sent: self.sent.saturating_sub(base.sent),
            requests: self.requests - base.requests,
            failed: self.failed - base.failed,
            slower,
        }
    }
}

/// What a metric of the user's own counted of one arm since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cases {
    /// All of them.
    pub total: u64,
    /// Of these: bad.
    pub bad: u64,
}

impl Cases {
    /// What came in since `before`. Counters that went back began anew: what they show is what came in.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let restarted = self.total < before.total || self.bad < before.bad;
        let base = if restarted { Self::default() } else { *before };
        Self {
            total: self.total - base.total,
            bad: self.bad - base.bad,
        }
    }
}

/// The same of both arms; none where no counter of an arm was ever seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CasesOfBoth {
    /// Of stable.
    pub stable: Option<Cases>,
    /// Of the canary.
    pub canary: Option<Cases>,
}

impl CasesOfBoth {
    /// What came in since `before`, whose counters stood at 0 where there were none.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let of = |now: Option<Cases>, then: Option<Cases>| Some(now?.since(&then.unwrap_or_default()));
        Self {
            stable: of(self.stable, before.stable),
            canary: of(self.canary, before.canary),
        }
    }

    /// The arms of which no counter was ever seen, in words.
    pub const fn missing(&self) -> Option<&'static str> {
        match (self.stable, self.canary) {
            (None, None) => Some("either arm"),
            (None, Some(_)) => Some("stable"),
            (Some(_), None) => Some("the canary"),
            (Some(_), Some(_)) => None,
        }
    }
}

/// Those of each metric, by its name.
pub type Metered = BTreeMap<String, CasesOfBoth>;

/// What came in of each since `before`.
pub(super) fn since(now: &Metered, before: &Metered) -> Metered {
    let of = |(name, now): (&String, &CasesOfBoth)| {
        let before = before.get(name).copied().unwrap_or_default();
        (name.clone(), now.since(&before))
    };
    now.iter().map(of).collect()
}

/// Both arms at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The time of the counters, by a clock of their own that only goes forward.
    pub at: Duration,
    /// The version that runs.
    pub stable: Counts,
    /// The version that is tried.
    pub canary: Counts,
    /// What the metrics of the user's own counted.
    pub metrics: Metered,
    /// Whether how long requests took since the last reading says something of who answered them.
    pub latencies: bool,
    /// How old what is counted may be: what was changed less than this before `at` may not show in all of it yet.
    pub lag: Duration,
    /// Why these are of another meter than the one a release is judged by, where they are: no step ends by them.
    pub instead: Option<String>,
}
