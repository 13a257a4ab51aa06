//! The templates inside the program: `templates/LANGUAGE/base/…` and `templates/LANGUAGE/components/ID/…`.
//!
//! A name that ends in `.hbs` is rendered, any other is copied; `__name__` in a path is the service's name; a part that begins
//! with `dot.` begins with a dot. A file that begins with `#!` can be run.

use std::borrow::Cow;

use include_dir::{Dir, include_dir};

use super::component::{Catalogue, Component};
use super::render::Renderer;
use super::{File, Mode, TreePath};
use crate::failure::{Failure, Kind};

static EMBEDDED: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/templates");

/// The owner of the files that every service has.
pub const BASE: &str = "base";

/// One file of the templates.
#[derive(Clone, Debug)]
pub(super) struct Template {
    /// `base` or a component's name.
    pub(super) owner: String,
    /// Its path below its owner's directory.
    pub(super) source: String,
    pub(super) bytes: Cow<'static, [u8]>,
}

/// The templates of one language, and its components.
#[derive(Clone, Debug, Default)]
pub struct Templates {
    /// What can be chosen.
    pub catalogue: Catalogue,
    /// What every service has: its version and capabilities.
    pub base: Option<Component>,
    pub(super) all: Vec<Template>,
}

impl Templates {
    /// Those inside the program.
    pub fn embedded(language: &str) -> Result<Self, Failure> {
        let mut files = Vec::new();
        if let Some(dir) = EMBEDDED.get_dir(language) {
            collect(dir, &mut files);
        }
        let prefix = format!("{language}/");
        let below = |(path, bytes): (&'static str, _)| (path.strip_prefix(&*prefix).unwrap_or(path).to_owned(), bytes);
        Self::from_files(files.into_iter().map(below))
    }

    /// These: path below the language's directory, and bytes.
    pub fn from_files<P: Into<String>, B: Into<Cow<'static, [u8]>>>(
        files: impl IntoIterator<Item = (P, B)>,
    ) -> Result<Self, Failure> {
        let (mut found, mut components) = (Self::default(), Vec::new());
        for (path, bytes) in files {
            let (path, bytes) = (path.into(), bytes.into());
            let (owner, source) = owned(&path)?;
            if source == "component.toml" {
                components.push(component(&path, owner, &bytes)?);
            } else {
                let (owner, source) = (owner.to_owned(), source.to_owned());
                found.all.push(Template { owner, source, bytes });
            }
        }
        found
            .all
            .sort_by(|a, b| (&a.owner, &a.source).cmp(&(&b.owner, &b.source)));
        found.base = components
            .iter()
            .position(|c| c.id == BASE)
            .map(|at| components.remove(at));
        found.catalogue = Catalogue::new(components);
        Ok(found)
    }

    /// The capabilities that every service has.
    pub fn given(&self) -> &[String] {
        self.base.as_ref().map_or(&[], |base| &base.provides)
    }

    /// The templates of these owners.
    pub(super) fn of<'a>(&'a self, owners: &'a [&str]) -> impl Iterator<Item = &'a Template> {
        self.all.iter().filter(|t| owners.contains(&t.owner.as_str()))
    }
}

impl Template {
    /// Its name in errors and in the lock file.
    pub(super) fn id(&self) -> String {
        format!("{}/{}", self.owner, self.source)
    }

    /// Whether it is rendered.
    pub(super) fn is_rendered(&self) -> bool {
        self.source.strip_suffix(".hbs").is_some()
    }

    /// Its text, if it is one.
    pub(super) fn text(&self) -> Result<&str, Failure> {
        std::str::from_utf8(&self.bytes).map_err(|error| {
            Failure::new(Kind::Config, format!("the template `{}` is no text", self.id())).caused_by(error)
        })
    }

    /// Where it goes in the service `name`.
    pub(super) fn target(&self, name: &str) -> Result<TreePath, Failure> {
        let source = self.source.strip_suffix(".hbs").unwrap_or(&self.source);
        let part = |part: &str| match part.strip_prefix("dot.") {
            Some(rest) => format!(".{rest}"),
            None => part.to_owned(),
        };
        let path: Vec<String> = source.split('/').map(|p| part(&p.replace("__name__", name))).collect();
        TreePath::parse(&path.join("/"))
    }

    /// The file it becomes.
    pub(super) fn render(&self, name: &str, renderer: &Renderer) -> Result<File, Failure> {
        let bytes = if self.is_rendered() {
            renderer.render(&self.id(), self.text()?)?.into_bytes()
        } else {
            self.bytes.clone().into_owned()
        };
        let mode = if bytes.starts_with(b"#!") {
            Mode::Executable
        } else {
            Mode::Plain
        };
        let path = self.target(name)?;
        Ok(File { path, bytes, mode })
    }
}

fn collect(dir: &'static Dir<'static>, files: &mut Vec<(&'static str, &'static [u8])>) {
    for file in dir.files() {
        files.extend(file.path().to_str().map(|path| (path, file.contents())));
    }
    for below in dir.dirs() {
        collect(below, files);
    }
}

/// Whose file this is, and its path below its owner's directory.
fn owned(path: &str) -> Result<(&str, &str), Failure> {
    let parts = match path.split_once('/') {
        Some((BASE, rest)) => Some((BASE, rest)),
        Some(("components", rest)) => rest.split_once('/'),
        _ => None,
    };
    parts.ok_or_else(|| {
        Failure::new(
            Kind::Config,
            format!("the template `{path}` is below neither base nor components"),
        )
    })
}

fn component(path: &str, owner: &str, bytes: &[u8]) -> Result<Component, Failure> {
    let wrong = || Failure::new(Kind::Config, format!("cannot read the template `{path}`"));
    let text = std::str::from_utf8(bytes).map_err(|e| wrong().caused_by(e))?;
    let component: Component = toml::from_str(text).map_err(|e| wrong().caused_by(e))?;
    if component.id == owner {
        Ok(component)
    } else {
        Err(wrong().caused_by(format!("its id is `{}`, its directory `{owner}`", component.id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scaffold::render::sample;

    const OTLP: &str = "id = 'otlp'\nversion = '1'\nprovides = ['telemetry']\nlanguages = ['go']\n";

    fn load(files: &[(&'static str, &'static str)]) -> Result<Templates, Failure> {
        Templates::from_files(files.iter().map(|(path, text)| (*path, text.as_bytes())))
    }

    #[test]
    fn paths_and_bytes_follow_the_conventions() {
        let templates = load(&[
            ("base/cmd/__name__/main.go.hbs", "package main // {{name}}\n"),
            ("base/dot.github/workflows/ci.yml", "${{ github.sha }}\n"),
            ("base/scripts/check", "#!/bin/sh\n"),
            ("components/otlp/component.toml", OTLP),
            ("components/otlp/internal/otlp/otlp.go", "package otlp\n"),
        ])
        .unwrap();
        let renderer = Renderer::new(&sample()).unwrap();
        let made: Vec<(String, String, Mode)> = templates
            .of(&[BASE])
            .map(|t| t.render("payment", &renderer).unwrap())
            .map(|f| (f.path.to_string(), String::from_utf8(f.bytes).unwrap(), f.mode))
            .collect();
        assert_eq!(
            made,
            [
                (
                    "cmd/payment/main.go".into(),
                    "package main // payment-api\n".into(),
                    Mode::Plain
                ),
                (
                    ".github/workflows/ci.yml".into(),
                    "${{ github.sha }}\n".into(),
                    Mode::Plain
                ),
                ("scripts/check".into(), "#!/bin/sh\n".into(), Mode::Executable),
            ]
        );
        assert_eq!(templates.of(&["otlp"]).count(), 1);
    }

    #[test]
    fn a_wrong_tree_of_templates_is_refused() {
        for (path, text) in [
            ("README.md", ""),
            ("components/x", ""),
            ("components/otel/component.toml", OTLP),
            ("components/otlp/component.toml", "id = 'otlp'\nnope = 1\n"),
        ] {
            let failure = load(&[(path, text)]).unwrap_err();
            assert!(failure.message().contains(path), "{failure}");
        }
    }

    #[test]
    fn the_templates_inside_the_program_are_those_of_the_tree() {
        fn on_disk(dir: &std::path::Path, found: &mut Vec<String>) {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    on_disk(&path, found);
                } else {
                    found.push(path.to_str().unwrap().to_owned());
                }
            }
        }
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/templates/");
        let (mut disk, mut inside) = (Vec::new(), Vec::new());
        on_disk(std::path::Path::new(root), &mut disk);
        collect(&EMBEDDED, &mut inside);
        let mut inside: Vec<String> = inside.iter().map(|(path, _)| format!("{root}{path}")).collect();
        disk.sort();
        inside.sort();
        assert!(
            disk == inside,
            "templates/ has other files than the program: touch src/scaffold/templates.rs"
        );
    }
}
