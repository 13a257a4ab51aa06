//! The doors to the network.

pub mod exposition;
pub mod http;
pub mod kube;
pub mod prometheus;
