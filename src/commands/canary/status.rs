//! `msctl canary status`: where traffic is, and what the release that moves it is doing.

use schemars::JsonSchema;
use serde::Serialize;

use super::explain::words;
use super::herald::asks;
use super::place::{Place, Placed};
use super::show::{cells, head, proxies, show_metrics, unproven};
use crate::canary::mesh::{Asked, Holder, Lag, Mark, Progress, Target};
use crate::commands::Context;
use crate::config::units::Weight;
use crate::failure::{Exit, Failure};
use crate::ui::{Page, Report, clean, count};

/// The arguments of `msctl canary status`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  msctl canary status                    where traffic is, and who moves it
  msctl canary status --output json

Exit codes: 0 known, 1 a release is left standing by a driver that is gone, 2 could not tell")]
pub struct Args {
    #[command(flatten)]
    place: Place,
}

/// Says it once.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let mut placed = args.place.find(context)?;
    let standing = Standing::see(&mut placed)?;
    let exit = standing.exit();
    context.ui.report(&standing);
    Ok(exit)
}

/// `msctl.canary.status/v1`: where traffic is, and what the release that moves it is doing.
#[derive(Serialize, JsonSchema)]
pub(in crate::commands) struct Standing {
    /// The service.
    service: String,
    /// What splits its traffic.
    route: String,
    /// The canary's share that the route asks for, per mille; none where its routes do not agree.
    pub(super) weight: Option<Weight>,
    /// Why there is no such share.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// How many proxies show that share; none where not all do, or it cannot be seen.
    proxies: Option<usize>,
    /// Who does not, or why it cannot be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<String>,
    /// The canary's pods; none where they cannot be listed.
    pods: Option<Pods>,
    /// The release that is under way.
    pub(super) release: Option<Release>,
}

/// The canary's pods.
#[derive(Serialize, JsonSchema)]
struct Pods {
    /// How many are ready.
    ready: usize,
    /// How many there are.
    all: usize,
}

/// A release that is under way.
#[derive(Serialize, JsonSchema)]
pub(super) struct Release {
    /// What it is called by.
    pub(super) id: String,
    /// When it began, RFC 3339.
    started: String,
    /// Who drives it.
    driver: String,
    /// Whether that driver lives; none where its lease cannot be read.
    alive: Option<bool>,
    /// Whether its driver ended and left traffic where it is, as it was told to.
    held: bool,
    /// Its steps, the last one to 100 %, per mille.
    steps: Vec<Weight>,
    /// What somebody asked of it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    asked: Option<Word>,
    /// How it stood when its driver renewed its lease last.
    progress: Option<Progress>,
}

/// What somebody asked.
#[derive(Serialize, JsonSchema)]
struct Word {
    /// Who.
    by: String,
    /// What, in a few words.
    what: String,
}

/// Who has the lease of a release.
enum Driven {
    By(Holder),
    Nobody,
    /// It cannot be read.
    Unknown,
}

impl Standing {
    /// As it is now.
    pub(super) fn see(placed: &mut Placed) -> Result<Self, Failure> {
        let found = placed.target.whole(&placed.cluster)?;
        let (cluster, target) = (&placed.cluster, &placed.target);
        let (weight, problem) = match Target::asked(&found) {
            Ok(weight) => (Some(weight), None),
            Err(problem) => (None, Some(problem.to_string())),
        };
        let shown = weight.map(|weight| placed.proxies(&found).show(cluster, weight));
        let (proxies, lag) = match shown {
            Some(Ok(count)) => (Some(count), None),
            Some(Err(lag @ (Lag::Behind(_) | Lag::Unseen(_)))) => (None, Some(lag.to_string())),
            None => (None, None),
        };
        let release = Target::marked(&found)?.map(|mark| {
            let holder = target.driver(cluster);
            Release::of(
                mark,
                &match holder {
                    Ok(Some(holder)) => Driven::By(holder),
                    Ok(None) => Driven::Nobody,
                    Err(_) => Driven::Unknown,
                },
            )
        });
        Ok(Self {
            service: target.service.clone(),
            route: target.name(),
            weight,
            problem,
            proxies,
            lag,
            pods: target.ready(cluster).ok().map(|(ready, all)| Pods { ready, all }),
            release,
        })
    }

    /// A release that nobody drives is a finding.
    pub(super) fn exit(&self) -> Exit {
        match &self.release {
            Some(Release {
                alive: Some(false),
                held: false,
                ..
            }) => Exit::No,
            _ => Exit::Done,
        }
    }

    /// Without what to type next.
    pub(super) fn body(&self, page: &mut Page) {
        self.traffic(page);
        match &self.release {
            Some(release) => release.show(page),
            None => page.line("  no release is under way"),
        }
    }

    fn traffic(&self, page: &mut Page) {
        let share = match (self.weight, &self.problem) {
            (Some(Weight::NONE), _) => "all traffic is stable's".to_owned(),
            (Some(weight), _) => format!("the canary has {weight}"),
            (None, problem) => clean(problem.as_deref().unwrap_or_default()),
        };
        page.line(format!(
            "{}: {share}, by the {}",
            clean(&self.service),
            clean(&self.route)
        ));
        page.line(match (self.proxies, &self.lag) {
            (Some(0), _) => "  in force: no proxy has a route between the arms".to_owned(),
            (Some(number), _) => format!("  in force at {}", proxies(number)),
            (None, Some(lag)) => page.paint.doubt(&format!("  {}", clean(lag))),
            (None, None) => page.paint.doubt("  in force: could not tell"),
        });
        page.line(match &self.pods {
            Some(Pods { ready, all }) => format!("  canary: {ready} of {all} pods ready"),
            None => "  canary: its pods cannot be listed".into(),
        });
    }
}

impl Release {
    fn of(mark: Mark, holder: &Driven) -> Self {
        let asked = |Asked { ask, by }| Word { by, what: asks(ask) };
        Self {
            alive: match holder {
                Driven::Unknown => None,
                Driven::By(holder) => Some(holder.alive),
                Driven::Nobody => Some(false),
            },
            progress: match holder {
                Driven::By(holder) => holder.progress.as_deref().and_then(Progress::read),
                Driven::Unknown | Driven::Nobody => None,
            },
            id: mark.id,
            started: mark.started,
            driver: mark.driver,
            held: mark.held,
            steps: mark.plan.steps,
            asked: mark.asked.map(asked),
        }
    }

    fn show(&self, page: &mut Page) {
        let state = match self {
            Self { held: true, .. } => page.paint.doubt("left standing, as it was told to"),
            Self { alive: Some(true), .. } => "alive".into(),
            Self { alive: Some(false), .. } => page.paint.bad("GONE"),
            Self { alive: None, .. } => "its lease cannot be read".into(),
        };
        page.line(format!(
            "  release {}, began {}, driven by {}: {state}",
            clean(&self.id),
            clean(&self.started),
            clean(&self.driver)
        ));
        if let Some(Word { by, what }) = &self.asked {
            page.line(format!("  {} {what}", clean(by)));
        }
        let Some(progress) = &self.progress else { return };
        let mut rows = vec![head()];
        rows.extend(progress.steps.iter().map(cells));
        let done = progress.steps.len();
        rows.extend(
            self.steps
                .iter()
                .skip(done)
                .map(|w| vec![format!("{:>5}", w.to_string())]),
        );
        page.table(2, &rows);
        show_metrics(&progress.steps, page);
        let row = progress.steps.last();
        let mut lacks = row.map(unproven).unwrap_or_default();
        if let Some(needed) = row.and_then(|row| row.needed).filter(|needed| *needed > 0) {
            lacks.insert(0, format!("{} more requests of the canary needed", count(needed)));
        }
        let lacks: Vec<String> = lacks.iter().map(|what| format!(", {what}")).collect();
        page.line(format!("  now: {}{}", words(&progress.reason), lacks.concat()));
    }
}

impl Report for Standing {
    const SCHEMA: &'static str = "msctl.canary.status/v1";

    fn human(&self, page: &mut Page) {
        self.body(page);
        let Some(release) = &self.release else { return };
        let gone = release.held || release.alive == Some(false);
        page.line(if gone {
            "next:  msctl canary resume    goes on where it ended"
        } else {
            "next:  msctl canary watch"
        });
        page.line("       msctl canary abort     gives stable all the traffic");
    }
}
