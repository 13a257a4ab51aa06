//! Markdown, as a job's summary shows it: the verdict, a table of the checks, one of the findings, what could not be told.

use std::fmt::Write;

use super::super::GateReport;
use super::text::line;
use super::{doubts, findings, passes, seen, tool, why};

pub(super) fn render(report: &GateReport) -> String {
    let mut text = format!("## msctl gate: {}\n\n{}.\n", report.verdict.word(), why(report));
    if !report.rows.is_empty() {
        text.push_str("\n| check | tool | verdict | seen |\n| --- | --- | --- | --- |\n");
    }
    for row in &report.rows {
        let (tool, seen) = (escaped(&tool(row)), escaped(&seen(row)));
        _ = writeln!(
            text,
            "| {} | {tool} | {} | {seen} |",
            row.check.word(),
            row.verdict.word()
        );
    }
    let found = findings(report);
    if !found.is_empty() {
        text.push_str("\n### Findings\n\n| | severity | where | rule | what |\n| --- | --- | --- | --- | --- |\n");
    }
    for (_, finding) in found {
        let standing = match &finding.waived {
            _ if finding.fails => "fails".to_owned(),
            Some(_) => escaped(&passes(finding)),
            None => "passes".to_owned(),
        };
        let place = escaped(&finding.place().unwrap_or_default());
        let (id, message) = (escaped(&finding.rule), escaped(&finding.message));
        let severity = finding.severity.word();
        _ = writeln!(text, "| {standing} | {severity} | {place} | {id} | {message} |");
    }
    let doubts = doubts(report);
    if !doubts.is_empty() {
        text.push_str("\n### Could not tell\n\n");
    }
    for doubt in doubts {
        _ = writeln!(
            text,
            "- {} ({}): {}",
            doubt.check,
            escaped(doubt.tool),
            escaped(&doubt.text)
        );
        for hint in doubt.hints {
            _ = writeln!(text, "  - hint: {}", escaped(hint));
        }
    }
    text
}

/// Text that is nothing but text, in a cell of a table too: no markup, HTML, link, mention or formula begins in it.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    let mut before = ' ';
    for c in line(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            c if r"\`*_{}[]#!|~$@:".contains(c) => out.extend(['\\', c]),
            '.' if before.eq_ignore_ascii_case(&'w') => out.push_str("\\."), // `www.` begins a link
            c => out.push(c),
        }
        before = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_markup_begins_in_a_text() {
        assert_eq!(
            escaped("a | <script>\n# b `c` https://x www.x @you &lt; \u{1b}"),
            "a \\| &lt;script&gt; \\# b \\`c\\` https\\://x www\\.x \\@you &amp;lt; \u{fffd}"
        );
        assert_eq!(escaped("v1.2-rc (x)"), "v1.2-rc (x)");
    }
}
