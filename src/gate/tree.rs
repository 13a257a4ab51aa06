//! A door: what lies in the service's directory, listed by the gate itself, so that it knows what a tool should have seen.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::Metadata;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// More files than this are no service.
const MOST_FILES: usize = 200_000;

/// Something that may hold files, and that the list does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gap<'a> {
    /// A link out of the tree, or to nowhere.
    LinkOut(&'a str),
    /// A link to a directory within the tree.
    LinkWithin(&'a str),
    /// What cannot be read, and why.
    Unread(&'a str),
}

impl fmt::Display for Gap<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LinkOut(link) => write!(f, "`{link}` is a link out of the tree, which is not followed"),
            Self::LinkWithin(link) => write!(f, "`{link}` is a link to a directory, which is not followed"),
            Self::Unread(what) => write!(f, "cannot read {what}"),
        }
    }
}

/// Every file below a directory, but for git's own.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    /// Absolute, without links.
    pub(super) root: PathBuf,
    /// From the root, with their sizes in bytes.
    pub(super) files: BTreeMap<String, u64>,
    /// Links that lead out of the root or nowhere.
    pub(super) links_out: Vec<String>,
    /// Links to directories within the root; what lies there is listed under its own path.
    links_within: Vec<String>,
    /// What could not be listed, and why.
    pub(super) unreadable: Vec<String>,
}

impl Tree {
    /// Lists it.
    pub(super) fn list(directory: &Path) -> Result<Self, Failure> {
        let root = directory
            .canonicalize()
            .map_err(|error| Failure::io("read", directory, error))?;
        let mut tree = Self {
            root: root.clone(),
            ..Self::default()
        };
        std::fs::read_dir(&root).map_err(|error| Failure::io("read", directory, error))?;
        let mut ahead = vec![String::new()];
        while let Some(below) = ahead.pop() {
            tree.list_one(&below, &mut ahead);
        }
        Ok(tree)
    }

    fn list_one(&mut self, below: &str, ahead: &mut Vec<String>) {
        let entries = match std::fs::read_dir(self.root.join(below)) {
            Ok(entries) => entries,
            Err(error) => return self.unreadable.push(format!("{below}: {error}")),
        };
        for entry in entries {
            let Ok(entry) = entry else {
                self.unreadable.push(below.to_owned());
                continue;
            };
            let Ok(name) = entry.file_name().into_string() else {
                let shown = entry.file_name().to_string_lossy().into_owned();
                self.unreadable.push(format!("{below}/{shown}: its name is not UTF-8"));
                continue;
            };
            let path = if below.is_empty() {
                name
            } else {
                format!("{below}/{name}")
            };
            self.add(path, &entry.path(), ahead);
        }
    }

    fn add(&mut self, path: String, whole: &Path, ahead: &mut Vec<String>) {
        let Ok(meta) = whole.symlink_metadata() else {
            return self.unreadable.push(path);
        };
        if meta.is_dir() {
            // No other name and no mark hides a directory: whoever wrote the tree could have put it there.
            if path != ".git" && !path.ends_with("/.git") {
                ahead.push(path);
            }
        } else if meta.is_symlink() {
            match whole.canonicalize() {
                Ok(to) if to.starts_with(&self.root) && to.is_dir() => self.links_within.push(path),
                Ok(to) if to.starts_with(&self.root) => self.add_file(path, to.metadata()),
                _ => self.links_out.push(path),
            }
        } else if meta.is_file() {
            self.add_file(path, Ok(meta));
        }
    }

    fn add_file(&mut self, path: String, meta: std::io::Result<Metadata>) {
        match meta {
            _ if self.files.len() == MOST_FILES => {
                self.unreadable = vec![format!("there are more than {MOST_FILES} files")];
            }
            Ok(meta) => _ = self.files.insert(path, meta.len()),
            Err(error) => self.unreadable.push(format!("{path}: {error}")),
        }
    }

    /// Reads one of its files.
    pub(super) fn read(&self, file: &str) -> Result<Vec<u8>, Failure> {
        std::fs::read(self.root.join(file)).map_err(|error| Failure::io("read", file, error))
    }

    /// What the list does not have, and why.
    pub(super) fn gaps(&self) -> impl Iterator<Item = Gap<'_>> {
        let out = self.links_out.iter().map(|link| Gap::LinkOut(link));
        let within = self.links_within.iter().map(|link| Gap::LinkWithin(link));
        let unread = self.unreadable.iter().map(|what| Gap::Unread(what));
        out.chain(within).chain(unread)
    }

    /// The files that are Dockerfiles by name.
    pub(super) fn dockerfiles(&self) -> Vec<&str> {
        let own = self.files.keys().map(String::as_str).filter(|file| !is_foreign(file));
        own.filter(|file| is_dockerfile(file)).collect()
    }

    /// The YAML files in the directories that hold manifests.
    pub(super) fn manifests(&self) -> Vec<&str> {
        let all = self.files.keys().map(String::as_str);
        all.filter(|file| is_manifest(file)).collect()
    }
}

/// What other people wrote, brought along.
pub(super) fn is_foreign(file: &str) -> bool {
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    parts
        .iter()
        .any(|part| ["vendor", "node_modules", "testdata"].contains(part))
}

/// By its name.
pub(super) fn is_dockerfile(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file).to_ascii_lowercase();
    let is = |word: &str| name == word || name.starts_with(&format!("{word}.")) || name.ends_with(&format!(".{word}"));
    (is("dockerfile") || is("containerfile"))
        && !["dockerignore", "md"].contains(&name.rsplit('.').next().unwrap_or_default())
}

/// Where manifests lie.
pub(super) const MANIFEST_PLACES: [&str; 4] = ["deploy", "k8s", "kubernetes", "manifests"];

pub(super) fn is_manifest(file: &str) -> bool {
    let mut parts = file.split('/');
    let place = parts.next().is_some_and(|first| MANIFEST_PLACES.contains(&first));
    let ending = file.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    place && parts.next().is_some() && ["yaml", "yml", "json"].contains(&ending.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_names() {
        for file in [
            "Dockerfile",
            "a/Dockerfile.dev",
            "b.dockerfile",
            "Containerfile",
            "dockerfile",
        ] {
            assert!(is_dockerfile(file), "{file}");
        }
        for file in [
            "Dockerfile.dockerignore",
            "Dockerfile/x",
            "MyDockerfile",
            "docs/dockerfile.md",
        ] {
            assert!(!is_dockerfile(file), "{file}");
        }
        assert!(is_manifest("deploy/a/b.yaml") && is_manifest("k8s/a.yml") && !is_manifest("a.yaml"));
        assert!(is_foreign("vendor/x/Dockerfile") && !is_foreign("vendor"));
    }

    #[test]
    fn links_out_are_told_apart() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().join("tree");
        std::fs::create_dir_all(root.join(".git/objects")).expect("a directory");
        std::fs::write(root.join(".git/objects/a"), "x").expect("a file");
        std::fs::write(root.join("a"), "x").expect("a file");
        for (to, from) in [("a", "in"), ("/etc/passwd", "out"), ("nowhere", "broken")] {
            std::os::unix::fs::symlink(to, root.join(from)).expect("a link");
        }
        let mut tree = Tree::list(&root).expect("a tree");
        tree.links_out.sort();
        assert_eq!(tree.files, BTreeMap::from([("a".to_owned(), 1), ("in".to_owned(), 1)]));
        assert_eq!(tree.links_out, ["broken", "out"]);
    }
}
