//! A path below a service's directory that is the same file on every system, and never leaves it. Pure.

use std::fmt;

use crate::failure::{Failure, Kind};

/// A checked path: relative, `/` between its parts, ASCII, no part that any system takes for something else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct TreePath(String);

/// The longest part most file systems take.
const LONGEST: usize = 255;

/// Device names of Windows, which an extension does not make harmless.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "com", "lpt"];

impl TreePath {
    /// Takes the path if every part of it is safe.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = text
            .split('/')
            .find_map(|part| flaw(part).map(|flaw| format!("`{}` {flaw}", part.escape_debug())));
        match wrong {
            None => Ok(Self(text.to_owned())),
            Some(wrong) => Err(Failure::new(
                Kind::Config,
                format!("`{}` is no path for a file of a service: {wrong}", text.escape_debug()),
            )),
        }
    }

    /// As it is written everywhere: with `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its parts, the file's name last.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The directories above the file, and the file's name.
    pub fn split(&self) -> (Vec<&str>, &str) {
        let mut parts: Vec<&str> = self.parts().collect();
        let name = parts.pop().unwrap_or_default();
        (parts, name)
    }

    /// What a file system that ignores case sees.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Why this part may not be in a path.
fn flaw(part: &str) -> Option<&'static str> {
    let lower = part.to_ascii_lowercase();
    let stem = lower.split('.').next().unwrap_or_default();
    let numbered = |s: &str| s.len() == 4 && s.ends_with(|c: char| c.is_ascii_digit());
    let device = DEVICES.contains(&stem) || (stem.is_ascii() && numbered(stem) && DEVICES[4..].contains(&&stem[..3]));
    match part {
        "" => Some("is empty (a path is relative, with one `/` between its parts)"),
        "." | ".." => Some("leads elsewhere"),
        _ if part.len() > LONGEST => Some("is longer than 255 bytes"),
        _ if !part
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-+@=,".contains(&b)) =>
        {
            Some("has a character other than letters, digits and `._-+@=,`")
        }
        _ if part.ends_with('.') => Some("ends with a dot, which Windows drops"),
        _ if lower == ".git" => Some("is git's own"),
        _ if device => Some("is a device on Windows"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below_the_directory_on_every_system() {
        for good in [
            "a",
            "deploy/k8s/x.yaml",
            ".github/workflows/ci.yml",
            ".gitignore",
            "com10",
            "console.go",
        ] {
            assert!(TreePath::parse(good).is_ok(), "{good}");
        }
        let long = "a".repeat(256);
        for bad in [
            "",
            "/a",
            "a/",
            "a//b",
            "..",
            "a/../b",
            "./a",
            "a\\b",
            "C:x",
            "a\0",
            "a\nb",
            "a b",
            "é",
            "a\u{202e}b",
            ".git/config",
            ".GIT/x",
            "git~1/x",
            "nul",
            "NUL.txt",
            "a/com1.go",
            "LPT9",
            "a.",
            "~/x",
            "$HOME",
            &long,
        ] {
            assert!(TreePath::parse(bad).is_err(), "{bad:?}");
        }
    }
}
