//! `/exec` and `/portForward` as a kubelet serves them over WebSocket: the first byte of a message is the number of its channel.
//!
//! `kubectl exec` speaks `v5.channel.k8s.io`; other clients may speak `v4.channel.k8s.io`, which cannot close stdin.
//! `kubectl port-forward` has SPDY inside of its WebSocket and is refused, as all SPDY is. A command ends when its client goes
//! or its container ends; a kubelet may let it run on when the client goes.

use std::net::Ipv4Addr;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

use super::Node;
use super::server::Body;

const V4: &str = "v4.channel.k8s.io";
const V5: &str = "v5.channel.k8s.io";

/// Channel 0 is stdin, channel 4 the size of the terminal.
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
/// In v5, the byte after it is the channel that the client closes.
const CLOSE: u8 = 255;

/// So long a client may take to close what is over.
const FAREWELL: Duration = Duration::from_secs(10);

/// A status, and why.
type Refusal = (u16, String);

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Runs a command as its container's process runs, with that one's environment.
pub(super) fn exec(
    node: &Node,
    mut request: Request<Incoming>,
    query: &[(String, String)],
    [namespace, pod, container]: [&str; 3],
) -> Result<Response<Body>, Refusal> {
    let started = node.pod(namespace, pod, |_, known| known.containers.get(container).cloned());
    let started = started.ok_or_else(no_pod)?;
    // A container that has ended or never began is not found, says a kubelet, as one that the pod does not have.
    let started = started.filter(|started| started.life.has_changed().is_ok());
    let started = started.ok_or_else(|| (500, format!("container not found ({container:?})")))?;
    // The API server's names of stdin, stdout and stderr.
    let asks = |name: &str| query.iter().any(|(n, value)| n == name && value == "1");
    if asks("tty") {
        return Err((501, "the lab's node has no terminals: leave out --tty".to_owned()));
    }
    let mut words = query.iter().filter(|(name, _)| name == "command").map(|(_, word)| word);
    let program = words.next().ok_or_else(|| (400, "no command".to_owned()))?;
    let mut command = Command::from(node.command(program, &started.environment));
    let pipe = |name| if asks(name) { Stdio::piped() } else { Stdio::null() };
    command.args(words).process_group(0).kill_on_drop(true);
    command
        .stdin(pipe("input"))
        .stdout(pipe("output"))
        .stderr(pipe("error"));
    let (response, upgrade, protocol) = accept(&mut request, &[V5, V4])?;
    tokio::spawn(async move {
        if let Some(socket) = open(upgrade).await {
            run(socket, command, started.life, protocol == V5).await;
        }
    });
    Ok(response)
}

/// Carries connections to the pod's own address: channel 2n for the data of the nth port that was asked for, 2n + 1 for an error.
pub(super) fn forward(
    node: &Node,
    mut request: Request<Incoming>,
    query: &[(String, String)],
    [namespace, pod]: [&str; 2],
) -> Result<Response<Body>, Refusal> {
    let found = node.pod(namespace, pod, |uid, known| {
        (known.address, format!("pod {pod}, uid {uid}"))
    });
    let (address, whose) = found.ok_or_else(no_pod)?;
    let (response, upgrade, _) = accept(&mut request, &[V4])?;
    let asked = query.iter().filter(|(name, _)| name == "port");
    let ports: Result<Vec<u16>, _> = asked.flat_map(|(_, ports)| ports.split(',')).map(str::parse).collect();
    let ports = ports.map_err(|error| (400, format!("unable to parse a port: {error}")))?;
    if ports.is_empty() {
        return Err((400, "query parameter \"port\" is required".to_owned()));
    }
    tokio::spawn(async move {
        if let Some(socket) = open(upgrade).await {
            carry(socket, address, &ports, &whose).await;
        }
    });
    Ok(response)
}

fn no_pod() -> Refusal {
    (404, "pod does not exist".to_owned())
}

/// The server's side of RFC 6455's handshake, for one of these protocols.
fn accept(
    request: &mut Request<Incoming>,
    spoken: &[&'static str],
) -> Result<(Response<Body>, OnUpgrade, &'static str), Refusal> {
    let header = |name: &str| request.headers().get(name)?.to_str().ok();
    let is_websocket = header("upgrade").is_some_and(|to| to.eq_ignore_ascii_case("websocket"));
    let mut asked = header("sec-websocket-protocol").unwrap_or_default().split(',');
    let protocol = asked.find_map(|asked| spoken.iter().find(|spoken| **spoken == asked.trim()));
    let (true, Some(protocol), Some(key)) = (is_websocket, protocol, header("sec-websocket-key")) else {
        let spoken = spoken.join(" and ");
        let why = format!("the lab's node speaks {spoken} over WebSocket here, and no SPDY");
        return Err((501, why));
    };
    let response = Response::builder()
        .status(101)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-accept", derive_accept_key(key.as_bytes()))
        .header("sec-websocket-protocol", *protocol)
        .body(Empty::new().boxed())
        .expect("an answer");
    Ok((response, hyper::upgrade::on(request), protocol))
}

async fn open(upgrade: OnUpgrade) -> Option<Socket> {
    let stream = TokioIo::new(upgrade.await.ok()?);
    Some(WebSocketStream::from_raw_socket(stream, Role::Server, None).await)
}

/// Runs a command to its end and tells how it was.
async fn run(socket: Socket, mut command: Command, mut life: watch::Receiver<()>, closes: bool) {
    let (mut to, from) = socket.split();
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return finish(&mut to, &internal(&error)).await,
    };
    let (send, said) = channel(16);
    // A kubelet says at once, with an empty message, that the connection stands.
    let lowest = match (&child.stdout, &child.stderr) {
        (Some(_), _) => STDOUT,
        (None, Some(_)) => STDERR,
        (None, None) => ERROR,
    };
    _ = to.send(message(lowest, b"")).await;
    if let Some(stdout) = child.stdout.take() {
        tokio::spawn(pump(STDOUT, stdout, send.clone()));
    }
    if let Some(stderr) = child.stderr.take() {
        tokio::spawn(pump(STDERR, stderr, send.clone()));
    }
    drop(send);
    let mut listening = tokio::spawn(listen(from, vec![child.stdin.take()], closes));
    let ended = async {
        tokio::select! {
            ended = child.wait() => return ended,
            _ = &mut listening => {}
            _ = life.changed() => {}
        }
        kill(&child);
        child.wait().await
    };
    let (ended, ()) = tokio::join!(ended, tell(said, &mut to));
    let status = ended.map_or_else(|error| internal(&error), status);
    finish(&mut to, &status).await;
    if !listening.is_finished() {
        _ = tokio::time::timeout(FAREWELL, &mut listening).await;
        listening.abort();
    }
}

/// With all that it started: `nsenter` and the command are a group of their own.
fn kill(child: &Child) {
    let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(group) = group {
        _ = kill_process_group(group, Signal::KILL);
    }
}

/// How a command ended, as `metav1.Status`.
fn status(ended: ExitStatus) -> Value {
    let code = ended.code().or_else(|| Some(128 + ended.signal()?));
    match code.unwrap_or_default() {
        0 => json!({"metadata": {}, "status": "Success"}),
        code => json!({
            "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
            "message": format!("command terminated with non-zero exit code: exit status {code}"),
            "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
        }),
    }
}

/// That it could not be run, as `metav1.Status`.
fn internal(error: &std::io::Error) -> Value {
    let message = format!("error executing command in container: {error}");
    json!({
        "metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500,
        "message": format!("Internal error occurred: {message}"), "details": {"causes": [{"message": message}]},
    })
}

async fn finish(to: &mut SplitSink<Socket, Message>, status: &Value) {
    _ = to.send(message(ERROR, status.to_string().as_bytes())).await;
    close(to).await;
}

async fn close(to: &mut SplitSink<Socket, Message>) {
    let normal = CloseFrame {
        code: CloseCode::Normal,
        reason: "".into(),
    };
    _ = to.send(Message::Close(Some(normal))).await;
}

async fn carry(socket: Socket, address: Ipv4Addr, ports: &[u16], whose: &str) {
    let (mut to, from) = socket.split();
    let (send, said) = channel(16);
    let mut connections = Vec::new();
    for (channel, port) in (0..=u8::MAX).step_by(2).zip(ports) {
        // A kubelet first says on both channels whose they are.
        for channel in [channel, channel + 1] {
            _ = to.send(message(channel, &port.to_le_bytes())).await;
        }
        match TcpStream::connect((address, *port)).await {
            Ok(connection) => {
                let (read, write) = connection.into_split();
                tokio::spawn(pump(channel, read, send.clone()));
                connections.extend([Some(write), None]);
            }
            Err(error) => {
                let why = format!("error forwarding port {port} to {whose}: {error}");
                _ = to.send(message(channel + 1, why.as_bytes())).await;
                connections.extend([None, None]);
            }
        }
    }
    drop(send);
    let mut listening = tokio::spawn(listen(from, connections, false));
    tokio::select! {
        _ = &mut listening => {}
        () = tell(said, &mut to) => {
            close(&mut to).await;
            _ = tokio::time::timeout(FAREWELL, &mut listening).await;
            listening.abort();
        }
    }
}

fn message(channel: u8, bytes: &[u8]) -> Message {
    Message::binary([&[channel], bytes].concat())
}

/// Sends what comes from there, until it ends or nobody listens.
async fn pump(channel: u8, mut from: impl AsyncRead + Unpin, to: Sender<Message>) {
    let mut buffer = vec![0; 32 * 1024];
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read.unwrap_or(0),
            () = to.closed() => 0,
        };
        if read == 0 || to.send(message(channel, &buffer[..read])).await.is_err() {
            return;
        }
    }
}

/// Tells the client what is said, to the end. Where it is gone, [`listen`] knows.
async fn tell(mut said: Receiver<Message>, to: &mut SplitSink<Socket, Message>) {
    while let Some(message) = said.recv().await {
        _ = to.send(message).await;
    }
}

/// Hands on what the client sends, by its channel, until the client goes.
async fn listen<T: AsyncWrite + Unpin>(mut from: SplitStream<Socket>, mut channels: Vec<Option<T>>, closes: bool) {
    while let Some(Ok(message)) = from.next().await {
        if !message.is_binary() && !message.is_text() {
            continue;
        }
        match &message.into_data()[..] {
            [CLOSE, channel] if closes => {
                if let Some(open) = channels.get_mut(usize::from(*channel)) {
                    *open = None;
                }
            }
            [channel, bytes @ ..] => {
                // Whoever does not read any more is not written to again.
                if let Some(open) = channels.get_mut(usize::from(*channel))
                    && let Some(writer) = open
                    && writer.write_all(bytes).await.is_err()
                {
                    *open = None;
                }
            }
            [] => {}
        }
    }
}
