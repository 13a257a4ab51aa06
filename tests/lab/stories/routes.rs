//! Every way in which a weight reaches an Envoy: what a router of canaries leans on.

use std::time::Duration;

use reqwest::header::HeaderName;
use serde_json::{Value, json};

use super::{condition, keeps_to};
use crate::lab::load::Load;
use crate::lab::{ALL, Place, Program, Proxy, User, Weights, lab, route_of_rule};
use crate::support::{finish, tool, until};

const ISTIO: &str = "networking.istio.io";
const GATEWAY_API: &str = "gateway.networking.k8s.io";

/// The service `pay`: a stable and a canary pod of the lab's backend, a Service for both and one for each, subsets.
struct Shop {
    namespace: String,
}

impl Shop {
    fn open(name: &str) -> Self {
        let shop = Self {
            namespace: lab().namespace(name),
        };
        lab().mesh();
        let backend = Program {
            path: tool("lab-backend"),
            arguments: Vec::new(),
        };
        lab().node().image("lab/backend:1", backend);
        let ports = json!([
            {"name": "http", "port": 80, "targetPort": 8080},
            {"name": "grpc", "port": 90, "targetPort": 9090},
            {"name": "tcp", "port": 7000, "targetPort": 8080},
        ]);
        let all = json!({"app": "pay"});
        shop.core("services", "pay", &json!({"selector": all, "ports": ports}));
        for track in ["stable", "canary"] {
            let labels = json!({"app": "pay", "track": track});
            let spec = json!({"selector": labels, "ports": ports});
            shop.core("services", &format!("pay-{track}"), &spec);
            shop.pod(track, &labels);
        }
        let subset = |track: &str| json!({"name": track, "labels": {"track": track}});
        let rule = json!({"host": "pay", "subsets": [subset("stable"), subset("canary")]});
        shop.post(ISTIO, "DestinationRule", "pay", &rule);
        shop.wait_for_pods();
        shop
    }

    fn pod(&self, track: &str, labels: &Value) {
        let container = json!({
            "name": "app", "image": "lab/backend:1", "env": [{"name": "VERSION", "value": track}],
            "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 1},
        });
        let pod = json!({"metadata": {"name": track, "labels": labels}, "spec": {"containers": [container]}});
        let (api, path) = (lab().control_plane().api(User::Admin), self.core_path("pods"));
        // The service account of a new namespace is made a moment after it.
        until("the pod is taken", || api.post(&path, &pod).status == 201);
    }

    fn wait_for_pods(&self) {
        let (api, path) = (lab().control_plane().api(User::Admin), self.core_path("pods"));
        until("both pods are ready", || {
            let pods = api.get(&path).ok();
            let is_ready = |pod: &Value| condition(&pod["status"], "Ready") == Some("True");
            pods["items"].as_array().is_some_and(|all| all.iter().all(is_ready))
        });
    }

    fn core_path(&self, kind: &str) -> String {
        format!("/api/v1/namespaces/{}/{kind}", self.namespace)
    }

    fn core(&self, kind: &str, name: &str, spec: &Value) {
        let object = json!({"metadata": {"name": name}, "spec": spec});
        let api = lab().control_plane().api(User::Admin);
        api.post(&self.core_path(kind), &object).ok();
    }

    /// Where the objects of a kind of this group are.
    fn path(&self, group: &str, kind: &str) -> String {
        format!(
            "/apis/{group}/v1/namespaces/{}/{}s",
            self.namespace,
            kind.to_lowercase()
        )
    }

    fn post(&self, group: &str, kind: &str, name: &str, spec: &Value) {
        let object = json!({
            "apiVersion": format!("{group}/v1"), "kind": kind, "metadata": {"name": name}, "spec": spec,
        });
        let api = lab().control_plane().api(User::Admin);
        api.post(&self.path(group, kind), &object).ok();
    }

    /// Sets the weights of the destinations at this place of an object: per mille, `canary` of them for the canary.
    fn patch(&self, group: &str, kind: &str, name: &str, at: &str, canary: u64) {
        let weights = json!([
            {"op": "replace", "path": format!("{at}/0/weight"), "value": ALL - canary},
            {"op": "replace", "path": format!("{at}/1/weight"), "value": canary},
        ]);
        let api = lab().control_plane().api(User::Releaser);
        api.patch(&format!("{}/{name}", self.path(group, kind)), &weights).ok();
    }

    /// Weighted destinations of a `VirtualService`: the subsets of the service.
    fn subsets(&self, port: u16, canary: u64) -> Value {
        let one = |track: &str, weight: u64| {
            json!({
                "destination": {"host": self.host("pay"), "subset": track, "port": {"number": port}}, "weight": weight,
            })
        };
        json!([one("stable", ALL - canary), one("canary", canary)])
    }

    fn host(&self, service: &str) -> String {
        format!("{service}.{}.svc.cluster.local", self.namespace)
    }

    /// What Envoy has when the canary has this weight, for the subsets of the service or for its two Services.
    fn clusters(&self, port: u16, by_subset: bool, canary: u64) -> Weights {
        let name = |track: &str| {
            if by_subset {
                return format!("outbound|{port}|{track}|{}", self.host("pay"));
            }
            format!("outbound|{port}||{}", self.host(&format!("pay-{track}")))
        };
        let all = [(name("stable"), ALL - canary), (name("canary"), canary)];
        all.into_iter().filter(|(_, weight)| *weight > 0).collect()
    }

    /// istiod says of an object that it took it as it is now, and found all that it names.
    fn until_accepted(&self, kind: &str, name: &str) {
        let path = format!("{}/{name}", self.path(GATEWAY_API, kind));
        let api = lab().control_plane().api(User::Releaser);
        until("its conditions", || {
            let object = api.get(&path);
            let (object, status) = (&object.body, &object.body["status"]["parents"][0]);
            let is_current = |kind: &str| {
                let all = status["conditions"].as_array().into_iter().flatten();
                let mut of_kind = all.filter(|c| c["type"] == kind);
                of_kind.any(|c| c["observedGeneration"] == object["metadata"]["generation"])
            };
            ["Accepted", "ResolvedRefs"]
                .into_iter()
                .all(|kind| is_current(kind) && condition(status, kind) == Some("True"))
        });
    }
}

/// Weighted backends of an `HTTPRoute` or a `GRPCRoute`: the two Services.
fn services(port: u16, canary: u64) -> Value {
    json!([
        {"name": "pay-stable", "port": port, "weight": ALL - canary},
        {"name": "pay-canary", "port": port, "weight": canary},
    ])
}

/// Waits until a proxy has these weights, and for each of them a pod to send to.
fn until_it_reaches(proxy: &Proxy, route: &str, clusters: &Weights) {
    proxy.until(route, |weights| weights == clusters);
    until("a pod of each", || clusters.iter().all(|(name, _)| proxy.reaches(name)));
}

/// So many of 1 000 requests through a proxy went to the canary, by the answers.
fn requests(proxy: &Proxy, host: &str) -> u32 {
    let by = HeaderName::from_static("x-version");
    let load = Load::new(&format!("http://{}/", proxy.address()), 500, Duration::from_secs(2));
    let report = load.host(host).by(by).run(lab().wire());
    assert_eq!(
        (report.statuses().get(&200), report.skipped),
        (Some(&1_000), 0),
        "{report:?}"
    );
    u32::try_from(report.answered().get("canary").copied().unwrap_or(0)).expect("a count")
}

/// So many of 1 000 calls over gRPC through a proxy went to the canary, by the answers.
fn calls(proxy: &Proxy, host: &str) -> u32 {
    let mut client = lab().ground().door().visitor(tool("lab-backend"));
    client.args(["call", "-count", "1000", "-authority", host, &proxy.address(), "hello"]);
    let run = finish(&mut client);
    let answers = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let answers: Vec<Value> = answers.collect();
    assert_eq!(answers.len(), 1_000, "{}", run.stderr);
    let failed: Vec<&Value> = answers.iter().filter(|answer| answer["code"] != "OK").collect();
    assert!(failed.is_empty(), "{} failed, the first: {}", failed.len(), failed[0]);
    let at = |track: &str| answers.iter().filter(|answer| answer["version"] == track).count();
    assert_eq!(at("stable") + at("canary"), 1_000);
    u32::try_from(at("canary")).expect("a count")
}

#[test]
fn a_gateway_takes_the_weights_of_a_virtual_service() {
    let shop = Shop::open("edge");
    let gateway = lab().envoy(Place::Gateway, &shop.namespace, 80);
    let http = json!([{"name": "main", "route": shop.subsets(80, 1)}]);
    let spec = json!({"hosts": ["pay.example"], "gateways": [gateway.name()], "http": http});
    shop.post(ISTIO, "VirtualService", "pay", &spec);
    until_it_reaches(&gateway, "main", &shop.clusters(80, true, 1));
    for canary in [200, ALL] {
        shop.patch(ISTIO, "VirtualService", "pay", "/spec/http/0/route", canary);
        until_it_reaches(&gateway, "main", &shop.clusters(80, true, canary));
        keeps_to(canary, 1_000, || requests(&gateway, "pay.example"));
    }
}

#[test]
fn a_client_takes_the_weights_of_routes_of_its_service() {
    let shop = Shop::open("routes");
    let parent = |port: u16| json!([{"group": "", "kind": "Service", "name": "pay", "port": port}]);
    let rule = json!({"name": "main", "backendRefs": services(80, 1)});
    shop.post(
        GATEWAY_API,
        "HTTPRoute",
        "pay",
        &json!({"parentRefs": parent(80), "rules": [rule]}),
    );
    // A GRPCRoute that is called as an HTTPRoute of its namespace would be accepted, and not be heard of again.
    let rules = json!([{"backendRefs": services(90, 1)}]);
    shop.post(
        GATEWAY_API,
        "GRPCRoute",
        "pay-grpc",
        &json!({"parentRefs": parent(90), "rules": rules}),
    );
    let nameless = route_of_rule(&shop.namespace, "pay-grpc", 0);
    let routes = [
        ("HTTPRoute", "pay", 80, "main"),
        ("GRPCRoute", "pay-grpc", 90, &nameless),
    ];
    for (kind, name, port, route) in routes {
        let client = lab().proxy(&shop.namespace, port);
        shop.until_accepted(kind, name);
        until_it_reaches(&client, route, &shop.clusters(port, false, 1));
        for canary in [ALL, 300] {
            shop.patch(GATEWAY_API, kind, name, "/spec/rules/0/backendRefs", canary);
            until_it_reaches(&client, route, &shop.clusters(port, false, canary));
            shop.until_accepted(kind, name);
        }
        let seen = if port == 90 { calls } else { requests };
        keeps_to(300, 1_000, || seen(&client, &shop.host("pay")));
    }
}

#[test]
fn a_gateway_of_the_gateway_api_takes_the_weights_of_its_routes() {
    let shop = Shop::open("api-edge");
    let gateway = lab().envoy(Place::GatewayApi, &shop.namespace, 80);
    let parent = json!([{"name": gateway.name()}]);
    let routes = [
        ("HTTPRoute", "pay", "pay.example", 80),
        ("GRPCRoute", "pay-grpc", "grpc.example", 90),
    ];
    for (kind, name, host, port) in routes {
        let rules = json!([{"backendRefs": services(port, 1)}]);
        let spec = json!({"parentRefs": parent, "hostnames": [host], "rules": rules});
        shop.post(GATEWAY_API, kind, name, &spec);
        shop.until_accepted(kind, name);
        let route = route_of_rule(&shop.namespace, name, 0);
        until_it_reaches(&gateway, &route, &shop.clusters(port, false, 1));
        shop.patch(GATEWAY_API, kind, name, "/spec/rules/0/backendRefs", 700);
        until_it_reaches(&gateway, &route, &shop.clusters(port, false, 700));
        let seen = if port == 90 { calls } else { requests };
        keeps_to(700, 1_000, || seen(&gateway, host));
    }
    let api = lab().control_plane().api(User::Releaser);
    let path = format!("{}/{}", shop.path(GATEWAY_API, "Gateway"), gateway.name());
    until("that the gateway has its Envoy", || {
        condition(&api.get(&path).ok()["status"], "Programmed") == Some("True")
    });
}

#[test]
fn calls_over_grpc_keep_to_the_weights_of_a_virtual_service() {
    let shop = Shop::open("grpc");
    let http = json!([{"name": "main", "route": shop.subsets(90, 1)}]);
    let spec = json!({"hosts": [shop.host("pay")], "http": http});
    shop.post(ISTIO, "VirtualService", "pay", &spec);
    let client = lab().proxy(&shop.namespace, 90);
    for canary in [100, 500] {
        shop.patch(ISTIO, "VirtualService", "pay", "/spec/http/0/route", canary);
        until_it_reaches(&client, "main", &shop.clusters(90, true, canary));
        keeps_to(canary, 1_000, || calls(&client, &shop.host("pay")));
    }
}

#[test]
fn connections_take_the_weights_of_a_virtual_service() {
    let shop = Shop::open("tcp");
    let host = shop.host("pay");
    let tcp = json!([{"match": [{"port": 7000}], "route": shop.subsets(7000, 1)}]);
    shop.post(ISTIO, "VirtualService", "pay", &json!({"hosts": [host], "tcp": tcp}));
    let client = lab().envoy(Place::ClientOf(&host), &shop.namespace, 7000);
    for canary in [1, 999, ALL] {
        shop.patch(ISTIO, "VirtualService", "pay", "/spec/tcp/0/route", canary);
        let wanted = shop.clusters(7000, true, canary);
        until("the weights", || client.connections("pay") == wanted);
    }
    // The connections do go there.
    assert_eq!(requests(&client, &host), 1_000);
}

#[test]
fn a_weight_that_envoy_refuses_is_sent_and_not_taken() {
    let shop = Shop::open("refused");
    let api = lab().control_plane().api(User::Admin);
    let off = json!([{"op": "add", "path": "/metadata/labels/lab~1validation", "value": "off"}]);
    api.patch(&format!("/api/v1/namespaces/{}", shop.namespace), &off).ok();
    let http = json!([{"name": "main", "route": shop.subsets(80, 100)}]);
    let spec = json!({"hosts": [shop.host("pay")], "http": http});
    shop.post(ISTIO, "VirtualService", "pay", &spec);
    let client = lab().proxy(&shop.namespace, 80);
    until_it_reaches(&client, "main", &shop.clusters(80, true, 100));
    let sync = || lab().mesh().routes(&client).expect("a proxy that istiod knows");
    until("that it is taken", || sync().sent == sync().acked);
    // The webhook learns of the label a moment after it is set.
    let bad = json!([{"op": "replace", "path": "/spec/http/0/route/1/weight", "value": -5}]);
    let path = format!("{}/pay", shop.path(ISTIO, "VirtualService"));
    until("that it is stored", || api.patch(&path, &bad).status == 200);
    until("that it is refused", || sync().error.is_some());
    let refused = sync();
    assert_ne!(refused.sent, refused.acked);
    assert!(refused.error.is_some_and(|why| why.contains("sum of weights")));
    assert_eq!(client.weights("main"), shop.clusters(80, true, 100));
    // A good one heals it.
    shop.patch(ISTIO, "VirtualService", "pay", "/spec/http/0/route", 200);
    until_it_reaches(&client, "main", &shop.clusters(80, true, 200));
    until("that it is taken", || {
        sync().error.is_none() && sync().sent == sync().acked
    });
}
