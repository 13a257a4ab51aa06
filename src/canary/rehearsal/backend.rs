//! The built-in backend: what is released in a rehearsal when there is no built service.

use std::sync::Arc;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};

use super::server::Handler;
use crate::canary::Arm;

/// Answers every request with 200, at once.
#[derive(Debug)]
pub(super) struct Backend(pub(super) Arm);

impl Handler for Backend {
    type Answer = Full<Bytes>;

    async fn answer(self: Arc<Self>, _request: Request<Incoming>) -> Response<Full<Bytes>> {
        let text: &[u8] = match self.0 {
            Arm::Stable => b"the built-in stable backend\n",
            Arm::Canary => b"the built-in canary backend\n",
        };
        Response::new(Full::from(text))
    }
}
