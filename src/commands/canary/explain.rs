//! `msctl canary explain`: a release read from its journal, every decision recomputed.

use super::herald::asks;
use super::show::{ReleaseReport, cells, head, show_metrics, strength, why, word};
use crate::canary::journal;
use crate::canary::machine::{Decision, Effect, Input, Reason};
use crate::canary::replay::{Replay, replay};
use crate::canary::summary::Summary;
use crate::commands::Context;
use crate::failure::{Exit, Failure};
use crate::ui::{Page, Report, clean, count};

/// The arguments of `msctl canary explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  msctl canary explain                 the newest release of this service
  msctl canary explain 7f3a            the release with this id
  msctl canary explain journal.jsonl   the release in this file

Exit codes: 0 every decision recomputes, 1 one does not, 2 could not tell")]
pub struct Args {
    /// The release: its id, the beginning of it, or its journal (default: the newest)
    #[arg(value_name = "ID|FILE")]
    release: Option<String>,
}

/// Reads, recomputes, shows.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let path = journal::find(context.directory(), args.release.as_deref())?;
    let bytes = std::fs::read(&path).map_err(|e| Failure::io("read", &path, e))?;
    let replay = replay(&path.display().to_string(), &bytes)?;
    let explained = Explained::new(replay, path.display().to_string());
    let exit = if explained.replay.mismatch.is_some() {
        Exit::No
    } else {
        Exit::Done
    };
    context.ui.report(&explained);
    Ok(exit)
}

struct Explained {
    replay: Replay,
    summary: Summary,
    report: ReleaseReport,
}

impl serde::Serialize for Explained {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.report.serialize(serializer)
    }
}

impl Explained {
    fn new(replay: Replay, journal: String) -> Self {
        let summary = Summary::of(&replay.entries);
        let header = &replay.header;
        let report = ReleaseReport {
            id: header.id.clone(),
            service: header.service.clone(),
            setting: header.setting.clone(),
            outcome: replay.outcome,
            weight: summary.weight,
            took_ms: replay.entries.last().map_or(0, |e| e.input.at()),
            threshold: 1.0 / header.plan.judge.alpha,
            steps: summary.rows.clone(),
            harmed: summary.harmed(),
            journal,
            worst: summary.worst.clone(),
            recomputed: Some(replay.entries.len()),
        };
        Self {
            replay,
            summary,
            report,
        }
    }
}

impl Report for Explained {
    const SCHEMA: &'static str = "msctl.canary.report/v1";

    fn human(&self, page: &mut Page) {
        let Self {
            replay,
            summary,
            report,
        } = self;
        page.line(format!(
            "{} {}, {}, began {}",
            clean(&report.service),
            clean(&report.id),
            clean(&report.setting),
            clean(&replay.header.started)
        ));
        let mut rows = vec![head()];
        rows.extend(report.steps.iter().map(cells));
        page.table(2, &rows);
        show_metrics(&report.steps, page);
        page.line(format!(
            "  harm rolls back at {0}, safe is enough at {0}",
            strength(report.threshold)
        ));
        page.line("Decisions:");
        let mut last = None;
        for entry in &replay.entries {
            if last != Some(&entry.decision.reason) || !entry.decision.effects.is_empty() {
                page.line(format!(
                    "  {:>8.1} s  {}{}",
                    seconds(entry.input.at()),
                    decided(&entry.decision),
                    who(&entry.input)
                ));
            }
            last = Some(&entry.decision.reason);
        }
        match replay.outcome {
            Some(outcome) => page.line(format!("{}: {}.", word(outcome, page), why(outcome, summary))),
            None => page.line(format!(
                "{} The journal ends before the release did; the last weight asked for is {}.",
                page.paint.doubt("UNFINISHED."),
                summary.asked
            )),
        }
        if replay.cut {
            page.line("  Its last line was cut off and is left out, as when the writer was killed.");
        }
        page.line(match &replay.mismatch {
            None => format!(
                "{} decisions recomputed, every one bit for bit.",
                count(replay.entries.len() as u64)
            ),
            Some(wrong) => format!(
                "{} line {} does not recompute: it says {}, it comes out as {}",
                page.paint.bad("DIFFERENT:"),
                wrong.line,
                clean(&wrong.written),
                wrong.recomputed
            ),
        });
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of a release")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

/// Who was behind it, where it was a person or another driver.
pub(super) fn who(input: &Input) -> String {
    match input {
        Input::Asked { ask, by, .. } => format!(": {} {}", clean(by), asks(*ask)),
        Input::Resumed { by, .. } => format!(": {}", clean(by)),
        _ => String::new(),
    }
}

/// Why something was decided, in a few words.
pub(super) const fn words(reason: &Reason) -> &'static str {
    match reason {
        Reason::Begin => "begins",
        Reason::Settling => "waits for the weight to come into force",
        Reason::Settled => "weight in force, counting begins",
        Reason::Holding => "watches",
        Reason::Unproven => "waits for proof",
        Reason::Doubt => "waits: the canary may be worse",
        Reason::Blind => "no counters: waits",
        Reason::Blurred => "latencies cannot be judged: waits",
        Reason::Standby => "judged by the proxies' counters alone: waits",
        Reason::Safe => "shown to be safe",
        Reason::Promoted => "a person takes the step as done",
        Reason::Harm => "the canary is worse",
        Reason::Split => "requests are not split as asked",
        Reason::Patience => "no proof in time",
        Reason::NotInForce => "the weight did not come into force",
        Reason::Lost => "the split cannot be read or written",
        Reason::Unready => "the canary is not ready for traffic",
        Reason::Conflict => "somebody else moved traffic",
        Reason::Stopped => "asked to stop",
        Reason::Asked => "was asked something",
        Reason::Aborted => "asked to go back",
        Reason::Paused => "the step is done; asked to wait",
        Reason::Frozen => "the step is done; a freeze is in force",
        Reason::Gate => "the step is done; waits for a person to promote it",
        Reason::Resumed => "another driver goes on",
        Reason::Returning => "waits for stable to have all traffic",
        Reason::Returned => "all traffic is stable's, read back",
        Reason::Over => "over",
    }
}

/// What was decided and on what, in one line.
pub(super) fn decided(decision: &Decision) -> String {
    let reason = words(&decision.reason);
    let effects: Vec<String> = decision
        .effects
        .iter()
        .map(|effect| match effect {
            Effect::Write(weight) => format!("; writes {weight}"),
            Effect::End(_) => "; ends".to_owned(),
        })
        .collect();
    let evidence = &decision.evidence;
    let by = match evidence.worst() {
        Some(metric) if decision.reason == Reason::Harm => format!(", by the metric `{metric}`"),
        _ => String::new(),
    };
    let (harm, safe) = (strength(evidence.harm.exp()), strength(evidence.safe.exp()));
    format!("{reason}{by} (harm {harm}, safe {safe}){}", effects.concat())
}
