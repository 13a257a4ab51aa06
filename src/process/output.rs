//! How a run ended, and what it said.

use std::fmt;
use std::time::Duration;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this code.
    Exit(i32),
    /// By this signal, which msctl did not send.
    Signal(i32),
    /// It had not ended after this time, and was killed.
    TimedOut(Duration),
    /// It wrote more than this many bytes to one stream, and was killed.
    Flooded(usize),
    /// The user wants to stop; it was killed.
    Interrupted,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "it ended with exit code {code}"),
            Self::Signal(signal) => write!(f, "it was ended by signal {signal}"),
            Self::TimedOut(limit) => write!(f, "it had not ended after {limit:?} and was killed"),
            Self::Flooded(cap) => write!(f, "it wrote more than {} MiB and was killed", cap >> 20),
            Self::Interrupted => f.write_str("it was interrupted"),
        }
    }
}

/// What a run gave. Bytes as they came: whoever parses them decides about encoding.
#[derive(Clone, Debug)]
pub struct ToolOutput {
    /// How it ended.
    pub end: End,
    /// At most the cap of its [`super::Invocation`].
    pub stdout: Vec<u8>,
    /// The same.
    pub stderr: Vec<u8>,
    /// It ended, but a process it left behind held its output open, so that its end cannot be known; that process was killed.
    pub held: bool,
    /// From start to end.
    pub time: Duration,
}

impl ToolOutput {
    /// The exit code, if it ended by itself and everything it said is here.
    pub const fn code(&self) -> Option<i32> {
        match self.end {
            End::Exit(code) if !self.held => Some(code),
            _ => None,
        }
    }

    /// In words, how it ended.
    pub fn ending(&self) -> String {
        if self.held {
            return format!("{}, and a process it left behind held its output open", self.end);
        }
        self.end.to_string()
    }

    /// The last line of stderr that says something, cut to a readable length.
    pub fn last_words(&self) -> Option<String> {
        last_words(&self.stderr)
    }
}

/// The last line of a stderr that says something, cut to a readable length.
pub fn last_words(stderr: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().take(300).collect())
}
