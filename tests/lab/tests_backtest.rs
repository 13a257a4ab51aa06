//! `msctl canary backtest` over a day that a real Prometheus has: what is read is what was written, to the request, and it is quick.

use std::time::Instant;

use jiff::Timestamp;
use serde_json::Value;

use super::ground::enter;
use super::prometheus::Prometheus;
use super::remote_write::Written;
use super::{Ground, Wire};
use crate::support::{Run, Sandbox, finish, program};

const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;
/// Milliseconds between two scrapes.
const SCRAPE: i64 = 5 * SECOND;
/// Each request to Prometheus has the samples of so much time.
const PIECE: i64 = HOUR / 2;

/// A bound, and how many of a hundred answers are within it.
const BUCKETS: [(&str, i64); 12] = [
    ("1", 0),
    ("5", 10),
    ("10", 40),
    ("25", 70),
    ("50", 90),
    ("100", 95),
    ("250", 98),
    ("500", 99),
    ("1000", 100),
    ("2500", 100),
    ("5000", 100),
    ("+Inf", 100),
];

/// A caller's proxy, and the counters that it keeps of stable.
struct Caller {
    instance: &'static str,
    /// It is scraped from then on.
    born: i64,
    /// It begins anew then: its counters go back to 0.
    restarted: i64,
    /// Requests between two scrapes.
    requests: i64,
}

/// What it has counted, of all that it answered so far and of those that failed.
#[derive(Clone, Copy, Default)]
struct Counted {
    requests: i64,
    failed: i64,
}

impl Caller {
    /// Of so many scrapes: one request in so many fails, none in its first hour.
    fn after(&self, scrapes: i64) -> Counted {
        let requests = scrapes * self.requests;
        let failed = (requests - self.requests * HOUR / SCRAPE).max(0) / 500;
        Counted { requests, failed }
    }

    /// What it shows at this time; none before it is there.
    fn shows(&self, at: i64) -> Option<Counted> {
        let since = if at < self.restarted { self.born } else { self.restarted };
        (at >= self.born).then(|| self.after((at - since) / SCRAPE + 1))
    }

    /// Its series, with what they show from this time to that.
    fn written(&self, from: i64, to: i64) -> Vec<Written> {
        let times = (from..to).step_by(usize::try_from(SCRAPE).expect("a step"));
        let shown: Vec<(i64, Counted)> = times.filter_map(|at| Some((at, self.shows(at)?))).collect();
        let series = |name: &str, own: [(&str, &str); 2], of: &dyn Fn(&Counted) -> Option<i64>| -> Written {
            let common = [
                ("__name__", name),
                ("job", "envoy-stats"),
                ("instance", self.instance),
                ("reporter", "source"),
                ("destination_service", "payment.payment.svc.cluster.local"),
                ("destination_workload", "payment-stable"),
            ];
            let labels = common
                .iter()
                .chain(&own)
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let samples = shown
                .iter()
                .filter_map(|(at, counted)| Some((*at, float(of(counted)?))));
            (labels.collect(), samples.collect())
        };
        let total = "istio_requests_total";
        let (good, bad) = (
            [("response_code", "200"), ("response_flags", "-")],
            [("response_code", "503"), ("response_flags", "UF")],
        );
        let mut all = vec![
            series(total, good, &|counted| Some(counted.requests - counted.failed)),
            // A series is born with its first failure.
            series(total, bad, &|counted| (counted.failed > 0).then_some(counted.failed)),
        ];
        all.extend(BUCKETS.map(|(bound, percent)| {
            let own = [("response_code", "200"), ("le", bound)];
            series("istio_request_duration_milliseconds_bucket", own, &|counted| {
                Some(counted.requests * percent / 100)
            })
        }));
        all.retain(|(_, samples)| !samples.is_empty());
        all
    }
}

#[expect(clippy::cast_precision_loss, reason = "a counter of a test stays far below 2^53")]
fn float(count: i64) -> f64 {
    count as f64
}

/// msctl over this Prometheus.
fn backtest(ground: &Ground, address: &str, more: &[&str]) -> Run {
    let sandbox = Sandbox::new();
    sandbox.write("msctl.yaml", "schema: msctl.service/v1\nname: payment\n");
    let mut command = ground.door().visitor(program());
    command.arg("-C").arg(sandbox.path(""));
    command.args(["canary", "backtest", "--prometheus", address]).args(more);
    finish(&mut command)
}

#[test]
fn a_day_of_a_real_prometheus_is_read_to_the_request() {
    let ground = Ground::new().expect("a ground");
    enter(&ground.door().network());
    let wire = Wire::new(ground.door());
    let prometheus = Prometheus::start(&ground, &wire).expect("Prometheus");
    let none = backtest(&ground, prometheus.address(), &["--output", "json"]);
    assert_eq!(
        (none.code, &none.json()["kind"]),
        (2, &Value::from("no-evidence")),
        "{}",
        none.transcript()
    );

    // The last day and some more, up to now, on a grid.
    let end = Timestamp::now().as_millisecond() / SCRAPE * SCRAPE;
    let begin = end - 25 * HOUR;
    let caller = |instance, born, restarted, requests| Caller {
        instance,
        born: begin + born * HOUR,
        restarted: begin + restarted * HOUR,
        requests,
    };
    let callers = [caller("10.0.0.1:15090", 0, 9, 70), caller("10.0.0.2:15090", 13, 99, 30)];
    for from in (begin..end).step_by(usize::try_from(PIECE).expect("a step")) {
        let to = (from + PIECE).min(end);
        prometheus.write(
            &callers
                .iter()
                .flat_map(|caller| caller.written(from, to))
                .collect::<Vec<_>>(),
        );
    }

    let clock = Instant::now();
    let run = backtest(&ground, prometheus.address(), &["--output", "json"]);
    println!(
        "a day of 28 series at 5 s: {:.1} s\n{}",
        clock.elapsed().as_secs_f64(),
        run.transcript()
    );
    assert_eq!(run.code, 0, "{}", run.transcript());
    let report = run.json();
    let of = |name: &str| report[name].as_i64().expect(name);
    // Counting begins with the first scrape that is a day old or younger, and ends with the last.
    let first = end - SCRAPE - of("past_ms");
    let [mut requests, mut failed] = [0, 0];
    for caller in &callers {
        let [before, at_restart, last] =
            [first, caller.restarted - SCRAPE, end - SCRAPE].map(|at| caller.shows(at).unwrap_or_default());
        let restarted = caller.restarted < end;
        let forgotten = if restarted { at_restart } else { Counted::default() };
        requests += last.requests + forgotten.requests - before.requests;
        failed += last.failed + forgotten.failed - before.failed;
    }
    assert_eq!(
        (of("requests"), of("failed"), of("scraped_ms")),
        (requests, failed, SCRAPE)
    );
    assert!((23 * HOUR..24 * HOUR).contains(&of("past_ms")), "{report}");

    // A good canary is promoted, a bad one is not, and each release is one or the other.
    let tried = |at: usize, name: &str| report["canaries"][at][name].as_i64().expect(name);
    let all = of("releases");
    assert!(all >= 24, "{report}");
    assert_eq!(
        (tried(0, "rolled_back"), tried(0, "promoted") + tried(0, "unfinished")),
        (0, all),
        "{report}"
    );
    for bad in [3, 4] {
        assert_eq!(
            (tried(bad, "promoted"), tried(bad, "rolled_back")),
            (0, all),
            "{report}"
        );
    }
}
