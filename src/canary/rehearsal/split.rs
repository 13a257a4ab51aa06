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

/// Above which latencies requests are counted, in milliseconds.
pub const EDGES_MS: [u64; 14] = [1, 2, 5, 10, 20, 50, 100, 200, 350, 500, 1000, 2000, 5000, 10_000];

/// One of the two upstreams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    /// What serves today.
    Stable,
    /// What is tried.
    Canary,
}

/// What became of the requests of one arm, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Assigned to the arm.
    pub sent: u64,
    /// Answered to the last byte, or failed.
    pub finished: u64,
    /// Of the finished: 5xx, no connection, a broken answer, no answer before the deadline, a client that gave up.
    pub failed: u64,
    /// Of the finished: slower than each of [`EDGES_MS`].
    pub slower: [u64; EDGES_MS.len()],
}

impl Tally {
    /// Assigned and not yet finished.
    pub const fn outstanding(&self) -> u64 {
        self.sent - self.finished
    }

    fn finish(&mut self, took: Duration, well: bool) {
        self.finished += 1;
        self.failed += u64::from(!well);
        for (slower, edge) in self.slower.iter_mut().zip(EDGES_MS) {
            *slower += u64::from(took > Duration::from_millis(edge));
        }
    }
}

/// Both arms at one instant.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot {
    /// When.
    pub at: Instant,
    /// What serves today.
    pub stable: Tally,
    /// What is tried.
    pub canary: Tally,
}

/// Weight, dice and counters.
#[derive(Debug)]
pub(super) struct Split(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    per_mille: u16,
    dice: StdRng,
    stable: Tally,
    canary: Tally,
}

impl Inner {
    const fn tally(&mut self, arm: Arm) -> &mut Tally {
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
            per_mille: 0,
            dice: StdRng::seed_from_u64(seed),
            stable: Tally::default(),
            canary: Tally::default(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it is held; were it so, the counters would still be whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The canary's share, per mille, of every request that is assigned from now on.
    pub(super) fn write(&self, per_mille: u16) {
        self.lock().per_mille = per_mille.min(1000);
    }

    /// The canary's share, per mille.
    pub(super) fn read(&self) -> u16 {
        self.lock().per_mille
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
        let to_canary = inner.dice.random_range(0..1000) < inner.per_mille;
        let arm = if to_canary { Arm::Canary } else { Arm::Stable };
        inner.tally(arm).sent += 1;
        Flight {
            split: Arc::clone(self),
            arm,
            since: now(),
            well: false,
        }
    }
}

/// One request under way. However it ends, and also when it is only dropped, it is counted once; it has failed unless
/// somebody said that it went well.
#[derive(Debug)]
pub(super) struct Flight {
    split: Arc<Split>,
    arm: Arm,
    since: Instant,
    well: bool,
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

    /// It was answered to the last byte, and not with a 5xx.
    pub(super) fn went_well(mut self) {
        self.well = true;
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let took = now().saturating_duration_since(self.since);
        self.split.lock().tally(self.arm).finish(took, self.well);
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
            split.write(per_mille);
            assert_eq!(split.read(), per_mille);
            let before = split.snapshot().canary.sent;
            for _ in 0..total {
                drop(split.assign());
            }
            let seen = (split.snapshot().canary.sent - before) as f64;
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
        one.went_well();
        drop(two);
        let tally = split.snapshot().stable;
        assert_eq!((tally.sent, tally.finished, tally.failed), (2, 2, 1));
    }

    #[test]
    fn requests_are_counted_above_each_edge_they_exceed() {
        let mut tally = Tally::default();
        tally.finish(Duration::from_millis(50), true);
        tally.finish(Duration::from_millis(51), true);
        tally.finish(Duration::from_secs(60), false);
        assert_eq!(tally.slower, [3, 3, 3, 3, 3, 2, 1, 1, 1, 1, 1, 1, 1, 1]);
    }

    proptest! {
        #[test]
        fn sent_is_finished_plus_outstanding(seed: u64, steps in prop::collection::vec((0u16..=1000, 0usize..4, any::<bool>()), 1..200)) {
            let split = Arc::new(Split::new(seed));
            let (mut open, mut ended) = (Vec::new(), 0u64);
            for (step, (per_mille, end, well)) in steps.iter().enumerate() {
                split.write(*per_mille);
                open.push(split.assign());
                for flight in open.drain(..(*end).min(open.len())) {
                    ended += 1;
                    if *well { flight.went_well() } else { drop(flight) }
                }
                let Snapshot { stable, canary, .. } = split.snapshot();
                prop_assert_eq!(stable.sent + canary.sent, step as u64 + 1);
                prop_assert_eq!(stable.finished + canary.finished, ended);
                prop_assert_eq!(stable.outstanding() + canary.outstanding(), open.len() as u64);
                prop_assert!(stable.failed <= stable.finished && canary.failed <= canary.finished);
            }
        }
    }
}
