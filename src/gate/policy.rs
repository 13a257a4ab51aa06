//! Which findings fail, and which of those somebody answers for. Pure: the answers of tools are kept apart from what one
//! thinks of them, so that a new policy, a new waiver and a new day need no new run.

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::Serialize;

use super::finding::Waived;
use super::judge::{Row, Verdict};
use super::{Finding, Fix, Level};
use crate::config::gate::{Gate, Unknown};
use crate::config::glob::Glob;
use crate::config::service::{Check, Severity};
use crate::config::waivers::{Scope, Waiver};

/// Which findings fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Policy {
    /// The least severity that fails.
    pub fail_on: Severity,
    /// What becomes of a finding whose severity nobody knows.
    pub unknown: Unknown,
    /// Vulnerabilities that are known to have no fix do not fail.
    pub only_fixable: bool,
    /// Where policy and waivers were read: `worktree`, or the name of a revision.
    pub from: String,
    /// The commit of that revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// What a reader should know about it.
    pub notes: Vec<String>,
    /// The checks that msctl.yaml asks for.
    #[serde(skip)]
    pub checks: Vec<Check>,
    /// The waivers of that place.
    #[serde(skip)]
    pub waivers: Vec<Waiver>,
    /// Waivers that are not there yet, but in the files that are judged.
    #[serde(skip)]
    pub pending: Vec<Waiver>,
    /// The day on which it is judged, in UTC.
    #[serde(skip)]
    pub today: Date,
}

impl Default for Policy {
    fn default() -> Self {
        Self::of(&Gate::default(), Date::ZERO)
    }
}

impl Policy {
    /// As msctl.yaml has it, without waivers.
    pub fn of(gate: &Gate, today: Date) -> Self {
        Self {
            fail_on: gate.fail_on,
            unknown: gate.unknown,
            only_fixable: gate.only_fixable,
            from: "worktree".to_owned(),
            commit: None,
            notes: Vec::new(),
            checks: gate.checks.clone(),
            waivers: Vec::new(),
            pending: Vec::new(),
            today,
        }
    }

    /// Whether this finding fails the gate.
    pub fn fails(&self, finding: &Finding) -> bool {
        self.is_over(finding) && self.waived(finding).is_none()
    }

    /// Whether it would, if nobody answered for it. Whether there is a fix must be known to count for it.
    fn is_over(&self, finding: &Finding) -> bool {
        let is_grave = match finding.severity {
            Level::Unknown => self.unknown == Unknown::Fail,
            level => level.is_at_least(self.fail_on),
        };
        is_grave && !(self.only_fixable && finding.fix == Some(Fix::None))
    }

    /// The waiver in force that covers it: the one that holds longest.
    pub(super) fn waived(&self, finding: &Finding) -> Option<Waived> {
        let all = self.waivers.iter();
        let in_force = all.filter(|waiver| !self.is_over_with(waiver) && covers(waiver, finding));
        in_force.max_by_key(|waiver| waiver.expires).map(|waiver| Waived {
            id: waiver.id.to_string(),
            owner: waiver.owner.to_string(),
            reason: waiver.reason.to_string(),
            expires: waiver.expires.to_string(),
        })
    }

    fn is_over_with(&self, waiver: &Waiver) -> bool {
        waiver.expires < self.today
    }

    /// How each waiver stands after these rows. `is_here` says whether a pattern means a file of the tree.
    pub(super) fn standing(&self, rows: &[Row], is_here: &dyn Fn(&Glob) -> bool) -> Vec<WaiverReport> {
        let of = |waiver: &Waiver, pending: bool| {
            let findings = rows.iter().flat_map(|row| &row.findings);
            let findings = findings.filter(|finding| covers(waiver, finding)).count();
            let standing = if pending {
                Standing::NotInForce
            } else if self.is_over_with(waiver) {
                Standing::Expired
            } else if findings > 0 {
                Standing::InForce
            } else if self.could_be_unseen(waiver, rows, is_here) {
                Standing::NotSeen
            } else {
                Standing::Unused
            };
            WaiverReport::new(waiver, standing, findings)
        };
        let own = self.waivers.iter().map(|waiver| of(waiver, false));
        own.chain(self.pending.iter().map(|waiver| of(waiver, true))).collect()
    }

    /// Whether what it covers may be there and was not looked at: a check was not made, or could not tell.
    fn could_be_unseen(&self, waiver: &Waiver, rows: &[Row], is_here: &dyn Fn(&Glob) -> bool) -> bool {
        let is_in_tree = matches!(&waiver.scope, Scope::Path(glob) if is_here(glob));
        let is_whole = |check: &Check| {
            let mut of_check = rows.iter().filter(|row| row.check == *check).peekable();
            of_check.peek().is_some()
                && of_check.all(|row| match row.verdict {
                    Verdict::NotApplicable => *check != Check::Image || is_in_tree,
                    _ => row.reasons.is_empty(),
                })
        };
        !self.checks.iter().all(is_whole)
    }
}

/// Whether a waiver is about this finding: its rule by any of its names, in its scope.
fn covers(waiver: &Waiver, finding: &Finding) -> bool {
    let rule = waiver.rule.as_str();
    let is_rule = finding.rule == rule || finding.aliases.contains(rule);
    is_rule
        && match &waiver.scope {
            Scope::Path(glob) => finding.file.as_deref().is_some_and(|file| glob.matches(file)),
            Scope::Package(package) => finding.package.as_deref() == Some(package.as_str()),
        }
}

/// How a waiver stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It covers findings.
    InForce,
    /// Its last day is over: what it covers fails again.
    Expired,
    /// Nothing that it covers was found.
    Unused,
    /// The same, but not every check looked at everything.
    NotSeen,
    /// The files that are judged have it, and the revision whose rules are in force has not.
    NotInForce,
}

/// A waiver, and how it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct WaiverReport {
    /// Its name.
    pub id: String,
    /// The rule that it waives.
    pub rule: String,
    /// In these files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Of this package.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// The last day on which it holds, in UTC.
    pub expires: String,
    /// How it stands.
    pub standing: Standing,
    /// The findings that it is about.
    pub findings: usize,
}

impl WaiverReport {
    /// One that stands so.
    pub fn new(waiver: &Waiver, standing: Standing, findings: usize) -> Self {
        let (path, package) = match &waiver.scope {
            Scope::Path(glob) => (Some(glob.to_string()), None),
            Scope::Package(package) => (None, Some(package.to_string())),
        };
        Self {
            id: waiver.id.to_string(),
            rule: waiver.rule.to_string(),
            path,
            package,
            owner: waiver.owner.to_string(),
            reason: waiver.reason.to_string(),
            expires: waiver.expires.to_string(),
            standing,
            findings,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Class;
    use super::super::adapter::Reading;
    use super::super::judge::{Answer, Control, Reason, judge};
    use super::*;
    use crate::config::gate::Days;
    use crate::config::waivers::{self, Limit};

    fn of(level: Level) -> Finding {
        Finding::new(Class::Vulnerability, "CVE-1", level, "x")
    }

    #[test]
    fn an_unknown_severity_fails_under_every_policy_but_its_own() {
        for fail_on in [Severity::Low, Severity::Medium, Severity::High, Severity::Critical] {
            let strict = Policy {
                fail_on,
                ..Policy::default()
            };
            let lenient = Policy {
                unknown: Unknown::Report,
                ..strict.clone()
            };
            for word in ["UNKNOWN", "", "new"] {
                let finding = of(Level::of(word));
                assert!(strict.fails(&finding) && !lenient.fails(&finding), "{fail_on:?} {word}");
            }
            assert!(lenient.fails(&of(Level::Critical)), "{fail_on:?}");
        }
        let high = Policy::default();
        assert!(high.fails(&of(Level::High)) && !high.fails(&of(Level::Medium)));
    }

    #[test]
    fn only_what_is_known_to_have_no_fix_is_let_pass() {
        let policy = Policy {
            only_fixable: true,
            ..Policy::default()
        };
        let with = |fix| Finding { fix, ..of(Level::High) };
        for (fix, fails) in [
            (Some(Fix::None), false),
            (Some(Fix::Available("1.2".into())), true),
            (None, true),
        ] {
            assert_eq!(policy.fails(&with(fix.clone())), fails, "{fix:?}");
            assert!(Policy::default().fails(&with(fix)));
        }
    }

    const TODAY: Date = jiff::civil::date(2026, 11, 25);

    /// A waiver of CVE-1, for this scope, until this day.
    fn waiver(scope: &str, expires: &str) -> Waiver {
        let text = format!("[{{ id: W, rule: CVE-1, {scope}, owner: '@a', reason: b, expires: {expires} }}]");
        let limit = Limit {
            today: TODAY,
            days: Days::default(),
        };
        let mut read = waivers::parse("w", text.as_bytes(), limit).expect("a waiver");
        read.remove(0)
    }

    fn with(waivers: &[Waiver]) -> Policy {
        Policy {
            waivers: waivers.to_vec(),
            ..Policy::of(&Gate::default(), TODAY)
        }
    }

    #[test]
    fn a_waiver_covers_its_rule_in_its_scope_to_its_last_day() {
        let found = of(Level::High).at("deploy/a.yaml", Some(3)).about("golang.org/x/text");
        let other = Finding {
            rule: "GO-1".into(),
            aliases: ["CVE-1".to_owned()].into(),
            ..found.clone()
        };
        let bare = of(Level::High);
        for (scope, expires, finding, is_waived) in [
            ("path: deploy/**", "2026-12-01", &found, true),
            ("path: deploy/**", "2026-11-25", &found, true),
            ("path: deploy/**", "2026-11-24", &found, false),
            ("path: deploy/**", "2026-12-01", &other, true),
            ("path: '*.yaml'", "2026-12-01", &found, false),
            ("path: '**'", "2026-12-01", &bare, false),
            ("package: golang.org/x/text", "2026-12-01", &found, true),
            ("package: golang.org/x/text", "2026-12-01", &other, true),
            ("package: golang.org/x", "2026-12-01", &found, false),
            ("package: golang.org/x/text", "2026-12-01", &bare, false),
        ] {
            let policy = with(&[waiver(scope, expires)]);
            let waived = policy.waived(finding);
            assert_eq!(
                (waived.is_some(), policy.fails(finding)),
                (is_waived, !is_waived),
                "{scope} {expires}"
            );
        }
        let mut stranger = found.clone();
        stranger.rule = "CVE-2".into();
        assert!(with(&[waiver("path: deploy/**", "2026-12-01")]).fails(&stranger));
        let late = waiver("package: golang.org/x/text", "2026-12-24");
        let both = with(&[late, waiver("path: deploy/**", "2026-12-01")]);
        assert_eq!(
            both.waived(&found).map(|waived| waived.expires).as_deref(),
            Some("2026-12-24")
        );
    }

    #[test]
    fn a_waived_finding_does_not_fail_and_asks_for_the_control_of_a_pass() {
        let policy = with(&[waiver("path: '**'", "2026-12-01")]);
        let reading = |control| Reading {
            findings: vec![of(Level::High).at("a", None)],
            control,
            ..Reading::new()
        };
        assert!(reading(Control::NotRun).needs_control(&policy));
        let verdict = |control| judge(Check::Audit, "t", Answer::Saw(reading(control)), &policy).verdict;
        assert_eq!(
            (verdict(Control::Found), verdict(Control::NotRun)),
            (Verdict::Pass, Verdict::CouldNotTell)
        );
    }

    /// The rows of all checks, with a finding of `Audit`, and no image.
    fn rows(policy: &Policy, finding: Option<&Finding>, doubt: bool) -> Vec<Row> {
        let mut rows = Vec::new();
        for check in Check::ALL {
            let mut reading = Reading::new();
            reading.control = Control::Found;
            if check == Check::Audit {
                reading.findings.extend(finding.cloned());
            }
            if doubt && check == Check::Lint {
                reading.doubt(Reason::new("?"));
            }
            let answer = match check {
                Check::Image => Answer::Nothing("no image".into()),
                _ => Answer::Saw(reading),
            };
            rows.push(judge(check, "t", answer, policy));
        }
        rows
    }

    #[test]
    fn each_waiver_stands_somehow() {
        let found = of(Level::High).at("a", None);
        let standing = |scope: &str, expires: &str, finding: Option<&Finding>, doubt: bool| {
            let policy = with(&[waiver(scope, expires)]);
            let is_here = |glob: &Glob| glob.matches("a");
            let report = policy.standing(&rows(&policy, finding, doubt), &is_here);
            (report[0].standing, report[0].findings)
        };
        let (soon, past) = ("2026-12-01", "2026-11-24");
        assert_eq!(standing("path: a", soon, Some(&found), true), (Standing::InForce, 1));
        assert_eq!(standing("path: a", past, Some(&found), false), (Standing::Expired, 1));
        assert_eq!(standing("path: a", past, None, false), (Standing::Expired, 0));
        assert_eq!(standing("path: a", soon, None, false), (Standing::Unused, 0));
        assert_eq!(standing("path: a", soon, None, true), (Standing::NotSeen, 0));
        // What is not in the tree may be in the image, which nobody has looked at.
        assert_eq!(standing("path: b", soon, None, false), (Standing::NotSeen, 0));
        assert_eq!(standing("package: a", soon, None, false), (Standing::NotSeen, 0));
        let pending = Policy {
            pending: vec![waiver("path: a", soon)],
            ..with(&[])
        };
        let rows = rows(&pending, Some(&found), false);
        let report = pending.standing(&rows, &|_| true);
        assert_eq!((report[0].standing, report[0].findings), (Standing::NotInForce, 1));
        assert!(rows.iter().any(|row| row.verdict == Verdict::Fail));
        // A check that was not made, of those that the policy asks for.
        let policy = with(&[waiver("path: a", soon)]);
        assert_eq!(policy.standing(&rows[..1], &|_| true)[0].standing, Standing::NotSeen);
    }
}
