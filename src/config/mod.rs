//! `msctl.yaml` and what the user set: typed model, layers, schema. The only YAML door.

pub mod answers;
pub mod environment;
pub mod freeze;
pub mod gate;
pub mod glob;
pub mod metrics;
pub mod names;
pub mod quantity;
pub mod seed;
pub mod selector;
pub mod service;
pub mod units;
pub mod waivers;
pub mod yaml;
