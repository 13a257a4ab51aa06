//! GitLab's code quality: an array of issues. A reason for which a check could not tell is one too: a list without it would
//! say that all the old ones are resolved.

use serde::Serialize;

use super::super::{GateReport, Level};
use super::json::pretty;
use super::text::{line, plain};
use super::{doubts, findings};

#[derive(Serialize)]
struct Issue {
    description: String,
    check_name: String,
    fingerprint: String,
    severity: &'static str,
    location: Location,
}

#[derive(Serialize)]
struct Location {
    path: String,
    lines: Lines,
}

#[derive(Serialize)]
struct Lines {
    begin: u64,
}

pub(super) fn render(report: &GateReport) -> String {
    let found = findings(report).into_iter().map(|(row, finding)| Issue {
        description: plain(&finding.message),
        check_name: line(&format!("{}/{}", row.check.word(), finding.rule)),
        fingerprint: finding.fingerprint.clone(),
        severity: severity(finding.severity),
        location: location(finding.file.as_deref(), finding.line),
    });
    let doubts = doubts(report).into_iter().map(|doubt| Issue {
        fingerprint: blake3::hash(format!("{}/{}/{}", doubt.check, doubt.tool, doubt.text).as_bytes()).to_hex()[..32]
            .to_owned(),
        description: plain(&format!("{} could not tell: {}", doubt.tool, doubt.text)),
        check_name: format!("{}/could-not-tell", doubt.check),
        severity: "blocker",
        location: location(None, None),
    });
    pretty(&found.chain(doubts).collect::<Vec<_>>())
}

/// GitLab wants one. What has no place is about the whole directory.
fn location(file: Option<&str>, line_number: Option<u64>) -> Location {
    let begin = line_number.unwrap_or(1);
    Location {
        path: line(file.unwrap_or(".")),
        lines: Lines { begin },
    }
}

/// Unknown counts as grave.
const fn severity(level: Level) -> &'static str {
    match level {
        Level::Low => "minor",
        Level::Medium => "major",
        Level::High | Level::Unknown => "critical",
        Level::Critical => "blocker",
    }
}
