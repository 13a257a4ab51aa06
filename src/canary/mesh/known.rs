//! Something that the API server has, as it was read last: it is read again when a bell rings, and not each time it is looked at.

use std::rc::Rc;
use std::time::Duration;

use crate::failure::Failure;
use crate::process::Clock;
use crate::remote::kube::Bell;

/// After so long it is read again, whatever bells say: a connection may be dead without anybody being told.
const STALE: Duration = Duration::from_secs(5);

/// What was read, and the bells that ring when it is changed.
#[derive(Debug)]
pub(super) struct Known<T> {
    bells: Vec<Bell>,
    read: Option<(Clock, Rc<T>)>,
}

impl<T> Known<T> {
    /// Nothing is read yet. Without any bell it is read each time.
    pub(super) const fn new(bells: Vec<Bell>) -> Self {
        Self { bells, read: None }
    }

    /// As it stands: read anew where a bell rang, or is told nothing.
    pub(super) fn look(&mut self, read: impl FnOnce() -> Result<T, Failure>) -> Result<Rc<T>, Failure> {
        let is_still = !self.bells.is_empty() && self.bells.iter().all(Bell::is_still);
        if is_still
            && let Some((since, known)) = &self.read
            && since.elapsed() < STALE
        {
            return Ok(Rc::clone(known));
        }
        self.read = None;
        self.bells.iter().for_each(Bell::hush);
        let known = Rc::new(read()?);
        self.read = Some((Clock::start(), Rc::clone(&known)));
        Ok(known)
    }

    /// It was changed from here: no bell may have rung yet.
    pub(super) fn forget(&mut self) {
        self.read = None;
    }

    /// Whether it may have changed since it was read.
    pub(super) fn rang(&self) -> bool {
        self.bells.iter().any(Bell::rang)
    }
}
