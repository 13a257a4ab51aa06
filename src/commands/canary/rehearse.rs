//! `msctl canary rehearse`: the real plan, machine, judge and journal over a weighted proxy in this process.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::explain::decided;
use super::show::{ReleaseReport, cells, exit, head, strength, why, word};
use crate::canary::driver::{Driver, End};
use crate::canary::journal::{self, Header, Journal};
use crate::canary::judge::Judge;
use crate::canary::machine::{Decision, Input, Machine, Outcome};
use crate::canary::plan::Plan;
use crate::canary::rehearsal::{Arrivals, Fault, Faults, Upstream, World, WorldRequest, build};
use crate::canary::summary::Summary;
use crate::commands::Context;
use crate::config::names::ServiceName;
use crate::config::service::Service;
use crate::config::units::{Span, Steps, Weight};
use crate::failure::{Exit, Failure, Kind};
use crate::process::service::{Program, ServiceRequest};
use crate::process::{Clock, Interrupt};
use crate::ui::{Live, Output, Page, Report, clean, count, duration};

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
    let header = request.header(&over);
    let journal = Journal::create(context.directory(), &header)?;
    let path = journal.path().to_owned();
    let mut screen = Screen::new(context, &header, request.rate);
    screen.begin(request.speed);
    let mut driver = Driver {
        machine: Machine::new(plan),
        router: world.router(),
        meter: world.meter(),
        journal,
        interrupt: &interrupt,
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
    id: String,
    started: String,
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
        if let Some(steps) = &args.steps {
            service.canary.steps = steps.clone();
        }
        service.canary.hold = args.hold.unwrap_or(service.canary.hold);
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
        let now = Clock::now();
        let time = now.as_nanosecond().to_le_bytes();
        let digest = blake3::hash(&[&time[..], &std::process::id().to_le_bytes()].concat());
        let dice = u64::from_le_bytes(std::array::from_fn(|at| digest.as_bytes()[8 + at]));
        Ok(Self {
            plan: Plan::new(&service.canary, INTERVAL).faster(speed),
            rate: args.rate * number(speed),
            speed,
            id: digest.to_hex()[..6].to_owned(),
            started: format!("{now:.0}"),
            seed: args.seed.unwrap_or(dice),
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
        Header {
            schema: journal::SCHEMA.into(),
            id: self.id.clone(),
            msctl: env!("CARGO_PKG_VERSION").into(),
            service: self.service.name.to_string(),
            setting: format!("rehearsal over {over}, {} requests/s{fast}", self.rate),
            started: self.started.clone(),
            plan: self.plan.clone(),
        }
    }

    /// A program as one arm; its log stays beside the journal.
    fn program(&self, arm: &str, program: Program, directory: &Path) -> Result<Upstream, Failure> {
        std::fs::create_dir_all(&self.logs).map_err(|e| Failure::io("create", &self.logs, e))?;
        let log = self.logs.join(format!("{}-{arm}.log", self.id));
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

/// What a person, a CI log or a machine sees while it goes on.
struct Screen<'a> {
    context: &'a Context,
    live: Live,
    summary: Summary,
    threshold: f64,
    plan: Plan,
    rate: f64,
    id: String,
}

/// `msctl.canary.event/v1`: one thing seen and decided.
#[derive(serde::Serialize, schemars::JsonSchema)]
pub(in crate::commands) struct Event<'a> {
    id: &'a str,
    input: &'a Input,
    decision: &'a Decision,
}

impl<'a> Screen<'a> {
    fn new(context: &'a Context, header: &Header, rate: f64) -> Self {
        Self {
            live: context.ui.live(),
            context,
            summary: Summary::default(),
            threshold: 1.0 / header.plan.judge.alpha,
            plan: header.plan.clone(),
            rate,
            id: header.id.clone(),
        }
        .announced(header)
    }

    /// Says what begins.
    fn announced(self, header: &Header) -> Self {
        let head = format!(
            "{} {}: {}, alpha {}",
            header.service, header.id, header.setting, header.plan.judge.alpha
        );
        if self.context.ui.output() != Output::Json {
            self.context.ui.data(&format!("{head}\n"));
        }
        self
    }

    /// How long it will take, before it takes that long.
    fn begin(&self, speed: u64) {
        let needed = Judge::new(self.plan.judge.clone()).needed(Weight::NONE).unwrap_or(0);
        let expected = Duration::from_millis(self.plan.expected(self.rate, needed));
        if speed > 1 && !self.context.ui.watching() {
            return;
        }
        let hint = if speed == 1 && expected > Duration::from_mins(2) {
            ", `--fast` seconds"
        } else {
            ""
        };
        self.context.ui.note(&format!(
            "A good canary takes about {}{hint}. Ctrl-C puts traffic back.",
            duration(expected)
        ));
    }

    fn see(&mut self, input: &Input, decision: &Decision) {
        let before = self.summary.rows.len();
        self.summary.add(input, decision);
        match self.context.ui.output() {
            Output::Json => {
                let event = Event {
                    id: &self.id,
                    input,
                    decision,
                };
                self.context.ui.document("msctl.canary.event/v1", &event);
            }
            Output::Ci if !decision.effects.is_empty() || self.summary.rows.len() > before => {
                self.context.ui.data(&format!("{}\n", self.line(input, decision)));
            }
            Output::Ci => {}
            Output::Human => self.draw(decision),
        }
    }

    /// One event as a line of a log.
    fn line(&self, input: &Input, decision: &Decision) -> String {
        let seconds = Duration::from_millis(input.at());
        let row = self.summary.rows.last().map_or(String::new(), |row| {
            let cells = cells(row);
            format!(
                "  measured {}, canary failed {}, stable failed {}",
                cells[1], cells[2], cells[3]
            )
        });
        format!(
            "[{:>6.1} s] {}: {}{row}",
            seconds.as_secs_f64(),
            decision.asked,
            decided(decision)
        )
    }

    fn draw(&mut self, decision: &Decision) {
        let mut page = self.context.ui.page();
        let mut rows = vec![head()];
        rows.extend(self.summary.rows.iter().map(cells));
        let to_come = self.plan.steps.len().saturating_sub(self.summary.rows.len());
        rows.extend(
            self.plan
                .steps
                .iter()
                .rev()
                .take(to_come)
                .rev()
                .map(|w| vec![format!("{:>5}", w.to_string())]),
        );
        page.table(2, &rows);
        page.line(format!("  now: {}", decided(decision)));
        page.line(page.paint.faint(&format!(
            "  harm rolls back at {0}, safe is enough at {0} · Ctrl-C puts traffic back",
            strength(self.threshold)
        )));
        self.live.show(page);
    }

    fn report(self, header: &Header, end: End, journal: &Path) -> Rehearsed {
        let report = ReleaseReport {
            id: header.id.clone(),
            service: header.service.clone(),
            setting: header.setting.clone(),
            outcome: Some(end.outcome),
            weight: end.weight,
            took_ms: u64::try_from(end.took.as_millis()).unwrap_or(u64::MAX),
            threshold: self.threshold,
            steps: self.summary.rows.clone(),
            harmed: self.summary.harmed(),
            journal: journal.display().to_string(),
            recomputed: None,
        };
        Rehearsed {
            explain: self.context.typed(&format!("canary explain {}", report.id)),
            report,
            end,
            summary: self.summary,
        }
    }
}

/// A rehearsal that ended.
struct Rehearsed {
    report: ReleaseReport,
    end: End,
    summary: Summary,
    /// What tells why, as it is typed.
    explain: String,
}

impl serde::Serialize for Rehearsed {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.report.serialize(serializer)
    }
}

impl Report for Rehearsed {
    const SCHEMA: &'static str = "msctl.canary.report/v1";

    fn human(&self, page: &mut Page) {
        let mut rows = vec![head()];
        rows.extend(self.report.steps.iter().map(cells));
        page.table(2, &rows);
        self.ci(page);
    }

    /// The steps stand in the log already.
    fn ci(&self, page: &mut Page) {
        let Self {
            report, end, summary, ..
        } = self;
        let at = report.steps.last().filter(|_| end.outcome != Outcome::Promoted);
        let at = at.map_or(String::new(), |row| format!(" at {}", row.asked));
        let took = duration(end.took);
        page.line(format!(
            "{}{at} after {took}: {}.",
            word(end.outcome, page),
            why(end.outcome, summary)
        ));
        let read_back = match end.weight {
            Some(Weight::NONE) => "Traffic is 100 % stable, read back.".to_owned(),
            Some(weight) => format!("Traffic is {weight} canary, read back."),
            None => "Where traffic goes is not known.".to_owned(),
        };
        page.line(format!("  {} requests harmed. {read_back}", count(report.harmed)));
        page.line(format!("  why: {}", clean(&self.explain)));
    }
}
