//! `msctl canary rehearse`: the real plan, machine, judge and journal over a weighted proxy in this process.

use std::path::{Path, PathBuf};

use super::screen::Screen;
use super::show::exit;
use crate::canary::driver::Driver;
use crate::canary::journal::{self, Begun, Header, Journal};
use crate::canary::machine::Machine;
use crate::canary::plan::Plan;
use crate::canary::rehearsal::{Arrivals, Fault, Faults, Upstream, World, WorldRequest, build};
use crate::commands::Context;
use crate::config::names::ServiceName;
use crate::config::service::Service;
use crate::config::units::{Span, Steps};
use crate::failure::{Exit, Failure, Kind};
use crate::process::Interrupt;
use crate::process::service::{Program, ServiceRequest};

/// How much faster `--fast` is.
const FAST: u64 = 50;

/// How long it is between two looks, in milliseconds, as where counters are scraped.
const INTERVAL: u64 = 5_000;

/// The arguments of `msctl canary rehearse`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  msctl canary rehearse --fast                       the service here against itself, in seconds
  msctl canary rehearse --fast --fault errors=30%    with a canary that fails
  msctl canary rehearse --stable ./v1 --canary ./v2  two programs; HTTP_PORT and PORT say where to listen

Exit codes: 0 promoted, 1 rolled back, 2 could not tell, 4 stuck, 130 after Ctrl-C with traffic put back")]
pub struct Args {
    /// What serves today: a command (default: the service here, built; else a backend in this process)
    #[arg(long, value_name = "COMMAND")]
    stable: Option<String>,

    /// What is tried: a command (default: the same as stable)
    #[arg(long, value_name = "COMMAND")]
    canary: Option<String>,

    /// Use the backends in this process, whatever there is to build
    #[arg(long, conflicts_with_all = ["stable", "canary"])]
    built_in: bool,

    /// Break the canary: errors=30%, latency=+200ms, crash, hang
    #[arg(long, value_name = "FAULT", value_delimiter = ',')]
    fault: Vec<Fault>,

    /// Time runs 50 times as fast, with as many more requests; latencies stay what they are
    #[arg(long)]
    fast: bool,

    /// Requests a second over both arms, before `--fast`
    #[arg(long, value_name = "N", default_value_t = 20.0)]
    rate: f64,

    /// The path of the requests (default: one of the service's own, else /)
    #[arg(long, value_name = "PATH")]
    path: Option<String>,

    /// The steps in percent (default: those of msctl.yaml)
    #[arg(long, value_name = "PERCENT,…")]
    steps: Option<Steps>,

    /// How long each step is watched at least (default: that of msctl.yaml)
    #[arg(long, value_name = "DURATION")]
    hold: Option<Span>,

    /// The seed of the dice: the same requests go the same way
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

/// Rehearses, to the end.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let request = Request::new(args, context)?;
    let interrupt = Interrupt::watch()?;
    let (upstreams, over) = upstreams(args, context, &request, &interrupt)?;
    let world = World::start(&request.world(args, upstreams), &interrupt)?;
    let plan = request.plan.clone();
    if !request.service.canary.metrics.is_empty() {
        context
            .ui
            .note("The metrics of msctl.yaml are not rehearsed: there is no Prometheus that has their counters.");
    }
    let header = request.header(&over);
    let journal = Journal::create(context.directory(), &header)?;
    let path = journal.path().to_owned();
    let mut screen = Screen::new(context, &header);
    screen.begin(request.rate, request.speed);
    let mut driver = Driver {
        machine: Machine::new(plan),
        router: world.router(),
        meter: world.meter(),
        journal,
        interrupt: &interrupt,
        takes_over: None,
        freezes: Vec::new(),
    };
    let end = driver.run(&mut |input, decision| screen.see(input, decision));
    world.end();
    let report = screen.report(&header, end?, &path);
    context.ui.report(&report);
    Ok(exit(report.end.outcome))
}

/// What was asked for, checked.
struct Request {
    service: Service,
    described: bool,
    plan: Plan,
    rate: f64,
    speed: u64,
    begun: Begun,
    seed: u64,
    faults: Faults,
    logs: PathBuf,
}

impl Request {
    fn new(args: &Args, context: &Context) -> Result<Self, Failure> {
        let found = Service::find(context.directory())?;
        let described = found.is_some();
        let mut service = match found {
            Some(service) => service,
            None => Service::named(ServiceName::parse("example")?),
        };
        service.canary = service.canary.with(args.steps.as_ref(), args.hold);
        if !(args.rate > 0.0 && args.rate <= 10_000.0) {
            let message = format!(
                "`--rate {}` is no rate: above 0, up to 10 000 requests a second",
                args.rate
            );
            return Err(Failure::new(Kind::Usage, message));
        }
        let speed = if args.fast {
            (1..=FAST)
                .rev()
                .find(|s| args.rate * number(*s) <= 5_000.0)
                .unwrap_or(1)
        } else {
            1
        };
        let begun = Begun::now();
        let mut plan = Plan::new(&service.canary, INTERVAL).faster(speed).without_metrics();
        plan.judge = plan.judge.on_one_machine();
        Ok(Self {
            plan,
            rate: args.rate * number(speed),
            speed,
            seed: args.seed.unwrap_or(begun.dice),
            begun,
            faults: Faults::together(&args.fault)?,
            logs: context.directory().join(journal::DIRECTORY),
            described,
            service,
        })
    }

    fn world(&self, args: &Args, (stable, canary, path): (Upstream, Upstream, String)) -> WorldRequest {
        WorldRequest {
            stable,
            canary,
            faults: self.faults.clone(),
            rate: self.rate,
            arrivals: Arrivals::Poisson,
            path: args.path.clone().unwrap_or(path),
            deadline: self.service.mesh.timeout.duration(),
            seed: self.seed,
        }
    }

    fn header(&self, over: &str) -> Header {
        let fast = if self.speed > 1 {
            format!(", time {} times as fast", self.speed)
        } else {
            String::new()
        };
        let setting = format!("rehearsal over {over}, {} requests/s{fast}", self.rate);
        self.begun.header(&self.service.name, setting, &self.plan)
    }

    /// A program as one arm; its log stays beside the journal.
    fn program(&self, arm: &str, program: Program, directory: &Path) -> Result<Upstream, Failure> {
        std::fs::create_dir_all(&self.logs).map_err(|e| Failure::io("create", &self.logs, e))?;
        let log = self.logs.join(format!("{}-{arm}.log", self.begun.id));
        let request = ServiceRequest::scaffolded(arm, program, directory, log);
        Ok(Upstream::Program(Box::new(request)))
    }
}

fn number(speed: u64) -> f64 {
    u32::try_from(speed).map_or(1.0, f64::from)
}

type Upstreams = (Upstream, Upstream, String);

/// What serves as both arms, and what to call it.
fn upstreams(
    args: &Args,
    context: &Context,
    request: &Request,
    interrupt: &Interrupt,
) -> Result<(Upstreams, String), Failure> {
    let directory = context.directory();
    let commands = (
        args.stable.as_ref().or(args.canary.as_ref()),
        args.canary.as_ref().or(args.stable.as_ref()),
    );
    if let (Some(stable), Some(canary)) = commands {
        let stable = request.program("stable", Program::parse(stable)?, directory)?;
        let canary = request.program("canary", Program::parse(canary)?, directory)?;
        return Ok(((stable, canary, "/".into()), "2 programs".into()));
    }
    let name = request.service.name.as_str();
    let absolute = std::path::absolute(directory).map_err(|e| Failure::io("find", directory, e))?;
    let built_in = (
        (Upstream::BuiltIn, Upstream::BuiltIn, "/".to_owned()),
        "2 built-in backends".to_owned(),
    );
    if args.built_in || !request.described {
        return Ok(built_in);
    }
    match build::can_build(&absolute, name, &context.environment) {
        Err(why) => {
            context.ui.note(&format!(
                "The service is not built: {why}. Two built-in backends stand in for it."
            ));
            Ok(built_in)
        }
        Ok(go) => {
            let binary = absolute.join(".msctl/build").join(name);
            let progress = context.ui.progress(&format!("go build ./cmd/{name}"));
            build::build(&go, &absolute, name, &binary, &context.environment, interrupt)?;
            drop(progress);
            let program = Program {
                name: binary.display().to_string(),
                arguments: Vec::new(),
            };
            let stable = request.program("stable", program.clone(), directory)?;
            let canary = request.program("canary", program, directory)?;
            Ok((
                (stable, canary, "/v1/hello/rehearsal".into()),
                format!("2 processes of cmd/{name}"),
            ))
        }
    }
}
