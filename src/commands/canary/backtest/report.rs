//! What `msctl canary backtest` answers: a line, a table, what to type next.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::canary::backtest::past::{Look, SLOWER};
use crate::canary::backtest::{Backtest, Regression, Release, Tally};
use crate::canary::machine::{Outcome, Reason};
use crate::config::units::{Span, Weight};
use crate::ui::{Page, Report, clean, count, duration};

/// A time that a person feels.
pub(super) fn felt(ms: u64) -> String {
    duration(Duration::from_millis(ms))
}

/// What the past does not say.
pub(super) struct Setting {
    pub(super) service: String,
    pub(super) query: String,
    pub(super) scraped_ms: Option<u64>,
    pub(super) every_ms: u64,
    pub(super) next: String,
}

/// `msctl.canary.backtest/v1`: how a plan would have done over the past.
#[derive(Serialize, JsonSchema)]
pub(in crate::commands) struct BacktestReport {
    /// The service.
    service: String,
    /// Which counters of stable the past is: what Prometheus was asked for, in pieces.
    query: String,
    /// From the first scrape to the last, in milliseconds.
    past_ms: u64,
    /// Between two looks, in milliseconds.
    interval_ms: u64,
    /// Between two scrapes, as it was: the median, in milliseconds; none where nothing was scraped twice.
    scraped_ms: Option<u64>,
    /// Requests to stable.
    requests: u64,
    /// Of these, failed.
    failed: u64,
    /// Whether there are latencies to judge.
    latencies: bool,
    /// The plan's steps, per mille of the traffic.
    steps: Vec<Weight>,
    /// How long each step is watched at least, in milliseconds.
    hold_ms: u64,
    /// The chance that a good canary is rolled back.
    alpha: f64,
    /// The seed of the dice.
    seed: u64,
    /// Between the beginnings of two releases, in milliseconds.
    every_ms: u64,
    /// How many releases were tried with each canary.
    releases: usize,
    /// The canaries that were tried, the one that is like stable first.
    canaries: Vec<Tried>,
    #[serde(skip)]
    doubt: Option<String>,
    #[serde(skip)]
    next: String,
}

/// One kind of canary, and what would have come of it.
#[derive(Serialize, JsonSchema)]
struct Tried {
    /// What share of its requests fails beside those that fail at stable too.
    more_failures: f64,
    /// How many times as long its answers take.
    slower: f64,
    #[serde(flatten)]
    tally: Tally,
}

impl Tried {
    fn new(regression: Regression, releases: &[Release]) -> Self {
        let (per_mille, slower) = match regression {
            Regression::None => (0, 1.0),
            Regression::Failures(per_mille) => (per_mille, 1.0),
            Regression::Latency => (0, SLOWER),
        };
        Self {
            more_failures: f64::from(per_mille) / 1e3,
            slower,
            tally: Tally::of(releases),
        }
    }

    /// `fails 30 % more`
    fn name(&self) -> String {
        if self.more_failures > 0.0 {
            format!("fails {:.0} % more", self.more_failures * 100.0)
        } else if self.slower > 1.0 {
            format!("takes {} times as long", self.slower)
        } else {
            "is like stable".to_owned()
        }
    }
}

impl BacktestReport {
    pub(super) fn new(setting: Setting, backtest: &Backtest<'_>, kinds: &[(Regression, Vec<Release>)]) -> Self {
        let Backtest {
            plan,
            looks,
            latencies,
            seed,
        } = *backtest;
        let sum = |of: fn(&Look) -> u64| looks.iter().map(of).sum::<u64>();
        let good = kinds.first().map_or(&[][..], |(_, releases)| releases);
        Self {
            service: setting.service,
            query: setting.query,
            past_ms: plan.interval.saturating_mul(looks.len() as u64),
            interval_ms: plan.interval,
            scraped_ms: setting.scraped_ms,
            requests: sum(|look| look.counts.requests),
            failed: sum(|look| look.counts.failed),
            latencies,
            steps: plan.steps.clone(),
            hold_ms: plan.hold,
            alpha: plan.judge.alpha,
            seed,
            every_ms: setting.every_ms,
            releases: good.len(),
            canaries: kinds
                .iter()
                .map(|(kind, releases)| Tried::new(*kind, releases))
                .collect(),
            doubt: doubt(good),
            next: setting.next,
        }
    }

    /// The answer, in one line: of the releases that ended before the past did.
    fn answer(&self) -> String {
        let tried = |share: f64| self.canaries.iter().find(|t| (t.more_failures - share).abs() < 1e-9);
        let ended = |tally: &Tally| self.releases - tally.unfinished.min(self.releases);
        let Some(good) = tried(0.0).filter(|good| ended(&good.tally) > 0) else {
            return "No release with a good canary ended before the past did.".to_owned();
        };
        let rolled_back = match good.tally.rolled_back {
            0 => "none".to_owned(),
            some => some.to_string(),
        };
        let ends = ended(&good.tally);
        let releases = if ends == 1 { "release" } else { "releases" };
        let bad = tried(0.3).map_or_else(String::new, |bad| {
            let (tally, name) = (&bad.tally, bad.name());
            format!(
                "; one that {name}, rolled back in {} of {}",
                tally.rolled_back,
                ended(tally)
            )
        });
        format!(
            "A good canary would have been promoted in {} of {ends} {releases}, {rolled_back} rolled back{bad}.",
            good.tally.promoted
        )
    }

    fn percent_failed(&self) -> f64 {
        100.0 * number(self.failed) / number(self.requests).max(1.0)
    }

    fn rate(&self) -> f64 {
        1e3 * number(self.requests) / number(self.past_ms).max(1.0)
    }

    /// What to know before the table is believed.
    fn cautions(&self, page: &mut Page) {
        if !self.latencies {
            page.line(
                "  Prometheus has no latencies of stable, or not in the same buckets: without them no step ends.",
            );
        }
        if let Some(scraped) = self.scraped_ms.filter(|scraped| *scraped * 2 > self.interval_ms * 3) {
            let (is, said) = (Span::millis(scraped), Span::millis(self.interval_ms));
            page.line(format!(
                "  Stable is scraped every {is}, not every {said}: try --interval {is}"
            ));
        }
        if let Some(doubt) = &self.doubt {
            page.line(format!("  {doubt}"));
        }
    }
}

/// Why most of these could not tell, where they could not.
fn doubt(good: &[Release]) -> Option<String> {
    let told = |release: &&Release| release.outcome == Some(Outcome::CouldNotTell);
    let mut least: Vec<Weight> = good.iter().filter(told).map(|release| release.reached).collect();
    least.sort_unstable();
    let step = *least.get(least.len() / 2)?;
    let late = good
        .iter()
        .filter(told)
        .filter(|release| release.why == Some(Reason::Patience))
        .count();
    (late * 2 >= least.len()).then(|| {
        format!(
            "A good one could not be told where its {step} of the traffic had no proof in time: see --steps and --hold"
        )
    })
}

#[expect(clippy::cast_precision_loss, reason = "counters stay far below 2^53")]
fn number(count: u64) -> f64 {
    count as f64
}

impl Report for BacktestReport {
    const SCHEMA: &'static str = "msctl.canary.backtest/v1";

    fn human(&self, page: &mut Page) {
        page.line(page.paint.strong(&self.answer()));
        page.line(format!(
            "  {}: {} of stable's past, {} requests ({:.1}/s), {:.2} % failed",
            clean(&self.service),
            felt(self.past_ms),
            count(self.requests),
            self.rate(),
            self.percent_failed()
        ));
        let steps: Vec<String> = self.steps.iter().map(ToString::to_string).collect();
        page.line(format!(
            "  {} releases of each canary, one every {}: {}, each held {}, alpha {}",
            self.releases,
            Span::millis(self.every_ms),
            steps.join(", "),
            Span::millis(self.hold_ms),
            self.alpha
        ));
        let unfinished = self.canaries.iter().any(|tried| tried.tally.unfinished > 0);
        let mut head: Vec<String> = ["the canary", "promoted", "rolled back", "could not tell"]
            .map(str::to_owned)
            .into();
        head.extend(unfinished.then(|| "unfinished".to_owned()));
        head.extend(["decided after", "harmed"].map(str::to_owned));
        let mut rows = vec![head];
        rows.extend(self.canaries.iter().map(|tried| {
            let tally = &tried.tally;
            let mut row = vec![
                tried.name(),
                tally.promoted.to_string(),
                tally.rolled_back.to_string(),
                tally.could_not_tell.to_string(),
            ];
            row.extend(unfinished.then(|| tally.unfinished.to_string()));
            row.push(tally.decided_ms.map_or_else(|| "-".to_owned(), felt));
            row.push(tally.harmed.map_or_else(|| "-".to_owned(), count));
            row
        }));
        page.table(2, &rows);
        page.line("  Both are medians. A request is harmed that fails, or is slow, because of the canary.");
        self.cautions(page);
        page.line(format!("  next: {}", clean(&self.next)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(change: impl FnOnce(&mut BacktestReport)) -> String {
        let tried = |more_failures: f64, slower: f64, tally: Tally| Tried {
            more_failures,
            slower,
            tally,
        };
        let bad = Tally {
            rolled_back: 47,
            decided_ms: Some(25_000),
            harmed: Some(7),
            ..Tally::default()
        };
        let good = Tally {
            promoted: 46,
            could_not_tell: 1,
            decided_ms: Some(625_000),
            harmed: Some(0),
            ..Tally::default()
        };
        let mut report = BacktestReport {
            service: "payment".into(),
            query: String::new(),
            past_ms: 86_400_000,
            interval_ms: 5_000,
            scraped_ms: Some(5_000),
            requests: 1_728_000,
            failed: 1_728,
            latencies: true,
            steps: [10, 1_000].into_iter().filter_map(Weight::per_mille).collect(),
            hold_ms: 120_000,
            alpha: 0.01,
            seed: 1,
            every_ms: 1_800_000,
            releases: 47,
            canaries: vec![tried(0.0, 1.0, good), tried(0.3, 1.0, bad), tried(0.0, 1.5, bad)],
            doubt: None,
            next: "msctl canary run".into(),
        };
        change(&mut report);
        let mut page = Page::plain();
        report.human(&mut page);
        page.into_text()
    }

    #[test]
    fn the_answer_comes_first_and_what_to_type_last() {
        insta::assert_snapshot!(report(|_| ()), @r"
        A good canary would have been promoted in 46 of 47 releases, none rolled back; one that fails 30 % more, rolled back in 47 of 47.
          payment: 24 h 0 min of stable's past, 1 728 000 requests (20.0/s), 0.10 % failed
          47 releases of each canary, one every 30m: 1 %, 100 %, each held 2m, alpha 0.01
          the canary               promoted  rolled back  could not tell  decided after  harmed
          is like stable           46        0            1               10 min         0
          fails 30 % more          0         47           0               25.0 s         7
          takes 1.5 times as long  0         47           0               25.0 s         7
          Both are medians. A request is harmed that fails, or is slow, because of the canary.
          next: msctl canary run
        ");
    }

    #[test]
    fn what_makes_the_table_doubtful_is_said() {
        let text = report(|report| {
            report.latencies = false;
            report.scraped_ms = Some(30_000);
            (
                report.canaries[1].tally.unfinished,
                report.canaries[1].tally.rolled_back,
            ) = (3, 44);
        });
        for words in [
            "no latencies of stable",
            "scraped every 30s, not every 5s: try --interval 30s",
            "could not tell  unfinished  decided after",
            "rolled back in 44 of 44.",
        ] {
            assert!(text.contains(words), "{words}:\n{text}");
        }
        let text = report(|report| report.canaries[0].tally.unfinished = 47);
        assert!(text.starts_with("No release with a good canary ended"), "{text}");
        let of = |outcome, why| Release {
            outcome,
            decided: 0,
            why,
            reached: Weight::ALL,
            harmed: 0,
        };
        let late = of(Some(Outcome::CouldNotTell), Some(Reason::Patience));
        let split = of(Some(Outcome::CouldNotTell), Some(Reason::Split));
        let said = doubt(&[late.clone(), of(Some(Outcome::Promoted), Some(Reason::Safe))]);
        assert!(said.is_some_and(|said| said.contains("its 100 % of the traffic")));
        assert_eq!((doubt(&[split.clone(), split.clone(), late]), doubt(&[])), (None, None));
    }
}
