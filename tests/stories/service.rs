//! A new service is one that its team can keep: it builds, passes its own tests and linters, serves, and ends well.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::support::{Run, Sandbox};

/// A sandbox with a new service in `payment`.
fn service(sandbox: Sandbox, arguments: &[&str]) -> Sandbox {
    let run = sandbox.msctl(["new", "payment", "--yes"].iter().chain(arguments));
    assert_eq!(run.code, 0, "{}", run.transcript());
    sandbox
}

/// Runs this in the service's directory; it must end with 0.
fn done(sandbox: &Sandbox, line: &str) -> Run {
    let run = sandbox.run_in("payment", Path::new("/bin/sh"), ["-c", line]);
    assert_eq!(run.code, 0, "{}", run.transcript());
    run
}

#[test]
fn a_service_is_formatted_tidy_vetted_and_passes_its_tests_with_and_without_components() {
    for arguments in [&[][..], &["--without", "otlp", "--module", "example.com/Shop/payment"]] {
        let sandbox = service(Sandbox::new().with_go(), arguments);
        assert_eq!(done(&sandbox, "gofmt -l .").stdout, "");
        done(&sandbox, "go mod tidy -diff");
        done(&sandbox, "go mod verify");
        done(&sandbox, "go vet ./...");
        let tests = done(&sandbox, "go test -race ./...");
        assert!(
            tests.stdout.contains("payment/internal/app\t"),
            "{}",
            tests.transcript()
        );
    }
}

#[test]
fn linters_find_nothing_in_it() {
    let sandbox = Sandbox::new().with_go().with_tools(&["golangci-lint", "gosec"]);
    let sandbox = service(sandbox, &[]);
    let own = done(&sandbox, "golangci-lint run");
    assert_eq!(own.stdout, "0 issues.\n", "{}", own.transcript());
    let default = done(&sandbox, "golangci-lint run --no-config");
    assert_eq!(default.stdout, "0 issues.\n", "{}", default.transcript());
    let gosec: Value = done(&sandbox, "gosec -fmt json ./...").json();
    assert_eq!(gosec["Issues"], serde_json::json!([]), "{gosec}");
    assert!(
        gosec["Stats"]["files"].as_u64() >= Some(10),
        "gosec looked at nothing: {gosec}"
    );
}

/// The service's own binary, running on free ports.
struct Served {
    child: Child,
    lines: Vec<String>,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Served {
    fn start(sandbox: &Sandbox) -> Self {
        let mut command = sandbox.command("payment", &sandbox.path("payment/bin/payment"), ["serve"]);
        for (name, value) in [
            ("LISTEN_HOST", "127.0.0.1"),
            ("HTTP_PORT", "0"),
            ("GRPC_PORT", "0"),
            ("METRICS_PORT", "0"),
            ("DRAIN_DELAY", "0s"),
        ] {
            command.env(name, value);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the service starts");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let lines = Vec::new();
        let mut served = Self { child, lines, stdout };
        while !served.lines.iter().any(|l| l.contains(r#""service.ready":true"#)) {
            served.read_line();
        }
        served
    }

    fn read_line(&mut self) {
        let mut line = String::new();
        let length = self.stdout.read_line(&mut line).expect("a log");
        assert!(length > 0, "the service ended early: {:?}", self.lines);
        self.lines.push(line);
    }

    /// Where the port with this name is, as its log says.
    fn address(&self, name: &str) -> String {
        let all = self
            .lines
            .iter()
            .map(|l| serde_json::from_str::<Value>(l).expect("JSON"));
        let line = all
            .into_iter()
            .find(|l| l["server.name"] == name)
            .expect("the port is logged");
        line["server.address"].as_str().expect("an address").to_owned()
    }

    fn get(&self, port: &str, path: &str) -> String {
        let address = self.address(port);
        let mut stream = TcpStream::connect(&address).expect("it listens");
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    }

    /// SIGTERM; gives the exit code and the whole log.
    fn end(mut self, sandbox: &Sandbox) -> (Option<i32>, String) {
        let kill = format!("kill -TERM {}", self.child.id());
        assert_eq!(sandbox.run_in("", Path::new("/bin/sh"), ["-c", &kill]).code, 0);
        let mut log = self.lines.concat();
        self.stdout.read_to_string(&mut log).expect("the rest of the log");
        (self.child.wait().expect("it ends").code(), log)
    }
}

impl Drop for Served {
    /// A test that fails leaves nothing running.
    fn drop(&mut self) {
        _ = self.child.kill();
    }
}

#[test]
fn its_binary_serves_says_how_it_is_and_ends_well() {
    let sandbox = service(Sandbox::new().with_go(), &[]);
    let build = "CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -buildid= -X main.version=1.2.3' -o bin/payment ./cmd/payment";
    done(&sandbox, build);
    let size = std::fs::metadata(sandbox.path("payment/bin/payment"))
        .expect("a binary")
        .len();
    assert!(size <= 18_000_000, "the stripped binary has {size} bytes");
    assert_eq!(done(&sandbox, "bin/payment version").stdout, "1.2.3\n");

    let served = Served::start(&sandbox);
    for (port, path, body) in [
        ("http", "/livez", r#"{"status":"pass"}"#),
        ("http", "/readyz", r#"{"status":"pass"}"#),
        ("http", "/startupz", r#"{"status":"pass"}"#),
        ("http", "/v1/hello/Ada", r#"{"message":"Hello, Ada!"}"#),
        (
            "metrics",
            "/metrics",
            r#"http_server_requests_total{code="200",method="GET",route="/v1/hello/{name}"} 1"#,
        ),
        (
            "metrics",
            "/metrics",
            r#"service_info{service="payment",version="1.2.3"} 1"#,
        ),
    ] {
        let answer = served.get(port, path);
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains(body),
            "{path}: {answer}"
        );
    }
    let http = served.address("http");
    let port = http.rsplit(':').next().expect("a port");
    done(
        &sandbox,
        &format!("LISTEN_HOST=127.0.0.1 HTTP_PORT={port} bin/payment healthcheck"),
    );
    TcpStream::connect(served.address("grpc")).expect("gRPC listens");

    let (code, log) = served.end(&sandbox);
    assert_eq!(code, Some(0), "{log}");
    sandbox.write("payment.log", &log);
    let read = sandbox.msctl(["logs", "payment.log"]);
    let lines = log.lines().count();
    assert_eq!(
        read.stderr,
        format!("{lines} lines: {lines} shown\n"),
        "{}",
        read.transcript()
    );
    for shown in [
        "INFO   payment  started",
        "INFO   payment  request",
        "INFO   payment  draining",
        "INFO   payment  stopped",
    ] {
        assert!(read.stdout.contains(shown), "{shown}: {}", read.transcript());
    }
    let request = log
        .lines()
        .find(|l| l.contains(r#""message":"request""#))
        .expect("a request");
    let request: Value = serde_json::from_str(request).expect("JSON");
    assert_eq!(request["trace.id"], "0af7651916cd43dd8448eb211c80319c", "{request}");
    assert_eq!(
        (&request["http.route"], &request["service.version"]),
        (&"/v1/hello/{name}".into(), &"1.2.3".into())
    );
}

#[test]
fn a_wrong_configuration_is_told_whole() {
    let sandbox = service(Sandbox::new().with_go(), &["--without", "otlp"]);
    done(&sandbox, "go build -o bin/payment ./cmd/payment");
    let run = sandbox.run_in(
        "payment",
        Path::new("/bin/sh"),
        ["-c", "HTTP_PORT=x LOG_LEVEL=loud bin/payment"],
    );
    insta::assert_snapshot!(run.transcript(), @r#"
    $ sh -c HTTP_PORT=x LOG_LEVEL=loud bin/payment
    ! payment: wrong configuration:
    ! payment: LOG_LEVEL: "loud" must be one of debug, info, warn, error
    ! payment: HTTP_PORT: "x" must be a port, 0 to 65535
    (exit 1)
    "#);
}
