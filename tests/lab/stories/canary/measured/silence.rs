//! Minutes without metrics: no release ends, and each goes on by itself afterwards.

use std::time::{Duration, Instant};

use crate::lab::User;

use super::super::outage::stood_in;
use super::super::seen::Seen;
use super::super::shop::{Driver, EACH_FIVE, FAST, Shop, Turn, counters, prometheus};
use super::super::street::{Street, beside};
use super::super::traffic::Traffic;
use super::{is_bench, row, runs, seconds};

/// How often all of them are looked at.
const PULSE: Duration = Duration::from_millis(200);

/// The rest of a release takes so long at the most.
const LONGEST: Duration = Duration::from_mins(6);

/// What becomes of Prometheus.
#[derive(Clone, Copy, Debug)]
enum Silence {
    StandsStill,
    Refuses,
}

/// A release, and all that is seen of it.
struct Release<'a> {
    shop: &'a Shop,
    seen: Seen,
    traffic: Traffic,
    driver: Driver,
    /// Its exit code, when it has ended.
    code: Option<i32>,
}

impl<'a> Release<'a> {
    /// One at its first step.
    fn begin(shop: &'a Shop) -> Self {
        let seen = Seen::follow(&shop.namespace);
        let mut traffic = Traffic::new(&shop.proxy, &shop.namespace, if is_bench() { 5 } else { 200 });
        traffic.start();
        let prometheus = prometheus().address();
        let often = ["--prometheus", prometheus, "--metrics", "envoy", "--interval", "5s"];
        let flags = if is_bench() {
            [&often[..], &["--steps", "10,50", "--hold", "30s"]].concat()
        } else {
            [&counters()[..], &FAST].concat()
        };
        let driver = Driver::start(&mut shop.command(User::Releaser, "run", &flags));
        crate::support::until("its first step", || seen.now() == 10);
        Self {
            shop,
            seen,
            traffic,
            driver,
            code: None,
        }
    }

    fn look(&mut self) {
        self.traffic.keep();
        self.code = self.code.or_else(|| self.driver.ended());
    }

    /// The first weight that it had after this time and that is not its first step's.
    fn next(&self, after: Instant) -> Option<(Instant, u64)> {
        let sights = self.seen.since(after);
        let next = sights.iter().find(|sight| sight.weight != 10)?;
        Some((next.at, next.weight))
    }
}

/// Looks at all of them until this holds; whether it came within that time.
fn until(all: &mut [Release<'_>], limit: Duration, holds: impl Fn(&[Release<'_>]) -> bool) -> bool {
    let began = Instant::now();
    loop {
        all.iter_mut().for_each(Release::look);
        if holds(all) {
            return true;
        }
        if began.elapsed() > limit {
            return false;
        }
        std::thread::sleep(PULSE);
    }
}

/// Until it is over: five minutes for the figures, a few looks otherwise.
fn silent(silence: Silence, all: &mut [Release<'_>]) {
    let part = &prometheus().part;
    let paused = match silence {
        Silence::StandsStill => Some(part.pause()),
        Silence::Refuses => {
            part.kill();
            None
        }
    };
    if is_bench() {
        until(all, Duration::from_mins(5), |_| false);
    } else {
        let looks = |all: &[Release<'_>]| all.iter().all(|one| stood_in(one.shop) > 2);
        assert!(until(all, LONGEST, looks), "no proxy stands in for Prometheus");
    }
    match paused {
        Some(paused) => drop(paused),
        None => part.restart().expect("Prometheus again"),
    }
}

fn measure(silence: Silence, street: &Street) {
    let mut all = beside(&street.shops, Release::begin);
    let began = Instant::now();
    silent(silence, &mut all);
    let over = Instant::now();
    let early: Vec<u64> = all
        .iter()
        .filter_map(|one| one.next(began).filter(|(at, _)| *at < over))
        .map(|(_, weight)| weight)
        .collect();
    let stood_in = all.iter().filter(|one| stood_in(one.shop) > 0).count();
    let ended = until(&mut all, LONGEST, |all| all.iter().all(|one| one.code.is_some()));
    let promoted = all.iter().filter(|one| one.code == Some(0)).count();
    let went_on: Vec<f64> = all
        .iter()
        .filter_map(|one| Some(one.next(over)?.0.saturating_duration_since(over).as_secs_f64()))
        .collect();
    let number = all.len();
    let back = early.iter().filter(|weight| **weight < 10).count();
    let how = match silence {
        Silence::StandsStill => "Prometheus stands still",
        Silence::Refuses => "Prometheus refuses connections",
    };
    row(
        &format!(
            "{how} for {} s: healthy canaries go back, go on",
            (over - began).as_secs()
        ),
        "0 and 0 of 25 while it does; then they go on",
        &format!(
            "{back} and {} of {number}, the proxies stood in for {stood_in}; the next step {} after it is back, promoted {promoted}",
            early.len() - back,
            seconds(&went_on)
        ),
    );
    assert!(
        early.is_empty() && ended && promoted == number,
        "{silence:?}: {early:?}"
    );
    beside(all, |mut one| {
        one.traffic.stop();
        assert_eq!(one.shop.canary(User::Releaser, "set", &["0"]).code, 0);
        one.shop.forget();
    });
}

/// Among the other tests `outage.rs` has the one that stands still.
#[test]
fn an_outage_of_metrics_ends_no_release() {
    let labels: &[(&str, &str)] = if is_bench() { &EACH_FIVE } else { &[] };
    let street = Street::open(Turn::alone(), "dark", runs(25, 1), labels);
    if is_bench() {
        measure(Silence::StandsStill, &street);
    }
    measure(Silence::Refuses, &street);
}
