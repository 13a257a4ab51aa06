//! Judges a service before it ships: findings, policy, positive controls, reports; one file per tool.
//!
//! The gate believes no tool that says "nothing found". Each pass rests on three things: the tool saw what the gate itself
//! had listed, it ended as a tool ends that has something to say, and it found what the gate had planted (the control).
//! It must not know a terminal, nor how a report is shown.

mod adapter;
mod ask;
mod bench;
mod finding;
mod fingerprint;
mod given;
mod judge;
mod policy;
mod revision;
mod rules;
mod run;
mod scene;
mod step;
mod tree;

pub mod report;
pub mod tools;

pub use ask::Request;
pub use finding::{Class, Finding, Fix, Level, Waived};
pub use judge::{Control, GateReport, Reason, Row, Verdict};
pub use policy::{Policy, Standing, WaiverReport};
pub use rules::{Asked, Rules};
pub use run::{Event, run};
