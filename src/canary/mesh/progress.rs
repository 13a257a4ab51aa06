//! How a release stands, as its driver hangs it out at its lease for whoever looks. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::canary::machine::{Decision, Input, Reason};
use crate::canary::summary::{Row, Summary};
use crate::config::units::Weight;

/// As it stood when the lease was renewed last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// How long the release has been under way, in milliseconds.
    pub at_ms: u64,
    /// The weight that is asked for, per mille.
    pub asked: Weight,
    /// What it does now, and why.
    pub reason: Reason,
    /// Its steps so far.
    pub steps: Vec<Row>,
}

impl Progress {
    /// After this was seen and decided.
    pub fn of(input: &Input, decision: &Decision, summary: &Summary) -> Self {
        Self {
            at_ms: input.at(),
            asked: decision.asked,
            reason: decision.reason.clone(),
            steps: summary.rows.clone(),
        }
    }

    /// As text, for an annotation.
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From that text; nothing where it is another msctl's that says it otherwise.
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}
