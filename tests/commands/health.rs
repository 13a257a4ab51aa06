//! `msctl health`, as a transcript, against loopback servers that speak plain HTTP.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use crate::support::Sandbox;

/// What a path answers.
#[derive(Clone)]
enum Says {
    /// This status and body.
    Body(u16, Vec<u8>),
    /// These bytes, as they are.
    Raw(Vec<u8>),
    /// The first so often, then the second.
    Then(usize, Box<Says>, Box<Says>),
    /// A head that promises more than comes; the connection stays open.
    Drip,
}

fn says(status: u16, body: &str) -> Says {
    Says::Body(status, body.as_bytes().to_vec())
}

/// A server in plain HTTP/1.1 on loopback: one answer a connection, by path; 404 for the rest.
struct Server {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    fn new(paths: &[(&str, Says)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("an address");
        let ended = Arc::new(AtomicBool::new(false));
        let table: Arc<BTreeMap<String, (Says, AtomicUsize)>> = Arc::new(
            paths
                .iter()
                .map(|(path, says)| ((*path).to_owned(), (says.clone(), AtomicUsize::new(0))))
                .collect(),
        );
        let stop = Arc::clone(&ended);
        let accepting = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let table = Arc::clone(&table);
                std::thread::spawn(move || answer(stream, &table));
            }
        });
        Self {
            address,
            ended,
            accepting: Some(accepting),
        }
    }

    /// A service that says yes to everything but what `paths` says.
    fn healthy_but(paths: &[(&str, Says)]) -> Self {
        let yes = ["/livez", "/readyz", "/startupz"].map(|path| (path, says(200, "ok\n")));
        Self::new(&[&yes, paths].concat())
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The whole run against this server, with its address as `ADDRESS`.
    fn health(&self, more: &[&str]) -> String {
        let url = self.url();
        let arguments = [&["health", "--url", &url], more].concat();
        let run = Sandbox::new().msctl(&arguments);
        run.transcript().replace(&self.address.to_string(), "ADDRESS")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            accepting.join().expect("the server ends");
        }
    }
}

fn answer(mut stream: TcpStream, table: &BTreeMap<String, (Says, AtomicUsize)>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let none = (says(404, "no such path\n"), AtomicUsize::new(0));
    let (says, asked) = table.get(path).unwrap_or(&none);
    send(&mut stream, says, asked.fetch_add(1, Ordering::Relaxed));
}

/// A client that has enough may close before all is sent.
fn send(stream: &mut TcpStream, says: &Says, asked: usize) {
    match says {
        Says::Then(often, first, second) => send(stream, if asked < *often { first } else { second }, asked),
        Says::Raw(bytes) => _ = stream.write_all(bytes),
        Says::Body(status, body) => {
            let length = body.len();
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            _ = stream.write_all(&[head.as_bytes(), body].concat());
        }
        Says::Drip => {
            _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nslow");
            // Until the client gives up.
            _ = stream.read(&mut [0]);
        }
    }
}

const NOT_READY: &str = r#"{"status":"fail","cause":"db is down: connection refused","checks":{"db":{"status":"down","cause":"connection refused","latency_ms":1.2},"cache":{"status":"up","latency_ms":0.2}}}"#;
const READY: &str =
    r#"{"status":"pass","checks":{"db":{"status":"up","latency_ms":1.2},"cache":{"status":"up","latency_ms":0.2}}}"#;
const METRICS: &str = "# TYPE http_server_requests_total counter
http_server_requests_total{code=\"200\",method=\"GET\",route=\"/\"} 1992
http_server_requests_total{code=\"500\",method=\"GET\",route=\"/\"} 8
http_server_request_duration_seconds_bucket{method=\"GET\",route=\"/\",le=\"0.025\"} 1990
http_server_request_duration_seconds_bucket{method=\"GET\",route=\"/\",le=\"+Inf\"} 2000
";

#[test]
fn a_healthy_service_with_its_checks_and_figures() {
    let server = Server::healthy_but(&[("/readyz", says(200, READY)), ("/metrics", says(200, METRICS))]);
    let metrics = format!("{}/metrics", server.url());
    insta::assert_snapshot!(server.health(&["--metrics", &metrics]), @r"
    $ msctl health --url http://ADDRESS --metrics http://ADDRESS/metrics
    HEALTHY http://ADDRESS: alive and ready
      ok: liveness, readiness (db, cache), startup
      since its start: 2 000 requests, 0.4 % failed, 99 % within 25 ms
    (exit 0)
    ");
    insta::assert_snapshot!(Server::healthy_but(&[]).health(&[]), @r"
    $ msctl health --url http://ADDRESS
    HEALTHY http://ADDRESS: alive and ready
      ok: liveness, readiness, startup
    (exit 0)
    ");
}

#[test]
fn a_service_that_is_not_ready_says_which_check_fails() {
    let server = Server::healthy_but(&[("/readyz", says(503, NOT_READY))]);
    insta::assert_snapshot!(server.health(&[]), @r"
    $ msctl health --url http://ADDRESS
    DEGRADED http://ADDRESS: not ready
      /readyz answers 503
        `db` fails: connection refused
      ok: liveness, startup
    (exit 1)
    ");
    let starting = Server::healthy_but(&[("/readyz", says(503, NOT_READY)), ("/startupz", says(503, "starting"))]);
    insta::assert_snapshot!(starting.health(&[]), @r"
    $ msctl health --url http://ADDRESS
    DEGRADED http://ADDRESS: not started yet
      /startupz answers 503
      ok: liveness
    (exit 1)
    ");
}

#[test]
fn a_service_that_is_not_alive_is_down() {
    let server = Server::healthy_but(&[
        ("/livez", says(500, r#"{"status":"fail","cause":"deadlock"}"#)),
        ("/readyz", says(503, NOT_READY)),
    ]);
    insta::assert_snapshot!(server.health(&[]), @r"
    $ msctl health --url http://ADDRESS
    DOWN http://ADDRESS: not alive
      /livez answers 500: deadlock
      ok: startup
    (exit 1)
    ");
}

#[test]
fn no_answer_and_other_answers_are_no_verdict() {
    let free = TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("an address");
    let run = Sandbox::new().msctl(["health", "--url", &format!("http://{free}")]);
    insta::assert_snapshot!(run.transcript().replace(&free.to_string(), "ADDRESS"), @r"
    $ msctl health --url http://ADDRESS
    COULD NOT TELL http://ADDRESS: nothing answers
      unknown: liveness, readiness, startup (connection refused)
      hint: is it running, and is this its port? `msctl health --url http://ADDRESS --wait 30s` waits for it
    (exit 2)
    ");
    insta::assert_snapshot!(Server::new(&[]).health(&[]), @r"
    $ msctl health --url http://ADDRESS
    COULD NOT TELL http://ADDRESS: it does not say whether it is healthy
      unknown: liveness, readiness, startup (answers 404, no such path)
      hint: the service must answer /livez and /readyz; what `msctl new` scaffolds does
    (exit 2)
    ");
    let redirect = |to: &str| {
        Says::Raw(
            format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .into_bytes(),
        )
    };
    let denied = Server::healthy_but(&[
        ("/livez", says(401, "")),
        ("/readyz", redirect("http://localhost:1/login")),
    ]);
    insta::assert_snapshot!(denied.health(&[]), @r"
    $ msctl health --url http://ADDRESS
    COULD NOT TELL http://ADDRESS: not allowed to ask
      ok: startup
      unknown: liveness (answers 401, not allowed)
      unknown: readiness (answers 302, a redirect elsewhere)
      hint: ask it where no password is needed, such as on the machine itself
    (exit 2)
    ");
    let moved = Server::healthy_but(&[("/livez", redirect("/alive")), ("/alive", says(200, ""))]);
    assert!(
        moved.health(&[]).contains("HEALTHY"),
        "a redirect within the server is followed"
    );
    let circle = Server::healthy_but(&[("/livez", redirect("/livez"))]);
    assert!(
        circle
            .health(&[])
            .contains("unknown: liveness (answers 302, a redirect elsewhere)")
    );
}

#[test]
fn hostile_answers_cannot_harm() {
    let nasty = "{\"checks\":[{\"name\":\"\\u001b[2J\\u202e\",\"status\":\"\",\"error\":\"a\\nHEALTHY http://x: alive\\r\\u0000\"}]}";
    let server = Server::healthy_but(&[("/readyz", says(503, nasty))]);
    insta::assert_snapshot!(server.health(&[]), @r"
    $ msctl health --url http://ADDRESS
    DEGRADED http://ADDRESS: not ready
      /readyz answers 503
        `�[2J�` fails: a HEALTHY http://x: alive �
      ok: liveness, startup
    (exit 1)
    ");
    let raw =
        |bytes: &[u8]| Server::healthy_but(&[("/readyz", Says::Raw(bytes.to_vec()))]).health(&["--timeout", "5s"]);
    for bytes in [
        &b""[..],
        b"\x00\x01\xff garbage",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
    ] {
        let said = raw(bytes);
        assert!(said.contains("COULD NOT TELL") && said.contains("(exit 2)"), "{said}");
        assert!(
            said.contains("unknown: readiness (the answer cannot be read: "),
            "{said}"
        );
    }
    let huge = Server::healthy_but(&[("/readyz", Says::Body(200, vec![b'['; 20 << 20]))]);
    assert!(
        huge.health(&["--timeout", "60s"]).contains("HEALTHY"),
        "the size of a body is no fault"
    );
    let metrics = Server::healthy_but(&[("/metrics", Says::Body(200, vec![b'x'; 20 << 20]))]);
    let said = metrics.health(&["--timeout", "60s", "--metrics", &format!("{}/metrics", metrics.url())]);
    assert!(
        said.contains("unknown: metrics (too much to read)") && said.contains("(exit 0)"),
        "{said}"
    );
}

#[test]
fn an_answer_that_drips_ends_with_the_deadline() {
    let server = Server::healthy_but(&[("/readyz", Says::Drip)]);
    insta::assert_snapshot!(server.health(&["--timeout", "400ms"]), @r"
    $ msctl health --url http://ADDRESS --timeout 400ms
    DEGRADED http://ADDRESS: not ready
      /readyz takes the request and gives no whole answer within 0.4 s
      ok: liveness, startup
    (exit 1)
    ");
}

#[test]
fn it_waits_until_the_service_is_healthy_and_not_longer() {
    let later = Says::Then(2, Box::new(says(503, NOT_READY)), Box::new(says(200, READY)));
    let server = Server::healthy_but(&[("/readyz", later)]);
    insta::assert_snapshot!(server.health(&["--wait", "60s"]), @r"
    $ msctl health --url http://ADDRESS --wait 60s
    HEALTHY http://ADDRESS: alive and ready
      ok: liveness, readiness (db, cache), startup
    (exit 0)
    ");
    let never = Server::healthy_but(&[("/readyz", says(503, NOT_READY))]);
    assert!(
        never
            .health(&["--wait", "300ms"])
            .starts_with("$ msctl health --url http://ADDRESS --wait 300ms\nDEGRADED")
    );
}

#[test]
fn a_proxy_of_the_environment_is_not_asked_for_this_machine() {
    let server = Server::healthy_but(&[]);
    let sandbox = ["HTTP_PROXY", "http_proxy", "ALL_PROXY"]
        .iter()
        .fold(Sandbox::new(), |sandbox, name| {
            sandbox.with_env(name, "http://127.0.0.1:9")
        });
    let run = sandbox.msctl(["health", "--url", &server.url()]);
    assert_eq!(run.code, 0, "{}", run.transcript());
    let run = sandbox.msctl(["health", "--url", "http://service.invalid", "--timeout", "20s"]);
    assert!(
        run.stdout.contains("(connection refused)"),
        "the proxy was asked: {}",
        run.transcript()
    );
}

#[test]
fn a_machine_reads_the_same() {
    let server = Server::healthy_but(&[("/readyz", says(503, NOT_READY)), ("/startupz", says(404, ""))]);
    let url = server.url();
    let run = Sandbox::new().msctl(["health", "--url", &url, "--output", "json"]);
    let mut report = run.json();
    for probe in report["probes"].as_array_mut().expect("probes") {
        let took = probe["duration_ms"].take();
        assert!(took.as_f64().is_some_and(|ms| ms >= 0.0), "{took}");
    }
    let text = serde_json::to_string_pretty(&report).expect("JSON");
    insta::assert_snapshot!(text.replace(&url, "URL"), @r#"
    {
      "schema": "msctl.health.report/v1",
      "target": "URL",
      "verdict": "degraded",
      "summary": "not ready",
      "causes": [
        {
          "dimension": "readiness",
          "what": "/readyz answers 503",
          "checks": [
            "`db` fails: connection refused"
          ]
        }
      ],
      "probes": [
        {
          "dimension": "liveness",
          "path": "/livez",
          "state": "ok",
          "status": 200,
          "duration_ms": null
        },
        {
          "dimension": "readiness",
          "path": "/readyz",
          "state": "failing",
          "status": 503,
          "duration_ms": null,
          "why": "answers 503",
          "checks": [
            {
              "name": "db",
              "fails": true,
              "why": "connection refused"
            },
            {
              "name": "cache",
              "fails": false
            }
          ]
        },
        {
          "dimension": "startup",
          "path": "/startupz",
          "state": "unknown",
          "status": 404,
          "duration_ms": null,
          "why": "answers 404, no such path"
        }
      ],
      "unknown": [
        {
          "what": "startup",
          "why": "answers 404, no such path"
        }
      ],
      "hints": []
    }
    "#);
    assert_eq!(run.code, 1);
}

#[test]
fn what_cannot_be_asked_is_refused_and_no_password_is_shown() {
    let refused = |url: &str| Sandbox::new().msctl(["health", "--url", url]).transcript();
    insta::assert_snapshot!(refused("127.0.0.1:8080"), @r"
    $ msctl health --url 127.0.0.1:8080
    ! error: the URL cannot be asked: it does not begin with `http://` or `https://`
    !   hint: msctl health --url http://127.0.0.1:8080
    (exit 2)
    ");
    let bad = refused("http://someone:secret@[::1");
    assert!(bad.ends_with("! error: the URL cannot be asked: invalid IPv6 address\n!   hint: msctl health --url http://127.0.0.1:8080\n(exit 2)\n"), "{bad}");
    let server = Server::healthy_but(&[]);
    let url = server.url().replace("http://", "http://someone:secret@");
    let run = Sandbox::new().msctl(["health", "--url", &url]);
    assert!(
        run.stdout.starts_with(&format!("HEALTHY {}: ", server.url())),
        "{}",
        run.transcript()
    );
    let run = Sandbox::new().msctl(["health", "--url", &server.url(), "--wait", "soon"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("such as 500ms, 2s, 5m or 1h"), "{}", run.stderr);
}
