//! One object that splits the traffic of a release, and that object as it was read.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Mark;
use crate::canary::router::{RouteKind, Splits, version};
use crate::config::units::Weight;
use crate::failure::{Failure, Kind};
use crate::remote::kube::{Cluster, FIELD_MANAGER};

/// A route object, by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// What kind of object it is.
    pub kind: RouteKind,
    /// Where it is: that of the release, or another one, as of a delegate.
    pub namespace: String,
    /// What it is called.
    pub name: String,
}

impl Route {
    /// The API and the kind.
    pub const fn api(&self) -> (&'static str, &'static str) {
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

    /// Where it is in the API.
    pub fn path(&self) -> String {
        let (group, plural) = (self.api().0, self.plural());
        format!("/apis/{group}/namespaces/{}/{plural}/{}", self.namespace, self.name)
    }

    /// What a person calls it.
    pub fn title(&self) -> String {
        format!("{} {}/{}", self.api().1, self.namespace, self.name)
    }

    /// Why it cannot be moved, with its name.
    pub(super) fn refused(&self, kind: Kind, why: impl std::fmt::Display) -> Failure {
        Failure::new(kind, format!("the {}: {why}", self.title()))
    }

    /// Gives up what writing weights made this program the owner of, so that whoever applies the object is asked nothing. Where
    /// that fails, they are told of a conflict, and no more.
    pub(super) fn disown(&self, cluster: &Cluster) {
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
}

/// A route object as it is, and where in it the split is.
#[derive(Clone, Debug)]
pub struct Found {
    /// Which one.
    pub route: Route,
    /// All of it.
    pub object: Value,
    /// Every place that decides the split.
    pub splits: Splits,
}

impl Found {
    /// The share of the canary that it asks for.
    pub fn asked(&self) -> Result<Weight, Failure> {
        self.splits
            .weight(&self.object)
            .map_err(|problem| self.route.refused(Kind::Conflict, problem))
    }

    /// The mark on it.
    pub fn marked(&self) -> Result<Option<Mark>, Failure> {
        Mark::of(&self.object).map_err(|why| self.route.refused(Kind::Config, why))
    }

    /// The operations that give the canary this share.
    pub(super) fn patch(&self, to: Weight) -> Result<Value, Failure> {
        self.splits
            .patch(&self.object, to)
            .map_err(|problem| self.route.refused(Kind::Config, problem))
    }

    /// The operations that put this mark on it.
    pub(super) fn put(&self, mark: &Mark) -> Result<Value, Failure> {
        mark.put(&self.object)
            .map_err(|why| self.route.refused(Kind::Config, why))
    }

    /// The names of its routes that proxies know them by; none where they have others there.
    pub fn names(&self) -> Vec<String> {
        // What its parent makes of the name of a delegate's route is the parent's.
        let is_delegate = self.route.kind == RouteKind::VirtualService && self.object["spec"]["hosts"].is_null();
        if is_delegate {
            Vec::new()
        } else {
            self.splits.names(&self.object)
        }
    }
}
