//! A door: the place where tools are run over copies, with nothing of the user's around them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::Reason;
use super::scene::Scene;
use super::step::{Content, Directory, PLACE, Planted, Ran, Raw, Step, Word, unusable};
use crate::failure::{Failure, Kind};
use crate::process::{Clock, Interrupt, Invocation, SearchPath};

/// Where the steps of one run are taken.
#[derive(Debug)]
pub(super) struct Bench<'a> {
    pub(super) scene: &'a Scene<'a>,
    pub(super) search: SearchPath,
    interrupt: &'a Interrupt,
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
        let invocation = self.invocation(step, &place)?;
        let output = invocation.run(&|| self.interrupt.asked().is_some())?;
        let (code, ending) = (output.code(), output.ending());
        let (stdout, stderr) = (place.forget(output.stdout), place.forget(output.stderr));
        match code {
            Some(code) if step.answers.contains(&code) => Ok(Raw { code, stdout, stderr }),
            _ => Err(unusable(step.tool.name, &ending, &stderr)),
        }
    }

    /// With a PATH and nothing else of the user's, but for what the step says.
    fn invocation(&self, step: &Step, place: &Place) -> Result<Invocation, Failure> {
        let program = self.search.find(step.tool)?;
        let directory = match &step.directory {
            Directory::Place(below) => place.path.join(below),
            Directory::Root(below) => self.scene.tree.root.join(below),
        };
        let mut invocation = Invocation::new(&program, &directory, self.scene.request.timeout)
            .env("PATH", self.search.value())
            .env("HOME", &place.path)
            .env("TMPDIR", &place.path);
        for (name, value) in &step.environment {
            invocation = invocation.env(name, self.word(value, place)?);
        }
        for word in &step.arguments {
            invocation = invocation.arg(self.word(word, place)?);
        }
        Ok(invocation)
    }

    fn plant(&self, planted: &Planted, place: &Place) -> Result<(), Failure> {
        match &planted.content {
            Content::Bytes(bytes) => place.write(&planted.at, bytes),
            Content::File(file) => place.write(&planted.at, self.scene.tree.read(file)?),
            Content::Changed(file, by) => place.write(&planted.at, by(&self.scene.tree.read(file)?)),
            Content::Given(given, file) => place.copy(&planted.at, &self.scene.given(*given)?.join(file)),
        }
    }

    fn word(&self, word: &Word, place: &Place) -> Result<OsString, Failure> {
        Ok(match word {
            Word::Text(text) => text.clone(),
            Word::Given(before, given) => {
                let mut text = OsString::from(before);
                text.push(self.scene.given(*given)?);
                text
            }
            Word::Place(below) => place.path.join(below).into(),
            Word::Root(below) => self.scene.tree.root.join(below).into(),
            Word::Kept(name) => self.kept(name, place).into(),
        })
    }

    /// An empty directory that is gone when the step is over.
    fn place(&self) -> Result<Place, Failure> {
        let made = tempfile::Builder::new().prefix("msctl-gate-").tempdir();
        let directory = made.map_err(|error| Failure::io("create", std::env::temp_dir(), error))?;
        let whole = directory.path().canonicalize();
        let path = whole.map_err(|error| Failure::io("read", directory.path(), error))?;
        if path.starts_with(&self.scene.tree.root) {
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

    /// A directory of msctl's own cache; in the place, where that would lie in the tree or nowhere.
    fn kept(&self, name: &str, place: &Place) -> PathBuf {
        let environment = &self.scene.request.environment;
        let own = environment.raw("XDG_CACHE_HOME").map(PathBuf::from);
        let own = own.or_else(|| Some(Path::new(environment.raw("HOME")?).join(".cache")));
        match own.filter(|path| path.is_absolute() && !path.starts_with(&self.scene.tree.root)) {
            Some(cache) => cache.join("msctl").join(name),
            None => place.path.join("kept").join(name),
        }
    }
}

/// A private directory.
#[derive(Debug)]
struct Place {
    path: PathBuf,
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
    fn write(&self, below: &str, bytes: impl AsRef<[u8]>) -> Result<(), Failure> {
        self.make(below, |path| std::fs::write(path, bytes))
    }

    /// Copies a file into it.
    fn copy(&self, below: &str, from: &Path) -> Result<(), Failure> {
        self.make(below, |path| std::fs::copy(from, path).map(|_| ()))
    }

    fn make(&self, below: &str, how: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<(), Failure> {
        let path = self.path.join(below);
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        let made = made.and_then(|()| how(&path));
        made.map_err(|error| Failure::io("write", Path::new(PLACE).join(below), error))
    }
}
