//! The `go.mod` and `go.sum` of a service, out of the parts that its base and its components bring. Pure.
//!
//! Requirements are a set union, the higher version winning, and a direct one over an indirect one; the result is as `go mod tidy`
//! would write it, as long as each part is what its owner alone adds (a test with the real `go` holds the templates to that).

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use semver::Version;

use crate::failure::{Failure, Kind};

/// Merges the parts of a file that is merged here; none where this file is not.
pub(super) fn merge(path: &str, parts: &[&str]) -> Option<Result<String, Failure>> {
    match path {
        "go.mod" => Some(go_mod(parts)),
        "go.sum" => Some(Ok(go_sum(parts))),
        _ => None,
    }
}

struct Requirement {
    version: String,
    indirect: bool,
}

/// The first part has `module` and `go`.
fn go_mod(parts: &[&str]) -> Result<String, Failure> {
    let mut head = Vec::new();
    let mut all: BTreeMap<&str, Requirement> = BTreeMap::new();
    for line in parts.iter().flat_map(|part| part.lines()) {
        let line = line.trim();
        match line.strip_prefix("require ").unwrap_or(line) {
            "" | "(" | ")" => {}
            line if line.starts_with("module ") || line.starts_with("go ") => head.push(line),
            line => {
                let (path, new) = requirement(line)?;
                match all.get_mut(path) {
                    None => _ = all.insert(path, new),
                    Some(old) => old.raise(new),
                }
            }
        }
    }
    let mut text = head.join("\n\n") + "\n";
    for indirect in [false, true] {
        let chosen: Vec<_> = all.iter().filter(|(_, r)| r.indirect == indirect).collect();
        if chosen.is_empty() {
            continue;
        }
        text.push_str("\nrequire (\n");
        for (path, Requirement { version, .. }) in chosen {
            let remark = if indirect { " // indirect" } else { "" };
            _ = writeln!(text, "\t{path} {version}{remark}");
        }
        text.push_str(")\n");
    }
    Ok(text)
}

fn requirement(line: &str) -> Result<(&str, Requirement), Failure> {
    let (wanted, remark) = line.split_once(" // ").unwrap_or((line, ""));
    match wanted.split_whitespace().collect::<Vec<_>>()[..] {
        [path, version] if semver(version).is_some() && ["", "indirect"].contains(&remark) => {
            let (version, indirect) = (version.to_owned(), remark == "indirect");
            Ok((path, Requirement { version, indirect }))
        }
        _ => Err(Failure::new(
            Kind::Config,
            format!("cannot read the requirement `{line}` of a template's go.mod"),
        )),
    }
}

impl Requirement {
    fn raise(&mut self, other: Self) {
        if by_version(&self.version, &other.version) == Ordering::Less {
            self.version = other.version;
        }
        self.indirect &= other.indirect;
    }
}

/// The order of `go.sum`: by module, version, and the sum of the module before that of its `go.mod`.
fn go_sum(parts: &[&str]) -> String {
    let lines: BTreeSet<&str> = parts.iter().flat_map(|part| part.lines()).collect();
    let mut lines: Vec<(&str, &str, bool, &str)> = lines.into_iter().map(sum_key).collect();
    lines.sort_by(|a, b| a.0.cmp(b.0).then_with(|| by_version(a.1, b.1)).then(a.2.cmp(&b.2)));
    lines.into_iter().fold(String::new(), |text, line| text + line.3 + "\n")
}

fn sum_key(line: &str) -> (&str, &str, bool, &str) {
    let mut words = line.split(' ');
    let (path, version) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    match version.strip_suffix("/go.mod") {
        Some(version) => (path, version, true, line),
        None => (path, version, false, line),
    }
}

fn semver(version: &str) -> Option<Version> {
    Version::parse(version.strip_prefix('v')?).ok()
}

fn by_version(a: &str, b: &str) -> Ordering {
    match (semver(a), semver(b)) {
        (Some(a), Some(b)) => a.cmp_precedence(&b),
        _ => a.cmp(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "module example.com/payment

go 1.26.0

require (
\tb.io/b v1.9.0
\ta.io/a v1.0.0
)

require c.io/c v0.0.0-20260928230214-8a89bd6388cc // indirect
";

    #[test]
    fn requirements_are_a_union_and_the_higher_version_wins() {
        let parts = [
            BASE,
            "require (\n\tb.io/b v1.10.0 // indirect\n\tc.io/c v0.1.0\n\td.io/d/v2 v2.0.0+incompatible // indirect\n)\n",
        ];
        let merged = "module example.com/payment

go 1.26.0

require (
\ta.io/a v1.0.0
\tb.io/b v1.10.0
\tc.io/c v0.1.0
)

require d.io/d/v2 v2.0.0+incompatible // indirect
";
        let merged = merged.replace(
            "require d.io/d/v2 v2.0.0+incompatible // indirect",
            "require (\n\td.io/d/v2 v2.0.0+incompatible // indirect\n)",
        );
        assert_eq!(go_mod(&parts).unwrap(), merged);
        assert_eq!(go_mod(&[parts[0], parts[1], parts[1]]).unwrap(), merged);
    }

    #[test]
    fn what_is_no_requirement_is_refused() {
        for line in [
            "replace a => b",
            "a.io/a",
            "a.io/a 1.0.0",
            "a.io/a v1.0.0 // why",
            "exclude (",
        ] {
            let failure = go_mod(&[BASE, line]).unwrap_err();
            assert!(failure.message().contains(line), "{failure}");
        }
    }

    #[test]
    fn sums_are_a_union_in_the_order_of_go() {
        let (base, more) = (
            "a v1.10.0 h1:x=\na v1.10.0/go.mod h1:y=\nb v1.0.0 h1:z=\n",
            "a v1.9.0/go.mod h1:w=\na v1.10.0 h1:x=\n",
        );
        assert_eq!(
            go_sum(&[base, more]),
            "a v1.9.0/go.mod h1:w=\na v1.10.0 h1:x=\na v1.10.0/go.mod h1:y=\nb v1.0.0 h1:z=\n"
        );
    }
}
