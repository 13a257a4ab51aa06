//! The gate's report in the forms that others read. Pure: the same report, the same bytes, without a time or a path of this
//! machine. Each form has every finding and every reason for which a check could not tell: a reader who knows only one of
//! them is told no less.

mod github;
mod gitlab;
mod html;
mod json;
mod junit;
mod markdown;
mod markup;
mod sarif;
mod text;

use std::path::{Component, Path};

use super::{Finding, GateReport, Row, Verdict};
use crate::config::service::Check;

/// A form of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// `msctl.gate.report/v2`
    Json,
    /// SARIF 2.1.0, for GitHub's code scanning and others.
    Sarif,
    /// The XML of `JUnit`, for Jenkins and others.
    Junit,
    /// For a job's summary.
    Markdown,
    /// GitHub's workflow commands, which become annotations.
    Github,
    /// GitLab's code quality.
    Gitlab,
    /// One page.
    Html,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Json,
        Self::Sarif,
        Self::Junit,
        Self::Markdown,
        Self::Github,
        Self::Gitlab,
        Self::Html,
    ];

    /// As it is typed.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Sarif => "sarif",
            Self::Junit => "junit",
            Self::Markdown => "markdown",
            Self::Github => "github",
            Self::Gitlab => "gitlab",
            Self::Html => "html",
        }
    }

    /// The report in this form.
    pub fn render(self, report: &GateReport) -> String {
        match self {
            Self::Json => json::render(report),
            Self::Sarif => sarif::render(report),
            Self::Junit => junit::render(report),
            Self::Markdown => markdown::render(report),
            Self::Github => github::render(report),
            Self::Gitlab => gitlab::render(report),
            Self::Html => html::render(report),
        }
    }
}

/// The same with the files of findings as they are named where the user stands, who named the service's directory so. That
/// is where a CI system has the root of its repository; a path that leads elsewhere changes nothing.
pub fn seen_from(report: &GateReport, directory: &Path) -> GateReport {
    let mut report = report.clone();
    let parts: Option<Vec<&str>> = directory
        .components()
        .filter(|part| *part != Component::CurDir)
        .map(|part| match part {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect();
    let Some(before) = parts.filter(|parts| !parts.is_empty()).map(|parts| parts.join("/")) else {
        return report;
    };
    for row in report.rows.iter_mut().filter(|row| row.check != Check::Image) {
        let files = row.findings.iter_mut().filter_map(|finding| finding.file.as_mut());
        for file in files.filter(|file| !file.starts_with('/')) {
            *file = format!("{before}/{file}");
        }
    }
    report
}

/// The verdict in a sentence without an end: `2 findings at or above high; 1 check could not tell`.
pub fn why(report: &GateReport) -> String {
    let policy = report.policy.fail_on.word();
    let waived = match report.waived {
        0 => String::new(),
        number => format!("; {} waived", counted(number, "finding")),
    };
    let doubt = match report.could_not_tell {
        0 => String::new(),
        number => format!("; {} could not tell", counted(number, "check")),
    };
    let passed = report.checks(|row| row.verdict == Verdict::Pass).len();
    match report.verdict {
        Verdict::Fail => format!(
            "{} at or above {policy}{waived}{doubt}",
            counted(report.failing, "finding")
        ),
        Verdict::Pass => format!("{}, nothing at or above {policy}{waived}", counted(passed, "check")),
        _ if report.could_not_tell == 0 => "nothing here that a check looks at".to_owned(),
        _ => format!("nothing at or above {policy} was found{waived}{doubt}"),
    }
}

/// Why a finding does not fail.
fn passes(finding: &Finding) -> String {
    match &finding.waived {
        Some(waived) => format!(
            "waived by {} until {}: {} ({})",
            waived.owner, waived.expires, waived.reason, waived.id
        ),
        None => "the policy lets it pass".to_owned(),
    }
}

/// `3 findings`, `1 finding`.
pub fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// `trivy 0.59.1`
fn tool(row: &Row) -> String {
    match &row.version {
        Some(version) => format!("{} {version}", row.tool),
        None => row.tool.clone(),
    }
}

/// What one row saw: `3 findings in 14 files, control found`; why it does not apply.
fn seen(row: &Row) -> String {
    if row.verdict == Verdict::NotApplicable {
        return row.notes.join("; ");
    }
    if row.seen.is_empty() && row.findings.is_empty() {
        return "nothing".to_owned();
    }
    let mut text = counted(row.findings.len(), "finding");
    if !row.seen.is_empty() {
        text = format!("{text} in {}", row.seen);
    }
    if row.control == super::Control::Found {
        text.push_str(", control found");
    }
    text
}

/// All findings with their rows: those that fail first, otherwise in the order of the report.
fn findings(report: &GateReport) -> Vec<(&Row, &Finding)> {
    let rows = report.rows.iter();
    let mut all: Vec<(&Row, &Finding)> = rows
        .flat_map(|row| row.findings.iter().map(move |finding| (row, finding)))
        .collect();
    all.sort_by_key(|(_, finding)| !finding.fails);
    all
}

/// All reasons for which something could not be told, with the names of check and tool; where nothing was looked at, that.
fn doubts(report: &GateReport) -> Vec<Doubt<'_>> {
    let rows = report.rows.iter();
    let reasons = rows.flat_map(|row| row.reasons.iter().map(move |reason| (row, reason)));
    let mut doubts: Vec<Doubt<'_>> = reasons
        .map(|(row, reason)| Doubt {
            check: row.check.word(),
            tool: &row.tool,
            text: reason.text.clone(),
            hints: &reason.hints,
        })
        .collect();
    if doubts.is_empty() && report.verdict == Verdict::CouldNotTell {
        doubts.push(Doubt {
            check: "gate",
            tool: "msctl",
            text: why(report),
            hints: &[],
        });
    }
    doubts
}

/// Why something could not be told.
struct Doubt<'a> {
    check: &'static str,
    tool: &'a str,
    text: String,
    hints: &'a [String],
}

#[cfg(test)]
mod tests;
