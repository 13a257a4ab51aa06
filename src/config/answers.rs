//! The answers file of `msctl new`: the keys of msctl.yaml that a new service is asked for, each of which may be left out.

use std::io::Read;
use std::path::Path;

use serde::Deserialize;

use super::names::{ModulePath, ServiceName};
use super::service::{Components, Language, Schema};
use super::yaml;
use crate::failure::Failure;

/// What an answers file says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Answers {
    /// The form of msctl.yaml, whose keys these are.
    pub schema: Option<Schema>,
    /// The service's name.
    pub name: Option<ServiceName>,
    /// What it is written in.
    pub language: Option<Language>,
    /// Its Go module path.
    pub module: Option<ModulePath>,
    /// Its ports.
    pub ports: SomePorts,
    /// Its components, all of them.
    pub components: Option<Components>,
}

/// Ports, each of which may be left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SomePorts {
    /// HTTP, and the probes.
    pub http: Option<u16>,
    /// gRPC.
    pub grpc: Option<u16>,
    /// Metrics.
    pub metrics: Option<u16>,
}

impl Answers {
    /// Reads the file; `path` is as the user named it.
    pub fn load(path: &Path) -> Result<Self, Failure> {
        let failed = |error| Failure::io("read", path, error);
        let file = std::fs::File::open(path).map_err(failed)?;
        let mut bytes = Vec::new();
        file.take(yaml::LARGEST as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        yaml::read(&path.display().to_string(), &bytes)
    }
}

impl Components {
    /// The names of the providers.
    pub fn providers(&self) -> Vec<String> {
        let serde_json::Value::Object(chosen) = serde_json::json!(self) else {
            return Vec::new();
        };
        chosen.values().filter_map(|v| v.as_str().map(str::to_owned)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_those_of_msctl_yaml_and_each_may_be_left_out() {
        let read = |text: &str| yaml::read::<Answers>("answers.yaml", text.as_bytes());
        let answers = read("module: example.com/x\nports: { grpc: 9999 }\ncomponents: { telemetry: otlp }\n").unwrap();
        assert_eq!(answers.module.unwrap().as_str(), "example.com/x");
        assert_eq!((answers.ports.http, answers.ports.grpc), (None, Some(9999)));
        assert_eq!(answers.components.unwrap().providers(), ["otlp"]);
        assert_eq!(read("components: {}").unwrap().components.unwrap().providers(), [""; 0]);
        for wrong in [
            "modul: x",
            "ports: { htpp: 1 }",
            "module: x",
            "ports: { http: 70000 }",
            "",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
