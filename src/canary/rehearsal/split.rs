//! Which of the two upstreams a request goes to, and what became of it.
//!
//! Weight, dice and counters stand behind one lock, which is held for some nanoseconds and never across an await. So a
//! snapshot is exact, not nearly so: both arms are read at one instant; a written weight holds for every request that is
//! assigned after `write` returned; and each request that was assigned is either outstanding or finished, never both.
//! It must not know HTTP.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::now;
use crate::canary::{Arm, Counts, EDGES};
use crate::config::units::Weight;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Answered to the last byte, and not with a 5xx.
    Well,
    /// Answered with a 5xx.
    Failed,
    /// No connection, a broken answer, no answer before the deadline, or a client that gave up.
    Unanswered,
}

/// Both arms at one instant.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot {
    /// When.
    pub at: Instant,
    /// What serves today.
    pub stable: Counts,
    /// What is tried.
    pub canary: Counts,
}

/// Weight, dice and counters.
#[derive(Debug)]
pub(super) struct Split(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    weight: Weight,
    dice: StdRng,
    stable: Counts,
    canary: Counts,
}

impl Inner {
    const fn counts(&mut self, arm: Arm) -> &mut Counts {
        match arm {
            Arm::Stable => &mut self.stable,
            Arm::Canary => &mut self.canary,
        }
    }
}

impl Split {
    /// All to stable. The same seed gives the same sequence of arms for the same weights.
    pub(super) fn new(seed: u64) -> Self {
        Self(Mutex::new(Inner {
            weight: Weight::NONE,
            dice: StdRng::seed_from_u64(seed),
            stable: Counts::default(),
            canary: Counts::default(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it is held; were it so, the counters would still be whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The canary's share of every request that is assigned from now on.
    pub(super) fn write(&self, weight: Weight) {
        self.lock().weight = weight;
    }

    /// The canary's share.
    pub(super) fn read(&self) -> Weight {
        self.lock().weight
    }

    /// Both arms at one instant.
    pub(super) fn snapshot(&self) -> Snapshot {
        let inner = self.lock();
        Snapshot {
            at: now(),
            stable: inner.stable,
            canary: inner.canary,
        }
    }

    /// Sends one request to one of the arms, at random; it is outstanding until the flight ends.
    pub(super) fn assign(self: &Arc<Self>) -> Flight {
        let mut inner = self.lock();
        let to_canary = inner.dice.random_range(0..1000) < inner.weight.get();
        let arm = if to_canary { Arm::Canary } else { Arm::Stable };
        inner.counts(arm).sent += 1;
        Flight {
            split: Arc::clone(self),
            arm,
            since: now(),
            ending: Ending::Unanswered,
        }
    }
}

/// One request under way. However it ends, and also when it is only dropped, it is counted once; it is unanswered
/// unless somebody said otherwise.
#[derive(Debug)]
pub(super) struct Flight {
    split: Arc<Split>,
    arm: Arm,
    since: Instant,
    ending: Ending,
}

impl Flight {
    /// Where it goes.
    pub(super) const fn arm(&self) -> Arm {
        self.arm
    }

    /// When it was assigned.
    pub(super) const fn since(&self) -> Instant {
        self.since
    }

    /// It ended like this.
    pub(super) fn ends(mut self, ending: Ending) {
        self.ending = ending;
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let took = now().saturating_duration_since(self.since);
        end(self.split.lock().counts(self.arm), took, self.ending);
    }
}

fn end(counts: &mut Counts, took: Duration, ending: Ending) {
    counts.requests += 1;
    counts.failed += u64::from(ending != Ending::Well);
    for (slower, edge) in counts.slower.iter_mut().zip(EDGES) {
        let exceeds = took > Duration::from_millis(edge.into());
        *slower += u64::from(exceeds || ending == Ending::Unanswered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    #[test]
    fn weights_are_exact_per_mille() {
        let split = Arc::new(Split::new(7));
        for (per_mille, total) in [(0, 10_000), (1, 200_000), (10, 100_000), (500, 10_000), (1000, 10_000)] {
            let weight = Weight::per_mille(per_mille).expect("a weight");
            split.write(weight);
            assert_eq!(split.read(), weight);
            let before = split.snapshot().canary.sent;
            for _ in 0..total {
                drop(split.assign());
            }
            let seen = u32::try_from(split.snapshot().canary.sent - before).expect("a small number");
            let seen = f64::from(seen);
            let share = f64::from(per_mille) / 1000.0;
            let (mean, total) = (share * f64::from(total), f64::from(total));
            let sigma = (total * share * (1.0 - share)).sqrt();
            assert!((seen - mean).abs() <= 4.0 * sigma, "{per_mille}: {seen} of {total}");
        }
    }

    #[test]
    fn a_flight_that_is_dropped_has_failed_and_is_counted_once() {
        let split = Arc::new(Split::new(1));
        let (one, two) = (split.assign(), split.assign());
        assert_eq!(split.snapshot().stable.outstanding(), 2);
        one.ends(Ending::Well);
        drop(two);
        let counts = split.snapshot().stable;
        assert_eq!((counts.sent, counts.requests, counts.failed), (2, 2, 1));
    }

    #[test]
    fn requests_are_counted_above_each_edge_they_exceed() {
        let mut counts = Counts::default();
        end(&mut counts, Duration::from_millis(50), Ending::Well);
        end(&mut counts, Duration::from_millis(51), Ending::Failed);
        assert_eq!(counts.slower, [2, 2, 2, 2, 2, 1, 0, 0, 0, 0, 0, 0]);
        // Refused at once: no answer came, however long one waits.
        end(&mut counts, Duration::from_millis(1), Ending::Unanswered);
        assert_eq!(counts.slower, [3, 3, 3, 3, 3, 2, 1, 1, 1, 1, 1, 1]);
        assert_eq!((counts.requests, counts.failed), (3, 2));
    }

    proptest! {
        #[test]
        fn sent_is_finished_plus_outstanding(seed: u64, steps in prop::collection::vec((0u16..=1000, 0usize..4, any::<bool>()), 1..200)) {
            let split = Arc::new(Split::new(seed));
            let (mut open, mut ended) = (Vec::new(), 0u64);
            for (step, (per_mille, end, well)) in steps.iter().enumerate() {
                split.write(Weight::per_mille(*per_mille).expect("a weight"));
                open.push(split.assign());
                for flight in open.drain(..(*end).min(open.len())) {
                    ended += 1;
                    flight.ends(if *well { Ending::Well } else { Ending::Failed });
                }
                let Snapshot { stable, canary, .. } = split.snapshot();
                prop_assert_eq!(stable.sent + canary.sent, step as u64 + 1);
                prop_assert_eq!(stable.requests + canary.requests, ended);
                prop_assert_eq!(stable.outstanding() + canary.outstanding(), open.len() as u64);
                prop_assert!(stable.failed <= stable.requests && canary.failed <= canary.requests);
            }
        }
    }
}
