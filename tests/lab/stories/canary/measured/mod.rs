//! What a release on the mesh takes, in figures. `tests/run bench` runs each of these often and prints the rows of
//! docs/benchmarks-mesh.md; among the other tests each runs once or a few times, and says the same of less.

mod cost;
mod first;
mod kills;
mod silence;

use std::time::{Duration, Instant};

use serde_json::json;

use crate::lab::load::Load;
use crate::lab::{User, lab};
use crate::support::until;

use super::shop::{Driver, EACH_FIVE, Shop, harmed, prometheus};

/// How often each is done: `often` for the figures.
fn runs(often: usize, otherwise: usize) -> usize {
    if is_bench() { often } else { otherwise }
}

/// Whether it is for the figures.
fn is_bench() -> bool {
    std::env::var_os("MSCTL_BENCH").is_some()
}

fn quantile(numbers: &[f64], q: f64) -> f64 {
    let mut numbers = numbers.to_vec();
    numbers.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank"
    )]
    let rank = ((numbers.len() as f64 * q).ceil() as usize).max(1);
    numbers[rank.min(numbers.len()) - 1]
}

/// A row of docs/benchmarks-mesh.md.
fn row(what: &str, goal: &str, measured: &str) {
    println!("| {what} | {goal} | {measured} |");
}

fn seconds(all: &[f64]) -> String {
    let of = |q: f64| quantile(all, q);
    format!("median {:.1} s, p95 {:.1} s, n {}", of(0.5), of(0.95), all.len())
}

/// One bad release, from the first failure that a client saw: seconds until the API has the weight 0, and requests harmed.
fn bad(shop: &Shop, rate: u32, flags: &[&str]) -> (f64, usize) {
    let load = shop.load(rate);
    let mut command = shop.command(User::Releaser, "run", flags);
    let driver = Driver::start(&mut command);
    until("its first step", || shop.share() == 10);
    let mut back = None;
    until("its end", || {
        back = (shop.share() == 0).then(Instant::now);
        back.is_some()
    });
    assert_eq!(driver.end(), Some(1));
    let told = load.stop(lab().wire());
    let (first, back) = (told.first[&500], back.expect("a time"));
    (back.saturating_duration_since(first).as_secs_f64(), harmed(&told))
}

#[test]
fn a_bad_canary_is_gone_soon() {
    let shop = Shop::open("soon");
    shop.break_canary(&json!({"errors": 0.5}));
    let own = ["--metrics", "proxies"];
    let five = [
        "--prometheus",
        prometheus().address(),
        "--metrics",
        "envoy",
        "--interval",
        "5s",
    ];
    let steps = ["--steps", "10,50", "--hold", "60s"];
    prometheus().scrape(&shop.namespace, &shop.proxy.admin(), "/stats/prometheus", &EACH_FIVE);
    prometheus().until_scraped();
    for (how, flags, rate, goal) in [
        ("5 s scrapes", &five[..], 20, "p95 ≤ 12 s; ≤ 15 harmed"),
        ("5 s scrapes", &five, 200, "p95 ≤ 8 s; ≤ 50 harmed: one scrape"),
        ("the proxies read every second", &own, 20, "p95 ≤ 9 s; ≤ 8 harmed"),
        ("the proxies read every second", &own, 200, "p95 ≤ 2.5 s; ≤ 25 harmed"),
    ] {
        let all: Vec<(f64, usize)> = (0..runs(20, 1))
            .map(|_| bad(&shop, rate, &[flags, &steps].concat()))
            .collect();
        let times: Vec<f64> = all.iter().map(|(time, _)| *time).collect();
        #[expect(clippy::cast_precision_loss, reason = "a few requests")]
        let hurt: Vec<f64> = all.iter().map(|(_, harmed)| *harmed as f64).collect();
        let what = format!("half of the requests fail at 10 %, {rate} rps, {how}: weight 0 in the API");
        let measured = format!(
            "{}; median {:.0} harmed, p95 {:.0}",
            seconds(&times),
            quantile(&hurt, 0.5),
            quantile(&hurt, 0.95)
        );
        row(&what, goal, &measured);
    }
}

/// `msctl canary abort`, in this state: until the API had the weight, and until every proxy showed it.
fn aborted(shop: &Shop) -> (f64, f64) {
    let run = shop.machine("abort", &[]);
    assert_eq!((run.code, shop.share()), (0, 0), "{}", run.transcript());
    let report = run.json();
    let of = |field: &str| report[field].as_f64().expect("a number") / 1_000.0;
    (of("patched_ms"), of("took_ms"))
}

#[test]
fn an_abort_waits_for_nothing() {
    let shop = Shop::alone("waits");
    let load = shop.load(100);
    let times = |what: &str, mut prepare: Box<dyn FnMut() -> Option<Driver> + '_>| {
        let mut all = Vec::new();
        for _ in 0..runs(50, 1) {
            let driver = prepare();
            all.push(aborted(&shop));
            if let Some(driver) = driver {
                assert_eq!(driver.end(), Some(1));
            }
        }
        let of =
            |which: fn(&(f64, f64)) -> f64, q: f64| quantile(&all.iter().map(which).collect::<Vec<_>>(), q) * 1_000.0;
        let measured = format!(
            "{:.0} ms and {:.0} ms (p95), n {}",
            of(|t| t.0, 0.95),
            of(|t| t.1, 0.95),
            all.len()
        );
        row(
            &format!("abort {what}: accepted by the API, and 0 in every Envoy"),
            "150 ms and 1 s (p95)",
            &measured,
        );
    };
    let set = |percent: &'static str| {
        let run = shop.canary(User::Releaser, "set", &[percent]);
        assert_eq!(run.code, 0, "{}", run.transcript());
    };
    let paused = || {
        let driver = shop.begin(&["--steps", "10,50", "--hold", "60s"]);
        assert_eq!(shop.canary(User::Releaser, "pause", &[]).code, 0);
        Some(driver)
    };
    times("during a pause", Box::new(paused));
    times("after a promotion", Box::new(|| (set("100"), None).1));
    times(
        "of a driver that was killed",
        Box::new(|| {
            shop.begin(&["--steps", "10,50", "--hold", "60s"]).kill();
            None
        }),
    );
    {
        let _silence = prometheus().part.pause();
        times("without Prometheus", Box::new(|| (set("10"), None).1));
    }
    shop.fault("stable", &json!({"ready": false}));
    shop.until_ready("stable", 0);
    times("with no stable pod ready", Box::new(|| (set("10"), None).1));
    load.stop(lab().wire());
}

#[test]
fn a_tenth_of_a_percent_is_what_it_says() {
    let shop = Shop::open("tenth");
    let begun = shop.canary(User::Releaser, "set", &["0.1"]);
    assert_eq!(begun.code, 0, "{}", begun.transcript());
    let (rate, length) = (2_000, Duration::from_secs(if is_bench() { 50 } else { 5 }));
    let load = Load::new(&format!("http://{}/", shop.proxy.address()), rate, length);
    let report = load.host(&shop.host()).run(lab().wire());
    let answered = report.answered();
    let seen: usize = answered
        .iter()
        .filter(|(pod, _)| pod.contains("-canary-"))
        .map(|(_, count)| count)
        .sum();
    #[expect(clippy::cast_precision_loss, reason = "counts of requests")]
    let (sent, seen) = (report.sent() as f64, seen as f64);
    let (mean, sigma) = (sent * 0.001, (sent * 0.001 * 0.999).sqrt());
    assert!((seen - mean).abs() <= 4.0 * sigma, "{seen} of {sent}");
    let measured = format!("{seen} of {sent}: {:+.1} σ", (seen - mean) / sigma);
    row("0.1 % of the traffic", "within 3 σ of 100 000 requests", &measured);
}

/// What the API server does where istiod does not answer whether it takes an object: as Istio has it, it refuses it.
fn webhook(policy: &str, seconds: u32) {
    let path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    let api = lab().control_plane().api(User::Admin);
    for found in api.get(path).ok()["items"].as_array().into_iter().flatten() {
        let name = found["metadata"]["name"].as_str().expect("a name");
        let webhooks = found["webhooks"].as_array().map_or(0, Vec::len);
        for at in 0..webhooks {
            let operations = json!([
                {"op": "add", "path": format!("/webhooks/{at}/failurePolicy"), "value": policy},
                {"op": "add", "path": format!("/webhooks/{at}/timeoutSeconds"), "value": seconds},
            ]);
            api.patch(&format!("{path}/{name}"), &operations).ok();
        }
    }
}

#[test]
fn while_istiod_stands_still_no_weight_is_called_in_force() {
    let shop = Shop::alone("still");
    let mut times = Vec::new();
    for _ in 0..runs(10, 1) {
        let still = lab().mesh().istiod.pause();
        webhook("Ignore", 1);
        let asked = shop.canary(User::Releaser, "set", &["10"]);
        assert_eq!((asked.code, shop.share()), (4, 10), "{}", asked.transcript());
        assert!(
            asked.stderr.contains("not proven to be in force"),
            "{}",
            asked.transcript()
        );
        webhook("Fail", 10);
        drop(still);
        let began = Instant::now();
        let asked = shop.canary(User::Releaser, "set", &["10"]);
        assert_eq!(asked.code, 0, "{}", asked.transcript());
        times.push(began.elapsed().as_secs_f64());
        assert_eq!(shop.canary(User::Releaser, "abort", &[]).code, 0);
    }
    let measured = format!("0 of {}; in force {} after it goes on", times.len(), seconds(&times));
    row("istiod stands still: a weight is called in force", "never", &measured);
}

#[test]
fn a_weight_from_git_is_put_right_soon() {
    let shop = Shop::open("again");
    let load = shop.load(50);
    let driver = shop.begin(&["--steps", "10,50", "--hold", "5m", "--reassert", "argocd-controller"]);
    let api = lab().control_plane().api(User::Admin);
    let path = format!("{}?fieldManager=argocd-controller", shop.path());
    let set = |route: u32, arm: u32, weight: u32| json!({"op": "replace", "path": format!("/spec/http/{route}/route/{arm}/weight"), "value": weight});
    let all = json!([set(0, 0, 100), set(0, 1, 0), set(1, 0, 100), set(1, 1, 0)]);
    let mut times = Vec::new();
    for _ in 0..runs(50, 3) {
        until("its driver looks", || {
            shop.journal()
                .lines()
                .last()
                .is_some_and(|line| line.contains("\"saw\":\"counters\""))
        });
        api.patch(&path, &all).ok();
        let began = Instant::now();
        until("it is put right", || shop.share() == 10);
        times.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    let measured = format!(
        "median {:.0} ms, p95 {:.0} ms, n {}",
        quantile(&times, 0.5),
        quantile(&times, 0.95),
        times.len()
    );
    row(
        "a controller applies the route again: the wrong weight stands for",
        "200 ms (p95)",
        &measured,
    );
    assert_eq!(shop.canary(User::Releaser, "abort", &[]).code, 0);
    assert_eq!(driver.end(), Some(1));
    load.stop(lab().wire());
}
