//! What a container sees of its pod's volumes: files that are made below the lab's directory, and mounted where the pod says, in a
//! mount namespace of the container's own. Of config maps, of service accounts, and empty ones; below `/var/run`, which is the
//! container's own too. All other mounts are left out, for the rest of the file system is the machine's.

use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};

use super::{Environment, Node, text};

/// Where mounts are made, and by what name pods know it too.
const PLACE: [&str; 2] = ["/var/run/", "/run/"];

/// Mounts what is named on stdin's place, the arguments up to `--`: source, target, `ro` or `rw`, in threes; runs the rest.
const MOUNT: &str = r#"
set -e
mount -t tmpfs -o mode=755 pod /run
while [ "$1" != -- ]; do
  if [ -d "$1" ]; then mkdir -p "$2"; else mkdir -p "${2%/*}"; [ -e "$2" ] || : > "$2"; fi
  mount --bind "$1" "$2"
  [ "$3" = rw ] || mount -o "remount,bind,$3" "$2"
  shift 3
done
shift
exec "$@"
"#;

/// The mounts of one container.
pub(super) struct Mounts(Vec<[String; 3]>);

impl Mounts {
    /// Makes what they show.
    pub(super) async fn of(node: &Node, pod: &Value, container: &Value) -> Result<Self, String> {
        let mut mounts = Vec::new();
        for mount in container["volumeMounts"].as_array().into_iter().flatten() {
            let (name, target) = (text(&mount["name"]), text(&mount["mountPath"]));
            if !PLACE.iter().any(|place| target.starts_with(place)) {
                continue;
            }
            let mut volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
            let volume = volumes.find(|volume| volume["name"] == name.as_str());
            let volume = volume.ok_or_else(|| format!("there is no volume {name}"))?;
            let source = made(node, pod, volume).await?.join(text(&mount["subPath"]));
            let read_only = mount["readOnly"] == true || volume["emptyDir"].is_null();
            let how = if read_only { "ro" } else { "rw" };
            mounts.push([source.display().to_string(), target, how.to_owned()]);
        }
        // What is mounted inside of another one comes after it.
        mounts.sort_by(|a, b| a[1].cmp(&b[1]));
        Ok(Self(mounts))
    }

    /// What runs a program as this container: with its mounts, if it has any.
    pub(super) fn command(&self, node: &Node, program: &Path, environment: &Environment) -> Command {
        if self.0.is_empty() {
            return node.command(program, environment);
        }
        let mut command = node.command("unshare", environment);
        command.args(["--mount", "sh", "-c", MOUNT, "mount"]);
        command.args(self.0.iter().flatten()).arg("--").arg(program);
        command
    }
}

/// The directory of a volume, with what is in it.
async fn made(node: &Node, pod: &Value, volume: &Value) -> Result<PathBuf, String> {
    let directory = node
        .0
        .volumes
        .join(text(&pod["metadata"]["uid"]))
        .join(text(&volume["name"]));
    std::fs::create_dir_all(&directory).map_err(|e| e.to_string())?;
    let sources = match volume["projected"]["sources"].as_array() {
        Some(sources) => sources.clone(),
        None => vec![volume.clone()],
    };
    for source in &sources {
        for (name, content) in files(node, pod, source).await? {
            std::fs::write(directory.join(name), content).map_err(|e| e.to_string())?;
        }
    }
    Ok(directory)
}

/// The files of one source, by their names.
async fn files(node: &Node, pod: &Value, source: &Value) -> Result<Vec<(String, String)>, String> {
    let namespace = text(&pod["metadata"]["namespace"]);
    if source["configMap"].is_object() {
        let map = &source["configMap"];
        let found = node
            .read(&format!(
                "/api/v1/namespaces/{namespace}/configmaps/{}",
                text(&map["name"])
            ))
            .await?;
        let data = found["data"].as_object().cloned().unwrap_or_default();
        return Ok(data.into_iter().map(|(key, value)| (key, text(&value))).collect());
    }
    if source["serviceAccountToken"].is_object() {
        let token = &source["serviceAccountToken"];
        let file = text(&token["path"]);
        return Ok(vec![(file, issued(node, pod, token).await?)]);
    }
    let items = source["downwardAPI"]["items"].as_array().into_iter().flatten();
    Ok(items
        .map(|item| {
            let field = text(&item["fieldRef"]["fieldPath"]);
            let value = field.split('.').fold(pod, |value, part| &value[part]);
            (text(&item["path"]), text(value))
        })
        .collect())
}

/// A token of the pod's account, as a kubelet asks for it. It is not asked for again.
async fn issued(node: &Node, pod: &Value, token: &Value) -> Result<String, String> {
    let metadata = &pod["metadata"];
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {
            "expirationSeconds": token["expirationSeconds"],
            "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]},
        },
    });
    let path = format!(
        "/api/v1/namespaces/{}/serviceaccounts/{}/token",
        text(&metadata["namespace"]),
        text(&pod["spec"]["serviceAccountName"])
    );
    let issued = node.ask(Method::POST, &path, Some(request)).await?;
    Ok(text(&issued["status"]["token"]))
}
