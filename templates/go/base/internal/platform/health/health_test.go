package health

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var config = Config{Interval: time.Second, Timeout: 800 * time.Millisecond, Down: 3, Up: 2}

func TestOneOddAnswerChangesNothing(t *testing.T) {
	for _, test := range []struct{ answers, want string }{
		{"", "?"},
		{"+", "+"},
		{"-", "-"},
		{"+-", "+"},
		{"+--", "+"},
		{"+---", "-"},
		{"+--+--", "+"},
		{"-+", "-"},
		{"-++", "+"},
		{"-+-+", "-"},
		{"+---+", "-"},
		{"+---++", "+"},
	} {
		s := state{config: config}
		for _, answer := range test.answers {
			var err error
			if answer == '-' {
				err = errors.New("refused")
			}
			s.note(err, time.Millisecond, time.Unix(1, 0))
		}
		want := map[string]string{"+": up, "-": down, "?": unknown}[test.want]
		if got := s.status().Status; got != want {
			t.Errorf("after %q: %s, want %s", test.answers, got, want)
		}
	}
}

func get(t *testing.T, h *Health, path string) (int, Status) {
	t.Helper()
	mux := http.NewServeMux()
	h.Routes(mux)
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
	if got := answer.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("%s: Content-Type %q", path, got)
	}
	var status Status
	if err := json.Unmarshal(answer.Body.Bytes(), &status); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return answer.Code, status
}

func TestTheProbesOverTheLifeOfAService(t *testing.T) {
	h := New(config, nil, func(bool) {})
	want := func(when string, live, startup, ready int, cause string) {
		t.Helper()
		for path, code := range map[string]int{"/livez": live, "/startupz": startup, "/readyz": ready} {
			got, status := get(t, h, path)
			if got != code {
				t.Errorf("%s: %s is %d, want %d", when, path, got, code)
			}
			if path == "/readyz" && status.Cause != cause {
				t.Errorf("%s: cause %q, want %q", when, status.Cause, cause)
			}
		}
	}
	want("before the start", 200, 503, 503, "starting")
	h.Started()
	want("started", 200, 200, 200, "")
	h.Drain()
	want("draining", 200, 200, 503, "draining")
}

func TestReadinessFollowsADependencyAndLivenessDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		var changes []bool
		check := Check{Name: "db", Run: func(context.Context) error {
			if broken.Load() {
				return errors.New("connection refused")
			}
			return nil
		}}
		h := New(config, []Check{check}, func(ready bool) { changes = append(changes, ready) })
		ctx, cancel := context.WithCancel(t.Context())
		h.Started()
		if code, status := get(t, h, "/readyz"); code != 503 || status.Cause != "db is unknown" {
			t.Errorf("before the first check: %d %+v", code, status)
		}
		go h.Run(ctx)
		after := func(seconds float64, want int) {
			t.Helper()
			time.Sleep(time.Duration(seconds * float64(time.Second)))
			synctest.Wait()
			if code, status := get(t, h, "/readyz"); code != want {
				t.Errorf("readyz is %d, want %d: %+v", code, want, status)
			}
		}
		after(0.5, 200)
		broken.Store(true)
		after(2, 200) // two failures
		after(1, 503) // three
		_, status := get(t, h, "/readyz")
		if status.Cause != "db is down: connection refused" || status.Checks["db"].Cause != "connection refused" {
			t.Errorf("%+v", status)
		}
		if code, _ := get(t, h, "/livez"); code != 200 {
			t.Errorf("livez is %d", code)
		}
		broken.Store(false)
		after(1, 503)
		after(1, 200)
		cancel()
		synctest.Wait()
		if len(changes) != 3 || !changes[0] || changes[1] || !changes[2] {
			t.Errorf("changes %v", changes)
		}
	})
}

func TestAHangingCheckIsDownAndIsNotStartedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var started atomic.Int32
		release := make(chan struct{})
		hanging := Check{Name: "hang", Run: func(context.Context) error {
			started.Add(1)
			<-release
			return nil
		}}
		good := Check{Name: "good", Run: func(context.Context) error { return nil }}
		panics := Check{Name: "panics", Run: func(context.Context) error { panic("oh") }}
		h := New(config, []Check{hanging, good, panics}, func(bool) {})
		ctx, cancel := context.WithCancel(t.Context())
		go h.Run(ctx)
		h.Started()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		checks := h.Ready().Checks
		if got := checks["hang"]; got.Status != down || !strings.Contains(got.Cause, "no answer in 800ms") {
			t.Errorf("hang %+v", got)
		}
		if checks["good"].Status != up || checks["panics"].Cause != "panic: oh" {
			t.Errorf("%+v", checks)
		}
		if n := started.Load(); n != 1 {
			t.Errorf("started %d times", n)
		}
		cancel()
		close(release)
	})
}
