//! hadolint over copies of all Dockerfiles, between two controls, in one process.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::bench::{Bench, unusable};
use super::super::judge::{Control, Evidence, Reason};
use super::super::{Finding, Level};
use crate::failure::{Failure, Kind};
use crate::process::HADOLINT;

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

pub(in crate::gate) fn check(bench: &Bench<'_>) -> Result<Evidence, Failure> {
    let files = bench.tree.dockerfiles();
    if files.is_empty() {
        return Ok(Evidence::not_applicable(HADOLINT.name, "there is no Dockerfile"));
    }
    let mut evidence = Evidence::of(HADOLINT.name);
    evidence.seen = super::trivy::counted(files.len(), "file");
    let place = bench.place()?;
    let config = place.write("hadolint.yaml", "ignored: []\n")?;
    let mut copies = BTreeMap::new();
    let mut arguments = vec![place.write(CONTROLS[0], CONTROL)?];
    for (number, file) in files.iter().enumerate() {
        let bytes = bench.tree.read(file)?;
        if let Some(doubt) = doubt_about(file, &bytes) {
            evidence.doubt(doubt);
        }
        let copy = place.write(&format!("scan/{number}/Dockerfile"), bytes)?;
        copies.insert(copy.to_string_lossy().into_owned(), (*file).to_owned());
        arguments.push(copy);
    }
    arguments.push(place.write(CONTROLS[1], CONTROL)?);
    let invocation = bench
        .invoke(&HADOLINT, &place.path)?
        .args(["--no-color", "--disable-ignore-pragma", "-f", "json", "-c"])
        .arg(config)
        .args(&arguments);
    let (output, code) = bench.run(&invocation)?;
    evidence.version = bench.version(&HADOLINT, &place);
    let said = parse(&output.stdout).map_err(|how| unusable(HADOLINT.name, &how, &output))?;
    let controls = CONTROLS.map(|below| place.path.join(below).to_string_lossy().into_owned());
    weigh(&mut evidence, said, code, &copies, &controls);
    Ok(evidence)
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

fn weigh(evidence: &mut Evidence, said: Vec<Said>, code: i32, copies: &BTreeMap<String, String>, controls: &[String]) {
    let planted = |control: &String| said.iter().any(|s| s.file == *control && s.code == CONTROL_ID);
    // With a finding in each control the code must be the one for findings.
    evidence.control = if controls.iter().all(planted) && code == 1 {
        Control::Found
    } else {
        Control::Missed
    };
    for said in said {
        if controls.contains(&said.file) {
            continue;
        }
        let Some(file) = copies.get(&said.file) else {
            evidence.doubt(Reason::new(format!(
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
            evidence.doubt(reason);
            continue;
        }
        let finding = Finding::new(said.code, Level::of(&said.level), said.message);
        evidence.findings.push(finding.at(file.clone(), Some(said.line)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// hadolint 2.15.1, 2026-11-25, paths shortened.
    const SAID: &str = r#"[{"code":"DL3004","column":1,"file":"first","level":"error","line":2,"message":"Do not use sudo"},
        {"code":"DL3007","column":1,"file":"a","level":"warning","line":1,"message":"Using latest is prone to errors"},
        {"code":"DL3004","column":1,"file":"last","level":"error","line":2,"message":"Do not use sudo"}]"#;

    fn weighed(said: &str, code: i32) -> Evidence {
        let mut evidence = Evidence::of("hadolint");
        let copies = BTreeMap::from([("a".to_owned(), "Dockerfile".to_owned())]);
        weigh(
            &mut evidence,
            parse(said.as_bytes()).expect("JSON"),
            code,
            &copies,
            &["first".into(), "last".into()],
        );
        evidence
    }

    #[test]
    fn findings_are_named_by_the_users_file() {
        let evidence = weighed(SAID, 1);
        assert_eq!(evidence.control, Control::Found);
        let finding =
            Finding::new("DL3007", Level::Medium, "Using latest is prone to errors").at("Dockerfile", Some(1));
        assert_eq!(evidence.findings, [finding]);
    }

    #[test]
    fn a_report_that_does_not_fit_is_no_evidence() {
        assert_eq!(weighed(SAID, 0).control, Control::Missed);
        assert_eq!(weighed("[]", 0).control, Control::Missed);
        assert_eq!(weighed(&SAID.replace("\"last\"", "\"a\""), 1).control, Control::Missed);
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
