//! What `msctl canary export` makes, held against the definitions of the controllers it is for.

use crate::lab::{User, lab};
use crate::support::{Run, Sandbox, finish, run, tool};

/// kubectl as an administrator, in the lab's network.
fn kubectl(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    let mut command = lab().ground().door().visitor(tool("kubectl"));
    let config = lab().control_plane().kubeconfig(User::Admin);
    command.arg("--kubeconfig").arg(config).args(arguments);
    finish(command.current_dir(sandbox.path("")))
}

/// The custom resources of both controllers.
fn define() {
    let crds = tool("argo-rollouts-crds").join("crds");
    let files = [
        tool("flagger-crds").join("crd.yaml"),
        crds.join("rollout-crd.yaml"),
        crds.join("analysis-template-crd.yaml"),
    ];
    let kubectl = || {
        let mut command = lab().ground().door().visitor(tool("kubectl"));
        command
            .arg("--kubeconfig")
            .arg(lab().control_plane().kubeconfig(User::Admin));
        command
    };
    let mut apply = kubectl();
    apply.args(["apply", "--server-side"]);
    for file in files {
        apply.arg("-f").arg(file);
    }
    run(&mut apply).expect("the definitions");
    let established = ["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"];
    run(kubectl().args(established)).expect("the definitions are served");
}

#[test]
fn the_exported_plan_is_taken_by_the_definitions_of_both_controllers() {
    assert!(lab().mesh().istiod.process().is_some());
    define();
    let namespace = lab().namespace("export");
    let sandbox = Sandbox::new();
    let description = format!(
        "schema: msctl.service/v1\nname: payment\ndeploy: {{ namespace: {namespace} }}\nmesh: {{ retries: 0 }}\n"
    );
    sandbox.write("msctl.yaml", description);
    for (controller, from, to, why) in [
        ("flagger", "    - 5\n", "    - five\n", "stepWeights"),
        ("flagger", "threshold: 1", "treshold: 1", "treshold"),
        ("argo-rollouts", "setWeight: 5\n", "setWeight: five\n", "setWeight"),
        ("argo-rollouts", "podTemplateHashValue", "podHash", "podHash"),
        ("argo-rollouts", "successCondition", "goodCondition", "goodCondition"),
    ] {
        let made = sandbox.msctl(["canary", "export", "--to", controller]);
        assert_eq!(made.code, 0, "{}", made.transcript());
        let apply = [
            "apply",
            "--server-side",
            "--validate=strict",
            "--dry-run=server",
            "-f",
            "plan.yaml",
        ];
        sandbox.write("plan.yaml", &made.stdout);
        let taken = kubectl(&sandbox, &apply);
        assert_eq!(taken.code, 0, "{}", taken.transcript());
        assert!(!taken.stderr.contains("Warning"), "{}", taken.transcript());
        // The same server does refuse.
        sandbox.write("plan.yaml", made.stdout.replacen(from, to, 1));
        let refused = kubectl(&sandbox, &apply);
        assert!(
            refused.code != 0 && refused.stderr.contains(why),
            "{}",
            refused.transcript()
        );
    }
}
