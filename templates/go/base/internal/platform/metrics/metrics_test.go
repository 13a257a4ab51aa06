package metrics

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func page(t *testing.T, m *Metrics) string {
	t.Helper()
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	if answer.Code != http.StatusOK {
		t.Fatalf("%d: %s", answer.Code, answer.Body)
	}
	return answer.Body.String()
}

func TestWhatWasAnsweredIsOnThePage(t *testing.T) {
	m := New("payment", "1.2.3")
	m.HTTPBegin()("GET", "/v1/hello/{name}", 200, 3*time.Millisecond)
	m.HTTPBegin()("BREW", "unmatched", 404, time.Millisecond)
	m.HTTPBegin() // still running
	m.GRPC("shop.Orders", "Get", "OK", time.Second)
	m.Ready(true)
	text := page(t, m)
	for _, line := range []string{
		`http_server_requests_total{code="200",method="GET",route="/v1/hello/{name}"} 1`,
		`http_server_requests_total{code="404",method="other",route="unmatched"} 1`,
		`http_server_request_duration_seconds_bucket{method="GET",route="/v1/hello/{name}",le="0.0025"} 0`,
		`http_server_request_duration_seconds_bucket{method="GET",route="/v1/hello/{name}",le="0.005"} 1`,
		`http_server_active_requests 1`,
		`grpc_server_handled_total{grpc_code="OK",grpc_method="Get",grpc_service="shop.Orders"} 1`,
		`service_info{service="payment",version="1.2.3"} 1`,
		`service_ready 1`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("not on the page: %s", line)
		}
	}
	if !strings.Contains(text, "go_goroutines ") {
		t.Error("the Go runtime is not on the page")
	}
}
