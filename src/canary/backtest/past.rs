//! What stable was asked and how it answered, from look to look, out of raw samples of its counters. Pure.
//!
//! A day of samples is read at once, and what came in *between* two looks is wanted, so the meter's ledger does not serve here;
//! its rules hold all the same:
//!
//! - What a counter grew by counts, at the look that first shows it. One that went back began anew.
//! - A series that appears counts from 0 if its source was scraped without it before, or if the source itself is new while
//!   scraping went on all the time. Any other is counted from where it stands.
//! - Answers may overlap: only samples later than the last one of their series count.
//!
//! How many answers *would* have been slower than an edge, had each taken [`SLOWER`] times as long, is read off the histogram: those
//! are the ones that took longer than the edge's bound divided by that. Where this lies inside of a bucket, the answers in the
//! bucket are taken to lie evenly in it, as Prometheus' own `histogram_quantile` has it.

use std::collections::{BTreeMap, BTreeSet};

use crate::canary::meter::STALE;
use crate::canary::meter::series::{Bound, INFINITE, Meaning, Sample, Series, whole};
use crate::canary::{Counts, EDGES};

/// How many times as long the answers of a slow canary take.
pub const SLOWER: f64 = 1.5;

/// After so many intervals of scraping each source that is there has been scraped.
const SETTLES: usize = 2;

/// What came in between two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Whether anything was scraped.
    pub scraped: bool,
    /// What came in.
    pub counts: Counts,
    /// How many of these would have been slower than each edge, had they taken [`SLOWER`] times as long.
    pub slowed: [u64; EDGES.len()],
}

/// Samples of stable's counters, added up.
#[derive(Clone, Debug)]
pub struct Past {
    /// When it begins, in milliseconds since 1970.
    begin: i64,
    /// Milliseconds between two looks.
    interval: i64,
    sums: Vec<Sum>,
    /// What each bucket grew by, look by look.
    within: BTreeMap<Bound, Vec<f64>>,
    /// The last sample of each counter, by the life that it is of.
    counters: BTreeMap<String, BTreeMap<String, Sample>>,
    /// The first scrape of each source.
    sources: BTreeMap<String, i64>,
    /// The buckets of each histogram.
    histograms: BTreeMap<String, BTreeSet<Bound>>,
    /// The usual time between two samples of a series.
    cadence: Option<i64>,
}

/// What came in between two looks, before it is rounded.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    scraped: bool,
    ended: f64,
    failed: f64,
    slow: f64,
}

/// The bound that stands for an edge, and where in the histogram it was before answers took longer.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Shift {
    bound: Bound,
    /// The bounds of the bucket in which `bound` divided by [`SLOWER`] lies; none below the first.
    low: Option<Bound>,
    high: Bound,
    /// Which part of the bucket lies below it.
    part: f64,
}

impl Past {
    /// An empty one of this time, in milliseconds since 1970, looked at so often, in milliseconds.
    pub fn new(begin: i64, end: i64, interval: u64) -> Self {
        let interval = i64::try_from(interval).unwrap_or(i64::MAX).max(1);
        let looks = usize::try_from(end.saturating_sub(begin) / interval).unwrap_or(0);
        Self {
            begin,
            interval,
            sums: vec![Sum::default(); looks],
            within: BTreeMap::new(),
            counters: BTreeMap::new(),
            sources: BTreeMap::new(),
            histograms: BTreeMap::new(),
            cadence: None,
        }
    }

    /// Adds what is new in these; each answer is later than the one before it.
    pub fn add(&mut self, series: &[Series]) {
        for one in series {
            if let Some((first, _)) = one.sound().next() {
                let known = self.sources.entry(one.source.clone()).or_insert(first);
                *known = first.min(*known);
            }
            for (at, _) in one.sound() {
                if let Some(look) = self.look_at(at) {
                    self.sums[look].scraped = true;
                }
            }
            if let Meaning::Within(bound) = one.meaning {
                self.histograms.entry(one.life.clone()).or_default().insert(bound);
            }
        }
        self.cadence = self.cadence.or_else(|| cadence(series));
        for one in series {
            self.take(one);
        }
    }

    fn take(&mut self, one: &Series) {
        let known = self.counters.get(&one.life).and_then(|life| life.get(&one.name));
        let mut last = known.copied();
        for (at, value) in one.sound() {
            let grown = match last {
                Some((then, _)) if at <= then => continue,
                Some((_, was)) if was <= value => value - was,
                Some(_) => value,
                None if self.is_born(one, at) => value,
                None => 0.0,
            };
            last = Some((at, value));
            if grown > 0.0
                && let Some(look) = self.look_at(at)
            {
                self.grow(look, one.meaning, grown);
            }
        }
        if let Some(last) = last {
            let life = self.counters.entry(one.life.clone()).or_default();
            life.insert(one.name.clone(), last);
        }
    }

    fn grow(&mut self, look: usize, meaning: Meaning, grown: f64) {
        match meaning {
            Meaning::Within(bound) => {
                let looks = self.sums.len();
                let bucket = self.within.entry(bound).or_insert_with(|| vec![0.0; looks]);
                bucket[look] += grown;
            }
            // What was sent and has not ended is not known of every mesh; here it has ended when it is counted.
            Meaning::Requests {
                ended, failed, slow, ..
            } => {
                let sum = &mut self.sums[look];
                sum.ended += ended * grown;
                sum.failed += failed * grown;
                sum.slow += slow * grown;
            }
        }
    }

    /// Whether a series whose first sample this is was born between two scrapes.
    fn is_born(&self, one: &Series, at: i64) -> bool {
        let is_later = self.sources.get(&one.source).is_some_and(|first| *first < at);
        is_later || self.look_at(at).is_some_and(|look| self.is_awake(look))
    }

    /// Whether scraping went on without a gap for so long before this look that each source that was there had been scraped.
    fn is_awake(&self, look: usize) -> bool {
        let gap = usize::try_from(STALE).unwrap_or(usize::MAX);
        let mut from = look;
        while let Some(before) = (from.saturating_sub(gap)..from).find(|at| self.sums[*at].scraped) {
            from = before;
            if look - from > SETTLES {
                return true;
            }
        }
        false
    }

    /// The look that first shows what was scraped then.
    fn look_at(&self, at: i64) -> Option<usize> {
        let passed = at.checked_sub(self.begin).filter(|passed| *passed >= 0)?;
        let look = usize::try_from(passed / self.interval).ok()?;
        (look < self.sums.len()).then_some(look)
    }

    /// Whether not one request came in.
    pub fn is_empty(&self) -> bool {
        self.sums.iter().all(|sum| whole(sum.ended) == 0)
    }

    /// Milliseconds between two scrapes, as they were; none where nothing was scraped twice.
    pub fn cadence(&self) -> Option<u64> {
        self.cadence.and_then(|time| u64::try_from(time).ok())
    }

    /// Whether there are histograms, so that latencies can be judged.
    pub fn is_timed(&self) -> bool {
        shifts(&self.bounds()).iter().any(Option::is_some)
    }

    /// The bounds that every histogram has.
    fn bounds(&self) -> BTreeSet<Bound> {
        let all = self.histograms.values().cloned();
        all.reduce(|all, one| &all & &one).unwrap_or_default()
    }

    /// What came in, look by look, from after the first scrape, which is where counting begins, to the last.
    pub fn looks(&self) -> Vec<Look> {
        let shifts = shifts(&self.bounds());
        let scraped = |sum: &Sum| sum.scraped;
        let first = self.sums.iter().position(scraped).map_or(0, |first| first + 1);
        let last = self.sums.iter().rposition(scraped).map_or(0, |last| last + 1);
        (first..last).map(|look| self.look(look, &shifts)).collect()
    }

    fn look(&self, at: usize, shifts: &[Option<Shift>; EDGES.len()]) -> Look {
        let sum = self.sums[at];
        let requests = whole(sum.ended);
        let within = |bound: Bound| self.within.get(&bound).map_or(0.0, |bucket| bucket[at]);
        let all = within(INFINITE);
        // The longer the edge, the fewer: counters of one scrape are read one after another and can be at odds by a request.
        let falling = |beyond: &dyn Fn(&Shift) -> f64| {
            let mut most = requests;
            shifts.map(|shift| {
                most = shift
                    .map_or(0, |shift| whole(all - beyond(&shift) + sum.slow))
                    .min(most);
                most
            })
        };
        let quick = |shift: &Shift| {
            let low = shift.low.map_or(0.0, within);
            low + (within(shift.high) - low) * shift.part
        };
        Look {
            scraped: sum.scraped,
            counts: Counts {
                sent: requests,
                requests,
                failed: whole(sum.failed).min(requests),
                slower: falling(&|shift: &Shift| within(shift.bound)),
            },
            slowed: falling(&quick),
        }
    }
}

/// The median time between two samples of one series.
fn cadence(series: &[Series]) -> Option<i64> {
    let gaps = series
        .iter()
        .flat_map(|one| one.samples.windows(2).map(|pair| pair[1].0 - pair[0].0));
    let mut gaps: Vec<i64> = gaps.filter(|gap| *gap > 0).collect();
    gaps.sort_unstable();
    gaps.get(gaps.len() / 2).copied()
}

/// For each edge the lowest bound that is not below it, and where that was before.
fn shifts(bounds: &BTreeSet<Bound>) -> [Option<Shift>; EDGES.len()] {
    EDGES.map(|edge| {
        let bound = *bounds.range(u64::from(edge) * 1_000..INFINITE).next()?;
        let before = number(bound) / SLOWER;
        let high = *bounds.iter().find(|bound| number(**bound) >= before)?;
        let low = bounds.range(..high).next_back().copied();
        let from = low.map_or(0.0, number);
        Some(Shift {
            bound,
            low,
            high,
            part: (before - from) / (number(high) - from),
        })
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "microseconds of a latency stay far below 2^53"
)]
fn number(bound: Bound) -> f64 {
    bound as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canary::Arm;

    const SECOND: i64 = 1_000;

    /// A minute from this time on, looked at every five seconds.
    fn past() -> Past {
        Past::new(1_000 * SECOND, 1_060 * SECOND, 5_000)
    }

    /// A counter of its own life, with samples at so many seconds of that minute.
    fn counter(source: &str, name: &str, meaning: Meaning, samples: &[(i64, f64)]) -> Series {
        let at = |(at, value): &(i64, f64)| ((1_000 + at) * SECOND, *value);
        Series {
            arm: Arm::Stable,
            source: source.into(),
            life: format!("{source} {name}"),
            name: String::new(),
            meaning,
            samples: samples.iter().map(at).collect(),
        }
    }

    fn good(source: &str, samples: &[(i64, f64)]) -> Series {
        counter(source, "good", Meaning::GOOD, samples)
    }

    fn bad(source: &str, samples: &[(i64, f64)]) -> Series {
        counter(source, "bad", Meaning::FAILED, samples)
    }

    /// Requests and failures, look by look.
    fn told(past: &Past) -> Vec<(u64, u64)> {
        let looks = past.looks();
        looks
            .iter()
            .map(|look| (look.counts.requests, look.counts.failed))
            .collect()
    }

    #[test]
    fn what_a_counter_grew_by_counts_at_the_look_that_shows_it() {
        let mut past = past();
        past.add(&[
            good("a", &[(1, 100.0), (6, 107.0), (11, 107.0), (16, 120.0)]),
            bad("a", &[(1, 3.0), (6, 3.0), (11, 4.0), (16, 4.0)]),
        ]);
        assert_eq!(told(&past), [(7, 0), (1, 1), (13, 0)]);
        assert_eq!(past.cadence(), Some(5_000));
    }

    #[test]
    fn answers_that_overlap_count_once() {
        let mut past = past();
        past.add(&[good("a", &[(1, 1.0), (6, 3.0)])]);
        past.add(&[good("a", &[(1, 1.0), (6, 3.0), (11, 8.0)])]);
        assert_eq!(told(&past), [(2, 0), (5, 0)]);
    }

    #[test]
    fn a_counter_that_went_back_began_anew() {
        let mut past = past();
        past.add(&[good("a", &[(1, 100.0), (6, 4.0), (11, 6.0)])]);
        assert_eq!(told(&past), [(4, 0), (2, 0)]);
    }

    #[test]
    fn the_first_failures_of_a_series_that_was_born_count() {
        let mut past = past();
        past.add(&[good("a", &[(1, 10.0), (6, 11.0), (11, 12.0)]), bad("a", &[(11, 7.0)])]);
        assert_eq!(told(&past), [(1, 0), (8, 7)]);
    }

    #[test]
    fn a_new_source_counts_from_zero_only_while_scraping_went_on() {
        let samples: Vec<(i64, f64)> = (0..7).map(|scrape| (scrape * 5 + 1, 1.0)).collect();
        let mut awake = past();
        awake.add(&[good("a", &samples), good("b", &[(26, 9.0), (31, 10.0)])]);
        assert_eq!(told(&awake)[4..], [(9, 0), (1, 0)]);
        // Prometheus was away: what the new source counted meanwhile is not known to be of this time.
        let mut away = past();
        away.add(&[
            good("a", &[(1, 1.0), (6, 1.0), (31, 1.0)]),
            good("b", &[(31, 9.0), (36, 10.0)]),
        ]);
        assert_eq!(told(&away).iter().map(|(requests, _)| requests).sum::<u64>(), 1);
        // It began to scrape just now.
        let mut fresh = past();
        fresh.add(&[good("a", &[(1, 1.0), (6, 1.0)]), good("b", &[(6, 9.0), (11, 10.0)])]);
        assert_eq!(told(&fresh), [(0, 0), (1, 0)]);
    }

    #[test]
    fn looks_without_a_scrape_are_known() {
        let mut past = past();
        past.add(&[good("a", &[(1, 1.0), (6, 2.0), (26, 12.0)])]);
        let scraped: Vec<bool> = past.looks().iter().map(|look| look.scraped).collect();
        assert_eq!(scraped, [true, false, false, false, true]);
        assert_eq!(told(&past)[4], (10, 0));
    }

    #[test]
    fn what_lies_outside_of_the_time_or_is_no_count_is_left_out() {
        let mut past = past();
        past.add(&[good("a", &[(-5, 1.0), (1, 3.0), (6, f64::NAN), (11, 4.0), (60, 9.0)])]);
        // The growth up to the first look is where counting begins.
        assert_eq!(told(&past), [(0, 0), (1, 0)]);
    }

    /// A histogram whose buckets grew by so much.
    fn histogram(source: &str, buckets: &[(Bound, f64)]) -> Vec<Series> {
        let of = |(bound, grown): &(Bound, f64)| Series {
            name: bound.to_string(),
            ..counter(source, "time", Meaning::Within(*bound), &[(1, 5.0), (6, 5.0 + grown)])
        };
        buckets.iter().map(of).collect()
    }

    #[test]
    fn slower_answers_are_those_beyond_the_bound_and_evenly_spread_in_its_bucket() {
        let mut past = past();
        let buckets = [(50_000, 40.0), (100_000, 70.0), (300_000, 90.0), (INFINITE, 100.0)];
        past.add(&histogram("a", &buckets));
        past.add(&[good("a", &[(1, 0.0), (6, 100.0)])]);
        let look = past.looks()[0];
        let of = |all: [u64; EDGES.len()], edge: u32| {
            let at = EDGES.iter().position(|e| *e == edge).expect("an edge");
            all[at]
        };
        for (edge, slower, slowed) in [
            // 50 / 1.5 = 33.3 ms: two thirds of the first bucket's 40 lie below.
            (50, 60, 73),
            // 66.7 ms: a third of the 30 between 50 and 100 ms.
            (100, 30, 50),
            // 300 stands for 200, and 200 ms lies half-way from 100 to 300.
            (200, 10, 20),
            // No bound beyond.
            (500, 0, 0),
        ] {
            assert_eq!(
                (of(look.counts.slower, edge), of(look.slowed, edge)),
                (slower, slowed),
                "{edge}"
            );
        }
        assert!(past.is_timed());
    }

    #[test]
    fn bounds_that_one_histogram_lacks_are_not_used() {
        let mut past = past();
        past.add(
            &[
                histogram("a", &[(100_000, 1.0), (INFINITE, 1.0)]),
                histogram("b", &[(INFINITE, 1.0)]),
            ]
            .concat(),
        );
        assert!(!past.is_timed());
        past.add(&[good("a", &[(1, 0.0), (6, 2.0)])]);
        assert_eq!(past.looks()[0].counts.slower, [0; EDGES.len()]);
    }

    #[test]
    fn what_timed_out_was_slower_than_every_edge() {
        let mut past = past();
        past.add(&histogram("a", &[(5_000_000, 8.0), (INFINITE, 8.0)]));
        past.add(&[
            good("a", &[(1, 0.0), (6, 10.0)]),
            counter("a", "timeouts", Meaning::SLOW, &[(1, 0.0), (6, 2.0)]),
        ]);
        let look = past.looks()[0];
        assert_eq!((look.counts.slower[11], look.slowed[11]), (2, 5));
    }

    #[test]
    fn nothing_is_nothing() {
        let past = past();
        assert!(past.is_empty() && past.looks().is_empty());
        assert_eq!((past.cadence(), past.is_timed()), (None, false));
        assert!(Past::new(10, 0, 5_000).looks().is_empty());
    }
}
