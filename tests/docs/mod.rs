//! Docs that cannot lie.

mod blocks;
mod generated;
mod rooms;
