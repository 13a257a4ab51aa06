//! Some apps of each of the three, on one mesh, released at the same time.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::lab::{Part, User, argo_rollouts, flagger, lab};

use super::super::seen::{Seen, Sight, is_canary};
use super::super::shop::prometheus;
use super::super::traffic::{Told, Traffic};
use super::argo::Argo;
use super::contender::{Contender, End, Version, WINDOW, Who, get, merge, spoil};
use super::flagger::Flagger;
use super::ours::Ours;

/// So many apps of each.
pub(super) const LANES: usize = 3;

/// Requests a second, at each app.
const RATE: u32 = 20;

/// How often all of them are looked at.
const PULSE: Duration = Duration::from_millis(200);

/// A first step comes within this time: Flagger takes two of its checks and the start of a pod.
const FIRST_STEP: Duration = Duration::from_mins(4);

/// Flagger looks each ten seconds whether an app has another interval than before.
const NEW_PACE: Duration = Duration::from_secs(15);

/// An app, and all that is seen of it.
pub(super) struct Lane {
    pub(super) app: Box<dyn Contender>,
    pub(super) seen: Seen,
    pub(super) traffic: Traffic,
    /// When its release was begun.
    pub(super) begun: Instant,
    pub(super) end: Option<End>,
    pub(super) ended: Option<Instant>,
    /// What is still to come of its release.
    later: Option<Later>,
}

/// A version that is good at first: from this weight on this part of its requests fails.
#[derive(Clone, Copy, Debug)]
pub(super) struct Later {
    pub(super) weight: u64,
    pub(super) errors: f64,
}

/// How releases are to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// This part of the new version's requests fails, and of the old one's.
    pub(super) errors: f64,
    pub(super) before: f64,
    pub(super) later: Option<Later>,
    pub(super) traffic: bool,
    /// The steps that msctl takes.
    pub(super) steps: &'static str,
}

/// A version without errors, with traffic.
pub(super) const HEALTHY: Terms = Terms {
    errors: 0.0,
    before: 0.0,
    later: None,
    traffic: true,
    steps: "10,50",
};

pub(super) struct Race {
    pub(super) lanes: Vec<Lane>,
    versions: u32,
    _controllers: [Part; 2],
}

impl Lane {
    fn new(app: Box<dyn Contender>) -> Self {
        let seen = Seen::follow(app.namespace());
        let traffic = Traffic::new(app.proxy(), app.namespace(), RATE);
        Self {
            app,
            seen,
            traffic,
            begun: Instant::now(),
            end: None,
            ended: None,
            later: None,
        }
    }

    fn look(&mut self) {
        self.traffic.keep();
        if let Some(later) = self.later.take_if(|later| self.seen.most(self.begun) >= later.weight) {
            spoil(self.app.namespace(), &self.app.canary(), later.errors);
        }
        if self.end.is_none() && self.has_begun() {
            self.end = self.app.end();
            self.ended = self.end.map(|_| Instant::now());
        }
    }

    /// Whether the canary had traffic since the release was begun.
    pub(super) fn has_begun(&self) -> bool {
        self.seen.most(self.begun) > 0
    }

    /// How long its release took, from its first step on.
    pub(super) fn took(&self) -> Option<Duration> {
        let sights = self.seen.since(self.begun);
        let first = sights.iter().find(|sight| sight.weight > 0)?;
        Some(self.ended?.saturating_duration_since(first.at))
    }

    /// What a client saw, and how long the canary had traffic after it failed first.
    pub(super) fn harm(&self) -> (Told, Option<Duration>) {
        let told = self.traffic.told();
        let back = told.first.and_then(|first| {
            let sights = self.seen.since(first);
            let zero = sights.iter().find(|sight| sight.weight == 0)?;
            Some(zero.at.saturating_duration_since(first))
        });
        (told, back)
    }

    fn path(&self) -> String {
        let namespace = self.app.namespace();
        format!("/apis/networking.istio.io/v1/namespaces/{namespace}/virtualservices/payment")
    }

    fn edit(&self, operations: &Value) {
        let api = lab().control_plane().api(User::Admin);
        api.patch(&self.path(), operations).ok();
    }

    /// Somebody writes at the route whose it is.
    pub(super) fn annotate(&self) {
        merge(&self.path(), &json!({"metadata": {"annotations": {"team": "shop"}}}));
    }

    /// Somebody gives a part of the requests a route of its own.
    pub(super) fn extend(&self) {
        let stable = &get(&self.path())["spec"]["http"][0]["route"][0]["destination"];
        let route = json!({
            "name": "extra", "match": [{"uri": {"prefix": "/extra"}}], "route": [{"destination": stable}],
        });
        self.edit(&json!([{"op": "add", "path": "/spec/http/0", "value": route}]));
    }

    /// The route is without both again.
    pub(super) fn restore(&self) {
        merge(&self.path(), &json!({"metadata": {"annotations": {"team": null}}}));
        if get(&self.path())["spec"]["http"][0]["name"] == "extra" {
            self.edit(&json!([{"op": "remove", "path": "/spec/http/0"}]));
        }
    }

    /// Somebody gives the canary this much, by hand.
    pub(super) fn set(&self, canary: u64) {
        let object = get(&self.path());
        let routes = object["spec"]["http"].as_array().into_iter().flatten().enumerate();
        let arms = routes.flat_map(|(route, of)| {
            let arms = of["route"].as_array().into_iter().flatten().enumerate();
            arms.map(move |(arm, of)| (route, arm, is_canary(of)))
        });
        let operations: Vec<Value> = arms
            .map(|(route, arm, is_canary)| {
                let weight = if is_canary { canary } else { 100 - canary };
                json!({"op": "add", "path": format!("/spec/http/{route}/route/{arm}/weight"), "value": weight})
            })
            .collect();
        self.edit(&json!(operations));
    }

    /// What was seen of the route from the first sight after this time on that is so.
    pub(super) fn from(&self, after: Instant, is_so: impl Fn(&Sight) -> bool) -> Vec<Sight> {
        let sights = self.seen.since(after).into_iter();
        sights.skip_while(|sight| !is_so(sight)).collect()
    }
}

impl Race {
    /// All of them at rest.
    pub(super) fn open() -> Self {
        let (ground, wire, plane) = (lab().ground(), lab().wire(), lab().control_plane());
        lab().mesh();
        let controllers = [
            flagger(ground, wire, plane, prometheus().address()).expect("Flagger"),
            argo_rollouts(ground, wire, plane).expect("Argo Rollouts"),
        ];
        let flagger: Vec<Flagger> = (0..LANES).map(|_| Flagger::open()).collect();
        let argo: Vec<Argo> = (0..LANES).map(|_| Argo::open()).collect();
        let ours: Vec<Ours> = (0..LANES).map(|_| Ours::open()).collect();
        flagger.iter().for_each(Flagger::until_open);
        argo.iter().for_each(Argo::until_open);
        let mut lanes: Vec<Lane> = Vec::new();
        lanes.extend(ours.into_iter().map(|app| Lane::new(Box::new(app))));
        lanes.extend(flagger.into_iter().map(|app| Lane::new(Box::new(app))));
        lanes.extend(argo.into_iter().map(|app| Lane::new(Box::new(app))));
        for lane in &lanes {
            crate::support::until("it serves", || lane.traffic.is_answered());
        }
        prometheus().until_scraped();
        Self {
            lanes,
            versions: 0,
            _controllers: controllers,
        }
    }

    /// Those of one of the three.
    pub(super) fn of(&self, who: Who) -> impl Iterator<Item = &Lane> {
        self.lanes.iter().filter(move |lane| lane.app.who() == who)
    }

    fn of_mut(&mut self, who: Who) -> impl Iterator<Item = &mut Lane> {
        self.lanes.iter_mut().filter(move |lane| lane.app.who() == who)
    }

    /// Looks at all of them until this holds; whether it came within that time.
    pub(super) fn until(&mut self, limit: Duration, holds: impl Fn(&Self) -> bool) -> bool {
        let began = Instant::now();
        loop {
            self.lanes.iter_mut().for_each(Lane::look);
            if holds(self) {
                return true;
            }
            if began.elapsed() > limit {
                return false;
            }
            std::thread::sleep(PULSE);
        }
    }

    /// Goes on for so long.
    pub(super) fn during(&mut self, time: Duration) {
        self.until(time, |_| false);
    }

    /// Waits until all releases have ended; whether they did.
    pub(super) fn until_ended(&mut self, limit: Duration) -> bool {
        self.until(limit, |race| race.lanes.iter().all(|lane| lane.end.is_some()))
    }

    /// Begins a release at each of them; all have their first step when this returns. Flagger, which takes longest for it, goes
    /// first, so that all are at the same step.
    pub(super) fn begin(&mut self, terms: Terms) {
        self.until_quiet();
        self.versions += 1;
        let version = Version {
            number: self.versions,
            errors: terms.errors,
            steps: terms.steps,
        };
        for lane in &mut self.lanes {
            spoil(lane.app.namespace(), lane.app.stable(), terms.before);
            lane.app.prepare(version);
        }
        if terms.traffic {
            self.lanes.iter_mut().for_each(|lane| lane.traffic.start());
        }
        for group in [&[Who::Flagger][..], &[Who::Argo, Who::Msctl]] {
            for who in group {
                for lane in self.of_mut(*who) {
                    (lane.begun, lane.end, lane.ended, lane.later) = (Instant::now(), None, None, terms.later);
                    lane.app.begin(version);
                }
            }
            let begun = |race: &Self| group.iter().all(|who| race.of(*who).all(Lane::has_begun));
            assert!(self.until(FIRST_STEP, begun), "no first step: {}", self.words());
        }
    }

    /// Waits until no failure of the release before is in what Flagger and Argo look at.
    fn until_quiet(&mut self) {
        let query = format!(
            "sum(rate(envoy_cluster_upstream_rq_xx{{envoy_cluster_name=~\".*payment-canary.*\",envoy_response_code_class=\"5\"}}[{WINDOW}])) > 0"
        );
        let quiet = |_: &Self| prometheus().query(&query).as_array().is_none_or(Vec::is_empty);
        assert!(self.until(Duration::from_mins(2), quiet), "failures are still counted");
    }

    /// Does this with Flagger alone, at the pace of its documents.
    pub(super) fn documented(&mut self, measure: impl FnOnce(&mut Self)) {
        let others = self.lanes.extract_if(.., |lane| lane.app.who() != Who::Flagger);
        let others: Vec<Lane> = others.collect();
        self.pace(true);
        measure(self);
        self.pace(false);
        self.lanes.extend(others);
    }

    fn pace(&mut self, documented: bool) {
        for lane in &mut self.lanes {
            lane.app.documented(documented);
        }
        self.during(NEW_PACE);
    }

    /// Ends all that is under way.
    pub(super) fn rest(&mut self) {
        for lane in &mut self.lanes {
            lane.traffic.stop();
            lane.app.rest();
        }
    }

    fn words(&mut self) -> String {
        let word = |lane: &mut Lane| format!("{:?} {}", lane.app.who(), lane.app.word());
        self.lanes.iter_mut().map(word).collect::<Vec<_>>().join(", ")
    }
}
