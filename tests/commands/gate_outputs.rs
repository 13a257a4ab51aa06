//! `msctl gate --write`: one answer in all forms, with the real tools.

use std::collections::BTreeSet;

use serde_json::Value;

use super::gate::{DOCKERFILE, MAIN, PRIVILEGED, gate, real};
use crate::support::Sandbox;

/// All forms that an answer can be written in, each with where it is written.
const FORMS: [(&str, &str); 7] = [
    ("json", "../out/gate.json"),
    ("sarif", "../out/gate.sarif"),
    ("junit", "../out/gate.xml"),
    ("markdown", "../out/gate.md"),
    ("github", "../out/gate.txt"),
    ("gitlab", "../out/codequality.json"),
    ("html", "../out/gate.html"),
];

#[test]
fn an_answer_is_the_same_in_every_form_and_on_repeat() {
    let sandbox = real(&["hadolint", "trivy", "govulncheck"]);
    sandbox.write("svc/Dockerfile", "FROM debian:latest\nRUN sudo x\nRUN cd /tmp\n");
    sandbox.write("svc/deploy/a b.yaml", PRIVILEGED);
    sandbox.write("svc/deploy/]]><script>alert(1).yaml", PRIVILEGED);
    sandbox.write("svc/key", ["AKIA", "Q7ZWERTY", "POIUASDF"].concat());
    let mut words: Vec<String> = ["-C", "svc", "gate", "--only", "dockerfile,manifests,secrets,audit"]
        .map(str::to_owned)
        .into();
    sandbox.write("svc/go.mod", "module example.com/svc\n\ngo 1.26\n");
    sandbox.write("svc/main.go", MAIN);
    words.extend(FORMS.map(|(form, file)| format!("--write={form}=../{file}")));
    let read = || FORMS.map(|(_, file)| sandbox.read(file));
    let run = sandbox.msctl(&words);
    assert_eq!((run.code, run.stderr.as_str()), (1, ""), "{}", run.transcript());
    let first = read();
    sandbox.msctl(&words);
    assert_eq!(first, read());
    agree(&first);
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn times(text: &str, what: &str) -> usize {
    text.matches(what).count()
}

fn lines(text: &str, start: &str) -> usize {
    text.lines().filter(|line| line.starts_with(start)).count()
}

/// All forms have the findings and reasons of the JSON, which has at least 10 and 1.
fn agree([own, sarif, junit, markdown, github, gitlab, html]: &[String; 7]) {
    let own = json(own);
    let rows = list(&own["rows"]);
    let all = |key: &str| rows.iter().map(|row| list(&row[key]).len()).sum::<usize>();
    let (found, reasons) = (all("findings"), all("reasons"));
    assert!(found >= 10 && reasons == 1, "{own}");
    let findings = rows.iter().flat_map(|row| list(&row["findings"]));
    let marks: BTreeSet<&str> = findings.filter_map(|finding| finding["fingerprint"].as_str()).collect();
    assert_eq!(marks.len(), found, "{own}");

    agree_in_sarif(&json(sarif), found);
    let passes = times(junit, "<skipped message=\"the policy");
    assert_eq!(
        (times(junit, "<failure ") + passes, times(junit, "<error ")),
        (found, reasons)
    );
    let found_by_github = lines(github, "::error ") + lines(github, "::notice ");
    assert_eq!(
        (found_by_github, lines(github, "::warning ")),
        (found, reasons),
        "{github}"
    );
    assert_eq!(list(&json(gitlab)).len(), found + reasons);
    let found_in_markdown = lines(markdown, "| fails |") + lines(markdown, "| passes |");
    assert_eq!((found_in_markdown, lines(markdown, "- ")), (found, reasons));
    let found_in_html = times(html, "<tr class=\"finding\">");
    assert_eq!((found_in_html, times(html, "<li class=\"reason\">")), (found, reasons));
    for text in [junit, markdown, html] {
        assert!(text.contains("svc/deploy/") && !text.contains("><script>"), "{text}");
    }
}

fn agree_in_sarif(sarif: &Value, found: usize) {
    let runs = list(&sarif["runs"]);
    let results: Vec<&Value> = runs.iter().flat_map(|run| list(&run["results"])).collect();
    assert_eq!(results.len(), found);
    let ended = |run: &Value| {
        let tool = run["tool"]["driver"]["name"].as_str().expect("a name").to_owned();
        (tool, run["invocations"][0]["executionSuccessful"].as_bool())
    };
    let ends = [("govulncheck", false), ("hadolint", true), ("trivy", true)];
    let ends = ends.map(|(tool, is_successful)| (tool.to_owned(), Some(is_successful)));
    assert_eq!(runs.iter().map(ended).collect::<Vec<_>>(), ends);
    let uri = |result: &&Value| result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].clone();
    let uris: Vec<Value> = results.iter().map(uri).collect();
    assert!(
        uris.contains(&"svc/deploy/%5D%5D%3E%3Cscript%3Ealert%281%29.yaml".into()),
        "{uris:?}"
    );
}

#[test]
fn a_file_name_cannot_give_github_commands() {
    let sandbox = real(&["hadolint"]).with_env("GITHUB_ACTIONS", "true");
    for file in [
        "::error ::a.dockerfile",
        "a\n::error ::b.dockerfile",
        "##[error]c.dockerfile",
    ] {
        sandbox.write(file, "FROM a:1\nRUN sudo x\n");
    }
    let run = gate(&sandbox, "dockerfile", &["--output", "ci"]);
    assert_eq!(run.code, 1, "{}", run.transcript());
    let lines = run.stdout.lines().map(str::trim_start);
    let commands: Vec<&str> = lines
        .filter(|line| line.starts_with("::") || line.starts_with("##["))
        .collect();
    assert_eq!(commands.len(), 3, "{}", run.transcript());
    assert!(
        commands.iter().all(|line| line.starts_with("::error file=")),
        "{}",
        run.transcript()
    );
}

#[test]
fn an_output_that_cannot_be_written_costs_the_exit_code_and_not_the_verdict() {
    let sandbox = real(&["hadolint"]);
    sandbox.write("Dockerfile", DOCKERFILE);
    std::fs::create_dir(sandbox.path("taken")).expect("a directory");
    std::os::unix::fs::symlink("Dockerfile", sandbox.path("link")).expect("a link");
    let run = gate(
        &sandbox,
        "dockerfile",
        &[
            "--write",
            "sarif=taken",
            "--write",
            "html=Dockerfile/x",
            "--write",
            "github=link",
            "--write",
            "junit=ok/gate.xml",
        ],
    );
    assert_eq!(run.code, 2, "{}", run.transcript());
    assert!(run.stdout.contains("PASS: 1 check"), "{}", run.transcript());
    insta::assert_snapshot!(run.stderr, @r"
    error: cannot write `taken`: it is there and is no file
    error: cannot create `Dockerfile`: File exists (os error 17)
    error: cannot write `link`: it is there and is no file
    ");
    assert!(sandbox.read("ok/gate.xml").contains("failures=\"0\" errors=\"0\""));
    assert_eq!(sandbox.read("Dockerfile"), DOCKERFILE);
}

#[test]
fn a_form_that_there_is_not_is_refused_before_anything_runs() {
    let sandbox = Sandbox::new();
    sandbox.write("Dockerfile", DOCKERFILE);
    for (words, says) in [
        (&["--write", "sarrif=a"][..], "did you mean `sarif`?"),
        (&["--write", "gate.sarif"], "it has the form FORMAT=FILE"),
        (
            &["--write", "sarif=a", "--write", "html=a"],
            "`--write` names `a` twice",
        ),
    ] {
        let run = gate(&sandbox, "dockerfile", words);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{}", run.transcript());
        assert!(run.stderr.contains(says), "{}", run.transcript());
    }
}
