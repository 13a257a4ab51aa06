//! Kafka: one process that is controller and broker (`KRaft`), data on disk as Kafka has it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use super::Server;
use crate::lab::ground::Ground;
use crate::lab::part::Part;
use crate::lab::wire::Wire;
use crate::support::{run, tool};

/// Where clients begin.
const ADDRESS: &str = "127.0.0.1:9092";

/// An identifier in Kafka's form: 16 bytes in URL-safe Base64.
const CLUSTER: &str = "bXNjdGwtbGFiLWthZmthMQ";

/// What each JVM of Kafka's gets: short lives are worth no second compiler.
const JVM: [&str; 3] = [
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
];

/// A Metadata request of version 0 that asks for all topics: key 3, version 0, correlation 1, no client, no names.
const METADATA: [u8; 18] = [0, 0, 0, 14, 0, 3, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0];

/// The options of a JVM that runs a class of Kafka's with so many megabytes: before the class.
fn java(megabytes: u16) -> Vec<String> {
    let mut options: Vec<String> = JVM.map(str::to_owned).into();
    options.push(format!("-Xmx{megabytes}m"));
    options.extend(["-cp".to_owned(), format!("{}/*", tool("kafka").display())]);
    options
}

/// One broker.
pub(super) fn start(ground: &Ground, wire: &Wire) -> Result<Server, String> {
    let directory = ground.directory("kafka");
    let file = directory.join("server.properties");
    std::fs::write(&file, properties(&directory.join("data"))).map_err(|e| e.to_string())?;
    let mut format = ground.door().command("java");
    format
        .args(java(64))
        .args(["kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c"]);
    run(format.arg(&file).current_dir(&directory))?;
    let (door, options) = (ground.door(), java(256));
    let recipe = move || {
        let mut command = door.command("java");
        command
            .args(&options)
            .arg("kafka.Kafka")
            .arg(&file)
            .current_dir(&directory);
        command
    };
    let wire = wire.clone();
    let ready = move || wire.run(async { broker() });
    Ok(Server {
        parts: vec![Part::start(ground, "kafka", recipe, ready)?],
        address: ADDRESS.to_owned(),
    })
}

/// Whether the metadata name a broker: before the controller lets it in they name none, though it listens.
fn broker() -> Result<(), String> {
    const PATIENCE: Duration = Duration::from_secs(1);
    let said = |e: std::io::Error| e.to_string();
    let address: SocketAddr = ADDRESS.parse().map_err(|_| "not an address")?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(said)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(said)?;
    stream.write_all(&METADATA).map_err(said)?;
    // Length, correlation, number of brokers: four bytes each.
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).map_err(said)?;
    match answer[8..] {
        [0, 0, 0, 0] => Err("no broker in the metadata".to_owned()),
        _ => Ok(()),
    }
}

fn properties(data: &Path) -> String {
    let data = data.display();
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:9093
listeners=PLAINTEXT://{ADDRESS},CONTROLLER://127.0.0.1:9093
advertised.listeners=PLAINTEXT://{ADDRESS}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
num.partitions=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
log.cleaner.dedupe.buffer.size=16000000
num.network.threads=1
num.io.threads=2
"
    )
}
