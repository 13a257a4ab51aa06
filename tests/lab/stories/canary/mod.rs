//! A release on the mesh, by msctl itself: real API server, istiod, Envoy, Prometheus, and two versions of a backend.

mod anchors;
mod edits;
mod hands;
mod job;
mod measured;
mod metrics;
mod outage;
mod routes;
mod seen;
mod shop;
mod street;
mod takeover;
mod traffic;

use rustix::process::Signal;
use serde_json::json;

use crate::lab::{User, lab};
use shop::{FAST, Shop, counters, harmed};

#[test]
fn a_good_canary_gets_all_the_traffic() {
    let shop = Shop::open("good");
    let load = shop.load(200);
    let run = shop.release();
    println!("{}", run.transcript());
    assert_eq!(run.code, 0, "{}", run.transcript());
    let route = &shop.route()["spec"]["http"][0]["route"];
    assert_eq!((&route[0]["weight"], &route[1]["weight"]), (&json!(0), &json!(100)));
    assert!(shop.is_tidy());
    load.stop(lab().wire());
}

#[test]
fn a_bad_canary_is_taken_back_and_leaves_the_route_as_it_was() {
    let shop = Shop::open("bad");
    let before = shop.route()["spec"].clone();
    shop.break_canary(&json!({"errors": 0.5}));
    let load = shop.load(200);
    let run = shop.release();
    println!("{}", run.transcript());
    assert_eq!(run.code, 1, "{}", run.transcript());
    assert_eq!(shop.route()["spec"], before);
    assert!(shop.is_tidy());
    let told = load.stop(lab().wire());
    println!("{} requests harmed of {}", harmed(&told), told.sent());
    assert!(harmed(&told) > 0 && told.failures.is_empty(), "{told:?}");
}

#[test]
fn a_release_that_may_not_or_cannot_begin_changes_nothing() {
    let shop = Shop::open("refused");
    let before = shop.route();
    let from = counters();
    let refused = |user: User, more: &[&str], code: i32, words: &str| {
        let run = shop.canary(user, "run", &[&from[..], more].concat());
        assert_eq!(run.code, code, "{}", run.transcript());
        assert!(run.stderr.contains(words), "{words}:\n{}", run.transcript());
    };
    refused(User::Stranger, &[], 2, "cannot read the VirtualService");
    refused(User::Viewer, &[], 2, "cannot");
    refused(User::Releaser, &["--route", "other"], 2, "msctl generate istio");
    refused(
        User::Releaser,
        &["--mesh", "nowhere"],
        2,
        "there is no istiod in `nowhere`",
    );
    let dry = shop.canary(User::Releaser, "run", &[&from[..], &["--dry-run"]].concat());
    assert_eq!(dry.code, 0, "{}", dry.transcript());
    assert!(dry.stdout.contains("Nothing was changed."), "{}", dry.transcript());
    assert_eq!(shop.route(), before);

    // Somebody gave the canary traffic by hand.
    shop.weight(30);
    let moved = shop.route();
    refused(User::Releaser, &[], 3, "the canary has 30 % of the traffic already");
    assert_eq!(shop.route(), moved);
    shop.weight(0);

    // Somebody else drives it.
    let api = lab().control_plane().api(User::Admin);
    let leases = format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", shop.namespace);
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
    let lease = json!({
        "metadata": {"name": "msctl-canary-payment"},
        "spec": {"holderIdentity": "ben@desk", "leaseDurationSeconds": 3600, "renewTime": now, "acquireTime": now},
    });
    api.post(&leases, &lease).ok();
    refused(User::Releaser, &[], 3, "driven by ben@desk");
    assert!(shop.route()["metadata"]["annotations"]["msctl.dev/canary"].is_null());
}

#[test]
fn what_a_person_sets_in_the_middle_of_a_release_stays() {
    let shop = Shop::open("hands");
    let load = shop.load(100);
    let before = shop.route()["spec"].clone();
    // Another share is a conflict, and stays; none at all ends the release.
    for (set, code) in [(30, 3), (0, 1)] {
        let driver = shop.begin(&FAST);
        shop.weight(set);
        assert_eq!((driver.end(), shop.share()), (Some(code), set));
        assert!(shop.is_tidy());
        shop.weight(0);
    }
    assert_eq!(shop.route()["spec"], before);
    load.stop(lab().wire());
}

#[test]
fn a_release_that_is_asked_to_stop_puts_traffic_back() {
    let shop = Shop::open("stop");
    let before = shop.route()["spec"].clone();
    let load = shop.load(100);
    let driver = shop.begin(&FAST);
    driver.signal(Signal::INT);
    assert_eq!(driver.end(), Some(130));
    assert!(shop.is_tidy());
    assert_eq!(shop.route()["spec"], before);
    load.stop(lab().wire());
}
