//! The Lease that keeps two drivers of one release apart: `coordination.k8s.io`, beside the route.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::failure::{Failure, Kind};
use crate::process::Clock;
use crate::remote::kube::{Cluster, Refusal};

/// A driver that does not renew for so long is taken for dead.
const DURATION: Duration = Duration::from_secs(15);

/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(4);

/// A Lease that is held; given back when it is released.
#[derive(Debug)]
pub struct Lease<'a> {
    cluster: &'a Cluster,
    namespace: String,
    name: String,
    holder: String,
    renewed: Clock,
}

/// Who holds a lease, and whether that holder still lives.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Holder {
    /// What it calls itself.
    name: String,
    /// Whether it renewed in time.
    alive: bool,
}

impl<'a> Lease<'a> {
    /// Takes it, unless somebody else who lives has it.
    pub fn take(cluster: &'a Cluster, namespace: &str, name: &str, holder: &str) -> Result<Self, Failure> {
        let mut lease = Self {
            cluster,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            holder: holder.to_owned(),
            renewed: Clock::start(),
        };
        let failed = |refusal: Refusal| refusal.failed(format!("cannot take the lease `{name}` in `{namespace}`"));
        // A rival may be between the look and the write; the version in the document says so.
        for _ in 0..3 {
            let taken =
                match cluster.get(&lease.path()) {
                    Err(refusal) if refusal.code() == Some(404) => {
                        let new = json!({
                            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                            "metadata": {"name": name, "namespace": namespace}, "spec": lease.spec(0),
                        });
                        cluster.create(&collection(namespace), &new)
                    }
                    Err(refusal) => return Err(failed(refusal)),
                    Ok(found) => {
                        if let Some(other) = holder_of(&found, Clock::now()).filter(|h| h.alive && h.name != holder) {
                            let message = format!("the release of `{name}` is driven by {}", other.name);
                            return Err(Failure::new(Kind::Conflict, message).note("Nothing was changed.").hint(
                                format!("kubectl get lease {name} -n {namespace} -o yaml    says since when"),
                            ));
                        }
                        lease.replace(found)
                    }
                };
            match taken {
                Ok(_) => {
                    lease.renewed = Clock::start();
                    return Ok(lease);
                }
                Err(refusal) if refusal.code() == Some(409) => {}
                Err(refusal) => return Err(failed(refusal)),
            }
        }
        Err(Failure::new(
            Kind::Conflict,
            format!("somebody else takes the lease `{name}` again and again"),
        ))
    }

    /// Renews it when it is time. A failure of the kind `Conflict` says that somebody else has it now.
    pub fn keep(&mut self) -> Result<(), Failure> {
        if self.renewed.elapsed() < RENEW {
            return Ok(());
        }
        let found = match self.cluster.get(&self.path()) {
            Ok(found) => found,
            // Somebody who may removed it; nobody else has it for that.
            Err(refusal) if refusal.code() == Some(404) => {
                *self = Self::take(
                    self.cluster,
                    &self.namespace.clone(),
                    &self.name.clone(),
                    &self.holder.clone(),
                )?;
                return Ok(());
            }
            Err(refusal) => return Err(refusal.failed("the lease cannot be read")),
        };
        if found["spec"]["holderIdentity"] != self.holder.as_str() {
            let who = holder_of(&found, Clock::now()).map_or_else(|| "nobody".to_owned(), |h| h.name);
            return Err(Failure::new(
                Kind::Conflict,
                format!("the lease of this release is held by {who} now"),
            ));
        }
        self.replace(found)
            .map_err(|refusal| refusal.failed("the lease cannot be renewed"))?;
        self.renewed = Clock::start();
        Ok(())
    }

    /// Gives it back, if it is still ours.
    pub fn release(self) {
        if let Ok(found) = self.cluster.get(&self.path())
            && found["spec"]["holderIdentity"] == self.holder.as_str()
        {
            // Whoever comes next takes it over all the same when this fails: it lapses.
            _ = self.cluster.delete(&self.path());
        }
    }

    fn path(&self) -> String {
        format!("{}/{}", collection(&self.namespace), self.name)
    }

    fn spec(&self, transitions: u64) -> Value {
        let now = micro(Clock::now());
        json!({
            "holderIdentity": self.holder, "leaseDurationSeconds": DURATION.as_secs(),
            "acquireTime": now, "renewTime": now, "leaseTransitions": transitions,
        })
    }

    fn replace(&self, mut found: Value) -> Result<Value, Refusal> {
        let before = &found["spec"];
        let transitions = before["leaseTransitions"].as_u64().unwrap_or(0);
        let ours = before["holderIdentity"] == self.holder.as_str();
        let mut spec = self.spec(transitions + u64::from(!ours));
        if ours {
            spec["acquireTime"] = before["acquireTime"].clone();
        }
        found["spec"] = spec;
        self.cluster.replace(&self.path(), &found)
    }
}

fn collection(namespace: &str) -> String {
    format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases")
}

/// A holder whose time cannot be read is taken for alive: somebody may be there.
fn holder_of(lease: &Value, now: Timestamp) -> Option<Holder> {
    let spec = &lease["spec"];
    let name = spec["holderIdentity"].as_str().filter(|name| !name.is_empty())?;
    let renewed = spec["renewTime"]
        .as_str()
        .and_then(|time| time.parse::<Timestamp>().ok());
    let seconds = spec["leaseDurationSeconds"].as_i64().unwrap_or(15);
    let alive = renewed.is_none_or(|renewed| now.as_second() - renewed.as_second() <= seconds);
    Some(Holder {
        name: name.to_owned(),
        alive,
    })
}

/// With microseconds, as `metav1.MicroTime` has it.
fn micro(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_lives_until_its_time_is_over() {
        let now: Timestamp = "2026-11-25T12:00:30Z".parse().unwrap();
        let lease =
            |renewed: &str| json!({"spec": {"holderIdentity": "a", "leaseDurationSeconds": 15, "renewTime": renewed}});
        let alive = |lease: &Value| holder_of(lease, now).map(|h| h.alive);
        assert_eq!(alive(&lease("2026-11-25T12:00:15.000000Z")), Some(true));
        assert_eq!(alive(&lease("2026-11-25T12:00:14.000000Z")), Some(false));
        assert_eq!(alive(&lease("what?")), Some(true));
        assert_eq!(alive(&json!({"spec": {"holderIdentity": ""}})), None);
        assert_eq!(alive(&json!({})), None);
    }

    #[test]
    fn a_time_has_six_digits_after_the_second() {
        assert_eq!(
            micro("2026-11-25T12:00:30.5Z".parse().unwrap()),
            "2026-11-25T12:00:30.500000Z"
        );
    }
}
