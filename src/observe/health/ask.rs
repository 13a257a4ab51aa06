//! Asks a service how it is: all paths at once, each with its own deadline; once, or until it is well.

use std::time::{Duration, Instant};

use super::{Asked, Dimension, Health, Verdict, judge};
use crate::failure::{Failure, Kind};
use crate::remote::http::{Http, Limits, Url};

/// How much of an answer is read.
const BODY: usize = 64 << 10;
const METRICS: usize = 8 << 20;

/// How often it is asked again.
const PULSE: Duration = Duration::from_millis(200);

/// What to ask.
#[derive(Debug)]
pub struct HealthRequest {
    base: Url,
    metrics: Option<Url>,
    deadline: Duration,
}

impl HealthRequest {
    /// `base` and `metrics` are `http://` or `https://` URLs as the user typed them; the paths are asked below `base`.
    pub fn new(base: &str, metrics: Option<&str>, deadline: Duration) -> Result<Self, Failure> {
        Ok(Self {
            base: url(base)?,
            metrics: metrics.map(url).transpose()?,
            deadline,
        })
    }

    fn requests(&self) -> Vec<(Url, Limits)> {
        let limits = |body| Limits {
            deadline: self.deadline,
            body,
        };
        let below = |path: &str| {
            let mut url = self.base.clone();
            url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
            url
        };
        let probes = Dimension::ALL.iter().map(|d| (below(d.path()), limits(BODY)));
        let metrics = self.metrics.clone().map(|url| (url, limits(METRICS)));
        probes.chain(metrics).collect()
    }

    /// The base as it may be shown: without user and password.
    fn target(&self) -> String {
        let mut url = self.base.clone();
        // Both refuse only URLs without a host, and these have one.
        _ = url.set_username("");
        _ = url.set_password(None);
        url.as_str().trim_end_matches('/').to_owned()
    }
}

/// The text may hold a password, so it is not shown.
fn url(text: &str) -> Result<Url, Failure> {
    let bad = |why: &str| {
        Failure::new(Kind::Usage, format!("the URL cannot be asked: {why}"))
            .hint("msctl health --url http://127.0.0.1:8080")
    };
    if !["http://", "https://"].iter().any(|scheme| text.starts_with(scheme)) {
        return Err(bad("it does not begin with `http://` or `https://`"));
    }
    Url::parse(text).map_err(|e| bad(&e.to_string()))
}

/// Asks once.
pub fn ask(http: &Http, request: &HealthRequest) -> Health {
    let mut probes = http.get_all(&request.requests());
    let metrics = probes.split_off(Dimension::ALL.len()).pop();
    judge(&Asked {
        target: request.target(),
        probes,
        metrics,
        deadline: request.deadline,
    })
}

/// Asks until it is healthy, at most this long; the last answer. `each` is told every answer that is not the last.
#[expect(clippy::disallowed_methods, reason = "waiting takes a clock")]
pub fn ask_until_healthy(
    http: &Http,
    request: &HealthRequest,
    within: Duration,
    mut each: impl FnMut(&Health),
) -> Health {
    let until = Instant::now() + within;
    loop {
        let health = ask(http, request);
        if health.verdict == Verdict::Healthy || Instant::now() >= until {
            return health;
        }
        each(&health);
        std::thread::sleep(PULSE.min(until.saturating_duration_since(Instant::now())));
    }
}
