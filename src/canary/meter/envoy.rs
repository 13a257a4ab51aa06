//! The meter that reads the counters of the proxies themselves, where there is no Prometheus or it is too slow.
//!
//! Every proxy is asked for its `/stats/prometheus`; how, is told from outside. Its counters are those of the moment;
//! its histograms are as of its last flush, by default up to five seconds ago (`stats_flush_interval`).
//!
//! A proxy that does not answer has its counters where they were, and is [named](EnvoyMeter::silent). What it counted
//! until it answers again counts then; one that answers for the first time is counted from where it stands, unless it
//! came during the release.

use std::time::Duration;

use super::form::{Form, Labels};
use super::series::{Ledger, Series};
use crate::canary::router::Destination;
use crate::canary::{Arm, Meter, Reading};
use crate::failure::{Failure, Kind};
use crate::process::Clock;
use crate::remote::exposition::sample;

/// Each proxy's name, with its `/stats/prometheus` or why there is none.
pub type Scrape = Vec<(String, Result<String, Failure>)>;

/// Reads counters from proxies.
#[derive(Debug)]
pub struct EnvoyMeter<F> {
    scrape: F,
    /// Stable and the canary, whose clusters are counted.
    arms: [(Arm, Destination); 2],
    ledger: Ledger,
    clock: Clock,
    /// When it was read last, in milliseconds.
    looked: i64,
    silent: Vec<(String, Failure)>,
}

impl<F: FnMut() -> Result<Scrape, Failure>> EnvoyMeter<F> {
    /// A meter that has read nothing. Clusters are called as istiod calls them.
    pub fn new(scrape: F, stable: Destination, canary: Destination) -> Self {
        Self {
            scrape,
            arms: [(Arm::Stable, stable), (Arm::Canary, canary)],
            // All that is there is named each time: one that was not is new, however long ago the last look was.
            ledger: Ledger::new(Duration::MAX, Duration::ZERO),
            clock: Clock::start(),
            looked: 0,
            silent: Vec::new(),
        }
    }

    /// The proxies that did not answer when they were asked last, and why.
    pub fn silent(&self) -> &[(String, Failure)] {
        &self.silent
    }

    /// What one proxy showed of both clusters.
    fn series<'a>(&'a self, proxy: &'a str, text: &'a str, at: i64) -> impl Iterator<Item = Series> + 'a {
        text.lines().filter_map(move |line| {
            let sample = sample(line)?;
            let own = ["envoy_cluster_name", "cluster_name"]
                .iter()
                .find_map(|label| sample.label(label))?;
            let (arm, _) = self.arms.iter().find(|(_, arm)| arm.is_cluster(own))?;
            let value = sample.value;
            let told = sample
                .labels
                .into_iter()
                .map(|(label, value)| (label.to_owned(), value));
            let labels: Labels = told
                .chain([("__name__", sample.name), ("proxy", proxy)].map(|(l, v)| (l.to_owned(), v.to_owned())))
                .collect();
            Form::Envoy.series(*arm, proxy.to_owned(), &labels, vec![(at, value)])
        })
    }
}

impl<F: FnMut() -> Result<Scrape, Failure>> Meter for EnvoyMeter<F> {
    fn read(&mut self) -> Result<Reading, Failure> {
        let scrape = (self.scrape)()?;
        let now = i64::try_from(self.clock.elapsed().as_millis()).unwrap_or(i64::MAX);
        // No two looks are at the same time.
        let at = now.max(self.looked + 1);
        self.looked = at;
        self.silent.clear();
        let mut series = Vec::new();
        for (proxy, answer) in scrape {
            match answer {
                Ok(text) => series.extend(self.series(&proxy, &text, at)),
                Err(why) => {
                    self.ledger.silent(&proxy);
                    self.silent.push((proxy, why));
                }
            }
        }
        if series.is_empty() {
            return Err(self.nothing());
        }
        self.ledger.fold(&series);
        Ok(Reading {
            // Counters are those of the moment: what is sent at a weight that is in force by now comes later.
            lag: Duration::ZERO,
            ..self.ledger.reading()
        })
    }
}

impl<F> EnvoyMeter<F> {
    fn nothing(&mut self) -> Failure {
        let [stable, canary] = &self.arms;
        match self.silent.pop() {
            Some((proxy, why)) => {
                let others = self.silent.len();
                let kind = why.kind();
                let failure = Failure::new(kind, format!("proxy `{proxy}` does not answer")).caused_by(why);
                if others == 0 {
                    failure
                } else {
                    failure.note(format!("nor do {others} other proxies"))
                }
            }
            None => Failure::new(Kind::NoEvidence, "no proxy has requests of either arm")
                .note(format!("stable is {}, the canary {}", stable.1, canary.1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STABLE: &str = "outbound|80|stable|payment.shop.svc.cluster.local";
    const CANARY: &str = "outbound|80|canary|payment.shop.svc.cluster.local";

    /// What a proxy shows that has sent so many requests to each, of which the canary failed so many.
    fn stats(stable: u32, canary: u32, failed: u32) -> String {
        let good = canary - failed;
        format!(
            "# TYPE envoy_cluster_upstream_rq_total counter\n\
             envoy_cluster_upstream_rq_total{{envoy_cluster_name=\"{STABLE}\"}} {stable}\n\
             envoy_cluster_upstream_rq_xx{{envoy_response_code_class=\"2\",envoy_cluster_name=\"{STABLE}\"}} {stable}\n\
             envoy_cluster_upstream_rq_total{{envoy_cluster_name=\"{CANARY};\"}} {canary}\n\
             envoy_cluster_upstream_rq_xx{{envoy_response_code_class=\"2\",envoy_cluster_name=\"{CANARY};\"}} {good}\n\
             envoy_cluster_upstream_rq_xx{{envoy_response_code_class=\"5\",envoy_cluster_name=\"{CANARY};\"}} {failed}\n\
             envoy_cluster_upstream_rq_total{{envoy_cluster_name=\"xds-grpc\"}} 9\n"
        )
    }

    fn refused() -> Failure {
        Failure::new(Kind::Unreachable, "connection refused")
    }

    fn arm(subset: &str) -> Destination {
        Destination {
            host: "payment.shop.svc.cluster.local".into(),
            subset: Some(subset.into()),
        }
    }

    type Answers = Vec<(&'static str, Result<String, Failure>)>;

    /// A meter that is answered so, look by look.
    fn meter(looks: Vec<Answers>) -> EnvoyMeter<impl FnMut() -> Result<Scrape, Failure>> {
        let mut looks = looks.into_iter();
        let scrape = move || {
            let answers = looks.next().expect("a look");
            Ok(answers
                .into_iter()
                .map(|(proxy, answer)| (proxy.to_owned(), answer))
                .collect())
        };
        EnvoyMeter::new(scrape, arm("stable"), arm("canary"))
    }

    fn told<F: FnMut() -> Result<Scrape, Failure>>(meter: &mut EnvoyMeter<F>) -> [u64; 3] {
        let Reading {
            stable, canary, lag, ..
        } = meter.read().expect("a reading");
        assert_eq!(lag, Duration::ZERO);
        assert_eq!((stable.sent, canary.sent), (stable.requests, canary.requests));
        [stable.requests, canary.requests, canary.failed]
    }

    #[test]
    fn the_counters_of_all_proxies_are_summed() {
        let mut meter = meter(vec![
            vec![("a", Ok(stats(100, 0, 0))), ("b", Ok(stats(1_000, 10, 10)))],
            vec![("a", Ok(stats(190, 10, 3))), ("b", Ok(stats(1_100, 20, 14)))],
            // A new one counts from 0.
            vec![
                ("a", Ok(stats(190, 10, 3))),
                ("b", Ok(stats(1_100, 20, 14))),
                ("c", Ok(stats(9, 1, 1))),
            ],
        ]);
        assert_eq!(told(&mut meter), [0, 0, 0]);
        assert_eq!(told(&mut meter), [190, 20, 7]);
        assert_eq!(told(&mut meter), [199, 21, 8]);
        assert!(meter.silent().is_empty());
    }

    #[test]
    fn a_proxy_that_does_not_answer_is_named_and_counts_on_later() {
        let mut meter = meter(vec![
            vec![("a", Ok(stats(100, 5, 0))), ("b", Err(refused()))],
            vec![("a", Err(refused())), ("b", Ok(stats(500, 50, 50)))],
            vec![("a", Ok(stats(200, 15, 2))), ("b", Ok(stats(501, 51, 51)))],
            // Restarted.
            vec![("a", Ok(stats(40, 4, 3))), ("b", Ok(stats(501, 51, 51)))],
            vec![("a", Err(refused())), ("b", Err(refused()))],
        ]);
        assert_eq!(told(&mut meter), [0, 0, 0]);
        assert_eq!((meter.silent().len(), meter.silent()[0].0.as_str()), (1, "b"));
        // It was there before: what it shows first was not of this release.
        assert_eq!(told(&mut meter), [0, 0, 0]);
        assert_eq!(meter.silent()[0].0, "a");
        assert_eq!(told(&mut meter), [101, 11, 3]);
        assert!(meter.silent().is_empty());
        assert_eq!(told(&mut meter), [141, 15, 6]);
        let failure = meter.read().expect_err("nobody answers");
        assert_eq!(failure.kind(), Kind::Unreachable);
        assert_eq!(failure.to_string(), "proxy `b` does not answer");
        assert_eq!(failure.notes(), ["nor do 1 other proxies"]);
    }

    #[test]
    fn proxies_without_the_clusters_are_no_evidence() {
        let other = "envoy_cluster_upstream_rq_total{envoy_cluster_name=\"xds-grpc\"} 9".to_owned();
        let mut meter = meter(vec![vec![("a", Ok(other))], vec![]]);
        for _ in 0..2 {
            assert_eq!(meter.read().expect_err("none").kind(), Kind::NoEvidence);
        }
    }
}
