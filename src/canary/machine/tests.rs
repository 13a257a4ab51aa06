//! The machine against worlds that obey, and worlds that do not.

use proptest::prelude::*;

use super::*;
use crate::canary::count::{Cases, CasesOfBoth};
use crate::canary::judge::Settings;
use crate::config::metrics::Metrics;

fn plan() -> Plan {
    Plan {
        steps: [100, 500, 1000].iter().filter_map(|w| Weight::per_mille(*w)).collect(),
        hold: 10_000,
        patience: 100_000,
        settle: 5_000,
        interval: 1_000,
        judge: Settings::new(0.01, 1.2),
        gates: Vec::new(),
        on_stop: OnStop::Rollback,
        metrics: Metrics::default(),
    }
}

fn counts(requests: u64, failed: u64) -> Counts {
    Counts {
        sent: requests,
        requests,
        failed,
        ..Counts::default()
    }
}

/// A world of 200 requests a second in which the router obeys; the canary fails `share` in a hundred.
struct World {
    machine: Machine,
    at: u64,
    weight: Weight,
    stable: Counts,
    canary: Counts,
    metrics: Metered,
    /// Each request is an order; so many in a hundred are bad at the canary, two at stable.
    orders: Option<u64>,
    share: u64,
    latencies: bool,
    /// How old counters may be.
    lag: u64,
    /// Whether the counters are of what stands by.
    standby: bool,
    decisions: Vec<Decision>,
}

impl World {
    fn new(share: u64) -> Self {
        let (stable, canary) = (Counts::default(), Counts::default());
        Self {
            machine: Machine::new(plan()),
            at: 0,
            weight: Weight::NONE,
            stable,
            canary,
            metrics: Metered::new(),
            orders: None,
            share,
            latencies: true,
            lag: 0,
            standby: false,
            decisions: Vec::new(),
        }
    }

    fn tell(&mut self, input: &Input) -> Option<Outcome> {
        let decision = self.machine.step(input);
        let mut end = None;
        for effect in &decision.effects {
            match effect {
                Effect::Write(weight) => self.weight = *weight,
                Effect::End(outcome) => end = Some(*outcome),
            }
        }
        self.decisions.push(decision);
        end
    }

    fn tick(&mut self) -> Option<Outcome> {
        self.at += 1_000;
        let canary = u64::from(self.weight.get()) * 200 / 1_000;
        self.canary.sent += canary;
        self.canary.requests += canary;
        self.canary.failed += canary * self.share / 100;
        self.stable.sent += 200 - canary;
        self.stable.requests += 200 - canary;
        if let Some(bad) = self.orders {
            let of = |total: u64, bad: u64| Some(Cases { total, bad });
            let (stable, sold) = (self.stable.requests, self.canary.requests);
            let (stable, canary) = (of(stable, stable / 50), of(sold, sold * bad / 100));
            self.metrics.insert("orders".into(), CasesOfBoth { stable, canary });
        }
        let input = self.counters();
        self.tell(&input)
    }

    fn counters(&self) -> Input {
        Input::Counters {
            at: self.at,
            weight: self.weight,
            stable: self.stable,
            canary: self.canary,
            metrics: self.metrics.clone(),
            latencies: self.latencies,
            counted: self.at.saturating_sub(self.lag / 2),
            lag: self.lag,
            instead: self.standby.then(|| "connection refused".to_owned()),
        }
    }

    fn run(&mut self) -> Outcome {
        (0..1_000).find_map(|_| self.tick()).expect("it ends")
    }

    fn reasons(&self) -> Vec<&Reason> {
        let mut reasons: Vec<&Reason> = self.decisions.iter().map(|d| &d.reason).collect();
        reasons.dedup();
        reasons
    }
}

#[test]
fn a_good_canary_goes_all_the_way_and_holds_every_step() {
    let mut world = World::new(0);
    assert_eq!(world.run(), Outcome::Promoted);
    assert_eq!(world.weight, Weight::ALL);
    let written: Vec<&Effect> = world.decisions.iter().flat_map(|d| &d.effects).collect();
    let steps: Vec<u16> = written
        .iter()
        .filter_map(|e| if let Effect::Write(w) = e { Some(w.get()) } else { None })
        .collect();
    assert_eq!(steps, [100, 500, 1000]);
    assert!(world.at >= 3 * plan().hold, "{}", world.at);
}

#[test]
fn a_bad_canary_is_rolled_back_and_the_end_waits_for_the_read_back() {
    let mut world = World::new(30);
    assert_eq!(world.run(), Outcome::RolledBack);
    assert_eq!(world.weight, Weight::NONE);
    assert!(
        world.reasons().ends_with(&[&Reason::Harm, &Reason::Returned]),
        "{:?}",
        world.reasons()
    );
}

#[test]
fn before_the_first_write_nothing_of_somebody_elses_is_overwritten() {
    let half = Weight::per_mille(500).unwrap();
    let (stop, by) = (0, Stopper::Interrupt);
    let lost = |at, weight| Input::Lost {
        at,
        weight,
        why: "refused".into(),
    };
    for (found, end) in [(Weight::NONE, Outcome::Interrupted), (half, Outcome::Conflict)] {
        let mut world = World::new(0);
        world.weight = found;
        assert_eq!(world.tell(&Input::Stop { at: stop, by }), None);
        assert_eq!(world.tell(&lost(1, None)), None);
        assert_eq!((world.tick(), world.weight), (Some(end), found));
    }
    let mut world = World::new(0);
    world.weight = half;
    let end = (0..100).find_map(|at| world.tell(&lost(at * 1_000, None)));
    assert_eq!((end, world.weight), (Some(Outcome::Stuck), half));
}

#[test]
fn a_write_that_failed_and_is_in_force_all_the_same_is_seen() {
    let mut world = World::new(0);
    for _ in 0..4 {
        world.tick();
    }
    let refused = |at, weight: u16| Input::Lost {
        at,
        weight: Weight::per_mille(weight),
        why: "refused".into(),
    };
    assert_eq!(world.tell(&refused(world.at, 100)), None);
    assert_eq!(world.tell(&refused(world.at + 6_000, 100)), None);
    assert_eq!(world.tell(&refused(world.at + 6_001, 0)), Some(Outcome::CouldNotTell));
}

#[test]
fn a_router_that_does_not_obey_is_stuck_and_never_done() {
    let mut world = World::new(0);
    for _ in 0..4 {
        world.tick();
    }
    assert_eq!(
        world.tell(&Input::Stop {
            at: world.at,
            by: Stopper::Interrupt
        }),
        None
    );
    let half = Weight::per_mille(500).unwrap();
    let end = (0..100).find_map(|_| {
        world.weight = half;
        world.tick()
    });
    assert_eq!(end, Some(Outcome::Stuck));
    let writes = world
        .decisions
        .iter()
        .filter(|d| d.effects == [Effect::Write(Weight::NONE)])
        .count();
    assert!(writes >= 3, "it is tried again: {writes}");
}

#[test]
fn asked_twice_it_looks_once_more_and_says_what_it_saw() {
    for (obeys, end) in [(true, Outcome::Interrupted), (false, Outcome::Stuck)] {
        let mut world = World::new(0);
        for _ in 0..4 {
            world.tick();
        }
        let stop = Input::Stop {
            at: world.at,
            by: Stopper::Interrupt,
        };
        assert_eq!((world.tell(&stop), world.tell(&stop)), (None, None));
        if !obeys {
            world.weight = Weight::per_mille(500).unwrap();
        }
        assert_eq!(world.tick(), Some(end));
    }
}

#[test]
fn a_weight_that_does_not_come_into_force_ends_in_stable() {
    let mut world = World::new(0);
    let end = (0..100).find_map(|_| {
        if world.weight.get() == 100 {
            world.weight = Weight::per_mille(0).unwrap();
        }
        world.tick()
    });
    assert_eq!((end, world.weight), (Some(Outcome::CouldNotTell), Weight::NONE));
}

#[test]
fn somebody_elses_weight_is_not_overwritten() {
    let mut world = World::new(0);
    for _ in 0..4 {
        world.tick();
    }
    world.weight = Weight::per_mille(250).unwrap();
    assert_eq!((world.tick(), world.weight.get()), (Some(Outcome::Conflict), 250));
}

#[test]
fn a_release_does_not_begin_on_somebody_elses_nor_takes_it_for_a_slow_router() {
    let half = Weight::per_mille(500).unwrap();
    let mut world = World::new(0);
    world.weight = half;
    assert_eq!((world.tick(), world.weight), (Some(Outcome::Conflict), half));
    let mut world = World::new(0);
    assert_eq!(world.tick(), None);
    world.weight = half;
    assert_eq!((world.tick(), world.weight), (Some(Outcome::Conflict), half));
}

#[test]
fn without_counters_nothing_moves_and_patience_ends_in_stable() {
    let mut world = World::new(0);
    for _ in 0..4 {
        world.tick();
    }
    let before = world.decisions.len();
    let end = (0..1_000).find_map(|_| {
        world.at += 1_000;
        let input = Input::Blind {
            at: world.at,
            weight: world.weight,
            why: "refused".into(),
        };
        world.tell(&input)
    });
    assert_eq!((end, world.weight), (Some(Outcome::CouldNotTell), Weight::NONE));
    assert!(world.at >= plan().patience);
    assert!(world.decisions[before..].iter().all(|d| d.evidence.harm <= 0.0));
}

#[test]
fn no_traffic_neither_promotes_nor_rolls_back() {
    let mut world = World::new(0);
    let end = (0..1_000).find_map(|_| {
        world.at += 1_000;
        let input = world.counters();
        world.tell(&input)
    });
    assert_eq!(end, Some(Outcome::CouldNotTell));
    assert!(!world.reasons().contains(&&Reason::Harm) && !world.reasons().contains(&&Reason::Safe));
}

#[test]
fn a_step_does_not_end_while_the_canary_may_be_worse() {
    let mut world = World::new(0);
    while world.machine.step == 0 {
        world.canary.slower = [world.canary.requests; crate::canary::EDGES.len()];
        assert!(
            world.tick().is_none_or(|end| end == Outcome::RolledBack),
            "it is not promoted"
        );
        if matches!(world.machine.state, State::Over) {
            break;
        }
    }
    assert_eq!(world.machine.step, 0);
    assert!(world.reasons().contains(&&Reason::Harm), "{:?}", world.reasons());
}

#[test]
fn where_latencies_say_nothing_no_step_ends_and_failures_still_count() {
    let mut world = World::new(0);
    world.latencies = false;
    let end = (0..200).find_map(|_| {
        // All the canary's answers are slow: nobody knows why.
        world.canary.slower = [world.canary.requests; crate::canary::EDGES.len()];
        world.tick()
    });
    assert_eq!((end, world.machine.step), (Some(Outcome::CouldNotTell), 0));
    assert!(world.reasons().contains(&&Reason::Blurred), "{:?}", world.reasons());
    let mut world = World::new(0);
    for tick in 0..60 {
        world.latencies = tick % 2 == 0;
        world.tick();
    }
    // Half of the time counts: each hold takes twice as long.
    let entered = world.decisions.iter().filter(|d| d.reason == Reason::Safe).count();
    assert_eq!((entered, world.machine.step), (2, 2));
    let mut world = World::new(30);
    world.latencies = false;
    assert_eq!(world.run(), Outcome::RolledBack);
}

#[test]
fn a_restarted_counter_begins_at_zero() {
    assert_eq!(counts(5, 1).since(&counts(100, 3)), counts(5, 1));
    assert_eq!(counts(105, 4).since(&counts(100, 3)), counts(5, 1));
}

fn input() -> impl Strategy<Value = (u8, u16, u64, u64, bool)> {
    (0u8..16, 0u16..=1000, 0u64..400, 0u64..400, any::<bool>())
}

const fn asks(number: u16, from: Weight) -> Ask {
    match number % 7 {
        0 => Ask::Pause,
        1 => Ask::Go,
        2 => Ask::Promote { from },
        3 => Ask::Finish { from },
        4 => Ask::Freeze,
        5 => Ask::Thaw,
        _ => Ask::Abort,
    }
}

proptest! {
    /// Whatever is seen: an end that claims stable or the canary has read that weight back, and after an end nothing is written.
    #[test]
    fn no_end_claims_what_was_not_read_back(inputs in prop::collection::vec(input(), 1..300)) {
        let mut world = World::new(0);
        let mut over = false;
        for (kind, weight, stable, canary, obey) in inputs {
            world.at += 700;
            world.stable.requests += stable;
            world.canary.requests += canary;
            world.canary.failed += canary / 50;
            let read = if obey { world.weight } else { Weight::per_mille(weight).unwrap() };
            let input = match kind {
                0 => Input::Stop { at: world.at, by: Stopper::Terminate },
                1 => Input::Lost { at: world.at, weight: obey.then_some(read), why: "refused".into() },
                2 => Input::Blind { at: world.at, weight: read, why: "refused".into() },
                3 => Input::Asked { at: world.at, ask: asks(weight, read), by: "ann".into() },
                4 => Input::Resumed { at: world.at, weight: read, by: "ben".into() },
                5 => Input::Moving { at: world.at, to: read, why: "slow".into() },
                _ => Input::Counters { at: world.at, weight: read, stable: world.stable, canary: world.canary, metrics: world.metrics.clone(), latencies: obey, counted: world.at, lag: 0, instead: None },
            };
            let known = kind == 2 || kind > 5 || (kind == 1 && obey);
            let end = world.tell(&input);
            let last = world.decisions.last().unwrap();
            prop_assert!(!over || last.effects.is_empty());
            match end {
                Some(Outcome::Promoted) => prop_assert!(known && read == Weight::ALL),
                Some(
                    Outcome::RolledBack
                    | Outcome::CouldNotTell
                    | Outcome::Aborted
                    | Outcome::Interrupted
                    | Outcome::Terminated,
                ) => prop_assert!(known && read == Weight::NONE),
                Some(Outcome::Held) => prop_assert!(false, "it puts traffic back"),
                Some(Outcome::Conflict | Outcome::Stuck) | None => {}
            }
            over |= end.is_some();
        }
    }

    /// Once a weight was written, asking to stop writes 0 at once, unless the release is over or on its way back.
    #[test]
    fn the_way_back_has_no_precondition(inputs in prop::collection::vec(input(), 0..60)) {
        let mut world = World::new(0);
        world.tick();
        for (_, _, stable, canary, _) in inputs {
            world.at += 700;
            world.stable.requests += stable;
            world.canary.requests += canary;
            let input = world.counters();
            if world.tell(&input).is_some() {
                return Ok(());
            }
        }
        if matches!(world.machine.state, State::Returning(_)) {
            return Ok(());
        }
        world.tell(&Input::Stop { at: world.at, by: Stopper::Interrupt });
        prop_assert_eq!(&world.decisions.last().unwrap().effects, &[Effect::Write(Weight::NONE)]);
    }
}

#[test]
fn a_canary_that_is_not_ready_loses_its_traffic_at_once() {
    let mut world = World::new(0);
    for _ in 0..3 {
        assert_eq!(world.tick(), None);
    }
    let (at, weight) = (world.at + 1, world.weight);
    assert_ne!(weight, Weight::NONE);
    let why = "none of 2 pods is ready".to_owned();
    assert_eq!(world.tell(&Input::Unready { at, weight, why }), None);
    assert_eq!(world.weight, Weight::NONE);
    assert_eq!(world.tick(), Some(Outcome::RolledBack));
}

#[test]
fn before_it_has_traffic_nothing_is_written_for_it() {
    let mut world = World::new(0);
    let (at, weight, why) = (0, Weight::NONE, String::new());
    let end = world.tell(&Input::Unready { at, weight, why });
    assert_eq!((end, world.decisions[0].effects.len()), (None, 0));
    assert_eq!(world.tick(), Some(Outcome::CouldNotTell));
}

#[test]
fn a_release_that_somebody_else_drives_is_left_alone() {
    for ticks in 0..4 {
        let mut world = World::new(0);
        for _ in 0..ticks {
            world.tick();
        }
        let (at, weight, why) = (world.at + 1, None, String::new());
        let before = world.weight;
        let end = world.tell(&Input::Taken { at, weight, why });
        assert_eq!((end, world.weight), (Some(Outcome::Conflict), before));
    }
}

#[test]
fn requests_of_the_weight_before_are_no_evidence_of_a_wrong_split() {
    for (lag, split) in [(4_000, false), (0, true)] {
        let mut world = World::new(0);
        world.lag = lag;
        // The first step is in force; what is counted for some looks more was all sent to stable.
        for _ in 0..4 {
            world.at += 1_000;
            world.stable.sent += 200;
            world.stable.requests += 200;
            world.tell(&world.counters());
        }
        let judged = world.decisions.last().expect("a decision").evidence.split > 6.0;
        assert_eq!(judged, split, "with counters up to {lag} ms old");
    }
}

impl World {
    fn asked(&mut self, ask: Ask) {
        let (at, by) = (self.at, "ann@desk".to_owned());
        assert_eq!(self.tell(&Input::Asked { at, ask, by }), None);
    }

    /// So many looks, and the release goes on.
    fn ticks(&mut self, number: usize) {
        for _ in 0..number {
            assert_eq!(self.tick(), None);
        }
    }

    /// Another driver goes on from what the first one wrote down.
    fn resumed(&mut self) -> Option<Outcome> {
        let (at, weight, by) = (self.at + 60_000, self.weight, "ben@desk".to_owned());
        self.at = at;
        self.tell(&Input::Resumed { at, weight, by })
    }

    fn last(&self) -> &Reason {
        &self.decisions.last().expect("a decision").reason
    }
}

#[test]
fn a_release_that_is_paused_takes_no_step_and_goes_on_when_it_is_asked_to() {
    let mut world = World::new(0);
    world.ticks(4);
    world.asked(Ask::Pause);
    // Longer than its patience, which is for proof and not for people.
    world.ticks(200);
    assert_eq!((world.weight.get(), world.last()), (100, &Reason::Paused));
    world.asked(Ask::Go);
    assert_eq!((world.tick(), world.weight.get()), (None, 500));
    assert_eq!(world.run(), Outcome::Promoted);
}

#[test]
fn in_a_freeze_no_step_is_taken_by_anybody_and_a_bad_canary_goes_back() {
    let mut world = World::new(0);
    world.ticks(3);
    world.asked(Ask::Freeze);
    let from = world.weight;
    world.asked(Ask::Promote { from });
    world.at += 3 * WORD;
    world.ticks(200);
    assert_eq!((world.weight.get(), world.last()), (100, &Reason::Frozen));
    world.asked(Ask::Thaw);
    assert_eq!((world.tick(), world.weight.get()), (None, 500));
    let mut world = World::new(30);
    world.ticks(2);
    world.asked(Ask::Freeze);
    assert_eq!(world.run(), Outcome::RolledBack);
}

#[test]
fn a_pause_does_not_protect_a_bad_canary_and_does_not_last_for_ever() {
    let mut world = World::new(30);
    world.ticks(2);
    world.asked(Ask::Pause);
    assert_eq!(world.run(), Outcome::RolledBack);
    let mut world = World::new(0);
    world.ticks(4);
    world.asked(Ask::Pause);
    world.at += WORD;
    assert_eq!((world.run(), world.weight), (Outcome::CouldNotTell, Weight::NONE));
}

#[test]
fn a_step_that_a_person_takes_as_done_is_followed_by_the_next_and_no_other() {
    let mut world = World::new(0);
    world.ticks(3);
    let from = world.weight;
    world.asked(Ask::Promote { from });
    world.ticks(1);
    assert_eq!((world.weight.get(), world.last()), (500, &Reason::Promoted));
    // The same word again, as another driver would hear it: it is about another step.
    world.asked(Ask::Promote { from });
    world.ticks(4);
    assert_eq!(world.weight.get(), 500);
    let mut world = World::new(0);
    world.ticks(3);
    world.asked(Ask::Finish { from });
    world.ticks(1);
    assert_eq!((world.weight, world.run()), (Weight::ALL, Outcome::Promoted));
}

#[test]
fn a_gate_waits_for_a_person_and_a_bad_canary_does_not() {
    let gated = |share| {
        let mut world = World::new(share);
        let mut plan = plan();
        plan.gates = vec![plan.steps[0]];
        world.machine = Machine::new(plan);
        world
    };
    let mut world = gated(0);
    world.ticks(300);
    assert_eq!((world.weight.get(), world.last()), (100, &Reason::Gate));
    let from = world.weight;
    world.asked(Ask::Promote { from });
    assert_eq!(world.run(), Outcome::Promoted);
    assert_eq!(gated(30).run(), Outcome::RolledBack);
}

#[test]
fn who_is_asked_to_go_back_does_and_says_so_when_it_is_read_back() {
    for ticks in 0..5 {
        let mut world = World::new(0);
        world.ticks(ticks);
        world.asked(Ask::Abort);
        assert_eq!((world.weight, world.tick()), (Weight::NONE, Some(Outcome::Aborted)));
    }
}

#[test]
fn a_release_that_was_left_goes_on_at_the_same_step() {
    for ticks in 1..30 {
        let mut world = World::new(0);
        world.ticks(ticks);
        let (step, weight) = (world.machine.step, world.weight);
        assert_eq!(world.resumed(), None);
        assert_eq!((world.machine.step, world.weight), (step, weight));
        assert_eq!(world.run(), Outcome::Promoted, "left after {ticks} looks");
        let mut steps: Vec<usize> = world.decisions.iter().map(|d| d.step).collect();
        steps.dedup();
        assert_eq!(steps, [0, 1, 2]);
    }
}

#[test]
fn what_was_decided_and_not_done_is_done_by_the_next_driver() {
    // The first driver ends before it writes its first weight, its second one, and the way back.
    for (share, before) in [(0, 0), (0, 100), (30, 100)] {
        let mut world = World::new(share);
        let before = Weight::per_mille(before).unwrap();
        while world.weight == before || world.decisions.is_empty() {
            world.ticks(1);
        }
        let asked = world.weight;
        world.weight = before;
        assert_eq!(world.resumed(), None);
        assert_eq!(world.weight, asked);
        assert_eq!(
            world.run(),
            if share == 0 {
                Outcome::Promoted
            } else {
                Outcome::RolledBack
            }
        );
    }
}

#[test]
fn without_a_journal_the_step_is_that_of_the_weight() {
    let mut world = World::new(0);
    world.weight = Weight::per_mille(500).unwrap();
    assert_eq!(world.resumed(), None);
    assert_eq!(world.run(), Outcome::Promoted);
    assert!(world.decisions.iter().all(|d| d.step > 0));
    let mut world = World::new(0);
    world.weight = Weight::per_mille(250).unwrap();
    assert_eq!((world.resumed(), world.weight.get()), (Some(Outcome::Conflict), 250));
}

#[test]
fn what_others_did_while_nobody_drove_is_obeyed() {
    for (found, end, reason) in [
        (0, None, Reason::Aborted),
        (250, Some(Outcome::Conflict), Reason::Conflict),
    ] {
        let mut world = World::new(0);
        world.ticks(18);
        assert_eq!(world.weight.get(), 500);
        world.weight = Weight::per_mille(found).unwrap();
        assert_eq!((world.resumed(), world.last()), (end, &reason));
        assert_eq!(world.weight.get(), found);
    }
}

#[test]
fn a_router_that_is_silent_for_a_moment_ends_nothing() {
    let mut world = World::new(0);
    world.ticks(1);
    for _ in 0..200 {
        let (at, weight, why) = (world.at + 500, None, "refused".to_owned());
        assert_eq!(world.tell(&Input::Lost { at, weight, why }), None);
        if let Some(end) = world.tick() {
            assert_eq!(end, Outcome::Promoted);
            return;
        }
    }
    panic!("it does not end");
}

#[test]
fn a_driver_that_is_to_hold_leaves_traffic_and_another_goes_on() {
    let mut world = World::new(0);
    let mut plan = plan();
    plan.on_stop = OnStop::Hold;
    world.machine = Machine::new(plan);
    world.ticks(4);
    let (at, by, weight) = (world.at, Stopper::Interrupt, world.weight);
    assert_eq!(world.tell(&Input::Stop { at, by }), Some(Outcome::Held));
    assert_eq!((world.weight, world.resumed()), (weight, None));
    assert_eq!(world.run(), Outcome::Promoted);
}

#[test]
fn requests_while_somebody_elses_weight_was_put_right_are_no_evidence_of_a_wrong_split() {
    for (seen, split) in [(true, false), (false, true)] {
        let mut world = World::new(0);
        world.ticks(4);
        for _ in 0..4 {
            world.at += 1_000;
            world.stable.sent += 200;
            world.stable.requests += 200;
            if seen {
                let (at, to, why) = (world.at, world.weight, "applied again".to_owned());
                world.tell(&Input::Moving { at, to, why });
            }
            world.tell(&world.counters());
        }
        let judged = world.decisions.last().expect("a decision").evidence.split > 6.0;
        assert_eq!(judged, split, "seen: {seen}");
    }
}

/// A world in which a release is judged by orders too.
fn with_orders(orders: Option<u64>) -> World {
    let mut plan = plan();
    let metrics =
        serde_json::json!([{"name": "orders", "total": "orders_total", "bad": "orders_total{result=\"bad\"}"}]);
    plan.metrics = serde_json::from_value(metrics).unwrap();
    World {
        machine: Machine::new(plan),
        orders,
        ..World::new(0)
    }
}

#[test]
fn a_canary_whose_own_counters_are_worse_is_rolled_back_whatever_its_requests_say() {
    let mut world = with_orders(Some(30));
    assert_eq!((world.run(), world.weight), (Outcome::RolledBack, Weight::NONE));
    let harm = world.decisions.iter().find(|d| d.reason == Reason::Harm).unwrap();
    assert!(harm.evidence.errors <= 0.0, "{harm:?}");
    assert_eq!(harm.evidence.worst(), Some("orders"));
    let mut world = with_orders(Some(2));
    assert_eq!((world.run(), world.weight), (Outcome::Promoted, Weight::ALL));
}

#[test]
fn a_metric_without_data_neither_rolls_back_nor_promotes() {
    let mut world = with_orders(None);
    assert_eq!((world.run(), world.machine.step), (Outcome::CouldNotTell, 0));
    assert!(world.reasons().contains(&&Reason::Patience), "{:?}", world.reasons());
    // Nor one that has stable's alone.
    let mut world = with_orders(None);
    let stable = Some(Cases { total: 500, bad: 0 });
    let canary = None;
    world.metrics.insert("orders".into(), CasesOfBoth { stable, canary });
    assert_eq!((world.run(), world.machine.step), (Outcome::CouldNotTell, 0));
    // A person may take it as done all the same.
    let mut world = with_orders(None);
    world.ticks(3);
    let from = world.weight;
    world.asked(Ask::Finish { from });
    assert_eq!((world.run(), world.weight), (Outcome::Promoted, Weight::ALL));
}

#[test]
fn what_another_driver_counts_of_a_metric_begins_anew() {
    let mut world = with_orders(Some(2));
    world.ticks(4);
    assert_eq!(world.resumed(), None);
    (world.stable, world.canary) = (Counts::default(), Counts::default());
    assert_eq!(world.run(), Outcome::Promoted);
}

#[test]
fn by_the_counters_of_what_stands_by_no_step_ends_and_a_bad_canary_goes_back() {
    let until_first_step = |share| {
        let mut world = World::new(share);
        while world.weight == Weight::NONE || world.decisions.last().unwrap().reason == Reason::Settling {
            assert_eq!(world.tick(), None);
        }
        world.standby = true;
        world
    };
    let mut good = until_first_step(0);
    for _ in 0..60 {
        assert_eq!(good.tick(), None);
    }
    let last = good.decisions.last().unwrap();
    assert_eq!((last.step, &last.reason), (0, &Reason::Standby));
    // It was shown to be safe all the while.
    assert!(last.evidence.safe >= good.machine.threshold());
    good.standby = false;
    good.tick();
    assert_eq!(good.decisions.last().unwrap().reason, Reason::Safe);

    let mut bad = until_first_step(50);
    let end = (0..30).find_map(|_| bad.tick());
    assert_eq!(end, Some(Outcome::RolledBack));
}

#[test]
fn a_driver_that_died_while_it_wrote_left_objects_with_the_weight_before_and_the_one_it_wrote() {
    let weights = |all: &[u16]| -> Vec<Weight> { all.iter().filter_map(|w| Weight::per_mille(*w)).collect() };
    let mut world = World::new(0);
    world.tick();
    assert_eq!(world.machine.asked, weights(&[100])[0]);
    for (shares, left) in [
        (&[100, 0][..], Some(Weight::NONE)),
        (&[0, 100, 100], Some(Weight::NONE)),
        (&[100, 100], None),
        (&[100, 500], None),
        (&[0, 500], None),
    ] {
        assert_eq!(world.machine.left_between(&weights(shares)), left, "{shares:?}");
    }
    let stop = Input::Stop {
        at: world.at + 1,
        by: Stopper::Interrupt,
    };
    world.machine.step(&stop);
    assert_eq!(
        world.machine.left_between(&weights(&[0, 100])),
        Some(weights(&[100])[0])
    );
}
