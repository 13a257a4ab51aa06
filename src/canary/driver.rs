//! The driver of a release: looks, lets the machine decide, writes the journal, does what was decided.
//!
//! Whatever goes wrong with the journal or the meter, the write back to stable is still made and read back.

use std::time::Duration;

use super::journal::Journal;
use super::machine::{Ask, Decision, Effect, Input, Machine, Outcome, Reason, Stopper};
use super::replay::outcome;
use super::{Meter, Router, Seen};
use crate::config::freeze::Freeze;
use crate::config::units::Weight;
use crate::failure::{Failure, Kind};
use crate::process::{Clock, Interrupt};

/// How long it is until what was written is read back.
const AT_ONCE: Duration = Duration::from_millis(20);

/// How long it is between two looks at a weight that is not in force yet.
const MOVING: Duration = Duration::from_millis(250);

/// What a release is driven with.
#[derive(Debug)]
pub struct Driver<'a, R, M> {
    /// What decides.
    pub machine: Machine,
    /// What moves traffic.
    pub router: R,
    /// What sees it.
    pub meter: M,
    /// What is kept.
    pub journal: Journal,
    /// Who may stop it.
    pub interrupt: &'a Interrupt,
    /// Where another driver left it; none for a release that begins.
    pub takes_over: Option<TakeOver>,
    /// When it takes no step.
    pub freezes: Vec<Freeze>,
}

/// A release that another driver left.
#[derive(Clone, Debug)]
pub struct TakeOver {
    /// How long ago it began.
    pub age: Duration,
    /// The weight that is asked for, as it stands.
    pub weight: Weight,
    /// Who goes on.
    pub by: String,
}

/// How a driven release ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// How.
    pub outcome: Outcome,
    /// The weight in force at the end, read back; none if the router does not say.
    pub weight: Option<Weight>,
    /// How long it took.
    pub took: Duration,
}

impl<R: Router, M: Meter> Driver<'_, R, M> {
    /// Runs the release to its end. `see` is told of everything that is seen and decided.
    pub fn run(&mut self, see: &mut dyn FnMut(&Input, &Decision)) -> Result<End, Failure> {
        let clock = Clock::start();
        let before = self.takes_over.as_ref().map_or(Duration::ZERO, |left| left.age);
        let interval = Duration::from_millis(self.machine.plan().interval);
        let mut lost = None;
        let mut moved = self.takes_over.is_some();
        loop {
            let input = self.look(before + clock.elapsed(), lost.take());
            let decision = self.machine.step(&input);
            if let Err(failure) = self.journal.add(&input, &decision) {
                let ours = moved && outcome(&decision) != Some(Outcome::Conflict);
                return Err(self.abandon(failure, ours));
            }
            see(&input, &decision);
            for effect in &decision.effects {
                if let Effect::Write(weight) = effect {
                    moved = true;
                    lost = self.router.write(*weight).err().map(|failure| (*weight, failure));
                }
            }
            if let Some(outcome) = outcome(&decision) {
                return Ok(End {
                    outcome,
                    weight: self.router.read().ok().as_ref().and_then(known),
                    took: before + clock.elapsed(),
                });
            }
            // What was written is read back at once; only an undisturbed step waits.
            self.pause(match decision.reason {
                _ if !decision.effects.is_empty() => AT_ONCE.min(interval),
                Reason::Asked => AT_ONCE.min(interval),
                Reason::Settling | Reason::Returning | Reason::Lost => MOVING.min(interval),
                _ => interval,
            });
        }
    }

    /// `lost` is the weight that could not be written, and why.
    fn look(&mut self, at: Duration, lost: Option<(Weight, Failure)>) -> Input {
        let at = millis(at);
        if let Some(TakeOver { weight, by, .. }) = self.takes_over.take() {
            return Input::Resumed { at, weight, by };
        }
        if let Some(kind) = self.interrupt.asked() {
            self.interrupt.forget();
            let by = if kind == Kind::Terminated {
                Stopper::Terminate
            } else {
                Stopper::Interrupt
            };
            return Input::Stop { at, by };
        }
        let seen = match (lost, self.router.read()) {
            // Back to stable it is tried again, whatever stands there; forward, somebody else's weight stays.
            (Some((Weight::NONE, failure)), read) => {
                return unanswered(at, read.ok().as_ref().and_then(known), &failure);
            }
            (Some((_, failure)), read) => return refused(at, read.ok().as_ref().and_then(known), &failure),
            (None, Err(failure)) => return refused(at, None, &failure),
            (None, Ok(seen)) => seen,
        };
        let (weight, moving) = match seen {
            Seen::InForce(weight) => (weight, None),
            Seen::Moving(weight, why) => (weight, Some(why)),
            Seen::Others(weight, why) => {
                let weight = Some(weight);
                return Input::Taken { at, weight, why };
            }
        };
        if let Some((ask, by)) = self.router.asked().or_else(|| self.freeze()) {
            return Input::Asked { at, ask, by };
        }
        if let Some(why) = self.router.unready() {
            return Input::Unready { at, weight, why };
        }
        if let Some(why) = moving {
            return Input::Moving { at, to: weight, why };
        }
        match self.meter.read() {
            Ok(reading) => Input::Counters {
                at,
                weight,
                stable: reading.stable,
                canary: reading.canary,
                metrics: reading.metrics,
                latencies: reading.latencies,
                counted: millis(reading.at),
                lag: millis(reading.lag),
                instead: reading.instead,
            },
            Err(failure) => Input::Blind {
                at,
                weight,
                why: failure.with_causes(),
            },
        }
    }

    /// Whether a freeze began or ended.
    fn freeze(&self) -> Option<(Ask, String)> {
        let freeze = Freeze::in_force(&self.freezes, Clock::now());
        match (freeze, self.machine.is_frozen()) {
            (Some(freeze), false) => Some((Ask::Freeze, format!("the freeze {freeze}"))),
            (None, true) => Some((Ask::Thaw, "the freeze".into())),
            _ => None,
        }
    }

    fn pause(&mut self, interval: Duration) {
        let clock = Clock::start();
        while clock.elapsed() < interval && self.interrupt.asked().is_none() && !self.router.rang() {
            // A bell and a signal wake it.
            std::thread::park_timeout(interval.saturating_sub(clock.elapsed()));
        }
    }

    /// The journal cannot be kept: no release goes on in the dark. A weight that is somebody else's stays.
    fn abandon(&mut self, failure: Failure, ours: bool) -> Failure {
        if !ours {
            return failure.note("The release was given up; no weight was written over somebody else's.");
        }
        let clock = Clock::start();
        let mut found = self.router.write(Weight::NONE).and_then(|()| self.router.read());
        while matches!(found, Ok(Seen::Moving(..))) && millis(clock.elapsed()) < self.machine.plan().settle {
            self.pause(MOVING);
            found = self.router.read();
        }
        match found {
            Ok(Seen::InForce(Weight::NONE)) => {
                failure.note("The release was given up; all traffic is stable's, read back.")
            }
            other => {
                let found = match other {
                    Ok(Seen::InForce(weight) | Seen::Others(weight, _)) => format!("{weight} is the canary's"),
                    Ok(Seen::Moving(_, why)) => why,
                    Err(failure) => failure.to_string(),
                };
                Failure::new(Kind::Stuck, format!("traffic is not proven to be stable's: {found}")).caused_by(failure)
            }
        }
    }
}

/// The weight that traffic is known to have.
fn known(seen: &Seen) -> Option<Weight> {
    match seen {
        Seen::InForce(weight) | Seen::Others(weight, _) => Some(*weight),
        Seen::Moving(..) => None,
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The router does not do its work.
fn unanswered(at: u64, weight: Option<Weight>, failure: &Failure) -> Input {
    let why = failure.with_causes();
    Input::Lost { at, weight, why }
}

/// The same, or somebody else drives this release now.
fn refused(at: u64, weight: Option<Weight>, failure: &Failure) -> Input {
    if failure.kind() == Kind::Conflict {
        let why = failure.with_causes();
        return Input::Taken { at, weight, why };
    }
    unanswered(at, weight, failure)
}
