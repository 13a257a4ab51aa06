//! The linters that a user would run over what was generated find nothing, and find what is broken in it.

use std::path::Path;

use serde_json::Value;

use crate::support::{Run, Sandbox};

fn generated(description: &str) -> Sandbox {
    let sandbox = Sandbox::new().with_tools(&["hadolint", "trivy"]);
    sandbox.write(
        "msctl.yaml",
        format!("schema: msctl.service/v1\nname: payment\n{description}"),
    );
    let run = sandbox.msctl(["generate"]);
    assert_eq!(run.code, 0, "{}", run.transcript());
    sandbox
}

fn hadolint(sandbox: &Sandbox) -> Run {
    let arguments = [
        "hadolint",
        "--no-color",
        "--failure-threshold",
        "ignore",
        "--format",
        "json",
        "Dockerfile",
    ];
    sandbox.run_in("", Path::new("/usr/bin/env"), arguments)
}

/// What trivy found, as `FILE ID`, and how many checks passed in each file it looked at.
fn trivy(sandbox: &Sandbox) -> (Vec<String>, Vec<(String, u64)>) {
    let arguments = [
        "trivy",
        "config",
        "--quiet",
        "--skip-check-update",
        "--cache-dir",
        "../cache",
        "--format",
        "json",
        ".",
    ];
    let run = sandbox.run_in("", Path::new("/usr/bin/env"), arguments);
    assert_eq!(run.code, 0, "{}", run.transcript());
    let report = run.json();
    let results = report["Results"].as_array().expect("results");
    let target = |result: &Value| result["Target"].as_str().unwrap_or_default().to_owned();
    let ids = |result: &Value| -> Vec<String> {
        let all = result["Misconfigurations"].as_array().cloned().unwrap_or_default();
        all.iter()
            .map(|m| format!("{} {}", target(result), m["ID"].as_str().unwrap_or_default()))
            .collect()
    };
    let passed = |result: &Value| {
        (
            target(result),
            result["MisconfSummary"]["Successes"].as_u64().unwrap_or(0),
        )
    };
    (
        results.iter().flat_map(ids).collect(),
        results.iter().map(passed).collect(),
    )
}

#[test]
fn hadolint_and_trivy_find_nothing() {
    let digest = format!("sha256:{}", "0a".repeat(32));
    let pinned = format!(
        "image: {{ tag: 1.2.3, digest: '{digest}', builder: 'golang:1.26-alpine@{digest}', runtime: 'gcr.io/distroless/static-debian13:nonroot@{digest}' }}
components: {{ telemetry: otlp }}
mesh: {{ mirror: 10, retries: 0, hosts: [pay.example.com] }}
deploy: {{ namespace: shop, replicas: {{ min: 1, max: 1 }}, resources: {{ cpu: 1, cpu-limit: 2, memory: 1Gi, memory-limit: 1Gi }} }}
"
    );
    for description in ["", &pinned] {
        let sandbox = generated(description);
        let lint = hadolint(&sandbox);
        assert_eq!((lint.code, lint.stdout.trim()), (0, "[]"), "{}", lint.transcript());
        let (found, passed) = trivy(&sandbox);
        assert_eq!(found, Vec::<String>::new());
        let looked_at = |path: &str| passed.iter().any(|(target, checks)| target == path && *checks > 20);
        for path in [
            "Dockerfile",
            "deploy/kubernetes/deployment-stable.yaml",
            "deploy/kubernetes/deployment-canary.yaml",
            "deploy/kubernetes/services.yaml",
            "deploy/kubernetes/networkpolicy.yaml",
            "deploy/kubernetes/namespace.yaml",
            "deploy/istio/virtualservice.yaml",
        ] {
            assert!(looked_at(path), "no evidence for {path}: {passed:?}");
        }
    }
}

#[test]
fn they_find_what_is_broken() {
    let sandbox = generated("");
    let dockerfile = sandbox.read("Dockerfile");
    sandbox.write(
        "Dockerfile",
        dockerfile
            .replace("USER 65532:65532\n", "")
            .replace(":1.26-alpine", ":latest"),
    );
    let stable = "deploy/kubernetes/deployment-stable.yaml";
    sandbox.write(
        stable,
        sandbox.read(stable).replace("privileged: false", "privileged: true"),
    );
    assert!(hadolint(&sandbox).stdout.contains("DL3007"));
    let (found, _) = trivy(&sandbox);
    for id in ["Dockerfile DS002", &format!("{stable} KSV017")] {
        assert!(found.iter().any(|f| f == id), "{id}: {found:?}");
    }
}
