//! HTML that cannot be broken out of: markup is this program's own source, everything else is escaped. Pure.

/// Longer texts are cut: a journal may hold anything.
const LONGEST: usize = 2_000;

/// A page that grows.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Markup, which only this program's source can give.
    pub(super) fn markup(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Text, in an element or in a quoted attribute.
    pub(super) fn text(&mut self, text: impl AsRef<str>) -> &mut Self {
        let text = text.as_ref();
        for c in text.chars().take(LONGEST) {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' | '\t' => self.0.push(' '),
                c if is_unsafe(c) => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
        let more = text.chars().skip(LONGEST).count();
        if more > 0 {
            let cut = format!("… ({more} more characters)");
            self.0.push_str(&cut);
        }
        self
    }

    /// A number with one decimal, of those that a page can have: no infinity, no NaN.
    pub(super) fn number(&mut self, number: f64) -> &mut Self {
        let number = if number.is_finite() { number } else { 0.0 };
        let text = format!("{number:.1}");
        self.0.push_str(text.strip_suffix(".0").unwrap_or(&text));
        self
    }

    /// A row of a table; the first cell heads it.
    pub(super) fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) -> &mut Self {
        self.markup("<tr>");
        for (at, cell) in cells.into_iter().enumerate() {
            let (open, close) = if at == 0 {
                ("<th scope=\"row\">", "</th>")
            } else {
                ("<td>", "</td>")
            };
            self.markup(open).text(cell).markup(close);
        }
        self.markup("</tr>\n")
    }

    /// The head of a table, up to and with the beginning of its body.
    pub(super) fn head<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) -> &mut Self {
        self.markup("<thead><tr>");
        for cell in cells {
            self.markup("<th scope=\"col\">").text(cell).markup("</th>");
        }
        self.markup("</tr></thead>\n<tbody>\n")
    }

    /// All of it.
    pub(super) fn into_text(self) -> String {
        self.0
    }
}

/// What may reorder or hide the text around it, or stands in no HTML document.
fn is_unsafe(c: char) -> bool {
    let code = u32::from(c);
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        || (0xfdd0..=0xfdef).contains(&code)
        || code & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let mut html = Html::default();
        html.text(text);
        html.into_text()
    }

    #[test]
    fn nothing_gets_out_of_its_element_or_attribute() {
        assert_eq!(
            shown("<script>a && 'b' \"c\"</script>"),
            "&lt;script&gt;a &amp;&amp; &#39;b&#39; &quot;c&quot;&lt;/script&gt;"
        );
    }

    #[test]
    fn what_hides_or_reorders_is_shown_as_such() {
        for c in [
            '\0',
            '\u{1b}',
            '\u{7f}',
            '\u{85}',
            '\u{202e}',
            '\u{2066}',
            '\u{200b}',
            '\u{fdd0}',
            '\u{1fffe}',
        ] {
            assert_eq!(shown(&format!("a{c}b")), "a\u{fffd}b", "{c:?}");
        }
        assert_eq!(shown("a\nb\tc é 漢 🙂"), "a b c é 漢 🙂");
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        let text = shown(&"<".repeat(LONGEST + 7));
        assert_eq!(text, format!("{}… (7 more characters)", "&lt;".repeat(LONGEST)));
    }
}
