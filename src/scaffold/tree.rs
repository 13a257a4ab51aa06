//! The door for a whole new directory: it is made beside its place, under another name, and renamed into it at the end.
//!
//! A run that is interrupted, refused by a full disk or killed leaves nothing at the place itself.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};

use super::{File, Mode};
use crate::failure::{Failure, Kind};

/// The directory to make, and the open directory it goes into.
#[derive(Debug)]
pub struct Site {
    target: PathBuf,
    name: String,
    parent: Dir,
}

impl Site {
    /// Looks at the place for a new directory. Anything but nothing or an empty directory is somebody else's: a conflict.
    pub fn survey(target: &Path) -> Result<Self, Failure> {
        let above = match target.parent() {
            Some(above) if above != Path::new("") => above,
            _ => Path::new("."),
        };
        let parent = Dir::open_ambient_dir(above, ambient_authority()).map_err(|error| no_parent(above, error))?;
        let name = target
            .file_name()
            .and_then(OsStr::to_str)
            .unwrap_or_default()
            .to_owned();
        let target = target.to_owned();
        let site = Self { target, name, parent };
        site.is_free()?;
        Ok(site)
    }

    fn is_free(&self) -> Result<(), Failure> {
        let meta = match self.parent.symlink_metadata(&self.name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Failure::io("look at", &self.target, error)),
            Ok(meta) => meta,
        };
        if meta.is_symlink() {
            return Err(self.taken("is a symbolic link"));
        }
        if !meta.is_dir() {
            return Err(self.taken("is there already and is not a directory"));
        }
        let mut entries = self
            .parent
            .read_dir(&self.name)
            .map_err(|error| Failure::io("look into", &self.target, error))?;
        match entries.next() {
            None => Ok(()),
            Some(_) => Err(self.taken("is there already and is not empty")),
        }
    }

    /// The directories of earlier runs for this place that were killed before their end.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        let prefix = self.prefix();
        let entries = self.parent.entries().into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut found: Vec<PathBuf> = names
            .filter(|name| name.starts_with(&prefix))
            .map(|name| self.target.with_file_name(name))
            .collect();
        found.sort();
        found
    }

    /// Makes the directory with these files. `stopped` is asked before every file: the signal that came.
    pub fn build(&self, files: &[File], stopped: &dyn Fn() -> Option<Kind>) -> Result<(), Failure> {
        let (name, new) = self.beside().map_err(|e| Failure::io("make", &self.target, e))?;
        let built = fill(&new, files, stopped)
            .map_err(|stop| stop.failure(&self.target))
            .and_then(|()| self.move_in(&name));
        drop(new);
        built.map_err(|failure| match self.parent.remove_dir_all(&name) {
            Ok(()) => failure.note("Nothing was made."),
            Err(_) => failure.note(format!(
                "`{}` is left behind.",
                self.target.with_file_name(&name).display()
            )),
        })
    }

    fn prefix(&self) -> String {
        format!(".{}.msctl-", self.name)
    }

    /// A new directory in the same parent, so that the rename stays on one file system.
    fn beside(&self) -> io::Result<(String, Dir)> {
        for attempt in 0u32.. {
            let name = format!("{}{}-{attempt}", self.prefix(), std::process::id());
            match self.parent.create_dir(&name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(()) => return self.parent.open_dir(&name).map(|dir| (name, dir)),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// A rename replaces nothing or an empty directory, and fails on all else: no look before it can be outrun.
    fn move_in(&self, name: &str) -> Result<(), Failure> {
        use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, NotADirectory};
        match self.parent.rename(name, &self.parent, &self.name) {
            Ok(()) => Ok(()),
            Err(e) if matches!(e.kind(), AlreadyExists | DirectoryNotEmpty | NotADirectory) => {
                Err(self.taken("was made by somebody else meanwhile"))
            }
            Err(error) => Err(Failure::io("move the new tree to", &self.target, error)),
        }
    }

    fn taken(&self, how: &str) -> Failure {
        let target = self.target.display();
        Failure::new(Kind::Conflict, format!("`{target}` {how}"))
            .note("Nothing in it was touched.")
            .hint(format!(
                "choose another name, or move it away: mv {target} {target}.old"
            ))
    }
}

fn no_parent(above: &Path, error: io::Error) -> Failure {
    let missing = error.kind() == io::ErrorKind::NotFound;
    let failure = Failure::io("open the directory", above, error);
    if missing {
        failure.hint(format!("mkdir -p {}", above.display()))
    } else {
        failure
    }
}

/// Why a tree was not finished.
enum Stop {
    Asked(Kind),
    Failed(String, io::Error),
}

impl Stop {
    fn failure(self, target: &Path) -> Failure {
        match self {
            Self::Asked(kind) => Failure::new(kind, format!("interrupted while making `{}`", target.display())),
            Self::Failed(path, error) => Failure::io("write", target.join(path), error),
        }
    }
}

fn fill(new: &Dir, files: &[File], stopped: &dyn Fn() -> Option<Kind>) -> Result<(), Stop> {
    let mut open: HashMap<&str, Dir> = HashMap::new();
    for file in files {
        if let Some(kind) = stopped() {
            return Err(Stop::Asked(kind));
        }
        let failed = |error| Stop::Failed(file.path.to_string(), error);
        match file.path.as_str().rsplit_once('/') {
            None => create(new, file.path.as_str(), file).map_err(failed)?,
            Some((above, name)) => {
                if !open.contains_key(above) {
                    new.create_dir_all(above).map_err(failed)?;
                    open.insert(above, new.open_dir(above).map_err(failed)?);
                }
                create(&open[above], name, file).map_err(failed)?;
            }
        }
    }
    stopped().map_or(Ok(()), |kind| Err(Stop::Asked(kind)))
}

/// A new file; one that is there is an error.
fn create(here: &Dir, name: &str, file: &File) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    options.mode(match file.mode {
        Mode::Plain => 0o666,
        Mode::Executable => 0o777,
    });
    here.open_with(name, &options)?.write_all(&file.bytes)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::scaffold::TreePath;

    fn files() -> Vec<File> {
        let mut run = File::plain(TreePath::parse("bin/run").unwrap(), "#!/bin/sh\n");
        run.mode = Mode::Executable;
        let plain = |path: &str| File::plain(TreePath::parse(path).unwrap(), path);
        vec![plain("go.mod"), plain("a/b/c"), plain("a/b/d"), run]
    }

    fn go_on() -> Option<Kind> {
        None
    }

    fn entries(of: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(of)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_tree_is_made_whole_also_over_an_empty_directory() {
        let above = tempfile::tempdir().unwrap();
        for name in ["absent", "empty"] {
            let target = above.path().join(name);
            if name == "empty" {
                fs::create_dir(&target).unwrap();
            }
            Site::survey(&target).unwrap().build(&files(), &go_on).unwrap();
            assert_eq!(entries(&target), ["a", "bin", "go.mod"]);
            assert_eq!(fs::read_to_string(target.join("a/b/d")).unwrap(), "a/b/d");
            assert_eq!(
                fs::metadata(target.join("bin/run")).unwrap().permissions().mode() & 0o100,
                0o100
            );
        }
        assert_eq!(entries(above.path()), ["absent", "empty"]);
    }

    #[test]
    fn what_is_there_is_a_conflict_and_is_not_touched() {
        let above = tempfile::tempdir().unwrap();
        let at = |name: &str| above.path().join(name);
        fs::create_dir(at("full")).unwrap();
        fs::write(at("full/mine"), "mine").unwrap();
        fs::write(at("file"), "mine").unwrap();
        symlink("nowhere", at("dangling")).unwrap();
        symlink("full", at("link")).unwrap();
        for name in ["full", "file", "dangling", "link"] {
            let failure = Site::survey(&at(name)).unwrap_err();
            assert_eq!(failure.kind(), Kind::Conflict, "{name}");
        }
        assert_eq!(entries(above.path()), ["dangling", "file", "full", "link"]);
    }

    #[test]
    fn what_appears_meanwhile_is_never_replaced() {
        let above = tempfile::tempdir().unwrap();
        for kind in ["directory", "file", "link"] {
            let target = above.path().join(kind);
            let site = Site::survey(&target).unwrap();
            let appear = || {
                match kind {
                    "directory" => fs::create_dir_all(target.join("theirs")).unwrap(),
                    "file" => fs::write(&target, "theirs").unwrap(),
                    _ => _ = symlink("nowhere", &target),
                }
                None
            };
            let failure = site.build(&files(), &appear).unwrap_err();
            assert_eq!(failure.kind(), Kind::Conflict, "{kind}: {failure}");
            assert!(!target.join("go.mod").exists(), "{kind}");
        }
        assert_eq!(entries(above.path()), ["directory", "file", "link"]);
    }

    #[test]
    fn an_interrupted_run_leaves_nothing() {
        let above = tempfile::tempdir().unwrap();
        let target = above.path().join("payment");
        for after in 0..=files().len() {
            let asked = Cell::new(0);
            let stopped = || {
                asked.set(asked.get() + 1);
                (asked.get() > after).then_some(Kind::Terminated)
            };
            let failure = Site::survey(&target).unwrap().build(&files(), &stopped).unwrap_err();
            assert_eq!(failure.kind(), Kind::Terminated);
            assert_eq!(entries(above.path()), Vec::<String>::new(), "after {after} files");
        }
    }

    #[test]
    fn the_leftovers_of_a_killed_run_are_named() {
        let above = tempfile::tempdir().unwrap();
        fs::create_dir(above.path().join(".payment.msctl-17-0")).unwrap();
        fs::create_dir(above.path().join(".other.msctl-17-0")).unwrap();
        let site = Site::survey(&above.path().join("payment")).unwrap();
        assert_eq!(site.leftovers(), [above.path().join(".payment.msctl-17-0")]);
    }

    #[test]
    fn a_missing_parent_is_named_with_the_way_out() {
        let above = tempfile::tempdir().unwrap();
        let failure = Site::survey(&above.path().join("no/payment")).unwrap_err();
        assert_eq!(failure.kind(), Kind::Io);
        assert!(failure.hints()[0].starts_with("mkdir -p "), "{failure}");
    }
}
