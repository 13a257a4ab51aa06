//! What a tool found, in the gate's own words. Pure.

use std::collections::BTreeSet;
use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use crate::config::service::Severity;

/// How grave a finding is; a tool may not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Low
    Low,
    /// Medium
    Medium,
    /// High
    High,
    /// Critical
    Critical,
    /// Not known: it is at least any other, and the policy says what becomes of it.
    Unknown,
}

impl Level {
    /// The level a word of a tool means; any other word is unknown, never dropped.
    pub fn of(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "critical" => Self::Critical,
            "high" | "error" => Self::High,
            "medium" | "warning" => Self::Medium,
            "low" | "info" | "style" => Self::Low,
            _ => Self::Unknown,
        }
    }

    /// Whether it is so grave; one that is not known may be.
    pub const fn is_at_least(self, severity: Severity) -> bool {
        let least = match severity {
            Severity::Low => Self::Low,
            Severity::Medium => Self::Medium,
            Severity::High => Self::High,
            Severity::Critical => Self::Critical,
        };
        self as u8 >= least as u8
    }

    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
            Self::Unknown => "unknown",
        }
    }
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The code.
    Lint,
    /// What the code or the image depends on.
    Vulnerability,
    /// What should not be in the tree.
    Secret,
    /// A Dockerfile or a manifest.
    Misconfiguration,
}

impl Class {
    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Lint => "lint",
            Self::Vulnerability => "vulnerability",
            Self::Secret => "secret",
            Self::Misconfiguration => "misconfiguration",
        }
    }
}

/// Whether something newer is free of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fix {
    /// The database knows of nothing.
    None,
    /// This version, as the database writes it.
    Available(String),
}

impl Fix {
    /// What a database says, where an empty word means none.
    pub fn of(version: &str) -> Self {
        match version {
            "" => Self::None,
            version => Self::Available(version.to_owned()),
        }
    }
}

impl fmt::Display for Fix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no fix yet"),
            Self::Available(version) => write!(f, "fixed in {version}"),
        }
    }
}

/// One thing that a tool found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// The tool's own name for it, such as `DL3007` or `CVE-2021-38561`.
    pub rule: String,
    /// Other names for the same, as the tool's database has them.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub aliases: BTreeSet<String>,
    /// What it is about.
    pub class: Class,
    /// How grave it is.
    pub severity: Level,
    /// Where, from the service's directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// 1-based.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The package it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// What it is.
    pub message: String,
    /// How it is reached, a step a line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trail: Vec<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Of a vulnerability.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<Fix>,
    /// Whether it fails the gate.
    pub fails: bool,
    /// The same for the same finding after other lines have moved; no other finding of the report has it.
    pub fingerprint: String,
    /// Who answers for it; it does not fail then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waived: Option<Waived>,
}

/// The waiver that a finding has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Waived {
    /// The waiver's own name.
    pub id: String,
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// The last day on which it holds, in UTC.
    pub expires: String,
}

impl Finding {
    /// A finding without a place.
    pub fn new(class: Class, rule: impl Into<String>, severity: Level, message: impl Into<String>) -> Self {
        Self {
            rule: rule.into(),
            aliases: BTreeSet::new(),
            class,
            severity,
            file: None,
            line: None,
            package: None,
            message: message.into(),
            trail: Vec::new(),
            hint: None,
            fix: None,
            fails: false,
            fingerprint: String::new(),
            waived: None,
        }
    }

    /// The package it is about.
    #[must_use]
    pub fn about(mut self, package: impl Into<String>) -> Self {
        self.package = Some(package.into());
        self
    }

    /// Where it is.
    #[must_use]
    pub fn at(mut self, file: impl Into<String>, line: Option<u64>) -> Self {
        self.file = Some(file.into());
        self.line = line.filter(|line| *line > 0);
        self
    }

    /// `Dockerfile:6`, `go.mod`.
    pub fn place(&self) -> Option<String> {
        let file = self.file.as_ref()?;
        Some(match self.line {
            Some(line) => format!("{file}:{line}"),
            None => file.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fix_is_there_or_not() {
        let finding = |version| Finding {
            fix: Some(Fix::of(version)),
            ..Finding::new(Class::Vulnerability, "CVE-1", Level::High, "x")
        };
        let written = |version| serde_json::to_value(finding(version)).expect("JSON")["fix"].to_string();
        assert_eq!(
            (&written("")[..], &written("1.2")[..]),
            (r#""none""#, r#"{"available":"1.2"}"#)
        );
        assert_eq!(
            (Fix::of("").to_string(), Fix::of("1.2").to_string()),
            ("no fix yet".into(), "fixed in 1.2".into())
        );
    }
}
