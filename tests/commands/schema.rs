//! `msctl schema`, as a transcript.

use serde_json::Value;

use crate::support::Sandbox;

#[test]
fn the_documents_are_listed_and_a_wrong_name_says_the_nearest() {
    let sandbox = Sandbox::new();
    insta::assert_snapshot!(sandbox.msctl(["schema", "--list"]).transcript(), @r"
    $ msctl schema --list
    service          msctl.service/v1          msctl.yaml
    canary.abort     msctl.canary.abort/v1     the answer of `canary abort`
    canary.asked     msctl.canary.asked/v1     the answer of `canary pause` and `promote`
    canary.backtest  msctl.canary.backtest/v1  the answer of `canary backtest`
    canary.event     msctl.canary.event/v1     what `canary rehearse`, `run` and `resume` see and decide, line by line
    canary.export    msctl.canary.export/v1    the answer of `canary export`
    canary.guard     msctl.canary.guard/v1     the answer of `canary guard`
    canary.history   msctl.canary.history/v1   the answer of `canary history`
    canary.job       msctl.canary.job/v1       the answer of `canary run --in-cluster`
    canary.manifest  msctl.canary.manifest/v1  the answer of `canary run --in-cluster --dry-run`
    canary.page      msctl.canary.page/v1      the answer of `canary report`
    canary.plan      msctl.canary.plan/v1      the answer of `canary run --dry-run`
    canary.report    msctl.canary.report/v1    the answer of `canary rehearse`, `run` and `explain`
    canary.set       msctl.canary.set/v1       the answer of `canary set`
    canary.started   msctl.canary.started/v1   the answer of `canary start`
    canary.status    msctl.canary.status/v1    the answer of `canary status`, and of `watch` line by line
    failure          msctl.failure/v1          what could not be done, of every command
    gate.report      msctl.gate.report/v2      the answer of `gate`
    gate.waiver      msctl.gate.waiver/v1      the answer of `gate waive`
    generate.file    msctl.generate.file/v1    a file of `generate --stdout`
    generate.report  msctl.generate.report/v1  the answer of `generate`
    health.report    msctl.health.report/v1    the answer of `health`
    logs.line        msctl.logs.line/v1        a line of `logs`
    logs.summary     msctl.logs.summary/v1     the answer of `logs --summary`
    new.report       msctl.new.report/v1       the answer of `new`
    tour.report      msctl.tour.report/v1      the answer of `tour`
    (exit 0)
    ");
    insta::assert_snapshot!(sandbox.msctl(["schema", "servcie"]).transcript(), @r"
    $ msctl schema servcie
    ! error: there is no document `servcie`
    !   hint: did you mean `service`? There are: service, canary.abort, canary.asked, canary.backtest, canary.event, canary.export, canary.guard, canary.history, canary.job, canary.manifest, canary.page, canary.plan, canary.report, canary.set, canary.started, canary.status, failure, gate.report, gate.waiver, generate.file, generate.report, health.report, logs.line, logs.summary, new.report, tour.report
    (exit 2)
    ");
}

#[test]
fn a_document_is_known_by_both_names() {
    let sandbox = Sandbox::new();
    let list = sandbox.msctl(["schema", "--list", "--output", "json"]).json();
    for entry in list["documents"].as_array().expect("documents") {
        let (name, document) = (
            entry["name"].as_str().expect("a name"),
            entry["document"].as_str().expect("a name"),
        );
        let schema = sandbox.msctl(["schema", name]).json();
        assert_eq!(schema, sandbox.msctl(["schema", document]).json());
        assert_eq!(schema["title"], document);
    }
}

/// Follows `$ref`, alone or in an `allOf` or `anyOf` of one schema and null.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let inner = ["allOf", "anyOf"]
        .iter()
        .find_map(|key| schema[*key].as_array())
        .and_then(|all| all.first());
    if let Some(reference) = schema["$ref"].as_str() {
        return resolved(root, root.pointer(&reference[1..]).expect(reference));
    }
    inner.map_or(schema, |inner| resolved(root, inner))
}

#[test]
fn every_key_of_a_description_is_in_its_schema_and_said_what_it_is() {
    let sandbox = Sandbox::new();
    let root = sandbox.msctl(["schema"]).json();
    assert_eq!(root["properties"]["schema"]["const"], "msctl.service/v1");
    assert_eq!(root["required"], serde_json::json!(["schema", "name"]));
    for (section, keys) in [
        (
            "",
            &[
                "name",
                "language",
                "module",
                "ports",
                "components",
                "image",
                "deploy",
                "mesh",
                "gate",
                "canary",
            ][..],
        ),
        ("ports", &["http", "grpc", "metrics"]),
        ("components", &["telemetry"]),
        ("image", &["repository", "tag", "digest", "builder", "runtime"]),
        ("deploy", &["namespace", "replicas", "resources"]),
        ("mesh", &["provider", "hosts", "timeout", "retries", "mirror"]),
        ("gate", &["fail-on", "checks"]),
        ("canary", &["steps", "hold", "alpha", "tolerance", "freeze", "metrics"]),
    ] {
        let schema = if section.is_empty() {
            &root
        } else {
            resolved(&root, &root["properties"][section])
        };
        assert_eq!(schema["additionalProperties"], false, "{section}");
        for key in keys {
            let property = &schema["properties"][*key];
            assert!(property["description"].is_string(), "{section}.{key}: {property}");
        }
    }
}
