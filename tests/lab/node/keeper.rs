//! Keeps one pod: its processes, its probes, and what the API server knows of them.

use std::net::Ipv4Addr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::watch::{self, Receiver, Sender};

use super::log;
use super::mounts::Mounts;
use super::probe::{Kind, Probe};
use super::{Environment, NODE, Node, Started, text, time};
use crate::lab::control_plane::API;
use crate::lab::ground::child_of;

/// How often the processes are looked at.
const PULSE: Duration = Duration::from_millis(50);

/// The first back-off after a container ended; it doubles up to a minute.
const BACK_OFF: Duration = Duration::from_secs(1);

/// The exit code of what a signal ended.
const KILLED: i32 = 137;

pub(super) struct Keeper {
    node: Node,
    pod: Value,
    path: String,
    /// Whether a container that ended with this is started again.
    again: fn(i32) -> bool,
    address: Ipv4Addr,
    ends: Receiver<Option<u64>>,
    containers: Vec<Container>,
    started: String,
    said: Value,
}

struct Container {
    name: String,
    image: String,
    spec: Value,
    phase: Phase,
    restarts: u32,
    last: Option<Value>,
    probes: Vec<Probe>,
}

enum Phase {
    Waiting {
        reason: &'static str,
        message: String,
        until: Instant,
    },
    Running {
        door: Child,
        process: Option<Pid>,
        since: String,
        /// Dropped with it, it tells who runs commands in the container.
        _life: Sender<()>,
    },
    /// It is not started again. How it ended.
    Ended { code: i32, terminated: Value },
}

impl Keeper {
    pub(super) fn new(node: Node, pod: Value, address: Ipv4Addr, ends: Receiver<Option<u64>>) -> Self {
        let metadata = &pod["metadata"];
        let path = format!(
            "/api/v1/namespaces/{}/pods/{}",
            text(&metadata["namespace"]),
            text(&metadata["name"])
        );
        let specs = pod["spec"]["containers"].as_array().cloned().unwrap_or_default();
        Self {
            containers: specs.into_iter().map(Container::new).collect(),
            again: match pod["spec"]["restartPolicy"].as_str() {
                Some("Never") => |_| false,
                Some("OnFailure") => |code| code != 0,
                _ => |_| true,
            },
            node,
            path,
            address,
            ends,
            started: time(),
            said: Value::Null,
            pod,
        }
    }

    /// From its beginning to its end.
    pub(super) async fn keep(mut self) {
        loop {
            let asked = *self.ends.borrow_and_update();
            if let Some(grace) = asked {
                break self.end(Duration::from_secs(grace)).await;
            }
            for at in 0..self.containers.len() {
                self.look(at).await;
            }
            self.tell().await;
            tokio::select! {
                () = tokio::time::sleep(PULSE) => {}
                changed = self.ends.changed() => if changed.is_err() {
                    break self.end(Duration::ZERO).await;
                }
            }
        }
    }

    /// One look at one container.
    async fn look(&mut self, at: usize) {
        let container = &mut self.containers[at];
        match &mut container.phase {
            Phase::Waiting { until, .. } if *until > Instant::now() => {}
            Phase::Waiting { .. } => self.start(at).await,
            Phase::Running { door, since, .. } => match door.try_wait() {
                Ok(Some(status)) => {
                    let (since, code) = (since.clone(), status.code().unwrap_or(KILLED));
                    container.ended(&since, code, (self.again)(code));
                }
                _ => self.probe(at).await,
            },
            Phase::Ended { .. } => {}
        }
    }

    async fn probe(&mut self, at: usize) {
        let address = self.address;
        let container = &mut self.containers[at];
        let started = container.passed(Kind::Startup);
        let mut dead = false;
        for probe in &mut container.probes {
            // Until the startup probe has passed, the others do not run.
            if started || probe.kind == Kind::Startup {
                probe.run(address).await;
                dead |= probe.kind != Kind::Readiness && probe.failed();
            }
        }
        if dead
            && let Phase::Running {
                process: Some(process), ..
            } = &container.phase
        {
            _ = kill_process(*process, Signal::KILL);
        }
    }

    async fn start(&mut self, at: usize) {
        let container = &self.containers[at];
        let Some(program) = self.node.state().images.get(&container.image).cloned() else {
            let message = format!("no program stands for the image {}", container.image);
            self.containers[at].wait("ErrImagePull", message, Duration::from_secs(1));
            return;
        };
        let made = match self.environment(&container.spec).await {
            Ok(environment) => Mounts::of(&self.node, &self.pod, &container.spec)
                .await
                .map(|mounts| (environment, mounts)),
            Err(why) => Err(why),
        };
        let (environment, mounts) = match made {
            Ok(made) => made,
            Err(why) => return self.containers[at].wait("CreateContainerConfigError", why, BACK_OFF),
        };
        let mut command = Command::from(mounts.command(&self.node, &program.path, &environment));
        command.args(&program.arguments).args(strings(&container.spec["args"]));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let spawned = command.kill_on_drop(true).process_group(0).spawn();
        let uid = text(&self.pod["metadata"]["uid"]);
        let log = self.node.log(&uid, &container.name);
        let container = &mut self.containers[at];
        match spawned {
            Err(error) => container.wait("CreateContainerError", error.to_string(), BACK_OFF),
            Ok(mut door) => {
                log::keep(&log, "stdout", door.stdout.take());
                log::keep(&log, "stderr", door.stderr.take());
                let process = door.id().and_then(child_of);
                let (end, life) = watch::channel(());
                if let Some(known) = self.node.state().pods.get_mut(&uid) {
                    let started = Started { environment, life };
                    known.containers.insert(container.name.clone(), started);
                }
                container.phase = Phase::Running {
                    process: process.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)),
                    door,
                    since: time(),
                    _life: end,
                };
                container.probes.iter_mut().for_each(Probe::reset);
            }
        }
    }

    /// What the container is told, and where the API server is. Values from config maps are not.
    async fn environment(&self, spec: &Value) -> Result<Environment, String> {
        let address = self.address.to_string();
        let field = |path: &str| match path {
            "status.podIP" => address.clone(),
            "spec.nodeName" => NODE.to_owned(),
            path => text(path.split('.').fold(&self.pod, |value, part| &value[part])),
        };
        let (host, port) = API.trim_start_matches("https://").split_once(':').unwrap_or_default();
        let own = [
            ("PATH", "/usr/bin:/bin".to_owned()),
            ("LISTEN_HOST", address.clone()),
            ("HOSTNAME", field("metadata.name")),
            ("KUBERNETES_SERVICE_HOST", host.to_owned()),
            ("KUBERNETES_SERVICE_PORT", port.to_owned()),
        ];
        let mut all = own.map(|(name, value)| (name.to_owned(), value)).to_vec();
        for variable in spec["env"].as_array().into_iter().flatten() {
            let from = &variable["valueFrom"];
            let value = match from["fieldRef"]["fieldPath"].as_str() {
                Some(path) => field(path),
                None if from["secretKeyRef"].is_object() => self.secret(&from["secretKeyRef"]).await?,
                None => text(&variable["value"]),
            };
            all.push((text(&variable["name"]), value));
        }
        Ok(all)
    }

    /// One value of a secret of the pod's namespace.
    async fn secret(&self, reference: &Value) -> Result<String, String> {
        let (name, key) = (text(&reference["name"]), text(&reference["key"]));
        let namespace = text(&self.pod["metadata"]["namespace"]);
        let secret = self
            .node
            .read(&format!("/api/v1/namespaces/{namespace}/secrets/{name}"))
            .await?;
        let coded = secret["data"][&key]
            .as_str()
            .ok_or_else(|| format!("no key {key} in the secret {name}"))?;
        let bytes = BASE64_STANDARD.decode(coded).map_err(|e| e.to_string())?;
        String::from_utf8(bytes).map_err(|e| e.to_string())
    }

    /// Tells the API server what is so, if it does not know.
    async fn tell(&mut self) {
        let status = self.status();
        if status == self.said {
            return;
        }
        let kind = "application/merge-patch+json";
        let path = format!("{}/status", self.path);
        let body = json!({"metadata": {"uid": self.pod["metadata"]["uid"]}, "status": status});
        match self.node.0.api.send(Method::PATCH, &path, kind, Some(body)).await {
            Ok(answer) if answer.status().is_success() || answer.status().as_u16() == 404 => self.said = status,
            // Said again at the next look.
            _ => {}
        }
    }

    fn status(&self) -> Value {
        let ready = self.containers.iter().all(Container::ready);
        let running = self
            .containers
            .iter()
            .any(|c| matches!(c.phase, Phase::Running { .. }) || c.restarts > 0);
        let condition = |name: &str, holds: bool| {
            let known = self.said["conditions"].as_array().into_iter().flatten();
            let mut known = known.filter(|c| c["type"] == name && c["status"] == word(holds));
            let since = known
                .next()
                .map_or_else(|| json!(time()), |c| c["lastTransitionTime"].clone());
            let mut condition = json!({"type": name, "status": word(holds), "lastTransitionTime": since});
            if !holds {
                condition["reason"] = "ContainersNotReady".into();
            }
            condition
        };
        let ended: Vec<i32> = self.containers.iter().filter_map(Container::code).collect();
        let phase = match () {
            () if ended.len() < self.containers.len() && running => "Running",
            () if ended.len() < self.containers.len() => "Pending",
            () if ended.iter().all(|code| *code == 0) => "Succeeded",
            () => "Failed",
        };
        let address = self.address.to_string();
        json!({
            "phase": phase,
            "hostIP": "127.0.0.1", "podIP": address, "podIPs": [{"ip": address}], "startTime": self.started,
            "conditions": [
                condition("PodScheduled", true), condition("Initialized", true),
                condition("ContainersReady", ready), condition("Ready", ready),
            ],
            "containerStatuses": self.containers.iter().map(Container::status).collect::<Vec<_>>(),
        })
    }

    /// SIGTERM, the grace, SIGKILL; how that went is told, and then the pod is no more.
    async fn end(&mut self, grace: Duration) {
        let until = Instant::now() + grace;
        self.signal(Signal::TERM);
        while self.any_alive() {
            if Instant::now() >= until {
                self.signal(Signal::KILL);
            }
            tokio::time::sleep(PULSE).await;
        }
        for container in &mut self.containers {
            if let Phase::Running { door, since, .. } = &mut container.phase {
                let status = door.try_wait().ok().flatten();
                let (since, code) = (since.clone(), status.and_then(|status| status.code()).unwrap_or(KILLED));
                container.ended(&since, code, false);
            }
        }
        self.tell().await;
        let options = json!({
            "gracePeriodSeconds": 0,
            "preconditions": {"uid": self.pod["metadata"]["uid"]},
        });
        let kind = "application/json";
        _ = self
            .node
            .0
            .api
            .send(Method::DELETE, &self.path, kind, Some(options))
            .await;
    }

    fn signal(&self, signal: Signal) {
        for container in &self.containers {
            if let Phase::Running {
                process: Some(process), ..
            } = &container.phase
            {
                _ = kill_process(*process, signal);
            }
        }
    }

    fn any_alive(&mut self) -> bool {
        self.containers.iter_mut().any(|container| match &mut container.phase {
            Phase::Running { door, .. } => matches!(door.try_wait(), Ok(None)),
            Phase::Waiting { .. } | Phase::Ended { .. } => false,
        })
    }
}

impl Container {
    fn new(spec: Value) -> Self {
        let kinds = [
            (Kind::Startup, "startupProbe"),
            (Kind::Readiness, "readinessProbe"),
            (Kind::Liveness, "livenessProbe"),
        ];
        Self {
            name: text(&spec["name"]),
            image: text(&spec["image"]),
            probes: kinds
                .into_iter()
                .filter_map(|(kind, key)| Probe::new(kind, &spec[key], &spec["ports"]))
                .collect(),
            phase: Phase::Waiting {
                reason: "ContainerCreating",
                message: String::new(),
                until: Instant::now(),
            },
            restarts: 0,
            last: None,
            spec,
        }
    }

    fn wait(&mut self, reason: &'static str, message: String, back_off: Duration) {
        let until = Instant::now() + back_off;
        self.phase = Phase::Waiting { reason, message, until };
    }

    fn ended(&mut self, since: &str, code: i32, again: bool) {
        let reason = if code == 0 { "Completed" } else { "Error" };
        let terminated = json!({"exitCode": code, "reason": reason, "startedAt": since, "finishedAt": time()});
        if !again {
            self.phase = Phase::Ended { code, terminated };
            return;
        }
        self.last = Some(json!({"terminated": terminated}));
        let back_off = BACK_OFF * 2_u32.pow(self.restarts.min(6));
        self.restarts += 1;
        self.wait(
            "CrashLoopBackOff",
            format!("back-off {back_off:?} restarting failed container"),
            back_off,
        );
    }

    /// Its exit code, where it is not started again.
    fn code(&self) -> Option<i32> {
        match self.phase {
            Phase::Ended { code, .. } => Some(code),
            Phase::Waiting { .. } | Phase::Running { .. } => None,
        }
    }

    /// Whether it has no such probe, or the probe has passed.
    fn passed(&self, kind: Kind) -> bool {
        self.probes.iter().filter(|p| p.kind == kind).all(Probe::passed)
    }

    fn ready(&self) -> bool {
        matches!(self.phase, Phase::Running { .. }) && self.passed(Kind::Startup) && self.passed(Kind::Readiness)
    }

    fn status(&self) -> Value {
        let state = match &self.phase {
            Phase::Waiting { reason, message, .. } => json!({"waiting": {"reason": reason, "message": message}}),
            Phase::Running { since, .. } => json!({"running": {"startedAt": since}}),
            Phase::Ended { terminated, .. } => json!({"terminated": terminated}),
        };
        let running = matches!(self.phase, Phase::Running { .. });
        json!({
            "name": self.name, "image": self.image, "imageID": format!("lab://{}", self.image),
            "containerID": format!("lab://{}", self.name), "ready": self.ready(),
            "started": running && self.passed(Kind::Startup), "restartCount": self.restarts,
            "state": state, "lastState": self.last.clone().unwrap_or_else(|| json!({})),
        })
    }
}

const fn word(holds: bool) -> &'static str {
    if holds { "True" } else { "False" }
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(text).collect()
}
