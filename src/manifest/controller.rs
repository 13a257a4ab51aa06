//! The plan of a canary for a controller that a user already runs: Flagger, Argo Rollouts. Pure.
//!
//! Neither can be told all that msctl does; what is lost stands at the head of what is made.

use serde_json::{Value, json};

use super::names::{HTTP, MONITORING, Track, labels, metadata, own_host, selector};
use super::{istio, kubernetes};
use crate::config::service::Service;
use crate::config::units::Weight;
use crate::config::yaml;
use crate::failure::{Failure, Kind};

/// Flagger looks no oftener than this, in seconds; Argo Rollouts is made to look as often.
const LOOK: u64 = 10;

/// A controller that moves traffic by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// Its custom resource `Canary`, `flagger.app/v1beta1`.
    Flagger,
    /// Its custom resources `Rollout` and `AnalysisTemplate`, `argoproj.io/v1alpha1`.
    ArgoRollouts,
}

/// What msctl.yaml does not say, and a controller has to know.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The failure rate that a canary must stay below: the only bar that both can hold a canary against.
    pub max_failed: f64,
    /// Where Prometheus answers; Argo Rollouts alone asks.
    pub prometheus: Option<&'a str>,
}

impl Controller {
    /// As people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flagger => "Flagger",
            Self::ArgoRollouts => "Argo Rollouts",
        }
    }

    /// The manifest: a comment, then YAML documents.
    pub fn render(self, service: &Service, terms: &Terms<'_>) -> Result<String, Failure> {
        let plan = Steps::new(self, service)?;
        let (head, documents) = match self {
            Self::Flagger => (flagger_head(service, terms), vec![flagger(service, terms, &plan)]),
            Self::ArgoRollouts => (argo_head(service, terms), argo(service, terms, &plan)),
        };
        let mut text = String::new();
        for line in head.lines() {
            text.push_str(format!("# {line}").trim_end());
            text.push('\n');
        }
        let written = documents.iter().map(yaml::write).collect::<Result<Vec<_>, _>>()?;
        Ok(text + &written.join("---\n"))
    }
}

/// The steps of a plan, as both can say them.
struct Steps {
    /// In percent; the last is 100.
    percents: Vec<u16>,
    /// How long each is watched, in seconds.
    hold: u64,
}

impl Steps {
    fn new(controller: Controller, service: &Service) -> Result<Self, Failure> {
        let weights = service.canary.steps.weights();
        if let Some(fine) = weights.iter().find(|w| w.get() % 10 != 0) {
            return Err(fractions(controller, *fine, weights));
        }
        let hold = service.canary.hold;
        if hold.as_millis() < LOOK * 1_000 {
            let name = controller.name();
            let message = format!("`canary.hold` is {hold}, and {name} is made to look every {LOOK} s");
            return Err(Failure::new(Kind::Config, message).hint(format!("canary: {{ hold: {LOOK}s }}    or longer")));
        }
        Ok(Self {
            percents: weights.iter().chain([&Weight::ALL]).map(|w| w.get() / 10).collect(),
            hold: hold.as_millis().div_ceil(1_000),
        })
    }
}

/// The nearest steps that can be said stand in the hint: none of them smaller than what was meant.
fn fractions(controller: Controller, fine: Weight, weights: &[Weight]) -> Failure {
    let mut whole: Vec<u16> = weights
        .iter()
        .map(|w| w.get().div_ceil(10))
        .filter(|w| *w < 100)
        .collect();
    whole.dedup();
    let whole: Vec<String> = whole.iter().map(u16::to_string).collect();
    let message = format!(
        "`canary.steps` has {fine}, and {} takes whole percents alone",
        controller.name()
    );
    Failure::new(Kind::Config, message).hint(format!("canary: {{ steps: [{}] }}", whole.join(", ")))
}

/// `95 %`
fn bar(terms: &Terms<'_>) -> String {
    format!("{} %", percent(terms))
}

/// The success rate that a canary must have, in percent.
fn percent(terms: &Terms<'_>) -> f64 {
    ((1.0 - terms.max_failed) * 10_000.0).round() / 100.0
}

/// What both lose.
fn lost(controller: Controller, service: &Service, terms: &Terms<'_>) -> String {
    let (name, bar) = (controller.name(), bar(terms));
    let own = if service.canary.metrics.is_empty() {
        ""
    } else {
        "\n- `canary.metrics` is not carried over: the service's own counters are not judged."
    };
    format!(
        "- No bound on mistakes: `canary.alpha` and `canary.tolerance` mean nothing here. A check holds the success rate of one window\n  \
           against {bar}, never against stable: a storm that hits both versions rolls back, and a canary that fails a little less\n  \
           than that passes, however good stable is. Set the bar to what the service has to keep.\n\
         - Slow answers are not judged, nor is it judged whether requests are split as asked.\n\
         - Requests that failed before they reached a pod (no connection, the caller's timeout) are not counted: the telemetry is\n  \
           that of the receiving side.\n\
         - A weight is taken to be in force when it is written: {name} does not ask the proxies.\n\
         - There is no journal, so no decision can be recomputed.{own}"
    )
}

fn flagger_head(service: &Service, terms: &Terms<'_>) -> String {
    let (name, namespace) = (&service.name, service.namespace());
    let lost = lost(Controller::Flagger, service, terms);
    let mirror = service
        .mesh
        .mirror
        .map_or("", |_| "\n- `mesh.mirror` is not carried over.");
    format!(
        "The plan of `{name}` in msctl.yaml, for Flagger. Made by msctl canary export --to flagger.\n\
         \n\
         What msctl canary does and this does not:\n\
         {lost}\n\
         - No requests are a failed check, which rolls back; msctl waits.\n\
         - It goes back one interval after the check that failed: after two holds at the most, not at the next look.{mirror}\n\
         \n\
         Flagger copies the Deployment {name}-canary to {name}-canary-primary and sends traffic to the copy. It takes the Services\n\
         {name} and {name}-canary and the VirtualService {name} for its own and replaces all that stands in them, so that deploy/istio is\n\
         not to be applied again. The pods of the copy have the label app: {name}-primary: the NetworkPolicy {name} does not hold for\n\
         them. Once, when the canary says Initialized:\n  \
           kubectl -n {namespace} get canary {name}\n  \
           kubectl -n {namespace} delete deployment,hpa,pdb {name}-stable"
    )
}

fn flagger(service: &Service, terms: &Terms<'_>, steps: &Steps) -> Value {
    let target = Track::Canary.of(service);
    let replicas = service.deploy.replicas;
    let interval = format!("{}s", steps.hold);
    json!({
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": metadata(service, service.name.as_str(), &labels(service)),
        "spec": {
            "provider": "istio",
            "targetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": target },
            "autoscalerRef": {
                "apiVersion": "autoscaling/v2",
                "kind": "HorizontalPodAutoscaler",
                "name": target,
                "primaryScalerReplicas": { "minReplicas": replicas.min, "maxReplicas": replicas.max },
            },
            "service": {
                "name": service.name,
                "port": HTTP,
                "portName": "http",
                "targetPort": "http",
                "portDiscovery": true,
                "hosts": istio::hosts(service),
                "timeout": service.mesh.timeout,
                "retries": istio::retries(service),
            },
            "analysis": {
                "interval": interval,
                "threshold": 1,
                "stepWeights": steps.percents,
                "metrics": [{
                    "name": "request-success-rate",
                    "interval": interval,
                    "thresholdRange": { "min": percent(terms) },
                }],
            },
        },
    })
}

fn argo_head(service: &Service, terms: &Terms<'_>) -> String {
    let (name, namespace) = (&service.name, service.namespace());
    let lost = lost(Controller::ArgoRollouts, service, terms);
    let mirror = service
        .mesh
        .mirror
        .map_or("", |_| "\n- `mesh.mirror` copies requests to the canary at all times.");
    format!(
        "The plan of `{name}` in msctl.yaml, for Argo Rollouts. Made by msctl canary export --to argo-rollouts.\n\
         \n\
         What msctl canary does and this does not:\n\
         {lost}\n\
         - A step ends when its time is over, not when it was shown to be safe. No requests for a hold pause the rollout; after that\n  \
           the clock alone moves it. A Prometheus that does not answer for a hold rolls back; msctl waits.{mirror}\n\
         \n\
         The Rollout runs the pods of the Deployment {name}-stable, which it scales down; a release is a change of that Deployment's\n\
         image. The DestinationRule takes the place of deploy/istio/destinationrule.yaml, which is not to be applied again: Argo Rollouts\n\
         tells the pods of a subset by a label of its own. The query needs the label `pod` on istio_requests_total, as the\n\
         Prometheus operator and Istio's own scrape configuration set it. Once, when the Rollout is Healthy:\n  \
           kubectl -n {namespace} get rollout {name}\n  \
           kubectl -n {namespace} delete deployment,hpa,pdb {name}-canary"
    )
}

fn argo(service: &Service, terms: &Terms<'_>, steps: &Steps) -> Vec<Value> {
    let rollout = json!({ "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": service.name });
    let mut autoscaler = kubernetes::autoscaler(service, Track::Stable);
    autoscaler["spec"]["scaleTargetRef"] = rollout;
    let mut rule = istio::destination_rule(service);
    for subset in rule["spec"]["subsets"].as_array_mut().into_iter().flatten() {
        subset["labels"] = selector(service);
    }
    vec![
        analysis(service, terms, steps),
        rule,
        autoscaler,
        self::rollout(service, steps),
    ]
}

/// The name of its analysis.
fn template(service: &Service) -> String {
    format!("{}-success-rate", service.name)
}

fn analysis(service: &Service, terms: &Terms<'_>, steps: &Steps) -> Value {
    let default = format!("http://prometheus.{MONITORING}.svc.cluster.local:9090");
    // It takes a hold without an answer, or without a request, until that counts.
    let patience = steps.hold / LOOK - 1;
    let least = percent(terms) / 100.0;
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": metadata(service, &template(service), &labels(service)),
        "spec": {
            "args": [{ "name": "canary-hash" }],
            "metrics": [{
                "name": "success-rate",
                "interval": format!("{LOOK}s"),
                "initialDelay": "30s",
                "successCondition": format!("len(result) > 0 && result[0] >= {least}"),
                "failureCondition": format!("len(result) > 0 && result[0] < {least}"),
                "failureLimit": 2,
                "inconclusiveLimit": patience,
                "consecutiveErrorLimit": patience,
                "provider": {
                    "prometheus": { "address": terms.prometheus.unwrap_or(&default), "query": query(service, steps) },
                },
            }],
        },
    })
}

/// The share of the canary's requests that succeeded. Where none did, the first half has no series, and where there were none at
/// all, the second has none: that is no answer, not a good one.
fn query(service: &Service, steps: &Steps) -> String {
    let window = steps.hold.clamp(30, 60);
    let of = |more: &str| {
        format!(
            "sum(rate(istio_requests_total{{reporter=\"destination\",destination_service=\"{}\",\
             pod=~\"{}-{{{{args.canary-hash}}}}-.+\"{more}}}[{window}s]))",
            own_host(service),
            service.name
        )
    };
    format!("({} or vector(0)) / {}", of(",response_code!~\"5..\""), of(""))
}

fn rollout(service: &Service, steps: &Steps) -> Value {
    let pause = format!("{}s", steps.hold);
    let each = |percent: &u16| {
        [
            json!({ "setWeight": percent }),
            json!({ "pause": { "duration": pause } }),
        ]
    };
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": metadata(service, service.name.as_str(), &labels(service)),
        "spec": {
            "replicas": service.deploy.replicas.min,
            "revisionHistoryLimit": 5,
            "progressDeadlineSeconds": 300,
            "progressDeadlineAbort": true,
            "workloadRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": Track::Stable.of(service),
                "scaleDown": "onsuccess",
            },
            "strategy": {
                "canary": {
                    "trafficRouting": {
                        "istio": {
                            "virtualService": { "name": service.name, "routes": ["http", "grpc"] },
                            "destinationRule": {
                                "name": service.name,
                                "canarySubsetName": Track::Canary.word(),
                                "stableSubsetName": Track::Stable.word(),
                            },
                        },
                    },
                    "analysis": {
                        "templates": [{ "templateName": template(service) }],
                        "startingStep": 1,
                        "args": [{ "name": "canary-hash", "valueFrom": { "podTemplateHashValue": "Latest" } }],
                    },
                    "steps": steps.percents.iter().flat_map(each).collect::<Vec<_>>(),
                },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::service;
    use super::super::{Target, yaml};
    use super::*;

    const TERMS: Terms<'static> = Terms {
        max_failed: 0.05,
        prometheus: None,
    };

    const BOTH: [Controller; 2] = [Controller::Flagger, Controller::ArgoRollouts];

    fn documents(controller: Controller, text: &str) -> Vec<Value> {
        let text = controller.render(&service(text), &TERMS).unwrap();
        yaml::documents("x", text.as_bytes()).unwrap()
    }

    fn of_kind<'a>(documents: &'a [Value], kind: &str) -> &'a Value {
        documents.iter().find(|d| d["kind"] == kind).unwrap()
    }

    #[test]
    fn the_steps_are_those_of_the_plan() {
        let plan = "canary: { steps: [2, 30], hold: 90s }";
        let flagger = documents(Controller::Flagger, plan);
        let analysis = &flagger[0]["spec"]["analysis"];
        assert_eq!(analysis["stepWeights"], json!([2, 30, 100]));
        assert_eq!(analysis["interval"], "90s");
        assert_eq!(analysis["metrics"][0]["thresholdRange"]["min"], 95.0);
        let argo = documents(Controller::ArgoRollouts, plan);
        assert_eq!(
            of_kind(&argo, "Rollout")["spec"]["strategy"]["canary"]["steps"],
            json!([
                { "setWeight": 2 }, { "pause": { "duration": "90s" } },
                { "setWeight": 30 }, { "pause": { "duration": "90s" } },
                { "setWeight": 100 }, { "pause": { "duration": "90s" } },
            ])
        );
    }

    #[test]
    fn every_name_is_one_that_generate_makes() {
        let service = service("deploy: { namespace: shop }");
        let made: Vec<Value> = Target::ALL
            .iter()
            .flat_map(|target| target.render(&service).unwrap())
            .filter(super::super::Artefact::is_yaml)
            .flat_map(|a| yaml::documents(&a.path, a.text.as_bytes()).unwrap())
            .collect();
        let is_made = |kind: &str, name: &Value| {
            let found = made.iter().any(|d| d["kind"] == kind && &d["metadata"]["name"] == name);
            assert!(found, "{kind} {name}");
        };
        let flagger = documents(Controller::Flagger, "deploy: { namespace: shop }");
        let spec = &flagger[0]["spec"];
        is_made("Deployment", &spec["targetRef"]["name"]);
        is_made("HorizontalPodAutoscaler", &spec["autoscalerRef"]["name"]);
        is_made("Service", &spec["service"]["name"]);
        let argo = documents(Controller::ArgoRollouts, "deploy: { namespace: shop }");
        let spec = &of_kind(&argo, "Rollout")["spec"];
        is_made("Deployment", &spec["workloadRef"]["name"]);
        let routing = &spec["strategy"]["canary"]["trafficRouting"]["istio"];
        is_made("VirtualService", &routing["virtualService"]["name"]);
        let of_made = |kind: &str| made.iter().find(|d| d["kind"] == kind).unwrap();
        let routes: Vec<&Value> = of_made("VirtualService")["spec"]["http"]
            .as_array()
            .unwrap()
            .iter()
            .collect();
        let names: Vec<&Value> = routes.iter().map(|route| &route["name"]).collect();
        assert_eq!(json!(names), routing["virtualService"]["routes"]);
        // What is printed again takes the place of what generate made.
        for kind in ["DestinationRule", "HorizontalPodAutoscaler"] {
            is_made(kind, &of_kind(&argo, kind)["metadata"]["name"]);
        }
        let rule = of_kind(&argo, "DestinationRule");
        assert_eq!(rule["metadata"]["name"], routing["destinationRule"]["name"]);
        let (ours, theirs) = (&rule["spec"], &of_made("DestinationRule")["spec"]);
        assert_eq!(
            (&ours["host"], &ours["trafficPolicy"]),
            (&theirs["host"], &theirs["trafficPolicy"])
        );
        for subset in ["canary", "stable"] {
            let key = format!("{subset}SubsetName");
            assert_eq!(routing["destinationRule"][key], subset);
            let found = ours["subsets"]
                .as_array()
                .unwrap()
                .iter()
                .find(|s| s["name"] == subset)
                .unwrap();
            assert_eq!(found["labels"], json!({ "app": "payment" }), "{subset}");
        }
        for document in flagger.iter().chain(&argo) {
            assert_eq!(document["metadata"]["namespace"], "shop");
        }
    }

    #[test]
    fn what_neither_can_say_is_refused_with_the_way_out() {
        for (text, message, hint) in [
            (
                "canary: { steps: [0.1, 0.5, 1, 12.5, 99.5] }",
                "`canary.steps` has 0.1 %, and NAME takes whole percents alone",
                "canary: { steps: [1, 13] }",
            ),
            (
                "canary: { hold: 5s }",
                "`canary.hold` is 5s, and NAME is made to look every 10 s",
                "canary: { hold: 10s }    or longer",
            ),
        ] {
            for controller in BOTH {
                let failure = controller.render(&service(text), &TERMS).unwrap_err();
                assert_eq!(failure.message(), message.replace("NAME", controller.name()));
                assert_eq!(
                    (failure.kind(), failure.hints()),
                    (Kind::Config, &[hint.to_owned()][..])
                );
            }
        }
    }

    #[test]
    fn no_answer_is_neither_success_nor_failure() {
        let argo = documents(Controller::ArgoRollouts, "canary: { hold: 10s }");
        let metric = &of_kind(&argo, "AnalysisTemplate")["spec"]["metrics"][0];
        assert_eq!(metric["inconclusiveLimit"], 0);
        for condition in ["successCondition", "failureCondition"] {
            assert!(metric[condition].as_str().unwrap().starts_with("len(result) > 0 && "));
        }
        assert_eq!(
            metric["provider"]["prometheus"]["query"],
            "(sum(rate(istio_requests_total{reporter=\"destination\",destination_service=\"payment.payment.svc.cluster.local\",\
             pod=~\"payment-{{args.canary-hash}}-.+\",response_code!~\"5..\"}[30s])) or vector(0)) / \
             sum(rate(istio_requests_total{reporter=\"destination\",destination_service=\"payment.payment.svc.cluster.local\",\
             pod=~\"payment-{{args.canary-hash}}-.+\"}[30s]))"
        );
    }

    #[test]
    fn the_head_is_a_comment_that_says_what_is_lost() {
        for controller in BOTH {
            let more = "mesh: { mirror: 10 }\ncanary: { metrics: [{ name: orders, total: a, bad: b }] }";
            let text = controller.render(&service(more), &TERMS).unwrap();
            let head: Vec<&str> = text.lines().take_while(|line| line.starts_with('#')).collect();
            assert!(
                head.len() > 15 && head.iter().all(|line| line.chars().count() <= 140),
                "{text}"
            );
            for word in ["canary.alpha", "95 %", "mesh.mirror", "canary.metrics", "NetworkPolicy"] {
                let wanted = word != "NetworkPolicy" || controller == Controller::Flagger;
                assert_eq!(head.iter().any(|line| line.contains(word)), wanted, "{word}");
            }
        }
    }
}
