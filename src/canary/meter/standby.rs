//! Two meters: the one that a release is judged by, and one that stands by while that has nothing.
//!
//! What stands by may show that the canary is worse. It lets no step end, for it has neither the latencies nor the metrics of the
//! user's own. No request counts twice: what the first one counted while the other was read is left out, and so is what may be of
//! that time when it answers again. A silence in which nothing was read elsewhere loses nothing.

use std::time::Duration;

use crate::canary::{Counts, Meter, Reading};
use crate::failure::{Failure, Kind};

/// Reads one meter, and another one where that has nothing.
#[derive(Debug)]
pub struct Standby<F, S> {
    first: F,
    second: S,
    /// What was told last: what both counted, added up.
    told: Reading,
    /// What the first one said last, if it ever did.
    last: Option<Reading>,
    turn: Turn,
}

/// Who is read.
#[derive(Debug)]
enum Turn {
    First,
    /// What it said last, and whether anything of it was told.
    Second(Box<Reading>, bool),
    /// The first one answers again; from this time of its own on nothing that it counts was told before.
    Back(Duration),
}

impl<F: Meter, S: Meter> Standby<F, S> {
    /// Nothing is read yet. The second one is not asked before the first has answered once.
    pub fn new(first: F, second: S) -> Self {
        Self {
            first,
            second,
            told: Reading::default(),
            last: None,
            turn: Turn::First,
        }
    }

    fn answered(&mut self, now: &Reading) -> Result<Reading, Failure> {
        match self.turn {
            Turn::Second(_, true) => self.turn = Turn::Back(now.at + now.lag),
            Turn::Second(_, false) => self.turn = Turn::First,
            Turn::First | Turn::Back(_) => {}
        }
        if let Turn::Back(until) = self.turn {
            self.last = Some(now.clone());
            if now.at < until {
                return Err(Failure::new(
                    Kind::NoEvidence,
                    "counters are there again, and may be of the time before",
                ));
            }
            self.turn = Turn::First;
        }
        let before = self.last.replace(now.clone()).unwrap_or_default();
        self.told = Reading {
            metrics: now.metrics.clone(),
            latencies: now.latencies,
            lag: now.lag,
            instead: None,
            ..self.and(now, &before)
        };
        Ok(self.told.clone())
    }

    fn silent(&mut self, why: Failure) -> Result<Reading, Failure> {
        let now = match self.second.read() {
            Ok(now) => now,
            Err(other) => return Err(why.note(format!("instead of it: {}", other.with_causes()))),
        };
        let (before, any) = match std::mem::replace(&mut self.turn, Turn::First) {
            Turn::Second(before, any) => (before, any),
            // Where it stands is where it counts from.
            Turn::First => (Box::new(now.clone()), false),
            Turn::Back(_) => (Box::new(now.clone()), true),
        };
        let told = self.and(&now, &before);
        let any = any || (told.stable, told.canary) != (self.told.stable, self.told.canary);
        self.turn = Turn::Second(Box::new(now), any);
        self.told = Reading {
            latencies: false,
            instead: Some(why.with_causes()),
            ..told
        };
        Ok(self.told.clone())
    }

    /// What was told, and what came in between these two.
    fn and(&self, now: &Reading, before: &Reading) -> Reading {
        Reading {
            at: self.told.at + now.at.saturating_sub(before.at),
            stable: sum(&self.told.stable, &now.stable.since(&before.stable)),
            canary: sum(&self.told.canary, &now.canary.since(&before.canary)),
            ..self.told.clone()
        }
    }
}

impl<F: Meter, S: Meter> Meter for Standby<F, S> {
    fn read(&mut self) -> Result<Reading, Failure> {
        match self.first.read() {
            Ok(now) => self.answered(&now),
            Err(why) if self.last.is_some() => self.silent(why),
            Err(why) => Err(why),
        }
    }
}

fn sum(before: &Counts, new: &Counts) -> Counts {
    let mut slower = before.slower;
    for (all, new) in slower.iter_mut().zip(new.slower) {
        *all += new;
    }
    Counts {
        sent: before.sent + new.sent,
        requests: before.requests + new.requests,
        failed: before.failed + new.failed,
        slower,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A meter that says what it is told to: the time in seconds and the canary's requests, or nothing.
    struct Told(std::vec::IntoIter<Option<(u64, u64)>>);

    impl Meter for Told {
        fn read(&mut self) -> Result<Reading, Failure> {
            let (at, requests) = self
                .0
                .next()
                .expect("it is not asked so often")
                .ok_or_else(|| Failure::new(Kind::Unreachable, "connection refused"))?;
            Ok(Reading {
                at: Duration::from_secs(at),
                canary: Counts {
                    sent: requests,
                    requests,
                    ..Counts::default()
                },
                latencies: true,
                lag: Duration::from_secs(2),
                ..Reading::default()
            })
        }
    }

    fn standby(first: Vec<Option<(u64, u64)>>, second: Vec<Option<(u64, u64)>>) -> Standby<Told, Told> {
        Standby::new(Told(first.into_iter()), Told(second.into_iter()))
    }

    /// The time, the requests, and whether they are of what stands by; none where it has nothing.
    fn looks(meter: &mut Standby<Told, Told>, looks: usize) -> Vec<Option<(u64, u64, bool)>> {
        let look = |_| {
            let Reading {
                at, canary, instead, ..
            } = meter.read().ok()?;
            Some((at.as_secs(), canary.requests, instead.is_some()))
        };
        (0..looks).map(look).collect()
    }

    #[test]
    fn what_one_counts_is_told_once_and_what_both_may_count_is_left_out() {
        let mut meter = standby(
            vec![
                Some((1, 10)),
                Some((2, 20)),
                None,
                None,
                None,
                Some((6, 60)),
                Some((7, 70)),
                Some((8, 80)),
                Some((9, 90)),
                None,
            ],
            vec![
                Some((100, 7_000)),
                Some((101, 7_011)),
                Some((102, 7_022)),
                Some((110, 7_110)),
            ],
        );
        assert_eq!(
            looks(&mut meter, 10),
            [
                Some((1, 10, false)),
                Some((2, 20, false)),
                // It counts from where it stands.
                Some((2, 20, true)),
                Some((3, 31, true)),
                Some((4, 42, true)),
                // Two seconds of the first one may be of the time before.
                None,
                None,
                Some((4, 42, false)),
                Some((5, 52, false)),
                // What came in since it was read last was told by the other.
                Some((5, 52, true)),
            ]
        );
    }

    #[test]
    fn a_short_silence_loses_nothing() {
        let mut meter = standby(
            vec![Some((1, 10)), None, Some((3, 30)), None, Some((5, 50))],
            vec![Some((9, 5)), None],
        );
        assert_eq!(
            looks(&mut meter, 5),
            [
                Some((1, 10, false)),
                Some((1, 10, true)),
                Some((3, 30, false)),
                None,
                Some((5, 50, false))
            ]
        );
    }

    #[test]
    fn before_the_first_one_ever_answered_nobody_stands_in() {
        let mut meter = standby(vec![None, None], vec![]);
        assert_eq!(looks(&mut meter, 2), [None, None]);
    }

    #[test]
    fn what_stands_by_says_nothing_of_latencies_and_why_it_is_asked() {
        let mut meter = standby(vec![Some((1, 10)), None], vec![Some((5, 5))]);
        assert!(meter.read().unwrap().latencies);
        let instead = meter.read().unwrap();
        assert_eq!(
            (instead.latencies, instead.instead.as_deref()),
            (false, Some("connection refused"))
        );
        let mut both = standby(vec![Some((1, 10)), None], vec![None]);
        both.read().unwrap();
        let failure = both.read().unwrap_err();
        assert_eq!(failure.to_string(), "connection refused");
        assert_eq!(failure.notes(), ["instead of it: connection refused"]);
    }
}
