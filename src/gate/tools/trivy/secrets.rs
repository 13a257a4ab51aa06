//! trivy's secret rules over copies of all files under neutral names, so that no built-in exception for a path
//! (`tests/`, `*.md`, `go.sum` …) applies; between two controls.

use std::collections::BTreeMap;

use super::super::super::bench::{Bench, Place};
use super::super::super::judge::{Control, Evidence, Reason};
use super::{counted, invoke, scan, without_ignores};
use crate::failure::Failure;
use crate::process::TRIVY;

/// A larger file is no source.
const LARGEST: u64 = 64 << 20;
/// More than this in all is not copied.
const MOST: u64 = 2 << 30;
const CONTROLS: [&str; 2] = ["a-control.txt", "z-control.txt"];
const CONTROL_ID: &str = "aws-access-key-id";
/// Without trivy's exceptions, whatever the path of the copy looks like.
const CONFIG: &str = "disable-allow-rules: [tests, examples, vendor, usr-dirs, locale-dir, markdown, node.js, golang, python, rubygems, wordpress, anaconda-log]\n";

/// One copy.
struct Copy {
    file: String,
    has_lines: bool,
}

pub(in crate::gate) fn check(bench: &Bench<'_>) -> Result<Evidence, Failure> {
    let mut evidence = Evidence::of(TRIVY.name);
    if bench.tree.files.is_empty() {
        return Ok(Evidence::not_applicable(TRIVY.name, "there are no files"));
    }
    evidence.notes.push("git's history was not looked into".into());
    let place = bench.place()?;
    let copies = copy(bench, &place, &mut evidence)?;
    evidence.seen = counted(copies.len(), "file");
    let config = place.write("secret.yaml", CONFIG)?;
    let invocation = invoke(bench, &place, "fs")?
        .args([
            "--scanners",
            "secret",
            "--skip-db-update",
            "--offline-scan",
            "--secret-config",
        ])
        .arg(config)
        .arg(super::below(&place.path, "scan"));
    let (report, _) = scan(bench, &invocation, &mut evidence)?;
    evidence.version = bench.version(&TRIVY, &place);
    let mut planted = 0;
    for scanned in report.scanned().iter().filter(|scanned| scanned.class == "secret") {
        let found = scanned.secrets.as_deref().unwrap_or_default();
        if CONTROLS.contains(&scanned.target.as_str()) {
            planted += usize::from(found.iter().any(|secret| secret.id == CONTROL_ID));
        } else if let Some(copy) = copies.get(&scanned.target) {
            evidence
                .findings
                .extend(found.iter().map(|secret| secret.finding(&copy.file, copy.has_lines)));
        } else {
            evidence.doubt(Reason::new(format!(
                "trivy speaks of `{}`, which it was not given",
                scanned.target
            )));
        }
    }
    evidence.control = if planted == CONTROLS.len() {
        Control::Found
    } else {
        Control::Missed
    };
    Ok(evidence)
}

fn copy(bench: &Bench<'_>, place: &Place, evidence: &mut Evidence) -> Result<BTreeMap<String, Copy>, Failure> {
    let (mut copies, mut size) = (BTreeMap::new(), 0);
    for name in CONTROLS {
        place.write(&format!("scan/{name}"), format!("key = {}\n", planted_key()))?;
    }
    for (number, file) in bench.tree.files.iter().enumerate() {
        let path = bench.tree.root.join(file);
        let length = path.metadata().map_err(|error| Failure::io("read", file, error))?.len();
        size += length;
        if length > LARGEST || size > MOST {
            evidence.doubt(Reason::new(format!(
                "`{file}` is too large to be looked into: {} MiB",
                length >> 20
            )));
            continue;
        }
        let (text, has_lines) = readable(&bench.tree.read(file)?);
        let name = format!("f{number:06}.txt");
        place.write(&format!("scan/{name}"), without_ignores(&text))?;
        copies.insert(
            name,
            Copy {
                file: file.clone(),
                has_lines,
            },
        );
    }
    Ok(copies)
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
