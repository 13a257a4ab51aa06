//! The door to HTTP: GET, and POST of JSON, with a deadline over the whole answer, a limit on its size, and redirects within one server only.
//!
//! TLS is rustls with the platform's roots. Proxies of the environment are used, but never for an address of this machine.

use std::cell::OnceCell;
use std::error::Error;
use std::time::{Duration, Instant};

pub use reqwest::Url;
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, RequestBuilder, Response};

use crate::failure::{Failure, Kind};

/// So many redirects are followed.
const REDIRECTS: usize = 3;

/// What bounds one request.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the first packet to the last byte of the body.
    pub deadline: Duration,
    /// Bytes of the body that are read.
    pub body: usize,
}

/// An answer, whatever its status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body, up to the limit.
    pub body: Vec<u8>,
    /// Whether there was more.
    pub cut: bool,
    /// How long it took, to the last byte read.
    pub took: Duration,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// There is no connection: refused, no route, no such name, no TLS. Why, in a few words.
    NoConnection(String),
    /// There was a connection, and no whole answer before the deadline.
    TimedOut,
    /// There was a connection, and what came was no HTTP or broke off.
    Broken(String),
}

/// A client.
#[derive(Debug)]
pub struct Http {
    runtime: tokio::runtime::Runtime,
    /// Each is made when it is needed: the roots of the platform take memory.
    direct: OnceCell<Client>,
    proxied: OnceCell<Client>,
}

impl Http {
    /// A client; it connects to nothing yet.
    pub fn new() -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Failure::new(Kind::Io, "cannot start a client for HTTP").caused_by(e))?;
        Ok(Self {
            runtime,
            direct: OnceCell::new(),
            proxied: OnceCell::new(),
        })
    }

    /// Asks for all of these at once; the answers in the same order.
    pub fn get_all(&self, requests: &[(Url, Limits)]) -> Vec<Result<Answer, NoAnswer>> {
        self.runtime.block_on(async {
            let open: Vec<_> = requests
                .iter()
                .map(|(url, limits)| {
                    let client = self.client_for(url)?;
                    Ok(tokio::spawn(get(client, url.clone(), *limits)))
                })
                .collect();
            let mut answers = Vec::new();
            for task in open {
                answers.push(match task {
                    Ok(task) => task.await.unwrap_or_else(|e| Err(NoAnswer::Broken(e.to_string()))),
                    Err(why) => Err(why),
                });
            }
            answers
        })
    }

    /// Sends this JSON there.
    pub fn post(&self, url: &Url, limits: Limits, body: &str) -> Result<Answer, NoAnswer> {
        let request = self.client_for(url)?.post(url.clone());
        let request = request.header("content-type", "application/json").body(body.to_owned());
        self.runtime.block_on(answered(request, limits))
    }

    fn client_for(&self, url: &Url) -> Result<Client, NoAnswer> {
        let is_direct = is_loopback(url);
        let kept = if is_direct { &self.direct } else { &self.proxied };
        match kept.get() {
            Some(client) => Ok(client.clone()),
            None => client(is_direct).map(|made| kept.get_or_init(|| made).clone()),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the door to HTTP")]
fn client(direct: bool) -> Result<Client, NoAnswer> {
    let builder = Client::builder()
        .user_agent(concat!("msctl/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::custom(|attempt| {
            if stays(&attempt) {
                attempt.follow()
            } else {
                attempt.stop()
            }
        }));
    let builder = if direct { builder.no_proxy() } else { builder };
    builder.build().map_err(|e| no_answer(&e))
}

/// Whether a redirect stays on the server that was asked; another one is not what the user named.
fn stays(attempt: &Attempt) -> bool {
    let Some(last) = attempt.previous().last() else {
        return false;
    };
    attempt.previous().len() <= REDIRECTS && attempt.url().origin() == last.origin()
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

async fn get(client: Client, url: Url, limits: Limits) -> Result<Answer, NoAnswer> {
    answered(client.get(url), limits).await
}

#[expect(clippy::disallowed_methods, reason = "this is the door to HTTP")]
async fn answered(request: RequestBuilder, limits: Limits) -> Result<Answer, NoAnswer> {
    let start = Instant::now();
    let sent = request.timeout(limits.deadline).send().await;
    let mut response = sent.map_err(|e| no_answer(&e))?;
    let mut answer = Answer {
        status: response.status().as_u16(),
        ..Answer::default()
    };
    read(&mut response, limits.body, &mut answer).await?;
    answer.took = start.elapsed();
    Ok(answer)
}

async fn read(response: &mut Response, limit: usize, answer: &mut Answer) -> Result<(), NoAnswer> {
    while let Some(chunk) = response.chunk().await.map_err(|e| no_answer(&e))? {
        let room = limit - answer.body.len();
        answer.body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            answer.cut = true;
            break;
        }
    }
    Ok(())
}

fn no_answer(error: &reqwest::Error) -> NoAnswer {
    let why = innermost(error);
    match () {
        () if error.is_connect() && error.is_timeout() => NoAnswer::NoConnection("no connection in time".to_owned()),
        () if error.is_connect() => NoAnswer::NoConnection(why),
        () if error.is_timeout() => NoAnswer::TimedOut,
        () => NoAnswer::Broken(why),
    }
}

/// The cause that says most; the outer ones repeat the URL. The number of the system's error is of no use to a person.
fn innermost(error: &dyn Error) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    let text = last.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    text.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_machine_are_known() {
        for (url, loopback) in [
            ("http://127.0.0.1:80/", true),
            ("http://127.8.8.8/", true),
            ("http://[::1]:80/", true),
            ("http://localhost/", true),
            ("http://localhost.example/", false),
            ("http://10.0.0.1/", false),
            ("https://example/", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).expect(url)), loopback, "{url}");
        }
    }
}
