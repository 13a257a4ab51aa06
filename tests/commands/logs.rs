//! `msctl logs`, as a transcript.

use std::io::{BufRead, Write};
use std::process::Stdio;
use std::time::Duration;

use crate::support::{Run, Sandbox, program};

const PAYMENT: &str = r#"{"@timestamp":"2026-11-24T16:00:00.5Z","log.level":"INFO","message":"started","service.name":"payment"}
{"@timestamp":"2026-11-24T16:00:02Z","log.level":"ERROR","message":"no answer","service.name":"payment","error.message":"deadline exceeded","trace.id":"4bf9"}
goroutine 1 [running]:
{"@timestamp":"2026-11-24T16:00:04Z","log.level":"WARN","message":"slow\nforged line","service.name":"payment"}
"#;

const ORDER: &str = r#"{"@timestamp":"2026-11-24T16:00:01Z","log":{"level":"info"},"message":"order 17","service":{"name":"order"}}
{"@timestamp":"2026-11-24T16:00:03Z","log":{"level":"info"},"message":"order 18","service":{"name":"order"}}
"#;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("payment.log", PAYMENT);
    sandbox.write("order.log", ORDER);
    sandbox
}

/// Runs msctl with these bytes as standard input.
fn fed(sandbox: &Sandbox, arguments: &[&str], input: &[u8]) -> Run {
    let mut child = sandbox.start("", arguments);
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || _ = stdin.write_all(&input));
    let output = child.wait_with_output().expect("msctl ends");
    feeder.join().expect("the input is written");
    Run {
        command: format!("msctl {}", arguments.join(" ")),
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn a_log_is_shown_in_columns() {
    insta::assert_snapshot!(sandbox().msctl(["logs", "payment.log"]).transcript(), @r"
    $ msctl logs payment.log
    2026-11-24T16:00:00.500Z  INFO   payment  started
    2026-11-24T16:00:02.000Z  ERROR  payment  no answer  error.message=deadline exceeded
    goroutine 1 [running]:
    2026-11-24T16:00:04.000Z  WARN   payment  slow
        forged line
    ! 4 lines: 4 shown, 1 not JSON
    (exit 0)
    ");
}

#[test]
fn several_logs_are_merged_by_time() {
    insta::assert_snapshot!(sandbox().msctl(["logs", "payment.log", "order.log"]).transcript(), @r"
    $ msctl logs payment.log order.log
    payment.log  2026-11-24T16:00:00.500Z  INFO   payment  started
    order.log    2026-11-24T16:00:01.000Z  INFO   order    order 17
    payment.log  2026-11-24T16:00:02.000Z  ERROR  payment  no answer  error.message=deadline exceeded
    payment.log  goroutine 1 [running]:
    order.log    2026-11-24T16:00:03.000Z  INFO   order    order 18
    payment.log  2026-11-24T16:00:04.000Z  WARN   payment  slow
        forged line
    ! 6 lines: 6 shown, 1 not JSON
    (exit 0)
    ");
}

#[test]
fn lines_are_chosen_by_level_and_pattern_and_all_are_counted() {
    let sandbox = sandbox();
    insta::assert_snapshot!(
        sandbox
            .msctl(["logs", "payment.log", "order.log", "--level", "warn", "--grep", "no answer|running", "--fields", "trace.id"])
            .transcript(),
        @r"
        $ msctl logs payment.log order.log --level warn --grep no answer|running --fields trace.id
        payment.log  2026-11-24T16:00:02.000Z  ERROR  payment  no answer  trace.id=4bf9
        payment.log  goroutine 1 [running]:
        ! 6 lines: 2 shown, 3 filtered out by level, 1 filtered out by pattern, 1 not JSON
        (exit 0)
        "
    );
}

#[test]
fn a_summary_counts_by_level_and_service() {
    let sandbox = sandbox();
    insta::assert_snapshot!(sandbox.msctl(["logs", "payment.log", "order.log", "--summary"]).transcript(), @r"
    $ msctl logs payment.log order.log --summary
    6 lines: 20.0 % of the lines with a level are errors
      from 2026-11-24T16:00:00.500Z to 2026-11-24T16:00:04.000Z
      service     info     warn    error  no level  error rate
      (none)         0        0        0         1           -
      order          2        0        0         0       0.0 %
      payment        1        1        1         0      33.3 %
      all            3        1        1         1      20.0 %
    ! 6 lines: 6 shown, 1 not JSON
    (exit 0)
    ");
    let summary = sandbox
        .msctl(["logs", "payment.log", "--summary", "--output", "json"])
        .json();
    assert_eq!(summary["schema"], "msctl.logs.summary/v1");
    assert_eq!(summary["total"]["error_rate"], serde_json::json!(1.0 / 3.0));
}

#[test]
fn json_passes_every_line_through_as_it_came() {
    let sandbox = sandbox();
    let run = sandbox.msctl(["logs", "payment.log", "--output", "json"]);
    let lines: Vec<serde_json::Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON line"))
        .collect();
    assert_eq!(lines.len(), 4, "{}", run.transcript());
    for (line, original) in lines.iter().zip(PAYMENT.lines()) {
        assert_eq!(line["schema"], "msctl.logs.line/v1");
        match serde_json::from_str::<serde_json::Value>(original) {
            Ok(record) => assert_eq!(line["record"], record),
            Err(_) => assert_eq!(line["text"], original),
        }
    }
    assert!(run.stdout.contains(r#""record":{"@timestamp":"2026-11-24T16:00:00.5Z","log.level":"INFO","message":"started","service.name":"payment"}"#));
}

#[test]
fn standard_input_of_any_kind_is_read_and_no_line_is_lost() {
    let sandbox = Sandbox::new();
    let input = b"\xef\xbb\xbfone\r\n\n\x1b[31mred\x00\xff\n{\"level\":\"info\n{\"msg\":\"\xff\"}\nlast";
    for arguments in [&["logs", "--stdin"][..], &["logs", "-"]] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(fed(&sandbox, arguments, input).transcript().replace(" --stdin", " -"), @r#"
            $ msctl logs -
            one

            �[31mred��
            {"level":"info
            {"msg":"�"}
            last
            ! 6 lines: 6 shown, 6 not JSON
            (exit 0)
            "#);
        }
    }
    assert_eq!(fed(&sandbox, &["logs", "-"], b"").stderr, "0 lines: 0 shown\n");
}

#[test]
fn a_huge_line_comes_out_whole() {
    let sandbox = Sandbox::new();
    let line = format!("{{\"message\":\"{}\"}}\n", "x".repeat(20 << 20));
    let run = fed(&sandbox, &["logs", "--stdin"], line.as_bytes());
    assert_eq!(run.stdout.bytes().filter(|b| *b == b'x').count(), 20 << 20);
    assert_eq!(
        run.stderr,
        "2 lines: 2 shown, 2 not JSON, 1 too long and cut into pieces\n"
    );
}

#[test]
fn a_line_is_shown_before_the_next_one_comes() {
    let sandbox = Sandbox::new();
    let mut child = sandbox.start("", ["logs", "--stdin"]);
    let mut stdin = child.stdin.take().expect("a pipe");
    let stdout = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
    let (said, shown) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        stdout
            .lines()
            .map_while(Result::ok)
            .try_for_each(|line| said.send(line))
    });
    for text in ["first", "second"] {
        writeln!(stdin, "{text}").expect("msctl reads");
        let line = shown.recv_timeout(Duration::from_secs(20));
        if line.as_deref() != Ok(text) {
            child.kill().expect("msctl ends");
            panic!("{line:?} is shown instead of {text}");
        }
    }
    drop(stdin);
    assert_eq!(child.wait().expect("msctl ends").code(), Some(0));
    reader.join().expect("the reader ends").expect("all is read");
}

#[test]
fn a_reader_that_has_enough_ends_the_run_in_quiet() {
    let sandbox = Sandbox::new();
    let script = format!(
        "yes '{{\"level\":\"info\",\"msg\":\"again\"}}' | {} logs --stdin | head -n 1",
        program().display()
    );
    let mut command = sandbox.command("", std::path::Path::new("/bin/sh"), ["-c", &script]);
    let output = command.stdin(Stdio::null()).output().expect("sh runs");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "-                         INFO   again\n"
    );
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn what_cannot_be_read_is_could_not_tell() {
    let sandbox = sandbox();
    std::fs::create_dir(sandbox.path("logs")).expect("a directory");
    for arguments in [
        &["logs", "order.log", "none.log"][..],
        &["logs", "logs"],
        &["logs"],
        &["logs", "order.log", "--grep", "("],
    ] {
        let run = sandbox.msctl(arguments);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{}", run.transcript());
    }
    insta::assert_snapshot!(sandbox.msctl(["logs", "none.log"]).transcript(), @r"
    $ msctl logs none.log
    ! error: cannot read `none.log`
    !   caused by: No such file or directory (os error 2)
    (exit 2)
    ");
    insta::assert_snapshot!(sandbox.msctl(["logs"]).transcript(), @r"
    $ msctl logs
    ! error: no logs to read: neither FILE nor `--stdin` is given
    !   hint: msctl logs payment.log
    !   hint: ./payment | msctl logs --stdin
    (exit 2)
    ");
    insta::assert_snapshot!(sandbox.msctl(["logs", "order.log", "--level", "loud"]).transcript(), @r"
    $ msctl logs order.log --level loud
    ! error: invalid value 'loud' for '--level <LEVEL>'
    !   [possible values: trace, debug, info, warn, error, fatal]
    ! 
    ! For more information, try '--help'.
    (exit 2)
    ");
}
