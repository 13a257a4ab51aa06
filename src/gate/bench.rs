//! A door: the place where tools are run over copies, with nothing of the user's around them.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::Reason;
use super::scene::Scene;
use super::step::{Content, PLACE, Planted, Ran, Raw, Step, Word};
use crate::config::environment::Environment;
use crate::failure::{Failure, Kind};
use crate::process::{Clock, End, Interrupt, Invocation, SearchPath, Tool, ToolOutput};

/// Where the steps of one run are taken.
#[derive(Debug)]
pub(super) struct Bench<'a> {
    pub(super) scene: &'a Scene<'a>,
    pub(super) search: SearchPath,
    pub(super) interrupt: &'a Interrupt,
}

impl<'a> std::ops::Deref for Bench<'a> {
    type Target = Scene<'a>;

    fn deref(&self) -> &Scene<'a> {
        self.scene
    }
}

impl<'a> Bench<'a> {
    pub(super) fn new(scene: &'a Scene<'a>, interrupt: &'a Interrupt) -> Self {
        let path = scene.request.environment.raw("PATH").unwrap_or_default();
        Self {
            scene,
            search: SearchPath::new(path, &scene.tree.root),
            interrupt,
        }
    }

    /// Takes a step to its end.
    pub(super) fn take(&self, step: &Step) -> Ran {
        let clock = Clock::start();
        Ran {
            raw: self.raw(step),
            time: clock.elapsed(),
        }
    }

    fn raw(&self, step: &Step) -> Result<Raw, Reason> {
        if self.interrupt.asked().is_some() {
            return Err(Failure::new(Kind::Interrupted, "interrupted").into());
        }
        let place = self.place()?;
        for planted in &step.planted {
            self.plant(planted, &place)?;
        }
        let mut invocation = self.invoke(step.tool, &place.path)?;
        for word in &step.arguments {
            invocation = invocation.arg(self.word(word)?);
        }
        let output = invocation.run(&|| self.interrupt.asked().is_some())?;
        let ending = output.ending();
        let code = output.code();
        let raw = Raw {
            code: code.unwrap_or_default(),
            stdout: place.forget(output.stdout),
            stderr: place.forget(output.stderr),
        };
        match code {
            Some(code) if step.answers.contains(&code) => Ok(raw),
            _ => Err(raw.unusable(step.tool.name, &ending)),
        }
    }

    fn plant(&self, planted: &Planted, place: &Place) -> Result<(), Failure> {
        match &planted.content {
            Content::Bytes(bytes) => place.write(&planted.at, bytes),
            Content::File(file) => place.write(&planted.at, self.scene.tree.read(file)?),
            Content::Changed(file, by) => place.write(&planted.at, by(&self.scene.tree.read(file)?)),
            Content::Given(given, file) => place.copy(&planted.at, &self.scene.given(*given)?.join(file)),
        }
        .map(|_| ())
    }

    fn word(&self, word: &Word) -> Result<OsString, Failure> {
        Ok(match word {
            Word::Text(text) => text.clone(),
            Word::Given(before, given) => {
                let mut text = OsString::from(before);
                text.push(self.scene.given(*given)?);
                text
            }
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
    /// Output of a tool, with [`PLACE`] for its own path.
    fn forget(&self, bytes: Vec<u8>) -> Vec<u8> {
        let own = self.path.as_os_str().as_encoded_bytes();
        let mut kept = Vec::with_capacity(bytes.len());
        let mut from = 0;
        for at in memchr::memmem::find_iter(&bytes, own) {
            kept.extend_from_slice(&bytes[from..at]);
            kept.extend_from_slice(PLACE.as_bytes());
            from = at + own.len();
        }
        if from == 0 {
            return bytes;
        }
        kept.extend_from_slice(&bytes[from..]);
        kept
    }

    /// Writes a file below it, making its directories.
    pub(super) fn write(&self, below: &str, bytes: impl AsRef<[u8]>) -> Result<PathBuf, Failure> {
        let path = self.path.join(below);
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        made.and_then(|()| std::fs::write(&path, bytes))
            .map_err(|error| Failure::io("write", &path, error))?;
        Ok(path)
    }

    /// Copies a file into it.
    fn copy(&self, below: &str, from: &Path) -> Result<PathBuf, Failure> {
        let path = self.path.join(below);
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        made.and_then(|()| std::fs::copy(from, &path))
            .map_err(|error| Failure::io("copy", from, error))?;
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
