//! What people do to the route of a release that is under way.

use std::time::{Duration, Instant};

use super::super::seen::Sight;
use super::contender::Who;
use super::race::{HEALTHY, Lane, Race};
use super::table::{count, median, row};

/// So long it is watched what becomes of it: Flagger looks every ten seconds.
const WATCHED: Duration = Duration::from_secs(14);

/// A weight is watched longer: where it is taken as a step, the next one comes two looks later.
const WEIGHT_WATCHED: Duration = Duration::from_secs(24);

/// An annotation, and a route beside those of the release.
pub(super) fn edits_of_others(race: &mut Race) {
    race.begin(HEALTHY);
    let annotated = edit(race, Lane::annotate);
    keeping(
        "an unrelated annotation on the VirtualService",
        race,
        &annotated,
        |sight| sight.object["metadata"]["annotations"]["team"] == "shop",
    );
    let extended = edit(race, Lane::extend);
    keeping("an extra route in the VirtualService", race, &extended, |sight| {
        let mut routes = sight.object["spec"]["http"].as_array().into_iter().flatten();
        routes.any(|route| route["name"] == "extra")
    });
    race.lanes.iter().for_each(Lane::restore);
}

/// Does this to every route, and watches; when it was done to each.
fn edit(race: &mut Race, what: fn(&Lane)) -> Vec<Instant> {
    let done = race.lanes.iter().map(|lane| {
        let at = Instant::now();
        what(lane);
        at
    });
    let done = done.collect();
    race.during(WATCHED);
    done
}

/// Prints whether they are as somebody left them, and whether traffic was taken away.
fn keeping(case: &str, race: &Race, done: &[Instant], is_so: impl Fn(&Sight) -> bool) {
    row(case, |who| {
        let (mut gone, mut away, mut kept) = (Vec::new(), Vec::new(), 0);
        for (lane, at) in race.lanes.iter().zip(done).filter(|(lane, _)| lane.app.who() == who) {
            let sights = lane.from(*at, &is_so);
            match sights.iter().find(|sight| !is_so(sight)) {
                Some(without) => gone.push(without.at.saturating_duration_since(*at).as_secs_f64()),
                None => kept += 1,
            }
            away.extend(without_traffic(&sights).map(|time| time.as_secs_f64()));
        }
        let mut told = Vec::new();
        if kept > 0 {
            told.push(format!("kept: {kept}"));
        }
        if !gone.is_empty() {
            told.push(format!("deleted: {}, after {}", gone.len(), median(&gone, 1, " s")));
        }
        told.push(if away.is_empty() {
            "traffic untouched".to_owned()
        } else {
            format!("100/0 for {}: {}", median(&away, 2, " s"), away.len())
        });
        told.join("; ")
    });
}

/// How long the canary had nothing, if it lost what it had.
fn without_traffic(sights: &[Sight]) -> Option<Duration> {
    let zero = sights.iter().find(|sight| sight.weight == 0)?;
    let again = sights.iter().find(|sight| sight.at > zero.at && sight.weight > 0);
    let until = again.map_or_else(Instant::now, |sight| sight.at);
    Some(until.saturating_duration_since(zero.at))
}

/// A person gives the canary this much.
pub(super) fn weight_by_hand(race: &mut Race, percent: u64) {
    race.begin(HEALTHY);
    let mut done = Vec::new();
    for lane in &race.lanes {
        done.push(Instant::now());
        lane.set(percent);
    }
    race.during(WEIGHT_WATCHED);
    let words: Vec<(Who, String)> = race
        .lanes
        .iter_mut()
        .map(|lane| (lane.app.who(), lane.app.word()))
        .collect();
    row(&format!("a person sets {}/{percent} by hand", 100 - percent), |who| {
        let (mut next, mut stays) = (Vec::new(), 0);
        for (lane, at) in race.lanes.iter().zip(&done).filter(|(lane, _)| lane.app.who() == who) {
            let sights = lane.from(*at, |sight| sight.weight == percent);
            let other = sights.iter().find(|sight| sight.weight != percent);
            match sights.first().zip(other) {
                Some((first, other)) => next.push((other.weight, other.at.saturating_duration_since(first.at))),
                None => stays += 1,
            }
        }
        let mut told = Vec::new();
        if stays > 0 {
            told.push(format!("stays: {stays}"));
        }
        if !next.is_empty() {
            let times: Vec<f64> = next.iter().map(|(_, time)| time.as_secs_f64()).collect();
            let weights = count(next.iter().map(|(weight, _)| format!("then {weight} %")));
            told.push(format!("{weights}, after {}", median(&times, 2, " s")));
        }
        let words = words.iter().filter(|(of, _)| *of == who).map(|(_, word)| word);
        told.push(count(words));
        told.join("; ")
    });
}
