//! The rules every template keeps, held by a test: declared variables only, no raw value where it could become syntax, outputs
//! that parse, no component that names another.

use handlebars::template::{HelperTemplate, Parameter, TemplateElement};
use handlebars::{Path, Template};

use super::component::Component;
use super::plan::{self, Plan};
use super::render::{QUOTING, sample};
use super::templates::{BASE, Templates};
use crate::failure::Failure;

const ROOT: [&str; 8] = [
    "name",
    "module",
    "go_version",
    "ports.http",
    "ports.grpc",
    "ports.metrics",
    "modules",
    "msctl_version",
];
const MODULE: [&str; 2] = ["package", "import"];
/// A raw value here could become syntax.
const GUARDED: [&str; 6] = ["go", "yaml", "yml", "sh", "mk", "Makefile"];

/// What is wrong with one template.
struct Lint<'a> {
    guarded: bool,
    /// The variables of each enclosing `each`, the innermost last.
    scopes: Vec<&'a [&'a str]>,
    wrong: Vec<String>,
}

fn lint(file: &str, text: &str) -> Vec<String> {
    let ending = file.rsplit(['.', '/']).next().unwrap_or(file);
    let mut lint = Lint {
        guarded: GUARDED.contains(&ending),
        scopes: vec![&ROOT],
        wrong: Vec::new(),
    };
    match Template::compile(text) {
        Ok(template) => lint.template(&template),
        Err(error) => lint.wrong.push(error.to_string()),
    }
    lint.wrong
}

impl Lint<'_> {
    fn template(&mut self, template: &Template) {
        for element in &template.elements {
            match element {
                TemplateElement::RawString(_) | TemplateElement::Comment(_) => {}
                TemplateElement::Expression(e) | TemplateElement::HtmlExpression(e) => self.shown(e),
                TemplateElement::HelperBlock(block) => self.block(block),
                other => self.wrong.push(format!("neither partials nor decorators: {other:?}")),
            }
        }
    }

    /// `{{…}}`: a quoting helper, or a raw value where that is harmless.
    fn shown(&mut self, expression: &HelperTemplate) {
        let name = word(&expression.name);
        let quoted = QUOTING.iter().any(|(helper, _)| *helper == name) && !expression.params.is_empty();
        if !quoted && self.guarded {
            self.wrong.push(format!("`{name}` is written without a quoting helper"));
        }
        if quoted || name == "concat" {
            self.parameters(expression);
        } else {
            self.declared(&name);
        }
    }

    fn parameters(&mut self, expression: &HelperTemplate) {
        for parameter in expression.params.iter().chain(expression.hash.values()) {
            match parameter {
                Parameter::Literal(_) => {}
                Parameter::Subexpression(inner) => match inner.as_element() {
                    TemplateElement::Expression(inner) => self.parameters(inner),
                    other => self.wrong.push(format!("{other:?}")),
                },
                other => self.declared(&word(other)),
            }
        }
    }

    fn block(&mut self, block: &HelperTemplate) {
        let name = word(&block.name);
        if !["each", "if", "unless", "raw"].contains(&name.as_str()) {
            self.wrong.push(format!("`#{name}` is no block of ours"));
        }
        self.parameters(block);
        if name == "each" {
            self.scopes.push(&MODULE);
        }
        if let Some(inner) = &block.template {
            self.template(inner);
        }
        if name == "each" {
            self.scopes.pop();
        }
        if let Some(inner) = &block.inverse {
            self.template(inner);
        }
    }

    fn declared(&mut self, variable: &str) {
        let up = variable.matches("../").count();
        let from_root = variable.strip_prefix("@root.");
        let bare = from_root.unwrap_or_else(|| variable.trim_start_matches("../"));
        let at = if from_root.is_some() {
            Some(0)
        } else {
            self.scopes.len().checked_sub(up + 1)
        };
        let scope = at.and_then(|at| self.scopes.get(at));
        let bare = bare.strip_prefix("this.").unwrap_or(bare);
        let counter = self.scopes.len() > 1 && ["@index", "@first", "@last"].contains(&bare);
        if !counter && !scope.is_some_and(|known| known.contains(&bare)) {
            self.wrong.push(format!("`{variable}` is not declared"));
        }
    }
}

fn word(parameter: &Parameter) -> String {
    match parameter {
        Parameter::Name(name) => name.clone(),
        Parameter::Path(Path::Relative((_, raw)) | Path::Local((_, _, raw))) => raw.clone(),
        other => format!("{other:?}"),
    }
}

/// The other components that a component's text names.
fn mentions(text: &str, component: Option<&Component>, all: &[String]) -> Vec<String> {
    let allowed = |id: &String| component.is_some_and(|c| c.id == *id || c.enhances.contains(id));
    let words: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').collect();
    let named = all.iter().filter(|id| !allowed(id) && words.contains(&id.as_str()));
    named.cloned().collect()
}

/// Why this output cannot be read by what it is for.
fn unreadable(path: &str, text: &str) -> Option<String> {
    match path.rsplit('.').next()? {
        "yaml" | "yml" => serde_yaml::from_multiple::<serde_json::Value>(text)
            .err()
            .map(|e| e.to_string()),
        "json" => serde_json::from_str::<serde_json::Value>(text)
            .err()
            .map(|e| e.to_string()),
        "toml" => toml::from_str::<toml::Table>(text).err().map(|e| e.to_string()),
        _ => None,
    }
}

/// Every set of components of at most two that fit together.
fn sets(templates: &Templates) -> Vec<Vec<String>> {
    let ids: Vec<String> = templates.catalogue.iter().map(|c| c.id.clone()).collect();
    let mut sets = vec![Vec::new()];
    for (at, a) in ids.iter().enumerate() {
        sets.push(vec![a.clone()]);
        sets.extend(ids[at + 1..].iter().map(|b| vec![a.clone(), b.clone()]));
    }
    sets
}

fn plan(templates: &Templates, set: &[String]) -> Option<Result<Plan, Failure>> {
    let chosen = templates.catalogue.resolve(set, templates.given()).ok()?;
    let planned = plan::render(templates, &chosen, &sample());
    Some(planned.and_then(|files| Plan::new(plan::versions(templates, &chosen), files)))
}

#[test]
fn the_lint_finds_what_it_is_for() {
    for (file, text, wrong) in [
        ("x.go", "{{name}}", "without a quoting helper"),
        ("x.go", "{{{name}}}", "without a quoting helper"),
        ("x.yml", "{{concat name}}", "without a quoting helper"),
        ("deploy/Makefile", "{{module}}", "without a quoting helper"),
        ("x.md", "{{nmae}}", "`nmae` is not declared"),
        ("x.md", "{{#if nmae}}a{{/if}}", "`nmae` is not declared"),
        ("x.go", "{{go (concat module nmae)}}", "`nmae` is not declared"),
        (
            "x.go",
            "{{#each modules}}{{go module}}{{/each}}",
            "`module` is not declared",
        ),
        (
            "x.go",
            "{{#each modules}}{{go ../../module}}{{/each}}",
            "is not declared",
        ),
        ("x.md", "{{> part}}", "neither partials"),
        ("x.md", "{{#with ports}}{{/with}}", "`#with` is no block"),
        ("x.md", "{{ .Values.x }}", ""),
    ] {
        let found = lint(file, text).join("; ");
        assert!(!found.is_empty() && found.contains(wrong), "{text}: {found}");
    }
    for (file, text) in [
        (
            "x.go",
            "{{go (concat module \"/x\")}}{{#each modules}}{{go import}}{{ident ../name}}{{/each}}",
        ),
        (
            "x.md",
            "{{name}} {{#if modules}}{{ports.http}}{{else}}{{md name}}{{/if}}",
        ),
        ("go.mod", "module {{module}}"),
    ] {
        assert_eq!(lint(file, text), Vec::<String>::new(), "{text}");
    }
    let all = ["otlp".to_owned(), "redis".to_owned()];
    assert_eq!(mentions("// uses redis.", None, &all), ["redis"]);
    assert_eq!(mentions("otlpx predis", None, &all), Vec::<String>::new());
    assert!(unreadable("x.yml", "a: [").is_some() && unreadable("x.json", "{").is_some());
}

#[test]
fn every_template_keeps_the_rules() {
    let templates = Templates::embedded("go").unwrap();
    let ids: Vec<String> = templates.catalogue.iter().map(|c| c.id.clone()).collect();
    for template in &templates.all {
        let name = template.id();
        let text = template.text().unwrap_or_else(|e| panic!("{name}: {e}"));
        if template.is_rendered() {
            let target = template.target("payment").unwrap();
            assert_eq!(lint(target.as_str(), text), Vec::<String>::new(), "{name}");
        }
        let component = templates.catalogue.get(&template.owner);
        assert!(
            component.is_some() || template.owner == BASE,
            "{name}: no component.toml"
        );
        assert_eq!(mentions(text, component, &ids), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn every_set_of_two_components_makes_a_plan_whose_files_can_be_read() {
    let templates = Templates::embedded("go").unwrap();
    for set in sets(&templates) {
        let Some(plan) = plan(&templates, &set) else { continue };
        for planned in plan.unwrap_or_else(|e| panic!("{set:?}: {e}")).files {
            let path = planned.file.path.as_str();
            let text = std::str::from_utf8(&planned.file.bytes).unwrap();
            assert_eq!(unreadable(path, text), None, "{path}");
            assert!(
                text.ends_with('\n') && !text.ends_with("\n\n") && !text.contains('\r'),
                "{path}: line ends"
            );
        }
    }
}
