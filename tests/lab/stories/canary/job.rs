//! A release that a Job of the cluster drives: its rights, its pod, its end.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::mesh::kubectl;
use super::shop::{FAST, Shop, counters};
use crate::lab::{Program, User, lab};
use crate::support::{Run, program, until};

const IMAGE: &str = "lab/msctl:1";

/// What every Job here is told: the proxies of other stories come and go.
const INSIDE: [&str; 7] = [
    "--in-cluster",
    "--image",
    IMAGE,
    "--metrics",
    "proxies",
    "--proxies-in",
    "*",
];

/// Long enough for a person to step in.
const SLOW: [&str; 4] = ["--steps", "10,50", "--hold", "60s"];

fn inside(shop: &Shop, user: User, arguments: &[&str]) -> Run {
    let path = program().to_owned();
    lab().node().image(
        IMAGE,
        Program {
            path,
            arguments: Vec::new(),
        },
    );
    shop.canary(user, "run", arguments)
}

/// A release that a Job drives; its share is that of its first step when this returns.
fn begin(shop: &Shop, flags: &[&str]) {
    let run = inside(shop, User::Admin, &[&INSIDE[..], flags].concat());
    assert_eq!(run.code, 0, "{}", run.transcript());
    let words = format!("driven by the Job {}/msctl-canary-payment", shop.namespace);
    assert!(run.stdout.contains(&words), "{}", run.transcript());
    until("its first step", || shop.share() == 10);
}

fn get(path: &str) -> Value {
    lab().control_plane().api(User::Admin).get(path).body
}

/// The names of the Job's pods.
fn pods(shop: &Shop) -> Vec<String> {
    let path = "pods?labelSelector=job-name%3Dmsctl-canary-payment";
    let pods = get(&format!("/api/v1/namespaces/{}/{path}", shop.namespace));
    let names = pods["items"].as_array().into_iter().flatten();
    names
        .map(|pod| pod["metadata"]["name"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// How the Job ended: `Complete`, or `Failed` and why.
fn end(shop: &Shop) -> (String, String) {
    let path = format!("/apis/batch/v1/namespaces/{}/jobs/msctl-canary-payment", shop.namespace);
    let mut found = None;
    until("the end of the Job", || {
        let job = get(&path);
        let mut all = job["status"]["conditions"].as_array().into_iter().flatten();
        let over = all.find(|c| c["status"] == "True" && (c["type"] == "Complete" || c["type"] == "Failed"));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        found = over.map(|over| (text(&over["type"]), text(&over["message"])));
        found.is_some()
    });
    found.expect("its end")
}

/// What a Job made of this shop, as kubectl names it.
fn left(shop: &Shop) -> String {
    let kinds = "job,configmap,secret,serviceaccount,role,rolebinding,clusterrole,clusterrolebinding";
    let labels = format!(
        "app.kubernetes.io/instance=msctl-canary-payment,msctl.dev/namespace={}",
        shop.namespace
    );
    kubectl(
        &shop.sandbox,
        User::Admin,
        &["get", kinds, "-A", "-l", &labels, "-o", "name"],
    )
    .stdout
}

/// A webhook that pods reach, and what it is told.
fn hook() -> (String, Arc<Mutex<String>>) {
    let heard = Arc::new(Mutex::new(String::new()));
    let told = Arc::clone(&heard);
    let address = lab().wire().run(async move {
        let listener = tokio::net::TcpListener::bind("10.244.255.9:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut buffer = vec![0; 4096];
                let mut seen = String::new();
                while !seen.contains('}') {
                    match client.read(&mut buffer).await {
                        Ok(length) if length > 0 => seen += &String::from_utf8_lossy(&buffer[..length]),
                        _ => break,
                    }
                }
                told.lock().expect("what it was told").push_str(&seen);
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                _ = client.write_all(answer).await;
            }
        });
        address
    });
    (format!("http://{address}/T0KEN"), heard)
}

/// What is allowed or done: verb, group and resource.
type Acts = BTreeSet<(String, String, String)>;

/// What the Job may do, by its roles.
fn allowed(shop: &Shop) -> Acts {
    let own = format!("msctl-canary-payment.{}", shop.namespace);
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let roles = [
        format!("namespaces/{}/roles/msctl-canary-payment", shop.namespace),
        format!("namespaces/istio-system/roles/{own}"),
        format!("clusterroles/{own}"),
    ];
    let mut acts = Acts::new();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for path in roles {
        let found = get(&format!("{rbac}/{path}"));
        assert!(found["rules"].is_array(), "{found}");
        for rule in found["rules"].as_array().into_iter().flatten() {
            for verb in rule["verbs"].as_array().into_iter().flatten() {
                acts.insert((text(verb), text(&rule["apiGroups"][0]), text(&rule["resources"][0])));
            }
        }
    }
    acts
}

/// What the Job's account did, by the API server's own log; nothing of it was refused.
fn done(shop: &Shop) -> Acts {
    let account = format!("system:serviceaccount:{}:msctl-canary-payment", shop.namespace);
    let mut acts = Acts::new();
    let events = lab().control_plane().audit();
    for event in events
        .iter()
        .filter(|event| event["user"]["username"] == account.as_str())
    {
        assert_ne!(event["responseStatus"]["code"], 403, "{event}");
        let (text, object) = (
            |value: &Value| value.as_str().unwrap_or_default().to_owned(),
            &event["objectRef"],
        );
        let resource = match object["subresource"].as_str() {
            Some(below) => format!("{}/{below}", text(&object["resource"])),
            None => text(&object["resource"]),
        };
        acts.insert((text(&event["verb"]), text(&object["apiGroup"]), resource));
    }
    acts
}

#[test]
fn a_job_releases_with_the_rights_that_are_printed_and_needs_all_of_them() {
    let shop = Shop::open("job");
    let (url, heard) = hook();
    let flags = [&INSIDE[..], &FAST, &["--notify", &url]].concat();

    // What is printed is taken by the server, to the letter.
    let dry = inside(&shop, User::Stranger, &[&flags[..], &["--dry-run"]].concat());
    assert_eq!(dry.code, 0, "{}", dry.transcript());
    assert!(!dry.stdout.contains("T0KEN"), "{}", dry.transcript());
    let apply = [
        "apply",
        "--server-side",
        "--validate=strict",
        "--dry-run=server",
        "-f",
        "job.yaml",
    ];
    for (from, to, refused) in [
        ("", "", false),
        ("backoffLimit", "backofLimit", true),
        ("restartPolicy: Never", "restartPolicy: Always", true),
        (
            "allowPrivilegeEscalation: false",
            "allowPrivilegeEscalation: never",
            true,
        ),
    ] {
        shop.sandbox.write("payment/job.yaml", dry.stdout.replacen(from, to, 1));
        let run = kubectl(&shop.sandbox, User::Admin, &apply);
        assert_eq!(run.code != 0, refused, "{from}: {}", run.transcript());
        assert!(refused || !run.stderr.contains("Warning"), "{}", run.transcript());
    }
    assert_eq!(left(&shop), "");

    let load = shop.load(200);
    begin(&shop, &[&FAST[..], &["--notify", &url]].concat());
    let status = shop.elsewhere("status", &[]);
    assert!(status.stdout.contains("driven by job@"), "{}", status.transcript());
    assert_eq!((end(&shop).0.as_str(), shop.share()), ("Complete", 100));
    assert!(shop.is_tidy());
    let heard = heard.lock().expect("what it was told").clone();
    assert!(heard.contains("\"text\":\"payment "), "{heard}");

    // One GET begins a forwarded port; the server asks for both verbs.
    let mut done = done(&shop);
    if done.contains(&("get".into(), String::new(), "pods/portforward".into())) {
        done.insert(("create".into(), String::new(), "pods/portforward".into()));
    }
    assert_eq!(done, allowed(&shop));

    // What is left goes with one command.
    let printed = dry
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("# kubectl delete "));
    let words: Vec<&str> = printed.expect("the command").split(' ').collect();
    let removed = kubectl(&shop.sandbox, User::Admin, &[&["delete"], &words[..]].concat());
    assert_eq!(
        (removed.code, left(&shop)),
        (0, String::new()),
        "{}",
        removed.transcript()
    );
    load.stop(lab().wire());
}

#[test]
fn a_job_is_aborted_from_outside_and_goes_back_when_its_pod_is_deleted() {
    let shop = Shop::open("job-ended");
    let before = shop.route()["spec"].clone();
    let load = shop.load(100);
    begin(&shop, &SLOW);
    let second = inside(&shop, User::Admin, &[&INSIDE[..], &SLOW].concat());
    assert_eq!(second.code, 3, "{}", second.transcript());
    assert!(second.stderr.contains("is in the release"), "{}", second.transcript());
    let aborted = shop.elsewhere("abort", &[]);
    assert_eq!((aborted.code, shop.share()), (0, 0), "{}", aborted.transcript());
    let (how, why) = end(&shop);
    assert!(how == "Failed" && why.contains("exit code 1 "), "{how}: {why}");
    assert_eq!(shop.route()["spec"], before);
    assert!(shop.is_tidy());

    // The next one takes the place of one that is over.
    begin(&shop, &SLOW);
    let pod = pods(&shop).pop().expect("its pod");
    let deleted = kubectl(
        &shop.sandbox,
        User::Admin,
        &["delete", "pod", &pod, "-n", &shop.namespace],
    );
    assert_eq!((deleted.code, shop.share()), (0, 0), "{}", deleted.transcript());
    let (how, why) = end(&shop);
    assert!(how == "Failed" && why.contains("exit code 143 "), "{how}: {why}");
    assert_eq!(shop.route()["spec"], before);
    assert!(shop.is_tidy());
    load.stop(lab().wire());
}

#[test]
fn a_driver_that_is_killed_is_followed_by_another_pod_of_its_job() {
    let shop = Shop::open("job-killed");
    let load = shop.load(200);
    // One that a person applied is as good.
    let printed = inside(&shop, User::Stranger, &[&INSIDE[..], &FAST, &["--dry-run"]].concat());
    shop.sandbox.write("payment/job.yaml", &printed.stdout);
    let applied = kubectl(&shop.sandbox, User::Admin, &["apply", "-f", "job.yaml"]);
    assert_eq!(applied.code, 0, "{}", applied.transcript());
    until("its first step", || shop.share() == 10);
    let first = pods(&shop).pop().expect("its pod");
    let kill = [
        "delete",
        "pod",
        &first,
        "-n",
        &shop.namespace,
        "--force",
        "--grace-period=0",
    ];
    let killed = kubectl(&shop.sandbox, User::Admin, &kill);
    assert_eq!(killed.code, 0, "{}", killed.transcript());
    assert_ne!(shop.share(), 0, "traffic stays where it was");
    assert_eq!((end(&shop).0.as_str(), shop.share()), ("Complete", 100));
    assert!(!pods(&shop).contains(&first), "{:?}", pods(&shop));
    assert!(shop.is_tidy());
    load.stop(lab().wire());
}

/// Lets a releaser do this in a namespace.
fn allow(namespace: &str, name: &str, rules: &Value) {
    let (api, rbac) = (
        lab().control_plane().api(User::Admin),
        "/apis/rbac.authorization.k8s.io/v1",
    );
    let role = json!({"metadata": {"name": name}, "rules": rules});
    api.post(&format!("{rbac}/namespaces/{namespace}/roles"), &role).ok();
    let binding = json!({
        "metadata": {"name": name},
        "subjects": [{"kind": "Group", "name": "releasers", "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {"kind": "Role", "name": name, "apiGroup": "rbac.authorization.k8s.io"},
    });
    api.post(&format!("{rbac}/namespaces/{namespace}/rolebindings"), &binding)
        .ok();
}

#[test]
fn what_may_not_be_made_or_does_not_begin_leaves_nothing_behind() {
    let shop = Shop::open("job-refused");
    let before = shop.route();
    let refused = |user: User, arguments: &[&str], words: &[&str]| {
        let run = inside(&shop, user, arguments);
        println!("{}", run.transcript());
        assert_eq!(run.code, 2, "{}", run.transcript());
        for words in words {
            assert!(run.stderr.contains(words), "{words}:\n{}", run.transcript());
        }
        assert_eq!(left(&shop), "", "{}", run.transcript());
    };
    let name = format!("{}/msctl-canary-payment", shop.namespace);
    let removed = "What was made is removed again.";
    let job = format!("cannot make the Job {name}");
    refused(User::Releaser, &INSIDE, &[&job, "Nothing was made."]);
    let jobs = json!([{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "delete", "get", "patch"]}]);
    allow(&shop.namespace, "jobs", &jobs);
    let account = format!("cannot make the ServiceAccount {name}");
    refused(User::Releaser, &INSIDE, &[&account, removed]);
    let rest = json!([
        {"apiGroups": [""], "resources": ["serviceaccounts", "configmaps"], "verbs": ["create", "delete"]},
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": ["create", "delete"]},
    ]);
    allow(&shop.namespace, "rest", &rest);
    let role = format!(
        "cannot make the Role istio-system/msctl-canary-payment.{}",
        shop.namespace
    );
    refused(User::Releaser, &INSIDE, &[&role, removed]);

    // A proxy that calls from elsewhere is not forgotten.
    let elsewhere = lab().namespace("job-callers");
    let service = json!({"metadata": {"name": "other"}, "spec": {"ports": [{"name": "http", "port": 80}]}});
    let services = format!("/api/v1/namespaces/{elsewhere}/services");
    lab().control_plane().api(User::Admin).post(&services, &service).ok();
    let other = lab().proxy(&elsewhere, 80);
    let few: Vec<&str> = INSIDE
        .iter()
        .copied()
        .filter(|word| !["--proxies-in", "*"].contains(word))
        .collect();
    until("istiod knows it", || lab().mesh().routes(&other).is_some());
    refused(
        User::Admin,
        &few,
        &["and the Job may not ask them", "--proxies-in", &elsewhere],
    );

    // The image is not there; the driver finds no counters.
    let none: Vec<&str> = INSIDE
        .iter()
        .map(|word| if *word == IMAGE { "lab/none:1" } else { word })
        .collect();
    refused(User::Admin, &none, &["ErrImagePull", "lab/none:1", removed]);
    let nowhere = ["--prometheus", "http://10.244.255.8:9"];
    let nowhere: Vec<&str> = INSIDE
        .iter()
        .map(|word| if *word == "proxies" { "envoy" } else { word })
        .chain(nowhere)
        .collect();
    refused(User::Admin, &nowhere, &["10.244.255.8", removed]);
    assert_eq!(shop.route(), before);
}

#[test]
fn what_goes_on_by_itself_disturbs_no_driver_and_sends_no_traffic_back_to_a_canary_that_was_taken_out() {
    let shop = Shop::open("unattended");
    let before = shop.route()["spec"].clone();
    let load = shop.load(100);
    let flags = [&counters()[..], &["--or-resume"]].concat();
    let driver = shop.begin(&SLOW);
    let run = shop.elsewhere("run", &flags);
    assert_eq!((run.code, shop.share()), (3, 10), "{}", run.transcript());
    assert!(run.stderr.contains("who is alive"), "{}", run.transcript());
    driver.kill();
    shop.weight(0);
    let run = shop.elsewhere("run", &flags);
    assert_eq!((run.code, shop.share()), (2, 0), "{}", run.transcript());
    assert!(
        run.stderr.contains("on its way back is not known"),
        "{}",
        run.transcript()
    );
    assert_eq!(shop.route()["spec"], before);
    assert!(shop.is_tidy());
    load.stop(lab().wire());
}
