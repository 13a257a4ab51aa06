//! What is raced, row by row.

use std::time::{Duration, Instant};

use super::super::shop::prometheus;
use super::contender::Who;
use super::hands;
use super::outcome::{Outcome, cost, ends, print};
use super::race::{HEALTHY, LANES, Later, Race, Terms};
use super::table::head;

/// How a row is measured.
type Row = (&'static str, fn(&mut Race));

/// In this order: where there was no traffic yet, no request of a canary was ever counted.
const ROWS: [Row; 11] = [
    ("silent", no_traffic),
    ("errors", |race| half_of_the_requests_fail(race, LONGEST)),
    ("thirty", half_of_the_requests_fail_from_thirty_on),
    ("docs", |race| {
        race.documented(|race| half_of_the_requests_fail(race, SLOWEST));
    }),
    ("alike", |race| both_fail_alike(race, LONGEST)),
    ("docs-alike", |race| {
        race.documented(|race| both_fail_alike(race, SLOWEST));
    }),
    ("outage", prometheus_stands_still),
    ("killed", prometheus_is_killed),
    ("edits", hands::edits_of_others),
    ("stop", |race| hands::weight_by_hand(race, 0)),
    ("half", |race| hands::weight_by_hand(race, 50)),
];

/// A release ends within this time, if it ever does.
const LONGEST: Duration = Duration::from_mins(4);

/// The same of Flagger as its documents have it: six to ten looks of a minute, and what is before and after them.
const SLOWEST: Duration = Duration::from_mins(15);

/// So long there is no Prometheus.
const OUTAGE: Duration = Duration::from_mins(1);

/// Those that are asked for; all, where nothing is said.
pub(super) fn all(race: &mut Race) {
    let asked = std::env::var("MSCTL_BENCH_ROWS").unwrap_or_default();
    head();
    for (name, measure) in ROWS {
        if asked.is_empty() || asked.split(',').any(|asked| asked == name) {
            measure(race);
            race.rest();
        }
    }
}

/// How often the apps are released for a row of figures: `MSCTL_BENCH_RUNS` releases of each of the three, or a few more.
fn rounds() -> usize {
    let asked = std::env::var("MSCTL_BENCH_RUNS").ok();
    asked
        .and_then(|runs| runs.parse().ok())
        .unwrap_or(LANES)
        .div_ceil(LANES)
}

const BAD: Terms = Terms { errors: 0.5, ..HEALTHY };

fn half_of_the_requests_fail(race: &mut Race, limit: Duration) {
    let bad = releases(race, BAD, |race| assert!(race.until_ended(limit), "a bad canary stays"));
    print(
        "half of the canary's requests fail: weight 0 after the first that did",
        bad,
        cost,
    );
}

/// Each of them is good until its own weight is 30.
fn half_of_the_requests_fail_from_thirty_on(race: &mut Race) {
    let later = Later {
        weight: 30,
        errors: 0.5,
    };
    let terms = Terms {
        later: Some(later),
        steps: "10,30,50",
        ..HEALTHY
    };
    let bad = releases(race, terms, |race| {
        assert!(race.until_ended(LONGEST), "a bad canary stays");
    });
    print("the same, but they begin to fail at weight 30", bad, cost);
}

fn both_fail_alike(race: &mut Race, limit: Duration) {
    let terms = Terms {
        errors: 0.005,
        before: 0.005,
        ..HEALTHY
    };
    let all = releases(race, terms, |race| _ = race.until_ended(limit));
    print("0.5 % of the requests fail at both versions", all, ends);
}

/// What became of as many releases as a row of figures has, each when this was done.
fn releases(race: &mut Race, terms: Terms, during: impl Fn(&mut Race)) -> Vec<Outcome> {
    let mut all = Vec::new();
    for _ in 0..rounds() {
        race.begin(terms);
        during(race);
        all.extend(Outcome::of_all(race));
        race.rest();
    }
    all
}

fn prometheus_stands_still(race: &mut Race) {
    race.begin(HEALTHY);
    let silence = prometheus().part.pause();
    race.during(OUTAGE);
    drop(silence);
    let back = Instant::now();
    race.until_ended(LONGEST);
    print(
        "Prometheus stands still for 60 s, healthy canary",
        Outcome::of_all(race),
        |all| {
            let early = all.iter().filter(|one| one.ended.is_some_and(|at| at < back)).count();
            format!("{}; {early} of them while it stood still", ends(all))
        },
    );
}

fn prometheus_is_killed(race: &mut Race) {
    race.begin(BAD);
    prometheus().part.kill();
    race.during(OUTAGE);
    prometheus().part.restart().expect("Prometheus again");
    assert!(race.until_ended(LONGEST), "a bad canary stays");
    print(
        "Prometheus is killed for 60 s at the first step, bad canary",
        Outcome::of_all(race),
        cost,
    );
}

/// msctl does not end before it is told to: it is looked at when the others have ended.
fn no_traffic(race: &mut Race) {
    race.begin(Terms {
        traffic: false,
        ..HEALTHY
    });
    let others = [Who::Flagger, Who::Argo];
    race.until(LONGEST, |race| {
        others.iter().all(|who| race.of(*who).all(|lane| lane.end.is_some()))
    });
    print("no traffic", Outcome::of_all(race), |all| {
        let most = all.iter().map(|one| one.most).max().unwrap_or(0);
        format!("{}; reached {most} %", ends(all))
    });
}
