//! golangci-lint over each Go module, with the gate's own configuration; the control is a module made here.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::super::adapter::counted;
use super::super::bench::{Bench, Place, unusable};
use super::super::judge::{Control, Evidence, Reason};
use super::super::{Finding, Level};
use super::go::{Go, Module, packages, reconcile, sources};
use crate::failure::{Failure, Kind};
use crate::process::{GOLANGCI_LINT, Invocation};

/// The linters of golangci-lint's own standard set, named, so that a later version cannot leave one out in silence.
const LINTERS: [&str; 5] = ["errcheck", "govet", "ineffassign", "staticcheck", "unused"];
const CONFIG: &str = r#"version: "2"
linters:
  default: none
  enable: [errcheck, govet, ineffassign, staticcheck, unused]
  exclusions: { generated: strict }
issues: { max-issues-per-linter: 0, max-same-issues: 0 }
run: { tests: true }
"#;
/// The code that it is told to end with where it finds something; its own failures are 2 to 7.
const FOUND: i32 = 9;
const CONTROL: &str = "package main\n\nimport \"os\"\n\nfunc main() {\n\tos.Remove(\"x\")\n}\n";
const CONTROL_LINTER: &str = "errcheck";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Said {
    issues: Option<Vec<Issue>>,
    report: About,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Issue {
    from_linter: String,
    text: String,
    #[serde(default)]
    severity: String,
    pos: Position,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Position {
    filename: String,
    line: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct About {
    #[serde(default)]
    warnings: Option<Vec<Warning>>,
    linters: Vec<Linter>,
    #[serde(default)]
    error: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Warning {
    #[serde(default)]
    text: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Linter {
    name: String,
    #[serde(default)]
    enabled: bool,
}

pub(in crate::gate) fn check(bench: &Bench<'_>) -> Result<Evidence, Failure> {
    let sources = sources(bench)?;
    let mut evidence = sources.evidence(GOLANGCI_LINT.name);
    let modules = sources.modules;
    if modules.is_empty() {
        return Ok(evidence);
    }
    let place = bench.place()?;
    bench.search.find(&GOLANGCI_LINT)?;
    let go = Go::ask(bench, &place)?;
    let mut files = 0;
    for module in &modules {
        let mut seen = BTreeSet::new();
        for tags in module.tag_sets() {
            seen.extend(packages(bench, &go, &place, module, &tags)?.files);
            let (said, code) = lint(bench, &go, &place, &module.path(bench), &tags)?;
            weigh(said, code, &bench.tree.root, &mut evidence);
        }
        reconcile(bench, module, &seen, &mut evidence)?;
        note_directives(bench, module, &mut evidence)?;
        files += seen.len();
    }
    evidence.version = bench.version(&GOLANGCI_LINT, &place);
    evidence.seen = counted(files, "file");
    if evidence.needs_control(bench.request.fail_on) {
        evidence.control = prove(bench, &go, &place)?;
    }
    Ok(evidence)
}

fn lint(bench: &Bench<'_>, go: &Go, place: &Place, module: &Path, tags: &str) -> Result<(Said, i32), Failure> {
    let config = place.write("golangci.yml", CONFIG)?;
    let cache = cache(bench, place)?;
    let program = bench.search.find(&GOLANGCI_LINT)?;
    // It finds a module by its directory alone; what the repository says about linting is not read: `--config`.
    let invocation = Invocation::new(&program, module, bench.request.timeout)
        .env("PATH", bench.search.value())
        .env("HOME", &place.path)
        .env("TMPDIR", &place.path)
        .env("GOLANGCI_LINT_CACHE", cache);
    let invocation = go
        .equip(bench, invocation)
        .arg("run")
        .arg("--config")
        .arg(config)
        .args([
            "--output.json.path",
            "stdout",
            "--show-stats=false",
            "--path-mode",
            "abs",
            "--allow-parallel-runners",
        ])
        .args(["--issues-exit-code", &FOUND.to_string(), "--build-tags", tags, "./..."]);
    let (output, code) = bench.run(&invocation)?;
    if code != 0 && code != FOUND {
        return Err(unusable(GOLANGCI_LINT.name, &output.ending(), &output));
    }
    let said = parse(&output.stdout).map_err(|how| unusable(GOLANGCI_LINT.name, &how, &output))?;
    Ok((said, code))
}

/// The linter's own cache, kept between runs for this configuration alone: without it a small service takes 20 s.
fn cache(bench: &Bench<'_>, place: &Place) -> Result<PathBuf, Failure> {
    let environment = &bench.request.environment;
    let own = environment.raw("XDG_CACHE_HOME").map(PathBuf::from);
    let own = own.or_else(|| Some(Path::new(environment.raw("HOME")?).join(".cache")));
    match own.filter(|path| path.is_absolute() && !path.starts_with(&bench.tree.root)) {
        Some(cache) => {
            let digest = blake3::hash(CONFIG.as_bytes()).to_hex();
            Ok(cache.join("msctl").join(format!("golangci-lint-{}", &digest[..12])))
        }
        None => place.directory("lint-cache"),
    }
}

fn parse(stdout: &[u8]) -> Result<Said, String> {
    serde_json::from_slice(stdout).map_err(|error| format!("its report cannot be read: {error}"))
}

/// Findings, and whatever says that it could not look.
fn weigh(said: Said, code: i32, root: &Path, evidence: &mut Evidence) {
    let issues = said.issues.unwrap_or_default();
    if (code == FOUND) == issues.is_empty() {
        let text = format!(
            "golangci-lint contradicts itself: exit code {code} and {} issues",
            issues.len()
        );
        evidence.doubt(Reason::new(text));
    }
    for name in LINTERS {
        if !said
            .report
            .linters
            .iter()
            .any(|linter| linter.name == name && linter.enabled)
        {
            evidence.doubt(Reason::new(format!("golangci-lint did not run {name}")));
        }
    }
    let warnings = said
        .report
        .warnings
        .unwrap_or_default()
        .into_iter()
        .map(|warning| warning.text);
    for text in warnings.chain((!said.report.error.is_empty()).then_some(said.report.error)) {
        evidence.doubt(Reason::new(format!("golangci-lint warns: {text}")));
    }
    for issue in issues {
        let path = Path::new(&issue.pos.filename);
        let file = path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
        if issue.from_linter == "typecheck" {
            let text = format!("{file}:{}: it does not compile: {}", issue.pos.line, issue.text);
            evidence.doubt(Reason {
                kind: Kind::Config,
                ..Reason::new(text)
            });
            continue;
        }
        // Linters of this set report mistakes, and most give them no severity.
        let level = if issue.severity.is_empty() {
            Level::High
        } else {
            Level::of(&issue.severity)
        };
        let finding = Finding::new(issue.from_linter, level, issue.text).at(file, Some(issue.pos.line));
        if !evidence.findings.contains(&finding) {
            evidence.findings.push(finding);
        }
    }
}

fn prove(bench: &Bench<'_>, go: &Go, place: &Place) -> Result<Control, Failure> {
    place.write("control/go.mod", "module msctl.invalid/control\n\ngo 1.20\n")?;
    place.write("control/main.go", CONTROL)?;
    let (said, code) = lint(bench, go, place, &place.path.join("control"), "")?;
    let planted = |issue: &Issue| issue.from_linter == CONTROL_LINTER && issue.pos.line == 6;
    let found = code == FOUND && said.issues.unwrap_or_default().iter().any(planted);
    Ok(if found { Control::Found } else { Control::Missed })
}

/// Comments in the user's code that switch a linter off, or say that nobody wrote the file: honoured, and told.
fn note_directives(bench: &Bench<'_>, module: &Module, evidence: &mut Evidence) -> Result<(), Failure> {
    for file in &module.files {
        let bytes = bench.tree.read(file)?;
        let text = String::from_utf8_lossy(&bytes);
        for (number, line) in text.lines().enumerate() {
            if ["//nolint", "// nolint", "//lint:ignore", "//lint:file-ignore"]
                .iter()
                .any(|word| line.contains(word))
            {
                evidence
                    .notes
                    .push(format!("{file}:{}: a comment switches linters off here", number + 1));
            }
        }
        let generated = |line: &str| line.starts_with("// Code generated ") && line.ends_with(" DO NOT EDIT.");
        if text.lines().any(generated) {
            evidence.notes.push(format!("{file}: is generated, and was not linted"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// golangci-lint 2.15.0, 2026-11-25, trimmed.
    const SAID: &str = r#"{"Issues":[{"FromLinter":"errcheck","Text":"Error return value of `f.Close` is not checked","Severity":"","SourceLines":["\tf.Close()"],
        "Pos":{"Filename":"/s/main.go","Offset":83,"Line":10,"Column":9}}],"Report":{"Linters":[{"Name":"errcheck","Enabled":true},{"Name":"govet","Enabled":true},
        {"Name":"ineffassign","Enabled":true},{"Name":"staticcheck","Enabled":true},{"Name":"unused","Enabled":true},{"Name":"bodyclose"}]}}"#;

    fn weighed(said: &str, code: i32) -> Evidence {
        let mut evidence = Evidence::of("golangci-lint");
        weigh(
            parse(said.as_bytes()).expect("JSON"),
            code,
            Path::new("/s"),
            &mut evidence,
        );
        evidence
    }

    #[test]
    fn an_issue_has_its_place_in_the_tree() {
        let evidence = weighed(SAID, FOUND);
        let message = "Error return value of `f.Close` is not checked";
        assert_eq!(
            evidence.findings,
            [Finding::new("errcheck", Level::High, message).at("main.go", Some(10))]
        );
        assert!(evidence.doubts.is_empty());
    }

    #[test]
    fn what_it_did_not_run_is_doubt() {
        for (from, to, code) in [
            ("{\"Name\":\"govet\",\"Enabled\":true}", "{\"Name\":\"govet\"}", FOUND),
            (
                "\"Report\":{",
                "\"Report\":{\"Warnings\":[{\"Tag\":\"runner\",\"Text\":\"Can't run linter govet\"}],",
                FOUND,
            ),
            ("\"Report\":{", "\"Report\":{\"Error\":\"no\",", FOUND),
            ("\"errcheck\",\"Text\"", "\"typecheck\",\"Text\"", FOUND),
            ("", "", 0),
        ] {
            assert_eq!(weighed(&SAID.replacen(from, to, 1), code).doubts.len(), 1, "{to}");
        }
        assert!(parse(b"").is_err() && parse(b"{}").is_err() && parse(b"{\"Issues\":[]}").is_err());
    }
}
