//! Rate, errors, duration: what one scrape of a service's Prometheus metrics says about its requests since its start.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::remote::exposition::{Sample, sample};
use crate::remote::http::{Answer, NoAnswer};

/// The counter of what `msctl new` scaffolds.
const TOTAL: &str = "http_server_requests_total";

/// The histogram of the OpenTelemetry conventions; it counts too, where there is no counter.
const FAMILY: &str = "http_server_request_duration_seconds";

/// The labels under which the HTTP status is found.
const STATUS: [&str; 4] = ["http_response_status_code", "status_code", "code", "status"];

/// The requests since the service started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Red {
    /// Requests that were answered.
    pub requests: u64,
    /// Of them with a 5xx; absent when no series carries a status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<u64>,
    /// 99 of 100 took at most so many seconds: the edge of a bucket, not a value between edges. Absent without requests,
    /// and when it lies above the last edge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_seconds: Option<f64>,
}

/// The figures, or why there are none.
pub(super) fn read(answer: &Result<Answer, NoAnswer>, deadline: Duration) -> Result<Red, String> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(NoAnswer::NoConnection(why) | NoAnswer::Broken(why)) => return Err(why.clone()),
        Err(NoAnswer::TimedOut) => return Err(format!("no whole answer within {} s", deadline.as_secs_f64())),
    };
    match answer.status {
        200 if answer.cut => Err("too much to read".to_owned()),
        200 => parse(&String::from_utf8_lossy(&answer.body))
            .ok_or_else(|| format!("neither {TOTAL} nor {FAMILY} is there")),
        status => Err(format!("answers {status}")),
    }
}

fn parse(text: &str) -> Option<Red> {
    let (mut total, mut counted) = (None, None);
    let mut buckets: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
    for sample in text.lines().filter_map(sample) {
        if sample.name == TOTAL {
            add(&mut total, &sample);
        }
        match sample.name.strip_prefix(FAMILY) {
            Some("_count") => add(&mut counted, &sample),
            Some("_bucket") => {
                let edge = sample.label("le").and_then(|le| le.parse::<f64>().ok());
                if let Some(edge) = edge.filter(|e| *e >= 0.0) {
                    // The bits of numbers that are not negative are in the order of the numbers.
                    buckets.entry(edge.to_bits()).or_insert((edge, 0.0)).1 += sample.value;
                }
            }
            _ => (),
        }
    }
    let mut red = total.or(counted)?;
    red.p99_seconds = p99(buckets.into_values().collect::<Vec<_>>().as_slice());
    Some(red)
}

fn add(to: &mut Option<Red>, sample: &Sample<'_>) {
    let red = to.get_or_insert_default();
    red.requests += whole(sample.value);
    if let Some(status) = STATUS.iter().find_map(|name| sample.label(name)) {
        let failed = if status.starts_with('5') {
            whole(sample.value)
        } else {
            0
        };
        *red.failed.get_or_insert(0) += failed;
    }
}

/// The lowest edge below which 99 of 100 lie; buckets are cumulative, and the last one holds all.
fn p99(buckets: &[(f64, f64)]) -> Option<f64> {
    let (_, all) = buckets.last().filter(|(_, all)| *all > 0.0)?;
    let (edge, _) = buckets.iter().find(|(_, below)| *below >= 0.99 * all)?;
    edge.is_finite().then_some(*edge)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a counter; `as` saturates"
)]
fn whole(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: &str = r#"# HELP http_server_request_duration_seconds Duration of HTTP server requests.
# TYPE http_server_request_duration_seconds histogram
http_server_request_duration_seconds_bucket{http_response_status_code="200",http_route="/a",le="0.005"} 980
http_server_request_duration_seconds_bucket{http_response_status_code="200",http_route="/a",le="0.025"} 985
http_server_request_duration_seconds_bucket{http_response_status_code="200",http_route="/a",le="+Inf"} 990
http_server_request_duration_seconds_sum{http_response_status_code="200",http_route="/a"} 2.5
http_server_request_duration_seconds_count{http_response_status_code="200",http_route="/a"} 990
http_server_request_duration_seconds_bucket{http_response_status_code="503",http_route="/\"},{",le="0.005"} 2
http_server_request_duration_seconds_bucket{http_response_status_code="503",http_route="/\"},{",le="0.025"} 8
http_server_request_duration_seconds_bucket{http_response_status_code="503",http_route="/\"},{",le="+Inf"} 10
http_server_request_duration_seconds_count{http_response_status_code="503",http_route="/\"},{"} 10 1732550400000
http_server_request_duration_seconds_countless 77
go_goroutines 7
"#;

    #[test]
    fn totals_errors_and_p99_are_read_over_all_series() {
        let red = Red {
            requests: 1000,
            failed: Some(10),
            p99_seconds: Some(0.025),
        };
        assert_eq!(parse(METRICS), Some(red));
    }

    #[test]
    fn the_counter_of_a_scaffolded_service_is_read_with_its_histogram() {
        let text = "http_server_requests_total{code=\"200\",method=\"GET\",route=\"/a\"} 90\n\
                    http_server_requests_total{code=\"500\",method=\"GET\",route=\"/a\"} 10\n\
                    http_server_request_duration_seconds_bucket{method=\"GET\",route=\"/a\",le=\"0.1\"} 100\n\
                    http_server_request_duration_seconds_bucket{method=\"GET\",route=\"/a\",le=\"+Inf\"} 100\n\
                    http_server_request_duration_seconds_count{method=\"GET\",route=\"/a\"} 100\n";
        let red = Red {
            requests: 100,
            failed: Some(10),
            p99_seconds: Some(0.1),
        };
        assert_eq!(parse(text), Some(red));
    }

    #[test]
    fn what_is_not_there_is_not_made_up() {
        assert_eq!(parse("go_goroutines 7\n"), None);
        assert_eq!(
            parse("http_server_request_duration_seconds_count{le=\"unclosed} 7\n{} 1\nx{a=\"b\"\n\0"),
            None
        );
        let bare = parse("http_server_request_duration_seconds_count 0\n").expect("a family");
        assert_eq!((bare.requests, bare.failed, bare.p99_seconds), (0, None, None));
        let slow = "http_server_request_duration_seconds_count 2\n\
                    http_server_request_duration_seconds_bucket{le=\"1\"} 0\n\
                    http_server_request_duration_seconds_bucket{le=\"+Inf\"} 2\n";
        assert_eq!(parse(slow).expect("a family").p99_seconds, None, "above the last edge");
    }
}
