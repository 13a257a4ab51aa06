//! A file that the user named, written whole or not at all: a reader never sees half of it.

use std::io::Write;
use std::path::Path;

use crate::failure::Failure;

/// Writes it, with the rights that any file of a program has. What stood there is replaced, a link itself, not where it leads.
pub(super) fn write(out: &Path, text: &str) -> Result<(), Failure> {
    let directory = out
        .parent()
        .filter(|d| !d.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let failed = |e: std::io::Error| Failure::io("write", out, e);
    let mut builder = tempfile::Builder::new();
    // As any file that a program writes, and not for its owner alone; the umask takes from it.
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.prefix(".msctl-").tempfile_in(directory).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.persist(out).map_err(|e| failed(e.error))?;
    Ok(())
}
