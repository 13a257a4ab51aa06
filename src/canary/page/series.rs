//! What came in over time, in few enough points for a page: stretches of a release. Pure.

use crate::canary::count::{Cases, CasesOfBoth, Counts, EDGES, Metered, since};
use crate::canary::journal::Entry;
use crate::canary::judge::{Evidence, FIRST_EDGE};
use crate::canary::machine::{Input, Reason};
use crate::canary::replay::outcome;
use crate::config::units::Weight;

/// So many stretches where no weight changes; each change begins another one.
const STRETCHES: u64 = 120;
/// So many changes of a weight are drawn: a release has a handful.
const CHANGES: usize = 2_000;

/// What came in between two points of the plots.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stretch {
    /// Its end, in milliseconds since the release began.
    pub(super) to: u64,
    /// The weight that was asked for while it lasted.
    pub(super) asked: Weight,
    /// The weight that was read last.
    pub(super) weight: Option<Weight>,
    /// The canary's share of the requests sent since its step began, up to its end; none without requests.
    pub(super) measured: Option<f64>,
    /// What came in: of stable, and of the canary.
    pub(super) stable: Counts,
    pub(super) canary: Counts,
    /// The same by the metrics of the user's own.
    metrics: Metered,
    /// The evidence at its end.
    pub(super) evidence: Evidence,
}

impl Stretch {
    /// What a metric counted.
    pub(super) fn of(&self, metric: &str) -> CasesOfBoth {
        self.metrics.get(metric).copied().unwrap_or_default()
    }
}

/// A release over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Series {
    /// In their order.
    pub(super) stretches: Vec<Stretch>,
    /// When which weight was asked for.
    pub(super) asked: Vec<(u64, Option<Weight>)>,
    /// When which weight was read back; none where the router did not say.
    pub(super) read: Vec<(u64, Option<Weight>)>,
    /// When it ended, or was seen last.
    pub(super) end: u64,
}

impl Series {
    /// Up to the decision that ended the release.
    pub(super) fn new(entries: &[Entry]) -> Self {
        let last = entries.iter().position(|e| outcome(&e.decision).is_some());
        let entries = last.map_or(entries, |last| &entries[..=last]);
        let end = entries.iter().map(|e| e.input.at()).max().unwrap_or(0);
        let mut series = Self { end, ..Self::default() };
        let mut width = 0;
        if entries.len() as u64 > STRETCHES {
            width = end.div_ceil(STRETCHES);
        }
        let (mut clock, mut asked, mut fresh) = (0, Weight::NONE, true);
        let (mut began, mut base, mut sent) = (0_u64, None, [0_u64; 2]);
        let mut base_of_metrics = None;
        for entry in entries {
            // Time does not go back; a journal that says so is drawn as if it stood still.
            clock = entry.input.at().max(clock);
            let new = came_in(&mut base, &entry.input);
            let new_metrics = metrics_came_in(&mut base_of_metrics, &entry.input);
            let read = entry.input.weight();
            let sum = if fresh { [0; 2] } else { sent };
            sent = [sum[0].saturating_add(new.0.sent), sum[1].saturating_add(new.1.sent)];
            if fresh || clock >= began.saturating_add(width) {
                series.stretches.push(Stretch {
                    to: clock,
                    asked,
                    weight: read,
                    measured: None,
                    stable: Counts::default(),
                    canary: Counts::default(),
                    metrics: Metered::new(),
                    evidence: entry.decision.evidence.clone(),
                });
                began = clock;
            }
            if let Some(stretch) = series.stretches.last_mut() {
                stretch.to = clock;
                stretch.weight = read;
                stretch.measured = share(sent[1], sent[0].saturating_add(sent[1]));
                stretch.evidence.clone_from(&entry.decision.evidence);
                add(&mut stretch.stable, &new.0);
                add(&mut stretch.canary, &new.1);
                add_metrics(&mut stretch.metrics, &new_metrics);
            }
            let looked = !matches!(
                entry.input,
                Input::Stop { .. } | Input::Asked { .. } | Input::Resumed { .. } | Input::Moving { .. }
            );
            if looked {
                changed(&mut series.read, clock, read);
            }
            changed(&mut series.asked, clock, Some(entry.decision.asked));
            fresh = entry.decision.asked != asked || entry.decision.reason == Reason::Settled;
            asked = entry.decision.asked;
        }
        series
    }

    /// The latency that tells the arms apart best: where the canary's share of slower answers is farthest from stable's.
    pub(super) fn telling_edge(&self) -> usize {
        let mut sums = [Counts::default(); 2];
        let both = |s: &&Stretch| s.stable.requests > 0 && s.canary.requests > 0;
        for stretch in self.stretches.iter().filter(both) {
            add(&mut sums[0], &stretch.stable);
            add(&mut sums[1], &stretch.canary);
        }
        let apart = |edge: usize| {
            let [stable, canary] = sums.map(|c| share(c.slower[edge], c.requests).unwrap_or(0.0));
            (canary - stable).abs()
        };
        let edges = FIRST_EDGE..EDGES.len();
        edges
            .rev()
            .max_by(|a, b| apart(*a).total_cmp(&apart(*b)))
            .unwrap_or(FIRST_EDGE)
    }
}

/// What came in of stable and the canary since the counters were seen last.
fn came_in(base: &mut Option<(Counts, Counts)>, input: &Input) -> (Counts, Counts) {
    let Input::Counters { stable, canary, .. } = input else {
        return Default::default();
    };
    let before = base.replace((*stable, *canary));
    before.map_or_else(Default::default, |(s, c)| (stable.since(&s), canary.since(&c)))
}

/// The same by the metrics of the user's own.
fn metrics_came_in(base: &mut Option<Metered>, input: &Input) -> Metered {
    let Input::Counters { metrics, .. } = input else {
        return Metered::new();
    };
    let before = base.replace(metrics.clone());
    before.map_or_else(Metered::new, |before| since(metrics, &before))
}

fn add_metrics(sum: &mut Metered, new: &Metered) {
    let add = |sum: &mut Option<Cases>, new: Option<Cases>| {
        let Some(new) = new else { return };
        let sum = sum.get_or_insert_default();
        sum.total = sum.total.saturating_add(new.total);
        sum.bad = sum.bad.saturating_add(new.bad);
    };
    for (name, new) in new {
        let sum = sum.entry(name.clone()).or_default();
        add(&mut sum.stable, new.stable);
        add(&mut sum.canary, new.canary);
    }
}

fn add(sum: &mut Counts, new: &Counts) {
    sum.sent = sum.sent.saturating_add(new.sent);
    sum.requests = sum.requests.saturating_add(new.requests);
    sum.failed = sum.failed.saturating_add(new.failed);
    for (sum, new) in sum.slower.iter_mut().zip(new.slower) {
        *sum = sum.saturating_add(new);
    }
}

fn changed(line: &mut Vec<(u64, Option<Weight>)>, at: u64, weight: Option<Weight>) {
    if line.len() < CHANGES && line.last().is_none_or(|(_, before)| *before != weight) {
        line.push((at, weight));
    }
}

/// As a share, 0..=1; none of nothing.
pub(super) fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| number(part) / number(whole))
}

#[expect(clippy::cast_precision_loss, reason = "for the eye")]
pub(super) fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::super::tests::{entries, plan};
    use super::*;

    #[test]
    fn thinned_points_hold_all_that_came_in() {
        let entries = entries(&plan(), 5_000, 9);
        let series = Series::new(&entries);
        assert!(series.stretches.len() < 500, "{}", series.stretches.len());
        let counters = |entry: Option<&Entry>| match entry.map(|e| &e.input) {
            Some(Input::Counters { stable, canary, .. }) => (*stable, *canary),
            _ => panic!("a look with counters"),
        };
        let (first, last) = (counters(entries.first()), counters(entries.last()));
        let sum = |of: fn(&Stretch) -> u64| series.stretches.iter().map(of).sum::<u64>();
        assert_eq!(
            (sum(|s| s.stable.requests), sum(|s| s.canary.failed)),
            (last.0.requests - first.0.requests, last.1.failed)
        );
        assert!(last.1.failed > 0);
        assert!(series.stretches.is_sorted_by_key(|s| s.to));
    }

    #[test]
    fn a_short_release_is_drawn_look_by_look() {
        let entries = entries(&plan(), 60, 9);
        assert_eq!(Series::new(&entries).stretches.len(), entries.len());
    }

    #[test]
    fn the_latency_that_tells_the_arms_apart_is_found() {
        let mut entries = entries(&plan(), 60, 9);
        for (at, entry) in (0_u64..).zip(&mut entries) {
            if let Input::Counters { stable, canary, .. } = &mut entry.input {
                stable.slower[2] = at * 5;
                (canary.slower[2], canary.slower[6]) = (at, at);
            }
        }
        assert_eq!(EDGES[Series::new(&entries).telling_edge()], 100);
    }
}
