//! A bell that rings when a document is changed. It says that, and not how: who hears it reads the document.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::http::Request;
use kube::client::Body;
use kube::{Client, Error};
use tokio::task::JoinHandle;

/// How long it is until a watch that ended is begun again.
const AGAIN: Duration = Duration::from_secs(1);

/// Rings when a document is changed, for those who may watch it. Where it does not ring, nothing is said of the document.
#[derive(Debug)]
pub struct Bell {
    rung: Arc<AtomicBool>,
    watching: JoinHandle<()>,
}

impl Bell {
    /// Watches the document at this path. To be called inside the runtime of its client.
    pub(super) fn hang(client: Client, path: &str) -> Self {
        let rung = Arc::new(AtomicBool::new(false));
        let (collection, name) = path.rsplit_once('/').unwrap_or((path, ""));
        let path = format!("{collection}?watch=true&fieldSelector=metadata.name%3D{name}&timeoutSeconds=300");
        let watching = tokio::spawn(watch(client, path, Arc::clone(&rung)));
        Self { rung, watching }
    }

    /// Whether it rang since it was hushed.
    pub fn rang(&self) -> bool {
        self.rung.load(Ordering::Acquire)
    }

    /// Before the document is read: what comes later rings again.
    pub fn hush(&self) {
        self.rung.store(false, Ordering::Release);
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

async fn watch(client: Client, path: String, rung: Arc<AtomicBool>) {
    loop {
        let Ok(request) = Request::get(&path).body(Body::empty()) else {
            return;
        };
        match client.send(request).await {
            Ok(answer) if answer.status().is_success() => {
                let mut body = answer.into_body();
                while let Some(Ok(_)) = body.frame().await {
                    rung.store(true, Ordering::Release);
                }
            }
            // Who may not watch looks as often as it is told to.
            Ok(answer) if matches!(answer.status().as_u16(), 401 | 403 | 404) => return,
            Err(Error::Auth(_)) => return,
            _ => {}
        }
        tokio::time::sleep(AGAIN).await;
    }
}
