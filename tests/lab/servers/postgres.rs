//! A Postgres database. It refuses to run as root: in a user namespace of its own it has another user number, while on
//! disk it is who it was, so it needs no second account, and no directory has to be opened to one.
//!
//! On SIGTERM, which `Part::stop` sends, it waits until its clients are gone; killed and restarted, it has what was
//! committed.

use std::process::Command;

use super::{Ground, Part, Server, Wire};
use crate::lab::ground::Door;
use crate::support::{run, tool};

const PORT: &str = "5432";
const PASSWORD: &str = "lab";

/// Settings of a server whose data need not outlive the machine.
const SETTINGS: [&str; 8] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "fsync=off",
    "full_page_writes=off",
    "jit=off",
    "shared_buffers=16MB",
    "max_connections=50",
    "timezone=UTC",
];

/// Makes its data, starts it. The address is a URL of the user that may do everything.
pub(super) fn start(ground: &Ground, _: &Wire) -> Result<Server, String> {
    let (door, directory) = (ground.door(), ground.directory("postgres"));
    let (data, password) = (directory.join("data"), directory.join("password"));
    std::fs::write(&password, PASSWORD).map_err(|e| format!("{}: {e}", password.display()))?;
    let mut initdb = not_root(door, "initdb");
    initdb.arg("--pgdata").arg(&data).arg("--pwfile").arg(&password);
    initdb.args(["--username=postgres", "--auth=scram-sha-256"]);
    run(initdb.args(["--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]))?;
    let recipe = move || {
        let mut command = not_root(door, "postgres");
        command.arg("-D").arg(&data).args(["-p", PORT]);
        command.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
        command
    };
    let is_ready = tool("pg_isready");
    let ready = move || {
        let mut ask = door.visitor(&is_ready);
        run(ask.args(["--host=127.0.0.1", "--username=postgres", "--port", PORT]))
    };
    Ok(Server {
        parts: vec![Part::start(ground, "postgres", recipe, ready)?],
        address: format!("postgres://postgres:{PASSWORD}@127.0.0.1:{PORT}/postgres?sslmode=disable"),
    })
}

fn not_root(door: Door, program: &str) -> Command {
    let mut command = door.command("unshare");
    command.args(["--user", "--map-user=1000", "--map-group=1000", "--"]);
    command.arg(tool(program));
    command
}
