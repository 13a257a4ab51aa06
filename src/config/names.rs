//! Names that end up in paths, manifests and code: checked once, where they come in. Pure.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Kind};

/// A type whose text is checked when it is made, in a file as on the command line.
macro_rules! checked_text {
    ($type:ident, $check:path, $pattern:literal, $longest:literal) => {
        impl $type {
            /// Takes the text if it is one.
            pub fn parse(text: &str) -> Result<Self, Failure> {
                $check(text)?;
                Ok(Self(text.to_owned()))
            }

            /// As it was written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = Failure;

            fn from_str(text: &str) -> Result<Self, Failure> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $type {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                Self::parse(&text).map_err(|failure| with_hints(&failure))
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern, "minLength": 1, "maxLength": $longest })
            }
        }
    };
}

pub(super) fn with_hints(failure: &Failure) -> String {
    match failure.hints().first() {
        Some(hint) => format!("{failure} ({hint})"),
        None => failure.to_string(),
    }
}

/// The name of a service: a DNS label of RFC 1035, since it becomes the name of a Kubernetes Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceName(String);
checked_text!(ServiceName, service_name, "^[a-z]([a-z0-9-]*[a-z0-9])?$", 50);

/// A Kubernetes namespace: a DNS label of RFC 1123.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Namespace(String);
checked_text!(Namespace, namespace, "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", 63);

/// The name of a metric that a release is judged by: a DNS label, short enough for the line of a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MetricName(String);
checked_text!(MetricName, metric_name, "^[a-z]([a-z0-9-]*[a-z0-9])?$", 30);

/// A Go module path, as the `go` command takes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModulePath(String);
checked_text!(ModulePath, module_path, "^[a-z0-9.-]+(/[A-Za-z0-9._~-]+)*$", 200);

/// Where an image is kept, without tag or digest: `registry.example/shop/payment`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Repository(String);
checked_text!(
    Repository,
    repository,
    "^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$",
    200
);

/// A host name of the mesh: `payment.shop.svc.cluster.local`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Host(String);
checked_text!(
    Host,
    host,
    "^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$",
    253
);

/// The tag of an image; it is the `version` label of a pod too, so it keeps to the rules of a label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);
checked_text!(Tag, tag, "^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$", 63);

/// The digest of an image: `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);
checked_text!(Digest, digest, "^sha256:[0-9a-f]{64}$", 71);

/// An image to build from, with its tag, its digest or both: `golang:1.26-alpine@sha256:…`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BaseImage(String);
checked_text!(
    BaseImage,
    base_image,
    "^[a-z0-9][a-z0-9._:/-]*(:[A-Za-z0-9._-]+)?(@sha256:[0-9a-f]{64})?$",
    300
);

/// `payment-canary-…` must still be a DNS label, so a name leaves room for what msctl hangs on to it.
const LONGEST_SERVICE: usize = 50;

fn refuse(what: &str, text: &str, why: impl fmt::Display) -> Failure {
    let shown: String = text.chars().take(60).collect();
    let dots = if text.chars().count() > 60 { "…" } else { "" };
    Failure::new(
        Kind::Usage,
        format!("`{}{dots}` is no {what}: {why}", shown.escape_debug()),
    )
}

/// Why a text is no DNS label.
fn label_flaw(text: &str, longest: usize, digit_first: bool) -> Option<String> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() {
        Some("it is empty".into())
    } else if let Some(bad) = text.chars().find(|c| !good(*c)) {
        Some(format!(
            "`{}` is not a lower-case letter, digit or hyphen",
            bad.escape_debug()
        ))
    } else if text.len() > longest {
        Some(format!("it has {} characters, {longest} are the most", text.len()))
    } else if text.starts_with('-') || text.ends_with('-') {
        Some("it begins or ends with a hyphen".into())
    } else if !digit_first && text.starts_with(|c: char| c.is_ascii_digit()) {
        Some("it begins with a digit".into())
    } else {
        None
    }
}

fn service_name(text: &str) -> Result<(), Failure> {
    let Some(flaw) = label_flaw(text, LONGEST_SERVICE, false) else {
        return Ok(());
    };
    let failure = refuse("service name", text, flaw);
    Err(match nearest_name(text) {
        Some(near) => failure.hint(format!("{near} would do")),
        None => failure.hint("lower-case letters, digits and hyphens, a letter first: payment"),
    })
}

/// The service name that is nearest to this text.
fn nearest_name(text: &str) -> Option<String> {
    let mut near = String::new();
    for c in text.chars().take(200) {
        let c = c.to_ascii_lowercase();
        let is_good = c.is_ascii_lowercase() || (c.is_ascii_digit() && !near.is_empty());
        if is_good {
            near.push(c);
        } else if !near.is_empty() && !near.ends_with('-') {
            near.push('-');
        }
    }
    near.truncate(LONGEST_SERVICE);
    let near = near.trim_end_matches('-');
    (!near.is_empty()).then(|| near.to_owned())
}

fn namespace(text: &str) -> Result<(), Failure> {
    match label_flaw(text, 63, true) {
        None => Ok(()),
        Some(flaw) => Err(refuse("namespace", text, flaw)),
    }
}

fn metric_name(text: &str) -> Result<(), Failure> {
    match label_flaw(text, 30, false) {
        None => Ok(()),
        Some(flaw) => Err(refuse("name of a metric", text, flaw)),
    }
}

fn host(text: &str) -> Result<(), Failure> {
    let flaw = text.split('.').find_map(|label| label_flaw(label, 63, true));
    match flaw {
        None if text.len() <= 253 => Ok(()),
        None => Err(refuse("host", text, "it is longer than 253 characters")),
        Some(flaw) => Err(refuse("host", text, flaw)),
    }
}

fn module_path(text: &str) -> Result<(), Failure> {
    match module_flaw(text) {
        None => Ok(()),
        Some(flaw) => {
            let hint = "such as example.com/shop/payment";
            Err(refuse("Go module path", text, flaw).hint(hint))
        }
    }
}

/// The rules of `golang.org/x/mod/module.CheckPath`, and a first element that a proxy can serve.
fn module_flaw(text: &str) -> Option<String> {
    if text.is_empty() || text.len() > 200 {
        return Some("it is empty or longer than 200 characters".into());
    }
    let first = text.split('/').next().unwrap_or_default();
    let in_host = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-';
    if !first.contains('.') || !first.chars().all(in_host) || first.starts_with('-') {
        return Some(format!("`{}` is no host name", first.escape_debug()));
    }
    text.split('/').find_map(element_flaw)
}

fn element_flaw(element: &str) -> Option<String> {
    const DEVICES: [&str; 22] = [
        "con", "prn", "aux", "nul", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9", "lpt1",
        "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9",
    ];
    let good = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    let stem = element.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let tilde = element
        .rsplit_once('~')
        .is_some_and(|(_, digits)| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()));
    if element.is_empty() {
        Some("there is nothing between two slashes".into())
    } else if let Some(bad) = element.chars().find(|c| !good(*c)) {
        Some(format!("`{}` may not stand in it", bad.escape_debug()))
    } else if element.starts_with('.') || element.ends_with('.') || tilde {
        Some(format!(
            "`{element}` begins or ends with a dot, or ends like a short name of Windows"
        ))
    } else if DEVICES.contains(&stem.as_str()) || ["internal", "vendor", "testdata"].contains(&element) {
        Some(format!("`{element}` has a meaning of its own"))
    } else {
        None
    }
}

fn repository(text: &str) -> Result<(), Failure> {
    let (host, rest) = text.split_once('/').unwrap_or((text, ""));
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    let port_ok = host.split_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_ok());
    let part = |p: &str| {
        !p.is_empty()
            && p.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
            && !p.starts_with(['.', '_', '-'])
            && !p.ends_with(['.', '_', '-'])
    };
    let flaw = if text.len() > 200 {
        "it is longer than 200 characters"
    } else if rest.contains('@') || rest.contains(':') {
        "tag and digest are not part of it"
    } else if self::host(name).is_err() || !port_ok {
        "it begins with no host name"
    } else if !rest.split('/').all(part) {
        "its path has lower-case letters, digits and `._-` between slashes"
    } else {
        return Ok(());
    };
    Err(refuse("image repository", text, flaw).hint("such as registry.example/shop/payment"))
}

fn tag(text: &str) -> Result<(), Failure> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let ends = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    let flaw = if text.is_empty() || text.len() > 63 {
        "it is empty or longer than 63 characters"
    } else if text == "latest" {
        "it names another image tomorrow"
    } else if !text.bytes().all(good) || !ends(text.bytes().next()) || !ends(text.bytes().last()) {
        "it has letters, digits and `._-`, a letter or digit at both ends"
    } else {
        return Ok(());
    };
    Err(refuse("image tag", text, flaw).hint("such as 0.1.0"))
}

fn digest(text: &str) -> Result<(), Failure> {
    let hex = text.strip_prefix("sha256:").unwrap_or_default();
    let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if hex.len() == 64 && hex.bytes().all(lower) {
        Ok(())
    } else {
        Err(refuse(
            "image digest",
            text,
            "it is `sha256:` and 64 hexadecimal digits",
        ))
    }
}

fn base_image(text: &str) -> Result<(), Failure> {
    let (named, sum) = text.split_once('@').map_or((text, None), |(n, s)| (n, Some(s)));
    let (name, mark) = match named.rsplit_once(':') {
        Some((name, mark)) if !mark.contains('/') => (name, Some(mark)),
        _ => (named, None),
    };
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._:/-".contains(c);
    let flaw = if mark.is_none() && sum.is_none() {
        "it has neither tag nor digest"
    } else if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(good) || text.len() > 300 {
        "its name has lower-case letters, digits and `._-` between slashes"
    } else if sum.is_some_and(|s| digest(s).is_err()) {
        "its digest is not `sha256:` and 64 hexadecimal digits"
    } else if mark.is_some_and(|t| tag(t).is_err()) {
        "its tag is none, or is `latest`"
    } else {
        return Ok(());
    };
    Err(refuse("base image", text, flaw).hint("such as golang:1.26-alpine@sha256:…"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_name_is_a_dns_label() {
        for good in ["payment", "a", "payment-api-2", &"a".repeat(50)] {
            assert!(ServiceName::parse(good).is_ok(), "{good}");
        }
        let long = "a".repeat(300);
        for bad in [
            "",
            "..",
            "../x",
            "a/b",
            "/a",
            "Payment",
            "2pay",
            "-a",
            "a-",
            "a_b",
            "a.b",
            "раyment",
            "pay ment",
            "a\0",
            "a\n",
            &long,
        ] {
            assert!(ServiceName::parse(bad).is_err(), "{bad:?}");
        }
        let failure = ServiceName::parse("My Service!").unwrap_err();
        assert_eq!(failure.hints(), ["my-service would do"]);
        assert!(ServiceName::parse(&long).unwrap_err().message().len() < 160);
    }

    #[test]
    fn a_module_path_is_one_that_go_takes() {
        for good in [
            "example.com/payment",
            "github.com/Shop/payment-api",
            "a.b",
            "example.com/x/v2",
        ] {
            assert!(ModulePath::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "payment",
            "/a",
            "example.com/",
            "example.com//a",
            "Example.com/a",
            "example.com/a b",
            "example.com/../a",
            "example.com/a\"b",
            "example.com/.git",
            "example.com/con",
            "example.com/a~1",
            "exämple.com/a",
            "-a.b/c",
            "example.com/internal",
        ] {
            assert!(ModulePath::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_repository_has_no_tag() {
        for good in ["registry.example/shop/payment", "localhost:5000/a", "a.b/c__d"] {
            assert!(Repository::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "payment",
            "a.b/c:v1",
            "a.b/c@sha256:00",
            "A.b/c",
            "a.b/-c",
            "a.b/",
            "a.b:x/c",
            "a.b/c d",
        ] {
            assert!(Repository::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_base_image_says_which_one() {
        let sum = format!("sha256:{}", "0a".repeat(32));
        for good in [
            "golang:1.26-alpine",
            "gcr.io/distroless/static-debian13:nonroot",
            "localhost:5000/go:1",
            &format!("golang@{sum}"),
            &format!("golang:1.26-alpine@{sum}"),
        ] {
            assert!(BaseImage::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "golang",
            "golang:latest",
            "localhost:5000/go",
            "golang:1 AS x",
            "golang:1\nRUN x",
            "$X:1",
            "golang@sha256:00",
            "Golang:1",
            ":1",
        ] {
            assert!(BaseImage::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Digest::parse(&sum).is_ok());
        assert!(Digest::parse(&sum.to_uppercase()).is_err());
    }

    #[test]
    fn a_tag_can_be_a_label() {
        for good in ["0.1.0", "v1", "2026-11-25.4f2a_b", "a"] {
            assert!(Tag::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "latest", "-1", "1.", "a b", "a:b", "a\n", &"1".repeat(64)] {
            assert!(Tag::parse(bad).is_err(), "{bad:?}");
        }
    }
}
