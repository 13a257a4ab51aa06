//! The XML of `JUnit`: a tool under a check is a suite, a finding a case that fails, or is skipped where the policy lets it pass;
//! a reason for which it could not tell is an error. A suite without any of these has one case, which says why.

use super::super::{Finding, GateReport, Row, Verdict};
use super::markup::Markup;
use super::text::line;
use super::{passes, seen, tool, why};

pub(super) fn render(report: &GateReport) -> String {
    let mut xml = Markup::default();
    let mut counts: Vec<Count> = report.rows.iter().map(Count::of).collect();
    let is_unseen = report.verdict == Verdict::CouldNotTell && report.could_not_tell == 0;
    if is_unseen {
        counts.push(Count {
            tests: 1,
            errors: 1,
            ..Count::default()
        });
    }
    let sum = |part: fn(&Count) -> usize| counts.iter().map(part).sum::<usize>().to_string();
    xml.raw("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"msctl gate\"");
    xml.attribute("tests", sum(|count| count.tests));
    xml.attribute("failures", sum(|count| count.failures));
    xml.attribute("errors", sum(|count| count.errors)).raw(">\n");
    for (row, count) in report.rows.iter().zip(&counts) {
        suite(row, count, &mut xml);
    }
    if is_unseen {
        xml.raw("  <testsuite name=\"gate\" tests=\"1\" failures=\"0\" errors=\"1\" skipped=\"0\">\n");
        error("gate", "could not tell", &why(report), &[], &mut xml);
        xml.raw("  </testsuite>\n");
    }
    xml.raw("</testsuites>\n");
    xml.into_text()
}

/// The cases of a suite.
#[derive(Default)]
struct Count {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
}

impl Count {
    fn of(row: &Row) -> Self {
        let failures = row.findings.iter().filter(|finding| finding.fails).count();
        let errors = row.reasons.len();
        let is_alone = row.findings.is_empty() && errors == 0;
        let none = usize::from(is_alone && row.verdict == Verdict::NotApplicable);
        Self {
            tests: row.findings.len() + errors + usize::from(is_alone),
            failures,
            errors,
            skipped: row.findings.len() - failures + none,
        }
    }
}

fn suite(row: &Row, count: &Count, xml: &mut Markup) {
    let name = format!("{}: {}", row.check.word(), tool(row));
    xml.raw("  <testsuite").attribute("name", line(&name));
    for (name, number) in [
        ("tests", count.tests),
        ("failures", count.failures),
        ("errors", count.errors),
        ("skipped", count.skipped),
    ] {
        xml.attribute(name, number.to_string());
    }
    xml.raw(">\n");
    for found in &row.findings {
        finding(row, found, xml);
    }
    for (number, reason) in row.reasons.iter().enumerate() {
        let name = format!("could not tell ({})", number + 1);
        error(row.check.word(), &name, &reason.text, &reason.hints, xml);
    }
    if row.findings.is_empty() && row.reasons.is_empty() {
        case(row.check.word(), &seen(row), xml);
        if row.verdict == Verdict::NotApplicable {
            xml.raw(">\n      <skipped message=\"does not apply\"/>\n    </testcase>\n");
        } else {
            xml.raw("/>\n");
        }
    }
    xml.raw("  </testsuite>\n");
}

/// The beginning of a case.
fn case(check: &str, name: &str, xml: &mut Markup) {
    xml.raw("    <testcase").attribute("classname", format!("gate.{check}"));
    xml.attribute("name", line(name));
}

fn finding(row: &Row, found: &Finding, xml: &mut Markup) {
    let place = found.place().map_or(String::new(), |place| format!(" {place}"));
    case(row.check.word(), &format!("{}{place}", found.rule), xml);
    if let Some(file) = &found.file {
        xml.attribute("file", line(file));
    }
    if let Some(number) = found.line {
        xml.attribute("line", number.to_string());
    }
    let level = found.severity.word();
    if !found.fails {
        let message = format!("{}: {level}: {}", passes(found), found.message);
        xml.raw(">\n      <skipped").attribute("message", line(&message));
        xml.raw("/>\n    </testcase>\n");
        return;
    }
    xml.raw(">\n      <failure").attribute("type", level);
    xml.attribute("message", line(&found.message)).raw(">");
    let hint = found.hint.iter().map(|hint| format!("hint: {hint}"));
    let body = [vec![found.message.clone()], found.trail.clone(), hint.collect()].concat();
    xml.text(body.join("\n")).raw("</failure>\n    </testcase>\n");
}

fn error(check: &str, name: &str, text: &str, hints: &[String], xml: &mut Markup) {
    case(check, name, xml);
    xml.raw(">\n      <error type=\"could-not-tell\"")
        .attribute("message", line(text))
        .raw(">");
    let hints = hints.iter().map(|hint| format!("hint: {hint}"));
    let body: Vec<String> = std::iter::once(text.to_owned()).chain(hints).collect();
    xml.text(body.join("\n")).raw("</error>\n    </testcase>\n");
}
