//! A metric of the user's own: which series of a Prometheus count what happened at each arm, and what of it was bad. Pure.
//!
//! Its samples are raw and go through a ledger of its own, so that both arms are known to the same time, and a metric that is not
//! scraped holds nothing else back. An arm without a series has no data, which is not 0.

use std::time::Duration;

use super::form::{Labels, Matcher};
use super::series::{Ledger, Meaning, Sample, Series};
use crate::canary::{Arm, Cases, CasesOfBoth, Counts};
use crate::config::metrics::Metric;
use crate::config::selector::Selector;

/// Series of one selector, with their samples.
pub(super) type Found = Vec<(Labels, Vec<Sample>)>;

/// The queries of one metric: all and the bad, of stable and then of the canary.
pub const QUERIES: usize = 4;

/// One metric, and what it counted.
#[derive(Clone, Debug)]
pub struct Own {
    name: String,
    total: Selector,
    bad: Selector,
    arms: [(Arm, Vec<Matcher>); 2],
    ledger: Ledger,
    /// Whether a series of each arm was ever seen.
    seen: [bool; 2],
}

/// What tells stable's counters of a metric from the canary's: where it does not say so, these do.
pub fn arms(metric: &Metric, usual: [Vec<Matcher>; 2]) -> [Vec<Matcher>; 2] {
    let said = |labels: &Labels| labels.iter().map(|(label, value)| Matcher::is(label, value)).collect();
    metric.arms().map_or(usual, |arms| arms.map(said))
}

impl Own {
    /// Nothing counted yet. Where the metric does not say what tells the arms, these do.
    pub fn new(metric: &Metric, usual: [Vec<Matcher>; 2], interval: Duration) -> Self {
        let [stable, canary] = arms(metric, usual);
        Self {
            name: metric.name.to_string(),
            total: metric.total.clone(),
            bad: metric.bad.clone(),
            arms: [(Arm::Stable, stable), (Arm::Canary, canary)],
            // As targets of the mesh's counters are: each is scraped within one interval after Prometheus began.
            ledger: Ledger::new(interval, interval * 2),
            seen: [false; 2],
        }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is asked for: raw samples of the last `window`.
    pub fn queries(&self, window: Duration) -> [String; QUERIES] {
        let [(_, stable), (_, canary)] = &self.arms;
        let of = |selector: &Selector, arm: &[Matcher]| format!("{}[{}ms]", selector.and(arm), window.as_millis());
        [
            of(&self.total, stable),
            of(&self.bad, stable),
            of(&self.total, canary),
            of(&self.bad, canary),
        ]
    }

    /// Adds what is new in the answers to its queries.
    pub(super) fn fold(&mut self, answers: [Found; QUERIES]) {
        let meanings = [Meaning::GOOD, Meaning::BAD];
        let mut series = Vec::new();
        for (at, found) in answers.into_iter().enumerate() {
            let (arm, role) = (at / 2, at % 2);
            // What was bad has no series before the first time, and that it has none says that there was none.
            self.seen[arm] |= role == 0 && !found.is_empty();
            for (labels, samples) in found {
                series.push(one(self.arms[arm].0, role, meanings[role], &labels, samples));
            }
        }
        self.ledger.fold(&series);
    }

    /// What it counted.
    pub fn counted(&mut self) -> CasesOfBoth {
        let reading = self.ledger.reading();
        let of = |seen: bool, counts: Counts| {
            seen.then_some(Cases {
                total: counts.requests,
                bad: counts.failed,
            })
        };
        CasesOfBoth {
            stable: of(self.seen[0], reading.stable),
            canary: of(self.seen[1], reading.canary),
        }
    }
}

/// A series of its own life: what dropped and took up again one of a process's counters did not begin all of them anew.
fn one(arm: Arm, role: usize, meaning: Meaning, labels: &Labels, samples: Vec<Sample>) -> Series {
    let of = |label: &str| labels.get(label).map_or("", String::as_str);
    Series {
        arm,
        source: format!("{} {}", of("job"), of("instance")),
        life: format!("{role} {labels:?}"),
        name: String::new(),
        meaning,
        samples,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000;

    fn metric(more: &str) -> Metric {
        let text =
            format!(r#"{{"name":"orders","total":"orders_total","bad":"orders_total{{result=\"bad\"}}"{more}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    fn own() -> Own {
        let usual = ["stable", "canary"].map(|track| vec![Matcher::is("track", track)]);
        Own::new(&metric(""), usual, Duration::from_secs(5))
    }

    /// A series of a pod, with samples at so many seconds.
    fn series(pod: &str, result: &str, samples: &[(i64, f64)]) -> (Labels, Vec<Sample>) {
        let labels = [("job", "pods"), ("instance", pod), ("result", result)];
        let labels = labels.map(|(label, value)| (label.to_owned(), value.to_owned()));
        let samples = samples.iter().map(|(at, value)| (at * SECOND, *value)).collect();
        (labels.into(), samples)
    }

    fn told(own: &mut Own) -> [Option<(u64, u64)>; 2] {
        let CasesOfBoth { stable, canary } = own.counted();
        [stable, canary].map(|arm| arm.map(|cases| (cases.total, cases.bad)))
    }

    #[test]
    fn each_arm_is_asked_for_what_tells_it() {
        assert_eq!(
            own().queries(Duration::from_secs(30)),
            [
                r#"orders_total{track="stable"}[30000ms]"#,
                r#"orders_total{result="bad",track="stable"}[30000ms]"#,
                r#"orders_total{track="canary"}[30000ms]"#,
                r#"orders_total{result="bad",track="canary"}[30000ms]"#,
            ]
        );
        let said = metric(r#","stable":{"version":"v1"},"canary":{"version":"v2"}"#);
        let own = Own::new(&said, [Vec::new(), Vec::new()], Duration::from_secs(5));
        assert_eq!(
            own.queries(Duration::from_millis(1))[2],
            r#"orders_total{version="v2"}[1ms]"#
        );
    }

    #[test]
    fn what_both_arms_counted_since_the_first_answer_is_told() {
        let mut own = own();
        assert_eq!(told(&mut own), [None, None]);
        let good = |pod: &str, samples: &[(i64, f64)]| series(pod, "good", samples);
        let bad = |pod: &str, samples: &[(i64, f64)]| series(pod, "bad", samples);
        let fold = |own: &mut Own, stable: Vec<_>, stable_bad, canary: Vec<_>, canary_bad| {
            own.fold([stable, stable_bad, canary, canary_bad]);
        };
        fold(&mut own, vec![good("a", &[(0, 7.0), (5, 9.0)])], vec![], vec![], vec![]);
        assert_eq!(told(&mut own), [Some((0, 0)), None], "no series is no data");
        // The canary's first, and its first bad ones: born while scraping went on, so from 0. A bad one is among all.
        let stable = vec![good("a", &[(5, 9.0), (10, 29.0), (20, 30.0)])];
        let canary = vec![good("b", &[(20, 4.0)]), bad("b", &[(20, 3.0)])];
        fold(&mut own, stable, vec![], canary, vec![bad("b", &[(20, 3.0)])]);
        assert_eq!(told(&mut own), [Some((21, 0)), Some((7, 3))]);
        // It began anew.
        let stable = vec![good("a", &[(20, 30.0), (25, 31.0)])];
        let canary = vec![good("b", &[(20, 4.0), (25, 1.0)]), bad("b", &[(20, 3.0), (25, 1.0)])];
        fold(
            &mut own,
            stable,
            vec![],
            canary,
            vec![bad("b", &[(20, 3.0), (25, 1.0)])],
        );
        assert_eq!(told(&mut own), [Some((22, 0)), Some((9, 4))]);
        // Gone is not forgotten.
        fold(&mut own, vec![good("a", &[(30, 40.0)])], vec![], vec![], vec![]);
        assert_eq!(told(&mut own), [Some((31, 0)), Some((9, 4))]);
    }

    #[test]
    fn one_counter_that_began_anew_says_nothing_of_its_neighbours() {
        let mut own = own();
        let both = |one: f64, other: f64, at: i64| {
            vec![series("a", "good", &[(at, one)]), series("a", "late", &[(at, other)])]
        };
        own.fold([both(100.0, 50.0, 0), vec![], vec![], vec![]]);
        own.fold([both(1.0, 51.0, 5), vec![], vec![], vec![]]);
        assert_eq!(told(&mut own), [Some((2, 0)), None]);
    }

    #[test]
    fn arms_are_counted_to_the_same_time() {
        let mut own = own();
        let of = |pod: &str, samples: &[(i64, f64)]| vec![series(pod, "good", samples)];
        own.fold([of("a", &[(0, 0.0)]), vec![], of("b", &[(0, 0.0)]), vec![]]);
        own.fold([of("a", &[(5, 5.0), (10, 10.0)]), vec![], of("b", &[(5, 1.0)]), vec![]]);
        assert_eq!(told(&mut own), [Some((5, 0)), Some((1, 0))]);
        own.fold([of("a", &[(10, 10.0)]), vec![], of("b", &[(10, 2.0)]), vec![]]);
        assert_eq!(told(&mut own), [Some((10, 0)), Some((2, 0))]);
    }
}
