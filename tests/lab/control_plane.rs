//! etcd, kube-apiserver with RBAC and an audit log, kube-controller-manager, kube-scheduler, and the users of the lab.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::ground::Ground;
use super::part::Part;
use super::pki::Pki;
use super::wire::{Api, Wire};
use crate::support::tool;

/// Where the API server listens.
pub(crate) const API: &str = "https://127.0.0.1:6443";

const ETCD: &str = "http://127.0.0.1:2379";

/// Who may ask the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    /// May do everything.
    Admin,
    /// May change workloads and routes in the namespaces of tests.
    Releaser,
    /// May read in the namespaces of tests.
    Viewer,
    /// May do nothing.
    Stranger,
}

impl User {
    const ALL: [Self; 4] = [Self::Admin, Self::Releaser, Self::Viewer, Self::Stranger];

    const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Releaser => "releaser",
            Self::Viewer => "viewer",
            Self::Stranger => "stranger",
        }
    }

    const fn group(self) -> &'static str {
        match self {
            Self::Admin => "system:masters",
            Self::Releaser => "releasers",
            Self::Viewer => "viewers",
            Self::Stranger => "strangers",
        }
    }
}

/// A Kubernetes control plane without nodes.
pub(crate) struct ControlPlane {
    pub(crate) pki: Arc<Pki>,
    pub(crate) etcd: Part,
    pub(crate) api_server: Part,
    pub(crate) controllers: Part,
    pub(crate) scheduler: Part,
    audit: PathBuf,
    wire: Wire,
}

impl ControlPlane {
    /// Starts it; ready when all four parts say so.
    pub(crate) fn start(ground: &Ground, wire: &Wire) -> Result<Self, String> {
        let pki = Arc::new(people(ground));
        let etcd = etcd(ground, wire)?;
        let audit = ground.directory("logs").join("audit.jsonl");
        let api_server = api_server(ground, wire, &pki, &audit)?;
        let (controllers, scheduler) = std::thread::scope(|scope| {
            let scheduler = scope.spawn(|| scheduler(ground, wire, &pki));
            let controllers = controllers(ground, wire, &pki);
            let scheduler = scheduler.join();
            (controllers, scheduler)
        });
        let scheduler = scheduler.map_err(|_| "the start of the scheduler panicked".to_owned())??;
        let plane = Self {
            pki,
            etcd,
            api_server,
            controllers: controllers?,
            scheduler,
            audit,
            wire: wire.clone(),
        };
        plane.grant();
        Ok(plane)
    }

    /// Its parts.
    pub(crate) fn parts(&self) -> [&Part; 4] {
        [&self.etcd, &self.api_server, &self.controllers, &self.scheduler]
    }

    /// The API as this user has it.
    pub(crate) fn api(&self, user: User) -> Api {
        Api::new(&self.wire, API, self.pki.authority(), self.pki.identity(user.name()))
    }

    /// A kubeconfig of this user.
    pub(crate) fn kubeconfig(&self, user: User) -> PathBuf {
        self.pki.path(&format!("{}.kubeconfig", user.name()))
    }

    /// What the API server was asked so far, one event of `audit.k8s.io/v1` for each answer.
    pub(crate) fn audit(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.audit).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// What the users may do; in every namespace, for each test has its own.
    fn grant(&self) {
        let api = self.api(User::Admin);
        let rbac = "/apis/rbac.authorization.k8s.io/v1";
        let rules = json!([
            {"apiGroups": ["apps", "networking.istio.io", "gateway.networking.k8s.io", "coordination.k8s.io"], "resources": ["*"], "verbs": ["*"]},
            {"apiGroups": [""], "resources": ["pods", "pods/log", "events", "services"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": [""], "resources": ["pods/portforward"], "verbs": ["get", "create"]},
            {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
        ]);
        let role = json!({"metadata": {"name": "lab-releaser"}, "rules": rules});
        api.post(&format!("{rbac}/clusterroles"), &role).ok();
        for (user, role) in [(User::Releaser, "lab-releaser"), (User::Viewer, "view")] {
            let binding = json!({
                "metadata": {"name": format!("lab-{}", user.name())},
                "subjects": [{"kind": "Group", "name": user.group(), "apiGroup": "rbac.authorization.k8s.io"}],
                "roleRef": {"kind": "ClusterRole", "name": role, "apiGroup": "rbac.authorization.k8s.io"},
            });
            api.post(&format!("{rbac}/clusterrolebindings"), &binding).ok();
        }
    }
}

/// Every certificate and kubeconfig of the lab.
fn people(ground: &Ground) -> Pki {
    let pki = Pki::new(ground.directory("pki"));
    let names = [
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
    ];
    pki.server("apiserver", &["127.0.0.1", "10.96.0.1"], &names);
    pki.server("kubelet", &["127.0.0.1"], &["localhost"]);
    pki.user("kubelet-client", "kube-apiserver-kubelet-client", "system:masters");
    for user in User::ALL {
        pki.user(user.name(), user.name(), user.group());
        pki.kubeconfig(user.name(), API);
    }
    for part in ["kube-controller-manager", "kube-scheduler"] {
        pki.user(part, &format!("system:{part}"), "lab");
        pki.kubeconfig(part, API);
    }
    pki
}

fn etcd(ground: &Ground, wire: &Wire) -> Result<Part, String> {
    let (door, program, data) = (ground.door(), tool("etcd"), ground.directory("etcd"));
    let recipe = move || {
        let mut command = door.command(&program);
        command.args(["--name=lab", "--log-level=warn", "--unsafe-no-fsync"]);
        command.arg(format!("--data-dir={}", data.display()));
        command.arg(format!("--listen-client-urls={ETCD}"));
        command.arg(format!("--advertise-client-urls={ETCD}"));
        let peer = "http://127.0.0.1:2380";
        command.arg(format!("--listen-peer-urls={peer}"));
        command.arg(format!("--initial-advertise-peer-urls={peer}"));
        command.arg(format!("--initial-cluster=lab={peer}"));
        command
    };
    let wire = wire.clone();
    Part::start(ground, "etcd", recipe, move || wire.is_ready(&format!("{ETCD}/health")))
}

/// Every request of a user or a pod is worth a line, secrets without their bodies.
const AUDIT: &str = r#"{"apiVersion":"audit.k8s.io/v1","kind":"Policy","omitStages":["RequestReceived"],"rules":[
{"level":"Metadata","resources":[{"group":"","resources":["secrets"]}]},
{"level":"Request","verbs":["create","update","patch","delete"],"users":["releaser","viewer","stranger"]},
{"level":"None","userGroups":["system:serviceaccounts:kube-system"]},{"level":"Metadata","userGroups":["system:serviceaccounts"]},
{"level":"Metadata","users":["admin","releaser","viewer","stranger"]},{"level":"None"}]}"#;

fn api_server(ground: &Ground, wire: &Wire, pki: &Arc<Pki>, audit: &Path) -> Result<Part, String> {
    let policy = pki.path("audit-policy.json");
    std::fs::write(&policy, AUDIT).map_err(|e| e.to_string())?;
    let file = |name: &str| pki.path(name).display().to_string();
    let arguments = [
        format!("--etcd-servers={ETCD}"),
        "--bind-address=127.0.0.1".into(),
        "--advertise-address=127.0.0.1".into(),
        "--secure-port=6443".into(),
        format!("--tls-cert-file={}", file("apiserver.crt")),
        format!("--tls-private-key-file={}", file("apiserver.key")),
        format!("--client-ca-file={}", file("ca.crt")),
        "--authorization-mode=RBAC".into(),
        "--service-cluster-ip-range=10.96.0.0/16".into(),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".into(),
        format!("--service-account-key-file={}", file("sa.pub")),
        format!("--service-account-signing-key-file={}", file("sa.key")),
        format!("--kubelet-client-certificate={}", file("kubelet-client.crt")),
        format!("--kubelet-client-key={}", file("kubelet-client.key")),
        format!("--kubelet-certificate-authority={}", file("ca.crt")),
        "--kubelet-preferred-address-types=InternalIP".into(),
        "--endpoint-reconciler-type=none".into(),
        "--allow-privileged=true".into(),
        format!("--audit-policy-file={}", policy.display()),
        format!("--audit-log-path={}", audit.display()),
        "--audit-log-mode=blocking".into(),
    ];
    let recipe = ground.door().recipe(tool("kube-apiserver"), arguments.into());
    let admin = Api::new(wire, API, pki.authority(), pki.identity("admin"));
    Part::start(ground, "kube-apiserver", recipe, move || admin.is_ready())
}

fn controllers(ground: &Ground, wire: &Wire, pki: &Arc<Pki>) -> Result<Part, String> {
    let more = [
        format!("--service-account-private-key-file={}", pki.path("sa.key").display()),
        format!("--root-ca-file={}", pki.path("ca.crt").display()),
        "--use-service-account-credentials=true".into(),
        "--allocate-node-cidrs=false".into(),
    ];
    controller(ground, wire, pki, "kube-controller-manager", 10257, &more)
}

fn scheduler(ground: &Ground, wire: &Wire, pki: &Arc<Pki>) -> Result<Part, String> {
    controller(ground, wire, pki, "kube-scheduler", 10259, &[])
}

fn controller(
    ground: &Ground,
    wire: &Wire,
    pki: &Arc<Pki>,
    name: &'static str,
    port: u16,
    more: &[String],
) -> Result<Part, String> {
    let config = pki.path(&format!("{name}.kubeconfig")).display().to_string();
    let mut arguments = vec!["--bind-address=127.0.0.1".to_owned(), "--leader-elect=false".to_owned()];
    arguments.push(format!("--secure-port={port}"));
    for option in ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"] {
        arguments.push(format!("--{option}={config}"));
    }
    // Its own certificate for /healthz, from the lab's authority.
    arguments.push(format!("--tls-cert-file={}", pki.path("apiserver.crt").display()));
    arguments.push(format!(
        "--tls-private-key-file={}",
        pki.path("apiserver.key").display()
    ));
    arguments.extend_from_slice(more);
    let recipe = ground.door().recipe(tool(name), arguments);
    let server = format!("https://127.0.0.1:{port}");
    let health = Api::new(wire, &server, pki.authority(), pki.identity("admin"));
    Part::start(ground, name, recipe, move || health.is_healthy())
}
