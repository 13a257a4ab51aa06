//! A program that is kept running: started in a process group of its own, waited for until it serves, ended as a whole.
//!
//! How it ends: `stop` sends SIGTERM to the group, gives it a grace, then SIGKILL; dropped, it is SIGKILL at once. When
//! msctl itself is killed with SIGKILL, nothing of msctl runs any more; therefore a watch (a `sh` of three lines, in a
//! group of its own) waits on a pipe whose other end msctl alone holds: the kernel closes it, the watch reads the end, and
//! ends the group. Linux could also send a signal on the parent's death, but to ask for that between fork and exec takes
//! `unsafe`. A process that leaves the group (`setsid`) is out of reach of all three.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::Interrupt;
use crate::failure::{Failure, Kind};

/// How often a state is looked at.
const PULSE: Duration = Duration::from_millis(10);

/// So often another set of free ports is tried, when one was taken between its choice and its use.
const TRIES: u32 = 3;

/// So much of a log is shown when a program ends too early.
const TAIL_LINES: usize = 5;
const TAIL_BYTES: u64 = 4096;

/// A program with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// A name on PATH, or a path; a relative one starts where the program is run.
    pub name: String,
    /// Its arguments.
    pub arguments: Vec<String>,
}

impl Program {
    /// Splits `text` into words as a shell does, with quotes and backslashes, and without anything else a shell does.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let bad = |why: &str| Failure::new(Kind::Usage, format!("`{text}` is no command: {why}"));
        let words = shell_words::split(text).map_err(|e| bad(&e.to_string()))?;
        let mut words = words.into_iter();
        let name = words.next().filter(|name| !name.is_empty());
        Ok(Self {
            name: name.ok_or_else(|| bad("it names no program"))?,
            arguments: words.collect(),
        })
    }
}

/// An environment variable that tells a program one of its ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortVariable {
    /// Such as `HTTP_PORT`.
    pub name: String,
    /// Which port; variables of the same one get the same number.
    pub port: String,
}

impl PortVariable {
    /// `HTTP_PORT` for `http`.
    pub fn new(name: impl Into<String>, port: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            port: port.into(),
        }
    }
}

/// What to run, and when it is ready.
#[derive(Clone, Debug)]
pub struct ServiceRequest {
    /// What a person calls it, for errors: `stable`.
    pub name: String,
    /// What to run.
    pub program: Program,
    /// Where to run it.
    pub directory: PathBuf,
    /// The variables that tell it its ports, besides what it inherits.
    pub ports: Vec<PortVariable>,
    /// Other variables.
    pub variables: Vec<(String, String)>,
    /// The port, by its name in `ports`, that serves HTTP.
    pub http: String,
    /// The path that answers 2xx once it is ready. A program that has no such path (404) is ready when it answers.
    pub ready: String,
    /// So long it may take.
    pub within: Duration,
    /// After SIGTERM it has so long.
    pub grace: Duration,
    /// Where its stdout and stderr go.
    pub log: PathBuf,
}

impl ServiceRequest {
    /// What runs a service made by `msctl new`, or any program that takes its ports from the same variables (or PORT).
    pub fn scaffolded(name: &str, program: Program, directory: &Path, log: PathBuf) -> Self {
        let port = |name: &str, port: &str| PortVariable::new(name, port);
        Self {
            name: name.to_owned(),
            program,
            directory: directory.to_owned(),
            ports: vec![
                port("HTTP_PORT", "http"),
                port("PORT", "http"),
                port("GRPC_PORT", "grpc"),
                port("METRICS_PORT", "metrics"),
            ],
            variables: [("LISTEN_HOST", "127.0.0.1"), ("DRAIN_DELAY", "0s")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            http: "http".to_owned(),
            ready: "/readyz".to_owned(),
            within: Duration::from_secs(30),
            grace: Duration::from_secs(10),
            log,
        }
    }
}

/// A program that runs.
#[derive(Debug)]
pub struct Service {
    name: String,
    child: Child,
    group: Pid,
    watch: Option<Watch>,
    http: SocketAddr,
    ports: Vec<(String, u16)>,
    grace: Duration,
    log: PathBuf,
}

impl Service {
    /// Starts it and waits until it is ready, or until somebody interrupts.
    pub fn start(request: &ServiceRequest, interrupt: &Interrupt) -> Result<Self, Failure> {
        let mut tries = 1;
        loop {
            match Self::attempt(request, interrupt) {
                Err(_) if tries < TRIES && lost_port(&request.log) => tries += 1,
                outcome => return outcome,
            }
        }
    }

    fn attempt(request: &ServiceRequest, interrupt: &Interrupt) -> Result<Self, Failure> {
        let ports = free_ports(&request.ports)?;
        let port = |name: &str| ports.iter().find(|(n, _)| n == name).map(|(_, port)| *port);
        let http = port(&request.http).ok_or_else(|| {
            let message = format!("no variable tells {} its `{}` port", request.name, request.http);
            Failure::new(Kind::Usage, message)
        })?;
        let log = File::create(&request.log).map_err(|e| Failure::io("create", &request.log, e))?;
        let log_too = log.try_clone().map_err(|e| Failure::io("write", &request.log, e))?;
        let variables = request
            .ports
            .iter()
            .filter_map(|v| Some((&v.name, port(&v.port)?.to_string())));
        let child = command(&request.program)
            .current_dir(&request.directory)
            .envs(variables)
            .envs(request.variables.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(log_too)
            .process_group(0)
            .spawn()
            .map_err(|e| cannot_run(request, e))?;
        let group = Pid::from_child(&child);
        let mut service = Self {
            name: request.name.clone(),
            child,
            group,
            watch: None,
            http: (Ipv4Addr::LOCALHOST, http).into(),
            ports,
            grace: request.grace,
            log: request.log.clone(),
        };
        service.watch = Some(Watch::over(group)?);
        service.wait_until_ready(&request.ready, request.within, interrupt)?;
        Ok(service)
    }

    #[expect(clippy::disallowed_methods, reason = "the door to other programs waits for them")]
    fn wait_until_ready(&self, path: &str, within: Duration, interrupt: &Interrupt) -> Result<(), Failure> {
        let until = Instant::now() + within;
        loop {
            if !self.is_alive() {
                let failure = Failure::new(Kind::ToolFailed, format!("{} ended before it was ready", self.name));
                return Err(self.with_tail(failure));
            }
            let last = match ask(self.http, path) {
                Ok(status) if is_ready(status) => return Ok(()),
                Ok(status) => format!("it answers {status}"),
                Err(error) => error.to_string(),
            };
            if let Some(kind) = interrupt.asked() {
                let message = format!("interrupted while {} was not ready yet", self.name);
                return Err(Failure::new(kind, message));
            }
            if Instant::now() >= until {
                let message = format!(
                    "{} is not ready after {} s: GET http://{}{path}",
                    self.name,
                    within.as_secs_f64(),
                    self.http
                );
                return Err(self.with_tail(Failure::new(Kind::ToolFailed, message).caused_by(last)));
            }
            std::thread::sleep(PULSE);
        }
    }

    fn with_tail(&self, failure: Failure) -> Failure {
        let failure = tail(&self.log)
            .into_iter()
            .fold(failure, |failure, line| failure.note(format!("| {line}")));
        failure.hint(format!("its whole log: {}", self.log.display()))
    }

    /// Where it serves HTTP.
    pub const fn http(&self) -> SocketAddr {
        self.http
    }

    /// The number of the port that `ports` of the request calls `name`.
    pub fn port(&self, name: &str) -> Option<u16> {
        self.ports.iter().find(|(n, _)| n == name).map(|(_, port)| *port)
    }

    /// Where its stdout and stderr go.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The process that was started; its group has the same number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process that was started still runs. It is not reaped here: until `stop` its number, which is the
    /// group's too, cannot be given to another process.
    pub fn is_alive(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        matches!(waitid(WaitId::Pid(self.group), options), Ok(None))
    }

    /// SIGKILL to the whole group, as a crash has it; it is dead some moments later.
    pub fn kill(&self) {
        // An error says that nothing is left of the group.
        _ = kill_process_group(self.group, Signal::KILL);
    }

    /// SIGTERM to the group, the grace, then SIGKILL. Whether it went by itself, within the grace.
    #[expect(clippy::disallowed_methods, reason = "the door to other programs waits for them")]
    pub fn stop(self) -> bool {
        _ = kill_process_group(self.group, Signal::TERM);
        let until = Instant::now() + self.grace;
        while self.is_alive() && Instant::now() < until {
            std::thread::sleep(PULSE);
        }
        !self.is_alive()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // The leader is not reaped yet, so the group's number is still its own; what else is in the group goes too.
        self.kill();
        _ = self.child.wait();
        if let Some(watch) = self.watch.take() {
            watch.end();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the door to other programs")]
fn command(program: &Program) -> Command {
    let mut command = Command::new(&program.name);
    command.args(&program.arguments);
    command
}

fn cannot_run(request: &ServiceRequest, error: std::io::Error) -> Failure {
    let missing = error.kind() == std::io::ErrorKind::NotFound;
    let kind = if missing { Kind::ToolMissing } else { Kind::ToolFailed };
    Failure::new(kind, format!("cannot run {}: `{}`", request.name, request.program.name)).caused_by(error)
}

/// Ends a group when msctl dies without having said so.
#[derive(Debug)]
struct Watch {
    child: Child,
    line: Option<ChildStdin>,
}

const WATCH: &str = r#"read -r word
[ "$word" = done ] && exit
kill -s TERM -- "-$1"; sleep 2; kill -s KILL -- "-$1""#;

impl Watch {
    fn over(group: Pid) -> Result<Self, Failure> {
        let group = group.as_raw_nonzero().to_string();
        let shell = Program {
            name: "/bin/sh".to_owned(),
            arguments: ["-c", WATCH, "msctl-watch", &group].map(str::to_owned).to_vec(),
        };
        let mut child = command(&shell)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|e| Failure::new(Kind::ToolMissing, "cannot run `/bin/sh`").caused_by(e))?;
        let line = child.stdin.take();
        Ok(Self { child, line })
    }

    /// The group is gone: there is nothing to watch.
    fn end(mut self) {
        if let Some(mut line) = self.line.take() {
            _ = line.write_all(b"done\n");
        }
        _ = self.child.wait();
    }
}

/// A number for each port, free at this moment.
fn free_ports(variables: &[PortVariable]) -> Result<Vec<(String, u16)>, Failure> {
    let mut held: Vec<(String, TcpListener)> = Vec::new();
    for variable in variables {
        if held.iter().all(|(name, _)| *name != variable.port) {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(no_port)?;
            held.push((variable.port.clone(), listener));
        }
    }
    held.into_iter()
        .map(|(name, listener)| Ok((name, listener.local_addr().map_err(no_port)?.port())))
        .collect()
}

fn no_port(error: std::io::Error) -> Failure {
    Failure::new(Kind::Io, "no free port on 127.0.0.1").caused_by(error)
}

/// Whether the program says that somebody else took its port.
fn lost_port(log: &Path) -> bool {
    tail(log)
        .iter()
        .any(|line| line.to_lowercase().contains("already in use"))
}

/// The last lines of a log.
fn tail(log: &Path) -> Vec<String> {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    last.iter().map(|line| (*line).to_owned()).collect()
}

/// 2xx and 3xx; and what says only that there is no such path.
const fn is_ready(status: u16) -> bool {
    matches!(status, 200..=399 | 404 | 405 | 501)
}

/// The status of one GET, over a connection of its own.
fn ask(address: SocketAddr, path: &str) -> std::io::Result<u16> {
    let limit = Duration::from_secs(1);
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut head = Vec::new();
    // "HTTP/1.1 200" is all that is needed.
    stream.take(12).read_to_end(&mut head)?;
    let status = std::str::from_utf8(&head)
        .ok()
        .and_then(|head| head.strip_prefix("HTTP/1."));
    let status = status
        .and_then(|rest| rest.get(2..))
        .and_then(|digits| digits.parse().ok());
    status.ok_or_else(|| std::io::Error::other("it does not answer in HTTP"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(directory: &Path, script: &str) -> ServiceRequest {
        ServiceRequest {
            name: "stable".to_owned(),
            program: Program {
                name: "/bin/sh".to_owned(),
                arguments: vec!["-c".to_owned(), script.to_owned()],
            },
            directory: directory.to_owned(),
            ports: vec![
                PortVariable::new("PORT", "http"),
                PortVariable::new("HTTP_PORT", "http"),
                PortVariable::new("GRPC_PORT", "grpc"),
            ],
            variables: vec![("MORE".to_owned(), "more".to_owned())],
            http: "http".to_owned(),
            ready: "/readyz".to_owned(),
            within: Duration::from_mins(1),
            grace: Duration::from_mins(1),
            log: directory.join("stable.log"),
        }
    }

    fn start(request: &ServiceRequest) -> Result<Service, Failure> {
        Service::start(request, &Interrupt::never())
    }

    /// A server whose `/readyz` says 503 to the first two who ask; SIGTERM makes it say goodbye.
    const SERVER: &str = r#"exec python3 -c '
import http.server, os, signal, sys
class Answer(http.server.BaseHTTPRequestHandler):
    asked = 0
    def do_GET(self):
        Answer.asked += 1
        self.send_response(200 if Answer.asked > 2 else 503)
        self.end_headers()
def bye(*_):
    print("bye", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, bye)
print(os.environ["PORT"], os.environ["HTTP_PORT"], os.environ["GRPC_PORT"], os.environ["MORE"], os.getcwd(), flush=True)
http.server.HTTPServer(("127.0.0.1", int(os.environ["HTTP_PORT"])), Answer).serve_forever()
'"#;

    fn until(what: &str, mut holds: impl FnMut() -> bool) {
        let mut looks = 0;
        while !holds() {
            looks += 1;
            assert!(looks < 6_000, "{what} did not come");
            std::thread::sleep(PULSE);
        }
    }

    /// Whether anything of this group is left that is not a zombie.
    fn group_lives(group: u32) -> bool {
        let stat = |entry: std::fs::DirEntry| std::fs::read_to_string(entry.path().join("stat")).ok();
        let processes = std::fs::read_dir("/proc")
            .expect("/proc")
            .filter_map(Result::ok)
            .filter_map(stat);
        processes.into_iter().any(|stat| {
            // "id (name) state parent group …"
            let rest = stat.rsplit(") ").next().unwrap_or_default().to_owned();
            let mut fields = rest.split(' ');
            let (state, group_of) = (fields.next(), fields.nth(1));
            state != Some("Z") && group_of == Some(group.to_string().as_str())
        })
    }

    #[test]
    fn a_command_is_split_without_a_shell() {
        let words = |text: &str| Program::parse(text).map(|p| [vec![p.name], p.arguments].concat());
        assert_eq!(
            words(r#" go run  './cmd/a b' --x="$HOME;ls" \* "#).expect("words"),
            ["go", "run", "./cmd/a b", "--x=$HOME;ls", "*"]
        );
        for text in ["", "  ", "''", "a 'b", "a \"b"] {
            let failure = words(text).expect_err(text);
            assert_eq!(failure.kind(), Kind::Usage);
            assert!(
                failure.message().starts_with(&format!("`{text}` is no command: ")),
                "{text}"
            );
        }
    }

    #[test]
    fn it_is_waited_for_told_its_ports_and_stopped_politely() {
        let directory = tempfile::tempdir().expect("a directory");
        let service = start(&request(directory.path(), SERVER)).expect("a service");
        assert!(service.is_alive());
        assert_eq!(ask(service.http(), "/").expect("an answer"), 200);
        let (http, grpc) = (service.port("http").expect("http"), service.port("grpc").expect("grpc"));
        assert_eq!(http, service.http().port());
        assert_ne!(http, grpc);
        let (log, group) = (service.log().to_owned(), service.id());
        assert!(service.stop(), "it goes by itself");
        let log = std::fs::read_to_string(log).expect("a log");
        let place = directory.path().canonicalize().expect("a path");
        assert!(
            log.starts_with(&format!("{http} {http} {grpc} more {}\n", place.display())),
            "{log}"
        );
        assert!(log.contains("bye"), "{log}");
        assert!(!group_lives(group));
    }

    #[test]
    fn an_early_end_shows_the_tail_of_its_log() {
        let directory = tempfile::tempdir().expect("a directory");
        let failure = start(&request(directory.path(), "seq 1 9; echo no database >&2; exit 3")).expect_err("an end");
        assert_eq!(failure.message(), "stable ended before it was ready");
        assert_eq!(failure.notes(), ["| 6", "| 7", "| 8", "| 9", "| no database"]);
        assert_eq!(
            failure.hints(),
            [format!(
                "its whole log: {}",
                directory.path().join("stable.log").display()
            )]
        );
    }

    #[test]
    fn what_never_gets_ready_is_ended_as_a_group() {
        let directory = tempfile::tempdir().expect("a directory");
        let request = ServiceRequest {
            within: Duration::from_millis(300),
            ..request(directory.path(), "sleep 1000 & echo $$; wait")
        };
        let failure = start(&request).expect_err("no answer");
        assert!(
            failure
                .message()
                .starts_with("stable is not ready after 0.3 s: GET http://127.0.0.1:"),
            "{failure}"
        );
        assert_eq!(failure.causes().len(), 1);
        let group: u32 = tail(&request.log)[0].parse().expect("a number");
        until("the end of the group", || !group_lives(group));
    }

    #[test]
    fn who_ignores_sigterm_is_killed_after_the_grace_with_its_children() {
        let directory = tempfile::tempdir().expect("a directory");
        let deaf = SERVER
            .replace("sys.exit(0)", "None")
            .replace("exec", "sleep 1000 & exec");
        let request = ServiceRequest {
            grace: Duration::from_millis(200),
            ..request(directory.path(), &deaf)
        };
        let service = start(&request).expect("a service");
        let group = service.id();
        assert!(!service.stop(), "it does not go by itself");
        until("the end of the group", || !group_lives(group));
    }

    #[test]
    fn when_msctl_is_killed_the_watch_ends_the_group() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut service = start(&request(directory.path(), SERVER)).expect("a service");
        // What the kernel does when msctl is gone: the pipe closes without a word.
        service.watch.as_mut().expect("a watch").line = None;
        until("the end", || !service.is_alive());
        assert!(std::fs::read_to_string(service.log()).expect("a log").contains("bye"));
    }

    #[test]
    fn what_cannot_be_run_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let none = ServiceRequest {
            program: Program::parse("/no/such/program -x").expect("a program"),
            ..request(directory.path(), "")
        };
        let failure = start(&none).expect_err("a failure");
        assert_eq!(
            (failure.kind(), failure.message()),
            (Kind::ToolMissing, "cannot run stable: `/no/such/program`")
        );
        let no_port = ServiceRequest {
            http: "web".to_owned(),
            ..request(directory.path(), "")
        };
        let failure = start(&no_port).expect_err("a failure");
        assert_eq!(failure.message(), "no variable tells stable its `web` port");
    }
}
