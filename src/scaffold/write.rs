//! The door to a service's directory: files into one that is there, each whole or not at all.
//!
//! Every step is taken below an open directory (cap-std), so that no `..`, no absolute path and no symbolic link leads out of it.

use std::io::{self, Read, Write};
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, PermissionsExt};
use cap_tempfile::TempFile;

use super::{File, Mode};
use crate::failure::{Failure, Kind};

/// What stands where a file is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Absent,
    /// The same bytes.
    Same,
    /// Other bytes: these.
    Other(Vec<u8>),
}

/// What stands below `root` where these files belong. Changes nothing.
pub fn compare(root: &Path, files: &[File]) -> Result<Vec<Found>, Failure> {
    let top = open(root)?;
    files.iter().map(|file| Place::new(root, file).look(&top)).collect()
}

/// Writes these files below `root`, which is there. All places are looked at before the first byte is written; a file that has its bytes
/// already is left alone; every other is replaced in one step. Says what stood there.
pub fn files(root: &Path, files: &[File]) -> Result<Vec<Found>, Failure> {
    let found = compare(root, files)?;
    let top = open(root)?;
    for (file, found) in files.iter().zip(&found) {
        if *found != Found::Same {
            Place::new(root, file).put(&top)?;
        }
    }
    Ok(found)
}

fn open(root: &Path) -> Result<Dir, Failure> {
    Dir::open_ambient_dir(root, ambient_authority()).map_err(|e| Failure::io("open the directory", root, e))
}

/// A file and the directory it is for.
struct Place<'a> {
    root: &'a Path,
    file: &'a File,
}

impl<'a> Place<'a> {
    const fn new(root: &'a Path, file: &'a File) -> Self {
        Self { root, file }
    }

    fn look(&self, top: &Dir) -> Result<Found, Failure> {
        let (above, name) = self.file.path.split();
        let mut here = top.try_clone().map_err(|e| self.failed("read", e))?;
        for (depth, part) in above.iter().enumerate() {
            match self.enter(&here, part, depth)? {
                Some(next) => here = next,
                None => return Ok(Found::Absent),
            }
        }
        match here.symlink_metadata(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Absent),
            Err(error) => Err(self.failed("read", error)),
            Ok(meta) if meta.is_file() => self.same(&here, name, meta.len()),
            Ok(meta) => Err(self.in_the_way(above.len(), meta.is_symlink(), "not a file")),
        }
    }

    /// The directory `part` of `here`; none where it is not there yet.
    fn enter(&self, here: &Dir, part: &str, depth: usize) -> Result<Option<Dir>, Failure> {
        match here.symlink_metadata(part) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed("read", error)),
            Ok(meta) if meta.is_dir() => here.open_dir(part).map(Some).map_err(|e| self.failed("read", e)),
            Ok(meta) => Err(self.in_the_way(depth, meta.is_symlink(), "not a directory")),
        }
    }

    fn same(&self, here: &Dir, name: &str, length: u64) -> Result<Found, Failure> {
        let mut bytes = Vec::new();
        let file = here.open(name).map_err(|e| self.failed("read", e))?;
        // Not past what the file said it holds: it may be growing.
        file.take(length)
            .read_to_end(&mut bytes)
            .map_err(|e| self.failed("read", e))?;
        if bytes == self.file.bytes {
            Ok(Found::Same)
        } else {
            Ok(Found::Other(bytes))
        }
    }

    fn put(&self, top: &Dir) -> Result<(), Failure> {
        let (above, name) = self.file.path.split();
        let mut here = top.try_clone().map_err(|e| self.failed("write", e))?;
        for (depth, part) in above.iter().enumerate() {
            make(&here, part).map_err(|e| self.failed("write", e))?;
            here = self
                .enter(&here, part, depth)?
                .ok_or_else(|| self.failed("write", io::ErrorKind::NotFound.into()))?;
        }
        self.replace(&here, name).map_err(|e| self.failed("write", e))
    }

    fn replace(&self, here: &Dir, name: &str) -> io::Result<()> {
        let mut new = TempFile::new(here)?;
        new.write_all(&self.file.bytes)?;
        let file = new.as_file();
        let stood = here.metadata(name).ok().map(|m| m.permissions());
        let mut rights = stood.map_or_else(|| file.metadata().map(|m| m.permissions()), Ok)?;
        if self.file.mode == Mode::Executable {
            // Whoever may read it may run it.
            rights.set_mode(rights.mode() | ((rights.mode() & 0o444) >> 2));
        }
        file.set_permissions(rights)?;
        // The old file is given up for this one: it must be on the disk first.
        file.sync_all()?;
        new.replace(name)
    }

    fn failed(&self, doing: &str, error: io::Error) -> Failure {
        Failure::io(doing, self.root.join(self.file.path.as_str()), error)
    }

    /// The part at `depth` of the path is not what it must be.
    fn in_the_way(&self, depth: usize, link: bool, not: &str) -> Failure {
        let below: Vec<&str> = self.file.path.parts().take(depth + 1).collect();
        let path = self.root.join(below.join("/"));
        let what = if link { "a symbolic link" } else { not };
        Failure::new(
            Kind::Conflict,
            format!("cannot write `{}`: `{}` is {what}", self.file.path, path.display()),
        )
        .note("Nothing was written; msctl follows no symbolic link inside a service's directory.")
        .hint("put a real directory or file there, or move it away")
    }
}

/// A directory that may be there already.
fn make(here: &Dir, part: &str) -> io::Result<()> {
    match here.create_dir(part) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::scaffold::TreePath;

    fn file(path: &str, text: &str) -> File {
        File::plain(TreePath::parse(path).unwrap(), text)
    }

    #[test]
    fn files_are_made_with_their_directories_and_left_alone_when_they_are_the_same() {
        let root = tempfile::tempdir().unwrap();
        let wanted = [file("a/b/c.yaml", "one"), file("Dockerfile", "two")];
        assert_eq!(files(root.path(), &wanted).unwrap(), [Found::Absent, Found::Absent]);
        assert_eq!(files(root.path(), &wanted).unwrap(), [Found::Same, Found::Same]);
        fs::write(root.path().join("Dockerfile"), "mine").unwrap();
        assert_eq!(
            compare(root.path(), &wanted).unwrap()[1],
            Found::Other(b"mine".to_vec())
        );
        assert_eq!(fs::read_to_string(root.path().join("a/b/c.yaml")).unwrap(), "one");
    }

    #[test]
    fn a_file_keeps_its_rights_and_a_script_can_be_run() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let mode = |name: &str| fs::metadata(root.path().join(name)).unwrap().permissions().mode() & 0o777;
        fs::write(root.path().join("kept"), "old").unwrap();
        fs::set_permissions(root.path().join("kept"), fs::Permissions::from_mode(0o640)).unwrap();
        let mut script = file("run", "#!/bin/sh\n");
        script.mode = Mode::Executable;
        files(root.path(), &[file("kept", "new"), script]).unwrap();
        assert_eq!(mode("kept"), 0o640);
        assert_eq!(mode("run") & 0o100, 0o100);
    }

    #[test]
    fn a_link_is_never_followed_and_nothing_is_written_then() {
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("secret"), "kept").unwrap();
        symlink(outside.path(), root.path().join("deploy")).unwrap();
        symlink(outside.path().join("secret"), root.path().join("Dockerfile")).unwrap();
        symlink("nowhere", root.path().join("dangling")).unwrap();
        for path in [
            "deploy/x.yaml",
            "deploy/k8s/x.yaml",
            "Dockerfile",
            "dangling",
            "dangling/x",
        ] {
            let failure = files(root.path(), &[file("first", "1"), file(path, "x")]).unwrap_err();
            assert_eq!(failure.kind(), Kind::Conflict, "{path}");
            assert!(failure.message().ends_with("is a symbolic link"), "{failure}");
        }
        assert!(!root.path().join("first").exists());
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
        assert_eq!(fs::read_to_string(outside.path().join("secret")).unwrap(), "kept");
    }

    #[test]
    fn a_directory_where_a_file_belongs_is_a_conflict() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("Dockerfile")).unwrap();
        fs::write(root.path().join("deploy"), "a file").unwrap();
        for path in ["Dockerfile", "deploy/x"] {
            let failure = files(root.path(), &[file(path, "x")]).unwrap_err();
            assert_eq!(failure.kind(), Kind::Conflict, "{failure}");
        }
    }
}
