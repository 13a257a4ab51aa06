//! GitHub's workflow commands: one a finding, one a reason. What fails is an error, what could not be told a warning, what
//! the policy lets pass a notice: of each of these a step shows ten, so that none of them can hide another.

use std::fmt::Write;

use super::super::{Finding, GateReport};
use super::text::plain;
use super::{doubts, findings};

/// So many annotations of each level does GitHub show of one step; the rest stands in the log.
const SHOWN: usize = 10;

pub(super) fn render(report: &GateReport) -> String {
    let mut text = String::new();
    for (row, finding) in findings(report) {
        let title = format!("{}: {}", row.check.word(), finding.rule);
        let title = property(&title);
        let place = place(finding);
        let message = data(&finding.message);
        _ = writeln!(text, "::{} {place}title={title}::{message}", level(finding));
    }
    for doubt in doubts(report) {
        let title = property(&format!("{}: could not tell", doubt.check));
        _ = writeln!(text, "::warning title={title}::{}", data(&doubt.text));
    }
    for level in ["error", "warning", "notice"] {
        let start = format!("::{level} ");
        let count = text.lines().filter(|line| line.starts_with(&start)).count();
        if count > SHOWN {
            _ = writeln!(text, "GitHub shows {SHOWN} of these {count} {level}s as annotations.");
        }
    }
    text
}

const fn level(finding: &Finding) -> &'static str {
    if finding.fails { "error" } else { "notice" }
}

fn place(finding: &Finding) -> String {
    let Some(file) = &finding.file else {
        return String::new();
    };
    let line = finding.line.map_or(String::new(), |line| format!("line={line},"));
    format!("file={},{line}", property(file))
}

/// What may stand behind `::`.
fn data(text: &str) -> String {
    plain(&text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A"))
}

/// What may stand in a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_cannot_be_broken_out_of() {
        assert_eq!(data("50%\n::error::x\r"), "50%25%0A::error::x%0D");
        assert_eq!(property("a,line=1:b\n"), "a%2Cline=1%3Ab%0A");
    }
}
