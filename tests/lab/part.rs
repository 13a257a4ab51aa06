//! A part of the lab: one real server as a plain process, started, waited for by its own signal, and broken on purpose.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::ground::{Ground, child_of};

/// How often a part is asked whether it is ready.
const PULSE: Duration = Duration::from_millis(20);

/// A part may take this long to start: two cores are shared with builds and other tests.
const LONGEST: Duration = Duration::from_mins(3);

/// So much of a log is shown when a part does not start.
const TAIL: usize = 15;

/// Says why a part is not ready yet.
pub(crate) type Ready = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// A process of the lab.
pub(crate) struct Part {
    name: String,
    recipe: Box<dyn Fn() -> Command + Send + Sync>,
    ready: Ready,
    log: PathBuf,
    running: Mutex<Option<Running>>,
}

struct Running {
    /// `nsenter`, whose one child is the part.
    door: Child,
    part: Pid,
    took: Duration,
}

impl Part {
    /// Starts what `recipe` makes (with [`Ground::command`]) and waits until `ready` holds.
    pub(crate) fn start(
        ground: &Ground,
        name: &str,
        recipe: impl Fn() -> Command + Send + Sync + 'static,
        ready: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let part = Self {
            name: name.to_owned(),
            recipe: Box::new(recipe),
            ready: Box::new(ready),
            log: ground.directory("logs").join(format!("{name}.log")),
            running: Mutex::new(None),
        };
        part.restart()?;
        Ok(part)
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends it if it runs, starts it anew, waits until it is ready.
    pub(crate) fn restart(&self) -> Result<(), String> {
        self.kill();
        let failed = |why: &str| format!("{} {why}\n{}", self.name, tail(&self.log));
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .map_err(|e| format!("{}: {e}", self.log.display()))?;
        let errors = log.try_clone().map_err(|e| e.to_string())?;
        let began = Instant::now();
        let mut door = (self.recipe)()
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(|e| failed(&format!("cannot be run: {e}")))?;
        let Some(part) = child_of(door.id()).and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) else {
            _ = door.wait();
            return Err(failed("ended at once"));
        };
        while let Err(why) = (self.ready)() {
            if let Ok(Some(status)) = door.try_wait() {
                return Err(failed(&format!("ended before it was ready: {status}")));
            }
            if began.elapsed() > LONGEST {
                _ = kill_process(part, Signal::KILL);
                _ = door.wait();
                return Err(failed(&format!("is not ready after {LONGEST:?}: {why}")));
            }
            std::thread::sleep(PULSE);
        }
        let took = began.elapsed();
        *self.running() = Some(Running { door, part, took });
        Ok(())
    }

    fn signal(&self, signal: Signal) {
        // As long as `nsenter` has not ended, the part's number is still its own.
        if let Some(running) = &mut *self.running()
            && let Ok(None) = running.door.try_wait()
        {
            _ = kill_process(running.part, signal);
            // `nsenter` stops when the part is stopped, and has to go on to see what becomes of it.
            if signal != Signal::STOP {
                _ = kill_process(Pid::from_child(&running.door), Signal::CONT);
            }
        }
    }

    /// SIGKILL, as in a crash; it is gone when this returns.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
        if let Some(mut running) = self.running().take() {
            _ = running.door.wait();
        }
    }

    /// It hangs, with its connections open, until the guard is dropped.
    pub(crate) fn pause(&self) -> Paused<'_> {
        self.signal(Signal::STOP);
        Paused(self)
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its log.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// From its start until it was ready.
    pub(crate) fn took(&self) -> Duration {
        self.running().as_ref().map_or(Duration::ZERO, |running| running.took)
    }

    /// Its process, as it is called outside of the lab.
    pub(crate) fn process(&self) -> Option<u64> {
        let running = self.running();
        let part = running.as_ref().map(|running| running.part.as_raw_nonzero().get());
        part.and_then(|part| u64::try_from(part).ok())
    }
}

/// What a process holds of the memory, in bytes; none if it is gone.
pub(crate) fn memory(process: u64) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().split(' ').next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// A part that hangs.
pub(crate) struct Paused<'a>(&'a Part);

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        self.0.signal(Signal::CONT);
    }
}

/// The last lines of a log.
pub(crate) fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(TAIL)..];
    last.iter()
        .fold(String::new(), |text, line| text + "  | " + line + "\n")
}
