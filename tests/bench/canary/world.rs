//! The simulated world: requests, failures and answer times of both arms. A pure function of seed, look and weight, so that
//! rules that ask for the same weight see the very same requests.
//!
//! Requests arrive at random (Poisson) and are split at random; each fails, and takes its time, independently of the others.
//! Counters are seen at the look itself: what a scrape and a query add is not simulated.

use msctl::canary::{Counts, EDGES};
use msctl::config::units::Weight;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Binomial, Distribution, Exp1, Normal, Poisson};

/// The arms, as the places of an array.
pub(crate) const STABLE: usize = 0;
pub(crate) const CANARY: usize = 1;

/// The bounds of the histograms of Envoy and Istio, in milliseconds, below and above which no answers are told apart here.
pub(crate) const BOUNDS: [u32; 10] = [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000];

/// Storms: in each minute with this chance, this many times as many requests fail, at both arms alike.
const STORM: (f64, f64) = (0.2, 20.0);
/// Bursts: an arm's own factor, anew each time.
const BURST: u64 = 5_000;
const MINUTE: u64 = 60_000;

/// How long answers usually take: log-normal, with a median in milliseconds and a σ that make a p99 of 128 ms.
const MEDIAN: f64 = 20.0;
const SIGMA: f64 = 0.8;

/// What comes on top of that.
#[derive(Clone, Copy)]
pub(crate) enum Times {
    Usual,
    /// Each this many times as long.
    Longer(f64),
    /// This share of them this many milliseconds longer.
    Some(f64, f64),
}

/// What the world is like. Pairs are stable's and the canary's.
#[derive(Clone, Copy)]
pub(crate) struct World {
    /// Requests a second.
    pub(crate) rate: f64,
    /// How likely a request fails.
    pub(crate) fails: [f64; 2],
    pub(crate) times: [Times; 2],
    /// Whether there are storms.
    pub(crate) storms: bool,
    /// Whether failures come in bursts of one arm: its chance of failure times a factor of mean 1 and variance 1.
    pub(crate) bursts: bool,
    /// Each arm is one process that answers nothing for a while now and then: milliseconds from one pause to the next, and how long
    /// they are, on average.
    pub(crate) pauses: Option<(f64, f64)>,
}

impl World {
    /// Both arms alike.
    pub(crate) const fn alike(rate: f64, fails: f64) -> Self {
        Self {
            rate,
            fails: [fails; 2],
            times: [Times::Usual; 2],
            storms: false,
            bursts: false,
            pauses: None,
        }
    }

    pub(crate) const fn canary_fails(self, fails: f64) -> Self {
        Self {
            fails: [self.fails[STABLE], fails],
            ..self
        }
    }

    pub(crate) const fn canary_takes(self, times: Times) -> Self {
        Self {
            times: [self.times[STABLE], times],
            ..self
        }
    }
}

/// What was counted of one arm.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    /// Answers that took longer than each of [`BOUNDS`].
    slower: [u64; BOUNDS.len()],
}

impl Tally {
    pub(crate) fn add(&mut self, new: &Self) {
        self.requests += new.requests;
        self.failed += new.failed;
        for (sum, new) in self.slower.iter_mut().zip(new.slower) {
            *sum += new;
        }
    }

    pub(crate) fn since(&self, before: &Self) -> Self {
        let mut slower = self.slower;
        for (now, before) in slower.iter_mut().zip(before.slower) {
            *now -= before;
        }
        Self {
            requests: self.requests - before.requests,
            failed: self.failed - before.failed,
            slower,
        }
    }

    /// As msctl's meter of a mesh shows it: for each edge the lowest bound that is not below it.
    pub(crate) fn counts(&self) -> Counts {
        let slower = EDGES.map(|edge| {
            BOUNDS
                .iter()
                .position(|bound| *bound >= edge)
                .map_or(0, |i| self.slower[i])
        });
        Counts {
            sent: self.requests,
            requests: self.requests,
            failed: self.failed,
            slower,
        }
    }

    /// The share that failed; none without requests.
    pub(crate) fn failing(&self) -> Option<f64> {
        (self.requests > 0).then(|| number(self.failed) / number(self.requests))
    }

    /// The 99th percentile in milliseconds as Prometheus' `histogram_quantile` has it: linear within a bucket.
    pub(crate) fn p99(&self) -> Option<f64> {
        let all = number(self.requests);
        let within = |i: usize| all - number(self.slower[i]);
        let rank = 0.99 * all;
        let found = (0..BOUNDS.len()).find(|i| within(*i) >= rank);
        let Some(i) = found.filter(|_| self.requests > 0) else {
            return (self.requests > 0).then(|| f64::from(BOUNDS[BOUNDS.len() - 1]));
        };
        let (low, below) = if i == 0 {
            (0.0, 0.0)
        } else {
            (f64::from(BOUNDS[i - 1]), within(i - 1))
        };
        Some(low + (f64::from(BOUNDS[i]) - low) * (rank - below) / (within(i) - below))
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts here stay far below 2^53")]
pub(crate) fn number(count: u64) -> f64 {
    count as f64
}

/// A world, made ready for drawing.
pub(crate) struct Traffic {
    world: World,
    /// For each arm and bound: how likely an answer exceeds it, given that it exceeds the one before.
    onward: [[f64; BOUNDS.len()]; 2],
    /// Milliseconds between two looks.
    pub(crate) tick: u64,
}

impl Traffic {
    pub(crate) fn new(world: World, tick: u64) -> Self {
        let onward = world.times.map(|times| {
            let mut before = 1.0;
            BOUNDS.map(|bound| {
                let exceeds = times.exceeds(f64::from(bound));
                let given = if before > 0.0 { exceeds / before } else { 0.0 };
                before = exceeds;
                given
            })
        });
        Self { world, onward, tick }
    }

    /// What comes in between this look and the next one at this weight; how long it took is not said.
    fn draw(&self, seed: u64, look: u64, weight: Weight) -> [Tally; 2] {
        let dice = &mut dice(seed, look, 0);
        let mean = self.world.rate * number(self.tick) / 1e3;
        let shares = [1.0 - weight.share(), weight.share()];
        [STABLE, CANARY].map(|arm| {
            let requests = arrivals(dice, mean * shares[arm]);
            let fails = self.world.fails[arm] * self.factor(seed, look * self.tick, arm);
            Tally {
                requests,
                failed: trials(dice, requests, fails),
                ..Tally::default()
            }
        })
    }

    /// How long that took. By dice of its own, so that it can be thrown for those alone who look.
    fn time(&self, seed: u64, look: u64, new: &mut [Tally; 2]) {
        let dice = &mut dice(seed, look, 5);
        for (new, onward) in new.iter_mut().zip(&self.onward) {
            let mut left = new.requests;
            new.slower = onward.map(|onward| {
                left = trials(dice, left, onward);
                left
            });
            if let Some(pauses) = self.world.pauses {
                self.pause(dice, pauses, new);
            }
        }
    }

    /// What comes in during a pause waits for its end.
    fn pause(&self, dice: &mut SmallRng, (apart, long): (f64, f64), new: &mut Tally) {
        let tick = number(self.tick);
        let usual = Normal::new(0.0, SIGMA).expect("a deviation");
        for _ in 0..arrivals(dice, tick / apart) {
            let long = long * dice.sample::<f64, _>(Exp1);
            for _ in 0..arrivals(dice, number(new.requests) * long / tick) {
                let usual = MEDIAN * libm::exp(usual.sample(dice));
                let longer = usual + long * dice.random::<f64>();
                for (count, bound) in new.slower.iter_mut().zip(BOUNDS) {
                    let bound = f64::from(bound);
                    *count = (*count + u64::from(usual <= bound && longer > bound)).min(new.requests);
                }
            }
        }
    }

    /// How many times as often as usual requests fail at this time.
    fn factor(&self, seed: u64, at: u64, arm: usize) -> f64 {
        let mut factor = 1.0;
        if self.world.storms && dice(seed, at / MINUTE, 1).random_bool(STORM.0) {
            factor *= STORM.1;
        }
        if self.world.bursts {
            // A gamma distribution of mean 1 and variance 1 is the exponential one.
            let own: f64 = Exp1.sample(&mut dice(seed, at / BURST, 2 + arm as u64));
            factor *= own;
        }
        factor
    }
}

impl Times {
    fn exceeds(self, bound: f64) -> f64 {
        let usual = |bound: f64| {
            if bound <= 0.0 {
                return 1.0;
            }
            let z = libm::log(bound / MEDIAN) / SIGMA;
            libm::erfc(z / std::f64::consts::SQRT_2) / 2.0
        };
        match self {
            Self::Usual => usual(bound),
            Self::Longer(times) => usual(bound / times),
            Self::Some(share, more) => (1.0 - share) * usual(bound) + share * usual(bound - more),
        }
    }
}

/// The dice of one place in one run: what is thrown here changes nothing elsewhere.
pub(crate) fn dice(seed: u64, place: u64, kind: u64) -> SmallRng {
    // Seeds are spread by odd factors; the generator mixes what it is seeded with.
    let spread = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ place.wrapping_mul(0xd1b5_4a32_d192_ed03);
    SmallRng::seed_from_u64(
        spread
            .rotate_left(17)
            .wrapping_add(kind.wrapping_mul(0xa076_1d64_78bd_642f)),
    )
}

fn trials(dice: &mut SmallRng, n: u64, p: f64) -> u64 {
    if n == 0 || p <= 0.0 {
        return 0;
    }
    Binomial::new(n, p.min(1.0)).expect("a probability").sample(dice).min(n)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a Poisson draw is a small whole number"
)]
fn arrivals(dice: &mut SmallRng, mean: f64) -> u64 {
    if mean <= 0.0 {
        0
    } else {
        Poisson::new(mean).expect("a mean").sample(dice) as u64
    }
}

/// The counters of one run as a scrape at each look shows them, where the weight goes by the clock.
pub(crate) struct History<'a> {
    traffic: &'a Traffic,
    seed: u64,
    /// The weight at each time.
    weights: &'a dyn Fn(u64) -> Weight,
    /// Whether the scrapes have the times of answers; they cost most of the dice.
    timed: bool,
    scrapes: Vec<[Tally; 2]>,
}

impl<'a> History<'a> {
    pub(crate) fn new(traffic: &'a Traffic, seed: u64, weights: &'a dyn Fn(u64) -> Weight, timed: bool) -> Self {
        Self {
            traffic,
            seed,
            weights,
            timed,
            scrapes: vec![[Tally::default(); 2]],
        }
    }

    /// What is counted until then, in milliseconds. What was drawn once is kept.
    pub(crate) fn until(&mut self, at: u64) -> [Tally; 2] {
        let look = usize::try_from(at / self.traffic.tick).expect("a look");
        while self.scrapes.len() <= look {
            let last = self.scrapes.len() - 1;
            let mut scrape = self.scrapes[last];
            let at = last as u64 * self.traffic.tick;
            let mut new = self.traffic.draw(self.seed, last as u64, (self.weights)(at));
            if self.timed {
                self.traffic.time(self.seed, last as u64, &mut new);
            }
            for (sum, new) in scrape.iter_mut().zip(&new) {
                sum.add(new);
            }
            self.scrapes.push(scrape);
        }
        self.scrapes[look]
    }

    /// What comes in after this look at this weight, times and all: the same that was counted, if it is the weight at that time.
    pub(crate) fn after(&mut self, look: u64, weight: Weight) -> [Tally; 2] {
        let at = look * self.traffic.tick;
        let counted = (self.weights)(at) == weight;
        let mut new = if counted {
            let (next, now) = (self.until(at + self.traffic.tick), self.until(at));
            [STABLE, CANARY].map(|arm| next[arm].since(&now[arm]))
        } else {
            self.traffic.draw(self.seed, look, weight)
        };
        if !(counted && self.timed) {
            self.traffic.time(self.seed, look, &mut new);
        }
        new
    }

    pub(crate) const fn tick(&self) -> u64 {
        self.traffic.tick
    }

    /// What came in of one arm in the window that ends then.
    pub(crate) fn window(&mut self, arm: usize, at: u64, long: u64) -> Tally {
        let now = self.until(at)[arm];
        now.since(&self.until(at.saturating_sub(long))[arm])
    }

    /// When the canary's first request failed, in milliseconds: at random in the interval that has it.
    pub(crate) fn first_failure(&mut self, until: u64) -> Option<f64> {
        let mut at = 0;
        while at < until {
            at += self.traffic.tick;
            let failed = self.until(at)[CANARY].failed;
            if failed > 0 {
                // The first of so many, each anywhere in it.
                let chance: f64 = dice(self.seed, at, 4).random();
                let part = 1.0 - chance.powf(1.0 / number(failed));
                return Some(number(at - self.traffic.tick) + part * number(self.traffic.tick));
            }
        }
        None
    }
}
