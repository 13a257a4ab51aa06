//! One page: nothing fetched, no script. The answer first, then each check, what was found, what could not be told.

use super::super::{Finding, GateReport, Row, Verdict};
use super::markup::Markup;
use super::text::line;
use super::{counted, doubts, findings, passes, seen, tool, why};

/// What is refused to whatever might ever come through as markup.
const HEAD: &str = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
    <meta name=\"generator\" content=\"msctl gate\">\n\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
    <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
    <link rel=\"icon\" href=\"data:,\">\n";

pub(super) fn render(report: &GateReport) -> String {
    let mut html = Markup::default();
    let (word, why) = (report.verdict.word(), why(report));
    html.raw(HEAD).element("title", format!("msctl gate: {word}"));
    html.raw("\n<style>\n")
        .raw(include_str!("style.css"))
        .raw("</style>\n</head>\n<body>\n<main>\n<h1>");
    verdict(report.verdict, &mut html);
    html.text(format!(": {why}")).raw("</h1>\n");
    let passing = findings(report).iter().filter(|(_, finding)| !finding.fails).count();
    if passing > 0 {
        let text = format!(
            "{} that do not fail, by the policy or a waiver.",
            counted(passing, "finding")
        );
        html.raw("<p class=\"quiet\">").text(text).raw("</p>\n");
    }
    checks(report, &mut html);
    could_not_tell(report, &mut html);
    found(report, &mut html);
    notes(report, &mut html);
    html.raw("</main>\n</body>\n</html>\n");
    html.into_text()
}

fn verdict(verdict: Verdict, html: &mut Markup) {
    html.raw("<span class=\"").raw(match verdict {
        Verdict::Pass => "good",
        Verdict::Fail => "bad",
        Verdict::CouldNotTell => "doubt",
        Verdict::NotApplicable => "quiet",
    });
    html.raw("\">").text(verdict.word()).raw("</span>");
}

fn head(cells: &[&'static str], html: &mut Markup) {
    html.raw("<table>\n<thead><tr>");
    for cell in cells {
        html.raw("<th scope=\"col\">").raw(cell).raw("</th>");
    }
    html.raw("</tr></thead>\n<tbody>\n");
}

fn checks(report: &GateReport, html: &mut Markup) {
    html.raw("<h2>Checks</h2>\n");
    head(&["check", "tool", "verdict", "seen"], html);
    for row in &report.rows {
        html.raw("<tr class=\"check\"><th scope=\"row\">")
            .text(row.check.word())
            .raw("</th>");
        html.element("td", line(&tool(row))).raw("<td class=\"standing\">");
        verdict(row.verdict, html);
        html.raw("</td>").element("td", line(&seen(row))).raw("</tr>\n");
    }
    html.raw("</tbody>\n</table>\n");
    if !report.not_asked.is_empty() {
        let names: Vec<&str> = report.not_asked.iter().map(|check| check.word()).collect();
        html.raw("<p class=\"quiet\">Not asked for: ")
            .text(names.join(", "))
            .raw(".</p>\n");
    }
}

fn could_not_tell(report: &GateReport, html: &mut Markup) {
    let doubts = doubts(report);
    if doubts.is_empty() {
        return;
    }
    html.raw("<h2>Could not tell</h2>\n<ul>\n");
    for doubt in doubts {
        html.raw("<li class=\"reason\">")
            .text(line(&format!("{} ({}): {}", doubt.check, doubt.tool, doubt.text)));
        for hint in doubt.hints {
            html.raw("<span class=\"more\">hint: ").text(hint).raw("</span>");
        }
        html.raw("</li>\n");
    }
    html.raw("</ul>\n");
}

fn found(report: &GateReport, html: &mut Markup) {
    html.raw("<h2>Findings</h2>\n");
    if findings(report).is_empty() {
        html.raw("<p>None.</p>\n");
        return;
    }
    head(&["answer", "severity", "where", "rule", "what"], html);
    for (row, finding) in findings(report) {
        one(row, finding, html);
    }
    html.raw("</tbody>\n</table>\n");
}

fn one(row: &Row, finding: &Finding, html: &mut Markup) {
    html.raw("<tr class=\"finding\"><td class=\"standing\">");
    if finding.fails {
        html.raw("<span class=\"bad\">fails</span>");
    } else {
        let why = if finding.waived.is_some() {
            passes(finding)
        } else {
            "passes".to_owned()
        };
        html.raw("<span class=\"quiet\">").text(line(&why)).raw("</span>");
    }
    html.raw("</td><td class=\"standing\">")
        .raw(finding.severity.word())
        .raw("</td>");
    html.raw("<td class=\"place\">")
        .text(line(&finding.place().unwrap_or_default()))
        .raw("</td><td>");
    html.text(line(&finding.rule))
        .raw("<span class=\"more\">")
        .text(line(&row.tool))
        .raw("</span></td><td>");
    html.text(line(&finding.message));
    let hint = finding.hint.iter().map(|hint| format!("hint: {hint}"));
    let more: Vec<String> = finding.trail.iter().cloned().chain(hint).collect();
    if !more.is_empty() {
        html.raw("<span class=\"more\">").text(more.join("\n")).raw("</span>");
    }
    html.raw("</td></tr>\n");
}

/// What a reader should know, of rows that had something to look at.
fn notes(report: &GateReport, html: &mut Markup) {
    let rows = report.rows.iter().filter(|row| row.verdict != Verdict::NotApplicable);
    let notes: Vec<String> = rows
        .flat_map(|row| {
            row.notes
                .iter()
                .map(|note| format!("{} ({}): {note}", row.check.word(), row.tool))
        })
        .collect();
    if notes.is_empty() {
        return;
    }
    html.raw("<h2>Notes</h2>\n<ul>\n");
    for note in notes {
        html.element("li", line(&note)).raw("\n");
    }
    html.raw("</ul>\n");
}
