//! `msctl canary run --in-cluster` where no cluster is: what it prints, and what it refuses. What it makes is in the lab's stories.

use serde_json::{Value, json};

use crate::support::{Run, Sandbox};

const IMAGE: &str = "registry.example/msctl:0.1.0";

fn place() -> Sandbox {
    let sandbox = Sandbox::new();
    let description = "schema: msctl.service/v1\nname: payment # ours\ndeploy: { namespace: shop }\n";
    sandbox.write("msctl.yaml", description);
    sandbox
}

fn inside(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    let all = [&["canary", "run", "--in-cluster", "--image", IMAGE][..], arguments].concat();
    sandbox.msctl(all)
}

#[test]
fn a_dry_run_prints_every_object_and_asks_no_cluster() {
    let run = inside(&place(), &["--metrics", "proxies", "--steps", "1,12.5", "--dry-run"]);
    insta::assert_snapshot!("canary_job", run.transcript());
}

fn document(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    let run = inside(sandbox, &[&["--output", "json", "--dry-run"], arguments].concat());
    assert_eq!(run.code, 0, "{}", run.transcript());
    run.json()
}

fn of_kind<'a>(document: &'a Value, kind: &str) -> &'a Value {
    let mut objects = document["objects"].as_array().expect("objects").iter();
    objects.find(|object| object["kind"] == kind).expect("one of that kind")
}

#[test]
fn what_was_typed_is_what_the_pod_is_told() {
    let sandbox = place();
    let mut typed = vec![
        "--stable=pay-1",
        "--canary=pay-2",
        "--mesh=mesh",
        "--prometheus=http://prometheus.monitoring:9090/",
        "--metrics=envoy",
        "--interval=10s",
        "--reassert=argocd-controller",
        "--ignore-freeze",
        "--steps=5,50",
        "--hold=1m",
        "--gates=50",
        "--on-stop=hold",
        "--adopt",
    ];
    let own = [
        "--kubeconfig=none",
        "--context=none",
        "--route=httproute/pay",
        "--route=virtualservice/edge/all",
        "-n=web",
    ];
    let told = document(&sandbox, &[&own[..], &typed].concat());
    let container = &of_kind(&told, "Job")["spec"]["template"]["spec"]["containers"][0];
    let mut expected = vec![
        "-C",
        "/var/run/msctl",
        "--output=ci",
        "canary",
        "run",
        "--or-resume",
        "--namespace=web",
        "--route=httproute/web/pay",
        "--route=virtualservice/edge/all",
    ];
    expected.append(&mut typed);
    assert_eq!(container["args"], json!(expected));
    let role = of_kind(&told, "Role");
    assert_eq!(role["metadata"]["namespace"], "web");
    assert_eq!(role["rules"][0]["apiGroups"], json!(["gateway.networking.k8s.io"]));
    assert_eq!(role["rules"][0]["resourceNames"], json!(["pay"]));
    let map = of_kind(&told, "ConfigMap");
    assert_eq!(map["data"]["msctl.yaml"], sandbox.read("msctl.yaml"));
}

#[test]
fn the_address_of_a_webhook_is_not_printed() {
    let secret = "https://hooks.example/T0KEN";
    let sandbox = place().with_env("MSCTL_NOTIFY", secret);
    let run = inside(&sandbox, &["--metrics", "proxies", "--dry-run"]);
    assert_eq!(run.code, 0, "{}", run.transcript());
    assert!(!run.transcript().contains("T0KEN"), "{}", run.transcript());
    let told = document(&sandbox, &["--metrics", "proxies"]);
    assert!(!told.to_string().contains("T0KEN"));
    let environment = &of_kind(&told, "Job")["spec"]["template"]["spec"]["containers"][0]["env"];
    assert_eq!(
        environment[1],
        json!({"name": "MSCTL_NOTIFY", "valueFrom": {"secretKeyRef": {"name": "msctl-canary-payment-notify", "key": "notify"}}})
    );
    let create = "kubectl create secret generic msctl-canary-payment-notify -n shop --from-literal=notify=…";
    assert!(run.stdout.contains(create), "{}", run.stdout);
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let sandbox = place();
    let refused = |arguments: &[&str], words: &str| {
        let run = sandbox.msctl([&["canary"], arguments].concat());
        assert_eq!(run.code, 2, "{}", run.transcript());
        assert!(run.stderr.contains(words), "{words}:\n{}", run.transcript());
    };
    let proxies = ["--metrics", "proxies"];
    refused(&["run", "--in-cluster"], "--image <IMAGE>");
    refused(&["run", "--image", IMAGE], "--in-cluster");
    refused(&["run", "--proxies-in", "web"], "--in-cluster");
    for (image, words) in [
        ("msctl", "neither tag nor digest"),
        ("msctl:latest", "its tag is none, or is `latest`"),
        (
            "https://registry.example/msctl:1",
            "`https://registry.example/msctl` is no image",
        ),
        ("registry.example//msctl:1", "is no image"),
        ("Msctl:1", "is no image"),
        ("msctl@sha256:1", "its digest is not"),
        ("", "is no image"),
    ] {
        refused(&["run", "--in-cluster", "--image", image], words);
    }
    let begin = ["run", "--in-cluster", "--image", IMAGE];
    let with = |more: &[&'static str]| [&begin[..], more].concat();
    refused(&with(&[]), "--prometheus <URL>");
    for own in ["http://127.0.0.1:9090", "http://localhost:9090", "http://[::1]:9090"] {
        refused(&with(&["--prometheus", own]), "in a pod that is the pod itself");
    }
    refused(
        &with(&["--metrics", "proxies", "--proxies-in", "Web"]),
        "`Web` is no namespace",
    );
    refused(&with(&["--metrics", "proxies", "--or-resume"]), "--or-resume");
    refused(&with(&["--metrics", "proxies", "--gates", "7"]), "its gate at 7 %");
    let start = [&["start"], &begin[1..], &proxies].concat();
    refused(&start, "in the background of this machine");
    refused(
        &[&["run", "--or-resume"], &proxies[..]].concat(),
        "there is no kubeconfig",
    );
}

#[test]
fn an_image_is_any_reference_that_stays_the_same() {
    let digest = format!("msctl@sha256:{}", "0".repeat(64));
    for image in ["msctl:1", "localhost:5000/msctl:1", "ghcr.io/shop/msctl:v1.2", &digest] {
        let arguments = [
            "canary",
            "run",
            "--in-cluster",
            "--metrics",
            "proxies",
            "--dry-run",
            "--image",
            image,
        ];
        let run = place().msctl(arguments);
        assert_eq!(run.code, 0, "{}", run.transcript());
        assert!(run.stdout.contains(&format!("image: {image}")), "{}", run.stdout);
    }
}
