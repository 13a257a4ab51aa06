//! The world, with real sockets. Nothing sleeps for a fixed time: a state is looked at until it holds, or a deadline passed.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;
use crate::canary::{Counts, EDGES};
use crate::process::service::{PortVariable, Program};

const LIMIT: Duration = Duration::from_mins(1);

fn request(faults: &[Fault], rate: f64) -> WorldRequest {
    WorldRequest {
        stable: Upstream::BuiltIn,
        canary: Upstream::BuiltIn,
        faults: Faults::together(faults).expect("faults"),
        rate,
        arrivals: Arrivals::Poisson,
        path: "/".to_owned(),
        deadline: Duration::from_secs(10),
        seed: 11,
    }
}

fn start(request: &WorldRequest) -> Result<World, Failure> {
    World::start(request, &Interrupt::never())
}

fn world(faults: &[Fault], rate: f64) -> World {
    start(&request(faults, rate)).expect("a world")
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = now() + LIMIT;
    while !holds() {
        assert!(now() < limit, "{what} did not come");
        std::thread::sleep(PULSE);
    }
}

fn counts(world: &World) -> (Counts, Counts) {
    let snapshot = world.meter().snapshot();
    (snapshot.stable, snapshot.canary)
}

fn float(number: u64) -> f64 {
    f64::from(u32::try_from(number).expect("a small number"))
}

fn shift(world: &World, per_mille: u16) {
    let weight = Weight::per_mille(per_mille).expect("a weight");
    world.router().write(weight).expect("a shift");
}

/// One request over a connection of its own, and the whole answer.
fn send(to: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(to).expect("a connection");
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

fn get(to: SocketAddr, path: &str) -> String {
    send(
        to,
        &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
    )
}

#[test]
fn traffic_is_split_by_weight_and_nothing_is_lost() {
    let world = world(&[], 1500.0);
    until("stable traffic", || counts(&world).0.requests >= 200);
    assert_eq!(counts(&world).1.sent, 0, "weight 0 is nothing");
    shift(&world, 250);
    let (stable_before, canary_before) = counts(&world);
    until("2 000 requests", || {
        let (stable, canary) = counts(&world);
        stable.sent + canary.sent >= stable_before.sent + canary_before.sent + 2000
    });
    shift(&world, 0);
    let (stable, canary) = counts(&world);
    let total = float(stable.sent + canary.sent - stable_before.sent - canary_before.sent);
    let seen = float(canary.sent - canary_before.sent);
    let sigma = (total * 0.25 * 0.75).sqrt();
    assert!((seen - total * 0.25).abs() < 4.0 * sigma, "{seen} of {total}");
    let (mut router, mut meter) = (world.router(), world.meter());
    let served = world.end();
    assert_eq!(router.read().expect("a weight"), Seen::InForce(Weight::NONE));
    assert_eq!(meter.read().expect("a reading").canary, meter.snapshot().canary);
    let last = meter.snapshot();
    assert_eq!((last.stable.outstanding(), last.canary.outstanding()), (0, 0));
    assert_eq!(last.stable.failed + last.canary.failed, 0);
    assert_eq!(served.sent, last.stable.sent + last.canary.sent);
    assert_eq!(served.by_status.get(&200), Some(&served.sent));
}

#[test]
fn after_weight_0_no_further_request_reaches_the_canary() {
    let world = world(&[], 1000.0);
    shift(&world, 1000);
    until("canary traffic", || counts(&world).1.requests >= 100);
    shift(&world, 0);
    let (stable_at, canary_at) = counts(&world);
    until("the open ones", || counts(&world).1.outstanding() == 0);
    until("stable traffic", || {
        counts(&world).0.requests >= stable_at.requests + 300
    });
    assert_eq!(counts(&world).1.sent, canary_at.sent);
    let snapshot = world.meter().snapshot();
    assert_eq!(snapshot.canary.failed, 0);
}

#[test]
fn errors_are_the_canarys_alone_and_reach_the_client() {
    let world = world(&[Fault::Errors(300)], 1500.0);
    shift(&world, 500);
    until("canary traffic", || counts(&world).1.requests >= 1500);
    let meter = world.meter();
    let served = world.end();
    let Snapshot { stable, canary, .. } = meter.snapshot();
    let (n, failed) = (float(canary.requests), float(canary.failed));
    assert!((failed - 0.3 * n).abs() < 4.0 * (n * 0.21).sqrt(), "{failed} of {n}");
    assert_eq!(stable.failed, 0);
    assert_eq!(served.by_status.get(&500), Some(&canary.failed));
    assert_eq!(served.failed(), canary.failed);
}

#[test]
fn latency_is_added_to_the_canary_alone() {
    let world = world(&[Fault::Latency(Duration::from_millis(300))], 200.0);
    shift(&world, 500);
    until("traffic", || {
        counts(&world).1.requests >= 20 && counts(&world).0.requests >= 20
    });
    let (stable, canary) = counts(&world);
    let edge = EDGES.iter().position(|e| *e == 200).expect("an edge");
    assert_eq!((canary.slower[edge], canary.failed), (canary.requests, 0));
    // A busy machine may slow single requests; it does not slow them all.
    assert!(stable.slower[edge] < stable.requests, "{stable:?}");
}

#[test]
fn a_canary_that_hangs_has_failed_once_the_deadline_passed() {
    let request = WorldRequest {
        deadline: Duration::from_millis(400),
        ..request(&[Fault::Hang], 100.0)
    };
    let world = start(&request).expect("a world");
    shift(&world, 500);
    until("requests that hang", || counts(&world).1.outstanding() > 0);
    until("failures", || counts(&world).1.failed >= 10);
    let meter = world.meter();
    let served = world.end();
    let Snapshot { stable, canary, .. } = meter.snapshot();
    assert_eq!((canary.failed, canary.outstanding()), (canary.requests, 0));
    assert!(stable.failed < stable.requests);
    assert_eq!(
        served.by_status.get(&504).copied().unwrap_or(0),
        canary.failed + stable.failed
    );
}

#[test]
fn a_built_in_canary_that_crashes_is_unreachable_and_stable_goes_on() {
    let world = world(&[Fault::Crash], 500.0);
    shift(&world, 500);
    assert!(world.is_alive(Arm::Canary));
    until("the crash", || !world.is_alive(Arm::Canary));
    until("failures", || counts(&world).1.failed >= 50);
    assert!(
        counts(&world).1.requests > counts(&world).1.failed,
        "the first ones went well"
    );
    shift(&world, 0);
    let before = counts(&world).0;
    until("stable traffic", || counts(&world).0.requests >= before.requests + 100);
    assert_eq!(counts(&world).0.failed, 0);
    assert!(world.is_alive(Arm::Stable));
    assert!(world.end().by_status[&502] >= 50);
}

/// A real program: Python answers 200 for `/` and 404 for the rest; it tells its address in its log.
fn program(name: &str, directory: &std::path::Path) -> Upstream {
    let script = "import http.server, os\n\
        class Answer(http.server.SimpleHTTPRequestHandler):\n\
        \x20   protocol_version = 'HTTP/1.1'\n\
        http.server.ThreadingHTTPServer(('127.0.0.1', int(os.environ['HTTP_PORT'])), Answer).serve_forever()\n";
    Upstream::Program(Box::new(ServiceRequest {
        name: name.to_owned(),
        program: Program {
            name: "python3".to_owned(),
            arguments: vec!["-c".to_owned(), script.to_owned()],
        },
        directory: directory.to_owned(),
        ports: vec![PortVariable::new("HTTP_PORT", "http")],
        variables: Vec::new(),
        http: "http".to_owned(),
        ready: "/readyz".to_owned(),
        within: LIMIT,
        grace: Duration::from_secs(5),
        log: directory.join(format!("{name}.log")),
    }))
}

#[test]
fn programs_serve_as_both_arms_and_a_crash_kills_the_canary_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let request = WorldRequest {
        stable: program("stable", directory.path()),
        canary: program("canary", directory.path()),
        ..request(&[Fault::Crash], 100.0)
    };
    let world = start(&request).expect("a world");
    let stable_address = world.stable.address;
    shift(&world, 500);
    until("the crash", || !world.is_alive(Arm::Canary));
    until("failures", || counts(&world).1.failed >= 5);
    shift(&world, 0);
    let before = counts(&world).0;
    until("stable traffic", || counts(&world).0.requests >= before.requests + 20);
    assert_eq!(counts(&world).0.failed, 0);
    world.end();
    assert!(
        TcpStream::connect(stable_address).is_err(),
        "the end stops the programs"
    );
}

#[test]
fn method_path_headers_and_body_are_passed_on_and_connection_headers_are_not() {
    struct Echo;
    impl server::Handler for Echo {
        type Answer = http_body_util::Full<hyper::body::Bytes>;
        async fn answer(
            self: Arc<Self>,
            request: hyper::Request<hyper::body::Incoming>,
        ) -> hyper::Response<Self::Answer> {
            let (head, body) = request.into_parts();
            let body = http_body_util::BodyExt::collect(body).await.expect("a body").to_bytes();
            let text = format!(
                "{} {} {:?} {}",
                head.method,
                head.uri,
                head.headers,
                String::from_utf8_lossy(&body)
            );
            hyper::Response::new(text.into())
        }
    }
    let runtime = runtime().expect("a runtime");
    let echo = runtime.block_on(Server::start(Echo)).expect("a server");
    let split = Arc::new(Split::new(1));
    let layer = Layer::new(Faults::default(), 1);
    let proxy = Proxy::new(
        Arc::clone(&split),
        (echo.address(), echo.address()),
        layer,
        Box::new(|| ()),
        LIMIT,
    );
    let proxy = runtime.block_on(Server::start(proxy)).expect("a proxy");
    let answer = send(
        proxy.address(),
        "PUT /a%20b?c=d HTTP/1.1\r\nHost: shop\r\nX-Kept: yes\r\nX-Hop: no\r\nTE: trailers\r\n\
         Connection: close, X-Hop\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let echoed = answer.to_lowercase();
    for part in [
        "put ",
        "/a%20b?c=d",
        r#""host": "shop""#,
        r#""x-kept": "yes""#,
        r#""x-msctl-rehearsal": "stable""#,
        "hello world",
    ] {
        assert!(echoed.contains(part), "{part}: {answer}");
    }
    for part in ["x-hop", r#""te""#] {
        assert!(!echoed.contains(part), "{part}: {answer}");
    }
    let tally = split.snapshot().stable;
    assert_eq!((tally.sent, tally.requests, tally.failed), (1, 1, 0));
}

#[test]
fn answers_without_a_body_are_counted_as_well() {
    let world = world(&[], 0.001);
    for request in [
        "HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
    ] {
        assert!(send(world.address(), request).contains("200 OK"));
    }
    until("both", || counts(&world).0.requests == 2);
    assert_eq!(counts(&world).0.failed, 0);
}

#[test]
fn answers_that_break_off_or_drip_past_the_deadline_have_failed() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("an address");
    let serve = std::thread::spawn(move || {
        let mut held = Vec::new();
        for keep in [false, true] {
            let (mut stream, _) = listener.accept().expect("a connection");
            _ = stream.read(&mut [0; 4096]);
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
                .expect("half an answer");
            if keep {
                held.push(stream);
            }
        }
        held
    });
    let runtime = runtime().expect("a runtime");
    let split = Arc::new(Split::new(1));
    let layer = Layer::new(Faults::default(), 1);
    let deadline = Duration::from_millis(500);
    let proxy = Proxy::new(Arc::clone(&split), (address, address), layer, Box::new(|| ()), deadline);
    let proxy = runtime.block_on(Server::start(proxy)).expect("a proxy");
    for failed in 1..=2 {
        let mut stream = TcpStream::connect(proxy.address()).expect("a connection");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .expect("a request");
        let mut answer = Vec::new();
        _ = stream.read_to_end(&mut answer);
        assert!(answer.ends_with(b"half"), "{}", String::from_utf8_lossy(&answer));
        until("the failure", || split.snapshot().stable.failed == failed);
    }
    assert_eq!(split.snapshot().stable.outstanding(), 0);
    drop(serve.join().expect("a server"));
}

#[test]
fn the_end_and_a_drop_close_the_proxy() {
    let ended = world(&[], 50.0);
    let address = ended.address();
    assert!(get(address, "/").contains("the built-in stable backend"));
    ended.end();
    assert!(TcpStream::connect(address).is_err());
    let dropped = world(&[Fault::Hang], 500.0);
    shift(&dropped, 1000);
    until("open requests", || counts(&dropped).1.outstanding() > 5);
    let (address, meter) = (dropped.address(), dropped.meter());
    drop(dropped);
    assert!(TcpStream::connect(address).is_err());
    let snapshot = meter.snapshot();
    assert_eq!(snapshot.canary.outstanding(), 0, "what was open is counted as failed");
}

#[test]
fn a_world_that_cannot_be_made_says_why() {
    let fails = |request: &WorldRequest| start(request).expect_err("a failure").message().to_owned();
    for path in ["", "x", "/a b", "http://elsewhere/"] {
        let request = WorldRequest {
            path: path.to_owned(),
            ..request(&[], 1.0)
        };
        assert_eq!(fails(&request), format!("`{path}` is no path of a request"));
    }
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(
            fails(&request(&[], rate)),
            format!("{rate} requests a second cannot be made")
        );
    }
}
