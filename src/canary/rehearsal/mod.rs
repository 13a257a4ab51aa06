//! The world of a rehearsal: two upstreams, a weighted proxy before them, load through the proxy, and the faults.
//!
//! It is real but small: programs or built-in servers, real connections, all on 127.0.0.1. It owns its runtime and its
//! clock, and is used from a plain thread. It must not know a plan, a judge or a journal: it says what happened.

mod backend;
pub mod build;
mod busy;
mod fault;
mod load;
mod proxy;
mod server;
mod split;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::http::uri::PathAndQuery;
use tokio::runtime::Runtime;

use super::{Arm, Meter, Metered, Reading, Router, Seen};
use crate::config::units::Weight;
use crate::failure::{Failure, Kind};
use crate::process::Interrupt;
use crate::process::service::{Service, ServiceRequest};
use backend::Backend;
use busy::Busy;
use fault::Layer;
use load::{Load, Plan};
use proxy::Proxy;
use server::Server;
use split::Split;

pub use fault::{Fault, Faults};
pub use load::{Arrivals, Served};
pub use split::Snapshot;

/// Threads of the runtime: one machine runs the whole world, and two cores are what there is.
const WORKERS: usize = 2;

/// At most so many requests are open at once. Each takes up to four sockets of this process, and 1 024 files is a common
/// limit.
const MOST_OPEN: usize = 200;

/// A client waits so much longer than the proxy, so that it gets the proxy's 504.
const CLIENT_SLACK: Duration = Duration::from_secs(2);

/// How often a state is looked at.
const PULSE: Duration = Duration::from_millis(5);

/// The clock of this world.
#[expect(
    clippy::disallowed_methods,
    reason = "the rehearsal makes its world, and owns its clock"
)]
fn now() -> Instant {
    Instant::now()
}

/// What serves as one arm.
#[derive(Clone, Debug)]
pub enum Upstream {
    /// A server in the process that answers 200.
    BuiltIn,
    /// A program.
    Program(Box<ServiceRequest>),
}

/// What world to make.
#[derive(Clone, Debug)]
pub struct WorldRequest {
    /// What serves today.
    pub stable: Upstream,
    /// What is tried.
    pub canary: Upstream,
    /// How the canary is broken.
    pub faults: Faults,
    /// Requests per second, over both arms.
    pub rate: f64,
    /// How they follow one another.
    pub arrivals: Arrivals,
    /// What they ask for: `/`, or a path with a query.
    pub path: String,
    /// A request that is not answered to the last byte after this has failed.
    pub deadline: Duration,
    /// The seed of every dice in the world.
    pub seed: u64,
}

/// A world that runs. Dropped, all of it ends at once; `end` lets open requests end first.
#[derive(Debug)]
pub struct World {
    split: Arc<Split>,
    start: Instant,
    deadline: Duration,
    proxy: Server,
    load: Load,
    stable: Arc<Running>,
    canary: Arc<Running>,
    runtime: Option<Runtime>,
}

impl World {
    /// Starts both upstreams, the proxy (all to stable) and the load. An interrupt ends the wait for a program that is not ready.
    pub fn start(request: &WorldRequest, interrupt: &Interrupt) -> Result<Self, Failure> {
        let path = request_path(&request.path)?;
        if !(request.rate > 0.0 && request.rate <= 10_000.0) {
            let message = format!("{} requests a second cannot be made", request.rate);
            return Err(Failure::new(Kind::Usage, message).hint("a rate above 0 and up to 10 000"));
        }
        let runtime = runtime()?;
        let stable = Arc::new(Running::start(Arm::Stable, &request.stable, &runtime, interrupt)?);
        let canary = Arc::new(Running::start(Arm::Canary, &request.canary, &runtime, interrupt)?);
        let split = Arc::new(Split::new(request.seed));
        let victim = Arc::clone(&canary);
        let proxy = Proxy::new(
            Arc::clone(&split),
            (stable.address, canary.address),
            Layer::new(request.faults.clone(), request.seed.wrapping_add(1)),
            Box::new(move || victim.kill()),
            request.deadline,
        );
        let proxy = runtime.block_on(Server::start(proxy))?;
        let plan = Plan {
            to: proxy.address(),
            path,
            rate: request.rate,
            arrivals: request.arrivals,
            most_open: MOST_OPEN,
            patience: request.deadline + CLIENT_SLACK,
            seed: request.seed.wrapping_add(2),
        };
        let start = now();
        let load = runtime.block_on(async { Load::start(plan) });
        Ok(Self {
            split,
            start,
            deadline: request.deadline,
            proxy,
            load,
            stable,
            canary,
            runtime: Some(runtime),
        })
    }

    /// The proxy's address, for who wants to send requests of their own.
    pub const fn address(&self) -> SocketAddr {
        self.proxy.address()
    }

    /// The handle that reads and writes weights.
    pub fn router(&self) -> Switch {
        Switch(Arc::clone(&self.split))
    }

    /// The handle that reads counters.
    pub fn meter(&self) -> Gauge {
        Gauge {
            split: Arc::clone(&self.split),
            start: self.start,
            busy: Busy::default(),
        }
    }

    /// Whether what serves as this arm still runs.
    pub fn is_alive(&self, arm: Arm) -> bool {
        match arm {
            Arm::Stable => self.stable.is_alive(),
            Arm::Canary => self.canary.is_alive(),
        }
    }

    /// What the clients saw so far.
    pub fn served(&self) -> Served {
        self.load.served()
    }

    /// Stops the load, lets open requests end, stops both programs and everything else. What the clients saw in all.
    pub fn end(self) -> Served {
        self.load.stop();
        let until = now() + self.deadline + CLIENT_SLACK;
        while self.served().outstanding() > 0 && now() < until {
            std::thread::sleep(PULSE);
        }
        let served = self.served();
        self.canary.stop();
        self.stable.stop();
        served
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.canary.kill();
        self.stable.kill();
        if let Some(runtime) = self.runtime.take() {
            // Nothing in it blocks; this is a bound, not a wait.
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}

fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("rehearsal")
        .enable_all()
        .build()
        .map_err(|e| Failure::new(Kind::Io, "cannot start the threads of the rehearsal").caused_by(e))
}

fn request_path(text: &str) -> Result<PathAndQuery, Failure> {
    let bad =
        || Failure::new(Kind::Usage, format!("`{text}` is no path of a request")).hint("such as /v1/payments?id=7");
    if !text.starts_with('/') {
        return Err(bad());
    }
    PathAndQuery::try_from(text).map_err(|e| bad().caused_by(e))
}

/// Reads and writes the weight of the proxy.
#[derive(Clone, Debug)]
pub struct Switch(Arc<Split>);

impl Router for Switch {
    /// In force for every request that is assigned after this returned; it cannot fail.
    fn write(&mut self, canary: Weight) -> Result<(), Failure> {
        self.0.write(canary);
        Ok(())
    }

    fn read(&mut self) -> Result<Seen, Failure> {
        Ok(Seen::InForce(self.0.read()))
    }
}

/// Reads the counters of the proxy.
#[derive(Clone, Debug)]
pub struct Gauge {
    split: Arc<Split>,
    start: Instant,
    busy: Busy,
}

impl Gauge {
    /// What was sent, ended and is open, of both arms at one instant.
    pub fn snapshot(&self) -> Snapshot {
        self.split.snapshot()
    }
}

impl Meter for Gauge {
    fn read(&mut self) -> Result<Reading, Failure> {
        let Snapshot { at, stable, canary } = self.snapshot();
        Ok(Reading {
            at: at.saturating_duration_since(self.start),
            stable,
            canary,
            metrics: Metered::new(),
            latencies: !self.busy.look(at),
            lag: Duration::ZERO,
            instead: None,
        })
    }
}

/// What serves as one arm, until it is stopped or killed.
#[derive(Debug)]
struct Running {
    address: SocketAddr,
    state: Mutex<Option<Process>>,
}

#[derive(Debug)]
enum Process {
    BuiltIn(Server),
    Program(Service),
}

impl Running {
    fn start(arm: Arm, upstream: &Upstream, runtime: &Runtime, interrupt: &Interrupt) -> Result<Self, Failure> {
        let process = match upstream {
            Upstream::BuiltIn => Process::BuiltIn(runtime.block_on(Server::start(Backend(arm)))?),
            Upstream::Program(request) => Process::Program(Service::start(request, interrupt)?),
        };
        let address = match &process {
            Process::BuiltIn(server) => server.address(),
            Process::Program(service) => service.http(),
        };
        Ok(Self {
            address,
            state: Mutex::new(Some(process)),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Process>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_alive(&self) -> bool {
        match &*self.lock() {
            None => false,
            Some(Process::BuiltIn(_)) => true,
            Some(Process::Program(service)) => service.is_alive(),
        }
    }

    /// It dies as in a crash, and this does not wait for it.
    fn kill(&self) {
        let mut state = self.lock();
        match &*state {
            Some(Process::Program(service)) => service.kill(),
            _ => *state = None,
        }
    }

    /// It ends as when it is asked to.
    fn stop(&self) {
        if let Some(Process::Program(service)) = self.lock().take() {
            service.stop();
        }
    }
}

#[cfg(test)]
mod tests;
