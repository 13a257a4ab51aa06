//! The door to other programs, and to what a process is told from outside: signals, the clock.
//!
//! Nothing else starts a program. A program gets what its [`Invocation`] lists and nothing of msctl's own environment; it never outlives its run.
//! This room must not know what a tool's output means.

mod clock;
mod detached;
mod interrupt;
mod invocation;
mod output;
mod pipe;
mod run;
pub mod service;
mod tools;

pub use clock::Clock;
pub use detached::{Detached, typed_again};
pub use interrupt::Interrupt;
pub use invocation::Invocation;
pub use output::{End, ToolOutput, last_words};
pub use tools::{GO, SearchPath, Tool};

/// What this machine calls itself.
pub fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
