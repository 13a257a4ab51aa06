//! What the three have in common: an app with a version that has the traffic, and another one to be released.

use reqwest::Method;
use serde_json::{Value, json};

use crate::lab::{Program, Proxy, User, lab};
use crate::support::{tool, until};

use super::super::shop::{EACH_FIVE, prometheus};

/// So long is what Flagger and Argo look at: at 20 requests a second and 10 %, sixty requests.
pub(super) const WINDOW: &str = "30s";

/// What stands for the app's image.
const IMAGE: &str = "lab/raced:1";

/// Who releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    Msctl,
    Flagger,
    Argo,
}

impl Who {
    pub(super) const ALL: [Self; 3] = [Self::Msctl, Self::Flagger, Self::Argo];
}

/// How a release ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    Promoted,
    RolledBack,
    /// Without an answer, traffic at stable.
    GaveUp,
    /// Because of what somebody else did, which stays.
    Left,
}

/// What is to be released: no two are alike.
#[derive(Clone, Copy, Debug)]
pub(super) struct Version {
    pub(super) number: u32,
    /// This part of its requests fails.
    pub(super) errors: f64,
    /// The steps that msctl takes; those of the others stand in their objects.
    pub(super) steps: &'static str,
}

impl Version {
    fn faults(self) -> String {
        json!({"errors": self.errors}).to_string()
    }
}

/// An app, and who releases its versions.
pub(super) trait Contender {
    fn who(&self) -> Who;
    fn namespace(&self) -> &str;
    fn proxy(&self) -> &Proxy;

    /// The label of the pods that have the traffic where no release is under way.
    fn stable(&self) -> &'static str;

    /// The label of the pods of the version that is released.
    fn canary(&self) -> String;

    /// What is done to a version before its release.
    fn prepare(&mut self, _version: Version) {}

    /// Whether its pace is that of the documents' example from now on, where that is another one.
    fn documented(&mut self, _is_so: bool) {}

    /// A release of this version begins.
    fn begin(&mut self, version: Version);

    /// How it ended; none while it is under way. It is asked only once the canary had traffic.
    fn end(&mut self) -> Option<End>;

    /// What is said of the release.
    fn word(&mut self) -> String;

    /// A release of a good version that is still under way is ended; then stable has all the traffic.
    fn rest(&mut self);
}

pub(super) fn get(path: &str) -> Value {
    lab().control_plane().api(User::Admin).get(path).ok()
}

pub(super) fn post(path: &str, object: &Value) {
    lab().control_plane().api(User::Admin).post(path, object).ok();
}

/// PATCH, as RFC 7396 has it.
pub(super) fn merge(path: &str, change: &Value) {
    let api = lab().control_plane().api(User::Admin);
    let kind = "application/merge-patch+json";
    let answer = api.ask(Method::PATCH, path, kind, Some(change.clone()));
    answer.expect("an answer").ok();
}

/// A workload's pods get this version.
pub(super) fn give(workload: &str, version: Version) {
    let container = &get(workload)["spec"]["template"]["spec"]["containers"][0];
    let own = ["VERSION", "FAULTS"];
    let others = container["env"].as_array().into_iter().flatten();
    let others = others.filter(|set| !own.contains(&set["name"].as_str().unwrap_or_default()));
    let values = [version.number.to_string(), version.faults()];
    let ours = own
        .iter()
        .zip(values)
        .map(|(name, value)| json!({"name": name, "value": value}));
    let all: Vec<Value> = others.cloned().chain(ours).collect();
    let path = "/spec/template/spec/containers/0/env";
    let change = json!([{"op": "add", "path": path, "value": all}]);
    lab().control_plane().api(User::Admin).patch(workload, &change).ok();
}

/// This part of the requests to the pods with this label fails from now on.
pub(super) fn spoil(namespace: &str, label: &str, errors: f64) {
    let (name, value) = label.split_once('=').expect("a label");
    let pods = get(&format!(
        "/api/v1/namespaces/{namespace}/pods?labelSelector={name}%3D{value}"
    ));
    for pod in pods["items"].as_array().into_iter().flatten() {
        let Some(address) = pod["status"]["podIP"].as_str() else {
            continue;
        };
        // One that is about to end may not answer.
        let url = format!("http://{address}:8080/faults");
        _ = lab().wire().put(&url, &json!({"errors": errors}).to_string());
    }
}

/// The template of an app's pods, at version 0.
pub(super) fn template() -> Value {
    let backend = Program {
        path: tool("lab-backend"),
        arguments: Vec::new(),
    };
    lab().node().image(IMAGE, backend);
    let container = json!({
        "name": "app", "image": IMAGE,
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": [{"name": "DRAIN_DELAY", "value": "1s"}, {"name": "VERSION", "value": "0"}, {"name": "FAULTS", "value": "{}"}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 1},
    });
    json!({
        "metadata": {"labels": {"app": "payment"}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 10},
    })
}

/// A gateway for an app, scraped as all are.
pub(super) fn gateway(namespace: &str) -> Proxy {
    let proxy = lab().proxy(namespace, 80);
    scrape(namespace, &proxy);
    proxy
}

pub(super) fn scrape(namespace: &str, proxy: &Proxy) {
    prometheus().scrape(namespace, &proxy.admin(), "/stats/prometheus", &EACH_FIVE);
}

/// The canary's part of requests that did not fail, by its gateway's counters; one that never failed has all of them.
pub(super) fn success_rate(namespace: &str) -> String {
    let cluster = format!("outbound|80||payment-canary.{namespace}.svc.cluster.local");
    let rate = |more: &str| {
        format!("sum(rate(envoy_cluster_upstream_rq_xx{{envoy_cluster_name=\"{cluster}\"{more}}}[{WINDOW}]))")
    };
    let failed = rate(",envoy_response_code_class=\"5\"");
    format!("1 - ({failed} or vector(0)) / {}", rate(""))
}

/// Waits until a field of an object is one of these.
pub(super) fn until_is(path: &str, pointer: &str, values: &[&str]) {
    until(&format!("{pointer} of {path} as one of {values:?}"), || {
        let object = get(path);
        let value = object.pointer(pointer).and_then(Value::as_str);
        value.is_some_and(|value| values.contains(&value))
    });
}
