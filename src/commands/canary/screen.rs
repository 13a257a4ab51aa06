//! A release as it is watched: what a person, a CI log or a machine sees while it goes on, and how it ended.

use std::path::Path;
use std::time::Duration;

use super::explain::{decided, who};
use super::show::{ReleaseReport, cells, head, line_of_metrics, show_metrics, strength, why, word};
use crate::canary::driver::End;
use crate::canary::journal::{Entry, Header};
use crate::canary::judge::Judge;
use crate::canary::machine::{Decision, Input, OnStop, Outcome, Reason};
use crate::canary::plan::Plan;
use crate::canary::summary::Summary;
use crate::commands::Context;
use crate::config::units::Weight;
use crate::ui::{Live, Output, Page, Report, clean, count, duration};

/// What a person, a CI log or a machine sees while it goes on.
pub(super) struct Screen<'a> {
    context: &'a Context,
    live: Live,
    summary: Summary,
    threshold: f64,
    plan: Plan,
    id: String,
}

/// `msctl.canary.event/v1`: one thing seen and decided.
#[derive(serde::Serialize, schemars::JsonSchema)]
pub(in crate::commands) struct Event<'a> {
    id: &'a str,
    input: &'a Input,
    decision: &'a Decision,
}

impl<'a> Screen<'a> {
    pub(super) fn new(context: &'a Context, header: &Header) -> Self {
        Self {
            live: context.ui.live(),
            context,
            summary: Summary::default(),
            threshold: 1.0 / header.plan.judge.alpha,
            plan: header.plan.clone(),
            id: header.id.clone(),
        }
        .announced(header)
    }

    /// Says what begins.
    fn announced(self, header: &Header) -> Self {
        let head = format!(
            "{} {}: {}, alpha {}",
            header.service, header.id, header.setting, header.plan.judge.alpha
        );
        if self.context.ui.output() != Output::Json {
            self.context.ui.data(&format!("{head}\n"));
        }
        self
    }

    /// How long it will take at so many requests a second, before it takes that long.
    pub(super) fn begin(&self, rate: f64, speed: u64) {
        let needed = Judge::new(self.plan.judge.clone()).needed(Weight::NONE).unwrap_or(0);
        let expected = Duration::from_millis(self.plan.expected(rate, needed));
        if speed > 1 && !self.context.ui.watching() {
            return;
        }
        let hint = if speed == 1 && expected > Duration::from_mins(2) {
            ", `--fast` seconds"
        } else {
            ""
        };
        self.context.ui.note(&format!(
            "A good canary takes about {}{hint}. Ctrl-C puts traffic back.",
            duration(expected)
        ));
    }

    /// With what another driver saw and decided before.
    pub(super) fn caught_up(mut self, entries: &[Entry]) -> Self {
        self.summary = Summary::of(entries);
        self
    }

    /// What it came to so far.
    pub(super) const fn summary(&self) -> &Summary {
        &self.summary
    }

    pub(super) fn see(&mut self, input: &Input, decision: &Decision) {
        let before = self.summary.rows.len();
        self.summary.add(input, decision);
        match self.context.ui.output() {
            Output::Json => {
                let event = Event {
                    id: &self.id,
                    input,
                    decision,
                };
                self.context.ui.document("msctl.canary.event/v1", &event);
            }
            Output::Ci
                if !decision.effects.is_empty()
                    || self.summary.rows.len() > before
                    || decision.reason == Reason::Asked =>
            {
                self.context.ui.data(&format!("{}\n", self.line(input, decision)));
            }
            Output::Ci => {}
            Output::Human => self.draw(decision),
        }
    }

    /// One event as a line of a log.
    fn line(&self, input: &Input, decision: &Decision) -> String {
        let seconds = Duration::from_millis(input.at());
        let row = self.summary.rows.last().map_or(String::new(), |row| {
            let cells = cells(row);
            format!(
                "  measured {}, canary failed {}, stable failed {}{}",
                cells[1],
                cells[2],
                cells[3],
                line_of_metrics(row)
            )
        });
        format!(
            "[{:>6.1} s] {}: {}{}{row}",
            seconds.as_secs_f64(),
            decision.asked,
            decided(decision),
            who(input)
        )
    }

    fn draw(&mut self, decision: &Decision) {
        let mut page = self.context.ui.page();
        let mut rows = vec![head()];
        rows.extend(self.summary.rows.iter().map(cells));
        let to_come = self.plan.steps.len().saturating_sub(self.summary.rows.len());
        rows.extend(
            self.plan
                .steps
                .iter()
                .rev()
                .take(to_come)
                .rev()
                .map(|w| vec![format!("{:>5}", w.to_string())]),
        );
        page.table(2, &rows);
        show_metrics(&self.summary.rows, &mut page);
        page.line(format!("  now: {}", decided(decision)));
        page.line(page.paint.faint(&format!(
            "  harm rolls back at {0}, safe is enough at {0} · Ctrl-C {1}",
            strength(self.threshold),
            match self.plan.on_stop {
                OnStop::Rollback => "puts traffic back",
                OnStop::Hold => "leaves traffic where it is",
            }
        )));
        self.live.show(page);
    }

    pub(super) fn report(self, header: &Header, end: End, journal: &Path) -> Released {
        let report = ReleaseReport {
            id: header.id.clone(),
            service: header.service.clone(),
            setting: header.setting.clone(),
            outcome: Some(end.outcome),
            weight: end.weight,
            took_ms: u64::try_from(end.took.as_millis()).unwrap_or(u64::MAX),
            threshold: self.threshold,
            steps: self.summary.rows.clone(),
            harmed: self.summary.harmed(),
            journal: journal.display().to_string(),
            worst: self.summary.worst.clone(),
            recomputed: None,
        };
        Released {
            explain: self.context.typed(&format!("canary explain {}", report.id)),
            report,
            end,
            summary: self.summary,
        }
    }
}

/// A release that ended.
pub(super) struct Released {
    report: ReleaseReport,
    pub(super) end: End,
    summary: Summary,
    /// What tells why, as it is typed.
    explain: String,
}

impl serde::Serialize for Released {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.report.serialize(serializer)
    }
}

impl Report for Released {
    const SCHEMA: &'static str = "msctl.canary.report/v1";

    fn human(&self, page: &mut Page) {
        let mut rows = vec![head()];
        rows.extend(self.report.steps.iter().map(cells));
        page.table(2, &rows);
        show_metrics(&self.report.steps, page);
        self.ci(page);
    }

    /// The steps stand in the log already.
    fn ci(&self, page: &mut Page) {
        let Self {
            report, end, summary, ..
        } = self;
        let at = report.steps.last().filter(|_| end.outcome != Outcome::Promoted);
        let at = at.map_or(String::new(), |row| format!(" at {}", row.asked));
        let took = duration(end.took);
        page.line(format!(
            "{}{at} after {took}: {}.",
            word(end.outcome, page),
            why(end.outcome, summary)
        ));
        let read_back = match end.weight {
            Some(Weight::NONE) => "Traffic is 100 % stable, read back.".to_owned(),
            Some(weight) => format!("Traffic is {weight} canary, read back."),
            None => "Where traffic goes is not known.".to_owned(),
        };
        page.line(format!("  {} requests harmed. {read_back}", count(report.harmed)));
        page.line(format!("  why: {}", clean(&self.explain)));
    }
}
