//! Kubernetes: two Deployments of one service that a canary moves traffic between, and what they need around them. Pure.

use serde_json::{Value, json};

use super::dockerfile::USER;
use super::names::{
    CONTAINER, HTTP, INGRESS, MESH, MONITORING, Track, labels, metadata, selector, track_labels, track_selector,
};
use super::{Artefact, documents};
use crate::config::service::{Service, Telemetry};
use crate::failure::Failure;

/// preStop 5 s, the service's own drain delay 5 s, its running requests 20 s, its modules 20 s, and some to spare.
const GRACE_SECONDS: u32 = 60;

/// The files of `deploy/kubernetes`.
pub fn render(service: &Service) -> Result<Vec<Artefact>, Failure> {
    let per_track = |make: fn(&Service, Track) -> Value| Track::BOTH.map(|track| make(service, track));
    let mut services = vec![service_of_all(service)];
    services.extend(per_track(service_of_track));
    let files: [(&str, &str, Vec<Value>); 8] = [
        (
            "namespace",
            "A sidecar's init container is not allowed here: the mesh needs Istio's CNI plugin, or ambient mode.",
            vec![namespace(service)],
        ),
        ("serviceaccount", "", vec![service_account(service)]),
        (
            "networkpolicy",
            "It names the pods of this service alone; all that it does not allow is refused.",
            vec![network_policy(service)],
        ),
        ("services", "", services),
        ("deployment-stable", TRACK, vec![deployment(service, Track::Stable)]),
        ("deployment-canary", TRACK, vec![deployment(service, Track::Canary)]),
        ("autoscalers", "", per_track(autoscaler).to_vec()),
        (
            "disruptionbudgets",
            "One a track: a canary that does not start must not keep a node from draining stable.",
            per_track(disruption_budget).to_vec(),
        ),
    ];
    let mut artefacts = Vec::new();
    for (name, why, objects) in &files {
        artefacts.push(documents(&format!("deploy/kubernetes/{name}.yaml"), why, objects)?);
    }
    let names: Vec<String> = files.iter().map(|(name, ..)| format!("{name}.yaml")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    artefacts.push(documents(
        "deploy/kubernetes/kustomization.yaml",
        "",
        &[kustomization(&names)],
    )?);
    Ok(artefacts)
}

const TRACK: &str = "Its autoscaler says how many there are. A canary's driver changes the image, and nothing else.";

/// What `kubectl apply -k` applies, in this order.
pub(super) fn kustomization(files: &[&str]) -> Value {
    json!({ "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": files })
}

fn namespace(service: &Service) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": service.namespace(),
            "labels": {
                "istio-injection": "enabled",
                "pod-security.kubernetes.io/enforce": "restricted",
                "pod-security.kubernetes.io/warn": "restricted",
            },
        },
    })
}

fn service_account(service: &Service) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(service, service.name.as_str(), &labels(service)),
        "automountServiceAccountToken": false,
    })
}

/// The one that callers use. The mesh splits its traffic, so it selects both tracks; metrics are no traffic.
fn service_of_all(service: &Service) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(service, service.name.as_str(), &labels(service)),
        "spec": { "selector": selector(service), "ports": traffic_ports(service) },
    })
}

/// One track alone: what measures, compares and, without a mesh, splits.
fn service_of_track(service: &Service, track: Track) -> Value {
    let mut ports = traffic_ports(service);
    ports.push(json!({ "name": "http-metrics", "port": service.ports.metrics, "targetPort": "http-metrics" }));
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(service, &track.of(service), &track_labels(service, track)),
        "spec": { "selector": track_selector(service, track), "ports": ports },
    })
}

fn traffic_ports(service: &Service) -> Vec<Value> {
    vec![
        json!({ "name": "http", "port": HTTP, "targetPort": "http", "appProtocol": "http" }),
        json!({ "name": "grpc", "port": service.ports.grpc, "targetPort": "grpc", "appProtocol": "grpc" }),
    ]
}

fn deployment(service: &Service, track: Track) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(service, &track.of(service), &track_labels(service, track)),
        "spec": {
            "revisionHistoryLimit": 5,
            "progressDeadlineSeconds": 300,
            "minReadySeconds": 5,
            "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } },
            "selector": { "matchLabels": track_selector(service, track) },
            "template": {
                "metadata": {
                    "labels": track_labels(service, track),
                    "annotations": { "proxy.istio.io/config": "{ \"holdApplicationUntilProxyStarts\": true }" },
                },
                "spec": pod(service, track),
            },
        },
    })
}

fn pod(service: &Service, track: Track) -> Value {
    json!({
        "serviceAccountName": service.name,
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": nobody(),
        "affinity": {
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [{
                    "weight": 100,
                    "podAffinityTerm": {
                        "topologyKey": "kubernetes.io/hostname",
                        "labelSelector": { "matchLabels": track_selector(service, track) },
                    },
                }],
            },
        },
        "topologySpreadConstraints": SPREAD_OVER.map(|key| spread(service, track, key)),
        "containers": [container(service)],
        "volumes": [{ "name": "tmp", "emptyDir": { "sizeLimit": "64Mi" } }],
    })
}

/// Who runs in a pod.
pub(super) fn nobody() -> Value {
    json!({
        "runAsNonRoot": true,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": { "type": "RuntimeDefault" },
    })
}

/// What a container may not.
pub(super) fn hardened() -> Value {
    json!({
        "runAsNonRoot": true,
        "privileged": false,
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": { "drop": ["ALL"] },
        "seccompProfile": { "type": "RuntimeDefault" },
    })
}

/// Over zones first, then over nodes.
const SPREAD_OVER: [&str; 2] = ["topology.kubernetes.io/zone", "kubernetes.io/hostname"];

fn spread(service: &Service, track: Track, key: &str) -> Value {
    json!({
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": { "matchLabels": track_selector(service, track) },
        "matchLabelKeys": ["pod-template-hash"],
    })
}

fn container(service: &Service) -> Value {
    json!({
        "name": CONTAINER,
        "image": service.image(),
        "imagePullPolicy": "Always",
        "env": environment(service),
        "ports": [
            { "name": "http", "containerPort": service.ports.http },
            { "name": "grpc", "containerPort": service.ports.grpc },
            { "name": "http-metrics", "containerPort": service.ports.metrics },
        ],
        "startupProbe": probe("/startupz", 2, 30),
        "livenessProbe": probe("/livez", 10, 3),
        "readinessProbe": probe("/readyz", 5, 3),
        "lifecycle": { "preStop": { "sleep": { "seconds": 5 } } },
        "resources": resources(service),
        "securityContext": hardened(),
        "volumeMounts": [{ "name": "tmp", "mountPath": "/tmp" }],
    })
}

/// The service listens where its manifests say, whatever it was compiled with.
fn environment(service: &Service) -> Vec<Value> {
    let ports = [
        ("HTTP_PORT", service.ports.http),
        ("GRPC_PORT", service.ports.grpc),
        ("METRICS_PORT", service.ports.metrics),
    ];
    let mut variables: Vec<Value> = ports
        .iter()
        .map(|(name, port)| json!({ "name": name, "value": port.to_string() }))
        .collect();
    let limit = json!({ "containerName": CONTAINER, "resource": "limits.memory" });
    variables.push(json!({ "name": "GOMEMLIMIT", "valueFrom": { "resourceFieldRef": limit } }));
    variables
}

fn probe(path: &str, every_seconds: u32, failures: u32) -> Value {
    json!({
        "httpGet": { "path": path, "port": "http" },
        "periodSeconds": every_seconds,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    })
}

fn resources(service: &Service) -> Value {
    let resources = &service.deploy.resources;
    json!({
        "requests": { "cpu": resources.cpu, "memory": resources.memory, "ephemeral-storage": "64Mi" },
        "limits": { "cpu": resources.cpu_limit, "memory": resources.memory_limit, "ephemeral-storage": "256Mi" },
    })
}

/// The canary keeps one replica between releases, so that a file applied again never takes away what carries traffic.
pub(super) fn autoscaler(service: &Service, track: Track) -> Value {
    let replicas = service.deploy.replicas;
    let least = if track == Track::Stable { replicas.min } else { 1 };
    json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata(service, &track.of(service), &track_labels(service, track)),
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": track.of(service) },
            "minReplicas": least,
            "maxReplicas": replicas.max,
            "metrics": [{
                "type": "ContainerResource",
                "containerResource": {
                    "name": "cpu",
                    "container": CONTAINER,
                    "target": { "type": "Utilization", "averageUtilization": 70 },
                },
            }],
            "behavior": {
                "scaleUp": {
                    "stabilizationWindowSeconds": 0,
                    "policies": [{ "type": "Percent", "value": 100, "periodSeconds": 15 }],
                },
                "scaleDown": {
                    "stabilizationWindowSeconds": 300,
                    "policies": [{ "type": "Percent", "value": 25, "periodSeconds": 60 }],
                },
            },
        },
    })
}

fn disruption_budget(service: &Service, track: Track) -> Value {
    json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(service, &track.of(service), &track_labels(service, track)),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": { "matchLabels": track_selector(service, track) },
        },
    })
}

fn network_policy(service: &Service) -> Value {
    let ports = service.ports;
    let mut egress = vec![
        json!({ "to": [from("kube-system")], "ports": [udp(53), tcp(53)] }),
        json!({ "to": [from(MESH)], "ports": [tcp(15_012)] }),
        json!({ "to": [{ "podSelector": {} }] }),
    ];
    if service.components.telemetry == Some(Telemetry::Otlp) {
        egress.push(json!({ "to": [from(MONITORING)], "ports": [tcp(4_317), tcp(4_318)] }));
    }
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(service, service.name.as_str(), &labels(service)),
        "spec": {
            "podSelector": { "matchLabels": selector(service) },
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                { "from": [from(INGRESS), { "podSelector": {} }], "ports": [tcp(ports.http), tcp(ports.grpc)] },
                { "from": [from(MONITORING)], "ports": [tcp(15_020), tcp(ports.metrics)] },
            ],
            "egress": egress,
        },
    })
}

/// The pods of a namespace, by the label that Kubernetes itself keeps.
fn from(namespace: &str) -> Value {
    json!({ "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": namespace } } })
}

fn tcp(port: u16) -> Value {
    json!({ "protocol": "TCP", "port": port })
}

fn udp(port: u16) -> Value {
    json!({ "protocol": "UDP", "port": port })
}
