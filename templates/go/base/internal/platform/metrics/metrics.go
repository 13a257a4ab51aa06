// Package metrics has the rate, errors and duration of what the service answers, and serves them on a port of their own.
package metrics

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// buckets reach from a cache hit to a caller's timeout, in seconds.
var buckets = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

// Metrics are those every service has. Each label has few values: a route is a pattern, never a path.
type Metrics struct {
	registry     *prometheus.Registry
	httpTotal    *prometheus.CounterVec
	httpDuration *prometheus.HistogramVec
	httpRunning  prometheus.Gauge
	grpcTotal    *prometheus.CounterVec
	grpcDuration *prometheus.HistogramVec
	ready        prometheus.Gauge
}

// New has its own registry.
func New(name, version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		httpTotal: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "http_server_requests_total",
			Help: "HTTP requests answered.",
		}, []string{"method", "route", "code"}),
		httpDuration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "http_server_request_duration_seconds",
			Help:    "Time to answer an HTTP request.",
			Buckets: buckets,
		}, []string{"method", "route"}),
		httpRunning: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "http_server_active_requests",
			Help: "HTTP requests being answered.",
		}),
		grpcTotal: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "grpc_server_handled_total",
			Help: "gRPC calls answered.",
		}, []string{"grpc_service", "grpc_method", "grpc_code"}),
		grpcDuration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "grpc_server_handling_seconds",
			Help:    "Time to answer a gRPC call.",
			Buckets: buckets,
		}, []string{"grpc_service", "grpc_method"}),
		ready: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "service_ready",
			Help: "1 while the service is ready.",
		}),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "service_info",
		Help:        "1, with the service's name and version as labels.",
		ConstLabels: prometheus.Labels{"service": name, "version": version},
	})
	info.Set(1)
	m.registry.MustRegister(
		m.httpTotal, m.httpDuration, m.httpRunning, m.grpcTotal, m.grpcDuration, m.ready, info,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// Registry takes further metrics.
func (m *Metrics) Registry() *prometheus.Registry {
	return m.registry
}

// HTTPBegin counts a request as running; call what it returns when it has been answered.
func (m *Metrics) HTTPBegin() (end func(method, route string, code int, took time.Duration)) {
	m.httpRunning.Inc()
	return func(method, route string, code int, took time.Duration) {
		m.httpRunning.Dec()
		method = bounded(method)
		m.httpTotal.WithLabelValues(method, route, strconv.Itoa(code)).Inc()
		m.httpDuration.WithLabelValues(method, route).Observe(took.Seconds())
	}
}

// GRPC counts a call that has been answered.
func (m *Metrics) GRPC(service, method, code string, took time.Duration) {
	m.grpcTotal.WithLabelValues(service, method, code).Inc()
	m.grpcDuration.WithLabelValues(service, method).Observe(took.Seconds())
}

// Ready shows readiness.
func (m *Metrics) Ready(ready bool) {
	value := 0.0
	if ready {
		value = 1
	}
	m.ready.Set(value)
}

// Handler serves /metrics.
func (m *Metrics) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry}))
	return mux
}

// bounded keeps a caller from making a time series with every method it invents.
func bounded(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	default:
		return "other"
	}
}
