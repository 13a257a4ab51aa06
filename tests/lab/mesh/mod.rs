//! istiod with Istio's and the Gateway API's definitions, and what it says of the proxies that take their configuration
//! from it.

mod proxy;
mod weights;

use std::path::PathBuf;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::control_plane::{ControlPlane, User};
use super::ground::Ground;
use super::part::Part;
use super::wire::{Api, Wire, text};
use crate::support::{run, tool};

#[cfg(test)]
pub(super) use proxy::stats;
pub(crate) use proxy::{Place, Proxy};
pub(crate) use weights::{ALL, Weights, route_of_rule};

/// What istiod calls the routes of a proxy in what it says of it.
const ROUTES: &str = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";

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
        define(ground, plane, &[tool("istio-crds"), tool("gateway-api-crds")])?;
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

    /// What istiod says of a proxy's routes; nothing, where the proxy is not connected to it.
    pub(crate) fn routes(&self, proxy: &Proxy) -> Option<Sync> {
        let (_, body) = self.wire.get("http://127.0.0.1:15080/debug/syncz").ok()?;
        let all: Value = serde_json::from_str(&body).ok()?;
        let own = all.as_array()?.iter().find(|p| text(&p["proxy"]) == proxy.node())?;
        let routes = &own["resources"][ROUTES];
        Some(Sync {
            sent: text(&routes["sent"]),
            acked: text(&routes["acked"]),
            error: routes["lastError"].as_str().map(str::to_owned),
        })
    }
}

/// How far a proxy is: the name of what istiod sent to it last, the name of what it took last, and why it refused what
/// was sent, if it did. Where both are the same, there may still be a change of which istiod has not heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sync {
    pub(crate) sent: String,
    pub(crate) acked: String,
    pub(crate) error: Option<String>,
}

/// istiod's own validation of every object it reads, dry runs included. A namespace that is labelled `lab/validation:
/// off` is left out: there what istiod would refuse reaches the proxies, which refuse it.
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

/// Custom resources of these files and directories; they are served when this returns.
pub(crate) fn define(ground: &Ground, plane: &ControlPlane, files: &[PathBuf]) -> Result<(), String> {
    let kubectl = || {
        let mut kubectl = ground.door().visitor(tool("kubectl"));
        kubectl.arg("--kubeconfig").arg(plane.kubeconfig(User::Admin));
        kubectl
    };
    let mut apply = kubectl();
    apply.args(["apply", "--server-side", "--recursive"]);
    for file in files {
        // kubectl does not follow a link to a directory.
        let file = file.canonicalize().map_err(|e| format!("{}: {e}", file.display()))?;
        apply.arg("-f").arg(file);
    }
    run(&mut apply)?;
    run(kubectl().args(["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]))
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
        // It kept the empty answer of a moment before the pods were ready, and gave it to every proxy that came after: seen for a
        // minute, while its own registry had the endpoints.
        ("PILOT_ENABLE_XDS_CACHE", "false"),
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
