//! The lab: what live clusters run, as plain processes in namespaces of its own. One for each test process, its parts started
//! when the first test asks for them; each test takes a Kubernetes namespace of its own.
//!
//! `tests/run lab up` starts the same lab for a person: see `docs/testing.md`.

#[cfg(test)]
mod anchors;
mod control_plane;
mod fault;
mod ground;
pub(crate) mod load;
mod mesh;
mod node;
pub(crate) mod part;
mod pki;
mod prometheus;
mod remote_write;
mod servers;
#[cfg(test)]
mod stories;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_backtest;
#[cfg(test)]
mod tests_meter;
#[cfg(test)]
mod tests_streams;
#[cfg(test)]
mod tests_traffic;
mod wire;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::json;

#[cfg(test)]
pub(crate) use anchors::{argo_rollouts, flagger};
pub(crate) use control_plane::{ControlPlane, User};
pub(crate) use fault::{Link, small_disk};
pub(crate) use ground::Ground;
#[cfg(test)]
pub(crate) use mesh::define;
pub(crate) use mesh::{ALL, Mesh, Place, Proxy, Weights, route_of_rule};
pub(crate) use node::{Node, Program};
pub(crate) use part::Part;
pub(crate) use prometheus::Prometheus;
pub(crate) use servers::{Kind, Server};
pub(crate) use wire::Wire;

/// Every part there is, none of which is started before it is asked for.
pub(crate) struct Lab {
    ground: Ground,
    wire: Wire,
    control_plane: OnceLock<Result<ControlPlane, String>>,
    node: OnceLock<Node>,
    mesh: OnceLock<Result<Mesh, String>>,
    servers: [OnceLock<Result<Server, String>>; Kind::ALL.len()],
    /// Namespaces and proxies so far: each has a number of its own.
    given: AtomicU16,
}

/// This process' lab.
///
/// # Panics
/// Fails the test where a lab cannot be: no test is skipped in silence.
pub(crate) fn lab() -> &'static Lab {
    static LAB: OnceLock<Result<Lab, String>> = OnceLock::new();
    LAB.get_or_init(Lab::new).as_ref().unwrap_or_else(|why| panic!("{why}"))
}

impl Lab {
    /// A lab without parts.
    pub(crate) fn new() -> Result<Self, String> {
        let ground = Ground::new()?;
        let wire = Wire::new(ground.door());
        Ok(Self {
            ground,
            wire,
            control_plane: OnceLock::new(),
            node: OnceLock::new(),
            mesh: OnceLock::new(),
            servers: std::array::from_fn(|_| OnceLock::new()),
            given: AtomicU16::new(0),
        })
    }

    /// Where it stands.
    pub(crate) const fn ground(&self) -> &Ground {
        &self.ground
    }

    /// etcd, API server, controllers, scheduler.
    pub(crate) fn control_plane(&self) -> &ControlPlane {
        let start = || ControlPlane::start(&self.ground, &self.wire);
        started(self.control_plane.get_or_init(start))
    }

    /// The node on which pods run.
    pub(crate) fn node(&self) -> &Node {
        let plane = self.control_plane();
        self.node.get_or_init(|| {
            let api = plane.api(User::Admin);
            Node::start(&self.wire, api, &plane.pki, &self.ground)
        })
    }

    /// istiod, and what it needs.
    pub(crate) fn mesh(&self) -> &Mesh {
        let plane = self.control_plane();
        let start = || Mesh::start(&self.ground, &self.wire, plane);
        started(self.mesh.get_or_init(start))
    }

    /// An Envoy in this namespace, beside a client for services that listen on `port`, or as a gateway whose Service does.
    pub(crate) fn envoy(&self, place: Place<'_>, namespace: &str, port: u16) -> Proxy {
        self.mesh();
        let number = self.given.fetch_add(1, Ordering::Relaxed) + 1;
        let api = self.control_plane().api(User::Admin);
        let proxy = Proxy::start(&self.ground, &self.wire, &api, place, namespace, number, port);
        proxy.unwrap_or_else(|why| panic!("the lab does not stand: {why}"))
    }

    /// An Envoy beside a client in this namespace, for requests to services that listen on `port`.
    pub(crate) fn proxy(&self, namespace: &str, port: u16) -> Proxy {
        self.envoy(Place::Client, namespace, port)
    }

    /// A Kubernetes namespace that no other test has: `shop-3`.
    pub(crate) fn namespace(&self, name: &str) -> String {
        let number = self.given.fetch_add(1, Ordering::Relaxed) + 1;
        let name = format!("{name}-{number}");
        let api = self.control_plane().api(User::Admin);
        api.post("/api/v1/namespaces", &json!({"metadata": {"name": name}}))
            .ok();
        name
    }

    /// One of the servers that services lean on.
    pub(crate) fn server(&self, kind: Kind) -> &Server {
        let start = || {
            let server = kind.start(&self.ground, &self.wire);
            server.map_err(|why| format!("{}: {why}", kind.name()))
        };
        started(self.servers[kind as usize].get_or_init(start))
    }

    /// Clients in the lab's network.
    pub(crate) const fn wire(&self) -> &Wire {
        &self.wire
    }
}

fn started<T>(part: &Result<T, String>) -> &T {
    part.as_ref()
        .unwrap_or_else(|why| panic!("the lab does not stand: {why}"))
}
