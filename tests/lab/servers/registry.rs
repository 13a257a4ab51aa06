//! An OCI registry: the one in crane, plain HTTP, without users. Layers are on disk, manifests in memory: a registry
//! that ended comes back empty. It has no referrers API.

use super::{Ground, Part, Server, Wire};
use crate::support::tool;

const ADDRESS: &str = "127.0.0.1:5000";

/// Starts it. The address is what an image's name begins with.
pub(super) fn start(ground: &Ground, wire: &Wire) -> Result<Server, String> {
    let (door, program, data) = (ground.door(), tool("crane"), ground.directory("registry"));
    let recipe = move || {
        let mut command = door.command(&program);
        command.args(["registry", "serve", "--address", ADDRESS]);
        command.arg("--disk").arg(&data);
        command
    };
    let wire = wire.clone();
    let ready = move || wire.is_ready(&format!("http://{ADDRESS}/v2/"));
    Ok(Server {
        parts: vec![Part::start(ground, "registry", recipe, ready)?],
        address: ADDRESS.to_owned(),
    })
}
