//! Docs that cannot lie.

mod generated;
mod rooms;
