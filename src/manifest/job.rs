//! The driver of a release as a Job of its namespace: what it is told, what it may do, how it is kept alive. Pure.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::kubernetes::{hardened, nobody};
use crate::config::service::FILE;
use crate::config::yaml;
use crate::failure::Failure;

/// The driver's container.
pub const CONTAINER: &str = "driver";

/// Who the driver is, before its pod's name: `job@msctl-canary-payment-x7k2p`.
pub const ACTOR: &str = "job";

/// The service's directory in the pod. It keeps the journal, so it can be written; its msctl.yaml cannot.
const DIRECTORY: &str = "/var/run/msctl";

/// Taking traffic back may take 30 s until the proxies show it, and requests that are not answered 10 s each.
const GRACE_SECONDS: u32 = 120;

/// A driver that is killed is followed by another one so often.
const RETRIES: u32 = 6;

/// So long its log can be read when it is over: a day.
const KEPT_SECONDS: u32 = 86_400;

/// The exit codes that are an answer of the release: nobody is to go on. 4, and whatever is no code of msctl's, leaves a release that
/// somebody has to go on with.
const ANSWERS: [u8; 4] = [1, 2, 3, 143];

/// The exit code of a driver that was asked to end. What it left standing, as it was told to, is for the next one.
const ASKED_TO_END: u8 = 130;

/// A driver to be.
#[derive(Clone, Debug)]
pub struct Job<'a> {
    /// What it is called, and all that is made for it.
    pub name: &'a str,
    /// What is released.
    pub service: &'a str,
    /// Where the release is.
    pub namespace: &'a str,
    /// msctl.yaml, whole.
    pub description: &'a str,
    /// An image whose entrypoint is msctl.
    pub image: &'a str,
    /// What it is told, after the directory.
    pub arguments: &'a [String],
    /// The objects that it moves.
    pub routes: Vec<Moved<'a>>,
    /// The Lease that it holds.
    pub lease: &'a str,
    /// Where istiod is.
    pub mesh: &'a str,
    /// Where else proxies are that it asks.
    pub callers: &'a Callers,
    /// Whether it leaves traffic where it is when it is asked to end.
    pub holds: bool,
    /// Who is told how it goes.
    pub notify: Notify<'a>,
}

/// An object that a driver moves.
#[derive(Clone, Copy, Debug)]
pub struct Moved<'a> {
    /// The API group.
    pub group: &'a str,
    /// What the API calls objects of its kind.
    pub plural: &'a str,
    /// Where it is.
    pub namespace: &'a str,
    /// What it is called there.
    pub name: &'a str,
}

/// Where the proxies are that a driver asks, beside its own namespace and that of istiod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Callers {
    /// In these namespaces.
    In(BTreeSet<String>),
    /// Anywhere, also in namespaces that are to come.
    Anywhere,
}

/// The webhook that is told. Its address is a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify<'a> {
    /// There is none.
    Nobody,
    /// There is one, whose address is not to be shown: its Secret is not among the objects.
    Unnamed,
    /// At this address.
    To(&'a str),
}

impl Job<'_> {
    /// All that there is to make, the Job last.
    pub fn objects(&self) -> Vec<Value> {
        let mut objects = vec![self.account(), self.map()];
        if let Notify::To(url) = self.notify {
            objects.push(self.secret(url));
        }
        for namespace in self.namespaces() {
            objects.extend(self.role(namespace));
        }
        if *self.callers == Callers::Anywhere {
            objects.extend(self.cluster_role());
        }
        objects.push(self.job());
        objects
    }

    /// The same as YAML for `kubectl apply`, with what is to be known of it at its head.
    pub fn render(&self) -> Result<String, Failure> {
        let written = self.objects().iter().map(yaml::write).collect::<Result<Vec<_>, _>>()?;
        let head = format!(
            "# The driver of a release of `{}`. Made by msctl canary run --in-cluster --dry-run.\n\
             # It begins when this is applied, once. What is left of it, when it is over:\n\
             # {}\n",
            self.service,
            self.removal()
        );
        let secret = match self.notify {
            Notify::Nobody | Notify::To(_) => String::new(),
            Notify::Unnamed => format!(
                "# The address of the webhook is a secret, and not shown. Before this is applied:\n\
                 # kubectl create secret generic {} -n {} --from-literal=notify=…\n",
                self.secret_name(),
                self.namespace
            ),
        };
        Ok(head + &secret + &written.join("---\n"))
    }

    /// What takes it all away, in every namespace.
    pub fn removal(&self) -> String {
        format!(
            "kubectl delete job,configmap,secret,serviceaccount,role,rolebinding,clusterrole,clusterrolebinding -A -l {}",
            self.selector()
        )
    }

    /// The labels that all of it has, and nothing else.
    fn selector(&self) -> String {
        format!(
            "app.kubernetes.io/instance={},msctl.dev/namespace={}",
            self.name, self.namespace
        )
    }

    /// The namespaces in which it may do something, its own first.
    fn namespaces(&self) -> Vec<&str> {
        let mut others = BTreeSet::from([self.mesh]);
        others.extend(self.routes.iter().map(|route| route.namespace));
        if let Callers::In(namespaces) = self.callers {
            others.extend(namespaces.iter().map(String::as_str));
        }
        others.remove(self.namespace);
        std::iter::once(self.namespace).chain(others).collect()
    }

    /// No `app`: its pod must get none of the service's traffic, nor be cut off by the service's network policy.
    fn labels(&self) -> Value {
        json!({
            "app.kubernetes.io/name": "msctl-canary",
            "app.kubernetes.io/instance": self.name,
            "app.kubernetes.io/part-of": self.service,
            "app.kubernetes.io/managed-by": "msctl",
            "msctl.dev/namespace": self.namespace,
        })
    }

    fn metadata(&self, name: &str, namespace: &str) -> Value {
        json!({ "name": name, "namespace": namespace, "labels": self.labels() })
    }

    fn account(&self) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": self.metadata(self.name, self.namespace),
            "automountServiceAccountToken": false,
        })
    }

    /// Its content is a part of its name: what a driver was told does not change under it, nor under the one that follows it.
    fn map(&self) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": self.metadata(&self.map_name(), self.namespace),
            "immutable": true,
            "data": { FILE: self.description },
        })
    }

    fn map_name(&self) -> String {
        let sum = blake3::hash(self.description.as_bytes()).to_hex();
        format!("{}-{}", self.name, &sum[..8])
    }

    fn secret(&self, url: &str) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": self.metadata(&self.secret_name(), self.namespace),
            "type": "Opaque",
            "stringData": { "notify": url },
        })
    }

    fn secret_name(&self) -> String {
        format!("{}-notify", self.name)
    }

    /// What is called so where many releases share a place.
    fn own_name(&self) -> String {
        format!("{}.{}", self.name, self.namespace)
    }

    /// A role of this namespace, and who has it.
    fn role(&self, namespace: &str) -> [Value; 2] {
        let name = if namespace == self.namespace {
            self.name.to_owned()
        } else {
            self.own_name()
        };
        let metadata = self.metadata(&name, namespace);
        self.granted("Role", &name, &metadata, &self.rules(namespace))
    }

    fn cluster_role(&self) -> [Value; 2] {
        let name = self.own_name();
        let metadata = json!({ "name": name, "labels": self.labels() });
        self.granted("ClusterRole", &name, &metadata, &[forwarding()])
    }

    fn granted(&self, kind: &str, name: &str, metadata: &Value, rules: &[Value]) -> [Value; 2] {
        let group = "rbac.authorization.k8s.io";
        let (version, binding) = (format!("{group}/v1"), format!("{kind}Binding"));
        [
            json!({ "apiVersion": version, "kind": kind, "metadata": metadata, "rules": rules }),
            json!({
                "apiVersion": version,
                "kind": binding,
                "metadata": metadata,
                "roleRef": { "apiGroup": group, "kind": kind, "name": name },
                "subjects": [{ "kind": "ServiceAccount", "name": self.name, "namespace": self.namespace }],
            }),
        ]
    }

    /// What the driver asks of the API server, and nothing else. What is created has no name yet, so none can be said.
    fn rules(&self, namespace: &str) -> Vec<Value> {
        let mut rules: Vec<Value> = (self.routes.iter())
            .filter(|route| route.namespace == namespace)
            .map(|route| named(rule(route.group, route.plural, &["get", "patch", "watch"]), route.name))
            .collect();
        let leases = "coordination.k8s.io";
        if namespace == self.namespace {
            rules.push(named(rule(leases, "leases", &["delete", "get", "update"]), self.lease));
            rules.push(rule(leases, "leases", &["create"]));
            rules.push(rule("", "events", &["create"]));
        }
        if namespace == self.namespace {
            rules.push(rule("", "pods", &["list", "watch"]));
        } else if namespace == self.mesh {
            rules.push(rule("", "pods", &["list"]));
        }
        if *self.callers != Callers::Anywhere {
            rules.push(forwarding());
        }
        rules
    }

    fn job(&self) -> Value {
        let mut answers = ANSWERS.to_vec();
        if !self.holds {
            answers.push(ASKED_TO_END);
            answers.sort_unstable();
        }
        json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": self.metadata(self.name, self.namespace),
            "spec": {
                "backoffLimit": RETRIES,
                "ttlSecondsAfterFinished": KEPT_SECONDS,
                "podFailurePolicy": {
                    "rules": [{
                        "action": "FailJob",
                        "onExitCodes": { "containerName": CONTAINER, "operator": "In", "values": answers },
                    }],
                },
                "template": {
                    "metadata": { "labels": self.pod_labels(), "annotations": { "cluster-autoscaler.kubernetes.io/safe-to-evict": "false" } },
                    "spec": self.pod(),
                },
            },
        })
    }

    /// A sidecar would keep the Job from ending, and the driver calls nothing through the mesh.
    fn pod_labels(&self) -> Value {
        let mut labels = self.labels();
        labels["sidecar.istio.io/inject"] = "false".into();
        labels
    }

    fn pod(&self) -> Value {
        json!({
            "serviceAccountName": self.name,
            "automountServiceAccountToken": true,
            "enableServiceLinks": false,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            "securityContext": nobody(),
            "containers": [self.container()],
            "volumes": [
                { "name": "release", "emptyDir": { "sizeLimit": "1Gi" } },
                { "name": "description", "configMap": { "name": self.map_name() } },
            ],
        })
    }

    /// An image that is there already is not asked for again: no registry stands between a release and its next driver.
    fn container(&self) -> Value {
        let place = ["-C", DIRECTORY].map(str::to_owned);
        json!({
            "name": CONTAINER,
            "image": self.image,
            "imagePullPolicy": "IfNotPresent",
            "args": place.iter().chain(self.arguments).collect::<Vec<_>>(),
            "env": self.environment(),
            "resources": {
                "requests": { "cpu": "50m", "memory": "64Mi", "ephemeral-storage": "64Mi" },
                "limits": { "cpu": "1", "memory": "256Mi", "ephemeral-storage": "1Gi" },
            },
            "securityContext": hardened(),
            "volumeMounts": [
                { "name": "release", "mountPath": DIRECTORY },
                { "name": "description", "mountPath": format!("{DIRECTORY}/{FILE}"), "subPath": FILE, "readOnly": true },
            ],
        })
    }

    fn environment(&self) -> Vec<Value> {
        let mut variables = vec![json!({ "name": "USER", "value": ACTOR })];
        if self.notify != Notify::Nobody {
            let key = json!({ "name": self.secret_name(), "key": "notify" });
            variables.push(json!({ "name": "MSCTL_NOTIFY", "valueFrom": { "secretKeyRef": key } }));
        }
        variables
    }
}

fn rule(group: &str, resource: &str, verbs: &[&str]) -> Value {
    json!({ "apiGroups": [group], "resources": [resource], "verbs": verbs })
}

/// The same for one object alone.
fn named(mut rule: Value, name: &str) -> Value {
    rule["resourceNames"] = json!([name]);
    rule
}

/// A forwarded port over a WebSocket begins with a GET: API servers before 1.35 ask for `get`, later ones for `create`.
fn forwarding() -> Value {
    rule("", "pods/portforward", &["create", "get"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn virtual_service<'a>(namespace: &'a str, name: &'a str) -> Moved<'a> {
        Moved {
            group: "networking.istio.io",
            plural: "virtualservices",
            namespace,
            name,
        }
    }

    fn job<'a>(arguments: &'a [String], callers: &'a Callers, notify: Notify<'a>) -> Job<'a> {
        Job {
            name: "msctl-canary-payment",
            service: "payment",
            namespace: "shop",
            description: "name: payment\n",
            image: "registry.example/msctl:0.1.0",
            arguments,
            routes: vec![virtual_service("shop", "pay")],
            lease: "msctl-canary-payment",
            mesh: "istio-system",
            callers,
            holds: false,
            notify,
        }
    }

    fn callers(namespaces: &[&str]) -> Callers {
        Callers::In(namespaces.iter().map(|&n| n.to_owned()).collect())
    }

    fn names(objects: &[Value]) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let name = |o: &Value| {
            let of = &o["metadata"];
            format!("{} {}/{}", text(&o["kind"]), text(&of["namespace"]), text(&of["name"]))
        };
        objects.iter().map(name).collect()
    }

    #[test]
    fn the_job_comes_last_and_all_of_it_has_the_labels_that_remove_it() {
        let (none, few) = (callers(&[]), callers(&["web", "shop"]));
        let objects = job(&[], &none, Notify::Nobody).objects();
        let sum = &blake3::hash(b"name: payment\n").to_hex()[..8];
        assert_eq!(
            names(&objects),
            [
                "ServiceAccount shop/msctl-canary-payment".to_owned(),
                format!("ConfigMap shop/msctl-canary-payment-{sum}"),
                "Role shop/msctl-canary-payment".into(),
                "RoleBinding shop/msctl-canary-payment".into(),
                "Role istio-system/msctl-canary-payment.shop".into(),
                "RoleBinding istio-system/msctl-canary-payment.shop".into(),
                "Job shop/msctl-canary-payment".into(),
            ]
        );
        let more = job(&[], &few, Notify::To("https://hooks.example/T0")).objects();
        assert!(names(&more).contains(&"Secret shop/msctl-canary-payment-notify".to_owned()));
        assert!(names(&more).contains(&"Role web/msctl-canary-payment.shop".to_owned()));
        let anywhere = job(&[], &Callers::Anywhere, Notify::Nobody).objects();
        assert!(names(&anywhere).contains(&"ClusterRole -/msctl-canary-payment.shop".to_owned()));
        for object in objects.iter().chain(&more).chain(&anywhere) {
            let labels = &object["metadata"]["labels"];
            assert_eq!(labels["app.kubernetes.io/instance"], "msctl-canary-payment");
            assert_eq!(labels["msctl.dev/namespace"], "shop");
        }
    }

    #[test]
    fn it_may_do_what_the_driver_does_and_no_more() {
        let (none, web) = (callers(&[]), callers(&["web"]));
        let few = job(&[], &none, Notify::Nobody);
        assert_eq!(
            json!(few.rules("shop")),
            json!([
                { "apiGroups": ["networking.istio.io"], "resources": ["virtualservices"], "verbs": ["get", "patch", "watch"], "resourceNames": ["pay"] },
                { "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["delete", "get", "update"], "resourceNames": ["msctl-canary-payment"] },
                { "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"] },
                { "apiGroups": [""], "resources": ["events"], "verbs": ["create"] },
                { "apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"] },
                { "apiGroups": [""], "resources": ["pods/portforward"], "verbs": ["create", "get"] },
            ])
        );
        let (list, forward) = (rule("", "pods", &["list"]), forwarding());
        assert_eq!(json!(few.rules("istio-system")), json!([list, forward]));
        assert_eq!(json!(job(&[], &web, Notify::Nobody).rules("web")), json!([forward]));
        // Where it may ask proxies anywhere, no namespace says it once more.
        let anywhere = job(&[], &Callers::Anywhere, Notify::Nobody);
        assert_eq!(json!(anywhere.rules("istio-system")), json!([list]));
        assert_eq!(anywhere.cluster_role()[0]["rules"], json!([forward]));
    }

    #[test]
    fn what_it_moves_elsewhere_it_may_move_there_and_nothing_else() {
        let none = callers(&[]);
        let both = Job {
            routes: vec![virtual_service("shop", "pay"), virtual_service("web", "all")],
            ..job(&[], &none, Notify::Nobody)
        };
        assert_eq!(both.namespaces(), ["shop", "istio-system", "web"]);
        assert_eq!(
            json!(both.rules("web")),
            json!([
                { "apiGroups": ["networking.istio.io"], "resources": ["virtualservices"], "verbs": ["get", "patch", "watch"], "resourceNames": ["all"] },
                { "apiGroups": [""], "resources": ["pods/portforward"], "verbs": ["create", "get"] },
            ])
        );
        let of_both = json!(both.rules("shop"));
        assert!(of_both.to_string().contains("pay") && !of_both.to_string().contains("all\""));
    }

    #[test]
    fn its_pod_is_no_pod_of_the_service() {
        let none = callers(&[]);
        let objects = job(&[], &none, Notify::Nobody).objects();
        let template = &objects[objects.len() - 1]["spec"]["template"];
        assert!(template["metadata"]["labels"].get("app").is_none());
        assert_eq!(template["metadata"]["labels"]["sidecar.istio.io/inject"], "false");
        assert_eq!(template["spec"]["restartPolicy"], "Never");
    }

    #[test]
    fn an_answer_ends_the_job_and_a_release_that_was_left_does_not() {
        let none = callers(&[]);
        let codes = |holds: bool| {
            let job = Job {
                holds,
                ..job(&[], &none, Notify::Nobody)
            };
            job.job()["spec"]["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"].clone()
        };
        assert_eq!(codes(false), json!([1, 2, 3, 130, 143]));
        assert_eq!(codes(true), json!([1, 2, 3, 143]));
    }

    #[test]
    fn what_is_printed_is_what_is_made_but_for_the_secret() {
        let none = callers(&[]);
        let arguments = ["canary".to_owned(), "--steps=1,5".into(), "yes".into()];
        for notify in [Notify::Nobody, Notify::Unnamed] {
            let job = job(&arguments, &none, notify);
            let text = job.render().unwrap();
            assert_eq!(yaml::documents("x", text.as_bytes()).unwrap(), job.objects());
            assert_eq!(text.contains("create secret"), notify == Notify::Unnamed);
            assert!(text.contains(&job.removal()) && !text.contains("kind: Secret"));
        }
    }
}
