//! What went wrong, as text, hints and an exit code.
//!
//! Every room may build a [`Failure`]; none prints one. The exit codes are documented API: `docs/exit-codes.md`.

use std::error::Error;
use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

/// The exit codes of every command, as grep and diff have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: yes, or done.
    Done,
    /// 1: the answer is no (gate FAIL, unhealthy, canary rolled back, drift under `--check`).
    No,
    /// 2: could not tell (usage, configuration, a tool missing, no evidence, unreachable, denied).
    CouldNotTell,
    /// 3: somebody else's change stands there; nothing was overwritten.
    Conflict,
    /// 4: stopped, and traffic is not proven safe.
    Stuck,
    /// 130: ended by Ctrl-C.
    Interrupted,
    /// 143: ended by SIGTERM.
    Terminated,
}

impl Exit {
    /// The number the process ends with.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::No => 1,
            Self::CouldNotTell => 2,
            Self::Conflict => 3,
            Self::Stuck => 4,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

/// Why a command could not do its work; the `kind` of its JSON form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The command line is wrong.
    Usage,
    /// A description, settings or answers file is wrong.
    Config,
    /// A file or directory cannot be read or written.
    Io,
    /// Another program is not installed.
    ToolMissing,
    /// Another program crashed, hung, flooded, or answered what cannot be read.
    ToolFailed,
    /// Nothing answered at an address.
    Unreachable,
    /// An answer came, and it was "not allowed".
    Denied,
    /// There is not enough evidence for an answer.
    NoEvidence,
    /// Somebody else's change stands there.
    Conflict,
    /// Stopped, and traffic is not proven safe.
    Stuck,
    /// Ctrl-C.
    Interrupted,
    /// SIGTERM.
    Terminated,
}

impl Kind {
    /// The exit code that belongs to this kind.
    pub const fn exit(self) -> Exit {
        match self {
            Self::Conflict => Exit::Conflict,
            Self::Stuck => Exit::Stuck,
            Self::Interrupted => Exit::Interrupted,
            Self::Terminated => Exit::Terminated,
            _ => Exit::CouldNotTell,
        }
    }
}

/// A place in a text the user wrote: 1-based line and column, with the line itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Place {
    /// The file as the user named it.
    pub file: String,
    /// 1-based line.
    pub line: usize,
    /// 1-based column, in characters.
    pub column: usize,
    /// The text of that line, without its newline.
    pub text: String,
}

/// An error a user can act on: what happened, to what, while doing what; its causes; the way out.
#[derive(Debug)]
pub struct Failure(Box<Parts>);

#[derive(Debug)]
struct Parts {
    kind: Kind,
    message: String,
    place: Option<Place>,
    notes: Vec<String>,
    hints: Vec<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// A failure of this kind. `message` names the thing, in the present tense, without a full stop.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        let (notes, hints) = (Vec::new(), Vec::new());
        Self(Box::new(Parts {
            kind,
            message: message.into(),
            place: None,
            notes,
            hints,
            source: None,
        }))
    }

    /// Where in the user's text it happened.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.0.place = Some(place);
        self
    }

    /// A line that says how things stand, such as `Nothing was overwritten`.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.0.notes.push(note.into());
        self
    }

    /// What to type or change next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hints.push(hint.into());
        self
    }

    /// The error underneath; its whole chain is shown as `caused by`.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// A failure to read or write `path`, while `doing` ("write", "read", "create").
    pub fn io(doing: &str, path: impl AsRef<std::path::Path>, error: std::io::Error) -> Self {
        Self::new(Kind::Io, format!("cannot {doing} `{}`", path.as_ref().display())).caused_by(error)
    }

    /// Why.
    pub const fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The code the process ends with.
    pub const fn exit(&self) -> Exit {
        self.0.kind.exit()
    }

    /// The first line, without `error:`.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Where in the user's text, if it was there.
    pub const fn place(&self) -> Option<&Place> {
        self.0.place.as_ref()
    }

    /// How things stand.
    pub fn notes(&self) -> &[String] {
        &self.0.notes
    }

    /// The ways out.
    pub fn hints(&self) -> &[String] {
        &self.0.hints
    }

    /// The chain of causes, outermost first.
    pub fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        let mut next: Option<&(dyn Error + 'static)> = self.0.source.as_deref().map(|e| e as _);
        while let Some(error) = next {
            causes.push(error.to_string());
            next = error.source();
        }
        causes
    }

    /// The first line and its causes, in one.
    pub fn with_causes(&self) -> String {
        let mut all = vec![self.to_string()];
        all.extend(self.causes());
        all.join(": ")
    }

    /// The form a machine reads: `msctl.failure/v1`.
    pub fn document(&self) -> Document<'_> {
        Document {
            schema: "msctl.failure/v1",
            kind: self.0.kind,
            exit: self.exit().code(),
            message: &self.0.message,
            at: self.0.place.as_ref(),
            causes: self.causes(),
            notes: &self.0.notes,
            hints: &self.0.hints,
        }
    }
}

/// What could not be done: `msctl.failure/v1`, the JSON form of a [`Failure`].
#[derive(Serialize, JsonSchema)]
pub struct Document<'a> {
    /// `msctl.failure/v1`
    schema: &'static str,
    /// Why.
    kind: Kind,
    /// The exit code.
    exit: u8,
    /// What happened, to what.
    message: &'a str,
    /// Where in the user's text.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<&'a Place>,
    /// What is underneath, outermost first.
    causes: Vec<String>,
    /// How things stand.
    notes: &'a [String],
    /// The ways out.
    hints: &'a [String],
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|e| e as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_listed_outermost_first() {
        let inner = Failure::new(Kind::Io, "disk is full");
        let outer = Failure::new(Kind::Config, "cannot save").caused_by(inner);
        assert_eq!(outer.causes(), ["disk is full"]);
    }

    #[test]
    fn each_kind_has_the_documented_exit_code() {
        for (kind, code) in [
            (Kind::Usage, 2),
            (Kind::ToolMissing, 2),
            (Kind::Conflict, 3),
            (Kind::Stuck, 4),
            (Kind::Interrupted, 130),
            (Kind::Terminated, 143),
        ] {
            assert_eq!(kind.exit().code(), code, "{kind:?}");
        }
    }
}
