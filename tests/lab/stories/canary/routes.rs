//! Releases by a route of the Gateway API, and by several route objects at once, on the same mesh.

use serde_json::{Value, json};

use crate::lab::{User, lab};
use crate::support::until;

use super::shop::{FAST, Shop, counters};

#[test]
fn an_http_route_is_moved_as_a_virtual_service_is() {
    let shop = Shop::open("gateway-api");
    let api = lab().control_plane().api(User::Admin);
    api.delete(&shop.path()).ok();
    let routes = format!(
        "/apis/gateway.networking.k8s.io/v1/namespaces/{}/httproutes",
        shop.namespace
    );
    let to = |track: &str, weight: u32| json!({"name": format!("payment-{track}"), "port": 80, "weight": weight});
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "payment"},
        "spec": {
            "parentRefs": [{"group": "", "kind": "Service", "name": "payment", "port": 80}],
            "rules": [{"name": "main", "backendRefs": [to("stable", 1), to("canary", 0)]}],
        },
    });
    api.post(&routes, &route).ok();
    shop.proxy.until("main", |weights| !weights.is_empty());
    let spec = || api.get(&format!("{routes}/payment")).ok()["spec"].clone();
    let before = spec();

    let load = shop.load(200);
    let flags = [&counters()[..], &FAST, &["--route", "httproute/payment"]].concat();
    let run = shop.canary(User::Releaser, "run", &flags);
    println!("{}", run.transcript());
    assert_eq!(run.code, 0, "{}", run.transcript());
    let refs = &spec()["rules"][0]["backendRefs"];
    assert_eq!(
        (&refs[0]["weight"], refs[1]["weight"].as_u64() > Some(0)),
        (&json!(0), true),
        "{refs}"
    );

    let aborted = shop.canary(User::Releaser, "abort", &["--route", "httproute/payment"]);
    assert_eq!(aborted.code, 0, "{}", aborted.transcript());
    shop.break_canary(&json!({"errors": 0.5}));
    let begin = spec();
    let run = shop.canary(User::Releaser, "run", &flags);
    assert_eq!(run.code, 1, "{}", run.transcript());
    assert_eq!(spec(), begin, "as it was before");
    assert_eq!(begin["rules"][0]["backendRefs"][1]["weight"], 0);
    assert_eq!(before["parentRefs"], begin["parentRefs"]);
    load.stop(lab().wire());
}

/// The generated `VirtualService`, one of another host, and the delegate that a third one leaves the split to.
const ALL: [&str; 6] = [
    "--route",
    "virtualservice/payment",
    "--route",
    "vs/payment-public",
    "--route",
    "vs/payment-part",
];

fn several(shop: &Shop) {
    let to =
        |subset: &str, weight: u32| json!({"destination": {"host": shop.host(), "subset": subset}, "weight": weight});
    let split = |name: &str| json!([{"name": name, "route": [to("stable", 100), to("canary", 0)]}]);
    let delegated = json!([{"name": "all", "match": [{"uri": {"prefix": "/"}}], "delegate": {"name": "payment-part"}}]);
    for (name, spec) in [
        (
            "payment-public",
            json!({"hosts": ["pay.example"], "http": split("public")}),
        ),
        ("payment-part", json!({"http": split("part")})),
        ("front", json!({"hosts": ["front.example"], "http": delegated})),
    ] {
        let object = json!({
            "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": name}, "spec": spec,
        });
        let path = shop.path();
        let (collection, _) = path.rsplit_once('/').expect("a collection");
        lab().control_plane().api(User::Admin).post(collection, &object).ok();
    }
    // A route of a delegate is called after both.
    for route in ["public", "all-part"] {
        shop.proxy.until(route, |weights| !weights.is_empty());
    }
}

/// These three, as the API has them.
fn objects(shop: &Shop) -> [Value; 3] {
    ["payment", "payment-public", "payment-part"].map(|name| {
        let path = shop.path().replace("/payment", &format!("/{name}"));
        lab().control_plane().api(User::Admin).get(&path).ok()
    })
}

fn specs(shop: &Shop) -> [Value; 3] {
    objects(shop).map(|object| object["spec"].clone())
}

fn shares(shop: &Shop) -> [u64; 3] {
    specs(shop).map(|spec| spec["http"][0]["route"][1]["weight"].as_u64().expect("a weight"))
}

#[test]
fn several_route_objects_move_together() {
    let shop = Shop::open("several");
    several(&shop);
    let load = shop.load(200);
    let flags = |other: &[&'static str]| [&counters()[..], other, &ALL].concat();
    let run = shop.canary(User::Releaser, "run", &flags(&FAST));
    println!("{}", run.transcript());
    assert_eq!((run.code, shares(&shop)), (0, [100; 3]), "{}", run.transcript());
    let aborted = shop.canary(User::Releaser, "abort", &ALL);
    println!("{}", aborted.transcript());
    assert_eq!((aborted.code, shares(&shop)), (0, [0; 3]), "{}", aborted.transcript());

    // Who knows one of them ends the release at all of them.
    let slow = flags(&["--steps", "10,50", "--hold", "60s"]);
    let begin = || {
        let driver = shop.begin(&slow);
        until("its first step at all of them", || shares(&shop) == [10; 3]);
        until("that it is in force", || {
            shop.proxy
                .weights("all-part")
                .iter()
                .any(|(name, weight)| name.contains("|canary|") && *weight == 10)
        });
        driver
    };
    let before = specs(&shop);
    let driver = begin();
    let aborted = shop.elsewhere("abort", &["--route", "vs/payment-public"]);
    println!("{}", aborted.transcript());
    assert_eq!(
        (aborted.code, driver.end(), shares(&shop)),
        (0, Some(1), [0; 3]),
        "{}",
        aborted.transcript()
    );
    assert_eq!(specs(&shop), before);
    let marks = objects(&shop).map(|object| object["metadata"]["annotations"]["msctl.dev/canary"].clone());
    assert_eq!((marks, shop.is_tidy()), ([Value::Null, Value::Null, Value::Null], true));

    // Somebody's weight at one of them stops it, and nothing is written over.
    let driver = begin();
    let path = shop.path().replace("/payment", "/payment-part");
    let weight = |arm: u32, weight: u32| json!({"op": "replace", "path": format!("/spec/http/0/route/{arm}/weight"), "value": weight});
    let theirs = json!([weight(0, 70), weight(1, 30)]);
    lab().control_plane().api(User::Admin).patch(&path, &theirs).ok();
    assert_eq!((driver.end(), shares(&shop)), (Some(3), [10, 10, 30]));
    let status = shop.canary(User::Releaser, "status", &ALL);
    println!("{}", status.transcript());
    assert!(
        status.stdout.contains("gives the canary 10 %, the"),
        "{}",
        status.transcript()
    );
    let refused = shop.canary(User::Releaser, "run", &flags(&FAST));
    assert_eq!(refused.code, 3, "{}", refused.transcript());
    load.stop(lab().wire());
}

#[test]
fn where_one_object_cannot_take_a_weight_all_of_them_are_taken_back() {
    let shop = Shop::open("coarse");
    several(&shop);
    // A tenth of this is no whole number, and ten times as much is more than a weight may be.
    let path = shop.path().replace("/payment", "/payment-part");
    let most = json!([{"op": "replace", "path": "/spec/http/0/route/0/weight", "value": 999_999}]);
    lab().control_plane().api(User::Admin).patch(&path, &most).ok();
    let before = specs(&shop);
    let load = shop.load(20);
    let run = shop.canary(User::Releaser, "run", &[&counters()[..], &FAST, &ALL].concat());
    println!("{}", run.transcript());
    assert_eq!(run.code, 2, "{}", run.transcript());
    let why = shop.journal();
    assert!(why.contains("cannot be made as fine as this"), "{why}");
    assert_eq!(specs(&shop), before);
    assert!(shop.is_tidy());
    load.stop(lab().wire());
}
