//! A release on a service mesh: the route object that splits the traffic, the pods of the canary, the proxies that show what is in
//! force, the lease that keeps drivers apart.

mod dump;
mod lease;
mod mark;
mod progress;
mod proxies;
mod router;

pub use dump::Arms;
pub use lease::{Holder, Lease, Occupied};
pub use mark::{Asked, Mark};
pub use progress::Progress;
pub use proxies::{Lag, Proxies};
pub use router::{Board, MeshRouter};

use std::time::Duration;

use serde_json::{Value, json};

use super::journal::Header;
use super::meter::form::{Form, Matcher};
use super::meter::prometheus::Question;
use super::router::{Destination, RouteKind, Splits, Wanted, find, version};
use crate::config::units::Weight;
use crate::failure::{Failure, Kind};
use crate::remote::kube::{Cluster, FIELD_MANAGER};

/// What a release moves, as its user names it.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where it all is.
    pub namespace: String,
    /// What is released; the lease is called after it.
    pub service: String,
    /// What kind of object splits the traffic.
    pub kind: RouteKind,
    /// The name of that object.
    pub route: String,
    /// What serves today.
    pub stable: Destination,
    /// What is tried.
    pub canary: Destination,
    /// What selects the canary's pods: `app=payment,track=canary`.
    pub pods: String,
}

impl Target {
    /// The API and the kind of the route object.
    pub const fn kind_of_object(&self) -> (&'static str, &'static str) {
        match self.kind {
            RouteKind::VirtualService => ("networking.istio.io/v1", "VirtualService"),
            RouteKind::HttpRoute => ("gateway.networking.k8s.io/v1", "HTTPRoute"),
            RouteKind::GrpcRoute => ("gateway.networking.k8s.io/v1", "GRPCRoute"),
        }
    }

    /// What the API server and kubectl call objects of this kind.
    pub const fn plural(&self) -> &'static str {
        match self.kind {
            RouteKind::VirtualService => "virtualservices",
            RouteKind::HttpRoute => "httproutes",
            RouteKind::GrpcRoute => "grpcroutes",
        }
    }

    /// Where the route object is.
    pub fn path(&self) -> String {
        let (group, plural) = (self.kind_of_object().0, self.plural());
        format!("/apis/{group}/namespaces/{}/{plural}/{}", self.namespace, self.route)
    }

    /// What a person calls the route object.
    pub fn name(&self) -> String {
        format!("{} {}/{}", self.kind_of_object().1, self.namespace, self.route)
    }

    /// What the lease of its driver is called.
    pub fn lease(&self) -> String {
        format!("msctl-canary-{}", self.service)
    }

    fn wanted(&self) -> Wanted {
        Wanted {
            stable: self.stable.clone(),
            canary: self.canary.clone(),
            namespace: self.namespace.clone(),
        }
    }

    /// The route object as it is, and where in it the split is.
    pub fn look(&self, cluster: &Cluster) -> Result<(Value, Splits), Failure> {
        let object = cluster.get(&self.path()).map_err(|refusal| {
            let missing = refusal.code() == Some(404);
            let failure = refusal.failed(format!("cannot read the {}", self.name()));
            if missing {
                failure.hint("msctl generate istio    makes it; kubectl apply -k deploy/istio puts it there")
            } else {
                failure
            }
        })?;
        let splits = find(self.kind, &object, &self.wanted())
            .map_err(|problem| Failure::new(Kind::Config, format!("the {}: {problem}", self.name())))?;
        Ok((object, splits))
    }

    /// How many of the canary's pods are ready, and how many there are.
    pub fn ready(&self, cluster: &Cluster) -> Result<(usize, usize), Failure> {
        let selector = self.pods.replace('=', "%3D").replace(',', "%2C");
        let path = format!("/api/v1/namespaces/{}/pods?labelSelector={selector}", self.namespace);
        let list = cluster
            .get(&path)
            .map_err(|refusal| refusal.failed(format!("cannot list the pods `{}`", self.pods)))?;
        let pods = list["items"].as_array().map_or(&[][..], Vec::as_slice);
        Ok((pods.iter().filter(|pod| is_ready(pod)).count(), pods.len()))
    }

    /// The share of the canary, as the object asks for it.
    pub fn asked(&self, object: &Value, splits: &Splits) -> Result<Weight, Failure> {
        splits
            .weight(object)
            .map_err(|problem| Failure::new(Kind::Conflict, format!("the {}: {problem}", self.name())))
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

    /// Marks the route object as being in this release; what stands there for good is kept in the mark.
    pub fn mark(&self, cluster: &Cluster, header: &Header, driver: &str) -> Result<(), Failure> {
        let refused = format!("cannot mark the {}", self.name());
        self.change(cluster, &refused, |object, splits| {
            if let Some(other) = self.marked(object)? {
                let message = format!("the {} is in the release {} by now", self.name(), other.id);
                return Err(Failure::new(Kind::Conflict, message).note("Nothing was changed."));
            }
            let mark = Mark {
                id: header.id.clone(),
                driver: driver.to_owned(),
                started: header.started.clone(),
                // What is adopted in the middle has no weights to put back: all goes to stable.
                original: match splits.weight(object) {
                    Ok(Weight::NONE) => splits.original(object),
                    _ => Value::Null,
                },
                plan: header.plan.clone(),
                asked: None,
                held: false,
            };
            mark.put(object)
                .map(Some)
                .map_err(|why| Failure::new(Kind::Config, why))
        })
    }

    /// The mark on this object.
    pub fn marked(&self, object: &Value) -> Result<Option<Mark>, Failure> {
        Mark::of(object).map_err(|why| Failure::new(Kind::Config, format!("the {}: {why}", self.name())))
    }

    /// The release that is under way.
    pub fn under_way(&self, cluster: &Cluster) -> Result<Option<Mark>, Failure> {
        let (object, _) = self.look(cluster)?;
        self.marked(&object)
    }

    /// Who drives it: the holder of its lease, alive or not.
    pub fn driver(&self, cluster: &Cluster) -> Result<Option<Holder>, Failure> {
        let name = self.lease();
        Lease::look(cluster, &self.namespace, &name)
            .map_err(|refusal| refusal.failed(format!("cannot read the lease `{name}`")))
    }

    /// Changes the mark of a release that is under way. Without one, or when it is another's by now, nothing is changed.
    pub fn remark(&self, cluster: &Cluster, id: &str, mut change: impl FnMut(&mut Mark)) -> Result<(), Failure> {
        let refused = format!("cannot mark the {}", self.name());
        self.change(cluster, &refused, |object, _| {
            let Some(mut mark) = self.marked(object)?.filter(|mark| mark.id == id) else {
                let message = format!("the release {id} of the {} is over", self.name());
                return Err(Failure::new(Kind::Conflict, message).note("Nothing was changed."));
            };
            change(&mut mark);
            mark.put(object)
                .map(Some)
                .map_err(|why| Failure::new(Kind::Config, why))
        })
    }

    /// Gives the canary this share, whoever drives it and whatever its state is; what it was before.
    pub fn set(&self, cluster: &Cluster, to: Weight, asked: Option<&Asked>) -> Result<Option<Weight>, Failure> {
        let mut before = None;
        let refused = format!("cannot patch the {}", self.name());
        self.change(cluster, &refused, |object, splits| {
            // Routes that do not agree have no one share, and are set all the same.
            before = splits.weight(object).ok();
            let patch = splits.patch(object, to);
            let patch =
                patch.map_err(|problem| Failure::new(Kind::Config, format!("the {}: {problem}", self.name())))?;
            let mut operations = patch.as_array().cloned().unwrap_or_default();
            if let (Some(asked), Ok(Some(mut mark))) = (asked, Mark::of(object)) {
                mark.asked = Some(asked.clone());
                if let Ok(Value::Array(put)) = mark.put(object) {
                    operations.extend(put);
                }
            }
            let changes = operations.iter().any(|operation| operation["op"] != "test");
            Ok(changes.then_some(Value::Array(operations)))
        })?;
        Ok(before)
    }

    /// Takes the mark of this release off; another one's stays. Where all traffic is stable's again and nobody else moved it, the
    /// weights are put back as they stood.
    pub fn unmark(&self, cluster: &Cluster, id: &str, restore: bool) -> Result<(), Failure> {
        self.change(cluster, "it cannot be taken off", |object, splits| {
            let (Ok(Some(mark)), Some(remove)) = (Mark::of(object), Mark::remove(object)) else {
                return Ok(None);
            };
            if mark.id != id {
                return Ok(None);
            }
            let mut operations = remove.as_array().cloned().unwrap_or_default();
            if restore
                && splits.weight(object) == Ok(Weight::NONE)
                && let Some(restore) = splits.restore(object, &mark.original)
            {
                operations.extend(restore.as_array().cloned().unwrap_or_default());
            }
            Ok(Some(operations.into()))
        })?;
        self.disown(cluster);
        Ok(())
    }

    /// Gives up what writing weights made this program the owner of, so that whoever applies the object is asked nothing. Where
    /// that fails, they are told of a conflict, and no more.
    pub fn disown(&self, cluster: &Cluster) {
        let Ok(object) = cluster.get(&self.path()) else {
            return;
        };
        let managers = object["metadata"]["managedFields"].as_array();
        let managers = managers.map_or(&[][..], Vec::as_slice);
        let others: Vec<&Value> = managers.iter().filter(|m| m["manager"] != FIELD_MANAGER).collect();
        if !others.is_empty() && others.len() < managers.len() {
            let mut operations = version(&object);
            operations.push(json!({"op": "replace", "path": "/metadata/managedFields", "value": others}));
            _ = cluster.patch(&self.path(), &Value::Array(operations));
        }
    }

    /// Changes the route object as `decide` says; where somebody else changed it since it was read, it is read and decided anew.
    fn change(
        &self,
        cluster: &Cluster,
        refused: &str,
        mut decide: impl FnMut(&Value, &Splits) -> Result<Option<Value>, Failure>,
    ) -> Result<(), Failure> {
        let mut last = None;
        for _ in 0..TRIES {
            let (object, splits) = self.look(cluster)?;
            let Some(operations) = decide(&object, &splits)? else {
                return Ok(());
            };
            match cluster.patch(&self.path(), &operations) {
                Ok(_) => return Ok(()),
                Err(refusal) if matches!(refusal.code(), Some(409 | 422)) => last = Some(refusal),
                Err(refusal) => return Err(refusal.failed(refused)),
            }
        }
        let what = format!("the {} was changed by others {TRIES} times in a row", self.name());
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
