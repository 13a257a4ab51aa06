//! Many shops beside each other, with one proxy for the clients of all: each driver asks every proxy of the mesh, and so twenty of
//! them with a proxy each would be asked by twenty.

use std::sync::Arc;

use crate::lab::{Place, User, lab};
use crate::support::until;

use super::shop::{Shop, Turn, count, prometheus, stock};

/// So many are made at once: two cores do not make more of them sooner.
const AT_ONCE: usize = 4;

/// Dropped, all of them are taken away.
pub(super) struct Street {
    pub(super) shops: Vec<Shop>,
}

impl Street {
    /// So many. The proxy has these labels as a target of Prometheus.
    pub(super) fn open(turn: Turn, name: &str, number: usize, labels: &[(&str, &str)]) -> Self {
        let mut stocked = Vec::new();
        while stocked.len() < number {
            let some = AT_ONCE.min(number - stocked.len());
            stocked.extend(beside(0..some, |_| stock(name)));
        }
        let namespace = lab().namespace("street");
        let proxy = Arc::new(lab().envoy(Place::ClientOfAll, &namespace, 80));
        count(&proxy, &namespace, labels);
        let turn = Arc::new(turn);
        let shops: Vec<Shop> = stocked.into_iter().map(|one| Shop::with(one, &proxy, &turn)).collect();
        for shop in &shops {
            shop.until_routed();
            until("the proxy reaches it", || shop.is_reached());
        }
        prometheus().until_scraped();
        Self { shops }
    }
}

impl Drop for Street {
    fn drop(&mut self) {
        // What failed stays, to be looked at.
        if std::thread::panicking() {
            return;
        }
        let api = lab().control_plane().api(User::Admin);
        for shop in &self.shops {
            api.delete(&format!("/api/v1/namespaces/{}", shop.namespace));
        }
    }
}

/// Does this with each of these at the same time, and waits for all.
pub(super) fn beside<O: Send, T: Send>(all: impl IntoIterator<Item = O>, work: impl Fn(O) -> T + Sync) -> Vec<T> {
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = all.into_iter().map(|one| scope.spawn(move || work(one))).collect();
        let ended = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        ended
            .map(|end| end.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}
