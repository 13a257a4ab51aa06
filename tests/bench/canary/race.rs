//! A scenario, raced: msctl and every anchor over the same requests, many times, and what came of it.

use std::fmt::Write as _;
use std::thread;

use msctl::canary::plan::Plan;
use msctl::config::units::Weight;

use super::anchors::{ARGO, ARGO_DOCUMENTED, ARGO_TUNED, Anchor, FLAGGER, FLAGGER_TUNED, Metric};
use super::release::{End, Run, release};
use super::world::{CANARY, History, STABLE, Traffic, World, number};

/// Simulated releases of each kind.
pub(crate) const RUNS: u64 = 10_000;

/// The anchors, in the order of the columns.
pub(crate) const ANCHORS: [(&str, Anchor); 6] = [
    ("Flagger 60 s, 5", FLAGGER),
    ("Flagger 10 s, 3", FLAGGER_TUNED),
    ("Argo 60 s, 0", ARGO),
    ("Argo 10 s, 2", ARGO_TUNED),
    ("Argo 5 m, 3", ARGO_DOCUMENTED),
    ("Kayenta", Anchor::Kayenta),
];

/// What is shown of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    /// How often it aborted.
    Aborts,
    /// How often, how soon after the canary's first request, at what harm.
    Delay,
    /// The same, after the canary's first failed request.
    DelayFromFailure,
    /// How often and how soon; nothing fails.
    Slowness,
    /// How it ended.
    Ends,
}

/// What is to be reached; nothing where nothing is asked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Goal {
    /// Percent that abort, at most.
    pub(crate) aborts: Option<f64>,
    /// Percent that are given up because requests seem to be split wrongly, at most.
    pub(crate) split: Option<f64>,
    /// Whether every bad one is to be found.
    pub(crate) all: bool,
    /// Seconds, at most.
    pub(crate) median: Option<f64>,
    pub(crate) p95: Option<f64>,
    /// Median of the requests harmed, at most.
    pub(crate) harmed: Option<f64>,
    /// Whether no step may be taken without proof.
    pub(crate) proven: bool,
}

pub(crate) struct Scenario {
    pub(crate) what: String,
    pub(crate) world: World,
    /// Milliseconds between two looks.
    pub(crate) tick: u64,
    pub(crate) plan: Plan,
    /// The anchors' weights, each for an equal part of the time.
    pub(crate) weights: Vec<Weight>,
    /// How long it is watched, in milliseconds.
    pub(crate) until: u64,
    /// Whether msctl is watched to its own end instead.
    pub(crate) whole: bool,
    pub(crate) metric: Metric,
    pub(crate) show: Show,
    pub(crate) goal: Goal,
}

/// One rule's figures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// Percent.
    pub(crate) aborted: f64,
    split: f64,
    could_not_tell: f64,
    promoted: f64,
    /// Releases with a step that was not proven.
    unproven: usize,
    /// Seconds, over all runs; none where so many were not found.
    pub(crate) median: Option<f64>,
    pub(crate) p95: Option<f64>,
    /// Median of the requests that failed beyond those that would have at stable.
    harmed: f64,
}

/// What is kept of one run of one rule.
struct Seen {
    run: Run,
    /// Seconds until it aborted.
    delay: Option<f64>,
    harmed: f64,
}

impl Scenario {
    /// The cells of its row.
    pub(crate) fn row(&self) -> Vec<String> {
        let [first, others @ ..] = &self.race(true, &ANCHORS.map(|(_, anchor)| anchor))[..] else {
            unreachable!("msctl is always there");
        };
        let mut row = vec![self.what.clone(), self.goal.to_string(), self.goal.verdict(first)];
        row.push(self.cell(first, true));
        row.extend(others.iter().map(|figures| self.cell(figures, false)));
        row
    }

    /// The figures of msctl, if it runs too, and of these anchors.
    pub(crate) fn race(&self, ours: bool, anchors: &[Anchor]) -> Vec<Figures> {
        let traffic = Traffic::new(self.world, self.tick);
        let runs = every_seed(|seed| self.seen(&traffic, seed, ours, anchors));
        let figures = |column: usize| Figures::of(&runs.iter().map(|seen| &seen[column]));
        (0..anchors.len() + usize::from(ours)).map(figures).collect()
    }

    fn seen(&self, traffic: &Traffic, seed: u64, ours: bool, anchors: &[Anchor]) -> Vec<Seen> {
        let part = self.until.div_ceil(self.weights.len() as u64);
        let place = |at: u64| usize::try_from(at / part).expect("a place").min(self.weights.len() - 1);
        let weights = |at: u64| self.weights[place(at)];
        let mut history = History::new(traffic, seed, &weights, self.metric == Metric::Latency);
        let first = (self.show == Show::DelayFromFailure)
            .then(|| history.first_failure(self.until))
            .flatten();
        let keep = |run: Run| Seen {
            delay: (run.end == End::Aborted).then(|| (number(run.at) - first.unwrap_or(0.0)).max(0.0) / 1e3),
            harmed: number(run.failed) - self.world.fails[STABLE] * number(run.requests),
            run,
        };
        let watched = (!self.whole).then_some(self.until);
        let ours = ours.then(|| release(&self.plan, &mut history, watched));
        let theirs = anchors
            .iter()
            .map(|anchor| anchor.run(self.metric, &mut history, self.until));
        ours.into_iter().chain(theirs).map(keep).collect()
    }

    fn cell(&self, figures: &Figures, ours: bool) -> String {
        let f = figures;
        let often = if f.aborted <= 0.0 {
            "never".to_owned()
        } else {
            format!("{} %", trimmed(f.aborted, 2))
        };
        let seconds = |time: Option<f64>| time.map_or_else(|| "–".to_owned(), |time| trimmed(time, 1));
        let soon = format!("{} / {} s", seconds(f.median), seconds(f.p95));
        match self.show {
            Show::Aborts => {
                let mut cell = format!("{:.2} %", f.aborted);
                if ours {
                    write!(cell, ", split {:.2} %", f.split).expect("a string grows");
                }
                cell
            }
            Show::Delay | Show::DelayFromFailure => {
                let soon = if f.aborted > 0.0 {
                    format!(" · {soon}")
                } else {
                    String::new()
                };
                format!("{often}{soon} · {:.0}", f.harmed)
            }
            Show::Slowness if f.aborted > 0.0 => format!("{often} · {soon}"),
            Show::Slowness => often,
            Show::Ends if ours => format!(
                "aborted {:.2} %, split {:.2} %, could not tell {:.2} %, promoted {:.2} %, without proof {}",
                f.aborted, f.split, f.could_not_tell, f.promoted, f.unproven
            ),
            Show::Ends => format!("aborted {:.2} %", f.aborted),
        }
    }

    /// The requests that a canary at 10 % harms between two looks, or 15 if that is more: what a regression may cost.
    pub(crate) fn one_look(world: &World, tick: u64) -> f64 {
        let share = world.fails[CANARY] - world.fails[STABLE];
        (world.rate * 0.1 * share * number(tick) / 1e3).max(15.0)
    }
}

impl Figures {
    fn of<'a>(runs: &(impl Iterator<Item = &'a Seen> + Clone)) -> Self {
        let all = runs.clone().count();
        let percent = |end| {
            let hits = runs.clone().filter(|seen| seen.run.end == end).count();
            number(hits as u64) * 100.0 / number(all as u64)
        };
        let sorted = |mut values: Vec<f64>| {
            values.sort_unstable_by(f64::total_cmp);
            values
        };
        let delays = sorted(runs.clone().map(|seen| seen.delay.unwrap_or(f64::INFINITY)).collect());
        let harmed = sorted(runs.clone().map(|seen| seen.harmed).collect());
        let at = |percent: usize| Some(delays[all * percent / 100]).filter(|delay| delay.is_finite());
        Self {
            aborted: percent(End::Aborted),
            split: percent(End::Split),
            could_not_tell: percent(End::CouldNotTell),
            promoted: percent(End::Promoted),
            unproven: runs.clone().filter(|seen| seen.run.unproven).count(),
            median: at(50),
            p95: at(95),
            harmed: harmed[all / 2],
        }
    }
}

impl Goal {
    /// Whether these figures reach it, and what misses it.
    fn verdict(&self, figures: &Figures) -> String {
        let later = |most: Option<f64>, time: Option<f64>| most.is_some_and(|most| time.is_none_or(|time| time > most));
        let more = |most: Option<f64>, figure: f64| most.is_some_and(|most| figure > most);
        let missed = [
            ("aborts", more(self.aborts, figures.aborted)),
            ("split", more(self.split, figures.split)),
            ("not all found", self.all && figures.aborted < 100.0),
            ("median", later(self.median, figures.median)),
            ("p95", later(self.p95, figures.p95)),
            ("harmed", more(self.harmed, figures.harmed)),
            ("proof", self.proven && figures.unproven > 0),
        ];
        let missed: Vec<&str> = missed
            .into_iter()
            .filter(|(_, missed)| *missed)
            .map(|(what, _)| what)
            .collect();
        match missed[..] {
            _ if self.to_string() == "–" => "–".to_owned(),
            [] => "met".to_owned(),
            _ => format!("**missed**: {}", missed.join(", ")),
        }
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        if let Some(most) = self.aborts {
            parts.push(if most > 0.0 {
                format!("≤ {most} %")
            } else {
                "no abort".to_owned()
            });
        }
        if let Some(most) = self.split {
            parts.push(format!("split ≤ {most} %"));
        }
        if self.all {
            parts.push("all".to_owned());
        }
        for (what, most) in [("median", self.median), ("p95", self.p95)] {
            if let Some(most) = most {
                parts.push(format!("{what} ≤ {most} s"));
            }
        }
        if let Some(most) = self.harmed {
            parts.push(format!("harmed ≤ {most:.0}"));
        }
        if self.proven {
            parts.push("no step without proof".to_owned());
        }
        f.pad(&if parts.is_empty() {
            "–".to_owned()
        } else {
            parts.join(", ")
        })
    }
}

/// The same for every seed, on all processors; the order of the results says nothing.
pub(crate) fn every_seed<T: Send>(each: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let workers = thread::available_parallelism().map_or(1, |n| n.get() as u64);
    thread::scope(|scope| {
        let each = &each;
        let seeds = |first: u64| (first..RUNS).step_by(usize::try_from(workers).expect("a few"));
        let handles: Vec<_> = (0..workers)
            .map(|first| scope.spawn(move || seeds(first).map(each).collect::<Vec<T>>()))
            .collect();
        let results = handles.into_iter().map(|handle| handle.join().expect("a worker"));
        results.flatten().collect()
    })
}

/// With so many decimals, without a fraction that is nothing.
fn trimmed(number: f64, decimals: usize) -> String {
    let text = format!("{number:.decimals$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
