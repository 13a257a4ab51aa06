//! What holds for every command: streams, exit codes, the environment.

use std::process::Stdio;

use crate::support::{Sandbox, program};

#[test]
fn a_command_line_that_cannot_be_read_is_could_not_tell() {
    let sandbox = Sandbox::new();
    let run = sandbox.msctl(["gaet"]);
    assert_eq!((run.code, &*run.stdout), (2, ""), "{}", run.transcript());
    assert!(run.stderr.contains("'gate'"), "{}", run.transcript());
}

#[test]
fn json_mode_says_its_errors_in_json_too() {
    let sandbox = Sandbox::new();
    let run = sandbox.msctl(["gaet", "--output", "json"]);
    let failure = run.json();
    assert_eq!(run.code, 2);
    assert_eq!(failure["schema"], "msctl.failure/v1");
    assert_eq!(
        (&failure["kind"], &failure["exit"]),
        (&"usage".into(), &2.into()),
        "{failure}"
    );
}

#[test]
fn a_closed_stdout_is_no_panic_and_no_error() {
    let sandbox = Sandbox::new();
    let mut child = sandbox.start("", ["completions", "bash"]);
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("msctl ends");
    assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]));
}

#[test]
fn a_full_stdout_is_never_a_pass() {
    let sandbox = Sandbox::new();
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .expect("/dev/full");
    let mut command = sandbox.command("", program(), ["completions", "bash"]);
    let output = command.stdout(Stdio::from(full)).output().expect("msctl runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("cannot write the answer to stdout"), "{text}");
}

#[test]
fn output_follows_its_variable() {
    let sandbox = Sandbox::new().with_env("MSCTL_OUTPUT", "yaml");
    std::fs::create_dir(sandbox.path("below")).expect("a directory");
    let run = sandbox.msctl_in("below", ["completions", "bash"]);
    assert_eq!(run.code, 2, "{}", run.transcript());
    assert!(
        run.stderr.contains("[possible values: human, json, ci]"),
        "{}",
        run.transcript()
    );
}

#[test]
fn help_fits_a_screen_and_the_rest_is_one_word_away() {
    let sandbox = Sandbox::new();
    for verb in ["new", "generate", "gate", "canary", "health", "logs", "tour", "schema"] {
        let (short, long) = (sandbox.msctl([verb, "--help"]), sandbox.msctl(["help", verb]));
        assert_eq!((short.code, long.code), (0, 0), "{}", short.transcript());
        assert!(short.stdout.lines().count() <= 36, "{}", short.transcript());
        assert!(short.stdout.contains("msctl help VERB"), "{}", short.transcript());
        assert!(long.stdout.contains("For eyes: colour"), "{}", long.transcript());
    }
}

#[test]
fn what_is_named_is_named_as_seen_from_where_the_user_stands() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.msctl(["new", "payment", "--yes"]).code, 0);
    let run = sandbox.msctl(["-C", "payment", "gate", "--only", "dockerfile"]);
    assert!(
        run.stdout.contains("report: payment/.msctl/gate/latest.json\n"),
        "{}",
        run.transcript()
    );
    let run = sandbox.msctl(["-C", "payment", "generate", "--check"]);
    assert!(
        run.stdout.ends_with("next: msctl -C payment generate\n"),
        "{}",
        run.transcript()
    );
    let run = sandbox.msctl([
        "-C",
        "payment",
        "canary",
        "rehearse",
        "--built-in",
        "--fast",
        "--fault",
        "errors=100%",
    ]);
    assert!(
        run.stdout.contains("why: msctl -C payment canary explain "),
        "{}",
        run.transcript()
    );
}
