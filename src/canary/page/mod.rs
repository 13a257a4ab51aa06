//! A release as one page of HTML, out of its journal: no script, nothing fetched. Pure: the same journal, the same bytes.

mod html;
mod plot;
mod series;

use html::Html;
use plot::{Line, Plot, Scale};
use series::{Series, Stretch, share};

use super::count::{Cases, EDGES};
use super::journal::Entry;
use super::judge::Judge;
use super::machine::{Decision, Input, Outcome, Reason};
use super::plan::Plan;
use super::replay::Replay;
use crate::config::units::{Span, Weight};

/// How each page begins, so that a file can be seen to be one.
const BEGINNING: &str = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
                         <meta name=\"generator\" content=\"msctl canary report\">\n";

/// What is refused to whatever a journal might smuggle in, were it ever to come through as markup.
const REST_OF_HEAD: &str = "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
    <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
    <link rel=\"icon\" href=\"data:,\">\n<title>";

/// The log has so many lines at the most, half of them from its beginning.
const LINES: usize = 1_000;

/// What the page says in words: those of the terminal.
pub struct Words<'a> {
    /// `ROLLED BACK`
    pub verdict: &'a str,
    /// After how long, why: the rest of the sentence.
    pub why: &'a str,
    /// Whom it hurt, and where traffic is.
    pub traffic: &'a str,
    /// The steps as a table, its head first.
    pub steps: &'a [Vec<String>],
    /// The metrics of the user's own as another; empty where there are none.
    pub metrics: &'a [Vec<String>],
    /// What was decided, in one line.
    pub decided: &'a dyn Fn(&Decision) -> String,
    /// Where the journal is.
    pub journal: &'a str,
    /// What recomputes it, as it is typed.
    pub explain: &'a str,
}

/// Whether a file is such a page.
pub fn is_page(bytes: &[u8]) -> bool {
    bytes.starts_with(BEGINNING.as_bytes())
}

/// The page.
pub fn render(replay: &Replay, words: &Words<'_>) -> String {
    let mut html = Html::default();
    let header = &replay.header;
    html.markup(BEGINNING).markup(REST_OF_HEAD);
    html.text(format!("{} {}: {}", header.service, header.id, words.verdict));
    html.markup("</title>\n<style>\n").markup(include_str!("style.css"));
    html.markup("</style>\n</head>\n<body>\n<main>\n");
    top(replay, words, &mut html);
    let series = Series::new(&replay.entries);
    plots(replay, &series, &mut html);
    steps(words, &mut html);
    log(replay, words, &mut html);
    numbers(replay, &series, &mut html);
    journal(replay, words, &mut html);
    html.markup("</main>\n</body>\n</html>\n");
    html.into_text()
}

/// The answer, and what it is an answer to.
fn top(replay: &Replay, words: &Words<'_>, html: &mut Html) {
    let header = &replay.header;
    html.markup("<h1><span class=\"").markup(tone(replay)).markup("\">");
    html.text(words.verdict)
        .markup("</span>")
        .text(words.why)
        .markup("</h1>\n<p>");
    html.text(words.traffic).markup("</p>\n");
    if replay.mismatch.is_some() {
        html.markup("<p class=\"bad\">The journal is not as msctl wrote it: ")
            .markup(
                "<a href=\"#journal\">a decision does not recompute</a>. What follows ends before that line.</p>\n",
            );
    }
    html.markup("<dl>\n");
    let plan = &header.plan;
    for (name, value) in [
        ("Service", header.service.clone()),
        ("Release", header.id.clone()),
        ("Setting", header.setting.clone()),
        ("Began", header.started.clone()),
        ("Steps", steps_of(plan)),
        ("Times", times_of(plan)),
        ("Judge", judge_of(plan)),
        ("Recomputed", recomputed(replay)),
    ] {
        html.markup("<dt>")
            .text(name)
            .markup("</dt><dd>")
            .text(value)
            .markup("</dd>\n");
    }
    html.markup("</dl>\n");
}

const fn tone(replay: &Replay) -> &'static str {
    match replay.outcome {
        Some(Outcome::Promoted) => "good",
        Some(Outcome::RolledBack | Outcome::Conflict | Outcome::Stuck) => "bad",
        _ => "doubt",
    }
}

fn steps_of(plan: &Plan) -> String {
    let steps: Vec<String> = plan.steps.iter().map(Weight::to_string).collect();
    steps.join(", ")
}

fn times_of(plan: &Plan) -> String {
    let [hold, interval, patience, settle] =
        [plan.hold, plan.interval, plan.patience, plan.settle].map(|ms| Span::millis(ms).to_string());
    format!(
        "each step is watched for {hold} at least, a look every {interval}; it gives up after {patience} without proof, \
         and after {settle} without the weight in force"
    )
}

fn judge_of(plan: &Plan) -> String {
    let j = &plan.judge;
    format!(
        "alpha {}: harm rolls back at {}, safe is enough at the same; the canary may fail {} times as often as stable",
        j.alpha,
        strength(-libm::log(j.alpha)),
        j.tolerance
    )
}

/// Whether the journal is as it was written.
fn recomputed(replay: &Replay) -> String {
    let decisions = replay.entries.len();
    match &replay.mismatch {
        None => format!("{decisions} decisions, every one bit for bit"),
        Some(wrong) => format!("{decisions} decisions; line {} does not recompute", wrong.line),
    }
}

fn plots(replay: &Replay, series: &Series, html: &mut Html) {
    html.markup("<h2>Over time</h2>\n");
    if series.stretches.is_empty() {
        html.markup("<p>Nothing was seen yet.</p>\n");
        return;
    }
    html.markup("<p class=\"quiet\">Upright lines: another weight was asked for. ")
        .markup("<a href=\"#numbers\">Every number of these plots</a> is in the table below.</p>\n");
    let x = Scale::time(series.end);
    let marks: Vec<f64> = series.asked.iter().map(|(at, _)| series::number(*at)).collect();
    let mut plots = vec![
        weights(series, &x, &marks),
        failures(series, &x, &marks),
        slowness(series, &x, &marks),
    ];
    let names: Vec<String> = replay.header.plan.metrics.names().collect();
    plots.extend(names.iter().map(|name| metric(series, name, &x, &marks)));
    plots.push(evidence(replay, series, &x, &marks));
    for plot in plots {
        plot.draw(html);
    }
}

/// A value of each stretch, at its end.
fn line(
    series: &Series,
    name: impl Into<String>,
    class: &'static str,
    value: impl Fn(&Stretch) -> Option<f64>,
) -> Line {
    Line {
        name: name.into(),
        class,
        points: series
            .stretches
            .iter()
            .map(|s| (series::number(s.to), value(s)))
            .collect(),
        steps: false,
    }
}

/// The largest value of these lines.
fn most(lines: &[Line]) -> f64 {
    let values = lines
        .iter()
        .flat_map(|line| line.points.iter().filter_map(|(_, value)| *value));
    values.fold(0.0, f64::max)
}

fn weights<'a>(series: &Series, x: &'a Scale, marks: &'a [f64]) -> Plot<'a> {
    let stairs = |name: &str, class, changes: &[(u64, Option<Weight>)]| {
        let last = changes.last().map(|(_, weight)| (series.end, *weight));
        let points = changes.iter().copied().chain(last);
        Line {
            name: name.to_owned(),
            class,
            points: points
                .map(|(at, w)| (series::number(at), w.map(Weight::share)))
                .collect(),
            steps: true,
        }
    };
    let lines = vec![
        stairs("asked for", "asked", &series.asked),
        stairs("in force, read back", "read", &series.read),
        line(series, "measured", "canary", |s| s.measured),
    ];
    Plot {
        title: "The canary's share of traffic".into(),
        about: "Percent of requests: what was asked for, what the router said was in force, and \
                what was counted since the step began."
            .into(),
        unit: "percent of requests",
        x,
        y: Scale::percent(most(&lines)),
        lines,
        limits: Vec::new(),
        marks,
    }
}

fn failures<'a>(series: &Series, x: &'a Scale, marks: &'a [f64]) -> Plot<'a> {
    let lines = vec![
        line(series, "canary", "canary", |s| {
            share(s.canary.failed, s.canary.requests)
        }),
        line(series, "stable", "stable", |s| {
            share(s.stable.failed, s.stable.requests)
        }),
    ];
    Plot {
        title: "Failures".into(),
        about: "Percent of an arm's requests that failed: 5xx, refused, broken off, or not answered in time.".into(),
        unit: "percent of requests",
        x,
        y: Scale::percent(most(&lines)),
        lines,
        limits: Vec::new(),
        marks,
    }
}

fn slowness<'a>(series: &Series, x: &'a Scale, marks: &'a [f64]) -> Plot<'a> {
    let edge = series.telling_edge();
    let lines = vec![
        line(series, "canary", "canary", |s| {
            share(s.canary.slower[edge], s.canary.requests)
        }),
        line(series, "stable", "stable", |s| {
            share(s.stable.slower[edge], s.stable.requests)
        }),
    ];
    Plot {
        title: "Slow answers".into(),
        about: format!(
            "Percent of an arm's requests that took longer than {} ms: of the latencies that are judged, the one where the arms differ most.",
            EDGES[edge]
        ),
        unit: "percent of requests",
        x,
        y: Scale::percent(most(&lines)),
        lines,
        limits: Vec::new(),
        marks,
    }
}

fn metric<'a>(series: &Series, name: &str, x: &'a Scale, marks: &'a [f64]) -> Plot<'a> {
    let bad = |cases: Option<Cases>| cases.and_then(|cases| share(cases.bad, cases.total));
    let lines = vec![
        line(series, "canary", "canary", |s| bad(s.of(name).canary)),
        line(series, "stable", "stable", |s| bad(s.of(name).stable)),
    ];
    Plot {
        title: format!("Metric {name}"),
        about: "Percent of an arm's cases that were bad, by the service's own counters.".into(),
        unit: "percent of cases",
        x,
        y: Scale::percent(most(&lines)),
        lines,
        limits: Vec::new(),
        marks,
    }
}

fn evidence<'a>(replay: &Replay, series: &Series, x: &'a Scale, marks: &'a [f64]) -> Plot<'a> {
    let plan = &replay.header.plan;
    let (decides, of_split) = (-libm::log(plan.judge.alpha), Judge::split_threshold(plan.steps.len()));
    let known = |log: f64| (!log.is_nan()).then_some(log);
    Plot {
        title: "Evidence".into(),
        about: "1 is none, on a scale of powers of ten. Harm at its line rolls back; safe at the same line is the proof that a step \
                needs; split at its own means that requests do not go where they should."
            .into(),
        unit: "strength of evidence",
        x,
        y: Scale::strength(decides.max(of_split) + 1.0),
        lines: vec![
            line(series, "harm", "harm", |s| known(s.evidence.harm)),
            line(series, "safe", "safe", |s| known(s.evidence.safe)),
            line(series, "split", "split", |s| known(s.evidence.split)),
        ],
        limits: vec![
            (decides, format!("{}: harm rolls back, safe is enough", strength(decides))),
            (of_split, format!("{}: split", strength(of_split))),
        ],
        marks,
    }
}

fn steps(words: &Words<'_>, html: &mut Html) {
    html.markup("<h2>Steps</h2>\n");
    let Some((head, rows)) = words.steps.split_first().filter(|(_, rows)| !rows.is_empty()) else {
        html.markup("<p>No weight came into force.</p>\n");
        return;
    };
    html.markup("<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Steps\"><table>\n");
    table(head, rows, html);
    if let Some((head, rows)) = words.metrics.split_first() {
        html.markup("<h2>Metrics</h2>\n")
            .markup("<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Metrics\"><table>\n");
        table(head, rows, html);
    }
}

fn table(head: &[String], rows: &[Vec<String>], html: &mut Html) {
    html.head(head);
    for row in rows {
        html.row(row.iter().map(|cell| cell.trim()));
    }
    html.markup("</tbody></table></div>\n");
}

/// Decisions that differ from the one before them, or did something.
fn told(entries: &[Entry]) -> Vec<&Entry> {
    let mut before: Option<&Reason> = None;
    let mut told = Vec::new();
    for entry in entries {
        if before != Some(&entry.decision.reason) || !entry.decision.effects.is_empty() {
            told.push(entry);
        }
        before = Some(&entry.decision.reason);
    }
    told
}

fn log(replay: &Replay, words: &Words<'_>, html: &mut Html) {
    html.markup("<h2>Decisions</h2>\n<table class=\"log\">\n");
    html.head(["after", "decided"]);
    let told = told(&replay.entries);
    let half = LINES / 2;
    for (at, entry) in told.iter().enumerate() {
        let left_out = told.len().saturating_sub(LINES);
        if left_out > 0 && at == half {
            html.row(["…".to_owned(), format!("{left_out} more: {}", words.explain)]);
        }
        if left_out == 0 || at < half || at >= half + left_out {
            html.row([seconds(entry.input.at()), said(entry, words)]);
        }
    }
    html.markup("</tbody></table>\n");
}

/// A decision, with what a door said where it did not do its work.
fn said(entry: &Entry, words: &Words<'_>) -> String {
    let decided = (words.decided)(&entry.decision);
    match &entry.input {
        Input::Blind { why, .. }
        | Input::Counters { instead: Some(why), .. }
        | Input::Lost { why, .. }
        | Input::Moving { why, .. }
        | Input::Unready { why, .. }
        | Input::Taken { why, .. } => format!("{decided}: {why}"),
        Input::Asked { by, .. } | Input::Resumed { by, .. } => format!("{decided}: {by}"),
        Input::Counters { .. } | Input::Stop { .. } => decided,
    }
}

fn numbers(replay: &Replay, series: &Series, html: &mut Html) {
    html.markup("<h2 id=\"numbers\">Numbers</h2>\n<details><summary>Every number of the plots</summary>\n")
        .markup("<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Numbers\"><table>\n");
    let edge = series.telling_edge();
    let slow = |arm: &str| format!("{arm} > {} ms", EDGES[edge]);
    let names: Vec<String> = replay.header.plan.metrics.names().collect();
    let mut head = [
        "until",
        "asked",
        "in force",
        "measured",
        "canary failed",
        "stable failed",
        &slow("canary"),
        &slow("stable"),
        "harm",
        "safe",
        "split",
    ]
    .map(str::to_owned)
    .to_vec();
    for name in &names {
        head.extend(["canary", "stable", "harm", "safe"].map(|what| format!("{name}: {what}")));
    }
    html.head(head);
    let of = |part: u64, whole: u64| format!("{part} of {whole}");
    let bad = |cases: Option<Cases>| cases.map_or_else(|| "no data".to_owned(), |c| of(c.bad, c.total));
    for s in &series.stretches {
        let mut row = vec![
            seconds(s.to),
            s.asked.to_string(),
            s.weight.map_or_else(|| "-".to_owned(), |w| w.to_string()),
            s.measured
                .map_or_else(|| "-".to_owned(), |m| format!("{:.1} %", m * 100.0)),
            of(s.canary.failed, s.canary.requests),
            of(s.stable.failed, s.stable.requests),
            of(s.canary.slower[edge], s.canary.requests),
            of(s.stable.slower[edge], s.stable.requests),
            strength(s.evidence.harm),
            strength(s.evidence.safe),
            strength(s.evidence.split),
        ];
        for name in &names {
            let (cases, evidence) = (s.of(name), s.evidence.metrics.get(name));
            row.extend([bad(cases.canary), bad(cases.stable)]);
            let strengths = evidence.map(|own| [own.harm, own.safe].map(strength));
            row.extend(strengths.unwrap_or_default());
        }
        html.row(row);
    }
    html.markup("</tbody></table></div>\n</details>\n");
}

fn journal(replay: &Replay, words: &Words<'_>, html: &mut Html) {
    html.markup("<h2 id=\"journal\">The journal</h2>\n<p>");
    match &replay.mismatch {
        None => {
            html.text(recomputed(replay))
                .markup(": what was seen gives these decisions again.");
        }
        Some(wrong) => {
            html.markup("<strong class=\"bad\">DIFFERENT:</strong> line ")
                .text(wrong.line.to_string())
                .markup(" does not recompute. It says <code>")
                .text(&wrong.written)
                .markup("</code> and comes out as <code>")
                .text(&wrong.recomputed)
                .markup("</code>. Nothing after it was read.");
        }
    }
    if replay.cut {
        html.markup(" Its last line was cut off and is left out, as when the writer was killed.");
    }
    html.markup("</p>\n<p>It is <code>").text(words.journal);
    html.markup("</code>, written by msctl ")
        .text(&replay.header.msctl)
        .markup(". To see for yourself: <code>");
    html.text(words.explain).markup("</code></p>\n");
}

/// `14.2 s`, as in the journal.
fn seconds(ms: u64) -> String {
    format!("{:.1} s", series::number(ms) / 1000.0)
}

/// Evidence as a number, from its natural logarithm.
fn strength(log: f64) -> String {
    let value = libm::exp(log);
    let whole = value.round();
    if whole >= 1e6 {
        "> 1 000 000".into()
    } else if whole >= 1e3 {
        format!("{:.0} {:03.0}", (whole / 1e3).floor(), whole % 1e3)
    } else if value >= 10.0 {
        format!("{whole:.0}")
    } else {
        format!("{value:.1}")
    }
}

#[cfg(test)]
mod tests;
