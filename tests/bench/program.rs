//! Start-up, size, and the time of one scaffold.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Row;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_msctl");

/// Median, 5th and 95th percentile of the wall time of `runs` runs, in milliseconds.
pub(crate) fn wall(runs: usize, mut command: impl FnMut() -> Command) -> (f64, f64, f64) {
    let mut times: Vec<Duration> = (0..runs)
        .map(|_| {
            let mut command = command();
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let begin = Instant::now();
            let status = command.status().expect("the program runs");
            let time = begin.elapsed();
            assert!(status.success(), "{command:?}: {status}");
            time
        })
        .collect();
    times.sort();
    let at = |percent: usize| times[(runs - 1) * percent / 100].as_secs_f64() * 1e3;
    (at(50), at(5), at(95))
}

pub(crate) fn rows() -> Vec<Row> {
    let nothing = wall(200, || Command::new("/bin/true"));
    let version = wall(200, || {
        let mut command = Command::new(PROGRAM);
        command.arg("--version");
        command
    });
    let kilobytes = std::fs::metadata(PROGRAM).expect("the program").len() / 1000;
    let place = tempfile::tempdir().expect("a directory");
    let mut number = 0;
    let new = wall(50, || {
        number += 1;
        scaffold(place.path(), &format!("payment-{number}"))
    });
    let figure = |(median, low, high): (f64, f64, f64)| format!("{median:.1} ms (p5 {low:.1}, p95 {high:.1})");
    vec![
        Row::new("`msctl --version`, 200 runs", "≤ 5 ms", figure(version)),
        Row::new(
            "`/bin/true`, 200 runs: what starting any process costs here",
            "–",
            figure(nothing),
        ),
        Row::new(
            "size of the release binary, stripped",
            "≤ 20 MB",
            format!("{}.{} MB", kilobytes / 1000, kilobytes % 1000 / 100),
        ),
        Row::new("`msctl new NAME --yes`, 50 runs", "≤ 50 ms", figure(new)),
    ]
}

fn scaffold(place: &Path, name: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command.current_dir(place).args(["new", name, "--yes"]);
    command
}
