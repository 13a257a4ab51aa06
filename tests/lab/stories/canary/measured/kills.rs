//! Drivers that are killed: another one goes on, or a guard takes traffic back.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use crate::lab::{User, lab};
use crate::support::until;

use super::super::seen::{Seen, Sight};
use super::super::shop::{Driver, Shop, Turn, counters};
use super::super::street::{Street, beside};
use super::{is_bench, row, runs, seconds};

/// A release of some ten seconds at this rate.
const STEPS: [&str; 4] = ["--steps", "25,50", "--hold", "2s"];
const RATE: u32 = 100;

/// What the canary has in such a release, in turn.
const TURN: [u64; 4] = [0, 25, 50, 100];

#[test]
fn a_driver_may_be_killed_at_any_moment() {
    let wanted = runs(200, 2);
    let street = Street::open(Turn::together(), "anytime", runs(8, 1), &[]);
    let (rounds, at_work) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let times = beside((7..).zip(&street.shops), |(seed, shop)| {
        let (mut dice, seen, mut times) = (StdRng::seed_from_u64(seed), Seen::follow(&shop.namespace), Vec::new());
        while at_work.load(Ordering::Relaxed) < wanted {
            let before = rounds.fetch_add(1, Ordering::Relaxed);
            assert!(before < 5 * wanted, "{before} drivers killed, too few of them at work");
            // Some are killed before they begin, or after they ended: of those there must be nothing to go on with.
            if let Some(time) = killed(shop, &seen, Duration::from_millis(dice.random_range(0..14_000))) {
                at_work.fetch_add(1, Ordering::Relaxed);
                times.push(time);
            }
        }
        times
    });
    let measured = format!(
        "{} kills: all consistent; goes on after {}",
        rounds.into_inner(),
        seconds(&times.concat())
    );
    row(
        "SIGKILL at a random moment, then resume",
        "no step twice or left out; ≤ 5 s",
        &measured,
    );
}

/// A driver is killed so long after its start, and another one goes on, where there is something to go on with: seconds until it
/// does.
fn killed(shop: &Shop, seen: &Seen, after: Duration) -> Option<f64> {
    let (load, began) = (shop.load(RATE), Instant::now());
    let mut command = shop.command(User::Releaser, "run", &[&counters()[..], &STEPS].concat());
    let driver = Driver::start(&mut command);
    std::thread::sleep(after);
    driver.kill();
    let time = if shop.mark().is_null() {
        assert!(matches!(shop.share(), 0 | 100), "{}", shop.share());
        None
    } else {
        Some(resumed(shop))
    };
    let share = shop.share();
    until("all of it is seen", || seen.now() == share);
    let sights = seen.since(began);
    assert!(rises_in_turn(&sights), "{:?}: {}", weights(&sights), shop.journal());
    let explained = shop.explain();
    assert!(
        explained.code == 0 || explained.stderr.contains("no journal"),
        "{}",
        explained.transcript()
    );
    assert_eq!(steps_out_of_turn(&shop.journal()), 0, "{}", shop.journal());
    assert!(shop.mark().is_null());
    shop.forget();
    assert_eq!(shop.canary(User::Releaser, "abort", &[]).code, 0);
    load.stop(lab().wire());
    time
}

/// Another driver goes on to the end: seconds until it did anything.
fn resumed(shop: &Shop) -> f64 {
    let (began, lines) = (Instant::now(), shop.journal().lines().count());
    let mut next = Driver::start(&mut shop.command(User::Releaser, "resume", &counters()));
    until("it goes on", || {
        shop.journal().lines().count() > lines + 1 || next.ended().is_some()
    });
    let time = began.elapsed().as_secs_f64();
    assert_eq!((next.end(), shop.share()), (Some(0), 100), "{}", shop.journal());
    time
}

/// What the canary was given, one after the other.
fn weights(sights: &[Sight]) -> Vec<u64> {
    let mut weights: Vec<u64> = sights.iter().map(|sight| sight.weight).collect();
    weights.dedup();
    weights
}

/// Whether the API server had the weights of the steps in turn, each once.
fn rises_in_turn(sights: &[Sight]) -> bool {
    let weights = weights(sights);
    TURN.starts_with(&weights) || TURN[1..].starts_with(&weights)
}

/// How many decisions of a journal go back a step, or leave one out.
fn steps_out_of_turn(journal: &str) -> usize {
    let steps: Vec<u64> = journal
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok()?["decision"]["step"].as_u64())
        .collect();
    steps
        .windows(2)
        .filter(|pair| pair[1] != pair[0] && pair[1] != pair[0] + 1)
        .count()
}

#[test]
fn weights_rise_in_turn() {
    let sight = |weight: u64| Sight {
        at: Instant::now(),
        weight,
        object: Value::Null,
    };
    let rises = |weights: &[u64]| rises_in_turn(&weights.iter().map(|weight| sight(*weight)).collect::<Vec<_>>());
    assert!(rises(&[]) && rises(&[0, 0, 25, 25]) && rises(&[25, 50, 100]));
    assert!(!rises(&[0, 50]) && !rises(&[25, 0]) && !rises(&[25, 50, 25]) && !rises(&[50]));
}

#[test]
fn a_guard_takes_the_traffic_back_when_nobody_goes_on() {
    let street = Street::open(Turn::together(), "gone", runs(10, 1), &[]);
    let times = beside((7..).zip(&street.shops), |(seed, shop)| {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut one = |_| unattended(shop, Duration::from_millis(dice.random_range(0..5_000)));
        (0..runs(2, 1)).map(&mut one).collect::<Vec<_>>()
    });
    row(
        "a driver is killed and nobody goes on, `canary guard` beside it: weight 0 in the API and in the proxy",
        "≤ 30 s",
        &seconds(&times.concat()),
    );
}

/// A driver is killed so long after its guard saw it: seconds until the canary has no traffic.
fn unattended(shop: &Shop, after: Duration) -> f64 {
    // For the figures its patience is what it is by default.
    let patience: &[&str] = if is_bench() { &[] } else { &["--patience", "6s"] };
    let (load, seen) = (shop.load(20), Seen::follow(&shop.namespace));
    let flags = [&counters()[..], &["--steps", "10,50", "--hold", "5m"]].concat();
    let driver = Driver::start(&mut shop.command(User::Releaser, "run", &flags));
    until("its first step", || seen.now() == 10);
    let mut command = shop.command(User::Releaser, "guard", patience);
    let guard = Driver::start_and_say(&mut command, &shop.sandbox.path("guard.log"), "Guards release");
    std::thread::sleep(after);
    driver.kill();
    let killed = Instant::now();
    assert_eq!(seen.now(), 10, "not before");
    until("nothing in the API", || seen.now() == 0);
    until("nothing in the proxy", || shop.shown() == 0);
    let time = killed.elapsed().as_secs_f64();
    assert_eq!(guard.end(), Some(1));
    assert!(shop.is_tidy());
    load.stop(lab().wire());
    shop.forget();
    time
}
