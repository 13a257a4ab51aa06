//! The measured figures: `cargo bench` prints `docs/benchmarks.md`. Goals live here, never in tests.

#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark drives the program from outside and reads the clock"
)]
#![expect(clippy::expect_used, reason = "a benchmark that cannot run has nothing to say")]

mod backtest;
mod canary;
mod program;

use std::fmt::Write as _;
use std::io::Write as _;

/// One measured figure.
struct Row {
    /// What was measured, with its setting.
    what: String,
    /// The goal, as the issue states it.
    goal: &'static str,
    /// The figure, with its unit.
    figure: String,
}

impl Row {
    fn new(what: impl Into<String>, goal: &'static str, figure: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            goal,
            figure: figure.into(),
        }
    }
}

fn main() {
    let mut page = String::from(
        "# Benchmarks\n\nMade by `cargo bench > docs/benchmarks.md` on two shared cores (release profile; medians; seeds fixed). Absolute times drift between machines: compare ratios. Releases on a mesh are measured in [benchmarks-mesh.md](benchmarks-mesh.md).\n",
    );
    for (title, rows) in [
        ("The program", program::rows()),
        ("The canary's judge", canary::rows()),
        ("The canary's backtest", backtest::rows()),
    ] {
        writeln!(page, "\n## {title}\n\n| what | goal | measured |\n|---|---|---|").expect("a string grows");
        for row in rows {
            writeln!(page, "| {} | {} | {} |", row.what, row.goal, row.figure).expect("a string grows");
        }
    }
    std::io::stdout().write_all(page.as_bytes()).expect("stdout");
}
