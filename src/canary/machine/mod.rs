//! The machine of a release: what was seen goes in, what is to be done comes out. Pure: no clock, no network, no file.
//!
//! Two rules stand above all: the way back to stable has no precondition, and no release ends as done, rolled back or given up
//! before the weight it claims was read back.

mod seen;
#[cfg(test)]
mod tests;

pub use seen::{Ask, Decision, Effect, Input, OnStop, Outcome, Reason, Stopper};

use super::count::{Counts, Metered, since};
use super::judge::{Evidence, Increment, Judge};
use super::plan::Plan;
use crate::config::units::Weight;

/// A weight is written again after so many milliseconds without it: on the way back, and forward where the router did not answer.
const REWRITE: u64 = 250;

/// So many milliseconds a release waits for a person's word at most: a day.
const WORD: u64 = 24 * 3_600_000;

/// Where a release stands.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a machine has one")]
enum State {
    New,
    Settling(Settling),
    Holding(Holding),
    Returning(Returning),
    Over,
}

/// A weight is asked for since this time and not in force yet; it was written last at that one, and this weight was before it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Settling {
    since: u64,
    wrote: u64,
    before: Weight,
}

/// The step's weight is in force since then; counted up to here.
#[derive(Clone, Debug, PartialEq)]
struct Holding {
    since: u64,
    /// The last look, how much of the time before it says nothing of latencies, and how much was spent waiting for a person.
    looked: u64,
    blurred: u64,
    waited: u64,
    /// How much of it was in a freeze.
    frozen: u64,
    /// Whether it waits at a gate.
    gated: bool,
    /// Since when the router does not answer.
    silent: Option<u64>,
    counted: Option<Counted>,
    /// From this time of the counters on, the weight shows in all of them.
    shows: u64,
    /// Whether another weight was in force since the last count.
    disturbed: bool,
}

/// Counters of stable and canary, and their time.
#[derive(Clone, Debug, PartialEq)]
struct Counted {
    at: u64,
    stable: Counts,
    canary: Counts,
    metrics: Metered,
}

/// The weight 0 is asked for since this time, and was written last at that one; then the release ends so. Before the first
/// weight was written there is nothing to take back: it is read and not written.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Returning {
    since: u64,
    last: Option<u64>,
    outcome: Outcome,
    /// Whether there is time to wait for it; there is none when somebody asked again.
    patient: bool,
}

/// The machine of one release.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    plan: Plan,
    judge: Judge,
    state: State,
    step: usize,
    asked: Weight,
    /// The weight that the evidence is about.
    judged: Weight,
    /// Whether no step is to begin.
    paused: bool,
    /// The same, for the time being.
    frozen: bool,
    /// What somebody asked for the step at this weight: to be taken as done, and perhaps the steps after it too.
    asked_for: Option<Ask>,
}

impl Machine {
    /// A machine at the beginning of this plan.
    pub fn new(plan: Plan) -> Self {
        Self {
            judge: Judge::new(plan.judge.clone()).and_by(plan.metrics.names()),
            plan,
            state: State::New,
            step: 0,
            asked: Weight::NONE,
            judged: Weight::NONE,
            paused: false,
            frozen: false,
            asked_for: None,
        }
    }

    /// Its plan.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether it takes no step because of a freeze.
    pub const fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// The logarithm that evidence must reach.
    pub fn threshold(&self) -> f64 {
        self.judge.threshold()
    }

    /// Takes what was seen; says what to do and why. The only way the machine changes.
    pub fn step(&mut self, input: &Input) -> Decision {
        let (reason, effects) = self.transition(input);
        Decision {
            step: self.step,
            asked: self.asked,
            reason,
            evidence: self.judge.evidence(self.judged),
            needed: self.judge.needed(self.judged),
            effects,
        }
    }

    fn transition(&mut self, input: &Input) -> (Reason, Vec<Effect>) {
        match (self.state.clone(), input) {
            (State::Over, _) => (Reason::Over, Vec::new()),
            (_, Input::Taken { .. }) => self.conflict(),
            (state, Input::Resumed { at, weight, .. }) => self.resumed(&state, *at, *weight),
            (State::Returning(_), Input::Asked { .. }) => (Reason::Returning, Vec::new()),
            (State::Returning(state), _) => self.returning(state, input),
            (_, Input::Asked { at, ask, .. }) => self.take(*at, *ask),
            (_, Input::Stop { at, by }) => self.stop(*at, *by),
            (State::New, Input::Unready { at, .. }) => self.go_back(*at, Reason::Unready, Outcome::CouldNotTell),
            (_, Input::Unready { at, .. }) => self.go_back(*at, Reason::Unready, Outcome::RolledBack),
            (State::New, Input::Lost { at, .. }) => self.go_back(*at, Reason::Lost, Outcome::CouldNotTell),
            (State::New, Input::Moving { .. }) => (Reason::Settling, Vec::new()),
            (State::New, Input::Counters { at, weight, .. } | Input::Blind { at, weight, .. }) => {
                if *weight == Weight::NONE {
                    self.enter(*at, 0, Reason::Begin)
                } else {
                    self.conflict()
                }
            }
            (State::Settling(state), _) => self.settling(state, input),
            (State::Holding(_), Input::Counters { weight, .. } | Input::Blind { weight, .. })
                if *weight != self.asked =>
            {
                self.conflict()
            }
            (State::Holding(state), _) => self.holding(&state, input),
        }
    }

    /// Its process is asked to end.
    fn stop(&mut self, at: u64, by: Stopper) -> (Reason, Vec<Effect>) {
        if self.plan.on_stop == OnStop::Hold && self.state != State::New {
            // It stands where it stood, for whoever takes it over.
            return (Reason::Stopped, vec![Effect::End(Outcome::Held)]);
        }
        let outcome = match by {
            Stopper::Interrupt => Outcome::Interrupted,
            Stopper::Terminate => Outcome::Terminated,
        };
        self.go_back(at, Reason::Stopped, outcome)
    }

    /// Somebody asks something. What is asked of one step says nothing of any other.
    fn take(&mut self, at: u64, ask: Ask) -> (Reason, Vec<Effect>) {
        match ask {
            Ask::Abort => return self.go_back(at, Reason::Aborted, Outcome::Aborted),
            Ask::Pause => self.paused = true,
            Ask::Go => self.paused = false,
            Ask::Freeze => self.frozen = true,
            Ask::Thaw => self.frozen = false,
            // Nobody's word is above it.
            Ask::Promote { .. } | Ask::Finish { .. } if self.frozen => {}
            Ask::Promote { from } | Ask::Finish { from } if from == self.asked => {
                self.paused = false;
                self.asked_for = Some(ask);
            }
            Ask::Promote { .. } | Ask::Finish { .. } => {}
        }
        (Reason::Asked, Vec::new())
    }

    /// Another driver goes on, and nobody knows whether what was decided last was done: it is done again.
    fn resumed(&mut self, state: &State, at: u64, weight: Weight) -> (Reason, Vec<Effect>) {
        let before = match state {
            State::Returning(state) => {
                self.state = State::Returning(Returning {
                    since: at,
                    last: Some(at),
                    patient: true,
                    ..*state
                });
                return (Reason::Resumed, vec![Effect::Write(Weight::NONE)]);
            }
            State::New if weight == Weight::NONE => return self.enter(at, 0, Reason::Resumed),
            State::New => {
                let Some(step) = self.plan.steps.iter().position(|step| *step == weight) else {
                    return self.conflict();
                };
                (self.step, self.asked) = (step, weight);
                weight
            }
            State::Settling(state) => state.before,
            State::Holding(_) | State::Over => self.asked,
        };
        if weight != self.asked && weight != before {
            return if weight == Weight::NONE {
                self.go_back(at, Reason::Aborted, Outcome::Aborted)
            } else {
                self.conflict()
            };
        }
        self.settle(at, weight);
        (Reason::Resumed, vec![Effect::Write(self.asked)])
    }

    /// Where traffic is to be taken from, if the driver died while it wrote: each of several objects asks for what was written or
    /// for what was before. None where they all agree, or where it was not writing.
    pub fn left_between(&self, shares: &[Weight]) -> Option<Weight> {
        let agree = shares.windows(2).all(|pair| pair[0] == pair[1]);
        match &self.state {
            _ if agree => None,
            State::Settling(state) => {
                let ours = |share: &Weight| *share == state.before || *share == self.asked;
                shares.iter().all(ours).then_some(state.before)
            }
            // All of them are given back to stable, whatever they ask for.
            State::Returning(_) => shares.iter().max().copied(),
            State::New | State::Holding(_) | State::Over => None,
        }
    }

    /// Somebody else moves traffic: nothing of theirs is overwritten.
    fn conflict(&mut self) -> (Reason, Vec<Effect>) {
        self.state = State::Over;
        (Reason::Conflict, vec![Effect::End(Outcome::Conflict)])
    }

    fn enter(&mut self, at: u64, step: usize, reason: Reason) -> (Reason, Vec<Effect>) {
        self.step = step;
        let before = self.asked;
        self.asked = self.plan.steps[step];
        self.settle(at, before);
        (reason, vec![Effect::Write(self.asked)])
    }

    fn settle(&mut self, at: u64, before: Weight) {
        let (since, wrote) = (at, at);
        self.state = State::Settling(Settling { since, wrote, before });
    }

    fn settling(&mut self, state: Settling, input: &Input) -> (Reason, Vec<Effect>) {
        let at = input.at();
        let late = at.saturating_sub(state.since) > self.plan.settle;
        match input {
            Input::Counters { weight, .. } | Input::Blind { weight, .. } if *weight == self.asked => {
                self.judge.next_step();
                self.judged = *weight;
                self.state = State::Holding(Holding {
                    since: at,
                    looked: at,
                    blurred: 0,
                    waited: 0,
                    frozen: 0,
                    gated: false,
                    silent: None,
                    counted: counters(input),
                    shows: shows(input),
                    disturbed: false,
                });
                (Reason::Settled, Vec::new())
            }
            Input::Counters { weight, .. } | Input::Blind { weight, .. } if *weight != state.before => self.conflict(),
            Input::Lost { .. } if late => self.go_back(at, Reason::Lost, Outcome::CouldNotTell),
            // What was written may be lost, or the answer to it.
            Input::Lost { .. } if at.saturating_sub(state.wrote) >= REWRITE => {
                self.state = State::Settling(Settling { wrote: at, ..state });
                (Reason::Lost, vec![Effect::Write(self.asked)])
            }
            Input::Lost { .. } => (Reason::Lost, Vec::new()),
            _ if late => self.go_back(at, Reason::NotInForce, Outcome::CouldNotTell),
            _ => (Reason::Settling, Vec::new()),
        }
    }

    fn holding(&mut self, state: &Holding, input: &Input) -> (Reason, Vec<Effect>) {
        let at = input.at();
        let since_look = at.saturating_sub(state.looked);
        let mut state = Holding {
            looked: at,
            waited: state.waited + if self.paused || state.gated { since_look } else { 0 },
            frozen: state.frozen + if self.frozen { since_look } else { 0 },
            silent: None,
            ..state.clone()
        };
        let watched = at.saturating_sub(state.since);
        let Input::Counters {
            stable,
            canary,
            metrics,
            latencies,
            instead,
            ..
        } = input
        else {
            if matches!(input, Input::Lost { .. }) {
                // Nobody knows where traffic goes: not for long.
                let silent = *state.silent.insert(self.silent_since().unwrap_or(at));
                self.state = State::Holding(state);
                return if at.saturating_sub(silent) > self.plan.settle {
                    self.go_back(at, Reason::Lost, Outcome::CouldNotTell)
                } else {
                    (Reason::Lost, Vec::new())
                };
            }
            state.disturbed |= matches!(input, Input::Moving { .. });
            self.state = State::Holding(state.clone());
            return if self.is_too_long(&state, watched) {
                self.go_back(at, Reason::Patience, Outcome::CouldNotTell)
            } else {
                (Reason::Blind, Vec::new())
            };
        };
        state.blurred += if *latencies { 0 } else { since_look };
        let before = std::mem::replace(&mut state.counted, counters(input));
        // Nothing was counted when the weight came into force, or came again: it shows so long after the next count.
        if before.is_none() || state.disturbed {
            state.shows = shows(input);
            state.disturbed = false;
        }
        self.state = State::Holding(state.clone());
        let Some(before) = before else {
            return (Reason::Settled, Vec::new());
        };
        let mut new = Increment {
            stable: stable.since(&before.stable),
            canary: canary.since(&before.canary),
            latencies: *latencies,
        };
        if before.at < state.shows {
            // Some of these were sent at the weight before: they say nothing of the split.
            (new.stable.sent, new.canary.sent) = (0, 0);
        }
        self.judge.take_in(&since(metrics, &before.metrics));
        let evidence = self.judge.observe(self.asked, &new);
        self.verdict(at, &state, &evidence, instead.is_some())
    }

    const fn silent_since(&self) -> Option<u64> {
        match &self.state {
            State::Holding(state) => state.silent,
            _ => None,
        }
    }

    /// Whether a step has waited long enough, for proof or for a person's word.
    const fn is_too_long(&self, state: &Holding, watched: u64) -> bool {
        watched.saturating_sub(state.waited.saturating_add(state.frozen)) > self.plan.patience || state.waited > WORD
    }

    fn verdict(&mut self, at: u64, state: &Holding, evidence: &Evidence, standby: bool) -> (Reason, Vec<Effect>) {
        let threshold = self.judge.threshold();
        if evidence.harm >= threshold {
            return self.go_back(at, Reason::Harm, Outcome::RolledBack);
        }
        if evidence.split >= Judge::split_threshold(self.plan.steps.len()) {
            return self.go_back(at, Reason::Split, Outcome::CouldNotTell);
        }
        match self.asked_for.take() {
            Some(Ask::Finish { from }) if from == self.asked => {
                return self.advance(at, self.plan.steps.len() - 1, Reason::Promoted);
            }
            Some(Ask::Promote { from }) if from == self.asked => {
                return self.advance(at, self.step + 1, Reason::Promoted);
            }
            _ => {}
        }
        // How long, and how long of that with latencies that say something.
        let watched = at.saturating_sub(state.since);
        let clear = watched.saturating_sub(state.blurred);
        let doubt = evidence.harm >= threshold / 2.0;
        let done = clear >= self.plan.hold && evidence.safe >= threshold && !doubt;
        let gate = self.plan.gates.contains(&self.asked);
        let waits = self.paused || self.frozen;
        if done && !waits && !gate && !standby {
            return self.advance(at, self.step + 1, Reason::Safe);
        }
        if let State::Holding(state) = &mut self.state {
            state.gated = done && gate;
        }
        if self.is_too_long(state, watched) {
            return self.go_back(at, Reason::Patience, Outcome::CouldNotTell);
        }
        (
            if standby {
                Reason::Standby
            } else if done {
                match () {
                    () if self.frozen => Reason::Frozen,
                    () if self.paused => Reason::Paused,
                    () => Reason::Gate,
                }
            } else if watched < self.plan.hold {
                Reason::Holding
            } else if clear < self.plan.hold {
                Reason::Blurred
            } else if doubt {
                Reason::Doubt
            } else {
                Reason::Unproven
            },
            Vec::new(),
        )
    }

    /// The next step, or the end of the last one.
    fn advance(&mut self, at: u64, step: usize, reason: Reason) -> (Reason, Vec<Effect>) {
        if self.asked != Weight::ALL && step < self.plan.steps.len() {
            return self.enter(at, step, reason);
        }
        self.state = State::Over;
        (reason, vec![Effect::End(Outcome::Promoted)])
    }

    /// The way back, from wherever the release stands.
    fn go_back(&mut self, at: u64, reason: Reason, outcome: Outcome) -> (Reason, Vec<Effect>) {
        let moved = self.state != State::New;
        self.asked = Weight::NONE;
        self.state = State::Returning(Returning {
            since: at,
            last: moved.then_some(at),
            outcome,
            patient: true,
        });
        let effects = if moved {
            vec![Effect::Write(Weight::NONE)]
        } else {
            Vec::new()
        };
        (reason, effects)
    }

    fn returning(&mut self, state: Returning, input: &Input) -> (Reason, Vec<Effect>) {
        let at = input.at();
        let zero = || vec![Effect::Write(Weight::NONE)];
        if matches!(input, Input::Stop { .. }) {
            // Asked again: the restoring write once more, and one look at what it did.
            let last = state.last.map(|_| at);
            self.state = State::Returning(Returning {
                last,
                patient: false,
                ..state
            });
            return (Reason::Stopped, last.map_or_else(Vec::new, |_| zero()));
        }
        if input.weight() == Some(Weight::NONE) {
            self.state = State::Over;
            return (Reason::Returned, vec![Effect::End(state.outcome)]);
        }
        let Some(last) = state.last else {
            return self.not_ours(input, state.since);
        };
        if !state.patient || at.saturating_sub(state.since) > self.plan.settle {
            self.state = State::Over;
            return (Reason::NotInForce, vec![Effect::End(Outcome::Stuck)]);
        }
        // Writing the same weight again does no harm; not writing it may.
        if at.saturating_sub(last) < REWRITE {
            return (Reason::Returning, Vec::new());
        }
        self.state = State::Returning(Returning {
            last: Some(at),
            ..state
        });
        (Reason::Returning, zero())
    }

    /// Asked to end before it moved anything, and the weight is not 0 or not known.
    fn not_ours(&mut self, input: &Input, since: u64) -> (Reason, Vec<Effect>) {
        if input.weight().is_some() {
            self.conflict()
        } else if input.at().saturating_sub(since) > self.plan.settle {
            self.state = State::Over;
            (Reason::Lost, vec![Effect::End(Outcome::Stuck)])
        } else {
            (Reason::Returning, Vec::new())
        }
    }
}

/// The time of the counters from which a weight that is in force now shows in all of them.
const fn shows(input: &Input) -> u64 {
    match input {
        Input::Counters { counted, lag, .. } => counted.saturating_add(*lag),
        _ => 0,
    }
}

fn counters(input: &Input) -> Option<Counted> {
    match input {
        Input::Counters {
            stable,
            canary,
            metrics,
            counted,
            ..
        } => Some(Counted {
            at: *counted,
            stable: *stable,
            canary: *canary,
            metrics: metrics.clone(),
        }),
        _ => None,
    }
}
