//! The meter that reads Prometheus.
//!
//! It asks for raw samples: an instant query whose expression is a range selector, `metric{…}[30s]`. So every sample
//! has the time at which it was scraped. An instant vector would give the time of the query instead, and for up to five
//! minutes the last value of a target that is gone; a range query would put samples on a grid of its own. The window
//! reaches back to the last answer and a few scrapes beyond, so that an outage between Prometheus and here loses
//! nothing that was scraped.
//!
//! Counting begins with the first answer that has series.

use std::time::Duration;

use super::STALE;
use super::form::{Form, Matcher};
use super::own::{Found, Own, QUERIES};
use super::series::{Ledger, Sample, Series};
use crate::canary::{Arm, Meter, Metered, Reading};
use crate::failure::{Failure, Kind};
use crate::process::Clock;
use crate::remote::prometheus::{Prometheus, Stream};

/// The window is at least this long, and at most.
const SHORTEST: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_mins(15);

/// No Prometheus is taken to scrape more often.
const QUICKEST: Duration = Duration::from_millis(100);

/// Which series are whose.
#[derive(Clone, Debug)]
pub struct Question {
    /// What they are called.
    pub form: Form,
    /// What those of both arms have.
    pub common: Vec<Matcher>,
    /// What those of stable have.
    pub stable: Vec<Matcher>,
    /// What those of the canary have.
    pub canary: Vec<Matcher>,
    /// How long it is between two scrapes.
    pub interval: Duration,
}

/// Reads counters from Prometheus.
#[derive(Debug)]
pub struct PrometheusMeter {
    server: Prometheus,
    question: Question,
    ledger: Ledger,
    /// What is counted beside requests.
    own: Vec<Own>,
    clock: Clock,
    /// When the last answer came.
    answered: Option<Duration>,
    /// The newest scrape, and when it was seen first.
    newest: Option<(i64, Duration)>,
}

impl PrometheusMeter {
    /// A meter that has read nothing.
    pub fn new(server: Prometheus, mut question: Question) -> Self {
        question.interval = question.interval.clamp(QUICKEST, LONGEST);
        Self {
            server,
            // Targets are scraped within one interval after Prometheus began, each at a time of its own.
            ledger: Ledger::new(question.interval, question.interval * 2),
            own: Vec::new(),
            question,
            clock: Clock::start(),
            answered: None,
            newest: None,
        }
    }

    /// The same, which reads these metrics in each round too.
    #[must_use]
    pub fn and(self, own: Vec<Own>) -> Self {
        Self { own, ..self }
    }

    /// How far back is asked at this time.
    fn reach(&self, now: Duration) -> Duration {
        let since = self.answered.map_or(Duration::ZERO, |then| now.saturating_sub(then));
        (since + self.question.interval * (STALE + 1)).clamp(SHORTEST, LONGEST)
    }

    /// The queries, stable's first, of a window of this length.
    fn queries(&self, reach: Duration) -> [String; 2] {
        [&self.question.stable, &self.question.canary].map(|own| {
            let matchers = [&self.question.common[..], own].concat();
            self.question.form.query(&matchers, reach)
        })
    }

    fn series(&self, answers: Vec<Vec<Stream>>) -> Vec<Series> {
        let arms = [Arm::Stable, Arm::Canary].into_iter().zip(answers);
        arms.flat_map(|(arm, streams)| series(self.question.form, arm, streams))
            .collect()
    }

    /// Adds what the metrics of the user's own were answered, in the order in which they were asked for.
    fn fold_own(&mut self, answers: impl Iterator<Item = Vec<Stream>>) {
        let mut answers = answers.map(found);
        for own in &mut self.own {
            own.fold(std::array::from_fn::<_, QUERIES, _>(|_| {
                answers.next().unwrap_or_default()
            }));
        }
    }

    /// No scrape for long is an outage, however Prometheus answers.
    fn check_fresh(&mut self, now: Duration, newest: i64) -> Result<(), Failure> {
        let (was, since) = *self.newest.get_or_insert((newest, now));
        if newest > was {
            self.newest = Some((newest, now));
            return Ok(());
        }
        let still = now.saturating_sub(since);
        if still > self.question.interval * STALE {
            let why = format!("there was no scrape for {} s", still.as_secs());
            return Err(Failure::new(Kind::NoEvidence, why));
        }
        Ok(())
    }
}

impl Meter for PrometheusMeter {
    fn read(&mut self) -> Result<Reading, Failure> {
        let now = self.clock.elapsed();
        let reach = self.reach(now);
        let queries = self.queries(reach);
        let own = self.own.iter().flat_map(|own| own.queries(reach));
        let all: Vec<String> = queries.iter().cloned().chain(own).collect();
        let mut answers = self.server.samples(&all)?;
        self.answered = Some(now);
        let of_own = answers.split_off(queries.len().min(answers.len()));
        self.fold_own(of_own.into_iter());
        let series = self.series(answers);
        let times = series.iter().flat_map(|one| &one.samples).map(|(at, _)| *at);
        let Some(newest) = times.max() else {
            return Err(
                Failure::new(Kind::NoEvidence, "Prometheus has no requests of either arm")
                    .note(format!("stable: {}", queries[0]))
                    .note(format!("canary: {}", queries[1])),
            );
        };
        self.ledger.fold(&series);
        self.check_fresh(now, newest)?;
        let metrics: Metered = self
            .own
            .iter_mut()
            .map(|own| (own.name().to_owned(), own.counted()))
            .collect();
        Ok(Reading {
            metrics,
            ..self.ledger.reading()
        })
    }
}

/// Series of whatever kind.
fn found(streams: Vec<Stream>) -> Found {
    let one = |stream: Stream| {
        let samples = stream.values.iter().filter_map(sample).collect();
        (stream.labels, samples)
    };
    streams.into_iter().map(one).collect()
}

/// What Prometheus has of an arm, by what it counts.
pub(in crate::canary) fn series(form: Form, arm: Arm, streams: Vec<Stream>) -> Vec<Series> {
    let one = |stream: Stream| {
        let of = |label: &str| stream.labels.get(label).map_or("", String::as_str);
        let source = format!("{} {}", of("job"), of("instance"));
        let samples = stream.values.iter().filter_map(sample).collect();
        form.series(arm, source, &stream.labels, samples)
    };
    streams.into_iter().filter_map(one).collect()
}

/// In milliseconds; what is no number is no sample.
fn sample((seconds, value): &(f64, String)) -> Option<Sample> {
    #[expect(clippy::cast_possible_truncation, reason = "as saturates")]
    let at = (seconds * 1_000.0).round() as i64;
    value.parse().ok().map(|value| (at, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::http::Url;

    fn meter(interval: Duration) -> PrometheusMeter {
        let address = Url::parse("http://127.0.0.1:9090").expect("a URL");
        let server = Prometheus::new(address, Duration::from_secs(1)).expect("a client");
        let question = Question {
            form: Form::Istio,
            common: vec![Matcher::is("destination_service", "payment")],
            stable: vec![Matcher::is("destination_version", "v1")],
            canary: vec![Matcher::is("destination_version", "v2")],
            interval,
        };
        PrometheusMeter::new(server, question)
    }

    #[test]
    fn the_window_reaches_back_to_the_last_answer() {
        for (interval, answered, window) in [
            (5, None, "[30000ms]"),
            (15, None, "[60000ms]"),
            (5, Some(95), "[30000ms]"),
            (5, Some(40), "[80000ms]"),
            (0, Some(90), "[30000ms]"),
        ] {
            let mut meter = meter(Duration::from_secs(interval));
            meter.answered = answered.map(Duration::from_secs);
            let [stable, canary] = meter.queries(meter.reach(Duration::from_secs(100)));
            assert!(
                stable.ends_with(&format!("destination_version=\"v1\"}}{window}")),
                "{stable}"
            );
            assert!(
                canary.ends_with(&format!("destination_version=\"v2\"}}{window}")),
                "{canary}"
            );
        }
        let later = meter(Duration::from_secs(5));
        assert_eq!(later.reach(Duration::from_hours(2)), SHORTEST);
        let mut long = meter(Duration::from_secs(5));
        long.answered = Some(Duration::ZERO);
        assert_eq!(long.reach(Duration::from_hours(2)), LONGEST);
    }

    #[test]
    fn no_scrape_for_three_intervals_is_no_evidence() {
        let mut meter = meter(Duration::from_secs(5));
        let at = Duration::from_secs;
        for (now, newest, fresh) in [
            (0, 7, true),
            (15, 7, true),
            (16, 7, false),
            (17, 8, true),
            (32, 8, true),
            (33, 8, false),
        ] {
            let checked = meter.check_fresh(at(now), newest);
            assert_eq!(checked.is_ok(), fresh, "{now} {newest}");
            assert!(checked.err().is_none_or(|failure| failure.kind() == Kind::NoEvidence));
        }
    }

    #[test]
    fn what_is_no_number_is_no_sample() {
        let text = |value: &str| sample(&(1_435_781_430.781, value.to_owned()));
        assert_eq!(text("12"), Some((1_435_781_430_781, 12.0)));
        assert_eq!(text("twelve"), None);
        assert!(text("NaN").is_some_and(|(_, value)| value.is_nan()));
    }
}
