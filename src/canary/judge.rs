//! The judge: from counters to evidence, valid at every look. Pure: same counters in, same bits out, on every machine.
//!
//! Three one-sided tests, each a non-negative supermartingale that begins at 1 under its null hypothesis, so that the chance that
//! it ever reaches 1/α is at most α (Ville's inequality), however often one looks:
//!
//! - **harm**: in every interval the canary's rate of a bad event is at most `tolerance` × stable's + `slack`. Counts of both arms
//!   enter together, so common storms, ramps and drift do no harm to it (the conditional Poisson test of Lindon and Malek, 2022,
//!   made one-sided). Bad is: failed; slower than an edge. Where stable gets no traffic, failures are held against the bar: see
//!   [`Judge::bar`].
//! - **safe**: the canary fails at least at the bar *and* at least twice as often as stable. Rejecting it is the proof that a step
//!   needs; the requests still needed follow from it.
//! - **split**: requests are split as asked (the multinomial test of the same paper).
//!
//! Metrics of the user's own take a share in *harm*, and each has to be shown to be *safe*: see `judge/own.rs`.

mod own;

use std::collections::BTreeMap;

pub use own::MetricEvidence;

use libm::{exp, lgamma, log};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::count::{Counts, EDGES, Metered};
use crate::config::units::Weight;

/// What the judge is told before it sees the first counter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The chance of either mistake: a good canary rolled back, a harmful one promoted.
    pub alpha: f64,
    /// How many times stable's failure rate the canary's may be.
    pub tolerance: f64,
    /// How many times stable's share of slow answers the canary's may be.
    pub latency_tolerance: f64,
    /// What the canary's failure rate may be above that, absolutely.
    pub slack: f64,
    /// The same for its share of slow answers.
    pub latency_slack: f64,
    /// How much more slow answers vary between looks than a dice would have it: variance over mean. A pause of a process slows all
    /// the requests that it has at hand, which independent trials would not.
    pub latency_spread: f64,
    /// The most that slow answers between two looks may add, as a logarithm: one pause is not held against a canary for long,
    /// only slowness that lasts.
    pub latency_cap: f64,
    /// The failure rate that a canary must be shown to stay below, unless stable is as bad.
    pub max_failed: f64,
}

impl Settings {
    /// At this α and tolerance; everything else as simulated to be sound, with pauses of processes too (docs/benchmarks.md).
    pub fn new(alpha: f64, tolerance: f64) -> Self {
        Self {
            alpha,
            tolerance,
            latency_tolerance: tolerance,
            slack: 1e-4,
            latency_slack: 2e-3,
            latency_spread: 1.0,
            latency_cap: 2.4,
            max_failed: 0.05,
        }
    }

    /// The same where both arms, the proxy and the load share one machine with whatever else runs there, as in a rehearsal: what
    /// its scheduler does to one of them is not held against it.
    #[must_use]
    pub fn on_one_machine(self) -> Self {
        Self {
            latency_tolerance: self.tolerance.max(1.5),
            slack: 1e-3,
            latency_slack: 0.02,
            latency_spread: 3.0,
            latency_cap: 0.5,
            ..self
        }
    }
}

/// What came in between two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Increment {
    /// Of stable.
    pub stable: Counts,
    /// Of the canary.
    pub canary: Counts,
    /// Whether how long requests took says something of who answered them.
    pub latencies: bool,
}

/// Evidence as it stands: the natural logarithm of each test's value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// That the canary does harm: all metrics, each with its share.
    pub harm: f64,
    /// Of that: failures against stable.
    pub errors: f64,
    /// Of that: slow answers against stable.
    pub latency: f64,
    /// Of that: failures where stable gets no traffic.
    pub alone: f64,
    /// That this step's canary stays below what is harmful.
    pub safe: f64,
    /// That requests are not split as asked.
    pub split: f64,
    /// Of harm, and of the proof of safety: metrics of the user's own, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, MetricEvidence>,
}

impl Evidence {
    /// The metric of the user's own that shows most of the harm, where more than all that is not one of them.
    pub fn worst(&self) -> Option<&str> {
        let others = weighted(&[self.errors, self.latency, self.alone], &SHARES) + log(1.0 - own::SHARE);
        let each = log(own::SHARE / number(self.metrics.len() as u64));
        let (name, worst) = self.metrics.iter().max_by(|a, b| a.1.harm.total_cmp(&b.1.harm))?;
        (worst.harm + each > others).then_some(name.as_str())
    }
}

/// Alternatives to "no worse", times the rate that is allowed.
const WORSE: [f64; 8] = [1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0];
const SLOWER: [f64; 4] = [1.5, 3.0, 10.0, 60.0];
/// Alternatives to "at least twice as often as stable".
const TWICE: f64 = 2.0;
const BETTER: [f64; 3] = [1.0, 0.8, 0.5];
/// Alternatives to the bar, times that; it stays below 1, so that they can.
const LOWER: [f64; 4] = [0.0, 0.1, 0.25, 0.5];
const HIGHER: [f64; 4] = [1.5, 2.0, 4.0, 10.0];
const HIGHEST_BAR: f64 = 0.9;
/// Latencies below this edge are noise of the machine.
pub(super) const FIRST_EDGE: usize = 2;
/// The shares of the metrics in `harm`.
const SHARES: [f64; 3] = [0.5, 0.35, 0.15];
/// So many requests of stable in a row show what a storm is to this service.
const STORM: u64 = 500;
/// The strength of the split test's prior.
const PRIOR: f64 = 100.0;
/// A split that is not the one asked for is as grave as a broken judge: over all steps it speaks at one in a thousand.
const SPLIT_ALPHA: f64 = 1e-3;

/// The judge of one release.
#[derive(Clone, Debug, PartialEq)]
pub struct Judge {
    settings: Settings,
    errors: [f64; WORSE.len()],
    latency: [[f64; SLOWER.len()]; EDGES.len()],
    alone: Binomial,
    /// Stable, wherever both arms had traffic.
    stable: Stable,
    step: Step,
    /// By the metrics of the user's own.
    own: BTreeMap<String, own::Own>,
}

/// What stable did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Stable {
    all: Binomial,
    /// The last requests, fewer than [`STORM`].
    last: Binomial,
    /// The highest rate at which it surely failed over so many requests.
    worst: f64,
}

/// What begins anew with every step.
#[derive(Clone, Debug, Default, PartialEq)]
struct Step {
    proof: Proof,
    /// Of stable and of the canary.
    sent: [u64; 2],
}

/// What is known of the safety of one thing that can be bad: a request, or a case of a metric.
#[derive(Clone, Debug, Default, PartialEq)]
struct Proof {
    relative: [f64; BETTER.len()],
    absolute: Binomial,
}

/// Requests and failures of the canary.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Binomial {
    requests: u64,
    failed: u64,
}

impl Judge {
    /// A judge who has seen nothing.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            errors: [0.0; WORSE.len()],
            latency: [[0.0; SLOWER.len()]; EDGES.len()],
            alone: Binomial::default(),
            stable: Stable::default(),
            step: Step::default(),
            own: BTreeMap::new(),
        }
    }

    /// The same, who judges by metrics of these names too.
    #[must_use]
    pub fn and_by(mut self, metrics: impl IntoIterator<Item = String>) -> Self {
        self.own = metrics.into_iter().map(|name| (name, own::Own::default())).collect();
        self
    }

    /// Begins another step: harm is remembered, safety has to be shown again.
    pub fn next_step(&mut self) {
        self.step = Step::default();
        self.own.values_mut().for_each(own::Own::next_step);
    }

    /// Takes what the metrics of the user's own counted since the last look; [`Self::observe`] then says what it all comes to.
    pub fn take_in(&mut self, new: &Metered) {
        for (name, metric) in &mut self.own {
            if let Some(new) = new.get(name) {
                metric.observe(&self.settings, new);
            }
        }
    }

    /// Takes what came in since the last look, at this weight.
    pub fn observe(&mut self, weight: Weight, new: &Increment) -> Evidence {
        let (stable, canary) = (number(new.stable.requests), number(new.canary.requests));
        let (good, bad) = (number(new.stable.failed), number(new.canary.failed));
        let both = stable > 0.0 && canary > 0.0;
        if both {
            self.stable.add(&new.stable);
            let s = &self.settings;
            worse(&mut self.errors, s, [canary, stable], [bad, good]);
            for (edge, sums) in self.latency.iter_mut().enumerate().filter(|_| new.latencies) {
                let slow = [number(new.canary.slower[edge]), number(new.stable.slower[edge])];
                for (sum, r) in sums.iter_mut().zip(SLOWER) {
                    let (r0, slack) = (s.latency_tolerance, s.latency_slack);
                    // What has an expectation of at most 1 keeps it under a power below 1, and cut off from above.
                    let gain = gain(r * r0, r0, slack, [canary, stable], slow) / s.latency_spread;
                    *sum += gain.min(s.latency_cap);
                }
            }
            self.step.proof.compare([canary, stable], [bad, good]);
        } else if weight == Weight::ALL {
            self.alone.add(&new.canary);
        }
        self.step.proof.absolute.add(&new.canary);
        self.step.sent[0] = self.step.sent[0].saturating_add(new.stable.sent);
        self.step.sent[1] = self.step.sent[1].saturating_add(new.canary.sent);
        self.evidence(weight)
    }

    /// The evidence as it stands.
    pub fn evidence(&self, weight: Weight) -> Evidence {
        let errors = mean(&self.errors);
        let edges: Vec<f64> = self.latency[FIRST_EDGE..].iter().map(|sums| mean(sums)).collect();
        let latency = mean(&edges);
        let bar = self.bar(weight);
        let alone = self.alone.against(bar, &HIGHER);
        let metrics = self.metrics();
        let mut harm = weighted(&[errors, latency, alone], &SHARES);
        let mut safe = self.step.safe(bar, 0, 0);
        if !metrics.is_empty() {
            let own: Vec<f64> = metrics.values().map(|metric| metric.harm).collect();
            harm = weighted(&[harm, mean(&own)], &[1.0 - own::SHARE, own::SHARE]);
        }
        if weight != Weight::ALL {
            // Each has to be shown, and none can be where there is nothing to compare with.
            safe = metrics.values().map(|metric| metric.safe).fold(safe, f64::min);
        }
        Evidence {
            harm,
            errors,
            latency,
            alone,
            safe,
            split: self.split(weight),
            metrics,
        }
    }

    fn metrics(&self) -> BTreeMap<String, MetricEvidence> {
        let (bar, threshold) = (self.settings.max_failed, self.threshold());
        let of = |(name, metric): (&String, &own::Own)| (name.clone(), metric.evidence(bar, threshold));
        self.own.iter().map(of).collect()
    }

    /// The logarithm that evidence must reach.
    pub fn threshold(&self) -> f64 {
        -log(self.settings.alpha)
    }

    /// The logarithm that the evidence of a split must reach, which begins anew with each of so many steps.
    pub fn split_threshold(steps: usize) -> f64 {
        log(number(steps as u64) / SPLIT_ALPHA)
    }

    /// The failure rate that a canary must be shown to stay below, unless stable is as bad: `max_failed`. Where stable gets no
    /// traffic there is nothing to compare with; what stable did before stands in for it: twice the rate at which it failed, over
    /// all of its requests or at its worst (`STORM` requests in a row), if that is more.
    fn bar(&self, weight: Weight) -> f64 {
        let most = self.settings.max_failed;
        if weight != Weight::ALL {
            return most;
        }
        let before = self.stable.worst.max(self.stable.all.surely());
        most.max((TWICE * before).min(HIGHEST_BAR))
    }

    /// How many more requests the canary must answer at this weight, failing as often as so far, until the step is shown to be
    /// safe; none when no number would do.
    pub fn needed(&self, weight: Weight) -> Option<u64> {
        let bar = self.bar(weight);
        fewest(|more| self.step.safe(bar, more, self.step.proof.absolute.as_bad(more)) >= self.threshold())
    }

    /// The Bayes factor of a Dirichlet prior around the split that was asked for against exactly that split.
    fn split(&self, weight: Weight) -> f64 {
        let share = weight.share();
        let [stable, canary] = self.step.sent.map(number);
        if share <= 0.0 {
            // Nothing was asked for: a request may still have been under way, more are a leak.
            return if canary > 0.0 { canary } else { 0.0 };
        }
        if share >= 1.0 {
            return if stable > 0.0 { stable } else { 0.0 };
        }
        let (a, b) = (PRIOR * (1.0 - share), PRIOR * share);
        log_beta(a + stable, b + canary) - log_beta(a, b) - stable * log(1.0 - share) - canary * log(share)
    }
}

impl Step {
    /// A request that has not ended yet is no proof of anything: until it has, it counts as failed.
    fn safe(&self, bar: f64, more: u64, more_failed: u64) -> f64 {
        let Binomial { requests, failed } = self.proof.absolute;
        let open = self.sent[1].saturating_sub(requests);
        let absolute = Binomial {
            requests: requests.saturating_add(open).saturating_add(more),
            failed: failed.saturating_add(open).saturating_add(more_failed),
        };
        self.proof.safe(bar, absolute)
    }
}

impl Proof {
    /// Takes what came in of both arms, all and the bad, as `[canary, stable]`.
    fn compare(&mut self, all: [f64; 2], bad: [f64; 2]) {
        for (sum, r) in self.relative.iter_mut().zip(BETTER) {
            *sum += gain(r, TWICE, 0.0, all, bad);
        }
    }

    /// That the canary, which did this in all, stays below the bar or does better than twice as badly as stable.
    fn safe(&self, bar: f64, absolute: Binomial) -> f64 {
        weighted(&[absolute.against(bar, &LOWER), mean(&self.relative)], &[0.5, 0.5])
    }
}

impl Stable {
    fn add(&mut self, new: &Counts) {
        self.all.add(new);
        self.last.add(new);
        if self.last.requests >= STORM {
            self.worst = self.worst.max(self.last.surely());
            self.last = Binomial::default();
        }
    }
}

impl Binomial {
    /// The rate that was seen, less two of its standard deviations.
    fn surely(self) -> f64 {
        let failed = number(self.failed);
        (failed - 2.0 * failed.sqrt()) / number(self.requests.max(1))
    }

    /// How many of so many more would fail as often as these did.
    fn as_bad(self, more: u64) -> u64 {
        let failed = (u128::from(more) * u128::from(self.failed)).checked_div(u128::from(self.requests));
        u64::try_from(failed.unwrap_or(0)).unwrap_or(u64::MAX)
    }

    fn add(&mut self, new: &Counts) {
        self.requests = self.requests.saturating_add(new.requests);
        self.failed = self.failed.saturating_add(new.failed);
    }

    /// The likelihood ratio of these multiples of `rate` against `rate`, averaged.
    fn against(self, rate: f64, multiples: &[f64]) -> f64 {
        let failed = number(self.failed);
        let passed = number(self.requests.saturating_sub(self.failed));
        let ratios: Vec<f64> = multiples
            .iter()
            .map(|m| (m * rate).min(0.999))
            .map(|p| {
                let of_failed = if failed > 0.0 { failed * log(p / rate) } else { 0.0 };
                of_failed + passed * (log(1.0 - p) - log(1.0 - rate))
            })
            .collect();
        mean(&ratios)
    }
}

/// The least number that does, where each that is more does too; none when no number would.
fn fewest(does: impl Fn(u64) -> bool) -> Option<u64> {
    if does(0) {
        return Some(0);
    }
    let mut most = 1_u64;
    while !does(most) {
        most = most.checked_mul(2).filter(|m| *m <= 1 << 24)?;
    }
    let mut least = most / 2;
    while most - least > 1 {
        let middle = least + (most - least) / 2;
        if does(middle) { most = middle } else { least = middle }
    }
    Some(most)
}

/// Adds what one interval says of each alternative in [`WORSE`]: all and the bad as `[canary, stable]`.
fn worse(sums: &mut [f64; WORSE.len()], settings: &Settings, all: [f64; 2], bad: [f64; 2]) {
    let Settings { tolerance, slack, .. } = *settings;
    for (sum, r) in sums.iter_mut().zip(WORSE) {
        *sum += gain(r * tolerance, tolerance, slack, all, bad);
    }
}

/// One interval's logarithm of the likelihood ratio of `r` against `r0`: requests and bad ones as `[canary, stable]`.
/// With the requests fixed and the bad ones sums of independent trials, its exponential has expectation at most 1 wherever the
/// canary's rate is at most `r0` × stable's + `slack` (for r > r0), by 1 + x ≤ eˣ.
fn gain(r: f64, r0: f64, slack: f64, requests: [f64; 2], bad: [f64; 2]) -> f64 {
    let [canary, stable] = requests;
    let scale = (r0 * canary + stable) / (r * canary + stable);
    let a = r / r0 * scale;
    bad[0] * log(a) + bad[1] * log(scale) - slack * canary * (a - 1.0)
}

/// ln of the mean of exponentials.
fn mean(logs: &[f64]) -> f64 {
    let share = 1.0 / number(logs.len() as u64);
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if most == f64::NEG_INFINITY {
        return most;
    }
    most + log(logs.iter().map(|l| share * exp(l - most)).sum())
}

/// ln of the weighted sum of exponentials.
fn weighted(logs: &[f64], shares: &[f64]) -> f64 {
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if most == f64::NEG_INFINITY {
        return most;
    }
    most + log(logs.iter().zip(shares).map(|(l, share)| share * exp(l - most)).sum())
}

fn log_beta(a: f64, b: f64) -> f64 {
    lgamma(a) + lgamma(b) - lgamma(a + b)
}

#[expect(clippy::cast_precision_loss, reason = "counters stay far below 2^53")]
fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counts(requests: u64, failed: u64) -> Counts {
        Counts {
            sent: requests,
            requests,
            failed,
            slower: [0; EDGES.len()],
        }
    }

    fn judge() -> Judge {
        Judge::new(Settings::new(0.01, 1.2))
    }

    fn on_one_machine() -> Judge {
        Judge::new(Settings::new(0.01, 1.2).on_one_machine())
    }

    fn weight(per_mille: u16) -> Weight {
        Weight::per_mille(per_mille).unwrap()
    }

    /// All ways n trials at p can fail, with their chances.
    fn binomial(n: u32, p: f64) -> Vec<(u64, f64)> {
        let mut chances = vec![1.0];
        for _ in 0..n {
            let mut next = vec![0.0; chances.len() + 1];
            for (k, c) in chances.iter().enumerate() {
                next[k] += c * (1.0 - p);
                next[k + 1] += c * p;
            }
            chances = next;
        }
        chances.into_iter().enumerate().map(|(k, c)| (k as u64, c)).collect()
    }

    /// The expectation of an interval's likelihood ratio, summed over every outcome.
    fn expectation(r: f64, r0: f64, slack: f64, n: [u32; 2], p: [f64; 2]) -> f64 {
        let mut sum = 0.0;
        for (bad, chance) in binomial(n[0], p[0]) {
            for (good, other) in binomial(n[1], p[1]) {
                let log = gain(
                    r,
                    r0,
                    slack,
                    [f64::from(n[0]), f64::from(n[1])],
                    [number(bad), number(good)],
                );
                sum += chance * other * log.exp();
            }
        }
        sum
    }

    #[test]
    fn no_interval_gains_evidence_on_average_where_there_is_no_harm() {
        for n in [[1, 19], [5, 5], [20, 2]] {
            for stable in [0.0, 0.01, 0.3, 0.8] {
                for r in WORSE {
                    let canary = f64::min(1.2 * stable + 1e-3, 1.0);
                    let mean = expectation(1.2 * r, 1.2, 1e-3, n, [canary, stable]);
                    assert!(mean <= 1.0 + 1e-9, "n {n:?}, stable {stable}, r {r}: {mean}");
                }
                for r in BETTER {
                    let canary = f64::min(TWICE * stable, 1.0);
                    let mean = expectation(r, TWICE, 0.0, n, [canary, stable]);
                    assert!(
                        mean <= 1.0 + 1e-9 || canary >= 1.0,
                        "safe: n {n:?}, stable {stable}, r {r}: {mean}"
                    );
                }
            }
        }
    }

    #[test]
    fn harm_gains_evidence_on_average() {
        let mean = expectation(5.0, 1.2, 1e-3, [5, 45], [0.3, 0.001]);
        assert!(mean > 2.0, "{mean}");
    }

    #[test]
    fn a_handful_of_failures_is_enough_and_two_in_a_crowd_are_not() {
        let mut judge = judge();
        let mut failures = 0;
        while judge.evidence(weight(100)).harm < judge.threshold() {
            failures += 1;
            judge.observe(
                weight(100),
                &Increment {
                    latencies: true,
                    canary: counts(2, 1),
                    stable: counts(18, 0),
                },
            );
        }
        assert!((3..=6).contains(&failures), "{failures}");
        let mut judge = self::judge();
        let evidence = judge.observe(
            weight(100),
            &Increment {
                latencies: true,
                canary: counts(20_000, 2),
                stable: counts(180_000, 0),
            },
        );
        assert!(evidence.harm < 0.0, "{evidence:?}");
    }

    #[test]
    fn on_one_machine_slow_answers_count_once_they_last_and_a_slow_stable_excuses_them() {
        let slow = |n: u64| Counts {
            sent: 100,
            requests: 100,
            failed: 0,
            slower: [n; EDGES.len()],
        };
        let mut judge = on_one_machine();
        let (bad, even) = (
            Increment {
                latencies: true,
                canary: slow(60),
                stable: slow(2),
            },
            Increment {
                latencies: true,
                canary: slow(2),
                stable: slow(2),
            },
        );
        let one = judge.observe(weight(500), &bad);
        assert!(one.harm < 1.0, "one pause is not held against it: {one:?}");
        judge.observe(weight(500), &even);
        let lasting = (0..20).map(|_| judge.observe(weight(500), &bad)).last().unwrap();
        assert!(lasting.harm > judge.threshold() && lasting.errors <= 0.0, "{lasting:?}");
        let mut judge = on_one_machine();
        let evidence = judge.observe(
            weight(500),
            &Increment {
                latencies: true,
                canary: slow(60),
                stable: slow(58),
            },
        );
        assert!(evidence.harm < 1.0, "{evidence:?}");
    }

    #[test]
    fn slow_answers_of_two_looks_are_not_held_against_a_canary_and_those_of_half_a_minute_are() {
        let slow = |requests: u64, share: u64| Counts {
            slower: [requests * share / 100; EDGES.len()],
            ..counts(requests, 0)
        };
        for (canary, looks) in [(4, 6), (60, 3)] {
            let mut judge = judge();
            let new = Increment {
                latencies: true,
                canary: slow(100, canary),
                stable: slow(900, 1),
            };
            let mut seen = 0;
            while judge.evidence(weight(100)).harm < judge.threshold() {
                judge.observe(weight(100), &new);
                seen += 1;
            }
            assert!((3..=looks).contains(&seen), "{canary} % are slow: {seen} looks of 5 s");
        }
        let mut judge = judge();
        let alike = Increment {
            latencies: true,
            canary: slow(100, 60),
            stable: slow(900, 58),
        };
        for _ in 0..200 {
            assert!(judge.observe(weight(100), &alike).harm < 1.0);
        }
    }

    #[test]
    fn the_requests_needed_are_those_that_do() {
        let mut judge = judge();
        let needed = judge.needed(weight(10)).unwrap();
        assert!((110..=130).contains(&needed), "{needed}");
        let first = Increment {
            latencies: true,
            canary: counts(needed - 1, 0),
            stable: counts(0, 0),
        };
        assert!(judge.observe(weight(10), &first).safe < judge.threshold());
        assert_eq!(judge.needed(weight(10)), Some(1));
        let last = Increment {
            latencies: true,
            canary: counts(1, 0),
            stable: counts(0, 0),
        };
        assert!(judge.observe(weight(10), &last).safe >= judge.threshold());
        judge.next_step();
        assert_eq!(judge.needed(weight(10)), Some(needed));
        judge.observe(
            weight(10),
            &Increment {
                latencies: true,
                canary: counts(100, 40),
                stable: counts(900, 0),
            },
        );
        assert_eq!(judge.needed(weight(10)), None);
    }

    #[test]
    fn what_has_not_ended_is_no_proof() {
        let hangs = Counts {
            sent: 1_000,
            ..counts(700, 0)
        };
        let mut judge = judge();
        let new = Increment {
            latencies: true,
            canary: hangs,
            stable: counts(9_000, 0),
        };
        assert!(judge.observe(weight(100), &new).safe < judge.threshold());
        assert!(
            self::judge()
                .observe(
                    weight(100),
                    &Increment {
                        latencies: true,
                        canary: counts(700, 0),
                        ..new
                    }
                )
                .safe
                > judge.threshold()
        );
    }

    #[test]
    fn a_common_storm_is_not_the_canarys_fault_and_no_proof_against_it_is_lost() {
        let mut judge = judge();
        let storm = Increment {
            latencies: true,
            canary: counts(500, 150),
            stable: counts(500, 152),
        };
        let evidence = judge.observe(weight(500), &storm);
        assert!(evidence.harm < 0.0, "{evidence:?}");
        assert!(
            evidence.safe > judge.threshold(),
            "as bad as stable is no harm: {evidence:?}"
        );
    }

    #[test]
    fn where_stable_has_no_traffic_failures_stand_alone() {
        let mut judge = judge();
        let evidence = judge.observe(
            Weight::ALL,
            &Increment {
                latencies: true,
                canary: counts(40, 20),
                stable: counts(0, 0),
            },
        );
        assert!(
            evidence.harm > judge.threshold() && evidence.errors <= 0.0,
            "{evidence:?}"
        );
        let mut judge = self::judge();
        let evidence = judge.observe(
            Weight::ALL,
            &Increment {
                latencies: true,
                canary: counts(400, 10),
                stable: counts(0, 0),
            },
        );
        assert!(evidence.harm < 0.0, "{evidence:?}");
    }

    #[test]
    fn where_stable_has_no_traffic_what_it_did_before_stands_in_for_it() {
        let after = |stable: Counts, failed: u64| {
            let mut judge = judge();
            let compared = Increment {
                latencies: true,
                canary: counts(2_000, 160),
                stable,
            };
            judge.observe(weight(500), &compared);
            judge.next_step();
            let alone = Increment {
                latencies: true,
                canary: counts(2_000, failed),
                stable: counts(0, 0),
            };
            judge.observe(Weight::ALL, &alone)
        };
        let threshold = judge().threshold();
        let as_ever = after(counts(2_000, 160), 160);
        assert!(
            as_ever.harm < 0.0 && as_ever.safe > threshold,
            "8 % as ever: {as_ever:?}"
        );
        let worse = after(counts(2_000, 160), 600);
        assert!(worse.harm > threshold && worse.safe < 0.0, "30 % after 8 %: {worse:?}");
        // One failure in a handful says nothing about a rate.
        let few = after(counts(4, 1), 600);
        assert!(few.alone > threshold && few.safe < 0.0, "{few:?}");
        // So many failures that twice as many cannot be.
        let most = after(counts(2_000, 1_600), 1_600);
        assert!(most.alone.is_finite() && most.safe.is_finite(), "{most:?}");
    }

    #[test]
    fn where_stable_has_no_traffic_a_storm_like_those_before_is_not_the_canarys_fault() {
        let mut judge = judge();
        let both = |failed: u64| Increment {
            latencies: true,
            canary: counts(500, failed),
            stable: counts(500, failed),
        };
        for look in 0..50 {
            judge.observe(weight(500), &both(if look % 10 == 0 { 100 } else { 5 }));
        }
        judge.next_step();
        let alone = |failed: u64| Increment {
            stable: counts(0, 0),
            ..both(failed)
        };
        let storm = judge.clone().observe(Weight::ALL, &alone(100));
        assert!(storm.harm < 0.0, "20 % as in the storms before: {storm:?}");
        let worse = judge.observe(Weight::ALL, &alone(250));
        assert!(worse.harm > judge.threshold(), "50 %, which was never seen: {worse:?}");
    }

    #[test]
    fn a_split_that_was_not_asked_for_is_seen() {
        let limit = Judge::split_threshold(1);
        assert!(
            (Judge::split_threshold(5) - limit - log(5.0)).abs() < 1e-9,
            "over all steps it is the same chance"
        );
        for (per_mille, stable, canary, wrong) in [
            (100, 900, 100, false),
            (100, 1000, 0, true),
            (100, 950, 50, true),
            (500, 500, 480, false),
            (10, 300, 0, false),
            (10, 1000, 0, true),
            (0, 1000, 1, false),
            (1000, 0, 1000, false),
            (1000, 100, 1000, true),
        ] {
            let mut judge = judge();
            let new = Increment {
                latencies: true,
                canary: counts(canary, 0),
                stable: counts(stable, 0),
            };
            let split = judge.observe(weight(per_mille), &new).split;
            assert_eq!(split > limit, wrong, "{per_mille} ‰, {stable}/{canary}: {split}");
        }
    }

    proptest! {
        #[test]
        fn evidence_is_always_a_number(steps in prop::collection::vec((0u16..=1000, 0u64..5_000, 0u64..5_000, 0u64..5_000, 0u64..5_000), 1..30)) {
            let mut judge = judge();
            for (per_mille, s, c, sf, cf) in steps {
                let new = Increment { latencies: s % 2 == 0, stable: counts(s, sf.min(s)), canary: counts(c, cf.min(c)) };
                let e = judge.observe(weight(per_mille), &new);
                for value in [e.harm, e.errors, e.latency, e.alone, e.safe, e.split] {
                    prop_assert!(value.is_finite(), "{e:?}");
                }
            }
        }
    }
}
