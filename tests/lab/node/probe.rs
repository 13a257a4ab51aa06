//! The probes of a container, over HTTP and TCP, with a kubelet's defaults.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::Value;
use tokio::net::TcpStream;

use super::text;

/// What a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Startup,
    Readiness,
    Liveness,
}

pub(super) struct Probe {
    pub(super) kind: Kind,
    how: How,
    delay: Duration,
    period: Duration,
    timeout: Duration,
    needed: u64,
    allowed: u64,
    next: Instant,
    /// When the last failure began to count.
    counted: Instant,
    successes: u64,
    failures: u64,
    passed: bool,
    client: Client,
}

enum How {
    Http {
        port: u64,
        path: String,
    },
    Tcp {
        port: u64,
    },
    /// One that the lab does not know: it never passes, rather than always.
    Other,
}

impl Probe {
    pub(super) fn new(kind: Kind, spec: &Value, ports: &Value) -> Option<Self> {
        spec.as_object()?;
        let number = |key: &str, default: u64| spec[key].as_u64().unwrap_or(default);
        let port = |port: &Value| {
            let named = ports.as_array().into_iter().flatten().find(|p| p["name"] == *port);
            port.as_u64().or_else(|| named?["containerPort"].as_u64())
        };
        let (http, tcp) = (&spec["httpGet"], &spec["tcpSocket"]);
        let how = if let Some(port) = port(&http["port"]) {
            let path = text(&http["path"]);
            How::Http { port, path }
        } else if let Some(port) = port(&tcp["port"]) {
            How::Tcp { port }
        } else {
            How::Other
        };
        let mut probe = Self {
            kind,
            how,
            delay: Duration::from_secs(number("initialDelaySeconds", 0)),
            period: Duration::from_secs(number("periodSeconds", 10)),
            timeout: Duration::from_secs(number("timeoutSeconds", 1)),
            needed: number("successThreshold", 1),
            allowed: number("failureThreshold", 3),
            next: Instant::now(),
            counted: Instant::now(),
            successes: 0,
            failures: 0,
            passed: false,
            client: Client::builder().no_proxy().build().ok()?,
        };
        probe.reset();
        Some(probe)
    }

    /// The container was started anew.
    pub(super) fn reset(&mut self) {
        self.next = Instant::now() + self.delay;
        self.counted = self.next;
        (self.successes, self.failures) = (0, 0);
        self.passed = self.kind == Kind::Liveness;
    }

    /// Whether its container is what it asks for.
    pub(super) const fn passed(&self) -> bool {
        self.passed
    }

    /// Whether it has failed as often as is allowed.
    pub(super) const fn failed(&self) -> bool {
        self.failures >= self.allowed
    }

    /// Asks, if it is time to.
    pub(super) async fn run(&mut self, address: Ipv4Addr) {
        let over = self.kind == Kind::Startup && self.passed;
        if over || Instant::now() < self.next {
            return;
        }
        // A kubelet also asks a pod that is not ready yet more often than its period says.
        let period = if self.passed {
            self.period
        } else {
            self.period.min(Duration::from_millis(250))
        };
        self.next = Instant::now() + period;
        if self.ask(address).await {
            (self.successes, self.failures) = (self.successes + 1, 0);
            self.passed |= self.successes >= self.needed;
        } else {
            self.successes = 0;
            // However often it is asked, a period has one failure.
            if self.counted.elapsed() >= self.period {
                (self.failures, self.counted) = (self.failures + 1, Instant::now());
            }
            self.passed &= !self.failed();
        }
    }

    async fn ask(&self, address: Ipv4Addr) -> bool {
        match &self.how {
            How::Other => false,
            How::Tcp { port } => {
                let connect = TcpStream::connect((address, u16::try_from(*port).unwrap_or(0)));
                tokio::time::timeout(self.timeout, connect)
                    .await
                    .is_ok_and(|c| c.is_ok())
            }
            How::Http { port, path } => {
                let request = self
                    .client
                    .get(format!("http://{address}:{port}{path}"))
                    .timeout(self.timeout);
                request
                    .send()
                    .await
                    .is_ok_and(|a| (200..400).contains(&a.status().as_u16()))
            }
        }
    }
}
