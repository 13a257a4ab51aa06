//! The rooms use one another as `docs/architecture.md` draws them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::support::root;

type Arrows = BTreeMap<String, BTreeSet<String>>;

/// The arrows between rooms that `docs/architecture.md` draws in its `rooms` block.
fn drawn() -> Arrows {
    let page = std::fs::read_to_string(root().join("docs/architecture.md")).expect("docs/architecture.md");
    let block = page
        .split("```rooms\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .expect("a rooms block");
    block
        .lines()
        .filter_map(|line| line.split_once('→'))
        .map(|(from, to)| {
            (
                from.trim().to_owned(),
                to.split_whitespace().map(str::to_owned).collect(),
            )
        })
        .collect()
}

/// The room of a file below `src/`.
fn room(below: &Path) -> String {
    let first = below
        .components()
        .next()
        .expect("a first part")
        .as_os_str()
        .to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// The rooms that this text of a file in `from` names, in code.
fn named(from: &str, text: &str, rooms: &BTreeSet<String>) -> BTreeSet<String> {
    let code: String = text
        .lines()
        .filter(|l| !l.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let prefixes: &[&str] = match from {
        "main" => return BTreeSet::from(["lib".to_owned()]),
        "lib" => &["", "crate::"],
        _ => &["crate::"],
    };
    let mut found = BTreeSet::new();
    for room in rooms {
        for prefix in prefixes {
            for (at, _) in code.match_indices(&format!("{prefix}{room}::")) {
                let before = code[..at].chars().next_back();
                if !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                    found.insert(room.clone());
                }
            }
        }
        if grouped(&code).contains(room) {
            found.insert(room.clone());
        }
    }
    found.remove(from);
    found
}

/// The first names inside `crate::{a::…, b}`.
fn grouped(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, start) in code.match_indices("crate::{") {
        let mut depth = 1;
        let mut name = String::new();
        for c in code[at + start.len()..].chars() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 || (depth == 1 && c == ',') {
                names.insert(
                    std::mem::take(&mut name)
                        .trim()
                        .split("::")
                        .next()
                        .unwrap_or("")
                        .trim()
                        .to_owned(),
                );
            } else {
                name.push(c);
            }
            if depth == 0 {
                break;
            }
        }
    }
    names
}

fn sources(directory: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("src") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

/// The arrows of the code, each with the files that make it.
fn walked() -> BTreeMap<(String, String), Vec<String>> {
    let src = root().join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    files.sort();
    let below = |f: &Path| f.strip_prefix(&src).expect("below src").to_owned();
    let rooms: BTreeSet<String> = files
        .iter()
        .map(|f| room(&below(f)))
        .filter(|r| r != "main" && r != "lib")
        .collect();
    let mut arrows: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for file in &files {
        let from = room(&below(file));
        let text = std::fs::read_to_string(file).expect("a source file");
        for to in named(&from, &text, &rooms) {
            arrows
                .entry((from.clone(), to))
                .or_default()
                .push(below(file).display().to_string());
        }
    }
    arrows
}

#[test]
fn every_arrow_is_drawn() {
    let drawn = drawn();
    for ((from, to), files) in walked() {
        let known = drawn.get(&from).is_some_and(|rooms| rooms.contains(&to));
        assert!(
            known,
            "`{from}` uses `{to}`, an arrow docs/architecture.md does not draw: {}",
            files.join(", ")
        );
    }
}

#[test]
fn every_drawn_arrow_is_used() {
    let walked = walked();
    for (from, rooms) in drawn() {
        for to in rooms {
            assert!(
                walked.contains_key(&(from.clone(), to.clone())),
                "docs/architecture.md draws `{from}` → `{to}`, which nothing uses"
            );
        }
    }
}

#[test]
fn the_drawing_only_goes_right() {
    let order = [
        "main", "lib", "cli", "commands", "ui", "scaffold", "remote", "config", "failure",
    ]
    .map(str::to_owned);
    let layer = |room: &str| match room {
        "manifest" | "gate" | "canary" | "observe" => 5,
        "process" => 6,
        other => order
            .iter()
            .position(|r| r == other)
            .unwrap_or_else(|| panic!("`{other}` is not a room")),
    };
    for (from, rooms) in drawn() {
        for to in rooms {
            assert!(layer(&from) < layer(&to), "`{from}` → `{to}` does not go right");
            assert!(to != "ui" || layer(&from) < 4, "`{from}` must not know the terminal");
        }
    }
}

#[test]
fn an_arrow_against_the_drawing_is_seen() {
    let rooms = BTreeSet::from(["ui".to_owned(), "commands".to_owned(), "config".to_owned()]);
    for (text, to) in [
        ("use crate::ui::Page;", "ui"),
        ("fn f() { crate::commands::run(); }", "commands"),
        ("use crate::{config::Service, failure::Exit};", "config"),
        ("use crate::{\n    failure::{Exit, Failure},\n    ui,\n};", "ui"),
    ] {
        assert!(named("gate", text, &rooms).contains(to), "{text}");
    }
    assert!(named("gate", "//! see crate::ui::Page\nuse super::ui::x;", &rooms).is_empty());
}
