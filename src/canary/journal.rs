//! The journal of a release on disk: JSON Lines, each written out before what it decides is done.
//!
//! It owns where journals are and how they are written; what stands in them is read by `replay`.

use std::fs::{File, OpenOptions};
use std::io::Write;
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
            started: format!("{now:.0}"),
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
        let mut journal = Self { file, path };
        journal.line(header)?;
        Ok(journal)
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
