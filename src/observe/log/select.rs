//! Which lines are shown, and the count of all: lines in = lines shown + lines filtered out. Pure.

use regex::bytes::Regex;

use super::{Level, Line};

/// What to show.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The least grave level; a line without a level is shown.
    pub level: Option<Level>,
    /// What the line must match, as it came.
    pub grep: Option<Regex>,
}

/// What becomes of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// It is shown.
    Shown,
    /// It is less grave than asked.
    Level,
    /// It does not match.
    Grep,
}

impl Selection {
    /// Whether this line is shown.
    pub fn choose(&self, line: &Line) -> Choice {
        if let (Some(asked), Some(level)) = (self.level, line.level())
            && level < asked
        {
            return Choice::Level;
        }
        match &self.grep {
            Some(pattern) if !pattern.is_match(&line.bytes) => Choice::Grep,
            _ => Choice::Shown,
        }
    }
}

/// What became of all lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Read.
    pub lines: u64,
    /// Shown.
    pub shown: u64,
    /// Filtered out by their level.
    pub by_level: u64,
    /// Filtered out because they do not match.
    pub by_grep: u64,
    /// Read that are not JSON objects.
    pub not_json: u64,
    /// Read that are a piece of a longer one, without its end.
    pub cut: u64,
}

impl Tally {
    /// Counts a line.
    pub fn count(&mut self, line: &Line, choice: Choice) {
        self.lines += 1;
        self.not_json += u64::from(line.record.is_none());
        self.cut += u64::from(line.cut);
        match choice {
            Choice::Shown => self.shown += 1,
            Choice::Level => self.by_level += 1,
            Choice::Grep => self.by_grep += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::line;
    use super::*;

    #[test]
    fn every_line_is_shown_or_filtered_out() {
        let selection = Selection {
            level: Some(Level::Warn),
            grep: Some(Regex::new("pay").unwrap()),
        };
        let mut tally = Tally::default();
        for (number, text) in (1..).zip([
            r#"{"level":"info","msg":"pay"}"#,
            r#"{"level":"error","msg":"pay"}"#,
            r#"{"level":"error","msg":"no"}"#,
            "at pay.go:12",
            r#"{"level":"odd","msg":"pay"}"#,
        ]) {
            let line = line(0, number, text);
            tally.count(&line, selection.choose(&line));
        }
        let want = Tally {
            lines: 5,
            shown: 3,
            by_level: 1,
            by_grep: 1,
            not_json: 1,
            cut: 0,
        };
        assert_eq!(tally, want);
    }
}
