//! A bell that rings when documents are changed. It says that, and not how: who hears it reads them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::http::Request;
use kube::client::Body;
use kube::{Client, Error};
use tokio::task::JoinHandle;

/// How long it is until a watch that ended is begun again.
const AGAIN: Duration = Duration::from_secs(1);

/// Rings when documents are changed, for those who may watch them, and wakes the thread that hung it.
#[derive(Debug)]
pub struct Bell {
    rope: Arc<Rope>,
    watching: JoinHandle<()>,
}

#[derive(Debug)]
struct Rope {
    rung: AtomicBool,
    /// Whether the API server tells of changes.
    told: AtomicBool,
    sleeper: Thread,
}

impl Bell {
    /// Watches what this path, that of a collection, has with this selector. To be called inside the runtime of its client.
    pub(super) fn hang(client: Client, collection: &str, selector: &str) -> Self {
        let rope = Arc::new(Rope {
            rung: AtomicBool::new(false),
            told: AtomicBool::new(false),
            sleeper: std::thread::current(),
        });
        let path = format!("{collection}?watch=true&{selector}&timeoutSeconds=300");
        let watching = tokio::spawn(watch(client, path, Arc::clone(&rope)));
        Self { rope, watching }
    }

    /// Whether it rang since it was hushed.
    pub fn rang(&self) -> bool {
        self.rope.rung.load(Ordering::Acquire)
    }

    /// Before the documents are read: what comes later rings again.
    pub fn hush(&self) {
        self.rope.rung.store(false, Ordering::Release);
    }

    /// Whether what was read after it was hushed is so still, as far as it is told. It is not, where nobody tells it.
    pub fn is_still(&self) -> bool {
        self.rope.told.load(Ordering::Acquire) && !self.rang()
    }
}

impl Rope {
    fn ring(&self) {
        self.rung.store(true, Ordering::Release);
        self.sleeper.unpark();
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

async fn watch(client: Client, path: String, rope: Arc<Rope>) {
    loop {
        let Ok(request) = Request::get(&path).body(Body::empty()) else {
            return;
        };
        match client.send(request).await {
            Ok(answer) if answer.status().is_success() => {
                rope.told.store(true, Ordering::Release);
                // What was changed before anybody told of it may have been read before.
                rope.ring();
                let mut body = answer.into_body();
                while let Some(Ok(_)) = body.frame().await {
                    rope.ring();
                }
                rope.told.store(false, Ordering::Release);
            }
            // Who may not watch looks as often as it is told to.
            Ok(answer) if matches!(answer.status().as_u16(), 401 | 403 | 404) => return,
            Err(Error::Auth(_)) => return,
            _ => {}
        }
        tokio::time::sleep(AGAIN).await;
    }
}
