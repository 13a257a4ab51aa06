//! What a proxy's own configuration says of the split: Envoy's `/config_dump`. Pure.

use serde_json::Value;

use crate::canary::router::Destination;
use crate::config::units::Weight;

/// The two arms, whose clusters a proxy splits between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arms {
    /// What serves today.
    pub stable: Destination,
    /// What is tried.
    pub canary: Destination,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Stable,
    Canary,
}

impl Arms {
    fn side(&self, cluster: &str) -> Option<Side> {
        match () {
            () if self.canary.is_cluster(cluster) => Some(Side::Canary),
            () if self.stable.is_cluster(cluster) => Some(Side::Stable),
            () => None,
        }
    }
}

/// The canary's share in every route of the dump that splits between the arms or sends all to one of them. `names` are those of
/// the routes that are moved; empty where they have none. Nothing where this proxy has no such route.
pub(super) fn shares(dump: &Value, arms: &Arms, names: &[String]) -> Vec<Weight> {
    let mut found = Vec::new();
    collect(dump, arms, names, &mut found);
    found
}

fn collect(value: &Value, arms: &Arms, names: &[String], found: &mut Vec<Weight>) {
    match value {
        Value::Array(all) => all.iter().for_each(|v| collect(v, arms, names, found)),
        Value::Object(all) => {
            if let Some(route) = all.get("route").filter(|route| route.is_object()) {
                let name = all.get("name").and_then(Value::as_str).unwrap_or_default();
                if names.is_empty() || is_one(names, name) {
                    found.extend(share(route, arms));
                }
                return;
            }
            if all.contains_key("stat_prefix") {
                found.extend(share(value, arms)); // of TCP, which has no routes, or of HTTP, which has them below
            }
            all.values().for_each(|v| collect(v, arms, names, found));
        }
        _ => {}
    }
}

/// A route of a delegate is called `parent-route`; one with several matches gets a number after a dot.
fn is_one(names: &[String], name: &str) -> bool {
    names.iter().any(|own| {
        name == own
            || name
                .strip_prefix(own.as_str())
                .is_some_and(|rest| rest.starts_with('.'))
    })
}

fn share(route: &Value, arms: &Arms) -> Option<Weight> {
    if let Some(cluster) = route["cluster"].as_str() {
        return arms.side(cluster).map(|side| match side {
            Side::Canary => Weight::ALL,
            Side::Stable => Weight::NONE,
        });
    }
    split(&route["weighted_clusters"], arms)
}

fn split(weighted: &Value, arms: &Arms) -> Option<Weight> {
    let (mut stable, mut canary, mut concerned) = (0_u64, 0_u64, false);
    for cluster in weighted["clusters"].as_array()? {
        let weight = cluster["weight"].as_u64().unwrap_or(0);
        match arms.side(cluster["name"].as_str().unwrap_or_default()) {
            Some(Side::Stable) => stable += weight,
            Some(Side::Canary) => canary += weight,
            None => continue,
        }
        concerned = true;
    }
    let sum = stable + canary;
    if !concerned || sum == 0 {
        return None;
    }
    // A share that is no whole tenth of a percent was not asked for; what is nearest is near enough to say so.
    let per_mille = (canary * 1_000 + sum / 2) / sum;
    Weight::per_mille(u16::try_from(per_mille).ok()?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn arms() -> Arms {
        let host = "payment.shop.svc.cluster.local".to_owned();
        let arm = |subset: &str| Destination {
            host: host.clone(),
            subset: Some(subset.into()),
        };
        Arms {
            stable: arm("stable"),
            canary: arm("canary"),
        }
    }

    fn route(name: &str, weights: &[(&str, u64)]) -> Value {
        let clusters: Vec<Value> = weights
            .iter()
            .map(|(subset, weight)| {
                json!({"name": format!("outbound|80|{subset}|payment.shop.svc.cluster.local"), "weight": weight})
            })
            .collect();
        json!({"name": name, "match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": clusters}, "timeout": "2s"}})
    }

    fn dump(routes: &[Value]) -> Value {
        let hosts = json!([{"name": "payment.shop.svc.cluster.local:80", "routes": routes}]);
        json!({"configs": [{"version_info": "7", "route_config": {"name": "80", "virtual_hosts": hosts}}]})
    }

    fn per_mille(of: &[u16]) -> Vec<Weight> {
        of.iter().filter_map(|w| Weight::per_mille(*w)).collect()
    }

    #[test]
    fn every_route_that_is_moved_says_its_share() {
        let names = ["http".to_owned(), "grpc".to_owned()];
        let dump = dump(&[
            route("http", &[("stable", 90), ("canary", 10)]),
            route("grpc.2", &[("stable", 999), ("canary", 1)]),
            route("other", &[("stable", 50), ("canary", 50)]),
        ]);
        assert_eq!(shares(&dump, &arms(), &names), per_mille(&[100, 1]));
        assert_eq!(shares(&dump, &arms(), &[]), per_mille(&[100, 1, 500]));
    }

    #[test]
    fn a_route_to_one_cluster_is_all_or_nothing() {
        let to = |subset: &str| {
            let cluster = format!("outbound|80|{subset}|payment.shop.svc.cluster.local");
            dump(&[json!({"name": "http", "route": {"cluster": cluster}})])
        };
        assert_eq!(shares(&to("canary"), &arms(), &[]), [Weight::ALL]);
        assert_eq!(shares(&to("stable"), &arms(), &[]), [Weight::NONE]);
        assert_eq!(shares(&to("third"), &arms(), &[]), []);
    }

    #[test]
    fn tcp_and_services_of_their_own_are_read_too() {
        let arm = |host: &str| Destination {
            host: host.into(),
            subset: None,
        };
        let arms = Arms {
            stable: arm("pay-stable.shop.svc.cluster.local"),
            canary: arm("pay-canary.shop.svc.cluster.local"),
        };
        let clusters = json!([
            {"name": "outbound|80||pay-stable.shop.svc.cluster.local;", "weight": 75},
            {"name": "outbound|80||pay-canary.shop.svc.cluster.local;", "weight": 25},
        ]);
        let filter = json!({"typed_config": {"stat_prefix": "x", "weighted_clusters": {"clusters": clusters}}});
        let to = "outbound|80||pay-canary.shop.svc.cluster.local";
        let whole = json!({"typed_config": {"stat_prefix": to, "cluster": to}});
        let found = shares(&json!({"filters": [filter, whole]}), &arms, &["http".into()]);
        assert_eq!(found, per_mille(&[250, 1_000]));
    }

    #[test]
    fn what_is_no_dump_says_nothing() {
        for value in [json!(null), json!([]), json!({"route": 1}), json!("x")] {
            assert_eq!(shares(&value, &arms(), &[]), []);
        }
    }
}
