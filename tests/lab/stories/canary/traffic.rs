//! Requests to one app, at one rate, for as long as a row takes: the lab's loads are short, so one follows the other.

use std::time::{Duration, Instant};

use crate::lab::load::{Load, Report, Running};
use crate::lab::{Proxy, lab};

/// How long one load is.
const LENGTH: Duration = Duration::from_secs(110);

/// What a client sees of an app.
pub(super) struct Traffic {
    load: Load,
    running: Option<(Running, Instant)>,
    past: Vec<Report>,
}

/// What it saw.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// The first request that failed.
    pub(super) first: Option<Instant>,
    /// Answers of 500 or more, and requests without an answer.
    pub(super) harmed: usize,
}

impl Traffic {
    /// None yet; so many requests a second later, to the app in this namespace.
    pub(super) fn new(proxy: &Proxy, namespace: &str, rate: u32) -> Self {
        let load = Load::new(&format!("http://{}/", proxy.address()), rate, LENGTH);
        Self {
            load: load.host(&format!("payment.{namespace}.svc.cluster.local")),
            running: None,
            past: Vec::new(),
        }
    }

    /// Begins, and forgets what was.
    pub(super) fn start(&mut self) {
        self.stop();
        self.past.clear();
        self.running = Some((self.load.clone().start(lab().wire()), Instant::now()));
    }

    /// Goes on, where it is under way.
    pub(super) fn keep(&mut self) {
        if self
            .running
            .as_ref()
            .is_some_and(|(_, began)| began.elapsed() >= LENGTH)
        {
            self.stop();
            self.running = Some((self.load.clone().start(lab().wire()), Instant::now()));
        }
    }

    /// Ends.
    pub(super) fn stop(&mut self) {
        let ended = self.running.take();
        self.past.extend(ended.map(|(running, _)| running.stop(lab().wire())));
    }

    /// What was seen since the start.
    pub(super) fn told(&self) -> Told {
        let now = self.running.as_ref().map(|(running, _)| running.so_far());
        let all: Vec<&Report> = self.past.iter().chain(&now).collect();
        let failed = |report: &&Report| {
            let bad = report.statuses().into_iter().filter(|(status, _)| *status >= 500);
            bad.map(|(_, count)| count).sum::<usize>() + report.failures.values().sum::<usize>()
        };
        let first = all
            .iter()
            .flat_map(|report| report.first.range(500..))
            .map(|(_, at)| *at);
        Told {
            first: first.min(),
            harmed: all.iter().map(failed).sum(),
        }
    }

    /// Whether an answer comes that is no failure.
    pub(super) fn is_answered(&self) -> bool {
        let running = self.load.clone().start(lab().wire());
        let one = || running.so_far().sent() > 0;
        crate::support::until("an answer", one);
        running.stop(lab().wire()).statuses().contains_key(&200)
    }
}
