//! `OpenSearch`, which speaks Elasticsearch's search API: one node without security, from its jars on Maven and
//! `parts/search/SearchNode.java`.

use super::{Ground, Part, Server, Wire};
use crate::support::tool;

/// Where it answers.
const URL: &str = "http://127.0.0.1:9200";

/// Short lives are worth no second compiler.
const JVM: [&str; 5] = [
    "-Xms128m",
    "-Xmx160m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dlog4j2.level=WARN",
];

const SETTINGS: [&str; 9] = [
    "cluster.name=lab",
    "node.name=search",
    "network.host=127.0.0.1",
    "http.port=9200",
    "transport.port=9300",
    "discovery.type=single-node",
    "transport.type=netty4",
    "http.type=netty4",
    "cluster.routing.allocation.disk.threshold_enabled=false",
];

/// One node; ready when its cluster is at least yellow, which is all that one node can be with replicas asked for.
pub(super) fn start(ground: &Ground, wire: &Wire) -> Result<Server, String> {
    let (door, jars, home) = (ground.door(), tool("opensearch"), ground.directory("search"));
    let recipe = move || {
        let mut command = door.command("java");
        command.args(JVM).arg("-cp").arg(format!("{0}:{0}/*", jars.display()));
        command.arg("SearchNode").arg(&home).args(SETTINGS).current_dir(&home);
        command
    };
    let wire = wire.clone();
    let ready = move || wire.is_ready(&format!("{URL}/_cluster/health?wait_for_status=yellow&timeout=1s"));
    Ok(Server {
        parts: vec![Part::start(ground, "search", recipe, ready)?],
        address: URL.to_owned(),
    })
}
