//! What is generated and kept in the tree: `tests/run update` writes it again.

use std::fmt::Write;
use std::path::Path;

use crate::support::{Sandbox, root};

/// Fails when the file in the tree is not `text`; with `MSCTL_UPDATE` set, writes it.
fn keep(file: &str, text: &str) {
    let path = root().join(file);
    if std::env::var_os("MSCTL_UPDATE").is_some() {
        std::fs::write(&path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }
    let kept = std::fs::read_to_string(Path::new(&path)).unwrap_or_default();
    assert!(kept == text, "{file} is stale: `tests/run update` writes it again");
}

#[test]
fn completions_are_those_the_program_prints() {
    let sandbox = Sandbox::new();
    for (shell, file) in [("bash", "msctl.bash"), ("zsh", "_msctl"), ("fish", "msctl.fish")] {
        let run = sandbox.msctl(["completions", shell]);
        assert_eq!(run.code, 0, "{}", run.transcript());
        keep(&format!("completions/{file}"), &run.stdout);
    }
}

#[test]
fn the_page_of_commands_is_the_help_of_the_program() {
    let mut page = String::from("# Commands\n\nMade from the program's own help by `tests/run update`.\n");
    let mut command = msctl::cli::command();
    command.build();
    describe(&Sandbox::new(), &command, &mut Vec::new(), &mut page);
    keep("docs/commands.md", &page);
}

/// Adds `msctl help a b` for this command and all below it.
fn describe(sandbox: &Sandbox, command: &clap::Command, path: &mut Vec<String>, page: &mut String) {
    let words = std::iter::once("help").chain(path.iter().map(String::as_str));
    let run = sandbox.msctl(words);
    assert_eq!(run.code, 0, "{}", run.transcript());
    let title = std::iter::once("msctl")
        .chain(path.iter().map(String::as_str))
        .collect::<Vec<_>>()
        .join(" ");
    let help = run.stdout.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    write!(page, "\n## {title}\n\n```text\n{}\n```\n", help.trim_end()).expect("a string grows");
    for below in command
        .get_subcommands()
        .filter(|c| c.get_name() != "help" && !c.is_hide_set())
    {
        path.push(below.get_name().to_owned());
        describe(sandbox, below, path, page);
        path.pop();
    }
}
