//! An app that Flagger releases. It makes the Services, the primary and the `VirtualService` itself.

use serde_json::json;

use crate::lab::{Proxy, lab};

use super::super::shop::prometheus;
use super::contender::{
    Contender, End, Version, WINDOW, Who, gateway, get, give, merge, post, success_rate, template, until_is,
};

pub(super) struct Flagger {
    namespace: String,
    proxy: Proxy,
    canary: String,
    workload: String,
}

/// How often it looks, and how many looks may be bad.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    interval: &'static str,
    threshold: u32,
}

/// The shortest interval that it takes.
const QUICK: Pace = Pace {
    interval: "10s",
    threshold: 3,
};

/// The example of its documents.
const DOCUMENTED: Pace = Pace {
    interval: "60s",
    threshold: 5,
};

/// Where no release is under way.
const AT_REST: [&str; 3] = ["Initialized", "Succeeded", "Failed"];

impl Flagger {
    /// An app with a `Canary` that is not initialized yet: apps that are made beside each other have their checks at the same time.
    pub(super) fn open() -> Self {
        let namespace = lab().namespace("flagger");
        let flagger = format!("/apis/flagger.app/v1beta1/namespaces/{namespace}");
        let deployments = format!("/apis/apps/v1/namespaces/{namespace}/deployments");
        let deployment = json!({
            "metadata": {"name": "payment"},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "payment"}}, "template": template()},
        });
        post(&deployments, &deployment);
        let metric = json!({
            "apiVersion": "flagger.app/v1beta1", "kind": "MetricTemplate", "metadata": {"name": "success-rate"},
            "spec": {
                "provider": {"type": "prometheus", "address": prometheus().address()},
                "query": format!("100 * ({})", success_rate(&namespace)),
            },
        });
        post(&format!("{flagger}/metrictemplates"), &metric);
        let canary = json!({
            "apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": "payment"},
            "spec": {
                "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "payment"},
                "service": {"port": 80, "targetPort": 8080, "portName": "http"},
                "analysis": {
                    "interval": QUICK.interval, "threshold": QUICK.threshold, "stepWeight": 10, "maxWeight": 50,
                    "metrics": [{
                        "name": "success-rate", "templateRef": {"name": "success-rate"},
                        "thresholdRange": {"min": 99}, "interval": WINDOW,
                    }],
                },
            },
        });
        post(&format!("{flagger}/canaries"), &canary);
        Self {
            proxy: gateway(&namespace),
            canary: format!("{flagger}/canaries/payment"),
            workload: format!("{deployments}/payment"),
            namespace,
        }
    }

    /// Waits until it is initialized.
    pub(super) fn until_open(&self) {
        until_is(&self.canary, "/status/phase", &AT_REST);
    }

    fn phase(&self) -> String {
        let phase = &get(&self.canary)["status"]["phase"];
        phase.as_str().unwrap_or_default().to_owned()
    }
}

impl Contender for Flagger {
    fn who(&self) -> Who {
        Who::Flagger
    }

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    fn stable(&self) -> &'static str {
        "app=payment-primary"
    }

    fn canary(&self) -> String {
        "app=payment".into()
    }

    fn begin(&mut self, version: Version) {
        give(&self.workload, version);
    }

    fn documented(&mut self, is_so: bool) {
        let Pace { interval, threshold } = if is_so { DOCUMENTED } else { QUICK };
        let analysis = json!({"interval": interval, "threshold": threshold});
        merge(&self.canary, &json!({"spec": {"analysis": analysis}}));
    }

    fn end(&mut self) -> Option<End> {
        match self.phase().as_str() {
            "Succeeded" => Some(End::Promoted),
            "Failed" => Some(End::RolledBack),
            _ => None,
        }
    }

    fn word(&mut self) -> String {
        self.phase()
    }

    fn rest(&mut self) {
        if AT_REST.contains(&self.phase().as_str()) {
            return;
        }
        merge(&self.canary, &json!({"spec": {"skipAnalysis": true}}));
        until_is(&self.canary, "/status/phase", &AT_REST);
        merge(&self.canary, &json!({"spec": {"skipAnalysis": null}}));
    }
}
