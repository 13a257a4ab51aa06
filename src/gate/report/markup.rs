//! HTML and XML that cannot be broken out of: markup is this program's own source, everything else is escaped.

use super::text::plain;

/// A document that grows.
#[derive(Debug, Default)]
pub(super) struct Markup(String);

impl Markup {
    /// Markup, which only this program's source can give.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Text, in an element or in a quoted attribute.
    pub(super) fn text(&mut self, text: impl AsRef<str>) -> &mut Self {
        for c in plain(text.as_ref()).chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' => self.0.push_str("&#10;"), // a bare one in an attribute is read as a space
                '\t' => self.0.push_str("&#9;"),
                c => self.0.push(c),
            }
        }
        self
    }

    /// ` name="value"`
    pub(super) fn attribute(&mut self, name: &'static str, value: impl AsRef<str>) -> &mut Self {
        self.raw(" ").raw(name).raw("=\"").text(value).raw("\"")
    }

    /// An element with text in it.
    pub(super) fn element(&mut self, name: &'static str, text: impl AsRef<str>) -> &mut Self {
        self.raw("<").raw(name).raw(">").text(text).raw("</").raw(name).raw(">")
    }

    /// All of it.
    pub(super) fn into_text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_its_element_or_attribute() {
        let mut markup = Markup::default();
        markup
            .raw("<a")
            .attribute("b", "\"'>\n")
            .raw(">")
            .text("</a>]]>&\u{1b}")
            .raw("</a>");
        assert_eq!(
            markup.into_text(),
            "<a b=\"&quot;&#39;&gt;&#10;\">&lt;/a&gt;]]&gt;&amp;\u{fffd}</a>"
        );
    }
}
