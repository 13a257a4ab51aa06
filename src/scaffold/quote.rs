//! Values as each output language writes them, so that no value can become syntax. Pure.

use std::fmt::Write;

/// A Go string literal.
pub(super) fn go(text: &str) -> String {
    let mut literal = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => literal.extend(['\\', c]),
            '\n' => literal.push_str("\\n"),
            '\t' => literal.push_str("\\t"),
            ' '..='~' => literal.push(c),
            _ if u32::from(c) <= 0xffff => _ = write!(literal, "\\u{:04x}", u32::from(c)),
            _ => _ = write!(literal, "\\U{:08x}", u32::from(c)),
        }
    }
    literal + "\""
}

/// A YAML scalar: as it is where every reader takes it for this text, quoted otherwise.
pub(super) fn yaml(text: &str) -> String {
    const TAKEN: [&str; 10] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n", "nan"];
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
        && !TAKEN.contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { double_quoted(text) }
}

/// Double-quoted YAML; everything but printable ASCII is escaped.
fn double_quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            _ if u32::from(c) <= 0xff => _ = write!(quoted, "\\x{:02x}", u32::from(c)),
            _ if u32::from(c) <= 0xffff => _ = write!(quoted, "\\u{:04x}", u32::from(c)),
            _ => _ = write!(quoted, "\\U{:08x}", u32::from(c)),
        }
    }
    quoted + "\""
}

/// One word of a shell.
pub(super) fn sh(text: &str) -> String {
    let plain = !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c));
    if plain {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// A value in a Makefile, outside recipes.
pub(super) fn make(text: &str) -> String {
    let mut value = String::new();
    for c in text.chars() {
        match c {
            '$' => value.push_str("$$"),
            '#' => value.push_str("\\#"),
            c if c.is_control() => value.push(' '),
            c => value.push(c),
        }
    }
    value
}

/// Text in Markdown, outside code.
pub(super) fn md(text: &str) -> String {
    let mut value = String::new();
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '<' | '>' | '#' | '|' | '!' | '&' => {
                value.extend(['\\', c]);
            }
            c if c.is_control() => value.push(' '),
            c => value.push(c),
        }
    }
    value
}

/// A Go identifier and package name: `payment-api` → `paymentapi`; one that Go has already gets `svc` behind it.
pub(super) fn ident(text: &str) -> String {
    let mut name: String = text
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        name.insert_str(0, "svc");
    }
    if GO_HAS.split_whitespace().any(|taken| taken == name) {
        name.push_str("svc");
    }
    name
}

/// The name of an environment variable: `payment-api` → `PAYMENT_API`.
pub(super) fn env(text: &str) -> String {
    let name: String = text
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        })
        .collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        format!("_{name}")
    } else {
        name
    }
}

/// Go's keywords, its predeclared names, the packages of its library that a service uses, and names that `go` treats specially.
const GO_HAS: &str = "
    break case chan const continue default defer else fallthrough for func go goto if import interface map package range
    return select struct switch type var
    any bool byte comparable complex complex64 complex128 error float32 float64 int int8 int16 int32 int64 rune string uint
    uint8 uint16 uint32 uint64 uintptr true false iota nil append cap clear close complex copy delete imag len make max min
    new panic print println real recover
    bufio bytes cmp context crypto embed encoding errors expvar flag fmt hash html http io iter json log maps math mime net
    os path plugin reflect regexp runtime signal slices slog sort sql strconv strings sync syscall template testing text
    time tls unicode unique unsafe url
    main init internal vendor testdata";

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "x\"\n'$(id)`: #\\{}\u{202e}\u{1f600}";

    #[test]
    fn a_go_literal_holds_anything() {
        assert_eq!(go("payment"), r#""payment""#);
        assert_eq!(go(HOSTILE), r#""x\"\n'$(id)`: #\\{}\u202e\U0001f600""#);
    }

    #[test]
    fn a_yaml_scalar_is_read_back_as_the_same_text() {
        for text in [
            "payment",
            "a-b.c/d",
            "",
            "true",
            "NO",
            "1.5",
            "0x10",
            "~",
            "null",
            "a: b",
            "a #b",
            "-x",
            "x\nprivileged: true",
            "2026-01-01",
            "*a",
            "&a",
            "!x",
            "[a]",
            HOSTILE,
            "\u{85}\u{0}",
        ] {
            let read: serde_json::Value = serde_yaml::from_str(&format!("v: {}\n", yaml(text))).unwrap();
            assert_eq!(read, serde_json::json!({ "v": text }), "{text:?}");
        }
        assert_eq!(yaml("payment"), "payment");
    }

    #[test]
    fn a_shell_word_is_one_word() {
        assert_eq!(
            (sh("a/b:1"), sh(""), sh("it's")),
            ("a/b:1".into(), "''".into(), r"'it'\''s'".into())
        );
    }

    #[test]
    fn make_expands_nothing() {
        assert_eq!(make("a$(x)#b\nc"), r"a$$(x)\#b c");
    }

    #[test]
    fn markdown_shows_the_text() {
        assert_eq!(md("a_b<c>\n"), r"a\_b\<c\> ");
    }

    #[test]
    fn an_identifier_is_one_that_go_takes_and_has_not() {
        for (name, want) in [
            ("payment-api", "paymentapi"),
            ("go", "gosvc"),
            ("http", "httpsvc"),
            ("string", "stringsvc"),
            ("main", "mainsvc"),
            ("a", "a"),
            ("9p", "svc9p"),
            ("x-1-y", "x1y"),
        ] {
            assert_eq!(ident(name), want);
        }
    }

    #[test]
    fn a_variable_is_upper_snake() {
        assert_eq!((env("payment-api"), env("9p")), ("PAYMENT_API".into(), "_9P".into()));
    }
}
