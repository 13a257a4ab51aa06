//! `msctl canary backtest`, as a transcript, against a server that answers as Prometheus does. It is a fake: the form of its answers
//! is that of Prometheus 2.42 (seen in November 2026), against which the lab runs the same command.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use reqwest::Url;
use serde_json::{Value, json};

use crate::support::{Run, Sandbox};

/// A scrape, in milliseconds.
const SCRAPE: i64 = 15_000;

/// What is asked: the query, and the milliseconds since 1970 at which its window ends.
type Asked = (String, i64);

/// One answer a connection, in plain HTTP/1.1 on loopback.
struct Fake {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    ended: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Fake {
    fn new(says: impl Fn(&Asked) -> (u16, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("an address");
        let (asked, ended) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (questions, stop) = (Arc::clone(&asked), Arc::clone(&ended));
        let accepting = std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let question = question(&mut stream);
                let (status, body) = says(&question);
                questions.lock().expect("what was asked").push(question);
                let head = format!(
                    "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                // A client that has enough may close before all is sent.
                _ = stream.write_all(&[head.as_bytes(), body.as_bytes()].concat());
            }
        });
        Self {
            address,
            asked,
            ended,
            accepting: Some(accepting),
        }
    }

    /// The whole run against this server, in a directory with this description.
    fn backtest(&self, description: &str, more: &[&str]) -> Run {
        let sandbox = Sandbox::new();
        sandbox.write(
            "msctl.yaml",
            format!("schema: msctl.service/v1\nname: payment\n{description}"),
        );
        let url = format!("http://{}", self.address);
        let own = ["--prometheus", &url];
        let own = if more.contains(&"--prometheus") {
            &own[..0]
        } else {
            &own
        };
        let mut run = sandbox.msctl([&["canary", "backtest"], own, more].concat());
        for text in [&mut run.command, &mut run.stdout, &mut run.stderr] {
            *text = text.replace(&self.address.to_string(), "ADDRESS");
        }
        run
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            accepting.join().expect("the server ends");
        }
    }
}

fn question(stream: &mut TcpStream) -> Asked {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let url = Url::parse(&format!("http://fake{path}")).expect("a URL");
    let of = |name: &str| {
        let found = url.query_pairs().find(|(key, _)| key == name);
        found.map_or_else(String::new, |(_, value)| value.into_owned())
    };
    (of("query"), millis(&of("time")))
}

/// `1435781430.081`
fn millis(time: &str) -> i64 {
    time.replace('.', "").parse().expect("a time with three places")
}

/// `{…}[900000ms]`
fn window(query: &str) -> i64 {
    let window = query.rsplit_once('[').map(|(_, window)| window.trim_end_matches("ms]"));
    window.and_then(|window| window.parse().ok()).expect("a window")
}

fn matrix(result: &[Value]) -> (u16, String) {
    let answer = json!({"status": "success", "data": {"resultType": "matrix", "result": result}});
    (200, answer.to_string())
}

/// Stable's past: so many requests between two scrapes, of which `failed` fail; quick ones, told in Istio's buckets.
fn steady(requests: i64, failed: i64) -> impl Fn(&Asked) -> (u16, String) {
    move |(query, end)| {
        let first = (end - window(query) + SCRAPE - 1).div_euclid(SCRAPE);
        let series = |labels: Value, each: i64| {
            let mut all = json!({
                "destination_service": "payment.shop.svc.cluster.local", "destination_workload": "payment-stable",
                "instance": "10.0.0.7:15090", "job": "envoy-stats", "reporter": "source", "response_flags": "-",
            });
            all.as_object_mut()
                .expect("labels")
                .extend(labels.as_object().expect("labels").clone());
            let samples = (first..=end / SCRAPE).map(|scrape| {
                let count = scrape * each;
                json!([scrape * (SCRAPE / 1_000), count.to_string()])
            });
            json!({"metric": all, "values": samples.collect::<Vec<_>>()})
        };
        let total =
            |code: &str, each: i64| series(json!({"__name__": "istio_requests_total", "response_code": code}), each);
        let bucket = |(bound, percent): (&str, i64)| {
            let name = "istio_request_duration_milliseconds_bucket";
            series(
                json!({"__name__": name, "response_code": "200", "le": bound}),
                requests * percent / 100,
            )
        };
        let mut result = vec![total("200", requests - failed), total("503", failed)];
        let buckets = [
            ("5", 10),
            ("10", 40),
            ("25", 70),
            ("50", 90),
            ("100", 95),
            ("250", 98),
            ("500", 99),
        ];
        result.extend(buckets.map(bucket));
        result.extend(["1000", "2500", "5000", "10000", "+Inf"].map(|bound| bucket((bound, 100))));
        matrix(&result)
    }
}

const SHOP: &str = "deploy: { namespace: shop }\n";

/// Two hours of which each release takes three minutes at least.
const QUICK: [&str; 8] = ["--last", "2h", "--interval", "15s", "--steps", "5,50", "--hold", "1m"];

#[test]
fn the_answer_is_one_line_and_a_table_says_more() {
    let fake = Fake::new(steady(300, 3));
    insta::assert_snapshot!(fake.backtest(SHOP, &QUICK).transcript(), @r"
    $ msctl canary backtest --prometheus http://ADDRESS --last 2h --interval 15s --steps 5,50 --hold 1m
    A good canary would have been promoted in 46 of 46 releases, none rolled back; one that fails 30 % more, rolled back in 47 of 47.
      payment: 1 h 59 min of stable's past, 143 700 requests (20.0/s), 1.00 % failed
      47 releases of each canary, one every 150s: 5 %, 50 %, 100 %, each held 1m, alpha 0.01
      the canary               promoted  rolled back  could not tell  unfinished  decided after  harmed
      is like stable           46        0            0               1           6 min          0
      fails 1 % more           42        4            0               1           10 min         29
      fails 5 % more           0         47           0               0           3 min          10
      fails 30 % more          0         47           0               0           30.0 s         12
      fails 50 % more          0         47           0               0           30.0 s         14
      takes 1.5 times as long  1         46           0               0           4 min          339
      Both are medians. A request is harmed that fails, or is slow, because of the canary.
      next: msctl canary run --prometheus http://ADDRESS --interval 15s --steps 5,50 --hold 1m --dry-run
    (exit 0)
    ");
}

#[test]
fn the_document_has_every_number() {
    let fake = Fake::new(steady(300, 3));
    let report = fake
        .backtest(SHOP, &[&QUICK[..], &["--output", "json"]].concat())
        .json();
    assert_eq!(report["schema"], "msctl.canary.backtest/v1");
    for (name, value) in [
        ("service", json!("payment")),
        ("interval_ms", json!(15_000)),
        ("scraped_ms", json!(15_000)),
        // The first scrape is where counting begins.
        ("past_ms", json!(479 * SCRAPE)),
        ("requests", json!(479 * 300)),
        ("failed", json!(479 * 3)),
        ("latencies", json!(true)),
        ("steps", json!([50, 500, 1_000])),
        ("hold_ms", json!(60_000)),
        ("every_ms", json!(150_000)),
        ("seed", json!(1)),
    ] {
        assert_eq!(report[name], value, "{name}: {report}");
    }
    let releases = report["releases"].as_u64().expect("a number");
    assert!((24..=48).contains(&releases), "{report}");
    for tried in report["canaries"].as_array().expect("canaries") {
        let of = |name: &str| tried[name].as_u64().expect("a number");
        let ended = of("promoted") + of("rolled_back") + of("could_not_tell") + of("unfinished");
        assert_eq!(ended, releases, "{tried}");
    }
}

#[test]
fn what_is_asked_is_raw_and_in_pieces_that_follow_one_another() {
    let fake = Fake::new(steady(300, 3));
    assert_eq!(fake.backtest(SHOP, &QUICK).code, 0);
    let mut asked = fake.asked.lock().expect("what was asked").clone();
    asked.sort_by_key(|(_, end)| *end);
    assert_eq!(asked.len(), 8);
    for (query, _) in &asked {
        assert_eq!(
            query,
            concat!(
                r#"{__name__=~"istio_requests_total|istio_request_duration_milliseconds_bucket",reporter="source","#,
                r#"destination_service="payment.shop.svc.cluster.local",destination_workload="payment-stable"}[900000ms]"#
            )
        );
    }
    assert!(
        asked.windows(2).all(|pair| pair[1].1 - pair[0].1 == 900_000),
        "{asked:?}"
    );
    // Another namespace, and the counters of plain Envoys.
    let fake = Fake::new(|_| matrix(&[]));
    let run = fake.backtest("", &["-n", "staging", "--metrics", "envoy"]);
    assert_eq!(run.code, 2, "{}", run.transcript());
    let asked = fake.asked.lock().expect("what was asked").clone();
    let name = r#"envoy_cluster_name=~"outbound\\|[0-9]+\\|stable\\|payment\\.staging\\.svc\\.cluster\\.local;?""#;
    assert!(
        asked.len() == 96 && asked.iter().all(|(query, _)| query.contains(name)),
        "{:?}",
        asked[0]
    );
}

#[test]
fn no_requests_are_no_evidence_and_the_query_is_said() {
    let fake = Fake::new(|_| matrix(&[]));
    let run = fake.backtest(SHOP, &[]);
    insta::assert_snapshot!(run.transcript(), @r#"
    $ msctl canary backtest --prometheus http://ADDRESS
    ! error: Prometheus has no requests of stable in the last 24h
    !   stable: {__name__=~"istio_requests_total|istio_request_duration_milliseconds_bucket",reporter="source",destination_service="payment.shop.svc.cluster.local",destination_workload="payment-stable"}[86400000ms]
    (exit 2)
    "#);
    // There are counters, and nothing is counted.
    let idle = Fake::new(steady(0, 0));
    assert_eq!(idle.backtest(SHOP, &[]).transcript(), run.transcript());
    let failure = idle.backtest(SHOP, &["--output", "json"]).json();
    assert_eq!(
        (&failure["kind"], &failure["exit"]),
        (&json!("no-evidence"), &json!(2)),
        "{failure}"
    );
}

#[test]
fn a_past_that_is_too_short_is_no_evidence() {
    // Prometheus is four minutes old.
    let begin = jiff::Timestamp::now().as_millisecond() - 4 * 60_000;
    let young = move |asked: &Asked| {
        let (query, end) = asked;
        let window = window(query).min(end - begin);
        if window <= 0 {
            return matrix(&[]);
        }
        steady(300, 3)(&(format!("{{}}[{window}ms]"), *end))
    };
    let run = Fake::new(young).backtest(SHOP, &["--interval", "15s"]);
    assert_eq!(run.code, 2, "{}", run.transcript());
    for words in [
        "of stable's past, and the quickest release of this plan takes 10 min",
        "stable: {__name__=~",
        "hint: --hold and --steps",
    ] {
        assert!(run.stderr.contains(words), "{words}:\n{}", run.transcript());
    }
}

#[test]
fn too_little_traffic_and_a_wrong_interval_are_said_beside_the_table() {
    let fake = Fake::new(steady(1, 0));
    let run = fake.backtest(SHOP, &["--last", "3h", "--every", "30m"]);
    assert_eq!(run.code, 0, "{}", run.transcript());
    for words in [
        "A good canary would have been promoted in 0 of ",
        "Stable is scraped every 15s, not every 5s: try --interval 15s",
        "its 1 % of the traffic had no proof in time: see --steps and --hold",
    ] {
        assert!(run.stdout.contains(words), "{words}:\n{}", run.transcript());
    }
}

#[test]
fn what_cannot_be_tried_is_refused_by_name() {
    let fake = Fake::new(|_| (400, json!({"status": "error", "error": "parse error"}).to_string()));
    for (arguments, kind, words) in [
        (
            &["--last", "5m"][..],
            "usage",
            "`--last 5m` is shorter than the quickest release of this plan, which takes 10 min",
        ),
        (
            &["--interval", "100ms"],
            "usage",
            "`--interval 100ms` is too short for 24h of the past",
        ),
        (&["--interval", "0s"], "usage", "`--interval 0s` is too short"),
        (&["--prometheus", "prom"], "usage", "`--prometheus prom` is no URL"),
        (&["--steps", "50,5"], "usage", "50,5"),
        (&[], "no-evidence", "does not answer the query: parse error"),
        (
            &["--prometheus", "http://127.0.0.1:1"],
            "unreachable",
            "does not answer",
        ),
    ] {
        let run = fake.backtest(SHOP, &[&["--output", "json"], arguments].concat());
        let failure = run.json();
        assert_eq!((run.code, &failure["kind"]), (2, &json!(kind)), "{}", run.transcript());
        assert!(run.stderr.contains(words), "{words}:\n{}", run.transcript());
    }
    let run = Sandbox::new().msctl(["canary", "backtest", "--prometheus", "http://127.0.0.1:1"]);
    assert!(
        run.stderr.contains("there is no `./msctl.yaml`"),
        "{}",
        run.transcript()
    );
    let run = Sandbox::new().msctl(["canary", "backtest"]);
    assert!(run.stderr.contains("--prometheus <URL>"), "{}", run.transcript());
}

#[test]
fn a_password_in_the_address_is_not_repeated() {
    let fake = Fake::new(steady(300, 3));
    let url = format!("http://ann:secret@{}", fake.address);
    let sandbox = Sandbox::new().with_env("MSCTL_PROMETHEUS", url);
    sandbox.write("msctl.yaml", "schema: msctl.service/v1\nname: payment\n");
    let run = sandbox.msctl([&["canary", "backtest"], &QUICK[..]].concat());
    let transcript = run.transcript();
    assert!(run.code == 0 && !transcript.contains("secret"), "{transcript}");
    assert!(transcript.contains("msctl canary run --prometheus …"), "{transcript}");
}
