//! `msctl canary rehearse` and `explain`, over the backends inside the program.

use std::io::BufRead;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{Run, Sandbox, finish, program};

/// Two steps that take a second, at 50 times the speed of the clock.
const QUICK: [&str; 10] = [
    "canary",
    "rehearse",
    "--fast",
    "--rate",
    "6",
    "--steps",
    "25,50",
    "--hold",
    "5s",
    "--built-in",
];

fn quick(sandbox: &Sandbox, more: &[&str]) -> Run {
    sandbox.msctl(QUICK.iter().chain(more))
}

fn documents(run: &Run, schema: &str) -> Vec<Value> {
    let lines = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON line"));
    lines.filter(|document: &Value| document["schema"] == schema).collect()
}

fn journals(sandbox: &Sandbox) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(sandbox.path(".msctl/canary")).expect("journals");
    entries
        .map(|e| e.expect("an entry").path())
        .filter(|p| p.extension().is_some_and(|e| e == "jsonl"))
        .collect()
}

/// Waits until the journal has so many lines: the release is under way.
fn under_way(sandbox: &Sandbox, lines: usize) {
    for _ in 0..2_000 {
        let path = sandbox.path(".msctl/canary");
        let newest = std::fs::read_dir(path)
            .into_iter()
            .flatten()
            .flatten()
            .map(|e| e.path());
        let count = newest
            .filter_map(|p| std::fs::read(p).ok())
            .map(|b| b.lines().count())
            .max();
        if count.unwrap_or(0) >= lines {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the journal does not grow");
}

#[test]
fn a_good_canary_is_promoted_and_its_journal_recomputes() {
    let sandbox = Sandbox::new();
    let run = quick(&sandbox, &[]);
    assert_eq!(run.code, 0, "{}", run.transcript());
    assert!(run.stdout.contains("PROMOTED after "), "{}", run.transcript());
    assert!(
        run.stdout
            .contains("0 requests harmed. Traffic is 100 % canary, read back."),
        "{}",
        run.transcript()
    );
    assert!(run.stdout.contains("time 50 times as fast"), "{}", run.transcript());
    let explain = sandbox.msctl(["canary", "explain"]);
    assert_eq!(explain.code, 0, "{}", explain.transcript());
    assert!(
        explain.stdout.contains("decisions recomputed, every one bit for bit."),
        "{}",
        explain.transcript()
    );
}

#[test]
fn every_fault_is_rolled_back_with_traffic_at_stable() {
    for fault in ["errors=30%", "latency=+200ms", "crash", "hang"] {
        let sandbox = Sandbox::new();
        let run = quick(&sandbox, &["--fault", fault, "--output", "json"]);
        assert_eq!(run.code, 1, "{fault}: {}", run.transcript());
        let report = documents(&run, "msctl.canary.report/v1").pop().expect("a report");
        assert_eq!(
            (&report["outcome"], &report["weight"]),
            (&"rolled-back".into(), &0.into()),
            "{fault}: {report}"
        );
        let stable = report["steps"]
            .as_array()
            .expect("steps")
            .iter()
            .map(|s| s["stable_failed"].as_u64());
        assert!(
            stable.flatten().sum::<u64>() == 0,
            "{fault}: only the canary is broken: {report}"
        );
    }
}

#[test]
fn each_event_is_a_json_line_and_the_last_is_the_report() {
    let sandbox = Sandbox::new();
    let run = quick(&sandbox, &["--output", "json", "--fault", "errors=50%"]);
    let events = documents(&run, "msctl.canary.event/v1");
    assert_eq!(events.len() + 1, run.stdout.lines().count());
    assert_eq!(events[0]["decision"]["reason"], "begin");
    assert_eq!(events[0]["decision"]["effects"][0]["write"], 250);
    let last = events.last().expect("an event");
    assert_eq!(last["decision"]["effects"][0]["end"], "rolled-back");
    assert_eq!(last["input"]["weight"], 0, "the end is claimed on what was read back");
}

#[test]
fn a_log_has_a_line_for_what_happens_and_not_for_what_does_not() {
    let sandbox = Sandbox::new();
    let run = quick(&sandbox, &["--output", "ci"]);
    assert_eq!(run.code, 0, "{}", run.transcript());
    assert!((6..=12).contains(&run.stdout.lines().count()), "{}", run.transcript());
    assert!(
        run.stdout.contains("25 %: begins (harm 1.0, safe 1.0); writes 25 %"),
        "{}",
        run.transcript()
    );
    assert!(run.stdout.contains("100 %: shown to be safe"), "{}", run.transcript());
}

#[test]
fn ctrl_c_puts_traffic_back() {
    for (signal, code, word) in [
        (Signal::INT, 130, "you asked to stop"),
        (Signal::TERM, 143, "asked to end"),
    ] {
        let sandbox = Sandbox::new();
        let child = sandbox.start("", ["canary", "rehearse", "--built-in"]);
        under_way(&sandbox, 3);
        kill_process(Pid::from_child(&child), signal).expect("a signal");
        let output = child.wait_with_output().expect("msctl ends");
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{stdout}");
        assert!(
            stdout.contains(word) && stdout.contains("Traffic is 100 % stable, read back."),
            "{stdout}"
        );
    }
}

#[test]
fn a_killed_rehearsal_leaves_a_journal_that_explain_reads() {
    let sandbox = Sandbox::new();
    let mut child = sandbox.start("", ["canary", "rehearse", "--built-in", "--fast"]);
    under_way(&sandbox, 8);
    child.kill().expect("SIGKILL");
    child.wait().expect("msctl is gone");
    let run = sandbox.msctl(["canary", "explain"]);
    assert_eq!(run.code, 0, "{}", run.transcript());
    assert!(
        run.stdout
            .contains("UNFINISHED. The journal ends before the release did"),
        "{}",
        run.transcript()
    );
    assert!(run.stdout.contains("every one bit for bit"), "{}", run.transcript());
}

#[test]
fn a_journal_that_was_changed_does_not_recompute() {
    let sandbox = Sandbox::new();
    assert_eq!(quick(&sandbox, &["--fault", "errors=30%"]).code, 1);
    let path = journals(&sandbox).pop().expect("a journal");
    let text = std::fs::read_to_string(&path).expect("a journal");
    std::fs::write(&path, text.replacen("\"reason\":\"harm\"", "\"reason\":\"safe\"", 1)).expect("a journal");
    let run = sandbox.msctl(["canary", "explain"]);
    assert_eq!(run.code, 1, "{}", run.transcript());
    assert!(run.stdout.contains("does not recompute"), "{}", run.transcript());
}

#[test]
fn without_a_journal_or_with_a_wrong_name_explain_says_what_there_is() {
    let sandbox = Sandbox::new();
    let run = sandbox.msctl(["canary", "explain"]);
    assert_eq!(
        run.transcript(),
        "$ msctl canary explain\n! error: there is no journal below `.`\n!   hint: msctl canary rehearse\n(exit 2)\n"
    );
    assert_eq!(quick(&sandbox, &["--fault", "crash"]).code, 1);
    let run = sandbox.msctl(["canary", "explain", "zz"]);
    assert!(
        run.code == 2 && run.stderr.contains("no journal is called `zz`"),
        "{}",
        run.transcript()
    );
    sandbox.write("no.jsonl", "{}\n");
    let run = sandbox.msctl(["canary", "explain", "no.jsonl"]);
    assert!(
        run.code == 2 && run.stderr.contains("line 1 of the journal `no.jsonl`"),
        "{}",
        run.transcript()
    );
}

#[test]
fn what_cannot_be_rehearsed_is_said_before_anything_starts() {
    let sandbox = Sandbox::new();
    for (arguments, says) in [
        (
            &["--fault", "explode"][..],
            "the forms are errors=30%, latency=+200ms, crash, hang",
        ),
        (&["--fault", "errors=130%"], "names no share"),
        (&["--fault", "errors=10%,errors=20%"], "is given twice"),
        (&["--rate", "0"], "is no rate"),
        (&["--rate", "nan"], "is no rate"),
        (&["--steps", "50,25"], "must rise"),
        (&["--hold", "soon"], "is no time such as"),
        (&["--path", "x"], "is no path"),
        (&["--stable", "", "--canary", "x"], "it names no program"),
        (&["--stable", "./none"], "cannot run stable: `./none`"),
    ] {
        let run = sandbox.msctl(["canary", "rehearse"].iter().chain(arguments));
        assert_eq!(run.code, 2, "{}", run.transcript());
        assert!(run.stderr.contains(says), "{}", run.transcript());
        assert_eq!(run.stdout, "");
    }
}

#[test]
fn a_journal_that_cannot_be_kept_stops_the_rehearsal_before_traffic_moves() {
    let sandbox = Sandbox::new();
    sandbox.write(".msctl/canary", "a file");
    let run = quick(&sandbox, &[]);
    assert_eq!(run.code, 2, "{}", run.transcript());
    assert!(
        run.stderr.contains("cannot create `./.msctl/canary`"),
        "{}",
        run.transcript()
    );
}

#[test]
fn two_programs_are_rehearsed_and_leave_nothing_running() {
    let server = "import os,http.server as h
class H(h.BaseHTTPRequestHandler):
    protocol_version='HTTP/1.1'
    def do_GET(s):
        bad = os.environ['ARM']=='bad' and s.path!='/readyz'
        s.send_response(500 if bad else 200); s.send_header('content-length','2'); s.end_headers(); s.wfile.write(b'ok')
    def log_message(s,*a): pass
class S(h.ThreadingHTTPServer): request_queue_size=128
S(('127.0.0.1',int(os.environ['PORT'])),H).serve_forever()
";
    let sandbox = Sandbox::new();
    let path = sandbox.write("server.py", server);
    let command = |arm: &str| format!("/usr/bin/env ARM={arm} python3 {}", path.display());
    let run = quick_programs(&sandbox, &command("good"), &command("bad"));
    assert_eq!(run.code, 1, "{}", run.transcript());
    assert!(run.stdout.contains("rehearsal over 2 programs"), "{}", run.transcript());
    let marker = path.display().to_string();
    let left = std::fs::read_dir("/proc").expect("/proc").flatten().filter(|e| {
        std::fs::read(e.path().join("cmdline")).is_ok_and(|c| String::from_utf8_lossy(&c).contains(&marker))
    });
    assert_eq!(left.count(), 0, "a program still runs");
}

#[test]
fn ctrl_c_does_not_wait_for_a_program_that_is_not_ready() {
    let sandbox = Sandbox::new();
    let arguments = ["canary", "rehearse", "--stable", "sh -c 'echo here; sleep 1000; true'"];
    let mut child = sandbox.start("", arguments);
    let started = || {
        let entries = std::fs::read_dir(sandbox.path(".msctl/canary")).into_iter().flatten();
        entries
            .flatten()
            .any(|e| e.path().metadata().is_ok_and(|m| m.len() > 0))
    };
    while !started() {
        assert_eq!(child.try_wait().expect("a state"), None, "it waits");
        std::thread::sleep(Duration::from_millis(10));
    }
    kill_process(Pid::from_child(&child), Signal::INT).expect("a signal");
    let output = child.wait_with_output().expect("msctl ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(
        stderr.contains("interrupted while stable was not ready yet"),
        "{stderr}"
    );
}

fn quick_programs(sandbox: &Sandbox, stable: &str, canary: &str) -> Run {
    let arguments = [
        "canary", "rehearse", "--rate", "4", "--fast", "--steps", "25", "--hold", "5s",
    ];
    let mut command = sandbox.command("", program(), arguments);
    finish(command.args(["--stable", stable, "--canary", canary]))
}

#[test]
fn metrics_that_need_a_prometheus_are_not_rehearsed_and_that_is_said() {
    let sandbox = Sandbox::new();
    let own = "canary: { metrics: [{ name: orders, total: orders_total, bad: orders_failed_total }] }";
    sandbox.write(
        "msctl.yaml",
        format!("schema: msctl.service/v1\nname: payment\n{own}\n"),
    );
    let run = quick(&sandbox, &[]);
    assert_eq!(run.code, 0, "{}", run.transcript());
    let said = "The metrics of msctl.yaml are not rehearsed: there is no Prometheus that has their counters.";
    assert!(run.stderr.contains(said), "{}", run.transcript());
    assert!(!run.stdout.contains("orders"), "{}", run.transcript());
}
