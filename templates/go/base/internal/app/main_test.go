package app

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// process is one run of the program: its exit code and what it wrote.
func process(set map[string]string, args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = Main(Process{
		Version: "1.2.3",
		Args:    args,
		Env:     func(name string) (string, bool) { value, ok := set[name]; return value, ok },
		Stdout:  &out,
		Stderr:  &err,
	})
	return code, out.String(), err.String()
}

func TestCommands(t *testing.T) {
	for _, test := range []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{[]string{"version"}, 0, "1.2.3\n", ""},
		{[]string{"--help"}, 0, usage, ""},
		{[]string{"sevre"}, 2, "", `cannot do "sevre"`},
		{[]string{"version", "now"}, 2, "", `cannot do "version now"`},
	} {
		code, stdout, stderr := process(nil, test.args...)
		if code != test.code || stdout != test.stdout || !strings.Contains(stderr, test.stderr) {
			t.Errorf("%v: %d %q %q", test.args, code, stdout, stderr)
		}
	}
}

func TestAWrongConfigurationIsToldWholeAndNothingStarts(t *testing.T) {
	code, stdout, stderr := process(map[string]string{"HTTP_PORT": "eighty", "DRAIN_DELAY": "soon"})
	if code != 1 || stdout != "" {
		t.Errorf("%d %q", code, stdout)
	}
	want := Name + ": wrong configuration:\n" +
		Name + ": HTTP_PORT: \"eighty\" must be a port, 0 to 65535\n" +
		Name + ": DRAIN_DELAY: \"soon\" must be a duration from 0s to 5m0s, such as 5s\n"
	if stderr != want {
		t.Errorf("got\n%s\nwant\n%s", stderr, want)
	}
}

func TestHealthcheckAsksLiveness(t *testing.T) {
	code := http.StatusOK
	var asked string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Path
		w.WriteHeader(code)
	}))
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	set := map[string]string{"HTTP_PORT": port, "LISTEN_HOST": "127.0.0.1"}
	if got, _, stderr := process(set, "healthcheck"); got != 0 || asked != "/livez" {
		t.Errorf("%d, asked %q: %s", got, asked, stderr)
	}
	code = http.StatusServiceUnavailable
	if got, _, stderr := process(set, "healthcheck"); got != 1 || !strings.Contains(stderr, "503") {
		t.Errorf("%d %s", got, stderr)
	}
	server.Close()
	if got, _, stderr := process(set, "healthcheck"); got != 1 || !strings.Contains(stderr, "refused") {
		t.Errorf("%d %s", got, stderr)
	}
}
