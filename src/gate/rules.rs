//! Which policy and which waivers are in force. A change must not waive itself: what is judged in CI is judged by the rules of
//! the revision that it wants to join, not by its own.

use std::path::Path;

use jiff::civil::Date;

use super::Policy;
use super::revision::{Commit, Repository, is_in_repository};
use crate::config::environment::Environment;
use crate::config::gate::Gate;
use crate::config::service::{self, Service};
use crate::config::waivers::{self, Limit, Waiver};
use crate::failure::{Failure, Kind};
use crate::process::Interrupt;

/// Whose rules are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The service's directory.
    pub directory: &'a Path,
    /// What its own msctl.yaml says.
    pub own: Option<&'a Service>,
    /// The revision to take them from.
    pub base: Option<&'a str>,
    /// The user's environment: a CI system says there what a change wants to join.
    pub environment: &'a Environment,
    /// The day on which they hold, in UTC.
    pub today: Date,
}

/// The rules of one run.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What the gate asks, as far as msctl.yaml says it.
    pub gate: Gate,
    /// Which findings fail.
    pub policy: Policy,
}

/// Where they are read.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    /// Where the files lie.
    Worktree,
    /// A revision: what it is called, and what git knows it by.
    Revision { name: String, revision: String },
    /// What a CI system has checked out, which does not say what it is to join.
    CheckedOut,
}

impl Asked<'_> {
    /// Reads them: from the base, where one is given or known, else from where the files lie.
    pub fn read(&self, interrupt: &Interrupt) -> Result<Rules, Failure> {
        let own = self.own.map_or_else(Gate::default, |service| service.gate.clone());
        match origin(self.base, self.environment)? {
            Origin::Worktree => self.of_files(own),
            Origin::Revision { name, revision } => self.of_revision(&own, name, &revision, interrupt),
            Origin::CheckedOut if is_in_repository(self.directory) => {
                self.of_revision(&own, "HEAD".to_owned(), "HEAD", interrupt)
            }
            Origin::CheckedOut => {
                let mut rules = self.of_files(own)?;
                let note = "there is no git repository here: policy and waivers are those of the files";
                rules.policy.notes.push(note.to_owned());
                Ok(rules)
            }
        }
    }

    fn of_files(&self, gate: Gate) -> Result<Rules, Failure> {
        let mut policy = Policy::of(&gate, self.today);
        policy.waivers = self.waivers(&gate)?;
        Ok(Rules { gate, policy })
    }

    fn of_revision(&self, own: &Gate, name: String, revision: &str, interrupt: &Interrupt) -> Result<Rules, Failure> {
        let repository = Repository::around(self.directory, self.environment, interrupt);
        let repository = repository.map_err(|failure| cannot(&name, failure))?;
        let commit = find(&repository, &name, revision)?;
        let of_base = |file: &str| repository.read(&commit, file).map_err(|failure| cannot(&name, failure));
        let called = |file: &str| format!("{name}:{file}");

        let described = of_base(service::FILE)?;
        let gate = match &described {
            Some(bytes) => Service::parse(&called(service::FILE), bytes)?.gate,
            None => Gate::default(),
        };
        let mut policy = Policy::of(&gate, self.today);
        let waived = of_base(waivers::FILE)?.unwrap_or_default();
        policy.waivers = waivers::parse(&called(waivers::FILE), &waived, self.limit(&gate))?;
        policy.pending = self.waivers(&gate)?;
        policy.pending.retain(|waiver| !policy.waivers.contains(waiver));
        if described.is_none() && self.own.is_some() {
            policy
                .notes
                .push(format!("{name} has no {}: the defaults are in force", service::FILE));
        } else if gate != *own {
            let note = format!(
                "`gate` in {} is not as in {name}, whose policy is in force",
                service::FILE
            );
            policy.notes.push(note);
        }
        policy.from = name;
        policy.commit = Some(commit.hash().to_owned());
        Ok(Rules { gate, policy })
    }

    /// Those of the files as they lie there.
    fn waivers(&self, gate: &Gate) -> Result<Vec<Waiver>, Failure> {
        waivers::parse(waivers::FILE, &waivers::load(self.directory)?, self.limit(gate))
    }

    const fn limit(&self, gate: &Gate) -> Limit {
        Limit {
            today: self.today,
            days: gate.waivers.max_days,
        }
    }
}

/// Where a run reads its rules: what is asked for, else what a CI system says that the change wants to join, else, where
/// there is a CI system, what was checked out.
fn origin(base: Option<&str>, environment: &Environment) -> Result<Origin, Failure> {
    let named = |name: String, revision: String| Ok(Origin::Revision { name, revision });
    let branch = |name: &str| named(format!("origin/{name}"), format!("refs/remotes/origin/{name}"));
    if let Some(base) = base {
        return named(base.to_owned(), base.to_owned());
    }
    if let Some(name) = environment.text("GITHUB_BASE_REF") {
        return branch(name);
    }
    if let Some(hash) = environment.text("CI_MERGE_REQUEST_DIFF_BASE_SHA") {
        if hash.len() < 40 || !hash.bytes().all(|b| b.is_ascii_hexdigit()) {
            let message = "`CI_MERGE_REQUEST_DIFF_BASE_SHA` is no hash of a commit";
            return Err(Failure::new(Kind::NoEvidence, message));
        }
        return named(hash.chars().take(12).collect(), hash.to_owned());
    }
    if let Some(name) = environment.text("CHANGE_TARGET") {
        return branch(name);
    }
    if environment.text("CI").is_some_and(|v| v != "false" && v != "0") {
        return Ok(Origin::CheckedOut);
    }
    Ok(Origin::Worktree)
}

fn find(repository: &Repository<'_>, name: &str, revision: &str) -> Result<Commit, Failure> {
    if let Some(commit) = repository.commit(revision)? {
        return Ok(commit);
    }
    let shallow = repository.is_shallow()?;
    let cut = if shallow { " in this shallow clone" } else { " here" };
    let missing = Failure::new(
        Kind::NoEvidence,
        format!("there is no commit `{}`{cut}", name.escape_debug()),
    );
    let hint = match revision.strip_prefix("refs/remotes/origin/") {
        Some(branch) => format!("git fetch --depth 1 origin {branch}:{revision}"),
        None if shallow => "git fetch --unshallow, or a checkout with `fetch-depth: 0`".to_owned(),
        None => "git fetch origin".to_owned(),
    };
    Err(cannot(name, missing.hint(hint)))
}

fn cannot(name: &str, failure: Failure) -> Failure {
    let failure = failure.note(format!(
        "The policy and the waivers are those of {name}, so that a change cannot waive itself. No verdict was given."
    ));
    if name == "HEAD" {
        return failure.hint("CI= msctl gate    reads them from the files as they lie there");
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(base: Option<&str>, variables: &[(&str, &str)]) -> Result<String, String> {
        let environment = variables.iter().copied().collect();
        let origin = origin(base, &environment).map_err(|failure| failure.to_string())?;
        Ok(match origin {
            Origin::Worktree => "worktree".into(),
            Origin::CheckedOut => "HEAD HEAD".into(),
            Origin::Revision { name, revision } => format!("{name} {revision}"),
        })
    }

    #[test]
    fn the_base_is_what_the_change_wants_to_join() {
        let hash = "a".repeat(40);
        let gitlab = [("CI", "true"), ("CI_MERGE_REQUEST_DIFF_BASE_SHA", hash.as_str())];
        let github = [("CI", "true"), ("GITHUB_BASE_REF", "main")];
        for (base, variables, expected) in [
            (None, &[][..], "worktree"),
            (None, &[("CI", "")], "worktree"),
            (None, &[("CI", "false")], "worktree"),
            (None, &[("CI", "true")], "HEAD HEAD"),
            (None, &[("CI", "true"), ("GITHUB_BASE_REF", "")], "HEAD HEAD"),
            (None, &github, "origin/main refs/remotes/origin/main"),
            (None, &gitlab, &format!("aaaaaaaaaaaa {hash}")),
            (None, &[("CHANGE_TARGET", "v1")], "origin/v1 refs/remotes/origin/v1"),
            (Some("v2"), &github, "v2 v2"),
        ] {
            assert_eq!(at(base, variables).as_deref(), Ok(expected), "{variables:?}");
        }
        assert!(at(None, &[("CI_MERGE_REQUEST_DIFF_BASE_SHA", "main")]).is_err());
    }
}
