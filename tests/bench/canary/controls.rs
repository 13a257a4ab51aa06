//! Controls of the simulator: what is known by other ways must come out of it too.

use super::anchors::Anchor;
use super::race::{Figures, Goal, Show};
use super::scenarios::{self, TICK};
use super::world::World;
use crate::Row;

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = known();
    rows.extend(simulated_before());
    rows
}

fn race(world: World, anchors: &[Anchor]) -> Vec<Figures> {
    let scenario = scenarios::held("", world, TICK, Show::Delay, Goal::default());
    scenario.race(false, anchors)
}

/// What can be computed.
fn known() -> Vec<Row> {
    let figures = race(World::alike(20.0, 0.001), &[Anchor::Never, Anchor::First]);
    let [never, first] = figures[..] else {
        unreachable!("two went in");
    };
    // Failures at the canary come at random, 20 × 10 % × 0.1 % a second.
    let rate = 0.002;
    let some = 100.0 * (1.0 - libm::exp(-rate * 1_800.0));
    // A look comes half an interval after it, on average.
    let median = std::f64::consts::LN_2 / rate + 2.5;
    vec![
        Row::new(
            "a rule that never aborts: share that aborts",
            "0 %",
            format!("{:.2} %", never.aborted),
        ),
        Row::new(
            "a rule that aborts at the first failure of the canary, 20 rps, weight 10 %, 0.1 % fail: share that aborts in 30 minutes",
            "1 − e^−3.6",
            format!("{:.2} % (expected {some:.2} %)", first.aborted),
        ),
        Row::new(
            "the same: median of when",
            "ln 2 / 0.002 s⁻¹",
            format!("{:.0} s (expected {median:.0} s)", first.median.unwrap_or(f64::NAN)),
        ),
    ]
}

/// What another simulation of the same rules said, with 1 000 runs a cell (300 of Kayenta's): share that aborts, and the median
/// among these.
fn simulated_before() -> Vec<Row> {
    let cells = [
        (20.0, 0.005, 1.0, [("32.1 %", 0), ("98.2 %", 2), ("0.7 %", 5)]),
        (
            20.0,
            0.005,
            2.0,
            [("99 %, 840 s", 0), ("100 %, 120 s", 2), ("43 %, 1200 s", 5)],
        ),
        (
            200.0,
            0.001,
            5.0,
            [("never", 0), ("33 %, 840 s", 2), ("100 %, 300 s", 5)],
        ),
        (200.0, 0.001, 2.0, [("never", 0), ("never", 2), ("72 %, 1200 s", 5)]),
    ];
    let mut rows = Vec::new();
    for (rate, fails, times, before) in cells {
        let anchors = super::race::ANCHORS.map(|(_, anchor)| anchor);
        let figures = race(World::alike(rate, fails).canary_fails(fails * times), &anchors);
        for (said, column) in before {
            let Figures { aborted, median, .. } = figures[column];
            let when = median.map_or_else(String::new, |median| format!(", median of all {median:.0} s"));
            rows.push(Row::new(
                format!(
                    "{}: {rate} rps, {} → {} %",
                    super::race::ANCHORS[column].0,
                    fails * 100.0,
                    fails * times * 100.0
                ),
                said,
                format!("{aborted:.1} %{when}"),
            ));
        }
    }
    rows
}
