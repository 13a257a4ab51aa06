//! The doors to the network.

pub mod http;
pub mod prometheus;
