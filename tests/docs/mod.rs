//! Docs that cannot lie.
