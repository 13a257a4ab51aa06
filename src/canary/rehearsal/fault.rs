//! The faults that a rehearsal puts before its canary: how they are written, and what they do to a request.
//!
//! They stand in the proxy, on the way to the canary, so that they are the same for a built-in backend and for a program.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::failure::{Failure, Kind};

/// The crash comes with this request to the canary: soon, and not with the first, so that there was traffic to lose.
const CRASH_AT: u64 = 5;

/// One way to break the canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answers 500 to this share of the requests, per mille, at random.
    Errors(u16),
    /// Answers this much later.
    Latency(Duration),
    /// Dies soon after it gets traffic.
    Crash,
    /// Accepts requests and never answers.
    Hang,
}

impl Fault {
    /// Every form, for help and errors.
    pub const FORMS: &str = "errors=30%, latency=+200ms, crash, hang";

    /// What it is, without its amount.
    const fn name(self) -> &'static str {
        match self {
            Self::Errors(_) => "errors",
            Self::Latency(_) => "latency",
            Self::Crash => "crash",
            Self::Hang => "hang",
        }
    }
}

impl FromStr for Fault {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let (name, amount) = match text.split_once('=') {
            Some((name, amount)) => (name, Some(amount)),
            None => (text, None),
        };
        let fault = match (name, amount) {
            ("crash", None) => Some(Self::Crash),
            ("hang", None) => Some(Self::Hang),
            ("errors", Some(amount)) => return share(amount).map(Self::Errors).ok_or_else(|| bad_share(text)),
            ("latency", Some(amount)) => return delay(amount).map(Self::Latency).ok_or_else(|| bad_delay(text)),
            _ => None,
        };
        fault.ok_or_else(|| usage(format!("`{text}` is no fault; the forms are {}", Self::FORMS)))
    }
}

fn usage(message: String) -> Failure {
    Failure::new(Kind::Usage, message)
}

fn bad_share(text: &str) -> Failure {
    usage(format!(
        "`{text}` names no share: above 0 % and up to 100 %, in steps of 0.1 %, such as errors=30%"
    ))
}

fn bad_delay(text: &str) -> Failure {
    usage(format!(
        "`{text}` names no delay: 1 ms to 60 s, such as latency=+200ms or latency=+1.5s"
    ))
}

/// `30%`, `0.5%` as per mille.
fn share(amount: &str) -> Option<u16> {
    let thousandths = thousandths(amount.strip_suffix('%')?)?;
    let per_mille = thousandths / 100;
    let whole = thousandths.is_multiple_of(100) && (1..=1000).contains(&per_mille);
    whole.then(|| u16::try_from(per_mille).ok()).flatten()
}

/// `+200ms`, `1.5s`.
fn delay(amount: &str) -> Option<Duration> {
    let amount = amount.strip_prefix('+').unwrap_or(amount);
    let micros = match amount.strip_suffix("ms") {
        Some(ms) => thousandths(ms)?,
        None => thousandths(amount.strip_suffix('s')?)?.checked_mul(1000)?,
    };
    (1_000..=60_000_000)
        .contains(&micros)
        .then(|| Duration::from_micros(micros))
}

/// A plain decimal number with up to three places, in thousandths.
fn thousandths(number: &str) -> Option<u64> {
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 3 {
        return None;
    }
    let part: u64 = format!("{part:0<3}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(part)
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Errors(per_mille) if per_mille % 10 == 0 => write!(f, "errors={}%", per_mille / 10),
            Self::Errors(per_mille) => write!(f, "errors={}.{}%", per_mille / 10, per_mille % 10),
            Self::Latency(delay) => write!(f, "latency=+{}ms", delay.as_secs_f64() * 1000.0),
            Self::Crash | Self::Hang => f.write_str(self.name()),
        }
    }
}

/// The faults of one rehearsal, at most one of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    errors: u16,
    latency: Duration,
    crash: bool,
    hang: bool,
}

impl Faults {
    /// All of these together; the same kind twice is a mistake.
    pub fn together(list: &[Fault]) -> Result<Self, Failure> {
        let mut all = Self::default();
        for (at, fault) in list.iter().enumerate() {
            if list[..at].iter().any(|earlier| earlier.name() == fault.name()) {
                return Err(usage(format!("the fault `{}` is given twice", fault.name())));
            }
            match *fault {
                Fault::Errors(per_mille) => all.errors = per_mille,
                Fault::Latency(delay) => all.latency = delay,
                Fault::Crash => all.crash = true,
                Fault::Hang => all.hang = true,
            }
        }
        Ok(all)
    }
}

/// What the faults do to one request, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Blow {
    /// The canary dies now.
    pub(super) crash: bool,
    /// It answers later.
    pub(super) delay: Duration,
    /// It never answers.
    pub(super) hang: bool,
    /// It answers 500.
    pub(super) error: bool,
}

/// Decides, request by request.
#[derive(Debug)]
pub(super) struct Layer {
    faults: Faults,
    state: Mutex<(StdRng, u64)>,
}

impl Layer {
    pub(super) fn new(faults: Faults, seed: u64) -> Self {
        Self {
            faults,
            state: Mutex::new((StdRng::seed_from_u64(seed), 0)),
        }
    }

    /// What becomes of the next request to the canary.
    pub(super) fn next(&self) -> Blow {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (dice, seen) = &mut *state;
        *seen += 1;
        Blow {
            crash: self.faults.crash && *seen == CRASH_AT,
            delay: self.faults.latency,
            hang: self.faults.hang,
            error: dice.random_range(0..1000) < self.faults.errors,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_reads_as_it_is_written() {
        for text in [
            "errors=30%",
            "errors=0.1%",
            "errors=100%",
            "latency=+200ms",
            "latency=+1.5ms",
            "crash",
            "hang",
        ] {
            assert_eq!(text.parse::<Fault>().expect(text).to_string(), text);
        }
        for (text, fault) in [
            ("latency=1.5s", Fault::Latency(Duration::from_millis(1500))),
            ("latency=+60s", Fault::Latency(Duration::from_mins(1))),
            ("errors=2.50%", Fault::Errors(25)),
        ] {
            assert_eq!(text.parse::<Fault>().expect(text), fault);
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_forms() {
        let message = |text: &str| text.parse::<Fault>().expect_err(text).message().to_owned();
        for text in [
            "",
            "error=3%",
            "Crash",
            "crash=1",
            "hang=",
            "errors",
            "latency",
            "=",
            "errors 30%",
        ] {
            assert!(message(text).contains(Fault::FORMS), "{text}");
        }
        for text in [
            "30",
            "0%",
            "100.1%",
            "0.05%",
            "-3%",
            "+3%",
            "1e1%",
            "%",
            ".5%",
            "3.%",
            "99999999999999999999%",
        ] {
            assert!(
                message(&format!("errors={text}")).contains("such as errors=30%"),
                "{text}"
            );
        }
        for text in [
            "200",
            "0ms",
            "-5ms",
            "++5ms",
            "61s",
            "5m",
            "ms",
            "99999999999999999999s",
        ] {
            assert!(
                message(&format!("latency={text}")).contains("such as latency"),
                "{text}"
            );
        }
    }

    #[test]
    fn one_of_each_kind_is_taken() {
        let twice = Faults::together(&[Fault::Hang, Fault::Errors(1), Fault::Errors(2)]);
        assert_eq!(twice.expect_err("twice").message(), "the fault `errors` is given twice");
        let both = Faults::together(&[Fault::Errors(300), Fault::Latency(Duration::from_millis(5))]).expect("both");
        assert_eq!(
            (both.errors, both.latency, both.crash),
            (300, Duration::from_millis(5), false)
        );
    }

    #[test]
    fn errors_come_at_random_in_their_share() {
        let layer = Layer::new(Faults::together(&[Fault::Errors(300)]).expect("a fault"), 3);
        let errors: Vec<bool> = (0..10_000).map(|_| layer.next().error).collect();
        let seen = errors.iter().filter(|e| **e).count();
        // 4 sigma of 10 000 draws at 30 % are 183.
        assert!((2817..=3183).contains(&seen), "{seen}");
        let pairs = errors.windows(2).filter(|w| w[0] && w[1]).count();
        assert!((700..=1100).contains(&pairs), "not every k-th: {pairs}");
    }

    #[test]
    fn the_crash_comes_once() {
        let layer = Layer::new(Faults::together(&[Fault::Crash]).expect("a fault"), 3);
        let at: Vec<usize> = (1..=100).filter(|_| layer.next().crash).collect();
        assert_eq!(at, [5]);
    }
}
