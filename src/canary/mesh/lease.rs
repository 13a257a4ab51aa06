//! The Lease that keeps two drivers of one release apart: `coordination.k8s.io`, beside the route.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::failure::{Failure, Kind};
use crate::process::{Clock, Interrupt};
use crate::remote::kube::{Cluster, Refusal};

/// A driver that does not renew for so long is taken for dead.
const DURATION: Duration = Duration::from_secs(15);

/// How long it is between two looks at a lease that is waited for.
const WAIT: Duration = Duration::from_millis(250);

/// Where its holder hangs out how its release stands.
const PROGRESS: &str = "msctl.dev/progress";

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
    /// As it was written last, its version among it.
    written: Value,
}

/// Who holds a lease, and whether that holder still lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// What it calls itself.
    pub name: String,
    /// Whether it renewed in time, by this machine's clock.
    pub alive: bool,
    /// When it renewed last, as it says.
    pub renewed: String,
    /// How its release stands, as it hung out: `msctl.canary.progress/v1`.
    pub progress: Option<String>,
}

/// Why a lease could not be taken over.
#[derive(Debug)]
pub enum Occupied {
    /// Its holder lives.
    Alive(Holder),
    /// Something else.
    Failed(Failure),
}

impl<'a> Lease<'a> {
    /// Takes it, unless somebody else who lives has it.
    pub fn take(cluster: &'a Cluster, namespace: &str, name: &str, holder: &str) -> Result<Self, Failure> {
        Self::seize(cluster, namespace, name, holder, |other| {
            let message = format!("the release of `{name}` is driven by {}", other.name);
            let conflict = Failure::new(Kind::Conflict, message).note("Nothing was changed.");
            Err(conflict.hint(format!(
                "kubectl get lease {name} -n {namespace} -o yaml    says since when"
            )))
        })
    }

    /// Takes it over from a driver that is gone. Who is not known to be `dead` is waited for until its time is over, as long as it
    /// does not renew; clocks of other machines say nothing of that.
    pub fn take_over(
        cluster: &'a Cluster,
        namespace: &str,
        name: &str,
        holder: &str,
        dead: &str,
        interrupt: &Interrupt,
    ) -> Result<Self, Occupied> {
        let (clock, mut first, mut alive) = (Clock::start(), None, None);
        let taken = Self::seize(cluster, namespace, name, holder, |other| {
            if other.name == dead || clock.elapsed() > DURATION {
                return Ok(true);
            }
            if let Some(kind) = interrupt.asked() {
                return Err(Failure::new(kind, "asked to end while a lease was waited for"));
            }
            let renewed = first.get_or_insert_with(|| other.renewed.clone());
            if *renewed != other.renewed {
                alive = Some(other.clone());
                let message = format!("the release of `{name}` is driven by {}, who is alive", other.name);
                return Err(Failure::new(Kind::Conflict, message));
            }
            std::thread::sleep(WAIT);
            Ok(false)
        });
        taken.map_err(|failure| alive.map_or(Occupied::Failed(failure), Occupied::Alive))
    }

    /// Who holds it; nobody where there is none.
    pub fn look(cluster: &Cluster, namespace: &str, name: &str) -> Result<Option<Holder>, Refusal> {
        match cluster.get(&format!("{}/{name}", collection(namespace))) {
            Ok(found) => Ok(holder_of(&found, Clock::now())),
            Err(refusal) if refusal.code() == Some(404) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// Takes it away from this holder, who gave no sign of life since it was looked at.
    pub fn clear(cluster: &Cluster, namespace: &str, name: &str, holder: &Holder) {
        if Self::look(cluster, namespace, name).is_ok_and(|now| now.as_ref() == Some(holder)) {
            // Where that fails it lapses.
            _ = cluster.delete(&format!("{}/{name}", collection(namespace)));
        }
    }

    /// `may` is asked when somebody else has it who seems to live: whether it is taken all the same, now or when it is asked again.
    fn seize(
        cluster: &'a Cluster,
        namespace: &str,
        name: &str,
        holder: &str,
        mut may: impl FnMut(&Holder) -> Result<bool, Failure>,
    ) -> Result<Self, Failure> {
        let mut lease = Self {
            cluster,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            holder: holder.to_owned(),
            renewed: Clock::start(),
            written: Value::Null,
        };
        let failed = |refusal: Refusal| refusal.failed(format!("cannot take the lease `{name}` in `{namespace}`"));
        // A rival may be between the look and the write; the version in the document says so.
        let mut rivals = 0;
        while rivals < 3 {
            let taken = match cluster.get(&lease.path()) {
                Err(refusal) if refusal.code() == Some(404) => {
                    let new = json!({
                        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                        "metadata": {"name": name, "namespace": namespace}, "spec": lease.spec(0),
                    });
                    cluster.create(&collection(namespace), &new)
                }
                Err(refusal) => return Err(failed(refusal)),
                Ok(found) => {
                    let other = holder_of(&found, Clock::now()).filter(|h| h.alive && h.name != holder);
                    if let Some(other) = other
                        && !may(&other)?
                    {
                        continue;
                    }
                    lease.replace(found)
                }
            };
            match taken {
                Ok(written) => {
                    lease.renew(written);
                    return Ok(lease);
                }
                Err(refusal) if refusal.code() == Some(409) => rivals += 1,
                Err(refusal) => return Err(failed(refusal)),
            }
        }
        Err(Failure::new(
            Kind::Conflict,
            format!("somebody else takes the lease `{name}` again and again"),
        ))
    }

    /// Renews it when it is time, and hangs out how the release stands. A failure of the kind `Conflict` says that somebody else
    /// has it now.
    pub fn keep(&mut self, progress: &str) -> Result<(), Failure> {
        if self.renewed.elapsed() < RENEW {
            return Ok(());
        }
        let written = std::mem::take(&mut self.written);
        if !written.is_null() {
            match self.replace(noted(written, progress)) {
                Ok(written) => {
                    self.renew(written);
                    return Ok(());
                }
                // Somebody changed it, or removed it.
                Err(refusal) if matches!(refusal.code(), Some(404 | 409)) => {}
                Err(refusal) => return Err(refusal.failed("the lease cannot be renewed")),
            }
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
        let written = self
            .replace(noted(found, progress))
            .map_err(|refusal| refusal.failed("the lease cannot be renewed"))?;
        self.renew(written);
        Ok(())
    }

    fn renew(&mut self, written: Value) {
        (self.renewed, self.written) = (Clock::start(), written);
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
        renewed: spec["renewTime"].as_str().unwrap_or_default().to_owned(),
        progress: lease["metadata"]["annotations"][PROGRESS].as_str().map(str::to_owned),
    })
}

fn noted(mut lease: Value, progress: &str) -> Value {
    if !progress.is_empty() {
        lease["metadata"]["annotations"][PROGRESS] = progress.into();
    }
    lease
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
