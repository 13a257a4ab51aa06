//! `msctl.yaml`: the one description of a service that every command reads.

use std::io::Read;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::freeze::Freeze;
use super::gate::Gate;
use super::metrics::Metrics;
use super::names::{BaseImage, Digest, Host, ModulePath, Namespace, Repository, ServiceName, Tag};
use super::quantity::{Cpu, Memory};
use super::units::{Span, Steps};
use super::yaml;
use crate::failure::{Failure, Kind};

/// Where it is, in the service's directory.
pub const FILE: &str = "msctl.yaml";

/// A service, as msctl.yaml describes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Service {
    /// The form of this file.
    pub schema: Schema,
    /// Its name; everything made for it is called after it.
    pub name: ServiceName,
    /// What it is written in.
    #[serde(default)]
    pub language: Language,
    /// Its Go module path (default: example.com/NAME).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    module: Option<ModulePath>,
    /// The ports it listens on.
    #[serde(default)]
    pub ports: Ports,
    /// Capability: provider.
    #[serde(default)]
    pub components: Components,
    /// Where its image is kept.
    #[serde(default)]
    pub image: Image,
    /// How it runs in a cluster.
    #[serde(default)]
    pub deploy: Deploy,
    /// How traffic reaches it.
    #[serde(default)]
    pub mesh: Mesh,
    /// What the gate asks of it.
    #[serde(default)]
    pub gate: Gate,
    /// How it is released.
    #[serde(default)]
    pub canary: Canary,
}

/// The form of msctl.yaml.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Schema {
    /// The first.
    #[default]
    #[serde(rename = "msctl.service/v1")]
    V1,
}

/// What a service is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Language {
    /// Go
    #[default]
    Go,
}

/// The ports a service listens on; no two are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, try_from = "RawPorts")]
pub struct Ports {
    /// HTTP, and the probes.
    pub http: u16,
    /// gRPC.
    pub grpc: u16,
    /// Metrics.
    pub metrics: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            http: 8080,
            grpc: 9090,
            metrics: 9100,
        }
    }
}

/// The ports a service listens on; no two are the same.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Ports")]
struct RawPorts {
    /// HTTP, and the probes.
    #[schemars(range(min = 1024))]
    http: u16,
    /// gRPC.
    #[schemars(range(min = 1024))]
    grpc: u16,
    /// Metrics.
    #[schemars(range(min = 1024))]
    metrics: u16,
}

impl Default for RawPorts {
    fn default() -> Self {
        let Ports { http, grpc, metrics } = Ports::default();
        Self { http, grpc, metrics }
    }
}

impl TryFrom<RawPorts> for Ports {
    type Error = String;

    fn try_from(raw: RawPorts) -> Result<Self, String> {
        Self::new(raw.http, raw.grpc, raw.metrics)
    }
}

impl Ports {
    /// These, if a process without rights can listen on each of them.
    pub fn new(http: u16, grpc: u16, metrics: u16) -> Result<Self, String> {
        let named = [("http", http), ("grpc", grpc), ("metrics", metrics)];
        if let Some((name, port)) = named.iter().find(|(_, port)| *port < 1024) {
            return Err(format!(
                "port `{name}` is {port}; one from 1024 to 65535 needs no rights"
            ));
        }
        if http == grpc || http == metrics || grpc == metrics {
            return Err(format!(
                "ports http, grpc and metrics must differ, and are {http}, {grpc}, {metrics}"
            ));
        }
        Ok(Self { http, grpc, metrics })
    }
}

/// The provider of each capability.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Components {
    /// Traces and their export.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub telemetry: Option<Telemetry>,
}

/// Providers of telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Telemetry {
    /// OpenTelemetry, exported by OTLP.
    Otlp,
}

/// Its image: where it is kept, and what it is built from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Image {
    /// Without tag or digest (default: registry.example/NAME).
    #[serde(skip_serializing_if = "Option::is_none")]
    repository: Option<Repository>,
    /// The version that manifests name (default: 0.1.0).
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<Tag>,
    /// The digest of that version, so that it cannot become another image.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    /// What it is compiled in (default: golang:1.26-alpine).
    #[serde(skip_serializing_if = "Option::is_none")]
    builder: Option<BaseImage>,
    /// What it runs on (default: gcr.io/distroless/static-debian13:nonroot).
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime: Option<BaseImage>,
}

/// How it runs in a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Deploy {
    /// Its namespace (default: the service's name).
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<Namespace>,
    /// How many there are.
    pub replicas: Replicas,
    /// What one of them gets.
    pub resources: Resources,
}

/// How many there are: the autoscaler moves between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, try_from = "RawReplicas")]
pub struct Replicas {
    /// The fewest.
    pub min: u16,
    /// The most.
    pub max: u16,
}

impl Default for Replicas {
    fn default() -> Self {
        Self { min: 2, max: 10 }
    }
}

/// How many there are: the autoscaler moves between the two.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Replicas")]
struct RawReplicas {
    /// The fewest.
    #[schemars(range(min = 1, max = 1000))]
    min: u16,
    /// The most.
    #[schemars(range(min = 1, max = 1000))]
    max: u16,
}

impl Default for RawReplicas {
    fn default() -> Self {
        let Replicas { min, max } = Replicas::default();
        Self { min, max }
    }
}

impl TryFrom<RawReplicas> for Replicas {
    type Error = String;

    fn try_from(RawReplicas { min, max }: RawReplicas) -> Result<Self, String> {
        if (1..=max).contains(&min) && max <= 1000 {
            Ok(Self { min, max })
        } else {
            Err(format!(
                "`replicas` needs 1 ≤ min ≤ max ≤ 1000, and has min {min}, max {max}"
            ))
        }
    }
}

/// What one replica gets: what is kept for it, and what it may take at the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case", try_from = "RawResources")]
pub struct Resources {
    /// Processor that is kept for it.
    pub cpu: Cpu,
    /// Processor at the most.
    pub cpu_limit: Cpu,
    /// Memory that is kept for it.
    pub memory: Memory,
    /// Memory at the most: it is ended beyond that.
    pub memory_limit: Memory,
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            cpu: Cpu::millis(100),
            cpu_limit: Cpu::millis(1_000),
            memory: Memory::mebibytes(64),
            memory_limit: Memory::mebibytes(256),
        }
    }
}

/// What one replica gets: what is kept for it, and what it may take at the most.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
#[schemars(rename = "Resources")]
struct RawResources {
    /// Processor that is kept for it.
    cpu: Cpu,
    /// Processor at the most.
    cpu_limit: Cpu,
    /// Memory that is kept for it.
    memory: Memory,
    /// Memory at the most: it is ended beyond that.
    memory_limit: Memory,
}

impl Default for RawResources {
    fn default() -> Self {
        let Resources {
            cpu,
            cpu_limit,
            memory,
            memory_limit,
        } = Resources::default();
        Self {
            cpu,
            cpu_limit,
            memory,
            memory_limit,
        }
    }
}

impl TryFrom<RawResources> for Resources {
    type Error = String;

    fn try_from(raw: RawResources) -> Result<Self, String> {
        let RawResources {
            cpu,
            cpu_limit,
            memory,
            memory_limit,
        } = raw;
        if cpu > cpu_limit {
            return Err(format!("`cpu` is {cpu}, more than `cpu-limit` {cpu_limit}"));
        }
        if memory > memory_limit {
            return Err(format!("`memory` is {memory}, more than `memory-limit` {memory_limit}"));
        }
        Ok(Self {
            cpu,
            cpu_limit,
            memory,
            memory_limit,
        })
    }
}

/// How traffic reaches it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mesh {
    /// Whose resources are written.
    pub provider: MeshProvider,
    /// The hosts it answers to (default: NAME.NAMESPACE.svc.cluster.local).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hosts: Vec<Host>,
    /// For a whole request, retries included.
    pub timeout: Span,
    /// After the first try.
    #[schemars(range(max = 10))]
    pub retries: u8,
    /// The percent of requests that the canary is sent a copy of.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub mirror: Option<u8>,
}

impl Default for Mesh {
    fn default() -> Self {
        Self {
            provider: MeshProvider::default(),
            hosts: Vec::new(),
            timeout: Span::millis(2_000),
            retries: 2,
            mirror: None,
        }
    }
}

/// Whose resources are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MeshProvider {
    /// Istio
    #[default]
    Istio,
}

/// How grave a finding is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Low
    Low,
    /// Medium
    Medium,
    /// High
    High,
    /// Critical
    Critical,
}

impl Severity {
    /// Its name, as in msctl.yaml.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// One check of the gate.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The Dockerfile
    Dockerfile,
    /// Kubernetes manifests
    Manifests,
    /// Secrets in files
    Secrets,
    /// The code
    Lint,
    /// Known vulnerabilities of dependencies
    Audit,
    /// The image
    Image,
}

impl Check {
    /// In the order of the report.
    pub const ALL: [Self; 6] = [
        Self::Dockerfile,
        Self::Manifests,
        Self::Secrets,
        Self::Lint,
        Self::Audit,
        Self::Image,
    ];

    /// Its name, as in msctl.yaml.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Dockerfile => "dockerfile",
            Self::Manifests => "manifests",
            Self::Secrets => "secrets",
            Self::Lint => "lint",
            Self::Audit => "audit",
            Self::Image => "image",
        }
    }
}

/// How it is released.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Canary {
    /// Percents of the traffic; 100 follows the last.
    pub steps: Steps,
    /// How long each step is watched at least.
    pub hold: Span,
    /// The chance that a good canary is rolled back, over the whole release.
    #[schemars(range(min = 0.000_001, max = 0.2))]
    #[serde(deserialize_with = "alpha")]
    pub alpha: f64,
    /// How many times stable's error rate the canary's may be.
    #[schemars(range(min = 1.0, max = 10.0))]
    #[serde(deserialize_with = "tolerance")]
    pub tolerance: f64,
    /// Times in UTC in which no release begins or goes a step further: `Fri 16:00 - Mon 08:00`. It may always go back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<Freeze>,
    /// Counters of its own that a release is judged by too, each against stable's.
    #[serde(skip_serializing_if = "Metrics::is_empty")]
    pub metrics: Metrics,
}

impl Canary {
    /// The same with these steps and this hold, where they are given.
    #[must_use]
    pub fn with(&self, steps: Option<&Steps>, hold: Option<Span>) -> Self {
        Self {
            steps: steps.unwrap_or(&self.steps).clone(),
            hold: hold.unwrap_or(self.hold),
            freeze: self.freeze.clone(),
            metrics: self.metrics.clone(),
            ..*self
        }
    }
}

impl Default for Canary {
    fn default() -> Self {
        Self {
            steps: Steps::percents(&[1.0, 5.0, 25.0, 50.0]).unwrap_or_else(|_| unreachable!("these rise")),
            hold: Span::millis(120_000),
            alpha: 0.01,
            tolerance: 1.2,
            freeze: Vec::new(),
            metrics: Metrics::default(),
        }
    }
}

fn alpha<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    within("canary.alpha", 1e-6, 0.2, f64::deserialize(deserializer)?)
}

fn tolerance<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    within("canary.tolerance", 1.0, 10.0, f64::deserialize(deserializer)?)
}

fn within<E: serde::de::Error>(name: &str, least: f64, most: f64, number: f64) -> Result<f64, E> {
    if (least..=most).contains(&number) {
        Ok(number)
    } else {
        Err(E::custom(format!("`{name}` is {number}; it may be {least} to {most}")))
    }
}

impl Service {
    /// Reads `msctl.yaml` of the service in `directory`.
    pub fn load(directory: &Path) -> Result<Self, Failure> {
        let path = directory.join(FILE);
        match Self::find(directory)? {
            Some(service) => Ok(service),
            None => Err(Failure::new(Kind::Config, format!("there is no `{}`", path.display()))
                .hint("msctl new NAME    makes a service that has one")
                .hint("msctl -C DIR …    looks in another directory")),
        }
    }

    /// The same, and none where there is no such file.
    pub fn find(directory: &Path) -> Result<Option<Self>, Failure> {
        let path = directory.join(FILE);
        let shown = path.strip_prefix(".").unwrap_or(&path).display().to_string();
        let file = match std::fs::File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::io("read", shown, error)),
            Ok(file) => file,
        };
        let mut bytes = Vec::new();
        let limit = yaml::LARGEST as u64 + 1;
        file.take(limit)
            .read_to_end(&mut bytes)
            .map_err(|e| Failure::io("read", &shown, e))?;
        Self::parse(&shown, &bytes).map(Some)
    }

    /// Reads these bytes; `file` is their name as the user knows it.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, Failure> {
        let service: Self = yaml::read(file, bytes)?;
        if service.mesh.retries > 10 {
            let message = format!("`mesh.retries` is {}; it may be 0 to 10", service.mesh.retries);
            return Err(Failure::new(Kind::Config, message).note(format!("in `{file}`")));
        }
        let (timeout, tries) = (service.mesh.timeout, u64::from(service.mesh.retries) + 1);
        if timeout.as_millis() < tries {
            let message = format!("`mesh.timeout` is {timeout}, less than 1ms for each of {tries} tries");
            return Err(Failure::new(Kind::Config, message).note(format!("in `{file}`")));
        }
        if service.mesh.mirror.is_some_and(|m| m == 0 || m > 100) {
            let message = "`mesh.mirror` is a percentage from 1 to 100";
            return Err(Failure::new(Kind::Config, message).note(format!("in `{file}`")));
        }
        Ok(service)
    }

    /// A service of this name, all else at its default.
    pub fn named(name: ServiceName) -> Self {
        Self {
            schema: Schema::V1,
            name,
            language: Language::Go,
            module: None,
            ports: Ports::default(),
            components: Components::default(),
            image: Image::default(),
            deploy: Deploy::default(),
            mesh: Mesh::default(),
            gate: Gate::default(),
            canary: Canary::default(),
        }
    }

    /// Its Go module path.
    pub fn module(&self) -> String {
        self.module
            .as_ref()
            .map_or_else(|| format!("example.com/{}", self.name), ToString::to_string)
    }

    /// Where its image is kept, without tag or digest.
    pub fn repository(&self) -> String {
        let given = self.image.repository.as_ref();
        given.map_or_else(|| format!("registry.example/{}", self.name), ToString::to_string)
    }

    /// The image that manifests name: repository, tag and, where it is known, digest.
    pub fn image(&self) -> String {
        let digest = self.image.digest.as_ref().map_or(String::new(), |d| format!("@{d}"));
        format!("{}:{}{digest}", self.repository(), self.version())
    }

    /// The version that manifests name.
    pub fn version(&self) -> &str {
        self.image.tag.as_ref().map_or("0.1.0", Tag::as_str)
    }

    /// The image it is compiled in.
    pub fn builder(&self) -> &str {
        let given = self.image.builder.as_ref();
        given.map_or("golang:1.26-alpine", BaseImage::as_str)
    }

    /// The image it runs on.
    pub fn runtime(&self) -> &str {
        let given = self.image.runtime.as_ref();
        given.map_or("gcr.io/distroless/static-debian13:nonroot", BaseImage::as_str)
    }

    /// Its namespace.
    pub fn namespace(&self) -> String {
        self.deploy
            .namespace
            .as_ref()
            .map_or_else(|| self.name.to_string(), ToString::to_string)
    }

    /// The hosts it answers to; the first is its own.
    pub fn hosts(&self) -> Vec<String> {
        if self.mesh.hosts.is_empty() {
            vec![format!("{}.{}.svc.cluster.local", self.name, self.namespace())]
        } else {
            self.mesh.hosts.iter().map(ToString::to_string).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Service, String> {
        Service::parse(
            "msctl.yaml",
            format!("schema: msctl.service/v1\nname: payment\n{text}").as_bytes(),
        )
        .map_err(|f| {
            let at = f.place().map_or(String::new(), |p| format!("{}:{} ", p.line, p.column));
            format!("{at}{f}; {}", f.hints().join("; "))
        })
    }

    #[test]
    fn everything_has_a_default() {
        let service = parse("").unwrap();
        assert_eq!(service, Service::named(ServiceName::parse("payment").unwrap()));
        assert_eq!(service.module(), "example.com/payment");
        assert_eq!(service.hosts(), ["payment.payment.svc.cluster.local"]);
        assert_eq!(
            service
                .canary
                .steps
                .weights()
                .iter()
                .map(|w| w.get())
                .collect::<Vec<_>>(),
            [10, 50, 250, 500]
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, says) in [
            (
                "canary: { steps: [1, 50, 25] }",
                "3:18 `canary.steps` must rise, 25 comes after 50; such as [1, 25, 50]",
            ),
            (
                "canary: { alpha: 0.5 }",
                "`canary.alpha` is 0.5; it may be 0.000001 to 0.2",
            ),
            ("ports: { http: 80 }", "port `http` is 80"),
            ("ports: { http: 8080, grpc: 8080 }", "must differ"),
            ("ports: { htpp: 8080 }", "did you mean `http`?"),
            ("ports: { http: 99999 }", "3:16"),
            ("deploy: { replicas: { min: 5, max: 2 } }", "1 ≤ min ≤ max"),
            ("mesh: { timeout: 2 }", "3:18"),
            ("mesh: { timeout: soon }", "`soon` is no time such as"),
            (
                "mesh: { timeout: 0s }",
                "`mesh.timeout` is 0s, less than 1ms for each of 3 tries",
            ),
            ("image: { tag: latest }", "it names another image tomorrow"),
            ("image: { builder: golang }", "it has neither tag nor digest"),
            (
                "deploy: { resources: { memory: 512Mi } }",
                "`memory` is 512Mi, more than `memory-limit` 256Mi",
            ),
            ("deploy: { resources: { memory: 64 } }", "`64` is no amount of memory"),
            ("mesh: { retries: 200 }", "`mesh.retries` is 200"),
            (
                "canary: { metrics: [{ name: orders, total: 'rate(orders_total[5m])', bad: b }] }",
                "`rate` is a function or an aggregation here, and raw counters are wanted",
            ),
            (
                "canary: { metrics: [{ name: orders, total: a, bad: b, stable: { track: stable } }] }",
                "no label tells stable's counters of the metric `orders` from the canary's",
            ),
            (
                "canary: { metrics: [{ name: Orders, total: a, bad: b }] }",
                "`Orders` is no name of a metric",
            ),
            (
                "canary: { metrics: [{ name: orders, totals: a, bad: b }] }",
                "did you mean `total`?",
            ),
            ("gate: { fail-on: hihg }", "did you mean `high`?"),
            ("gate: { checks: [lint, secret] }", "did you mean `secrets`?"),
            ("components: { telemetry: otpl }", "did you mean `otlp`?"),
            ("image: { repository: Payment }", "is no image repository"),
            ("language: cobol", "one of: go"),
            ("name: a", "the key `name` is there twice"),
            ("gaet: {}", "did you mean `gate`?"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
        let failure = Service::parse("msctl.yaml", b"schema: msctl.service/v2\nname: a\n").unwrap_err();
        assert_eq!(
            failure.hints(),
            ["did you mean `msctl.service/v1`? There are: msctl.service/v1"]
        );
    }
}
