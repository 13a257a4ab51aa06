//! Dockerfile, Kubernetes, Istio: pure functions, description → text.
