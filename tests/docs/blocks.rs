//! Every `console` block of the README and of `docs/` is run, and says what the program says.
//!
//! A line `$ …` is a command for `sh`; the lines after it are its output (stdout and stderr), in which `…` stands for any
//! text of a line and a line `…` for any lines; `(exit N)` ends it where N is not 0. The blocks of a page share one
//! directory and run in order. A block `console no-test` is only shown: it must say why in the text before it.

use std::path::Path;

use crate::support::{Sandbox, program, root};

struct Step {
    line: usize,
    command: String,
    expected: Vec<String>,
    code: i32,
}

fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let (mut inside, mut fresh) = (false, false);
    for (number, line) in page.lines().enumerate() {
        if line.starts_with("```") {
            inside = line == "```console";
            fresh = inside;
        } else if inside && let Some(command) = line.strip_prefix("$ ") {
            fresh = false;
            steps.push(Step {
                line: number + 1,
                command: command.to_owned(),
                expected: Vec::new(),
                code: 0,
            });
        } else if inside {
            assert!(!fresh, "line {}: a block starts with a command", number + 1);
            let step = steps.last_mut().expect("a command before its output");
            match line.strip_prefix("(exit ").and_then(|l| l.strip_suffix(')')) {
                Some(code) => step.code = code.parse().expect("an exit code"),
                None => step.expected.push(line.trim_end().to_owned()),
            }
        }
    }
    steps
}

/// Whether `line` is `pattern`, in which `…` stands for any text.
fn line_fits(pattern: &str, line: &str) -> bool {
    let parts: Vec<&str> = pattern.split('…').collect();
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
        return false;
    };
    if parts.len() == 1 {
        return pattern == line;
    }
    let Some(mut rest) = line.strip_prefix(first) else {
        return false;
    };
    for part in &parts[1..parts.len() - 1] {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn fits(expected: &[String], lines: &[&str]) -> bool {
    match expected.split_first() {
        None => lines.is_empty(),
        Some((any, rest)) if any == "…" => (0..=lines.len()).any(|skip| fits(rest, &lines[skip..])),
        Some((pattern, rest)) => lines
            .split_first()
            .is_some_and(|(l, more)| line_fits(pattern, l) && fits(rest, more)),
    }
}

fn run_page(file: &str) {
    let page = std::fs::read_to_string(root().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
    let sandbox = Sandbox::new()
        .with_go()
        .with_tools(&["trivy", "hadolint", "golangci-lint", "govulncheck"]);
    let directory = program().parent().expect("a directory").to_string_lossy().into_owned();
    let mut place = String::new();
    for step in steps(&page) {
        if let Some(to) = step.command.strip_prefix("cd ") {
            place = Path::new(&place).join(to).to_string_lossy().into_owned();
            continue;
        }
        let script = format!("PATH=\"{directory}:$PATH\"; {{ {} ; }} 2>&1", step.command);
        let run = sandbox.run_in(&place, Path::new("/bin/sh"), ["-c", &script]);
        let shown = sandbox.tidy(&run.stdout);
        let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
        assert!(
            run.code == step.code && fits(&step.expected, &lines),
            "{file}:{}: `{}` should end with {} and show\n{}\nbut ended with {} and showed\n{shown}",
            step.line,
            step.command,
            step.code,
            step.expected.join("\n"),
            run.code
        );
    }
}

#[test]
fn the_blocks_of_the_readme_run() {
    run_page("README.md");
}

#[test]
fn the_blocks_of_the_docs_run() {
    let mut pages: Vec<_> = std::fs::read_dir(root().join("docs"))
        .expect("docs")
        .map(|e| format!("docs/{}", e.expect("an entry").file_name().to_string_lossy()))
        .filter(|page| Path::new(page).extension().is_some_and(|e| e == "md"))
        .collect();
    pages.sort();
    for page in &pages {
        run_page(page);
    }
}

#[test]
fn a_pattern_fits_what_it_says() {
    let expected = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(fits(&expected("a … c\n…\nend"), &["a b c", "x", "y", "end"]));
    assert!(fits(&expected("took … ms"), &["took 38 ms"]));
    assert!(!fits(&expected("a"), &["a", "b"]));
    assert!(!fits(&expected("PASS …"), &["FAIL x"]));
    assert!(!fits(&expected("…x"), &["y"]));
}
