//! A pattern of paths, as people write it. Pure.

use std::fmt;
use std::str::FromStr;

use regex::Regex;
use serde::{Deserialize, Serialize};

/// `deploy/**/*.yaml`: `*` and `?` stay within a name, `**` goes over any number of directories.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Glob {
    text: String,
    regex: Regex,
}

impl Glob {
    /// Whether it means this path, which is taken from the service's directory.
    pub fn matches(&self, path: &str) -> bool {
        self.regex.is_match(path)
    }
}

impl PartialEq for Glob {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Glob {}

impl FromStr for Glob {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_part = |part: &str| !["", ".", ".."].contains(&part) && (part == "**" || !part.contains("**"));
        if text.len() > 500 || text.chars().any(char::is_control) || !text.split('/').all(is_part) {
            return Err(format!(
                "`{}` is no path within the service, such as deploy/pod.yaml or deploy/**/*.yaml",
                text.escape_debug()
            ));
        }
        let regex = Regex::new(&expression(text)).map_err(|error| error.to_string())?;
        let text = text.to_owned();
        Ok(Self { text, regex })
    }
}

/// The same as a regular expression over the whole path.
fn expression(glob: &str) -> String {
    let mut out = String::from("^(?s:");
    let parts: Vec<&str> = glob.split('/').collect();
    for (number, part) in parts.iter().enumerate() {
        let is_last = number + 1 == parts.len();
        match (*part, is_last) {
            ("**", true) => out.push_str(".+"),
            ("**", false) => out.push_str("(?:[^/]+/)*"),
            (part, _) => {
                for c in part.chars() {
                    match c {
                        '*' => out.push_str("[^/]*"),
                        '?' => out.push_str("[^/]"),
                        c => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
                    }
                }
                out.push_str(if is_last { "" } else { "/" });
            }
        }
    }
    out + ")$"
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl TryFrom<String> for Glob {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Glob> for String {
    fn from(glob: Glob) -> Self {
        glob.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_whole_paths() {
        for (glob, path, expected) in [
            ("Dockerfile", "Dockerfile", true),
            ("Dockerfile", "a/Dockerfile", false),
            ("Dockerfile", "Dockerfile.dev", false),
            ("Dockerfile", "dockerfile", false),
            ("*.go", "main.go", true),
            ("*.go", "a/main.go", false),
            ("**/*.go", "main.go", true),
            ("**/*.go", "a/b/main.go", true),
            ("deploy/**", "deploy/a/b.yaml", true),
            ("deploy/**", "deploy", false),
            ("deploy/**", "deployed/a", false),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a/**/b", "a/xb", false),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("a.c", "abc", false),
            ("(a|b)+", "a", false),
            ("**", "a/b\nc", true),
        ] {
            let pattern: Glob = glob.parse().expect(glob);
            assert_eq!(pattern.matches(path), expected, "{glob} {path:?}");
        }
    }

    #[test]
    fn what_leads_out_of_the_service_is_no_pattern() {
        for text in ["", "/etc/passwd", "../a", "a/../b", "./a", "a//b", "a/", "a**", "a\tb"] {
            assert!(text.parse::<Glob>().is_err(), "{text:?}");
        }
    }
}
