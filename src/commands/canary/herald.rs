//! Who is told how a release goes: Kubernetes Events at the route, and a webhook. Nobody waits for either.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use super::explain::decided;
use super::place::Placed;
use crate::canary::journal::Header;
use crate::canary::machine::{Ask, Decision, Effect, Input, Outcome, Reason};
use crate::canary::mesh::Target;
use crate::config::units::Weight;
use crate::failure::Failure;
use crate::process::Clock;
use crate::remote::http::{Http, Limits, Url};
use crate::remote::kube::Cluster;

/// A webhook may take so long to answer.
const LIMITS: Limits = Limits {
    deadline: Duration::from_secs(5),
    body: 4096,
};

/// Tells.
pub(super) struct Herald<'a> {
    cluster: &'a Cluster,
    target: &'a Target,
    /// The service and the release, as every message begins.
    about: String,
    id: String,
    driver: String,
    told: Option<Reason>,
    hook: Option<Hook>,
}

/// A webhook with a thread of its own, so that one that hangs holds up nothing.
struct Hook {
    messages: Sender<String>,
    done: Receiver<()>,
    thread: JoinHandle<()>,
}

/// One thing that is told: what kind of thing, in one word, whether it is bad, and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
struct News {
    reason: &'static str,
    bad: bool,
    message: String,
}

impl<'a> Herald<'a> {
    pub(super) fn new(placed: &'a Placed, header: &Header, driver: &str, notify: Option<Url>) -> Result<Self, Failure> {
        Ok(Self {
            cluster: &placed.cluster,
            target: &placed.target,
            about: format!("{} {}", header.service, header.id),
            id: header.id.clone(),
            driver: driver.to_owned(),
            told: None,
            hook: notify.map(Hook::open).transpose()?,
        })
    }

    pub(super) fn tell(&mut self, input: &Input, decision: &Decision) {
        let again = self.told.as_ref() == Some(&decision.reason);
        self.told = Some(decision.reason.clone());
        let Some(news) = news(input, decision, again) else {
            return;
        };
        let path = format!("/api/v1/namespaces/{}/events", self.target.namespace);
        self.cluster.create_aside(&path, &self.event(&news));
        if let Some(hook) = &self.hook {
            // A webhook that is gone was told of before.
            _ = hook.messages.send(format!("{}: {}", self.about, news.message));
        }
    }

    /// Waits so long for what is still to be told.
    pub(super) fn end(self, limit: Duration) {
        if let Some(Hook { messages, done, thread }) = self.hook {
            drop(messages);
            // It ends by itself when all is told; one that hangs is left behind.
            if done.recv_timeout(limit).is_ok() {
                _ = thread.join();
            }
        }
    }

    fn event(&self, news: &News) -> Value {
        // A release has one at least; an Event is about one.
        let Some(route) = self.target.routes.first() else {
            return Value::Null;
        };
        let (namespace, name) = (&self.target.namespace, &route.name);
        let (version, kind) = route.api();
        let now = format!("{:.0}", Clock::now());
        json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"generateName": format!("{name}.{}-", self.id), "namespace": namespace},
            "involvedObject": {"apiVersion": version, "kind": kind, "namespace": route.namespace, "name": name},
            "reason": news.reason, "type": if news.bad { "Warning" } else { "Normal" },
            "message": format!("{}: {} (driven by {})", self.about, news.message, self.driver),
            "source": {"component": "msctl"}, "reportingComponent": "msctl", "reportingInstance": self.driver,
            "firstTimestamp": now, "lastTimestamp": now, "count": 1,
        })
    }
}

impl Hook {
    fn open(url: Url) -> Result<Self, Failure> {
        let http = Http::new()?;
        let (messages, to_tell) = channel::<String>();
        let (finished, done) = channel();
        let thread = std::thread::spawn(move || {
            for text in to_tell {
                // What does not arrive is lost: the journal has it.
                _ = http.post(&url, LIMITS, &json!({ "text": text }).to_string());
            }
            _ = finished.send(());
        });
        Ok(Self { messages, done, thread })
    }
}

/// What is worth telling of this; `again` where the reason is that of the decision before.
fn news(input: &Input, decision: &Decision, again: bool) -> Option<News> {
    let of = |reason: &'static str, bad: bool, message: String| Some(News { reason, bad, message });
    for effect in &decision.effects {
        match effect {
            Effect::End(outcome) => {
                let (reason, bad) = ended(*outcome);
                return of(reason, bad, decided(decision));
            }
            Effect::Write(weight) if *weight != Weight::NONE && decision.reason != Reason::Lost => {
                return of("CanaryWeight", false, format!("{weight}: {}", decided(decision)));
            }
            Effect::Write(_) if decision.reason != Reason::Returning && decision.reason != Reason::Lost => {
                return of("CanaryReturning", true, format!("back to 0 %: {}", decided(decision)));
            }
            Effect::Write(_) => {}
        }
    }
    match (input, &decision.reason) {
        (Input::Asked { ask, by, .. }, Reason::Asked) => of("CanaryAsked", false, format!("{by} {}", asks(*ask))),
        (Input::Blind { why, .. }, Reason::Blind) if !again => of("CanaryBlind", true, format!("no counters: {why}")),
        (Input::Counters { instead: Some(why), .. }, Reason::Standby) if !again => of(
            "CanaryStandby",
            true,
            format!("judged by the proxies' counters alone, no step is taken: {why}"),
        ),
        (Input::Lost { why, .. }, Reason::Lost) if !again => of("CanaryLost", true, why.clone()),
        (Input::Moving { why, .. }, Reason::Blind) if !again => of("CanaryReasserted", true, why.clone()),
        (_, Reason::Gate) if !again => of("CanaryGate", false, "waits for a person: msctl canary promote".into()),
        (_, Reason::Unproven) if !again => of(
            "CanaryUnproven",
            false,
            match (decision.needed, unshown(decision).as_slice()) {
                (None, _) => format!("{}: waits for proof", decision.asked),
                (Some(0), [first, ..]) => format!("{}: waits for proof by the metric `{first}`", decision.asked),
                (Some(needed), _) => format!("{}: {needed} more requests needed", decision.asked),
            },
        ),
        _ => None,
    }
}

/// The metrics that do not show yet that this step is safe.
fn unshown(decision: &Decision) -> Vec<&str> {
    let metrics = decision.evidence.metrics.iter();
    // Where stable has no traffic none is asked for.
    let lacking = metrics.filter(|(_, metric)| metric.needed != Some(0) && decision.asked != Weight::ALL);
    lacking.map(|(name, _)| name.as_str()).collect()
}

const fn ended(outcome: Outcome) -> (&'static str, bool) {
    match outcome {
        Outcome::Promoted => ("CanaryPromoted", false),
        Outcome::RolledBack => ("CanaryRolledBack", true),
        Outcome::CouldNotTell => ("CanaryCouldNotTell", true),
        Outcome::Aborted => ("CanaryAborted", true),
        Outcome::Held => ("CanaryHeld", true),
        Outcome::Conflict => ("CanaryConflict", true),
        Outcome::Stuck => ("CanaryStuck", true),
        Outcome::Interrupted | Outcome::Terminated => ("CanaryStopped", true),
    }
}

/// What somebody asks, after their name.
pub(super) fn asks(ask: Ask) -> String {
    match ask {
        Ask::Pause => "asks it to wait".into(),
        Ask::Go => "asks it to go on".into(),
        Ask::Promote { from } => format!("takes the step at {from} as done"),
        Ask::Finish { from } => format!("takes all steps from {from} on as done"),
        Ask::Freeze => "is in force: no further step".into(),
        Ask::Thaw => "is over".into(),
        Ask::Abort => "asks it to go back".into(),
    }
}
