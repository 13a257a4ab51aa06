//! trivy's rules for Dockerfiles and Kubernetes manifests, over copies, with the control among them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::super::adapter::{Adapter, Reading, counted};
use super::super::super::scene::Scene;
use super::super::super::step::{Content, Done, Step};
use super::super::super::tree::{Gap, MANIFEST_PLACES, is_dockerfile};
use super::super::super::{Control, Reason};
use super::report::Report;
use super::{TOOL, report, step, without_ignores};
use crate::config::service::Check;
use crate::config::yaml;
use crate::process::Tool;

/// trivy says DS002 (it runs as root) about the one, KSV017 (it is privileged) about the other.
const CONTROLS: [(&str, &str, &str); 2] = [
    ("msctl-control/Dockerfile", "DS002", "FROM alpine:3.20\nUSER root\n"),
    (
        "msctl-control/pod.yaml",
        "KSV017",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: control}\nspec:\n  containers:\n  - name: control\n    image: a:1\n    securityContext: {privileged: true}\n",
    ),
];

const STEP: &str = "trivy:manifests";

/// trivy for Dockerfiles and manifests.
pub(in super::super) struct Manifests;

impl Adapter for Manifests {
    fn tool(&self) -> &'static Tool {
        &TOOL
    }

    fn check(&self) -> Check {
        Check::Manifests
    }

    fn concerns(&self, gap: &Gap<'_>) -> bool {
        let is_place = |link: &str| MANIFEST_PLACES.contains(&link.split('/').next().unwrap_or(link));
        match gap {
            Gap::LinkOut(link) | Gap::LinkWithin(link) => is_dockerfile(link) || is_place(link),
            Gap::Unread(_) => true,
        }
    }

    fn nothing(&self, scene: &Scene<'_>) -> Result<Option<String>, Reason> {
        let is_none = scene.tree.manifests().is_empty() && scene.tree.dockerfiles().is_empty();
        let places = MANIFEST_PLACES.join("/, ");
        Ok(is_none.then(|| format!("there is no Dockerfile, and no manifest in {places}/")))
    }

    fn steps(&self, scene: &Scene<'_>, _: &Done) -> Result<Vec<Step>, Reason> {
        let mut step = step(STEP, "config").args(["scan"]);
        for file in expected(scene, &mut Reading::new())? {
            step = step.plant(format!("scan/{file}"), Content::Changed(file, without_ignores));
        }
        for (file, _, text) in CONTROLS {
            step = step.plant(format!("scan/{file}"), Content::text(text));
        }
        Ok(vec![step])
    }

    fn read(&self, scene: &Scene<'_>, done: &Done) -> Result<Reading, Reason> {
        let mut reading = Reading::new();
        let expected = expected(scene, &mut reading)?;
        let report = report(done.raw(STEP)?, &mut reading)?;
        weigh(&report, &expected, &mut reading);
        Ok(reading)
    }
}

/// The files that trivy should see. What it cannot, or has no rule for, becomes doubt or a note.
fn expected(scene: &Scene<'_>, reading: &mut Reading) -> Result<BTreeSet<String>, Reason> {
    let docker = scene.tree.dockerfiles().into_iter();
    let mut expected: BTreeSet<String> = docker.map(str::to_owned).collect();
    for file in scene.tree.manifests() {
        match yaml::documents(file, &scene.tree.read(file)?) {
            Err(failure) => reading.doubt(failure),
            Ok(documents) => {
                if read(file, &documents, reading) {
                    expected.insert(file.to_owned());
                }
            }
        }
    }
    Ok(expected)
}

fn weigh(report: &Report, expected: &BTreeSet<String>, reading: &mut Reading) {
    let (mut seen, mut planted) = (BTreeSet::new(), 0);
    for scanned in report.scanned().iter().filter(|scanned| scanned.class == "config") {
        let found = scanned.misconfigurations.as_deref().unwrap_or_default();
        if let Some((_, id, _)) = CONTROLS.iter().find(|(file, ..)| *file == scanned.target) {
            planted += usize::from(found.iter().any(|found| found.id == *id));
            continue;
        }
        let rules = scanned.misconf_summary.as_ref().map_or(0, |s| s.successes + s.failures);
        if rules > 0 {
            seen.insert(scanned.target.clone());
        }
        let found = found.iter().map(|found| found.finding(&scanned.target));
        reading.findings.extend(found);
    }
    reading.control = if planted == CONTROLS.len() {
        Control::Found
    } else {
        Control::Missed
    };
    for file in expected.difference(&seen) {
        reading.doubt(Reason::new(format!("trivy does not say that it looked at `{file}`")));
    }
    reading.seen = counted(seen.intersection(expected).count(), "file");
}

/// Whether trivy should see this file; what it has no rule for becomes a note.
fn read(file: &str, documents: &[Value], reading: &mut Reading) -> bool {
    let mut is_manifest = false;
    for document in documents.iter().filter(|document| !document.is_null()) {
        let word = |key: &str| document.get(key).and_then(Value::as_str);
        let (Some(version), Some(kind)) = (word("apiVersion"), word("kind")) else {
            reading.notes.push(format!(
                "`{file}` holds a document that is no manifest: it was not looked at"
            ));
            continue;
        };
        if version.starts_with("kustomize.config.k8s.io/") {
            let text = format!("`{file}` was not rendered: the files it names were looked at as they are");
            reading.notes.push(text);
            for change in changes(document) {
                reading.doubt(Reason::new(format!("`{file}` was not rendered: {change}")));
            }
            continue;
        }
        if kind.ends_with("List") && document.get("items").is_some() {
            reading.doubt(Reason::new(format!("trivy does not look into a {kind} (`{file}`)")));
        }
        is_manifest = true;
        if version.contains("istio.io/") || version.starts_with("gateway.networking.k8s.io/") {
            reading
                .notes
                .push(format!("trivy has no rules of its own for {kind} (`{file}`)"));
        }
    }
    is_manifest
}

/// What a kustomization says beyond naming files that are looked at anyway.
fn changes(document: &Value) -> Vec<String> {
    const HARMLESS: [&str; 9] = [
        "apiVersion",
        "kind",
        "metadata",
        "resources",
        "namespace",
        "labels",
        "commonLabels",
        "commonAnnotations",
        "images",
    ];
    let keys = document.as_object().into_iter().flat_map(|fields| fields.keys());
    let others = keys.filter(|key| !HARMLESS.contains(&key.as_str()));
    let named = document
        .get("resources")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let away = named.filter_map(Value::as_str).filter(|name| {
        let is_file = [".yaml", ".yml"].iter().any(|end| name.ends_with(end));
        name.starts_with('/') || name.contains("..") || name.contains(':') || !is_file
    });
    let others = others.map(|key| format!("its `{key}` may change what is applied"));
    others
        .chain(away.map(|name| format!("its resource `{name}` was not looked at")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_manifests_are_expected_and_what_has_no_rules_is_said() {
        let mut reading = Reading::new();
        let documents = |text: &str| yaml::documents("x", text.as_bytes()).expect("YAML");
        assert!(read("a", &documents("apiVersion: v1\nkind: Pod\n"), &mut reading));
        assert!(reading.notes.is_empty());
        assert!(read(
            "a",
            &documents("apiVersion: networking.istio.io/v1\nkind: VirtualService\n"),
            &mut reading
        ));
        assert!(!read("a", &documents("replicas: 3\n"), &mut reading));
        assert_eq!(reading.notes.len(), 2);
        let kustomization = documents("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n");
        assert!(!read("a", &kustomization, &mut reading));
    }
}
