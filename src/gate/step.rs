//! One run of a tool as a value, without any path that is different tomorrow; what it gave; and all that was run. Pure.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use super::Reason;
use super::given::Given;
use crate::failure::Kind;
use crate::process::{Tool, last_words};

/// What stands in a tool's output where it named its private directory, so that the same run gives the same bytes.
pub(super) const PLACE: &str = "/msctl-gate";

/// What is to be run. Each run has an empty private directory, its *place*, that is also its HOME and TMPDIR.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// Says everything by which it differs from other steps, as in `hadolint` or `go:list:DIRECTORY:TAGS`: two adapters that
    /// name the same step share one run of it.
    pub(super) id: String,
    pub(super) tool: &'static Tool,
    pub(super) arguments: Vec<Word>,
    /// Variables beside PATH, HOME, TMPDIR and LANG.
    pub(super) environment: Vec<(OsString, Word)>,
    pub(super) directory: Directory,
    /// What lies in its place before it starts.
    pub(super) planted: Vec<Planted>,
    /// The exit codes of a tool that has something to say; with any other its answer is of no use.
    pub(super) answers: &'static [i32],
}

impl Step {
    /// A run without arguments that has to end with 0.
    pub(super) fn new(id: impl Into<String>, tool: &'static Tool) -> Self {
        Self {
            id: id.into(),
            tool,
            arguments: Vec::new(),
            environment: Vec::new(),
            directory: Directory::Place(""),
            planted: Vec::new(),
            answers: &[0],
        }
    }

    /// Asks a tool for its version.
    pub(super) fn version(tool: &'static Tool) -> Self {
        Self::new(format!("version:{}", tool.name), tool).args(tool.version)
    }

    /// More arguments.
    #[must_use]
    pub(super) fn args<W: Into<Word>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.arguments.extend(words.into_iter().map(Into::into));
        self
    }

    /// A variable of its environment.
    #[must_use]
    pub(super) fn env(mut self, name: impl Into<OsString>, value: impl Into<Word>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Where it runs.
    #[must_use]
    pub(super) fn within(mut self, directory: Directory) -> Self {
        self.directory = directory;
        self
    }

    /// A file of its place, by its path below it.
    #[must_use]
    pub(super) fn plant(mut self, at: impl Into<String>, content: Content) -> Self {
        let at = at.into();
        self.planted.push(Planted { at, content });
        self
    }

    /// The exit codes with which it has something to say.
    #[must_use]
    pub(super) const fn answers(mut self, codes: &'static [i32]) -> Self {
        self.answers = codes;
        self
    }
}

/// An argument or the value of a variable. Where a step runs in its place, a path below it needs no word of its own: it is relative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// As it is.
    Text(OsString),
    /// The path of what the user named, behind this text.
    Given(&'static str, Given),
    /// The whole path of something in the place, for a step that runs elsewhere.
    Place(&'static str),
    /// The whole path of something in the tree; its root, where empty.
    Root(String),
    /// A directory of this name that is kept between runs.
    Kept(String),
}

/// Where a step runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Directory {
    /// In its place, or below it.
    Place(&'static str),
    /// In the tree, or below it: for tools that find what they judge in no other way.
    Root(String),
}

impl<T: Into<OsString>> From<T> for Word {
    fn from(text: T) -> Self {
        Self::Text(text.into())
    }
}

/// A file of a step's place.
#[derive(Clone, Debug)]
pub(super) struct Planted {
    pub(super) at: String,
    pub(super) content: Content,
}

/// What is in it.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A file of the tree.
    File(String),
    /// A file of the tree, changed so.
    Changed(String, fn(&[u8]) -> Vec<u8>),
    /// A file of a directory that the user named; the tool gets a copy, as it may write into it.
    Given(Given, &'static str),
}

impl Content {
    /// This text.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Bytes(text.into().into_bytes())
    }
}

/// What a run gave that ended as it should. Bytes as they came, but for the path of its place: see [`PLACE`].
#[derive(Clone, Debug)]
pub(super) struct Raw {
    pub(super) code: i32,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

impl Raw {
    /// Why what `tool` said cannot be used, with its last words.
    pub(super) fn unusable(&self, tool: &str, how: &str) -> Reason {
        unusable(tool, how, &self.stderr)
    }
}

/// A tool said what cannot be used.
pub(super) fn unusable(tool: &str, how: &str, stderr: &[u8]) -> Reason {
    let text = format!("`{tool}` gave no usable answer: {how}");
    let text = match last_words(stderr) {
        Some(words) => format!("{text}: {}", without_time(&words)),
        None => text,
    };
    Reason {
        kind: Kind::ToolFailed,
        ..Reason::new(text)
    }
}

/// A line of a log without the time before it: the same failure is told in the same words.
fn without_time(line: &str) -> &str {
    let is_time = |word: &str| word.parse::<jiff::Timestamp>().is_ok();
    match line.split_once(char::is_whitespace) {
        Some((first, rest)) if is_time(first) => rest.trim_start(),
        _ => line,
    }
}

/// How a step went, and how long it took.
#[derive(Clone, Debug)]
pub(super) struct Ran {
    pub(super) raw: Result<Raw, Reason>,
    pub(super) time: Duration,
}

/// All steps that were run so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Done(BTreeMap<String, Ran>);

impl Done {
    pub(super) fn add(&mut self, id: String, ran: Ran) {
        self.0.insert(id, ran);
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }

    /// What a step gave; `None` before it was run. Why there is nothing, where it failed.
    pub(super) fn find(&self, id: &str) -> Result<Option<&Raw>, Reason> {
        let ran = self.0.get(id).map(|ran| ran.raw.as_ref());
        ran.transpose().map_err(Clone::clone)
    }

    /// What a step gave that has to have been run.
    pub(super) fn raw(&self, id: &str) -> Result<&Raw, Reason> {
        let found = self.find(id)?;
        found.ok_or_else(|| Reason::new(format!("the step `{id}` was not run")))
    }

    /// How long these steps took together.
    pub(super) fn time<'a>(&self, ids: impl IntoIterator<Item = &'a String>) -> Duration {
        ids.into_iter()
            .filter_map(|id| self.0.get(id))
            .map(|ran| ran.time)
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_without_the_time_of_day() {
        let said = |stderr: &str| unusable("trivy", "exit code 1", stderr.as_bytes()).text;
        assert_eq!(
            said("2026-11-25T12:00:00Z\tFATAL\tno database\n"),
            "`trivy` gave no usable answer: exit code 1: FATAL\tno database"
        );
        assert_eq!(
            said("error: no\n"),
            "`trivy` gave no usable answer: exit code 1: error: no"
        );
        assert_eq!(said(""), "`trivy` gave no usable answer: exit code 1");
    }

    #[test]
    fn what_was_not_run_or_failed_is_no_output() {
        let mut done = Done::default();
        let raw = Raw {
            code: 0,
            stdout: Vec::new(),
            stderr: Vec::new(),
        };
        let time = Duration::from_millis(20);
        done.add("a".into(), Ran { raw: Ok(raw), time });
        let failed = Err(Reason::new("broken"));
        done.add("b".into(), Ran { raw: failed, time });
        assert!(done.raw("a").is_ok() && matches!(done.find("c"), Ok(None)));
        assert_eq!(done.raw("b").map(|_| ()), Err(Reason::new("broken")));
        assert_eq!(done.raw("c").map(|_| ()), Err(Reason::new("the step `c` was not run")));
        assert_eq!(done.time(&["a".into(), "b".into(), "c".into()]), time * 2);
    }
}
