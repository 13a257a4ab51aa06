//! How a release is shown: its table, its events, its last word.

use schemars::JsonSchema;
use serde::Serialize;

use crate::canary::Cases;
use crate::canary::machine::{Outcome, Reason};
use crate::canary::summary::{MetricRow, Row, Summary};
use crate::config::units::Weight;
use crate::failure::Exit;
use crate::ui::{Page, clean, count};

/// The exit code of an outcome.
pub(super) const fn exit(outcome: Outcome) -> Exit {
    match outcome {
        Outcome::Promoted => Exit::Done,
        Outcome::RolledBack | Outcome::Aborted => Exit::No,
        Outcome::CouldNotTell => Exit::CouldNotTell,
        Outcome::Conflict => Exit::Conflict,
        Outcome::Stuck => Exit::Stuck,
        Outcome::Interrupted | Outcome::Held => Exit::Interrupted,
        Outcome::Terminated => Exit::Terminated,
    }
}

/// The exit that has this code.
pub(super) const fn exit_of_code(code: u8) -> Exit {
    match code {
        0 => Exit::Done,
        1 => Exit::No,
        3 => Exit::Conflict,
        4 => Exit::Stuck,
        130 => Exit::Interrupted,
        143 => Exit::Terminated,
        _ => Exit::CouldNotTell,
    }
}

/// `PROMOTED`, in its paint.
pub(super) fn word(outcome: Outcome, page: &Page) -> String {
    match outcome {
        Outcome::Promoted => page.paint.good("PROMOTED"),
        Outcome::RolledBack => page.paint.bad("ROLLED BACK"),
        Outcome::CouldNotTell => page.paint.doubt("COULD NOT TELL"),
        Outcome::Conflict => page.paint.bad("CONFLICT"),
        Outcome::Stuck => page.paint.bad("STUCK"),
        Outcome::Interrupted | Outcome::Terminated => page.paint.doubt("STOPPED"),
        Outcome::Aborted => page.paint.bad("ABORTED"),
        Outcome::Held => page.paint.doubt("HELD"),
    }
}

/// Why, in a sentence without its full stop.
pub(super) fn why(outcome: Outcome, summary: &Summary) -> String {
    let row = summary.rows.last();
    let rates = row.map_or(String::new(), |row| {
        let of = |failed, requests| format!("{} of {}", count(failed), count(requests));
        let (canary, stable) = (
            of(row.canary_failed, row.canary_requests),
            of(row.stable_failed, row.stable_requests),
        );
        if row.asked == Weight::ALL {
            format!("the canary failed {canary} requests, stable had none to compare with")
        } else {
            format!("the canary failed {canary} requests, stable {stable}")
        }
    });
    match (outcome, summary.why.as_ref()) {
        (Outcome::Promoted, _) => match summary.promoted_by.as_deref() {
            None => "every step was shown to be safe".into(),
            Some(by) => format!(
                "{} took a step as done; what was left of the others was shown to be safe",
                clean(by)
            ),
        },
        (Outcome::Conflict, _) => {
            let others = summary.others.as_deref().map(clean);
            let others = others.unwrap_or_else(|| "somebody else moved traffic".into());
            format!("{others}; nothing was overwritten")
        }
        (Outcome::Stuck, _) => "traffic could not be put back, or not be seen to be".into(),
        (Outcome::Aborted, _) => {
            let by = summary.by.as_deref().map(clean);
            format!("{} asked to go back", by.unwrap_or_else(|| "somebody".into()))
        }
        (Outcome::Held, _) => "asked to stop and to leave traffic where it is".into(),
        (Outcome::Interrupted, _) => "you asked to stop".into(),
        (Outcome::Terminated, _) => "the process was asked to end".into(),
        (_, Some(Reason::Harm)) if summary.worst.is_some() => by_metric(summary),
        (_, Some(Reason::Harm)) if slow(row) => format!("the canary answers more slowly than stable; {rates}"),
        (_, Some(Reason::Split)) => "requests are not split as asked".into(),
        (_, Some(Reason::NotInForce)) => "the weight that was written did not come into force".into(),
        (_, Some(Reason::Lost)) => {
            let why = summary.lost.as_deref().map(clean).unwrap_or_default();
            format!("traffic could not be moved: {why}")
        }
        (_, Some(Reason::Unready)) => "the canary is not ready for traffic".into(),
        (_, Some(Reason::Patience)) if row.is_some_and(|row| row.needed == Some(0) && !unproven(row).is_empty()) => {
            let unproven = row.map(unproven).unwrap_or_default();
            format!("no proof in time, {}", unproven.join("; "))
        }
        (_, Some(Reason::Patience)) => match row.and_then(|r| r.needed) {
            Some(0) => {
                "no proof in time that it is as fast as stable, on a machine that may have been too busy to tell".into()
            }
            Some(needed) => format!(
                "no proof in time, {} more requests of the canary were needed",
                count(needed)
            ),
            None => "no proof in time; at this rate of failures no number of requests would do".into(),
        },
        _ => rates,
    }
}

/// What the metric that showed the canary to be worse counted.
fn by_metric(summary: &Summary) -> String {
    let name = summary.worst.as_deref().unwrap_or_default();
    let row = summary.rows.last().and_then(|row| row.metrics.get(name));
    let MetricRow { canary, stable, .. } = row.cloned().unwrap_or_default();
    format!(
        "by the metric `{}` the canary was bad in {}, stable in {}",
        clean(name),
        cases(canary),
        cases(stable)
    )
}

/// What each metric lacks that has not shown this step to be safe, in words.
pub(super) fn unproven(row: &Row) -> Vec<String> {
    if row.asked == Weight::ALL {
        return Vec::new();
    }
    let lacking = row.metrics.iter().filter(|(_, metric)| metric.needed != Some(0));
    let words = lacking.map(|(name, metric)| {
        let name = clean(name);
        match (metric, metric.needed) {
            (MetricRow { stable: None, .. }, _) => format!("there is no counter of stable by the metric `{name}`"),
            (MetricRow { canary: None, .. }, _) => format!("there is no counter of the canary by the metric `{name}`"),
            (_, Some(needed)) => format!(
                "{} more cases of the canary needed by the metric `{name}`",
                count(needed)
            ),
            (_, None) => format!("by the metric `{name}` no number of cases would do, as often as they are bad"),
        }
    });
    words.collect()
}

/// Whether the canary's failures alone do not say why.
fn slow(row: Option<&Row>) -> bool {
    row.is_some_and(|row| row.canary_failed == 0)
}

/// `1 proxy`, `3 proxies`.
pub(super) fn proxies(number: usize) -> String {
    if number == 1 {
        "1 proxy".into()
    } else {
        format!("{} proxies", count(number as u64))
    }
}

/// The head of the table.
pub(super) fn head() -> Vec<String> {
    [
        "asked",
        "measured",
        "canary failed",
        "stable failed",
        "harm",
        "safe",
        "still needed",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// One step as a row of the table.
pub(super) fn cells(row: &Row) -> Vec<String> {
    let of = |failed: u64, requests: u64| format!("{} of {}", count(failed), count(requests));
    vec![
        format!("{:>5}", row.asked.to_string()),
        row.measured
            .map_or_else(|| "-".to_owned(), |m| format!("{:.1} %", m * 100.0)),
        of(row.canary_failed, row.canary_requests),
        of(row.stable_failed, row.stable_requests),
        strength(row.harm),
        strength(row.safe),
        row.needed.map_or_else(
            || "no number".to_owned(),
            |n| if n == 0 { "-".to_owned() } else { count(n) },
        ),
    ]
}

fn cases(cases: Option<Cases>) -> String {
    cases.map_or_else(
        || "no data".to_owned(),
        |Cases { total, bad }| format!("{} of {}", count(bad), count(total)),
    )
}

/// The table of the metrics of the user's own, its head first; nothing where there are none.
pub(super) fn metrics(steps: &[Row]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for step in steps {
        for (name, metric) in &step.metrics {
            // Where stable has no traffic there is nothing to compare with, and nothing to show.
            let needed = metric.needed.filter(|_| step.asked != Weight::ALL);
            rows.push(vec![
                format!("{:>5}", step.asked.to_string()),
                clean(name),
                cases(metric.canary),
                cases(metric.stable),
                strength(metric.harm),
                strength(metric.safe),
                match needed {
                    Some(0) => "-".to_owned(),
                    Some(needed) => count(needed),
                    None if step.asked == Weight::ALL => "-".to_owned(),
                    None => "no number".to_owned(),
                },
            ]);
        }
    }
    if !rows.is_empty() {
        let head = [
            "asked",
            "metric",
            "canary bad",
            "stable bad",
            "harm",
            "safe",
            "still needed",
        ];
        rows.insert(0, head.map(str::to_owned).to_vec());
    }
    rows
}

/// Shows it, below the table of the steps.
pub(super) fn show_metrics(steps: &[Row], page: &mut Page) {
    let rows = metrics(steps);
    if !rows.is_empty() {
        page.table(2, &rows);
    }
}

/// The same of one step, in a line of a log.
pub(super) fn line_of_metrics(step: &Row) -> String {
    let told = step.metrics.iter().map(|(name, metric)| {
        let (canary, stable) = (cases(metric.canary), cases(metric.stable));
        format!(", {} bad {canary}, stable's {stable}", clean(name))
    });
    told.collect()
}

/// Evidence as a number a person compares with 1/alpha.
pub(super) fn strength(evidence: f64) -> String {
    if evidence >= 1e6 {
        "> 1 000 000".into()
    } else if evidence >= 10.0 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "10 to a million")]
        let whole = evidence.round() as u64;
        count(whole)
    } else {
        format!("{evidence:.1}")
    }
}

/// `msctl.canary.report/v1`: how a release ended.
#[derive(Serialize, JsonSchema)]
pub(in crate::commands) struct ReleaseReport {
    /// What it is called by.
    pub(super) id: String,
    /// The service.
    pub(super) service: String,
    /// What kind of release it was, and over what.
    pub(super) setting: String,
    /// How it ended; none when its journal ends before it did.
    pub(super) outcome: Option<Outcome>,
    /// The weight in force at the end, per mille, read back; none where it was not read.
    pub(super) weight: Option<Weight>,
    /// How long it took, in milliseconds.
    pub(super) took_ms: u64,
    /// The evidence that rolls back, and the proof that is enough: 1/alpha.
    pub(super) threshold: f64,
    /// Its steps, as they went.
    pub(super) steps: Vec<Row>,
    /// Requests that failed at the canary.
    pub(super) harmed: u64,
    /// Its journal.
    pub(super) journal: String,
    /// The metric of msctl.yaml that showed the canary to be worse, where one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) worst: Option<String>,
    /// Decisions that came out the same when they were computed again; `explain` alone has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) recomputed: Option<usize>,
}
