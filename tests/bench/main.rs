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

/// One table of the page.
struct Section {
    title: &'static str,
    /// What is to be known before it is read.
    lead: String,
    head: Vec<&'static str>,
    /// As many cells each as the head has.
    rows: Vec<Vec<String>>,
}

impl Section {
    /// A table of figures beside their goals.
    fn of_rows(title: &'static str, rows: Vec<Row>) -> Self {
        let cells = |row: Row| vec![row.what, row.goal.to_owned(), row.figure];
        Self {
            title,
            lead: String::new(),
            head: vec!["what", "goal", "measured"],
            rows: rows.into_iter().map(cells).collect(),
        }
    }

    fn write(&self, page: &mut String) -> std::fmt::Result {
        writeln!(page, "\n## {}\n", self.title)?;
        if !self.lead.is_empty() {
            writeln!(page, "{}\n", self.lead)?;
        }
        writeln!(page, "| {} |", self.head.join(" | "))?;
        writeln!(page, "|{}", "---|".repeat(self.head.len()))?;
        for row in &self.rows {
            writeln!(page, "| {} |", row.join(" | "))?;
        }
        Ok(())
    }
}

fn main() {
    let mut page = String::from(
        "# Benchmarks\n\nMade by `cargo bench > docs/benchmarks.md` on two shared cores (release profile; medians; seeds fixed). Absolute times drift between machines: compare ratios. Releases on a mesh are measured in [benchmarks-mesh.md](benchmarks-mesh.md).\n",
    );
    let mut sections = vec![Section::of_rows("The program", program::rows())];
    sections.extend(canary::sections());
    sections.push(Section::of_rows("The canary's backtest", backtest::rows()));
    for section in sections {
        section.write(&mut page).expect("a string grows");
    }
    std::io::stdout().write_all(page.as_bytes()).expect("stdout");
}
