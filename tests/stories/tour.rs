//! `msctl tour`: the whole way, as the README's first command shows it.

use serde_json::Value;

use crate::support::{Run, Sandbox};

/// The words of each step's command, and how it ended.
fn steps(run: &Run) -> Vec<(String, i64)> {
    let report: Value = run.json();
    let steps = report["steps"].as_array().expect("steps").iter();
    let step = |s: &Value| {
        (
            s["command"].as_str().expect("a command").to_owned(),
            s["exit"].as_i64().expect("a code"),
        )
    };
    steps.map(step).collect()
}

#[test]
fn with_go_and_the_tools_it_goes_the_whole_way() {
    let tools = ["trivy", "hadolint", "golangci-lint", "govulncheck"];
    let sandbox = Sandbox::new().with_go().with_tools(&tools);
    let run = sandbox.msctl(["tour", "--output", "json"]);
    assert_eq!(run.code, 0, "{}", run.transcript());
    let steps = steps(&run);
    let words: Vec<&str> = steps
        .iter()
        .map(|(c, _)| c.split(" --url").next().expect("a word"))
        .collect();
    assert_eq!(
        words,
        [
            "msctl new payment --yes",
            "msctl generate",
            "msctl gate",
            "msctl canary rehearse --fast",
            "msctl canary rehearse --fast --fault errors=30%",
            "msctl canary explain",
            "msctl health",
            "msctl logs payment.log",
        ]
    );
    let codes: Vec<i64> = steps.iter().map(|(_, code)| *code).collect();
    // No database of vulnerabilities was given, so the audit could not tell.
    assert_eq!(codes, [0, 0, 2, 0, 1, 0, 0, 0], "{}", run.transcript());
    let gate = run.json()["steps"][2]["showed"].as_str().expect("text").to_owned();
    for check in [
        "PASS  dockerfile",
        "PASS  manifests",
        "PASS  secrets",
        "PASS  lint",
        "????  audit",
        "N/A   image",
    ] {
        assert!(gate.contains(check), "{gate}");
    }
}

#[test]
fn without_go_it_says_so_and_uses_what_is_built_in() {
    let sandbox = Sandbox::new();
    let run = sandbox.msctl(["tour"]);
    assert_eq!(run.code, 0, "{}", run.transcript());
    for line in [
        "There is no `go` on PATH: the service is not built, two backends inside msctl stand in for it.",
        "COULD NOT TELL: nothing at or above high was found; 5 checks could not tell.",
        "rehearsal over 2 built-in backends",
        "PROMOTED after ",
        "ROLLED BACK at ",
        "The whole way: 8 steps, each did what it should.",
    ] {
        assert!(run.stdout.contains(line), "{line}: {}", run.transcript());
    }
    assert_eq!(
        std::fs::read_dir(sandbox.path("")).expect("a directory").count(),
        0,
        "nothing is left"
    );
}
