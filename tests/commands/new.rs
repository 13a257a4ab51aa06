//! `msctl new`, as a transcript.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use crate::support::{Run, Sandbox, program};

/// What a run shows, without how long it took.
fn shown(sandbox: &Sandbox, run: &Run) -> String {
    let text = sandbox.tidy(&run.transcript());
    let lines = text.lines().map(|line| match line.split_once(" files in ") {
        Some((before, _)) => format!("{before} files in [TIME]"),
        None => line.to_owned(),
    });
    lines.map(|line| line + "\n").collect()
}

/// Every path below the working directory, hidden ones too.
fn tree(sandbox: &Sandbox) -> Vec<String> {
    fn walk(at: &Path, below: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(at).expect("a directory") {
            let path = entry.expect("an entry").path();
            found.push(path.strip_prefix(below).expect("below").display().to_string());
            if path.is_dir() && !path.is_symlink() {
                walk(&path, below, found);
            }
        }
    }
    let mut found = Vec::new();
    walk(&sandbox.path(""), &sandbox.path(""), &mut found);
    found.sort();
    found
}

#[test]
fn a_service_is_made_and_the_next_commands_are_said() {
    let sandbox = Sandbox::new();
    let run = sandbox.msctl(["new", "payment", "--yes"]);
    insta::assert_snapshot!(shown(&sandbox, &run), @r"
        $ msctl new payment --yes
          Language      go
          Module path   example.com/payment
          Components    otlp
        Created payment: 43 files in [TIME]
          next:  cd payment && make run  http://localhost:8080
                 msctl generate          write the Dockerfile and the manifests
                 msctl gate              judge it before it ships
                 msctl canary rehearse   try a release without a cluster
        (exit 0)
        ");
    for file in [
        "cmd/payment/main.go",
        "go.sum",
        ".github/workflows/ci.yml",
        ".dockerignore",
        ".msctl/lock.json",
    ] {
        assert!(sandbox.path("payment").join(file).is_file(), "{file}");
    }
    insta::assert_snapshot!(sandbox.read("payment/msctl.yaml"), @r"
        # What msctl knows about this service. `msctl schema` prints all keys; each has a default.
        schema: msctl.service/v1
        name: payment
        language: go
        module: example.com/payment
        ports: { http: 8080, grpc: 9090, metrics: 9100 }
        components: { telemetry: otlp }
        image: { repository: registry.example/payment }
        deploy: { namespace: payment, replicas: { min: 2, max: 10 } }
        mesh: { provider: istio, timeout: 2s, retries: 2 }
        gate: { fail-on: high }
        canary: { steps: [1, 5, 25, 50], hold: 2m, alpha: 0.01 }
        ");
}

#[test]
fn without_a_terminal_the_defaults_are_taken_and_that_is_said() {
    let sandbox = Sandbox::new();
    let run = sandbox.msctl(["new", "payment", "--into", "."]);
    insta::assert_snapshot!(shown(&sandbox, &run), @r"
        $ msctl new payment --into .
          Language      go
          Module path   example.com/payment
          Components    otlp
        Created payment: 43 files in [TIME]
          next:  cd payment && make run  http://localhost:8080
                 msctl generate          write the Dockerfile and the manifests
                 msctl gate              judge it before it ships
                 msctl canary rehearse   try a release without a cluster
        ! note: there is no terminal to ask on, taken: module example.com/payment, components otlp (`--yes` leaves this line out)
        (exit 0)
        ");
}

#[test]
fn a_dry_run_writes_nothing_and_says_what_would_be() {
    let sandbox = Sandbox::new();
    let run = sandbox.msctl(["new", "payment", "--yes", "--dry-run"]);
    let shown = shown(&sandbox, &run);
    let start = shown.lines().take(9).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(start, @r"
        $ msctl new payment --yes --dry-run
          Language      go
          Module path   example.com/payment
          Components    otlp
        Would create payment: 43 files, 133 112 bytes. Nothing was written.
              83  .dockerignore                                    base   merged
             249  .editorconfig                                    base   merged
           1 352  .github/workflows/ci.yml                         base   structured
              54  .gitignore                                       base   merged
        ");
    assert_eq!(tree(&sandbox), Vec::<String>::new());

    let planned = sandbox
        .msctl(["new", "payment", "--yes", "--dry-run", "--output", "json"])
        .json();
    let made = sandbox.msctl(["new", "payment", "--yes", "--output", "json"]).json();
    assert_eq!((&planned["written"], &made["written"]), (&false.into(), &true.into()));
    assert_eq!(planned["files"], made["files"]);
    let files = made["files"].as_array().expect("files");
    for file in files {
        let path = sandbox.path("payment").join(file["path"].as_str().expect("a path"));
        assert_eq!(
            fs::metadata(path).expect("a file").len(),
            file["bytes"].as_u64().expect("bytes"),
            "{file}"
        );
    }
    let on_disk = tree(&sandbox)
        .iter()
        .filter(|path| sandbox.path(path).is_file())
        .count();
    assert_eq!(on_disk, files.len());
}

#[test]
fn the_same_answers_make_the_same_bytes_wherever_they_come_from() {
    let answers = "name: payment\nmodule: example.com/shop/payment\nports: { http: 18080 }\ncomponents: {}\n";
    let by_flag = [
        "--module",
        "example.com/shop/payment",
        "--http-port",
        "18080",
        "--without",
        "otlp",
    ];
    let by_variable = [
        ("MSCTL_NEW_NAME", "payment"),
        ("MSCTL_NEW_MODULE", "example.com/shop/payment"),
        ("MSCTL_NEW_HTTP_PORT", "18080"),
        ("MSCTL_NEW_COMPONENTS", "none"),
    ];
    let flags = Sandbox::new();
    assert_eq!(flags.msctl(["new", "payment"].iter().chain(&by_flag)).code, 0);
    let file = Sandbox::new();
    file.write("../home/a.yaml", answers);
    assert_eq!(file.msctl(["new", "--answers", "../home/a.yaml"]).code, 0);
    let variables = by_variable
        .iter()
        .fold(Sandbox::new(), |s, (name, value)| s.with_env(name, value));
    assert_eq!(variables.msctl(["new"]).code, 0);
    assert_eq!(tree(&flags), tree(&file));
    assert_eq!(tree(&flags), tree(&variables));
    for path in tree(&flags).iter().filter(|path| flags.path(path).is_file()) {
        assert_eq!(flags.read(path), file.read(path), "{path}");
        assert_eq!(flags.read(path), variables.read(path), "{path}");
    }
    let lock: serde_json::Value = serde_json::from_str(&flags.read("payment/.msctl/lock.json")).expect("JSON");
    assert_eq!(lock["answers"]["ports"]["http"], 18080);
    assert!(!flags.path("payment/docs/otlp.md").exists());
}

#[test]
fn a_flag_goes_before_a_variable_before_the_file_before_the_default() {
    let sandbox = Sandbox::new()
        .with_env("MSCTL_NEW_MODULE", "example.com/variable/x")
        .with_env("MSCTL_NEW_GRPC_PORT", "2002")
        .with_env("MSCTL_NEW_METRICS_PORT", "");
    let file = "module: example.com/file/x\nports: { http: 3001, grpc: 3002, metrics: 3003 }\n";
    sandbox.write("a.yaml", file);
    let ask = |more: &[&str]| {
        let arguments = ["new", "x", "--yes", "--dry-run", "--answers", "a.yaml"]
            .iter()
            .chain(more);
        sandbox.msctl(arguments)
    };
    let run = ask(&["--module", "example.com/flag/x", "--output", "json"]);
    assert_eq!(run.json()["module"], "example.com/flag/x", "{}", run.transcript());
    assert_eq!(ask(&["--output", "json"]).json()["module"], "example.com/variable/x");
    assert_eq!(
        sandbox
            .msctl(["new", "x", "--answers", "a.yaml", "--http-port", "1024"])
            .code,
        0
    );
    let ports = "ports: { http: 1024, grpc: 2002, metrics: 3003 }";
    assert!(
        sandbox.read("x/msctl.yaml").contains(ports),
        "{}",
        sandbox.read("x/msctl.yaml")
    );
    let config = sandbox.read("x/internal/config/config.go");
    assert!(config.contains(r#"r.Port("METRICS_PORT", 3003)"#), "{config}");
}

#[test]
fn what_stands_there_is_a_conflict_and_is_not_touched() {
    let sandbox = Sandbox::new();
    sandbox.write("payment/mine", "mine");
    sandbox.write("file", "mine");
    std::os::unix::fs::symlink("payment", sandbox.path("link")).expect("a link");
    let before = tree(&sandbox);
    let run = sandbox.msctl(["new", "payment", "--yes"]);
    insta::assert_snapshot!(run.transcript(), @r"
        $ msctl new payment --yes
        ! error: `payment` is there already and is not empty
        !   Nothing in it was touched.
        !   hint: choose another name, or move it away: mv payment payment.old
        (exit 3)
        ");
    for name in ["file", "link"] {
        let run = sandbox.msctl(["new", name, "--yes"]);
        assert_eq!((run.code, &*run.stdout), (3, ""), "{}", run.transcript());
    }
    assert_eq!(tree(&sandbox), before);
    assert_eq!(sandbox.read("payment/mine"), "mine");
    let twice = Sandbox::new();
    assert_eq!(twice.msctl(["new", "a", "--yes"]).code, 0);
    assert_eq!(twice.msctl(["new", "a", "--yes"]).code, 3);
}

#[test]
fn a_bad_name_is_refused_with_the_nearest_good_one() {
    let sandbox = Sandbox::new();
    let long = "a".repeat(300);
    for (name, hint) in [
        ("", "hint: lower-case letters"),
        ("..", "hint: lower-case letters"),
        ("../payment", "hint: payment would do"),
        ("/etc/payment", "hint: etc-payment would do"),
        ("shop/payment", "hint: shop-payment would do"),
        ("Payment_API", "hint: payment-api would do"),
        ("2pay", "hint: pay would do"),
        ("payment-", "hint: payment would do"),
        ("pаyment", "hint: p-yment would do"), // the second letter is Cyrillic
        ("pay\u{202e}ment", "hint: pay-ment would do"),
        ("pay\nment", "hint: pay-ment would do"),
        (&*long, "hint: aaaaaaaa"),
    ] {
        let run = sandbox.msctl(["new", "--yes", "--", name]);
        assert_eq!((run.code, &*run.stdout), (2, ""), "{}", run.transcript());
        assert!(run.stderr.contains(hint), "{name:?}: {}", run.transcript());
        assert!(
            run.stderr.lines().all(|line| line.chars().count() < 160),
            "{}",
            run.transcript()
        );
        assert!(!run.stderr.contains('\u{202e}'), "{}", run.transcript());
    }
    assert_eq!(tree(&sandbox), Vec::<String>::new());
}

#[test]
fn a_wrong_answer_is_named_and_nothing_is_made() {
    let sandbox = Sandbox::new();
    let long = format!("module: example.com/{}\n", "x".repeat(2_000_000));
    for (name, content) in [
        ("empty.yaml", &b""[..]),
        ("unknown.yaml", b"modul: example.com/x\n"),
        ("twice.yaml", b"module: example.com/x\nmodule: example.com/y\n"),
        ("binary.yaml", b"\x00\xff\xfe"),
        ("long.yaml", long.as_bytes()),
    ] {
        sandbox.write(&format!("../home/{name}"), content);
    }
    for (arguments, says) in [
        (&["--module", "payment"][..], "`payment` is no Go module path"),
        (&["--module", "Example.com/x"], "is no Go module path"),
        (&["--module", "example.com/../x"], "is no Go module path"),
        (&["--component", "otpl"], "did you mean `otlp`?"),
        (&["--without", "redis"], "there is no component `redis`"),
        (&["--http-port", "80"], "one from 1024 to 65535 needs no rights"),
        (&["--http-port", "70000"], "`70000` is no port (--http-port)"),
        (&["--http-port", "9090"], "must differ"),
        (&["--into", "no/where"], "hint: mkdir -p no/where"),
        (&["--answers", "../home/none.yaml"], "cannot read `../home/none.yaml`"),
        (&["--answers", "../home/empty.yaml"], "is empty"),
        (&["--answers", "../home/unknown.yaml"], "did you mean `module`?"),
        (&["--answers", "../home/twice.yaml"], "twice.yaml:2"),
        (&["--answers", "../home/binary.yaml"], "is no text"),
        (&["--answers", "../home/long.yaml"], "is larger than 1024 KiB"),
    ] {
        let run = sandbox.msctl(["new", "payment", "--yes"].iter().chain(arguments));
        assert_eq!((run.code, &*run.stdout), (2, ""), "{}", run.transcript());
        assert!(run.stderr.contains(says), "{says}: {}", run.transcript());
    }
    assert_eq!(tree(&sandbox), Vec::<String>::new());
    let variable = Sandbox::new().with_env("MSCTL_NEW_MODULE", "x");
    let run = variable.msctl(["new", "payment"]);
    assert!(run.stderr.contains("MSCTL_NEW_MODULE says so"), "{}", run.transcript());
    let nameless = sandbox.msctl(["new", "--yes"]);
    insta::assert_snapshot!(nameless.transcript(), @r"
        $ msctl new --yes
        ! error: the service has no name
        !   hint: msctl new payment
        (exit 2)
        ");
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let sandbox = Sandbox::new();
    let run = sandbox.msctl(["new", "payment", "--yes", "--into", "/sys/kernel"]);
    assert_eq!((run.code, &*run.stdout), (2, ""), "{}", run.transcript());
    assert!(
        run.stderr
            .starts_with("error: cannot make `/sys/kernel/payment`\n  caused by: "),
        "{}",
        run.transcript()
    );
}

#[test]
fn a_disk_that_is_full_half_way_leaves_nothing() {
    let sandbox = Sandbox::new();
    // A limit on the size of a file stands in for the disk: the write fails in the middle of the tree.
    let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" new payment --yes";
    let run = sandbox.run_in("", Path::new("/bin/sh"), ["-c", script, &program().to_string_lossy()]);
    assert_eq!((run.code, &*run.stdout), (2, ""), "{}", run.transcript());
    assert!(
        run.stderr.starts_with("error: cannot write `payment/"),
        "{}",
        run.transcript()
    );
    assert!(run.stderr.contains("Nothing was made."), "{}", run.transcript());
    assert_eq!(tree(&sandbox), Vec::<String>::new());
}

/// A run that waits for its answers, which come only after the signal.
#[test]
fn a_signal_ends_it_and_leaves_nothing() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let sandbox = Sandbox::new();
        let fifo = sandbox.path("../home/answers");
        let made = sandbox.run_in("", Path::new("/usr/bin/mkfifo"), [&fifo]);
        assert_eq!(made.code, 0, "{}", made.transcript());
        let child = sandbox.start("", ["new", "payment", "--yes", "--answers", "../home/answers"]);
        let mut answers = fs::OpenOptions::new()
            .write(true)
            .open(&fifo)
            .expect("msctl reads its answers");
        let kill = sandbox.run_in(
            "",
            Path::new("/bin/sh"),
            ["-c", &format!("kill -{signal} {}", child.id())],
        );
        assert_eq!(kill.code, 0, "{}", kill.transcript());
        answers
            .write_all(b"module: example.com/x\n")
            .expect("msctl still reads");
        drop(answers);
        let output = child.wait_with_output().expect("msctl ends");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(
            text.contains("interrupted while making `payment`\n  Nothing was made."),
            "{text}"
        );
        assert_eq!(tree(&sandbox), Vec::<String>::new());
    }
}

/// Whenever the kill comes, the service is there whole or not at all, and the next run says what is left and makes it.
#[test]
fn a_killed_run_leaves_no_half_service() {
    let whole = Sandbox::new();
    assert_eq!(whole.msctl(["new", "payment", "--yes"]).code, 0);
    let sandbox = Sandbox::new();
    for _ in 0..5 {
        let mut child = sandbox.start("", ["new", "payment", "--yes"]);
        let begun = || fs::read_dir(sandbox.path("")).expect("a directory").next().is_some();
        while !begun() && child.try_wait().expect("a child").is_none() {
            std::thread::yield_now();
        }
        child.kill().expect("a child that is not waited for");
        child.wait().expect("it ends");
        if sandbox.path("payment").exists() {
            let below = |s: &Sandbox| {
                tree(s)
                    .into_iter()
                    .filter(|p| p.starts_with("payment"))
                    .collect::<Vec<_>>()
            };
            assert_eq!(below(&sandbox), below(&whole));
            fs::remove_dir_all(sandbox.path("payment")).expect("removed");
        }
        let left = tree(&sandbox)
            .into_iter()
            .find(|path| path.starts_with(".payment.msctl-"));
        let run = sandbox.msctl(["new", "payment", "--yes"]);
        assert_eq!(run.code, 0, "{}", run.transcript());
        if let Some(left) = left {
            assert!(
                run.stderr
                    .contains(&format!("note: `{left}` is of a run that was killed")),
                "{}",
                run.transcript()
            );
        }
        for entry in fs::read_dir(sandbox.path("")).expect("a directory") {
            fs::remove_dir_all(entry.expect("an entry").path()).expect("removed");
        }
    }
}

/// Types at questions, as a person does: waits for each text, then sends the keys.
const TYPIST: &str = r#"
import os, pty, select, sys
program, *steps = sys.argv[1:]
pid, terminal = pty.fork()
if pid == 0:
    os.execv(program, [program, "new", "payment"])
seen = b""
def until(text):
    global seen
    while text not in seen:
        try:
            more = os.read(terminal, 4096)
        except OSError:
            more = b""
        if not more:
            break
        seen += more
for wait, keys in zip(steps[::2], steps[1::2]):
    until(wait.encode())
    seen = b""
    os.write(terminal, keys.encode().decode("unicode_escape").encode())
# A Ctrl-C that comes before the terminal hands keys over one by one is pressed again, as a person would.
while steps[-1] == r"\x03" and b"\0end" not in seen:
    if select.select([terminal], [], [], 0.2)[0]:
        try:
            seen += os.read(terminal, 4096) or b"\0end"
        except OSError:
            seen += b"\0end"
    else:
        os.write(terminal, b"\x03")
until(b"\0end")
sys.stdout.buffer.write(seen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

fn typed(sandbox: &Sandbox, steps: &[&str]) -> Run {
    let program = program().to_string_lossy();
    let start = ["-c", TYPIST, &program];
    let mut command = sandbox.command(
        "",
        Path::new("/usr/bin/env"),
        ["python3"].iter().chain(&start).chain(steps),
    );
    let output = command
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .output()
        .expect("python3 runs");
    Run {
        command: "msctl new payment".into(),
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn on_a_terminal_it_asks() {
    let sandbox = Sandbox::new();
    let steps = [
        "Module path",
        "nonsense\\r",
        "is no Go module path",
        "\\x08\\x08\\x08\\x08\\x08\\x08\\x08\\x08example.com/shop/payment\\r",
        "Components",
        " \\r",
    ];
    let run = typed(&sandbox, &steps);
    assert_eq!(run.code, 0, "{}", run.transcript());
    assert!(run.stdout.contains("Created"), "{}", run.transcript());
    let description = sandbox.read("payment/msctl.yaml");
    assert!(
        description.contains("module: example.com/shop/payment\n"),
        "{description}"
    );
    assert!(description.contains("components: {}\n"), "{description}");
}

#[test]
fn ctrl_c_at_a_question_makes_nothing() {
    for steps in [
        &["Module path", "\\x03"][..],
        &["Module path", "\\r", "Components", "\\x03"],
    ] {
        let sandbox = Sandbox::new();
        let run = typed(&sandbox, steps);
        assert_eq!(run.code, 130, "{}", run.transcript());
        assert_eq!(tree(&sandbox), Vec::<String>::new());
    }
}
