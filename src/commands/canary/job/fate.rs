//! What becomes of a Job that was made: it drives the release, it ends before it did, or its pod does not start.

use std::time::Duration;

use serde_json::Value;

use super::super::place::Placed;
use super::make::{Made, over};
use crate::commands::Context;
use crate::failure::{Failure, Kind};
use crate::manifest::job::{ACTOR, CONTAINER};
use crate::process::{Clock, Interrupt};
use crate::ui::clean;

/// So long until it drives: a node may have to come first, and the image to it.
const LIMIT: Duration = Duration::from_mins(3);

/// What keeps a pod from starting is not waited for longer than this: a pull that fails may well succeed at the second try.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it is between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// So many lines of a driver's last words are read.
const WORDS: u32 = 40;

/// What became of it.
pub(super) enum Fate {
    /// The release is under way.
    Drives { release: String, driver: String },
    /// It ended with this code before that was seen. What it said.
    Ended { code: u8, words: String },
}

/// Why it does not drive yet.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Obstacle {
    what: String,
    /// Whether it goes away by itself.
    passes: bool,
}

impl Obstacle {
    fn passing(what: impl Into<String>) -> Self {
        let what = what.into();
        Self { what, passes: true }
    }

    fn lasting(what: impl Into<String>) -> Self {
        let what = what.into();
        Self { what, passes: false }
    }
}

/// Waits until it is known.
pub(super) fn until_known(
    placed: &Placed,
    made: &Made<'_>,
    interrupt: &Interrupt,
    context: &Context,
) -> Result<Fate, Failure> {
    let _waits = context.ui.progress("Waits for the driver to begin");
    let (clock, mut since) = (Clock::start(), Clock::start());
    let mut last = Obstacle::passing("nothing is known of it");
    loop {
        let now = match look(placed, made) {
            Ok(Ok(fate)) => return Ok(fate),
            Ok(Err(obstacle)) => obstacle,
            // The cluster may answer again.
            Err(failure) if failure.kind() == Kind::Unreachable => Obstacle::passing(failure.with_causes()),
            Err(failure) => return Err(failure),
        };
        if now.what != last.what {
            (last, since) = (now, Clock::start());
        }
        if clock.elapsed() > LIMIT || (!last.passes && since.elapsed() > PATIENCE) {
            let message = format!("the driver does not begin: {}", clean(&last.what));
            return Err(Failure::new(Kind::NoEvidence, message));
        }
        if let Some(kind) = interrupt.asked() {
            return Err(Failure::new(kind, "asked to end before the driver had begun"));
        }
        std::thread::sleep(LOOK);
    }
}

fn look(placed: &Placed, made: &Made<'_>) -> Result<Result<Fate, Obstacle>, Failure> {
    let (cluster, target) = (&placed.cluster, &placed.target);
    if let Some(mark) = target.under_way(cluster)? {
        let (release, driver) = (mark.id, mark.driver);
        if driver.starts_with(&format!("{ACTOR}@")) {
            return Ok(Ok(Fate::Drives { release, driver }));
        }
        let message = format!("the release {release}, which {driver} drives, was quicker");
        return Err(Failure::new(Kind::Conflict, message));
    }
    let (namespace, name) = (&target.namespace, target.lease());
    let jobs = format!("/apis/batch/v1/namespaces/{namespace}/jobs/{name}");
    let job = cluster
        .get(&jobs)
        .map_err(|refusal| refusal.failed(format!("cannot read the Job {namespace}/{name}")))?;
    let uid = made.job()["metadata"]["uid"].as_str().unwrap_or_default();
    let all = format!("/api/v1/namespaces/{namespace}/pods");
    let pods = cluster
        .get(&format!(
            "{all}?labelSelector=batch.kubernetes.io%2Fcontroller-uid%3D{uid}"
        ))
        .map_err(|refusal| refusal.failed(format!("cannot list the pods of the Job {namespace}/{name}")))?;
    let pod = newest(&pods);
    if let Some((well, message)) = over(&job) {
        let Some((pod, code)) = pod.and_then(|pod| Some((pod, code(pod)?))) else {
            let message = if well { "it has no pod to tell of" } else { &message };
            return Err(Failure::new(
                Kind::NoEvidence,
                format!("the Job ended: {}", clean(message)),
            ));
        };
        let pod = pod["metadata"]["name"].as_str().unwrap_or_default();
        let log = cluster.text(&format!("{all}/{pod}/log?container={CONTAINER}&tailLines={WORDS}"));
        let words = log.unwrap_or_else(|refusal| format!("its log cannot be read: {refusal}"));
        return Ok(Ok(Fate::Ended { code, words }));
    }
    Ok(Err(match pod {
        Some(pod) => obstacle(pod),
        None => match refused(placed, &name) {
            Some(why) => Obstacle::lasting(why),
            None => Obstacle::passing("it has no pod yet"),
        },
    }))
}

fn newest(pods: &Value) -> Option<&Value> {
    let pods = pods["items"].as_array()?.iter();
    pods.max_by_key(|pod| pod["metadata"]["creationTimestamp"].as_str())
}

fn status(pod: &Value) -> &Value {
    &pod["status"]["containerStatuses"][0]
}

/// The exit code of its driver, if that ended.
fn code(pod: &Value) -> Option<u8> {
    let code = status(pod)["state"]["terminated"]["exitCode"].as_u64()?;
    Some(u8::try_from(code).unwrap_or(u8::MAX))
}

/// Why this pod's driver does not drive.
fn obstacle(pod: &Value) -> Obstacle {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    let mut unscheduled = conditions.filter(|c| c["type"] == "PodScheduled" && c["status"] == "False");
    if let Some(condition) = unscheduled.next() {
        // A node may come.
        return Obstacle::passing(told(condition));
    }
    if let Some(code) = code(pod) {
        return Obstacle::passing(format!("its pod ended with exit code {code}, and another one follows"));
    }
    let waiting = &status(pod)["state"]["waiting"];
    match waiting["reason"].as_str() {
        None | Some("ContainerCreating" | "PodInitializing") => Obstacle::passing("its pod starts"),
        Some(_) => Obstacle::lasting(told(waiting)),
    }
}

/// `ErrImagePull: no such image`. The image stands for the whole: what is said of it changes with each try.
fn told(state: &Value) -> String {
    let text = |key: &str| state[key].as_str().unwrap_or_default();
    match (text("reason"), text("message")) {
        (reason, "") => reason.to_owned(),
        (reason, message) => format!("{reason}: {message}"),
    }
}

/// Why the cluster makes no pod for it, if it says so.
fn refused(placed: &Placed, job: &str) -> Option<String> {
    let selector = format!("involvedObject.name%3D{job}%2Creason%3DFailedCreate");
    let path = format!(
        "/api/v1/namespaces/{}/events?fieldSelector={selector}",
        placed.target.namespace
    );
    let events = placed.cluster.get(&path).ok()?;
    let last = events["items"].as_array()?.last()?;
    Some(last["message"].as_str()?.to_owned())
}
