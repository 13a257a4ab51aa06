//! The mark that a release leaves on its route object while it runs: an annotation that lets any other machine see it, and put
//! the weights back.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Route;
use crate::canary::machine::Ask;
use crate::canary::plan::Plan;
use crate::canary::router::version;

/// The annotation.
const ANNOTATION: &str = "msctl.dev/canary";

/// What somebody asks of the driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// What.
    #[serde(flatten)]
    pub ask: Ask,
    /// Who.
    pub by: String,
}

/// What it says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// What a person calls the release by.
    pub id: String,
    /// Who drives it: the holder of the lease.
    pub driver: String,
    /// When it began, RFC 3339.
    pub started: String,
    /// The weights as they stood before it.
    pub original: Value,
    /// The plan, for whoever takes the release over without its journal.
    pub plan: Plan,
    /// All the route objects that it moves, for whoever knows of this one only.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// What somebody asks of its driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
    /// Whether its driver ended and left traffic where it is, as it was told to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
}

impl Mark {
    /// The mark on this object; none where there is none. One that cannot be read is said.
    pub fn of(object: &Value) -> Result<Option<Self>, String> {
        match object["metadata"]["annotations"][ANNOTATION].as_str() {
            None => Ok(None),
            Some(text) => serde_json::from_str(text)
                .map(Some)
                .map_err(|e| format!("the annotation {ANNOTATION} cannot be read: {e}")),
        }
    }

    /// What puts it on this object.
    pub fn put(&self, object: &Value) -> Result<Value, String> {
        let text = serde_json::to_string(self).map_err(|e| e.to_string())?;
        let mut operations = version(object);
        if object["metadata"]["annotations"].is_object() {
            operations.push(json!({"op": "add", "path": path(), "value": text}));
        } else {
            operations.push(json!({"op": "add", "path": "/metadata/annotations", "value": {ANNOTATION: text}}));
        }
        Ok(Value::Array(operations))
    }

    /// What takes the mark off this object; nothing where there is none.
    pub fn remove(object: &Value) -> Option<Value> {
        let annotations = object["metadata"]["annotations"].as_object()?;
        let test = json!({"op": "test", "path": path(), "value": annotations.get(ANNOTATION)?});
        let remove = if annotations.len() == 1 {
            // As it was before: an empty map would be a change that stays.
            json!({"op": "remove", "path": "/metadata/annotations"})
        } else {
            json!({"op": "remove", "path": path()})
        };
        let mut operations = vec![test];
        operations.extend(version(object));
        operations.push(remove);
        Some(Value::Array(operations))
    }
}

fn path() -> String {
    format!(
        "/metadata/annotations/{}",
        ANNOTATION.replace('~', "~0").replace('/', "~1")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::service::Canary;

    fn mark() -> Mark {
        Mark {
            id: "7f3a".into(),
            driver: "ann@build-3".into(),
            started: "2026-11-25T12:00:00Z".into(),
            original: json!([100, 0]),
            plan: Plan::new(&Canary::default(), 5_000),
            routes: Vec::new(),
            asked: Some(Asked {
                ask: Ask::Pause,
                by: "ben@desk".into(),
            }),
            held: false,
        }
    }

    #[test]
    fn a_mark_is_read_as_it_was_put() {
        let text = serde_json::to_string(&mark()).unwrap();
        let object = json!({"metadata": {"annotations": {ANNOTATION: text, "other": "x"}, "resourceVersion": "7"}});
        assert_eq!(Mark::of(&object), Ok(Some(mark())));
        assert_eq!(Mark::of(&json!({"metadata": {}})), Ok(None));
        let broken = json!({"metadata": {"annotations": {ANNOTATION: "{"}}});
        assert!(Mark::of(&broken).is_err());
        let removed = Mark::remove(&object).unwrap();
        assert_eq!(removed[2]["path"], "/metadata/annotations/msctl.dev~1canary");
        assert_eq!(Mark::remove(&json!({"metadata": {}})), None);
    }

    #[test]
    fn an_object_without_annotations_gets_its_first() {
        let put = mark().put(&json!({"metadata": {"resourceVersion": "7"}})).unwrap();
        assert_eq!(
            put[0],
            json!({"op": "test", "path": "/metadata/resourceVersion", "value": "7"})
        );
        assert_eq!(put[1]["path"], "/metadata/annotations");
    }
}
