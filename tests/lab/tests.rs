//! The lab keeps its own promises.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::part::memory;
use super::pki::Pki;
use super::wire::Api;
use super::{Ground, Kind, Lab, Link, Part, Program, User, Wire, lab, small_disk};
use crate::support::{tool, until};

/// A server of one file, which answers every connection with a line.
const ECHO: &str = r#"
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    connection, _ = server.accept()
    connection.sendall(b"here\n")
    connection.close()
"#;

fn echo(ground: &Ground, wire: &Wire, name: &str, port: u16) -> Result<Part, String> {
    let door = ground.door();
    let recipe = move || {
        let mut command = door.command("python3");
        command.args(["-c", ECHO, &port.to_string()]);
        command
    };
    let wire = wire.clone();
    Part::start(ground, name, recipe, move || {
        said(&wire, ([127, 0, 0, 1], port).into(), Duration::from_secs(1)).map(drop)
    })
}

/// What a server says to who connects, within a time.
fn said(wire: &Wire, to: std::net::SocketAddr, within: Duration) -> Result<(String, Duration), String> {
    wire.run(async move {
        let began = Instant::now();
        let ask = async {
            let mut stream = tokio::net::TcpStream::connect(to).await?;
            let mut text = String::new();
            tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut text).await?;
            std::io::Result::Ok(text)
        };
        let text = tokio::time::timeout(within, ask)
            .await
            .map_err(|_| "no answer in time".to_owned())?;
        Ok((text.map_err(|e| e.to_string())?, began.elapsed()))
    })
}

fn is_alive(process: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn a_lab_that_ends_leaves_no_process_port_mount_or_directory() {
    let ground = Ground::new().expect("a ground");
    let wire = Wire::new(ground.door());
    let part = echo(&ground, &wire, "echo", 7_000).expect("a part");
    let (disk, fault) = small_disk(&ground, "disk", 64 * 1024).expect("a disk");
    let (process, keeper) = (part.process().expect("a process"), ground.door().keeper);
    let directory = ground.directory("");
    // Its port and its mount are its own.
    assert!(TcpStream::connect(("127.0.0.1", 7_000)).is_err());
    let mounts = std::fs::read_to_string("/proc/mounts").expect("mounts");
    assert!(!mounts.contains(&disk.display().to_string()));
    std::mem::forget(fault);
    drop(ground);
    until("the end of the part", || !is_alive(&process.to_string()));
    assert!(!is_alive(&keeper.to_string()) && !directory.exists());
}

/// Not a test of its own: the next one runs it, and kills it.
#[test]
#[ignore = "run by a_lab_that_is_killed_is_gone_all_the_same"]
fn stands_until_it_is_killed() {
    let ground = Ground::new().expect("a ground");
    let wire = Wire::new(ground.door());
    let part = echo(&ground, &wire, "echo", 7_000).expect("a part");
    let line = format!(
        "\nlab {} {} {}\n",
        part.process().expect("a process"),
        ground.door().keeper,
        ground.directory("").display()
    );
    std::io::stdout().write_all(line.as_bytes()).expect("stdout");
    loop {
        std::thread::park();
    }
}

#[test]
fn a_lab_that_is_killed_is_gone_all_the_same() {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args([
            "--exact",
            "lab::tests::stands_until_it_is_killed",
            "--ignored",
            "--nocapture",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program");
    let mut lines = BufReader::new(child.stdout.take().expect("stdout"))
        .lines()
        .map_while(Result::ok);
    let line = lines.find(|line| line.starts_with("lab ")).expect("its lab");
    let words: Vec<&str> = line.split(' ').collect();
    assert!(is_alive(words[1]) && is_alive(words[2]));
    child.kill().expect("SIGKILL");
    child.wait().expect("its end");
    until("the end of its processes", || {
        !is_alive(words[1]) && !is_alive(words[2])
    });
    until("the end of its directory", || !std::path::Path::new(words[3]).exists());
}

#[test]
fn a_part_that_does_not_start_says_why() {
    let ground = Ground::new().expect("a ground");
    let wire = Wire::new(ground.door());
    let door = ground.door();
    let recipe = move || {
        let mut command = door.command("sh");
        command.args(["-c", "echo reading configuration; echo no such database >&2; exit 3"]);
        command
    };
    let why = Part::start(&ground, "database", recipe, || Err("no answer".into()))
        .err()
        .expect("it fails");
    assert!(
        why.starts_with("database ended") && why.contains("  | no such database\n"),
        "{why}"
    );
    // A port that is taken.
    let first = echo(&ground, &wire, "first", 7_000).expect("a part");
    let door = ground.door();
    let recipe = move || {
        let mut command = door.command("python3");
        command.args(["-c", ECHO, "7000"]);
        command
    };
    let why = Part::start(&ground, "second", recipe, || Err("it is not asked".into()))
        .err()
        .expect("it fails");
    assert!(why.contains("Address already in use"), "{why}");
    drop(first);
}

#[test]
fn faults_hold_and_are_undone() {
    let ground = Ground::new().expect("a ground");
    let wire = Wire::new(ground.door());
    let part = echo(&ground, &wire, "echo", 7_000).expect("a part");
    let (short, long) = (Duration::from_millis(300), Duration::from_secs(20));
    let link = Link::to(&wire, ([127, 0, 0, 1], 7_000).into());
    let here = |within| said(&wire, link.address(), within).map(|(text, took)| (text == "here\n", took));
    assert!(here(long).expect("an answer").0);
    let slow = link.slow(Duration::from_millis(200));
    assert!(here(long).expect("an answer").1 >= Duration::from_millis(200));
    drop(slow);
    let cut = link.cut();
    assert_eq!(here(short), Err("no answer in time".into()));
    drop(cut);
    assert!(here(long).expect("an answer").0);
    let paused = part.pause();
    assert_eq!(here(short), Err("no answer in time".into()));
    drop(paused);
    assert!(here(long).expect("an answer").0);
    let before = part.process();
    part.kill();
    assert!(said(&wire, ([127, 0, 0, 1], 7_000).into(), long).is_err());
    part.restart().expect("it starts again");
    assert!(here(long).expect("an answer").0 && part.process() != before);
    let (disk, full) = small_disk(&ground, "disk", 64 * 1024).expect("a disk");
    let write = |bytes: u32| {
        let mut dd = ground.door().command("dd");
        dd.args(["if=/dev/zero", "bs=1024", &format!("count={bytes}")]);
        dd.arg(format!("of={}", disk.join("file").display()));
        dd.stderr(Stdio::null()).status().expect("dd").success()
    };
    assert!(write(16) && !write(128));
    drop(full);
    assert!(write(128), "it is the usual disk again");
}

#[test]
fn a_cluster_survives_the_death_of_its_store() {
    let own = Lab::new().expect("a lab");
    let plane = own.control_plane();
    let api = plane.api(User::Admin);
    let map = json!({"metadata": {"name": "kept"}, "data": {"a": "b"}});
    api.post("/api/v1/namespaces/default/configmaps", &map).ok();
    plane.etcd.kill();
    until("an API server without a store", || api.is_ready().is_err());
    plane.etcd.restart().expect("etcd again");
    until("an API server with one", || api.is_ready().is_ok());
    assert_eq!(
        api.get("/api/v1/namespaces/default/configmaps/kept").ok()["data"],
        map["data"]
    );
}

#[test]
fn a_certificate_of_another_time_is_refused() {
    let ground = Ground::new().expect("a ground");
    let wire = Wire::new(ground.door());
    let pki = Pki::new(ground.directory("pki"));
    pki.user("client", "client", "lab");
    for (name, between, refused) in [
        ("expired", (-9, -2), Some("expired")),
        ("current", (-2, 2), None),
        ("to-come", (2, 9), Some("not valid yet")),
    ] {
        pki.server_between(name, &["127.0.0.1"], between);
        let (door, program, data) = (ground.door(), tool("etcd"), ground.directory(name));
        let [certificate, key] = ["crt", "key"].map(|ending| pki.path(&format!("{name}.{ending}")));
        let recipe = move || {
            let mut command = door.command(&program);
            command.arg("--data-dir").arg(&data).arg("--log-level=error");
            command.args(["--listen-client-urls", "https://127.0.0.1:2379"]);
            command.args(["--advertise-client-urls", "https://127.0.0.1:2379"]);
            command.arg("--cert-file").arg(&certificate).arg("--key-file").arg(&key);
            command
        };
        let api = Api::new(&wire, "https://127.0.0.1:2379", pki.authority(), pki.identity("client"));
        let said = move || api.ask(Method::GET, "/health", "", None);
        let ask = said.clone();
        let ready = move || match said() {
            Err(why) if why.contains("certificate") => Ok(()),
            answer => answer.map(drop),
        };
        let part = Part::start(&ground, name, recipe, ready).expect("a part");
        match (ask(), refused) {
            (Ok(answer), None) => assert_eq!(answer.status, 200),
            (Err(why), Some(word)) => assert!(why.contains(word), "{why}"),
            (answer, _) => panic!("{name}: {answer:?}"),
        }
        part.kill();
    }
}

#[test]
fn users_may_do_what_they_may_and_the_audit_log_says_who_did() {
    let namespace = lab().namespace("rights");
    let plane = lab().control_plane();
    let deployments = format!("/apis/apps/v1/namespaces/{namespace}/deployments");
    for (user, read, write) in [
        (User::Admin, 200, 201),
        (User::Releaser, 200, 201),
        (User::Viewer, 200, 403),
        (User::Stranger, 403, 403),
    ] {
        let api = plane.api(user);
        // The role `view` is empty until a controller has gathered it.
        until("the right to read", || api.get(&deployments).status == read);
        let deployment: Value = json!({
            "metadata": {"name": format!("{user:?}").to_lowercase()},
            "spec": {
                "replicas": 0, "selector": {"matchLabels": {"app": "a"}},
                "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "a", "image": "a"}]}},
            },
        });
        assert_eq!(api.post(&deployments, &deployment).status, write, "{user:?}");
    }
    for part in plane.parts() {
        let memory = part.process().and_then(memory).unwrap_or(0);
        assert!(
            memory > 1_000_000 && part.took() > Duration::ZERO,
            "{}: {memory}",
            part.name()
        );
        assert!(part.log().is_file(), "{}", part.name());
    }
    let audit = plane.audit();
    let denied = |event: &&Value| {
        let (user, verb) = (&event["user"]["username"], &event["verb"]);
        user == "viewer" && verb == "create" && event["responseStatus"]["code"] == 403
    };
    assert!(audit.iter().any(|event| denied(&event)), "{} events", audit.len());
}

#[test]
fn a_pod_is_as_ready_as_its_program() {
    let namespace = lab().namespace("ready");
    let api = lab().control_plane().api(User::Admin);
    let script = r#"
import http.server, os, pathlib
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/die": os._exit(7)
        self.send_response(503 if pathlib.Path(os.environ["SICK"]).exists() else 200)
        self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer((os.environ["LISTEN_HOST"], 8080), Answer).serve_forever()
"#;
    let program = Program {
        path: "/usr/bin/env".into(),
        arguments: ["python3", "-c", script].map(str::to_owned).to_vec(),
    };
    lab().node().image("lab/answer:1", program);
    let sick = lab().ground().directory(&namespace).join("sick");
    let pod = json!({
        "metadata": {"name": "answer", "labels": {"app": "answer"}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [{
            "name": "app", "image": "lab/answer:1", "ports": [{"name": "http", "containerPort": 8080}],
            "env": [{"name": "SICK", "value": sick}],
            "readinessProbe": {"httpGet": {"port": "http", "path": "/"}, "periodSeconds": 1, "failureThreshold": 1},
        }]},
    });
    let service = json!({"metadata": {"name": "answer"}, "spec": {"selector": {"app": "answer"}, "ports": [{"port": 80, "targetPort": 8080}]}});
    api.post(&format!("/api/v1/namespaces/{namespace}/services"), &service)
        .ok();
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    until("the pod is taken", || api.post(&pods, &pod).status == 201);
    let slices = format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices");
    let is_endpoint = || {
        let slices = api.get(&slices).ok();
        let ready = &slices["items"][0]["endpoints"][0]["conditions"]["ready"];
        ready.as_bool().unwrap_or(false)
    };
    let container = || api.get(&format!("{pods}/answer")).ok()["status"]["containerStatuses"][0].clone();
    until("an endpoint", is_endpoint);
    std::fs::write(&sick, "").expect("a file");
    until("no endpoint", || !is_endpoint());
    std::fs::remove_file(&sick).expect("a file");
    until("an endpoint again", is_endpoint);
    // The API server reaches it, as it does in a cluster.
    _ = api.get(&format!("{pods}/answer:8080/proxy/die"));
    until("a restart", || {
        container()["restartCount"] == 1 && container()["ready"] == true
    });
    assert_eq!(container()["lastState"]["terminated"]["exitCode"], 7);
    let missing = json!({
        "metadata": {"name": "missing"},
        "spec": {"containers": [{"name": "app", "image": "lab/none:1"}]},
    });
    api.post(&pods, &missing).ok();
    until("no image", || {
        let pod = api.get(&format!("{pods}/missing")).ok();
        pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "ErrImagePull"
    });
}

#[test]
fn every_part_says_its_version() {
    for (program, argument, version) in [
        ("etcd", "--version", "3.6.16"),
        ("kube-apiserver", "--version", "v1.36.3"),
        ("kube-controller-manager", "--version", "v1.36.3"),
        ("kube-scheduler", "--version", "v1.36.3"),
        ("envoy", "--version", "1.40"),
    ] {
        let output = Command::new(tool(program)).arg(argument).output().expect(program);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains(version), "{program}: {text}");
    }
    // The words of `Kind` and its list go together.
    for (at, kind) in Kind::ALL.into_iter().enumerate() {
        assert_eq!(kind as usize, at, "{kind:?}");
    }
}
