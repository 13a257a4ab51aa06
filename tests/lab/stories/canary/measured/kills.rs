//! Drivers that are killed: another one goes on, or a guard takes traffic back.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::lab::{User, lab};
use crate::support::until;

use super::super::seen::{Seen, Sight};
use super::super::shop::{Driver, Shop, Turn, counters};
use super::super::street::{Street, beside};
use super::{is_bench, row, runs, seconds};

/// A release of some ten seconds at this rate.
const STEPS: [&str; 4] = ["--steps", "25,50", "--hold", "2s"];
const RATE: u32 = 100;

#[test]
fn a_driver_may_be_killed_at_any_moment() {
    let wanted = runs(200, 2);
    let street = Street::open(Turn::together(), "anytime", runs(8, 1), &[]);
    let (rounds, at_work) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let all = beside((7..).zip(&street.shops), |(seed, shop)| {
        let (mut dice, seen, mut all) = (StdRng::seed_from_u64(seed), Seen::follow(&shop.namespace), Vec::new());
        while at_work.load(Ordering::Relaxed) < wanted {
            let before = rounds.fetch_add(1, Ordering::Relaxed);
            assert!(before < 5 * wanted, "{before} drivers killed, too few of them at work");
            // Some are killed before they begin, or after they ended: of those there must be nothing to go on with.
            if let Some(resumed) = killed(shop, &seen, Duration::from_millis(dice.random_range(0..14_000))) {
                at_work.fetch_add(1, Ordering::Relaxed);
                all.push(resumed);
            }
        }
        all
    });
    let all = all.concat();
    let times: Vec<f64> = all.iter().map(|one| one.after).collect();
    let measured = format!(
        "{} kills: all consistent; goes on after {}; promoted {}, the others went back by what they had counted",
        rounds.into_inner(),
        seconds(&times),
        all.iter().filter(|one| one.promoted).count()
    );
    row(
        "SIGKILL at a random moment, then resume",
        "no step twice or left out; ≤ 5 s",
        &measured,
    );
}

/// What became of a release whose driver was killed.
#[derive(Clone, Copy, Debug)]
struct Resumed {
    /// Seconds until the next driver did anything.
    after: f64,
    promoted: bool,
}

/// A driver is killed so long after its start, and another one goes on, where there is something to go on with.
fn killed(shop: &Shop, seen: &Seen, after: Duration) -> Option<Resumed> {
    let (load, began) = (shop.load(RATE), Instant::now());
    let mut command = shop.command(User::Releaser, "run", &[&counters()[..], &STEPS].concat());
    let driver = Driver::start(&mut command);
    std::thread::sleep(after);
    driver.kill();
    let resumed = (!shop.mark().is_null()).then(|| resume(shop));
    let (share, journal) = (shop.share(), shop.journal());
    assert!(matches!(share, 0 | 100), "{share}");
    until("all of it is seen", || seen.now() == share);
    assert_eq!(weights(&seen.since(began)), written(&journal), "{journal}");
    assert_eq!(steps_out_of_turn(&journal), 0, "{journal}");
    let explained = shop.explain();
    assert!(
        explained.code == 0 || explained.stderr.contains("no journal"),
        "{}",
        explained.transcript()
    );
    assert!(shop.mark().is_null());
    shop.forget();
    assert_eq!(shop.canary(User::Releaser, "abort", &[]).code, 0);
    load.stop(lab().wire());
    resumed
}

/// Another driver goes on to the end.
fn resume(shop: &Shop) -> Resumed {
    let (began, lines) = (Instant::now(), shop.journal().lines().count());
    let mut next = Driver::start(&mut shop.command(User::Releaser, "resume", &counters()));
    until("it goes on", || {
        shop.journal().lines().count() > lines + 1 || next.ended().is_some()
    });
    let after = began.elapsed().as_secs_f64();
    let (end, journal) = (next.end(), shop.journal());
    // On two cores that all of them share, a version may well have been slower than the other.
    let promoted = !journal.contains("\"reason\":\"harm\"");
    let expected = if promoted { (Some(0), 100) } else { (Some(1), 0) };
    assert_eq!((end, shop.share()), expected, "{journal}");
    Resumed { after, promoted }
}

/// What the canary was given, one after the other, after it had nothing.
fn weights(sights: &[Sight]) -> Vec<u64> {
    let mut weights: Vec<u64> = sights.iter().map(|sight| sight.weight).collect();
    weights.dedup();
    let nothing = usize::from(weights.first() == Some(&0));
    weights.split_off(nothing)
}

/// What a journal says that it was to be given.
fn written(journal: &str) -> Vec<u64> {
    let lines = journal.lines().filter_map(|line| serde_json::from_str(line).ok());
    let effects = lines.flat_map(|line: Value| line["decision"]["effects"].as_array().cloned().unwrap_or_default());
    let mut written: Vec<u64> = effects
        .filter_map(|effect| Some(effect["write"].as_u64()? / 10))
        .collect();
    written.dedup();
    written
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
fn what_was_written_is_read_from_a_journal() {
    let line = |effects: Value| json!({"input": {}, "decision": {"step": 0, "effects": effects}}).to_string();
    let journal = [
        "{\"schema\":\"msctl.canary.journal/v1\"}".to_owned(),
        line(json!([{"write": 250}])),
        line(json!([])),
        line(json!([{"write": 250}])),
        line(json!([{"write": 0}, {"end": "rolled-back"}])),
    ];
    assert_eq!(written(&journal.join("\n")), [25, 0]);
    assert_eq!(steps_out_of_turn(&journal.join("\n")), 0);
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
