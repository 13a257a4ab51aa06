//! Istio: where requests go, how long they may take, and what happens to an endpoint that fails. Pure.

use serde_json::{Value, json};

use super::names::{HTTP, Track, labels, metadata, own_host, track_selector};
use super::{Artefact, documents};
use crate::config::service::Service;
use crate::config::units::Span;
use crate::failure::Failure;

const API: &str = "networking.istio.io/v1";

/// What is safe to try again: the request was not taken, or gRPC says so. A blanket `5xx` would repeat a payment.
const RETRY_ON: &str = "connect-failure,refused-stream,unavailable,cancelled";

/// The files of `deploy/istio`.
pub fn render(service: &Service) -> Result<Vec<Artefact>, Failure> {
    Ok(vec![
        documents(
            "deploy/istio/destinationrule.yaml",
            "Applied before the VirtualService, which needs its subsets.",
            &[destination_rule(service)],
        )?,
        documents(
            "deploy/istio/virtualservice.yaml",
            "A canary's driver changes the weights, and nothing else.",
            &[virtual_service(service)],
        )?,
        documents(
            "deploy/istio/kustomization.yaml",
            "",
            &[super::kubernetes::kustomization(&[
                "destinationrule.yaml",
                "virtualservice.yaml",
            ])],
        )?,
    ])
}

fn virtual_service(service: &Service) -> Value {
    let routes = [("http", HTTP), ("grpc", service.ports.grpc)];
    json!({
        "apiVersion": API,
        "kind": "VirtualService",
        "metadata": metadata(service, service.name.as_str(), &labels(service)),
        "spec": {
            "hosts": hosts(service),
            "http": routes.map(|(name, port)| route(service, name, port)),
        },
    })
}

/// Its own host, and those it answers to besides. A short name would be looked up in the namespace of the file: it is made whole.
pub(super) fn hosts(service: &Service) -> Vec<String> {
    let mut hosts = vec![own_host(service)];
    for host in service.hosts() {
        let whole = if host.contains('.') {
            host
        } else {
            format!("{host}.{}.svc.cluster.local", service.namespace())
        };
        if !hosts.contains(&whole) {
            hosts.push(whole);
        }
    }
    hosts
}

/// The requests of one port. All of them go to stable until a canary is released.
fn route(service: &Service, name: &str, port: u16) -> Value {
    let destination =
        |track: Track| json!({ "host": own_host(service), "subset": track.word(), "port": { "number": port } });
    let mut route = json!({
        "name": name,
        "match": [{ "port": port }],
        "route": [
            { "destination": destination(Track::Stable), "weight": 100 },
            { "destination": destination(Track::Canary), "weight": 0 },
        ],
        "timeout": service.mesh.timeout,
        "retries": retries(service),
    });
    if let Some(percent) = service.mesh.mirror {
        route["mirrors"] = json!([{ "destination": destination(Track::Canary), "percentage": { "value": percent } }]);
    }
    route
}

/// All tries fit into the timeout, so that the last of them is not cut short by it.
pub(super) fn retries(service: &Service) -> Value {
    let retries = u64::from(service.mesh.retries);
    if retries == 0 {
        // Without this, Istio tries twice more.
        return json!({ "attempts": 0 });
    }
    let each = Span::millis(service.mesh.timeout.as_millis() / (retries + 1));
    json!({ "attempts": retries, "perTryTimeout": each, "retryOn": RETRY_ON })
}

pub(super) fn destination_rule(service: &Service) -> Value {
    json!({
        "apiVersion": API,
        "kind": "DestinationRule",
        "metadata": metadata(service, service.name.as_str(), &labels(service)),
        "spec": {
            "host": own_host(service),
            "trafficPolicy": {
                "connectionPool": {
                    "tcp": { "maxConnections": 200, "connectTimeout": "1s" },
                    "http": {
                        "http1MaxPendingRequests": 128,
                        "http2MaxRequests": 512,
                        "maxRequestsPerConnection": 0,
                        "maxRetries": 16,
                        "idleTimeout": "300s",
                    },
                },
                "outlierDetection": {
                    "consecutive5xxErrors": 5,
                    "consecutiveGatewayErrors": 3,
                    "interval": "5s",
                    "baseEjectionTime": "30s",
                    "maxEjectionPercent": 50,
                    "minHealthPercent": 30,
                },
                "loadBalancer": { "simple": "LEAST_REQUEST", "warmup": { "duration": "30s" } },
            },
            "subsets": Track::BOTH.map(|track| json!({ "name": track.word(), "labels": track_selector(service, track) })),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::service;
    use super::*;

    #[test]
    fn all_tries_fit_into_the_timeout() {
        for (text, attempts, each) in [
            ("", 2, Some("666ms")),
            ("mesh: { timeout: 3s, retries: 2 }", 2, Some("1s")),
            ("mesh: { timeout: 3ms, retries: 2 }", 2, Some("1ms")),
            ("mesh: { timeout: 1s, retries: 0 }", 0, None),
        ] {
            let retries = retries(&service(text));
            assert_eq!(retries["attempts"], attempts, "{text}");
            assert_eq!(retries["perTryTimeout"].as_str(), each, "{text}");
        }
    }

    #[test]
    fn its_own_host_is_always_one_and_every_host_is_whole() {
        assert_eq!(
            hosts(&service(
                "deploy: { namespace: shop }\nmesh: { hosts: [pay, pay.example.com] }"
            )),
            [
                "payment.shop.svc.cluster.local",
                "pay.shop.svc.cluster.local",
                "pay.example.com"
            ]
        );
    }

    #[test]
    fn requests_are_copied_only_when_it_is_asked_for() {
        let with = |text: &str| virtual_service(&service(text))["spec"]["http"][0]["mirrors"].clone();
        assert_eq!(with(""), Value::Null);
        let mirrors = with("mesh: { mirror: 10 }");
        assert_eq!(mirrors[0]["percentage"]["value"], 10);
        assert_eq!(mirrors[0]["destination"]["subset"], "canary");
    }
}
