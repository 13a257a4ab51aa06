//! When no release may begin or go a step further, as people write it. Pure.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A time without releases, in UTC: `Fri 16:00 - Mon 08:00` in every week, or `2026-12-20 - 2027-01-03`, both days included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Freeze {
    text: String,
    window: Window,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Window {
    /// From one minute of the week to another, counted from Monday 00:00.
    Weekly(i32, i32),
    Days(Date, Date),
}

impl Freeze {
    /// The first of these that is in force then.
    pub fn in_force(all: &[Self], now: Timestamp) -> Option<&Self> {
        all.iter().find(|freeze| freeze.covers(now))
    }

    /// Whether it is in force then.
    pub fn covers(&self, now: Timestamp) -> bool {
        let now = TimeZone::UTC.to_datetime(now);
        match self.window {
            Window::Weekly(from, until) => {
                let now = minute(now.weekday(), now.time());
                if from < until {
                    (from..until).contains(&now)
                } else {
                    now >= from || now < until
                }
            }
            Window::Days(from, until) => (from..=until).contains(&now.date()),
        }
    }
}

fn minute(day: Weekday, time: Time) -> i32 {
    let days = i32::from(day.to_monday_zero_offset());
    (days * 24 + i32::from(time.hour())) * 60 + i32::from(time.minute())
}

/// `Fri 16:00`
fn weekly(text: &str) -> Option<i32> {
    let (day, time) = text.split_once(' ')?;
    let day = match day.to_lowercase().as_str() {
        "mon" => Weekday::Monday,
        "tue" => Weekday::Tuesday,
        "wed" => Weekday::Wednesday,
        "thu" => Weekday::Thursday,
        "fri" => Weekday::Friday,
        "sat" => Weekday::Saturday,
        "sun" => Weekday::Sunday,
        _ => return None,
    };
    Some(minute(day, time.trim().parse().ok()?))
}

impl FromStr for Freeze {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let window = text.split_once(" - ").and_then(|(from, until)| {
            let (from, until) = (from.trim(), until.trim());
            let week = || Some(Window::Weekly(weekly(from)?, weekly(until)?));
            let days = || Some(Window::Days(from.parse().ok()?, until.parse().ok()?));
            week().or_else(days)
        });
        match window {
            Some(Window::Weekly(from, until)) if from == until => {
                Err(format!("`{}` has no length", text.escape_debug()))
            }
            Some(Window::Days(from, until)) if from > until => {
                Err(format!("`{}` ends before it begins", text.escape_debug()))
            }
            Some(window) => Ok(Self {
                text: text.to_owned(),
                window,
            }),
            None => Err(format!(
                "`{}` is no freeze such as `Fri 16:00 - Mon 08:00` or `2026-12-20 - 2027-01-03` (UTC)",
                text.escape_debug()
            )),
        }
    }
}

impl fmt::Display for Freeze {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Freeze {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Freeze> for String {
    fn from(freeze: Freeze) -> Self {
        freeze.text
    }
}

impl JsonSchema for Freeze {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Freeze".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string", "examples": ["Fri 16:00 - Mon 08:00", "2026-12-20 - 2027-01-03"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frozen(text: &str, at: &str) -> bool {
        text.parse::<Freeze>().unwrap().covers(at.parse().unwrap())
    }

    #[test]
    fn a_weekly_freeze_has_its_first_minute_and_not_its_last() {
        let weekend = "Fri 16:00 - Mon 08:00";
        // 2026-11-27 is a Friday.
        for (at, covered) in [
            ("2026-11-27T15:59:59Z", false),
            ("2026-11-27T16:00:00Z", true),
            ("2026-11-29T23:59:59Z", true),
            ("2026-11-30T07:59:59Z", true),
            ("2026-11-30T08:00:00Z", false),
            ("2026-11-25T12:00:00Z", false),
        ] {
            assert_eq!(frozen(weekend, at), covered, "{at}");
        }
        assert!(frozen("tue 09:00 - tue 17:30", "2026-11-24T17:29:00Z"));
        assert!(!frozen("tue 09:00 - tue 17:30", "2026-11-24T17:30:00Z"));
    }

    #[test]
    fn a_freeze_of_days_has_both_of_them() {
        let holidays = "2026-12-20 - 2027-01-03";
        assert!(!frozen(holidays, "2026-12-19T23:59:59Z"));
        assert!(frozen(holidays, "2026-12-20T00:00:00Z"));
        assert!(frozen(holidays, "2027-01-03T23:59:59Z"));
        assert!(!frozen(holidays, "2027-01-04T00:00:00Z"));
    }

    #[test]
    fn what_is_no_freeze_is_refused() {
        for text in [
            "",
            "Fri - Mon",
            "Fri 16:00",
            "Fri 25:00 - Mon 08:00",
            "Fri 16:00 - Fri 16:00",
            "2027-01-03 - 2026-12-20",
        ] {
            assert!(text.parse::<Freeze>().is_err(), "{text}");
        }
    }
}
