//! `msctl canary run` where there is nothing to release: every refusal names the thing and the way out. What it does on a cluster is
//! in the lab's stories.

use crate::support::{Run, Sandbox};

const KUBECONFIG: &str = "
apiVersion: v1
kind: Config
current-context: nowhere
clusters: [{ name: nowhere, cluster: { server: 'https://127.0.0.1:1' } }]
users: [{ name: ann, user: { token: t } }]
contexts: [{ name: nowhere, context: { cluster: nowhere, user: ann } }]
";

fn place() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("msctl.yaml", "schema: msctl.service/v1\nname: payment\n");
    sandbox.write("config", KUBECONFIG);
    sandbox
}

fn refused(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    let run = sandbox.msctl([&["canary", "run"], arguments].concat());
    assert_eq!(run.code, 2, "{}", run.transcript());
    assert!(!sandbox.path(".msctl").exists(), "nothing is written");
    run
}

#[test]
fn what_it_needs_is_said_by_name() {
    let sandbox = place();
    let url = "http://127.0.0.1:2";
    for (arguments, words) in [
        (&["--kubeconfig", "config"][..], "--prometheus <URL>"),
        (&["--prometheus", url], "there is no kubeconfig"),
        (
            &["--prometheus", url, "--kubeconfig", "none"],
            "cannot read the kubeconfig `none`",
        ),
        (
            &["--prometheus", url, "--kubeconfig", "config", "--context", "staging"],
            "the kubeconfig does not say how to reach a cluster",
        ),
        (
            &["--prometheus", "prom", "--kubeconfig", "config"],
            "`--prometheus prom` is no URL",
        ),
        (
            &["--prometheus", url, "--kubeconfig", "config"],
            "cannot read the VirtualService payment/payment",
        ),
        (
            &["--prometheus", url, "--kubeconfig", "config", "--steps", "50,5"],
            "50,5",
        ),
    ] {
        let run = refused(&sandbox, arguments);
        assert!(run.stderr.contains(words), "{words}:\n{}", run.transcript());
    }
    let run = refused(&Sandbox::new(), &["--prometheus", url]);
    assert!(
        run.stderr.contains("there is no `./msctl.yaml`"),
        "{}",
        run.transcript()
    );
}

#[test]
fn a_cluster_that_does_not_answer_is_a_kind_of_its_own() {
    let arguments = [
        "--output",
        "json",
        "--prometheus",
        "http://127.0.0.1:2",
        "--kubeconfig",
        "config",
    ];
    let run = refused(&place(), &arguments);
    let failure = run.json();
    assert_eq!(
        (&failure["kind"], &failure["exit"]),
        (&"unreachable".into(), &2.into()),
        "{failure}"
    );
    assert!(
        failure["causes"][0].as_str().is_some_and(|why| why.contains("refused")),
        "{failure}"
    );
}

#[test]
fn metrics_that_the_proxies_do_not_have_are_refused_with_the_way_out() {
    let sandbox = place();
    let own =
        "canary:\n  metrics:\n    - { name: orders, total: orders_total, bad: 'orders_total{result=\"failed\"}' }\n";
    sandbox.write("msctl.yaml", format!("schema: msctl.service/v1\nname: payment\n{own}"));
    let run = refused(&sandbox, &["--metrics", "proxies", "--kubeconfig", "config"]);
    insta::assert_snapshot!(run.transcript(), @r"
    $ msctl canary run --metrics proxies --kubeconfig config
    ! error: the proxies do not have the counters of `canary.metrics`: `orders`
    !   Nothing was changed.
    !   hint: --prometheus http://… --metrics istio    or `envoy`, where those counters are scraped too
    !   hint: canary: { metrics: [] }                  a release that begins is judged by requests alone
    (exit 2)
    ");
    // With a Prometheus it is the cluster that does not answer.
    let run = refused(
        &sandbox,
        &["--prometheus", "http://127.0.0.1:2", "--kubeconfig", "config"],
    );
    assert!(
        run.stderr.contains("cannot read the VirtualService"),
        "{}",
        run.transcript()
    );
}

#[test]
fn a_function_where_raw_counters_are_wanted_is_refused_at_its_place() {
    let sandbox = place();
    let own = "canary:\n  metrics:\n    - name: orders\n      total: rate(orders_total[5m])\n      bad: orders_failed_total\n";
    sandbox.write("msctl.yaml", format!("schema: msctl.service/v1\nname: payment\n{own}"));
    let run = refused(&sandbox, &["--metrics", "proxies", "--kubeconfig", "config"]);
    insta::assert_snapshot!(run.transcript(), @r#"
    $ msctl canary run --metrics proxies --kubeconfig config
    ! error: `rate(orders_total[5m])` is no selector of counters: `rate` is a function or an aggregation here, and raw counters are wanted: msctl itself counts what they grew by; such as `orders_total{result="failed"}`
    !   msctl.yaml:6:14   total: rate(orders_total[5m])
    (exit 2)
    "#);
}
