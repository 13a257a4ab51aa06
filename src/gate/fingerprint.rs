//! What a finding is known by after the lines above it have moved. Pure.

use std::collections::BTreeMap;

use super::{Class, Finding, Row};

/// Gives each finding its fingerprint. `text` gives the text of a file of the tree, or nothing.
///
/// It is made of what it is about, the tool, the rule, the file, and what stands there: the package, or the line without its
/// indentation. Where two findings have all of that in common, the second is told by being the second.
pub(super) fn mark(rows: &mut [Row], text: &dyn Fn(&str) -> Option<String>) {
    let mut texts: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for row in rows {
        for finding in &mut row.findings {
            let file = finding.file.clone().filter(|_| finding.line.is_some());
            let around = file.and_then(|file| texts.entry(file).or_insert_with_key(|file| text(file)).as_deref());
            let what = what(finding, around);
            let file = finding.file.as_deref().filter(|file| !file.starts_with('/')); // where an image lies is no part of it
            let parts = [
                finding.class.word(),
                &row.tool,
                &finding.rule,
                file.unwrap_or_default(),
                &what,
            ];
            let one = hash(&parts);
            let times = known.entry(one.clone()).or_default();
            *times += 1;
            finding.fingerprint = match *times {
                1 => one,
                times => hash(&[&one, &times.to_string()]),
            };
        }
    }
}

/// What the finding is about, within its file, the text of which may be at hand.
fn what(finding: &Finding, text: Option<&str>) -> String {
    if let Some(package) = &finding.package {
        return package.clone();
    }
    if finding.class == Class::Secret {
        return String::new(); // the hash of a line with a short password would tell it
    }
    let at = finding.line.and_then(|line| usize::try_from(line).ok()?.checked_sub(1));
    let line = text.zip(at).and_then(|(text, at)| text.lines().nth(at));
    line.map_or_else(|| finding.message.clone(), normalised)
}

/// Words with one space between them.
fn normalised(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// 128 bits in hexadecimal; no other parts give the same.
fn hash(parts: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::adapter::Reading;
    use super::super::judge::{Answer, judge};
    use super::super::policy::Policy;
    use super::super::{Control, Level};
    use super::*;
    use crate::config::service::Check;

    fn marked(findings: Vec<Finding>, text: &str) -> Vec<String> {
        let reading = Reading {
            findings,
            control: Control::Found,
            ..Reading::new()
        };
        let mut rows = [judge(Check::Lint, "tool", Answer::Saw(reading), &Policy::default())];
        mark(&mut rows, &|file| (file == "a").then(|| text.to_owned()));
        rows[0].findings.iter().map(|found| found.fingerprint.clone()).collect()
    }

    fn at(line: u64) -> Finding {
        of(Class::Lint, line)
    }

    fn of(class: Class, line: u64) -> Finding {
        Finding::new(class, "R1", Level::High, "m").at("a", Some(line))
    }

    #[test]
    fn moved_and_indented_lines_are_the_same_and_other_lines_are_not() {
        let before = marked(vec![at(1)], "x = 1\n");
        assert_eq!(before, marked(vec![at(3)], "\n\n\tx  =  1\n"));
        assert_ne!(before, marked(vec![at(1)], "x = 2\n"));
        assert_ne!(before, marked(vec![of(Class::Misconfiguration, 1)], "x = 1\n"));
        assert_eq!(before[0].len(), 32);
    }

    #[test]
    fn equal_lines_are_told_apart_by_their_order() {
        let one = marked(vec![at(1)], "x\n");
        let three = marked(vec![at(1), at(2), at(3)], "x\nx\nx\n");
        assert_eq!(one[0], three[0]);
        let unlike: std::collections::BTreeSet<_> = three.iter().collect();
        assert_eq!(unlike.len(), 3);
    }

    #[test]
    fn a_package_is_known_by_its_name_wherever_the_image_lies() {
        let of = |file: &str, message: &str| {
            let found = Finding::new(Class::Vulnerability, "CVE-1", Level::High, message)
                .about("openssl")
                .at(file, None);
            marked(vec![found], "")
        };
        assert_eq!(of("/tmp/a.tar (debian 12)", "1.0"), of("/x/b.tar (debian 12)", "1.1"));
        assert_ne!(of("app/one", "1.0"), of("app/two", "1.0"));
    }

    #[test]
    fn the_line_of_a_secret_is_no_part_of_its_fingerprint() {
        let with = |text: &str| marked(vec![of(Class::Secret, 1)], text);
        assert_eq!(with("password = a\n"), with("password = b\n"));
    }
}
