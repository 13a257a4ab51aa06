//! A release by a route of the Gateway API, on the same mesh.

use serde_json::json;

use crate::lab::{User, lab};

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
