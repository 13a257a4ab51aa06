//! A door: the place where tools are run over copies, with nothing of the user's around them.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;

use super::tree::Tree;
use crate::config::environment::Environment;
use crate::config::service::{Check, Severity};
use crate::failure::{Failure, Kind};
use crate::process::{End, Interrupt, Invocation, SearchPath, Tool, ToolOutput};

/// What is asked of the gate.
#[derive(Clone, Debug)]
pub struct Request {
    /// The service's directory.
    pub directory: PathBuf,
    /// The checks to make.
    pub checks: Vec<Check>,
    /// The least severity that fails.
    pub fail_on: Severity,
    /// An image: a docker-save archive, an OCI layout as archive or directory.
    pub image: Option<PathBuf>,
    /// The directory with `trivy.db` and `metadata.json`, or the one above its `db`.
    pub trivy_db: Option<PathBuf>,
    /// A copy of the Go vulnerability database.
    pub vuln_db: Option<PathBuf>,
    /// What each run of a tool may take.
    pub timeout: Duration,
    /// The user's environment; tools get a little of it.
    pub environment: Environment,
}

/// What all checks of one run share.
#[derive(Debug)]
pub(super) struct Bench<'a> {
    pub(super) request: &'a Request,
    pub(super) tree: Tree,
    pub(super) search: SearchPath,
    pub(super) now: Timestamp,
    pub(super) interrupt: &'a Interrupt,
}

impl<'a> Bench<'a> {
    pub(super) fn new(request: &'a Request, interrupt: &'a Interrupt, now: Timestamp) -> Result<Self, Failure> {
        let tree = Tree::list(&request.directory)?;
        let path = request.environment.raw("PATH").unwrap_or_default();
        Ok(Self {
            request,
            search: SearchPath::new(path, &tree.root),
            tree,
            now,
            interrupt,
        })
    }

    /// An empty directory that is gone when the check is over.
    pub(super) fn place(&self) -> Result<Place, Failure> {
        let made = tempfile::Builder::new().prefix("msctl-gate-").tempdir();
        let directory = made.map_err(|error| Failure::io("create", std::env::temp_dir(), error))?;
        let whole = directory.path().canonicalize();
        let path = whole.map_err(|error| Failure::io("read", directory.path(), error))?;
        if path.starts_with(&self.tree.root) {
            let message = format!(
                "the directory for temporary files, `{}`, lies in the tree that is judged",
                path.display()
            );
            return Err(Failure::new(Kind::Config, message).hint("TMPDIR=/tmp msctl gate"));
        }
        Ok(Place {
            path,
            _directory: directory,
        })
    }

    /// A run of this tool in `place`, with a PATH and nothing else of the user's.
    pub(super) fn invoke(&self, tool: &Tool, place: &Path) -> Result<Invocation, Failure> {
        let program = self.search.find(tool)?;
        Ok(Invocation::new(&program, place, self.request.timeout).env("PATH", self.search.value()))
    }

    /// Runs it; gives its output and exit code. Anything but an end of its own is a failure.
    pub(super) fn run(&self, invocation: &Invocation) -> Result<(ToolOutput, i32), Failure> {
        let output = invocation.run(&|| self.interrupt.asked().is_some())?;
        if output.end == End::Interrupted {
            let kind = self.interrupt.asked().unwrap_or(Kind::Interrupted);
            return Err(Failure::new(kind, "the gate was interrupted"));
        }
        match output.code() {
            Some(code) => Ok((output, code)),
            None => Err(unusable(&invocation.name(), &output.ending(), &output)),
        }
    }

    /// What the tool says its version is; a report without it is poorer, not wrong.
    pub(super) fn version(&self, tool: &Tool, place: &Place) -> Option<String> {
        let invocation = self.invoke(tool, &place.path).ok()?.args(tool.version);
        let (output, code) = self.run(&invocation).ok()?;
        (code == 0).then(|| tool.version_in(&output.stdout)).flatten()
    }
}

/// A tool said what cannot be used.
pub(super) fn unusable(tool: &str, how: &str, output: &ToolOutput) -> Failure {
    let failure = Failure::new(Kind::ToolFailed, format!("`{tool}` gave no usable answer: {how}"));
    match output.last_words() {
        Some(words) => failure.note(words),
        None => failure,
    }
}

/// A private directory.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    _directory: TempDir,
}

impl Place {
    /// Writes a file below it, making its directories.
    pub(super) fn write(&self, below: &str, bytes: impl AsRef<[u8]>) -> Result<PathBuf, Failure> {
        let path = self.path.join(below);
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        made.and_then(|()| std::fs::write(&path, bytes))
            .map_err(|error| Failure::io("write", &path, error))?;
        Ok(path)
    }

    /// Makes a directory below it.
    pub(super) fn directory(&self, below: &str) -> Result<PathBuf, Failure> {
        let path = self.path.join(below);
        std::fs::create_dir_all(&path).map_err(|error| Failure::io("create", &path, error))?;
        Ok(path)
    }
}

/// `name=value` for each of `names` that the user has set.
pub(super) fn taken(environment: &Environment, names: &[&str]) -> Vec<(OsString, OsString)> {
    let own = names
        .iter()
        .filter_map(|name| Some((OsStr::new(name), environment.raw(name)?)));
    own.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
