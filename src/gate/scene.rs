//! What adapters plan and read by: what is asked, what lies in the tree, what time it is.

use std::path::PathBuf;

use jiff::Timestamp;

use super::Request;
use super::given::Given;
use super::tree::Tree;
use crate::failure::Failure;

/// One scene for all adapters of a run. It does not change while they look at it.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    pub(super) request: &'a Request,
    pub(super) tree: Tree,
    pub(super) now: Timestamp,
}

impl<'a> Scene<'a> {
    /// Lists the tree of the request.
    pub(super) fn of(request: &'a Request, now: Timestamp) -> Result<Self, Failure> {
        Ok(Self {
            request,
            tree: Tree::list(&request.directory)?,
            now,
        })
    }

    /// Where something is that the user named.
    pub(super) fn given(&self, given: Given) -> Result<PathBuf, Failure> {
        given.find(self.request)
    }

    /// Reads a file of a directory that the user named.
    pub(super) fn read_given(&self, given: Given, file: &str) -> Result<Vec<u8>, Failure> {
        let path = self.given(given)?.join(file);
        std::fs::read(&path).map_err(|error| Failure::io("read", &path, error))
    }
}
