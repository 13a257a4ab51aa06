//! `msctl.yaml` and what the user set: typed model, layers, schema. The only YAML door.

pub mod environment;
