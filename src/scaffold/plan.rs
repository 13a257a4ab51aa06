//! The plan: an ordered list of the files a service is made of, checked as a whole before one is written. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::component::Component;
use super::lock::{self, Lock};
use super::render::{Package, Renderer, Variables};
use super::templates::{BASE, Templates};
use super::{File, TreePath, gomod, quote};
use crate::failure::{Failure, Kind};

/// A list of files, by path; no two are the same file on any system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The versions of the components that make the files; `base` among them.
    pub components: BTreeMap<String, String>,
    /// Sorted by path.
    pub files: Vec<Planned>,
}

/// One file of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The component that owns it, or `base`.
    pub owner: String,
    /// What it is made from; stays the same when the file's path does not.
    pub id: String,
    /// What a later update may do to it.
    pub class: Class,
    /// Path, bytes and mode.
    pub file: File,
}

/// What a later update may do to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Made again by msctl alone.
    Owned,
    /// Merged by its structure: keys, lists, requirements.
    Structured,
    /// Merged as text, three ways.
    Merged,
    /// Written once; the user's from then on.
    Seed,
}

impl Plan {
    /// The plan of these files; refuses two that some system takes for one.
    pub fn new(components: BTreeMap<String, String>, mut files: Vec<Planned>) -> Result<Self, Failure> {
        files.sort_by(|a, b| a.file.path.cmp(&b.file.path));
        let mut seen: BTreeMap<String, (&Planned, bool)> = BTreeMap::new();
        for planned in &files {
            let (path, folded) = (planned.file.path.as_str(), planned.file.path.folded());
            let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
            for end in ends {
                let is_file = end == path.len();
                let clash = seen.insert(folded[..end].to_owned(), (planned, is_file));
                // Directories may be shared, but only by one spelling.
                if let Some((other, was_file)) = clash
                    && (is_file || was_file || other.file.path.as_str()[..end] != path[..end])
                {
                    return Err(collision(other, planned));
                }
            }
        }
        Ok(Self { components, files })
    }

    /// The files, as the writer takes them.
    pub fn files(&self) -> Vec<File> {
        self.files.iter().map(|p| p.file.clone()).collect()
    }

    /// How many bytes there are in all.
    pub fn bytes(&self) -> usize {
        self.files.iter().map(|p| p.file.bytes.len()).sum()
    }
}

fn collision(a: &Planned, b: &Planned) -> Failure {
    let message = format!(
        "`{}` ({}) and `{}` ({}) are one file on some systems",
        a.file.path, a.id, b.file.path, b.id
    );
    Failure::new(Kind::Config, message).note("Nothing was written.")
}

/// What a new service is made from, besides templates.
#[derive(Clone, Debug)]
pub struct Wish {
    /// What the templates are given.
    pub variables: Variables,
    /// The components it has.
    pub components: Vec<String>,
    /// Its `msctl.yaml`.
    pub description: String,
    /// What was answered, for the lock file.
    pub answers: serde_json::Value,
}

/// The whole plan of a new service: base, components, `msctl.yaml`, and the lock of all that.
pub fn make(templates: &Templates, wish: &Wish) -> Result<Plan, Failure> {
    let chosen = templates.catalogue.resolve(&wish.components, templates.given())?;
    let mut files = render(templates, &chosen, &wish.variables)?;
    files.push(own("msctl.yaml", Class::Seed, wish.description.as_bytes())?);
    let mut plan = Plan::new(versions(templates, &chosen), files)?;
    let lock = Lock::of(&plan, &wish.variables.msctl_version, wish.answers.clone()).text()?;
    plan.files.push(own(lock::PATH, Class::Owned, lock.as_bytes())?);
    Plan::new(plan.components, plan.files)
}

/// A file that no template makes.
fn own(path: &str, class: Class, bytes: &[u8]) -> Result<Planned, Failure> {
    let (owner, id) = ("msctl".to_owned(), format!("msctl/{path}"));
    let file = File::plain(TreePath::parse(path)?, bytes);
    Ok(Planned { owner, id, class, file })
}

/// Renders the base and these components.
pub(super) fn render(
    templates: &Templates,
    chosen: &[&Component],
    variables: &Variables,
) -> Result<Vec<Planned>, Failure> {
    let variables = Variables {
        modules: chosen.iter().filter_map(|c| package(c, &variables.module)).collect(),
        ..variables.clone()
    };
    let renderer = Renderer::new(&variables)?;
    let owners: Vec<&str> = std::iter::once(BASE)
        .chain(chosen.iter().map(|c| c.id.as_str()))
        .collect();
    let planned = templates.of(&owners).map(|template| {
        let file = template.render(&variables.name, &renderer)?;
        let (owner, id, class) = (template.owner.clone(), template.id(), class(file.path.as_str()));
        Ok(Planned { owner, id, class, file })
    });
    merged(planned.collect::<Result<_, Failure>>()?)
}

/// The files that base and components bring together become one, which is the base's.
fn merged(planned: Vec<Planned>) -> Result<Vec<Planned>, Failure> {
    let mut whole: Vec<Planned> = Vec::new();
    let mut parts: BTreeMap<TreePath, Vec<Planned>> = BTreeMap::new();
    for one in planned {
        if gomod::merge(one.file.path.as_str(), &[]).is_some() {
            parts.entry(one.file.path.clone()).or_default().push(one);
        } else {
            whole.push(one);
        }
    }
    for (path, mut parts) in parts {
        parts.sort_by_key(|part| part.owner != BASE);
        let texts: Vec<_> = parts.iter().map(|p| String::from_utf8_lossy(&p.file.bytes)).collect();
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        let bytes = gomod::merge(path.as_str(), &texts).transpose()?.unwrap_or_default();
        let mut first = parts.swap_remove(0);
        first.file.bytes = bytes.into_bytes();
        whole.push(first);
    }
    Ok(whole)
}

/// The versions of the base and of these components.
pub(super) fn versions(templates: &Templates, chosen: &[&Component]) -> BTreeMap<String, String> {
    let all = templates.base.iter().chain(chosen.iter().copied());
    all.map(|c| (c.id.clone(), c.version.clone())).collect()
}

fn package(component: &Component, module: &str) -> Option<Package> {
    let below = component.package.as_deref()?;
    let last = below.rsplit('/').next().unwrap_or(below);
    let (package, import) = (quote::ident(last), format!("{module}/{below}"));
    Some(Package { package, import })
}

/// What an update may do to a file follows from its name.
fn class(path: &str) -> Class {
    let name = path.rsplit('/').next().unwrap_or(path);
    let ending = name.rsplit('.').next().unwrap_or_default();
    match ending {
        _ if name.ends_with("_gen.go") => Class::Owned,
        _ if path == "internal/app/modules.go" => Class::Seed,
        "mod" | "sum" | "yaml" | "yml" | "toml" | "json" => Class::Structured,
        "md" => Class::Seed,
        _ => Class::Merged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scaffold::TreePath;
    use crate::scaffold::render::sample;

    fn planned(path: &str) -> Planned {
        Planned {
            owner: BASE.into(),
            id: path.into(),
            class: class(path),
            file: File::plain(TreePath::parse(path).unwrap(), path),
        }
    }

    fn plan(paths: &[&str]) -> Result<Plan, Failure> {
        Plan::new(BTreeMap::new(), paths.iter().map(|p| planned(p)).collect())
    }

    #[test]
    fn files_are_in_one_order() {
        let paths = ["b", "a/z", "a/b/c", "Makefile"];
        let sorted: Vec<String> = plan(&paths)
            .unwrap()
            .files()
            .iter()
            .map(|f| f.path.to_string())
            .collect();
        assert_eq!(sorted, ["Makefile", "a/b/c", "a/z", "b"]);
    }

    #[test]
    fn two_files_that_some_system_takes_for_one_are_refused() {
        for paths in [
            &["a", "a"][..],
            &["README.md", "readme.md"],
            &["a", "a/b"],
            &["a/b", "A"],
            &["Deploy/x", "deploy/y"],
            &["x/a-b", "x/a/c", "X/a/d"],
        ] {
            assert!(plan(paths).is_err(), "{paths:?}");
        }
        assert!(plan(&["a/b", "a/c", "ab", "a-b/c"]).is_ok());
    }

    #[test]
    fn the_plan_of_a_service_locks_every_file_it_has() {
        let templates = Templates::from_files([("base/a", b"a".as_slice()), ("base/run", b"#!/bin/sh\n")]).unwrap();
        let wish = Wish {
            variables: sample(),
            components: Vec::new(),
            description: "name: payment\n".into(),
            answers: serde_json::json!({"name": "payment"}),
        };
        let plan = make(&templates, &wish).unwrap();
        let paths: Vec<&str> = plan.files.iter().map(|p| p.file.path.as_str()).collect();
        assert_eq!(paths, [".msctl/lock.json", "a", "msctl.yaml", "run"]);
        let lock: Lock = serde_json::from_slice(&plan.files[0].file.bytes).unwrap();
        assert_eq!(lock.files.keys().collect::<Vec<_>>(), ["a", "msctl.yaml", "run"]);
        assert_eq!(lock.files["a"].blake3, blake3::hash(b"a").to_hex().as_str());
        assert_eq!(make(&templates, &wish).unwrap(), plan);
    }

    #[test]
    fn only_what_was_chosen_is_rendered() {
        let toml =
            "id = 'otlp'\nversion = '3'\nprovides = ['telemetry']\nlanguages = ['go']\npackage = 'internal/go'\n";
        let templates = Templates::from_files(
            [
                (
                    "base/modules_gen.go.hbs",
                    "{{#each modules}}{{ident package}} {{go import}}{{/each}}",
                ),
                ("components/otlp/component.toml", toml),
                ("components/otlp/internal/go/x.go", "x"),
            ]
            .map(|(p, t)| (p, t.as_bytes())),
        )
        .unwrap();
        let text = |files: &[Planned]| String::from_utf8(files[0].file.bytes.clone()).unwrap();
        let bare = render(&templates, &[], &sample()).unwrap();
        assert_eq!((bare.len(), text(&bare).as_str(), bare[0].class), (1, "", Class::Owned));
        let chosen = templates.catalogue.resolve(&["otlp".into()], &[]).unwrap();
        let with = render(&templates, &chosen, &sample()).unwrap();
        assert_eq!(text(&with), "gosvc \"example.com/shop/payment-api/internal/go\"");
        assert_eq!(
            versions(&templates, &chosen),
            BTreeMap::from([("otlp".into(), "3".into())])
        );
    }
}
