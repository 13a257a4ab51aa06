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

/// git as a person has it set up, in a directory below the working directory.
fn git(sandbox: &Sandbox, below: &str, arguments: &[&str]) -> String {
    let who = [
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@example.com",
        "-c",
        "protocol.file.allow=always",
    ];
    let more = ["-c", "init.defaultBranch=main", "-c", "advice.detachedHead=false"];
    let run = sandbox.run_in(
        below,
        std::path::Path::new("/usr/bin/git"),
        who.iter().chain(&more).chain(arguments),
    );
    assert_eq!(run.code, 0, "{}", run.transcript());
    run.stdout.trim().to_owned()
}

/// A service whose change, on top of `main`, answers for its own finding, and asks for less than before.
fn change() -> Sandbox {
    let sandbox = service();
    git(&sandbox, "", &["init", "-q"]);
    git(&sandbox, "", &["add", "-A"]);
    git(&sandbox, "", &["commit", "-qm", "base"]);
    git(&sandbox, "", &["update-ref", "refs/remotes/origin/main", "HEAD"]);
    git(&sandbox, "", &["checkout", "-qb", "change"]);
    sandbox.write(
        ".msctl/waivers.yaml",
        waiver("W1", "DL3004", "path: Dockerfile", &day(30)),
    );
    let policy = sandbox
        .read("msctl.yaml")
        .replace("checks:", "fail-on: critical, checks:");
    sandbox.write("msctl.yaml", policy);
    sandbox
}

fn commit(sandbox: &Sandbox) {
    git(sandbox, "", &["add", "-A"]);
    git(sandbox, "", &["commit", "-qm", "change"]);
}

/// Exit code, how the first waiver stands, where the rules are from.
fn stands(sandbox: &Sandbox, more: &[&str]) -> (i32, String, String) {
    let run = sandbox.msctl(["gate", "--output", "json"].iter().chain(more));
    let report = run.json();
    let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    (
        run.code,
        word(&report["waivers"][0]["standing"]),
        word(&report["policy"]["from"]),
    )
}

#[test]
fn a_change_cannot_waive_itself() {
    let sandbox = change();
    let is = |code: i32, standing: &str, from: &str| (code, standing.to_owned(), from.to_owned());
    assert_eq!(stands(&sandbox, &[]), is(0, "in-force", "worktree"));
    // In CI it is not what lies there that counts, but what was checked out; and where the base is known, the base.
    let sandbox = sandbox.with_env("CI", "true");
    assert_eq!(stands(&sandbox, &[]), is(1, "not-in-force", "HEAD"));
    commit(&sandbox);
    assert_eq!(stands(&sandbox, &[]), is(0, "in-force", "HEAD"));
    assert_eq!(stands(&sandbox, &["--base", "HEAD^1"]), is(1, "not-in-force", "HEAD^1"));
    let sandbox = sandbox.with_env("GITHUB_BASE_REF", "main");
    assert_eq!(stands(&sandbox, &[]), is(1, "not-in-force", "origin/main"));
    let run = sandbox.msctl(["gate", "--output", "human"]);
    for says in [
        "waiver W1 of @payments is not in force yet: origin/main does not have it",
        "policy: origin/main (",
        "`gate` in msctl.yaml is not as in origin/main, whose policy is in force",
        "FAIL: 1 finding at or above high.",
    ] {
        assert!(run.stdout.contains(says), "{says}:\n{}", run.transcript());
    }
    // Once the base has it, it is in force; what the change makes of it is not.
    git(&sandbox, "", &["update-ref", "refs/remotes/origin/main", "HEAD"]);
    assert_eq!(stands(&sandbox, &[]), is(0, "in-force", "origin/main"));
    let longer = sandbox.read(".msctl/waivers.yaml").replace(&day(30), &day(60));
    sandbox.write(".msctl/waivers.yaml", longer);
    let report = sandbox.msctl(["gate", "--output", "json"]).json();
    let standing = |at: usize| report["waivers"][at]["standing"].as_str().unwrap_or_default();
    assert_eq!((standing(0), standing(1)), ("in-force", "not-in-force"), "{report}");
    std::fs::remove_file(sandbox.path(".msctl/waivers.yaml")).expect("removed");
    assert_eq!(stands(&sandbox, &[]), is(0, "in-force", "origin/main"));
}

#[test]
fn the_base_of_every_ci_system_is_found() {
    let sandbox = change();
    commit(&sandbox);
    let base = git(&sandbox, "", &["rev-parse", "HEAD^1"]);
    let mut sandbox = sandbox.with_env("CI", "true");
    for (name, value, from) in [
        ("CI_MERGE_REQUEST_DIFF_BASE_SHA", base.as_str(), &base[..12]),
        ("CHANGE_TARGET", "main", "origin/main"),
        ("GITHUB_BASE_REF", "main", "origin/main"),
    ] {
        sandbox = sandbox.with_env(name, value);
        assert_eq!(stands(&sandbox, &[]), (1, "not-in-force".into(), from.into()), "{name}");
        sandbox = sandbox.with_env(name, "");
    }
}

#[track_caller]
fn gives_no_verdict(sandbox: &Sandbox, arguments: &[&str], says: &str) {
    let run = sandbox.msctl(["gate"].iter().chain(arguments));
    assert!(
        run.code == 2 && run.stdout.is_empty() && run.stderr.contains(says),
        "{says}:\n{}",
        run.transcript()
    );
}

#[test]
fn a_base_that_is_not_there_gives_no_verdict() {
    let sandbox = change();
    gives_no_verdict(&sandbox, &["--base", "nothing"], "there is no commit `nothing` here");
    gives_no_verdict(&sandbox, &["--base", "HEAD~5"], "there is no commit `HEAD~5` here");
    gives_no_verdict(&sandbox, &["--base=--all"], "is no revision");
    gives_no_verdict(&sandbox, &["--base", "HEAD:msctl.yaml"], "there is no commit");
    // A name that somebody else can give to something else, too.
    git(&sandbox, "", &["tag", "main", "HEAD"]);
    gives_no_verdict(&sandbox, &["--base", "main"], "`main` names more than one thing");
    commit(&sandbox);
    let from = format!("file://{}", sandbox.path("").display());
    git(
        &sandbox,
        "",
        &["clone", "-q", "--depth", "1", "--branch", "change", &from, "../clone"],
    );
    let clone = sandbox.path("../clone");
    let clone = clone.to_str().expect("UTF-8");
    gives_no_verdict(
        &sandbox,
        &["-C", clone, "--base", "HEAD^1"],
        "there is no commit `HEAD^1` in this shallow clone",
    );
    let sandbox = sandbox.with_env("GITHUB_BASE_REF", "v1");
    gives_no_verdict(
        &sandbox,
        &["-C", clone],
        "hint: git fetch --depth 1 origin v1:refs/remotes/origin/v1",
    );
    let sandbox = service().with_env("GITHUB_BASE_REF", "main");
    gives_no_verdict(&sandbox, &["--output", "human"], "lies in no git repository");
}

#[test]
fn where_nothing_was_checked_out_the_rules_are_those_of_the_files() {
    let sandbox = service().with_env("CI", "true");
    let run = sandbox.msctl(["gate", "--only", "dockerfile", "--output", "human"]);
    assert_eq!(run.code, 1, "{}", run.transcript());
    assert!(
        run.stdout.contains("there is no git repository here"),
        "{}",
        run.transcript()
    );
}

#[test]
fn what_is_judged_has_no_say_in_what_its_base_is() {
    let sandbox = change();
    sandbox.write(
        ".gitattributes",
        "* export-ignore\n.msctl/** export-ignore filter=evil\n",
    );
    commit(&sandbox);
    let own = git(&sandbox, "", &["rev-parse", "HEAD"]);
    let base = git(&sandbox, "", &["rev-parse", "refs/remotes/origin/main"]);
    // A tag that looks like the branch, and an object in place of another.
    git(&sandbox, "", &["tag", "origin/main", &own]);
    git(&sandbox, "", &["replace", "-f", &base, &own]);
    // Variables of git's own.
    git(&sandbox, "", &["init", "-q", "--bare", "../other.git"]);
    let other = sandbox.path("../other.git").display().to_string();
    let sandbox = sandbox.with_env("GITHUB_BASE_REF", "main").with_env("GIT_DIR", &other);
    assert_eq!(stands(&sandbox, &[]), (1, "not-in-force".into(), "origin/main".into()));
    let own_git = sandbox.path(".git").display().to_string();
    let sandbox = sandbox.with_env("GIT_DIR", own_git);
    // Attributes hide nothing from the base.
    git(&sandbox, "", &["update-ref", "refs/remotes/origin/main", &own]);
    assert_eq!(stands(&sandbox, &[]), (0, "in-force".into(), "origin/main".into()));
}

#[test]
fn a_directory_that_looks_like_a_repository_is_none() {
    let sandbox = change();
    for file in ["Dockerfile", ".msctl/waivers.yaml"] {
        sandbox.write(&format!("svc/{file}"), sandbox.read(file));
    }
    commit(&sandbox);
    // A service below the root, whose files make up a repository in which `main` waives.
    let sandbox = {
        let outer = Sandbox::new().with_tools(&["hadolint"]);
        git(&outer, "", &["init", "-q"]);
        outer.write("svc/Dockerfile", sandbox.read("Dockerfile"));
        git(&outer, "", &["add", "-A"]);
        git(&outer, "", &["commit", "-qm", "base"]);
        git(&outer, "", &["update-ref", "refs/remotes/origin/main", "HEAD"]);
        let from = sandbox.path(".git").display().to_string();
        git(
            &outer,
            "",
            &["clone", "-q", "--bare", "--branch", "change", &from, "../bare"],
        );
        git(
            &outer,
            "../bare",
            &["update-ref", "refs/remotes/origin/main", "refs/heads/change"],
        );
        for part in ["HEAD", "config", "objects", "refs", "packed-refs"] {
            let to = outer.path("svc").join(part);
            let run = outer.run_in(
                "",
                std::path::Path::new("/bin/cp"),
                [
                    "-r".as_ref(),
                    outer.path("../bare").join(part).as_os_str(),
                    to.as_os_str(),
                ],
            );
            assert_eq!(run.code, 0, "{}", run.transcript());
        }
        outer.write("svc/.msctl/waivers.yaml", sandbox.read(".msctl/waivers.yaml"));
        outer.with_env("GITHUB_BASE_REF", "main")
    };
    let seen = git(&sandbox, "svc", &["rev-parse", "--is-bare-repository"]);
    assert_eq!(seen, "true", "git itself takes it for one");
    let (code, standing, from) = stands(&sandbox, &["-C", "svc", "--only", "dockerfile"]);
    assert_eq!(
        (code, standing.as_str(), from.as_str()),
        (1, "not-in-force", "origin/main")
    );
}

#[test]
fn a_base_whose_waivers_are_no_file_is_no_base() {
    let sandbox = service();
    std::fs::create_dir(sandbox.path(".msctl")).expect("a directory");
    std::os::unix::fs::symlink("../Dockerfile", sandbox.path(".msctl/waivers.yaml")).expect("a link");
    git(&sandbox, "", &["init", "-q"]);
    commit(&sandbox);
    std::fs::remove_file(sandbox.path(".msctl/waivers.yaml")).expect("removed");
    gives_no_verdict(
        &sandbox,
        &["--base", "HEAD"],
        "`.msctl/waivers.yaml` is no plain file in the commit",
    );
}
