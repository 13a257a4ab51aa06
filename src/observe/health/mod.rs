//! Whether a service is healthy, from what it answered: the words and the rules.
//!
//! Pure, but for `ask.rs`. A rule never takes silence for health: what could not be asked is listed as unknown, and a
//! verdict is given only where liveness and readiness both said something.

pub mod ask;
mod body;
mod red;

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

pub use body::Check;
pub use red::Red;

use crate::remote::http::{Answer, NoAnswer};

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Alive, ready, started, and no check of its own fails.
    Healthy,
    /// Alive, and something is wrong.
    Degraded,
    /// Not alive.
    Down,
    /// There is no answer that says so or otherwise.
    CouldNotTell,
}

/// Why one could not tell, as `msctl.failure/v1` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Doubt {
    /// Nothing answers at the address.
    Unreachable,
    /// It answers "not allowed".
    Denied,
    /// It answers, and not to these questions.
    NoEvidence,
}

/// What a path is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Dimension {
    /// `/livez`: would a restart help?
    Liveness,
    /// `/readyz`: can it serve now?
    Readiness,
    /// `/startupz`: has it come up?
    Startup,
}

impl Dimension {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Liveness, Self::Readiness, Self::Startup];

    /// The path that is asked.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Liveness => "/livez",
            Self::Readiness => "/readyz",
            Self::Startup => "/startupz",
        }
    }

    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Liveness => "liveness",
            Self::Readiness => "readiness",
            Self::Startup => "startup",
        }
    }
}

/// What one path says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Yes.
    Ok,
    /// No.
    Failing,
    /// Nothing that is an answer.
    Unknown,
}

/// One path, asked.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Probe {
    /// What it was asked for.
    pub dimension: Dimension,
    /// The path.
    pub path: &'static str,
    /// What it says.
    pub state: State,
    /// The HTTP status, if it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How long the answer took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<f64>,
    /// In words, where it is not ok.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The service's own checks, where its answer lists them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    #[serde(skip)]
    doubt: Option<Doubt>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Cause {
    /// What it was seen by.
    pub dimension: Dimension,
    /// What is wrong, in words.
    pub what: String,
    /// The checks of its own that fail, with their reasons.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<String>,
}

/// Something that is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Unknown {
    /// What.
    pub what: String,
    /// Why not.
    pub why: String,
}

/// `msctl.health.report/v1`: whether a service is healthy, and why not.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Health {
    /// The service that was asked; a password in its URL is left out.
    pub target: String,
    /// The answer.
    pub verdict: Verdict,
    /// Where it could not be told: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Doubt>,
    /// The verdict in a few words.
    pub summary: String,
    /// What is wrong; symptoms of a cause are not causes.
    pub causes: Vec<Cause>,
    /// What each path said.
    pub probes: Vec<Probe>,
    /// Request rate, errors and duration, where the metrics were asked for and read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub red: Option<Red>,
    /// What is not known.
    pub unknown: Vec<Unknown>,
    /// What to type or change next.
    pub hints: Vec<String>,
}

/// What was asked and answered.
#[derive(Debug)]
pub struct Asked {
    /// The service, as it may be shown.
    pub target: String,
    /// In the order of [`Dimension::ALL`].
    pub probes: Vec<Result<Answer, NoAnswer>>,
    /// The metrics, if they were asked for.
    pub metrics: Option<Result<Answer, NoAnswer>>,
    /// What bounded each answer.
    pub deadline: Duration,
}

/// The verdict over what was answered.
pub fn judge(asked: &Asked) -> Health {
    let probes: Vec<Probe> = Dimension::ALL
        .into_iter()
        .zip(&asked.probes)
        .map(|(dimension, answer)| probe(dimension, answer, asked.deadline))
        .collect();
    let causes = causes(&probes);
    let (verdict, kind, summary) = verdict(&probes, &causes);
    let (red, lost_red) = match &asked.metrics {
        None => (None, None),
        Some(answer) => match red::read(answer, asked.deadline) {
            Ok(red) => (Some(red), None),
            Err(why) => (None, Some(why)),
        },
    };
    let mut unknown: Vec<Unknown> = probes.iter().filter_map(not_known).collect();
    unknown.extend(lost_red.map(|why| Unknown {
        what: "metrics".to_owned(),
        why,
    }));
    Health {
        target: asked.target.clone(),
        verdict,
        kind,
        summary,
        hints: hints(kind, &asked.target),
        causes,
        probes,
        red,
        unknown,
    }
}

fn not_known(probe: &Probe) -> Option<Unknown> {
    (probe.state == State::Unknown).then(|| Unknown {
        what: probe.dimension.word().to_owned(),
        why: probe.why.clone().unwrap_or_default(),
    })
}

/// What one answer says. As for the kubelet, 2xx is yes; a redirect elsewhere, "no such path" and "not allowed" say
/// nothing about the service, and everything else is no.
fn probe(dimension: Dimension, answer: &Result<Answer, NoAnswer>, deadline: Duration) -> Probe {
    let mut probe = Probe {
        dimension,
        path: dimension.path(),
        state: State::Unknown,
        status: None,
        duration_ms: None,
        why: None,
        checks: Vec::new(),
        doubt: None,
    };
    match answer {
        Ok(answer) => answered(&mut probe, answer),
        Err(NoAnswer::NoConnection(why)) => {
            probe.why = Some(why.clone());
            probe.doubt = Some(Doubt::Unreachable);
        }
        Err(NoAnswer::TimedOut) => {
            probe.state = State::Failing;
            let limit = deadline.as_secs_f64();
            probe.why = Some(format!("takes the request and gives no whole answer within {limit} s"));
        }
        Err(NoAnswer::Broken(why)) => {
            probe.why = Some(format!("the answer cannot be read: {why}"));
            probe.doubt = Some(Doubt::NoEvidence);
        }
    }
    probe
}

fn answered(probe: &mut Probe, answer: &Answer) {
    let status = answer.status;
    probe.status = Some(status);
    probe.duration_ms = Some((answer.took.as_secs_f64() * 1e6).round() / 1e3);
    let unknown = |probe: &mut Probe, doubt, why: String| {
        probe.doubt = Some(doubt);
        probe.why = Some(why);
    };
    match status {
        200..=299 => {
            probe.state = State::Ok;
            probe.checks = body::checks(&answer.body);
        }
        300..=399 => unknown(
            probe,
            Doubt::NoEvidence,
            format!("answers {status}, a redirect elsewhere"),
        ),
        401 | 403 | 407 => unknown(probe, Doubt::Denied, format!("answers {status}, not allowed")),
        404 | 405 | 501 => unknown(probe, Doubt::NoEvidence, format!("answers {status}, no such path")),
        _ => {
            probe.state = State::Failing;
            probe.checks = body::checks(&answer.body);
            // A check that fails says it better.
            let named = probe.checks.iter().any(|check| check.fails);
            let cause = body::cause(&answer.body).filter(|_| !named);
            probe.why = Some(cause.map_or(format!("answers {status}"), |cause| {
                format!("answers {status}: {cause}")
            }));
        }
    }
}

/// What is wrong. A service that is not alive is not ready either, and one that is starting is not ready yet: those are
/// symptoms, and are folded under their cause.
fn causes(probes: &[Probe]) -> Vec<Cause> {
    let failing = |dimension| {
        probes
            .iter()
            .find(|p| p.dimension == dimension && p.state == State::Failing)
    };
    let root = [Dimension::Liveness, Dimension::Startup, Dimension::Readiness]
        .into_iter()
        .find_map(failing);
    if let Some(probe) = root {
        return vec![Cause {
            dimension: probe.dimension,
            what: format!("{} {}", probe.path, probe.why.as_deref().unwrap_or("fails")),
            checks: probe.checks.iter().filter(|c| c.fails).map(Check::text).collect(),
        }];
    }
    // It says ready, and also that something it leans on is not well.
    let ready = probes.iter().find(|p| p.dimension == Dimension::Readiness);
    let ailing: Vec<&Check> = ready.into_iter().flat_map(|p| &p.checks).filter(|c| c.fails).collect();
    if ailing.is_empty() {
        return Vec::new();
    }
    vec![Cause {
        dimension: Dimension::Readiness,
        what: format!("{} answers ready, and lists what fails", Dimension::Readiness.path()),
        checks: ailing.into_iter().map(Check::text).collect(),
    }]
}

fn verdict(probes: &[Probe], causes: &[Cause]) -> (Verdict, Option<Doubt>, String) {
    let no = |verdict, summary: &str| (verdict, None, summary.to_owned());
    match causes.first().map(|cause| cause.dimension) {
        Some(Dimension::Liveness) => return no(Verdict::Down, "not alive"),
        Some(Dimension::Startup) => return no(Verdict::Degraded, "not started yet"),
        Some(Dimension::Readiness) if probes.iter().any(is_not_ready) => return no(Verdict::Degraded, "not ready"),
        Some(Dimension::Readiness) => return no(Verdict::Degraded, "ready, and not well"),
        None => (),
    }
    let lacking = |dimension| {
        probes
            .iter()
            .find(|p| p.dimension == dimension && p.state == State::Unknown)
    };
    let Some(probe) = lacking(Dimension::Liveness).or_else(|| lacking(Dimension::Readiness)) else {
        return no(Verdict::Healthy, "alive and ready");
    };
    let doubt = probe.doubt.unwrap_or(Doubt::NoEvidence);
    let summary = match doubt {
        Doubt::Unreachable if probes.iter().any(|p| p.status.is_some()) => "it does not always answer",
        Doubt::Unreachable => "nothing answers",
        Doubt::Denied => "not allowed to ask",
        Doubt::NoEvidence => "it does not say whether it is healthy",
    };
    (Verdict::CouldNotTell, Some(doubt), summary.to_owned())
}

fn is_not_ready(probe: &Probe) -> bool {
    probe.dimension == Dimension::Readiness && probe.state == State::Failing
}

fn hints(kind: Option<Doubt>, target: &str) -> Vec<String> {
    let hint = match kind {
        None => return Vec::new(),
        Some(Doubt::Unreachable) => {
            format!("is it running, and is this its port? `msctl health --url {target} --wait 30s` waits for it")
        }
        Some(Doubt::Denied) => "ask it where no password is needed, such as on the machine itself".to_owned(),
        Some(Doubt::NoEvidence) => {
            "the service must answer /livez and /readyz; what `msctl new` scaffolds does".to_owned()
        }
    };
    vec![hint]
}

#[cfg(test)]
mod tests {
    use super::*;

    const DB: &str = r#"{"status":"not-ready","checks":[{"name":"db","status":"failing","error":"refused"},{"name":"cache","status":"ok"}]}"#;

    /// `200`, `503 db`, `refused`, `late`, `broken`.
    fn answer(said: &str) -> Result<Answer, NoAnswer> {
        let (status, body) = said.split_once(' ').unwrap_or((said, ""));
        match status {
            "refused" => Err(NoAnswer::NoConnection("connection refused".to_owned())),
            "late" => Err(NoAnswer::TimedOut),
            "broken" => Err(NoAnswer::Broken("half".to_owned())),
            status => Ok(Answer {
                status: status.parse().expect("a status"),
                body: if body == "db" { DB } else { body }.into(),
                cut: false,
                took: Duration::from_millis(2),
            }),
        }
    }

    fn health(probes: [&str; 3]) -> Health {
        judge(&Asked {
            target: "http://x".to_owned(),
            probes: probes.map(answer).into(),
            metrics: None,
            deadline: Duration::from_secs(2),
        })
    }

    #[test]
    fn each_fault_has_its_verdict_and_each_look_alike_another() {
        use Verdict::{Degraded, Down, Healthy};
        for (probes, verdict, summary) in [
            (["200 ok", "200", "200"], Healthy, "alive and ready"),
            (["204", "200 {", "200"], Healthy, "alive and ready"),
            // A service without a startup path is as healthy as one with it.
            (["200", "200", "404"], Healthy, "alive and ready"),
            (["200", "503 db", "200"], Degraded, "not ready"),
            (["200", "400", "200"], Degraded, "not ready"),
            (["200", "late", "200"], Degraded, "not ready"),
            (["404", "503", "200"], Degraded, "not ready"),
            (["200", "200 db", "200"], Degraded, "ready, and not well"),
            (["200", "503", "503"], Degraded, "not started yet"),
            (["500", "503", "503"], Down, "not alive"),
            (["late", "refused", "refused"], Down, "not alive"),
        ] {
            let health = health(probes);
            assert_eq!((health.verdict, &*health.summary), (verdict, summary), "{probes:?}");
            assert_eq!((health.kind, health.hints.len()), (None, 0), "{probes:?}");
        }
    }

    #[test]
    fn silence_and_other_answers_are_neither_health_nor_the_lack_of_it() {
        use Doubt::{Denied, NoEvidence, Unreachable};
        for (probes, doubt) in [
            (["refused", "refused", "refused"], Unreachable),
            (["200", "refused", "200"], Unreachable),
            (["401", "403", "200"], Denied),
            (["200", "302", "200"], NoEvidence),
            (["200", "404", "200"], NoEvidence),
            (["404", "200", "200"], NoEvidence),
            (["200", "broken", "200"], NoEvidence),
        ] {
            let health = health(probes);
            assert_eq!(
                (health.verdict, health.kind),
                (Verdict::CouldNotTell, Some(doubt)),
                "{probes:?}"
            );
            assert_eq!((health.causes.len(), health.hints.len()), (0, 1), "{probes:?}");
        }
    }

    #[test]
    fn symptoms_are_folded_under_one_cause() {
        let down = health(["500", "503 db", "503"]);
        assert_eq!(down.causes.len(), 1);
        assert_eq!(down.causes[0].what, "/livez answers 500");
        let not_ready = health(["200", "503 db", "200"]);
        assert_eq!(not_ready.causes[0].what, "/readyz answers 503");
        assert_eq!(not_ready.causes[0].checks, ["`db` fails: refused"]);
    }

    #[test]
    fn what_is_not_known_is_listed() {
        let health = health(["200", "200", "404"]);
        let unknown = [Unknown {
            what: "startup".to_owned(),
            why: "answers 404, no such path".to_owned(),
        }];
        assert_eq!(health.unknown, unknown);
    }
}
