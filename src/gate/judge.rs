//! From what a check saw to its verdict, and from all checks to the gate's. Pure: a tool never decides.

use schemars::JsonSchema;
use serde::Serialize;

use super::Finding;
use crate::config::service::{Check, Severity};
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

/// What a check saw.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    pub(super) tool: &'static str,
    pub(super) version: Option<String>,
    pub(super) findings: Vec<Finding>,
    pub(super) doubts: Vec<Reason>,
    pub(super) notes: Vec<String>,
    /// Such as `3 files`.
    pub(super) seen: String,
    pub(super) control: Control,
    /// Why the check does not apply; then the rest is empty.
    pub(super) not_applicable: Option<String>,
}

impl Evidence {
    pub(super) fn of(tool: &'static str) -> Self {
        Self {
            tool,
            version: None,
            findings: Vec::new(),
            doubts: Vec::new(),
            notes: Vec::new(),
            seen: String::new(),
            control: Control::NotRun,
            not_applicable: None,
        }
    }

    pub(super) fn not_applicable(tool: &'static str, why: impl Into<String>) -> Self {
        Self {
            not_applicable: Some(why.into()),
            ..Self::of(tool)
        }
    }

    pub(super) fn doubt(&mut self, reason: impl Into<Reason>) {
        let reason = reason.into();
        if !self.doubts.contains(&reason) {
            self.doubts.push(reason);
        }
    }

    /// Whether a pass would be asked of it, so that the control has to be found.
    pub(super) fn needs_control(&self, policy: Severity) -> bool {
        self.doubts.is_empty() && !self.findings.iter().any(|finding| finding.severity.fails(policy))
    }
}

/// One check in the report.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CheckReport {
    /// Which check.
    pub check: Check,
    /// Its answer.
    pub verdict: Verdict,
    /// The program that looked.
    pub tool: String,
    /// Its version, as it said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
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
    /// How long it took.
    pub took_ms: u64,
}

/// The answer of one check.
pub(super) fn judge(check: Check, evidence: Evidence, policy: Severity, took_ms: u64) -> CheckReport {
    let mut evidence = evidence;
    for finding in &mut evidence.findings {
        finding.fails = finding.severity.fails(policy);
    }
    evidence
        .findings
        .sort_by(|a, b| (b.severity, &a.file, a.line, &a.id).cmp(&(a.severity, &b.file, b.line, &b.id)));
    evidence.findings.dedup();
    let fails = evidence.findings.iter().any(|finding| finding.fails);
    if evidence.not_applicable.is_none() && !fails && evidence.doubts.is_empty() && evidence.control != Control::Found {
        let text = format!("`{}` did not find what was planted for it to find", evidence.tool);
        evidence.doubts.push(Reason::new(text));
    }
    let verdict = match (&evidence.not_applicable, fails) {
        (Some(why), _) => {
            evidence.notes.insert(0, why.clone());
            Verdict::NotApplicable
        }
        (None, true) => Verdict::Fail,
        (None, false) if evidence.doubts.is_empty() => Verdict::Pass,
        (None, false) => Verdict::CouldNotTell,
    };
    CheckReport {
        check,
        verdict,
        tool: evidence.tool.to_owned(),
        version: evidence.version,
        seen: evidence.seen,
        control: evidence.control,
        findings: evidence.findings,
        reasons: evidence.doubts,
        notes: evidence.notes,
        took_ms,
    }
}

/// `msctl.gate.report/v1`: the answer of the gate.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct GateReport {
    /// FAIL before could-not-tell before PASS. With nothing to look at, it could not tell.
    pub verdict: Verdict,
    /// The least severity that fails.
    pub fail_on: Severity,
    /// Findings that fail.
    pub failing: usize,
    /// Checks that could not tell, also beside a FAIL.
    pub could_not_tell: usize,
    /// In the order of `msctl gate --help`.
    pub checks: Vec<CheckReport>,
    /// Checks that neither msctl.yaml nor the command line asked for.
    pub not_asked: Vec<Check>,
    /// Where the report was kept, from the service's directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
    /// How long it took.
    pub took_ms: u64,
}

/// The answer of the gate.
pub(super) fn sum(checks: Vec<CheckReport>, policy: Severity, took_ms: u64) -> GateReport {
    let has = |verdict| checks.iter().any(|check| check.verdict == verdict);
    let verdict = if has(Verdict::Fail) {
        Verdict::Fail
    } else if has(Verdict::CouldNotTell) || !has(Verdict::Pass) {
        Verdict::CouldNotTell
    } else {
        Verdict::Pass
    };
    let findings = checks.iter().flat_map(|check| &check.findings);
    GateReport {
        verdict,
        fail_on: policy,
        failing: findings.filter(|finding| finding.fails).count(),
        could_not_tell: checks.iter().filter(|check| !check.reasons.is_empty()).count(),
        not_asked: Check::ALL
            .into_iter()
            .filter(|check| checks.iter().all(|made| made.check != *check))
            .collect(),
        checks,
        kept: None,
        took_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    fn evidence(level: Option<Level>, doubts: usize, control: Control) -> Evidence {
        Evidence {
            findings: level.map(|level| Finding::new("X1", level, "x")).into_iter().collect(),
            doubts: (0..doubts).map(|n| Reason::new(n.to_string())).collect(),
            control,
            ..Evidence::of("trivy")
        }
    }

    fn verdict(evidence: Evidence) -> Verdict {
        judge(Check::Image, evidence, Severity::High, 0).verdict
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
            assert_eq!(
                verdict(evidence(level, doubts, control)),
                expected,
                "{level:?} {doubts} {control:?}"
            );
        }
    }

    #[test]
    fn no_goes_before_could_not_tell_goes_before_yes() {
        let report = |evidence| judge(Check::Image, evidence, Severity::High, 0);
        let pass = report(evidence(None, 0, Control::Found));
        let fail = report(evidence(Some(Level::High), 0, Control::NotRun));
        let doubt = report(evidence(None, 1, Control::NotRun));
        let none = report(Evidence::not_applicable("trivy", "no image"));
        let overall =
            |checks: &[&CheckReport]| sum(checks.iter().map(|c| (*c).clone()).collect(), Severity::High, 0).verdict;
        assert_eq!(overall(&[&pass, &none]), Verdict::Pass);
        assert_eq!(overall(&[&pass, &doubt]), Verdict::CouldNotTell);
        assert_eq!(overall(&[&pass, &doubt, &fail]), Verdict::Fail);
        assert_eq!(overall(&[&none]), Verdict::CouldNotTell);
        assert_eq!(overall(&[]), Verdict::CouldNotTell);
    }
}
