//! The door to Prometheus, and to what answers as it does (Thanos, Mimir, VictoriaMetrics): instant queries, with a
//! deadline.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::http::{Answer, Http, Limits, NoAnswer, Url};
use crate::failure::{Failure, Kind};

/// So much of an answer is read.
const LARGEST: usize = 64 << 20;

/// So much of what a server says is repeated.
const SAID: usize = 300;

/// One server.
#[derive(Debug)]
pub struct Prometheus {
    http: Http,
    base: Url,
    limits: Limits,
}

/// One series of an answer.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Stream {
    /// Its labels, its name among them as `__name__`.
    #[serde(rename = "metric")]
    pub labels: BTreeMap<String, String>,
    /// Its samples, in the order of time: seconds since 1970, and the value as text.
    #[serde(default)]
    pub values: Vec<(f64, String)>,
}

impl Prometheus {
    /// The server at this address, below which it has its `/api/v1`; an answer may take so long.
    pub fn new(base: Url, deadline: Duration) -> Result<Self, Failure> {
        if base.cannot_be_a_base() {
            return Err(
                Failure::new(Kind::Usage, format!("`{base}` is no address of a Prometheus"))
                    .hint("such as http://prometheus.monitoring:9090"),
            );
        }
        Ok(Self {
            http: Http::new()?,
            base,
            limits: Limits {
                deadline,
                body: LARGEST,
            },
        })
    }

    /// Raw samples: the results of these range selectors, asked for at once. All of them, or none.
    pub fn samples(&self, selectors: &[String]) -> Result<Vec<Vec<Stream>>, Failure> {
        self.ask(selectors.iter().map(|selector| self.url(selector)))
    }

    /// The same of another time than now: each selector with the milliseconds since 1970 at which its window ends.
    pub fn samples_at(&self, selectors: &[(String, i64)]) -> Result<Vec<Vec<Stream>>, Failure> {
        self.ask(selectors.iter().map(|(selector, at)| self.url_at(selector, *at)))
    }

    fn ask(&self, urls: impl Iterator<Item = Url>) -> Result<Vec<Vec<Stream>>, Failure> {
        let requests: Vec<(Url, Limits)> = urls.map(|url| (url, self.limits)).collect();
        let answers = self.http.get_all(&requests);
        answers.into_iter().map(|answer| self.read(answer)).collect()
    }

    fn url(&self, query: &str) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["api", "v1", "query"]);
        }
        url.query_pairs_mut().append_pair("query", query);
        url
    }

    fn url_at(&self, query: &str, at: i64) -> Url {
        let mut url = self.url(query);
        let time = format!("{}.{:03}", at.div_euclid(1_000), at.rem_euclid(1_000));
        url.query_pairs_mut().append_pair("time", &time);
        url
    }

    fn read(&self, answer: Result<Answer, NoAnswer>) -> Result<Vec<Stream>, Failure> {
        let answer = answer.map_err(|why| self.fails(Kind::Unreachable, "does not answer", &said(why)))?;
        match answer.status {
            _ if answer.cut => Err(self.fails(Kind::NoEvidence, "answers more than can be read", "")),
            401 | 403 => Err(self.fails(Kind::Denied, "does not allow the query", &text(&answer))),
            502..=504 if !is_json(&answer) => Err(self.fails(
                Kind::Unreachable,
                "does not answer",
                &format!("{}: {}", answer.status, text(&answer)),
            )),
            _ => parse(&answer.body).map_err(|why| self.fails(Kind::NoEvidence, "does not answer the query", &why)),
        }
    }

    fn fails(&self, kind: Kind, how: &str, why: &str) -> Failure {
        let mut shown = self.base.clone();
        // Neither is ever shown; it cannot fail where there is a host.
        _ = shown.set_username("");
        _ = shown.set_password(None);
        let why = if why.is_empty() {
            String::new()
        } else {
            format!(": {why}")
        };
        Failure::new(kind, format!("Prometheus at `{shown}` {how}{why}"))
    }
}

fn said(why: NoAnswer) -> String {
    match why {
        NoAnswer::NoConnection(why) | NoAnswer::Broken(why) => why,
        NoAnswer::TimedOut => "no whole answer in time".to_owned(),
    }
}

fn text(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    text.trim().chars().take(SAID).collect()
}

fn is_json(answer: &Answer) -> bool {
    answer.body.first() == Some(&b'{')
}

#[derive(Deserialize)]
struct Document {
    status: String,
    #[serde(default)]
    error: String,
    data: Option<Data>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Vec<Stream>,
}

fn parse(body: &[u8]) -> Result<Vec<Stream>, String> {
    let document: Document = serde_json::from_slice(body).map_err(|e| format!("this is no answer of its API: {e}"))?;
    match document.data {
        Some(data) if document.status == "success" && data.result_type == "matrix" => Ok(data.result),
        Some(data) if document.status == "success" => Err(format!("a {} instead of samples", data.result_type)),
        _ => Err(document.error.chars().take(SAID).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(base: &str) -> Prometheus {
        Prometheus::new(Url::parse(base).expect("a URL"), Duration::from_secs(1)).expect("a client")
    }

    fn answered(status: u16, body: &str) -> Result<Vec<Stream>, (Kind, String)> {
        let answer = Answer {
            status,
            body: body.into(),
            ..Answer::default()
        };
        let read = server("http://me:secret@prometheus:9090/").read(Ok(answer));
        read.map_err(|failure| (failure.kind(), failure.to_string()))
    }

    #[test]
    fn a_server_may_be_below_a_path() {
        for (base, url) in [
            ("http://a:9090", "http://a:9090/api/v1/query?query=up%5B1m%5D"),
            ("http://a/select/0/", "http://a/select/0/api/v1/query?query=up%5B1m%5D"),
            (
                "http://a/x?tenant=1",
                "http://a/x/api/v1/query?tenant=1&query=up%5B1m%5D",
            ),
        ] {
            assert_eq!(server(base).url("up[1m]").as_str(), url);
        }
        let past = server("http://a:9090").url_at("up[1m]", 1_435_781_430_081);
        assert_eq!(
            past.as_str(),
            "http://a:9090/api/v1/query?query=up%5B1m%5D&time=1435781430.081"
        );
        assert!(Prometheus::new(Url::parse("mailto:a").expect("a URL"), Duration::ZERO).is_err());
    }

    #[test]
    fn samples_come_as_they_were_scraped() {
        let body = r#"{"status":"success","warnings":["partial"],"data":{"resultType":"matrix","result":[
            {"metric":{"__name__":"up"},"values":[[1435781430.781,"1"],[1435781445,"NaN"]]},
            {"metric":{},"histograms":[[1,{"count":"1"}]]}]}}"#;
        let read = answered(200, body).expect("samples");
        assert_eq!(read[0].labels["__name__"], "up");
        assert_eq!(
            read[0].values,
            [(1_435_781_430.781, "1".to_owned()), (1_435_781_445.0, "NaN".to_owned())]
        );
        assert_eq!(read[1], Stream::default());
    }

    #[test]
    fn what_is_no_answer_says_why_and_no_secret() {
        let vector = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
        let bad = r#"{"status":"error","errorType":"bad_data","error":"parse error: unexpected }"}"#;
        for (status, body, kind, part) in [
            (
                400,
                bad,
                Kind::NoEvidence,
                "does not answer the query: parse error: unexpected }",
            ),
            (
                503,
                r#"{"status":"error","error":"query timed out"}"#,
                Kind::NoEvidence,
                "query timed out",
            ),
            (200, vector, Kind::NoEvidence, "a vector instead of samples"),
            (200, "<html>", Kind::NoEvidence, "no answer of its API"),
            (404, "not found", Kind::NoEvidence, "no answer of its API"),
            (401, "who?", Kind::Denied, "does not allow the query: who?"),
            (403, "", Kind::Denied, "does not allow the query"),
            (502, "<html>bad gateway", Kind::Unreachable, "502: <html>bad gateway"),
        ] {
            let (got, message) = answered(status, body).expect_err(body);
            assert!(
                got == kind && message.contains(part) && !message.contains("secret"),
                "{message}"
            );
        }
    }
}
