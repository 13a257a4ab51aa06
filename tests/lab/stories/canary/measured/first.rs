//! The first failures of a pod that is new: their counter is born with them, between two scrapes.

use rustix::process::Signal;
use serde_json::Value;

use crate::lab::{User, lab};
use crate::support::until;

use super::super::super::mesh::kubectl;
use super::super::shop::{Driver, Shop, counters, prometheus};
use super::{row, runs};

/// So many requests of each new pod fail.
const FAILURES: u64 = 5;

/// The canary's requests, and those that failed, by the last look of the release.
fn counted(shop: &Shop) -> [u64; 2] {
    let journal = shop.journal();
    let mut looks = journal.lines().rev().filter_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        let canary = &line["input"]["canary"];
        Some([canary["requests"].as_u64()?, canary["failed"].as_u64()?])
    });
    looks.next().unwrap_or_default()
}

/// A new pod of the canary, and a proxy that has counted nothing yet.
fn renew(shop: &Shop, number: usize) {
    let admin = |arguments: &[&str]| {
        let run = kubectl(&shop.sandbox, User::Admin, arguments);
        assert_eq!(run.code, 0, "{}", run.transcript());
    };
    let (namespace, deployment) = (shop.namespace.as_str(), "deployment/payment-canary");
    let version = format!("VERSION={number}");
    let faults = format!("FAULTS={{\"first_errors\": {FAILURES}}}");
    admin(&["set", "env", "-n", namespace, deployment, &version, &faults]);
    admin(&["rollout", "status", "-n", namespace, deployment, "--timeout=60s"]);
    shop.proxy.part.restart().expect("the proxy again");
    shop.until_routed();
    until("it reaches both", || shop.is_reached());
}

/// How many failures of the canary Prometheus' own `increase()` makes of the same samples.
fn increase(shop: &Shop) -> f64 {
    let cluster = shop.cluster("canary");
    let series =
        format!("envoy_cluster_upstream_rq_xx{{envoy_cluster_name=\"{cluster}\",envoy_response_code_class=\"5\"}}");
    let told = prometheus().query(&format!("sum(increase({series}[5s]))"));
    let value = told[0]["value"][1].as_str().and_then(|text| text.parse().ok());
    value.unwrap_or_default()
}

#[test]
fn the_first_failures_of_a_new_pod_are_counted() {
    let shop = Shop::open("first");
    let (mut told, mut counted_all, mut increased) = (0, 0, 0.0);
    for number in 0..runs(20, 1) {
        renew(&shop, number);
        let load = shop.load(100);
        let flags = [&counters()[..], &["--steps", "50", "--hold", "5m"]].concat();
        let driver = Driver::start(&mut shop.command(User::Releaser, "run", &flags));
        until("many of its requests", || counted(&shop)[0] >= 100);
        let [_, failed] = counted(&shop);
        increased += increase(&shop);
        driver.signal(Signal::INT);
        assert_eq!(driver.end(), Some(130));
        let report = load.stop(lab().wire());
        let bad = report.statuses().into_iter().filter(|(status, _)| *status >= 500);
        let bad = u64::try_from(bad.map(|(_, count)| count).sum::<usize>()).expect("a count");
        assert_eq!((failed, bad), (FAILURES, FAILURES), "{report:?}");
        (told, counted_all) = (told + bad, counted_all + failed);
        shop.forget();
    }
    row(
        "the first failures of a new pod",
        "all of them counted",
        &format!("{counted_all} of {told}; `increase()` of the same samples says {increased:.0}"),
    );
}
