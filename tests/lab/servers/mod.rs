//! The servers that services lean on, each started when the first test asks for it. Tests share them and keep apart by names of
//! their own: keys, topics, databases, indices.

mod consul;
mod etcd;
mod identity;
mod kafka;
mod nacos;
mod postgres;
mod redis;
mod registry;
mod search;
mod traces;

use super::ground::Ground;
use super::part::Part;
use super::wire::Wire;

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One etcd member for services.
    Etcd,
    /// One Redis.
    Redis,
    /// Three Redis nodes that share the slots.
    RedisCluster,
    /// `PostgreSQL`.
    Postgres,
    /// One Kafka broker, which is its own controller.
    Kafka,
    /// Consul: one agent in development mode.
    Consul,
    /// Nacos, as r-nacos speaks it.
    Nacos,
    /// `OpenSearch`, for Elasticsearch's API.
    Search,
    /// Jaeger: takes traces by OTLP, answers queries.
    Traces,
    /// An issuer of `OpenID Connect` tokens.
    Identity,
    /// An OCI registry.
    Registry,
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
    pub(crate) const ALL: [Self; 11] = [
        Self::Etcd,
        Self::Redis,
        Self::RedisCluster,
        Self::Postgres,
        Self::Kafka,
        Self::Consul,
        Self::Nacos,
        Self::Search,
        Self::Traces,
        Self::Identity,
        Self::Registry,
    ];

    /// What a person calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Redis => "redis",
            Self::RedisCluster => "redis-cluster",
            Self::Postgres => "postgres",
            Self::Kafka => "kafka",
            Self::Consul => "consul",
            Self::Nacos => "nacos",
            Self::Search => "search",
            Self::Traces => "traces",
            Self::Identity => "identity",
            Self::Registry => "registry",
        }
    }

    /// Starts it.
    pub(crate) fn start(self, ground: &Ground, wire: &Wire) -> Result<Server, String> {
        match self {
            Self::Etcd => etcd::start(ground, wire),
            Self::Redis => redis::start(ground, wire),
            Self::RedisCluster => redis::cluster(ground, wire),
            Self::Postgres => postgres::start(ground, wire),
            Self::Kafka => kafka::start(ground, wire),
            Self::Consul => consul::start(ground, wire),
            Self::Nacos => nacos::start(ground, wire),
            Self::Search => search::start(ground, wire),
            Self::Traces => traces::start(ground, wire),
            Self::Identity => identity::start(ground, wire),
            Self::Registry => registry::start(ground, wire),
        }
    }
}
