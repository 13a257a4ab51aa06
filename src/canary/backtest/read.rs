//! Reads the past out of Prometheus, piece by piece.
//!
//! A piece is an instant query of its own, whose expression is a range selector: it has the raw samples, and none of the limits
//! that Prometheus sets to the points of a range query. Each is short enough for its answer to stay small.

use std::time::Duration;

use super::past::Past;
use crate::canary::Arm;
use crate::canary::meter::prometheus::{Question, series};
use crate::config::units::Span;
use crate::failure::{Failure, Kind};
use crate::remote::prometheus::Prometheus;

/// Each query is about so much time.
const PIECE: i64 = 15 * 60_000;

/// So many queries are under way at once.
const AT_ONCE: usize = 4;

/// What came in at stable between these times, in milliseconds since 1970. `told` hears how many of how many queries are answered.
pub fn read(
    server: &Prometheus,
    question: &Question,
    (begin, end): (i64, i64),
    told: &mut dyn FnMut(usize, usize),
) -> Result<Past, Failure> {
    let interval = u64::try_from(question.interval.as_millis()).unwrap_or(u64::MAX);
    let mut past = Past::new(begin, end, interval);
    let piece = |(from, to)| (query(question, between(from, to)), to);
    let pieces: Vec<(String, i64)> = pieces(begin, end).into_iter().map(piece).collect();
    let mut answered = 0;
    for some in pieces.chunks(AT_ONCE) {
        for streams in server.samples_at(some)? {
            past.add(&series(question.form, Arm::Stable, streams));
        }
        answered += some.len();
        told(answered, pieces.len());
    }
    if !past.is_empty() {
        return Ok(past);
    }
    let whole = between(begin, end);
    let span = Span::millis(u64::try_from(whole.as_millis()).unwrap_or(u64::MAX));
    let message = format!("Prometheus has no requests of stable in the last {span}");
    Err(Failure::new(Kind::NoEvidence, message).note(format!("stable: {}", query(question, whole))))
}

/// What asks for the raw samples of stable's counters.
pub fn query(question: &Question, window: Duration) -> String {
    let matchers = [&question.common[..], &question.stable].concat();
    question.form.query(&matchers, window)
}

fn between(begin: i64, end: i64) -> Duration {
    Duration::from_millis(u64::try_from(end.saturating_sub(begin)).unwrap_or(0))
}

/// The pieces of this time, the oldest first.
fn pieces(begin: i64, end: i64) -> Vec<(i64, i64)> {
    let next = |from: &i64| (*from < end).then(|| from.saturating_add(PIECE).min(end));
    let ends = std::iter::successors(Some(begin), next);
    let ends: Vec<i64> = ends.collect();
    ends.windows(2).map(|pair| (pair[0], pair[1])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_whole_time_and_none_twice() {
        let minute = 60_000;
        assert_eq!(
            pieces(0, 40 * minute),
            [(0, 15 * minute), (15 * minute, 30 * minute), (30 * minute, 40 * minute)]
        );
        assert_eq!(pieces(5, 6), [(5, 6)]);
        assert!(pieces(6, 6).is_empty() && pieces(6, 5).is_empty());
    }
}
