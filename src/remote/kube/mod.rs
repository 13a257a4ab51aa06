//! The door to a Kubernetes API server: who to be from a kubeconfig, then requests with a deadline, as JSON.
//!
//! It knows no kind of object: paths and documents come in as values. Signing in (certificates, tokens, programs that give
//! one) is kube's.

mod bell;

pub use bell::Bell;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::http::{Method, Request};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::failure::{Failure, Kind};

/// No answer after this counts as none.
const DEADLINE: Duration = Duration::from_secs(10);

/// In whose name documents are changed.
pub const FIELD_MANAGER: &str = "msctl";

/// Bytes of what a pod answers that are read.
const MOST: usize = 64 * 1024 * 1024;

/// Which cluster, as who.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// The file; without it `KUBECONFIG`, then `~/.kube/config`, then the account of the pod this runs in.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it; without it the current one.
    pub context: Option<String>,
}

/// A cluster that can be asked.
pub struct Cluster {
    runtime: Runtime,
    client: Client,
    /// Where it is, for errors.
    server: String,
    namespace: String,
    /// What is sent and not waited for.
    aside: Mutex<Vec<JoinHandle<()>>>,
}

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The server said no, with this status.
    Status {
        /// 404, 409, 422 …
        code: u16,
        /// Its words.
        message: String,
    },
    /// No answer, or one that cannot be read. Why.
    NoAnswer(String),
}

impl Refusal {
    /// The status, if the server answered.
    pub const fn code(&self) -> Option<u16> {
        match self {
            Self::Status { code, .. } => Some(*code),
            Self::NoAnswer(_) => None,
        }
    }

    /// As a failure: `what` could not be done.
    pub fn failed(self, what: impl Into<String>) -> Failure {
        let kind = match self.code() {
            Some(401 | 403) => Kind::Denied,
            Some(404 | 410) => Kind::NoEvidence,
            Some(409 | 422) => Kind::Conflict,
            _ => Kind::Unreachable,
        };
        let failure = Failure::new(kind, what).caused_by(self);
        match kind {
            Kind::Unreachable => failure.hint("kubectl cluster-info    says whether the cluster answers"),
            Kind::Denied => failure.hint("kubectl auth can-i --list    says what you may do"),
            _ => failure,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { code, message } => write!(f, "{message} ({code})"),
            Self::NoAnswer(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Refusal {}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// Reads who to be; it connects to nothing yet.
    pub fn open(access: &Access) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|e| Failure::new(Kind::Io, "cannot start a client for Kubernetes").caused_by(e))?;
        let mut config = runtime.block_on(config(access))?;
        config.connect_timeout = Some(DEADLINE);
        let server = config.cluster_url.to_string();
        let namespace = config.default_namespace.clone();
        let guard = runtime.enter();
        let client = Client::try_from(config)
            .map_err(|e| Failure::new(Kind::Config, format!("cannot sign in at {server}")).caused_by(e))?;
        drop(guard);
        Ok(Self {
            runtime,
            client,
            server,
            namespace,
            aside: Mutex::default(),
        })
    }

    /// Where it is.
    pub fn server(&self) -> &str {
        self.server.trim_end_matches('/')
    }

    /// The namespace of the context.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The document at this path.
    pub fn get(&self, path: &str) -> Result<Value, Refusal> {
        parsed(&self.ask(Method::GET, path, "", Vec::new())?)
    }

    /// The text at this path: what a proxied pod or service answers, a log.
    pub fn text(&self, path: &str) -> Result<String, Refusal> {
        self.ask(Method::GET, path, "", Vec::new())
    }

    /// Operations of RFC 6902, all or none; the document as it is then.
    pub fn patch(&self, path: &str, operations: &Value) -> Result<Value, Refusal> {
        let body = operations.to_string().into_bytes();
        let path = format!("{path}?fieldManager={FIELD_MANAGER}");
        parsed(&self.ask(Method::PATCH, &path, "application/json-patch+json", body)?)
    }

    /// A new document; the path is that of its collection.
    pub fn create(&self, path: &str, document: &Value) -> Result<Value, Refusal> {
        let body = document.to_string().into_bytes();
        parsed(&self.ask(Method::POST, path, "application/json", body)?)
    }

    /// A new document that nobody waits for, and that may be lost.
    pub fn create_aside(&self, path: &str, document: &Value) {
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header("content-type", "application/json");
        let Ok(request) = request.body(document.to_string().into_bytes()) else {
            return;
        };
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move {
            _ = tokio::time::timeout(DEADLINE, client.request_text(request)).await;
        });
        let mut aside = self.aside.lock().unwrap_or_else(PoisonError::into_inner);
        aside.retain(|one| !one.is_finished());
        aside.push(sent);
    }

    /// Waits so long for what was sent aside.
    pub fn flush(&self, limit: Duration) {
        let aside = std::mem::take(&mut *self.aside.lock().unwrap_or_else(PoisonError::into_inner));
        self.runtime.block_on(async {
            let all = async {
                for one in aside {
                    _ = one.await;
                }
            };
            _ = tokio::time::timeout(limit, all).await;
        });
    }

    /// A bell that rings when the document at this path is changed.
    pub fn bell(&self, path: &str) -> Bell {
        let (collection, name) = path.rsplit_once('/').unwrap_or((path, ""));
        self.bell_of(collection, &format!("fieldSelector=metadata.name%3D{name}"))
    }

    /// A bell that rings when one of those is changed that this collection has with this selector, as it stands in a query.
    pub fn bell_of(&self, collection: &str, selector: &str) -> Bell {
        let _inside = self.runtime.enter();
        Bell::hang(self.client.clone(), collection, selector)
    }

    /// The document anew, if it still is of the version that it names.
    pub fn replace(&self, path: &str, document: &Value) -> Result<Value, Refusal> {
        let body = document.to_string().into_bytes();
        parsed(&self.ask(Method::PUT, path, "application/json", body)?)
    }

    /// Gone.
    pub fn delete(&self, path: &str) -> Result<(), Refusal> {
        self.ask(Method::DELETE, path, "", Vec::new()).map(drop)
    }

    fn ask(&self, method: Method, path: &str, kind: &str, body: Vec<u8>) -> Result<String, Refusal> {
        let mut request = Request::builder().method(method).uri(path);
        if !kind.is_empty() {
            request = request.header("content-type", kind);
        }
        let request = request.body(body).map_err(|e| Refusal::NoAnswer(e.to_string()))?;
        self.runtime.block_on(async {
            match tokio::time::timeout(DEADLINE, self.client.request_text(request)).await {
                Err(_) => Err(Refusal::NoAnswer(format!(
                    "no answer within {} seconds",
                    DEADLINE.as_secs()
                ))),
                Ok(Err(error)) => Err(refusal(&error)),
                Ok(Ok(text)) => Ok(text),
            }
        })
    }

    /// What these ports of pods answer to a GET of `path`, all at once, through a connection that the API server forwards; so
    /// even what listens on the pod's own loopback address answers.
    pub fn ask_pods(&self, pods: &[(String, String)], port: u16, path: &str) -> Vec<Result<String, Refusal>> {
        self.runtime.block_on(async {
            let asked: Vec<_> = pods
                .iter()
                .map(|(namespace, pod)| {
                    let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
                    let (pod, path) = (pod.clone(), path.to_owned());
                    tokio::spawn(tokio::time::timeout(DEADLINE, forwarded(api, pod, port, path)))
                })
                .collect();
            let mut answers = Vec::new();
            for one in asked {
                answers.push(match one.await {
                    Ok(Ok(answer)) => answer,
                    Ok(Err(_)) => Err(Refusal::NoAnswer("no answer in time".to_owned())),
                    Err(error) => Err(Refusal::NoAnswer(error.to_string())),
                });
            }
            answers
        })
    }
}

async fn config(access: &Access) -> Result<Config, Failure> {
    let options = KubeConfigOptions {
        context: access.context.clone(),
        ..KubeConfigOptions::default()
    };
    let wrong = |what: String, error: kube::config::KubeconfigError| {
        Failure::new(Kind::Config, what)
            .caused_by(error)
            .hint("kubectl config get-contexts    shows what there is")
    };
    let read = match &access.kubeconfig {
        Some(path) => Kubeconfig::read_from(path)
            .map_err(|e| wrong(format!("cannot read the kubeconfig `{}`", path.display()), e))
            .map(Some)?,
        None => match Kubeconfig::read() {
            Ok(found) => Some(found),
            Err(error) if access.context.is_some() => return Err(wrong("there is no kubeconfig".into(), error)),
            Err(error) => {
                return Config::incluster().map_err(|_| {
                    wrong("there is no kubeconfig".into(), error).hint("--kubeconfig FILE, or KUBECONFIG=FILE")
                });
            }
        },
    };
    let kubeconfig = read.unwrap_or_default();
    Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|e| wrong("the kubeconfig does not say how to reach a cluster".into(), e))
}

/// One GET over a forwarded port.
async fn forwarded(api: Api<Pod>, pod: String, port: u16, path: String) -> Result<String, Refusal> {
    let broken = |e: &dyn fmt::Display| Refusal::NoAnswer(format!("port {port} of {pod}: {e}"));
    let mut forward = api.portforward(&pod, &[port]).await.map_err(|e| refusal(&e))?;
    let stream = forward.take_stream(port).ok_or_else(|| broken(&"no stream"))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| broken(&e))?;
    let carried = tokio::spawn(connection);
    let request = Request::get(&path)
        .header("host", "localhost")
        .body(Empty::<Bytes>::new())
        .map_err(|e| broken(&e))?;
    let answer = sender.send_request(request).await.map_err(|e| broken(&e))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MOST).collect().await;
    let body = body.map_err(|e| broken(&e))?.to_bytes();
    carried.abort();
    forward.abort();
    let text = String::from_utf8_lossy(&body).into_owned();
    if status.is_success() {
        Ok(text)
    } else {
        Err(Refusal::Status {
            code: status.as_u16(),
            message: format!("port {port} of {pod} answers {status}"),
        })
    }
}

fn parsed(text: &str) -> Result<Value, Refusal> {
    serde_json::from_str(text).map_err(|e| Refusal::NoAnswer(format!("the answer is no JSON: {e}")))
}

fn refusal(error: &kube::Error) -> Refusal {
    match error {
        kube::Error::Api(status) => Refusal::Status {
            code: status.code,
            message: status.message.clone(),
        },
        other => {
            let mut last: &dyn std::error::Error = other;
            while let Some(next) = last.source() {
                last = next;
            }
            Refusal::NoAnswer(last.to_string())
        }
    }
}
