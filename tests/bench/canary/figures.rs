//! Figures of msctl alone: what it says is still needed, bad canaries that pass, good ones that do not, speed.

use std::time::Instant;

use msctl::canary::machine::Reason;
use msctl::canary::plan::Plan;
use msctl::config::service::Canary;
use msctl::config::units::{Steps, Weight};

use super::race::{RUNS, every_seed};
use super::release::{End, Run, release, watched};
use super::scenarios::TICK;
use super::world::{History, Traffic, World, number};
use crate::Row;

const MINUTE: u64 = 60_000;
/// Within this share of what was needed, a figure was right.
const NEAR: f64 = 0.2;

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = needed();
    rows.extend(promotions());
    rows.push(speed());
    rows
}

/// The requests still needed as printed at each look of a step, against those that came until it was proven.
fn needed() -> Vec<Row> {
    let each = |(rate, fails, tick): (f64, f64, u64)| {
        let ten = Canary {
            steps: Steps::percents(&[10.0]).expect("a step"),
            ..Canary::default()
        };
        let plan = Plan {
            // Nothing is waited for but the proof, however long that takes.
            hold: 0,
            patience: u64::MAX / 2,
            ..Plan::new(&ten, tick)
        };
        let traffic = Traffic::new(World::alike(rate, fails), tick);
        // What comes within one look cannot be told apart.
        let look = rate * 0.1 * number(tick) / 1e3;
        let ratios: Vec<(f64, bool)> = every_seed(|seed| printed(&plan, &traffic, seed, look))
            .into_iter()
            .flatten()
            .collect();
        let right = ratios.iter().filter(|(_, right)| *right).count();
        let mut sorted: Vec<f64> = ratios.iter().map(|(ratio, _)| *ratio).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = |percent: usize| sorted[sorted.len() * percent / 100];
        Row::new(
            format!(
                "requests still needed, as printed at every look: {rate} rps, weight 10 %, both fail {} %",
                fails * 100.0
            ),
            "within 20 %",
            format!(
                "{}{:.1} % of those printed are; printed/actual p5 {:.2}, median {:.2}, p95 {:.2}",
                if right < ratios.len() { "**missed**: " } else { "" },
                number(right as u64) * 100.0 / number(ratios.len() as u64),
                at(5),
                at(50),
                at(95)
            ),
        )
    };
    [
        (1.0, 0.0, TICK),
        (1.0, 0.001, TICK),
        (1.0, 0.01, TICK),
        (0.1, 0.001, MINUTE),
    ]
    .map(each)
    .into()
}

/// Each printed figure by what was needed in truth, and whether it was near; nothing of a release that was not proven.
fn printed(plan: &Plan, traffic: &Traffic, seed: u64, look: f64) -> Vec<(f64, bool)> {
    let (mut said, mut proven) = (Vec::new(), None);
    let no_weight = |_| Weight::NONE;
    let mut history = History::new(traffic, seed, &no_weight, false);
    let mut each = |decision: &msctl::canary::machine::Decision, canary: &super::world::Tally| {
        if proven.is_some() || decision.reason == Reason::Begin {
            return;
        }
        if decision.reason == Reason::Safe {
            proven = Some(canary.requests);
        } else {
            said.push((decision.needed, canary.requests));
        }
    };
    watched(plan, &mut history, None, &mut each);
    let Some(proven) = proven else {
        return Vec::new();
    };
    let ratio = |(needed, at): (Option<u64>, u64)| {
        let actual = number(proven - at);
        // "No number would do" was wrong: one did.
        let needed = needed.map_or(f64::INFINITY, number);
        let right = (needed - actual).abs() <= (NEAR * actual).max(look);
        (needed / actual, right)
    };
    // None were needed, and none came: there is nothing to be right about.
    said.into_iter().filter(|(_, at)| *at < proven).map(ratio).collect()
}

fn promotions() -> Vec<Row> {
    let plan = Plan::new(&Canary::default(), TICK);
    let promoted = |world: World| {
        let traffic = Traffic::new(world, TICK);
        let ends = every_seed(|seed| to_its_end(&plan, &traffic, seed).end);
        let hits = ends.into_iter().filter(|end| *end == End::Promoted).count();
        format!("{:.2} %", number(hits as u64) * 100.0 / number(RUNS))
    };
    let good = World::alike(20.0, 0.001);
    let mut rows: Vec<Row> = [0.3, 0.1, 0.06]
        .map(|bad| {
            Row::new(
                format!(
                    "false promotions, usual steps: 20 rps, stable fails 0.1 %, the canary {} %",
                    bad * 100.0
                ),
                "≤ 1 %",
                promoted(good.canary_fails(bad)),
            )
        })
        .into();
    rows.push(Row::new(
        "good canaries promoted, usual steps: 20 rps, both fail 0.1 %",
        "–",
        promoted(good),
    ));
    rows
}

fn to_its_end(plan: &Plan, traffic: &Traffic, seed: u64) -> Run {
    let no_weight = |_| Weight::NONE;
    release(plan, &mut History::new(traffic, seed, &no_weight, false), None)
}

fn speed() -> Row {
    let plan = Plan::new(&Canary::default(), TICK);
    let traffic = Traffic::new(World::alike(20.0, 0.001), TICK);
    let (begin, mut looks) = (Instant::now(), 0);
    for seed in 0..200 {
        looks += to_its_end(&plan, &traffic, seed).looks;
    }
    Row::new(
        "looks of judge and machine a second on one core, dice of the simulation included",
        "–",
        format!("{:.0}", number(looks) / begin.elapsed().as_secs_f64()),
    )
}
