//! The program of the service in a directory, built as its image would have it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::environment::Environment;
use crate::failure::{Failure, Kind};
use crate::process::{End, GO, Interrupt, Invocation, SearchPath};

/// A cold build of a service and all its modules takes this long at most.
const LONGEST: Duration = Duration::from_mins(15);

/// What the `go` command is told by its caller.
const PASSED: [&str; 11] = [
    "HOME",
    "GOPATH",
    "GOMODCACHE",
    "GOCACHE",
    "GOPROXY",
    "GONOSUMDB",
    "GOSUMDB",
    "GOPRIVATE",
    "GOFLAGS",
    "GOTOOLCHAIN",
    "SSL_CERT_FILE",
];

/// Whether there is a Go service that can be built: its main package, and a `go` on PATH.
pub fn can_build(service: &Path, name: &str, environment: &Environment) -> Result<PathBuf, String> {
    if !service.join("cmd").join(name).is_dir() {
        return Err(format!("there is no `cmd/{name}` in `{}`", service.display()));
    }
    let path = environment.raw("PATH").unwrap_or_default();
    SearchPath::new(path, service)
        .find(&GO)
        .map_err(|_| "there is no `go` on PATH".to_owned())
}

/// Builds `./cmd/NAME` into `to`, an absolute path; `go` comes from [`can_build`].
pub fn build(
    go: &Path,
    service: &Path,
    name: &str,
    to: &Path,
    environment: &Environment,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let own = PASSED.iter().filter_map(|name| Some((*name, environment.raw(name)?)));
    let invocation = Invocation::new(go, service, LONGEST)
        .envs(own)
        .env("PATH", environment.raw("PATH").unwrap_or_default())
        .env("TMPDIR", std::env::temp_dir())
        .env("CGO_ENABLED", "0")
        .args(["build", "-trimpath", "-o"])
        .arg(to)
        .arg(format!("./cmd/{name}"));
    let output = invocation.run(&|| interrupt.asked().is_some())?;
    match output.code() {
        Some(0) => Ok(()),
        _ if output.end == End::Interrupted => {
            let kind = interrupt.asked().unwrap_or(Kind::Interrupted);
            Err(Failure::new(kind, format!("interrupted while building `{name}`")))
        }
        _ => {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            let failure = Failure::new(
                Kind::ToolFailed,
                format!("`go build ./cmd/{name}` failed: {}", output.ending()),
            );
            let failure = text
                .lines()
                .take(8)
                .fold(failure, |f, line| f.note(format!("| {line}")));
            Err(failure.hint(format!("cd {} && go build ./cmd/{name}", service.display())))
        }
    }
}
