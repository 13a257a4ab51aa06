//! What a release came to, step by step, folded from what was seen and decided. Pure.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::count::{Cases, Counts, Metered, since};
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
    /// The same of the metrics of the user's own, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, MetricRow>,
}

/// One metric in one step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricRow {
    /// What the canary's counters counted in this step; none where there are none.
    pub canary: Option<Cases>,
    /// What stable's did.
    pub stable: Option<Cases>,
    /// How strong the evidence of harm was at its end, by this metric alone.
    pub harm: f64,
    /// How strong the proof of safety was: 1/alpha is enough.
    pub safe: f64,
    /// How many more cases of the canary were needed.
    pub needed: Option<u64>,
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
    /// The metric of the user's own that showed the canary to be worse, if one did.
    pub worst: Option<String>,
    /// Who asked to go back, if somebody did.
    pub by: Option<String>,
    /// Who took a step as done, if somebody did.
    pub promoted_by: Option<String>,
    /// What shows that somebody else moved traffic, if somebody did.
    pub others: Option<String>,
    /// Why traffic could not be moved, or be seen where it is, the last time that it was so.
    pub lost: Option<String>,
    /// Who asked for a step to be taken as done last.
    asker: Option<String>,
    began: u64,
    base: Option<Counters>,
    now: Option<Counters>,
}

/// All that is counted.
#[derive(Clone, Debug)]
struct Counters {
    stable: Counts,
    canary: Counts,
    metrics: Metered,
}

impl Default for Summary {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            weight: None,
            asked: Weight::NONE,
            why: None,
            worst: None,
            by: None,
            promoted_by: None,
            asker: None,
            others: None,
            lost: None,
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
            Input::Lost { why, .. } => self.lost = Some(why.clone()),
            _ => {}
        }
        if decision.reason == Reason::Promoted {
            self.promoted_by.clone_from(&self.asker);
        }
        let counters = match input {
            Input::Counters {
                stable,
                canary,
                metrics,
                ..
            } => Some(Counters {
                stable: *stable,
                canary: *canary,
                metrics: metrics.clone(),
            }),
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
        if decision.reason == Reason::Harm {
            self.worst = decision.evidence.worst().map(str::to_owned);
        }
        self.asked = decision.asked;
        self.weight = input.weight();
    }

    fn settled(&mut self, at: u64, decision: &Decision, counters: Option<Counters>) {
        self.began = at;
        self.base.clone_from(&counters);
        let begun = counters
            .as_ref()
            .map(|c| since(&c.metrics, &c.metrics))
            .unwrap_or_default();
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
            metrics: metrics(decision, &begun),
        });
        self.now = counters;
    }

    fn update(&mut self, at: u64, decision: &Decision, counters: Option<Counters>) {
        if counters.is_some() {
            self.now = counters;
        }
        if self.base.is_none() {
            self.base.clone_from(&self.now);
        }
        let (Some(base), Some(now), Some(row)) = (&self.base, &self.now, self.rows.last_mut()) else {
            return;
        };
        let (stable, canary) = (now.stable.since(&base.stable), now.canary.since(&base.canary));
        let sent = stable.sent.saturating_add(canary.sent);
        row.measured = (sent > 0).then(|| share(canary.sent, sent));
        (row.canary_requests, row.canary_failed) = (canary.requests, canary.failed);
        (row.stable_requests, row.stable_failed) = (stable.requests, stable.failed);
        row.harm = value(decision.evidence.harm);
        row.took_ms = at.saturating_sub(self.began);
        row.safe = value(decision.evidence.safe);
        row.needed = decision.needed;
        row.metrics = metrics(decision, &since(&now.metrics, &base.metrics));
    }

    /// Requests that failed at the canary, over all steps.
    pub fn harmed(&self) -> u64 {
        self.rows
            .iter()
            .fold(0, |sum, row| row.canary_failed.saturating_add(sum))
    }
}

/// The metrics that were judged by, with what came in of each.
fn metrics(decision: &Decision, new: &Metered) -> BTreeMap<String, MetricRow> {
    let judged = decision.evidence.metrics.iter().map(|(name, evidence)| {
        let new = new.get(name).copied().unwrap_or_default();
        let row = MetricRow {
            canary: new.canary,
            stable: new.stable,
            harm: value(evidence.harm),
            safe: value(evidence.safe),
            needed: evidence.needed,
        };
        (name.clone(), row)
    });
    judged.collect()
}

/// Evidence as a number; what is beyond a billion is as good as that.
fn value(log: f64) -> f64 {
    log.exp().min(1e9)
}

#[expect(clippy::cast_precision_loss, reason = "counters stay far below 2^53")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}
