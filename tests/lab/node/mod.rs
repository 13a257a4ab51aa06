//! A node of the lab's own: it turns Pods that the scheduler bound to it into local processes, and keeps what it says of them true.
//!
//! It does what a kubelet does as far as the tests need it: an address for each pod, environment, readiness probes over HTTP,
//! restarts with a back-off, graceful deletion, the reasons a kubelet gives, and its API: `/containerLogs`, `/exec` and
//! `/portForward`, the last two over WebSocket only. An image is a program that was registered under the image's name: one
//! that was not is `ErrImagePull`. It isolates nothing: what runs is told its address by `LISTEN_HOST`, and sees of its volumes
//! those below `/var/run`.

mod keeper;
mod log;
mod mounts;
mod probe;
mod server;
mod streams;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::watch::{Receiver, Sender};

use self::keeper::Keeper;
use super::ground::{Door, Ground};
use super::pki::Pki;
use super::wire::{Api, Wire, said, text};

/// The node's name.
pub(crate) const NODE: &str = "lab-1";

/// Where its own API listens.
pub(crate) const PORT: u16 = 10250;

/// What runs in place of an image.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// What to run.
    pub(crate) path: PathBuf,
    /// With these arguments, before the pod's own.
    pub(crate) arguments: Vec<String>,
}

/// A node that serves.
#[derive(Clone)]
pub(crate) struct Node(Arc<Inner>);

struct Inner {
    api: Api,
    door: Door,
    logs: PathBuf,
    volumes: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    images: BTreeMap<String, Program>,
    /// By uid.
    pods: BTreeMap<String, Known>,
    addresses: u16,
}

/// A pod that has a keeper.
struct Known {
    namespace: String,
    name: String,
    address: Ipv4Addr,
    /// Those that were started, by name.
    containers: BTreeMap<String, Started>,
    /// Tells its keeper to end it, within so many seconds.
    end: Sender<Option<u64>>,
}

/// A container that was started.
#[derive(Clone)]
struct Started {
    environment: Environment,
    /// Its keeper drops the other end when it ends.
    life: Receiver<()>,
}

type Environment = Vec<(String, String)>;

impl Node {
    /// Registers it, and begins to watch for pods.
    pub(crate) fn start(wire: &Wire, api: Api, pki: &Pki, ground: &Ground) -> Self {
        let node = Self(Arc::new(Inner {
            api,
            door: ground.door(),
            logs: ground.directory("logs/pods"),
            volumes: ground.directory("volumes"),
            state: Mutex::default(),
        }));
        node.register();
        let (beats, watches) = (node.clone(), node.clone());
        wire.spawn(async move { beats.beat().await });
        wire.spawn(async move { watches.watch().await });
        server::serve(wire, node.clone(), pki);
        node
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on this image is that program.
    pub(crate) fn image(&self, image: &str, program: Program) {
        self.state().images.insert(image.to_owned(), program);
    }

    /// The log of a container, as `/containerLogs` reads it: CRI's form.
    fn log(&self, uid: &str, container: &str) -> PathBuf {
        self.0.logs.join(format!("{uid}-{container}.log"))
    }

    /// A document of the API server.
    async fn read(&self, path: &str) -> Result<Value, String> {
        self.ask(Method::GET, path, None).await
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, String> {
        let answer = self.0.api.send(method, path, "application/json", body).await?;
        let status = answer.status();
        let text = answer.text().await.map_err(|e| said(&e))?;
        if status.is_success() {
            serde_json::from_str(&text).map_err(|e| e.to_string())
        } else {
            Err(format!("{path} answers {status}: {text}"))
        }
    }

    /// What is known of a pod, by its name.
    fn pod<T>(&self, namespace: &str, name: &str, read: impl FnOnce(&str, &Known) -> T) -> Option<T> {
        let state = self.state();
        let mut pods = state.pods.iter();
        let found = pods.find(|(_, known)| known.namespace == namespace && known.name == name);
        found.map(|(uid, known)| read(uid, known))
    }

    /// What runs a program as a container: in the lab, with nothing but this in its environment.
    fn command(&self, program: impl AsRef<Path>, environment: &Environment) -> Command {
        let mut command = self.0.door.command(program.as_ref());
        command.env_clear().envs(environment.iter().cloned()).current_dir("/");
        command
    }

    fn register(&self) {
        let node = json!({"metadata": {"name": NODE, "labels": {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux"}}});
        self.0.api.post("/api/v1/nodes", &node).ok();
        let status = json!([{"op": "add", "path": "/status", "value": status()}]);
        self.0.api.patch(&format!("/api/v1/nodes/{NODE}/status"), &status).ok();
        let lease = json!({
            "metadata": {"name": NODE, "namespace": "kube-node-lease"},
            "spec": {"holderIdentity": NODE, "leaseDurationSeconds": 40, "renewTime": micro_time()},
        });
        let namespace = json!({"metadata": {"name": "kube-node-lease"}});
        // The controllers may have made it already.
        _ = self.0.api.post("/api/v1/namespaces", &namespace);
        let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
        self.0.api.post(leases, &lease).ok();
    }

    /// Renews the lease, for ever.
    async fn beat(&self) {
        let path = format!("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{NODE}");
        loop {
            tokio::time::sleep(Duration::from_secs(10)).await;
            let renew = json!({"spec": {"renewTime": micro_time()}});
            let kind = "application/merge-patch+json";
            _ = self.0.api.send(Method::PATCH, &path, kind, Some(renew)).await;
        }
    }

    /// Lists and watches the pods of this node, for ever.
    async fn watch(&self) {
        loop {
            // A watch ends when the API server does, and every now and then; then all is listed anew.
            if self.follow().await.is_err() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }

    async fn follow(&self) -> Result<(), String> {
        let pods = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{NODE}");
        let list = self.0.api.send(Method::GET, &pods, "", None).await?;
        let list = list.bytes().await.map_err(|e| said(&e))?;
        let list: Value = serde_json::from_slice(&list).map_err(|e| e.to_string())?;
        for pod in list["items"].as_array().into_iter().flatten() {
            self.see(pod);
        }
        let version = list["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        let path = format!("{pods}&watch=1&allowWatchBookmarks=true&resourceVersion={version}");
        let mut answer = self.0.api.send(Method::GET, &path, "", None).await?;
        let mut rest = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|e| said(&e))? {
            rest.extend_from_slice(&chunk);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                let event: Value = serde_json::from_slice(&line).map_err(|e| e.to_string())?;
                match event["type"].as_str() {
                    Some("ADDED" | "MODIFIED") => self.see(&event["object"]),
                    Some("DELETED") => self.forget(&event["object"]),
                    Some("BOOKMARK") => {}
                    _ => return Err(event.to_string()),
                }
            }
        }
        Ok(())
    }

    /// A pod as it is now: begun, asked to end, or known.
    fn see(&self, pod: &Value) {
        let uid = text(&pod["metadata"]["uid"]);
        let mut state = self.state();
        if let Some(known) = state.pods.get(&uid) {
            if pod["metadata"]["deletionTimestamp"].is_string() {
                let grace = pod["metadata"]["deletionGracePeriodSeconds"].as_u64().unwrap_or(30);
                known.end.send_replace(Some(grace));
            }
            return;
        }
        state.addresses += 1;
        let [high, low] = state.addresses.to_be_bytes();
        let address = Ipv4Addr::new(10, 244, high, low);
        let (end, ends) = tokio::sync::watch::channel(None);
        if pod["metadata"]["deletionTimestamp"].is_string() {
            end.send_replace(Some(0));
        }
        let (namespace, name) = (text(&pod["metadata"]["namespace"]), text(&pod["metadata"]["name"]));
        let known = Known {
            namespace,
            name,
            address,
            containers: BTreeMap::new(),
            end,
        };
        state.pods.insert(uid, known);
        drop(state);
        let (node, pod) = (self.clone(), pod.clone());
        tokio::spawn(async move { Keeper::new(node, pod, address, ends).keep().await });
    }

    fn forget(&self, pod: &Value) {
        if let Some(known) = self.state().pods.remove(&text(&pod["metadata"]["uid"])) {
            known.end.send_replace(Some(0));
        }
    }
}

fn status() -> Value {
    let now = time();
    let condition = |name: &str, holds: &str| json!({"type": name, "status": holds, "reason": "Lab", "lastHeartbeatTime": now, "lastTransitionTime": now});
    let room = json!({"cpu": "64", "memory": "256Gi", "pods": "1000", "ephemeral-storage": "256Gi"});
    json!({
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": NODE}],
        "capacity": room, "allocatable": room,
        "conditions": [
            condition("Ready", "True"), condition("MemoryPressure", "False"),
            condition("DiskPressure", "False"), condition("PIDPressure", "False"),
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": PORT}},
        // The API server hands WebSockets on to such a node as they are; to others it speaks SPDY.
        "declaredFeatures": ["ExtendWebSocketsToKubelet"],
        "nodeInfo": {
            "architecture": "amd64", "operatingSystem": "linux", "kubeletVersion": "v1.36.3", "kubeProxyVersion": "",
            "containerRuntimeVersion": "lab://1", "osImage": "lab", "kernelVersion": "", "machineID": "", "systemUUID": "", "bootID": "",
        },
    })
}

/// RFC 3339 to the second, as `metav1.Time` has it.
fn time() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// With microseconds, as `metav1.MicroTime` has it.
fn micro_time() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}
