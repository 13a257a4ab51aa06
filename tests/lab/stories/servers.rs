//! The servers of the lab, each by one real operation of a real client.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::lab::{Kind, lab};
use crate::support::{Run, finish, tool, until};

/// A client in the lab's network.
fn client(program: &str, arguments: &[&str]) -> Run {
    let mut command = lab().ground().door().visitor(tool(program));
    finish(command.args(arguments))
}

#[test]
fn etcd_swaps_a_value_only_if_it_is_the_one_that_was_read() {
    let endpoint = &lab().server(Kind::Etcd).address;
    let etcdctl = |arguments: &[&str]| client("etcdctl", &[&["--endpoints", endpoint], arguments].concat());
    assert_eq!(etcdctl(&["put", "smoke/limit", "10"]).stdout, "OK\n");
    // A transaction is its comparisons, what is done if they hold, and what if not, with empty lines between.
    let swap = |from: &str, to: &str| {
        let mut command = lab().ground().door().visitor("sh");
        let text = format!("value(\"smoke/limit\") = \"{from}\"\n\nput smoke/limit {to}\n\nget smoke/limit\n\n");
        let line = "printf %s \"$1\" | \"$2\" --endpoints \"$3\" txn";
        finish(
            command
                .args(["-c", line, "sh", &text])
                .arg(tool("etcdctl"))
                .arg(endpoint),
        )
        .stdout
    };
    assert_eq!(swap("10", "20"), "SUCCESS\n\nOK\n");
    assert_eq!(swap("10", "30"), "FAILURE\n\nsmoke/limit\n20\n");
    let run = etcdctl(&["get", "--print-value-only", "smoke/limit"]);
    assert_eq!(run.stdout, "20\n", "{}", run.transcript());
}

#[test]
fn redis_gives_back_what_was_written_and_says_what_is_wrong() {
    let url = format!("redis://{}", lab().server(Kind::Redis).address);
    let redis = |arguments: &[&str]| client("redis-cli", &[&["-e", "-u", &url], arguments].concat());
    assert_eq!(redis(&["set", "smoke:greeting", "hello"]).stdout, "OK\n");
    assert_eq!(redis(&["get", "smoke:greeting"]).stdout, "hello\n");
    let run = redis(&["incr", "smoke:greeting"]);
    assert!(
        run.code != 0 && run.transcript().contains("not an integer"),
        "{}",
        run.transcript()
    );
}

#[test]
fn the_nodes_of_a_redis_cluster_share_the_keys() {
    let server = lab().server(Kind::RedisCluster);
    let url = format!("redis://{}", server.address);
    let redis = |arguments: &[&str]| client("redis-cli", &[&["-e", "-u", &url], arguments].concat());
    let mut moved = 0;
    for number in 0..12 {
        let (key, value) = (format!("smoke:{number}"), number.to_string());
        let run = redis(&["-c", "set", &key, &value]);
        assert_eq!(run.stdout, "OK\n", "{}", run.transcript());
        // A client that does not follow is told which node has the key.
        let run = redis(&["get", &key]);
        if run.code == 0 {
            assert_eq!(run.stdout, format!("{value}\n"));
        } else {
            assert!(run.transcript().contains("MOVED"), "{}", run.transcript());
            moved += 1;
        }
    }
    assert!((1..12).contains(&moved), "{moved} of 12 keys are elsewhere");
    assert_eq!(server.parts.len(), 3);
}

#[test]
fn postgres_keeps_rows_and_its_constraints_and_wants_the_password() {
    let url = &lab().server(Kind::Postgres).address;
    let psql = |url: &str, sql: &str| {
        client(
            "psql",
            &["--no-psqlrc", "--tuples-only", "--no-align", "--command", sql, url],
        )
    };
    let run = psql(
        url,
        "create table smoke (id int primary key, name text); insert into smoke values (1, 'Grüße')",
    );
    assert_eq!(run.code, 0, "{}", run.transcript());
    assert_eq!(psql(url, "select length(name), name from smoke").stdout, "5|Grüße\n");
    let run = psql(url, "insert into smoke values (1, 'again')");
    assert!(
        run.code == 1 && run.stderr.contains("smoke_pkey"),
        "{}",
        run.transcript()
    );
    let run = psql(&url.replace(":lab@", ":wrong@"), "select 1");
    assert!(
        run.code == 2 && run.stderr.contains("password authentication failed"),
        "{}",
        run.transcript()
    );
}

#[test]
fn an_image_comes_out_of_the_registry_as_it_went_in() {
    let image = format!("{}/smoke/greeting:1", lab().server(Kind::Registry).address);
    let place = tempfile::tempdir().expect("a directory");
    let file = |name: &str| place.path().join(name).display().to_string();
    // A tar archive that holds nothing is two blocks of zeros.
    std::fs::write(file("layer.tar"), [0; 1024]).expect("written");
    let crane = |arguments: &[&str]| {
        let mut command = lab().ground().door().visitor(tool("crane"));
        finish(command.args(arguments).env("DOCKER_CONFIG", place.path()))
    };
    let done = |run: Run| {
        assert_eq!(run.code, 0, "{}", run.transcript());
        run.stdout.trim().to_owned()
    };
    done(crane(&[
        "append",
        "--new_layer",
        &file("layer.tar"),
        "--new_tag",
        &image,
        "--output",
        &file("image.tar"),
    ]));
    let pushed = done(crane(&["push", &file("image.tar"), &image]));
    let digest = done(crane(&["digest", &image]));
    assert!(
        digest.starts_with("sha256:") && pushed.ends_with(&digest),
        "{pushed}, then {digest}"
    );
    done(crane(&["pull", &image, &file("again.tar")]));
    assert_eq!(done(crane(&["digest", "--tarball", &file("again.tar")])), digest);
    let run = crane(&["digest", &image.replace("greeting", "nothing")]);
    assert!(
        run.code != 0 && run.stderr.contains("NAME_UNKNOWN"),
        "{}",
        run.transcript()
    );
}

#[test]
fn an_issuer_signs_tokens_with_a_key_that_it_publishes() {
    let issuer = &lab().server(Kind::Identity).address;
    let get = |url: &str| -> Value {
        let (status, body) = lab().wire().get(url).expect("an answer");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("JSON")
    };
    let discovery = get(&format!("{issuer}/.well-known/openid-configuration"));
    assert_eq!(&discovery["issuer"], issuer);
    let endpoint = |name: &str| discovery[name].as_str().expect("a URL").to_owned();
    let token = |client: &'static str, secret: &'static str, scope: &str| -> (u16, Value) {
        let (url, body) = (
            endpoint("token_endpoint"),
            format!("grant_type=client_credentials&scope={scope}"),
        );
        lab().wire().run(async move {
            let request = reqwest::Client::builder()
                .no_proxy()
                .build()
                .expect("a client")
                .post(url);
            let request = request.basic_auth(client, Some(secret)).body(body);
            let request = request.header("content-type", "application/x-www-form-urlencoded");
            let answer = request.send().await.expect("an answer");
            let status = answer.status().as_u16();
            let text = answer.text().await.expect("a body");
            (status, serde_json::from_str(&text).expect("JSON"))
        })
    };
    let (status, granted) = token("writer", "writer-secret", "api:write");
    assert_eq!(status, 200, "{granted}");
    let parts: Vec<Value> = granted["access_token"]
        .as_str()
        .expect("a token")
        .split('.')
        .take(2)
        .map(part)
        .collect();
    assert_eq!(
        (&parts[0]["alg"], &parts[1]["iss"]),
        (&"RS256".into(), &issuer.as_str().into())
    );
    assert_eq!(
        (&parts[1]["aud"], &parts[1]["scope"]),
        (&"urn:lab:api".into(), &"api:write".into())
    );
    let keys = get(&endpoint("jwks_uri"));
    let published = keys["keys"].as_array().expect("keys");
    assert!(
        published.iter().any(|key| key["kid"] == parts[0]["kid"]),
        "{keys} has no {}",
        parts[0]
    );
    let (status, refused) = token("reader", "reader-secret", "api:write");
    assert_eq!((status, &refused["error"]), (400, &"invalid_scope".into()));
    let (status, refused) = token("writer", "wrong", "api:read");
    assert_eq!((status, &refused["error"]), (401, &"invalid_client".into()));
}

/// The head or the claims of a JWT.
fn part(encoded: &str) -> Value {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(encoded).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// One of Kafka's own client programs.
fn kafka(class: &str, arguments: &[&str]) -> Run {
    let mut command = lab().ground().door().visitor("java");
    command.args(["-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
    command.arg("-cp").arg(format!("{}/*", tool("kafka").display()));
    command.arg(format!("org.apache.kafka.tools.{class}"));
    command
        .arg("--bootstrap-server")
        .arg(&lab().server(Kind::Kafka).address);
    finish(command.args(arguments))
}

#[test]
fn kafka_keeps_records_in_their_order_and_knows_no_other_topic() {
    let create = ["--create", "--topic", "smoke", "--partitions", "1"];
    let run = kafka("TopicCommand", &create);
    assert_eq!(run.stdout, "Created topic smoke.\n", "{}", run.transcript());
    let produce = ["--topic", "smoke", "--max-messages", "3", "--value-prefix", "7"];
    let run = kafka("VerifiableProducer", &produce);
    assert_eq!(run.code, 0, "{}", run.transcript());
    let consume = [
        "--topic",
        "smoke",
        "--from-beginning",
        "--max-messages",
        "3",
        "--timeout-ms",
        "30000",
    ];
    let run = kafka("consumer.ConsoleConsumer", &consume);
    assert_eq!(run.stdout, "7.0\n7.1\n7.2\n", "{}", run.transcript());
    let run = kafka("TopicCommand", &["--describe", "--topic", "nothing"]);
    assert!(run.code != 0, "{}", run.transcript());
}

/// One request to a server of the lab's: its status, and its body as JSON where it is.
fn ask(method: Method, url: &str, kind: &str, body: &str) -> (u16, Value) {
    let (url, kind, body) = (url.to_owned(), kind.to_owned(), body.to_owned());
    lab().wire().run(async move {
        let client = Client::builder().no_proxy().build().expect("a client");
        let request = client.request(method, &url).header("content-type", kind).body(body);
        let answer = request.send().await.unwrap_or_else(|e| panic!("{url}: {e}"));
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    })
}

const JSON: &str = "application/json";

#[test]
fn jaeger_shows_a_span_that_came_by_otlp() {
    let url = &lab().server(Kind::Traces).address;
    let trace = "5b8efff798038103d269b633813fc60c";
    let span = json!({
        "traceId": trace, "spanId": "eee19b7ec3c1b174", "name": "buy", "kind": 2,
        "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000000250000000",
    });
    let spans = json!({"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "smoke"}}]},
        "scopeSpans": [{"spans": [span]}],
    }]});
    let (status, answer) = ask(
        Method::POST,
        "http://127.0.0.1:4318/v1/traces",
        JSON,
        &spans.to_string(),
    );
    assert_eq!(status, 200, "{answer}");
    // The collector takes a span in before it stores it.
    let began = Instant::now();
    let found = loop {
        let (status, found) = ask(Method::GET, &format!("{url}/api/traces/{trace}"), JSON, "");
        if status == 200 {
            break found;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{status}: {found}");
        std::thread::sleep(Duration::from_millis(20));
    };
    let span = &found["data"][0]["spans"][0];
    assert_eq!(
        (&span["operationName"], &span["duration"]),
        (&json!("buy"), &json!(250_000))
    );
}

#[test]
fn consul_says_which_instance_of_a_service_passes_its_check() {
    let url = &lab().server(Kind::Consul).address;
    let put = |path: &str, body: &str| {
        let (status, answer) = ask(Method::PUT, &format!("{url}/v1/agent/{path}"), JSON, body);
        assert_eq!(status, 200, "{answer}");
    };
    let passing = || {
        let path = format!("{url}/v1/health/service/smoke?passing");
        let (status, found) = ask(Method::GET, &path, JSON, "");
        assert_eq!(status, 200, "{found}");
        found
    };
    let service = json!({
        "ID": "smoke-1", "Name": "smoke", "Address": "10.244.0.9", "Port": 8080, "Check": {"CheckID": "smoke-1", "TTL": "60s"},
    });
    put("service/register", &service.to_string());
    // Until its first sign of life a check with a time to live is critical.
    assert_eq!(passing(), json!([]));
    put("check/pass/smoke-1", "");
    until("it passes", || passing() != json!([]));
    let found = &passing()[0];
    let (address, port) = (&found["Service"]["Address"], &found["Service"]["Port"]);
    assert_eq!((address, port), (&json!("10.244.0.9"), &json!(8080)));
    put("service/deregister/smoke-1", "");
}

#[test]
fn nacos_gives_back_a_configuration_that_was_published() {
    let url = format!("{}/nacos/v1/cs/configs", lab().server(Kind::Nacos).address);
    let form = "application/x-www-form-urlencoded";
    let published = ask(
        Method::POST,
        &url,
        form,
        "dataId=shop.yaml&group=SMOKE&content=timeout%3A+3s",
    );
    assert_eq!(published, (200, json!(true)));
    let read = |group: &str| ask(Method::GET, &format!("{url}?dataId=shop.yaml&group={group}"), form, "");
    assert_eq!(read("SMOKE"), (200, json!("timeout: 3s")));
    assert_eq!(read("OTHER").0, 404);
}

#[test]
fn opensearch_finds_one_of_two_documents_and_holds_a_point_in_time() {
    let url = &lab().server(Kind::Search).address;
    let put = |id: u32, title: &str| {
        let path = format!("{url}/smoke/_doc/{id}?refresh=true");
        let (status, answer) = ask(Method::PUT, &path, JSON, &json!({ "title": title }).to_string());
        assert_eq!(status, 201, "{answer}");
    };
    let search = |path: &str, query: &Value| {
        let (status, found) = ask(Method::POST, &format!("{url}{path}"), JSON, &query.to_string());
        assert_eq!(status, 200, "{found}");
        found
    };
    put(1, "the open sea");
    put(2, "the high hills");
    let found = search("/smoke/_search", &json!({"query": {"match": {"title": "sea"}}}));
    assert_eq!(found["hits"]["total"]["value"], 1, "{found}");
    assert_eq!(found["hits"]["hits"][0]["_source"]["title"], "the open sea");
    // What comes later is not in it.
    let point = search("/smoke/_search/point_in_time?keep_alive=1m", &json!({}));
    put(3, "the sea again");
    let then = search("/_search", &json!({"pit": {"id": point["pit_id"]}}));
    let now = search("/smoke/_search", &json!({}));
    assert_eq!(
        (&then["hits"]["total"]["value"], &now["hits"]["total"]["value"]),
        (&json!(2), &json!(3))
    );
}
