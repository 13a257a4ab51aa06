//! A journal read again: every decision recomputed from what was seen, and compared bit for bit. Pure.

use serde_json::value::RawValue;

use super::journal::{Entry, Header, SCHEMA};
use super::machine::{Decision, Effect, Input, Machine, Outcome};
use crate::failure::{Failure, Kind};

/// What a journal says, and whether it is so.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Its first line.
    pub header: Header,
    /// What was seen and decided, up to the first line that does not recompute.
    pub entries: Vec<Entry>,
    /// The first line that does not recompute.
    pub mismatch: Option<Mismatch>,
    /// Whether its last line was cut off, as when its writer was killed.
    pub cut: bool,
    /// How the release ended, if it did.
    pub outcome: Option<Outcome>,
    /// Where it stands after the last of them.
    pub machine: Machine,
}

/// A line whose decision is another when it is computed again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// 1-based.
    pub line: usize,
    /// As it stands there.
    pub written: String,
    /// As it comes out now.
    pub recomputed: String,
}

/// Reads a journal and recomputes it. `file` is its name, for errors.
pub fn replay(file: &str, bytes: &[u8]) -> Result<Replay, Failure> {
    let broken = |line: usize, error: serde_json::Error| {
        Failure::new(
            Kind::Config,
            format!("line {line} of the journal `{file}` cannot be read"),
        )
        .caused_by(error)
    };
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
    let cut = whole < bytes.len();
    let mut lines = bytes[..whole].split_inclusive(|b| *b == b'\n').enumerate();
    let Some((_, first)) = lines.next() else {
        return Err(Failure::new(
            Kind::Config,
            format!("the journal `{file}` has no whole line"),
        ));
    };
    let header: Header = serde_json::from_slice(first).map_err(|e| broken(1, e))?;
    if header.schema != SCHEMA {
        return Err(Failure::new(Kind::Config, format!("`{file}` is no {SCHEMA}")));
    }
    if let Err(why) = header.plan.check() {
        let message = format!("the journal `{file}` has a plan that no release can have: {why}");
        return Err(Failure::new(Kind::Config, message));
    }
    let mut replay = Replay {
        machine: Machine::new(header.plan.clone()),
        header,
        entries: Vec::new(),
        mismatch: None,
        cut,
        outcome: None,
    };
    for (at, line) in lines {
        let written: Entry<Input, &RawValue> = serde_json::from_slice(line).map_err(|e| broken(at + 1, e))?;
        let decision = replay.machine.step(&written.input);
        let recomputed = serde_json::to_string(&decision).map_err(|e| broken(at + 1, e))?;
        if written.decision.get() != recomputed {
            let written = written.decision.get().to_owned();
            replay.mismatch = Some(Mismatch {
                line: at + 1,
                written,
                recomputed,
            });
            break;
        }
        if matches!(written.input, Input::Resumed { .. }) {
            replay.outcome = None; // one that was left standing goes on
        }
        replay.outcome = replay.outcome.or_else(|| outcome(&decision));
        replay.entries.push(Entry {
            input: written.input,
            decision,
        });
    }
    Ok(replay)
}

/// How a decision ends the release, if it does.
pub fn outcome(decision: &Decision) -> Option<Outcome> {
    decision.effects.iter().find_map(|effect| match effect {
        Effect::End(outcome) => Some(*outcome),
        Effect::Write(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canary::count::{Cases, CasesOfBoth, Counts, Metered};
    use crate::canary::journal::Journal;
    use crate::canary::plan::Plan;
    use crate::config::service::Canary;
    use crate::config::units::Weight;

    fn header() -> Header {
        Header {
            schema: SCHEMA.into(),
            id: "7f3a".into(),
            msctl: "0".into(),
            service: "payment".into(),
            setting: "test".into(),
            started: "2026-11-25T00:00:00Z".into(),
            plan: Plan::new(&Canary::default(), 5_000),
        }
    }

    /// A journal of a canary that fails one request in nine.
    fn journal() -> Vec<u8> {
        journal_of(&header(), |_| Metered::new())
    }

    /// The same, with what other counters show at each look.
    fn journal_of(header: &Header, metrics: impl Fn(u64) -> Metered) -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(directory.path(), header).unwrap();
        let mut machine = Machine::new(header.plan.clone());
        let mut weight = Weight::NONE;
        for tick in 0..40_u64 {
            let counts = |n: u64, of: u64| Counts {
                sent: n,
                requests: n,
                failed: n / of,
                ..Counts::default()
            };
            let (stable, canary) = (counts(tick * 693, 1000), counts(tick * 7, 9));
            let input = Input::Counters {
                at: tick * 5_000,
                weight,
                stable,
                canary,
                metrics: metrics(tick),
                latencies: true,
                counted: tick * 5_000,
                lag: 0,
                instead: None,
            };
            let decision = machine.step(&input);
            journal.add(&input, &decision).unwrap();
            for effect in &decision.effects {
                if let Effect::Write(to) = effect {
                    weight = *to;
                }
            }
            if outcome(&decision).is_some() {
                break;
            }
        }
        std::fs::read(journal.path()).unwrap()
    }

    #[test]
    fn a_journal_recomputes_bit_for_bit() {
        let bytes = journal();
        let replay = replay("x", &bytes).unwrap();
        assert_eq!(
            (replay.mismatch, replay.cut, replay.outcome),
            (None, false, Some(Outcome::RolledBack))
        );
        assert!(replay.entries.len() > 5);
    }

    #[test]
    fn a_journal_with_metrics_recomputes_too_and_one_without_has_none_of_their_words() {
        let mut header = header();
        let metrics = serde_json::json!([{"name": "orders", "total": "a", "bad": "b", "stable": {"v": "1"}, "canary": {"v": "2"}}]);
        header.plan.metrics = serde_json::from_value(metrics).unwrap();
        let cases = |total: u64, bad: u64| Some(Cases { total, bad });
        let bytes = journal_of(&header, |tick| {
            let stable = cases(tick * 300, tick);
            // The canary's first comes late.
            let canary = if tick > 3 { cases(tick * 3, tick / 3) } else { None };
            [("orders".to_owned(), CasesOfBoth { stable, canary })].into()
        });
        let replay = replay("x", &bytes).unwrap();
        assert_eq!((replay.mismatch, replay.header), (None, header));
        assert_eq!(replay.outcome, Some(Outcome::RolledBack));
        let last = &replay.entries.last().unwrap().decision.evidence;
        assert!(last.metrics["orders"].harm > 0.0, "{last:?}");
        let plain = String::from_utf8(journal()).unwrap();
        assert!(!plain.contains("metrics"), "{plain}");
    }

    #[test]
    fn one_bit_of_evidence_is_noticed() {
        let text = String::from_utf8(journal()).unwrap();
        let at = text.rfind("\"harm\":").unwrap() + 12;
        let digit = text.as_bytes()[at];
        let other = if digit == b'5' { b'6' } else { b'5' };
        let mut bytes = text.into_bytes();
        bytes[at] = other;
        let replay = replay("x", &bytes).unwrap();
        assert!(replay.mismatch.is_some());
    }

    #[test]
    fn a_line_that_was_cut_off_is_said_and_the_rest_is_read() {
        let bytes = journal();
        let whole = replay("x", &bytes).unwrap().entries.len();
        for cut in 1..120 {
            let replay = replay("x", &bytes[..bytes.len() - cut]).unwrap();
            assert_eq!(
                (replay.cut, replay.mismatch, replay.entries.len()),
                (true, None, whole - 1)
            );
        }
    }

    #[test]
    fn a_plan_that_no_release_can_have_is_refused() {
        for (from, to, why) in [
            ("\"alpha\":0.01", "\"alpha\":0.0", "alpha 0 is not between 0 and 1"),
            (
                "\"steps\":[10,",
                "\"steps\":[900,",
                "its steps do not rise to 1000 per mille",
            ),
        ] {
            let text = String::from_utf8(journal()).unwrap();
            assert!(text.contains(from), "{text}");
            let failure = replay("x", text.replacen(from, to, 1).as_bytes()).unwrap_err();
            assert_eq!(failure.kind(), Kind::Config);
            assert!(failure.message().ends_with(why), "{failure}");
        }
    }

    #[test]
    fn what_is_no_journal_is_refused() {
        for bytes in [&b""[..], b"\n", b"{}\n", b"\xff\xff\n", b"{\"schema\":\"other\"}\n"] {
            assert_eq!(replay("x", bytes).unwrap_err().kind(), Kind::Config);
        }
    }
}
