//! Moves the traffic of a mesh: weight leaves of one route object, patched and read back, and shown by the proxies.

use serde_json::Value;

use super::{Lease, Proxies, TRIES, Target};
use crate::canary::Router;
use crate::config::units::Weight;
use crate::failure::{Failure, Kind};
use crate::remote::kube::Cluster;

/// The split of a release on a mesh.
#[derive(Debug)]
pub struct MeshRouter<'a> {
    cluster: &'a Cluster,
    target: Target,
    proxies: Option<Proxies>,
    lease: Option<Lease<'a>>,
    /// What was written last, what was in force before it, and whether the proxies have shown it.
    written: Option<Written>,
    /// Why the last weight is not in force yet.
    lag: Option<String>,
}

#[derive(Clone, Copy, Debug)]
struct Written {
    to: Weight,
    before: Weight,
    shown: bool,
}

impl<'a> MeshRouter<'a> {
    /// A router that has moved nothing yet. Without `proxies` the object alone says what is in force.
    pub const fn new(cluster: &'a Cluster, target: Target, proxies: Option<Proxies>, lease: Option<Lease<'a>>) -> Self {
        Self {
            cluster,
            target,
            proxies,
            lease,
            written: None,
            lag: None,
        }
    }

    /// Why the last weight is not in force yet.
    pub fn lag(&self) -> Option<&str> {
        self.lag.as_deref()
    }

    /// Gives the lease back.
    pub fn release(self) {
        if let Some(lease) = self.lease {
            lease.release();
        }
    }

    /// The weight that the object asks for now.
    fn asked(&self) -> Result<(Value, Weight), Failure> {
        let (object, splits) = self.target.look(self.cluster)?;
        let weight = self.target.asked(&object, &splits)?;
        Ok((object, weight))
    }
}

impl Router for MeshRouter<'_> {
    fn write(&mut self, to: Weight) -> Result<(), Failure> {
        let path = self.target.path();
        let mut last = None;
        for _ in 0..TRIES {
            let (object, splits) = self.target.look(self.cluster)?;
            let now = self.target.asked(&object, &splits)?;
            if now != to {
                // Forward only from where this release left it; back to stable from wherever it is.
                let expected = self.written.map_or(Weight::NONE, |w| w.to);
                if to != Weight::NONE && now != expected {
                    let message = format!("the {} gives the canary {now}, not {expected}", self.target.name());
                    return Err(Failure::new(Kind::Conflict, message));
                }
                let operations = splits
                    .patch(&object, to)
                    .map_err(|problem| Failure::new(Kind::Config, format!("the {}: {problem}", self.target.name())))?;
                match self.cluster.patch(&path, &operations) {
                    Ok(_) => {}
                    // Somebody changed the object since it was read: it is read and decided anew.
                    Err(refusal) if matches!(refusal.code(), Some(409 | 422)) => {
                        last = Some(refusal);
                        continue;
                    }
                    Err(refusal) => return Err(refusal.failed(format!("cannot patch the {}", self.target.name()))),
                }
            }
            if self.written.is_none_or(|w| w.to != to) {
                let (before, shown) = (now, false);
                self.written = Some(Written { to, before, shown });
            }
            return Ok(());
        }
        let what = format!(
            "the {} was changed by others {TRIES} times in a row",
            self.target.name()
        );
        Err(match last {
            Some(refusal) => refusal.failed(what),
            None => Failure::new(Kind::Conflict, what),
        })
    }

    /// A weight that the object asks for and the proxies do not show yet is read as the one before it.
    fn read(&mut self) -> Result<Weight, Failure> {
        if let Some(lease) = &mut self.lease {
            match lease.keep() {
                Err(failure) if failure.kind() == Kind::Conflict => return Err(failure),
                // The API server does not answer; the next request says so where it matters.
                _ => {}
            }
        }
        let (_, asked) = self.asked()?;
        self.lag = None;
        if let Some(written) = self.written.filter(|w| w.to != Weight::NONE && w.to != asked) {
            let message = format!(
                "the {} gives the canary {asked}, not {} as it was written",
                self.target.name(),
                written.to
            );
            return Err(Failure::new(Kind::Conflict, message));
        }
        let (Some(proxies), Some(written)) = (&self.proxies, &mut self.written) else {
            return Ok(asked);
        };
        if asked != written.to || written.shown {
            return Ok(asked);
        }
        match proxies.show(self.cluster, asked) {
            Ok(_) => {
                written.shown = true;
                Ok(asked)
            }
            Err(lag) => {
                self.lag = Some(lag.to_string());
                Ok(written.before)
            }
        }
    }

    fn unready(&mut self) -> Option<String> {
        // Asked only while it has traffic; who cannot list pods is told when the release begins.
        self.written.filter(|w| w.to != Weight::NONE)?;
        match self.target.ready(self.cluster) {
            Ok((0, all)) => Some(format!("none of {all} pods is ready")),
            _ => None,
        }
    }
}
