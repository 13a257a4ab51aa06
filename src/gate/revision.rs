//! A door: files as a commit has them, read by git.
//!
//! What is judged lies around here, and must not have a say: the repository is found by its `.git`, never by a directory that
//! only looks like one; git's own configuration is not read; nothing is fetched, replaced or filtered.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::config::environment::Environment;
use crate::failure::{Failure, Kind};
use crate::process::{Interrupt, Invocation, SearchPath, Tool, ToolOutput, last_words};

/// git, as it has been for some years: `--end-of-options` is of 2.24.
const GIT: Tool = Tool {
    name: "git",
    version: &["--version"],
    install: "apt-get install git",
};

const TIMEOUT: Duration = Duration::from_mins(1);
/// No file that is read here needs more bytes.
const LARGEST: usize = 2 << 20;

/// A repository around a directory.
#[derive(Debug)]
pub(super) struct Repository<'a> {
    git: PathBuf,
    /// Its `.git`.
    own: PathBuf,
    /// The directory, from the root of the repository; empty, or with a slash at its end.
    prefix: String,
    /// Where git runs.
    place: TempDir,
    interrupt: &'a Interrupt,
}

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Commit(String);

impl Commit {
    /// Its whole hash.
    pub(super) fn hash(&self) -> &str {
        &self.0
    }
}

/// Whether `directory` lies in one.
pub(super) fn is_in_repository(directory: &Path) -> bool {
    let above = directory.canonicalize().unwrap_or_default();
    above.ancestors().any(has_git)
}

fn has_git(directory: &Path) -> bool {
    directory.join(".git").symlink_metadata().is_ok()
}

impl<'a> Repository<'a> {
    /// The one that `directory` lies in.
    pub(super) fn around(
        directory: &Path,
        environment: &Environment,
        interrupt: &'a Interrupt,
    ) -> Result<Self, Failure> {
        let whole = directory
            .canonicalize()
            .map_err(|error| Failure::io("read", directory, error))?;
        let root = whole.ancestors().find(|above| has_git(above));
        let Some(root) = root else {
            let message = format!("`{}` lies in no git repository", directory.display());
            return Err(Failure::new(Kind::NoEvidence, message));
        };
        let below = whole.strip_prefix(root).unwrap_or(Path::new(""));
        let Some(below) = below.to_str() else {
            let message = format!("the path `{}` is not UTF-8", below.display());
            return Err(Failure::new(Kind::NoEvidence, message));
        };
        let path = environment.raw("PATH").unwrap_or_default();
        let place = tempfile::Builder::new().prefix("msctl-git-").tempdir();
        Ok(Self {
            git: SearchPath::new(path, root).find(&GIT)?,
            own: root.join(".git"),
            prefix: if below.is_empty() {
                String::new()
            } else {
                format!("{below}/")
            },
            place: place.map_err(|error| Failure::io("create", std::env::temp_dir(), error))?,
            interrupt,
        })
    }

    /// The commit that a revision names; none where there is none here.
    pub(super) fn commit(&self, revision: &str) -> Result<Option<Commit>, Failure> {
        if revision.starts_with('-') {
            let message = format!("`{}` is no revision", revision.escape_debug());
            return Err(Failure::new(Kind::Usage, message));
        }
        let wanted = format!("{revision}^{{commit}}");
        let output = self.run(&["rev-parse", "--verify", "--end-of-options", &wanted])?;
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("is ambiguous") {
            let message = format!("`{}` names more than one thing", revision.escape_debug());
            return Err(Failure::new(Kind::NoEvidence, message)
                .caused_by(last_words(&output.stderr).unwrap_or_default())
                .hint("refs/heads/NAME, refs/remotes/origin/NAME or refs/tags/NAME names one alone"));
        }
        match output.code() {
            Some(0) => {
                let hash = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                if hash.len() < 40 || !hash.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return Err(failed("rev-parse", &output));
                }
                Ok(Some(Commit(hash)))
            }
            Some(128) if said.contains("Needed a single revision") || said.contains("unknown revision") => Ok(None),
            _ => Err(failed("rev-parse", &output)),
        }
    }

    /// Whether its history was cut when it was cloned.
    pub(super) fn is_shallow(&self) -> Result<bool, Failure> {
        let output = self.run(&["rev-parse", "--is-shallow-repository"])?;
        match (output.code(), String::from_utf8_lossy(&output.stdout).trim()) {
            (Some(0), "true") => Ok(true),
            (Some(0), "false") => Ok(false),
            _ => Err(failed("rev-parse", &output)),
        }
    }

    /// A file of the directory, as the commit has it; none where it has none.
    pub(super) fn read(&self, commit: &Commit, file: &str) -> Result<Option<Vec<u8>>, Failure> {
        let path = format!("{}{file}", self.prefix);
        let output = self.run(&["ls-tree", "-z", "--full-tree", &commit.0, "--", &path])?;
        if output.code() != Some(0) {
            return Err(failed("ls-tree", &output));
        }
        let listed = String::from_utf8_lossy(&output.stdout);
        let Some(entry) = listed.split('\0').find(|entry| entry.ends_with(&format!("\t{path}"))) else {
            return Ok(None);
        };
        let words: Vec<&str> = entry.split([' ', '\t']).collect();
        let ["100644" | "100755", "blob", hash, ..] = words[..] else {
            let message = format!("`{path}` is no plain file in the commit {}", commit.0);
            return Err(Failure::new(Kind::Config, message));
        };
        let output = self.run(&["cat-file", "blob", hash])?;
        match output.code() {
            Some(0) => Ok(Some(output.stdout)),
            _ => Err(failed("cat-file", &output)),
        }
    }

    fn run(&self, arguments: &[&str]) -> Result<ToolOutput, Failure> {
        Invocation::new(&self.git, self.place.path(), TIMEOUT)
            .args(["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"])
            .args(["-c", "core.warnAmbiguousRefs=true", "-c", "protocol.allow=never"])
            .arg("--git-dir")
            .arg(&self.own)
            .args(arguments)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_LITERAL_PATHSPECS", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C")
            .caps(LARGEST, LARGEST)
            .run(&|| self.interrupt.asked().is_some())
    }
}

fn failed(what: &str, output: &ToolOutput) -> Failure {
    let message = format!("`git {what}` gave no usable answer: {}", output.ending());
    let failure = Failure::new(Kind::ToolFailed, message);
    match output.last_words() {
        Some(words) => failure.caused_by(words),
        None => failure,
    }
}
