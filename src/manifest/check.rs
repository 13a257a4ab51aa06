//! What no linter reads out of manifests: that they fit one another. For tests; pure.

use std::collections::BTreeSet;

use serde_json::Value;

/// Everything that is wrong with these documents, taken together.
pub(super) fn flaws(documents: &[Value]) -> Vec<String> {
    let mut flaws = Vec::new();
    for document in documents {
        match text(document, "/kind") {
            "VirtualService" => virtual_service(documents, document, &mut flaws),
            "DestinationRule" => destination_rule(documents, document, &mut flaws),
            "Service" => service(documents, document, &mut flaws),
            "Deployment" => deployment(documents, document, &mut flaws),
            "HorizontalPodAutoscaler" => autoscaler(documents, document, &mut flaws),
            "PodDisruptionBudget" => selects(documents, document, "/spec/selector/matchLabels", &mut flaws),
            "NetworkPolicy" => network_policy(documents, document, &mut flaws),
            _ => {}
        }
        metadata(document, &mut flaws);
    }
    flaws
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn of_kind<'a>(documents: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    documents.iter().filter(move |d| text(d, "/kind") == kind)
}

fn name(document: &Value) -> String {
    format!("{} {}", text(document, "/kind"), text(document, "/metadata/name"))
}

/// The Service of an FQDN.
fn service_at<'a>(documents: &'a [Value], host: &str) -> Option<&'a Value> {
    of_kind(documents, "Service").find(|s| {
        let (name, namespace) = (text(s, "/metadata/name"), text(s, "/metadata/namespace"));
        host == format!("{name}.{namespace}.svc.cluster.local")
    })
}

/// Whether `labels` has all of `selector`; an empty selector of ours selects by mistake.
fn fits(selector: &Value, labels: &Value) -> bool {
    let wanted = selector.as_object().filter(|s| !s.is_empty());
    wanted.is_some_and(|wanted| wanted.iter().all(|(key, value)| labels.get(key) == Some(value)))
}

fn pods<'a>(documents: &'a [Value], selector: &Value) -> Vec<&'a Value> {
    of_kind(documents, "Deployment")
        .filter(|d| fits(selector, &d["spec"]["template"]["metadata"]["labels"]))
        .collect()
}

fn milliseconds(text: &str) -> Option<u64> {
    text.parse::<crate::config::units::Span>()
        .ok()
        .map(crate::config::units::Span::as_millis)
}

fn metadata(document: &Value, flaws: &mut Vec<String>) {
    let labels = document.pointer("/metadata/labels").and_then(Value::as_object);
    for (key, value) in labels.into_iter().flatten() {
        let value = value.as_str().unwrap_or("\u{0}");
        let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if value.len() > 63 || !value.chars().all(good) {
            flaws.push(format!("{}: label {key} is no label", name(document)));
        }
    }
    if text(document, "/metadata/name").len() > 63 {
        flaws.push(format!("{}: the name is too long", name(document)));
    }
}

fn virtual_service(documents: &[Value], document: &Value, flaws: &mut Vec<String>) {
    let mut flaw = |text: String| flaws.push(format!("{}: {text}", name(document)));
    for host in list(document, "/spec/hosts") {
        if !host.as_str().is_some_and(|h| h.contains('.')) {
            flaw(format!("host {host} is short"));
        }
    }
    for route in list(document, "/spec/http") {
        let weights: u64 = list(route, "/route").iter().filter_map(|r| r["weight"].as_u64()).sum();
        if weights != 100 {
            flaw(format!("weights sum to {weights}"));
        }
        let timeout = milliseconds(text(route, "/timeout")).unwrap_or(0);
        let attempts = route.pointer("/retries/attempts").and_then(Value::as_u64);
        let each = milliseconds(text(route, "/retries/perTryTimeout"));
        match (attempts, each) {
            (Some(0), _) => {}
            (Some(attempts), Some(each)) if each > 0 && (attempts + 1) * each <= timeout => {}
            _ => flaw(format!(
                "{attempts:?} retries of {each:?} ms do not fit into {timeout} ms"
            )),
        }
        if text(route, "/retries/retryOn").split(',').any(|on| on == "5xx") {
            flaw("it retries every 5xx".into());
        }
        let destinations = list(route, "/route").iter().chain(list(route, "/mirrors"));
        for destination in destinations.map(|d| &d["destination"]) {
            flaws_of_destination(documents, destination, &mut flaw);
        }
    }
}

fn flaws_of_destination(documents: &[Value], destination: &Value, flaw: &mut impl FnMut(String)) {
    let (host, subset) = (text(destination, "/host"), text(destination, "/subset"));
    match service_at(documents, host) {
        None => flaw(format!("there is no Service {host}")),
        Some(service) => {
            let port = &destination["port"]["number"];
            if !list(service, "/spec/ports").iter().any(|p| &p["port"] == port) {
                flaw(format!("{host} has no port {port}"));
            }
        }
    }
    let is_defined = of_kind(documents, "DestinationRule")
        .filter(|rule| text(rule, "/spec/host") == host)
        .any(|rule| list(rule, "/spec/subsets").iter().any(|s| text(s, "/name") == subset));
    if !is_defined {
        flaw(format!("subset {subset} of {host} is not defined"));
    }
}

fn destination_rule(documents: &[Value], document: &Value, flaws: &mut Vec<String>) {
    let host = text(document, "/spec/host");
    let Some(service) = service_at(documents, host) else {
        return flaws.push(format!("{}: there is no Service {host}", name(document)));
    };
    for subset in list(document, "/spec/subsets") {
        let chosen = pods(documents, &subset["labels"]);
        let within = chosen.iter().all(|d| {
            fits(
                &service["spec"]["selector"],
                &d["spec"]["template"]["metadata"]["labels"],
            )
        });
        if chosen.len() != 1 || !within {
            flaws.push(format!(
                "{}: subset {} is not one Deployment",
                name(document),
                text(subset, "/name")
            ));
        }
    }
}

fn service(documents: &[Value], document: &Value, flaws: &mut Vec<String>) {
    let chosen = pods(documents, &document["spec"]["selector"]);
    if chosen.is_empty() {
        flaws.push(format!("{}: it selects no pod", name(document)));
    }
    for port in list(document, "/spec/ports") {
        for pod in &chosen {
            let ports = list(pod, "/spec/template/spec/containers/0/ports");
            if !ports.iter().any(|p| p["name"] == port["targetPort"]) {
                flaws.push(format!(
                    "{}: target port {} is not there",
                    name(document),
                    port["targetPort"]
                ));
            }
        }
    }
}

fn selects(documents: &[Value], document: &Value, pointer: &str, flaws: &mut Vec<String>) {
    let selector = document.pointer(pointer).unwrap_or(&Value::Null);
    if pods(documents, selector).is_empty() {
        flaws.push(format!("{}: it selects no pod", name(document)));
    }
}

fn autoscaler(documents: &[Value], document: &Value, flaws: &mut Vec<String>) {
    let target = text(document, "/spec/scaleTargetRef/name");
    let mut flaw = |text: String| flaws.push(format!("{}: {text}", name(document)));
    let Some(deployment) = of_kind(documents, "Deployment").find(|d| text(d, "/metadata/name") == target) else {
        return flaw(format!("there is no Deployment {target}"));
    };
    if deployment["spec"].get("replicas").is_some() {
        flaw(format!("Deployment {target} has replicas of its own"));
    }
    let same = of_kind(documents, "HorizontalPodAutoscaler").filter(|h| text(h, "/spec/scaleTargetRef/name") == target);
    if same.count() > 1 {
        flaw(format!("Deployment {target} has two autoscalers"));
    }
    if document["spec"]["minReplicas"].as_u64() > document["spec"]["maxReplicas"].as_u64() {
        flaw("it has a minimum above its maximum".into());
    }
    let containers = list(deployment, "/spec/template/spec/containers");
    for metric in list(document, "/spec/metrics") {
        if !containers
            .iter()
            .any(|c| c["name"] == metric["containerResource"]["container"])
        {
            flaw("it measures a container that is not there".into());
        }
    }
}

fn deployment(documents: &[Value], document: &Value, flaws: &mut Vec<String>) {
    let mut flaw = |text: String| flaws.push(format!("{}: {text}", name(document)));
    let pod = &document["spec"]["template"]["spec"];
    if !fits(
        &document["spec"]["selector"]["matchLabels"],
        &document["spec"]["template"]["metadata"]["labels"],
    ) {
        flaw("it does not select its own pods".into());
    }
    if pods(documents, &document["spec"]["selector"]["matchLabels"]).len() > 1 {
        flaw("it selects the pods of another one".into());
    }
    let account = text(pod, "/serviceAccountName");
    if !of_kind(documents, "ServiceAccount").any(|a| text(a, "/metadata/name") == account) {
        flaw(format!("there is no ServiceAccount {account}"));
    }
    for rule in not_restricted(pod) {
        flaw(format!("not restricted: {rule}"));
    }
    for container in list(pod, "/containers") {
        let ports = list(container, "/ports");
        for (probe, path) in [
            ("startupProbe", "/startupz"),
            ("livenessProbe", "/livez"),
            ("readinessProbe", "/readyz"),
        ] {
            let get = &container[probe]["httpGet"];
            if get["path"] != path || !ports.iter().any(|p| p["name"] == get["port"]) {
                flaw(format!("{probe} asks nobody"));
            }
        }
        for (variable, port) in [
            ("HTTP_PORT", "http"),
            ("GRPC_PORT", "grpc"),
            ("METRICS_PORT", "http-metrics"),
        ] {
            let told = list(container, "/env")
                .iter()
                .find(|v| v["name"] == variable)
                .map(|v| &v["value"]);
            let open = ports
                .iter()
                .find(|p| p["name"] == port)
                .map(|p| p["containerPort"].to_string());
            if told.and_then(Value::as_str) != open.as_deref() {
                flaw(format!("{variable} is not the port {port}"));
            }
        }
        if text(container, "/image").ends_with(":latest") || !text(container, "/image").contains(':') {
            flaw("its image may change".into());
        }
    }
}

/// The rules of the Pod Security Standard `restricted` that this pod breaks.
fn not_restricted(pod: &Value) -> BTreeSet<&'static str> {
    let mut broken = BTreeSet::new();
    let mut rule = |kept: bool, name: &'static str| {
        if !kept {
            broken.insert(name);
        }
    };
    for host in ["hostNetwork", "hostPID", "hostIPC"] {
        rule(pod.get(host).is_none_or(|v| v == false), "host namespaces");
    }
    let kinds = [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    for volume in list(pod, "/volumes") {
        rule(kinds.iter().any(|kind| volume.get(kind).is_some()), "volume types");
    }
    for container in list(pod, "/containers").iter().chain(list(pod, "/initContainers")) {
        let own = &container["securityContext"];
        let either = |key: &str| {
            own.get(key)
                .or_else(|| pod["securityContext"].get(key))
                .unwrap_or(&Value::Null)
        };
        rule(own.get("privileged").is_none_or(|v| v == false), "privileged");
        rule(own["allowPrivilegeEscalation"] == false, "privilege escalation");
        rule(either("runAsNonRoot") == true, "non-root");
        rule(either("runAsUser") != 0, "user 0");
        rule(
            ["RuntimeDefault", "Localhost"].contains(&text(either("seccompProfile"), "/type")),
            "seccomp",
        );
        rule(
            list(own, "/capabilities/drop").iter().any(|c| c == "ALL"),
            "capabilities",
        );
        rule(
            list(own, "/capabilities/add").iter().all(|c| c == "NET_BIND_SERVICE"),
            "capabilities",
        );
        rule(
            list(container, "/ports").iter().all(|p| p.get("hostPort").is_none()),
            "host ports",
        );
    }
    broken
}

fn network_policy(documents: &[Value], document: &Value, flaws: &mut Vec<String>) {
    selects(documents, document, "/spec/podSelector/matchLabels", flaws);
    let mut flaw = |text: String| flaws.push(format!("{}: {text}", name(document)));
    let allowed = |way: &str| -> BTreeSet<u64> {
        let ports = list(document, &format!("/spec/{way}"))
            .iter()
            .flat_map(|rule| list(rule, "/ports"));
        ports.filter_map(|p| p["port"].as_u64()).collect()
    };
    for way in ["Ingress", "Egress"] {
        if !list(document, "/spec/policyTypes").iter().any(|t| t == way) {
            flaw(format!("{way} is open"));
        }
    }
    let inward = allowed("ingress");
    for pod in pods(documents, &document["spec"]["podSelector"]["matchLabels"]) {
        for port in list(pod, "/spec/template/spec/containers/0/ports") {
            if !port["containerPort"].as_u64().is_some_and(|p| inward.contains(&p)) {
                flaw(format!("nobody reaches the port {}", port["name"]));
            }
        }
    }
    for (port, whom) in [(53, "DNS"), (15_012, "istiod")] {
        if !allowed("egress").contains(&port) {
            flaw(format!("it does not reach {whom}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::service;
    use super::super::{Artefact, Target, yaml};
    use super::*;

    fn sound() -> Vec<Value> {
        let service = service("mesh: { mirror: 10 }\ncomponents: { telemetry: otlp }\n");
        let artefacts = Target::ALL.iter().flat_map(|t| t.render(&service).unwrap());
        artefacts
            .filter(Artefact::is_yaml)
            .flat_map(|a| yaml::documents(&a.path, a.text.as_bytes()).unwrap())
            .collect()
    }

    const CONTAINER: &str = "/spec/template/spec/containers/0";

    /// The documents with the value at `pointer` of the object changed (removed where `to` is null); the pointer's place must exist.
    fn mutant(object: &str, pointer: &str, to: &Value) -> Vec<Value> {
        let mut documents = sound();
        let document = documents.iter_mut().find(|d| name(d) == object).expect(object);
        let (above, key) = pointer.rsplit_once('/').unwrap();
        let parent = document.pointer_mut(above).expect(pointer);
        match parent {
            Value::Object(map) if to.is_null() => assert!(map.remove(key).is_some(), "{pointer}"),
            Value::Object(map) => _ = map.insert(key.into(), to.clone()),
            Value::Array(items) if to.is_null() => _ = items.remove(key.parse().unwrap()),
            Value::Array(items) => items[key.parse::<usize>().unwrap()] = to.clone(),
            _ => panic!("{pointer}"),
        }
        documents
    }

    #[test]
    fn what_is_made_is_sound() {
        assert_eq!(flaws(&sound()), Vec::<String>::new());
        assert_eq!(sound().len(), 16);
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table: one fault a row")]
    fn each_fault_is_found() {
        let (mesh, rule) = ("VirtualService payment", "DestinationRule payment");
        let (stable, canary) = ("Deployment payment-stable", "Deployment payment-canary");
        let (scaler, policy) = ("HorizontalPodAutoscaler payment-canary", "NetworkPolicy payment");
        let inside = |below: &str| format!("{CONTAINER}{below}");
        let secured = |below: &str| format!("{CONTAINER}/securityContext{below}");
        for (object, pointer, to, says) in [
            (mesh, "/spec/http/0/route/0/weight", json!(99), "weights sum to 99"),
            (
                mesh,
                "/spec/http/1/route/1/destination/subset",
                json!("v2"),
                "subset v2 of",
            ),
            (
                mesh,
                "/spec/http/0/mirrors/0/destination/subset",
                json!("v2"),
                "subset v2 of",
            ),
            (
                mesh,
                "/spec/http/0/route/0/destination/host",
                json!("payment"),
                "there is no Service payment",
            ),
            (
                mesh,
                "/spec/http/0/route/0/destination/port/number",
                json!(8080),
                "has no port 8080",
            ),
            (mesh, "/spec/http/0/timeout", json!("1s"), "do not fit into 1000 ms"),
            (mesh, "/spec/http/0/retries/perTryTimeout", Value::Null, "do not fit"),
            (mesh, "/spec/http/0/retries/retryOn", json!("5xx,reset"), "every 5xx"),
            (mesh, "/spec/hosts/0", json!("payment"), "is short"),
            (rule, "/spec/subsets/1", Value::Null, "subset canary of"),
            (
                rule,
                "/spec/subsets/1/labels/track",
                json!("v2"),
                "is not one Deployment",
            ),
            (
                rule,
                "/spec/subsets/1/labels/track",
                Value::Null,
                "is not one Deployment",
            ),
            (rule, "/spec/host", json!("payment"), "there is no Service payment"),
            (
                "Service payment-canary",
                "/spec/selector/track",
                json!("v2"),
                "selects no pod",
            ),
            (
                "Service payment",
                "/spec/ports/0/targetPort",
                json!("web"),
                "target port",
            ),
            (
                "PodDisruptionBudget payment-stable",
                "/spec/selector/matchLabels/app",
                json!("x"),
                "selects no pod",
            ),
            (
                scaler,
                "/spec/scaleTargetRef/name",
                json!("payment"),
                "there is no Deployment payment",
            ),
            (
                scaler,
                "/spec/scaleTargetRef/name",
                json!("payment-stable"),
                "two autoscalers",
            ),
            (scaler, "/spec/minReplicas", json!(11), "a minimum above its maximum"),
            (
                scaler,
                "/spec/metrics/0/containerResource/container",
                json!("web"),
                "measures a container",
            ),
            (stable, "/spec/replicas", json!(2), "has replicas of its own"),
            (
                canary,
                "/spec/selector/matchLabels/track",
                Value::Null,
                "selects the pods of another one",
            ),
            (
                canary,
                "/spec/template/metadata/labels/track",
                json!("x"),
                "does not select its own pods",
            ),
            (
                stable,
                "/spec/template/spec/serviceAccountName",
                json!("x"),
                "no ServiceAccount x",
            ),
            (
                stable,
                "/spec/template/spec/hostNetwork",
                json!(true),
                "host namespaces",
            ),
            (
                stable,
                "/spec/template/spec/volumes/0",
                json!({ "name": "tmp", "hostPath": {} }),
                "volume types",
            ),
            (stable, &secured("/privileged"), json!(true), "restricted: privileged"),
            (
                stable,
                &secured("/allowPrivilegeEscalation"),
                Value::Null,
                "privilege escalation",
            ),
            (stable, &secured("/runAsNonRoot"), json!(false), "non-root"),
            (stable, &secured("/runAsUser"), json!(0), "user 0"),
            (stable, &secured("/seccompProfile/type"), json!("Unconfined"), "seccomp"),
            (stable, &secured("/capabilities/drop/0"), json!("CHOWN"), "capabilities"),
            (
                stable,
                &secured("/capabilities/add"),
                json!(["NET_ADMIN"]),
                "capabilities",
            ),
            (stable, &inside("/ports/0/hostPort"), json!(80), "host ports"),
            (
                stable,
                &inside("/livenessProbe/httpGet/path"),
                json!("/readyz"),
                "livenessProbe asks nobody",
            ),
            (
                stable,
                &inside("/readinessProbe/httpGet/port"),
                json!("web"),
                "readinessProbe asks nobody",
            ),
            (
                stable,
                &inside("/env/0/value"),
                json!("80"),
                "HTTP_PORT is not the port http",
            ),
            (stable, &inside("/image"), json!("a.b/c:latest"), "its image may change"),
            (policy, "/spec/policyTypes/1", Value::Null, "Egress is open"),
            (policy, "/spec/egress/0", Value::Null, "does not reach DNS"),
            (policy, "/spec/egress/1", Value::Null, "does not reach istiod"),
            (
                policy,
                "/spec/ingress/0/ports/1",
                Value::Null,
                "nobody reaches the port \"grpc\"",
            ),
            (
                policy,
                "/spec/podSelector/matchLabels/app",
                Value::Null,
                "selects no pod",
            ),
            (
                "ServiceAccount payment",
                "/metadata/labels/app",
                json!("a b"),
                "is no label",
            ),
        ] {
            let found = flaws(&mutant(object, pointer, &to));
            assert!(found.iter().any(|f| f.contains(says)), "{object} {pointer}: {found:?}");
        }
    }
}
