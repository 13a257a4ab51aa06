//! A door: what the user names from outside the tree, an image and databases. They are found here; whether they are any
//! good is for the adapter that uses them.

use std::path::{Path, PathBuf};

use super::Request;
use crate::failure::{Failure, Kind};

/// Something that a flag names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// An image: an archive, or a directory.
    Image,
    /// The directory with `trivy.db` and `metadata.json`.
    TrivyDatabase,
    /// A copy of the Go vulnerability database.
    GoDatabase,
}

impl Given {
    /// Where it is, without links.
    pub(super) fn find(self, request: &Request) -> Result<PathBuf, Failure> {
        let found = match self {
            Self::Image => self.named(request.image.as_deref())?.to_owned(),
            Self::TrivyDatabase => {
                let given = self.named(request.trivy_db.as_deref())?;
                self.holding("trivy.db", [given.to_owned(), given.join("db")])?
            }
            Self::GoDatabase => {
                let given = self.named(request.vuln_db.as_deref())?;
                self.holding("index/db.json", [given.to_owned()])?
            }
        };
        found.canonicalize().map_err(|error| Failure::io("read", &found, error))
    }

    fn named(self, path: Option<&Path>) -> Result<&Path, Failure> {
        let missing = || {
            let message = format!("no {} was given: `{}`", self.word(), self.flag());
            Failure::new(Kind::NoEvidence, message).hint(self.hint())
        };
        path.ok_or_else(missing)
    }

    /// The first of these directories that holds a file.
    fn holding<const N: usize>(self, file: &str, places: [PathBuf; N]) -> Result<PathBuf, Failure> {
        let first = places[0].display().to_string();
        let found = places.into_iter().find(|place| place.join(file).is_file());
        found.ok_or_else(|| {
            let message = format!("there is no {file} in `{first}`");
            Failure::new(Kind::NoEvidence, message).hint(self.hint())
        })
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::TrivyDatabase | Self::GoDatabase => "vulnerability database",
        }
    }

    /// The flag that names it.
    pub(super) const fn flag(self) -> &'static str {
        match self {
            Self::Image => "--image FILE",
            Self::TrivyDatabase => "--trivy-db DIR",
            Self::GoDatabase => "--vuln-db DIR",
        }
    }

    /// How to come by it.
    pub(super) const fn hint(self) -> &'static str {
        match self {
            Self::Image => "docker save -o FILE IMAGE && msctl gate --image FILE",
            Self::TrivyDatabase => "trivy image --download-db-only --cache-dir DIR && msctl gate --trivy-db DIR",
            Self::GoDatabase => "unpack https://vuln.go.dev/vulndb.zip into DIR && msctl gate --vuln-db DIR",
        }
    }
}
