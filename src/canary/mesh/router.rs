//! Moves the traffic of a mesh: weight leaves of one route object, patched and read back, and shown by the proxies.

use super::{Lease, Proxies, Target};
use crate::canary::Router;
use crate::config::units::Weight;
use crate::failure::{Failure, Kind};
use crate::remote::kube::Cluster;

/// The split of a release on a mesh.
#[derive(Debug)]
pub struct MeshRouter<'a> {
    cluster: &'a Cluster,
    target: Target,
    proxies: Proxies,
    lease: Lease<'a>,
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
    /// A router that has moved nothing yet.
    pub const fn new(cluster: &'a Cluster, target: Target, proxies: Proxies, lease: Lease<'a>) -> Self {
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
        self.lease.release();
    }
}

impl Router for MeshRouter<'_> {
    fn write(&mut self, to: Weight) -> Result<(), Failure> {
        let (target, written) = (&self.target, self.written);
        let mut before = to;
        let refused = format!("cannot patch the {}", target.name());
        target.change(self.cluster, &refused, |object, splits| {
            before = target.asked(object, splits)?;
            if before == to {
                return Ok(None);
            }
            // Forward only from where this release left it; back to stable from wherever it is.
            let expected = written.map_or(Weight::NONE, |w| w.to);
            if to != Weight::NONE && before != expected {
                let message = format!("the {} gives the canary {before}, not {expected}", target.name());
                return Err(Failure::new(Kind::Conflict, message));
            }
            let operations = splits.patch(object, to);
            operations
                .map(Some)
                .map_err(|problem| Failure::new(Kind::Config, format!("the {}: {problem}", target.name())))
        })?;
        if written.is_none_or(|w| w.to != to) {
            let shown = false;
            self.written = Some(Written { to, before, shown });
        }
        Ok(())
    }

    /// A weight that the object asks for and the proxies do not show yet is read as the one before it.
    fn read(&mut self) -> Result<Weight, Failure> {
        match self.lease.keep() {
            Err(failure) if failure.kind() == Kind::Conflict => return Err(failure),
            // The API server does not answer; the next request says so where it matters.
            _ => {}
        }
        let (object, splits) = self.target.look(self.cluster)?;
        let asked = self.target.asked(&object, &splits)?;
        self.lag = None;
        if let Some(written) = self.written.filter(|w| w.to != Weight::NONE && w.to != asked) {
            let message = format!(
                "the {} gives the canary {asked}, not {} as it was written",
                self.target.name(),
                written.to
            );
            return Err(Failure::new(Kind::Conflict, message));
        }
        let Some(written) = self.written.as_mut().filter(|w| w.to == asked && !w.shown) else {
            return Ok(asked);
        };
        match self.proxies.show(self.cluster, asked) {
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
