//! Templates into bytes: handlebars, strict, nothing HTML-escaped, and a helper for each language a value is written in. Pure.

use handlebars::{
    Context, Handlebars, Helper, HelperDef, RenderContext, RenderError, RenderErrorReason, ScopedJson, no_escape,
};
use serde::Serialize;
use serde_json::Value;

use super::quote;
use crate::failure::{Failure, Kind};

/// What a template may use; the lint of the templates holds them to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Variables {
    /// The service's name.
    pub name: String,
    /// Its Go module path.
    pub module: String,
    /// The `go` line of its `go.mod`.
    pub go_version: String,
    /// The ports it listens on.
    pub ports: PortNumbers,
    /// The Go packages of its components, in the order they start.
    pub modules: Vec<Package>,
    /// The version of this program.
    pub msctl_version: String,
}

/// The ports a service listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PortNumbers {
    /// HTTP, and the probes.
    pub http: u16,
    /// gRPC.
    pub grpc: u16,
    /// Metrics.
    pub metrics: u16,
}

/// The Go package of a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Package {
    /// Its name.
    pub package: String,
    /// Its import path.
    pub import: String,
}

/// Writes a value as one language has it.
type Quote = fn(&str) -> String;

/// The quoting helpers, by the name templates use.
pub(super) const QUOTING: [(&str, Quote); 7] = [
    ("go", quote::go),
    ("yaml", quote::yaml),
    ("sh", quote::sh),
    ("make", quote::make),
    ("md", quote::md),
    ("ident", quote::ident),
    ("env", quote::env),
];

/// Renders templates over one set of variables.
pub(super) struct Renderer {
    engine: Handlebars<'static>,
    context: Context,
}

impl Renderer {
    pub(super) fn new(variables: &Variables) -> Result<Self, Failure> {
        let mut engine = Handlebars::new();
        engine.set_strict_mode(true);
        engine.register_escape_fn(no_escape);
        for (name, quote) in QUOTING {
            engine.register_helper(name, Box::new(Quoting(quote)));
        }
        engine.register_helper("concat", Box::new(Concat));
        let context = Context::wraps(variables)
            .map_err(|error| Failure::new(Kind::Config, "cannot hand the answers to the templates").caused_by(error))?;
        Ok(Self { engine, context })
    }

    /// `name` is the template's, for the error.
    pub(super) fn render(&self, name: &str, text: &str) -> Result<String, Failure> {
        self.engine
            .render_template_with_context(text, &self.context)
            .map_err(|error| {
                Failure::new(Kind::Config, format!("cannot render the template `{name}`")).caused_by(error)
            })
    }
}

/// `{{go name}}`: one value, quoted; a number needs none.
struct Quoting(Quote);

impl HelperDef for Quoting {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        let mut values = texts(helper)?;
        match (values.pop(), values.pop()) {
            (Some(Scalar::Text(text)), None) => Ok(Value::String((self.0)(&text)).into()),
            (Some(Scalar::Number(number)), None) => Ok(Value::String(number).into()),
            _ => Err(wrong(helper, "takes one value")),
        }
    }
}

/// `(concat module "/internal/app")`: values as one text.
struct Concat;

impl HelperDef for Concat {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        let parts = texts(helper)?.into_iter().map(|value| match value {
            Scalar::Text(text) | Scalar::Number(text) => text,
        });
        Ok(Value::String(parts.collect()).into())
    }
}

enum Scalar {
    Text(String),
    Number(String),
}

fn texts(helper: &Helper<'_>) -> Result<Vec<Scalar>, RenderError> {
    let scalar = |value: &handlebars::PathAndJson<'_>| match value.value() {
        _ if value.is_value_missing() => Err(wrong(helper, "is given a value that is not there")),
        Value::String(text) => Ok(Scalar::Text(text.clone())),
        Value::Number(number) => Ok(Scalar::Number(number.to_string())),
        _ => Err(wrong(helper, "takes texts and numbers only")),
    };
    helper.params().iter().map(scalar).collect()
}

fn wrong(helper: &Helper<'_>, what: &str) -> RenderError {
    RenderErrorReason::Other(format!("`{}` {what}", helper.name())).into()
}

#[cfg(test)]
pub(super) fn sample() -> Variables {
    Variables {
        name: "payment-api".into(),
        module: "example.com/shop/payment-api".into(),
        go_version: "1.26".into(),
        ports: PortNumbers {
            http: 8080,
            grpc: 9090,
            metrics: 9100,
        },
        modules: vec![Package {
            package: "otlp".into(),
            import: "example.com/shop/payment-api/internal/otlp".into(),
        }],
        msctl_version: "0.1.0".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str) -> Result<String, Failure> {
        Renderer::new(&sample()).unwrap().render("x", text)
    }

    #[test]
    fn values_are_written_as_the_language_has_them() {
        for (template, text) in [
            ("{{go (concat module \"/x\")}}", "\"example.com/shop/payment-api/x\""),
            ("port: {{yaml ports.http}}", "port: 8080"),
            ("package {{ident name}}", "package paymentapi"),
            ("{{env name}}_PORT", "PAYMENT_API_PORT"),
            (
                "{{#each modules}}{{go import}}{{/each}}",
                "\"example.com/shop/payment-api/internal/otlp\"",
            ),
            ("{{{{raw}}}}${{ github.sha }}{{{{/raw}}}}", "${{ github.sha }}"),
            ("a \\{{ b }}", "a {{ b }}"),
            ("<a href=\"&\">", "<a href=\"&\">"),
        ] {
            assert_eq!(render(template).unwrap(), text);
        }
    }

    #[test]
    fn a_value_that_is_not_there_is_an_error() {
        for template in [
            "{{missing}}",
            "{{go missing}}",
            "{{go ports.x}}",
            "{{go (concat name nme)}}",
            "{{go ports}}",
            "{{go}}",
        ] {
            let failure = render(template).unwrap_err();
            assert!(failure.message().contains("template `x`"), "{template}: {failure}");
        }
    }
}
