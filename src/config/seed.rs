//! The text of a new service's msctl.yaml: what was chosen, and what can be changed. Pure.

use std::fmt::Write;

use super::names::{ModulePath, ServiceName};
use super::service::Ports;

/// What a new description says; everything else keeps its default.
#[derive(Clone, Debug)]
pub struct Seed {
    /// The service's name.
    pub name: ServiceName,
    /// Its Go module path.
    pub module: ModulePath,
    /// Its ports.
    pub ports: Ports,
    /// Capability and provider.
    pub components: Vec<(String, String)>,
}

impl Seed {
    /// As it is written. Every value in it is of a checked type, so none needs quoting.
    pub fn text(&self) -> String {
        let Ports { http, grpc, metrics } = self.ports;
        let mut components = String::new();
        for (capability, provider) in &self.components {
            let comma = if components.is_empty() { " " } else { ", " };
            _ = write!(components, "{comma}{capability}: {provider}");
        }
        let components = if components.is_empty() {
            "{}".to_owned()
        } else {
            format!("{{{components} }}")
        };
        format!(
            "# What msctl knows about this service. `msctl schema` prints all keys; each has a default.
schema: msctl.service/v1
name: {name}
language: go
module: {module}
ports: {{ http: {http}, grpc: {grpc}, metrics: {metrics} }}
components: {components}
image: {{ repository: registry.example/{name} }}
deploy: {{ namespace: {name}, replicas: {{ min: 2, max: 10 }} }}
mesh: {{ provider: istio, timeout: 2s, retries: 2 }}
gate: {{ fail-on: high }}
canary: {{ steps: [1, 5, 25, 50], hold: 2m, alpha: 0.01 }}
",
            name = self.name,
            module = self.module,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::service::{Service, Telemetry};

    #[test]
    fn it_is_read_back_as_what_was_chosen() {
        let mut seed = Seed {
            name: ServiceName::parse("payment").unwrap(),
            module: ModulePath::parse("example.com/shop/payment").unwrap(),
            ports: Ports::new(18080, 19090, 19100).unwrap(),
            components: vec![("telemetry".into(), "otlp".into())],
        };
        let service = Service::parse("msctl.yaml", seed.text().as_bytes()).unwrap();
        assert_eq!(
            (service.module().as_str(), service.ports),
            ("example.com/shop/payment", seed.ports)
        );
        assert_eq!(service.components.telemetry, Some(Telemetry::Otlp));
        let defaults = Service::named(seed.name.clone());
        assert_eq!(
            (service.mesh, service.gate, service.canary),
            (defaults.mesh, defaults.gate, defaults.canary)
        );
        seed.components.clear();
        assert!(Service::parse("msctl.yaml", seed.text().as_bytes()).is_ok());
    }
}
