//! The rule of Kayenta's `NetflixACAJudge`, beside which msctl is measured: a re-implementation of the *rule*, from reading the
//! project's source, not the service.
//!
//! One metric, critical, direction `increase`, `nanStrategy: replace`; a point a minute; judged every five minutes over all points so
//! far. Critical and high makes the score 0, which aborts; nothing else can fail, for one metric has the score 0 or 100.

use rand_distr::{Distribution, StandardNormal};

use super::anchors::{Metric, ticks};
use super::world::{CANARY, History, STABLE, Tally, dice, number};

const STEP: u64 = 60_000;
const JUDGED: u64 = 300_000;
/// The quantile of its confidence of 98 %, and its tolerance; both are fixed there.
const QUANTILE: f64 = 2.326;
const TOLERANCE: f64 = 0.25;
/// The noise it adds where both sides are constant, as a share of the value.
const NOISE: f64 = 1e-5;

/// When it aborts, in milliseconds.
pub(crate) fn aborts(metric: Metric, history: &mut History, until: u64) -> Option<u64> {
    ticks(JUDGED, until).find(|at| {
        let mut points = |arm| -> Vec<f64> {
            let point = |at| value(metric, &history.window(arm, at, STEP)).unwrap_or(0.0);
            ticks(STEP, *at).map(point).collect()
        };
        is_high(points(CANARY), points(STABLE))
    })
}

fn value(metric: Metric, tally: &Tally) -> Option<f64> {
    match metric {
        Metric::Success => tally.failing(),
        Metric::Latency => tally.p99(),
    }
}

/// Whether the experiment's points are classified as `High` against the control's, by so much that it is critical.
pub(crate) fn is_high(mut experiment: Vec<f64>, mut control: Vec<f64>) -> bool {
    experiment.sort_unstable_by(f64::total_cmp);
    control.sort_unstable_by(f64::total_cmp);
    // Identical arrays, and one distinct value overall, are among those that pass.
    if experiment.is_empty() || control.is_empty() || experiment == control {
        return false;
    }
    let constant = |points: &[f64]| points.first() == points.last();
    if constant(&experiment) && constant(&control) {
        for (side, points) in [&mut experiment, &mut control].into_iter().enumerate() {
            noise(points, side as u64);
        }
    }
    let (low, estimate) = shift(&experiment, &control);
    let mean = |points: &[f64]| points.iter().sum::<f64>() / number(points.len() as u64);
    let ratio = mean(&experiment) / mean(&control);
    // It has no effect size where a mean is 0, and counts that as critical.
    let critical = mean(&control) <= 0.0 || mean(&experiment) <= 0.0 || ratio >= 1.0;
    low > TOLERANCE * estimate.abs() && critical
}

fn noise(points: &mut [f64], side: u64) {
    let dice = &mut dice(0, side, 6);
    for point in points.iter_mut() {
        let normal: f64 = StandardNormal.sample(dice);
        *point += NOISE * point.abs() * normal;
    }
    points.sort_unstable_by(f64::total_cmp);
}

/// The lower end of the Mann-Whitney confidence interval of the shift between the sorted sides, and its estimate. Its statistic W(μ) is
/// a step function that falls at each difference between a point of one side and one of the other; the roots that Kayenta seeks
/// by Brent's method are therefore order statistics of these differences.
fn shift(experiment: &[f64], control: &[f64]) -> (f64, f64) {
    let mut differences: Vec<f64> = experiment
        .iter()
        .flat_map(|x| control.iter().map(move |y| x - y))
        .collect();
    differences.sort_unstable_by(f64::total_cmp);
    let [n, m, pairs] = [experiment.len(), control.len(), differences.len()].map(|len| number(len as u64));
    // Between two differences, ties are those within one side.
    let ties = ties(experiment) + ties(control);
    let variance = pairs / 12.0 * ((n + m + 1.0) - ties / ((n + m) * (n + m - 1.0)));
    // So many differences may lie at or below μ until W(μ) is below the quantile; 0.5 is the correction for continuity.
    let below = (pairs / 2.0 - 0.5 - QUANTILE * variance.sqrt()).floor();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and at most the number of pairs"
    )]
    let low = differences[(below + 1.0).max(1.0) as usize - 1];
    let half = differences.len() / 2;
    let middle = if differences.len().is_multiple_of(2) {
        f64::midpoint(differences[half - 1], differences[half])
    } else {
        differences[half]
    };
    (low, middle)
}

/// Σ (t³ − t) over the groups of equal points.
fn ties(sorted: &[f64]) -> f64 {
    #[expect(clippy::float_cmp, reason = "a tie is the same value, bit for bit")]
    let groups = sorted.chunk_by(|a, b| a == b);
    groups
        .map(|group| number(group.len() as u64))
        .map(|t| t * t * t - t)
        .sum()
}
