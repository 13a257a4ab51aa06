//! istiod with Istio's and the Gateway API's definitions, and Envoy proxies that take their configuration from it.
//!
//! No sidecar is injected: a proxy stands beside a client and carries the client's requests into the mesh, as its sidecar would.
//! The proxies are plain upstream Envoys, which lack Istio's own filters: there is no `istio_requests_total` and no mTLS.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::control_plane::{ControlPlane, User};
use super::ground::Ground;
use super::part::Part;
use super::wire::{Api, Wire, text};
use crate::support::{run, tool};

/// How long istiod waits for more changes before it pushes one. Its default is 100 ms.
const DEBOUNCE: &str = "100ms";

/// istiod and the definitions it needs.
pub(crate) struct Mesh {
    pub(crate) istiod: Part,
    wire: Wire,
}

impl Mesh {
    /// Applies the definitions, starts istiod.
    pub(crate) fn start(ground: &Ground, wire: &Wire, plane: &ControlPlane) -> Result<Self, String> {
        define(ground, plane)?;
        let api = plane.api(User::Admin);
        api.post("/api/v1/namespaces", &json!({"metadata": {"name": "istio-system"}}))
            .ok();
        plane.pki.server("istiod", &["127.0.0.1"], &["istiod.istio-system.svc"]);
        let istiod = istiod(ground, wire, plane)?;
        admit(&api, plane.pki.authority());
        Ok(Self {
            istiod,
            wire: wire.clone(),
        })
    }

    /// What istiod says of a proxy's routes: the version that it sent, and the one that the proxy took.
    pub(crate) fn routes(&self, proxy: &Proxy) -> Option<(String, String)> {
        let (_, body) = self.wire.get("http://127.0.0.1:15080/debug/syncz").ok()?;
        let all: Value = serde_json::from_str(&body).ok()?;
        let mut own = all
            .as_array()?
            .iter()
            .filter(|p| text(&p["proxy"]).starts_with(&proxy.name));
        let own = own.next()?;
        Some((text(&own["route_sent"]), text(&own["route_acked"])))
    }
}

/// istiod's own validation of every object it reads, dry runs included. A namespace that is labelled `lab/validation: off` is
/// left out: there what istiod would refuse reaches the proxies, which refuse it.
fn admit(api: &Api, authority: &str) {
    let webhook = json!({
        "metadata": {"name": "istiod"},
        "webhooks": [{
            "name": "validation.istio.io", "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": "Fail",
            "clientConfig": {"url": "https://127.0.0.1:15017/validate", "caBundle": BASE64_STANDARD.encode(authority)},
            "rules": [{
                "operations": ["CREATE", "UPDATE"], "apiVersions": ["*"], "resources": ["*"],
                "apiGroups": ["networking.istio.io", "security.istio.io", "telemetry.istio.io", "extensions.istio.io"],
            }],
            "namespaceSelector": {"matchExpressions": [{"key": "lab/validation", "operator": "NotIn", "values": ["off"]}]},
        }],
    });
    let path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    api.post(path, &webhook).ok();
}

/// Custom resources of Istio and of the Gateway API.
fn define(ground: &Ground, plane: &ControlPlane) -> Result<(), String> {
    // kubectl does not follow a link to a directory.
    let files = |name: &str| tool(name).canonicalize().map_err(|e| format!("{name}: {e}"));
    let (istio, gateway) = (files("istio-crds")?, files("gateway-api-crds")?);
    let mut kubectl = ground.door().visitor(tool("kubectl"));
    kubectl.arg("--kubeconfig").arg(plane.kubeconfig(User::Admin));
    kubectl.args(["apply", "--server-side", "--recursive", "-f"]).arg(istio);
    run(kubectl.arg("-f").arg(gateway))?;
    let mut kubectl = ground.door().visitor(tool("kubectl"));
    kubectl.arg("--kubeconfig").arg(plane.kubeconfig(User::Admin));
    run(kubectl.args(["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]))
}

fn istiod(ground: &Ground, wire: &Wire, plane: &ControlPlane) -> Result<Part, String> {
    let mesh = json!({
        "trustDomain": "cluster.local", "rootNamespace": "istio-system", "enablePrometheusMerge": false,
        "enableAutoMtls": false, "ingressControllerMode": "OFF", "defaultProviders": {},
        "defaultConfig": {"discoveryAddress": "127.0.0.1:15012"},
    });
    let directory = ground.directory("istiod");
    let file = directory.join("mesh.yaml");
    std::fs::write(&file, mesh.to_string()).map_err(|e| e.to_string())?;
    let arguments = [
        "discovery".to_owned(),
        format!("--kubeconfig={}", plane.kubeconfig(User::Admin).display()),
        format!("--meshConfig={}", file.display()),
        format!("--networksConfig={}", directory.join("none.yaml").display()),
        "--httpAddr=127.0.0.1:15080".into(),
        "--grpcAddr=127.0.0.1:15010".into(),
        "--secureGRPCAddr=".into(),
        "--httpsAddr=127.0.0.1:15017".into(),
        format!("--tlsCertFile={}", plane.pki.path("istiod.crt").display()),
        format!("--tlsKeyFile={}", plane.pki.path("istiod.key").display()),
        format!("--caCertFile={}", plane.pki.path("ca.crt").display()),
        "--monitoringAddr=127.0.0.1:15014".into(),
        "--ctrlz_port=15876".into(),
        "--clusterID=Kubernetes".into(),
        "--domain=cluster.local".into(),
    ];
    let environment = [
        ("POD_NAME", "istiod-0"),
        ("POD_NAMESPACE", "istio-system"),
        ("CLUSTER_ID", "Kubernetes"),
        ("ENABLE_CA_SERVER", "false"),
        ("PILOT_CERT_PROVIDER", "none"),
        ("XDS_AUTH", "false"),
        ("PILOT_ENABLE_XDS_IDENTITY_CHECK", "false"),
        ("INJECTION_WEBHOOK_CONFIG_NAME", ""),
        ("VALIDATION_WEBHOOK_CONFIG_NAME", ""),
        ("PILOT_ENABLE_METADATA_EXCHANGE", "false"),
        ("PILOT_ENABLE_ALPN_FILTER", "false"),
        ("PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER", "false"),
        ("ENABLE_DEBUG_ON_HTTP", "true"),
        ("ENABLE_DEBUG_ENDPOINT_AUTH", "false"),
        ("UNSAFE_ENABLE_ADMIN_ENDPOINTS", "true"),
        ("PILOT_DEBOUNCE_AFTER", DEBOUNCE),
    ];
    let (door, program) = (ground.door(), tool("pilot-discovery"));
    let recipe = move || {
        let mut command = door.command(&program);
        command.args(&arguments).envs(environment).current_dir(&directory);
        command
    };
    let wire = wire.clone();
    Part::start(ground, "istiod", recipe, move || {
        wire.is_ready("http://127.0.0.1:15080/ready")
    })
}

/// An Envoy beside a client in a namespace.
pub(crate) struct Proxy {
    pub(crate) part: Part,
    name: String,
    wire: Wire,
    admin: u16,
    port: u16,
}

impl Proxy {
    /// Starts it. `number` tells it from other proxies of this lab; it carries what is sent to `127.0.0.1:port()` with the
    /// `Host` of a service that listens on `service_port`.
    pub(crate) fn start(
        ground: &Ground,
        wire: &Wire,
        api: &Api,
        namespace: &str,
        number: u16,
        service_port: u16,
    ) -> Result<Self, String> {
        let name = format!("client-{number}");
        let (admin, port) = (16_000 + number, service_port);
        let address = format!("127.0.18.{number}");
        let sidecar = json!({
            "apiVersion": "networking.istio.io/v1", "kind": "Sidecar", "metadata": {"name": name},
            "spec": {
                "workloadSelector": {"labels": {"app": name}},
                "egress": [{
                    "port": {"number": port, "protocol": "HTTP", "name": "egress"},
                    "bind": address, "captureMode": "NONE", "hosts": [format!("{namespace}/*")],
                }],
            },
        });
        let path = format!("/apis/networking.istio.io/v1/namespaces/{namespace}/sidecars");
        api.post(&path, &sidecar).ok();
        let file = ground.directory("envoy").join(format!("{name}.json"));
        let text = bootstrap(&name, namespace, &address, admin).to_string();
        std::fs::write(&file, text).map_err(|e| e.to_string())?;
        let (door, program) = (ground.door(), tool("envoy"));
        let recipe = move || {
            let mut command = door.command(&program);
            command
                .arg("-c")
                .arg(&file)
                .args(["--concurrency", "2", "--log-level", "warn"]);
            command.arg("--base-id").arg(number.to_string());
            command
        };
        let wire_of_part = wire.clone();
        let ready = move || {
            wire_of_part.is_ready(&format!("http://127.0.0.1:{admin}/ready"))?;
            let url = format!("http://127.0.0.1:{admin}/listeners");
            match wire_of_part.get(&url)? {
                (200, text) if text.contains(&format!("{address}:{port}")) => Ok(()),
                (_, text) => Err(format!("it does not listen yet: {text}")),
            }
        };
        let envoy = Part::start(ground, &format!("envoy-{name}"), recipe, ready)?;
        Ok(Self {
            part: envoy,
            name,
            wire: wire.clone(),
            admin,
            port,
        })
    }

    /// Where a client sends its requests.
    pub(crate) fn address(&self) -> String {
        format!("127.0.18.{}:{}", self.admin - 16_000, self.port)
    }

    /// Where it shows its counters.
    pub(crate) fn stats(&self) -> String {
        format!("http://127.0.0.1:{}/stats/prometheus", self.admin)
    }

    /// The weights of the route of this name as it has them now, cluster by cluster.
    pub(crate) fn weights(&self, route: &str) -> Vec<(String, u64)> {
        let url = format!(
            "http://127.0.0.1:{}/config_dump?resource=dynamic_route_configs",
            self.admin
        );
        let (_, body) = self.wire.get(&url).expect("an answer");
        let dump: Value = serde_json::from_str(&body).unwrap_or_default();
        let mut found = Vec::new();
        collect(&dump, route, &mut found);
        found
    }

    /// Waits until this holds of the weights of a route, and says how long it took.
    pub(crate) fn until(&self, route: &str, holds: impl Fn(&[(String, u64)]) -> bool) -> Duration {
        let began = std::time::Instant::now();
        loop {
            let weights = self.weights(route);
            if holds(&weights) {
                return began.elapsed();
            }
            assert!(began.elapsed() < Duration::from_mins(1), "{route} stays at {weights:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Every weighted cluster of the routes with this name, wherever they are in a dump.
fn collect(value: &Value, route: &str, found: &mut Vec<(String, u64)>) {
    if value["name"] == route && !value["route"].is_null() {
        let clusters = value["route"]["weighted_clusters"]["clusters"].as_array();
        let weighted = clusters.into_iter().flatten().map(|c| {
            let name = c["name"].as_str().unwrap_or_default().to_owned();
            (name, c["weight"].as_u64().unwrap_or(0))
        });
        found.extend(weighted);
        if let Some(only) = value["route"]["cluster"].as_str() {
            found.push((only.to_owned(), 100));
        }
        return;
    }
    match value {
        Value::Array(all) => all.iter().for_each(|v| collect(v, route, found)),
        Value::Object(all) => all.values().for_each(|v| collect(v, route, found)),
        _ => {}
    }
}

fn bootstrap(name: &str, namespace: &str, address: &str, admin: u16) -> Value {
    let xds = json!({"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"});
    json!({
        "node": {
            "id": format!("sidecar~{address}~{name}.{namespace}~{namespace}.svc.cluster.local"),
            "cluster": format!("{name}.{namespace}"),
            "metadata": {
                "NAME": name, "NAMESPACE": namespace, "CLUSTER_ID": "Kubernetes", "ISTIO_VERSION": "1.31.0",
                "INSTANCE_IPS": address, "LABELS": {"app": name}, "INTERCEPTION_MODE": "NONE",
                "PROXY_CONFIG": {"statusPort": 15020},
            },
        },
        "admin": {"address": socket("127.0.0.1", admin)},
        "dynamic_resources": {
            "lds_config": xds, "cds_config": xds,
            "ads_config": {
                "api_type": "DELTA_GRPC", "transport_api_version": "V3", "set_node_on_first_message_only": true,
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}],
            },
        },
        "static_resources": {"clusters": [{
            "name": "xds-grpc", "type": "STATIC", "connect_timeout": "1s",
            "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }},
            "load_assignment": {
                "cluster_name": "xds-grpc",
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket("127.0.0.1", 15010)}}]}],
            },
        }]},
        "stats_config": stats(),
    })
}

/// How a proxy's counters are called. Names of clusters have dots and semicolons in them, which Envoy's own rules would cut.
pub(super) fn stats() -> Value {
    json!({"use_all_default_tags": false, "stats_tags": [
        {"tag_name": "envoy.cluster_name", "regex": r"^cluster\.((outbound\|[0-9]+\|[^|]*\|[^.;]+\.[^.;]+\.svc\.cluster\.local);?\.)"},
        {"tag_name": "envoy.response_code_class", "regex": r"_rq_((\d))xx$"},
        {"tag_name": "envoy.response_code", "regex": r"_rq(_(\d{3}))$"},
    ]})
}

fn socket(address: &str, port: u16) -> Value {
    json!({"socket_address": {"address": address, "port_value": port}})
}
