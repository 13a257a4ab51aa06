//! What msctl makes, on a real cluster and a real mesh: the lab.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Value, json};

use super::{condition, keeps_to};
use crate::lab::{ALL, Program, User, lab};
use crate::support::{Run, Sandbox, finish, tool, until};

/// A service made by `msctl new`, described for this namespace, with all that `msctl generate` makes of it.
pub(super) fn service(namespace: &str) -> Sandbox {
    let sandbox = Sandbox::new().with_go();
    let done = |run: Run| assert_eq!(run.code, 0, "{}", run.transcript());
    done(sandbox.msctl(["new", "payment", "--yes"]));
    let description = sandbox.read("payment/msctl.yaml");
    let place = format!("namespace: {namespace},");
    assert!(description.contains("namespace: payment,"), "{description}");
    sandbox.write("payment/msctl.yaml", description.replace("namespace: payment,", &place));
    done(sandbox.msctl_in("payment", ["generate", "kubernetes"]));
    done(sandbox.msctl_in("payment", ["generate", "istio"]));
    sandbox
}

/// kubectl as this user, in the lab's network.
pub(super) fn kubectl(sandbox: &Sandbox, user: User, arguments: &[&str]) -> Run {
    let plane = lab().control_plane();
    let mut command = lab().ground().door().visitor(tool("kubectl"));
    command.arg("--kubeconfig").arg(plane.kubeconfig(user)).args(arguments);
    finish(command.current_dir(sandbox.path("payment")))
}

/// Applies what is in a directory for real, or asks the server whether it would.
fn apply(sandbox: &Sandbox, user: User, directory: &str, dry: bool) -> Run {
    let mut arguments = vec!["apply", "--server-side", "--validate=strict", "-k", directory];
    arguments.extend(dry.then_some("--dry-run=server"));
    kubectl(sandbox, user, &arguments)
}

/// Applies all that was generated, and waits until every deployment serves.
pub(super) fn deploy(sandbox: &Sandbox, namespace: &str) {
    lab().mesh();
    for directory in ["deploy/kubernetes", "deploy/istio"] {
        let run = apply(sandbox, User::Admin, directory, false);
        assert_eq!(run.code, 0, "{}", run.transcript());
    }
    let wait = [
        "wait",
        "-n",
        namespace,
        "--for=condition=Available",
        "--timeout=120s",
        "deployment",
        "--all",
    ];
    let run = kubectl(sandbox, User::Admin, &wait);
    assert_eq!(run.code, 0, "{}", run.transcript());
}

#[test]
fn what_is_generated_passes_a_strict_dry_run_and_istiod_takes_it() {
    assert!(lab().mesh().istiod.process().is_some());
    let namespace = lab().namespace("dry");
    let sandbox = service(&namespace);
    for directory in ["deploy/kubernetes", "deploy/istio"] {
        let run = apply(&sandbox, User::Admin, directory, true);
        assert_eq!(run.code, 0, "{}", run.transcript());
        assert!(!run.stderr.contains("Warning"), "{}", run.transcript());
    }
    // The same server does refuse: a field that is not there, and weights that istiod does not take.
    for (file, from, to, why) in [
        ("kubernetes/services.yaml", "selector:", "selektor:", "selektor"),
        (
            "istio/virtualservice.yaml",
            "weight: 100",
            "weight: -5",
            "validation.istio.io",
        ),
    ] {
        let path = format!("payment/deploy/{file}");
        let whole = sandbox.read(&path);
        sandbox.write(&path, whole.replace(from, to));
        let directory = format!("deploy/{}", file.split('/').next().unwrap_or_default());
        let run = apply(&sandbox, User::Admin, &directory, true);
        assert!(run.code != 0 && run.stderr.contains(why), "{}", run.transcript());
        sandbox.write(&path, whole);
    }
    let run = apply(&sandbox, User::Viewer, "deploy/istio", true);
    assert!(
        run.code != 0 && run.stderr.contains("forbidden"),
        "{}",
        run.transcript()
    );
}

#[test]
fn a_scaffolded_service_takes_the_traffic_that_its_virtual_service_says() {
    let namespace = lab().namespace("split");
    let sandbox = service(&namespace);
    let build = sandbox.run_in(
        "payment",
        "/usr/bin/env".as_ref(),
        [
            "CGO_ENABLED=0",
            "go",
            "build",
            "-o",
            "../payment-binary",
            "./cmd/payment",
        ],
    );
    assert_eq!(build.code, 0, "{}", build.transcript());
    lab().node().image(
        "registry.example/payment:0.1.0",
        Program {
            path: sandbox.path("payment-binary"),
            arguments: Vec::new(),
        },
    );
    deploy(&sandbox, &namespace);
    let proxy = lab().proxy(&namespace, 80);
    let host = format!("payment.{namespace}.svc.cluster.local");
    let path = format!("/apis/networking.istio.io/v1/namespaces/{namespace}/virtualservices/payment");
    let api = lab().control_plane().api(User::Releaser);
    for canary in [100, 500, ALL, 0] {
        if canary == ALL {
            // A proxy that comes anew has what the others have.
            proxy.part.restart().expect("the proxy again");
        }
        let weights = json!([
            {"op": "test", "path": "/spec/http/0/name", "value": "http"},
            {"op": "replace", "path": "/spec/http/0/route/0/weight", "value": ALL - canary},
            {"op": "replace", "path": "/spec/http/0/route/1/weight", "value": canary},
        ]);
        let began = Instant::now();
        api.patch(&path, &weights).ok();
        proxy.until("http", |weights| {
            let of = |subset: &str| {
                let mut found = weights.iter().filter(|(name, _)| name.contains(&format!("|{subset}|")));
                found.next().map_or(0, |(_, weight)| *weight)
            };
            !weights.is_empty() && of("canary") == canary && of("stable") == ALL - canary
        });
        let took = began.elapsed();
        println!("{canary} ‰: PATCH to Envoy {took:?}");
        until("istiod hears of it", || {
            lab().mesh().routes(&proxy).is_some_and(|of| of.sent == of.acked)
        });
        keeps_to(canary, 1_000, || split(&namespace, &proxy.address(), &host, 1_000));
    }
}

/// So many of the requests went to the canary's pods: by the log lines of the pods.
fn split(namespace: &str, address: &str, host: &str, requests: u32) -> u32 {
    let before = answered(namespace);
    let (url, host) = (format!("http://{address}/v1/hello/you"), host.to_owned());
    let failed = lab().wire().run(async move {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let mut failed = 0;
        for _ in 0..requests {
            let answer = client.get(&url).header("host", &host).send().await;
            failed += u32::from(!answer.is_ok_and(|a| a.status() == 200));
        }
        failed
    });
    assert_eq!(failed, 0, "of {requests}");
    let after = answered(namespace);
    let of = |counts: &BTreeMap<String, u32>, track: &str| counts.get(track).copied().unwrap_or(0);
    let all = (of(&after, "stable") - of(&before, "stable")) + (of(&after, "canary") - of(&before, "canary"));
    assert_eq!(all, requests, "every request is counted once");
    of(&after, "canary") - of(&before, "canary")
}

/// How many requests each track has answered: its own metrics, read through the API server.
fn answered(namespace: &str) -> BTreeMap<String, u32> {
    let api = lab().control_plane().api(User::Admin);
    let pods = api.get(&format!("/api/v1/namespaces/{namespace}/pods")).ok();
    let mut counts = BTreeMap::new();
    // One that is not ready has answered nothing: a scaler adds pods while the test runs.
    let ready = |pod: &&Value| condition(&pod["status"], "Ready") == Some("True");
    for pod in pods["items"].as_array().into_iter().flatten().filter(ready) {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let metrics = api
            .get(&format!(
                "/api/v1/namespaces/{namespace}/pods/{name}:9100/proxy/metrics"
            ))
            .ok();
        let text = metrics.as_str().unwrap_or_default().to_owned();
        let of = |line: &str| {
            let value = line.rsplit(' ').next().and_then(|v| v.parse::<f64>().ok());
            let counts = line.starts_with("http_server_requests_total") || line.starts_with("http_requests_total");
            value.filter(|_| counts && line.contains("/v1/hello"))
        };
        let sum: f64 = text.lines().filter_map(of).sum();
        let track = pod["metadata"]["labels"]["track"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of some thousands"
        )]
        let sum = sum as u32;
        *counts.entry(track).or_insert(0) += sum;
    }
    counts
}

#[test]
fn the_log_of_a_pod_is_read_through_the_api_server() {
    let namespace = lab().namespace("logs");
    let api = lab().control_plane().api(User::Admin);
    lab().node().image(
        "lab/talker:1",
        Program {
            path: "/bin/sh".into(),
            arguments: [
                "-c",
                "for n in 1 2 3; do echo line $n; done; echo wrong >&2; exec sleep 1000",
            ]
            .map(str::to_owned)
            .to_vec(),
        },
    );
    let pod: Value = json!({
        "metadata": {"name": "talker"},
        "spec": {"containers": [{"name": "app", "image": "lab/talker:1"}], "terminationGracePeriodSeconds": 1},
    });
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    // The service account of a new namespace is made a moment after it.
    until("the pod is taken", || api.post(&pods, &pod).status == 201);
    until("its lines", || {
        let log = api.get(&format!("{pods}/talker/log"));
        log.status == 200 && log.body.as_str().is_some_and(|text| text.lines().count() == 4)
    });
    let two = api.get(&format!("{pods}/talker/log?tailLines=2&timestamps=true")).ok();
    let two = two.as_str().unwrap_or_default();
    assert!(
        two.lines().count() == 2 && two.starts_with("20") && two.contains("Z "),
        "{two}"
    );
    api.delete(&format!("{pods}/talker")).ok();
    until("its end", || api.get(&format!("{pods}/talker")).status == 404);
}
