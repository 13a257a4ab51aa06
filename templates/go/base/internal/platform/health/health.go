// Package health answers the three probes. Liveness is about the process alone; readiness follows the dependencies, which are
// asked in the background, so that a probe never waits for one and a burst of probes is no burst of checks.
package health

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Check says why a dependency cannot be used; nil when it can.
type Check struct {
	Name string
	Run  func(context.Context) error
}

// Config is how dependencies are asked.
type Config struct {
	// Interval is the time between two checks of one dependency.
	Interval time.Duration
	// Timeout bounds one check.
	Timeout time.Duration
	// Down is how many failures in a row make a dependency count as down.
	Down int
	// Up is how many successes in a row make it count as up again.
	Up int
}

// Status is the answer to a probe.
type Status struct {
	// Status is "pass" or "fail".
	Status string `json:"status"`
	// Cause says why it is "fail".
	Cause string `json:"cause,omitempty"`
	// Checks are the dependencies by name.
	Checks map[string]CheckStatus `json:"checks,omitempty"`
}

// CheckStatus is what is known of one dependency.
type CheckStatus struct {
	// Status is "up", "down" or, before the first answer, "unknown".
	Status string `json:"status"`
	// Cause is the last error; it may be there while the status is still "up".
	Cause string `json:"cause,omitempty"`
	// LatencyMS is how long the last check took.
	LatencyMS float64 `json:"latency_ms"`
	// Since is when the status last changed.
	Since time.Time `json:"since,omitzero"`
}

// Health is the state behind the probes.
type Health struct {
	config Config
	probes []*probe

	mu       sync.Mutex
	started  bool
	draining bool
	onChange func(ready bool)
	ready    bool
}

// New has these dependencies; onChange is told whenever readiness changes.
func New(config Config, checks []Check, onChange func(ready bool)) *Health {
	h := &Health{config: config, onChange: onChange}
	for _, check := range checks {
		h.probes = append(h.probes, &probe{check: check, state: state{config: config}})
	}
	return h
}

// Run asks the dependencies until ctx ends, each on its own so that a slow one delays no other.
func (h *Health) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, p := range h.probes {
		wg.Go(func() { h.watch(ctx, p) })
	}
	wg.Wait()
}

func (h *Health) watch(ctx context.Context, p *probe) {
	ticker := time.NewTicker(h.config.Interval)
	defer ticker.Stop()
	for {
		begin := time.Now()
		err := p.ask(ctx, h.config.Timeout)
		if ctx.Err() != nil {
			return // The check was cut short: its error says nothing.
		}
		h.mu.Lock()
		p.state.note(err, time.Since(begin), time.Now())
		h.tell()
		h.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Started says that all modules have started.
func (h *Health) Started() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.started = true
	h.tell()
}

// Drain makes readiness false for good.
func (h *Health) Drain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.draining = true
	h.tell()
}

// Draining says whether the service is about to end.
func (h *Health) Draining() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.draining
}

// tell passes a change of readiness on; h.mu is held.
func (h *Health) tell() {
	if ready := h.readiness().Status == pass; ready != h.ready {
		h.ready = ready
		h.onChange(ready)
	}
}

const (
	pass = "pass"
	fail = "fail"
)

// Ready is the answer to /readyz.
func (h *Health) Ready() Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.readiness()
}

func (h *Health) readiness() Status {
	status := Status{Status: pass, Checks: make(map[string]CheckStatus, len(h.probes))}
	for _, p := range h.probes {
		now := p.state.status()
		status.Checks[p.check.Name] = now
		if now.Status != up && status.Cause == "" {
			status.Cause = p.check.Name + " is " + now.Status
			if now.Cause != "" {
				status.Cause += ": " + now.Cause
			}
		}
	}
	switch {
	case h.draining:
		status.Cause = "draining"
	case !h.started:
		status.Cause = "starting"
	}
	if status.Cause != "" {
		status.Status = fail
	}
	return status
}

// Startup is the answer to /startupz.
func (h *Health) Startup() Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.started {
		return Status{Status: fail, Cause: "starting"}
	}
	return Status{Status: pass}
}

// Live is the answer to /livez: the process can answer.
func (*Health) Live() Status {
	return Status{Status: pass}
}

// Routes adds the probes to mux.
func (h *Health) Routes(mux *http.ServeMux) {
	mux.Handle("GET /livez", handler(h.Live))
	mux.Handle("GET /readyz", handler(h.Ready))
	mux.Handle("GET /startupz", handler(h.Startup))
}

func handler(status func() Status) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		now := status()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if now.Status != pass {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(now) // The prober may have gone.
	}
}

// probe is one dependency that is asked again and again.
type probe struct {
	check Check
	state state
	// hanging is a check that did not come back in time; it is waited for, never started twice.
	hanging chan error
}

func (p *probe) ask(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answer := p.hanging
	if answer == nil {
		answer = make(chan error, 1)
		go func() { answer <- p.run(ctx) }()
	}
	select {
	case err := <-answer:
		p.hanging = nil
		return err
	case <-ctx.Done():
		p.hanging = answer
		return fmt.Errorf("no answer in %s", timeout)
	}
}

func (p *probe) run(ctx context.Context) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	err = p.check.Run(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("no answer in time")
	}
	return err
}

const (
	up      = "up"
	down    = "down"
	unknown = "unknown"
)

// state is what a dependency's answers make of it: one odd answer changes nothing, except that the first one counts at once.
type state struct {
	config  Config
	known   bool
	up      bool
	against int // answers in a row that speak against the status
	last    error
	latency time.Duration
	since   time.Time
}

func (s *state) note(err error, latency time.Duration, now time.Time) {
	s.last, s.latency = err, latency
	isUp := err == nil
	if s.known && isUp == s.up {
		s.against = 0
		return
	}
	s.against++
	needed := s.config.Down
	if isUp {
		needed = s.config.Up
	}
	if !s.known || s.against >= needed {
		s.known, s.up, s.against, s.since = true, isUp, 0, now
	}
}

func (s *state) status() CheckStatus {
	status := CheckStatus{Status: unknown, LatencyMS: float64(s.latency.Microseconds()) / 1000, Since: s.since}
	if s.last != nil {
		status.Cause = s.last.Error()
	}
	switch {
	case s.known && s.up:
		status.Status = up
	case s.known:
		status.Status = down
	}
	return status
}
