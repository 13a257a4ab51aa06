//! The node's own API over TLS, which the API server alone may use: `/containerLogs`, `/exec`, `/portForward`, `/healthz`.

use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use super::log::{Asked, send};
use super::{Node, PORT, streams};
use crate::lab::pki::Pki;
use crate::lab::wire::Wire;

pub(super) type Body = BoxBody<Bytes, Infallible>;

/// Serves until the lab ends.
pub(super) fn serve(wire: &Wire, node: Node, pki: &Pki) {
    let acceptor = TlsAcceptor::from(Arc::new(config(pki)));
    let listener = wire
        .run(TcpListener::bind(("127.0.0.1", PORT)))
        .expect("the node's port");
    wire.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, node) = (acceptor.clone(), node.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let answer = service_fn(move |request| {
                    let answer = answer(&node, request);
                    async move { Ok::<_, Infallible>(answer) }
                });
                let connection = hyper::server::conn::http1::Builder::new();
                let connection = connection.serve_connection(TokioIo::new(stream), answer);
                _ = connection.with_upgrades().await;
            });
        }
    });
}

fn config(pki: &Pki) -> ServerConfig {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(pki.authority().as_bytes()).expect("a certificate");
    roots.add(authority).expect("a root");
    let (certificate, key) = pki.identity("kubelet");
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .expect("a verifier");
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![certificate], key)
        .expect("an identity")
}

fn answer(node: &Node, request: Request<Incoming>) -> Response<Body> {
    let (uri, query) = (request.uri().clone(), query(request.uri()));
    let path: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
    let streamed = match path.as_slice() {
        ["healthz"] => return plain(200, "ok"),
        ["containerLogs", namespace, pod, container] => {
            let log = node.pod(namespace, pod, |uid, _| node.log(uid, container));
            return match log {
                None => plain(404, &format!("pod \"{pod}\" is not on this node")),
                Some(log) => {
                    let (to, from) = tokio::sync::mpsc::channel(64);
                    tokio::spawn(send(log, Asked::parse(&query), to));
                    let lines = ReceiverStream::new(from).map(|line| Ok(Frame::data(Bytes::from(line))));
                    Response::new(StreamBody::new(lines).boxed())
                }
            };
        }
        ["exec", namespace, pod, container] => streams::exec(node, request, &query, [namespace, pod, container]),
        ["portForward", namespace, pod] => streams::forward(node, request, &query, [namespace, pod]),
        _ => return plain(501, "the lab's node does not do this"),
    };
    streamed.unwrap_or_else(|(status, why)| plain(status, &why))
}

fn query(uri: &Uri) -> Vec<(String, String)> {
    let url = reqwest::Url::parse(&format!("lab:?{}", uri.query().unwrap_or_default())).expect("a query");
    url.query_pairs().into_owned().collect()
}

fn plain(status: u16, text: &str) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(text.to_owned())).boxed());
    *response.status_mut() = status.try_into().expect("a status");
    response
}
