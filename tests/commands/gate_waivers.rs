//! Waivers: what somebody answers for does not fail, is never hidden, and has an end.

use jiff::ToSpan;

use crate::support::{Run, Sandbox};

/// A day so many days from now, in UTC. A test of an end needs no clock: it takes one that is long over.
fn day(from_now: i64) -> String {
    let today = jiff::tz::TimeZone::UTC.to_datetime(jiff::Timestamp::now()).date();
    today.saturating_add(from_now.days()).to_string()
}

const OVER: &str = "2020-01-31";

fn waiver(id: &str, rule: &str, scope: &str, expires: &str) -> String {
    format!(
        "- id: {id}\n  rule: {rule}\n  {scope}\n  owner: '@payments'\n  reason: legacy import\n  expires: {expires}\n"
    )
}

/// A service whose Dockerfile has one finding that fails, DL3004.
fn service() -> Sandbox {
    let sandbox = Sandbox::new().with_tools(&["hadolint"]);
    sandbox.write("Dockerfile", "FROM a:1\nRUN sudo x\n");
    sandbox.write(
        "msctl.yaml",
        "schema: msctl.service/v1\nname: payment\nlanguage: go\ngate: { checks: [dockerfile] }\n",
    );
    sandbox
}

/// The lines of what is shown that say something of waivers, without times and without the day of the test.
fn lines(run: &Run, day: &str) -> Vec<String> {
    let text = run.stdout.replace(day, "[DAY]");
    let about = text
        .lines()
        .filter(|line| line.contains("waive") || line.contains("WAIV"));
    let without_time = |line: &str| match line.rsplit_once("   ").or_else(|| line.rsplit_once(". ")) {
        Some((before, after)) if after.ends_with(" ms") || after.ends_with(" s") => before.trim().to_owned(),
        _ => line.trim().to_owned(),
    };
    about.map(without_time).collect()
}

#[test]
fn a_waived_finding_is_shown_and_does_not_fail() {
    let sandbox = service();
    let soon = day(30);
    let waivers = waiver("W1", "DL3004", "path: 'Docker*'", &soon) + &waiver("W2", "DL3004", "path: deploy/**", &soon);
    sandbox.write(".msctl/waivers.yaml", waivers);
    let run = sandbox.msctl(["gate"]);
    assert_eq!(run.code, 0, "{}", run.transcript());
    assert_eq!(
        lines(&run, &soon),
        [
            "WAIV  dockerfile  hadolint 2.15.1  1 finding in 1 file · control found",
            "1 finding waived by @payments until [DAY]: legacy import (W1)",
            "waiver W2 of @payments is of no use: nothing that it covers was found",
            "PASS: 1 check, nothing at or above high; 1 finding waived",
        ],
        "{}",
        run.transcript()
    );
    let report = sandbox.msctl(["gate", "--output", "json"]).json();
    let finding = &report["rows"][0]["findings"][0];
    assert_eq!(
        (&finding["rule"], &finding["fails"], &finding["waived"]),
        (
            &"DL3004".into(),
            &false.into(),
            &serde_json::json!({ "id": "W1", "owner": "@payments", "reason": "legacy import", "expires": soon })
        )
    );
    assert_eq!((&report["waived"], &report["failing"]), (&1.into(), &0.into()));
    let standing = |at: usize| (&report["waivers"][at]["standing"], &report["waivers"][at]["findings"]);
    assert_eq!(standing(0), (&"in-force".into(), &1.into()));
    assert_eq!(standing(1), (&"unused".into(), &0.into()));
    // Of a check that was not made, nothing is said.
    let report = sandbox.msctl(["gate", "--only", "secrets", "--output", "json"]).json();
    assert_eq!(report["waivers"][0]["standing"], "not-seen", "{report}");
}

#[test]
fn a_waiver_that_is_over_waives_nothing() {
    let sandbox = service();
    sandbox.write(".msctl/waivers.yaml", waiver("W1", "DL3004", "path: Dockerfile", OVER));
    let run = sandbox.msctl(["gate"]);
    assert_eq!(run.code, 1, "{}", run.transcript());
    assert_eq!(
        lines(&run, OVER),
        ["waiver W1 of @payments expired on [DAY]: it covers 1 finding no more"],
        "{}",
        run.transcript()
    );
    let report = sandbox.msctl(["gate", "--output", "json"]).json();
    assert_eq!(
        (&report["verdict"], &report["waivers"][0]["standing"], &report["waived"]),
        (&"fail".into(), &"expired".into(), &0.into())
    );
}

#[test]
fn a_waiver_without_an_end_or_an_owner_is_refused_at_its_line() {
    let sandbox = service();
    let good = waiver("W1", "DL3004", "path: Dockerfile", &day(30));
    let far = day(91);
    for (text, says) in [
        (good.replace("  owner: '@payments'\n", ""), ".msctl/waivers.yaml:1:7"),
        (
            good.replace("  reason: legacy import\n", ""),
            "the waiver `W1` has no `reason`",
        ),
        (good.replace(&day(30), "never"), ".msctl/waivers.yaml:6:12"),
        (good.replace(&day(30), &far), "further away than the 90 days"),
        (format!("{good}{good}"), ".msctl/waivers.yaml:7:7"),
    ] {
        sandbox.write(".msctl/waivers.yaml", &text);
        let run = sandbox.msctl(["gate"]);
        assert!(
            run.code == 2 && run.stderr.contains(says),
            "{says}:\n{}",
            run.transcript()
        );
    }
    let policy = "schema: msctl.service/v1\nname: payment\nlanguage: go\ngate: { checks: [dockerfile], waivers: { max-days: 91 } }\n";
    sandbox.write("msctl.yaml", policy);
    sandbox.write(".msctl/waivers.yaml", good.replace(&day(30), &far));
    let run = sandbox.msctl(["gate"]);
    assert_eq!(run.code, 0, "{}", run.transcript());
}

#[test]
fn a_waiver_is_added_and_all_else_stays_as_it_was() {
    let sandbox = service();
    let soon = day(30);
    let waive = |more: &[&str]| {
        let own = [
            "gate",
            "waive",
            "DL3004",
            "--owner",
            "@payments",
            "--reason",
            "legacy: import",
        ];
        sandbox.msctl(own.iter().chain(&["--expires", &soon]).chain(more))
    };
    let run = waive(&["--path", "Dockerfile", "--dry-run"]);
    assert!(
        run.code == 0
            && run
                .stdout
                .starts_with("Would be added to .msctl/waivers.yaml:\n  - id: DL3004\n"),
        "{}",
        run.transcript()
    );
    assert!(!sandbox.path(".msctl").exists());
    assert_eq!(sandbox.msctl(["gate"]).code, 1);
    let run = waive(&["--path", "Dockerfile"]);
    assert_eq!(run.code, 0, "{}", run.transcript());
    let run = sandbox.msctl(["gate"]);
    assert_eq!(run.code, 0, "{}", run.transcript());
    let before = format!("# ours\n{}# the end", sandbox.read(".msctl/waivers.yaml"));
    sandbox.write(".msctl/waivers.yaml", &before);
    let run = waive(&["--package", "openssl", "--output", "json"]);
    assert_eq!(run.json()["waiver"]["id"], "DL3004-2", "{}", run.transcript());
    let after = sandbox.read(".msctl/waivers.yaml");
    assert!(after.starts_with(&format!("{before}\n- id: DL3004-2\n")), "{after}");
    // What cannot be is refused, and nothing is written.
    for (more, says) in [
        (&["--path", "Dockerfile", "--id", "DL3004"][..], "is there twice"),
        (&["--path", "../Dockerfile"], "is no path within the service"),
        (&["--path", "a", "--package", "b"], "cannot be used with"),
        (&[], "--path <GLOB>"),
    ] {
        let run = waive(more);
        assert!(
            run.code == 2 && run.stderr.contains(says),
            "{says}:\n{}",
            run.transcript()
        );
    }
    let far = [
        "gate",
        "waive",
        "X1",
        "--path",
        "a",
        "--owner",
        "b",
        "--reason",
        "c",
        "--expires",
    ];
    for (expires, says) in [
        (OVER, "is over"),
        ("2999-01-01", "further away than the 90 days"),
        ("soon", "is no day"),
    ] {
        let run = sandbox.msctl(far.iter().chain(&[expires]));
        assert!(
            run.code == 2 && run.stderr.contains(says),
            "{says}:\n{}",
            run.transcript()
        );
    }
    assert_eq!(sandbox.read(".msctl/waivers.yaml"), after);
}
