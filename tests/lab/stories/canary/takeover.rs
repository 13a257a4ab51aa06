//! A release whose driver is gone: another one goes on, or nobody does.

use crate::lab::User;
use crate::lab::lab;
use crate::support::until;

use super::shop::{FAST, Shop, counters};

#[test]
fn a_release_whose_driver_is_killed_is_taken_over() {
    let shop = Shop::open("killed");
    let load = shop.load(200);
    shop.begin(&FAST).kill();
    assert_eq!(shop.share(), 10, "traffic stays where it was");

    // Where its journal is, at once, and with all its evidence.
    let run = shop.canary(User::Releaser, "resume", &counters());
    println!("{}", run.transcript());
    assert_eq!((run.code, shop.share()), (0, 100), "{}", run.transcript());
    assert!(shop.is_tidy());
    let explained = shop.explain();
    assert_eq!(explained.code, 0, "{}", explained.transcript());
    assert!(
        explained.stdout.contains("another driver goes on"),
        "{}",
        explained.transcript()
    );

    // Elsewhere, when its lease has lapsed, by the plan at the route.
    let set = shop.canary(User::Releaser, "set", &["0"]);
    assert_eq!((set.code, shop.share()), (0, 0), "{}", set.transcript());
    shop.begin(&FAST).kill();
    let run = shop.elsewhere("resume", &counters());
    println!("{}", run.transcript());
    assert_eq!((run.code, shop.share()), (0, 100), "{}", run.transcript());
    assert!(shop.is_tidy());
    load.stop(lab().wire());
}

#[test]
fn a_step_that_was_decided_and_not_written_is_written_by_the_next_driver() {
    let shop = Shop::open("decided");
    let load = shop.load(200);
    let driver = shop.begin(&FAST);
    until("its second step", || shop.share() == 50);
    driver.kill();
    // As if it had died a moment before: what it decided is on its disk, and not at the route.
    let journal = shop.journal();
    let (decided, _) = journal.split_once("{\"write\":500}").expect("the decision");
    shop.keep_of_journal(decided.len() + "{\"write\":500}]}}\n".len());
    shop.weight(10);
    let run = shop.canary(User::Releaser, "resume", &counters());
    println!("{}", run.transcript());
    assert_eq!((run.code, shop.share()), (0, 100), "{}", run.transcript());
    assert_eq!(shop.explain().code, 0, "{}", shop.journal());
    assert!(shop.is_tidy());
    load.stop(lab().wire());
}

#[test]
fn a_guard_puts_traffic_back_when_the_driver_is_gone_and_not_before() {
    let shop = Shop::open("guard");
    let before = shop.route()["spec"].clone();
    let load = shop.load(100);
    let guard = || shop.canary(User::Releaser, "guard", &["--patience", "6s"]);
    assert_eq!(guard().code, 0, "there is nothing to guard");

    // One that lives is left alone, however long it takes.
    let driver = shop.begin(&FAST);
    let run = guard();
    assert_eq!((run.code, driver.end()), (0, Some(0)), "{}", run.transcript());
    assert!(run.stdout.contains("ended by itself"), "{}", run.transcript());
    assert_eq!(shop.canary(User::Releaser, "set", &["0"]).code, 0);

    // One that is killed and aborted is not in the way of the next.
    shop.begin(&FAST).kill();
    let aborted = shop.canary(User::Releaser, "abort", &[]);
    assert_eq!((aborted.code, shop.share()), (0, 0), "{}", aborted.transcript());
    shop.begin(&FAST).kill();
    let run = guard();
    println!("{}", run.transcript());
    assert_eq!((run.code, shop.share()), (1, 0), "{}", run.transcript());
    assert_eq!(shop.route()["spec"], before);
    let marks = || shop.route()["metadata"]["annotations"]["msctl.dev/canary"].is_null();
    until("the mark is gone", marks);
    load.stop(lab().wire());
}
