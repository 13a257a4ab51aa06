//! The door to other programs and to what a process is told from outside: signals, the clock.

mod clock;
mod interrupt;
pub mod service;

pub use clock::Clock;
pub use interrupt::Interrupt;
