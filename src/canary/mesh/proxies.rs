//! What the proxies have in force: who they are, by istiod's word, and what each says of the split in its own configuration.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use super::dump::{Arms, shares};
use crate::canary::meter::envoy::Scrape;
use crate::config::units::Weight;
use crate::failure::{Failure, Kind};
use crate::process::Clock;
use crate::remote::kube::{Cluster, Refusal};

/// Where a proxy shows its configuration, on its pod's loopback address.
const ADMIN: u16 = 15_000;
/// Where istiod says who is connected. It lets its own loopback address ask, which is what a forwarded port comes from.
const DEBUG: u16 = 15_014;
const CONNECTED: &str = "/debug/syncz";
const ROUTES: &str = "/config_dump?resource=dynamic_route_configs";
const LISTENERS: &str = "/config_dump?resource=dynamic_listeners";
/// Of what it sends to others, what was used: a sidecar of a large mesh has tens of thousands of counters.
const COUNTERS: &str = "/stats/prometheus?usedonly&filter=%5Ecluster%5C.outbound%7C";

/// So many proxies are asked at once.
const AT_ONCE: usize = 16;

/// So long after it did not answer a proxy is asked once more.
const AGAIN: Duration = Duration::from_millis(250);

/// Where all answers, and the lack of some, took less than this, nobody hangs.
const QUICK: Duration = Duration::from_secs(1);

/// Namespace and name of a proxy's pod.
type Name = (String, String);

/// What proxies showed.
#[derive(Default)]
struct Shown {
    /// How many have a route between the arms.
    concerned: usize,
    /// Those that have another share in it.
    behind: Vec<String>,
    /// Those that did not answer, and why.
    mute: Vec<(Name, String)>,
}

/// The proxies of a mesh.
#[derive(Clone, Debug)]
pub struct Proxies {
    /// The namespace of istiod.
    pub mesh: String,
    /// The two arms.
    pub arms: Arms,
    /// The names of the routes that are moved; empty where they have none.
    pub routes: Vec<String>,
    /// Whether connections are split too: those splits stand in the listeners, for TCP has no routes.
    pub connections: bool,
}

/// Why a weight is not in force everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lag {
    /// These proxies have another share, or one that does not say so.
    Behind(Vec<String>),
    /// It cannot be seen. Why.
    Unseen(String),
}

impl Proxies {
    /// Whether every proxy that has a route between the arms has this weight in it; how many those are.
    pub fn show(&self, cluster: &Cluster, weight: Weight) -> Result<usize, Lag> {
        let clock = Clock::start();
        let (mut shown, names) = (Shown::default(), self.connected(cluster).map_err(Lag::Unseen)?);
        self.ask(cluster, &names, weight, &mut shown);
        // One that hangs is not waited for twice.
        if !shown.mute.is_empty() && clock.elapsed() < QUICK {
            // One that ended is no longer connected by then, and takes no traffic.
            std::thread::sleep(AGAIN);
            let mut names = self.connected(cluster).map_err(Lag::Unseen)?;
            let mute = std::mem::take(&mut shown.mute);
            names.retain(|name| mute.iter().any(|(mute, _)| mute == name));
            self.ask(cluster, &names, weight, &mut shown);
        }
        let mute = shown.mute.iter();
        let mut behind = shown.behind;
        behind.extend(mute.map(|((namespace, name), why)| format!("{name}.{namespace} ({why})")));
        if behind.is_empty() {
            Ok(shown.concerned)
        } else {
            Err(Lag::Behind(behind))
        }
    }

    /// What each of these says of its own configuration.
    fn ask(&self, cluster: &Cluster, names: &[Name], weight: Weight, shown: &mut Shown) {
        for some in names.chunks(AT_ONCE) {
            let mut dumps = vec![cluster.ask_pods(some, ADMIN, ROUTES)];
            if self.connections {
                dumps.push(cluster.ask_pods(some, ADMIN, LISTENERS));
            }
            for (at, (namespace, name)) in some.iter().enumerate() {
                let answers: Result<Vec<&String>, &Refusal> = dumps.iter().map(|dump| dump[at].as_ref()).collect();
                let found = match answers {
                    Ok(texts) => texts.into_iter().flat_map(|text| self.shares(text)).collect::<Vec<_>>(),
                    // Its pod is gone and takes no traffic with it; istiod hears of that later.
                    Err(why) if why.code() == Some(404) => continue,
                    Err(why) => {
                        shown.mute.push(((namespace.clone(), name.clone()), why.to_string()));
                        continue;
                    }
                };
                shown.concerned += usize::from(!found.is_empty());
                if let Some(other) = found.into_iter().find(|share| *share != weight) {
                    shown.behind.push(format!("{name}.{namespace} (has {other})"));
                }
            }
        }
    }

    /// The counters of every proxy, as each shows them, or why it does not.
    pub fn counters(&self, cluster: &Cluster) -> Result<Scrape, Failure> {
        let names = self.connected(cluster);
        let names = names.map_err(|why| Failure::new(Kind::Unreachable, "the proxies are not known").note(why))?;
        let mut all = Vec::new();
        for some in names.chunks(AT_ONCE) {
            for ((namespace, name), answer) in some.iter().zip(cluster.ask_pods(some, ADMIN, COUNTERS)) {
                // Its pod is gone, and what it counted last with it.
                if !matches!(&answer, Err(why) if why.code() == Some(404)) {
                    let answer = answer.map_err(|why| why.failed("its counters cannot be read"));
                    all.push((format!("{name}.{namespace}"), answer));
                }
            }
        }
        Ok(all)
    }

    /// The namespaces in which there are proxies now.
    pub fn namespaces(&self, cluster: &Cluster) -> Result<BTreeSet<String>, Failure> {
        let names = self.connected(cluster);
        let names = names.map_err(|why| Failure::new(Kind::Unreachable, "the proxies are not known").note(why))?;
        Ok(names.into_iter().map(|(namespace, _)| namespace).collect())
    }

    fn shares(&self, dump: &str) -> Vec<Weight> {
        let dump: Value = serde_json::from_str(dump).unwrap_or_default();
        shares(&dump, &self.arms, &self.routes)
    }

    /// Namespace and name of every proxy; each istiod knows those that are connected to it.
    fn connected(&self, cluster: &Cluster) -> Result<Vec<Name>, String> {
        let path = format!("/api/v1/namespaces/{}/pods?labelSelector=app%3Distiod", self.mesh);
        let list = cluster
            .get(&path)
            .map_err(|why| format!("the pods of istiod cannot be listed: {why}"))?;
        let name = |pod: &Value| pod["metadata"]["name"].as_str().map(str::to_owned);
        let pods = list["items"].as_array().into_iter().flatten().filter_map(name);
        let pods: Vec<_> = pods.map(|pod| (self.mesh.clone(), pod)).collect();
        if pods.is_empty() {
            return Err(format!("there is no istiod in `{}`", self.mesh));
        }
        let mut found = Vec::new();
        for answer in cluster.ask_pods(&pods, DEBUG, CONNECTED) {
            let text = answer.map_err(|why| format!("istiod does not say who is connected: {why}"))?;
            let all: Value = serde_json::from_str(&text).map_err(|e| format!("what istiod says is no JSON: {e}"))?;
            found.extend(all.as_array().into_iter().flatten().filter_map(proxy));
        }
        found.sort();
        found.dedup();
        Ok(found)
    }
}

/// `client-7d9.shop` is the pod `client-7d9` in `shop`; the name of a namespace has no dot.
fn proxy(status: &Value) -> Option<Name> {
    let (name, namespace) = status["proxy"].as_str()?.rsplit_once('.')?;
    Some((namespace.to_owned(), name.to_owned()))
}

impl std::fmt::Display for Lag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unseen(why) => f.write_str(why),
            Self::Behind(proxies) => {
                let some = proxies.iter().take(3).map(String::as_str).collect::<Vec<_>>();
                write!(f, "not in force at {}", some.join(", "))?;
                match proxies.len().saturating_sub(3) {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
        }
    }
}
