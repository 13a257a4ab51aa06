//! Consul: one agent in its development mode, which is server and client in one and keeps all in memory.

use super::{Ground, Part, Server, Wire};
use crate::support::tool;

/// Where its HTTP API answers.
const URL: &str = "http://127.0.0.1:8500";

const OPTIONS: [&str; 13] = [
    "agent",
    "-dev",
    "-node=lab",
    "-bind=127.0.0.1",
    "-client=127.0.0.1",
    "-http-port=8500",
    "-server-port=8300",
    "-serf-lan-port=8301",
    "-serf-wan-port=8302",
    "-dns-port=-1",
    "-grpc-port=-1",
    "-grpc-tls-port=-1",
    "-log-level=warn",
];

/// One agent; ready when it has a leader, without which no catalog can be read.
pub(super) fn start(ground: &Ground, wire: &Wire) -> Result<Server, String> {
    let (door, program, directory) = (ground.door(), tool("consul"), ground.directory("consul"));
    let recipe = move || {
        let mut command = door.command(&program);
        command.args(OPTIONS).current_dir(&directory);
        command
    };
    let wire = wire.clone();
    let ready = move || wire.is_ready(&format!("{URL}/v1/catalog/services"));
    Ok(Server {
        parts: vec![Part::start(ground, "consul", recipe, ready)?],
        address: URL.to_owned(),
    })
}
