//! Envoys that take their configuration from istiod: beside a client, where a sidecar would be, or at the edge as a
//! gateway.
//!
//! Nothing is injected: a client sends to the address of its proxy, with the name of a service as its host. The proxies
//! are plain upstream Envoys, which lack Istio's own filters: there is no `istio_requests_total` and no mTLS.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::ground::Ground;
use super::super::part::Part;
use super::super::wire::{Api, Wire};
use super::weights::{Weights, of_connections, of_requests};
use crate::support::tool;

/// Where a proxy stands, and what it takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    /// Beside a client: requests, over HTTP and gRPC, to any service of the namespace that has the port.
    Client,
    /// Beside a client: the same to services of any namespace.
    ClientOfAll,
    /// Beside a client: connections to the port of this one service, which is named in full.
    ClientOf(&'a str),
    /// At the edge: requests for any host, by a `Gateway` of Istio's.
    Gateway,
    /// At the edge: requests for any host, by a `Gateway` of the Gateway API.
    GatewayApi,
}

/// An Envoy in a namespace.
pub(crate) struct Proxy {
    pub(crate) part: Part,
    wire: Wire,
    seat: Seat,
}

/// What tells a proxy from the others, and where it listens.
#[derive(Clone, Debug)]
struct Seat {
    namespace: String,
    number: u16,
    /// Its name, and that of what made it: a `VirtualService` or a route binds itself to the `Gateway` of this name.
    name: String,
    /// Its own address, as istiod has it.
    address: String,
    /// Where it listens for clients.
    listens: (String, u16),
    is_edge: bool,
}

impl Proxy {
    /// Starts it, with the object that gives it something to do. `number` tells it from other proxies of this lab;
    /// `port` is that of the services, or of the gateway's own Service.
    pub(crate) fn start(
        ground: &Ground,
        wire: &Wire,
        api: &Api,
        place: Place<'_>,
        namespace: &str,
        number: u16,
        port: u16,
    ) -> Result<Self, String> {
        let seat = Seat::new(place, namespace, number, port);
        for (path, object) in objects(&seat, place, port) {
            api.post(&path.replace("{namespace}", namespace), &object).ok();
        }
        let file = ground.directory("envoy").join(format!("{}.json", seat.name));
        std::fs::write(&file, bootstrap(&seat).to_string()).map_err(|e| e.to_string())?;
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
        let (of_part, of_wire) = (seat.clone(), wire.clone());
        let ready = move || {
            of_wire.is_ready(&of_part.admin("ready"))?;
            let (address, port) = &of_part.listens;
            match of_wire.get(&of_part.admin("listeners"))? {
                (200, text) if text.contains(&format!("::{address}:{port}\n")) => Ok(()),
                (_, text) => Err(format!("it does not listen yet: {text}")),
            }
        };
        let envoy = Part::start(ground, &format!("envoy-{}", seat.name), recipe, ready)?;
        Ok(Self {
            part: envoy,
            wire: wire.clone(),
            seat,
        })
    }

    /// Where a client sends its requests.
    pub(crate) fn address(&self) -> String {
        let (address, port) = &self.seat.listens;
        // A gateway listens on every address.
        format!("{}:{port}", address.replace("0.0.0.0", "127.0.0.1"))
    }

    /// Where it shows its configuration and its counters.
    pub(crate) fn admin(&self) -> String {
        self.seat
            .admin("")
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .to_owned()
    }

    /// Where it shows its counters.
    pub(crate) fn stats(&self) -> String {
        self.seat.admin("stats/prometheus")
    }

    /// The name of its `Gateway`, if it is one.
    pub(crate) fn name(&self) -> &str {
        &self.seat.name
    }

    /// What istiod calls it.
    pub(super) fn node(&self) -> String {
        format!("{}.{}", self.seat.name, self.seat.namespace)
    }

    /// The weights of the routes of this name as it has them now, cluster by cluster.
    pub(crate) fn weights(&self, route: &str) -> Weights {
        of_requests(&self.dump("dynamic_route_configs"), route)
    }

    /// The weights of the `tcp` and `tls` routes of a `VirtualService` of its namespace.
    pub(crate) fn connections(&self, service: &str) -> Weights {
        let name = format!("{service}.{}", self.seat.namespace);
        of_connections(&self.dump("dynamic_listeners"), &name)
    }

    fn dump(&self, resource: &str) -> Value {
        let url = self.seat.admin(&format!("config_dump?resource={resource}"));
        let (_, body) = self.wire.get(&url).expect("an answer");
        serde_json::from_str(&body).unwrap_or_default()
    }

    /// Whether it knows an endpoint of this cluster that it may send to. A pod is one a moment after it is ready.
    pub(crate) fn reaches(&self, cluster: &str) -> bool {
        let (_, body) = self
            .wire
            .get(&self.seat.admin("clusters?format=json"))
            .expect("an answer");
        let clusters: Value = serde_json::from_str(&body).unwrap_or_default();
        let mut all = clusters["cluster_statuses"].as_array().into_iter().flatten();
        let hosts = all
            .find(|found| found["name"] == cluster)
            .map(|found| &found["host_statuses"]);
        let mut hosts = hosts.and_then(Value::as_array).into_iter().flatten();
        hosts.any(|host| host["health_status"]["eds_health_status"] == "HEALTHY")
    }

    /// Waits until this holds of the weights of a route, and says how long it took.
    pub(crate) fn until(&self, route: &str, holds: impl Fn(&[(String, u64)]) -> bool) -> Duration {
        let began = Instant::now();
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

impl Drop for Proxy {
    /// It ends: what asks every proxy of the mesh does not ask those of tests that are over.
    fn drop(&mut self) {
        self.part.kill();
    }
}

impl Seat {
    fn new(place: Place<'_>, namespace: &str, number: u16, port: u16) -> Self {
        let is_edge = matches!(place, Place::Gateway | Place::GatewayApi);
        let (word, address, listens) = if is_edge {
            // On every address, and so on a port that nobody else in the lab has.
            let listens = ("0.0.0.0".to_owned(), 20_000 + number);
            ("gateway", format!("10.244.254.{number}"), listens)
        } else {
            let address = format!("127.0.18.{number}");
            ("client", address.clone(), (address, port))
        };
        Self {
            namespace: namespace.to_owned(),
            number,
            name: format!("{word}-{number}"),
            address,
            listens,
            is_edge,
        }
    }

    fn admin_port(&self) -> u16 {
        16_000 + self.number
    }

    fn admin(&self, page: &str) -> String {
        format!("http://127.0.0.1:{}/{page}", self.admin_port())
    }
}

const ISTIO: &str = "/apis/networking.istio.io/v1/namespaces/{namespace}";

/// What makes a proxy of this seat listen, with the path of its kind.
fn objects(seat: &Seat, place: Place<'_>, port: u16) -> Vec<(String, Value)> {
    let (name, labels) = (&seat.name, json!({"app": seat.name}));
    let sidecar = |protocol: &str, hosts: String| {
        let egress = json!({
            "port": {"number": port, "protocol": protocol, "name": "egress"},
            "bind": seat.address, "captureMode": "NONE", "hosts": [hosts],
        });
        let spec = json!({"workloadSelector": {"labels": labels}, "egress": [egress]});
        let object = object("networking.istio.io/v1", "Sidecar", name, &spec);
        vec![(format!("{ISTIO}/sidecars"), object)]
    };
    match place {
        Place::Client => sidecar("HTTP", format!("{}/*", seat.namespace)),
        Place::ClientOfAll => sidecar("HTTP", "*/*".to_owned()),
        Place::ClientOf(service) => sidecar("TCP", format!("{}/{service}", seat.namespace)),
        Place::Gateway => {
            let server = json!({"port": {"number": port, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]});
            let spec = json!({"selector": labels, "servers": [server]});
            let gateway = object("networking.istio.io/v1", "Gateway", name, &spec);
            with_service(seat, port, (format!("{ISTIO}/gateways"), gateway))
        }
        Place::GatewayApi => {
            // The address says which Service has the Envoys of it: istiod makes none of its own then.
            let address = format!("{name}.{}.svc.cluster.local", seat.namespace);
            let spec = json!({
                "gatewayClassName": "istio", "addresses": [{"type": "Hostname", "value": address}],
                "listeners": [{"name": "http", "port": port, "protocol": "HTTP"}],
            });
            let gateway = object("gateway.networking.k8s.io/v1", "Gateway", name, &spec);
            let path = "/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/gateways";
            with_service(seat, port, (path.to_owned(), gateway))
        }
    }
}

/// A gateway, after the Service that leads to its Envoy and the entry that has the Envoy's address in place of a pod.
fn with_service(seat: &Seat, port: u16, gateway: (String, Value)) -> Vec<(String, Value)> {
    let (name, labels) = (&seat.name, json!({"app": seat.name}));
    let ports = json!([{"name": "http", "port": port, "targetPort": seat.listens.1}]);
    let service = object("v1", "Service", name, &json!({"selector": labels, "ports": ports}));
    let entry = json!({"address": seat.address, "labels": labels});
    let entry = object("networking.istio.io/v1", "WorkloadEntry", name, &entry);
    let services = "/api/v1/namespaces/{namespace}/services".to_owned();
    vec![
        (services, service),
        (format!("{ISTIO}/workloadentries"), entry),
        gateway,
    ]
}

fn object(version: &str, kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec})
}

fn bootstrap(seat: &Seat) -> Value {
    let (name, namespace, address) = (&seat.name, &seat.namespace, &seat.address);
    let role = if seat.is_edge { "router" } else { "sidecar" };
    let xds = json!({"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"});
    json!({
        "node": {
            "id": format!("{role}~{address}~{name}.{namespace}~{namespace}.svc.cluster.local"),
            "cluster": format!("{name}.{namespace}"),
            "metadata": {
                "NAME": name, "NAMESPACE": namespace, "CLUSTER_ID": "Kubernetes", "ISTIO_VERSION": "1.31.0",
                "INSTANCE_IPS": address, "LABELS": {"app": name}, "INTERCEPTION_MODE": "NONE",
                "PROXY_CONFIG": {"statusPort": 15020},
            },
        },
        "admin": {"address": socket("127.0.0.1", seat.admin_port())},
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
pub(in crate::lab) fn stats() -> Value {
    json!({"use_all_default_tags": false, "stats_tags": [
        {"tag_name": "envoy.cluster_name", "regex": r"^cluster\.((outbound\|[0-9]+\|[^|]*\|[^.;]+\.[^.;]+\.svc\.cluster\.local);?\.)"},
        {"tag_name": "envoy.response_code_class", "regex": r"_rq_((\d))xx$"},
        {"tag_name": "envoy.response_code", "regex": r"_rq(_(\d{3}))$"},
    ]})
}

fn socket(address: &str, port: u16) -> Value {
    json!({"socket_address": {"address": address, "port_value": port}})
}
