//! `.msctl/lock.json`: what a service was made from, so that a later msctl can tell the user's changes from its own. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Mode;
use super::plan::{Class, Plan};
use crate::failure::{Failure, Kind};

/// Where it is.
pub const PATH: &str = ".msctl/lock.json";

/// What a service was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    schema: String,
    /// The msctl that made it.
    pub msctl: String,
    /// Components and the versions of their templates.
    pub components: BTreeMap<String, String>,
    /// What was answered, in the form of msctl.yaml.
    pub answers: serde_json::Value,
    /// By path.
    pub files: BTreeMap<String, Entry>,
}

/// One file, as it was rendered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What it was made from.
    pub id: String,
    /// What an update may do to it.
    pub class: Class,
    /// Who may do what with it.
    pub mode: Mode,
    /// Of its bytes.
    pub blake3: String,
}

impl Lock {
    /// The lock of a plan, which does not hold the lock itself.
    pub fn of(plan: &Plan, msctl: &str, answers: serde_json::Value) -> Self {
        let entries = plan.files.iter().map(|planned| {
            let entry = Entry {
                id: planned.id.clone(),
                class: planned.class,
                mode: planned.file.mode,
                blake3: blake3::hash(&planned.file.bytes).to_hex().to_string(),
            };
            (planned.file.path.to_string(), entry)
        });
        Self {
            schema: "msctl.lock/v1".into(),
            msctl: msctl.into(),
            components: plan.components.clone(),
            answers,
            files: entries.collect(),
        }
    }

    /// As it is written.
    pub fn text(&self) -> Result<String, Failure> {
        serde_json::to_string_pretty(self)
            .map(|text| text + "\n")
            .map_err(|error| Failure::new(Kind::Config, "cannot write the lock file").caused_by(error))
    }
}
