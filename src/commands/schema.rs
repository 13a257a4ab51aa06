//! `msctl schema`: the JSON Schema of every document that msctl reads or writes.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use super::canary::abort::Aborted;
use super::canary::ask::Left;
use super::canary::backtest::report::BacktestReport;
use super::canary::export::Exported;
use super::canary::guard::Guarded;
use super::canary::history::History;
use super::canary::job::{InCluster, Manifest};
use super::canary::report::Written;
use super::canary::run::PlanReport;
use super::canary::screen::Event;
use super::canary::set::Set;
use super::canary::show::ReleaseReport;
use super::canary::start::Started;
use super::canary::status::Standing;
use super::gate::waive::Waiving;
use super::{Context, generate, logs, new, tour};
use crate::config::service::Service;
use crate::config::yaml::one_of;
use crate::failure::{self, Exit, Failure, Kind};
use crate::gate::GateReport;
use crate::observe::health::Health;
use crate::observe::log::Summary;
use crate::ui::{Output, Page, Report};

/// The arguments of `msctl schema`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  msctl schema                          of msctl.yaml
  msctl schema > .msctl.schema.json     for an editor: `# yaml-language-server: $schema=.msctl.schema.json`
  msctl schema --list                   every document
  msctl schema generate.report          by name, or as its `schema` field has it: msctl.generate.report/v1")]
pub struct Args {
    /// The document
    #[arg(value_name = "DOCUMENT", default_value = "service")]
    document: String,

    /// List the documents
    #[arg(long, conflicts_with = "document")]
    list: bool,
}

/// A document: its `schema` field, what it is, and how its schema is made.
struct Document(&'static str, &'static str, fn() -> Schema);

/// Every document.
const DOCUMENTS: [Document; 26] = [
    Document("msctl.service/v1", "msctl.yaml", read::<Service>),
    Document(
        "msctl.canary.abort/v1",
        "the answer of `canary abort`",
        written::<Aborted>,
    ),
    Document(
        "msctl.canary.asked/v1",
        "the answer of `canary pause` and `promote`",
        written::<Left>,
    ),
    Document(
        "msctl.canary.backtest/v1",
        "the answer of `canary backtest`",
        written::<BacktestReport>,
    ),
    Document(
        "msctl.canary.event/v1",
        "what `canary rehearse`, `run` and `resume` see and decide, line by line",
        written::<Event<'static>>,
    ),
    Document(
        "msctl.canary.export/v1",
        "the answer of `canary export`",
        written::<Exported<'static>>,
    ),
    Document(
        "msctl.canary.guard/v1",
        "the answer of `canary guard`",
        written::<Guarded>,
    ),
    Document(
        "msctl.canary.history/v1",
        "the answer of `canary history`",
        written::<History>,
    ),
    Document(
        "msctl.canary.job/v1",
        "the answer of `canary run --in-cluster`",
        written::<InCluster>,
    ),
    Document(
        "msctl.canary.manifest/v1",
        "the answer of `canary run --in-cluster --dry-run`",
        written::<Manifest>,
    ),
    Document(
        "msctl.canary.page/v1",
        "the answer of `canary report`",
        written::<Written>,
    ),
    Document(
        "msctl.canary.plan/v1",
        "the answer of `canary run --dry-run`",
        written::<PlanReport>,
    ),
    Document(
        "msctl.canary.report/v1",
        "the answer of `canary rehearse`, `run` and `explain`",
        written::<ReleaseReport>,
    ),
    Document("msctl.canary.set/v1", "the answer of `canary set`", written::<Set>),
    Document(
        "msctl.canary.started/v1",
        "the answer of `canary start`",
        written::<Started>,
    ),
    Document(
        "msctl.canary.status/v1",
        "the answer of `canary status`, and of `watch` line by line",
        written::<Standing>,
    ),
    Document(
        "msctl.failure/v1",
        "what could not be done, of every command",
        written::<failure::Document<'static>>,
    ),
    Document(GateReport::DOCUMENT, "the answer of `gate`", written::<GateReport>),
    Document("msctl.gate.waiver/v1", "the answer of `gate waive`", written::<Waiving>),
    Document(
        "msctl.generate.file/v1",
        "a file of `generate --stdout`",
        written::<generate::GeneratedFile<'static>>,
    ),
    Document(
        "msctl.generate.report/v1",
        "the answer of `generate`",
        written::<generate::GenerateReport>,
    ),
    Document("msctl.health.report/v1", "the answer of `health`", written::<Health>),
    Document(
        "msctl.logs.line/v1",
        "a line of `logs`",
        written::<logs::LogLine<'static>>,
    ),
    Document(
        "msctl.logs.summary/v1",
        "the answer of `logs --summary`",
        written::<Summary>,
    ),
    Document("msctl.new.report/v1", "the answer of `new`", written::<new::Created>),
    Document(
        "msctl.tour.report/v1",
        "the answer of `tour`",
        written::<tour::TourReport>,
    ),
];

/// Of a document that msctl reads.
fn read<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12()
        .for_deserialize()
        .into_generator()
        .into_root_schema_for::<T>()
}

/// Of a document that msctl writes.
fn written<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<T>()
}

impl Document {
    /// `generate.report`
    fn name(&self) -> &'static str {
        let name = self.0.strip_prefix("msctl.").unwrap_or(self.0);
        name.split('/').next().unwrap_or(name)
    }

    /// Whole: under its name, with the `schema` field that each document carries.
    fn schema(&self) -> Schema {
        let mut schema = (self.2)();
        let version = self.0.rsplit('/').next().unwrap_or_default();
        schema.insert("$id".into(), format!("urn:msctl:{}:{version}", self.name()).into());
        schema.insert("title".into(), self.0.into());
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            properties.insert("schema".into(), json!({ "const": self.0 }));
        }
        let required = schema.ensure_object().entry("required").or_insert_with(|| json!([]));
        if let Some(required) = required.as_array_mut().filter(|r| !r.contains(&json!("schema"))) {
            required.insert(0, json!("schema"));
        }
        schema
    }
}

/// Prints a schema, or the list.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    if args.list {
        context.ui.report(&List::new());
        return Ok(Exit::Done);
    }
    let is_asked = |d: &&Document| [d.name(), d.0].contains(&args.document.as_str());
    let Some(document) = DOCUMENTS.iter().find(is_asked) else {
        let names: Vec<&str> = DOCUMENTS.iter().map(Document::name).collect();
        let message = format!("there is no document `{}`", args.document.escape_debug());
        return Err(Failure::new(Kind::Usage, message).hint(one_of(&args.document, &names)));
    };
    let schema = document.schema();
    let text = if context.ui.output() == Output::Json {
        serde_json::to_string(&schema)
    } else {
        serde_json::to_string_pretty(&schema)
    };
    let text = text.map_err(|e| Failure::new(Kind::Io, "cannot write the schema").caused_by(e))?;
    context.ui.data(&format!("{text}\n"));
    Ok(Exit::Done)
}

/// `msctl.schema.list/v1`: the documents that have a schema.
#[derive(Debug, serde::Serialize)]
struct List {
    documents: Vec<Entry>,
}

#[derive(Debug, serde::Serialize)]
struct Entry {
    name: &'static str,
    document: &'static str,
    what: &'static str,
}

impl List {
    fn new() -> Self {
        let entry = |d: &Document| Entry {
            name: d.name(),
            document: d.0,
            what: d.1,
        };
        Self {
            documents: DOCUMENTS.iter().map(entry).collect(),
        }
    }
}

impl Report for List {
    const SCHEMA: &'static str = "msctl.schema.list/v1";

    fn human(&self, page: &mut Page) {
        let row = |e: &Entry| vec![e.name.to_owned(), e.document.to_owned(), e.what.to_owned()];
        page.table(0, &self.documents.iter().map(row).collect::<Vec<_>>());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_schema_has_its_name_and_the_schema_field() {
        for document in &DOCUMENTS {
            let schema = document.schema();
            let value = schema.as_value();
            assert_eq!(value["title"], document.0);
            assert_eq!(value["properties"]["schema"]["const"], document.0, "{}", document.0);
            assert!(value["required"].as_array().unwrap().contains(&json!("schema")));
            assert!(value["properties"].as_object().unwrap().len() > 1, "{}", document.0);
        }
    }
}
