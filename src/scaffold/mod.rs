//! Components, the plan of file changes, their writing.
//!
//! It owns every path and byte that msctl puts into a service's directory; it must not know a command line or a terminal.

pub mod component;
mod gomod;
#[cfg(test)]
mod lint;
pub mod lock;
mod path;
pub mod plan;
mod quote;
pub mod render;
pub mod templates;
pub mod tree;
pub mod write;

pub use path::TreePath;

/// One file of a service, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it is, below the service's directory.
    pub path: TreePath,
    /// Its content.
    pub bytes: Vec<u8>,
    /// Who may do what with it.
    pub mode: Mode,
}

impl File {
    /// A file that is only read.
    pub fn plain(path: TreePath, bytes: impl Into<Vec<u8>>) -> Self {
        let (bytes, mode) = (bytes.into(), Mode::Plain);
        Self { path, bytes, mode }
    }
}

/// Who may do what with a file; the user's umask takes away from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// 0666
    Plain,
    /// 0777
    Executable,
}
