//! Where a release in a cluster is: the cluster, as whom, and the route that is moved.

use std::path::PathBuf;
use std::str::FromStr;

use crate::canary::mesh::{Arms, Found, Proxies, Route, Target};
use crate::canary::router::{Destination, RouteKind};
use crate::commands::Context;
use crate::config::service::Service;
use crate::failure::Failure;
use crate::remote::kube::{Access, Cluster};

/// Which cluster, which route.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Cluster")]
pub(super) struct Place {
    /// The kubeconfig (default: KUBECONFIG, then ~/.kube/config, then the account of the pod this runs in)
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// The context in it (default: the current one)
    #[arg(long, value_name = "NAME")]
    context: Option<String>,

    /// The namespace (default: that of msctl.yaml)
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,

    /// What splits the traffic: virtualservice/NAME, httproute/NAME or grpcroute/NAME, KIND/NAMESPACE/NAME for one elsewhere; several
    /// move together (default: the `VirtualService` called as the service)
    #[arg(long, value_name = "KIND/NAME")]
    route: Vec<Typed>,

    /// The Service of stable, where each arm has one of its own
    #[arg(long, value_name = "SERVICE", requires = "canary")]
    stable: Option<String>,

    /// The Service of the canary
    #[arg(long, value_name = "SERVICE", requires = "stable")]
    canary: Option<String>,

    /// Where istiod is; its proxies are asked what is in force
    #[arg(long, value_name = "NAMESPACE", default_value = "istio-system")]
    mesh: String,
}

/// What splits the traffic, as it is typed.
#[derive(Clone, Debug)]
pub(super) struct Typed {
    kind: RouteKind,
    /// None: that of the release.
    namespace: Option<String>,
    name: String,
}

impl FromStr for Typed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, place) = text.split_once('/').unwrap_or(("virtualservice", text));
        let kind = match kind.to_lowercase().as_str() {
            "virtualservice" | "vs" => RouteKind::VirtualService,
            "httproute" => RouteKind::HttpRoute,
            "grpcroute" => RouteKind::GrpcRoute,
            _ => {
                return Err(format!(
                    "`{kind}` is no kind of route: virtualservice, httproute, grpcroute"
                ));
            }
        };
        let (namespace, name) = match place.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, place),
        };
        let is_none = |name: &str| name.is_empty() || name.contains(['/', '?', '#', '%']);
        if is_none(name) || namespace.is_some_and(is_none) {
            return Err("the route has no name".into());
        }
        Ok(Self {
            kind,
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
        })
    }
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
    /// What is released, and by what. No cluster is asked, and none needs to be there.
    pub(super) fn aim(&self, context: &Context) -> Result<(Service, Target), Failure> {
        let service = Service::load(context.directory())?;
        let arms = [self.stable.as_ref(), self.canary.as_ref()];
        let target = target(&service, self.namespace.as_ref(), &self.route, arms);
        Ok((service, target))
    }

    /// The same as it is typed in a pod: there its account says which cluster it is, and as whom.
    pub(super) fn words(&self, target: &Target) -> Vec<String> {
        let Self {
            kubeconfig: _,
            context: _,
            namespace: _,
            route: _,
            stable,
            canary,
            mesh,
        } = self;
        let mut words = vec![format!("--namespace={}", target.namespace)];
        words.extend(target.routes.iter().map(|route| {
            let kind = route.plural().trim_end_matches('s');
            format!("--route={kind}/{}/{}", route.namespace, route.name)
        }));
        for (flag, arm) in [("stable", stable), ("canary", canary)] {
            words.extend(arm.iter().map(|arm| format!("--{flag}={arm}")));
        }
        words.push(format!("--mesh={mesh}"));
        words
    }

    /// Where istiod is.
    pub(super) fn mesh(&self) -> &str {
        &self.mesh
    }

    /// Reads the description and the kubeconfig; asks nothing yet.
    pub(super) fn find(&self, context: &Context) -> Result<Placed, Failure> {
        let (service, target) = self.aim(context)?;
        let access = Access {
            kubeconfig: self.kubeconfig.as_ref().map(|path| context.path(path)),
            context: self.context.clone(),
        };
        Ok(Placed {
            service,
            cluster: Cluster::open(&access)?,
            target,
            mesh: self.mesh.clone(),
        })
    }
}

/// What a release of this service moves: in this namespace, by these routes, to these Services of the arms; where it is not said, as
/// `msctl generate` makes it. No cluster is asked.
pub(super) fn target(
    service: &Service,
    namespace: Option<&String>,
    typed: &[Typed],
    [stable, canary]: [Option<&String>; 2],
) -> Target {
    let namespace = namespace.cloned().unwrap_or_else(|| service.namespace());
    let name = service.name.to_string();
    let usual = Typed {
        kind: RouteKind::VirtualService,
        namespace: None,
        name: name.clone(),
    };
    let typed = if typed.is_empty() { &[usual][..] } else { typed };
    let mut routes: Vec<Route> = Vec::new();
    for Typed {
        kind,
        namespace: elsewhere,
        name,
    } in typed
    {
        let route = Route {
            kind: *kind,
            namespace: elsewhere.as_ref().unwrap_or(&namespace).clone(),
            name: name.clone(),
        };
        if !routes.contains(&route) {
            routes.push(route);
        }
    }
    // A `VirtualService` has subsets of one Service, the Gateway API a Service of its own for each arm.
    let has_subsets = routes.iter().all(|route| route.kind == RouteKind::VirtualService);
    let arm = |own: Option<&String>, track: &str| {
        let own = own.cloned();
        let own = own.or_else(|| (!has_subsets).then(|| format!("{name}-{track}")));
        Destination {
            host: format!("{}.{namespace}.svc.cluster.local", own.as_ref().unwrap_or(&name)),
            subset: own.is_none().then(|| track.to_owned()),
        }
    };
    Target {
        routes,
        pods: format!("app={name},track=canary"),
        stable: arm(stable, "stable"),
        canary: arm(canary, "canary"),
        service: name,
        namespace,
    }
}

impl Placed {
    /// The proxies that show what is in force where these objects split.
    pub(super) fn proxies(&self, found: &[Found]) -> Proxies {
        let names: Vec<Vec<String>> = found.iter().map(Found::names).collect();
        // One that goes by no name is looked for among all.
        let all_have = names.iter().all(|names| !names.is_empty());
        Proxies {
            mesh: self.mesh.clone(),
            arms: Arms {
                stable: self.target.stable.clone(),
                canary: self.target.canary.clone(),
            },
            routes: if all_have { names.concat() } else { Vec::new() },
            connections: found.iter().any(|one| one.splits.has_connections()),
        }
    }
}
