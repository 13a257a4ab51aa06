//! Nacos as r-nacos speaks it: version 1 of the HTTP API, and the gRPC of the SDKs on the port 1000 above. It is another
//! implementation: it ignores `casMd5` and knows no version 2 or 3 of the configuration's paths.

use super::Server;
use crate::lab::ground::Ground;
use crate::lab::part::Part;
use crate::lab::wire::Wire;
use crate::support::tool;

/// Where its HTTP API answers.
const URL: &str = "http://127.0.0.1:8848";

/// One node, its data below the lab's directory.
pub(super) fn start(ground: &Ground, wire: &Wire) -> Result<Server, String> {
    let (door, program, directory) = (ground.door(), tool("rnacos"), ground.directory("nacos"));
    let recipe = move || {
        let mut command = door.command(&program);
        command
            .current_dir(&directory)
            .env("RNACOS_DATA_DIR", directory.join("data"));
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
    let ready = move || wire.is_ready(&format!("{URL}/nacos/v1/console/health/readiness"));
    Ok(Server {
        parts: vec![Part::start(ground, "nacos", recipe, ready)?],
        address: URL.to_owned(),
    })
}
