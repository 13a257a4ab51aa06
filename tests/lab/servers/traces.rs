//! Jaeger, all in one process, traces in memory: takes OTLP on 4317 (gRPC) and 4318 (HTTP), answers queries on 16686.

use super::Server;
use crate::lab::ground::Ground;
use crate::lab::part::Part;
use crate::lab::wire::Wire;
use crate::support::tool;

/// Where it answers queries.
const URL: &str = "http://127.0.0.1:16686";

const OPTIONS: [&str; 9] = [
    "--admin.http.host-port=127.0.0.1:14269",
    "--collector.grpc-server.host-port=127.0.0.1:14250",
    "--collector.http-server.host-port=127.0.0.1:14268",
    "--collector.otlp.grpc.host-port=127.0.0.1:4317",
    "--collector.otlp.http.host-port=127.0.0.1:4318",
    "--query.grpc-server.host-port=127.0.0.1:16685",
    "--query.http-server.host-port=127.0.0.1:16686",
    "--log-level=warn",
    "--memory.max-traces=10000",
];

/// One Jaeger; its admin port says when collector and query are both there.
pub(super) fn start(ground: &Ground, wire: &Wire) -> Result<Server, String> {
    let (door, program) = (ground.door(), tool("jaeger"));
    let recipe = move || {
        let mut command = door.command(&program);
        // It would send traces of its own to itself, and wait for them at its end.
        command.args(OPTIONS).env("OTEL_TRACES_SAMPLER", "always_off");
        command
    };
    let wire = wire.clone();
    let ready = move || wire.is_ready("http://127.0.0.1:14269/");
    Ok(Server {
        parts: vec![Part::start(ground, "jaeger", recipe, ready)?],
        address: URL.to_owned(),
    })
}
