use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Binomial as Dice, Distribution};

use super::super::{Increment, Judge};
use super::*;
use crate::canary::count::{Cases, Counts, Metered};
use crate::config::units::Weight;

const ORDERS: &str = "orders";

fn judge(names: &[&str]) -> Judge {
    Judge::new(Settings::new(0.01, 1.2)).and_by(names.iter().map(|name| (*name).to_owned()))
}

fn half() -> Weight {
    Weight::per_mille(500).unwrap()
}

const fn cases(total: u64, bad: u64) -> Cases {
    Cases { total, bad }
}

fn of(name: &str, stable: impl Into<Option<Cases>>, canary: impl Into<Option<Cases>>) -> Metered {
    let (stable, canary) = (stable.into(), canary.into());
    [(name.to_owned(), CasesOfBoth { stable, canary })].into()
}

/// Requests of which none fails.
fn requests(number: u64) -> Increment {
    let counts = Counts {
        sent: number,
        requests: number,
        ..Counts::default()
    };
    Increment {
        stable: counts,
        canary: counts,
        latencies: true,
    }
}

#[test]
fn without_metrics_evidence_is_what_it_is_without_them() {
    let (mut with_none, mut without) = (judge(&[]), Judge::new(Settings::new(0.01, 1.2)));
    let mut new = requests(100);
    new.canary.failed = 3;
    with_none.take_in(&of(ORDERS, cases(100, 0), cases(100, 100)));
    let evidence = with_none.observe(half(), &new);
    assert_eq!(evidence, without.observe(half(), &new));
    let text = serde_json::to_string(&evidence).unwrap();
    assert!(!text.contains("metrics"), "{text}");
    assert_eq!(serde_json::from_str::<super::super::Evidence>(&text).unwrap(), evidence);
}

#[test]
fn a_metric_that_goes_bad_at_the_canary_alone_is_harm_and_is_named() {
    let mut judge = judge(&[ORDERS, "refunds"]);
    judge.take_in(&of(ORDERS, cases(100, 0), cases(100, 40)));
    let evidence = judge.observe(half(), &requests(500));
    assert!(
        evidence.harm > judge.threshold() && evidence.errors <= 0.0,
        "{evidence:?}"
    );
    assert_eq!(evidence.worst(), Some(ORDERS));
    // Requests that fail speak for themselves.
    let mut judge = self::judge(&[ORDERS]);
    let mut new = requests(500);
    new.canary.failed = 200;
    let evidence = judge.observe(half(), &new);
    assert!(evidence.harm > judge.threshold(), "{evidence:?}");
    assert_eq!(evidence.worst(), None);
}

#[test]
fn what_is_bad_at_both_arms_is_no_harm_and_shown_to_be_safe() {
    let mut judge = judge(&[ORDERS]);
    judge.take_in(&of(ORDERS, cases(1_000, 400), cases(1_000, 410)));
    let evidence = judge.observe(half(), &requests(500));
    assert!(evidence.harm < 0.0 && evidence.safe > judge.threshold(), "{evidence:?}");
}

#[test]
fn a_step_is_not_safe_before_each_metric_shows_it() {
    let mut judge = judge(&[ORDERS, "refunds"]);
    let evidence = judge.observe(half(), &requests(5_000));
    // Requests would do alone.
    assert!(evidence.safe < judge.threshold(), "{evidence:?}");
    let needed = evidence.metrics[ORDERS].needed.unwrap();
    assert!((50..200).contains(&needed), "{needed}");
    judge.take_in(&of(ORDERS, cases(needed, 0), cases(needed, 0)));
    let evidence = judge.observe(half(), &requests(1));
    assert_eq!(evidence.metrics[ORDERS].needed, Some(0));
    assert!(evidence.safe < judge.threshold(), "one is not shown yet: {evidence:?}");
    judge.take_in(&of("refunds", cases(needed, 0), cases(needed, 0)));
    let evidence = judge.observe(half(), &requests(1));
    assert!(evidence.safe > judge.threshold(), "{evidence:?}");
    // Where stable has no traffic there is nothing to compare with, and the next step begins anew.
    judge.next_step();
    assert_eq!(judge.evidence(half()).metrics[ORDERS].needed, Some(needed));
    let evidence = judge.observe(Weight::ALL, &requests(500));
    assert!(evidence.safe > judge.threshold(), "{evidence:?}");
}

#[test]
fn what_is_not_known_is_no_evidence() {
    for (stable, canary) in [
        (None, None),
        (Some(cases(500, 0)), None),
        (None, Some(cases(0, 0))),
        (Some(cases(0, 0)), Some(cases(500, 500))),
    ] {
        let mut judge = judge(&[ORDERS]);
        judge.take_in(&of(ORDERS, stable, canary));
        let evidence = judge.observe(half(), &requests(500));
        assert!(evidence.harm < 0.0, "{evidence:?}");
        assert!(evidence.safe < judge.threshold(), "{evidence:?}");
    }
}

#[test]
fn more_bad_than_there_were_is_a_number() {
    let mut judge = judge(&[ORDERS]);
    for (total, bad) in [(10, 40), (0, 40), (u64::MAX, u64::MAX), (1, u64::MAX)] {
        judge.take_in(&of(ORDERS, cases(total, bad), cases(total, bad)));
        let evidence = judge.observe(half(), &requests(1));
        let own = evidence.metrics[ORDERS];
        let numbers = [evidence.harm, evidence.safe, own.harm, own.safe];
        assert!(numbers.iter().all(|number| number.is_finite()), "{evidence:?}");
    }
}

/// The mean of what harm comes to where no arm is worse: an e-value's is at most 1, and with it the chance to reach 1/alpha.
#[test]
fn four_metrics_of_a_canary_that_is_no_worse_have_an_expectation_of_at_most_1() {
    const RUNS: u32 = 400;
    let names = ["a", "b", "c", "d"];
    let mut dice = StdRng::seed_from_u64(7);
    let mut drawn = |n: u64, p: f64| Dice::new(n, p).unwrap().sample(&mut dice);
    let (mut sum, mut rolled_back) = (0.0, 0);
    for _ in 0..RUNS {
        let mut judge = judge(&names);
        let mut reached = false;
        for look in 0..10_u64 {
            // The rate of both drifts, and the split with it; tolerance is spent to the full.
            let (stable, canary) = (50 + look, 10 + 3 * look);
            let rate = 0.02 + 0.01 * f64::from(u32::try_from(look % 7).unwrap());
            let mut new = requests(200);
            (new.stable.failed, new.canary.failed) = (drawn(200, rate), drawn(200, rate * 1.2));
            for name in names {
                let bad = [drawn(stable, rate), drawn(canary, rate * 1.2)];
                judge.take_in(&of(name, cases(stable, bad[0]), cases(canary, bad[1])));
            }
            let evidence = judge.observe(half(), &new);
            reached |= evidence.harm >= judge.threshold();
        }
        sum += libm::exp(judge.evidence(half()).harm);
        rolled_back += u32::from(reached);
    }
    let mean = sum / f64::from(RUNS);
    assert!(mean < 1.1, "{mean}");
    // At most 1 %, within three standard deviations.
    assert!(
        f64::from(rolled_back) / f64::from(RUNS) < 0.025,
        "{rolled_back} of {RUNS}"
    );
}
