//! No counters, no traffic, no Prometheus: nothing is judged, and nothing is lost.

use crate::lab::{User, lab};
use crate::support::until;

use super::shop::{FAST, Shop, prometheus};

/// The looks of the release under way in which the proxies stood in for Prometheus.
pub(super) fn stood_in(shop: &Shop) -> usize {
    shop.journal().matches("\"reason\":\"standby\"").count()
}

#[test]
fn while_prometheus_is_silent_no_step_is_taken_and_a_bad_canary_goes_back() {
    let shop = Shop::alone("outage");
    let load = shop.load(200);
    let driver = shop.begin(&FAST);
    let silence = prometheus().part.pause();
    // The hold is over long before that.
    until("many looks", || stood_in(&shop) > 2);
    assert_eq!(shop.share(), 10);
    drop(silence);
    assert_eq!((driver.end(), shop.share()), (Some(0), 100), "{}", shop.journal());
    assert_eq!(shop.canary(User::Releaser, "set", &["0"]).code, 0);

    let driver = shop.begin(&FAST);
    let silence = prometheus().part.pause();
    until("the proxies are read", || stood_in(&shop) > 1);
    shop.break_canary(&serde_json::json!({"errors": 0.5}));
    assert_eq!((driver.end(), shop.share()), (Some(1), 0), "{}", shop.journal());
    drop(silence);
    let explained = shop.explain();
    println!("{}", explained.transcript());
    assert_eq!(explained.code, 0, "{}", explained.transcript());
    load.stop(lab().wire());
}

#[test]
fn without_traffic_a_canary_is_neither_promoted_nor_rolled_back() {
    let shop = Shop::open("silent");
    let driver = shop.begin(&["--steps", "10,50", "--hold", "1s"]);
    let lines = || shop.journal().lines().count();
    until("a hold, and many looks", || lines() > 12);
    assert_eq!(shop.share(), 10);
    let judged: Vec<String> = shop.journal().lines().skip(1).map(str::to_owned).collect();
    assert!(
        judged
            .iter()
            .all(|line| !line.contains("\"reason\":\"safe\"") && !line.contains("\"reason\":\"harm\""))
    );
    driver.signal(rustix::process::Signal::INT);
    assert_eq!((driver.end(), shop.share()), (Some(130), 0));
}

#[test]
fn without_a_prometheus_the_proxies_are_asked() {
    let shop = Shop::open("proxies");
    let load = shop.load(200);
    let flags = [&["--metrics", "proxies"][..], &FAST].concat();
    let run = shop.canary(User::Releaser, "run", &flags);
    println!("{}", run.transcript());
    assert_eq!((run.code, shop.share()), (0, 100), "{}", run.transcript());
    assert_eq!(shop.canary(User::Releaser, "set", &["0"]).code, 0);
    shop.break_canary(&serde_json::json!({"errors": 0.5}));
    let run = shop.canary(User::Releaser, "run", &flags);
    println!("{}", run.transcript());
    assert_eq!((run.code, shop.share()), (1, 0), "{}", run.transcript());
    load.stop(lab().wire());
}
