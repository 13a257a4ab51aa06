//! A sealed place to run the true program in: a HOME, a working directory and a PATH of its own, 80 columns, UTC.

mod tools;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub(crate) use tools::{run, tool};

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The true program.
pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_msctl"))
}

/// One sealed place, removed at the end of the test.
pub(crate) struct Sandbox {
    directory: TempDir,
    path: Vec<PathBuf>,
    set: Vec<(OsString, OsString)>,
}

/// What one run of a program gave.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) command: String,
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sandbox {
    /// A place with nothing on its PATH but the system's own programs.
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("msctl-test-")
            .tempdir()
            .expect("a temporary directory");
        for name in ["home", "work"] {
            std::fs::create_dir(directory.path().join(name)).expect("a directory");
        }
        Self {
            directory,
            path: ["/usr/bin", "/bin"].map(PathBuf::from).to_vec(),
            set: Vec::new(),
        }
    }

    /// The same with `tools` (installed by `tests/run`) on its PATH.
    #[must_use]
    pub(crate) fn with_tools(mut self, tools: &[&str]) -> Self {
        let bin = self.directory.path().join("bin");
        std::fs::create_dir_all(&bin).expect("a directory");
        for name in tools {
            std::os::unix::fs::symlink(tool(name), bin.join(name)).expect("a link");
        }
        self.path.insert(0, bin);
        self
    }

    /// The same with Go on its PATH; its caches are the user's own (content-addressed, safe to share).
    #[must_use]
    pub(crate) fn with_go(mut self) -> Self {
        let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
        for (name, below) in [("GOMODCACHE", "go/pkg/mod"), ("GOCACHE", ".cache/go-build")] {
            let value = std::env::var_os(name).unwrap_or_else(|| home.join(below).into());
            self.set.push((name.into(), value));
        }
        for name in ["GOPROXY", "GOSUMDB", "GONOSUMDB", "GOTOOLCHAIN", "SSL_CERT_FILE"] {
            self.set
                .extend(std::env::var_os(name).map(|value| (name.into(), value)));
        }
        self.with_tools(&["go", "gofmt"])
    }

    /// The same with this variable set.
    #[must_use]
    pub(crate) fn with_env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.set.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// The working directory, or a path below it.
    pub(crate) fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join("work").join(below)
    }

    /// Writes a file below the working directory, making its directories.
    pub(crate) fn write(&self, below: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(below);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(&path, content).expect("a file");
        path
    }

    /// Reads a file below the working directory.
    pub(crate) fn read(&self, below: &str) -> String {
        let path = self.path(below);
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// Runs msctl to its end.
    pub(crate) fn msctl<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Run {
        self.run_in("", program(), arguments)
    }

    /// Runs msctl to its end, in a directory below the working directory.
    pub(crate) fn msctl_in<A: AsRef<OsStr>>(&self, below: &str, arguments: impl IntoIterator<Item = A>) -> Run {
        self.run_in(below, program(), arguments)
    }

    /// Runs any program to its end, in a directory below the working directory.
    pub(crate) fn run_in<A: AsRef<OsStr>>(
        &self,
        below: &str,
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> Run {
        finish(&mut self.command(below, program, arguments))
    }

    /// Starts msctl and gives the child, with its pipes; the test ends it.
    pub(crate) fn start<A: AsRef<OsStr>>(&self, below: &str, arguments: impl IntoIterator<Item = A>) -> Child {
        let mut command = self.command(below, program(), arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("msctl starts")
    }

    /// The command, sealed, not yet started.
    pub(crate) fn command<A: AsRef<OsStr>>(
        &self,
        below: &str,
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.path(below)).env_clear();
        command.env("HOME", self.directory.path().join("home"));
        command.env("PATH", std::env::join_paths(&self.path).expect("a PATH"));
        command.env("COLUMNS", "80").env("TZ", "UTC").env("LC_ALL", "C.UTF-8");
        command.envs(self.set.iter().map(|(k, v)| (k, v)));
        command
    }

    /// This text with the sandbox's own path as `[WORK]`.
    pub(crate) fn tidy(&self, text: &str) -> String {
        text.replace(&*self.path("").to_string_lossy(), "[WORK]/")
            .replace(self.path("").to_string_lossy().trim_end_matches('/'), "[WORK]")
    }
}

impl Run {
    /// The whole of it, as one would paste it.
    pub(crate) fn transcript(&self) -> String {
        let mut text = format!("$ {}\n{}", self.command, self.stdout);
        for line in self.stderr.lines() {
            text.push_str("! ");
            text.push_str(line);
            text.push('\n');
        }
        text + &format!("(exit {})\n", self.code)
    }

    /// stdout as one JSON document.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}\n{}", self.transcript()))
    }
}

/// Looks until this holds, for a minute at most.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_mins(1), "{what} did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command) -> Run {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    Run {
        command: describe(command),
        code: code(output.status),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn describe(command: &Command) -> String {
    let name = Path::new(command.get_program())
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let arguments = command.get_args().map(|a| a.to_string_lossy().into_owned());
    std::iter::once(name).chain(arguments).collect::<Vec<_>>().join(" ")
}

fn code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
