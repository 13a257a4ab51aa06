//! The backend, the load and Prometheus keep their promises, and tell the same numbers.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::load::{FASTEST, LONGEST, Load};
use super::prometheus::{Prometheus, SCRAPE_INTERVAL};
use super::{Ground, Part, Wire};
use crate::support::{tool, until};

/// The Host that the proxy of these tests knows.
const SHOP: &str = "shop.lab";

const PROXY: &str = "http://127.0.0.1:10080/";

/// A backend outside of the cluster, as a part. Its pod is called as its part.
pub(super) struct Backend {
    pub(super) part: Part,
    pub(super) address: Ipv4Addr,
    wire: Wire,
}

impl Backend {
    /// `number` is the end of its address.
    pub(super) fn start(
        ground: &Ground,
        wire: &Wire,
        name: &'static str,
        number: u8,
        environment: &[(&'static str, &str)],
    ) -> Self {
        let address = Ipv4Addr::new(10, 244, 250, number);
        let environment: Vec<_> = environment.iter().map(|(n, v)| (*n, (*v).to_owned())).collect();
        let (door, program) = (ground.door(), tool("lab-backend"));
        let recipe = move || {
            let mut command = door.command(&program);
            command.env("LISTEN_HOST", address.to_string()).env("HOSTNAME", name);
            command.envs(environment.clone());
            command
        };
        let of_part = wire.clone();
        let ready = move || of_part.is_ready(&format!("http://{address}:8080/livez"));
        let part = Part::start(ground, name, recipe, ready).expect("a backend");
        let wire = wire.clone();
        Self { part, address, wire }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}:8080{path}", self.address)
    }

    /// The address of its metrics.
    pub(super) fn metrics(&self) -> String {
        format!("{}:9100", self.address)
    }

    fn get(&self, path: &str) -> (u16, String) {
        self.wire.get(&self.url(path)).expect("an answer")
    }

    fn status(&self, path: &str) -> u16 {
        self.get(path).0
    }

    /// Replaces its faults, and gives the answer's status.
    pub(super) fn faults(&self, faults: &Value) -> u16 {
        let answer = self.wire.put(&self.url("/faults"), &faults.to_string());
        answer.expect("an answer")
    }

    /// What it answers over gRPC: the code, its health, its pod and its version.
    fn call(&self, ground: &Ground, timeout: &str) -> [String; 4] {
        let mut command = ground.door().visitor(tool("lab-backend"));
        let address = format!("{}:9090", self.address);
        let output = command.args(["call", "-timeout", timeout, &address, "hello"]).output();
        let output = output.expect("a client").stdout;
        let answer: Value = serde_json::from_slice(&output).expect("JSON");
        let is_ok = answer["code"] == "OK";
        assert_eq!(answer["text"], if is_ok { "hello" } else { "" });
        ["code", "health", "pod", "version"].map(|key| answer[key].as_str().unwrap_or_default().to_owned())
    }

    /// One of its own counters, summed over all series that have this in their labels.
    fn counter(&self, name: &str, label: &str) -> usize {
        let (_, text) = self
            .wire
            .get(&format!("http://{}/metrics", self.metrics()))
            .expect("metrics");
        let series = text.lines().filter_map(|line| line.rsplit_once(' '));
        let counted = series.filter(|(series, _)| series.starts_with(name) && series.contains(label));
        counted.map(|(_, value)| value.parse::<usize>().expect("a count")).sum()
    }

    /// SIGTERM; it is gone when this returns.
    fn stop(&self) {
        let process = self.part.process().expect("a process");
        let id = i32::try_from(process).ok().and_then(Pid::from_raw).expect("a process");
        kill_process(id, Signal::TERM).expect("SIGTERM");
        until("its end", || !Path::new(&format!("/proc/{process}")).exists());
    }

    fn answered(&self, code: u16) -> usize {
        self.counter("http_server_requests_total{", &format!("code=\"{code}\""))
    }
}

#[test]
fn a_backends_faults_hold_over_http_and_grpc() {
    let ground = Ground::new().expect("a ground");
    let wire = Wire::new(ground.door());
    let good = Backend::start(&ground, &wire, "good", 1, &[("VERSION", "1")]);
    let faults = json!({"errors": 1, "latency_ms": 300}).to_string();
    let bad = Backend::start(&ground, &wire, "bad", 2, &[("VERSION", "2"), ("FAULTS", &faults)]);
    let (status, body) = good.get("/any");
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(
        (status, body),
        (200, json!({"path": "/any", "pod": "good", "version": "1"}))
    );
    assert_eq!(good.call(&ground, "20s"), ["OK", "SERVING", "good", "1"]);
    let began = Instant::now();
    assert_eq!(bad.status("/"), 500);
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(bad.call(&ground, "20s"), ["Internal", "SERVING", "bad", "2"]);
    let shown: Value = serde_json::from_str(&bad.get("/faults").1).expect("JSON");
    assert_eq!((&shown["errors"], &shown["latency_ms"]), (&json!(1), &json!(300)));
    // The first errors are those of both protocols; then it is well.
    assert_eq!(bad.faults(&json!({"first_errors": 3, "ready": false})), 200);
    assert_eq!(
        (bad.status("/readyz"), bad.status("/livez"), bad.status("/")),
        (503, 200, 500)
    );
    assert_eq!(bad.call(&ground, "20s"), ["Internal", "NOT_SERVING", "bad", "2"]);
    assert_eq!([bad.status("/"), bad.status("/"), bad.status("/")], [500, 200, 200]);
    assert_eq!(bad.call(&ground, "20s")[..2], ["OK", "NOT_SERVING"]);
    // It hangs, and goes on; its probes do not.
    assert_eq!(bad.faults(&json!({"hang": true})), 200);
    let [code, health, ..] = bad.call(&ground, "500ms");
    assert_eq!(
        (code.as_str(), health.as_str(), bad.status("/readyz")),
        ("DeadlineExceeded", "SERVING", 200)
    );
    std::thread::scope(|scope| {
        let held = scope.spawn(|| bad.status("/"));
        until("a request that is held", || {
            bad.counter("http_server_active_requests", "") == 1
        });
        assert_eq!(bad.faults(&json!({})), 200);
        assert_eq!(held.join().expect("an answer"), 200);
    });
    // What it does not know, it does not take.
    assert_eq!(
        (bad.faults(&json!({"error": 1})), bad.faults(&json!({"errors": 2}))),
        (400, 400)
    );
    assert_eq!(bad.counter("grpc_server_handled_total{", "grpc_code=\"Internal\""), 2);
}

#[test]
fn a_backend_starts_drains_and_crashes_as_it_is_told() {
    let ground = Ground::new().expect("a ground");
    let wire = Wire::new(ground.door());
    let late = Backend::start(&ground, &wire, "late", 1, &[("START_DELAY", "1h")]);
    assert_eq!(
        (late.status("/startupz"), late.status("/readyz"), late.status("/livez")),
        (503, 503, 200)
    );
    assert_eq!(
        (late.status("/"), late.call(&ground, "20s")[0].as_str()),
        (503, "Unavailable")
    );
    let slow = [("START_DELAY", "500ms"), ("DRAIN_DELAY", "2s")];
    let slow = Backend::start(&ground, &wire, "slow", 2, &slow);
    until("its start", || {
        slow.status("/startupz") == 200 && slow.status("/readyz") == 200
    });
    // At SIGTERM it is not ready any more, but serves as long as somebody may not know; then it answers what it has
    // begun.
    slow.faults(&json!({"latency_ms": 5_000}));
    std::thread::scope(|scope| {
        let last = scope.spawn(|| slow.status("/"));
        until("a request that runs", || {
            slow.counter("http_server_active_requests", "") == 1
        });
        slow.faults(&json!({}));
        let stop = scope.spawn(|| slow.stop());
        // It closes what connections are idle; a request that is just put on one of them is lost, and asked again.
        until("that it is not ready", || {
            wire.get(&slow.url("/readyz")).is_ok_and(|(status, _)| status == 503)
        });
        assert_eq!(slow.status("/"), 200);
        assert_eq!(last.join().expect("an answer"), 200);
        stop.join().expect("its end");
    });
    assert!(wire.get(&slow.url("/")).is_err());
    let brittle = Backend::start(&ground, &wire, "brittle", 3, &[("CRASH_AFTER", "2")]);
    assert_eq!((brittle.status("/"), brittle.status("/")), (200, 200));
    assert!(wire.get(&brittle.url("/")).is_err());
    until("its end", || wire.get(&brittle.url("/livez")).is_err());
}

/// Half of the requests for [`SHOP`] to each of these, none for any other host.
fn proxy(ground: &Ground, wire: &Wire, backends: [&Backend; 2]) -> Part {
    let clusters = backends.map(|backend| {
        let endpoint = json!({"endpoint": {"address": socket(&backend.address.to_string(), 8080)}});
        json!({
            "name": backend.part.name(), "type": "STATIC",
            "load_assignment": {"cluster_name": backend.part.name(), "endpoints": [{"lb_endpoints": [endpoint]}]},
        })
    });
    let weights = backends.map(|backend| json!({"name": backend.part.name(), "weight": 50}));
    let route = json!({"match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": weights}}});
    front(ground, wire, &json!(clusters), SHOP, &json!([route]), &json!({}))
}

/// An Envoy before all, as a part: it listens on 10080 for requests to these domains, and shows itself on 10081.
pub(super) fn front(
    ground: &Ground,
    wire: &Wire,
    clusters: &Value,
    domain: &str,
    routes: &Value,
    stats: &Value,
) -> Part {
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "shop",
        "route_config": {"virtual_hosts": [{"name": "shop", "domains": [domain], "routes": routes}]},
        "http_filters": [{
            "name": "router",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
        }],
    });
    let listener = json!({
        "address": socket("127.0.0.1", 10_080),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    });
    let bootstrap = json!({
        "admin": {"address": socket("127.0.0.1", 10_081)}, "stats_config": stats,
        "static_resources": {"clusters": clusters, "listeners": [listener]},
    });
    let file = ground.directory("proxy").join("envoy.json");
    std::fs::write(&file, bootstrap.to_string()).expect("a file");
    let (door, program) = (ground.door(), tool("envoy"));
    let recipe = move || {
        let mut command: Command = door.command(&program);
        command.arg("-c").arg(&file);
        // Without the memory that an Envoy shares with its successor, which would be called the same in every lab.
        command.args(["--concurrency", "1", "--log-level", "warn", "--disable-hot-restart"]);
        command
    };
    let wire = wire.clone();
    let ready = move || wire.is_ready("http://127.0.0.1:10081/ready");
    Part::start(ground, "proxy", recipe, ready).expect("a proxy")
}

pub(super) fn socket(address: &str, port: u16) -> Value {
    json!({"socket_address": {"address": address, "port_value": port}})
}

/// Answers by pod and status, as Prometheus has them.
fn seen(prometheus: &Prometheus) -> BTreeMap<(String, u16), usize> {
    let result = prometheus.query("sum by (pod, code) (http_server_requests_total{job=\"shop\"})");
    let series = result.as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    series
        .map(|one| {
            let (pod, code) = (text(&one["metric"]["pod"]), text(&one["metric"]["code"]));
            let count = text(&one["value"][1]).parse().expect("a count");
            ((pod, code.parse().expect("a code")), count)
        })
        .collect()
}

#[test]
fn load_backends_and_prometheus_tell_the_same_counts() {
    let ground = Ground::new().expect("a ground");
    let wire = Wire::new(ground.door());
    let stable = Backend::start(&ground, &wire, "stable", 1, &[("VERSION", "1")]);
    let first = json!({"first_errors": 7, "latency_ms": 30}).to_string();
    let canary = Backend::start(&ground, &wire, "canary", 2, &[("VERSION", "2"), ("FAULTS", &first)]);
    let _proxy = proxy(&ground, &wire, [&stable, &canary]);
    let prometheus = Prometheus::start(&ground, &wire).expect("Prometheus");
    for backend in [&stable, &canary] {
        prometheus.scrape("shop", &backend.metrics(), "/metrics", &[("pod", backend.part.name())]);
    }
    prometheus.until_scraped();
    assert_eq!(prometheus.query("sum(up{job=\"shop\"})")[0]["value"][1], "2");

    // All of the first errors are seen, by the client and by the backend; and no other.
    let load = Load::new(PROXY, 200, Duration::from_secs(2)).host(SHOP);
    let mut told = load.clone().run(&wire);
    assert_eq!(
        (told.sent() + told.skipped, told.failures.len()),
        (400, 0),
        "{:?}",
        told.failures
    );
    assert_eq!(told.statuses().get(&500), Some(&7));
    assert_eq!(
        (told.answers.get(&("canary".into(), 500)), canary.answered(500)),
        (Some(&7), 7)
    );
    // Half and half, as the proxy throws its dice: ten standard deviations either way.
    assert!((100..=300).contains(&told.answered()["canary"]), "{:?}", told.answers);
    // Half of the answers take 30 ms: what 99 % do not exceed is more.
    assert!(
        told.quantile(990) >= Duration::from_millis(30),
        "{:?}",
        told.quantile(990)
    );
    assert!(told.quantile(10) <= told.quantile(500) && told.quantile(500) <= told.quantile(1_000));

    // Some errors, at random.
    canary.faults(&json!({"errors": 0.5}));
    let more = load.run(&wire);
    for (answer, count) in more.answers {
        *told.answers.entry(answer).or_default() += count;
    }
    let errors = told.answers[&("canary".into(), 500)];
    assert!((7 + 20..=7 + 200).contains(&errors), "{errors}");
    for ((pod, code), count) in &told.answers {
        let backend = if pod == "stable" { &stable } else { &canary };
        assert_eq!(backend.answered(*code), *count, "{pod} {code}");
    }
    let began = Instant::now();
    until("the last scrape", || seen(&prometheus) == told.answers);
    assert!(began.elapsed() < 20 * SCRAPE_INTERVAL, "{:?}", began.elapsed());

    // What it has seen, it knows after a crash too.
    prometheus.part.kill();
    prometheus.part.restart().expect("Prometheus again");
    until("what it has seen", || seen(&prometheus) == told.answers);
    assert_eq!(wire.is_ready(&format!("{}/-/healthy", prometheus.address())), Ok(()));

    // Who answered can be told by another header. Another host is nobody's: the proxy itself says so.
    let load = Load::new(PROXY, 50, Duration::from_millis(500));
    let by = reqwest::header::HeaderName::from_static("x-version");
    let versions = load.clone().host(SHOP).by(by).run(&wire).answered();
    assert!(versions.keys().eq(["1", "2"]), "{versions:?}");
    let nobody = load.host("other.lab").run(&wire);
    assert!(nobody.answers.keys().eq([&(String::new(), 404)]), "{nobody:?}");
}

#[test]
fn a_load_keeps_its_schedule_and_its_bounds() {
    let ground = Ground::new().expect("a ground");
    let wire = Wire::new(ground.door());
    let backend = Backend::start(&ground, &wire, "backend", 1, &[]);
    // Nothing answers: no more than five are in flight, and all of those fail.
    backend.faults(&json!({"hang": true}));
    let load = Load::new(&backend.url("/"), 100, Duration::from_secs(1)).in_flight(5);
    let report = load.timeout(Duration::from_secs(5)).run(&wire);
    assert_eq!(
        (report.sent(), report.skipped, report.answers.len()),
        (5, 95, 0),
        "{report:?}"
    );
    assert!(
        report.failures.keys().all(|why| why.contains("timed out")),
        "{report:?}"
    );
    assert_eq!(report.quantile(500), Duration::ZERO);
    until("that the backend notices", || backend.answered(499) == 5);
    // Answers that take longer than the pause between two requests do not slow the requests down.
    backend.faults(&json!({"latency_ms": 500}));
    let began = Instant::now();
    let report = Load::new(&backend.url("/"), 100, Duration::from_secs(1)).run(&wire);
    assert_eq!(
        (report.sent() + report.skipped, report.statuses().len()),
        (100, 1),
        "{report:?}"
    );
    assert!(report.quantile(1) >= Duration::from_millis(500));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    // It is stopped before its time, and what was sent is answered.
    backend.faults(&json!({}));
    let running = Load::new(&backend.url("/"), 100, LONGEST).start(&wire);
    until("ten answers", || running.so_far().statuses().get(&200) >= Some(&10));
    let report = running.stop(&wire);
    assert_eq!(report.sent(), report.statuses()[&200]);
    assert!(report.sent() < 100 * 60, "{}", report.sent());
    // Nobody there.
    backend.stop();
    let report = Load::new(&backend.url("/"), 20, Duration::from_millis(500)).run(&wire);
    assert_eq!(
        (report.failures.values().sum::<usize>(), report.answers.len()),
        (10, 0),
        "{report:?}"
    );
    for (rate, length) in [
        (FASTEST + 1, LONGEST),
        (0, LONGEST),
        (1, LONGEST + Duration::from_secs(1)),
    ] {
        let refused = std::panic::catch_unwind(|| Load::new("http://127.0.0.1/", rate, length));
        assert!(refused.is_err(), "{rate} {length:?}");
    }
}
