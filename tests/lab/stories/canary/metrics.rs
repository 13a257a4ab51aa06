//! Releases that are judged by the service's own counters too.

use rustix::process::Signal;
use serde_json::json;

use crate::lab::{User, lab};
use crate::support::until;

use super::shop::{FAST, Shop, counters, harmed};

const ORDERS: &str = r#"[{ name: orders, total: lab_orders_total, bad: 'lab_orders_total{result="bad"}' }]"#;

#[test]
fn a_canary_whose_own_counter_goes_bad_is_taken_back_though_every_answer_is_good() {
    let shop = Shop::open("orders");
    shop.scrape_pods();
    shop.judged_by(ORDERS);
    let before = shop.route()["spec"].clone();
    shop.break_canary(&json!({"bad_orders": 0.5}));
    let load = shop.load(200);
    let run = shop.release();
    println!("{}", run.transcript());
    assert_eq!((run.code, shop.share()), (1, 0), "{}", run.transcript());
    assert!(
        run.stdout.contains("by the metric `orders` the canary was bad in "),
        "{}",
        run.transcript()
    );
    assert_eq!(shop.route()["spec"], before);
    let explained = shop.explain();
    println!("{}", explained.transcript());
    assert_eq!(explained.code, 0, "{}", explained.transcript());
    assert!(
        explained.stdout.contains("the canary is worse, by the metric `orders`"),
        "{}",
        explained.transcript()
    );
    let directory = ["--output", "json", "canary", "explain"];
    let report = shop.sandbox.msctl_in("payment", directory).json();
    let orders = &report["steps"][0]["metrics"]["orders"];
    assert_eq!(report["worst"], "orders", "{report}");
    assert!(orders["canary"]["bad"].as_u64() > Some(3), "{report}");
    assert_eq!(orders["stable"]["bad"], 0, "{report}");

    let dry = shop.canary(User::Releaser, "run", &[&counters()[..], &["--dry-run"]].concat());
    assert!(
        dry.stdout.contains("  judged by the metric orders too\n"),
        "{}",
        dry.transcript()
    );
    // The same canary without that fault.
    shop.break_canary(&json!({}));
    let run = shop.release();
    println!("{}", run.transcript());
    assert_eq!((run.code, shop.share()), (0, 100), "{}", run.transcript());
    let told = load.stop(lab().wire());
    assert_eq!((harmed(&told), told.failures.len()), (0, 0), "{told:?}");
}

#[test]
fn a_metric_without_counters_is_said_and_no_step_is_shown_to_be_safe() {
    let shop = Shop::open("unknown");
    shop.judged_by("[{ name: refunds, total: lab_refunds_total, bad: 'lab_refunds_total{result=\"bad\"}' }]");
    let load = shop.load(200);
    let missing = format!(
        r#"Prometheus has no `lab_refunds_total{{namespace="{}",pod=~"payment-stable-[a-z0-9]+-[a-z0-9]+"}}` yet"#,
        shop.namespace
    );
    let dry = shop.canary(User::Releaser, "run", &[&counters()[..], &["--dry-run"]].concat());
    assert_eq!(dry.code, 0, "{}", dry.transcript());
    assert!(dry.stdout.contains(&missing), "{}", dry.transcript());
    let driver = shop.begin(&FAST);
    until("requests alone would do", || {
        shop.journal().contains("\"reason\":\"unproven\"")
    });
    let words = "there is no counter of stable by the metric `refunds`";
    until("status says what lacks", || {
        let status = shop.canary(User::Releaser, "status", &[]);
        status.stdout.contains(words)
    });
    assert_eq!(shop.share(), 10);
    driver.signal(Signal::INT);
    assert_eq!((driver.end(), shop.share()), (Some(130), 0));
    assert!(!shop.journal().contains("\"reason\":\"safe\""));
    load.stop(lab().wire());
}

#[test]
fn who_takes_a_release_over_judges_by_its_metrics_whatever_the_description_says_by_now() {
    let shop = Shop::open("inherited");
    shop.scrape_pods();
    let description = shop.sandbox.read("payment/msctl.yaml");
    shop.judged_by(ORDERS);
    let load = shop.load(200);
    shop.begin(&FAST).kill();
    shop.sandbox.write("payment/msctl.yaml", description);
    shop.break_canary(&json!({"bad_orders": 0.5}));
    let run = shop.canary(User::Releaser, "resume", &["--metrics", "proxies"]);
    assert_eq!((run.code, shop.share()), (2, 10), "{}", run.transcript());
    assert!(run.stderr.contains("`orders`"), "{}", run.transcript());
    let run = shop.canary(User::Releaser, "resume", &counters());
    println!("{}", run.transcript());
    assert_eq!((run.code, shop.share()), (1, 0), "{}", run.transcript());
    assert!(run.stdout.contains("by the metric `orders`"), "{}", run.transcript());
    let explained = shop.explain();
    assert_eq!(explained.code, 0, "{}", explained.transcript());
    assert!(shop.is_tidy());
    load.stop(lab().wire());
}
