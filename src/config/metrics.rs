//! Counters of the user's own that a release is judged by. Pure.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::names::MetricName;
use super::selector::{Selector, is_label};

/// So many at the most: each takes a share of what the others may say.
const MOST: usize = 4;

/// What labels are, by their names.
pub type Labels = BTreeMap<String, String>;

/// Metrics of the user's own, each with a name of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Metric>", into = "Vec<Metric>")]
pub struct Metrics(Vec<Metric>);

/// One of them: what happened, and what of it was bad.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// What it is called wherever it is shown.
    pub name: MetricName,
    /// The counters of all that happened, what was bad among it.
    pub total: Selector,
    /// The counters of what was bad.
    pub bad: Selector,
    /// The labels of stable's counters (default: `namespace` and `pod`, of the Deployment `NAME-stable`).
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    stable: Labels,
    /// The labels of the canary's counters (default: `namespace` and `pod`, of the Deployment `NAME-canary`).
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    canary: Labels,
}

impl Metric {
    /// The labels of stable's and of the canary's counters, where they are said.
    pub fn arms(&self) -> Option<[&Labels; 2]> {
        (!self.stable.is_empty()).then_some([&self.stable, &self.canary])
    }

    /// Why it cannot tell the arms.
    fn flaw(&self) -> Option<String> {
        let Self {
            name,
            total,
            bad,
            stable,
            canary,
        } = self;
        if total == bad {
            return Some(format!("`total` and `bad` of the metric `{name}` are the same"));
        }
        if let Some(label) = stable.keys().chain(canary.keys()).find(|label| !is_label(label)) {
            return Some(format!("`{}` of the metric `{name}` is no label", label.escape_debug()));
        }
        let are_told = |(label, value): (&String, &String)| canary.get(label).is_some_and(|other| other != value);
        let both_or_none = stable.is_empty() && canary.is_empty();
        if !both_or_none && !stable.iter().any(are_told) {
            return Some(format!(
                "no label tells stable's counters of the metric `{name}` from the canary's; \
                 such as `stable: {{ track: stable }}, canary: {{ track: canary }}`"
            ));
        }
        None
    }
}

impl Metrics {
    /// All of them, as they were written.
    pub fn as_slice(&self) -> &[Metric] {
        &self.0
    }

    /// What they are called.
    pub fn names(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().map(|metric| metric.name.to_string())
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<Vec<Metric>> for Metrics {
    type Error = String;

    fn try_from(all: Vec<Metric>) -> Result<Self, String> {
        if all.len() > MOST {
            return Err(format!("`canary.metrics` has {}, {MOST} are the most", all.len()));
        }
        let mut names = BTreeSet::new();
        if let Some(again) = all.iter().find(|metric| !names.insert(&metric.name)) {
            return Err(format!("`canary.metrics` has `{}` twice", again.name));
        }
        match all.iter().find_map(Metric::flaw) {
            Some(flaw) => Err(flaw),
            None => Ok(Self(all)),
        }
    }
}

impl From<Metrics> for Vec<Metric> {
    fn from(metrics: Metrics) -> Self {
        metrics.0
    }
}

impl JsonSchema for Metrics {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Metrics".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "array", "maxItems": MOST, "items": generator.subschema_for::<Metric>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Metrics, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    fn metric(name: &str, more: &str) -> String {
        format!(r#"{{"name":"{name}","total":"orders_total","bad":"orders_total{{result=\"failed\"}}"{more}}}"#)
    }

    #[test]
    fn what_is_written_is_read_back_as_the_same() {
        let arms = r#","stable":{"version":"v1"},"canary":{"version":"v2"}"#;
        let text = format!("[{},{}]", metric("orders", ""), metric("payments", arms));
        let metrics = read(&text).unwrap();
        assert_eq!(serde_json::to_string(&metrics).unwrap(), text);
        let arms: Vec<bool> = metrics.as_slice().iter().map(|m| m.arms().is_some()).collect();
        assert_eq!(arms, [false, true]);
    }

    #[test]
    fn what_cannot_tell_the_arms_or_be_told_apart_is_refused() {
        let five: Vec<String> = ["a", "b", "c", "d", "e"].iter().map(|name| metric(name, "")).collect();
        for (text, says) in [
            (five.join(","), "`canary.metrics` has 5, 4 are the most"),
            (
                format!("{},{}", metric("orders", ""), metric("orders", "")),
                "`canary.metrics` has `orders` twice",
            ),
            (metric("Orders", ""), "`Orders` is no name of a metric"),
            (
                metric("orders", r#","stable":{"a":"b"}"#),
                "no label tells stable's counters",
            ),
            (
                metric("orders", r#","canary":{"a":"b"}"#),
                "no label tells stable's counters",
            ),
            (
                metric("orders", r#","stable":{"a":"b"},"canary":{"a":"b"}"#),
                "no label tells stable's counters of the metric `orders` from the canary's",
            ),
            (
                metric("orders", r#","stable":{"a":"b"},"canary":{"c":"b"}"#),
                "no label tells stable's counters",
            ),
            (
                metric("orders", r#","stable":{"a-b":"c"},"canary":{"a-b":"d"}"#),
                "`a-b` of the metric `orders` is no label",
            ),
            (metric("orders", r#","tolerance":2"#), "unknown field `tolerance`"),
            (
                r#"{"name":"a","total":"b","bad":"b{}"}"#.into(),
                "`total` and `bad` of the metric `a` are the same",
            ),
            (
                r#"{"name":"a","total":"rate(b[5m])","bad":"b"}"#.into(),
                "raw counters are wanted",
            ),
        ] {
            let error = read(&format!("[{text}]")).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
