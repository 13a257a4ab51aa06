//! A release on the mesh, by msctl itself: real API server, istiod, Envoy, Prometheus, and two versions of a backend.

use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::header::HeaderName;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::mesh::{deploy, service};
use crate::lab::load::{Load, Report, Running};
use crate::lab::{Program, Prometheus, Proxy, User, lab};
use crate::support::{Run, Sandbox, finish, program, tool, until};

/// Carries every connection to a port of `LISTEN_HOST` to an address: `15000=127.0.0.1:16001`.
const RELAY: &str = r#"
import os, socket, sys, threading

def carry(source, sink):
    try:
        while piece := source.recv(65536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass

def serve(port, host, to):
    server = socket.create_server((os.environ["LISTEN_HOST"], port))
    while True:
        client, _ = server.accept()
        try:
            other = socket.create_connection((host, to))
        except OSError:
            client.close()
            continue
        threading.Thread(target=carry, args=(client, other), daemon=True).start()
        threading.Thread(target=carry, args=(other, client), daemon=True).start()

for way in sys.argv[1:]:
    port, to = way.split("=")
    host, to = to.rsplit(":", 1)
    threading.Thread(target=serve, args=(int(port), host, int(to))).start()
"#;

/// A pod that stands for a part of the lab, so that it can be asked through the API server as in a cluster: what comes to its
/// ports goes to those addresses.
fn stand_in(namespace: &str, name: &str, app: &str, ways: &[String]) {
    let arguments = ["-c".to_owned(), RELAY.to_owned()].to_vec();
    let path = "/usr/bin/python3".into();
    lab().node().image("lab/relay:1", Program { path, arguments });
    // As the namespace of a generated service wants every pod to be.
    let container = json!({
        "name": "relay", "image": "lab/relay:1", "args": ways,
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
    });
    let pod = json!({
        "metadata": {"name": name, "labels": {"app": app}},
        "spec": {
            "containers": [container], "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        },
    });
    let api = lab().control_plane().api(User::Admin);
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    // The service account of a new namespace is made a moment after it.
    until("the pod is taken", || matches!(api.post(&pods, &pod).status, 201 | 409));
    let pod = format!("{pods}/{name}");
    until("it runs", || api.get(&pod).body["status"]["phase"] == "Running");
}

fn prometheus() -> &'static Prometheus {
    static ONE: OnceLock<Prometheus> = OnceLock::new();
    ONE.get_or_init(|| Prometheus::start(lab().ground(), lab().wire()).expect("Prometheus"))
}

/// Whose counters a release is judged by.
fn counters() -> [&'static str; 6] {
    let address = prometheus().address();
    ["--prometheus", address, "--metrics", "envoy", "--interval", "1s"]
}

/// Two versions of a backend behind an Envoy, as `msctl generate` would have them.
struct Shop {
    namespace: String,
    sandbox: Sandbox,
    proxy: Proxy,
}

impl Shop {
    fn open(name: &str) -> Self {
        let namespace = lab().namespace(name);
        let sandbox = service(&namespace);
        let backend = Program {
            path: tool("lab-backend"),
            arguments: Vec::new(),
        };
        let image = format!("registry.example/{namespace}:0.1.0");
        lab().node().image(&image, backend);
        for track in ["stable", "canary"] {
            let file = format!("payment/deploy/kubernetes/deployment-{track}.yaml");
            let text = sandbox.read(&file);
            assert!(text.contains("registry.example/payment:0.1.0"), "{text}");
            sandbox.write(&file, text.replace("registry.example/payment:0.1.0", &image));
        }
        deploy(&sandbox, &namespace);
        let proxy = lab().proxy(&namespace, 80);
        stand_in("istio-system", "istiod-0", "istiod", &["15014=127.0.0.1:15080".into()]);
        stand_in(
            &namespace,
            proxy.name(),
            "client",
            &[format!("15000={}", proxy.admin())],
        );
        prometheus().scrape(&namespace, &proxy.admin(), "/stats/prometheus", &[]);
        let shop = Self {
            namespace,
            sandbox,
            proxy,
        };
        proxy_has_routes(&shop.proxy);
        shop
    }

    /// So many requests a second through the proxy, for two minutes at most.
    fn load(&self, rate: u32) -> Running {
        let url = format!("http://{}/", self.proxy.address());
        let host = format!("payment.{}.svc.cluster.local", self.namespace);
        let by = HeaderName::from_static("x-version");
        Load::new(&url, rate, Duration::from_secs(110))
            .host(&host)
            .by(by)
            .start(lab().wire())
    }

    /// Breaks every pod of the canary in this way.
    fn break_canary(&self, faults: &Value) {
        let api = lab().control_plane().api(User::Admin);
        let path = format!(
            "/api/v1/namespaces/{}/pods?labelSelector=track%3Dcanary",
            self.namespace
        );
        let pods = api.get(&path).ok();
        for pod in pods["items"].as_array().into_iter().flatten() {
            let address = pod["status"]["podIP"].as_str().expect("an address");
            let url = format!("http://{address}:8080/faults");
            let status = lab().wire().put(&url, &faults.to_string()).expect("an answer");
            assert_eq!(status, 200);
        }
    }

    /// `msctl canary` in the lab's network, as somebody who may release.
    fn canary(&self, user: User, verb: &str, arguments: &[&str]) -> Run {
        finish(&mut self.command(user, verb, arguments))
    }

    fn command(&self, user: User, verb: &str, arguments: &[&str]) -> Command {
        let mut command = lab().ground().door().visitor(program());
        command.args(["-C"]).arg(self.sandbox.path("payment"));
        command.args(["--output", "ci", "canary", verb, "--kubeconfig"]);
        command.arg(lab().control_plane().kubeconfig(user));
        command.args(arguments).env("USER", "ann");
        command
    }

    fn release(&self) -> Run {
        finish(&mut self.release_of_two_steps())
    }

    /// `nsenter` becomes msctl: the child is the driver.
    fn release_in_background(&self) -> Child {
        let mut command = self.release_of_two_steps();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("msctl")
    }

    fn release_of_two_steps(&self) -> Command {
        let fast = ["--steps", "10,50", "--hold", "3s"];
        self.command(User::Releaser, "run", &[&counters()[..], &fast].concat())
    }

    /// Somebody gives the canary this much, by hand.
    fn weight(&self, canary: u64) {
        let set = |route: u32, arm: u32, weight: u64| json!({"op": "replace", "path": format!("/spec/http/{route}/route/{arm}/weight"), "value": weight});
        let all = json!([
            set(0, 0, 100 - canary),
            set(0, 1, canary),
            set(1, 0, 100 - canary),
            set(1, 1, canary)
        ]);
        lab().control_plane().api(User::Admin).patch(&self.path(), &all).ok();
        self.proxy.until("http", |weights| {
            let of = weights.iter().find(|(name, _)| name.contains("|canary|"));
            of.map_or(0, |(_, weight)| *weight) == canary
        });
    }

    /// What the canary is given, in percent.
    fn share(&self) -> u64 {
        self.route()["spec"]["http"][0]["route"][1]["weight"]
            .as_u64()
            .unwrap_or(0)
    }

    fn route(&self) -> Value {
        lab().control_plane().api(User::Admin).get(&self.path()).ok()
    }

    fn path(&self) -> String {
        format!(
            "/apis/networking.istio.io/v1/namespaces/{}/virtualservices/payment",
            self.namespace
        )
    }

    /// Nothing of a release is left: no lease, no mark.
    fn is_tidy(&self) -> bool {
        let path = format!(
            "/apis/coordination.k8s.io/v1/namespaces/{}/leases/msctl-canary-payment",
            self.namespace
        );
        let lease = lab().control_plane().api(User::Admin).get(&path);
        lease.status == 404 && self.route()["metadata"]["annotations"]["msctl.dev/canary"].is_null()
    }
}

fn proxy_has_routes(proxy: &Proxy) {
    proxy.until("http", |weights| !weights.is_empty());
    prometheus().until_scraped();
}

fn harmed(report: &Report) -> usize {
    report.statuses().get(&500).copied().unwrap_or(0)
}

#[test]
fn a_good_canary_gets_all_the_traffic() {
    let shop = Shop::open("good");
    let load = shop.load(200);
    let run = shop.release();
    println!("{}", run.transcript());
    assert_eq!(run.code, 0, "{}", run.transcript());
    let route = &shop.route()["spec"]["http"][0]["route"];
    assert_eq!((&route[0]["weight"], &route[1]["weight"]), (&json!(0), &json!(100)));
    assert!(shop.is_tidy());
    load.stop(lab().wire());
}

#[test]
fn a_bad_canary_is_taken_back_and_leaves_the_route_as_it_was() {
    let shop = Shop::open("bad");
    let before = shop.route()["spec"].clone();
    shop.break_canary(&json!({"errors": 0.5}));
    let load = shop.load(200);
    let run = shop.release();
    println!("{}", run.transcript());
    assert_eq!(run.code, 1, "{}", run.transcript());
    assert_eq!(shop.route()["spec"], before);
    assert!(shop.is_tidy());
    let told = load.stop(lab().wire());
    println!("{} requests harmed of {}", harmed(&told), told.sent());
    assert!(harmed(&told) > 0 && told.failures.is_empty(), "{told:?}");
}

#[test]
fn a_release_that_may_not_or_cannot_begin_changes_nothing() {
    let shop = Shop::open("refused");
    let before = shop.route();
    let from = counters();
    let refused = |user: User, more: &[&str], code: i32, words: &str| {
        let run = shop.canary(user, "run", &[&from[..], more].concat());
        assert_eq!(run.code, code, "{}", run.transcript());
        assert!(run.stderr.contains(words), "{words}:\n{}", run.transcript());
    };
    refused(User::Stranger, &[], 2, "cannot read the VirtualService");
    refused(User::Viewer, &[], 2, "cannot");
    refused(User::Releaser, &["--route", "other"], 2, "msctl generate istio");
    refused(
        User::Releaser,
        &["--mesh", "nowhere"],
        2,
        "there is no istiod in `nowhere`",
    );
    let dry = shop.canary(User::Releaser, "run", &[&from[..], &["--dry-run"]].concat());
    assert_eq!(dry.code, 0, "{}", dry.transcript());
    assert!(dry.stdout.contains("Nothing was changed."), "{}", dry.transcript());
    assert_eq!(shop.route(), before);

    // Somebody gave the canary traffic by hand.
    shop.weight(30);
    let moved = shop.route();
    refused(User::Releaser, &[], 3, "the canary has 30 % of the traffic already");
    assert_eq!(shop.route(), moved);
    shop.weight(0);

    // Somebody else drives it.
    let api = lab().control_plane().api(User::Admin);
    let leases = format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", shop.namespace);
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
    let lease = json!({
        "metadata": {"name": "msctl-canary-payment"},
        "spec": {"holderIdentity": "ben@desk", "leaseDurationSeconds": 3600, "renewTime": now, "acquireTime": now},
    });
    api.post(&leases, &lease).ok();
    refused(User::Releaser, &[], 3, "driven by ben@desk");
    assert!(shop.route()["metadata"]["annotations"]["msctl.dev/canary"].is_null());
}

#[test]
fn what_a_person_sets_in_the_middle_of_a_release_stays() {
    let shop = Shop::open("hands");
    let load = shop.load(100);
    let mut running = shop.release_in_background();
    until("its first step", || shop.share() == 10);
    shop.weight(0);
    let code = running.wait().expect("its end").code();
    assert_eq!((code, shop.share()), (Some(3), 0));
    assert!(shop.is_tidy());
    load.stop(lab().wire());
}

#[test]
fn a_release_that_is_asked_to_stop_puts_traffic_back() {
    let shop = Shop::open("stop");
    let before = shop.route()["spec"].clone();
    let load = shop.load(100);
    let mut running = shop.release_in_background();
    until("its first step", || shop.share() == 10);
    let process = i32::try_from(running.id())
        .ok()
        .and_then(Pid::from_raw)
        .expect("a process");
    kill_process(process, Signal::INT).expect("SIGINT");
    assert_eq!(running.wait().expect("its end").code(), Some(130));
    assert!(shop.is_tidy());
    assert_eq!(shop.route()["spec"], before);
    load.stop(lab().wire());
}
