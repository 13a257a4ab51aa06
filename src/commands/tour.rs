//! `msctl tour`: the whole way once, in a directory of its own, by the commands a user would type.

use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::Context;
use crate::canary::rehearsal::{Arrivals, Faults, Upstream, World, WorldRequest};
use crate::failure::{Exit, Failure, Kind};
use crate::process::service::{Program, Service, ServiceRequest};
use crate::process::{Clock, End, GO, Interrupt, Invocation, SearchPath};
use crate::remote::http::{Http, Limits, Url};
use crate::ui::{Output, Page, Report, clean, duration};

/// The longest step builds a service and all its modules for the first time.
const LONGEST: Duration = Duration::from_mins(20);

/// Lines for `msctl logs` where no service could be built; they say so themselves.
const SAMPLE: &str = r#"{"@timestamp":"2026-01-01T09:00:00.000Z","log.level":"INFO","message":"a sample line: started","service.name":"payment"}
{"@timestamp":"2026-01-01T09:00:01.250Z","log.level":"ERROR","message":"a sample line: no answer","service.name":"payment","error.message":"deadline exceeded"}
"#;

/// The arguments of `msctl tour`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Make it in this new directory, and keep it (default: a temporary one)
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// Goes the whole way; every step must do what it should.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let interrupt = Interrupt::watch()?;
    let clock = Clock::start();
    let temporary = tempfile::Builder::new().prefix("msctl-tour-").tempdir();
    let temporary = temporary.map_err(|e| Failure::new(Kind::Io, "cannot make a temporary directory").caused_by(e))?;
    let place = match &args.keep {
        Some(keep) => made(&context.path(keep))?,
        None => temporary.path().to_owned(),
    };
    let mut tour = Tour {
        context,
        interrupt: &interrupt,
        program: this_program()?,
        place,
        steps: Vec::new(),
    };
    tour.go()?;
    let failed = tour.steps.iter().filter(|step| !step.as_it_should).count();
    let report = TourReport {
        steps: tour.steps,
        took_ms: millis(clock.elapsed()),
        kept: args.keep.as_ref().map(|k| k.display().to_string()),
    };
    context.ui.report(&report);
    Ok(if failed == 0 { Exit::Done } else { Exit::No })
}

fn made(directory: &Path) -> Result<PathBuf, Failure> {
    if std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some()) {
        let message = format!("`{}` is there already and is not empty", directory.display());
        return Err(Failure::new(Kind::Conflict, message)
            .note("Nothing in it was touched.")
            .hint("choose another directory for --keep"));
    }
    std::fs::create_dir_all(directory).map_err(|e| Failure::io("create", directory, e))?;
    std::path::absolute(directory).map_err(|e| Failure::io("find", directory, e))
}

fn this_program() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|e| Failure::new(Kind::Io, "cannot find this program's own file").caused_by(e))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// One step of the tour.
#[derive(Debug, Serialize, JsonSchema)]
struct Step {
    /// What it is for.
    title: &'static str,
    /// What a user types.
    command: String,
    /// What it showed, stderr after stdout.
    showed: String,
    /// Its exit code; none when it was ended.
    exit: Option<i32>,
    /// The exit codes it should have.
    should: Vec<i32>,
    /// Whether it did what it should.
    as_it_should: bool,
    /// In milliseconds.
    took_ms: u64,
}

struct Tour<'a> {
    context: &'a Context,
    interrupt: &'a Interrupt,
    program: PathBuf,
    place: PathBuf,
    steps: Vec<Step>,
}

impl Tour<'_> {
    fn go(&mut self) -> Result<(), Failure> {
        let has_go = self.has_go();
        if !has_go {
            self.say("There is no `go` on PATH: the service is not built, two backends inside msctl stand in for it.");
        }
        self.step("Scaffold a service", &["new", "payment", "--yes"], &[0])?;
        if !self.place.join("payment").is_dir() {
            return Ok(());
        }
        self.place.push("payment");
        self.say("\n$ cd payment");
        self.step("Write its Dockerfile and manifests", &["generate"], &[0])?;
        self.step("Judge it; what could not be told is no pass", &["gate"], &[0, 2])?;
        self.step("Rehearse a good canary", &["canary", "rehearse", "--fast"], &[0])?;
        let bad = ["canary", "rehearse", "--fast", "--fault", "errors=30%"];
        self.step("Rehearse a canary that fails", &bad, &[1])?;
        self.step("Ask why", &["canary", "explain"], &[0])?;
        if has_go {
            self.watch_service()
        } else {
            self.watch_built_in()
        }
    }

    fn has_go(&self) -> bool {
        let path = self.context.environment.raw("PATH").unwrap_or_default();
        SearchPath::new(path, &self.place).find(&GO).is_ok()
    }

    /// Health and logs of the service that the rehearsal built.
    fn watch_service(&mut self) -> Result<(), Failure> {
        let binary = self.place.join(".msctl/build/payment");
        if !binary.is_file() {
            self.say("The service was not built, so its health and logs are not shown.");
            return Ok(());
        }
        self.say("\n$ ./.msctl/build/payment > payment.log &");
        let program = Program {
            name: binary.display().to_string(),
            arguments: Vec::new(),
        };
        let log = self.place.join("payment.log");
        let service = Service::start(
            &ServiceRequest::scaffolded("payment", program, &self.place, log),
            self.interrupt,
        )?;
        let url = format!("http://{}", service.http());
        self.greet(&url)?;
        let metrics = format!(
            "http://127.0.0.1:{}/metrics",
            service.port("metrics").unwrap_or_default()
        );
        self.step(
            "Ask for its health",
            &["health", "--url", &url, "--metrics", &metrics],
            &[0],
        )?;
        service.stop();
        self.step("Read its logs", &["logs", "payment.log"], &[0])
    }

    /// A request, so that there is something to count.
    fn greet(&self, url: &str) -> Result<(), Failure> {
        let address = format!("{url}/v1/hello/you");
        self.say(&format!("$ curl {address}"));
        let parsed = Url::parse(&address)
            .map_err(|e| Failure::new(Kind::Usage, format!("`{address}` is no URL")).caused_by(e))?;
        let limits = Limits {
            deadline: Duration::from_secs(5),
            body: 1 << 16,
        };
        for answer in Http::new()?.get_all(&[(parsed, limits)]).into_iter().flatten() {
            self.say(&format!("  {}", clean(String::from_utf8_lossy(&answer.body).trim())));
        }
        Ok(())
    }

    /// The same with a backend inside msctl, where nothing could be built.
    fn watch_built_in(&mut self) -> Result<(), Failure> {
        let world = World::start(
            &WorldRequest {
                stable: Upstream::BuiltIn,
                canary: Upstream::BuiltIn,
                faults: Faults::default(),
                rate: 1.0,
                arrivals: Arrivals::Poisson,
                path: "/".to_owned(),
                deadline: Duration::from_secs(2),
                seed: 1,
            },
            self.interrupt,
        )?;
        let url = format!("http://{}", world.address());
        self.step(
            "Ask for the health of a built-in backend",
            &["health", "--url", &url],
            &[0],
        )?;
        drop(world);
        let sample = self.place.join("sample.log");
        std::fs::write(&sample, SAMPLE).map_err(|e| Failure::io("write", &sample, e))?;
        self.step("Read logs; these lines are a sample", &["logs", "sample.log"], &[0])
    }

    /// Runs msctl as a user would, shows what it showed, and holds it against what it should do.
    fn step(&mut self, title: &'static str, words: &[&str], should: &[i32]) -> Result<(), Failure> {
        let command = format!("msctl {}", words.join(" "));
        let number = self.steps.len() + 1;
        self.say(&format!("\n{number}. {title}\n$ {command}"));
        let progress = self.context.ui.progress(&command);
        let invocation = Invocation::new(&self.program, &self.place, LONGEST)
            .env("TMPDIR", std::env::temp_dir())
            .envs(
                self.context
                    .environment
                    .all()
                    .filter(|(name, _)| *name != "MSCTL_OUTPUT"),
            )
            .args(words);
        let output = invocation.run(&|| self.interrupt.asked().is_some())?;
        drop(progress);
        if output.end == End::Interrupted {
            let kind = self.interrupt.asked().unwrap_or(Kind::Interrupted);
            return Err(Failure::new(kind, format!("interrupted in step {number}, `{command}`")));
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let showed = text(&output.stdout) + &text(&output.stderr);
        for line in showed.lines() {
            self.say(&format!("  {}", clean(line)));
        }
        let exit = output.code();
        let as_it_should = exit.is_some_and(|code| should.contains(&code));
        self.say(&format!(
            "  (exit {}, {})",
            exit.map_or("none".into(), |c| c.to_string()),
            duration(output.time)
        ));
        if !as_it_should {
            self.say(&format!(
                "  This is not what it should do: {}; it should end with {should:?}.",
                output.ending()
            ));
        }
        let (should, took_ms) = (should.to_vec(), millis(output.time));
        self.steps.push(Step {
            title,
            command,
            showed,
            exit,
            should,
            as_it_should,
            took_ms,
        });
        Ok(())
    }

    /// A line for people; a machine gets it all in the report.
    fn say(&self, line: &str) {
        if self.context.ui.output() != Output::Json {
            self.context.ui.data(&format!("{line}\n"));
        }
    }
}

/// `msctl.tour.report/v1`: what every step did.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TourReport {
    /// In their order.
    steps: Vec<Step>,
    /// In milliseconds.
    took_ms: u64,
    /// Where it was made, if it is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<String>,
}

impl Report for TourReport {
    const SCHEMA: &'static str = "msctl.tour.report/v1";

    fn human(&self, page: &mut Page) {
        let took = duration(Duration::from_millis(self.took_ms));
        page.line("");
        let failed: Vec<&Step> = self.steps.iter().filter(|s| !s.as_it_should).collect();
        if failed.is_empty() {
            let word = page.paint.good("The whole way:");
            page.line(format!(
                "{word} {} steps, each did what it should. {took}.",
                self.steps.len()
            ));
        } else {
            let names: Vec<String> = failed.iter().map(|s| format!("`{}`", s.command)).collect();
            let word = page.paint.bad("Not as it should be:");
            page.line(format!("{word} {}. {took}.", names.join(", ")));
        }
        match &self.kept {
            Some(kept) => page.line(format!("  it is all in {}", Path::new(kept).join("payment").display())),
            None => page.line("  next:  msctl new payment"),
        }
    }
}
