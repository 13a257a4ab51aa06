//! What the API server said of an app's `VirtualService`, one sight for each change: it is followed, not asked, so that what stood
//! for a tenth of a second is seen too.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;

use crate::lab::wire::{Api, said};
use crate::lab::{User, lab};

/// A `VirtualService` as it was from this time on.
#[derive(Clone, Debug)]
pub(super) struct Sight {
    pub(super) at: Instant,
    /// What the canary is given, in percent.
    pub(super) weight: u64,
    pub(super) object: Value,
}

/// All that was seen of one.
#[derive(Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Vec<Sight>>>);

impl Seen {
    /// Follows the `VirtualService` of this namespace from now on, as long as the lab stands.
    pub(super) fn follow(namespace: &str) -> Self {
        let seen = Self::default();
        let path = format!(
            "/apis/networking.istio.io/v1/namespaces/{namespace}/virtualservices?watch=1&fieldSelector=metadata.name%3Dpayment"
        );
        let (api, all) = (lab().control_plane().api(User::Admin), seen.clone());
        lab().wire().spawn(async move {
            loop {
                // A watch ends now and then; the next one begins with what is.
                _ = all.watch(&api, &path).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        seen
    }

    async fn watch(&self, api: &Api, path: &str) -> Result<(), String> {
        let mut answer = api.send(Method::GET, path, "", None).await?;
        let mut rest = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|e| said(&e))? {
            rest.extend_from_slice(&chunk);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                let mut event: Value = serde_json::from_slice(&line).map_err(|e| e.to_string())?;
                if matches!(event["type"].as_str(), Some("ADDED" | "MODIFIED")) {
                    self.add(event["object"].take());
                }
            }
        }
        Ok(())
    }

    fn add(&self, object: Value) {
        let (at, weight) = (Instant::now(), weight(&object));
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Sight { at, weight, object });
    }

    /// What was seen after this time.
    pub(super) fn since(&self, from: Instant) -> Vec<Sight> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|sight| sight.at > from).cloned().collect()
    }

    /// What the canary is given now; nothing, before the first sight.
    pub(super) fn now(&self) -> u64 {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.last().map_or(0, |sight| sight.weight)
    }

    /// The highest weight after this time.
    pub(super) fn most(&self, from: Instant) -> u64 {
        self.since(from).iter().map(|sight| sight.weight).max().unwrap_or(0)
    }
}

/// Whether a destination of a route is the canary: a subset, or a Service of its own.
pub(super) fn is_canary(destination: &Value) -> bool {
    let of = |field: &str| {
        destination["destination"][field]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    of("subset") == "canary" || of("host").starts_with("payment-canary")
}

/// What the canary is given, in percent: the most of all routes.
fn weight(object: &Value) -> u64 {
    let routes = object["spec"]["http"].as_array().into_iter().flatten();
    let arms = routes.flat_map(|route| route["route"].as_array().into_iter().flatten());
    let canary = arms.filter(|arm| is_canary(arm));
    canary.filter_map(|arm| arm["weight"].as_u64()).max().unwrap_or(0)
}
