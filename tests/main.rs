//! The one integration-test binary: what a user types, against the true program.

#![expect(
    clippy::disallowed_methods,
    reason = "tests drive the program from outside, as a user would"
)]
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod commands;
mod docs;
mod lab;
mod stories;
mod support;
