//! What breaks between parts, or under them. Each guard undoes its fault when it is dropped. What breaks a process is with
//! [`Part`](super::Part): kill, pause, restart.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::ground::Ground;
use super::wire::Wire;
use crate::support::run;

/// How the link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weather {
    Fair,
    /// Every piece of data waits so long.
    Slow(Duration),
    /// Nothing passes, and nobody is told: connections hang.
    Cut,
}

/// A way to a part that can be slow or cut: a relay of TCP connections.
pub(crate) struct Link {
    address: SocketAddr,
    weather: Arc<watch::Sender<Weather>>,
}

impl Link {
    /// A fair one to this address in the lab's network.
    pub(crate) fn to(wire: &Wire, address: SocketAddr) -> Self {
        let (weather, state) = watch::channel(Weather::Fair);
        let listener = wire.run(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let own = listener.local_addr().expect("an address");
        wire.spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                tokio::spawn(relay(from, address, state.clone()));
            }
        });
        Self {
            address: own,
            weather: Arc::new(weather),
        }
    }

    /// Where it begins.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every piece of data waits so long, each way.
    pub(crate) fn slow(&self, by: Duration) -> Fault {
        self.until(Weather::Slow(by))
    }

    /// A partition: what is sent does not arrive, and nobody is told.
    pub(crate) fn cut(&self) -> Fault {
        self.until(Weather::Cut)
    }

    fn until(&self, weather: Weather) -> Fault {
        self.weather.send_replace(weather);
        let undo = Arc::clone(&self.weather);
        Fault(Some(Box::new(move || _ = undo.send_replace(Weather::Fair))))
    }
}

/// Something that is broken as long as this lives.
pub(crate) struct Fault(Option<Box<dyn FnOnce() + Send>>);

impl Drop for Fault {
    fn drop(&mut self) {
        if let Some(undo) = self.0.take() {
            undo();
        }
    }
}

async fn relay(from: TcpStream, to: SocketAddr, weather: watch::Receiver<Weather>) {
    passes(&mut weather.clone()).await;
    let Ok(to) = TcpStream::connect(to).await else {
        return;
    };
    let (from_reads, from_writes) = from.into_split();
    let (to_reads, to_writes) = to.into_split();
    tokio::join!(
        carry(from_reads, to_writes, weather.clone()),
        carry(to_reads, from_writes, weather),
    );
}

async fn carry(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut weather: watch::Receiver<Weather>,
) {
    let mut piece = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        passes(&mut weather).await;
        if to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
    _ = to.shutdown().await;
}

/// Waits as the weather has it.
async fn passes(weather: &mut watch::Receiver<Weather>) {
    let now = *weather.borrow_and_update();
    match now {
        Weather::Fair => {}
        Weather::Slow(by) => tokio::time::sleep(by).await,
        // Without a sender it is cut for good.
        Weather::Cut => _ = weather.wait_for(|weather| *weather != Weather::Cut).await,
    }
}

/// A disk of so many bytes, below this name, that the lab's parts see; it is gone when the guard is dropped.
pub(crate) fn small_disk(ground: &Ground, name: &str, bytes: u64) -> Result<(PathBuf, Fault), String> {
    let (path, door) = (ground.directory(name), ground.door());
    let mut mount = door.command("mount");
    mount
        .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "lab"])
        .arg(&path);
    run(&mut mount)?;
    let below = path.clone();
    let undo = move || unmount(door.command("umount"), &below);
    Ok((path, Fault(Some(Box::new(undo)))))
}

fn unmount(mut umount: std::process::Command, path: &Path) {
    // Lazily: who still has a file open there keeps it until it closes it.
    let undone = run(umount.arg("--lazy").arg(path));
    assert!(undone.is_ok() || std::thread::panicking(), "{undone:?}");
}
