//! The servers that services lean on, each started when the first test asks for it. Tests share them and keep apart by names of
//! their own: keys, topics, databases, indices.

mod identity;
mod kafka;
mod postgres;
mod redis;
mod registry;
mod traces;

use super::ground::Ground;
use super::part::Part;
use super::wire::Wire;

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One Redis.
    Redis,
    /// Three Redis nodes that share the slots.
    RedisCluster,
    /// `PostgreSQL`.
    Postgres,
    /// An OCI registry.
    Registry,
    /// An issuer of `OpenID Connect` tokens.
    Identity,
    /// One Kafka broker, which is its own controller.
    Kafka,
    /// Jaeger: takes traces by OTLP, answers queries.
    Traces,
}

/// A server that answers.
pub(crate) struct Server {
    /// Its processes.
    pub(crate) parts: Vec<Part>,
    /// Where it answers in the lab's network: `127.0.0.1:6379`, or a URL.
    pub(crate) address: String,
}

impl Kind {
    /// Every server there is.
    pub(crate) const ALL: [Self; 7] = [
        Self::Redis,
        Self::RedisCluster,
        Self::Postgres,
        Self::Registry,
        Self::Identity,
        Self::Kafka,
        Self::Traces,
    ];

    /// Starts it.
    pub(crate) fn start(self, ground: &Ground, wire: &Wire) -> Result<Server, String> {
        match self {
            Self::Redis => redis::start(ground, wire),
            Self::RedisCluster => redis::cluster(ground, wire),
            Self::Postgres => postgres::start(ground, wire),
            Self::Registry => registry::start(ground, wire),
            Self::Identity => identity::start(ground, wire),
            Self::Kafka => kafka::start(ground, wire),
            Self::Traces => traces::start(ground, wire),
        }
    }
}
