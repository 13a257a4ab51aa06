//! Many lines in a few numbers. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Level, Line};

/// `msctl.logs.summary/v1`: what the chosen lines say in all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Summary {
    /// Lines read, filtered out ones among them.
    pub lines: u64,
    /// Lines the numbers below are about.
    pub counted: u64,
    /// Lines that are not JSON objects.
    pub not_json: u64,
    /// The earliest time a line has.
    #[schemars(with = "Option<String>")]
    pub first: Option<Timestamp>,
    /// The latest time a line has.
    #[schemars(with = "Option<String>")]
    pub last: Option<Timestamp>,
    /// All services together.
    pub total: Counts,
    /// By service; lines that name none are under "".
    pub services: BTreeMap<String, Counts>,
}

/// Lines by level.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Counts {
    /// Least grave first; levels that no line has are left out.
    pub levels: BTreeMap<Level, u64>,
    /// Lines without a level that is known.
    pub no_level: u64,
    /// The share of lines of level error or fatal among those that have a level, 0 to 1; none where no line has one.
    pub error_rate: Option<f64>,
}

impl Summary {
    /// Adds a line that was chosen.
    pub fn add(&mut self, line: &Line) {
        self.counted += 1;
        self.not_json += u64::from(line.record.is_none());
        if let Some(time) = line.time() {
            self.first = Some(self.first.map_or(time, |first| first.min(time)));
            self.last = Some(self.last.map_or(time, |last| last.max(time)));
        }
        let service = line
            .record
            .as_ref()
            .and_then(|r| r.service.as_deref())
            .unwrap_or_default();
        if !self.services.contains_key(service) {
            self.services.insert(service.to_owned(), Counts::default());
        }
        let of_service = self.services.get_mut(service);
        for counts in of_service.into_iter().chain([&mut self.total]) {
            counts.add(line.level());
        }
    }
}

impl Counts {
    fn add(&mut self, level: Option<Level>) {
        match level {
            None => self.no_level += 1,
            Some(level) => *self.levels.entry(level).or_default() += 1,
        }
        self.error_rate = self.rate();
    }

    /// Lines of level error or fatal.
    pub fn errors(&self) -> u64 {
        self.levels.range(Level::Error..).map(|(_, count)| count).sum()
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate of counts of lines")]
    fn rate(&self) -> Option<f64> {
        let all: u64 = self.levels.values().sum();
        (all > 0).then(|| self.errors() as f64 / all as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::line;
    use super::*;

    #[test]
    fn lines_are_counted_by_level_and_service() {
        let mut summary = Summary::default();
        for text in [
            r#"{"level":"info","service.name":"a","time":"2026-11-24T16:00:02Z"}"#,
            r#"{"level":"error","service.name":"a","time":"2026-11-24T16:00:01Z"}"#,
            r#"{"level":"fatal","service.name":"b"}"#,
            r#"{"level":"info","service.name":"b"}"#,
            "plain",
        ] {
            summary.add(&line(0, 1, text));
        }
        assert_eq!((summary.counted, summary.not_json, summary.total.no_level), (5, 1, 1));
        assert_eq!((summary.total.errors(), summary.total.error_rate), (2, Some(0.5)));
        assert_eq!(
            summary.services["a"].levels,
            BTreeMap::from([(Level::Info, 1), (Level::Error, 1)])
        );
        assert_eq!(summary.services[""].error_rate, None);
        assert!(summary.first < summary.last && summary.first.is_some());
    }
}
