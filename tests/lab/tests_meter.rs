//! The meters of a canary count what the load saw, on a real Envoy and a real Prometheus.
//!
//! The proxy's clusters are called, and its counters labelled, as those of a sidecar that istiod configures.

use std::time::{Duration, Instant};

use msctl::canary::meter::envoy::{EnvoyMeter, Scrape};
use msctl::canary::meter::form::{Form, Matcher};
use msctl::canary::meter::own::Own;
use msctl::canary::meter::prometheus::{PrometheusMeter, Question};
use msctl::canary::router::Destination;
use msctl::canary::{Cases, CasesOfBoth, Counts, EDGES, Meter, Reading};
use msctl::config::metrics::Metric;
use msctl::failure::{Failure, Kind};
use reqwest::Url;
use reqwest::header::HeaderName;
use serde_json::{Value, json};

use super::ground::enter;
use super::load::{Load, Report};
use super::mesh::stats;
use super::prometheus::{AS_ISTIO, Prometheus, SCRAPE_INTERVAL};
use super::tests_traffic::{Backend, front, socket};
use super::{Ground, Part, User, Wire, lab};
use crate::support::until;

const SERVICE: &str = "payment.shop.svc.cluster.local";
const PROXY: &str = "http://127.0.0.1:10080/";
const ADMIN: &str = "127.0.0.1:10081";

/// An answer of Prometheus may take so long.
const DEADLINE: Duration = Duration::from_secs(5);

fn arm(subset: &str) -> Destination {
    Destination {
        host: SERVICE.into(),
        subset: Some(subset.into()),
    }
}

fn cluster(subset: &str) -> String {
    format!("outbound|80|{subset}|{SERVICE}")
}

/// Half of the requests to each backend, or all to the subset that `x-arm` names: one has no endpoints. What is tried
/// again goes to the canary.
fn proxy(ground: &Ground, wire: &Wire, backends: [&Backend; 2]) -> Part {
    let endpoint = |backend: &Backend| json!({"endpoint": {"address": socket(&backend.address.to_string(), 8080)}});
    let of = |subset: &str, endpoints: Vec<Value>| {
        let name = cluster(subset);
        let endpoints = json!({"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]});
        json!({"name": name, "type": "STATIC", "load_assignment": endpoints})
    };
    let clusters = [
        of("stable", vec![endpoint(backends[0])]),
        of("canary", vec![endpoint(backends[1])]),
        of("empty", Vec::new()),
    ];
    let to = |arm: &str, route: Value| {
        let header = json!({"name": "x-arm", "string_match": {"exact": arm}});
        json!({"match": {"prefix": "/", "headers": [header]}, "route": route})
    };
    let half = |subset: &str| json!({"name": cluster(subset), "weight": 50});
    let routes = [
        to("stable", json!({"cluster": cluster("stable")})),
        to("canary", json!({"cluster": cluster("canary"), "timeout": "0.5s"})),
        to("empty", json!({"cluster": cluster("empty")})),
        to(
            "again",
            json!({"cluster": cluster("canary"), "retry_policy": {"retry_on": "5xx", "num_retries": 3}}),
        ),
        json!({"match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": [half("stable"), half("canary")]}}}),
    ];
    front(ground, wire, &json!(clusters), "*", &json!(routes), &stats())
}

fn with_arm(load: Load, arm: &str) -> Load {
    load.header(HeaderName::from_static("x-arm"), arm)
}

/// A bed: two backends behind a proxy.
struct Bed {
    wire: Wire,
    stable: Backend,
    canary: Backend,
    proxy: Part,
    ground: Ground,
}

impl Bed {
    /// This thread is in its network from now on, and the proxy has sent twenty requests to stable.
    fn new() -> Self {
        let ground = Ground::new().expect("a ground");
        enter(&ground.door().network());
        let wire = Wire::new(ground.door());
        let stable = Backend::start(&ground, &wire, "stable", 1, &[("VERSION", "1")]);
        let canary = Backend::start(&ground, &wire, "canary", 2, &[("VERSION", "2")]);
        let proxy = proxy(&ground, &wire, [&stable, &canary]);
        let warm = with_arm(Load::new(PROXY, 100, Duration::from_millis(200)), "stable").run(&wire);
        assert_eq!(warm.answers.get(&("stable".into(), 200)), Some(&20), "{warm:?}");
        Self {
            wire,
            stable,
            canary,
            proxy,
            ground,
        }
    }

    /// So many requests, half of them to each.
    fn load(&self, requests: u32) -> Report {
        let report = Load::new(PROXY, 200, Duration::from_secs(requests.into()) / 200).run(&self.wire);
        assert_eq!(
            (report.sent(), report.failures.len()),
            (requests as usize, 0),
            "{:?}",
            report.failures
        );
        report
    }

    /// What comes of requests to one subset.
    fn ask(&self, arm: &str, requests: u32) -> Report {
        let load = Load::new(PROXY, 50, Duration::from_secs(requests.into()) / 50);
        with_arm(load, arm).run(&self.wire)
    }

    fn direct(&self, canary: &str) -> EnvoyMeter<impl FnMut() -> Result<Scrape, Failure> + use<>> {
        let scrape = scrape(&self.wire, format!("http://{ADMIN}/stats/prometheus"));
        EnvoyMeter::new(scrape, arm("stable"), arm(canary))
    }

    /// A Prometheus that scrapes the proxy, and every kind of meter.
    fn meters(&self) -> (Prometheus, [Box<dyn Meter>; 3]) {
        let prometheus = Prometheus::start(&self.ground, &self.wire).expect("Prometheus");
        prometheus.scrape("envoy", ADMIN, "/stats/prometheus", &[]);
        prometheus.scrape(AS_ISTIO, ADMIN, "/stats/prometheus", &[]);
        prometheus.until_scraped();
        let direct = self.direct("canary");
        let (envoy, istio) = (meter(&prometheus, Form::Envoy), meter(&prometheus, Form::Istio));
        (prometheus, [Box::new(envoy), Box::new(istio), Box::new(direct)])
    }
}

/// Asks one proxy.
fn scrape(wire: &Wire, url: String) -> impl FnMut() -> Result<Scrape, Failure> + use<> {
    let wire = wire.clone();
    move || {
        let answer = wire.get(&url).map(|(_, text)| text);
        let answer = answer.map_err(|why| Failure::new(Kind::Unreachable, why));
        Ok(vec![("client".to_owned(), answer)])
    }
}

fn meter(prometheus: &Prometheus, form: Form) -> PrometheusMeter {
    let address = Url::parse(prometheus.address()).expect("a URL");
    let door = msctl::remote::prometheus::Prometheus::new(address, DEADLINE).expect("a client");
    let (job, common, label) = match form {
        Form::Istio => (
            AS_ISTIO,
            Matcher::is("destination_service", SERVICE),
            "destination_version",
        ),
        Form::Envoy => (
            "envoy",
            Matcher::matches("envoy_cluster_name", "outbound.+"),
            "envoy_cluster_name",
        ),
    };
    let of = |subset: &str| {
        let value = if form == Form::Envoy {
            cluster(subset)
        } else {
            subset.to_owned()
        };
        vec![Matcher::is(label, value)]
    };
    let question = Question {
        form,
        common: vec![Matcher::is("job", job), common],
        stable: of("stable"),
        canary: of("canary"),
        interval: SCRAPE_INTERVAL,
    };
    PrometheusMeter::new(door, question)
}

/// Requests and failures of each arm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Told([u64; 4]);

impl Told {
    /// Adds what a load was told: where no backend answered, the proxy did, for the canary.
    fn add(&mut self, report: &Report) {
        for ((by, status), count) in &report.answers {
            let arm = if by == "stable" { 0 } else { 2 };
            let count = u64::try_from(*count).expect("a count");
            self.0[arm] += count;
            self.0[arm + 1] += if *status >= 500 { count } else { 0 };
        }
    }
}

fn seen(reading: &Reading) -> Told {
    let Reading { stable, canary, .. } = reading;
    Told([stable.requests, stable.failed, canary.requests, canary.failed])
}

/// Reads until it has counted this, and never more.
fn until_told(meter: &mut dyn Meter, told: Told) -> Reading {
    let mut last = Reading::default();
    until(&format!("{told:?}"), || {
        let Ok(reading) = meter.read() else {
            return false;
        };
        let now = seen(&reading);
        assert!(
            now.0.iter().zip(told.0).all(|(now, told)| *now <= told),
            "{now:?} is more than {told:?}"
        );
        for (now, before) in [(reading.stable, last.stable), (reading.canary, last.canary)] {
            assert!(
                now.requests >= before.requests && now.sent >= now.requests,
                "{before:?} {now:?}"
            );
        }
        last = reading;
        now == told && last.stable.outstanding() + last.canary.outstanding() == 0
    });
    last
}

fn edge(milliseconds: u32) -> usize {
    EDGES.iter().position(|edge| *edge == milliseconds).expect("an edge")
}

#[test]
fn meters_count_what_the_load_saw() {
    let bed = Bed::new();
    let (prometheus, mut meters) = bed.meters();
    let mut told = Told::default();
    // What was before does not count.
    for meter in &mut meters {
        until_told(meter.as_mut(), told);
    }
    let mut count = |reports: &[Report]| {
        for report in reports {
            told.add(report);
        }
        for meter in &mut meters {
            until_told(meter.as_mut(), told);
        }
    };

    // The first requests that the canary gets, of which the first seven fail.
    bed.canary.faults(&json!({"first_errors": 7, "latency_ms": 30}));
    count(&[bed.load(400)]);
    // Some errors, at random.
    bed.canary.faults(&json!({"errors": 0.5, "latency_ms": 30}));
    count(&[bed.load(400)]);
    // Its process dies: the proxy says 503. It comes again.
    bed.canary.part.kill();
    let refused = bed.load(100);
    assert!(refused.statuses()[&503] > 0, "{refused:?}");
    count(&[refused]);
    bed.canary.part.restart().expect("the canary again");
    count(&[bed.load(100)]);
    // Prometheus dies, and misses what goes on.
    prometheus.part.kill();
    let missed = bed.load(100);
    prometheus.part.restart().expect("Prometheus again");
    count(&[missed]);
    // The proxy begins anew.
    bed.proxy.restart().expect("the proxy again");
    count(&[bed.load(200), bed.load(200)]);
}

/// Orders as the backends count them, of which those of the canary are bad while it is told to spoil them.
#[test]
fn counters_of_the_services_own_count_what_the_load_saw() {
    let bed = Bed::new();
    let prometheus = Prometheus::start(&bed.ground, &bed.wire).expect("Prometheus");
    prometheus.scrape("envoy", ADMIN, "/stats/prometheus", &[]);
    for (backend, track) in [(&bed.stable, "stable"), (&bed.canary, "canary")] {
        prometheus.scrape("pods", &backend.metrics(), "/metrics", &[("track", track)]);
    }
    prometheus.until_scraped();
    // What is new by then was not there before, and counts from the first.
    until("some scrapes", || {
        let scraped = prometheus.query("min(count_over_time(up{job=\"pods\"}[30s]))");
        let number = scraped[0]["value"][1]
            .as_str()
            .and_then(|text| text.parse::<u32>().ok());
        number.is_some_and(|number| number > 4)
    });
    let metric = json!({
        "name": "orders", "total": "lab_orders_total", "bad": "lab_orders_total{result=~\"bad|worse\"}",
        "stable": {"track": "stable"}, "canary": {"track": "canary"},
    });
    let metric: Metric = serde_json::from_value(metric).expect("a metric");
    let own = Own::new(&metric, [Vec::new(), Vec::new()], SCRAPE_INTERVAL);
    let mut meter = meter(&prometheus, Form::Envoy).and(vec![own]);
    let [mut stable, mut canary] = [Cases::default(); 2];
    // Stable had some before, which do not count; the canary had none, so it has no counter.
    until_counted(
        &mut meter,
        CasesOfBoth {
            stable: Some(stable),
            canary: None,
        },
    );
    let mut count = |report: &Report, spoiled: bool| {
        let of = |arm: &str| {
            let good = report.answers.get(&(arm.into(), 200)).copied().unwrap_or(0);
            u64::try_from(good).expect("a count")
        };
        stable.total += of("stable");
        canary.total += of("canary");
        canary.bad += if spoiled { of("canary") } else { 0 };
        let (stable, canary) = (Some(stable), Some(canary));
        until_counted(&mut meter, CasesOfBoth { stable, canary });
    };
    bed.canary.faults(&json!({"bad_orders": 1}));
    count(&bed.load(400), true);
    // What fails is no order.
    bed.canary.faults(&json!({"bad_orders": 1, "errors": 0.5}));
    count(&bed.load(200), true);
    // Its process begins anew, and forgets what it was told.
    bed.canary.part.kill();
    bed.canary.part.restart().expect("the canary again");
    count(&bed.load(200), false);
    // Prometheus dies, and misses what goes on.
    prometheus.part.kill();
    let missed = bed.load(100);
    prometheus.part.restart().expect("Prometheus again");
    count(&missed, false);
}

/// Reads until this was counted, and never more.
fn until_counted(meter: &mut dyn Meter, expected: CasesOfBoth) {
    until(&format!("{expected:?}"), || {
        let Ok(reading) = meter.read() else {
            return false;
        };
        let now = reading.metrics["orders"];
        for (now, most) in [(now.stable, expected.stable), (now.canary, expected.canary)] {
            let (now, most) = (now.unwrap_or_default(), most.unwrap_or_default());
            assert!(
                now.total <= most.total && now.bad <= most.bad,
                "{now:?} is more than {most:?}"
            );
        }
        now == expected
    });
}

#[test]
fn latencies_are_told_by_arm() {
    let bed = Bed::new();
    let (_prometheus, mut meters) = bed.meters();
    for meter in &mut meters {
        until_told(meter.as_mut(), Told::default());
    }
    bed.canary.faults(&json!({"latency_ms": 300}));
    let mut told = Told::default();
    told.add(&bed.load(200));
    let canary = told.0[2];
    for meter in &mut meters {
        until_told(meter.as_mut(), told);
        let mut last = Reading::default();
        until("the histogram", || {
            last = meter.read().expect("a reading");
            last.latencies && last.canary.slower[0] == canary
        });
        // 250 ms is the bound that stands for 200.
        assert_eq!(last.canary.slower[edge(200)], canary, "{last:?}");
        // Stable is quick, on a machine that is shared.
        assert!(last.stable.slower[edge(200)] < told.0[0] / 2, "{last:?}");
        assert!(last.canary.slower[edge(5_000)] == 0, "{last:?}");
    }
}

#[test]
fn requests_are_counted_once_however_they_end() {
    let bed = Bed::new();
    let mut direct = bed.direct("canary");
    until_told(&mut direct, Told::default());
    // Tried again until it is answered.
    bed.canary.faults(&json!({"first_errors": 2}));
    let report = bed.ask("again", 1);
    assert_eq!(report.statuses().get(&200), Some(&1), "{report:?}");
    let mut told = Told::default();
    told.add(&report);
    until_told(&mut direct, told);
    // Not answered in time: slower than every edge.
    bed.canary.faults(&json!({"hang": true}));
    let report = bed.ask("canary", 10);
    assert_eq!(report.statuses().get(&504), Some(&10), "{report:?}");
    told.add(&report);
    let reading = until_told(&mut direct, told);
    assert_eq!(reading.canary.slower[edge(5_000)], 10, "{reading:?}");
    // Under way, and then given up by the client: sent, and not ended.
    let load = with_arm(Load::new(PROXY, 50, Duration::from_millis(100)), "again");
    let running = load.timeout(Duration::from_secs(1)).start(&bed.wire);
    until("requests that are under way", || {
        direct.read().is_ok_and(|reading| reading.canary.outstanding() == 5)
    });
    let report = running.stop(&bed.wire);
    assert_eq!(report.failures.values().sum::<usize>(), 5, "{report:?}");
    let reading = direct.read().expect("a reading");
    assert_eq!((seen(&reading), reading.canary.outstanding()), (told, 5));
    // Nobody to send them to.
    let mut empty = bed.direct("empty");
    until_told(&mut empty, Told::default());
    let report = bed.ask("empty", 10);
    let mut told = Told::default();
    told.add(&report);
    assert_eq!(told, Told([0, 0, 10, 10]));
    let Counts { sent, .. } = until_told(&mut empty, told).canary;
    assert_eq!(sent, 10);
}

#[test]
fn no_data_is_neither_zero_nor_bad() {
    let bed = Bed::new();
    let prometheus = Prometheus::start(&bed.ground, &bed.wire).expect("Prometheus");
    let mut envoy = meter(&prometheus, Form::Envoy);
    let kind = |meter: &mut dyn Meter| meter.read().err().map(|failure| failure.kind());
    // Nothing is scraped.
    assert_eq!(kind(&mut envoy), Some(Kind::NoEvidence));
    prometheus.scrape("envoy", ADMIN, "/stats/prometheus", &[]);
    prometheus.until_scraped();
    until("a reading", || kind(&mut envoy).is_none());
    let mut told = Told::default();
    // It hangs.
    {
        let _paused = prometheus.part.pause();
        let began = Instant::now();
        let failure = envoy.read().expect_err("it hangs");
        assert_eq!(failure.kind(), Kind::Unreachable, "{failure}");
        assert!(failure.to_string().contains("no whole answer in time"), "{failure}");
        assert!(began.elapsed() < 5 * DEADLINE, "{:?}", began.elapsed());
        told.add(&bed.load(100));
    }
    until_told(&mut envoy, told);
    // It is gone, and comes again.
    prometheus.part.kill();
    let failure = envoy.read().expect_err("it is gone");
    assert_eq!(failure.kind(), Kind::Unreachable, "{failure}");
    told.add(&bed.load(100));
    prometheus.part.restart().expect("Prometheus again");
    until_told(&mut envoy, told);
    // It scrapes nothing: its last samples are no news.
    let mut direct = bed.direct("canary");
    bed.proxy.kill();
    until("that nothing is scraped", || {
        let failure = envoy.read().err();
        failure.is_some_and(|f| f.kind() == Kind::NoEvidence && f.to_string().starts_with("there was no scrape for "))
    });
    assert_eq!(kind(&mut direct), Some(Kind::Unreachable));
    assert_eq!(direct.silent().len(), 0);
    // What is not PromQL is refused, in Prometheus' own words.
    let address = Url::parse(prometheus.address()).expect("a URL");
    let door = msctl::remote::prometheus::Prometheus::new(address, DEADLINE).expect("a client");
    let failure = door.samples(&["up[".into()]).expect_err("a parse error");
    assert_eq!(failure.kind(), Kind::NoEvidence);
    assert!(failure.to_string().contains("parse error"), "{failure}");
}

#[test]
fn a_sidecar_that_istiod_configures_has_counters_of_these_names() {
    lab().mesh();
    let namespace = lab().namespace("meter");
    let host = format!("payment.{namespace}.svc.cluster.local");
    let api = lab().control_plane().api(User::Admin);
    let service = json!({
        "metadata": {"name": "payment"},
        "spec": {"selector": {"app": "payment"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    });
    api.post(&format!("/api/v1/namespaces/{namespace}/services"), &service)
        .ok();
    let subset = |name: &str| json!({"name": name, "labels": {"track": name}});
    let to = |name: &str| json!({"destination": {"host": host, "subset": name}, "weight": 50});
    for (kind, plural, spec) in [
        (
            "DestinationRule",
            "destinationrules",
            json!({"host": host, "subsets": [subset("stable"), subset("canary")]}),
        ),
        (
            "VirtualService",
            "virtualservices",
            json!({"hosts": [host], "http": [{"name": "http", "route": [to("stable"), to("canary")]}]}),
        ),
    ] {
        let object = json!({
            "apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": {"name": "payment"}, "spec": spec,
        });
        let path = format!("/apis/networking.istio.io/v1/namespaces/{namespace}/{plural}");
        api.post(&path, &object).ok();
    }
    let proxy = lab().proxy(&namespace, 80);
    proxy.until("http", |weights| weights.len() == 2);
    let arm = |subset: &str| Destination {
        host: host.clone(),
        subset: Some(subset.into()),
    };
    let scrape = scrape(lab().wire(), proxy.stats());
    let mut direct = EnvoyMeter::new(scrape, arm("stable"), arm("canary"));
    until_told(&mut direct, Told::default());
    // There are no pods, so the proxy itself answers all of them.
    let url = format!("http://{}/", proxy.address());
    let report = Load::new(&url, 50, Duration::from_secs(2))
        .host(&host)
        .run(lab().wire());
    assert_eq!(report.statuses().get(&503), Some(&100), "{report:?}");
    until("all of them", || {
        let Told([stable, failed, canary, bad]) = seen(&direct.read().expect("a reading"));
        stable + canary == 100 && failed == stable && bad == canary && canary > 0 && stable > 0
    });
}
