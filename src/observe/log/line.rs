//! One log line: its bytes as they came, and what they say if they are JSON in ECS field names (or the usual others). Pure.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::Level;

/// A line as it came, without its line end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The source it came from, by its place among the sources.
    pub source: usize,
    /// 1-based, in its source.
    pub number: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Whether the next line is a piece of the same one, cut off because it was too long.
    pub cut: bool,
    /// Whether the next line of its source is at hand, so that nobody waits for this one when it is kept back.
    pub more: bool,
    /// What it says; none where it is not a JSON object.
    pub record: Option<Record>,
}

impl Line {
    /// Its text; what is not UTF-8 is replaced.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }

    /// When it says it was written.
    pub fn time(&self) -> Option<Timestamp> {
        self.record.as_ref().and_then(|r| r.time)
    }

    /// Its level, if it has one that is known.
    pub fn level(&self) -> Option<Level> {
        self.record.as_ref().and_then(|r| r.level)
    }
}

/// What a JSON line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// `@timestamp`
    pub time: Option<Timestamp>,
    /// `log.level`
    pub level: Option<Level>,
    /// `service.name`
    pub service: Option<String>,
    /// `message`
    pub message: Option<String>,
    /// The fields that were asked for, in that order.
    pub fields: Vec<Option<String>>,
}

const TIME: [&str; 4] = ["@timestamp", "time", "timestamp", "ts"];
const LEVEL: [&str; 4] = ["log.level", "level", "severity", "lvl"];
const SERVICE: [&str; 2] = ["service.name", "service"];
const MESSAGE: [&str; 2] = ["message", "msg"];
const KNOWN: usize = TIME.len() + LEVEL.len() + SERVICE.len() + MESSAGE.len();

/// Understands lines; knows which fields are asked for.
#[derive(Clone, Debug)]
pub struct Reader {
    wanted: Vec<String>,
}

impl Reader {
    /// A reader that also takes these fields: `trace.id` is found as a dotted key and as an object in an object.
    pub fn new(fields: &[String]) -> Self {
        let known = TIME.iter().chain(&LEVEL).chain(&SERVICE).chain(&MESSAGE);
        let wanted = known.map(|name| (*name).to_owned()).chain(fields.iter().cloned());
        Self {
            wanted: wanted.collect(),
        }
    }

    /// What these bytes say; none where they are not one JSON object.
    pub fn read(&self, bytes: &[u8]) -> Option<Record> {
        let text = std::str::from_utf8(bytes).ok()?;
        if !text.trim_start().starts_with('{') {
            return None;
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let mut found = json.deserialize_map(Fields(&self.wanted)).ok()?;
        json.end().ok()?;
        Some(record(&mut found))
    }
}

/// The values found, known ones first, as they are wanted.
fn record(found: &mut [Option<Value>]) -> Record {
    let (known, fields) = found.split_at_mut(KNOWN);
    let (times, rest) = known.split_at_mut(TIME.len());
    let (levels, rest) = rest.split_at_mut(LEVEL.len());
    let (services, messages) = rest.split_at_mut(SERVICE.len());
    Record {
        time: times.iter().flatten().find_map(time),
        level: levels.iter_mut().find_map(scalar).as_deref().and_then(Level::parse),
        service: services.iter_mut().find_map(scalar),
        message: messages.iter_mut().find_map(scalar),
        fields: fields.iter_mut().map(|value| value.take().and_then(text)).collect(),
    }
}

fn time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => text.parse().ok(),
        // Seconds, milli-, micro- or nanoseconds since 1970: told apart by their size.
        Value::Number(number) => {
            let number = number.as_f64()?;
            let exponent = [1e11, 1e14, 1e17].iter().filter(|limit| number >= **limit).count();
            let seconds = number / [1.0, 1e3, 1e6, 1e9][exponent];
            Timestamp::from_duration(jiff::SignedDuration::try_from_secs_f64(seconds).ok()?).ok()
        }
        _ => None,
    }
}

/// A value that is neither a list nor an object.
fn scalar(value: &mut Option<Value>) -> Option<String> {
    match value {
        Some(Value::Object(_) | Value::Array(_)) => None,
        _ => value.take().and_then(text),
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

/// Takes the wanted fields out of an object and walks over all others.
struct Fields<'a>(&'a [String]);

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = Vec<Option<Value>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = vec![None; self.0.len()];
        while let Some(Key(key)) = map.next_key()? {
            if self.0.iter().any(|path| below(path, &key).is_some()) {
                let value: Value = map.next_value()?;
                for (slot, path) in found.iter_mut().zip(self.0) {
                    if let Some(rest) = below(path, &key)
                        && let Some(value) = look_up(&value, rest)
                    {
                        *slot = Some(value.clone());
                    }
                }
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// What is left of `path` below `key`.
fn below<'a>(path: &'a str, key: &str) -> Option<&'a str> {
    match path.strip_prefix(key)? {
        "" => Some(""),
        rest => rest.strip_prefix('.'),
    }
}

fn look_up<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    if path.is_empty() {
        return Some(value);
    }
    let object = value.as_object()?;
    object.iter().find_map(|(key, value)| look_up(value, below(path, key)?))
}

#[cfg(test)]
pub(super) fn line(source: usize, number: u64, text: &str) -> Line {
    let bytes = text.as_bytes().to_vec();
    let record = Reader::new(&[]).read(&bytes);
    let (cut, more) = (false, false);
    Line {
        source,
        number,
        bytes,
        cut,
        more,
        record,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Record> {
        Reader::new(&[
            "trace.id".to_owned(),
            "http.response.status_code".to_owned(),
            "message".to_owned(),
        ])
        .read(text.as_bytes())
    }

    #[test]
    fn ecs_is_read_dotted_and_nested() {
        let dotted = r#"{"@timestamp":"2026-11-24T16:00:00.5Z","log.level":"ERROR","message":"no","service.name":"payment","trace.id":"ab","http.response.status_code":500,"x":[{}]}"#;
        let nested = r#" {"x":{"y":1},"@timestamp":"2026-11-24T17:00:00.5+01:00","log":{"level":"error"},"message":"no","service":{"name":"payment"},"trace":{"id":"ab"},"http":{"response":{"status_code":500}}}"#;
        let want = Record {
            time: Some("2026-11-24T16:00:00.5Z".parse().unwrap()),
            level: Some(Level::Error),
            service: Some("payment".into()),
            message: Some("no".into()),
            fields: vec![Some("ab".into()), Some("500".into()), Some("no".into())],
        };
        assert_eq!(read(dotted).as_ref(), Some(&want));
        assert_eq!(read(nested).as_ref(), Some(&want));
    }

    #[test]
    fn other_loggers_are_read_too() {
        for time in ["1795536000", "1795536000000", "1795536000000000", "1795536000.0"] {
            let record = read(&format!(r#"{{"level":50,"time":{time},"msg":"no","service":"p"}}"#)).unwrap();
            assert_eq!(record.time.map(Timestamp::as_second), Some(1_795_536_000), "{time}");
            assert_eq!(
                (record.level, record.message.as_deref(), record.service.as_deref()),
                (Some(Level::Error), Some("no"), Some("p"))
            );
        }
    }

    #[test]
    fn what_is_not_one_object_is_text() {
        for text in [
            "",
            "plain",
            "{",
            "{}x",
            "[1]",
            "3",
            "{\"a\":1}{\"a\":2}",
            "{\"a\":\u{0}}",
            "{'a':1}",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(Reader::new(&[]).read(b"{\"a\":\"\xff\"}").map(|r| r.message), None);
        assert_eq!(read("{}").unwrap().message, None);
        assert_eq!(
            read(r#"{"message":null,"log":3,"@timestamp":"soon"}"#).unwrap().time,
            None
        );
    }
}
