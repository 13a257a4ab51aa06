use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn arm(subset: &str) -> Destination {
    Destination {
        host: "payment.shop.svc.cluster.local".into(),
        subset: Some(subset.into()),
    }
}

fn wanted() -> Wanted {
    Wanted {
        stable: arm("stable"),
        canary: arm("canary"),
        namespace: "shop".into(),
    }
}

fn services() -> Wanted {
    let of = |name: &str| Destination {
        host: format!("{name}.shop.svc.cluster.local"),
        subset: None,
    };
    Wanted {
        stable: of("pay-stable"),
        canary: of("pay-canary"),
        namespace: "shop".into(),
    }
}

fn weight(per_mille: u16) -> Weight {
    Weight::per_mille(per_mille).unwrap()
}

fn to(host: &str, subset: &str, weight: Option<u64>) -> Value {
    let mut value = json!({"destination": {"host": host, "subset": subset}});
    if let Some(weight) = weight {
        value["weight"] = weight.into();
    }
    value
}

fn virtual_service(routes: &Value) -> Value {
    json!({"metadata": {"name": "payment", "resourceVersion": "7"}, "spec": {"hosts": ["payment"], "http": routes}})
}

/// What an API server makes of operations: RFC 6902, as far as this room uses it. None where a test fails.
fn applied(object: &Value, operations: &Value) -> Option<Value> {
    let mut object = object.clone();
    for operation in operations.as_array()? {
        let path = operation["path"].as_str()?;
        let (parent, key) = path.rsplit_once('/')?;
        match operation["op"].as_str()? {
            "test" => {
                if object.pointer(path) != Some(&operation["value"]) {
                    return None;
                }
            }
            "add" => {
                let parent = object.pointer_mut(parent)?.as_object_mut()?;
                parent.insert(key.to_owned(), operation["value"].clone());
            }
            "remove" => _ = object.pointer_mut(parent)?.as_object_mut()?.shift_remove(key)?,
            other => panic!("{other}"),
        }
    }
    Some(object)
}

#[test]
fn what_generate_makes_is_found_and_moved_in_both_routes() {
    let host = "payment.shop.svc.cluster.local";
    let route = |name: &str| json!({"name": name, "match": [{"port": 80}], "route": [to(host, "stable", Some(100)), to(host, "canary", Some(0))]});
    let object = virtual_service(&json!([route("http"), route("grpc")]));
    let splits = find(RouteKind::VirtualService, &object, &wanted()).unwrap();
    assert_eq!(splits.names(&object), ["http", "grpc"]);
    assert_eq!(splits.weight(&object), Ok(Weight::NONE));
    let moved = applied(&object, &splits.patch(&object, weight(250)).unwrap()).unwrap();
    assert_eq!(moved["spec"]["http"][1]["route"][1]["weight"], 25);
    assert_eq!(splits.weight(&moved), Ok(weight(250)));
    let fine = applied(&moved, &splits.patch(&moved, weight(1)).unwrap()).unwrap();
    assert_eq!(fine["spec"]["http"][0]["route"][0]["weight"], 999);
    let back = applied(&fine, &splits.restore(&fine, &splits.original(&object)).unwrap()).unwrap();
    assert_eq!(back, object);
}

#[test]
fn a_third_destination_keeps_its_share() {
    let routes = json!([{"route": [to("payment", "stable", Some(80)), to("payment", "canary", Some(0)), to("payment", "old", Some(20))]}]);
    let object = virtual_service(&routes);
    let splits = find(RouteKind::VirtualService, &object, &wanted()).unwrap();
    let half = applied(&object, &splits.patch(&object, weight(500)).unwrap()).unwrap();
    let weights = |object: &Value| -> Vec<u64> {
        let route = object["spec"]["http"][0]["route"].as_array().unwrap();
        route.iter().map(|d| d["weight"].as_u64().unwrap()).collect()
    };
    assert_eq!(weights(&half), [40, 40, 20]);
    let fine = applied(&object, &splits.patch(&object, weight(1)).unwrap()).unwrap();
    assert_eq!(weights(&fine), [1_998, 2, 500]);
    assert_eq!(splits.weight(&fine), Ok(weight(1)));
}

#[test]
fn routes_of_the_gateway_api_split_between_services_of_their_own() {
    let rule = json!({"matches": [{"path": {"value": "/"}}], "backendRefs": [
        {"name": "pay-stable", "port": 80}, {"name": "pay-canary", "port": 80, "weight": 0},
        {"group": "x", "kind": "Other", "name": "pay-canary"},
    ]});
    let object = json!({"metadata": {"resourceVersion": "1"}, "spec": {"rules": [rule]}});
    for kind in [RouteKind::HttpRoute, RouteKind::GrpcRoute] {
        let splits = find(kind, &object, &services()).unwrap();
        assert_eq!(splits.weight(&object), Ok(Weight::NONE));
        let moved = applied(&object, &splits.patch(&object, weight(100)).unwrap()).unwrap();
        let refs = &moved["spec"]["rules"][0]["backendRefs"];
        assert_eq!(
            (&refs[0]["weight"], &refs[1]["weight"], &refs[2]["weight"]),
            (&json!(9), &json!(1), &json!(10))
        );
        let back = applied(&moved, &splits.restore(&moved, &splits.original(&object)).unwrap()).unwrap();
        assert_eq!(back, object);
    }
}

#[test]
fn what_cannot_be_moved_is_said() {
    let both = |stable: Option<u64>, canary: Option<u64>| {
        json!([to("payment", "stable", stable), to("payment", "canary", canary)])
    };
    let problem = |routes: Value| {
        let object = virtual_service(&routes);
        find(RouteKind::VirtualService, &object, &wanted())
            .and_then(|splits| splits.weight(&object))
            .unwrap_err()
    };
    let named = |name: &str, route: Value| json!({"name": name, "route": route});
    assert_eq!(problem(json!([])), Problem::NoSplit);
    let elsewhere = json!([
        to("payment.other", "stable", Some(1)),
        to("payment.other", "canary", Some(1))
    ]);
    assert_eq!(problem(json!([named("a", elsewhere)])), Problem::NoSplit);
    let alone = json!([to("payment", "old", Some(50)), to("payment", "canary", Some(50))]);
    assert_eq!(problem(json!([named("a", alone)])), Problem::Alone("a".into()));
    let twice = json!([
        to("payment", "stable", Some(1)),
        to("payment", "canary", Some(1)),
        to("payment", "canary", Some(1))
    ]);
    assert_eq!(problem(json!([named("a", twice)])), Problem::Twice("a".into()));
    assert_eq!(
        problem(json!([named("a", both(Some(0), None))])),
        Problem::NoShare("a".into())
    );
    assert_eq!(
        problem(json!([named("a", both(Some(2), Some(1)))])),
        Problem::Uneven("a".into())
    );
    let differ = problem(json!([
        named("a", both(Some(1), Some(0))),
        named("b", both(Some(1), Some(1)))
    ]));
    assert_eq!(
        differ,
        Problem::Differ(vec![("a".into(), Weight::NONE), ("b".into(), weight(500))])
    );
    assert!(
        differ
            .to_string()
            .contains("a gives the canary 0 %, b gives the canary 50 %")
    );
}

#[test]
fn a_way_to_the_canary_alone_is_no_split() {
    let header =
        json!({"match": [{"headers": {"x-canary": {"exact": "1"}}}], "route": [to("payment", "canary", None)]});
    let split = json!({"route": [to("payment", "stable", Some(100)), to("payment", "canary", Some(0))]});
    let object = virtual_service(&json!([header, split]));
    let splits = find(RouteKind::VirtualService, &object, &wanted()).unwrap();
    let moved = applied(&object, &splits.patch(&object, Weight::ALL).unwrap()).unwrap();
    assert_eq!(moved["spec"]["http"][0], object["spec"]["http"][0]);
    assert_eq!(moved["spec"]["http"][1]["route"][1]["weight"], 100);
}

/// A destination of somebody else's.
fn other() -> impl Strategy<Value = Value> {
    (
        select(vec!["billing", "payment.other", "payment"]),
        select(vec!["v1", "old"]),
        0..50_u64,
    )
        .prop_map(|(host, subset, weight)| to(host, subset, Some(weight)))
}

/// A route that concerns this release, or one that does not; whole weights of the pair are such that its share is `share`.
fn route(share: u16) -> impl Strategy<Value = Value> {
    let arms = (
        select(vec![1_u64, 2, 100]),
        select(vec!["payment", "payment.shop.svc.cluster.local"]),
    );
    let pair = arms.prop_map(move |(times, host)| {
        let canary = u64::from(share) * times;
        vec![
            to(host, "stable", Some(1_000 * times - canary)),
            to(host, "canary", Some(canary)),
        ]
    });
    let destinations =
        (pair, prop::bool::weighted(0.7), prop::collection::vec(other(), 0..3)).prop_map(|(pair, ours, mut others)| {
            if ours {
                others.extend(pair);
            }
            others
        });
    (prop::option::of("[a-z]{1,6}"), destinations, any::<bool>(), 0..5_u8).prop_map(|(name, route, timeout, order)| {
        let mut value =
            json!({"match": [{"uri": {"prefix": format!("/{order}")}}], "route": route, "x-unknown": {"b": [1, null]}});
        if let Some(name) = name {
            value["name"] = name.into();
        }
        if timeout {
            value["timeout"] = "3s".into();
        }
        value
    })
}

fn object() -> impl Strategy<Value = Value> {
    (0..=1_000_u16).prop_flat_map(|share| {
        let routes = || prop::collection::vec(route(share), 0..4);
        (routes(), routes(), routes()).prop_map(|(http, tls, tcp)| {
            json!({
                "metadata": {"resourceVersion": "41", "annotations": {"a": "b"}},
                "spec": {"hosts": ["payment", "pay.example.com"], "http": http, "tls": tls, "tcp": tcp},
            })
        })
    })
}

/// The object without any weight.
fn bare(object: &Value) -> Value {
    match object {
        Value::Array(all) => all.iter().map(bare).collect(),
        Value::Object(all) => {
            let kept = all.iter().filter(|(key, _)| *key != "weight");
            Value::Object(kept.map(|(key, value)| (key.clone(), bare(value))).collect())
        }
        other => other.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn only_weights_change_and_they_read_back(object in object(), share in 0..=1_000_u16) {
        let Ok(splits) = find(RouteKind::VirtualService, &object, &wanted()) else {
            return Ok(());
        };
        let patch = splits.patch(&object, weight(share)).unwrap();
        let moved = applied(&object, &patch).unwrap();
        prop_assert_eq!(bare(&moved), bare(&object));
        prop_assert_eq!(splits.weight(&moved), Ok(weight(share)));
        for list in ["http", "tls", "tcp"] {
            for (before, after) in items(&object["spec"][list]).zip(items(&moved["spec"][list])) {
                // Whoever is not of the pair keeps its part of the whole.
                let sum = |route: &Value| items(&route["route"]).map(|d| d["weight"].as_u64().unwrap()).sum::<u64>();
                for (b, a) in items(&before["route"]).zip(items(&after["route"])) {
                    let subset = b["destination"]["subset"].as_str().unwrap();
                    if subset == "v1" || subset == "old" {
                        let (b, a) = (b["weight"].as_u64().unwrap(), a["weight"].as_u64().unwrap());
                        prop_assert_eq!(b * sum(after), a * sum(before));
                    }
                }
            }
        }
        let restore = splits.restore(&moved, &splits.original(&object)).unwrap();
        prop_assert_eq!(applied(&moved, &restore).unwrap(), object);
    }

    #[test]
    fn what_others_changed_in_between_is_never_patched(object in object(), other in object(), share in 0..=1_000_u16) {
        let Ok(splits) = find(RouteKind::VirtualService, &object, &wanted()) else {
            return Ok(());
        };
        let mut other = other;
        other["metadata"]["resourceVersion"] = "42".into();
        let patch = splits.patch(&object, weight(share)).unwrap();
        prop_assert_eq!(applied(&other, &patch), None);
    }
}
