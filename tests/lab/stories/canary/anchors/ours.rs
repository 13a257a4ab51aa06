//! An app that msctl releases, as `msctl generate` has it.

use crate::lab::{Proxy, User};
use crate::support::until;

use super::super::shop::{Driver, Shop, prometheus};
use super::contender::{Contender, End, Version, Who, get, give, scrape};

pub(super) struct Ours {
    shop: Shop,
    driver: Option<Driver>,
    code: Option<i32>,
}

impl Ours {
    pub(super) fn open() -> Self {
        let shop = Shop::open("raced");
        scrape(&shop.namespace, &shop.proxy);
        Self {
            shop,
            driver: None,
            code: None,
        }
    }

    /// The exit code of the driver, if it has ended.
    fn code(&mut self) -> Option<i32> {
        if let Some(code) = self.driver.as_mut().and_then(Driver::ended) {
            (self.driver, self.code) = (None, Some(code));
        }
        self.code
    }
}

/// Whether all pods of a deployment are of its last version, and serve.
fn is_rolled_out(deployment: &str) -> bool {
    let object = get(deployment);
    let (status, count) = (&object["status"], &object["spec"]["replicas"]);
    status["observedGeneration"] == object["metadata"]["generation"]
        && ["replicas", "updatedReplicas", "availableReplicas"]
            .iter()
            .all(|field| status[field] == *count)
}

impl Contender for Ours {
    fn who(&self) -> Who {
        Who::Msctl
    }

    fn namespace(&self) -> &str {
        &self.shop.namespace
    }

    fn proxy(&self) -> &Proxy {
        &self.shop.proxy
    }

    fn stable(&self) -> &'static str {
        "track=stable"
    }

    fn canary(&self) -> String {
        "track=canary".into()
    }

    fn prepare(&mut self, version: Version) {
        let namespace = &self.shop.namespace;
        let canary = format!("/apis/apps/v1/namespaces/{namespace}/deployments/payment-canary");
        give(&canary, version);
        until("its pod serves", || is_rolled_out(&canary));
    }

    fn begin(&mut self, version: Version) {
        let flags = [
            "--prometheus",
            prometheus().address(),
            "--metrics",
            "envoy",
            "--interval",
            "5s",
            "--steps",
            version.steps,
            "--hold",
            "10s",
        ];
        self.code = None;
        let mut command = self.shop.command(User::Releaser, "run", &flags);
        self.driver = Some(Driver::start(&mut command));
    }

    fn end(&mut self) -> Option<End> {
        Some(match self.code()? {
            0 => End::Promoted,
            1 => End::RolledBack,
            3 => End::Left,
            _ => End::GaveUp,
        })
    }

    fn word(&mut self) -> String {
        let code = self.code();
        code.map_or_else(|| "goes on".into(), |code| format!("exit {code}"))
    }

    fn rest(&mut self) {
        let run = self.shop.canary(User::Releaser, "abort", &[]);
        assert_eq!(run.code, 0, "{}", run.transcript());
        if let Some(driver) = self.driver.take() {
            driver.end();
        }
        self.shop.forget();
    }
}
