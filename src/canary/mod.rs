//! Plan, machine, judge, driver, journal, and pages of it; the rehearsal without a cluster; the backtest over the past; routers,
//! meters and proxies of a mesh.
//!
//! Traffic is moved by a [`Router`] and seen by a [`Meter`]; what they say is judged by pure code.

pub mod backtest;
mod count;
pub mod driver;
pub mod history;
pub mod journal;
pub mod judge;
pub mod machine;
pub mod mesh;
pub mod meter;
pub mod page;
pub mod plan;
pub mod rehearsal;
pub mod replay;
pub mod router;
pub mod summary;

pub use count::{Arm, Cases, CasesOfBoth, Counts, EDGES, Metered, Reading};

use machine::Ask;

use crate::config::units::Weight;
use crate::failure::Failure;

/// Where traffic goes, as a router sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The canary has this share, everywhere.
    InForce(Weight),
    /// This share is asked for and not in force everywhere yet. Who does not have it.
    Moving(Weight, String),
    /// Somebody else gave the canary this share. What shows it.
    Others(Weight, String),
}

/// Moves traffic: the canary's share of it.
pub trait Router {
    /// Asks for this share.
    fn write(&mut self, canary: Weight) -> Result<(), Failure>;
    /// The share, read back. A failure of the kind `Conflict` says that somebody else drives this release.
    fn read(&mut self) -> Result<Seen, Failure>;
    /// What somebody asked of this release, and who: told once, after a `read` that saw it.
    fn asked(&mut self) -> Option<(Ask, String)> {
        None
    }
    /// Why the canary can take no traffic at all, where that can be known.
    fn unready(&mut self) -> Option<String> {
        None
    }
    /// Whether something may have changed since it was read.
    fn rang(&mut self) -> bool {
        false
    }
}

/// Sees traffic: how much each arm answered, and how.
pub trait Meter {
    /// The counters as they stand, both arms at one time.
    fn read(&mut self) -> Result<Reading, Failure>;
}

impl<M: Meter + ?Sized> Meter for Box<M> {
    fn read(&mut self) -> Result<Reading, Failure> {
        (**self).read()
    }
}
