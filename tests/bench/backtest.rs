//! A day of a busy service, read and tried. What answers is a fake that counts as it goes: it has the form of Prometheus' answers
//! and less to do than the real one.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use crate::Row;
use crate::program::{PROGRAM, wall};

/// Seconds between two scrapes.
const SCRAPE: u64 = 5;

/// Istio's own bounds.
const BOUNDS: [&str; 20] = [
    "0.5", "1", "5", "10", "25", "50", "100", "250", "500", "1000", "2500", "5000", "10000", "30000", "60000",
    "300000", "600000", "1800000", "3600000", "+Inf",
];

/// Callers' proxies: each has one series for answers that are good, one for those that are not, one for each bound.
const CALLERS: usize = 10;

/// What a counter of these labels, that grows by `each` between two scrapes, showed until then, for a quarter of an hour.
fn series(body: &mut String, labels: &str, caller: usize, each: u64, until: u64) {
    write!(
        body,
        r#"{{"metric":{{{labels},"job":"envoy-stats","instance":"10.0.0.{caller}:15090","reporter":"source","destination_service":"payment.payment.svc.cluster.local","destination_workload":"payment-stable"}},"values":["#
    )
    .expect("a string grows");
    let scrapes = 900 / SCRAPE;
    for scrape in until / SCRAPE - scrapes..=until / SCRAPE {
        let value = (scrape - 300_000_000) * each;
        write!(body, r#"[{},"{value}"],"#, scrape * SCRAPE).expect("a string grows");
    }
    body.pop();
    body.push_str("]},");
}

fn answer(stream: &mut TcpStream) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let time = head
        .split("time=")
        .nth(1)
        .and_then(|rest| rest.split(['.', ' ']).next());
    let until: u64 = time.and_then(|time| time.parse().ok()).expect("a time");
    let mut body = r#"{"status":"success","data":{"resultType":"matrix","result":["#.to_owned();
    for caller in 0..CALLERS {
        for (code, each) in [("200", 999), ("503", 1)] {
            let labels = format!(r#""__name__":"istio_requests_total","response_code":"{code}""#);
            series(&mut body, &labels, caller, each, until);
        }
        for (at, bound) in (0..).zip(BOUNDS) {
            let labels = format!(r#""__name__":"istio_request_duration_milliseconds_bucket","le":"{bound}""#);
            series(&mut body, &labels, caller, 1_000 * at / 19, until);
        }
    }
    body.pop();
    body.push_str("]}}");
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream
        .write_all(&[head.as_bytes(), body.as_bytes()].concat())
        .expect("msctl reads");
}

pub(crate) fn rows() -> Vec<Row> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    // It ends with the process.
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || answer(&mut stream));
        }
    });
    let place = tempfile::tempdir().expect("a directory");
    std::fs::write(
        place.path().join("msctl.yaml"),
        "schema: msctl.service/v1\nname: payment\n",
    )
    .expect("a file");
    let (median, low, high) = wall(5, || {
        let mut command = Command::new(PROGRAM);
        command
            .current_dir(place.path())
            .args(["canary", "backtest", "--prometheus", &url]);
        command
    });
    let series = CALLERS * (BOUNDS.len() + 2);
    vec![Row::new(
        format!("`msctl canary backtest`: 24 h at 5 s, {series} series, 2000 rps, 6 × 48 releases, 5 runs"),
        "≤ 10 s",
        format!("{:.1} s (p5 {:.1}, p95 {:.1})", median / 1e3, low / 1e3, high / 1e3),
    )]
}
