//! The weights that an Envoy has, read from the dump of its configuration.
//!
//! A route of a `VirtualService` is called there as in the `VirtualService`, one of an `HTTPRoute` or a `GRPCRoute` as
//! [`route_of_rule`] says. A cluster is called `outbound|80|canary|payment.shop.svc.cluster.local` for a subset, and
//! `outbound|80||payment-canary.shop.svc.cluster.local` for a Service. A destination without weight is not there at
//! all.

use serde_json::{Value, json};

/// Clusters and their weights.
pub(crate) type Weights = Vec<(String, u64)>;

/// The weight of a cluster that has all of the traffic: where there is only one, Envoy has no weight for it.
pub(crate) const ALL: u64 = 1_000;

/// What istiod calls a rule of an `HTTPRoute` or a `GRPCRoute` that has no name of its own; one that has is called by
/// it.
pub(crate) fn route_of_rule(namespace: &str, route: &str, rule: usize) -> String {
    format!("{namespace}.{route}.{rule}")
}

/// Those of the requests on the routes of this name. A rule becomes a route for each of its matches: where they do not
/// agree, it is the weights of all.
pub(super) fn of_requests(dump: &Value, route: &str) -> Weights {
    weights(dump, &|value| (value["name"] == route).then(|| &value["route"]))
}

/// Those of the connections of a `VirtualService`'s `tcp` and `tls` routes, by its `name.namespace`. There are none
/// where a route names one destination only: istiod then leaves the name out.
pub(super) fn of_connections(dump: &Value, name: &str) -> Weights {
    weights(dump, &|value| {
        let is_tcp = value["@type"].as_str().is_some_and(|kind| kind.ends_with(".TcpProxy"));
        (is_tcp && value["stat_prefix"] == name).then_some(value)
    })
}

fn weights<'a>(dump: &'a Value, action: &impl Fn(&'a Value) -> Option<&'a Value>) -> Weights {
    let mut found = Vec::new();
    collect(dump, action, &mut found);
    found.sort();
    found.dedup();
    found.concat()
}

/// The clusters of every action there is in a dump.
fn collect<'a>(value: &'a Value, action: &impl Fn(&'a Value) -> Option<&'a Value>, found: &mut Vec<Weights>) {
    if let Some(action) = action(value).filter(|action| action.is_object()) {
        found.push(clusters(action));
        return;
    }
    match value {
        Value::Array(all) => all.iter().for_each(|v| collect(v, action, found)),
        Value::Object(all) => all.values().for_each(|v| collect(v, action, found)),
        _ => {}
    }
}

fn clusters(action: &Value) -> Weights {
    let name = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if !action["cluster"].is_null() {
        return vec![(name(&action["cluster"]), ALL)];
    }
    let weighted = action["weighted_clusters"]["clusters"].as_array();
    let weight = |cluster: &Value| (name(&cluster["name"]), cluster["weight"].as_u64().unwrap_or(0));
    weighted.into_iter().flatten().map(weight).collect()
}

#[test]
fn weights_are_those_of_every_route_of_a_name() {
    let route = |name: &str, stable: u64| {
        let clusters = json!([{"name": "a", "weight": stable}, {"name": "b", "weight": 1_000 - stable}]);
        json!({"name": name, "route": {"weighted_clusters": {"clusters": clusters}}})
    };
    let only = json!({"name": "only", "route": {"cluster": "a"}});
    let routes = [
        route("main", 999),
        route("main", 999),
        route("two", 1),
        route("two", 2),
        only,
    ];
    let dump =
        json!({"configs": [{"route_config": {"name": "main", "virtual_hosts": [{"name": "main", "routes": routes}]}}]});
    let of = |name| {
        of_requests(&dump, name)
            .into_iter()
            .map(|(_, weight)| weight)
            .collect::<Vec<_>>()
    };
    assert_eq!((of("main"), of("only"), of("none")), (vec![999, 1], vec![ALL], vec![]));
    assert_eq!(of("two"), [1, 999, 2, 998]);
    let kind = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
    let proxy = json!({"@type": kind, "stat_prefix": "pay.shop", "weighted_clusters": {"clusters": [{"name": "a", "weight": 7}]}});
    let dump = json!({"configs": [{"filters": [{"name": "pay.shop", "typed_config": proxy}]}]});
    assert_eq!(of_connections(&dump, "pay.shop"), [("a".to_owned(), 7)]);
    assert_eq!(of_connections(&dump, "other.shop"), []);
}
