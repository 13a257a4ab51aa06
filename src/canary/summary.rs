//! What a release came to, step by step, folded from what was seen and decided. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::count::Counts;
use super::journal::Entry;
use super::machine::{Ask, Decision, Effect, Input, Reason};
use crate::config::units::Weight;

/// One step of a release, as it went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// The weight that was asked for, per mille.
    pub asked: Weight,
    /// The canary's share of the requests sent while it was in force; none without requests.
    pub measured: Option<f64>,
    /// The canary's requests that ended in this step.
    pub canary_requests: u64,
    /// Of these, failed.
    pub canary_failed: u64,
    /// Stable's requests that ended in this step.
    pub stable_requests: u64,
    /// Of these, failed.
    pub stable_failed: u64,
    /// How strong the evidence of harm was at its end: 1 is none, 1/alpha rolls back.
    pub harm: f64,
    /// How strong the proof of safety was: 1/alpha is enough.
    pub safe: f64,
    /// How many more requests of the canary were needed.
    pub needed: Option<u64>,
    /// How long it was watched, in milliseconds.
    pub took_ms: u64,
}

/// A release so far.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Its steps, as they came; the way back is none.
    pub rows: Vec<Row>,
    /// The weight that was read last.
    pub weight: Option<Weight>,
    /// The weight that was asked for last.
    pub asked: Weight,
    /// Why it turned back, if it did.
    pub why: Option<Reason>,
    /// Who asked to go back, if somebody did.
    pub by: Option<String>,
    /// Who took a step as done, if somebody did.
    pub promoted_by: Option<String>,
    /// What shows that somebody else moved traffic, if somebody did.
    pub others: Option<String>,
    /// Who asked for a step to be taken as done last.
    asker: Option<String>,
    began: u64,
    base: Option<(Counts, Counts)>,
    now: Option<(Counts, Counts)>,
}

impl Default for Summary {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            weight: None,
            asked: Weight::NONE,
            why: None,
            by: None,
            promoted_by: None,
            asker: None,
            others: None,
            began: 0,
            base: None,
            now: None,
        }
    }
}

impl Summary {
    /// Of all that was seen and decided.
    pub fn of(entries: &[Entry]) -> Self {
        let mut summary = Self::default();
        for entry in entries {
            summary.add(&entry.input, &entry.decision);
        }
        summary
    }

    /// Takes the next thing that was seen and decided.
    pub fn add(&mut self, input: &Input, decision: &Decision) {
        match input {
            Input::Asked {
                ask: Ask::Abort, by, ..
            } => self.by = Some(by.clone()),
            Input::Asked {
                ask: Ask::Promote { .. } | Ask::Finish { .. },
                by,
                ..
            } => self.asker = Some(by.clone()),
            Input::Taken { why, .. } => self.others = Some(why.clone()),
            _ => {}
        }
        if decision.reason == Reason::Promoted {
            self.promoted_by.clone_from(&self.asker);
        }
        let counters = match input {
            Input::Counters { stable, canary, .. } => Some((*stable, *canary)),
            _ => None,
        };
        match decision.reason {
            Reason::Settled => self.settled(input.at(), decision, counters),
            Reason::Returning | Reason::Returned | Reason::Over | Reason::Settling | Reason::Begin => {}
            _ => self.update(input.at(), decision, counters),
        }
        if decision.effects.contains(&Effect::Write(Weight::NONE)) && self.why.is_none() {
            self.why = Some(decision.reason.clone());
        }
        self.asked = decision.asked;
        self.weight = input.weight();
    }

    fn settled(&mut self, at: u64, decision: &Decision, counters: Option<(Counts, Counts)>) {
        self.began = at;
        self.base = counters;
        self.now = counters;
        self.rows.push(Row {
            asked: decision.asked,
            measured: None,
            canary_requests: 0,
            canary_failed: 0,
            stable_requests: 0,
            stable_failed: 0,
            harm: value(decision.evidence.harm),
            safe: value(decision.evidence.safe),
            needed: decision.needed,
            took_ms: 0,
        });
    }

    fn update(&mut self, at: u64, decision: &Decision, counters: Option<(Counts, Counts)>) {
        self.now = counters.or(self.now);
        let (Some(base), Some(now), Some(row)) = (self.base.or(self.now), self.now, self.rows.last_mut()) else {
            return;
        };
        self.base = Some(base);
        let (stable, canary) = (now.0.since(&base.0), now.1.since(&base.1));
        let sent = stable.sent.saturating_add(canary.sent);
        row.measured = (sent > 0).then(|| share(canary.sent, sent));
        (row.canary_requests, row.canary_failed) = (canary.requests, canary.failed);
        (row.stable_requests, row.stable_failed) = (stable.requests, stable.failed);
        row.harm = value(decision.evidence.harm);
        row.took_ms = at.saturating_sub(self.began);
        row.safe = value(decision.evidence.safe);
        row.needed = decision.needed;
    }

    /// Requests that failed at the canary, over all steps.
    pub fn harmed(&self) -> u64 {
        self.rows
            .iter()
            .fold(0, |sum, row| row.canary_failed.saturating_add(sum))
    }
}

/// Evidence as a number; what is beyond a billion is as good as that.
fn value(log: f64) -> f64 {
    log.exp().min(1e9)
}

#[expect(clippy::cast_precision_loss, reason = "counters stay far below 2^53")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}
