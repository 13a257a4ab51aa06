//! The checks that a service lists in its answer, in the forms that are common. What is in none of them lists no checks.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

/// So many checks are read, and so many characters of a reason.
const MOST: usize = 100;
const LONGEST: usize = 300;

/// One check of the service's own.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Check {
    /// Its name, as the service gives it.
    pub name: String,
    /// Whether it fails.
    pub fails: bool,
    /// Its reason, if it gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Check {
    /// `` `db` fails: connection refused ``.
    pub(super) fn text(&self) -> String {
        match &self.why {
            Some(why) => format!("`{}` fails: {why}", self.name),
            None => format!("`{}` fails", self.name),
        }
    }
}

/// JSON with `checks` (a list, or a map as in health+json) or `components` (as Spring Actuator has it), or the lines of
/// Kubernetes' own servers: `[-]db failed: reason withheld`.
pub(super) fn checks(body: &[u8]) -> Vec<Check> {
    let mut checks = match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(object)) => in_json(&object),
        _ => in_lines(&String::from_utf8_lossy(body)),
    };
    checks.truncate(MOST);
    checks
}

/// The reason that a service gives as a whole: `{"status":"fail","cause":"draining"}`.
pub(super) fn cause(body: &[u8]) -> Option<String> {
    let Ok(Value::Object(object)) = serde_json::from_slice(body) else {
        return None;
    };
    let text = ["cause", "error", "output", "message", "reason"]
        .iter()
        .find_map(|key| object.get(*key)?.as_str().filter(|text| !text.is_empty()));
    text.map(short)
}

fn in_json(object: &Map<String, Value>) -> Vec<Check> {
    match object.get("checks").or_else(|| object.get("components")) {
        Some(Value::Array(list)) => list.iter().filter_map(|check| in_object(None, check)).collect(),
        Some(Value::Object(map)) => map.iter().flat_map(|(name, value)| in_map(name, value)).collect(),
        _ => Vec::new(),
    }
}

fn in_map(name: &str, value: &Value) -> Vec<Check> {
    match value {
        Value::Array(list) => list.iter().filter_map(|check| in_object(Some(name), check)).collect(),
        other => in_object(Some(name), other).into_iter().collect(),
    }
}

fn in_object(name: Option<&str>, check: &Value) -> Option<Check> {
    let word = |keys: &[&str]| keys.iter().find_map(|key| check.get(key)?.as_str());
    let name = name.or_else(|| word(&["name"]))?;
    let status = check.as_str().or_else(|| word(&["status", "state"]))?;
    let why = word(&["cause", "error", "output", "message", "reason"]).filter(|why| !why.is_empty());
    Some(Check {
        name: short(name),
        fails: !is_well(status),
        why: why.map(short),
    })
}

/// The words for "well" of those forms; every other word fails, so that a new one is seen and not overlooked.
fn is_well(status: &str) -> bool {
    let status = status.to_ascii_lowercase();
    matches!(
        &*status,
        "ok" | "up" | "pass" | "ready" | "healthy" | "passing" | "serving" | "disabled"
    )
}

fn in_lines(text: &str) -> Vec<Check> {
    let check = |line: &str| {
        let (fails, rest) = match (line.strip_prefix("[+]"), line.strip_prefix("[-]")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return None,
        };
        let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let why = rest.strip_prefix("failed: ").map(short);
        Some(Check {
            name: short(name),
            fails,
            why,
        })
    };
    text.lines().filter_map(check).collect()
}

/// One line of it, and not all of a long one.
fn short(text: &str) -> String {
    let line = text.replace(['\n', '\r'], " ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Vec<(String, bool, Option<String>)> {
        checks(body.as_bytes())
            .into_iter()
            .map(|c| (c.name, c.fails, c.why))
            .collect()
    }

    fn check(name: &str, fails: bool, why: Option<&str>) -> (String, bool, Option<String>) {
        (name.to_owned(), fails, why.map(str::to_owned))
    }

    #[test]
    fn the_common_forms_are_read() {
        let db = || vec![check("db", true, Some("refused")), check("cache", false, None)];
        for body in [
            r#"{"status":"not-ready","checks":[{"name":"db","status":"failing","error":"refused","duration_ms":1.2},{"name":"cache","status":"ok"}]}"#,
            r#"{"status":"fail","cause":"db is down: refused","checks":{"db":{"status":"down","cause":"refused","latency_ms":1.2},"cache":{"status":"up","latency_ms":0}}}"#,
            r#"{"status":"fail","checks":{"db":[{"status":"fail","output":"refused"}],"cache":[{"status":"pass"}]}}"#,
            r#"{"status":"DOWN","components":{"db":{"status":"DOWN","error":"refused"},"cache":{"status":"UP"}}}"#,
            "[-]db failed: refused\n[+]cache ok\nreadyz check failed\n",
        ] {
            assert_eq!(read(body), db(), "{body}");
        }
    }

    #[test]
    fn everything_else_lists_no_checks() {
        for body in [
            "",
            "ok",
            "{",
            "[]",
            "null",
            r#"{"checks":7}"#,
            r#"{"checks":[7,{"name":"x"},{"status":"ok"}]}"#,
            "\0\u{1b}[2J",
        ] {
            assert_eq!(read(body), [], "{body}");
        }
        assert_eq!(checks(b"\xff\xfe{"), []);
        assert_eq!(read(&"[".repeat(100_000)), []);
    }

    #[test]
    fn a_reason_for_the_whole_is_read() {
        assert_eq!(
            cause(br#"{"status":"fail","cause":"draining"}"#).as_deref(),
            Some("draining")
        );
        for body in ["", "draining", r#"{"cause":""}"#, r#"{"cause":7}"#, r#"["cause"]"#] {
            assert_eq!(cause(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn an_answer_cannot_flood_the_report() {
        let long = format!("[-]db failed: {}", "x".repeat(1000));
        assert_eq!(read(&long)[0].2.as_ref().map(|why| why.chars().count()), Some(301));
        assert_eq!(read(&"[-]a\n".repeat(1000)).len(), 100);
        let split = r#"{"checks":[{"name":"a\nHEALTHY","status":"bad","error":"b\r\nc"}]}"#;
        assert_eq!(read(split), [check("a HEALTHY", true, Some("b  c"))]);
    }
}
