//! The journal of a release on disk: JSON Lines, each written out before what it decides is done.
//!
//! It owns where journals are and how they are written; what stands in them is read by `replay`.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::machine::{Decision, Input};
use super::plan::Plan;
use crate::config::names::ServiceName;
use crate::failure::{Failure, Kind};
use crate::process::Clock;

/// The form of a journal.
pub const SCHEMA: &str = "msctl.canary.journal/v1";

/// Below a service's directory.
pub const DIRECTORY: &str = ".msctl/canary";

/// The first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`SCHEMA`]
    pub schema: String,
    /// What a person calls this release by.
    pub id: String,
    /// The msctl that wrote it.
    pub msctl: String,
    /// The service.
    pub service: String,
    /// What kind of release it is, and over what: `rehearsal, 2 built-in backends, 20 requests/s`.
    pub setting: String,
    /// When it began, RFC 3339.
    pub started: String,
    /// Its plan.
    pub plan: Plan,
}

/// A release that begins now.
#[derive(Clone, Debug)]
pub struct Begun {
    /// What a person will call it by.
    pub id: String,
    /// When, RFC 3339.
    pub started: String,
    /// A number that no other release has, for dice.
    pub dice: u64,
}

impl Begun {
    /// One that nobody else begins.
    pub fn now() -> Self {
        let now = Clock::now();
        let time = now.as_nanosecond().to_le_bytes();
        let digest = blake3::hash(&[&time[..], &std::process::id().to_le_bytes()].concat());
        Self {
            id: digest.to_hex()[..6].to_owned(),
            started: format!("{now:.3}"),
            dice: u64::from_le_bytes(std::array::from_fn(|at| digest.as_bytes()[8 + at])),
        }
    }

    /// The first line of its journal.
    pub fn header(&self, service: &ServiceName, setting: String, plan: &Plan) -> Header {
        Header {
            schema: SCHEMA.into(),
            id: self.id.clone(),
            msctl: env!("CARGO_PKG_VERSION").into(),
            service: service.to_string(),
            setting,
            started: self.started.clone(),
            plan: plan.clone(),
        }
    }
}

/// Every other line: what was seen, and what was decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry<I = Input, D = Decision> {
    /// What was seen.
    pub input: I,
    /// What was decided.
    pub decision: D,
}

/// A journal that is being written.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
}

impl Journal {
    /// Begins one below this directory. Its first line is on disk when this returns.
    pub fn create(service: &Path, header: &Header) -> Result<Self, Failure> {
        let directory = service.join(DIRECTORY);
        std::fs::create_dir_all(&directory).map_err(|e| Failure::io("create", &directory, e))?;
        let path = directory.join(format!("{}.jsonl", header.id));
        let mut options = OpenOptions::new();
        let file = options.append(true).create_new(true).open(&path);
        let file = file.map_err(|e| Failure::io("create", &path, e))?;
        // For as long as this process lives: who can lock it too knows that its writer is gone.
        file.lock().map_err(|e| Failure::io("lock", &path, e))?;
        let mut journal = Self { file, path };
        journal.line(header)?;
        Ok(journal)
    }

    /// The journal of this release below this directory, to be written on, and what stands in it; none where there is none. A last
    /// line that was cut off is taken away. A failure of the kind `Conflict` says that its writer lives.
    pub fn reopen(service: &Path, id: &str) -> Result<Option<(Self, Vec<u8>)>, Failure> {
        let path = service.join(DIRECTORY).join(format!("{id}.jsonl"));
        let mut file = match OpenOptions::new().read(true).append(true).open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|e| Failure::io("open", &path, e))?,
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("the writer of the journal `{}` is alive", path.display());
                return Err(Failure::new(Kind::Conflict, message));
            }
            Err(TryLockError::Error(error)) => return Err(Failure::io("lock", &path, error)),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)
            .map_err(|e| Failure::io("read", &path, e))?;
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
        if whole < bytes.len() {
            bytes.truncate(whole);
            file.set_len(whole as u64).map_err(|e| Failure::io("write", &path, e))?;
        }
        Ok(Some((Self { file, path }, bytes)))
    }

    /// Adds a line; it is on disk when this returns.
    pub fn add(&mut self, input: &Input, decision: &Decision) -> Result<(), Failure> {
        self.line(&Entry { input, decision })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn line(&mut self, body: &impl Serialize) -> Result<(), Failure> {
        let failed = |e: std::io::Error| Failure::io("write", &self.path, e);
        let mut line = serde_json::to_vec(body).map_err(|e| failed(e.into()))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(failed)?;
        self.file.sync_data().map_err(failed)
    }
}

/// The journal that `wanted` names: a path, an id or its beginning; without it the newest of the service.
pub fn find(service: &Path, wanted: Option<&str>) -> Result<PathBuf, Failure> {
    if let Some(path) = wanted.map(Path::new).filter(|path| path.is_file()) {
        return Ok(path.to_owned());
    }
    let mut journals = all(service)?;
    if journals.is_empty() {
        return Err(Failure::new(
            Kind::NoEvidence,
            format!("there is no journal below `{}`", service.display()),
        )
        .hint("msctl canary rehearse"));
    }
    let Some(wanted) = wanted else {
        let newest = journals.iter().max_by_key(|(_, time)| *time);
        return Ok(newest.map(|(path, _)| path.clone()).unwrap_or_default());
    };
    let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let ids: Vec<String> = journals.iter().map(|(path, _)| stem(path)).collect();
    journals.retain(|(path, _)| stem(path).starts_with(wanted));
    match journals.as_slice() {
        [(path, _)] => Ok(path.clone()),
        found => {
            let how = if found.is_empty() {
                "no journal"
            } else {
                "more than one journal"
            };
            Err(
                Failure::new(Kind::Usage, format!("{how} is called `{}`", wanted.escape_debug()))
                    .hint(format!("one of: {}", ids.join(", "))),
            )
        }
    }
}

/// Every journal of the service, with the time of its last change; what is called so need not be one.
pub fn all(service: &Path) -> Result<Vec<(PathBuf, std::time::SystemTime)>, Failure> {
    let directory = service.join(DIRECTORY);
    let entries = match std::fs::read_dir(&directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::io("read", &directory, error)),
        Ok(entries) => entries,
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|e| e == "jsonl")
            && let Ok(time) = entry.metadata().and_then(|m| m.modified())
        {
            found.push((path, time));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::service::Canary;

    fn begun() -> (tempfile::TempDir, Journal, Header) {
        let directory = tempfile::tempdir().unwrap();
        let plan = Plan::new(&Canary::default(), 1_000);
        let name = "payment".parse().unwrap();
        let header = Begun::now().header(&name, "test".into(), &plan);
        let journal = Journal::create(directory.path(), &header).unwrap();
        (directory, journal, header)
    }

    #[test]
    fn a_journal_is_written_on_when_its_writer_is_gone_and_not_before() {
        let (directory, journal, header) = begun();
        let again = || Journal::reopen(directory.path(), &header.id);
        assert_eq!(again().unwrap_err().kind(), Kind::Conflict);
        drop(journal);
        let (_, bytes) = again().unwrap().unwrap();
        assert!(bytes.ends_with(b"\n") && bytes.starts_with(b"{\"schema\""));
        assert!(Journal::reopen(directory.path(), "other").unwrap().is_none());
    }

    #[test]
    fn a_line_that_was_cut_off_is_taken_away_before_it_is_written_on() {
        let (directory, mut journal, header) = begun();
        journal.file.write_all(b"{\"input\":{\"saw\"").unwrap();
        drop(journal);
        let (mut journal, bytes) = Journal::reopen(directory.path(), &header.id).unwrap().unwrap();
        assert_eq!(std::fs::read(journal.path()).unwrap(), bytes);
        journal.line(&"more").unwrap();
        let written = std::fs::read(journal.path()).unwrap();
        assert_eq!(written, [&bytes[..], b"\"more\"\n"].concat());
    }
}
