//! Load from inside: open loop, so that a slow service does not get fewer requests, over real connections to the proxy.
//!
//! Arrivals are a schedule that is drawn without looking at answers. A request that finds the limit of open requests
//! reached is not sent and counted as such; nothing is sent later to make up for it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::Uri;
use hyper::body::Bytes;
use hyper::http::uri::{PathAndQuery, Scheme};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::proxy::{authority, client};

/// How requests follow one another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arrivals {
    /// At random and independent of one another, as those of many users are.
    #[default]
    Poisson,
    /// Evenly spaced.
    Steady,
}

/// What the clients saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Requests sent.
    pub sent: u64,
    /// Answers, by status.
    pub by_status: BTreeMap<u16, u64>,
    /// No connection, an answer that broke off, or none in time.
    pub unanswered: u64,
    /// Arrivals that found the limit of open requests reached and were not sent.
    pub not_sent: u64,
}

impl Served {
    /// Answers that are not 5xx.
    pub fn well(&self) -> u64 {
        self.by_status.range(..500).map(|(_, n)| n).sum()
    }

    /// 5xx answers and requests without one.
    pub fn failed(&self) -> u64 {
        self.by_status.range(500..).map(|(_, n)| n).sum::<u64>() + self.unanswered
    }

    /// Sent, and neither answered nor given up.
    pub fn outstanding(&self) -> u64 {
        self.sent - self.well() - self.failed()
    }
}

/// What load to make.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) to: SocketAddr,
    pub(super) path: PathAndQuery,
    /// Requests per second.
    pub(super) rate: f64,
    pub(super) arrivals: Arrivals,
    pub(super) most_open: usize,
    /// After this a client gives up.
    pub(super) patience: Duration,
    pub(super) seed: u64,
}

/// Load that runs until it is stopped.
#[derive(Debug)]
pub(super) struct Load {
    served: Arc<Ledger>,
    stop: watch::Sender<bool>,
    task: AbortHandle,
}

#[derive(Debug, Default)]
struct Ledger(Mutex<Served>);

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, Served> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request under way; dropped without an answer it is unanswered.
struct Open {
    served: Arc<Ledger>,
    status: Option<u16>,
}

impl Open {
    fn new(served: &Arc<Ledger>) -> Self {
        served.lock().sent += 1;
        Self {
            served: Arc::clone(served),
            status: None,
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut served = self.served.lock();
        match self.status {
            Some(status) => *served.by_status.entry(status).or_default() += 1,
            None => served.unanswered += 1,
        }
    }
}

impl Load {
    /// Starts it, on the runtime that it is called in.
    pub(super) fn start(plan: Plan) -> Self {
        let served = Arc::new(Ledger::default());
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(run(plan, Arc::clone(&served), stopped)).abort_handle();
        Self { served, stop, task }
    }

    /// What the clients saw so far.
    pub(super) fn served(&self) -> Served {
        self.served.lock().clone()
    }

    /// Sends no more requests.
    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(plan: Plan, served: Arc<Ledger>, mut stopped: watch::Receiver<bool>) {
    let client: Client<HttpConnector, Empty<Bytes>> = client(plan.patience);
    let permits = Arc::new(Semaphore::new(plan.most_open));
    let uri = uri(&plan);
    let mut gaps = Gaps::new(&plan);
    let mut due = Instant::now();
    loop {
        due += gaps.next();
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => return,
            () = sleep_until(due) => (),
        }
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
            served.lock().not_sent += 1;
            continue;
        };
        let (client, uri, open, patience) = (client.clone(), uri.clone(), Open::new(&served), plan.patience);
        tokio::spawn(async move {
            request(client, uri, open, patience).await;
            drop(permit);
        });
    }
}

fn uri(plan: &Plan) -> Uri {
    let mut parts = hyper::http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(authority(plan.to));
    parts.path_and_query = Some(plan.path.clone());
    // Scheme, authority and path are all there, which is all that `from_parts` asks for.
    Uri::from_parts(parts).unwrap_or_default()
}

async fn request(client: Client<HttpConnector, Empty<Bytes>>, uri: Uri, mut open: Open, patience: Duration) {
    let answer = async {
        let response = client.get(uri).await.ok()?;
        let status = response.status().as_u16();
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            frame.ok()?;
        }
        Some(status)
    };
    open.status = timeout(patience, answer).await.ok().flatten();
}

/// The times between arrivals.
struct Gaps {
    mean: f64,
    arrivals: Arrivals,
    dice: StdRng,
}

impl Gaps {
    fn new(plan: &Plan) -> Self {
        Self {
            mean: 1.0 / plan.rate,
            arrivals: plan.arrivals,
            dice: StdRng::seed_from_u64(plan.seed),
        }
    }

    fn next(&mut self) -> Duration {
        let factor = match self.arrivals {
            Arrivals::Steady => 1.0,
            // 1 - u is in (0, 1], so that the logarithm is finite.
            Arrivals::Poisson => -(1.0 - self.dice.random::<f64>()).ln(),
        };
        Duration::from_secs_f64(self.mean * factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(arrivals: Arrivals) -> Vec<f64> {
        let mut gaps = Gaps {
            mean: 0.05,
            arrivals,
            dice: StdRng::seed_from_u64(5),
        };
        (0..10_000).map(|_| gaps.next().as_secs_f64()).collect()
    }

    #[test]
    fn poisson_arrivals_have_the_mean_and_the_spread_of_an_exponential() {
        let gaps = gaps(Arrivals::Poisson);
        let mean = gaps.iter().sum::<f64>() / 10_000.0;
        // 4 sigma of the mean are 0.05 * 4 / 100.
        assert!((mean - 0.05).abs() < 0.002, "{mean}");
        let above = gaps.iter().filter(|g| **g > 0.05).count();
        // exp(-1) = 36.8 %, 4 sigma are 193.
        assert!((3486..=3872).contains(&above), "{above}");
    }

    #[test]
    fn steady_arrivals_are_even() {
        assert!(gaps(Arrivals::Steady).iter().all(|g| (g - 0.05).abs() < 1e-9));
    }

    #[test]
    fn statuses_add_up() {
        let served = Served {
            sent: 10,
            by_status: [(200, 5), (404, 1), (500, 1), (504, 1)].into(),
            unanswered: 1,
            not_sent: 3,
        };
        assert_eq!((served.well(), served.failed(), served.outstanding()), (6, 3, 1));
    }
}
