//! What a tool is to the gate: what it has to run here, and what its answers mean. Pure: an adapter starts nothing, and the
//! same scene and the same answers give the same reading, so that an answer that was kept is as good as a new one.

use super::scene::Scene;
use super::step::{Done, Step};
use super::tree::Gap;
use super::{Control, Finding, Policy, Reason};
use crate::config::service::Check;
use crate::process::Tool;

/// A tool under one check. Each is a file below `tools/`, and a line of `tools::ALL`.
pub(super) trait Adapter: Sync {
    fn tool(&self) -> &'static Tool;

    fn check(&self) -> Check;

    /// Whether it might have had to look at what the listing of the tree did not reach.
    fn concerns(&self, gap: &Gap<'_>) -> bool;

    /// Why there is nothing here that it looks at.
    fn nothing(&self, scene: &Scene<'_>) -> Result<Option<String>, Reason>;

    /// All that it runs, as far as that can be known by what is `done`; asked again until all of it is.
    fn steps(&self, scene: &Scene<'_>, done: &Done) -> Result<Vec<Step>, Reason>;

    /// What has to be run to prove that the tool works, where that is not among its steps. Asked for when the reading has
    /// no doubt and nothing over the policy, and says that the control was not run; then read once more.
    fn control(&self, _: &Scene<'_>, _: &Done) -> Result<Vec<Step>, Reason> {
        Ok(Vec::new())
    }

    /// What the answers of its steps, and of its control, mean.
    ///
    /// An `Err` is an answer that means nothing: could not tell, and why.
    fn read(&self, scene: &Scene<'_>, done: &Done) -> Result<Reading, Reason>;
}

/// What a tool saw.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    /// Of the tool, where its report says it.
    pub(super) version: Option<String>,
    pub(super) findings: Vec<Finding>,
    /// What stands against a pass.
    pub(super) doubts: Vec<Reason>,
    /// What a reader should know.
    pub(super) notes: Vec<String>,
    /// Such as `3 files`.
    pub(super) seen: String,
    pub(super) control: Control,
}

impl Reading {
    /// One that says nothing yet: no pass.
    pub(super) const fn new() -> Self {
        Self {
            version: None,
            findings: Vec::new(),
            doubts: Vec::new(),
            notes: Vec::new(),
            seen: String::new(),
            control: Control::NotRun,
        }
    }

    pub(super) fn doubt(&mut self, reason: impl Into<Reason>) {
        let reason = reason.into();
        if !self.doubts.contains(&reason) {
            self.doubts.push(reason);
        }
    }

    /// Whether a pass would be asked of it, so that a control has to be found.
    pub(super) fn needs_control(&self, policy: &Policy) -> bool {
        self.doubts.is_empty() && !self.findings.iter().any(|finding| policy.fails(finding))
    }
}

/// `3 files`, `1 file`.
pub(super) fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
