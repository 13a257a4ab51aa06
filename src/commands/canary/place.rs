//! Where a release in a cluster is: the cluster, as whom, and the route that is moved.

use std::path::PathBuf;

use serde_json::Value;

use crate::canary::mesh::{Arms, Proxies, Target};
use crate::canary::router::{Destination, RouteKind, Splits};
use crate::commands::Context;
use crate::config::service::Service;
use crate::failure::Failure;
use crate::remote::kube::{Access, Cluster};

/// Which cluster, which route.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Cluster")]
pub(super) struct Place {
    /// The kubeconfig (default: KUBECONFIG, then ~/.kube/config)
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// The context in it (default: the current one)
    #[arg(long, value_name = "NAME")]
    context: Option<String>,

    /// The namespace (default: that of msctl.yaml)
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,

    /// The `VirtualService` that splits the traffic (default: called as the service)
    #[arg(long, value_name = "NAME")]
    route: Option<String>,

    /// Where istiod is; its proxies are asked what is in force
    #[arg(long, value_name = "NAMESPACE", default_value = "istio-system")]
    mesh: String,
}

/// A cluster and what is moved there.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) service: Service,
    pub(super) cluster: Cluster,
    pub(super) target: Target,
    mesh: String,
}

impl Place {
    /// Reads the description and the kubeconfig; asks nothing yet.
    pub(super) fn find(&self, context: &Context) -> Result<Placed, Failure> {
        let service = Service::load(context.directory())?;
        let access = Access {
            kubeconfig: self.kubeconfig.as_ref().map(|path| context.path(path)),
            context: self.context.clone(),
        };
        let cluster = Cluster::open(&access)?;
        let namespace = self.namespace.clone().unwrap_or_else(|| service.namespace());
        let name = service.name.to_string();
        let host = format!("{name}.{namespace}.svc.cluster.local");
        let arm = |subset: &str| Destination {
            host: host.clone(),
            subset: Some(subset.to_owned()),
        };
        let target = Target {
            route: self.route.clone().unwrap_or_else(|| name.clone()),
            pods: format!("app={name},track=canary"),
            service: name,
            kind: RouteKind::VirtualService,
            stable: arm("stable"),
            canary: arm("canary"),
            namespace,
        };
        Ok(Placed {
            service,
            cluster,
            target,
            mesh: self.mesh.clone(),
        })
    }
}

impl Placed {
    /// The proxies that show what is in force where this object splits.
    pub(super) fn proxies(&self, object: &Value, splits: &Splits) -> Proxies {
        Proxies {
            mesh: self.mesh.clone(),
            arms: Arms {
                stable: self.target.stable.clone(),
                canary: self.target.canary.clone(),
            },
            routes: splits.names(object),
            connections: splits.has_connections(),
        }
    }
}
