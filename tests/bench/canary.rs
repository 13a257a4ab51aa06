//! The judge and the machine over simulated rehearsals: how often they err, how soon they see, how fast they are.

use std::time::Instant;

use msctl::canary::machine::{Decision, Effect, Input, Machine, Outcome};
use msctl::canary::plan::Plan;
use msctl::canary::{Counts, EDGES};
use msctl::config::service::Canary;
use msctl::config::units::{Steps, Weight};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Binomial, Distribution, Poisson};

use crate::Row;

/// Simulated rehearsals of each kind.
const RUNS: u64 = 2_000;
/// Milliseconds between two looks: Prometheus' usual scrape.
const TICK: u64 = 5_000;

/// What a simulated world is like.
#[derive(Clone, Copy)]
struct World {
    /// Requests a second.
    rate: f64,
    /// How likely a request fails at stable and at the canary.
    fails: [f64; 2],
    /// How likely an answer exceeds each edge; both arms alike.
    slower: [f64; EDGES.len()],
    /// Whether, now and then, twenty times as many fail at both arms for a minute.
    storms: bool,
}

const ALIKE: World = World {
    rate: 20.0,
    fails: [0.001, 0.001],
    slower: [0.9, 0.6, 0.3, 0.12, 0.06, 0.04, 0.01, 0.003, 0.001, 0.0005, 0.0, 0.0],
    storms: false,
};

fn draw(dice: &mut StdRng, n: u64, p: f64) -> u64 {
    Binomial::new(n, p.clamp(0.0, 1.0)).expect("a probability").sample(dice)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a Poisson draw is a small whole number"
)]
fn arrivals(dice: &mut StdRng, mean: f64) -> u64 {
    if mean <= 0.0 {
        0
    } else {
        Poisson::new(mean).expect("a mean").sample(dice) as u64
    }
}

fn add(counts: &mut Counts, dice: &mut StdRng, requests: u64, fails: f64, slower: &[f64]) {
    counts.sent += requests;
    counts.requests += requests;
    counts.failed += draw(dice, requests, fails);
    // Each edge lies beyond the one before it, so fewer answers exceed it.
    let (mut left, mut above) = (requests, 1.0);
    for (sum, share) in counts.slower.iter_mut().zip(slower) {
        left = if above > 0.0 {
            draw(dice, left, share / above)
        } else {
            0
        };
        above = *share;
        *sum += left;
    }
}

/// One rehearsal: how it ended, and how many requests failed at the canary.
fn rehearse(plan: &Plan, world: World, seed: u64) -> (Outcome, u64, u64) {
    let mut dice = StdRng::seed_from_u64(seed);
    let mut machine = Machine::new(plan.clone());
    let (mut stable, mut canary, mut weight) = (Counts::default(), Counts::default(), Weight::NONE);
    let mut storm = 0;
    for look in 0.. {
        let input = Input::Counters {
            at: look * TICK,
            weight,
            stable,
            canary,
            latencies: true,
            counted: look * TICK,
            lag: 0,
        };
        let Decision { effects, .. } = machine.step(&input);
        for effect in effects {
            match effect {
                Effect::Write(to) => weight = to,
                Effect::End(outcome) => return (outcome, canary.failed, look),
            }
        }
        storm = if storm > 0 {
            storm - 1
        } else {
            u64::from(world.storms && dice.random_bool(0.02)) * 12
        };
        let worse = if storm > 0 { 20.0 } else { 1.0 };
        let seconds = f64::from(u32::try_from(TICK).expect("a tick")) / 1e3;
        let [s, c] =
            [1.0 - weight.share(), weight.share()].map(|share| arrivals(&mut dice, world.rate * seconds * share));
        add(&mut stable, &mut dice, s, world.fails[0] * worse, &world.slower);
        add(&mut canary, &mut dice, c, world.fails[1] * worse, &world.slower);
    }
    unreachable!("a release ends")
}

/// How many of the runs end so, in percent.
fn share(plan: &Plan, world: World, wanted: Outcome) -> f64 {
    let hits = (0..RUNS)
        .filter(|seed| rehearse(plan, world, *seed).0 == wanted)
        .count();
    f64::from(u32::try_from(hits).expect("a count")) * 100.0 / f64::from(u32::try_from(RUNS).expect("a count"))
}

fn median(mut numbers: Vec<u64>) -> (u64, u64) {
    numbers.sort_unstable();
    (numbers[numbers.len() / 2], numbers[numbers.len() * 95 / 100])
}

fn speed(plan: &Plan) -> f64 {
    let (begin, mut looks) = (Instant::now(), 0);
    for seed in 0..200 {
        looks += rehearse(plan, ALIKE, seed).2;
    }
    f64::from(u32::try_from(looks).expect("a count")) / begin.elapsed().as_secs_f64()
}

pub(crate) fn rows() -> Vec<Row> {
    let plan = Plan::new(&Canary::default(), TICK);
    let percent = |p: f64| format!("{p:.2} %");
    let mut rows = Vec::new();
    for (what, world) in [
        ("20 rps, both fail 0.1 %", ALIKE),
        (
            "200 rps, both fail 1 %",
            World {
                rate: 200.0,
                fails: [0.01, 0.01],
                ..ALIKE
            },
        ),
        (
            "20 rps, both fail 8 %",
            World {
                fails: [0.08, 0.08],
                ..ALIKE
            },
        ),
        (
            "20 rps, both fail 0.1 %, storms of 20 times as many",
            World { storms: true, ..ALIKE },
        ),
    ] {
        let figure = percent(share(&plan, world, Outcome::RolledBack));
        rows.push(Row::new(
            format!("false rollbacks, {RUNS} rehearsals: {what}"),
            "≤ 1 %",
            figure,
        ));
    }
    for (what, bad) in [("30 %", 0.3), ("10 %", 0.1), ("6 %", 0.06)] {
        let world = World {
            fails: [0.001, bad],
            ..ALIKE
        };
        let figure = percent(share(&plan, world, Outcome::Promoted));
        rows.push(Row::new(
            format!("false promotions, {RUNS} rehearsals: 20 rps, the canary fails {what}"),
            "≤ 1 %",
            figure,
        ));
    }
    let promoted = percent(share(&plan, ALIKE, Outcome::Promoted));
    rows.push(Row::new(
        format!("good canaries promoted, {RUNS} rehearsals: 20 rps"),
        "–",
        promoted,
    ));
    let ten = Canary {
        steps: Steps::percents(&[10.0]).expect("a step"),
        ..Canary::default()
    };
    let ten = Plan::new(&ten, TICK);
    let world = World {
        fails: [0.001, 0.3],
        ..ALIKE
    };
    let (harmed, most) = median((0..RUNS).map(|seed| rehearse(&ten, world, seed).1).collect());
    rows.push(Row::new(
        format!("requests harmed by a canary that fails 30 %, 20 rps, weight 10 %, {RUNS} rehearsals"),
        "median ≤ 15",
        format!("median {harmed}, p95 {most}"),
    ));
    let speed = speed(&plan);
    rows.push(Row::new(
        "looks of judge and machine a second, dice of the simulation included",
        "–",
        format!("{speed:.0}"),
    ));
    rows
}
