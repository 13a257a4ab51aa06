//! The weighted proxy: sends each request to one of two upstreams, streams both bodies, and knows how each request ended.
//!
//! A request has failed when its upstream answered 5xx, could not be reached, broke off, or had not answered to the last
//! byte before the deadline. The client then gets what came, or 502, or 504. No request that went out is tried again: a
//! retry would hide what the canary did.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::{Either, Full};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

use super::fault::Layer;
use super::server::Handler;
use super::split::{Ending, Flight, Split};
use crate::canary::Arm;

/// Tells an upstream which arm of a rehearsal it serves.
const ARM_HEADER: &str = "x-msctl-rehearsal";

/// Headers that belong to one connection, not to the request.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Idle connections are given up before a server would: common servers keep them 5 s and longer, and a connection that
/// is closed under a request would be counted as a failure of the service.
const IDLE: Duration = Duration::from_secs(1);

type Broken = Box<dyn std::error::Error + Send + Sync>;

/// What makes the canary's process die.
pub(super) type Crash = Box<dyn Fn() + Send + Sync>;

/// The proxy.
pub(super) struct Proxy {
    pub(super) split: Arc<Split>,
    pub(super) layer: Layer,
    pub(super) crash: Crash,
    stable: Authority,
    canary: Authority,
    deadline: Duration,
    client: Client<HttpConnector, Incoming>,
}

/// A pooled client of plain HTTP/1.1.
pub(super) fn client<B: Body<Data: Send> + Send>(connect_within: Duration) -> Client<HttpConnector, B> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(connect_within));
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .build(connector)
}

/// `127.0.0.1:8080` as the authority of a URI.
pub(super) fn authority(address: SocketAddr) -> Authority {
    // A socket address is an authority by its grammar.
    Authority::try_from(address.to_string()).unwrap_or_else(|_| Authority::from_static("127.0.0.1"))
}

/// How the way to an upstream ended.
enum Reply {
    Answered(Response<Incoming>),
    /// The fault layer answered in its place.
    Injected,
    Unreachable,
}

impl Proxy {
    pub(super) fn new(
        split: Arc<Split>,
        (stable, canary): (SocketAddr, SocketAddr),
        layer: Layer,
        crash: Crash,
        deadline: Duration,
    ) -> Self {
        Self {
            split,
            layer,
            crash,
            stable: authority(stable),
            canary: authority(canary),
            deadline,
            client: client(deadline),
        }
    }

    async fn ask(&self, arm: Arm, request: Request<Incoming>) -> Reply {
        let to = match arm {
            Arm::Stable => &self.stable,
            Arm::Canary => {
                let blow = self.layer.next();
                if blow.crash {
                    (self.crash)();
                }
                tokio::time::sleep(blow.delay).await;
                if blow.hang {
                    std::future::pending::<()>().await;
                }
                if blow.error {
                    return Reply::Injected;
                }
                &self.canary
            }
        };
        match self.client.request(onward(request, to, arm)).await {
            Ok(response) => Reply::Answered(response),
            Err(_) => Reply::Unreachable,
        }
    }
}

impl Handler for Proxy {
    type Answer = Either<Counted, Full<Bytes>>;

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Self::Answer> {
        let flight = self.split.assign();
        let deadline = Instant::from_std(flight.since() + self.deadline);
        // A flight that is dropped here, or with the future when the client goes away, is unanswered.
        match timeout_at(deadline, self.ask(flight.arm(), request)).await {
            Ok(Reply::Answered(response)) => counted(response, flight, deadline),
            Ok(Reply::Injected) => {
                flight.ends(Ending::Failed);
                plain(StatusCode::INTERNAL_SERVER_ERROR, "a fault of the rehearsal\n")
            }
            Ok(Reply::Unreachable) => plain(StatusCode::BAD_GATEWAY, "the upstream gave no answer\n"),
            Err(_) => plain(StatusCode::GATEWAY_TIMEOUT, "the upstream did not answer in time\n"),
        }
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Either<Counted, Full<Bytes>>> {
    let mut response = Response::new(Either::Right(Full::from(text)));
    *response.status_mut() = status;
    response
}

/// The request as the upstream gets it: same method, path, headers and body; the connection's own headers dropped.
fn onward(mut request: Request<Incoming>, to: &Authority, arm: Arm) -> Request<Incoming> {
    let path = request.uri().path_and_query().cloned();
    let mut parts = hyper::http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(to.clone());
    parts.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    // Scheme, authority and path are all there, which is all that `from_parts` asks for.
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    drop_hop_by_hop(request.headers_mut());
    let name = match arm {
        Arm::Stable => "stable",
        Arm::Canary => "canary",
    };
    let headers = request.headers_mut();
    headers.insert(HeaderName::from_static(ARM_HEADER), HeaderValue::from_static(name));
    request
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_owned())
        .collect();
    for name in named.iter().map(String::as_str).chain(HOP_BY_HOP) {
        headers.remove(name);
    }
}

fn counted(response: Response<Incoming>, flight: Flight, deadline: Instant) -> Response<Either<Counted, Full<Bytes>>> {
    let (mut head, body) = response.into_parts();
    drop_hop_by_hop(&mut head.headers);
    let mut counted = Counted {
        body,
        flight: Some(flight),
        ending: if head.status.is_server_error() {
            Ending::Failed
        } else {
            Ending::Well
        },
        deadline: Box::pin(sleep_until(deadline)),
    };
    counted.end_if_done();
    Response::from_parts(head, Either::Left(counted))
}

/// A body on its way to the client; its flight ends with its last byte.
pub(super) struct Counted {
    body: Incoming,
    flight: Option<Flight>,
    /// How the flight ends with the last byte; until then it is unanswered.
    ending: Ending,
    deadline: Pin<Box<Sleep>>,
}

impl Counted {
    /// A server stops asking once a body of known length is through; it need not come for the end.
    fn end_if_done(&mut self) {
        if self.body.is_end_stream() {
            self.end();
        }
    }

    fn end(&mut self) {
        if let Some(flight) = self.flight.take() {
            flight.ends(self.ending);
        }
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.deadline.as_mut().poll(cx).is_ready() && self.flight.is_some() {
            self.flight = None;
            return Poll::Ready(Some(Err("the upstream did not answer to the end in time".into())));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match frame {
            Some(Ok(frame)) => {
                self.end_if_done();
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                self.flight = None;
                Poll::Ready(Some(Err(error.into())))
            }
            None => {
                self.end();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
