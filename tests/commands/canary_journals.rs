//! `msctl canary history`, `report` and `export`: over journals and the description alone.

use crate::support::{Run, Sandbox};

const QUICK: [&str; 11] = [
    "canary",
    "rehearse",
    "--fast",
    "--rate",
    "6",
    "--steps",
    "25",
    "--hold",
    "5s",
    "--built-in",
    "--fault",
];

/// A rehearsal that was rolled back; the id of its journal.
fn rolled_back(sandbox: &Sandbox) -> String {
    let before = journals(sandbox);
    let run = sandbox.msctl(QUICK.iter().chain(&["errors=60%"]));
    assert_eq!(run.code, 1, "{}", run.transcript());
    let mut new = journals(sandbox);
    new.retain(|id| !before.contains(id));
    new.pop().expect("a journal")
}

fn journals(sandbox: &Sandbox) -> Vec<String> {
    let entries = std::fs::read_dir(sandbox.path(".msctl/canary"))
        .into_iter()
        .flatten()
        .flatten();
    let names = entries.map(|e| e.file_name().to_string_lossy().into_owned());
    names
        .filter_map(|name| name.strip_suffix(".jsonl").map(str::to_owned))
        .collect()
}

/// The journal of a release that began then and was never looked at.
fn begun(sandbox: &Sandbox, id: &str, started: &str, service: &str) {
    let made = sandbox.read(&format!(".msctl/canary/{}.jsonl", journals(sandbox)[0]));
    let mut header: serde_json::Value =
        serde_json::from_str(made.lines().next().expect("a header")).expect("a JSON line");
    (header["started"], header["service"], header["id"]) = (started.into(), service.into(), id.into());
    sandbox.write(&format!(".msctl/canary/{id}.jsonl"), format!("{header}\n"));
}

fn ids(run: &Run) -> Vec<String> {
    let json = run.json();
    let releases = json["releases"].as_array().expect("releases").iter();
    releases.map(|r| r["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn without_a_release_history_says_how_to_get_one() {
    let sandbox = Sandbox::new();
    insta::assert_snapshot!(sandbox.msctl(["canary", "history"]).transcript(), @r"
    $ msctl canary history
    No release of this service has a journal yet.
      next: msctl canary rehearse --fast
    (exit 0)
    ");
    insta::assert_snapshot!(sandbox.msctl(["canary", "history", "--output", "json"]).transcript(), @r#"
    $ msctl canary history --output json
    {"schema":"msctl.canary.history/v1","releases":[],"total":0}
    (exit 0)
    "#);
}

#[test]
fn the_newest_comes_first_and_what_cannot_be_read_hides_nothing() {
    let sandbox = Sandbox::new();
    let real = rolled_back(&sandbox);
    begun(&sandbox, "aaa1", "2020-01-02T03:04:05Z", "evil\u{1b}[31m\u{202e}");
    begun(&sandbox, "aaa2", "2099-01-02T03:04:05Z", "payment");
    begun(&sandbox, "aaa3", "2020-01-03T00:00:00Z", "payment");
    let text = sandbox.read(".msctl/canary/aaa3.jsonl") + "{\"not\":\"an entry\"}\n";
    sandbox.write(".msctl/canary/aaa3.jsonl", text);
    std::fs::create_dir(sandbox.path(".msctl/canary/aaa4.jsonl")).expect("a directory");
    std::os::unix::fs::symlink("/nowhere", sandbox.path(".msctl/canary/aaa5.jsonl")).expect("a link");
    let json = sandbox.msctl(["canary", "history", "--output", "json"]);
    let newest = ids(&json);
    assert_eq!(
        (json.code, newest.len(), newest[0].as_str()),
        (0, 6, "aaa2"),
        "{}",
        json.transcript()
    );
    assert_eq!(&newest[4..], ["aaa3", "aaa1"], "{}", json.transcript());
    let json = json.json();
    let of = |id: &str| {
        let mut releases = json["releases"].as_array().expect("releases").iter();
        releases.find(|r| r["id"] == id).expect(id).clone()
    };
    let release = of(&real);
    assert_eq!(
        (&release["outcome"], &release["weight"]),
        (&"rolled-back".into(), &0.into())
    );
    assert!(
        release["harmed"].as_u64() > Some(0) && release.get("problem").is_none(),
        "{release}"
    );
    assert_eq!(of("aaa2")["outcome"], serde_json::Value::Null);
    for (id, why) in [
        ("aaa3", "line 2 of the journal"),
        ("aaa4", "is no file"),
        ("aaa5", "cannot read"),
    ] {
        let problem = of(id)["problem"].as_str().unwrap_or_default().to_owned();
        assert!(problem.contains(why), "{id}: {problem}");
    }
    for form in ["human", "ci"] {
        let run = sandbox.msctl(["canary", "history", "--output", form]);
        assert_eq!(run.code, 0, "{}", run.transcript());
        assert!(
            run.stdout.contains("ROLLED BACK") && run.stdout.contains("UNFINISHED"),
            "{}",
            run.transcript()
        );
        assert_eq!(run.stdout.matches("UNREADABLE").count(), 3, "{}", run.transcript());
        assert!(
            !run.stdout.contains('\u{1b}') && !run.stdout.contains('\u{202e}'),
            "{:?}",
            run.stdout
        );
        if form == "human" {
            assert!(
                run.stdout.lines().take(7).all(|l| l.chars().count() <= 80),
                "{}",
                run.transcript()
            );
        }
    }
    let limited = sandbox.msctl(["canary", "history", "--limit", "2"]);
    assert!(
        limited
            .stdout
            .contains("2 of 6 releases; all: msctl canary history --limit 6\n"),
        "{}",
        limited.transcript()
    );
}

#[test]
fn a_journal_that_was_changed_is_said_to_be_so() {
    let sandbox = Sandbox::new();
    let id = rolled_back(&sandbox);
    let file = format!(".msctl/canary/{id}.jsonl");
    let text = sandbox
        .read(&file)
        .replacen("\"reason\":\"harm\"", "\"reason\":\"</code><script>\"", 1);
    let line = text.lines().position(|l| l.contains("script")).expect("a line") + 1;
    sandbox.write(&file, text);
    let history = sandbox.msctl(["canary", "history"]);
    let says = format!("{id}: line {line} does not recompute\n");
    assert!(
        history.code == 0 && history.stdout.contains(&says),
        "{}",
        history.transcript()
    );
    let run = sandbox.msctl(["canary", "report"]);
    assert_eq!(run.code, 1, "{}", run.transcript());
    assert!(run.stdout.contains("DIFFERENT after "), "{}", run.transcript());
    let page = sandbox.read(&format!(".msctl/canary/{id}.html"));
    assert!(
        page.contains("&lt;/code&gt;&lt;script&gt;") && !page.contains("<script"),
        "{page}"
    );
}

#[test]
fn a_page_is_written_beside_its_journal_and_is_the_same_again() {
    let sandbox = Sandbox::new();
    let id = rolled_back(&sandbox);
    let run = sandbox.msctl(["canary", "report", &id[..4]]);
    assert_eq!(run.code, 0, "{}", run.transcript());
    assert!(
        run.stdout
            .starts_with(&format!("example {id}: ROLLED BACK at 25 % after ")),
        "{}",
        run.transcript()
    );
    assert!(
        run.stdout.contains(&format!("  page: ./.msctl/canary/{id}.html (")),
        "{}",
        run.transcript()
    );
    let page = sandbox.read(&format!(".msctl/canary/{id}.html"));
    let stdout = sandbox.msctl(["canary", "report", "--out", "-"]);
    assert_eq!((stdout.code, &stdout.stdout), (0, &page));
    let explain = sandbox.msctl(["canary", "explain"]).stdout;
    let verdict = explain
        .lines()
        .find_map(|l| l.strip_prefix("ROLLED BACK: "))
        .expect("a verdict");
    assert!(
        page.contains(verdict),
        "the page says what the terminal says: {verdict}"
    );
    let again = sandbox.msctl(["canary", "report", "--output", "json"]).json();
    assert_eq!(again["schema"], "msctl.canary.page/v1");
    assert_eq!(again["bytes"].as_u64(), Some(page.len() as u64));
}

#[test]
fn a_file_of_somebody_else_is_not_replaced_unasked() {
    let sandbox = Sandbox::new();
    rolled_back(&sandbox);
    sandbox.write("mine.html", "<!doctype html>\nmine\n");
    insta::assert_snapshot!(sandbox.msctl(["canary", "report", "--out", "mine.html"]).transcript(), @r"
    $ msctl canary report --out mine.html
    ! error: `mine.html` is there and is no page of msctl's
    !   Nothing was written.
    !   hint: --out FILE     writes another file
    !   hint: --overwrite    replaces it
    (exit 3)
    ");
    assert_eq!(sandbox.read("mine.html"), "<!doctype html>\nmine\n");
    for more in ["--force", "--overwrite"] {
        let run = sandbox.msctl(["canary", "report", "--out", "mine.html", more]);
        assert_eq!(run.code, 0, "{}", run.transcript());
    }
    assert_eq!(
        sandbox.msctl(["canary", "report", "--out", "mine.html"]).code,
        0,
        "it is a page now"
    );
    assert!(sandbox.read("mine.html").contains("ROLLED BACK"));
    let run = sandbox.msctl(["canary", "report", "--out", "none/x.html"]);
    assert!(
        run.code == 2 && run.stderr.contains("cannot write `none/x.html`"),
        "{}",
        run.transcript()
    );
    let run = sandbox.msctl(["canary", "report", "zz"]);
    assert!(
        run.code == 2 && run.stderr.contains("no journal is called `zz`"),
        "{}",
        run.transcript()
    );
}

const SERVICE: &str = "schema: msctl.service/v1\nname: payment\ndeploy: { namespace: shop }\n";

#[test]
fn the_plan_is_exported_for_both_controllers() {
    let sandbox = Sandbox::new();
    sandbox.write("msctl.yaml", SERVICE);
    let flagger = sandbox.msctl(["canary", "export", "--to", "flagger"]);
    assert_eq!(flagger.code, 0, "{}", flagger.transcript());
    assert!(
        flagger
            .stdout
            .starts_with("# The plan of `payment` in msctl.yaml, for Flagger."),
        "{}",
        flagger.stdout
    );
    let plan = "    stepWeights:\n    - 1\n    - 5\n    - 25\n    - 50\n    - 100\n";
    assert!(flagger.stdout.contains(plan), "{}", flagger.stdout);
    let arguments = [
        "canary",
        "export",
        "--to",
        "argo-rollouts",
        "--prometheus",
        "http://prometheus.mon:9090",
    ];
    let argo = sandbox.msctl(arguments);
    assert_eq!(argo.code, 0, "{}", argo.transcript());
    for says in [
        "      - setWeight: 1\n      - pause:\n          duration: 120s\n",
        "        address: http://prometheus.mon:9090\n",
        "  workloadRef:\n    apiVersion: apps/v1\n    kind: Deployment\n    name: payment-stable\n",
    ] {
        assert!(argo.stdout.contains(says), "{says}{}", argo.stdout);
    }
    let json = sandbox
        .msctl(["canary", "export", "--to", "flagger", "--output", "json"])
        .json();
    assert_eq!(
        (&json["schema"], &json["text"]),
        (&"msctl.canary.export/v1".into(), &flagger.stdout.into())
    );
}

#[test]
fn what_a_controller_cannot_do_is_refused_with_the_way_out() {
    let sandbox = Sandbox::new();
    sandbox.write("msctl.yaml", format!("{SERVICE}canary: {{ steps: [0.5, 2, 10] }}\n"));
    insta::assert_snapshot!(sandbox.msctl(["canary", "export", "--to", "flagger"]).transcript(), @r"
    $ msctl canary export --to flagger
    ! error: `canary.steps` has 0.5 %, and Flagger takes whole percents alone
    !   hint: canary: { steps: [1, 2, 10] }
    (exit 2)
    ");
    sandbox.write("msctl.yaml", format!("{SERVICE}canary: {{ hold: 5s }}\n"));
    insta::assert_snapshot!(sandbox.msctl(["canary", "export", "--to", "argo-rollouts"]).transcript(), @r"
    $ msctl canary export --to argo-rollouts
    ! error: `canary.hold` is 5s, and Argo Rollouts is made to look every 10 s
    !   hint: canary: { hold: 10s }    or longer
    (exit 2)
    ");
    for (arguments, says) in [
        (&["--to", "spinnaker"][..], "possible values: flagger, argo-rollouts"),
        (&[], "--to <CONTROLLER>"),
        (
            &["--to", "flagger", "--prometheus", "http://p:9090"],
            "-metrics-server=URL",
        ),
        (
            &["--to", "argo-rollouts", "--prometheus", "p:9090"],
            "is no address such as",
        ),
        (
            &["--to", "argo-rollouts", "--prometheus", "http://a\nb: c"],
            "is no address such as",
        ),
    ] {
        let run = sandbox.msctl(["canary", "export"].iter().chain(arguments));
        assert!(
            run.code == 2 && run.stderr.contains(says) && run.stdout.is_empty(),
            "{}",
            run.transcript()
        );
    }
}
