//! Dockerfile, Kubernetes, Istio, the canary of a controller, the Job of a driver: pure functions, description → text.
//!
//! The same description gives the same bytes. It must not know where its files go on a disk, nor what stands there.

#[cfg(test)]
mod check;
pub mod controller;
pub mod dockerfile;
pub mod istio;
pub mod job;
pub mod kubernetes;
mod names;
pub mod seal;

use std::path::Path;

use serde_json::Value;

use crate::config::service::Service;
use crate::config::yaml;
use crate::failure::Failure;

/// One file that is made, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artefact {
    /// Where it belongs, below the service's directory.
    pub path: String,
    /// Its content.
    pub text: String,
}

impl Artefact {
    /// Whether it holds YAML documents.
    pub fn is_yaml(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|e| e == "yaml")
    }
}

/// What can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The image's build.
    Dockerfile,
    /// How it runs in a cluster.
    Kubernetes,
    /// How traffic reaches it.
    Istio,
}

impl Target {
    /// In the order of the report.
    pub const ALL: [Self; 3] = [Self::Dockerfile, Self::Kubernetes, Self::Istio];

    /// Its files.
    pub fn render(self, service: &Service) -> Result<Vec<Artefact>, Failure> {
        match self {
            Self::Dockerfile => Ok(vec![dockerfile::render(service)]),
            Self::Kubernetes => kubernetes::render(service),
            Self::Istio => istio::render(service),
        }
    }
}

/// A file of YAML documents; `why` is a line at its head.
fn documents(path: &str, why: &str, documents: &[Value]) -> Result<Artefact, Failure> {
    let written = documents.iter().map(yaml::write).collect::<Result<Vec<_>, _>>()?;
    let comment = if why.is_empty() {
        String::new()
    } else {
        format!("# {why}\n")
    };
    let text = seal::seal("", &format!("{comment}{}", written.join("---\n")));
    let path = path.to_owned();
    Ok(Artefact { path, text })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::service::FILE;

    pub(super) fn service(text: &str) -> Service {
        let text = format!("schema: msctl.service/v1\nname: payment\n{text}");
        Service::parse(FILE, text.as_bytes()).unwrap()
    }

    fn all(service: &Service) -> Vec<Artefact> {
        let rendered = Target::ALL.iter().map(|t| t.render(service).unwrap());
        rendered.flatten().collect()
    }

    /// Descriptions of every kind, with names that YAML would take for something else.
    fn description() -> impl Strategy<Value = String> {
        let name = prop_oneof![
            Just("true".to_owned()),
            Just("null".into()),
            Just("y".into()),
            Just("e1".into()),
            "[a-z]([a-z0-9-]{0,48}[a-z0-9])?"
        ];
        let namespace = prop_oneof![
            Just("1e3".to_owned()),
            Just("0123".into()),
            Just("no".into()),
            "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?"
        ];
        let tag = prop_oneof![
            Just("1".to_owned()),
            Just("1.10".into()),
            Just("2026-01-01".into()),
            "[a-z0-9]([a-zA-Z0-9._-]{0,20}[a-z0-9])?"
        ];
        let mirror = prop_oneof![Just(String::new()), (1..=100_u8).prop_map(|p| format!(", mirror: {p}"))];
        let telemetry = prop_oneof![Just("{}"), Just("{ telemetry: otlp }")];
        let numbers = (
            0..=10_u8,
            11..604_800_000_u64,
            1024..30_000_u16,
            1..=1000_u16,
            1..=1000_u16,
        );
        (name, namespace, tag, mirror, telemetry, numbers).prop_map(|(name, namespace, tag, mirror, telemetry, n)| {
            let (retries, timeout, port, a, b) = n;
            let (min, max) = (a.min(b), a.max(b));
            format!(
                "schema: msctl.service/v1\nname: \"{name}\"\nimage: {{ tag: \"{tag}\" }}\n\
                 ports: {{ http: {port}, grpc: {}, metrics: {} }}\ncomponents: {telemetry}\n\
                 deploy: {{ namespace: \"{namespace}\", replicas: {{ min: {min}, max: {max} }} }}\n\
                 mesh: {{ retries: {retries}, timeout: {timeout}ms{mirror} }}\n",
                port + 1,
                port + 2
            )
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_description_gives_sound_yaml_and_the_same_bytes_again(text in description()) {
            let read = || Service::parse(FILE, text.as_bytes());
            prop_assume!(!text.contains("tag: \"latest\""));
            let service = read().map_err(|f| TestCaseError::fail(format!("{f}\n{text}")))?;
            let artefacts = all(&service);
            prop_assert_eq!(&artefacts, &all(&read().unwrap()));
            let mut read = Vec::new();
            for artefact in artefacts.iter().filter(|a| a.is_yaml()) {
                read.extend(yaml::documents(&artefact.path, artefact.text.as_bytes()).unwrap());
            }
            prop_assert_eq!(check::flaws(&read), Vec::<String>::new(), "{}", text);
        }
    }

    #[test]
    fn every_file_is_sealed_and_has_a_path_of_its_own() {
        let artefacts = all(&service(""));
        let mut paths: Vec<&str> = artefacts.iter().map(|a| a.path.as_str()).collect();
        paths.sort_unstable();
        paths.dedup();
        assert_eq!(paths.len(), artefacts.len());
        for artefact in &artefacts {
            assert_eq!(seal::mark(&artefact.text), seal::Mark::Whole, "{}", artefact.path);
            assert!(artefact.text.ends_with('\n') && !artefact.text.ends_with("\n\n"));
        }
    }
}
