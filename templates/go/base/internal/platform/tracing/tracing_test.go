package tracing

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"go.opentelemetry.io/otel/propagation"
)

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestTheTraceOfTheCallerIsKeptAndSentOn(t *testing.T) {
	var sent http.Header
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { sent = r.Header }))
	defer server.Close()

	ctx := Incoming(t.Context(), propagation.MapCarrier{"traceparent": parent, "tracestate": "v=1"})
	if traceID, spanID := IDs(ctx); traceID != "0af7651916cd43dd8448eb211c80319c" || spanID != "b7ad6b7169203331" {
		t.Errorf("IDs = %q %q", traceID, spanID)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := Transport(http.DefaultTransport).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if sent.Get("traceparent") != parent || sent.Get("tracestate") != "v=1" {
		t.Errorf("sent on %q", sent)
	}
	if request.Header.Get("traceparent") != "" {
		t.Error("the caller's request was changed")
	}
}

func TestWithoutACallerThereIsATraceIDThatIsNotSentOn(t *testing.T) {
	for _, header := range []string{"", "nonsense", "00-00000000000000000000000000000000-0000000000000000-01"} {
		ctx := Incoming(t.Context(), propagation.MapCarrier{"traceparent": header})
		traceID, spanID := IDs(ctx)
		if len(traceID) != 32 || spanID != "" {
			t.Errorf("%q: IDs = %q %q", header, traceID, spanID)
		}
		if other, _ := IDs(Incoming(t.Context(), propagation.MapCarrier{})); other == traceID {
			t.Errorf("%q: the same trace id twice", header)
		}
		out := propagation.MapCarrier{}
		Propagator.Inject(ctx, out)
		if len(out) != 0 {
			t.Errorf("%q: sent on %v", header, out)
		}
	}
}
