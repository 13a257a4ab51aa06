//! `msctl canary export`: the plan of msctl.yaml for a controller that a user already runs.

use schemars::JsonSchema;
use serde::Serialize;

use crate::canary::judge::Settings;
use crate::commands::Context;
use crate::config::service::Service;
use crate::failure::{Exit, Failure, Kind};
use crate::manifest::controller::{Controller, Terms};
use crate::ui::Output;

/// The arguments of `msctl canary export`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  msctl canary export --to flagger > canary.yaml
  msctl canary export --to argo-rollouts --prometheus http://prometheus.istio-system:9090 | kubectl apply -f -

The comment at its head says what to do once, and which of msctl's guarantees are lost.")]
pub struct Args {
    /// The controller
    #[arg(long, value_name = "CONTROLLER", value_enum)]
    to: To,

    /// Where Argo Rollouts asks Prometheus (default: <http://prometheus.monitoring.svc.cluster.local:9090>)
    #[arg(long, value_name = "URL")]
    prometheus: Option<String>,
}

/// The controllers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum To {
    /// Flagger's Canary
    Flagger,
    /// Argo's Rollout, with its analysis
    ArgoRollouts,
}

/// Renders and prints.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let controller = match args.to {
        To::Flagger => Controller::Flagger,
        To::ArgoRollouts => Controller::ArgoRollouts,
    };
    let service = Service::load(context.directory())?;
    let settings = Settings::new(service.canary.alpha, service.canary.tolerance);
    let terms = Terms {
        max_failed: settings.max_failed,
        prometheus: address(args)?,
    };
    let text = controller.render(&service, &terms)?;
    if context.ui.output() == Output::Json {
        let document = Exported {
            service: service.name.as_str(),
            controller: controller.name(),
            text: &text,
        };
        context.ui.document("msctl.canary.export/v1", &document);
    } else {
        context.ui.data(&text);
    }
    Ok(Exit::Done)
}

fn address(args: &Args) -> Result<Option<&str>, Failure> {
    let Some(url) = args.prometheus.as_deref() else {
        return Ok(None);
    };
    if args.to == To::Flagger {
        return Err(Failure::new(
            Kind::Usage,
            "`--prometheus` is for Argo Rollouts; Flagger asks the one it was installed with",
        )
        .hint("flagger -metrics-server=URL"));
    }
    let is_url = ["http://", "https://"].iter().any(|scheme| {
        url.strip_prefix(scheme)
            .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_graphic() && !c.is_ascii_control()))
    });
    if is_url {
        Ok(Some(url))
    } else {
        let message = format!(
            "`--prometheus {}` is no address such as http://prometheus:9090",
            url.escape_debug()
        );
        Err(Failure::new(Kind::Usage, message))
    }
}

/// `msctl.canary.export/v1`: a manifest for a controller, whole.
#[derive(Serialize, JsonSchema)]
pub(in crate::commands) struct Exported<'a> {
    /// The service.
    service: &'a str,
    /// The controller.
    controller: &'a str,
    /// The manifest: YAML with a comment at its head.
    text: &'a str,
}
