//! trivy's secret rules over copies of all files under neutral names, so that no built-in exception for a path
//! (`tests/`, `*.md`, `go.sum` …) applies; between two controls.

use std::collections::BTreeMap;

use super::super::super::adapter::{Adapter, Reading, counted};
use super::super::super::scene::Scene;
use super::super::super::step::{Content, Done, Step};
use super::super::super::tree::Gap;
use super::super::super::{Control, Reason};
use super::{TOOL, report, step, without_ignores};
use crate::config::service::Check;
use crate::process::Tool;

/// A larger file is no source.
const LARGEST: u64 = 64 << 20;
/// More than this in all is not copied.
const MOST: u64 = 2 << 30;
const CONTROLS: [&str; 2] = ["a-control.txt", "z-control.txt"];
const CONTROL_ID: &str = "aws-access-key-id";
/// Without trivy's exceptions, whatever the path of the copy looks like.
const CONFIG: &str = "disable-allow-rules: [tests, examples, vendor, usr-dirs, locale-dir, markdown, node.js, golang, python, rubygems, wordpress, anaconda-log]\n";

const STEP: &str = "trivy:secrets";

/// trivy for secrets.
pub(in super::super) struct Secrets;

impl Adapter for Secrets {
    fn tool(&self) -> &'static Tool {
        &TOOL
    }

    fn check(&self) -> Check {
        Check::Secrets
    }

    fn concerns(&self, gap: &Gap<'_>) -> bool {
        matches!(gap, Gap::Unread(_))
    }

    fn nothing(&self, scene: &Scene<'_>) -> Result<Option<String>, Reason> {
        let is_none = scene.tree.files.is_empty();
        Ok(is_none.then(|| "there are no files".to_owned()))
    }

    fn steps(&self, scene: &Scene<'_>, _: &Done) -> Result<Vec<Step>, Reason> {
        let mut step = step(STEP, "fs")
            .args(["--scanners", "secret", "--skip-db-update", "--offline-scan"])
            .args(["--secret-config", "secret.yaml", "scan"])
            .plant("secret.yaml", Content::text(CONFIG));
        for name in CONTROLS {
            step = step.plant(
                format!("scan/{name}"),
                Content::text(format!("key = {}\n", planted_key())),
            );
        }
        for (name, file) in copies(scene, &mut Reading::new()) {
            step = step.plant(format!("scan/{name}"), Content::Changed(file.to_owned(), copied));
        }
        Ok(vec![step])
    }

    fn read(&self, scene: &Scene<'_>, done: &Done) -> Result<Reading, Reason> {
        let mut reading = Reading::new();
        reading.notes.push("git's history was not looked into".into());
        let copies = copies(scene, &mut reading);
        reading.seen = counted(copies.len(), "file");
        let report = report(done.raw(STEP)?, &mut reading)?;
        let mut planted = 0;
        for scanned in report.scanned().iter().filter(|scanned| scanned.class == "secret") {
            let found = scanned.secrets.as_deref().unwrap_or_default();
            if CONTROLS.contains(&scanned.target.as_str()) {
                planted += usize::from(found.iter().any(|secret| secret.id == CONTROL_ID));
            } else if let Some(file) = copies.get(&scanned.target) {
                let (_, has_lines) = readable(&scene.tree.read(file)?);
                let found = found.iter().map(|secret| secret.finding(file, has_lines));
                reading.findings.extend(found);
            } else {
                let target = &scanned.target;
                reading.doubt(Reason::new(format!(
                    "trivy speaks of `{target}`, which it was not given"
                )));
            }
        }
        reading.control = if planted == CONTROLS.len() {
            Control::Found
        } else {
            Control::Missed
        };
        Ok(reading)
    }
}

/// The file behind each copy; what is too large becomes doubt.
fn copies<'a>(scene: &'a Scene<'_>, reading: &mut Reading) -> BTreeMap<String, &'a str> {
    let (mut copies, mut size) = (BTreeMap::new(), 0);
    for (number, (file, length)) in scene.tree.files.iter().enumerate() {
        size += length;
        if *length > LARGEST || size > MOST {
            let length = length >> 20;
            reading.doubt(Reason::new(format!(
                "`{file}` is too large to be looked into: {length} MiB"
            )));
        } else {
            copies.insert(format!("f{number:06}.txt"), file.as_str());
        }
    }
    copies
}

/// What a copy holds.
fn copied(bytes: &[u8]) -> Vec<u8> {
    without_ignores(&readable(bytes).0)
}

/// A key that opens nothing; made up here, so that no scanner finds it in msctl's own source.
fn planted_key() -> String {
    ["AKIA", "Z7QWERTY", "UIOPASDF"].concat()
}

/// The text in a file as trivy can read it, and whether its lines are those of the file.
fn readable(bytes: &[u8]) -> (Vec<u8>, bool) {
    if let [0xff, 0xfe, rest @ ..] = bytes {
        return (wide(rest, u16::from_le_bytes), true);
    }
    if let [0xfe, 0xff, rest @ ..] = bytes {
        return (wide(rest, u16::from_be_bytes), true);
    }
    if memchr::memchr(0, bytes).is_none() {
        // trivy passes over a file with a control character near its beginning.
        let is_odd = |byte: u8| byte.is_ascii_control() && !b"\t\n\r".contains(&byte);
        let text = bytes.iter().map(|byte| if is_odd(*byte) { b' ' } else { *byte });
        return (text.collect(), true);
    }
    // Twice: as it is, and without its zeros, as wide text may have no mark.
    let narrow: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
    ([runs(bytes), runs(&narrow)].join(&b'\n'), false)
}

/// The runs of printable bytes, each on a line.
fn runs(bytes: &[u8]) -> Vec<u8> {
    let printable = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
    let runs = bytes.split(|byte| !printable(byte)).filter(|run| run.len() >= 8);
    runs.collect::<Vec<_>>().join(&b'\n')
}

fn wide(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Vec<u8> {
    let units: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|pair| unit(*pair)).collect();
    String::from_utf16_lossy(&units).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_found_in_whatever_way_it_is_written() {
        assert_eq!(readable(b"plain"), (b"plain".to_vec(), true));
        assert_eq!(readable(b"\xff\xfea\0b\0"), (b"ab".to_vec(), true));
        assert_eq!(readable(b"\xfe\xff\0a\0b"), (b"ab".to_vec(), true));
        assert_eq!(
            readable(b"\0\x01longer than eight\0x\0"),
            (b"longer than eight\nlonger than eightx".to_vec(), false)
        );
        assert_eq!(readable(b"w\0i\0d\0e\0t\0e\0x\0t\0"), (b"\nwidetext".to_vec(), false));
        assert_eq!(readable(b"\x7fELF..."), (b" ELF...".to_vec(), true));
    }
}
