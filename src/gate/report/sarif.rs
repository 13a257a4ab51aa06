//! SARIF 2.1.0 (OASIS): a run for each tool that had something to look at. Where a check could not tell, the tool's
//! invocation was not successful and says why: an empty list of results is then no reason to close what was open.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::{Class, Finding, GateReport, Level, Row, Verdict};
use super::json::pretty;
use super::text::plain;
use super::{passes, why};
use crate::config::service::Check;

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
/// What paths are taken from.
const ROOT: &str = "%SRCROOT%";

pub(super) fn render(report: &GateReport) -> String {
    let mut by_tool: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in report.rows.iter().filter(|row| row.verdict != Verdict::NotApplicable) {
        by_tool.entry(&row.tool).or_default().push(row);
    }
    let mut runs: Vec<Value> = by_tool.iter().map(|(tool, rows)| run(tool, rows)).collect();
    if runs.is_empty() {
        runs.push(unseen(report));
    }
    pretty(&json!({ "$schema": SCHEMA, "version": "2.1.0", "runs": runs }))
}

/// What one tool found.
fn run(tool: &str, rows: &[&Row]) -> Value {
    let found: Vec<(&Row, &Finding)> = rows
        .iter()
        .flat_map(|row| row.findings.iter().map(|finding| (*row, finding)))
        .collect();
    let ids: BTreeSet<&str> = found.iter().map(|(_, finding)| finding.rule.as_str()).collect();
    let rules = ids.iter().map(|id| {
        let of = found.iter().filter(|(_, finding)| finding.rule == *id);
        rule(tool, id, &of.copied().collect::<Vec<_>>())
    });
    let index = |id: &str| ids.iter().position(|known| *known == id);
    let results = found
        .iter()
        .map(|(row, finding)| result(row, finding, index(&finding.rule)));
    let mut driver = json!({ "name": tool });
    if let Some(version) = rows.iter().find_map(|row| row.version.as_ref()) {
        driver["version"] = plain(version).into();
    }
    driver["rules"] = rules.collect();
    let said = rows.iter().flat_map(|row| said(row)).collect();
    let is_successful = rows.iter().all(|row| row.reasons.is_empty());
    whole(tool, &driver, &invocation(is_successful, said), &results.collect())
}

/// Where no tool had anything to look at.
fn unseen(report: &GateReport) -> Value {
    let driver = json!({ "name": "msctl", "rules": [] });
    let said = json!([notification("error", "gate", &why(report))]);
    let is_successful = report.verdict != Verdict::CouldNotTell;
    whole("msctl", &driver, &invocation(is_successful, said), &json!([]))
}

fn whole(tool: &str, driver: &Value, invocation: &Value, results: &Value) -> Value {
    json!({
        "tool": { "driver": driver },
        "automationDetails": { "id": format!("msctl/gate/{tool}/") },
        "originalUriBaseIds": { ROOT: { "description": { "text": "where msctl gate was typed" } } },
        "invocations": [invocation],
        "results": results,
    })
}

fn invocation(is_successful: bool, said: Value) -> Value {
    let mut invocation = json!({ "executionSuccessful": is_successful });
    invocation["toolExecutionNotifications"] = said;
    invocation
}

/// Why it could not tell, and what a reader should know.
fn said(row: &Row) -> Vec<Value> {
    let check = row.check.word();
    let reasons = row
        .reasons
        .iter()
        .map(|reason| notification("error", check, &reason.text));
    let notes = row.notes.iter().map(|note| notification("note", check, note));
    reasons.chain(notes).collect()
}

fn notification(level: &str, check: &str, text: &str) -> Value {
    json!({ "level": level, "message": { "text": message(&format!("{check}: {text}")) } })
}

/// A rule, as what was found by it tells.
fn rule(tool: &str, id: &str, found: &[(&Row, &Finding)]) -> Value {
    let gravest = found
        .iter()
        .map(|(_, finding)| finding.severity)
        .max()
        .unwrap_or(Level::Unknown);
    let classes: BTreeSet<Class> = found.iter().map(|(_, finding)| finding.class).collect();
    let first = found.first().map(|(_, finding)| *finding);
    let text = |text: &str| json!({ "text": message(text) });
    let mut rule = json!({
        "id": plain(id),
        "shortDescription": text(&format!("{tool}: {id}")),
        "fullDescription": text(first.map_or(id, |finding| &finding.message)),
        "help": text(first.and_then(|finding| finding.hint.as_deref()).unwrap_or(id)),
        "defaultConfiguration": { "level": level(gravest) },
    });
    let mut tags: Vec<&str> = classes.iter().map(|class| class.word()).collect();
    if classes.iter().all(|class| *class == Class::Lint) {
        rule["properties"] = json!({ "tags": tags });
    } else {
        tags.push("security");
        rule["properties"] = json!({ "tags": tags, "security-severity": score(gravest) });
    }
    rule
}

fn result(row: &Row, finding: &Finding, rule: Option<usize>) -> Value {
    let hint = finding.hint.iter().map(|hint| format!("hint: {hint}"));
    let text = [vec![finding.message.clone()], finding.trail.clone(), hint.collect()].concat();
    // All results of a run have the list or none has: an empty one says that the finding counts.
    let suppressions = if finding.fails {
        json!([])
    } else {
        json!([{ "kind": "external", "status": "accepted", "justification": plain(&passes(finding)) }])
    };
    json!({
        "ruleId": plain(&finding.rule),
        "ruleIndex": rule,
        "level": level(finding.severity),
        "message": { "text": message(&text.join("\n")) },
        "locations": [{ "physicalLocation": place(row.check, finding) }],
        "partialFingerprints": {
            "msctlFinding/v1": finding.fingerprint,
            // The only one that GitHub reads.
            "primaryLocationLineHash": format!("{}:1", finding.fingerprint),
        },
        "suppressions": suppressions,
        "properties": {
            "check": row.check.word(),
            "class": finding.class.word(),
            "severity": finding.severity.word(),
            "aliases": finding.aliases,
        },
    })
}

/// A message in which `[text](target)` is no link, as SARIF would have it.
fn message(text: &str) -> String {
    plain(text).replace("](", "] (")
}

/// Never none: one result without it, and GitHub refuses them all.
fn place(check: Check, finding: &Finding) -> Value {
    let file = finding.file.as_deref().unwrap_or(".");
    let is_in_tree = check != Check::Image && !file.starts_with('/');
    let mut place = if is_in_tree {
        json!({ "artifactLocation": { "uri": uri(file), "uriBaseId": ROOT } })
    } else {
        let name = file.rsplit('/').next().filter(|_| file.starts_with('/')); // where an image lies is this machine's
        json!({ "artifactLocation": { "uri": uri(name.unwrap_or(file)) } })
    };
    if let Some(line) = finding.line {
        place["region"] = json!({ "startLine": line });
    }
    place
}

/// A path as a reference that is relative whatever is in it (RFC 3986).
fn uri(path: &str) -> String {
    use std::fmt::Write;
    let mut uri = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

/// Unknown counts as grave.
const fn level(level: Level) -> &'static str {
    match level {
        Level::Low => "note",
        Level::Medium => "warning",
        Level::High | Level::Critical | Level::Unknown => "error",
    }
}

/// In the middle of each of GitHub's bands.
const fn score(level: Level) -> &'static str {
    match level {
        Level::Low => "2.0",
        Level::Medium => "5.5",
        Level::High | Level::Unknown => "8.0",
        Level::Critical => "9.5",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_a_relative_one() {
        assert_eq!(uri("a b/c:d\n%é.yaml"), "a%20b/c%3Ad%0A%25%C3%A9.yaml");
        assert_eq!(uri("http://x"), "http%3A//x");
    }
}
