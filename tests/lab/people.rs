//! The lab for a person: `tests/run lab up` runs `hold` in the background, and `status` where somebody asks.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a program for people at a terminal, beside the product"
)]
#![expect(dead_code, unused_imports, reason = "the tests use the rest of the lab")]

#[path = "mod.rs"]
mod lab;
#[path = "../support/tools.rs"]
mod support;

use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use lab::{Kind, Lab, Part, Program, Server, User};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["hold", state, servers @ ..] => hold(Path::new(state), servers),
        ["status", state] => status(Path::new(state)),
        _ => panic!("lab hold STATE [SERVER…] | lab status STATE"),
    }
}

/// Starts the cluster, the mesh and these servers, writes down what there is, and stands until it is killed.
fn hold(state: &Path, servers: &[&str]) {
    let wanted = chosen(servers);
    let lab = Lab::new().unwrap_or_else(|why| panic!("{why}"));
    let began = Instant::now();
    let plane = lab.control_plane();
    let of_plane = began.elapsed();
    let mesh = lab.mesh();
    let of_mesh = began.elapsed().saturating_sub(of_plane);
    let backend = Program {
        path: support::tool("lab-backend"),
        arguments: Vec::new(),
    };
    lab.node().image("lab/backend:1", backend);
    let mut parts: Vec<&Part> = plane.parts().to_vec();
    parts.push(&mesh.istiod);
    let servers: Vec<(Kind, &Server)> = wanted.into_iter().map(|kind| (kind, lab.server(kind))).collect();
    parts.extend(servers.iter().flat_map(|(_, server)| &server.parts));
    let parts = parts.iter().map(|part| {
        json!({"name": part.name(), "process": part.process(), "ready_ms": part.took().as_millis(), "log": part.log()})
    });
    let told = json!({
        "holder": std::process::id(),
        "keeper": lab.ground().door().keeper,
        "kubeconfig": plane.kubeconfig(User::Admin),
        "control_plane_ms": of_plane.as_millis(),
        "mesh_ms": of_mesh.as_millis(),
        "parts": parts.collect::<Vec<_>>(),
        "servers": servers.iter().map(|(kind, server)| json!([kind.name(), server.address])).collect::<Vec<_>>(),
    });
    let new = state.with_extension("new");
    std::fs::write(&new, told.to_string()).expect("the state");
    std::fs::rename(new, state).expect("the state");
    loop {
        std::thread::park();
    }
}

/// The servers of these names; `all` is every one.
fn chosen(names: &[&str]) -> Vec<Kind> {
    let servers = |name: &&str| {
        let found = Kind::ALL
            .into_iter()
            .filter(|kind| *name == "all" || kind.name() == *name)
            .collect::<Vec<_>>();
        let known = Kind::ALL.map(Kind::name).join(", ");
        assert!(
            !found.is_empty(),
            "there is no server `{name}` in the lab; there are {known}, and `all`"
        );
        found
    };
    names.iter().flat_map(servers).collect()
}

/// Prints what stands and what it takes.
fn status(state: &Path) {
    let text = std::fs::read_to_string(state).expect("the state");
    let told: Value = serde_json::from_str(&text).expect("JSON");
    println!(
        "control plane ready after {} ms, mesh after {} ms more",
        told["control_plane_ms"], told["mesh_ms"]
    );
    println!("{:<26} {:>9} {:>9}", "part", "ready", "memory");
    for part in told["parts"].as_array().into_iter().flatten() {
        let process = part["process"].as_u64().unwrap_or_default();
        let memory =
            lab::part::memory(process).map_or_else(|| "gone".to_owned(), |bytes| format!("{} MB", bytes / 1_000_000));
        let name = part["name"].as_str().unwrap_or_default();
        println!("{name:<26} {:>6} ms {memory:>9}", part["ready_ms"]);
    }
    for server in told["servers"].as_array().into_iter().flatten() {
        let text = |n: usize| server[n].as_str().unwrap_or_default();
        println!("{} is at {}", text(0), text(1));
    }
    println!("KUBECONFIG={}", told["kubeconfig"].as_str().unwrap_or_default());
}
