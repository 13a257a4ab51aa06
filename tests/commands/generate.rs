//! `msctl generate`, as a transcript.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::support::{Run, Sandbox, program};

const SERVICE: &str = "schema: msctl.service/v1\nname: payment\n";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("msctl.yaml", SERVICE);
    sandbox
}

fn generate(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    sandbox.msctl(std::iter::once(&"generate").chain(arguments))
}

#[test]
fn files_are_written_once_and_left_alone_then() {
    let sandbox = sandbox();
    insta::assert_snapshot!(generate(&sandbox, &[]).transcript(), @r"
    $ msctl generate
    payment: 13 written, 0 unchanged
      Dockerfile
      deploy/kubernetes/namespace.yaml
      deploy/kubernetes/serviceaccount.yaml
      deploy/kubernetes/networkpolicy.yaml
      deploy/kubernetes/services.yaml
      deploy/kubernetes/deployment-stable.yaml
      deploy/kubernetes/deployment-canary.yaml
      deploy/kubernetes/autoscalers.yaml
      deploy/kubernetes/disruptionbudgets.yaml
      deploy/kubernetes/kustomization.yaml
      deploy/istio/destinationrule.yaml
      deploy/istio/virtualservice.yaml
      deploy/istio/kustomization.yaml
    (exit 0)
    ");
    insta::assert_snapshot!(generate(&sandbox, &["istio"]).transcript(), @r"
    $ msctl generate istio
    payment: 0 written, 3 unchanged
    (exit 0)
    ");
    sandbox.write("msctl.yaml", format!("{SERVICE}mesh: {{ mirror: 10 }}\n"));
    insta::assert_snapshot!(generate(&sandbox, &["--dry-run"]).transcript(), @r"
    $ msctl generate --dry-run
    payment: 1 to write, 12 unchanged
      deploy/istio/virtualservice.yaml
    (exit 0)
    ");
    insta::assert_snapshot!(generate(&sandbox, &[]).transcript(), @r"
    $ msctl generate
    payment: 1 written, 12 unchanged
      deploy/istio/virtualservice.yaml
    (exit 0)
    ");
}

/// Every file of a service that says nothing but its name: a change of any of them is seen in review.
#[test]
fn this_is_what_is_made() {
    let sandbox = sandbox();
    let run = generate(&sandbox, &["--stdout"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{}", run.transcript());
    insta::assert_snapshot!("generated", run.stdout);
    assert!(!sandbox.path("Dockerfile").exists());
    let alone = generate(&sandbox, &["dockerfile", "--stdout"]).stdout;
    assert_eq!(generate(&sandbox, &["dockerfile"]).code, 0);
    assert_eq!(sandbox.read("Dockerfile"), alone);
}

#[test]
fn check_shows_the_difference_and_writes_nothing() {
    let sandbox = sandbox();
    assert_eq!(generate(&sandbox, &["dockerfile", "istio"]).code, 0);
    insta::assert_snapshot!(generate(&sandbox, &["dockerfile", "istio", "--check"]).transcript(), @r"
    $ msctl generate dockerfile istio --check
    payment: 4 files as msctl.yaml says
    (exit 0)
    ");
    let edited = sandbox.read("Dockerfile").replace("USER 65532:65532\n", "");
    sandbox.write("Dockerfile", &edited);
    std::fs::remove_file(sandbox.path("deploy/istio/kustomization.yaml")).expect("a file");
    insta::assert_snapshot!(generate(&sandbox, &["dockerfile", "istio", "--check"]).transcript(), @r#"
    $ msctl generate dockerfile istio --check
    --- a/Dockerfile
    +++ b/Dockerfile
    @@ -28,6 +28,7 @@
           org.opencontainers.image.revision="$REVISION" \
           org.opencontainers.image.source="$SOURCE"
     COPY --link --from=build /out/app /app
    +USER 65532:65532
     EXPOSE 8080 9090 9100
     STOPSIGNAL SIGTERM
     HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/app", "healthcheck"]
    --- /dev/null
    +++ b/deploy/istio/kustomization.yaml
    @@ -0,0 +1,6 @@
    +# Made by msctl generate; edit msctl.yaml instead. Sum: 9bd59b8309f21fc7
    +apiVersion: kustomize.config.k8s.io/v1beta1
    +kind: Kustomization
    +resources:
    +- destinationrule.yaml
    +- virtualservice.yaml
    payment: 2 files not as msctl.yaml says, 2 unchanged
      next: msctl generate --overwrite
    (exit 1)
    "#);
    assert_eq!(sandbox.read("Dockerfile"), edited);
    assert!(!sandbox.path("deploy/istio/kustomization.yaml").exists());
}

#[test]
fn a_diff_can_be_applied() {
    let sandbox = sandbox();
    assert_eq!(generate(&sandbox, &["dockerfile"]).code, 0);
    let made = sandbox.read("Dockerfile");
    sandbox.write("Dockerfile", made.replace("USER 65532:65532\n", "USER root\n"));
    let check = generate(&sandbox, &["dockerfile", "--check", "--output", "json"]).json();
    let diff = check["files"][0]["diff"].as_str().expect("a diff");
    sandbox.write("change.diff", diff);
    let patch = sandbox.run_in("", Path::new("/usr/bin/env"), ["git", "apply", "change.diff"]);
    assert_eq!(patch.code, 0, "{}", patch.transcript());
    assert_eq!(sandbox.read("Dockerfile"), made);
}

#[test]
fn a_file_of_somebody_else_is_kept() {
    let sandbox = sandbox();
    sandbox.write("Dockerfile", "FROM scratch\n");
    insta::assert_snapshot!(generate(&sandbox, &[]).transcript(), @r"
    $ msctl generate
    ! error: `Dockerfile` is there and was not made by msctl
    !   Nothing was written.
    !   hint: msctl generate --check        shows the difference
    !   hint: msctl generate --overwrite    replaces it
    (exit 3)
    ");
    assert_eq!(sandbox.read("Dockerfile"), "FROM scratch\n");
    assert!(!sandbox.path("deploy").exists());
    assert_eq!(generate(&sandbox, &["kubernetes"]).code, 0);
    let edited = sandbox
        .read("deploy/kubernetes/namespace.yaml")
        .replace("restricted", "privileged");
    sandbox.write("deploy/kubernetes/namespace.yaml", &edited);
    insta::assert_snapshot!(generate(&sandbox, &["--dry-run"]).transcript(), @r"
    $ msctl generate --dry-run
    ! error: 2 files are not msctl's to replace
    !   `Dockerfile` is there and was not made by msctl
    !   `deploy/kubernetes/namespace.yaml` was edited after msctl made it
    !   Nothing was written.
    !   hint: msctl generate --check        shows the difference
    !   hint: msctl generate --overwrite    replaces it
    (exit 3)
    ");
    insta::assert_snapshot!(generate(&sandbox, &["dockerfile", "kubernetes", "--overwrite"]).transcript(), @r"
    $ msctl generate dockerfile kubernetes --overwrite
    payment: 2 written, 8 unchanged
      Dockerfile
      deploy/kubernetes/namespace.yaml
    (exit 0)
    ");
    assert!(!sandbox.read("deploy/kubernetes/namespace.yaml").contains("privileged"));
}

#[test]
fn json_says_the_same() {
    let sandbox = sandbox();
    let arguments = ["istio", "--output", "json"];
    insta::assert_snapshot!(generate(&sandbox, &arguments).transcript(), @r#"
    $ msctl generate istio --output json
    {"schema":"msctl.generate.report/v1","service":"payment","mode":"write","differ":3,"files":[{"path":"deploy/istio/destinationrule.yaml","state":"missing"},{"path":"deploy/istio/virtualservice.yaml","state":"missing"},{"path":"deploy/istio/kustomization.yaml","state":"missing"}]}
    (exit 0)
    "#);
    assert_eq!(generate(&sandbox, &arguments).json()["differ"], 0);
    sandbox.write("msctl.yaml", format!("{SERVICE}mesh: {{ retries: 1 }}\n"));
    let check = generate(&sandbox, &["istio", "--check", "--output", "json"]);
    let report = check.json();
    assert_eq!(
        (check.code, &report["mode"], &report["differ"]),
        (1, &"check".into(), &1.into())
    );
    let diffs: Vec<&str> = report["files"]
        .as_array()
        .expect("files")
        .iter()
        .filter_map(|f| f["diff"].as_str())
        .collect();
    assert!(
        diffs.len() == 1 && diffs[0].contains("+      attempts: 1\n"),
        "{diffs:?}"
    );
    let printed = generate(&sandbox, &["dockerfile", "--stdout", "--output", "json"]).json();
    assert_eq!(
        (&printed["schema"], &printed["path"]),
        (&"msctl.generate.file/v1".into(), &"Dockerfile".into())
    );
}

/// Every value at once, and names that YAML would take for something else.
#[test]
fn what_a_description_says_is_in_what_is_made() {
    let sandbox = Sandbox::new();
    let digest = format!("sha256:{}", "0a".repeat(32));
    sandbox.write(
        "msctl.yaml",
        format!(
            "schema: msctl.service/v1
name: \"null\"
module: example.com/shop/null
ports: {{ http: 18080, grpc: 19090, metrics: 19100 }}
components: {{ telemetry: otlp }}
image: {{ repository: registry.example/shop/null, tag: \"1.10\", digest: '{digest}' }}
deploy: {{ namespace: \"1e3\", replicas: {{ min: 3, max: 7 }}, resources: {{ cpu: 250m, cpu-limit: 2, memory: 1Gi, memory-limit: 2Gi }} }}
mesh: {{ hosts: [pay.example.com], timeout: 3s, retries: 1, mirror: 10 }}
"
        ),
    );
    let all = generate(&sandbox, &["--stdout"]);
    for part in [
        "  name: \"null\"\n  namespace: \"1e3\"\n",
        "    version: \"1.10\"\n",
        &format!("        image: registry.example/shop/null:1.10@{digest}\n"),
        "        - name: HTTP_PORT\n          value: \"18080\"\n",
        "            cpu: 250m\n            memory: 1Gi\n",
        "            cpu: \"2\"\n            memory: 2Gi\n",
        "  minReplicas: 3\n  maxReplicas: 7\n",
        "  minReplicas: 1\n  maxReplicas: 7\n",
        "  hosts:\n  - null.1e3.svc.cluster.local\n  - pay.example.com\n",
        "    timeout: 3s\n    retries:\n      attempts: 1\n      perTryTimeout: 1500ms\n",
        "    mirrors:\n",
        "    - protocol: TCP\n      port: 4317\n",
        "EXPOSE 18080 19090 19100\n",
        "ARG SOURCE=https://example.com/shop/null\n",
    ] {
        assert!(all.stdout.contains(part), "{part}\n{}", all.transcript());
    }
}

/// What a description may be, and what is said of it.
#[test]
fn a_description_that_is_wrong_makes_nothing() {
    let deep = format!("{SERVICE}mesh: {}\n", "[".repeat(5_000));
    let huge = format!("{SERVICE}# {}\n", "x".repeat(2 << 20));
    let cases: [(&str, &[u8], &str); 13] = [
        ("empty", b"", "`msctl.yaml` is empty"),
        ("binary", b"\x7fELF\x02\x01\xff\xfe", "`msctl.yaml` is no text"),
        (
            "zero byte",
            b"schema: msctl.service/v1\nname: a\0b\n",
            "a zero byte at offset",
        ),
        ("huge", huge.as_bytes(), "`msctl.yaml` is larger than 1024 KiB"),
        ("deep", deep.as_bytes(), "msctl.yaml:3:"),
        ("not a mapping", b"- payment\n", "msctl.yaml:1:1"),
        (
            "duplicate key",
            b"schema: msctl.service/v1\nname: a\nname: b\n",
            "the key `name` is there twice\n  msctl.yaml:3:1",
        ),
        (
            "wrong type",
            b"schema: msctl.service/v1\nname: a\nports: { http: web }\n",
            "msctl.yaml:3:16",
        ),
        (
            "unknown key",
            b"schema: msctl.service/v1\nname: a\nmehs: {}\n",
            "hint: did you mean `mesh`?",
        ),
        (
            "unknown value",
            b"schema: msctl.service/v1\nname: a\nmesh: { provider: istoi }\n",
            "hint: did you mean `istio`?",
        ),
        ("no name", b"schema: msctl.service/v1\n", "the key `name` is missing"),
        (
            "a name that leads out",
            b"schema: msctl.service/v1\nname: ../../etc\n",
            "is no service name",
        ),
        (
            "a base that is a command",
            b"schema: msctl.service/v1\nname: a\nimage: { builder: \"go:1\\nRUN id\" }\n",
            "is no base image",
        ),
    ];
    for (what, bytes, says) in cases {
        let sandbox = Sandbox::new();
        sandbox.write("msctl.yaml", bytes);
        let run = generate(&sandbox, &[]);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{what}: {}", run.transcript());
        assert!(run.stderr.contains(says), "{what}: {}", run.transcript());
        assert!(run.stderr.len() < 1_000, "{what}: {}", run.transcript());
        assert_eq!(
            std::fs::read_dir(sandbox.path("")).expect("a directory").count(),
            1,
            "{what}"
        );
    }
}

#[test]
fn an_error_has_its_place_and_the_way_out() {
    let run = generate(&Sandbox::new(), &[]);
    insta::assert_snapshot!(run.transcript(), @r"
    $ msctl generate
    ! error: there is no `./msctl.yaml`
    !   hint: msctl new NAME    makes a service that has one
    !   hint: msctl -C DIR …    looks in another directory
    (exit 2)
    ");
    let sandbox = sandbox();
    sandbox.write("msctl.yaml", format!("{SERVICE}ports: {{ htpp: 8080 }}\n"));
    insta::assert_snapshot!(generate(&sandbox, &[]).transcript(), @r"
    $ msctl generate
    ! error: there is no key `htpp` here
    !   msctl.yaml:3:10   ports: { htpp: 8080 }
    !   hint: did you mean `http`? There are: http, grpc, metrics
    (exit 2)
    ");
    insta::assert_snapshot!(generate(&sandbox, &["--output", "json"]).transcript(), @r#"
    $ msctl generate --output json
    {"schema":"msctl.failure/v1","kind":"config","exit":2,"message":"there is no key `htpp` here","at":{"file":"msctl.yaml","line":3,"column":10,"text":"ports: { htpp: 8080 }"},"causes":[],"notes":[],"hints":["did you mean `http`? There are: http, grpc, metrics"]}
    ! error: there is no key `htpp` here
    !   msctl.yaml:3:10   ports: { htpp: 8080 }
    !   hint: did you mean `http`? There are: http, grpc, metrics
    (exit 2)
    "#);
}

#[test]
fn a_link_out_of_the_tree_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("payment/msctl.yaml", SERVICE);
    sandbox.write("outside/kept", "kept");
    symlink(sandbox.path("outside"), sandbox.path("payment/deploy")).expect("a link");
    let run = sandbox.msctl_in("payment", ["generate"]);
    insta::assert_snapshot!(run.transcript(), @r"
    $ msctl generate
    ! error: cannot write `deploy/kubernetes/namespace.yaml`: `./deploy` is a symbolic link
    !   Nothing was written; msctl follows no symbolic link inside a service's directory.
    !   hint: put a real directory or file there, or move it away
    (exit 3)
    ");
    assert_eq!(
        std::fs::read_dir(sandbox.path("outside")).expect("a directory").count(),
        1
    );
    assert!(!sandbox.path("payment/Dockerfile").exists());
}

#[test]
fn a_directory_that_cannot_be_written_is_said() {
    let sandbox = sandbox();
    // Root writes anywhere, unless its capabilities are taken from it.
    let script = format!(
        "chmod 0555 . && if [ \"$(id -u)\" = 0 ]; then exec setpriv --bounding-set=-all --inh-caps=-all {0} generate; else exec {0} generate; fi",
        program().display()
    );
    let run = sandbox.run_in("", Path::new("/bin/sh"), ["-c", &script]);
    std::fs::set_permissions(sandbox.path(""), PermissionsExt::from_mode(0o755)).expect("rights");
    assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{}", run.transcript());
    assert!(run.stderr.contains("cannot write"), "{}", run.transcript());
    assert_eq!(std::fs::read_dir(sandbox.path("")).expect("a directory").count(), 1);
}
