//! The split of a release in a route object: where it stands, what it is, and the operations that change it. Pure.
//!
//! A route object (`VirtualService`, `HTTPRoute`, `GRPCRoute`) has no list keys, so its routes are known by their place in a list.
//! Every patch therefore tests all that it relies on, the version of the object, names, matches and destinations, and sets
//! weights alone: where somebody changed the object in between, the server refuses it.

#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config::units::Weight;

/// What kind of object splits the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouteKind {
    /// Istio's, with HTTP, TLS and TCP routes.
    VirtualService,
    /// The Gateway API's, for HTTP.
    HttpRoute,
    /// The Gateway API's, for gRPC.
    GrpcRoute,
}

/// One arm of a release, as a route names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The whole name of the Service: `payment.shop.svc.cluster.local`.
    pub host: String,
    /// The subset of it; none where the arm has a Service of its own.
    pub subset: Option<String>,
}

impl Destination {
    /// Whether istiod gives the endpoints of this arm to Envoy under this name:
    /// `outbound|80|canary|payment.shop.svc.cluster.local` is of this host and subset, at whatever port.
    pub fn is_cluster(&self, name: &str) -> bool {
        let mut parts = name.split('|');
        let (Some("outbound"), Some(_port), Some(subset), Some(host)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return false;
        };
        // Istio ends the name of a Service's own cluster with a semicolon in some releases.
        self.host == host.trim_end_matches(';') && self.subset.as_deref().unwrap_or_default() == subset
    }
}

/// What a release looks for in a route object.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What serves today.
    pub stable: Destination,
    /// What is tried.
    pub canary: Destination,
    /// The namespace of the object, in which short names are looked up.
    pub namespace: String,
}

/// Why an object cannot be moved as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// No route has both arms.
    NoSplit,
    /// This route has the canary and not stable.
    Alone(String),
    /// This route names one arm more than once.
    Twice(String),
    /// In this route both weights are 0, or one is no number from 0 on.
    NoShare(String),
    /// The routes have different shares, by their names.
    Differ(Vec<(String, Weight)>),
    /// In this route the share is no whole tenth of a percent.
    Uneven(String),
    /// In this route the weights would grow beyond what the API takes.
    TooFine(String),
}

/// Every place in one object that decides the split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Splits {
    kind: RouteKind,
    splits: Vec<Split>,
}

/// One route that has both arms.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Split {
    /// What a person calls it: its name, or its place.
    name: String,
    /// The JSON pointer of the route.
    route: String,
    /// The JSON pointers of the destinations.
    stable: String,
    canary: String,
    others: Vec<String>,
}

/// The largest weight of both APIs.
const MOST: u64 = 1_000_000;

impl RouteKind {
    /// The lists of routes in an object, and the list of destinations in a route.
    const fn lists(self) -> (&'static [&'static str], &'static str) {
        match self {
            Self::VirtualService => (&["http", "tls", "tcp"], "route"),
            Self::HttpRoute | Self::GrpcRoute => (&["rules"], "backendRefs"),
        }
    }

    /// What a destination of this kind is.
    fn destination(self, value: &Value, namespace: &str) -> Option<Destination> {
        if self == Self::VirtualService {
            let to = &value["destination"];
            return Some(Destination {
                host: whole(to["host"].as_str()?, namespace),
                subset: to["subset"].as_str().filter(|s| !s.is_empty()).map(str::to_owned),
            });
        }
        if value["kind"].as_str().is_some_and(|kind| kind != "Service") {
            return None;
        }
        let namespace = value["namespace"].as_str().unwrap_or(namespace);
        Some(Destination {
            host: whole(value["name"].as_str()?, namespace),
            subset: None,
        })
    }

    /// The weight of a destination that does not say it, beside others.
    const fn unsaid(self) -> u64 {
        match self {
            Self::VirtualService => 0,
            Self::HttpRoute | Self::GrpcRoute => 1,
        }
    }
}

/// A short name is one of its namespace.
fn whole(host: &str, namespace: &str) -> String {
    if host.contains('.') {
        host.to_owned()
    } else {
        format!("{host}.{namespace}.svc.cluster.local")
    }
}

/// Finds the split in this object.
pub fn find(kind: RouteKind, object: &Value, wanted: &Wanted) -> Result<Splits, Problem> {
    let (lists, destinations) = kind.lists();
    let mut splits = Vec::new();
    for list in lists {
        for (at, route) in items(&object["spec"][list]).enumerate() {
            let path = format!("/spec/{list}/{at}");
            let name = route["name"]
                .as_str()
                .map_or_else(|| format!("{list}[{at}]"), str::to_owned);
            let (mut stable, mut canary, mut others) = (Vec::new(), Vec::new(), Vec::new());
            for (n, value) in items(&route[destinations]).enumerate() {
                let found = kind.destination(value, &wanted.namespace);
                let place = format!("{path}/{destinations}/{n}");
                match found {
                    Some(d) if d == wanted.stable => stable.push(place),
                    Some(d) if d == wanted.canary => canary.push(place),
                    _ => others.push(place),
                }
            }
            match (stable.as_slice(), canary.as_slice()) {
                (_, []) => {}                      // no concern of this release
                ([], _) if others.is_empty() => {} // a way to the canary alone, by a header: not a split
                ([], _) => return Err(Problem::Alone(name)),
                ([stable], [canary]) => splits.push(Split {
                    name,
                    route: path,
                    stable: stable.clone(),
                    canary: canary.clone(),
                    others,
                }),
                _ => return Err(Problem::Twice(name)),
            }
        }
    }
    if splits.is_empty() {
        Err(Problem::NoSplit)
    } else {
        Ok(Splits { kind, splits })
    }
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

impl Splits {
    /// The names of the routes that are moved; none where one of them has no name.
    pub fn names(&self, object: &Value) -> Vec<String> {
        let name = |split: &Split| object.pointer(&split.route)?["name"].as_str().map(str::to_owned);
        self.splits.iter().map(name).collect::<Option<_>>().unwrap_or_default()
    }

    /// Whether connections are split, and not requests alone: TLS and TCP.
    pub fn has_connections(&self) -> bool {
        let of_requests = |split: &Split| {
            ["/spec/http/", "/spec/rules/"]
                .iter()
                .any(|list| split.route.starts_with(list))
        };
        !self.splits.iter().all(of_requests)
    }

    /// The canary's share of what both arms get.
    pub fn weight(&self, object: &Value) -> Result<Weight, Problem> {
        let mut shares = Vec::new();
        for split in &self.splits {
            let (stable, canary) = self.pair(object, split)?;
            let sum = stable + canary;
            if !(canary * 1_000).is_multiple_of(sum) {
                return Err(Problem::Uneven(split.name.clone()));
            }
            let share = u16::try_from(canary * 1_000 / sum).ok().and_then(Weight::per_mille);
            shares.push((
                split.name.clone(),
                share.ok_or_else(|| Problem::NoShare(split.name.clone()))?,
            ));
        }
        match shares.first() {
            Some((_, first)) if shares.iter().all(|(_, share)| share == first) => Ok(*first),
            _ => Err(Problem::Differ(shares)),
        }
    }

    /// The operations that give the canary this share, and change nothing else.
    pub fn patch(&self, object: &Value, to: Weight) -> Result<Value, Problem> {
        let mut tests = version(object);
        let mut changes = Vec::new();
        for split in &self.splits {
            let (stable, canary) = self.pair(object, split)?;
            self.rely(object, split, &mut tests);
            let (sum, share) = (stable + canary, u64::from(to.get()));
            // The smallest factor that makes the share a whole number.
            let factor = 1_000 / common(sum * share, 1_000);
            let of_canary = sum * factor * share / 1_000;
            let of_stable = sum * factor - of_canary;
            let mut new = vec![(&split.stable, of_stable), (&split.canary, of_canary)];
            if factor > 1 {
                for other in &split.others {
                    let weight = self.leaf(object, split, other)?;
                    new.push((other, weight * factor));
                }
            }
            if new.iter().map(|(_, weight)| weight).sum::<u64>() > MOST {
                return Err(Problem::TooFine(split.name.clone()));
            }
            for (place, weight) in new {
                if self.leaf(object, split, place)? != weight {
                    // Replaces what is there; where nothing is, it is added.
                    changes.push(json!({"op": "add", "path": format!("{place}/weight"), "value": weight}));
                }
            }
        }
        tests.extend(changes);
        Ok(Value::Array(tests))
    }

    /// The weights as they stand, to be put back at the end.
    pub fn original(&self, object: &Value) -> Value {
        let leaves = self
            .leaves()
            .map(|place| object.pointer(&format!("{place}/weight")).cloned());
        leaves.map(|leaf| leaf.unwrap_or(Value::Null)).collect()
    }

    /// The operations that put those weights back, absent ones as absent; none where these are other places than those were.
    pub fn restore(&self, object: &Value, original: &Value) -> Option<Value> {
        let leaves: Vec<&String> = self.leaves().collect();
        let original = original.as_array().filter(|all| all.len() == leaves.len())?;
        let mut tests = version(object);
        for split in &self.splits {
            self.rely(object, split, &mut tests);
        }
        for (place, before) in leaves.into_iter().zip(original) {
            let path = format!("{place}/weight");
            match (object.pointer(&path), before) {
                (Some(now), before) if now == before => {}
                (None, Value::Null) => {}
                (Some(_), Value::Null) => tests.push(json!({"op": "remove", "path": path})),
                (_, before) => tests.push(json!({"op": "add", "path": path, "value": before})),
            }
        }
        Some(Value::Array(tests))
    }

    fn leaves(&self) -> impl Iterator<Item = &String> {
        self.splits
            .iter()
            .flat_map(|split| [&split.stable, &split.canary].into_iter().chain(&split.others))
    }

    /// Weights of stable and of the canary; not both are 0.
    fn pair(&self, object: &Value, split: &Split) -> Result<(u64, u64), Problem> {
        let pair = (
            self.leaf(object, split, &split.stable)?,
            self.leaf(object, split, &split.canary)?,
        );
        if pair == (0, 0) {
            return Err(Problem::NoShare(split.name.clone()));
        }
        Ok(pair)
    }

    fn leaf(&self, object: &Value, split: &Split, place: &str) -> Result<u64, Problem> {
        match object.pointer(place).map(|d| &d["weight"]) {
            Some(Value::Null) | None => Ok(self.kind.unsaid()),
            Some(weight) => weight
                .as_u64()
                .filter(|weight| *weight <= MOST)
                .ok_or_else(|| Problem::NoShare(split.name.clone())),
        }
    }

    /// Tests of what makes this place what it was: the name of the route, what it matches, every destination whole.
    fn rely(&self, object: &Value, split: &Split, tests: &mut Vec<Value>) {
        let (_, destinations) = self.kind.lists();
        for below in ["/name", "/match", "/matches", &format!("/{destinations}")] {
            let path = format!("{}{below}", split.route);
            if let Some(value) = object.pointer(&path) {
                tests.push(json!({"op": "test", "path": path, "value": value}));
            }
        }
    }
}

/// Nobody changed the object since it was read: what is absent from a route cannot be tested by itself.
pub(super) fn version(object: &Value) -> Vec<Value> {
    let path = "/metadata/resourceVersion";
    let version = object.pointer(path);
    version
        .map(|value| json!({"op": "test", "path": path, "value": value}))
        .into_iter()
        .collect()
}

fn common(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { common(b, a % b) }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subset {
            Some(subset) => write!(f, "subset {subset} of {}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSplit => f.write_str("no route has both stable and canary as destinations"),
            Self::Alone(route) => write!(f, "route {route} has the canary, others, and not stable"),
            Self::Twice(route) => write!(f, "route {route} names one arm more than once"),
            Self::NoShare(route) => write!(f, "route {route} has no weights that say a share"),
            Self::Uneven(route) => write!(f, "route {route} gives the canary no whole tenth of a percent"),
            Self::TooFine(route) => write!(f, "route {route} has weights that cannot be made as fine as this"),
            Self::Differ(shares) => {
                f.write_str("its routes do not agree: ")?;
                for (n, (route, share)) in shares.iter().enumerate() {
                    write!(f, "{}{route} gives the canary {share}", if n == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
        }
    }
}
