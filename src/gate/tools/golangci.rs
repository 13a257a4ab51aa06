//! golangci-lint over each Go module, with the gate's own configuration; the control is a module made here.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

use super::super::adapter::{Adapter, Reading, counted};
use super::super::scene::Scene;
use super::super::step::{Content, Directory, Done, Raw, Step, Word};
use super::super::tree::Gap;
use super::super::{Class, Control, Finding, Level, Reason};
use super::go::{self, Go, Module, id, packages, reconcile, sources};
use crate::config::service::Check;
use crate::failure::Kind;
use crate::process::Tool;

/// The runner of Go linters.
const TOOL: Tool = Tool {
    name: "golangci-lint",
    version: &["version", "--short"],
    install: "go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0",
};

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
const CONTROL_STEP: &str = "golangci-lint:control";

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

/// golangci-lint for Go modules.
pub(super) struct Golangci;

impl Adapter for Golangci {
    fn tool(&self) -> &'static Tool {
        &TOOL
    }

    fn check(&self) -> Check {
        Check::Lint
    }

    fn concerns(&self, gap: &Gap<'_>) -> bool {
        go::concerns(gap)
    }

    fn nothing(&self, scene: &Scene<'_>) -> Result<Option<String>, Reason> {
        Ok(sources(scene)?.nothing())
    }

    fn steps(&self, scene: &Scene<'_>, done: &Done) -> Result<Vec<Step>, Reason> {
        let modules = sources(scene)?.modules;
        if modules.is_empty() {
            return Ok(Vec::new());
        }
        let mut steps = vec![go::env(scene)];
        if let Some(go) = Go::of(done)? {
            for module in &modules {
                for tags in module.tag_sets() {
                    steps.push(go::list(scene, &go, module, &tags));
                    let directory = Directory::Root(module.directory.clone());
                    steps.push(lint(scene, &go, id(TOOL.name, module, &tags), directory, &tags));
                }
            }
        }
        Ok(steps)
    }

    fn control(&self, scene: &Scene<'_>, done: &Done) -> Result<Vec<Step>, Reason> {
        let step = Go::of(done)?.map(|go| {
            lint(scene, &go, CONTROL_STEP.to_owned(), Directory::Place("control"), "")
                .plant(
                    "control/go.mod",
                    Content::text("module msctl.invalid/control\n\ngo 1.20\n"),
                )
                .plant("control/main.go", Content::text(CONTROL))
        });
        Ok(step.into_iter().collect())
    }

    fn read(&self, scene: &Scene<'_>, done: &Done) -> Result<Reading, Reason> {
        let sources = sources(scene)?;
        let mut reading = sources.reading();
        if sources.modules.is_empty() {
            return Ok(reading);
        }
        let mut files = 0;
        for module in &sources.modules {
            let mut seen = BTreeSet::new();
            for tags in module.tag_sets() {
                seen.extend(packages(scene, done, module, &tags)?.files);
                let raw = done.raw(&id(TOOL.name, module, &tags))?;
                weigh(parse(raw)?, raw.code, &scene.tree.root, &mut reading);
            }
            reconcile(scene, module, &seen, &mut reading)?;
            note_directives(scene, module, &mut reading)?;
            files += seen.len();
        }
        reading.seen = counted(files, "file");
        if let Some(raw) = done.find(CONTROL_STEP)? {
            reading.control = proved(raw)?;
        }
        Ok(reading)
    }
}

/// A run over one module. It finds it by its directory alone; what the repository says about linting is not read: `--config`.
/// The linter's own cache is kept for this configuration alone: without it a small service takes 20 s.
fn lint(scene: &Scene<'_>, go: &Go, id: String, directory: Directory, tags: &str) -> Step {
    let digest = blake3::hash(CONFIG.as_bytes()).to_hex();
    let cache = Word::Kept(format!("golangci-lint-{}", &digest[..12]));
    go.equip(scene, Step::new(id, &TOOL))
        .answers(&[0, FOUND])
        .within(directory)
        .env("GOLANGCI_LINT_CACHE", cache)
        .plant("golangci.yml", Content::text(CONFIG))
        .args(["run", "--config"])
        .args([Word::Place("golangci.yml")])
        .args(["--output.json.path", "stdout", "--show-stats=false"])
        .args(["--path-mode", "abs", "--allow-parallel-runners"])
        .args(["--issues-exit-code", &FOUND.to_string()])
        .args(["--build-tags", tags, "./..."])
}

fn parse(raw: &Raw) -> Result<Said, Reason> {
    serde_json::from_slice(&raw.stdout)
        .map_err(|error| raw.unusable(TOOL.name, &format!("its report cannot be read: {error}")))
}

/// Findings, and whatever says that it could not look.
fn weigh(said: Said, code: i32, root: &Path, reading: &mut Reading) {
    let issues = said.issues.unwrap_or_default();
    if (code == FOUND) == issues.is_empty() {
        let text = format!(
            "golangci-lint contradicts itself: exit code {code} and {} issues",
            issues.len()
        );
        reading.doubt(Reason::new(text));
    }
    for name in LINTERS {
        if !said
            .report
            .linters
            .iter()
            .any(|linter| linter.name == name && linter.enabled)
        {
            reading.doubt(Reason::new(format!("golangci-lint did not run {name}")));
        }
    }
    let warnings = said
        .report
        .warnings
        .unwrap_or_default()
        .into_iter()
        .map(|warning| warning.text);
    for text in warnings.chain((!said.report.error.is_empty()).then_some(said.report.error)) {
        reading.doubt(Reason::new(format!("golangci-lint warns: {text}")));
    }
    for issue in issues {
        let path = Path::new(&issue.pos.filename);
        let file = path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
        if issue.from_linter == "typecheck" {
            let text = format!("{file}:{}: it does not compile: {}", issue.pos.line, issue.text);
            reading.doubt(Reason {
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
        let finding = Finding::new(Class::Lint, issue.from_linter, level, issue.text).at(file, Some(issue.pos.line));
        if !reading.findings.contains(&finding) {
            reading.findings.push(finding);
        }
    }
}

fn proved(raw: &Raw) -> Result<Control, Reason> {
    let planted = |issue: &Issue| issue.from_linter == CONTROL_LINTER && issue.pos.line == 6;
    let found = raw.code == FOUND && parse(raw)?.issues.unwrap_or_default().iter().any(planted);
    Ok(if found { Control::Found } else { Control::Missed })
}

/// Comments in the user's code that switch a linter off, or say that nobody wrote the file: honoured, and told.
fn note_directives(scene: &Scene<'_>, module: &Module, reading: &mut Reading) -> Result<(), Reason> {
    for file in &module.files {
        let bytes = scene.tree.read(file)?;
        let text = String::from_utf8_lossy(&bytes);
        for (number, line) in text.lines().enumerate() {
            if ["//nolint", "// nolint", "//lint:ignore", "//lint:file-ignore"]
                .iter()
                .any(|word| line.contains(word))
            {
                reading
                    .notes
                    .push(format!("{file}:{}: a comment switches linters off here", number + 1));
            }
        }
        let generated = |line: &str| line.starts_with("// Code generated ") && line.ends_with(" DO NOT EDIT.");
        if text.lines().any(generated) {
            reading.notes.push(format!("{file}: is generated, and was not linted"));
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

    fn raw(said: &str, code: i32) -> Raw {
        Raw {
            code,
            stdout: said.into(),
            stderr: Vec::new(),
        }
    }

    fn weighed(said: &str, code: i32) -> Reading {
        let mut reading = Reading::new();
        let said = parse(&raw(said, code)).expect("JSON");
        weigh(said, code, Path::new("/s"), &mut reading);
        reading
    }

    #[test]
    fn an_issue_has_its_place_in_the_tree() {
        let reading = weighed(SAID, FOUND);
        let message = "Error return value of `f.Close` is not checked";
        assert_eq!(
            reading.findings,
            [Finding::new(Class::Lint, "errcheck", Level::High, message).at("main.go", Some(10))]
        );
        assert!(reading.doubts.is_empty());
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
        for said in ["", "{}", "{\"Issues\":[]}"] {
            assert!(parse(&raw(said, 0)).is_err(), "{said}");
        }
    }
}
