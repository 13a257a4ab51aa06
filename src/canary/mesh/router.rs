//! Moves the traffic of a mesh: weight leaves of route objects, patched and read back, and shown by the proxies.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::Value;

use super::known::Known;
use super::{Found, Lease, Proxies, Route, Target};
use crate::canary::machine::Ask;
use crate::canary::{Router, Seen};
use crate::config::units::Weight;
use crate::failure::{Failure, Kind};
use crate::remote::kube::{Cluster, FIELD_MANAGER};

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
    /// The route objects.
    routes: Known<Vec<Found>>,
    /// How many of the canary's pods are ready, and how many there are.
    pods: Known<(usize, usize)>,
    /// The field manager whose re-apply of an object is put right, and not obeyed.
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
        let (collection, selector) = target.of_pods();
        let of_routes = target.routes.iter().map(|route| cluster.bell(&route.path()));
        Self {
            routes: Known::new(of_routes.collect()),
            pods: Known::new(vec![cluster.bell_of(&collection, &selector)]),
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

    /// Goes on from this weight, which another driver of the release left.
    #[must_use]
    pub fn going_on(mut self, from: Option<Weight>) -> Self {
        self.written = from.map(|to| Written { to, shown: false });
        self
    }

    /// Why the last weight is not in force yet.
    pub fn lag(&self) -> Option<&str> {
        self.lag.as_deref()
    }

    /// Whether this release gave the canary any.
    fn has_traffic(&self) -> bool {
        self.written.is_some_and(|written| written.to != Weight::NONE)
    }

    /// Gives the lease back.
    pub fn release(self) {
        self.lease.release();
    }

    /// What others ask of the release by its mark.
    fn listen(&mut self, found: &[Found]) {
        let mark = Target::marked(found).ok().flatten();
        let asked = mark.and_then(|mark| mark.asked).map(|asked| (asked.ask, asked.by));
        if asked != self.heard {
            self.heard.clone_from(&asked);
            self.untold = asked;
        }
    }

    /// This object asks for a weight that this release did not write.
    fn changed(&mut self, found: &Found, asked: Weight, ours: Weight) -> Result<Seen, Failure> {
        let name = found.route.title();
        let again = self.reassert.as_deref();
        let who = author(&found.object, again);
        let aborted = matches!(self.untold, Some((Ask::Abort, _)));
        if again.is_some() && who.as_deref() == again && !aborted {
            // Where somebody was quicker, it is read again and decided again.
            let patched = self.cluster.patch(&found.route.path(), &found.patch(ours)?);
            self.routes.forget();
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

    /// Writes one of the objects, if it asks for something else; `attempted` may stand there.
    fn write_one(&self, route: &Route, to: Weight, attempted: Option<Weight>) -> Result<(), Failure> {
        let written = self.written;
        let refused = format!("cannot patch the {}", route.title());
        self.target.change(self.cluster, route, &refused, |found| {
            let before = found.asked()?;
            if before == to {
                return Ok(None);
            }
            // Forward only from where this release left it; back to stable from wherever it is.
            let expected = written.map_or(Weight::NONE, |w| w.to);
            if to != Weight::NONE && before != expected && Some(before) != attempted {
                let message = format!("the {} gives the canary {before}, not {expected}", route.title());
                return Err(Failure::new(Kind::Conflict, message));
            }
            found.patch(to).map(Some)
        })
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
        let before = self.attempted.replace(to);
        self.routes.forget();
        // Back to stable, one that cannot be written keeps no other from it.
        self.target
            .each(to == Weight::NONE, |route| self.write_one(route, to, before))?;
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
        let all = self.routes.look(|| self.target.look(self.cluster))?;
        let shares = all.iter().map(Found::asked).collect::<Result<Vec<_>, _>>()?;
        self.lag = None;
        self.listen(&all);
        if let Some(to) = self.attempted {
            let have = shares.iter().filter(|share| **share == to).count();
            if have == shares.len() {
                if self.written.is_none_or(|w| w.to != to) {
                    self.written = Some(Written { to, shown: false });
                }
            } else if have > 0 {
                let message = format!("{have} of {} route objects give the canary {to}", shares.len());
                return Err(Failure::new(Kind::Unreachable, message));
            }
        }
        if let Some(Written { to, .. }) = self.written
            && to != Weight::NONE
            && let Some((found, share)) = all.iter().zip(&shares).find(|(_, share)| **share != to)
        {
            return self.changed(found, *share, to);
        }
        // Where they do not agree, the canary has traffic by that which gives it most.
        let asked = shares.into_iter().max().unwrap_or(Weight::NONE);
        match self.written {
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
        // Who cannot list pods is told when the release begins.
        if !self.has_traffic() {
            return None;
        }
        match *self.pods.look(|| self.target.ready(self.cluster)).ok()? {
            (0, all) => Some(format!("none of {all} pods is ready")),
            _ => None,
        }
    }

    fn rang(&mut self) -> bool {
        self.routes.rang() || (self.has_traffic() && self.pods.rang())
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
