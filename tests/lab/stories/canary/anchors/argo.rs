//! An app that Argo Rollouts releases, with settings as near to Flagger's as they go: the same steps at the same pace, the same
//! question as often, its first check one interval after the first step, and as many of them may fail.

use serde_json::{Value, json};

use crate::lab::{Proxy, lab};

use super::super::shop::prometheus;
use super::contender::{
    Contender, End, Version, Who, gateway, get, give, merge, post, success_rate, template, until_is,
};

pub(super) struct Argo {
    namespace: String,
    proxy: Proxy,
    rollout: String,
}

impl Argo {
    /// An app whose first version is on its way.
    pub(super) fn open() -> Self {
        let namespace = lab().namespace("argo");
        let argo = format!("/apis/argoproj.io/v1alpha1/namespaces/{namespace}");
        for name in ["payment", "payment-stable", "payment-canary"] {
            let ports = json!([{"name": "http", "port": 80, "targetPort": 8080}]);
            let service = json!({"metadata": {"name": name}, "spec": {"selector": {"app": "payment"}, "ports": ports}});
            post(&format!("/api/v1/namespaces/{namespace}/services"), &service);
        }
        let arm = |name: &str, weight: u64| json!({"destination": {"host": name}, "weight": weight});
        let arms = json!([arm("payment-stable", 100), arm("payment-canary", 0)]);
        let route = json!({
            "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "payment"},
            "spec": {"hosts": ["payment"], "http": [{"name": "http", "route": arms}]},
        });
        post(
            &format!("/apis/networking.istio.io/v1/namespaces/{namespace}/virtualservices"),
            &route,
        );
        let analysis = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": "success-rate"},
            "spec": {"metrics": [{
                "name": "success-rate", "interval": "10s", "initialDelay": "10s", "failureLimit": 2,
                "successCondition": "result[0] >= 0.99",
                "provider": {"prometheus": {"address": prometheus().address(), "query": success_rate(&namespace)}},
            }]},
        });
        post(&format!("{argo}/analysistemplates"), &analysis);
        let pause = || json!({"pause": {"duration": "10s"}});
        let steps: Vec<Value> = [10, 20, 30, 40, 50]
            .iter()
            .flat_map(|weight| [json!({"setWeight": weight}), pause()])
            .collect();
        let rollout = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "payment"},
            "spec": {
                "replicas": 1, "selector": {"matchLabels": {"app": "payment"}}, "template": template(),
                "strategy": {"canary": {
                    "stableService": "payment-stable", "canaryService": "payment-canary",
                    "trafficRouting": {"istio": {"virtualService": {"name": "payment", "routes": ["http"]}}},
                    "analysis": {"templates": [{"templateName": "success-rate"}], "startingStep": 1},
                    "steps": steps,
                }},
            },
        });
        post(&format!("{argo}/rollouts"), &rollout);
        Self {
            proxy: gateway(&namespace),
            rollout: format!("{argo}/rollouts/payment"),
            namespace,
        }
    }

    /// Waits until its first version serves.
    pub(super) fn until_open(&self) {
        until_is(&self.rollout, "/status/phase", &["Healthy"]);
    }
}

impl Contender for Argo {
    fn who(&self) -> Who {
        Who::Argo
    }

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    fn stable(&self) -> &'static str {
        "app=payment"
    }

    fn canary(&self) -> String {
        let hash = &get(&self.rollout)["status"]["currentPodHash"];
        format!("rollouts-pod-template-hash={}", hash.as_str().expect("a hash"))
    }

    fn begin(&mut self, version: Version) {
        give(&self.rollout, version);
    }

    fn end(&mut self) -> Option<End> {
        let status = &get(&self.rollout)["status"];
        match status["phase"].as_str() {
            Some("Healthy") => Some(End::Promoted),
            _ if status["abort"] == true => Some(End::RolledBack),
            _ => None,
        }
    }

    fn word(&mut self) -> String {
        let phase = &get(&self.rollout)["status"]["phase"];
        phase.as_str().unwrap_or_default().to_owned()
    }

    fn rest(&mut self) {
        if self.end().is_none() {
            merge(
                &format!("{}/status", self.rollout),
                &json!({"status": {"promoteFull": true}}),
            );
            until_is(&self.rollout, "/status/phase", &["Healthy"]);
        }
    }
}
