//! What became of a release, and how that is told.

use std::time::{Duration, Instant};

use super::contender::{End, Who};
use super::race::{Lane, Race};
use super::table::{count, median, row};

/// What became of one release.
pub(super) struct Outcome {
    who: Who,
    end: Option<End>,
    pub(super) ended: Option<Instant>,
    took: Option<Duration>,
    back: Option<Duration>,
    harmed: usize,
    pub(super) most: u64,
}

impl Outcome {
    fn of(lane: &Lane) -> Self {
        let (told, back) = lane.harm();
        Self {
            who: lane.app.who(),
            end: lane.end,
            ended: lane.ended,
            took: lane.took(),
            back,
            harmed: told.harmed,
            most: lane.seen.most(lane.begun),
        }
    }

    pub(super) fn of_all(race: &Race) -> Vec<Self> {
        race.lanes.iter().map(Self::of).collect()
    }
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome.end {
        Some(End::Promoted) => "promoted",
        Some(End::RolledBack) => "rolled back",
        Some(End::GaveUp) => "could not tell",
        Some(End::Left) => "left to the other",
        None => "goes on",
    }
}

fn seconds(all: &[Outcome], of: impl Fn(&Outcome) -> Option<Duration>) -> Vec<f64> {
    all.iter().filter_map(|one| Some(of(one)?.as_secs_f64())).collect()
}

/// What a bad canary cost: the time until it had nothing, requests harmed, its greatest weight.
pub(super) fn cost(all: &[Outcome]) -> String {
    if all.is_empty() {
        return "–".into();
    }
    #[expect(clippy::cast_precision_loss, reason = "a few requests")]
    let harmed: Vec<f64> = all.iter().map(|one| one.harmed as f64).collect();
    let mut told = vec![format!(
        "{}, {} harmed, n {}",
        median(&seconds(all, |one| one.back), 1, " s"),
        median(&harmed, 0, ""),
        all.len()
    )];
    let most = all.iter().map(|one| one.most).max().unwrap_or(0);
    if most > 10 {
        told.push(format!("reached {most} %"));
    }
    let ends = count(all.iter().filter(|one| one.end != Some(End::RolledBack)).map(word));
    if !ends.is_empty() {
        told.push(ends);
    }
    told.join("; ")
}

/// How releases ended, and how long they took.
pub(super) fn ends(all: &[Outcome]) -> String {
    if all.is_empty() {
        return "–".into();
    }
    let took = seconds(all, |one| one.took);
    let text = count(all.iter().map(word));
    if took.is_empty() {
        return text;
    }
    format!("{text}; after {}", median(&took, 0, " s"))
}

/// Prints a row of these.
pub(super) fn print(case: &str, mut all: Vec<Outcome>, cell: impl Fn(&[Outcome]) -> String) {
    row(case, |who| {
        let of: Vec<Outcome> = all.extract_if(.., |one| one.who == who).collect();
        cell(&of)
    });
}
