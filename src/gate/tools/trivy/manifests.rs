//! trivy's rules for Dockerfiles and Kubernetes manifests, over copies, with the control among them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::super::bench::{Bench, Place};
use super::super::super::judge::{Control, Evidence, Reason};
use super::super::super::tree::MANIFEST_PLACES;
use super::{counted, invoke, scan, without_ignores};
use crate::config::yaml;
use crate::failure::Failure;
use crate::process::TRIVY;

/// trivy says DS002 (it runs as root) about the one, KSV017 (it is privileged) about the other.
const CONTROLS: [(&str, &str, &str); 2] = [
    ("msctl-control/Dockerfile", "DS002", "FROM alpine:3.20\nUSER root\n"),
    (
        "msctl-control/pod.yaml",
        "KSV017",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: control}\nspec:\n  containers:\n  - name: control\n    image: a:1\n    securityContext: {privileged: true}\n",
    ),
];

pub(in crate::gate) fn check(bench: &Bench<'_>) -> Result<Evidence, Failure> {
    let (yaml, docker) = (bench.tree.manifests(), bench.tree.dockerfiles());
    if yaml.is_empty() && docker.is_empty() {
        let why = format!(
            "there is no Dockerfile, and no manifest in {}/",
            MANIFEST_PLACES.join("/, ")
        );
        return Ok(Evidence::not_applicable(TRIVY.name, why));
    }
    let mut evidence = Evidence::of(TRIVY.name);
    let place = bench.place()?;
    let mut expected = BTreeSet::new();
    for file in docker {
        place.write(&format!("scan/{file}"), without_ignores(&bench.tree.read(file)?))?;
        expected.insert(file.to_owned());
    }
    for file in yaml {
        let bytes = bench.tree.read(file)?;
        match yaml::documents(file, &bytes) {
            Err(failure) => evidence.doubt(failure),
            Ok(documents) => {
                if read(file, &documents, &mut evidence) {
                    place.write(&format!("scan/{file}"), without_ignores(&bytes))?;
                    expected.insert(file.to_owned());
                }
            }
        }
    }
    for (file, _, text) in CONTROLS {
        place.write(&format!("scan/{file}"), text)?;
    }
    look(bench, &place, &expected, &mut evidence)?;
    evidence.version = bench.version(&TRIVY, &place);
    Ok(evidence)
}

fn look(bench: &Bench<'_>, place: &Place, expected: &BTreeSet<String>, evidence: &mut Evidence) -> Result<(), Failure> {
    let invocation = invoke(bench, place, "config")?.arg(super::below(&place.path, "scan"));
    let (report, _) = scan(bench, &invocation, evidence)?;
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
        evidence
            .findings
            .extend(found.iter().map(|found| found.finding(&scanned.target)));
    }
    evidence.control = if planted == CONTROLS.len() {
        Control::Found
    } else {
        Control::Missed
    };
    for file in expected.difference(&seen) {
        evidence.doubt(Reason::new(format!("trivy does not say that it looked at `{file}`")));
    }
    evidence.seen = counted(seen.intersection(expected).count(), "file");
    Ok(())
}

/// Whether trivy should see this file; what it has no rule for becomes a note.
fn read(file: &str, documents: &[Value], evidence: &mut Evidence) -> bool {
    let mut is_manifest = false;
    for document in documents.iter().filter(|document| !document.is_null()) {
        let word = |key: &str| document.get(key).and_then(Value::as_str);
        let (Some(version), Some(kind)) = (word("apiVersion"), word("kind")) else {
            evidence.notes.push(format!(
                "`{file}` holds a document that is no manifest: it was not looked at"
            ));
            continue;
        };
        if version.starts_with("kustomize.config.k8s.io/") {
            let text = format!("`{file}` was not rendered: the files it names were looked at as they are");
            evidence.notes.push(text);
            for change in changes(document) {
                evidence.doubt(Reason::new(format!("`{file}` was not rendered: {change}")));
            }
            continue;
        }
        if kind.ends_with("List") && document.get("items").is_some() {
            evidence.doubt(Reason::new(format!("trivy does not look into a {kind} (`{file}`)")));
        }
        is_manifest = true;
        if version.contains("istio.io/") || version.starts_with("gateway.networking.k8s.io/") {
            evidence
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
        let mut evidence = Evidence::of("trivy");
        let documents = |text: &str| yaml::documents("x", text.as_bytes()).expect("YAML");
        assert!(read("a", &documents("apiVersion: v1\nkind: Pod\n"), &mut evidence));
        assert!(evidence.notes.is_empty());
        assert!(read(
            "a",
            &documents("apiVersion: networking.istio.io/v1\nkind: VirtualService\n"),
            &mut evidence
        ));
        assert!(!read("a", &documents("replicas: 3\n"), &mut evidence));
        assert_eq!(evidence.notes.len(), 2);
        let kustomization = documents("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n");
        assert!(!read("a", &kustomization, &mut evidence));
    }
}
