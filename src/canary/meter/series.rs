//! Samples of raw counters, added up for each arm. Pure: time comes in with the samples.
//!
//! `rate()` and `increase()` are not used: they lose the first increment of a series. Here:
//!
//! - What a counter grew by counts. One that went back began anew, and what it shows is what came in.
//! - A series that was born during the release counts from 0. It was, if its source had been scraped without it, or if
//!   the source itself is new while scraping went on all the time. Any other series that appears is counted from where
//!   it stands.
//! - Only samples later than the last one of their series count, and only up to a time to which both arms are known. An
//!   arm without samples, or one that fell behind, holds nothing back.
//! - What a series counted stays when it vanishes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::STALE;
use crate::canary::{Arm, Counts, EDGES, Metered, Reading};

/// A time in milliseconds, on the clock of who scrapes, and what a counter showed.
pub type Sample = (i64, f64);

/// The bound of a histogram's bucket, in microseconds.
pub type Bound = u64;

/// The bound of the bucket that has all.
pub const INFINITE: Bound = u64::MAX;

/// What one more of a counter means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Meaning {
    /// Requests, so many times.
    Requests {
        /// Sent.
        sent: f64,
        /// Ended.
        ended: f64,
        /// Of these: failed.
        failed: f64,
        /// Taken longer than every edge.
        slow: f64,
    },
    /// A request that took no longer than this: a bucket, which has all that are in lower ones too.
    Within(Bound),
}

impl Meaning {
    /// A request that ended well.
    pub const GOOD: Self = Self::requests(0.0, 1.0, 0.0, 0.0);
    /// A request that failed.
    pub const FAILED: Self = Self::requests(0.0, 1.0, 1.0, 0.0);
    /// A request that was sent.
    pub const SENT: Self = Self::requests(1.0, 0.0, 0.0, 0.0);
    /// A request that was sent, and is known from another counter already.
    pub const AGAIN: Self = Self::requests(-1.0, 0.0, 0.0, 0.0);
    /// One of those that are counted elsewhere was bad.
    pub const BAD: Self = Self::requests(0.0, 0.0, 1.0, 0.0);
    /// A request that took longer than every edge.
    pub const SLOW: Self = Self::requests(0.0, 0.0, 0.0, 1.0);

    const fn requests(sent: f64, ended: f64, failed: f64, slow: f64) -> Self {
        Self::Requests {
            sent,
            ended,
            failed,
            slow,
        }
    }
}

/// A counter, and samples of it in the order of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Whose requests it counts.
    pub arm: Arm,
    /// Who keeps it: what is scraped at once.
    pub source: String,
    /// Which counters begin anew together.
    pub life: String,
    /// Which of these it is.
    pub name: String,
    /// What it counts.
    pub meaning: Meaning,
    /// What it showed.
    pub samples: Vec<Sample>,
}

impl Series {
    /// Samples that a counter can have.
    pub(in crate::canary) fn sound(&self) -> impl Iterator<Item = Sample> {
        self.samples.iter().copied().filter(|(_, v)| v.is_finite() && *v >= 0.0)
    }

    fn newest(&self) -> Option<i64> {
        self.sound().map(|(at, _)| at).max()
    }
}

/// What came in since the first answer.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// Milliseconds between two scrapes.
    interval: i64,
    /// So long after scraping began, what is there has been scraped.
    settles: i64,
    start: Option<i64>,
    /// Both arms are known to this time.
    until: i64,
    /// From when to when scraping went on without a gap.
    awake: Option<(i64, i64)>,
    /// The last scrape of each source; none where it was named and never answered.
    sources: BTreeMap<String, Option<i64>>,
    tallies: BTreeMap<Arm, Tally>,
    /// The bound that stands for each edge.
    bounds: [Option<Bound>; EDGES.len()],
}

/// The last sample of each counter.
type Life = BTreeMap<String, Sample>;

/// What is counted of an arm.
#[derive(Clone, Debug, Default)]
struct Tally {
    lives: BTreeMap<String, Life>,
    sent: f64,
    ended: f64,
    failed: f64,
    slow: f64,
    slower: [f64; EDGES.len()],
    /// Whether it has a histogram.
    timed: bool,
    /// What was shown last: it only grows.
    shown: Counts,
}

/// The samples of counters of one life, of one scrape.
type Scrape<'a> = Vec<(&'a Series, f64)>;

impl Ledger {
    /// An empty one, for scrapes at this interval. What is there when scraping begins has been scraped after `settles`.
    pub fn new(interval: Duration, settles: Duration) -> Self {
        Self {
            interval: milliseconds(interval),
            settles: milliseconds(settles),
            start: None,
            until: i64::MIN,
            awake: None,
            sources: BTreeMap::new(),
            tallies: [Arm::Stable, Arm::Canary].map(|arm| (arm, Tally::default())).into(),
            bounds: [None; EDGES.len()],
        }
    }

    /// This source is there and does not answer: what it counted before it does is not known.
    pub fn silent(&mut self, source: &str) {
        if !self.sources.contains_key(source) {
            self.sources.insert(source.to_owned(), None);
        }
    }

    /// Adds what is new in these. The first answer is where counting begins.
    pub fn fold(&mut self, series: &[Series]) {
        let Some(until) = self.known_to(series) else {
            return;
        };
        self.until = self.until.max(until);
        self.bounds = bounds(series);
        let start = *self.start.get_or_insert(until);
        let mut scrapes: BTreeMap<(i64, Arm, &str), Scrape<'_>> = BTreeMap::new();
        for one in series {
            let last = self.tallies.get(&one.arm).and_then(|tally| tally.last(one));
            let is_new = |at: i64| at <= until && last.is_none_or(|last| last < at);
            for (at, value) in one.sound().filter(|(at, _)| is_new(*at)) {
                scrapes.entry((at, one.arm, &one.life)).or_default().push((one, value));
            }
        }
        // When each source was scraped first in this answer.
        let mut first: BTreeMap<&str, i64> = BTreeMap::new();
        for ((at, arm, life), scrape) in &scrapes {
            self.stay_awake(*at);
            for (one, _) in scrape {
                first.entry(&one.source).or_insert(*at);
            }
            self.take(*at, (*arm, life), scrape, at > &start, &first);
        }
        for ((at, ..), scrape) in &scrapes {
            for (one, _) in scrape {
                let last = self.sources.entry(one.source.clone()).or_default();
                *last = (*last).max(Some(*at));
            }
        }
    }

    /// The time to which both arms are known: an arm's samples wait for the other's, unless that one fell behind.
    fn known_to(&self, series: &[Series]) -> Option<i64> {
        let newest = |arm| {
            let own = series.iter().filter(|s| s.arm == arm);
            own.filter_map(Series::newest).max()
        };
        let (stable, canary) = (newest(Arm::Stable), newest(Arm::Canary));
        let (Some(stable), Some(canary)) = (stable, canary) else {
            return stable.or(canary);
        };
        let (behind, ahead) = (stable.min(canary), stable.max(canary));
        Some(if ahead.saturating_sub(behind) > self.gap() {
            ahead
        } else {
            behind
        })
    }

    fn stay_awake(&mut self, at: i64) {
        self.awake = Some(match self.awake {
            Some((from, to)) if at.saturating_sub(to) <= self.gap() => (from, to.max(at)),
            _ => (at, at),
        });
    }

    /// More than this between two scrapes is an outage.
    fn gap(&self) -> i64 {
        self.interval.saturating_mul(i64::from(STALE))
    }

    /// Takes one scrape of one life.
    fn take(&mut self, at: i64, life: (Arm, &str), scrape: &Scrape<'_>, counts: bool, first: &BTreeMap<&str, i64>) {
        let (arm, name) = life;
        let born: Vec<bool> = scrape.iter().map(|(one, _)| self.is_born(one, at, first)).collect();
        let tally = self.tallies.entry(arm).or_default();
        let life = tally.lives.entry(name.to_owned()).or_default();
        // A series that is there twice counts once.
        let mut shown: BTreeMap<&str, (&Series, f64, bool)> = BTreeMap::new();
        for ((one, value), born) in scrape.iter().zip(born) {
            shown.entry(&one.name).or_insert((one, *value, born));
        }
        let went_back =
            |(name, (_, value, _)): (&&str, &(_, f64, _))| life.get(*name).is_some_and(|(_, was)| was > value);
        if shown.iter().any(went_back) {
            // Those that are not shown any more stand at 0 too.
            for last in life.values_mut() {
                *last = (at, 0.0);
            }
        }
        let mut within: BTreeMap<Bound, f64> = BTreeMap::new();
        for (name, (one, value, born)) in shown {
            let was = life.insert(name.to_owned(), (at, value)).map(|(_, was)| was);
            let base = was.unwrap_or(if born { 0.0 } else { value });
            let grown = if counts { value - base } else { 0.0 };
            match one.meaning {
                Meaning::Within(bound) => _ = within.insert(bound, grown),
                Meaning::Requests {
                    sent,
                    ended,
                    failed,
                    slow,
                } => {
                    tally.sent += sent * grown;
                    tally.ended += ended * grown;
                    tally.failed += failed * grown;
                    tally.slow += slow * grown;
                }
            }
        }
        if let Some(all) = within.get(&INFINITE) {
            tally.timed = true;
            for (slower, bound) in tally.slower.iter_mut().zip(self.bounds) {
                let quick = bound.and_then(|bound| within.get(&bound));
                *slower += quick.map_or(0.0, |quick| (all - quick).max(0.0));
            }
        }
    }

    /// Whether a series that is not known was born between two scrapes: this is its first sample.
    fn is_born(&self, one: &Series, at: i64, first: &BTreeMap<&str, i64>) -> bool {
        let is_later = first.get(one.source.as_str()).is_some_and(|first| *first < at);
        match self.sources.get(&one.source) {
            Some(Some(last)) => *last < at,
            Some(None) => is_later,
            None => is_later || self.awake.is_some_and(|(from, _)| at - from > self.settles),
        }
    }

    /// What both arms show.
    pub fn reading(&mut self) -> Reading {
        let passed = self.until.saturating_sub(self.start.unwrap_or(self.until));
        let is_timed = |tally: &Tally| tally.timed || tally.ended == 0.0;
        let latencies = self.bounds.iter().any(Option::is_some) && self.tallies.values().all(is_timed);
        let mut show = |arm| self.tallies.entry(arm).or_default().show();
        Reading {
            at: Duration::from_millis(u64::try_from(passed).unwrap_or(0)),
            stable: show(Arm::Stable),
            canary: show(Arm::Canary),
            metrics: Metered::new(),
            latencies,
            // Each source is scraped once in an interval, and the last scrape may be as old when a weight changes.
            lag: Duration::from_millis(u64::try_from(self.interval.saturating_mul(2)).unwrap_or(0)),
            instead: None,
        }
    }
}

impl Tally {
    /// The time of the last sample of this series.
    fn last(&self, one: &Series) -> Option<i64> {
        let (at, _) = self.lives.get(&one.life)?.get(&one.name)?;
        Some(*at)
    }

    /// Its counts: whole, in agreement with one another, and never less than before. Counters of one scrape are read
    /// one after another, so they can be at odds by a request.
    fn show(&mut self) -> Counts {
        let was = self.shown;
        let requests = whole(self.ended).max(was.requests);
        let mut slower = was.slower;
        for (shown, slower) in slower.iter_mut().zip(self.slower) {
            *shown = whole(slower + self.slow).min(requests).max(*shown);
        }
        self.shown = Counts {
            sent: whole(self.sent).max(requests).max(was.sent),
            requests,
            failed: whole(self.failed).min(requests).max(was.failed),
            slower,
        };
        self.shown
    }
}

/// For each edge the lowest bound that is not below it, of those that every histogram has.
fn bounds(series: &[Series]) -> [Option<Bound>; EDGES.len()] {
    let mut histograms: BTreeMap<(Arm, &str), BTreeSet<Bound>> = BTreeMap::new();
    for one in series {
        if let Meaning::Within(bound) = one.meaning {
            histograms.entry((one.arm, &one.life)).or_default().insert(bound);
        }
    }
    let common = histograms
        .into_values()
        .reduce(|all, one| &all & &one)
        .unwrap_or_default();
    EDGES.map(|edge| {
        let edge = u64::from(edge) * 1_000;
        common.range(edge..INFINITE).next().copied()
    })
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count stays far below 2^53; as saturates, at 0 too"
)]
pub(in crate::canary) fn whole(count: f64) -> u64 {
    count.round() as u64
}

#[cfg(test)]
mod tests;
