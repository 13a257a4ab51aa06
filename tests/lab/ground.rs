//! The ground the lab stands on: a network, process and mount namespace of its own, and a directory.
//!
//! The first process of the namespace, the keeper, reads a pipe whose other end this process alone holds. However this process
//! ends, SIGKILL included, the kernel closes the pipe, the keeper ends, and with it, as the kernel has it, every process, port
//! and mount of the lab. The shell around it then removes the directory; where even that is killed, the next lab does.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use rustix::fs::{FlockOperation, flock};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The addresses of pods: the kernel answers on every one of them, and neither the API server nor istiod takes them for
/// loopback, which they refuse.
pub(crate) const POD_NETWORK: &str = "10.244.0.0/16";

/// With `MSCTL_LAB_KEEP` set, the directory and the logs in it stay.
const AROUND: &str = r#"directory=$1; shift; "$@"; [ -n "$MSCTL_LAB_KEEP" ] || rm -rf "$directory""#;
const UNSHARE: [&str; 7] = [
    "unshare",
    "--net",
    "--pid",
    "--mount",
    "--fork",
    "--kill-child",
    "--mount-proc",
];
const KEEPER: &str = "ip link set lo up && ip route add local \"$1\" dev lo && echo standing && read -r _";

/// Where labs are, one directory each.
const PREFIX: &str = "msctl-lab-";

/// Namespaces and a directory. Dropped, all of it is gone.
#[derive(Debug)]
pub(crate) struct Ground {
    around: Child,
    /// Its end is the end of the lab.
    line: Option<ChildStdin>,
    /// The keeper, as it is called outside of its namespace.
    keeper: u32,
    directory: PathBuf,
    /// Locked as long as this process lives.
    _owner: File,
}

impl Ground {
    /// Makes it, and clears away what labs that were killed left.
    pub(crate) fn new() -> Result<Self, String> {
        clear();
        let directory = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir()
            .map_err(|e| format!("cannot make a directory for the lab: {e}"))?
            .keep();
        let owner = own(&directory)?;
        let mut around = Command::new("sh")
            .args(["-c", AROUND, "around"])
            .arg(&directory)
            .args(UNSHARE)
            .args(["sh", "-c", KEEPER, "keeper", POD_NETWORK])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .process_group(0) // Ctrl-C at a terminal is for the tests; they end the lab
            .spawn()
            .map_err(|e| format!("cannot run `sh`: {e}"))?;
        let line = around.stdin.take();
        let stdout = around.stdout.take().ok_or("`sh` has no stdout")?;
        let mut word = String::new();
        _ = BufReader::new(stdout).read_line(&mut word);
        if word != "standing\n" {
            return Err(
                "no namespaces for the lab: it needs root (or `unshare --map-root-user tests/run`), util-linux and iproute2".into(),
            );
        }
        let keeper = child_of(around.id()).and_then(child_of);
        Ok(Self {
            around,
            line,
            keeper: keeper.ok_or("the keeper of the lab is gone")?,
            directory,
            _owner: owner,
        })
    }

    /// A directory below the lab's, made.
    pub(crate) fn directory(&self, below: &str) -> PathBuf {
        let path = self.directory.join(below);
        std::fs::create_dir_all(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        path
    }

    /// The way in.
    pub(crate) const fn door(&self) -> Door {
        Door { keeper: self.keeper }
    }
}

/// The way into a lab: the process whose end is its end, as it is called outside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Door {
    pub(crate) keeper: u32,
}

impl Door {
    /// What runs a program as a part of the lab: it ends with the lab.
    pub(crate) fn command(self, program: impl AsRef<OsStr>) -> Command {
        self.enter(&["--net", "--pid", "--mount"], program)
    }

    /// The same with these arguments, as often as it is asked for.
    pub(crate) fn recipe(self, program: PathBuf, arguments: Vec<String>) -> impl Fn() -> Command + Send + Sync {
        move || {
            let mut command = self.command(&program);
            command.args(&arguments);
            command
        }
    }

    /// What runs a program of the tester's beside the lab: it sees the lab's network, and nothing else of it.
    pub(crate) fn visitor(self, program: impl AsRef<OsStr>) -> Command {
        self.enter(&["--net"], program)
    }

    fn enter(self, namespaces: &[&str], program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", self.keeper)).args(namespaces);
        command.arg("--").arg(program);
        command
    }

    /// The lab's network, for threads to enter.
    pub(crate) fn network(self) -> File {
        let path = format!("/proc/{}/ns/net", self.keeper);
        File::open(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
    }
}

/// This thread is in that network from now on.
pub(crate) fn enter(network: &File) {
    move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).expect("the lab's network");
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.line = None;
        _ = self.around.wait();
    }
}

/// The one child of a process, waited for.
pub(crate) fn child_of(process: u32) -> Option<u32> {
    let path = format!("/proc/{process}/task/{process}/children");
    for _ in 0..2_000 {
        match std::fs::read_to_string(&path) {
            Err(_) => return None,
            Ok(children) => {
                if let Some(child) = children.split_whitespace().next() {
                    return child.parse().ok();
                }
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    None
}

fn own(directory: &Path) -> Result<File, String> {
    let path = directory.join("owner");
    let file = File::create(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(file)
}

/// Removes the directories of labs whose owner is dead.
fn clear() {
    let labs = std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    for lab in labs.filter(|lab| lab.file_name().to_string_lossy().starts_with(PREFIX)) {
        // One that has no owner yet is being made at this moment.
        let Ok(owner) = File::open(lab.path().join("owner")) else {
            continue;
        };
        if flock(&owner, FlockOperation::NonBlockingLockExclusive).is_ok() {
            _ = std::fs::remove_dir_all(lab.path());
        }
    }
}
