//! From what a check saw to its verdict, and from all checks to the gate's. Pure: a tool never decides.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::adapter::Reading;
use super::{Finding, Policy, WaiverReport};
use crate::config::glob::Glob;
use crate::config::service::Check;
use crate::failure::{Failure, Kind};

/// The answer of a check, and of the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// All that should be seen was seen, the control was found, and nothing is over the policy.
    Pass,
    /// Something is over the policy.
    Fail,
    /// There is no evidence for either.
    CouldNotTell,
    /// There is nothing that this check looks at.
    NotApplicable,
}

impl Verdict {
    /// `PASS`, `COULD NOT TELL`
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::CouldNotTell => "COULD NOT TELL",
            Self::NotApplicable => "N/A",
        }
    }
}

/// What became of the positive control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Control {
    /// The tool found the planted finding.
    Found,
    /// It did not: what it says is worth nothing.
    Missed,
    /// It was not needed, or not reached.
    NotRun,
}

/// Why a check could not tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Reason {
    /// `tool-missing`, `tool-failed`, `no-evidence` …
    #[schemars(with = "String")]
    pub kind: Kind,
    /// In words.
    pub text: String,
    /// The ways out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

impl Reason {
    /// There is no evidence for a pass.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            kind: Kind::NoEvidence,
            text: text.into(),
            hints: Vec::new(),
        }
    }

    /// The same with a way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl From<Failure> for Reason {
    fn from(failure: Failure) -> Self {
        let mut text = failure.message().to_owned();
        if let Some(place) = failure.place() {
            text = format!("{}:{}:{}: {text}", place.file, place.line, place.column);
        }
        for more in failure.causes().iter().chain(failure.notes()) {
            text = format!("{text}: {more}");
        }
        Self {
            kind: failure.kind(),
            text,
            hints: failure.hints().to_vec(),
        }
    }
}

/// Whether there was something to look at, and what was seen.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// Nothing, and why.
    Nothing(String),
    /// This.
    Saw(Reading),
}

/// One tool under one check.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Row {
    /// Which check.
    pub check: Check,
    /// The program that looked.
    pub tool: String,
    /// Its version, as it said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The answer of the check by this tool.
    pub verdict: Verdict,
    /// What it looked at, such as `3 files`.
    pub seen: String,
    /// The positive control.
    pub control: Control,
    /// All that was found, the gravest first, also what the policy lets pass.
    pub findings: Vec<Finding>,
    /// Why it could not tell; there may be some beside a FAIL too.
    pub reasons: Vec<Reason>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// How long its steps took together. Not written: the same tree gives the same report.
    #[serde(skip)]
    pub took: Duration,
}

impl Row {
    fn new(check: Check, tool: &str, verdict: Verdict, reading: Reading) -> Self {
        Self {
            check,
            tool: tool.to_owned(),
            version: reading.version,
            verdict,
            seen: reading.seen,
            control: reading.control,
            findings: reading.findings,
            reasons: reading.doubts,
            notes: reading.notes,
            took: Duration::ZERO,
        }
    }
}

/// The answer of one tool under one check.
pub(super) fn judge(check: Check, tool: &str, answer: Answer, policy: &Policy) -> Row {
    let mut reading = match answer {
        Answer::Saw(reading) => reading,
        Answer::Nothing(why) => {
            let mut reading = Reading::new();
            reading.notes.push(why);
            return Row::new(check, tool, Verdict::NotApplicable, reading);
        }
    };
    for finding in &mut reading.findings {
        finding.fails = policy.fails(finding);
        finding.waived = policy.waived(finding);
    }
    reading
        .findings
        .sort_by(|a, b| (b.severity, &a.file, a.line, &a.rule).cmp(&(a.severity, &b.file, b.line, &b.rule)));
    reading.findings.dedup();
    let fails = reading.findings.iter().any(|finding| finding.fails);
    if !fails && reading.doubts.is_empty() && reading.control != Control::Found {
        let text = format!("`{tool}` did not find what was planted for it to find");
        reading.doubts.push(Reason::new(text));
    }
    let verdict = match (fails, reading.doubts.is_empty()) {
        (true, _) => Verdict::Fail,
        (false, true) => Verdict::Pass,
        (false, false) => Verdict::CouldNotTell,
    };
    Row::new(check, tool, verdict, reading)
}

/// `msctl.gate.report/v2`: the answer of the gate. The same tree, tools, databases and policy give the same bytes, but for
/// what is said about the age of a database.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct GateReport {
    /// FAIL before could-not-tell before PASS. With nothing to look at, it could not tell.
    pub verdict: Verdict,
    /// Which findings fail.
    pub policy: Policy,
    /// Findings that fail.
    pub failing: usize,
    /// Findings that somebody answers for.
    pub waived: usize,
    /// Checks that could not tell, also beside a FAIL.
    pub could_not_tell: usize,
    /// One for each tool of each check, in the order of `msctl gate --help`.
    pub rows: Vec<Row>,
    /// All waivers: first those of the place where the policy was read, then those that are not there yet.
    pub waivers: Vec<WaiverReport>,
    /// Checks that neither msctl.yaml nor the command line asked for.
    pub not_asked: Vec<Check>,
    /// Where the report was kept, from the service's directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
    /// How long it took. Not written.
    #[serde(skip)]
    pub took: Duration,
}

impl GateReport {
    /// What its `schema` field says.
    pub const DOCUMENT: &'static str = "msctl.gate.report/v2";

    /// The checks with a row of which this is so.
    pub fn checks(&self, is_so: impl Fn(&Row) -> bool) -> BTreeSet<Check> {
        checks(&self.rows, is_so)
    }
}

fn checks(rows: &[Row], is_so: impl Fn(&Row) -> bool) -> BTreeSet<Check> {
    rows.iter().filter(|row| is_so(row)).map(|row| row.check).collect()
}

/// The answer of the gate. `is_here` says whether a pattern means a file of the tree.
pub(super) fn sum(mut rows: Vec<Row>, policy: &Policy, is_here: &dyn Fn(&Glob) -> bool) -> GateReport {
    rows.sort_by(|a, b| (a.check, &a.tool).cmp(&(b.check, &b.tool)));
    let has = |verdict| rows.iter().any(|row| row.verdict == verdict);
    let verdict = if has(Verdict::Fail) {
        Verdict::Fail
    } else if has(Verdict::CouldNotTell) || !has(Verdict::Pass) {
        Verdict::CouldNotTell
    } else {
        Verdict::Pass
    };
    let count = |is_so: fn(&Finding) -> bool| {
        let findings = rows.iter().flat_map(|row| &row.findings);
        findings.filter(|finding| is_so(finding)).count()
    };
    let asked = checks(&rows, |_| true);
    GateReport {
        verdict,
        policy: policy.clone(),
        failing: count(|finding| finding.fails),
        waived: count(|finding| finding.waived.is_some()),
        waivers: policy.standing(&rows, is_here),
        could_not_tell: checks(&rows, |row| !row.reasons.is_empty()).len(),
        not_asked: Check::ALL.into_iter().filter(|check| !asked.contains(check)).collect(),
        rows,
        kept: None,
        took: Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Class, Level};
    use super::*;

    fn row(tool: &str, level: Option<Level>, doubts: usize, control: Control) -> Row {
        let reading = Reading {
            findings: level
                .map(|level| Finding::new(Class::Lint, "X1", level, "x"))
                .into_iter()
                .collect(),
            doubts: (0..doubts).map(|n| Reason::new(n.to_string())).collect(),
            control,
            ..Reading::new()
        };
        judge(Check::Image, tool, Answer::Saw(reading), &Policy::default())
    }

    #[test]
    fn only_a_found_control_and_no_doubt_is_a_pass() {
        let (found, missed, not_run) = (Control::Found, Control::Missed, Control::NotRun);
        for (level, doubts, control, expected) in [
            (None, 0, found, Verdict::Pass),
            (Some(Level::Medium), 0, found, Verdict::Pass),
            (None, 0, missed, Verdict::CouldNotTell),
            (None, 0, not_run, Verdict::CouldNotTell),
            (None, 1, found, Verdict::CouldNotTell),
            (Some(Level::Medium), 1, found, Verdict::CouldNotTell),
            (Some(Level::High), 1, missed, Verdict::Fail),
            (Some(Level::Unknown), 0, not_run, Verdict::Fail),
        ] {
            let verdict = row("trivy", level, doubts, control).verdict;
            assert_eq!(verdict, expected, "{level:?} {doubts} {control:?}");
        }
    }

    #[test]
    fn no_goes_before_could_not_tell_goes_before_yes() {
        let pass = row("a", None, 0, Control::Found);
        let fail = row("b", Some(Level::High), 0, Control::NotRun);
        let doubt = row("c", None, 1, Control::NotRun);
        let none = judge(
            Check::Image,
            "d",
            Answer::Nothing("no image".into()),
            &Policy::default(),
        );
        let overall = |rows: &[&Row]| {
            sum(
                rows.iter().map(|row| (*row).clone()).collect(),
                &Policy::default(),
                &|_| true,
            )
            .verdict
        };
        assert_eq!(overall(&[&pass, &none]), Verdict::Pass);
        assert_eq!(overall(&[&pass, &doubt]), Verdict::CouldNotTell);
        assert_eq!(overall(&[&pass, &doubt, &fail]), Verdict::Fail);
        assert_eq!(overall(&[&none]), Verdict::CouldNotTell);
        assert_eq!(overall(&[]), Verdict::CouldNotTell);
    }

    #[test]
    fn a_check_of_several_tools_is_counted_once() {
        let rows = ["b", "a"].map(|tool| row(tool, None, 1, Control::Found));
        let report = sum(rows.into(), &Policy::default(), &|_| true);
        assert_eq!(report.could_not_tell, 1);
        assert_eq!(report.rows.iter().map(|row| &row.tool).collect::<Vec<_>>(), ["a", "b"]);
        assert!(!report.not_asked.contains(&Check::Image) && report.not_asked.len() == Check::ALL.len() - 1);
    }
}
