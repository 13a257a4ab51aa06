//! The meters of a canary on a mesh: they read counters that others keep.
//!
//! A form says what a series counts; the ledger adds up what its samples grew by; the meters bring the samples: from
//! Prometheus, or from each proxy. No data is its own state: a meter that has none fails, and never answers zero.
//!
//! Counters of a user's own are read beside them, each metric with queries and a ledger of its own. While Prometheus has nothing,
//! the proxies stand by.

pub mod envoy;
pub mod form;
pub mod own;
pub mod prometheus;
pub mod series;
pub mod standby;

/// So many intervals without a scrape are an outage.
pub(super) const STALE: u32 = 3;
