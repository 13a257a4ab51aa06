//! The scenarios and their goals.

use msctl::canary::plan::Plan;
use msctl::config::service::Canary;
use msctl::config::units::{Span, Steps, Weight};

use super::anchors::Metric;
use super::race::{Goal, Scenario, Show};
use super::world::{CANARY, Times, World};

/// Milliseconds between two looks: Prometheus' usual scrape, and as often as it makes sense.
pub(crate) const TICK: u64 = 5_000;
const SECOND: u64 = 1_000;
const HALF_AN_HOUR: u64 = 1_800_000;
/// So long each step of a ramp of 1, 5, 25, 50 and 100 % takes of it.
const SIX_MINUTES: u64 = 360_000;

/// Held at 10 % for half an hour.
pub(crate) fn held(what: impl Into<String>, world: World, tick: u64, show: Show, goal: Goal) -> Scenario {
    Scenario {
        what: what.into(),
        world,
        tick,
        plan: plan(Canary::default().tolerance, tick),
        weights: vec![Weight::per_mille(100).expect("a weight")],
        until: HALF_AN_HOUR,
        whole: false,
        metric: Metric::Success,
        show,
        goal,
    }
}

fn plan(tolerance: f64, tick: u64) -> Plan {
    let canary = Canary {
        steps: Steps::percents(&[10.0]).expect("a step"),
        hold: Span::millis(HALF_AN_HOUR),
        tolerance,
        ..Canary::default()
    };
    Plan::new(&canary, tick)
}

/// Both arms alike: nothing is to be aborted.
pub(crate) fn alike() -> Vec<Scenario> {
    let goal = Goal {
        aborts: Some(1.0),
        split: Some(0.1),
        ..Goal::default()
    };
    let still = |what: &str, world| held(what, world, TICK, Show::Aborts, goal);
    let storms = |world: World| World { storms: true, ..world };
    let mut all = vec![
        still("20 rps, both fail 0.1 %", World::alike(20.0, 0.001)),
        still("20 rps, both fail 1 %", World::alike(20.0, 0.01)),
        still("200 rps, both fail 0.1 %", World::alike(200.0, 0.001)),
        still("200 rps, both fail 1 %", World::alike(200.0, 0.01)),
        still("20 rps, both fail 0.1 %, storms", storms(World::alike(20.0, 0.001))),
        still("200 rps, both fail 1 %, storms", storms(World::alike(200.0, 0.01))),
    ];
    for (what, world) in [
        ("20 rps, both fail 1 %, ramp", World::alike(20.0, 0.01)),
        ("200 rps, both fail 1 %, ramp", World::alike(200.0, 0.01)),
        (
            "200 rps, both fail 1 %, ramp, storms",
            storms(World::alike(200.0, 0.01)),
        ),
    ] {
        all.push(ramp(still(what, world)));
    }
    let usual = Canary::default().tolerance;
    for (fails, tolerance) in [(0.001, usual), (0.01, usual), (0.01, 1.5), (0.01, 2.0)] {
        let what = format!("100 rps, both fail {} %, bursts, tolerance {tolerance}", fails * 100.0);
        let world = World {
            bursts: true,
            ..World::alike(100.0, fails)
        };
        all.push(Scenario {
            plan: plan(tolerance, TICK),
            ..still(&what, world)
        });
    }
    for (rate, pauses) in [
        (20.0, None),
        (200.0, None),
        (200.0, Some((20_000.0, 100.0))),
        (200.0, Some((60_000.0, 1_000.0))),
    ] {
        let seldom = pauses.map_or_else(String::new, |(apart, long)| {
            format!(", each {} s an arm pauses for {long} ms", apart / 1e3)
        });
        let world = World {
            pauses,
            ..World::alike(rate, 0.0)
        };
        all.push(Scenario {
            metric: Metric::Latency,
            ..still(&format!("{rate} rps, none fails, latency{seldom}"), world)
        });
    }
    all
}

/// The usual steps, six minutes each. Where the canary has all the traffic the anchors have ended.
fn ramp(scenario: Scenario) -> Scenario {
    let canary = Canary {
        hold: Span::millis(SIX_MINUTES),
        ..Canary::default()
    };
    let weights = canary.steps.weights().to_vec();
    Scenario {
        plan: Plan::new(&canary, scenario.tick),
        until: SIX_MINUTES * weights.len() as u64,
        weights,
        whole: true,
        ..scenario
    }
}

/// Half of the canary's requests fail.
pub(crate) fn half_fail() -> Vec<Scenario> {
    let mut all = Vec::new();
    for (rate, p95) in [(20.0, 12.0), (200.0, 8.0)] {
        for tick in [TICK, SECOND] {
            let world = World::alike(rate, 0.001).canary_fails(0.5);
            let goal = Goal {
                all: true,
                p95: Some(p95),
                harmed: Some(Scenario::one_look(&world, tick)),
                ..Goal::default()
            };
            let what = format!("{rate} rps, looks of {} s", tick / SECOND);
            all.push(held(what, world, tick, Show::DelayFromFailure, goal));
        }
    }
    all
}

/// The canary fails five times as often as stable, or more.
pub(crate) fn worse() -> Vec<Scenario> {
    let mut all = Vec::new();
    for (fails, bad) in [(0.001, 0.005), (0.01, 0.05), (0.01, 0.2)] {
        for rate in [20.0, 200.0] {
            let world = World::alike(rate, fails).canary_fails(bad);
            let is_below_slo = bad < 0.01 && rate > 100.0;
            let goal = Goal {
                all: is_below_slo,
                median: is_below_slo.then_some(120.0),
                p95: is_below_slo.then_some(300.0),
                harmed: Some(Scenario::one_look(&world, TICK)),
                ..Goal::default()
            };
            let what = format!("{rate} rps, {} → {} %", fails * 100.0, world.fails[CANARY] * 100.0);
            all.push(held(what, world, TICK, Show::Delay, goal));
        }
    }
    all
}

/// The canary is slower; nothing fails.
pub(crate) fn slower() -> Vec<Scenario> {
    let mut all = Vec::new();
    for (what, times) in [
        ("every answer 50 % slower", Times::Longer(1.5)),
        ("2 % of answers 500 ms slower", Times::Some(0.02, 500.0)),
    ] {
        for rate in [20.0, 200.0] {
            let world = World::alike(rate, 0.0).canary_takes(times);
            let goal = Goal {
                median: (rate > 100.0).then_some(30.0),
                ..Goal::default()
            };
            all.push(Scenario {
                metric: Metric::Latency,
                ..held(format!("{rate} rps, {what}"), world, TICK, Show::Slowness, goal)
            });
        }
    }
    all
}

/// Next to nothing comes. msctl holds two minutes and is watched to its end.
pub(crate) fn little() -> Vec<Scenario> {
    let goal = Goal {
        aborts: Some(0.0),
        proven: true,
        ..Goal::default()
    };
    let canary = Canary {
        steps: Steps::percents(&[10.0]).expect("a step"),
        ..Canary::default()
    };
    let each = |rate: f64| Scenario {
        plan: Plan::new(&canary, TICK),
        whole: true,
        ..held(
            format!("{rate} rps, both fail 0.1 %"),
            World::alike(rate, 0.001),
            TICK,
            Show::Ends,
            goal,
        )
    };
    [0.0, 0.1, 1.0].map(each).into()
}
