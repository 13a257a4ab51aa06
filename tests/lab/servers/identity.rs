//! An OIDC issuer: `oidc-provider` with two clients, `writer` and `reader`, whose secrets are `writer-secret` and
//! `reader-secret`. Its access tokens are JWTs for the API `urn:lab:api`; a restart is a rotation of its keys.

use super::{Ground, Part, Server, Wire};
use crate::support::tool;

const PORT: &str = "8880";

/// Starts it. The address is the issuer.
pub(super) fn start(ground: &Ground, wire: &Wire) -> Result<Server, String> {
    let (door, node, script) = (ground.door(), tool("node"), tool("identity"));
    let recipe = move || {
        let mut command = door.command(&node);
        command.arg("--max-semi-space-size=1").arg(&script).arg(PORT);
        command
    };
    let issuer = format!("http://127.0.0.1:{PORT}");
    let discovery = format!("{issuer}/.well-known/openid-configuration");
    let wire = wire.clone();
    let ready = move || wire.is_ready(&discovery);
    Ok(Server {
        parts: vec![Part::start(ground, "identity", recipe, ready)?],
        address: issuer,
    })
}
