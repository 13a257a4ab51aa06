//! `msctl new`: a service out of templates. What was not answered by flag, environment or file is asked on a terminal.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use super::Context;
use crate::config::answers::Answers;
use crate::config::names::{ModulePath, ServiceName};
use crate::config::seed::Seed;
use crate::config::service::Ports;
use crate::failure::{Exit, Failure, Kind};
use crate::process::{Clock, Interrupt};
use crate::scaffold::plan::{self, Class, Plan, Wish};
use crate::scaffold::render::{PortNumbers, Variables};
use crate::scaffold::templates::Templates;
use crate::scaffold::tree::Site;
use crate::ui::{Page, Report, count, duration};

/// The `go` line of a new `go.mod`: the least that the templates and what they require need.
const GO_VERSION: &str = "1.26.0";

/// The arguments of `msctl new`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Answers come from the flag, else MSCTL_NEW_NAME, _MODULE, _COMPONENTS, _HTTP_PORT, _GRPC_PORT, \
_METRICS_PORT, else --answers, else they are asked.

Examples:
  msctl new payment                            asks
  msctl new payment --yes                      asks nothing
  msctl new payment --module example.com/shop/payment --without otlp
  msctl new payment --dry-run                  what it would write"
)]
pub struct Args {
    /// The service's name: it becomes that of its directory, its program, its Kubernetes Service
    #[arg(value_name = "NAME")]
    name: Option<String>,

    /// Its Go module path (default: example.com/NAME)
    #[arg(long, value_name = "PATH")]
    module: Option<String>,

    /// Add a component
    #[arg(long = "component", value_name = "NAME", value_delimiter = ',')]
    components: Vec<String>,

    /// Leave a component out
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    without: Vec<String>,

    /// The port of HTTP and the probes (default: 8080)
    #[arg(long, value_name = "PORT")]
    http_port: Option<String>,

    /// The port of gRPC (default: 9090)
    #[arg(long, value_name = "PORT")]
    grpc_port: Option<String>,

    /// The port of the metrics (default: 9100)
    #[arg(long, value_name = "PORT")]
    metrics_port: Option<String>,

    /// The directory to make the service's directory in (default: the current one)
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,

    /// A YAML file with keys of msctl.yaml: name, module, ports, components
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,

    /// Ask nothing, take the defaults
    #[arg(short, long)]
    yes: bool,

    /// Print what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Makes the service.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let interrupt = Interrupt::watch()?;
    let templates = Templates::embedded("go")?;
    let mut asking = Asking::new(args, context)?;
    let name = asking.name()?;
    let target = target(args, context, &name);
    let site = Site::survey(&target)?;
    let module = asking.module(&name)?;
    let ports = asking.ports()?;
    let components = asking.components(&templates)?;
    asking.say_what_was_not_asked();

    let clock = Clock::start();
    let wish = wish(&name, &module, ports, &components, &templates);
    let plan = plan::make(&templates, &wish)?;
    for left in site.leftovers() {
        let line = format!("note: `{}` is of a run that was killed, or goes on", left.display());
        context.ui.note(&line);
    }
    if !args.dry_run {
        site.build(&plan.files(), &|| interrupt.asked())?;
    }
    let took = (!args.dry_run).then(|| clock.elapsed());
    context.ui.report(&Created::new(&wish, &target, &plan, took));
    Ok(Exit::Done)
}

/// The new directory, as the user would name it.
fn target(args: &Args, context: &Context, name: &ServiceName) -> PathBuf {
    let into = args.into.as_deref().unwrap_or(Path::new(""));
    context.path(&into.join(name.as_str()))
}

fn wish(name: &ServiceName, module: &ModulePath, ports: Ports, components: &[String], templates: &Templates) -> Wish {
    let chosen = components.iter().filter_map(|id| templates.catalogue.get(id));
    let provided = chosen.flat_map(|c| c.provides.iter().map(|capability| (capability.clone(), c.id.clone())));
    let provided: Vec<(String, String)> = provided.collect();
    let Ports { http, grpc, metrics } = ports;
    let answers = serde_json::json!({
        "name": name,
        "language": "go",
        "module": module,
        "ports": ports,
        "components": provided.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
    });
    let seed = Seed {
        name: name.clone(),
        module: module.clone(),
        ports,
        components: provided,
    };
    Wish {
        variables: Variables {
            name: name.to_string(),
            module: module.to_string(),
            go_version: GO_VERSION.to_owned(),
            ports: PortNumbers { http, grpc, metrics },
            modules: Vec::new(),
            msctl_version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        components: components.to_vec(),
        description: seed.text(),
        answers,
    }
}

/// Where answers come from.
struct Asking<'a> {
    args: &'a Args,
    context: &'a Context,
    file: Answers,
    interactive: bool,
    /// What was neither given nor asked.
    assumed: Vec<String>,
}

impl<'a> Asking<'a> {
    fn new(args: &'a Args, context: &'a Context) -> Result<Self, Failure> {
        let file = args.answers.as_deref().map(|path| Answers::load(&context.path(path)));
        Ok(Self {
            args,
            context,
            file: file.transpose()?.unwrap_or_default(),
            interactive: context.ui.prompts() && !args.yes,
            assumed: Vec::new(),
        })
    }

    /// By flag or environment, with where that was. An empty variable counts as unset.
    fn given(&self, flag: Option<&str>, named: &str, variable: &str) -> Option<(String, String)> {
        if let Some(text) = flag {
            return Some((text.to_owned(), named.to_owned()));
        }
        let text = self.context.environment.text(variable)?;
        Some((text.to_owned(), variable.to_owned()))
    }

    fn name(&self) -> Result<ServiceName, Failure> {
        if let Some((text, from)) = self.given(self.args.name.as_deref(), "NAME", "MSCTL_NEW_NAME") {
            return ServiceName::parse(&text).map_err(|failure| from_variable(failure, &from));
        }
        if let Some(name) = &self.file.name {
            return Ok(name.clone());
        }
        if !self.interactive {
            return Err(Failure::new(Kind::Usage, "the service has no name").hint("msctl new payment"));
        }
        let check = |text: &str| ServiceName::parse(text).map(drop).map_err(|f| one_line(&f));
        ServiceName::parse(&self.context.ui.ask_text("Name", None, check)?)
    }

    fn module(&mut self, name: &ServiceName) -> Result<ModulePath, Failure> {
        if let Some((text, from)) = self.given(self.args.module.as_deref(), "--module", "MSCTL_NEW_MODULE") {
            return ModulePath::parse(&text).map_err(|failure| from_variable(failure, &from));
        }
        if let Some(module) = &self.file.module {
            return Ok(module.clone());
        }
        let default = format!("example.com/{name}");
        if !self.interactive {
            self.assumed.push(format!("module {default}"));
            return ModulePath::parse(&default);
        }
        let check = |text: &str| ModulePath::parse(text).map(drop).map_err(|f| one_line(&f));
        ModulePath::parse(&self.context.ui.ask_text("Module path", Some(&default), check)?)
    }

    fn ports(&self) -> Result<Ports, Failure> {
        let (args, file, default) = (self.args, self.file.ports, Ports::default());
        let port = |flag: &Option<String>, named, variable, file: Option<u16>, default| match self.given(
            flag.as_deref(),
            named,
            variable,
        ) {
            None => Ok(file.unwrap_or(default)),
            Some((text, from)) => text.parse().map_err(|_| {
                let message = format!("`{}` is no port ({from}): one from 1024 to 65535", text.escape_debug());
                Failure::new(Kind::Usage, message)
            }),
        };
        Ports::new(
            port(
                &args.http_port,
                "--http-port",
                "MSCTL_NEW_HTTP_PORT",
                file.http,
                default.http,
            )?,
            port(
                &args.grpc_port,
                "--grpc-port",
                "MSCTL_NEW_GRPC_PORT",
                file.grpc,
                default.grpc,
            )?,
            port(
                &args.metrics_port,
                "--metrics-port",
                "MSCTL_NEW_METRICS_PORT",
                file.metrics,
                default.metrics,
            )?,
        )
        .map_err(|message| {
            Failure::new(Kind::Usage, message).hint("--http-port 8080 --grpc-port 9090 --metrics-port 9100")
        })
    }

    /// The flags add to and take away from what environment, file or terminal say; checked as a whole.
    fn components(&mut self, templates: &Templates) -> Result<Vec<String>, Failure> {
        let mut chosen = self.chosen(templates)?;
        chosen.extend(self.args.components.iter().cloned());
        chosen.retain(|id| !self.args.without.contains(id));
        if let Some(unknown) = self
            .args
            .without
            .iter()
            .find(|id| templates.catalogue.get(id).is_none())
        {
            chosen.push(unknown.clone()); // It is refused with the names there are.
        }
        let order = templates.catalogue.resolve(&chosen, templates.given())?;
        Ok(order.into_iter().map(|c| c.id.clone()).collect())
    }

    fn chosen(&mut self, templates: &Templates) -> Result<Vec<String>, Failure> {
        if let Some(list) = self.context.environment.text("MSCTL_NEW_COMPONENTS") {
            let named = list
                .split(',')
                .map(str::trim)
                .filter(|id| !id.is_empty() && *id != "none");
            return Ok(named.map(str::to_owned).collect());
        }
        if let Some(components) = &self.file.components {
            return Ok(components.providers());
        }
        let defaults = templates.catalogue.defaults();
        let flags = !(self.args.components.is_empty() && self.args.without.is_empty());
        if flags || !self.interactive {
            if !flags {
                self.assumed.push(format!("components {}", listed(&defaults)));
            }
            return Ok(defaults);
        }
        let items: Vec<(String, bool)> = templates.catalogue.iter().map(|c| (c.id.clone(), c.default)).collect();
        let marked = self.context.ui.ask_which("Components", &items)?;
        Ok(marked.into_iter().map(|at| items[at].0.clone()).collect())
    }

    /// Without a terminal and without `--yes`, defaults are taken, and that is said.
    fn say_what_was_not_asked(&self) {
        if !self.interactive && !self.args.yes && !self.assumed.is_empty() {
            let assumed = self.assumed.join(", ");
            let line = format!("note: there is no terminal to ask on, taken: {assumed} (`--yes` leaves this line out)");
            self.context.ui.note(&line);
        }
    }
}

/// Flags are before the user's eyes; a variable is not.
fn from_variable(failure: Failure, from: &str) -> Failure {
    if from.starts_with("MSCTL_") {
        failure.note(format!("The environment variable {from} says so."))
    } else {
        failure
    }
}

fn one_line(failure: &Failure) -> String {
    match failure.hints().first() {
        Some(hint) => format!("{failure} ({hint})"),
        None => failure.to_string(),
    }
}

fn listed(components: &[String]) -> String {
    if components.is_empty() {
        "none".to_owned()
    } else {
        components.join(", ")
    }
}

/// `msctl.new.report/v1`: a new service, or what it would be.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Created {
    /// Its name.
    name: String,
    /// Where it is.
    directory: String,
    /// Its Go module path.
    module: String,
    /// Its components, in the order they start.
    components: Vec<String>,
    /// Whether it was written; false after `--dry-run`.
    written: bool,
    /// How long that took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    took_ms: Option<f64>,
    /// Of all files together.
    bytes: usize,
    /// By path.
    files: Vec<CreatedFile>,
    /// Commands to go on with.
    next: Vec<String>,
    #[serde(skip)]
    http: u16,
}

/// One file of a new service.
#[derive(Debug, Serialize, JsonSchema)]
struct CreatedFile {
    /// Below the service's directory.
    path: String,
    /// Its size.
    bytes: usize,
    /// The component that brings it, `base`, or `msctl`.
    owner: String,
    /// What a later update may do to it.
    #[schemars(with = "String")]
    class: Class,
}

impl Created {
    fn new(wish: &Wish, target: &Path, plan: &Plan, took: Option<std::time::Duration>) -> Self {
        let directory = target.strip_prefix(".").unwrap_or(target).display().to_string();
        let files = plan.files.iter().map(|planned| CreatedFile {
            path: planned.file.path.to_string(),
            bytes: planned.file.bytes.len(),
            owner: planned.owner.clone(),
            class: planned.class,
        });
        let Variables {
            name, module, ports, ..
        } = &wish.variables;
        Self {
            name: name.clone(),
            module: module.clone(),
            components: wish.components.clone(),
            written: took.is_some(),
            took_ms: took.map(|t| t.as_secs_f64() * 1e3),
            bytes: plan.bytes(),
            files: files.collect(),
            next: vec![
                format!("cd {directory} && make run"),
                "msctl generate".to_owned(),
                "msctl gate".to_owned(),
                "msctl canary rehearse".to_owned(),
            ],
            directory,
            http: ports.http,
        }
    }

    fn choices(&self, page: &mut Page) {
        page.line("  Language      go");
        page.line(format!("  Module path   {}", self.module));
        page.line(format!("  Components    {}", listed(&self.components)));
    }

    fn plan(&self, page: &mut Page) {
        let rows = self.files.iter().map(|file| {
            let size = format!("{:>6}", count(file.bytes as u64));
            let class = serde_json::to_value(file.class).ok();
            let class = class.and_then(|c| c.as_str().map(str::to_owned)).unwrap_or_default();
            vec![size, file.path.clone(), file.owner.clone(), class]
        });
        page.table(2, &rows.collect::<Vec<_>>());
    }
}

impl Report for Created {
    const SCHEMA: &'static str = "msctl.new.report/v1";

    fn human(&self, page: &mut Page) {
        self.choices(page);
        let mut what = format!("{}: {} files", self.directory, self.files.len());
        let Some(ms) = self.took_ms else {
            _ = write!(what, ", {} bytes", count(self.bytes as u64));
            page.line(format!(
                "{} {what}. Nothing was written.",
                page.paint.strong("Would create")
            ));
            return self.plan(page);
        };
        let took = duration(std::time::Duration::from_secs_f64(ms / 1e3));
        page.line(format!("{} {what} in {took}", page.paint.good("Created")));
        let address = format!("http://localhost:{}", self.http);
        let says = [
            address.as_str(),
            "write the Dockerfile and the manifests",
            "judge it before it ships",
            "try a release without a cluster",
        ];
        let rows = self.next.iter().zip(says).enumerate().map(|(at, (command, says))| {
            let label = if at == 0 { "next:" } else { "" };
            vec![label.to_owned(), page.paint.typed(command), page.paint.faint(says)]
        });
        let rows: Vec<Vec<String>> = rows.collect();
        page.table(2, &rows);
    }
}
