//! How a plan would have done over what stable answered in the past: releases of the real plan, machine and judge, begun every so
//! often. Pure: the dice are seeded.
//!
//! The past has no canary, so one is made of it. Each request that stable had goes to one of the arms at random, by the weight in
//! force: both arms are the same past, and a canary that is like stable is rolled back by mistake alone (A/A). A canary that is
//! worse is the same one with more failures, or with answers that take [`past::SLOWER`] times as long.
//!
//! What this cannot know: failures that come in bursts at one arm alone, a canary that is cold when it begins, a weight that takes
//! time to come into force. And of a request's failure and its latency only the counts are known, not which belong together.

pub mod past;
pub mod read;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Binomial, Distribution};
use schemars::JsonSchema;
use serde::Serialize;

use self::past::Look;
use super::machine::{Effect, Input, Machine, Outcome, Reason};
use super::meter::STALE;
use super::plan::Plan;
use super::replay::outcome;
use super::{Counts, Metered};
use crate::config::units::Weight;

/// What is wrong with the canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regression {
    /// Nothing: it is like stable.
    None,
    /// So many more of its requests fail, per mille.
    Failures(u16),
    /// Its answers take [`past::SLOWER`] times as long.
    Latency,
}

impl Regression {
    /// Those that a plan is held against: none first.
    pub const ALL: [Self; 6] = [
        Self::None,
        Self::Failures(10),
        Self::Failures(50),
        Self::Failures(300),
        Self::Failures(500),
        Self::Latency,
    ];
}

/// A plan, and the past to try it on.
#[derive(Clone, Copy, Debug)]
pub struct Backtest<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// What came in, a look after the other, [`Plan::interval`] apart.
    pub looks: &'a [Look],
    /// Whether there are latencies to judge.
    pub latencies: bool,
    /// The seed of the dice.
    pub seed: u64,
}

/// How one release would have gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// How it would have ended; none when the past ends first.
    pub outcome: Option<Outcome>,
    /// Milliseconds from its beginning until it was decided.
    pub decided: u64,
    /// Why it was decided so, if it was.
    pub why: Option<Reason>,
    /// The weight of its last step.
    pub reached: Weight,
    /// Requests that failed, or were slow, because of the canary.
    pub harmed: u64,
}

/// How the releases of one kind of canary would have gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Tally {
    /// So many would have been promoted.
    pub promoted: usize,
    /// So many would have been rolled back.
    pub rolled_back: usize,
    /// Of so many the answer would have been that it could not tell.
    pub could_not_tell: usize,
    /// So many had not ended when the past did.
    pub unfinished: usize,
    /// How long they took until they were decided, in milliseconds: the median of those that ended.
    pub decided_ms: Option<u64>,
    /// Requests that failed, or were slow, because of the canary: the median of those that ended.
    pub harmed: Option<u64>,
}

impl Tally {
    /// Of these releases.
    pub fn of(releases: &[Release]) -> Self {
        let mut tally = Self::default();
        for release in releases {
            let of_its_kind = match release.outcome {
                None => &mut tally.unfinished,
                Some(Outcome::Promoted) => &mut tally.promoted,
                Some(Outcome::RolledBack) => &mut tally.rolled_back,
                // The others need somebody else: who moves traffic, or asks to stop.
                Some(
                    Outcome::CouldNotTell
                    | Outcome::Aborted
                    | Outcome::Held
                    | Outcome::Conflict
                    | Outcome::Stuck
                    | Outcome::Interrupted
                    | Outcome::Terminated,
                ) => &mut tally.could_not_tell,
            };
            *of_its_kind += 1;
        }
        let ended = || releases.iter().filter(|release| release.outcome.is_some());
        tally.decided_ms = median(ended().map(|release| release.decided).collect());
        tally.harmed = median(ended().map(|release| release.harmed).collect());
        tally
    }
}

fn median(mut numbers: Vec<u64>) -> Option<u64> {
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied()
}

impl Backtest<'_> {
    /// The looks at which releases begin, so many milliseconds apart: as long as the past has room for the quickest one.
    pub fn starts(&self, every: u64) -> Vec<usize> {
        let apart = (every / self.plan.interval.max(1)).max(1);
        let apart = usize::try_from(apart).unwrap_or(usize::MAX);
        let shortest = shortest(self.plan);
        let has_room = |start: &usize| self.looks.len() - start >= shortest;
        (0..self.looks.len()).step_by(apart).take_while(has_room).collect()
    }

    /// A release that begins at each of these, with a canary that is so.
    pub fn releases(&self, starts: &[usize], regression: Regression) -> Vec<Release> {
        starts.iter().map(|start| self.release(*start, regression)).collect()
    }

    fn release(&self, start: usize, regression: Regression) -> Release {
        // The same dice for every kind of canary: what differs is the canary.
        let seed = self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(start as u64);
        let mut world = World::new(regression, StdRng::seed_from_u64(seed));
        let mut machine = Machine::new(self.plan.clone());
        let mut release = Release {
            outcome: None,
            decided: 0,
            why: None,
            reached: Weight::NONE,
            harmed: 0,
        };
        let looks = self.looks.get(start..).unwrap_or_default();
        for (at, look) in std::iter::once(None).chain(looks.iter().map(Some)).enumerate() {
            if let Some(look) = look {
                world.pass(look);
            }
            let at = (at as u64).saturating_mul(self.plan.interval);
            let decision = machine.step(&world.input(at, self));
            for effect in &decision.effects {
                if let Effect::Write(to) = effect {
                    world.weight = *to;
                }
            }
            if world.weight > Weight::NONE {
                release.reached = world.weight;
            }
            let ended = outcome(&decision);
            // Decided is when the last weight is written, or when nothing is left to be written.
            if release.why.is_none() && (ended.is_some() || world.weight == Weight::NONE) {
                (release.decided, release.why) = (at, Some(decision.reason));
            }
            if ended.is_some() {
                release.outcome = ended;
                break;
            }
        }
        release.harmed = world.harmed;
        release
    }
}

/// How many looks a release has at least: each step's hold, and one more until its weight is read back.
fn shortest(plan: &Plan) -> usize {
    let hold = usize::try_from(plan.hold.div_ceil(plan.interval.max(1))).unwrap_or(usize::MAX);
    plan.steps.len().saturating_mul(hold.saturating_add(1))
}

/// What a release moves and sees: a router that obeys at once, and counters of two arms out of those of one.
struct World {
    dice: StdRng,
    regression: Regression,
    weight: Weight,
    stable: Counts,
    canary: Counts,
    harmed: u64,
    /// So many looks without a scrape.
    silent: u32,
}

impl World {
    fn new(regression: Regression, dice: StdRng) -> Self {
        Self {
            dice,
            regression,
            weight: Weight::NONE,
            stable: Counts::default(),
            canary: Counts::default(),
            harmed: 0,
            silent: 0,
        }
    }

    /// What came in until this look goes to the arms.
    fn pass(&mut self, look: &Look) {
        self.silent = if look.scraped { 0 } else { self.silent.saturating_add(1) };
        let own = split(&mut self.dice, &look.counts, self.weight.share());
        add(&mut self.stable, &less(&look.counts, &own));
        let worse = self.worsen(look, own);
        add(&mut self.canary, &worse);
    }

    /// The canary's part, with what is wrong with it.
    fn worsen(&mut self, look: &Look, mut own: Counts) -> Counts {
        match self.regression {
            Regression::None => {}
            Regression::Failures(per_mille) => {
                let more = draw(&mut self.dice, own.requests, f64::from(per_mille) / 1e3);
                let more = more.min(own.requests - own.failed);
                own.failed += more;
                self.harmed += more;
            }
            Regression::Latency => {
                self.harmed += own.requests;
                // How long each takes is drawn anew, out of what the past's would have taken.
                let (mut above, mut left) = (look.counts.requests, own.requests);
                for (slower, slowed) in own.slower.iter_mut().zip(look.slowed) {
                    left = draw(&mut self.dice, left, share(slowed, above));
                    (*slower, above) = (left, slowed);
                }
            }
        }
        own
    }

    fn input(&self, at: u64, backtest: &Backtest<'_>) -> Input {
        let weight = self.weight;
        if self.silent > STALE {
            let why = "there was no scrape".to_owned();
            return Input::Blind { at, weight, why };
        }
        Input::Counters {
            at,
            weight,
            stable: self.stable,
            canary: self.canary,
            metrics: Metered::new(),
            latencies: backtest.latencies,
            counted: at,
            // As the meter has it that reads Prometheus.
            lag: backtest.plan.interval.saturating_mul(2),
            instead: None,
        }
    }
}

/// The canary's part of these: each request is the canary's with this chance.
fn split(dice: &mut StdRng, all: &Counts, chance: f64) -> Counts {
    let mut own = Counts::default();
    // From the slowest down: of those that are slower than an edge and not than the next one.
    let mut beyond = 0;
    for (own_slower, slower) in own.slower.iter_mut().zip(all.slower).rev() {
        own.requests += draw(dice, slower.saturating_sub(beyond), chance);
        (*own_slower, beyond) = (own.requests, slower);
    }
    own.requests += draw(dice, all.requests.saturating_sub(beyond), chance);
    own.sent = own.requests;
    own.failed = among(dice, all.requests, all.failed, own.requests);
    own
}

/// How many of `n` come, each with this chance.
fn draw(dice: &mut StdRng, n: u64, chance: f64) -> u64 {
    match Binomial::new(n, chance.clamp(0.0, 1.0)) {
        Ok(binomial) if n > 0 => binomial.sample(dice),
        _ => 0,
    }
}

/// How many of the `marked` are among so many that are drawn out of `all`, none twice.
fn among(dice: &mut StdRng, all: u64, marked: u64, drawn: u64) -> u64 {
    // It is the same the other way round, and the smaller one takes less time.
    let (mut left, mut wanted, few) = (all, marked.max(drawn), marked.min(drawn));
    let mut hits = 0;
    for _ in 0..few {
        if left > 0 && dice.random_range(0..left) < wanted {
            wanted -= 1;
            hits += 1;
        }
        left = left.saturating_sub(1);
    }
    hits
}

#[expect(clippy::cast_precision_loss, reason = "counters stay far below 2^53")]
fn share(part: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { part as f64 / all as f64 }
}

fn add(sum: &mut Counts, more: &Counts) {
    sum.sent += more.sent;
    sum.requests += more.requests;
    sum.failed += more.failed;
    for (sum, more) in sum.slower.iter_mut().zip(more.slower) {
        *sum += more;
    }
}

/// What is left of these without that part.
fn less(all: &Counts, part: &Counts) -> Counts {
    let mut left = *all;
    left.sent -= part.sent;
    left.requests -= part.requests;
    left.failed -= part.failed;
    for (left, part) in left.slower.iter_mut().zip(part.slower) {
        *left -= part;
    }
    left
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::service::Canary;

    const INTERVAL: u64 = 5_000;

    fn plan() -> Plan {
        Plan::new(&Canary::default(), INTERVAL)
    }

    /// Some hours of so many requests a look, of which every so many-th fails.
    fn steady(hours: usize, requests: u64, fails: usize) -> Vec<Look> {
        let slower = |requests: u64| [9, 8, 6, 4, 2, 1, 1, 0, 0, 0, 0, 0].map(|part| requests * part / 10);
        let look = |at: usize| Look {
            scraped: true,
            counts: Counts {
                sent: requests,
                requests,
                failed: u64::from(at.is_multiple_of(fails)).min(requests),
                slower: slower(requests),
            },
            slowed: [9, 9, 8, 6, 4, 3, 2, 1, 0, 0, 0, 0].map(|part| requests * part / 10),
        };
        (0..hours * 720).map(look).collect()
    }

    fn backtest<'a>(plan: &'a Plan, looks: &'a [Look]) -> Backtest<'a> {
        Backtest {
            plan,
            looks,
            latencies: true,
            seed: 1,
        }
    }

    fn tally(looks: &[Look], regression: Regression) -> Tally {
        let plan = plan();
        let backtest = backtest(&plan, looks);
        Tally::of(&backtest.releases(&backtest.starts(1_800_000), regression))
    }

    #[test]
    fn a_canary_that_is_like_stable_is_promoted() {
        let tally = tally(&steady(13, 100, 10), Regression::None);
        assert_eq!(
            (tally.promoted, tally.rolled_back, tally.could_not_tell),
            (26, 0, 0),
            "{tally:?}"
        );
        let whole = plan().hold * plan().steps.len() as u64;
        assert!(tally.decided_ms.is_some_and(|time| time >= whole), "{tally:?}");
        assert_eq!(tally.harmed, Some(0));
    }

    #[test]
    fn one_that_is_worse_is_rolled_back_and_the_worse_the_sooner() {
        let looks = steady(13, 100, 10);
        let of = |regression| tally(&looks, regression);
        let (some, many) = (of(Regression::Failures(50)), of(Regression::Failures(500)));
        assert_eq!((some.promoted, some.rolled_back), (0, 26), "{some:?}");
        assert_eq!((many.promoted, many.rolled_back), (0, 26), "{many:?}");
        assert!(many.decided_ms < some.decided_ms, "{some:?} {many:?}");
        assert!(many.harmed.is_some_and(|harmed| (1..200).contains(&harmed)), "{many:?}");
    }

    #[test]
    fn one_that_is_slower_is_rolled_back_where_there_are_latencies() {
        let mut looks = steady(6, 200, 10);
        for look in &mut looks {
            look.counts.slower = [200, 150, 40, 20, 10, 8, 6, 4, 2, 0, 0, 0];
            look.slowed = [200, 190, 150, 80, 60, 40, 30, 20, 10, 4, 2, 0];
        }
        let slow = tally(&looks, Regression::Latency);
        assert_eq!((slow.promoted, slow.rolled_back), (0, 12), "{slow:?}");
        let plan = plan();
        let blurred = Backtest {
            latencies: false,
            ..backtest(&plan, &looks)
        };
        let release = &blurred.releases(&[0], Regression::None)[0];
        assert_eq!(
            (release.outcome, &release.why),
            (Some(Outcome::CouldNotTell), &Some(Reason::Patience))
        );
    }

    #[test]
    fn too_little_traffic_is_neither() {
        let (mut looks, plan) = (steady(3, 0, usize::MAX), plan());
        for look in looks.iter_mut().step_by(60) {
            (look.counts.sent, look.counts.requests) = (1, 1);
        }
        let release = &backtest(&plan, &looks).releases(&[0], Regression::None)[0];
        assert_eq!(
            (release.outcome, &release.why),
            (Some(Outcome::CouldNotTell), &Some(Reason::Patience))
        );
        assert_eq!(release.reached, plan.steps[0]);
        assert!(release.decided >= plan.patience);
    }

    #[test]
    fn while_nothing_is_scraped_nothing_is_judged() {
        let plan = plan();
        let mut looks = steady(1, 100, 10);
        looks[20..].fill(Look::default());
        let release = &backtest(&plan, &looks).releases(&[18], Regression::None)[0];
        assert_eq!(release.outcome, Some(Outcome::CouldNotTell));
        let mut quiet = looks.clone();
        quiet[20..].fill(Look {
            scraped: true,
            ..Look::default()
        });
        let blind = |looks: &[Look]| {
            let mut world = World::new(Regression::None, StdRng::seed_from_u64(1));
            let over = backtest(&plan, looks);
            let is_blind = |look: &&Look| {
                world.pass(look);
                matches!(world.input(0, &over), Input::Blind { .. })
            };
            looks[..26].iter().filter(is_blind).count()
        };
        // The fourth look without a scrape is the first that says so.
        assert_eq!((blind(&looks), blind(&quiet)), (3, 0));
    }

    #[test]
    fn a_release_that_the_past_is_too_short_for_does_not_begin_or_is_unfinished() {
        let (looks, plan) = (steady(1, 100, 10), plan());
        let backtest = backtest(&plan, &looks);
        let quickest = plan.steps.len() * (24 + 1);
        assert_eq!(backtest.starts(5_000).len(), 720 - quickest + 1);
        assert_eq!(backtest.starts(1_800_000), [0, 360]);
        let last = backtest.releases(&[700], Regression::None);
        assert_eq!((last[0].outcome, &last[0].why), (None, &None));
        assert_eq!(Tally::of(&last).unfinished, 1);
    }

    #[test]
    fn the_same_seed_gives_the_same_answer_and_another_one_another() {
        let (looks, plan) = (steady(2, 100, 10), plan());
        let one = backtest(&plan, &looks);
        let two = Backtest { seed: 2, ..one };
        let of = |backtest: &Backtest<'_>| backtest.releases(&[0, 100, 200], Regression::Failures(300));
        assert_eq!(of(&one), of(&one));
        assert_ne!(of(&one), of(&two));
    }

    /// So many of `n`, as often as this chance would have it, give or take six standard deviations and a dozen.
    fn is_about(hits: u64, n: u64, chance: f64) -> bool {
        let [hits, n] = [hits, n].map(|number| f64::from(u32::try_from(number).expect("a small number")));
        (hits - n * chance).abs() <= 6.0 * (n * chance * (1.0 - chance)).sqrt() + 12.0
    }

    proptest! {
        /// Whatever came in, and whatever the weight: each request is one arm's, and the arms differ by chance alone.
        #[test]
        fn every_request_is_one_arms(
            requests in 0u64..20_000, failed in 0u64..20_000, slower in prop::array::uniform12(0u64..20_000),
            per_mille in 0u16..=1000, seed in any::<u64>(),
        ) {
            let mut most = requests;
            let slower = slower.map(|count| { most = most.min(count); most });
            let failed = failed.min(requests);
            let all = Counts { sent: requests, requests, failed, slower };
            let chance = f64::from(per_mille) / 1e3;
            let own = split(&mut StdRng::seed_from_u64(seed), &all, chance);
            let rest = less(&all, &own);
            for part in [own, rest] {
                prop_assert!(part.failed <= part.requests && part.slower[0] <= part.requests);
                prop_assert!(part.slower.is_sorted_by(|a, b| a >= b));
            }
            prop_assert!(is_about(own.requests, requests, chance));
            prop_assert!(is_about(own.failed, failed, chance));
            prop_assert!(own.slower.iter().zip(slower).all(|(own, all)| is_about(*own, all, chance)));
        }
    }
}
