//! A release on a service mesh: the route objects that split the traffic, the pods of the canary, the proxies that show what is in
//! force, the lease that keeps drivers apart.

mod dump;
mod known;
mod lease;
mod mark;
mod progress;
mod proxies;
mod route;
mod router;

pub use dump::Arms;
pub use lease::{Holder, Lease, Occupied};
pub use mark::{Asked, Mark};
pub use progress::Progress;
pub use proxies::{Lag, Proxies};
pub use route::{Found, Route};
pub use router::{Board, MeshRouter};

use std::time::Duration;

use serde_json::Value;

use super::journal::Header;
use super::meter::form::{Form, Matcher};
use super::meter::prometheus::Question;
use super::router::{Destination, Wanted, find};
use crate::config::units::Weight;
use crate::failure::{Failure, Kind};
use crate::remote::kube::Cluster;

/// What a release moves, as its user names it.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where it all is.
    pub namespace: String,
    /// What is released; the lease is called after it.
    pub service: String,
    /// The objects that split the traffic, at least one: they move together, one after the other.
    pub routes: Vec<Route>,
    /// What serves today.
    pub stable: Destination,
    /// What is tried.
    pub canary: Destination,
    /// What selects the canary's pods: `app=payment,track=canary`.
    pub pods: String,
}

impl Target {
    /// What a person calls its route objects.
    pub fn name(&self) -> String {
        let titles: Vec<String> = self.routes.iter().map(Route::title).collect();
        titles.join(" and the ")
    }

    /// What the lease of its driver is called.
    pub fn lease(&self) -> String {
        format!("msctl-canary-{}", self.service)
    }

    /// The route objects as they are.
    pub fn look(&self, cluster: &Cluster) -> Result<Vec<Found>, Failure> {
        self.routes.iter().map(|route| self.find(cluster, route)).collect()
    }

    /// The same, and all that the release moves that is under way.
    pub fn whole(&mut self, cluster: &Cluster) -> Result<Vec<Found>, Failure> {
        let (known, mut found) = (self.routes.len(), self.look(cluster)?);
        if let Some(mark) = Self::marked(&found)? {
            self.take_in(&mark);
        }
        for route in &self.routes[known..] {
            found.push(self.find(cluster, route)?);
        }
        Ok(found)
    }

    /// Takes in all that this release moves: who knows one of its route objects finds the others by its mark, readable or not.
    pub fn take_in(&mut self, mark: &Mark) {
        for route in &mark.routes {
            if !self.routes.contains(route) {
                self.routes.push(route.clone());
            }
        }
    }

    fn find(&self, cluster: &Cluster, route: &Route) -> Result<Found, Failure> {
        let object = cluster.get(&route.path()).map_err(|refusal| {
            let missing = refusal.code() == Some(404);
            let failure = refusal.failed(format!("cannot read the {}", route.title()));
            if missing {
                failure.hint("msctl generate istio    makes it; kubectl apply -k deploy/istio puts it there")
            } else {
                failure
            }
        })?;
        let wanted = Wanted {
            stable: self.stable.clone(),
            canary: self.canary.clone(),
            namespace: route.namespace.clone(),
        };
        let splits = find(route.kind, &object, &wanted).map_err(|problem| route.refused(Kind::Config, problem))?;
        Ok(Found {
            route: route.clone(),
            object,
            splits,
        })
    }

    /// The share of the canary, as all of its objects ask for it.
    pub fn asked(found: &[Found]) -> Result<Weight, Failure> {
        let mut agreed = None;
        for one in found {
            let share = one.asked()?;
            let (first, of_first) = *agreed.get_or_insert((one, share));
            if share != of_first {
                let (first, other) = (first.route.title(), one.route.title());
                let message = format!("the {first} gives the canary {of_first}, the {other} {share}");
                return Err(Failure::new(Kind::Conflict, message));
            }
        }
        Ok(agreed.map_or(Weight::NONE, |(_, share)| share))
    }

    /// The release that is under way by any of them.
    pub fn marked(found: &[Found]) -> Result<Option<Mark>, Failure> {
        found.iter().find_map(|one| one.marked().transpose()).transpose()
    }

    /// How many of the canary's pods are ready, and how many there are.
    pub fn ready(&self, cluster: &Cluster) -> Result<(usize, usize), Failure> {
        let (collection, selector) = self.of_pods();
        let list = cluster
            .get(&format!("{collection}?{selector}"))
            .map_err(|refusal| refusal.failed(format!("cannot list the pods `{}`", self.pods)))?;
        let pods = list["items"].as_array().map_or(&[][..], Vec::as_slice);
        Ok((pods.iter().filter(|pod| is_ready(pod)).count(), pods.len()))
    }

    /// Where the API has the canary's pods: the collection, and the selector as it stands in a query.
    fn of_pods(&self) -> (String, String) {
        let selector = self.pods.replace('=', "%3D").replace(',', "%2C");
        let collection = format!("/api/v1/namespaces/{}/pods", self.namespace);
        (collection, format!("labelSelector={selector}"))
    }

    /// Which counters of a Prometheus are whose.
    pub fn question(&self, form: Form, interval: Duration) -> Question {
        let of = |arm: &Destination, track: &str| match (form, &arm.subset) {
            (Form::Istio, None) => vec![Matcher::is("destination_service", &arm.host)],
            (Form::Istio, Some(_)) => vec![
                Matcher::is("destination_service", &arm.host),
                Matcher::is("destination_workload", format!("{}-{track}", self.service)),
            ],
            (Form::Envoy, subset) => {
                let host = arm.host.replace('.', "\\.");
                let subset = subset.as_deref().unwrap_or_default();
                let name = format!("outbound\\|[0-9]+\\|{subset}\\|{host};?");
                vec![Matcher::matches("envoy_cluster_name", name)]
            }
        };
        Question {
            form,
            common: Vec::new(),
            stable: of(&self.stable, "stable"),
            canary: of(&self.canary, "canary"),
            interval,
        }
    }

    /// What tells stable's counters of its own from the canary's where nothing else is said: the pods of the Deployments, as a
    /// Prometheus in a cluster names them.
    pub fn pods_of_arms(&self) -> [Vec<Matcher>; 2] {
        ["stable", "canary"].map(|track| {
            let pods = format!("{}-{track}-[a-z0-9]+-[a-z0-9]+", self.service);
            vec![Matcher::is("namespace", &self.namespace), Matcher::matches("pod", pods)]
        })
    }

    /// Marks the route objects as being in this release; what stands there for good is kept in the marks.
    pub fn mark(&self, cluster: &Cluster, header: &Header, driver: &str) -> Result<(), Failure> {
        for route in &self.routes {
            let refused = format!("cannot mark the {}", route.title());
            self.change(cluster, route, &refused, |found| {
                if let Some(other) = found.marked()? {
                    let message = format!("the {} is in the release {} by now", route.title(), other.id);
                    return Err(Failure::new(Kind::Conflict, message).note("Nothing was changed."));
                }
                let mark = Mark {
                    id: header.id.clone(),
                    driver: driver.to_owned(),
                    started: header.started.clone(),
                    // What is adopted in the middle has no weights to put back: all goes to stable.
                    original: match found.asked() {
                        Ok(Weight::NONE) => found.splits.original(&found.object),
                        _ => Value::Null,
                    },
                    plan: header.plan.clone(),
                    routes: self.routes.clone(),
                    asked: None,
                    held: false,
                };
                found.put(&mark).map(Some)
            })?;
        }
        Ok(())
    }

    /// The release that is under way.
    pub fn under_way(&self, cluster: &Cluster) -> Result<Option<Mark>, Failure> {
        Self::marked(&self.look(cluster)?)
    }

    /// Who drives it: the holder of its lease, alive or not.
    pub fn driver(&self, cluster: &Cluster) -> Result<Option<Holder>, Failure> {
        let name = self.lease();
        Lease::look(cluster, &self.namespace, &name)
            .map_err(|refusal| refusal.failed(format!("cannot read the lease `{name}`")))
    }

    /// Changes the marks of a release that is under way. Without one, or when it is another's by now, nothing is changed.
    pub fn remark(&self, cluster: &Cluster, id: &str, mut change: impl FnMut(&mut Mark)) -> Result<(), Failure> {
        for route in &self.routes {
            let refused = format!("cannot mark the {}", route.title());
            self.change(cluster, route, &refused, |found| {
                let Some(mut mark) = found.marked()?.filter(|mark| mark.id == id) else {
                    let message = format!("the release {id} of the {} is over", route.title());
                    return Err(Failure::new(Kind::Conflict, message).note("Nothing was changed."));
                };
                change(&mut mark);
                found.put(&mark).map(Some)
            })?;
        }
        Ok(())
    }

    /// Gives the canary this share, whoever drives it and whatever its state is; what it was before, where all agreed. Back to stable
    /// an object that cannot be written keeps no other from it.
    pub fn set(&self, cluster: &Cluster, to: Weight, asked: Option<&Asked>) -> Result<Option<Weight>, Failure> {
        let mut before = Vec::new();
        self.each(to == Weight::NONE, |route| {
            let refused = format!("cannot patch the {}", route.title());
            let mut was = None;
            let changed = self.change(cluster, route, &refused, |found| {
                // Routes that do not agree have no one share, and are set all the same.
                was = found.asked().ok();
                let mut operations = found.patch(to)?.as_array().cloned().unwrap_or_default();
                if let (Some(asked), Ok(Some(mut mark))) = (asked, found.marked()) {
                    mark.asked = Some(asked.clone());
                    if let Ok(Value::Array(put)) = found.put(&mark) {
                        operations.extend(put);
                    }
                }
                let changes = operations.iter().any(|operation| operation["op"] != "test");
                Ok(changes.then_some(Value::Array(operations)))
            });
            before.push(was);
            changed
        })?;
        let first = before.first().copied().flatten();
        Ok(first.filter(|first| before.iter().all(|before| *before == Some(*first))))
    }

    /// Takes the marks of this release off; another one's stay. Where all traffic is stable's again and nobody else moved it, the
    /// weights are put back as they stood.
    pub fn unmark(&self, cluster: &Cluster, id: &str, restore: bool) -> Result<(), Failure> {
        let removed = self.each(true, |route| {
            self.change(cluster, route, "it cannot be taken off", |found| {
                let (Ok(Some(mark)), Some(remove)) = (found.marked(), Mark::remove(&found.object)) else {
                    return Ok(None);
                };
                if mark.id != id {
                    return Ok(None);
                }
                let mut operations = remove.as_array().cloned().unwrap_or_default();
                if restore
                    && found.asked().is_ok_and(|share| share == Weight::NONE)
                    && let Some(restore) = found.splits.restore(&found.object, &mark.original)
                {
                    operations.extend(restore.as_array().cloned().unwrap_or_default());
                }
                Ok(Some(operations.into()))
            })
        });
        self.disown(cluster);
        removed
    }

    /// Gives up what writing weights made this program the owner of.
    pub fn disown(&self, cluster: &Cluster) {
        for route in &self.routes {
            route.disown(cluster);
        }
    }

    /// Does this to every route object; the first failure. Where all are to be tried, it keeps no other from it.
    fn each(&self, all: bool, mut each: impl FnMut(&Route) -> Result<(), Failure>) -> Result<(), Failure> {
        let mut first = Ok(());
        for route in &self.routes {
            let done = each(route);
            if first.is_ok() {
                first = done;
            }
            if first.is_err() && !all {
                break;
            }
        }
        first
    }

    /// Changes a route object as `decide` says; where somebody else changed it since it was read, it is read and decided anew.
    fn change(
        &self,
        cluster: &Cluster,
        route: &Route,
        refused: &str,
        mut decide: impl FnMut(&Found) -> Result<Option<Value>, Failure>,
    ) -> Result<(), Failure> {
        let mut last = None;
        for _ in 0..TRIES {
            let found = self.find(cluster, route)?;
            let Some(operations) = decide(&found)? else {
                return Ok(());
            };
            match cluster.patch(&route.path(), &operations) {
                Ok(_) => return Ok(()),
                Err(refusal) if matches!(refusal.code(), Some(409 | 422)) => last = Some(refusal),
                Err(refusal) => return Err(refusal.failed(refused)),
            }
        }
        let what = format!("the {} was changed by others {TRIES} times in a row", route.title());
        Err(match last {
            Some(refusal) => refusal.failed(what),
            None => Failure::new(Kind::Conflict, what),
        })
    }
}

/// So often is a write tried against others who change the same object.
const TRIES: usize = 8;

fn is_ready(pod: &Value) -> bool {
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    pod["metadata"]["deletionTimestamp"].is_null()
        && conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}
