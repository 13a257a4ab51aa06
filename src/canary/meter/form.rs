//! What the series of a mesh are called and what they count. Pure: labels → meaning.
//!
//! **Istio**: `istio_requests_total` and `istio_request_duration_milliseconds`, as the caller's side reports them: only
//! there requests are seen that never reached a pod. A request failed if its code is 5xx; if it is 0, for then there
//! was no answer; if a flag of the response says that there was none of the service's own (`UF` and the like); or if
//! its gRPC status is one of those that `google.rpc.Code` maps to 5xx, which OpenTelemetry takes for a server's errors
//! too: 2, 4, 12, 13, 14 and 15. Not 8: a quota that is used up is like a 429.
//!
//! **Envoy**: the counters of a cluster, which for istiod is a subset of a service. `upstream_rq_xx` has every request
//! that ended with a response, the proxy's own included: refused is a 503, not in time a 504. `upstream_rq_total` has
//! those that were put on a connection, each time: what was not, for want of one, is added, and what was sent again is
//! taken off. A request that the client gave up is sent and never ends. Limits: gRPC's status is not in these counters;
//! a body that broke off is not seen; requests that the proxy refused have no latency, and those that were not answered
//! in time count as slower than every edge.

use std::collections::BTreeMap;
use std::time::Duration;

use super::series::{INFINITE, Meaning, Sample, Series};
use crate::canary::Arm;
pub use crate::config::selector::Matcher;

/// The labels of a series, its name among them as `__name__`.
pub type Labels = BTreeMap<String, String>;

const NAME: &str = "__name__";

/// Whose series they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// What Istio's proxies report of requests.
    Istio,
    /// What Envoy counts for each cluster.
    Envoy,
}

const REQUESTS: &str = "istio_requests_total";
const DURATIONS: &str = "istio_request_duration_milliseconds_bucket";

/// Envoy's own rules give the class as `envoy_response_code_class="5"` of the first, those of Istio's proxies as
/// `response_code_class="5xx"` of the second.
const CLASSES: [&str; 2] = ["envoy_cluster_upstream_rq_xx", "envoy_cluster_upstream_rq"];
const CLASS: [&str; 2] = ["envoy_response_code_class", "response_code_class"];
const TIMES: &str = "envoy_cluster_upstream_rq_time_bucket";
const SENT: [&str; 4] = [
    "envoy_cluster_upstream_rq_total",
    "envoy_cluster_upstream_rq_pending_failure_eject",
    "envoy_cluster_upstream_rq_pending_overflow",
    "envoy_cluster_upstream_cx_none_healthy",
];
const AGAIN: &str = "envoy_cluster_upstream_rq_retry";
const TIMEOUTS: &str = "envoy_cluster_upstream_rq_timeout";

/// Flags of a response that was not the service's: no connection, no healthy host, the connection or the stream broke
/// off, not in time, too many at once, retried in vain, and what stands for these in HTTP/2 and in the proxy's own
/// streams.
const BROKEN: [&str; 12] = [
    "UF", "UH", "UC", "UT", "UO", "UR", "LR", "URX", "UPE", "NC", "SI", "UMSDR",
];

/// The status of calls whose fault is the server's.
const SERVER_ERRORS: [&str; 6] = ["2", "4", "12", "13", "14", "15"];

impl Form {
    /// The query for the raw samples of these series in the last `window`. Istio's are the caller's own, unless the
    /// matchers name another `reporter`.
    pub fn query(self, matchers: &[Matcher], window: Duration) -> String {
        let names = match self {
            Self::Istio => [REQUESTS, DURATIONS].join("|"),
            Self::Envoy => [&CLASSES[..], &SENT, &[TIMES, AGAIN, TIMEOUTS]].concat().join("|"),
        };
        let mut all = vec![Matcher::matches(NAME, names)];
        if self == Self::Istio && matchers.iter().all(|m| m.label() != "reporter") {
            all.push(Matcher::is("reporter", "source"));
        }
        all.extend_from_slice(matchers);
        let all: Vec<String> = all.iter().map(ToString::to_string).collect();
        format!("{{{}}}[{}ms]", all.join(","), window.as_millis())
    }

    /// What a series of this form counts; none if it is not one.
    pub fn series(self, arm: Arm, source: String, labels: &Labels, samples: Vec<Sample>) -> Option<Series> {
        let meaning = match self {
            Self::Istio => of_istio(labels),
            Self::Envoy => of_envoy(labels),
        }?;
        let alike: &[&str] = match (meaning, self) {
            (Meaning::Within(_), _) => &["le"],
            // Istio's proxies drop series that are not used any more, one by one.
            (_, Self::Istio) => &[],
            (_, Self::Envoy) => &[NAME, CLASS[0], CLASS[1]],
        };
        let (members, common): (Vec<_>, Vec<_>) = labels.iter().partition(|(label, _)| alike.contains(&label.as_str()));
        Some(Series {
            arm,
            life: format!("{common:?}"),
            name: format!("{members:?}"),
            source,
            meaning,
            samples,
        })
    }
}

fn of_istio(labels: &Labels) -> Option<Meaning> {
    let of = |label: &str| labels.get(label).map_or("", String::as_str);
    match of(NAME) {
        DURATIONS => bucket(labels),
        REQUESTS => {
            let code = of("response_code");
            let failed = code.starts_with('5')
                || code == "0"
                || of("response_flags").split(',').any(|flag| BROKEN.contains(&flag))
                || SERVER_ERRORS.contains(&of("grpc_response_status"));
            Some(if failed { Meaning::FAILED } else { Meaning::GOOD })
        }
        _ => None,
    }
}

fn of_envoy(labels: &Labels) -> Option<Meaning> {
    let name = labels.get(NAME)?.as_str();
    match name {
        TIMES => bucket(labels),
        TIMEOUTS => Some(Meaning::SLOW),
        AGAIN => Some(Meaning::AGAIN),
        _ if SENT.contains(&name) => Some(Meaning::SENT),
        _ if CLASSES.contains(&name) => {
            let class = CLASS.iter().find_map(|label| labels.get(*label))?;
            match class.as_bytes().first()? {
                b'2'..=b'4' => Some(Meaning::GOOD),
                b'5' => Some(Meaning::FAILED),
                // An interim response: its request goes on.
                _ => None,
            }
        }
        _ => None,
    }
}

/// Both forms have milliseconds.
fn bucket(labels: &Labels) -> Option<Meaning> {
    let bound = labels.get("le")?.parse::<f64>().ok().filter(|bound| *bound >= 0.0)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive; as saturates, at what is infinite"
    )]
    let bound = if bound.is_finite() {
        (bound * 1_000.0).round() as u64
    } else {
        INFINITE
    };
    Some(Meaning::Within(bound))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Labels {
        let pairs = text.split(' ').filter_map(|pair| pair.split_once('='));
        pairs
            .map(|(label, value)| (label.to_owned(), value.to_owned()))
            .collect()
    }

    fn meaning(form: Form, text: &str) -> Option<Meaning> {
        let series = form.series(Arm::Canary, String::new(), &labels(text), Vec::new());
        series.map(|one| one.meaning)
    }

    #[test]
    fn a_query_asks_for_raw_samples_of_every_name_at_once() {
        let service = Matcher::is("destination_service", "payment.shop.svc.cluster.local");
        let version = Matcher::matches("destination_version", r#"v2|"\d"#);
        assert_eq!(
            Form::Istio.query(&[service.clone(), version], Duration::from_secs(30)),
            concat!(
                r#"{__name__=~"istio_requests_total|istio_request_duration_milliseconds_bucket",reporter="source","#,
                r#"destination_service="payment.shop.svc.cluster.local",destination_version=~"v2|\"\\d"}[30000ms]"#
            )
        );
        let waypoint = Form::Istio.query(&[Matcher::is("reporter", "waypoint"), service], Duration::from_secs(1));
        assert!(
            waypoint.contains(r#",reporter="waypoint","#) && !waypoint.contains("source"),
            "{waypoint}"
        );
        let envoy = Form::Envoy.query(
            &[Matcher::is("envoy_cluster_name", "a\nb")],
            Duration::from_millis(1_500),
        );
        assert!(
            envoy.starts_with(r#"{__name__=~"envoy_cluster_upstream_rq_xx|"#),
            "{envoy}"
        );
        assert!(
            envoy.ends_with(r#"envoy_cluster_upstream_rq_timeout",envoy_cluster_name="a\nb"}[1500ms]"#),
            "{envoy}"
        );
    }

    #[test]
    fn istio_tells_failures_by_code_flags_and_status() {
        for (told, failed) in [
            ("response_code=200 response_flags=-", false),
            ("response_code=404 response_flags=-", false),
            ("response_code=429 response_flags=RL", false),
            ("response_code=500 response_flags=-", true),
            ("response_code=503 response_flags=UF", true),
            ("response_code=0 response_flags=DC", true),
            ("response_code=200 response_flags=DC", false),
            ("response_code=200 response_flags=UC", true),
            ("response_code=200 response_flags=NFCF,UT", true),
            ("response_code=200 grpc_response_status=0", false),
            ("response_code=200 grpc_response_status=5", false),
            ("response_code=200 grpc_response_status=8", false),
            ("response_code=200 grpc_response_status=12", true),
            ("response_code=200 grpc_response_status=14", true),
        ] {
            let expected = if failed { Meaning::FAILED } else { Meaning::GOOD };
            assert_eq!(
                meaning(Form::Istio, &format!("__name__=istio_requests_total {told}")),
                Some(expected),
                "{told}"
            );
        }
        assert_eq!(meaning(Form::Istio, "__name__=istio_tcp_received_bytes_total"), None);
    }

    #[test]
    fn envoy_tells_classes_as_its_own_rules_and_istios_have_them() {
        for (told, expected) in [
            ("_xx envoy_response_code_class=2", Some(Meaning::GOOD)),
            ("_xx envoy_response_code_class=5", Some(Meaning::FAILED)),
            ("_xx envoy_response_code_class=1", None),
            (" response_code_class=4xx", Some(Meaning::GOOD)),
            (" response_code_class=5xx", Some(Meaning::FAILED)),
            // The same requests once more, by code.
            (" response_code=503", None),
            (" envoy_response_code=503", None),
            ("_total", Some(Meaning::SENT)),
            ("_retry", Some(Meaning::AGAIN)),
            ("_timeout", Some(Meaning::SLOW)),
            ("_active", None),
            ("_time_bucket le=0.5", Some(Meaning::Within(500))),
            ("_time_bucket le=+Inf", Some(Meaning::Within(INFINITE))),
            ("_time_bucket le=x", None),
            ("_time_bucket le=NaN", None),
        ] {
            assert_eq!(
                meaning(Form::Envoy, &format!("__name__=envoy_cluster_upstream_rq{told}")),
                expected,
                "{told}"
            );
        }
    }

    #[test]
    fn what_begins_anew_together_is_one_life() {
        let of = |form: Form, text: &str| {
            form.series(Arm::Stable, "a".into(), &labels(text), Vec::new())
                .expect(text)
        };
        let total = of(Form::Envoy, "__name__=envoy_cluster_upstream_rq_total cluster=x pod=a");
        let failed = of(
            Form::Envoy,
            "__name__=envoy_cluster_upstream_rq_xx envoy_response_code_class=5 cluster=x pod=a",
        );
        let other = of(Form::Envoy, "__name__=envoy_cluster_upstream_rq_total cluster=x pod=b");
        assert!(total.life == failed.life && total.name != failed.name && total.life != other.life);
        let good = of(Form::Istio, "__name__=istio_requests_total response_code=200");
        let bad = of(Form::Istio, "__name__=istio_requests_total response_code=500");
        assert_ne!(good.life, bad.life);
        let low = of(
            Form::Istio,
            "__name__=istio_request_duration_milliseconds_bucket response_code=200 le=1",
        );
        let high = of(
            Form::Istio,
            "__name__=istio_request_duration_milliseconds_bucket response_code=200 le=5",
        );
        assert!(low.life == high.life && low.name != high.name && low.life != good.life);
    }
}
