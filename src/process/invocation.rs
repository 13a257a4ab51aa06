//! What is to be run: a value, complete before anything starts.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One run of a program: its path, arguments, directory, whole environment, and what it may use up.
#[derive(Clone, Debug)]
pub struct Invocation {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    pub(super) directory: PathBuf,
    pub(super) environment: BTreeMap<OsString, OsString>,
    pub(super) timeout: Duration,
    pub(super) stdout_cap: usize,
    pub(super) stderr_cap: usize,
}

impl Invocation {
    /// `program` is an absolute path; it runs in `directory`, which is also its HOME and TMPDIR. stdin is empty.
    pub fn new(program: &Path, directory: &Path, timeout: Duration) -> Self {
        let environment = [
            ("HOME", directory.as_os_str()),
            ("TMPDIR", directory.as_os_str()),
            ("LANG", OsStr::new("C.UTF-8")),
        ];
        Self {
            program: program.to_owned(),
            arguments: Vec::new(),
            directory: directory.to_owned(),
            environment: environment.map(|(k, v)| (k.into(), v.to_owned())).into(),
            timeout,
            stdout_cap: 64 << 20,
            stderr_cap: 8 << 20,
        }
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments
            .extend(arguments.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// A variable of its environment.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment
            .insert(name.as_ref().to_owned(), value.as_ref().to_owned());
        self
    }

    /// Variables of its environment.
    #[must_use]
    pub fn envs<K: AsRef<OsStr>, V: AsRef<OsStr>>(self, variables: impl IntoIterator<Item = (K, V)>) -> Self {
        variables.into_iter().fold(self, |own, (k, v)| own.env(k, v))
    }

    /// The bytes of stdout and of stderr that it may write; more of either, and it is ended.
    #[must_use]
    pub const fn caps(mut self, stdout: usize, stderr: usize) -> Self {
        self.stdout_cap = stdout;
        self.stderr_cap = stderr;
        self
    }

    /// The name of the program, without its directory.
    pub fn name(&self) -> String {
        let name = self.program.file_name().unwrap_or(self.program.as_os_str());
        name.to_string_lossy().into_owned()
    }
}
