//! Nacos as r-nacos speaks it: version 1 of the HTTP API, and the gRPC of the SDKs on the port 1000 above. It is
//! another implementation: it ignores `casMd5` and knows no version 2 or 3 of the configuration's paths.

use reqwest::{Client, Response};

use super::{Ground, Part, Server, Wire};
use crate::lab::wire::said;
use crate::support::tool;

/// Where its HTTP API answers.
const URL: &str = "http://127.0.0.1:8848";

/// One first start of ten goes wrong, see [`start`].
const TRIES: usize = 8;

/// One node that keeps what it is given.
///
/// In its first start, r-nacos 0.8.8 may elect itself before the thread that applies the log has what it needs. That
/// thread then dies, and all that is published is lost, though every answer says otherwise. Such a node is given up.
pub(super) fn start(ground: &Ground, wire: &Wire) -> Result<Server, String> {
    for number in 1..=TRIES {
        let part = node(ground, wire, number)?;
        if keeps(wire)? {
            return Ok(Server {
                parts: vec![part],
                address: URL.to_owned(),
            });
        }
        part.kill();
    }
    Err(format!("nacos lost what was published in each of {TRIES} first starts"))
}

/// One node, its data in a directory of this number; ready when it leads.
fn node(ground: &Ground, wire: &Wire, number: usize) -> Result<Part, String> {
    let (door, program) = (ground.door(), tool("rnacos"));
    let directory = ground.directory(&format!("nacos/{number}"));
    let recipe = move || {
        let mut command = door.command(&program);
        command.current_dir(&directory).env("RNACOS_DATA_DIR", &directory);
        command.envs([
            ("RNACOS_SDK_HOST", "127.0.0.1"),
            ("RNACOS_HTTP_PORT", "8848"),
            ("RNACOS_GRPC_PORT", "9848"),
            ("RNACOS_CONSOLE_HOST", "127.0.0.1"),
            ("RNACOS_HTTP_CONSOLE_PORT", "10848"),
            ("RNACOS_HTTP_WORKERS", "2"),
            ("RUST_LOG", "warn"),
        ]);
        command
    };
    let wire = wire.clone();
    let ready = move || match wire.get(&format!("{URL}/nacos/v1/raft/metrics"))? {
        (200, body) if body.contains(r#""current_leader":1"#) => Ok(()),
        (status, body) => Err(format!("it does not lead yet: {status} {body}")),
    };
    Part::start(ground, "nacos", recipe, ready)
}

/// Whether a configuration that it says is published can be read.
fn keeps(wire: &Wire) -> Result<bool, String> {
    let url = format!("{URL}/nacos/v1/cs/configs?dataId=kept&group=LAB");
    let publish = format!("{url}&content=kept");
    wire.run(async move {
        let client = Client::builder().no_proxy().build().map_err(|e| said(&e))?;
        let published = client.post(publish).send().await;
        _ = published.and_then(Response::error_for_status).map_err(|e| said(&e))?;
        let read = client.get(url).send().await.map_err(|e| said(&e))?;
        Ok(read.status().is_success())
    })
}
