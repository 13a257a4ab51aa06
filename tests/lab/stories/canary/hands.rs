//! What people, and their tools, do to a release that is under way.

use std::io::Write;
use std::process::Stdio;

use serde_json::Value;

use crate::lab::{User, lab};
use crate::support::until;

use super::super::mesh::kubectl;
use super::shop::{FAST, Shop, counters};

#[test]
fn a_release_is_paused_promoted_and_aborted_from_another_place() {
    let shop = Shop::open("asked");
    let before = shop.route()["spec"].clone();
    let load = shop.load(100);
    let none = shop.elsewhere("pause", &[]);
    assert_eq!(none.code, 2, "{}", none.transcript());
    assert!(
        none.stderr.contains("no release of payment is under way"),
        "{}",
        none.transcript()
    );

    let driver = shop.begin(&["--steps", "10,50", "--hold", "60s"]);
    let paused = shop.elsewhere("pause", &[]);
    assert_eq!(paused.code, 0, "{}", paused.transcript());
    until("its driver heard it", || {
        shop.journal().contains("\"ask\":{\"what\":\"pause\"}")
    });
    let status = shop.elsewhere("status", &[]);
    println!("{}", status.transcript());
    assert_eq!(status.code, 0, "{}", status.transcript());
    for words in [
        "the canary has 10 %",
        "in force at 1 proxy",
        "1 of 1 pods ready",
        "alive",
        "ben@",
        "asks it to wait",
    ] {
        assert!(status.stdout.contains(words), "{words}\n{}", status.transcript());
    }
    let refused = shop.elsewhere("set", &["30"]);
    assert_eq!((refused.code, shop.share()), (3, 10), "{}", refused.transcript());

    // A person's word is enough for the next step, also of one that waits.
    let promoted = shop.elsewhere("promote", &[]);
    assert_eq!(promoted.code, 0, "{}", promoted.transcript());
    until("the next step", || shop.share() == 50);

    let aborted = shop.elsewhere("abort", &[]);
    println!("{}", aborted.transcript());
    assert_eq!(
        (aborted.code, driver.end(), shop.share()),
        (0, Some(1), 0),
        "{}",
        aborted.transcript()
    );
    assert_eq!(shop.route()["spec"], before);
    assert!(shop.is_tidy());
    let told: Vec<String> = shop.events();
    for reason in ["CanaryWeight", "CanaryAsked", "CanaryReturning", "CanaryAborted"] {
        assert!(told.iter().any(|told| told == reason), "{reason}: {told:?}");
    }
    let again = shop.elsewhere("abort", &[]);
    assert_eq!(again.code, 0, "{}", again.transcript());
    assert!(
        again.stdout.contains("The canary had no traffic"),
        "{}",
        again.transcript()
    );
    load.stop(lab().wire());
}

#[test]
fn a_release_waits_at_its_gate_and_can_be_aborted_after_its_promotion() {
    let shop = Shop::open("gate");
    let before = shop.route()["spec"].clone();
    let load = shop.load(200);
    let driver = shop.begin(&[&FAST[..], &["--gates", "10"]].concat());
    until("the gate", || shop.journal().contains("\"reason\":\"gate\""));
    assert_eq!(shop.share(), 10);
    assert_eq!(shop.elsewhere("promote", &[]).code, 0);
    assert_eq!((driver.end(), shop.share()), (Some(0), 100));
    assert!(shop.journal().contains("\"reason\":\"promoted\""), "{}", shop.journal());
    let explained = shop.explain();
    assert!(
        explained.stdout.contains("took a step as done"),
        "{}",
        explained.transcript()
    );
    let aborted = shop.elsewhere("abort", &[]);
    assert_eq!((aborted.code, shop.share()), (0, 0), "{}", aborted.transcript());
    assert_eq!(shop.route()["spec"], before);
    load.stop(lab().wire());
}

/// What a controller that follows Git does: the whole object anew, as it stands in Git, in its own name.
fn reapply(shop: &Shop) {
    let apply = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager=argocd-controller",
        "-k",
        "deploy/istio",
    ];
    let run = kubectl(&shop.sandbox, User::Admin, &apply);
    assert_eq!(run.code, 0, "{}", run.transcript());
}

fn owners(route: &Value) -> Vec<&str> {
    let all = route["metadata"]["managedFields"].as_array().into_iter().flatten();
    let mut names: Vec<&str> = all.filter_map(|entry| entry["manager"].as_str()).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_re_apply_from_git_is_put_right_where_that_is_asked_for_and_nothing_is_owned_afterwards() {
    let shop = Shop::open("gitops");
    reapply(&shop);
    let before = shop.route();
    let load = shop.load(200);
    let driver = shop.begin(&[&FAST[..], &["--reassert", "argocd-controller"]].concat());
    for _ in 0..3 {
        reapply(&shop);
        until("it is put right", || shop.share() != 0);
    }
    assert_eq!((driver.end(), shop.share()), (Some(0), 100), "{}", shop.journal());
    assert!(shop.journal().contains("put back"), "{}", shop.journal());
    assert!(shop.is_tidy());
    assert!(!owners(&shop.route()).contains(&"msctl"), "{:?}", owners(&shop.route()));

    // Git's next word is obeyed, and finds its object as it was.
    reapply(&shop);
    let after = shop.route();
    assert_eq!(after["spec"], before["spec"]);
    assert_eq!(owners(&after), owners(&before));

    // Where it is not asked for, traffic that is taken away ends the release.
    let driver = shop.begin(&["--steps", "10,50", "--hold", "60s"]);
    reapply(&shop);
    assert_eq!((driver.end(), shop.share()), (Some(1), 0));
    assert!(shop.is_tidy());
    load.stop(lab().wire());
}

#[test]
fn a_webhook_is_told_and_one_that_hangs_holds_up_nothing() {
    let shop = Shop::open("hook");
    let load = shop.load(200);
    // It takes connections and answers nothing.
    let (address, _listener) = lab().wire().run(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        (listener.local_addr().expect("an address"), listener)
    });
    let url = format!("http://{address}/");
    let run = shop.canary(
        User::Releaser,
        "run",
        &[&counters()[..], &FAST, &["--notify", &url]].concat(),
    );
    assert_eq!(run.code, 0, "{}", run.transcript());
    let took = run
        .stdout
        .lines()
        .find(|line| line.starts_with("PROMOTED"))
        .expect("its end");
    println!("{took}");
    load.stop(lab().wire());
}

#[test]
fn a_person_watches_on_a_terminal_and_aborts_with_two_keys() {
    let shop = Shop::open("keys");
    let load = shop.load(100);
    let driver = shop.begin(&["--steps", "10,50", "--hold", "60s"]);
    let screen = shop.sandbox.path("screen");
    let watch = shop.command(User::Releaser, "watch", &[]);
    // On a terminal, as a person has it, who takes it as it comes.
    let words: Vec<_> = watch
        .get_args()
        .filter(|word| !["--output", "ci"].contains(&&*word.to_string_lossy()))
        .collect();
    let line = std::iter::once(watch.get_program()).chain(words);
    let line = shell_words::join(line.map(|word| word.to_string_lossy()));
    let mut terminal = std::process::Command::new("script");
    terminal
        .args(["--quiet", "--return", "--flush", "--command", &line])
        .arg(&screen);
    terminal
        .env_remove("CI")
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::null());
    let mut terminal = terminal.spawn().expect("script");
    let mut keys = terminal.stdin.take().expect("a keyboard");
    let shows = |what: &str| {
        until(what, || {
            std::fs::read_to_string(&screen).is_ok_and(|seen| seen.contains(what))
        });
    };
    shows("a abort");
    shows("watches");
    keys.write_all(b"a").expect("a key");
    shows("Give stable all the traffic? y/n");
    assert_eq!(shop.share(), 10, "one key moves nothing");
    keys.write_all(b"y").expect("a key");
    assert_eq!((driver.end(), shop.share()), (Some(1), 0));
    assert_eq!(terminal.wait().expect("its end").code(), Some(1));
    println!("{}", std::fs::read_to_string(&screen).expect("the screen"));
    load.stop(lab().wire());
}
