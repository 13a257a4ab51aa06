//! Others edit the route object while its weights move: not a byte of theirs is lost, and none but weights is written.

use std::sync::atomic::{AtomicBool, Ordering};

use msctl::canary::mesh::{Route, Target};
use msctl::canary::router::{Destination, RouteKind};
use msctl::config::units::Weight;
use msctl::failure::Kind;
use msctl::remote::kube::{Access, Cluster};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::lab::{User, lab};
use crate::support::until;

use super::shop::Turn;

/// How many edits: those of docs/benchmarks.md, or a few.
fn edits() -> u32 {
    std::env::var_os("MSCTL_BENCH").map_or(100, |_| 1_000)
}

fn destination(host: &str, subset: Option<&str>, weight: u32) -> Value {
    let mut to = json!({"destination": {"host": host}, "weight": weight});
    if let Some(subset) = subset {
        to["destination"]["subset"] = subset.into();
    }
    to
}

/// Two routes between the arms with a third destination, one to somebody else, TCP, TLS and several hosts.
fn route(host: &str) -> Value {
    let arms = |third| {
        json!([
            destination("other.example", None, third),
            destination(host, Some("stable"), 100),
            destination(host, Some("canary"), 0),
        ])
    };
    json!({
        "hosts": [host, "pay.example"], "gateways": ["mesh"],
        "http": [
            {"name": "admin", "match": [{"uri": {"prefix": "/admin"}}], "route": [destination("admin.example", None, 7), destination("two.example", None, 3)]},
            {"name": "main", "timeout": "2s", "route": arms(5)},
        ],
        "tls": [{"match": [{"port": 443, "sniHosts": ["pay.example"]}], "route": [destination(host, Some("stable"), 10), destination(host, Some("canary"), 0)]}],
        "tcp": [{"match": [{"port": 7000}], "route": [destination(host, Some("stable"), 3), destination(host, Some("canary"), 0)]}],
    })
}

/// One edit that somebody else may make, as an operation of RFC 6902; they do not ask what else was changed.
fn edit(dice: &mut StdRng, number: u32, object: &Value) -> Value {
    let routes = object["spec"]["http"].as_array().map_or(0, Vec::len);
    let path = |below: &str| format!("/spec/http/{below}");
    let add = |path: String, value: Value| json!({"op": "add", "path": path, "value": value});
    match dice.random_range(0..8) {
        0 => add(format!("/metadata/annotations/edit-{number}"), json!("x")),
        1 => add(
            path(&dice.random_range(0..=routes).to_string()),
            json!({"name": format!("new-{number}"), "match": [{"uri": {"prefix": format!("/{number}")}}], "route": [destination("new.example", None, 1)]}),
        ),
        // One that nobody here put in the middle of the release: never one of the arms'.
        2 if routes > 6 => {
            let of_others = |at: &usize| object["spec"]["http"][at]["name"] != "main";
            let at = (0..routes).find(of_others).expect("one of others");
            json!({"op": "remove", "path": path(&at.to_string())})
        }
        2 | 3 => add(
            path(&format!("{}/timeout", dice.random_range(0..routes))),
            json!(format!("{}ms", 1_000 + number)),
        ),
        4 => {
            // Somebody moves a route to another place.
            let (from, to) = (dice.random_range(0..routes), dice.random_range(0..routes));
            json!({"op": "move", "from": path(&from.to_string()), "path": path(&to.to_string())})
        }
        5 => add(
            path(&format!("{}/retries", dice.random_range(0..routes))),
            json!({"attempts": 1 + number % 5}),
        ),
        6 => add("/spec/hosts/-".into(), json!(format!("h{number}.example"))),
        _ => add(
            format!("/metadata/labels/edit-{}", number % 10),
            json!(number.to_string()),
        ),
    }
}

/// The operation, on a copy.
fn apply(object: &mut Value, operation: &Value) {
    let path = |name: &str| {
        let text = operation[name].as_str().expect("a path");
        let (parent, key) = text.rsplit_once('/').expect("a path");
        (parent.to_owned(), key.to_owned())
    };
    let take = |object: &mut Value, (parent, key): (String, String)| {
        let list = object
            .pointer_mut(&parent)
            .and_then(Value::as_array_mut)
            .expect("a list");
        list.remove(key.parse().expect("an index"))
    };
    let put = |object: &mut Value, (parent, key): (String, String), value: Value| match object
        .pointer_mut(&parent)
        .expect("a parent")
    {
        Value::Array(list) => {
            let at = if key == "-" {
                list.len()
            } else {
                key.parse().expect("an index")
            };
            list.insert(at, value);
        }
        parent => parent[key] = value,
    };
    match operation["op"].as_str() {
        Some("add") => put(object, path("path"), operation["value"].clone()),
        Some("remove") => _ = take(object, path("path")),
        _ => {
            let moved = take(object, path("from"));
            put(object, path("path"), moved);
        }
    }
}

/// What a release may not change: all but the weights of routes that have both arms, where shares of the rest are kept.
fn rest(object: &Value, host: &str) -> Value {
    let mut rest = json!({
        "spec": object["spec"], "labels": object["metadata"]["labels"], "annotations": object["metadata"]["annotations"],
    });
    for list in ["http", "tls", "tcp"] {
        for route in rest["spec"][list].as_array_mut().into_iter().flatten() {
            let all = route["route"].as_array_mut().expect("destinations");
            if all.iter().any(|to| to["destination"]["host"] == host) {
                // A finer share may need all weights of a route in other units: relations stay.
                let of = |to: &Value| to["weight"].as_u64().unwrap_or(0);
                let (arms, others): (Vec<_>, Vec<_>) = all.iter().partition(|to| to["destination"]["host"] == host);
                let (arms, others): (u64, u64) = (arms.into_iter().map(of).sum(), others.into_iter().map(of).sum());
                let kept = if others == 0 { 0 } else { others * 100_000 / arms };
                for to in &mut *all {
                    to["weight"] = kept.into();
                }
            }
        }
    }
    rest
}

#[test]
fn edits_of_others_survive_and_nothing_but_weights_is_written() {
    let _turn = Turn::together();
    let namespace = lab().namespace("edits");
    lab().mesh();
    let host = format!("payment.{namespace}.svc.cluster.local");
    let api = lab().control_plane().api(User::Admin);
    let routes = format!("/apis/networking.istio.io/v1/namespaces/{namespace}/virtualservices");
    let object = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": "payment", "labels": {"a": "b"}, "annotations": {"c": "d"}}, "spec": route(&host),
    });
    let mut model = api.post(&routes, &object).ok();
    let path = format!("{routes}/payment");

    crate::lab::ground::enter(&lab().ground().door().network());
    let access = Access {
        kubeconfig: Some(lab().control_plane().kubeconfig(User::Releaser)),
        context: None,
    };
    let cluster = Cluster::open(&access).expect("a cluster");
    let arm = |subset: &str| Destination {
        host: host.clone(),
        subset: Some(subset.into()),
    };
    let target = Target {
        namespace: namespace.clone(),
        service: "payment".into(),
        routes: vec![Route {
            kind: RouteKind::VirtualService,
            namespace: namespace.clone(),
            name: "payment".into(),
        }],
        stable: arm("stable"),
        canary: arm("canary"),
        pods: "app=payment".into(),
    };
    let (over, mut dice) = (AtomicBool::new(false), StdRng::seed_from_u64(5));
    let (moved, rivals) = std::thread::scope(|scope| {
        let mover = scope.spawn(|| {
            let (mut moved, mut rivals) = (0_u32, 0_u32);
            while !over.load(Ordering::Relaxed) {
                let to = Weight::per_mille(u16::try_from(moved % 1_001).expect("a share")).expect("a weight");
                match target.set(&cluster, to, None) {
                    Ok(_) => moved += 1,
                    // Others were quicker eight times in a row.
                    Err(failure) if failure.kind() == Kind::Conflict => rivals += 1,
                    Err(failure) => panic!("{}", failure.with_causes()),
                }
            }
            (moved, rivals)
        });
        for number in 0..edits() {
            let operation = edit(&mut dice, number, &model);
            let after = api.patch(&path, &json!([operation])).ok();
            apply(&mut model, &operation);
            assert_eq!(
                rest(&after, &host),
                rest(&model, &host),
                "after edit {number}: {operation}"
            );
            model = after;
        }
        over.store(true, Ordering::Relaxed);
        mover.join().expect("the mover")
    });
    assert!(moved > edits() / 10, "{moved} moves beside {} edits", edits());
    let last = api.get(&path).ok();
    assert_eq!(rest(&last, &host), rest(&model, &host));
    println!(
        "| {} edits of others while the weights of the same object move {moved} times | 0 lost, 0 bytes but weights | 0 and 0; {rivals} times others were quicker eight times in a row |",
        edits()
    );
}

#[test]
fn a_bell_rings_when_its_document_is_changed_and_for_no_other() {
    let namespace = lab().namespace("bell");
    let api = lab().control_plane().api(User::Admin);
    let maps = format!("/api/v1/namespaces/{namespace}/configmaps");
    for name in ["own", "other"] {
        api.post(&maps, &json!({"metadata": {"name": name}, "data": {"a": "1"}}))
            .ok();
    }
    crate::lab::ground::enter(&lab().ground().door().network());
    let access = Access {
        kubeconfig: Some(lab().control_plane().kubeconfig(User::Admin)),
        context: None,
    };
    let cluster = Cluster::open(&access).expect("a cluster");
    let bell = cluster.bell(&format!("{maps}/own"));
    let change = |name: &str| {
        api.patch(
            &format!("{maps}/{name}"),
            &json!([{"op": "replace", "path": "/data/a", "value": "2"}]),
        )
        .ok()
    };
    // It says once how things stand when it begins to watch.
    until("it is hung", || bell.rang());
    bell.hush();
    change("other");
    // What comes after the other change is of this document alone.
    let second = cluster.bell(&format!("{maps}/other"));
    until("the other change is out", || second.rang());
    assert!(!bell.rang());
    change("own");
    until("it rings", || bell.rang());
}
