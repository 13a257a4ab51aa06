//! `.msctl/waivers.yaml`: the findings that somebody answers for until a day.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use jiff::ToSpan;
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::json;

use super::gate::Days;
use super::glob::Glob;
use super::yaml::{self, Location, Spanned};
use crate::failure::{Failure, Kind};

/// Where it is, in the service's directory.
pub const FILE: &str = ".msctl/waivers.yaml";

/// Somebody answers for a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiver {
    /// Its own name; no other has it.
    pub id: Id,
    /// The rule, as the finding has it, or another name of the same vulnerability.
    pub rule: Text,
    /// Which findings of that rule.
    pub scope: Scope,
    /// Who answers for it.
    pub owner: Text,
    /// Why.
    pub reason: Text,
    /// The last day on which it holds, in UTC.
    pub expires: Date,
}

/// Which findings of a rule are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those in these files.
    Path(Glob),
    /// Those of this package, in every version.
    Package(Text),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(glob) => glob.fmt(f),
            Self::Package(package) => package.fmt(f),
        }
    }
}

/// What is written in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: Spanned<Id>,
    rule: Option<Text>,
    path: Option<Glob>,
    package: Option<Text>,
    owner: Option<Text>,
    reason: Option<Text>,
    expires: Option<Spanned<Day>>,
}

/// The days until which a waiver may be made.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// In UTC.
    pub today: Date,
    /// From today.
    pub days: Days,
}

impl Limit {
    /// The last day.
    pub fn last(self) -> Date {
        self.today.saturating_add(i64::from(self.days.get()).days())
    }

    fn check(self, expires: Date) -> Result<(), Failure> {
        let last = self.last();
        if expires <= last {
            return Ok(());
        }
        let message = format!(
            "a waiver until {expires} is further away than the {} days that `gate.waivers.max-days` allows",
            self.days.get()
        );
        Err(Failure::new(Kind::Config, message).hint(format!("expires: {last}")))
    }
}

/// The text of the file of the service in `directory`; empty where there is none.
pub fn load(directory: &Path) -> Result<Vec<u8>, Failure> {
    let path = directory.join(FILE);
    let mut bytes = Vec::new();
    let file = match std::fs::File::open(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(bytes),
        file => file.map_err(|error| Failure::io("read", &path, error))?,
    };
    let mut limited = file.take(yaml::LARGEST as u64 + 1);
    let read = limited.read_to_end(&mut bytes);
    read.map_err(|error| Failure::io("read", &path, error))?;
    Ok(bytes)
}

/// Reads a list of waivers. `file` is its name as the user knows it.
pub fn parse(file: &str, bytes: &[u8], limit: Limit) -> Result<Vec<Waiver>, Failure> {
    if is_blank(bytes) {
        return Ok(Vec::new());
    }
    let written: Vec<Written> = yaml::read(file, bytes)?;
    let mut known = BTreeSet::new();
    let read = |one: Written| {
        let at = one.id.referenced;
        let waiver = one.checked(limit).map_err(|flaw| {
            let at = flaw.at.unwrap_or(at);
            flaw.failure.at(yaml::place(file, bytes, at))
        })?;
        if !known.insert(waiver.id.clone()) {
            let message = format!("the waiver `{}` is there twice", waiver.id);
            return Err(Failure::new(Kind::Config, message).at(yaml::place(file, bytes, at)));
        }
        Ok(waiver)
    };
    written.into_iter().map(read).collect()
}

/// What is wrong with a waiver, and where, if not with the whole of it.
struct Flaw {
    at: Option<Location>,
    failure: Failure,
}

impl Written {
    fn checked(self, limit: Limit) -> Result<Waiver, Flaw> {
        let id = self.id.value;
        let flaw = |what: &str| Flaw {
            at: None,
            failure: Failure::new(Kind::Config, format!("the waiver `{id}` {what}")),
        };
        let scope = match (self.path, self.package) {
            (Some(path), None) => Scope::Path(path),
            (None, Some(package)) => Scope::Package(package),
            _ => return Err(flaw("needs a `path` or a `package`, and one alone")),
        };
        let expires = self.expires.ok_or_else(|| flaw("has no end: `expires`"))?;
        limit.check(expires.value.0).map_err(|failure| Flaw {
            at: Some(expires.referenced),
            failure,
        })?;
        Ok(Waiver {
            rule: self.rule.ok_or_else(|| flaw("has no `rule`"))?,
            scope,
            owner: self.owner.ok_or_else(|| flaw("has no `owner`"))?,
            reason: self.reason.ok_or_else(|| flaw("has no `reason`"))?,
            expires: expires.value.0,
            id,
        })
    }
}

/// Nothing but comments.
fn is_blank(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines().map(str::trim);
    lines.all(|line| line.is_empty() || line.starts_with('#'))
}

/// The text of the file with one waiver more. All that stood there stays as it was, comments too.
pub fn append(before: &str, waiver: &Waiver, limit: Limit) -> Result<String, Failure> {
    limit.check(waiver.expires)?;
    let old = parse(FILE, before.as_bytes(), limit)?;
    let item = waiver.text()?;
    let indent: String = before
        .lines()
        .find(|line| line.trim_start().starts_with("- "))
        .map_or_else(String::new, |line| line.chars().take_while(|c| *c == ' ').collect());
    let mut after = before.to_owned();
    if !after.is_empty() && !after.ends_with('\n') {
        after.push('\n');
    }
    for line in item.lines() {
        after = format!("{after}{indent}{line}\n");
    }
    let wanted: Vec<Waiver> = old.into_iter().chain([waiver.clone()]).collect();
    match parse(FILE, after.as_bytes(), limit) {
        Ok(read) if read == wanted => Ok(after),
        Err(failure) if failure.message().ends_with("is there twice") => Err(failure),
        _ => {
            let message = format!("`{FILE}` is written so that nothing can be added at its end");
            Err(Failure::new(Kind::Config, message).hint(format!("add it by hand:\n{}", item.trim_end())))
        }
    }
}

impl Waiver {
    /// As an item of the list.
    pub fn text(&self) -> Result<String, Failure> {
        let (key, scope) = match &self.scope {
            Scope::Path(glob) => ("path", glob.to_string()),
            Scope::Package(package) => ("package", package.to_string()),
        };
        yaml::write(&json!([{
            "id": self.id.to_string(),
            "rule": self.rule.to_string(),
            key: scope,
            "owner": self.owner.to_string(),
            "reason": self.reason.to_string(),
            "expires": self.expires.to_string(),
        }]))
    }
}

/// The name of a waiver: letters, digits and `._-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Id(String);

impl Id {
    /// One that says the rule, and that is none of `taken`.
    pub fn after(rule: &Text, taken: &[Waiver]) -> Self {
        let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let slug: String = rule.0.chars().map(|c| if good(c) { c } else { '-' }).take(50).collect();
        let slug = slug.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let slug = if slug.is_empty() { "waiver" } else { slug };
        let numbered = (2..).map(|number| format!("{slug}-{number}"));
        let mut names = std::iter::once(slug.to_owned()).chain(numbered).map(Self);
        let is_free = |id: &Self| taken.iter().all(|waiver| waiver.id != *id);
        names
            .find(is_free)
            .unwrap_or_else(|| unreachable!("there is no end of numbers"))
    }
}

impl FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.len() <= 60 && text.chars().all(good) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "`{}` is no name of a waiver: letters, digits and `._-`, 60 at the most",
            text.escape_debug()
        ))
    }
}

/// Something that somebody has written, in one line.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Text(String);

impl Text {
    /// It.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Text {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.is_empty() {
            return Err("nothing is said here".to_owned());
        }
        if line.chars().count() > 500 || line.chars().any(char::is_control) {
            return Err("this is longer than 500 characters, or has some that nobody can see".to_owned());
        }
        Ok(Self(line))
    }
}

/// `2026-12-01`
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Day(Date);

/// A day as people write it: `2026-12-01`.
pub fn day(text: &str) -> Result<Date, String> {
    let is_form = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let date = text.parse().ok().filter(|_| is_form);
    date.ok_or_else(|| format!("`{}` is no day such as 2026-12-01", text.escape_debug()))
}

impl TryFrom<String> for Day {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        day(&text).map(Self)
    }
}

/// What is read from text and written as it.
macro_rules! text {
    ($type:ident) => {
        impl TryFrom<String> for $type {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}
text!(Id);
text!(Text);

#[cfg(test)]
mod tests {
    use super::*;

    fn limit() -> Limit {
        Limit {
            today: jiff::civil::date(2026, 11, 25),
            days: Days::default(),
        }
    }

    const ONE: &str = "# legacy\n- id: W1\n  rule: DL3004\n  path: Dockerfile\n  owner: '@payments'\n  reason: legacy\n  expires: 2026-12-01 # then gone\n";

    fn shown(text: &str) -> String {
        let failure = parse(FILE, text.as_bytes(), limit()).expect_err(text);
        let at = failure
            .place()
            .map_or("nowhere".into(), |p| format!("{}:{}", p.line, p.column));
        format!("{at} {failure}; {}", failure.hints().join("; "))
    }

    #[test]
    fn a_waiver_has_everything_or_is_none() {
        let read = parse(FILE, ONE.as_bytes(), limit()).expect("a waiver");
        assert_eq!(
            (read.len(), read[0].owner.as_str(), read[0].id.to_string()),
            (1, "@payments", "W1".into())
        );
        for blank in ["", "\n# nothing yet\n", "[]\n"] {
            assert_eq!(parse(FILE, blank.as_bytes(), limit()).expect(blank), []);
        }
        for (from, to, says) in [
            ("  owner: '@payments'\n", "", "2:7 the waiver `W1` has no `owner`"),
            ("  reason: legacy\n", "", "2:7 the waiver `W1` has no `reason`"),
            (
                "  expires: 2026-12-01 # then gone\n",
                "",
                "2:7 the waiver `W1` has no end: `expires`",
            ),
            ("  rule: DL3004\n", "", "2:7 the waiver `W1` has no `rule`"),
            ("id: W1\n  ", "", "6:3 the key `id` is missing"),
            ("id: W1", "id: 'W 1'", "2:7 `W 1` is no name of a waiver"),
            (
                "  path: Dockerfile\n",
                "",
                "2:7 the waiver `W1` needs a `path` or a `package`",
            ),
            (
                "rule:",
                "package: x\n  rule:",
                "2:7 the waiver `W1` needs a `path` or a `package`",
            ),
            (
                "Dockerfile",
                "../Dockerfile",
                "4:9 `../Dockerfile` is no path within the service",
            ),
            ("'@payments'", "' '", "5:10 nothing is said here"),
            ("reason: legacy", "reason: ''", "6:11 nothing is said here"),
            ("2026-12-01", "soon", "7:12 `soon` is no day such as 2026-12-01"),
            ("2026-12-01", "2026-12-32", "7:12 `2026-12-32` is no day"),
            ("2026-12-01", "2026-12-01T10:00", "7:12 `2026-12-01T10:00` is no day"),
            (
                "2026-12-01",
                "2027-02-24",
                "7:12 a waiver until 2027-02-24 is further away than the 90 days that `gate.waivers.max-days` allows; expires: 2027-02-23",
            ),
            (
                "owner",
                "onwer",
                "5:3 there is no key `onwer` here; did you mean `owner`?",
            ),
        ] {
            let text = ONE.replacen(from, to, 1);
            assert_ne!(text, ONE, "{from}");
            let error = shown(&text);
            assert!(error.starts_with(says), "{text}{error}");
        }
        let last = ONE.replace("2026-12-01", "2027-02-23");
        assert!(parse(FILE, last.as_bytes(), limit()).is_ok());
        assert!(shown(&format!("{ONE}{ONE}")).starts_with("9:7 the waiver `W1` is there twice"));
    }

    #[test]
    fn one_is_added_and_the_rest_stays_as_it_was() {
        let one = parse(FILE, ONE.as_bytes(), limit()).expect("a waiver").remove(0);
        let more = Waiver {
            id: Id::after(&one.rule, &[]),
            scope: Scope::Package("golang.org/x/text".parse().expect("a package")),
            ..one.clone()
        };
        let item = "- id: DL3004\n  rule: DL3004\n  package: golang.org/x/text\n  owner: \"@payments\"\n  reason: legacy\n  expires: 2026-12-01\n";
        let unquoted = |text: Result<String, Failure>| text.expect("a text").replace("\"2026-12-01\"", "2026-12-01");
        assert_eq!(unquoted(append("", &more, limit())), item);
        assert_eq!(unquoted(append(ONE, &more, limit())), format!("{ONE}{item}"));
        assert_eq!(unquoted(append(ONE.trim_end(), &more, limit())), format!("{ONE}{item}"));
        let indented = ONE.replace('\n', "\n  ");
        let after = unquoted(append(indented.trim_end(), &more, limit()));
        assert!(after.ends_with("\n  - id: DL3004\n    rule: DL3004\n    package: golang.org/x/text\n    owner: \"@payments\"\n    reason: legacy\n    expires: 2026-12-01\n"), "{after}");
        let twice = append(ONE, &one, limit()).expect_err("twice");
        assert!(twice.message().ends_with("`W1` is there twice"), "{twice}");
        for text in [
            "[]\n",
            "- {id: a, rule: b, path: c, owner: d, reason: e, expires: 2026-12-01}\n...\n",
        ] {
            let failure = append(text, &more, limit()).expect_err(text);
            assert!(failure.hints()[0].contains("id: DL3004"), "{failure}");
        }
        let late = Waiver {
            expires: jiff::civil::date(2028, 1, 1),
            ..more
        };
        assert!(append(ONE, &late, limit()).is_err());
    }

    #[test]
    fn a_name_says_the_rule() {
        let after = |rule: &str, taken: &[&str]| {
            let one = parse(FILE, ONE.as_bytes(), limit()).expect("a waiver").remove(0);
            let named = |id: &&str| Waiver {
                id: id.parse().expect("a name"),
                ..one.clone()
            };
            let taken: Vec<Waiver> = taken.iter().map(named).collect();
            Id::after(&rule.parse().expect("a rule"), &taken).to_string()
        };
        assert_eq!(after("DL3004", &[]), "DL3004");
        assert_eq!(after("DL3004", &["DL3004", "DL3004-2"]), "DL3004-3");
        assert_eq!(after("errcheck/a b", &[]), "errcheck-a-b");
        assert_eq!(after("…", &[]), "waiver");
    }
}
