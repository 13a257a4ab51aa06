use proptest::prelude::*;

use super::*;

const SECOND: i64 = 1_000;

fn ledger() -> Ledger {
    Ledger::new(Duration::from_secs(5), Duration::from_secs(10))
}

/// A counter of its own life.
fn counter(arm: Arm, source: &str, name: &str, meaning: Meaning, samples: &[(i64, f64)]) -> Series {
    Series {
        arm,
        source: source.into(),
        life: format!("{source} {name}"),
        name: String::new(),
        meaning,
        samples: samples.iter().map(|(at, value)| (at * SECOND, *value)).collect(),
    }
}

fn good(arm: Arm, source: &str, samples: &[(i64, f64)]) -> Series {
    counter(arm, source, "good", Meaning::GOOD, samples)
}

fn bad(arm: Arm, source: &str, samples: &[(i64, f64)]) -> Series {
    counter(arm, source, "bad", Meaning::FAILED, samples)
}

/// A histogram, whose buckets have these samples.
fn histogram(arm: Arm, source: &str, buckets: &[(Bound, &[(i64, f64)])]) -> Vec<Series> {
    let of = |(bound, samples): &(Bound, &[(i64, f64)])| Series {
        name: bound.to_string(),
        ..counter(arm, source, "time", Meaning::Within(*bound), samples)
    };
    buckets.iter().map(of).collect()
}

/// Requests and failures of stable, then of the canary.
fn told(ledger: &mut Ledger) -> [u64; 4] {
    let Reading { stable, canary, .. } = ledger.reading();
    [stable.requests, stable.failed, canary.requests, canary.failed]
}

use Arm::{Canary, Stable};

#[test]
fn counting_begins_with_the_first_answer() {
    let mut ledger = ledger();
    ledger.fold(&[good(Stable, "a", &[(0, 5.0), (5, 9.0)]), bad(Canary, "a", &[(5, 3.0)])]);
    assert_eq!(told(&mut ledger), [0, 0, 0, 0]);
    assert_eq!(ledger.reading().at, Duration::ZERO);
    ledger.fold(&[
        good(Stable, "a", &[(5, 9.0), (10, 12.0)]),
        bad(Canary, "a", &[(5, 3.0), (10, 4.0)]),
    ]);
    assert_eq!(told(&mut ledger), [3, 0, 1, 1]);
    assert_eq!(ledger.reading().at, Duration::from_secs(5));
    // Nothing new is nothing.
    ledger.fold(&[
        good(Stable, "a", &[(5, 9.0), (10, 12.0)]),
        bad(Canary, "a", &[(5, 3.0), (10, 4.0)]),
    ]);
    assert_eq!(told(&mut ledger), [3, 0, 1, 1]);
}

#[test]
fn a_counter_that_went_back_began_anew() {
    let mut ledger = ledger();
    ledger.fold(&[good(Stable, "a", &[(0, 100.0)])]);
    let samples = [(0, 100.0), (5, 110.0), (10, 4.0), (15, 6.0), (20, 0.0), (25, 7.0)];
    ledger.fold(&[good(Stable, "a", &samples)]);
    assert_eq!(told(&mut ledger)[0], 10 + 4 + 2 + 7);
}

#[test]
fn counters_of_one_life_begin_anew_together() {
    let of = |name: &str, meaning, samples: &[(i64, f64)]| Series {
        life: "a".into(),
        name: name.into(),
        ..counter(Canary, "a", name, meaning, samples)
    };
    let mut ledger = ledger();
    ledger.fold(&[
        of("good", Meaning::GOOD, &[(0, 50.0)]),
        of("bad", Meaning::FAILED, &[(0, 2.0)]),
    ]);
    // The process began anew and failed three times: only the other counter shows that these are three, not one.
    ledger.fold(&[
        of("good", Meaning::GOOD, &[(5, 9.0)]),
        of("bad", Meaning::FAILED, &[(5, 3.0)]),
    ]);
    assert_eq!(told(&mut ledger), [0, 0, 12, 3]);
    // Anew, without failures at first: these are two more, and no third beginning.
    ledger.fold(&[of("good", Meaning::GOOD, &[(10, 4.0)])]);
    ledger.fold(&[
        of("good", Meaning::GOOD, &[(15, 5.0)]),
        of("bad", Meaning::FAILED, &[(15, 2.0)]),
    ]);
    assert_eq!(told(&mut ledger), [0, 0, 12 + 4 + 1 + 2, 3 + 2]);
}

#[test]
fn every_failure_of_a_new_pod_is_counted() {
    for failures in 1..50_u32 {
        let shown = f64::from(failures);
        // At the caller, which is scraped since long: the first sample of the series has them all.
        let mut at_caller = ledger();
        at_caller.fold(&[good(Stable, "caller", &[(0, 7.0), (5, 9.0)])]);
        at_caller.fold(&[
            good(Stable, "caller", &[(0, 7.0), (5, 9.0), (10, 9.0)]),
            bad(Canary, "caller", &[(10, shown)]),
        ]);
        assert_eq!(told(&mut at_caller), [0, 0, failures.into(), failures.into()]);
        // At the pod itself, which is scraped first in the same answer as others.
        let mut at_pod = ledger();
        at_pod.fold(&[good(Stable, "old", &[(0, 7.0), (5, 9.0), (10, 9.0), (15, 9.0)])]);
        at_pod.fold(&[
            good(Stable, "old", &[(15, 9.0), (20, 9.0)]),
            bad(Canary, "new", &[(18, shown)]),
        ]);
        assert_eq!(told(&mut at_pod), [0, 0, failures.into(), failures.into()]);
    }
}

#[test]
fn what_may_be_older_than_the_release_is_counted_from_where_it_stands() {
    // Prometheus has just begun: others will be scraped first only now.
    let mut early = ledger();
    early.fold(&[good(Stable, "a", &[(0, 7.0)])]);
    early.fold(&[
        good(Stable, "a", &[(0, 7.0), (5, 8.0)]),
        bad(Canary, "b", &[(3, 90.0), (8, 91.0)]),
    ]);
    early.fold(&[
        good(Stable, "a", &[(5, 8.0), (10, 8.0)]),
        bad(Canary, "b", &[(3, 90.0), (8, 91.0)]),
    ]);
    assert_eq!(told(&mut early), [1, 0, 1, 1]);
    // The same after an outage of its own.
    let mut outage = ledger();
    outage.fold(&[good(Stable, "a", &[(0, 7.0), (5, 7.0), (10, 7.0), (15, 7.0)])]);
    outage.fold(&[good(Stable, "a", &[(98, 50.0)]), bad(Canary, "b", &[(99, 90.0)])]);
    assert_eq!(told(&mut outage), [43, 0, 0, 0]);
    // But not for a source that was scraped before the outage.
    outage.fold(&[good(Stable, "a", &[(200, 50.0)]), bad(Canary, "a", &[(200, 3.0)])]);
    assert_eq!(told(&mut outage), [43, 0, 3, 3]);
    // A series that was left out of an answer had samples at the time of the last one.
    let mut partial = ledger();
    partial.fold(&[good(Stable, "a", &[(0, 7.0), (5, 7.0), (10, 7.0), (15, 7.0)])]);
    partial.fold(&[
        good(Stable, "a", &[(15, 7.0), (20, 7.0)]),
        bad(Canary, "a", &[(15, 90.0), (20, 91.0)]),
    ]);
    assert_eq!(told(&mut partial), [0, 0, 1, 1]);
    partial.fold(&[
        good(Stable, "a", &[(20, 7.0), (25, 7.0)]),
        good(Canary, "a", &[(20, 50.0), (25, 51.0)]),
    ]);
    assert_eq!(told(&mut partial), [0, 0, 2, 1]);
}

#[test]
fn an_arms_samples_wait_for_the_other_arms() {
    let mut ledger = ledger();
    ledger.fold(&[good(Stable, "a", &[(0, 0.0)]), good(Canary, "b", &[(0, 0.0)])]);
    ledger.fold(&[
        good(Stable, "a", &[(5, 10.0), (10, 20.0)]),
        good(Canary, "b", &[(8, 1.0)]),
    ]);
    assert_eq!(told(&mut ledger), [10, 0, 1, 0]);
    ledger.fold(&[
        good(Stable, "a", &[(5, 10.0), (10, 20.0)]),
        good(Canary, "b", &[(8, 1.0), (13, 2.0)]),
    ]);
    assert_eq!(told(&mut ledger), [20, 0, 1, 0]);
    // It is gone: for so long it is waited for.
    ledger.fold(&[
        good(Stable, "a", &[(20, 40.0), (28, 60.0)]),
        good(Canary, "b", &[(13, 2.0)]),
    ]);
    assert_eq!(told(&mut ledger), [20, 0, 2, 0]);
    ledger.fold(&[
        good(Stable, "a", &[(28, 60.0), (30, 61.0)]),
        good(Canary, "b", &[(13, 2.0)]),
    ]);
    assert_eq!(told(&mut ledger), [61, 0, 2, 0]);
    ledger.fold(&[good(Stable, "a", &[(35, 70.0)])]);
    assert_eq!(told(&mut ledger), [70, 0, 2, 0]);
    // What came late is not lost.
    ledger.fold(&[
        good(Stable, "a", &[(35, 70.0)]),
        good(Canary, "b", &[(18, 3.0), (33, 9.0)]),
    ]);
    assert_eq!(told(&mut ledger), [70, 0, 9, 0]);
}

#[test]
fn series_are_summed_and_keep_what_they_counted() {
    let mut ledger = ledger();
    let at = |time: i64, values: [f64; 3]| {
        let sources = ["a", "b", "c"].into_iter().zip(values);
        sources
            .map(|(source, value)| good(Canary, source, &[(time, value)]))
            .collect::<Vec<_>>()
    };
    ledger.fold(&at(0, [1.0, 10.0, 100.0]));
    ledger.fold(&at(5, [2.0, 20.0, 200.0]));
    assert_eq!(told(&mut ledger)[2], 111);
    // The same series twice is one.
    ledger.fold(&[at(10, [3.0, 30.0, 300.0]), at(10, [3.0, 30.0, 300.0])].concat());
    assert_eq!(told(&mut ledger)[2], 222);
    // Two are gone; one comes back.
    ledger.fold(&at(15, [4.0, 40.0, 400.0])[..1]);
    assert_eq!(told(&mut ledger)[2], 223);
    ledger.fold(&at(20, [5.0, 31.0, f64::NAN]));
    assert_eq!(told(&mut ledger)[2], 225);
    for nothing in [f64::NAN, f64::INFINITY, -1.0] {
        ledger.fold(&at(25, [nothing; 3]));
        assert_eq!(told(&mut ledger)[2], 225);
    }
    ledger.fold(&[]);
    assert_eq!(told(&mut ledger)[2], 225);
    ledger.fold(&at(30, [6.0, 32.0, 500.0]));
    assert_eq!(told(&mut ledger)[2], 225 + 1 + 1 + 200);
}

#[test]
fn sent_is_never_less_than_ended_and_nothing_goes_back() {
    let mut ledger = ledger();
    let at = |time: i64, [sent, again, ended, failed]: [f64; 4]| {
        [
            counter(Canary, "a", "sent", Meaning::SENT, &[(time, sent)]),
            counter(Canary, "a", "again", Meaning::AGAIN, &[(time, again)]),
            counter(Canary, "a", "good", Meaning::GOOD, &[(time, ended)]),
            counter(Canary, "a", "bad", Meaning::FAILED, &[(time, failed)]),
        ]
    };
    ledger.fold(&at(0, [50.0, 5.0, 40.0, 1.0]));
    let mut shown = |time, values| {
        ledger.fold(&at(time, values));
        let Counts {
            sent, requests, failed, ..
        } = ledger.reading().canary;
        [sent, requests, failed]
    };
    assert_eq!(shown(5, [60.0, 6.0, 44.0, 3.0]), [9, 6, 2]);
    // Read while more went through.
    assert_eq!(shown(10, [61.0, 9.0, 46.0, 3.0]), [9, 8, 2]);
    assert_eq!(shown(15, [62.0, 9.0, 60.0, 4.0]), [23, 23, 3]);
}

#[test]
fn slow_requests_are_told_by_bounds_that_all_histograms_have() {
    let mut ledger = ledger();
    let zero: &[(i64, f64)] = &[(0, 0.0)];
    let all = [5_000, 20_000, 50_000, INFINITE];
    let begin = |arm, source| histogram(arm, source, &all.map(|bound| (bound, zero)));
    ledger.fold(&[begin(Stable, "a"), begin(Canary, "a"), vec![good(Canary, "a", zero)]].concat());
    let stable: [(Bound, &[(i64, f64)]); 4] = [
        (5_000, &[(5, 70.0)]),
        (20_000, &[(5, 80.0)]),
        (50_000, &[(5, 90.0)]),
        (INFINITE, &[(5, 100.0)]),
    ];
    let canary: [(Bound, &[(i64, f64)]); 4] = [
        (5_000, &[(5, 1.0)]),
        (20_000, &[(5, 2.0)]),
        (50_000, &[(5, 4.0)]),
        (INFINITE, &[(5, 10.0)]),
    ];
    let counted = [
        good(Stable, "a", &[(0, 0.0), (5, 100.0)]),
        good(Canary, "a", &[(0, 0.0), (5, 10.0)]),
    ];
    ledger.fold(
        &[
            &histogram(Stable, "a", &stable)[..],
            &histogram(Canary, "a", &canary),
            &counted,
        ]
        .concat(),
    );
    let reading = ledger.reading();
    assert!(reading.latencies);
    // Of 2, 5, 10, 20, 35, 50 ms and those above, of which nothing is known.
    assert_eq!(reading.canary.slower, [9, 9, 8, 8, 6, 6, 0, 0, 0, 0, 0, 0]);
    let born = [70, 80, 90, 100].map(|v| 100 - v);
    assert_eq!(
        reading.stable.slower[..6],
        [born[0], born[0], born[1], born[1], born[2], born[2]]
    );
    // Another process has other bounds: 20 ms is not among them, for either arm.
    let other: [(Bound, &[(i64, f64)]); 3] = [(5_000, &[(10, 1.0)]), (50_000, &[(10, 2.0)]), (INFINITE, &[(10, 3.0)])];
    let later: [(Bound, &[(i64, f64)]); 4] = [
        (5_000, &[(10, 1.0)]),
        (20_000, &[(10, 3.0)]),
        (50_000, &[(10, 4.0)]),
        (INFINITE, &[(10, 11.0)]),
    ];
    ledger.silent("b");
    ledger.fold(&[histogram(Stable, "b", &other), histogram(Canary, "a", &later)].concat());
    assert_eq!(ledger.reading().canary.slower[..6], [10, 10, 9, 9, 7, 7]);
}

#[test]
fn a_histogram_begins_anew_as_a_whole() {
    let mut ledger = ledger();
    let at = |time: i64, within: f64, all: f64| {
        let (within, all) = ([(time, within)], [(time, all)]);
        let buckets: [(Bound, &[(i64, f64)]); 2] = [(10_000, &within), (INFINITE, &all)];
        let mut series = histogram(Canary, "a", &buckets);
        series.push(good(Canary, "a", &[(time, all[0].1)]));
        series
    };
    ledger.fold(&at(0, 10.0, 200.0));
    ledger.fold(&at(5, 20.0, 60.0));
    assert_eq!(ledger.reading().canary.slower[0], 40);
    assert_eq!(ledger.reading().canary.slower[11], 0);
    ledger.fold(&at(10, 22.0, 63.0));
    assert_eq!(ledger.reading().canary.slower[0], 41);
}

#[test]
fn without_a_histogram_latencies_say_nothing() {
    let mut ledger = ledger();
    let all: [(Bound, &[(i64, f64)]); 1] = [(INFINITE, &[(0, 0.0)])];
    ledger.fold(&[good(Stable, "a", &[(0, 0.0)])]);
    assert!(!ledger.reading().latencies);
    // One without bounds is none.
    ledger.fold(&histogram(Stable, "a", &all));
    assert!(!ledger.reading().latencies);
    let stable: [(Bound, &[(i64, f64)]); 2] = [(5_000, &[(5, 1.0)]), (INFINITE, &[(5, 1.0)])];
    ledger.fold(&[&histogram(Stable, "a", &stable)[..], &[good(Stable, "a", &[(5, 1.0)])]].concat());
    assert!(ledger.reading().latencies);
    // The canary's requests have none.
    let later: [(Bound, &[(i64, f64)]); 2] = [(5_000, &[(10, 1.0)]), (INFINITE, &[(10, 1.0)])];
    ledger.fold(&[&histogram(Stable, "a", &later)[..], &[good(Canary, "a", &[(10, 1.0)])]].concat());
    assert!(!ledger.reading().latencies);
    assert_eq!(ledger.reading().canary.slower, [0; EDGES.len()]);
}

/// Two counters of one life: from which scrape on they are there, and by scrape, what came in and whether their process
/// began anew before.
type Story = (usize, Vec<([u32; 2], bool)>);

const SCRAPES: usize = 40;

fn story() -> impl Strategy<Value = Story> {
    let scrape = (0..20_u32, 0..3_u32, prop::bool::weighted(0.1));
    let scrape = scrape.prop_map(|(good, bad, restarts)| ([good, bad], restarts));
    (0..SCRAPES, prop::collection::vec(scrape, SCRAPES))
}

/// What such a counter shows, scrape by scrape.
type Shown = Vec<(usize, f64)>;

/// What both show from their birth on, and what came in after scrape `begun`, as far as scrapes can tell. As in Envoy,
/// a counter of a process is there from its first request on.
fn tell((birth, scrapes): &Story, begun: usize) -> [(Shown, u64); 2] {
    let (mut told, mut values) = ([(Vec::new(), 0), (Vec::new(), 0)], [0_u32; 2]);
    for (scrape, (grown, restarts)) in scrapes.iter().enumerate().skip(*birth) {
        // A new process that shows as much as the old one cannot be told from it.
        if *restarts && (1..values[0]).contains(&grown[0]) {
            values = [0, 0];
        }
        for ((shown, came), (value, grown)) in told.iter_mut().zip(values.iter_mut().zip(grown)) {
            *value += grown;
            if scrape > begun {
                *came += u64::from(*grown);
            }
            if *value > 0 {
                shown.push((scrape, f64::from(*value)));
            }
        }
    }
    told
}

fn time(scrape: usize) -> i64 {
    i64::try_from(scrape).expect("small") * 5_000
}

proptest! {
    /// However sources are scraped and answers arrive, what is added up is what came in.
    #[test]
    fn the_sum_of_increments_is_the_truth(
        stories in prop::collection::vec((story(), story()), 1..4),
        looks in prop::collection::vec((1..6_usize, any::<bool>()), 12),
    ) {
        // Every source is there from the first; both arms' counters may be born later.
        let begun = 3;
        let mut truth = [0; 4];
        let mut all = Vec::new();
        for (number, (stable, canary)) in stories.iter().enumerate() {
            let source = format!("source {number}");
            let offset = i64::try_from(number).expect("small") * 700;
            let mut add = |arm, meaning, name: &str, shown: &[(usize, f64)]| {
                let at = |scrape| time(scrape) + offset;
                let mut one = counter(arm, &source, name, meaning, &[]);
                (one.life, one.name) = (source.clone(), name.to_owned());
                one.samples = shown.iter().map(|(scrape, value)| (at(*scrape), *value)).collect();
                all.push(one);
            };
            let still: Shown = (0..SCRAPES).map(|scrape| (scrape, 0.0)).collect();
            add(Stable, Meaning::SENT, "sent", &still);
            add(Canary, Meaning::SENT, "sent", &still);
            for (sum, arm, story) in [(0, Stable, stable), (2, Canary, canary)] {
                let [(good, all), (bad, failed)] = tell(story, begun);
                truth[sum] += all + failed;
                truth[sum + 1] += failed;
                add(arm, Meaning::GOOD, "good", &good);
                add(arm, Meaning::FAILED, "bad", &bad);
            }
        }
        // Each answer has what was scraped since the last one, and some before; some come after the next one.
        let mut newest = begun;
        let answer = |from: usize, to: usize| {
            let (from, to) = (time(from), time(to) + 4_000);
            let cut = |one: &Series| Series {
                samples: one.samples.iter().copied().filter(|(at, _)| (from..=to).contains(at)).collect(),
                ..one.clone()
            };
            all.iter().map(cut).filter(|one| !one.samples.is_empty()).collect::<Vec<_>>()
        };
        let mut ledger = Ledger::new(Duration::from_secs(5), Duration::from_secs(10));
        ledger.fold(&answer(0, begun));
        let mut late: Option<Vec<Series>> = None;
        for (more, is_late) in looks {
            let next = (newest + more).min(SCRAPES - 1);
            let new = answer(newest.saturating_sub(12), next);
            newest = next;
            if is_late && late.is_none() {
                late = Some(new);
                continue;
            }
            ledger.fold(&new);
            if let Some(old) = late.take() {
                ledger.fold(&old);
            }
        }
        ledger.fold(&answer(newest.saturating_sub(12), SCRAPES - 1));
        prop_assert_eq!(told(&mut ledger), truth);
    }
}
