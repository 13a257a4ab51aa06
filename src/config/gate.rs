//! The part `gate:` of msctl.yaml: what is checked, and what fails.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::service::{Check, Severity};

/// What the gate asks of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Gate {
    /// The least severity that fails.
    pub fail_on: Severity,
    /// What becomes of a finding whose severity nobody knows.
    pub unknown: Unknown,
    /// Vulnerabilities that have no fix yet are reported and do not fail.
    pub only_fixable: bool,
    /// The checks that are made.
    pub checks: Vec<Check>,
    /// How old the databases of known vulnerabilities may be.
    pub databases: Databases,
    /// What a waiver may be.
    pub waivers: Waivers,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            fail_on: Severity::High,
            unknown: Unknown::Fail,
            only_fixable: false,
            checks: Check::ALL.to_vec(),
            databases: Databases::default(),
            waivers: Waivers::default(),
        }
    }
}

/// What becomes of a finding whose severity nobody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unknown {
    /// It fails.
    #[default]
    Fail,
    /// It is reported, and does not fail.
    Report,
}

/// How old the databases may be, by what they say themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Databases {
    /// trivy's: it is published every six hours, and one that is a day old has missed several.
    pub trivy: Age,
    /// Go's: it gets some reports a week, and one that has not moved for longer was not fetched.
    pub go: Age,
}

impl Default for Databases {
    fn default() -> Self {
        Self {
            trivy: Age::hours(24),
            go: Age::hours(14 * 24),
        }
    }
}

/// How old something may be, as people write it: `24h`, `14d`; whole hours, at most a year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Age(u16);

const YEAR: u16 = 366 * 24;

impl Age {
    const fn hours(hours: u16) -> Self {
        Self(hours)
    }

    /// How old something of that time is, in words, where it is older than this.
    pub fn passed(self, from: Timestamp, now: Timestamp) -> Option<String> {
        let hours = now.duration_since(from).as_hours();
        (hours >= i64::from(self.0)).then(|| format!("{} old, limit {}", words(hours), words(i64::from(self.0))))
    }
}

/// `47 h`, `14 days`
fn words(hours: i64) -> String {
    match hours {
        48.. => format!("{} days", hours / 24),
        hours => format!("{hours} h"),
    }
}

impl FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let factor = match &text[digits.len()..] {
            "h" => Some(1),
            "d" => Some(24),
            _ => None,
        };
        let hours = digits.parse::<u16>().ok().zip(factor);
        match hours.and_then(|(number, factor)| number.checked_mul(factor)) {
            Some(hours) if (1..=YEAR).contains(&hours) => Ok(Self(hours)),
            _ => Err(format!(
                "`{}` is no age such as 24h or 14d (a year at most)",
                text.escape_debug()
            )),
        }
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            hours if hours.is_multiple_of(24) && hours > 24 => f.pad(&format!("{}d", hours / 24)),
            hours => f.pad(&format!("{hours}h")),
        }
    }
}

impl TryFrom<String> for Age {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Age> for String {
    fn from(age: Age) -> Self {
        age.to_string()
    }
}

impl JsonSchema for Age {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Age".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9]+(h|d)$", "examples": ["24h", "14d"] })
    }
}

/// What a waiver may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Waivers {
    /// How many days from now it may end at the latest.
    pub max_days: Days,
}

/// A number of days, 1 to 366.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u16", into = "u16")]
pub struct Days(#[schemars(range(min = 1, max = 366))] u16);

impl Default for Days {
    fn default() -> Self {
        Self(90)
    }
}

impl Days {
    /// 1..=366
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for Days {
    type Error = String;

    fn try_from(days: u16) -> Result<Self, String> {
        match days {
            1..=366 => Ok(Self(days)),
            _ => Err(format!("{days} is no number of days from 1 to 366")),
        }
    }
}

impl From<Days> for u16 {
    fn from(days: Days) -> Self {
        days.0
    }
}

#[cfg(test)]
mod tests {
    use super::super::service::Service;
    use super::*;

    fn parse(gate: &str) -> Result<Gate, String> {
        let text = format!("schema: msctl.service/v1\nname: payment\ngate:\n  {gate}\n");
        let service = Service::parse("msctl.yaml", text.as_bytes()).map_err(|failure| {
            let at = failure
                .place()
                .map_or(String::new(), |p| format!("{}:{} ", p.line, p.column));
            format!("{at}{failure}; {}", failure.hints().join("; "))
        });
        service.map(|service| service.gate)
    }

    #[test]
    fn a_policy_is_read_and_what_is_wrong_is_said_with_its_place() {
        let gate = parse("{ unknown: report, only-fixable: true, databases: { trivy: 36h } }").expect("a policy");
        assert_eq!(
            (gate.unknown, gate.only_fixable, gate.fail_on),
            (Unknown::Report, true, Severity::High)
        );
        assert_eq!(
            (gate.databases.trivy.to_string(), gate.databases.go.to_string()),
            ("36h".into(), "14d".into())
        );
        for (text, says) in [
            ("unknown: ignore", "4:12 `ignore` is none of the values here"),
            ("only-fixable: maybe", "4:17"),
            ("only_fixable: true", "4:3 there is no key `only_fixable` here"),
            ("databases: { trivy: 1w }", "4:23 `1w` is no age such as 24h or 14d"),
            ("databases: { trivy: 0h }", "`0h` is no age"),
            ("databases: { go: 400d }", "`400d` is no age"),
            ("waivers: { max-days: 0 }", "4:24 0 is no number of days from 1 to 366"),
            ("waivers: { max-days: 400 }", "400 is no number of days"),
            ("waivers: { max-days: soon }", "4:24"),
            ("databases: { rust: 1d }", "4:16 there is no key `rust` here"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn an_age_has_passed_at_its_limit() {
        let now: Timestamp = "2026-11-25T12:00:00Z".parse().expect("a time");
        let passed = |age: &str, hours: i64| {
            let age: Age = age.parse().expect("an age");
            age.passed(now - jiff::SignedDuration::from_hours(hours), now)
        };
        assert_eq!((passed("24h", 23), passed("24h", -5)), (None, None));
        assert_eq!(passed("1d", 24).as_deref(), Some("24 h old, limit 24 h"));
        assert_eq!(passed("14d", 15 * 24).as_deref(), Some("15 days old, limit 14 days"));
    }
}
