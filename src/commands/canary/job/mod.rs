//! `msctl canary run --in-cluster`: the same driver as a Job of the release's namespace.

mod fate;
mod make;

use std::collections::BTreeSet;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use self::fate::Fate;
use self::make::Made;
use super::place::Placed;
use super::show::exit_of_code;
use crate::canary::mesh::{Proxies, Route, Target};
use crate::commands::Context;
use crate::config::names::{BaseImage, Namespace, Repository};
use crate::config::service::FILE;
use crate::failure::{Exit, Failure, Kind};
use crate::manifest::job::{Callers, Job, Moved, Notify};
use crate::process::Interrupt;
use crate::ui::{Output, Page, Report, clean};

/// Whether the driver runs in the cluster, and as what.
#[derive(Debug, clap::Args)]
pub(super) struct Inside {
    /// Release by a Job in the cluster; with --dry-run it is printed with its rights, for `kubectl apply`
    #[arg(long, requires = "image", help_heading = "In the cluster")]
    in_cluster: bool,

    /// The image of that Job; msctl is its entrypoint
    #[arg(
        long,
        value_name = "IMAGE",
        value_parser = image,
        requires = "in_cluster",
        help_heading = "In the cluster"
    )]
    image: Option<BaseImage>,

    /// Where else proxies call this service, such as that of a gateway, or `*`: the Job may ask those of its own namespace and of --mesh
    #[arg(
        long,
        value_name = "NAMESPACE,…",
        value_delimiter = ',',
        requires = "in_cluster",
        help_heading = "In the cluster"
    )]
    proxies_in: Vec<Caller>,
}

/// Where there are proxies, as it is typed.
#[derive(Clone, Debug)]
enum Caller {
    Anywhere,
    In(Namespace),
}

impl FromStr for Caller {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        match text {
            "*" => Ok(Self::Anywhere),
            name => Namespace::parse(name).map(Self::In),
        }
    }
}

/// An image, by a tag or digest that will be the same tomorrow.
fn image(text: &str) -> Result<BaseImage, String> {
    let told = |failure: &Failure| failure.message().replacen("base image", "image", 1);
    let image = BaseImage::parse(text).map_err(|failure| told(&failure))?;
    let name = text.split('@').next().unwrap_or(text);
    let name = match name.rsplit_once(':') {
        Some((name, mark)) if !mark.contains('/') => name,
        _ => name,
    };
    // What has no host is kept at Docker's.
    let whole = if name.contains('/') {
        name.to_owned()
    } else {
        format!("docker.io/library/{name}")
    };
    Repository::parse(&whole).map_err(|failure| told(&failure))?;
    Ok(image)
}

impl Inside {
    /// Of the Job, where there is to be one.
    pub(super) const fn image(&self) -> Option<&BaseImage> {
        if self.in_cluster { self.image.as_ref() } else { None }
    }

    fn callers(&self) -> Callers {
        let mut namespaces = BTreeSet::new();
        for caller in &self.proxies_in {
            match caller {
                Caller::Anywhere => return Callers::Anywhere,
                Caller::In(namespace) => _ = namespaces.insert(namespace.to_string()),
            }
        }
        Callers::In(namespaces)
    }
}

/// What a driver in the cluster is told.
pub(super) struct Told<'a> {
    pub(super) image: &'a BaseImage,
    pub(super) inside: &'a Inside,
    pub(super) target: Target,
    /// After the directory.
    pub(super) arguments: Vec<String>,
    /// Where istiod is.
    pub(super) mesh: &'a str,
    /// Whether it leaves traffic where it is when it is asked to end.
    pub(super) holds: bool,
    /// The webhook that is told.
    pub(super) notify: Option<&'a str>,
}

/// What a Job is made of beside that.
struct Parts {
    name: String,
    description: String,
    callers: Callers,
}

impl Told<'_> {
    fn parts(&self, context: &Context) -> Result<Parts, Failure> {
        let path = context.directory().join(FILE);
        Ok(Parts {
            name: self.target.lease(),
            description: std::fs::read_to_string(&path).map_err(|e| Failure::io("read", &path, e))?,
            callers: self.inside.callers(),
        })
    }

    fn job<'a>(&'a self, parts: &'a Parts, notify: Notify<'a>) -> Job<'a> {
        let moved = |route: &'a Route| {
            let (group, plural) = (route.api().0, route.plural());
            Moved {
                group: group.split('/').next().unwrap_or(group),
                plural,
                namespace: &route.namespace,
                name: &route.name,
            }
        };
        Job {
            name: &parts.name,
            service: &self.target.service,
            namespace: &self.target.namespace,
            description: &parts.description,
            image: self.image.as_str(),
            arguments: &self.arguments,
            routes: self.target.routes.iter().map(moved).collect(),
            lease: &parts.name,
            mesh: self.mesh,
            callers: &parts.callers,
            holds: self.holds,
            notify,
        }
    }

    /// Prints all that would be made. No cluster is asked.
    pub(super) fn show(&self, context: &Context) -> Result<Exit, Failure> {
        let parts = self.parts(context)?;
        let job = self.job(&parts, self.notify.map_or(Notify::Nobody, |_| Notify::Unnamed));
        if context.ui.output() == Output::Json {
            let manifest = Manifest {
                service: self.target.service.clone(),
                namespace: self.target.namespace.clone(),
                objects: job.objects(),
                removal: job.removal(),
            };
            context.ui.document("msctl.canary.manifest/v1", &manifest);
        } else {
            context.ui.data(&job.render()?);
        }
        Ok(Exit::Done)
    }

    /// Makes it, and waits until it drives the release.
    pub(super) fn begin(&self, placed: &Placed, proxies: &Proxies, context: &Context) -> Result<Exit, Failure> {
        let interrupt = Interrupt::watch()?;
        self.may_ask(&proxies.namespaces(&placed.cluster)?)?;
        let parts = self.parts(context)?;
        let job = self.job(&parts, self.notify.map_or(Notify::Nobody, Notify::To));
        let made = Made::all(&placed.cluster, &job.objects(), job.removal())?;
        let fate = match fate::until_known(placed, &made, &interrupt, context) {
            Err(failure) => return Err(made.undone(failure)),
            Ok(fate) => fate,
        };
        match fate {
            Fate::Drives { release, driver } => {
                context.ui.report(&InCluster {
                    release,
                    driver,
                    namespace: self.target.namespace.clone(),
                    job: self.target.lease(),
                    removal: made.removal().to_owned(),
                });
                Ok(Exit::Done)
            }
            Fate::Ended { code, words } => {
                context.ui.note(clean(&words).trim_end());
                let exit = exit_of_code(code);
                // What it could not put back is for a person to see.
                if exit != Exit::Stuck {
                    context.ui.note(&made.remove());
                }
                Ok(exit)
            }
        }
    }

    /// Whether it may ask every proxy that there is.
    fn may_ask(&self, namespaces: &BTreeSet<String>) -> Result<(), Failure> {
        let Callers::In(mut known) = self.inside.callers() else {
            return Ok(());
        };
        known.extend([self.mesh.to_owned(), self.target.namespace.clone()]);
        let unknown: Vec<String> = namespaces.difference(&known).cloned().collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let message = format!(
            "there are proxies in {} too, and the Job may not ask them",
            unknown
                .iter()
                .map(|name| format!("`{name}`"))
                .collect::<Vec<_>>()
                .join(", ")
        );
        known.extend(unknown);
        let known: Vec<String> = known.into_iter().collect();
        Err(Failure::new(Kind::Usage, message)
            .note("Nothing was made.")
            .hint(format!("--proxies-in {}    lets it ask those", known.join(",")))
            .hint("--proxies-in '*'    lets it ask all, also those to come: a ClusterRole"))
    }
}

/// `msctl.canary.manifest/v1`: what `canary run --in-cluster` would make.
#[derive(Serialize, JsonSchema)]
pub(in crate::commands) struct Manifest {
    /// The service.
    service: String,
    /// Where the release is.
    namespace: String,
    /// Every object, the Job last.
    objects: Vec<Value>,
    /// What takes it all away.
    removal: String,
}

/// `msctl.canary.job/v1`: a release that a Job of the cluster drives.
#[derive(Serialize, JsonSchema)]
pub(in crate::commands) struct InCluster {
    /// What it is called by.
    release: String,
    /// Who drives it.
    driver: String,
    /// The namespace of the Job.
    namespace: String,
    /// Its name.
    job: String,
    /// What takes away all that was made.
    removal: String,
}

impl Report for InCluster {
    const SCHEMA: &'static str = "msctl.canary.job/v1";

    fn human(&self, page: &mut Page) {
        let (namespace, job) = (clean(&self.namespace), clean(&self.job));
        page.line(format!(
            "Release {} is under way, driven by the Job {namespace}/{job}.",
            clean(&self.release)
        ));
        page.line("next:  msctl canary watch    or status, pause, promote, abort");
        page.line(format!("       kubectl logs -n {namespace} -f job/{job}"));
        page.line(format!("when it is over: {}", clean(&self.removal)));
    }
}
