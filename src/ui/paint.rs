//! Meaning before colour: words carry the sense, paint only adds to it.

use console::Style;

use super::text::clean;
use crate::failure::Failure;

/// Colour and width of one stream.
#[derive(Clone, Debug)]
pub struct Paint {
    colour: bool,
    width: usize,
}

impl Paint {
    pub(super) fn new(colour: bool, asked: Option<usize>, terminal: bool) -> Self {
        let seen = if terminal {
            console::Term::stdout().size_checked().map(|(_, w)| usize::from(w))
        } else {
            None
        };
        Self {
            colour,
            width: asked.or(seen).unwrap_or(80),
        }
    }

    /// Columns to use.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// A good word, such as `PASS`.
    pub fn good(&self, text: &str) -> String {
        self.styled(text, Style::new().green().bold())
    }

    /// A bad word, such as `FAIL`.
    pub fn bad(&self, text: &str) -> String {
        self.styled(text, Style::new().red().bold())
    }

    /// A word of doubt, such as `????`.
    pub fn doubt(&self, text: &str) -> String {
        self.styled(text, Style::new().yellow().bold())
    }

    /// What the eye should find first.
    pub fn strong(&self, text: &str) -> String {
        self.styled(text, Style::new().bold())
    }

    /// What only some readers need.
    pub fn faint(&self, text: &str) -> String {
        self.styled(text, Style::new().dim())
    }

    /// Something to type.
    pub fn typed(&self, text: &str) -> String {
        self.styled(text, Style::new().cyan())
    }

    /// Text that clap has styled, with or without its colours.
    pub fn dressed(&self, text: &clap::builder::StyledStr) -> String {
        if self.colour {
            text.ansi().to_string()
        } else {
            text.to_string()
        }
    }

    fn styled(&self, text: &str, style: Style) -> String {
        if self.colour {
            style.force_styling(true).apply_to(text).to_string()
        } else {
            text.to_owned()
        }
    }
}

/// A text that grows line by line and knows its paint.
#[derive(Debug)]
pub struct Page {
    /// Colour and width.
    pub paint: Paint,
    text: String,
}

impl Page {
    pub(super) fn new(paint: Paint) -> Self {
        Self {
            paint,
            text: String::new(),
        }
    }

    /// A page without colour, 80 columns: for files and tests.
    pub fn plain() -> Self {
        Self::new(Paint {
            colour: false,
            width: 80,
        })
    }

    /// One line. Trailing blanks are dropped.
    pub fn line(&mut self, line: impl AsRef<str>) {
        self.text.push_str(line.as_ref().trim_end());
        self.text.push('\n');
    }

    /// Text that already ends its lines.
    pub fn raw(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Rows whose columns line up, two blanks between them, after `indent` blanks. Painted cells keep their width.
    pub fn table(&mut self, indent: usize, rows: &[Vec<String>]) {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |c: usize| {
            rows.iter()
                .filter_map(|r| r.get(c))
                .map(|t| console::measure_text_width(t))
                .max()
        };
        let widths: Vec<usize> = (0..columns).map(|c| width(c).unwrap_or(0)).collect();
        for row in rows {
            let mut line = " ".repeat(indent);
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.push_str(&" ".repeat(width.saturating_sub(console::measure_text_width(cell)) + 2));
            }
            self.line(line);
        }
    }

    /// An error: what happened, where, why, how things stand, the way out.
    pub fn failure(&mut self, failure: &Failure) {
        let label = self.paint.bad("error:");
        self.line(format!("{label} {}", clean(failure.message())));
        if let Some(place) = failure.place() {
            let at = format!("{}:{}:{}", place.file, place.line, place.column);
            self.line(format!("  {}   {}", self.paint.strong(&at), clean(place.text.trim())));
        }
        for cause in failure.causes() {
            self.line(format!("  caused by: {}", clean(&cause)));
        }
        for note in failure.notes() {
            self.line(format!("  {}", clean(note)));
        }
        for hint in failure.hints() {
            let label = self.paint.typed("hint:");
            self.line(format!("  {label} {}", clean(hint)));
        }
    }

    /// All of it.
    pub fn into_text(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_the_paint() {
        let paint = Paint {
            colour: true,
            width: 80,
        };
        let mut page = Page::new(paint.clone());
        page.table(
            2,
            &[vec![paint.good("PASS"), "a".into()], vec!["no".into(), "b".into()]],
        );
        let text = console::strip_ansi_codes(&page.into_text()).into_owned();
        assert_eq!(text, "  PASS  a\n  no    b\n");
    }
}
