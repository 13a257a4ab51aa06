//! All forms over one report full of what could break out of them.

use serde_json::Value;

use super::super::judge::{Reason, Row, sum};
use super::super::policy::Policy;
use super::super::{Class, Control, Finding, GateReport, Level, Verdict, Waived};
use super::*;
use crate::config::service::Check;

/// What somebody may call a file, or get a tool to say.
const HOSTILE: &str =
    "a\"'`]]>--><script>alert(1)</script> | :: %0A&lt; \u{1b}[31m\u{202e}\u{0}é [x](http://x)\n::error::owned\r\n| x |";

fn row(check: Check, tool: &str, findings: Vec<Finding>, reasons: Vec<Reason>) -> Row {
    let verdict = match (findings.iter().any(|f| f.fails), reasons.is_empty()) {
        (true, _) => Verdict::Fail,
        (false, true) => Verdict::Pass,
        (false, false) => Verdict::CouldNotTell,
    };
    Row {
        check,
        tool: tool.into(),
        version: Some("1.0".into()),
        verdict,
        seen: "2 files".into(),
        control: Control::Found,
        findings,
        reasons,
        notes: vec![HOSTILE.into()],
        took: std::time::Duration::from_secs(7),
    }
}

fn finding(number: usize, level: Level, file: Option<&str>) -> Finding {
    let mut finding = Finding::new(
        Class::Misconfiguration,
        format!("R{number}{HOSTILE}"),
        level,
        format!("m {HOSTILE}"),
    );
    if let Some(file) = file {
        finding = finding.at(file, Some(3));
    }
    finding.trail = vec![HOSTILE.into()];
    finding.hint = Some(HOSTILE.into());
    finding.fails = Policy::default().fails(&finding);
    finding.fingerprint = format!("{number:032x}");
    finding
}

/// Four findings, two of which fail; two reasons.
fn hostile() -> GateReport {
    let report = total(vec![
        row(
            Check::Dockerfile,
            "hadolint",
            vec![
                finding(1, Level::High, Some(HOSTILE)),
                finding(2, Level::Low, Some("Dockerfile")),
            ],
            vec![],
        ),
        row(
            Check::Manifests,
            "trivy",
            vec![
                finding(3, Level::Unknown, None),
                finding(4, Level::Medium, Some("deploy/a b.yaml")),
            ],
            vec![Reason::new(HOSTILE).hint(HOSTILE)],
        ),
        row(Check::Audit, "govulncheck", vec![], vec![Reason::new("no database")]),
    ]);
    assert_eq!(
        (report.verdict, report.failing, report.could_not_tell),
        (Verdict::Fail, 2, 2)
    );
    report
}

/// The report of these rows, by the policy of nobody's own.
fn total(rows: Vec<Row>) -> GateReport {
    sum(rows, &Policy::default(), &|_| true)
}

fn passing() -> GateReport {
    total(vec![row(Check::Dockerfile, "hadolint", vec![], vec![])])
}

fn json(format: Format, report: &GateReport) -> Value {
    serde_json::from_str(&format.render(report)).expect("JSON")
}

#[test]
fn every_form_has_every_finding_and_every_reason() {
    let report = hostile();
    let text = |format: Format| format.render(&report);
    let starts = |text: &str, what: &str| text.lines().filter(|line| line.starts_with(what)).count();
    let times = |text: &str, what: &str| text.matches(what).count();

    let sarif = json(Format::Sarif, &report);
    let runs = sarif["runs"].as_array().expect("runs");
    let of = |key: &str| {
        runs.iter()
            .map(|run| run[key].as_array().expect("a list").len())
            .sum::<usize>()
    };
    assert_eq!(of("results"), 4);
    let said = runs.iter().flat_map(|run| {
        run["invocations"][0]["toolExecutionNotifications"]
            .as_array()
            .expect("a list")
    });
    assert_eq!(said.filter(|said| said["level"] == "error").count(), 2);

    let junit = text(Format::Junit);
    assert_eq!(times(&junit, "<failure type="), 2);
    assert_eq!(times(&junit, "<skipped message=\"the policy lets it pass: "), 2);
    assert_eq!(times(&junit, "<error type=\"could-not-tell\""), 2);
    assert!(
        junit.contains("<testsuites name=\"msctl gate\" tests=\"6\" failures=\"2\" errors=\"2\">"),
        "{junit}"
    );

    let github = text(Format::Github);
    let of = ["::error ", "::notice ", "::warning "].map(|level| starts(&github, level));
    assert_eq!((of, github.lines().count()), ([2, 2, 2], 6), "{github}");

    let gitlab = json(Format::Gitlab, &report);
    let names = gitlab
        .as_array()
        .expect("a list")
        .iter()
        .map(|issue| issue["check_name"].as_str().expect("a name"));
    let (reasons, found): (Vec<&str>, Vec<&str>) = names.partition(|name| name.ends_with("/could-not-tell"));
    assert_eq!(
        (found.len(), reasons),
        (4, vec!["manifests/could-not-tell", "audit/could-not-tell"])
    );

    let markdown = text(Format::Markdown);
    assert_eq!(
        (
            starts(&markdown, "| fails |"),
            starts(&markdown, "| passes |"),
            starts(&markdown, "- ")
        ),
        (2, 2, 2)
    );

    let html = text(Format::Html);
    assert_eq!(
        (
            times(&html, "<tr class=\"finding\">"),
            times(&html, "<li class=\"reason\">")
        ),
        (4, 2)
    );

    let own = json(Format::Json, &report);
    let rows = own["rows"].as_array().expect("rows").iter();
    assert_eq!(
        rows.map(|row| row["findings"].as_array().expect("a list").len())
            .sum::<usize>(),
        4
    );
    assert_eq!(own["schema"], "msctl.gate.report/v2");
}

#[test]
fn nothing_breaks_out_and_nothing_moves_a_cursor() {
    let report = hostile();
    for format in Format::ALL {
        let text = format.render(&report);
        assert!(!text.contains(['\u{1b}', '\0', '\r']), "{format:?}");
        assert!(format == Format::Json || !text.contains('\u{202e}'), "{format:?}");
        assert_eq!(text, format.render(&report), "{format:?}");
        assert!(text.ends_with('\n') && text.contains('é'), "{format:?}");
    }
    for format in [Format::Html, Format::Junit, Format::Markdown] {
        let text = format.render(&report);
        assert!(!text.contains("<script") && !text.contains("]]>"), "{format:?}: {text}");
    }
    let github = Format::Github.render(&report);
    assert!(
        github
            .lines()
            .all(|line| line.starts_with("::") && !line.starts_with("::error::owned")),
        "{github}"
    );
    let markdown = Format::Markdown.render(&report);
    let cells = |line: &str| line.replace("\\|", "").matches('|').count();
    for line in markdown.lines().filter(|line| line.starts_with('|')) {
        assert!([5, 6].contains(&cells(line)), "{line}");
    }
    let html = Format::Html.render(&report);
    for word in ["href=\"http", "<script", "src=", "url(", "@import"] {
        assert!(!html.contains(word), "{word}");
    }
}

#[test]
fn sarif_says_what_counts_and_what_did_not_succeed() {
    let sarif = json(Format::Sarif, &hostile());
    let runs = sarif["runs"].as_array().expect("runs");
    let tools: Vec<&str> = runs
        .iter()
        .filter_map(|run| run["tool"]["driver"]["name"].as_str())
        .collect();
    assert_eq!(tools, ["govulncheck", "hadolint", "trivy"]);
    let successes: Vec<&Value> = runs
        .iter()
        .map(|run| &run["invocations"][0]["executionSuccessful"])
        .collect();
    assert_eq!(successes, [&Value::from(false), &true.into(), &false.into()]);
    for run in runs {
        let rules = run["tool"]["driver"]["rules"].as_array().expect("rules");
        assert!(run["originalUriBaseIds"]["%SRCROOT%"].is_object());
        for result in run["results"].as_array().expect("results") {
            let index = usize::try_from(result["ruleIndex"].as_u64().expect("an index")).expect("small");
            assert_eq!(rules[index]["id"], result["ruleId"]);
            let place = &result["locations"][0]["physicalLocation"];
            let uri = place["artifactLocation"]["uri"].as_str().expect("a place");
            assert!(
                uri.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~/%".contains(&b)),
                "{uri}"
            );
            assert_eq!(place["artifactLocation"]["uriBaseId"], "%SRCROOT%");
            let counts = result["suppressions"].as_array().expect("a list").is_empty();
            assert_eq!(
                counts,
                ["high", "unknown"].contains(&result["properties"]["severity"].as_str().expect("a word"))
            );
            assert_eq!(
                result["partialFingerprints"]["msctlFinding/v1"].as_str().map(str::len),
                Some(32)
            );
        }
    }
    let whole = Format::Sarif.render(&hostile());
    let texts: Vec<&str> = whole.lines().filter(|line| line.contains("\"text\": ")).collect();
    assert!(
        texts.len() > 10 && !texts.iter().any(|text| text.contains("](")),
        "a link: {texts:?}"
    );
    let (low, medium) = (&runs[1]["results"][1], &runs[2]["results"][1]);
    assert_eq!((&low["level"], &medium["level"]), (&"note".into(), &"warning".into()));
    assert_eq!(
        medium["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
        "deploy/a%20b.yaml"
    );
    assert_eq!(medium["locations"][0]["physicalLocation"]["region"]["startLine"], 3);
}

#[test]
fn nothing_looked_at_is_no_clean_report() {
    let none = total(Vec::new());
    let sarif = json(Format::Sarif, &none);
    assert_eq!(sarif["runs"][0]["invocations"][0]["executionSuccessful"], false);
    assert!(
        Format::Junit
            .render(&none)
            .contains("tests=\"1\" failures=\"0\" errors=\"1\">")
    );
    assert_eq!(json(Format::Gitlab, &none)[0]["check_name"], "gate/could-not-tell");
    assert!(
        Format::Github
            .render(&none)
            .starts_with("::warning title=gate%3A could not tell::")
    );
    assert!(
        Format::Markdown
            .render(&none)
            .starts_with("## msctl gate: COULD NOT TELL\n")
    );
    assert!(Format::Html.render(&none).contains("<li class=\"reason\">"));
}

#[test]
fn a_clean_report_is_clean_in_every_form() {
    let clean = passing();
    let sarif = json(Format::Sarif, &clean);
    assert_eq!(sarif["runs"][0]["invocations"][0]["executionSuccessful"], true);
    assert_eq!(sarif["runs"][0]["results"], Value::Array(Vec::new()));
    assert!(
        Format::Junit
            .render(&clean)
            .contains("tests=\"1\" failures=\"0\" errors=\"0\">")
    );
    assert_eq!(
        (
            Format::Gitlab.render(&clean).as_str(),
            Format::Github.render(&clean).as_str()
        ),
        ("[]\n", "")
    );
    assert!(
        Format::Html
            .render(&clean)
            .contains("<h1><span class=\"good\">PASS</span>: 1 check, nothing at or above high</h1>")
    );
}

#[test]
fn annotations_past_githubs_limit_are_said_to_be_so() {
    let found = (0..12).map(|number| finding(number, Level::Critical, None)).collect();
    let report = total(vec![row(Check::Lint, "golangci-lint", found, vec![])]);
    let text = Format::Github.render(&report);
    assert!(
        text.ends_with("\nGitHub shows 10 of these 12 errors as annotations.\n"),
        "{text}"
    );
}

#[test]
fn files_are_named_from_where_the_user_stands() {
    let file = |directory: &str| {
        let report = seen_from(&hostile(), Path::new(directory));
        report.rows[1].findings[1].file.clone().expect("a file")
    };
    assert_eq!(file("services/payment/"), "services/payment/deploy/a b.yaml");
    for elsewhere in [".", "", "/srv/payment", "../payment"] {
        assert_eq!(file(elsewhere), "deploy/a b.yaml", "{elsewhere}");
    }
}

#[test]
fn where_an_image_lies_is_told_to_nobody() {
    let at = Finding::new(Class::Vulnerability, "CVE-1", Level::High, "m").at("/tmp/x/image.tar (debian 12)", None);
    let report = total(vec![row(Check::Image, "trivy", vec![at], vec![])]);
    let sarif = json(Format::Sarif, &report);
    let place = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"];
    assert_eq!(*place, serde_json::json!({ "uri": "image.tar%20%28debian%2012%29" }));
}

#[test]
fn who_answers_for_a_finding_is_named_where_a_form_has_room_for_it() {
    let mut waived = finding(1, Level::High, Some("Dockerfile"));
    waived.fails = false;
    waived.waived = Some(Waived {
        id: "W1".into(),
        owner: "ann".into(),
        reason: format!("until 1.2 {HOSTILE}"),
        expires: "2026-12-24".into(),
    });
    let report = total(vec![row(Check::Dockerfile, "hadolint", vec![waived], vec![])]);
    for format in [
        Format::Json,
        Format::Sarif,
        Format::Junit,
        Format::Markdown,
        Format::Html,
    ] {
        let text = format.render(&report);
        for word in ["ann", "2026-12-24", "W1"] {
            assert!(text.contains(word), "{format:?} has no {word}: {text}");
        }
        let is_markup = matches!(format, Format::Junit | Format::Markdown | Format::Html);
        assert!(!(is_markup && text.contains("<script>alert")), "{text}");
    }
}
