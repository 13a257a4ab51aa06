//! The programs that `tests/run` installs.

use std::path::PathBuf;
use std::process::Command;

/// One of them, or files that one of them needs.
///
/// # Panics
/// Fails the test, by name, where it is missing: no test is skipped in silence.
pub(crate) fn tool(name: &str) -> PathBuf {
    let directory = std::env::var_os("MSCTL_TEST_TOOLS")
        .map(PathBuf::from)
        .unwrap_or_default();
    let path = directory.join(name);
    assert!(
        path.exists(),
        "{name} is not in MSCTL_TEST_TOOLS (`{}`); `tests/run` installs it",
        directory.display()
    );
    path
}

/// Runs a program to its end; where it fails, what it said.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{command:?}: {}\n{said}", output.status))
}
