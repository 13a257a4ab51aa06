//! The releases of a service, from their journals, newest first.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::journal::{self, Header};
use super::replay::{Replay, replay};
use crate::failure::{Failure, Kind};

/// The first line of a journal is no longer than this.
const HEADER: u64 = 1 << 20;

/// One journal that was found.
#[derive(Debug)]
pub struct Past {
    /// Where it is.
    pub journal: PathBuf,
    /// What it says, or why it does not.
    pub release: Result<Replay, Failure>,
}

/// The newest releases of a service, `limit` at the most, and how many there are. A journal that cannot be read stands where its
/// last change puts it, with the reason.
pub fn history(service: &Path, limit: usize) -> Result<(Vec<Past>, usize), Failure> {
    let mut found: Vec<(Timestamp, PathBuf)> = Vec::new();
    for (path, changed) in journal::all(service)? {
        let changed = Timestamp::try_from(changed).unwrap_or(Timestamp::MIN);
        found.push((began(&path).unwrap_or(changed), path));
    }
    found.sort_by(|a, b| b.cmp(a));
    let total = found.len();
    let read = |(_, journal): (Timestamp, PathBuf)| Past {
        release: bytes(&journal).and_then(|bytes| replay(&journal.display().to_string(), &bytes)),
        journal,
    };
    Ok((found.into_iter().take(limit).map(read).collect(), total))
}

/// When it began, as its first line says.
fn began(path: &Path) -> Option<Timestamp> {
    let file = std::fs::File::open(regular(path).ok()?).ok()?;
    let mut line = Vec::new();
    BufReader::new(file.take(HEADER)).read_until(b'\n', &mut line).ok()?;
    let header: Header = serde_json::from_slice(&line).ok()?;
    header.started.parse().ok()
}

fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(regular(path)?).map_err(|e| Failure::io("read", path, e))
}

/// A pipe or a device would be waited for.
fn regular(path: &Path) -> Result<&Path, Failure> {
    let metadata = std::fs::metadata(path).map_err(|e| Failure::io("read", path, e))?;
    if metadata.is_file() {
        Ok(path)
    } else {
        Err(Failure::new(Kind::Io, format!("`{}` is no file", path.display())))
    }
}
