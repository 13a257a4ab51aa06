//! The Dockerfile: a build for the asked platform, then a static binary on a base without a shell, as no root. Pure.

use super::{Artefact, seal};
use crate::config::service::{Language, Service};

/// The user that distroless bases call `nonroot`.
pub(super) const USER: u32 = 65_532;

/// The Dockerfile of a service.
pub fn render(service: &Service) -> Artefact {
    let head = "# syntax=docker/dockerfile:1\n# check=error=true\n";
    let body = match service.language {
        Language::Go => go(service),
    };
    Artefact {
        path: "Dockerfile".to_owned(),
        text: seal::seal(head, &body),
    }
}

fn go(service: &Service) -> String {
    format!(
        r#"
FROM --platform=$BUILDPLATFORM {builder} AS build
WORKDIR /src
ENV CGO_ENABLED=0 GOFLAGS=-trimpath
RUN --mount=type=cache,id=go-mod,target=/go/pkg/mod,sharing=locked \
    --mount=type=bind,source=go.mod,target=go.mod \
    --mount=type=bind,source=go.sum,target=go.sum \
    go mod download
ARG TARGETOS
ARG TARGETARCH
ARG TARGETVARIANT
ARG VERSION={version}
RUN --mount=type=cache,id=go-mod,target=/go/pkg/mod,sharing=locked \
    --mount=type=cache,id=go-build-$TARGETOS-$TARGETARCH$TARGETVARIANT,target=/root/.cache/go-build \
    --mount=type=bind,target=. \
    GOOS="$TARGETOS" GOARCH="$TARGETARCH" GOARM="${{TARGETVARIANT#v}}" \
    go build -ldflags "-s -w -buildid= -X main.version=$VERSION" -o /out/app ./cmd/{name}

FROM {runtime}
ARG VERSION={version}
ARG REVISION=unknown
ARG SOURCE=https://{module}
LABEL org.opencontainers.image.title="{name}" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.source="$SOURCE"
COPY --link --from=build /out/app /app
USER {USER}:{USER}
EXPOSE {http} {grpc} {metrics}
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/app", "healthcheck"]
ENTRYPOINT ["/app"]
"#,
        builder = service.builder(),
        runtime = service.runtime(),
        version = service.version(),
        name = service.name,
        module = service.module(),
        http = service.ports.http,
        grpc = service.ports.grpc,
        metrics = service.ports.metrics,
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::service;
    use super::*;

    /// The last stage, instruction by instruction.
    fn last_stage(text: &str) -> Vec<&str> {
        let stage = text.rsplit("\nFROM ").next().unwrap_or_default();
        stage.lines().collect()
    }

    #[test]
    fn directives_come_first_or_they_are_comments() {
        let text = render(&service("")).text;
        let first: Vec<&str> = text.lines().take(2).collect();
        assert_eq!(first, ["# syntax=docker/dockerfile:1", "# check=error=true"]);
    }

    #[test]
    fn the_last_stage_holds_a_binary_and_no_compiler() {
        let digest = "a".repeat(64);
        let text = format!(
            "image: {{ builder: 'golang:1.27-alpine@sha256:{digest}', runtime: 'gcr.io/distroless/static-debian13@sha256:{digest}' }}"
        );
        let text = render(&service(&text)).text;
        let stage = last_stage(&text);
        assert_eq!(stage[0], format!("gcr.io/distroless/static-debian13@sha256:{digest}"));
        assert!(!stage.iter().any(|l| l.contains("golang") || l.starts_with("RUN")));
        assert!(stage.contains(&"COPY --link --from=build /out/app /app"));
        assert!(stage.contains(&"USER 65532:65532"));
        assert!(text.contains(&format!(
            "FROM --platform=$BUILDPLATFORM golang:1.27-alpine@sha256:{digest} AS build\n"
        )));
    }

    #[test]
    fn what_the_description_says_is_in_it() {
        let text = render(&service(
            "module: example.com/shop/payment\nimage: { tag: 2.3.4 }\nports: { http: 18080, grpc: 19090, metrics: 19100 }\n",
        ))
        .text;
        for line in [
            "ARG VERSION=2.3.4",
            "ARG SOURCE=https://example.com/shop/payment",
            "EXPOSE 18080 19090 19100",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        assert!(text.contains("-o /out/app ./cmd/payment\n"));
    }
}
