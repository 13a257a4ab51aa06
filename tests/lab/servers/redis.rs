//! Redis: one server, or a cluster of three. Nothing is kept on disk but the cluster's own map of itself, so a server
//! that was killed comes back empty.

use std::time::{Duration, Instant};

use super::{Ground, Part, Server, Wire};
use crate::lab::ground::Door;
use crate::support::{run, tool};

const PORT: u16 = 6379;

/// The nodes of the cluster; each listens for the others on its port + 10 000.
const CLUSTER: [u16; 3] = [7001, 7002, 7003];

/// The nodes of a cluster take two seconds until they trust each other.
const LONGEST: Duration = Duration::from_mins(1);

/// One server, without a password.
pub(super) fn start(ground: &Ground, _: &Wire) -> Result<Server, String> {
    let part = part(ground, "redis", PORT, &[], |door| ask(door, PORT, &["ping"]).map(drop))?;
    Ok(Server {
        parts: vec![part],
        address: format!("127.0.0.1:{PORT}"),
    })
}

/// Three primaries that share the slots, without replicas; the address is that of the first, which names the others.
pub(super) fn cluster(ground: &Ground, _: &Wire) -> Result<Server, String> {
    // A primary is called dead after five seconds: two cores are shared with builds, which must not look like that.
    const OPTIONS: [&str; 4] = ["--cluster-enabled", "yes", "--cluster-node-timeout", "5000"];
    let mut parts = Vec::new();
    for port in CLUSTER {
        let name = format!("redis-{port}");
        parts.push(part(ground, &name, port, &OPTIONS, move |door| belongs(door, port))?);
    }
    let door = ground.door();
    let mut create = door.visitor(tool("redis-cli"));
    create.args(["--cluster", "create"]);
    create.args(CLUSTER.map(|port| format!("127.0.0.1:{port}")));
    run(create.arg("--cluster-yes"))?;
    let began = Instant::now();
    for port in CLUSTER {
        while let Err(why) = belongs(door, port) {
            if began.elapsed() > LONGEST {
                return Err(why);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(Server {
        parts,
        address: format!("127.0.0.1:{}", CLUSTER[0]),
    })
}

fn part(
    ground: &Ground,
    name: &str,
    port: u16,
    options: &'static [&str],
    ready: impl Fn(Door) -> Result<(), String> + Send + Sync + 'static,
) -> Result<Part, String> {
    let (door, program, data) = (ground.door(), tool("redis-server"), ground.directory(name));
    let recipe = move || {
        let mut command = door.command(&program);
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
        command.arg("--dir").arg(&data);
        command.args(["--save", "", "--appendonly", "no", "--maxmemory", "64mb"]);
        command.args(options);
        command
    };
    Part::start(ground, name, recipe, move || ready(door))
}

/// A node is ready when its cluster is whole, or when it has none yet and can be taken into one.
fn belongs(door: Door, port: u16) -> Result<(), String> {
    let told = ask(door, port, &["cluster", "info"])?;
    let has = |line| told.lines().any(|told| told == line);
    if has("cluster_state:ok") || has("cluster_known_nodes:1") {
        return Ok(());
    }
    Err(told)
}

/// What redis-cli prints; an error of the server is one here.
fn ask(door: Door, port: u16, question: &[&str]) -> Result<String, String> {
    let mut command = door.visitor(tool("redis-cli"));
    command.args(["-e", "-p", &port.to_string()]).args(question);
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    let (told, errors) = (output.stdout, output.stderr);
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&told).into_owned());
    }
    Err(String::from_utf8_lossy(&[told, errors].concat()).into_owned())
}
