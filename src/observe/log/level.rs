//! How grave a log line is, whoever wrote it. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The levels, the gravest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Every step.
    Trace,
    /// For who mends the program.
    Debug,
    /// What happened.
    Info,
    /// What may become an error.
    Warn,
    /// What failed.
    Error,
    /// What ended the program.
    Fatal,
}

impl Level {
    /// All of them, the least grave first.
    pub const ALL: [Self; 6] = [
        Self::Trace,
        Self::Debug,
        Self::Info,
        Self::Warn,
        Self::Error,
        Self::Fatal,
    ];

    /// A level as loggers write it: a word in any case, `WARN+2` (slog), or a number (bunyan, pino).
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(number) = text.parse::<u32>() {
            return Self::from_number(number);
        }
        let word = text.split(['+', '-']).next().unwrap_or(text);
        WORDS
            .iter()
            .find(|(_, words)| words.iter().any(|w| w.eq_ignore_ascii_case(word)))
            .map(|(level, _)| *level)
    }

    const fn from_number(number: u32) -> Option<Self> {
        match number {
            10..=19 => Some(Self::Trace),
            20..=29 => Some(Self::Debug),
            30..=39 => Some(Self::Info),
            40..=49 => Some(Self::Warn),
            50..=59 => Some(Self::Error),
            60..=69 => Some(Self::Fatal),
            _ => None,
        }
    }

    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }
}

const WORDS: [(Level, &[&str]); 6] = [
    (Level::Trace, &["trace", "finest", "verbose"]),
    (Level::Debug, &["debug", "fine", "dbg"]),
    (Level::Info, &["info", "information", "informational", "notice", "inf"]),
    (Level::Warn, &["warn", "warning", "wrn"]),
    (Level::Error, &["error", "err", "severe"]),
    (
        Level::Fatal,
        &[
            "fatal",
            "critical",
            "crit",
            "alert",
            "emerg",
            "emergency",
            "panic",
            "dpanic",
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_all_loggers_are_known() {
        for (text, level) in [
            ("INFO", Some(Level::Info)),
            ("warning", Some(Level::Warn)),
            ("ERROR+2", Some(Level::Error)),
            ("INFO-1", Some(Level::Info)),
            ("50", Some(Level::Error)),
            ("critical", Some(Level::Fatal)),
            ("7", None),
            ("", None),
            ("loud", None),
        ] {
            assert_eq!(Level::parse(text), level, "{text}");
        }
        assert!(Level::ALL.is_sorted());
    }
}
