//! Quantities with their units, as people write them: `2s`, `5 %`. Pure.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A time that a person writes: `500ms`, `2s`, `5m`, `1h`; whole milliseconds, at most a week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(Duration);

const WEEK: u64 = 7 * 24 * 3_600_000;

impl Span {
    /// So many milliseconds.
    pub const fn millis(ms: u64) -> Self {
        Self(Duration::from_millis(ms))
    }

    /// As the standard library has it.
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// In whole milliseconds.
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let factor = match &text[digits.len()..] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => 0,
        };
        let number = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(factor));
        match number {
            Some(ms) if factor > 0 && ms <= WEEK => Ok(Self::millis(ms)),
            _ => Err(format!(
                "`{}` is no time such as 500ms, 2s, 5m or 1h (a week at most)",
                text.escape_debug()
            )),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.as_millis();
        let (number, unit) = match ms {
            0 => (0, "s"),
            _ if ms.is_multiple_of(3_600_000) => (ms / 3_600_000, "h"),
            _ if ms.is_multiple_of(60_000) => (ms / 60_000, "m"),
            _ if ms.is_multiple_of(1_000) => (ms / 1_000, "s"),
            _ => (ms, "ms"),
        };
        f.pad(&format!("{number}{unit}"))
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h)$", "examples": ["500ms", "2s", "5m"] })
    }
}

/// A share of traffic in per mille, 0..=1000; people write it in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u16);

impl Weight {
    /// No traffic.
    pub const NONE: Self = Self(0);
    /// All traffic.
    pub const ALL: Self = Self(1000);

    /// None above 1000.
    pub const fn per_mille(per_mille: u16) -> Option<Self> {
        if per_mille <= 1000 { Some(Self(per_mille)) } else { None }
    }

    /// 0..=1000
    pub const fn get(self) -> u16 {
        self.0
    }

    /// 0.0..=1.0
    pub fn share(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}

/// On a command line, in percent: `25`, `0.1`, `0`.
impl FromStr for Weight {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let percent = text.trim().trim_end_matches('%').trim_end().parse::<f64>();
        match percent {
            Ok(percent) if percent.abs() < f64::EPSILON => Ok(Self::NONE),
            Ok(percent) => weight(percent),
            Err(_) => Err(format!("`{}` is no percentage", text.escape_debug())),
        }
    }
}

/// In percent: `5 %`, `0.1 %`.
impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, tenth) = (self.0 / 10, self.0 % 10);
        let text = if tenth == 0 {
            format!("{whole} %")
        } else {
            format!("{whole}.{tenth} %")
        };
        f.pad(&text)
    }
}

/// A journal keeps the per mille themselves.
impl Serialize for Weight {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(self.0)
    }
}

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let per_mille = u16::deserialize(deserializer)?;
        Self::per_mille(per_mille)
            .ok_or_else(|| serde::de::Error::custom(format!("{per_mille} is more than 1000 per mille")))
    }
}

impl JsonSchema for Weight {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Weight".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "integer", "minimum": 0, "maximum": 1000, "description": "per mille of the traffic" })
    }
}

/// The steps of a canary in percent, each above the one before it, none beyond 100: `[1, 5, 25, 50]`. The last is followed by 100.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<f64>", into = "Vec<f64>")]
pub struct Steps(Vec<Weight>);

impl Steps {
    /// As weights, without the last step to 100 %.
    pub fn weights(&self) -> &[Weight] {
        &self.0
    }

    /// These percents, if they are steps.
    pub fn percents(percents: &[f64]) -> Result<Self, String> {
        let weights = percents.iter().map(|p| weight(*p)).collect::<Result<Vec<_>, _>>()?;
        if weights.is_empty() {
            return Err("`canary.steps` is empty; such as [1, 5, 25, 50]".into());
        }
        if let Some(pair) = weights.windows(2).find(|pair| pair[0] >= pair[1]) {
            let mut sorted = weights.clone();
            sorted.sort_unstable();
            sorted.dedup();
            let sorted: Vec<String> = sorted.iter().map(|w| w.to_string().replace(" %", "")).collect();
            let (before, after) = (
                pair[0].to_string().replace(" %", ""),
                pair[1].to_string().replace(" %", ""),
            );
            return Err(format!(
                "`canary.steps` must rise, {after} comes after {before}; such as [{}]",
                sorted.join(", ")
            ));
        }
        Ok(Self(weights.into_iter().filter(|w| *w < Weight::ALL).collect()))
    }
}

/// `steps` on a command line: `1,5,25,50`.
impl FromStr for Steps {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let percent = |part: &str| {
            let part = part.trim().trim_end_matches('%').trim_end();
            part.parse::<f64>()
                .map_err(|_| format!("`{}` is no percentage", part.escape_debug()))
        };
        Self::percents(&text.split(',').map(percent).collect::<Result<Vec<_>, _>>()?)
    }
}

/// Percent as a weight; tenths are the finest.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be 1..=1000 first"
)]
fn weight(percent: f64) -> Result<Weight, String> {
    let per_mille = percent * 10.0;
    let whole = per_mille.round();
    if !(1.0..=1000.0).contains(&whole) || (per_mille - whole).abs() > 1e-6 {
        return Err(format!(
            "{percent} is no step: a percentage above 0 and up to 100, in tenths at the finest"
        ));
    }
    Ok(Weight(whole as u16))
}

impl TryFrom<Vec<f64>> for Steps {
    type Error = String;

    fn try_from(percents: Vec<f64>) -> Result<Self, String> {
        Self::percents(&percents)
    }
}

impl From<Steps> for Vec<f64> {
    fn from(steps: Steps) -> Self {
        steps.0.iter().map(|w| f64::from(w.get()) / 10.0).collect()
    }
}

impl JsonSchema for Steps {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Steps".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "array", "minItems": 1,
            "items": { "type": "number", "exclusiveMinimum": 0, "maximum": 100 },
            "description": "percents of the traffic, rising; 100 follows the last"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_read_and_shown() {
        for text in ["500ms", "2s", "5m", "1h", "90s", "0s"] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        }
        assert_eq!("2m".parse::<Span>().unwrap().as_millis(), 120_000);
        for bad in ["", "2", "s", "2 s", "-2s", "2d", "1.5s", "999999999999999999h", "²s"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }

    #[test]
    fn steps_rise() {
        let weights = |text: &str| {
            text.parse::<Steps>()
                .map(|s| s.weights().iter().map(|w| w.get()).collect::<Vec<_>>())
        };
        assert_eq!(weights("1,5,25,50").unwrap(), [10, 50, 250, 500]);
        assert_eq!(weights("0.1, 50%, 100").unwrap(), [1, 500]);
        for (bad, says) in [
            ("1,50,25", "25 comes after 50; such as [1, 25, 50]"),
            ("0", "0 is no step"),
            ("5,5", "must rise"),
            ("101", "no step"),
            ("0.05", "no step"),
            ("x", "no percentage"),
            ("nan", "no step"),
            ("", "no percentage"),
        ] {
            let error = weights(bad).unwrap_err();
            assert!(error.contains(says), "{bad}: {error}");
        }
    }
}
