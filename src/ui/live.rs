//! A block of lines on stderr that keeps its shape while its numbers move; gone when this is dropped.

use console::Term;

use super::paint::Page;

/// The block. On anything but a terminal it shows nothing.
#[derive(Debug)]
pub struct Live {
    term: Option<Term>,
    lines: usize,
}

impl Live {
    pub(super) fn new(shown: bool) -> Self {
        Self {
            term: shown.then(Term::buffered_stderr),
            lines: 0,
        }
    }

    /// Shows this instead of what was shown before. A line that is too wide is cut.
    pub fn show(&mut self, page: Page) {
        let Some(term) = &self.term else { return };
        let (height, width) = term.size();
        // A terminal that went away is no reason to stop what is watched.
        _ = term.clear_last_lines(self.lines);
        let text = page.into_text();
        let room = usize::from(height).saturating_sub(1);
        self.lines = 0;
        for line in text.lines().take(room) {
            _ = term.write_line(&console::truncate_str(line, usize::from(width), "…"));
            self.lines += 1;
        }
        _ = term.flush();
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(term) = &self.term {
            _ = term.clear_last_lines(self.lines);
            _ = term.flush();
        }
    }
}
