// lab-backend is what stands in a pod of the lab: it answers over HTTP and gRPC, says which pod and which version
// answered, counts as a service made by msctl does, and fails as it is told to.
//
//	lab-backend                                  serves until SIGTERM, then drains
//	lab-backend call [-timeout 5s] [-authority HOST] [-count 1] ADDRESS TEXT
//	                                             asks one over gRPC, so often, and prints a line of JSON for each answer
//
// The environment at start: LISTEN_HOST (127.0.0.1), HTTP_PORT (8080), GRPC_PORT (9090), METRICS_PORT (9100),
// HOSTNAME (the pod), VERSION; FAULTS (the first faults, as PUT /faults takes them), START_DELAY and DRAIN_DELAY (as
// "1.5s": so long it is not started yet, so long it goes on to serve after SIGTERM, not ready), CRASH_AFTER (so many
// requests are answered, the next one ends the process with exit code 1).
//
// GET /faults and PUT /faults show and replace the faults. Neither they nor /livez, /readyz, /startupz and gRPC's own
// health are broken by them, or counted.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	// service is gRPC's name of the one service; its one method, Say, takes and gives a google.protobuf.StringValue.
	service = "lab.Echo"
	// gone is the code under which a request is counted whose client did not wait; nginx's, for there is no standard
	// one.
	gone = 499
	// drain is how long requests that run at SIGTERM may take.
	drain = 10 * time.Second
)

// The names are those of a service made by msctl.
var (
	buckets   = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	httpTotal = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "http_server_requests_total", Help: "HTTP requests answered.",
	}, []string{"method", "route", "code"})
	httpDuration = promauto.NewHistogramVec(prometheus.HistogramOpts{
		Name: "http_server_request_duration_seconds", Help: "Time to answer an HTTP request.", Buckets: buckets,
	}, []string{"method", "route"})
	httpRunning = promauto.NewGauge(prometheus.GaugeOpts{
		Name: "http_server_active_requests", Help: "HTTP requests being answered.",
	})
	// Each good answer is an order, which may be bad all the same.
	ordersTotal = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "lab_orders_total", Help: "Orders of HTTP requests that were answered well.",
	}, []string{"result"})
	grpcTotal = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "grpc_server_handled_total", Help: "gRPC calls answered.",
	}, []string{"grpc_service", "grpc_method", "grpc_code"})
	grpcDuration = promauto.NewHistogramVec(prometheus.HistogramOpts{
		Name: "grpc_server_handling_seconds", Help: "Time to answer a gRPC call.", Buckets: buckets,
	}, []string{"grpc_service", "grpc_method"})
)

// faults are what a request meets. In PUT /faults, what is left out is as it is in a backend without faults.
type faults struct {
	Errors  float64 `json:"errors"`       // this part of all requests fails, at random
	Orders  float64 `json:"bad_orders"`   // this part of all orders is bad, and answered well
	Latency int64   `json:"latency_ms"`   // before every answer
	Hang    bool    `json:"hang"`         // no answer, until this is taken back
	First   int64   `json:"first_errors"` // so many requests still fail, from now on
	Ready   bool    `json:"ready"`        // whether it says that it is ready
}

func parse(from io.Reader) (faults, error) {
	f := faults{Ready: true}
	decoder := json.NewDecoder(from)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&f); err != nil {
		return f, err
	}
	if f.Errors < 0 || f.Errors > 1 || f.Orders < 0 || f.Orders > 1 || f.Latency < 0 || f.First < 0 {
		return f, errors.New("errors and bad_orders are parts of 1, latency_ms and first_errors are not negative")
	}
	return f, nil
}

type backend struct {
	pod, version string
	health       *health.Server

	mu       sync.Mutex
	faults   faults
	changed  chan struct{} // closed when the faults are replaced
	started  bool
	draining bool
	limit    int // requests until the crash, if there is one
	requests int
}

// ready says whether it is; the caller holds the lock.
func (b *backend) ready() bool {
	return b.started && b.faults.Ready && !b.draining
}

// change does this to the backend, and lets gRPC's health know.
func (b *backend) change(what func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	what()
	state := healthpb.HealthCheckResponse_NOT_SERVING
	if b.ready() {
		state = healthpb.HealthCheckResponse_SERVING
	}
	b.health.SetServingStatus("", state)
	b.health.SetServingStatus(service, state)
}

func (b *backend) set(f faults) {
	b.change(func() {
		b.faults = f
		close(b.changed)
		b.changed = make(chan struct{})
	})
}

// meet lets a request meet the faults, and says how to answer it.
func (b *backend) meet(ctx context.Context) codes.Code {
	b.mu.Lock()
	b.requests++
	if b.limit > 0 && b.requests > b.limit {
		log.Printf("crash: %d requests were answered", b.limit)
		os.Exit(1)
	}
	f, changed := b.faults, b.changed
	code := codes.OK
	if !b.started {
		code = codes.Unavailable
	} else if f.First > 0 {
		b.faults.First--
		code = codes.Internal
	} else if rand.Float64() < f.Errors {
		code = codes.Internal
	}
	b.mu.Unlock()
	for f.Hang {
		select {
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Code()
		case <-changed:
		}
		b.mu.Lock()
		f.Hang, changed = b.faults.Hang, b.changed
		b.mu.Unlock()
	}
	select {
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Code()
	case <-time.After(time.Duration(f.Latency) * time.Millisecond):
		return code
	}
}

// order says how the order went that a request was.
func (b *backend) order() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if rand.Float64() < b.faults.Orders {
		return "bad"
	}
	return "good"
}

// serveHTTP answers every path but the ones that are the backend's own.
func (b *backend) serveHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	// A client that goes away is noticed once its whole request was read.
	_, _ = io.Copy(io.Discard, r.Body)
	httpRunning.Inc()
	defer httpRunning.Dec()
	code := gone
	switch b.meet(r.Context()) {
	case codes.OK:
		code = http.StatusOK
		ordersTotal.WithLabelValues(b.order()).Inc()
	case codes.Internal:
		code = http.StatusInternalServerError
	case codes.Unavailable:
		code = http.StatusServiceUnavailable
	}
	// It is counted before the client can know: an answer this short leaves when this function ends.
	httpDuration.WithLabelValues(r.Method, "/").Observe(time.Since(began).Seconds())
	httpTotal.WithLabelValues(r.Method, "/", strconv.Itoa(code)).Inc()
	w.Header().Set("X-Pod", b.pod)
	w.Header().Set("X-Version", b.version)
	write(w, code, map[string]string{"pod": b.pod, "version": b.version, "path": r.URL.Path})
}

func write(w http.ResponseWriter, code int, what any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(what)
}

func (b *backend) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", b.serveHTTP)
	probe := func(name string, holds func() bool) {
		mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, _ *http.Request) {
			b.mu.Lock()
			held := holds()
			b.mu.Unlock()
			code := http.StatusOK
			if !held {
				code = http.StatusServiceUnavailable
			}
			write(w, code, map[string]bool{name: held})
		})
	}
	probe("livez", func() bool { return true })
	probe("startupz", func() bool { return b.started })
	probe("readyz", b.ready)
	mux.HandleFunc("GET /faults", func(w http.ResponseWriter, _ *http.Request) {
		b.mu.Lock()
		f := b.faults
		b.mu.Unlock()
		write(w, http.StatusOK, f)
	})
	mux.HandleFunc("PUT /faults", func(w http.ResponseWriter, r *http.Request) {
		f, err := parse(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		b.set(f)
		write(w, http.StatusOK, f)
	})
	return mux
}

// say is the method Say, as generated code would have it.
func (b *backend) say(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	began := time.Now()
	asked := new(wrapperspb.StringValue)
	if err := decode(asked); err != nil {
		return nil, err
	}
	_ = grpc.SetHeader(ctx, metadata.Pairs("x-pod", b.pod, "x-version", b.version))
	code := b.meet(ctx)
	grpcDuration.WithLabelValues(service, "Say").Observe(time.Since(began).Seconds())
	grpcTotal.WithLabelValues(service, "Say", code.String()).Inc()
	return asked, status.Error(code, "as it was told to")
}

func (b *backend) grpcServer() *grpc.Server {
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, b.health)
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: service,
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Say", Handler: b.say}},
	}, b)
	return server
}

// parsed is a variable of the environment, or what it is by default.
func parsed[T any](name string, standard T, parse func(string) (T, error)) T {
	text := os.Getenv(name)
	if text == "" {
		return standard
	}
	value, err := parse(text)
	if err != nil {
		log.Fatalf("%s=%s: %v", name, text, err)
	}
	return value
}

func listen(port, standard string) net.Listener {
	address := net.JoinHostPort(cmp.Or(os.Getenv("LISTEN_HOST"), "127.0.0.1"), cmp.Or(os.Getenv(port), standard))
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	return listener
}

func serve() error {
	b := &backend{
		pod:     os.Getenv("HOSTNAME"),
		version: os.Getenv("VERSION"),
		health:  health.NewServer(),
		changed: make(chan struct{}),
		limit:   parsed("CRASH_AFTER", 0, strconv.Atoi),
	}
	first := cmp.Or(os.Getenv("FAULTS"), "{}")
	f, err := parse(strings.NewReader(first))
	if err != nil {
		return fmt.Errorf("FAULTS=%s: %w", first, err)
	}
	b.set(f)
	startDelay := parsed("START_DELAY", 0, time.ParseDuration)
	drainDelay := parsed("DRAIN_DELAY", 0, time.ParseDuration)
	asked, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	answers := &http.Server{Handler: b.routes(), ReadHeaderTimeout: time.Minute}
	calls := b.grpcServer()
	numbers := http.NewServeMux()
	numbers.Handle("GET /metrics", promhttp.Handler())
	metrics := &http.Server{Handler: numbers, ReadHeaderTimeout: time.Minute}
	failed := make(chan error, 3)
	onHTTP, onGRPC, onMetrics := listen("HTTP_PORT", "8080"), listen("GRPC_PORT", "9090"), listen("METRICS_PORT", "9100")
	go func() { failed <- answers.Serve(onHTTP) }()
	go func() { failed <- calls.Serve(onGRPC) }()
	go func() { failed <- metrics.Serve(onMetrics) }()
	time.AfterFunc(startDelay, func() { b.change(func() { b.started = true }) })
	select {
	case err := <-failed:
		return err
	case <-asked.Done():
	}
	stop() // a second signal ends it at once
	// Connections that nobody uses end first: who is told that it drains finds none of them closed the next moment.
	answers.SetKeepAlivesEnabled(false)
	b.change(func() { b.draining = true })
	time.Sleep(drainDelay)
	return end(answers, calls)
}

// end takes no new requests, and returns once those that run are answered.
func end(answers *http.Server, calls *grpc.Server) error {
	until, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	stopped := make(chan struct{})
	go func() {
		calls.GracefulStop()
		close(stopped)
	}()
	if err := answers.Shutdown(until); err != nil {
		return fmt.Errorf("requests are not answered yet: %w", err)
	}
	select {
	case <-stopped:
		return nil
	case <-until.Done():
		return errors.New("calls are not answered yet")
	}
}

// call asks another backend for its health, and to say something, so often over one connection.
func call(arguments []string) error {
	flags := flag.NewFlagSet("call", flag.ExitOnError)
	timeout := flags.Duration("timeout", 5*time.Second, "how long to wait for an answer")
	authority := flags.String("authority", "", "the host that is asked for, where a proxy answers at the address")
	count := flags.Int("count", 1, "how often to ask")
	_ = flags.Parse(arguments)
	if flags.NArg() != 2 {
		return errors.New("call [-timeout 5s] [-authority HOST] [-count 1] ADDRESS TEXT")
	}
	options := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	if *authority != "" {
		options = append(options, grpc.WithAuthority(*authority))
	}
	connection, err := grpc.NewClient("passthrough:///"+flags.Arg(0), options...)
	if err != nil {
		return err
	}
	defer connection.Close()
	for range *count {
		if err := ask(connection, *timeout, flags.Arg(1)); err != nil {
			return err
		}
	}
	return nil
}

// ask asks once, and prints the answer. An error is the client's own where nobody answers; either way its code is told.
func ask(connection *grpc.ClientConn, timeout time.Duration, text string) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	state, _ := healthpb.NewHealthClient(connection).Check(ctx, &healthpb.HealthCheckRequest{Service: service})
	var header metadata.MD
	answer := new(wrapperspb.StringValue)
	err := connection.Invoke(ctx, path.Join("/", service, "Say"), wrapperspb.String(text), answer, grpc.Header(&header))
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"code": status.Code(err).String(), "message": status.Convert(err).Message(), "health": state.GetStatus().String(), "text": answer.GetValue(),
		"pod": strings.Join(header.Get("x-pod"), ""), "version": strings.Join(header.Get("x-version"), ""),
	})
}

func main() {
	log.SetFlags(0)
	err := errors.New("lab-backend [call ADDRESS TEXT]")
	if len(os.Args) == 1 {
		err = serve()
	} else if os.Args[1] == "call" {
		err = call(os.Args[2:])
	}
	if err != nil {
		log.Fatal(err)
	}
}
