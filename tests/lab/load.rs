//! An open-loop load: requests begin at the times of a fixed schedule, whatever became of those before, and their
//! latency counts from there, so that a slow backend cannot slow down the questions. It knows nothing of who answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, redirect, retry};
use tokio::sync::{Semaphore, watch};

use super::wire::{Wire, said};

/// The highest rate, in requests a second: the two cores are shared with what answers, and an unoptimised build of this
/// takes most of one for it. Where it falls behind, latencies say so, and requests are skipped.
pub(crate) const FASTEST: u32 = 2_000;

/// The longest load.
pub(crate) const LONGEST: Duration = Duration::from_mins(2);

/// Requests to be sent: GET, over HTTP/1.1.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    url: String,
    headers: HeaderMap,
    by: HeaderName,
    rate: u32,
    length: Duration,
    timeout: Duration,
    in_flight: u32,
}

/// What became of the requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// By the value of the header that says who answered (empty where there is none) and the status.
    pub(crate) answers: BTreeMap<(String, u16), usize>,
    /// Sent and not answered, by the reason.
    pub(crate) failures: BTreeMap<String, usize>,
    /// Not sent when it was their time, for as many as are allowed were in flight.
    pub(crate) skipped: usize,
    /// Of the requests that were answered, in the order of the answers.
    pub(crate) latencies: Vec<Duration>,
    /// When each status was answered first.
    pub(crate) first: BTreeMap<u16, Instant>,
}

/// A load that is under way. Dropped, it sends no more.
pub(crate) struct Running {
    report: Arc<Mutex<Report>>,
    stop: watch::Sender<bool>,
}

impl Load {
    /// So many requests a second, for so long. Who answered is told by `x-pod`; a request may take ten seconds; 512
    /// may be in flight.
    ///
    /// # Panics
    /// Where it is faster or longer than what is allowed.
    pub(crate) fn new(url: &str, rate: u32, length: Duration) -> Self {
        assert!((1..=FASTEST).contains(&rate), "{rate} requests a second");
        assert!(length <= LONGEST, "{length:?} of load");
        Self {
            url: url.to_owned(),
            headers: HeaderMap::new(),
            by: HeaderName::from_static("x-pod"),
            rate,
            length,
            timeout: Duration::from_secs(10),
            in_flight: 512,
        }
    }

    /// For this host, wherever the address leads.
    #[must_use]
    pub(crate) fn host(self, host: &str) -> Self {
        self.header(HOST, host)
    }

    /// With this header on every request.
    #[must_use]
    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("a header's value");
        self.headers.insert(name, value);
        self
    }

    /// Who answered is told by this header.
    #[must_use]
    pub(crate) fn by(self, header: HeaderName) -> Self {
        Self { by: header, ..self }
    }

    /// A request that takes longer is a failure.
    #[must_use]
    pub(crate) fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// At most so many requests at the same time.
    #[must_use]
    pub(crate) fn in_flight(self, in_flight: u32) -> Self {
        Self { in_flight, ..self }
    }

    /// Sends them, and waits for all answers.
    pub(crate) fn run(self, wire: &Wire) -> Report {
        let running = self.start(wire);
        let stop = running.stop.clone();
        wire.run(async move { stop.closed().await });
        running.so_far()
    }

    /// Begins to send them.
    pub(crate) fn start(self, wire: &Wire) -> Running {
        let report = Arc::new(Mutex::new(Report::default()));
        let (stop, stopped) = watch::channel(false);
        wire.spawn(self.send(Arc::clone(&report), stopped));
        Running { report, stop }
    }

    async fn send(self, report: Arc<Mutex<Report>>, mut stopped: watch::Receiver<bool>) {
        let client = Client::builder()
            .no_proxy()
            .timeout(self.timeout)
            // An answer is counted once, as it came.
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .build();
        let (client, load) = (client.expect("a client"), Arc::new(self));
        let room = Arc::new(Semaphore::new(load.in_flight as usize));
        let began = Instant::now();
        for number in 0.. {
            let after = Duration::from_secs(number) / load.rate;
            if after >= load.length {
                break;
            }
            let due = began + after;
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stop| *stop) => break,
                () = tokio::time::sleep_until(due.into()) => {}
            }
            let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
                of(&report).skipped += 1;
                continue;
            };
            let (client, load, report) = (client.clone(), Arc::clone(&load), Arc::clone(&report));
            tokio::spawn(async move {
                let answer = load.ask(&client).await;
                of(&report).take(answer, due.elapsed());
                drop(permit);
            });
        }
        // All of the room is free once every request has ended.
        _ = room.acquire_many(load.in_flight).await;
    }

    /// Who answers, and the status.
    async fn ask(&self, client: &Client) -> Result<(String, u16), String> {
        let request = client.get(&self.url).headers(self.headers.clone());
        let answer = request.send().await.map_err(|e| said(&e.without_url()))?;
        let by = answer.headers().get(&self.by).and_then(|value| value.to_str().ok());
        let told = (by.unwrap_or_default().to_owned(), answer.status().as_u16());
        answer.bytes().await.map_err(|e| said(&e.without_url()))?;
        Ok(told)
    }
}

impl Running {
    /// What is known by now.
    pub(crate) fn so_far(&self) -> Report {
        of(&self.report).clone()
    }

    /// Sends no more, and waits for the answers to what was sent.
    pub(crate) fn stop(self, wire: &Wire) -> Report {
        self.stop.send_replace(true);
        let stop = self.stop.clone();
        wire.run(async move { stop.closed().await });
        self.so_far()
    }
}

impl Report {
    fn take(&mut self, answer: Result<(String, u16), String>, took: Duration) {
        match answer {
            Ok(told) => {
                self.first.entry(told.1).or_insert_with(Instant::now);
                *self.answers.entry(told).or_default() += 1;
                self.latencies.push(took);
            }
            Err(why) => *self.failures.entry(why).or_default() += 1,
        }
    }

    /// Requests that were sent.
    pub(crate) fn sent(&self) -> usize {
        self.answers.values().chain(self.failures.values()).sum()
    }

    /// Answers by status.
    pub(crate) fn statuses(&self) -> BTreeMap<u16, usize> {
        self.sums(|(_, status)| *status)
    }

    /// Answers by who gave them.
    pub(crate) fn answered(&self) -> BTreeMap<String, usize> {
        self.sums(|(by, _)| by.clone())
    }

    fn sums<K: Ord>(&self, key: impl Fn(&(String, u16)) -> K) -> BTreeMap<K, usize> {
        let mut sums = BTreeMap::new();
        for (answer, count) in &self.answers {
            *sums.entry(key(answer)).or_default() += count;
        }
        sums
    }

    /// The nearest-rank quantile of the latencies, in thousandths: `quantile(990)` is what 99 % of them do not
    /// exceed. Zero where there is no answer.
    pub(crate) fn quantile(&self, thousandths: usize) -> Duration {
        let mut latencies = self.latencies.clone();
        latencies.sort_unstable();
        let rank = (latencies.len() * thousandths).div_ceil(1_000);
        latencies.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

fn of(report: &Mutex<Report>) -> std::sync::MutexGuard<'_, Report> {
    report.lock().unwrap_or_else(PoisonError::into_inner)
}
