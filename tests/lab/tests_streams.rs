//! Commands in a container and connections to a pod, as kubectl and other clients have them from the API server.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use futures_util::{SinkExt, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::AttachParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

use super::{Program, User, lab};
use crate::support::{Run, finish, tool, until};

const V4: &str = "v4.channel.k8s.io";

/// A backend in a pod of a namespace of its own, which runs.
fn pod(namespace: &str, name: &str) -> String {
    let program = Program {
        path: tool("lab-backend"),
        arguments: Vec::new(),
    };
    lab().node().image("lab/backend:1", program);
    let api = lab().control_plane().api(User::Admin);
    let pod = json!({
        "metadata": {"name": name},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [{
            "name": "app", "image": "lab/backend:1", "env": [{"name": "COLOUR", "value": "green"}],
            "readinessProbe": {"httpGet": {"port": 8080, "path": "/readyz"}, "periodSeconds": 1},
        }]},
    });
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    until("the pod is taken", || api.post(&pods, &pod).status == 201);
    let path = format!("{pods}/{name}");
    until("the pod is ready", || {
        api.get(&path).ok()["status"]["containerStatuses"][0]["ready"] == true
    });
    path
}

fn kubectl(user: User, namespace: &str, arguments: &[&str]) -> Command {
    let mut command = lab().ground().door().visitor(tool("kubectl"));
    let config = lab().control_plane().kubeconfig(user);
    command.arg("--kubeconfig").arg(config).args(["-n", namespace]);
    command.arg("--cache-dir").arg(lab().ground().directory("kubectl"));
    command.args(arguments);
    command
}

fn admin(namespace: &str, arguments: &[&str]) -> Run {
    finish(&mut kubectl(User::Admin, namespace, arguments))
}

/// Runs kubectl with this as its stdin.
fn fed(mut command: Command, stdin: &[u8]) -> (Option<i32>, Vec<u8>) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("kubectl");
    let mut pipe = child.stdin.take().expect("stdin");
    let output = std::thread::scope(|scope| {
        scope.spawn(move || pipe.write_all(stdin).expect("stdin"));
        child.wait_with_output().expect("its end")
    });
    (output.status.code(), output.stdout)
}

/// What each channel carries until the server closes, after these messages are sent.
fn talk(path: String, messages: Vec<Vec<u8>>) -> Result<BTreeMap<u8, String>, String> {
    let api = lab().control_plane().api(User::Admin);
    lab().wire().run(async move {
        let mut socket = api.websocket(&path, V4).await?;
        for message in messages {
            socket.send(Message::binary(message)).await.expect("it is sent");
        }
        let mut channels: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
        while let Some(Ok(message)) = socket.next().await {
            if let (true, [channel, bytes @ ..]) = (message.is_binary(), &message.into_data()[..]) {
                channels.entry(*channel).or_default().extend(bytes);
            }
        }
        // Each byte as a character, for not all that is carried is text.
        let text = |bytes: Vec<u8>| bytes.into_iter().map(char::from).collect();
        Ok(channels
            .into_iter()
            .map(|(channel, bytes)| (channel, text(bytes)))
            .collect())
    })
}

#[test]
fn kubectl_runs_commands_in_a_pod() {
    let namespace = lab().namespace("exec");
    let path = pod(&namespace, "shop");
    let address = lab().control_plane().api(User::Admin).get(&path).ok()["status"]["podIP"].clone();
    let script = "echo $COLOUR $LISTEN_HOST; pwd; echo bad >&2; exit 7";
    let run = admin(&namespace, &["exec", "shop", "--", "sh", "-c", script]);
    let expected = format!("green {}\n/\n", address.as_str().expect("an address"));
    assert_eq!((run.code, &run.stdout), (7, &expected), "{}", run.transcript());
    assert_eq!(run.stderr, "bad\ncommand terminated with exit code 7\n");
    // More than the pipes and buffers on its way hold, there and back.
    let much: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let cat = kubectl(User::Admin, &namespace, &["exec", "-i", "shop", "--", "cat"]);
    let (code, echoed) = fed(cat, &much);
    assert_eq!(code, Some(0));
    assert!(echoed == much, "{} bytes of {}", echoed.len(), much.len());
    let run = admin(&namespace, &["exec", "shop", "--", "no-such-program"]);
    assert_eq!(run.code, 127, "{}", run.transcript());
    let missing = json!({
        "metadata": {"name": "missing"},
        "spec": {"containers": [{"name": "app", "image": "lab/none:1"}]},
    });
    let api = lab().control_plane().api(User::Admin);
    api.post(&format!("/api/v1/namespaces/{namespace}/pods"), &missing).ok();
    until("a container that is not found", || {
        let run = admin(&namespace, &["exec", "missing", "--", "true"]);
        run.code == 1 && run.stderr.contains("container not found (\"app\")")
    });
}

#[test]
fn a_command_ends_with_its_client_and_with_its_container() {
    let namespace = lab().namespace("exec-end");
    pod(&namespace, "shop");
    let directory = lab().ground().directory(&namespace);
    let sleeps = |name: &str| {
        let file = directory.join(name);
        let script = format!("echo $$ >{}; sleep 1000; true", file.display());
        let mut command = kubectl(User::Admin, &namespace, &["exec", "shop", "--", "sh", "-c", &script]);
        let child = command.stderr(Stdio::null()).spawn().expect("kubectl");
        let process = || std::fs::read_to_string(&file).unwrap_or_default();
        until("a command", || process().ends_with('\n'));
        (child, process().trim().to_owned())
    };
    let is_alive = |process: &str| admin(&namespace, &["exec", "shop", "--", "kill", "-0", process]).code == 0;
    let (mut client, process) = sleeps("first");
    assert!(is_alive(&process));
    client.kill().expect("SIGKILL");
    client.wait().expect("its end");
    until("the end of the command", || !is_alive(&process));
    let (mut client, _) = sleeps("second");
    let deleted = admin(&namespace, &["delete", "pod", "shop"]);
    assert_eq!(deleted.code, 0, "{}", deleted.transcript());
    until("the end of the client", || {
        client.try_wait().expect("kubectl").is_some()
    });
    assert_eq!(client.wait().expect("its end").code(), Some(137));
}

#[test]
fn a_websocket_of_v4_carries_a_command() {
    let namespace = lab().namespace("exec-v4");
    let path = pod(&namespace, "shop") + "/exec?stdout=true&stderr=true&container=app";
    // This form cannot close stdin: the command ends after a line.
    let head = talk(
        format!("{path}&stdin=true&command=head&command=-n1"),
        vec![b"\0one\ntwo\n".to_vec(), b"\xff\0".to_vec()],
    );
    let head = head.expect("a WebSocket");
    assert_eq!((head[&1].as_str(), head.get(&2)), ("one\n", None));
    let status = |channels: &BTreeMap<u8, String>| serde_json::from_str::<Value>(&channels[&3]).expect("JSON");
    assert_eq!(status(&head), json!({"metadata": {}, "status": "Success"}));
    let seven = talk(format!("{path}&command=sh&command=-c&command=exit%207"), Vec::new());
    let seven = status(&seven.expect("a WebSocket"));
    assert_eq!(
        (&seven["status"], &seven["reason"]),
        (&json!("Failure"), &json!("NonZeroExitCode"))
    );
    assert_eq!(
        seven["details"]["causes"],
        json!([{"reason": "ExitCode", "message": "7"}])
    );
    let no_terminal = talk(format!("{path}&tty=true&command=sh"), Vec::new()).expect_err("a terminal");
    assert!(
        no_terminal.starts_with("501") && no_terminal.contains("--tty"),
        "{no_terminal}"
    );
    let no_pod = talk(path.replace("/shop/", "/none/") + "&command=true", Vec::new()).expect_err("no pod");
    assert!(no_pod.starts_with("404"), "{no_pod}");
}

#[test]
fn a_websocket_of_v4_carries_two_connections_to_a_pod_at_once() {
    let namespace = lab().namespace("forward");
    let path = pod(&namespace, "shop") + "/portforward?ports=8080,9100,7";
    // Each request is sent in two parts, so that both connections stand before the first is answered.
    let channels = talk(
        path,
        [
            "\0GET / HTTP/1.1\r\nHost: shop\r\n",
            "\x02GET /metrics HTTP/1.1\r\nHost: shop\r\n",
            "\0Connection: close\r\n\r\n",
            "\x02Connection: close\r\n\r\n",
        ]
        .map(|part| part.as_bytes().to_vec())
        .to_vec(),
    );
    let channels = channels.expect("a WebSocket");
    // First on each channel, its port in two bytes.
    let [answer, no_error, metrics, no_other, nothing, error] =
        [0, 1, 2, 3, 4, 5].map(|channel| channels[&channel].as_str());
    assert!(answer.starts_with("\u{90}\u{1f}HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("\"pod\":\"shop\""), "{answer}");
    assert!(metrics.starts_with("\u{8c}#HTTP/1.1 200 OK"), "{metrics}");
    assert!(metrics.contains("go_goroutines"), "{metrics}");
    assert_eq!([no_error, no_other, nothing], ["\u{90}\u{1f}", "\u{8c}#", "\u{7}\0"]);
    let refused = "\u{7}\0error forwarding port 7 to pod shop, uid ";
    assert!(
        error.starts_with(refused) && error.contains("Connection refused"),
        "{error}"
    );
    // kubectl has SPDY inside of its WebSocket.
    let run = admin(&namespace, &["port-forward", "shop", "18080:8080"]);
    assert_eq!(run.code, 1, "{}", run.transcript());
    assert!(
        run.stderr
            .contains("the lab's node speaks v4.channel.k8s.io over WebSocket here"),
        "{}",
        run.transcript()
    );
}

#[test]
fn kubes_client_runs_commands_and_forwards_ports() {
    let namespace = lab().namespace("kube");
    pod(&namespace, "shop");
    let config = lab().control_plane().kubeconfig(User::Admin);
    lab().wire().run(async move {
        let config = Kubeconfig::read_from(config).expect("a kubeconfig");
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(config, &options).await;
        let client = Client::try_from(config.expect("a configuration")).expect("a client");
        let pods: Api<Pod> = Api::namespaced(client, &namespace);
        let asked = AttachParams::default().stdin(true).stderr(false);
        let mut command = pods.exec("shop", ["cat"], &asked).await.expect("a command");
        let mut stdin = command.stdin().expect("stdin");
        stdin.write_all(b"through").await.expect("it is sent");
        stdin.shutdown().await.expect("the end of stdin");
        drop(stdin);
        let mut text = String::new();
        let mut stdout = command.stdout().expect("stdout");
        stdout.read_to_string(&mut text).await.expect("stdout");
        let status = command.take_status().expect("a status").await.expect("a status");
        assert_eq!((text.as_str(), status.status.as_deref()), ("through", Some("Success")));
        let mut forwarded = pods.portforward("shop", &[8080]).await.expect("a connection");
        let mut stream = forwarded.take_stream(8080).expect("a stream");
        let request = b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.expect("it is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.contains("\"pod\":\"shop\""), "{answer}");
    });
}

#[test]
fn who_may_only_read_runs_no_command() {
    let namespace = lab().namespace("exec-rights");
    let path = pod(&namespace, "shop");
    let arguments = ["exec", "shop", "--", "true"];
    assert_eq!(admin(&namespace, &arguments).code, 0);
    let run = finish(&mut kubectl(User::Viewer, &namespace, &arguments));
    assert!(
        run.code == 1 && run.stderr.contains("forbidden"),
        "{}",
        run.transcript()
    );
    let api = lab().control_plane().api(User::Viewer);
    for path in [
        format!("{path}/exec?command=true&stdout=true"),
        format!("{path}/portforward?ports=8080"),
    ] {
        let api = api.clone();
        let answer = lab()
            .wire()
            .run(async move { api.websocket(&path, V4).await.map(drop) });
        assert!(answer.as_ref().is_err_and(|why| why.starts_with("403")), "{answer:?}");
    }
}
