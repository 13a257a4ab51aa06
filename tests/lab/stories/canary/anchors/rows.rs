//! What is raced, row by row.

use std::time::{Duration, Instant};

use super::super::shop::prometheus;
use super::contender::Who;
use super::hands;
use super::outcome::{Outcome, cost, ends, print};
use super::race::{HEALTHY, LANES, Race, Terms};
use super::table::head;

/// How a row is measured.
type Row = (&'static str, fn(&mut Race));

/// In this order: where there was no traffic yet, no request of a canary was ever counted.
const ROWS: [Row; 8] = [
    ("silent", no_traffic),
    ("errors", half_of_the_requests_fail),
    ("alike", both_fail_alike),
    ("outage", prometheus_stands_still),
    ("killed", prometheus_is_killed),
    ("edits", hands::edits_of_others),
    ("stop", |race| hands::weight_by_hand(race, 0)),
    ("half", |race| hands::weight_by_hand(race, 50)),
];

/// A release ends within this time, if it ever does.
const LONGEST: Duration = Duration::from_mins(4);

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

fn half_of_the_requests_fail(race: &mut Race) {
    let mut all = Vec::new();
    for _ in 0..rounds() {
        race.begin(BAD);
        assert!(race.until_ended(LONGEST), "a bad canary stays");
        all.extend(Outcome::of_all(race));
        race.rest();
    }
    print(
        "half of the canary's requests fail: weight 0 after the first that did",
        all,
        cost,
    );
}

fn both_fail_alike(race: &mut Race) {
    let mut all = Vec::new();
    for _ in 0..rounds() {
        race.begin(Terms {
            errors: 0.005,
            before: 0.005,
            traffic: true,
        });
        race.until_ended(LONGEST);
        all.extend(Outcome::of_all(race));
        race.rest();
    }
    print("0.5 % of the requests fail at both versions, 10 s a step", all, ends);
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
