//! Starts a program, waits for it within its limits, and leaves nothing of it behind.
//!
//! The program leads a process group of its own. It is reaped last: as long as it is not, its group's number cannot be
//! given to a stranger, so that killing the group kills only what belongs to it. A descendant that left the group is
//! found by a marker in its environment.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, test_kill_process_group, waitid,
};

use super::pipe::{Kept, News, read};
use super::{End, Invocation, ToolOutput};
use crate::failure::{Failure, Kind};

/// The variable that marks every descendant of one run.
const MARKER: &str = "MSCTL_RUN";
/// So long a program has between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_millis(500);
/// So long its streams may stay open once it has ended.
const LINGER: Duration = Duration::from_millis(700);
/// How often a run is looked at.
const LOOK: Duration = Duration::from_millis(5);

impl Invocation {
    /// Runs it to its end. `interrupted` says whether the user wants to stop.
    ///
    /// A program that ended badly is not a `Failure`: [`ToolOutput::end`] says how it ended.
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    pub fn run(&self, interrupted: &dyn Fn() -> bool) -> Result<ToolOutput, Failure> {
        let started = Instant::now();
        let mut running = Running::start(self, started)?;
        let end = running.wait(self.timeout, interrupted);
        let held = running.finish(end.is_none());
        let own = running.reap()?;
        running.wait_until(GRACE, |own| test_kill_process_group(own.group).is_err());
        let end = end.unwrap_or(own);
        Ok(ToolOutput {
            end,
            stdout: running.stdout.take(),
            stderr: running.stderr.take(),
            held,
            time: started.elapsed(),
        })
    }
}

/// A program that runs; dropped, it and all its descendants are dead and reaped.
struct Running {
    child: Child,
    group: Pid,
    marker: String,
    started: Instant,
    news: Receiver<News>,
    open: usize,
    stdout: Kept,
    stderr: Kept,
    reaped: bool,
}

impl Running {
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    fn start(what: &Invocation, started: Instant) -> Result<Self, Failure> {
        let marker = format!("{:016x}{:016x}", rand::random::<u64>(), rand::random::<u64>());
        let mut command = Command::new(&what.program);
        command.args(&what.arguments).current_dir(&what.directory);
        command.env_clear().envs(&what.environment).env(MARKER, &marker);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .process_group(0)
            .spawn()
            .map_err(|error| cannot_start(what, error))?;
        let (say, news) = channel();
        let stdout = child.stdout.take().map(|pipe| read(pipe, what.stdout_cap, say.clone()));
        let stderr = child.stderr.take().map(|pipe| read(pipe, what.stderr_cap, say));
        let (Some(stdout), Some(stderr)) = (stdout, stderr) else {
            return Err(Failure::new(
                Kind::ToolFailed,
                format!("`{}` has no streams", what.name()),
            ));
        };
        Ok(Self {
            group: Pid::from_child(&child),
            child,
            marker,
            started,
            news,
            open: 2,
            stdout,
            stderr,
            reaped: false,
        })
    }

    /// Until it ends by itself (`None`), or must be ended.
    fn wait(&mut self, timeout: Duration, interrupted: &dyn Fn() -> bool) -> Option<End> {
        loop {
            match self.news.recv_timeout(LOOK) {
                Ok(News::Closed) => self.open -= 1,
                Ok(News::Flooded(cap)) => return Some(End::Flooded(cap)),
                Err(_) if self.open == 0 => std::thread::sleep(LOOK),
                Err(_) => {}
            }
            if self.has_ended() {
                return None;
            }
            if interrupted() {
                return Some(End::Interrupted);
            }
            if self.started.elapsed() >= timeout {
                return Some(End::TimedOut(timeout));
            }
        }
    }

    /// Whether the program itself has ended; it is left unreaped.
    fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        matches!(waitid(WaitId::Pid(self.group), options), Ok(Some(_)))
    }

    /// Ends all that is left. For a program that `ended` by itself: whether somebody still held its streams.
    fn finish(&mut self, ended: bool) -> bool {
        if !ended {
            self.signal(Signal::TERM);
            self.wait_until(GRACE, Self::has_ended);
            self.signal(Signal::KILL);
            self.kill_strays();
            self.wait_until(LINGER, |own| own.open == 0);
            return false;
        }
        if self.wait_until(LINGER, |own| own.open == 0) {
            self.signal(Signal::KILL); // what stayed in the background without a stream
            return false;
        }
        self.signal(Signal::TERM);
        self.wait_until(GRACE / 5, |own| own.open == 0);
        self.signal(Signal::KILL);
        self.kill_strays();
        self.wait_until(GRACE, |own| own.open == 0);
        true
    }

    /// Waits for something at most so long; whether it came.
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    fn wait_until(&mut self, limit: Duration, is_so: impl Fn(&Self) -> bool) -> bool {
        let begun = Instant::now();
        loop {
            if is_so(self) {
                return true;
            }
            match self.news.recv_timeout(LOOK) {
                Ok(News::Closed) => self.open -= 1,
                Err(_) if self.open == 0 => std::thread::sleep(LOOK),
                _ => {}
            }
            if begun.elapsed() >= limit {
                return is_so(self);
            }
        }
    }

    /// To the whole group. It may be empty by now but for the program itself, which takes a signal in vain.
    fn signal(&self, signal: Signal) {
        if !self.reaped {
            _ = kill_process_group(self.group, signal);
        }
    }

    /// Kills descendants that left the group. They are found where `/proc` shows the environment of our processes;
    /// twice, as one may have been forking.
    fn kill_strays(&self) {
        let marked = format!("{MARKER}={}", self.marker);
        for _ in 0..2 {
            for pid in marked_processes(marked.as_bytes()) {
                _ = kill_process(pid, Signal::KILL);
            }
        }
    }

    fn reap(&mut self) -> Result<End, Failure> {
        use std::os::unix::process::ExitStatusExt;
        let status = self
            .child
            .wait()
            .map_err(|error| Failure::new(Kind::ToolFailed, "cannot learn how a program ended").caused_by(error))?;
        self.reaped = true;
        Ok(match (status.code(), status.signal()) {
            (Some(code), _) => End::Exit(code),
            (None, signal) => End::Signal(signal.unwrap_or(0)),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.reaped {
            self.signal(Signal::KILL);
            _ = self.reap();
        }
    }
}

fn marked_processes(marker: &[u8]) -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let numbers = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_marked = |pid: &i32| {
        std::fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|variable| variable == marker))
    };
    numbers.filter(is_marked).filter_map(Pid::from_raw).collect()
}

fn cannot_start(what: &Invocation, error: std::io::Error) -> Failure {
    let kind = if error.kind() == std::io::ErrorKind::NotFound {
        Kind::ToolMissing
    } else {
        Kind::ToolFailed
    };
    Failure::new(kind, format!("cannot start `{}`", what.program.display())).caused_by(error)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn sh(directory: &Path, script: &str, timeout: Duration) -> Invocation {
        Invocation::new(Path::new("/bin/sh"), directory, timeout)
            .env("PATH", "/usr/bin:/bin")
            .args(["-c", script])
    }

    fn run(script: &str, timeout: Duration) -> ToolOutput {
        let directory = tempfile::tempdir().expect("a directory");
        sh(directory.path(), script, timeout).run(&|| false).expect("it starts")
    }

    const LONG: Duration = Duration::from_mins(1);
    const SHORT: Duration = Duration::from_millis(300);

    /// The argument of a `sleep` that no other process has; whether one still runs.
    fn runs(seconds: &str) -> bool {
        std::fs::read_dir("/proc").expect("/proc").flatten().any(|entry| {
            std::fs::read(entry.path().join("cmdline"))
                .is_ok_and(|line| line.split(|b| *b == 0).any(|word| word == seconds.as_bytes()))
        })
    }

    fn unique() -> String {
        (rand::random::<u32>() | 1 << 31).to_string()
    }

    #[test]
    fn both_streams_and_the_code_come_back() {
        let output = run("printf out; printf err >&2; exit 7", LONG);
        assert_eq!(
            (output.code(), &*output.stdout, &*output.stderr),
            (Some(7), &b"out"[..], &b"err"[..])
        );
        assert_eq!(run("kill -9 $$", LONG).end, End::Signal(9));
    }

    #[test]
    fn neither_stream_blocks_the_other() {
        let output = run("head -c 3000000 /dev/zero >&2; head -c 3000000 /dev/zero", LONG);
        assert_eq!((output.stdout.len(), output.stderr.len()), (3_000_000, 3_000_000));
    }

    #[test]
    fn the_environment_is_the_listed_one_and_nothing_is_on_stdin() {
        let output = run(
            "env | cut -d= -f1 | sort | tr '\\n' ' '; cat; pwd | grep -c \"$HOME\"",
            LONG,
        );
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(text, "HOME LANG MSCTL_RUN PATH PWD TMPDIR 1\n");
    }

    #[test]
    fn what_hangs_is_killed_with_its_children_even_when_it_ignores_sigterm() {
        let seconds = unique();
        let output = run(&format!("trap '' TERM; sleep {seconds} & sleep {seconds}"), SHORT);
        assert_eq!(output.end, End::TimedOut(SHORT));
        assert!(!runs(&seconds));
    }

    #[test]
    fn what_floods_is_killed() {
        let directory = tempfile::tempdir().expect("a directory");
        for script in ["exec cat /dev/zero", "exec cat /dev/zero >&2"] {
            let output = sh(directory.path(), script, LONG)
                .caps(1 << 20, 1 << 20)
                .run(&|| false)
                .expect("it starts");
            assert_eq!(output.end, End::Flooded(1 << 20));
            assert!(output.stdout.len() <= 1 << 20 && output.stderr.len() <= 1 << 20);
        }
    }

    #[test]
    fn a_grandchild_that_holds_the_pipe_does_not_hold_us() {
        for how in ["sleep", "setsid sleep", "trap '' TERM; setsid nohup sleep"] {
            let seconds = unique();
            let output = run(&format!("echo said; ({how} {seconds}) & exit 0"), LONG);
            assert_eq!(
                (output.held, output.code(), &*output.stdout),
                (true, None, &b"said\n"[..]),
                "{how}"
            );
            assert!(output.time < LONG / 2);
            assert!(!runs(&seconds), "{how}");
        }
    }

    #[test]
    fn a_quiet_grandchild_dies_with_the_run() {
        let seconds = unique();
        let output = run(&format!("sleep {seconds} >/dev/null 2>&1 & exit 0"), LONG);
        assert_eq!((output.held, output.code()), (false, Some(0)));
        assert!(!runs(&seconds));
    }

    #[test]
    fn an_interrupt_ends_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let seconds = unique();
        let script = format!("sleep {seconds}");
        let output = sh(directory.path(), &script, LONG).run(&|| true).expect("it starts");
        assert_eq!(output.end, End::Interrupted);
        assert!(!runs(&seconds));
    }

    #[test]
    fn what_cannot_be_started_says_why() {
        let directory = tempfile::tempdir().expect("a directory");
        let start = |program: &str| Invocation::new(Path::new(program), directory.path(), LONG).run(&|| false);
        assert_eq!(
            start("/no/such").map(|_| ()).map_err(|f| f.kind()),
            Err(Kind::ToolMissing)
        );
        assert_eq!(
            start("/etc/passwd").map(|_| ()).map_err(|f| f.kind()),
            Err(Kind::ToolFailed)
        );
    }
}
