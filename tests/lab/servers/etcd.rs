//! etcd for services, beside the one that the API server has for itself.

use super::{Ground, Part, Server, Wire};
use crate::support::tool;

/// Where clients come; the usual port is the API server's.
const URL: &str = "http://127.0.0.1:12379";

/// Where other members would come.
const PEERS: &str = "http://127.0.0.1:12380";

/// One member; ready when it has a leader.
pub(super) fn start(ground: &Ground, wire: &Wire) -> Result<Server, String> {
    let data = ground.directory("etcd-of-services");
    let options = [
        format!("--name=lab --data-dir={}", data.display()),
        format!("--listen-client-urls={URL} --advertise-client-urls={URL}"),
        format!("--listen-peer-urls={PEERS} --initial-advertise-peer-urls={PEERS} --initial-cluster=lab={PEERS}"),
        "--unsafe-no-fsync --log-level=warn".into(),
    ];
    let options = options.iter().flat_map(|line| line.split(' ').map(str::to_owned));
    let recipe = ground.door().recipe(tool("etcd"), options.collect());
    let wire = wire.clone();
    let ready = move || wire.is_ready(&format!("{URL}/readyz"));
    Ok(Server {
        parts: vec![Part::start(ground, "etcd-of-services", recipe, ready)?],
        address: URL.to_owned(),
    })
}
