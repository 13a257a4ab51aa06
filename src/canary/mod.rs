//! Plan, machine, judge, driver, journal, and pages of it; the rehearsal without a cluster; routers, meters and proxies of a mesh.
//!
//! Traffic is moved by a [`Router`] and seen by a [`Meter`]; what they say is judged by pure code.

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

pub use count::{Arm, Counts, EDGES, Reading};

use crate::config::units::Weight;
use crate::failure::Failure;

/// Moves traffic: the canary's share of it.
pub trait Router {
    /// Asks for this share.
    fn write(&mut self, canary: Weight) -> Result<(), Failure>;
    /// The share that is in force, read back. A failure of the kind `Conflict` says that somebody else drives this release.
    fn read(&mut self) -> Result<Weight, Failure>;
    /// Why the canary can take no traffic at all, where that can be known.
    fn unready(&mut self) -> Option<String> {
        None
    }
}

/// Sees traffic: how much each arm answered, and how.
pub trait Meter {
    /// The counters as they stand, both arms at one time.
    fn read(&mut self) -> Result<Reading, Failure>;
}
