//! Moves the traffic of a mesh: weight leaves of one route object, patched and read back, and shown by the proxies.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::Value;

use super::{Lease, Mark, Proxies, Target};
use crate::canary::machine::Ask;
use crate::canary::router::Splits;
use crate::canary::{Router, Seen};
use crate::config::units::Weight;
use crate::failure::{Failure, Kind};
use crate::remote::kube::{Bell, Cluster, FIELD_MANAGER};

/// How a release stands, for whoever looks at its lease: written by who sees it, carried by the router.
pub type Board = Rc<RefCell<String>>;

/// The split of a release on a mesh.
#[derive(Debug)]
pub struct MeshRouter<'a> {
    cluster: &'a Cluster,
    target: Target,
    proxies: Proxies,
    lease: Lease<'a>,
    board: Board,
    /// Rings when the route object is changed.
    bell: Bell,
    /// The field manager whose re-apply of the object is put right, and not obeyed.
    reassert: Option<String>,
    /// What was written last, and whether the proxies have shown it.
    written: Option<Written>,
    /// What was to be written when no answer came: it may stand there.
    attempted: Option<Weight>,
    /// What was asked last, and what of it was not told yet.
    heard: Option<(Ask, String)>,
    untold: Option<(Ask, String)>,
    /// Why the last weight is not in force yet.
    lag: Option<String>,
}

#[derive(Clone, Copy, Debug)]
struct Written {
    to: Weight,
    shown: bool,
}

impl<'a> MeshRouter<'a> {
    /// A router that has moved nothing yet.
    pub fn new(cluster: &'a Cluster, target: Target, proxies: Proxies, lease: Lease<'a>, board: Board) -> Self {
        Self {
            bell: cluster.bell(&target.path()),
            cluster,
            target,
            proxies,
            lease,
            board,
            reassert: None,
            written: None,
            attempted: None,
            heard: None,
            untold: None,
            lag: None,
        }
    }

    /// When this field manager applies the object again, the weight of the release is put back.
    #[must_use]
    pub fn reasserting(mut self, manager: Option<String>) -> Self {
        self.reassert = manager;
        self
    }

    /// Why the last weight is not in force yet.
    pub fn lag(&self) -> Option<&str> {
        self.lag.as_deref()
    }

    /// Gives the lease back.
    pub fn release(self) {
        self.lease.release();
    }

    /// What others ask of the release by its mark.
    fn listen(&mut self, object: &Value) {
        let mark = Mark::of(object).ok().flatten();
        let asked = mark.and_then(|mark| mark.asked).map(|asked| (asked.ask, asked.by));
        if asked != self.heard {
            self.heard.clone_from(&asked);
            self.untold = asked;
        }
    }

    /// The object asks for a weight that this release did not write.
    fn changed(&mut self, object: &Value, splits: &Splits, asked: Weight, ours: Weight) -> Result<Seen, Failure> {
        let name = self.target.name();
        let again = self.reassert.as_deref();
        let who = author(object, again);
        let aborted = matches!(self.untold, Some((Ask::Abort, _)));
        if again.is_some() && who.as_deref() == again && !aborted {
            let put_back = splits.patch(object, ours);
            let put_back = put_back.map_err(|problem| Failure::new(Kind::Config, format!("the {name}: {problem}")))?;
            // Where somebody was quicker, it is read again and decided again.
            let patched = self.cluster.patch(&self.target.path(), &put_back);
            self.written = Some(Written { to: ours, shown: false });
            let who = who.unwrap_or_default();
            let why = match patched {
                Ok(_) => format!("{who} applied the {name} again, which gave the canary {asked}: put back"),
                Err(why) => format!("{who} applied the {name} again, which gives the canary {asked}: {why}"),
            };
            return Ok(Seen::Moving(ours, why));
        }
        if asked == Weight::NONE {
            // Somebody takes the canary out: that is the end of its release.
            if !aborted {
                self.untold = Some((Ask::Abort, who.unwrap_or_else(|| "somebody".into())));
            }
            self.written = Some(Written {
                to: asked,
                shown: false,
            });
            return Ok(Seen::Moving(asked, format!("the {name} gives the canary nothing")));
        }
        let by = who.map(|who| format!(" by {who}")).unwrap_or_default();
        let why = format!("the {name} gives the canary {asked}{by}, not {ours} as it was written");
        Ok(Seen::Others(asked, why))
    }
}

/// The field manager that changed the routes last: their list has one owner, whatever in it was changed. `again` applies what it
/// applied before: where somebody else did something in the same second, that is what counts.
fn author(object: &Value, again: Option<&str>) -> Option<String> {
    let managers = object["metadata"]["managedFields"].as_array()?;
    let owns = |entry: &&Value| {
        ["http", "tls", "tcp", "rules"]
            .iter()
            .any(|list| !entry["fieldsV1"]["f:spec"][format!("f:{list}")].is_null())
    };
    // Who applies what stands there already owns it too; times have whole seconds.
    let others = managers.iter().filter(owns);
    let rank = |manager: &str| match manager {
        FIELD_MANAGER => 0,
        other if Some(other) == again => 1,
        _ => 2,
    };
    let last = others.max_by_key(|entry| (entry["time"].as_str(), entry["manager"].as_str().map(rank)))?;
    last["manager"].as_str().map(str::to_owned)
}

impl Router for MeshRouter<'_> {
    fn write(&mut self, to: Weight) -> Result<(), Failure> {
        let (target, written, attempted) = (&self.target, self.written, self.attempted);
        self.attempted = Some(to);
        let refused = format!("cannot patch the {}", target.name());
        target.change(self.cluster, &refused, |object, splits| {
            let before = target.asked(object, splits)?;
            if before == to {
                return Ok(None);
            }
            // Forward only from where this release left it; back to stable from wherever it is.
            let expected = written.map_or(Weight::NONE, |w| w.to);
            if to != Weight::NONE && before != expected && Some(before) != attempted {
                let message = format!("the {} gives the canary {before}, not {expected}", target.name());
                return Err(Failure::new(Kind::Conflict, message));
            }
            let operations = splits.patch(object, to);
            operations
                .map(Some)
                .map_err(|problem| Failure::new(Kind::Config, format!("the {}: {problem}", target.name())))
        })?;
        self.attempted = None;
        if self.written.is_none_or(|w| w.to != to) {
            self.written = Some(Written { to, shown: false });
        }
        Ok(())
    }

    fn read(&mut self) -> Result<Seen, Failure> {
        match self.lease.keep(&self.board.borrow()) {
            Err(failure) if failure.kind() == Kind::Conflict => return Err(failure),
            // The API server does not answer; the next request says so where it matters.
            _ => {}
        }
        self.bell.hush();
        let (object, splits) = self.target.look(self.cluster)?;
        let asked = self.target.asked(&object, &splits)?;
        self.lag = None;
        self.listen(&object);
        if self.attempted == Some(asked) && self.written.is_none_or(|w| w.to != asked) {
            self.written = Some(Written {
                to: asked,
                shown: false,
            });
        }
        match self.written {
            Some(Written { to, .. }) if to != asked && to != Weight::NONE => {
                return self.changed(&object, &splits, asked, to);
            }
            // On the way back, somebody else's weight is written over.
            Some(Written { to, shown: false }) if to == asked => {}
            _ => return Ok(Seen::InForce(asked)),
        }
        match self.proxies.show(self.cluster, asked) {
            Ok(_) => {
                self.written = Some(Written { to: asked, shown: true });
                Ok(Seen::InForce(asked))
            }
            Err(lag) => {
                self.lag = Some(lag.to_string());
                Ok(Seen::Moving(asked, lag.to_string()))
            }
        }
    }

    fn asked(&mut self) -> Option<(Ask, String)> {
        self.untold.take()
    }

    fn unready(&mut self) -> Option<String> {
        // Asked only while it has traffic; who cannot list pods is told when the release begins.
        self.written.filter(|w| w.to != Weight::NONE)?;
        match self.target.ready(self.cluster) {
            Ok((0, all)) => Some(format!("none of {all} pods is ready")),
            _ => None,
        }
    }

    fn rang(&mut self) -> bool {
        self.bell.rang()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_owner_of_the_routes_is_their_author() {
        let entry =
            |who: &str, at: &str, field: &str| json!({"manager": who, "time": at, "fieldsV1": {"f:spec": {field: {}}}});
        let of = |managers: Value| {
            author(
                &json!({"metadata": {"managedFields": managers}}),
                Some("argocd-controller"),
            )
        };
        let (early, late) = ("2026-11-26T09:12:01Z", "2026-11-26T09:12:04Z");
        let both = json!([
            entry("argocd-controller", late, "f:http"),
            entry("msctl", early, "f:http"),
            entry("ann", "2026-11-26T09:12:09Z", "f:hosts"),
        ]);
        assert_eq!(of(both).as_deref(), Some("argocd-controller"));
        let at_once = json!([
            entry("msctl", late, "f:http"),
            entry("argocd-controller", late, "f:http")
        ]);
        assert_eq!(of(at_once).as_deref(), Some("argocd-controller"));
        let a_person_too = json!([
            entry("kubectl-edit", late, "f:http"),
            entry("argocd-controller", late, "f:http")
        ]);
        assert_eq!(of(a_person_too).as_deref(), Some("kubectl-edit"));
        assert_eq!(of(json!([])), None);
    }
}
