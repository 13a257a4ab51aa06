//! What a Job needs is made in the cluster, or taken away again.

use std::time::Duration;

use serde_json::{Value, json};

use crate::failure::{Failure, Kind};
use crate::process::Clock;
use crate::remote::kube::{Cluster, Refusal};

/// What an earlier release left may take so long to go.
const GONE: Duration = Duration::from_secs(20);

/// How long it is between two looks at it.
const LOOK: Duration = Duration::from_millis(100);

/// What was made so far.
pub(super) struct Made<'a> {
    cluster: &'a Cluster,
    /// Where each is, and what a person calls it.
    objects: Vec<(String, String)>,
    /// The Job, as the cluster has it.
    job: Value,
    /// What takes it all away by hand.
    removal: String,
}

impl<'a> Made<'a> {
    /// Makes all of these; the last is the Job. Nothing of it is left where one cannot be made.
    pub(super) fn all(cluster: &'a Cluster, objects: &[Value], removal: String) -> Result<Self, Failure> {
        let mut made = Self {
            cluster,
            objects: Vec::new(),
            job: Value::Null,
            removal,
        };
        match made.fill(objects) {
            Ok(()) => Ok(made),
            Err(failure) => Err(made.undone(failure)),
        }
    }

    /// The Job.
    pub(super) const fn job(&self) -> &Value {
        &self.job
    }

    /// What takes it all away by hand.
    pub(super) fn removal(&self) -> &str {
        &self.removal
    }

    /// First the Job, which waits until it is told to begin: what it owns goes with it, however the rest of this ends.
    fn fill(&mut self, objects: &[Value]) -> Result<(), Failure> {
        let Some((job, rest)) = objects.split_last() else {
            return Ok(());
        };
        let mut waiting = job.clone();
        waiting["spec"]["suspend"] = true.into();
        self.job = self.make(&waiting)?;
        let owner = json!({
            "apiVersion": job["apiVersion"], "kind": job["kind"],
            "name": job["metadata"]["name"], "uid": self.job["metadata"]["uid"],
        });
        for object in rest {
            let mut object = object.clone();
            // Nothing is owned from another namespace.
            if object["metadata"]["namespace"] == job["metadata"]["namespace"] {
                object["metadata"]["ownerReferences"] = json!([owner]);
            }
            self.make(&object)?;
        }
        let begin = json!([{ "op": "replace", "path": "/spec/suspend", "value": false }]);
        self.cluster
            .patch(&path(job), &begin)
            .map_err(|refusal| failed(refusal, "begin", job))?;
        Ok(())
    }

    /// One of them, in place of what an earlier release left there.
    fn make(&mut self, object: &Value) -> Result<Value, Failure> {
        let clock = Clock::start();
        let made = loop {
            match self.cluster.create(&collection(object), object) {
                Err(refusal) if refusal.code() == Some(409) && clock.elapsed() < GONE => self.clear(object)?,
                other => break other.map_err(|refusal| failed(refusal, "make", object))?,
            }
            std::thread::sleep(LOOK);
        };
        self.objects.push((path(object), name(object)));
        Ok(made)
    }

    /// Takes away what is called so, if an earlier release left it. The cluster may do the same at this moment, for what that one's Job
    /// owned: so it is not replaced, but made anew.
    fn clear(&self, object: &Value) -> Result<(), Failure> {
        let gone = |refusal: &Refusal| refusal.code() == Some(404);
        let found = match self.cluster.get(&path(object)) {
            Err(refusal) if gone(&refusal) => return Ok(()),
            other => other.map_err(|refusal| failed(refusal, "read", object))?,
        };
        if !is_ours(&found, object) {
            let message = format!("the {} is there, and was not made by msctl", name(object));
            return Err(Failure::new(Kind::Conflict, message));
        }
        if object["kind"] == "Job" && over(&found).is_none() && found["metadata"]["deletionTimestamp"].is_null() {
            let message = format!("the {} runs already", name(object));
            return Err(Failure::new(Kind::Conflict, message)
                .hint("msctl canary status    says what it does")
                .hint("msctl canary abort     gives stable all the traffic")
                .hint(format!("{}    ends it", self.removal)));
        }
        match self.cluster.delete(&format!("{}{BACKGROUND}", path(object))) {
            Err(refusal) if !gone(&refusal) => Err(failed(refusal, "remove", object)),
            _ => Ok(()),
        }
    }

    /// Takes it all away; what came of that, in a sentence.
    pub(super) fn remove(&self) -> String {
        let mut left = Vec::new();
        for (path, name) in self.objects.iter().rev() {
            match self.cluster.delete(&format!("{path}{BACKGROUND}")) {
                Ok(()) => {}
                Err(refusal) if refusal.code() == Some(404) => {}
                Err(refusal) => left.push(format!("{name} ({refusal})")),
            }
        }
        match (self.objects.is_empty(), left.is_empty()) {
            (true, _) => "Nothing was made.".into(),
            (false, true) => "What was made is removed again.".into(),
            (false, false) => format!(
                "Could not be removed again: {}. By hand: {}",
                left.join(", "),
                self.removal
            ),
        }
    }

    /// The failure, when all is taken away again.
    pub(super) fn undone(&self, failure: Failure) -> Failure {
        failure.note(self.remove())
    }
}

/// Jobs alone leave what they own behind, unless they are told not to.
const BACKGROUND: &str = "?propagationPolicy=Background";

/// How a Job ended: whether well, and in the cluster's words.
pub(super) fn over(job: &Value) -> Option<(bool, String)> {
    let mut conditions = job["status"]["conditions"].as_array().into_iter().flatten();
    let last = conditions.find(|condition| {
        condition["status"] == "True" && (condition["type"] == "Complete" || condition["type"] == "Failed")
    })?;
    let message = last["message"].as_str().unwrap_or_default();
    Some((last["type"] == "Complete", message.to_owned()))
}

/// Whether the labels that remove what is wanted are on what was found.
fn is_ours(found: &Value, wanted: &Value) -> bool {
    let (found, wanted) = (&found["metadata"]["labels"], &wanted["metadata"]["labels"]);
    let both = ["app.kubernetes.io/instance", "msctl.dev/namespace"];
    both.into_iter().all(|label| found[label] == wanted[label])
}

fn failed(refusal: Refusal, doing: &str, object: &Value) -> Failure {
    let what = format!("cannot {doing} the {}", name(object));
    match refusal.code() {
        Some(400 | 413 | 422) => Failure::new(Kind::Config, what).caused_by(refusal),
        _ => refusal.failed(what),
    }
}

/// `Role shop/msctl-canary-payment`
fn name(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, metadata) = (text(&object["kind"]), &object["metadata"]);
    match metadata["namespace"].as_str() {
        Some(namespace) => format!("{kind} {namespace}/{}", text(&metadata["name"])),
        None => format!("{kind} {}", text(&metadata["name"])),
    }
}

/// Where objects of this kind are.
fn collection(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
    let root = if version.contains('/') { "apis" } else { "api" };
    let place = match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("namespaces/{namespace}/"),
        None => String::new(),
    };
    format!("/{root}/{version}/{place}{}s", kind.to_lowercase())
}

/// Where this one is.
fn path(object: &Value) -> String {
    format!(
        "{}/{}",
        collection(object),
        object["metadata"]["name"].as_str().unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_where_the_api_has_it() {
        let of = |version: &str, kind: &str, namespace: Option<&str>| {
            path(&json!({"apiVersion": version, "kind": kind, "metadata": {"name": "x", "namespace": namespace}}))
        };
        assert_eq!(
            of("v1", "ConfigMap", Some("shop")),
            "/api/v1/namespaces/shop/configmaps/x"
        );
        assert_eq!(
            of("batch/v1", "Job", Some("shop")),
            "/apis/batch/v1/namespaces/shop/jobs/x"
        );
        let rbac = "rbac.authorization.k8s.io/v1";
        assert_eq!(of(rbac, "ClusterRole", None), format!("/apis/{rbac}/clusterroles/x"));
    }

    #[test]
    fn a_job_is_over_when_its_condition_says_so() {
        let job = |kind: &str, holds: &str| json!({"status": {"conditions": [{"type": kind, "status": holds, "message": "why"}]}});
        assert_eq!(over(&job("Complete", "True")), Some((true, "why".into())));
        assert_eq!(over(&job("Failed", "True")), Some((false, "why".into())));
        for still in [job("Failed", "False"), job("FailureTarget", "True"), json!({})] {
            assert_eq!(over(&still), None);
        }
    }

    #[test]
    fn what_others_made_is_not_ours() {
        let of = |instance: &str, namespace: &str| json!({"metadata": {"labels": {"app.kubernetes.io/instance": instance, "msctl.dev/namespace": namespace}}});
        assert!(is_ours(&of("a", "shop"), &of("a", "shop")));
        assert!(!is_ours(&of("a", "web"), &of("a", "shop")));
        assert!(!is_ours(&json!({"metadata": {}}), &of("a", "shop")));
    }
}
