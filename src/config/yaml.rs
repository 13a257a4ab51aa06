//! The only YAML door: text into typed values, with the place of every error in the user's own text.
//!
//! It knows no document; what a key may be is said by the type that is read.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_yaml::{Budget, DuplicateKeyPolicy, Error, MergeKeyPolicy, Options};

/// A value with its place: see [`place`].
pub use serde_yaml::{Location, Spanned};

use crate::failure::{Failure, Kind, Place};

/// A file larger than this is no description that a person keeps.
pub const LARGEST: usize = 1 << 20;

fn options() -> Options {
    let budget: Option<Budget> = serde_yaml::budget! {
        max_depth: 32,
        max_nodes: 50_000,
        max_documents: 1_000
    };
    serde_yaml::options! {
        budget: budget,
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        with_snippet: false
    }
}

/// Reads one document. `file` is its name as the user knows it.
pub fn read<T: DeserializeOwned>(file: &str, bytes: &[u8]) -> Result<T, Failure> {
    let text = text(file, bytes)?;
    if text
        .lines()
        .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
    {
        return Err(Failure::new(Kind::Config, format!("`{file}` is empty")));
    }
    serde_yaml::from_str_with_options(text, options()).map_err(|error| failure(file, text, &error))
}

/// Reads every document of a stream, untyped.
pub fn documents(file: &str, bytes: &[u8]) -> Result<Vec<serde_json::Value>, Failure> {
    let text = text(file, bytes)?;
    serde_yaml::from_multiple_with_options(text, options()).map_err(|error| failure(file, text, &error))
}

/// Writes one document. Text that any reader of YAML would take for something else is quoted.
pub fn write(document: &impl Serialize) -> Result<String, Failure> {
    let plain = serde_yaml::ser_options! { compact_list_indent: true, prefer_block_scalars: false };
    serde_yaml::to_string_with_options(document, plain)
        .map_err(|error| Failure::new(Kind::Config, "cannot write YAML").caused_by(error))
}

fn text<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, Failure> {
    if bytes.len() > LARGEST {
        return Err(Failure::new(
            Kind::Config,
            format!("`{file}` is larger than 1024 KiB, more than a description needs"),
        ));
    }
    let no_text = |how: String| Failure::new(Kind::Config, format!("`{file}` is no text: {how}"));
    let text = std::str::from_utf8(bytes).map_err(|error| no_text(error.to_string()))?;
    match text.find('\0') {
        Some(at) => Err(no_text(format!("there is a zero byte at offset {at}"))),
        None => Ok(text),
    }
}

fn failure(file: &str, text: &str, error: &Error) -> Failure {
    let error = error.without_snippet();
    let (message, hint) = explain(error);
    let mut failure = Failure::new(Kind::Config, message);
    if let Some(place) = place_of(file, text, error) {
        failure = failure.at(place);
    } else {
        failure = failure.note(format!("in `{file}`"));
    }
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn place_of(file: &str, text: &str, error: &Error) -> Option<Place> {
    let at = error.location().filter(|at| at.line() > 0)?;
    Some(place(file, text.as_bytes(), at))
}

/// A place in what was read.
pub fn place(file: &str, bytes: &[u8], at: Location) -> Place {
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).max(1);
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().nth(number(at.line()) - 1).unwrap_or_default();
    Place {
        file: file.to_owned(),
        line: number(at.line()),
        column: number(at.column()),
        text: line.chars().take(200).collect(),
    }
}

/// What is wrong, and the way out.
fn explain(error: &Error) -> (String, Option<String>) {
    match error {
        Error::SerdeUnknownField { field, expected, .. } => (
            format!("there is no key `{}` here", field.escape_debug()),
            Some(one_of(field, expected)),
        ),
        Error::SerdeUnknownVariant { variant, expected, .. } => (
            format!("`{}` is none of the values here", variant.escape_debug()),
            Some(one_of(variant, expected)),
        ),
        Error::SerdeMissingField { field, .. } => (format!("the key `{field}` is missing"), None),
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            let hint = "keep one of them; which one counts is no guess to make".to_owned();
            (format!("the key `{}` is there twice", key.escape_debug()), Some(hint))
        }
        Error::SerdeInvalidType {
            unexpected, expected, ..
        }
        | Error::SerdeInvalidValue {
            unexpected, expected, ..
        } => (format!("this should be {expected}, and is {unexpected}"), None),
        Error::Budget { breach, .. } => (format!("this is nested too deep or too large: {breach:?}"), None),
        Error::Message { msg, .. } => (msg.clone(), None),
        other => {
            let text = other.to_string();
            let first = text.lines().next().unwrap_or_default();
            // The place is shown on its own.
            (first.split(" at line ").next().unwrap_or(first).to_owned(), None)
        }
    }
}

/// The nearest of `known`, and all of them.
pub fn one_of(word: &str, known: &[&str]) -> String {
    let all = known.join(", ");
    let closeness = |near: &&&str| strsim::jaro_winkler(word, near);
    match known.iter().max_by(|a, b| closeness(a).total_cmp(&closeness(b))) {
        Some(near) if closeness(&near) > 0.7 => format!("did you mean `{near}`? There are: {all}"),
        Some(_) => format!("one of: {all}"),
        None => "nothing may stand here".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Document {
        #[serde(rename = "replicas")]
        _replicas: u32,
        #[serde(default, rename = "kind")]
        _kind: Option<Fruit>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Fruit {
        Apple,
    }

    fn shown(text: &str) -> String {
        let failure = read::<Document>("msctl.yaml", text.as_bytes()).unwrap_err();
        let at = failure
            .place()
            .map_or(String::new(), |p| format!(" at {}:{}", p.line, p.column));
        format!("{failure}{at}; {}", failure.hints().join("; "))
    }

    #[test]
    fn an_error_has_its_place_and_the_way_out() {
        for (text, says) in [
            (
                "replicas: 1\nreplcas: 2\n",
                "there is no key `replcas` here at 2:1; did you mean `replicas`? There are: replicas, kind",
            ),
            ("replicas: two\n", "at 1:11"),
            (
                "replicas: 1\nkind: aple\n",
                "`aple` is none of the values here at 2:7; did you mean `apple`? There are: apple",
            ),
            ("replicas: 1\nreplicas: 2\n", "the key `replicas` is there twice at 2:1"),
            ("{}\n", "the key `replicas` is missing"),
            ("", "`msctl.yaml` is empty"),
            ("# nothing\n\n", "`msctl.yaml` is empty"),
            ("- 1\n", "at 1:1"),
            ("replicas: [1\n", "at "),
            ("replicas: 1\n---\nreplicas: 2\n", "at "),
            ("a\0b", "zero byte at offset 1"),
        ] {
            let shown = shown(text);
            assert!(shown.contains(says), "{text:?}: {shown}");
        }
    }

    #[test]
    fn what_is_written_is_read_back_as_the_same_by_every_reader() {
        let texts = [
            "true",
            "no",
            "On",
            "y",
            "~",
            "",
            "null",
            "1e3",
            "0x1f",
            "017",
            "1_000",
            "1:30",
            ".5",
            ".inf",
            "2026-01-01",
            "a: b",
            "a #b",
            "- a",
            "*a",
            "&a",
            "!a",
            "%a",
            "@a",
            "`a",
            "{a",
            "x\ny: z\n",
            " a ",
            "a\u{85}b",
            "\u{1f600}",
            "'\"",
        ];
        for text in texts {
            let document = serde_json::json!({ "v": [{ "k": text }] });
            let written = write(&document).unwrap();
            assert_eq!(
                read::<serde_json::Value>("x", written.as_bytes()).unwrap(),
                document,
                "{written}"
            );
        }
        let shown =
            write(&serde_json::json!({ "a": "true", "b": "1e3", "c": "no", "d": "0.1.0", "e": ["x", 1], "f": {} }));
        assert_eq!(
            shown.unwrap(),
            "a: \"true\"\nb: \"1e3\"\nc: \"no\"\nd: \"0.1.0\"\ne:\n- x\n- 1\nf: {}\n"
        );
    }

    #[test]
    fn what_no_person_writes_is_refused_quickly() {
        let deep = "[".repeat(5_000);
        let large = "a: b\n".repeat(300_000);
        let mut bomb = String::from("a0: &a0 [x,x]\n");
        for i in 1..30 {
            _ = writeln!(bomb, "a{i}: &a{i} [*a{p},*a{p},*a{p}]", p = i - 1);
        }
        for text in [&deep, &large, &bomb] {
            assert_eq!(
                read::<serde_json::Value>("x", text.as_bytes()).unwrap_err().kind(),
                Kind::Config
            );
        }
        assert!(read::<Document>("x", b"\xff\xfe\x00").is_err());
    }
}
