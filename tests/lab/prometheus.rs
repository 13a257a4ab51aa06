//! Prometheus: it scrapes what a test names, and answers queries. Its samples are below the lab's directory.
//!
//! Prometheus tells its scraper of new targets every five seconds, at the earliest five seconds after its start; that
//! is written into the program. So [`Prometheus::scrape`] only names a target, and [`Prometheus::until_scraped`]
//! waits for all.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::Url;
use serde_json::{Map, Value, json};

use super::ground::Ground;
use super::part::Part;
use super::remote_write::{self, Written};
use super::wire::Wire;
use crate::support::tool;

/// Every target is scraped once in this time, which is also how long a scrape may take: `rate(..[3s])` is the
/// shortest that always has the two samples it needs.
pub(crate) const SCRAPE_INTERVAL: Duration = Duration::from_secs(1);

/// Targets of this job have what Envoy counts of its clusters in the shape of Istio's own telemetry. The lab's proxies
/// lack the filter that makes the real one: here the samples are Envoy's, with other names and labels, and without
/// flags, gRPC's status and the source.
pub(crate) const AS_ISTIO: &str = "as-istio";

const ADDRESS: &str = "127.0.0.1:9090";

/// A target has to be scraped within this time.
const LONGEST: Duration = Duration::from_mins(1);

/// A Prometheus that answers.
pub(crate) struct Prometheus {
    pub(crate) part: Part,
    wire: Wire,
    address: String,
    /// The targets it is told of, in the form of its `file_sd`.
    file: PathBuf,
    targets: Mutex<Vec<Value>>,
}

impl Prometheus {
    /// Starts it, without targets.
    pub(crate) fn start(ground: &Ground, wire: &Wire) -> Result<Self, String> {
        let (directory, data) = (ground.directory("prometheus"), ground.directory("prometheus/data"));
        let file = directory.join("targets.json");
        let interval = format!("{}s", SCRAPE_INTERVAL.as_secs());
        let configuration = json!({
            "global": {"scrape_interval": interval, "scrape_timeout": interval},
            "scrape_configs": [{
                "job_name": "lab", "file_sd_configs": [{"files": [file], "refresh_interval": "1s"}],
                "metric_relabel_configs": as_istio(),
            }],
        });
        let path = directory.join("prometheus.yml"); // JSON is YAML
        std::fs::write(&path, configuration.to_string()).map_err(|e| format!("{}: {e}", path.display()))?;
        let (door, program) = (ground.door(), tool("prometheus"));
        let recipe = move || {
            let mut command = door.command(&program);
            command.arg(format!("--config.file={}", path.display()));
            command.arg(format!("--storage.tsdb.path={}", data.display()));
            command.arg(format!("--web.listen-address={ADDRESS}"));
            // The scraper's own throttle, which is five seconds too.
            command.args(["--scrape.discovery-reload-interval=100ms", "--log.level=warn"]);
            command.arg("--web.enable-remote-write-receiver");
            command
        };
        let (wire, of_part) = (wire.clone(), wire.clone());
        let address = format!("http://{ADDRESS}");
        let url = format!("{address}/-/ready");
        let ready = move || of_part.is_ready(&url);
        Ok(Self {
            part: Part::start(ground, "prometheus", recipe, ready)?,
            wire,
            address,
            file,
            targets: Mutex::default(),
        })
    }

    /// Where it answers, as a URL.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// From now on (see above) `http://ADDRESS/PATH` is scraped, and its samples have these labels beside `job` and
    /// `instance`, which is the address. A job has an address once: named again, it has the new path and labels.
    pub(crate) fn scrape(&self, job: &str, address: &str, path: &str, labels: &[(&str, &str)]) {
        let own = [("job", job), ("__metrics_path__", path)];
        let labels: Map<String, Value> = own
            .iter()
            .chain(labels)
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect();
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        targets.retain(|target| target["labels"]["job"] != job || target["targets"] != json!([address]));
        targets.push(json!({"targets": [address], "labels": labels}));
        let new = self.file.with_extension("new");
        std::fs::write(&new, json!(*targets).to_string()).expect("the targets");
        std::fs::rename(&new, &self.file).expect("the targets");
    }

    /// Waits until every target has been scraped, or could not be, once.
    ///
    /// # Panics
    /// Where that takes more than a minute.
    pub(crate) fn until_scraped(&self) {
        let began = Instant::now();
        let targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let known = self.ask("targets", &[("state", "active")]);
            let is_scraped = |target: &Value| {
                let mut known = known["activeTargets"].as_array().into_iter().flatten();
                known.any(|known| known["health"] != "unknown" && is(&known["discoveredLabels"], target))
            };
            let Some(missing) = targets.iter().find(|target| !is_scraped(target)) else {
                return;
            };
            assert!(began.elapsed() < LONGEST, "{missing} is not scraped: {known}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Adds samples of a past, in the order of time: of each call's the oldest may be half an hour older than the newest before it.
    ///
    /// # Panics
    /// Where it does not take them.
    pub(crate) fn write(&self, past: &[Written]) {
        let url = format!("{}/api/v1/write", self.address);
        let answer = self
            .wire
            .post(&url, &remote_write::HEADERS, remote_write::request(past));
        let (status, body) = answer.expect("an answer");
        assert_eq!(status, 204, "{body}");
    }

    /// The result of an instant query, now: for most, a list of `{"metric": {..}, "value": [TIME, "VALUE"]}`.
    ///
    /// # Panics
    /// With its error, where it has one.
    pub(crate) fn query(&self, promql: &str) -> Value {
        self.ask("query", &[("query", promql)])["result"].take()
    }

    fn ask(&self, what: &str, parameters: &[(&str, &str)]) -> Value {
        let url = format!("{}/api/v1/{what}", self.address);
        let url = Url::parse_with_params(&url, parameters).expect("a URL");
        let (_, body) = self.wire.get(url.as_str()).expect("an answer");
        let mut answer: Value = serde_json::from_str(&body).unwrap_or_default();
        assert_eq!(answer["status"], "success", "{url}: {body}");
        answer["data"].take()
    }
}

/// The rules that give Envoy's samples the shape of Istio's.
fn as_istio() -> Value {
    let rule = |from: &[&str], pattern: &str, label: &str, value: &str| {
        let sources = [&["job"], from].concat();
        let pattern = format!("{AS_ISTIO}{pattern}");
        json!({"source_labels": sources, "regex": pattern, "target_label": label, "replacement": value})
    };
    let (name, code, cluster) = (["__name__"], ["envoy_response_code"], ["envoy_cluster_name"]);
    let names = r"outbound\|[0-9]+\|([^|]*)\|(.+)";
    let mut rules = vec![
        rule(&name, ";envoy_cluster_upstream_rq", "__name__", "istio_requests_total"),
        rule(
            &name,
            ";envoy_cluster_upstream_rq_time_(bucket|count|sum)",
            "__name__",
            "istio_request_duration_milliseconds_$1",
        ),
        rule(&code, ";(.+)", "response_code", "$1"),
        rule(&cluster, &format!(";{names}"), "destination_version", "$1"),
        rule(&cluster, &format!(";{names}"), "destination_service", "$2"),
        rule(&[], "", "reporter", "source"),
        rule(&[], "", "response_flags", "-"),
    ];
    rules
        .push(json!({"source_labels": ["job", "__name__"], "regex": format!("{AS_ISTIO};envoy_.+"), "action": "drop"}));
    json!(rules)
}

/// Whether a target that Prometheus knows is this one, with all of its labels.
fn is(discovered: &Value, target: &Value) -> bool {
    let mut labels = target["labels"].as_object().into_iter().flatten();
    discovered["__address__"] == target["targets"][0] && labels.all(|(name, value)| discovered[name] == *value)
}
