//! The text in which Prometheus' metrics are exposed, line by line. Pure.

/// One line: a name, its labels, a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'a> {
    /// Its name.
    pub name: &'a str,
    /// In the order in which they stand there.
    pub labels: Vec<(&'a str, String)>,
    /// Its value.
    pub value: f64,
}

impl Sample<'_> {
    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str())
    }
}

/// Reads a line. Comments, and what is no sample, are none; a timestamp is not read.
pub fn sample(line: &str) -> Option<Sample<'_>> {
    let line = line.trim();
    let end = line.find(['{', ' ', '\t'])?;
    let (name, mut rest) = line.split_at(end);
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    if name.is_empty() || !name.chars().all(is_of_name) {
        return None;
    }
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = read_labels(inside, &mut labels)?;
    }
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample { name, labels, value })
}

/// Reads `a="b",c="d"}` and gives what follows.
fn read_labels<'a>(mut rest: &'a str, labels: &mut Vec<(&'a str, String)>) -> Option<&'a str> {
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        if let Some(after) = rest.strip_prefix('}') {
            return Some(after);
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let (value, after) = unquote(quoted)?;
        labels.push((name.trim(), value));
        rest = after;
    }
}

/// The text up to the closing quote, and what follows it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                c => value.push(c),
            },
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_format_is_read() {
        let all = |line: &str| {
            let sample = sample(line)?;
            let mut all = vec![format!("__name__={}", sample.name)];
            all.extend(sample.labels.iter().map(|(label, value)| format!("{label}={value}")));
            Some((all.join(" "), sample.value))
        };
        for (line, expected) in [
            ("a 1", Some(("__name__=a", 1.0))),
            ("a{} 1.5e3 1700000000000", Some(("__name__=a", 1_500.0))),
            (r#"a:b_c{x="1",y="z|w"} 2"#, Some(("__name__=a:b_c x=1 y=z|w", 2.0))),
            (
                r#"a{x="q\"\\\n}",} +Inf"#,
                Some(("__name__=a x=q\"\\\n}", f64::INFINITY)),
            ),
            ("# HELP a b", None),
            ("", None),
            (r#"a{x="1} 2"#, None),
            ("a{x} 2", None),
            ("a{} x", None),
            ("é 1", None),
        ] {
            assert_eq!(
                all(line),
                expected.map(|(labels, value)| (labels.to_owned(), value)),
                "{line}"
            );
        }
    }
}
