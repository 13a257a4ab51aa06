//! Two versions of a backend behind a real Envoy, with istiod and Prometheus, and msctl that releases one of them.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::header::HeaderName;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::super::condition;
use super::super::mesh::{deploy, service};
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

pub(super) fn prometheus() -> &'static Prometheus {
    static ONE: OnceLock<Prometheus> = OnceLock::new();
    ONE.get_or_init(|| Prometheus::start(lab().ground(), lab().wire()).expect("Prometheus"))
}

/// Whose counters a release is judged by.
pub(super) fn counters() -> [&'static str; 6] {
    let address = prometheus().address();
    ["--prometheus", address, "--metrics", "envoy", "--interval", "1s"]
}

/// Labels of a target that is scraped less often than others.
pub(super) const EACH_FIVE: [(&str, &str); 2] = [("__scrape_interval__", "5s"), ("__scrape_timeout__", "5s")];

/// Two steps and the whole, each for a moment.
pub(super) const FAST: [&str; 4] = ["--steps", "10,50", "--hold", "3s"];

/// The process of a release; `nsenter` becomes msctl, so the child is the driver. It does not outlive the test.
pub(super) struct Driver(Child);

impl Driver {
    pub(super) fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("msctl"))
    }

    /// The same, once it has said these words on stderr, which goes to this file.
    pub(super) fn start_and_say(command: &mut Command, file: &Path, words: &str) -> Self {
        let errors = File::create(file).expect("a file");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        let driver = Self(command.spawn().expect("msctl"));
        until(words, || {
            std::fs::read_to_string(file).is_ok_and(|text| text.contains(words))
        });
        driver
    }

    pub(super) fn signal(&self, signal: Signal) {
        let process = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        kill_process(process.expect("a process"), signal).expect("a signal");
    }

    pub(super) fn process(&self) -> u32 {
        self.0.id()
    }

    /// It dies where it stands.
    pub(super) fn kill(mut self) {
        self.signal(Signal::KILL);
        self.0.wait().expect("its end");
    }

    /// Its exit code, if it has ended.
    pub(super) fn ended(&mut self) -> Option<i32> {
        self.0.try_wait().expect("whether it runs")?.code()
    }

    /// Its exit code.
    pub(super) fn end(mut self) -> Option<i32> {
        self.0.wait().expect("its end").code()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Two versions of a backend behind an Envoy, as `msctl generate` would have them.
pub(super) struct Shop {
    pub(super) namespace: String,
    pub(super) sandbox: Sandbox,
    pub(super) proxy: Arc<Proxy>,
    _turn: Arc<Turn>,
}

/// Stories go on beside each other, but for those that break what all of them lean on.
pub(super) enum Turn {
    Together(#[expect(dead_code, reason = "it is held")] RwLockReadGuard<'static, ()>),
    Alone(#[expect(dead_code, reason = "it is held")] RwLockWriteGuard<'static, ()>),
}

/// One whose guards go from thread to thread.
static TURNS: RwLock<()> = RwLock::const_new(());

impl Turn {
    pub(super) fn together() -> Self {
        Self::Together(TURNS.blocking_read())
    }

    pub(super) fn alone() -> Self {
        Self::Alone(TURNS.blocking_write())
    }
}

impl Shop {
    /// Beside others.
    pub(super) fn open(name: &str) -> Self {
        Self::at(Turn::together(), name)
    }

    /// With Prometheus and istiod to itself, so that it may stop them.
    pub(super) fn alone(name: &str) -> Self {
        Self::at(Turn::alone(), name)
    }

    fn at(turn: Turn, name: &str) -> Self {
        let (namespace, sandbox) = stock(name);
        let proxy = lab().proxy(&namespace, 80);
        count(&proxy, &namespace, &[]);
        let shop = Self::with((namespace, sandbox), &Arc::new(proxy), &Arc::new(turn));
        shop.until_routed();
        prometheus().until_scraped();
        shop
    }

    /// Of what [`stock`] made, with the proxy of its clients.
    pub(super) fn with((namespace, sandbox): (String, Sandbox), proxy: &Arc<Proxy>, turn: &Arc<Turn>) -> Self {
        Self {
            namespace,
            sandbox,
            proxy: Arc::clone(proxy),
            _turn: Arc::clone(turn),
        }
    }

    /// Waits until the proxy has its routes.
    pub(super) fn until_routed(&self) {
        let host = self.host();
        self.proxy.until("http", |weights| {
            weights.iter().any(|(cluster, _)| cluster.ends_with(&host))
        });
    }

    /// Whether the proxy knows a pod of each version.
    pub(super) fn is_reached(&self) -> bool {
        let arms = ["stable", "canary"];
        arms.iter().all(|arm| self.proxy.reaches(&self.cluster(arm)))
    }

    /// What the proxy calls an arm.
    pub(super) fn cluster(&self, arm: &str) -> String {
        format!("outbound|80|{arm}|{}", self.host())
    }

    /// So many requests a second through the proxy, for two minutes at most.
    pub(super) fn load(&self, rate: u32) -> Running {
        let url = format!("http://{}/", self.proxy.address());
        Load::new(&url, rate, Duration::from_secs(110))
            .host(&self.host())
            .by(Self::by())
            .start(lab().wire())
    }

    /// Breaks every pod of the canary in this way.
    pub(super) fn break_canary(&self, faults: &Value) {
        self.fault("canary", faults);
    }

    /// Breaks every pod of this track in this way.
    pub(super) fn fault(&self, track: &str, faults: &Value) {
        for (_, address) in self.addresses(track) {
            let url = format!("http://{address}:8080/faults");
            let status = lab().wire().put(&url, &faults.to_string()).expect("an answer");
            assert_eq!(status, 200);
        }
    }

    /// Prometheus scrapes the counters of every pod from now on, which are called as a Prometheus in a cluster calls them.
    pub(super) fn scrape_pods(&self) {
        for track in ["stable", "canary"] {
            for (name, address) in self.addresses(track) {
                let labels = [("namespace", self.namespace.as_str()), ("pod", &name)];
                prometheus().scrape("pods", &format!("{address}:9100"), "/metrics", &labels);
            }
        }
        prometheus().until_scraped();
    }

    /// The description says that a release is judged by these metrics too.
    pub(super) fn judged_by(&self, metrics: &str) {
        let (file, before) = ("payment/msctl.yaml", "alpha: 0.01 }");
        let description = self.sandbox.read(file);
        assert!(description.contains(before), "{description}");
        let after = format!("alpha: 0.01, metrics: {metrics} }}");
        self.sandbox.write(file, description.replace(before, &after));
    }

    /// Waits until so many pods of this track say that they are ready.
    pub(super) fn until_ready(&self, track: &str, number: usize) {
        let ready = |pod: &&Value| condition(&pod["status"], "Ready") == Some("True");
        until("so many are ready", || {
            let pods = self.pods(track);
            pods["items"].as_array().into_iter().flatten().filter(ready).count() == number
        });
    }

    /// Name and address of every pod of this track, when all have one.
    fn addresses(&self, track: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        until("each pod has an address", || {
            let pods = self.pods(track);
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let one = |pod: &Value| Some((text(&pod["metadata"]["name"])?, text(&pod["status"]["podIP"])?));
            let all: Option<Vec<_>> = pods["items"].as_array().into_iter().flatten().map(one).collect();
            found = all.unwrap_or_default();
            !found.is_empty()
        });
        found
    }

    fn pods(&self, track: &str) -> Value {
        let path = format!(
            "/api/v1/namespaces/{}/pods?labelSelector=track%3D{track}",
            self.namespace
        );
        lab().control_plane().api(User::Admin).get(&path).ok()
    }

    /// `msctl canary explain`, which needs no cluster.
    pub(super) fn explain(&self) -> Run {
        self.sandbox
            .msctl_in("payment", ["--output", "ci", "canary", "explain"])
    }

    /// The mark of a release.
    pub(super) fn mark(&self) -> Value {
        self.route()["metadata"]["annotations"]["msctl.dev/canary"].clone()
    }

    /// The journals are gone.
    pub(super) fn forget(&self) {
        let gone = std::fs::remove_dir_all(self.sandbox.path("payment/.msctl/canary"));
        assert!(
            gone.is_ok() || !self.sandbox.path("payment/.msctl/canary").exists(),
            "{gone:?}"
        );
    }

    pub(super) fn host(&self) -> String {
        format!("payment.{}.svc.cluster.local", self.namespace)
    }

    /// The header in which a backend says which version it is.
    pub(super) fn by() -> HeaderName {
        HeaderName::from_static("x-version")
    }

    /// `msctl --output json canary`.
    pub(super) fn machine(&self, verb: &str, arguments: &[&str]) -> Run {
        let mut command = lab().ground().door().visitor(program());
        command.args(["-C"]).arg(self.sandbox.path("payment"));
        command.args(["--output", "json", "canary", verb, "--kubeconfig"]);
        command
            .arg(lab().control_plane().kubeconfig(User::Releaser))
            .args(arguments);
        finish(&mut command)
    }

    /// `msctl canary` in the lab's network, as somebody who may release.
    pub(super) fn canary(&self, user: User, verb: &str, arguments: &[&str]) -> Run {
        finish(&mut self.command(user, verb, arguments))
    }

    pub(super) fn command(&self, user: User, verb: &str, arguments: &[&str]) -> Command {
        self.command_in("payment", user, verb, arguments)
    }

    fn command_in(&self, directory: &str, user: User, verb: &str, arguments: &[&str]) -> Command {
        let mut command = lab().ground().door().visitor(program());
        command.args(["-C"]).arg(self.sandbox.path(directory));
        command.args(["--output", "ci", "canary", verb, "--kubeconfig"]);
        command.arg(lab().control_plane().kubeconfig(user));
        command.args(arguments).env("USER", "ann");
        command
    }

    pub(super) fn release(&self) -> Run {
        finish(&mut self.release_of_two_steps())
    }

    fn release_of_two_steps(&self) -> Command {
        self.command(User::Releaser, "run", &[&counters()[..], &FAST].concat())
    }

    /// `msctl canary` from a directory that knows nothing of any release.
    pub(super) fn elsewhere(&self, verb: &str, arguments: &[&str]) -> Run {
        let description = self.sandbox.read("payment/msctl.yaml");
        self.sandbox.write("elsewhere/msctl.yaml", description);
        let mut command = self.command_in("elsewhere", User::Releaser, verb, arguments);
        finish(command.env("USER", "ben"))
    }

    /// A release in the background, with these flags; its share is that of its first step when this returns.
    pub(super) fn begin(&self, flags: &[&str]) -> Driver {
        // Whose counters there are may be said by the flags.
        let own: &[&str] = if flags.contains(&"--metrics") { &[] } else { &counters() };
        let mut command = self.command(User::Releaser, "run", &[own, flags].concat());
        let driver = Driver::start(&mut command);
        until("its first step", || self.share() == 10);
        driver
    }

    /// Cuts the one journal of this service off after so many bytes.
    pub(super) fn keep_of_journal(&self, bytes: usize) {
        let directory = self.sandbox.path("payment/.msctl/canary");
        let files = std::fs::read_dir(directory).expect("journals").flatten();
        let mut journals = files.filter(|file| file.path().extension().is_some_and(|e| e == "jsonl"));
        let journal = journals.next().expect("a journal").path();
        let text = std::fs::read_to_string(&journal).expect("a journal");
        std::fs::write(&journal, &text[..bytes]).expect("a journal");
    }

    /// What the journals of this service say, as one text.
    pub(super) fn journal(&self) -> String {
        let directory = self.sandbox.path("payment/.msctl/canary");
        let files = std::fs::read_dir(directory).into_iter().flatten().flatten();
        let journals = files.filter(|file| file.path().extension().is_some_and(|e| e == "jsonl"));
        journals
            .map(|file| std::fs::read_to_string(file.path()).unwrap_or_default())
            .collect()
    }

    /// Somebody gives the canary this much, by hand.
    pub(super) fn weight(&self, canary: u64) {
        let set = |route: u32, arm: u32, weight: u64| json!({"op": "replace", "path": format!("/spec/http/{route}/route/{arm}/weight"), "value": weight});
        let all = json!([
            set(0, 0, 100 - canary),
            set(0, 1, canary),
            set(1, 0, 100 - canary),
            set(1, 1, canary)
        ]);
        lab().control_plane().api(User::Admin).patch(&self.path(), &all).ok();
        until("the proxy has it", || self.shown() == canary);
    }

    /// What the proxy gives the canary, in the units of its route: of a hundred, unless it has all.
    pub(super) fn shown(&self) -> u64 {
        let (weights, canary) = (self.proxy.weights("http"), self.cluster("canary"));
        let of = weights.iter().find(|(name, _)| *name == canary);
        of.map_or(0, |(_, weight)| *weight)
    }

    /// What the canary is given, in percent.
    pub(super) fn share(&self) -> u64 {
        self.route()["spec"]["http"][0]["route"][1]["weight"]
            .as_u64()
            .unwrap_or(0)
    }

    pub(super) fn route(&self) -> Value {
        lab().control_plane().api(User::Admin).get(&self.path()).ok()
    }

    /// The reasons of what msctl told of the route.
    pub(super) fn events(&self) -> Vec<String> {
        let path = format!("/api/v1/namespaces/{}/events", self.namespace);
        let events = lab().control_plane().api(User::Admin).get(&path).ok();
        let ours = events["items"].as_array().into_iter().flatten();
        let ours = ours.filter(|event| event["reportingComponent"] == "msctl");
        ours.filter_map(|event| event["reason"].as_str().map(str::to_owned))
            .collect()
    }

    pub(super) fn path(&self) -> String {
        format!(
            "/apis/networking.istio.io/v1/namespaces/{}/virtualservices/payment",
            self.namespace
        )
    }

    /// Nothing of a release is left: no lease, no mark.
    pub(super) fn is_tidy(&self) -> bool {
        let path = format!(
            "/apis/coordination.k8s.io/v1/namespaces/{}/leases/msctl-canary-payment",
            self.namespace
        );
        let lease = lab().control_plane().api(User::Admin).get(&path);
        lease.status == 404 && self.route()["metadata"]["annotations"]["msctl.dev/canary"].is_null()
    }
}

/// Two versions of a backend in a namespace of their own, as `msctl generate` has them: its name, and where they are described.
pub(super) fn stock(name: &str) -> (String, Sandbox) {
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
    (namespace, sandbox)
}

/// From now on a proxy of this namespace can be asked through the API server, and Prometheus scrapes it; its target has these
/// labels.
pub(super) fn count(proxy: &Proxy, namespace: &str, labels: &[(&str, &str)]) {
    stand_in("istio-system", "istiod-0", "istiod", &["15014=127.0.0.1:15080".into()]);
    // istiod goes by the labels of the pod when the proxy comes again.
    let admin = format!("15000={}", proxy.admin());
    stand_in(namespace, proxy.name(), proxy.name(), &[admin]);
    prometheus().scrape(namespace, &proxy.admin(), "/stats/prometheus", labels);
}

pub(super) fn harmed(report: &Report) -> usize {
    report.statuses().get(&500).copied().unwrap_or(0)
}
