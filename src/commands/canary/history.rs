//! `msctl canary history`: the releases of this service, newest first.

use std::path::Path;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::show::word;
use crate::canary::history::{Past, history};
use crate::canary::machine::Outcome;
use crate::canary::replay::Replay;
use crate::canary::summary::Summary;
use crate::commands::Context;
use crate::config::units::Weight;
use crate::failure::{Exit, Failure};
use crate::ui::{Page, Report, clean, count, duration};

/// The arguments of `msctl canary history`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  msctl canary history              the newest 20
  msctl canary history --limit 1    the newest
  msctl canary history --output json | jq '.releases[] | select(.outcome == \"rolled-back\") | .id'

Exit codes: 0 whatever the releases came to, 2 could not tell")]
pub struct Args {
    /// So many at the most, the newest first
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

/// Reads the journals, and lists what they came to.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let (past, total) = history(context.directory(), limit)?;
    context.ui.report(&History {
        releases: past.iter().map(PastRelease::new).collect(),
        total,
        next: context.typed("canary rehearse --fast"),
        explain: context.typed("canary explain"),
        more: context.typed(&format!("canary history --limit {total}")),
    });
    Ok(Exit::Done)
}

/// `msctl.canary.history/v1`: the releases of a service.
#[derive(Serialize, JsonSchema)]
pub(in crate::commands) struct History {
    /// The newest first, as many as were asked for.
    releases: Vec<PastRelease>,
    /// How many journals there are.
    total: usize,
    #[serde(skip)]
    next: String,
    #[serde(skip)]
    explain: String,
    #[serde(skip)]
    more: String,
}

/// One of them; of a journal that cannot be read, `id`, `journal` and `problem` alone are known.
#[derive(Serialize, JsonSchema)]
struct PastRelease {
    /// What `explain` and `report` call it by.
    id: String,
    /// Its journal.
    journal: String,
    #[serde(flatten)]
    release: Option<Told>,
    /// Why the journal cannot be read, or is not as it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// What a journal says.
#[derive(Serialize, JsonSchema)]
struct Told {
    /// The service.
    service: String,
    /// What kind of release it was, and over what.
    setting: String,
    /// When it began, RFC 3339.
    started: String,
    /// How it ended; none when its journal ends before it did.
    outcome: Option<Outcome>,
    /// The weight that was read last, per mille; none where it was not read.
    weight: Option<Weight>,
    /// How long it took, in milliseconds.
    took_ms: u64,
    /// Requests that failed at the canary.
    harmed: u64,
}

impl PastRelease {
    fn new(past: &Past) -> Self {
        let (release, problem) = match &past.release {
            Ok(replay) => {
                let problem = replay.mismatch.as_ref();
                let problem = problem.map(|wrong| format!("line {} does not recompute", wrong.line));
                (Some(Told::new(replay)), problem)
            }
            Err(failure) => (None, Some(failure.with_causes())),
        };
        Self {
            id: id(&past.journal),
            journal: past.journal.display().to_string(),
            release,
            problem,
        }
    }
}

/// What `canary explain` finds it by: the name of its file.
fn id(journal: &Path) -> String {
    journal.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

impl Told {
    fn new(replay: &Replay) -> Self {
        let summary = Summary::of(&replay.entries);
        let header = &replay.header;
        Self {
            service: header.service.clone(),
            setting: header.setting.clone(),
            started: header.started.clone(),
            outcome: replay.outcome,
            weight: summary.weight,
            took_ms: replay.entries.last().map_or(0, |e| e.input.at()),
            harmed: summary.harmed(),
        }
    }

    /// To the minute; the list is about releases of days.
    fn began(&self) -> String {
        let began = self.started.parse::<jiff::Timestamp>();
        began.map_or_else(
            |_| self.started.clone(),
            |time| time.strftime("%Y-%m-%d %H:%M").to_string(),
        )
    }

    fn weight(&self) -> String {
        self.weight.map_or_else(|| "-".to_owned(), |weight| weight.to_string())
    }

    fn took(&self) -> String {
        duration(Duration::from_millis(self.took_ms))
    }
}

/// What of the setting fits on the line, of which the other columns take some seventy.
fn cut(setting: &str, width: usize) -> String {
    let room = width.saturating_sub(68).max(12);
    if setting.chars().count() <= room {
        return setting.to_owned();
    }
    let begun: String = setting.chars().take(room - 1).collect();
    format!("{}…", begun.trim_end())
}

fn ended(release: &Told, page: &Page) -> String {
    release
        .outcome
        .map_or_else(|| page.paint.doubt("UNFINISHED"), |outcome| word(outcome, page))
}

impl Report for History {
    const SCHEMA: &'static str = "msctl.canary.history/v1";

    fn human(&self, page: &mut Page) {
        if self.releases.is_empty() {
            return self.none(page);
        }
        let head = [
            "release",
            "began (UTC)",
            "outcome",
            "weight",
            "took",
            "harmed",
            "setting",
        ];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for past in &self.releases {
            let Some(release) = &past.release else {
                rows.push(vec![clean(&past.id), "-".into(), page.paint.doubt("UNREADABLE")]);
                continue;
            };
            rows.push(vec![
                clean(&past.id),
                clean(&release.began()),
                ended(release, page),
                release.weight(),
                release.took(),
                count(release.harmed),
                cut(&clean(&release.setting), page.paint.width()),
            ]);
        }
        page.table(0, &rows);
        for past in &self.releases {
            if let Some(problem) = &past.problem {
                page.line(format!("{}: {}", clean(&past.id), clean(problem)));
            }
        }
        self.rest(page);
        let first = self.releases.first().map_or("", |past| &past.id);
        page.line(format!("why: {} {}", clean(&self.explain), clean(first)));
    }

    /// A line for each.
    fn ci(&self, page: &mut Page) {
        if self.releases.is_empty() {
            return self.none(page);
        }
        for past in &self.releases {
            let line = match &past.release {
                None => page.paint.doubt("UNREADABLE"),
                Some(release) => format!(
                    "[{}] {}: {}, weight {}, {}, {} harmed, {}",
                    release.started,
                    release.service,
                    ended(release, page),
                    release.weight(),
                    release.took(),
                    count(release.harmed),
                    release.setting,
                ),
            };
            let problem = past.problem.as_ref().map_or(String::new(), |why| format!(": {why}"));
            page.line(clean(&format!("{} {line}{problem}", past.id)));
        }
        self.rest(page);
    }
}

impl History {
    fn none(&self, page: &mut Page) {
        page.line("No release of this service has a journal yet.");
        page.line(format!("  next: {}", clean(&self.next)));
    }

    fn rest(&self, page: &mut Page) {
        if self.total > self.releases.len() {
            page.line(format!(
                "{} of {} releases; all: {}",
                self.releases.len(),
                self.total,
                clean(&self.more)
            ));
        }
    }
}
