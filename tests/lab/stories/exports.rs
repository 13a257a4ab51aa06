//! What `msctl canary export` makes, held against the definitions of the controllers it is for.

use super::mesh::kubectl;
use crate::lab::{User, define, lab};
use crate::support::{Sandbox, tool};

#[test]
fn the_exported_plan_is_taken_by_the_definitions_of_both_controllers() {
    assert!(lab().mesh().istiod.process().is_some());
    let crds = tool("argo-rollouts-crds").join("crds");
    let files = [
        tool("flagger-crds").join("crd.yaml"),
        crds.join("rollout-crd.yaml"),
        crds.join("analysis-template-crd.yaml"),
    ];
    define(lab().ground(), lab().control_plane(), &files).expect("the definitions of both");
    let namespace = lab().namespace("export");
    let sandbox = Sandbox::new();
    let description = format!(
        "schema: msctl.service/v1\nname: payment\ndeploy: {{ namespace: {namespace} }}\nmesh: {{ retries: 0 }}\n"
    );
    sandbox.write("payment/msctl.yaml", description);
    for (controller, from, to, why) in [
        ("flagger", "    - 5\n", "    - five\n", "stepWeights"),
        ("flagger", "threshold: 1", "treshold: 1", "treshold"),
        ("argo-rollouts", "setWeight: 5\n", "setWeight: five\n", "setWeight"),
        ("argo-rollouts", "podTemplateHashValue", "podHash", "podHash"),
        ("argo-rollouts", "successCondition", "goodCondition", "goodCondition"),
    ] {
        let made = sandbox.msctl_in("payment", ["canary", "export", "--to", controller]);
        assert_eq!(made.code, 0, "{}", made.transcript());
        let apply = [
            "apply",
            "--server-side",
            "--validate=strict",
            "--dry-run=server",
            "-f",
            "plan.yaml",
        ];
        sandbox.write("payment/plan.yaml", &made.stdout);
        let taken = kubectl(&sandbox, User::Admin, &apply);
        assert_eq!(taken.code, 0, "{}", taken.transcript());
        assert!(!taken.stderr.contains("Warning"), "{}", taken.transcript());
        // The same server does refuse.
        sandbox.write("payment/plan.yaml", made.stdout.replacen(from, to, 1));
        let refused = kubectl(&sandbox, User::Admin, &apply);
        assert!(
            refused.code != 0 && refused.stderr.contains(why),
            "{}",
            refused.transcript()
        );
    }
}
