// Package tracing carries W3C trace context from a caller into logs and onwards, whether or not spans are recorded.
package tracing

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Propagator reads and writes traceparent, tracestate and baggage.
var Propagator = propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})

type localKey struct{}

// Incoming gives ctx the caller's trace. Where there is none, it gets a trace id of its own, which logs show and which is
// not sent on: who records spans decides alone what is sampled.
func Incoming(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	if trace.SpanContextFromContext(ctx).IsValid() {
		return ctx // A module has begun a span already.
	}
	ctx = Propagator.Extract(ctx, carrier)
	if trace.SpanContextFromContext(ctx).IsValid() {
		return ctx
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // It never fails: crypto/rand ends the program first.
	return context.WithValue(ctx, localKey{}, hex.EncodeToString(id[:]))
}

// IDs are the trace and span of ctx for a log line; empty where there is none.
func IDs(ctx context.Context) (traceID, spanID string) {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		return span.TraceID().String(), span.SpanID().String()
	}
	traceID, _ = ctx.Value(localKey{}).(string)
	return traceID, ""
}

// Transport sends the trace of a request's context on to the called service.
func Transport(next http.RoundTripper) http.RoundTripper {
	return transport{next}
}

type transport struct{ next http.RoundTripper }

func (t transport) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx := request.Context()
	request = request.Clone(ctx) // A RoundTripper must not change the request it is given.
	Propagator.Inject(ctx, propagation.HeaderCarrier(request.Header))
	return t.next.RoundTrip(request)
}
