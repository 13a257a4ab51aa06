//! Clients inside the lab's network: an asynchronous runtime whose threads live there, and HTTP over it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Certificate, Client, Identity, Method, Response, Upgraded};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::ground::{Door, enter};

/// A runtime in the lab's network.
#[derive(Clone)]
pub(crate) struct Wire {
    runtime: Arc<Runtime>,
    client: Client,
}

impl Wire {
    /// Two threads there.
    pub(crate) fn new(door: Door) -> Self {
        let network = door.network();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .on_thread_start(move || enter(&network))
            .enable_all()
            .build();
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(10)).build();
        Self {
            runtime: Arc::new(runtime.expect("a runtime")),
            client: client.expect("a client"),
        }
    }

    /// Begins this there.
    pub(crate) fn spawn(&self, what: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(what);
    }

    /// Does this there, to its end: a socket belongs to the network of the thread that makes it.
    pub(crate) fn run<T: Send + 'static>(&self, what: impl Future<Output = T> + Send + 'static) -> T {
        let task = self.runtime.spawn(what);
        self.runtime.block_on(task).expect("it ends")
    }

    /// The status and the body of a GET.
    pub(crate) fn get(&self, url: &str) -> Result<(u16, String), String> {
        let (client, url) = (self.client.clone(), url.to_owned());
        self.run(async move {
            let answer = client.get(&url).send().await.map_err(|e| said(&e))?;
            let status = answer.status().as_u16();
            Ok((status, answer.text().await.map_err(|e| said(&e))?))
        })
    }

    /// The status of a PUT.
    pub(crate) fn put(&self, url: &str, body: &str) -> Result<u16, String> {
        let request = self.client.put(url).body(body.to_owned());
        self.run(async move {
            let answer = request.send().await.map_err(|e| said(&e))?;
            Ok(answer.status().as_u16())
        })
    }

    /// The status and the body of a POST of these bytes.
    pub(crate) fn post(&self, url: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Result<(u16, String), String> {
        let request = self.client.post(url).body(body);
        let request = headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value));
        self.run(async move {
            let answer = request.send().await.map_err(|e| said(&e))?;
            let status = answer.status().as_u16();
            Ok((status, answer.text().await.map_err(|e| said(&e))?))
        })
    }

    /// Whether a GET is answered with 200; if not, why.
    pub(crate) fn is_ready(&self, url: &str) -> Result<(), String> {
        match self.get(url)? {
            (200, _) => Ok(()),
            (status, body) => Err(format!("{url} answers {status}: {body}")),
        }
    }
}

/// A string of a JSON document; empty where there is none.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// An error with its causes.
pub(crate) fn said(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |e| e.source());
    std::iter::once(error.to_string())
        .chain(causes.map(ToString::to_string))
        .collect::<Vec<_>>()
        .join(": ")
}

/// The Kubernetes API as one user has it.
#[derive(Clone)]
pub(crate) struct Api {
    wire: Wire,
    client: Client,
    server: String,
}

/// What the API server answers.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The body, as JSON where it is.
    pub(crate) body: Value,
}

impl Answer {
    /// The body of a success.
    ///
    /// # Panics
    /// Where it is none.
    pub(crate) fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{}: {}", self.status, self.body);
        self.body
    }
}

impl Api {
    /// A client with this authority and identity (both PEM).
    pub(crate) fn new(wire: &Wire, server: &str, authority: &str, (certificate, key): (String, String)) -> Self {
        let authority = Certificate::from_pem(authority.as_bytes()).expect("a certificate");
        let identity = Identity::from_pem((certificate + &key).as_bytes()).expect("an identity");
        let client = Client::builder()
            .no_proxy()
            .tls_certs_only([authority])
            .identity(identity)
            .build();
        Self {
            wire: wire.clone(),
            client: client.expect("a client"),
            server: server.to_owned(),
        }
    }

    /// One request, in this runtime.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: Option<Value>,
    ) -> Result<Response, String> {
        let request = self.client.request(method, format!("{}{path}", self.server));
        let request = match body {
            Some(body) => request.header("content-type", kind).body(body.to_string()),
            None => request,
        };
        request.send().await.map_err(|e| said(&e))
    }

    /// A WebSocket that speaks this protocol, in this runtime; what was answered where there is none.
    pub(crate) async fn websocket(&self, path: &str, protocol: &str) -> Result<WebSocketStream<Upgraded>, String> {
        // The key and its answer are the example of RFC 6455.
        let request = self.client.get(format!("{}{path}", self.server));
        let request = request
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("sec-websocket-protocol", protocol);
        let answer = request.send().await.map_err(|e| said(&e))?;
        if answer.status() != 101 {
            return Err(format!(
                "{}: {}",
                answer.status(),
                answer.text().await.map_err(|e| said(&e))?
            ));
        }
        assert_eq!(answer.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(answer.headers()["sec-websocket-protocol"], protocol);
        let stream = answer.upgrade().await.map_err(|e| said(&e))?;
        Ok(WebSocketStream::from_raw_socket(stream, Role::Client, None).await)
    }

    /// One request and its answer, from outside of the runtime.
    pub(crate) fn ask(&self, method: Method, path: &str, kind: &str, body: Option<Value>) -> Result<Answer, String> {
        let (api, path, kind) = (self.clone(), path.to_owned(), kind.to_owned());
        self.wire.run(async move {
            let answer = api.send(method, &path, &kind, body).await?;
            let status = answer.status().as_u16();
            let text = answer.text().await.map_err(|e| said(&e))?;
            let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
            Ok(Answer { status, body })
        })
    }

    /// GET.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, "", None).expect("an answer")
    }

    /// POST, JSON.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        let answer = self.ask(Method::POST, path, "application/json", Some(body.clone()));
        answer.expect("an answer")
    }

    /// PATCH, as RFC 6902 has it.
    pub(crate) fn patch(&self, path: &str, operations: &Value) -> Answer {
        let kind = "application/json-patch+json";
        self.ask(Method::PATCH, path, kind, Some(operations.clone()))
            .expect("an answer")
    }

    /// DELETE.
    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.ask(Method::DELETE, path, "", None).expect("an answer")
    }

    /// Whether `/readyz` says so; if not, why.
    pub(crate) fn is_ready(&self) -> Result<(), String> {
        self.answers("/readyz")
    }

    /// Whether `/healthz` says so; if not, why.
    pub(crate) fn is_healthy(&self) -> Result<(), String> {
        self.answers("/healthz")
    }

    fn answers(&self, path: &str) -> Result<(), String> {
        match self.ask(Method::GET, path, "", None)? {
            Answer { status: 200, .. } => Ok(()),
            answer => Err(format!("{path} answers {}: {}", answer.status, answer.body)),
        }
    }
}
