//! What the manifests call things: a name that one file gives is the name another file asks for. Pure.

use serde_json::{Value, json};

use crate::config::service::Service;

/// The container of the service in its pods.
pub(super) const CONTAINER: &str = "app";
/// Where the mesh and its ways in live.
pub(super) const MESH: &str = "istio-system";
/// Where the ways into the mesh live.
pub(super) const INGRESS: &str = "istio-ingress";
/// Where metrics and traces are collected.
pub(super) const MONITORING: &str = "monitoring";
/// The port of the Service for HTTP.
pub(super) const HTTP: u16 = 80;

/// One of the two versions that run beside each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Track {
    Stable,
    Canary,
}

impl Track {
    pub(super) const BOTH: [Self; 2] = [Self::Stable, Self::Canary];

    /// The value of the label, and the name of the subset.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Canary => "canary",
        }
    }

    /// `payment-canary`
    pub(super) fn of(self, service: &Service) -> String {
        format!("{}-{}", service.name, self.word())
    }
}

/// What selects all pods of the service.
pub(super) fn selector(service: &Service) -> Value {
    json!({ "app": service.name })
}

/// What selects the pods of one track. A Deployment's selector never changes, so the version is no part of it.
pub(super) fn track_selector(service: &Service, track: Track) -> Value {
    json!({ "app": service.name, "track": track.word() })
}

/// The labels of what belongs to the whole service.
pub(super) fn labels(service: &Service) -> Value {
    json!({
        "app": service.name,
        "app.kubernetes.io/name": service.name,
        "app.kubernetes.io/part-of": service.name,
        "app.kubernetes.io/managed-by": "msctl",
    })
}

/// The labels of what belongs to one track.
pub(super) fn track_labels(service: &Service, track: Track) -> Value {
    json!({
        "app": service.name,
        "track": track.word(),
        "version": service.version(),
        "app.kubernetes.io/name": service.name,
        "app.kubernetes.io/instance": track.of(service),
        "app.kubernetes.io/version": service.version(),
        "app.kubernetes.io/part-of": service.name,
        "app.kubernetes.io/managed-by": "msctl",
    })
}

/// Name, namespace and labels of an object.
pub(super) fn metadata(service: &Service, name: &str, labels: &Value) -> Value {
    json!({ "name": name, "namespace": service.namespace(), "labels": labels })
}

/// The name by which the whole mesh knows the Service.
pub(super) fn own_host(service: &Service) -> String {
    format!("{}.{}.svc.cluster.local", service.name, service.namespace())
}
